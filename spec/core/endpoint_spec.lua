local core = require "cce.core"
local server = require "spec.support.peer.server"

local LONG_HOST = ("h"):rep(253)
local LONG_PATH = "/" .. ("p"):rep(254)

-- What is accepted, and the Host header it stands for.
local accepted = {
  { "https://cce.example.com", "cce.example.com" },
  { "HTTPS://cce.example.com", "cce.example.com" },
  { "https://CCE.Example.com", "CCE.Example.com" },
  { "https://cce.example.com/", "cce.example.com" },
  { "https://cce.example.com:443", "cce.example.com" },
  { "https://cce.example.com:80", "cce.example.com:80" },
  { "https://cce.example.com:4", "cce.example.com:4" },
  { "https://cce.example.com:44", "cce.example.com:44" },
  { "https://cce.example.com:444", "cce.example.com:444" },
  { "https://cce.example.com:4430", "cce.example.com:4430" },
  { "https://cce.example.com:8443/", "cce.example.com:8443" },
  { "https://cce.example.com:1", "cce.example.com:1" },
  { "https://cce.example.com:65535", "cce.example.com:65535" },
  { "https://cce.example.com/prefix/v1", "cce.example.com" },
  { "https://cce.example.com" .. LONG_PATH, "cce.example.com" },
  { "https://" .. LONG_HOST, LONG_HOST },
  { "https://10.0.0.1", "10.0.0.1" },
  { "https://[2001:db8::1]", "[2001:db8::1]" },
  { "https://[2001:db8::1]:8443", "[2001:db8::1]:8443" },
  { "https://localhost:8443", "localhost:8443" },
  { "http://127.0.0.1:8080", "127.0.0.1:8080" },
  { "http://127.255.255.254", "127.255.255.254" },
  { "http://127.0.0.1:80", "127.0.0.1" },
  { "http://127.0.0.1:443", "127.0.0.1:443" },
  { "http://localhost:8080", "localhost:8080" },
  { "http://LocalHost:8080", "LocalHost:8080" },
  { "http://[::1]:8080", "[::1]:8080" },
}

local NO_SCHEME = "does not begin with https://"
local NO_HOST = "no host"
local USER_NAME = "must not hold a user name or password"
local BAD_HOST = "the host has characters that no host has"
local QUERY = "an address has neither a query nor a fragment"
local BAD_PORT = "the port is not a number from 1 to 65535"
local BAD_PATH = "not a plain path"
local NOT_LOOPBACK = "plain http goes to a loopback address only"

