-- Calls inside an nginx worker: concurrency, hosts' limits, clients that hang up, other Lua VMs.
local nginx = require "spec.support.peer.nginx"
local simulator = require "spec.support.sim"
local sys = require("cce.core").sys
local tempdir = require "spec.support.tempdir"

local HTTP = [[
  location = /look { content_by_lua_block { app.look() } }
  location = /rotate {
    content_by_lua_block { app.call("rotate_credentials", app.cluster(), { component = "all" }) }
  }

  location = /own_client {
    content_by_lua_block {
      local client = assert(require("cce").new {})
      app.say(app.outcome(client:show_cluster(app.cluster())))
    }
  }
  location = /closed_client {
    content_by_lua_block {
      local client = assert(require("cce").new {})
      app.say(app.outcome(client:show_cluster(app.cluster())))
      client:close()
    }
  }

  location = /map {
    content_by_lua_block {
      local count, concurrency = tonumber(ngx.var.arg_count), tonumber(ngx.var.arg_concurrency)
      local items, most = {}, 0
      for i = 1, count do items[i] = i end
      local results = require("cce").map(items, function(i)
        if i % 10 == 3 then error("item " .. i .. " raises") end
        if i % 10 == 4 then return nil, "item " .. i .. " fails" end
        most = math.max(most, app.engine():in_flight())
        local cluster = assert(app.client():show_cluster(app.cluster()))
        return i .. " " .. cluster.id
      end, { concurrency = concurrency })
      local said = { most = most, count = #results, values = {}, messages = {} }
      for i, result in ipairs(results) do
        assert(result.item == i)
        said.values[i] = result.ok and result.value or false
        said.messages[i] = result.message or false
      end
      app.say(said)
    }
  }
  location = /nested {
    content_by_lua_block {
      local map, sum = require("cce").map, 0
      local outer = map({ 1, 2, 3 }, function(i)
        local inner = map({ 1, 2, 3, 4 }, function(j)
          assert(app.client():show_cluster(app.cluster()))
          return i * j
        end, { concurrency = 2 })
        for _, result in ipairs(inner) do sum = sum + result.value end
      end, { concurrency = 3 })
      app.say { sum = sum, count = #outer }
    }
  }
  location = /cancel {
    content_by_lua_block {
      local items = {}
      for i = 1, 20 do items[i] = i end
      local results = require("cce").map(items, function()
        assert(app.client():show_cluster(app.cluster()))
      end, { concurrency = 2, on_progress = function(done) return done < 5 end })
      local said = { ok = 0, cancelled = 0 }
      for _, result in ipairs(results) do
        if result.ok then said.ok = said.ok + 1
        elseif result.err.code == "CANCELLED" then said.cancelled = said.cancelled + 1 end
      end
      app.say(said)
    }
  }
  location = /raise {
    content_by_lua_block {
      local items, begun, ended, has_raised = {}, 0, 0, false
      for i = 1, 20 do items[i] = i end
      local ok, problem = pcall(require("cce").map, items, function()
        begun = begun + 1
        assert(app.client():show_cluster(app.cluster()))
        ended = ended + 1
      end, { concurrency = 3, on_progress = function()
        if not has_raised then
          has_raised = true
          error("no room on the screen", 0)
        end
      end })
      local said = { ok = ok, problem = problem, ended = ended, begun = begun }
      ngx.sleep(0.2)
      said.later = begun
      app.say(said)
    }
  }
  location = /threads {
    content_by_lua_block {
      local threads, ids = {}, {}
      for i = 1, 10 do
        threads[i] = ngx.thread.spawn(function()
          local result = require("cce").map({ i }, function()
            return assert(app.client():show_cluster(app.cluster())).id
          end)
          local cluster = assert(app.client():show_cluster(app.cluster()))
          return result[1].value == cluster.id and cluster.id
        end)
      end
      for i, thread in ipairs(threads) do
        local _, id = ngx.thread.wait(thread)
        ids[i] = id
      end
      app.say(ids)
    }
  }

  location = /limited {
    content_by_lua_block {
      limited = limited or assert(require("cce").new { rate_limit = "5/s" })
      local outcome = app.outcome(limited:show_cluster(app.cluster()))
      ngx.update_time()
      outcome.at = ngx.now()
      app.say(outcome)
    }
  }
  location = /sleep {
    content_by_lua_block {
      released = false
      repeat require("cce").sleep(0.01) until released
      ngx.print("slept")
    }
  }
  location = /release { content_by_lua_block { released = true } }
  location = /plain { return 200 "plain"; }

  location = /wait_for_fake {
    content_by_lua_block {
      local driver = require "cce.host.nginx"
      local asked = 0
      local engine = { socket = function() return ngx.var.arg_socket end }
      local transfer = {
        id = function()
          asked = asked + 1
          return "12345678"
        end,
        finished = function() return asked >= 4 end,
      }
      local usual = driver.ask_ms
      driver.ask_ms = 200
      driver.wait(engine, transfer)
      driver.ask_ms = usual
      app.say { asked = asked }
    }
  }
]]

nginx.describe("a worker", function()
  local sim, server, pid

  setup(function()
    sim = simulator.get()
    sim:reset()
    sim.env.SPEC_CLUSTER = sim.clusters[1].id
    server = nginx.start { http = HTTP, env = sim.env }
    pid = server:workers()[1]
  end)

  before_each(function()
    sim:reset()
  end)

  teardown(function()
    if server then server:close() end
  end)

  local function assert_all_ok(answers, count)
    assert.equal(count, #answers)
    for _, answer in ipairs(answers) do
      assert.is_nil(answer.problem)
      assert.equal(200, answer.status)
      assert.is_true(answer.json.ok, answer.body)
    end
  end

  -- The thread frees what it is told to in its own time.
  local function wait_until_idle()
    nginx.wait_for("the engine's rest", function() return server:status().in_flight == 0 end)
  end

  local function connections_used()
    local seen, count = {}, 0
    for _, entry in ipairs(sim:log()) do
      if not seen[entry.connection] then
        seen[entry.connection], count = true, count + 1
      end
    end
    return count
  end

  describe("'s thread", function()
    it("starts with the first call, in the worker that makes it", function()
      assert.is_false(server:status().has_engine)
      assert.equal(0, nginx.count_threads(pid, "cce-engine"))
      assert.is_true(server:get("/look").json.ok)
      assert.equal(1, nginx.count_threads(pid, "cce-engine"))
      assert.equal(0, nginx.count_threads(server.process:pid(), "cce-engine"))
    end)

    it("is spared all signals, of which nginx's own thread gets some", function()
      if nginx.is_checked then return pending "what checks has its own ways with signals" end
      server:get "/look"
      for _, thread in ipairs(nginx.threads(pid)) do
        local blocked = thread.name == "cce-engine" and "fffffffe7ffbfeff"
          or thread.name == "nginx" and "0000000000000000"
        assert.equal(blocked, thread.blocked)
      end
    end)

    it("hangs up on other processes, before a byte", function()
      server:get "/look"
      local unix = require "socket.unix"
      local socket = (unix.stream or unix)()
      assert(socket:connect(nginx.engine_sockets(pid)[1]))
      socket:settimeout(5)
      assert.equal("closed", (select(2, socket:receive(1))))
      socket:close()
    end)
  end)

  describe("'s wait", function()
    local listener, path, dir

    before_each(function()
      dir = tempdir.new()
      path = dir .. "/fake"
      local unix = require "socket.unix"
      listener = (unix.stream or unix)()
      assert(listener:bind(path))
      assert(listener:listen(5))
      listener:settimeout(10)
    end)

    after_each(function()
      listener:close()
      tempdir.remove(dir)
    end)

    local function accept()
      local connection = assert(listener:accept())
      connection:settimeout(5)
      assert.equal("12345678", connection:receive(8))
      return connection
    end

    local function is_closed(connection)
      return (select(2, connection:receive(1))) == "closed"
    end

    it("drops a connection with another id, half an id or none, and keeps one with its own",
      function()
        local socket = assert(require("socket").connect("127.0.0.1", server.port))
        assert(socket:send("GET /wait_for_fake?socket=" .. path
          .. " HTTP/1.0\r\nHost: x\r\n\r\n"))
        socket:settimeout(10)
        local wrong = accept()
        assert(wrong:send "87654321")
        assert.is_true(is_closed(wrong))
        local half = accept()
        assert(half:send "1234")
        assert.is_true(is_closed(half))
        local silent = accept()
        assert.is_true(is_closed(silent))
        local right = accept()
        assert(right:send "12345678")
        assert.matches('{"asked":4}', socket:receive "*a", 1, true)
        right:settimeout(0.2)
        assert.equal("timeout", (select(2, right:receive(1))))
        for _, connection in ipairs { wrong, half, silent, right, socket } do connection:close() end
      end)
  end)

  describe("serves many", function()
    it("requests with one client", function()
      assert_all_ok(server:many(200, { path = "/look" }), 200)
      assert.equal(1, nginx.count_threads(pid, "cce-engine"))
      wait_until_idle()
    end)

    it("cold calls at once over no more connections than it may", function()
      local cold = nginx.start { http = HTTP, env = sim.env }
      local answers = cold:many(1000, { path = "/look" })
      assert.equal("", cold:complaints())
      cold:close()
      assert_all_ok(answers, 1000)
      assert.equal(1000, #sim:log())
      -- A slow one takes so long that some end, and others are opened in their place.
      assert.is_true(nginx.is_checked or connections_used() <= 100,
        connections_used() .. " connections")
    end)

    it("requests with a client of their own each, without leaking", function()
      assert_all_ok(server:load(100, 50, { path = "/own_client" }):finish(), 100)
      wait_until_idle()
      local descriptors = nginx.count_descriptors(pid)
      assert_all_ok(server:load(200, 50, { path = "/own_client" }):finish(), 200)
      assert_all_ok(server:load(200, 50, { path = "/closed_client" }):finish(), 200)
      wait_until_idle()
      assert.equal(1, nginx.count_threads(pid, "cce-engine"))
      assert.equal(1, #nginx.engine_sockets(pid))
      -- How many connections are kept depends on how busy the machine was; one lost by each
      -- client of either kind would be 200.
      nginx.wait_for("the end of connections", function()
        return nginx.count_descriptors(pid) <= descriptors + 100
      end)
    end)

    -- What lacks one may be the connection, or the reading of the CA file.
    it("without enough descriptors: each call ends, if only as a failure", function()
      local poor = nginx.start { http = HTTP, env = sim.env, descriptors = 250,
        init = 'require("cce.host.nginx").idle_ms = 200' }
      local answers = poor:many(100, { path = "/look" })
      assert.equal("", (poor:complaints():gsub("[^\n]*Too many open files[^\n]*\n?", "")))
      poor:close()
      assert.equal(100, #answers)
      for _, answer in ipairs(answers) do
        assert.equal(200, answer.status)
        local code = answer.json.ok or answer.json.code
        assert.is_true(code == true or code == "CONNECT_FAILED" or code == "TLS_FAILED", code)
      end
    end)
  end)

  describe("maps", function()
    it("in order, so many at a time, and an error is its item's", function()
      server:get "/look"
      local said = server:get("/map?count=60&concurrency=7").json
      assert.equal(60, said.count)
      for i = 1, 60 do
        if i % 10 == 3 then
          assert.matches("item " .. i .. " raises", said.messages[i], 1, true)
        elseif i % 10 == 4 then
          assert.equal("item " .. i .. " fails", said.messages[i])
        else
          assert.equal(i .. " " .. sim.clusters[1].id, said.values[i])
        end
      end
      assert.is_true(said.most <= 7)
    end)

    it("inside a map", function()
      assert.same({ sum = 60, count = 3 }, server:get("/nested").json)
    end)

    it("until it is told to stop", function()
      local said = server:get("/cancel").json
      assert.equal(20, said.ok + said.cancelled)
      assert.is_true(said.ok >= 5 and said.ok <= 6)
    end)

    it("until on_progress raises, as they do elsewhere", function()
      assert.same({ ok = false, problem = "no room on the screen", begun = 3, ended = 3,
        later = 3 }, server:get("/raise").json)
    end)

    it("inside threads of nginx's", function()
      local ids = server:get("/threads").json
      assert.equal(10, #ids)
      for _, id in ipairs(ids) do assert.equal(sim.clusters[1].id, id) end
    end)
  end)

  it("holds all requests of a client to its rate limit", function()
    local start = sys.time()
    local answers = server:many(11, { path = "/limited" })
    assert_all_ok(answers, 11)
    local times = {}
    for i, answer in ipairs(answers) do times[i] = answer.json.at end
    table.sort(times)
    -- ngx.now() may be that much behind.
    assert.is_true(times[6] - start > 0.9, times[6] - start)
    assert.is_true(times[11] - start > 1.9, times[11] - start)
  end)

  it("sleeps without holding up others", function()
    local sleeper = server:load(1, 1, { path = "/sleep" })
    sleeper:run(0.05)
    assert.equal("plain", server:get("/plain").body)
    assert.equal(0, #sleeper.answers)
    server:get "/release"
    assert.equal("slept", sleeper:finish()[1].body)
  end)

  it("waits for a slow answer without holding up others", function()
    -- Were each in the way of the next, all would be answered before the one that came last.
    sim:fault { delay = 1, times = 20 }
    local load = server:load(20, 20, { path = "/look" })
    load:run(0.1)
    assert.equal("plain", server:get("/plain").body)
    load:step(0)
    assert.is_true(#load.answers < 20)
    assert_all_ok(load:finish(), 20)
  end)

  it("sends a rotation once, even when the connection dies", function()
    server:get "/look"
    sim:fault { close_on_reuse = true, operation = "rotate_credentials" }
    local outcome = server:get("/rotate").json
    assert.is_false(outcome.ok)
    assert.equal("CONNECTION_LOST", outcome.code)
    assert.is_true(outcome.maybe_applied)
    assert.equal(1, outcome.attempts)
    assert.equal(1, #sim:log { operation = "rotate_credentials" })
  end)

  describe("whose clients hang up", function()
    local function abort(count)
      local hang_ups = {}
      for i = 1, count do hang_ups[i] = server:hang "/look" end
      nginx.wait_for("the calls", function() return #sim:log() >= count end)
      for _, hang_up in ipairs(hang_ups) do hang_up() end
    end

    it("has nothing left in flight, and no more descriptors or memory than before", function()
      local function round()
        sim:reset()
        sim:fault { delay = 3 }
        abort(30)
        nginx.wait_for("the engine's rest", function() return server:status().in_flight == 0 end)
        sim:reset()
        assert.is_true(server:get("/look").json.ok)
      end
      round()
      local descriptors, resident = nginx.count_descriptors(pid), nginx.resident(pid)
      for _ = 1, 3 do round() end
      assert.is_true(nginx.count_descriptors(pid) <= descriptors + 5)
      if not nginx.is_checked then
        assert.is_true(nginx.resident(pid) <= resident + 2048,
          resident .. " -> " .. nginx.resident(pid) .. " KiB")
      end
    end)

    it("ends their calls at once: others that queue get their turn", function()
      -- Longer than the call that comes after them may wait.
      sim:fault { delay = 100, times = 100 }
      abort(100)
      assert.is_true(server:get("/look").json.ok)
    end)
  end)

  it("has complained of nothing", function()
    assert.equal("", server:complaints())
  end)
end)

nginx.describe("a worker with lua_code_cache off", function()
  it("leaks neither threads nor sockets", function()
    local sim = simulator.get()
    sim:reset()
    sim.env.SPEC_CLUSTER = sim.clusters[1].id
    local server = nginx.start { http = HTTP, env = sim.env, settings = "lua_code_cache off;" }
    local pid = server:workers()[1]
    assert.is_true(server:get("/look").json.ok)
    local descriptors = nginx.count_descriptors(pid)
    for _, answer in ipairs(server:load(200, 5, { path = "/look" }):finish()) do
      assert.is_true(answer.json.ok)
    end
    nginx.wait_for("the end of all threads", function()
      return nginx.count_threads(pid, "cce-engine") == 0
    end)
    assert.same({}, nginx.engine_sockets(pid))
    assert.is_true(nginx.count_descriptors(pid) <= descriptors + 5)
    assert.equal("", server:complaints())
    server:close()
  end)
end)
