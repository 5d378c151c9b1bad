--- What is to be done later, whatever happens to the machine that promised it:
-- `cce.schedule.open`.
--
--     local schedule = assert(cce.schedule.open "sqlite:/var/lib/cce/schedule.db")
--     local id = assert(schedule:revoke_at("2026-11-27T18:00:00+08:00", {
--       region = "cn-north-4", cluster_id = cluster_id, user_id = contractor,
--       reason = "the contract ends" }))
--
-- An entry is on disk once its id is returned. `schedule:run` does what is due:
-- in this process or another one, now or after a restart.
--
-- An entry is `pending`, then `claimed` by a runner, `sending`, and `done`; or
-- `failed-retrying`, which is tried again for ever; or `cancelled`; or
-- `quarantined`, when what stands in the store cannot be read. It is a table:
-- `id`, `kind` ("revoke" or "rotate"), `state`, `due`, `created`, `region`,
-- `project_id`, `cluster_id`, `user_id` or `agency_id`, `reason`, `attempts`,
-- `first_intent` and `last_intent` (when a request was about to leave),
-- `next_try`, `last_error` (`{code=, message=, request_id=, at=}`), `runner` (who
-- holds it), `ended`, `request_id`, and `why` it is quarantined.
-- @classmod cce.schedule
local core = require "cce.core"
local entries = require "cce.schedule.entry"
local errors = require "cce.error"
local json = require "cce.base.json"
local options = require "cce.base.options"
local rotate_options = require "cce.workflow.rotate.options"
local show = require "cce.text.show"
local stores = require "cce.schedule.store"
local values = require "cce.base.values"
local when = require "cce.schedule.when"

local M = {}

local Schedule = {}
Schedule.__index = Schedule
Schedule.__name = "cce.schedule"

-- An entry that other processes change all the time is given up for now.
local TRIES = 10

-- Farther back than this, a moment is a mistake: minutes from now, say.
local PAST = 366 * 86400

local open_schema = {
  clock = { type = "callable", default = core.sys.time },
  steady = { type = "callable", default = core.sys.boottime },
  ca_file = { type = "string", non_empty = true },
  cert = { type = "string", non_empty = true },
  key = { type = "string", non_empty = true },
  username = { type = "string", non_empty = true },
  password = { type = "string", non_empty = true },
}

--- Open a schedule.
-- @tparam string where "sqlite:<path>" for the processes of one machine (a new file
--   gets mode 0600; its directory must exist; not inside nginx; a child after fork opens
--   it anew), or "etcd:<url>[,<url>...]/<prefix>"
-- @tparam[opt] table opts
-- @tparam[opt] function opts.clock returns unix time
-- @tparam[opt] function opts.steady returns seconds that no step of the clock
--   changes, the same for all processes of the machine
-- @tparam[opt] string opts.ca_file of etcd: PEM bundle instead of the system's
-- @tparam[opt] string opts.cert of etcd: file of a client certificate
-- @tparam[opt] string opts.key of etcd: file of its key
-- @tparam[opt] string opts.username of etcd
-- @tparam[opt] string opts.password of etcd
-- @treturn[1] cce.schedule
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err code MISSING_DEPENDENCY, UNSUPPORTED, FILE_ERROR,
--   STORE_UNAVAILABLE, …
-- @usage
-- local schedule = assert(cce.schedule.open "sqlite:schedule.db")
-- @function cce.schedule.open
function M.open(where, opts)
  options.argument(where, "string", 1, "open")
  local checked, message, err = options.check(opts, open_schema)
  if not checked then return nil, message, err end
  local store, kind
  store, kind, err = stores.open(where, checked)
  if not store then return nil, kind, err end
  return setmetatable({ store = store, kind = kind, clock = checked.clock,
    steady = checked.steady }, Schedule)
end

--- Whether a value is a schedule.
-- @treturn boolean
-- @local
function M.is(value)
  return getmetatable(value) == Schedule
end

local function check_open(self, method)
  if getmetatable(self) ~= Schedule then
    error(("bad argument #1 to '%s' (cce.schedule expected, got %s); call it with a colon"):format(
      method, type(self)), 3)
  elseif self.closed then
    error("the schedule is closed", 3)
  end
