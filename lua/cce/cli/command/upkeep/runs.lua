--- `cce runs`: what runs of rotations, revocations and issued kubeconfigs left open.
-- @module cce.cli.command.upkeep.runs
-- @local
local directories = require "cce.base.directories"
local errors = require "cce.error"
local exit = require "cce.cli.exit"
local render = require "cce.cli.output.render"
local runs_here = require "cce.cli.runs"
local workflow_runs = require "cce.workflow.runs"

local M = { name = "runs", summary = "Look at runs, settle what is uncertain, end one.",
  watchable = { list = true, show = true } }

local function describe_journal(parser)
  parser:option("--journal", "The journal; where it is left out, the one in ~/.local/state/cce"
    .. " that has the run."):argname("FILE")
end

function M.describe(parser)
  parser:command_target("action"):require_command(true)
  local list = parser:command("list ls", "List runs, the oldest of each journal first.")
  describe_journal(list)
  list:flag("--open", "Those of which something is open.")
  local show = parser:command("show", "Say of each cluster of a run how it stands.")
  show:argument("run", "Name of the run; by default the last."):args("?"):argname("RUN")
  describe_journal(show)
  show:flag("--open", "Those clusters that are not final.")
  local settle = parser:command("settle", "Say what became of a cluster that is uncertain.")
  settle:argument("run", "Name of the run."):argname("RUN")
  settle:argument("cluster", "Id or name of the cluster."):argname("CLUSTER")
  settle:option("--principal", "Id of the user or agency, where several are revoked.")
    :argname("ID")
  describe_journal(settle)
  settle:mutex(settle:flag("--happened", "The cluster shows that it was done."),
    settle:flag("--did-not", "It was not done, and is pending again."))
  local discard = parser:command("discard", "End a run: what is open is given up.")
  discard:argument("run", "Name of the run; by default the last."):args("?"):argname("RUN")
  describe_journal(discard)
  discard:flag("--yes", "Do not ask.")
  parser:epilog("A run is open until each cluster is ok, failed for good, excluded, or given up."
    .. " The same command that began it goes on with it. discard ends with 1: what is given up is"
    .. " not done.")
end

-- ---- journals ------------------------------------------------------------------

-- The journal that has a run: the only one, or the only one with a run of that name.
local function journal_of(args)
  if args.journal then return args.journal end
  local found, journals, message, err = {}, runs_here.journals()
  if not journals then return nil, message, err end
  for _, path in ipairs(journals) do
    local runs
    runs, message, err = workflow_runs.list(path)
    if not runs then return nil, message, err end
    local fits = #runs > 0 and not args.run
    for _, run in ipairs(runs) do fits = fits or run.run == args.run end
    if fits then found[#found + 1] = path end
  end
  if #found == 1 then return found[1] end
  local which = args.run and "run '" .. args.run .. "'" or "run"
  if #found == 0 then
    return errors.fail("NOT_FOUND", ("no journal in %s has a %s"):format(directories.state(),
      which), { hint = "cce runs list shows which there are; another journal is --journal FILE" })
  end
  return errors.fail("INVALID_ARGUMENT", ("more than one journal in %s has a %s"):format(
    directories.state(), which), { hint = "Give --journal, one of " .. table.concat(found, ", ") })
end

-- ---- looking -------------------------------------------------------------------

local function counts_text(counts)
  local parts = {}
  for _, each in ipairs { { "ok", "ok" }, { "failed", "failed" }, { "skipped", "excluded" },
    { "moved", "handed over" }, { "uncertain", "uncertain" }, { "accepted", "accepted" },
    { "pending", "pending" } } do
    if counts[each[1]] > 0 then parts[#parts + 1] = ("%d %s"):format(counts[each[1]], each[2]) end
  end
  return table.concat(parts, ", ")
end

local run_columns = {
  { "run", "RUN", keep = true }, { "workflow", "WHAT" },
  { "opened", "OPENED", keep = true, time = true },
  { "open", "STATE", text = function(run) return run.open and "open" or "closed" end },
  { "counts", "CLUSTERS", keep = true, text = function(run) return counts_text(run.counts) end },
  { "journal", "JOURNAL", prose = true },
}

local item_columns = {
  { "name", "NAME", keep = true }, { "cluster_id", "ID", name = true },
  { "principal_id", "PRINCIPAL" }, { "state", "STATE" },
  { "message", "NOTE", prose = true }, { "code" }, { "job_id" }, { "time", time = true },
}

local actions = {}

function actions.list(args, ui)
  local rows, journals, message, err = {}, { args.journal }, nil, nil
  if not args.journal then journals, message, err = runs_here.journals() end
  if not journals then return ui:fail(message, err) end
  for _, path in ipairs(journals) do
    local runs
    runs, message, err = workflow_runs.list(path)
    if not runs then return ui:fail(message, err) end
    for _, run in ipairs(runs) do
      run.journal = path
      if run.open or not args.open then rows[#rows + 1] = run end
    end
  end
  if #rows == 0 and ui.output == "table" then
    ui:say "there are none"
    return exit.DONE
  end
  return ui:table(rows, run_columns)
end

local function show_run(ui, run, only_open)
  local items = {}
  for _, item in ipairs(run.items) do
    local is_open = item.state == "pending" or item.state == "uncertain" or item.state == "accepted"
    if is_open or not only_open then items[#items + 1] = item end
  end
  ui:say(("run %s (%s), begun %s, is %s: %s"):format(run.run, run.workflow,
    render.moment(run.opened), run.open and "open" or "closed", counts_text(run.counts)))
  return ui:table(items, item_columns)
end

function actions.show(args, ui, path)
  local runs, message, err = workflow_runs.list(path)
  if not runs then return ui:fail(message, err) end
  for i = #runs, 1, -1 do
    if not args.run or runs[i].run == args.run then return show_run(ui, runs[i], args.open) end
  end
  return ui:fail(("%s has no run%s"):format(path, args.run and " '" .. args.run .. "'" or ""))
end

-- ---- changing --------------------------------------------------------------------

function actions.settle(args, ui, path)
  if not args.happened and not args.did_not then
    return ui:usage "say what became of it: --happened or --did-not"
  end
  local run, message, err = workflow_runs.settle(path, { run = args.run, cluster = args.cluster,
    principal = args.principal, happened = args.happened == true })
  if not run then return ui:fail(message, err) end
  return show_run(ui, run)
end

function actions.discard(args, ui, path)
  local sure, code = ui:confirm { word = "DISCARD", yes = args.yes, text =
    "What is open of this run is given up: pending clusters are not done, and of uncertain ones it"
    .. " stays unknown. See: cce runs show --open" }
  if not sure then return code end
  local run, message, err = workflow_runs.discard(path, args.run)
  if not run then return ui:fail(message, err) end
  code = show_run(ui, run)
  return code == exit.DONE and exit.FAILED or code
end

-- ---- from beginning to end -------------------------------------------------------

function M.run(args, ui)
  if args.action == "list" then return actions.list(args, ui) end
  local path, message, err = journal_of(args)
  if not path then return ui:fail(message, err) end
  return actions[args.action](args, ui, path)
end

return M
