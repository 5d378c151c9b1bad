-- Requests that come with a client certificate of their own.
local cjson = require "cjson"
local core = require "cce.core"
local pki = require "spec.support.peer.pki"
local server = require "spec.support.peer.server"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"
local tls = require "spec.support.peer.tls_server"

describe("a request with an identity", function()
  local sim, engine, pair, config

  setup(function() sim = simulator.get() end)

  before_each(function()
    sim:reset()
    engine = core.engine {}
    config = cjson.decode(sim:obtain(sim.clusters[1]).body)
    local user = config.users[1].user
    pair = { ca = config.clusters[1].cluster["certificate-authority-data"],
      certificate = user["client-certificate-data"], key = user["client-key-data"] }
  end)

  after_each(function()
    engine:close()
    server.stop_all()
    tls.stop_all()
  end)

  local function ask(identity, endpoint)
    return engine:call {
      endpoint = endpoint or config.clusters[1].cluster.server, method = "GET", path = "/api",
      timeout = 10, identity = identity,
    }
  end

  local function pem_of(text)
    local mime = require "mime"
    return (mime.unb64(text))
  end

  it("takes PEM and its Base64, as strings and as secrets", function()
    assert.equal(200, assert(ask(pair)).status)
    assert.equal(200, assert(ask { ca = pem_of(pair.ca), certificate = pem_of(pair.certificate),
      key = core.secret(pem_of(pair.key)) }).status)
  end)

  it("has a connection of its own, and looks at the certificate each time", function()
    for _ = 1, 3 do assert.equal(200, assert(ask(pair)).status) end
    local connections, count = {}, 0
    for _, entry in ipairs(sim:log { service = "kubernetes" }) do
      if not connections[entry.connection] then
        connections[entry.connection], count = true, count + 1
      end
    end
    assert.equal(3, count)
    sim:revoke(sim.clusters[1], { userId = simulator.admin.principal.id })
    assert.equal(401, assert(ask(pair)).status)
  end)

  it("takes up no session, not even one of its own", function()
    local now = os.time()
    local authority = pki.authority("clients", { not_before = now - 3600, not_after = now + 3600 })
    local client = pki.issue(authority, { subject = { { "CN", "a client" } },
      not_before = now - 3600, not_after = now + 3600 })
    local s = tls.start { version = "-tls1_2", ca = authority.pem }
    for _ = 1, 2 do
      assert.matches("New, TLSv1.2", assert(ask({ ca = s.ca, certificate = client.pem,
        key = client.key }, s.url)).body, 1, true)
    end
  end)

  it("leaves nothing of it to other requests", function()
    assert.equal(200, assert(ask(pair)).status)
    local response, _, code, more = ask(nil)
    assert.is_nil(response) -- the cluster's authority is not the engine's
    assert.equal("TLS_FAILED", code)
    assert.is_true(more.untrusted)
    engine:close()
    engine = core.engine { ca_file = sim.env.CCE_CA_FILE }
    assert.equal(200, assert(ask(pair)).status)
    response, _, code, more = ask { certificate = pair.certificate, key = pair.key }
    assert.is_nil(response)
    assert.equal("TLS_FAILED", code)
    assert.is_true(more.untrusted)
    assert.is_false(more.refused)
  end)

  it("keeps no connection for later", function()
    local own = server.identity()
    finally(own.remove)
    local s = server.start(function(connection) connection:serve() end, { tls = own.pair() })
    engine:close()
    engine = core.engine { ca_file = own.ca_file }
    assert.equal(200, assert(ask({ certificate = pair.certificate, key = pair.key }, s.url)).status)
    s:await "closed"
  end)

  it("has its path and headers, whatever name or address the server is to have", function()
    local own = server.identity()
    finally(own.remove)
    engine:close()
    engine = core.engine { ca_file = own.ca_file }
    for name, alt_name in pairs { ["spec.invalid"] = "DNS:spec.invalid",
      ["2001:db8::1"] = "IP:2001:db8::1" } do
      local s = server.start(function(connection) connection:serve() end,
        { tls = own.pair(alt_name) })
      assert.equal(200, assert(engine:call { endpoint = s.url, method = "GET", path = "/its/path",
        timeout = 10, headers = { ["X-One"] = "1" }, identity = { certificate = pair.certificate,
          key = pair.key, server_name = name } }).status)
      local request = s:requests()[1]
      assert.same({ "/its/path", s.address, "1" },
        { request.target, request.headers.host, request.headers["x-one"] })
    end
  end)

  it("without a CA trusts the engine's, or the system's alone when it is told so", function()
    local path = tempdir.new()
    finally(function() tempdir.remove(path) end)
    server.write(path .. "/ca.pem", pem_of(pair.ca))
    engine:close()
    engine = core.engine { ca_file = path .. "/ca.pem" }
    local plain = { certificate = pair.certificate, key = pair.key }
    assert.equal(200, assert(ask(plain)).status)
    plain.system_ca = true
    local response, _, code, more = ask(plain)
    assert.same({ nil, "TLS_FAILED", true }, { response, code, more.untrusted })
  end)

  it("comes with it from an engine with a thread, too", function()
    local threaded = assert(core.engine { threaded = true })
    local transfer = assert(threaded:submit {
      endpoint = config.clusters[1].cluster.server, method = "GET", path = "/api", timeout = 10,
      identity = pair,
    })
    local deadline = core.sys.monotonic() + 120
    repeat core.sys.sleep(0.005) until transfer:finished() or core.sys.monotonic() > deadline
    assert.equal(200, assert(transfer:result()).status)
    transfer:close()
    threaded:close()
  end)

  it("says what is wrong with one", function()
    local function code_of(changes)
      local identity = { ca = pair.ca, certificate = pair.certificate, key = pair.key }
      for name, value in pairs(changes) do identity[name] = value end
      return select(3, ask(identity))
    end
    assert.equal("INVALID_KEY", code_of { key = "not Base64 at all!" })
    assert.equal("INVALID_KEY", code_of { key = pem_of(pair.certificate) })
    assert.equal("INVALID_CERTIFICATE", code_of { certificate = "-----BEGIN CERTIFICATE-----\nno" })
    local other = server.identity()
    assert.equal("KEY_MISMATCH", code_of { key = other.pair().key_pem })
    other.remove()
    assert.equal("TLS_FAILED", code_of { ca = "-----BEGIN CERTIFICATE-----\nno" })
    assert.equal("INVALID_CERTIFICATE",
      code_of { ca = ("A"):rep(4 * 1024 * 1024), key = pair.key })
    for _, name in ipairs { "ca", "certificate", "key" } do
      local room = 1024 * 1024 - #pem_of(pair[name])
      assert.is_nil(code_of { [name] = pem_of(pair[name]) .. ("\n"):rep(room) })
      assert.equal("INVALID_ARGUMENT", code_of { [name] = pem_of(pair[name])
        .. ("\n"):rep(room + 1) }, name)
    end
    assert.has_error(function() ask { ca = pair.ca } end)
    assert.has_error(function() ask { ca = pair.ca, certificate = pair.certificate } end)
    assert.has_error(function() ask { ca = pair.ca, key = pair.key } end)
    -- It becomes a part of the address.
    for _, name in ipairs { "", "a/b", "a@b", "a b", "a?b", "a#b", "a\r\nb", ("a"):rep(254) } do
      assert.has_error(function()
        ask { certificate = pair.certificate, key = pair.key, server_name = name }
      end)
    end
    assert.has_error(function() ask { certificate = 1, key = pair.key } end)
    assert.has_error(function() ask { certificate = "c", key = "k", keys = "k" } end)
    assert.has_error(function() ask "pem" end)
  end)
end)
