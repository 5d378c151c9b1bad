--- `cce ensure`: kubeconfigs that are kept good.
-- @module cce.cli.command.certificate.ensure
-- @local
local chosen = require "cce.cli.input.chosen"
local convert = require "cce.cli.input.convert"
local errors = require "cce.error"
local exit = require "cce.cli.exit"
local lifetime = require "cce.cli.input.lifetime"
local render = require "cce.cli.output.render"
local show = require "cce.text.show"

local M = { name = "ensure", summary = "Keep kubeconfigs good: obtain only what nears its end.",
  calls = { ["kubeconfig:save"] = "--merge-into" } }

function M.describe(parser)
  chosen.describe(parser, { all = true, autopilot = true })
  lifetime.describe(parser)
  parser:mutex(
    parser:option("--out", "The file of one cluster."):argname("FILE"),
    parser:option("--dir", "A directory, for a file of each cluster."):argname("DIR"),
    parser:option("--merge-into", "One file for all, such as ~/.kube/config."):argname("FILE"))
  parser:option("--min-remaining", "Renew what ends within this time; by default 7d, or a third"
    .. " of the lifetime."):argname("TIME"):convert(convert.duration)
  parser:flag("--renew", "Obtain all anew, such as after a rotation.")
  parser:option("--format", "Of a new file: json or yaml."):choices({ "json", "yaml" })
    :argname("FORMAT")
  parser:option("--concurrency", "So many clusters at a time."):argname("N")
    :convert(convert.integer)
  require("cce.cli.output.report_file").describe(parser)
  parser:flag("--no-check", "Go by the dates alone. Without it each cluster is asked once whether"
    .. " it takes the certificate, and what it refuses is renewed.")
  parser:flag("--dry-run", "Obtain and write nothing; say what would be done.")
  parser:epilog("The same line every night renews what is due. Contexts are named after the"
    .. " clusters.")
end

-- ---- one cluster in a file of its own ------------------------------------------------

local function dry_run(ui, client, cluster, args, opts)
  local due, message, err = require("cce.ensure").plan(client, cluster.id, opts)
  if due == nil then return ui:fail(message, err) end
  local who = ("%s (%s)"):format(cluster.name or cluster.id, cluster.id)
  local text = due and ("dry run: would obtain a certificate for %s into %s: %s"):format(who,
    args.out, due) or ("dry run: would keep that of %s in %s"):format(who, args.out)
  return ui:show({ dry_run = true, cluster_id = cluster.id, name = cluster.name, path = args.out,
    renewed = due and true or false, reason = due or nil }, text, cluster.id)
end

local function one(ui, client, cluster, args, opts)
  opts.min_remaining, opts.renew, opts.check = args.min_remaining, args.renew, not args.no_check
  opts.path, opts.name = args.out, cluster.name
  if args.dry_run then return dry_run(ui, client, cluster, args, opts) end
  local kubeconfig, renewed, answer = require("cce").ensure_cert(client, cluster.id, opts)
  if not kubeconfig then return ui:fail(renewed, answer) end
  local facts = kubeconfig:certificate() or {}
  local value = { cluster_id = cluster.id, name = cluster.name, path = args.out,
    renewed = renewed, user_id = facts.user_id,
    expires_at = facts.not_after and show.time(facts.not_after),
    asked = answer and answer.state }
  local text = ("%s: %s, %s\n%s"):format(cluster.name or cluster.id,
    renewed and "obtained" or "still good", args.out,
    facts.not_after and "until " .. render.moment(facts.not_after)
      or "kubectl obtains its certificates by cce credential")
  if answer and answer.state == "not asked" then
    text = ("%s\nthe cluster was not asked: %s"):format(text, answer.text)
  end
  return ui:show(value, text, args.out)
end

-- ---- many --------------------------------------------------------------------------

local function many(ui, client, ids, args, opts)
  opts.clusters, opts.dir, opts.merge_into = ids, args.dir, args.merge_into
  opts.min_remaining, opts.renew, opts.format = args.min_remaining, args.renew, args.format
  opts.concurrency, opts.dry_run, opts.check = args.concurrency, args.dry_run, not args.no_check
  opts.on_progress = ui:progress("obtain", #ids)
  local report, message, err = require("cce").workflow.issue(client, opts)
  if not report then return ui:fail(message, err) end
  return ui:report(report)
end

-- ---- from beginning to end -----------------------------------------------------------

local function prepare(ui, args)
  if not (args.out or args.dir or args.merge_into) then
    return errors.fail("INVALID_ARGUMENT", "it is not said where to: give --out, --dir or"
      .. " --merge-into")
  end
  local opts, message, err = lifetime.of(args)
  if not opts then return nil, message, err end
  local client
  client, message, err = ui:client()
  if not client then return nil, message, err end
  local ids, list
  ids, list, err = chosen.ids(client, args, "obtain_cert", opts)
  if not ids then return nil, list, err end
  for _, cluster in ipairs(args.dry_run and list or {}) do
    local ok
    ok, message, err = lifetime.check(client, cluster, opts)
    if not ok then return nil, message, err end
  end
  return { client = client, ids = ids, list = list, opts = opts }
end

function M.run(args, ui)
  local job, message, err = prepare(ui, args)
  if not job then return ui:fail(message, err) end
  if #job.ids == 0 then
    ui:say "there are no clusters: nothing was done"
    return exit.FINISHED_BEFORE
  end
  if not args.out then return many(ui, job.client, job.ids, args, job.opts) end
  if #job.ids > 1 then
    return ui:usage(("--out is the file of one cluster, and %d are chosen: give --dir or"
      .. " --merge-into"):format(#job.ids))
  end
  return one(ui, job.client, job.list[1], args, job.opts)
end

--- After Ctrl-C: what was obtained is on disk.
function M.interrupted(_, ui)
  ui:warn(ui.outstanding:text())
  ui:warn "what was obtained is kept; the same command goes on where it was"
end

return M