end

function Schedule:__tostring()
  return ("cce.schedule (%s%s)"):format(self.kind, self.closed and ", closed" or "")
end

--- Close the schedule. What is in it stays.
-- @function schedule:close
function Schedule:close()
  if self.closed then return end
  self.closed = true
  self.store:close()
end

local function refuse(name, why)
  return errors.fail("INVALID_ARGUMENT", ("%s: %s"):format(name, why), { retryable = false,
    maybe_applied = false, operation = name })
end

-- ---- adding ------------------------------------------------------------------------

--- Put an entry in.
-- @tparam table fields of `cce.schedule.entry`
-- @treturn[1] table the entry
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err code INVALID_ARGUMENT, or CONFLICT with `holder`: the id of
--   a live grant of the same principal and cluster
-- @function schedule:add
-- @local
function Schedule:add(fields)
  local message, err
  for _ = 1, TRIES do
    local e, why = entries.new(fields, self.clock())
    if not e then return refuse("schedule", why) end
    e.revision, message, err = self.store:insert(e.id, entries.write(e))
    if e.revision then return e end
    if err.code ~= "CONFLICT" or err.holder then break end
  end
  return nil, message, err
end

local id_rule = values.id_rule

-- What `when` reads.
local TIME = { "number", "string" }

local revoke_schema = {
  region = id_rule,
  project_id = id_rule,
  cluster_id = { type = "string", check = id_rule.check, required = true },
  user_id = id_rule,
  agency_id = id_rule,
  reason = { type = "string" },
  names = { type = "table" },
}

local function check_time(name, time, now)
  local moment, why = when.parse(time)
  if moment and moment < now - PAST then moment, why = nil, "it is more than a year ago" end
  if moment then return moment end
  return refuse(name, "the time is not right: " .. why)
end

--- Revoke a user's or an agency's certificates in a cluster, at a time.
--
-- A time that has passed is due at once; one more than a year ago is refused.
-- @tparam number|string time unix time, or ISO 8601 with its zone, such as
--   "2026-11-27T18:00:00+08:00"
-- @tparam table opts
-- @tparam[opt] string opts.region by which the runner chooses its client
-- @tparam[opt] string opts.project_id the same
-- @tparam string opts.cluster_id
-- @tparam[opt] string opts.user_id
-- @tparam[opt] string opts.agency_id one of the two is mandatory
-- @tparam[opt] string opts.reason for people; up to 500 bytes
-- @tparam[opt] table opts.names of the cluster and of whom it is about, by id, for people
-- @treturn[1] string id of the entry, which is on disk
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- local id = assert(schedule:revoke_at(os.time() + 3600,
--   { cluster_id = cluster_id, user_id = contractor }))
-- @function schedule:revoke_at
function Schedule:revoke_at(time, opts)
  check_open(self, "revoke_at")
  options.argument(time, TIME, 1, "revoke_at")
  local checked, message, err = options.check(opts, revoke_schema)
  if not checked then return nil, message, err end
  checked.due, message, err = check_time("revoke_at", time, self.clock())
  if not checked.due then return nil, message, err end
  checked.kind = "revoke"
  local e
  e, message, err = self:add(checked)
  if not e then return nil, message, err end
  return e.id
end

-- Which options of the rotate workflow can wait in a store: no functions, no
-- keys, and no journal, since each occurrence has its own. Their values are
-- checked by the workflow's own rules.
local ROTATE_OPTIONS = { "component", "certificate_expiration_time", "wait", "canary",
  "concurrency", "max_failures", "repair", "reissue", "rate_limit", "accept_token_loss",
  "unless_rotated_within", "windows", "except", "zone" }

local rotate_schema = {
  region = id_rule,
  project_id = id_rule,
  cluster_id = id_rule,
  clusters = { type = "table" },
  first = { type = TIME },
  window = { type = "table" },
  reason = { type = "string" },
  names = { type = "table" },
}
for _, name in ipairs(ROTATE_OPTIONS) do rotate_schema[name] = { type = "any" } end

