-- The simulator accepts what Huawei's own SDK sends: so what the simulator accepts of us, and how
-- it refuses a wrong key, is not merely our own idea of the API.
local cjson = require "cjson"
local core = require "cce.core"
local simulator = require "spec.support.sim"

local MODULES = "build/node/node_modules"

local function why_not()
  if not simulator.has_program "node" then return "node is not installed" end
  for _, name in ipairs { "huaweicloud-sdk-core", "huaweicloud-sdk-cce" } do
    if not simulator.read(("%s/@huaweicloud/%s/package.json"):format(MODULES, name)) then
      return "the Node SDK is not there: run tools/node-sdk, which needs npm and its registry"
    end
  end
end

local function absolute(path)
  return (os.getenv "CCE_TEST_ROOT" or os.getenv "PWD") .. "/" .. path
end

-- The lines that node_sdk.js prints, by the name of the call.
local function run_sdk(sim)
  local env = { "PATH=" .. os.getenv "PATH", "NODE_PATH=" .. absolute(MODULES),
    "NODE_EXTRA_CA_CERTS=" .. sim.env.CCE_CA_FILE, "CLUSTER_ID=" .. sim.clusters[1].id,
    "USER_ID=" .. simulator.member.principal.id, "HOME=" .. sim.dir }
  for name, value in pairs(sim.env) do env[#env + 1] = name .. "=" .. value end
  local out = os.tmpname()
  local process = assert(core.sys.spawn {
    argv = { "node", "spec/support/node_sdk.js" }, env = env, stdin = "/dev/null", stdout = out,
    stderr = out, die_with_parent = true,
  })
  process:wait(120)
  process:close()
  local text = simulator.read(out)
  os.remove(out)
  local lines = { text = text }
  for line in text:gmatch "[^\n]+" do
    if line:sub(1, 8) == '{"call":' then
      local answer = cjson.decode(line)
      lines[answer.call] = answer
    end
  end
  return lines
end

describe("the official Node SDK", function()
  local missing = why_not()
  if missing then
    pending("is skipped: " .. missing)
    return
  end

  local sim, answers
  setup(function()
    sim = simulator.get()
    answers = run_sdk(sim)
  end)

  for _, call in ipairs { "list_clusters", "obtain_cert", "revoke_cert", "rotate_credentials" } do
    it("is accepted by the simulator for " .. call, function()
      local answer = answers[call]
      assert.is_truthy(answer, answers.text)
      assert.equal(200, answer.status, answers.text)
      local seen = sim:log { operation = call, accepted = true }
      assert.equal(1, #seen)
      assert.matches("huaweicloud%-usdk", seen[1].user_agent)
    end)
  end

  it("gets what we get", function()
    assert.equal(#sim.clusters, #answers.list_clusters.data.items)
    assert.equal("Config", answers.obtain_cert.data.kind)
    assert.matches("^%x+%-", answers.rotate_credentials.data.jobid)
  end)

  it("is refused with a wrong key", function()
    assert.equal(401, answers["wrong key"].status, answers.text)
    assert.equal("APIGW.0301", answers["wrong key"].error)
    assert.equal(1, #sim:log { status = 401 })
  end)
end)
