--- One entry from its claim to what became of it.
--
-- The order is what keeps the promise: the claim, under a lease; the intent, on
-- disk; a last look at the lease, the clock and the entry's time, right before the
-- request leaves; the outcome, written until it is on disk. A runner that dies in
-- between leaves an entry that says so.
-- @module cce.schedule.runner.work
-- @local
local backoff = require "cce.schedule.runner.backoff"
local entries = require "cce.schedule.entry"
local errors = require "cce.error"
local leases = require "cce.schedule.runner.lease"
local project = require "cce.api.project"
local protect = require "cce.host.protect"
local rotation = require "cce.schedule.runner.rotation"

local M = {}

-- A request that was first meant so long ago may cut certificates that were
-- issued since; seconds.
local OLD_INTENT = 600

-- For how long the clock of the API is believed to be that far behind; seconds.
local LONGEST_EARLY = 3600

-- ---- events --------------------------------------------------------------------------

local TOLD = { "id", "kind", "cluster_id", "user_id", "agency_id", "region", "project_id", "due",
  "attempts", "first_intent", "next_try" }

local function tell(run, what, e, more)
  local event = { type = what }
  for _, name in ipairs(TOLD) do event[name] = e[name] end
  for name, value in pairs(more or {}) do event[name] = value end
  run:tell(event)
end

-- ---- what cannot be read ---------------------------------------------------------------

--- Put aside what cannot be read, and say so.
-- @tparam table run
-- @tparam table row
-- @tparam string why
function M.quarantine(run, row, why)
  local text, fields = entries.quarantine(row, why, run.clock())
  local ok, message, err = run.store:update(row.id, row.revision, text, fields)
  if not ok and err.code == "CONFLICT" then return end
  if not ok then run:store_failed(message, err) end
  run:tell { type = "quarantined", id = entries.clean(row.id, 64), message = why }
end

-- ---- the claim -------------------------------------------------------------------------

-- The time by the clock of the machine, or by that of the API when it said that the
-- two differ and that is behind.
local function earlier_clock(job)
  local now, client = job.run.clock(), job.client
  return client and client.clock_shift ~= 0 and math.min(now, client:now()) or now
end

-- Whose time has not come by one of the two clocks: seconds to wait, or false.
local function early_by(job)
  local early = job.entry.due - earlier_clock(job)
  return not job.at_once and early > 0 and early
end

-- ---- writing ---------------------------------------------------------------------------

-- After a conflict: it was our own earlier try; or another writer was faster, a runner or
-- a cancellation. That is not told of a mere claim.
local function settle(job, new)
  local run, e = job.run, job.entry
  local row, message, err = run.store:get(e.id)
  if not row then return nil, message, err end
  local now = entries.read(row)
  -- A write whose answer was lost may have been made.
  local is_ours = now ~= nil and now.state == new.state and now.runner == new.runner
    and now.last_intent == new.last_intent and now.next_try == new.next_try
    and now.ended == new.ended and now.last_done == new.last_done
  if is_ours then return now end
  if new.state ~= "claimed" then
    tell(run, "superseded", e, { step = new.state, state = row.state, runner = row.runner })
  end
  return errors.fail("CONFLICT", ("entry %s is %s, by another writer"):format(e.id, row.state))
end

local ENDS = { CONFLICT = true, NOT_FOUND = true, LEASE_LOST = true }

-- Change the entry, however long the store stays away.
local function write(job, new, guard)
  local run, failures = job.run, 0
  while true do
    local changed, message, err = run.schedule:change(job.entry, new, guard)
    if not changed and err.code == "CONFLICT" then changed, message, err = settle(job, new) end
    if changed then
      job.entry = changed
      run:store_worked(true)
      return true
    end
    if err.code == "LEASE_LOST" then run.lease:lose(job.session) end
    if ENDS[err.code] then return nil, message, err end
    run:store_failed(message, err, true)
    -- What only the holder of the lease may do is not tried beyond its end. The outcome of
    -- a request is, for as long as the process lives; but where a caller waits for the end
    -- of the run, only until other runners may have the entry anyway.
    local gives_up = guard and run.stopped
      or (guard or run:must_end()) and leases.left(job.session) <= 0
    if gives_up then return nil, message, err end
    failures = failures + 1
    run.sleep(math.min(backoff.store_delay(failures, run.random), 5))
  end
end

-- ---- the outcome -----------------------------------------------------------------------

--- Give back what was claimed and not begun.
local function release(job)
  write(job, assert(entries.released(job.entry)))
end

local function note_done(job, request_id)
  local run, before = job.run, job.entry
  -- What recurs must not wait for a next time that a clock that is ahead has thought of.
  local now = before.every and earlier_clock(job) or run.clock()
  local new = assert(entries.done(before, now, request_id))
  local ok, message, err = write(job, new)
  local more, first = { request_id = request_id, late = now - before.due }, job.resent
  if first then
    more.first_intent, more.resent = first, true
    more.may_have_cut_newer = (job.entry.last_intent or first) - first > OLD_INTENT or nil
  end
  -- The revocation itself stands, whichever runner has the entry now.
  more.unwritten = message
  run.done = run.done + (ok and 1 or 0)
  tell(run, "done", before, more)
  if not ok then return nil, message, err end
  return true
