--- The rotation of one cluster: whether it may be, the request, what is known
-- of it when the answer was lost, its job, and what to do after.
--
-- The states are those of `cce.workflow.outcome`. From `uncertain` there is no way
-- back to `pending`: only evidence leads on, or a person.
-- @module cce.workflow.rotate.cluster
-- @local
local autopilot = require "cce.api.autopilot"
local errors = require "cce.error"
local evidence = require "cce.workflow.rotate.evidence"
local outcome = require "cce.workflow.outcome"
local pace = require "cce.workflow.pace"
local reissue = require "cce.workflow.rotate.reissue"
local show = require "cce.text.show"
local values = require "cce.base.values"
local windows = require "cce.workflow.rotate.windows"

local M = {}

local MINOR_SINCE = 19

-- ---- whether it may be -------------------------------------------------------

local function cannot(code, format, ...)
  return errors.new(code, format:format(...), { retryable = false, maybe_applied = false,
    operation = "rotate_credentials" })
end

--- Why a cluster cannot be rotated, by what a list or a look says of it.
-- @tparam table cluster `{id=, version=, status=, autopilot=}`
-- @treturn ?table err nil when nothing speaks against it
function M.obstacle(cluster)
  if cluster.autopilot then return autopilot.lack("rotate_credentials", cluster.id) end
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

-- ---- the journal -------------------------------------------------------------

local function facts(item, err, more)
  local fields = { cluster = item.id, name = item.name, project = item.project_id }
  for _, name in ipairs { "code", "message", "hint", "request_id", "retryable" } do
    if err then fields[name] = err[name] end
  end
  for name, value in pairs(more or {}) do fields[name] = value end
  return fields
end

local function finish(run, item, state, err, word)
  item.state, item.err = state, err
  item.duration = item.steady_began and item.client.monotonic() - item.steady_began
  item.owed = state == "ok" and run.opts.reissue ~= nil and not item.reissued or nil
  run:write(word or state, facts(item, err, { job = item.job_id, seconds = item.duration,
    owed = item.owed }))
end

-- It surely was not accepted.
local function refuse(run, item, err)
  finish(run, item, outcome.of_refusal(err.code), err, "refused")
end

-- ---- evidence ----------------------------------------------------------------

local function accept(run, item, what, job_id, more)
  item.state, item.job_id, item.err = "accepted", job_id, nil
  run:write(what, facts(item, nil, more))
end

--- Look for evidence that a request whose outcome is not known was accepted.
-- That there is none proves nothing.
-- @treturn boolean whether it was settled
function M.settle(run, item)
  local by, job_id = evidence.of_request(item)
  if not by then return false end
  item.settled_by = by
  accept(run, item, "settled", job_id, { job = job_id, by = by })
  return true
end

local function uncertain(run, item, message, fields)
  fields.maybe_applied, fields.operation = true, "rotate_credentials"
  fields.hint = fields.hint or ("It was rotated if a rotation began after %s: its last job"
    .. " (client:show_cluster(\"%s\").raw.status.jobID) is then another than %s, and CTS has a"
    .. " trace RotateClusterCredentials of it. Else rotate it again, in a run of its own"):format(
    item.sent and show.time(item.sent) or "the intent", item.id,
    item.job_before and '"' .. item.job_before .. '"' or "none")
  finish(run, item, "uncertain", errors.new(fields.code or "CONNECTION_LOST", message, fields))
end

-- ---- the request -------------------------------------------------------------

-- What surely was not accepted is no reason to ask whether it was; but a locked
-- resource may be our own rotation.
local function refused(run, item, err)
  local locked = err.code == "CONFLICT" or err.code == "RESOURCE_LOCKED"
  if not err.maybe_applied and not (locked and M.settle(run, item)) then
    return refuse(run, item, err)
  end
  if item.state == "accepted" then return end
  item.state, item.err = "uncertain", err
  run:write("unknown", facts(item, err))
