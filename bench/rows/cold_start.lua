-- One script that loads the library, signs, sends one request and ends; beside it
-- one of Lua, lua-cjson and libcurl alone that sends the same. Both read the
-- certificates of the system, as they would for the cloud.
local child = require "bench.lib.child"

local ROUNDS = 20

-- In turns; of each field the best round, see rows/signing.lua.
local function best_of(run, version)
  local best, ca_file = {}, run.servers:bundle()
  for _ = 1, ROUNDS do
    for _, name in ipairs { "once", "once_bare" } do
      local result = child.run(version, run.servers.dir, { "bench/programs/" .. name .. ".lua",
        run.servers.ports.at_once, ca_file })
      local known = best[name] or result
      best[name] = { cpu = math.min(known.cpu, result.cpu),
        peak_resident = math.min(known.peak_resident, result.peak_resident) }
    end
  end
  return best.once, best.once_bare
end

local function rows(report, run, version)
  local ours, bare = best_of(run, version)
  local name = version == "jit" and "LuaJIT" or "Lua " .. version
  report:add { group = "cold start", measure = name .. ": CPU of one request", value = ours.cpu,
    unit = "ms", beside = "bare script", beside_value = bare.cpu, ratio_at_most = 1.1 }
  report:add { group = "cold start", measure = name .. ": peak resident memory",
    value = ours.peak_resident, unit = "MiB", beside = "bare script",
    beside_value = bare.peak_resident, at_most = bare.peak_resident + 512 * 1024 }
end

return function(report, run)
  rows(report, run, run.lua_version)
  if run.has_jit and run.lua_version ~= "jit" then rows(report, run, "jit") end
end
