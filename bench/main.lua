-- Everything that `make bench` measures, as one table.
--
--   tools/run-lua 5.4 bench/main.lua [--json] [--check] [ROW ...]
--
-- All of it happens on loopback, and what is compared runs in turns in one run:
-- read the ratios, the other numbers are of this machine. With --check it fails
-- when a target is missed, or something that has one was left out. Rows: signing
-- bulk gateway cold_start many growth.
local reports = require "bench.lib.report"

local ROWS = { "signing", "bulk", "gateway", "cold_start", "many", "growth" }
local NEEDS_SERVERS = { bulk = true, gateway = true, cold_start = true, many = true,
  growth = true }
local NEEDS_WRK = { gateway = true }

local function usage()
  error("usage: bench/main.lua [--json] [--check] [" .. table.concat(ROWS, "|") .. " ...]", 0)
end

local function read_arguments(list)
  local options, known = { rows = {} }, {}
  for _, name in ipairs(ROWS) do known[name] = true end
  for _, argument in ipairs(list) do
    if argument == "--json" or argument == "--check" then
      options[argument:sub(3)] = true
    elseif known[argument] then
      options.rows[#options.rows + 1] = argument
    else
      usage()
    end
  end
  if #options.rows == 0 then options.rows = ROWS end
  return options
end

local function exists(path)
  local file = io.open(path)
  return file ~= nil and file:close()
end

local function has_program(name)
  for dir in (os.getenv("PATH") or ""):gmatch("[^:]+") do
    if exists(dir .. "/" .. name) then return true end
  end
  return false
end

local function new_run()
  local root = os.getenv("CCE_TEST_ROOT")
  if not root then error("run it by tools/run-lua, or by make bench", 0) end
  return {
    lua_version = os.getenv("CCE_TEST_VERSION"),
    has_jit = has_program("luajit") and exists(root .. "/build/jit/cce/core.so"),
    programs = { wrk = has_program("wrk"), curl = has_program("curl") },
  }
end

local function measure(name, report, run)
  if NEEDS_WRK[name] and not run.programs.wrk then
    return report:skip(name, "wrk is not installed")
  end
  if NEEDS_SERVERS[name] and not run.servers then
    run.servers = require("bench.lib.servers").start()
  end
  require("bench.rows." .. name)(report, run)
end

-- Even what fails half-way ends its servers.
local function measure_all(options, report, run)
  local ok, problem = pcall(function()
    for _, name in ipairs(options.rows) do measure(name, report, run) end
  end)
  if run.servers then
    local complaints = run.servers:complaints()
    run.servers:stop()
    if complaints ~= "" then io.stderr:write("nginx says:\n", complaints, "\n") end
  end
  if not ok then error(problem, 0) end
end

local options = read_arguments(arg)
local report = reports.new(rawget(_G, "jit") and jit.version or _VERSION)
if not options.json then report:print_rows() end
measure_all(options, report, new_run())
if options.json then
  print(report:to_json())
else
  report:print_skipped()
end
if options.check and not report:is_met() then os.exit(1) end
