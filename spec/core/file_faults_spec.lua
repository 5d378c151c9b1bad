-- What core.file does when system calls fail. See spec/c/file_faults.c.
local core = require "cce.core"
local tempdir = dofile "spec/support/tempdir.lua"

local file = core.file
local EINTR, EIO, EACCES, EEXIST, EINVAL, EMFILE = 4, 5, 13, 17, 22, 24
local ENOSPC, ENOLCK, EDQUOT = 28, 37, 122

describe("core.file, when the system fails, #unchecked", function()
  local shim_dir, shim, dir, path

  setup(function()
    shim_dir = tempdir.new()
    shim = shim_dir .. "/faults.so"
    tempdir.shell(("%s -shared -fPIC -o %s spec/c/file_faults.c -ldl"):format(
      os.getenv "CC" or "cc", shim))
  end)

  teardown(function()
    tempdir.remove(shim_dir)
  end)

  before_each(function()
    dir = tempdir.new()
    path = dir .. "/config"
    tempdir.write(path, "old")
  end)

  after_each(function()
    tempdir.remove(dir)
  end)

  -- Runs Lua code (with `f` for core.file, `path`) under a fault; what it printed.
  local function under(fault, code)
    if not file.stat(shim) then return nil end
    local preamble = ([[local f, path = require "cce.core".file, %q; ]]):format(path)
    return tempdir.shell(("CCE_FAULT=%s LD_PRELOAD=%s env %s"):format(
      fault, shim, tempdir.lua(preamble .. code)))
  end

  local function no_compiler()
    return pending "no C compiler to make the faults with"
  end

  for _, call in ipairs { "openat", "write", "fsync", "close" } do
    it("goes on writing after an interrupted " .. call, function()
      local output = under(("%s:%d:0:1"):format(call, EINTR),
        'print(f.write(path, ("x"):rep(999)))')
      if not output then return no_compiler() end
      assert.equal("true\n", output)
      assert.equal(("x"):rep(999), tempdir.read(path))
      assert.same({ "config" }, tempdir.list(dir))
    end)
  end

  it("writes all when each write takes one byte", function()
    local output = under("write:0:0:9999", 'print(f.write(path, ("x"):rep(999)))')
    if not output then return no_compiler() end
    assert.equal("true\n", output)
    assert.equal(("x"):rep(999), tempdir.read(path))
  end)

  it("reads all when reads are short or interrupted", function()
    for _, fault in ipairs { "read:0:0:9999", "read:4:0:3", "openat:4:0:3" } do
      local output = under(fault, "print(f.read(path))")
      if not output then return no_compiler() end
      assert.equal("old\n", output)
    end
  end)

  it("goes on locking after an interrupt", function()
    local output = under(("flock:%d:0:3"):format(EINTR), "print(f.lock(path, { timeout = 0 }))")
    if not output then return no_compiler() end
    assert.truthy(output:find("cce.file.lock", 1, true), output)
  end)

  it("does not take a lock on a file that has lost its name for one", function()
    local output = under("flock:0:0:1", ([[
      local lock = assert(f.lock(path, { timeout = 60 }))
      os.execute "ls -A %s"
      lock:close()]]):format(dir))
    if not output then return no_compiler() end
    local names = {}
    for name in output:gmatch "%S+" do names[#names + 1] = name end
    table.sort(names)
    assert.same({ ".config.lock", ".config.lock.gone", "config" }, names)
    output = under("flock:0:0:1", ([[
      local log = assert(require("cce.core").journal(%q, "audit log"))
      assert(log:append "{}")
      log:close()]]):format(dir .. "/log"))
    assert.equal("", output)
    assert.equal("{}\n", tempdir.read(dir .. "/log"))
  end)

  local failures = {
    { "write", ENOSPC, 0, "writing: No space left on device" },
    { "write", ENOSPC, 1, nil },
    { "fsync", EIO, 0, "syncing: Input/output error" },
    { "fchmod", EACCES, 0, "setting its permissions: Permission denied" },
    { "fcntl", EMFILE, 0, "keeping it locked: Too many open files" },
    { "renameat", EACCES, 0, "renaming: Permission denied" },
    -- The walk to its directory opens and closes one for each slash; then this
    -- is opened once more, and once to look for what was left there.
    { "close", EDQUOT, 0, "closing: Disk quota exceeded", walk = 0 },
    { "openat", EACCES, 0, "opening its directory: Permission denied" },
    -- Who may only search it cannot open it anew, to be read.
    { "openat", EACCES, 0, nil, walk = 0 },
    { "openat", ENOSPC, 0, "creating a temporary file beside it: No space left on device",
      walk = 2 },
    -- Its name was taken.
    { "openat", EEXIST, 0, nil, walk = 2 },
  }
  for _, case in ipairs(failures) do
    local call, error_number, skip, expected = case[1], case[2], case[3], case[4]
    it(("keeps the old file when %s %d fails: %s"):format(call, skip + 1,
      expected or "tried again"), function()
      local walked = case.walk and case.walk + select(2, path:gsub("/", "")) or 0
      local output = under(("%s:%d:%d:1"):format(call, error_number, skip + walked),
        'print(f.write(path, "new"))')
      if not output then return no_compiler() end
      if expected then
        assert.truthy(output:find("cannot write '" .. path .. "': " .. expected, 1, true), output)
        assert.equal("old", tempdir.read(path))
      else
        assert.equal("true\n", output)
      end
      assert.same({ "config" }, tempdir.list(dir))
    end)
  end

  it("says that a file is replaced but perhaps not for good", function()
    local output = under(("fsync:%d:1:1"):format(EIO), 'print(f.write(path, "new"))')
    if not output then return no_compiler() end
    assert.truthy(output:find("it is replaced, but syncing its directory failed: Input", 1, true))
    assert.equal("new", tempdir.read(path))
    output = under(("fsync:%d:1:1"):format(EINVAL), 'print(f.write(path, "newer"))')
    assert.equal("true\n", output)
  end)

  it("does not take a line for written that the disk has not confirmed", function()
    local log = dir .. "/log"
    local output = under(("fdatasync:%d:1:1"):format(EIO), ([[
      local log = assert(require("cce.core").journal(%q, "audit log"))
      assert(log:append "one")
      print(log:append "two")
      print(log:size() == 4)
      assert(log:append "three")
      log:close()]]):format(log))
    if not output then return no_compiler() end
    assert.equal(("nil\tcannot append to '%s': Input/output error\tFILE_ERROR\ntrue\n"):format(log),
      output)
    assert.equal("one\nthree\n", tempdir.read(log))
  end)

  it("takes no intent of a run, and no call of an audit log, that is not on disk", function()
    local output = under(("fdatasync:%d:0:99"):format(EIO), ([[
      local journal = assert(require("cce.log.journal").open(%q, os.time))
      print((select(3, journal:intend({ cluster = "c" }, 1))).code)
      print((journal:write("unknown", { cluster = "c" }, false)))
      journal:close()]]):format(dir .. "/journal"))
    if not output then return no_compiler() end
    assert.equal("FILE_ERROR\ntrue\n", output)
    assert.is_nil(tempdir.read(dir .. "/journal"):find('"intent"', 1, true))
    output = under(("fdatasync:%d:0:99"):format(EIO), ([[
      local client = assert(require("cce").new { region = "cn-north-4", project_id = "p",
        credentials = { ak = "EXAMPLEAK", sk = "example-secret-key" }, audit_log = %q,
        endpoint = "https://127.0.0.1:9" })
      local _, message, err = client:revoke_cert("c", { user_id = "u" })
      print(err.code, err.attempts, err.maybe_applied)]]):format(dir .. "/audit.log"))
    assert.equal("FILE_ERROR\t0\tfalse\n", output)
    assert.equal("", tempdir.read(dir .. "/audit.log"))
  end)

  it("asks the disk for no line that may be lost", function()
    local log = dir .. "/log"
    local output = under(("fdatasync:%d:0:1"):format(EIO), ([[
      local log = assert(require("cce.core").journal(%q, "audit log"))
      print(log:append("one", false))
      print((log:append "two"))
      log:close()]]):format(log))
    if not output then return no_compiler() end
    assert.equal("true\nnil\n", output)
    assert.equal("one\n", tempdir.read(log))
  end)

  it("reports failures of reading and locking", function()
    local output = under(("read:%d:0:1"):format(EIO), "print(f.read(path))")
    if not output then return no_compiler() end
    assert.truthy(output:find("reading: Input/output error\tFILE_ERROR", 1, true), output)
    output = under(("flock:%d:0:1"):format(ENOLCK), "print(f.lock(path, { timeout = 0 }))")
    assert.truthy(output:find("No locks available\tFILE_ERROR", 1, true), output)
  end)

  it("leaves neither lock nor temporary file when memory runs out", function()
    local code = [[
      local lock, message, code = f.lock(path, { kubectl = true })
      if not lock then return print(code) end
      local text
      text, message, code = f.read(path)
      lock:close()
      print(text or code)]]
    local seen = {}
    for skip = 0, 8 do
      local output = under(("malloc:12:%d:1"):format(skip), code)
      if not output then return no_compiler() end
      seen[#seen + 1] = output:match "^(%S+)\n$" or output
      assert.same({ "config" }, tempdir.list(dir))
    end
    for _, each in ipairs(seen) do assert.truthy(each == "old" or each == "NO_MEMORY", each) end
    assert.equal("NO_MEMORY", seen[1])
    assert.equal("old", seen[#seen])
  end)
end)
