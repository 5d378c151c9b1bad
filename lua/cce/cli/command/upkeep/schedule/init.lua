--- `cce schedule`: what is to be done later.
-- @module cce.cli.command.upkeep.schedule
-- @local
local convert = require "cce.cli.input.convert"
local core = require "cce.core"
local directories = require "cce.base.directories"
local errors = require "cce.error"
local exit = require "cce.cli.exit"
local json = require "cce.base.json"
local profile = require "cce.cli.input.profile"
local render = require "cce.cli.output.render"
local texts = require "cce.text.show"
local values = require "cce.base.values"

local env = values.env

local M = { name = "schedule", summary = "Do things later: revocations and rotations, for sure.",
  watchable = { list = true, show = true },
  calls = { ["schedule:cancel"] = "schedule cancel", ["schedule:hasten"] = "schedule hasten",
    ["schedule:accept"] = "schedule accept", ["schedule:retry"] = "schedule retry",
    ["schedule:run"] = "schedule run" } }

local STATES = { "pending", "claimed", "sending", "done", "failed-retrying", "cancelled",
  "quarantined", "live", "overdue" }

-- ---- what can be typed -----------------------------------------------------------------

--- Add the options that say where the schedule is.
-- @tparam table parser of argparse
function M.describe_store(parser)
  parser:option("--store", "sqlite:FILE, or etcd:URL[,URL...]/PREFIX. By default CCE_SCHEDULE,"
    .. " what the profile says, or sqlite:~/.local/state/cce/schedule.db."):argname("WHERE")
  parser:option("--etcd-ca-file", "Certificates to trust for etcd (PEM)."):argname("FILE")
  parser:option("--etcd-cert", "A client certificate for etcd."):argname("FILE")
  parser:option("--etcd-key", "Its private key."):argname("FILE")
end

local function describe_changing(parser)
  for _, each in ipairs { { "cancel", "Cancel entries." },
    { "retry", "Try entries that failed again at once." },
    { "accept", "Leave rotations that recur at what was done; they wait for their next time." },
    { "hasten", "Let entries be done at once, before their time: so a grant is ended." } } do
    local command = parser:command(each[1], each[2])
    command:argument("id", "The entries."):argname("ENTRY"):args("+")
    command:flag("--dry-run", "Change nothing; show them.")
    if each[1] == "retry" then
      command:flag("--retry-failed",
        "Of a rotation, also send again to clusters whose job failed.")
    end
  end
end

function M.describe(parser)
  parser:command_target("action"):require_command(true)
  M.describe_store(parser)
  require("cce.cli.command.upkeep.schedule.add").describe(parser)
  local list = parser:command("list ls", "List entries, the oldest first.")
  list:option("--status", "Those in a state; live: what runners have; overdue: what should have"
    .. " been done."):choices(STATES):argname("STATE")
  list:option("--limit", "So many at most; by default all."):argname("N"):convert(convert.integer)
  local show = parser:command("show", "Show all of an entry.")
  show:argument("id", "The entry."):argname("ENTRY")
  describe_changing(parser)
  require("cce.cli.command.upkeep.schedule.run").describe(parser)
  local export = parser:command("export", "Write all entries to a file.")
  export:argument("file", "The file, as JSON lines."):argname("FILE")
  local import = parser:command("import", "Put in what was exported; what is there stays.")
  import:argument("file", "The file."):argname("FILE")
  import:flag("--dry-run", "Check the file and put in nothing.")
  parser:epilog("An entry is on disk once its id is printed. cce schedule run does what is due;"
    .. " let a service keep it running. For etcd, CCE_ETCD_USERNAME and CCE_ETCD_PASSWORD are"
    .. " used. Ends with 4 when something is overdue or in quarantine.")
end

-- ---- the store ---------------------------------------------------------------------------

--- Where the schedule is.
-- @tparam table args
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.where(args)
  local said = args.store or env "CCE_SCHEDULE"
  if said then return said end
  local message, err
  said, message, err = profile.schedule(args)
  if said == nil then return nil, message, err end
  if said then return (said:gsub("^sqlite:~/", "sqlite:" .. (env "HOME" or "~") .. "/")) end
  return "sqlite:" .. directories.state() .. "/schedule.db"
end

-- The file that a schedule would be kept in, where it is not there.
local function missing_file(where)
  local path = where:match "^sqlite:(.*)"
  return path and path ~= "" and core.file.stat(path) == false and path or nil
end

--- Whether there is a schedule, as far as can be known without opening it. For those who only
-- look: opening would make it.
-- @tparam table args
-- @treturn boolean
function M.exists(args)
  local where = M.where(args)
  return not where or not missing_file(where)
end

