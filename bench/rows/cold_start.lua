-- One script that loads the library, signs, sends one request and ends.
local child = require "bench.lib.child"
local core = require "cce.core"
local process = require "bench.lib.process"

local ROUNDS = 20

local function median(list)
  table.sort(list)
  return list[math.ceil(#list / 2)]
end

local function time(spec)
  local start = core.sys.monotonic()
  local running = process.spawn(spec)
  local code = running:wait(20)
  local seconds = core.sys.monotonic() - start
  if code ~= 0 then
    error(table.concat(spec.argv, " ") .. " failed:\n" .. process.read(spec.output), 0)
  end
  return seconds
end

-- In turns; the median of each.
local function medians(specs)
  local times, result = {}, {}
  for _ = 1, ROUNDS do
    for name, spec in pairs(specs) do
      times[name] = times[name] or {}
      table.insert(times[name], time(spec))
    end
  end
  for name, list in pairs(times) do result[name] = median(list) end
  return result
end

local function specs_of(run, version)
  local dir, port = run.servers.dir, run.servers.ports.at_once
  local account = require "bench.lib.account"
  return {
    once = child.spec(version, dir, { "bench/programs/once.lua", port, run.servers.ca_file }),
    nothing = child.spec(version, dir, { "-e", "" }),
    curl = {
      argv = { "curl", "-s", "--cacert", run.servers.ca_file, "-d", account.body,
        "https://127.0.0.1:" .. port .. account.path },
      output = dir .. "/child",
    },
  }
end

local function peak(run, version)
  local spec = child.spec(version, run.servers.dir, { "bench/programs/once.lua",
    run.servers.ports.at_once, run.servers.ca_file, "peak" })
  os.remove(spec.output)
  return tonumber(process.run(spec))
end

local function rows(report, run, version)
  local specs = specs_of(run, version)
  if not run.programs.curl then specs.curl = nil end
  local times = medians(specs)
  local group = "cold start"
  local name = version == "jit" and "LuaJIT" or "Lua " .. version
  report:add { group = group, measure = name .. ": one request, all told", value = times.once,
    unit = "ms", beside = specs.curl and "curl", beside_value = times.curl, at_most = 0.020 }
  report:add { group = group, measure = name .. ": beside an empty script", value = times.once,
    unit = "ms", beside = "empty script", beside_value = times.nothing }
  report:add { group = group, measure = name .. ": peak resident memory",
    value = peak(run, version), unit = "MiB", at_most = 12 * 1048576 }
end

return function(report, run)
  rows(report, run, run.lua_version)
  if run.has_jit and run.lua_version ~= "jit" then rows(report, run, "jit") end
end
