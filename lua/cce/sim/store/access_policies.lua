--- AccessPolicies: rights in clusters that CCE itself keeps, for the whole account.
local random = require("cce.sim.random")
local state = require("cce.sim.store.state")
local times = require("cce.sim.server.times")

local M = {}

local ROLES = {
  CCEClusterAdminPolicy = "cluster-admin", CCEAdminPolicy = "admin", CCEEditPolicy = "edit",
  CCEViewPolicy = "view",
}
local TYPES = { user = true, group = true, agency = true }
local MOST_CLUSTERS, MOST_IDS = 200, 500

local list = {}

function M.reset()
  list = {}
end

local function is_list_of_text(value, most)
  if type(value) ~= "table" or #value > most then
    return false
  end
  for _, each in ipairs(value) do
    if type(each) ~= "string" then
      return false
    end
  end
  return true
end

--- What is wrong with a policy that was sent; nil when nothing is.
function M.problem(policy)
  local principal, scope = policy.principal, policy.accessScope
  if policy.kind ~= "AccessPolicy" or policy.apiVersion ~= "v3" then
    return "kind AccessPolicy and apiVersion v3 are expected"
  elseif type(policy.name) ~= "string" or policy.name == "" then
    return "name is mandatory"
  elseif not is_list_of_text(policy.clusters, MOST_CLUSTERS) or #policy.clusters == 0 then
    return 'clusters must be ["*"] or up to 200 ids'
  elseif not ROLES[policy.policyType] then
    return "policyType is not known"
  elseif type(scope) ~= "table" or not is_list_of_text(scope.namespaces, MOST_CLUSTERS) then
    return "accessScope.namespaces is mandatory"
  elseif type(principal) ~= "table" or not TYPES[principal.type]
    or not is_list_of_text(principal.ids, MOST_IDS) then
    return "principal must have a type and up to 500 ids"
  end
end

local function find(id)
  for i, policy in ipairs(list) do
    if policy.policyId == id then
      return policy, i
    end
  end
end
M.find = find

local FIELDS = { "kind", "apiVersion", "name", "clusters", "accessScope", "policyType",
  "principal" }

--- Keeps what was sent, anew or in the place of another.
function M.put(body, id)
  local policy, old, index = {}, find(id)
  for _, name in ipairs(FIELDS) do
    policy[name] = body[name]
  end
  policy.policyId = id or random.uuid()
  policy.updateTime = times.to_iso(state.now())
  policy.createTime = old and old.createTime or policy.updateTime
  list[index or #list + 1] = policy
  return policy
end

function M.delete(id)
  table.remove(list, select(2, find(id)))
end

local function reaches(policy, cluster_id)
  for _, each in ipairs(policy.clusters) do
    if each == "*" or each == cluster_id then
      return true
    end
  end
  return false
end

--- All, or those that reach a cluster.
function M.list(cluster_id)
  local found = {}
  for _, policy in ipairs(list) do
    if not cluster_id or reaches(policy, cluster_id) then
      found[#found + 1] = policy
    end
  end
  return found
end

--- What they give a principal in a cluster: { { role=, namespace=<nil: everywhere> }, ... }.
function M.rights(cluster_id, principal)
  local rights = {}
  for _, policy in ipairs(M.list(cluster_id)) do
    for _, id in ipairs(policy.principal.type == principal.kind and policy.principal.ids or {}) do
      for _, namespace in ipairs(id == principal.id and policy.accessScope.namespaces or {}) do
        rights[#rights + 1] = { role = ROLES[policy.policyType],
          namespace = namespace ~= "*" and namespace or nil }
      end
    end
  end
  return rights
end

return M
