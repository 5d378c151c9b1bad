local cce = require "cce"
local cjson = require "cjson"
local clients = require "spec.support.clients"
local core = require "cce.core"
local mime = require "mime"
local server = require "spec.support.peer.server"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

local DAY = 86400
local member = simulator.member.principal
local agency = simulator.agency.principal

describe("cce.workflow.revoke", function()
  local sim, client, opened

  -- All services are known, so that IAM, STS and CTS can be asked.
  local function client_of(key, more)
    local options = { key = key, endpoints = {
      cce = sim.env.CCE_ENDPOINT, iam = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT,
      cts = sim.env.CCE_CTS_ENDPOINT, sts = sim.env.HUAWEICLOUD_SDK_STS_ENDPOINT,
    } }
    for name, value in pairs(more or {}) do options[name] = value end
    local made = clients.new(sim, options)
    opened[#opened + 1] = made
    return made
  end

  setup(function() sim = simulator.get() end)

  before_each(function()
    opened = {}
    sim:reset()
    client = client_of(simulator.admin)
  end)

  after_each(function()
    for _, each in ipairs(opened) do each:close() end
  end)

  local function options_of(more)
    local options = { clusters = { name = "*" }, rate_limit = false }
    for name, value in pairs(more) do options[name] = value end
    return options
  end

  local function try(more, of)
    return cce.workflow.revoke(of or client, options_of(more))
  end

  local function revoke(more, of)
    local report, message = try(more, of)
    return assert(report, message)
  end

  local function counts(report)
    local list = report:counts()
    return ("%d ok, %d failed, %d skipped, %d uncertain, %d pending"):format(list.ok, list.failed,
      list.skipped, list.uncertain, list.pending)
  end

  local function sent()
    return #sim:log { operation = "revoke_cert" }
  end

  local function noted(report, pattern)
    for _, note in ipairs(report.notes) do
      if note:match(pattern) then return true end
    end
    return false, table.concat(report.notes, "\n")
  end

  local function obtain(index, key)
    return assert(client_of(key or simulator.member):obtain_cert(sim.clusters[index].id,
      { duration = 1 }))
  end

  describe("checks what it is asked", function()
    it("and raises for wrong use at the line of the call", function()
      clients.raises("unknown option 'users'", function()
        cce.workflow.revoke(client, { clusters = {}, users = 1 })
      end)
      clients.raises("option 'clusters' is missing", function()
        cce.workflow.revoke(client, { user_id = "u" })
      end)
      for name, value in pairs { clusters = 1, agency_id = 1, kubeconfig = 1, certificate = 1,
        deleted_since = "1", principal = 1, principals = 1, partial = 1, tracker_region = 1,
        tracker_project_id = 1, allow_self = 1, knows = 1, unknown_ok = 1, retry_failed = 1,
        verify = 1, remove = 1, admin = 1, undo = 1, first_intent = "1", journal = 1, run = 1,
        concurrency = "1", rate_limit = 1, dry_run = 1, on_progress = 1 } do
        clients.raises("bad option '" .. name .. "'", function()
          cce.workflow.revoke(client, { clusters = { "c" }, user_id = "u", [name] = value })
        end)
      end
      clients.raises("cce.kubeconfig or a path expected", function()
        cce.workflow.revoke(client, { clusters = { "c" }, kubeconfig = {} })
      end)
      clients.raises("unknown option", function()
        local report = cce.workflow.revoke(client, { clusters = { nam = "*" }, user_id = "u" })
        return report
      end)
      clients.raises("a client or a list of clients expected", function()
        cce.workflow.revoke({}, { clusters = { "c" }, user_id = "u" })
      end)
    end)

    it("and returns what is out of range", function()
      for _, bad in ipairs {
        {}, { user_id = "a", agency_id = "b" }, { user_id = "a", deleted_since = 1 },
        { user_id = "../x" }, { user_id = "a", verify = true },
        { user_id = "a", rate_limit = "often" }, { user_id = "a", clusters = {} },
        { deleted_since = 1, tracker_region = "../x" },
        { deleted_since = 1, tracker_project_id = "../x" }, { principals = {} },
        { principals = { "a" } }, { principals = { { id = "a" } } },
        { principals = { { kind = "user" } } }, { principals = { { kind = "User", id = "a" } } },
        { principals = { { kind = "user", id = "../x" } } },
        { user_id = "a", admin = "x" }, { user_id = "a", undo = "x" },
      } do
        clients.fails("INVALID_ARGUMENT", try(bad))
      end
      clients.fails("FILE_ERROR", try { kubeconfig = "/nowhere/config" })
      clients.fails("FILE_ERROR", try { user_id = "a", verify = { "/nowhere/config" } })
      clients.fails("INVALID_CERTIFICATE", try { certificate = "no certificate" })
      assert.equal(0, sent())
    end)
  end)

  describe("on each cluster", function()
    it("revokes a user and says whether he can obtain again", function()
      local report = revoke { user_id = member.id }
      assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
      assert.equal(0, report:exit_code())
      assert.equal("still enabled in IAM", report.principals[1].can_obtain_again)
      assert.is_true(noted(report, "member%) can obtain again: still enabled in IAM"))
      assert.matches("can obtain again", tostring(report), 1, true)
      for _, cluster in ipairs(sim:state().clusters) do
        assert.is_truthy(cluster.revoked_users[member.id])
        assert.is_nil(cluster.revoked_users[simulator.admin.principal.id])
      end
    end)

    it("revokes an agency", function()
      local report = revoke { agency_id = agency.id, clusters = { sim.clusters[1].id } }
      assert.equal("1 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
      assert.is_truthy(sim:state().clusters[1].revoked_agencies[agency.id])
      assert.equal("still enabled in IAM", report.principals[1].can_obtain_again)
    end)

    it("learns of IAM that a certificate is an agency's, unless told what it is", function()
      local kubeconfig = obtain(1, simulator.agency)
      local report = revoke { kubeconfig = kubeconfig, clusters = { sim.clusters[1].id } }
      assert.equal("agency", report.ok[1].principal_kind)
      report = revoke { kubeconfig = kubeconfig, principal = "user", dry_run = true }
      assert.equal("user", report.principals[1].kind)
      assert.is_true(noted(report, "is of kind agency, says IAM"))
      report = revoke { kubeconfig = obtain(1), principal = "agency", dry_run = true }
      assert.equal("agency", report.principals[1].kind)
      sim:policy { deny = { "iam:users:listUsers", "iam:agencies:listAgencies" } }
      report = revoke { kubeconfig = obtain(1, simulator.agency),
        clusters = { sim.clusters[1].id } }
      assert.is_true(noted(report, "is a user or an agency, neither the certificate nor IAM says"))
    end)

    it("takes the holder from files", function()
      local dir = tempdir.new()
      local kubeconfig = obtain(1)
      assert(kubeconfig:save(dir .. "/config"))
      local report = revoke { kubeconfig = dir .. "/config", dry_run = true }
      assert.equal(member.id, report.principals[1].id)
      report = revoke { certificate = dir .. "/config", dry_run = true }
      assert.equal(member.id, report.principals[1].id)
      tempdir.remove(dir)
    end)

    it("says no and unknown of obtaining again", function()
      sim:put_principal { kind = "user", id = member.id, enabled = false }
      assert.equal("no", revoke({ user_id = member.id }).ok[1].can_obtain_again)
      assert.equal("no", revoke({ user_id = "nobody-knows" }).uncertain[1].can_obtain_again)
      sim:deny(simulator.admin.principal.id, "iam:users:listUsers")
      assert.equal("unknown", revoke({ user_id = member.id }).ok[1].can_obtain_again)
    end)

    it("says that IAM does not know an id, when that is so", function()
      local doubt = "; IAM has no such user: check the id, or it was deleted"
      local plan = revoke { user_id = "mistyped", dry_run = true }
      assert.is_true(noted(plan, "user mistyped can obtain again: no" .. doubt))
      assert.is_false(plan.principals[1].in_iam)
      local sent_anyway = revoke { user_id = "mistyped" }
      assert.equal("0 ok, 0 failed, 0 skipped, 5 uncertain, 0 pending", counts(sent_anyway))
      assert.equal(2, sent_anyway:exit_code())
      assert.matches("accepted, unverified: nobody is known by this id",
        sent_anyway.uncertain[1].message, 1, true)
      assert.equal(5, sent())
      assert.equal(0, revoke({ user_id = "mistyped", unknown_ok = true }):exit_code())
      local of_other_kind = { user_id = "an-agency", dry_run = true }
      sim:put_principal { kind = "agency", id = "an-agency", name = "an agency" }
      assert.is_false(noted(revoke(of_other_kind), doubt))
      assert.is_true(revoke({ user_id = member.id, dry_run = true }).principals[1].in_iam)
      sim:deny(simulator.admin.principal.id, "iam:users:listUsers")
      assert.is_false(noted(revoke { user_id = "mistyped", dry_run = true }, doubt))
      -- An emergency is not held up; but nobody says that it was checked.
      local unchecked = revoke { user_id = "mistyped" }
      assert.equal(0, unchecked:exit_code())
      assert.matches("known by this id was not checked", unchecked.ok[1].message, 1, true)
    end)

    it("knows of CTS who is in no list of IAM", function()
      sim:put_principal { kind = "user", id = "left-1", name = "one" }
      sim:delete_principal { kind = "user", id = "left-1", ago = 100 }
      assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending",
        counts(revoke { user_id = "left-1" }))
    end)

    it("knows whom a certificate names", function()
      local kubeconfig = obtain(1)
      sim:delete_principal { kind = "user", id = member.id, ago = 8 * DAY }
      local report = revoke { kubeconfig = kubeconfig, clusters = { sim.clusters[2].id } }
      assert.equal(0, report:exit_code())
    end)

    -- Nobody of this id is in IAM's lists, nor in what CTS still has.
    local function forget_member()
      sim:reset()
      sim:delete_principal { kind = "user", id = member.id, ago = 8 * DAY }
    end

    it("counts a certificate only in the clusters whose CA issued it", function()
      local kubeconfig = obtain(1)
      forget_member()
      local report = revoke { kubeconfig = kubeconfig }
      assert.equal("1 ok, 0 failed, 0 skipped, 4 uncertain, 0 pending", counts(report))
      assert.equal(sim.clusters[1].id, report.ok[1].cluster_id)
      assert.is_true(noted(report, "^the certificate is not of the CA of cluster%-002, "))
      assert.equal("1 ok, 0 failed, 0 skipped, 4 uncertain, 0 pending",
        counts(revoke { certificate = kubeconfig.raw }))
    end)

    it("counts a certificate where the cluster's CA is not told", function()
      local kubeconfig = obtain(1)
      forget_member()
      sim:fault { operation = "show_cluster", status = 403, times = 100 }
      assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending",
        counts(revoke { kubeconfig = kubeconfig }))
    end)

    it("looks at no cluster's CA when IAM or CTS knows the holder", function()
      local kubeconfig = obtain(1)
      assert.equal(0, revoke({ kubeconfig = kubeconfig }):exit_code())
      sim:delete_principal { kind = "user", id = member.id, ago = 100 }
      assert.equal(0, revoke({ kubeconfig = kubeconfig }):exit_code())
      assert.equal(0, #sim:log { operation = "show_cluster" })
    end)

    it("knows of its own audit log whose certificates were obtained", function()
      local dir = tempdir.new()
      finally(function() tempdir.remove(dir) end)
      local holder = client_of(simulator.member, { audit_log = dir .. "/log" })
      assert(holder:obtain_cert(sim.clusters[1].id, { duration = 1 }))
      holder:close()
      forget_member()
      assert.equal(2, revoke({ user_id = member.id }):exit_code())
      local logging = client_of(simulator.admin, { audit_log = dir .. "/log" })
      assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending",
        counts(revoke({ user_id = member.id }, logging)))
      os.rename(dir .. "/log", dir .. "/log.1")
      assert.equal(0, revoke({ user_id = member.id }, logging):exit_code())
    end)

    it("does not take what was revoked before for somebody who is known", function()
      local dir = tempdir.new()
      finally(function() tempdir.remove(dir) end)
      local logging = client_of(simulator.admin, { audit_log = dir .. "/log" })
      for _ = 1, 2 do
        assert.equal("0 ok, 0 failed, 0 skipped, 5 uncertain, 0 pending",
          counts(revoke({ user_id = "mistyped" }, logging)))
      end
      assert.matches('"user_id":"mistyped"', tempdir.read(dir .. "/log"), 1, true)
    end)

    it("asks knows= once about an id that IAM and CTS do not know", function()
      local asked = {}
      local function knows(kind, id)
        asked[#asked + 1] = kind .. " " .. id
        return id == "federated"
      end
      assert.equal(0, revoke({ user_id = member.id, knows = knows }):exit_code())
      assert.equal(0, revoke({ user_id = "federated", knows = knows }):exit_code())
      assert.equal(2, revoke({ agency_id = "mistyped", knows = knows }):exit_code())
      assert.same({ "user federated", "agency mistyped" }, asked)
      local report = revoke { user_id = "federated", knows = function() error "no directory" end }
      assert.equal(2, report:exit_code())
      assert.is_true(noted(report, "^knows= raised an error: .*no directory"))
    end)

    it("fails where it is too old, and waits for what is not Available", function()
      sim:set { cluster = sim.clusters[1].id, version = "v1.17.9-r0" }
      sim:set { cluster = sim.clusters[2].id, phase = "Hibernation" }
      sim:set { cluster = sim.clusters[3].id, version = "v1.27.1-r10" }
      local report = revoke { user_id = member.id }
      assert.equal("3 ok, 1 failed, 0 skipped, 0 uncertain, 1 pending", counts(report))
      assert.equal(1, report:exit_code())
      local text = tostring(report)
      assert.matches("version v1.17 is too old: revoking needs v1.19.16-r50 or later", text,
        1, true)
      assert.matches("the cluster is Hibernation, not Available", text, 1, true)
      assert.equal(3, sent())
    end)

    it("asks the API when a version names only its line", function()
      sim:set { cluster = sim.clusters[1].id, version = "v1.27.1-r9" }
      local report = revoke { user_id = member.id, clusters = { sim.clusters[1].id } }
      assert.equal(1, sent())
      assert.equal("0 ok, 1 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
      assert.equal("UNSUPPORTED", report.failed[1].code)
      assert.matches("Revoking needs", report.failed[1].hint)
      assert.equal(1, report:exit_code())
    end)

    it("takes those words for a refusal only when nothing can have happened", function()
      sim:fault { operation = "revoke_cert", status = 500,
        body = '{"errorMessage":"Request is invalid, not support this version v1.27"}' }
      local report = revoke { user_id = member.id, clusters = { sim.clusters[1].id } }
      assert.equal("0 ok, 0 failed, 0 skipped, 1 uncertain, 0 pending", counts(report))
    end)

    it("tells failed, pending and uncertain apart", function()
      sim:fault { cluster = sim.clusters[1].id, operation = "revoke_cert", status = 403 }
      sim:fault { cluster = sim.clusters[3].id, operation = "revoke_cert", status = 400 }
      sim:fault { cluster = sim.clusters[2].id, operation = "revoke_cert", reset = "after" }
      local report = revoke { user_id = member.id }
      assert.equal("2 ok, 1 failed, 0 skipped, 1 uncertain, 1 pending", counts(report))
      assert.equal("BAD_REQUEST", report.failed[1].code)
      assert.equal("PERMISSION_DENIED", report.pending[1].code)
      assert.equal(sim.clusters[2].id, report.uncertain[1].cluster_id)
      assert.matches("user " .. member.id, report.uncertain[1].message, 1, true)
      assert.equal(1, report:exit_code())
    end)

    it("fails for an id that no cluster has", function()
      local report = revoke { user_id = member.id, clusters = { "no-such-cluster" } }
      assert.equal("NOT_FOUND", report.failed[1].code)
      assert.equal(0, sent())
    end)

    it("goes on where clusters may not be listed or shown", function()
      sim:deny(simulator.admin.principal.id, "cce:cluster:list", "cce:cluster:get")
      local report = revoke { user_id = member.id, clusters = { sim.clusters[1].id } }
      assert.equal("1 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
      report = revoke { user_id = member.id, clusters = { sim.clusters[1].id }, dry_run = true }
      assert.equal(("revoke user %s (member) in %s (version not known, status not known), project"
        .. " %s"):format(member.id, sim.clusters[1].id, sim.project_id), report.plan[1])
      assert.same({ "user member", member.id, "-", sim.clusters[1].id }, report.steps[1][1])
      clients.fails("PERMISSION_DENIED", cce.workflow.revoke(client, { user_id = member.id,
        clusters = { name = "*" } }))
    end)

    it("sends ten a minute unless told otherwise", function()
      local ids = {}
      for i = 1, 5 do ids[i] = sim.clusters[i].id end
      revoke { user_id = member.id, clusters = ids, rate_limit = "2/min", concurrency = 1 }
      assert.equal(3, #client.slept)
      assert.is_true(client.slept[1] > 50 and client.slept[3] > 110)
      local plan = revoke { user_id = member.id, clusters = ids, rate_limit = "2/min",
        dry_run = true }
      assert.is_true(noted(plan, "at 2/min the last request leaves after about 2 min"))
    end)

    it("stops when on_progress says so", function()
      local seen = {}
      local report = revoke { user_id = member.id, concurrency = 1,
        on_progress = function(done, total, failed)
          seen[#seen + 1] = ("%d/%d %d"):format(done, total, failed)
          return done < 2
        end }
      assert.same({ "1/5 0", "2/5 0" }, seen)
      assert.equal("2 ok, 0 failed, 0 skipped, 0 uncertain, 3 pending", counts(report))
      assert.equal("on_progress cancelled it", report.stopped)
      assert.equal(2, report:exit_code())
    end)

    it("marks what was sent again long after it was first meant", function()
      local now = os.time()
      local report = revoke { user_id = member.id, first_intent = now - 601,
        clusters = { sim.clusters[1].id } }
      assert.is_true(report.ok[1].may_have_cut_newer)
      assert.is_true(noted(report, "may have cut newer certificates"))
      report = revoke { user_id = member.id, first_intent = now - 500,
        clusters = { sim.clusters[1].id } }
      assert.is_nil(report.ok[1].may_have_cut_newer)
    end)

    it("marks one whose retries took that long", function()
      local time = os.time()
      client = client_of(simulator.admin, { clock = function() return time end })
      client.sleep = function() time = time + 601 end
      sim:fault { operation = "revoke_cert", status = 503, times = 1 }
      local report = revoke { user_id = member.id, clusters = { sim.clusters[1].id } }
      assert.is_true(report.ok[1].may_have_cut_newer)
    end)

    it("goes on where CTS may not be asked, and says so", function()
      sim:deny(simulator.admin.principal.id, "cts:trace:list")
      local report = revoke { user_id = member.id }
      assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
      assert.is_true(noted(report, "CTS was not asked who obtained certificates again"))
    end)

    it("names what was obtained after an earlier revocation", function()
      obtain(1)
      local report = revoke { user_id = member.id, clusters = { sim.clusters[1].id } }
      assert.is_nil(report.ok[1].cut_again)
      cce.sleep(0.01)
      obtain(1)
      report = revoke { user_id = member.id, clusters = { sim.clusters[1].id } }
      assert.is_true(report.ok[1].cut_again.obtained > report.ok[1].cut_again.revoked)
      assert.is_true(noted(report, "had obtained a certificate at .* cuts it, too"))
      -- One that is refused cuts nothing.
      cce.sleep(0.01)
      obtain(1)
      sim:fault { operation = "revoke_cert", status = 403 }
      report = revoke { user_id = member.id, clusters = { sim.clusters[1].id } }
      assert.is_nil(report.pending[1].cut_again)
      assert.is_false((noted(report, "cuts it, too")))
    end)
  end)

  describe("deleted_since", function()
    local function leave(id, ago, kind)
      sim:put_principal { kind = kind or "user", id = id, name = "name of " .. id }
      sim:delete_principal { kind = kind or "user", id = id, ago = ago }
    end

    it("revokes whoever left, and says where it searched", function()
      leave("left-1", 100)
      leave("left-2", 50, "agency")
      leave("left-before", 2 * DAY)
      local report = revoke { deleted_since = os.time() - DAY }
      assert.equal("10 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
      local cluster = sim:state().clusters[5]
      assert.is_truthy(cluster.revoked_users["left-1"])
      assert.is_truthy(cluster.revoked_agencies["left-2"])
      assert.is_nil(cluster.revoked_users["left-before"])
      assert.is_true(report.window.complete)
      assert.is_true(noted(report, "searched for deletions from 2"))
      assert.equal("no", report.principals[1].can_obtain_again)
      assert.matches("users and agencies deleted in that time: 2", tostring(report), 1, true)
    end)

    it("revokes those alone who were looked at, and names who left since", function()
      leave("left-1", 100)
      local since = os.time() - DAY
      local plan = revoke { deleted_since = since, dry_run = true }
      leave("left-2", 50)
      local report = revoke { deleted_since = since, principals = plan.principals }
      assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
      assert.is_nil(sim:state().clusters[5].revoked_users["left-2"])
      assert.is_true(noted(report, "left%-2.* was found only now, and is left out: run it again"))
      assert.is_false(noted(report, "left%-1.* was found only now"))
      assert.equal(1, report:exit_code())
      local err = clients.fails("INVALID_ARGUMENT", try { user_id = "u", principals = {} })
      assert.matches("user_id and principals are given", err.message, 1, true)
      clients.fails("INVALID_ARGUMENT", try { deleted_since = since, principals = { "left-1" } })
    end)

    it("is an error beyond what CTS keeps, unless partial", function()
      leave("left-1", 3 * DAY)
      local since = os.time() - 20 * DAY
      local err = clients.fails("INVALID_ARGUMENT", try { deleted_since = since })
      assert.matches("partial=true", err.hint, 1, true)
      local report = revoke { deleted_since = since, partial = true }
      assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
      assert.is_false(report.window.complete)
      assert.equal(since, report.window.asked_from)
      assert.is_true(noted(report, "NOT from"))
    end)

    it("is refused when any of them is who makes the call", function()
      leave("left-1", 100)
      local find = client.deleted_principals
      function client.deleted_principals(...)
        local found = assert(find(...))
        found[#found + 1] = { kind = "user", id = simulator.admin.principal.id, time = os.time() }
        return found
      end
      local err = clients.fails("INVALID_ARGUMENT", try { deleted_since = os.time() - DAY })
      assert.matches("it would cut its own access", err.message, 1, true)
      assert.equal(0, sent())
    end)

    it("does nothing when nobody left", function()
      local report = revoke { deleted_since = os.time() - 60 }
      assert.equal(0, report:counts().total)
      assert.equal(0, report:exit_code())
      assert.equal(0, sent())
    end)
  end)

  describe("the caller's own", function()
    it("is refused unless allow_self", function()
      local mine = client_of(simulator.member)
      local err = clients.fails("INVALID_ARGUMENT", try({ user_id = member.id }, mine))
      assert.matches("allow_self=true", err.hint, 1, true)
      -- Whichever of several clients it is.
      clients.fails("INVALID_ARGUMENT", try({ user_id = member.id }, { client, mine }))
      assert.equal(0, sent())
      local report = revoke({ user_id = member.id, allow_self = true }, mine)
      assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
    end)

    it("is known of an agency, too", function()
      clients.fails("INVALID_ARGUMENT",
        try({ agency_id = agency.id }, client_of(simulator.agency)))
    end)

    it("is learnt of IAM where there is no STS", function()
      sim:deny(member.id, "sts::getCallerIdentity")
      clients.fails("INVALID_ARGUMENT",
        try({ user_id = member.id }, client_of(simulator.member)))
    end)

    it("is said to be not known", function()
      sim:deny(simulator.admin.principal.id, "sts::getCallerIdentity",
        "iam:credentials:getCredential")
      local report = revoke { user_id = member.id, dry_run = true }
      assert.is_true(noted(report, "it is not known who these credentials are"))
    end)

    it("is all that a member may revoke", function()
      local report = revoke({ user_id = "somebody-else", clusters = { sim.clusters[1].id } },
        client_of(simulator.member))
      assert.equal("PERMISSION_DENIED", report.pending[1].code)
      assert.matches("only their own", report.pending[1].hint, 1, true)
    end)
  end)

  describe("verify", function()
    it("is content when it worked before and is refused after", function()
      local report = revoke { kubeconfig = obtain(2), clusters = { sim.clusters[2].id },
        verify = true }
      assert.equal("1 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
      assert.equal("yes", report.ok[1].verified)
      local seen = sim:log { service = "kubernetes", cluster = sim.clusters[2].id }
      assert.equal(200, seen[1].status)
      assert.equal(401, seen[#seen].status)
    end)

    it("fails when it still works", function()
      sim:fault { operation = "revoke_cert", status = 200, body = "" }
      local report = revoke { kubeconfig = obtain(1), clusters = { sim.clusters[1].id },
        verify = true }
      assert.equal("0 ok, 1 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
      assert.equal("NOT_REVOKED", report.failed[1].code)
      assert.equal("no", report.failed[1].verified)
      local slept = 0
      for _, seconds in ipairs(client.slept) do slept = slept + seconds end
      assert.is_true(slept >= 30 and slept < 32)
    end)

    it("is a column of its own: what was accepted is ok, and only one was proved", function()
      local stale, other = obtain(1), obtain(2)
      sim:revoke(sim.clusters[1], { userId = member.id })
      local report = revoke { user_id = member.id, verify = { [sim.clusters[1].id] = stale,
        ["cluster-002"] = other, [sim.clusters[3].id] = obtain(3, simulator.admin) } }
      assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
      assert.equal(0, report:exit_code())
      local verified, reasons = {}, {}
      for i, item in ipairs(report.ok) do
        verified[i], reasons[i] = item.verified, item.message
      end
      assert.same({ "no kubeconfig", "yes", "no kubeconfig", "no kubeconfig", "no kubeconfig" },
        verified)
      assert.is_true(noted(report, "^verified: 1 yes, 4 no kubeconfig$"))
      assert.is_false((noted(report, "not of the CA")))
      assert.matches("did not work before, either: HTTP 401", reasons[1], 1, true)
      assert.matches("the kubeconfig is that of", reasons[3], 1, true)
      assert.matches("there is no kubeconfig", reasons[4], 1, true)
    end)

    it("finds the kubeconfigs of a list by their servers", function()
      local dir = tempdir.new()
      for i = 1, 2 do
        assert(obtain(i):save(dir .. "/fleet", { merge = i > 1, name = "cluster" .. i }))
      end
      -- A context that leads nowhere is no reason to stop.
      local config = cjson.decode(obtain(3).raw)
      table.insert(config.contexts, 1, { name = "nowhere", context = { user = "user" } })
      tempdir.write(dir .. "/third", cjson.encode(config))
      local report = revoke { user_id = member.id, verify = { dir .. "/fleet", dir .. "/third" } }
      local proved = 0
      for _, item in ipairs(report.ok) do
        proved = proved + (item.verified == "yes" and 1 or 0)
      end
      assert.equal(3, proved)
      tempdir.remove(dir)
    end)

    -- A kubeconfig of the member for a server that answers as told: the first time, and then.
    local function verify_against(first, later)
      local tls = server.identity()
      local s = server.start(function(connection)
        connection:request()
        local answered = io.open(connection.data.mark)
        if not answered then
          io.open(connection.data.mark, "w"):close()
        else
          answered:close()
        end
        local status = answered and connection.data.later or connection.data.first
        if status ~= "nothing" then connection:answer(status, "{}") end
        connection:close()
      end, { tls = tls.pair(), data = { first = first, later = later, mark = tls.dir .. "/mark" } })
      local config = cjson.decode(obtain(1).raw)
      local to = config.clusters[1].cluster
      to.server = s.url
      to["certificate-authority-data"] = mime.b64(simulator.read(tls.ca_file))
      local kubeconfig = assert(cce.kubeconfig.parse(cjson.encode(config)))
      local report = revoke { user_id = member.id, clusters = { sim.clusters[1].id },
        verify = { [sim.clusters[1].id] = kubeconfig } }
      server.stop_all()
      tls.remove()
      return report
    end

    it("takes 403 for a certificate that is known", function()
      local report = verify_against("403 Forbidden", "401 Unauthorized")
      assert.equal("yes", report.ok[1].verified)
      report = verify_against("200 OK", "403 Forbidden")
      assert.equal("NOT_REVOKED", report.failed[1].code)
    end)

    it("takes nothing else for an answer", function()
      for _, later in ipairs { "500 Internal Server Error", "404 Not Found", "nothing" } do
        local report = verify_against("200 OK", later)
        assert.equal("0 ok, 0 failed, 0 skipped, 1 uncertain, 0 pending", counts(report))
        assert.equal("no answer", report.uncertain[1].verified)
        assert.equal(2, report:exit_code())
        assert.equal("UNVERIFIED", report.uncertain[1].code)
      end
      assert.equal("no answer", verify_against("500 Oops", "401 Unauthorized")
        .uncertain[1].verified)
    end)

    it("fails when it works after, whatever it was before", function()
      assert.equal("NOT_REVOKED", verify_against("500 Oops", "200 OK").failed[1].code)
    end)

    it("proves nothing by a certificate that has expired meanwhile", function()
      local kubeconfig, ahead = obtain(1), 0
      local waiting = client_of(simulator.admin, {
        clock = function() return core.sys.time() + ahead end })
      local send = waiting.revoke_cert
      function waiting.revoke_cert(...)
        local ok, message, err = send(...)
        ahead = kubeconfig:certificate().not_after - core.sys.time()
        return ok, message, err
      end
      local report = revoke({ kubeconfig = kubeconfig, clusters = { sim.clusters[1].id },
        verify = true }, waiting)
      assert.equal("0 ok, 0 failed, 0 skipped, 1 uncertain, 0 pending", counts(report))
      assert.matches("has expired meanwhile", report.uncertain[1].message, 1, true)
    end)

    it("settles a request whose answer was lost", function()
      sim:fault { operation = "revoke_cert", reset = "after" }
      local report = revoke { kubeconfig = obtain(1), clusters = { sim.clusters[1].id },
        verify = true }
      assert.equal("1 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
    end)
  end)

  describe("dry run", function()
    it("prints the plan and sends nothing", function()
      sim:set { cluster = sim.clusters[1].id, phase = "Upgrading" }
      local report = revoke { user_id = member.id, dry_run = true }
      assert.equal(4, #report.plan)
      assert.equal(1, #report.pending)
      assert.equal(("revoke user %s (member) in cluster-002 %s (v1.29, Available), project %s")
        :format(member.id, sim.clusters[2].id, sim.project_id), report.plan[1])
      assert.matches("dry run, nothing was sent", tostring(report), 1, true)
      assert.equal(0, sent())
    end)

    it("says what will be verified", function()
      local report = revoke { kubeconfig = obtain(2), verify = true, dry_run = true }
      local verified = 0
      for _, line in ipairs(report.plan) do
        verified = verified + (line:match ", then verify$" and 1 or 0)
      end
      assert.equal(1, verified)
      assert.matches("without verification: there is no kubeconfig", report.plan[1], 1, true)
      local steps = report.steps[1]
      assert.same({ "VERIFICATION", "prose", "there is no kubeconfig for this cluster",
        "asked before and after" }, { steps.titles[5], steps.kinds[5], steps[1][5], steps[2][5] })
    end)
  end)

  it("sends ten a minute by default", function()
    sim:put_principal { kind = "user", id = "left-1", name = "one" }
    sim:put_principal { kind = "user", id = "left-2", name = "two" }
    sim:put_principal { kind = "user", id = "left-3", name = "three" }
    for i = 1, 3 do sim:delete_principal { kind = "user", id = "left-" .. i } end
    local report = assert(cce.workflow.revoke(client, { clusters = { name = "*" },
      deleted_since = os.time() - 60, concurrency = 1 }))
    assert.equal("15 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
    assert.equal(5, #client.slept)
    assert.is_true(client.slept[1] > 50)
  end)

  it("takes clients of several projects, each cluster once", function()
    local report = revoke({ user_id = member.id }, { client, client_of(simulator.admin) })
    assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
  end)
end)
