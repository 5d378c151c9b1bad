--- `cce rotate`: rotate clusters, so that it may be interrupted at any moment.
-- @module cce.cli.command.certificate.rotate
-- @local
local chosen = require "cce.cli.input.chosen"
local convert = require "cce.cli.input.convert"
local core = require "cce.core"
local directories = require "cce.base.directories"
local errors = require "cce.error"
local exit = require "cce.cli.exit"
local rotate_options = require "cce.workflow.rotate.options"
local runs = require "cce.cli.runs"
local targets = require "cce.workflow.targets"
local times = require "cce.base.times"
local values = require "cce.base.values"
local show = require "cce.text.show"
local stands_for = require("cce.cli.output.words").stands_for
local windows = require "cce.cli.input.windows"

local M = { name = "rotate", summary = "Rotate the certificates of clusters." }

-- So many are rotated without being counted by a person.
local MOST_CLUSTERS = 100

local function describe_plan(parser)
  parser:option("--component", "all, service-account-controller or custom."):argname("NAME")
    :choices({ "all", "service-account-controller", "custom" })
  stands_for(parser:option("--expiration-hours", "How long old ServiceAccount tokens stay valid,"
    .. " 0 to 8784; by default 24."):argname("HOURS"):convert(convert.integer),
    "certificate_expiration_time")
  parser:flag("--accept-token-loss", "Allow --expiration-hours 0.")
  stands_for(parser:option("--ca", "Your CA certificate, for --component custom.")
    :argname("FILE"), "cert_content.ca")
  stands_for(parser:option("--cert", "Your certificate, for --component custom.")
    :argname("FILE"), "cert_content.cert")
  stands_for(parser:option("--key", "Its private key, for --component custom.")
    :argname("FILE"), "cert_content.private_key")
end

local function describe_run(parser)
  parser:option("--journal", "Where it is written down what was done; by default"
    .. " rotate-PROJECT.journal in ~/.local/state/cce."):argname("FILE")
  parser:option("--run", "The name of the run: one that has finished is not repeated.")
    :argname("NAME")
  parser:flag("--resume", "Go on with the run of the journal, of which something is open.")
  parser:flag("--retry-failed", "Send again what failed in the run, after a look at the cluster.")
  parser:option("--unless-rotated-within", "Leave out what anybody rotated since then: such as"
    .. " 24h."):argname("TIME"):convert(convert.duration)
  parser:option("--max-clusters", "Refuse to rotate more than so many; by default 100, where"
    .. " --all and --yes are given."):argname("N"):convert(convert.integer)
  windows.describe(parser)
  parser:option("--canary", "So many clusters first, one at a time."):argname("N")
    :convert(convert.integer)
  parser:option("--concurrency", "So many clusters at a time."):argname("N")
    :convert(convert.integer)
  parser:option("--max-failures", "Stop at so many, or at a share such as 10%."):argname("N")
    :convert(convert.limit)
  stands_for(parser:option("--rate", "Requests at most, such as 10/min, or none.")
    :argname("RATE"), "rate_limit", { ["false"] = "none" })
  parser:mutex(
    parser:flag("--wait", "Wait for the jobs (the default)."),
    parser:flag("--no-wait", "What was accepted counts as done."))
  parser:option("--wait-timeout", "How long for a job at most, such as 30m."):argname("TIME")
    :convert(convert.duration)
  parser:option("--every", "How often to look at a job; by default 5s."):argname("TIME")
    :convert(convert.duration)
  parser:flag("--repair", "Tell nodes that failed to rotate again.")
  parser:option("--reissue", "A directory for new kubeconfigs of the rotated clusters.")
    :argname("DIR")
  require("cce.cli.input.lifetime").describe(parser)
end

function M.describe(parser)
  chosen.describe(parser, { all = true })
  describe_plan(parser)
  describe_run(parser)
  require("cce.cli.output.report_file").describe(parser)
  parser:flag("--yes", "Do not ask.")
  parser:flag("--dry-run", "Rotate nothing; show the plan.")
  parser:epilog("Outside of --windows no cluster is begun: what is left is pending, and cce rotate"
    .. " --resume goes on when they open, with the same windows."
    .. " Ctrl-C ends at once: nothing is lost, and cce rotate --resume goes on. No cluster"
    .. " is rotated twice by one run. While something is uncertain or pending, the exit code is 2;"
    .. " cce runs shows it, and can settle or end it.")
end

-- ---- the journal -------------------------------------------------------------------

