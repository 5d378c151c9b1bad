-- What the simulator answers to what is wrong in one way only, and at the edge of each limit.
local cjson = require "cjson"
local core = require "cce.core"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"
local times = require "cce.sim.server.times"

local account = simulator.account
local admin, member, agency = simulator.admin, simulator.member, simulator.agency
local null = cjson.null

if not simulator.has_program("curl") then
  describe("the simulator's answers", function()
    pending("are asked for by the curl command, which is not installed")
  end)
  return
end

local sim, cluster

before_each(function()
  sim = simulator.get()
  sim:reset()
  cluster = sim.clusters[1]
end)

local ENDPOINTS = { cce = "CCE_ENDPOINT", cts = "CCE_CTS_ENDPOINT", control = "CCE_SIM_CONTROL",
  iam = "HUAWEICLOUD_SDK_IAM_ENDPOINT", sts = "HUAWEICLOUD_SDK_STS_ENDPOINT" }

-- A call for sim:curl_all: {p} and {c} in the path are the project's and the cluster's ids, a body
-- that is a table is sent as JSON; more: other fields of the call.
local function call_of(line, body, more)
  local method, service, path = line:match("^(%u+) ([%w_]+) (.*)$")
  local call = { method = method, path = path:gsub("{p}", sim.project_id):gsub("{c}", cluster.id) }
  call.url = ENDPOINTS[service] and sim.env[ENDPOINTS[service]] or sim:plain(service)
  call.body = type(body) == "table" and cjson.encode(body) or body
  for name, value in pairs(more or {}) do
    call[name] = value
  end
  return call
end

-- ask("GET iam /v3/users", body, more)
local function ask(...)
  return sim:curl_all({ call_of(...) })[1]
end

-- Each row: what, request line, body, status, text in the answer's body, more of the request;
-- or instead of what is of the request the whole `call`.
local function check(rows)
  local calls = {}
  for i, row in ipairs(rows) do calls[i] = row.call or call_of(row[2], row[3], row[6]) end
  for i, answer in ipairs(sim:curl_all(calls)) do
    local row, what = rows[i], rows[i][1] .. ": " .. answer.body:sub(1, 200)
    assert.equal(row[4], answer.status, what)
    assert.is_truthy(answer.body:find(row[5] or "", 1, true), what)
  end
end

