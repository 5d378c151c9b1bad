local command = require "spec.support.command"
local json = require "cce.base.json"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

if not (simulator.has_program "nginx" and pcall(require, "argparse")) then
  describe("cce runs", function() pending "needs nginx and argparse" end)
  return
end

describe("cce runs", function()
  local sim, world

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
  end)

  after_each(function() world:remove() end)

  local function rotate(...)
    return world:cce { "rotate", "--every", "0.02", "--rate", "none", "--yes", ... }
  end

  local function runs(...)
    return world:cce { "runs", ... }
  end

  local function rotations()
    return #sim:log { operation = "rotate_credentials" }
  end

  -- cluster-001 is ok, cluster-002 uncertain, cluster-003 pending.
  local function leave_open()
    sim:fault { operation = "rotate_credentials", cluster = sim.clusters[2].id, status = 502 }
    sim:fault { operation = "rotate_credentials", cluster = sim.clusters[3].id, status = 403 }
    local result = rotate("cluster-001", "cluster-002", "cluster-003", "--run", "friday")
    assert.equal(2, result.code, result.out .. result.err)
    sim:clear_faults()
  end

  it("says when there are none", function()
    local result = runs "list"
    assert.equal(0, result.code)
    assert.matches("there are none", result.err, 1, true)
    assert.equal("[]\n", runs("list", "-o", "json").out)
    assert.equal(1, runs("show").code)
    assert.equal(1, runs("show", "--journal", world.dir .. "/none").code)
  end)

  it("lists runs, and shows how each cluster stands", function()
    leave_open()
    local result = runs "list"
    assert.equal(0, result.code, result.err)
    assert.matches("friday +rotate .* open +1 ok, 1 uncertain, 1 pending", result.out)
    local list = json.decode(runs("list", "--open", "-o", "json").out)
    assert.same({ "friday", true, 1 }, { list[1].run, list[1].open, list[1].counts.pending })
    local items = json.decode(runs("show", "friday", "-o", "json").out)
    assert.same({ "ok", "uncertain", "pending" },
      { items[1].state, items[2].state, items[3].state })
    assert.equal("PERMISSION_DENIED", items[3].code)
    assert.equal(sim.clusters[2].id .. "\n" .. sim.clusters[3].id .. "\n",
      runs("show", "--open", "-o", "name").out)
  end)

  it("says which journals have it, where more than one has", function()
    local state = world.dir .. "/.local/state/cce"
    leave_open()
    tempdir.write(state .. "/empty.journal", "")
    assert.equal(0, runs("show").code)
    assert.equal(0, rotate("cluster-004", "--run", "friday", "--journal", state .. "/a.journal")
      .code)
    assert.equal(0, rotate("cluster-005", "--run", "sunday", "--journal", state .. "/a.journal")
      .code)
    local both = ("one of %s/a.journal, %s/rotate-%s.journal\n"):format(state, state,
      sim.project_id)
    for which, words in pairs { run = { "show" }, ["run 'friday'"] = { "show", "friday" },
      ["run 'friday' "] = { "discard", "friday", "--yes" } } do
      local result = runs((table.unpack or unpack)(words))
      assert.equal(64, result.code)
      assert.matches(("more than one journal in %s has a %s\n  hint: Give --journal, %s"):format(
        state, which:gsub(" $", ""), both), result.err, 1, true)
    end
    assert.equal(sim.clusters[5].id .. "\n", runs("show", "sunday", "-o", "name").out)
    assert.equal(sim.clusters[4].id .. "\n", runs("show", "friday", "--journal", state
      .. "/a.journal", "-o", "name").out)
    local result = runs("show", "monday", "--journal", state .. "/a.journal")
    assert.equal(1, result.code)
    assert.matches(state .. "/a.journal has no run 'monday'\n", result.err, 1, true)
    result = runs("show", "--journal", state .. "/empty.journal")
    assert.equal(1, result.code)
    assert.matches(state .. "/empty.journal has no run\n", result.err, 1, true)
  end)

  it("settles what is uncertain by what a person saw", function()
    leave_open()
    assert.equal(64, runs("settle", "friday", "cluster-002").code)
    assert.equal(1, runs("settle", "friday", "cluster-001", "--happened").code)
    assert.equal(0, runs("settle", "friday", "cluster-002", "--happened").code)
    local result = rotate "--resume"
    assert.equal(0, result.code, result.out .. result.err)
    assert.matches("3 ok, 0 failed", result.out, 1, true)
    assert.equal(4, rotations())
    assert.equal("[]\n", runs("list", "--open", "-o", "json").out)
  end)

  it("lets what did not happen be done", function()
    leave_open()
    assert.equal(0, runs("settle", "friday", "cluster-002", "--did-not").code)
    assert.equal(0, rotate("--resume").code)
    assert.equal(5, rotations())
  end)

  it("ends a run: what is open is given up, never ok", function()
    leave_open()
    assert.equal(64, runs("discard").code)
    local result = runs("discard", "monday", "--yes")
    assert.equal(1, result.code)
    assert.matches("no journal in .* has a run 'monday'", result.err)
    result = runs("discard", "friday", "--yes")
    assert.equal(1, result.code)
    local items = json.decode(runs("show", "-o", "json").out)
    assert.same({ "ok", "given up", "given up" },
      { items[1].state, items[2].state, items[3].state })
    assert.matches("^given up, unknown", items[2].message)
    assert.matches("^given up: ", items[3].message)
    -- Asked again it failed, and nothing is sent.
    result = rotate "--resume"
    assert.equal(1, result.code)
    assert.matches("1 ok, 2 failed", result.out, 1, true)
    assert.equal(3, rotations())
    assert.equal(1, rotate("--resume", "--retry-failed").code)
    assert.equal(3, rotations())
    assert.equal(1, runs("discard", "--yes").code)
    -- Another one can begin.
    assert.equal(0, rotate("cluster-002").code)
  end)
end)
