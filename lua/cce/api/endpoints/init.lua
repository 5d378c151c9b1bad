--- Where each service is: CCE, IAM, CTS and STS of one region or one cloud.
--
-- With a region, all are known from the table of `cce.region`. With an address
-- of one's own for CCE, the others are known only when they are given too: keys
-- and tokens never go to a default host of another cloud. A service may have
-- several addresses: the next one is tried when nothing could be sent to one.
-- @module cce.api.endpoints
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local options = require "cce.base.options"
local override = require "cce.api.endpoints.overrides"
local values = require "cce.base.values"

local env = values.env

local M = {}

-- A client with an address does not need the table of regions.
local function regions()
  return require "cce.region"
end

local address_rule = { type = { "string", "list" }, non_empty = true }
local schema = {
  cce = address_rule, iam = address_rule, cts = address_rule, sts = address_rule,
}

local VARIABLES = {
  cce = "CCE_ENDPOINT",
  iam = "HUAWEICLOUD_SDK_IAM_ENDPOINT",
  cts = "CCE_CTS_ENDPOINT",
  sts = "HUAWEICLOUD_SDK_STS_ENDPOINT",
}

local function list_of(addresses)
  return type(addresses) == "table" and addresses or { addresses }
end

-- Where a user says where CCE is, it may be another cloud with a region of the
-- same name: then the table says nothing about its other services either.
local function of_region(name)
  local own, message, err = override.of(name)
  if not own then return nil, message, err end
  if own.cce then return own end
  local row
  row, message, err = regions().endpoints(name)
  if not row then return nil, message, err end
  -- The table has no CTS; its addresses follow the pattern of the others.
  local suffix = row.cce:match("^https://cce(%..+)$")
  local found = { cce = { row.cce }, iam = { row.iam }, cts = { "https://cts" .. suffix },
    sts = row.sts and { row.sts } }
  for service, list in pairs(own) do found[service] = list end
  return found
end

-- The address of CCE, or the region that stands for all: what is given beats
-- the environment, and there an address beats a region.
local function choose(config)
  local given = config.endpoints or {}
  if given.cce and config.endpoint and list_of(given.cce)[1] ~= config.endpoint then
    return errors.fail("INVALID_ARGUMENT",
      "endpoint and endpoints.cce name different addresses: give one of them")
  end
  local addresses = given.cce or config.endpoint
  if addresses then return { cce = list_of(addresses) } end
  if config.region then return of_region(config.region) end
  if env("CCE_ENDPOINT") then return { cce = override.split(env("CCE_ENDPOINT")) } end
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

local function check_list(service, list)
  for _, address in ipairs(list) do
    if type(address) ~= "string" then
      return errors.fail("INVALID_ARGUMENT",
        ("endpoints.%s must hold addresses, not a %s"):format(service, type(address)))
    end
    local host, reason, code = core.endpoint(address)
    if not host then return errors.from_core(nil, reason, code) end
  end
  if #list > 0 then return true end
  return errors.fail("INVALID_ARGUMENT", ("endpoints.%s holds no address"):format(service))
end

--- The addresses for a client's options and the environment.
-- @tparam table config `endpoint`, `endpoints` and `region`, which may be set here
-- @tparam int level whom a raised error points at
-- @treturn[1] table `{cce=, iam=, cts=, sts=}`: the first address of each, what is
--   not known is missing; `all`: lists of addresses, by service; `region`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.resolve(config, level)
  local given, message, err = options.check(config.endpoints, schema, level + 1)
  if not given then return nil, message, err end
  local found
  found, message, err = choose(config)
  if not found then return nil, message, err end
  local result = { all = {}, region = config.region }
  for _, service in ipairs(override.services) do
    local own = service ~= "cce" and (given[service] or env(VARIABLES[service]))
    local list = own and (type(own) == "table" and own or override.split(own)) or found[service]
    if list then
      local ok
      ok, message, err = check_list(service, list)
      if not ok then return nil, message, err end
      result.all[service], result[service] = list, list[1]
    end
  end
  return result
end

--- The address of one service, the first if there are several.
-- @tparam table endpoints of `resolve`
-- @tparam string service "cce", "iam", "cts" or "sts"
-- @treturn[1] string
-- @treturn[1] {string,...} all of them
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err code NO_ENDPOINT
function M.of(endpoints, service)
  if endpoints[service] then return endpoints[service], endpoints.all[service] end
  local hint = ("Give endpoints={%s=\"https://…\"} or set %s"):format(service, VARIABLES[service])
  -- Only some regions have an STS, and users look for the mistake on their side.
  if service == "sts" and endpoints.region then
    local having = {}
    for _, name in ipairs(regions().names()) do
      if regions().endpoints(name).sts then having[#having + 1] = name end
    end
    hint = ("No STS is known in region %s; these have one: %s. %s"):format(
      endpoints.region, table.concat(having, ", "), hint)
  end
  return errors.fail("NO_ENDPOINT", ("the address of %s is not known"):format(
    values.upper(service)), { hint = hint })
end

return M