-- cases: query -> what the field `name` of the items at json[field] must be, in one line.
local function check_lists(line, field, name, cases)
  local queries, calls = {}, {}
  for query in pairs(cases) do
    queries[#queries + 1] = query
    calls[#queries] = call_of(line .. query)
  end
  for i, answer in ipairs(sim:curl_all(calls)) do
    assert.equal(200, answer.status, queries[i])
    local found = {}
    for n, item in ipairs(answer.json[field]) do found[n] = item[name] end
    assert.equal(cases[queries[i]], table.concat(found, " "), queries[i])
  end
end

-- A copy with some fields changed; `null` takes one away.
local function with(original, changes)
  local copy = {}
  for name, value in pairs(original) do copy[name] = value end
  for name, value in pairs(changes) do copy[name] = value ~= null and value or nil end
  return copy
end

local function repeated(value, count)
  local list = {}
  for i = 1, count do list[i] = value end
  return list
end

local function token_only(token)
  return { unsigned = true, headers = { ["X-Auth-Token"] = token } }
end

local function dated(seconds, more)
  return with(more or {}, { date = times.to_sdk(os.time() + seconds) })
end

local LIST = "GET cce /api/v3/projects/{p}/clusters"

describe("the simulator's gateway", function()
  it("knows its paths by method, with or without a slash at the end", function()
    check {
      { "a slash", LIST .. "/", nil, 200 },
      { "escapes", "GET cce /api/v3/pr%6fjects/{p}/clusters", nil, 200 },
      { "another method", "PUT cce /api/v3/projects/{p}/clusters", nil, 404, "APIGW.0101" },
      { "more in front", "GET cce /x/api/v3/projects/{p}/clusters", nil, 404, "APIGW.0101" },
      { "a dot that is none", "GET iam /v3x0/OS-AGENCY/agencies", nil, 404, "APIGW.0101" },
      { "another service's", "GET cts /v3/users", nil, 404, "APIGW.0101" },
    }
  end)

  it("refuses what is not signed as it must be", function()
    local request = { unsigned = true, headers = { Authorization = "Basic abc" } }
    check {
      { "scheme", LIST, nil, 401, "authorization header is malformed", request },
      { "date", LIST, nil, 401, "verify aksk signature fail", { date = "yesterday" } },
      { "a permanent key with a security token", LIST, nil, 401, "verify aksk signature fail",
        { headers = { ["x-security-token"] = "x" } } },
      { "a token wins", LIST, nil, 401, "decrypt token fail",
        { headers = { ["x-auth-token"] = "x" } } },
    }
  end)

  it("counts failures of a key that follow each other, and again after a lock", function()
    local wrong, right = { key = { ak = member.ak, sk = "x" } }, { key = member }
    local function fail(count, more)
      check(repeated({ "wrong", LIST, nil, 401, "", more or wrong }, count))
    end
    fail(4)
    assert.equal(200, ask(LIST, nil, right).status)
    fail(5)
    assert.equal(200, ask(LIST, nil, right).status)
    fail(6)
    sim:clock(270)
    assert.matches("reach the limit", ask(LIST, nil, dated(270, right)).json.error_msg)
    sim:clock(330)
    fail(5, dated(330, wrong))
    assert.equal(200, ask(LIST, nil, dated(330, right)).status)
  end)

  it("denies an action in the words of each service", function()
    sim:policy { deny = { "cts:trace:list", "sts::getCallerIdentity", "iam:users:listUsers" } }
    check {
      { "CTS", "GET cts /v3/{p}/traces", nil, 403, '"error_code":"CTS.0003"' },
      { "CTS, the action", "GET cts /v3/{p}/traces", nil, 403, "cts:trace:list" },
      { "STS", "GET sts /v5/caller-identity", nil, 403, "sts::getCallerIdentity" },
      { "IAM", "GET iam /v3/users", nil, 403, '"title":"Forbidden"' },
      { "what has no action", "GET iam /v3/auth/domains", nil, 200 },
    }
    sim:deny(admin.principal.id, "iam:projects:listProjects")
    check {
      { "one's", "GET iam /v3/projects", nil, 403, "iam:projects:listProjects" },
      { "another's", "GET iam /v3/projects", nil, 200, nil, { key = member } },
      { "another", "GET iam /v3.0/OS-AGENCY/agencies?domain_id=" .. account.domain_id, nil, 200 },
      { "none", "GET iam /v3/auth/domains", nil, 200 },
    }
  end)

  it("names the window of a throttle in minutes where they are whole", function()
    for seconds, text in pairs { [60] = "1 minute", [90] = "90 second" } do
      sim:policy { throttle = { limit = 0, seconds = seconds } }
      assert.matches("limit:0,time:" .. text .. "$", ask(LIST).json.error_msg)
    end
    sim:policy { throttle = { limit = 1, seconds = 300 } }
    assert.equal(200, ask(LIST).status)
    sim:clock(270)
    assert.equal(429, ask(LIST).status)
    sim:clock(330)
    assert.equal(200, ask(LIST).status)
  end)
end)

describe("the simulator's STS", function()
  it("tells a user from an agency", function()
    local function identity(key)
      local body = ask("GET sts /v5/caller-identity", nil, { key = key }).json
      return { body.account_id, body.principal_id, body.principal_urn }
    end
    local id, domain = agency.principal.id, account.domain_id
    assert.same({ domain, member.principal.id, "iam::" .. domain .. ":user:member" },
      identity(member))
    assert.same({ domain, id .. ":simulated-session",
      "sts::" .. domain .. ":assumed-agency:agency/simulated-session" }, identity(agency))
  end)
end)

describe("the simulator's metadata service", function()
  local TOKEN = "PUT metadata /meta-data/latest/api/token"
  local KEY = "GET metadata /openstack/latest/securitykey"
  local ttl = { headers = { ["X-Metadata-Token-Ttl-Seconds"] = "21600" } }

  it("gives keys in each of its modes to those who ask as the mode wants it", function()
    check {
      { "no time", TOKEN, nil, 400, "Ttl-Seconds" },
      { "no number", TOKEN, nil, 400, "Ttl-Seconds",
        { headers = { ["X-Metadata-Token-Ttl-Seconds"] = "long" } } },
      { "no token", KEY, nil, 401, "Unauthorized" },
      { "no token of ours", KEY, nil, 401, "Unauthorized",
        { headers = { ["X-Metadata-Token"] = "x" } } },
    }
    local given = ask(TOKEN, nil, ttl)
    assert.equal(200, given.status)
    local token = { headers = { ["X-Metadata-Token"] = given.body } }
    check { { "a token", KEY, nil, 200, '"securitytoken"', token } }
    sim:iam { metadata = "no_agency" }
    check { { "no agency", KEY, nil, 401, "Please configure Cloud Service Agency first", token } }
    sim:iam { metadata = "old" }
    check { { "old", TOKEN, nil, 405, nil, ttl }, { "old, no token", KEY, nil, 200, '"access"' } }
    sim:reset()
    check { { "a token from before", KEY, nil, 401, "Unauthorized", token } }
  end)

  it("gives keys to a pod that shows its token and asks with an empty object", function()
    local LINE = "POST pod_identity /v1/credentials"
    local own = { unsigned = true, headers = { Authorization = account.pod_token } }
    check {
      { "all is right", LINE, "{}", 200, '"secretAccessKey"', own },
      { "body", LINE, "", 401, "PodIdentity.0001", own },
      { "token", LINE, "{}", 401, "PodIdentity.0001",
        { unsigned = true, headers = { Authorization = "x" } } },
    }
  end)
end)

describe("the simulator's tokens", function()
  local function body(identity, scope)
    return { auth = { identity = identity,
      scope = { project = scope or { id = sim.project_id } } } }
  end

  local function password(changes, domain)
    return { methods = { "password" }, password = { user = with({ name = "member",
      password = member.password, domain = { name = domain or account.domain_name } }, changes) } }
  end

  local function keys(ak, sk)
    return { methods = { "hw_ak_sk" }, hw_ak_sk = { access = { key = ak }, secret = { key = sk } } }
  end

  it("are for what is right in all its parts", function()
    local LINE = "POST iam /v3/auth/tokens"
    local REFUSED, SCOPE = "IAM.0001", '"message":"scope"'
    check {
      { "password", LINE, body(password {}), 201, member.principal.id },
      { "project's name", LINE, body(password {}, { name = account.region }), 201 },
      { "keys", LINE, body(keys(member.ak, member.sk)), 201, '"methods":["hw_ak_sk"]' },
      { "user", LINE, body(password { name = "admin" }), 401, REFUSED },
      { "password is wrong", LINE, body(password { password = "x" }), 401, REFUSED },
      { "domain", LINE, body(password({}, "elsewhere")), 401, REFUSED },
      { "access key", LINE, body(keys(admin.ak, member.sk)), 401, REFUSED },
      { "secret key", LINE, body(keys(member.ak, "x")), 401, REFUSED },
      { "no such method", LINE, body { methods = { "smile" } }, 400, '"message":"methods"' },
      { "no method", LINE, body {}, 400, '"message":"methods"' },
      { "no JSON", LINE, "x", 400, '"message":"methods"' },
      { "no scope", LINE, { auth = { identity = password {} } }, 400, SCOPE },
      { "another project", LINE, body(password {}, { id = "p1" }), 400, SCOPE },
      { "another region", LINE, body(password {}, { name = "elsewhere" }), 400, SCOPE },
    }
  end)

  it("are for the ID token of the provider that is trusted", function()
    local LINE, idp = "POST iam /v3.0/OS-AUTH/id-token/tokens", account.identity_provider
    local function sent(id_token, project)
      return { auth = { id_token = { id = id_token }, scope = { project = { id = project } } } }
    end
    local function by(id) return { unsigned = true, headers = { ["X-Idp-Id"] = id } } end
    local right = sent(idp.id_token, sim.project_id)
    check {
      { "all is right", LINE, right, 201, '"methods":["mapped"]', by(idp.id) },
      { "whose", LINE, right, 201, member.principal.id, by(idp.id) },
      { "provider", LINE, right, 401, "IAM.0001", by("other") },
      { "ID token", LINE, sent("x", sim.project_id), 401, "IAM.0001", by(idp.id) },
      { "scope", LINE, sent(idp.id_token, "p1"), 400, '"message":"scope"', by(idp.id) },
    }
  end)

  local function new_token()
    return ask("POST iam /v3/auth/tokens", body(password {})).headers["x-subject-token"]
  end

  it("end when their time is over, when all is ended, and with their holder", function()
    sim:iam { token_seconds = 1000 }
    sim:iam { key_seconds = 1 }
    local token = token_only(new_token())
    local function status_at(offset)
      sim:clock(offset)
      return ask(LIST, nil, token).status
    end
    assert.same({ 200, 401, 200 }, { status_at(940), status_at(1060), status_at(0) })
    sim:put_principal { kind = "user", id = member.principal.id, enabled = false }
    assert.equal(401, status_at(0))
    assert.equal(401, ask(LIST, nil, token_only(member.token)).status)
    sim:put_principal { kind = "user", id = member.principal.id, enabled = true }
    assert.equal(200, status_at(0))
    sim:iam { expire = true }
    assert.equal(401, status_at(0))
    sim:iam { token_seconds = 0 }
    token = token_only(new_token())
    assert.equal(401, status_at(0))
    sim:reset()
    token = token_only(new_token())
    assert.same({ 200, 401 }, { status_at(86400 - 60), status_at(86400 + 60) })
  end)

  it("and temporary keys are given for times within limits", function()
    local LINE = "POST iam /v3.0/OS-CREDENTIAL/securitytokens"
    local function by(method, settings)
      return { auth = { identity = { methods = { method }, [method] = settings } } }
    end
    local function role(changes)
      return by("assume_role", with({ agency_name = account.agency.name,
        domain_name = account.domain_name }, changes))
    end
    local token, NO = new_token(), "Policy doesn't allow the assumption"
    check {
      { "899 s", LINE, role { duration_seconds = 899 }, 400, "duration_seconds" },
      { "900 s", LINE, role { duration_seconds = 900 }, 201, '"expires_at"' },
      { "86400 s", LINE, role { duration_seconds = 86400 }, 201, '"expires_at"' },
      { "86401 s", LINE, role { duration_seconds = 86401 }, 400, "duration_seconds" },
      { "no settings", LINE, by("assume_role"), 400, "duration_seconds" },
      { "domain's id", LINE, role { domain_name = null, domain_id = account.domain_id }, 201 },
      { "no domain", LINE, role { domain_name = null }, 403, NO },
      { "another agency", LINE, role { agency_name = "other" }, 403, NO },
      { "a token", LINE, by("token", { id = token }), 201 },
      { "no token", LINE, by("token", { id = "x" }), 403, NO },
      { "another method", LINE, by("smile", { id = token }), 403, NO },
    }
  end)

  it("come with keys that are nothing without their security token, and end", function()
    local credential
    local function renew(seconds)
      credential = ask("POST iam /v3.0/OS-CREDENTIAL/securitytokens", { auth = { identity = {
        methods = { "assume_role" }, assume_role = { agency_name = account.agency.name,
          domain_name = account.domain_name, duration_seconds = seconds } } } }).json.credential
    end
    renew()
    local function at(offset, security_token)
      sim:clock(offset)
      local answer = ask(LIST, nil, dated(offset, {
        key = { ak = credential.access, sk = credential.secret },
        headers = { ["x-security-token"] = security_token } }))
      return answer.status, answer.body
    end
    assert.matches("verify aksk signature fail", select(2, at(0)))
    assert.equal(200, (at(0, credential.securitytoken)))
    assert.matches("verify aksk signature fail", select(2, at(0, "x")))
    assert.equal(200, (at(840, credential.securitytoken)))
    assert.matches("the security token has expired", select(2, at(960, credential.securitytoken)))
    sim:clock(0)
    sim:iam { key_seconds = 2000 }
    sim:iam { token_seconds = 1 }
    renew(86400)
    assert.equal(200, (at(1940, credential.securitytoken)))
    assert.equal(401, (at(2060, credential.securitytoken)))
  end)
end)

describe("the simulator's IAM", function()
  it("lists those whom the query names", function()
    sim:put_principal { kind = "user", id = "u1", name = "n1", enabled = false }
    sim:put_principal { kind = "agency", id = "g1", name = "m1" }
    local two = admin.principal.id .. " " .. member.principal.id
    local domain = "domain_id=" .. account.domain_id
    check_lists("GET iam /v3/users", "users", "id", {
      [""] = two .. " u1", ["?name=n1"] = "u1", ["?enabled=false"] = "u1", ["?enabled=true"] = two,
      ["?name=n1&enabled=true"] = "", ["?name=m1"] = "", ["?" .. domain] = two .. " u1",
    })
    check_lists("GET iam /v3.0/OS-AGENCY/agencies?" .. domain, "agencies", "id", {
      ["&name=m1"] = "g1", [""] = agency.principal.id .. " g1",
    })
    -- A change keeps what it does not name.
    sim:put_principal { kind = "user", id = "u1" }
    check_lists("GET iam /v3/users?", "users", "id", { ["name=n1&enabled=false"] = "u1" })
    sim:put_principal { kind = "user", id = "u1", name = "n2", enabled = true }
    check_lists("GET iam /v3/users?", "users", "id", { ["name=n2&enabled=true"] = "u1" })
  end)

  it("lists projects page by page", function()
    local projects = {}
    for i = 1, 5 do projects[i] = { id = "p" .. i, name = "n" .. i % 2 } end
    sim:policy { projects = projects }
    check_lists("GET iam /v3/projects", "projects", "id", {
      ["?per_page=2"] = "p1 p2", ["?per_page=2&page=2"] = "p3 p4", ["?per_page=2&page=3"] = "p5",
      ["?per_page=2&page=4"] = "", ["?page=2"] = "", ["?name=n1&per_page=2&page=2"] = "p5",
      ["?domain_id=x"] = "", ["?parent_id=x"] = "", ["?enabled=false"] = "",
      ["?enabled=true&domain_id=" .. account.domain_id] = "p1 p2 p3 p4 p5",
    })
  end)

  it("says whose a permanent access key is, if it is a user's", function()
    local PATH = "GET iam /v3.0/OS-CREDENTIAL/credentials/"
    check {
      { "a user's", PATH .. member.ak, nil, 200, member.principal.id },
      { "an agency's", PATH .. agency.ak, nil, 404, "Could not find credential: " .. agency.ak },
      { "nobody's", PATH .. "NOBODY", nil, 404, "Could not find credential: NOBODY." },
    }
  end)

  it("keeps whom an attempt to delete did not reach, and notes the attempt", function()
    sim:put_principal { kind = "user", id = "u1", name = "n1" }
    sim:put_principal { kind = "user", id = "u2", name = "n2" }
    sim:delete_principal { kind = "user", id = "u2" }
    assert.equal("204", sim:traces()[1].code)
    for i, status in ipairs { 400, 399 } do
      sim:delete_principal { kind = "user", id = "u1", status = status }
      check_lists("GET iam /v3/users", "users", "id", {
        ["?name=n1"] = status == 400 and "u1" or "" })
      local trace = sim:traces()[i + 1]
      assert.same({ tostring(status), status == 400 and "warning" or "normal" },
        { trace.code, trace.trace_rating })
    end
  end)
end)

describe("the simulator's CTS", function()
  local function found(query)
    local list = {}
    local answer = ask(("GET cts /v3/%s/traces?%s"):format(account.central.project_id, query))
    assert.equal(200, answer.status, query)
    for i, each in ipairs(answer.json.traces) do list[i] = each.resource_id end
    return table.concat(list, " "), answer.json.meta_data
  end

  local function leaver(id, ago)
    sim:put_principal { kind = "user", id = id, name = "n-" .. id }
    sim:delete_principal { kind = "user", id = id, ago = ago }
  end

  it("wants 13-digit timestamps, and a limit that is a number", function()
    local LINE, right = "GET cts /v3/{p}/traces?", "1600000000000"
    local rows = {
      { "limit", LINE .. "limit=many", nil, 400, "limit must be from 1 to 200" },
      { "0", LINE .. "limit=0", nil, 400, "limit must be from 1 to 200" },
      { "201", LINE .. "limit=201", nil, 400, "limit must be from 1 to 200" },
      { "no query", "GET cts /v3/{p}/traces", nil, 200 },
      { "200", LINE .. "limit=200", nil, 200 },
      { "1", LINE .. "limit=1", nil, 200 },
      { "both", LINE .. ("from=%s&to=%s"):format(right, right), nil, 200, '"traces":[]' },
    }
    for _, wrong in ipairs { "160000000000", "16000000000000", "16000000000x0" } do
      for _, query in ipairs { "from=%s&to=%s", "to=%s&from=%s" } do
        rows[#rows + 1] = { "13", LINE .. query:format(wrong, right), nil, 400, "13-digit" }
      end
    end
    check(rows)
  end)

  it("gives what was recorded between from and to, to the millisecond", function()
    leaver("u1", 7200)
    local at = sim:traces()[1].record_time
    local function between(from, to)
      return ("?from=%.0f&to=%.0f"):format(at + from, at + to)
    end
    check_lists("GET cts /v3/{p}/traces", "traces", "resource_id", { [between(-1, 1)] = "" })
    check_lists("GET cts /v3/" .. account.central.project_id .. "/traces", "traces", "resource_id",
      { [between(-1, 1)] = "u1", [between(0, 1)] = "", [between(-1, 0)] = "" })
  end)

  it("keeps seven days, gives the last hour, and nothing that is late", function()
    local now = os.time()
    leaver("old", 7 * 86400 - 60)
    leaver("hour", 3540)
    leaver("before", 3660)
    local all = ("from=%d000&to=%d000"):format(now - 9 * 86400, now + 86400)
    assert.equal("hour before old", (found(all)))
    assert.equal("hour", (found("")))
    sim:cts_late(600)
    leaver("late", 0)
    local late = sim:traces()[4]
    assert.is_true(math.abs(late.record_time - late.time - 600000) <= 1)
    assert.equal("hour", (found("")))
    assert.equal("hour before old", (found(all)))
    sim:clock(660)
    assert.equal("late hour before", found(("from=%d000&to=%d000"):format(now - 9 * 86400,
      now + 86400)), "a week is over")
    assert.equal(4, #sim:traces())
  end)

  it("ends the pages where a page is not full", function()
    for i = 1, 4 do leaver("u" .. i, 50 - i) end
    local page, meta = found("limit=2")
    assert.same({ "u4 u3", 2 }, { page, meta.count })
    page, meta = found("limit=2&next=" .. meta.marker)
    assert.same({ "u2 u1", "string" }, { page, type(meta.marker) })
    page, meta = found("limit=2&next=" .. meta.marker)
    assert.same({ "", 0, core.json.null }, { page, meta.count, meta.marker })
    page, meta = found("limit=5")
    assert.same({ "u4 u3 u2 u1", core.json.null }, { page, meta.marker })
  end)

  it("filters by each field", function()
    sim:obtain(cluster, nil, agency)
    sim:revoke(cluster, { userId = member.principal.id }, member)
    sim:obtain({ id = "nonesuch" }, nil, agency)
    local id = cluster.id
    check_lists("GET cts /v3/{p}/traces?", "traces", "resource_id", {
      ["service_type=CCE"] = "nonesuch " .. id .. " " .. id, ["service_type=IAM"] = "",
      ["trace_name=revokeClusterCert"] = id, ["resource_type=node"] = "",
      ["resource_id=nonesuch"] = "nonesuch", ["resource_name=cluster-001"] = id .. " " .. id,
      ["user=member"] = id, ["user=agency"] = "",
      ["user=" .. account.domain_name .. "/agency"] = "nonesuch " .. id,
    })
    local missing, revoked = sim:traces()[3], sim:traces()[2]
    assert.same({ "404", "warning" }, { missing.code, missing.trace_rating })
    assert.same({ userId = member.principal.id, url = sim:path(cluster, "clustercertrevoke") },
      cjson.decode(revoked.request))
  end)
end)

describe("the simulator's CCE", function()
  local CALL = "POST cce /api/v3/projects/{p}/clusters/{c}/"
  local central = account.central.project_id

  it("has clusters and jobs in their project alone, and Autopilot's apart", function()
    local autopilot = sim:state().autopilot[1]
    local one = "GET cce /api/v3/projects/{p}/clusters/{c}"
    local job = sim:rotate(cluster).json.jobid
    local jobs, own = "GET cce %s/projects/%s/jobs/%s", "GET cce /autopilot/v3/projects/%s/clusters"
    check {
      { "shown", one, nil, 200, '"certificateAuthority"' },
      { "job", jobs:format("/api/v3", "{p}", job), nil, 200, '"RotateClusterCredentials"' },
      { "job there", jobs:format("/api/v3", central, job), nil, 404, "CCE.01404001" },
      { "job at Autopilot", jobs:format("/autopilot/v3", "{p}", job), nil, 404, "CCE.01404001" },
      { "Autopilot's job", jobs:format("/autopilot/v3", "{p}", autopilot.job_id), nil, 200,
        '"CreateCluster"' },
      { "Autopilot's job here", jobs:format("/api/v3", "{p}", autopilot.job_id), nil, 404 },
      { "at Autopilot", own:format("{p}") .. "/{c}", nil, 404, "CCE.01404001" },
      { "Autopilot's", own:format("{p}") .. "/" .. autopilot.id, nil, 200, autopilot.name },
      { "Autopilot's there", own:format(central) .. "/" .. autopilot.id, nil, 404 },
      { "Autopilot's list there", own:format(central), nil, 200, '"items":[]' },
      { "Autopilot's list", own:format("{p}"), nil, 200, autopilot.id },
    }
    assert.is_nil(ask(own:format("{p}") .. "/" .. autopilot.id).json.spec.certificateAuthority)
    assert.is_nil(ask(jobs:format("/autopilot/v3", "{p}", autopilot.job_id)).json.spec.subJobs)
    sim:set { cluster = cluster.id, project = central }
    check {
      { "moved", one, nil, 404, "CCE.01404001" },
      { "found", "GET cce /api/v3/projects/" .. central .. "/clusters", nil, 200, cluster.id },
    }
    assert.equal(4, #ask(LIST).json.items)
  end)

  it("filters the list by each field, where it fits and where it does not", function()
    local all = ("Cluster "):rep(5):sub(1, -2)
    check_lists(LIST .. "?", "items", "kind", {
      ["status=Available"] = all, ["status=Creating"] = "", ["version=v1.29"] = all,
      ["version=v1.2"] = "", ["type=VirtualMachine"] = all, ["detail=true"] = all,
    })
  end)

  it("takes JSON by its name alone, whatever its case and parameters", function()
    local function typed(name) return { headers = { ["content-type"] = name } } end
    local body, WRONG = { duration = 1 }, "CCE.01400006"
    check {
      { "case", CALL .. "clustercert", body, 200, nil, typed "Application/JSON" },
      { "space", CALL .. "clustercert", body, 200, nil, typed "application/json ; charset=utf-8" },
      { "longer", CALL .. "clustercert", body, 400, WRONG, typed "application/jsonl" },
      { "patch", CALL .. "clustercert", body, 400, WRONG, typed "application/json-patch+json" },
      { "later", CALL .. "clustercert", body, 400, WRONG, typed "text/application/json" },
    }
  end)

  it("takes null for what was not sent, and five years at most", function()
    local function at(seconds)
      return os.date("!%Y-%m-%d %H:%M:%S +0000 UTC", seconds)
    end
    local longest, LINE = times.add_years(os.time(), 5), CALL .. "clustercert"
    check {
      { "nulls", LINE, { duration = null, expire_at = null }, 400, "at least one of" },
      { "null", LINE, { duration = 1, expire_at = null }, 200 },
      { "other null", LINE, { duration = null, expire_at = at(os.time() + 3600) }, 200 },
      { "five years", LINE, { expire_at = at(longest - 60) }, 200 },
      { "more", LINE, { expire_at = at(longest + 60) }, 400, "15 minutes to 5 years" },
    }
  end)

  it("revokes by an id, and an agency's by itself", function()
    local LINE, id, by = CALL .. "clustercertrevoke", agency.principal.id, { key = agency }
    check {
      { "null", LINE, { userId = null, agencyId = id }, 200 },
      { "number", LINE, { userId = 5 }, 400, "not an id" },
      { "sign", LINE, { agencyId = "a/b" }, 400, "not an id" },
      { "one's own", LINE, { agencyId = id }, 200, nil, by },
      { "as a user", LINE, { userId = id }, 403, "own credential", by },
      { "another's", LINE, { agencyId = "g1" }, 403, "own credential", by },
      { "nobody", LINE, { userId = null, agencyId = null }, 400, "exactly one" },
    }
    assert.is_not_nil(sim:state().clusters[1].revoked_agencies[id])
  end)

  it("checks each part of a rotation", function()
    local mime, pki = require "mime", require "cce.sim.pki"
    local ca = pki.authority("mine", os.time())
    local pair = pki.client(ca, { common_name = "proxy", organisation = "o",
      not_before = os.time(), not_after = os.time() + 86400 })
    local right = { ca = mime.b64(ca.pem), cert = mime.b64(pair.pem),
      privateKey = mime.b64(pair.key_pem) }
    local LINE = CALL .. "rotatecredentials"
    local function custom(changes)
      return { component = "custom", certContent = changes and with(right, changes) }
    end
    local function kept(hours) return { component = "all", certificateExpirationTime = hours } end
    local MANDATORY, UNFIT = " is mandatory for component custom", "does not fit certContent.cert"
    check {
      { "no content", LINE, { component = "custom", certContent = null }, 400, "certContent is" },
      { "no table", LINE, { component = "custom", certContent = "x" }, 400, "certContent is" },
      { "empty", LINE, custom { ca = "" }, 400, "ca" .. MANDATORY },
      { "number", LINE, custom { ca = 5 }, 400, "ca" .. MANDATORY },
      { "no cert", LINE, custom { cert = null }, 400, "cert" .. MANDATORY },
      { "no key", LINE, custom { privateKey = null }, 400, "privateKey" .. MANDATORY },
      { "no Base64", LINE, custom { cert = "!" }, 400, "cert is not Base64" },
      { "1 MB", LINE, custom { ca = ("eHh4"):rep(262144) }, 400, "ca is not a certificate" },
      { "more", LINE, custom { ca = ("eHh4"):rep(262144) .. "=" }, 400, "larger than 1 MB" },
      { "cert is none", LINE, custom { cert = "eHh4" }, 400, UNFIT },
      { "key is none", LINE, custom { privateKey = "eHh4" }, 400, UNFIT },
      { "another's cert", LINE, custom { cert = mime.b64(ca.pem) }, 400, UNFIT },
      { "-1 h", LINE, kept(-1), 400, "from 0 to 8784" },
      { "8785 h", LINE, kept(8785), 400, "from 0 to 8784" },
    }
    sim:set { cluster = cluster.id, job_seconds = 0 }
    check {
      { "0 h", LINE, kept(0), 200 }, { "8784 h", LINE, kept(8784), 200 },
      { "null", LINE, kept(null), 200 }, { "custom", LINE, custom {}, 200, '"jobid"' },
    }
    sim:set { cluster = cluster.id, version = "v1.18.20-r0" }
    check { { "too old", LINE, kept(0), 400, "not support this version v1.18.20-r0" } }
    sim:set { cluster = cluster.id, version = "v1.19.0-r0" }
    check { { "old", LINE, kept(0), 200 } }
  end)

  it("rotates again the nodes at which a rotation failed, up to 200 at once", function()
    local LINE = CALL .. "nodes/rotate-cert"
    sim:set { cluster = cluster.id, nodes = 200, failing_nodes = 300, job_seconds = 0 }
    assert.matches("200 of the sub%-jobs failed", sim:job(sim:rotate(cluster).json.jobid).body)
    local nodes = {}
    for i, id in ipairs(sim:state().clusters[1].failed_nodes) do nodes[i] = { nodeID = id } end
    assert.equal(200, #nodes)
    local function list(changes)
      return with({ apiVersion = "v3", kind = "List", nodeList = nodes }, changes)
    end
    local SHAPE, COUNT, WHICH = "a List of version v3", "from 1 to 200 nodes", "did not fail"
    check {
      { "version", LINE, list { apiVersion = "v1" }, 400, SHAPE },
      { "kind", LINE, list { kind = "Node" }, 400, SHAPE },
      { "null", LINE, list { nodeList = null }, 400, SHAPE },
      { "text", LINE, list { nodeList = "x" }, 400, SHAPE },
      { "none", LINE, '{"apiVersion":"v3","kind":"List","nodeList":[]}', 400, COUNT },
      { "201", LINE, list { nodeList = repeated(nodes[1], 201) }, 400, COUNT },
      { "no table", LINE, list { nodeList = { "x" } }, 400, "node false " .. WHICH },
      { "no id", LINE, list { nodeList = { { id = "x" } } }, 400, "node nil " .. WHICH },
      { "a stranger", LINE, list { nodeList = { nodes[1], { nodeID = "x" } } }, 400,
        "node x " .. WHICH },
      { "200", LINE, list {}, 200 },
      { "not twice", LINE, list { nodeList = { nodes[1] } }, 400, WHICH },
    }
  end)

  it("fails at the last nodes, and is at work for the rest of its time", function()
    sim:set { cluster = cluster.id, nodes = 3, failing_nodes = 2, job_seconds = 1000 }
    local id = sim:rotate(cluster).json.jobid
    local line = "GET cce /api/v3/projects/{p}/jobs/" .. id
    local function phases(offset)
      sim:clock(offset)
      local job, list = ask(line, nil, token_only(admin.token)).json, {}
      for i, each in ipairs(job.spec.subJobs) do list[i] = each.status.phase:sub(1, 1) end
      list[#list + 1] = job.status.reason and ": " .. job.status.reason
      return job.status.phase .. " " .. table.concat(list)
    end
    assert.equal("Initializing IIII", phases(190))
    assert.equal("Running RRRR", phases(310))
    assert.equal("Running RRRR", phases(940))
    assert.equal("Failed SSFF: 2 of the sub-jobs failed", phases(1060))
    assert.equal(2, #sim:state().clusters[1].failed_nodes)
  end)
end)

describe("the simulator's AccessPolicies", function()
  local PATH = "/api/v3/access-policies"
  local right = { kind = "AccessPolicy", apiVersion = "v3", name = "ops", clusters = { "*" },
    accessScope = { namespaces = {} }, policyType = "CCEViewPolicy",
    principal = { type = "user", ids = {} } }
  local text = cjson.encode(right):gsub("{}", "[]")

  it("are checked in each field", function()
    local POST = "POST cce " .. PATH
    local rows = {
      { "all is right", POST, text, 201, '"ids":[]' },
      { "no JSON", POST, "{", 400, "CCE.01400001" }, { "nothing", POST, nil, 400, "CCE.01400001" },
      { "no table", POST, "7", 400, "a JSON object is expected" },
    }
    local function add(status, changes, expected)
      local name = next(changes)
      rows[#rows + 1] = { name, POST, with(right, changes), status, expected }
    end
    local function ids(kind, list) return { principal = { type = kind, ids = list } } end
    local function scope(list) return { accessScope = { namespaces = list } } end
    local KIND, NAME, CLUSTERS = "kind AccessPolicy and", "name is mandatory", "clusters must be"
    local SCOPE, PRINCIPAL = "accessScope.namespaces is", "principal must have"
    add(400, { kind = "Policy" }, KIND)
    add(400, { apiVersion = "v1" }, KIND)
    add(400, { name = "" }, NAME)
    add(400, { name = 5 }, NAME)
    add(400, { clusters = null }, CLUSTERS)
    add(400, { clusters = {} }, CLUSTERS)
    add(400, { clusters = { 5 } }, CLUSTERS)
    add(400, { clusters = repeated("c", 201) }, CLUSTERS)
    add(201, { clusters = repeated("c", 200) })
    add(400, { policyType = "root" }, "policyType is not known")
    add(400, { accessScope = null }, SCOPE)
    add(400, { accessScope = "*" }, SCOPE)
    add(400, scope(nil), SCOPE)
    add(400, scope(repeated("n", 201)), SCOPE)
    add(201, scope(repeated("n", 200)))
    add(400, { principal = null }, PRINCIPAL)
    add(400, { principal = "x" }, PRINCIPAL)
    add(400, ids("robot", { "x" }), PRINCIPAL)
    add(400, ids("user", nil), PRINCIPAL)
    add(400, ids("group", repeated("x", 501)), PRINCIPAL)
    add(201, ids("group", repeated("x", 500)))
    check(rows)
  end)

  it("are found by id and by cluster, and keep their place and first time", function()
    local made = {}
    for i, clusters in ipairs { { "*" }, { cluster.id }, { "other", sim.clusters[2].id } } do
      made[i] = ask("POST cce " .. PATH, with(right, { clusters = clusters,
        name = "p" .. i })).json
    end
    check_lists("GET cce " .. PATH, "accessPolicyList", "name", { [""] = "p1 p2 p3",
      ["?cluster_id={c}"] = "p1 p2", ["?cluster_id=nonesuch"] = "p1" })
    sim:clock(60)
    local two, nobodys = PATH .. "/" .. made[2].policyId, PATH .. "/nonesuch"
    local later = dated(60)
    local put = ask("PUT cce " .. two, with(right, { name = "new" }), later)
    assert.equal(200, put.status)
    assert.equal(made[2].createTime, put.json.createTime)
    assert.is_true(put.json.updateTime > made[2].updateTime)
    check_lists("GET cce " .. PATH, "accessPolicyList", "name", { [""] = "p1 new p3" })
    check {
      { "body", "PUT cce " .. two, with(right, { name = "" }), 400, "name is mandatory" },
      { "GET", "GET cce " .. nobodys, nil, 404, "access policy nonesuch not found" },
      { "PUT", "PUT cce " .. nobodys, right, 404, "access policy nonesuch not found" },
      { "DELETE", "DELETE cce " .. nobodys, nil, 404, "access policy nonesuch not found" },
      { "member", "DELETE cce " .. two, nil, 403, "cce:accessPolicy:delete", { key = member } },
      { "gone", "DELETE cce " .. two, nil, 204 },
    }
    check_lists("GET cce " .. PATH, "accessPolicyList", "name", { [""] = "p1 p3" })
  end)
end)

-- A directory with what authenticates a key's holder at a cluster.
local function certificate(key, of, more)
  local dir = tempdir.new()
  local user = ask("POST cce " .. sim:path(of or cluster, "clustercert"), { duration = 1 },
    with(more or {}, { key = key })).json.users[1].user
  for _, part in ipairs { "certificate", "key" } do
    simulator.write(dir .. "/" .. part, (require("mime").unb64(user["client-" .. part .. "-data"])))
  end
  return dir
end

-- A call of the cluster itself.
local function kube_call(pair, method, path, body, kind)
  return { pair = pair, insecure = true, method = method, path = path, unsigned = true,
    url = ("https://%s:%s"):format(cluster.internal, sim.port),
    headers = { ["content-type"] = kind or "application/json" },
    body = type(body) == "table" and cjson.encode(body) or body }
end

local function kube(...)
  return sim:curl_all({ kube_call(...) })[1]
end

describe("a cluster of the simulator", function()
  local GROUP, CORE = "/apis/rbac.authorization.k8s.io/v1/", "/api/v1/"
  local held = {}

  before_each(function()
    held = { admin = certificate(admin), member = certificate(member) }
  end)

  after_each(function()
    for _, dir in pairs(held) do tempdir.remove(dir) end
  end)

  local function binding(name, role, subjects, more)
    local body = { metadata = { name = name }, subjects = subjects or { { kind = "User",
      name = member.principal.id } }, roleRef = { kind = "ClusterRole", name = role or "view" } }
    return with(body, more or {})
  end

  it("knows what there is, by verb and place", function()
    local NONE = "the server could not find the requested resource"
    local one, dev = binding("b1"), "namespaces/dev/"
    local rows = {
      { "GET", "/version", 200, '"gitVersion":"v1.29.13-r0"' },
      { "POST", "/version", 404, NONE },
      { "GET", "/nonsense", 404, NONE },
      { "GET", CORE .. "nodes", 200, '"NodeList"' },
      { "GET", CORE .. "nodes/n1", 404, NONE },
      { "POST", CORE .. "nodes", 404, NONE, one },
      { "GET", CORE .. "secrets", 404, NONE },
      { "GET", CORE .. dev .. "pods", 200, '"items":[]' },
      { "GET", GROUP .. "roles", 404, NONE },
      { "OPTIONS", GROUP .. "clusterrolebindings", 404, NONE },
      { "GET", GROUP .. "rolebindings", 200, '"items":[]' },
      { "GET", GROUP .. "rolebindings/b1", 404, NONE },
      { "POST", GROUP .. "rolebindings", 404, NONE, one },
      { "POST", GROUP .. dev .. "clusterrolebindings", 404, NONE, one },
      { "POST", GROUP .. dev .. "rolebindings/b1", 404, NONE, one },
      { "PUT", GROUP .. dev .. "rolebindings", 404, NONE, one },
      { "DELETE", GROUP .. dev .. "rolebindings", 404, NONE },
      { "GET", GROUP .. dev .. "rolebindings/b1", 404,
        'rolebindings.rbac.authorization.k8s.io \\"b1\\" not found' },
      { "POST", GROUP .. dev .. "rolebindings", 415, "JSON is understood here", "kind: x" },
      { "POST", GROUP .. dev .. "rolebindings", 422, "mandatory", binding(nil) },
      { "POST", GROUP .. dev .. "rolebindings", 422, "mandatory", binding(5) },
      { "POST", GROUP .. dev .. "rolebindings", 422, "mandatory", { roleRef = {} } },
      { "POST", GROUP .. dev .. "rolebindings", 422, "mandatory",
        binding("b1", nil, nil, { roleRef = null }) },
      { "POST", GROUP .. dev .. "rolebindings", 201, '"namespace":"dev"', one },
      { "POST", GROUP .. dev .. "rolebindings", 409, "already exists", one },
      { "POST", GROUP .. "namespaces/prod/rolebindings", 201, '"namespace":"prod"', one },
      { "GET", GROUP .. dev .. "rolebindings/b1", 200, '"kind":"RoleBinding"' },
      { "PATCH", GROUP .. dev .. "rolebindings/b1", 415, "must be a merge patch", one },
      { "DELETE", GROUP .. dev .. "rolebindings/b1", 200, '"status":"Success"' },
      { "DELETE", GROUP .. dev .. "rolebindings/b1", 404, "not found" },
      { "GET", GROUP .. "namespaces/prod/rolebindings/b1", 200, "b1" },
    }
    for i, row in ipairs(rows) do
      rows[i] = { i, [4] = row[3], [5] = row[4],
        call = kube_call(held.admin, row[1], row[2], row[5]) }
    end
    check(rows)
  end)

  it("says what it has and what can be done with it", function()
    local function resources(path)
      local found = {}
      for i, each in ipairs(kube(held.member, "GET", path).json.resources) do
        found[i] = ("%s %s %s %s"):format(each.name, each.kind, tostring(each.namespaced),
          table.concat(each.verbs, " "))
      end
      return found
    end
    assert.same({ "nodes Node false get list", "pods Pod true get list" }, resources("/api/v1"))
    local verbs = " create delete get list patch update"
    assert.same({ "rolebindings RoleBinding true" .. verbs,
      "clusterrolebindings ClusterRoleBinding false" .. verbs }, resources(GROUP:sub(1, -2)))
    local answer = kube(held.member, "GET", "/apis").json.groups[1]
    assert.equal("rbac.authorization.k8s.io/v1", answer.preferredVersion.groupVersion)
    assert.same({ "v1" }, kube(held.member, "GET", "/api").json.versions)
  end)

  it("merges a patch, keeps who and when, and refuses what is not as it was", function()
    local path, MERGE = GROUP .. "clusterrolebindings", "application/merge-patch+json"
    local made = kube(held.admin, "POST", path, binding("b1", "view", {
      { kind = "User", name = "alice" }, { kind = "ServiceAccount", name = "robot" },
      { kind = "Group", name = "g", apiGroup = "own.example" } })).json
    assert.same({ "rbac.authorization.k8s.io", nil, "own.example" }, { made.subjects[1].apiGroup,
      made.subjects[2].apiGroup, made.subjects[3].apiGroup })
    local function patch(change, kind)
      return kube(held.admin, "PATCH", path .. "/b1", change, kind or MERGE)
    end
    sim:clock(60)
    local now = patch { metadata = { labels = { a = "1", b = "2" } } }.json
    assert.same({ made.metadata.uid, made.metadata.creationTimestamp },
      { now.metadata.uid, now.metadata.creationTimestamp })
    assert.same({ b = "2" }, patch({ metadata = { labels = { a = null } } },
      MERGE .. "; charset=utf-8").json.metadata.labels)
    assert.same({ b = { c = "3" } }, patch { metadata = { labels = { b = { c = "3" } } } }.json
      .metadata.labels)
    assert.same({ { kind = "User", name = "bob", apiGroup = "rbac.authorization.k8s.io" } },
      patch { subjects = { { kind = "User", name = "bob" } } }.json.subjects)
    assert.is_nil(patch '{"subjects":[]}'.json.subjects)
    assert.equal("b1", patch { metadata = { name = "other" } }.json.metadata.name)
    assert.equal("b1", patch { metadata = "x" }.json.metadata.name)
    for _, change in ipairs { { kind = "Role" }, { name = "edit" } } do
      local answer = patch { roleRef = change }
      assert.same({ 422, "roleRef" }, { answer.status, answer.json.details.causes[1].field })
    end
    assert.equal(422, patch { roleRef = null }.status)
    assert.equal(409, patch { metadata = { resourceVersion = "0" } }.status)
    local version = kube(held.admin, "GET", path .. "/b1").json.metadata.resourceVersion
    assert.equal(200, patch { metadata = { resourceVersion = version } }.status)
  end)

  it("lists bindings page by page", function()
    local function page(query)
      local names = {}
      local answer = kube(held.admin, "GET", GROUP .. "clusterrolebindings" .. query).json
      for i, each in ipairs(answer.items) do names[i] = each.metadata.name end
      return table.concat(names, " "), answer.metadata.continue
    end
    local names, more = page("?limit=2")
    assert.equal("cluster-admin sim-readers", names)
    assert.same({ "system:discovery" }, { page("?limit=2&continue=" .. more) })
    assert.same({ "cluster-admin sim-readers system:discovery" }, { page("?limit=3") })
  end)

  -- Each row: what, what the member may do after these calls, calls. It is tried to read nodes,
  -- pods of dev and of prod, to read and to make RoleBindings of dev, to read ClusterRoleBindings.
  local function check_rights(rows)
    local rbac, calls = GROUP .. "namespaces/dev/rolebindings", {}
    for _, row in ipairs(rows) do
      for _, call in ipairs(row[3]) do calls[#calls + 1] = call end
      row.first = #calls
      for i, path in ipairs { CORE .. "nodes", CORE .. "namespaces/dev/pods",
        CORE .. "namespaces/prod/pods", rbac, rbac, GROUP .. "clusterrolebindings" } do
        calls[#calls + 1] = kube_call(held.member, i == 5 and "POST" or "GET", path,
          i == 5 and {} or nil)
      end
    end
    local answers = sim:curl_all(calls)
    for _, row in ipairs(rows) do
      local may = {}
      for i = 1, 6 do may[i] = answers[row.first + i].status == 403 and "-" or "+" end
      assert.equal(row[2], table.concat(may), row[1])
    end
  end

  local function unbind()
    return kube_call(held.admin, "DELETE", GROUP .. "clusterrolebindings/sim-readers")
  end

  it("lets those do it who are bound, by each kind of binding", function()
    local all, dev = GROUP .. "clusterrolebindings", GROUP .. "namespaces/dev/rolebindings"
    local id = member.principal.id
    local rows = { { "at first", "+++---", {} }, { "unbound", "------", { unbind() } } }
    local last
    local function add(what, expected, path, body)
      rows[#rows + 1] = { what, expected, { kube_call(held.admin, "POST", path, body) } }
      table.insert(rows[#rows][3], 1, last)
      last = kube_call(held.admin, "DELETE", path .. "/b")
    end
    local function to(kind, name)
      return binding("b", "view", { { kind = kind, name = name } })
    end
    add("nobody", "------", all, to("User", "alice"))
    add("no subject", "------", all, binding("b", "view", nil, { subjects = null }))
    add("a group's name", "------", all, to("Group", id))
    add("a user's name", "------", all, to("User", "system:authenticated"))
    add("all", "+++---", all, to("Group", "system:authenticated"))
    add("a group", "+++---", all, to("Group", member.principal.organisation))
    add("a user", "+++---", all, to("User", id))
    add("a system's role", "------", all, binding("b", "system:node"))
    add("edit", "+++---", all, binding("b", "edit"))
    add("admin", "+++++-", all, binding("b", "admin"))
    add("cluster-admin", "++++++", all, binding("b", "cluster-admin"))
    add("cluster-admin of dev", "-+-++-", dev, binding("b", "cluster-admin"))
    add("admin of dev", "-+-++-", dev, binding("b", "admin"))
    add("view of dev", "-+----", dev, binding("b"))
    check_rights(rows)
  end)

  it("lets those do it whom an AccessPolicy of this cluster names", function()
    local id = member.principal.id
    local policy = { kind = "AccessPolicy", apiVersion = "v3", name = "p", clusters = { "*" },
      policyType = "CCEViewPolicy", accessScope = { namespaces = { "*" } },
      principal = { type = "user", ids = { "x", id } } }
    local path = "/api/v3/access-policies"
    path = "PUT cce " .. path .. "/" .. ask("POST cce " .. path, policy).json.policyId
    local rows = { { "everywhere", "+++---", { unbind() } } }
    local function add(what, expected, changes)
      rows[#rows + 1] = { what, expected, { call_of(path, with(policy, changes)) } }
    end
    add("admin", "+++++-", { policyType = "CCEAdminPolicy" })
    add("edit", "+++---", { policyType = "CCEEditPolicy" })
    add("cluster-admin", "++++++", { policyType = "CCEClusterAdminPolicy" })
    add("dev", "-+----", { accessScope = { namespaces = { "x", "dev" } } })
    add("agency", "------", { principal = { type = "agency", ids = { id } } })
    add("another", "------", { principal = { type = "user", ids = { "x" } } })
    add("elsewhere", "------", { clusters = { sim.clusters[2].id } })
    add("here", "+++---", { clusters = { "x", cluster.id } })
    check_rights(rows)
  end)

  it("tells the age of nodes to those who ask for a table", function()
    local made = kube(held.admin, "GET", CORE .. "nodes").json.items[1].metadata.creationTimestamp
    made = times.from_cce(made:gsub("T", " "):gsub("Z", " +0000 UTC"))
    for age, pattern in pairs { [45] = "^%d%d+s$", [640] = "^1%dm$" } do
      local offset = made + age - os.time()
      -- It must be valid by the clock of all, too.
      sim:clock(math.min(offset, 0))
      held[age] = certificate(admin, nil, dated(math.min(offset, 0)))
      sim:clock(offset)
      local call = kube_call(held[age], "GET", CORE .. "nodes")
      call.headers.accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
      local answer = sim:curl_all({ call })[1]
      assert.equal("Table", answer.json.kind, answer.body)
      local cells = answer.json.rows[2].cells
      assert.same({ "cluster-001-node-2", "Ready", "<none>", "v1.29.13-r0" },
        { cells[1], cells[2], cells[3], cells[5] })
      assert.matches(pattern, cells[4])
    end
  end)

  it("notes why it knew nobody", function()
    local other, duration = certificate(admin, sim.clusters[2]), 86400
    held.other = other
    local function why(offset, dir)
      sim:clock(offset)
      assert.equal(401, kube(dir, "GET", "/version").status)
      local log = sim:log { service = "kubernetes" }
      return log[#log].refused
    end
    assert.equal("no certificate", why(0))
    assert.equal("unknown", why(0, other))
    assert.equal("expired", why(-60, held.admin))
    assert.equal("expired", why(duration + 60, held.admin))
    sim:clock(duration - 60)
    assert.equal(200, kube(held.admin, "GET", "/version").status)
    sim:clock(0)
    sim:revoke(cluster, { userId = admin.principal.id })
    assert.equal("revoked", why(0, held.admin))
    -- These are so by the clock of all, too: TLS itself knows.
    for i, offset in ipairs { -2 * duration, 2 * duration } do
      sim:clock(offset)
      local pair = certificate(admin, nil, dated(offset))
      held[i] = pair
      sim:clock(0)
      local answer = kube(pair, "GET", "/version")
      assert.same({ 401, "Unauthorized" }, { answer.status, answer.json.reason })
    end
    assert.equal(200, kube(held.member, "GET", "/version").status)
  end)
end)

-- Too many to be asked for: by the modules themselves.
describe("the simulator's memory", function()
  local function check_kept(add, list, field)
    for i = 1, 50002 do add(("/%d"):format(i)) end
    local kept = list()
    assert.same({ 50000, "/3", "/50002" }, { #kept, kept[1][field], kept[50000][field] })
  end

  it("is of the last 50000 requests", function()
    local log = require "cce.sim.store.log"
    finally(log.clear)
    check_kept(function(path)
      log.begin({ method = "GET", target = path, headers = {} }, "cce", 0)
    end, log.list, "target")
  end)

  it("is of the last 50000 traces", function()
    local cts, state = require "cce.sim.service.cts", require "cce.sim.store.state"
    local now = state.now
    state.now = os.time -- nginx alone has the simulator's
    finally(function()
      state.now = now
      cts.reset()
    end)
    check_kept(function(path)
      cts.record { resource_id = path, principal = admin.principal, status = 200 }
    end, cts.list, "resource_id")
  end)
end)

describe("the simulator's control", function()
  it("says what is wrong with what it is sent", function()
    local C = "POST control /-/"
    local PART = " is not known, or of a wrong type"
    check {
      { "path", C .. "nonsense", "{}", 404, "no such control: /-/nonsense" },
      { "method", "GET control /-/reset", nil, 404, "no such control" },
      { "no JSON", C .. "clock", "{", 400 },
      { "no object", C .. "clock", "7", 400, "a JSON object is expected" },
      { "clock", C .. "clock", { offset = "1" }, 400, "offset must be a number" },
      { "fault", C .. "faults", "[7]", 400, "a fault is a JSON object" },
      { "faults", C .. "faults", { { times = 1 }, { sattus = 1 } }, 400, "sattus" },
      { "cluster's field", C .. "clusters", { color = "red" }, 400, "color of a cluster" .. PART },
      { "cluster's type", C .. "clusters", { nodes = "2" }, 400, "nodes of a cluster" .. PART },
      { "cluster", C .. "clusters", { cluster = "x" }, 400, "no such cluster: x" },
      { "project", C .. "clusters", { project = "x" }, 400, "no such project: x" },
      { "policy", C .. "policy", { nonsense = 1 }, 400, "no such setting: nonsense" },
      { "deny", C .. "policy", { deny = { 5 } }, 400, "deny must be" },
      { "deny it", C .. "policy", { deny = "x" }, 400, "deny must be" },
      { "no project", C .. "policy", { projects = { "x" } }, 400, "projects must be" },
      { "project's name", C .. "policy", { projects = { { id = "x" } } }, 400, "projects must be" },
      { "project's id", C .. "policy", { projects = { { name = "x" } } }, 400, "projects must be" },
      { "throttle", C .. "policy", { throttle = 5 }, 400, "throttle must be" },
      { "limit", C .. "policy", { throttle = { seconds = 5 } }, 400, "throttle must be" },
      { "seconds", C .. "policy", { throttle = { limit = 5 } }, 400, "throttle must be" },
      { "kind", C .. "principals", { kind = "x", id = "x" }, 400, 'field kind: \\"user' },
      { "no kind", C .. "principals", { id = "x" }, 400, 'field kind: \\"user' },
      { "field", C .. "principals", { kind = "user", sex = "x" }, 400, "field sex" .. PART },
      { "enabled", C .. "principals", { kind = "user", enabled = 1 }, 400, "enabled" .. PART },
      { "no id", C .. "delete", { kind = "user" }, 400, "field id is missing" },
      { "nobody", C .. "delete", { kind = "user", id = "x" }, 400, "no such user: x" },
      { "ago", C .. "delete", { kind = "user", id = "x", ago = "1" }, 400, "field ago" .. PART },
      { "no principal", C .. "permissions", { deny = {} }, 400, "field principal is missing" },
      { "denied", C .. "permissions", { principal = "x", deny = "y" }, 400, "deny" .. PART },
      { "nothing denied", C .. "permissions", { principal = "x" }, 200 },
      { "late", C .. "cts", { late = "1" }, 400, "late must be a number" },
      { "early", C .. "cts", { late = -1 }, 400, "late must be a number" },
      { "on time", C .. "cts", { late = 0 }, 200 },
      { "release", C .. "release", { id = "1" }, 400, "field id" .. PART },
    }
  end)

  it("takes a list of faults, keeps those not used up and forgets what it is told to", function()
    local C = "POST control /-/faults"
    check {
      { "two", C, { { times = 2, status = 500 }, { method = "DELETE", status = 404 } }, 200 },
      { "first", LIST, nil, 500 },
      { "rest", "GET control /-/faults", nil, 200, '"times":1' },
      { "second", LIST, nil, 500 }, { "third", LIST, nil, 200 },
      { "method", "DELETE iam /v3/users/u1", nil, 404, "CCE.01404001" },
      { "clear", "DELETE control /-/faults", nil, 200 },
      { "none", "GET control /-/faults", nil, 200, '"items":[]' },
      { "method again", "DELETE iam /v3/users/u1", nil, 404, "Could not find user: u1" },
      { "log", "DELETE control /-/log", nil, 200 },
      { "nothing seen", "GET control /-/log", nil, 200, '"items":[]' },
      { "by service", C, { service = "cts", status = 502 }, 200 },
      { "another", LIST, nil, 200 }, { "this", "GET cts /v3/{p}/traces", nil, 502 },
    }
  end)

  it("spoils an answer of a cluster itself only where that is said", function()
    local held = certificate(admin)
    for service, status in pairs { [1] = 200, kubernetes = 503, cce = 200 } do
      sim:clear_faults()
      sim:fault { service = service ~= 1 and service or nil, status = 503 }
      assert.equal(status, kube(held, "GET", "/version").status)
    end
    sim:clear_faults()
    sim:fault { service = "kubernetes", cluster = sim.clusters[2].id, status = 500 }
    assert.equal(200, kube(held, "GET", "/version").status)
    tempdir.remove(held)
  end)
end)
