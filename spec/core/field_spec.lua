-- Parts of secret texts: secret:part, secret:text; bodies and headers made of secrets.

local core = require "cce.core"
local tempdir = require "spec.support.tempdir"

-- The only way to see what a secret holds: what it signs.
local function same(secret, text)
  local function sign(sk)
    return assert(core.signer { ak = "EXAMPLE", sk = sk }):signature("20260102T030405Z", "x")
  end
  return sign(secret) == sign(text)
end

local function json(text, ...)
  return assert(core.secret(text)):text("json", ...)
end

describe("a part of JSON", function()
  it("is found by its path", function()
    local text = '{"a":[1,{"b":"no"}],"c":{"x":null,"d":{"b":" yes "}},"b":"top","n":-1.5e3}'
    assert.equal(" yes ", json(text, "c", "d", "b"))
    assert.equal("top", json(text, "b"))
    assert.is_true(same(assert(core.secret(text)):part("json", "c", "d", "b"), " yes "))
    for _, path in ipairs { { "x" }, { "a" }, { "c" }, { "n" }, { "c", "x" }, { "b", "b" },
      { "a", "b" }, { "c", "d", "b", "e" } } do
      assert.is_nil(json(text, (table.unpack or unpack)(path)))
    end
  end)

  it("has its escapes resolved", function()
    assert.equal('"\\/\b\f\n\r\t', json([[{"a":"\"\\\/\b\f\n\r\t"}]], "a"))
    assert.equal("A\195\169\226\130\172\240\159\152\128",
      json([[{"a":"\u0041\u00e9\u20AC\ud83d\ude00"}]], "a"))
    assert.equal("\238\128\128\244\143\191\191", json([[{"a":"\ue000\udbff\udfff"}]], "a"))
  end)

  it("is found beside whatever else is there", function()
    for _, text in ipairs { ' {\t"x" : 1 ,\r\n "a" : "b" } ', '{"x":{},"y":[],"a":"b"}',
      '{"x":true ,"a":"b"}', '{"x":' .. ("["):rep(65) .. ("]"):rep(65) .. ',"a":"b"}' } do
      assert.equal("b", json(text, "a"), text)
    end
  end)

  it("is nothing in a text that is no JSON", function()
    for _, text in ipairs { "x", "{", '{"a"', '{"a":', '{"a":"', '{"a":"b', '{"a":"\\', '["a"]',
      '{"a":"\\x"}', '{"a":"\\u12"}', '{"a":"\\ud800"}', '{"a":"\\ud800\\u0041"}',
      '{"a":"\\udc00"}', '{"a":"\\u00zz"}', '{"a":"\\u00/0"}', '{"a":"\\ud800xudc00"}',
      '{"a":"\\ud800\\xdc00"}', '{"a":"\\ud800\\ue000"}', '{"a":"\\udfff"}', '{"x":1 2,"a":"b"}',
      '{"x":' .. ("["):rep(66) .. ("]"):rep(66) .. ',"a":"b"}',
      '{"a":"\n"}', '{"a":"b\n"}', '{a:"b"}', '{"x":,"a":"b"}', '{"x" "y","a":"b"}',
      '{"x":{"y":1,"a":"b"}', '{"a":""}', ("["):rep(1000), '{"x":' .. ("["):rep(1000) } do
      assert.is_nil(json(text, "a"), text)
    end
  end)

  it("is found or not found when the text is cut off anywhere", function()
    local text = '{"x":[true,"\\u00e9"],"credential":{"access":"A","secret":"S\\n"},"y":{}}'
    local first
    for length = 1, #text do
      local found = json(text:sub(1, length), "credential", "secret")
      first = first or found and length
      assert.equal(first and "S\n" or nil, found)
    end
    assert.equal(#'{"x":[true,"\\u00e9"],"credential":{"access":"A","secret":"S\\n"', first)
  end)
end)

describe("a part of an INI text", function()
  local TEXT = "ak=0\n[basic]\n# ak=1\n;ak=2\nak = 3 \nsk==4=\nempty=\nak=5\n[global]\nak=6"

  it("is found in its section", function()
    local secret = assert(core.secret(TEXT))
    assert.equal("5", secret:text("ini", "basic", "ak"))
    assert.equal("=4=", secret:text("ini", "basic", "sk"))
    assert.equal("6", secret:text("ini", "global", "ak"))
    assert.is_true(same(secret:part("ini", "basic", "ak"), "5"))
    for _, names in ipairs { { "basic", "empty" }, { "basic", "a" }, { "none", "ak" },
      { "global", "sk" } } do
      assert.is_nil(secret:text("ini", names[1], names[2]))
      assert.is_nil(secret:part("ini", names[1], names[2]))
    end
  end)

  it("reads a text of any length", function()
    local found = 0
    for length = 1, #TEXT do
      local secret = core.secret(TEXT:sub(1, length))
      if secret:text("ini", "global", "ak") then found = found + 1 end
    end
    assert.is_true(found > 0 and found < #TEXT)
  end)
end)

describe("parts", function()
  it("raise for wrong use", function()
    local secret = assert(core.secret "{}")
    assert.error_matches(function() secret:part("yaml", "a") end, "invalid option")
    assert.error_matches(function() secret:part "json" end, "names expected")
    assert.error_matches(function() secret:text("ini", "a") end, "a section and a key")
    assert.error_matches(function() secret:text("ini", "a", "") end, "empty")
    secret:close()
    assert.error_matches(function() secret:part("json", "a") end, "closed")
  end)

  it("that are long stay secrets", function()
    local long = ("x"):rep(2000)
    local secret = assert(core.secret('{"a":"' .. long .. '"}'))
    assert.is_nil(secret:text("json", "a"))
    assert.is_true(same(secret:part("json", "a"), long))
  end)
end)

describe("core.secret_from_private_file", function()
  local path

  before_each(function()
    path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write "example-secret\n"
    file:close()
  end)
  after_each(function() os.remove(path) end)

  local function chmod(mode) os.execute("chmod " .. mode .. " " .. path) end

  it("reads what its owner alone can use", function()
    for _, mode in ipairs { "600", "400", "700" } do
      chmod(mode)
      assert.is_true(same(assert(core.secret_from_private_file(path)), "example-secret"))
    end
  end)

  it("refuses every other", function()
    for _, mode in ipairs { "610", "620", "640", "601", "602", "604", "644" } do
      chmod(mode)
      local none, message, code = core.secret_from_private_file(path)
      assert.is_nil(none)
      assert.equal("FILE_ERROR", code)
      assert.is_truthy(message:find("mode 0" .. mode, 1, true), message)
    end
    assert.equal("FILE_ERROR", select(3, core.secret_from_private_file "/dev/null"))
    assert.equal("FILE_ERROR", select(3, core.secret_from_private_file(path .. "-none")))
  end)

  it("refuses what another user owns, although it is that one's alone", function()
    if not tempdir.is_root() then return pending "needs root to give a file away" end
    -- In a directory of ours, where no other rule refuses it.
    local dir = tempdir.new()
    finally(function() tempdir.remove(dir) end)
    tempdir.check(("cp %s %s/key && chmod 600 %s/key && chown 65534 %s/key"):format(path, dir, dir,
      dir))
    local none, message, code = core.secret_from_private_file(dir .. "/key")
    assert.is_nil(none)
    assert.equal("FILE_ERROR", code)
    assert.matches("belongs to another user (id 65534)", message, 1, true)
  end)
end)

describe("a request", function()
  local engine = assert(core.engine {})

  local function submit(changes)
    local request = { method = "POST", endpoint = "http://127.0.0.1:1", path = "/" }
    for name, value in pairs(changes) do request[name] = value end
    return engine:submit(request)
  end

  it("takes no line break from a secret into a header", function()
    local _, _, code = submit { headers = { A = core.secret "a\r\nB: c" } }
    assert.equal("INVALID_ARGUMENT", code)
  end)

  it("raises for what is no part of a body", function()
    assert.error_matches(function() submit { body = { 1 } } end, "string or cce.secret")
    assert.error_matches(function() submit { body = { io.stdout } } end, "string or cce.secret")
    local parts = {}
    for i = 1, 17 do parts[i] = "x" end
    assert.error_matches(function() submit { body = parts } end, "a list of 1 to 16 parts")
    assert.error_matches(function() submit { purpose = "any" } end, "metadata or pod")
    assert.error_matches(function() submit { connect_timeout = 0 } end, "0.001 to 3600")
  end)
end)
