local cce = require "cce"
local clients = require "spec.support.clients"
local rotations = require "spec.support.shared.rotations"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

-- Clusters 2 and 4 are in another project than the rest, in another region.
describe("a fleet of two projects", function()
  local sim, here, there, dir
  local central = simulator.account.central

  setup(function() sim = simulator.get() end)

  before_each(function()
    sim:reset()
    sim:set { job_seconds = 0.02 }
    for _, i in ipairs { 2, 4 } do
      sim:set { cluster = sim.clusters[i].id, project = central.project_id }
    end
    here = clients.new(sim)
    there = clients.new(sim, { project_id = central.project_id })
    dir = tempdir.new()
  end)

  after_each(function()
    here:close()
    there:close()
    tempdir.remove(dir)
  end)

  local function project_of(index)
    return index % 2 == 0 and central.project_id or sim.project_id
  end

  -- Each accepted request went to the project that the cluster is in.
  local function accepted(operation)
    local count = 0
    for _, entry in ipairs(sim:log { operation = operation, accepted = true }) do
      count = count + 1
      for i, cluster in ipairs(sim.clusters) do
        if cluster.id == entry.cluster then
          assert.matches("/projects/" .. project_of(i) .. "/", entry.target, 1, true)
        end
      end
    end
    return count
  end

  local function check(report, operation)
    assert.equal(0, report:exit_code(), tostring(report))
    assert.equal(5, #report.ok)
    assert.equal(5, accepted(operation))
    assert.equal(0, #sim:log { status = 403 })
    assert.equal(0, #sim:log { status = 404 })
    for _, item in ipairs(report.ok) do
      assert.equal(project_of(tonumber(item.cluster_id:sub(-1), 16)), item.project_id)
    end
  end

  it("is rotated in one run", function()
    check(assert(rotations.rotate({ here, there })), "rotate_credentials")
  end)

  it("is rotated by ids, which the projects are asked for", function()
    local ids = {}
    for i, cluster in ipairs(sim.clusters) do ids[i] = cluster.id end
    check(assert(rotations.rotate({ here, there }, { clusters = ids })), "rotate_credentials")
  end)

  it("is resumed with the same clients, in any order, and with no others", function()
    local opts = { journal = dir .. "/journal", concurrency = 1,
      on_progress = function(done) return done < 1 end }
    assert.equal(1, #rotations.rotate({ here, there }, opts).ok)
    opts.on_progress = nil
    clients.fails("CONFLICT", rotations.rotate(here, opts))
    check(assert(rotations.rotate({ there, here }, opts)), "rotate_credentials")
  end)

  it("has its certificates revoked in one run", function()
    check(assert(cce.workflow.revoke({ here, there }, { clusters = { name = "*" },
      user_id = simulator.member.principal.id, rate_limit = false })), "revoke_cert")
  end)

  it("gets its kubeconfigs in one file", function()
    local path = dir .. "/config"
    check(assert(cce.workflow.issue({ here, there }, { merge_into = path, duration = 1 })),
      "obtain_cert")
    assert.equal(5, #assert(cce.expiry { path }))
  end)

  it("is whole and has ids, or nothing is begun: a gap in a list would end it", function()
    for _, each in ipairs { { here, nil, there }, { here, [3] = there }, { here, n = 1 } } do
      clients.raises("a client or a list of clients expected", function()
        local report = cce.workflow.rotate(each, { clusters = { name = "*" } })
        return report
      end)
    end
    local first, last = sim.clusters[1].id, sim.clusters[3].id
    for _, ids in ipairs { { first, nil, last }, { first, status = "Available" }, { first, "é" },
      { first, "" }, { first, 7 }, { first, {} } } do
      clients.fails("INVALID_ARGUMENT", rotations.rotate(here, { clusters = ids }))
      clients.fails("INVALID_ARGUMENT", cce.workflow.issue(here, { clusters = ids, duration = 1,
        merge_into = dir .. "/config" }))
    end
    assert.equal(0, accepted "rotate_credentials" + accepted "obtain_cert")
  end)

  it("does not begin when one project cannot be listed", function()
    sim:fault { operation = "list_clusters", status = 403, times = 1 }
    clients.fails("PERMISSION_DENIED", rotations.rotate({ here, there }))
    assert.equal(0, #sim:log { operation = "rotate_credentials" })
  end)
end)

describe("a workflow", function()
  local sim, client, dir, autopilot

  setup(function() sim = simulator.get() end)

  before_each(function()
    sim:reset()
    sim:set { job_seconds = 0.02 }
    client, dir = clients.new(sim, { stranger = true }), tempdir.new()
    autopilot = sim:state().autopilot[1].id
  end)

  after_each(function()
    client:close()
    tempdir.remove(dir)
  end)

  it("takes no cluster of Autopilot unless it is asked for", function()
    local report = assert(cce.workflow.issue(client, { clusters = { name = "*" }, duration = 1,
      dir = dir }))
    assert.equal(5, #report.ok)
    report = assert(cce.workflow.issue(client, { clusters = { name = "a*", autopilot = true },
      duration = 1, dir = dir }))
    assert.equal(1, #report.ok)
    assert.equal(autopilot, report.ok[1].cluster_id)
    clients.raises("'autopilot'", function()
      cce.workflow.issue(client, { clusters = { autopilot = 1 }, duration = 1, dir = dir })
    end)
  end)

  local both
  before_each(function() both = { autopilot, sim.clusters[1].id } end)

  for _, dry_run in ipairs { true, false } do
    it("leaves one out of a rotation" .. (dry_run and ", dry run" or ""), function()
      local report = assert(cce.workflow.rotate(client, { clusters = both, canary = 1,
        wait = { interval = 0.01 }, rate_limit = false, dry_run = dry_run }))
      assert.equal(autopilot, report.skipped[1].cluster_id)
      assert.matches("Autopilot, whose API has no call", report.skipped[1].message, 1, true)
      assert.equal(dry_run and 0 or 1, #report.ok)
      assert.equal(dry_run and 0 or 1, #sim:log { operation = "rotate_credentials" })
    end)

    it("fails one of a revocation" .. (dry_run and ", dry run" or ""), function()
      local report = assert(cce.workflow.revoke(client, { clusters = both, rate_limit = false,
        user_id = simulator.member.principal.id, dry_run = dry_run }))
      assert.equal(autopilot, report.failed[1].cluster_id)
      assert.equal("UNSUPPORTED", report.failed[1].err.code)
      assert.equal(dry_run and 0 or 1, #report.ok)
      assert.equal(dry_run and 0 or 1, #sim:log { operation = "revoke_cert" })
    end)
  end

  it("fails one, too, for who may list nothing", function()
    sim:deny(simulator.admin.principal.id, "cce:cluster:list")
    local report = assert(cce.workflow.revoke(client, { clusters = { autopilot },
      user_id = simulator.member.principal.id, rate_limit = false }))
    assert.equal("UNSUPPORTED", report.failed[1].err.code)
    assert.equal(0, #sim:log { operation = "revoke_cert" })
  end)
end)
