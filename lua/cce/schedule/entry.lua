--- What stands in a schedule: its text, its checks, and its states.
--
-- An entry is a table. `read` makes one of what stands in a store, where
-- anything may stand: only fields that are known and right get through, and
-- nothing raises. Each change returns a new table, or nil and why it cannot be;
-- an entry itself is never altered.
--
--     pending ---------+--> claimed --> sending --> done
--     failed-retrying -+       |           |
--        ^                     v           v
--        +---------------------+-----------+
--
-- What was claimed and not sent is `released`. What is claimed or being sent may
-- be claimed by another runner, once the first is dead. What recurs is `missed` when
-- its next time has come and it is not done; a person may have it `accepted` as it is.
-- All but what is being sent, and what is over, can be cancelled. What cannot be read is
-- quarantined.
-- @module cce.schedule.entry
-- @local
local json = require "cce.base.json"
local json_line = require "cce.base.json_line"
local protect = require "cce.host.protect"
local show = require "cce.text.show"
local times = require "cce.base.times"
local values = require "cce.base.values"
local width = require "cce.text.width"
local when = require "cce.schedule.when"
local windows = require "cce.base.windows"

local M = {}

local Entry = {}
Entry.__index = Entry
Entry.__name = "cce.schedule.entry"

-- Goes up together with the schema of the stores: a version that does not know an entry must not
-- even open its store, lest it put aside what others could do.
local VERSION = 1

--- The most bytes of an entry: some thousand clusters of a rotation.
M.MAX_TEXT = 256 * 1024

-- Of a text that cannot be read, as it is kept.
local MAX_QUARANTINED = 4096
local MAX_REASON, MAX_MESSAGE, MAX_NAME = 500, 500, 255
local MAX_HOLDERS = 1000

-- ---- ids -----------------------------------------------------------------------

-- Crockford's: without i, l, o and u.
local DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
local ID = "^[0-9a-hjkmnp-tv-z]+$"

local function base32(number, digits)
  local text = ""
  for _ = 1, digits do
    local digit = number % 32
    text = DIGITS:sub(digit + 1, digit + 1) .. text
    number = (number - digit) / 32
  end
  return text
end

--- An id that no other entry has; those of later ones sort behind it.
-- @tparam number now unix time
-- @treturn string 16 characters
function M.new_id(now)
  local chance = tonumber(json_line.new_id():sub(1, 9), 16) % 2 ^ 35
  return base32(math.floor(now * 1000 + 0.5), 9) .. base32(chance, 7)
end

--- Whether a value is the id of an entry.
-- @treturn boolean
function M.is_id(value)
  return type(value) == "string" and #value == 16 and value:find(ID) ~= nil
end

-- ---- texts ---------------------------------------------------------------------

--- A text that a terminal shows as it is: control characters (also those that
-- UTF-8 has beyond 127) become "?", and what is too long is cut.
-- @param text anything
-- @tparam int longest bytes
-- @treturn string
function M.clean(text, longest)
  if type(text) ~= "string" then
    local ok, made = protect.catch(tostring, text)
    text = ok and made or "what cannot be shown"
  end
  local is_cut = #text > longest
  text = width.clean_line(text:sub(1, longest))
  if not is_cut then return text end
  return (text:gsub("[\192-\255]?[\128-\191]*$", "")) .. "…"
end

local function is_plain(value, longest) return M.clean(value, longest) == value end

-- ---- checks ----------------------------------------------------------------------

local STATES = { pending = true, claimed = true, sending = true, done = true,
  ["failed-retrying"] = true, cancelled = true, quarantined = true }

local KINDS = { revoke = true, rotate = true, unknown = true }

--- Whether nothing more becomes of an entry in this state: such alone are pruned.
-- @tparam string state
-- @treturn boolean
function M.is_over(state)
  return state == "done" or state == "cancelled"
end

