--- What is typed, as values: for argparse's `convert`.
-- @module cce.cli.input.convert
-- @local
local when = require "cce.schedule.when"

local M = {}

--- A whole number.
function M.integer(text)
  local number = text:match("^%d+$") and tonumber(text)
  return number or nil, "a whole number is expected, not '" .. text .. "'"
end

--- Days of a certificate; "max" are the five years of the API.
function M.days(text)
  if text == "max" then return -1 end
  local number = text:match("^%d+$") and tonumber(text)
  return number or nil, "a number of days, or max, is expected, not '" .. text .. "'"
end

--- Seconds, from 0 on.
function M.seconds(text)
  local number = tonumber(text)
  return number and number >= 0 and number or nil, "seconds are expected, not '" .. text .. "'"
end

--- A count, or a share such as "10%", which stays text.
function M.limit(text)
  if text:find "%%$" then return text end
  return M.integer(text)
end

--- A rate as the workflows take it; "none" is none. Nil stays nil.
function M.rate(text)
  if text == "none" then return false end
  return text
end

local UNITS = { s = 1, m = 60, h = 3600, d = 86400, w = 7 * 86400 }

--- A length of time: "90s", "15m", "2h", "7d", "2w"; a number alone is seconds.
function M.duration(text)
  local number, unit = text:match("^(%d+%.?%d*)([smhdw]?)$")
  local seconds = number and tonumber(number) * UNITS[unit ~= "" and unit or "s"]
  return seconds or nil, "a time such as 90s, 15m, 2h or 7d is expected, not '" .. text .. "'"
end

local heard = {}

--- What was understood of moments in local time, once: to be said before anything is done.
-- @treturn {string,...}
function M.heard()
  local notes = heard
  heard = {}
  return notes
end

--- A moment: ISO 8601 with a zone, "+2h" from now, or in local time such as "fri 18:00".
-- @treturn ?number unix time
function M.time(text)
  local ahead = text:match("^%+(.+)$")
  local seconds = ahead and M.duration(ahead)
  if seconds then return os.time() + seconds end
  local time, note = require("cce.cli.input.moment").read(text, os.time())
  if time then heard[#heard + 1] = note end
  return time or when.parse(text) or nil, note or "a time with its zone, such as"
    .. " 2026-01-31T18:00Z or 2026-01-31T18:00+08:00, +2h from now, or in local time 'fri 18:00',"
    .. " 'tomorrow 09:00' or 18:00, is expected, not '" .. text .. "'"
end

--- A moment at which something is to be done: as `time`. One that has passed is told, since it
-- may be that of another year or zone.
-- @treturn ?number unix time
function M.due(text)
  local time, message = M.time(text)
  if time and time < os.time() then
    heard[#heard + 1] = ("'%s' has passed: what is put in for it is due at once"):format(text)
  end
  return time, message
end

--- A moment that has been: as `time`, or "2d", which is two days ago.
-- @treturn ?number unix time
function M.past(text)
  local seconds = M.duration((text:gsub("%s+ago$", "")))
  if seconds then return os.time() - seconds end
  return when.parse(text) or nil, "how long ago, such as 2d, or a time with its zone, such as"
    .. " 2026-01-31T18:00Z, is expected, not '" .. text .. "'"
end

return M
