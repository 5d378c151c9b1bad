--- The id of a client's project: given, or looked up by the region's name.
--
-- In each region an account has a project of the region's name; IAM tells its
-- id. It is asked at the first call that needs it, and the answer is kept for
-- as long as the process runs: a project's id never changes.
-- @module cce.api.project
-- @local
local call = require "cce.api.call"
local errors = require "cce.error"
local singleflight = require "cce.host.singleflight"
local values = require "cce.base.values"

local M = {}

-- By IAM's address, access key and region; clients with a token keep their own.
local cache = {}

local MOST_NAMED = 20

local function cache_of(client)
  local config, auth = client.config, client.session.auth
  if not auth or not auth.ak or not config.region then
    client.projects = client.projects or {}
    return client.projects, config.region or ""
  end
  return cache, table.concat({ config.endpoints.iam or "", auth.ak, config.region }, "\n")
end

--- Forget what was looked up.
function M.forget()
  cache = {}
end

--- The id if it is known by now.
-- @tparam cce.client client
-- @treturn ?string
function M.known(client)
  if client.config.project_id then return client.config.project_id end
  local found, key = cache_of(client)
  return found[key]
end

--- The projects that these credentials can see.
-- @tparam cce.client client
-- @tparam ?string name only those of this name
-- @tparam ?number deadline see `cce.api.call`
-- @treturn[1] {table,...} each with `id` and `name`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.list(client, name, deadline)
  local request = {
    operation = "list_projects", service = "iam", action = "iam:projects:listProjects",
    method = "GET", path = "/v3/projects", query = name and { { "name", name } }, mutating = false,
  }
  local response, message, err = call.send(client, request, {}, deadline)
  if not response then return nil, message, err end
  local body
  body, message, err = call.decode(request, {}, response)
  if not body then return nil, message, err end
  return call.list(request, {}, response, body, "projects", function(entry)
    return values.text(entry.id) and entry
  end)
end

local function names_of(projects)
  local names = {}
  for i, entry in ipairs(projects) do
    if i > MOST_NAMED then
      names[i] = ("and %d more"):format(#projects - MOST_NAMED)
      break
    end
    names[i] = ("%s (%s)"):format(tostring(entry.name), entry.id)
  end
  return #names > 0 and table.concat(names, ", ") or "none"
end

local function not_one(message, hint)
  return errors.fail("NO_PROJECT", message, {
    operation = "list_projects", retryable = false, maybe_applied = false, hint = hint,
  })
end

-- What the source of the credentials knows beats what IAM would say.
local function ask(client, deadline)
  local auth, message, err = client.session:identify()
  if not auth then return nil, message, err end
  if auth.project_id then
    client.config.project_id = auth.project_id
    return auth.project_id
  end
  local known = M.known(client)
  if known then return known end
  local region = client.config.region
  if not region or not client.config.endpoints.iam then
    return errors.fail("NO_PROJECT", region
      and "the project id is not known, nor the address of IAM to look it up"
      or "the project id is not known, nor the region to look it up", {
      retryable = false, maybe_applied = false, attempts = 0,
      hint = "Give project_id=\"…\" or set HUAWEICLOUD_SDK_PROJECT_ID; or give region= and the"
        .. " address of IAM, endpoints={iam=\"https://…\"}",
    })
  end
  local found
  found, message, err = M.list(client, region, deadline)
  if not found then
    err.message = ("the project of region %s was not found: %s"):format(region, message)
    return nil, err.message, err
  elseif #found == 0 then
    local all
    all, message, err = M.list(client, nil, deadline)
    if not all then return nil, message, err end
    return not_one(("no project is called %s; these credentials see: %s"):format(
      region, names_of(all)), "Check the region's name, or give project_id=")
  elseif #found > 1 then
    return not_one(("%d projects are called %s: %s"):format(#found, region, names_of(found)),
      "Give project_id= with the one that is meant")
  end
  return found[1].id
end

--- The id of the client's project; asks IAM when it is not known yet. Of calls
-- that need it at once, one asks and the others wait.
-- @tparam cce.client client
-- @tparam ?number deadline see `cce.api.call`
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err code NO_PROJECT when there is not exactly one, or that of
--   a request that failed
function M.id_of(client, deadline)
  local known = M.known(client)
  if known then return known end
  local left = deadline and math.max(0, deadline - client.monotonic()) or math.huge
  local id, message, err = singleflight.share_within(left, client, "project", ask, client, deadline)
  if not id then return nil, message, err end
  local found, key = cache_of(client)
  found[key] = id
  return id
end

return M
