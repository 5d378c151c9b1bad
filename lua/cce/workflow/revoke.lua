--- Revoke the certificates of a user or an agency on many clusters:
-- `cce.workflow.revoke`.
-- @module cce.workflow.revoke
local companion = require "cce.companion"
local errors = require "cce.error"
local hints = require "cce.hint"
local kubeconfigs = require "cce.kubeconfig"
local map = require "cce.map"
local options = require "cce.options"
local principals = require "cce.workflow.revoke.principals"
local probe = require "cce.workflow.revoke.probe"
local rate = require "cce.rate"
local reports = require "cce.report"
local show = require "cce.show"
local targets = require "cce.workflow.targets"

local DEFAULT_RATE = "10/min"

-- A request that is sent again so long after it was first meant may cut what
-- was obtained rightfully in between; seconds.
local LONG_AGO = 600

-- ---- options -------------------------------------------------------------------

local function is_rate(value)
  return value == false or (type(value) == "string" and rate.parse(value) ~= nil),
    'a count and a window such as "10/min", or false'
end

local schema = {
  clusters = { type = { "table", "callable" }, required = true },
  user_id = companion.id_rule,
  agency_id = companion.id_rule,
  kubeconfig = { type = { "table", "string" } },
  certificate = { type = "string", non_empty = true },
  deleted_since = companion.time_rule,
  principal = { type = "string", one_of = { "user", "agency" } },
  partial = { type = "boolean" },
  tracker_region = { type = "string", check = companion.id_rule.check },
  tracker_project_id = companion.id_rule,
  allow_self = { type = "boolean", default = false },
  verify = { type = { "boolean", "table", "callable" }, default = false },
  first_intent = companion.time_rule,
  concurrency = { type = "integer", min = 1, max = 1000, default = 10 },
  rate_limit = { type = { "string", "boolean" }, check = is_rate, default = DEFAULT_RATE },
  dry_run = { type = "boolean", default = false },
  on_progress = { type = "callable" },
}

local function refuse(message, hint)
  return errors.fail("INVALID_ARGUMENT", "revoke: " .. message, { operation = "revoke",
    retryable = false, maybe_applied = false, hint = hint })
end

local function check_kubeconfig(opts, level)
  local given = opts.kubeconfig
  if type(given) == "table" and not kubeconfigs.is(given) then
    error("bad option 'kubeconfig' (cce.kubeconfig or a path expected, got table)", level + 1)
  end
end

local function read_options(given, level)
  local opts, message, err = options.check(given, schema, level + 1)
  if not opts then return nil, message, err end
  check_kubeconfig(opts, level + 1)
  local source
  source, message, err = principals.source(opts)
  if not source then return nil, message, err end
  if opts.verify == true and source ~= "kubeconfig" then
    return refuse("verify=true needs kubeconfig=", "Or give verify= the kubeconfigs of the"
      .. " clusters: a list, or a table by cluster id")
  end
  opts.selection, message, err = targets.selection(opts.clusters, level + 1)
  if not opts.selection then return nil, message, err end
  return opts
end

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

-- ---- whether it may be ---------------------------------------------------------

local function cannot(code, hint, format, ...)
  return errors.new(code, format:format(...), { retryable = false, maybe_applied = false,
    operation = "revoke_cert", hint = hint })
end

local function too_old(item, needed)
  return cannot("UNSUPPORTED", "Upgrade the cluster; until then only a rotation of all its"
    .. " certificates cuts this one", "version %s is too old: revoking needs %s or later",
    item.version, needed or "a later line")
end

-- A version of which it cannot be told is for the API to judge.
local function obstacle(item)
  if item.status and item.status ~= "Available" then
    return cannot("CONFLICT", "Run it again once the cluster is Available: until then the"
      .. " certificates stay valid", "the cluster is %s, not Available", item.status)
  end
  local can, needed = hints.can_revoke(item.version)
  if can == "no" then return too_old(item, needed) end
end

-- ---- one principal on one cluster ------------------------------------------------

local function finish(item, state, message, err)
  item.state, item.message, item.err = state, message, err
end

local function who(item)
  return principals.text(item.principal)
end

-- What no list tells. Who may not look may still revoke.
local function look(item)
  if item.status then return true end
  local cluster, message, err = item.client:show_cluster(item.id)
  if cluster then
    item.name, item.version, item.status = cluster.name, cluster.version, cluster.status
    item.cluster = cluster
  elseif err.code ~= "PERMISSION_DENIED" then
    finish(item, "failed", message, err)
    return false
  end
  return true