-- A journal for each project: an unfinished run of one must not hold up another.
local function journal_path(client, args)
  if args.journal then return args.journal end
  local project, message, err = targets.project_of(client)
  if not project then return nil, message, err end
  local made = args.dry_run
  if not made then made, message, err = directories.make(directories.state()) end
  if not made then return nil, message, err end
  return ("%s/rotate-%s.journal"):format(directories.state(), project)
end

-- ---- what is to be done --------------------------------------------------------------

local function read_content(args)
  if not (args.ca or args.cert or args.key) then return nil end
  local content = {}
  for option, field in pairs { ca = "ca", cert = "cert", key = "private_key" } do
    if args[option] then
      local text, message, code = core.file.read(args[option])
      if not text then return errors.from_core(nil, message, code) end
      content[field] = text
    end
  end
  return content
end

local function options_of(args, plan)
  local reissue = args.reissue
    and { dir = args.reissue, duration = args.days, expire_at = args["until"] }
  return windows.put(args, {
    clusters = plan.ids, component = plan.component, certificate_expiration_time = plan.hours,
    cert_content = plan.content, journal = plan.journal, run = plan.run, canary = args.canary,
    concurrency = args.concurrency, max_failures = args.max_failures,
    wait = not args.no_wait and { timeout = args.wait_timeout, interval = args.every },
    repair = args.repair, reissue = reissue, accept_token_loss = args.accept_token_loss,
    rate_limit = convert.rate(args.rate), retry_failed = args.retry_failed,
    unless_rotated_within = args.unless_rotated_within,
  })
end

-- As a shell takes it.
local function quoted(value)
  value = tostring(value)
  if value:find "^[%w%%/._:@+-]+$" then return value end
  return values.shell_word(value)
end

-- The plan of a run, from its journal. Where nothing of it is open, nothing is left
-- to do, which its report says.
local function resumed_plan(args, plan)
  local run, message, err = runs.find(plan.journal, args.run)
  if run == nil then return nil, message, err end
  if not run then
    return errors.fail("NOT_FOUND", ("there is nothing to resume: %s holds no run"):format(
      plan.journal))
  end
  plan.ids, plan.component, plan.hours, plan.run = {}, run.component, run.hours, run.name
  for i, item in ipairs(run.order) do plan.ids[i] = item.cluster end
  plan.is_finished = not runs.is_open(run, options_of(args, plan))
  args.accept_token_loss = args.accept_token_loss or run.hours == 0
  return plan
end

-- What was typed wrongly is told before what else is in the way.
local function new_plan(client, args, plan)
  local message, err
  plan.ids, message, err = chosen.ids(client, args, "rotate_credentials")
  if not plan.ids then return nil, message, err end
  plan.component, plan.hours = args.component, args.expiration_hours
  local checked
  checked, message, err = rotate_options.read(options_of(args, plan), 1)
  if not checked and #plan.ids > 0 then return nil, message, err end
  local run
  run, message, err = runs.find(plan.journal)
  if run == nil then return nil, message, err end
  if runs.is_open(run) and not args.run then
    local path = quoted(plan.journal)
    return errors.fail("CONFLICT", ("something of run %s, begun at %s, is open"):format(run.name,
      show.time(run.opened)), { retryable = false, hint = ("cce rotate --resume%s goes on with it,"
      .. " cce runs show --journal %s says with what, and cce runs discard --journal %s ends it;"
      .. " another --run NAME takes over what is pending"):format(
      args.journal and " --journal " .. path or "", path, path) })
  end
  -- What a person types anew is meant anew.
  plan.run = args.run or runs.new_name()
  return plan
end

local function make_plan(client, args)
  local path, message, err = journal_path(client, args)
  if not path then return nil, message, err end
  local plan = { journal = path }
  plan.content, message, err = read_content(args)
  if message then return nil, message, err end
  if args.resume then return resumed_plan(args, plan) end
  return new_plan(client, args, plan)
end

local function call(client, args, plan, more)
  local opts = options_of(args, plan)
  for name, value in pairs(more) do opts[name] = value end
  return require("cce").workflow.rotate(client, opts)
end

-- ---- asking ------------------------------------------------------------------------

-- The plan. Only a rotation of all ends client certificates; it says whose, as far as that is
-- known here.
local function preview(client, args, plan)
  local report, message, err = call(client, args, plan, { dry_run = true })
  if not report then return nil, message, err end
  local lines = plan.component == "all" and require("cce.cli.affected").lines(plan.ids, args) or {}
  for _, line in ipairs(lines) do report:note("this ends what is in use: %s", line) end
  return report
end

