-- How workers end: quit, reload and stop, idle and under load.
local nginx = require "spec.support.peer.nginx"
local simulator = require "spec.support.sim"
local sys = require("cce.core").sys
local tempdir = require "spec.support.tempdir"

local HTTP = "location = /look { content_by_lua_block { app.look() } }"

nginx.describe("an nginx that ends", function()
  local sim, server

  before_each(function()
    sim = simulator.get()
    sim:reset()
    sim.env.SPEC_CLUSTER = sim.clusters[1].id
  end)

  after_each(function()
    if server then server:close() end
    server = nil
  end)

  local function start(options)
    options = options or {}
    options.http, options.env = HTTP, sim.env
    server = nginx.start(options)
  end

  -- Thirty calls that have reached the API, which takes its time.
  local function calls_under_way()
    sim:fault { delay = 0.5 }
    local load = server:load(30, 30, { path = "/look" })
    nginx.wait_for("the calls", function()
      load:step()
      return #sim:log() >= 30
    end)
    return load
  end

  local function assert_all_answered(answers)
    for _, answer in ipairs(answers) do
      assert.is_nil(answer.problem)
      assert.is_true(answer.json and answer.json.ok, answer.body)
    end
  end

  it("has its socket where TMPDIR says, and leaves nothing there", function()
    local dir = tempdir.new()
    finally(function() tempdir.remove(dir) end)
    local env = { TMPDIR = dir }
    for name, value in pairs(sim.env) do env[name] = value end
    server = nginx.start { http = HTTP, env = env }
    assert.is_true(server:get("/look").json.ok)
    assert.matches("^lua%-cce%-%w+$", table.concat(tempdir.list(dir), " "))
    assert.equal(0, (server:quit()))
    assert.same({}, tempdir.list(dir))
    assert.equal("", server:complaints())
  end)

  it("quits promptly when idle, and leaves no socket behind", function()
    start()
    assert.is_true(server:get("/look").json.ok)
    local sockets = nginx.engine_sockets(server:workers()[1])
    assert.equal(1, #sockets)
    assert.equal(0, (server:quit()))
    assert.equal("", tempdir.shell("ls -d " .. sockets[1]:match "^(.*)/"):match "^/tmp.*" or "")
    assert.equal("", server:complaints())
  end)

  it("answers what is under way when told to quit", function()
    start()
    local load = calls_under_way()
    server:signal "SIGQUIT"
    assert_all_answered(load:finish())
    assert.equal(0, (server.process:wait(120)))
    assert.equal("", server:complaints())
  end)

  it("answers what is under way at a reload", function()
    start()
    local load = calls_under_way()
    server:signal "SIGHUP"
    assert_all_answered(load:finish())
    sim:reset()
    server:reload(true)
    assert.is_true(server:get("/look").json.ok)
    assert.equal("", server:complaints())
  end)

  it("stops at once although calls are under way", function()
    start()
    -- Until a key was accepted, one call finds out whether it is.
    assert.is_true(server:get("/look").json.ok)
    sim:reset()
    sim:fault { hold = "before" }
    local hang_ups = {}
    for i = 1, 20 do hang_ups[i] = server:hang "/look" end
    sim:held(20)
    assert.equal(0, (server:stop()))
    assert.equal("", server:complaints())
    for _, hang_up in ipairs(hang_ups) do hang_up() end
  end)

  it("survives 15 reloads, each after some calls", function()
    start { workers = 2 }
    for _ = 1, 15 do
      assert_all_answered(server:many(8, { path = "/look" }))
      server:reload()
    end
    assert.equal(0, (server:quit()))
    assert.equal("", server:complaints())
  end)

  it("works without a master process", function()
    start { single = true }
    assert.is_true(server:get("/look").json.ok)
    assert.equal(0, (server:quit()))
    assert.equal("", server:complaints())
  end)

  it("keeps its sockets in a directory of the worker's user alone", function()
    if not tempdir.is_root() then return pending "only root can give workers another user" end
    local ca = tempdir.new()
    os.execute(("chmod 755 %s && cp %s %s/ca.pem && chmod 644 %s/ca.pem"):format(
      ca, sim.env.CCE_CA_FILE, ca, ca))
    local env = {}
    for name, value in pairs(sim.env) do env[name] = value end
    env.CCE_CA_FILE = ca .. "/ca.pem"
    server = nginx.start { http = HTTP, env = env,
      user = "nobody " .. tempdir.shell "id -gn nobody":match "%C+" }
    assert.is_true(server:get("/look").json.ok)
    local dir = nginx.engine_sockets(server:workers()[1])[1]:match "^(.*)/engine$"
    assert.equal("700 nobody\n", tempdir.shell("stat -c '%a %U' " .. dir))
    tempdir.remove(ca)
    assert.equal(0, (server:quit()))
    assert.equal("", tempdir.shell("ls -d " .. dir):match "^/tmp.*" or "")
  end)

  it("starts an engine a worker for a client that the master made", function()
    sim.env.SPEC_CLUSTER = sim.clusters[1].id
    server = nginx.start {
      http = [[
        location = /shared {
          content_by_lua_block {
            local outcome = app.outcome(made_by_master:show_cluster(app.cluster()))
            outcome.pid, outcome.socket = ngx.worker.pid(), made_by_master:engine():socket()
            app.say(outcome)
          }
        }
      ]],
      init = [[
        made_by_master = assert(require("cce").new {})
        local ok, message, err = made_by_master:show_cluster("c1")
        assert(not ok and err.code == "UNSUPPORTED", message)
      ]],
      env = sim.env, workers = 2,
    }
    local sockets, count = {}, 0
    nginx.wait_for("both workers' answers", function()
      for _, answer in ipairs(server:many(20, { path = "/shared" })) do
        assert.is_true(answer.json.ok, answer.body)
        local pid = answer.json.pid
        if not sockets[pid] then count = count + 1 end
        assert.is_true(not sockets[pid] or sockets[pid] == answer.json.socket)
        sockets[pid] = answer.json.socket
      end
      return count == 2
    end)
    local a, b = next(sockets)
    assert.are_not.equal(b, sockets[next(sockets, a)])
    assert.equal(0, nginx.count_threads(server.process:pid(), "cce-engine"))
    assert.equal(0, (server:quit()))
    assert.equal("", server:complaints())
  end)

  -- No answer: at a reload or a QUIT the listener refused it, or closed before nginx took it.
  local function was_refused(answer)
    return answer.code == "CONNECT_FAILED" or answer.code == "CONNECTION_LOST"
  end

  -- One third each of reloads, quits and stops, under load. What is in flight at a reload or a
  -- QUIT is answered: no call that reached the simulator stays without an answer.
  local function chaos(cycles)
    start { workers = 2 }
    local answered, refused = 0, 0
    for cycle = 1, cycles do
      sim:reset()
      sim:fault { delay = 0.02 }
      local load = server:load(100000, 20, { path = "/look" })
      nginx.wait_for("some answers", function()
        load:step()
        return #load.answers >= 20
      end)
      local kind = cycle % 3
      local before = answered
      if kind == 0 then
        server:signal "SIGHUP"
        load:run(0.1)
      else
        server:signal(kind == 1 and "SIGQUIT" or "SIGTERM")
      end
      for _, answer in ipairs(load:wind_up()) do
        if answer.json and answer.json.ok then
          answered = answered + 1
        else
          refused = refused + 1
          assert.is_true(kind == 2 or was_refused(answer), answer.problem)
        end
      end
      assert.is_true(kind == 2 or answered - before >= #sim:log())
      assert.equal("", server:complaints())
      if kind ~= 0 then
        assert.equal(0, (server.process:wait(120)))
        server:close()
        start { workers = 2 }
      end
    end
    return answered, refused
  end

  it("survives 6 reloads, quits and stops under load", function()
    assert.is_true(chaos(6) >= 6 * 20)
  end)

  it("survives 60 reloads, quits and stops under load #long", function()
    local start_of = sys.monotonic()
    local answered, refused = chaos(60)
    assert.is_true(answered > 1000)
    print(("60 cycles: %d answered, %d refused, %.1f s"):format(answered, refused,
      sys.monotonic() - start_of))
  end)
end)
