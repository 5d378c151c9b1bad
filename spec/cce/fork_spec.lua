-- Each case is a script of its own: the process that runs the specs must not
-- be copied, with all that it would finalize.
local hosts = require("spec.support.hosts")
local simulator = require("spec.support.sim")

local PREPARE = [[
  local cce, core, fork = require "cce", require "cce.core", require "fork"
  local client = assert(cce.new { proxy = false })
  local clusters = assert(client:list_clusters())
  local function show(number) return assert(client:show_cluster(clusters[number].id)) end
  local function in_child(fn)
    io.stdout:flush()
    local pid = fork.fork()
    if pid ~= 0 then return fork.wait(pid) end
    local ok, problem = pcall(fn)
    if not ok then print("child: " .. tostring(problem)) end
    io.stdout:flush()
    fork.quit(ok and 0 or 1)
  end
  local function submit(engine, number)
    local env = os.getenv
    return assert(engine:submit { endpoint = env "CCE_ENDPOINT", method = "GET",
      path = "/api/v3/projects/" .. env "HUAWEICLOUD_SDK_PROJECT_ID" .. "/clusters/"
        .. clusters[number].id,
      signer = core.signer { ak = env "HUAWEICLOUD_SDK_AK", sk = env "HUAWEICLOUD_SDK_SK" } })
  end
]]

