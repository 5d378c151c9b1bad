-- Files that the released version wrote are read, and gone on with.
local cce = require "cce"
local clients = require "spec.support.clients"
local journals = require "cce.log.journal"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

local USER = ("0"):rep(31) .. "7"

describe("files of version 0.1.0", function()
  local sim, dir

  setup(function() sim = simulator.get() end)

  before_each(function()
    sim:reset()
    dir = tempdir.new()
  end)

  after_each(function() tempdir.remove(dir) end)

  -- A copy that may be written to; `torn`: as a killed process leaves it.
  local function copy(name, torn)
    local text = tempdir.read("spec/fixtures/v0.1.0/" .. name)
    tempdir.write(dir .. "/" .. name, text .. (torn or ""))
    return dir .. "/" .. name, text
  end

  it("an interrupted run is resumed: what was sent is not sent again", function()
    local path, text = copy("open.journal", '{"at":"2026-')
    local client = clients.new(sim, {})
    local ids = {}
    for i = 3, 5 do ids[#ids + 1] = sim.clusters[i].id end
    local report = assert(cce.workflow.rotate(client, { clusters = ids, journal = path,
      wait = false, rate_limit = false }))
    client:close()
    assert.is_true(report.resumed)
    assert.equal(3, #report.ok)
    assert.equal(2, #sim:log { operation = "rotate_credentials" })
    assert.equal(text, tempdir.read(path):sub(1, #text))
    assert.is_nil(tempdir.read(path):find("lua-cce run journal", 1, true))
    assert.equal(1, #assert(journals.read(path)).runs)
  end)

  it("a finished run is reported, and not repeated", function()
    local path, text = copy "finished.journal"
    local client = clients.new(sim, {})
    local report = assert(cce.workflow.rotate(client, {
      clusters = { sim.clusters[1].id, sim.clusters[2].id }, journal = path, wait = false }))
    client:close()
    assert.truthy(report.already_finished)
    assert.same({}, sim:log { operation = "rotate_credentials" })
    assert.equal(text, tempdir.read(path))
  end)

  it("an audit log is verified, and its chain goes on", function()
    local path, text = copy("audit.log", '{"n":11,"at":')
    local client = clients.new(sim, { audit_log = path })
    assert(client:revoke_cert(sim.clusters[1].id, { user_id = "someone" }))
    client.audit_log:close()
    client:close()
    assert.equal(text, tempdir.read(path):sub(1, #text))
    local state = assert(cce.audit_log.verify(path, { count = 10,
      head = text:match '"hash":"(%x+)"}\n$' }))
    assert.equal(12, state.count)
  end)

  it("an interrupted revocation is resumed by the same call", function()
    local path, text = copy("revoke.journal", '{"at":"2026-')
    local client, ids = clients.new(sim, {}), {}
    for i = 1, 3 do ids[i] = sim.clusters[i].id end
    local report = assert(cce.workflow.revoke(client, { clusters = ids, journal = path,
      user_id = USER, run = "leaver" }))
    client:close()
    assert.is_true(report.resumed)
    assert.equal(3, #report.ok)
    assert.equal(2, #sim:log { operation = "revoke_cert" })
    assert.equal(text, tempdir.read(path):sub(1, #text))
  end)

  it("a schedule is opened, and an export is imported and replaced", function()
    if not pcall(require, "luasql.sqlite3") then return pending "needs luasql with SQLite" end
    local path = copy "schedule.db"
    local schedule = assert(cce.schedule.open("sqlite:" .. path, {}))
    local entry = assert(schedule:get "1m8mj03cv6hq9dwx")
    assert.equal("revoke", entry.kind)
    assert.equal(USER, entry.user_id)
    assert.equal(4102444800, entry.due)
    local export = copy "schedule.jsonl"
    assert.equal(1, schedule:export(export))
    schedule:close()
    schedule = assert(cce.schedule.open("sqlite:" .. dir .. "/new.db", {}))
    assert.same({ added = 1, existing = 0 }, schedule:import((copy "schedule.jsonl")))
    assert.equal(4102444800, assert(schedule:get "1m8mj03cv6hq9dwx").due)
    schedule:close()
  end)
end)