local refused = {
  { "", NO_SCHEME },
  { "cce.example.com", NO_SCHEME },
  { "//cce.example.com", NO_SCHEME },
  { "ftp://cce.example.com", NO_SCHEME },
  { "https:/cce.example.com", NO_SCHEME },
  { " https://cce.example.com", NO_SCHEME },
  { "file:///etc/passwd", NO_SCHEME },
  { "https://", NO_HOST },
  { "https:///path", NO_HOST },
  { "https:///", NO_HOST },
  { "https:////", NO_HOST },
  { "https://:443", NO_HOST },
  { "https://[]", NO_HOST },
  { "https://" .. LONG_HOST .. "h", NO_HOST },
  { "https://" .. LONG_HOST:rep(400), NO_HOST },
  { "https://user@cce.example.com", USER_NAME },
  { "https://user:password@cce.example.com", USER_NAME },
  { "https://cce.example.com@evil.example", USER_NAME },
  { "https://cce.example.com\\evil.example", BAD_HOST },
  { "https://cce.example.com%2eevil", BAD_HOST },
  { "https://cce.example.com?query=1", QUERY },
  { "https://cce.example.com#fragment", QUERY },
  { "https://cce.exa mple.com", BAD_HOST },
  { "https://cce.example.com\r\nX-Evil: 1", BAD_HOST },
  { "https://cce.example.com\n", BAD_HOST },
  { "https://cce.example.com\t", BAD_HOST },
  { "https://caf\195\169.example", BAD_HOST },
  { "https://-h", BAD_HOST },
  { "https://.h", BAD_HOST },
  { "https://[cce.example.com]", BAD_HOST },
  { "https://[127.0.0.1]", BAD_HOST },
  { "https://[::1%25eth0]", BAD_HOST },
  { "https://[fe80::1%eth0]", BAD_HOST },
  { "https://[::g]", BAD_HOST },
  { "https://[::1", "a bracket is not closed" },
  { "https://[::1]x", BAD_PATH },
  { "https://[::1]@evil.example", USER_NAME },
  { "https://2001:db8::1", BAD_PORT },
  { "https://cce.example.com:", BAD_PORT },
  { "https://cce.example.com:/", BAD_PORT },
  { "https://cce.example.com:0", BAD_PORT },
  { "https://cce.example.com:65536", BAD_PORT },
  { "https://cce.example.com:443443", BAD_PORT },
  { "https://cce.example.com:18446744073709551617", BAD_PORT },
  { "https://cce.example.com:-1", BAD_PORT },
  { "https://cce.example.com:+1", BAD_PORT },
  { "https://cce.example.com:4 3", BAD_PORT },
  { "https://cce.example.com:0x50", BAD_PORT },
  { "https://cce.example.com:443@evil.example", USER_NAME },
  { "https://cce.example.com:443?q", QUERY },
  { "https://cce.example.com/a?b=c", QUERY },
  { "https://cce.example.com/a#b", QUERY },
  { "https://cce.example.com/a b", BAD_PATH },
  { "https://cce.example.com/%2e%2e", BAD_PATH },
  { "https://cce.example.com/../a", BAD_PATH },
  { "https://cce.example.com/a/..", BAD_PATH },
  { "https://cce.example.com/a\r\nb", BAD_PATH },
  { "https://cce.example.com" .. LONG_PATH .. "p", "the path is too long" },
  { "http://cce.example.com", NOT_LOOPBACK },
  { "http://128.0.0.1", NOT_LOOPBACK },
  { "http://127.0.0.1.example.com", NOT_LOOPBACK },
  { "http://localhost.example.com", NOT_LOOPBACK },
  { "http://localhost.", NOT_LOOPBACK },
  { "http://0.0.0.0", NOT_LOOPBACK },
  { "http://127.1", NOT_LOOPBACK },
  { "http://2130706433", NOT_LOOPBACK },
  { "http://0177.0.0.1", NOT_LOOPBACK },
  { "http://[::2]", NOT_LOOPBACK },
  { "http://[::ffff:127.0.0.1]", NOT_LOOPBACK },
}

