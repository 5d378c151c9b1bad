--- The CCE service, version 3: certificates, revocation, rotation, clusters and jobs. CCE
-- Autopilot is beside it, with paths and clusters of its own: neither finds those of the other.
local access_policy = require("cce.sim.service.access_policy")
local errors = require("cce.sim.server.errors")
local json = require("cce.sim.server.json")
local kubeconfig = require("cce.sim.server.kubeconfig")
local pki = require("cce.sim.pki")
local state = require("cce.sim.store.state")
local times = require("cce.sim.server.times")
local versions = require("cce.sim.server.versions")

local M = {}

local MAX_DAYS = 1827
local MIN_EXPIRY_SECONDS = 15 * 60
local MAX_YEARS = 5
local MAX_RETENTION_HOURS = 8784
local MAX_CONTENT_BYTES = 1048576
local MAX_NODES = 200
local COMPONENTS = { all = true, ["service-account-controller"] = true, custom = true }

local function is_integer(value)
  return type(value) == "number" and value == math.floor(value)
end

-- nil for what was not sent, JSON's null included.
local function given(value)
  if value ~= json.null then
    return value
  end
end

local function invalid(format, ...)
  return nil, errors.cce("invalid", format:format(...))
end

local function find_cluster(call)
  local cluster = state.cluster_by_id[call.ids.cluster_id]
  if not cluster or cluster.project ~= call.ids.project_id
    or cluster.autopilot ~= call.autopilot then
    return nil, errors.cce("not_found", ("cluster %s not found"):format(call.ids.cluster_id))
  end
  state.settle(cluster)
  return cluster
end

-- What every call that acts on a cluster needs: the cluster, Available and of a version that is
-- new enough (`supports`, when given, tells), and the body.
local function open_call(call, supports)
  local cluster, refusal = find_cluster(call)
  if not cluster then
    return nil, refusal
  end
  if cluster.phase ~= "Available" then
    return nil, errors.cce("invalid", "cluster is not Available: " .. cluster.phase)
  end
  local content_type = call.request.headers["content-type"] or ""
  if not (content_type:lower() .. ";"):match("^application/json%s*;") then
    return nil, errors.cce("content_type", "Content-Type: " .. content_type)
  end
  local body, problem = json.decode(call.request.body or "")
  if type(body) ~= "table" then
    return nil, errors.cce("bad_body", problem or "a JSON object is expected")
  end
  if supports and not supports(cluster.version) then
    return nil, errors.cce("invalid", "not support this version " .. cluster.version)
  end
  return cluster, body
end

--- How this service says that a right is missing.
function M.denied(action)
  return errors.cce("forbidden", ("Policy doesn't allow %s to be performed."):format(action))
end

--- Refuses a call for a project that is none of the account's.
function M.check(call)
  if call.ids.project_id and not state.is_project(call.ids.project_id) then
    return errors.cce("forbidden",
      ("Action Forbidden: project %s is not the token's"):format(call.ids.project_id))
  end
end

-- --------------------------------------------------------------------------- obtain, revoke

-- When the certificate is to end: expire_at beats duration. nil, response when neither says.
local function expiry(body, now)
  local expire_at, days = given(body.expire_at), given(body.duration)
  local longest = times.add_years(now, MAX_YEARS)
  if expire_at == nil and days == nil then
    return invalid("at least one of duration and expire_at is mandatory")
  elseif expire_at == nil then
    if not is_integer(days) or not (days == -1 or days >= 1 and days <= MAX_DAYS) then
      return invalid("duration must be -1 or from 1 to %d days", MAX_DAYS)
    end
    return days == -1 and longest or math.min(now + days * 86400, longest)
  end
  local expires = type(expire_at) == "string" and times.from_cce(expire_at)
  if not expires then
    return invalid("expire_at must look like 2025-01-01 16:00:00 +0000 UTC")
  end
  if expires < now + MIN_EXPIRY_SECONDS or expires > longest then
    return invalid("expire_at must be 15 minutes to 5 years ahead")
  end
  return expires
