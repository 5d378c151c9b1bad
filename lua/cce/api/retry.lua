--- When a call is made again. One place, no network, no clock, no sleep.
--
-- A wrong answer here rotates a cluster twice, or locks an access key, so the
-- rules are few and written as data:
--
-- * A call that only reads, and a revocation, may be repeated: after a failed
--   connection, a time-out, a broken connection, a 5xx or throttling.
-- * Obtaining may be repeated when the request surely never left, or when a
--   retryable status came: else a second certificate would be issued unseen.
-- * A rotation is repeated only when it surely was not accepted: after a DNS,
--   connect or TLS failure, or when the gateway throttled it.
-- * A 401 is never repeated, but once after the clock was corrected, a token renewed
--   or the key replaced at its source: more than five failures lock the access key.
--
-- How long to wait: what the API asks for (`Retry-After`, or the window that a
-- throttling message names, a minute when it names none), else a random time below
-- a bound that doubles with each attempt. All calls of a client draw on one budget,
-- so that a fleet does not hammer an API that fails; waiting out a window costs
-- nothing of it.
-- @module cce.api.retry
-- @local
local M = {}

-- What each kind of call may repeat after. "unsent": only when not one byte
-- of the request left.
local NEVER_LEFT = {
  DNS_FAILED = true, CONNECT_FAILED = true, PROXY_FAILED = true, TLS_FAILED = true,
}

local ALLOWED = {
  read = { TIMEOUT = "any", CONNECTION_LOST = "any", SERVER_ERROR = "any", THROTTLED = "any",
    RESPONSE_INVALID = "any" },
  revoke_cert = { TIMEOUT = "any", CONNECTION_LOST = "any", SERVER_ERROR = "any",
    THROTTLED = "any" },
  obtain_cert = { TIMEOUT = "unsent", CONNECTION_LOST = "unsent", SERVER_ERROR = "any",
    THROTTLED = "any" },
  rotate_credentials = { TIMEOUT = "unsent", CONNECTION_LOST = "unsent", THROTTLED = "gateway" },
}

-- The longest that a call waits because the API asked for it; a longer wait is
-- the caller's decision, who finds it in `err.retry_after`.
local LONGEST_WAIT = 3600

M.defaults = { max_attempts = 4, base = 0.5, cap = 30, budget = 100 }

-- ---- the budget ------------------------------------------------------------

local Budget = {}
Budget.__index = Budget

-- A clock that was set back gives nothing.
function Budget:refill(now)
  local earned = math.max(0, now - self.at) * self.capacity / 60
  self.left, self.at = math.min(self.capacity, self.left + earned), now
end

--- Take one retry out of the budget.
-- @tparam number now seconds, of a clock that only goes forward
-- @treturn boolean false when it is used up
function Budget:take(now)
  self:refill(now)
  if self.left < 1 then return false end
  self.left = self.left - 1
  return true
end

--- Make a full budget: a token bucket.
-- @tparam int capacity retries at once, and retries that come back a minute
-- @tparam number now seconds
-- @treturn table
function M.budget(capacity, now)
  return setmetatable({ capacity = capacity, left = capacity, at = now }, Budget)
end

-- ---- the rules ---------------------------------------------------------------

--- Whether this failure of this request may be followed by another attempt.
-- @tparam table request `{operation=, mutating=}`
-- @tparam table err
-- @treturn boolean
function M.allowed(request, err)
  if NEVER_LEFT[err.code] then
    return not err.sent and not err.untrusted
  end
  local kind = request.mutating and request.operation or "read"
  local rule = (ALLOWED[kind] or ALLOWED.rotate_credentials)[err.code]
  if rule == "unsent" then
    return not err.sent
  elseif rule == "gateway" then
    return (err.error_code or ""):match("^APIGW?%.0308$") ~= nil
  end
  return rule == "any"
end

--- Whether nothing of the request was sent, so that another address of the same
-- service may get it.
-- @tparam table err
-- @treturn boolean
function M.never_left(err)
  return not err.sent and (err.code == "DNS_FAILED" or err.code == "CONNECT_FAILED"
    or err.code == "TLS_FAILED" or err.code == "TIMEOUT")
end

--- Seconds to wait before attempt `attempt + 1`, or nil to give up.
-- @tparam table policy `{max_attempts=, base=, cap=}`
-- @tparam table request
-- @tparam table err the failure of attempt `attempt`
-- @tparam int attempt 1 for the first
-- @tparam function random returns a number in [0,1)
-- @treturn ?number
function M.delay(policy, request, err, attempt, random)
  if attempt >= policy.max_attempts or not M.allowed(request, err) then
    return nil
  end
  if err.retry_after then
    if err.retry_after > LONGEST_WAIT then return nil end
    return err.retry_after + random() * policy.base
  end
  return random() * math.min(policy.cap, policy.base * 2 ^ (attempt - 1))
end

--- What to do after a failure: the rules, the time that is left and the budget.
-- @tparam table plan `policy`, `random`, `budget`, `now` (seconds), and `left`,
--   the seconds until the call's deadline, nil without one
-- @tparam table request
-- @tparam table err
-- @tparam int attempt
-- @treturn[1] number seconds to wait before the next attempt
-- @treturn[2] nil to give up
-- @treturn[2] ?string why, when the rules alone would allow another attempt
function M.next(plan, request, err, attempt)
  local delay = M.delay(plan.policy, request, err, attempt, plan.random)
  if not delay then return nil end
  if plan.left and delay >= plan.left then
    return nil, ("Another attempt would have to wait %.3g s, which deadline= leaves no time for")
      :format(delay)
  end
  if not err.retry_after and not plan.budget:take(plan.now) then
    return nil, "Not tried again: too many calls of this client fail (retry.budget)"
  end
  return delay
end

return M
