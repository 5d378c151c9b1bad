-- Whom the engine trusts, and how it gets out through a proxy.
local core = require "cce.core"
local pki = require "spec.support.peer.pki"
local server = require "spec.support.peer.server"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"
local tls = require "spec.support.peer.tls_server"
local sys = core.sys

local identity = server.identity()
local engine

teardown(function()
  identity.remove()
end)

before_each(function()
  engine = nil
end)

after_each(function()
  if engine then
    engine:close()
  end
  server.stop_all()
  tls.stop_all()
end)

local function new_engine(options)
  if engine then
    engine:close()
  end
  options = options or {}
  options.ca_file = options.ca_file or identity.ca_file
  engine = core.engine(options)
  return engine
end

local function call(endpoint, changes)
  local request = { endpoint = endpoint, method = "GET", path = "/", timeout = 10 }
  for key, value in pairs(changes or {}) do
    request[key] = value
  end
  return engine:call(request)
end

local function tls_server(options)
  options = options or {}
  options.tls = options.tls or identity.pair()
  return server.start(function(connection)
    connection:serve()
  end, options)
end

local function assert_tls_failed(untrusted, response, message, code, more)
  assert.is_nil(response)
  assert.equal("TLS_FAILED", code, message)
  assert.is_false(more.sent)
  assert.equal(untrusted, more.untrusted)
  return message
end

