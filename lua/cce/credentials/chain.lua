--- One source after the other, until one has something.
-- @module cce.credentials.chain
-- @local
local errors = require "cce.error"
local providers = require "cce.credentials.provider"

local M = {}

local function in_nginx()
  local ngx = rawget(_G, "ngx")
  return type(ngx) == "table" and ngx.get_phase ~= nil
end

local NGINX_HINT = "nginx clears the environment: put \"env HUAWEICLOUD_SDK_AK;\" and"
  .. " \"env HUAWEICLOUD_SDK_SK;\" at the top of nginx.conf, or give credentials= or token="

local HINT = "Give credentials={ak=…, sk=…} or token=…, or set HUAWEICLOUD_SDK_AK and"
  .. " HUAWEICLOUD_SDK_SK"

local function all_failed(looked)
  return errors.fail("NO_CREDENTIALS", "no credentials were found: "
    .. table.concat(looked, "; "), {
    retryable = false, hint = in_nginx() and NGINX_HINT or HINT,
  })
end

-- What is there but cannot be used is not passed over: the next source may
-- belong to somebody else.
local function is_nothing(err)
  return err.code == "NO_CREDENTIALS" and not err.incomplete
end

local function stopped(provider, message, err)
  local fields = {}
  for name, value in pairs(err) do fields[name] = value end
  fields.code, fields.message = nil, nil
  return errors.fail(err.code, ("%s: %s"):format(provider.name, message), fields)
end

local function first_of(list, client)
  local looked = {}
  for _, provider in ipairs(list) do
    local material, message, err = provider:fetch(client)
    if material then
      material.renewable = material.renewable or provider.renewable
      material.constant = material.constant or provider.constant
      return material
    elseif not is_nothing(err) then
      return stopped(provider, message, err)
    end
    looked[#looked + 1] = ("%s: %s"):format(provider.name, message)
  end
  return all_failed(looked)
end

--- Make a provider of several.
-- @tparam {table,...} list
-- @treturn table a provider
function M.new(list)
  return providers.new("chain", function(_, client) return first_of(list, client) end)
end

return M
