-- What a probe takes for a proof: 401, or an alert of the cluster itself.
local core = require "cce.core"
local host = require "cce.host"
local json = require "cce.base.json"
local kubeconfigs = require "cce.kubeconfig"
local pki = require "spec.support.peer.pki"
local probe = require "cce.kubeconfig.probe"
local server = require "spec.support.peer.server"
local simulator = require "spec.support.sim"
local tls = require "spec.support.peer.tls_server"

local now = os.time()
local YEAR = 365 * 86400
local authority = pki.authority("clients", { not_before = now - 9, not_after = now + YEAR })
local client = pki.issue(authority, { subject = { { "CN", "a client" } }, not_before = now - 9,
  not_after = now + YEAR })

local function kubeconfig_of(port, ca)
  return assert(kubeconfigs.load("spec.json", { text = json.encode {
    apiVersion = "v1", kind = "Config", ["current-context"] = "c",
    clusters = { { name = "c", cluster = { server = "https://127.0.0.1:" .. math.floor(port),
      ["certificate-authority-data"] = pki.base64(ca) } } },
    users = { { name = "u", user = { ["client-certificate-data"] = pki.base64(client.pem),
      ["client-key-data"] = pki.base64(client.key) } } },
    contexts = { { name = "c", context = { cluster = "c", user = "u" } } },
  } }))
end

describe("a probe", function()
  local engine

  before_each(function() engine = assert(host.current().engine {}) end)

  after_each(function()
    engine:close()
    server.stop_all()
    tls.stop_all()
  end)

  local function look(port, ca)
    return probe.look({ engine = function() return engine end }, kubeconfig_of(port, ca))
  end

  local function answers(status)
    local identity = server.identity()
    local s = server.start(function(connection)
      connection:request()
      connection:answer(connection.data.status, "{}")
    end, { tls = identity.pair(), data = { status = status } })
    local seen = look(s.port, server.read(identity.ca_file))
    identity.remove()
    return seen.state
  end

  it("goes by the status of HTTP", function()
    assert.equal("works", answers "200 OK")
    assert.equal("works", answers "403 Forbidden")
    assert.equal("refused", answers "401 Unauthorized")
    assert.equal("unclear", answers "503 certificate revoked")
  end)

  it("does not take an alert in the open for a refusal", function()
    local s = server.start(function(connection)
      connection.socket:read(5)
      connection:send(string.char(21, 3, 3, 0, 2, 2, 44))
      connection:hold()
    end)
    local seen = look(s.port, authority.pem)
    assert.equal("unclear", seen.state)
    assert.equal(44, seen.alert)
    assert.is_nil(seen.untrusted)
  end)

  it("does not take the name of a certificate for one", function()
    local made = pki.issue(pki.authority("alert certificate revoked",
      { not_before = now - 9, not_after = now + YEAR }),
      { subject = { { "CN", "tlsv1 alert unknown ca" } }, not_before = now - 9,
        not_after = now + YEAR })
    local s = server.start(function(connection) connection:serve() end,
      { tls = { pem = made.pem, key_pem = made.key } })
    local seen = look(s.port, authority.pem)
    assert.equal("unclear", seen.state)
    assert.is_true(seen.untrusted)
    assert.is_nil(seen.alert)
  end)

  if simulator.has_program "openssl" then
    it("takes the alert of a server that it trusts", function()
      local s = tls.start { version = "-tls1_3" }
      assert.same({ state = "refused", text = "TLS alert 48", alert = 48 }, look(s.port, s.ca))
    end)
  end

  it("says that a name does not fit, whatever libcurl calls that", function()
    local identity = server.identity()
    local s = server.start(function(connection) connection:serve() end,
      { tls = identity.pair "IP:127.0.0.2" })
    local seen = look(s.port, server.read(identity.ca_file))
    identity.remove()
    assert.is_true(seen.untrusted)
    assert.matches("5 to 10 minutes", seen.text)
  end)

  it("cannot ask with a key of another certificate, and says so", function()
    local kubeconfig = kubeconfig_of(1, authority.pem)
    local other = core.secret(authority.key)
    local identity = kubeconfigs.identity
    kubeconfigs.identity = function(...)
      local found = identity(...)
      found.key = other
      return found
    end
    local seen = probe.look({ engine = function() return engine end }, kubeconfig)
    kubeconfigs.identity = identity
    assert.equal("KEY_MISMATCH", seen.code)
  end)
end)