--- Whether a runner has nothing to do for an entry, although it was led to it: a
-- change that changes nothing puts its place right.
-- @tparam table e
-- @treturn boolean
function M.is_found_in_vain(e)
  return M.is_over(e.state) or e.state == "quarantined"
end

local is_name = values.is_id

local function plain(longest)
  return function(value)
    return is_plain(value, longest), ("at most %d bytes, and no control characters"):format(longest)
  end
end

local function is_count(value)
  return type(value) == "number" and value >= 0 and value <= 1e9 and value % 1 == 0
end

local function is_error(value)
  return type(value) == "table" and is_plain(value.code, 64)
    and is_plain(value.message, MAX_MESSAGE + 3) and when.is_time(value.at)
    and (value.request_id == nil or is_plain(value.request_id, 131))
end

local function is_grant(value)
  if type(value) ~= "table" or type(value.shared) ~= "boolean" then return false end
  if type(value.holders) ~= "table" or #value.holders > MAX_HOLDERS then return false end
  for _, holder in ipairs(value.holders) do
    if not M.is_id(holder) then return false end
  end
  return #value.holders > 0
end

-- Names by id, for people, as they were when it was put in.
local function is_names(value)
  if type(value) ~= "table" then return false end
  for id, name in pairs(value) do
    if not is_name(id) or not is_plain(name, MAX_NAME) then return false end
  end
  return true
end

-- The rules are those of the workflow that will get them. It raises on a wrong
-- type, which here is no mistake of the caller's.
local function is_rotation(value)
  if type(value) ~= "table" or type(value.clusters) ~= "table" then return false end
  for _, id in ipairs(value.clusters) do
    if not is_name(id) then return false, "clusters holds what is no id" end
  end
  local ok, checked, why = protect.catch(require("cce.workflow.rotate.options").read, value, 1)
  return ok and checked ~= nil, why or checked
end

-- Where an occurrence that was begun has its journal.
local function is_begun(value)
  return type(value) == "table" and is_plain(value.journal, 4096) and is_plain(value.host, 255)
    and when.is_time(value.occurrence) and (value.run == nil or is_plain(value.run, 255))
end

local function is_text(value)
  return type(value) == "string" and #value <= MAX_QUARANTINED
end

-- By field; in no order. Each returns whether it is right, or false and why not.
local CHECKS = {
  v = function(value) return value == VERSION end,
  id = M.is_id,
  kind = function(value) return KINDS[value] == true end,
  state = function(value) return STATES[value] == true end,
  due = when.is_time, created = when.is_time, first_intent = when.is_time,
  last_intent = when.is_time, next_try = when.is_time, ended = when.is_time,
  last_done = when.is_time, at = when.is_time, missed = when.is_time,
  retry_failed = function(value) return value == true end,
  region = is_name, project_id = is_name, cluster_id = is_name, user_id = is_name,
  agency_id = is_name, runner = is_name,
  reason = plain(MAX_REASON), request_id = plain(131), why = plain(MAX_MESSAGE + 3),
  attempts = is_count, last_error = is_error, grant = is_grant,
  names = is_names,
  every = when.check_every, options = is_rotation, begun = is_begun, text = is_text,
}

local ALWAYS = { "v", "id", "kind", "state", "created" }

local REQUIRED = {
  revoke = { "due", "cluster_id", "attempts" },
  rotate = { "due", "options", "attempts" },
  unknown = { "why", "at", "text" },
}

-- What a state must have for the runner to find its way.
local REQUIRED_OF_STATE = {
  claimed = { "runner" }, sending = { "runner", "first_intent", "last_intent" },
  ["failed-retrying"] = { "next_try" }, done = { "ended" }, cancelled = { "ended" },
}

local function missing_field(e, names)
  for _, name in ipairs(names or {}) do
    if e[name] == nil then return ("it has no %s"):format(name) end
  end
end

