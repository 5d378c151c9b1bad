--- What `cce.workflow.revoke` reports.
-- @module cce.workflow.revoke.report
-- @local
local items = require "cce.workflow.revoke.item"
local plan = require "cce.workflow.revoke.plan"
local principals = require "cce.workflow.revoke.principals"
local reports = require "cce.text.report"
local show = require "cce.text.show"

local M = {}

local function report_item(item)
  return { cluster_id = item.id, name = item.name, project_id = item.project_id,
    principal_id = item.principal.id, principal_kind = item.principal.kind,
    can_obtain_again = item.principal.can_obtain_again, verified = item.verified,
    may_have_cut_newer = item.may_have_cut_newer, cut_again = item.cut_again,
    earlier = item.earlier,
    duration = item.duration, message = item.message, err = item.state ~= "ok" and item.err or nil }
end

local function note_cut_again(run, report, item)
  local revoked, obtained = run.history(item.id, item.principal)
  if not revoked or item.state ~= "ok" or item.earlier then return end
  item.cut_again = { revoked = revoked, obtained = obtained }
  report:note("%s: %s had obtained a certificate at %s, after a revocation there at %s: this one"
    .. " cuts it, too", item.name or item.id, items.who(item), show.time(obtained),
    show.time(revoked))
end

local function note_newer(report, item)
  if not item.may_have_cut_newer then return end
  report:note("%s: sent again more than 10 min after it was first meant, so it may have cut newer"
    .. " certificates of %s", item.name or item.id, items.who(item))
end

local function add_items(run, report)
  for _, item in ipairs(run.items) do report:add(item.state, report_item(item)) end
  report.run, report.stopped = run.opts.journal and run.name, run.stopped
  return report:finish(run.clock())
end

-- Whether another start of the same run may do better.
local function may_do_better(item)
  local err = item.err
  return item.state == "uncertain" or item.state == "failed" and err and err.retryable
    or item.state == "skipped" and err and (err.code == "CONFLICT" or err.code == "CANCELLED")
end

local function end_journal(run, report)
  local again = false
  for _, item in ipairs(run.items) do again = again or may_do_better(item) or false end
  local what = run.stopped and "stopped" or again and "ended" or "finished"
  local ok, message = run.journal:write(what, { message = run.stopped })
  local problem = run.journal_problem or not ok and message
  if problem then
    report.incomplete = true
    report:note("the journal could not be written, so another start may do again what this one"
      .. " did: %s", problem)
  elseif again and run.opts.journal then
    report:note("what is not done, but can be, is tried again by the same call")
  end
end

--- The report of what was done. CTS is asked last: a revocation does not wait for it.
-- @treturn cce.report
function M.of_run(run, report)
  end_journal(run, report)
  run.history = principals.history(#run.items > 0 and run.clients or {}, run.began, report)
  for _, item in ipairs(run.items) do
    note_cut_again(run, report, item)
    note_newer(report, item)
  end
  return add_items(run, report)
end

--- The report of a run that was over before.
-- @tparam table run
-- @tparam cce.report report
-- @tparam table lines of the journal
-- @treturn cce.report
function M.of_finished(run, report, lines)
  plan.of_finished(run, lines)
  run.name = lines.name
  report.already_finished = lines.finished or lines.ended
  return add_items(run, report)
end

--- Tell `on_event` what is about to happen, and for how long.
function M.announce(run)
  local left = run:left()
  run.clients[1]:emit { type = "revocation_planned", requests = #left,
    seconds = run.pace:seconds(left), journal = run.opts.journal }
end

local function plan_line(item)
  return ("revoke %s in %s%s (%s, %s), project %s"):format(items.who(item),
    item.name and item.name .. " " or "", item.id, item.version or "version not known",
    item.status or "status not known", item.project_id or "not known")
end

local function plan_verification(run, item, line)
  if not run.kubeconfig_for then return line end
  local kubeconfig, why = items.own_kubeconfig(run, item)
  return line .. (kubeconfig and ", then verify" or ", without verification: " .. why)
end

--- The report of what would be done.
-- @treturn cce.report
function M.of_dry_run(run, report)
  report.dry_run, report.plan = true, {}
  local planned = {}
  for _, item in ipairs(run:left()) do
    if items.may_begin(item) then
      planned[#planned + 1] = item
      report.plan[#planned] = plan_verification(run, item, plan_line(item))
    else
      report:add(item.state, report_item(item))
    end
  end
  local done = #run.items - #planned - #report.skipped - #report.failed
  if done > 0 then report:note("%d were done at an earlier start", done) end
  local seconds = run.pace:seconds(planned)
  if seconds > 0 then
    report:note("at %s the last request leaves after about %s", run.opts.rate_limit,
      reports.duration(seconds))
  end
  return report:finish(run.clock())
end

return M
