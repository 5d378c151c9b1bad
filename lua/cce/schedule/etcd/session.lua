--- A runner's life: a key that is attached to a lease of etcd.
-- @module cce.schedule.etcd.session
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local stores = require "cce.schedule.store"
local write = require "cce.schedule.etcd.write"

local M = {}

local Session = {}
Session.__index = Session
Session.__name = "cce.schedule.session"

-- How much of its time a renewal may wait for one endpoint: another one shall have
-- its turn before the session is over.
local PATIENCE = 0.25

local function revoke(client, lease)
  local answer, message, err, word = client:ask("/v3/lease/revoke", { ID = lease })
  if answer or word == "no_lease" then return true end
  return nil, message, err
end

-- The session's key: made unless it is there. Its value is the lease, so that a
-- repeated try knows its own.
local function make_key(keyspace, session)
  local key = "runners/" .. session.runner
  local made = write.put(keyspace, key, session.lease)
  made.request_put.lease = session.lease
  local answer, message, err = write.settle(keyspace, {
    compare = { write.is_at(keyspace, key, "CREATE", "0") }, success = { made },
    failure = { { request_range = { key = keyspace:encode(key) } } },
  })
  if not answer then return nil, message, err end
  if answer.succeeded then return answer.header.revision end
  local kvs = answer.responses[1].response_range.kvs
  if kvs and core.from_base64(kvs[1].value or "") == session.lease then
    return kvs[1].create_revision
  end
  return errors.fail("CONFLICT", ("runner %s is alive already"):format(session.runner),
    { retryable = false, maybe_applied = false })
end

-- The seconds of a lease, never more than were asked for: what etcd grants beyond that,
-- or "1e400", must not keep a runner sure of what others have taken over.
local function granted(answer, asked)
  local seconds = tonumber(answer.TTL)
  return seconds and seconds > 0 and math.min(seconds, asked)
end

--- Begin one.
-- @tparam table keyspace
-- @tparam string runner
-- @tparam number seconds etcd takes whole ones, and has a least one
-- @tparam function steady seconds since boot
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.open(keyspace, runner, seconds, steady)
  local client, began, asked = keyspace.client, steady(), math.ceil(seconds)
  local answer, message, err = client:ask("/v3/lease/grant", { TTL = ("%.0f"):format(asked) })
  if not answer then return nil, message, err end
  local given = granted(answer, asked)
  if not given then
    return errors.fail("RESPONSE_INVALID", "etcd granted a lease of no length",
      { retryable = true, maybe_applied = false })
  end
  local session = setmetatable({ runner = runner, client = client, steady = steady, asked = asked,
    lease = answer.ID, ends = began + given,
    patience = math.min(client.timeout, given * PATIENCE) }, Session)
  session.revision, message, err = make_key(keyspace, session)
  if session.revision then return session end
  -- The lease of one that is not wanted need not wait for its end.
  if err.code == "CONFLICT" then revoke(client, session.lease) end
  return nil, message, err
end

--- Live on for as long again.
function Session:renew()
  if self.ended then return stores.session_over(self.runner, false) end
  local began = self.steady()
  local answer, message, err, word = self.client:ask("/v3/lease/keepalive", { ID = self.lease },
    { timeout = self.patience })
  if not answer and word ~= "no_lease" then return nil, message, err end
  local seconds = granted(answer or {}, self.asked)
  if seconds then
    self.ends = began + seconds
    return true
  end
  self.ended = true
  return stores.session_over(self.runner, false)
end

--- Seconds that surely remain, as of before the last renewal was asked for.
function Session:left()
  return self.ended and 0 or math.max(0, self.ends - self.steady())
end

--- End it at once.
function Session:close()
  self.ended = true
  return revoke(self.client, self.lease)
end

return M
