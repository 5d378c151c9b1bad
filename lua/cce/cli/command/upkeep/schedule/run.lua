--- `cce schedule run`: do what is due.
-- @module cce.cli.command.upkeep.schedule.run
-- @local
local convert = require "cce.cli.input.convert"
local core = require "cce.core"
local directories = require "cce.base.directories"
local errors = require "cce.error"
local exit = require "cce.cli.exit"
local own_file = require "cce.cli.output.own_file"
local profiles = require "cce.cli.input.profile"
local providers = require "cce.credentials.provider"
local show = require "cce.text.show"

local M = {}

--- Add the command.
-- @tparam table parser of `cce schedule`
function M.describe(parser)
  local run = parser:command("run", "Do what is due, when it is due, until Ctrl-C or SIGTERM.")
  run:mutex(
    run:flag("--once", "Do what is due now, and end."),
    run:flag("--until-idle", "End once nothing is due and no runner has anything in hand."))
  run:option("--lease", "After so long others take over from this runner, if it is dead.")
    :argname("TIME"):convert(convert.duration)
  run:option("--concurrency", "So many entries at a time."):argname("N"):convert(convert.integer)
  run:option("--keep", "How long what is over is kept; by default 30d."):argname("TIME")
    :convert(convert.duration)
  run:option("--journal-dir", "For the journals of rotations; by default"
    .. " ~/.local/state/cce/schedule."):argname("DIR")
  run:option("--metrics", "Write metrics for Prometheus to this file, after each event.")
    :argname("FILE")
  run:flag("--dry-run", "Do nothing; list what is due.")
end

-- ---- clients -------------------------------------------------------------------------------

-- One for each region and project; the profile and the environment say the rest. New
-- ones when the file of profiles was replaced; the others end with what they are doing.
local function clients_of(ui, base)
  local kept, is_replaced = {}, providers.watch(profiles.path())
  return function(entry)
    if is_replaced() then kept, is_replaced = {}, providers.watch(profiles.path()) end
    local key = (entry.region or "") .. "\n" .. (entry.project_id or "")
    if kept[key] then return kept[key] end
    -- An endpoint that was given without a region is that of the entries without one.
    local is_same = entry.region == base.config.region
    if not is_same and not base.config.region then
      return errors.fail("NO_ENDPOINT", ("this runner is told of one endpoint, and the entry is of"
        .. " region %s"):format(entry.region))
    end
    local client, message, err = ui:client { project_id = entry.project_id,
      region = not is_same and entry.region or nil }
    kept[key] = client
    return client, message, err
  end
end

-- ---- what happens --------------------------------------------------------------------------

local DETAILS = { "cluster_id", "user_id", "agency_id", "ok", "failed", "uncertain", "pending",
  "clusters", "code", "message", "request_id", "state" }

