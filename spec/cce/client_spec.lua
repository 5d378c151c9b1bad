local cce = require "cce"
local clients = require "spec.support.clients"
local core = require "cce.core"
local pki = require "spec.support.peer.pki"
local printed = require "spec.support.printed"
local simulator = require "spec.support.sim"

local sim = simulator.get()
local inner, outer = sim.clusters[1], sim.clusters[2] -- without and with a public address
local PROJECT = "/api/v3/projects/" .. sim.project_id
local fails, raises = clients.fails, clients.raises

-- What the simulator saw of the last request: method, target, decoded body.
local function last_request()
  local seen = sim:log()
  local entry = seen[#seen]
  return entry.method .. " " .. entry.target, entry.body ~= "" and core.json.decode(entry.body)
    or nil, entry
end

local function revoked_at(cluster, kind, id)
  for _, each in ipairs(sim:state().clusters) do
    if each.id == cluster.id then return each["revoked_" .. kind][id] end
  end
end

before_each(function() sim:reset() end)

describe("client:obtain_cert", function()
  local client = clients.new(sim)

  it("returns the kubeconfig, byte for byte and decoded", function()
    local kubeconfig, message, err = client:obtain_cert(outer.id, { duration = 30 })
    assert.is_nil(message)
    assert.is_nil(err)
    assert.equal("Config", kubeconfig.data.kind)
    assert.same(kubeconfig.data.contexts, core.json.decode(kubeconfig.raw).contexts)
    assert.equal(3, #kubeconfig:contexts())
    assert.equal("90770000-0000-4000-8000-000000000002", kubeconfig.port_id)
    assert.equal(outer.id, kubeconfig.cluster_id)
    assert.equal(simulator.admin.principal.id, kubeconfig:certificate().user_id)
    assert.is_true(kubeconfig:certificate().key_matches)
    printed.shown(kubeconfig)
    printed.shown(kubeconfig.data)
    printed.shown(kubeconfig:contexts())
    printed.add(kubeconfig:certificate())
  end)

  it("sends duration in days", function()
    for _, days in ipairs { 1, 30, 1827, -1 } do
      local kubeconfig = assert(client:obtain_cert(inner.id, { duration = days }))
      local line, body, entry = last_request()
      assert.equal(("POST %s/clusters/%s/clustercert"):format(PROJECT, inner.id), line)
      assert.same({ duration = days }, body)
      assert.equal(('{"duration":%d}'):format(days), entry.body)
      local left = kubeconfig:certificate().not_after - os.time()
      if days > 0 and days < 1827 then assert.is_true(math.abs(left - days * 86400) < 60) end
      if days == -1 then assert.is_true(left > 1825 * 86400) end
    end
  end)

  it("sends expire_at in the form of the API", function()
    local when = os.time() + 3600
    local kubeconfig = assert(client:obtain_cert(inner.id, { expire_at = when }))
    local _, body = last_request()
    assert.same({ expire_at = os.date("!%Y-%m-%d %H:%M:%S +0000 UTC", when) }, body)
    assert.equal(when, kubeconfig:certificate().not_after)
  end)

  it("sends both when both are given, and expire_at wins", function()
    local when = os.time() + 7200
    local kubeconfig = assert(client:obtain_cert(inner.id, { duration = 1, expire_at = when }))
    local _, body = last_request()
    assert.equal(1, body.duration)
    assert.matches("^%d+%-%d+%-%d+ %d+:%d+:%d+ %+0000 UTC$", body.expire_at)
    assert.equal(when, kubeconfig:certificate().not_after)
  end)

  it("issues another certificate each time", function()
    local one = assert(client:obtain_cert(inner.id, { duration = 1 }))
    local two = assert(client:obtain_cert(inner.id, { duration = 1 }))
    assert.not_equal(one:certificate().serial, two:certificate().serial)
  end)

  it("never shows a byte of an answer that it cannot use", function()
    local half = '{"kind":"Config","users":[{"user":{"client-key-data":"c2VjcmV0LWtleQ'
    sim:fault { status = 200, body = half }
    local err = fails("RESPONSE_INVALID", client:obtain_cert(inner.id, { duration = 1 }))
    assert.is_nil(tostring(err):find("c2Vjcm", 1, true))
    assert.is_true(err.maybe_applied)
    assert.equal(200, err.status)
  end)
end)

describe("client:revoke_cert", function()
  local client = clients.new(sim)

  it("revokes a user", function()
    local ok, message, err = client:revoke_cert(inner.id, { user_id = "0123456789abcdef" })
    assert.is_true(ok)
    assert.is_nil(message)
    assert.is_nil(err)
    local line, body = last_request()
    assert.equal(("POST %s/clusters/%s/clustercertrevoke"):format(PROJECT, inner.id), line)
    assert.same({ userId = "0123456789abcdef" }, body)
    assert.is_truthy(revoked_at(inner, "users", "0123456789abcdef"))
  end)

  it("revokes an agency", function()
    assert.is_true(client:revoke_cert(inner.id, { agency_id = "a9e" }))
    assert.same({ agencyId = "a9e" }, (select(2, last_request())))
    assert.is_truthy(revoked_at(inner, "agencies", "a9e"))
  end)

  it("revokes the holder of a kubeconfig or of a certificate", function()
    local member = clients.new(sim, { key = simulator.member })
    local kubeconfig = assert(member:obtain_cert(inner.id, { duration = 1 }))
    local id = simulator.member.principal.id
    assert.is_true(client:revoke_cert(inner.id, { kubeconfig = kubeconfig }))
    assert.same({ userId = id }, (select(2, last_request())))
    local certificate = kubeconfig.data.users[1].user["client-certificate-data"]
    assert.is_true(client:revoke_cert(inner.id, { certificate = certificate }))
    assert.same({ userId = id }, (select(2, last_request())))
    assert.is_true(client:revoke_cert(inner.id, { kubeconfig = kubeconfig, principal = "agency" }))
    assert.same({ agencyId = id }, (select(2, last_request())))
    member:close()
  end)

  local choices = {
    { {}, "nobody is named" },
    { { principal = "user" }, "nobody is named" },
    { { user_id = "u", agency_id = "a" }, "user_id and agency_id are given" },
    { { user_id = "u", certificate = "x" }, "user_id and certificate are given" },
  }
  for i, row in ipairs(choices) do
    it("wants exactly one holder, " .. i, function()
      local err = fails("INVALID_ARGUMENT", client:revoke_cert(inner.id, row[1]))
      assert.matches(row[2], err.message)
      assert.equal(0, #sim:log())
    end)
  end

  it("says that a certificate cannot be read, or names nobody", function()
    fails("INVALID_CERTIFICATE", client:revoke_cert(inner.id, { certificate = "nonsense" }))
    local nameless = pki.issue(nil, { subject = { { "O", "nobody" } } })
    local err = fails("INVALID_CERTIFICATE",
      client:revoke_cert(inner.id, { certificate = nameless.pem }))
    assert.matches("names no user", err.message)
    assert.equal(0, #sim:log())
  end)

  it("reports what the API refuses", function()
    local member = clients.new(sim, { key = simulator.member })
    local err = fails("PERMISSION_DENIED", member:revoke_cert(inner.id, { user_id = "other" }))
    assert.equal("CCE.01403001", err.api_code)
    assert.matches("own credential", err.message)
    sim:set { cluster = inner.id, version = "v1.19.10-r0" }
    err = fails("BAD_REQUEST", client:revoke_cert(inner.id, { user_id = "other" }))
    assert.matches("not support this version", err.message)
    member:close()
  end)
end)

describe("client:rotate_credentials", function()
  local client = clients.new(sim)

  local bodies = {
    { { component = "all" }, { component = "all" } },
    { { component = "service-account-controller" }, { component = "service-account-controller" } },
    { { component = "all", certificate_expiration_time = 0 },
      { component = "all", certificateExpirationTime = 0 } },
    { { component = "all", certificate_expiration_time = 8784 },
      { component = "all", certificateExpirationTime = 8784 } },
  }
  for i, row in ipairs(bodies) do
    it("sends body " .. i, function()
      local job, message, err = client:rotate_credentials(inner.id, row[1])
      assert.is_truthy(job, message)
      assert.is_nil(err)
      assert.matches("^%x+%-%x+%-%x+%-%x+%-%x+$", job.id)
      assert.equal(("job %s: started"):format(job.id), tostring(job))
      local line, body = last_request()
      assert.equal(("POST %s/clusters/%s/rotatecredentials"):format(PROJECT, inner.id), line)
      assert.same(row[2], body)
    end)
  end

  it("sends certificates of one's own as Base64 of PEM, from PEM or Base64", function()
    local now = os.time()
    local lifetime = { not_before = now - 60, not_after = now + 86400 }
    local ca = pki.authority("example CA", lifetime)
    local leaf = pki.issue(ca, { subject = { { "CN", "example" } },
      not_before = now - 60, not_after = now + 86400 })
    for _, encode in ipairs { function(pem) return pem end, pki.base64 } do
      sim:reset()
      assert(client:rotate_credentials(inner.id, {
        component = "custom",
        cert_content = {
          ca = encode(ca.pem), cert = encode(leaf.pem), private_key = encode(leaf.key),
        },
      }))
      local _, body = last_request()
      assert.equal("custom", body.component)
      assert.equal(pki.base64(ca.pem), body.certContent.ca)
      assert.equal(pki.base64(leaf.pem), body.certContent.cert)
      assert.equal("***", body.certContent.privateKey) -- the simulator notes no secrets
    end
  end)

  it("reports that another rotation is running", function()
    sim:set { job_seconds = 60 }
    assert(client:rotate_credentials(inner.id, { component = "all" }))
    local err = fails("RESOURCE_LOCKED",
      client:rotate_credentials(inner.id, { component = "all" }))
    assert.equal("CCE.01429002", err.api_code)
    assert.is_false(err.maybe_applied)
    assert.equal(1, err.attempts)
    -- It looks, and does not send again.
    assert.equal(2, #sim:log { operation = "rotate_credentials" })
    assert.matches("look at its jobs", err.hint)
    assert.equal(sim:log { operation = "rotate_credentials" }[1].cluster, inner.id)
    assert.matches("^[%x-]+$", err.job.id)
    assert(client:show_job(err.job.id))
  end)

  for i, body in ipairs { "{}", '{"jobid":null}', '{"jobid":""}', '{"jobid":5}', "[]" } do
    it("refuses an answer without a job, " .. i, function()
      sim:fault { status = 200, body = body }
      local err = fails("RESPONSE_INVALID",
        client:rotate_credentials(inner.id, { component = "all" }))
      assert.is_true(err.maybe_applied)
      assert.matches("it has no jobid", err.message)
    end)
  end
end)

describe("client:show_job", function()
  local client = clients.new(sim)

  it("tells how far a rotation is", function()
    local id = assert(client:rotate_credentials(inner.id, { component = "all" })).id
    local job, message, err = client:show_job(id)
    assert.is_truthy(job, message)
    assert.is_nil(err)
    assert.equal("GET " .. PROJECT .. "/jobs/" .. id, (last_request()))
    assert.equal(id, job.id)
    assert.matches("^%u%a+$", job.phase)
    assert.is_false(job:ended())
    assert.equal(inner.id, job.cluster_id)
    assert.equal("RotateClusterCredentials", job.type)
    assert.equal(3, #job.sub_jobs)
    assert.equal("Job", job.raw.kind)
    printed.add(job)
  end)

  it("reports a job that does not exist", function()
    local err = fails("NOT_FOUND", client:show_job "no-such-job")
    assert.equal("CCE.01404001", err.api_code)
    assert.matches("job no%-such%-job", err.message)
  end)

  for i, body in ipairs { "{}", '{"status":{}}', '{"status":"Success"}', '{"status":null}' } do
    it("refuses an answer without a phase, " .. i, function()
      sim:fault { status = 200, body = body }
      fails("RESPONSE_INVALID", client:show_job "a-job")
    end)
  end
end)

describe("client:wait_job", function()
  local client, slept

  -- Sleeps as long as the simulator needs, which is not much.
  before_each(function()
    client, slept = clients.new(sim), 0
    client.sleep = function(seconds)
      slept = slept + seconds
      core.sys.sleep(seconds / 100)
    end
  end)
  after_each(function() client:close() end)

  local function start()
    return assert(client:rotate_credentials(inner.id, { component = "all" })).id
  end

  it("returns the job when it has succeeded", function()
    local phases = {}
    sim:set { job_seconds = 60 }
    local id = start()
    local job, message, err = client:wait_job(id, {
      on_progress = function(seen)
        phases[#phases + 1] = seen.phase
        sim:clock(60)
      end,
    })
    assert.is_truthy(job, message)
    assert.is_nil(err)
    assert.equal("Success", job.phase)
    assert.is_true(job:ended())
    assert.equal("Success", phases[#phases])
    assert.not_equal("Success", phases[1])
    assert.equal((#phases - 1) * 5, slept)
    printed.add(job)
  end)

  it("says which sub-jobs failed, and why", function()
    sim:set { cluster = inner.id, job_outcome = "Failed" }
    local id = start()
    local err = fails("JOB_FAILED", client:wait_job(id, { interval = 1 }))
    assert.matches("^job " .. id:gsub("%-", "%%-") .. " failed: 1 of the sub%-jobs failed; "
      .. ".+: node is not reachable$", err.message)
    assert.equal("Failed", err.job.phase)
    assert.equal(1, #err.job:failures())
    assert.equal("wait_job", err.operation)
    assert.is_false(err.retryable)
    assert.matches("sub%-job .+ failed: node is not reachable$", tostring(err.job))
  end)

  it("gives up after its time, and the job goes on", function()
    sim:set { job_seconds = 60 }
    local now = 0
    local slow = clients.new(sim, { clock = function() return os.time() + now end })
    slow.sleep = function(seconds) now = now + seconds end
    local id = assert(slow:rotate_credentials(inner.id, { component = "all" })).id
    local err = fails("TIMEOUT", slow:wait_job(id, { timeout = 20, interval = 4 }))
    assert.is_true(now <= 20 and now >= 12, now)
    assert.matches("not ended within 20 s$", err.message)
    assert.is_true(err.retryable)
    assert.matches("goes on by itself", err.hint)
    assert.equal(id, err.job.id)
    slow:close()
  end)

  it("looks once when its time is 0", function()
    sim:set { job_seconds = 60 }
    local id = start()
    fails("TIMEOUT", client:wait_job(id, { timeout = 0 }))
    assert.equal(1, #sim:log { operation = "show_job" })
  end)

  it("stops when on_progress returns false", function()
    local id = start()
    local err = fails("CANCELLED", client:wait_job(id, {
      on_progress = function() return false end,
    }))
    assert.equal(id, err.job.id)
    assert.equal(1, #sim:log { operation = "show_job" })
    assert.equal(0, slept)
  end)

  it("takes no other value of on_progress for a wish to stop", function()
    local id = start()
    assert(client:wait_job(id, { on_progress = function() return nil end }))
  end)

  it("goes on over failures that may be retried, and ends with others", function()
    local id = start()
    sim:fault { operation = "show_job", status = 503, times = 2 }
    assert.equal("Success", assert(client:wait_job(id)).phase)
    sim:fault { operation = "show_job", status = 403 }
    local err = fails("PERMISSION_DENIED", client:wait_job(id))
    assert.equal("show_job", err.operation)
  end)

  it("refuses values out of range", function()
    for _, opts in ipairs { { timeout = -1 }, { interval = 0 }, { interval = 0 / 0 } } do
      fails("INVALID_ARGUMENT", client:wait_job("a-job", opts))
    end
    assert.equal(0, #sim:log())
  end)
end)

describe("client:list_clusters", function()
  local client = clients.new(sim)

  it("returns all clusters", function()
    local list, message, err = client:list_clusters()
    assert.is_truthy(list, message)
    assert.is_nil(err)
    assert.equal(#sim.clusters, #list)
    local first = list[1]
    assert.equal(inner.id, first.id)
    assert.equal(inner.name, first.name)
    assert.equal("v1.29", first.version)
    assert.equal("Available", first.status)
    assert.equal("Cluster", first.raw.kind)
    assert.equal("GET " .. PROJECT .. "/clusters", (last_request()))
    printed.add(list)
  end)

  local queries = {
    { { detail = true }, "detail=true" }, { { detail = false }, "detail=false" },
    { { status = "Available" }, "status=Available" }, { { type = "ARM64" }, "type=ARM64" },
    { { version = "v1.29" }, "version=v1.29" },
    { { detail = true, type = "VirtualMachine", version = "a&b=c%+d" },
      "detail=true&type=VirtualMachine&version=a%26b%3Dc%25%2Bd" },
  }
  for _, row in ipairs(queries) do
    it("sends " .. row[2], function()
      assert(client:list_clusters(row[1]))
      assert.equal("GET " .. PROJECT .. "/clusters?" .. row[2], (last_request()))
    end)
  end

  it("returns an empty list when nothing fits", function()
    local list = assert(client:list_clusters { status = "Hibernation" })
    assert.equal(0, #list)
    assert.matches("^NAME%s+ID%s+VERSION%s+STATUS$", tostring(list))
  end)

  -- Who works through the list would call done what is not.
  for _, entry in ipairs { "{}", "5", "null", '{"metadata":{"uid":5}}',
    '{"metadata":{"uid":""}}' } do
    it("does not leave out a cluster that cannot be identified: " .. entry, function()
      sim:fault { status = 200, body = ('{"items":[{"metadata":{"uid":"a"}},%s]}'):format(entry) }
      local err = fails("RESPONSE_INVALID", client:list_clusters())
      assert.matches("number 2 of its items is incomplete", err.message)
    end)
  end

  for i, body in ipairs { "{}", '{"items":null}', '{"items":"none"}', '{"items":{"a":{}}}' } do
    it("refuses an answer without a list, " .. i, function()
      sim:fault { status = 200, body = body }
      local err = fails("RESPONSE_INVALID", client:list_clusters())
      assert.matches("it has no items", err.message)
      assert.is_false(err.maybe_applied)
    end)
  end
end)

describe("client:show_cluster", function()
  local client = clients.new(sim)

  it("returns the cluster", function()
    local cluster, message, err = client:show_cluster(outer.id)
    assert.is_truthy(cluster, message)
    assert.is_nil(err)
    assert.equal(outer.id, cluster.id)
    assert.equal(2, #cluster.raw.status.endpoints)
    assert.equal(("GET %s/clusters/%s?detail=true"):format(PROJECT, outer.id), (last_request()))
    printed.add(cluster)
  end)

  it("reports a cluster that does not exist", function()
    local err = fails("NOT_FOUND", client:show_cluster "no-such-cluster")
    assert.equal(404, err.status)
    assert.equal("CCE_CM.0003", err.error_code)
  end)

  it("refuses an answer without an id", function()
    sim:fault { status = 200, body = '{"metadata":{}}' }
    fails("RESPONSE_INVALID", client:show_cluster(inner.id))
  end)
end)

describe("a wrong value", function()
  local client = clients.new(sim)
  local long = ("x"):rep(129)

  local bad_ids = {
    "", " ", "a b", "a/b", "../x", "a..b", "..", ".", "a\rb", "a\nb", "a\r\nHost: x", "a\0b", "a?b",
    "a#b", "a%2fb", "-a", "_a", "\195\164", long,
  }
  for _, id in ipairs(bad_ids) do
    it(("of an id is refused before anything is sent: %q"):format(id:sub(1, 20)), function()
      fails("INVALID_ARGUMENT", client:obtain_cert(id, { duration = 1 }))
      fails("INVALID_ARGUMENT", client:revoke_cert(id, { user_id = "u" }))
      fails("INVALID_ARGUMENT", client:revoke_cert(inner.id, { user_id = id }))
      fails("INVALID_ARGUMENT", client:revoke_cert(inner.id, { agency_id = id }))
      fails("INVALID_ARGUMENT", client:rotate_credentials(id, { component = "all" }))
      fails("INVALID_ARGUMENT", client:show_cluster(id))
      fails("INVALID_ARGUMENT", client:show_job(id))
      local err = fails("INVALID_ARGUMENT", client:wait_job(id))
      assert.matches("job_id is ", err.message)
      assert.equal(0, err.attempts)
      assert.is_false(err.maybe_applied)
      assert.equal(0, #sim:log())
    end)
  end

  local now = os.time()
  local bad_values = {
    { "obtain_cert", {}, "duration or expire_at is required" },
    { "obtain_cert", { duration = 0 }, "duration is 0; it must be" },
    { "obtain_cert", { duration = 1828 }, "duration is 1828; it must be" },
    { "obtain_cert", { duration = -2 }, "duration is %-2;" },
    { "obtain_cert", { duration = 1.5 }, "duration is 1.5; it must be a whole number of days" },
    { "obtain_cert", { duration = 0 / 0 }, "NaN" },
    { "obtain_cert", { duration = math.huge }, "duration is inf" },
    { "obtain_cert", { expire_at = now + 60 }, "15 minutes" },
    { "obtain_cert", { expire_at = now + 6 * 366 * 86400 }, "five years" },
    { "obtain_cert", { expire_at = now + 3600.5 }, "whole seconds" },
    { "obtain_cert", { duration = 1, expire_at = now + 60 }, "15 minutes" },
    { "rotate_credentials", {}, "component is required" },
    { "rotate_credentials", { component = "everything" },
      'component is "everything"; it must be all, service%-account%-controller or custom' },
    { "rotate_credentials", { component = "all", certificate_expiration_time = -1 }, "0 to 8784" },
    { "rotate_credentials", { component = "all", certificate_expiration_time = 8785 },
      "8785; it must be a whole number of hours from 0 to 8784" },
    { "rotate_credentials", { component = "all", certificate_expiration_time = 0.5 }, "whole" },
    { "rotate_credentials", { component = "custom" }, "cert_content.ca is required" },
    { "revoke_cert", { certificate = "x", principal = "group" }, "principal is 'group'" },
  }
  for i, row in ipairs(bad_values) do
    it(("of %s is refused before anything is sent, %d"):format(row[1], i), function()
      local err = fails("INVALID_ARGUMENT", client[row[1]](client, inner.id, row[2]))
      assert.matches(row[3], err.message)
      assert.equal(0, #sim:log())
    end)
  end

  it("of the certificates for a rotation shows no key", function()
    local pair, other = pki.issue(nil, {}), pki.issue(nil, {})
    local err = fails("INVALID_ARGUMENT", client:rotate_credentials(inner.id, {
      component = "custom",
      cert_content = { ca = pair.pem, cert = pair.pem, private_key = other.key },
    }))
    assert.matches("cert_content.private_key", err.message)
    err = fails("INVALID_ARGUMENT", client:rotate_credentials(inner.id, {
      component = "custom",
      cert_content = { ca = pair.pem, cert = pair.pem,
        private_key = pki.fixture "rsa_encrypted.pem" },
    }))
    assert.matches("encrypted", err.message)
    err = fails("INVALID_ARGUMENT", client:rotate_credentials(inner.id, {
      component = "custom",
      cert_content = { ca = ("x"):rep(1048577), cert = pair.pem, private_key = pair.key },
    }))
    assert.matches("1048577 bytes", err.message)
    assert.equal(0, #sim:log())
  end)
end)

describe("wrong use raises at the line of the call:", function()
  local client = clients.new(sim)
  local uses = {
    { "unknown option 'duratoin'", function() client:obtain_cert(inner.id, { duratoin = 1 }) end },
    { "'duration' %(number expected, got string",
      function() client:obtain_cert(inner.id, { duration = "1" }) end },
    { "'expire_at' %(number expected, got table",
      function() client:obtain_cert(inner.id, { expire_at = {} }) end },
    { "#2 to 'obtain_cert' %(table or nil expected, got number",
      function() client:obtain_cert(inner.id, 30) end },
    { "'cluster_id' %(string expected, got nil", function() client:obtain_cert(nil, {}) end },
    { "'cluster_id' %(string expected, got table", function() client:show_cluster {} end },
    { "'cluster_id' %(string expected, got number", function() client:show_cluster(5) end },
    { "unknown option 'userid' %(did you mean 'user_id'",
      function() client:revoke_cert(inner.id, { userid = "u" }) end },
    { "'user_id' %(string expected, got number",
      function() client:revoke_cert(inner.id, { user_id = 5 }) end },
    { "'certificate' %(string expected",
      function() client:revoke_cert(inner.id, { certificate = {} }) end },
    { "'kubeconfig' %(cce.kubeconfig expected, got table",
      function() client:revoke_cert(inner.id, { kubeconfig = {} }) end },
    { "a table of options expected, got string",
      function() client:revoke_cert(inner.id, "0123456789abcdef") end },
    { "'cluster_id' %(string expected, got boolean",
      function() client:revoke_cert(true, { user_id = "u" }) end },
    { "unknown option 'hours'",
      function() client:rotate_credentials(inner.id, { component = "all", hours = 1 }) end },
    { "'component' %(string expected",
      function() client:rotate_credentials(inner.id, { component = 1 }) end },
    { "unknown option 'detials'", function() client:list_clusters { detials = true } end },
    { "'detail' %(boolean expected", function() client:list_clusters { detail = "true" } end },
    { "'job_id' %(string expected, got nil", function() client:show_job() end },
    { "'job_id' %(string expected, got nil", function() client:wait_job() end },
    { "unknown option 'intervall' %(did you mean 'interval'",
      function() client:wait_job("j", { intervall = 1 }) end },
    { "'on_progress' %(callable expected",
      function() client:wait_job("j", { on_progress = 5 }) end },
    { "#1 to 'show_cluster' %(cce.client expected, got string%); call it with a colon",
      function() client.show_cluster(inner.id) end },
    { "#1 to 'revoke_cert' %(cce.client expected, got nil", function() client.revoke_cert() end },
    { "#1 to 'wait_job' %(cce.client expected, got nil", function() client.wait_job() end },
  }
  for i, use in ipairs(uses) do
    it(i .. ": " .. use[1]:gsub("%%", ""), function()
      raises(use[1], use[2])
      assert.equal(0, #sim:log())
    end)
  end

end)

describe("a closed client", function()
  it("raises from every call, and closes again", function()
    local client = clients.new(sim)
    assert(client:list_clusters())
    client:close()
    client:close()
    raises("the client is closed", function() client:list_clusters() end)
    raises("the client is closed", function() client:obtain_cert(inner.id, { duration = 1 }) end)
    raises("the client is closed", function() client:revoke_cert(inner.id, { user_id = "u" }) end)
    raises("the client is closed", function()
      client:rotate_credentials(inner.id, { component = "all" })
    end)
    raises("the client is closed", function() client:show_cluster(inner.id) end)
    raises("the client is closed", function() client:show_job "j" end)
    raises("the client is closed", function() client:wait_job "j" end)
    assert.matches(", closed$", tostring(client))
  end)

  it("need not have been used, and may hold a token", function()
    clients.new(sim):close()
    local client = clients.new(sim, { token = simulator.admin.token })
    client:close()
    raises("the client is closed", function() client:list_clusters() end)
  end)
end)

describe("who asks", function()
  it("may be a token", function()
    local client = clients.new(sim, { token = simulator.member.token })
    local kubeconfig = assert(client:obtain_cert(inner.id, { duration = 1 }))
    assert.equal(simulator.member.principal.id, kubeconfig:certificate().user_id)
    assert.matches("a token", tostring(client))
    client:close()
  end)

  it("may be a token that only C has seen", function()
    local client = clients.new(sim, { token = core.secret(simulator.agency.token) })
    assert(client:list_clusters())
    client:close()
  end)

  it("may be a key whose secret only C has seen", function()
    local client = clients.new(sim, { credentials = {
      ak = simulator.member.ak, sk = core.secret(simulator.member.sk),
    } })
    assert(client:list_clusters())
    assert.matches("access key " .. simulator.member.ak, tostring(client))
    client:close()
  end)

  it("is refused with a token that is not valid, once", function()
    local client = clients.new(sim, { token = "no-such-example-token" })
    fails("UNAUTHENTICATED", client:list_clusters())
    assert.equal(1, #sim:log())
    client:close()
  end)
end)

describe("everything that these specs made print", function()
  it("shows no secret", function()
    assert.is_true(printed.count() > 1000)
    local secrets = { "no-such-example-token" }
    for _, key in ipairs(simulator.account.keys) do
      secrets[#secrets + 1] = key.sk
      secrets[#secrets + 1] = key.token
    end
    assert.is_nil(printed.find(secrets))
    assert.is_nil(printed.find { "kubeconfig.raw" })
  end)

  it("is of use at a prompt", function()
    local client = assert(cce.new {
      endpoint = "https://cce.example.com", project_id = "p-1",
      credentials = { ak = "EXAMPLEAK", sk = "example-secret" },
    })
    assert.equal("cce.client: https://cce.example.com, project p-1, access key EXAMPLEAK",
      tostring(client))
    client:close()
  end)
end)
