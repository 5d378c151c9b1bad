local clients = require "spec.support.clients"
local command = require "spec.support.command"
local core = require "cce.core"
local json = require "cce.base.json"
local simulator = require "spec.support.sim"

if not (simulator.has_program "nginx" and pcall(require, "argparse")) then
  describe("cce jobs", function() pending "needs nginx and argparse" end)
  return
end

describe("cce jobs", function()
  local sim, world

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
  end)

  after_each(function() world:remove() end)

  local function rotation()
    return sim:rotate(sim.clusters[2]).json.jobid
  end

  it("looks at a job and waits for it", function()
    local id = rotation()
    local job = json.decode(world:cce({ "jobs", "show", id, "-o", "json" }).out)
    assert.equal(id, job.id)
    assert.equal(sim.clusters[2].id, job.cluster_id)
    local result = world:cce { "jobs", "wait", id, "--every", "0.05" }
    assert.equal(0, result.code)
    assert.matches("job " .. id .. ": Success", result.out, 1, true)
    assert.equal("waiting for job " .. id .. "\n", result.err)
    assert.equal("", world:cce({ "jobs", "wait", id, "--every", "0.05", "-q" }).err)
  end)

  it("ends with 1 when it failed", function()
    sim:set { job_outcome = "Failed" }
    local id = rotation()
    local result = world:cce { "jobs", "wait", id, "--every", "0.05" }
    assert.equal(1, result.code)
    assert.matches("cce: job " .. id .. " failed", result.err, 1, true)
    assert.equal(1, world:cce({ "jobs", "show", id }).code)
  end)

  it("says after Ctrl-C that the job goes on", function()
    sim:set { cluster = sim.clusters[1].id, job_seconds = 60 }
    local client = clients.new(sim)
    local job = assert(client:rotate_credentials(sim.clusters[1].id, { component = "all" }))
    client:close()
    local finish, process = world:start_cce { "jobs", "wait", job.id }
    local deadline = core.sys.monotonic() + 120
    local function asked() return #sim:log { operation = "show_job" } > 0 end
    repeat core.sys.sleep(0.05) until asked() or core.sys.monotonic() > deadline
    core.sys.sleep(0.2)
    process:signal "SIGINT"
    local result = finish()
    assert.equal(130, result.code)
    assert.matches("the job goes on by itself: cce jobs show " .. job.id, result.err, 1, true)
  end)
end)
