-- The lines that README shows for the shell, run in their order where the command was installed
-- from a clean copy. What it shows of a terminal is typed by typed_spec, its Lua by manual_spec,
-- `make demo` and `make install` by demo_spec and packaging_spec.
local command = require "spec.support.command"
local examples = require "spec.support.examples"
local installed = require "spec.support.installed"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

local MEMBER = simulator.member.principal.id

-- What stands for something of the reader's, and what would ask, wait or go on for ever.
local ADAPTED = {
  { "'prod%-%*'", "'cluster-*'" }, { " prod ", " cluster-001 " }, { "USER_ID", MEMBER },
  { " ops ", " sim-agency " }, { " alice$", " member" }, { "^(cce leaver .*)$", "%1 --yes" },
  { "ENTRY", "$(cce schedule list -o name | head -n 1)" },
  { "^(cce rotate .*)$", "%1 --yes --no-wait" }, { "^(cce revoke .*)$", "%1 --yes" },
  { "^(cce schedule run)$", "%1 --once" },
}

local function adapt(line)
  line = line:gsub("%s+#.*$", "")
  for _, change in ipairs(ADAPTED) do line = line:gsub(change[1], change[2]) end
  return line
end

-- Those of the command and of kubectl; `make` and the simulator have specs of their own.
local function lines_of_readme()
  local list = {}
  for _, block in ipairs(examples.blocks("README.md", "sh")) do
    for line in (block.text .. "\n"):gmatch "([^\n]*)\n" do
      if line:match "^cce " or line:match "^kubectl " or line:match "^source " then
        list[#list + 1] = line
      end
    end
  end
  return list
end

describe("the shell lines of README", function()
  it("work as they stand #unchecked #toolchain", function()
    for _, program in ipairs { "nginx", "kubectl", "bash" } do
      if not simulator.has_program(program) then return pending("needs " .. program) end
    end
    local sim = simulator.get()
    sim:reset()
    -- Nobody waits for the rotations: a leaver's line must not meet one under way.
    sim:set { job_seconds = 0 }
    local world, place = command.new(sim), installed.place()
    finally(function()
      world:remove()
      place:remove()
    end)
    world.env.LUA_PATH, world.env.LUA_CPATH, world.env.PATH = nil, nil, place.env.PATH
    tempdir.shell("mkdir " .. world.dir .. "/.kube")
    local lines = lines_of_readme()
    assert.is_true(#lines >= 13)
    for _, line in ipairs(lines) do
      local result = world:start({ "bash", "-c", "cd; " .. adapt(line) })()
      -- The simulated project has a cluster of CCE Autopilot, whose API revokes nothing.
      local expected = line:find "^cce leaver" and 1 or 0
      assert.equal(expected, result.code, ("%s\n%s%s"):format(adapt(line), result.out, result.err))
    end
  end)
end)
