--- `cce revoke`: cut a principal's certificates.
-- @module cce.cli.command.certificate.revoke
-- @local
local chosen = require "cce.cli.input.chosen"
local convert = require "cce.cli.input.convert"
local exit = require "cce.cli.exit"
local principals = require "cce.cli.input.principal"
local runs = require "cce.cli.runs"
local stands_for = require("cce.cli.output.words").stands_for

local M = { name = "revoke", summary = "Revoke the certificates of a user or an agency.",
  calls = { restore = "revoke" } }

--- The options of removal and of the run, which `cce leaver` has, too.
-- @tparam table parser of argparse
function M.describe_run(parser)
  parser:option("--verify-with", "A kubeconfig of the principal to ask a cluster with.")
    :argname("FILE"):count("*")
  parser:option("--admin", "An administrator's kubeconfig, to take rights in clusters away by;"
    .. " without one for a cluster, a certificate of yours for 15 minutes is obtained.")
    :argname("FILE"):count("*")
  parser:option("--journal", "Write down here what was done: the same command goes on with what"
    .. " was interrupted or failed, and cuts nothing twice."):argname("FILE")
  parser:flag("--retry-failed", "Send again what failed in the run.")
  parser:flag("--allow-self", "Allow to revoke your own.")
  parser:flag("--unknown-ok", "Take an id that nobody is known by as it is.")
  parser:option("--concurrency", "So many clusters at a time."):argname("N")
    :convert(convert.integer)
  stands_for(parser:option("--rate", "Requests at most, such as 10/min, or none.")
    :argname("RATE"), "rate_limit", { ["false"] = "none" })
  require("cce.cli.output.report_file").describe(parser)
  parser:flag("--yes", "Do not ask.")
end

function M.describe(parser)
  chosen.describe(parser, { all = true })
  local user, agency, users = principals.describe(parser)
  parser:mutex(
    user, agency, users,
    parser:option("--kubeconfig", "A kubeconfig whose holder is meant."):argname("FILE"),
    parser:option("--certificate", "A certificate (PEM) whose holder is meant."):argname("FILE"),
    parser:option("--deleted-since", "Everyone who was deleted since then: such as 2d ago, or"
      .. " 2026-01-31T18:00Z; 7 days at most."):argname("TIME"):convert(convert.past),
    parser:option("--undo", "Revoke nothing: put back what --remove took away, by the file that it"
      .. " wrote."):argname("FILE"))
  parser:option("--principal", "What the holder of a certificate is: user or agency.")
    :choices({ "user", "agency" }):argname("KIND")
  parser:flag("--partial", "With --deleted-since: search what CTS still has, though it is less.")
  parser:flag("--verify", "Ask the clusters with --kubeconfig, before and after.")
  parser:flag("--remove", "Take away rights in the clusters, too: bindings and AccessPolicies.")
  parser:option("--run", "With --journal, the name of the run: one that has finished is not"
    .. " repeated."):argname("NAME")
  M.describe_run(parser)
  parser:flag("--dry-run", "Revoke nothing; say what would be cut off.")
  parser:epilog("Cuts every certificate that the principal holds in these clusters, and cannot be"
    .. " undone. Revoking is not removing: who still has rights in IAM can obtain a new one.")
end

-- Who was granted access for a while may be in no list of IAM's.
local function knows(ui, args)
  return function(kind, id)
    local found, message = require("cce.cli.command.upkeep.schedule").knows(args, kind, id)
    if found == nil then
      ui:say(("the schedule was not asked for grants to %s %s: %s"):format(kind, id, message))
    end
    return found
  end
end

local function call(client, args, ids, more)
  local opts = {
    clusters = ids, kubeconfig = args.kubeconfig,
    certificate = args.certificate, deleted_since = args.deleted_since,
    principal = args.principal, partial = args.partial, allow_self = args.allow_self,
    verify = #args.verify_with > 0 and args.verify_with or args.verify or false,
    concurrency = args.concurrency, unknown_ok = args.unknown_ok,
    retry_failed = args.retry_failed, rate_limit = convert.rate(args.rate),
    journal = args.journal, run = args.run_name, principals = args.principals,
    remove = args.remove, admin = #args.admin > 0 and args.admin or nil,
  }
  for name, value in pairs(more) do opts[name] = value end
  local report, message, err = require("cce").workflow.revoke(client, opts)
  if report and args.complete then args.complete(report) end
  return report, message, err
end

-- Nothing to ask when nothing would be done; the report says why. What was agreed to
-- is what is done: more users may be deleted while the question stands. A person who
-- would cut their own certificates types another word.
local function confirmed(ui, client, args, ids)
  local is_self = false
  local sure, code = ui:confirm { word = "REVOKE", yes = args.yes, text = function()
    local plan, message, err = call(client, args, ids, { dry_run = true, allow_self = true })
    if not plan then return nil, ui:fail(message, err) end
    if #plan.plan == 0 then return nil, ui:report(plan) end
    if args.deleted_since then args.principals = plan.principals end
    is_self = plan.is_self and not args.allow_self or false
    -- The notes of the plan say who can obtain again.
    local text = plan:text(ui:width()):gsub("^[^\n]*", "This will revoke:", 1)
    text = text .. (args.remove and "\nCertificates cannot be brought back; rights can, by cce"
      .. " revoke --undo." or "\nThis cannot be undone.")
    return text, nil, is_self and "REVOKE MYSELF" or nil
  end }
  if sure and is_self then args.allow_self = true end
  return sure, code