-- A line of a log. No field of an event holds a secret.
local function event_text(event)
  local parts = { show.time(event.at or os.time()), event.type }
  parts[#parts + 1] = event.id
  parts[#parts + 1] = event.kind
  for _, name in ipairs(DETAILS) do
    if event[name] then parts[#parts + 1] = ("%s=%s"):format(name, tostring(event[name])) end
  end
  for _, name in ipairs { "late", "seconds" } do
    if event[name] then parts[#parts + 1] = ("%s=%.1f"):format(name, event[name]) end
  end
  if event.next_try then parts[#parts + 1] = "next_try=" .. show.time(event.next_try) end
  if event.may_have_cut_newer then parts[#parts + 1] = "may_have_cut_newer" end
  return table.concat(parts, " ")
end

-- What is wrong is told even when it is to be quiet.
local LOUD = { overdue = true, missed = true, quarantined = true, lease_lost = true,
  store_unavailable = true }

local function is_metrics(text)
  return text:find "^# HELP cce_"
end

-- What is called with events, and after each look. A file that cannot be written is told of
-- once: the work goes on.
local function measured(ui, path, tell)
  local metrics, has_told = require("cce.metrics").new(), false
  local function write()
    local ok, message = core.file.write(path, metrics:text())
    if not ok and not has_told then
      has_told = true
      ui:warn("the metrics cannot be written: " .. message)
    end
  end
  return metrics:observer(function(event)
    write()
    return tell(event)
  end), function()
    metrics:looked()
    write()
  end
end

local function tellers(ui, args)
  local function tell(event)
    local put = LOUD[event.type] and ui.warn or ui.say
    put(ui, event_text(event))
  end
  if args.metrics then return measured(ui, args.metrics, tell) end
  return tell
end

local function report(ui, result)
  local text = ("%d done, %s to be tried again, %s pending, %s overdue"):format(result.done,
    tostring(result.failed or "?"), tostring(result.pending or "?"),
    tostring(result.overdue or "?"))
  if result.missed then text = ("%s, %d missed"):format(text, result.missed) end
  if result.quarantined then
    text = ("%s, %d in quarantine: see cce schedule list --status quarantined"):format(text,
      result.quarantined)
  end
  -- The terminal shows ^C in the line.
  if result.stopped == "SIGINT" and core.sys.is_terminal(2) then io.stderr:write "\n" end
  local code = ui:show({ done = result.done, failed = result.failed, pending = result.pending,
    overdue = result.overdue, missed = result.missed,
    quarantined = result.quarantined, stopped = result.stopped }, text)
  if code ~= exit.DONE then return code end
  if result.stopped == "SIGINT" then return exit.INTERRUPTED end
  if (result.overdue or 0) > 0 or result.missed or result.quarantined then
    return exit.OVERDUE
  end
  return (result.failed or 0) > 0 and exit.FAILED or exit.DONE
end

-- ---- a dry run -----------------------------------------------------------------------------

local function list_due(schedule, ui)
  local commands, due, now = require "cce.cli.command.upkeep.schedule", {}, core.sys.time()
  for _, status in ipairs { "failed-retrying", "pending" } do
    local found, message, err = commands.all(schedule, status)
    if not found then return ui:fail(message, err) end
    for _, e in ipairs(found) do
      local time = e.state == "failed-retrying" and e.next_try or e.due
      if time and time <= now then due[#due + 1] = e end
    end
  end
  local held, message, err = commands.all(schedule, "live")
  if not held then return ui:fail(message, err) end
  ui:say(("dry run: %d would be done now"):format(#due))
  if #held > 0 then
    ui:say(show.count(#held, "entry is", "entries are")
      .. " with a runner: what one that died has left is done, too")
  end
  if #due == 0 and ui.output == "table" then return exit.DONE end
  return ui:table(due, commands.columns)
end

-- ---- from beginning to end -----------------------------------------------------------------

--- Do what is due.
-- @tparam cce.schedule schedule
-- @tparam table args
-- @tparam cce.cli.ui ui
-- @treturn int exit code
function M.run(schedule, args, ui)
  if args.dry_run then return list_due(schedule, ui) end
  local ok, base, message, err = true, nil, nil, nil
  if args.metrics then
    ok, message, err = own_file.check(args.metrics, "file of our metrics", is_metrics)
  end
  if ok then base, message, err = ui:client() end
  if not base then return ui:fail(message, err) end
  local journals = args.journal_dir or directories.state() .. "/schedule"
  local made
  made, message, err = directories.make(journals)
  if not made then return ui:fail(message, err) end
  local opts = { once = args.once, until_idle = args.until_idle, lease = args.lease,
    concurrency = args.concurrency, keep = args.keep, journal_dir = journals }
  opts.on_event, opts.on_look = tellers(ui, args)
  ui:say(("running %s; Ctrl-C ends it"):format(tostring(schedule)))
  local result
  result, message, err = schedule:run(clients_of(ui, base), opts)
  if not result then return ui:fail(message, err) end
  return report(ui, result)
end

return M
