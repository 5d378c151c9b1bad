local cce = require "cce"
local clients = require "spec.support.clients"
local json = require "cce.base.json"
local kubeconfig = require "cce.kubeconfig"
local simulator = require "spec.support.sim"
local sys = require("cce.core").sys
local tempdir = dofile "spec/support/tempdir.lua"

local DAY = 86400

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

  it("makes one whose current context verifies TLS", function()
    local config = ensure()
    for _, row in ipairs(config:contexts()) do
      if row.current then assert.is_true(row.verifies_tls) end
    end
  end)

  it("renews when the end is near, and not before", function()
    local first = ensure()
    local left = first:certificate().not_after - sys.time()
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
    assert.is_false(select(2, ensure()))
    local config, renewed = ensure { renew = true }
    assert.is_true(renewed)
    assert.equal(cluster.id, config.cluster_id)
  end)

  it("leaves the file of another cluster alone", function()
    ensure({}, sim.clusters[1].id)
    local text = tempdir.read(path)
    local err = clients.fails("CONFLICT", ensure())
    assert.matches("holds cluster " .. sim.clusters[1].id, err.message, 1, true)
    assert(assert(client:obtain_cert(sim.clusters[1].id, { duration = 30 })):save(path))
    assert.matches("another address", clients.fails("CONFLICT", ensure()).message, 1, true)
    tempdir.write(path, "not a kubeconfig")
    clients.fails("FILE_ERROR", ensure())
    assert.equal("not a kubeconfig", tempdir.read(path))
    assert.not_equal(text, nil)
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
      ensure()
      revoke()
      local _, renewed, answer = ensure { check = false }
      assert.is_false(renewed)
      assert.is_nil(answer)
    end)
  end)

  it("saves nothing when obtaining fails", function()
    sim:fault { operation = "obtain_cert", times = 1, status = 403 }
    assert.is_nil((ensure()))
    assert.same({}, tempdir.list(dir))
  end)

  it("wants a lifetime, and one that min_remaining leaves room in", function()
    clients.fails("INVALID_ARGUMENT", cce.ensure_cert(client, cluster.id, { path = path }))
    local err = clients.fails("INVALID_ARGUMENT", ensure { duration = 1, min_remaining = DAY })
    assert.matches("every call would obtain another", err.message, 1, true)
    assert.equal(0, issued())
    local config = assert(cce.ensure_cert(client, cluster.id,
      { path = path, expire_at = math.floor(sys.time()) + 3600 }))
    assert.is_true(config:certificate().not_after <= sys.time() + 3601)
  end)

  it("raises on wrong use, at the line of the call", function()
    clients.raises("cce.client expected", function() cce.ensure_cert({}, "x", {}) end)
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