end

-- What a person types anew is meant anew, unless something of it is left to do.
local function name_run(args)
  args.run_name = args.run
  if args.run or not args.journal then return true end
  local run, message, err = runs.find(args.journal)
  if run == nil then return nil, message, err end
  if run and not runs.is_open(run, args) then args.run_name = runs.new_name() end
  return true
end

-- The same words once more, when rights are put back.
local function restore(args, ui)
  local client, message, err = ui:client()
  if not client then return ui:fail(message, err) end
  local function call_restore(more)
    more.undo, more.admin = args.undo, #args.admin > 0 and args.admin or nil
    more.concurrency, more.rate_limit = args.concurrency, convert.rate(args.rate)
    return require("cce").workflow.restore(client, more)
  end
  local plan
  plan, message, err = call_restore { dry_run = true }
  if not plan then return ui:fail(message, err) end
  if args.dry_run then return ui:report(plan) end
  local sure, code = ui:confirm { word = "RESTORE", yes = args.yes,
    text = plan:text(ui:width()):gsub("^[^\n]*", "This will put back:", 1) }
  if not sure then return code end
  args.began = true
  local report
  report, message, err = call_restore { on_progress = ui:progress("restore", #plan.plan) }
  return report and ui:report(report) or ui:fail(message, err)
end

--- Ask, and do it.
-- @tparam table args with `principals`, if they are named; `complete`, optional, is called with
--   each report
-- @tparam cce.cli.ui ui
-- @tparam cce.client client
-- @tparam {string,...} ids of clusters
-- @treturn int exit code
function M.carry_out(args, ui, client, ids)
  local ok, message, err = name_run(args)
  if not ok then return ui:fail(message, err) end
  if #ids == 0 then
    ui:say "there are no clusters: nothing was done"
    return exit.FINISHED_BEFORE
  end
  local more = { dry_run = true }
  if not args.dry_run then
    local sure, code = confirmed(ui, client, args, ids)
    if not sure then return code end
    args.began = true -- from here on Ctrl-C finds something sent
    more = { on_progress = ui:progress("revoke", #ids), knows = knows(ui, args) }
  end
  local report
  report, message, err = call(client, args, ids, more)
  return report and ui:report(report) or ui:fail(message, err)
end

function M.run(args, ui)
  if args.undo then
    -- All that the file names is put back, whatever else was named.
    local narrows = #args.cluster > 0 or args.cluster_file or args.all or chosen.filter(args)
    if narrows or args.remove or args.journal or args.run or #args.verify_with > 0
      or args.verify then
      return ui:usage("--undo puts back all that its file names: neither clusters nor --remove,"
        .. " --verify or --journal go with it")
    end
    return restore(args, ui)
  end
  if #args.admin > 0 and not args.remove then return ui:usage "--admin needs --remove" end
  if not (args.user or args.agency or args.users or args.kubeconfig or args.certificate
    or args.deleted_since) then
    return ui:usage("nobody is named: give --user, --users, --agency, --kubeconfig, --certificate"
      .. " or --deleted-since")
  end
  if args.principal and not args.kubeconfig and not args.certificate then
    return ui:usage "--principal says what the holder of --kubeconfig or --certificate is"
  end
  if args.partial and not args.deleted_since then
    return ui:usage "--partial needs --deleted-since"
  end
  if args.run and not args.journal then return ui:usage "--run needs --journal" end
  if args.verify and not args.kubeconfig then
    return ui:usage "--verify needs --kubeconfig; --verify-with FILE asks with other kubeconfigs"
  end
  local client, message, err = ui:client()
  if not client then return ui:fail(message, err) end
  local ids, whom
  ids, message, err = chosen.ids(client, args, "revoke_cert")
  if not ids then return ui:fail(message, err) end
  whom, message, err = principals.list(ui, client, args)
  if not whom then return ui:fail(message, err) end
  args.principals = whom[1] and whom
  return M.carry_out(args, ui, client, ids)
end

--- After Ctrl-C: what is known.
function M.interrupted(args, ui)
  -- A plan of what is taken away is read with certificates that were obtained for it.
  if not args.began then return ui:warn_of_sent() end
  if args.undo then
    ui:warn(ui.outstanding:text())
    return ui:warn("whoever was put back stays there; the same command again puts back the rest")
  end
  local run = args.journal and runs.find(args.journal, args.run_name)
  if runs.is_open(run) then
    local counts = runs.counts(run)
    return ui:warn(("run %s: %d revoked, %d failed, %d not known, %d not begun; to go on: the same"
      .. " command"):format(run.name, counts.ok, counts.failed, counts.uncertain, counts.pending))
  end
  ui:warn(ui.outstanding:text())
  ui:warn("the same command again does all of it, and cuts what the principal obtained meanwhile;"
    .. " with --journal FILE it would go on")
end

return M