end

local function obtain(call)
  local cluster, body = open_call(call)
  if not cluster then
    return body
  end
  if cluster.autopilot then
    body.expire_at = nil -- not known there
  end
  local not_after, refusal = expiry(body, math.floor(state.now()))
  if not not_after then
    return refusal
  end
  local pair = state.issue(cluster, call.principal, not_after)
  return {
    status = 200,
    headers = { ["Port-ID"] = ("90770000-0000-4000-8000-%012x"):format(cluster.index) },
    body = kubeconfig.build(cluster, state.identity(cluster).authority, pair),
  }
end

-- kind, id; nil, response
local function revoked_principal(body)
  local user, agency = given(body.userId), given(body.agencyId)
  if (user == nil) == (agency == nil) then
    return invalid("exactly one of userId and agencyId is mandatory")
  end
  local id = user or agency
  if type(id) ~= "string" or not id:match("^[%w._-]+$") then
    return invalid("userId or agencyId is not an id")
  end
  return user and "user" or "agency", id
end

local function revoke(call)
  local cluster, body = open_call(call, versions.can_revoke)
  if not cluster then
    return body
  end
  local kind, id = revoked_principal(body)
  if not kind then
    return id
  end
  local caller = call.principal
  local is_own = caller.kind == kind and caller.id == id
  if not caller.admin and not is_own then
    return errors.cce("forbidden", "an IAM user can revoke only the user's own credential")
  end
  state.revoke(cluster, kind, id)
  return { status = 200 }
end

-- --------------------------------------------------------------------------------- rotation

-- The PEM text of a field of certContent; nil, response.
local function content_text(content, field)
  local encoded = given(content[field])
  if type(encoded) ~= "string" or encoded == "" then
    return invalid("certContent.%s is mandatory for component custom", field)
  end
  if #encoded > MAX_CONTENT_BYTES then
    return invalid("certContent.%s is larger than 1 MB", field)
  end
  local text = ngx.decode_base64(encoded)
  if not text then
    return invalid("certContent.%s is not Base64", field)
  end
  return text
end

-- nil when it can be used; else a response.
local function refuse_content(content)
  if type(content) ~= "table" then
    return errors.cce("invalid", "certContent is mandatory for component custom")
  end
  local texts = {}
  for _, field in ipairs({ "ca", "cert", "privateKey" }) do
    local text, refusal = content_text(content, field)
    if not text then
      return refusal
    end
    texts[field] = text
  end
  if not pki.is_certificate(texts.ca) then
    return errors.cce("invalid", "certContent.ca is not a certificate")
  end
  if not pki.is_pair(texts.cert, texts.privateKey) then
    return errors.cce("invalid", "certContent.privateKey does not fit certContent.cert")
  end
end

local function refuse_rotation(body)
  if not COMPONENTS[body.component] then
    return errors.cce("invalid", "component must be all, service-account-controller or custom")
  end
  local hours = given(body.certificateExpirationTime)
  if hours ~= nil and not (is_integer(hours) and hours >= 0 and hours <= MAX_RETENTION_HOURS) then
    return errors.cce("invalid", "certificateExpirationTime must be from 0 to 8784 hours")
  end
  if body.component == "custom" then
    return refuse_content(given(body.certContent))
  end
end

local function rotate(call)
  local cluster, body = open_call(call, versions.can_rotate)
  if not cluster then
    return body
  end
  local refusal = refuse_rotation(body)
  if refusal then
    return refusal
  end
  if state.is_rotating(cluster) then
    return errors.cce("locked", "a rotation of credentials is running in this cluster")
  end
  return { status = 200, body = { jobid = state.start_job(cluster, body.component).id } }
end