end

local function note_failed(job, err)
  local run, before = job.run, job.entry
  local now, early = run.clock(), early_by(job)
  local next_try = now
  if early then
    -- The time by our clock at which the API's clock will say that it is due; but what
    -- is due by ours is never left alone for long, whatever the API says.
    next_try = math.max(before.due, now + math.min(early, LONGEST_EARLY))
  elseif err.code ~= "CANCELLED" and err.code ~= "LEASE_LOST" then
    local attempts = before.state == "claimed" and before.attempts + 1 or before.attempts
    next_try = now + backoff.delay(attempts, err, run.policy, run.random)
  end
  local new = assert(entries.retrying(before, now, err, next_try))
  local ok = write(job, new)
  tell(run, "failed", new, { code = err.code, message = err.message, hint = err.hint,
    maybe_applied = err.maybe_applied, request_id = err.request_id,
    state = before.state, unwritten = not ok or nil })
  -- What nothing but a person mends is overdue at once; told once for each reason.
  local last = before.last_error
  if err.is_closed and (not last or last.code ~= err.code or job.retry_failed) then
    tell(run, "overdue", before, { seconds = run.clock() - before.due, code = err.code,
      message = err.message, hint = err.hint })
  end
  return nil, err.message, err
end

-- ---- sending ---------------------------------------------------------------------------

--- Whether the request may leave now: asked right before it does.
-- @tparam table job
-- @treturn[1] number seconds that it may take
-- @treturn[2] nil
-- @treturn[2] string why not
-- @treturn[2] ?table err
function M.may_leave(job)
  local run = job.run
  if run:must_stop() then return nil, "the runner is being stopped" end
  local early = early_by(job)
  if early then return nil, ("it is due only in %.3g s"):format(early) end
  local left = leases.left(job.session)
  if left > 0 then return left end
  local why = "the runner's lease is over"
  return nil, why, errors.new("LEASE_LOST", why, { retryable = true })
end

local function fault_of(message, err)
  if errors.is(err) then return err end
  message = type(message) == "string" and message or "client_for returned no client and no message"
  return errors.new("RAISED", message, { retryable = true })
end

local function is_client(value)
  return type(value) == "table" and type(value.config) == "table"
end

-- The client is asked for with a copy: what is on disk is not the caller's to alter.
local function find_client(job)
  local item = {}
  for name, value in pairs(job.entry) do item[name] = value end
  local ok, client, message, err = protect.catch(job.run.client_for, item)
  if not ok then return nil, fault_of("client_for raised: " .. entries.clean(client, 500)) end
  if client == nil or client == false then return nil, fault_of(message, err) end
  if not is_client(client) or client.closed then
    return nil, fault_of(("client_for returned %s"):format(
      is_client(client) and "a closed client" or "a " .. type(client) .. ", not a client"))
  end
  local known, wanted = project.known(client), job.entry.project_id
  if known and wanted and known ~= wanted then
    return nil, fault_of(("client_for returned a client of project %s, but the entry is of %s")
      :format(known, wanted))
  end
  return client
end

-- The request of an entry that was meant to be sent before may have left then. A
-- rotation is resumed by its journal, and sends nothing again.
local function tell_resent(job)
  local first = job.entry.first_intent
  if not first then return end
  if job.entry.kind == "rotate" then return tell(job.run, "resumed", job.entry) end
  job.resent = first
  tell(job.run, "resent", job.entry, { first_intent = first,
    may_have_cut_newer = job.run.clock() - first > OLD_INTENT or nil })
end

-- How each kind is carried out: true and perhaps the request's id, or nil, message, err.
local carry_out = { rotate = rotation.carry_out }

-- A cluster that is gone answers 404 for ever: only a person can end that.
local function explain_not_found(job, err)
  local e = job.entry
  local cluster, message, problem = job.client:show_cluster(e.cluster_id)
  local cancel = ("`cce schedule cancel %s`"):format(e.id)
  if cluster then
    message = ("the API answers 404 to the revocation, though the cluster is there (%s): %s; to end"
      .. " it: %s"):format(cluster.status or "in no phase", err.message, cancel)
  elseif problem.code == "NOT_FOUND" then
    message = "the cluster is gone: cancel it with " .. cancel
  else
    message = ("the API answers 404, and whether the cluster is gone cannot be seen (%s); if it is:"
      .. " %s"):format(message, cancel)
  end
  return errors.fail("NOT_FOUND", message, { retryable = false, maybe_applied = false,
    operation = "revoke_cert", request_id = err.request_id })
end

function carry_out.revoke(job)
  local e, sent = job.entry, 0
  -- The client itself may send again, while the lease lasts: that is told, too.
  local function before_send()
    local seconds, why, problem = M.may_leave(job)
    if not seconds then return nil, why, problem end
    sent = sent + 1
    if sent > 1 then tell_resent(job) end
    return seconds
  end
  local ok, message, err, request_id = job.client:revoke_cert(e.cluster_id, {
    user_id = e.user_id, agency_id = e.agency_id, before_send = before_send,
  })
  if err and err.code == "NOT_FOUND" then return explain_not_found(job, err) end
  return ok, message, err, request_id
