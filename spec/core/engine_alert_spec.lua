-- Which TLS alerts prove that a server does not accept our certificate. Alerts are sent by
-- openssl's own server and, where none would send them, as bytes: in the open, and by a relay
-- between us and a real server.
local core = require "cce.core"
local pki = require "spec.support.peer.pki"
local server = require "spec.support.peer.server"
local simulator = require "spec.support.sim"
local tls = require "spec.support.peer.tls_server"

if not simulator.has_program "openssl" then
  describe("a TLS alert", function() pending "needs openssl" end)
  return
end

local REFUSES = { [42] = true, [44] = true, [46] = true, [48] = true, [49] = true }
local OTHERS = { 10, 20, 40, 43, 45, 47, 50, 70, 71, 80, 109, 112, 116 }

local now = os.time()
local authority = pki.authority("clients", { not_before = now - 7200, not_after = now + 7200 })
local client = pki.issue(authority, { subject = { { "CN", "a client" } }, not_before = now - 7200,
  not_after = now + 7200 })
local engine

before_each(function()
  engine = core.engine {}
end)

after_each(function()
  engine:close()
  server.stop_all()
  tls.stop_all()
end)

local function ask(port, ca, pair)
  pair = pair or client
  local response, message, code, more = engine:call {
    endpoint = "https://127.0.0.1:" .. port, method = "GET", path = "/api", timeout = 20,
    identity = { ca = ca, certificate = pair.pem, key = pair.key },
  }
  assert.is_nil(response)
  assert.equal("TLS_FAILED", code, message)
  return more, message
end

-- Passes on what the server says up to a message of its handshake, by number, and then sends an
-- alert in its place.
-- `warning`: one that does not end it, and comes before or, when it is 0, after that alert.
local function relay(upstream, alert, last, warning)
  local told = { port = ("%d"):format(upstream.port), alert = alert, last = last or 14,
    warning = warning }
  return server.start(function(connection)
    local data = connection.data
    local ours = require("cqueues.socket").connect { host = "127.0.0.1", port = data.port }
    ours:setmode("bn", "bn")

    local function pass(from, to)
      local head = from:read(5)
      local length = head:byte(4) * 256 + head:byte(5)
      local body = from:read(length)
      to:write(head, body)
      return head:byte(1), body
    end

    pass(connection.socket, ours)
    local kind, body
    repeat kind, body = pass(ours, connection.socket) until kind == 22 and body:byte(1) == data.last
    if data.last == 14 then -- its last: then the client sends its own, the encrypted one last
      repeat kind = pass(connection.socket, ours) until kind == 20
      pass(connection.socket, ours)
    end
    ours:close() -- openssl serves one client at a time
    local other = data.warning and string.char(21, 3, 3, 0, 2, 1, data.warning) or ""
    local level = data.warning == 0 and 1 or 2
    local text = string.char(21, 3, 3, 0, 2, level, data.alert)
    connection:send(data.warning == 0 and text .. other or other .. text)
    connection:hold()
  end, { data = told })
end

