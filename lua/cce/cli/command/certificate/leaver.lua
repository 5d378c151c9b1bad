--- `cce leaver`: somebody leaves; certificates and rights, in every cluster.
-- @module cce.cli.command.certificate.leaver
-- @local
local autopilot = require "cce.api.autopilot"
local chosen = require "cce.cli.input.chosen"
local clouds = require "cce.api.cloud"
local core = require "cce.core"
local directories = require "cce.base.directories"
local principals = require "cce.cli.input.principal"
local report_file = require "cce.cli.output.report_file"
local revoke = require "cce.cli.command.certificate.revoke"
local targets = require "cce.workflow.targets"
local times = require "cce.base.times"

local M = { name = "leaver", summary = "Cut somebody off everywhere: certificates and rights." }

function M.describe(parser)
  parser:argument("who", "Name or id of a user or an agency, also of one who was deleted.")
    :args("*"):argname("NAME")
  parser:option("-f --file", "Names or ids, one a line; - is standard input."):argname("FILE")
    :target("who_file")
  revoke.describe_run(parser)
  parser:flag("--dry-run", "Change nothing; say what would be cut off and taken away.")
  parser:epilog("In all clusters of the project: revokes, takes rights away (cce revoke --remove),"
    .. " verifies with --verify-with, and writes a page of evidence. The same command goes on with"
    .. " what is open, by its journal; that and the page lie in ~/.local/state/cce unless --journal"
    .. " and --report say otherwise. It does not touch IAM: who is enabled there can obtain a"
    .. " certificate again, which then gives no rights, unless the report names some that are"
    .. " left. Certificates in clusters of CCE Autopilot stay valid, since its API cannot"
    .. " revoke: where there are such clusters they are named, and it ends with 1.")
end

-- Of each set of names there is one journal, since many leave at once; and of each time a page.
local function place(client, args)
  local project, message, err = targets.project_of(client)
  if not project then return nil, message, err end
  local made = args.dry_run
  if not made then made, message, err = directories.make(directories.state()) end
  if not made then return nil, message, err end
  local ids = {}
  for i, each in ipairs(args.principals) do ids[i] = each.kind .. " " .. each.id end
  table.sort(ids)
  local base = ("%s/leaver-%s"):format(directories.state(),
    core.sha256(project .. "\n" .. table.concat(ids, "\n")):sub(1, 16))
  args.journal = args.journal or base .. ".journal"
  if not args.report_file and not args.dry_run then
    args.report_file = ("%s-%s.html"):format(base, (times.format(core.sys.time()):gsub(":", "")))
    return report_file.check(args.report_file)
  end
  return true
end

-- Where "everywhere" does not reach, as what failed; and how a report is told so.
local function out_of_reach(client)
  local list, message, err = client:list_clusters { autopilot = true }
  local failures = {}
  for _, each in ipairs(list or {}) do
    if each.autopilot then
      failures[#failures + 1] = { cluster_id = each.id, name = each.name,
        err = autopilot.lack("revoke_cert", each.id) }
    end
  end
  return failures, function(report)
    for _, each in ipairs(failures) do report:add("failed", each) end
    if err and err.code ~= "UNSUPPORTED" and err.code ~= "API_NOT_FOUND" then
      report.incomplete = true
      report:note("whether there are clusters of CCE Autopilot, which are not touched, is not"
        .. " known: %s", message)
    end
  end
end

function M.run(args, ui)
  if not args.who[1] and not args.who_file then
    return ui:usage "nobody is named: give names or ids, or a file of them by --file"
  end
  local client, message, err = ui:client()
  if not client then return ui:fail(message, err) end
  local ids, ok
  ok, message, err = clouds.allows(client.config.cloud, "revoke_cert")
  if not ok then return ui:fail(message, err) end
  local listed = {}
  if args.who_file then
    listed, message, err = chosen.words_of(args.who_file, "names")
    if not listed then return ui:fail(message, err) end
  end
  for _, word in ipairs(listed) do args.who[#args.who + 1] = word end
  args.principals, message, err = principals.any(ui, client, args.who)
  if not args.principals then return ui:fail(message, err) end
  args.cluster, args.all, args.remove = {}, true, true
  ids, message, err = chosen.ids(client, args)
  if not ids then return ui:fail(message, err) end
  ok, message, err = place(client, args)
  if not ok then return ui:fail(message, err) end
  local failures
  failures, args.complete = out_of_reach(client)
  if #ids == 0 and failures[1] then return ui:fail(failures[1].err.message, failures[1].err) end
  local code = revoke.carry_out(args, ui, client, ids)
  if args.began and ui.page then ui:say("evidence: " .. ui.page) end
  return code
end

M.interrupted = revoke.interrupted

return M
