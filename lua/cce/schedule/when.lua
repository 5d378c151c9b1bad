--- Moments, intervals and weekly windows of a schedule. Pure: no clock is asked.
-- @module cce.schedule.when
-- @local
local times = require "cce.base.times"
local values = require "cce.base.values"

local M = {}

-- The end of the year 9999: what is beyond is milliseconds, or a mistake.
local LATEST = 253402300799

local SHORTEST, LONGEST = 60, 10 * 366 * 86400

local DAYS = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" }
local DAY_NUMBER = {}
for i, name in ipairs(DAYS) do DAY_NUMBER[name] = i - 1 end

-- Thursday.
local WEEKDAY_OF_1970 = 4

local CRON = "a cron expression is not understood: give an interval such as \"7d\", and for certain"
  .. " hours a window such as {weekdays={\"Sat\"}, from=\"01:00\", to=\"05:00\", zone=\"+08:00\"}"

-- ---- moments -----------------------------------------------------------------

--- Whether a value is a time that a schedule can hold.
-- @treturn boolean
function M.is_time(value)
  return type(value) == "number" and value >= 0 and value <= LATEST
end

--- Seconds that a zone is ahead of UTC.
-- @param zone "Z" or such as "+08:00"
-- @treturn ?number nil when it is neither
function M.offset(zone)
  if zone == "Z" then return 0 end
  if type(zone) ~= "string" then return nil end
  local sign, hours, minutes = zone:match "^([+-])(%d%d):?(%d%d)$"
  hours, minutes = tonumber(hours), tonumber(minutes)
  if not hours or hours > 15 or minutes > 59 then return nil end
  return (sign == "-" and -1 or 1) * (hours * 3600 + minutes * 60)
end

local function parse_text(text)
  local date, clock, rest = text:match "^(%d%d%d%d%-%d%d%-%d%d)[Tt ](%d%d:%d%d)(.*)$"
  if not date then return nil, "it is no moment such as \"2026-11-27T18:00:00+08:00\"" end
  local seconds, fraction, zone = rest:match "^(:%d%d)(%.?%d*)(.*)$"
  if not seconds then seconds, fraction, zone = ":00", "", rest end
  if zone == "" then
    return nil, "it names no zone: put \"Z\" or such as \"+08:00\" behind it"
  end
  local offset = M.offset(values.upper(zone))
  if not offset then return nil, "its zone is neither \"Z\" nor such as \"+08:00\"" end
  -- A date that no calendar has (30 February) comes back as another one.
  local moment = ("%sT%sZ"):format(date, clock .. seconds)
  local utc = times.parse(moment)
  if not utc or times.format(utc) ~= moment then
    return nil, "there is no such date or time of day"
  end
  return utc - offset + (tonumber("0" .. fraction) or 0)
end

--- Read a moment.
-- @tparam number|string value unix time, or ISO 8601 with its zone
-- @treturn[1] number unix time
-- @treturn[2] nil
-- @treturn[2] string why it is none
function M.parse(value)
  if type(value) == "string" then
    local time, why = parse_text(value)
    if not time then return nil, why end
    value = time
  end
  if M.is_time(value) then return value end
  return nil, "it is not between 1970 and the end of 9999, in seconds"
end

-- ---- intervals ---------------------------------------------------------------

--- Read an interval.
-- @tparam number|string value seconds, or a count of s, m, h, d or w
-- @treturn[1] number seconds
-- @treturn[2] nil
-- @treturn[2] string why it is none
function M.interval(value)
  if type(value) == "string" then
    local seconds = times.interval(value)
    if not seconds then
      local fields = select(2, value:gsub("%S+", ""))
      if fields >= 5 or value:sub(1, 1) == "@" then return nil, CRON end
      return nil, "it is no interval such as \"12h\" or \"7d\""
    end
    value = seconds
  end
  if value >= SHORTEST and value <= LONGEST then return value end
  return nil, "it is not between a minute and ten years"
