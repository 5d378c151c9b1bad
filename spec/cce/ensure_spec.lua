local authority = require "cce.kubeconfig.authority"
local cce = require "cce"
local clients = require "spec.support.clients"
local core = require "cce.core"
local destinations = require "cce.kubeconfig.destination"
local errors = require "cce.error"
local json = require "cce.base.json"
local kubeconfig = require "cce.kubeconfig"
local planner = require "cce.ensure"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

local DAY = 86400

-- A context that a person has put there.
local USERS = [[{"apiVersion":"v1","kind":"Config","current-context":"mine","users":[],"clusters":[
  {"name":"mine","cluster":{"server":"https://other.example"}}],"contexts":[
  {"name":"mine","context":{"cluster":"mine","user":"mine"}}]}]]

if not simulator.has_program "nginx" then
  describe("cce.ensure_cert", function() pending "needs nginx" end)
  return
end

describe("cce.ensure_cert", function()
  local sim, client, cluster, dir, path

  before_each(function()
    sim = simulator.get()
    sim:reset()
    client = clients.new(sim)
    cluster = sim.clusters[2]
    dir = tempdir.new()
    path = dir .. "/prod.json"
  end)

  after_each(function()
    client:close()
    tempdir.remove(dir)
  end)

  local function ensure(opts, id)
    local all = { path = path, duration = 30 }
    for name, value in pairs(opts or {}) do all[name] = value end
    return cce.ensure_cert(client, id or cluster.id, all)
  end

  local function issued()
    return #sim:log { operation = "obtain_cert" }
  end


  it("obtains once, and reuses the file", function()
    local first, renewed = ensure()
    assert.is_true(renewed)
    assert.equal(cluster.id, first.cluster_id)
    assert.equal("prod", first.data["current-context"])
    assert.is_true(first:contexts()[3].verifies_tls or first:contexts()[1].verifies_tls)
    local again
    again, renewed = ensure()
    assert.is_false(renewed)
    assert.equal(first.raw, again.raw)
    assert.equal(cluster.id, again.cluster_id)
    assert.equal(1, issued())
    assert.equal("rw-------", tempdir.shell("ls -l " .. path):sub(2, 10))
    assert.same({ "prod.json" }, tempdir.list(dir))
  end)

  it("is named as it is told, or as its file", function()
    for file, name in pairs { ["a.b.json"] = "a.b", [".kubeconfig"] = ".kubeconfig",
      config = "config", ["x.1"] = "x.1" } do
      local config = assert(ensure { path = dir .. "/" .. file, check = false })
      assert.equal(name, config.data["current-context"])
      -- Its entries keep the name that they have.
      config = assert(ensure { path = dir .. "/" .. file, name = "shop", renew = true })
      assert.equal(name, config.data["current-context"])
    end
    assert.equal("shop", assert(ensure { name = "shop" }).data["current-context"])
    for _, wrong in ipairs { { name = "" }, { path = "" } } do
      clients.fails("INVALID_ARGUMENT", ensure(wrong))
    end
  end)

  it("makes one whose current context verifies TLS", function()
    local config = ensure()
    for _, row in ipairs(config:contexts()) do
      if row.current then assert.is_true(row.verifies_tls) end
    end
  end)

  it("renews when the end is near, and not before", function()
    local first = ensure()
    local left = first:certificate().not_after - core.sys.time()
    assert.is_false(select(2, ensure { min_remaining = left - 60 }))
    assert.equal(1, issued())
    local _, renewed = ensure { min_remaining = left + 1, duration = 40 }
    assert.is_true(renewed)
    assert.equal(2, issued())
  end)

  it("takes a third of a short lifetime for near", function()
    ensure { duration = 1 }
    assert.is_false(select(2, ensure { duration = 1 }))
    assert.is_true(select(2, ensure { duration = 4 }))
  end)

  it("renews when asked to, and keeps what the user added", function()
    ensure()
    local data = require("cce.base.json").decode(tempdir.read(path))
    data.contexts[1].context.namespace = "shop"
    data["x-mine"] = { 1 }
    tempdir.write(path, require("cce.base.json").encode(data))
    local config, renewed = ensure { renew = true }
    assert.is_true(renewed)
    assert.equal("shop", config.data.contexts[1].context.namespace)
    assert.same({ 1 }, config.data["x-mine"])
    assert.same({ "prod.json" }, tempdir.list(dir))
  end)

  it("renews when key and certificate do not match", function()
    ensure()
    local other = assert(client:obtain_cert(cluster.id, { duration = 30 }))
    local data = json.decode(tempdir.read(path))
    data.users[1].user["client-key-data"] = other.data.users[1].user["client-key-data"]
    tempdir.write(path, json.encode(data))
    local config, renewed = ensure()
    assert.is_true(renewed)
    assert.is_true(config:certificate().key_matches)
  end)

  it("takes over a file of this cluster that it did not make", function()
    assert(assert(client:obtain_cert(cluster.id, { duration = 30 })):save(path))
    sim:fault { operation = "show_cluster", status = 403, times = 1 }
    clients.fails("PERMISSION_DENIED", ensure())
    assert.is_false(select(2, ensure()))
    local config, renewed = ensure { renew = true }
    assert.is_true(renewed)
    assert.equal(cluster.id, config.cluster_id)
  end)

  it("gives the plain name to the context that was chosen, while there is such a one", function()
    local config = assert(client:obtain_cert(cluster.id, { duration = 30 }))
    local function server_of(file)
      local rows = assert(kubeconfig.load(file)):contexts()
      for _, row in ipairs(rows) do
        if row.name == "prod" and row.current then return row.server, row.verifies_tls end
      end
    end
    for _, context in ipairs { "internal", "external", "externalTLSVerify" } do
      assert(config:save(path, { context = context, name = "prod", mark = true }))
      local before = { server_of(path) }
      ensure { renew = true }
      assert.same(before, { server_of(path) })
      for _, opts in ipairs { { dir = dir }, { merge_into = path } } do
        opts.clusters, opts.duration, opts.renew = { cluster.id }, 30, true
        opts.name = function() return "prod" end
        assert.equal(1, #assert(cce.workflow.issue(client, opts)).ok)
        assert.same(before, { server_of(path) })
      end
    end
    assert(config:save(path, { context = "external", name = "prod", mark = true }))
    tempdir.write(path, (tempdir.read(path):gsub('"context": "external"', '"context": "gone"')))
    ensure { renew = true }
    assert.is_true(select(2, server_of(path)))
    -- What nobody chose is not noted.
    assert(config:save(path, { name = "prod", mark = true }))
    assert.is_nil(tempdir.read(path):find('"context": "', 1, true))
  end)

  it("replaces no file whose users no certificate of the cluster replaces", function()
    assert(assert(client:obtain_cert(cluster.id, { duration = 30 })):save(path))
    local robot = { name = "robot", user = { token = "not-a-secret" } }
    local data = json.decode(tempdir.read(path))
    table.insert(data.users, robot)
    for text, reason in pairs { [json.encode(data)] = "more than one user",
      [json.encode { kind = "Config", users = { robot } }] = "a user, but no cluster" } do
      tempdir.write(path, text)
      local sent = issued()
      local err = clients.fails("CONFLICT", ensure { renew = true })
      assert.matches(reason, err.message, 1, true)
      assert.matches("merge into it", err.hint, 1, true)
      clients.fails("CONFLICT", planner.plan(client, cluster.id, { path = path, duration = 30,
        renew = true }))
      assert.same({ text, sent }, { tempdir.read(path), issued() })
    end
  end)

  it("leaves the file of another cluster alone", function()
    ensure({}, sim.clusters[1].id)
    local text = tempdir.read(path)
    local err = clients.fails("CONFLICT", ensure())
    assert.matches("holds cluster " .. sim.clusters[1].id, err.message, 1, true)
    assert(assert(client:obtain_cert(sim.clusters[1].id, { duration = 30 })):save(path))
    local show = client.show_cluster
    function client.show_cluster(...)
      local shown = assert(show(...))
      table.insert(shown.raw.status.endpoints, { url = "no address" })
      return shown
    end
    assert.matches("another address", clients.fails("CONFLICT", ensure()).message, 1, true)
    tempdir.write(path, (USERS:gsub('"server":"[^"]*"', '"server":null')))
    assert.matches("another address", clients.fails("CONFLICT", ensure()).message, 1, true)
    tempdir.write(path, "not a kubeconfig")
    clients.fails("FILE_ERROR", ensure())
    assert.equal("not a kubeconfig", tempdir.read(path))
    assert.not_equal(text, nil)
  end)

  it("keeps a file without keys, and puts the cluster's new CA into it", function()
    local config = assert(client:obtain_cert(cluster.id, { duration = 30 }))
    tempdir.write(path, USERS)
    assert(assert(config:with_command()):save(path, { merge = true, name = "prod" }))
    local job = assert(client:rotate_credentials(cluster.id, { component = "all" }))
    assert(client:wait_job(job.id, { timeout = 20, interval = 0.05 }))
    local old = tempdir.read(path)
    assert.same({ false }, { planner.plan(client, cluster.id, { path = path, duration = 30 }) })
    assert.equal(old, tempdir.read(path))
    local kept, renewed, answer = ensure()
    assert.same({ false, nil }, { renewed, answer })
    assert.equal("prod", kept.data["current-context"])
    assert.equal(authority.of(client:show_cluster(cluster.id)), authority.in_kubeconfig(kept))
    assert.is_truthy(tempdir.read(path):find(authority.in_kubeconfig(kept), 1, true))
    assert.equal(1, issued())
    sim:fault { operation = "show_cluster", status = 403 }
    clients.fails("PERMISSION_DENIED", ensure())
    local refresh = authority.refresh
    finally(function() authority.refresh = refresh end)
    function authority.refresh()
      tempdir.write(path, "somebody else's")
      return 1
    end
    clients.fails("FILE_ERROR", ensure())
  end)

  it("renews the certificate beside entries of the plugin for the same cluster", function()
    ensure()
    local config = assert(client:obtain_cert(cluster.id, { duration = 30 }))
    assert(assert(config:with_command()):save(path, { merge = true, name = "plugin" }))
    local renewed, was_renewed = ensure { renew = true }
    assert.is_true(was_renewed)
    assert.is_table(renewed:certificate())
    assert.is_table(assert(renewed:use("plugin")).data.users[2].user.exec)
  end)

  it("keeps a file without keys that it did not make", function()
    local config = assert(client:obtain_cert(cluster.id, { duration = 30 }))
    assert(assert(config:with_command()):save(path))
    assert.is_false(select(2, ensure()))
  end)

  it("tells beforehand what it would do, and why", function()
    local function planned(opts)
      local all = { path = path, duration = 30 }
      for name, value in pairs(opts or {}) do all[name] = value end
      return planner.plan(client, cluster.id, all)
    end
    assert.equal("there is none yet", planned())
    assert.same({}, tempdir.list(dir))
    ensure()
    local due, answer = planned()
    assert.same({ false, "works" }, { due, answer.state })
    assert.equal("a new one is asked for", planned { renew = true })
    clients.fails("FILE_ERROR", planned { path = dir .. "/none/x.json" })
    clients.fails("FILE_ERROR", ensure { path = dir .. "/none/x.json" })
    clients.fails("INVALID_ARGUMENT", planned { duration = 1, min_remaining = DAY })
    tempdir.write(path, "not a kubeconfig")
    clients.fails("FILE_ERROR", planned())
    assert.equal(1, issued())
  end)

  it("renews its entries in a file with others, with a backup", function()
    for i = 1, 2 do
      local config = assert(client:obtain_cert(sim.clusters[i].id, { duration = 30 }))
      assert(config:save(path, { merge = true, name = "c" .. i }))
    end
    os.remove(path .. ".bak")
    local old = tempdir.read(path)
    local config, renewed = ensure { renew = true }
    assert.is_true(renewed)
    assert.equal("c2", config.data["current-context"])
    assert.equal(old, tempdir.read(path .. ".bak"))
    assert.equal("c1", kubeconfig.load(path).data["current-context"])
    -- Nor are those that nobody marked lost; a file of its own needs no copy.
    for other, is_copied in pairs { [USERS] = true, [""] = false } do
      path = ("%s/%d.json"):format(dir, #other)
      tempdir.write(path, other)
      local own = assert(client:obtain_cert(cluster.id, { duration = 30 }))
      assert(own:save(path, { merge = true, name = "c2" }))
      os.remove(path .. ".bak")
      assert.is_true(select(2, ensure { renew = true }))
      assert.equal(is_copied, tempdir.read(path .. ".bak") ~= nil)
    end
  end)

  describe("asks the cluster, and", function()
    local function revoke()
      assert(client:revoke_cert(cluster.id, { user_id = simulator.admin.principal.id }))
    end

    it("renews what it refuses", function()
      ensure()
      local _, renewed, answer = ensure()
      assert.is_false(renewed)
      assert.equal("works", answer.state)
      revoke()
      _, renewed, answer = ensure()
      assert.is_true(renewed)
      assert.equal("works", answer.state)
      assert.equal(2, issued())
    end)

    it("renews what no longer trusts it", function()
      ensure()
      local job = assert(client:rotate_credentials(cluster.id, { component = "all" }))
      assert(client:wait_job(job.id, { timeout = 20, interval = 0.05 }))
      local _, renewed, answer = ensure()
      assert.is_true(renewed)
      assert.equal("works", answer.state)
    end)

    it("keeps what it cannot ask about, and says so", function()
      local config = ensure()
      local data = json.decode(config.raw)
      for _, each in ipairs(data.clusters) do each.cluster.server = "https://127.0.0.1:1" end
      tempdir.write(path, json.encode(data))
      local _, renewed, answer = ensure()
      assert.is_false(renewed)
      assert.equal("not asked", answer.state)
    end)

    it("obtains no second one when the new one is refused as well", function()
      local obtain = client.obtain_cert
      client.obtain_cert = function(...)
        local config = assert(obtain(...))
        revoke()
        return config
      end
      local err = clients.fails("INVALID_CERTIFICATE", ensure())
      assert.matches("no second one", err.message, 1, true)
      assert.equal(1, issued())
      assert.is_string(tempdir.read(path))
    end)

    it("does not when it is not to", function()
      local _, renewed, answer = ensure { check = false }
      assert.same({ true, nil }, { renewed, answer })
      revoke()
      _, renewed, answer = ensure { check = false }
      assert.is_false(renewed)
      assert.is_nil(answer)
    end)
  end)

  it("saves nothing when obtaining fails", function()
    sim:fault { operation = "obtain_cert", times = 1, status = 403 }
    assert.is_nil((ensure()))
    assert.same({}, tempdir.list(dir))
  end)

  it("says that what it saved is not there", function()
    local save = destinations.save
    function destinations.save(...)
      destinations.save = save
      local saved = save(...)
      tempdir.write(path, "{")
      return saved
    end
    clients.fails("FILE_ERROR", ensure())
  end)

  it("obtains nothing for a place that is not proved, and says what it could not save", function()
    for i, name in ipairs { "prove", "save" } do
      local real = destinations[name]
      destinations[name] = function() return errors.fail("FILE_ERROR", "the disk is full", {}) end
      local none, message, err = ensure()
      destinations[name] = real
      clients.fails("FILE_ERROR", none, message, err)
      assert.same({ "the disk is full", i - 1 }, { err.message, issued() })
    end
  end)

  it("waits for who renews a file, unless it is good", function()
    ensure()
    local lock = assert(core.file.lock(path .. ".renewal"))
    local _, renewed = ensure { timeout = 0 }
    clients.fails("TIMEOUT", ensure { timeout = 0, renew = true })
    lock:close()
    assert.is_false(renewed)
    assert.is_true(select(2, ensure { timeout = 0, renew = true }))
  end)

  it("wants a lifetime, and one that min_remaining leaves room in", function()
    clients.fails("INVALID_ARGUMENT", cce.ensure_cert(client, cluster.id, { path = path }))
    local err = clients.fails("INVALID_ARGUMENT", ensure { duration = 1, min_remaining = DAY })
    assert.matches("every call would obtain another", err.message, 1, true)
    assert.equal(0, issued())
    local config = assert(cce.ensure_cert(client, cluster.id,
      { path = path, expire_at = math.floor(core.sys.time()) + 3600 }))
    assert.is_true(config:certificate().not_after <= core.sys.time() + 3601)
  end)

  it("raises on wrong use, at the line of the call", function()
    clients.raises("cce.client expected, got table", function() cce.ensure_cert({}, "x", {}) end)
    clients.raises("cce.client expected, got nil", function() cce.ensure_cert(nil, "x", {}) end)
    clients.raises("bad argument #2 to 'ensure_cert'", function()
      cce.ensure_cert(client, 5, { path = path })
    end)
    clients.raises("option 'path' is missing", function() cce.ensure_cert(client, "x", {}) end)
    clients.raises("did you mean", function()
      cce.ensure_cert(client, "x", { path = path, durations = 1 })
    end)
  end)

  it("obtains once for many coroutines", function()
    local items = {}
    for i = 1, 10 do items[i] = i end
    local results = cce.map(items, function() return ensure() end, { concurrency = 10 })
    for _, result in ipairs(results) do assert.is_true(result.ok, result.message) end
    assert.equal(1, issued())
  end)

  it("obtains once for twenty processes", function()
    sim:fault { operation = "obtain_cert", times = 1, delay = 0.3 }
    local code = ([[
      local cce = require "cce"
      local client = assert(cce.new { endpoint = %q, ca_file = %q, project_id = %q, proxy = false,
        credentials = { ak = %q, sk = %q } })
      local config, renewed = assert(cce.ensure_cert(client, %q, { path = %q, duration = 30,
        timeout = 900 }))
      assert(config:certificate().key_matches)
      io.write(renewed == true and "renewed\n" or "reused\n")
    ]]):format(sim.env.CCE_ENDPOINT, sim.env.CCE_CA_FILE, sim.project_id, simulator.admin.ak,
      simulator.admin.sk, cluster.id, path)
    local one = tempdir.lua(code)
    local output = tempdir.shell("for i in $(seq 20); do " .. one .. " & done; wait")
    assert.equal(1, select(2, output:gsub("renewed\n", "")), output)
    assert.equal(19, select(2, output:gsub("reused\n", "")), output)
    assert.equal(1, issued())
    assert.same({ "prod.json" }, tempdir.list(dir))
  end)
end)
