--- Moments and intervals of a schedule. Pure: no clock is asked.
-- @module cce.schedule.when
-- @local
local times = require "cce.base.times"
local values = require "cce.base.values"
local windows = require "cce.base.windows"

local M = {}

-- The end of the year 9999: what is beyond is milliseconds, or a mistake.
local LATEST = 253402300799

local SHORTEST, LONGEST = 60, 10 * 366 * 86400

local CRON = "a cron expression is not understood: give an interval such as \"7d\", and for certain"
  .. " hours windows such as \"sat,sun 01:00-05:00\""

-- ---- moments -----------------------------------------------------------------

--- Whether a value is a time that a schedule can hold.
-- @treturn boolean
function M.is_time(value)
  return type(value) == "number" and value >= 0 and value <= LATEST
end

local function parse_text(text)
  local date, clock, rest = text:match "^(%d%d%d%d%-%d%d%-%d%d)[Tt ](%d%d:%d%d)(.*)$"
  if not date then return nil, "it is no moment such as \"2026-11-27T18:00:00+08:00\"" end
  local seconds, fraction, zone = rest:match "^(:%d%d)(%.?%d*)(.*)$"
  if not seconds then seconds, fraction, zone = ":00", "", rest end
  if zone == "" then
    return nil, "it names no zone: put \"Z\" or such as \"+08:00\" behind it"
  end
  local offset = times.offset(values.upper(zone))
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
      return nil, ("'%s' is no interval such as \"12h\" or \"7d\""):format(value)
    end
    value = seconds
  end
  if value >= SHORTEST and value <= LONGEST then return value end
  return nil, "it is not between a minute and ten years"
end

-- ---- what recurs --------------------------------------------------------------

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
  -- Entries of version 0.1.0 have a window here; now it is an option of the rotation.
  if every.window == nil then return true end
  local read, why_not = windows.read(every.window)
  return read and true, why_not
end

-- When what waits for windows may be done.
local function into(open, time)
  if open then return open:opens(time) end
  return time
end

--- When something that recurs was last due.
-- @tparam table every that @{check_every} accepts
-- @tparam ?table open of `cce.base.windows`, which it waits for
-- @tparam number now unix time
-- @treturn ?number unix time, not after now; nil when no window has opened since
function M.last(every, open, now)
  local passed = math.floor((now - every.first) / every.seconds)
  local time = passed >= 0 and into(open, every.first + passed * every.seconds)
  return time and time <= now and time or nil
end

--- When something recurs next. What was missed is not made up for: however long
-- no runner ran, there is one next time.
-- @tparam table every that @{check_every} accepts
-- @tparam ?table open of `cce.base.windows`, which it waits for
-- @tparam number now unix time
-- @treturn ?number unix time after now; nil when no window opens any more
function M.next(every, open, now)
  local passed = math.max(0, math.floor((now - every.first) / every.seconds) + 1)
  return into(open, every.first + passed * every.seconds)
end

return M
