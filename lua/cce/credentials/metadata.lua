--- Credentials of the agency of an ECS, by its metadata service.
-- @module cce.credentials.metadata
-- @local
local providers = require "cce.credentials.provider"
local requests = require "cce.credentials.request"

local M = {}

local ADDRESS = "http://169.254.169.254"
local TIMEOUT = 3 -- seconds, as in the official SDKs
local TOKEN_SECONDS = "21600"
-- A machine of the cloud answers within a millisecond; elsewhere nothing does.
local CONNECT_TIMEOUT = 1
local MARGIN = 40 * 60

-- An older service knows no tokens.
local OLD_MODE = { [404] = true, [405] = true, [503] = true }

-- Errors that mean that there is no metadata service.
local NO_SERVICE = {
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
  local response, message, err = requests.send(client, spec)
  if not response then
    if NO_SERVICE[err.code] then
      return providers.nothing(("no metadata service answers at %s (%s)"):format(
        spec.endpoint, err.message))
    end
    return nil, message, err
  end
  if OLD_MODE[response.status] or is_stranger(response) then
    response.transfer:close()
    return false
  elseif response.status ~= 200 then
    return requests.refused(spec, response)
  end
  local token = response.transfer:secret()
  if not token then return requests.invalid(spec, response, "token") end
  response.transfer:close()
  return token
end

-- Material; nil, message, err, and true when another token may help.
local function security_key(self, client, token)
  local spec = metadata_spec(self, "GET", "/openstack/latest/securitykey", {
    ["X-Metadata-Token"] = token or nil,
  })
  local response, message, err = requests.send(client, spec)
  if not response then return nil, message, err end
  if response.status == 200 then
    return requests.keys(spec, response,
      { "credential", "access", "secret", "securitytoken", "expires_at" })
  end
  -- Its own words for it.
  if response.body:find("configure Cloud Service Agency", 1, true) or is_stranger(response) then
    response.transfer:close()
    return providers.nothing("this machine has no agency"
      .. " (configure a cloud service agency for the ECS)")
  end
  local _, text, problem = requests.refused(spec, response)
  return nil, text, problem, response.status == 401 and token
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

return M
