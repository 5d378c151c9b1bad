--- Credentials that are given, or in the environment.
-- @module cce.credentials.environment
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local providers = require "cce.credentials.provider"
local values = require "cce.base.values"

local env = values.env

local M = {}

-- ---- given by the caller -------------------------------------------------

local function copy_secrets(from, names)
  local copies = {}
  for _, name in ipairs(names) do
    if from[name] then
      local secret, message, err = providers.secret(from[name])
      if not secret then return nil, message, err end
      copies[name] = secret
    end
  end
  return copies
end

--- Keys, or a token, that the caller has.
-- @tparam table given `{ak=, sk=, security_token=}` or `{token=}`
-- @treturn[1] table a provider
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.static(given)
  local secrets, message, err = copy_secrets(given, { "sk", "security_token", "token" })
  if not secrets then return nil, message, err end
  local ak = given.ak
  return providers.new(ak and "static keys" or "a token", function(self)
    local material = copy_secrets(self.secrets, { "sk", "security_token", "token" })
    material.ak = ak
    return material
  end, { secrets = secrets, ak = ak, needs_nothing = true, constant = true })
end

-- ---- the environment -----------------------------------------------------

-- A key without its secret is a mistake, and nothing to pass over: the next
-- source might belong to another account.
local function half(name, missing)
  return providers.incomplete(("%s is set, but %s is not"):format(name, missing))
end

-- false when it is not set, or empty.
local function secret_of(name)
  local secret, reason, code = core.secret_from_env(name)
  if secret or code == "NO_CREDENTIALS" then return secret or false end
  return errors.fail(code, ("%s cannot be used: %s"):format(name, reason))
end

local function keys_of_environment(names)
  local ak = env(names.ak)
  local sk, message, err = secret_of(names.sk)
  if sk == nil then return nil, message, err end
  if not ak and not sk then return nil end
  if not ak or not sk then
    if sk then sk:close() end
    return half(ak and names.ak or names.sk, ak and names.sk or names.ak)
  end
  local token
  token, message, err = secret_of(names.security_token)
  if token == nil then
    sk:close()
    return nil, message, err
  end
  return { ak = ak, sk = sk, security_token = token or nil }
end

local SDK = {
  ak = "HUAWEICLOUD_SDK_AK", sk = "HUAWEICLOUD_SDK_SK",
  security_token = "HUAWEICLOUD_SDK_SECURITY_TOKEN",
}

local function id_token_of_environment(client)
  local idp_id, file = env("HUAWEICLOUD_SDK_IDP_ID"), env("HUAWEICLOUD_SDK_ID_TOKEN_FILE")
  if not idp_id and not file then return nil end
  if not idp_id or not file then
    local names = { "HUAWEICLOUD_SDK_IDP_ID", "HUAWEICLOUD_SDK_ID_TOKEN_FILE" }
    return half(names[idp_id and 1 or 2], names[idp_id and 2 or 1])
  end
  return require("cce.credentials.token").exchange_id_token(client, {
    idp_id = idp_id, id_token_file = file, domain_id = env("HUAWEICLOUD_SDK_DOMAIN_ID"),
  })
end

--- The variables of the official SDKs.
-- @treturn table a provider
-- Keys that are there, or the half of them, end every search: so they are read
-- when the client is made, which needs no network.
function M.environment()
  local needs_nothing = env(SDK.ak) ~= nil or env(SDK.sk) ~= nil
  return providers.new("environment", function(_, client)
    for _, look in ipairs { keys_of_environment, id_token_of_environment } do
      local material, message, err = look(look == keys_of_environment and SDK or client)
      if material or message then return material, message, err end
    end
    return providers.nothing("HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK are not set")
  end, { needs_nothing = needs_nothing, constant = true })
end

local TERRAFORM = {
  ak = "HW_ACCESS_KEY", sk = "HW_SECRET_KEY", security_token = "HW_SECURITY_TOKEN",
}

--- The variables of Terraform's provider.
-- @treturn table a provider
function M.terraform()
  return providers.new("terraform", function()
    local material, message, err = keys_of_environment(TERRAFORM)
    if message then return nil, message, err end
    if not material then
      return providers.nothing("HW_ACCESS_KEY and HW_SECRET_KEY are not set")
    end
    material.project_id = env("HW_PROJECT_ID")
    material.notice = "the keys are those of Terraform: HW_ACCESS_KEY and HW_SECRET_KEY"
    return material
  end, { constant = true })
end

return M
