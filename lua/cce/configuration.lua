--- What a client is made of: the options of `cce.new`, and for those left out
-- the environment. Reads no file and touches no network.
-- @module cce.configuration
-- @local
local core = require "cce.core"
local endpoints = require "cce.endpoints"
local errors = require "cce.error"
local options = require "cce.options"
local rate = require "cce.rate"

local M = {}

local schema = {
  region = { type = "string", non_empty = true },
  endpoint = { type = "string", non_empty = true },
  endpoints = { type = "table" },
  project_id = { type = "string", non_empty = true },
  credentials = { type = "table" },
  token = { type = { "string", "userdata" } },
  ca_file = { type = "string", non_empty = true },
  proxy = { type = { "string", "boolean" } },
  timeout = { type = "number", min = 0.001, max = 86400, default = 60, unit = "seconds" },
  connect_timeout = { type = "number", min = 0.001, max = 3600, default = 10, unit = "seconds" },
  max_connections = { type = "integer", min = 1, max = 10000, default = 100 },
  retry = { type = "table", default = {} },
  rate_limit = { type = "string", check = function(text)
    return rate.parse(text) ~= nil, 'a count and a window such as "200/5min" or "10/min"'
  end },
  user_agent = { type = "string", non_empty = true },
  on_event = { type = "callable" },
  audit_log = { type = { "string", "table" }, non_empty = true, check = function(given)
    return type(given) == "string" or require("cce.audit_log").is(given),
      "a path, or what cce.audit_log.open returned"
  end },
  clock = { type = "callable" },
}

local retry_schema = {
  max_attempts = { type = "integer", min = 1, max = 100, default = 4 },
  base = { type = "number", min = 0, max = 3600, default = 0.5, unit = "seconds" },
  cap = { type = "number", min = 0, max = 3600, default = 30, unit = "seconds" },
}

local credentials_schema = {
  ak = { type = "string", required = true, non_empty = true },
  sk = { type = { "string", "userdata" }, required = true },
  security_token = { type = { "string", "userdata" }, non_empty = true },
}

local inner_schemas = {
  retry = retry_schema,
  credentials = credentials_schema,
}

local function env(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

-- The variables of curl and most tools; the small name first, as curl does.
local function proxy_of(config)
  if config.proxy == nil then
    config.proxy = env("https_proxy") or env("HTTPS_PROXY")
    config.no_proxy = env("no_proxy") or env("NO_PROXY")
  end
  if type(config.proxy) ~= "string" then
    config.proxy = nil
  end
end

local function project_of(config)
  config.project_id = config.project_id or env("HUAWEICLOUD_SDK_PROJECT_ID")
  if config.project_id then return config.project_id end
  return errors.fail("NO_PROJECT", "the project id is not known", {
    hint = "Give project_id=\"…\" or set HUAWEICLOUD_SDK_PROJECT_ID",
  })
end

-- The key, its secret and its token come from one source, never mixed: so the
-- environment counts only when no credentials were given at all.
local function keys_from_environment()
  local ak = env("HUAWEICLOUD_SDK_AK")
  local sk, _, code = core.secret_from_env("HUAWEICLOUD_SDK_SK")
  if not ak or not sk then
    if code and code ~= "NO_CREDENTIALS" then
      return errors.fail(code, "HUAWEICLOUD_SDK_SK cannot be used")
    end
    return errors.fail("NO_CREDENTIALS", "no credentials were found", {
      hint = "Give credentials={ak=…, sk=…} or token=…, or set HUAWEICLOUD_SDK_AK and"
        .. " HUAWEICLOUD_SDK_SK (in nginx also \"env HUAWEICLOUD_SDK_AK;\" and"
        .. " \"env HUAWEICLOUD_SDK_SK;\")",
    })
  end
  local security_token = core.secret_from_env("HUAWEICLOUD_SDK_SECURITY_TOKEN")
  return { ak = ak, sk = sk, security_token = security_token }
end

local function signer_of(config)
  local keys = config.credentials
  if not keys then
    local message, err
    keys, message, err = keys_from_environment()
    if not keys then return nil, message, err end
  end
  local signer, reason, code = core.signer {
    ak = keys.ak, sk = keys.sk, security_token = keys.security_token,
  }
  if not signer then return errors.from_core(nil, reason, code) end
  config.ak = keys.ak
  return signer
end

local function authentication_of(config)
  if config.token and config.credentials then
    return errors.fail("INVALID_ARGUMENT", "give token or credentials, not both")
  end
  if config.token then
    local token = config.token
    local reason, code
    if type(token) == "string" then
      token, reason, code = core.secret(token)
      if not token then return errors.from_core(nil, reason, code) end
    end
    config.token = token
    return token
  end
  local signer, message, err = signer_of(config)
  config.signer, config.credentials = signer, nil
  return signer, message, err
end

--- Read the options of `cce.new`.
-- @tparam ?table given
-- @tparam int level whom a raised error points at
-- @treturn[1] table the configuration: `endpoints`, `project_id`, `signer` or
--   `token`, `ak`, `retry`, and the options with their defaults
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.read(given, level)
  local config, message, err = options.check(given, schema, level + 1)
  if not config then return nil, message, err end
  for name, inner in pairs(inner_schemas) do
    if config[name] then
      config[name], message, err = options.check(config[name], inner, level + 1)
      if not config[name] then return nil, message, err end
    end
  end
  config.ca_file = config.ca_file or env("CCE_CA_FILE")
  proxy_of(config)
  config.endpoints, message, err = endpoints.resolve(config, level + 1)
  if not config.endpoints then return nil, message, err end
  for _, step in ipairs { project_of, authentication_of } do
    local ok, reason, problem = step(config)
    if not ok then return nil, reason, problem end
  end
  return config
end

return M
