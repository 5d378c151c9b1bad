--- Revoke the certificates of a user or an agency on many clusters:
-- `cce.workflow.revoke`.
-- @module cce.workflow.revoke
local items = require "cce.workflow.revoke.item"
local journals = require "cce.log.journal"
local map = require "cce.map"
local pace = require "cce.workflow.pace"
local plan = require "cce.workflow.revoke.plan"
local principals = require "cce.workflow.revoke.principals"
local probe = require "cce.kubeconfig.probe"
local protect = require "cce.host.protect"
local reports = require "cce.text.report"
local revoke_options = require "cce.workflow.revoke.options"
local revoke_report = require "cce.workflow.revoke.report"
local targets = require "cce.workflow.targets"
local times = require "cce.base.times"

-- The holder's kubeconfig was loaded meanwhile, if it was a path.
local function set_finder(run)
  local verify = run.opts.verify
  if not verify then return true end
  local message, err
  run.kubeconfig_for, message, err = probe.finder(verify == true and { run.opts.kubeconfig }
    or verify)
  if not run.kubeconfig_for then return nil, message, err end
  return true
end

local function count_failed(run)
  local failed = 0
  for _, item in ipairs(run.items) do
    if item.state and item.state ~= "ok" then failed = failed + 1 end
  end
  return failed
end

local function reporter(run)
  local display = run.opts.on_progress
  if not display then return nil end
  return function(done, total)
    if display(done, total, count_failed(run)) ~= false then return true end
    run.stopped = "on_progress cancelled it"
    return false
  end
end

-- A bar is left whole, so that the report begins on a line of its own.
local function finish_progress(run)
  local display = run.opts.on_progress
  if type(display) == "table" and display.finish then display:finish() end
end

-- Left over: not begun, or a function of the caller raised.
local function take_result(item, result)
  if item.state or result.ok then return end
  local state = item.sent and "uncertain" or result.err.code == "CANCELLED" and "skipped"
    or "failed"
  items.finish(item, state, result.message, result.err)
end

local Run = {}
Run.__index = Run

