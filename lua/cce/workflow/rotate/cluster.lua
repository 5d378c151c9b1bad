--- The rotation of one cluster: whether it may be, the request, what is known
-- of it when the answer was lost, its job, and what to do after.
--
-- An item of a run has these states:
--
-- * `planned`: nothing was sent, or what was sent surely was not accepted
-- * `open`: a request left, or may have, and its outcome is not known
-- * `accepted`: there is a job
-- * `ok`, `failed`, `skipped`, `uncertain`: how it ended
--
-- From `open` there is no way back to `planned`: only evidence leads on.
-- @module cce.workflow.rotate.cluster
-- @local
local errors = require "cce.error"
local pace = require "cce.workflow.pace"
local reissue = require "cce.workflow.rotate.reissue"
local times = require "cce.base.times"

local M = {}

local MINOR_SINCE = 19

-- How far the cloud's clocks may be from ours, once that was corrected; seconds.
local TRACE_TOLERANCE, JOB_TOLERANCE = 2, 120

-- ---- whether it may be -------------------------------------------------------

local function cannot(code, format, ...)
  return errors.new(code, format:format(...), { retryable = false, maybe_applied = false,
    operation = "rotate_credentials" })
end

--- Why a cluster cannot be rotated, by what a list or a look says of it.
-- @tparam table cluster `{id=, version=, status=}`
-- @treturn ?table err nil when nothing speaks against it
function M.obstacle(cluster)
  local major, minor = (cluster.version or ""):match "^v?(%d+)%.(%d+)"
  if cluster.status ~= "Available" then
    return cannot("CONFLICT", "the cluster is %s, not Available", cluster.status or "in no phase")
  elseif not major then
    return cannot("UNSUPPORTED", "the version of the cluster is not known")
  elseif tonumber(major) == 1 and tonumber(minor) < MINOR_SINCE then
    return cannot("UNSUPPORTED", "version %s is too old: rotation needs v1.%d or later",
      cluster.version, MINOR_SINCE)
  end
end

--- The job that a cluster names.
-- @treturn ?string
function M.job_id_of(cluster)
  local status = type(cluster.raw) == "table" and cluster.raw.status
  local id = type(status) == "table" and status.jobID
  return type(id) == "string" and id ~= "" and id or nil
end

-- ---- the journal -------------------------------------------------------------

local function facts(item, err, more)
  local fields = { cluster = item.id, name = item.name, project = item.project_id }
  for _, name in ipairs { "code", "message", "hint", "request_id", "retryable" } do
    if err then fields[name] = err[name] end
  end
  for name, value in pairs(more or {}) do fields[name] = value end
  return fields
end

local function finish(run, item, state, err, line)
  item.state, item.err = state, err
  item.duration = item.began and run.clock() - item.began
  -- Once it ended for good, nothing is left to try again.
  item.again = state == "failed" and line == "refused" and M.is_worth_another(err)
  run:write(line or state, facts(item, err, { job = item.job_id, seconds = item.duration,
    again = item.again or nil }))
end

--- Whether what surely was not accepted may be tried again by a later start of
-- the run. A lock may be that of another rotation: a person decides.
function M.is_worth_another(err)
  return (err.retryable and err.code ~= "RESOURCE_LOCKED" and err.code ~= "CONFLICT") or false
end

-- ---- evidence ----------------------------------------------------------------

-- The request's time by the clock that signed it.
local function sent_at(item)
  return (item.sent or 0) + (item.client.clock_shift or 0)
end

local function is_newer(item, job)
  local metadata = type(job.raw) == "table" and job.raw.metadata
  local created = times.parse(type(metadata) == "table" and metadata.creationTimestamp)
  return created == nil or created >= sent_at(item) - JOB_TOLERANCE
end

-- The job that the cluster names now, when it is a rotation, newer than the
-- request, and another one than before it.
local function job_evidence(item)
  local cluster = item.client:show_cluster(item.id)
  local id = cluster and M.job_id_of(cluster)
  if not id or id == item.job_before then return nil end
  local job = item.client:show_job(id)
  if job and job:is_rotation() and is_newer(item, job) then return id, "status.jobID" end
end

local TRACES = { RotateClusterCredentials = true, RotateCredentials = true }

local function trace_evidence(item)
  if not item.client.list_traces or not item.sent then return nil end
  local since = sent_at(item) - TRACE_TOLERANCE
  local traces = item.client:list_traces {
    service = "CCE", resource_id = item.id, from = since, partial = true,
  }
  for _, trace in ipairs(traces or {}) do
    local fits = TRACES[trace.name] and trace.ok and trace.resource_id == item.id
    if fits and (trace.time or 0) >= since then
      return true, "CTS trace " .. tostring(trace.id)
    end
  end
