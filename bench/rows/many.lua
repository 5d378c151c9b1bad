-- 10,000 items, 500 at a time: memory grows with connections and results and
-- with nothing else, and nobody waits much longer than the others.
local child = require "bench.lib.child"

local COUNT, CONCURRENCY = 10000, 500

return function(report, run)
  local result = child.run(run.lua_version, run.servers.dir, { "bench/programs/bulk.lua",
    run.servers.ports.slow, run.servers.ca_file, COUNT, CONCURRENCY })
  if result.failed > 0 then
    error(("many: %d of %d failed: %s"):format(result.failed, COUNT, result.first_failure), 0)
  end
  local grown = result.peak_resident - result.resident_before - result.result_bytes
  local group = "10,000 at 500"
  report:add { group = group, measure = "memory a connection, results aside",
    value = grown / CONCURRENCY, unit = "KiB", at_most = 100 * 1024 }
  report:add { group = group, measure = "slowest call (beside it: the median)",
    value = result.slowest, unit = "ms", beside = "median", beside_value = result.median }
  report:add { group = group, measure = "wall, 50 ms server", value = result.wall, unit = "s" }
end
