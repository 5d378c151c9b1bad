local command = require "spec.support.command"
local core = require "cce.core"
local json = require "cce.base.json"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

if not (simulator.has_program "nginx" and pcall(require, "argparse")) then
  describe("cce revoke", function() pending "needs nginx and argparse" end)
  return
end

describe("cce revoke", function()
  local sim, world

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
  end)

  after_each(function() world:remove() end)

  local MEMBER = simulator.member.principal.id

  local function revocations()
    return #sim:log { operation = "revoke_cert" }
  end

  it("asks, and does nothing where there is nobody to ask", function()
    local result = world:cce { "revoke", "--all", "--user", MEMBER }
    assert.equal(64, result.code)
    assert.equal("", result.out)
    assert.matches("typing REVOKE, and there is no terminal: nothing was done", result.err, 1, true)
    assert.matches("hint: --yes confirms it", result.err, 1, true)
    assert.equal(0, revocations())
  end)

  it("cuts on the clusters that are chosen, and says who can obtain again", function()
    local result = world:cce { "revoke", "cluster-001", "cluster-002", "--user", MEMBER, "--yes" }
    assert.equal(0, result.code)
    assert.matches("revoke: 2 ok, 0 failed", result.out, 1, true)
    assert.matches("can obtain again: still enabled in IAM", result.out, 1, true)
    assert.equal(2, revocations())
  end)

  it("says in a dry run what would be cut off", function()
    local result = world:cce { "revoke", "--all", "--user", MEMBER, "--dry-run" }
    assert.equal(0, result.code)
    for _, cluster in ipairs(sim.clusters) do
      assert.matches(cluster.id, result.out, 1, true)
    end
    assert.matches("(member) can obtain again", result.out, 1, true)
    local report = json.decode(world:cce({ "revoke", "--all", "--user", MEMBER, "--dry-run", "-o",
      "json" }).out)
    assert.is_true(report.dry_run)
    assert.equal(#sim.clusters, #report.plan)
    assert.equal(0, revocations())
  end)

  it("refuses one's own, unless that is meant", function()
    local own = simulator.admin.principal.id
    local result = world:cce { "revoke", "cluster-001", "--user", own, "--yes" }
    assert.equal(64, result.code)
    assert.matches("hint: Give --allow-self", result.err, 1, true)
    assert.equal(0, revocations())
    assert.equal(0, world:cce({ "revoke", "cluster-001", "--user", own, "--yes", "--allow-self" })
      .code)
  end)

  it("knows the holder of a kubeconfig, and whether it was cut", function()
    local path = world.dir .. "/member.json"
    local member = { env = { HUAWEICLOUD_SDK_AK = simulator.member.ak,
      HUAWEICLOUD_SDK_SK = simulator.member.sk } }
    assert.equal(0, world:cce({ "obtain", "cluster-002", "--days", "1", "--context", "internal",
      "--out", path }, member).code)
    local result = world:cce { "revoke", "cluster-002", "--kubeconfig", path, "--verify", "--yes",
      "-o", "json" }
    assert.equal(0, result.code, result.out .. result.err)
    local item = json.decode(result.out).ok[1]
    assert.equal(MEMBER, item.principal_id)
    assert.equal("yes", item.verified)
  end)

  it("ends with 1 when one fails", function()
    sim:fault { operation = "revoke_cert", cluster = sim.clusters[2].id, status = 400 }
    local result = world:cce { "revoke", "--all", "--user", MEMBER, "--yes", "--rate", "none" }
    assert.equal(1, result.code)
    assert.matches("failed cluster-002", result.out, 1, true)
  end)

  describe("--user", function()
    local UNKNOWN = ("f"):rep(32)

    it("takes a name, which is looked up", function()
      local result = world:cce { "revoke", "--all", "--user", "member", "--yes" }
      assert.equal(0, result.code, result.err)
      assert.matches("user member is " .. MEMBER, result.err, 1, true)
      for _, cluster in ipairs(sim:state().clusters) do
        assert.is_truthy(cluster.revoked_users[MEMBER])
      end
    end)

    it("has a list of many beside it, each cut once", function()
      local line = "printf 'member\n%s # the same\n' | cce revoke cluster-001 --users - --yes"
      local result = world:start({ "bash", "-c", line:format(MEMBER) })()
      assert.equal(0, result.code, result.err)
      assert.equal(1, revocations())
      result = world:start({ "bash", "-c", "echo membre | cce revoke --all --users - --yes" })()
      assert.equal(64, result.code)
      assert.matches("Did you mean 'member'?", result.err, 1, true)
      assert.equal(1, revocations())
    end)

    it("refuses before sending what is neither a known name nor an id", function()
      local result = world:cce { "revoke", "--all", "--user", "nonsense", "--yes" }
      assert.equal(64, result.code)
      assert.matches("there is no user 'nonsense', and it is no id", result.err, 1, true)
      assert.equal(0, revocations())
    end)

    it("lists all of a name", function()
      local other = ("e"):rep(32)
      sim:put_principal { kind = "user", id = other, name = "member" }
      local result = world:cce { "revoke", "--all", "--user", "member", "--yes" }
      assert.equal(64, result.code)
      assert.matches(MEMBER, result.err, 1, true)
      assert.matches(other, result.err, 1, true)
      assert.equal(0, revocations())
    end)

    it("sends an id that nobody knows, and says that it is uncertain", function()
      local result = world:cce { "revoke", "--all", "--user", UNKNOWN, "--yes" }
      assert.equal(2, result.code)
      assert.matches("accepted, unverified: nobody is known by this id", result.out, 1, true)
      assert.matches("--unknown-ok", result.out, 1, true)
      assert.equal(5, revocations())
      assert.equal(0, world:cce({ "revoke", "--all", "--user", UNKNOWN, "--yes", "--unknown-ok" })
        .code)
    end)

    it("knows whom the schedule has a grant of, and not whom an entry only names", function()
      if not pcall(require, "luasql.sqlite3") then return pending "needs luasql.sqlite3" end
      local function revoke(id)
        return world:cce { "revoke", "cluster-001", "--user", id, "--yes" }
      end
      local member = { env = { HUAWEICLOUD_SDK_AK = simulator.member.ak,
        HUAWEICLOUD_SDK_SK = simulator.member.sk } }
      assert.equal(0, world:cce({ "grant", "cluster-002", "--for", "20m", "--allow-self", "--out",
        world.dir .. "/granted.json" }, member).code)
      local added = world:cce { "schedule", "add", "revoke", "cluster-002", "--user", UNKNOWN,
        "--at", "+2h" }
      assert.equal(0, added.code)
      assert.matches("nobody is known by the id " .. UNKNOWN, added.err, 1, true)
      -- Neither IAM nor CTS knows them any more.
      sim:reset()
      sim:delete_principal { kind = "user", id = MEMBER, ago = 8 * 86400 }
      assert.equal(2, revoke(UNKNOWN).code)
      local result = revoke(MEMBER)
      assert.equal(0, result.code, result.out .. result.err)
      assert.is_nil(result.out:find "nobody is known")
      added = world:cce { "schedule", "add", "revoke", "cluster-002", "--user", MEMBER, "--at",
        "+2h" }
      assert.is_nil(added.err:find "nobody is known")
      assert.equal(2, world:cce({ "revoke", "cluster-001", "--user", MEMBER, "--yes" },
        { env = { CCE_SCHEDULE = "sqlite:" .. world.dir .. "/another.db" } }).code)
      assert.is_false(core.file.stat(world.dir .. "/another.db"))
      tempdir.write(world.dir .. "/broken.db", ("no database\n"):rep(100))
      result = world:cce({ "revoke", "cluster-001", "--user", MEMBER, "--yes" },
        { env = { CCE_SCHEDULE = "sqlite:" .. world.dir .. "/broken.db" } })
      assert.equal(2, result.code)
      assert.matches(("the schedule was not asked for grants to user %s: "):format(MEMBER),
        result.err, 1, true)
      assert.matches("it is no SQLite database", result.err, 1, true)
    end)

    it("knows of the audit log whose certificate was obtained", function()
      local log = world.dir .. "/audit.log"
      assert.equal(0, world:cce({ "obtain", "cluster-002", "--days", "1", "--audit-log", log,
        "--out", world.dir .. "/own.json" }, { env = { HUAWEICLOUD_SDK_AK = simulator.member.ak,
        HUAWEICLOUD_SDK_SK = simulator.member.sk } }).code)
      sim:reset()
      sim:delete_principal { kind = "user", id = MEMBER, ago = 8 * 86400 }
      local revoke = { "revoke", "cluster-001", "--user", MEMBER, "--yes" }
      assert.equal(2, world:cce(revoke).code)
      revoke[#revoke + 1], revoke[#revoke + 2] = "--audit-log", log
      assert.equal(0, world:cce(revoke).code)
    end)

    it("is not held up by an IAM that cannot be asked", function()
      sim:deny(simulator.admin.principal.id, "iam:users:listUsers")
      local result = world:cce { "revoke", "cluster-001", "--user", UNKNOWN, "--yes" }
      assert.equal(0, result.code)
      assert.matches("was not checked", result.out, 1, true)
      result = world:cce { "revoke", "cluster-001", "--user", "member", "--yes" }
      assert.equal(1, result.code)
      assert.matches("cannot be looked up", result.err, 1, true)
      assert.equal(1, revocations())
    end)
  end)

  it("goes on by its journal, and sends nothing twice", function()
    local path = world.dir .. "/revoke.journal"
    local words = { "revoke", "cluster-001", "cluster-002", "--user", MEMBER, "--yes", "--journal",
      path }
    sim:fault { operation = "revoke_cert", cluster = sim.clusters[2].id, status = 500 }
    assert.are_not.equal(0, world:cce(words).code)
    sim:reset()
    local result = world:cce(words)
    assert.equal(0, result.code, result.out .. result.err)
    assert.equal(1, revocations())
    -- What is typed anew is meant anew; what has a name is not.
    assert.equal(0, world:cce(words).code)
    assert.equal(3, revocations())
    words[#words + 1], words[#words + 2] = "--run", "monday"
    assert.equal(0, world:cce(words).code)
    assert.equal(3, world:cce(words).code)
    assert.equal(5, revocations())
  end)

  -- One request leaves, the next has to wait for a minute.
  local function interrupt(journal)
    local log = world.dir .. "/audit.log"
    local finish, process = world:start_cce { "revoke", "--all", "--user", MEMBER, "--yes",
      "--rate", "1/1min", "--audit-log", log, journal and "--journal", journal }
    local deadline = core.sys.monotonic() + 120
    -- Its answer has come, and its outcome is written, which is last in a journal.
    local function is_told()
      local mark = journal and '"what":"ok"' or '"outcome":"ok"'
      return (tempdir.read(journal or log) or ""):find(mark, 1, true)
    end
    repeat core.sys.sleep(0.05) until is_told() or core.sys.monotonic() > deadline
    process:signal "SIGINT"
    return finish()
  end

  it("says after Ctrl-C what was done, and how to go on", function()
    local result = interrupt()
    assert.equal(130, result.code)
    assert.matches("revoke_cert: 1 done (" .. sim.clusters[1].id .. ")", result.err, 1, true)
    assert.matches("with --journal FILE it would go on", result.err, 1, true)
    sim:reset()
    -- The one that was sent counts for the next command, too.
    tempdir.check("rm " .. world.dir .. "/.local/state/cce/budget.json")
    result = interrupt(world.dir .. "/revoke.journal")
    assert.equal(130, result.code)
    assert.matches("1 revoked, 0 failed, 0 not known, 4 not begun; to go on: the same"
      .. " command", result.err, 1, true)
    sim:reset()
    sim:fault { operation = "list_clusters", hold = "before" }
    result = world:interrupt_cce { "revoke", "--all", "--user", MEMBER, "--yes" }
    assert.equal(130, result.code)
    assert.equal("\ncce: interrupted\ncce: nothing was sent\n", result.err)
  end)

  it("wants one principal and clusters", function()
    for expected, words in pairs {
      ["--verify needs --kubeconfig"] = { "revoke", "--all", "--user", "a", "--verify" },
      ["--run needs --journal"] = { "revoke", "--all", "--user", "a", "--run", "x" },
      ["nobody is named"] = { "revoke", "--all" },
      ["can not be used together"] = { "revoke", "--all", "--user", "a", "--agency", "b" },
      ["no cluster is named"] = { "revoke", "--user", "a", "--yes" },
      ["how long ago"] = { "revoke", "--all", "--deleted-since", "yesterday" },
    } do
      local result = world:cce(words)
      assert.equal(64, result.code, expected)
      assert.matches(expected, result.err, 1, true)
    end
    assert.equal(0, revocations())
  end)
end)
