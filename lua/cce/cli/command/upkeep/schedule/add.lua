--- `cce schedule add`: a revocation at a time, a rotation again and again.
-- @module cce.cli.command.upkeep.schedule.add
-- @local
local chosen = require "cce.cli.input.chosen"
local clouds = require "cce.api.cloud"
local convert = require "cce.cli.input.convert"
local principals = require "cce.cli.input.principal"
local render = require "cce.cli.output.render"
local show = require "cce.text.show"
local windows = require "cce.cli.input.windows"

local M = {}

local function describe_revoke(parser)
  local revoke = parser:command("revoke", "Revoke the certificates of a user or an agency once.")
  chosen.describe(revoke, { all = true })
  revoke:mutex(principals.describe(revoke))
  revoke:flag("--allow-self", "Allow to revoke your own.")
  revoke:option("--at", "When: such as 2026-01-31T18:00Z, 'fri 18:00' or +2h."):argname("TIME")
    :convert(convert.due):count(1)
  revoke:option("--reason", "For people."):argname("TEXT")
  revoke:flag("--dry-run", "Put in nothing; say what would be put in.")
end

local function describe_rotate(parser)
  local rotate = parser:command("rotate", "Rotate clusters once, or again and again.")
  chosen.describe(rotate, { all = true })
  rotate:mutex(
    rotate:option("--at", "Once: such as 2026-01-31T18:00Z, 'fri 18:00' or +2h."):argname("TIME")
      :convert(convert.due),
    rotate:option("--every", "Again and again, so often: such as 12h, 7d or 4w."):argname("TIME"))
  rotate:option("--first", "The first time; by default one interval from now."):argname("TIME")
    :convert(convert.due)
  windows.describe(rotate)
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
  return ui:table(entries, require("cce.cli.command.upkeep.schedule").columns)
end

local function preview_revoke(ui, args, revocations)
  local lines = {}
  for i, each in ipairs(revocations) do
    local who = each.principal.name and (" (%s)"):format(each.principal.name) or ""
    lines[i] = ("dry run: would revoke %s %s%s in cluster %s (%s) at %s"):format(each.kind,
      each.principal.id, who, each.target.name or each.target.id, each.target.id,
      render.moment(args.at))
  end
  return ui:show({ dry_run = true, due = show.time(args.at), entries = #revocations },
    table.concat(lines, "\n"))
end

-- What was put in stays, whatever becomes of the rest; so it is shown.
local function put_in_revocations(schedule, ui, args, client, revocations)
  local ids = {}
  for _, each in ipairs(revocations) do
    local target, principal = each.target, each.principal
    local id, message, err = schedule:revoke_at(args.at, { region = client.config.region,
      project_id = target.project_id, cluster_id = target.id,
      [each.kind .. "_id"] = principal.id, reason = args.reason,
      names = { [target.id] = target.name, [principal.id] = principal.name } })
    if not id then
      if #ids > 0 then report(schedule, ui, ids) end
      return ui:fail(message, err)
    end
    ids[#ids + 1] = id
  end
  return report(schedule, ui, ids)
end

-- Whom it is about. Names are looked up now, and never again: when it is due, a name may be
-- that of another principal.
local function principals_of(schedule, ui, args, client)
  local list, message, err = principals.list(ui, client, args)
  for _, each in ipairs(list or {}) do
    if each.unknown and not require("cce.cli.command.upkeep.schedule").has_grant(schedule,
      each.kind, each.id) then
      ui:warn(("nobody is known by the id %s: check it, or cancel the entry"):format(each.id))
    end
  end
  return list, message, err
end

local kinds = {}

function kinds.revoke(schedule, ui, args, client)
  if not args.user and not args.agency and not args.users then
    return ui:usage "nobody is named: give --user, --users or --agency"
  end
  local ids, targets, err = chosen.ids(client, args, "revoke_cert")
  if not ids then return ui:fail(targets, err) end
  local whom, message, problem = principals_of(schedule, ui, args, client)
  if not whom then return ui:fail(message, problem) end
  local revocations, is_self = {}, false
  for _, principal in ipairs(whom) do
    is_self = is_self or principals.is_self(client, principal.id)
    for _, target in ipairs(targets) do
      revocations[#revocations + 1] = { kind = principal.kind, principal = principal,
        target = target }
    end
  end
  if args.dry_run then return preview_revoke(ui, args, revocations) end
  if is_self then
    local sure, code = principals.confirm_self(ui, args,
      ("your own access to %s is cut at %s"):format(show.count(#targets, "cluster"),
        render.moment(args.at)))
    if not sure then return code end
  end
  return put_in_revocations(schedule, ui, args, client, revocations)
end

local function rotate(schedule, args, opts)
  if args.at then return schedule:rotate_at(args.at, opts) end
  return schedule:rotate_every(args.every, opts)
end

-- What a schedule says of it, and when it would be done first.
local function preview_rotate(ui, args, opts)
  local e, message, err = require("cce.cli.command.upkeep.schedule").with_scratch(function(schedule)
    local id, reason, problem = rotate(schedule, args, opts)
    if not id then return nil, reason, problem end
    return schedule:get(id)
  end)
  if not e then return ui:fail(message, err) end
  local open = require("cce.schedule.entry").windows(e)
  return ui:show({ dry_run = true, due = show.time(e.due), windows = open and open.text },
    ("dry run: would rotate %s %s%s"):format(args.every and "every " .. args.every .. ", first at"
      or "once, at", render.moment(e.due), open and ", in the windows " .. open.text or ""))
end

function kinds.rotate(schedule, ui, args, client)
  if not args.at and not args.every then
    return ui:usage "it is not said when: give --at, or --every"
  end
  local possible, lacking, problem = clouds.allows(client.config.cloud, "rotate_credentials")
  if not possible then return ui:fail(lacking, problem) end
  -- A pattern is kept as one: clusters that come later are meant, too.
  local clusters = chosen.filter(args) or args.all and { name = "*" }
  local names = {}
  if not clusters then
    local targets, err
    clusters, targets, err = chosen.ids(client, args, "rotate_credentials")
    if not clusters then return ui:fail(targets, err) end
    for _, each in ipairs(targets) do names[each.id] = each.name end
  end
  local project, message, err
  project, message, err = require("cce.api.project").id_of(client)
  if not project then return ui:fail(message, err) end
  local opts = windows.put(args, { region = client.config.region, project_id = project,
    clusters = clusters, first = args.first, component = args.component, canary = args.canary,
    max_failures = args.max_failures, unless_rotated_within = args.unless_rotated_within,
    reason = args.reason, names = next(names) and names })
  if args.dry_run then return preview_rotate(ui, args, opts) end
  local id
  id, message, err = rotate(schedule, args, opts)
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