-- What fields must be to each other.
local function contradiction(e)
  if e.kind == "revoke" and (e.user_id == nil) == (e.agency_id == nil) then
    return "it must name a user or an agency, and not both"
  elseif e.kind ~= "revoke" and e.grant then
    return "only a revocation can end a grant"
  elseif e.ended and not M.is_over(e.state) then
    return "it ended, and did not"
  elseif (e.kind == "unknown") ~= (e.state == "quarantined") and e.state ~= "cancelled" then
    return "only what cannot be read is quarantined"
  end
end

-- The entry of the fields that are known; or nil and what is wrong with them.
local function check(data)
  if type(data) ~= "table" then return nil, "it is no object" end
  if type(data.v) == "number" and data.v > VERSION then
    return nil, "it was written by a newer version of this library"
  end
  local e = {}
  for name, check_field in pairs(CHECKS) do
    if data[name] ~= nil then
      local ok, why = check_field(data[name])
      if not ok then
        return nil, ("bad %s%s"):format(name, why and ": " .. tostring(why) or "")
      end
      e[name] = data[name]
    end
  end
  local why = missing_field(e, ALWAYS) or missing_field(e, REQUIRED[e.kind])
    or missing_field(e, REQUIRED_OF_STATE[e.state]) or contradiction(e)
  if why then return nil, why end
  return e
end

local function decode(text)
  if type(text) ~= "string" then return nil, "it is no text" end
  if #text > M.MAX_TEXT then return nil, ("its %d bytes are too many"):format(#text) end
  local data, why = json.decode(text)
  if data == nil then return nil, "it is no JSON: " .. why end
  return data
end

local function read(row)
  local data, why = decode(row.text)
  if data == nil then return nil, why end
  local e
  e, why = check(data)
  if not e then return nil, why end
  if e.id ~= row.id then return nil, "it stands under another id" end
  if e.state ~= row.state then return nil, "its state is not that of its row" end
  if e.runner ~= row.runner then return nil, "its runner is not that of its row" end
  e.revision = row.revision
  return setmetatable(e, Entry)
end

--- Read what stands in a store.
-- @tparam table row `{id=, text=, revision=, state=, runner=}`
-- @treturn[1] table the entry, with `revision`
-- @treturn[2] nil
-- @treturn[2] string why it cannot be: one line that can be shown
function M.read(row)
  local e, why = read(row)
  if e then return e end
  return nil, M.clean(why, MAX_MESSAGE)
end

--- Check a text of an entry that is not in a store yet.
-- @tparam string text
-- @treturn[1] table the entry
-- @treturn[2] nil
-- @treturn[2] string why it is none
function M.parse(text)
  local data, why = decode(text)
  if data == nil then return nil, why end
  local e
  e, why = check(data)
  if not e then return nil, M.clean(why, MAX_MESSAGE) end
  return setmetatable(e, Entry)
end

-- ---- writing -----------------------------------------------------------------------

-- No two live grants of one principal in one cluster.
local function unique_of(e)
  if not e.grant or M.is_over(e.state) then return nil end
  return ("grant/%s/%s/%s"):format(e.cluster_id, e.user_id and "user" or "agency",
    e.user_id or e.agency_id)
end

--- The text of an entry, and what its store must know of it.
-- @tparam table e
-- @treturn string JSON
-- @treturn table `{state=, due=, ended=, unique=, runner=}`
function M.write(e)
  local data = {}
  for name in pairs(CHECKS) do data[name] = e[name] end
  return assert(json.encode(data)), { state = e.state, due = e.state == "pending" and e.due
      or e.state == "failed-retrying" and e.next_try or nil, ended = e.ended,
    unique = unique_of(e), runner = e.runner }
end

--- A new entry that waits for its time.
-- @tparam table fields
-- @tparam number now unix time
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string why there can be none
function M.new(fields, now)
  local data = { v = VERSION, id = M.new_id(now), state = "pending", created = now, attempts = 0 }
  for name, value in pairs(fields) do data[name] = value end
  local e, why = check(data)
  if not e then return nil, M.clean(why, MAX_MESSAGE) end
  if #M.write(e) > M.MAX_TEXT then return nil, "it is too large" end
  return setmetatable(e, Entry)
