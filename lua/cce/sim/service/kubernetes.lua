--- A small Kubernetes API for each cluster: enough for `kubectl version`, `kubectl get nodes` and
-- to read and edit bindings, and only for those who hold a client certificate that the cluster
-- accepts at this moment and whom the bindings let do it.
local addresses = require("cce.sim.addresses")
local bindings = require("cce.sim.store.bindings")
local errors = require("cce.sim.server.errors")
local gateway = require("cce.sim.server.gateway")
local json = require("cce.sim.server.json")
local log = require("cce.sim.store.log")
local state = require("cce.sim.store.state")
local times = require("cce.sim.server.times")

local M = {}

local GROUP = bindings.group

local function version(cluster)
  local major, minor = cluster.version:match("^v(%d+)%.(%d+)")
  return {
    major = major, minor = minor, gitVersion = cluster.version, gitCommit = "0000000",
    gitTreeState = "clean", buildDate = times.to_iso(cluster.created), goVersion = "go1.22",
    compiler = "gc", platform = "linux/amd64",
  }
end

local function api_versions(cluster)
  return {
    kind = "APIVersions", versions = { "v1" },
    serverAddressByClientCIDRs = {
      { clientCIDR = "0.0.0.0/0", serverAddress = cluster.internal .. ":" .. state.config.port },
    },
  }
end

local function api_groups()
  local served = { groupVersion = GROUP .. "/v1", version = "v1" }
  return { kind = "APIGroupList", apiVersion = "v1", groups = {
    { name = GROUP, versions = { served }, preferredVersion = served },
  } }
end

local function resource(name, singular, kind, namespaced, verbs, short)
  return { name = name, singularName = singular, kind = kind, namespaced = namespaced,
    verbs = verbs, shortNames = short }
end

local READ = { "get", "list" }
local CHANGE = { "create", "delete", "get", "list", "patch", "update" }

local function core_resources()
  return { kind = "APIResourceList", groupVersion = "v1", resources = {
    resource("nodes", "node", "Node", false, READ, { "no" }),
    resource("pods", "pod", "Pod", true, READ, { "po" }),
  } }
end

local function rbac_resources()
  return { kind = "APIResourceList", groupVersion = GROUP .. "/v1", resources = {
    resource("rolebindings", "rolebinding", "RoleBinding", true, CHANGE),
    resource("clusterrolebindings", "clusterrolebinding", "ClusterRoleBinding", false, CHANGE),
  } }
end

local function node(cluster, i, id)
  return {
    kind = "Node", apiVersion = "v1",
    metadata = {
      name = ("%s-node-%d"):format(cluster.name, i), uid = id,
      creationTimestamp = times.to_iso(cluster.created),
    },
    spec = { providerID = id },
    status = {
      conditions = { {
        type = "Ready", status = "True", reason = "KubeletReady", message = "kubelet is ready",
        lastTransitionTime = times.to_iso(cluster.created),
      } },
      nodeInfo = { kubeletVersion = cluster.version, osImage = "EulerOS", architecture = "amd64" },
    },
  }
end

local COLUMNS = { "Name", "Status", "Roles", "Age", "Version" }

-- What kubectl asks for to print: without it there would be names and ages only.
local function node_table(cluster, items)
  local columns, rows = {}, {}
  for i, name in ipairs(COLUMNS) do
    columns[i] = {
      name = name, type = "string", format = name == "Name" and "name" or "", priority = 0,
      description = name,
    }
  end
  local seconds = state.now() - cluster.created
  local age = seconds < 120 and ("%ds"):format(math.floor(seconds))
    or ("%dm"):format(math.floor(seconds / 60))
  for i, item in ipairs(items) do
    rows[i] = {
      cells = { item.metadata.name, "Ready", "<none>", age, cluster.version },
      object = {
        kind = "PartialObjectMetadata", apiVersion = "meta.k8s.io/v1", metadata = item.metadata,
      },
    }
  end
  return {
    kind = "Table", apiVersion = "meta.k8s.io/v1", metadata = { resourceVersion = "1" },
    columnDefinitions = columns, rows = rows,
  }
end

local function nodes(cluster, request)
  local items = {}
  for i, id in ipairs(state.node_ids(cluster)) do
    items[i] = node(cluster, i, id)
  end
  if tostring(request.headers.accept):find("as=Table;v=v1;g=meta.k8s.io", 1, true) then
    return node_table(cluster, items)
  end
  return {
    kind = "NodeList", apiVersion = "v1", metadata = { resourceVersion = "1" }, items = items,
  }
