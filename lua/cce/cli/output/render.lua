--- Results as text: tables for people, JSON, YAML and names for machines.
-- @module cce.cli.output.render
-- @local
local errors = require "cce.error"
local json = require "cce.base.json"
local show = require "cce.text.show"
local tables = require "cce.text.table"
local width = require "cce.text.width"

local M = {}

--- The version of every JSON document that is an object: it goes up when a field goes, or means
-- something else. The schemas are in manual/schema.
M.SCHEMA_VERSION = 1

-- ---- for people ------------------------------------------------------------------

--- A moment for people, and how far it is away.
-- @tparam ?number seconds unix time
-- @treturn string such as "2026-01-02T03:04:05Z (in 3 days)"
function M.moment(seconds)
  if not seconds then return "-" end
  local away = seconds - os.time()
  return ("%s (%s)"):format(show.time(seconds), away > 0 and "in " .. show.span(away)
    or show.span(-away) .. " ago")
end

local function cell(column, row)
  local value = row[column[1]]
  if column.text then
    value = column.text(row)
  elseif column.time and value then
    value = show.time(value)
  end
  if value == nil then return "-" end
  return (width.clean(value):gsub("\n", " "))
end

local function as_table(rows, columns, limit, without_titles)
  local titles, kinds, shown = {}, {}, {}
  for _, column in ipairs(columns) do
    if column[2] then
      local is_id = column[1] == "id" or column[1]:find "_id$"
      shown[#shown + 1], titles[#titles + 1] = column, column[2]
      kinds[#shown] = column.keep and "keep" or column.prose and "prose" or is_id and "id" or nil
    end
  end
  local lines = {}
  for i, row in ipairs(rows) do
    lines[i] = {}
    for k, column in ipairs(shown) do lines[i][k] = cell(column, row) end
  end
  local text = tables.text(titles, lines, limit, kinds)
  return without_titles and (text:match "\n(.*)$" or "") or text
end

-- ---- for machines ----------------------------------------------------------------

--- A row as JSON has it.
-- @tparam table row
-- @tparam {table,...} columns see `ui:table`
-- @treturn table by the names of the columns
function M.object(row, columns)
  local object = {}
  for _, column in ipairs(columns) do
    local name, value = column[1], row[column[1]]
    if column.time and value then value = show.time(value) end
    if column.json and value then value = column.json(value) end
    object[name] = value
  end
  return object
end

local writers = {
  json = function(value) return json.encode(value, { pretty = true }) end,
  -- Of our own: nothing need be installed to see what was done.
  yaml = function(value) return require("cce.kubeconfig.syntax.yaml").encode(value) end,
}

-- Names and paths may be of any bytes, and are no reason to refuse the document.
local function for_machines(value, output)
  local text, message = writers[output](value)
  if not text then return errors.fail("INTERNAL", message) end
  return width.utf8(text)
end

local function names_of(rows, columns)
  local key = columns[1][1]
  for _, column in ipairs(columns) do
    if column.name then key = column[1] end
  end
  local names, seen = {}, {}
  for _, row in ipairs(rows) do
    local name = row[key]
    if name and not seen[name] then names[#names + 1], seen[name] = width.clean(name), true end
  end
  return table.concat(names, "\n")
end

-- ---- what the commands call ---------------------------------------------------------

--- A list: see `ui:table`.
-- @tparam {table,...} rows
-- @tparam {table,...} columns
-- @tparam string output "table", "json", "yaml" or "name"
-- @tparam ?int limit columns of the terminal
-- @tparam[opt] boolean without_titles
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.list(rows, columns, output, limit, without_titles)
  if output == "table" then return as_table(rows, columns, limit, without_titles) end
  if output == "name" then return names_of(rows, columns) end
  local list = json.array {}
  for i, row in ipairs(rows) do list[i] = M.object(row, columns) end
  return for_machines(list, output)
end

--- One thing: see `ui:show`.
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.value(value, text, name, output)
  if output == "table" then return width.clean(text) end
  if output == "name" then return width.clean(name or "") end
  value.schema_version = M.SCHEMA_VERSION
  return for_machines(value, output)
end

return M
