-- cce.secret: bytes that go in and never come out.

local core = require "cce.core"
local tempdir = dofile "spec/support/tempdir.lua"

local SECRET = "not-a-real-secret-value"
local SHELL_VARIABLE = "LUA_CCE_SPEC_ABSENT_VARIABLE"

local function check(value, message)
  if value == nil then
    error(tostring(message), 2)
  end
  return value
end

-- The only way to see what a secret holds: what it signs.
local function same_secret(secret, text)
  local date = "20260102T030405Z"
  local ours = check(core.signer { ak = "EXAMPLE", sk = secret }):signature(date, "x")
  return ours == check(core.signer { ak = "EXAMPLE", sk = text }):signature(date, "x")
end

local function with_file(content, run)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  file:write(content)
  file:close()
  local ok, message = pcall(run, path)
  os.remove(path)
  if not ok then
    error(message, 0)
  end
end

describe("core.secret", function()
  it("keeps the bytes it is given", function()
    assert.is_true(same_secret(check(core.secret(SECRET)), SECRET))
    assert.is_true(same_secret(check(core.secret("a\0b\n")), "a\0b\n"))
    assert.is_false(same_secret(check(core.secret("a\0b")), "a\0c"))
  end)

  it("shows nothing", function()
    local secret = check(core.secret(SECRET))
    assert.equal("cce.secret: ***", tostring(secret))
    assert.error(function() return #secret end)
    assert.error(function() return secret .. "" end)
    assert.is_nil(secret.data)
    assert.is_nil(secret.length)
    secret:close()
    assert.equal("cce.secret: ***", tostring(secret))
  end)

  it("refuses the empty string and more than 64 KiB", function()
    for _, bad in ipairs { "", ("x"):rep(65537) } do
      local value, message, code = core.secret(bad)
      assert.is_nil(value)
      assert.equal("INVALID_ARGUMENT", code)
      assert.is_nil(message:find("xx", 1, true))
    end
    check(core.secret(("x"):rep(65535)))
    check(core.secret(("x"):rep(65536)))
  end)

  it("raises for what is no string", function()
    for _, bad in ipairs { 1, true, {}, print } do
      assert.error(function() core.secret(bad) end)
    end
    assert.error(function() core.secret() end)
  end)

  it("may be closed twice, and closes nothing else", function()
    local secret = check(core.secret(SECRET))
    secret:close()
    secret:close()
    assert.error(function() secret.close({}) end)
    assert.error(function() secret.close(io.stdout) end)
    assert.error(function() secret.close() end)
  end)

  it("is a class of its own that scripts cannot reach into", function()
    assert.equal("protected", getmetatable(check(core.secret(SECRET))))
  end)
end)

describe("core.secret_from_env", function()
  it("reads a variable", function()
    local value = os.getenv("HOME") or os.getenv("PATH")
    local name = os.getenv("HOME") and "HOME" or "PATH"
    assert.is_true(same_secret(check(core.secret_from_env(name)), value))
  end)

  it("names the variable that is not set", function()
    local value, message, code = core.secret_from_env(SHELL_VARIABLE)
    assert.is_nil(value)
    assert.equal("NO_CREDENTIALS", code)
    assert.matches(SHELL_VARIABLE, message)
  end)

  it("takes one that is empty for one that is not set", function()
    for _, value in ipairs { "", "\239\187\191" } do
      assert.equal("nil\tNO_CREDENTIALS\n", tempdir.shell(SHELL_VARIABLE .. "=" .. value .. " "
        .. tempdir.lua(('local s, _, code = require "cce.core".secret_from_env %q print(s, code)')
          :format(SHELL_VARIABLE))))
    end
  end)

  it("raises for what is no name", function()
    for _, bad in ipairs { 1, true, {}, "", "A\0B" } do
      assert.error(function() core.secret_from_env(bad) end)
    end
    assert.error(function() core.secret_from_env() end)
  end)
end)

describe("the memory of a secret", function()
  it("is given back", function()
    local text = ("x"):rep(65536)
    local function size()
      local file = assert(io.open "/proc/self/status")
      local status = file:read "*a"
      file:close()
      return tonumber(status:match "VmSize:%s*(%d+)")
    end
    local before = size()
    for _ = 1, 200 do check(core.secret(text)):close() end
    assert.is_true(size() - before < 6000)
  end)

  -- Under a checker, other libraries are preloaded.
  it("is wiped before it is given back #unchecked", function()
    local spy = os.getenv "CCE_TEST_ROOT" .. "/build/tools/unmap_spy.so"
    local function told(code)
      return tempdir.shell(("CCE_SPY=%s LD_PRELOAD=%s env %s"):format("not-a-real-spied-key", spy,
        tempdir.lua('local core = require "cce.core" ' .. code)))
    end
    assert.equal("", told [[
      -- From the environment: a string of Lua is given back as it is.
      core.secret_from_env "CCE_SPY":close()
      local s = core.secret_from_env "CCE_SPY"
      local signer = core.signer { ak = "EXAMPLE", sk = s }
      s:close()
      signer:close()]])
  end)
end)

describe("secrets from files that others may have prepared", function()
  local dir

  before_each(function()
    dir = tempdir.new()
    tempdir.write(dir .. "/key", SECRET)
    tempdir.check("chmod 600 " .. dir .. "/key")
  end)

  after_each(function() tempdir.remove(dir) end)

  it("are refused where everybody may put one", function()
    if not tempdir.is_root() then return pending "needs root to give a file away" end
    tempdir.check(("cd %s; ln -s key link; chown -h 65534 link"):format(dir))
    for _, read in ipairs { core.secret_from_file, core.secret_from_private_file } do
      tempdir.check(("cd %s; chmod 700 .; chown 0 key"):format(dir))
      assert(read(dir .. "/link"))
      tempdir.check(("cd %s; chmod 1777 ."):format(dir))
      assert(read(dir .. "/key"))
      local secret, message, code = read(dir .. "/link")
      assert.is_nil(secret)
      assert.equal("FILE_ERROR", code)
      assert.matches("following its links: Permission denied", message, 1, true)
      tempdir.check(("cd %s; chown 65534 key"):format(dir))
      secret, message, code = read(dir .. "/key")
      assert.is_nil(secret)
      assert.equal("FILE_ERROR", code)
      assert.matches("it belongs to user 65534", message, 1, true)
    end
  end)

  it("are read from a pipe, and from a descriptor", function()
    local code = 'print(require "cce.core".secret_from_file "%s")'
    for _, path in ipairs { "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0" } do
      for _, command in ipairs { "cat %s/key | env %s", "env < %s/key %s" } do
        assert.matches("^cce.secret", tempdir.shell(command:format(dir, tempdir.lua(
          code:format(path)))))
      end
    end
  end)
end)

describe("core.secret_from_file", function()
  it("reads a file and drops a byte order mark and one final newline", function()
    for content, expected in pairs {
      [SECRET] = SECRET,
      [SECRET .. "\n"] = SECRET,
      [SECRET .. "\r\n"] = SECRET,
      [SECRET .. "\n\n"] = SECRET .. "\n",
      [SECRET .. "\r"] = SECRET .. "\r",
      ["a\0b\n"] = "a\0b",
      ["\239\187\191" .. SECRET .. "\r\n"] = SECRET,
      ["\239\187\191\239\187\191"] = "\239\187\191",
      [SECRET .. "\239\187\191"] = SECRET .. "\239\187\191",
      ["\239\187"] = "\239\187",
      [" x "] = " x ",
    } do
      with_file(content, function(path)
        assert.is_true(same_secret(check(core.secret_from_file(path)), expected))
      end)
    end
  end)

  it("refuses a file that is empty or larger than 64 KiB", function()
    for _, content in ipairs { "", "\n", "\r\n", "\239\187\191\n", ("x"):rep(65537),
      ("x"):rep(65536) .. "\n" } do
      with_file(content, function(path)
        local value, message, code = core.secret_from_file(path)
        assert.is_nil(value)
        assert.equal("FILE_ERROR", code)
        assert.is_truthy(message:find(path, 1, true))
      end)
    end
    for _, length in ipairs { 65535, 65536 } do
      with_file(("x"):rep(length), function(path)
        assert.is_true(same_secret(check(core.secret_from_file(path)), ("x"):rep(length)))
      end)
    end
  end)

  it("says why a file cannot be read", function()
    for path, reason in pairs { ["/nonexistent/secret"] = "No such file", ["/"] = "directory" } do
      local value, message, code = core.secret_from_file(path)
      assert.is_nil(value)
      assert.equal("FILE_ERROR", code)
      assert.matches(reason, message)
      assert.is_truthy(message:find(path, 1, true))
    end
  end)

  it("raises for what is no path", function()
    for _, bad in ipairs { 1, true, {}, "", "a\0b" } do
      assert.error(function() core.secret_from_file(bad) end)
    end
    assert.error(function() core.secret_from_file() end)
  end)
end)
