--- All that the simulated cloud knows. It lives in the one nginx process, in plain tables.
local account = require("cce.sim.account")
local addresses = require("cce.sim.addresses")
local pki = require("cce.sim.pki")
local random = require("cce.sim.random")

local M = {}

local YEAR = 365 * 86400

--- Set by M.setup: { port=, clusters=, job_seconds=, keys=, token=, project_id=, ... }.
M.config = nil

-- Counts what happens, so that "before" and "after" are clear even within one second.
local sequence = 0
local clock_offset = 0

--- The simulator's time, in unix seconds with a fraction.
function M.now()
  ngx.update_time()
  return ngx.now() + clock_offset
end

function M.set_clock_offset(seconds)
  clock_offset = seconds
end

local function next_sequence()
  sequence = sequence + 1
  return sequence
end

-- --------------------------------------------------------------------------------- clusters

--- Whether a project is one of the account's two: the region's, and the central one.
function M.is_project(id)
  return id == M.config.project_id or id == account.central.project_id
end

local function pristine(cluster)
  cluster.project = M.config.project_id
  cluster.version = "v1.29.13-r0"
  cluster.phase = "Available"
  cluster.job_outcome = "Success"
  cluster.job_seconds = nil
  cluster.nodes = 2
  cluster.failing_nodes = 0
  cluster.failed_nodes = {}
  cluster.job = nil
  cluster.revoked = { user = {}, agency = {} }
  cluster.bindings = nil
  return cluster
end

--- The ids of a cluster's nodes.
function M.node_ids(cluster)
  local ids = {}
  for i = 1, cluster.nodes do
    ids[i] = ("40de0000-0000-4000-8%03x-%012x"):format(i, cluster.index)
  end
  return ids
end

local function new_cluster(index, name)
  local cluster = {
    index = index,
    id = ("c1050000-0000-4000-8000-%012x"):format(index),
    name = name,
    internal = addresses.internal(index),
    external = addresses.has_external(index) and addresses.external(index) or nil,
    certificates = {},
    created = M.now(),
  }
  M.cluster_by_id[cluster.id] = cluster
  return cluster
end

--- Fills the state. config: what the supervisor wrote (see cce.sim). `clusters` are those of
-- CCE, `autopilot` those of CCE Autopilot: one.
function M.setup(config)
  M.config = config
  M.clusters, M.cluster_by_id, M.jobs = {}, {}, {}
  for index = 1, config.clusters do
    M.clusters[index] = new_cluster(index, ("cluster-%03d"):format(index))
  end
  M.autopilot = { new_cluster(addresses.autopilot_index, "autopilot-001") }
  M.autopilot[1].autopilot = true
  M.reset()
end

--- The cluster of an index.
function M.cluster_at(index)
  return index == addresses.autopilot_index and M.autopilot[1] or M.clusters[index]
end

-- An Autopilot cluster names the job that created it, the only one that it has.
local function add_creation(cluster)
  local job = { id = ("a0b50000-0000-4000-8000-%012x"):format(cluster.index), cluster = cluster,
    kind = "CreateCluster", started = cluster.created, seconds = 0, outcome = "Success",
    failing = 0, settled = true }
  M.jobs[job.id], cluster.job = job, job
end

--- As after the start: no fault of the past remains. Certificates once issued stay valid.
function M.reset()
  clock_offset = 0
  M.jobs = {}
  for _, cluster in pairs(M.cluster_by_id) do
    pristine(cluster)
  end
  add_creation(M.autopilot[1])
  for _, key in ipairs(M.config.keys) do
    key.failures, key.locked_until = 0, nil
  end
end

--- The cluster's certificate authority and server certificate: { authority=, server= }, made
-- when first asked for, and again after a rotation.
function M.identity(cluster)
  M.settle(cluster)
  if not cluster.identity then
    local now = math.floor(M.now())
    local authority = pki.authority("kubernetes of " .. cluster.name, now)
    local names = "DNS:kubernetes,IP:" .. cluster.internal
    if cluster.external then
      names = names .. ",IP:" .. cluster.external
    end
    cluster.identity = {
      authority = authority,
      server = pki.server(authority, {
        common_name = "kube-apiserver", alt_names = names,
        not_before = now - 86400, not_after = now + 5 * YEAR,
      }),
    }
  end
  return cluster.identity
end

-- ----------------------------------------------------------------------------- certificates

--- Issues a client certificate to a principal ({ id=, kind=, organisation= }).
function M.issue(cluster, principal, not_after)
  local now = math.floor(M.now())
  local pair = pki.client(M.identity(cluster).authority, {
    common_name = principal.id, organisation = principal.organisation,
    not_before = now, not_after = not_after,
  })
  cluster.certificates[pair.serial] = {
    principal = principal, not_before = now, not_after = not_after, sequence = next_sequence(),
  }
  return pair
end

--- Cuts every certificate that a principal holds in a cluster now. kind: "user" or "agency".
function M.revoke(cluster, kind, id)
  cluster.revoked[kind][id] = next_sequence()
end

--- Whom a client certificate stands for in a cluster.
-- @treturn ?table its record; nil, why when it is not accepted
function M.holder(cluster, pem)
  local ours, serial = pki.signed_by(M.identity(cluster).authority, pem)
  local record = ours and cluster.certificates[serial]
  if not record then
    return nil, "unknown"
  end
  local now = M.now()
  if now >= record.not_after or now < record.not_before then
    return nil, "expired"
  end
  local principal = record.principal
  if record.sequence <= (cluster.revoked[principal.kind][principal.id] or 0) then
    return nil, "revoked"
  end
  return record
end

-- ------------------------------------------------------------------------------------- jobs

local RENEWS_AUTHORITY = { all = true, custom = true }

--- Starts a rotation and returns its job. Only when none runs in this cluster. It fails at the
-- last `failing` nodes: those of the cluster's failing_nodes, or one for job_outcome "Failed".
function M.start_job(cluster, component)
  local failing = math.min(cluster.failing_nodes, cluster.nodes)
  local job = {
    id = random.uuid(), cluster = cluster, component = component, started = M.now(),
    seconds = cluster.job_seconds or M.config.job_seconds,
    outcome = failing > 0 and "Failed" or cluster.job_outcome,
    failing = math.max(failing, cluster.job_outcome == "Failed" and 1 or 0),
    -- Nodes are last: where only they fail, the control plane has been rotated.
    renews = failing > 0 or cluster.job_outcome == "Success",
  }
  M.jobs[job.id] = job
  cluster.job = job
  return job
end

--- Initializing for the first quarter of its time, then Running, then its outcome.
function M.job_phase(job)
  local elapsed = M.now() - job.started
  if elapsed >= job.seconds then
    return job.outcome
  end
  return elapsed < job.seconds / 4 and "Initializing" or "Running"
end

--- Lets what is due happen: nothing runs by itself, so that every look at a cluster comes here.
function M.settle(cluster)
  local job = cluster.job
  if job and not job.settled and M.now() - job.started >= job.seconds then
    job.settled = true
    if job.renews and RENEWS_AUTHORITY[job.component] then
      cluster.identity = nil
    end
    local nodes = M.node_ids(cluster)
    for i = #nodes - job.failing + 1, #nodes do
      cluster.failed_nodes[nodes[i]] = true
    end
  end
end

--- Whether a rotation is under way.
function M.is_rotating(cluster)
  M.settle(cluster)
  return cluster.job ~= nil and not cluster.job.settled
end

return M
