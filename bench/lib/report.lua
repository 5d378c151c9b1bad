-- What was measured, as a table for people or as JSON.
--
-- A row: `group`, `measure`, `value`, `unit`; perhaps `beside` and
-- `beside_value`, the same of something else in the same run, which gives
-- `ratio`; and a target: `at_most`, `at_least`, `ratio_at_most` or
-- `ratio_at_least`.
local core = require "cce.core"

local M = {}

local Report = {}
Report.__index = Report

local UNITS = {
  ["/s"] = { 1, "%.0f /s" },
  us = { 1e6, "%.1f us" },
  ms = { 1e3, "%.1f ms" },
  s = { 1, "%.2f s" },
  MiB = { 1 / 1048576, "%.1f MiB" },
  KiB = { 1 / 1024, "%.1f KiB" },
}

--- A value of a unit as text: seconds for us, ms and s; bytes for MiB, KiB.
function M.format(value, unit)
  local scale, format = UNITS[unit][1], UNITS[unit][2]
  return format:format(value * scale)
end

local TARGETS = {
  { "at_most", "value", "<= ", function(a, b) return a <= b end },
  { "at_least", "value", ">= ", function(a, b) return a >= b end },
  { "ratio_at_most", "ratio", "ratio <= ", function(a, b) return a <= b end },
  { "ratio_at_least", "ratio", "ratio >= ", function(a, b) return a >= b end },
}

-- The target as text, and whether it is met; nil when there is none.
local function judge(row)
  for _, target in ipairs(TARGETS) do
    local limit, of = row[target[1]], target[2]
    if limit then
      local text = of == "value" and M.format(limit, row.unit) or ("%.2f"):format(limit)
      return target[3] .. text, target[4](row[of], limit)
    end
  end
end

--- Add a row; its ratio and judgement are worked out here.
function Report:add(row)
  if row.beside_value then row.ratio = row.value / row.beside_value end
  row.target, row.met = judge(row)
  self.rows[#self.rows + 1] = row
  if self.on_row then self.on_row(row) end
end

--- Say why something was left out.
function Report:skip(group, reason)
  self.skipped[#self.skipped + 1] = { group = group, reason = reason }
end

local LINE = "%-16s %-46s %12s   %-15s %12s %6s  %-18s %s"

local function line_of(row)
  return (LINE:format(row.group, row.measure, M.format(row.value, row.unit),
    row.beside or "", row.beside_value and M.format(row.beside_value, row.unit) or "",
    row.ratio and ("%.2f"):format(row.ratio) or "", row.target or "",
    row.target and (row.met and "met" or "MISSED") or ""):gsub("%s+$", ""))
end

--- For people: one line a row, each printed as it comes.
function Report:print_rows()
  print((LINE:format("", "", "value", "beside it", "", "ratio", "target", ""):gsub("%s+$", "")))
  self.on_row = function(row)
    print(line_of(row))
    io.stdout:flush()
  end
end

function Report:print_skipped()
  for _, skipped in ipairs(self.skipped) do
    print(("%-16s left out: %s"):format(skipped.group, skipped.reason))
  end
end

--- Whether every target was measured and met.
-- @treturn boolean
function Report:is_met()
  for _, row in ipairs(self.rows) do
    if row.target and not row.met then return false end
  end
  return #self.skipped == 0
end

--- For programs. Values are in seconds, bytes, or a second.
function Report:to_json()
  return (core.json.encode { lua = self.lua, rows = self.rows,
    skipped = #self.skipped > 0 and self.skipped or nil })
end

function M.new(lua)
  return setmetatable({ lua = lua, rows = {}, skipped = {} }, Report)
end

return M