end

-- ---- windows -----------------------------------------------------------------

local function seconds_of_day(text)
  if type(text) ~= "string" then return nil end
  local hours, minutes = text:match "^(%d%d):(%d%d)$"
  hours, minutes = tonumber(hours), tonumber(minutes)
  if not hours or minutes > 59 or hours * 60 + minutes > 24 * 60 then return nil end
  return hours * 3600 + minutes * 60
end

local function weekday_set(names)
  if type(names) ~= "table" or #names == 0 or #names > 7 then return nil end
  local set = {}
  for _, name in ipairs(names) do
    if not DAY_NUMBER[name] then return nil end
    set[DAY_NUMBER[name]] = true
  end
  return set
end

local KNOWN = { weekdays = true, from = true, to = true, zone = true }

-- A window as numbers, or nil and what is wrong with it.
local function read_window(window)
  if type(window) ~= "table" then return nil, "window is no table" end
  for name in pairs(window) do
    if not KNOWN[name] then return nil, "window has more than weekdays, from, to and zone" end
  end
  local days = weekday_set(window.weekdays or DAYS)
  local from, to = seconds_of_day(window.from), seconds_of_day(window.to)
  local offset = M.offset(window.zone)
  if not days then return nil, "window.weekdays is no list of " .. table.concat(DAYS, ", ") end
  if not from or not to then return nil, "window.from and window.to are no times as \"01:30\"" end
  if from == to then return nil, "window.from and window.to are the same" end
  if not offset then return nil, "window.zone is neither \"Z\" nor such as \"+08:00\"" end
  -- One that passes midnight belongs to the day on which it begins.
  local length = to > from and to - from or to - from + 86400
  return { days = days, from = from, length = length, offset = offset }
end

--- Check a window.
-- @param window `{weekdays={"Sat","Sun"}, from="01:00", to="05:00", zone="+08:00"}`;
--   without weekdays it is every day
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string why it is none
function M.check_window(window)
  local read, why = read_window(window)
  return read and true, why
end

--- The first moment from a time on that a window allows.
-- @tparam ?table window that @{check_window} accepts; nil allows every moment
-- @tparam number time unix time
-- @treturn number unix time; the same when it is inside
function M.into_window(window, time)
  if not window then return time end
  local read = assert(read_window(window))
  local first = math.floor((time + read.offset) / 86400) - 1
  for day = first, first + 8 do
    local start = day * 86400 + read.from - read.offset
    if read.days[(day + WEEKDAY_OF_1970) % 7] and time < start + read.length then
      return math.max(time, start)
    end
  end
end

--- Check what says when something recurs.
-- @param every `{seconds=, first=, window=}`
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string why it does not
function M.check_every(every)
  if type(every) ~= "table" then return nil, "it is no table" end
  if type(every.seconds) ~= "number" then return nil, "it has no interval" end
  local seconds, why = M.interval(every.seconds)
  if not seconds then return nil, why end
  if not M.is_time(every.first) then return nil, "its first time is none" end
  if every.window == nil then return true end
  return M.check_window(every.window)
end

--- When something that recurs was last due.
-- @tparam table every that @{check_every} accepts
-- @tparam number now unix time
-- @treturn ?number unix time, not after now; nil when its window has not opened since
function M.last(every, now)
  local passed = math.floor((now - every.first) / every.seconds)
  local time = passed >= 0 and M.into_window(every.window, every.first + passed * every.seconds)
  return time and time <= now and time or nil
end

--- When something recurs next. What was missed is not made up for: however long
-- no runner ran, there is one next time.
-- @tparam table every that @{check_every} accepts
-- @tparam number now unix time
-- @treturn number unix time after now, inside the window
function M.next(every, now)
  local passed = math.max(0, math.floor((now - every.first) / every.seconds) + 1)
  return M.into_window(every.window, every.first + passed * every.seconds)
end

return M
