local command = require "spec.support.command"
local completion = require "cce.cli.command.tool.completion"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

if not (simulator.has_program "nginx" and pcall(require, "argparse")) then
  describe("cce completion", function() pending "needs nginx and argparse" end)
  return
end

describe("cce completion", function()
  local sim, world

  before_each(function()
    sim = simulator.get()
    world = command.new(sim)
  end)

  after_each(function() world:remove() end)

  it("prints a script for each shell", function()
    for shell, script in pairs(completion.scripts) do
      assert.same({ code = 0, out = script, err = "" }, world:cce { "completion", shell })
    end
    assert.equal(64, world:cce({ "completion", "tcsh" }).code)
  end)

  it("is a script that each shell can read, if it is there", function()
    for shell, script in pairs(completion.scripts) do
      tempdir.write(world.dir .. "/script", script)
      if simulator.has_program(shell) then
        assert.equal("", tempdir.shell(shell .. " -n " .. world.dir .. "/script"))
      end
    end
  end)

  -- What bash would offer after these words.
  local function offered(words)
    tempdir.write(world.dir .. "/ask.bash", ([[
      source %s/script
      COMP_WORDS=(cce %s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
      _cce
      printf '%%s\n' "${COMPREPLY[@]}"
    ]]):format(world.dir, words))
    tempdir.write(world.dir .. "/script", completion.scripts.bash)
    return world:start({ "/bin/bash", world.dir .. "/ask.bash" })().out
  end

  it("completes in bash", function()
    assert.equal("ensure\nexpiry\n", offered "e")
    assert.equal("cluster-002\n", offered "revoke cluster-002")
    assert.equal("--canary\n", offered "rotate --all --ca" and offered "rotate --all --can")
    tempdir.shell("touch " .. world.dir .. "/a-file.json")
    assert.equal(world.dir .. "/a-file.json\n", offered("who " .. world.dir .. "/a-f"))
  end)
end)
