-- Out means out: kubectl judges what a leaver may do, and what others still may.
local cce = require "cce"
local cjson = require "cjson"
local clients = require "spec.support.clients"
local core = require "cce.core"
local directories = require "cce.base.directories"
local pace = require "cce.workflow.pace"
local runs = require "cce.workflow.runs"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"
local user_state = require "cce.base.user_state"

if not simulator.has_program "kubectl" then
  describe("cce.workflow.revoke with remove", function() pending "needs kubectl" end)
  return
end

local leaver = simulator.member.principal.id
local GROUP = "rbac.authorization.k8s.io"

describe("cce.workflow.revoke with remove", function()
  local sim, dir, client, admin, endpoints

  setup(function() sim = simulator.get() end)

  before_each(function()
    sim:reset()
    dir = tempdir.new()
    endpoints = { cce = sim.env.CCE_ENDPOINT, iam = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT,
      cts = sim.env.CCE_CTS_ENDPOINT, sts = sim.env.HUAWEICLOUD_SDK_STS_ENDPOINT }
    client = clients.new(sim, { endpoints = endpoints })
    admin = {}
    for i, cluster in ipairs(sim.clusters) do
      admin[cluster.id] = dir .. "/admin-" .. i
      assert(assert(client:obtain_cert(cluster.id, { duration = 1 })):save(admin[cluster.id]))
    end
  end)

  after_each(function()
    client:close()
    tempdir.remove(dir)
  end)

  local function try(config, arguments)
    local _, code, output = simulator.run_shell(
      ("HOME=%s exec kubectl --kubeconfig %s %s"):format(dir, config, arguments))
    return code == 0, output
  end

  local function kubectl(i, arguments)
    local ok, output = try(dir .. "/admin-" .. i, arguments)
    assert.is_true(ok, output)
    return output
  end

  local function user(name) return { kind = "User", apiGroup = GROUP, name = name } end

  local function binding(namespace, name, role, subjects)
    local kind = namespace and "RoleBinding" or "ClusterRoleBinding"
    return { apiVersion = GROUP .. "/v1", kind = kind,
      metadata = { name = name, namespace = namespace, labels = { team = "a" },
        annotations = { ["example.com/why"] = "because\n\"quoted\"" } },
      roleRef = { apiGroup = GROUP, kind = "ClusterRole", name = role }, subjects = subjects }
  end

  local function seed(i, list)
    simulator.write(dir .. "/seed", cjson.encode { apiVersion = "v1", kind = "List", items = list })
    kubectl(i, "create --validate=false -f " .. dir .. "/seed")
  end

  -- Of all bindings what may not change, in one text.
  local function bindings_of(i)
    local parts = {}
    local list = cjson.decode(kubectl(i, "get -A -o json clusterrolebindings,rolebindings"))
    for k, each in ipairs(list.items) do
      local subjects = {}
      for j, subject in ipairs(each.subjects or {}) do
        subjects[j] = ("%s:%s:%s"):format(subject.kind, subject.namespace or "", subject.name)
      end
      local meta = each.metadata
      parts[k] = ("%s %s/%s %s %s %s [%s]"):format(each.kind, meta.namespace or "",
        meta.name, each.roleRef.kind .. "=" .. each.roleRef.name, (meta.labels or {}).team or "",
        (meta.annotations or {})["example.com/why"] or "", table.concat(subjects, " "))
    end
    return table.concat(parts, "\n")
  end

  local function revoke(more)
    local options = { clusters = { name = "*" }, user_id = leaver, rate_limit = false,
      remove = true, admin = admin, undo = dir .. "/undo.json" }
    for name, value in pairs(more or {}) do options[name] = value or nil end
    return assert(cce.workflow.revoke(client, options))
  end

  local function restore(more)
    local options = { undo = dir .. "/undo.json", admin = admin, rate_limit = false }
    for name, value in pairs(more or {}) do options[name] = value end
    return assert(cce.workflow.restore(client, options))
  end

  local function first(more)
    local options = { clusters = { sim.clusters[1].id } }
    for name, value in pairs(more or {}) do options[name] = value end
    return options
  end

  local function obtained()
    local of_leaver = clients.new(sim, { key = simulator.member })
    assert(assert(of_leaver:obtain_cert(sim.clusters[1].id, { duration = 1 })):save(dir .. "/his"))
    of_leaver:close()
    return dir .. "/his"
  end

  local function policy(name, more)
    local body = { kind = "AccessPolicy", apiVersion = "v3", name = name, clusters = { "*" },
      accessScope = { namespaces = { "*" } }, policyType = "CCEViewPolicy",
      principal = { type = "user", ids = { "alice", leaver, "bob" } } }
    for key, value in pairs(more or {}) do body[key] = value end
    local made = sim:curl { method = "POST", path = "/api/v3/access-policies",
      body = cjson.encode(body) }
    return "/api/v3/access-policies/" .. made.json.policyId
  end

  local function ids_of(path)
    return table.concat(sim:curl({ method = "GET", path = path }).json.principal.ids, " ")
  end

  it("leaves him nothing, others everything, and is undone to the letter", function()
    seed(1, {
      binding("dev", "devs", "edit", { user "alice", user(leaver), user "bob" }),
      binding("dev", "his", "admin", { user(leaver) }),
      binding("prod", "others", "view", { user "alice", { kind = "ServiceAccount",
        name = leaver, namespace = "prod" } }),
      binding(nil, "ops", "cluster-admin", { user(leaver), user "carol", user "dave" }),
    })
    local before, elsewhere = bindings_of(1), bindings_of(2)
    local old = obtained()
    assert.is_true(try(old, "get pods -n dev"))
    assert.is_true(try(old, "get clusterrolebindings"))

    local report = revoke()
    assert.equal(0, report:exit_code(), tostring(report))
    assert.equal("removed", report.ok[1].rights)
    assert.equal("ClusterRoleBinding ops; ClusterRoleBinding sim-readers; RoleBinding dev/devs;"
      .. " RoleBinding dev/his", report.ok[1].removed)
    assert.equal("0600", core.file.stat(dir .. "/undo.json").mode)
    local _, output = try(old, "get nodes")
    assert.matches("must be logged in", output, 1, true)

    -- His rights in IAM remain: he obtains again, and may do nothing.
    local new = obtained()
    for _, what in ipairs { "get nodes", "get pods -n dev", "get pods -n prod",
      "get rolebindings -n dev", "get clusterrolebindings" } do
      local ok, said = try(new, what)
      assert.is_false(ok, what)
      assert.matches("is forbidden", said, 1, true)
    end
    local after = bindings_of(1)
    assert.equal((before:gsub(" ?User::" .. leaver, ""):gsub("%[ ", "[")), after)
    assert.matches("RoleBinding dev/his ClusterRole=admin a .-%[%]", after)

    local plan = restore { dry_run = true }.plan
    assert.equal(#sim.clusters + 3, #plan)
    assert.equal("put " .. leaver .. " back into ClusterRoleBinding ops in cluster-001", plan[1])
    assert.equal(after, bindings_of(1))
    report = restore()
    assert.equal(0, report:exit_code(), tostring(report))
    assert.equal(before, bindings_of(1))
    assert.equal(elsewhere, bindings_of(2))
    -- Twice does no harm.
    report = restore()
    assert.equal(0, report:exit_code())
    assert.matches("RoleBinding dev/devs: they are there already", report.ok[1].message, 1, true)
    assert.equal(before, bindings_of(1))
  end)

  it("shows in a dry run what would be taken, by whom, and changes nothing", function()
    seed(1, { binding("dev", "devs", "edit", { user "alice", user(leaver) }) })
    policy("here", { clusters = { sim.clusters[1].id } })
    local before = bindings_of(1)
    local report = revoke(first { dry_run = true, admin = false })
    local plan = table.concat(report.plan, "\n")
    assert.matches("take user " .. leaver .. " (member) out of AccessPolicy here (CCEViewPolicy,"
      .. " these clusters only)", plan, 1, true)
    assert.matches("take user " .. leaver .. " %(member%) out of RoleBinding dev/devs %(ClusterRole"
      .. " edit%) in cluster%-001, by a certificate of the caller for 15 minutes", plan)
    assert.matches("out of ClusterRoleBinding sim-readers (ClusterRole view)", plan, 1, true)
    assert.equal(4, #report.plan)
    assert.matches("by an administrator's kubeconfig", revoke(first { dry_run = true }).plan[3])
    assert.matches("of the caller for 15 minutes was obtained in 1 cluster", tostring(revoke {
      dry_run = true, admin = { [sim.clusters[2].id] = admin[sim.clusters[2].id] },
      clusters = { sim.clusters[1].id, sim.clusters[2].id } }):gsub("%s+", " "), 1, true)
    report = revoke(first { dry_run = true, admin = function() return "/nowhere/config" end })
    assert.is_true(report.incomplete)
    assert.matches("cluster-001: rights in the cluster are not known: cannot read"
      .. " '/nowhere/config'", tostring(report), 1, true)
    -- Of all clusters, and not of these alone; each once, whoever of the account sees it.
    for _, name in ipairs { "all", "all too" } do policy(name) end
    policy("far", { clusters = { sim.clusters[1].id, sim.clusters[2].id } })
    local other, lists = clients.new(sim, { endpoints = endpoints }), #sim:log {
      operation = "list_clusters" }
    report = assert(cce.workflow.revoke({ client, other }, { clusters = { name = "*" },
      user_id = leaver, remove = true, admin = admin, dry_run = true, rate_limit = false }))
    other:close()
    assert.equal(lists + 4, #sim:log { operation = "list_clusters" })
    assert.same({ "user member", "AccessPolicy all", "CCEViewPolicy", "all" }, report.steps[2][2])
    assert.same({ "user member", "AccessPolicy here", "CCEViewPolicy", "these" },
      report.steps[2][1])
    assert.equal(#sim.clusters + 1 + 4, #report.steps[2])
    assert.matches("AccessPolicy all (CCEViewPolicy, all clusters of the account)",
      table.concat(report.plan, "\n"), 1, true)
    assert.matches("cluster-001: user " .. leaver .. " (member) keeps rights by AccessPolicy all"
      .. " (also of other clusters); AccessPolicy all too (also of other clusters); AccessPolicy"
      .. " far (also of other clusters), which is not touched",
      tostring(revoke(first { dry_run = true })):gsub("%s+", " "), 1, true)
    assert.equal(before, bindings_of(1))
    assert.is_false(core.file.stat(dir .. "/undo.json"))
    assert.equal(0, #sim:log { service = "kubernetes", method = "PATCH" })
    assert.equal(0, #sim:log { operation = "revoke_cert" })
  end)

  it("works with a certificate of the caller, one kubeconfig, or a function", function()
    for i, each in ipairs { false, admin[sim.clusters[1].id],
      cce.kubeconfig.load(admin[sim.clusters[1].id]),
      function(cluster) return admin[cluster.id] end } do
      kubectl(1, "get clusterrolebinding sim-readers")
      local report = revoke(first { admin = each, undo = ("%s/undo-%d"):format(dir, i) })
      assert.equal(0, report:exit_code(), tostring(report))
      assert.equal("removed", report.ok[1].rights)
      assert.equal(0, restore { undo = report.undo }:exit_code())
    end
    local own = sim:log { operation = "obtain_cert" }
    assert.equal(#sim.clusters + 1, #own)
    assert.matches('"expire_at":"', own[#own].body, 1, true)
  end)

  it("is in the audit log, before and after each change", function()
    local here = policy("here", { clusters = { sim.clusters[1].id } })
    local log = dir .. "/audit.log"
    local logged = clients.new(sim, { endpoints = endpoints, audit_log = log })
    assert(cce.workflow.revoke(logged, { clusters = { sim.clusters[1].id }, user_id = leaver,
      remove = true, undo = dir .. "/undo.json", rate_limit = false }))
    logged:close()
    local lines = {}
    for line in io.lines(log) do
      local entry = cjson.decode(line)
      lines[#lines + 1] = ("%s %s: %s"):format(entry.operation, entry.target, entry.outcome)
    end
    local cluster = "cluster " .. sim.clusters[1].id
    assert.same({
      "revoke_cert " .. cluster .. ": pending", "revoke_cert " .. cluster .. ": ok",
      "obtain_cert " .. cluster .. ": pending", "obtain_cert " .. cluster .. ": ok",
      "put_access_policy AccessPolicy here: pending", "put_access_policy AccessPolicy here: ok",
      "patch_clusterrolebinding ClusterRoleBinding sim-readers of " .. cluster .. ": pending",
      "patch_clusterrolebinding ClusterRoleBinding sim-readers of " .. cluster .. ": ok" }, lines)
    assert.equal(8, assert(cce.audit_log.verify(log)).count)
    local ended = cjson.decode(tempdir.read(log):match "([^\n]+)\n$")
    assert.same({ sim.project_id, 1 }, { ended.project, ended.attempts })
    assert.equal("alice bob", ids_of(here))
    -- What may have been made is not said to have failed.
    for i, fault in ipairs { { reset = "after", times = 1 }, { status = 503, times = 3 } } do
      seed(1, { binding("dev", "devs-" .. i, "edit", { user(leaver) }) })
      fault.service, fault.method = "kubernetes", "PATCH"
      sim:fault(fault)
      logged = clients.new(sim, { endpoints = endpoints, audit_log = log })
      assert(cce.workflow.revoke(logged, { clusters = { sim.clusters[1].id }, user_id = leaver,
        remove = true, undo = dir .. "/undo-" .. i, rate_limit = false }))
      logged:close()
      local last = cjson.decode(tempdir.read(log):match "([^\n]+)\n$")
      assert.same({ "patch_rolebinding", "unknown" }, { last.operation, last.outcome })
    end
  end)

  it("loses no edit that somebody else makes in the same moment", function()
    seed(1, { binding("dev", "devs", "edit", { user "alice", user(leaver), user "bob" }) })
    for _, act in ipairs { revoke, restore } do
      sim:fault { service = "kubernetes", method = "PATCH", hold = "before", times = 1 }
      local changed = false
      local ends = core.sys.monotonic() + 120
      local results = cce.map({ 1, 2 }, function(which)
        if which == 1 then return act == revoke and act(first()) or act() end
        repeat cce.sleep(0.01) until #sim:held() > 0 or core.sys.monotonic() > ends
        kubectl(1, "label rolebinding devs -n dev --overwrite moment=" .. tostring(act == revoke))
        kubectl(1, "label clusterrolebinding sim-readers --overwrite moment=x"
          .. tostring(act == revoke))
        changed = true
        sim:release()
        return true
      end, { concurrency = 2 })
      assert.is_true(changed and results[1].ok, results[1].message)
      assert.equal(0, results[1].value:exit_code(), tostring(results[1].value))
      assert.equal(tostring(act == revoke), kubectl(1,
        "get rolebinding devs -n dev -o jsonpath='{.metadata.labels.moment}'"))
    end
    assert.is_true(#sim:log { service = "kubernetes", method = "PATCH", status = 409 } > 0)
    assert.matches("[User::alice User::" .. leaver .. " User::bob]", bindings_of(1), 1, true)
  end)

  it("takes him out of what he was bound to meanwhile, and can put him back", function()
    sim:fault { service = "kubernetes", method = "PATCH", hold = "before", times = 1 }
    local ends = core.sys.monotonic() + 10
    local results = cce.map({ 1, 2 }, function(which)
      if which == 1 then return revoke(first()) end
      repeat cce.sleep(0.01) until #sim:held() > 0 or core.sys.monotonic() > ends
      seed(1, { binding("dev", "late", "edit", { user "alice", user(leaver) }) })
      sim:release()
      return true
    end, { concurrency = 2 })
    assert.is_true(results[2].ok, results[2].message)
    local report = results[1].value
    assert.equal(0, report:exit_code(), tostring(report))
    assert.equal("ClusterRoleBinding sim-readers; RoleBinding dev/late", report.ok[1].removed)
    assert.is_nil(bindings_of(1):find(leaver, 1, true))
    assert.equal(0, restore():exit_code())
    assert.matches("dev/late .-%[User::alice User::" .. leaver, bindings_of(1))
  end)

  it("says of each in each cluster what is theirs", function()
    local one, two, three = sim.clusters[1].id, sim.clusters[2].id, sim.clusters[3].id
    policy("here", { clusters = { two } })
    policy("far", { clusters = { two, sim.clusters[4].id } })
    policy("grouped", { clusters = { two }, principal = { type = "group", ids = { "g" } } })
    sim:fault { service = "kubernetes", cluster = one, method = "PATCH", status = 403 }
    sim:fault { operation = "put_access_policy", status = 500 }
    local report = revoke { clusters = { one, two, three }, user_id = false, unknown_ok = true,
      principals = { { kind = "user", id = leaver }, { kind = "user", id = "a1" } } }
    local found = {}
    for _, state in ipairs { "ok", "pending" } do
      for _, item in ipairs(report[state]) do
        local key = item.name:sub(-1) .. " " .. item.principal_id
        local grouped = (item.perhaps or ""):match "AccessPolicy grouped"
        found[key] = table.concat({ state, item.left or "-", grouped or "-" }, ", ")
      end
    end
    assert.same({ ["1 a1"] = "ok, -, -", ["2 a1"] = "ok, -, AccessPolicy grouped",
      ["3 a1"] = "ok, -, -", ["1 " .. leaver] = "pending, -, -", ["3 " .. leaver] = "ok, -, -",
      ["2 " .. leaver] = "pending, AccessPolicy far (also of other clusters), AccessPolicy grouped",
    }, found)
  end)

  it("names what groups give, by his certificate, and does not call that done", function()
    seed(1, {
      binding("dev", "grouped", "edit", { { kind = "Group", apiGroup = GROUP,
        name = "cce:restricted" } }),
      binding("dev", "other", "edit", { { kind = "Group", apiGroup = GROUP, name = "sales" },
        { kind = "Group", apiGroup = GROUP, name = "sales" } }),
      binding("dev", "own", "edit", { { kind = "Group", apiGroup = GROUP, name = "system:x" } }),
    })
    policy("of nobody", { principal = { type = "group", ids = {} } })
    local report = revoke(first { kubeconfig = obtained(), user_id = false })
    assert.equal("RoleBinding dev/grouped (group cce:restricted)", report.ok[1].left)
    assert.is_nil(report.ok[1].perhaps)
    assert.equal(1, report:exit_code())
    assert.matches("keeps rights by RoleBinding dev/grouped", tostring(report), 1, true)
    -- Without one it is not known in which he is.
    report = revoke(first { undo = dir .. "/second" })
    assert.is_nil(report.ok[1].left)
    assert.equal("RoleBinding dev/grouped (group cce:restricted); RoleBinding dev/other (group"
      .. " sales)", report.ok[1].perhaps)
    assert.equal("none", report.ok[1].rights)
    assert.matches("may have rights by", tostring(report), 1, true)
    assert.not_matches("more right", tostring(report))
    -- Of what Kubernetes itself binds, that alone is passed over which everybody has.
    assert.matches("keeps rights by ClusterRoleBinding cluster-admin (group system:masters), which",
      tostring(revoke(first { kubeconfig = admin[sim.clusters[1].id], user_id = false,
        allow_self = true, dry_run = true, undo = false })):gsub("%s+", " "), 1, true)
    -- Twenty are named one by one.
    local list = {}
    for i = 1, 21 do list[i] = { kind = "user", id = "a" .. i } end
    local text = tostring(revoke(first { principals = list, user_id = false, dry_run = true,
      undo = false }))
    assert.equal(20, select(2, text:gsub("may have rights by", "")))
    assert.matches("and 1 more right by groups", text, 1, true)
    assert.matches("[Group::cce:restricted]", bindings_of(1), 1, true)
    -- But in the one of all who are known everybody is.
    seed(1, { binding("dev", "everyone", "edit", { { kind = "Group", apiGroup = GROUP,
      name = "system:authenticated" } }) })
    -- Which is no success, unless he can obtain no certificate any more.
    for code, enabled in pairs { [0] = false, [1] = true } do
      sim:put_principal { kind = "user", id = leaver, enabled = enabled }
      report = revoke(first { undo = ("%s/%d"):format(dir, code) })
      assert.equal("RoleBinding dev/everyone (group system:authenticated)", report.ok[1].left)
      assert.equal(code, report:exit_code())
      -- It is said once, as a shortfall or as a note.
      assert.equal(1, select(2, tostring(report):gsub("keeps rights by", "")))
    end
  end)

  it("takes him out of AccessPolicies that reach no other cluster, and puts him back", function()
    local all = policy "all"
    local here = policy("here", { clusters = { sim.clusters[1].id } })
    local alone = policy("alone", { clusters = { sim.clusters[1].id },
      principal = { type = "user", ids = { leaver } } })
    local agency = policy("agency", { principal = { type = "agency", ids = { leaver } } })
    local report = revoke(first())
    assert.equal("alice bob", ids_of(here))
    -- Sent back as it was read, but what the service itself sets.
    assert.same({ kind = "AccessPolicy", apiVersion = "v3", name = "here",
      clusters = { sim.clusters[1].id }, accessScope = { namespaces = { "*" } },
      policyType = "CCEViewPolicy", principal = { type = "user", ids = { "alice", "bob" } } },
      cjson.decode(sim:log({ operation = "put_access_policy" })[1].body))
    assert.equal("", ids_of(alone))
    assert.equal("AccessPolicy here; AccessPolicy alone; ClusterRoleBinding sim-readers",
      report.ok[1].removed)
    assert.equal("alice " .. leaver .. " bob", ids_of(all))
    assert.equal("AccessPolicy all (also of other clusters)", report.ok[1].left)
    assert.equal(1, report:exit_code())
    local new = obtained()
    assert.is_true(try(new, "get nodes"))

    report = revoke { undo = dir .. "/second" }
    assert.equal(0, report:exit_code(), tostring(report))
    assert.equal("AccessPolicy all", report.ok[1].removed)
    assert.equal("AccessPolicy all; ClusterRoleBinding sim-readers", report.ok[2].removed)
    assert.equal("alice bob", ids_of(all))
    assert.equal(leaver, ids_of(agency))
    assert.is_false(try(obtained(), "get nodes"))

    for _ = 1, 2 do assert.equal(0, restore { undo = dir .. "/second" }:exit_code()) end
    assert.equal(0, restore():exit_code())
    for _, path in ipairs { all, here } do
      assert.equal("alice " .. leaver .. " bob", ids_of(path))
    end
    assert.equal(leaver, ids_of(alone))

    -- Where it is not known which clusters there are, all are more than the chosen ones.
    sim:deny(simulator.admin.principal.id, "cce:cluster:list")
    revoke(first { undo = dir .. "/third" })
    assert.equal("alice " .. leaver .. " bob", ids_of(all))
    assert.equal("alice bob", ids_of(here))
  end)

  it("takes nothing once it was stopped, and goes on with it", function()
    local before, more = bindings_of(1), { journal = dir .. "/journal",
      on_progress = function() return false end }
    more.clusters, more.concurrency = { sim.clusters[1].id, sim.clusters[2].id }, 1
    -- At the second start there is nothing left to cut.
    for start = 1, 2 do
      local report = revoke(more)
      assert.equal(2, report:exit_code(), tostring(report))
      assert.equal(start, #sim:log { operation = "revoke_cert" })
      assert.equal("its rights in the cluster are still to be taken", report.pending[1].message)
    end
    assert.equal(before, bindings_of(1))
    more.on_progress = nil
    assert.equal("removed", revoke(more).ok[1].rights)
    assert.equal(2, #sim:log { operation = "revoke_cert" })
  end)

  it("says what is not known, and goes on with it and with no more", function()
    seed(2, { binding("dev", "devs", "edit", { user "alice", user(leaver), user "bob" }) })
    local before = bindings_of(2)
    sim:fault { service = "kubernetes", cluster = sim.clusters[1].id, method = "GET",
      reset = "before" }
    sim:fault { service = "kubernetes", cluster = sim.clusters[2].id, method = "PATCH",
      reset = "after" }
    local more = { journal = dir .. "/journal" }
    local report = revoke(more)
    assert.equal(2, report:exit_code())
    -- That the second was done though its answer was lost is seen in the cluster.
    assert.equal("4 1", #report.ok .. " " .. #report.pending, tostring(report))
    assert.matches("rights in the cluster are not known", report.pending[1].message, 1, true)
    assert.equal("removed", report.ok[1].rights)
    local sent, others = #sim:log { operation = "revoke_cert" }, { service = "kubernetes",
      cluster = sim.clusters[2].id }
    local asked = #sim:log(others)
    assert.equal(0, #sim:log { operation = "show_cluster" })
    sim:clear_faults()
    -- What a journal does not tell may be kept from us.
    sim:fault { operation = "show_cluster", status = 403 }
    report = revoke(more)
    assert.equal(0, report:exit_code(), tostring(report))
    assert.equal(sent, #sim:log { operation = "revoke_cert" })
    assert.equal(asked, #sim:log(others))
    assert.equal("removed", report.ok[1].rights)
    assert.equal(3, revoke(more):exit_code())
    -- The one file has what both starts took.
    assert.equal(0, restore():exit_code())
    assert.equal(before, bindings_of(2))
    assert.matches("sim%-readers [^\n]*" .. leaver, bindings_of(1))
  end)

  it("leaves what is to be taken to its run, when another only cuts", function()
    local id = sim.clusters[1].id
    sim:fault { service = "kubernetes", cluster = id, status = 403 }
    sim:fault { operation = "revoke_cert", cluster = id, status = 403 }
    local more = { journal = dir .. "/journal", run = "out" }
    assert.equal(1, #revoke(first(more)).pending)
    sim:clear_faults()
    assert.equal(0, revoke(first { journal = more.journal, run = "cut", remove = false,
      admin = false, undo = false }):exit_code())
    assert.matches("sim%-readers [^\n]*" .. leaver, bindings_of(1))
    local report = revoke(first(more))
    assert.equal("removed", report.ok[1] and report.ok[1].rights, tostring(report))
    assert.is_nil(bindings_of(1):find(leaver, 1, true))
    -- One that takes, too, does all of it.
    more.run = "again"
    assert.equal(0, revoke(first { journal = more.journal, run = "again", undo = dir .. "/2" })
      :exit_code())
  end)

  it("takes nothing where another run has taken it over, nor where it was given up", function()
    local one, two, journal = sim.clusters[1].id, sim.clusters[2].id, dir .. "/journal"
    for _, id in ipairs { one, two } do
      sim:fault { service = "kubernetes", cluster = id, status = 403 }
      sim:fault { operation = "revoke_cert", cluster = id, status = 403 }
    end
    local both = { clusters = { one, two }, journal = journal, run = "both" }
    assert.equal(2, #revoke(both).pending)
    sim:clear_faults()
    assert.equal(0, revoke(first { journal = journal, run = "one", undo = dir .. "/2" })
      :exit_code())
    assert.equal(0, restore { undo = dir .. "/2" }:exit_code())
    local report = revoke(both)
    assert.same({ two, "removed", one }, { report.ok[1].cluster_id, report.ok[1].rights,
      report.skipped[1].cluster_id })
    assert.matches("sim%-readers [^\n]*" .. leaver, bindings_of(1))
    -- Nor when what failed beside it is sent again.
    assert.equal(0, restore():exit_code())
    both.run, both.undo = "later", dir .. "/3"
    for id, status in pairs { [one] = 403, [two] = 400 } do
      sim:fault { service = "kubernetes", cluster = id, status = 403 }
      sim:fault { operation = "revoke_cert", cluster = id, status = status }
    end
    report = revoke(both)
    assert.same({ 1, 1 }, { #report.pending, #report.failed })
    sim:clear_faults()
    assert(runs.discard(journal))
    both.retry_failed = true
    report = revoke(both)
    assert.same({ "removed", true }, { report.ok[1].rights, report.failed[1].given_up })
    assert.matches("sim%-readers [^\n]*" .. leaver, bindings_of(1))
    assert.is_nil(bindings_of(2):find(leaver, 1, true))
  end)

  it("takes nothing where the undo file cannot be written, nor where rights are lacking", function()
    local none, message = cce.workflow.revoke(client, { clusters = { name = "*" },
      user_id = leaver, remove = true, admin = admin, undo = "/nowhere/undo.json" })
    assert.is_nil(none)
    assert.matches("/nowhere", message, 1, true)
    assert.equal(0, #sim:log { operation = "revoke_cert" })
    local report = revoke(first { admin = obtained() })
    assert.equal(2, report:exit_code())
    assert.is_nil(report.undo)
    assert.equal("UNAUTHENTICATED", report.pending[1].code)
    -- The disk is lost once all was looked at.
    os.execute("mkdir " .. dir .. "/lost")
    report = revoke(first { undo = dir .. "/lost/undo.json", admin = function(cluster)
      tempdir.remove(dir .. "/lost")
      return admin[cluster.id]
    end })
    assert.equal(2, report:exit_code())
    assert.matches("revoked; nothing was taken away: cannot write", report.pending[1].message, 1,
      true)
    assert.equal(0, #sim:log { service = "kubernetes", method = "PATCH" })
    -- Also when there is room again a moment later.
    local write, has_failed = core.file.write, false
    finally(function() core.file.write = write end)
    function core.file.write(path, text, opts)
      if has_failed or opts.trial or not path:find("/once", 1, true) then
        return write(path, text, opts)
      end
      has_failed = true
      return nil, "no space left on device", "FILE_ERROR"
    end
    report = revoke(first { undo = dir .. "/once" })
    assert.matches("nothing was taken away: no space left", report.pending[1].message, 1, true)
    assert.equal(0, #sim:log { service = "kubernetes", method = "PATCH" })
    report = revoke(first { admin = function() return "/nowhere/config" end })
    assert.matches("/nowhere/config", report.pending[1].message, 1, true)
    sim:deny(simulator.admin.principal.id, "cce:accessPolicy:list")
    report = revoke(first())
    assert.equal("PERMISSION_DENIED", report.pending[1].code)
    assert.matches("AccessPolicies are not known", report.pending[1].message, 1, true)
  end)

  it("keeps what it took where the command keeps its files, unless told where", function()
    local state, place = directories.state, dir .. "/state/cce"
    finally(function() directories.state = state end)
    function directories.state() return place end
    assert.equal(0, revoke(first { undo = false, dry_run = true }):exit_code())
    -- One that is given is tried.
    clients.fails("FILE_ERROR", cce.workflow.revoke(client, { clusters = { name = "*" },
      user_id = leaver, remove = true, admin = admin, dry_run = true,
      undo = "/proc/none/undo.json" }))
    assert.is_false(core.file.stat(dir .. "/state"))
    local report = revoke(first { undo = false })
    assert.equal(place, report.undo:match "^(.+)/removed%-%w+%.json$")
    assert.equal(0, restore { undo = report.undo }:exit_code())
    report = revoke(first { undo = ("../"):rep(20) .. dir:sub(2) .. "/elsewhere" })
    assert.equal("/", report.undo:sub(1, 1))
    place = "/proc/none"
    local none, message = cce.workflow.revoke(client, first { user_id = leaver, remove = true })
    assert.is_nil(none)
    assert.matches("/proc/none", message, 1, true)
  end)

  it("puts nobody into a binding that is gone or gives another role", function()
    seed(1, { binding("dev", "gone", "edit", { user(leaver) }),
      binding("dev", "kind", "view", { user(leaver) }),
      binding("dev", "other", "view", { user(leaver) }) })
    revoke(first())
    kubectl(1, "delete rolebinding gone kind other -n dev")
    local kind = binding("dev", "kind", "view", { user "alice" })
    kind.roleRef.kind = "Role"
    seed(1, { kind, binding("dev", "other", "cluster-admin", { user "alice" }) })
    local report = restore()
    assert.equal(1, report:exit_code())
    assert.matches("gone", report.failed[1].message, 1, true)
    assert.matches("gives ClusterRole cluster-admin now, not ClusterRole view",
      report.failed[1].message, 1, true)
    assert.matches("sim%-readers [^\n]*" .. leaver, bindings_of(1))
    assert.matches("gives Role view now, not ClusterRole view", report.failed[1].message, 1, true)
    for _, name in ipairs { "kind", "other" } do
      assert.matches("dev/" .. name .. " .-%[User::alice%]", bindings_of(1))
    end
    simulator.write(dir .. "/undo.json", '{"file":"x"}')
    local none, message = cce.workflow.restore(client, { undo = dir .. "/undo.json" })
    assert.is_nil(none)
    assert.matches("is no undo file", message, 1, true)
    for name, value in pairs { undo = 1, admin = 1, concurrency = "1", rate_limit = 1, dry_run = 1,
      on_progress = 1 } do
      clients.raises("bad option '" .. name .. "'", function()
        local opts = { undo = dir .. "/undo.json" }
        opts[name] = value
        local result = cce.workflow.restore(client, opts)
        return result
      end)
    end
  end)

  it("takes many at once by principals, in one run", function()
    seed(1, { binding("dev", "devs", "edit",
      { user "a1", user "alice", user "a2", user(leaver) }) })
    local before = bindings_of(1)
    local list = {}
    for i, id in ipairs { "a1", leaver, "a2", "a3" } do list[i] = { kind = "user", id = id } end
    local report = revoke(first { user_id = false, unknown_ok = true, principals = list })
    assert.equal(4, #report.ok, tostring(report))
    assert.same({ "removed", "none" }, { report.ok[3].rights, report.ok[4].rights })
    assert.is_nil(report.ok[4].removed)
    assert.matches("rights were taken away in 3 of 4", tostring(report), 1, true)
    assert.matches("dev/devs .-%[User::alice%]", bindings_of(1))
    assert.equal(0, restore():exit_code())
    assert.equal(before, bindings_of(1))
  end)

  it("believes no list that is none", function()
    for _, body in ipairs { "{}", "", "OK", "null", '"list"', "[]",
      '{"kind":"Status","status":"Failure"}', '{"items":{}}',
      '{"kind":"ClusterRoleBindingList"}', '{"kind":"ClusterRoleBindingList","items":{"a":{}}}',
      '{"kind":"ClusterRoleBindingList","metadata":{},"items":[{"metadata":{}}]}' } do
      sim:clear_faults()
      sim:fault { service = "kubernetes", cluster = sim.clusters[1].id, method = "GET",
        status = 200, body = body, times = 1 }
      local report = revoke(first())
      assert.equal(2, report:exit_code(), body .. tostring(report))
      assert.equal("RESPONSE_INVALID", report.pending[1].code)
      assert.matches(body:find '"items":%[' and "the list has what is no binding"
        or body:find "^[{[]" and "the answer is no list" or "the answer is no JSON object",
        report.pending[1].message, 1, true)
      assert.is_nil(report.undo)
    end
  end)

  it("believes no list of AccessPolicies in which one is none", function()
    local fits = '{"policyId":"p1","principal":{"type":"user","ids":["x"]},"clusters":["*"]}'
    for what, change in pairs { ["no id"] = { '"p1"', "7" }, ["no type"] = { '"user"', "{}" },
      ["no clusters"] = { '%["%*"%]', '"*"' }, ["no principal"] = { ':%b{}', ":null" },
      ["no object"] = { "^.*$", "7" } } do
      local bad, count = fits:gsub(change[1], change[2])
      assert.equal(1, count)
      sim:clear_faults()
      sim:fault { operation = "list_access_policy", status = 200,
        body = ('{"accessPolicyList":[%s,%s]}'):format(fits, bad) }
      local report = revoke(first { undo = ("%s/%s"):format(dir, what) })
      assert.equal("RESPONSE_INVALID", report.pending[1] and report.pending[1].code, what)
      assert.matches("AccessPolicies are not known: list_access_policy: the list has what is no"
        .. " AccessPolicy", report.pending[1].message, 1, true)
    end
    sim:clear_faults()
    sim:fault { operation = "list_access_policy", status = 200,
      body = ('{"accessPolicyList":[%s]}'):format(fits) }
    assert.equal(0, revoke(first { undo = dir .. "/good" }):exit_code())
    -- One needs no name, nor a role that is known.
    sim:clear_faults()
    sim:fault { operation = "list_access_policy", status = 200,
      body = ('{"accessPolicyList":[%s]}'):format((fits:gsub('"x"', '"' .. leaver .. '"'))) }
    assert.matches("out of AccessPolicy p1 (?, all clusters of the account)",
      table.concat(revoke({ dry_run = true, undo = false }).plan, "\n"), 1, true)
  end)

  it("does not know what a function that raises would have led to", function()
    local other = sim.clusters[2].id
    -- When it is asked for a first look, or for that after something was taken away.
    for time = 1, 2 do
      seed(2, { binding("dev", "devs" .. time, "edit", { user "alice", user(leaver) }) })
      local asked = 0
      local report = revoke { undo = dir .. "/" .. time, admin = function(cluster)
        asked = asked + (cluster.id == other and 1 or 0)
        if cluster.id == other and asked == time then error("no vault", 0) end
        return admin[cluster.id]
      end }
      assert.equal(time, asked)
      assert.same({ 2, 4, 1 }, { report:exit_code(), #report.ok, #report.pending })
      assert.same({ other, "RAISED", nil }, { report.pending[1].cluster_id, report.pending[1].code,
        report.pending[1].rights })
      assert.matches("rights in the cluster are not known: no vault", report.pending[1].message, 1,
        true)
    end
  end)

  it("says why a cluster could not be looked at after something was taken away", function()
    local asked = 0
    local item = revoke(first { admin = function(cluster)
      asked = asked + 1
      return asked == 1 and admin[cluster.id] or "/nowhere/config"
    end }).pending[1]
    assert.same({ 2, "FILE_ERROR" }, { asked, item.code })
    assert.matches("rights in the cluster are not known: cannot read '/nowhere/config'",
      item.message, 1, true)
  end)

  it("reads a list to its end", function()
    -- The first page has nobody on it; the token leads to all that there is.
    sim:fault { service = "kubernetes", method = "GET", status = 200, times = 1, body =
      '{"kind":"ClusterRoleBindingList","metadata":{"continue":"IQ=="},"items":[]}' }
    assert.equal("removed", revoke(first()).ok[1].rights)
    local asked = sim:log { service = "kubernetes", method = "GET" }
    assert.matches("?limit=500", asked[1].target, 1, true)
    assert.matches("?continue=IQ%3D%3D&limit=500", asked[2].target, 1, true)
    assert.is_nil(bindings_of(1):find(leaver, 1, true))
  end)

  it("believes no answer to an edit that is not of it as it was meant", function()
    seed(1, { binding("dev", "devs", "edit", { user "alice", user(leaver) }) })
    kubectl(1, "delete clusterrolebinding sim-readers")
    local fits = { kind = "RoleBinding", metadata = { name = "devs", namespace = "dev",
      resourceVersion = "9" }, subjects = { user "alice" } }
    for what, term in pairs { kind = "ClusterRoleBinding", subjects = { user "alice", user "bob" },
      name = "others", namespace = "prod", resourceVersion = 9 } do
      local body = {}
      for name, value in pairs(fits) do body[name] = value end
      body.metadata = {}
      for name, value in pairs(fits.metadata) do body.metadata[name] = value end
      local of = fits[what] and body or body.metadata
      of[what] = term
      sim:clear_faults()
      sim:fault { service = "kubernetes", method = "PATCH", status = 200,
        body = cjson.encode(body) }
      local report = revoke(first { undo = dir .. "/" .. what })
      assert.equal("RESPONSE_INVALID", report.pending[1].code, what)
    end
    sim:clear_faults()
    sim:fault { service = "kubernetes", method = "PATCH", status = 200, body = "OK" }
    local item = revoke(first { undo = dir .. "/OK" }).pending[1]
    assert.equal("RESPONSE_INVALID", item.code)
    assert.matches("still in RoleBinding dev/devs: .*the answer is no JSON object", item.message)
    -- Nor one that is, where he is in it whenever that is looked at.
    sim:clear_faults()
    sim:fault { service = "kubernetes", method = "PATCH", status = 200, body = cjson.encode(fits) }
    local sent = #sim:log { service = "kubernetes", method = "PATCH" }
    item = revoke(first { undo = dir .. "/again" }).pending[1]
    assert.equal("CONFLICT", item.code)
    assert.matches("still in RoleBinding dev/devs: bound again meanwhile", item.message, 1, true)
    assert.equal(sent + 3, #sim:log { service = "kubernetes", method = "PATCH" })
  end)

  it("puts nobody into what is not the binding that was asked for", function()
    seed(1, { binding("dev", "devs", "edit", { user "alice", user(leaver) }) })
    kubectl(1, "delete clusterrolebinding sim-readers")
    assert.equal(0, revoke(first()):exit_code())
    for _, body in ipairs { "{}", '{"kind":"RoleBinding"}',
      '{"kind":"RoleBinding","metadata":{"name":"devs","namespace":"dev"}}' } do
      sim:fault { service = "kubernetes", method = "GET", status = 200, body = body, times = 1 }
      local item = restore().pending[1]
      assert.equal("RESPONSE_INVALID", item and item.code, body)
      assert.matches("the answer is not RoleBinding dev/devs", item.message, 1, true)
    end
    assert.is_nil(bindings_of(1):find(leaver, 1, true))
    assert.equal(0, restore():exit_code())
    assert.matches("dev/devs .*" .. leaver, bindings_of(1))
  end)

  it("asks a cluster again that has a moment's trouble, and no more than twice", function()
    local function try_with(times, fault)
      sim:clear_faults()
      fault.service, fault.method, fault.times = "kubernetes", "GET", times
      sim:fault(fault)
      return revoke(first { undo = ("%s/%d-%s"):format(dir, times, tostring(fault.status)) })
        :exit_code()
    end
    for _, fault in ipairs { { status = 503 }, { status = 429 }, { reset = "before" } } do
      assert.equal(0, try_with(2, fault))
    end
    assert.equal(2, try_with(3, { status = 503 }))
    -- Where nobody listens, no moment helps.
    local config = cjson.decode(tempdir.read(admin[sim.clusters[1].id]))
    config.clusters[1].cluster.server = "https://127.0.0.1:1"
    simulator.write(dir .. "/nowhere", cjson.encode(config))
    local slept = #client.slept
    local report = revoke(first { admin = { [sim.clusters[1].id] = dir .. "/nowhere" } })
    assert.equal("CONNECT_FAILED", report.pending[1].code)
    assert.equal(slept + 2, #client.slept)
  end)

  it("needs no AccessPolicies where a cloud has none, as its gateway alone can say", function()
    for code, expected in pairs { ["APIGW.0101"] = 0, ["CCE_CM.0101"] = 2 } do
      sim:clear_faults()
      sim:fault { operation = "list_access_policy", status = 404,
        body = ('{"error_code":"%s","error_msg":"no"}'):format(code) }
      local report = revoke(first { undo = dir .. "/" .. code })
      assert.equal(expected, report:exit_code(), tostring(report))
    end
  end)

  it("puts back later what is refused now, and never what the cluster has not", function()
    assert.equal(0, revoke(first()):exit_code())
    for status, expected in pairs { [401] = "UNAUTHENTICATED", [403] = "PERMISSION_DENIED",
      [404] = "NOT_FOUND", [400] = "BAD_REQUEST", [429] = "THROTTLED", [500] = "SERVER_ERROR" } do
      sim:clear_faults()
      sim:fault { service = "kubernetes", method = "GET", status = status }
      local report = restore()
      local list = (status == 400 or status == 404) and report.failed or report.pending
      assert.equal(expected, list[1] and list[1].code, tostring(report))
    end
  end)

  it("takes an AccessPolicy for what was read, and no garbage for it", function()
    local here = policy("here", { clusters = { sim.clusters[1].id } })
    for i, body in ipairs { "{}", '{"policyId":"another"}', '{"policyId":"X"}',
      ('{"policyId":"another","principal":{"type":"user","ids":["%s"]},"clusters":["*"]}'):format(
        leaver) } do
      body = body:gsub("X", (here:match "[^/]+$"))
      sim:clear_faults()
      sim:fault { operation = "get_access_policy", status = 200, body = body }
      local report = revoke(first { undo = dir .. "/undo-" .. i })
      assert.equal(2, report:exit_code(), body .. tostring(report))
      assert.equal(0, #sim:log { operation = "put_access_policy" })
    end
    sim:clear_faults()
    assert.equal(0, revoke(first()):exit_code())
    sim:fault { operation = "get_access_policy", status = 200, body = "{}" }
    local report = restore()
    assert.equal(1, #report.pending, tostring(report))
    sim:clear_faults()
    assert.equal("alice bob", ids_of(here))
  end)

  it("tells why an AccessPolicy could not be changed, and sees one that was deleted", function()
    local here = policy("here", { clusters = { sim.clusters[1].id } })
    sim:fault { operation = "put_access_policy", status = 500 }
    local report = revoke(first())
    assert.equal(2, report:exit_code(), tostring(report))
    assert.equal("SERVER_ERROR", report.pending[1].code)
    assert.matches("AccessPolicy here: put_access_policy: HTTP 500", report.pending[1].message, 1,
      true)
    sim:clear_faults()
    assert.equal("alice " .. leaver .. " bob", ids_of(here))
    -- What is refused was not done, and is not sent again.
    local sent = #sim:log { operation = "put_access_policy" }
    for status, code in pairs { [403] = "PERMISSION_DENIED", [400] = "BAD_REQUEST" } do
      sim:fault { operation = "put_access_policy", status = status, times = 1,
        body = '{"error_code":"CCE.01403001","error_msg":"refused"}' }
      report = revoke(first { undo = dir .. "/" .. code })
      assert.equal(code, report.pending[1] and report.pending[1].code, tostring(report))
      assert.matches("AccessPolicy here: put_access_policy: ", report.pending[1].message, 1, true)
      sent = sent + 1
      assert.equal(sent, #sim:log { operation = "put_access_policy" })
      assert.equal("alice " .. leaver .. " bob", ids_of(here))
      sim:clear_faults()
    end
    sim:fault { operation = "get_access_policy", status = 404, times = 1,
      body = '{"error_code":"CCE.01404001","error_msg":"not found"}' }
    assert.equal(0, revoke(first { undo = dir .. "/second" }):exit_code())
    -- One of all clusters is not done in any.
    policy "all"
    sim:fault { operation = "put_access_policy", status = 403 }
    report = revoke { undo = dir .. "/third" }
    assert.same({ 0, #sim.clusters }, { #report.ok, #report.pending })
    assert.matches("AccessPolicy all: put_access_policy: ", report.pending[2].message, 1, true)
  end)

  it("gives way to who changes an AccessPolicy again and again", function()
    local here = policy("here", { clusters = { sim.clusters[1].id } })
    -- He is there whenever it is looked at. Its role is of no kind that is known.
    local body = sim:curl({ method = "GET", path = here }).json
    body.policyType = nil
    sim:fault { operation = "get_access_policy", status = 200, body = cjson.encode(body) }
    sim:fault { operation = "put_access_policy", status = 200, body = "{}" }
    local report = revoke(first())
    assert.equal("CONFLICT", report.pending[1].code, tostring(report))
    assert.equal(5, #sim:log { operation = "put_access_policy" })
    assert.same({ 0.75, 1, 1.25 }, client.slept)
  end)

  -- As somebody else would.
  local function add_to(path, id)
    local body = sim:curl({ method = "GET", path = path }).json
    body.policyId, body.createTime, body.updateTime = nil, nil, nil
    table.insert(body.principal.ids, id)
    assert.equal(200, sim:curl({ method = "PUT", path = path, body = cjson.encode(body) }).status)
  end

  it("reads an AccessPolicy again after each wait before it writes", function()
    local here = policy("here", { clusters = { sim.clusters[1].id } })
    sim:fault { operation = "put_access_policy", status = 429, times = 1,
      body = '{"error_code":"APIGW.0308","error_msg":"Too many requests"}' }
    local waits = 0
    client.sleep = function()
      waits = waits + 1
      if waits == 1 then add_to(here, "carol") end
    end
    local report = revoke(first())
    assert.equal(0, report:exit_code(), tostring(report))
    assert.equal(1, waits)
    assert.equal("alice bob carol", ids_of(here))
  end)

  it("reads an AccessPolicy after its turn has come, and holds nobody up for that", function()
    local here = policy("here", { clusters = { sim.clusters[1].id } })
    local lock, steps, turns = user_state.lock, {}, 0
    finally(function()
      user_state.lock = lock
      pace.forget()
    end)
    pace.forget()
    function user_state.lock(name)
      if name ~= "access-policies" then return lock(name) end
      steps[#steps + 1] = "locked"
      return { close = function() end }
    end
    function client.sleep(seconds)
      if seconds < 1000 then return end
      turns, steps[#steps + 1] = turns + 1, "turn"
      add_to(here, "turn" .. turns)
      if turns > 1 then return end
      sim:fault { operation = "put_access_policy", status = 429, times = 1,
        body = '{"error_code":"APIGW.0308","error_msg":"Too many requests"}' }
    end
    local report = revoke(first { rate_limit = "1/h" })
    assert.equal(0, report:exit_code(), tostring(report))
    -- What was put off takes one more: it is read again after that.
    assert.same({ "turn", "locked", "turn", "turn" }, steps)
    assert.equal("alice bob turn1 turn2 turn3", ids_of(here))
  end)

  it("takes its own write, whose answer was lost, for nobody else's", function()
    local here = policy("here", { clusters = { sim.clusters[1].id } })
    for _, reset in ipairs { "before", "after" } do
      sim:fault { operation = "put_access_policy", reset = reset, times = 1 }
      local report = revoke(first { undo = dir .. "/" .. reset })
      assert.equal(0, report:exit_code(), tostring(report))
      assert.not_matches("changed by somebody else", (tostring(report):gsub("%s+", " ")))
      assert.equal("alice bob", ids_of(here))
      add_to(here, leaver)
    end
  end)

  it("tells of who changed an AccessPolicy in the same moment", function()
    local here = policy("here", { clusters = { sim.clusters[1].id } })
    -- The last one writes what they had read before: he is in it again.
    for i, act in ipairs { revoke, restore, revoke } do
      sim:fault { operation = "put_access_policy", hold = "after", times = 1 }
      local ends = core.sys.monotonic() + 120
      local results = cce.map({ 1, 2 }, function(which)
        if which == 1 then return act(i == 3 and first { undo = dir .. "/again" } or i == 1
          and first() or nil) end
        repeat cce.sleep(0.01) until #sim:held() > 0 or core.sys.monotonic() > ends
        sim:clear_faults()
        add_to(here, i == 3 and leaver or "carol")
        sim:release()
        return true
      end, { concurrency = 2 })
      assert.is_true(results[1].ok and results[2].ok, results[1].message or results[2].message)
      assert.equal(0, results[1].value:exit_code(), tostring(results[1].value))
      assert.matches("AccessPolicy here was changed by somebody else in the same moment",
        tostring(results[1].value):gsub("%s+", " "), 1, true)
    end
    assert.equal("alice bob carol carol", ids_of(here))
  end)

  it("tells whatever of an AccessPolicy was changed in the same moment", function()
    local here = policy("here", { clusters = { sim.clusters[1].id } })
    for name, value in pairs { name = "other", policyType = "CCEAdminPolicy",
      clusters = { sim.clusters[1].id, sim.clusters[2].id },
      accessScope = { namespaces = { "dev" } },
      principal = { type = "agency", ids = { "alice" } } } do
      local body = { kind = "AccessPolicy", apiVersion = "v3", name = "here",
        clusters = { sim.clusters[1].id }, accessScope = { namespaces = { "*" } },
        policyType = "CCEViewPolicy", principal = { type = "user", ids = { "alice", leaver } } }
      local function put()
        assert.equal(200, sim:curl({ method = "PUT", path = here,
          body = cjson.encode(body) }).status)
      end
      put()
      sim:fault { operation = "put_access_policy", hold = "after", times = 1 }
      local ends = core.sys.monotonic() + 120
      local results = cce.map({ 1, 2 }, function(which)
        if which == 1 then return revoke(first { undo = dir .. "/" .. name }) end
        repeat cce.sleep(0.01) until #sim:held() > 0 or core.sys.monotonic() > ends
        sim:clear_faults()
        body.principal.ids[2] = nil
        body[name] = value
        put()
        sim:release()
        return true
      end, { concurrency = 2 })
      assert.is_true(results[1].ok and results[2].ok, results[1].message or results[2].message)
      assert.matches("AccessPolicy here was changed by somebody else in the same moment",
        tostring(results[1].value):gsub("%s+", " "), 1, true)
    end
  end)

  it("puts nobody into an AccessPolicy that gives more by now", function()
    local here = policy("here", { clusters = { sim.clusters[1].id },
      accessScope = { namespaces = { "dev" } } })
    assert.equal(0, revoke(first()):exit_code())
    local was = sim:curl({ method = "GET", path = here }).json
    was.policyId, was.createTime, was.updateTime = nil, nil, nil
    for name, value in pairs { clusters = { "*" }, accessScope = { namespaces = { "dev", "ops" } },
      policyType = "CCEAdminPolicy" } do
      local changed = {}
      for each, as_it_was in pairs(was) do changed[each] = as_it_was end
      changed[name] = value
      assert.equal(200, sim:curl({ method = "PUT", path = here,
        body = cjson.encode(changed) }).status)
      local report = restore()
      assert.equal("alice bob", ids_of(here))
      assert.equal(1, report:exit_code(), tostring(report))
      assert.matches(name == "policyType" and "gives user CCEAdminPolicy now"
        or "reaches more clusters or namespaces", report.failed[1].message, 1, true)
    end
  end)

  it("takes turns about AccessPolicies with the other processes of the user", function()
    local here = policy("here", { clusters = { sim.clusters[1].id } })
    local lock, steps = user_state.lock, {}
    finally(function() user_state.lock = lock end)
    local function note(what)
      steps[#steps + 1] = ("%s %d"):format(what, #sim:log { operation = "put_access_policy" })
    end
    function user_state.lock(name)
      if name ~= "access-policies" then return nil end
      note "locked"
      return { close = function() note "unlocked" end }
    end
    assert.equal(0, revoke(first()):exit_code())
    assert.same({ "locked 0", "unlocked 1" }, steps)
    assert.equal("alice bob", ids_of(here))
  end)

  it("takes turns about AccessPolicies within a process, too", function()
    local paths = {}
    for i, name in ipairs { "one", "two", "three" } do
      paths[i] = policy(name, { clusters = { sim.clusters[1].id } })
    end
    assert.equal(0, revoke(first()):exit_code())
    local lock, held, most = user_state.lock, 0, 0
    finally(function() user_state.lock = lock end)
    function user_state.lock(name, seconds)
      if name ~= "access-policies" then return false end
      local real = core.file.lock(dir .. "/turns", { timeout = seconds })
      if not real then return nil end
      held = held + 1
      most = math.max(most, held)
      return { close = function()
        held = held - 1
        real:close()
      end }
    end
    local began = core.sys.monotonic()
    assert.equal(0, restore():exit_code())
    -- Who waited for the lock would keep its holder from going on.
    assert.is_true(core.sys.monotonic() - began < 30)
    assert.same({ 1, 0 }, { most, held })
    for _, path in ipairs(paths) do assert.equal("alice " .. leaver .. " bob", ids_of(path)) end
  end)

  it("finds bindings by whatever name a cluster lets them have", function()
    local list = {}
    for i, name in ipairs { "a?b=c", "a#b", "a b", "\195\188nd", "a+b&c", "system:x", "..." } do
      list[i] = binding("dev", name, "edit", { user "alice", user(leaver) })
    end
    seed(1, list)
    local before = bindings_of(1)
    local report = revoke(first())
    assert.equal(0, report:exit_code(), tostring(report))
    assert.is_nil(bindings_of(1):find(leaver, 1, true))
    assert.equal(0, restore():exit_code())
    assert.equal(before, bindings_of(1))
  end)

  it("puts nobody back by a file that is damaged, nor where the cluster is gone", function()
    revoke(first())
    local text = tempdir.read(dir .. "/undo.json")
    for _, change in ipairs { { '"cluster_name": "[^"]*"', '"cluster_name": {}' },
      { '"project": "[^"]*"', '"project": 7' }, { '"role_kind": "[^"]*"', '"role_kind": {}' },
      { '"before": %[', '"before": [null, ' }, { '"sim%-readers"', '"../sim-readers"' } } do
      local bad, count = text:gsub(change[1], change[2])
      assert.equal(1, count, change[1])
      simulator.write(dir .. "/undo.json", bad)
      local none, message = cce.workflow.restore(client, { undo = dir .. "/undo.json" })
      assert.is_nil(none)
      assert.matches("is damaged: entry 1", message, 1, true)
    end
    simulator.write(dir .. "/undo.json", (text:gsub('"cluster": "%x+', '"cluster": "00000000')))
    local report = restore { admin = {} }
    assert.equal("NOT_FOUND", report.failed[1].code)
    assert.equal(1, report:exit_code())
    -- Of another project's nothing here can tell.
    simulator.write(dir .. "/undo.json", (text:gsub('"cluster": "%x+', '"cluster": "00000000')
      :gsub('"project": "[^"]*"', '"project": "another"')))
    local none, message = cce.workflow.restore(client, { undo = dir .. "/undo.json" })
    assert.is_nil(none)
    assert.matches("no client is of project another, where the run has cluster 0", message, 1, true)
  end)
end)
