--- Where each service is: CCE, IAM, CTS and STS of one region or one cloud.
--
-- With a region, all are known from the table of `cce.region`. With an address
-- of one's own for CCE, the others are known only when they are given too: keys
-- and tokens never go to a default host of another cloud.
-- @module cce.endpoints
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local options = require "cce.options"
local region = require "cce.region"

local M = {}

local schema = {
  cce = { type = "string", non_empty = true },
  iam = { type = "string", non_empty = true },
  cts = { type = "string", non_empty = true },
  sts = { type = "string", non_empty = true },
}

local VARIABLES = {
  iam = "HUAWEICLOUD_SDK_IAM_ENDPOINT",
  cts = "CCE_CTS_ENDPOINT",
  sts = "HUAWEICLOUD_SDK_STS_ENDPOINT",
}

local function env(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

-- The SDKs take an IAM or STS address without its scheme, too.
local function with_scheme(url)
  return url and (url:find("://", 1, true) and url or "https://" .. url)
end

local function of_region(name)
  local found, message, err = region.endpoints(name)
  if not found then return nil, message, err end
  -- The table has no CTS; its addresses follow the pattern of the others.
  local suffix = found.cce:match("^https://cce(%..+)$")
  return { cce = found.cce, iam = found.iam, sts = found.sts, cts = "https://cts" .. suffix }
end

-- The address of CCE, or the region that stands for all: what is given beats
-- the environment, and there an address beats a region.
local function choose(config)
  local given = config.endpoints or {}
  if given.cce and config.endpoint and given.cce ~= config.endpoint then
    return errors.fail("INVALID_ARGUMENT",
      "endpoint and endpoints.cce name different addresses: give one of them")
  end
  local address = config.endpoint or given.cce
  if address then return { cce = address } end
  if config.region then return of_region(config.region) end
  if env("CCE_ENDPOINT") then return { cce = env("CCE_ENDPOINT") } end
  if env("CCE_REGION") then
    config.region = env("CCE_REGION")
    return of_region(config.region)
  end
  if env("HW_REGION_NAME") then
    config.region = env("HW_REGION_NAME")
    config.notice = "the region is that of Terraform: HW_REGION_NAME"
    return of_region(config.region)
  end
  return errors.fail("NO_ENDPOINT", "it is not known where CCE is", {
    hint = "Give region=\"cn-north-4\" or endpoint=\"https://…\", or set CCE_REGION or"
      .. " CCE_ENDPOINT",
  })
end

--- The addresses for a client's options and the environment.
-- @tparam table config `endpoint`, `endpoints` and `region`, which may be set here
-- @tparam int level whom a raised error points at
-- @treturn[1] table `{cce=, iam=, cts=, sts=}`; what is not known is missing
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.resolve(config, level)
  local given, message, err = options.check(config.endpoints, schema, level + 1)
  if not given then return nil, message, err end
  local found
  found, message, err = choose(config)
  if not found then return nil, message, err end
  for _, service in ipairs { "iam", "cts", "sts" } do
    found[service] = given[service] or with_scheme(env(VARIABLES[service])) or found[service]
  end
  for _, address in pairs(found) do
    local host, reason, code = core.endpoint(address)
    if not host then return errors.from_core(nil, reason, code) end
  end
  return found
end

--- The address of one service.
-- @tparam table endpoints of `resolve`
-- @tparam string service "cce", "iam", "cts" or "sts"
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err code NO_ENDPOINT
function M.of(endpoints, service)
  if endpoints[service] then return endpoints[service] end
  return errors.fail("NO_ENDPOINT", ("the address of %s is not known"):format(service:upper()), {
    hint = ("Give endpoints={%s=\"https://…\"} or set %s; some regions have no such service")
      :format(service, VARIABLES[service]),
  })
end

return M
