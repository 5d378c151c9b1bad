local command = require "spec.support.command"
local tempdir = dofile "spec/support/tempdir.lua"

if not pcall(require, "argparse") then
  describe("cce profiles", function() pending "needs argparse" end)
  return
end

describe("cce profiles", function()
  local world

  before_each(function() world = command.new { env = {} } end)
  after_each(function() world:remove() end)

  it("lists what is in the file, or says that there is none", function()
    local result = world:cce { "profiles", "-o", "name" }
    assert.same({ code = 0, out = "", err = "there are none in " .. world.dir
      .. "/.config/cce/config\n" }, result)
    tempdir.shell("mkdir -p " .. world.dir .. "/.config/cce")
    tempdir.write(world.dir .. "/.config/cce/config", "[test]\nregion = cn-north-4\n[prod]\n")
    assert.equal("prod\ntest\n", world:cce({ "profiles", "-o", "name" }).out)
    assert.matches("test +cn%-north%-4 +%-", world:cce({ "profiles" }).out)
  end)

  it("refuses a file that holds a secret, and does not show it", function()
    tempdir.shell("mkdir -p " .. world.dir .. "/.config/cce")
    tempdir.write(world.dir .. "/.config/cce/config", "[a]\nsk = example-value\n")
    local result = world:cce { "profiles" }
    assert.equal(64, result.code)
    assert.matches(":2: 'sk' has no place here", result.err, 1, true)
    assert.is_nil((result.out .. result.err):find("example-value", 1, true))
  end)
end)
