--- A small Kubernetes API for each cluster: enough for `kubectl version` and `kubectl get nodes`,
-- and only for those who hold a client certificate that the cluster accepts at this moment.
local addresses = require("cce.sim.addresses")
local errors = require("cce.sim.server.errors")
local gateway = require("cce.sim.server.gateway")
local json = require("cce.sim.server.json")
local log = require("cce.sim.store.log")
local state = require("cce.sim.store.state")
local times = require("cce.sim.server.times")

local M = {}

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
  return { kind = "APIGroupList", apiVersion = "v1", groups = json.array({}) }
end

local function resources()
  return {
    kind = "APIResourceList", groupVersion = "v1",
    resources = { {
      name = "nodes", singularName = "node", namespaced = false, kind = "Node",
      verbs = { "get", "list" }, shortNames = { "no" },
    } },
  }
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

local pages = {
  ["/version"] = version,
  ["/api"] = api_versions,
  ["/apis"] = api_groups,
  ["/api/v1"] = resources,
  ["/api/v1/nodes"] = nodes,
}

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
  if not page then
    return errors.kubernetes(404, "NotFound", "the server could not find the requested resource")
  end
  return { status = 200, body = page(cluster, request) }
end

--- Handles the current nginx request: the cluster is the one at the address it came to.
function M.handle()
  local cluster = state.cluster_at(addresses.cluster_index(ngx.var.server_addr))
  local request = gateway.read_request()
  local entry = log.begin(request, "kubernetes", state.now())
  entry.cluster, entry.operation = cluster.id, "kubernetes"
  local response = answer(cluster, request, entry)
  entry.status = response.status
  gateway.send(response)
end

--- Answers a request whose client certificate nginx itself has refused (it is expired).
function M.refuse()
  gateway.send(unauthorized())
end

return M