end

local function send(job)
  local run = job.run
  job.retry_failed = job.entry.retry_failed
  local new = assert(entries.sending(job.entry, run.clock()))
  if new.kind == "rotate" then
    local begun, _, problem = rotation.prepare(job)
    if not begun then return note_failed(job, problem) end
    new.begun = begun
  end
  tell_resent(job)
  local ok, message, err = write(job, new, { session = job.session })
  if not ok then return nil, message, err end

  local has_returned, done, request_id
  has_returned, done, message, err, request_id = protect.catch(carry_out[job.entry.kind], job)
  if not has_returned then
    return note_failed(job, errors.new("RAISED", entries.clean(done, 500)))
  end
  if done then return note_done(job, request_id) end
  return note_failed(job, errors.is(err) and err or errors.new("INTERNAL", tostring(message)))
end

-- ---- all of it -------------------------------------------------------------------------

local function begin(job)
  local run, is_held = job.run, false
  -- What recurs is done inside of its window alone, also when it is late, and also what
  -- a dead runner left: that is let go of once it is ours, and waits then.
  local opens = entries.opens(job.entry, run.clock())
  if not job.at_once and opens > run.clock() then
    local later = entries.put_off(job.entry, opens)
    if later then
      run.schedule:change(job.entry, later)
      return nil, "it waits for its window"
    end
    is_held = true
  end

  local message, err
  job.session, message, err = run.lease:get()
  if not job.session then
    run:store_failed(message, err, true)
    return nil, message, err
  end

  local e, session = job.entry, job.session
  local new, why = entries.claimed(e, session.runner)
  if not new then return errors.fail("CONFLICT", ("entry %s: %s"):format(e.id, why)) end
  if job.at_once then new.due = math.min(new.due, run.clock()) end
  local ok
  ok, message, err = write(job, new, { session = session, dead = e.runner })
  if not ok then return nil, message, err end
  run.claimed = run.claimed + 1
  if not is_held then return true end
  release(job)
  return nil, "it waits for its window"
end

-- The next time has come: what is not done by now is closed, loudly, and what is
-- pending of it is the next one's.
local function close_missed(job)
  local before = job.entry
  local new = entries.missed(before, job.run.clock())
  if not new then return true end
  local ok, message, err = write(job, new, { session = job.session })
  if not ok then return nil, message, err end
  job.run.missed = job.run.missed + 1
  local last = before.last_error
  tell(job.run, "missed", before, { clusters = rotation.undone(before), next_due = new.due,
    code = last and last.code, message = last and last.message })
  return true
end

-- What its windows never let begin ends, as loudly.
local function close_shut(job)
  local before = job.entry
  local new = entries.shut(before, earlier_clock(job))
  if not new then return true end
  local last = new.last_error
  local ok, message, err = write(job, new, { session = job.session })
  if not ok then return nil, message, err end
  job.run.missed = job.run.missed + 1
  tell(job.run, "missed", before, { code = last.code, message = last.message })
  return nil, last.message
end

local function carry(job)
  local run = job.run
  local ok, message, err = begin(job)
  if ok then ok, message, err = close_missed(job) end
  if not ok then return nil, message, err end
  local e, now, last = job.entry, run.clock(), job.entry.last_error
  if backoff.must_tell(e.due, last and last.at, now) then
    tell(run, "overdue", e, { seconds = now - e.due, code = last and last.code,
      message = last and last.message })
  end
  if run:must_stop() then
    release(job)
    return errors.fail("CANCELLED", "the runner is being stopped")
  end
  local client, problem = find_client(job)
  if not client then return note_failed(job, problem) end
  job.client = client
  ok, message, err = close_shut(job)
  if not ok then return nil, message, err end
  -- No intent is written for a request that its key keeps from being sent.
  problem = client.session and client.session:refusal()
  if problem then return note_failed(job, problem) end
  local early = early_by(job)
  if early then
    return note_failed(job, errors.new("CLOCK_SKEW", ("it is due only in %.3g s"):format(early)))
  end
  return send(job)
end

--- Do one entry.
-- @tparam table run
-- @tparam table e of `cce.schedule.entry`
-- @tparam[opt] boolean at_once although its time has not come
-- @treturn[1] boolean true: it is done, and that is on disk
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] ?table err
-- @raise Ctrl-C. The entry stays as it is on disk, claimed and perhaps with its intent:
--   whoever takes it over knows what may have been sent.
function M.process(run, e, at_once)
  local job = { run = run, entry = e, at_once = at_once, may_leave = M.may_leave }
  function job.tell(what, more) tell(run, what, job.entry, more) end
  local ok, done, message, err = protect.catch(carry, job)
  if ok then return done, message, err end
  -- A mistake of ours: what was held must not be held for ever, nor tried all the time.
  local is_held = job.session ~= nil and job.entry.runner == job.session.runner
  if not is_held then error(done, 0) end
  return note_failed(job, errors.new("INTERNAL", entries.clean(done, 500)))
end

return M
