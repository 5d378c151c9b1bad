local simulator = require("spec.support.sim")
local sys = require("cce.core").sys
local times = require("cce.sim.server.times")
local x509 = require("openssl.x509")
local tempdir = require "spec.support.tempdir"

local admin, member, agency = simulator.admin, simulator.member, simulator.agency

if not simulator.has_program("curl") then
  describe("the simulator", function()
    pending("is tried by the curl command, which is not installed")
  end)
  return
end

local function from_base64(text)
  local mime = require("mime")
  return (mime.unb64(text))
end

local function client_certificate(answer)
  local user = answer.json.users[1].user
  return x509.new(from_base64(user["client-certificate-data"]), "PEM")
end

local function lifetime(answer)
  local _, not_after = client_certificate(answer):getLifetime()
  return not_after - os.time()
end

describe("the simulator's gateway", function()
  local sim, cluster

  before_each(function()
    sim = simulator.get()
    sim:reset()
    cluster = sim.clusters[1]
  end)

  local function list(call)
    call.method, call.path = "GET", call.path or sim:path()
    return sim:curl(call)
  end

  it("accepts both hash algorithms and every key", function()
    assert.equal(200, list({}).status)
    assert.equal(200, list({ algorithm = "SDK-HMAC-SM3" }).status)
    assert.equal(200, list({ key = member }).status)
    assert.equal(200, list({ key = agency }).status)
  end)

  it("signs the query too", function()
    assert.equal(200, list({ path = sim:path() .. "?detail=true&status=Available" }).status)
  end)

  it("answers a mismatch with its own canonical request", function()
    local answer = sim:curl({ method = "POST", path = sim:path(cluster, "clustercert"),
      body = "", sent_body = "{}" })
    assert.equal(401, answer.status)
    assert.equal("APIGW.0301", answer.json.error_code)
    assert.equal("api-gateway", answer.headers.server)
    assert.equal(answer.headers["x-request-id"], answer.json.request_id)
    local canonical = answer.json.error_msg:match(
      "^Incorrect IAM authentication information: verify aksk signature fail, "
        .. "canonicalRequest:(.*)$")
    assert.matches("^POST|/api/v3/projects/", canonical)
    assert.equal(("44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"),
      canonical:match("[^|]*$"))
  end)

  it("refuses a signature of more than 15 minutes ago and says its own time", function()
    local now = os.time()
    assert.equal(200, list({ date = times.to_sdk(now - 890) }).status)
    local old = times.to_sdk(now - 910)
    local answer = list({ date = old })
    assert.equal(401, answer.status)
    local signed, server = answer.json.error_msg:match("^Incorrect IAM authentication information:"
      .. " calc aksk signature fail:signature expired, signature time:(%w+),server time:(%w+)$")
    assert.equal(old, signed)
    assert.is_true(math.abs(times.from_sdk(server) - now) < 5)
    assert.equal(401, list({ date = times.to_sdk(now + 910) }).status)
  end)

  it("has a clock that can be moved", function()
    sim:clock(1000)
    assert.equal(401, list({}).status)
    assert.equal(200, list({ date = times.to_sdk(os.time() + 1000) }).status)
  end)

  it("refuses an unknown access key", function()
    local answer = list({ key = { ak = "NOBODY", sk = "x" } })
    assert.equal(401, answer.status)
    assert.equal("Incorrect IAM authentication information: Get secretKey failed,ak:******,"
      .. "err:ak not exist", answer.json.error_msg)
  end)

  it("locks an access key after more than five failures, for five minutes", function()
    for _ = 1, 5 do
      assert.matches("verify aksk", list({ key = { ak = member.ak, sk = "x" } }).json.error_msg)
    end
    assert.equal(200, list({ key = member }).status)
    for _ = 1, 6 do
      list({ key = { ak = member.ak, sk = "x" } })
    end
    assert.equal("Incorrect IAM authentication information: AK access failed to reach the limit,"
      .. "forbidden.", list({ key = member }).json.error_msg)
    assert.equal(200, list({}).status)
    sim:clock(301)
    assert.equal(200, list({ key = member, date = times.to_sdk(os.time() + 301) }).status)
  end)

  it("accepts tokens", function()
    local function with(token)
      return list({ unsigned = true, headers = { ["X-Auth-Token"] = token } })
    end
    assert.equal(200, with(admin.token).status)
    assert.matches("decrypt token fail$", with("nonsense").json.error_msg)
    assert.equal(401, with(("x"):rep(16384)).status)
    assert.matches("x%-auth%-token not found$", list({ unsigned = true }).json.error_msg)
  end)

  it("says that other paths are not there", function()
    for _, path in ipairs({ "/", "/api/v3/nonsense", sim:path() .. "/a/b/c" }) do
      local answer = list({ path = path })
      assert.equal(404, answer.status)
      assert.equal("APIGW.0101", answer.json.error_code)
    end
  end)

  it("refuses another project as CCE does", function()
    local answer = list({ path = "/api/v3/projects/11111111111111111111111111111111/clusters" })
    assert.equal(403, answer.status)
    assert.equal("CCE.01403001", answer.json.errorCode)
    assert.equal(403, answer.json.code)
    assert.matches("Action Forbidden", answer.json.message)
  end)

  it("has an IAM that knows the project", function()
    local function projects(name)
      return sim:curl({ method = "GET", path = "/v3/projects?name=" .. name,
        url = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT })
    end
    local answer = projects(simulator.account.region)
    assert.equal(200, answer.status)
    assert.equal(sim.project_id, answer.json.projects[1].id)
    assert.equal('{"projects":[]}', projects("elsewhere").body)
  end)
end)