end

-- Asked right before each attempt: by then the windows may have closed.
local function before_send(run)
  local given = run.opts.before_send
  return function(cluster_id)
    local ok, why = windows.are_open(run)
    if not ok then return nil, why end
    if given then return given(cluster_id) end
    return math.huge
  end
end

-- Nothing is between the line on disk and the request but this process.
local function send(run, item)
  item.sent = run.clock()
  local fields = facts(item, nil, { sent = item.sent, job_before = item.job_before })
  -- What the journal knows of the request that failed must not be taken for this one's.
  if item.failed_job then
    fields.job, fields.repair_tried, fields.repair_accepted = false, false, false
  end
  local ok, _, problem = run:intend(fields)
  if not ok then
    item.err = problem
    return
  end
  item.state = "uncertain"
  local opts = run.opts
  local job, _, err = item.paced:rotate_credentials(item.id, {
    component = opts.component, cert_content = opts.cert_content,
    certificate_expiration_time = opts.certificate_expiration_time,
    before_send = before_send(run),
  })
  if not job then return refused(run, item, err) end
  item.request_id = job.request_id
  accept(run, item, "accepted", job.id, { job = job.id, request = job.request_id })
end

-- Whether it was rotated already is not known.
local function not_told(cause, reason, hint)
  return errors.new(cause.code, "nothing was sent, since " .. reason, { retryable = true,
    maybe_applied = false, operation = "rotate_credentials", hint = hint })
end

--- Whether a cluster was rotated, by whatever caller, since the time that `unless_rotated_within`
-- allows, which leaves it out. Where that cannot be told, it stays pending.
-- @tparam table run
-- @tparam table item whose `state` is set, with `message` or `err`
-- @tparam[opt] table cluster as it was looked at just now
-- @treturn boolean whether it is not to be begun
function M.is_left_out(run, item, cluster)
  local window = run.opts.unless_rotated_within
  if not window then return false end
  cluster = cluster or item.client:show_cluster(item.id) or {}
  local text, problem = evidence.recent(item, cluster, run.clock() - window)
  if text then
    item.message = ("%s, and unless_rotated_within is %s"):format(text, show.span(window))
    item.state, item.err = "skipped", nil
  elseif problem then
    item.err = not_told(problem, ("its last job and CTS do not tell whether it was rotated within"
      .. " %s: %s"):format(show.span(window), problem.message),
      problem.retryable and "The same call asks again"
      or "Let these credentials read CTS; or rotate it without unless_rotated_within")
  end
  return text ~= nil or problem ~= nil
end

-- What another process did meanwhile, or may have done, is not done again: not for a window
-- of time that was asked for, and not in the place of a job that failed.
local function may_be_rotated(run, item, cluster)
  local job, err
  if item.failed_job then job, err = evidence.newer_job(item, cluster, item.failed_job) end
  if job then
    item.settled_by = "status.jobID"
    accept(run, item, "settled", job, { job = job, by = item.settled_by })
    return true
  elseif err then
    finish(run, item, "pending", not_told(err, ("the cluster names another job than the one that"
      .. " failed, and that one cannot be looked at: %s"):format(err.message),
      "Look at the cluster; if it was not rotated meanwhile, rotate it in a run of its own"))
    return true
  end
  if not M.is_left_out(run, item, cluster) then return false end
  if item.state == "pending" then
    finish(run, item, "pending", item.err)
  else
    run:write("skipped", facts(item, nil, { message = item.message }))
  end
  return true
end

-- The last look before the request; the job that it names is the one that
-- evidence must differ from.
local function look(run, item)
  local cluster, _, err = item.client:show_cluster(item.id)
  if not cluster then
    refuse(run, item, err)
    return false
  end
  item.name, item.version, item.status = cluster.name, cluster.version, cluster.status
  local obstacle = M.obstacle(cluster)
  if obstacle then
    finish(run, item, obstacle.code == "UNSUPPORTED" and "skipped" or "pending", obstacle)
    return false
  end
  item.job_before = evidence.job_id_of(cluster)
  return not may_be_rotated(run, item, cluster)
