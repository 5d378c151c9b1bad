local core = require "cce.core"
local tempdir = dofile "spec/support/tempdir.lua"
local support = require "spec.support.sim"

describe("core.journal", function()
  local dir, path

  before_each(function()
    dir = tempdir.new()
    path = dir .. "/run.journal"
  end)

  after_each(function() tempdir.remove(dir) end)

  local FIRST = '{"file":"lua-cce audit log","n":1}'
  local FIRST_LINES = {
    ["run journal"] = { '{"file":"lua-cce run journal","at":""}',
      '{"at":"2026-01-02T03:04:05Z","what":"run","run":"one"}' },
    ["audit log"] = { FIRST, '{"n":1,"at":"2026-01-02T03:04:05Z","operation":"revoke_cert"}' },
    ["schedule export"] = { '{"schedule":1}',
      '{"exported":"2026-01-02T03:04:05Z","schedule":1}' },
  }

  local function open()
    return assert(core.journal(path, "audit log"))
  end

  local function fails(code, pattern, ...)
    local file, message, got = core.journal(...)
    assert.is_nil(file)
    assert.equal(code, got)
    assert.matches(pattern, message, 1, true)
  end

  it("is no file of the programs that are started meanwhile", function()
    local journal, lock = open(), assert(core.file.lock(dir .. "/config"))
    local list = io.popen "ls -l /proc/self/fd"
    local text = list:read "*a"
    list:close()
    assert.matches("/proc/", text, 1, true)
    assert.is_nil(text:find(dir, 1, true), text)
    lock:close()
    journal:close()
  end)

  it("appends lines to a file that only its owner can read", function()
    local journal = open()
    assert.is_true(journal:append "one")
    assert.is_true(journal:append("two", false))
    assert.equal(8, journal:size())
    journal:close()
    assert.equal("one\ntwo\n", tempdir.read(path))
    assert.equal("0600", core.file.stat(path).mode)
  end)

  it("goes on where it ended", function()
    local journal = open()
    journal:append(FIRST)
    journal:close()
    journal = open()
    journal:append "two"
    journal:close()
    assert.equal(FIRST .. "\ntwo\n", tempdir.read(path))
  end)

  it("cuts off a line that was torn, of any length", function()
    for _, length in ipairs { 1, 4095, 4096, 4097, 10000 } do
      tempdir.write(path, FIRST .. "\n" .. ("x"):rep(length))
      local journal = open()
      assert.equal(#FIRST + 1, journal:size())
      journal:append "two"
      journal:close()
      assert.equal(FIRST .. "\ntwo\n", tempdir.read(path))
    end
  end)

  it("knows each kind by its first line, also by that of version 0.1.0", function()
    local function one(kind) return (kind == "audit log" and "an " or "a ") .. kind end
    for kind, first_lines in pairs(FIRST_LINES) do
      for _, first in ipairs(first_lines) do
        tempdir.write(path, first)
        fails("FILE_ERROR", "it cannot be told whether it is " .. one(kind) .. ";", path, kind)
        tempdir.write(path, first .. "\ntorn")
        assert(core.journal(path, kind)):close()
        assert.equal(first .. "\n", tempdir.read(path))
        for other in pairs(FIRST_LINES) do
          if other ~= kind then
            fails("FILE_ERROR", "is not " .. one(other) .. ": its first line", path, other)
          end
        end
      end
    end
  end)

  it("leaves what is not of its kind as it is, with nothing beside it", function()
    local strangers = { "kubeconfig", '{"apiVersion":"v1","kind":"Config"}',
      "apiVersion: v1\nkind: Config", "a\n", "\n", "\0", '{"n":1,"at":"x"',
      '{"at":"2026-01-02T03:04:05Z","what":"else"}\n',
      '{"at":"2026-a1-02T03:04:05Z","what":"run","run":"one"}\n',
      '2026-01-02T03:04:05Z","what":"run","run":"one"}\n',
      '{"at":"2026-01-02T03:04:0 Z","what":"run","run":"one"}\n', ("x"):rep(100000),
      FIRST .. ("x"):rep(2 ^ 16 - #FIRST) .. "\n",
      -- Without an end nobody knows what it is, or was to be.
      FIRST, '{"file":"lua-cce run journal","at":""}' }
    for _, text in ipairs(strangers) do
      for kind in pairs(FIRST_LINES) do
        tempdir.write(path, text)
        fails("FILE_ERROR", "it is left as it is", path, kind)
        assert.equal(text, tempdir.read(path))
        assert.same({ "run.journal" }, tempdir.list(dir))
      end
    end
  end)

  it("leaves a last line alone that is longer than any of ours", function()
    local text = FIRST .. "\n" .. ("x"):rep(2 ^ 24 + 4096)
    tempdir.write(path, text)
    fails("FILE_ERROR", "its last line has no end", path, "audit log")
    assert.is_true(text == tempdir.read(path))
  end)

  it("has one holder at a time", function()
    local journal = open()
    fails("CONFLICT", "is in use by another process", path, "audit log")
    journal:close()
    open():close()
  end)

  it("locks a run journal by a file that stays, so that a replaced one is locked, too", function()
    local journal = assert(core.journal(path, "run journal"))
    assert.same({ "run.journal", "run.journal.lock" }, tempdir.list(dir))
    local lock = core.file.stat(path .. ".lock")
    assert.equal("0600", lock.mode)
    for _, change in ipairs { "rm %s", "sed -i s/x/y/ %s", "touch %s" } do
      tempdir.shell(change:format(path))
      fails("CONFLICT", "is in use by another process", path, "run journal")
    end
    journal:close()
    assert(core.journal(path, "run journal")):close()
    assert.equal(lock.identity, core.file.stat(path .. ".lock").identity)
  end)

  it("is not opened beside a process of version 0.1.0, which locks the file itself", function()
    tempdir.write(path, FIRST_LINES["run journal"][2] .. "\n")
    local code = ('print((select(3, require "cce.core".journal(%q, "run journal"))))'):format(path)
    assert.equal("CONFLICT\n", tempdir.shell(("flock %s env %s"):format(path, tempdir.lua(code))))
  end)

  it("notices that its directory is a file now", function()
    assert(core.sys.mkdir(dir .. "/logs"))
    local journal = assert(core.journal(dir .. "/logs/one", "audit log"))
    tempdir.shell(("cd %s; mv logs old; touch logs"):format(dir))
    local ok, message = journal:append(FIRST)
    assert.is_nil(ok)
    assert.matches("was renamed while it was open", message, 1, true)
    journal:close()
    assert.equal("", tempdir.read(dir .. "/old/one"))
  end)

  it("notices what happens to the file, and appends nothing any more", function()
    local changes = {
      { "rm %s", "removed" }, { "mv %s %s.1", "renamed", ".1" },
      { "mv %s %s.1; touch %s", "replaced", ".1" }, { "sed -i s/x/y/ %s", "replaced" },
      { "truncate -s 0 %s", "shortened", "" }, { "truncate -s 9 %s", "shortened", "" },
      { "echo x >> %s", "written to by others", "" },
      { "mv %s %s.1; ln -s nowhere %s", "renamed", ".1" },
      { "truncate -s 9 %s; mv %s %s.1", "renamed", ".1" },
      { "echo x >> %s; mv %s %s.1", "renamed", ".1" },
    }
    for _, change in ipairs(changes) do
      tempdir.shell(("rm -f %s*"):format(path))
      local journal = open()
      assert(journal:append(FIRST))
      assert.is_nil((journal:lost()))
      tempdir.shell((change[1]:gsub("%%s", path)))
      local text, size = tempdir.read(path), journal:size()
      for _ = 1, 2 do
        for _, result in ipairs { { journal:append "two" }, { journal:reserve(4096) } } do
          assert.is_nil(result[1])
          assert.equal("FILE_ERROR", result[3])
          assert.matches(("was %s while it was open"):format(change[2]), result[2], 1, true)
        end
      end
      local why, now = journal:lost()
      assert.equal(change[2], why)
      if change[3] then assert.equal(path .. change[3], now) end
      assert.equal(size, journal:size())
      journal:close()
      assert.equal(text, tempdir.read(path))
    end
  end)

  it("is made where a link of its own user leads, and nothing is yet", function()
    tempdir.shell(("ln -s target %s"):format(path))
    local journal = open()
    assert.is_true(journal:append(FIRST))
    journal:close()
    assert.equal(FIRST .. "\n", tempdir.read(dir .. "/target"))
  end)

  it("follows a link of its own user's, and not that of another where all may put one", function()
    tempdir.write(dir .. "/target", FIRST .. "\n")
    tempdir.shell(("ln -s target %s"):format(path))
    local journal = open()
    assert.is_true(journal:append "two")
    journal:close()
    assert.equal(FIRST .. "\ntwo\n", tempdir.read(dir .. "/target"))
    if not tempdir.is_root() then return pending "needs root to give a link away" end
    tempdir.shell(("cd %s; chown -h 65534 run.journal; chmod 1777 ."):format(dir))
    for kind in pairs(FIRST_LINES) do
      fails("FILE_ERROR", "following its links: Permission denied", path, kind)
    end
    assert.same({ "run.journal", "target" }, tempdir.list(dir))
  end)

  it("is not made in a file that another user prepared, nor locked by one", function()
    if not tempdir.is_root() then return pending "needs root to give a file away" end
    tempdir.shell(("cd %s; touch run.journal; chown 65534 run.journal; chmod 1777 ."):format(dir))
    for kind in pairs(FIRST_LINES) do
      fails("FILE_ERROR", "it belongs to user 65534", path, kind)
    end
    tempdir.shell(("cd %s; mv run.journal run.journal.lock"):format(dir))
    fails("FILE_ERROR", "it belongs to user 65534", path, "run journal")
    assert.same({ "run.journal.lock" }, tempdir.list(dir))
  end)

  it("is refused when everybody may write to it, and it is another user's", function()
    if not tempdir.is_root() then return pending "needs root to give a file away" end
    tempdir.write(path, FIRST .. "\ntorn")
    tempdir.shell(("chmod 0666 %s; chown 65534 %s"):format(path, path))
    fails("FILE_ERROR", "it belongs to user 65534, and everybody may write to it (mode 0666)", path,
      "audit log")
    assert.equal(FIRST .. "\ntorn", tempdir.read(path))
    tempdir.shell(("chmod 0664 %s"):format(path))
    open():close()
    tempdir.shell(("chmod 0666 %s; chown 0 %s"):format(path, path))
    open():close()
  end)

  it("reserves room and gives it back", function()
    local journal = open()
    journal:append "one"
    assert.is_true(journal:reserve(100000))
    assert.equal(4, core.file.stat(path).size)
    for _, bytes in ipairs { 0, -1, 0.5, 2 ^ 30 + 1, 2 ^ 70, 0 / 0 } do
      assert.has_error(function() journal:reserve(bytes) end)
    end
    journal:close()
    assert.equal("one\n", tempdir.read(path))
    -- In blocks of 512 bytes.
    assert.is_true(tonumber(tempdir.shell("stat -c %b " .. path)) < 100)
  end)

  it("takes a line back that did not fit", function()
    -- A limit on the size of files stands for a full disk.
    local script = dir .. "/full.lua"
    tempdir.write(script, ([[
      local journal = assert(require("cce.core").journal(%q, "audit log"))
      print(journal:append(("a"):rep(400)))
      print(journal:append(("b"):rep(2000)))
      print(journal:append("c"))
      journal:close()]]):format(path))
    local output = tempdir.shell(("trap '' XFSZ; ulimit -f 1; exec %s %s"):format(
      support.interpreter(), script))
    assert.matches("^true\nnil\tcannot append to '.-': .-\tFILE_ERROR\ntrue\n$", output)
    assert.equal(("a"):rep(400) .. "\nc\n", tempdir.read(path))
  end)

  it("has room for the name of its lock file", function()
    local deep = dir .. ("/" .. ("d"):rep(250)):rep(16)
    tempdir.check("mkdir -p " .. deep)
    for _, length in ipairs { 4090, 4091 } do
      path = deep .. "/" .. ("n"):rep(length - #deep - 1)
      assert(core.journal(path, "audit log")):close()
      if length == 4090 then
        assert(core.journal(path, "run journal")):close()
      else
        fails("FILE_ERROR", "File name too long", path, "run journal")
      end
    end
  end)

  it("refuses what is no line, and what is no file", function()
    local journal = open()
    assert.equal("INVALID_ARGUMENT", (select(3, journal:append "a\nb")))
    journal:close()
    journal:close()
    assert.has_error(function() journal:append "x" end)
    tempdir.shell("mkfifo " .. dir .. "/fifo")
    for _, other in ipairs { dir, dir .. "/none/x", dir .. "/fifo", "/dev/null", "/dev/stdout", dir
      .. "/", "" } do
      assert.equal("FILE_ERROR", (select(3, core.journal(other, "audit log"))))
    end
    assert.has_error(function() core.journal() end)
    assert.has_error(function() core.journal(path) end)
    assert.has_error(function() core.journal(path, "diary") end)
    assert.has_error(function() core.journal("a\0b", "audit log") end)
  end)
end)

describe("core.sha256", function()
  it("hashes (FIPS 180-4) and authenticates (RFC 4231, case 2)", function()
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      core.sha256 "abc")
    local mac = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert.equal(mac, core.sha256("what do ya want for nothing?", "Jefe"))
    assert.equal(mac, core.sha256("what do ya want for nothing?", core.secret "Jefe"))
    assert.has_error(function() core.sha256("x", 1) end)
  end)
end)
