--- What `cce.workflow.rotate` says: before, and of each cluster after.
-- @module cce.workflow.rotate.report
-- @local
local preflight = require "cce.workflow.rotate.preflight"
local reports = require "cce.text.report"
local rotation = require "cce.workflow.rotate.cluster"
local show = require "cce.text.show"
local windows = require "cce.workflow.rotate.windows"

local M = {}

-- What the API does when the request names no time.
local DEFAULT_RETENTION_HOURS = 24

--- An item of the report.
-- @treturn table
function M.entry(_, item)
  return { cluster_id = item.id, name = item.name, project_id = item.project_id,
    job_id = item.job_id, request_id = item.request_id, began = item.began,
    duration = item.duration,
    settled_by = item.settled_by, repaired = item.repaired, reissued = item.reissued,
    reissue_check = item.reissue_check, message = item.state == "ok" and item.message or nil }
end

--- Warn of clusters whose older tokens this rotation ends.
function M.note_recent(run)
  local hours = run.opts.certificate_expiration_time or DEFAULT_RETENTION_HOURS
  local recent, example = 0, nil
  for _, item in ipairs(run.items) do
    local time = run.journal.rotated[item.id]
    if time and item.state == "pending" and run.clock() - time < hours * 3600 then
      recent, example = recent + 1, example or item
    end
  end
  if recent == 0 then return end
  run.report:note("%s rotated less than %d h ago, such as %s at %s: rotating again ends the time"
    .. " for which older ServiceAccount tokens stay valid",
    show.count(recent, "cluster was", "clusters were"), hours, example.name or example.id,
    show.time(run.journal.rotated[example.id]))
end

local function seconds_needed(run)
  return run.pace:seconds(run:items_in "pending")
end

--- Tell `on_event` what is about to happen, and for how long.
function M.announce(run)
  run.items[1].client:emit {
    type = "rotation_planned", clusters = #run.items, to_begin = run:count "pending",
    seconds = seconds_needed(run), run = run.name, journal = run.opts.journal,
  }
end

local function add_step(run, item)
  local report = run.report
  local steps = report.steps[1]
  local wave = #report.plan < run.opts.canary and "canary" or "rotate"
  steps[#steps + 1] = { wave, item.name or "-", item.id, item.version or "-",
    item.status or "-", #run.clients > 1 and (item.project_id or "-") or nil }
  local who = ("%s%s (%s, %s)"):format(item.name and item.name .. " " or "", item.id,
    item.version or "version not known", item.status or "status not known")
  report.plan[#report.plan + 1] = ("%s %s: component %s, in project %s"):format(wave, who,
    run.opts.component, item.project_id or "not known")
end

--- The report of what would be done.
function M.preview(run)
  local report = run.report
  report.dry_run, report.plan = true, {}
  report.steps = { { titles = { "PLAN", "CLUSTER", "ID", "VERSION", "STATUS",
    #run.clients > 1 and "PROJECT" or nil }, kinds = { "keep", "keep", "id", nil, "keep", "id" } } }
  for _, item in ipairs(run.items) do
    local obstacle = item.state == "pending" and item.status and rotation.obstacle(item)
    if obstacle then
      item.state = obstacle.code == "UNSUPPORTED" and "skipped" or "pending"
      item.err = obstacle
      run:report_item(item)
    elseif item.held then
      report:note("%s: uncertain in run %s: it is looked at first", item.name or item.id,
        item.held.run.name)
    elseif item.state == "pending" and rotation.is_left_out(run, item) then
      run:report_item(item)
    elseif item.state == "pending" then
      add_step(run, item)
    elseif item.state ~= "skipped" then
      report:note("%s: %s at an earlier start", item.name or item.id, item.state)
    end
  end
  if #report.plan > 0 then report:note("component: %s", run.opts.component) end
  local hours = run.opts.certificate_expiration_time
  report:note("old ServiceAccount tokens stay valid for %s", hours == 0 and "no time at all"
    or ("%d h"):format(hours or DEFAULT_RETENTION_HOURS))
  report:note("whether these credentials may do it cannot be told before: %s",
    preflight.untried(run.opts))
  if run.open then
    local opens = windows.note(run)
    report:note("nothing is begun outside of %s; %s", run.open.text, opens)
  end
  local seconds = seconds_needed(run)
  if seconds > 0 then
    report:note("at %s the last request leaves after about %s", run.opts.rate_limit,
      reports.duration(seconds))
  end
end

return M