end

--- Send the request, once the rate limit allows it.
function M.begin(run, item)
  item.began, item.steady_began, item.err = run.clock(), item.client.monotonic(), nil
  -- What the list speaks against takes no turn, unless it has changed.
  local speaks_against = item.status and M.obstacle(item)
  if speaks_against and not look(run, item) then return end
  pace.take_turn(item.paced)
  if run:may_begin(item) and look(run, item) then send(run, item) end
end

-- ---- the job -----------------------------------------------------------------

local GIVE_UP = { NOT_FOUND = true, PERMISSION_DENIED = true, UNAUTHENTICATED = true,
  ACCESS_KEY_LOCKED = true, API_NOT_FOUND = true }

-- The job goes on while the network does not: looks that fail are repeated.
local function wait_for_job(run, item)
  local client, interval = item.client, run.opts.waiting.interval
  local deadline = client.monotonic() + run.opts.waiting.timeout
  while true do
    local job, _, err = client:wait_job(item.job_id, {
      timeout = math.max(0, deadline - client.monotonic()), interval = interval,
    })
    if job then return job end
    local over = client.monotonic() + interval > deadline
    if err.job or GIVE_UP[err.code] or over then return nil, err end
    client.sleep(interval)
  end
end

-- At most 200 nodes a call.
local NODES_A_CALL = 200

