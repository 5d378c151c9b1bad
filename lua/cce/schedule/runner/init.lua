--- Doing what is due: `schedule:run`.
--
-- A run is a row of passes. A pass does all that is due and what dead runners
-- left, so many at a time, under one lease that is renewed beside the work; at its
-- end the lease is given back. Between passes nothing is held, and the runner
-- sleeps until the next entry is due.
-- @module cce.schedule.runner
-- @local
local ahead = require "cce.schedule.runner.ahead"
local backoff = require "cce.schedule.runner.backoff"
local core = require "cce.core"
local entries = require "cce.schedule.entry"
local errors = require "cce.error"
local feeds = require "cce.schedule.runner.feed"
local host = require "cce.host"
local leases = require "cce.schedule.runner.lease"
local options = require "cce.base.options"
local protect = require "cce.host.protect"
local work = require "cce.schedule.runner.work"

local M = {}

local Run = {}
Run.__index = Run

local DAY = 86400

-- Seconds: how soon it is noticed that a worker has ended, that more has come due
-- meanwhile, and that it shall stop; how long it sleeps although nothing is due,
-- since others add entries.
local PAUSE, LOOK, SLICE, LONGEST_SLEEP = 0.02, 0.5, 0.1, 2

-- What is over is removed now and then, so many at a time.
local PRUNE_EVERY, PRUNE_AGAIN, PRUNE_BATCH = 600, 5, 200

local MOST_ROWS = 100

local retry_schema = {}
for name, seconds in pairs(backoff.defaults) do
  retry_schema[name] = { type = "number", min = 0, max = 7 * DAY, default = seconds,
    unit = "seconds" }
end

local schema = {
  once = { type = "boolean", default = false },
  until_idle = { type = "boolean", default = false },
  lease = { type = "number", min = 5, max = 600, default = 15, unit = "seconds" },
  concurrency = { type = "integer", min = 1, max = 1000, default = 10 },
  keep = { type = "number", min = 0, default = 30 * DAY, unit = "seconds" },
  on_event = { type = "callable" },
  on_look = { type = "callable" },
  runner = { type = "string", check = function(name)
    return #name <= 64 and name:match "^%w[%w_-]*$" ~= nil,
      "a name of 1 to 64 letters, digits, \"_\" or \"-\""
  end },
  journal_dir = { type = "string", non_empty = true },
  stop = { type = "callable" },
  retry = { type = "table" },
}

-- ---- telling ---------------------------------------------------------------------------

--- Stop: nothing new is begun.
function Run:stop(reason)
  self.stopped = self.stopped or reason
end

-- A callback that fails must not stop a revocation.
local function call_back(run, name, argument)
  if not run[name] then return end
  local ok, answer = protect.catch(run[name], argument)
  if not ok then
    io.stderr:write("cce: ", name, " failed: ", entries.clean(answer, 500), "\n")
  elseif answer == false then
    run:stop(name)
  end
end

--- Tell what happened.
-- @tparam table event
function Run:tell(event)
  event.at = self.clock()
  call_back(self, "on_event", event)
end

--- Note that the store failed: told at once, then at growing intervals.
-- @tparam string message
-- @tparam table err
-- @tparam[opt] boolean is_write a full disk can still be read
function Run:store_failed(message, err, is_write)
  local now = self.steady()
  self.trouble = self.trouble or { since = now, tell_at = now }
  local trouble = self.trouble
  trouble.message, trouble.err = message, err
  trouble.is_write = trouble.is_write or is_write
  if err.must_reopen then
    self.store_is_lost = err
    self:stop "its store is lost"
  end
  if now < trouble.tell_at then return end
  trouble.tell_at = now + math.max(1, math.min(300, now - trouble.since))
  self:tell { type = "store_unavailable", code = err.code, message = message, hint = err.hint,
    seconds = now - trouble.since }
end

--- Note that it works.
-- @tparam[opt] boolean is_write
function Run:store_worked(is_write)
  local trouble = self.trouble
  if not trouble or trouble.is_write and not is_write then return end
  self.trouble = nil
  self:tell { type = "store_available", seconds = self.steady() - trouble.since }