end

-- There are none: whether they may be listed is what shows.
local function pods()
  return { kind = "PodList", apiVersion = "v1", metadata = { resourceVersion = "1" },
    items = json.array({}) }
end

-- ---------------------------------------------------------------------------------- bindings

local function refused(status, reason, ask, format, ...)
  return errors.kubernetes(status, reason, ('%s.%s "%s" %s'):format(ask.resource, GROUP,
    ask.name or "", format:format(...)))
end

local function list_bindings(cluster, ask, request)
  local query = ngx.decode_args(request.target:match("%?(.*)$") or "", 0)
  local items, keys = bindings.list(cluster, ask.resource, ask.namespace)
  local shown, last, most = {}, nil, tonumber(query.limit) or #items
  local after = query.continue and ngx.decode_base64(query.continue)
  for i, item in ipairs(items) do
    if not after or keys[i] > after then
      if #shown == most then
        last = ngx.encode_base64(keys[i - 1])
        break
      end
      shown[#shown + 1] = item
    end
  end
  return { status = 200, body = { kind = bindings.kinds[ask.resource] .. "List",
    apiVersion = GROUP .. "/v1", items = json.array(shown),
    metadata = { resourceVersion = bindings.next_version(), continue = last } } }
end

-- By the rules of RFC 7386; a strategic patch means the same for all that a binding has.
local function merged(target, patch)
  if type(patch) ~= "table" or patch[1] ~= nil then
    return patch
  end
  local result = {}
  for name, value in pairs(type(target) == "table" and target[1] == nil and target or {}) do
    result[name] = value
  end
  for name, value in pairs(patch) do
    if value == json.null then
      result[name] = nil
    else
      result[name] = merged(result[name], value)
    end
  end
  return result
end

local MERGES = { ["application/merge-patch+json"] = true,
  ["application/strategic-merge-patch+json"] = true }

local function same_role(a, b)
  return type(b) == "table" and a.kind == b.kind and a.name == b.name
end

-- Keeps what came of an edit, unless somebody else was faster.
local function change(cluster, ask, old, binding)
  local sent = type(binding.metadata) == "table" and binding.metadata.resourceVersion
  if sent and sent ~= old.metadata.resourceVersion then
    return refused(409, "Conflict", ask, "cannot be updated: the object has been modified; please"
      .. " apply your changes to the latest version and try again")
  elseif not same_role(old.roleRef, binding.roleRef) then
    local answer = refused(422, "Invalid", ask, "is invalid: roleRef: cannot change roleRef")
    -- An old kubectl shows these alone.
    answer.body.details = { name = ask.name, group = GROUP, kind = bindings.kinds[ask.resource],
      causes = { { reason = "FieldValueInvalid", field = "roleRef",
        message = "Invalid value: cannot change roleRef" } } }
    return answer
  end
  binding.metadata = type(binding.metadata) == "table" and binding.metadata or {}
  binding.metadata.name = ask.name
  return { status = 200, body = bindings.put(cluster, ask.resource, ask.namespace, binding) }
end

local acts = {}

function acts.get(_, _, _, old)
  return { status = 200, body = old }
end

function acts.create(cluster, ask, body)
  ask.name = type(body.metadata) == "table" and body.metadata.name
  if type(ask.name) ~= "string" or type(body.roleRef) ~= "table" then
    return errors.kubernetes(422, "Invalid", "metadata.name and roleRef are mandatory")
  elseif bindings.find(cluster, ask.resource, ask.namespace, ask.name) then
    return refused(409, "AlreadyExists", ask, "already exists")
  end
  return { status = 201, body = bindings.put(cluster, ask.resource, ask.namespace, body) }
end

function acts.update(cluster, ask, body, old)
  return change(cluster, ask, old, body)
end

function acts.patch(cluster, ask, body, old, request)
  local kind = tostring(request.headers["content-type"]):match("^[^;]*")
  if not MERGES[kind] then
    return errors.kubernetes(415, "UnsupportedMediaType", "the patch must be a merge patch")
  end
  return change(cluster, ask, old, merged(old, body))
end

function acts.delete(cluster, ask, _, old)
  bindings.delete(cluster, ask.resource, ask.namespace, ask.name)
  return { status = 200, body = { kind = "Status", apiVersion = "v1", status = "Success",
    metadata = {}, details = { name = ask.name, uid = old.metadata.uid } } }
end

local function serve_binding(cluster, ask, request)
  if ask.verb == "list" then
    return list_bindings(cluster, ask, request)
  end
  local old = ask.name and bindings.find(cluster, ask.resource, ask.namespace, ask.name)
  if ask.name and not old then
    return refused(404, "NotFound", ask, "not found")
  end
  local body = {}
  if ask.verb ~= "get" and ask.verb ~= "delete" then
    body = json.decode(request.body or "")
    if type(body) ~= "table" then
      return errors.kubernetes(415, "UnsupportedMediaType", "JSON is understood here, as"
        .. " kubectl sends it for a file: kubectl create --validate=false -f FILE")
    end
  end
  return acts[ask.verb](cluster, ask, body, old, request)
end

-- ------------------------------------------------------------------------------------ asking

-- What everybody may read whom the cluster knows.
local pages = {
  ["/version"] = version,
  ["/api"] = api_versions,
  ["/apis"] = api_groups,
  ["/api/v1"] = core_resources,
  ["/apis/" .. GROUP .. "/v1"] = rbac_resources,
}

local resources = { nodes = nodes, pods = pods }

local VERBS = { GET = "get", POST = "create", PUT = "update", PATCH = "patch", DELETE = "delete" }

-- What a request is about: { verb=, resource=, group=, namespace=, name= }; nil when it is
-- about nothing that there is.
local function read(request)
  local path = ngx.unescape_uri(request.target:match("^[^?]*"))
  local group, rest = "", path:match("^/api/v1/(.+)$")
  if not rest then
    group, rest = GROUP, path:match("^/apis/rbac%.authorization%.k8s%.io/v1/(.+)$")
  end
  local namespace, inner = (rest or ""):match("^namespaces/([^/]+)/(.+)$")
  local resource_name, name = (inner or rest or ""):match("^([^/]+)/?([^/]*)$")
  local verb = VERBS[request.method]
  name = name ~= "" and name or nil
  if verb == "get" and not name then
    verb = "list"
  end
  local is_served
  if group == "" then
    is_served = resources[resource_name] and verb == "list"
  else
    local is_somewhere = verb == "list" or (namespace ~= nil) == (resource_name == "rolebindings")
    local is_one = verb ~= "list" and verb ~= "create"
    is_served = bindings.kinds[resource_name] and verb and is_somewhere and is_one == (name ~= nil)
  end
  return is_served and { verb = verb, resource = resource_name, group = group,
    namespace = namespace, name = name }
end

local function forbidden(record, ask)
  local where = ask.namespace and ('in the namespace "%s"'):format(ask.namespace)
    or "at the cluster scope"
  return errors.kubernetes(403, "Forbidden", (
    '%s is forbidden: User "%s" cannot %s resource "%s" in API group "%s" %s'
  ):format(ask.resource .. (ask.group ~= "" and "." .. ask.group or ""), record.principal.id,
    ask.verb, ask.resource, ask.group, where))
end

local function unauthorized()
  return errors.kubernetes(401, "Unauthorized", "Unauthorized")
end

local function answer(cluster, request, entry)
  local pem = ngx.var.ssl_client_raw_cert
  local record, why = nil, "no certificate"
  if pem and pem ~= "" then
    record, why = state.holder(cluster, pem)
  end
  if not record then
    entry.refused = why
    return unauthorized()
  end
  entry.principal, entry.accepted = record.principal.id, true
  local page = request.method == "GET" and pages[request.target:match("^[^?]*")]
  if page then
    return { status = 200, body = page(cluster, request) }
  end
  local ask = read(request)
  if not ask then
    return errors.kubernetes(404, "NotFound", "the server could not find the requested resource")
  elseif not bindings.may(cluster, record.principal, ask) then
    return forbidden(record, ask)
  elseif ask.group == GROUP then
    return serve_binding(cluster, ask, request)
  end
  return { status = 200, body = resources[ask.resource](cluster, request) }
end

--- Handles the current nginx request: the cluster is the one at the address it came to.
function M.handle()
  local cluster = state.cluster_at(addresses.cluster_index(ngx.var.server_addr))
  local request = gateway.read_request()
  local entry = log.begin(request, "kubernetes", state.now())
  entry.cluster, entry.operation = cluster.id, "kubernetes"
  gateway.respond(entry, function()
    local response = answer(cluster, request, entry)
    entry.status = response.status
    return response
  end)
end

--- Answers a request whose client certificate nginx itself has refused (it is expired).
function M.refuse()
  gateway.send(unauthorized())
end

return M
