--- Who sends a request: by signature (access key) or by token.
local directory = require("cce.sim.store.directory")
local errors = require("cce.sim.server.errors")
local issued = require("cce.sim.store.issued")
local signature = require("cce.sim.server.signature")
local state = require("cce.sim.store.state")
local times = require("cce.sim.server.times")

local M = {}

-- "More than 5 consecutive failures lock the key for 5 minutes."
local MAX_FAILURES = 5
local LOCK_SECONDS = 300

local function find_key(ak)
  for _, key in ipairs(state.config.keys) do
    if key.ak == ak then
      return key
    end
  end
  return issued.find(ak)
end

local function by_signature(request, now)
  local parsed = signature.parse(request.headers.authorization)
  if not parsed then
    return nil, errors.unauthenticated("authorization header is malformed")
  end
  local key = find_key(parsed.ak)
  if not key or not directory.is_active(key.principal) then
    return nil, errors.unauthenticated("Get secretKey failed,ak:******,err:ak not exist")
  end
  if key.expires_at and now >= key.expires_at then
    return nil, errors.unauthenticated("the security token has expired")
  end
  if key.locked_until and now < key.locked_until then
    return nil, errors.unauthenticated("AK access failed to reach the limit,forbidden.")
  end
  local problem = signature.check_date(request, parsed, now)
  if problem == "expired" then
    return nil, errors.unauthenticated((
      "calc aksk signature fail:signature expired, signature time:%s,server time:%s"
    ):format(request.headers["x-sdk-date"], times.to_sdk(now)))
  end
  local right, canonical = signature.verify(request, parsed, key.sk)
  -- A key that comes with a security token is nothing without it.
  local token_fits = key.security_token == request.headers["x-security-token"]
  if not problem and right and token_fits then
    key.failures = 0
    return key.principal
  end
  key.failures = (key.failures or 0) + 1
  if key.failures > MAX_FAILURES then
    key.locked_until, key.failures = now + LOCK_SECONDS, 0
  end
  return nil, errors.unauthenticated(
    "verify aksk signature fail, canonicalRequest:" .. canonical:gsub("\n", "|"))
end

--- The principal behind a request.
-- @treturn ?table { id=, kind=, name=, admin=, organisation= }; nil, response when refused
function M.identify(request)
  local headers = request.headers
  local token = headers["x-auth-token"]
  if not token and not headers.authorization then
    return nil, errors.unauthenticated("x-auth-token not found")
  elseif not token then
    return by_signature(request, state.now())
  end
  local principal = state.config.tokens[token] or issued.holder(token)
  if principal and directory.is_active(principal) then
    return principal
  end
  return nil, errors.unauthenticated("decrypt token fail")
end

return M
