--- Who the credentials of a client are: a user or an agency.
-- @module cce.api.identity
-- @local
local accounts = require "cce.api.iam"
local errors = require "cce.error"
local service_call = require "cce.api.service_call"
local values = require "cce.base.values"

local M = {}

local text = values.text

--- Whom STS takes these credentials for. What a principal is called there:
-- "iam::<account>:user:<name>", "sts::<account>:assumed-agency:<name>/<session>"
-- @tparam cce.client client
-- @treturn[1] table `{kind=, id=, name=, account=}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.by_sts(client)
  local body, message, err = service_call.fetch(client, {
    operation = "caller_identity", service = "sts", method = "GET", mutating = false,
    path = "/v5/caller-identity",
  })
  if not body then return nil, message, err end
  local urn, id = text(body.principal_urn) or "", text(body.principal_id)
  if not id then
    return errors.fail("RESPONSE_INVALID", "STS does not say who these credentials are")
  end
  -- A user's own name may hold the word.
  local account, what, name = urn:match "^%w+::([^:]*):([^:]*):([^/]*)"
  local is_agency = what ~= nil and what:find("agency", 1, true) ~= nil
  return { kind = is_agency and "agency" or "user", id = id:match "^[^:]+", name = text(name),
    account = text(body.account_id) or text(account) }
end

--- The access key that a client signs with, as far as it is known by now.
-- @tparam cce.client client
-- @treturn ?string
function M.access_key(client)
  return client.session.auth and client.session.auth.ak or client.session.provider.ak
end

-- Only permanent keys of a user are listed there.
local function by_access_key(client)
  local ak = M.access_key(client)
  if not ak then
    return errors.fail("UNSUPPORTED", "a token does not say whose it is")
  end
  local body, message, err = service_call.fetch(client, {
    operation = "show_access_key", service = "iam", method = "GET", mutating = false,
    action = "iam:credentials:getCredential", path = "/v3.0/OS-CREDENTIAL/credentials/" .. ak,
  })
  if not body then return nil, message, err end
  local id = text(values.object(body.credential).user_id)
  if id then return { kind = "user", id = id } end
  return errors.fail("RESPONSE_INVALID", "IAM does not say whose this access key is")
end

-- Who cannot be asked at once is not asked again and again.
local ONE_ATTEMPT = { max_attempts = 1, base = 0, cap = 0, budget = 0 }

--- The id of the account of a client, from what is known of it, from STS or from
-- IAM, each of which is asked once and at one attempt.
-- @tparam cce.client client
-- @treturn ?string nil when none of them tells
function M.account(client)
  local known = client.account_id or client.caller and client.caller.account
  if known then return known end
  local view = client:view {
    config = setmetatable({ retry = ONE_ATTEMPT }, { __index = client.config }),
  }
  local caller = not client.caller and M.by_sts(view)
  client.caller = client.caller or caller or nil
  return caller and caller.account or (accounts.account_of(view))
end

--- Find out by STS or, where there is none, by IAM. Asked for once a client.
-- @tparam cce.client client
-- @treturn[1] table `{kind="user"|"agency", id=, name=}`
-- @treturn[2] nil when neither tells
-- @treturn[2] string message
-- @treturn[2] table err
function M.of(client)
  if client.caller then return client.caller end
  local message, err
  for _, ask in ipairs { M.by_sts, by_access_key } do
    client.caller, message, err = ask(client)
    if client.caller then return client.caller end
  end
  return nil, message, err
end

return M
