-- tools/test on specs that are made up: what it fails, what it names, what it leaves.
local sys = require("cce.core").sys
local tempdir = require "spec.support.tempdir"

local check, write = tempdir.check, tempdir.write
local VERSION = os.getenv "CCE_TEST_VERSION"

describe("tools/test #toolchain", function()
  local dir

  before_each(function()
    dir = tempdir.new()
    check("mkdir " .. dir .. "/a " .. dir .. "/results")
  end)

  after_each(function() tempdir.remove(dir) end)

  local function command(settings)
    return ("env %s CCE_TEST_RESULTS_DIR=%s/results LUA_VERSIONS=%s JOBS=1 tools/test --check %s")
      :format(settings or "", dir, VERSION, dir .. "/a")
  end

  local function run(text, settings)
    write(dir .. "/a/first_spec.lua", text)
    local output, status = tempdir.run(command(settings))
    return output, status
  end

  it("passes what passes, and says how long it took", function()
    local output, status = run 'it("is one", function() assert.equal(1, 1) end)'
    assert.equal(0, status, output)
    assert.matches("\nafter %d+ s, and %d+ s of processor time\n", output)
    assert.matches("\n2 passed, 0 failed\n$", output)
  end)

  it("leaves the results of another run alone", function()
    write(dir .. "/results/first.results", "ok one\n")
    local output, status = tempdir.run("flock " .. dir .. "/results/lock " .. command())
    assert.equal(2, status)
    assert.matches("another run keeps its results in " .. dir .. "/results", output, 1, true)
    assert.equal("ok one\n", tempdir.read(dir .. "/results/first.results"))
  end)

  it("fails a spec that asserts nothing", function()
    local output, status = run 'it("is empty", function() end)'
    assert.equal(1, status)
    assert.matches("FAILED is empty\n.*this spec made no assertion", output)
  end)

  it("ends a spec that does not end, and names it and what did not run", function()
    check("mkdir " .. dir .. "/a/b")
    write(dir .. "/a/b/second_spec.lua", 'it("is two", function() assert.equal(2, 2) end)')
    local output, status = run([[
      it("ends", function() assert.equal(1, 1) end)
      it("hangs", function() while true do end end)
    ]], "SPEC_SECONDS=1")
    assert.equal(1, status)
    assert.matches("hangs (no end after 1 s)", output, 1, true)
    assert.matches("FAILED  " .. dir .. "/a/first_spec.lua did not run to its end", output, 1, true)
    assert.matches("\n3 passed, [23] failed\n$", output)
  end)

  it("names the spec in which a run died", function()
    local output, status = run 'it("dies", function() os.exit(0) end)'
    assert.equal(1, status)
    assert.matches("did not run to its end", output, 1, true)
    output = run 'it("dies", function() os.execute "kill -KILL $PPID" end)'
    assert.matches("FAILED  dies (the run died in it, exit status 137)", output, 1, true)
  end)

  it("keeps from the specs what a user has set up", function()
    local output, status = run([[
      it("is clean", function()
        local seen = { os.getenv "TERM", os.getenv "LC_ALL", os.getenv "TZ" }
        assert.same({ "xterm", "C.UTF-8", "UTC" }, seen)
        for _, name in ipairs { "NO_COLOR", "https_proxy", "CCE_REGION", "XDG_CONFIG_HOME" } do
          assert.is_nil(os.getenv(name))
        end
        assert.equal(os.getenv "TMPDIR" .. "/home", os.getenv "HOME")
      end)
    ]], "TERM=dumb NO_COLOR=1 https_proxy=http://127.0.0.1:1 CCE_REGION=x XDG_CONFIG_HOME=/x "
      .. "TZ=Asia/Shanghai LC_ALL=C")
    assert.equal(0, status, output)
  end)

  -- What it starts, and the directory that its specs see.
  local function start()
    write(dir .. "/a/first_spec.lua", ([[it("waits", function()
      local file = assert(io.open(%q, "w"))
      file:write(os.getenv "TMPDIR", "\n")
      file:close()
      os.execute "sleep 60"
    end)]]):format(dir .. "/seen"))
    local process = assert(sys.spawn { argv = { "/bin/sh", "-c", "exec " .. command() },
      stdin = "/dev/null", stdout = dir .. "/out", stderr = dir .. "/out", die_with_parent = true })
    local seen
    for _ = 1, 3000 do
      seen = (tempdir.read(dir .. "/seen") or ""):match "^(%S+)\n"
      if seen then break end
      sys.sleep(0.02)
    end
    assert.is_string(seen, tempdir.read(dir .. "/out"))
    return process, seen
  end

  for _, signal in ipairs { "SIGTERM", "SIGKILL" } do
    it("leaves nothing in /tmp after " .. signal, function()
      local process, seen = start()
      assert.matches("^/tmp/cce%-test%.", seen)
      process:signal(signal)
      process:wait(120)
      for _ = 1, 3000 do
        if not sys.realpath(seen) then break end
        sys.sleep(0.02)
      end
      assert.is_nil((sys.realpath(seen)))
    end)
  end
end)