describe("after fork", function()
  local sim

  setup(function() sim = simulator.get() end)
  before_each(function() sim:reset() end)

  local function run(text)
    local code, output, signal = hosts.script(sim, PREPARE .. text):finish()
    assert.equal(0, code, output .. tostring(signal))
    return output
  end

  -- The server's connections that carried calls for a cluster, in order.
  local function connections(number)
    local list = {}
    for i, entry in ipairs(sim:log { operation = "show_cluster",
      cluster = sim.clusters[number].id }) do
      list[i] = entry.connection
    end
    return list
  end

  -- The parent's call before and after is on one connection, the child's not.
  local function assert_apart(children)
    local parent, child = connections(1), connections(2)
    assert.equal(2, #parent)
    assert.equal(parent[1], parent[2])
    assert.equal(children, #child)
    for _, connection in ipairs(child) do assert.not_equal(parent[1], connection) end
  end

  it("a client has an engine of its own in the child", function()
    run [[
      show(1)
      assert(in_child(function() show(2) show(2) end) == 0)
      show(1)
    ]]
    assert_apart(2)
    local child = connections(2)
    assert.equal(child[1], child[2])
  end)

  it("closing the client in the child leaves the parent's alone", function()
    run [[
      show(1)
      assert(in_child(function()
        show(2)
        client:close()
        collectgarbage()
        collectgarbage()
      end) == 0)
      assert(in_child(function() client:close() end) == 0)
      show(1)
    ]]
    assert_apart(1)
  end)

  it("collecting the client in the child leaves the parent's alone", function()
    run [[
      show(1)
      assert(in_child(function()
        show(2)
        client, show = nil, nil
        collectgarbage()
        collectgarbage()
      end) == 0)
      show(1)
    ]]
    assert_apart(1)
  end)

  it("a child that ends as a program does leaves the parent's alone", function()
    run [[
      show(1)
      local pid = fork.fork()
      if pid == 0 then
        show(2)
        return -- the interpreter closes the Lua state
      end
      assert(fork.wait(pid) == 0)
      show(1)
    ]]
    assert_apart(1)
  end)

  for name, ending in pairs {
    ["ends at once"] = "",
    ["closes the engine"] = "engine:close()",
    ["closes the transfer"] = "transfer:close()",
    ["collects both"] = "engine, transfer = nil, nil collectgarbage() collectgarbage()",
    ["tries to go on"] = [[
      local ok, message, code = engine:step(0)
      assert(ok == nil and message and code)
      assert(engine:inherited())
    ]],
  } do
    it("a call in flight ends normally in the parent when the child " .. name, function()
      sim:fault { operation = "show_cluster", cluster = sim.clusters[3].id, delay = 0.15 }
      run(([[
        local engine = assert(core.engine { ca_file = os.getenv "CCE_CA_FILE" })
        local transfer = submit(engine, 3)
        engine:step(0.05)
        assert(in_child(function() %s end) == 0)
        while not transfer:finished() do assert(engine:step(1)) end
        assert(assert(transfer:result()).status == 200)
      ]]):format(ending))
      assert.equal(1, #connections(3))
    end)
  end

  it("a map goes on in the parent; in the child its calls raise", function()
    sim:fault { operation = "show_cluster", cluster = sim.clusters[3].id, delay = 0.15 }
    run [[
      local parent = fork.fork
      local child_result
      local pid
      local ok, problem = pcall(cce.map, { 3, 1 }, function(number)
        if number == 1 then
          cce.sleep(0.05)
          pid = fork.fork()
        end
        return show(number).id
      end)
      if pid == 0 then fork.quit(not ok and tostring(problem):find("process") and 7 or 1) end
      assert(fork.wait(pid) == 7)
      assert(ok and problem[1].ok and problem[2].ok)
    ]]
    assert.equal(1, #connections(3))
  end)

  it("an engine with a thread refuses in the child, and keeps the parent's socket", function()
    run [[
      local engine = assert(core.engine { threaded = true, ca_file = os.getenv "CCE_CA_FILE" })
      local path = engine:socket()
      local function listening()
        local found = false
        for line in io.lines "/proc/net/unix" do
          found = found or line:find(path, 1, true) ~= nil
        end
        return found
      end
      assert(listening(), path)
      local function exists()
        return os.rename(path, path) and true or false
      end
      local before = exists()
      assert(in_child(function()
        assert(engine:inherited())
        local ok, message = pcall(submit, engine, 1)
        assert(not ok and tostring(message):find("process"), tostring(message))
        engine:close()
        engine = nil
        collectgarbage()
        collectgarbage()
      end) == 0)
      assert(listening() and exists() == before)
      local transfer = submit(engine, 1)
      for _ = 1, 12000 do
        if transfer:finished() then break end
        core.sys.sleep(0.01)
      end
      assert(assert(transfer:result()).status == 200)
      engine:close()
    ]]
  end)

  it("the lines of a journal that were under way are the parent's", function()
    run [[
      local path = os.tmpname()
      local engine = assert(core.engine { threaded = true })
      local journal = assert(core.journal(path, "schedule export"))
      local works = {}
      for i = 1, 50 do works[i] = assert(journal:submit(engine, { "line " .. i })) end
      assert(in_child(function()
        for _, work in ipairs(works) do
          assert(work:finished())
          assert(select(3, work:result()) == "UNSUPPORTED")
        end
        assert(select(3, journal:append "child") == "UNSUPPORTED")
        assert(select(3, journal:submit(engine, { "child" })) == "UNSUPPORTED")
        assert(journal:size() >= 0)
        journal:close()
        engine:close()
        works = nil
        collectgarbage()
        collectgarbage()
      end) == 0)
      for i = 51, 100 do works[i] = assert(journal:submit(engine, { "line " .. i })) end
      engine:close()
      local number = 0
      for line in io.lines(path) do
        number = number + 1
        assert(line == "line " .. number, line)
      end
      assert(number == 100 and works[100]:result())
      os.remove(path)
    ]]
  end)

  it("the lock of a file is the parent's, whatever the child does", function()
    for _, how in ipairs { "lock:close()", "lock = nil collectgarbage() collectgarbage()" } do
      local output = run([[
        local name = os.tmpname()
        local lock = assert(core.file.lock(name, { kubectl = true }))
        print(in_child(function() ]] .. how .. [[ end))
        local hidden = name:gsub("([^/]+)$", ".%1.lock")
        print(core.file.stat(hidden) and core.file.stat(name .. ".lock") and true)
        lock:close()
        print(core.file.stat(hidden), core.file.stat(name .. ".lock"))
        os.remove(name)
      ]])
      assert.equal("0\ntrue\nfalse\tfalse\n", output)
    end
  end)

  it("a connection that a child still holds is no concern of the parent's thread", function()
    sim:fault { operation = "show_cluster", delay = 60 }
    run [[
      require "socket" -- which ignores SIGPIPE
      local unix = require "socket.unix"
      local engine = assert(core.engine { threaded = true, ca_file = os.getenv "CCE_CA_FILE" })
      local transfer = submit(engine, 1)
      local sockets = {}
      for i = 1, 20 do
        sockets[i] = (unix.stream or unix)()
        assert(sockets[i]:connect(engine:socket()))
        assert(sockets[i]:send(transfer:id()))
      end
      core.sys.sleep(0.1)
      local pid = fork.fork()
      if pid == 0 then
        core.sys.sleep(0.5)
        fork.quit(0)
      end
      -- The thread hangs up on who speaks out of turn.
      for _ = 1, 5 do
        for _, socket in ipairs(sockets) do socket:send "x" end
        core.sys.sleep(0.02)
      end
      assert(fork.wait(pid) == 0)
      engine:close()
    ]]
  end)
end)
