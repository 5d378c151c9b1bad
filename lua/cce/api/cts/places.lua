--- Where traces are kept: of a project, and of IAM, which is one for all regions.
-- @module cce.api.cts.places
-- @local
local errors = require "cce.error"
local project = require "cce.api.project"
local service_call = require "cce.api.service_call"
local endpoints = require "cce.api.endpoints"

local M = {}

local CENTRAL_REGIONS = { "ap-southeast-1", "cn-north-4" }

--- Where the client's own project has its traces.
-- @tparam cce.client client
-- @treturn[1] table `{endpoint=, project_id=, region=}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.own(client)
  local address, message, err = endpoints.of(client.config.endpoints, "cts")
  if not address then return nil, message, err end
  local project_id
  project_id, message, err = project.id_of(client)
  if not project_id then return nil, message, err end
  return { endpoint = address, project_id = project_id, region = client.config.region }
end

--- The address of another region's CTS: only Huawei Cloud's own addresses tell.
-- @tparam string address of CTS in any region
-- @tparam string region
-- @treturn string
function M.address_in(address, region)
  return (address:gsub("^(https://cts%.)[%w-]+(%.myhuaweicloud%.com)$",
    function(head, tail) return head .. region .. tail end))
end

-- A list of the places; a region without a project of this account has none of
-- its traces.
local function places_in(client, address, regions)
  local places = {}
  for _, region in ipairs(regions) do
    local projects, _, err = client:list_projects { name = region }
    if not projects then
      err.hint = (err.hint and err.hint .. "; or g" or "G")
        .. "ive tracker_region= and tracker_project_id="
      return service_call.about("it cannot be found out where IAM's traces are", err)
    end
    if projects[1] and projects[1].id then
      places[#places + 1] = {
        endpoint = M.address_in(address, region), project_id = projects[1].id, region = region,
      }
    end
  end
  return places
end

local function named_place(client, address, checked)
  if checked.tracker_project_id then
    local region = checked.tracker_region
    return { {
      endpoint = region and M.address_in(address, region) or address,
      project_id = checked.tracker_project_id, region = region,
    } }
  end
  local places, message, err = places_in(client, address, { checked.tracker_region })
  if not places then return nil, message, err end
  if places[1] then return places end
  return errors.fail("NO_PROJECT", ("these credentials see no project called %s"):format(
    checked.tracker_region), { hint = "Check tracker_region=, or give tracker_project_id=" })
end

--- Where IAM's traces are: see `cce.cts`.
-- @tparam cce.client client
-- @tparam table checked options: tracker_region and tracker_project_id
-- @treturn[1] {table,...} places as of `own`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.of_iam(client, checked)
  local address, message, err = endpoints.of(client.config.endpoints, "cts")
  if not address then return nil, message, err end
  if checked.tracker_region or checked.tracker_project_id then
    return named_place(client, address, checked)
  end
  local places
  places, message, err = places_in(client, address, CENTRAL_REGIONS)
  if not places then return nil, message, err end
  if #places > 0 then return places end
  local place
  place, message, err = M.own(client)
  if not place then return nil, message, err end
  return { place }
end

return M
