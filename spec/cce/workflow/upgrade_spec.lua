-- Journals and schedules that version 0.1.0 left, open or what it called finished, are read and
-- gone on with. They were made by its code with the simulator: see the files' own words.
local cce = require "cce"
local clients = require "spec.support.clients"
local core = require "cce.core"
local rotations = require "spec.support.shared.rotations"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

local FIXTURES = "spec/fixtures/v0.1.0/runs/"

describe("what version 0.1.0 left", function()
  local sim, client, dir

  setup(function() sim = simulator.get() end)

  before_each(function()
    sim:reset()
    sim:set { job_seconds = 0.02 }
    client = rotations.client(sim)
    dir = tempdir.new()
  end)

  after_each(function()
    client:close()
    tempdir.remove(dir)
  end)

  local function copy(name)
    tempdir.write(dir .. "/" .. name, assert(tempdir.read(FIXTURES .. name)))
    return dir .. "/" .. name
  end

  local function sent_to()
    local ids = {}
    for _, entry in ipairs(sim:log { operation = "rotate_credentials" }) do
      ids[#ids + 1] = tonumber(entry.cluster:match "%d+$")
    end
    table.sort(ids)
    return ids
  end

  local function counts(report)
    local c = report:counts()
    return { c.ok, c.failed, c.skipped, c.uncertain, c.pending }
  end

  it("as finished, though its key was refused: the rest is done, and nothing twice", function()
    local opts = { journal = copy "refused.journal", concurrency = 1 }
    local report = assert(rotations.rotate(client, opts))
    assert.same({ 5, 0, 0, 0, 0 }, counts(report))
    assert.equal(0, report:exit_code())
    assert.same({ 2, 3, 4, 5 }, sent_to())
    assert.equal(3, assert(rotations.rotate(client, opts)):exit_code())
    assert.same({ 2, 3, 4, 5 }, sent_to())
  end)

  it("interrupted: what is uncertain stays so, what had not begun is done", function()
    local opts = { journal = copy "interrupted.journal", concurrency = 1 }
    local report = assert(rotations.rotate(client, opts))
    assert.same({ 4, 0, 0, 1, 0 }, counts(report))
    assert.same({ 4, 5 }, sent_to())
    assert(require("cce.workflow.runs").settle(opts.journal, { cluster = "cluster-002",
      happened = true }))
    assert.equal(3, assert(rotations.rotate(client, opts)):exit_code())
    assert.same({ 4, 5 }, sent_to())
  end)

  it("with jobs that outlived its wait: they are looked at", function()
    client.wait_job = function(_, id)
      return require("cce.api.job").new { metadata = { uid = id }, status = { phase = "Success" } }
    end
    local report = assert(rotations.rotate(client, { journal = copy "waiting.journal" }))
    assert.same({ 5, 0, 0, 0, 0 }, counts(report))
    assert.same({}, sent_to())
  end)

  it("to another name: what is pending is handed over, and only that is left", function()
    local journal = copy "interrupted.journal"
    local report = assert(rotations.rotate(client, { journal = journal, run = "next" }))
    assert.same({ 4, 0, 0, 0, 1 }, counts(report))
    assert.matches("uncertain in run 20", report.pending[1].message)
    assert.same({ 1, 3, 4, 5 }, sent_to())
  end)

  it("of a revocation: what is ok is not sent again", function()
    local report = assert(cce.workflow.revoke(client, { clusters = { name = "*" },
      rate_limit = false, journal = copy "revoke.journal", concurrency = 1,
      user_id = simulator.member.principal.id }))
    assert.same({ 5, 0, 0, 0, 0 }, counts(report))
    assert.equal(3, #sim:log { operation = "revoke_cert" })
  end)

  it("in a schedule: entries are read, and the rotation goes on by its journal", function()
    copy "rotation.journal"
    local text = tempdir.read(FIXTURES .. "schedule.jsonl"):gsub("DIRECTORY", dir)
    tempdir.write(dir .. "/schedule.jsonl", text)
    -- Minutes after it was left, when its next time has not come.
    local left = 1795983963
    local schedule = assert(cce.schedule.open("sqlite:" .. dir .. "/schedule.db",
      { clock = function() return left + 60 end }))
    finally(function() schedule:close() end)
    assert.equal(3, assert(schedule:import(dir .. "/schedule.jsonl")).added)
    -- Whose clock that of the simulator follows.
    sim:clock(left + 60 - core.sys.time())
    local theirs = clients.new(sim, { clock = function() return left + 60 end })
    finally(function()
      sim:clock(0)
      theirs:close()
      schedule:close()
    end)
    local result = assert(schedule:run(function() return theirs end, { once = true,
      journal_dir = dir }))
    assert.same({ 2, 0, 1 }, { result.done, result.overdue, result.pending - 1 })
    assert.same({ 3 }, sent_to())
    assert.equal(1, #sim:log { operation = "revoke_cert", accepted = true })
  end)
end)
