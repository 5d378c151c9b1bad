--- The control endpoint: plain HTTP on a loopback address of its own, no signature.
--
--   POST   /-/faults    adds a fault (a JSON object, see cce.sim.server.faults) or a list of them
--   GET    /-/faults    those not used up          DELETE /-/faults   removes all
--   GET    /-/log       every request seen         DELETE /-/log      forgets them
--   GET    /-/state     clusters, those of Autopilot apart, revocations, rotations as `jobs`, keys
--                       and who they belong to
--   POST   /-/clusters  { cluster=, version=, phase=, job_outcome="Failed", job_seconds= }: changes
--                       one cluster, or all without `cluster`; also `nodes` (how many it has) and
--                       `failing_nodes` (at how many of them a rotation fails), and `project`: of
--                       the account's two, the one that it is in
--   POST   /-/principals  { kind="user"|"agency", id=, name=, enabled= }: adds one, or changes it
--   POST   /-/delete    { kind=, id=, v5=, ago=SECONDS, status= }: deletes one, by the newer IAM
--                       with v5, so long ago; a status of 400 or more: the attempt was refused
--   POST   /-/permissions  { principal=ID, deny=[ACTION, ...] }: who gets 403 for exactly these
--   POST   /-/cts       { late=SECONDS }: what happens from now on is seen so much later
--   GET    /-/traces    all traces, the late ones too
--   GET    /-/export    the same, as CTS exports them to OBS: a list of JSON, and nothing around it
--   GET    /-/holds     requests held by a fault with `hold`
--   POST   /-/release   { id=, drop=true }: lets one go, or all without `id`; drop: no answer
--   POST   /-/clock     { offset=SECONDS }: the simulator's clock runs ahead (or behind) by this
--   POST   /-/iam       { token_seconds=, key_seconds=, expire=true, metadata="token"|"old"|
--                       "no_agency" }: tokens and temporary keys, the metadata service
--   POST   /-/policy    { deny={"cce:cluster:list"}, projects={{id=,name=}},
--                       throttle={limit=,seconds=} }: actions that nobody may, the account's
--                       projects, how many requests a window takes
--   POST   /-/reset     as after the start; certificates once issued stay valid
local access_policies = require("cce.sim.store.access_policies")
local cts = require("cce.sim.service.cts")
local directory = require("cce.sim.store.directory")
local faults = require("cce.sim.server.faults")
local gateway = require("cce.sim.server.gateway")
local holds = require("cce.sim.store.holds")
local json = require("cce.sim.server.json")
local log = require("cce.sim.store.log")
local permissions = require("cce.sim.server.permissions")
local issued = require("cce.sim.store.issued")
local metadata = require("cce.sim.service.metadata")
local policy = require("cce.sim.server.policy")
local state = require("cce.sim.store.state")

local M = {}

local OK = { status = 200, body = { ok = true } }

local function bad(message)
  return { status = 400, body = { message = message } }
end

local function add_faults(body)
  for _, fault in ipairs(body[1] and body or { body }) do
    local ok, message = faults.add(fault)
    if not ok then
      return bad(message)
    end
  end
  return OK
end

local SETTINGS = {
  version = "string", phase = "string", job_outcome = "string", job_seconds = "number",
  nodes = "number", failing_nodes = "number", project = "string",
}

local function check_settings(body)
  for key, value in pairs(body) do
    if key ~= "cluster" and type(value) ~= SETTINGS[key] then
      return ("field %s of a cluster is not known, or of a wrong type"):format(key)
    end
  end
  if body.cluster and not state.cluster_by_id[body.cluster] then
    return "no such cluster: " .. tostring(body.cluster)
  end
  if body.project and not state.is_project(body.project) then
    return "no such project: " .. body.project
  end
end

local function set_clusters(body)
  local problem = check_settings(body)
  if problem then
    return bad(problem)
  end
  for id, cluster in pairs(state.cluster_by_id) do
    if not body.cluster or id == body.cluster then
      for key in pairs(SETTINGS) do
        cluster[key] = body[key] or cluster[key]
      end
    end
  end
  return OK
end

local function set_clock(body)
  if type(body.offset) ~= "number" then
    return bad("offset must be a number of seconds")
  end
  state.set_clock_offset(body.offset)
  return OK
end

-- token_seconds, key_seconds: how long what is issued from now on lives; expire=true: what was
-- issued ends now; metadata: the mode of that service.
local function set_iam(body)
  issued.token_seconds = body.token_seconds or issued.token_seconds
  issued.key_seconds = body.key_seconds or issued.key_seconds
  metadata.mode = body.metadata or metadata.mode
  if body.expire then
    issued.expire()
  end
  return OK
end

local function set_policy(body)
  local problem = policy.set(body)
  return problem and bad(problem) or OK
end

local function reset()
  access_policies.reset()
  issued.reset()
  metadata.reset()
  policy.reset()
  faults.clear()
  holds.release(nil, true)
  log.clear()
  state.reset()
  permissions.reset()
  cts.reset()
  directory.reset()
  return OK
