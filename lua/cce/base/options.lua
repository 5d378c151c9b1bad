--- The one place where option tables are checked.
--
-- Wrong use (a wrong type, an option that does not exist, a missing one)
-- raises, and the error points at the line that made the call. A value out of
-- its range returns `nil, message, err` with the code `INVALID_ARGUMENT`.
--
-- A schema is a table of rules by option name:
--
--     local schema = {
--       duration = { type = "integer", min = -1, max = 1827, unit = "days" },
--       component = { type = "string", one_of = { "all", "custom" } },
--       interval = { type = "number", min = 0, default = 5 },
--       credentials = { type = { "table", "function" } },
--       cluster_id = { type = "string", required = true, non_empty = true },
--     }
--
-- Types are those of Lua, and `integer` (a number without a fraction, also
-- `3.0`), `list` (a table whose keys are 1..n), `callable` (a function or an
-- object that can be called) and `any`. The rule's key `check` may hold a
-- function of the value that returns true, or false and what was expected.
--
-- @module cce.base.options
-- @local
local errors = require "cce.error"
local values = require "cce.base.values"

local M = {}

local function is_callable(value)
  local meta = getmetatable(value)
  return type(value) == "function" or (type(meta) == "table" and meta.__call ~= nil)
end

local special_types = {
  any = function() return true end,
  integer = function(value) return type(value) == "number" and value % 1 == 0 end,
  list = function(value)
    if type(value) ~= "table" then return false end
    local count = 0
    for _ in pairs(value) do count = count + 1 end
    return count == #value
  end,
  callable = is_callable,
}

--- Whether a value can be called.
-- @treturn boolean
M.is_callable = is_callable

--- Whether a value is a list: without a gap, where `ipairs` would end, and without other keys.
-- @treturn boolean
M.is_list = special_types.list

local function has_type(value, name)
  local special = special_types[name]
  if special then return special(value) end
  return type(value) == name
end

local function has_one_of_types(value, types)
  if type(types) == "string" then return has_type(value, types) end
  for _, name in ipairs(types) do
    if has_type(value, name) then return true end
  end
  return false
end

local function describe_types(types)
  return type(types) == "string" and types or table.concat(types, " or ")
end

-- A fraction is a value of the right kind but out of range, so that it does
-- not raise: it may come from a computation on what the world said.
local function is_fraction(value, rule)
  return rule.type == "integer" and type(value) == "number"
end

local function contains(list, value)
  for _, each in ipairs(list) do
    if each == value then return true end
  end
  return false
end

local function show(value)
  if type(value) == "table" then
    return next(value) == nil and "an empty table" or ("a list of %d"):format(#value)
  end
  return type(value) == "string" and ("'%s'"):format(value) or tostring(value)
end

-- What was expected of a value of the right type, or nil when it is fine.
local function range_problem(value, rule)
  if is_fraction(value, rule) and value % 1 ~= 0 then return "a whole number" end
  local low, high = rule.min, rule.max
  -- NaN is inside of no range.
  if low and value < low or high and value > high or (low or high) and value ~= value then
    local unit = rule.unit and " " .. rule.unit or ""
    if low and high then return ("%s to %s%s"):format(low, high, unit) end
    return ("at %s %s%s"):format(low and "least" or "most", low or high, unit)
  end
  if rule.one_of and not contains(rule.one_of, value) then
    return "one of " .. table.concat(rule.one_of, ", ")
  end
  if rule.non_empty and value == "" then return "a string that is not empty" end
  if rule.check then
    local ok, expected = rule.check(value)
    if not ok then return expected or "another value" end
  end
  return nil
end

--- The edit distance of two short words.
-- @tparam string a
-- @tparam string b
-- @treturn number how many single characters must be changed, added or removed
function M.distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      local best = math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
      diagonal, row[j] = row[j], best
    end
  end
  return row[#b]
end

--- The names that a misspelt one probably meant.
-- @tparam string name what was given
-- @tparam table names a list of the right ones
-- @tparam[opt] number limit how many differences may be between them; by
--   default a third of the length
-- @treturn {string,...} the nearest first; those equally near in the order of
--   the alphabet; empty when none is near
function M.nearest(name, names, limit)
  limit = limit or math.max(2, math.floor(#name / 3))
  local found, distances = {}, {}
  for _, candidate in ipairs(names) do
    local distance = M.distance(values.lower(name), values.lower(candidate))
    if distance <= limit then
      found[#found + 1] = candidate
      distances[candidate] = distance
    end
  end
  table.sort(found, function(a, b)
    if distances[a] ~= distances[b] then return distances[a] < distances[b] end
    return a < b
  end)
  return found
end

local function raise_unknown(key, schema, level)
  if type(key) ~= "string" then
    error(("an option's name must be a string, not a %s"):format(type(key)), level)
  end
  local names = {}
  for name in pairs(schema) do names[#names + 1] = name end
  local near = M.nearest(key, names)[1]
  local question = near and (" (did you mean '%s'?)"):format(near) or ""
  error(("unknown option '%s'%s"):format(key, question), level)
end

--- Checks the options of a call.
-- @tparam ?table given what the caller passed; nil stands for no options
-- @tparam table schema rules by option name, as above
-- @tparam[opt=2] number level whom a raised error points at, as for `error`:
--   2 is the caller of the function that calls `check`
-- @treturn table a copy of the options, with the defaults filled in
-- @return nil, message, err when a value is out of its range
-- @usage
-- local options = require "cce.base.options"
-- local schema = { duration = { type = "integer", min = 1, max = 1827 } }
-- assert(options.check({ duration = 30 }, schema).duration == 30)
-- local ok, message, err = options.check({ duration = 0 }, schema)
-- assert(err.code == "INVALID_ARGUMENT")
function M.check(given, schema, level)
  level = (level or 2) + 1 -- as seen from here
  if given ~= nil and type(given) ~= "table" then
    error(("a table of options expected, got %s"):format(type(given)), level)
  end
  local result = {}
  for key, value in pairs(given or {}) do
    if schema[key] == nil then raise_unknown(key, schema, level + 1) end
    result[key] = value
  end
  -- Wrong use of any option raises, before the value of another one is looked at.
  for key, rule in pairs(schema) do
    local value = result[key]
    if value == nil then
      if rule.required then error(("option '%s' is missing"):format(key), level) end
    elseif not has_one_of_types(value, rule.type or "any") and not is_fraction(value, rule) then
      error(("bad option '%s' (%s expected, got %s)"):format(
        key, describe_types(rule.type), type(value)), level)
    end
  end
  for key, rule in pairs(schema) do
    local value = result[key]
    local expected = value ~= nil and range_problem(value, rule)
    if expected then
      return errors.fail("INVALID_ARGUMENT",
        ("%s is %s, but must be %s"):format(key, show(value), expected))
    end
    if value == nil then result[key] = rule.default end
  end
  return result
end

--- Raises "bad argument #index to 'name'" unless a value has a type.
-- @param value
-- @tparam string|table types as in a schema
-- @tparam number index which argument it is
-- @tparam string name of the function that was called
-- @tparam[opt=2] number level as for @{check}
function M.argument(value, types, index, name, level)
  if has_one_of_types(value, types) then return end
  error(("bad argument #%d to '%s' (%s expected, got %s)"):format(index, name,
    describe_types(types), value == nil and "no value" or type(value)), (level or 2) + 1)
end

return M
