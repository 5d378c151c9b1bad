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
    assert.equal(0, result.code, result.out .. result.err)
    assert.matches("member is user " .. ID, result.err, 1, true)
    assert.matches("revoke .*: 5 ok, 0 failed", result.out)
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
      "verified: yes", "cce leaver member" } do
      assert.is_truthy(html:find(text, 1, true), text)
    end
    assert.equal("0600", core.file.stat(data.undo).mode)

    result = world:cce { "revoke", "--undo", data.undo, "--dry-run" }
    assert.equal(0, result.code, result.err)
    assert.matches("put " .. ID .. " back into ClusterRoleBinding sim-readers in cluster-001",
      result.out, 1, true)
    assert.is_nil(readers():find(ID, 1, true))
    assert.equal(64, world:cce({ "revoke", "--undo", data.undo }).code)
    result = world:cce { "revoke", "--undo", data.undo, "--admin", world.dir .. "/admin", "--yes" }
    assert.equal(0, result.code, result.out .. result.err)
    assert.equal(before, readers())
    assert.equal(0, world:kubectl(world.dir .. "/new", "get nodes").code)
  end)

  it("goes on with what is open, by the same command", function()
    sim:fault { service = "kubernetes", cluster = sim.clusters[2].id, status = 500 }
    local words = { "leaver", "member", "--yes" }
    local result = world:cce(words)
    assert.equal(2, result.code, result.out .. result.err)
    assert.matches("4 ok, 0 failed, 1 pending", result.out, 1, true)
    assert.matches("rights in the cluster are not known: ", result.out, 1, true)
    assert.matches("its rights are still to be taken",
      world:cce({ "runs", "show", "--journal", result.out:match "%S+%.journal"
        or core.file.glob(world.dir .. "/.local/state/cce/leaver-*.journal")[1] }).out, 1, true)
    sim:clear_faults()
    result = world:cce(words)
    assert.equal(0, result.code, result.out .. result.err)
    assert.equal(5, #sim:log { operation = "revoke_cert" })
    -- What is typed once more is meant once more.
    assert.equal(0, world:cce(words).code)
    assert.equal(10, #sim:log { operation = "revoke_cert" })
  end)

  it("means users, agencies and who was deleted, by name or id, and nobody else", function()
    sim:put_principal { kind = "user", id = ("7"):rep(32), name = "gone" }
    sim:delete_principal { kind = "user", id = ("7"):rep(32) }
    local result = world:cce { "leaver", "member", "agency", "gone", ID, "--dry-run", "-o", "json" }
    assert.equal(0, result.code, result.err)
    local plan = json.decode(result.out)
    assert.same({ "user", "agency", "user" }, { plan.principals[1].kind, plan.principals[2].kind,
      plan.principals[3].kind })
    assert.equal(3, #plan.principals)
    assert.equal(0, #sim:log { operation = "revoke_cert" })
    result = world:cce { "leaver", "membre", "--yes" }
    assert.equal(64, result.code)
    assert.matches("there is no user or agency 'membre'", result.err, 1, true)
    assert.matches("Did you mean 'member'?", result.err, 1, true)
    assert.equal(64, world:cce({ "leaver", "admin", "--yes" }).code)
    assert.equal(64, world:cce({ "leaver", "member" }).code)
    assert.equal(64, world:cce({ "revoke", "--all", "--user", ID, "--admin", "x" }).code)
    assert.equal(0, #sim:log { operation = "revoke_cert" })
  end)
end)