-- What is not done yet.
function Run:left()
  local list = {}
  for _, item in ipairs(self.items) do
    if not item.state then list[#list + 1] = item end
  end
  return list
end

local function execute(run)
  local left = run:left()
  for _, item in ipairs(left) do item.paced = run.pace:limited(item.client) end
  local results = map(left, function(item)
    items.process(run, item)
    return true
  end, { concurrency = run.opts.concurrency, on_progress = reporter(run) })
  for i, result in ipairs(results) do take_result(left[i], result) end
  finish_progress(run)
end

-- ---- from beginning to end -------------------------------------------------------

local function plan_anew(run, report)
  local message, err
  if not run.list then
    run.list, message, err = principals.find(run.clients, run.opts, report)
    if not run.list then return nil, message, err end
  end
  return plan.new(run)
end

local function plan_again(run, report, lines)
  if run.opts.run and run.opts.run ~= lines.name then
    report:note("run %s had not ended and was resumed; %s is not begun", lines.name, run.opts.run)
  end
  run.name, report.resumed = lines.name, true
  return plan.again(run, lines)
end

local function prepare(run, report, lines)
  local ok, message, err
  if lines then
    ok, message, err = plan_again(run, report, lines)
  else
    ok, message, err = plan_anew(run, report)
  end
  if ok then ok, message, err = principals.check_self(run.clients, run.list, run.opts, report) end
  if ok then ok, message, err = set_finder(run) end
  if not ok then return nil, message, err end
  principals.look_up(run.clients, run.list, report)
  run.pace = pace.new(run.clients, run.opts.rate_limit)
  return true
end

local function carry_out(run, report, hash)
  local choice, lines, err = run.journal:choose(hash, run.opts.run)
  if not choice then return nil, lines, err end
  if choice == "finished" then return revoke_report.of_finished(run, report, lines) end
  local ok, message
  ok, message, err = prepare(run, report, lines)
  if not ok then return nil, message, err end
  if run.opts.dry_run then return revoke_report.of_dry_run(run, report) end
  if choice == "resume" then
    ok, message, err = run.journal:write("resumed", {})
  else
    ok, message, err = plan.write(run, hash)
  end
  if not ok then return nil, message, err end
  revoke_report.announce(run)
  run.began = run.clients[1]:now()
  execute(run)
  return revoke_report.of_run(run, report)
end

local function open_journal(run)
  local open = run.opts.dry_run and journals.look or journals.open
  local message, err
  run.journal, message, err = open(run.opts.journal, run.clock)
  if not run.journal then return nil, message, err end
  return true
end

local function begin(run, report)
  local ok, hash, message, err
  ok, message, err = plan.read_principal(run, report)
  if not ok then return nil, message, err end
  hash, message, err = plan.hash(run)
  if not hash then return nil, message, err end
  ok, message, err = open_journal(run)
  if not ok then return nil, message, err end
  return hash
end

--- Revoke what a user or an agency holds, on many clusters at once.
--
-- **Revoking is not removing.** Whoever still has rights in IAM can obtain a new
-- certificate at once: the report says of each principal "can obtain again: still
-- enabled in IAM", "no" or "unknown", the last when IAM may not be asked.
-- Remove the rights first, then revoke. A revocation cuts every certificate that
-- the principal holds in the cluster, newer ones too; what CTS shows to have been
-- obtained since an earlier revocation is named in `report.notes`.
--
-- **What is not done.** Clusters that are not Available, or whose version is too
-- old, are in `skipped` with the reason: there the certificates stay valid. Where
-- only the line of a version is known ("v1.27"), the API is asked. The caller's
-- own principal is refused without `allow_self`.
--
-- **verify** asks each cluster with a kubeconfig of the principal, before and
-- after. It is revoked, and `ok`, when it worked before and is now refused (401
-- or a TLS alert), for which up to 30 seconds are given. When it still works (200
-- or 403) it is `failed` with the code NOT_REVOKED. Anything else, or no
-- kubeconfig for that cluster, is `uncertain` with the code UNVERIFIED.
--
-- **Interrupted.** With a journal, the same call goes on with a run that did not
-- end: what is done is not sent again, so that nothing that was obtained since is
-- cut; what is not known, or failed, is; and `may_have_cut_newer` counts from the
-- first time. Whom `deleted_since` found stays the list of that run. As for
-- `cce.workflow.rotate`, a run that finished is not repeated, and `run=` names the
-- next one. A revocation does not wait for a journal that cannot be written any
-- more: the report says so.
--
-- Items of the report have, beside the fields of `cce.report`, `principal_id`,
-- `principal_kind`, `can_obtain_again`, `verified` ("revoked", "not revoked",
-- "unverified", or nil when it was not asked for), `may_have_cut_newer` and
-- `cut_again`; the report has `principals` and, with `deleted_since`, `window`.
-- @tparam cce.client|{cce.client,...} clients one, or one for each project
-- @tparam table opts exactly one of user_id, agency_id, kubeconfig, certificate
--   and deleted_since
-- @tparam table|function opts.clusters as for `cce.workflow.rotate`; all are
--   `{name="*"}`
-- @tparam[opt] string opts.user_id
-- @tparam[opt] string opts.agency_id
-- @tparam[opt] cce.kubeconfig|string opts.kubeconfig whose holder is meant; or
--   its path
-- @tparam[opt] string opts.certificate PEM, or its path; whose holder is meant
-- @tparam[opt] number opts.deleted_since unix time: everyone whom CTS shows to
--   have been deleted since then, seven days ago at most
-- @tparam[opt] {table,...} opts.principals with `deleted_since`: the `principals` of the
--   report of a dry run; who is found beside them is left out, and a note tells of
--   him, so that what is done is what was looked at
-- @tparam[opt=false] boolean opts.partial `deleted_since` may be earlier; then
--   only what CTS still has is searched, and the report says so
-- @tparam[opt] string opts.tracker_region where IAM's traces are, and
-- @tparam[opt] string opts.tracker_project_id the project there: see
--   `client:deleted_principals`
-- @tparam[opt] string opts.principal "user" or "agency": what the holder of a
--   certificate is; by default what IAM says, else a user
-- @tparam[opt=false] boolean opts.allow_self revoke the caller's own
-- @tparam[opt=false] boolean|table|function opts.verify true: with `kubeconfig`,
--   on the clusters that it has; or a list of kubeconfigs (or paths), a table of
--   them by cluster id or name, or a function of a cluster that returns one
-- @tparam[opt] number opts.first_intent unix time: when this was first tried. A
--   request more than 10 minutes after it is marked `may_have_cut_newer`
-- @tparam[opt] string opts.journal path of a file
-- @tparam[opt] string opts.run the name of the run
-- @tparam[opt=10] int opts.concurrency clusters at a time
-- @tparam[opt="10/min"] string|boolean opts.rate_limit of the requests that
--   revoke, of each account; false: none
-- @tparam[opt=false] boolean opts.dry_run revoke nothing, and return the plan
-- @tparam[opt] function opts.on_progress called with done, total and failed, as
--   `cce.progress` is; returning false stops
-- @treturn[1] cce.report
-- @treturn[2] nil when it could not begin
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- print(assert(cce.workflow.revoke(client, { clusters = { name = "*" }, user_id = leaver })))
local function revoke(clients, opts)
  clients = targets.clients(clients, "revoke", 2)
  local checked, message, err = revoke_options.read(opts, 2)
  if not checked then return nil, message, err end
  local clock = clients[1].clock
  local run = setmetatable({ clients = clients, opts = checked, items = {}, clock = clock,
    name = checked.run or times.format(clock()) }, Run)
  local report = reports.new("revoke", clock())
  local hash
  hash, message, err = begin(run, report)
  if not hash then return nil, message, err end
  local ok, result, reason, problem = protect.pcall(carry_out, run, report, hash)
  run.journal:close()
  if not ok then error(result, 0) end
  if result then return result end
  return nil, reason, problem
end

return revoke
