--- What `cce.workflow.revoke` reports.
-- @module cce.workflow.revoke.report
-- @local
local items = require "cce.workflow.revoke.item"
local principals = require "cce.workflow.revoke.principals"
local removal = require "cce.workflow.revoke.removal"
local reports = require "cce.text.report"
local show = require "cce.text.show"

local M = {}

-- Of what is ok its rights say enough.
local function message_of(item)
  local more = item.shortfall or item.removed and "taken out of " .. item.removed
  if item.state == "ok" or not more then return item.message end
  return item.message and item.message .. "; " .. more or more
end

--- An item of the report.
-- @treturn table
function M.entry(_, item)
  return { cluster_id = item.id, name = item.name, project_id = item.project_id,
    principal_id = item.principal.id, principal_kind = item.principal.kind,
    can_obtain_again = item.principal.can_obtain_again, verified = item.verified,
    may_have_cut_newer = item.may_have_cut_newer, cut_again = item.cut_again,
    began = item.began, duration = item.duration, message = message_of(item),
    rights = item.rights, removed = item.removed, left = item.left, perhaps = item.perhaps }
end

-- Other clusters' CAs do not say who is known here.
local function is_known(run, item, strange)
  if run.history.knows(item.principal.id) or principals.is_on_record(run, item.principal) then
    return true
  end
  local issued = principals.is_issued_by(item, run.opts)
  if issued == false then strange[#strange + 1] = item.name or item.id end
  return issued == true
end

--- CTS is asked last: a revocation does not wait for it, nor for other records of users
-- whom IAM does not know.
function M.close(run)
  local strange = {}
  local report = run.report
  -- What was proved, and of what nothing was.
  if run.kubeconfig_for then
    local counts, parts = {}, {}
    for _, item in ipairs(run.items) do
      local word = item.verified or "not asked"
      counts[word] = (counts[word] or 0) + 1
    end
    for _, word in ipairs { "yes", "no", "no answer", "no kubeconfig", "not asked" } do
      if counts[word] then parts[#parts + 1] = ("%d %s"):format(counts[word], word) end
    end
    report:note("verified: %s", table.concat(parts, ", "))
  end

  if run.opts.remove then removal.close(run) end
  run.history = principals.history(run.clients, run.began, report)
  for _, item in ipairs(run.items) do
    if item.is_unknown and is_known(run, item, strange) then items.is_known_now(run, item) end
    local revoked, obtained = run.history.obtained_again(item.id, item.principal)
    if revoked and item.state == "ok" and not item.earlier then
      item.cut_again = { revoked = revoked, obtained = obtained }
      report:note("%s: %s had obtained a certificate at %s, after a revocation there at %s: this"
        .. " one cuts it, too", item.name or item.id, items.who(item), show.time(obtained),
        show.time(revoked))
    end
    if item.may_have_cut_newer then
      report:note("%s: sent again more than 10 min after it was first meant, so it may have cut"
        .. " newer certificates of %s", item.name or item.id, items.who(item))
    end
  end
  if #strange > 0 then
    report:note("the certificate is not of the CA of %s: there it does not show that anybody is"
      .. " known by its id", table.concat(strange, ", "))
  end
end

--- What is not done yet, and what is not known to be.
function M.left(run)
  return run:select(function(item) return item.state == "pending" or item.state == "uncertain" end)
end

--- Tell `on_event` what is about to happen, and for how long.
function M.announce(run)
  local left = M.left(run)
  run.clients[1]:emit { type = "revocation_planned", requests = #left,
    seconds = run.pace:seconds(left), journal = run.opts.journal }
end

local function plan_line(run, item)
  local line = ("revoke %s in %s%s (%s, %s), project %s"):format(items.who(item),
    item.name and item.name .. " " or "", item.id, item.version or "version not known",
    item.status or "status not known", item.project_id or "not known")
  if not run.kubeconfig_for then return line end
  local kubeconfig, why = items.own_kubeconfig(run, item)
  return line .. (kubeconfig and ", then verify" or ", without verification: " .. why)
end

-- The same as a row.
local function plan_row(run, item)
  local principal, verification = item.principal, nil
  if run.kubeconfig_for then
    local kubeconfig, why = items.own_kubeconfig(run, item)
    verification = kubeconfig and "asked before and after" or why
  end
  return { principal.kind .. (principal.name and " " .. principal.name or ""), principal.id,
    item.name or "-", item.id, verification }
end

--- The report of what would be done.
function M.preview(run)
  local report, planned, done = run.report, {}, 0
  report.dry_run, report.plan = true, {}
  local steps = { titles = { "REVOKE", "ID", "CLUSTER", "CLUSTER ID" },
    kinds = { "keep", "id", "keep", "id" } }
  report.steps = { steps }
  if run.kubeconfig_for then
    steps.titles[5], steps.kinds[5] = "VERIFICATION", "prose"
  end
  for _, item in ipairs(run.items) do
    if item.state ~= "pending" and item.state ~= "uncertain" then
      done = done + 1
    elseif item.accepted then
      report:note("%s: it was accepted, and is only looked at again", item.name or item.id)
    elseif items.may_begin(item) then
      planned[#planned + 1] = item
      report.plan[#planned] = plan_line(run, item)
      steps[#planned] = plan_row(run, item)
    else
      run:report_item(item)
    end
  end
  if run.opts.remove then report.steps[2] = removal.preview(run, report.plan) end
  if done > 0 then report:note("%d were done at an earlier start", done) end
  local seconds = run.pace:seconds(planned)
  if seconds > 0 then
    report:note("at %s the last request leaves after about %s", run.opts.rate_limit,
      reports.duration(seconds))
  end
end

return M