end

local function accept(run, item, what, job_id, more)
  item.state, item.job_id, item.err = "accepted", job_id, nil
  run:write(what, facts(item, nil, more))
end

--- Look for evidence that a request whose outcome is not known was accepted.
-- That there is none proves nothing.
-- @treturn boolean whether it was settled
function M.settle(run, item)
  local job_id, by = job_evidence(item)
  if not job_id then
    local found
    found, by = trace_evidence(item)
    if not found then return false end
  end
  item.settled_by = by
  accept(run, item, "settled", job_id, { job = job_id, by = by })
  return true
end

local function how_to_settle(item)
  return ("It was rotated if a rotation began after %s. This shows it:"
    .. " client:show_cluster(\"%s\").raw.status.jobID is another than %s; or"
    .. " client:list_traces{service=\"CCE\", resource_id=\"%s\"} names one."
    .. " Else rotate it again, in a run of its own"):format(
    item.sent and times.format(item.sent) or "the intent", item.id,
    item.job_before and '"' .. item.job_before .. '"' or "nil", item.id)
end

local function uncertain(run, item, message, fields)
  fields = fields or {}
  fields.maybe_applied, fields.operation = true, "rotate_credentials"
  fields.hint = fields.hint or how_to_settle(item)
  finish(run, item, "uncertain", errors.new(fields.code or "CONNECTION_LOST", message, fields))
end

-- ---- the request -------------------------------------------------------------

local function request_options(run)
  local opts = run.opts
  return { component = opts.component, cert_content = opts.cert_content,
    certificate_expiration_time = opts.certificate_expiration_time,
    before_send = opts.before_send }
end

local function fail(run, item, err)
  finish(run, item, "failed", err, "refused")
end

-- What surely was not accepted is no reason to ask whether it was; but a locked
-- resource may be our own rotation.
local function refused(run, item, err)
  local locked = err.code == "CONFLICT" or err.code == "RESOURCE_LOCKED"
  if not err.maybe_applied and not (locked and M.settle(run, item)) then
    return fail(run, item, err)
  end
  if item.state == "accepted" then return end
  item.state, item.err = "open", err
  run:write("unknown", facts(item, err))
end

-- Nothing is between the line on disk and the request but this process.
local function send(run, item)
  item.sent = run.clock()
  local ok, message, err = run.journal:intend(facts(item, nil, {
    sent = item.sent, job_before = item.job_before,
  }), run.opts.concurrency)
  if not ok then
    run:stop("the journal cannot be written: " .. message)
    item.state, item.err, item.not_begun = "failed", err, true
    return
  end
  item.state = "open"
  local job
  job, message, err = item.paced:rotate_credentials(item.id, request_options(run))
  if not job then return refused(run, item, err or errors.new("INTERNAL", tostring(message))) end
  item.request_id = job.request_id
  accept(run, item, "accepted", job.id, { job = job.id, request = job.request_id })
end

-- The last look before the request; the job that it names is the one that
-- evidence must differ from.
local function look(run, item)
  local cluster, _, err = item.client:show_cluster(item.id)
  if not cluster then
    fail(run, item, err)
    return false
  end
  item.name, item.version, item.status = cluster.name, cluster.version, cluster.status
  local obstacle = M.obstacle(cluster)
  if obstacle then
    finish(run, item, "skipped", obstacle)
    return false
  end
  item.job_before = M.job_id_of(cluster)
  return true
end

--- Send the request, once the rate limit allows it.
function M.begin(run, item)
  item.began = run.clock()
  -- What the list speaks against takes no turn, unless it has changed.
  local speaks_against = item.status and M.obstacle(item)
  if speaks_against and not look(run, item) then return end
  pace.take_turn(item.paced)
  if not run.stopped and look(run, item) then send(run, item) end
end

-- ---- the job -----------------------------------------------------------------

local function wait_options(run, deadline)
  local wait = run.wait
  return { timeout = math.max(0, deadline - run.clock()), interval = wait.interval }
end

local GIVE_UP = { NOT_FOUND = true, PERMISSION_DENIED = true, UNAUTHENTICATED = true,
  ACCESS_KEY_LOCKED = true, API_NOT_FOUND = true }

-- The job goes on while the network does not: looks that fail are repeated.
local function wait_for_job(run, item)
  local deadline = run.clock() + run.wait.timeout
  while true do
    local job, _, err = item.client:wait_job(item.job_id, wait_options(run, deadline))
    if job then return job end
    local over = run.clock() + run.wait.interval > deadline
    if err.job or GIVE_UP[err.code] or over then return nil, err end
    item.client.sleep(run.wait.interval)
  end
