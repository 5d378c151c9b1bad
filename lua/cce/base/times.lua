--- Moments as text: what the API, its gateways and our own files write.
-- @module cce.base.times
-- @local
local values = require "cce.base.values"

local M = {}

local DAYS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

-- Unix time of a date in UTC, nil when there is no such day or time of day; the parts may
-- be strings of digits. A leap second is the first of the next minute.
local function unix_time(year, month, day, hour, minute, second)
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second)
  local is_leap = year % 4 == 0 and year % 100 ~= 0 or year % 400 == 0
  local last = month == 2 and is_leap and 29 or DAYS[month] or 0
  if day < 1 or day > last or hour > 23 or minute > 59 or second > 60 then
    return nil
  end
  -- Days are counted in the Gregorian calendar, with March as the first month.
  if month <= 2 then year, month = year - 1, month + 12 end
  local days = 365 * year + math.floor(year / 4) - math.floor(year / 100)
    + math.floor(year / 400) + math.floor((153 * (month - 3) + 2) / 5) + day - 719469
  return ((days * 24 + hour) * 60 + minute) * 60 + second
end

-- All in UTC; a fraction of a second is dropped.
local PATTERNS = {
  "^(%d%d%d%d)%-(%d%d)%-(%d%d)[T ](%d%d):(%d%d):(%d%d)[%.%d]*Z?$",
  "^(%d%d%d%d)%-(%d%d)%-(%d%d)[T ](%d%d):(%d%d):(%d%d)[%.%d]* %+0000 UTC$",
  "^(%d%d%d%d)(%d%d)(%d%d)T(%d%d)(%d%d)(%d%d)Z$",
}

--- Read a moment in UTC.
-- @param text such as "2026-01-02T03:04:05.678Z", "2026-01-02 03:04:05 +0000 UTC"
--   or "20260102T030405Z"
-- @treturn ?number unix time; nil when it is none of these, or no day of the calendar
function M.parse(text)
  if type(text) ~= "string" then return nil end
  for _, pattern in ipairs(PATTERNS) do
    local year, month, day, hour, minute, second = text:match(pattern)
    if year then return unix_time(year, month, day, hour, minute, second) end
  end
end

local MONTHS = { Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9,
  Oct = 10, Nov = 11, Dec = 12 }

--- Read the Date header of an answer (RFC 9110, IMF-fixdate).
-- @tparam ?string text such as "Fri, 02 Jan 2026 03:04:05 GMT"
-- @treturn ?number unix time; nil when it cannot be read
function M.parse_http(text)
  local day, month, year, hour, minute, second =
    (text or ""):match("^%a+, (%d+) (%a+) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT$")
  if not MONTHS[month] then return nil end
  return unix_time(year, MONTHS[month], day, hour, minute, second)
end

--- Write a moment as RFC 3339 has it.
-- @tparam number seconds unix time
-- @tparam[opt] number offset seconds that the zone is ahead of UTC; without it, it is UTC
-- @treturn string such as "2026-01-02T03:04:05Z" or "2026-01-02T11:04:05+08:00"
function M.format(seconds, offset)
  if not offset then return os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(seconds)) end
  local minutes = math.floor(math.abs(offset) / 60)
  return os.date("!%Y-%m-%dT%H:%M:%S", math.floor(seconds + offset))
    .. ("%s%02d:%02d"):format(offset < 0 and "-" or "+", math.floor(minutes / 60), minutes % 60)
end

--- Seconds that a zone is ahead of UTC.
-- @param zone "Z", "UTC" or such as "+08:00"
-- @treturn ?number nil when it is none of these
function M.offset(zone)
  if type(zone) ~= "string" then return nil end
  zone = values.upper(zone)
  if zone == "Z" or zone == "UTC" then return 0 end
  local sign, hours, minutes = zone:match "^([+-])(%d%d):?(%d%d)$"
  hours, minutes = tonumber(hours), tonumber(minutes)
  if not hours or hours > 15 or minutes > 59 then return nil end
  return (sign == "-" and -1 or 1) * (hours * 3600 + minutes * 60)
end

--- Seconds that the local time of this machine is ahead of UTC.
-- @tparam number seconds unix time of the moment
-- @treturn number
function M.local_offset(seconds)
  seconds = math.floor(seconds)
  local t = os.date("*t", seconds)
  return unix_time(t.year, t.month, t.day, t.hour, t.min, t.sec) - seconds
end

--- Why local time is not known here: TZ names a zone that this machine does not know, as where
-- tzdata is not installed. The C library then takes UTC, and says nothing.
-- @treturn ?string
function M.no_local_time()
  local tz = (os.getenv "TZ" or ""):gsub("^:", "")
  -- A rule, such as CET-1CEST,M3.5.0,M10.5.0/3 or <+03>-3, needs no file.
  local is_rule = tz:find "^%a%a%a+[+-]?%d" or tz:find "^<[%w+-]+>[+-]?%d"
  if tz == "" or tz == "UTC" or tz == "GMT" or is_rule then return nil end
  local directory = os.getenv "TZDIR" or "/usr/share/zoneinfo"
  local file = io.open(tz:find "^/" and tz or directory .. "/" .. tz, "rb")
  if not file then
    return ("TZ is %s, which this machine does not know (is tzdata installed?)"):format(tz)
  end
  file:close()
  return nil
end

local DAY = 86400

--- The moment at which a clock shows a local time.
-- @tparam number wall what it shows, in seconds, as unix time is of UTC
-- @treturn[1] number unix time
-- @treturn[2] nil
-- @treturn[2] string why not: it "is skipped", or "is there twice"
function M.of_local(wall)
  -- The clock is put forward or back at most once in two days.
  local before, after = M.local_offset(wall - DAY), M.local_offset(wall + DAY)
  local first, second = wall - before, wall - after
  local fits_first = M.local_offset(first) == before
  local fits_second = M.local_offset(second) == after
  if fits_first and fits_second and first ~= second then return nil, "is there twice" end
  if fits_first then return first end
  if fits_second then return second end
  return nil, "is skipped"
end

local UNITS = { s = 1, m = 60, h = 3600, d = 86400, w = 604800 }

--- Read a length of time.
-- @param value seconds, or a count of s, m, h, d or w such as "24h"
-- @treturn ?number seconds; nil when it is neither
function M.interval(value)
  if type(value) == "number" then return value end
  if type(value) ~= "string" then return nil end
  local count, unit = value:match "^(%d+)([smhdw])$"
  return count and tonumber(count) * UNITS[unit]
end

return M
