--- Moments as people type them: "fri 18:00", "tomorrow 09:00", "18:00". They are local time, and
-- what may be meant in two ways is refused.
-- @module cce.cli.input.moment
-- @local
local times = require "cce.base.times"
local values = require "cce.base.values"

local M = {}

local DAY = 86400

-- Thursday.
local WEEKDAY_OF_1970 = 4

local WEEKDAYS = { sun = 0, sunday = 0, mon = 1, monday = 1, tue = 2, tuesday = 2, wed = 3,
  wednesday = 3, thu = 4, thursday = 4, fri = 5, friday = 5, sat = 6, saturday = 6 }

-- Days from today to the one that is meant; the next of a weekday, which may be today.
local function days_ahead(word, today)
  if word == "" or word == "today" then return 0 end
  if word == "tomorrow" then return 1 end
  return WEEKDAYS[word] and (WEEKDAYS[word] - today - WEEKDAY_OF_1970) % 7
end

--- Read one.
-- @tparam string text
-- @tparam number now unix time
-- @treturn[1] number unix time
-- @treturn[1] string what was understood
-- @treturn[2] nil
-- @treturn[2] ?string why it is refused; nil when it is no such text
function M.read(text, now)
  local word, hours, minutes = values.lower(text):match "^(%a*)%s*(%d%d):(%d%d)$"
  hours, minutes = tonumber(hours), tonumber(minutes)
  if not hours or hours > 23 or minutes > 59 then return nil end
  local today = math.floor((now + times.local_offset(now)) / DAY)
  local ahead = days_ahead(word, today)
  if not ahead then return nil end
  local unknown = times.no_local_time()
  if unknown then
    return nil, ("'%s' is in local time, but %s: give a time with its zone, such as"
      .. " 2026-01-31T18:00+08:00"):format(text, unknown)
  end
  local time, why = times.of_local((today + ahead) * DAY + hours * 3600 + minutes * 60)
  if not time then
    return nil, ("'%s' %s in local time, where the clock is put forward or back: give a time with"
      .. " its zone, such as 2026-01-31T18:00+08:00"):format(text, why)
  elseif time <= now then
    -- A weekday may be the next one: who means that one says its date.
    local other = WEEKDAYS[word] and "" or ("say 'tomorrow %02d:%02d', or "):format(hours, minutes)
    return nil, ("'%s' has passed today: %sgive a time with its zone, such as"
      .. " 2026-01-31T18:00+08:00"):format(text, other)
  end
  return time, ("'%s' is %s, local time of this machine"):format(text,
    times.format(time, times.local_offset(time)))
end

return M