-- What recurs, and when it first does.
local function every_of(interval, checked, now)
  local seconds, why = when.interval(interval)
  if not seconds then return refuse("rotate_every", "the interval is not right: " .. why) end
  local first, message, err = check_time("rotate_every", checked.first or now + seconds, now)
  if not first then return nil, message, err end
  local every = { seconds = seconds, first = first }
  seconds, why = when.check_every(every)
  if not seconds then return refuse("rotate_every", why) end
  return every
end

-- The entry of a rotation that is to be done at a time, or from then on again and again.
local function add_rotation(self, name, checked, time, every)
  if (checked.cluster_id == nil) == (checked.clusters == nil) then
    return refuse(name, "give one of cluster_id and clusters")
  elseif checked.window and checked.windows then
    return refuse(name, "window is the older name of windows: give one of the two")
  end
  local opts = { clusters = checked.clusters or { checked.cluster_id } }
  for _, option in ipairs(ROTATE_OPTIONS) do opts[option] = checked[option] end
  opts.windows = opts.windows or checked.window
  local read, message, err = rotate_options.read(opts, 3)
  if not read then return nil, message, err end
  -- What has no JSON would only be found when it is written.
  local text
  text, message = json.encode(opts)
  if not text then return refuse(name, message) end
  local due = time
  local problem = read.open and read.open:problem()
  if problem then return refuse(name, "the windows are not right: " .. problem) end
  if read.open then due = read.open:opens(time) end
  if not due then return refuse(name, "its windows never open") end
  local e
  e, message, err = self:add { kind = "rotate", region = checked.region, every = every,
    project_id = checked.project_id, cluster_id = checked.cluster_id, reason = checked.reason,
    names = checked.names, options = opts, due = due }
  if not e then return nil, message, err end
  return e.id
end

--- Rotate clusters once, at a time, by a run of `cce.workflow.rotate` with a journal of its own.
--
-- It is done when its run is closed with every cluster ok. Else what is open is tried again, and it
-- is overdue, until it is done or a person cancels it.
-- @tparam number|string time as for `revoke_at`; moved to the next moment that the windows allow
-- @tparam table opts as for `rotate_every`, without `first`
-- @treturn[1] string id of the entry, which is on disk
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- local id = assert(schedule:rotate_at(os.time() + 86400, { clusters = { name = "prod-*" },
--   canary = 1 }))
-- @function schedule:rotate_at
function Schedule:rotate_at(time, opts)
  check_open(self, "rotate_at")
  options.argument(time, TIME, 1, "rotate_at")
  local checked, message, err = options.check(opts, rotate_schema)
  if not checked then return nil, message, err end
  if checked.first then return refuse("rotate_at", "first is for what recurs") end
  time, message, err = check_time("rotate_at", time, self.clock())
  if not time then return nil, message, err end
  return add_rotation(self, "rotate_at", checked, time)
end

