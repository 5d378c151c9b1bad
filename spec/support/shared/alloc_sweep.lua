--- Makes every allocation of an action fail, one after the other.
--
-- A scenario is a file of spec/alloc/ that calls this module; tools/alloc runs
-- each in a process of its own. For every N, first with only the N-th
-- allocation failing and then with all from the N-th on, it is demanded that
--
-- * the process lives,
-- * the action succeeds, returns nil and a message, or raises; what it says speaks of
--   memory, so that what only follows from that ("attempt to index a nil value", "no
--   connection") does not pass,
-- * no block, descriptor or noticeable amount of Lua memory is left behind,
-- * the same action, without a failure, succeeds afterwards.
--
--     sweep {
--       name = "sign a request",
--       setup = function() return core.signer{...} end,   -- optional
--       action = function(signer) return signer:sign{...} end,
--       teardown = function(signer) signer:close() end,   -- optional
--       watch = { "lua", "core.so" },                     -- optional
--       may_say = { "^closed$" },  -- optional: what else it may say, as patterns
--     }

local failing_malloc = require "failing_malloc"

local EFFORT = os.getenv "CCE_TEST_EFFORT" or "quick"
local RESULTS = os.getenv "CCE_TEST_RESULTS"
-- The allocations of Lua itself, of ours, and of libcurl on our behalf. Those
-- of libcrypto are left out: how OpenSSL bears a lack of memory is its affair.
local WATCH = { "lua", "cce/core.so", "libcurl" }
local REPEATS = 4 -- a leak leaks each time; a cache fills once
local LUA_SLACK_KB = 64
local unpack = table.unpack or unpack -- luacheck: ignore

-- LuaJIT keeps the machine code of what it has compiled: that is no leak.
local jit = rawget(_G, "jit")
if jit then jit.off() end

local function record(kind, name)
  io.write(kind == "ok" and "ok      " or "FAILED  ", name, "\n")
  if RESULTS then
    local file = assert(io.open(RESULTS, "a"))
    file:write(kind, " ", (name:gsub("%s+", " ")), "\n")
    file:close()
  end
end

local function nothing()
end

local function collect()
  collectgarbage()
  collectgarbage()
end

-- A run of the action with the n-th allocation failing; n = 0: none.
local function attempt(scenario, n, persist)
  local state = scenario.setup()
  collect()
  local ok, first, second, third = failing_malloc.run(n, persist, scenario.action, state)
  local count, fired, site = failing_malloc.seen()
  scenario.teardown(state)
  return { ok = ok, first = first, second = second, third = third,
    count = count, fired = fired, site = site }
end

local function succeeded(outcome)
  return outcome.ok and outcome.first ~= nil and outcome.first ~= false
end

-- What is wrong with how the action ended, or nil.
local function fault(scenario, outcome)
  if succeeded(outcome) then
    return nil
  end
  local message = outcome.ok and outcome.second or outcome.first
  if outcome.ok and type(message) ~= "string" then
    return "it returned nil without a message"
  end
  local text = tostring(message)
  for _, pattern in ipairs { "[Mm]emory", unpack(scenario.may_say) } do
    if text:find(pattern) then return nil end
  end
  return "what it says is not about memory: " .. text
end

local function held()
  collect()
  return failing_malloc.live(), failing_malloc.descriptors()
end

-- What grows with every repetition of the same failure, or nil.
local function leak(scenario, n, persist)
  local blocks, descriptors = held()
  local least_blocks, least_descriptors = math.huge, math.huge
  for _ = 1, REPEATS do
    attempt(scenario, n, persist)
    local more_blocks, more_descriptors = held()
    least_blocks = math.min(least_blocks, more_blocks - blocks)
    least_descriptors = math.min(least_descriptors, more_descriptors - descriptors)
    blocks, descriptors = more_blocks, more_descriptors
  end
  if least_blocks > 0 then
    return ("%d blocks are never freed"):format(least_blocks)
  elseif least_descriptors > 0 then
    return ("%d descriptors are never closed"):format(least_descriptors)
  end
end

-- One N: returns how many allocations the run saw, and what is wrong.
local function try(scenario, n, persist)
  local blocks, descriptors = held()
  local outcome = attempt(scenario, n, persist)
  local problem = fault(scenario, outcome)
  outcome.first, outcome.second, outcome.third = nil, nil, nil
  local more_blocks, more_descriptors = held()
  if not problem and (more_blocks > blocks or more_descriptors > descriptors) then
    problem = leak(scenario, n, persist)
  end
  return outcome, problem
end

-- quick: every N at first, where construction is, then wider and wider steps.
local function next_n(n)
  return EFFORT == "full" and n + 1 or n + 1 + math.floor(n / 40)
end

local function sweep_mode(scenario, persist)
  local n, tried = 1, 0
  while true do
    local outcome, problem = try(scenario, n, persist)
    if problem then
      return nil, ("allocation %d (%s)%s: %s"):format(n, outcome.site or "not reached",
        persist and " and all after it" or "", problem)
    elseif not outcome.fired then
      return tried
    end
    tried, n = tried + 1, next_n(n)
  end
end

-- Caches that fill once, in Lua, libcurl and libcrypto, are filled here.
local function warm_up(scenario)
  local outcome
  for _ = 1, 2 do
    outcome = attempt(scenario, 0, false)
  end
  if not succeeded(outcome) then
    error(("without a failure: %s %s"):format(tostring(outcome.first), tostring(outcome.second)), 0)
  end
end

local function run(scenario)
  warm_up(scenario)
  -- Only now is every library loaded that the action uses.
  assert(failing_malloc.watch(scenario.watch) > 0, "nothing to watch")
  warm_up(scenario)
  collect()
  local kilobytes = collectgarbage "count"
  local tried = 0
  for _, persist in ipairs { false, true } do
    local count, problem = sweep_mode(scenario, persist)
    if not count then
      return nil, problem
    end
    tried = tried + count
    warm_up(scenario)
  end
  collect()
  local growth = collectgarbage "count" - kilobytes
  if growth > LUA_SLACK_KB then
    return nil, ("%.0f KB of Lua memory are never freed"):format(growth)
  end
  return tried
end

local function sweep(options)
  local scenario = {
    name = assert(options.name, "a scenario has a name"),
    setup = options.setup or nothing,
    action = assert(options.action, "a scenario has an action"),
    teardown = options.teardown or nothing,
    watch = options.watch or WATCH,
    may_say = options.may_say or {},
  }
  local ok, tried, problem = pcall(run, scenario)
  if ok and tried then
    record("ok", ("%s: %d failures tried"):format(scenario.name, tried))
  else
    record("not ok", scenario.name .. ": " .. tostring(problem or tried))
  end
end

return sweep
