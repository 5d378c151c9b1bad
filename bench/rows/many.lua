-- 10,000 items, 500 at a time: memory grows with connections and results and
-- with nothing else, and nobody waits much longer than the others.
local child = require "bench.lib.child"

local COUNT, CONCURRENCY = 10000, 500

return function(report, run)
  local function run_program(name)
    return child.run(run.lua_version, run.servers.dir, { "bench/programs/" .. name .. ".lua",
      run.servers.ports.slow, run.servers.ca_file, COUNT, CONCURRENCY })
  end
  local result, libcurl = run_program "bulk", run_program "curl_floor"
  if result.failed > 0 then
    error(("many: %d of %d failed: %s"):format(result.failed, COUNT, result.first_failure), 0)
  end
  local grown = result.peak_resident - result.resident_before - result.result_bytes
  local group = "10,000 at 500"
  report:add { group = group, measure = "memory a connection, results aside",
    value = grown / CONCURRENCY, unit = "KiB", beside = "libcurl alone",
    beside_value = (libcurl.peak_resident - libcurl.resident_before) / CONCURRENCY,
    ratio_at_most = 1.2 }
  report:add { group = group, measure = "slowest call (beside it: the median)",
    value = result.slowest, unit = "ms", beside = "median", beside_value = result.median,
    ratio_at_most = 4 }
  report:add { group = group, measure = "wall, 50 ms server", value = result.wall, unit = "s" }
end
