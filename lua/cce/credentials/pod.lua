--- The identity that CCE gives to a pod.
-- @module cce.credentials.pod
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local providers = require "cce.credentials.provider"
local requests = require "cce.credentials.request"
local values = require "cce.base.values"

local M = {}

local TIMEOUT = 5
local MARGIN = 10 * 60
local URI, TOKEN_FILE =
  "HC_CONTAINER_CREDENTIALS_FULL_URI", "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE"

local function pod_material(client, uri, file)
  local token, reason, code = core.secret_from_file(file)
  if not token then return errors.fail(code, reason) end
  local origin, path = uri:match("^(%a+://[^/?#]+)(/[^?#]*)$")
  local spec = {
    operation = "pod_identity", purpose = "pod", endpoint = origin or uri, method = "POST",
    path = path or "/", body = "{}", timeout = TIMEOUT, connect_timeout = TIMEOUT,
    headers = { ["Authorization"] = token, ["Content-Type"] = "application/json" },
  }
  local response, message, err = requests.demand(client, spec)
  token:close()
  if not response then return nil, message, err end
  return requests.keys(spec, response,
    { "credentials", "accessKeyId", "secretAccessKey", "securityToken", "expiration" })
end

--- The identity that CCE gives to a pod.
-- @treturn table a provider
function M.pod_identity()
  return providers.new("pod identity", function(_, client)
    local uri, file = values.env(URI), values.env(TOKEN_FILE)
    if not uri and not file then
      return providers.nothing(("%s and %s are not set"):format(URI, TOKEN_FILE))
    elseif not uri or not file then
      return providers.incomplete(("%s is set, but %s is not"):format(
        uri and URI or TOKEN_FILE, uri and TOKEN_FILE or URI))
    end
    local material, message, err = pod_material(client, uri, file)
    if not material then return nil, message, err end
    material.margin = MARGIN
    return material
  end, { renewable = true })
end

return M
