local authority = require "cce.kubeconfig.authority"
local cache = require "cce.exec.cache"
local caches = require "spec.support.caches"
local clients = require "spec.support.clients"
local core = require "cce.core"
local errors = require "cce.error"
local exec = require "cce.exec"
local json = require "cce.base.json"
local kubeconfig = require "cce.kubeconfig"
local paths = require "cce.kubeconfig.paths"
local printed = require "spec.support.printed"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"
local times = require "cce.base.times"

local unpack = table.unpack or unpack -- luacheck: ignore

local DAY, HOUR = 86400, 3600
local V1 = "client.authentication.k8s.io/v1"

describe("cce.exec.request", function()
  local function info(fields)
    return json.encode { kind = fields.kind or "ExecCredential", apiVersion = fields.version,
      spec = { interactive = false } }
  end

  it("answers in the version that was asked for", function()
    assert.equal(V1, exec.request(info { version = V1 }))
    assert.equal(V1 .. "beta1", exec.request(info { version = V1 .. "beta1" }))
  end)

  it("answers clients that leave out the kind", function()
    assert.equal(V1, exec.request(json.encode { apiVersion = V1, spec = { interactive = false } }))
    assert.equal(V1, exec.request(json.encode { apiVersion = V1, kind = json.null }))
  end)

  local wrong = {
    ["is not set"] = "", ["is no JSON object"] = "{", ["JSON object: a value"] = "7",
    ["another kind than ExecCredential"] = info { kind = "Pod", version = V1 },
    ["has no apiVersion"] = info {},
    ["asks for client.authentication.k8s.io/v1alpha1, but only"]
      = info { version = "client.authentication.k8s.io/v1alpha1" },
    ["asks for \\?\\?1, but"] = info { version = "\27\1271" },
  }
  for pattern, text in pairs(wrong) do
    it("says that it " .. pattern:gsub("\\", ""), function()
      local err = clients.fails("INVALID_ARGUMENT", exec.request(text))
      assert.matches(pattern:gsub("\\", "%%"), err.message)
      assert.is_string(err.hint)
      assert.is_false(err.retryable)
    end)
  end

  it("says that nothing is set", function()
    clients.fails("INVALID_ARGUMENT", exec.request(nil))
  end)
end)

if not simulator.has_program "nginx" then
  describe("cce.exec", function() pending "needs nginx" end)
  return
end

