-- The simulator accepts what Huawei's own SDKs send: so what the simulator accepts of us, and how
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

-- The lines that a program prints, by the name of the call.
local function run(sim, argv)
  local env = { "PATH=" .. os.getenv "PATH", "NODE_PATH=" .. absolute(MODULES),
    "NODE_EXTRA_CA_CERTS=" .. sim.env.CCE_CA_FILE, "CLUSTER_ID=" .. sim.clusters[1].id,
    "AUTOPILOT_ID=" .. sim:state().autopilot[1].id,
    "USER_ID=" .. simulator.member.principal.id, "HOME=" .. sim.dir }
  for name, value in pairs(sim.env) do env[#env + 1] = name .. "=" .. value end
  local out = os.tmpname()
  local process = assert(core.sys.spawn {
    argv = argv, env = env, stdin = "/dev/null", stdout = out,
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
    answers = run(sim, { "node", "spec/support/judge/node_sdk.js" })
  end)

  for _, call in ipairs { "list_clusters", "obtain_cert", "revoke_cert", "rotate_credentials",
    "list_autopilot_clusters", "obtain_autopilot_cert" } do
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
    assert.equal("cce.autopilot.cluster",
      answers.list_autopilot_clusters.data.items[1].spec.flavor)
    assert.equal("Config", answers.obtain_autopilot_cert.data.kind)
    assert.matches("^%x+%-", answers.rotate_credentials.data.jobid)
  end)

  it("is refused with a wrong key", function()
    assert.equal(401, answers["wrong key"].status, answers.text)
    assert.equal("APIGW.0301", answers["wrong key"].error)
    assert.equal(1, #sim:log { status = 401 })
  end)
end)

-- Its package is in no registry that npm or Debian reach: what its requests look like is known.
describe("requests in the form of the official Python SDK", function()
  if not simulator.has_program "python3" then
    pending "are skipped: python3 is not installed"
    return
  end

  it("list, show and obtain clusters of Autopilot", function()
    local sim = simulator.get()
    sim:reset()
    local answers = run(sim, { "python3", "spec/support/judge/python_requests.py" })
    for _, call in ipairs { "list_autopilot_clusters", "show_autopilot_cluster",
      "obtain_autopilot_cert", "show_autopilot_job" } do
      assert.equal(200, answers[call] and answers[call].status, answers.text)
      local seen = sim:log { operation = call, accepted = true }
      assert.equal(1, #seen)
      assert.matches("^huaweicloud%-usdk%-python", seen[1].user_agent)
    end
    assert.equal(1, #answers.list_autopilot_clusters.data.items)
    assert.equal("Cluster", answers.show_autopilot_cluster.data.kind)
    assert.equal("Config", answers.obtain_autopilot_cert.data.kind)
    assert.matches("^%x+%-", answers.obtain_autopilot_cert.port_id)
    assert.equal("Success", answers.show_autopilot_job.data.status.phase)
  end)
end)