-- The ids of the nodes; nil, response.
local function node_list(cluster, body)
  local list = given(body.nodeList)
  if body.apiVersion ~= "v3" or body.kind ~= "List" or type(list) ~= "table" then
    return invalid("a List of version v3 with a nodeList is expected")
  elseif #list < 1 or #list > MAX_NODES then
    return invalid("nodeList must have from 1 to %d nodes", MAX_NODES)
  end
  local ids = {}
  for i, node in ipairs(list) do
    ids[i] = type(node) == "table" and node.nodeID
    if not ids[i] or not cluster.failed_nodes[ids[i]] then
      return invalid("node %s did not fail in a rotation of this cluster", tostring(ids[i]))
    end
  end
  return ids
end

local function rotate_nodes(call)
  local cluster, body = open_call(call, versions.can_rotate)
  if not cluster then
    return body
  end
  local ids, refusal = node_list(cluster, body)
  if not ids then
    return refusal
  end
  for _, id in ipairs(ids) do
    cluster.failed_nodes[id] = nil
  end
  return { status = 200 }
end

-- ---------------------------------------------------------------------------- clusters, jobs

local function endpoints(cluster)
  local port = state.config.port
  local list = { { url = ("https://%s:%d"):format(cluster.internal, port), type = "Internal" } }
  if cluster.external then
    list[2] = { url = ("https://%s:%d"):format(cluster.external, port), type = "External" }
  end
  return list
end

-- What is documented of an Autopilot cluster; what its category is, is not.
local function autopilot_spec(cluster)
  return {
    version = cluster.version:match("^v%d+%.%d+"), platformVersion = "cce.4.0",
    type = "VirtualMachine", flavor = "cce.autopilot.cluster", description = "",
    enableSnat = false, hostNetwork = { vpc = "5a2b0000-0000-4000-8000-000000000001" },
    containerNetwork = { mode = "eni" }, serviceNetwork = { IPv4CIDR = "10.247.0.0/16" },
    authentication = { mode = "rbac" },
  }
end

local function cluster_body(cluster)
  state.settle(cluster)
  return {
    kind = "Cluster", apiVersion = "v3",
    metadata = {
      name = cluster.name, alias = cluster.name, uid = cluster.id,
      creationTimestamp = times.to_cce(cluster.created),
      updateTimestamp = times.to_cce(cluster.job and cluster.job.started or cluster.created),
    },
    spec = cluster.autopilot and autopilot_spec(cluster) or {
      version = cluster.version:match("^v%d+%.%d+"), platformVersion = "cce.10.0",
      category = "CCE", type = "VirtualMachine", flavor = "cce.s1.small",
      authentication = { mode = "rbac" },
    },
    status = {
      phase = cluster.phase, jobID = cluster.job and cluster.job.id or nil,
      endpoints = endpoints(cluster),
    },
  }
end

