local clients = require "spec.support.clients"
local exec = require "cce.kubeconfig.exec"
local json = require "cce.base.json"
local kubeconfigs = require "cce.kubeconfig"
local tempdir = dofile "spec/support/tempdir.lua"

local CLUSTER = "c1050000-0000-4000-8000-000000000001"

local function sample(name)
  local text = tempdir.read("spec/fixtures/kubeconfig_eip.json")
  return assert(kubeconfigs.parse(text, { cluster_id = name }))
end

describe("kubeconfig:with_command", function()
  it("puts the command where the key was", function()
    local config = assert(sample(CLUSTER):with_command { args = { "--days", "2" } })
    assert.equal(1, #config.data.users)
    local user = config.data.users[1].user
    assert.same({ "exec" }, (function()
      local names = {}
      for name in pairs(user) do names[#names + 1] = name end
      return names
    end)())
    assert.equal("client.authentication.k8s.io/v1", user.exec.apiVersion)
    assert.equal("cce", user.exec.command)
    assert.equal("credential --cluster " .. CLUSTER .. " --api-version v1 --days 2",
      table.concat(user.exec.args, " "))
    assert.equal("Never", user.exec.interactiveMode)
    assert.is_false(user.exec.provideClusterInfo)
    assert.equal(json.null, user.exec.env)
    assert.is_string(user.exec.installHint)
  end)

  it("keeps contexts and clusters, and no trace of the key", function()
    local old = sample(CLUSTER)
    local config = assert(old:with_command())
    assert.equal(tostring(old:contexts()), tostring(config:contexts()))
    assert.same(old.data.clusters, config.data.clusters)
    assert.is_nil(config.raw:find("client-key", 1, true))
    assert.is_nil(config.raw:find("client-certificate", 1, true))
    assert.is_table(old:certificate())
    clients.fails("UNSUPPORTED", config:certificate())
  end)

  it("takes another command, version and cluster", function()
    local config = assert(sample():with_command { cluster_id = "c", command = "/opt/cce",
      api_version = "v1beta1" })
    local made = config.data.users[1].user.exec
    assert.equal("/opt/cce", made.command)
    assert.equal("client.authentication.k8s.io/v1beta1", made.apiVersion)
    assert.equal("c", config.cluster_id)
  end)

  it("wants to know the cluster, and a version that there is", function()
    clients.fails("INVALID_ARGUMENT", sample():with_command())
    clients.fails("INVALID_ARGUMENT", sample(CLUSTER):with_command { api_version = "v1alpha1" })
    local err = clients.fails("INVALID_ARGUMENT",
      sample(CLUSTER):with_command { args = { "--days", 1 } })
    assert.matches("kubectl could not read it: .*args%[7%] is no text", err.message)
    clients.raises("unknown option 'comand'", function()
      sample(CLUSTER):with_command { comand = "x" }
    end)
  end)

  it("can be merged, in YAML too, over one with a key", function()
    local dir = tempdir.new()
    local path = dir .. "/config"
    assert(sample(CLUSTER):save(path, { merge = true, name = "prod", format = "yaml" }))
    assert(assert(sample(CLUSTER):with_command()):save(path, { merge = true, name = "prod" }))
    local config = assert(kubeconfigs.load(path))
    assert.equal(CLUSTER, exec.cluster_of(config.data.users[1].user))
    assert.is_nil(config.raw:find("client-key", 1, true))
    tempdir.remove(dir)
  end)
end)

describe("cce.kubeconfig.exec.cluster_of", function()
  local function of(args)
    return exec.cluster_of { exec = { command = "cce", args = args } }
  end

  it("finds the cluster of our command alone", function()
    assert.equal("c", of { "credential", "--cluster", "c" })
    assert.equal("c", of { "--profile", "p", "credential", "--days", "1", "--cluster", "c" })
    assert.is_nil(of { "eks", "get-token", "--cluster", "c" })
    assert.is_nil(of { "credential", "--cluster" })
    assert.is_nil(of { "credential", "--cluster", 7 })
    assert.is_nil(of "credential")
    assert.is_nil(exec.cluster_of { exec = "x" })
    assert.is_nil(exec.cluster_of {})
  end)
end)