end

local function failed_nodes(job)
  local nodes = {}
  for _, failure in ipairs(job:failures()) do
    local is_node = (failure.type or ""):lower():find("node", 1, true)
    if is_node and failure.resource_id then nodes[#nodes + 1] = failure.resource_id end
  end
  return nodes
end

-- At most 200 nodes a call.
local NODES_A_CALL = 200

local function retry_nodes(run, item, nodes)
  for first = 1, #nodes, NODES_A_CALL do
    local part = {}
    for i = first, math.min(#nodes, first + NODES_A_CALL - 1) do part[#part + 1] = nodes[i] end
    pace.take_turn(item.paced)
    local ok, message, err = item.paced:retry_node_rotation(item.id, {
      node_ids = part, before_send = run.opts.before_send,
    })
    if not ok then return nil, message, err end
  end
  return true
end

-- The API answers a retry with nothing: only a new job of the cluster tells.
local function job_after_repair(run, item)
  for _ = 1, run.wait.looks do
    local cluster = item.client:show_cluster(item.id)
    local id = cluster and M.job_id_of(cluster)
    if id and id ~= item.job_id then return id end
    item.client.sleep(run.wait.interval)
  end
end

local function follow_repair(run, item, nodes)
  item.repaired = nodes
  local id = job_after_repair(run, item)
  if not id then
    item.notice = ("%d failed nodes were told to rotate again, which the API accepted; it names no"
      .. " job for that, so look at these nodes: %s"):format(#nodes, table.concat(nodes, " "))
    return finish(run, item, "ok")
  end
  item.job_id = id
  local job, err = wait_for_job(run, item)
  if job then return finish(run, item, "ok") end
  finish(run, item, "failed", err)
end

local function can_repair(run, item, nodes)
  return run.opts.repair and #nodes > 0 and item.client.retry_node_rotation ~= nil
end

-- Written before the request, so that no start of the run sends it again.
local function repair(run, item, err, nodes)
  item.repair_tried = true
  local ok = run.journal:write("repair", facts(item, err, { repair_tried = true,
    nodes = table.concat(nodes, " ") }))
  if not ok then return finish(run, item, "failed", err) end
  local sent, _, problem = retry_nodes(run, item, nodes)
  if not sent then
    err.hint = "The repair was not accepted: " .. problem.message
    return finish(run, item, "failed", err)
  end
  follow_repair(run, item, nodes)
end

local function job_ended_badly(run, item, err)
  local nodes = failed_nodes(err.job)
  -- An earlier start sent the repair.
  if item.repair_tried and #nodes > 0 then return follow_repair(run, item, nodes) end
  if can_repair(run, item, nodes) then return repair(run, item, err, nodes) end
  if #nodes > 0 and not run.opts.repair then
    err.hint = ("repair=true tells the %d failed nodes to rotate again"):format(#nodes)
  end
  finish(run, item, "failed", err)
end

local function job_lost(run, item, err)
  uncertain(run, item, "it was accepted, but how its job ended is not known: " .. err.message, {
    code = err.code, request_id = item.request_id,
    hint = ("The job goes on by itself: client:wait_job(\"%s\")"):format(item.job_id),
  })
end

--- Wait for the job of a rotation that was accepted.
function M.follow(run, item)
  if not item.job_id or not run.wait then return finish(run, item, "ok") end
  local job, err = wait_for_job(run, item)
  if job then
    finish(run, item, "ok")
  elseif err.code == "JOB_FAILED" then
    job_ended_badly(run, item, err)
  else
    job_lost(run, item, err)
  end
end

-- ---- all of it ---------------------------------------------------------------

-- No evidence was found.
local function give_up(run, item)
  local err = item.err
  uncertain(run, item, err and err.message
    or "a start of this run ended before it knew whether its request was accepted", {
    code = err and err.code, request_id = err and err.request_id,
  })
end

--- Take one cluster as far as it gets.
-- @tparam table run
-- @tparam table item
function M.process(run, item)
  if item.state == "planned" then M.begin(run, item) end
  if item.state == "open" and not M.settle(run, item) then return give_up(run, item) end
  if item.state == "accepted" then M.follow(run, item) end
  if item.state == "ok" and run.opts.reissue and not item.reissued then
    reissue.process(run, item)
  end
end

--- Look once more at what stayed uncertain.
function M.look_again(run, item)
  if item.state == "uncertain" and not item.job_id and M.settle(run, item) then
    M.process(run, item)
  end
end

return M
