--- Regions and the addresses of their services.
-- @module cce.region
local data = require "cce.api.endpoints.regions"
local error_of = require "cce.error"
local options = require "cce.base.options"

local M = {}

local Names = {
  __name = "cce.region.names",
  __tostring = function(names) return table.concat(names, "\n") end,
}

local Endpoints = {
  __name = "cce.region.endpoints",
  __tostring = function(row)
    return ("CCE %s, IAM %s, STS %s"):format(row.cce, row.iam, row.sts or "none")
  end,
}

--- The names of all regions that are known, in the order of the alphabet.
-- @treturn {string,...}
-- @usage
-- for _, name in ipairs(cce.region.names()) do print(name) end
function M.names()
  local names = {}
  for name in pairs(data.regions) do names[#names + 1] = name end
  table.sort(names)
  return setmetatable(names, Names)
end

--- The addresses of a region's services.
--
-- A region without an IAM of its own gets the global one of
-- `myhuaweicloud.com`. But `eu-west-101` belongs to the separate European cloud,
-- and has its IAM there.
-- @tparam string region such as "eu-west-101"
-- @treturn table { cce=, iam=, sts= }, https addresses without a path; `sts` is
--   nil where the region has none
-- @return nil, message, err with the code `NO_ENDPOINT`: the region is not
--   known; the message names those that are spelt nearly so
-- @usage
-- local region = require "cce.region"
-- assert(region.endpoints("ap-southeast-3").cce == "https://cce.ap-southeast-3.myhuaweicloud.com")
-- local none, message, err = region.endpoints("ap-southest-3")
-- assert(err.code == "NO_ENDPOINT" and message:find("near it are: ap%-southeast%-3"))
function M.endpoints(region)
  options.argument(region, "string", 1, "endpoints")
  local row = data.regions[region]
  if not row then
    local near = options.nearest(region, M.names())
    local message = ("there is no region '%s' in the table"):format(region)
    if #near > 0 then
      message = message .. "; near it are: " .. table.concat(near, ", ", 1, math.min(#near, 3))
    end
    return error_of.fail("NO_ENDPOINT", message,
      { hint = 'Give endpoint="https://…" for one that is new, or of another cloud of the same'
        .. " kind" })
  end
  return setmetatable({ cce = row.cce, iam = row.iam or data.default_iam, sts = row.sts },
    Endpoints)
end

return M
