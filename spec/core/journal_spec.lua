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

  local function open()
    return assert(core.journal(path))
  end

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
    journal:append "one"
    journal:close()
    journal = open()
    journal:append "two"
    journal:close()
    assert.equal("one\ntwo\n", tempdir.read(path))
  end)

  it("cuts off a line that was torn, of any length", function()
    for _, length in ipairs { 1, 4095, 4096, 4097, 10000 } do
      tempdir.write(path, "one\n" .. ("x"):rep(length))
      local journal = open()
      assert.equal(4, journal:size())
      journal:append "two"
      journal:close()
      assert.equal("one\ntwo\n", tempdir.read(path))
      tempdir.write(path, ("x"):rep(length))
      open():close()
      assert.equal("", tempdir.read(path))
    end
  end)

  it("has one holder at a time", function()
    local journal = open()
    local second, message, code = core.journal(path)
    assert.is_nil(second)
    assert.equal("CONFLICT", code)
    assert.matches("is in use by another process", message, 1, true)
    journal:close()
    open():close()
  end)

  it("reserves room and gives it back", function()
    local journal = open()
    journal:append "one"
    assert.is_true(journal:reserve(100000))
    assert.equal(4, core.file.stat(path).size)
    journal:close()
    assert.equal("one\n", tempdir.read(path))
  end)

  it("takes a line back that did not fit", function()
    -- A limit on the size of files stands for a full disk.
    local script = dir .. "/full.lua"
    tempdir.write(script, ([[
      local journal = assert(require("cce.core").journal(%q))
      print(journal:append(("a"):rep(400)))
      print(journal:append(("b"):rep(2000)))
      print(journal:append("c"))
      journal:close()]]):format(path))
    local output = tempdir.shell(("trap '' XFSZ; ulimit -f 1; exec %s %s"):format(
      support.interpreter(), script))
    assert.matches("^true\nnil\tcannot append to '.-': .-\tFILE_ERROR\ntrue\n$", output)
    assert.equal(("a"):rep(400) .. "\nc\n", tempdir.read(path))
  end)

  it("refuses what is no line, and what is no file", function()
    local journal = open()
    assert.equal("INVALID_ARGUMENT", (select(3, journal:append "a\nb")))
    journal:close()
    journal:close()
    assert.has_error(function() journal:append "x" end)
    assert.equal("FILE_ERROR", (select(3, core.journal(dir))))
    assert.equal("FILE_ERROR", (select(3, core.journal(dir .. "/none/x"))))
    assert.equal("FILE_ERROR", (select(3, core.journal("/dev/null"))))
    assert.has_error(function() core.journal() end)
    assert.has_error(function() core.journal("a\0b") end)
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
