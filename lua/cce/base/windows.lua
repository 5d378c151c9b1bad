--- Maintenance windows and blackouts: when something may be begun. Pure: no clock is asked.
--
-- What counts is what a clock on the wall of the zone shows. Where that clock is put back, an hour
-- is there twice; one that it skips never comes. A window that passes midnight belongs to the day
-- on which it begins.
-- @module cce.base.windows
-- @local
local options = require "cce.base.options"
local times = require "cce.base.times"
local values = require "cce.base.values"

local M = {}

local Windows = {}
Windows.__index = Windows

local DAY = 86400

-- Thursday.
local WEEKDAY_OF_1970 = 4

-- The end of the year 9999.
local LATEST = 253402300799

-- Of all texts together: a line of a journal holds them whole.
local LONGEST = 500

local DAY_NUMBER = { sun = 0, mon = 1, tue = 2, wed = 3, thu = 4, fri = 5, sat = 6 }

-- ---- reading -------------------------------------------------------------------

local function seconds_of_day(text)
  local hours, minutes = text:match "^(%d%d):(%d%d)$"
  hours, minutes = tonumber(hours), tonumber(minutes)
  if not hours or minutes > 59 or hours * 60 + minutes > 24 * 60 then return nil end
  return hours * 3600 + minutes * 60
end

-- "sat,sun" and "mon-fri"; nothing is every day.
local function weekday_set(text)
  local set = {}
  for part in (text == "" and "sun-sat" or text):gmatch "[^,]+" do
    local first, last = part:match "^(%a+)%-(%a+)$"
    first, last = DAY_NUMBER[first or part], DAY_NUMBER[last or part]
    if not first or not last then return nil end
    for day = first, first + (last - first) % 7 do set[day % 7] = true end
  end
  return next(set) and set
end

-- Part of a day, and the zone if it is named there.
local function read_span(text)
  local days, from, to, zone = values.lower(text)
    :match "^%s*([%a,%-]*)%s*(%d%d:%d%d)%-(%d%d:%d%d)%s*(%S*)%s*$"
  if not days then
    return nil, ("'%s' is no window such as \"sat,sun 01:00-05:00\""):format(text)
  end
  local set = weekday_set(days)
  if not set then return nil, ("'%s' names no days such as sat,sun or mon-fri"):format(text) end
  from, to = seconds_of_day(from), seconds_of_day(to)
  if not from or not to then return nil, ("'%s' names a time that no day has"):format(text) end
  if from == to then return nil, ("'%s' is empty: it begins when it ends"):format(text) end
  return { days = set, from = from, length = to > from and to - from or to - from + DAY }, zone
end

-- The first moment of a day or a minute, or the first after it.
local function read_edge(text, is_end)
  local date, clock = text:match "^(%d%d%d%d%-%d%d%-%d%d)[T ]?(.*)$"
  local wall = date and times.parse(("%sT%s:00Z"):format(date, clock == "" and "00:00" or clock))
  return wall and (is_end and clock == "" and wall + DAY or wall)
end

local function read_blackout(text)
  local from, to = text:match "^%s*([^/]-)%s*/%s*(.-)%s*$"
  if not from then
    from = text:match "^%s*(.-)%s*$"
    to = from
  end
  local first, last = read_edge(from), read_edge(to, true)
  if not first or not last then
    return nil, ("'%s' is no blackout such as \"2026-12-20/2027-01-05\""):format(text)
  end
  if last <= first then return nil, ("the blackout '%s' ends before it begins"):format(text) end
  return { from = first, to = last }
end