end

-- ---- states ------------------------------------------------------------------------

local function set(...)
  local states = {}
  for _, name in ipairs { ... } do states[name] = true end
  return states
end

local WAITING = set("pending", "failed-retrying")

-- By what is to become of an entry: from which states.
local FROM = {
  claimed = set("pending", "failed-retrying", "claimed", "sending"),
  sending = set "claimed",
  done = set "sending",
  retrying = set("claimed", "sending"),
  released = set "claimed",
  cancelled = set("pending", "failed-retrying", "claimed", "quarantined"),
  extended = WAITING,
  joined = set "pending",
  left = WAITING,
  retried = set "failed-retrying",
  accepted = set "failed-retrying",
  missed = set "claimed",
}

local function fits(e, change)
  if FROM[change][e.state] then return true end
  return nil, ("it is %s, and cannot be %s"):format(e.state, change)
end

-- The copy has no holder, and its revision is the store's to tell.
local function copy_of(e, state)
  local copy = {}
  for name, value in pairs(e) do copy[name] = value end
  copy.state, copy.runner, copy.revision = state, nil, nil
  return setmetatable(copy, Entry)
end

--- Claimed by a runner. What another one holds can be claimed once that one is dead,
-- which the `guard` of `schedule:change` makes sure of.
function M.claimed(e, runner)
  local ok, why = fits(e, "claimed")
  if not ok then return nil, why end
  if e.runner == runner then return nil, "it is claimed by this runner already" end
  local new = copy_of(e, "claimed")
  new.runner = runner
  return new
end

--- About to be sent by the runner that claimed it.
function M.sending(e, now)
  local ok, why = fits(e, "sending")
  if not ok then return nil, why end
  local new = copy_of(e, "sending")
  new.runner, new.next_try = e.runner, nil
  new.first_intent, new.last_intent = e.first_intent or now, now
  new.attempts, new.retry_failed = e.attempts + 1, nil
  return new
end

-- The next time of what recurs begins with nothing behind it. Where its windows never open
-- again there is none, and it has ended.
local function recurring(e, now)
  local due = M.next_occurrence(e, now)
  local new = copy_of(e, due and "pending" or "done")
  if due then new.due, new.attempts = due, 0 else new.ended = now end
  new.last_done = now
  new.first_intent, new.last_intent, new.last_error, new.next_try = nil, nil, nil, nil
  new.begun, new.retry_failed = nil, nil
  return new
end

--- The next time of what recurs has come, and the last is not done: nil, unless that
-- is so. What was begun is taken over with its journal. What was never tried is only
-- late.
function M.missed(e, now)
  local due = e.every and e.attempts > 0 and when.last(e.every, M.windows(e), now)
  if not due or due <= e.due or not fits(e, "missed") then return nil end
  local new = copy_of(e, "claimed")
  new.runner, new.missed, new.due, new.attempts = e.runner, e.due, due, 0
  new.first_intent, new.last_intent, new.last_error, new.next_try = nil, nil, nil, nil
  if e.begun then
    new.begun = { journal = e.begun.journal, host = e.begun.host, occurrence = due,
      run = M.run_of(due) }
  end
  return new
end

--- Nothing of it was begun, and its windows never open again: nil, unless that is so.
function M.shut(e, now)
  if e.begun or not M.never_opens(e, now) or not fits(e, "cancelled") then return nil end
  local new = M.cancelled(e, now)
  new.last_error = { code = "CANCELLED", at = now,
    message = "its windows never open again: nothing was begun, and nothing will be" }
  return new
end

--- The name of the run of an occurrence.
-- @tparam number due unix time
-- @treturn string
function M.run_of(due)
  return times.format(due)
