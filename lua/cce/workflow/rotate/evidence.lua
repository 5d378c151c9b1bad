--- What the cloud shows of rotations: the job that a cluster names, and the traces
-- of CTS. That there is none proves nothing: CTS is late, and jobs are forgotten.
--
-- Only a job or a trace that is a rotation of this very cluster, was accepted, and is
-- not older than it may be, counts.
-- @module cce.workflow.rotate.evidence
-- @local
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

-- The request's time by the clock that signed it.
local function sent_at(item)
  return (item.sent or 0) + item.client.clock_shift
end

-- The job that a cluster names now: a rotation of it, begun at a time or later.
local function job_of(item, cluster, since, other_than)
  local id = M.job_id_of(cluster)
  if not id or id == other_than then return nil end
  local job = item.client:show_job(id)
  local created = job and times.parse(object(job.raw.metadata).creationTimestamp)
  if not created or created < since - JOB_TOLERANCE then return nil end
  if not job:is_rotation() or job.cluster_id ~= item.id then return nil end
  return job, created
end

local function trace_of(item, since)
  if not item.client.list_traces then return nil end
  local traces = item.client:list_traces {
    service = "CCE", resource_id = item.id, from = since, partial = true,
  }
  for _, trace in ipairs(traces or {}) do
    local fits = TRACES[trace.name] and trace.ok and trace.resource_id == item.id
    if fits and (trace.time or 0) >= since then return trace end
  end
end

--- Evidence that a request whose outcome is not known was accepted.
-- @tparam table item with `sent`, by our clock, and `job_before`
-- @treturn ?string what shows it
-- @treturn ?string the id of its job
function M.of_request(item)
  local sent = sent_at(item)
  local cluster = item.client:show_cluster(item.id)
  local job = cluster and job_of(item, cluster, sent, item.job_before)
  if job then return "status.jobID", job.id end
  local trace = item.sent and trace_of(item, sent - TRACE_TOLERANCE)
  if trace then return "CTS trace " .. tostring(trace.id) end
end

--- A rotation that was begun in place of a job that failed.
-- @tparam table item with `sent`, when that one was sent
-- @tparam table cluster
-- @tparam string failed the id of that job
-- @treturn ?string the id of another one that runs or has succeeded
function M.newer_job(item, cluster, failed)
  local job = job_of(item, cluster, sent_at(item), failed)
  return job and job.phase ~= "Failed" and job.id or nil
end

--- A rotation since a time, by any caller.
-- @tparam table item
-- @tparam table cluster
-- @tparam number since unix time
-- @treturn ?string who and when
function M.recent(item, cluster, since)
  since = since + item.client.clock_shift
  local job, created = job_of(item, cluster, since + JOB_TOLERANCE)
  if job and job.phase == "Failed" then job = nil end
  local trace = trace_of(item, since)
  if not job and not trace then return nil end
  local user = trace and trace.user or {}
  return ("rotated at %s by %s%s"):format(show.time(trace and trace.time or created),
    user.name or user.id or "somebody whom CTS does not name",
    job and (", job %s (%s)"):format(job.id, job.phase or "begun") or "")
end

return M