local function list_clusters(call)
  local query = ngx.decode_args(call.request.target:match("%?(.*)$") or "", 0)
  local items = {}
  for _, cluster in ipairs(call.autopilot and state.autopilot or state.clusters) do
    local body = cluster_body(cluster)
    if cluster.project == call.ids.project_id
      and (query.status or body.status.phase) == body.status.phase
      and (query.version or body.spec.version) == body.spec.version
      and (query.type or body.spec.type) == body.spec.type then
      items[#items + 1] = body
    end
  end
  return { status = 200, body = { kind = "List", apiVersion = "v3", items = json.array(items) } }
end

local function show_cluster(call)
  local cluster, refusal = find_cluster(call)
  if not cluster then
    return refusal
  end
  local body = cluster_body(cluster)
  if not cluster.autopilot then
    body.spec.certificateAuthority = {
      data = ngx.encode_base64(state.identity(cluster).authority.pem),
    }
  end
  return { status = 200, body = body }
end

local function job_body(job, kind, resource, phase, reason)
  return {
    kind = "Job", apiVersion = "v3",
    metadata = {
      uid = job.id, creationTimestamp = times.to_cce(job.started),
      updateTimestamp = times.to_cce(state.now()),
    },
    spec = {
      type = kind, clusterUID = job.cluster.id, resourceID = resource,
      resourceName = job.cluster.name, extendParam = {},
    },
    status = { phase = phase, reason = reason },
  }
end

-- One sub-job for the control plane, one a node; a failed rotation fails at its last nodes.
local function sub_jobs(job, phase)
  local nodes = state.node_ids(job.cluster)
  local list = { job_body(job, "RotateMasterCert", job.cluster.id,
    phase == "Failed" and "Success" or phase) }
  for i, node in ipairs(nodes) do
    local failed = phase == "Failed" and i > #nodes - job.failing
    local node_phase = phase == "Failed" and not failed and "Success" or phase
    list[#list + 1] = job_body(job, "RotateNodeCert", node, node_phase,
      failed and "node is not reachable" or nil)
  end
  for i, item in ipairs(list) do
    item.metadata.uid = job.id:sub(1, -3) .. ("%02x"):format(i)
  end
  return list
end

local function show_job(call)
  local job = state.jobs[call.ids.job_id]
  if not job or job.cluster.project ~= call.ids.project_id
    or job.cluster.autopilot ~= call.autopilot then
    return errors.cce("not_found", ("job %s not found"):format(call.ids.job_id))
  end
  state.settle(job.cluster)
  local phase = state.job_phase(job)
  local body = job_body(job, job.kind or "RotateClusterCredentials", job.cluster.id, phase,
    phase == "Failed" and ("%d of the sub-jobs failed"):format(job.failing) or nil)
  body.spec.subJobs = not job.kind and sub_jobs(job, phase) or nil
  return { status = 200, body = body }
end

-- A handler that sees the clusters of Autopilot, and no others.
local function at_autopilot(handler)
  return function(call)
    call.autopilot = true
    return handler(call)
  end
end

local CLUSTERS = "/api/v3/projects/{project_id}/clusters"
local AUTOPILOT = "/autopilot/v3/projects/{project_id}"

M.routes = {
  { method = "POST", path = CLUSTERS .. "/{cluster_id}/clustercert",
    action = "cce:cluster:generateClientCredential", trace = "getClusterCertByUID",
    operation = "obtain_cert", handler = obtain },
  { method = "POST", path = CLUSTERS .. "/{cluster_id}/clustercertrevoke",
    action = "cce:cluster:revokeClientCredential", trace = "revokeClusterCert",
    operation = "revoke_cert", handler = revoke },
  { method = "POST", path = CLUSTERS .. "/{cluster_id}/rotatecredentials",
    action = "cce:cluster:rotateCredentials", trace = "RotateClusterCredentials",
    operation = "rotate_credentials", handler = rotate },
  { method = "POST", path = CLUSTERS .. "/{cluster_id}/nodes/rotate-cert",
    trace = "RotateNodeCert", operation = "retry_node_rotation", handler = rotate_nodes },
  { method = "GET", path = CLUSTERS, operation = "list_clusters", action = "cce:cluster:list",
    handler = list_clusters },
  { method = "GET", path = CLUSTERS .. "/{cluster_id}",
    operation = "show_cluster", action = "cce:cluster:get", handler = show_cluster },
  { method = "GET", path = "/api/v3/projects/{project_id}/jobs/{job_id}",
    operation = "show_job", action = "cce:job:get", handler = show_job },
  { method = "POST", path = AUTOPILOT .. "/clusters/{cluster_id}/clustercert",
    action = "cce:cluster:generateClientCredential", operation = "obtain_autopilot_cert",
    handler = at_autopilot(obtain) },
  { method = "GET", path = AUTOPILOT .. "/clusters", operation = "list_autopilot_clusters",
    action = "cce:cluster:list", handler = at_autopilot(list_clusters) },
  { method = "GET", path = AUTOPILOT .. "/clusters/{cluster_id}",
    operation = "show_autopilot_cluster", action = "cce:cluster:get",
    handler = at_autopilot(show_cluster) },
  { method = "GET", path = AUTOPILOT .. "/jobs/{job_id}", operation = "show_autopilot_job",
    action = "cce:job:get", handler = at_autopilot(show_job) },
}

for _, route in ipairs(access_policy.routes) do
  M.routes[#M.routes + 1] = route
end

return M
