local sys = require("cce.core").sys
local tempdir = require "spec.support.tempdir"

local function shell(script, options)
  options = options or {}
  options.argv = { "/bin/sh", "-c", script }
  return assert(sys.spawn(options))
end

local function read(path)
  local file = assert(io.open(path))
  local text = file:read("*a")
  file:close()
  return text
end

-- Whether a process is gone; a zombie that init has not reaped yet counts as gone.
local function is_gone(pid)
  local file = io.open(("/proc/%d/stat"):format(pid))
  if not file then
    return true
  end
  local text = file:read("*a")
  file:close()
  -- It may go between the opening and the reading.
  return text == nil or text:match("%) (%a)") == "Z"
end

local function eventually(check)
  local deadline = sys.monotonic() + 120
  while sys.monotonic() < deadline do
    if check() then
      return true
    end
    sys.sleep(0.005)
  end
  return check()
end

describe("core.sys.spawn", function()
  it("gives the exit code", function()
    assert.equal(0, shell("exit 0"):wait())
    assert.equal(37, shell("exit 37"):wait())
  end)

  it("gives the signal that ended it", function()
    local process = shell("exec sleep 60")
    assert.is_true(process:signal("SIGTERM"))
    local code, signal = process:wait(120)
    assert.is_nil(code)
    assert.equal("SIGTERM", signal)
    assert.is_false(process:alive())
  end)

  it("says when a wait was too short", function()
    local process = shell("exec sleep 60")
    local before = sys.monotonic()
    local code, message, word = process:wait(0.02)
    assert.is_nil(code)
    assert.equal("the process still runs", message)
    assert.equal("TIMEOUT", word)
    assert.is_true(sys.monotonic() - before >= 0.02)
    assert.is_true(process:alive())
    process:close()
  end)

  it("signals no process that has ended", function()
    local process = shell("exit 0")
    process:wait()
    local ok, _, code = process:signal("SIGTERM")
    assert.is_nil(ok)
    assert.equal("CLOSED", code)
  end)

  it("fails when the program cannot be executed", function()
    local ok, message, code = sys.spawn({ argv = { "no-such-program-at-all" } })
    assert.is_nil(ok)
    assert.equal("no-such-program-at-all is not in PATH", message)
    assert.equal("MISSING_DEPENDENCY", code)
    ok, message, code = sys.spawn({ argv = { "/etc/passwd" } })
    assert.is_nil(ok)
    assert.matches("^cannot start /etc/passwd: ", message)
    assert.equal("UNSUPPORTED", code)
  end)

  it("fails when a file cannot be opened", function()
    local ok, message = sys.spawn({ argv = { "true" }, stdin = "/no/such/file" })
    assert.is_nil(ok)
    assert.matches("No such file", message)
  end)

  it("passes the environment and the files", function()
    local out = os.tmpname()
    local process = shell('echo "$A:$HOME"; cat; echo err >&2',
      { env = { "A=1" }, stdin = "/dev/null", stdout = out, stderr = out })
    assert.equal(0, process:wait())
    assert.equal("1:\nerr\n", read(out))
    os.remove(out)
  end)

  it("passes none of our files", function()
    local kept = assert(io.open("/etc/hostname"))
    local out = os.tmpname()
    assert.equal(0, shell("ls /proc/self/fd", { stdout = out }):wait())
    kept:close()
    assert.equal("0\n1\n2\n3\n", read(out)) -- 3 is the directory that ls reads
    os.remove(out)
  end)

  it("starts with signals at their defaults and unblocked", function()
    local signals = sys.signals("SIGTERM", "SIGUSR1")
    local out = os.tmpname()
    shell("grep -E 'Sig(Blk|Ign)' /proc/self/status", { stdout = out }):wait()
    signals:close()
    for mask in read(out):gmatch("%x%x%x%x%x%x%x%x\n") do
      -- Signals 32 and 33 are the C library's own and cannot be set.
      assert.equal(0, tonumber(mask:sub(1, 8), 16) % 2 ^ 31)
    end
    os.remove(out)
    assert.matches("SigIgn:%s0000000[01][08]0000000\n", tempdir.check("trap '' USR2 PIPE; "
      .. tempdir.lua [[require("cce.core").sys.spawn({
        argv = { "grep", "SigIgn", "/proc/self/status" } }):wait()]]))
  end)

  it("looks where programs usually are when there is no PATH #unchecked", function()
    local out = os.tmpname()
    local code = 'print(require("cce.core").sys.spawn({ argv = { "true" } }):wait())'
    assert(sys.spawn { argv = { tempdir.interpreter(), "-e", code }, stdout = out, stderr = out,
      env = { "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath } }):wait()
    assert.equal("0\n", read(out))
    os.remove(out)
  end)

  it("leaves no descriptor and no dead process, whether or not the program begins", function()
    local function descriptors()
      collectgarbage()
      collectgarbage()
      return tempdir.descriptors()
    end
    local function dead_children()
      return tempdir.shell(("grep -ls 'PPid:.%s$' $(grep -ls 'State:.Z' /proc/[0-9]*/status)"
        .. " </dev/null | wc -l"):format(tempdir.read("/proc/self/stat"):match "^%d+"))
    end
    local before, dead = descriptors(), dead_children()
    for _ = 1, 20 do
      shell("exit 0"):close()
      assert.is_nil((sys.spawn { argv = { "/etc/passwd" } }))
    end
    assert.is_true(descriptors() <= before)
    assert.equal(dead, dead_children())
  end)

  it("ends the process when closed, even one that ignores SIGTERM", function()
    local process = shell("trap '' TERM; while :; do sleep 0.05; done")
    local pid = process:pid()
    sys.sleep(0.05)
    process:close()
    assert.is_true(is_gone(pid))
    process:close()
    assert.has_error(function() process:alive() end, "the process object is closed")
  end)

  it("ends the process when collected", function()
    local pid
    do
      pid = shell("exec sleep 60"):pid()
    end
    collectgarbage()
    collectgarbage()
    assert.is_true(eventually(function() return is_gone(pid) end))
  end)

  it("can tie the child's life to ours", function()
    local script = [[
      local sys = require("cce.core").sys
      local p = assert(sys.spawn{ argv = { "sleep", "60" }, die_with_parent = true })
      io.stdout:write(p:pid(), "\n")
      io.stdout:flush()
      sys.sleep(60)]]
    local out, file = os.tmpname(), os.tmpname()
    local handle = assert(io.open(file, "w"))
    handle:write(script)
    handle:close()
    -- luacheck: globals jit
    local interpreter = jit and "luajit" or "lua" .. _VERSION:match("%d+%.%d+")
    local parent = sys.spawn({ argv = { interpreter, file }, stdout = out })
    assert.is_true(eventually(function() return read(out):match("%d+\n") end))
    local pid = tonumber(read(out))
    assert.is_false(is_gone(pid))
    parent:signal("SIGKILL")
    parent:wait()
    assert.is_true(eventually(function() return is_gone(pid) end))
    os.remove(out)
    os.remove(file)
  end)

  it("raises on wrong use", function()
    assert.has_error(function() sys.spawn() end)
    assert.error_matches(function() sys.spawn({}) end, "bad option 'argv'")
    assert.error_matches(function() sys.spawn({ argv = {} }) end, "bad option 'argv'")
    assert.error_matches(function() sys.spawn({ argv = { 1 } }) end, "string expected")
    assert.error_matches(function() sys.spawn({ argv = { "true" }, shell = true }) end,
      "unknown option 'shell'")
    assert.error_matches(function() shell("true"):signal("TERM") end, "no such signal")
  end)
end)

describe("core.sys.signals", function()
  it("takes a signal that came", function()
    -- Processes of the specs before end when they are collected: not in here.
    collectgarbage()
    collectgarbage()
    local signals = sys.signals("SIGCHLD")
    while signals:wait(0.05) do end
    local process = shell("exit 0")
    assert.equal("SIGCHLD", signals:wait(120))
    local name, _, code = signals:wait(0)
    assert.is_nil(name)
    assert.equal("TIMEOUT", code)
    signals:close()
    process:close()
    assert.error_matches(function() signals:wait(0) end, "closed")
  end)

  it("restores the mask", function()
    local function mask()
      return read("/proc/self/status"):match("SigBlk:%s*(%x+)")
    end
    local before = mask()
    local signals = sys.signals("SIGINT", "SIGTERM")
    assert.not_equal(before, mask())
    signals:close()
    assert.equal(before, mask())
  end)

  it("raises on a name it does not know", function()
    assert.error_matches(function() sys.signals("INT") end, "no such signal")
    assert.has_error(function() sys.signals() end)
  end)
end)

describe("core.sys", function()
  it("sleeps as long as told", function()
    local before = sys.monotonic()
    assert.is_true(sys.sleep(0.03))
    assert.is_true(sys.monotonic() - before >= 0.03)
    assert.is_true(sys.sleep(0))
    assert.is_true(sys.sleep(-1))
  end)

  it("counts the seconds since the machine started, suspended or not", function()
    local file = assert(io.open "/proc/uptime")
    local uptime = file:read "*n"
    file:close()
    local now = sys.boottime()
    assert.is_true(now >= uptime - 0.02 and now < uptime + 60)
    assert.is_true(sys.boottime() >= now)
  end)

  it("tells the time with a fraction", function()
    assert.is_true(math.abs(sys.time() - os.time()) < 60)
  end)

  it("knows what is no terminal", function()
    assert.is_false(sys.is_terminal(99))
    local columns, _, code = sys.terminal_size(99)
    assert.is_nil(columns)
    assert.equal("UNSUPPORTED", code)
  end)

  it("makes private directories", function()
    local path = sys.mkdir_private(tempdir.root .. "/cce-spec-XXXXXX")
    assert.matches("/cce%-spec%-%w%w%w%w%w%w$", path)
    assert.is_true(sys.mkdir(path))
    assert.is_true(sys.mkdir(path .. "/inner"))
    shell("ln -s nowhere " .. path .. "/link"):wait()
    assert.equal(("cannot make directory %s/link: File exists"):format(path),
      select(2, sys.mkdir(path .. "/link")))
    os.remove(path .. "/link")
    local out = os.tmpname()
    shell("stat -c %a " .. path .. " " .. path .. "/inner", { stdout = out }):wait()
    assert.equal("700\n700\n", read(out))
    os.remove(path .. "/inner")
    os.remove(path)
    os.remove(out)
    local ok, message, code = sys.mkdir_private("/no/such/XXXXXX")
    assert.is_nil(ok)
    assert.equal("cannot make directory /no/such/XXXXXX: No such file or directory", message)
    assert.equal("FILE_ERROR", code)
    assert.equal("cannot make directory /etc/passwd: File exists",
      select(2, sys.mkdir "/etc/passwd"))
  end)

  it("takes no path that a zero byte would cut", function()
    for _, name in ipairs { "mkdir", "mkdir_private", "realpath" } do
      assert.error_matches(function() sys[name] "/etc\0/XXXXXX" end, "zero byte")
    end
  end)

  it("makes paths absolute", function()
    assert.equal("/etc/passwd", sys.realpath("/etc/../etc/./passwd"))
    assert.matches("^/.", sys.realpath("."))
    local path, message, code = sys.realpath("/no/such")
    assert.is_nil(path)
    assert.equal("/no/such: No such file or directory", message)
    assert.equal("FILE_ERROR", code)
  end)

  it("finds a free port", function()
    local port = sys.free_port()
    assert.is_true(port > 1023 and port < 65536)
  end)
end)

describe("core.sys.poll", function()
  it("names the descriptors that can be read", function()
    local socket = require "socket"
    local server = assert(socket.bind("127.0.0.1", 0))
    local client = assert(socket.connect("127.0.0.1", (select(2, server:getsockname()))))
    local peer = assert(server:accept())
    local fds = { peer:getfd(), client:getfd() }
    assert.same({}, sys.poll(fds, 0))
    client:send "x"
    assert.same({ peer:getfd() }, sys.poll(fds, 5))
    client:close()
    peer:receive(1)
    assert.same({ peer:getfd() }, sys.poll({ peer:getfd() }, 5))
    peer:close()
    server:close()
  end)

  it("waits for as long as it is told when none can", function()
    local before = sys.monotonic()
    assert.same({}, sys.poll({}, 0.02))
    assert.is_true(sys.monotonic() - before >= 0.02)
  end)

  it("refuses what is no descriptor", function()
    for _, wrong in ipairs { { -1 }, { "x" }, { "0" }, { {} }, { 2 ^ 40 }, { 0.5 }, { 0 / 0 } } do
      assert.has_error(function() sys.poll(wrong, 0) end)
    end
    assert.has_error(function() sys.poll(1, 0) end)
  end)
end)
