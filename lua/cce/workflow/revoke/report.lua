--- What `cce.workflow.revoke` reports.
-- @module cce.workflow.revoke.report
-- @local
local items = require "cce.workflow.revoke.item"
local principals = require "cce.workflow.revoke.principals"
local reports = require "cce.report"
local show = require "cce.show"

local M = {}

local function report_item(item)
  return { cluster_id = item.id, name = item.name, project_id = item.project_id,
    principal_id = item.principal.id, principal_kind = item.principal.kind,
    can_obtain_again = item.principal.can_obtain_again, verified = item.verified,
    may_have_cut_newer = item.may_have_cut_newer, cut_again = item.cut_again,
    duration = item.duration, message = item.message, err = item.state ~= "ok" and item.err or nil }
end

local function note_cut_again(run, report, item)
  local revoked, obtained = run.history(item.id, item.principal)
  if not revoked or item.state ~= "ok" then return end
  item.cut_again = { revoked = revoked, obtained = obtained }
  report:note("%s: %s had obtained a certificate at %s, after a revocation of %s: this one cuts"
    .. " it, too", item.name or item.id, items.who(item), show.time(obtained), show.time(revoked))
end

local function note_newer(report, item)
  if not item.may_have_cut_newer then return end
  report:note("%s: sent again more than 10 min after it was first meant, so it may have cut newer"
    .. " certificates of %s", item.name or item.id, items.who(item))
end

--- The report of what was done. CTS is asked last: a revocation does not wait for it.
-- @treturn cce.report
function M.of_run(run, report)
  run.history = principals.history(#run.items > 0 and run.clients or {}, run.began, report)
  for _, item in ipairs(run.items) do
    note_cut_again(run, report, item)
    note_newer(report, item)
    report:add(item.state, report_item(item))
  end
  report.stopped = run.stopped
  return report:finish(run.clock())
end

--- Tell `on_event` what is about to happen, and for how long.
function M.announce(run)
  run.clients[1]:emit { type = "revocation_planned", requests = #run.items,
    seconds = run.pace:seconds(run.items) }
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
  for _, item in ipairs(run.items) do
    if items.may_begin(item) then
      planned[#planned + 1] = item
      report.plan[#planned] = plan_verification(run, item, plan_line(item))
    else
      report:add(item.state, report_item(item))
    end
  end
  local seconds = run.pace:seconds(planned)
  if seconds > 0 then
    report:note("at %s the last request leaves after about %s", run.opts.rate_limit,
      reports.duration(seconds))
  end
  return report:finish(run.clock())
end

return M
