--- The credentials of one client while it lives: fetched at the first call,
-- kept, renewed before their end, replaced when their file is, wiped at the
-- client's end.
--
-- However many calls need them at once, one of them fetches and the others
-- wait for it. While the old ones are still good, only the call that
-- renews waits.
-- @module cce.credentials.session
-- @local
local breaker = require "cce.credentials.breaker"
local errors = require "cce.error"
local singleflight = require "cce.host.singleflight"
local providers = require "cce.credentials.provider"

local M = {}

local Session = {}
Session.__index = Session

-- Seconds. Not to be used so shortly before the end: the request takes time, too.
local GRACE = 5
-- After a failure while the old ones are still good.
local PAUSE_IN_MARGIN = 30

-- So long a failure is the answer without another look: five wrong passwords
-- lock an account, and the metadata service of a laptop never answers.
local PAUSES = { UNAUTHENTICATED = 300, ACCESS_KEY_LOCKED = 300, PERMISSION_DENIED = 60,
  NO_CREDENTIALS = 5 }

-- How often a source is looked at whether it was replaced; after a refusal, at once.
local LOOK_PAUSE = 10

-- ---- what calls hold -----------------------------------------------------

local function close_auth(auth)
  if auth.signer then auth.signer:close() end
  if auth.token then auth.token:close() end
  auth.signer, auth.token = nil, nil
end

local function let_go(self, auth)
  auth.uses = auth.uses - 1
  if self.retired[auth] and auth.uses <= 0 then
    close_auth(auth)
    self.retired[auth] = nil
  end
end

--- A call has ended that held these credentials.
-- @tparam table auth of `acquire`
-- @tparam ?string outcome "accepted" or "refused": what the service said to the key
function Session:release(auth, outcome)
  if auth.gate then breaker.leave(auth.gate, outcome) end
  let_go(self, auth)
end

-- ---- what a source gave --------------------------------------------------

local function new_auth(self, material)
  local auth = {
    source = material.source, ak = material.ak, project_id = material.project_id,
    iam_endpoint = material.iam_endpoint, expires_at = material.expires_at,
    renewable = material.renewable, constant = material.constant, uses = 0,
    is_replaced = material.is_replaced, looked_at = self.client.monotonic(),
  }
  -- To be renewed the margin before the end; but what comes with less than that is
  -- used for most of its time.
  local ends, now = material.expires_at, self.client:now()
  if ends then
    local at = ends - (material.margin or 60)
    auth.renew_at = at > now and at or now + (ends - now) * 0.75
  end
  if material.token then
    auth.token, material.token = material.token, nil
    return auth
  end
  local message, err
  auth.signer, message, err = providers.signer(material)
  if not auth.signer then return nil, message, err end
  -- Temporary keys are others at each renewal, and as good as those before.
  local before = self.auth and self.auth.gate
  local is_renewal = material.renewable and material.security_token
  auth.gate = is_renewal and before or breaker.gate(material.ak, material.sk)
  return auth
end

local function adopt(self, material)
  local client, before = self.client, self.auth
  if self.closed then
    providers.discard(material)
    return errors.fail("CLOSED", "the client was closed during the call")
  end
  material.renewable = material.renewable or self.provider.renewable
  material.constant = material.constant or self.provider.constant
  local auth, message, err = new_auth(self, material)
  providers.discard(material)
  if not auth then return nil, message, err end
  if before then
    self.retired[before] = true
    before.uses = before.uses + 1
    let_go(self, before)
  end
  self.auth, self.failure = auth, nil
  -- Where a profile file says where IAM is, and nothing else does.
  local endpoints = client.config.endpoints
  if auth.iam_endpoint and not endpoints.iam then
    endpoints.iam, endpoints.all.iam = auth.iam_endpoint, { auth.iam_endpoint }
  end
  -- No event for those that the caller gave, nor for the same key.
  local is_same = before and auth.gate and before.gate == auth.gate and before.ak == auth.ak
  if is_same or self.provider.needs_nothing and not before then return auth end
  client:emit {
    type = "credentials", source = auth.source, ak = auth.ak, expires_at = auth.expires_at,
    notice = material.notice,
  }
  return auth
end

-- ---- one fetches, the others wait ----------------------------------------

local function fetch(self)
  local material, message, err = self.provider:fetch(self.client)
  local auth
  if material then auth, message, err = adopt(self, material) end
  if auth then return auth end
  -- These two are for the chain and this module, not for the caller.
  local now, is_replaced = self.client.monotonic(), err.is_replaced
  err.incomplete, err.is_replaced = nil, nil
  self.client:emit {
    type = "credentials_failed", source = self.provider.name, code = err.code, message = message,
  }
  self.failure = { message = message, err = err, till = now + (PAUSES[err.code] or 0),
    is_replaced = is_replaced }
  self.pause_till = now + PAUSE_IN_MARGIN
  return nil, message, err
