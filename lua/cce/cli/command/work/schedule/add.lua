--- `cce schedule add`: a revocation at a time, a rotation again and again.
-- @module cce.cli.command.work.schedule.add
-- @local
local chosen = require "cce.cli.chosen"
local convert = require "cce.cli.convert"
local core = require "cce.core"
local directories = require "cce.base.directories"
local errors = require "cce.error"
local principals = require "cce.cli.principal"
local render = require "cce.cli.render"
local show = require "cce.text.show"

local M = {}

local function describe_revoke(parser)
  local revoke = parser:command("revoke", "Revoke the certificates of a user or an agency once.")
  chosen.describe(revoke, { all = true })
  revoke:mutex(principals.describe(revoke))
  revoke:flag("--allow-self", "Allow to revoke your own.")
  revoke:option("--at", "When: such as 2026-01-31T18:00Z, or +2h from now."):argname("TIME")
    :convert(convert.time):count(1)
  revoke:option("--reason", "For people."):argname("TEXT")
  revoke:flag("--dry-run", "Put in nothing; say what would be put in.")
end

local function describe_rotate(parser)
  local rotate = parser:command("rotate", "Rotate clusters again and again.")
  chosen.describe(rotate, { all = true })
  rotate:option("--every", "How often: such as 12h, 7d or 4w."):argname("TIME"):count(1)
  rotate:option("--first", "The first time; by default one interval from now."):argname("TIME")
    :convert(convert.time)
  rotate:option("--window", "Only then: such as 'Sat,Sun 01:00-05:00 +08:00'."):argname("WINDOW")
    :convert(convert.window)
  rotate:option("--component", "all or service-account-controller."):argname("NAME")
    :choices({ "all", "service-account-controller" })
  rotate:option("--canary", "So many clusters first, one at a time."):argname("N")
    :convert(convert.integer)
  rotate:option("--max-failures", "Stop at so many, or at a share such as 10%."):argname("N")
    :convert(convert.limit)
  rotate:option("--unless-rotated-within", "Leave out what anybody rotated since then: such as"
    .. " 24h."):argname("TIME"):convert(convert.duration)
  rotate:option("--reason", "For people."):argname("TEXT")
  rotate:flag("--dry-run", "Put in nothing; say what would be put in.")
end

--- Add the command.
-- @tparam table parser of `cce schedule`
function M.describe(parser)
  local add = parser:command("add", "Put in an entry.")
  add:command_target("kind"):require_command(true)
  describe_revoke(add)
  describe_rotate(add)
end

local function report(schedule, ui, ids)
  local entries = {}
  for i, id in ipairs(ids) do
    local e, message, err = schedule:get(id)
    if not e then return ui:fail(message, err) end
    entries[i] = e
  end
  return ui:table(entries, require("cce.cli.command.work.schedule").columns)
end

local function preview_revoke(ui, args, targets)
  local lines = {}
  local who = args.user and "user " .. args.user or "agency " .. args.agency
  for i, target in ipairs(targets) do
    lines[i] = ("dry run: would revoke %s in cluster %s (%s) at %s"):format(who,
      target.name or target.id, target.id, render.moment(args.at))
  end
  return ui:show({ dry_run = true, due = args.at, clusters = #targets }, table.concat(lines, "\n"))
end

-- What was put in stays, whatever becomes of the rest; so it is shown.
local function put_in_revocations(schedule, ui, args, client, targets)
  local ids = {}
  for _, target in ipairs(targets) do
    local id, message, err = schedule:revoke_at(args.at, { region = client.config.region,
      project_id = target.project_id, cluster_id = target.id, user_id = args.user,
      agency_id = args.agency, reason = args.reason })
    if not id then
      if #ids > 0 then report(schedule, ui, ids) end
      return ui:fail(message, err)
    end
    ids[#ids + 1] = id
  end
  return report(schedule, ui, ids)
end

local kinds = {}

function kinds.revoke(schedule, ui, args, client)
  if not args.user and not args.agency then
    return ui:usage "nobody is named: give --user or --agency"
  end
  local ids, targets, err = chosen.ids(client, args)
  if not ids then return ui:fail(targets, err) end
  -- Names are looked up now, and never again: when it is due, a name may be that of
  -- another principal.
  local ok, found, problem = principals.resolve(ui, client, args)
  if not ok then return ui:fail(found, problem) end
  local kind = args.user and "user" or "agency"
  if found and found.unknown
    and not require("cce.cli.command.work.schedule").has_grant(schedule, kind, found.id) then
    ui:warn(("nobody is known by the id %s: check it, or cancel the entry"):format(found.id))
  end
  if args.dry_run then return preview_revoke(ui, args, targets) end
  if principals.is_self(client, args.user or args.agency) then
    local sure, code = principals.confirm_self(ui, args,
      ("your own access to %s is cut at %s"):format(show.count(#targets, "cluster"),
        render.moment(args.at)))
    if not sure then return code end
  end
  return put_in_revocations(schedule, ui, args, client, targets)
end

-- Calls act with a schedule that is thrown away.
local function with_scratch(act)
  local dir, message, code = core.sys.mkdir_private(directories.temporary() .. "/cce-XXXXXX")
  if not dir then return errors.from_core(nil, message, code) end
  local schedule, result, err
  schedule, message, err = require("cce.schedule").open("sqlite:" .. dir .. "/scratch.db")
  if schedule then
    result, message, err = act(schedule)
    schedule:close()
  end
  for _, name in ipairs { "/scratch.db", "/scratch.db-wal", "/scratch.db-shm", "" } do
    os.remove(dir .. name)
  end
  return result, message, err
end

-- What a schedule says of it, and when it would be done first.
local function preview_rotate(ui, args, opts)
  local e, message, err = with_scratch(function(schedule)
    local id, reason, problem = schedule:rotate_every(args.every, opts)
    if not id then return nil, reason, problem end
    return schedule:get(id)
  end)
  if not e then return ui:fail(message, err) end
  return ui:show({ dry_run = true, due = e.due }, ("dry run: would rotate every %s, first at %s")
    :format(args.every, render.moment(e.due)))
end

function kinds.rotate(schedule, ui, args, client)
  -- A pattern is kept as one: clusters that come later are meant, too.
  local clusters, message, err = chosen.filter(args) or args.all and { name = "*" }, nil, nil
  if not clusters then clusters, message, err = chosen.ids(client, args) end
  if not clusters then return ui:fail(message, err) end
  local project
  project, message, err = require("cce.api.project").id_of(client)
  if not project then return ui:fail(message, err) end
  local opts = { region = client.config.region, project_id = project, clusters = clusters,
    first = args.first, window = args.window, component = args.component, canary = args.canary,
    max_failures = args.max_failures, unless_rotated_within = args.unless_rotated_within,
    reason = args.reason }
  if args.dry_run then return preview_rotate(ui, args, opts) end
  local id
  id, message, err = schedule:rotate_every(args.every, opts)
  if not id then return ui:fail(message, err) end
  return report(schedule, ui, { id })
end

--- Put in.
-- @tparam cce.schedule schedule
-- @tparam table args
-- @tparam cce.cli.ui ui
-- @treturn int exit code
function M.run(schedule, args, ui)
  local client, message, err = ui:client()
  if not client then return ui:fail(message, err) end
  return kinds[args.kind](schedule, ui, args, client)
end

return M
