-- The engine as a guest of a program: its descriptor, signals, what is left when it goes.
local core = require "cce.core"
local cqueues = require "cqueues"
local server = require "spec.support.peer.server"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"
local sys = core.sys

local engine, kept

before_each(function()
  engine, kept = core.engine(), {}
end)

after_each(function()
  kept = {}
  engine:close()
  server.stop_all()
end)

local function echo(options)
  return server.start(function(connection)
    connection:serve()
  end, options)
end

-- Reads requests and never answers.
local function silent()
  return server.start(function(connection)
    connection:request()
    connection:hold()
  end)
end

local function request_to(s, changes)
  local request = { endpoint = s.url, method = "POST", path = "/", body = "{}", timeout = 10 }
  for key, value in pairs(changes or {}) do
    request[key] = value
  end
  return request
end

local function submit(s, changes)
  local transfer = assert(engine:submit(request_to(s, changes)))
  kept[#kept + 1] = transfer
  return transfer
end

-- Steps until the server has seen `count` requests.
local function step_until_seen(s, count)
  local deadline = sys.monotonic() + 120
  while #s:requests() < count do
    assert(sys.monotonic() < deadline)
    engine:step(0.01)
  end
end

local function run_script(path)
  return simulator.run_shell("exec " .. simulator.interpreter() .. " " .. path)
end

local function collect()
  collectgarbage()
  collectgarbage()
end

describe("the engine's descriptor", function()
  -- True when it becomes readable within so many seconds.
  local function readable(seconds)
    local pollable = { pollfd = engine:fd(), events = "r" }
    return cqueues.poll(pollable, seconds) == pollable
  end

  it("is one number, whatever happens", function()
    local s = echo()
    local fd = engine:fd()
    assert.is_true(fd > 2)
    for _ = 1, 3 do
      engine:call(request_to(s))
      assert.equal(fd, engine:fd())
    end
  end)

  it("is quiet while there is nothing to do", function()
    assert.is_false(readable(0.05))
    local s = echo()
    assert(engine:call(request_to(s)))
    -- libcurl may have a timer left, which is due later on a busy machine.
    local wakes = 0
    while wakes < 10 and readable(0.1) do
      wakes = wakes + 1
      engine:step(0)
    end
    assert.is_true(wakes < 10)
  end)

  it("wakes when a transfer is submitted, answers or times out, and seldom else", function()
    local s = server.start(function(connection)
      local request = connection:request()
      connection:sleep(tonumber(request.body))
      connection:answer("200 OK", "")
    end)
    submit(s, { body = "0.2" })
    local slow = submit(s, { body = "20", timeout = 0.3 })
    local wakes, ended = 0, 0
    while ended < 2 do
      assert.is_true(readable(3))
      wakes = wakes + 1
      assert(engine:step(0))
      for _ in function() return engine:finished() end do
        ended = ended + 1
      end
    end
    assert.equal("TIMEOUT", select(3, slow:result()))
    assert.is_true(wakes < 100, wakes .. " wakes")
  end)

  it("wakes the next one that waits for its turn", function()
    local s = echo()
    engine:close()
    engine = core.engine { max_connections = 1 }
    for _ = 1, 5 do
      submit(s)
    end
    local ended = 0
    while ended < 5 do
      assert.is_true(readable(3))
      engine:step(0)
      for _ in function() return engine:finished() end do
        ended = ended + 1
      end
    end
  end)

  it("stays quiet while a server thinks", function()
    local s = silent()
    submit(s)
    step_until_seen(s, 1)
    local wakes = 0
    while wakes < 50 and readable(0.15) do
      engine:step(0)
      wakes = wakes + 1
    end
    assert.is_true(wakes < 10, wakes .. " wakes")
  end)

  it("works in two coroutines of one cqueue", function()
    local s = server.start(function(connection)
      while connection:request() do
        connection:sleep(0.1)
        connection:answer("200 OK", "")
      end
    end)
    local loop, done = cqueues.new(), 0
    for _ = 1, 2 do
      loop:wrap(function()
        local transfer = submit(s)
        while not transfer:finished() do
          cqueues.poll({ pollfd = engine:fd(), events = "r" }, 0.5)
          engine:step(0)
        end
        assert(transfer:result())
        done = done + 1
      end)
    end
    assert(loop:loop(60))
    assert.equal(2, done)
  end)

  it("is not inherited by programs", function()
    local s = echo()
    assert(engine:call(request_to(s)))
    local _, exit_code = simulator.run_shell(("test ! -e /proc/self/fd/%d"):format(engine:fd()))
    assert.equal(0, exit_code)
  end)
end)

describe("step", function()
  it("waits as long as it is told, and no longer", function()
    -- One that waited for this would do so for an hour.
    local transfer = submit(silent(), { timeout = 3600 })
    assert.is_true(engine:step(0))
    assert.is_true(engine:step())
    assert.is_false(transfer:finished())
    transfer:close()
    local before = sys.monotonic()
    assert.is_true(engine:step(0.1))
    local took = sys.monotonic() - before
    assert.is_true(took >= 0.09, took)
  end)

  it("does not wait while a finished transfer is not fetched", function()
    local s = echo()
    local transfer = submit(s)
    while not transfer:finished() do
      engine:step(0.05)
    end
    assert.is_true(engine:step(3600))
  end)

  it("raises for what is no number", function()
    assert.has_error(function()
      engine:step "soon"
    end)
  end)
end)

describe("Ctrl-C", function()
  -- Runs a chunk at the prompt's interpreter, interrupts it once the server has its request.
  local function interrupt(s, chunk)
    local out = s.dir .. "/child"
    local process = assert(sys.spawn {
      argv = { simulator.interpreter(), "-e", (chunk:gsub("ENDPOINT", s.url)) },
      stdin = "/dev/null", stdout = out, stderr = out, die_with_parent = true,
    })
    s:await("request", 1, 20)
    sys.sleep(0.02)
    assert(process:signal "SIGINT")
    local code, reason = process:wait(200)
    return code, reason, server.read(out)
  end

  local function assert_interrupted(code, reason, text)
    assert.equal(1, code, tostring(reason) .. text)
    assert.matches("interrupted!", text)
  end

  -- What is not interrupted takes an hour.
  local chunks = {
    ["engine:call"] = [[
      local engine = require("cce.core").engine()
      engine:call{endpoint="ENDPOINT", method="GET", path="/", timeout=3600}]],
    ["a call of the client"] = [[
      local client = require("cce").new{endpoint="ENDPOINT", project_id="p-1",
        credentials={ak="FAKEAK", sk="not-a-real-key"}, timeout=3600}
      client:obtain_cert("c-1", {duration=1})]],
  }

  for name, chunk in pairs(chunks) do
    it("is raised, and what it interrupts is freed: " .. name, function()
      assert_interrupted(interrupt(silent(), chunk))
    end)
  end

  it("leaves an engine that still works", function()
    local s = server.start(function(connection)
      local request = connection:request()
      while request and request.target ~= "/hang" do
        connection:answer("200 OK", "")
        request = connection:request()
      end
      connection:hold()
    end)
    local code, _, text = interrupt(s, [[
      local engine = require("cce.core").engine()
      local function call(path)
        return engine:call{endpoint="ENDPOINT", method="GET", path=path, timeout=60}
      end
      local ok, message = pcall(call, "/hang")
      assert(not ok and message:find "interrupted!", message)
      collectgarbage() collectgarbage()
      assert(engine:in_flight() == 0, "still in flight")
      assert(call("/again").status == 200)
      os.exit(7, true)]])
    assert.equal(7, code, text)
  end)
end)

describe("SIGPIPE", function()
  it("does not kill a program whose server closes while a body goes out", function()
    local pair = server.identity()
    for _, tls in ipairs { false, true } do
      local s = server.start(function(connection)
        connection:head()
        connection:close()
      end, { tls = tls and pair.pair() or nil })
      local chunk = ([[
        local engine = require("cce.core").engine{ca_file = %q}
        for _ = 1, 20 do
          local response, _, code = engine:call{endpoint = %q, method = "POST", path = "/",
            body = ("b"):rep(2 * 1024 * 1024)}
          assert(not response and code == "CONNECTION_LOST", code)
        end
        os.exit(7, true)]]):format(pair.ca_file, s.url)
      local process = assert(sys.spawn {
        argv = { simulator.interpreter(), "-e", chunk }, stdin = "/dev/null",
        stdout = s.dir .. "/child", stderr = s.dir .. "/child",
      })
      local code, reason = process:wait(120)
      assert.equal(7, code, tostring(reason) .. server.read(s.dir .. "/child"))
    end
    pair.remove()
  end)
end)

describe("closing an engine", function()
  it("twice does no harm; using it afterwards raises", function()
    engine:close()
    engine:close()
    for _, method in ipairs { "step", "fd", "finished", "in_flight", "inherited" } do
      assert.has_error(function()
        engine[method](engine)
      end)
    end
    for _, method in ipairs { "submit", "call" } do
      assert.has_error(function()
        engine[method](engine, { endpoint = "http://127.0.0.1:1", method = "GET", path = "/" })
      end)
    end
  end)

  it("ends what is in flight as CLOSED, sent or waiting", function()
    local s = silent()
    engine:close()
    engine = core.engine { max_connections = 1 }
    local sent, waiting = submit(s), submit(s)
    step_until_seen(s, 1)
    engine:close()
    s:await "closed"
    for _, transfer in ipairs { sent, waiting } do
      assert.is_true(transfer:finished())
      local response, message, code, more = transfer:result()
      assert.is_nil(response)
      assert.equal("CLOSED", code)
      assert.equal("string", type(message))
      assert.equal(transfer == sent, more.sent)
    end
  end)

  it("keeps the results of what had ended", function()
    local s = echo()
    local fetched, unfetched = submit(s, { body = "one" }), submit(s, { body = "two" })
    local failed = submit { url = "http://127.0.0.1:1" }
    while not (fetched:finished() and unfetched:finished() and failed:finished()) do
      engine:step(0.05)
    end
    engine:close()
    assert.equal("one", assert(fetched:result()).body)
    assert.equal("two", assert(unfetched:result()).body)
    local _, _, code = failed:result()
    assert.equal("CONNECT_FAILED", code)
  end)

  it("shows nothing but what it is", function()
    assert.matches("^cce%.engine", tostring(engine))
    assert.equal("protected", getmetatable(engine))
    assert.matches("^cce%.transfer", tostring(submit(silent(), { token = "fake-token" })))
  end)

  it("checks whose method is called", function()
    for _, method in ipairs { "close", "step", "fd", "submit", "call" } do
      assert.has_error(function()
        engine[method](io.stdout)
      end)
      assert.has_error(function()
        engine[method](nil)
      end)
    end
    local transfer = submit(silent())
    for _, method in ipairs { "close", "finished", "result" } do
      assert.has_error(function()
        transfer[method](engine)
      end)
    end
  end)
end)

describe("a transfer that nobody holds", function()
  it("is cancelled, and its connection closed", function()
    local s = silent()
    submit(s)
    step_until_seen(s, 1)
    assert.equal(1, engine:in_flight())
    kept = {}
    collect()
    assert.equal(0, engine:in_flight())
    s:await "closed"
  end)

  it("is cancelled by its close, too", function()
    local s = silent()
    local transfer = submit(s)
    step_until_seen(s, 1)
    transfer:close()
    transfer:close()
    s:await "closed"
    assert.equal(0, engine:in_flight())
    assert.has_error(function()
      transfer:result()
    end)
    assert.is_nil(engine:finished())
  end)

  it("never leaves when it still waits for its turn", function()
    local s = silent()
    engine:close()
    engine = core.engine { max_connections = 1 }
    submit(s, { path = "/first" })
    engine:submit(request_to(s, { path = "/dropped" }))
    step_until_seen(s, 1)
    collect()
    assert.equal(1, engine:in_flight())
    kept[1]:close()
    engine:step(0.02)
    assert.equal(1, #s:requests())
  end)

  it("hides no other transfer that has ended", function()
    local s = echo()
    local held = {}
    for i = 1, 40 do
      local transfer = submit(s)
      held[#held + 1] = i % 2 == 0 and transfer or nil
    end
    for _, transfer in ipairs(kept) do
      while not transfer:finished() do
        engine:step(0.05)
      end
    end
    kept = {}
    local found = {}
    -- The collector runs in small steps: some transfers are dead and not yet finalized.
    repeat
      collectgarbage("step", 0)
      local transfer = engine:finished()
      if transfer then
        found[#found + 1] = transfer
      end
    until not transfer
    local quiet = not cqueues.poll({ pollfd = engine:fd(), events = "r" }, 0)
    assert.is_true(#found >= #held or not quiet, #found .. " of " .. #held)
  end)
end)

describe("nothing is left behind", function()
  it("by 200 transfers of any end", function()
    local s = server.start(function(connection)
      local request = connection:request()
      while request and request.target ~= "/lost" do
        connection:answer("200 OK", "body")
        request = connection:request()
      end
    end)
    local before
    for i = 1, 200 do
      engine:call(request_to(s, { path = i % 10 == 0 and "/lost" or "/", mutating = true }))
      if i == 20 then
        collect()
        before = tempdir.descriptors()
      end
    end
    collect()
    assert.is_true(tempdir.descriptors() <= before + 1)
  end)

  it("by 50 engines, closed or collected, with transfers in flight or not", function()
    local s = echo()
    local hanging = silent()
    collect()
    local before
    for i = 1, 50 do
      local one = core.engine { ca_file = "/etc/hostname", proxy_ca_file = "/etc/hostname" }
      if i % 3 == 0 then
        assert(one:call(request_to(s)))
      end
      local transfer = assert(one:submit(request_to(hanging)))
      one:step(0.001)
      if i % 2 == 0 then
        one:close()
      end
      if i % 5 == 0 then
        transfer:close()
      end
      if i == 5 then
        one, transfer = nil, nil -- luacheck: ignore
        collect()
        before = tempdir.descriptors()
      end
    end
    collect()
    assert.is_true(tempdir.descriptors() <= before, tempdir.descriptors() .. " > " .. before)
  end)

  it("by a Lua state that ends, in any order of its objects", function()
    local s, hanging = echo(), silent()
    local chunk = [[
      local core = require "cce.core"
      local function make(order)
        local engine, others = core.engine{max_connections = 2}, {}
        for i = 1, 6 do
          others[i] = engine:submit{endpoint = i % 2 == 0 and SLOW or FAST, method = "POST",
            path = "/", body = "{}"}
        end
        for _ = 1, 3 do engine:step(0.01) end
        if order == 1 then return engine, others end
        if order == 2 then return others end
        if order == 3 then return engine end
        if order == 4 then engine:close() return others end
        if order == 5 then for i = 1, 3 do others[i]:close() end return engine, others end
      end
      for order = 1, 5 do
        _G["kept" .. order] = {make(order)}
      end
      collectgarbage()
      _G.cycle = {kept1, kept2}
      kept1[99] = cycle]]
    local path = s.dir .. "/chunk.lua"
    server.write(path, ("SLOW, FAST = %q, %q\n%s"):format(hanging.url, s.url, chunk))
    local _, exit_code, text = run_script(path)
    assert.equal(0, exit_code, text)
    assert.equal("", text)
  end)

  it("of the request in a program that was told to exit at once", function()
    if rawget(_G, "jit") and os.getenv "FLAVOUR" == "asan" then
      return pending "the leak check does not look where LuaJIT keeps what was not closed"
    end
    local s = silent()
    local path = s.dir .. "/chunk.lua"
    server.write(path, ([[
      local engine = require("cce.core").engine()
      local transfer = engine:submit{endpoint = %q, method = "GET", path = "/"}
      engine:step(0.05)
      os.exit(7)]]):format(s.url))
    local _, exit_code, text = run_script(path)
    assert.equal(7, exit_code, text)
  end)
end)

describe("many finished transfers #timing #once", function()
  local COUNT, LAST = 8000, 2000

  -- Of this process's own work.
  local function seconds_to_close(transfers, first, last, step)
    local start = os.clock()
    for i = first, last, step do transfers[i]:close() end
    return os.clock() - start
  end

  it("are closed in reverse as fast as in their order", function()
    local own, transfers = assert(core.engine { max_connections = 10000 }), {}
    for i = 1, COUNT do
      transfers[i] = assert(own:submit {
        endpoint = "http://127.0.0.1:1", method = "GET", path = "/", timeout = 10,
      })
    end
    -- Nobody takes them from the engine.
    while own:in_flight() > 0 do own:step(1) end
    local reverse = seconds_to_close(transfers, COUNT, LAST + 1, -1) / (COUNT - LAST)
    local forward = seconds_to_close(transfers, 1, LAST, 1) / LAST
    own:close()
    assert.is_true(reverse < 8 * forward + 1e-6, ("%g s, %g s each"):format(reverse, forward))
  end)
end)
