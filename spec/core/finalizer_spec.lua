-- A finalizer may run wherever Lua allocates, and may do anything: close the object that a call is
-- about to use, change the tables that it reads, make the same call. Every function of the core is
-- tried with one at each such point; see spec/support/shared/finalizer_cases.lua.
local core = require "cce.core"
local server = require "spec.support.peer.server"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

describe("a finalizer at every allocation of the core", function()
  local dir, answers

  before_each(function()
    dir = tempdir.new()
    tempdir.write(dir .. "/profile", "[basic]\nak=EXAMPLE\nsk=not-a-real-secret\n")
    os.execute("chmod 600 " .. dir .. "/profile")
    answers = server.start(function(connection)
      while connection:request() do
        connection:send("HTTP/1.1 200 OK\r\nX-Subject-Token: not-a-real-token\r\n",
          "X-A: b\r\nX-A: c\r\nContent-Length: 9\r\n\r\n", '{"a":"b"}')
      end
    end)
  end)

  after_each(function()
    server.stop_all()
    tempdir.remove(dir)
  end)

  -- Freed memory is filled, so that whoever reads it is seen; see finalizers.lua.
  local function output_of(mischief, limit)
    local env = {
      "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath, "PATH=" .. os.getenv "PATH",
      "MALLOC_PERTURB_=170",
    }
    for _, name in ipairs { "LD_PRELOAD", "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS" } do
      if os.getenv(name) then env[#env + 1] = name .. "=" .. os.getenv(name) end
    end
    local program = "spec/support/shared/finalizer_cases.lua"
    local process = assert(core.sys.spawn {
      argv = { simulator.interpreter(), program, mischief, answers.url, dir, limit },
      env = env, stdin = "/dev/null", stdout = dir .. "/out", stderr = dir .. "/out",
      die_with_parent = true,
    })
    local status, signal = process:wait(240)
    -- An old valgrind says that it does not know pidfd_open.
    local output = tempdir.read(dir .. "/out"):gsub("%-%-%d+%-%- [^\n]*\n", "")
    return status == 0 and output or ("%sended with %s"):format(output, status or signal)
  end

  for mischief, what in pairs {
    close = "that closes every object the call uses",
    change = "that changes every table the call reads",
    reuse = "that makes the same call",
  } do
    local function check(limit, least)
      local output = output_of(mischief, limit)
      local points = output:match "^done: %d+ cases, (%d+) points\n$"
      assert(points, output)
      assert.is_true(tonumber(points) > least)
    end

    it(what .. ", at the first points of each call", function() check("4", 100) end)
    it(what .. ", at all points #long", function() check(nil, 200) end)
  end
end)
