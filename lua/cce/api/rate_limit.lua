--- A rate limit such as "200/5min": so many requests in any window so long.
-- @module cce.api.rate_limit
-- @local
local M = {}

local SECONDS = {
  s = 1, sec = 1, second = 1, m = 60, min = 60, minute = 60, h = 3600, hour = 3600,
  d = 86400, day = 86400,
}

local Limiter = {}
Limiter.__index = Limiter

--- Read a limit.
-- @tparam string text "10/min", "200/5min", "5/s"
-- @treturn[1] int count
-- @treturn[1] number seconds
-- @treturn[2] nil when it cannot be read
function M.parse(text)
  local count, number, unit = text:match("^%s*(%d+)%s*/%s*(%d*)%s*(%a+)%s*$")
  local seconds = unit and (SECONDS[unit] or SECONDS[unit:gsub("s$", "")])
  count, number = tonumber(count), tonumber(number) or 1
  if not seconds or count < 1 or count > 100000 or number < 1 then return nil end
  return count, number * seconds
end

--- Reserve the next place.
-- @tparam number now seconds
-- @treturn number seconds to wait before the request may leave
function Limiter:reserve(now)
  local slot = self.position % self.count + 1
  local before = self.granted[slot]
  local at = before and math.max(now, before + self.seconds) or now
  self.granted[slot] = at
  self.position = slot
  return at - now
end

--- Make a limiter, to be shared by all whose requests count together.
-- @tparam string text
-- @treturn[1] table
-- @treturn[2] nil when the text cannot be read
function M.new(text)
  local count, seconds = M.parse(text)
  if not count then return nil end
  return setmetatable({ count = count, seconds = seconds, granted = {}, position = 0 }, Limiter)
end

return M
