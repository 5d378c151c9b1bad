-- The gateway of examples/nginx, started as its own first lines say.
local core = require "cce.core"
local nginx = require "spec.support.peer.nginx"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

local CONF = "examples/nginx/nginx.conf"
local TOKEN = "the-token-of-a-spec"

nginx.describe("the gateway of examples/nginx", function()
  local root = os.getenv "CCE_TEST_ROOT" or tempdir.shell "pwd":match "%C+"
  local sim, server, cluster

  setup(function()
    sim = simulator.get()
    sim:reset()
    cluster = sim.clusters[1]
    local env = {}
    for name, value in pairs(sim.env) do env[name] = value end
    env.GATEWAY_TOKEN = TOKEN
    env.LUA_PATH, env.LUA_CPATH = nginx.paths()
    env.LUA_PATH = root .. "/examples/nginx/?.lua;" .. env.LUA_PATH
    -- Its log goes where it says; "daemon off" lets the spec keep it.
    local globals = "daemon off;" .. (tempdir.is_root() and " user root;" or "")
    server = nginx.start_file(CONF, 8443, env, { "-g", globals })
  end)

  teardown(function()
    if server then server:close() end
  end)

  before_each(function()
    sim:reset()
  end)

  local function headers(token)
    return { Authorization = "Bearer " .. (token or TOKEN) }
  end

  local function act(action, body, id)
    return server:post(("/clusters/%s/%s"):format(id or cluster.id, action), body, headers())
  end

  it("says that it lives, to anybody", function()
    assert.equal("ok\n", server:get("/healthz").body)
  end)

  it("obtains a kubeconfig", function()
    local answer = act("obtain", '{"duration":1}')
    assert.equal(200, answer.status)
    assert.equal("Config", answer.json.kind)
    local facts = assert(core.certificate(answer.body))
    assert.matches("^%x+$", facts.user_id)
  end)

  it("tells Prometheus what it did, as promtool reads it", function()
    assert.equal(200, act("obtain", '{"duration":1}').status)
    local answer = server:get "/metrics"
    assert.equal(200, answer.status)
    assert.matches('cce_requests_total{code="ok",operation="obtain_cert"} %d', answer.body)
    assert.matches("cce_key_refused 0\n", answer.body, 1, true)
    if not simulator.has_program "promtool" then return end
    local path = os.tmpname()
    tempdir.write(path, answer.body)
    local told = tempdir.shell("promtool check metrics <" .. path .. " 2>&1; echo status $?")
    os.remove(path)
    assert.matches("^status 0", told)
  end)

  it("revokes", function()
    local answer = act("revoke", '{"user_id":"b0000000000000000000000000000002"}')
    assert.equal(200, answer.status, answer.body)
    assert.is_true(answer.json.revoked)
    assert.equal(1, #sim:log { operation = "revoke_cert", accepted = true })
  end)

  it("rotates, and shows the job until it has ended", function()
    local answer = act("rotate", '{"component":"all"}')
    assert.equal(200, answer.status)
    local phase = nginx.wait_for("the job's end", function()
      local job = server:get("/jobs/" .. answer.json.job_id, headers())
      assert.equal(200, job.status)
      assert.equal(answer.json.job_id, job.json.id)
      return job.json.phase == "Success" and job.json.phase
    end)
    assert.equal("Success", phase)
  end)

  it("refuses who has no token, or another one, and sends nothing", function()
    local path = "/clusters/" .. cluster.id .. "/rotate"
    assert.equal(401, server:post(path, '{"component":"all"}').status)
    for _, token in ipairs { "", TOKEN .. "x", TOKEN:sub(1, -2), TOKEN:sub(1, -2) .. "x" } do
      local answer = server:post(path, '{"component":"all"}', headers(token))
      assert.equal(401, answer.status)
      assert.equal("UNAUTHENTICATED", answer.json.code)
    end
    assert.equal(401, server:get "/jobs/c1".status)
    assert.same({}, sim:log())
  end)

  it("refuses a body that is no object, or has a wrong or unknown field", function()
    for _, body in ipairs { "{", "1", '"x"', '{"duration":"1"}', '{"duration":0}', "{}" } do
      local answer = act("obtain", body)
      assert.equal(400, answer.status, body .. " " .. answer.body)
      assert.equal("INVALID_ARGUMENT", answer.json.code)
      -- The place in our source is nobody's business.
      assert.is_nil(answer.json.message:find("%.lua:%d"), answer.json.message)
    end
    assert.equal(400, act("rotate", '{"component":7}').status)
    assert.equal(400, act("revoke", "{}").status)
    assert.same({}, sim:log())
  end)

  it("takes POST only", function()
    assert.equal(405, server:get("/clusters/" .. cluster.id .. "/obtain", headers()).status)
  end)

  it("hands on what the API says", function()
    local answer = act("obtain", '{"duration":1}', "no-such-cluster")
    assert.equal(404, answer.status)
    assert.equal("NOT_FOUND", answer.json.code)
    sim:fault { operation = "rotate_credentials", reset = "after" }
    answer = act("rotate", '{"component":"all"}')
    assert.equal(502, answer.status)
    assert.is_true(answer.json.maybe_applied)
  end)

  it("answers every one of 200 requests, 50 at a time, reloaded meanwhile", function()
    local load = server:load(200, 50, function(i)
      local one = sim.clusters[i % #sim.clusters + 1]
      return { method = "POST", path = "/clusters/" .. one.id .. "/obtain",
        body = '{"duration":1}', headers = headers() }
    end)
    sim:fault { delay = 0.05 }
    nginx.wait_for("a quarter of them", function()
      load:step()
      return #load.answers >= 50
    end)
    server:signal "SIGHUP"
    local answers = load:finish()
    assert.equal(200, #answers)
    for _, answer in ipairs(answers) do
      assert.is_nil(answer.problem)
      assert.equal(200, answer.status, answer.body)
    end
    nginx.wait_for("the old worker's end", function()
      return server:log():find "gracefully shutting down"
    end)
  end)

  it("frees what aborted requests held", function()
    -- Longer than quit() waits.
    sim:fault { delay = 100 }
    local hang_ups = {}
    local request = ("POST /clusters/%s/obtain HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s"
      .. "\r\nContent-Length: 14\r\n\r\n{\"duration\":1}"):format(cluster.id, TOKEN)
    for i = 1, 30 do hang_ups[i] = server:hang(request) end
    nginx.wait_for("the calls", function() return #sim:log() >= 30 end)
    for _, hang_up in ipairs(hang_ups) do hang_up() end
    sim:reset()
    assert.equal(0, (server:quit()))
    assert.equal("", server:complaints())
  end)
end)
