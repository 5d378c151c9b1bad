--- Runs Lua code in a process of its own, whose environment a spec chooses.
--
--   local output = child.run({ CCE_REGION = "cn-north-4" }, [[ print(os.getenv "CCE_REGION") ]])
--
-- It has the search paths of this process and nothing else of its environment.
local core = require "cce.core"
local simulator = require "spec.support.sim"

local M = {}

local function environment(variables)
  local list = {
    "LUA_PATH=" .. package.path,
    "LUA_CPATH=" .. package.cpath,
    "PATH=" .. os.getenv "PATH",
  }
  -- A sanitized build needs its runtime in the child too.
  for _, name in ipairs { "LD_PRELOAD", "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS" } do
    if os.getenv(name) then list[#list + 1] = name .. "=" .. os.getenv(name) end
  end
  for name, value in pairs(variables) do
    list[#list + 1] = name .. "=" .. value
  end
  return list
end

--- Runs the code and returns what it wrote, standard error included.
function M.run(variables, code)
  local script, out = os.tmpname(), os.tmpname()
  simulator.write(script, code)
  local process = assert(core.sys.spawn {
    argv = { simulator.interpreter(), script }, env = environment(variables),
    stdin = "/dev/null", stdout = out, stderr = out, die_with_parent = true,
  })
  process:wait(120)
  process:close()
  local text = simulator.read(out)
  os.remove(script)
  os.remove(out)
  return text
end

return M
