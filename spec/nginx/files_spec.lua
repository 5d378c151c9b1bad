-- The audit log inside nginx: a slow disk is in nobody's way, and each worker's chain is whole.
local audit_log = require "cce.log.audit_log"
local core = require "cce.core"
local journals = require "cce.log.journal"
local nginx = require "spec.support.peer.nginx"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

local sys = core.sys

local HTTP = [[
  location = /revoke { content_by_lua_block { app.say(app.outcome(revoke())) } }
  location = /plain { content_by_lua_block { app.say { ok = true } } }
  location = /slow {
    content_by_lua_block {
      local path = os.getenv "SPEC_AUDIT_LOG"
      assert(io.open(path .. ".begun", "w")):close()
      local go
      repeat
        ngx.sleep(0.02)
        go = io.open(path .. ".go")
      until go
      go:close()
      app.say(app.outcome(revoke()))
    }
  }
]]

local INIT = [[
  local client
  function revoke()
    client = client or assert(require("cce").new { audit_log = os.getenv "SPEC_AUDIT_LOG" })
    return client:revoke_cert(app.cluster(), { user_id = "someone" })
  end
]]

nginx.describe("files inside nginx", function()
  local sim, server, dir, path

  before_each(function()
    sim = simulator.get()
    sim:reset()
    dir = tempdir.new()
    path = dir .. "/audit.log"
  end)

  after_each(function()
    if server then server:close() end
    server = nil
    tempdir.remove(dir)
  end)

  local function start(options)
    options = options or {}
    local env = { SPEC_AUDIT_LOG = path, SPEC_CLUSTER = sim.clusters[1].id,
      CCE_SLOW_SYNC = dir .. "/slow" }
    for name, value in pairs(sim.env) do env[name] = value end
    options.http, options.env = (options.http or "") .. HTTP, env
    options.init = INIT .. (options.init or "")
    options.preload = os.getenv "CCE_TEST_ROOT" .. "/build/tools/slow_sync.so"
    server = nginx.start(options)
  end

  -- How many milliseconds a sync takes, or "hold": until another number is set.
  local function set_sync(milliseconds)
    tempdir.write(dir .. "/slow.new", tostring(milliseconds == "hold" and -1 or milliseconds))
    assert(os.rename(dir .. "/slow.new", dir .. "/slow"))
  end

  local function lines_of(file)
    local list = {}
    for line in (tempdir.read(file) or ""):gmatch "([^\n]*)\n" do
      list[#list + 1] = core.json.decode(line)
    end
    return list
  end

  -- How many calls it tells of, and how many of their outcomes; the chain is whole.
  local function count(file)
    local lines, begun, ended = lines_of(file), 0, {}
    assert.equal(#lines, assert(audit_log.verify(file)).count)
    for _, line in ipairs(lines) do
      if line.outcome == "pending" then
        begun = begun + 1
      else
        assert.equal("pending", lines[line.call].outcome)
        assert.is_true(line.call < line.n)
        ended[#ended + 1] = line.call
      end
    end
    table.sort(ended)
    for i = 2, #ended do assert.not_equal(ended[i - 1], ended[i]) end
    return begun, #ended
  end

  local function assert_all_answered(answers)
    for _, answer in ipairs(answers) do
      assert.is_nil(answer.problem)
      assert.is_true(answer.json and answer.json.ok, answer.body)
    end
  end

  -- So many calls; the file exists once a worker has opened it.
  local function wait_until_begun(load, file, calls)
    nginx.wait_for("the log", function()
      load:step()
      local begun = 0
      for _, line in ipairs(lines_of(file)) do
        if line.outcome == "pending" then begun = begun + 1 end
      end
      return begun >= calls
    end)
  end

  it("lets others be answered at once while the disk is slow", function()
    start()
    assert_all_answered { server:get "/revoke" }
    set_sync "hold"
    local load = server:load(5, 5, { path = "/revoke" })
    load:run(0.1)
    for _ = 1, 30 do
      assert.is_true(server:get("/plain").json.ok)
      load:step(0)
    end
    assert.equal(0, #load.answers)
    set_sync(0)
    assert_all_answered(load:finish())
    assert.same({ 6, 6 }, { count(path .. ".worker-0") })
    assert.equal("", server:complaints())
  end)

  it("lets others be answered while a run writes its journal", function()
    start { http = [[
      location = /rotate {
        content_by_lua_block {
          local cce = require "cce"
          app.say(assert(cce.workflow.rotate(app.client(), { clusters = { app.cluster() },
            rate_limit = false, wait = { interval = 0.02, timeout = 120 },
            journal = os.getenv "SPEC_AUDIT_LOG" .. ".journal" })):to_table())
        }
      }
    ]] }
    assert_all_answered { server:get "/plain" }
    local load, held = server:load(1, 1, { path = "/rotate" }), 0
    while #load.answers == 0 do
      -- Each line that it now writes waits for us.
      set_sync "hold"
      load:run(0.05)
      for _ = 1, 3 do assert.is_true(server:get("/plain").json.ok) end
      load:step(0)
      if #load.answers == 0 then held = held + 1 end
      set_sync(0)
      load:run(0.002)
    end
    assert.is_true(held > 1, held)
    local report = assert(load:finish()[1].json)
    assert.equal(1, #report.ok)
    local last = assert(journals.read(path .. ".journal")).runs[1]
    assert.equal(sim.clusters[1].id, last.order[1].cluster)
    assert.is_truthy(last.finished)
    assert.equal("", server:complaints())
  end)

  it("does not hold up transfers while the disk is slow", function()
    start { http = "location = /look { content_by_lua_block { app.look() } }" }
    assert_all_answered { server:get "/revoke", server:get "/look" }
    set_sync "hold"
    local load = server:load(1, 1, { path = "/revoke" })
    load:run(0.1)
    assert_all_answered { server:get "/look" }
    assert.equal(0, #load.answers)
    set_sync(0)
    assert_all_answered(load:finish())
  end)

  it("keeps one chain a worker with 100 calls at once, and shares what an fsync costs", function()
    start { workers = 2 }
    set_sync(50)
    assert_all_answered(server:load(200, 100, { path = "/revoke" }):finish())
    local begun, ended = 0, 0
    for _, name in ipairs(tempdir.list(dir)) do
      if name:find "^audit" then
        assert.matches("^audit%.log%.worker%-[01]$", name)
        local b, e = count(dir .. "/" .. name)
        begun, ended = begun + b, ended + e
      end
    end
    assert.same({ 200, 200 }, { begun, ended })
    -- One by one, there would be one for each of 400 lines.
    local syncs = #tempdir.read(dir .. "/slow.count")
    assert.is_true(syncs < 200, syncs)
    assert.equal("", server:complaints())
  end)

  it("loses no line when the log is rotated again and again under load", function()
    start()
    set_sync(1)
    local log, files = path .. ".worker-0", {}
    local load = server:load(300, 20, { path = "/revoke" })
    for i = 1, 5 do
      wait_until_begun(load, log, 3)
      files[i] = ("%s.%d"):format(log, i)
      assert(os.rename(log, files[i]))
    end
    set_sync(0)
    assert_all_answered(load:finish())
    table.insert(files, log)
    assert.equal(600, assert(audit_log.verify(files)).count)
    local ended = {}
    for _, file in ipairs(files) do
      for _, line in ipairs(lines_of(file)) do
        if line.call then
          assert.is_nil(ended[line.call])
          ended[line.call] = true
        end
      end
    end
    assert.equal("", server:complaints())
  end)

  it("survives clients that go away while their lines are being written", function()
    start()
    assert_all_answered { server:get "/revoke" }
    set_sync(100)
    local hang_ups = {}
    for i = 1, 30 do hang_ups[i] = server:hang "/revoke" end
    for _, hang_up in ipairs(hang_ups) do
      sys.sleep(0.01)
      hang_up()
    end
    assert_all_answered(server:many(5, { path = "/revoke" }))

    local begun, ended = count(path .. ".worker-0")
    assert.is_true(begun >= 6 and ended >= 6 and ended <= begun, begun .. " " .. ended)
    nginx.wait_for("the jobs' end", function() return server:status().in_flight == 0 end)
    assert.equal(0, (server:quit()))
    assert.equal("", server:complaints())
  end)

  it("does not miss whoever opened the log and went away", function()
    start()
    set_sync(150)
    local hang_up = server:hang "/revoke"
    sys.sleep(0.05)
    local load = server:load(3, 3, { path = "/revoke" })
    load:run(0.05)
    hang_up()
    assert_all_answered(load:finish())
    -- On a slow machine the one who left may have been served before.
    local _, ended = count(path .. ".worker-0")
    assert.is_true(ended == 3 or ended == 4, ended)
  end)

  for _, signal in ipairs { "SIGQUIT", "SIGHUP" } do
    it("loses no line at " .. signal, function()
      start()
      set_sync(80)
      local load = server:load(10, 10, { path = "/revoke" })
      wait_until_begun(load, path .. ".worker-0", 10)
      server:signal(signal)
      assert_all_answered(load:finish())
      assert.same({ 10, 10 }, { count(path .. ".worker-0") })
      assert.equal("", server:complaints())
    end)
  end

  it("leaves whole lines when it is stopped at once", function()
    start()
    set_sync(150)
    local load = server:load(20, 20, { path = "/revoke" })
    wait_until_begun(load, path .. ".worker-0", 1)
    assert.equal(0, (server:stop()))
    load:finish()
    count(path .. ".worker-0")
    assert.equal("", server:complaints())
  end)

  it("goes on with a worker's chain at a reload, beside the one that still answers", function()
    start()
    assert_all_answered { server:get "/revoke" }
    local load = server:load(1, 1, { path = "/slow" })
    nginx.wait_for("the slow call", function()
      load:step()
      return tempdir.read(path .. ".begun")
    end)
    server:reload()
    -- The old worker goes on accepting until it is told.
    local calls = 0
    nginx.wait_for("a call of the new worker", function()
      assert_all_answered { server:get "/revoke" }
      calls = calls + 1
      return tempdir.read(path .. ".worker-0-2")
    end)
    tempdir.write(path .. ".go", "")
    assert_all_answered(load:finish())
    server:reload(true)
    assert_all_answered { server:get "/revoke" }
    assert.same({ 1, 1 }, { count(path .. ".worker-0-2") })
    assert.same({ calls + 2, calls + 2 }, { count(path .. ".worker-0") })
    assert.equal("", server:complaints())
  end)

  it("is opened by a worker, and not by the master", function()
    start {
      http = "location = /problem { content_by_lua_block { app.say { text = problem } } }",
      init = [[
        local log, message, err = require("cce").audit_log.open(os.getenv "SPEC_AUDIT_LOG")
        problem = ("%s %s %s"):format(log, err.code, message)
      ]],
      settings = [[init_worker_by_lua_block {
        opened = assert(require("cce").audit_log.open(os.getenv "SPEC_AUDIT_LOG"))
      }]],
    }
    assert.matches("^nil UNSUPPORTED .*nginx's phase init", server:get("/problem").json.text)
    assert_all_answered { server:get "/revoke" }
    assert.same({ 1, 1 }, { count(path .. ".worker-0") })
  end)
end)
