local authority = require "cce.kubeconfig.authority"
local json = require "cce.base.json"
local kubeconfigs = require "cce.kubeconfig"
local tempdir = dofile "spec/support/tempdir.lua"

local CLUSTER = "c1050000-0000-4000-8000-000000000001"

describe("the CA in a kubeconfig without keys", function()
  local dir

  before_each(function() dir = tempdir.new() end)
  after_each(function() tempdir.remove(dir) end)

  it("is replaced although another context of the user names no cluster", function()
    local text = tempdir.read("spec/fixtures/kubeconfig_eip.json")
    local config = assert(kubeconfigs.parse(text, { cluster_id = CLUSTER }))
    local data = json.decode(assert(config:with_command {}).raw)
    data.contexts[#data.contexts + 1] =
      { name = "half", context = { user = data.users[1].name } }
    local path = dir .. "/config"
    tempdir.write(path, assert(json.encode(data)))
    local old = data.clusters[1].cluster["certificate-authority-data"]
    local new = "YW5vdGhlcg=="
    local count, message = authority.mend(path, CLUSTER, new)
    assert(count, message)
    assert.is_true(count > 0)
    assert.is_nil(tempdir.read(path):find(old, 1, true))
  end)
end)
