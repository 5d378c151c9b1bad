-- After client:close() no secret of a file, of the metadata service or of IAM is anywhere in the
-- process: the whole of it is searched.

local core = require "cce.core"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

local sim = simulator.get()
local account = simulator.account

describe("the memory of a process #unchecked", function()
  local dir

  before_each(function()
    sim:reset()
    dir = tempdir.new()
    local member = simulator.member
    local function private(name, text)
      tempdir.write(dir .. "/" .. name, text)
      os.execute("chmod 600 " .. dir .. "/" .. name)
    end
    private("profile", ("[basic]\nak=%s\nsk=%s\n"):format(member.ak, member.sk))
    private("sk", member.sk)
    private("password", member.password)
    private("id-token", account.identity_provider.id_token)
    private("pod-token", account.pod_token)
  end)

  after_each(function() tempdir.remove(dir) end)

  local function environment()
    return {
      "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath, "PATH=" .. os.getenv "PATH",
      "CCE_ENDPOINT=" .. sim.env.CCE_ENDPOINT, "CCE_CA_FILE=" .. sim.env.CCE_CA_FILE,
      "HUAWEICLOUD_SDK_IAM_ENDPOINT=" .. sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT,
      "HUAWEICLOUD_SDK_PROJECT_ID=" .. sim.project_id,
      "HUAWEICLOUD_SDK_CREDENTIALS_FILE=" .. dir .. "/profile",
      "HC_CONTAINER_CREDENTIALS_FULL_URI=" .. sim:plain "pod_identity" .. "/v1/credentials",
      "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE=" .. dir .. "/pod-token",
      "TEST_METADATA=" .. sim:plain "metadata", "TEST_ID_TOKEN=" .. dir .. "/id-token",
      "TEST_PASSWORD=" .. dir .. "/password", "TEST_SK=" .. dir .. "/sk",
      "TEST_AK=" .. simulator.member.ak,
    }
  end

  local function pattern(secret)
    return (secret:gsub(".", function(c) return c:find "%w" and "[" .. c .. "]" or "%" .. c end))
  end

  -- How often each secret is there at the end.
  local function found(source, secrets)
    local argv = { simulator.interpreter(), "spec/support/shared/memory.lua", source }
    for _, secret in ipairs(secrets) do argv[#argv + 1] = pattern(secret) end
    local process = assert(core.sys.spawn {
      argv = argv, env = environment(), stdin = "/dev/null", stdout = dir .. "/out",
      stderr = dir .. "/out", die_with_parent = true,
    })
    process:wait(120)
    local output = tempdir.read(dir .. "/out")
    local counts = {}
    for number in assert(output:match "^5\nfound ([%d ]+)\n$", output):gmatch "%d+" do
      counts[#counts + 1] = tonumber(number)
    end
    return counts
  end

  it("holds a secret that is still in use, which the search finds", function()
    assert.is_true(found("kept", { simulator.member.sk })[1] > 0)
  end)

  local rows = {
    { "profile", { simulator.member.sk } },
    { "metadata", { "sim-issued-secret-", "sim-issued-security-token-", "sim-metadata-token-" } },
    { "pod", { "sim-issued-secret-", "sim-issued-security-token-", account.pod_token } },
    { "agency", { simulator.member.sk, "sim-issued-secret-", "sim-issued-security-token-" } },
    { "password", { simulator.member.password, "sim-issued-token-" } },
    { "key_token", { simulator.member.sk, "sim-issued-token-" } },
    { "id_token", { account.identity_provider.id_token, "sim-issued-token-" } },
  }
  for _, row in ipairs(rows) do
    it("holds no secret of the source " .. row[1], function()
      local none = {}
      for i in ipairs(row[2]) do none[i] = 0 end
      assert.same(none, found(row[1], row[2]))
    end)
  end
end)
