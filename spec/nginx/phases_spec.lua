-- Where in nginx a call works, and what it says where it cannot.
local nginx = require "spec.support.peer.nginx"
local simulator = require "spec.support.sim"

-- Each location leaves what its phase said in a header or in the dictionary `said`.
local HTTP = [[
  location = /content { content_by_lua_block { app.look() } }
  location = /access {
    access_by_lua_block { app.look() ngx.exit(200) }
    content_by_lua_block { ngx.say("not reached") }
  }
  location = /rewrite {
    rewrite_by_lua_block { app.look() ngx.exit(200) }
    content_by_lua_block { ngx.say("not reached") }
  }
  location = /timer {
    content_by_lua_block {
      ngx.timer.at(0, function() note("timer") end)
      for _ = 1, 12000 do
        if ngx.shared.said:get("timer") then break end
        ngx.sleep(0.01)
      end
      ngx.print(ngx.shared.said:get("timer"))
    }
  }
  location = /said { content_by_lua_block { ngx.print(ngx.shared.said:get(ngx.var.arg_phase)) } }
  location = /set {
    set_by_lua_block $answer { note("set") return "" }
    return 200 "$answer";
  }
  location = /header_filter {
    return 200 "x";
    header_filter_by_lua_block { note("header_filter") }
  }
  location = /body_filter {
    return 200 "x";
    body_filter_by_lua_block { note("body_filter") }
  }
  location = /log {
    return 200 "x";
    log_by_lua_block { note("log") }
  }
  location = /balancer { proxy_pass http://chosen; }
]]

local SETTINGS = [[
  lua_shared_dict said 1m;
  init_worker_by_lua_block {
    note("init_worker")
    ngx.timer.at(0, function() note("init_worker_timer") end)
  }
  upstream chosen {
    server 0.0.0.1;
    balancer_by_lua_block { note("balancer") }
  }
]]

local INIT = [[
  local json = require("cce.core").json
  function note(phase)
    local client = app.client()
    local outcome = app.outcome(client:show_cluster(app.cluster_from_environment()))
    outcome.map = app.outcome(require("cce").map({ 1 }, function() end))
    outcome.slept, outcome.sleep = pcall(require("cce").sleep, 0.001)
    outcome.sleep = outcome.sleep and tostring(outcome.sleep)
    local signer = require("cce").signer { ak = "AccessKey", sk = "SecretKey" }
    local headers = signer:sign { method = "GET", host = "example.com", path = "/",
      date = "20260102T030405Z" }
    outcome.signature = headers.Authorization
    ngx.shared.said:set(phase, json.encode(outcome))
  end
  note("init")
]]

nginx.describe("nginx's phases", function()
  local json = require("cce.core").json
  local sim, server, sent_at_start

  setup(function()
    sim = simulator.get()
    sim:reset()
    sim.env.SPEC_CLUSTER = sim.clusters[1].id
    server = nginx.start { http = HTTP, settings = SETTINGS, init = INIT, env = sim.env }
  end)

  local function said(phase)
    if phase ~= "init" and not phase:find "^init_worker" then server:get("/" .. phase) end
    return nginx.wait_for("the note of " .. phase, function()
      return json.decode(server:get("/said?phase=" .. phase).body)
    end)
  end

  setup(function()
    said "init_worker_timer"
    sent_at_start = #sim:log()
    sim:reset()
  end)

  teardown(function()
    if server then server:close() end
  end)

  for _, phase in ipairs { "content", "access", "rewrite" } do
    it("lets a call wait in " .. phase, function()
      local answer = server:get("/" .. phase)
      assert.equal(200, answer.status)
      assert.same({ ok = true, id = sim.clusters[1].id }, json.decode(answer.body))
    end)
  end

  it("lets a call, a map and a sleep wait in a timer", function()
    local outcome = json.decode(server:get("/timer").body)
    assert.is_true(outcome.ok)
    assert.is_true(outcome.map.ok)
    assert.is_true(outcome.slept)
  end)

  it("lets a timer that init_worker started make calls", function()
    assert.is_true(said("init_worker_timer").ok)
  end)

  it("sends nothing at the start but that timer's call", function()
    assert.equal(1, sent_at_start)
  end)

  local remedies = {
    init = "init_worker_by_lua with ngx.timer.at(0, …)",
    init_worker = "ngx.timer.at(0, function() … end)",
  }
  for _, phase in ipairs { "init", "init_worker", "set", "header_filter", "body_filter", "log",
    "balancer" } do
    it("refuses a call in " .. phase .. ", says what to do, and sends nothing", function()
      sim:reset()
      local outcome = said(phase)
      assert.equal("UNSUPPORTED", outcome.code)
      assert.equal(false, outcome.maybe_applied)
      assert.equal(0, outcome.attempts)
      assert.matches("phase " .. phase, outcome.message, 1, true)
      assert.matches(remedies[phase] or "in rewrite, access or content, or in a timer",
        outcome.message, 1, true)
      assert.equal("UNSUPPORTED", outcome.map.code)
      assert.is_false(outcome.slept)
      assert.matches("phase " .. phase, outcome.sleep, 1, true)
      assert.same({}, sim:log())
    end)
  end

  for _, phase in ipairs { "init", "init_worker", "set", "header_filter", "body_filter", "log",
    "balancer", "timer" } do
    it("signs in " .. phase, function()
      assert.matches("^SDK%-HMAC%-SHA256 Access=AccessKey, .*Signature=%x+$",
        said(phase).signature)
    end)
  end

  it("leaves nothing to complain about in the log", function()
    assert.equal("", server:complaints())
  end)
end)
