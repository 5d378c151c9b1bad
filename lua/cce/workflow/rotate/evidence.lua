--- What the cloud shows of rotations: the job that a cluster names, and the traces
-- of CTS. That there is none proves nothing: CTS is late, and jobs are forgotten.
--
-- Only a job or a trace that is a rotation of this very cluster, was accepted, and is
-- not older than it may be, counts.
-- @module cce.workflow.rotate.evidence
-- @local
local errors = require "cce.error"
local responses = require "cce.api.response"
local show = require "cce.text.show"
local times = require "cce.base.times"
local values = require "cce.base.values"

local object = values.object

local M = {}

-- How far the cloud's clocks may be from ours, once that was corrected; seconds.
local TRACE_TOLERANCE, JOB_TOLERANCE = 2, 120

local TRACES = { RotateClusterCredentials = true, RotateCredentials = true }

--- The job that a cluster names.
-- @tparam table cluster
-- @treturn ?string
function M.job_id_of(cluster)
  return values.text(object(object(cluster.raw).status).jobID)
end

-- By the cloud's clock; nil when it does not say.
local function created_at(job)
  return times.parse(object(job.raw.metadata).creationTimestamp)
end

--- When a job was begun at the earliest, by the cloud's clock.
-- @tparam cce.job job
-- @treturn number 0 when it does not say
function M.began(job)
  return (created_at(job) or JOB_TOLERANCE) - JOB_TOLERANCE
end

-- The request's time by the clock that signed it.
local function sent_at(item)
  return (item.sent or 0) + item.client.clock_shift
end

-- The job that a cluster names now, and when it was begun; or nil, nil, and perhaps the error
-- of the look at it.
local function last_job(item, cluster, other_than)
  local id = M.job_id_of(cluster)
  if not id or id == other_than then return nil end
  local job, _, err = item.client:show_job(id)
  if not job then return nil, nil, err end
  local created = created_at(job)
  if not created or job.cluster_id ~= item.id then return nil end
  return job, created
end

-- The same, if it is a rotation that was begun at a time or later.
local function job_of(item, cluster, since, other_than)
  local job, created, err = last_job(item, cluster, other_than)
  if not job then return nil, err end
  if created < since - JOB_TOLERANCE or not job:is_rotation() then return nil end
  return job
end

-- The trace of a rotation; or nil, and perhaps an error that says why there may be one.
local function trace_of(item, since)
  local traces, _, problem = item.client:list_traces {
    service = "CCE", resource_id = item.id, from = since, partial = true,
  }
  if not traces then return nil, problem end
  for _, trace in ipairs(traces) do
    local fits = TRACES[trace.name] and trace.ok and trace.resource_id == item.id
    if fits and (trace.time or 0) >= since then return trace end
  end
  if not traces.window.complete then
    return nil, errors.new("UNVERIFIED", "CTS keeps traces of the last seven days only")
  end
end

-- The job that a trace's answer names, where CTS has the answer.
local function job_id_in(trace)
  local response = object(trace.raw).response
  local id = object(type(response) == "string" and responses.json(response) or response).jobid
  return values.text(id) and values.is_id(id) and id or nil
end

--- Evidence that a request whose outcome is not known was accepted.
-- @tparam table item with `sent`, by our clock, and `job_before`
-- @treturn ?string what shows it
-- @treturn ?string the id of its job, if that is known
function M.of_request(item)
  local sent = sent_at(item)
  local cluster = item.client:show_cluster(item.id)
  local job = cluster and job_of(item, cluster, sent, item.job_before)
  if job then return "status.jobID", job.id end
  local trace = item.sent and trace_of(item, sent - TRACE_TOLERANCE)
  if trace then return "CTS trace " .. tostring(trace.id), job_id_in(trace) end
end

--- A rotation that was begun in place of a job that failed.
-- @tparam table item with `sent`, when that one was sent
-- @tparam table cluster
-- @tparam string failed the id of that job
-- @treturn[1] ?string the id of another one that runs or has succeeded; nil when there is none
-- @treturn[2] nil
-- @treturn[2] table err why that cannot be told
function M.newer_job(item, cluster, failed)
  local job, err = job_of(item, cluster, sent_at(item), failed)
  if not job then return nil, err end
  return job.phase ~= "Failed" and job.id or nil
end

--- A rotation since a time, by any caller.
-- @tparam table item
-- @tparam table cluster
-- @tparam number since unix time
-- @treturn[1] ?string who and when; nil when there was none: CTS has no trace of one, or
--   the last job of the cluster is older
-- @treturn[2] nil
-- @treturn[2] table err why that cannot be told
function M.recent(item, cluster, since)
  since = since + item.client.clock_shift
  local job, created, unseen = last_job(item, cluster)
  local is_older = job and created < since
  if job and (is_older or not job:is_rotation() or job.phase == "Failed") then job = nil end
  local trace, problem = trace_of(item, since)
  -- CTS is late: what runs now may be in the job alone.
  problem = problem or unseen and unseen.retryable and unseen
  if not job and not trace then return nil, not is_older and problem or nil end
  local user = trace and trace.user or {}
  return ("rotated at %s by %s%s"):format(show.time(trace and trace.time or created),
    user.name or user.id or "somebody whom CTS does not name",
    job and (", job %s (%s)"):format(job.id, job.phase or "begun") or "")
end

return M