--- Open the schedule; it is made where there is none.
-- @tparam table args
-- @treturn[1] cce.schedule
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.open(args)
  local where, message, err = M.where(args)
  if not where then return nil, message, err end
  local opts, own, made = {}, "sqlite:" .. directories.state() .. "/", true
  if where:sub(1, #own) == own then made, message, err = directories.make(directories.state()) end
  if not made then return nil, message, err end
  if where:find "^etcd:" then
    opts = { ca_file = args.etcd_ca_file, cert = args.etcd_cert, key = args.etcd_key,
      username = env "CCE_ETCD_USERNAME", password = env "CCE_ETCD_PASSWORD" }
  end
  return require("cce.schedule").open(where, opts)
end

local function with_schedule_in(dir, act)
  local schedule, message, err = require("cce.schedule").open("sqlite:" .. dir .. "/scratch.db")
  if not schedule then return nil, message, err end
  local result
  result, message, err = act(schedule)
  schedule:close()
  return result, message, err
end

--- Call a function with a schedule that is thrown away, whatever becomes of the function.
-- @tparam function act
-- @return what it returns; or nil, message, err
function M.with_scratch(act)
  local dir, message, code = core.sys.mkdir_private(directories.temporary() .. "/cce-XXXXXX")
  if not dir then return errors.from_core(nil, message, code) end
  local ok, result, problem, err = pcall(with_schedule_in, dir, act)
  for _, name in ipairs { "/scratch.db", "/scratch.db-wal", "/scratch.db-shm", "" } do
    os.remove(dir .. name)
  end
  if not ok then error(result, 0) end
  return result, problem, err
end

--- Whether a grant of a schedule is, or was, somebody's.
-- @tparam cce.schedule schedule
-- @tparam string kind "user" or "agency"
-- @tparam string id
-- @treturn[1] boolean
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.has_grant(schedule, kind, id)
  local field, after = kind .. "_id", nil
  repeat
    local list, message, err = schedule:list { after = after, limit = 1000 }
    if not list then return nil, message, err end
    for _, e in ipairs(list) do
      -- A grant is of the identity of its own client; any other entry is of whatever id
      -- was typed.
      if e[field] == id and e.grant and e.state ~= "cancelled" then return true end
    end
    after = list.next
  until not after
  return false
end

--- The same of the schedule that the options name. None is made for it.
-- @tparam table args
-- @tparam string kind "user" or "agency"
-- @tparam string id
-- @treturn[1] boolean
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.knows(args, kind, id)
  if not M.exists(args) then return false end
  local schedule, message, err = M.open(args)
  if not schedule then return nil, message, err end
  local found
  found, message, err = M.has_grant(schedule, kind, id)
  schedule:close()
  if found == nil then return nil, message, err end
  return found
end

-- ---- looking -----------------------------------------------------------------------------

-- What it does, how often it was tried, and what is to be known of it.
local function what(e)
  local text = e.kind .. " " .. require("cce.schedule.entry").subject(e)
  if e.attempts and e.attempts > 0 then
    text = ("%s, tried %s"):format(text, e.attempts == 1 and "once"
      or texts.count(e.attempts, "time"))
  end
  local more = e.why or e.last_error and e.last_error.message or e.reason
  return more and text .. ": " .. more or text
end

local function error_json(value)
  return { code = value.code, message = value.message, request_id = value.request_id,
    at = value.at and texts.time(value.at) }
end

local function every_json(value)
  return { seconds = value.seconds, first = texts.time(value.first), window = value.window }
end

--- How entries are shown. They have no other name than their id: it is never cut.
M.columns = {
  { "id", "ID", keep = true }, { "state", "STATE", keep = true },
  { "due", "DUE", keep = true, time = true,
    text = function(e) return e.due and render.moment(e.due) end },
  { "kind", "WHAT", text = what, prose = true }, { "attempts" }, { "reason" },
  { "cluster_id" }, { "user_id" }, { "agency_id" }, { "region" }, { "project_id" },
  { "created", time = true },
  { "next_try", time = true }, { "missed", time = true }, { "first_intent", time = true },
  { "last_intent", time = true }, { "last_error", json = error_json }, { "runner" },
  { "ended", time = true }, { "request_id" }, { "why" }, { "every", json = every_json },
  { "options" }, { "grant" },
  { "names", json = function(names) return next(names) and names end },
}

--- All entries in a state, page by page.
-- @tparam cce.schedule schedule
-- @tparam ?string status
-- @tparam ?int limit
-- @treturn[1] {table,...}
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.all(schedule, status, limit)
  local found, after = {}, nil
  repeat
    local page, message, err = schedule:list { status = status, after = after,
      limit = math.min(1000, limit and limit - #found or 1000) }
    if not page then return nil, message, err end
    for _, e in ipairs(page) do found[#found + 1] = e end
    after = page.next
  until not after or limit and #found >= limit
  return found
end

local actions = {}

function actions.list(schedule, args, ui)
  if args.limit == 0 then return ui:usage "--limit is at least 1" end
  local found, message, err = M.all(schedule, args.status, args.limit)
  if not found then return ui:fail(message, err) end
  local code = exit.DONE
  if #found > 0 or ui.output ~= "table" then
    code = ui:table(found, M.columns)
  else
    ui:say "there are none"
  end
  if code == exit.DONE and args.status == "overdue" and #found > 0 then return exit.OVERDUE end
  return code
end

local function value_text(value)
  if type(value) == "table" then return json.encode(value) end
  return type(value) == "number" and ("%d"):format(value) or tostring(value)
end

function actions.show(schedule, args, ui)
  local e, message, err = schedule:get(args.id)
  if not e then return ui:fail(message, err) end
  -- Its fields; for people in the order of the columns.
  local object, lines = render.object(e, M.columns), {}
  for _, column in ipairs(M.columns) do
    local name = column[1]
    local text = column.time and e[name] and render.moment(e[name])
    if object[name] ~= nil then
      lines[#lines + 1] = ("%-13s %s"):format(name, text or value_text(object[name]))
    end
  end
  return ui:show(object, table.concat(lines, "\n"), e.id)
end

-- ---- changing ----------------------------------------------------------------------------

-- All are tried, and all failures told.
local function change_all(schedule, args, ui, act)
  local done, worst = {}, exit.DONE
  for _, id in ipairs(args.id) do
    local ok, message, err = true, nil, nil
    if not args.dry_run then ok, message, err = act(schedule, id) end
    local e
    if ok then e, message, err = schedule:get(id) end
    if e then
      done[#done + 1] = e
    else
      worst = math.max(worst, ui:fail(message, err))
    end
  end
  if args.dry_run then ui:say("dry run: nothing is changed") end
  local code = #done > 0 and ui:table(done, M.columns) or exit.DONE
  return math.max(worst, code)
end

function actions.cancel(schedule, args, ui)
  return change_all(schedule, args, ui, schedule.cancel)
end

function actions.retry(schedule, args, ui)
  return change_all(schedule, args, ui, function(_, id)
    return schedule:retry(id, { retry_failed = args.retry_failed })
  end)
end

function actions.accept(schedule, args, ui)
  return change_all(schedule, args, ui, schedule.accept)
end

function actions.hasten(schedule, args, ui)
  local code = change_all(schedule, args, ui, schedule.hasten)
  if code == exit.DONE and not args.dry_run then ui:say("cce schedule run does it") end
  return code
end

function actions.export(schedule, args, ui)
  local count, message, err = schedule:export(args.file)
  if not count then return ui:fail(message, err) end
  return ui:show({ count = count, path = args.file }, ("%s written to %s"):format(
    texts.count(count, "entry", "entries"), args.file), args.file)
end

function actions.import(schedule, args, ui)
  local counts, message, err = schedule:import(args.file, { dry_run = args.dry_run })
  if not counts then return ui:fail(message, err) end
  counts.dry_run = args.dry_run
  return ui:show(counts, ("%s%d put in, %d there already"):format(
    args.dry_run and "dry run: " or "", counts.added, counts.existing))
end

function actions.add(schedule, args, ui)
  return require("cce.cli.command.upkeep.schedule.add").run(schedule, args, ui)
end

function actions.run(schedule, args, ui)
  return require("cce.cli.command.upkeep.schedule.run").run(schedule, args, ui)
end

-- ---- from beginning to end -----------------------------------------------------------------

-- All others only look, or change what there is. None is made by a dry run.
local MAKES_ONE = { add = true, import = true, run = true }

local function say_none(path, args, ui)
  local message = ("there is no schedule '%s' yet"):format(path)
  if args.action ~= "list" then return ui:fail(message, errors.new("NOT_FOUND", message)) end
  ui:say(message)
  return ui.output == "table" and exit.DONE or ui:table({}, M.columns)
end

function M.run(args, ui)
  local makes_one = MAKES_ONE[args.action]
  local where = (not makes_one or args.dry_run) and M.where(args)
  local missing = where and missing_file(where)
  if missing and not makes_one then return say_none(missing, args, ui) end
  if missing then
    local code, message, err = M.with_scratch(function(schedule)
      return actions[args.action](schedule, args, ui)
    end)
    return code or ui:fail(message, err)
  end
  local schedule, message, err = M.open(args)
  if not schedule then return ui:fail(message, err) end
  local ok, code = pcall(actions[args.action], schedule, args, ui)
  schedule:close()
  if not ok then error(code, 0) end
  return code
end

return M
