-- What one call of core.engine does: options, requests, answers, limits, time-outs.
local core = require "cce.core"
local server = require "spec.support.peer.server"
local sys = core.sys

local engine

before_each(function()
  engine = core.engine()
end)

after_each(function()
  engine:close()
  server.stop_all()
end)

local function request_to(s, changes)
  local request = { endpoint = s.url, method = "GET", path = "/", timeout = 10 }
  for key, value in pairs(changes or {}) do
    request[key] = value
  end
  return request
end

local function call(s, changes)
  return engine:call(request_to(s, changes))
end

-- One connection that gets `bytes` for its first request, and is closed.
local function server_that_says(bytes)
  return server.start(function(connection)
    connection:request()
    connection:send(connection.data.bytes)
    connection:close()
  end, { data = { bytes = bytes } })
end

local function call_answered_by(bytes, changes)
  return call(server_that_says(bytes), changes)
end

local function answer(body, status)
  return ("HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s"):format(status or "200 OK", #body, body)
end

local function assert_raises(pattern, fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok)
  assert.matches(pattern, message)
end

local function assert_failed(code, response, message, actual_code, more)
  assert.is_nil(response)
  assert.equal(code, actual_code, message)
  assert.equal("string", type(message))
  assert.equal("boolean", type(more.sent))
  assert.equal("boolean", type(more.untrusted))
  return more, message
end

describe("core.engine's options", function()
  it("may all be left out, or all be given", function()
    assert.has_no_error(function() core.engine {}:close() end)
    local full = core.engine {
      ca_file = "/etc/ssl/certs/ca-certificates.crt", proxy = "http://127.0.0.1:1",
      no_proxy = "localhost", user_agent = "spec", max_connections = 3, max_idle = 5,
      connect_timeout = 0.5,
    }
    assert.has_no_error(function() full:close() end)
  end)

  local wrong = {
    { { ca_file = 1 }, "ca_file.*string expected, got number" },
    { { proxy = true }, "proxy.*string expected" },
    { { no_proxy = {} }, "no_proxy.*string expected" },
    { { user_agent = 5 }, "user_agent.*string expected" },
    { { user_agent = "a\0b" }, "user_agent.*zero byte" },
    { { max_connections = "3" }, "max_connections.*number expected" },
    { { max_connections = 0 }, "max_connections.*out of range" },
    { { max_connections = -1 }, "max_connections.*out of range" },
    { { max_connections = 0 / 0 }, "max_connections.*out of range" },
    { { max_connections = math.huge }, "max_connections.*out of range" },
    { { max_idle = 0 }, "max_idle.*out of range" },
    { { max_idle = true }, "max_idle.*number expected" },
    { { connect_timeout = 0 }, "connect_timeout.*out of range" },
    { { connect_timeout = "1" }, "connect_timeout.*number expected" },
    { { conect_timeout = 1 }, "unknown option 'conect_timeout'" },
    { { "https" }, "name must be a string" },
  }

  it("raise when they are wrong", function()
    for _, case in ipairs(wrong) do
      assert_raises(case[2], core.engine, case[1])
    end
    assert_raises("table expected", core.engine, "https://cce.example.com")
  end)

  it("include a user agent that cannot bring a header of its own", function()
    local s = server.start(function(connection)
      connection:serve()
    end)
    engine:close()
    local ok, made = pcall(core.engine, { user_agent = "a\r\nX-Evil: 1" })
    engine = ok and made or core.engine()
    call(s)
    for _, request in ipairs(s:requests()) do
      assert.is_nil(request.headers["x-evil"])
    end
  end)
end)

describe("a request", function()
  local s

  before_each(function()
    s = server.start(function(connection)
      connection:serve()
    end)
  end)

  local wrong = {
    { { method = 1 }, "method.*string expected" },
    { { path = false }, "path.*string expected" },
    { { endpoint = 1 }, "endpoint.*string expected" },
    { { endpoint = "http://127.0.0.1\0.example.com" }, "endpoint.*zero byte" },
    { { body = {} }, "body.*a string expected, or a list" },
    { { body = 1 }, "body.*string expected" },
    { { mutating = 1 }, "mutating.*boolean expected" },
    { { timeout = "1" }, "timeout.*number expected" },
    { { timeout = 0 }, "timeout.*seconds" },
    { { timeout = -1 }, "timeout.*seconds" },
    { { timeout = 86401 }, "timeout.*seconds" },
    { { timeout = 0 / 0 }, "timeout.*seconds" },
    { { max_response = 0 }, "max_response.*bytes" },
    { { max_response = 2 ^ 31 }, "max_response.*bytes" },
    { { date = true }, "date.*string or number expected" },
    { { query = "a=b" }, "query.*table expected" },
    { { query = { "a" } }, "query.*{name, value}" },
    { { query = { { "a" } } }, "query.*{name, value}" },
    { { query = { { "a", print } } }, "query.*string, number or boolean" },
    { { headers = "a: b" }, "headers.*table expected" },
    { { headers = { ["X-A"] = 1 } }, "headers.*expected" },
    { { headers = { ["X-A"] = io.stdout } }, "headers.*cce.secret expected" },
    { { headers = { "a" } }, "headers.*expected" },
    { { host = "cce.example.com" }, "unknown option 'host'" },
    { { signed_headers = { "x-sdk-date" } }, "unknown option 'signed_headers'" },
    { { ["timeout\0"] = 1 }, "unknown option" },
    { { signer = "ak:sk" }, "signer" },
    { { token = 1 }, "token" },
    { { tiemout = 1 }, "unknown option 'tiemout'" },
  }

  it("raises when it is wrong, and sends nothing", function()
    for _, case in ipairs(wrong) do
      assert_raises(case[2], call, s, case[1])
      assert_raises(case[2], engine.submit, engine, request_to(s, case[1]))
    end
    for _, name in ipairs { "endpoint", "method", "path" } do
      local request = request_to(s)
      request[name] = nil
      assert_raises(name, engine.call, engine, request)
    end
    assert_raises("table expected", engine.call, engine, "/")
    assert.equal(0, engine:in_flight())
    assert.equal(0, s:count "accept")
  end)

  -- What a request may hold is one set of rules: that of signer:sign.
  it("is refused when it is no request, signed or not, and nothing is sent", function()
    local signer = assert(core.signer { ak = "FAKEAK", sk = "not-a-real-key" })
    local many = {}
    for i = 1, 65 do many["X-" .. i] = "v" end
    local refused = {
      { { date = "now" }, "date" }, { { date = -1 }, "date" }, { { date = 1e300 }, "date" },
      { { date = 0 / 0 }, "date" }, { { query = { a = 0.5 } }, "query" },
      { { method = "" }, "method" }, { { method = "GE T" }, "method" },
      { { method = "M\0" }, "method" }, { { method = ("M"):rep(16) }, "method" },
      { { path = "5/x" }, "path must begin with a slash" },
      { { path = ".evil.example/x" }, "path must begin with a slash" },
      { { path = "@evil.example/x" }, "path must begin with a slash" },
      { { path = "?a=b" }, "path must begin with a slash" },
      { { headers = { ["X-A"] = "a\0b" } }, "x%-a has a control character" },
      { { headers = { ["X-A"] = "1", ["x-a"] = "2" } }, "is given twice" },
      { { headers = { Host = "evil.example" } }, "header host is" },
      { { headers = { hOST = "evil.example" } }, "header host is" },
      { { headers = { ["Content-Length"] = "1" } }, "not for the caller" },
      { { headers = { ["transfer-encoding"] = "chunked" } }, "not for the caller" },
      { { headers = many }, "at most 64 headers" },
    }
    for _, case in ipairs(refused) do
      for _, how in ipairs { { signer = signer }, { token = "fake-token" }, {} } do
        local request = request_to(s, case[1])
        for key, value in pairs(how) do request[key] = value end
        local response, message, code = engine:call(request)
        assert.is_nil(response)
        assert.equal("INVALID_ARGUMENT", code)
        assert.matches(case[2], message:lower())
      end
    end
    assert.equal(0, s:count "accept")
  end)

  it("may name its own host", function()
    assert(call(s, { headers = { host = s.url:match "//(.*)" } }))
    local head = s:requests()[1]
    assert.equal(s.url:match "//(.*)", head.headers.host)
  end)

  it("may have any value in its query that a signer takes", function()
    local query = { n = 3, yes = true, list = { "b", "a" } }
    for i = 1, 65 do query[#query + 1] = { "p", i } end
    assert(call(s, { query = query }))
    local target = s:requests()[1].target
    assert.matches("list=a&list=b&n=3&p=1&p=10&", target, nil, true)
    assert.matches("&p=65&p=7&", target, nil, true)
    assert.matches("yes=true$", target)
  end)

  it("has a token without a zero byte, which would cut it", function()
    for _, token in ipairs { "fake\0-token", "", "fake\n", core.secret "fake\0-token" } do
      local response, _, code = call(s, { token = token })
      assert.is_nil(response)
      assert.equal("INVALID_ARGUMENT", code)
    end
    local _, _, code = call(s, { token = "a", headers = { ["x-auth-token"] = "b" } })
    assert.equal("INVALID_ARGUMENT", code)
    assert.equal(0, s:count "accept")
  end)

  it("is signed with the date and the token that its headers hold, each sent once", function()
    local signer = assert(core.signer { ak = "FAKEAK", sk = "not-a-real-key",
      security_token = "fake-token" })
    assert(call(s, { signer = signer, headers = { ["X-Sdk-Date"] = "20260102T030405Z",
      ["x-security-token"] = "fake-token" } }))
    local headers = s:requests()[1].headers
    assert.equal("20260102T030405Z", headers["x-sdk-date"])
    assert.equal("fake-token", headers["x-security-token"])
    assert.is_nil((call(s, { signer = signer, headers = { Authorization = "x" } })))
  end)

  it("has a signer or a token, not both", function()
    local signer = assert(core.signer { ak = "FAKEAK", sk = "not-a-real-key" })
    assert_raises("not both", call, s, { signer = signer, token = "fake-token" })
    assert.equal(200, call(s, { token = "fake-token" }).status)
    assert.equal("fake-token", s:requests()[1].headers["x-auth-token"])
  end)

  it("brings its headers, its body and its method", function()
    for _, method in ipairs { "GET", "POST", "PUT", "DELETE", "PATCH" } do
      local body = method ~= "GET" and "{\"a\":1}" or nil
      local response = assert(call(s, {
        method = method, body = body, path = "/" .. method,
        headers = { ["X-Empty"] = "", ["X-A"] = "b" },
      }))
      assert.equal(200, response.status)
      assert.equal(body or "", response.body)
    end
    for i, request in ipairs(s:requests()) do
      assert.equal(({ "GET", "POST", "PUT", "DELETE", "PATCH" })[i], request.method)
      assert.equal("/" .. request.method, request.target)
      assert.equal("", request.headers["x-empty"])
      assert.equal("b", request.headers["x-a"])
      assert.is_nil(request.headers.expect)
    end
  end)

  it("brings a header that is longer than all else", function()
    local long = ("b"):rep(3000)
    assert(call(s, { headers = { ["X-A"] = long } }))
    assert.equal(long, s:requests()[1].headers["x-a"])
  end)

  it("may have an empty body, and any byte in it", function()
    assert(call(s, { method = "POST" }))
    assert(call(s, { method = "POST", body = "" }))
    for _, request in ipairs(s:requests()) do
      assert.equal("0", request.headers["content-length"])
    end
    local bytes = {}
    for byte = 0, 255 do
      bytes[#bytes + 1] = string.char(byte)
    end
    assert(call(server.start(function(connection)
      local body = connection:request().body
      local sum = 0
      for i = 1, #body do
        sum = sum + i * body:byte(i)
      end
      connection:answer("200 OK", tostring(sum))
    end), { method = "POST", body = table.concat(bytes) }))
  end)

  it("cannot smuggle a header", function()
    for _, headers in ipairs {
      { ["X-A"] = "b\r\nX-Evil: 1" }, { ["X-A"] = "b\nX-Evil: 1" }, { ["X-A"] = "b\rX-Evil: 1" },
      { ["X-A\r\nX-Evil"] = "1" }, { ["X-Evil: 1\nX-A"] = "1" }, { ["X A"] = "1" }, { [""] = "1" },
      { ["X-A:"] = "1" },
    } do
      local response, message, code = call(s, { headers = headers })
      assert.is_nil(response)
      assert.equal("INVALID_ARGUMENT", code)
      assert.is_nil(message:find "%c")
    end
    local response, _, code = call(s, { token = "a\r\nX-Evil: 1" })
    assert.is_nil(response)
    assert.equal("INVALID_ARGUMENT", code)
    assert.equal(0, s:count "request")
  end)

  it("cannot smuggle a request in its method or path", function()
    local methods = { "GET / HTTP/1.1\r\nX-Evil: 1\r\nX-A:", "GE T", "", "get\n", ("M"):rep(40) }
    for _, method in ipairs(methods) do
      pcall(call, s, { method = method })
    end
    for _, path in ipairs { "/a\r\nX-Evil: 1", "/a HTTP/1.1\r\n\r\n", "/?x=1#y", "\0" } do
      pcall(call, s, { path = path })
    end
    assert.equal(0, s:count "malformed")
    for _, request in ipairs(s:requests()) do
      assert.is_nil(request.headers["x-evil"])
      assert.matches("^/[^?# ]*$", request.target)
      assert.equal("GET", request.method)
    end
  end)

  it("may be too long to be sent, which is no surprise", function()
    for _, changes in ipairs {
      { path = "/" .. ("p"):rep(20000) }, { query = { { "a", ("v"):rep(20000) } } },
    } do
      local response, message, code = call(s, changes)
      assert.is_nil(response)
      assert.equal("INVALID_ARGUMENT", code, message)
      assert.matches("too long", message)
      assert.is_true(#message < 300)
    end
  end)

  it("carries a body of many megabytes", function()
    local response = assert(call(s, { method = "POST", body = ("b"):rep(8 * 1024 * 1024) }))
    assert.equal("8388608 bytes", response.body)
  end)
end)

describe("an answer", function()
  it("has a status, lower-case headers, a body and a duration", function()
    local before = sys.monotonic()
    local response = assert(call_answered_by("HTTP/1.1 418 Short\r\nX-Upper-Case:  a b \r\n"
      .. "x-twice: 1\r\nX-Twice: 2\r\nX-Empty:\r\nContent-Length: 4\r\n\r\nbody"))
    assert.equal(418, response.status)
    assert.equal("body", response.body)
    assert.equal("a b", response.headers["x-upper-case"])
    assert.equal("1, 2", response.headers["x-twice"])
    assert.equal("", response.headers["x-empty"])
    assert.is_true(response.seconds > 0 and response.seconds <= sys.monotonic() - before)
  end)

  it("of any status is an answer", function()
    for _, status in ipairs { "200 OK", "401 No", "404 No", "429 No", "500 No", "503 No" } do
      local response = assert(call_answered_by(answer("{}", status)))
      assert.equal(tonumber(status:match "%d+"), response.status)
    end
  end)

  it("that redirects is not followed", function()
    for _, status in ipairs { "301 Moved", "302 Found", "303 See", "307 Again", "308 For Good" } do
      local target = server_that_says(answer "followed")
      local response = assert(call_answered_by(("HTTP/1.1 %s\r\nLocation: %s/\r\n"):format(status,
        target.url) .. "Content-Length: 0\r\n\r\n", { method = "POST", body = "{}" }))
      assert.equal(tonumber(status:match "%d+"), response.status)
      assert.equal(target.url .. "/", response.headers.location)
      assert.equal(0, target:count "accept")
    end
  end)

  it("may have no body", function()
    assert.equal("", assert(call_answered_by "HTTP/1.1 204 No Content\r\n\r\n").body)
    assert.equal("", assert(call_answered_by "HTTP/1.1 304 Not Modified\r\n\r\n").body)
    assert.equal("", assert(call_answered_by(answer "")).body)
  end)

  it("may end with the connection", function()
    assert.equal("text", assert(call_answered_by "HTTP/1.1 200 OK\r\n\r\ntext").body)
    assert.equal("text", assert(call_answered_by "HTTP/1.0 200 OK\r\n\r\ntext").body)
  end)

  it("may be chunked, with trailers", function()
    local response = assert(call_answered_by("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      .. "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-Trailer: 1\r\n\r\n"))
    assert.equal("abcdefg", response.body)
    assert.is_nil(response.headers["x-trailer"])
  end)

  it("is not undone by a trailer that looks like a head", function()
    for _, trailer in ipairs { "HTTP/1.1: 500 No\r\n", "HTTP/: x\r\nX-Amz: 1\r\n",
      "Retry-After: 9\r\n", "HTTP/1.1 100 Continue: 1\r\nA: b\r\n" } do
      local response, message = call_answered_by("HTTP/1.1 200 OK\r\nX-A: b\r\n"
        .. "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n" .. trailer .. "\r\n")
      assert.equal(200, response and response.status, message)
      assert.equal("abc", response.body)
      assert.equal("b", response.headers["x-a"])
      assert.is_nil(response.headers["retry-after"])
    end
  end)

  it("is invalid with a trailer that is none", function()
    local response, message, code = call_answered_by("HTTP/1.1 200 OK\r\n"
      .. "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nHTTP/1.1 500 No\r\n\r\n")
    assert.is_true(response and response.status == 200 or code == "RESPONSE_INVALID", message)
  end)

  it("may follow a 100 Continue", function()
    local response = assert(call_answered_by("HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\n"
      .. "HTTP/1.1 103 Early Hints\r\nX-Early: 2\r\n\r\n" .. answer("late", "201 Created"),
      { method = "POST", body = "{}" }))
    assert.equal(201, response.status)
    assert.equal("late", response.body)
    assert.is_nil(response.headers["x-early"])
  end)

  it("may come before the whole body was taken", function()
    local s = server.start(function(connection)
      connection:head()
      connection:answer("413 Too Large", "too large", "Connection: close\r\n")
      while connection.socket:read(65536) do end
    end)
    local response, message = call(s, { method = "POST", body = ("b"):rep(4 * 1024 * 1024) })
    assert.equal(413, response and response.status, message)
  end)

  it("has no secret in a body or a header that it lacks", function()
    for _, name in ipairs { false, "X-None", "X-Empty" } do
      local transfer = assert(engine:submit(request_to(server_that_says(
        "HTTP/1.1 200 OK\r\nX-Empty:\r\nContent-Length: 0\r\n\r\n"), { private = true })))
      while not transfer:finished() do engine:step(1) end
      local secret, message, code = transfer:secret(name or nil)
      assert.is_nil(secret)
      assert.equal("RESPONSE_INVALID", code)
      assert.equal("the answer has no " .. (name or "body"), message)
      transfer:close()
    end
  end)
end)

describe("an answer that is cut off or no answer at all", function()
  local cut = {
    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nonly this",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
  }

  it("is CONNECTION_LOST when bytes are missing", function()
    for _, bytes in ipairs(cut) do
      local more = assert_failed("CONNECTION_LOST", call_answered_by(bytes))
      assert.is_true(more.sent)
      assert.is_false(more.untrusted)
    end
  end)

  it("is CONNECTION_LOST when nothing comes", function()
    assert.is_true(assert_failed("CONNECTION_LOST", call_answered_by "").sent)
  end)

  it("is CONNECTION_LOST when the connection is reset", function()
    local s = server.start(function(connection)
      connection:head()
      connection:close()
    end)
    local more = assert_failed("CONNECTION_LOST",
      call(s, { method = "POST", body = ("b"):rep(1024 * 1024) }))
    assert.is_true(more.sent)
  end)

  it("is RESPONSE_INVALID when it is no HTTP", function()
    local answers = { "SSH-2.0-OpenSSH_9.2\r\n", "\0\1\2\3\4\5\6\7\8", "<html></html>\n\n",
      "HTTP/1.1 abc OK\r\n\r\n" }
    -- libcurl 7.74 lets any number pass.
    if not core.libraries():find "libcurl/7%.7" then
      answers[#answers + 1] = "HTTP/9.9 200 OK\r\n\r\n"
    end
    for _, bytes in ipairs(answers) do
      local more = assert_failed("RESPONSE_INVALID", call_answered_by(bytes))
      assert.is_true(more.sent)
    end
  end)

  it("never is an answer when its length or chunks make no sense", function()
    for _, lines in ipairs { "Content-Length: -1", "Content-Length: 99999999999999999999",
      "Content-Length: abc", "Transfer-Encoding: chunked" } do
      local response, message, code, more = call_answered_by("HTTP/1.1 200 OK\r\n" .. lines
        .. "\r\n\r\nzz\r\nbody")
      assert.is_nil(response, lines)
      assert.is_true(more.sent, message)
      assert.is_true(code == "RESPONSE_INVALID" or code == "RESPONSE_TOO_LARGE"
        or code == "CONNECTION_LOST", code .. " " .. message)
    end
  end)

  it("has a message without control characters", function()
    local _, message = call_answered_by "HTTP/1.1 \27[2Jabc\r\n\r\n"
    assert.is_nil(message:find "%c")
  end)

  it("is an answer or an error wherever it is cut", function()
    local whole = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-A: b\r\n\r\nbody"
    local s = server.start(function(connection)
      local request = connection:request()
      connection:send(connection.data.whole:sub(1, tonumber(request.target:match "%d+")))
      connection:close()
    end, { data = { whole = whole } })
    for length = 0, #whole do
      local response, _, code = call(s, { path = "/" .. length })
      if length == #whole then
        assert.equal("body", response.body)
      else
        assert.is_nil(response, whole:sub(1, length))
        assert.is_true(code == "CONNECTION_LOST" or code == "RESPONSE_INVALID", code)
      end
    end
  end)
end)

describe("the limit of an answer", function()
  local LIMIT = 1000

  local function framed(kind, body)
    if kind == "length" then
      return answer(body)
    elseif kind == "close" then
      return "HTTP/1.1 200 OK\r\n\r\n" .. body
    end
    return ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"):format(
      #body, body)
  end

  for _, kind in ipairs { "length", "close", "chunked" } do
    it("holds at n - 1, n and n + 1: " .. kind, function()
      for size = LIMIT - 1, LIMIT do
        local response = assert(call_answered_by(framed(kind, ("r"):rep(size)),
          { max_response = LIMIT }))
        assert.equal(size, #response.body)
      end
      local more, message = assert_failed("RESPONSE_TOO_LARGE",
        call_answered_by(framed(kind, ("r"):rep(LIMIT + 1)), { max_response = LIMIT }))
      assert.is_true(more.sent)
      assert.is_true(#message < 200)
    end)
  end

  it("is 4 MiB unless told", function()
    assert.equal(4194304, #assert(call_answered_by(framed("close", ("r"):rep(4194304)))).body)
    assert_failed("RESPONSE_TOO_LARGE", call_answered_by(framed("close", ("r"):rep(4194305))))
  end)

  it("stops 100 MB early, said so beforehand or not", function()
    for _, head in ipairs { "Content-Length: 104857600\r\n", "" } do
      local s = server.start(function(connection)
        connection:request()
        connection:send("HTTP/1.1 200 OK\r\n", connection.data.head, "\r\n")
        local piece, count = ("r"):rep(65536), 0
        while count < 1600 and connection:send(piece) do
          count = count + 1
        end
        connection:note("pieces", count)
      end, { data = { head = head } })
      assert_failed("RESPONSE_TOO_LARGE", call(s))
      assert.is_true(s:await("pieces")[1].detail < 400)
    end
  end)

  -- libcurl has a limit of its own for a line, which up to 8.5 it calls a lack of memory.
  local floods = {
    ["many header lines"] = { ("X-Flood: " .. ("f"):rep(100) .. "\r\n"):rep(1000),
      "RESPONSE_TOO_LARGE" },
    ["one endless header line"] = { "X-Flood: " .. ("f"):rep(300000), "RESPONSE_INVALID" },
  }

  for name, case in pairs(floods) do
    local flood, expected = case[1], case[2]
    it("holds against " .. name, function()
      local more = assert_failed(expected,
        call_answered_by("HTTP/1.1 200 OK\r\n" .. flood .. "\r\n\r\n"))
      assert.is_true(more.sent)
    end)
  end

  it("lets large but sane headers through", function()
    local line = "X-Large: " .. ("f"):rep(8000) .. "\r\n"
    local response = assert(call_answered_by("HTTP/1.1 200 OK\r\n" .. line
      .. "Content-Length: 0\r\n\r\n"))
    assert.equal(8000, #response.headers["x-large"])
  end)

  it("holds against endless interim answers in time and memory", function()
    local s = server.start(function(connection)
      connection:request()
      local interim = ("HTTP/1.1 100 Continue\r\nX-A: b\r\n\r\n"):rep(1000)
      while connection:send(interim) do end
    end)
    assert.is_nil((call(s, { timeout = 0.3 })))
  end)
end)

describe("a time-out", function()
  local function timed(...)
    local before = sys.monotonic()
    local response, message, code, more = call(...)
    return sys.monotonic() - before, response, message, code, more
  end

  -- Which of the limits it was, the message says.
  local function assert_timed_out(least, sent, took, ...)
    local more, message = assert_failed("TIMEOUT", ...)
    -- To libcurl a millisecond that has begun may be a whole one.
    assert.is_true(took > least - 0.001, ("it took %g s"):format(took))
    assert.equal(sent, more.sent)
    return message
  end

  it("ends a call to a server that never answers, which was sent", function()
    local s = server.start(function(connection)
      connection:request()
      connection:hold()
    end)
    local message = assert_timed_out(0.2, true, timed(s, { timeout = 0.2 }))
    assert.matches("no answer within 0.2 s", message, nil, true)
    s:await "closed"
  end)

  it("ends a call whose answer drips", function()
    local s = server.start(function(connection)
      connection:request()
      connection:send "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
      while connection:send "." do
        connection:sleep(0.02)
      end
    end)
    local message = assert_timed_out(0.3, true, timed(s, { timeout = 0.3 }))
    assert.matches("within 0.3 s", message, nil, true)
  end)

  it("ends a call whose connection hangs, which was not sent", function()
    local s = server.start(function(connection)
      connection:hold()
    end)
    engine:close()
    engine = core.engine { connect_timeout = 0.2 }
    local message = assert_timed_out(0.2, false,
      timed(s, { endpoint = "https://127.0.0.1:" .. s.port }))
    assert.matches("no connection within 0.2 s", message, nil, true)
  end)

  it("of the connection is no longer than that of the call", function()
    local s = server.start(function(connection)
      connection:hold()
    end)
    local message = assert_timed_out(0.2, false,
      timed(s, { endpoint = "https://127.0.0.1:" .. s.port, timeout = 0.2 }))
    assert.matches("no connection within 0.2 s", message, nil, true)
  end)

  it("does not end a slow answer that is still in time", function()
    local s = server.start(function(connection)
      connection:request()
      connection:sleep(1.5)
      connection:answer("200 OK", "slow")
    end)
    engine:close()
    engine = core.engine { connect_timeout = 1 }
    assert.equal("slow", assert(call(s, { timeout = 60 })).body)
  end)
end)

describe("a server that is not there", function()
  it("is CONNECT_FAILED when it refuses", function()
    local port = sys.free_port()
    local more = assert_failed("CONNECT_FAILED", engine:call {
      endpoint = "http://127.0.0.1:" .. port, method = "POST", path = "/", mutating = true,
    })
    assert.is_false(more.sent)
    assert.is_false(more.untrusted)
  end)

  it("is DNS_FAILED when nobody knows it", function()
    local more, message = assert_failed("DNS_FAILED", engine:call {
      endpoint = "https://cce.invalid", method = "GET", path = "/", timeout = 20,
    })
    assert.is_false(more.sent)
    assert.matches("cce.invalid", message, nil, true)
  end)
end)

describe("a request that may leave only for a while", function()
  it("does not leave later, and says that it was not sent", function()
    local s = server_that_says(answer "late")
    for _, mutating in ipairs { true, false } do
      local transfer = assert(engine:submit(request_to(s, { depart_within = 0.01,
        mutating = mutating })))
      sys.sleep(0.05)
      while not transfer:finished() do assert(engine:step(1)) end
      local more, message = assert_failed("TIMEOUT", transfer:result())
      assert.equal("it was too late when it could leave", message)
      assert.is_false(more.sent)
      transfer:close()
    end
  end)

  it("leaves in time", function()
    local response = assert(call(server_that_says(answer "here"), { depart_within = 5 }))
    assert.equal("here", response.body)
  end)

  it("takes seconds, and no end at all is not one", function()
    for _, bad in ipairs { 0, -1, 86401, 0 / 0 } do
      assert_raises("depart_within", engine.submit, engine,
        request_to({ url = "http://127.0.0.1:1" }, { depart_within = bad }))
    end
  end)
end)