describe("the simulator's CCE", function()
  local sim, plain, public

  before_each(function()
    sim = simulator.get()
    sim:reset()
    plain, public = sim.clusters[1], sim.clusters[2]
  end)

  local function refused(status, code, pattern, answer)
    assert.equal(status, answer.status)
    assert.equal(code, answer.json.errorCode)
    assert.equal(status, answer.json.code)
    assert.equal("Failure", answer.json.status)
    assert.matches(pattern, answer.json.message)
    assert.matches("^%x+$", answer.headers["x-request-id"])
  end

  it("issues a certificate to the caller", function()
    local answer = sim:obtain(plain, { duration = 30 })
    assert.equal(200, answer.status)
    assert.is_string(answer.headers["port-id"])
    local config = answer.json
    assert.equal("Config", config.kind)
    assert.equal("internal", config["current-context"])
    assert.equal(1, #config.contexts)
    assert.equal(("https://%s:%s"):format(plain.internal, sim.port),
      config.clusters[1].cluster.server)
    local certificate = client_certificate(answer)
    local subject = {}
    for _, part in ipairs(certificate:getSubject():all()) do
      subject[part.sn] = part.blob
    end
    assert.same({ CN = admin.principal.id, O = "system:masters" }, subject)
    local ca = x509.new(from_base64(
      config.clusters[1].cluster["certificate-authority-data"]), "PEM")
    assert.is_true(certificate:isIssuedBy(ca))
    assert.is_true(math.abs(lifetime(answer) - 30 * 86400) < 5)
  end)

  it("has the three contexts of a cluster with a public address", function()
    local config = sim:obtain(public).json
    assert.equal("external", config["current-context"])
    local by_name, order = {}, {}
    for i, item in ipairs(config.clusters) do
      by_name[item.name] = item.cluster
      order[i] = config.contexts[i].name .. "=" .. config.contexts[i].context.cluster
    end
    assert.same({ "internal=internalCluster", "external=externalCluster",
      "externalTLSVerify=externalClusterTLSVerify" }, order)
    assert.is_true(by_name.externalCluster["insecure-skip-tls-verify"])
    assert.is_nil(by_name.externalCluster["certificate-authority-data"])
    assert.is_string(by_name.externalClusterTLSVerify["certificate-authority-data"])
    assert.equal(by_name.externalCluster.server, by_name.externalClusterTLSVerify.server)
    assert.not_equal(by_name.externalCluster.server, by_name.internalCluster.server)
  end)

  it("issues a new certificate each time", function()
    assert.not_equal(client_certificate(sim:obtain(plain)):digest("sha256", "x"),
      client_certificate(sim:obtain(plain)):digest("sha256", "x"))
  end)

  it("keeps to the limits of duration", function()
    for _, days in ipairs({ 1, 2, 1826 }) do
      local seconds = lifetime(sim:obtain(plain, { duration = days }))
      assert.is_true(math.abs(seconds - days * 86400) < 120)
    end
    local five_years = times.add_years(os.time(), 5) - os.time()
    for _, days in ipairs({ -1, 1827 }) do
      local seconds = lifetime(sim:obtain(plain, { duration = days }))
      assert.is_true(seconds <= five_years + 120 and seconds > five_years - 86400)
    end
    for _, days in ipairs({ 0, -2, 1828, 1.5, "30", true }) do
      refused(400, "CCE.01400001", "duration", sim:obtain(plain, { duration = days }))
    end
  end)

  it("keeps to the limits of expire_at, which wins", function()
    local function at(seconds, duration)
      local text = os.date("!%Y-%m-%d %H:%M:%S +0000 UTC", os.time() + seconds)
      return sim:obtain(plain, { expire_at = text, duration = duration })
    end
    assert.is_true(math.abs(lifetime(at(903, 30)) - 903) < 5)
    refused(400, "CCE.01400001", "expire_at", at(890))
    assert.equal(200, at(5 * 365 * 86400).status)
    refused(400, "CCE.01400001", "expire_at", at(5 * 366 * 86400))
    for _, text in ipairs({ "2030-01-01", "2030-02-31 00:00:00 +0000 UTC", 5 }) do
      refused(400, "CCE.01400001", "expire_at", sim:obtain(plain, { expire_at = text }))
    end
  end)

  it("wants a lifetime, JSON and its content type", function()
    local function post(body, content_type)
      return sim:curl({ method = "POST", path = sim:path(plain, "clustercert"), body = body,
        headers = { ["content-type"] = content_type or "application/json;charset=utf-8" } })
    end
    assert.equal(200, post('{"duration":1}').status)
    refused(400, "CCE.01400001", "at least one of", post("{}"))
    refused(400, "CCE.01400001", ".", post('{"duration":'))
    refused(400, "CCE.01400001", ".", post("7"))
    refused(400, "CCE.01400006", "text/plain", post('{"duration":1}', "text/plain"))
  end)

  it("says which cluster is not there or not ready", function()
    refused(404, "CCE.01404001", "nonesuch", sim:obtain({ id = "nonesuch" }))
    sim:set({ cluster = plain.id, phase = "Upgrading" })
    refused(400, "CCE.01400001", "Upgrading", sim:obtain(plain))
    assert.equal(200, sim:obtain(public).status)
  end)

  it("revokes for exactly one of userId and agencyId", function()
    local user, other = admin.principal.id, agency.principal.id
    local answer = sim:revoke(plain, { userId = user })
    assert.equal(200, answer.status)
    assert.equal("", answer.body)
    assert.equal(200, sim:revoke(plain, { agencyId = other }).status)
    refused(400, "CCE.01400001", "exactly one", sim:revoke(plain, { user = user }))
    refused(400, "CCE.01400001", "exactly one",
      sim:revoke(plain, { userId = user, agencyId = other }))
    refused(400, "CCE.01400001", "not an id", sim:revoke(plain, { userId = "" }))
  end)

  it("lets others than the administrator revoke only their own", function()
    assert.equal(200, sim:revoke(plain, { userId = member.principal.id }, member).status)
    refused(403, "CCE.01403001", "own",
      sim:revoke(plain, { userId = admin.principal.id }, member))
    refused(403, "CCE.01403001", "own",
      sim:revoke(plain, { agencyId = member.principal.id }, member))
  end)

  it("refuses to revoke in a cluster that is too old", function()
    for version, status in pairs({
      ["v1.19.16-r49"] = 400, ["v1.19.16-r50"] = 200, ["v1.19.17-r0"] = 200,
      ["v1.20.99-r0"] = 400, ["v1.27.1-r9"] = 400, ["v1.27.1-r10"] = 200, ["v1.28.0-r0"] = 200,
    }) do
      sim:set({ cluster = plain.id, version = version })
      local answer = sim:revoke(plain, { userId = admin.principal.id })
      assert.equal(status, answer.status)
      if status == 400 then
        refused(400, "CCE.01400001", "^not support this version " .. version:gsub("%p", "%%%0"),
          answer)
      end
    end
  end)

  it("rotates by a job that takes its time", function()
    sim:set({ cluster = plain.id, job_seconds = 1000 })
    local id = sim:rotate(plain, { component = "all", certificateExpirationTime = 0 }).json.jobid
    local job = sim:job(id).json
    assert.equal("Initializing", job.status.phase)
    assert.equal(plain.id, job.spec.clusterUID)
    assert.equal(id, job.metadata.uid)
    assert.matches("^%d+%-%d+%-%d+ %d+:%d+:%d+%.%d+ %+0000 UTC$", job.metadata.creationTimestamp)
    refused(429, "CCE.01429002", "rotation", sim:rotate(plain))
    assert.equal(200, sim:rotate(public).status)
    local function phase_after(seconds)
      sim:clock(seconds)
      local path = "/api/v3/projects/" .. sim.project_id .. "/jobs/" .. id
      return sim:curl({ method = "GET", path = path, unsigned = true,
        headers = { ["X-Auth-Token"] = admin.token } }).json.status.phase
    end
    assert.equal("Running", phase_after(500))
    assert.equal("Success", phase_after(1001))
    sim:clock(0)
    assert.equal(404, sim:job("nonesuch").status)
  end)

  it("shows a cluster with its last job", function()
    local function show()
      return sim:curl({ method = "GET", path = sim:path(public) .. "?detail=true" }).json
    end
    assert.is_nil(show().status.jobID)
    local id = sim:rotate(public).json.jobid
    local cluster = show()
    assert.equal(id, cluster.status.jobID)
    assert.equal("Available", cluster.status.phase)
    assert.equal("v1.29", cluster.spec.version)
    assert.equal("External", cluster.status.endpoints[2].type)
  end)

  it("lets a rotation fail on request, at a node", function()
    sim:set({ cluster = plain.id, job_outcome = "Failed", job_seconds = 0 })
    local job = sim:job(sim:rotate(plain).json.jobid).json
    assert.equal("Failed", job.status.phase)
    local phases = {}
    for i, sub in ipairs(job.spec.subJobs) do
      phases[i] = sub.status.phase
    end
    assert.same({ "Success", "Success", "Failed" }, phases)
    assert.equal("node is not reachable", job.spec.subJobs[3].status.reason)
  end)

  it("checks the fields of a rotation", function()
    refused(400, "CCE.01400001", "component", sim:rotate(plain, { component = "some" }))
    refused(400, "CCE.01400001", "component", sim:rotate(plain, { nothing = 1 }))
    for _, hours in ipairs({ -1, 8785, 0.5, "24" }) do
      refused(400, "CCE.01400001", "certificateExpirationTime",
        sim:rotate(plain, { component = "all", certificateExpirationTime = hours }))
    end
    refused(400, "CCE.01400001", "certContent", sim:rotate(plain, { component = "custom" }))
  end)

  it("checks one's own certificates", function()
    local mime, pki = require("mime"), require("cce.sim.pki")
    local ca = pki.authority("mine", os.time())
    local pair = pki.client(ca, { common_name = "proxy", organisation = "o",
      not_before = os.time(), not_after = os.time() + 86400 })
    local stranger = pki.authority("other", os.time())
    local function rotate(ca_pem, cert, key)
      return sim:rotate(plain, { component = "custom", certContent = {
        ca = ca_pem and mime.b64(ca_pem), cert = cert and mime.b64(cert),
        privateKey = key and mime.b64(key) } })
    end
    refused(400, "CCE.01400001", "ca is mandatory", rotate(nil, pair.pem, pair.key_pem))
    refused(400, "CCE.01400001", "ca is not a", rotate("x", pair.pem, pair.key_pem))
    refused(400, "CCE.01400001", "does not fit", rotate(ca.pem, pair.pem, stranger.key_pem))
    refused(400, "CCE.01400001", "larger than 1 MB",
      rotate(("x"):rep(786433), pair.pem, pair.key_pem))
    assert.equal(200, rotate(ca.pem, pair.pem, pair.key_pem).status)
    for _, entry in ipairs(sim:log({ operation = "rotate_credentials" })) do
      assert.is_nil(entry.body:find(mime.b64(pair.key_pem), 1, true))
      assert.matches('"privateKey":"%*%*%*"', entry.body)
    end
  end)

  it("lists clusters and filters them", function()
    local function ids(query)
      local found = {}
      local answer = sim:curl({ method = "GET", path = sim:path() .. query })
      for i, item in ipairs(answer.json.items) do
        found[i] = item.metadata.uid
      end
      return found
    end
    assert.equal(5, #ids(""))
    sim:set({ cluster = public.id, phase = "Hibernation", version = "v1.27.3-r0" })
    assert.same({ public.id }, ids("?status=Hibernation"))
    assert.same({ public.id }, ids("?version=v1.27"))
    assert.same({}, ids("?type=ARM64"))
  end)
end)

describe("the simulator's faults", function()
  local sim, cluster

  before_each(function()
    sim = simulator.get()
    sim:reset()
    cluster = sim.clusters[1]
  end)

  it("hit what they name, as often as they say", function()
    sim:fault({ cluster = cluster.id, operation = "obtain_cert", times = 2, status = 500 })
    assert.equal(200, sim:obtain(sim.clusters[2]).status)
    assert.equal(200, sim:revoke(cluster, { userId = admin.principal.id }).status)
    assert.equal("CCE.01500001", sim:obtain(cluster).json.errorCode)
    assert.equal(500, sim:obtain(cluster).status)
    assert.equal(200, sim:obtain(cluster).status)
    assert.equal(2, #sim:log({ fault = true }))
  end)

  it("answer any status, body and headers", function()
    sim:fault({ times = 1, status = 429 })
    assert.equal("The throttling threshold has been reached: policy user over ratelimit,"
      .. "limit:200,time:5 minute", sim:obtain(cluster).json.error_msg)
    sim:fault({ times = 1, status = 503, body = "down", headers = { ["Retry-After"] = "3" } })
    local answer = sim:obtain(cluster)
    assert.equal(503, answer.status)
    assert.equal("down", answer.body)
    assert.equal("3", answer.headers["retry-after"])
    for _, status in ipairs({ 400, 401, 403, 404, 409, 502, 504 }) do
      sim:fault({ times = 1, status = status })
      assert.equal(status, sim:obtain(cluster).status)
    end
  end)

  it("break the connection before or after the work is done", function()
    for moment, accepted in pairs({ before = false, after = true }) do
      sim:reset()
      sim:fault({ times = 1, reset = moment })
      local answer, code = sim:rotate(cluster)
      assert.is_nil(answer)
      assert.is_true(code == 52 or code == 56, "curl ended with " .. code)
      local seen = sim:log({ operation = "rotate_credentials" })
      assert.equal(1, #seen)
      assert.equal(accepted, seen[1].accepted)
      assert.equal("reset " .. moment, seen[1].outcome)
      assert.equal(accepted and 1 or 0, #sim:state().jobs)
    end
  end)

  it("do it and then say that it failed", function()
    sim:fault({ times = 1, status = 502, applied = true })
    assert.equal(502, sim:rotate(cluster).status)
    assert.equal(1, #sim:state().jobs)
    assert.is_true(sim:log({ operation = "rotate_credentials" })[1].accepted)
  end)

  it("delay", function()
    sim:fault({ times = 1, delay = 0.15 })
    local before = sys.monotonic()
    assert.equal(200, sim:obtain(cluster).status)
    assert.is_true(sys.monotonic() - before >= 0.15)
  end)

  it("cut, spoil and blow up the answer", function()
    sim:fault({ times = 1, truncate = true })
    local answer, code = sim:obtain(cluster)
    assert.is_true(code == 18 or code == 56, "curl ended with " .. code)
    assert.is_true(#answer.body < tonumber(answer.headers["content-length"]))
    sim:fault({ times = 1, garbage = true })
    answer = sim:obtain(cluster)
    assert.equal(200, answer.status)
    assert.is_nil(answer.json)
    sim:fault({ times = 1, oversize = 1000000 })
    assert.equal(1000000, #sim:obtain(cluster).body)
  end)

  it("close a kept-alive connection at its second request", function()
    sim:fault({ close_on_reuse = true, times = 1 })
    local url = sim.env.CCE_ENDPOINT .. sim:path()
    local _, code = simulator.run_shell(("exec curl -sS --retry 0 -H 'X-Auth-Token: %s' --cacert %s"
      .. " -o /dev/null -o /dev/null %s %s"):format(admin.token, sim.env.CCE_CA_FILE, url, url))
    assert.is_number(code)
    local seen = sim:log({ operation = "list_clusters" })
    -- curl itself sends a GET again, on a new connection.
    assert.equal(seen[1].connection, seen[2].connection)
    assert.equal(2, seen[2].connection_request)
    assert.equal("reset before", seen[2].outcome)
    assert.is_true(seen[1].accepted)
  end)

  it("are refused when they make no sense", function()
    assert.error_matches(function() sim:fault({ sattus = 500 }) end, "sattus of a fault: not known")
    assert.error_matches(function() sim:fault({ status = "500" }) end, "number expected")
    assert.error_matches(function() sim:fault({ reset = "now" }) end, '"before" or "after"')
    assert.error_matches(function() sim:set({ cluster = "x" }) end, "no such cluster")
  end)
end)

describe("the simulator's TLS", function()
  local sim

  before_each(function()
    sim = simulator.get()
  end)

  it("is verified by its own authority only", function()
    local _, code = simulator.run_curl(sim.env.CCE_ENDPOINT .. "/", "GET", {}, "")
    assert.equal(60, code)
    _, code = simulator.run_curl(sim.env.CCE_ENDPOINT .. "/", "GET", {},
      "--cacert " .. sim.env.CCE_CA_FILE)
    assert.equal(0, code)
  end)

  for kind, text in pairs({
    expired = "expired", wrong_name = "no alternative certificate subject name",
    unknown_ca = "unable to get local issuer", self_signed = "self%-signed",
  }) do
    it("has a bad listener: " .. kind, function()
      local answer, code, output = simulator.run_curl(sim:bad_tls(kind) .. "/", "GET", {},
        "--cacert " .. sim.env.CCE_CA_FILE)
      assert.is_nil(answer)
      assert.equal(60, code)
      assert.matches(text, output)
    end)
  end
end)

local function is_gone(pid)
  local stat = simulator.read(("/proc/%s/stat"):format(pid))
  return not stat or stat:match("%) (%a)") == "Z"
end

local function eventually(check)
  local deadline = sys.monotonic() + 120
  repeat
    if check() then
      return true
    end
    sys.sleep(0.01)
  until sys.monotonic() > deadline
  return false
end

describe("cce sim", function()
  local function nginx_pid(dir)
    return simulator.read(dir .. "/nginx.pid"):match("%d+")
  end

  local function start(arguments)
    local process, dir = simulator.spawn(arguments)
    return process, dir, simulator.wait_for_env(process, dir)
  end

  it("says where it is and leaves a private environment file", function()
    local process, dir, env = start({ "--clusters", "1" })
    assert.is_true(eventually(function()
      return simulator.read(dir .. "/stdout") == ("cce sim: 1 cluster at %s; to use it: "
        .. "set -a; . '%s/env'; set +a\n"):format(env.CCE_ENDPOINT, dir)
    end))
    local _, _, modes = simulator.run_shell("stat -c %a " .. dir .. "/env " .. dir)
    assert.equal("600\n700\n", modes)
    for _, name in ipairs({ "CCE_ENDPOINT", "CCE_CA_FILE", "CCE_CTS_ENDPOINT",
      "HUAWEICLOUD_SDK_IAM_ENDPOINT", "HUAWEICLOUD_SDK_STS_ENDPOINT", "HUAWEICLOUD_SDK_AK",
      "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_PROJECT_ID" }) do
      assert.is_string(env[name], name)
    end
    process:close()
    simulator.remove(dir)
  end)

  for _, signal in ipairs({ "SIGINT", "SIGTERM", "SIGHUP" }) do
    it("ends in order on " .. signal .. " and leaves no process", function()
      local process, dir = start()
      local pid = nginx_pid(dir)
      process:signal(signal)
      assert.equal(0, process:wait(120))
      assert.is_true(is_gone(pid))
      assert.is_nil(simulator.read(dir .. "/env"))
      simulator.remove(dir)
    end)
  end

  it("takes nginx with it when it is killed", function()
    local process, dir = start()
    local pid = nginx_pid(dir)
    process:signal("SIGKILL")
    process:wait(120)
    assert.is_true(eventually(function() return is_gone(pid) end))
    simulator.remove(dir)
  end)

  it("ends when its parent dies", function()
    local dir = sys.mkdir_private(tempdir.root .. "/cce-spec-XXXXXX")
    local parent = sys.spawn({ argv = { "/bin/sh", "-c", ("%s bin/cce sim --dir %s & wait")
      :format(simulator.interpreter(), dir) }, stdout = "/dev/null" })
    simulator.wait_for_env(parent, dir)
    local pid = nginx_pid(dir)
    parent:signal("SIGKILL")
    assert.is_true(eventually(function()
      return is_gone(pid) and not simulator.read(dir .. "/env")
    end))
    simulator.remove(dir)
  end)

  it("says when nginx dies #unchecked", function()
    local process, dir = start()
    sys.spawn({ argv = { "/bin/sh", "-c", "kill -KILL " .. nginx_pid(dir) } }):wait()
    assert.equal(1, process:wait(120))
    assert.matches("^cce: nginx ended", simulator.read(dir .. "/stderr"))
    simulator.remove(dir)
  end)

  it("says when the port is in use #unchecked", function()
    local sim = simulator.get()
    local process, dir = simulator.spawn({ "--port", sim.port })
    assert.equal(1, process:wait(120))
    assert.matches("^cce: port in use: something listens at 127%.[%d.]+:" .. sim.port,
      simulator.read(dir .. "/stderr"))
    assert.is_nil(simulator.read(dir .. "/env"))
    simulator.remove(dir)
  end)

  it("says what is wrong with its arguments", function()
    for message, arguments in pairs({
      ["clusters must be from 0 to 2000"] = { "--clusters", "2001" },
      ["a whole number is expected, not 'x'"] = { "--port", "x" },
      ["port must be from 1 to 65535"] = { "--port", "65536" },
      ["seconds are expected, not '%-1'"] = { "--job-seconds=-1" },
      ["unknown option '%-%-nonsense'"] = { "--nonsense" },
    }) do
      local process, dir = simulator.spawn(arguments)
      assert.is_true(process:wait(120) > 0)
      assert.matches(message, simulator.read(dir .. "/stderr"))
      simulator.remove(dir)
    end
  end)

  it("says when its directory cannot be made", function()
    local out = os.tmpname()
    local process = sys.spawn({ argv = { simulator.interpreter(), "bin/cce", "sim", "--dir",
      "/proc/nonsense" }, stderr = out })
    assert.equal(1, process:wait(120))
    assert.matches("^cce: cannot make directory /proc/nonsense: ", simulator.read(out))
    os.remove(out)
  end)

  it("says when its directory is another simulator's", function()
    local process, dir = start()
    local second = sys.spawn({ argv = { simulator.interpreter(), "bin/cce", "sim", "--dir", dir },
      stderr = dir .. "/stderr2" })
    assert.equal(1, second:wait(120))
    assert.matches("^cce: a simulator runs in " .. dir:gsub("%p", "%%%0") .. " already",
      simulator.read(dir .. "/stderr2"))
    assert.is_table(simulator.read_env(dir))
    process:close()
    simulator.remove(dir)
  end)

  it("writes absolute paths and quotes them, when its directory has an odd name", function()
    local dir = sys.mkdir_private(tempdir.root .. "/cce-spec-XXXXXX")
    local process = sys.spawn({ argv = { "/bin/sh", "-c",
      'root=$PWD; cd "$1"; exec "$2" "$root/bin/cce" sim --dir "it\'s odd"', "sh", dir,
      simulator.interpreter() }, stdout = "/dev/null" })
    assert.is_true(eventually(function() return simulator.read_env(dir .. "/it's odd") end))
    local env = simulator.read_env(dir .. "/it's odd")
    assert.equal(dir .. "/it's odd/ca.pem", env.CCE_CA_FILE)
    local _, code, output = simulator.run_shell(
      (". '%s/it'\\''s odd/env'; cat \"$CCE_CA_FILE\""):format(dir))
    assert.equal(0, code)
    assert.matches("BEGIN CERTIFICATE", output)
    process:close()
    simulator.remove(dir)
  end)

  it("says which packages are missing", function()
    local nginx = require("cce.sim.nginx")
    local found, message, code = nginx.find("/no/such/place")
    assert.is_nil(found)
    assert.matches("install the packages nginx and libnginx%-mod%-http%-lua", message)
    assert.equal("MISSING_DEPENDENCY", code)
    found, message, code = nginx.find_modules("/bin/true", { "/no/such/place" })
    assert.is_nil(found)
    assert.matches("libnginx%-mod%-http%-lua", message)
    assert.equal("MISSING_DEPENDENCY", code)
  end)

  it("takes an nginx that has Lua inside", function()
    local nginx, dir = require("cce.sim.nginx"), tempdir.new()
    finally(function() tempdir.remove(dir) end)
    for _, name in ipairs({ "openresty", "ngx_lua", "lua-nginx-module" }) do
      simulator.write(dir .. "/nginx", "#!/bin/sh\necho \"built $1 " .. name .. "\" >&2\n")
      os.execute("chmod 755 " .. dir .. "/nginx")
      assert.same({}, nginx.find_modules(dir .. "/nginx", { "/no/such/place" }))
    end
  end)

  -- Each: what is other than usual (D is the directory), what it says. DIR/fake is a program.
  local FAKE = "nginx.find = function() return D .. '/fake' end; "
  for what, row in pairs({
    ["there is no nginx"] = { "local find = nginx.find; nginx.find = function()"
      .. " return find('/no/such/place') end", "^cce: the simulator needs nginx; on Debian" },
    ["nginx has no Lua"] = { "local find = nginx.find_modules; nginx.find_modules = function()"
      .. " return find('/bin/true', {}) end", "^cce: the simulator needs nginx's Lua module" },
    ["no process can be started"] = { "nginx.start = function()"
      .. " return nil, 'no more processes', 'UNSUPPORTED' end", "^cce: no more processes\n" },
    ["nginx ends at once"] = { FAKE,
      "^cce: nginx did not start; it says:\n  line 6\n.*  line 20\n",
      "for i in $(seq 20); do echo \"line $i\"; echo \"[notice] $i\"; done; exit 1" },
    ["nginx does not get ready"] = { FAKE .. [[
      local sys, calls = require("cce.core").sys, 0
      local real = sys.monotonic
      sys.monotonic = function() -- half a minute is over once it has said something
        local log = io.open(D .. "/nginx.log")
        calls = calls + 1
        return real() + (calls > 1 and log and log:read("*a") ~= "" and 31 or 0)
      end]],
      "^cce: nginx did not get ready in time; it says:\n  slow\n", "echo slow; exec sleep 600" },
    ["a file of its own cannot be written"] = { "require('cce.core').sys.mkdir(D .. '/nginx.conf');"
      .. " io.open(D .. '/nginx.conf/x', 'w'):close(); local f = io.open(D .. '/config.json', 'w');"
      .. " f:write('{\"job_seconds\":1}'); f:close()", "^cce: .*nginx%.conf: Is a directory\n" },
  }) do
    it("says when " .. what, function()
      local dir = sys.mkdir_private(tempdir.root .. "/cce-spec-XXXXXX")
      finally(function() simulator.remove(dir) end)
      simulator.write(dir .. "/fake", "#!/bin/sh\n" .. (row[3] or ""))
      os.execute("chmod 755 " .. dir .. "/fake")
      local process = sys.spawn({ argv = { simulator.interpreter(), "-e",
        ("local D, nginx = %q, require('cce.sim.nginx'); %s"):format(dir, row[1]), "bin/cce",
        "sim", "--dir", dir }, stderr = dir .. "/stderr", die_with_parent = true })
      assert.equal(1, process:wait(120))
      local said = simulator.read(dir .. "/stderr")
      assert.matches(row[2], said)
      assert.is_nil(said:find("[notice]", 1, true))
      assert.is_nil(simulator.read(dir .. "/env"))
    end)
  end

  it("ends in order on a signal while nginx is not ready", function()
    local dir = sys.mkdir_private(tempdir.root .. "/cce-spec-XXXXXX")
    finally(function() simulator.remove(dir) end)
    simulator.write(dir .. "/fake", "#!/bin/sh\necho $$ >" .. dir .. "/pid\nexec sleep 600\n")
    os.execute("chmod 755 " .. dir .. "/fake")
    local process = sys.spawn({ argv = { simulator.interpreter(), "-e",
      ("require('cce.sim.nginx').find = function() return %q end"):format(dir .. "/fake"),
      "bin/cce", "sim", "--dir", dir }, stderr = dir .. "/stderr", die_with_parent = true })
    local pid
    assert.is_true(eventually(function()
      pid = (simulator.read(dir .. "/pid") or ""):match("%d+")
      return pid
    end))
    process:signal("SIGTERM")
    assert.equal(0, process:wait(120))
    assert.is_true(is_gone(pid))
    assert.equal("", simulator.read(dir .. "/stderr"))
  end)

  it("lets a mistake of the program that runs it pass", function()
    local dir = sys.mkdir_private(tempdir.root .. "/cce-spec-XXXXXX")
    finally(function() simulator.remove(dir) end)
    local process = sys.spawn({ argv = { simulator.interpreter(), "-e", ([[
      local ok, problem = pcall(require("cce.sim").run, { dir = %q,
        on_ready = function() error("on purpose", 0) end })
      io.stderr:write(tostring(ok), " ", tostring(problem))]]):format(dir) },
      stderr = dir .. "/stderr", die_with_parent = true })
    assert.equal(0, process:wait(120))
    assert.equal("false on purpose", simulator.read(dir .. "/stderr"))
  end)

  for library, package in pairs({ openssl = "lua%-luaossl", argparse = "lua%-argparse" }) do
    it("says that it needs " .. package:gsub("%%", ""), function()
      local out = os.tmpname()
      local process = sys.spawn({ argv = { simulator.interpreter(), "-e",
        ("package.preload[%q] = function() error('gone') end"):format(library), "bin/cce", "sim",
        "--dir", "/tmp/cce-spec-never" }, stderr = out })
      assert.equal(1, process:wait(120))
      assert.matches("^cce: .*" .. package, simulator.read(out))
      os.remove(out)
    end)
  end

  it("starts 300 clusters, each at an address of its own", function()
    local sim = simulator.start({ clusters = 300 })
    local seen = {}
    for _, cluster in ipairs(sim.clusters) do
      assert.is_nil(seen[cluster.internal])
      seen[cluster.internal] = true
    end
    local last = sim.clusters[300]
    local server = sim:obtain(last).json.clusters[1].cluster.server
    assert.equal(("https://127.1.1.50:%s"):format(sim.port), server)
    assert.equal(401, (simulator.run_curl(server .. "/version", "GET", {}, "-k")).status)
    sim:stop()
  end)
end)