describe("TLS", function()
  -- Another directory stands in the place of the system's, for one process.
  it("trusts ca_file, or an identity's CA, instead of the system's, not beside them", function()
    local dir, other = tempdir.new(), simulator.get().env.CCE_CA_FILE
    finally(function() tempdir.remove(dir) end)
    local hash = tempdir.shell("openssl x509 -hash -noout -in " .. identity.ca_file):match "%x+"
    tempdir.check(("cd %s && cp %s %s.0 && cp %s ca-certificates.crt"):format(dir,
      identity.ca_file, hash, other))
    local function there(code)
      return (tempdir.run(("unshare --mount sh -c %s"):format(tempdir.quote(
        ("mount --bind %s /etc/ssl/certs && %s"):format(dir, tempdir.lua(code))))))
    end
    local function outcome(options, more)
      return there(([[
        local engine = require("cce.core").engine { %s }
        local response, _, code = engine:call { endpoint = %q, method = "GET", path = "/",
          timeout = 60, %s }
        print(response and response.status or code)]]):format(options, tls_server().url,
        more or ""))
    end
    if outcome "" ~= "200\n" then return pending "needs the right to mount" end
    assert.equal("TLS_FAILED\n", outcome(("ca_file = %q"):format(other)))
    for ca, accepts in pairs { [identity.ca_file] = true, [other] = false } do
      local message = there(([[
        local engine = require("cce.core").engine { proxy = %q, proxy_ca_file = %q }
        print((select(2, engine:call { endpoint = "https://cce.example.invalid", method = "GET",
          path = "/", timeout = 60 })))]]):format(tls_server().url, ca))
      assert.equal(not accepts, not not message:find("the proxy's certificate is not accepted", 1,
        true), message)
    end
    local ours = pki.authority "ours"
    local pair = pki.issue(ours, { subject = { { "CN", "a client" } } })
    local function as(ca)
      return outcome("", ("identity = { ca = %q, certificate = %q, key = %q }"):format(ca, pair.pem,
        pair.key))
    end
    assert.equal("200\n", as(tempdir.read(identity.ca_file)))
    assert.equal("TLS_FAILED\n", as(tempdir.read(other)))
  end)

  it("carries requests over one handshake", function()
    local s = tls_server()
    new_engine()
    for i = 1, 5 do
      local response = assert(call(s.url, { method = "POST", body = "body " .. i }))
      assert.equal("body " .. i, response.body)
    end
    assert.equal(1, s:count "tls")
  end)

  it("takes up the session of one connection on others", function()
    local s = tls.start { anyone = true, version = "-tls1_2" }
    new_engine { ca_file = s.identity.ca_file }
    assert.matches("New, TLSv1.2", assert(call(s.url)).body, nil, true)
    local transfers = {}
    for i = 1, 2 do
      transfers[i] = assert(engine:submit { endpoint = s.url, method = "GET", path = "/" })
    end
    repeat engine:step(0.05) until transfers[1]:finished() and transfers[2]:finished()
    for _, transfer in ipairs(transfers) do
      assert.matches("Reused, TLSv1.2", assert(transfer:result()).body, nil, true)
    end
  end)

  it("accepts the simulator with its CA, and only with it", function()
    local sim = simulator.get()
    new_engine { ca_file = sim.env.CCE_CA_FILE }
    assert.equal(404, assert(call(sim.env.CCE_ENDPOINT)).status)
    new_engine()
    assert_tls_failed(true, call(sim.env.CCE_ENDPOINT))
    engine:close()
    engine = core.engine()
    assert_tls_failed(true, call(sim.env.CCE_ENDPOINT))
  end)

  for _, kind in ipairs { "expired", "wrong_name", "unknown_ca", "self_signed" } do
    it("refuses a certificate that is bad: " .. kind, function()
      local sim = simulator.get()
      new_engine { ca_file = sim.env.CCE_CA_FILE }
      local message = assert_tls_failed(true,
        call(sim:bad_tls(kind), { method = "POST", body = "{}", mutating = true }))
      assert.is_nil(message:find "%c")
    end)
  end

  local kinds = { EC = { type = "EC", curve = "prime256v1" }, RSA = { type = "RSA", bits = 2048 } }

  for kind, key in pairs(kinds) do
    it("refuses what a CA of the same name has signed with another key: " .. kind, function()
      local now = os.time()
      local dates = { not_before = now - 3600, not_after = now + 3600, key = key }
      local ours, theirs = pki.authority("one name", dates), pki.authority("one name", dates)
      dates.subject, dates.ca = { { "CN", "a server" } }, nil
      dates.extensions = { { "subjectAltName", "IP:127.0.0.1" } }
      local pair = pki.issue(theirs, dates)
      local s = tls_server { tls = { pem = pair.pem, key_pem = pair.key } }
      local path = identity.dir .. "/ours.pem"
      server.write(path, ours.pem)
      new_engine { ca_file = path }
      assert_tls_failed(true, call(s.url))
      local number = select(4, call(s.url)).verify_error
      assert.is_true(number == 7 or number == 20, number) -- by the version of OpenSSL
      server.write(path, theirs.pem)
      new_engine { ca_file = path }
      assert.equal(200, assert(call(s.url)).status)
    end)
  end

  it("reads ca_file again when it is another one", function()
    local s = server.start(function(connection)
      connection:request()
      connection:answer("200 OK", "", "Connection: close\r\n")
    end, { tls = identity.pair() })
    local path = identity.dir .. "/replaced.pem"
    server.write(path, pki.authority("another").pem)
    new_engine { ca_file = path }
    assert_tls_failed(true, call(s.url))
    server.write(path, tempdir.read(identity.ca_file))
    assert.equal(200, assert(call(s.url)).status)
    server.write(path, pki.authority("another").pem)
    assert_tls_failed(true, call(s.url))
    -- One that differs from the one before by its place, its time or its size alone.
    local good, bad = tempdir.read(identity.ca_file), pki.authority("another").pem
    local length = math.max(#good, #bad)
    local function put(text, more, time, name)
      server.write(name or path, text .. ("\n"):rep(length + more - #text))
      tempdir.check(("touch -d @%s %s"):format(time, name or path))
    end
    put(bad, 0, "1000000000.0")
    assert_tls_failed(true, call(s.url))
    put(good, 0, "1000000000.0", path .. ".new")
    tempdir.check(("mv %s.new %s"):format(path, path))
    assert.equal(200, assert(call(s.url)).status)
    put(bad, 0, "1000000001.0")
    assert_tls_failed(true, call(s.url))
    put(good, 0, "1000000001.5")
    assert.equal(200, assert(call(s.url)).status)
    put(bad, 1, "1000000001.5")
    assert_tls_failed(true, call(s.url))
  end)

  it("refuses a certificate of another address", function()
    local s = tls_server { tls = identity.pair "IP:127.0.0.2,DNS:localhost" }
    new_engine()
    assert_tls_failed(true, call(s.url))
    assert.equal(200, assert(call("https://localhost:" .. s.port)).status)
    assert.equal(1, #s:requests())
  end)

  it("knows the server whose name or address the certificate has", function()
    local rows = { { "127.0.0.1", "127.0.0.1", "IP:127.0.0.1" }, { "::1", "[::1]", "IP:::1" } }
    for _, row in ipairs(rows) do
      local ok, s = pcall(server.start, function(connection)
        connection:request()
        connection:close()
      end, { tls = identity.pair(row[3]), host = row[1] })
      if not ok then return pending "there is no IPv6 here" end
      new_engine()
      local _, _, code, more = call(("https://%s:%d"):format(row[2], s.port))
      assert.same({ "CONNECTION_LOST", true }, { code, more.verified }, row[1])
    end
  end)

  it("says so when the CA file is missing, empty or garbage", function()
    local s = tls_server()
    local path = identity.dir .. "/bad.pem"
    local bad = { "", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" }
    for _, text in ipairs(bad) do
      server.write(path, text)
      new_engine { ca_file = path }
      assert_tls_failed(true, call(s.url))
    end
    local missing = identity.dir .. "/nowhere.pem"
    new_engine { ca_file = missing }
    local message = assert_tls_failed(true, call(s.url))
    assert.matches(missing, message, nil, true)
    assert.equal(0, #s:requests())
  end)

  it("takes its CA from no FIFO, no directory, and no file of another user in /tmp", function()
    local dir = tempdir.new()
    finally(function() tempdir.remove(dir) end)
    tempdir.check(("cd %s; mkfifo fifo; mkdir directory"):format(dir))
    local refused = { fifo = "not a regular file", directory = "not a regular file" }
    if tempdir.is_root() then
      tempdir.check(("cd %s; cp %s theirs; chown 65534 theirs; chmod 1777 ."):format(dir,
        identity.ca_file))
      refused.theirs = "belongs to user 65534"
    end
    for name, why in pairs(refused) do
      for _, option in ipairs { "ca_file", "proxy_ca_file" } do
        local none, message, code = core.engine { [option] = dir .. "/" .. name }
        assert.same({ nil, "FILE_ERROR" }, { none, code })
        assert.matches(why, message, nil, true)
      end
    end
    assert.equal("200\n", tempdir.check(("cat %s | %s"):format(identity.ca_file,
      tempdir.lua(([[print(require("cce.core").engine { ca_file = "/dev/stdin" }:call {
        endpoint = %q, method = "GET", path = "/", timeout = 60 }.status)]]):format(
        tls_server().url)))))
  end)

  it("fails with a server that does not speak it", function()
    local s = server.start(function(connection)
      connection:send "HTTP/1.1 400 Bad Request\r\n\r\nnot TLS"
    end)
    new_engine()
    local message = assert_tls_failed(false, call("https://127.0.0.1:" .. s.port))
    assert.matches("^TLS failed %(.+%)$", message)
  end)

  it("fails when the server goes away in the handshake", function()
    local s = server.start(function(connection)
      connection.socket:read(20)
      connection:close()
    end)
    new_engine()
    assert_tls_failed(false, call("https://127.0.0.1:" .. s.port, { mutating = true }))
  end)

  it("accepts 1.2", function()
    local s = tls_server { protocol = "TLSv1_2" }
    new_engine()
    assert.equal(200, assert(call(s.url)).status)
  end)

  it("refuses 1.1", function()
    local s = tls_server { protocol = "TLSv1_1", ciphers = "ALL:@SECLEVEL=0" }
    local curl = ("curl -s -o /dev/null --cacert %s --tls-max 1.1 --tlsv1.1"
      .. " --ciphers ALL:@SECLEVEL=0 %s/"):format(identity.ca_file, s.url)
    local _, exit_code = simulator.run_shell(curl)
    if exit_code ~= 0 then
      return pending "this OpenSSL speaks no TLS 1.1 at all"
    end
    new_engine()
    assert_tls_failed(false, call(s.url))
    -- Also where OpenSSL itself would not mind.
    local dir = tempdir.new()
    tempdir.write(dir .. "/openssl.cnf", "openssl_conf = all\n[all]\nssl_conf = modules\n"
      .. "[modules]\nsystem_default = lax\n[lax]\nMinProtocol = TLSv1\n"
      .. "CipherString = ALL:@SECLEVEL=0\n")
    tempdir.write(dir .. "/script.lua", ([[
      local core = require "cce.core"
      local _, _, code = core.engine({ ca_file = %q }):call {
        endpoint = arg[1], method = "GET", path = "/", timeout = 10 }
      print(code)
      os.execute("curl -s -o /dev/null --cacert " .. %q
        .. " --tls-max 1.1 --tlsv1.1 " .. arg[1] .. "/ && echo curl does")
    ]]):format(identity.ca_file, identity.ca_file))
    local output = tempdir.shell(("env OPENSSL_CONF=%s/openssl.cnf LUA_PATH='%s' LUA_CPATH='%s' "
      .. "%s %s/script.lua %s"):format(dir, package.path, package.cpath,
      simulator.interpreter(), dir, s.url))
    tempdir.remove(dir)
    assert.matches("TLS_FAILED\n", output, 1, true)
    assert.matches("curl does\n", output, 1, true)
  end)

  it("does not send a byte of the request before the certificate is checked", function()
    local s = server.start(function(connection)
      connection:request()
    end, { tls = identity.pair "DNS:elsewhere.example" })
    new_engine()
    assert_tls_failed(true, call(s.url, { method = "POST", body = "not-a-real-key" }))
    sys.sleep(0.05)
    assert.equal(0, #s:requests())
  end)

  it("that ends without a farewell is no complete answer", function()
    local s = server.start(function(connection)
      connection:request()
      connection:send "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
      connection:close()
    end, { tls = identity.pair() })
    new_engine()
    local response, _, code, more = call(s.url)
    assert.is_nil(response)
    assert.equal("CONNECTION_LOST", code)
    assert.is_true(more.sent)
  end)

  it("sends a mutating request once over a connection that dies", function()
    local s = server.start(function(connection)
      connection:request()
      connection:answer("200 OK", "")
      connection:request()
      connection:close()
    end, { tls = identity.pair() })
    new_engine()
    assert(call(s.url, { method = "POST", path = "/first", mutating = true }))
    local response, _, code, more = call(s.url,
      { method = "POST", path = "/second", mutating = true })
    if s:count "accept" == 2 then return end -- libcurl below 7.80: it got a new connection
    assert.is_nil(response)
    assert.equal("CONNECTION_LOST", code)
    assert.is_true(more.sent)
    assert.equal(2, #s:requests())
    assert.equal(200, assert(call(s.url, { path = "/third" })).status)
    assert.equal(200, assert(call(s.url, { path = "/fourth" })).status)
    assert.equal(5, #s:requests()) -- the fourth twice: it only reads
  end)
end)

-- The endpoint that no name server knows: only the proxy leads there.
local FAR = "https://cce.example.invalid"
local PASSWORD = "not-a-real-password"

-- A proxy that plays the far end itself. `data.refusal` is what it says to CONNECT instead.
local function proxy_server(data, alt_names)
  return server.start(function(connection)
    local request = connection:request()
    if not request then
      return
    elseif connection.data.refusal then
      connection:answer(connection.data.refusal, "refused", connection.data.lines)
      return
    elseif connection.data.hang then
      return connection:hold()
    end
    connection:send "HTTP/1.1 200 Connection established\r\nX-Proxy: yes\r\n\r\n"
    if connection:starttls() then
      connection:serve()
    end
  end, {
    data = data, tls = identity.pair(alt_names or "DNS:cce.example.invalid"), tls_later = true,
  })
end

local function proxy_url(s)
  return ("http://user:%s@127.0.0.1:%d"):format(PASSWORD, s.port)
end

describe("a proxy", function()
  it("is asked for a tunnel to the endpoint, and sees nothing of what goes through", function()
    local s = proxy_server()
    new_engine { proxy = proxy_url(s), user_agent = "spec-agent" }
    local response = assert(call(FAR, { method = "POST", body = "inside", path = "/secret" }))
    assert.equal("inside", response.body)
    assert.is_nil(response.headers["x-proxy"])
    local connect, inner = s:requests()[1], s:requests()[2]
    assert.equal("CONNECT", connect.method)
    assert.equal("cce.example.invalid:443", connect.target)
    assert.matches("^Basic ", connect.headers["proxy-authorization"])
    assert.equal("/secret", inner.target)
    assert.is_nil(inner.headers["proxy-authorization"])
    assert.equal("cce.example.invalid", inner.headers.host)
  end)

  it("is not told what is for the server", function()
    local s = proxy_server()
    new_engine { proxy = proxy_url(s) }
    assert(call(FAR, { token = "fake-token", headers = { ["X-Secret"] = "1" } }))
    local connect = s:requests()[1]
    assert.is_nil(connect.headers["x-auth-token"])
    assert.is_nil(connect.headers["x-secret"])
    assert.equal("fake-token", s:requests()[2].headers["x-auth-token"])
  end)

  it("is asked once for many requests", function()
    local s = proxy_server()
    new_engine { proxy = proxy_url(s) }
    for _ = 1, 3 do
      assert(call(FAR))
    end
    assert.equal(1, s:count "accept")
    assert.equal(4, #s:requests())
  end)

  it("cannot stand for the server", function()
    local s = proxy_server(nil, "DNS:proxy.example.invalid")
    new_engine { proxy = proxy_url(s) }
    local message = assert_tls_failed(true, call(FAR))
    assert.is_nil(message:find(PASSWORD, 1, true))
    assert.equal(1, #s:requests())
  end)

  for _, refusal in ipairs { "407 Who Are You", "403 Forbidden", "502 Bad Gateway" } do
    it("that refuses is PROXY_FAILED, and nothing was sent: " .. refusal, function()
      local s = proxy_server { refusal = refusal,
        lines = "Proxy-Authenticate: Basic realm=\"spec\"\r\n" }
      new_engine { proxy = proxy_url(s) }
      local response, message, code, more = call(FAR, { method = "POST", mutating = true })
      assert.is_nil(response)
      assert.equal("PROXY_FAILED", code, message)
      assert.is_false(more.sent)
      assert.is_nil(message:find(PASSWORD, 1, true))
      assert.matches(refusal:sub(1, 3), message, nil, true)
    end)
  end

  -- It refuses after its certificate was accepted, so that the answer says which of the two.
  local function https_proxy(trust, options)
    local s = server.start(function(connection)
      if connection:request() then connection:answer("407 Who Are You", "refused") end
    end, options or { tls = identity.pair() })
    trust.proxy = ("https://127.0.0.1:%d"):format(s.port)
    new_engine(trust)
    local response, message, code, more = call(FAR)
    assert.is_nil(response)
    assert.equal("PROXY_FAILED", code, message)
    assert.is_false(more.untrusted)
    return message
  end

  it("over https is trusted by ca_file, or by a CA file of its own", function()
    assert.matches("407", https_proxy {}, nil, true)
    local other = server.identity()
    local refused = https_proxy { proxy_ca_file = other.ca_file }
    assert.is_nil(refused:find("407", 1, true), refused)
    assert.matches("407", https_proxy {
      ca_file = other.ca_file, proxy_ca_file = identity.ca_file,
    }, nil, true)
    other.remove()
  end)

  it("over https is at fault, not the server, where its TLS fails", function()
    assert.matches("certificate is not accepted",
      https_proxy({}, { tls = identity.pair "DNS:other.example.invalid" }), nil, true)
    assert.matches("CA file cannot be read",
      https_proxy { proxy_ca_file = identity.dir .. "/none.pem" }, nil, true)
    assert.matches("TLS with the proxy failed", https_proxy({}, {}), nil, true)
  end)

  it("that breaks off is PROXY_FAILED, and nothing was sent", function()
    local s = server.start(function(connection)
      connection:request()
      connection:close()
    end)
    new_engine { proxy = proxy_url(s) }
    local response, message, code, more = call(FAR, { method = "POST", mutating = true })
    assert.is_nil(response)
    assert.equal("PROXY_FAILED", code, message)
    assert.is_false(more.sent)
  end)

  it("that hangs is a time-out of the connection", function()
    local s = proxy_server { hang = true }
    new_engine { proxy = proxy_url(s), connect_timeout = 0.2 }
    local response, message, code, more = call(FAR)
    assert.is_nil(response)
    assert.equal("TIMEOUT", code, message)
    assert.is_false(more.sent)
  end)

  it("that is not there fails, without its password in the message", function()
    local proxies = {
      [("http://user:%s@127.0.0.1:%d"):format(PASSWORD, sys.free_port())] =
        { CONNECT_FAILED = true, PROXY_FAILED = true },
      [("http://user:%s@proxy.invalid:8080"):format(PASSWORD)] = { PROXY_FAILED = true },
    }
    for proxy, codes in pairs(proxies) do
      new_engine { proxy = proxy }
      local response, message, code, more = call(FAR)
      assert.is_nil(response)
      assert.is_true(codes[code], proxy .. " " .. code .. ": " .. message)
      assert.is_false(more.sent)
      assert.is_nil(message:find(PASSWORD, 1, true), message)
      assert.is_nil(tostring(engine):find(PASSWORD, 1, true))
    end
  end)

  it("that is no address is refused at once, without its password", function()
    for _, proxy in ipairs { "http://user:%s@127.0.0.1:99999999", "nonsense://user:%s@127.0.0.1:1",
      "http://user:%s@[127.0.0.1:1", "ftp://user:%s@127.0.0.1" } do
      local none, message, code = core.engine { proxy = proxy:format(PASSWORD) }
      assert.is_nil(none, proxy)
      assert.equal("INVALID_ARGUMENT", code)
      assert.is_nil(message:find(PASSWORD, 1, true), message)
      assert.equal(code, (select(3, core.check_proxy(proxy:format(PASSWORD)))))
    end
    -- The commonest reason: what has a meaning in an address stands in the password.
    for _, mark in ipairs { "@", "#", "/", "?" } do
      local _, message = core.check_proxy(("http://user:a%s%s@127.0.0.1:1"):format(mark, PASSWORD))
      assert.matches("written %40", message, 1, true)
      assert.is_nil(message:find(PASSWORD, 1, true), message)
    end
    assert.is_true(core.check_proxy "proxy.example:3128")
  end)

  -- libcurl would go to the server itself, past the proxy.
  it("has a user name and a password that libcurl can send, or is refused", function()
    for _, who in ipairs { "user:a%00" .. PASSWORD, "user:" .. PASSWORD .. "%0A",
      "u%1F:" .. PASSWORD, ":%0d" .. PASSWORD } do
      for _, scheme in ipairs { "http://", "https://", "socks5h://", "" } do
        local none, message, code = core.engine { proxy = scheme .. who .. "@127.0.0.1:3128" }
        assert.is_nil(none, who)
        assert.equal("INVALID_ARGUMENT", code)
        assert.matches("user name or the password", message, nil, true)
        assert.is_nil(message:find(PASSWORD, 1, true), message)
      end
    end
    assert.is_true(core.check_proxy "http://user:a%20%7F%25@127.0.0.1:3128")
  end)

  it("is not used for what no_proxy names", function()
    local s = proxy_server()
    for _, list in ipairs { FAR:sub(9), ".example.invalid", "a, example.invalid ,b", "*",
      "*.example.invalid", "a b example.invalid:443", "10.0.0.0/8\t.example.invalid:443" } do
      new_engine { proxy = proxy_url(s), no_proxy = list }
      assert.equal("DNS_FAILED", select(3, call(FAR)))
    end
    assert.equal(0, s:count "accept")
    new_engine { proxy = proxy_url(s), no_proxy = "other.invalid,ple.invalid" }
    assert(call(FAR))
    new_engine { proxy = proxy_url(s), no_proxy = "example.invalid:8443 *ample.invalid" }
    assert(call(FAR))
  end)

  it("is never used for loopback", function()
    local s = proxy_server()
    local target = tls_server { tls = identity.pair "IP:127.0.0.1,DNS:localhost" }
    local plain = server.start(function(connection)
      connection:serve()
    end)
    new_engine { proxy = proxy_url(s) }
    for _, endpoint in ipairs {
      target.url, "https://localhost:" .. target.port, plain.url, "http://localhost:" .. plain.port,
    } do
      assert.equal(200, assert(call(endpoint)).status)
    end
    assert.equal(0, s:count "accept")
  end)

  it("is never used for what answers this machine alone, as a pod's identity", function()
    local s = proxy_server()
    new_engine { proxy = proxy_url(s) }
    assert.equal("DNS_FAILED", (select(3, call(FAR, { purpose = "pod" }))))
    assert.equal(0, s:count "accept")
  end)

  it("may be the empty text, which is none", function()
    new_engine { proxy = "" }
    assert.equal(200, assert(call(tls_server().url)).status)
  end)

  it("is not taken from the environment by libcurl on its own", function()
    local s = proxy_server()
    local script = ([[
      local engine = require("cce.core").engine()
      local _, _, code = engine:call{endpoint = %q, method = "GET", path = "/", timeout = 20}
      assert(code == "DNS_FAILED", code)
    ]]):format(FAR)
    local proxy = proxy_url(s)
    local path = identity.dir .. "/script.lua"
    server.write(path, script)
    local command = ("https_proxy=%s HTTPS_PROXY=%s ALL_PROXY=%s exec %s %s"):format(proxy, proxy,
      proxy, simulator.interpreter(), path)
    local _, exit_code, text = simulator.run_shell(command)
    assert.equal(0, exit_code, text)
    assert.equal(0, s:count "accept")
    -- Nor is what goes without one.
    server.write(path, ([[
      require("cce.core").engine { proxy = %q }:call {
        endpoint = %q, method = "GET", path = "/", timeout = 20 }
    ]]):format(proxy, FAR))
    command = ("no_proxy='*' NO_PROXY='*' exec %s %s"):format(simulator.interpreter(), path)
    _, exit_code, text = simulator.run_shell(command)
    assert.equal(0, exit_code, text)
    assert.equal(1, s:count "accept")
  end)
end)
