local command = require "spec.support.command"
local json = require "cce.base.json"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

if not (simulator.has_program "nginx" and pcall(require, "argparse")) then
  describe("cce expiry", function() pending "needs nginx and argparse" end)
  return
end

describe("cce expiry", function()
  local sim, world

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
  end)

  after_each(function() world:remove() end)

  local path

  before_each(function()
    path = world.dir .. "/.kube/config"
    tempdir.shell("mkdir -p " .. world.dir .. "/.kube")
    assert.equal(0, world:cce({ "obtain", "cluster-001", "--days", "11", "--merge-into", path,
      "-q" }).code)
  end)

  it("shows what is in the usual place, or in KUBECONFIG", function()
    assert.matches("1[01] days +" .. simulator.admin.principal.id, world:cce({ "expiry" }).out)
    local result = world:cce({ "expiry", "-o", "json" }, { env = {
      KUBECONFIG = path .. ":" .. world.dir .. "/nowhere" } })
    assert.equal(1, result.code)
    local rows = json.decode(result.out)
    assert.equal(1, #rows)
    assert.equal(sim.clusters[1].id, rows[1].cluster_id)
    assert.is_true(rows[1].key_matches)
    assert.matches("there is no '" .. world.dir .. "/nowhere'", result.err, 1, true)
  end)

  it("ends with 4 when one ends too soon", function()
    local result = world:cce { "expiry", "--within", "1d", path }
    assert.same({ code = 0, out = "", err = "no certificate ends in that time\n" }, result)
    assert.equal("[]\n", world:cce({ "expiry", "--within", "1d", path, "-o", "json" }).out)
    assert.equal(4, world:cce({ "expiry", "--within", "12d", path }).code)
    assert.equal(path .. "\n", world:cce({ "expiry", "--within", "12d", path, "-o", "name" }).out)
  end)
end)
