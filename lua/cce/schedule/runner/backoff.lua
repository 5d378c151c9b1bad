--- When what failed is tried again, and how late is late. Pure: no clock, no
-- dice of its own.
-- @module cce.schedule.runner.backoff
-- @local
local M = {}

--- Seconds. What a person has to mend (a right that is missing, a cluster that is
-- not there) is looked at less often, and a wrong key is not tried until the
-- account locks it; but nothing is ever given up.
M.defaults = {
  base = 1, cap = 300, floor = 0.5,
  mend_base = 60, mend_cap = 3600, mend_floor = 30,
}

-- An entry is late from so many seconds on.
local LATE = 60
local HOUR = 3600

-- What an API, or something on the way to it, may ask to wait for; seconds.
local LONGEST_WINDOW = HOUR

--- Seconds until the next try: a random time below a bound that doubles with each.
-- @tparam int attempts so far, 1 for the first
-- @tparam table err of `cce.error`
-- @tparam table policy like `defaults`
-- @tparam function random returns a number in [0,1)
-- @treturn number
function M.delay(attempts, err, policy, random)
  local base, cap, floor = policy.base, policy.cap, policy.floor
  -- An answer that says no, or wrong use: the same again brings the same.
  if err.retryable == false then
    base, cap, floor = policy.mend_base, policy.mend_cap, policy.mend_floor
  end
  -- 2^64 is farther than any cap, and finite.
  local bound = math.min(cap, base * 2 ^ math.min(attempts - 1, 64))
  local delay = math.max(math.min(floor, cap), random() * bound)
  if not err.retry_after then return delay end
  -- The API named the end of its window: before that, all are refused. Whatever it
  -- named, a try that is hours away would be giving up.
  return math.min(err.retry_after, LONGEST_WINDOW) + math.min(delay, policy.cap)
end

--- Seconds until a store that cannot be reached is asked again.
-- @tparam int failures in a row, 1 for the first
-- @tparam function random
-- @treturn number at most 30
function M.store_delay(failures, random)
  return math.min(30, 0.5 * 2 ^ math.min(failures - 1, 64)) * (0.5 + 0.5 * random())
end

-- 0: not late. One more with each doubling of the first hour, then with each hour.
local function level(seconds)
  if seconds < LATE then return 0 end
  if seconds < HOUR then return 1 + math.floor(math.log(seconds / LATE) / math.log(2)) end
  return 6 + math.floor(seconds / HOUR)
end

--- Whether it is time to say that an entry is late: at growing intervals, and
-- the same for every runner, since only the entry itself is asked.
-- @tparam number due unix time
-- @tparam ?number told when it was last tried; nil: never
-- @tparam number now
-- @treturn boolean
function M.must_tell(due, told, now)
  return level(now - due) > (told and level(told - due) or 0)
end

return M
