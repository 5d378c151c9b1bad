--- How fast a workflow changes things: so many requests a minute of each account.
--
-- All clients of an account share one limiter, and so do all runs with the same limit:
-- those of this process, and by a file those of this user. Clients whose account cannot
-- be learned might be of any: then all clients of the run share one. Every attempt that
-- leaves counts, those too that a client makes again by itself.
-- @module cce.workflow.pace
-- @local
local identity = require "cce.api.identity"
local rate_limit = require "cce.api.rate_limit"
local user_state = require "cce.base.user_state"

local M = {}

local function is_rate(value)
  return value == false or (type(value) == "string" and rate_limit.parse(value) ~= nil),
    'a count and a window such as "10/min", or false'
end

--- The rule of the option `rate_limit`.
M.option = { type = { "string", "boolean" }, check = is_rate, default = "10/min" }

-- By clock, then by account and limit. They outlive a run: the next one goes on
-- with the same account.
local limiters = setmetatable({}, { __mode = "k" })

--- Forget what was sent until now.
function M.forget()
  limiters = setmetatable({}, { __mode = "k" })
end

-- ---- the budget of an account, for all processes of a user -----------------------

-- `{["<account> <count>/<seconds>"]={<unix times at which the last requests leave>}}`
local FILE = "budget"

-- A limit above this is none that people would wait for.
local MOST_SHARED = 1000

-- So many windows ahead requests may have been promised; what is later was written by
-- a clock that has been set since.
local LONGEST_AHEAD = 10

-- Seconds until the request of one more process may leave.
local function reserve_shared(key, limiter)
  local wait = 0
  user_state.update(FILE, function(entries, time)
    local latest, kept = time + LONGEST_AHEAD * limiter.seconds, {}
    for _, at in ipairs(type(entries[key]) == "table" and entries[key] or {}) do
      if type(at) == "number" and at > time - limiter.seconds and at <= latest then
        kept[#kept + 1] = at
      end
    end
    local before = kept[#kept - limiter.count + 1]
    local at = math.max(time, before and before + limiter.seconds or 0, kept[#kept] or 0)
    kept[#kept + 1] = at
    entries[key], wait = kept, at - time
  end)
  return wait
end

-- ---- turns -----------------------------------------------------------------------

-- What a client asks before each attempt. One turn may be taken ahead of it.
local Turns = {}
Turns.__index = Turns

local function take(turns, now)
  local seconds = turns.limiter:reserve(now)
  if not turns.key or turns.limiter.count > MOST_SHARED then return seconds end
  return math.max(seconds, reserve_shared(turns.key, turns.limiter))
end

function Turns:reserve(now)
  if self.taken then
    self.taken = false
    return 0
  end
  return take(self, now)
end

--- Wait now for the turn of the next request that changes something, so that
-- nothing has to wait between what is written before it and the request.
-- @tparam cce.client client that `pace:limited` returned
function M.take_turn(client)
  local turns = client.change_limiter
  if not turns or turns.taken then return end
  local seconds = take(turns, client.monotonic())
  if seconds > 0 then client.sleep(seconds) end
  turns.taken = true
end

-- ---- the pace of a run -----------------------------------------------------------

local Pace = {}
Pace.__index = Pace

-- By client; false when one of them cannot be told. Clients with the same access
-- key are of the same account.
local function accounts_of(clients)
  local accounts, by_key = {}, {}
  for _, client in ipairs(clients) do
    local key = identity.access_key(client) or client
    by_key[key] = by_key[key] or identity.account(client)
    if not by_key[key] then return false end
    accounts[client] = by_key[key]
  end
  return accounts
end

--- The limiter of a client's account; nil when there is no limit.
-- @function pace:limiter
function Pace:limiter(client)
  if not self.limit then return nil end
  local account = self.accounts and self.accounts[client] or "unknown"
  local of_clock = limiters[client.monotonic] or {}
  limiters[client.monotonic] = of_clock
  local key = ("%s %d/%g"):format(account, rate_limit.parse(self.limit))
  of_clock[key] = of_clock[key] or rate_limit.new(self.limit)
  return of_clock[key]
end

--- The same client, but its requests that change something have to wait for
-- their turn.
-- @tparam cce.client client
-- @treturn cce.client
-- @function pace:limited
function Pace:limited(client)
  local limiter = self:limiter(client)
  if not limiter then return client end
  local account, address = self.accounts and self.accounts[client], client.config.endpoints.cce
  -- All simulators have the same account, and no budget in common.
  local is_simulator = address:find "^%w+://127%." or address:find "^%w+://localhost"
  if account and is_simulator then account = address .. " " .. account end
  return client:view { change_limiter = setmetatable({ limiter = limiter,
    key = account and ("%s %d/%g"):format(account, limiter.count, limiter.seconds) }, Turns) }
end

--- Count what an earlier process sent. A limiter that was in use has counted the
-- requests of this process already.
-- @tparam {table,...} items each with `client` and perhaps `sent`, a unix time
-- @function pace:count_earlier
function Pace:count_earlier(items)
  local fresh, sent = {}, {}
  for _, item in ipairs(items) do
    local limiter = item.sent and self:limiter(item.client)
    if limiter and fresh[limiter] == nil then fresh[limiter] = limiter.position == 0 end
    if limiter and fresh[limiter] then
      local ago = math.max(item.client.clock() - item.sent, 0)
      sent[#sent + 1] = { limiter = limiter, time = item.client.monotonic() - ago }
    end
  end
  table.sort(sent, function(a, b) return a.time < b.time end)
  for _, each in ipairs(sent) do each.limiter:reserve(each.time) end
end

--- Seconds until the last of some requests may leave, when none has left before.
-- @tparam {table,...} items each with `client`
-- @treturn number
-- @function pace:seconds
function Pace:seconds(items)
  local counts, longest = {}, 0
  for _, item in ipairs(items) do
    local limiter = self:limiter(item.client)
    if limiter then
      counts[limiter] = (counts[limiter] or 0) + 1
      local windows = math.floor((counts[limiter] - 1) / limiter.count)
      longest = math.max(longest, windows * limiter.seconds)
    end
  end
  return longest
end

--- The pace of a run. Asks of each account once who it is.
-- @tparam {cce.client,...} clients
-- @tparam string|boolean limit "10/min"; false: none
-- @treturn table
function M.new(clients, limit)
  return setmetatable({ limit = limit, accounts = limit and accounts_of(clients) }, Pace)
end

return M
