--- What `cce.workflow.rotate` reports.
-- @module cce.workflow.rotate.report
-- @local
local plan = require "cce.workflow.rotate.plan"
local preflight = require "cce.workflow.rotate.preflight"
local reports = require "cce.text.report"
local rotation = require "cce.workflow.rotate.cluster"
local times = require "cce.base.times"

local M = {}

-- What the API does when the request names no time.
local DEFAULT_RETENTION_HOURS = 24

--- The states that are final; each is a list of the report.
M.ENDED = { ok = true, failed = true, skipped = true, uncertain = true }

local function report_item(item)
  return { cluster_id = item.id, name = item.name, project_id = item.project_id,
    job_id = item.job_id, request_id = item.request_id, duration = item.duration,
    earlier = item.earlier, settled_by = item.settled_by, repaired = item.repaired,
    reissued = item.reissued, reissue_check = item.reissue_check, message = item.message,
    err = item.state ~= "ok" and item.err or nil }
end

local function add_item(run, report, item)
  local entry = report_item(item)
  if item.state == "planned" then
    entry.code = "CANCELLED"
    entry.message = "not begun: " .. (run.stopped or "the run was interrupted")
    return report:add("skipped", entry)
  end
  local bucket = M.ENDED[item.state] and item.state or "uncertain"
  report:add(bucket, entry)
  if item.notice then report:note("%s: %s", item.name or item.id, item.notice) end
  if item.problem then
    report.incomplete = true
    report:note("%s: %s", item.name or item.id, item.problem)
  end
end

local function fill_report(run, report)
  for _, item in ipairs(run.items) do add_item(run, report, item) end
  report.run, report.stopped = run.name, run.stopped
  return report:finish(run.clock())
end

--- End a run: the journal's last line, and the report. A stop with nothing left
-- to begin is the end.
function M.close(run, report)
  local planned, again = run:count("planned"), false
  for _, item in ipairs(run.items) do
    again = again or (item.state == "failed" and (item.again or item.not_begun)) or false
  end
  if planned == 0 and not run.journal.broken then run.stopped = nil end
  local what = run.stopped and "stopped" or again and "ended" or "finished"
  fill_report(run, report)
  local counts = report:counts()
  run:write(what, { message = run.stopped, ok = counts.ok, failed = counts.failed,
    skipped = counts.skipped, uncertain = counts.uncertain })
  report.stopped = run.stopped
  if again and run.opts.journal and not run.stopped then
    report:note("what failed for a passing reason is tried again by the same call")
  end
end

-- How each ended, as the journal says.
local FINAL = { planned = "skipped", refused = "failed", skipped = "skipped", ok = "ok",
  reissued = "ok", failed = "failed" }

--- The report of a run that was over before.
-- @tparam table run
-- @tparam cce.report report
-- @tparam table lines of the journal
-- @treturn cce.report
function M.of_finished(run, report, lines)
  for i, id in ipairs(lines.order) do
    local line = lines.items[id.cluster]
    local item = plan.item_of_line(line)
    item.state, item.earlier = FINAL[line.what] or "uncertain", true
    run.items[i] = item
  end
  run.name = lines.name
  fill_report(run, report)
  report.already_finished = lines.finished or lines.ended
  return report
end

-- ---- what a person should know before ----------------------------------------

--- Warn of clusters whose older tokens this rotation ends.
function M.note_recent(run, report)
  local hours = run.opts.certificate_expiration_time or DEFAULT_RETENTION_HOURS
  local recent, example = 0, nil
  for _, item in ipairs(run.items) do
    local time = run.journal.rotated[item.id]
    if time and item.state == "planned" and run.clock() - time < hours * 3600 then
      recent, example = recent + 1, example or item
    end
  end
  if recent == 0 then return end
  report:note("%d of the clusters were rotated less than %d h ago, such as %s at %s: rotating again"
    .. " ends the time for which older ServiceAccount tokens stay valid", recent, hours,
    example.name or example.id, times.format(run.journal.rotated[example.id]))
end

local function seconds_needed(run)
  return run.pace:seconds(run:items_in "planned")
end

--- Tell `on_event` what is about to happen, and for how long.
function M.announce(run)
  run.items[1].client:emit {
    type = "rotation_planned", clusters = #run.items, to_begin = run:count("planned"),
    seconds = seconds_needed(run), run = run.name, journal = run.opts.journal,
  }
end

local function plan_line(run, item, number)
  local who = ("%s%s (%s, %s)"):format(item.name and item.name .. " " or "", item.id,
    item.version or "version not known", item.status or "status not known")
  local wave = number <= run.opts.canary and "canary" or "rotate"
  return ("%s %s: component %s, in project %s"):format(wave, who, run.opts.component,
    item.project_id or "not known")
end

--- The report of what would be done.
-- @treturn cce.report
function M.of_dry_run(run, report, resumed)
  report.dry_run, report.plan = true, {}
  local number = 0
  for _, item in ipairs(run.items) do
    local obstacle = item.state == "planned" and item.status and rotation.obstacle(item)
    if obstacle then
      item.state, item.err = "skipped", obstacle
      add_item(run, report, item)
    elseif item.state == "planned" then
      number = number + 1
      report.plan[number] = plan_line(run, item, number)
    elseif item.state ~= "skipped" then
      report:note("%s: %s at an earlier start", item.name or item.id, item.state)
    end
  end
  local hours = run.opts.certificate_expiration_time
  report:note("old ServiceAccount tokens stay valid for %s", hours == 0 and "no time at all"
    or ("%d h"):format(hours or DEFAULT_RETENTION_HOURS))
  report:note("whether these credentials may do it cannot be told before: %s",
    preflight.untried(run.opts))
  local seconds = seconds_needed(run)
  if seconds > 0 then
    report:note("at %s the last request leaves after about %s", run.opts.rate_limit,
      reports.duration(seconds))
  end
  report.resumed = resumed
  return report:finish(run.clock())
end

return M
