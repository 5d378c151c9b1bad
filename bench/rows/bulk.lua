-- Thousands of rotations through cce.map, on the same server as two others that
-- neither sign nor check anything: bench/curl_floor.c, which is libcurl alone,
-- and wrk, which does without it.
local child = require "bench.lib.child"
local wrk = require "bench.lib.wrk"

local CONCURRENCY, ROUNDS = 100, 3

local function wrk_options(run, which)
  return { url = "https://127.0.0.1:" .. run.servers.ports[which], script = "rotate.lua",
    connections = CONCURRENCY, seconds = 2, dir = run.servers.dir }
end

local function run_program(run, name, which, count, ca_file)
  local result = child.run(run.lua_version, run.servers.dir, { "bench/programs/" .. name .. ".lua",
    run.servers.ports[which], ca_file or run.servers.ca_file, count, CONCURRENCY })
  if result.failed > 0 then
    error(("%s: %d of %d failed: %s"):format(name, result.failed, count,
      result.first_failure or "by HTTP"), 0)
  end
  return result
end

-- In turns; of each field the best round, see rows/signing.lua.
local function best_of(run, which, rounds, count)
  local ours, libcurl, theirs = {}, {}, {}
  local function keep(best, name, value)
    best[name] = math.min(best[name] or math.huge, value)
  end
  for _ = 1, rounds do
    for best, name in pairs { [ours] = "bulk", [libcurl] = "curl_floor" } do
      local result = run_program(run, name, which, count)
      keep(best, "wall", result.wall)
      keep(best, "cpu", result.cpu / count)
      keep(best, "peak", result.peak_resident)
      keep(best, "grown", result.peak_resident - result.resident_before - result.result_bytes)
    end
    local report = run.programs.wrk and wrk.run(wrk_options(run, which))
    if report then
      keep(theirs, "wall", report.seconds / report.requests * count)
      keep(theirs, "cpu", report.cpu / report.requests)
    end
  end
  return ours, libcurl, theirs
end

local function add_rows(report, run, which, rounds, count)
  local ours, libcurl, theirs = best_of(run, which, rounds, count)
  local group = ("bulk %d, %s"):format(count, which == "slow" and "50 ms" or "0 ms")
  report:add { group = group, measure = "CPU a request", value = ours.cpu, unit = "us",
    beside = "libcurl alone", beside_value = libcurl.cpu, ratio_at_most = 1.35 }
  report:add { group = group, measure = "memory, results aside", value = ours.grown, unit = "MiB",
    beside = "libcurl alone", beside_value = libcurl.grown, ratio_at_most = 1.2 }
  report:add { group = group, measure = "wall, 100 at a time", value = ours.wall,
    unit = "s", beside = "libcurl alone", beside_value = libcurl.wall }
  if not theirs.cpu then return report:skip(group .. ", wrk", "wrk is not installed") end
  report:add { group = group, measure = "CPU a request", value = ours.cpu, unit = "us",
    beside = "wrk", beside_value = theirs.cpu }
  report:add { group = group, measure = "wall, 100 at a time", value = ours.wall,
    unit = "s", beside = "wrk", beside_value = theirs.wall }
end

-- Many connections of a short run, to whom the system's authorities count.
local function add_authorities(report, run, count)
  local ca_file, ours, libcurl = run.servers:bundle(), math.huge, math.huge
  for _ = 1, ROUNDS do
    ours = math.min(ours, run_program(run, "bulk", "slow", count, ca_file).cpu)
    libcurl = math.min(libcurl, run_program(run, "curl_floor", "slow", count, ca_file).cpu)
  end
  report:add { group = ("bulk %d, 50 ms"):format(count), measure = "CPU a request, system's CAs",
    value = ours / count, unit = "us", beside = "libcurl alone", beside_value = libcurl / count,
    ratio_at_most = 1.35 }
end

return function(report, run)
  add_rows(report, run, "at_once", ROUNDS, 5000)
  add_rows(report, run, "at_once", ROUNDS, 20000)
  add_rows(report, run, "slow", 2, 5000)
  add_authorities(report, run, 200)
end
