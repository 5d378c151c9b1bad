-- The engine with a thread of its own, without nginx: so that every Lua, and the thread
-- sanitizer, sees it too. What waits here is LuaSocket instead of a cosocket.
local core = require "cce.core"
local nginx = require "spec.support.peer.nginx"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

local sys = core.sys
local unix = require "socket.unix"

-- Calls it when the garbage that is made here is collected.
local function when_collected(fn)
  local make = rawget(_G, "newproxy")
  if make then
    getmetatable(make(true)).__gc = fn
  else
    setmetatable({}, { __gc = fn })
  end
end

local function own_pid()
  return tonumber(tempdir.read("/proc/self/stat"):match "^%d+")
end

describe("an engine with a thread", function()
  local sim, engine

  before_each(function()
    sim = simulator.get()
    sim:reset()
    engine = assert(core.engine { threaded = true, ca_file = sim.env.CCE_CA_FILE,
      max_connections = 20 })
  end)

  after_each(function()
    engine:close()
  end)

  local function submit(fields)
    local request = {
      endpoint = sim.env.CCE_ENDPOINT, method = "GET", path = sim:path(sim.clusters[1]),
      signer = assert(core.signer { ak = sim.env.HUAWEICLOUD_SDK_AK,
        sk = sim.env.HUAWEICLOUD_SDK_SK }),
    }
    for name, value in pairs(fields or {}) do request[name] = value end
    return assert(engine:submit(request))
  end

  local function ask(id)
    local socket = (unix.stream or unix)()
    assert(socket:connect(engine:socket()))
    socket:settimeout(30)
    assert(socket:send(id))
    return socket
  end

  local function wait(transfer)
    local socket = ask(transfer:id())
    assert.equal(transfer:id(), socket:receive(8))
    socket:close()
    assert.is_true(transfer:finished())
    return transfer:result()
  end

  local function eventually_finished(transfer)
    nginx.wait_for("the end of a transfer", function() return transfer:finished() end)
  end

  it("answers an id once its transfer has ended", function()
    assert.equal(200, wait(submit()).status)
  end)

  it("answers an id of a transfer that has ended, or that it does not know, at once", function()
    local transfer = submit()
    wait(transfer)
    assert.equal(200, wait(transfer).status)
    assert.equal("\255\1\1\1\1\1\1\1", ask("\255\1\1\1\1\1\1\1"):receive(8))
  end)

  it("serves one connection many times", function()
    local first = submit()
    local socket = ask(first:id())
    assert.equal(first:id(), socket:receive(8))
    for _ = 1, 20 do
      local transfer = submit()
      assert(socket:send(transfer:id():sub(1, 3)))
      assert(socket:send(transfer:id():sub(4)))
      assert.equal(transfer:id(), socket:receive(8))
      assert.equal(200, transfer:result().status)
    end
    socket:close()
  end)

  it("hangs up on who sends more than an id", function()
    sim:fault { delay = 0.3 }
    local transfer = submit()
    local socket = ask(transfer:id() .. "x")
    assert.equal("closed", (select(2, socket:receive(8))))
    socket:close()
  end)

  it("cancels at once what a closed connection waited for", function()
    sim:fault { delay = 60 }
    local transfer = submit()
    local socket = ask(transfer:id())
    sys.sleep(0.05)
    socket:close()
    eventually_finished(transfer)
    assert.equal("CANCELLED", (select(3, transfer:result())))
  end)

  it("does not begin what was given up before", function()
    for _ = 1, 50 do
      local transfer = submit { timeout = 20 }
      ask(transfer:id()):close()
      eventually_finished(transfer)
      transfer:close()
    end
    assert.equal(0, engine:in_flight())
  end)

  it("gives a job to who asks last", function()
    sim:fault { hold = "before" }
    local transfer = submit()
    sim:held(1)
    local first = ask(transfer:id())
    sys.sleep(0.05)
    local second = ask(transfer:id())
    sys.sleep(0.05)
    first:close()
    sim:release()
    assert.equal(transfer:id(), second:receive(8))
    assert.equal(200, transfer:result().status)
    second:close()
  end)

  it("frees what nobody waits for", function()
    sim:fault { delay = 60 }
    local transfers = {}
    for i = 1, 30 do transfers[i] = submit() end
    assert.equal(#transfers, engine:in_flight())
    for i = 1, 30 do transfers[i] = nil end
    collectgarbage()
    collectgarbage()
    nginx.wait_for("the jobs' end", function() return engine:in_flight() == 0 end)
  end)

  it("keeps apart the jobs of one bucket of its table, whichever of them goes first", function()
    sim:fault { delay = 60 }
    local transfers, buckets = {}, 1024
    for i = 1, 2 * buckets + 3 do transfers[i] = submit { timeout = 600 } end
    -- The first, second and third one of a bucket.
    for which = 1, 3 do transfers[which + (which - 1) * buckets]:close() end
    nginx.wait_for("the jobs' end", function() return engine:in_flight() == 2 * buckets end)
    for which = 1, 3 do
      for place = 1, 3 do
        local transfer = transfers[which + (place - 1) * buckets]
        if place ~= which then
          ask(transfer:id()):close()
          eventually_finished(transfer)
          assert.equal("CANCELLED", (select(3, transfer:result())))
          transfer:close()
        end
      end
    end
    assert.equal(2 * buckets - 6, engine:in_flight())
  end)

  it("ends what is under way as CLOSED, and is gone at once", function()
    sim:fault { delay = 60 }
    local transfers = {}
    for i = 1, 30 do transfers[i] = submit() end
    sys.sleep(0.1)
    local path = engine:socket()
    engine:close()
    for _, transfer in ipairs(transfers) do
      assert.is_true(transfer:finished())
      assert.equal("CLOSED", (select(3, transfer:result())))
    end
    assert.equal("", tempdir.shell("ls -d " .. path:match "^(.*)/"):match "^/tmp.*" or "")
  end)

  it("holds back all signals in its thread #unchecked", function()
    local blocked
    -- 9 and 19 cannot be blocked; 32 and 33 are the C library's own, which it
    -- blocks, too, while a thread begins.
    local expected = "fffffffe7ffbfeff"
    for _ = 1, 50 do
      for _, thread in ipairs(nginx.threads(own_pid())) do
        if thread.name == "cce-engine" then blocked = thread.blocked end
      end
      if blocked == expected then break end
      sys.sleep(0.02)
    end
    assert.equal(expected, blocked)
    -- In its own, and in no other.
    local function own(code)
      return tempdir.check(tempdir.lua(code .. ' print(io.open("/proc/self/status"):read "*a"'
        .. ':match "SigBlk:%s*(%x+)")'))
    end
    assert.equal(own "", own 'ENGINE = require("cce.core").engine { threaded = true }')
  end)

  it("listens in a directory that is ours alone", function()
    local dir = engine:socket():match "^(%S-/lua%-cce%-%w+)/engine$"
    assert.equal("700 " .. tempdir.shell "id -u", tempdir.shell("stat -c '%a %u' " .. dir))
  end)

  describe("whose directory", function()
    local dir

    before_each(function() dir = tempdir.new() end)
    after_each(function() tempdir.remove(dir) end)

    -- Where a process of such an environment listens, or why it does not.
    local function socket_with(environment)
      return tempdir.shell(("env -u TMPDIR -u XDG_RUNTIME_DIR %s %s"):format(environment,
        tempdir.lua [[
          local engine, message, code = require "cce.core".engine { threaded = true }
          print(engine and engine:socket() or code .. " " .. message)
          if engine then engine:close() end]]))
    end

    it("lies where TMPDIR says", function()
      assert.matches("^/tmp/lua%-cce%-%w+/engine\n$", socket_with "")
      assert.matches("^/tmp/lua%-cce%-%w+/engine\n$", socket_with "TMPDIR=")
      local path = socket_with("TMPDIR=" .. dir)
      assert.equal(dir .. "/lua-cce-", path:sub(1, #dir + 9))
      assert.same({}, tempdir.list(dir))
    end)

    it("lies in XDG_RUNTIME_DIR when the other cannot be written to", function()
      if os.getenv "FLAVOUR" == "valgrind" then return pending "valgrind itself needs TMPDIR" end
      for _, place in ipairs { "/proc", "/nowhere", ".", "/" .. ("x"):rep(200) } do
        local path = socket_with(("TMPDIR=%s XDG_RUNTIME_DIR=%s"):format(place, dir))
        assert.equal(dir .. "/lua-cce-", path:sub(1, #dir + 9))
      end
    end)

    it("may have a name of up to 85 bytes", function()
      for length = 84, 86 do
        local place = dir .. "/" .. ("x"):rep(length - #dir - 1)
        tempdir.check("mkdir " .. place)
        assert.matches(length <= 85 and "/engine\n$" or "it is too long for the path of a socket",
          socket_with("TMPDIR=" .. place))
      end
    end)

    it("is not where others may rename it", function()
      tempdir.check("chmod 0777 " .. dir)
      assert.matches("others may rename what is in it", socket_with("TMPDIR=" .. dir), 1, true)
      tempdir.check("chmod 1777 " .. dir)
      assert.matches("/engine\n$", socket_with("TMPDIR=" .. dir))
    end)

    it("has no place: the message names each, and the way out", function()
      if os.getenv "FLAVOUR" == "valgrind" then return pending "valgrind itself needs TMPDIR" end
      local message = socket_with "TMPDIR=/proc XDG_RUNTIME_DIR=/nowhere"
      assert.matches("^UNSUPPORTED cannot start the engine's thread: there is no place", message)
      assert.matches("%(/proc: [^;]+; /nowhere: No such file or directory%)", message)
      assert.matches("set TMPDIR to a directory that this process may write to, of at most 85",
        message, 1, true)
      assert.matches("nginx: env TMPDIR=...;", message, 1, true)
      assert.matches("%(/proc: [^;]+%); set", socket_with "TMPDIR=/proc XDG_RUNTIME_DIR=")
    end)
  end)

  describe("after a process was killed", function()
    local dirs

    before_each(function() dirs = {} end)
    after_each(function()
      for _, dir in ipairs(dirs) do tempdir.remove(dir) end
    end)

    -- A directory as a killed process leaves it, so many minutes ago.
    local function left_behind(minutes)
      local dir = tempdir.shell(tempdir.lua [[
        local core = require "cce.core"
        engine = assert(core.engine { threaded = true })
        print((engine:socket():gsub("/engine$", "")))
        io.stdout:flush()
        os.execute "kill -KILL $PPID"
      ]]):match "%S-/lua%-cce%-%w+"
      assert.equal("engine\n", tempdir.shell("ls " .. dir))
      dirs[#dirs + 1] = dir
      tempdir.shell(("touch -d '%d minutes ago' %s"):format(minutes, dir))
      return dir
    end

    local function exists(dir)
      return not not core.file.stat(dir)
    end

    -- The first engine of a process tidies up.
    local function make_one_elsewhere(until_gone)
      local code = [[
        local core = require "cce.core"
        local engine = assert(core.engine { threaded = true })
        for _ = 1, 12000 do
          local code = os.execute "test -d %s"
          if code ~= true and code ~= 0 then break end
          core.sys.sleep(0.01)
        end
        engine:close()
      ]]
      assert.equal("", tempdir.shell(tempdir.lua(code:format(until_gone))))
    end

    it("removes the directory that it left, with a socket in it or without", function()
      for _, what in ipairs { "true", "rm %s/engine && touch -d '2 minutes ago' %s" } do
        local dir = left_behind(2)
        tempdir.check((what:gsub("%%s", dir)))
        make_one_elsewhere(dir)
        assert.is_false(exists(dir))
      end
    end)

    it("spares what is young, is in use, is not its own, or holds anything else", function()
      -- Each that is made here looks through those before it.
      local young = left_behind(0)
      local full = left_behind(0)
      local open = left_behind(0)
      local file = left_behind(0)
      local others = left_behind(0)
      -- A name as long as theirs, and one that only begins like it.
      local empty = tempdir.shell("mktemp -d"):match "%S+"
      local longer = tempdir.shell("mktemp -d -t lua-cce-XXXXXXX"):match "%S+"
      dirs[#dirs + 1], dirs[#dirs + 2] = empty, longer
      -- A link to one, and one whose owner is behind with its connections.
      local linked, busy = left_behind(0), tempdir.shell("mktemp -d -t lua-cce-XXXXXX"):match "%S+"
      local moved, waiting = linked .. "-moved", {}
      tempdir.check(("mv %s %s && ln -s %s %s"):format(linked, moved, moved, linked))
      dirs[#dirs + 1], dirs[#dirs + 2] = moved, busy
      local listener = (unix.stream or unix)()
      assert(listener:bind(busy .. "/engine"))
      assert(listener:listen(0))
      for i = 1, 3 do
        waiting[i] = (unix.stream or unix)()
        waiting[i]:settimeout(0)
        waiting[i]:connect(busy .. "/engine")
      end
      tempdir.write(full .. "/other", "")
      tempdir.check(("rm %s/engine && touch %s/engine"):format(file, file))
      -- Only root can give it away.
      tempdir.shell(("chmod 755 %s; chown 65534 %s || chmod 755 %s"):format(open, others, others))
      for _, dir in ipairs { full, open, file, others, empty, longer, moved, busy } do
        tempdir.shell("touch -d '2 minutes ago' " .. dir)
      end
      local own = engine:socket():match "^(.*)/engine$"
      tempdir.shell("touch -d '2 minutes ago' " .. own)
      make_one_elsewhere(left_behind(2))
      assert.is_true(exists(young))
      assert.is_true(exists(open))
      assert.is_true(exists(others))
      assert.is_true(exists(empty))
      assert.is_true(exists(longer))
      assert.is_true(exists(moved .. "/engine"))
      assert.is_true(exists(busy .. "/engine"))
      for _, socket in ipairs(waiting) do socket:close() end
      listener:close()
      assert.equal("", tempdir.read(full .. "/other"))
      assert.equal("", tempdir.read(file .. "/engine"))
      assert.equal(200, wait(submit()).status)
    end)
  end)

  it("hangs up on another process", function()
    local code = ([[
      local unix = require "socket.unix"
      local socket = (unix.stream or unix)()
      assert(socket:connect %q)
      socket:settimeout(10)
      socket:send(%q)
      print(socket:receive(8))
    ]]):format(engine:socket(), "12345678")
    assert.matches("^nil%s+closed", tempdir.shell(tempdir.lua(code)))
  end)

  it("leaves no descriptor and no thread", function()
    local pid = own_pid()
    collectgarbage()
    collectgarbage()
    local before = nginx.count_descriptors(pid)
    for _ = 1, 20 do
      local another = assert(core.engine { threaded = true })
      another:close()
    end
    -- The engine of these specs may still be closing a connection of before.
    local after = nginx.count_descriptors(pid)
    for _ = 1, 6000 do
      if after <= before then break end
      core.sys.sleep(0.02)
      after = nginx.count_descriptors(pid)
    end
    assert.is_true(after <= before, ("%d descriptors before, %d after"):format(before, after))
    assert.equal(1, nginx.count_threads(pid, "cce-engine"))
  end)

  it("gives none of its descriptors to programs", function()
    local function inherited(which)
      collectgarbage()
      collectgarbage()
      return tempdir.shell("ls -l /proc/self/fd | grep -c " .. which)
    end
    engine:close()
    local others = inherited "-v socket:"
    local bare = assert(core.engine())
    local sockets = inherited "socket:" -- with two of libcurl's own, in some versions
    bare:close()
    engine = assert(core.engine { threaded = true, ca_file = sim.env.CCE_CA_FILE })
    assert.equal(200, wait(submit()).status)
    assert.equal(others, inherited "-v socket:")
    assert.equal(sockets, inherited "socket:")
  end)

  it("lets many wait at once, over few connections", function()
    local waiting = {}
    for i = 1, 300 do
      local transfer = submit()
      waiting[i] = { transfer = transfer, socket = ask(transfer:id()) }
    end
    for _, one in ipairs(waiting) do
      assert.equal(one.transfer:id(), one.socket:receive(8))
      assert.equal(200, one.transfer:result().status)
      one.socket:close()
    end
    local connections = {}
    for _, entry in ipairs(sim:log()) do connections[entry.connection] = true end
    local count = 0
    for _ in pairs(connections) do count = count + 1 end
    assert.is_true(count <= 20, count .. " connections")
  end)

  describe("that writes files", function()
    local KIND, FIRST = "schedule export", '{"schedule":1}'
    local dir, journal

    before_each(function()
      dir = tempdir.new()
      journal = assert(core.journal(dir .. "/lines", KIND))
    end)

    after_each(function()
      journal:close()
      tempdir.remove(dir)
    end)

    local function text()
      return tempdir.read(dir .. "/lines")
    end

    it("appends in the order of submission, and answers like a transfer", function()
      local works, expected = {}, {}
      for i = 1, 200 do
        works[i] = assert(journal:submit(engine, { "a" .. i, "b" .. i }, i % 10 == 0))
        expected[i] = ("a%d\nb%d\n"):format(i, i)
      end
      for _, work in ipairs(works) do assert.is_true(wait(work)) end
      assert.equal(table.concat(expected), text())
      assert.equal(#text(), journal:size())
      assert.equal(200, #works)
      assert.equal(1, nginx.count_threads(own_pid(), "cce-files"))
    end)

    it("answers all who wait for the same work", function()
      local work = assert(journal:submit(engine, { "one" }, true, 4096))
      local sockets = {}
      for i = 1, 10 do sockets[i] = ask(work:id()) end
      sockets[3]:close()
      for i = 4, 10 do assert.equal(work:id(), sockets[i]:receive(8)) end
      assert.is_true(work:result())
    end)

    it("does what nobody waits for, even after the journal was closed", function()
      for i = 1, 20 do
        local work = assert(journal:submit(engine, { FIRST .. i }))
        ask(work:id()):close()
        work:close()
      end
      journal:close()
      nginx.wait_for("the jobs' end", function() return engine:in_flight() == 0 end)
      assert.equal(20, select(2, text():gsub("\n", "")))
      assert(core.journal(dir .. "/lines", KIND)):close()
    end)

    it("ends all work before the engine is gone", function()
      local works, count = {}, 1024 -- one in each bucket of its table of jobs
      for i = 1, count do works[i] = assert(journal:submit(engine, { FIRST .. i })) end
      works[1]:close()
      engine:close()
      for i = 2, count do assert.is_true(works[i]:result()) end
      assert.equal(count, select(2, text():gsub("\n", "")))
      assert.equal(0, nginx.count_threads(own_pid(), "cce-files"))
    end)

    it("opens a journal, which is handed out once", function()
      local work = assert(core.journal(dir .. "/another", KIND, engine))
      local another = wait(work)
      assert.is_true(another:append(FIRST))
      assert.has_error(function() work:result() end)
      local conflict = assert(core.journal(dir .. "/another", KIND, engine))
      assert.equal("CONFLICT", (select(3, wait(conflict))))
      another:close()
      -- What nobody took is closed with its work.
      local forgotten = assert(core.journal(dir .. "/another", KIND, engine))
      eventually_finished(forgotten)
      forgotten:close()
      assert(core.journal(dir .. "/another", KIND)):close()
      local none = assert(core.journal(dir .. "/no/x", KIND, engine))
      assert.equal("FILE_ERROR", (select(3, wait(none))))
    end)

    it("refuses what is no list of lines, and an engine without a thread", function()
      local plain = core.engine()
      assert.equal("INVALID_ARGUMENT", (select(3, journal:submit(engine, { "a", "b\nc" }))))
      for _, arguments in ipairs { { engine }, { engine, {} }, { engine, { 1 } }, { engine, "a" },
        { plain, { "a" } }, { nil, { "a" } }, { engine, { "a" }, true, 0.5 } } do
        assert.has_error(function()
          journal:submit(arguments[1], arguments[2], arguments[3], arguments[4])
        end)
      end
      plain:close()
      journal:close()
      assert.has_error(function() journal:submit(engine, { "a" }) end)
      assert.is_nil(text():find "a")
    end)

    -- A new userdata may run finalizers, which may close what the same call was given.
    it("looks at its arguments after the finalizers that it lets run", function()
      local inside, fired = false, false
      local function arm()
        when_collected(function()
          if not inside then return arm() end
          fired = true
          journal:close()
        end)
      end
      arm()
      -- Only that the collector hardly ever rests makes it run just then.
      local pause, factor = collectgarbage("setpause", 0), collectgarbage("setstepmul", 1000)
      local ok, work
      local write, lines = journal.submit, { "a line" }
      for _ = 1, 20000 do
        inside = true
        ok, work = pcall(write, journal, engine, lines, false)
        inside = false
        if fired then break end
        work:close()
      end
      collectgarbage("setpause", pause)
      collectgarbage("setstepmul", factor)
      if not fired then return pending "no finalizer ran just then" end
      if ok then return assert.is_true(wait(work)) end
      assert.matches("the file is closed", work, 1, true)
    end)

    it("says what the file system says", function()
      local work = assert(journal:submit(engine, { "one" }, true, 2 ^ 30))
      local ok, message, code = wait(work)
      if not ok then
        assert.equal("FILE_ERROR", code)
        assert.matches("cannot reserve room in", message, 1, true)
      end
      assert.equal(ok and "one\n" or "", text())
    end)
  end)

  it("sends a request that changes something once, even when the connection dies", function()
    assert.equal(200, wait(submit()).status)
    sim:fault { close_on_reuse = true, operation = "rotate_credentials" }
    local response, _, code, detail = wait(submit {
      method = "POST", path = sim:path(sim.clusters[1], "rotatecredentials"),
      body = '{"component":"all"}', headers = { ["Content-Type"] = "application/json" },
      mutating = true,
    })
    assert.is_nil(response)
    assert.equal("CONNECTION_LOST", code)
    assert.is_true(detail.sent)
    assert.equal(1, #sim:log { operation = "rotate_credentials" })
  end)
end)
