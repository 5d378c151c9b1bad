--- Results as text: tables for people, JSON, YAML and names for machines.
-- @module cce.cli.render
-- @local
local errors = require "cce.error"
local json = require "cce.base.json"
local show = require "cce.text.show"
local text_width = require "cce.text.width"
local times = require "cce.base.times"

local M = {}

-- ---- for people ------------------------------------------------------------------

--- Text that cannot steer a terminal: others chose the names in it.
-- @tparam string text
-- @treturn string with line ends and printable characters alone
function M.clean(text)
  return (tostring(text):gsub("[%z\1-\9\11-\31\127]", "?"))
end

--- A moment for people: in UTC, and how far it is away.
-- @tparam ?number seconds unix time
-- @treturn string such as "2026-01-02T03:04:05Z (in 3 days)"
function M.moment(seconds)
  if not seconds then return "-" end
  local away = seconds - os.time()
  return ("%s (%s)"):format(times.format(seconds), away > 0 and "in " .. show.span(away)
    or show.span(-away) .. " ago")
end

local function cell(column, row)
  local value = row[column[1]]
  if column.text then value = column.text(row) end
  if value == nil then return "-" end
  return (M.clean(value):gsub("\n", " "))
end

local GAP = 2

local function widths_of(lines)
  local widths = {}
  for _, line in ipairs(lines) do
    for i, text in ipairs(line) do widths[i] = math.max(widths[i] or 0, text_width.of(text)) end
  end
  return widths
end

local function total(widths)
  local sum = GAP * (#widths - 1)
  for _, each in ipairs(widths) do sum = sum + each end
  return sum
end

-- The widest gives first, as long as one is wider than `least`; one is kept.
local function shrink(widths, limit, least, kept)
  while total(widths) > limit do
    local widest
    for i in ipairs(widths) do
      if i ~= kept and (not widest or widths[i] > widths[widest]) then widest = i end
    end
    if not widest or widths[widest] <= least then return end
    widths[widest] = widths[widest] - 1
  end
end

-- What a row is known by gives last, unless it is long itself.
local function fit(widths, limit, shown)
  for i, column in ipairs(shown) do
    if column.keep and widths[i] <= limit / 3 then shrink(widths, limit, 6, i) end
  end
  shrink(widths, limit, 4)
end

local function pad(text, columns, is_last)
  if text_width.of(text) > columns then text = text_width.cut(text, columns - 1) .. "…" end
  return is_last and text or text .. (" "):rep(columns - text_width.of(text))
end

local function join(line, widths)
  local cells = {}
  for i, text in ipairs(line) do cells[i] = pad(text, widths[i], i == #line) end
  return table.concat(cells, (" "):rep(GAP))
end

local function lines_of(rows, shown)
  local lines = { {} }
  for k, column in ipairs(shown) do lines[1][k] = column[2] end
  for i, row in ipairs(rows) do
    lines[i + 1] = {}
    for k, column in ipairs(shown) do lines[i + 1][k] = cell(column, row) end
  end
  return lines
end

-- The columns that people see, and the one of sentences among them.
local function shown_of(columns)
  local shown, prose = {}, nil
  for _, column in ipairs(columns) do
    if column[2] then shown[#shown + 1] = column end
    if column.prose then prose = #shown end
  end
  return shown, prose
end

-- A sentence that is cut off says nothing: it gets a line of its own.
local function with_prose_below(rows, shown, prose, limit)
  local column = table.remove(shown, prose)
  local lines, texts = lines_of(rows, shown), {}
  local widths = widths_of(lines)
  fit(widths, limit, shown)
  for i, line in ipairs(lines) do
    texts[#texts + 1] = join(line, widths)
    local text = i > 1 and cell(column, rows[i - 1])
    if text and text ~= "-" then texts[#texts + 1] = "  " .. text end
  end
  return table.concat(texts, "\n")
end

local function as_table(rows, columns, limit)
  local shown, prose = shown_of(columns)
  local lines = lines_of(rows, shown)
  local widths = widths_of(lines)
  if limit and total(widths) > limit then
    if prose then return with_prose_below(rows, shown, prose, limit) end
    fit(widths, limit, shown)
  end
  for i, line in ipairs(lines) do lines[i] = join(line, widths) end
  return table.concat(lines, "\n")
end

-- ---- for machines ----------------------------------------------------------------

local function plain_rows(rows, columns)
  local list = json.array {}
  for i, row in ipairs(rows) do
    list[i] = {}
    for _, column in ipairs(columns) do list[i][column[1]] = row[column[1]] end
  end
  return list
end

local function as_json(value)
  local text, message = json.encode(value, { pretty = true })
  if not text then return errors.fail("INTERNAL", message) end
  return text
end

local function as_yaml(value)
  local ok, lyaml = pcall(require, "lyaml")
  if not ok then
    return errors.fail("MISSING_DEPENDENCY", "-o yaml needs the Lua library lyaml", {
      hint = "On Debian and Ubuntu it is in the package lua-yaml; -o json needs nothing" })
  end
  return (lyaml.dump({ value }):gsub("^%-%-%-\n?%s*", ""):gsub("%.%.%.\n$", ""))
end

local machines = { json = as_json, yaml = as_yaml }

local function names_of(rows, columns)
  local key = columns[1][1]
  for _, column in ipairs(columns) do
    if column.name then key = column[1] end
  end
  local names = {}
  for _, row in ipairs(rows) do names[#names + 1] = row[key] and M.clean(row[key]) end
  return table.concat(names, "\n")
end

-- ---- what the commands call ---------------------------------------------------------

--- A list: see `ui:table`.
-- @tparam {table,...} rows
-- @tparam {table,...} columns
-- @tparam string output "table", "json", "yaml" or "name"
-- @tparam ?int limit columns of the terminal
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.list(rows, columns, output, limit)
  if output == "table" then return as_table(rows, columns, limit) end
  if output == "name" then return names_of(rows, columns) end
  return machines[output](plain_rows(rows, columns))
end

--- One thing: see `ui:show`.
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.value(value, text, name, output)
  if output == "table" then return M.clean(text) end
  if output == "name" then return M.clean(name or text) end
  return machines[output](value)
end

return M
