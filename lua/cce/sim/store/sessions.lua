--- How IAM makes tokens and temporary keys: of a password, of keys, of an ID token, of a token,
-- of an agency.
local account = require("cce.sim.account")
local errors = require("cce.sim.server.errors")
local issued = require("cce.sim.store.issued")
local json = require("cce.sim.server.json")
local state = require("cce.sim.store.state")
local times = require("cce.sim.server.times")

local M = {}

local function iso(seconds)
  return (times.to_iso(seconds):gsub("Z$", ".000000Z"))
end

local function invalid(message)
  return errors.iam(400, "IAM.0011", message)
end

local function refused()
  return errors.iam(401, "IAM.0001", "The username or password is wrong.")
end

-- The value at a path of a body, nil when anything on the way is missing.
local function at(body, ...)
  for _, name in ipairs({ ... }) do
    if type(body) ~= "table" then
      return nil
    end
    body = body[name]
  end
  return body
end

local function read_body(call)
  return json.decode(call.request.body or "")
end

-- ------------------------------------------------------------------------------------ tokens

-- Tokens are given for the region's project alone.
local function scope_is_ours(body)
  local project = at(body, "auth", "scope", "project")
  return project ~= nil
    and (project.id == state.config.project_id or project.name == state.config.region)
end

local function new_token(principal, method)
  local text, token = issued.token(principal)
  return {
    status = 201,
    headers = { ["X-Subject-Token"] = text },
    body = {
      token = {
        methods = { method }, issued_at = iso(token.issued_at), expires_at = iso(token.expires_at),
        user = { id = principal.id, name = principal.name,
          domain = { id = state.config.domain_id, name = account.domain_name } },
        project = { id = state.config.project_id, name = state.config.region },
      },
    },
  }
end

local function by_password(identity)
  local user = at(identity, "password", "user")
  for _, key in ipairs(account.keys) do
    if at(user, "name") == key.principal.name and at(user, "password") == key.password
      and at(user, "domain", "name") == account.domain_name then
      return key.principal
    end
  end
end

local function by_keys(identity)
  for _, key in ipairs(account.keys) do
    if at(identity, "hw_ak_sk", "access", "key") == key.ak
      and at(identity, "hw_ak_sk", "secret", "key") == key.sk then
      return key.principal
    end
  end
end

local methods = { password = by_password, hw_ak_sk = by_keys }

local function create_token(call)
  local body = read_body(call)
  local identity = at(body, "auth", "identity")
  local method = at(identity, "methods", 1)
  if not methods[method] then
    return invalid("methods")
  end
  local principal = methods[method](identity)
  if not principal then
    return refused()
  elseif not scope_is_ours(body) then
    return invalid("scope")
  end
  return new_token(principal, method)
end

local function exchange_id_token(call)
  local body, idp = read_body(call), account.identity_provider
  if call.request.headers["x-idp-id"] ~= idp.id
    or at(body, "auth", "id_token", "id") ~= idp.id_token then
    return refused()
  elseif not scope_is_ours(body) then
    return invalid("scope")
  end
  return new_token(account.keys[2].principal, "mapped")
end

-- ---------------------------------------------------------------------------- temporary keys

--- The keys as IAM and the metadata service write them.
function M.credential(principal, seconds)
  local key = issued.keys(principal, seconds)
  return {
    access = key.ak, secret = key.sk, securitytoken = key.security_token,
    expires_at = iso(key.expires_at),
  }
end

local function create_keys(call)
  local identity = at(read_body(call), "auth", "identity")
  local method = at(identity, "methods", 1)
  local settings = at(identity, method)
  local seconds = at(settings, "duration_seconds") or 900
  if type(settings) ~= "table" or seconds < 900 or seconds > 86400 then
    return invalid("duration_seconds")
  end
  local principal
  if method == "assume_role" then
    local agency = account.agency
    local is_ours = settings.domain_name == account.domain_name
      or settings.domain_id == state.config.domain_id
    principal = settings.agency_name == agency.name and is_ours
      and account.keys[agency.key].principal or nil
  elseif method == "token" then
    principal = issued.holder(settings.id)
  end
  if not principal then
    return errors.iam(403, "IAM.0003", "Policy doesn't allow the assumption of this agency.")
  end
  return { status = 201, body = { credential = M.credential(principal, seconds) } }
end

M.routes = {
  { method = "POST", path = "/v3/auth/tokens", operation = "create_token",
    handler = create_token, anonymous = true },
  { method = "POST", path = "/v3.0/OS-AUTH/id-token/tokens", operation = "exchange_id_token",
    handler = exchange_id_token, anonymous = true },
  { method = "POST", path = "/v3.0/OS-CREDENTIAL/securitytokens",
    operation = "create_temporary_keys", handler = create_keys },
}

return M
