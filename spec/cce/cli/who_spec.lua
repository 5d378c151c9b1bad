local cache = require "cce.exec.cache"
local caches = require "spec.support.caches"
local clients = require "spec.support.clients"
local core = require "cce.core"
local exec = require "cce.exec"
local json = require "cce.base.json"
local printed = require "spec.support.printed"
local probe = require "cce.kubeconfig.probe"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"
local who = require "cce.cli.who"

local DAY = 86400

local function look(sources, options)
  local rows = who.look(type(sources) == "table" and sources or { sources }, options or {})
  for _, row in ipairs(rows) do
    -- Kubeconfigs hold what is the user's; all else may be shown.
    local ask = row.ask
    row.ask = nil
    printed.add(row, who.text(row))
    row.ask = ask
  end
  return rows
end

describe("cce.who", function()
  local PKI = "spec/fixtures/pki/"

  it("reads a certificate, and one with its key", function()
    local facts = require("cce").certificate(tempdir.read(PKI .. "client.pem"))
    local rows = look(PKI .. "client.pem")
    assert.equal(1, #rows)
    assert.equal(facts.user_id, rows[1].user_id)
    assert.equal(facts.not_after, rows[1].not_after)
    assert.is_nil(rows[1].key_matches)
  end)

  it("says what cannot be read, each by itself", function()
    local dir = tempdir.new()
    tempdir.write(dir .. "/no", "nothing")
    tempdir.write(dir .. "/bad.pem",
      "-----BEGIN CERTIFICATE-----\nxxx\n-----END CERTIFICATE-----\n")
    tempdir.write(dir .. "/empty", '{"kind":"Config"}')
    local rows = look { dir .. "/missing", dir .. "/no", dir .. "/bad.pem", dir .. "/empty", dir,
      PKI .. "client.pem" }
    assert.equal(6, #rows)
    for i = 1, 5 do
      assert.is_string(rows[i].message)
      assert.is_nil(rows[i].user_id)
    end
    assert.is_nil(rows[6].message)
    tempdir.remove(dir)
  end)

  it("says that there is no context in any of the files of KUBECONFIG", function()
    local dir = tempdir.new()
    finally(function() tempdir.remove(dir) end)
    local files = { dir .. "/a", dir .. "/b" }
    for _, path in ipairs(files) do tempdir.write(path, '{"kind":"Config"}') end
    local rows = look(files, { together = true })
    assert.equal(1, #rows)
    assert.equal(("there is no context in '%s/a:%s/b'"):format(dir, dir), rows[1].message)
    tempdir.write(files[2], "nothing")
    rows = look(files, { together = true })
    assert.equal(1, #rows)
    assert.equal(files[2], rows[1].source)
  end)

  it("reads standard input", function()
    local rows = look("-", { stdin = function() return tempdir.read(PKI .. "client.pem") end })
    assert.is_string(rows[1].user_id)
    rows = look("-", { stdin = function()
      return tempdir.read "spec/fixtures/kubeconfig_eip.json"
    end })
    assert.equal(3, #rows)
    assert.equal("-", rows[1].source)
  end)

  it("tells a key that is another's, and an end that is past", function()
    local rows = look "spec/fixtures/kubeconfig_mismatch.json"
    assert.is_false(rows[1].key_matches)
    rows = look("spec/fixtures/kubeconfig_eip.json", { clock = function() return 2 ^ 40 end })
    assert.is_true(rows[1].expired)
    assert.equal("expired", who.text(rows[1]))
  end)

  it("passes over users whose certificate somebody else gives", function()
    local rows = look("-", { stdin = function()
      return [[{"kind":"Config","clusters":[],"users":[{"name":"u","user":{"token":"t"}}],
        "contexts":[{"name":"c","context":{"user":"u"}},{"name":"d","context":{"user":"v"}}]}]]
    end, check = true })
    assert.equal(2, #rows)
    assert.matches("it uses token", rows[1].message)
    assert.equal("not asked", rows[1].check)
    assert.matches("names no user", rows[2].message)
  end)
end)

if not simulator.has_program "nginx" then
  describe("cce.who on the simulator", function() pending "needs nginx" end)
  return
end

describe("cce.who on the simulator", function()
  local sim, client, cluster, dir, path
  local original = probe.look

  before_each(function()
    sim = simulator.get()
    sim:reset()
    dir = tempdir.new()
    caches.use(dir)
    client = clients.new(sim, { on_event = require("cce.exec.cache").observe,
      endpoints = { iam = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT } })
    cluster = sim.clusters[2]
    path = dir .. "/prod.json"
  end)

  after_each(function()
    probe.look = original
    caches.restore()
    client:close()
    tempdir.remove(dir)
  end)

  local function save(options)
    local config = assert(client:obtain_cert(cluster.id, { duration = 1 }))
    if options and options.exec then config = assert(config:with_command()) end
    assert(config:save(path, { mark = true, name = "prod" }))
    return config
  end

  local function checks(options)
    local rows = look(path, options or { check = true })
    local states = {}
    for i, row in ipairs(rows) do states[i] = row.check end
    return states, rows
  end

  it("says whose each context is, and resolves the name", function()
    save()
    local rows = look(path, { client = client })
    assert.equal(3, #rows)
    for _, row in ipairs(rows) do
      assert.equal(simulator.admin.principal.id, row.user_id)
      assert.equal("admin", row.user_name)
      assert.equal(cluster.id, row.cluster_id)
      assert.is_true(row.key_matches)
      assert.is_nil(row.check)
    end
    assert.matches("^valid until ", who.text(rows[1]))
  end)

  it("does without names when IAM does not tell them", function()
    save()
    sim:fault { service = "iam", status = 403 }
    assert.is_nil(look(path, { client = client })[1].user_name)
  end)

  it("asks with every context, once for each server", function()
    save()
    local states, rows = checks()
    assert.same({ "works", "works", "works" }, states)
    assert.equal("works (HTTP 200)", rows[1].says)
    assert.equal(2, #sim:log { operation = "kubernetes" })
  end)

  it("says that it is known but without rights", function()
    save()
    probe.look = function() return { state = "works", text = "HTTP 403", status = 403 } end
    local states, rows = checks()
    assert.equal("no rights", states[1])
    assert.matches("without rights there %(HTTP 403%)", rows[1].says)
  end)

  it("does not take another answer for one", function()
    save()
    for expected, seen in pairs {
      ["^the cluster answers HTTP 502, which does not tell$"] = { text = "HTTP 502", status = 502 },
      ["^TLS alert 40, which does not tell$"] = { text = "TLS alert 40", alert = 40 },
    } do
      seen.state = "unclear"
      probe.look = function() return seen end
      local states, rows = checks()
      assert.equal("unclear", states[1])
      assert.matches(expected, rows[1].says)
    end
  end)

  it("says that it was revoked, as far as it can tell", function()
    save()
    assert.equal(200, sim:revoke(cluster, { userId = simulator.admin.principal.id }).status)
    local states, rows = checks()
    assert.same({ "refused", "refused", "refused" }, states)
    assert.matches("it was revoked, or the cluster's certificates were rotated", rows[1].says)
  end)

  it("says that it was revoked here, when it was", function()
    save()
    assert(exec.credential(client, cluster.id, { duration = 1 }))
    assert(client:revoke_cert(cluster.id, { user_id = simulator.admin.principal.id }))
    local _, rows = checks()
    assert.matches("were revoked on this machine at 20", rows[1].says)
  end)

  it("says that it has expired", function()
    save()
    sim:clock(DAY + 1)
    local _, rows = checks { check = true,
      clock = function() return core.sys.time() + DAY + 1 end }
    assert.matches("^refused %(HTTP 401%): it expired at 20", rows[1].says)
  end)

  it("says that the cluster has another CA since a rotation, with a command, too", function()
    save()
    sim:set { cluster = cluster.id, job_seconds = 0 }
    assert(client:rotate_credentials(cluster.id, { component = "all" }))
    local states, rows = checks()
    assert.equal("not trusted", states[1])
    assert.equal("the cluster no longer shows the CA that is in this kubeconfig, most probably"
      .. " since its certificates were rotated: obtain the kubeconfig again", rows[1].says)
    local text = tempdir.read(path)
    save { exec = true }
    assert(exec.credential(client, cluster.id, { duration = 1 }))
    assert.same({ "works", "works", "works" }, (checks()))
    -- The certificate is new, but the CA in the file is not.
    local old_ca = text:match '"certificate%-authority%-data": "([^"]*)"'
    tempdir.write(path, (tempdir.read(path):gsub('("certificate%-authority%-data": ")[^"]*',
      "%1" .. old_ca)))
    assert.equal("not trusted", checks()[1])
  end)

  it("takes no answer for that of an entry that trusts another CA at the same address", function()
    save()
    local data = json.decode(tempdir.read(path))
    local server, user = data.clusters[1].cluster.server, data.users[1].name
    table.insert(data.clusters, { name = "stale", cluster = { server = server,
      ["certificate-authority"] = sim.env.CCE_CA_FILE } })
    table.insert(data.contexts, { name = "stale", context = { cluster = "stale", user = user } })
    tempdir.write(path, json.encode(data))
    assert.same({ "works", "works", "works", "not trusted" }, (checks()))
  end)

  it("says that the cluster cannot be asked", function()
    save()
    local text = tempdir.read(path):gsub(":" .. sim.port, ":1")
    tempdir.write(path, text)
    local states, rows = checks()
    assert.same({ "unreachable", "unreachable", "unreachable" }, states)
    assert.matches("^the cluster cannot be asked: ", rows[1].says)
  end)

  it("does not ask a server that nobody verifies", function()
    save()
    local text = tempdir.read(path):gsub('"certificate%-authority%-data": "[^"]*"',
      '"insecure-skip-tls-verify": true')
    tempdir.write(path, text)
    local states, rows = checks()
    assert.equal("not asked", states[1])
    assert.matches("no context of it verifies the server", rows[1].says)
    assert.equal(0, #sim:log { operation = "kubernetes" })
  end)

  it("takes what kubectl would take, where a command gives it", function()
    save { exec = true }
    local states, rows = checks()
    assert.equal("not kept", states[1])
    assert.equal("no certificate is kept; the next kubectl obtains one", rows[1].says)
    assert.equal("obtained by the next kubectl", who.text(look(path)[1]))
    local found = assert(exec.credential(client, cluster.id, { duration = 1 }))
    states, rows = checks()
    assert.same({ "works", "works", "works" }, states)
    assert.equal(found.not_after, rows[1].not_after)
    assert.equal("cce credential", rows[1].holder)
  end)

  it("says why nothing is kept any more", function()
    save { exec = true }
    assert(exec.credential(client, cluster.id, { duration = 1 }))
    assert(client:revoke_cert(cluster.id, { user_id = simulator.admin.principal.id }))
    local states, rows = checks()
    assert.equal("not kept", states[1])
    assert.matches("the certificates of " .. simulator.admin.principal.id
      .. " were revoked on this machine at 20", rows[1].says)
    assert(exec.credential(client, cluster.id, { duration = 1 }))
    assert(client:rotate_credentials(cluster.id, { component = "all" }))
    rows = select(2, checks())
    assert.matches("certificates were rotated from this machine", rows[1].says)
  end)

  it("says that what is kept cannot be used", function()
    save { exec = true }
    assert(exec.credential(client, cluster.id, { duration = 1 }))
    tempdir.write(cache.entries(cluster.id)[1].path, "{")
    assert.matches("cannot be used", look(path)[1].message)
    local entries = cache.entries
    finally(function() cache.entries = entries end)
    cache.entries = function() return {}, "cannot list it" end
    assert.equal("cannot list it", look(path)[1].message)
    local states, rows = checks()
    assert.same({ "not asked", "not asked: cannot list it" }, { states[1], rows[1].says })
  end)
end)
