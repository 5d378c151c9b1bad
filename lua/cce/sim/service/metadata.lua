--- The metadata service of an ECS, by plain HTTP. Its mode (POST /-/iam) is "token" (keys are for
-- those with a token), "old" (it knows no tokens) or "no_agency" (the machine has none).
local account = require("cce.sim.account")
local random = require("cce.sim.random")
local sessions = require("cce.sim.store.sessions")

local M = { mode = "token" }

local tokens = {}

local function text(status, body)
  return { status = status, body = body, headers = { ["Content-Type"] = "text/plain" } }
end

local function new_token(call)
  if M.mode == "old" then
    return text(405, "Method Not Allowed")
  elseif not tonumber(call.request.headers["x-metadata-token-ttl-seconds"]) then
    return text(400, "X-Metadata-Token-Ttl-Seconds")
  end
  local token = "sim-metadata-token-" .. random.hex(20)
  tokens[token] = true
  return text(200, token)
end

local function security_key(call)
  if M.mode == "no_agency" then
    return text(401, "Please configure Cloud Service Agency first")
  elseif M.mode ~= "old" and not tokens[call.request.headers["x-metadata-token"]] then
    return text(401, "Unauthorized")
  end
  return { status = 200, body = {
    credential = sessions.credential(account.keys[3].principal, 86400),
  } }
end

--- As after the start.
function M.reset()
  M.mode, tokens = "token", {}
end

M.routes = {
  { method = "PUT", path = "/meta-data/latest/api/token", operation = "metadata_token",
    handler = new_token, anonymous = true },
  { method = "GET", path = "/openstack/latest/securitykey", operation = "metadata_key",
    handler = security_key, anonymous = true },
}

return M