end

local function may_begin(item)
  if not look(item) then return false end
  local problem = obstacle(item)
  if problem then finish(item, "skipped", problem.message, problem) end
  return not problem
end

local function own_kubeconfig(run, item)
  local kubeconfig, why = run.kubeconfig_for(item.cluster)
  if not kubeconfig then return nil, why or "there is no kubeconfig for this cluster" end
  local facts, message = kubeconfig:certificate()
  if not facts then return nil, message end
  if facts.user_id ~= item.principal.id then
    return nil, "the kubeconfig is that of " .. tostring(facts.user_id)
  end
  return kubeconfig, facts.not_after
end

local function look_before(run, item)
  if not run.kubeconfig_for then return end
  local kubeconfig, why = own_kubeconfig(run, item)
  if not kubeconfig then
    item.unverified = why
    return
  end
  local seen = probe.look(item.client, kubeconfig)
  if seen.state == "works" then
    item.probed, item.not_after = kubeconfig, why
  else
    item.unverified = "the kubeconfig did not work before, either: " .. seen.text
  end
end

local function seen_after(run, item)
  if not item.probed then return { state = "unclear", text = item.unverified } end
  local seen = probe.wait_until_refused(item.client, item.probed)
  if seen.state == "refused" and item.not_after <= run.clock() then
    return { state = "unclear", text = "the certificate has expired meanwhile" }
  end
  return seen
end

local function not_revoked(item, seen)
  local message = ("NOT revoked: the certificate of %s still works (%s)"):format(who(item),
    seen.text)
  finish(item, "failed", message, errors.new("NOT_REVOKED", message, {
    operation = "revoke_cert", retryable = true, maybe_applied = true,
    hint = "Revoke again; if it goes on, rotate the cluster's certificates",
  }))
end

local function unverified(item, seen)
  local message = ("%s, unverified: %s"):format(
    item.accepted and "the revocation was accepted" or item.err.message, seen.text)
  finish(item, "uncertain", message, errors.new("UNVERIFIED", message, {
    operation = "revoke_cert", retryable = true, maybe_applied = true,
    request_id = item.err and item.err.request_id,
    hint = "Give verify= a kubeconfig of this principal that works in the cluster",
  }))
end

-- What the cluster shows beats what the API said of the request.
local function verify(run, item)
  local seen = seen_after(run, item)
  if seen.state == "refused" then
    item.verified = "revoked"
    finish(item, "ok", ("%s: revoked, the certificate is refused (%s)"):format(who(item),
      seen.text))
  elseif seen.state == "works" then
    item.verified = "not revoked"
    not_revoked(item, seen)
  else
    item.verified = "unverified"
    unverified(item, seen)
  end
end

-- What the list did not tell, since it names only the line of a version.
local function says_too_old(err)
  return err.code == "BAD_REQUEST" and err.message:find("not support this version", 1, true)
end

local function settle(run, item, ok, message, err)
  item.accepted, item.err = ok, err
  if not ok and says_too_old(err) then
    local problem = cannot("UNSUPPORTED", err.hint, "%s", message)
    problem.request_id = err.request_id
    finish(item, "skipped", message, problem)
  elseif not ok and not err.maybe_applied then
    finish(item, "failed", ("%s: %s"):format(who(item), message), err)
  elseif run.kubeconfig_for then
    verify(run, item)
  elseif ok then
    finish(item, "ok", who(item) .. ": revoked")
  else
    finish(item, "uncertain", ("%s: %s"):format(who(item), message), err)
  end
end

local function wait_for_turn(run, item)
  local seconds = run.limiter and run.limiter:reserve(run.clock()) or 0
  if seconds > 0 then item.client.sleep(seconds) end
end

-- Attempts that follow one another are few: after so long, this was sent again.
local function note_age(run, item)
  if run.clock() - item.first_intent > LONG_AGO then item.may_have_cut_newer = true end
end

local function send(run, item)
  item.began = run.clock()
  item.first_intent = run.opts.first_intent or item.began
  item.sent = true
  local ok, message, err = item.client:revoke_cert(item.id, {
    [item.principal.kind .. "_id"] = item.principal.id,
  })
  note_age(run, item)
  settle(run, item, ok, message, err)
  item.duration = run.clock() - item.began
end

