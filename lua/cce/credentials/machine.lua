--- Credentials that a cloud hands to its own machines and pods.
-- @module cce.credentials.machine
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local providers = require "cce.credentials.provider"
local requests = require "cce.credentials.request"

local M = {}

-- ---- ECS metadata --------------------------------------------------------

local ADDRESS = "http://169.254.169.254"
local TIMEOUT = 3 -- seconds, as in the official SDKs
local TOKEN_SECONDS = "21600"
-- A machine of the cloud answers within a millisecond; elsewhere nobody does.
local CONNECT_TIMEOUT = 1
local MARGIN = 40 * 60

-- An older service knows no tokens.
local OLD_MODE = { [404] = true, [405] = true, [503] = true }

local NOBODY = {
  CONNECT_FAILED = true, TIMEOUT = true, CONNECTION_LOST = true, RESPONSE_INVALID = true,
}

-- Other clouds have a service at this address too, which knows no such path.
local function is_stranger(response)
  return response.status >= 400 and response.status < 500 and response.status ~= 401
end

local function metadata_spec(self, method, path, headers)
  return {
    operation = "metadata", purpose = "metadata", endpoint = self.address or ADDRESS,
    method = method, path = path, headers = headers,
    timeout = TIMEOUT, connect_timeout = CONNECT_TIMEOUT,
  }
end

-- A token; false in the old mode; nil, message, err.
local function metadata_token(self, client)
  local spec = metadata_spec(self, "PUT", "/meta-data/latest/api/token", {
    ["X-Metadata-Token-Ttl-Seconds"] = TOKEN_SECONDS,
  })
  local response, transfer, err = requests.send(client, spec)
  if not response then
    if NOBODY[err.code] then
      return providers.nothing(("no metadata service answers at %s (%s)"):format(
        spec.endpoint, err.message))
    end
    return nil, transfer, err
  end
  if OLD_MODE[response.status] or is_stranger(response) then
    transfer:close()
    return false
  elseif response.status ~= 200 then
    return requests.refused(spec, response, transfer)
  end
  local token = transfer:secret()
  if not token then return requests.invalid(spec, response, transfer, "token") end
  transfer:close()
  return token
end

-- What the service said no with, in its own words.
local function says_no_agency(response)
  return response.body:find("configure Cloud Service Agency", 1, true) ~= nil
end

local function no_agency()
  return providers.nothing("this machine has no agency"
    .. " (configure a cloud service agency for the ECS)")
end

-- Material; nil, message, err, and true when another token may help.
local function security_key(self, client, token)
  local spec = metadata_spec(self, "GET", "/openstack/latest/securitykey", {
    ["X-Metadata-Token"] = token or nil,
  })
  local response, transfer, err = requests.send(client, spec)
  if not response then return nil, transfer, err end
  if response.status == 200 then
    return requests.keys(spec, response, transfer,
      { "credential", "access", "secret", "securitytoken", "expires_at" })
  end
  if says_no_agency(response) or is_stranger(response) then
    transfer:close()
    return no_agency()
  end
  local _, message, problem = requests.refused(spec, response, transfer)
  return nil, message, problem, response.status == 401 and token
end

local function metadata_once(self, client)
  local token, message, err = metadata_token(self, client)
  if token == nil then return nil, message, err end
  local material, reason, problem, again = security_key(self, client, token)
  if token then token:close() end
  return material, reason, problem, again
end

--- The agency of the ECS that this runs on.
-- @tparam ?string address of a stand-in on loopback
-- @treturn table a provider
function M.metadata(address)
  return providers.new("metadata", function(self, client)
    local material, message, err, again = metadata_once(self, client)
    if again then material, message, err = metadata_once(self, client) end
    if not material then return nil, message, err end
    material.margin = MARGIN
    return material
  end, { address = address, renewable = true })
end

-- ---- pod identity --------------------------------------------------------

local POD_TIMEOUT = 5
local POD_MARGIN = 10 * 60
local URI, TOKEN_FILE =
  "HC_CONTAINER_CREDENTIALS_FULL_URI", "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE"

local function split_uri(uri)
  local origin, path = uri:match("^(%a+://[^/?#]+)(/[^?#]*)$")
  return origin or uri, path or "/"
end

local function pod_spec(uri, token)
  local origin, path = split_uri(uri)
  return {
    operation = "pod_identity", purpose = "pod", endpoint = origin, method = "POST",
    path = path, headers = { ["Authorization"] = token, ["Content-Type"] = "application/json" },
    body = "{}", timeout = POD_TIMEOUT, connect_timeout = POD_TIMEOUT,
  }
end

local function pod_material(client, uri, file)
  local token, reason, code = core.secret_from_file(file)
  if not token then return errors.fail(code, reason) end
  local spec = pod_spec(uri, token)
  local response, transfer, err = requests.demand(client, spec)
  token:close()
  if not response then return nil, transfer, err end
  return requests.keys(spec, response, transfer,
    { "credentials", "accessKeyId", "secretAccessKey", "securityToken", "expiration" })
end

--- The identity that CCE gives to a pod.
-- @treturn table a provider
function M.pod_identity()
  return providers.new("pod identity", function(_, client)
    local uri, file = providers.env(URI), providers.env(TOKEN_FILE)
    if not uri and not file then
      return providers.nothing(("%s and %s are not set"):format(URI, TOKEN_FILE))
    elseif not uri or not file then
      return providers.incomplete(("%s is set, but %s is not"):format(
        uri and URI or TOKEN_FILE, uri and TOKEN_FILE or URI))
    end
    local material, message, err = pod_material(client, uri, file)
    if not material then return nil, message, err end
    material.margin = POD_MARGIN
    return material
  end, { renewable = true })
end

return M
