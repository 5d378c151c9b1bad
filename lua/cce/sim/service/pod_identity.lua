--- What gives keys to a pod of CCE, by plain HTTP.
local account = require("cce.sim.account")
local errors = require("cce.sim.server.errors")
local sessions = require("cce.sim.store.sessions")

local M = {}

local function credentials(call)
  if call.request.headers.authorization ~= account.pod_token or call.request.body ~= "{}" then
    return errors.iam(401, "PodIdentity.0001", "the service account's token is not valid")
  end
  local key = sessions.credential(account.keys[3].principal, 3600)
  return { status = 200, body = {
    assumedAgency = { urn = "", id = "" }, audience = "",
    credentials = {
      accessKeyId = key.access, secretAccessKey = key.secret, securityToken = key.securitytoken,
      expiration = key.expires_at,
    },
  } }
end

M.routes = {
  { method = "POST", path = "/v1/credentials", operation = "pod_identity",
    handler = credentials, anonymous = true },
}

return M