--- Rotate clusters again and again, each time by a run of `cce.workflow.rotate`
-- with a journal of its own.
--
-- A time is done when its run is closed with every cluster ok. Else what is open is
-- tried again, and it is overdue, until it is done, or a person cancels or accepts it.
-- When the next time comes it is closed as *missed*: `schedule:run` tells of it with the
-- names of its clusters, and the new run takes over what is pending; a cluster that is
-- uncertain is left alone until it is settled.
--
-- Times are `first` and whole intervals after it, each moved to the next moment
-- that the windows allow. What was missed while no runner ran is done once, inside
-- of them; what is not begun when they close goes on when they open again. Of what they never let
-- begin again the end is *missed*, too, and the entry is cancelled. Cron expressions are not
-- understood.
-- @tparam number|string interval seconds, or such as "12h", "7d" or "4w"
-- @tparam table opts
-- @tparam[opt] string opts.region by which the runner chooses its client
-- @tparam[opt] string opts.project_id the same
-- @tparam[opt] string opts.cluster_id
-- @tparam[opt] table opts.clusters ids, or a filter such as `{name="prod-*"}`; one of the
--   two is mandatory
-- @tparam[opt] number|string opts.first the first time, as for `revoke_at`; by default one
--   interval from now
-- @tparam[opt] table opts.window older name of `windows`, which may be such a table:
--   `{weekdays={"Sat","Sun"}, from="01:00", to="05:00", zone="+08:00"}`
-- @tparam[opt] string opts.reason for people; up to 500 bytes
-- @tparam[opt] table opts.names of clusters, by id, for people
-- @param[opt] opts.component this one and `certificate_expiration_time`, `wait`, `canary`,
--   `concurrency`, `max_failures`, `repair`, `reissue`, `rate_limit`,
--   `unless_rotated_within`, `accept_token_loss`, `windows`, `except` and `zone` are those of
--   `cce.workflow.rotate`; local time is that of the runner's machine
-- @treturn[1] string id of the entry, which is on disk
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- local id = assert(schedule:rotate_every("4w", { clusters = { name = "prod-*" }, canary = 1,
--   windows = "sat 01:00-05:00", except = "2026-12-20/2027-01-05", zone = "+08:00" }))
-- @function schedule:rotate_every
function Schedule:rotate_every(interval, opts)
  check_open(self, "rotate_every")
  options.argument(interval, TIME, 1, "rotate_every")
  local checked, message, err = options.check(opts, rotate_schema)
  if not checked then return nil, message, err end
  local every
  every, message, err = every_of(interval, checked, self.clock())
  if not every then return nil, message, err end
  return add_rotation(self, "rotate_every", checked, every.first, every)
end

-- ---- reading ------------------------------------------------------------------------

--- Get an entry.
-- @tparam string id
-- @treturn[1] table the entry
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err code NOT_FOUND
-- @function schedule:get
function Schedule:get(id)
  check_open(self, "get")
  options.argument(id, "string", 1, "get")
  -- Other methods ask here, too: which one was called is not said.
  if not entries.is_id(id) then
    return errors.fail("INVALID_ARGUMENT", ("'%s' is no id of an entry"):format(
      entries.clean(id, 64)), { retryable = false, maybe_applied = false })
  end
  local row, message, err = self.store:get(id)
  if not row then return nil, message, err end
  return entries.describe(row)
end

-- Time that a runner may take to begin what has become due.
local GRACE = 60

local list_schema = {
  status = { type = "string", one_of = { "pending", "claimed", "sending", "done",
    "failed-retrying", "cancelled", "quarantined", "live", "overdue" } },
  after = { type = "string", non_empty = true },
  limit = { type = "integer", min = 1, max = 1000, default = 100 },
}

local List = show.list("cce.schedule.list",
  { "ID", "STATE", "DUE", "WHAT", "ATTEMPTS", "NOTE" }, function(e)
    local note = e.why or e.last_error and e.last_error.message or e.reason
    return { e.id, e.state, e.due and show.time(e.due),
      e.kind .. " " .. entries.subject(e), e.attempts and ("%d"):format(e.attempts), note }
  end, function(list)
    return list.next and ("more follow: after = \"%s\""):format(entries.clean(list.next, 80))
  end)

-- Those whose time has passed and which no runner took, by time.
local function overdue_pending(self, after, limit)
  local found, now = {}, self.clock()
  while #found < limit do
    local rows, message, err = self.store:due(now - GRACE, limit, after)
    if not rows then return nil, message, err end
    for _, row in ipairs(rows) do
      after, row.mark = row, ("p%.17g %s"):format(row.due, row.id)
      if row.state == "pending" and #found < limit then found[#found + 1] = row end
    end
    if #rows < limit then break end
  end
  return found
end