end

local function clear_faults()
  faults.clear()
  return OK
end

local function clear_log()
  log.clear()
  return OK
end

local KINDS = { user = true, agency = true }

local function check_fields(body, fields)
  for key, value in pairs(body) do
    if type(value) ~= fields[key] then
      return ("field %s is not known, or of a wrong type"):format(key)
    end
  end
  if fields.kind and not KINDS[body.kind] then
    return 'field kind: "user" or "agency" expected'
  end
end

local function put_principal(body)
  local problem = check_fields(body, { kind = "string", id = "string", name = "string",
    enabled = "boolean" })
  if problem then
    return bad(problem)
  end
  return { status = 200, body = { id = directory.put(body) } }
end

local function delete_principal(body)
  local problem = check_fields(body, { kind = "string", id = "string", v5 = "boolean",
    ago = "number", status = "number" })
  if problem or not body.id then
    return bad(problem or "field id is missing")
  elseif not directory.delete(body) then
    return bad(("no such %s: %s"):format(body.kind, body.id))
  end
  return OK
end

local function set_permissions(body)
  local problem = check_fields(body, { principal = "string", deny = "table" })
  if problem or not body.principal then
    return bad(problem or "field principal is missing")
  end
  permissions.deny(body.principal, body.deny or {})
  return OK
end

local function set_cts(body)
  if type(body.late) ~= "number" or body.late < 0 then
    return bad("late must be a number of seconds")
  end
  cts.set_late(body.late)
  return OK
end

local function release(body)
  local problem = check_fields(body, { id = "number", drop = "boolean" })
  if problem then
    return bad(problem)
  end
  return { status = 200, body = { released = holds.release(body.id, body.drop) } }
end

local function describe_cluster(cluster)
  state.settle(cluster)
  local certificates, failed_nodes = 0, {}
  for _ in pairs(cluster.certificates) do
    certificates = certificates + 1
  end
  for id in pairs(cluster.failed_nodes) do
    failed_nodes[#failed_nodes + 1] = id
  end
  table.sort(failed_nodes)
  return {
    id = cluster.id, name = cluster.name, version = cluster.version, phase = cluster.phase,
    internal = cluster.internal, external = cluster.external, certificates = certificates,
    revoked_users = cluster.revoked.user, revoked_agencies = cluster.revoked.agency,
    job_id = cluster.job and cluster.job.id or nil,
    failed_nodes = json.array(failed_nodes),
  }
end

local function show_state()
  local clusters, jobs, keys = {}, {}, {}
  for i, cluster in ipairs(state.clusters) do
    clusters[i] = describe_cluster(cluster)
  end
  local autopilot = describe_cluster(state.autopilot[1])
  for id, job in pairs(state.jobs) do
    if job.component then
      jobs[#jobs + 1] = {
        id = id, cluster = job.cluster.id, component = job.component,
        phase = state.job_phase(job), started = job.started,
      }
    end
  end
  for i, key in ipairs(state.config.keys) do
    keys[i] = {
      ak = key.ak, principal = key.principal, failures = key.failures,
      locked_until = key.locked_until,
    }
  end
  return {
    status = 200,
    body = {
      now = state.now(), clusters = json.array(clusters), autopilot = { autopilot },
      jobs = json.array(jobs), keys = keys,
    },
  }
end

local function show_list(list)
  return function()
    return { status = 200, body = { items = json.array(list()) } }
  end
end

local routes = {
  ["POST /-/faults"] = add_faults,
  ["GET /-/faults"] = show_list(faults.list),
  ["DELETE /-/faults"] = clear_faults,
  ["GET /-/log"] = show_list(log.list),
  ["DELETE /-/log"] = clear_log,
  ["GET /-/state"] = show_state,
  ["POST /-/clusters"] = set_clusters,
  ["POST /-/clock"] = set_clock,
  ["POST /-/iam"] = set_iam,
  ["POST /-/policy"] = set_policy,
  ["POST /-/reset"] = reset,
  ["POST /-/principals"] = put_principal,
  ["POST /-/delete"] = delete_principal,
  ["POST /-/permissions"] = set_permissions,
  ["POST /-/cts"] = set_cts,
  ["GET /-/traces"] = show_list(cts.list),
  ["GET /-/export"] = function() return { status = 200, body = json.encode(cts.list()) } end,
  ["GET /-/holds"] = show_list(holds.list),
  ["POST /-/release"] = release,
}

local function answer(request)
  local handler = routes[request.method .. " " .. request.target]
  if not handler then
    return { status = 404, body = { message = "no such control: " .. request.target } }
  end
  local body, problem = json.decode(request.body or "{}")
  if type(body) ~= "table" then
    return bad(problem or "a JSON object is expected")
  end
  return handler(body)
end

--- Handles the current nginx request.
function M.handle()
  gateway.send(answer(gateway.read_request()))
end

return M
