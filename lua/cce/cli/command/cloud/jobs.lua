--- `cce jobs`: look at a job, wait for it.
-- @module cce.cli.command.cloud.jobs
-- @local
local convert = require "cce.cli.input.convert"
local exit = require "cce.cli.exit"

local M = { name = "jobs", summary = "Look at a job, such as a rotation, or wait for it.",
  watchable = { show = true },
  calls = { ["client:show_job"] = "jobs show", ["client:wait_job"] = "jobs wait" } }

function M.describe(parser)
  parser:command_target("action"):require_command(true)
  local show = parser:command("show", "Say how far it is.")
  show:argument("job", "Id of the job."):argname("JOB")
  local wait = parser:command("wait", "Wait until it has ended.")
  wait:argument("job", "Id of the job."):argname("JOB")
  wait:option("--within", "How long at most, such as 30m."):argname("TIME"):default("30m")
    :convert(convert.duration)
  wait:option("--every", "How often to look, such as 5s."):argname("TIME"):default("5s")
    :convert(convert.duration)
  parser:epilog("Ends with 1 when the job failed. A job goes on, whether or not anybody waits.")
end

local function as_value(job)
  local failures = require("cce.base.json").array {}
  for i, failure in ipairs(job:failures()) do
    failures[i] = { id = failure.id, name = failure.name, reason = failure.reason }
  end
  return { id = job.id, phase = job.phase, type = job.type, cluster_id = job.cluster_id,
    reason = job.reason, failures = failures }
end

--- After Ctrl-C: the job does not depend on the waiting.
function M.interrupted(args, ui)
  ui:warn(("the job goes on by itself: cce jobs show %s"):format(args.job))
end

function M.run(args, ui)
  local client, message, err = ui:client()
  if not client then return ui:fail(message, err) end
  local job
  if args.action == "wait" then
    ui:say("waiting for job " .. args.job)
    job, message, err = client:wait_job(args.job, { timeout = args.within, interval = args.every })
  else
    job, message, err = client:show_job(args.job)
  end
  if job then
    local code = ui:show(as_value(job), tostring(job), job.id)
    return code == exit.DONE and job.phase == "Failed" and exit.FAILED or code
  end
  if err and err.job then ui:show(as_value(err.job), tostring(err.job), err.job.id) end
  local code = ui:fail(message, err)
  -- That the job was begun is no doubt about the waiting.
  return err and err.code == "JOB_FAILED" and exit.FAILED or code
end

return M