end

--- What recurs, as done as it is: it waits for its next time.
function M.accepted(e, now)
  if not e.every then return false, "does not recur: cancel it" end
  local ok, why = fits(e, "accepted")
  if not ok then return nil, why end
  return recurring(e, now)
end

--- Done. What recurs is pending again, for its next time.
function M.done(e, now, request_id)
  local ok, why = fits(e, "done")
  if not ok then return nil, why end
  local new = e.every and recurring(e, now) or copy_of(e, "done")
  if not e.every then new.ended = now end
  new.request_id = request_id and M.clean(request_id, 128)
  return new
end

--- Failed, to be tried again. A try that could not even begin counts too.
-- @tparam table e
-- @tparam number now
-- @tparam table err of `cce.error`
-- @tparam number next_try unix time; moved into the window of what recurs
function M.retrying(e, now, err, next_try)
  local ok, why = fits(e, "retrying")
  if not ok then return nil, why end
  local new = copy_of(e, "failed-retrying")
  if e.state == "claimed" then new.attempts = e.attempts + 1 end
  new.next_try = M.opens(e, next_try)
  new.last_error = { code = M.clean(err.code, 60), message = M.clean(err.message, MAX_MESSAGE),
    request_id = err.request_id and M.clean(err.request_id, 128), at = now }
  return new
end

--- Given back by the runner that claimed it, as if it had not been claimed.
function M.released(e)
  local ok, why = fits(e, "released")
  if not ok then return nil, why end
  local new = copy_of(e, e.attempts > 0 and "failed-retrying" or "pending")
  if new.state == "failed-retrying" then new.next_try = e.next_try or e.due end
  return new
end

--- Not to be done.
function M.cancelled(e, now)
  local ok, why = fits(e, "cancelled")
  if not ok then return nil, why end
  local new = copy_of(e, "cancelled")
  new.ended, new.next_try = now, nil
  return new
end

--- To be done at another time.
function M.extended(e, due)
  local ok, why = fits(e, "extended")
  if not ok then return nil, why end
  local new = copy_of(e, "pending")
  new.due, new.next_try = due, nil
  return new
end

--- To wait for its windows. What failed is as overdue as before, and its time is still that by
-- which the next one comes.
function M.put_off(e, opens)
  if e.state ~= "failed-retrying" then return M.extended(e, opens) end
  local new = copy_of(e, e.state)
  new.next_try = opens
  return new
end

