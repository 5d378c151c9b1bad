--- The credentials of one client while it lives: fetched at the first call,
-- kept, renewed before their end, wiped at the client's.
--
-- However many calls need them at once, one of them fetches and the others
-- wait for it. While the old ones are still good nobody waits but the one who
-- renews.
-- @module cce.credentials.session
-- @local
local core = require "cce.core"
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

-- ---- what calls use ------------------------------------------------------

local function close_auth(auth)
  if auth.signer then auth.signer:close() end
  if auth.token then auth.token:close() end
  auth.signer, auth.token = nil, nil
end

--- A call begins, or stops, to use these credentials: until then they stay.
function Session:hold(auth)
  auth.uses = auth.uses + 1
end

function Session:release(auth)
  auth.uses = auth.uses - 1
  if self.retired[auth] and auth.uses <= 0 then
    close_auth(auth)
    self.retired[auth] = nil
  end
end

local function retire(self, auth)
  if not auth then return end
  self.retired[auth] = true
  auth.uses = auth.uses + 1
  self:release(auth)
end

-- When to renew: the margin before the end, but what comes with less than that
-- is used for most of its time.
local function renewal_time(material, now)
  local ends = material.expires_at
  if not ends then return nil end
  local at = ends - (material.margin or 60)
  if at > now then return at end
  return now + math.max((ends - now) * 0.75, 0)
end

local function new_auth(material, now)
  local auth = {
    source = material.source, ak = material.ak, project_id = material.project_id,
    iam_endpoint = material.iam_endpoint, expires_at = material.expires_at,
    renew_at = renewal_time(material, now), renewable = material.renewable, uses = 0,
  }
  if material.token then
    auth.token, material.token = material.token, nil
    return auth
  end
  local reason, code
  auth.signer, reason, code = core.signer {
    ak = material.ak, sk = material.sk, security_token = material.security_token,
  }
  if not auth.signer then return errors.from_core(nil, reason, code) end
  return auth
end

-- Where a profile file says where IAM is, and nobody else does.
local function take_iam_address(endpoints, address)
  if endpoints.iam or not address then return end
  endpoints.iam, endpoints.all.iam = address, { address }
end

local function adopt(self, material)
  local client = self.client
  if self.closed then
    providers.discard(material)
    return errors.fail("CLOSED", "the client was closed during the call")
  end
  material.renewable = material.renewable or self.provider.renewable
  local auth, message, err = new_auth(material, client:now())
  providers.discard(material)
  if not auth then return nil, message, err end
  retire(self, self.auth)
  self.auth, self.failure = auth, nil
  take_iam_address(client.config.endpoints, auth.iam_endpoint)
  -- Those that were given are no news.
  if self.provider.needs_nothing then return auth end
  client:emit {
    type = "credentials", source = auth.source, ak = auth.ak, expires_at = auth.expires_at,
    notice = material.notice,
  }
  return auth
end

-- ---- one fetches, the others wait ----------------------------------------

local function note_failure(self, message, err)
  err.incomplete = nil
  local pause = PAUSES[err.code] or 0
  self.client:emit {
    type = "credentials_failed", source = self.provider.name, code = err.code, message = message,
  }
  if pause > 0 then
    self.failure = { message = message, err = err, till = core.sys.monotonic() + pause }
  end
  self.pause_till = core.sys.monotonic() + PAUSE_IN_MARGIN
end

local function fetch(self)
  local material, message, err = self.provider:fetch(self.client)
  local auth
  if material then auth, message, err = adopt(self, material) end
  if not auth then note_failure(self, message, err) end
  return auth, message, err
end

local function is_good(auth, now)
  return auth and not auth.stale and (not auth.expires_at or now < auth.expires_at - GRACE)
end

-- Good ones whose renewal is due, but not now.
local function may_stay(self)
  return singleflight.is_under_way(self, "fetch") or core.sys.monotonic() < (self.pause_till or 0)
end

--- The credentials to use now; fetches or waits when that is needed.
-- @treturn[1] table `{signer=}` or `{token=}`, and `source`, `ak`, `project_id`,
--   `renewable`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function Session:acquire()
  local auth, now = self.auth, self.client:now()
  if is_good(auth, now) and (not auth.renew_at or now < auth.renew_at or may_stay(self)) then
    return auth
  end
  local failure = self.failure
  if failure and core.sys.monotonic() < failure.till and not is_good(auth, now) then
    return nil, failure.message, failure.err
  end
  local fresh, message, err = singleflight.share(self, "fetch", fetch, self)
  if not fresh and is_good(auth, self.client:now()) and not self.closed then return auth end
  return fresh, message, err
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

--- Wipe all of it.
function Session:close()
  self.closed = true
  for auth in pairs(self.retired) do close_auth(auth) end
  if self.auth then close_auth(self.auth) end
  self.retired, self.auth, self.failure = {}, nil, nil
  if self.owned then self.provider:close() end
end

--- Who the client is, for people.
function Session:describe()
  local ak = self.auth and self.auth.ak or self.provider.ak
  return ak and "access key " .. ak or self.provider.name
end

--- Make the session of a client; fetches nothing yet.
-- @tparam table client with `config`, `now`, `emit` and `engine`
-- @tparam table provider
-- @tparam boolean owned whether the provider ends with the session
-- @treturn table
function M.new(client, provider, owned)
  return setmetatable({ client = client, provider = provider, owned = owned, retired = {} },
    Session)
end

return M
