--- What objects look like at a prompt: tables of text, times, short ids.
-- @module cce.text.show
-- @local
local width_of = require("cce.text.width").of

local M = {}

local function pad(text, width)
  return text .. (" "):rep(width - width_of(text))
end

--- Lines of columns, as wide as they must be.
-- @tparam {string,...} titles
-- @tparam {{string,...},...} rows
-- @treturn string without a final line end
function M.columns(titles, rows)
  local widths = {}
  for i, text in ipairs(titles) do widths[i] = width_of(text) end
  for _, row in ipairs(rows) do
    for i, text in ipairs(row) do widths[i] = math.max(widths[i], width_of(text)) end
  end
  local lines = {}
  local function add(row)
    local cells = {}
    for i, text in ipairs(row) do
      cells[i] = i < #row and pad(text, widths[i]) or text
    end
    lines[#lines + 1] = table.concat(cells, "  ")
  end
  add(titles)
  for _, row in ipairs(rows) do add(row) end
  return table.concat(lines, "\n")
end

local function cells_of(object, titles, row)
  local cells = row(object)
  for column = 1, #titles do cells[column] = tostring(cells[column] or "") end
  return cells
end

-- One object of a list: "name jane, id u1, state enabled".
local function entry_class(name, titles, row)
  local Entry = { __name = name .. ".entry" }
  function Entry.__tostring(object)
    local parts = {}
    for column, cell in ipairs(cells_of(object, titles, row)) do
      local title = titles[column]:lower()
      if cell ~= "" then parts[#parts + 1] = title == "" and cell or title .. " " .. cell end
    end
    return table.concat(parts, ", ")
  end
  return Entry
end

--- Let a list of objects print as a table.
-- @tparam string name of the class, for `__name`
-- @tparam {string,...} titles
-- @tparam function row returns the cells of one object; nil stands for none
-- @tparam[opt] function note returns a line about the whole list, or nil
-- @treturn table a metatable; its field `Entry` is one with which a single object
--   of the list prints as a line
function M.list(name, titles, row, note)
  local List = { __name = name, Entry = entry_class(name, titles, row) }
  function List.__tostring(list)
    local rows = {}
    for i, object in ipairs(list) do rows[i] = cells_of(object, titles, row) end
    local line = note and note(list)
    return M.columns(titles, rows) .. (line and "\n" .. line or "")
  end
  return List
end

--- "1 day", "2 days".
-- @tparam int count
-- @tparam string word
-- @treturn string
function M.count(count, word)
  return ("%d %s%s"):format(count, word, count == 1 and "" or "s")
end

local DAY, HOUR, MINUTE = 86400, 3600, 60

--- A length of time as people say it, in the largest unit of which there are two.
-- @tparam number seconds
-- @treturn string such as "3 days"
function M.span(seconds)
  if seconds >= 2 * DAY then return M.count(math.floor(seconds / DAY), "day") end
  if seconds >= 2 * HOUR then return M.count(math.floor(seconds / HOUR), "hour") end
  if seconds >= MINUTE then return M.count(math.floor(seconds / MINUTE), "minute") end
  return M.count(math.floor(seconds), "second")
end

--- Unix time as people read it, in UTC.
function M.time(seconds)
  return os.date("!%Y-%m-%d %H:%M:%S UTC", math.floor(seconds))
end

return M
