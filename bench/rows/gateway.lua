-- One nginx worker with 100 clients, each of whose requests makes one call: how
-- many a second, and how long an unrelated location then takes. Beside it the
-- same by a cosocket that does the least a client can do, and by one that signs, as
-- ours does.
local wrk = require "bench.lib.wrk"

local CLIENTS, SECONDS = 100, 4
local CEILING = CLIENTS / 0.050

local function url(run, path)
  return "http://127.0.0.1:" .. run.servers.ports.gateway .. path
end

local function run_wrk(run, path, script, connections, seconds)
  return wrk.start { url = url(run, path), script = script, connections = connections,
    seconds = seconds, dir = run.servers.dir }
end

-- The load, and meanwhile the unrelated location; warmed up before.
local function under_load(run, path)
  run_wrk(run, path, "load.lua", CLIENTS, 1)()
  local cpu = run.servers:gateway_cpu()
  local load = run_wrk(run, path, "load.lua", CLIENTS, SECONDS)
  local probe = run_wrk(run, "/ping", "probe.lua", 2, SECONDS)()
  local result = load()
  if result.errors > 0 then
    error(("gateway: %s: %d of %d failed"):format(path, result.errors, result.requests), 0)
  end
  return { rate = result.requests / result.seconds, ping = probe.p99, p99 = result.p99,
    cpu = (run.servers:gateway_cpu() - cpu) / result.requests }
end

local function rows(report, run, which, group, limits)
  local library = under_load(run, "/library/" .. which)
  local cosocket = under_load(run, "/cosocket/" .. which)
  local signing = under_load(run, "/signing/" .. which)
  report:add { group = group, measure = "calls a second", value = library.rate, unit = "/s",
    beside = "cosocket, signed", beside_value = signing.rate, ratio_at_least = limits.calls,
    at_least = which == "slow" and CEILING * 0.95 or nil }
  report:add { group = group, measure = "calls a second", value = library.rate, unit = "/s",
    beside = "bare cosocket", beside_value = cosocket.rate }
  report:add { group = group, measure = "CPU a call", value = library.cpu, unit = "us",
    beside = "cosocket, signed", beside_value = signing.cpu }
  report:add { group = group, measure = "p99 of a call", value = library.p99, unit = "ms",
    beside = "bare cosocket", beside_value = cosocket.p99 }
  report:add { group = group, measure = "p99 of an unrelated location", value = library.ping,
    unit = "ms", beside = "bare cosocket", beside_value = cosocket.ping,
    ratio_at_most = limits.ping }
end

return function(report, run)
  if not run.has_jit then
    return report:skip("gateway", "it needs luajit and its headers (make LUA_VERSION=jit)")
  end
  run.servers:start_gateway()
  run_wrk(run, "/ping", "probe.lua", 2, 1)()
  local idle = run_wrk(run, "/ping", "probe.lua", 2, 2)()
  report:add { group = "gateway, idle", measure = "p99 of an unrelated location",
    value = idle.p99, unit = "ms" }
  rows(report, run, "slow", "gateway, 50 ms", {})
  rows(report, run, "at_once", "gateway, full", { calls = 0.6, ping = 2 })
end