local function process(run, item)
  if not may_begin(item) then return true end
  look_before(run, item)
  wait_for_turn(run, item)
  send(run, item)
  return true
end

-- ---- the run -------------------------------------------------------------------

local function new_item(target, principal)
  return { client = target.client, project_id = target.project_id, id = target.id,
    name = target.name, version = target.version, status = target.status,
    cluster = target.cluster, principal = principal }
end

local function plan(run, list)
  if #list == 0 then return true end
  local found, message, err = targets.find(run.clients, run.opts.selection)
  if not found then return nil, message, err end
  for _, target in ipairs(found) do
    for _, principal in ipairs(list) do
      run.items[#run.items + 1] = new_item(target, principal)
    end
  end
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
  finish(item, state, result.message, result.err)
end

local function execute(run)
  run.limiter = run.opts.rate_limit and rate.new(run.opts.rate_limit) or nil
  local results = map(run.items, function(item) return process(run, item) end,
    { concurrency = run.opts.concurrency, on_progress = reporter(run) })
  for i, result in ipairs(results) do take_result(run.items[i], result) end
  finish_progress(run)
end

-- ---- the report ----------------------------------------------------------------

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
    .. " it, too", item.name or item.id, who(item), show.time(obtained), show.time(revoked))
end

local function note_newer(report, item)
  if not item.may_have_cut_newer then return end
  report:note("%s: sent again more than 10 min after it was first meant, so it may have cut newer"
    .. " certificates of %s", item.name or item.id, who(item))
end

-- CTS is asked last: a revocation does not wait for it.
local function fill(run, report)
  run.history = principals.history(#run.items > 0 and run.clients or {}, run.began, report)
  for _, item in ipairs(run.items) do
    note_cut_again(run, report, item)
    note_newer(report, item)
    report:add(item.state, report_item(item))
  end
  report.stopped = run.stopped
  return report:finish(run.clock())
end

local function seconds_needed(run, count)
  if not run.opts.rate_limit then return 0 end
  local per_window, window = rate.parse(run.opts.rate_limit)
  return math.floor((math.max(1, count) - 1) / per_window) * window
end

local function announce(run)
  run.clients[1]:emit { type = "revocation_planned", requests = #run.items,
    seconds = seconds_needed(run, #run.items) }
end

local function plan_line(item)
  return ("revoke %s in %s%s (%s, %s), project %s"):format(who(item),
    item.name and item.name .. " " or "", item.id, item.version or "version not known",
    item.status or "status not known", item.project_id or "not known")
end

local function plan_verification(run, item, line)
  if not run.kubeconfig_for then return line end
  local kubeconfig, why = own_kubeconfig(run, item)
  return line .. (kubeconfig and ", then verify" or ", without verification: " .. why)
end

local function dry_report(run, report)
  report.dry_run, report.plan = true, {}
  for _, item in ipairs(run.items) do
    if may_begin(item) then
      report.plan[#report.plan + 1] = plan_verification(run, item, plan_line(item))
    else
      report:add(item.state, report_item(item))
    end
  end
  local seconds = seconds_needed(run, #report.plan)
  if seconds > 0 then
    report:note("at %s the last request leaves after about %s", run.opts.rate_limit,
      reports.duration(seconds))
  end
  return report:finish(run.clock())
end

-- ---- from beginning to end -------------------------------------------------------

local function prepare(run, report)
  local list, message, err = principals.find(run.clients, run.opts, report)
  if not list then return nil, message, err end
  local ok
  ok, message, err = principals.check_self(run.clients, list, run.opts, report)
  if not ok then return nil, message, err end
  ok, message, err = set_finder(run)
  if ok then ok, message, err = plan(run, list) end
  if not ok then return nil, message, err end
  principals.look_up(run.clients, list, report)
  return true
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
-- @tparam[opt=10] int opts.concurrency clusters at a time
-- @tparam[opt="10/min"] string|boolean opts.rate_limit of the requests that
--   revoke, of this run; false: none
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
  local checked, message, err = read_options(opts, 2)
  if not checked then return nil, message, err end
  local run = { clients = clients, opts = checked, items = {}, clock = clients[1].clock }
  local report = reports.new("revoke", run.clock())
  local ok
  ok, message, err = prepare(run, report)
  if not ok then return nil, message, err end
  if checked.dry_run then return dry_report(run, report) end
  announce(run)
  run.began = clients[1]:now()
  execute(run)
  return fill(run, report)
end

return revoke
