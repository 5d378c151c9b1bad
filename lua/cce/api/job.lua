--- An asynchronous job of CCE, such as a rotation: `client:show_job`,
-- `client:wait_job`.
--
-- Fields: `id`, `phase` ("Initializing", "Running", "Success" or "Failed"),
-- `type`, `cluster_id`, `resource_id` (what the job works on, such as a node),
-- `name` (the same by name), `reason`, `sub_jobs` (a list of jobs) and `raw`, all
-- that the API said.
-- @module cce.job
local values = require "cce.base.values"

local text, object = values.text, values.object

local M = {}

local Job = {}
Job.__index = Job
Job.__name = "cce.job"

--- Whether the job has ended, well or badly.
-- @treturn boolean
-- @usage
-- local job = assert(client:rotate_credentials(cluster_id, { component = "all" }))
-- while not assert(client:show_job(job.id)):ended() do cce.sleep(1) end
function Job:ended()
  return self.phase == "Success" or self.phase == "Failed"
end

--- Whether the job rotates the certificates of a cluster, as far as its type
-- tells.
-- @treturn boolean
function Job:is_rotation()
  local kind = values.lower(self.type or "")
  return kind:find("rotat", 1, true) ~= nil or kind:find("credential", 1, true) ~= nil
end

--- The sub-jobs at any depth that failed.
-- @treturn {cce.job,...}
-- @usage
-- local job = assert(client:rotate_credentials(cluster_id, { component = "all" }))
-- for _, failure in ipairs(assert(client:show_job(job.id)):failures()) do print(failure) end
function Job:failures()
  local failures = {}
  local function collect(job)
    for _, sub_job in ipairs(job.sub_jobs) do
      if sub_job.phase == "Failed" then failures[#failures + 1] = sub_job end
      collect(sub_job)
    end
  end
  collect(self)
  return failures
end

function Job:__tostring()
  local line = ("job %s: %s"):format(self.id or "without id", self.phase or "started")
  if self.type then line = line .. " (" .. self.type .. ")" end
  if self.reason then line = line .. ": " .. self.reason end
  for _, failure in ipairs(self:failures()) do
    line = line .. ("\n  sub-job %s failed: %s"):format(
      failure.name or failure.id or "without id", failure.reason or "no reason given")
  end
  return line
end

--- Make a job of what the API answered.
-- @tparam table raw `{metadata=, spec=, status=}`
-- @treturn cce.job
-- @local
function M.new(raw)
  local metadata, spec, status = object(raw.metadata), object(raw.spec), object(raw.status)
  local job = {
    id = text(metadata.uid),
    name = text(spec.resourceName),
    type = text(spec.type),
    cluster_id = text(spec.clusterUID),
    resource_id = text(spec.resourceID),
    phase = text(status.phase),
    reason = text(status.reason),
    sub_jobs = {},
    raw = raw,
  }
  for _, sub_job in ipairs(object(spec.subJobs)) do
    job.sub_jobs[#job.sub_jobs + 1] = M.new(object(sub_job))
  end
  return setmetatable(job, Job)
end

--- Make a job of which only the id is known yet.
-- @tparam string id
-- @tparam[opt] string request_id of the request that started it
-- @treturn cce.job
-- @local
function M.started(id, request_id)
  return setmetatable({ id = id, request_id = request_id, sub_jobs = {} }, Job)
end

return M
