local command = require "spec.support.command"
local core = require "cce.core"
local json = require "cce.base.json"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

if not (simulator.has_program "kubectl" and pcall(require, "argparse")) then
  describe("cce leaver", function() pending "needs kubectl and argparse" end)
  return
end

describe("cce leaver", function()
  local sim, world

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
    local as_member = { env = { HUAWEICLOUD_SDK_AK = simulator.member.ak,
      HUAWEICLOUD_SDK_SK = simulator.member.sk } }
    for _, name in ipairs { "old", "admin" } do
      local result = world:cce({ "obtain", "cluster-001", "--days", "1", "--out",
        world.dir .. "/" .. name }, name == "old" and as_member or nil)
      assert.equal(0, result.code, result.err)
    end
    function world.obtain()
      return world:cce({ "obtain", "cluster-001", "--days", "1", "--out", world.dir .. "/new" },
        as_member)
    end
  end)

  after_each(function() world:remove() end)

  local ID = simulator.member.principal.id

  local function readers()
    return world:kubectl(world.dir .. "/admin",
      "get clusterrolebinding sim-readers -o jsonpath='{.subjects[*].name}'").out
  end

  it("cuts off and takes away by one line, proves it, and is undone", function()
    local before = readers()
    assert.equal(0, world:kubectl(world.dir .. "/old", "get nodes").code)
    local result = world:cce { "leaver", "member", "--verify-with", world.dir .. "/old", "--yes" }
    assert.equal(1, result.code, result.out .. result.err)
    assert.matches("member is user " .. ID, result.err, 1, true)
    assert.matches("revoke .*: 5 ok, 1 failed", result.out)
    assert.matches("failed autopilot%-001 .* is one of CCE Autopilot", result.out)
    assert.matches("verified: 1 yes, 4 no kubeconfig", result.out, 1, true)
    assert.matches("can obtain again: still enabled in IAM", result.out, 1, true)
    assert.equal(0, world.obtain().code)
    assert.matches("must be logged in", world:kubectl(world.dir .. "/old", "get nodes").err, 1,
      true)
    assert.matches("nodes is forbidden", world:kubectl(world.dir .. "/new", "get nodes").err, 1,
      true)
    assert.is_nil(readers():find(ID, 1, true))

    local page = result.err:match "evidence: (%S+%.html)"
    local data = json.decode(tempdir.read((page:gsub("html$", "json"))))
    assert.equal(5, data.counts.ok)
    assert.equal("removed", data.ok[1].rights)
    local html = tempdir.read(page)
    for _, text in ipairs { "taken out of ClusterRoleBinding sim-readers", data.undo,
      "verified: yes", "cce leaver member", "autopilot-001", "cce revoke --undo " } do
      assert.is_truthy(html:find(text, 1, true), text)
    end
    assert.equal("0600", core.file.stat(data.undo).mode)

    result = world:cce { "revoke", "--undo", data.undo, "--dry-run" }
    assert.equal(0, result.code, result.err)
    assert.matches("put " .. ID .. " back into ClusterRoleBinding sim-readers in cluster-001",
      result.out, 1, true)
    assert.is_nil(readers():find(ID, 1, true))
    assert.equal(64, world:cce({ "revoke", "--undo", data.undo }).code)
    for _, more in ipairs { "cluster-001", "--all", "--remove", "--journal=x", "--verify" } do
      assert.equal(64, world:cce({ "revoke", more, "--undo", data.undo, "--yes" }).code, more)
    end
    assert.is_nil(readers():find(ID, 1, true))
    result = world:cce { "revoke", "--undo", data.undo, "--admin", world.dir .. "/admin", "--yes" }
    assert.equal(0, result.code, result.out .. result.err)
    assert.equal(before, readers())
    assert.equal(0, world:kubectl(world.dir .. "/new", "get nodes").code)
  end)

  it("goes on with what is open, by the same command", function()
    sim:fault { service = "kubernetes", cluster = sim.clusters[2].id, status = 500 }
    local words = { "leaver", "member", "--yes" }
    local result = world:cce(words)
    assert.equal(1, result.code, result.out .. result.err)
    assert.matches("4 ok, 1 failed, 1 pending", result.out, 1, true)
    assert.matches("rights in the cluster are not known: ", result.out, 1, true)
    assert.matches("its rights are still to be taken",
      world:cce({ "runs", "show", "--journal", result.out:match "%S+%.journal"
        or core.file.glob(world.dir .. "/.local/state/cce/leaver-*.journal")[1] }).out, 1, true)
    sim:clear_faults()
    result = world:cce(words)
    assert.equal(1, result.code, result.out .. result.err)
    assert.matches("5 ok, 1 failed", result.out, 1, true)
    assert.equal(5, #sim:log { operation = "revoke_cert" })
    -- What is typed once more is meant once more.
    assert.equal(1, world:cce(words).code)
    assert.equal(10, #sim:log { operation = "revoke_cert" })
    -- In whatever order they are named, they have one journal.
    for _, names in ipairs { { "member", "agency" }, { "agency", "member" } } do
      assert.equal(1, world:cce({ "leaver", names[1], names[2], "--yes", "--rate", "none" }).code)
    end
    assert.equal(2, #core.file.glob(world.dir .. "/.local/state/cce/leaver-*.journal"))
  end)

  it("loses nothing when it is killed in the middle", function()
    local before = {}
    for i, cluster in ipairs(sim.clusters) do
      local config = world.dir .. "/admin-" .. i
      assert.equal(0, world:cce({ "obtain", cluster.id, "--days", "1", "--out", config }).code)
      before[i] = config
    end
    local function all()
      local parts = {}
      for i, config in ipairs(before) do
        parts[i] = world:kubectl(config,
          "get clusterrolebinding sim-readers -o jsonpath='{.subjects}{.roleRef}'").out
      end
      return table.concat(parts, "\n")
    end
    local whole = all()
    sim:fault { service = "kubernetes", method = "PATCH", cluster = sim.clusters[2].id,
      hold = "before" }
    local wait, process = world:start_cce { "leaver", "member", "--yes" }
    sim:held(1)
    local others = { service = "kubernetes", method = "PATCH", status = 200 }
    local ends = core.sys.monotonic() + 120
    repeat core.sys.sleep(0.01) until #sim:log(others) > 0 or core.sys.monotonic() > ends
    process:signal "SIGKILL"
    wait()
    sim:clear_faults()
    sim:release { drop = true }
    local half = all()
    assert.are_not.equal(whole, half)
    assert.is_truthy(half:find(ID, 1, true))
    local result = world:cce { "leaver", "member", "--yes", "-o", "json" }
    assert.equal(1, result.code, result.out .. result.err)
    local report = json.decode(result.out)
    assert.is_nil(all():find(ID, 1, true))
    for _, item in ipairs(report.ok) do
      assert.equal("ClusterRoleBinding sim-readers", item.removed)
    end
    assert.equal(#sim.clusters, #report.ok)
    assert.equal(#sim.clusters, #sim:log { operation = "revoke_cert" })
    -- Putting back, too, and what is said then is true of it.
    for _, signal in ipairs { "SIGKILL", "SIGINT", "SIGTERM" } do
      sim:fault { service = "kubernetes", method = "PATCH", cluster = sim.clusters[2].id,
        hold = "before" }
      wait, process = world:start_cce { "revoke", "--undo", report.undo, "--yes" }
      sim:held(1)
      process:signal(signal)
      sim:release { drop = true }
      local ended = wait()
      assert.are_not.equal(0, ended.code)
      assert.is_nil(ended.err:find("cuts what", 1, true), ended.err)
      if signal == "SIGINT" then
        assert.matches("the same command again puts back the rest", ended.err, 1, true)
      end
      sim:clear_faults()
    end
    assert.equal(0, world:cce({ "revoke", "--undo", report.undo, "--yes" }).code)
    assert.equal(whole, all())
  end)

  it("says after Ctrl-C what the look at rights obtained, and where the evidence is", function()
    sim:fault { operation = "obtain_cert", hold = "before", cluster = sim.clusters[5].id }
    local wait, process = world:start_cce { "leaver", "member", "--dry-run" }
    sim:held(1)
    local deadline = core.sys.monotonic() + 20
    repeat
      core.sys.sleep(0.1)
    until #sim:log { operation = "obtain_cert" } > 1 or core.sys.monotonic() > deadline
    core.sys.sleep(0.2)
    process:signal "SIGINT"
    local result = wait()
    sim:release { drop = true }
    sim:clear_faults()
    assert.equal(130, result.code)
    assert.matches("cce: interrupted\ncce: obtain_cert: [1-4] done ", result.err)
    result = world:cce { "leaver", "member", "--yes", "--report", world.dir .. "/page" }
    assert.matches("evidence: " .. world.dir .. "/page.html\n", result.err, 1, true)
  end)

  it("means users, agencies and who was deleted, by name or id, and nobody else", function()
    sim:put_principal { kind = "user", id = ("7"):rep(32), name = "gone" }
    sim:delete_principal { kind = "user", id = ("7"):rep(32) }
    local result = world:cce { "leaver", "member", "agency", "gone", ID, "--dry-run", "-o", "json" }
    assert.equal(1, result.code, result.err)
    local plan = json.decode(result.out)
    assert.same({ "user", "agency", "user" }, { plan.principals[1].kind, plan.principals[2].kind,
      plan.principals[3].kind })
    assert.equal(3, #plan.principals)
    assert.equal("autopilot-001", plan.failed[1].name)
    tempdir.write(world.dir .. "/leavers", "# of june\nmember\nagency # of the shop\n")
    result = world:cce { "leaver", "gone", "-f", world.dir .. "/leavers", "--dry-run", "-ojson" }
    assert.equal(3, #json.decode(result.out).principals)
    assert.matches("TAKE OUT%s+OF%s+ROLE",
      world:cce({ "leaver", "-f", world.dir .. "/leavers", "--dry-run" }).out)
    tempdir.write(world.dir .. "/leavers", "\n# nobody\n")
    assert.equal(64, world:cce({ "leaver", "-f", world.dir .. "/leavers", "--yes" }).code)
    assert.equal(64, world:cce({ "leaver", "--yes" }).code)
    assert.equal(0, #sim:log { operation = "revoke_cert" })
    result = world:cce { "leaver", "membre", "--yes" }
    assert.equal(64, result.code)
    assert.matches("there is no user or agency 'membre'", result.err, 1, true)
    assert.matches("Did you mean 'member'?", result.err, 1, true)
    -- Where it is not known whether there are clusters that it does not reach, it is no success.
    sim:fault { operation = "list_autopilot_clusters", status = 403 }
    result = world:cce { "leaver", "member", "--dry-run" }
    sim:clear_faults()
    assert.equal(1, result.code, result.out .. result.err)
    assert.matches("whether there are clusters of CCE Autopilot, which are not touched, is not"
      .. " known", (result.out:gsub("%s+", " ")), 1, true)
    assert.equal(64, world:cce({ "leaver", "admin", "--yes" }).code)
    assert.equal(64, world:cce({ "leaver", "member" }).code)
    assert.equal(64, world:cce({ "revoke", "--all", "--user", ID, "--admin", "x" }).code)
    assert.equal(0, #sim:log { operation = "revoke_cert" })
  end)

  -- ---- many, while somebody else edits the same bindings ---------------------------

  local GROUP = "rbac.authorization.k8s.io"
  local LEAVERS, CLUSTERS = 20, 10

  local function user(name) return { kind = "User", apiGroup = GROUP, name = name } end

  local function id_of(i) return ("%032x"):format(0xf00 + i) end

  -- Names of the subjects of the binding that all edit, in a cluster.
  local function subjects_of(of, i)
    local out = of:kubectl(of.dir .. "/admin-" .. i, "get rolebinding devs -n dev -o json").out
    local list, labels = {}, json.decode(out).metadata.labels or {}
    for j, each in ipairs(json.decode(out).subjects or {}) do list[j] = each.name end
    return list, labels
  end

  -- Adds a subject as kubectl edit does: reads, changes, and writes what was read.
  local function edit(of, i, name)
    local config = of.dir .. "/admin-" .. i
    while true do
      local binding = json.decode(of:kubectl(config, "get rolebinding devs -n dev -o json").out)
      table.insert(binding.subjects, user(name))
      tempdir.write(of.dir .. "/edit.json", json.encode(binding))
      local result = of:kubectl(config, "replace --validate=false -f " .. of.dir .. "/edit.json")
      if result.code == 0 then return end
      assert.matches("the object has been modified", result.err, 1, true)
    end
  end

  for _, how in ipairs { "by one command", "by a command each" } do
    it("lets many go at once " .. how .. ", and loses no edit of others #long", function()
      local cloud = simulator.start { clusters = CLUSTERS }
      local of = command.new(cloud)
      local subjects = { user "alice" }
      for i = 1, LEAVERS do
        cloud:put_principal { kind = "user", id = id_of(i), name = "leaver-" .. i }
        subjects[#subjects + 1] = user(id_of(i))
        if i % 7 == 0 then subjects[#subjects + 1] = user("other-" .. i) end
      end
      for i, cluster in ipairs(cloud.clusters) do
        local config = of.dir .. "/admin-" .. i
        assert.equal(0, of:cce({ "obtain", cluster.id, "--days", "1", "--out", config }).code)
        tempdir.write(of.dir .. "/seed", json.encode { apiVersion = GROUP .. "/v1",
          kind = "RoleBinding", metadata = { name = "devs", namespace = "dev" },
          roleRef = { apiGroup = GROUP, kind = "ClusterRole", name = "edit" },
          subjects = subjects })
        assert.equal(0, of:kubectl(config, "create --validate=false -f " .. of.dir .. "/seed").code)
      end
      local ids = { "alice" }
      for i = 1, LEAVERS do ids[#ids + 1] = id_of(i) end
      cloud:curl { method = "POST", path = "/api/v3/access-policies", body = json.encode {
        kind = "AccessPolicy", apiVersion = "v3", name = "all", clusters = { "*" },
        accessScope = { namespaces = { "*" } }, policyType = "CCEViewPolicy",
        principal = { type = "user", ids = ids } } }

      local running, names = {}, {}
      for i = 1, LEAVERS do names[i] = "leaver-" .. i end
      for _, group in ipairs(how == "by one command" and { names } or names) do
        local words = { "leaver", "--yes", "--rate", "none", "-o", "json" }
        for _, name in ipairs(type(group) == "table" and group or { group }) do
          words[#words + 1] = name
        end
        local wait, process = of:start_cce(words)
        running[#running + 1] = { wait = wait, process = process, words = words }
      end
      local edits, is_running = 0, true
      while is_running or edits < CLUSTERS do
        edits = edits + 1
        edit(of, (edits - 1) % CLUSTERS + 1, "edit-" .. edits)
        is_running = false
        for _, each in ipairs(running) do is_running = is_running or each.process:alive() end
      end
      local undo = {}
      for i, each in ipairs(running) do
        local result = each.wait()
        -- A busy machine answers late: the same command goes on.
        for _ = 1, 5 do
          local counts = json.decode(result.out).counts
          if counts.pending + counts.uncertain == 0 then break end
          result = of:cce(each.words)
        end
        assert.equal(CLUSTERS, json.decode(result.out).counts.ok, result.out .. result.err)
        undo[i] = json.decode(result.out).undo
      end

      local function check(with_leavers)
        for i = 1, CLUSTERS do
          local seen, others, left = subjects_of(of, i), {}, 0
          for _, name in ipairs(seen) do
            if name:find "^0000" then left = left + 1 else others[#others + 1] = name end
          end
          local expected = { "alice", "other-7", "other-14" }
          for j = i, edits, CLUSTERS do expected[#expected + 1] = "edit-" .. j end
          assert.same(expected, others)
          assert.equal(with_leavers and LEAVERS or 0, left)
          if with_leavers and how == "by one command" then
            for j = 1, #subjects do assert.equal(subjects[j].name, seen[j]) end
          end
        end
        local policies = cloud:curl { method = "GET", path = "/api/v3/access-policies" }
        assert.equal(with_leavers and LEAVERS + 1 or 1,
          #policies.json.accessPolicyList[1].principal.ids)
      end
      check(false)
      for _, path in ipairs(undo) do
        local result = of:cce { "revoke", "--undo", path, "--yes", "--rate", "none" }
        assert.equal(0, result.code, result.out .. result.err)
      end
      check(true)
      of:remove()
      cloud:stop()
    end)
  end
end)