--- Held by one more, and ended at the later of the two times. Only what is shared and
-- was never tried: a request that may be on its way would cut what the new holder is
-- about to get.
-- @tparam table e of a grant
-- @tparam number due unix time
-- @tparam string holder an id
function M.joined(e, due, holder)
  local ok, why = fits(e, "joined")
  if not ok then return nil, why end
  if e.first_intent then return nil, "its revocation was tried already" end
  if not e.grant.shared then return nil, "it is not shared" end
  if #e.grant.holders == MAX_HOLDERS then return nil, "too many share it" end
  local new = M.extended(e, math.max(e.due, due))
  new.grant = { shared = true, holders = {} }
  for i, each in ipairs(e.grant.holders) do new.grant.holders[i] = each end
  new.grant.holders[#e.grant.holders + 1] = holder
  return new
end

--- Held by one less. Its time stays, and the last one cannot leave.
function M.left(e, holder)
  local ok, why = fits(e, "left")
  if not ok then return nil, why end
  local new = copy_of(e, e.state)
  new.grant = { shared = e.grant.shared, holders = {} }
  for _, each in ipairs(e.grant.holders) do
    if each ~= holder then new.grant.holders[#new.grant.holders + 1] = each end
  end
  if #new.grant.holders == 0 then return nil, "nobody else holds it" end
  return new
end

--- To be tried again at once, although its next try is later.
-- @tparam table e
-- @tparam number now
-- @tparam[opt] boolean retry_failed jobs that failed, too
function M.retried(e, now, retry_failed)
  if retry_failed and e.kind ~= "rotate" then return false, "has no jobs that could fail" end
  local ok, why = fits(e, "retried")
  if not ok then return nil, why end
  local new = copy_of(e, e.state)
  new.next_try, new.retry_failed = now, retry_failed or e.retry_failed
  return new
end

--- What stands in a row in place of what could not be read.
-- @tparam table row as it was found
-- @tparam string why
-- @tparam number now unix time
-- @treturn string text for `store:update`
-- @treturn table fields
function M.quarantine(row, why, now)
  local kept = type(row.text) == "string" and row.text:sub(1, MAX_QUARANTINED) or ""
  return M.write { v = VERSION, id = row.id, kind = "unknown", state = "quarantined",
    created = now, at = now, why = M.clean(why, MAX_MESSAGE), text = kept }
end

--- A row for people: the entry, or what can be said of one that is none.
-- @tparam table row
-- @treturn table
function M.describe(row)
  local e, why = M.read(row)
  if e then return e end
  return setmetatable({ id = M.clean(row.id, 64), kind = "unknown", state = "quarantined",
    why = why, revision = row.revision }, Entry)
end

-- ---- times -------------------------------------------------------------------------

--- When what recurs is due next.
-- @tparam table e
-- @tparam number now unix time
-- @treturn ?number nil when its windows never open again
function M.next_occurrence(e, now)
  return when.next(e.every, M.windows(e), now)
end

--- The maintenance windows of a rotation.
-- @tparam table e
-- @treturn ?table of `cce.base.windows`; nil when it may be begun at all times
function M.windows(e)
  local opts, every = e.options or {}, e.every or {}
  if opts.windows or opts.except then
    return assert(windows.read(opts.windows, opts.except, opts.zone))
  end
  return every.window and assert(windows.read(every.window))
end

--- Whether its windows are closed for ever.
function M.never_opens(e, now)
  local open = M.windows(e)
  return open ~= nil and open:opens(now) == nil
end

--- The first moment from a time on that the entry's windows allow. What is begun
-- late, since no runner ran, must be inside too.
-- @tparam table e
-- @tparam number time
-- @treturn number the same when there are no windows, and when they never open again: the run
--   says that it does not begin
function M.opens(e, time)
  local open = M.windows(e)
  return open and open:opens(time) or time
end

-- ---- for people ----------------------------------------------------------------------

-- So many clusters are named, not counted.
local FEW = 3

local function named(e, id)
  local name = e.names and e.names[id]
  return name and ("%s (%s)"):format(name, id) or id
end

--- What an entry is about, in a few words.
-- @treturn string
function M.subject(e)
  if e.kind == "revoke" then
    return ("%s %s in cluster %s"):format(e.user_id and "user" or "agency",
      named(e, e.user_id or e.agency_id), named(e, e.cluster_id))
  elseif e.kind ~= "rotate" then
    return "an entry that cannot be read"
  end
  local chosen, text = e.options.clusters, "clusters"
  if #chosen > FEW then
    text = show.count(#chosen, "cluster")
  elseif #chosen > 0 then
    local list = {}
    for i, id in ipairs(chosen) do list[i] = named(e, id) end
    text = (#chosen > 1 and "clusters " or "cluster ") .. table.concat(list, ", ")
  elseif chosen.name then
    text = chosen.name == "*" and "all clusters" or "clusters named " .. M.clean(chosen.name, 128)
  end
  return e.every and ("%s every %s"):format(text, show.span(e.every.seconds)) or text
end

function Entry:__tostring()
  local text = ("%s %s: %s %s"):format(self.id, self.state, self.kind, M.subject(self))
  if self.due then text = text .. ", due " .. show.time(self.due) end
  if self.last_error then text = text .. ": " .. self.last_error.message end
  if self.why then text = text .. ": " .. self.why end
  return text
end

return M
