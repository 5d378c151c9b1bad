--- Runs a call of C again and again, with a finalizer at each point where it may collect garbage.
--
--   local finalizers = require "spec.support.shared.finalizers"
--   local points = finalizers.sweep(function()
--     local secret = core.secret "x"
--     return { run = function() return secret:part("json", "a") end, closes = { secret } }
--   end, finalizers.mischief.close)
--
-- Lua collects inside of nearly every function of its API that allocates, and a finalizer is any
-- Lua code. So the collector is set to do a whole cycle at each such point, and the K-th of them
-- runs the mischief: for K = 1, 2, 3 … until the call has no more. C that looks at a pointer,
-- allocates, and uses it, then uses what is gone.
local M = {}

local unpack = table.unpack or unpack -- luacheck: ignore
local is_jit = rawget(_G, "jit") ~= nil

-- A finalizer is called once; each makes the object for the next.
local new_garbage
if rawget(_G, "newproxy") then
  local template = newproxy(true) -- luacheck: ignore
  function new_garbage(on_collect)
    getmetatable(template).__gc = on_collect
    newproxy(template) -- luacheck: ignore
  end
else
  function new_garbage(on_collect)
    setmetatable({}, { __gc = on_collect })
  end
end

-- A whole cycle whenever the collector gets a chance. A multiplier of 0 has no limit to a step in
-- 5.1 and LuaJIT; later ones take a large one, and 5.4 also the size of a step as a power of two.
local function collect_always()
  if _VERSION == "Lua 5.4" then
    collectgarbage("incremental", 100, 1000, 63)
  end
  collectgarbage("setstepmul", (_VERSION == "Lua 5.1") and 0 or 1000000)
  collectgarbage("setpause", 0)
end

local function collect_as_usual()
  if _VERSION == "Lua 5.4" then
    collectgarbage("incremental", 200, 100, 13)
  end
  collectgarbage("setstepmul", 200)
  collectgarbage("setpause", 200)
end

-- Text of results, to be compared. Objects and durations differ between two calls.
local function show(value, key)
  if type(value) == "table" then
    local parts = {}
    for k, v in pairs(value) do parts[#parts + 1] = tostring(k) .. "=" .. show(v, k) end
    table.sort(parts)
    return "{" .. table.concat(parts, ",") .. "}"
  elseif type(value) == "string" or type(value) == "boolean" or value == nil then
    return ("%q"):format(tostring(value))
  elseif type(value) == "number" and key ~= "seconds" then
    return tostring(value)
  end
  return type(value)
end

-- Everything reachable through tables, each once.
local function visit_tables(value, visit, seen)
  if type(value) ~= "table" or seen[value] then return end
  seen[value] = true
  for _, inner in pairs(value) do visit_tables(inner, visit, seen) end
  visit(value)
end

M.mischief = {}

--- Closes every object that the call uses.
function M.mischief.close(scene)
  for _, object in ipairs(scene.closes or {}) do object:close() end
end

--- Replaces each string in the tables that the call reads: the old ones are garbage then. No file
-- can be made where they lead as paths.
function M.mischief.change(scene)
  visit_tables(scene.tables, function(t)
    for key, value in pairs(t) do
      if type(value) == "string" then t[key] = "/nonexistent/" .. tostring(scene) .. value end
    end
  end, {})
end

--- Makes the same call with the same objects.
function M.mischief.reuse(scene)
  pcall(scene.run)
end

local function one_run(make, mischief, at)
  local scene = make()
  local points, watching = 0, true
  local function on_collect()
    if not watching then return end
    points = points + 1
    if points == at then mischief(scene) end
    new_garbage(on_collect)
    -- 5.2 puts the next cycle off when a finalizer allocates.
    if _VERSION == "Lua 5.2" then collectgarbage "restart" end
  end
  local run = scene.run
  collect_always()
  collectgarbage() -- whose end decides by the new parameters when the next one begins
  new_garbage(on_collect)
  local results = { pcall(run) }
  watching = false
  collect_as_usual()
  collectgarbage()
  local ok = results[1]
  local text = {}
  for i = 2, 6 do text[#text + 1] = show(results[i]) end
  if scene.done then scene.done() end
  for _, object in ipairs(scene.closes or {}) do object:close() end
  return points, ok, table.concat(text, " "), results
end

-- Freed memory is full of this where the C library was told to fill it (MALLOC_PERTURB_).
local FREED = ("\170"):rep(8)

--- Returns how many points were tried: the first `limit` ones, or all. Raises when a run ends with
-- what it cannot end with: another result, or bytes of freed memory.
function M.sweep(make, mischief, limit)
  if is_jit then jit.off() end -- luacheck: ignore
  local points, expected_ok, expected = one_run(make, mischief, 0)
  points = math.min(points, limit or points)
  for at = 1, points do
    local _, ok, text, results = one_run(make, mischief, at)
    local refused = not ok or results[2] == nil or mischief == M.mischief.change
      or tostring(results[2]):find ": closed$"
    if text:find(FREED, 1, true) then
      error(("freed memory in what came back, at point %d: %s"):format(at, text:sub(1, 300)), 0)
    end
    if not refused and (text ~= expected or not expected_ok) then
      error(("at point %d\n%s instead of\n%s"):format(at, text, expected), 0)
    end
  end
  return points
end

M.unpack = unpack

return M
