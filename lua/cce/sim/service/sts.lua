--- The STS service: who is it that asks.
local account = require("cce.sim.account")
local errors = require("cce.sim.server.errors")

local M = {}

local function caller_identity(call)
  local principal = call.principal
  local is_agency = principal.kind == "agency"
  return {
    status = 200,
    body = {
      account_id = account.domain_id,
      principal_id = principal.id .. (is_agency and ":simulated-session" or ""),
      principal_urn = is_agency
        and ("sts::%s:assumed-agency:%s/simulated-session"):format(account.domain_id,
          principal.name)
        or ("iam::%s:user:%s"):format(account.domain_id, principal.name),
    },
  }
end

--- How this service says that a right is missing.
function M.denied(action)
  return errors.iam(403, 403,
    ("You are not authorized to perform the requested action: %s."):format(action))
end

M.routes = {
  { method = "GET", path = "/v5/caller-identity", operation = "caller_identity",
    action = "sts::getCallerIdentity", handler = caller_identity },
}

return M
