--- One source after the other, until one has something.
-- @module cce.credentials.chain
-- @local
local errors = require "cce.error"
local host = require "cce.host"
local providers = require "cce.credentials.provider"

local M = {}

local NGINX_HINT = "nginx clears the environment: put \"env HUAWEICLOUD_SDK_AK;\" and"
  .. " \"env HUAWEICLOUD_SDK_SK;\" at the top of nginx.conf, or give credentials= or token="

local HINT = "Give credentials={ak=…, sk=…} or token=…, or set HUAWEICLOUD_SDK_AK and"
  .. " HUAWEICLOUD_SDK_SK"

local function first_of(list, client)
  local looked = {}
  for _, provider in ipairs(list) do
    local material, message, err = provider:fetch(client)
    if material then
      material.renewable = material.renewable or provider.renewable
      material.constant = material.constant or provider.constant
      return material
    elseif err.code ~= "NO_CREDENTIALS" or err.incomplete then
      -- What is there but cannot be used is not passed over: the next source may
      -- belong to another principal.
      local fields = {}
      for name, value in pairs(err) do fields[name] = value end
      fields.code, fields.message = nil, nil
      return errors.fail(err.code, ("%s: %s"):format(provider.name, message), fields)
    end
    looked[#looked + 1] = ("%s: %s"):format(provider.name, message)
  end
  return errors.fail("NO_CREDENTIALS", "no credentials were found: "
    .. table.concat(looked, "; "), {
    retryable = false, hint = host.in_nginx() and NGINX_HINT or HINT,
  })
end

--- Make a provider of several.
-- @tparam {table,...} list
-- @treturn table a provider
function M.new(list)
  return providers.new("chain", function(_, client) return first_of(list, client) end)
end

return M
