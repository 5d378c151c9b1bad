--- What objects look like at a prompt: lists as tables, times, counts.
-- @module cce.text.show
-- @local
local tables = require "cce.text.table"
local times = require "cce.base.times"
local values = require "cce.base.values"

local M = {}

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
      local title = values.lower(titles[column])
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
    return tables.text(titles, rows) .. (line and "\n" .. line or "")
  end
  return List
end

--- "1 day", "2 days"; "1 entry was", "2 entries were".
-- @tparam int count
-- @tparam string one what there is one of
-- @tparam[opt] string many by default the same with an "s"
-- @treturn string
function M.count(count, one, many)
  return ("%d %s"):format(count, count == 1 and one or many or one .. "s")
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

local is_local = false

--- Let moments be shown in local time: `--local` of the command.
-- @tparam boolean wanted
function M.use_local_time(wanted)
  is_local = wanted
end

--- A moment: RFC 3339, the one form that all that we print has; in UTC, unless local time
-- is wanted.
-- @tparam number seconds unix time
-- @treturn string such as "2026-01-02T03:04:05Z" or "2026-01-02T11:04:05+08:00"
function M.time(seconds)
  return times.format(seconds, is_local and times.local_offset(seconds) or nil)
end

return M