end

--- Whether a caller waits for the end of the run.
-- @treturn boolean
function Run:must_end()
  return self.once or self.stopped ~= nil
end

--- Whether the run is to stop: asked of the option `stop` and the signals.
-- @treturn boolean
function Run:must_stop()
  if self.stopped then return true end
  if self.stop_asked and self.stop_asked() then self:stop "stop" end
  local signal = self.signals and self.signals:wait(0)
  if signal then self:stop(signal) end
  return self.stopped ~= nil
end

--- Whether something is in hand, or the lease not given back yet.
-- @treturn boolean
function Run:has_work()
  return self.workers > 0 or self.lease.session ~= nil
end

-- ---- a pass ----------------------------------------------------------------------------

local function process(run, row)
  local e, why = entries.read(row)
  if not e then return work.quarantine(run, row, why) end
  if entries.is_found_in_vain(e) then return run.schedule:change(e, e) end
  work.process(run, e)
end

local function next_row(run)
  if run:must_stop() then return nil end
  if not run.feed:load() then return nil end
  return run.feed:take()
end

-- No iterator: Lua 5.1 cannot yield inside of one.
local function do_rows(run)
  local row = next_row(run)
  while row do
    run.feed.active[row.id] = true
    local ok, problem = protect.catch(process, run, row)
    run.feed.active[row.id] = nil
    -- A mistake of ours must not stop the rest. The entry is left to be taken over.
    if not ok then
      run:tell { type = "failed", id = entries.clean(row.id, 64), code = "INTERNAL",
        message = entries.clean(problem, 500) }
    end
    row = next_row(run)
  end
end

-- What is raised here, Ctrl-C above all, ends the run, which raises it once nothing is in
-- hand any more.
local function serve(run)
  local ok, problem = protect.pcall(do_rows, run)
  run.workers = run.workers - 1
  if ok then return end
  run.problem = run.problem or problem
  run:stop "it was interrupted"
end

-- Look for more: the next page, or, when all was seen and some are still at work,
-- what came due meanwhile.
local function look(run, next_look)
  local feed, now = run.feed, run.steady()
  if run.stopped or now < next_look then return next_look end
  if feed.is_at_end and feed:is_empty() and not run.once then feed:rewind() end
  local ok, message, err = feed:load()
  if ok then
    run.look_failed = nil
    run:store_worked()
    return now + (feed.is_at_end and LOOK or 0)
  end
  run:store_failed(message, err)
  run.look_failed = { message, err }
  return now + LOOK
end

local function lead(run)
  local next_look = run.steady()
  repeat
    if run:must_stop() then run.feed:drop() end
    next_look = look(run, next_look)
    -- As many workers as there is work for.
    for _ = 1, math.min(run.feed:count(), run.concurrency - run.workers) do
      run.workers = run.workers + 1
      host.current().spawn(function() serve(run) end)
    end
    local is_busy = run.workers > 0 or not run.feed:is_empty()
    local is_over = run.feed.is_at_end or run.look_failed
    if is_busy or not is_over then run.sleep(PAUSE) end
  until not is_busy and is_over
  if run.problem then error(run.problem, 0) end
end

-- Do something while the lease is renewed beside it. Ctrl-C leaves the lease to its end:
-- what it came in may still have a request under way.
local function beside_lease(run, body)
  local is_over, problem = false, nil
  host.current().each(2, 2, function(number)
    if number == 2 then return run.lease:keep(function() return is_over end) end
    local ok, what = protect.pcall(body)
    is_over = true
    if not ok then error(what, 0) end
  end, function(_, ok, what)
    if not ok then problem = problem or what end
  end)
  run.lease:close()
  if problem then error(problem, 0) end
end

--- Do all that is due.
-- @treturn[1] boolean true
-- @treturn[2] nil when the store could not be asked
-- @treturn[2] string message
-- @treturn[2] table err
function Run:pass()
  self.look_failed, self.workers = nil, 0
  local claimed = self.claimed
  ahead.look(self)
  self.feed:rewind(self.once and self.clock() or nil)
  beside_lease(self, function() lead(self) end)
  self.was_busy = self.claimed > claimed
  if self.look_failed then return nil, self.look_failed[1], self.look_failed[2] end
  call_back(self, "on_look")
  return true
