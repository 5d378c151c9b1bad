--- CCE Autopilot: the same API for clusters without nodes of one's own, by other paths and
-- with fewer calls.
--
-- An id does not say whether it is CCE's or Autopilot's. A list says it, and the answer to
-- a call: what CCE does not find is looked for there. `client.autopilot` keeps it, by id.
-- Source: the API reference of CCE Autopilot, and the official SDKs' calls of that name.
-- @module cce.api.autopilot
-- @local
local call = require "cce.api.call"
local clouds = require "cce.api.cloud"
local core = require "cce.core"
local errors = require "cce.error"
local object = require("cce.base.values").object
local singleflight = require "cce.host.singleflight"

local M = {}

--- The calls about one cluster or job that Autopilot has, too, by their names in
-- `core.operations`.
M.calls = {
  obtain_cert = "obtain_autopilot_cert", show_cluster = "show_autopilot_cluster",
  show_job = "show_autopilot_job",
}

-- Those that it has not, and what to do instead.
local LACKING = {
  revoke_cert = { "revokes certificates", "Take the principal's rights away, in IAM and by the"
    .. " RoleBindings and ClusterRoleBindings that name it in the cluster; its certificate stays"
    .. " valid until its end: obtain short-lived ones" },
  rotate_credentials = { "rotates certificates", "The cloud runs its control plane and nodes; ask"
    .. " its support when a certificate has to be replaced" },
  retry_node_rotation = { "rotates the certificates of nodes", "It has no nodes of your own" },
}

-- A call that changes something waits no longer for the answer to "whose is it?"; seconds.
local SHORT = 5

--- Whether a cluster that the API describes is one of Autopilot.
-- @tparam table spec
-- @treturn boolean
function M.is(spec)
  return spec.flavor == "cce.autopilot.cluster"
end

--- The error of a call that Autopilot does not have; nil for those that it has.
-- @tparam string operation
-- @tparam string cluster_id
-- @treturn ?table err
function M.lack(operation, cluster_id)
  local lack = LACKING[operation]
  return lack and errors.new("UNSUPPORTED", ("%s: cluster %s is one of CCE Autopilot, whose API has"
    .. " no call that %s; nothing was sent"):format(operation, cluster_id, lack[1]), {
    operation = operation, retryable = false, maybe_applied = false, attempts = 0, hint = lack[2],
  })
end

local function look_once(client, ids, deadline)
  local operation = M.calls[ids.job_id and "show_job" or "show_cluster"]
  if clouds.lacks(client.config.cloud, "autopilot") then
    return errors.fail("API_NOT_FOUND", operation .. ": this cloud has no CCE Autopilot")
  end
  local request = assert(core.operation(operation, ids))
  request.may_be_absent = true
  local response, message, err = call.send(client, request, ids, deadline)
  if not response then return nil, message, err end
  if response.status == 404 then return false end
  local body
  body, message, err = call.decode(request, ids, response)
  if not body then return nil, message, err end
  local id = ids.job_id or ids.cluster_id
  if object(body.metadata).uid ~= id then
    return call.invalid(request, ids, response, "it does not describe " .. id)
  end
  client.autopilot[id] = true
  response.request = request
  return response
end

-- One look for many callers, none of whom waits longer than they may.
local function look(client, key, ids, deadline)
  local left = deadline and math.max(0, deadline - client.monotonic()) or math.huge
  return singleflight.share_within(left, client, key .. (ids.job_id or ids.cluster_id), look_once,
    client, ids, deadline)
end

--- Look for a cluster or a job at Autopilot, and remember what is found. Who asks for the same
-- meanwhile waits for that answer.
-- @tparam cce.client client
-- @tparam table ids `project_id`, and `cluster_id` or `job_id`
-- @tparam ?number deadline see `cce.api.call`
-- @treturn[1] table the response, which knows its `request`; false when there is none
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.look(client, ids, deadline)
  return look(client, "autopilot ", ids, deadline)
end

--- Whether a cluster lets a call be sent that CCE alone has. One that is not known yet is
-- looked for once. Where that cannot be told, the call goes on: CCE knows its own clusters.
-- @tparam cce.client client
-- @tparam string operation
-- @tparam table ids
-- @tparam ?number deadline see `cce.api.call`
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err code UNSUPPORTED; or that of a key that is refused
function M.allows(client, operation, ids, deadline)
  local id = ids.cluster_id
  if not LACKING[operation] then return true end
  if client.autopilot[id] == nil then
    local config = setmetatable({ timeout = math.min(client.config.timeout, SHORT),
      retry = setmetatable({ max_attempts = 1 }, { __index = client.config.retry }) },
      { __index = client.config })
    local found, _, err = look(client:view { config = config }, "whose is ", ids, deadline)
    local code = err and err.code
    if code == "UNAUTHENTICATED" or code == "ACCESS_KEY_LOCKED" then
      return call.cannot_begin(operation, err)
    end
    -- Whatever else was answered: it is not asked before each call.
    if not found then client.autopilot[id] = false end
  end
  if not client.autopilot[id] then return true end
  local err = M.lack(operation, id)
  return nil, err.message, err
end

return M