describe("a TLS alert", function()
  it("proves nothing in the open, from a server that never showed a certificate", function()
    for number in pairs(REFUSES) do
      local s = server.start(function(connection)
        connection.socket:read(5)
        connection:send(string.char(21, 3, 3, 0, 2, 2, connection.data.alert))
        connection:hold()
      end, { data = { alert = number } })
      local more, message = ask(s.port, authority.pem)
      assert.is_false(more.refused, message)
      assert.is_false(more.untrusted)
      assert.is_false(more.verified)
      assert.equal(number, more.alert)
    end
  end)

  it("proves nothing from one that shows a certificate which it cannot sign with", function()
    local upstream = tls.start { version = "-tls1_2" }
    for number in pairs(REFUSES) do
      local more = ask(relay(upstream, number, 11).port, upstream.ca)
      assert.is_false(more.refused)
      assert.is_true(more.verified)
      assert.equal(number, more.alert)
    end
  end)

  it("proves a refusal by 42, 44, 46, 48 and 49 alone, once the server is known", function()
    local upstream = tls.start { version = "-tls1_2" }
    for number in pairs(REFUSES) do
      local more, message = ask(relay(upstream, number).port, upstream.ca)
      assert.is_true(more.refused, message)
      assert.is_true(more.verified)
      assert.equal(number, more.alert)
      assert.matches("TLS alert " .. number .. ": %l", message)
    end
    for _, number in ipairs(OTHERS) do
      local more, message = ask(relay(upstream, number).port, upstream.ca)
      assert.is_false(more.refused, message)
      assert.is_true(more.verified)
      assert.equal(number, more.alert)
    end
  end)

  it("proves nothing where the server signs nothing, nor from one whose time is over", function()
    local function issue(options)
      options.subject, options.extensions = { { "CN", "s" } },
        { { "subjectAltName", "IP:127.0.0.1" } }
      options.not_before = now - 7200
      local made = pki.issue(authority, options)
      return { pem = made.pem, key_pem = made.key }
    end
    local upstream = tls.start { version = "-tls1_2", cipher = "AES128-GCM-SHA256",
      pair = issue { key = { type = "RSA", bits = 2048 }, not_after = now + 7200 } }
    local more, message = ask(relay(upstream, 48).port, authority.pem)
    assert.is_true(more.verified, message)
    assert.equal(48, more.alert)
    assert.is_false(more.refused)
    local s = server.start(function(connection) connection:serve() end,
      { tls = issue { not_after = now - 60 } })
    more = ask(s.port, authority.pem)
    assert.is_true(more.untrusted)
    assert.is_false(more.verified)
  end)

  it("proves nothing before we have shown a certificate", function()
    local upstream = tls.start { version = "-tls1_2" }
    local more = ask(relay(upstream, 48, 12).port, upstream.ca)
    assert.is_false(more.refused)
    assert.equal(48, more.alert)
  end)

  it("is the one that says why, whatever comes before or after it", function()
    local upstream = tls.start { version = "-tls1_2" }
    for _, warning in ipairs { 90, 0 } do
      local more, message = ask(relay(upstream, 48, 14, warning).port, upstream.ca)
      assert.equal(48, more.alert, message)
      assert.is_true(more.refused, message)
    end
    assert.equal(0, ask(relay(upstream, 90).port, upstream.ca).alert) -- it says nothing of why
  end)

  it("proves nothing from a server that is not trusted, which is asked first", function()
    local upstream = tls.start { version = "-tls1_2" }
    for number in pairs(REFUSES) do
      local more = ask(relay(upstream, number).port, authority.pem)
      assert.is_true(more.untrusted)
      assert.is_false(more.refused)
      assert.is_false(more.verified)
    end
  end)

  it("proves nothing from a server of another name under the same authority", function()
    local upstream = tls.start { version = "-tls1_2", alt_names = "DNS:elsewhere.example" }
    local more = ask(relay(upstream, 48).port, upstream.ca)
    assert.is_false(more.refused)
    assert.is_false(more.verified)
  end)

  it("is not a certificate with a telling name", function()
    local made = pki.issue(pki.authority("alert certificate revoked", { not_before = now - 9,
      not_after = now + 3600 }), { subject = { { "CN", "sslv3 alert certificate revoked" } },
      not_before = now - 9, not_after = now + 3600 })
    local s = server.start(function(connection) connection:serve() end,
      { tls = { pem = made.pem, key_pem = made.key } })
    local more = ask(s.port, authority.pem)
    assert.is_false(more.refused)
    assert.is_true(more.untrusted)
    assert.equal(0, more.alert)
  end)

  for _, version in ipairs { "-tls1_2", "-tls1_3" } do
    it("of openssl's own server proves that the certificate is refused: " .. version, function()
      local s = tls.start { version = version }
      local more, message = ask(s.port, s.ca)
      assert.is_true(more.refused, message)
      assert.is_true(more.verified)
      assert.equal(48, more.alert)
    end)

    it("for an expired certificate proves nothing: " .. version, function()
      local s = tls.start { version = version, ca = authority.pem }
      local old = pki.issue(authority, { subject = { { "CN", "old" } }, not_before = now - 7200,
        not_after = now - 60 })
      local more, message = ask(s.port, s.ca, old)
      assert.is_false(more.refused, message)
      assert.is_true(more.verified)
      assert.equal(45, more.alert)
    end)
  end
end)
