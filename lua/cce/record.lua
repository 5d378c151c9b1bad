--- Lines of files that are kept: one JSON object each, its fields in an order
-- that a person can read.
-- @module cce.record
-- @local
local core = require "cce.core"

local M = {}

local function sorted_rest(record, known)
  local names = {}
  for name in pairs(record) do
    if not known[name] then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function add(parts, name, value)
  if value == nil then return end
  parts[#parts + 1] = ('"%s":%s'):format(name, assert(core.json.encode(value)))
end

--- One line: the fields that `order` names come first, then the rest.
-- @tparam table record of strings, numbers and booleans
-- @tparam {string,...} order
-- @treturn string without a line end
function M.encode(record, order)
  local parts, known = {}, {}
  for _, name in ipairs(order) do
    known[name] = true
    add(parts, name, record[name])
  end
  for _, name in ipairs(sorted_rest(record, known)) do add(parts, name, record[name]) end
  -- JSON allows these two only escaped, and a line must stay one.
  return "{" .. table.concat(parts, ","):gsub("[\r\n]", " ") .. "}"
end

--- A moment as ISO 8601 in UTC.
-- @tparam number seconds unix time
-- @treturn string
function M.time(seconds)
  return os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(seconds))
end

-- Days since 1970 in the Gregorian calendar, with March as first month.
local function days_of(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  return 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
    + math.floor((153 * (month - 3) + 2) / 5) + day - 719469
end

--- Read a moment in UTC, as the API and `time` write it.
-- @tparam ?string text such as "2026-01-02 03:04:05.678 +0000 UTC"
-- @treturn ?number unix time; nil when it cannot be read
function M.parse_time(text)
  local parts = { tostring(text):match "^(%d%d%d%d)%-(%d%d)%-(%d%d)[T ](%d%d):(%d%d):(%d%d)" }
  if not parts[6] then return nil end
  for i = 1, 6 do parts[i] = tonumber(parts[i]) end
  local days = days_of(parts[1], parts[2], parts[3])
  return ((days * 24 + parts[4]) * 60 + parts[5]) * 60 + parts[6]
end

--- An id that no other run has.
-- @treturn string 16 hex digits
function M.new_id()
  local file = io.open("/dev/urandom", "rb")
  local bytes = file and file:read(32) or ""
  if file then file:close() end
  local seed = ("%s %.9f %s"):format(bytes, core.sys.time(), tostring {})
  return core.sha256(seed):sub(1, 16)
end

return M