end

local function is_good(auth, now)
  return auth and not auth.stale and (not auth.expires_at or now < auth.expires_at - GRACE)
end

-- Whether the file that they come from is another one now.
local function is_replaced(self, auth)
  if not auth.is_replaced then return false end
  local now, gate = self.client.monotonic(), auth.gate
  if now - auth.looked_at < LOOK_PAUSE and not (gate and gate.refusals > 0) then return false end
  auth.looked_at = now
  return auth.is_replaced()
end

-- Good ones whose renewal is due stay when it is under way, or has just failed.
local function is_due(self, auth, now)
  if is_replaced(self, auth) then return true end
  return auth.renew_at and now >= auth.renew_at and not singleflight.is_under_way(self, "fetch")
    and self.client.monotonic() >= (self.pause_till or 0)
end

-- What to use now. It may have been retired while others that wait had their turn.
local function current(self)
  local auth = self.auth
  -- Keys without an end, from no file.
  if auth and not (auth.stale or auth.expires_at or auth.is_replaced) then return auth end
  local now = self.client:now()
  if is_good(auth, now) and not is_due(self, auth, now) then return auth end
  local failure = self.failure
  if failure and self.client.monotonic() < failure.till and not is_good(auth, now)
    and not (failure.is_replaced and failure.is_replaced()) then
    return nil, failure.message, failure.err
  end
  local fresh, message, err = singleflight.share(self, "fetch", fetch, self)
  if not fresh and is_good(auth, self.client:now()) and not self.closed then return auth end
  return fresh, message, err
end

--- The credentials to use now; fetches or waits when that is needed. They are held
-- until `release`, whatever others do meanwhile.
-- @treturn[1] table `{signer=}` or `{token=}`, and `source`, `ak`, `project_id`,
--   `renewable`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function Session:acquire()
  repeat
    local auth, message, err = current(self)
    if not auth then return nil, message, err end
    local entered = true
    auth.uses = auth.uses + 1
    if auth.gate then entered, message, err = breaker.enter(auth.gate) end
    -- While it waited, others may have come.
    if not entered then
      let_go(self, auth)
      if self.auth == auth then return nil, message, err end
    elseif auth.stale or not (auth.signer or auth.token) then
      self:release(auth)
    else
      return auth
    end
  until self.closed
  return errors.fail("CLOSED", "the client was closed during the call")
end

--- Who the client is, for those who send nothing.
-- @treturn[1] table `{source=, ak=, project_id=, expires_at=}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function Session:identify()
  local auth, message, err = current(self)
  return auth, message, err
end

--- The error of a key with which nothing may be sent now, for who would wait before
-- sending; nil when there is none.
-- @treturn ?table err
function Session:refusal()
  local auth = self.auth
  if not auth or not auth.gate or not breaker.is_open(auth.gate) then return nil end
  local held, _, err = self:acquire()
  if held then
    self:release(held)
  else
    err.not_sent = nil
  end
  return err
end

--- The API says that these are not good any more. The next `acquire` fetches
-- others, unless that has been done already.
-- @tparam table auth of `acquire`
-- @treturn boolean whether trying again makes sense
function Session:expire(auth)
  if not auth.renewable or self.closed then return false end
  auth.stale = true
  return true
end

--- The gateway refuses the key, or the token: its source is read again.
-- @tparam table auth of `acquire`
-- @treturn boolean whether there is another one now
function Session:replace(auth)
  self.client:emit { type = "key_refused", source = auth.source, ak = auth.ak }
  if auth.constant then return false end
  local is_new_file = auth.is_replaced and auth.is_replaced()
  if self.auth == auth then singleflight.share(self, "fetch", fetch, self) end
  if not self.auth or self.auth == auth then return false end
  return self.auth.gate ~= auth.gate or not auth.gate and is_new_file
end

--- Wipe all of it.
function Session:close()
  self.closed = true
  for auth in pairs(self.retired) do close_auth(auth) end
  if self.auth then close_auth(self.auth) end
  self.auth, self.failure = nil, nil
  if self.owned then self.provider:close() end
end

--- Who the client is, for people.
function Session:describe()
  local ak = self.auth and self.auth.ak or self.provider.ak
  return ak and "access key " .. ak or self.provider.name
end

--- Make the session of a client; fetches nothing yet.
-- @tparam table client with `config`, `now`, `monotonic`, `emit` and `engine`
-- @tparam table provider
-- @tparam boolean owned whether the provider ends with the session
-- @treturn table
function M.new(client, provider, owned)
  return setmetatable({ client = client, provider = provider, owned = owned, retired = {} },
    Session)
end

return M
