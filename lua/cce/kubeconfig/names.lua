--- Names inside a kubeconfig: renaming them, and every reference to them.
--
-- Internal to @{cce.kubeconfig}. Every cluster's kubeconfig comes with the same
-- names ("internal", "user", ...): they must differ before two are merged.
--
-- @module cce.kubeconfig.names
-- @local
local read = require "cce.kubeconfig.read"

local M = {}

--- A copy of a table and of all tables in it, array marks included.
-- @param value
-- @return the copy
function M.copy(value)
  if type(value) ~= "table" then return value end
  local result = {}
  for key, member in pairs(value) do result[key] = M.copy(member) end
  return setmetatable(result, getmetatable(value))
end

local function derive_section(data, section, base, chosen)
  local map = {}
  for _, old in ipairs(read.names(data, section)) do
    -- An old name that already belongs to `base` stays, so that the same name can be
    -- given twice.
    local belongs = old:sub(1, #base + 1) == base .. "-"
    map[old] = old == chosen and base or belongs and old or base .. "-" .. old
  end
  return map
end

--- New names for all entries: `base` for one context and for its cluster and
-- user, `base-<old name>` for the others.
-- @tparam table data
-- @tparam string base
-- @tparam ?string context the one that gets the short name
-- @treturn table maps from old to new names, by section
function M.plan(data, base, context)
  local chosen = read.find(data, "contexts", context)
  local body = chosen and chosen.body or {}
  return {
    contexts = derive_section(data, "contexts", base, context),
    clusters = derive_section(data, "clusters", base, body.cluster),
    users = derive_section(data, "users", base, body.user),
  }
end

local function map_problem(data, section, map)
  local field = read.sections[section]
  for old, new in pairs(map) do
    if not read.find(data, section, old) then
      return ("there is no %s '%s'; there are: %s"):format(
        field, tostring(old), table.concat(read.names(data, section), ", "))
    elseif type(new) ~= "string" or new == "" or new:find("%c") then
      return ("the new name of %s '%s' must be text without control characters"):format(field, old)
    end
  end
  local seen = {}
  for _, old in ipairs(read.names(data, section)) do
    local name = map[old] or old
    if seen[name] then return ("two %s would be named '%s'"):format(section, name) end
    seen[name] = true
  end
  return nil
end

--- Renames in a copy.
-- @tparam table data
-- @tparam table maps from old to new names, by section
-- @treturn table the copy
-- @treturn nil,string when a name is unknown, bad or would occur twice
function M.apply(data, maps)
  for _, section in ipairs(read.section_order) do
    local problem = map_problem(data, section, maps[section] or {})
    if problem then return nil, problem end
  end
  local result = M.copy(data)
  for _, each in ipairs(read.entries(result, "contexts")) do
    for _, section in ipairs { "clusters", "users" } do
      local field = read.sections[section]
      each.body[field] = (maps[section] or {})[each.body[field]] or each.body[field]
    end
  end
  for _, section in ipairs(read.section_order) do
    local map = maps[section] or {}
    for _, each in ipairs(read.entries(result, section)) do
      each.entry.name = map[each.name] or each.name
    end
  end
  local current = result["current-context"]
  result["current-context"] = (maps.contexts or {})[current] or current
  return result
end

return M