-- The texts of an option: one text, or a list of them.
local function texts_of(value, separator)
  local list = {}
  -- What no walk over a list finds is no reason to begin when nothing may be.
  if type(value) == "table" and not options.is_list(value) then return nil end
  for _, each in ipairs(type(value) == "table" and value or { value }) do
    if type(each) ~= "string" then return nil end
    for part in (each .. separator):gmatch("(.-)" .. separator) do list[#list + 1] = part end
  end
  return list
end

local FIELDS = { weekdays = true, from = true, to = true, zone = true }

-- A window as a table, as text.
local function text_of(window)
  local days = {}
  for name in pairs(window) do
    if not FIELDS[name] then return nil, "a window has more than weekdays, from, to and zone" end
  end
  if not window.from or not window.to then return nil, "a window has from and to" end
  if window.weekdays then
    if not options.is_list(window.weekdays) or #window.weekdays == 0 then
      return nil, "weekdays of a window is no list of days"
    end
    for i, day in ipairs(window.weekdays) do days[i] = tostring(day) end
  end
  return ("%s %s-%s"):format(table.concat(days, ","), tostring(window.from), tostring(window.to))
end

local function read_zone(zone)
  if zone == nil then return 0 end
  if values.lower(zone) == "local" then return "local" end
  local offset = times.offset(zone)
  if offset then return offset end
  return nil, "the zone is not UTC, local or such as +08:00"
end

-- Spans of the texts, and the zone that they name.
local function read_spans(texts, zone)
  if #texts == 0 then return nil, "there is no window" end
  local spans = {}
  for i, text in ipairs(texts) do
    local span, named = read_span(text)
    if not span then return nil, named end
    if named ~= "" then
      if zone and named ~= values.lower(zone) then return nil, "two zones are named" end
      zone = named
    end
    spans[i] = span
  end
  return spans, zone
end

local EVERY_DAY = { "00:00-24:00" }

--- Read windows.
-- @param windows `"sat,sun 01:00-05:00"`; several with `;` between them, or as a list; or one as
--   a table `{weekdays={"Sat"}, from="01:00", to="05:00", zone="+08:00"}`; nil is at all times. A
--   text may end with the zone
-- @param except blackouts: `"2026-12-20/2027-01-05"`, both days included, or
--   `"2026-12-24T18:00/2026-12-27"`; several with `,` between them, or as a list
-- @param zone of both: "UTC", "local" (of this machine) or such as "+08:00"; by default UTC
-- @treturn[1] table with `text`, for people; `windows`, `except` and `named` (the zone), texts that
--   are read as the same; and `opens`
-- @treturn[2] nil
-- @treturn[2] string why not
function M.read(windows, except, zone)
  if zone ~= nil and type(zone) ~= "string" then return nil, "the zone is no text" end
  if type(windows) == "table" and #windows == 0 then
    local text, why = text_of(windows)
    if not text then return nil, why end
    if windows.zone ~= nil and type(windows.zone) ~= "string" then
      return nil, "the zone is no text"
    end
    windows, zone = text, windows.zone or zone
  end
  local texts = windows == nil and EVERY_DAY or texts_of(windows, ";")
  local dates = except == nil and {} or texts_of(except, ",")
  if not texts or not dates then return nil, "windows are texts, or lists of texts" end
  local spans
  spans, zone = read_spans(texts, zone)
  if not spans then return nil, zone end
  local self = { spans = spans, blackouts = {}, windows = windows and table.concat(texts, ";"),
    except = #dates > 0 and table.concat(dates, ",") or nil, named = zone or "UTC" }
  local why
  self.zone, why = read_zone(zone)
  if not self.zone then return nil, why end
  for i, text in ipairs(dates) do
    self.blackouts[i], why = read_blackout(text)
    if not self.blackouts[i] then return nil, why end
  end
  if #(self.windows or "") + #(self.except or "") > LONGEST then
    return nil, ("their texts are longer than %d bytes"):format(LONGEST)
  end
  self.text = ("%s%s (%s)"):format(windows and table.concat(texts, "; ") or "at all times",
    #dates > 0 and ", not " .. table.concat(dates, ", ") or "",
    self.zone == "local" and "local time" or self.zone == 0 and "UTC" or self.named)
  return setmetatable(self, Windows)
end

-- ---- when they are open ----------------------------------------------------------

-- The first reading of the clock on the wall, from one on, that is inside. Readings are
-- seconds, as unix time is of UTC.
local function first_inside(self, wall)
  local found, over
  repeat
    wall, found, over = over or wall, math.huge, nil
    local today = math.floor(wall / DAY)
    for _, span in ipairs(self.spans) do
      for day = today - 1, today + 8 do
        local start = day * DAY + span.from
        if span.days[(day + WEEKDAY_OF_1970) % 7] and wall < start + span.length then
          found = math.min(found, math.max(wall, start))
          break
        end
      end
    end
    for _, blackout in ipairs(self.blackouts) do
      if found >= blackout.from and found < blackout.to then over = blackout.to end
    end
  until not over
  return found
end

-- The first second after a time, up to another, at which local time is put forward or back.
local function next_change(time, last)
  time = math.floor(time)
  local offset = times.local_offset(time)
  while time < last do
    local ahead = math.min(time + DAY, last)
    if times.local_offset(ahead) ~= offset then
      while ahead - time > 1 do
        local middle = math.floor((time + ahead) / 2)
        if times.local_offset(middle) == offset then time = middle else ahead = middle end
      end
      return ahead
    end
    time = ahead
  end
end

--- Why it cannot be told here when they are open. They may have been read for another machine.
-- @treturn ?string
-- @function windows:problem
function Windows:problem()
  local why = self.zone == "local" and times.no_local_time()
  if not why then return nil end
  return ("they are in local time, but %s: give the zone, such as +08:00"):format(why)
end

--- The first moment from a time on at which they are open.
-- @tparam number time unix time
-- @treturn ?number unix time, the same when they are open then; nil when they never are
-- @function windows:opens
function Windows:opens(time)
  while true do
    local offset = self.zone == "local" and times.local_offset(time) or self.zone
    local wall = time + offset
    local found = first_inside(self, wall)
    if found == wall then return time end
    found = found - offset
    if found > LATEST then return nil end
    -- Found as if the clock were never put forward or back.
    local change = self.zone == "local" and next_change(time, found)
    if not change then return found end
    time = change
  end
end

return M