end

-- ---- between passes --------------------------------------------------------------------

local function nap(run, seconds)
  local till = run.steady() + seconds
  while not run:must_stop() do
    local left = till - run.steady()
    if left <= 0 then return end
    run.sleep(math.min(left, SLICE))
  end
end

--- Remove some of what was over long ago.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function Run:prune()
  if self.steady() < self.prune_at then return true end
  local count, message, err = self.store:prune(self.clock() - self.keep, PRUNE_BATCH)
  if not count then return nil, message, err end
  self.prune_at = self.steady() + (count == PRUNE_BATCH and PRUNE_AGAIN or PRUNE_EVERY)
  return true
end

--- Seconds until it is worth looking again.
-- @tparam number longest
-- @treturn[1] number
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function Run:next_wait(longest)
  local due, message, err = self.store:next_due()
  if due == nil then return nil, message, err end
  if not due then return longest end
  local left = due - self.clock()
  -- What is due although nothing could be claimed just now.
  if left <= 0 then return self.was_busy and 0 or LOOK end
  return math.min(longest, left)
end

-- Whether nothing is due, and no runner has anything in hand.
local function is_idle(run)
  local due, message, err = run.store:next_due()
  if due == nil then return nil, message, err end
  if due and due <= run.clock() then return false end
  local held
  held, message, err = run.store:held(nil, 1)
  if not held then return nil, message, err end
  return #held == 0
end

-- true: the run is over.
local function rest(run)
  local ok, message, err = run:prune()
  if not ok then return nil, message, err end
  if run.once then return true end
  if run.until_idle then
    local idle
    idle, message, err = is_idle(run)
    if idle == nil then return nil, message, err end
    if not idle then nap(run, SLICE) end
    return idle
  end
  local seconds
  seconds, message, err = run:next_wait(LONGEST_SLEEP)
  if not seconds then return nil, message, err end
  nap(run, seconds)
  return false
end

-- Until it is over or stopped. What never worked and cannot pass ends it, and so
-- does any failure when it shall run just once; and a store that must be opened anew:
-- whoever starts the runner again does that.
local function go_on(run)
  local failures, has_worked = 0, false
  while not run:must_stop() do
    local over, message, err = run:pass()
    if over then over, message, err = rest(run) end
    if over then return true end
    if over == nil then
      run:store_failed(message, err)
      if run.once or not has_worked and err.retryable == false then return nil, message, err end
      failures = failures + 1
      nap(run, backoff.store_delay(failures, run.random))
    else
      failures, has_worked = 0, true
      run:store_worked()
    end
  end
  if run.store_is_lost then return nil, run.store_is_lost.message, run.store_is_lost end
  return true
end

-- ---- the result ------------------------------------------------------------------------

local Result = { __name = "cce.schedule.result" }

function Result:__tostring()
  return ("schedule: %d done, %d failed, %d pending, %d overdue%s%s%s"):format(self.done,
    self.failed or 0, self.pending or 0, self.overdue or 0,
    self.missed and (", %d missed"):format(self.missed) or "",
    self.quarantined and (", %d in quarantine"):format(self.quarantined) or "",
    self.stopped and ", stopped: " .. tostring(self.stopped) or "")
end

local COUNTED = { failed = "failed-retrying", pending = "pending", quarantined = "quarantined" }

local function count_all(run, result)
  local message, err
  for name, state in pairs(COUNTED) do
    result[name], message, err = run.store:count(state)
    if not result[name] then return nil, message, err end
  end
  if result.quarantined == 0 then result.quarantined = nil end
  -- And of the pending ones those whose time has come: few; else the caller waits for the
  -- end of the run, and "at least so many" is enough.
  local rows
  rows, message, err = run.store:due(run.clock(), MOST_ROWS)
  if not rows then return nil, message, err end
  result.overdue = result.failed
  for _, row in ipairs(rows) do
    if row.state == "pending" then result.overdue = result.overdue + 1 end
  end
  return true
