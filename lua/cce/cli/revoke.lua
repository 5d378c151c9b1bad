--- `cce revoke`: cut a principal's certificates.
-- @module cce.cli.revoke
-- @local
local chosen = require "cce.cli.chosen"
local convert = require "cce.cli.convert"

local M = { name = "revoke", summary = "Revoke the certificates of a user or an agency." }

function M.describe(parser)
  chosen.describe(parser, { all = true })
  parser:mutex(
    parser:option("--user", "Id of an IAM user."):argname("ID"),
    parser:option("--agency", "Id of an agency."):argname("ID"),
    parser:option("--kubeconfig", "A kubeconfig whose holder is meant."):argname("FILE"),
    parser:option("--certificate", "A certificate (PEM) whose holder is meant."):argname("FILE"),
    parser:option("--deleted-since", "Everyone who was deleted since then: such as 2d ago, or"
      .. " 2026-01-31T18:00Z; 7 days at most."):argname("TIME"):convert(convert.past))
  parser:option("--principal", "What the holder of a certificate is: user or agency.")
    :choices({ "user", "agency" }):argname("KIND")
  parser:flag("--partial", "With --deleted-since: search what CTS still has, though it is less.")
  parser:flag("--allow-self", "Allow to revoke your own.")
  parser:flag("--verify", "Ask the clusters with --kubeconfig, before and after.")
  parser:option("--verify-with", "A kubeconfig of the principal to ask a cluster with.")
    :argname("FILE"):count("*")
  parser:option("--concurrency", "So many clusters at a time."):argname("N")
    :convert(convert.integer)
  parser:option("--rate", "Requests at most, such as 10/min, or none."):argname("RATE")
  parser:flag("--yes", "Do not ask.")
  parser:flag("--dry-run", "Revoke nothing; say what would be cut off.")
  parser:epilog("Cuts every certificate that the principal holds in these clusters, and cannot be"
    .. " undone. Revoking is not removing: who still has rights in IAM can obtain a new one.")
end

local function verification(args)
  if #args.verify_with > 0 then return args.verify_with end
  return args.verify or false
end

local function options_of(args, ids)
  return {
    clusters = ids, user_id = args.user, agency_id = args.agency, kubeconfig = args.kubeconfig,
    certificate = args.certificate, deleted_since = args.deleted_since,
    principal = args.principal, partial = args.partial, allow_self = args.allow_self,
    verify = verification(args), concurrency = args.concurrency,
    rate_limit = convert.rate(args.rate),
  }
end

local function call(client, args, ids, more)
  local opts = options_of(args, ids)
  for name, value in pairs(more) do opts[name] = value end
  return require("cce").workflow.revoke(client, opts)
end

-- What would be cut off; the notes of the report say who can obtain again.
local function question(plan)
  return ("%s\nThis cannot be undone."):format(
    tostring(plan):gsub("^[^\n]*", "This will revoke:", 1))
end

-- Nothing to ask when nothing would be done; the report says why.
local function confirmed(ui, client, args, ids)
  return ui:confirm { word = "REVOKE", yes = args.yes, text = function()
    local plan, message, err = call(client, args, ids, { dry_run = true })
    if not plan then return nil, ui:fail(message, err) end
    if #plan.plan == 0 then return nil, ui:report(plan) end
    return question(plan)
  end }
end

local function revoke(ui, client, args, ids)
  args.began = true
  local report, message, err = call(client, args, ids,
    { on_progress = ui:progress("revoke", #ids) })
  if not report then return ui:fail(message, err) end
  return ui:report(report)
end

local function preview(ui, client, args, ids)
  local plan, message, err = call(client, args, ids, { dry_run = true })
  if not plan then return ui:fail(message, err) end
  return ui:report(plan)
end

function M.run(args, ui)
  if not (args.user or args.agency or args.kubeconfig or args.certificate
    or args.deleted_since) then
    return ui:usage("nobody is named: give --user, --agency, --kubeconfig, --certificate or"
      .. " --deleted-since")
  end
  local client, message, err = ui:client()
  if not client then return ui:fail(message, err) end
  local ids
  ids, message, err = chosen.ids(client, args)
  if not ids then return ui:fail(message, err) end
  if args.dry_run then return preview(ui, client, args, ids) end
  local sure, code = confirmed(ui, client, args, ids)
  if not sure then return code end
  return revoke(ui, client, args, ids)
end

--- After Ctrl-C: what is known.
function M.interrupted(args, ui)
  if not args.began then return ui:warn("nothing was sent") end
  ui:warn("some of it may be revoked already: the same command again does all of it, and cuts"
    .. " what the principal obtained meanwhile")
end

return M
