local clients = require "spec.support.clients"
local errors = require "cce.error"
local preflight = require "cce.workflow.rotate.preflight"
local rotations = require "spec.support.shared.rotations"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

describe("the pre-flight of a rotation", function()
  local sim, client
  local admin = simulator.admin.principal.id

  setup(function() sim = simulator.get() end)

  before_each(function()
    sim:reset()
    sim:set { job_seconds = 0 }
    client = rotations.client(sim)
  end)

  after_each(function() client:close() end)

  local function sent()
    return #sim:log { operation = "rotate_credentials" }
  end

  local function refused(action, more)
    sim:deny(admin, action)
    local err = clients.fails("PERMISSION_DENIED", rotations.rotate(client, more))
    assert.matches(action, err.hint, 1, true)
    assert.equal(0, sent())
    return err
  end

  it("names the right to list clusters", function()
    refused("cce:cluster:list")
  end)

  it("names the right to look at clusters, and the project", function()
    local err = refused("cce:cluster:get", { canary = 1 })
    assert.matches("nothing was sent, since the clusters of project " .. sim.project_id,
      err.message, 1, true)
    assert.equal(3, #sim:log { operation = "show_cluster" })
    assert.same({ false, false, 403, "rotate" }, { err.retryable, err.maybe_applied, err.status,
      err.operation })
    assert.is_string(err.request_id)
    assert.is_string(err.api_code)
  end)

  it("names the right to look at jobs, unless they are not waited for", function()
    assert.equal(0, rotations.rotate(client, { clusters = { sim.clusters[1].id } }):exit_code())
    sim:deny(admin, "cce:job:get")
    local err = clients.fails("PERMISSION_DENIED", rotations.rotate(client))
    assert.matches("the jobs of project", err.message, 1, true)
    assert.equal(1, sent())
    assert.equal(5, #rotations.rotate(client, { wait = false }).ok)
  end)

  it("tries with each client, whose rights may be others", function()
    local function of(code)
      return { show_cluster = function()
        if not code then return { raw = {} } end
        return nil, "no", errors.new(code, "it is refused", {})
      end }
    end
    local mine, theirs = of(), of "PERMISSION_DENIED"
    local items = { { id = "c1", client = mine }, { id = "c2", client = mine },
      { id = "c3", client = theirs } }
    local ok, message = preflight.check { opts = {}, items_in = function() return items end }
    assert.is_nil(ok)
    assert.equal("rotate: nothing was sent, since the clusters of project unknown may not be looked"
      .. " at: it is refused", message)
  end)

  it("is part of a dry run, which says what cannot be tried", function()
    local dir = tempdir.new()
    finally(function() tempdir.remove(dir) end)
    local report = assert(rotations.rotate(client, { dry_run = true,
      reissue = { dir = dir .. "/nowhere", duration = 1 } }))
    assert.matches("cannot be told before: cce:cluster:rotateCredentials,"
      .. " cce:cluster:generateClientCredential", table.concat(report.notes, "\n"), 1, true)
    refused("cce:cluster:get", { dry_run = true })
  end)

  it("takes one cluster that may not be looked at for no more than that", function()
    sim:fault { operation = "show_cluster", cluster = sim.clusters[1].id, status = 403 }
    local report = assert(rotations.rotate(client))
    assert.equal(4, #report.ok)
    assert.equal("PERMISSION_DENIED", report.pending[1].code)
  end)

  it("leaves what is no question of rights to the clusters' turns", function()
    sim:fault { operation = "show_cluster", cluster = sim.clusters[1].id, status = 404 }
    local report = assert(rotations.rotate(client))
    assert.equal(4, #report.ok)
    assert.equal("NOT_FOUND", report.failed[1].code)
    -- Also where there is no other, and of a job.
    local one = { clusters = { sim.clusters[1].id } }
    assert.equal("NOT_FOUND", assert(rotations.rotate(client, one)).failed[1].code)
    sim:clear_faults()
    assert.equal(1, #assert(rotations.rotate(client, one)).ok)
    sim:fault { operation = "show_job", status = 404, times = 1 }
    assert.equal(1, #assert(rotations.rotate(client, one)).ok)
  end)
end)
