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
local unpack = table.unpack or unpack -- luacheck: ignore
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

describe("a probe by a kubeconfig that leads nowhere", function()
  it("asks nobody, and says why", function()
    for what, case in pairs {
      ["no such cluster"] = { "the context leads to no server", { context = { cluster = "x" } } },
      ["no server"] = { "the context leads to no server", { server = json.null } },
      ["no such user"] = { "the current context names no user that there is",
        { context = { user = "x" } } },
      ["no context"] = { "there is no current context", { current = "" } },
      ["no certificate"] = { "user 'u' has no client certificate: it uses exec",
        { user = { exec = { command = "x" } } } },
    } do
      local change = case[2]
      local context = { cluster = "c", user = "u" }
      for name, value in pairs(change.context or {}) do context[name] = value end
      local kubeconfig = assert(kubeconfigs.load("spec.json", { text = json.encode {
        apiVersion = "v1", kind = "Config", ["current-context"] = change.current or "c",
        clusters = { { name = "c", cluster = {
          server = change.server or "https://127.0.0.1:1" } } },
        users = { { name = "u", user = change.user or {
          ["client-certificate-data"] = pki.base64(client.pem),
          ["client-key-data"] = pki.base64(client.key) } } },
        contexts = { { name = "c", context = context } },
      } }))
      assert.same({ state = "unclear", text = case[1], untrusted = not change.user or nil },
        probe.look({ engine = function() error "it must not ask" end }, kubeconfig), what)
    end
  end)
end)

