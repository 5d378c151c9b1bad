-- Who holds a certificate, judged by what the simulator itself accepts.
local cce = require "cce"
local core = require "cce.core"
local errors = require "cce.error"
local json = require "cce.base.json"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"
local times = require "cce.base.times"

if not simulator.has_program "nginx" then
  describe("cce.workflow.holders", function() pending "needs nginx with Lua" end)
  return
end

describe("cce.workflow.holders", function()
  local sim, clients, directory

  local function new_client(key, audit_log)
    return assert(cce.new { endpoints = { cce = sim.env.CCE_ENDPOINT,
      iam = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT, cts = sim.env.CCE_CTS_ENDPOINT },
      ca_file = sim.env.CCE_CA_FILE, project_id = sim.project_id, proxy = false,
      audit_log = audit_log, credentials = { ak = key.ak, sk = key.sk } })
  end

  before_each(function()
    sim = simulator.get()
    sim:reset()
    directory = tempdir.new()
    clients = {}
    for i, key in ipairs { simulator.admin, simulator.member } do clients[i] = new_client(key) end
  end)

  after_each(function()
    for _, client in ipairs(clients) do client:close() end
    tempdir.remove(directory)
  end)

  local function states_of(opts)
    local found = {}
    for _, row in ipairs(assert(cce.workflow.holders(clients[1], opts))) do
      found[row.cluster_name .. " " .. row.id] = row.state
    end
    return found
  end

  -- The same history on every machine, in a fixed random order, over so many days: what is
  -- obtained, revoked, rotated and deleted. Returns who holds something that works, asked of the
  -- clusters: by "cluster id", true or false.
  local function play(count, days)
    local seed = 20261129
    local function random(most)
      seed = (seed * 1103515245 + 12345) % 2147483648
      return math.floor(seed / 65536) % most + 1
    end
    local keys = { simulator.admin, simulator.member, simulator.agency }
    local offset, held, done = 0, {}, {}
    local function clock() return os.time() + offset end
    local actors = {}
    for i, key in ipairs(keys) do
      actors[i] = assert(cce.new { endpoints = { cce = sim.env.CCE_ENDPOINT }, clock = clock,
        ca_file = sim.env.CCE_CA_FILE, project_id = sim.project_id, proxy = false,
        credentials = { ak = key.ak, sk = key.sk } })
    end
    sim:set { job_seconds = 0 }
    for i = 1, count do
      offset = math.floor((i / count - 1) * days * 86400)
      if days > 0 then sim:clock(offset) end
      -- Few of them, so that much happens to each holder.
      local cluster, who, what = sim.clusters[random(2)], random(3), random(16)
      -- The last days leave one of them alone: of him only older traces tell.
      if days > 8 and offset > -8 * 86400 then who, what = (who + 1) % 2 + 1, what % 15 end
      local principal = keys[who].principal
      if what <= 10 then
        local key = cluster.name .. " " .. principal.id
        held[key] = held[key] or {}
        held[key][#held[key] + 1] = assert(actors[who]:obtain_cert(cluster.id,
          { duration = random(30) }))
        what = 1
      elseif what <= 14 then
        assert(actors[1]:revoke_cert(cluster.id, { [principal.kind .. "_id"] = principal.id }))
        what = 2
      elseif what == 15 then
        assert(actors[1]:rotate_credentials(cluster.id, { component = "all" }))
      elseif who > 1 then
        -- Deleted, and made again: certificates outlive their holder.
        sim:delete_principal { kind = principal.kind, id = principal.id }
        sim:put_principal { kind = principal.kind, id = principal.id, name = principal.name }
      end
      done[what] = (done[what] or 0) + 1
      -- CTS tells of milliseconds: of two events in one of them nobody knows which was first.
      core.sys.sleep(0.002)
    end
    sim:clock(0)
    assert.is_true(done[1] > count / 3 and done[2] > 0 and done[15] > 0 and done[16] > 0)
    local expected, probe = {}, require "cce.kubeconfig.probe"
    local counts = { [true] = 0, [false] = 0 }
    for key, list in pairs(held) do
      expected[key] = false
      for _, kubeconfig in ipairs(list) do
        expected[key] = expected[key] or probe.look(clients[1], kubeconfig).state == "works"
      end
      counts[expected[key]] = counts[expected[key]] + 1
    end
    assert.is_true(counts[true] > 0 and counts[false] > 0)
    for _, each in ipairs(actors) do each:close() end
    return expected
  end

  local function check(expected, found)
    for key, works in pairs(expected) do
      assert.equal(works, found[key] == "holds", key .. " is " .. tostring(found[key]))
    end
    for key, state in pairs(found) do
      if state == "holds" or state == "may" then assert.is_true(expected[key], key) end
    end
  end

  it("finds exactly those whose certificates the clusters accept", function()
    check(play(80, 0), states_of {})
  end)

  it("finds them in three weeks of 500 events, by CTS and exported traces #long", function()
    local expected = play(500, 21)
    local export = sim:export()
    tempdir.write(directory .. "/export.json", export)
    check(expected, states_of { traces = { directory .. "/export.json" } })
    -- Of what CTS forgot nobody is invented, and that there is something is said.
    local holders, missed = assert(cce.workflow.holders(clients[1])), 0
    local found = {}
    for _, row in ipairs(holders) do
      found[row.cluster_name .. " " .. row.id] = row.state
      if row.state == "holds" then
        assert.is_true(expected[row.cluster_name .. " " .. row.id])
      end
    end
    for key, works in pairs(expected) do
      if works and found[key] ~= "holds" then missed = missed + 1 end
    end
    assert.is_true(missed > 0)
    assert.matches("cannot see: what was obtained before 20%d%d", tostring(holders))
  end)

  it("shows rights by bindings and AccessPolicies, and which it cannot see", function()
    local admin = directory .. "/admin"
    assert(assert(clients[1]:obtain_cert(sim.clusters[1].id, { duration = 1 })):save(admin))
    local function policy(name, clusters_of, principal)
      sim:curl { method = "POST", path = "/api/v3/access-policies", body = json.encode {
        kind = "AccessPolicy", apiVersion = "v3", name = name, clusters = clusters_of,
        accessScope = { namespaces = { "dev" } }, policyType = "CCEEditPolicy",
        principal = principal } }
    end
    policy("ops", { sim.clusters[2].id }, { type = "user",
      ids = { simulator.member.principal.id } })
    local holders = assert(cce.workflow.holders(clients[1], { admin = admin }))
    local found = {}
    for _, row in ipairs(holders) do
      found[row.cluster_name .. " " .. row.id] = row.rights and row.rights[1] or "none"
    end
    local member, agency = simulator.member.principal.id, simulator.agency.principal.id
    assert.same({ ["cluster-001 " .. simulator.admin.principal.id] = "none",
      ["cluster-001 " .. member] = "ClusterRoleBinding sim-readers (view)",
      ["cluster-001 " .. agency] = "ClusterRoleBinding sim-readers (view)",
      ["cluster-002 " .. member] = "AccessPolicy ops (CCEEditPolicy)" }, found)
    assert.equal("unknown", holders[#holders].state)
    assert.matches("bound: AccessPolicy ops", holders[#holders].evidence[1], 1, true)
    assert.matches(("cannot see: rights in %d of %d clusters: admin= has no kubeconfig for them")
      :format(#sim.clusters - 1, #sim.clusters), tostring(holders), 1, true)
    assert.matches("cannot see: who is in groups that bindings name (1 in all)",
      tostring(holders), 1, true)
    -- One of all clusters; and groups, of which nobody knows here who is in them.
    policy("everywhere", { "*" }, { type = "user", ids = { "e1" } })
    policy("grouped", { "*" }, { type = "group", ids = { "g1" } })
    local everywhere = assert(cce.workflow.holders(clients[1], { user_id = "e1" }))
    assert.equal(#sim.clusters, #everywhere)
    assert.matches("cannot see: who is in the groups of AccessPolicy grouped",
      tostring(everywhere), 1, true)
    assert.equal(0, #assert(cce.workflow.holders(clients[1], { user_id = "g1" })))
    local unlisted = assert(cce.workflow.holders(clients[1], { clusters = { ("0"):rep(32) },
      admin = function() return true end }))
    assert.matches("cannot see: rights in " .. ("0"):rep(32) .. ": ", tostring(unlisted), 1, true)
    sim:deny(simulator.admin.principal.id, "cce:accessPolicy:list")
    assert.matches("cannot see: AccessPolicies: ",
      tostring(assert(cce.workflow.holders(clients[1]))), 1, true)
  end)

  it("names its evidence, whether somebody is in IAM, and what it cannot see", function()
    assert(clients[2]:obtain_cert(sim.clusters[1].id, { duration = 2 }))
    local holders = assert(cce.workflow.holders(clients[1], { clusters = { sim.clusters[1].id } }))
    assert.equal(1, #holders)
    local row = holders[1]
    assert.same({ "holds", "user", simulator.member.principal.id, "enabled" },
      { row.state, row.kind, row.id, row.iam })
    assert.near(os.time() + 2 * 86400, row.latest_end, 60)
    assert.matches("^obtained: CTS trace ", row.evidence[1])
    assert.matches("cannot see: what was obtained before 20", tostring(holders))
    assert.equal(0, holders:exit_code())
    sim:put_principal { kind = "user", id = row.id, enabled = false }
    assert.equal("disabled", assert(cce.workflow.holders(clients[1]))[1].iam)
    sim:delete_principal { kind = "user", id = row.id }
    assert.equal("deleted", assert(cce.workflow.holders(clients[1]))[1].iam)
  end)

  it("says which lists of IAM it was not given", function()
    for method, text in pairs { list_users = "users of IAM were not listed: not allowed",
      list_agencies = "agencies of IAM were not listed: not allowed",
      deleted_principals = "deletions were not searched: not allowed" } do
      clients[1][method] = function() return nil, "not allowed" end
      assert.matches("cannot see: " .. text, tostring(cce.workflow.holders(clients[1])), 1, true)
      clients[1][method] = nil
    end
    -- Without CTS it goes on where there is none for it, and not where it failed.
    for code, is_error in pairs { PERMISSION_DENIED = false, INVALID_ARGUMENT = false,
      TIMEOUT = true } do
      clients[1].list_traces = function() return errors.fail(code, "no traces") end
      local holders, message, err = cce.workflow.holders(clients[1])
      if is_error then
        assert.same({ nil, "no traces", code }, { holders, message, err.code })
      else
        assert.matches("cannot see: CTS was not asked: no traces", tostring(holders), 1, true)
      end
    end
  end)

  it("names whom a schedule will revoke, and not whom it has revoked", function()
    local schedule = assert(cce.schedule.open("sqlite:" .. directory .. "/schedule.db"))
    local due = os.time() + 3600
    for i, id in ipairs { "later", "later", "cancelled" } do
      assert(schedule:revoke_at(due + (i == 2 and 60 or 0),
        { cluster_id = sim.clusters[1].id, user_id = id }))
    end
    for _, entry in ipairs(assert(schedule:list())) do
      if entry.user_id == "cancelled" then assert(schedule:cancel(entry.id)) end
    end
    local found = states_of { schedule = schedule }
    assert.equal(due, assert(cce.workflow.holders(clients[1], { schedule = schedule }))[1].due)
    assert.is_string(found["cluster-001 later"])
    assert.is_nil(found["cluster-001 cancelled"])
    -- However many there are.
    for i = 1, 100 do
      assert(schedule:revoke_at(due, { cluster_id = sim.clusters[2].id, agency_id = "a" .. i }))
    end
    local rows = assert(cce.workflow.holders(clients[1], { schedule = schedule }))
    schedule:close()
    assert.equal(101, #rows)
    assert.equal("agency", rows[101].kind)
  end)

  it("reads our audit logs: holders, revocations and rotations, and what failed as nothing",
    function()
      local log, member = directory .. "/audit", simulator.member.principal.id
      local ahead = 0
      local logged = assert(cce.audit_log.open(log, {
        clock = function() return os.time() + ahead end }))
      clients[3], clients[4] = new_client(simulator.admin, logged),
        new_client(simulator.member, logged)
      for i = 1, 4 do assert(clients[4]:obtain_cert(sim.clusters[i].id, { duration = 3 })) end
      ahead = 5
      assert(clients[3]:revoke_cert(sim.clusters[2].id, { user_id = member }))
      assert(clients[3]:rotate_credentials(sim.clusters[3].id, { component = "all" }))
      sim:fault { operation = "revoke_cert", status = 403 }
      assert.is_nil(clients[3]:revoke_cert(sim.clusters[4].id, { user_id = member }))
      sim:reset() -- CTS knows nothing of it now
      assert.same({ ["cluster-001 " .. member] = "holds", ["cluster-002 " .. member] = "revoked",
        ["cluster-003 " .. member] = "rotated", ["cluster-004 " .. member] = "holds" },
        states_of { logs = { log } })
      local row = assert(cce.workflow.holders(clients[1], { logs = { log } }))[1]
      assert.near(os.time() + 3 * 86400, row.latest_end, 60)
      assert.matches("^obtained: line %d+ of .*/audit$", row.evidence[1])
    end)

  it("says what our audit logs do not tell of certificates, and takes nothing else for one",
    function()
      local log, lines = directory .. "/audit", {}
      local function add(outcome, more)
        local entry = { n = #lines + 1, operation = "obtain_cert", outcome = outcome,
          at = times.format(os.time() - 60), target = "cluster " .. sim.clusters[1].id }
        for name, value in pairs(more or {}) do entry[name] = value end
        lines[#lines + 1] = json.encode(entry):gsub("\n%s*", "")
      end
      for _, outcome in ipairs { "ok", "unknown", "failed" } do
        add "pending"
        add(outcome, { call = #lines })
      end
      add "pending"
      add("pending", { operation = "revoke_cert" })
      tempdir.write(log, table.concat(lines, "\n") .. "\n")
      local result = assert(cce.workflow.holders(clients[1], { logs = { log } }))
      local shown = tostring(result)
      assert.matches("cannot see: who holds 1 certificate: traces or lines lack", shown, 1,
        true)
      assert.matches("cannot see: whether 2 certificates were obtained: the logs lack the outcome",
        shown, 1, true)
      for _, odd in ipairs { "no JSON", lines[1]:sub(1, -9), "[]", '{"n":1,"at":"yesterday"}',
        '{"at":"2026-01-02T03:04:05Z"}' } do
        tempdir.write(log, lines[1] .. "\n" .. odd)
        local _, message, err = cce.workflow.holders(clients[1], { logs = { log } })
        assert.equal("INVALID_ARGUMENT", err.code, odd)
        assert.matches("line 2 of '" .. log .. "' is no line of an audit log", message, 1, true)
      end
    end)

  it("tells who is not expected", function()
    assert(clients[2]:obtain_cert(sim.clusters[1].id, { duration = 2 }))
    assert(clients[1]:obtain_cert(sim.clusters[2].id, { duration = 2 }))
    local holders = assert(cce.workflow.holders(clients[1],
      { expected = { "cluster-002 " .. simulator.admin.principal.id } }))
    assert.equal(4, holders:exit_code())
    local unexpected = {}
    for _, each in ipairs(holders) do
      local who = each.unexpected and each.cluster_name .. " " .. each.name
      unexpected[#unexpected + 1] = who or nil
    end
    assert.same({ "cluster-001 " .. simulator.member.principal.name }, unexpected)
  end)

  it("judges each certificate by what came after it, and a moment alone by neither", function()
    local now, list, expected = os.time(), {}, {}
    local function add(name, cluster, days_ago, user, request)
      list[#list + 1] = { trace_id = tostring(#list), trace_name = name, service_type = "CCE",
        code = "200", resource_id = sim.clusters[cluster].id,
        time = (now - days_ago * 86400) * 1000, request = (json.encode(request)),
        user = { id = user, name = user } }
    end
    local ADMIN = "0001"
    -- `o9:30` is obtained nine days ago for thirty, `r` a revocation, `R` a rotation, `k` one of
    -- the key of ServiceAccounts, `g` a revocation as of an agency.
    for user, case in pairs {
      latest = { 1, "o10:365 o9:20", "holds", 355 }, holds = { 1, "o10:365 o5:", "holds" },
      before = { 1, "o10: o5:365", "holds" }, may = { 1, "o10:", "may" },
      again = { 1, "o10:365 r9 o8:365 r7", "revoked" }, back = { 1, "o10:365 r9 o8:365", "holds" },
      moment = { 1, "o6:365 r6", "holds" }, agency = { 1, "o6:365 g5", "revoked" },
      ended = { 1, "o10:1", "ended" }, rotated = { 2, "o10:365 R9 o8:365 R7", "rotated" },
      turned = { 2, "o7:365", "holds" }, key = { 3, "o7:365 k6", "holds" },
      other = { 1, "g5", "revoked", kind = "agency" }, forever = { 1, "o5:-1", "may" },
      moments = { 1, "o5:x", "holds", 1 },
      -- Of unknown length: five years at most.
      longest = { 1, "o1826:", "may", 1 }, longer = { 1, "o1828:", "ended" },
    } do
      for what, ago, days in case[2]:gmatch "(%a)(%d+):?([-%dx]*)" do
        local id = (what == "g" and "agencyId" or "userId")
        add(what == "o" and "getClusterCertByUID" or what:find "[Rk]" and "RotateClusterCredentials"
          or "revokeClusterCert", case[1], tonumber(ago), what == "o" and user or ADMIN,
          what == "o" and { duration = tonumber(days) or json.null,
            expire_at = days == "x" and times.format(now + 86400) or nil }
          or what == "R" and { component = "all" }
          or what == "k" and { component = "service-account-controller" } or { [id] = user })
      end
      expected[user] = case
    end
    tempdir.write(directory .. "/traces", json.encode(list))
    local opts = { traces = { directory .. "/traces" } }
    for _, row in ipairs(assert(cce.workflow.holders(clients[1], opts))) do
      local case = expected[row.id]
      assert.same({ case[3], case.kind or "user" }, { row.state, row.kind }, row.id)
      if case[4] then assert.near(now + case[4] * 86400, row.latest_end, 1) end
      expected[row.id] = nil
    end
    assert.is_nil(next(expected))
    opts.user_id = "rotated"
    local rows = assert(cce.workflow.holders(clients[1], opts))
    assert.same({ 1, "rotated" }, { #rows, rows[1].state })
    -- Whoever may be in is not expected, either.
    opts.expected = { "somebody" }
    for user, code in pairs { may = 4, holds = 4, ended = 0, again = 0, rotated = 0 } do
      opts.user_id = user
      assert.equal(code, assert(cce.workflow.holders(clients[1], opts)):exit_code(), user)
    end
  end)

  it("takes nobody for cut whose certificate may be newer, though logs know only seconds",
    function()
      local log, traces, lines, list = directory .. "/audit", directory .. "/traces", {}, {}
      local when = os.time() - 3600
      local function add_line(what, outcome, seconds, more)
        local entry = { n = #lines + 1, operation = what, outcome = outcome,
          at = times.format(when + seconds), target = "cluster " .. sim.clusters[1].id,
          call = outcome == "ok" and #lines or nil }
        for name, value in pairs(more) do entry[name] = value end
        lines[#lines + 1] = json.encode(entry):gsub("\n%s*", "")
        return entry.n
      end
      local function obtain(id, seconds)
        add_line("obtain_cert", "pending", seconds, { duration = 30 })
        add_line("obtain_cert", "ok", seconds, { duration = 30, holder = id })
      end
      -- Obtained while the revocation was on the way; before it; and in the second of one that
      -- CTS tells of.
      local call = add_line("revoke_cert", "pending", 0, { user_id = "meanwhile" })
      obtain("meanwhile", 5)
      add_line("revoke_cert", "ok", 10, { user_id = "meanwhile", call = call })
      obtain("before", 0)
      add_line("revoke_cert", "pending", 2, { user_id = "before" })
      add_line("revoke_cert", "ok", 3, { user_id = "before" })
      obtain("moment", 20)
      list[1] = { trace_id = "t", trace_name = "revokeClusterCert", service_type = "CCE",
        code = "200", resource_id = sim.clusters[1].id, time = (when + 20) * 1000 + 500,
        request = (json.encode { userId = "moment" }), user = { id = "0001", name = "admin" } }
      tempdir.write(log, table.concat(lines, "\n") .. "\n")
      tempdir.write(traces, (json.encode(list)))
      local found = states_of { logs = { log }, traces = { traces } }
      assert.same({ ["cluster-001 meanwhile"] = "holds", ["cluster-001 before"] = "revoked",
        ["cluster-001 moment"] = "holds" }, found)
    end)

  it("reads exported traces, as a document and as lines, and kubeconfigs", function()
    local cluster = sim.clusters[1]
    local function trace(name, time, request)
      return { trace_id = name .. time, trace_name = name, service_type = "CCE", code = "200",
        resource_id = cluster.id, time = time * 1000, request = (json.encode(request)),
        user = { id = "0f00", name = "left.long.ago" } }
    end
    local now = os.time()
    local old = { trace("getClusterCertByUID", now - 40 * 86400, { duration = 365 }),
      trace("getClusterCertByUID", now - 30 * 86400, { duration = 1 }) }
    local lines = {}
    for i, each in ipairs(old) do lines[i] = json.encode(each):gsub("\n%s*", "") end
    tempdir.write(directory .. "/lines", table.concat(lines, "\n") .. "\n")
    tempdir.write(directory .. "/document", json.encode { traces = old })
    for _, name in ipairs { "lines", "document" } do
      local found = states_of { traces = { directory .. "/" .. name } }
      assert.equal("holds", found["cluster-001 0f00"], name)
    end
    old[3] = trace("revokeClusterCert", now - 10 * 86400, { userId = "0f00" })
    old[3].user = { id = "0001", name = "admin" }
    tempdir.write(directory .. "/document", json.encode(old))
    local found = states_of { traces = { directory .. "/document" } }
    assert.equal("revoked", found["cluster-001 0f00"])
    -- What was refused changed nothing, and gave nobody anything.
    old[3].code = "403"
    old[4] = trace("getClusterCertByUID", now - 5 * 86400, { duration = 365 })
    old[4].code, old[4].user = "403", { id = "0f01", name = "was.refused" }
    -- Nor does one count that does not say when it was, or where.
    for i, field in ipairs { "time", "resource_id" } do
      old[4 + i] = trace("revokeClusterCert", now, { userId = "0f00" })
      old[4 + i][field] = nil
    end
    tempdir.write(directory .. "/document", json.encode(old))
    found = states_of { traces = { directory .. "/document" } }
    assert.equal("holds", found["cluster-001 0f00"])
    assert.is_nil(found["cluster-001 0f01"])
    assert.not_matches("cannot see: who holds", tostring(cce.workflow.holders(clients[1],
      { traces = { directory .. "/document" } })), 1, true)
    tempdir.write(directory .. "/other", "{}")
    local none, message = cce.workflow.holders(clients[1], { traces = { directory .. "/other" } })
    assert.is_nil(none)
    assert.matches("holds no traces", message, 1, true)
    -- Who stands in a line that was cut off would be missing.
    tempdir.write(directory .. "/cut", lines[1] .. "\n\n" .. lines[2]:sub(1, -3))
    none, message = cce.workflow.holders(clients[1], { traces = { directory .. "/cut" } })
    assert.is_nil(none)
    assert.matches("line 3 of .* is no trace of CTS, or was cut off: whom it names", message)
    local other = json.encode { code = 200, user = { id = "0f01" } }
    for place, text in pairs { ["line 2"] = lines[1] .. "\n" .. other .. "\n" .. lines[2],
      ["trace 2"] = ("[%s,%s]"):format(lines[1], other) } do
      tempdir.write(directory .. "/odd", text)
      none, message = cce.workflow.holders(clients[1], { traces = { directory .. "/odd" } })
      assert.is_nil(none)
      assert.matches(place .. " of .* is no trace of CTS", message)
    end
    -- Somebody holds what these tell of, but nobody knows who.
    local lost = {}
    for i, field in ipairs { "time", "resource_id", "user" } do
      lost[i] = trace("getClusterCertByUID", now, { duration = 365 })
      lost[i][field] = nil
    end
    tempdir.write(directory .. "/lost", json.encode(lost))
    local list = assert(cce.workflow.holders(clients[1], { traces = { directory .. "/lost" } }))
    assert.matches("cannot see: who holds 3 certificates", tostring(list), 1, true)
    tempdir.write(directory .. "/half", (lines[1]:gsub("left.long.ago", "left\\ud83d")) .. "\n")
    assert.equal("holds", states_of({ traces = { directory .. "/half" } })["cluster-001 0f00"])

    local kubeconfig = assert(clients[2]:obtain_cert(cluster.id, { duration = 3 }))
    assert(kubeconfig:save(directory .. "/member.json"))
    sim:reset()
    local row = assert(cce.workflow.holders(clients[1],
      { kubeconfigs = { directory .. "/member.json" } }))[1]
    assert.equal("holds", row.state)
    assert.matches("obtained: certificate .* in .*member%.json", row.evidence[1])
    tempdir.write(directory .. "/broken", "{")
    assert.matches("cannot see: [^\n]*/broken", tostring(cce.workflow.holders(clients[1],
      { kubeconfigs = { directory .. "/broken" } })))
  end)

  it("raises what is of the wrong type", function()
    for name, value in pairs { clusters = 1, user_id = 1, traces = 1, logs = 1, kubeconfigs = 1,
      schedule = 1, expected = 1, admin = 1, concurrency = "1" } do
      local ok, message = pcall(cce.workflow.holders, clients[1], { [name] = value })
      assert.is_false(ok)
      assert.matches("bad option '" .. name .. "'", message, 1, true)
    end
  end)
end)
