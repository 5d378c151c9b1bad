--- The RoleBindings and ClusterRoleBindings of each cluster, as its Kubernetes API keeps them, and
-- what they and AccessPolicies let the holder of a certificate do.
--
-- cluster-admin may do everything where it is bound, admin also change RoleBindings; every other
-- role reads. What begins with "system:" gives nothing beyond what everybody may.
local account = require("cce.sim.account")
local policies = require("cce.sim.store.access_policies")
local random = require("cce.sim.random")
local state = require("cce.sim.store.state")
local times = require("cce.sim.server.times")

local M = {}

M.group = "rbac.authorization.k8s.io"
M.kinds = { rolebindings = "RoleBinding", clusterrolebindings = "ClusterRoleBinding" }

local version = 0

--- The version that the next change gets.
function M.next_version()
  version = version + 1
  return tostring(version)
end

local function key_of(resource, namespace, name)
  return ("%s/%s/%s"):format(resource, namespace or "", name)
end

local function subject(kind, name)
  return { kind = kind, name = name, apiGroup = M.group }
end

local function default(name, role, subjects, labels)
  return { metadata = { name = name, labels = labels },
    roleRef = { apiGroup = M.group, kind = "ClusterRole", name = role }, subjects = subjects }
end

-- Of this account everybody reads, by name: so that taking a name out shows.
local function defaults()
  local readers, bootstrap = {}, { ["kubernetes.io/bootstrapping"] = "rbac-defaults" }
  for _, key in ipairs(account.keys) do
    if not key.principal.admin then
      readers[#readers + 1] = subject("User", key.principal.id)
    end
  end
  return {
    default("cluster-admin", "cluster-admin", { subject("Group", "system:masters") }, bootstrap),
    default("system:discovery", "system:discovery", { subject("Group", "system:authenticated") },
      bootstrap),
    default("sim-readers", "view", readers),
  }
end

local function bindings_of(cluster)
  if not cluster.bindings then
    cluster.bindings = {}
    for _, binding in ipairs(defaults()) do
      M.put(cluster, "clusterrolebindings", nil, binding)
    end
  end
  return cluster.bindings
end

--- One binding, or nil.
function M.find(cluster, resource, namespace, name)
  return bindings_of(cluster)[key_of(resource, namespace, name)]
end

--- All of a resource, in the order of their names; namespace: only those in it.
function M.list(cluster, resource, namespace)
  local keys, found = {}, {}
  local start = namespace and key_of(resource, namespace, "") or resource .. "/"
  for key in pairs(bindings_of(cluster)) do
    if key:sub(1, #start) == start then
      keys[#keys + 1] = key
    end
  end
  table.sort(keys)
  for i, key in ipairs(keys) do
    found[i] = bindings_of(cluster)[key]
  end
  return found, keys
end

--- Keeps a binding, new or changed, and completes it as the API server does.
function M.put(cluster, resource, namespace, binding)
  local metadata = binding.metadata
  local old = M.find(cluster, resource, namespace, metadata.name)
  binding.kind, binding.apiVersion = M.kinds[resource], M.group .. "/v1"
  metadata.namespace, metadata.resourceVersion = namespace, M.next_version()
  metadata.uid = old and old.metadata.uid or random.uuid()
  metadata.creationTimestamp = old and old.metadata.creationTimestamp
    or times.to_iso(state.now())
  for _, each in ipairs(binding.subjects or {}) do
    if each.kind ~= "ServiceAccount" then
      each.apiGroup = each.apiGroup or M.group
    end
  end
  -- What is empty is left out.
  if binding.subjects and #binding.subjects == 0 then
    binding.subjects = nil
  end
  bindings_of(cluster)[key_of(resource, namespace, metadata.name)] = binding
  return binding
end

function M.delete(cluster, resource, namespace, name)
  bindings_of(cluster)[key_of(resource, namespace, name)] = nil
end

-- ------------------------------------------------------------------------------------ rights

local function is_meant(binding, principal)
  for _, each in ipairs(binding.subjects or {}) do
    if each.kind == "User" and each.name == principal.id then
      return true
    elseif each.kind == "Group"
      and (each.name == principal.organisation or each.name == "system:authenticated") then
      return true
    end
  end
  return false
end

local READING = { get = true, list = true }

-- scope: the namespace of a RoleBinding; nil: everywhere.
local function allows(role, scope, attempt)
  if role:find("^system:") or scope and attempt.namespace ~= scope then
    return false
  elseif role == "cluster-admin" or role == "admin" and attempt.resource == "rolebindings" then
    return true
  end
  return READING[attempt.verb] and not M.kinds[attempt.resource] or false
end

--- Whether a principal may do something: attempt has verb, resource and, where it is in one,
-- namespace.
function M.may(cluster, principal, attempt)
  for _, binding in pairs(bindings_of(cluster)) do
    if is_meant(binding, principal)
      and allows(binding.roleRef.name, binding.metadata.namespace, attempt) then
      return true
    end
  end
  for _, right in ipairs(policies.rights(cluster.id, principal)) do
    if allows(right.role, right.namespace, attempt) then
      return true
    end
  end
  return false
end

return M