describe("a probe whose cluster answers as told", function()
  local probe_of, asked

  -- answers: what `ask` returns, one after the other; the last goes on.
  local function told(answers)
    local name, saved = "cce.kubeconfig.ask", package.loaded["cce.kubeconfig.probe"]
    local real = require(name)
    asked = {}
    package.loaded[name], package.loaded["cce.kubeconfig.probe"] = function(_, _, opts)
      asked[#asked + 1] = opts
      local answer = answers[math.min(#asked, #answers)]
      return answer[1], answer[2], answer[3], answer[4]
    end, nil
    probe_of = require "cce.kubeconfig.probe"
    package.loaded[name], package.loaded["cce.kubeconfig.probe"] = real, saved
    return probe_of
  end

  it("proves a refusal by nothing but 401 and an alert of the cluster itself", function()
    local function seen(...) return told({ { ... } }).look({}, {}) end
    assert.same({ state = "unclear", text = "m" }, seen(nil, "m", "X"))
    assert.same({ state = "unclear", text = "m", code = "X" }, seen(nil, "m", "X", { alert = 0 }))
    assert.same({ state = "unclear", text = "m", code = "X", alert = 44 },
      seen(nil, "m", "X", { alert = 44 }))
    assert.same({ state = "refused", text = "TLS alert 44", alert = 44 },
      seen(nil, "m", "X", { alert = 44, refused = true }))
    assert.same({ state = "unclear", text = "m", code = "X", untrusted = true },
      seen(nil, "m", "X", { alert = 44, refused = true, untrusted = true }))
    -- What was not sent, since it is no certificate; and the same, said of what was sent.
    assert.same({ state = "unclear", text = "m", untrusted = true },
      seen(nil, "m", "INVALID_CERTIFICATE"))
    assert.same({ state = "unclear", text = "m", code = "INVALID_CERTIFICATE" },
      seen(nil, "m", "INVALID_CERTIFICATE", { alert = 0 }))
    assert.same({ { path = "/api", private = true, max_response = 256 * 1024 } }, asked)
  end)

  local function clock(speed)
    local one = { now = 0, slept = {} }
    function one.monotonic()
      one.now = one.now + speed
      return one.now
    end
    function one.sleep(seconds) table.insert(one.slept, seconds) end
    return one
  end

  it("waits for what is wanted, and half a minute at most", function()
    local refused, works = { { status = 401 } }, { { status = 200 } }
    local unclear = { { status = 503 } }
    local asker = clock(0)
    local seen = told({ works, unclear, refused }).wait_until(asker, {}, "refused")
    assert.equal("refused", seen.state)
    assert.same({ 0.2, 0.4 }, asker.slept)
    -- Of a clock that stands still, and of looks that take long.
    asker = clock(0)
    assert.equal("works", told({ works }).wait_until(asker, {}, "refused").state)
    assert.same({ 0.2, 0.4, 0.8, 1, 1 }, { unpack(asker.slept, 1, 5) })
    assert.equal(32, #asker.slept)
    asker = clock(10)
    assert.equal("unclear", told({ unclear }).wait_until(asker, {}, "refused").state)
    assert.equal(2, #asker.slept)
  end)
end)

describe("the kubeconfig to ask a cluster with", function()
  local cluster = { id = "c1", name = "one", raw = { status = { endpoints = {
    { url = "https://10.0.0.1:5443" }, { url = 5 }, { url = "not one" } } } } }

  -- contexts: name, address and whether TLS is verified
  local function config(...)
    local data = { apiVersion = "v1", kind = "Config", clusters = {}, users = {}, contexts = {},
      ["current-context"] = (...)[1] }
    for _, each in ipairs { ... } do
      table.insert(data.clusters, { name = each[1], cluster = { server = each[2],
        ["insecure-skip-tls-verify"] = not each[3] or nil,
        ["certificate-authority-data"] = each[3] and pki.base64(authority.pem) or nil } })
      table.insert(data.users, { name = each[1], user = {
        ["client-certificate-data"] = pki.base64(client.pem),
        ["client-key-data"] = pki.base64(client.key) } })
      table.insert(data.contexts, { name = each[1],
        context = { cluster = each[1], user = each[1] } })
    end
    return assert(kubeconfigs.load("spec.json", { text = json.encode(data) }))
  end

  local HERE, ELSEWHERE = "HTTPS://10.0.0.1:5443", "https://10.0.0.2:5443"

  local function chosen(given, which)
    local found = assert(probe.finder(given))(which or cluster)
    return found and found:contexts()[1].name
  end

  it("has a context of its address, one that verifies TLS where there is one", function()
    assert.equal("b", chosen { config({ "a", HERE }, { "b", HERE, true }, { "c", HERE }) })
    assert.equal("a", chosen { config({ "x", ELSEWHERE, true }, { "a", HERE }) })
    assert.equal("a", chosen { config { "x", ELSEWHERE, true }, config { "a", HERE } })
    assert.is_nil(chosen { config { "x", ELSEWHERE, true },
      config { "y", "http://10.0.0.1:5443" } })
    -- What bears the cluster's id is taken as it is.
    local marked = assert(kubeconfigs.parse(config({ "x", ELSEWHERE, true }, { "a", HERE }).raw,
      { cluster_id = "c1" }))
    assert.equal("x", chosen { marked, config { "a", HERE } })
    local other = assert(kubeconfigs.parse(config { "y", HERE }.raw, { cluster_id = "c1" }))
    assert.equal("x", chosen { marked, other })
    -- What another file has for it does not count, nor a context that leads nowhere.
    local first = config({ "n" }, { "x", "https://10.0.0.3" }, { "a", HERE })
    assert.equal("a", chosen { first, config { "b", HERE, true } })
    local endpoints = { { url = HERE }, { url = ELSEWHERE } }
    assert.equal("a", chosen({ first, config { "b", ELSEWHERE, true } },
      { id = "c2", raw = { status = { endpoints = endpoints } } }))
  end)

  it("is the one that is given for its id or name, or by a function", function()
    local a, b = config { "a", ELSEWHERE }, config { "b", ELSEWHERE }
    assert.equal("a", chosen { c1 = a, one = b })
    assert.equal("b", chosen { one = b })
    assert.same({}, { assert(probe.finder { one = b }) { id = "c2" } })
    assert.equal("a", chosen(function(which) return which.id == "c1" and a end))
    assert.equal("a", chosen(setmetatable({}, { __call = function() return a end })))
    local none, why = assert(probe.finder { c1 = 5 })(cluster)
    assert.same({ nil, "what was given for it is no kubeconfig" }, { none, why })
    none, why = probe.finder { a, 5 }
    assert.same({ nil, "what was given for it is no kubeconfig" }, { none, why })
    assert.matches("/nowhere/kubeconfig", (select(2, probe.finder { "/nowhere/kubeconfig" })))
  end)
end)
