local command = require "spec.support.command"
local json = require "cce.base.json"
local simulator = require "spec.support.sim"

if not (simulator.has_program "nginx" and pcall(require, "argparse")) then
  describe("cce doctor", function() pending "needs nginx and argparse" end)
  return
end

describe("cce doctor", function()
  local sim, world

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
  end)

  after_each(function() world:remove() end)

  it("is content with a good set-up", function()
    local result = world:cce { "doctor" }
    assert.equal(0, result.code)
    assert.matches("\nok +permissions ", result.out)
    local report = json.decode(world:cce({ "doctor", "-o", "json" }).out)
    assert.is_true(report.ok)
    assert.equal(7, #report.checks)
  end)

  it("ends with 1 and names what is wrong", function()
    local result = world:cce({ "doctor", "-o", "name" }, { env = { CCE_CA_FILE = "" } })
    assert.same({ code = 1, out = "tls\n", err = "" }, result)
  end)
end)
