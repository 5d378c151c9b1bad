local command = require "spec.support.command"
local json = require "cce.base.json"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

if not (simulator.has_program "nginx" and pcall(require, "argparse")) then
  describe("cce holders", function() pending "needs nginx and argparse" end)
  return
end

describe("cce holders", function()
  local sim, world

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
    assert.equal(0, world:cce({ "obtain", "cluster-001", "--days", "3", "--out", "-" }).code)
  end)

  after_each(function() world:remove() end)

  it("lists who is in, says what it cannot see, and after a revocation nobody", function()
    local result = world:cce { "holders" }
    assert.equal(0, result.code, result.err)
    assert.matches("cluster%-001 +admin +user +a0+1 +holds +enabled +20", result.out)
    assert.matches("cannot see: what was obtained before", result.err, 1, true)
    assert.equal(0, world:cce({ "revoke", "cluster-001", "--user",
      simulator.admin.principal.id, "--allow-self", "--yes" }).code)
    assert.same({}, json.decode(world:cce({ "holders", "-o", "json" }).out))
    local rows = json.decode(world:cce({ "holders", "--all-states", "-o", "json" }).out)
    assert.equal("revoked", rows[1].state)
  end)

  it("ends with 4 when somebody is there who is not expected", function()
    local path = world.dir .. "/team"
    tempdir.write(path, "cluster-001 admin # may stay\n")
    assert.equal(0, world:cce({ "holders", "--expected", path }).code)
    tempdir.write(path, "cluster-002 admin\n")
    local result = world:cce { "holders", "cluster-001", "--expected", path }
    assert.equal(4, result.code)
    assert.matches("holds, UNEXPECTED", result.out, 1, true)
  end)
end)
