--- Nodes of a cluster, as methods of a client.
-- @module cce.nodes
local autopilot = require "cce.api.autopilot"
local call = require "cce.api.call"
local project = require "cce.api.project"
local service_call = require "cce.api.service_call"
local core = require "cce.core"
local values = require "cce.base.values"

local M = {}

local methods = {}

--- The methods that a client gets from here.
M.methods = methods

-- The API's limit for one call.
local MOST = 200

local schema = {
  node_ids = { type = "list", required = true, check = function(list)
    local expected = ("1 to %d ids of nodes"):format(MOST)
    if #list < 1 or #list > MOST then return false, expected end
    for _, id in ipairs(list) do
      local ok, reason = type(id) == "string", expected
      if ok then ok, reason = values.is_id(id) end
      if not ok then return false, "a list of ids, each " .. reason end
    end
    return true
  end },
  before_send = { type = "callable" },
}

local cluster_schema = { cluster_id = {
  type = "string", required = true, check = values.is_id,
} }

--- Renew the certificates of nodes that a rotation did not reach.
--
-- Only for nodes that failed in the rotation of a cluster whose control plane
-- was rotated, and that run again: see `job:failures()`, whose `resource_id`
-- is the node. It is a change, and sent at most once unless it surely did not
-- arrive.
-- @function client:retry_node_rotation
-- @tparam string cluster_id
-- @tparam table opts
-- @tparam {string,...} opts.node_ids at most 200
-- @tparam[opt] function opts.before_send as for `client:revoke_cert`
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- assert(client:retry_node_rotation(cluster_id, { node_ids = { node_id } }))
function methods:retry_node_rotation(cluster_id, opts)
  local name = "retry_node_rotation"
  local checked, message, err = service_call.check(self, name, opts, schema)
  if not checked then return nil, message, err end
  local ids
  ids, message, err = service_call.check(self, name, { cluster_id = cluster_id }, cluster_schema)
  if not ids then return nil, message, err end
  ids.project_id, message, err = project.id_of(self)
  if not ids.project_id then return nil, message, err end
  local allowed
  allowed, message, err = autopilot.allows(self, name, ids)
  if not allowed then return nil, message, err end
  local nodes = {}
  for i, id in ipairs(checked.node_ids) do nodes[i] = { nodeID = id } end
  local response
  response, message, err = call.send(self, {
    operation = name, method = "POST", mutating = true,
    path = ("/api/v3/projects/%s/clusters/%s/nodes/rotate-cert"):format(
      ids.project_id, cluster_id),
    body = core.json.encode { apiVersion = "v3", kind = "List", nodeList = nodes },
    before_send = checked.before_send,
  }, ids)
  if not response then return nil, message, err end
  return true
end

return M