local function confirmed(ui, client, args, plan)
  return ui:confirm { word = "ROTATE", yes = args.yes, text = function()
    local report, message, err = preview(client, args, plan)
    if not report then return nil, ui:fail(message, err) end
    return (report:text(ui:width()):gsub("^[^\n]*", "This will rotate:", 1))
  end }
end

-- ---- how to go on ------------------------------------------------------------------

local REPEATED = { "profile", "cloud", "region", "project", "ca_file", "token_file", "audit_log",
  "timeout", "journal", "rate",
  "canary", "concurrency", "max_failures", "unless_rotated_within",
  "wait_timeout", "every", "ca", "cert", "key", "reissue", "windows", "zone" }
local REPEATED_FLAGS = { "no_wait", "repair", "accept_token_loss", "retry_failed" }

local function option_of(name)
  return "--" .. name:gsub("_", "-")
end

-- The same words again, with --resume for those that chose the clusters.
local function resume_command(args)
  local words = { "cce rotate --resume" }
  for _, name in ipairs(REPEATED) do
    if args[name] then words[#words + 1] = option_of(name) .. " " .. quoted(args[name]) end
  end
  if args.report_file then words[#words + 1] = "--report " .. quoted(args.report_file) end
  for _, url in ipairs(args.endpoint) do words[#words + 1] = "--endpoint " .. quoted(url) end
  for _, dates in ipairs(args.except) do words[#words + 1] = "--not " .. quoted(dates) end
  for _, name in ipairs(REPEATED_FLAGS) do
    if args[name] then words[#words + 1] = option_of(name) end
  end
  if args.days then words[#words + 1] = "--days " .. (args.days == -1 and "max" or args.days) end
  if args["until"] then words[#words + 1] = "--until " .. times.format(args["until"]) end
  return table.concat(words, " ")
end

--- After Ctrl-C: what the journal knows.
function M.interrupted(args, ui)
  local run = args.journal_in_use and runs.find(args.journal_in_use, args.run_in_use)
  if not runs.is_open(run) then return ui:warn_of_sent() end
  local counts = runs.counts(run)
  ui:warn(("run %s: %d rotated, %d failed, %d under way (their jobs go on by themselves),"
    .. " %d not begun"):format(run.name, counts.ok, counts.failed,
    counts.accepted + counts.uncertain, counts.pending))
  ui:warn("to go on: " .. resume_command(args))
end

-- ---- from beginning to end -----------------------------------------------------------

local function rotate(ui, client, args, plan)
  args.journal_in_use, args.run_in_use = plan.journal, plan.run
  local report, message, err = call(client, args, plan,
    { on_progress = ui:progress("rotate", #plan.ids) })
  if not report then return ui:fail(message, err) end
  local code = ui:report(report)
  if #report.pending + #report.uncertain > 0 then ui:say("to go on: " .. resume_command(args)) end
  return code
end

function M.run(args, ui)
  -- All that is open is gone on with, whatever else was named.
  local chooses = #args.cluster > 0 or args.cluster_file or chosen.filter(args)
  if args.resume and (chooses or args.component or args.expiration_hours) then
    return ui:usage("--resume goes on with all that is open of its run, as it was begun: neither"
      .. " clusters nor --component or --expiration-hours go with it")
  end
  if (args.days or args["until"]) and not args.reissue then
    return ui:usage "--days and --until are of the kubeconfigs that --reissue writes"
  end
  local client, message, err = ui:client()
  if not client then return ui:fail(message, err) end
  local plan
  plan, message, err = make_plan(client, args)
  if not plan then return ui:fail(message, err) end
  if #plan.ids == 0 then
    ui:say "there are no clusters: nothing was done"
    return exit.FINISHED_BEFORE
  end
  local most = args.max_clusters or args.all and args.yes and MOST_CLUSTERS
  if most and #plan.ids > most and not args.resume then
    return ui:usage(("%d clusters are chosen, more than %d: give --max-clusters %d"):format(
      #plan.ids, most, #plan.ids))
  end
  if args.dry_run then
    local report
    report, message, err = preview(client, args, plan)
    return report and ui:report(report) or ui:fail(message, err)
  end
  if plan.is_finished then return rotate(ui, client, args, plan) end
  -- Before the clusters are rotated: later it would be too late to say no.
  local made = true
  if args.reissue then made, message, err = directories.make(args.reissue) end
  if not made then return ui:fail(message, err) end
  local sure, code = confirmed(ui, client, args, plan)
  if not sure then return code end
  return rotate(ui, client, args, plan)
end

return M