end

-- ---- making one --------------------------------------------------------------------------

--- Make a run.
-- @tparam cce.schedule schedule
-- @tparam function client_for
-- @tparam table opts checked
-- @treturn table
function M.new(schedule, client_for, opts)
  local file = io.open "/proc/sys/kernel/hostname"
  local machine = file and file:read "*l" or ""
  if file then file:close() end
  local run = setmetatable({
    schedule = schedule, store = schedule.store, steady = schedule.steady,
    clock = function() return schedule.clock() end,
    -- For specs: time that passes faster.
    sleep = schedule.sleep or host.sleep, random = math.random,
    client_for = client_for, on_event = opts.on_event, on_look = opts.on_look, once = opts.once,
    until_idle = opts.until_idle, keep = opts.keep, concurrency = opts.concurrency,
    policy = opts.retry, journal_dir = opts.journal_dir, stop_asked = opts.stop,
    machine = machine, done = 0, missed = 0, claimed = 0,
    workers = 0, prune_at = schedule.steady(),
  }, Run)
  local name = machine:gsub("[^%w-]", ""):gsub("^%-+", ""):sub(1, 64)
  run.lease = leases.new(run, opts.runner or (name ~= "" and name or "runner"), opts.lease)
  run.feed = feeds.new(run, math.min(opts.concurrency, MOST_ROWS))
  return run
end

--- Check the options.
-- @tparam ?table opts
-- @tparam int level whom a raised error points at
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.read_options(opts, level)
  local checked, message, err = options.check(opts, schema, level + 1)
  if not checked then return nil, message, err end
  checked.retry, message, err = options.check(checked.retry, retry_schema, level + 1)
  if not checked.retry then return nil, message, err end
  return checked
end

--- Run: see `schedule:run`.
-- @tparam cce.schedule schedule
-- @tparam function client_for
-- @tparam ?table opts
-- @tparam int level whom a raised error points at
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.run(schedule, client_for, opts, level)
  options.argument(client_for, "callable", 1, "run", level + 1)
  local checked, message, err = M.read_options(opts, level + 1)
  if not checked then return nil, message, err end
  local can_wait, reason = host.current().check()
  if not can_wait then return errors.fail("UNSUPPORTED", "run: " .. reason) end
  local run = M.new(schedule, client_for, checked)
  -- In a plain script a signal ends the run in order; an event loop and nginx have
  -- ways of their own. Beside other tasks the signals are not ours alone: runs that
  -- overlap would give them back in the wrong order.
  local script = require "cce.host.script"
  if host.current() == script and script.runs_alone() then
    run.signals = core.sys.signals("SIGINT", "SIGTERM")
  end
  local ok, done
  ok, done, message, err = protect.pcall(go_on, run)
  if run.signals then run.signals:close() end
  if not ok then error(done, 0) end
  if not done then return nil, message, err end
  local result = setmetatable({ done = run.done, stopped = run.stopped,
    missed = run.missed > 0 and run.missed or nil }, Result)
  ok, message, err = count_all(run, result)
  if ok then return result end
  if run.once then return nil, message, err end
  result.failed, result.pending, result.overdue, result.quarantined = nil, nil, nil, nil
  result.err = err
  return result
end

--- Do one entry now, whenever it is due, under a lease of its own.
-- @tparam cce.schedule schedule
-- @tparam table e entry, as it was read
-- @tparam cce.client client
-- @tparam[opt] table opts as for `schedule:run`
-- @treturn[1] boolean true: it is done, and that is on disk
-- @treturn[2] nil; unless it was never claimed, the entry is tried again by the
--   runner of the schedule
-- @treturn[2] string message
-- @treturn[2] table err code CONFLICT: another runner has it, or it is over
function M.run_one(schedule, e, client, opts)
  local checked, message, err = M.read_options(opts, 2)
  if not checked then return nil, message, err end
  checked.once = true
  local run = M.new(schedule, function() return client end, checked)
  local done
  beside_lease(run, function() done, message, err = work.process(run, e, true) end)
  if done then return true end
  return nil, message, err
end

return M