describe("core.endpoint", function()
  it("accepts what is safe, and names the Host header", function()
    for _, case in ipairs(accepted) do
      local host, message = core.endpoint(case[1])
      assert.equal(case[2], host, case[1] .. ": " .. tostring(message))
    end
  end)

  it("tells what is this machine", function()
    for text, expected in pairs {
      ["http://127.0.0.1:80"] = true, ["https://localhost"] = true, ["https://[::1]:1"] = true,
      ["https://127.example.com"] = false, ["https://10.0.0.1"] = false,
    } do
      assert.equal(expected, (select(3, core.endpoint(text))), text)
    end
  end)

  it("refuses the rest, and says why", function()
    for _, case in ipairs(refused) do
      local host, message, code = core.endpoint(case[1])
      assert.is_nil(host, case[1])
      assert.equal("INVALID_ARGUMENT", code)
      assert.matches(case[2], message, nil, true)
    end
  end)

  it("puts no control character and no endless text into a message", function()
    for _, text in ipairs { "https://a\r\nb", "https://a\27[2J", ("x"):rep(100000) } do
      local _, message = core.endpoint(text)
      assert.is_nil(message:find "%c")
      assert.is_true(#message < 300)
    end
  end)

  it("does not repeat a password that stands where none belongs", function()
    for _, text in ipairs {
      "https://user:%s@cce.example.com", "user:%s@cce.example.com",
      "https://user:a/%s@cce.example.com", "https://user:a/b@%s@cce.example.com",
      "https://user:a?%s@cce.example.com", "%s://a@b", "https://user:%s", "user:1%s/",
      "ftp://%s@cce.example.com", "user:%s://a@cce.example.com", "//user:%s@cce.example.com",
      "https://cce.example.com/?token=%s", "https://cce.example.com#%s",
      "http://%s@169.254.169.254",
      "https://user:#%s@cce.example.com", " https://user:%s@cce.example.com",
    } do
      for _, purpose in ipairs { "api", "metadata", "pod" } do
        local host, message = core.endpoint(text:format "not-a-real-password", purpose)
        assert.is_nil(host, text)
        assert.is_nil(message:find("not-a-real-password", 1, true), message)
      end
    end
    local _, message = core.endpoint "u:p@cce.example.com"
    assert.matches('"***@cce.example.com"', message, nil, true)
  end)

  it("survives every truncation of a long endpoint", function()
    local text = "https://[2001:db8::1]:8443/prefix/path~x"
    for length = 0, #text do
      local host, message = core.endpoint(text:sub(1, length))
      assert.is_true(type(host or message) == "string")
    end
  end)

  it("raises for what is no string", function()
    for _, value in ipairs { true, {}, print } do
      assert.has_error(function()
        core.endpoint(value)
      end)
    end
    assert.has_error(function()
      core.endpoint()
    end)
  end)

  it("refuses a zero byte inside", function()
    local ok, host = pcall(core.endpoint, "https://cce.example.com\0.evil.example")
    assert.is_true(not ok or host == nil)
  end)
end)

describe("an endpoint in use", function()
  local engine

  before_each(function()
    engine = core.engine()
  end)

  after_each(function()
    engine:close()
    server.stop_all()
  end)

  local function head_for(endpoint, request, host)
    local s = server.start(function(connection)
      connection:serve()
    end, { host = host })
    request.endpoint = endpoint:format(s.port)
    request.method = request.method or "GET"
    assert(engine:call(request))
    local seen = s:requests()[1]
    return seen, s
  end

  it("names its port in the Host header", function()
    local seen, s = head_for("http://127.0.0.1:%d", { path = "/a" })
    assert.equal("127.0.0.1:" .. s.port, seen.headers.host)
  end)

  it("goes to 127.0.0.1 as localhost, and says localhost", function()
    local seen, s = head_for("http://localhost:%d", { path = "/a" })
    assert.equal("localhost:" .. s.port, seen.headers.host)
  end)

  it("pins localhost even where a name server says otherwise", function()
    -- A server on the IPv6 loopback alone: what resolves the name may find it.
    local s = server.start(function(connection)
      connection:serve()
    end, { host = "::1" })
    -- On 127.0.0.1 nobody has this port; or another program, and then it answers.
    engine:call { endpoint = "http://localhost:" .. s.port, method = "GET", path = "/" }
    assert.equal(0, s:count "accept")
  end)

  it("may be an IPv6 address", function()
    local seen, s = head_for("http://[::1]:%d", { path = "/a" }, "::1")
    assert.equal(("[::1]:%d"):format(s.port), seen.headers.host)
  end)

  it("has a path that precedes the request's own", function()
    assert.equal("/prefix/v1/a", head_for("http://127.0.0.1:%d/prefix/v1/", { path = "/a" }).target)
  end)

  it("sends the path and the query that it signs", function()
    local signer = assert(core.signer { ak = "FAKEAK", sk = "not-a-real-key" })
    local seen = head_for("http://127.0.0.1:%d/pre~fix", {
      path = "/a b/\195\169/c%d/~x", query = { { "z", "1" }, { "a", "/ +" }, { "a", "" } },
      signer = signer, date = 1767323045, method = "POST", body = "{}",
      headers = { ["Content-Type"] = "application/json" },
    })
    assert.equal("/pre~fix/a%20b/%C3%A9/c%25d/~x?a=&a=%2F%20%2B&z=1", seen.target)
    local headers = signer:sign {
      method = "POST", host = seen.headers.host, path = "/pre~fix/a b/\195\169/c%d/~x",
      query = { { "z", "1" }, { "a", "/ +" }, { "a", "" } }, date = 1767323045, body = "{}",
      headers = { ["Content-Type"] = "application/json" },
    }
    assert.equal(headers.Authorization, seen.headers.authorization)
    assert.equal("20260102T030405Z", seen.headers["x-sdk-date"])
  end)

  it("does not collapse dots or slashes of a path", function()
    assert.equal("/a//./../b", head_for("http://127.0.0.1:%d", { path = "/a//./../b" }).target)
  end)
end)
