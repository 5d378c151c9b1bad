--- Clouds of one kind with Huawei Cloud: where they are, and what they lack.
--
-- `can` says of a capability whether it is there, and by which source; one that is not
-- named is not known, and is tried. Sources: the API references and endpoint lists that the
-- clouds publish, and what the official SDKs have.
-- @module cce.api.cloud
-- @local
local errors = require "cce.error"

local M = {}

local HUAWEI = "API reference of CCE, and the official SDKs"
local OTC_API = "API reference of CCE at docs.otc.t-systems.com"
local OTC_PLACES = "Regions and Endpoints at docs.otc.t-systems.com"

--- `title`; `domain` and `regions`, with the services that each has; `longest` certificate in
-- days; `can`. Without `regions` the table of `cce.region` holds, or there is none.
M.clouds = {
  huawei = {
    title = "Huawei Cloud", longest = 1827,
    can = { expire_at = { true, HUAWEI }, revoke = { true, HUAWEI }, rotate = { true, HUAWEI },
      cts = { true, HUAWEI }, sts = { true, "the regions of STS in the Go SDK" },
      iam5 = { true, HUAWEI }, autopilot = { true, "API reference of CCE Autopilot" } },
  },
  ["huawei-eu"] = {
    title = "Huawei Cloud's European cloud", domain = "myhuaweicloud.eu", longest = 1827,
    regions = { ["eu-west-101"] = { "cce", "iam", "cts" } }, -- the Go SDK; CTS by its pattern
    can = { sts = { false, "the regions of STS in the Go SDK" } },
  },
  otc = {
    title = "Open Telekom Cloud", domain = "otc.t-systems.com", longest = 1825,
    regions = { ["eu-de"] = { "cce", "iam", "cts" }, ["eu-nl"] = { "cce", "iam" } }, -- OTC_PLACES
    can = { expire_at = { false, OTC_API }, revoke = { false, OTC_API },
      rotate = { false, OTC_API }, cts = { true, OTC_PLACES .. ", in eu-de" },
      sts = { false, OTC_PLACES }, autopilot = { false, OTC_API } },
  },
  ["flexible-engine"] = {
    title = "Flexible Engine", domain = "prod-cloud-ocb.orange-business.com",
    regions = { ["eu-west-0"] = { "cce", "iam" } }, -- the Terraform provider's examples
    can = { cts = { true, "the Terraform provider's tracker; its address is not known" } },
  },
  sber = {
    title = "SberCloud (cloud.ru)", domain = "hc.sbercloud.ru",
    regions = { ["ru-moscow-1"] = { "cce", "iam", "cts" } }, -- the Terraform provider, users' code
    can = {},
  },
  -- Each has a domain of its own.
  hcso = { title = "Huawei Cloud Stack Online", can = {} },
}

--- The names of the clouds, in the order of the alphabet.
-- @treturn {string,...}
function M.names()
  local names = {}
  for name in pairs(M.clouds) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- Whether a name is one of them.
-- @tparam string name
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.is(name)
  if M.clouds[name] then return true end
  return errors.fail("INVALID_ARGUMENT", ("cloud is '%s'; it must be one of %s"):format(
    tostring(name):sub(1, 40), table.concat(M.names(), ", ")))
end

--- The regions of a cloud, in the order of the alphabet.
-- @tparam ?string name
-- @treturn ?{string,...} nil when the table of `cce.region` holds, or there is none
function M.regions(name)
  local regions = name and M.clouds[name].regions
  if not regions then return nil end
  local names = {}
  for region in pairs(regions) do names[#names + 1] = region end
  table.sort(names)
  return names
end

--- The addresses of a region.
-- @tparam string name of a cloud that has regions of its own
-- @tparam string region
-- @treturn[1] table lists of addresses by service
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err code NO_ENDPOINT
function M.endpoints(name, region)
  local cloud = M.clouds[name]
  if not cloud.regions then
    return errors.fail("NO_ENDPOINT", ("%s has addresses of its own wherever it runs"):format(
      cloud.title), { hint = "Give endpoint=\"https://…\" and endpoints={iam=\"https://…\"}" })
  elseif not cloud.regions[region] then
    return errors.fail("NO_ENDPOINT", ("there is no region '%s' of %s in the table; there are: %s")
      :format(region, cloud.title, table.concat(M.regions(name), ", ")),
      { hint = 'Give endpoint="https://…" for one that is new' })
  end
  local found = {}
  for _, service in ipairs(cloud.regions[region]) do
    found[service] = { ("https://%s.%s.%s"):format(service, region, cloud.domain) }
  end
  return found
end

--- The region of a cloud that has one alone.
-- @tparam ?string name
-- @treturn ?string
function M.only_region(name)
  local regions = M.regions(name)
  return regions and #regions == 1 and regions[1] or nil
end

--- By which source a cloud lacks something.
-- @tparam ?string name
-- @tparam string capability "expire_at", "revoke", "rotate", "cts", "sts", "iam5" or "autopilot"
-- @treturn ?string nil when it has it, or that is not known
function M.lacks(name, capability)
  local can = name and M.clouds[name].can[capability]
  return can and not can[1] and can[2] or nil
end

local NEEDS = { revoke_cert = "revoke", rotate_credentials = "rotate",
  retry_node_rotation = "rotate", list_autopilot_clusters = "autopilot" }

local function unsupported(name, operation, what, source)
  return errors.fail("UNSUPPORTED", ("%s: %s %s (by the %s); nothing was sent"):format(operation,
    M.clouds[name].title, what, source), {
    operation = operation, retryable = false, maybe_applied = false, attempts = 0,
    hint = ("Where that is not true any more, leave out cloud=\"%s\" and give the endpoints")
      :format(name),
  })
end

--- Whether a cloud has a call, as far as is known.
-- @tparam ?string name nil: nothing is said of the cloud
-- @tparam string operation
-- @tparam ?table fields its options
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err code UNSUPPORTED, or INVALID_ARGUMENT for a certificate that lives too long
function M.allows(name, operation, fields)
  if not name then return true end
  local source = NEEDS[operation] and M.lacks(name, NEEDS[operation])
  if source then return unsupported(name, operation, "has no such call", source) end
  if operation ~= "obtain_cert" or not fields then return true end
  source = fields.expire_at and M.lacks(name, "expire_at")
  if source then
    return unsupported(name, operation,
      "knows no expire_at, and takes whole days: give duration=<days>", source)
  end
  local longest = M.clouds[name].longest
  if longest and type(fields.duration) == "number" and fields.duration > longest then
    return errors.fail("INVALID_ARGUMENT", ("%s: duration is %g days; %s takes %d at most")
      :format(operation, fields.duration, M.clouds[name].title, longest), {
      operation = operation, retryable = false, maybe_applied = false, attempts = 0 })
  end
  return true
end

return M
