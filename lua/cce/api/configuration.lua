--- What a client is made of: the options of `cce.new`, and for those left out
-- the environment. Reads no file and touches no network.
-- @module cce.api.configuration
-- @local
local clouds = require "cce.api.cloud"
local core = require "cce.core"
local endpoints = require "cce.api.endpoints"
local errors = require "cce.error"
local options = require "cce.base.options"
local rate_limit = require "cce.api.rate_limit"
local values = require "cce.base.values"

local env = values.env

local M = {}

local schema = {
  cloud = { type = "string", non_empty = true },
  region = { type = "string", non_empty = true },
  endpoint = { type = "string", non_empty = true },
  endpoints = { type = "table" },
  project_id = { type = "string", non_empty = true },
  credentials = { type = { "table", "function" } },
  token = { type = { "string", "userdata" } },
  ca_file = { type = "string", non_empty = true },
  proxy = { type = { "string", "boolean" }, check = function(proxy)
    return proxy ~= true, "a URL, or false for none"
  end },
  proxy_ca_file = { type = "string", non_empty = true },
  timeout = { type = "number", min = 0.001, max = 86400, default = 60, unit = "seconds" },
  deadline = { type = "number", min = 0.001, max = 86400, unit = "seconds" },
  connect_timeout = { type = "number", min = 0.001, max = 3600, default = 10, unit = "seconds" },
  max_connections = { type = "integer", min = 1, max = 10000, default = 100 },
  retry = { type = "table", default = {} },
  rate_limit = { type = "string", check = function(text)
    return rate_limit.parse(text) ~= nil, 'a count and a window such as "200/5min" or "10/min"'
  end },
  user_agent = { type = "string", non_empty = true, check = function(text)
    return not text:find("%c"), "one line"
  end },
  on_event = { type = "callable" },
  audit_log = { type = { "string", "table" }, non_empty = true, check = function(given)
    return type(given) == "string" or require("cce.log.audit_log").is(given),
      "a path, or what cce.audit_log.open returned"
  end },
  clock = { type = "callable" },
  monotonic = { type = "callable" },
}

local retry_schema = {
  max_attempts = { type = "integer", min = 1, max = 100, default = 4 },
  base = { type = "number", min = 0, max = 3600, default = 0.5, unit = "seconds" },
  cap = { type = "number", min = 0, max = 3600, default = 30, unit = "seconds" },
  budget = { type = "integer", min = 0, max = 1000000, default = 100 },
}

--- Which proxy to use, from the variables of curl and most tools; the small name
-- first, as curl does.
-- @tparam table config whose `proxy` and `no_proxy` are set
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.set_proxy(config)
  if config.proxy == nil then
    config.proxy = env("https_proxy") or env("HTTPS_PROXY")
    config.no_proxy = env("no_proxy") or env("NO_PROXY")
  end
  config.proxy = config.proxy and values.escape_at(config.proxy) or nil
  if not config.proxy then return true end
  return errors.from_core(core.check_proxy(config.proxy))
end

--- Read the options of `cce.new`.
-- @tparam ?table given
-- @tparam int level whom a raised error points at
-- @treturn[1] table the configuration: `endpoints`, `project_id` if it is
--   known, `retry`, and the options with their defaults
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.read(given, level)
  local config, message, err = options.check(given, schema, level + 1)
  if not config then return nil, message, err end
  config.retry, message, err = options.check(config.retry, retry_schema, level + 1)
  if not config.retry then return nil, message, err end
  config.ca_file = config.ca_file or env("CCE_CA_FILE")
  config.cloud = config.cloud or env("CCE_CLOUD")
  local usable = true
  if config.cloud then usable, message, err = clouds.is(config.cloud) end
  if not usable then return nil, message, err end
  config.endpoints, message, err = endpoints.resolve(config, level + 1)
  if not config.endpoints then return nil, message, err end
  usable, message, err = M.set_proxy(config)
  if not usable then return nil, message, err end
  config.project_id = config.project_id or env("HUAWEICLOUD_SDK_PROJECT_ID")
  -- Where an address is given, the region still names the project.
  config.region = config.region or env("CCE_REGION")
  return config
end

return M