-- How many were told; and the error that kept it from the others.
local function retry_nodes(run, item, nodes)
  for first = 1, #nodes, NODES_A_CALL do
    local part = {}
    for i = first, math.min(#nodes, first + NODES_A_CALL - 1) do part[#part + 1] = nodes[i] end
    pace.take_turn(item.paced)
    local ok, _, err = item.paced:retry_node_rotation(item.id, {
      node_ids = part, before_send = run.opts.before_send,
    })
    if not ok then return first - 1, err end
  end
  return #nodes
end

-- The API answers a retry with nothing: only a new job of the cluster tells. Nil when it
-- names none; or nil and the error when it could not be looked at.
local function job_after_repair(run, item)
  local problem
  for _ = 1, run.opts.waiting.looks do
    local cluster, _, err = item.client:show_cluster(item.id)
    local id = cluster and evidence.job_id_of(cluster)
    if id and id ~= item.job_id then return id end
    problem = err
    item.client.sleep(run.opts.waiting.interval)
  end
  return nil, problem
end

local function job_lost(run, item, err)
  uncertain(run, item, "it was accepted, but how its job ended is not known: " .. err.message, {
    code = err.code, request_id = item.request_id,
    hint = ("The job goes on by itself: client:wait_job(\"%s\")"):format(item.job_id),
  })
end

-- What failed and is no node that was told to rotate again is told: nobody mends it.
local function repaired(run, item, notice)
  local rest = item.unrepaired[1] and "failed too, and not told to rotate again: "
    .. table.concat(item.unrepaired, ", ")
  item.notice = notice and rest and notice .. "; " .. rest or notice or rest
  finish(run, item, "ok")
end

-- `err` is that of the job that failed.
local function follow_repair(run, item, err, nodes)
  item.repaired = nodes
  local id, unseen = job_after_repair(run, item)
  -- Of several calls a job shows no more than that one of them was taken.
  local has_parts = #nodes > NODES_A_CALL
  local were = show.count(#nodes, "failed node") .. (#nodes == 1 and " was" or " were")
  if unseen then
    return uncertain(run, item, ("%s told to rotate again, and what became of that is not known:"
      .. " %s"):format(were, unseen.message), { code = unseen.code,
      hint = "The same call looks at the cluster again" })
  elseif not item.repair_accepted and (not id or has_parts) then
    err.hint = ("Whether the API took %s is not known, and no job shows it: look at these"
      .. " nodes: %s"):format(has_parts and "all of the repair" or "the repair",
      table.concat(nodes, " "))
    return finish(run, item, "failed", err)
  elseif not id then
    return repaired(run, item, ("%s told to rotate again, which the API accepted; it names no job"
      .. " for that, so look at these nodes: %s"):format(were, table.concat(nodes, " ")))
  end
  item.job_id = id
  local job, problem = wait_for_job(run, item)
  if job then return repaired(run, item) end
  if problem.code == "JOB_FAILED" then return finish(run, item, "failed", problem) end
  job_lost(run, item, problem)
end

-- Written before the request, so that no start of the run sends it again.
local function repair(run, item, err, nodes)
  item.repair_tried = true
  local fields = { repair_tried = true, nodes = table.concat(nodes, " ") }
  local ok = run:write("repair", facts(item, err, fields))
  if not ok then return finish(run, item, "failed", err) end
  local told, problem = retry_nodes(run, item, nodes)
  if not problem then
    item.repair_accepted, fields.repair_accepted = true, true
    run:write("repair", facts(item, err, fields))
  elseif not problem.maybe_applied then
    err.hint = "The repair was not accepted: " .. problem.message
    if told > 0 then
      err.hint = ("The repair was accepted of the first %d failed nodes, and not of these: %s: %s")
        :format(told, table.concat(nodes, " ", told + 1), problem.message)
    end
    return finish(run, item, "failed", err)
  end
  follow_repair(run, item, err, nodes)
end

local function job_ended_badly(run, item, err)
  local nodes, rest = {}, {}
  for _, failure in ipairs(err.job:failures()) do
    local is_node = values.lower(failure.type or ""):find("node", 1, true)
    if is_node and failure.resource_id then
      nodes[#nodes + 1] = failure.resource_id
    elseif not failure:failures()[1] then
      rest[#rest + 1] = failure.name or failure.resource_id or failure.type or "a part of no name"
    end
  end
  item.unrepaired = rest
  -- An earlier start sent the repair.
  if item.repair_tried and #nodes > 0 then return follow_repair(run, item, err, nodes) end
  if run.opts.repair and #nodes > 0 and item.client.retry_node_rotation ~= nil then
    return repair(run, item, err, nodes)
  elseif #nodes > 0 and not run.opts.repair then
    err.hint = ("repair=true tells the %s to rotate again"):format(
      show.count(#nodes, "failed node"))
  end
  finish(run, item, "failed", err)
end

--- Wait for the job of a rotation that was accepted.
function M.follow(run, item)
  if not item.job_id or not run.opts.waiting then
    item.message = run.opts.waiting and "accepted; neither its job nor how it ended is known"
      or "accepted, not waited for"
    return finish(run, item, "ok")
  end
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

--- Whether a rotated cluster's new kubeconfig is to be written by this call. Where
-- `owed` is false it was, or a person gave it up.
function M.owes_kubeconfig(run, item)
  if item.state ~= "ok" or not run.opts.reissue then return false end
  return item.owed or item.owed == nil and not item.reissued
end

--- Take one cluster as far as it gets.
-- @tparam table run
-- @tparam table item
function M.process(run, item)
  if item.state == "pending" then M.begin(run, item) end
  if item.state == "uncertain" and not M.settle(run, item) then
    -- No evidence was found: that proves nothing.
    local err = item.err
    return uncertain(run, item, err and err.message
      or "a start of this run ended before it knew whether its request was accepted", {
      code = err and err.code, request_id = err and err.request_id,
    })
  end
  if item.state == "accepted" then M.follow(run, item) end
  if M.owes_kubeconfig(run, item) then reissue.process(run, item) end
end

--- Look once more at what stayed uncertain.
function M.look_again(run, item)
  if item.state == "uncertain" and not item.job_id and M.settle(run, item) then
    M.process(run, item)
  end
end

return M
