--- Tables of text, as wide as they must be or as narrow as the terminal is.
--
-- What a row is known by is never cut: names, times, counts. Where there is not
-- room for all, identifiers give first, and go where not even their beginnings fit, then what is
-- left, and sentences are wrapped at blanks, below their row when beside it there is no room.
-- @module cce.text.table
-- @local
local width = require "cce.text.width"

local M = {}

local GAP = 2

-- Columns that are left of an identifier and of any other text that is cut, and
-- that a sentence must have to be read beside its row; its longest word must fit, too.
local LEAST_ID, LEAST_TEXT, LEAST_PROSE = 9, 8, 24

local function widths_of(titles, rows)
  local widths = {}
  for i, title in ipairs(titles) do
    widths[i] = width.of(title)
    for _, row in ipairs(rows) do widths[i] = math.max(widths[i], width.of(row[i])) end
  end
  return widths
end

local function total(widths)
  local sum = GAP * (#widths - 1)
  for _, each in ipairs(widths) do sum = sum + each end
  return sum
end

-- The widest of the columns of a kind gives, one column of text at a time.
local function shrink(widths, titles, kinds, kind, least, limit)
  while total(widths) > limit do
    local widest
    for i in ipairs(widths) do
      local may_give = kinds[i] == kind and widths[i] > math.max(least, width.of(titles[i]))
      if may_give and (not widest or widths[i] > widths[widest]) then widest = i end
    end
    if not widest then return end
    widths[widest] = widths[widest] - 1
  end
end

local function join(cells, widths)
  local padded = {}
  for i, text in ipairs(cells) do
    if width.of(text) > widths[i] then text = width.cut(text, widths[i] - 1) .. "…" end
    padded[i] = i == #cells and text or text .. (" "):rep(widths[i] - width.of(text))
  end
  return table.concat(padded, (" "):rep(GAP))
end

local function without(list, index)
  local rest = {}
  for i, each in ipairs(list) do
    if i ~= index then rest[#rest + 1] = each end
  end
  return rest
end

local function without_column(titles, rows, kinds, index)
  local short_titles, short_rows, short_kinds = without(titles, index), {}, {}
  for i in ipairs(short_titles) do short_kinds[i] = kinds[i < index and i or i + 1] end
  for i, row in ipairs(rows) do short_rows[i] = without(row, index) end
  return short_titles, short_rows, short_kinds
end

-- Lines of a table whose sentences stand wrapped in its last column, or below
-- their rows when that column would be too narrow.
local function with_prose(titles, rows, kinds, prose, limit)
  local short_titles, short_rows, short_kinds = without_column(titles, rows, kinds, prose)
  local widths = widths_of(short_titles, short_rows)
  local function narrow(to)
    shrink(widths, short_titles, short_kinds, "id", LEAST_ID, to)
    shrink(widths, short_titles, short_kinds, nil, LEAST_TEXT, to)
  end
  local least, widest = width.of(titles[prose]), 0
  for _, row in ipairs(rows) do
    widest = math.max(widest, width.of(row[prose]))
    for word in row[prose]:gmatch "%S+" do least = math.max(least, width.of(word)) end
  end
  least = math.max(least, math.min(LEAST_PROSE, widest))
  narrow(limit - GAP - least)
  local room = limit - GAP - total(widths)
  local is_beside = room >= least
  if not is_beside then
    widths = widths_of(short_titles, short_rows)
    narrow(limit)
  end
  local lines, left = {}, (" "):rep(is_beside and total(widths) + GAP or GAP)
  local function add(cells, text)
    local line = join(cells, widths)
    if is_beside and text then
      line = line .. (" "):rep(#left - width.of(line))
    end
    local wrapped = text and text ~= "-" and width.wrap(text, is_beside and room or limit - GAP)
      or { is_beside and text or nil }
    if is_beside then line = line .. (table.remove(wrapped, 1) or "") end
    lines[#lines + 1] = line
    for _, each in ipairs(wrapped) do lines[#lines + 1] = left .. each end
  end
  add(short_titles, is_beside and titles[prose] or nil)
  for i, row in ipairs(short_rows) do add(row, rows[i][prose]) end
  return lines
end

-- Without the columns that say nothing in any row.
local function without_empty(titles, rows, kinds)
  for i = #titles, 1, -1 do
    local is_empty = #rows > 0 and #titles > 1
    for _, row in ipairs(rows) do is_empty = is_empty and row[i] == "-" end
    if is_empty then titles, rows, kinds = without_column(titles, rows, kinds, i) end
  end
  return titles, rows, kinds
end

-- Without identifiers, from the right, that have no room even when all that can is cut.
local function without_ids(titles, rows, kinds, limit)
  for i = #titles, 1, -1 do
    local widths = widths_of(titles, rows)
    for k, title in ipairs(titles) do
      local least = kinds[k] == "id" and LEAST_ID or kinds[k] == nil and LEAST_TEXT or nil
      if kinds[k] == "prose" then widths[k] = -GAP end
      if least then widths[k] = math.min(widths[k], math.max(least, width.of(title))) end
    end
    if total(widths) <= limit then break end
    if kinds[i] == "id" and #titles > 1 then
      titles, rows, kinds = without_column(titles, rows, kinds, i)
    end
  end
  return titles, rows, kinds
end

--- A table. Where it does not fit, columns that are "-" in every row go first.
-- @tparam {string,...} titles
-- @tparam {{string,...},...} rows
-- @tparam[opt] int limit columns of the terminal; without it nothing is cut
-- @tparam[opt] table kinds by column: "keep" is never cut, "id" is cut first,
--   "prose" (one column at most) is wrapped
-- @treturn string without a final line end
function M.text(titles, rows, limit, kinds)
  kinds = kinds or {}
  local widths = widths_of(titles, rows)
  if limit and total(widths) > limit then
    titles, rows, kinds = without_empty(titles, rows, kinds)
    titles, rows, kinds = without_ids(titles, rows, kinds, limit)
    widths = widths_of(titles, rows)
  end
  if limit and total(widths) > limit then
    local prose
    for i, kind in pairs(kinds) do prose = kind == "prose" and i or prose end
    if prose then return table.concat(with_prose(titles, rows, kinds, prose, limit), "\n") end
    shrink(widths, titles, kinds, "id", LEAST_ID, limit)
    shrink(widths, titles, kinds, nil, LEAST_TEXT, limit)
  end
  local lines = { join(titles, widths) }
  for _, row in ipairs(rows) do lines[#lines + 1] = join(row, widths) end
  return table.concat(lines, "\n")
end

return M
