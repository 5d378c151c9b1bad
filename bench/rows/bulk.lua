-- Thousands of rotations through cce.map, beside wrk on the same server: what
-- a client can do that neither signs nor checks anything.
local child = require "bench.lib.child"
local wrk = require "bench.lib.wrk"

local COUNT, CONCURRENCY, ROUNDS = 5000, 100, 3

local function wrk_options(run, which)
  return { url = "https://127.0.0.1:" .. run.servers.ports[which], script = "rotate.lua",
    connections = CONCURRENCY, seconds = 2, dir = run.servers.dir }
end

local function bulk(run, which)
  local result = child.run(run.lua_version, run.servers.dir, { "bench/programs/bulk.lua",
    run.servers.ports[which], run.servers.ca_file, COUNT, CONCURRENCY })
  if result.failed > 0 then
    error(("bulk: %d of %d failed: %s"):format(result.failed, COUNT, result.first_failure), 0)
  end
  return result
end

-- In turns; of each field the best round, see rows/signing.lua.
local function best_of(run, which, rounds)
  local ours, theirs = {}, {}
  local function keep(best, name, value)
    best[name] = math.min(best[name] or math.huge, value)
  end
  for _ = 1, rounds do
    local result, report = bulk(run, which), wrk.run(wrk_options(run, which))
    keep(ours, "wall", result.wall)
    keep(ours, "cpu", result.cpu / COUNT)
    keep(ours, "peak", result.peak_resident)
    keep(theirs, "wall", report.seconds / report.requests * COUNT)
    keep(theirs, "cpu", report.cpu / report.requests)
  end
  return ours, theirs
end

return function(report, run)
  local ours, theirs = best_of(run, "at_once", ROUNDS)
  local group = "bulk, 0 ms"
  report:add { group = group, measure = "CPU a request", value = ours.cpu, unit = "us",
    beside = "wrk", beside_value = theirs.cpu, at_most = 80e-6 }
  report:add { group = group, measure = "5,000 rotations, 100 at a time", value = ours.wall,
    unit = "s", beside = "wrk", beside_value = theirs.wall }
  report:add { group = group, measure = "peak resident memory", value = ours.peak, unit = "MiB",
    at_most = 25 * 1048576 }
  ours, theirs = best_of(run, "slow", 2)
  group = "bulk, 50 ms"
  report:add { group = group, measure = "5,000 rotations, 100 at a time", value = ours.wall,
    unit = "s", beside = "wrk", beside_value = theirs.wall, ratio_at_most = 1.1 }
  report:add { group = group, measure = "CPU a request", value = ours.cpu, unit = "us",
    beside = "wrk", beside_value = theirs.cpu }
end