describe("cce.exec", function()
  local sim, client, cluster, dir, warnings, ahead

  local function new_client(options)
    options = options or {}
    options.on_event = cache.observe
    options.clock = function() return core.sys.time() + ahead end
    return clients.new(sim, options)
  end

  before_each(function()
    sim = simulator.get()
    sim:reset()
    dir, warnings, ahead = tempdir.new(), {}, 0
    caches.use(dir)
    client = new_client()
    cluster = sim.clusters[2]
  end)

  after_each(function()
    caches.restore()
    client:close()
    tempdir.remove(dir)
  end)

  local function credential(options, who)
    local all = { duration = 1, on_warning = function(text)
      warnings[#warnings + 1] = printed.add(text)
    end }
    for name, value in pairs(options or {}) do all[name] = value end
    return exec.credential(who or client, cluster.id, all)
  end

  local function issued()
    return #sim:log { operation = "obtain_cert" }
  end

  local function let_pass(seconds)
    ahead = seconds
    sim:clock(seconds)
  end

  -- The only file that is kept.
  local function kept_path()
    local entries = cache.entries(cluster.id)
    assert.equal(1, #entries)
    return entries[1].path
  end

  it("obtains once, and gives what it keeps", function()
    local first = assert(credential())
    assert.is_true(first.renewed)
    assert.is_true(core.key_matches(first.certificate, first.key))
    assert.equal(simulator.admin.principal.id, first.user_id)
    -- What is good waits for nobody who renews it.
    local lock = assert(core.file.lock(kept_path() .. ".renewal"))
    local second = credential { timeout = 0 }
    lock:close()
    assert.is_false(second.renewed)
    assert.is_true(first.key == second.key and first.certificate == second.certificate)
    assert.equal(1, issued())
    assert.same({}, warnings)
  end)

  it("keeps it for its owner alone", function()
    assert(credential())
    assert.equal("0600", core.file.stat(kept_path()).mode)
    for _, path in ipairs { "/cce", "/cce/credentials", "/cce/credentials/" .. cluster.id } do
      assert.equal("0700", core.file.stat(dir .. path).mode)
    end
    -- Beside it a file of no content says when it was handed out.
    assert.same({ kept_path():match "[^/]+$", kept_path():match "[^/]+$" .. ".served" },
      tempdir.list(dir .. "/cce/credentials/" .. cluster.id))
  end)

  it("lets kubectl ask again when it would be renewed", function()
    local found = assert(credential())
    assert.equal(found.not_after - 8 * HOUR, found.expires_at)
    found = assert(credential { min_remaining = HOUR })
    assert.equal(found.not_after - HOUR, found.expires_at)
  end)

  it("renews when the end is near, and not before", function()
    assert(credential())
    let_pass(15 * HOUR)
    assert.is_false(assert(credential()).renewed)
    let_pass(17 * HOUR)
    assert.is_true(assert(credential()).renewed)
    assert.equal(2, issued())
  end)

  it("removes what others left and has expired", function()
    local other = new_client { key = simulator.member }
    assert(credential({}, other))
    let_pass(DAY + 1)
    assert(credential())
    local left = cache.entries(cluster.id)
    assert.equal(1, #left)
    assert.equal(simulator.admin.principal.id, left[1].facts.user_id)
    other:close()
  end)

  it("uses what is kept when it cannot be renewed, and asks again soon", function()
    local first = assert(credential())
    let_pass(17 * HOUR)
    sim:fault { operation = "obtain_cert", status = 403 }
    local second = assert(credential())
    assert.is_false(second.renewed)
    assert.is_true(first.key == second.key)
    assert.is_true(math.abs(second.expires_at - client:now() - 60) < 5)
    assert.matches("could not be renewed", warnings[1])
    let_pass(DAY - 30)
    clients.fails("PERMISSION_DENIED", credential())
  end)

  it("writes what kubectl reads, and no more", function()
    local found = assert(credential())
    local answer = json.decode(exec.answer(V1, found))
    assert.equal(V1, answer.apiVersion)
    assert.equal("ExecCredential", answer.kind)
    assert.equal(times.format(found.expires_at), answer.status.expirationTimestamp)
    assert.is_true(answer.status.clientKeyData == found.key)
    assert.is_true(answer.status.clientCertificateData == found.certificate)
    assert.is_true(found.certificate:find("^%-%-%-%-%-BEGIN CERTIFICATE%-%-%-%-%-\n") ~= nil)
  end)

  it("never gives one account what another one obtained", function()
    local other = new_client { key = simulator.member }
    local mine, theirs = assert(credential()), assert(credential({}, other))
    assert.not_equal(mine.user_id, theirs.user_id)
    assert.is_false(mine.key == theirs.key)
    assert.equal(2, #cache.entries(cluster.id))
    assert.is_false(assert(credential({}, other)).renewed)
    other:close()
  end)

  it("knows by STS whose a token is", function()
    local by_token = new_client { token = simulator.member.token,
      endpoints = { sts = sim.env.HUAWEICLOUD_SDK_STS_ENDPOINT } }
    local mine = assert(credential({}, by_token))
    assert.equal(simulator.member.principal.id, mine.user_id)
    assert.is_false(assert(credential({}, by_token)).renewed)
    by_token:close()
  end)

  it("keeps nothing of a token that nobody can tell whose it is", function()
    local by_token = new_client { token = simulator.member.token }
    for _ = 1, 2 do assert.is_true(assert(credential({}, by_token)).renewed) end
    assert.matches("cannot be kept: ", warnings[1])
    by_token:close()
  end)

  it("obtains anew what cannot be used", function()
    assert(credential())
    local path = kept_path()
    local good = tempdir.read(path)
    local config = assert(assert(kubeconfig.load(path)):with_command())
    assert(os.remove(path))
    assert(config:save(path, { merge = true, name = "cce" }))
    for i, text in ipairs { "", "{", "no kubeconfig", '{"kind":"Config","contexts":[]}',
      good:sub(1, 900), tempdir.read(path), (good:gsub('"certificate%-authority%-data": *"[^"]*"',
        '"insecure-skip-tls-verify":true')) } do
      tempdir.write(path, text)
      local found = assert(credential())
      assert.is_true(found.renewed)
      assert.equal(i + 1, issued())
      assert.is_false(assert(credential()).renewed)
    end
    assert.matches("cannot be used, and is obtained again", warnings[1])
  end)

  it("keeps nothing where what cannot be used cannot be removed", function()
    assert(credential())
    local path = kept_path()
    assert(os.remove(path))
    tempdir.shell("mkdir -p " .. tempdir.quote(path .. "/in-the-way"))
    for _ = 1, 2 do assert.is_true(assert(credential()).renewed) end
    assert.matches("cannot be kept: cannot remove what cannot be used", warnings[#warnings])
  end)

  it("obtains anew what is another cluster's", function()
    local foreign = tempdir.read((function()
      assert(exec.credential(client, sim.clusters[1].id, { duration = 1 }))
      return cache.entries(sim.clusters[1].id)[1].path
    end)())
    assert(credential())
    tempdir.write(kept_path(), foreign)
    assert.is_true(assert(credential()).renewed)
  end)

  it("works without a place to keep it, and says so", function()
    tempdir.write(dir .. "/file", "")
    for _, place in ipairs { dir .. "/file", false } do
      caches.use(place or nil)
      local before = issued()
      for _ = 1, 2 do assert.is_true(assert(credential()).renewed) end
      assert.equal(before + 2, issued())
      assert.matches("cannot be kept: ", warnings[#warnings])
    end
    assert.matches("neither XDG_CACHE_HOME nor HOME", warnings[#warnings])
  end)

  it("keeps nothing where others may write", function()
    assert(credential())
    tempdir.shell("chmod 770 " .. tempdir.quote(dir .. "/cce/credentials"))
    assert.is_true(assert(credential()).renewed)
    assert.matches("open to others %(mode 0770%)", warnings[1])
  end)

  it("drops it when its principal is revoked, in this cluster alone", function()
    local other = new_client { key = simulator.member }
    local found = assert(credential())
    assert(credential({}, other))
    assert(exec.credential(client, sim.clusters[1].id, { duration = 1 }))
    assert(client:revoke_cert(cluster.id, { user_id = found.user_id }))
    local left = cache.entries(cluster.id)
    assert.equal(1, #left)
    assert.equal(simulator.member.principal.id, left[1].facts.user_id)
    assert.equal(1, #cache.entries(sim.clusters[1].id))
    assert.is_true(assert(credential()).renewed)
    other:close()
  end)

  local function asked()
    return #sim:log { operation = "kubernetes" }
  end

  it("asks the cluster before it gives the same again within a minute", function()
    local first = assert(credential())
    assert.equal(0, asked())
    assert.is_false(assert(credential()).renewed)
    assert.equal(1, asked())
    -- As another process would, which tells this one nothing.
    assert.equal(200, sim:revoke(cluster, { userId = first.user_id }).status)
    local second = assert(credential())
    assert.is_true(second.renewed)
    assert.is_true(second.certificate ~= first.certificate)
    assert.is_false(assert(credential()).renewed)
    assert.equal(2, issued())
  end)

  it("asks it each time where it cannot be noted that it was given, and gives no dead one",
    function()
      local first, remove = assert(credential()), cache.remove
      local path = kept_path()
      tempdir.check(("rm %s.served && mkdir -p %s.served/x"):format(path, path))
      assert.is_false(assert(credential()).renewed)
      assert.equal(1, asked())
      finally(function() cache.remove = remove end)
      cache.remove = function() return nil, "read-only" end
      assert.equal(200, sim:revoke(cluster, { userId = first.user_id }).status)
      for _ = 1, 2 do assert.is_true(assert(credential()).renewed) end
      assert.matches("cannot be kept: cannot remove what cannot be used: read%-only",
        warnings[#warnings])
      cache.remove = remove
      assert.is_true(assert(credential()).renewed)
      assert.is_false(assert(credential()).renewed)
    end)

  it("does not remove what another process has put there meanwhile", function()
    local first = assert(credential())
    assert.equal(200, sim:revoke(cluster, { userId = first.user_id }).status)
    local path, engine = kept_path(), client.engine
    caches.use(dir .. "/another")
    local other = assert(credential())
    local text = tempdir.read(kept_path())
    caches.use(dir)
    -- While this process asks the cluster about the one that was revoked.
    function client.engine(...)
      client.engine = engine
      assert(core.file.write(path, text))
      return engine(...)
    end
    local found = assert(credential())
    assert.is_false(found.renewed)
    assert.equal(other.certificate, found.certificate)
    assert.equal(text, tempdir.read(path))
    assert.equal(2, issued())
  end)

  it("asks nobody when the last time is longer ago", function()
    assert(credential())
    tempdir.check("touch -d '60 seconds ago' " .. tempdir.quote(kept_path() .. ".served"))
    assert.is_false(assert(credential()).renewed)
    assert.equal(0, asked())
  end)

  it("obtains anew what does not trust the cluster, unless it is that new", function()
    assert(credential())
    local other = clients.new(sim)
    local job = assert(other:rotate_credentials(cluster.id, { component = "all" }))
    assert(other:wait_job(job.id, { timeout = 20, interval = 0.05 }))
    other:close()
    tempdir.check("touch -d '+1 hour' " .. tempdir.quote(kept_path()))
    assert.is_false(assert(credential()).renewed)
    tempdir.check("touch -d '2 minutes ago' " .. tempdir.quote(kept_path()))
    assert.is_true(assert(credential()).renewed)
  end)

  it("gives what it keeps when the cluster cannot be asked", function()
    assert(credential())
    client.engine = function() return nil, "out of reach", "CONNECT_FAILED" end
    assert.is_false(assert(credential()).renewed)
    assert.equal(1, issued())
  end)

  it("keeps it when the revocation surely did nothing", function()
    local found = assert(credential())
    sim:fault { operation = "revoke_cert", status = 403 }
    clients.fails("PERMISSION_DENIED", client:revoke_cert(cluster.id, { user_id = found.user_id }))
    assert.is_false(assert(credential()).renewed)
  end)

  it("drops all of a cluster that is rotated, when it begins and when it ended", function()
    assert(credential())
    local job = assert(client:rotate_credentials(cluster.id, { component = "all" }))
    assert.same({}, cache.entries(cluster.id))
    assert(credential())
    client.sleep = core.sys.sleep
    assert(client:wait_job(job.id, { interval = 0.05 }))
    assert.same({}, cache.entries(cluster.id))
  end)

  it("keeps it when only the key of the service accounts is rotated", function()
    assert(credential())
    assert(client:rotate_credentials(cluster.id, { component = "service-account-controller" }))
    assert.is_false(assert(credential()).renewed)
  end)

  it("does not keep what was revoked while it was obtained", function()
    local obtain, times_called, last = client.obtain_cert, 0, 1
    client.obtain_cert = function(self, ...)
      local config, message, err = obtain(self, ...)
      times_called = times_called + 1
      if times_called <= last then
        assert(self:revoke_cert(cluster.id, { user_id = simulator.admin.principal.id }))
      end
      return config, message, err
    end
    local found = assert(credential())
    assert.equal(2, times_called)
    assert.is_true(found.renewed)
    assert.is_false(assert(credential()).renewed)
    -- Nor is it obtained for ever.
    cache.clear(cluster.id)
    last = 20
    clients.fails("CONFLICT", credential())
    assert.equal(5, times_called)
  end)

  it("has the CA of a new certificate put into the files of kubectl, where there is one", function()
    local in_kubeconfig, together, calls = authority.in_kubeconfig, authority.mend_together, {}
    finally(function()
      authority.in_kubeconfig, authority.mend_together = in_kubeconfig, together
    end)
    function authority.mend_together(...) calls[#calls + 1] = { ... } end
    for _ = 1, 2 do assert(credential()) end
    assert.equal(1, #calls)
    local files, id, ca, timeout, tell = unpack(calls[1], 1, 5)
    assert.same({ paths.default(), cluster.id, 1 }, { files, id, timeout })
    assert.is_string(ca)
    tell("f", 0)
    assert.same({}, warnings)
    tell("f", 2)
    tell("f", nil, "no rights")
    assert.matches("the cluster's CA was replaced, and now is in 'f'", warnings[1], 1, true)
    assert.matches("'f' could not be looked at: no rights", warnings[2], 1, true)
    function authority.in_kubeconfig() return nil end
    cache.clear(cluster.id)
    assert.is_true(assert(credential()).renewed)
    assert.equal(1, #calls)
  end)

  it("refuses what is no id before it becomes a path", function()
    for _, id in ipairs { "../../x", "", "a/b", ".hidden", ("x"):rep(200) } do
      clients.fails("INVALID_ARGUMENT", exec.credential(client, id, { duration = 1 }))
    end
    assert.same({}, tempdir.list(dir))
  end)

  it("asks nothing of the cloud without keys", function()
    function client.session.identify()
      return nil, "no keys", errors.new("UNAUTHENTICATED", "no keys", {})
    end
    local _, message, err = credential()
    assert.same({ "no keys", "UNAUTHENTICATED", {} }, { message, err.code, warnings })
  end)

  it("wants a lifetime", function()
    clients.fails("INVALID_ARGUMENT", exec.credential(client, cluster.id, {}))
    clients.fails("INVALID_ARGUMENT", exec.credential(client, cluster.id, { duration = 0.5 }))
    clients.fails("INVALID_ARGUMENT",
      exec.credential(client, cluster.id, { duration = 1, min_remaining = DAY }))
  end)
end)