-- First those that failed, by id. A mark says where in which of the two a page begins.
local function overdue(self, after, limit)
  local failed_after = after and after:match "^f(.+)$"
  local due, id = (after or ""):match "^p(%S+) (.+)$"
  if after and not failed_after and not tonumber(due) then
    return refuse("list", "after is no `next` of a list of what is overdue")
  end
  local rows, message, err = {}
  if not due then
    rows, message, err = self.store:page { status = "failed-retrying", after = failed_after,
      limit = limit }
    if not rows then return nil, message, err end
    for _, row in ipairs(rows) do row.mark = "f" .. row.id end
  end
  if #rows == limit then return rows end
  local more
  more, message, err = overdue_pending(self, due and { due = tonumber(due), id = id },
    limit - #rows)
  if not more then return nil, message, err end
  for _, row in ipairs(more) do rows[#rows + 1] = row end
  return rows
end

--- List entries, the oldest first, a page at a time.
-- @tparam[opt] table opts
-- @tparam[opt] string opts.status a state; or "live": what runners have; or "overdue":
--   what failed so far, and what no runner took within a minute of its time
-- @tparam[opt] string opts.after `next` of the page before
-- @tparam[opt=100] int opts.limit up to 1000
-- @treturn[1] {table,...} entries; `next` is there when more may follow
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- print(assert(schedule:list { status = "failed-retrying" }))
-- @function schedule:list
function Schedule:list(opts)
  check_open(self, "list")
  local checked, message, err = options.check(opts, list_schema)
  if not checked then return nil, message, err end
  local rows
  if checked.status == "live" then
    rows, message, err = self.store:held(checked.after, checked.limit)
  elseif checked.status == "overdue" then
    rows, message, err = overdue(self, checked.after, checked.limit)
  else
    rows, message, err = self.store:page(checked)
  end
  if not rows then return nil, message, err end
  local list = {}
  for i, row in ipairs(rows) do list[i] = entries.describe(row) end
  local last = rows[#rows]
  if #rows == checked.limit then list.next = last.mark or last.id end
  return setmetatable(list, List)
end

-- ---- changing ------------------------------------------------------------------------

--- Replace an entry by what became of it.
-- @tparam table e as it was read
-- @tparam table new of `cce.schedule.entry`
-- @tparam[opt] table guard of the store's `update`
-- @treturn[1] table new, with its revision
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err code CONFLICT: it was changed meanwhile; LEASE_LOST
-- @function schedule:change
-- @local
function Schedule:change(e, new, guard)
  local text, fields = entries.write(new)
  local revision, message, err = self.store:update(e.id, e.revision, text, fields, guard)
  if not revision then return nil, message, err end
  new.revision = revision
  return new
end

-- What an entry is, when it cannot be what was asked for.
local function state_text(e)
  if e.state == "sending" then return "is being sent" end
  if e.state == "claimed" then return ("is claimed by runner %s"):format(e.runner) end
  if e.ended then return ("has been %s since %s"):format(e.state, show.time(e.ended)) end
  return "is " .. e.state
end

--- Change an entry however others change it meanwhile.
-- @tparam string id
-- @tparam function act called with the entry as it is, perhaps several times: what it
--   is to become; or nil, message and err
-- @treturn[1] table the new entry, with its revision
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @function schedule:alter
-- @local
function Schedule:alter(id, act)
  local message, err
  for _ = 1, TRIES do
    local e, new
    e, message, err = self:get(id)
    if not e then return nil, message, err end
    new, message, err = act(e)
    if not new then return nil, message, err end
    new, message, err = self:change(e, new)
    if new then return new end
    if err.code ~= "CONFLICT" then break end
  end
  return nil, message, err
end

-- A transition that the entry's state does not allow is nil; one that is refused for
-- another reason false, and why.
local function move(self, name, id, transition)
  local moved, message, err = self:alter(id, function(e)
    local new, why = transition(e, self.clock())
    if new then return new end
    return errors.fail("CONFLICT", ("%s: entry %s %s"):format(name, id,
      new == false and why or state_text(e)),
      { retryable = false, maybe_applied = false, operation = name })
  end)
  if moved then return true end
  return nil, message, err
end

--- Cancel an entry. Of a cancellation and a run that meet, one wins; the other is
-- told.
-- @tparam string id
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err code CONFLICT: it is being sent, or is over
-- @function schedule:cancel
function Schedule:cancel(id)
  check_open(self, "cancel")
  options.argument(id, "string", 1, "cancel")
  return move(self, "cancel", id, entries.cancelled)
end

local retry_schema = { retry_failed = { type = "boolean", default = false } }

--- Try an entry that failed again, at once. What is pending is not touched: nothing
-- happens before its time.
-- @tparam string id
-- @tparam[opt] table opts
-- @tparam[opt=false] boolean opts.retry_failed of a rotation: also send again to clusters
--   whose job failed, once, after a look at each
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err code CONFLICT: it did not fail, or is being tried
-- @function schedule:retry
function Schedule:retry(id, opts)
  check_open(self, "retry")
  options.argument(id, "string", 1, "retry")
  local checked, message, err = options.check(opts, retry_schema)
  if not checked then return nil, message, err end
  local done
  done, message, err = move(self, "retry", id, function(e, now)
    return entries.retried(e, now, checked.retry_failed or nil)
  end)
  if done == nil then return nil, message, err end
  return done
end

--- Leave what recurs at what was done of it: it is not overdue any more, and waits for
-- its next time. What was pending or uncertain of it is forgotten.
-- @tparam string id
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err code CONFLICT: it did not fail, is being tried, or does not recur
-- @function schedule:accept
function Schedule:accept(id)
  check_open(self, "accept")
  options.argument(id, "string", 1, "accept")
  return move(self, "accept", id, entries.accepted)
end

-- What recurs keeps to its times, which its window is about.
local function hastened(e, now)
  if e.every then return false, "recurs; cce.workflow.rotate rotates now" end
  if e.state == "failed-retrying" then return entries.retried(e, now) end
  return entries.extended(e, math.min(e.due or now, now))
end

--- Do an entry now, before its time: the runner of the schedule does it next. So a
-- grant can be ended by another than its holder; a shared one ends for all.
-- @tparam string id
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err code CONFLICT: it recurs, is being sent, or is over
-- @usage
-- local id = assert(schedule:revoke_at(os.time() + 3600,
--   { cluster_id = cluster_id, user_id = leaver }))
-- assert(schedule:hasten(id))
-- @function schedule:hasten
function Schedule:hasten(id)
  check_open(self, "hasten")
  options.argument(id, "string", 1, "hasten")
  return move(self, "hasten", id, hastened)
end

-- ---- running --------------------------------------------------------------------------

--- Do what is due, when it is due.
--
-- Any number of runners may work at one schedule, in any number of processes: an
-- entry is claimed by one of them, under a lease. A request leaves only while its
-- runner's lease lasts, and not before the entry's time, also by the clock of the
-- API once that has refused one for a clock that is minutes ahead; that it is about
-- to leave is in the store before, its outcome after. What a
-- runner that died left is taken over when its lease has ended. What fails is tried
-- again for ever, after a random time below a bound that grows to five minutes, or
-- to an hour where a person must mend something. While the store cannot be reached
-- the runner waits, and goes on.
--
-- Without `once` and `until_idle` it goes on until it is stopped: by `stop`, by
-- `on_event` returning false or, in a plain script, by SIGINT or SIGTERM. Then
-- nothing new is begun, what is under way ends, within the lease, and what was
-- claimed is given back.
--
-- Events are tables with `type` and `at`; those of an entry have `id`, `kind`,
-- `cluster_id`, `user_id` or `agency_id`, `due`, `attempts`, …:
--
-- * `done`: `late` seconds, `request_id`
-- * `failed`: `code`, `message`, `maybe_applied`; it is tried again at `next_try`
-- * `overdue`: it should have been done `seconds` ago; told at growing intervals, and
--   at once where only a person can mend it
-- * `missed`: the next time of what recurs has come, and this one is not done:
--   `clusters`, those that are not ok, and `next_due`; without it the windows never open
--   again, and nothing was begun
-- * `resent`: the request may have left before, at `first_intent`; with
--   `may_have_cut_newer` that is more than ten minutes ago, so that certificates
--   which were issued since are cut, too
-- * `rotated`: a call of a rotation ended: `ok`, `failed`, `skipped`, `uncertain` and
--   `pending` clusters, `report`, `journal`; `resumed`: one that was begun before goes on
-- * `superseded`: another writer, such as a cancellation, was faster; `state`
-- * `quarantined`: what cannot be read; `message`
-- * `lease_lost`, `store_unavailable`, `store_available`
-- @tparam function client_for called with a copy of an entry, returns the `cce.client`
--   for it, or nil and why there is none; which may differ by `region`, `project_id`
--   or `grant`. The clients remain the caller's.
-- @tparam[opt] table opts
-- @tparam[opt=false] boolean opts.once do what is due now and return
-- @tparam[opt=false] boolean opts.until_idle return once nothing is due and no runner
--   has anything in hand; what is due later, and what waits to be tried again, does not
--   count
-- @tparam[opt=15] number opts.lease seconds after which others take over from this
--   runner when it is dead; a request may take two less
-- @tparam[opt=10] int opts.concurrency entries at a time
-- @tparam[opt=2592000] number opts.keep seconds for which what is over is kept
-- @tparam[opt] function opts.on_event called with each event; returning false stops
-- @tparam[opt] function opts.on_look called each time that the runner has looked at the
--   schedule, every few seconds, and done what was due; returning false stops
-- @tparam[opt] function opts.stop asked several times a second; returning true stops
-- @tparam[opt] string opts.runner a name for `entry.runner`; by default the machine's
-- @tparam[opt] string opts.journal_dir a directory that outlasts this process, for the
--   journals of rotations; without it they fail
-- @tparam[opt] table opts.retry seconds: `{base=1, cap=300, floor=0.5, mend_base=60,
--   mend_cap=3600, mend_floor=30}`; the last three are for what a person must mend
-- @treturn[1] table `{done=, failed=, pending=, overdue=}`: how many entries this call
--   has done, how many wait to be tried again, how many are pending, and how many of
--   both should have been done by now (of the pending ones at least, up to 100);
--   `missed`: how many times of what recurs were closed without being done, nil when
--   there are none; `quarantined`: how many cannot be read and so are not done, nil when there are
--   none; `stopped`: why it ended early; `err`: why the counts are not known
-- @treturn[2] nil with `once`, when the store cannot be reached; or when it never could
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- local result = assert(schedule:run(function(entry)
--   return cce.new { region = entry.region }
-- end, { once = true, on_event = function(event) print(event.type, event.id) end }))
-- os.exit((result.overdue > 0 or result.missed) and 4 or 0)
-- @function schedule:run
function Schedule:run(client_for, opts)
  check_open(self, "run")
  local result, message, err = require("cce.schedule.runner").run(self, client_for, opts, 2)
  if result == nil then return nil, message, err end
  return result
end

-- ---- moving --------------------------------------------------------------------------

--- Write all entries to a file: JSON lines, mode 0600, whole or not at all. It may
-- be imported into a store of either kind. Sessions of runners are not in it: stop
-- the runners first, or what they do meanwhile is done twice.
-- @tparam string path
-- @treturn[1] number of entries
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- assert(schedule:export "schedule.jsonl")
-- @function schedule:export
function Schedule:export(path)
  check_open(self, "export")
  options.argument(path, "string", 1, "export")
  local count, message, err = require("cce.schedule.backup").export(self, path)
  if count == nil then return nil, message, err end
  return count
end

local import_schema = { dry_run = { type = "boolean", default = false } }

--- Put in what `schedule:export` wrote. Entries whose id is here already are left as
-- they are, so that the same call can be made again. What a runner held is waiting
-- again; what was being sent counts as failed, to be tried again. A file with a line
-- that is no entry is refused as a whole.
-- @tparam string path
-- @tparam[opt] table opts
-- @tparam[opt=false] boolean opts.dry_run check the file and put in nothing
-- @treturn[1] table `{added=, existing=}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err code FILE_ERROR or UNSUPPORTED: nothing was put in
-- @function schedule:import
function Schedule:import(path, opts)
  check_open(self, "import")
  options.argument(path, "string", 1, "import")
  local checked, counts, message, err
  checked, message, err = options.check(opts, import_schema)
  if not checked then return nil, message, err end
  counts, message, err = require("cce.schedule.backup").import(self, path, checked.dry_run)
  if counts == nil then return nil, message, err end
  return counts
end

return M
