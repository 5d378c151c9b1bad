--- One call of a workflow, by one mechanism for all of them: which run of its
-- journal it opens or goes on with, what of that is left to do, and the report.
--
-- A workflow is a table:
--
-- * `name`: "rotate", …
-- * `hash(run)` → the hash of what the run is to do, or nil, message, err
-- * `plan(run)` fills `run.items` anew → true, or nil, message, err
-- * `recall(run, line, client)` → an item as the journal knows it; `state`, `err`,
--   `earlier` and the like are set here
-- * `opening(run)` → further fields of the line that opens a run; `planned(item)` of
--   the line that names an item
-- * `check(run)` is the last step before anything is written or sent → true, or nil,
--   message, err
-- * `preview(run)` fills the report of a dry run
-- * `execute(run)` does what is left
-- * `entry(run, item)` → the item of the report; `close(run)`, optional, adds notes
-- * `settle(run, item)`, optional: look for evidence of an item that is uncertain. A
--   workflow without it sends again, which settles it
-- * `may_begin(run)`, optional: stops the run when nothing may be begun now
-- * `is_same(run, known)`, optional: whether the run does to a cluster what another
--   one was to do
-- * `outlasts_journal`: it goes on when the journal cannot be written any more
--
-- The states of an item are those of `cce.workflow.outcome`. Items have `id` (of the
-- cluster), `client`, `state`, `err`, perhaps `principal`, `name`, `project_id`.
-- @module cce.workflow.run
-- @local
local clouds = require "cce.api.cloud"
local core = require "cce.core"
local errors = require "cce.error"
local journals = require "cce.log.journal"
local json_line = require "cce.base.json_line"
local map = require "cce.map"
local outcome = require "cce.workflow.outcome"
local protect = require "cce.host.protect"
local reports = require "cce.text.report"
local show = require "cce.text.show"
local targets = require "cce.workflow.targets"
local times = require "cce.base.times"

local M = {}

local Run = {}
Run.__index = Run

-- ---- the journal -------------------------------------------------------------

--- Begin nothing new.
-- @function run:stop
function Run:stop(reason)
  local run = self.main or self
  run.stopped = run.stopped or reason
end

local function journal_failed(run, message)
  if run.workflow.outlasts_journal then
    (run.main or run).journal_problem = message
  else
    run:stop("the journal cannot be written: " .. message)
  end
end

--- Write to the journal. When that fails, the run stops or remembers it.
-- @function run:write
function Run:write(what, fields)
  fields.of = self.of
  local ok, message, err = self.journal:write(what, fields)
  if not ok then journal_failed(self, message) end
  return ok, message, err
end

--- Write that a request is about to leave.
-- @function run:intend
function Run:intend(fields)
  fields.of = self.of
  local ok, message, err = self.journal:intend(fields, self.opts.concurrency)
  if not ok then journal_failed(self, message) end
  return ok, message, err
end

local function key_of(item)
  return journals.key(item.id, item.principal and item.principal.id)
end

-- ---- which run ---------------------------------------------------------------

local function another_plan(run, known)
  local open = outcome.is_open(known)
  local message = ("the journal holds run %s of another plan, opened at %s%s"):format(known.name,
    show.time(known.opened), open and ", of which something is open" or "")
  return errors.fail("CONFLICT", message, {
    retryable = false, maybe_applied = false, operation = run.workflow.name,
    hint = not open and "Give another journal or run="
      or ("Finish it with the options that it was begun with; or end it: cce runs discard %s"
        .. " --journal %s; or give another run=, which takes over what is pending"):format(
        known.name, run.opts.journal),
  })
end

-- The request about an item that may have been accepted, in a run or in one that it was
-- handed over from; nil when there is none.
local function open_request(run, key, known, line)
  local state = outcome.of_line(line)
  while state == "pending" or state == "moved" do
    known = line.from and journals.find(run.journal.runs, line.from, known)
    line = known and known.items[key]
    if not line then return nil end
    state = outcome.of_line(line)
  end
  if outcome.is_final(state) or not run.workflow.settle then return nil end
  return { run = known, line = line }
end

-- What an earlier run says of an item that is to be done now. Where a request may have
-- been accepted, this run waits until that is settled.
local function take_over(run, item, known, line)
  if outcome.is_final(outcome.of_line(line)) then return end
  local is_same = run.workflow.is_same
  item.held = open_request(run, key_of(item), known, line)
  if item.held or not is_same or is_same(run, known) then
    item.from, item.first_intent = known.name, line.first
  end
end

local function plan_anew(run)
  local ok, message, err = run.workflow.plan(run)
  if not ok then return nil, message, err end
  local runs = run.journal.runs
  for _, item in ipairs(run.items) do
    local key = key_of(item)
    for i = #runs, 1, -1 do
      local line = runs[i].workflow == run.workflow.name and runs[i].items[key]
      -- The last that is known of it counts.
      if line then
        take_over(run, item, runs[i], line)
        break
      end
    end
  end
  return true
end

local function recall_item(run, known, line, client)
  local item = run.workflow.recall(run, line, client)
  item.client, item.id, item.name, item.project_id = client, line.cluster, line.name, line.project
  item.duration, item.from, item.state = line.seconds, line.from, outcome.of_line(line)
  if line.code then
    item.err = errors.new(core.codes[line.code] and line.code or "INTERNAL", line.message or "", {
      hint = line.hint, request_id = line.request_id, retryable = line.retryable,
      operation = run.workflow.operation,
    })
  end
  item.message = line.message
  item.given_up, item.moved_to, item.owed = line.what == "given_up", line.moved_to, line.owed
  item.earlier = outcome.is_final(item.state) or nil
  if item.state == "pending" then
    item.held = open_request(run, key_of(item), known, line)
  end
  return item
end

local function recall(run, known)
  local by_project, message, err = targets.by_project(run.clients)
  if not by_project then return nil, message, err end
  for i, line in ipairs(known.order) do
    local client = by_project[line.project or ""]
    if not client then
      return errors.fail("INVALID_ARGUMENT", ("%s: no client is of project %s, where the run has"
        .. " cluster %s"):format(run.workflow.name, tostring(line.project), line.cluster), {
        operation = run.workflow.name, retryable = false, maybe_applied = false,
        hint = "Give the clients that the run was begun with" })
    end
    local item = recall_item(run, known, line, client)
    run.items[i] = item
    -- What a person gave up stays given up.
    if run.opts.retry_failed and item.state == "failed" and not item.given_up then
      item.state, item.err, item.message, item.earlier = "pending", nil, nil, nil
    end
    -- What is to be sent again, by this start or one before, in the place of a job that failed:
    -- what was accepted then is no answer to it.
    if item.state == "pending" then
      item.failed_job, item.job_id, item.accepted, item.verified = item.job_id, nil, nil, nil
    end
  end
  run.name, run.report.resumed, run.known = known.name, true, known
  run.of = known ~= run.journal.runs[#run.journal.runs] and known.id or nil
  return true
end

local function write_plan(run, hash)
  local fields = run.workflow.opening(run)
  fields.run, fields.id, fields.plan = run.name, json_line.new_id(), hash
  fields.version, fields.workflow, fields.items = 2, run.workflow.name, #run.items
  local ok, message, err = run.journal:write("run", fields, false)
  for _, item in ipairs(run.items) do
    if not ok then break end
    local planned = run.workflow.planned(item)
    planned.from, planned.first = item.from, item.first_intent
    ok, message, err = run.journal:write("planned", planned, false)
  end
  if ok then ok, message, err = run.journal:write("begun", { items = #run.items }) end
  if not ok then return nil, message, err end
  return true
end

-- ---- the items ---------------------------------------------------------------

local function select_items(run, fits)
  local list = {}
  for _, item in ipairs(run.items) do
    if fits(item) then list[#list + 1] = item end
  end
  return list
end

--- The items of which a function says so.
-- @function run:select
Run.select = select_items

--- The items that are in a state.
-- @function run:items_in
function Run:items_in(state)
  return select_items(self, function(item) return item.state == state end)
end

--- How many items are in a state.
-- @function run:count
function Run:count(state)
  return #self:items_in(state)
end

--- Those that are pending, and that no earlier run holds up.
-- @function run:ready
function Run:ready()
  return select_items(self, function(item) return item.state == "pending" and not item.held end)
end

local function report_progress(run)
  local display = run.opts.on_progress
  if not display then return true end
  local done, failed = 0, 0
  for _, item in ipairs(run.items) do
    if item.tried or outcome.is_final(item.state) then done = done + 1 end
    if outcome.counts(item) then failed = failed + 1 end
  end
  if display(done, #run.items, failed) ~= false then return true end
  run:stop "on_progress cancelled it"
  -- What waits for its turn is cancelled, where it is known to have sent nothing.
  return run.workflow.settle ~= nil
end

local function count_failure(run, item)
  if outcome.is_key_refused(item.err) and item.state == "pending" then
    run.refused[item.client] = run.refused[item.client] or item.err
  end
  if not outcome.counts(item) then return end
  run.failures = run.failures + 1
  -- A share is one of all items of the run, and never none.
  local limit = run.opts.max_failures
  if type(limit) == "string" then
    limit = math.max(1, math.ceil(#run.items * tonumber(limit:match "[%d.]+") / 100))
  end
  if limit and run.failures >= limit then
    run:stop(("%s: max_failures is %s"):format(show.count(run.failures, "failure"),
      tostring(run.opts.max_failures)))
  end
end

-- What a mistake of ours, or a function of the caller, left undone. What had become of an
-- item before stands; what was to follow did not.
local function note_raised(run, item, err)
  local not_begun = item.state == "pending"
  if err.code == "CANCELLED" and (not_begun or item.owed) then return end
  if outcome.is_final(item.state) then
    run.report.incomplete = true
    return run.report:note("%s: it is %s, but what was to follow is not done: %s",
      item.name or item.id, item.state, err.message)
  end
  item.err, item.message = err, nil
  item.state = not_begun and "pending" or "uncertain"
end

-- Call `act` with each item, several at a time.
local function each(run, items, act, opts)
  local results = map(items, function(item)
    act(item)
    return true
  end, opts)
  for i, result in ipairs(results) do
    if not result.ok then note_raised(run, items[i], result.err) end
  end
end

--- Whether an item may be begun now.
-- @function run:may_begin
function Run:may_begin(item)
  if self.workflow.may_begin then self.workflow.may_begin(self) end
  return not (self.stopped or item.held or self.refused[item.client])
end

--- Take some items as far as each gets.
-- @tparam {table,...} items
-- @tparam function act called with the run and an item
-- @function run:process
function Run:process(items, act)
  each(self, items, function(item)
    if item.state ~= "pending" or self:may_begin(item) then
      item.tried = true
      act(self, item)
      count_failure(self, item)
    end
  end, { concurrency = self.opts.concurrency,
    on_progress = function() return report_progress(self) end })
end

--- Look for what settles the items that an earlier run left uncertain.
-- @function run:settle_held
function Run:settle_held()
  each(self, select_items(self, function(item) return item.held end), function(item)
    local known, line = item.held.run, item.held.line
    -- What is written goes to the run that left it.
    local earlier = setmetatable({ main = self, of = known.id, name = known.name },
      { __index = self })
    local old = recall_item(self, known, line, item.client)
    old.paced, old.tried = item.paced, true
    self.workflow.settle(earlier, old)
    if outcome.is_final(old.state) then
      item.held, item.err = nil, nil
      return
    end
    local message = ("uncertain in run %s, so nothing is sent: %s"):format(known.name,
      old.err and old.err.message or "its outcome is not known")
    item.err = errors.new("CONFLICT", message, { retryable = true, maybe_applied = false,
      operation = self.workflow.operation,
      hint = ("`cce runs settle %s %s --journal %s`, with --happened or --did-not, settles it")
        :format(known.name, item.id, self.opts.journal) })
  end, { concurrency = self.opts.concurrency })
end

-- ---- the report --------------------------------------------------------------

local BUCKETS = { ok = "ok", failed = "failed", skipped = "skipped", moved = "skipped",
  pending = "pending", uncertain = "uncertain", accepted = "uncertain" }

local function add_item(run, item)
  local entry, bucket = run.workflow.entry(run, item), BUCKETS[item.state]
  entry.err = item.state ~= "ok" and item.err or nil
  entry.message = entry.message or item.state == "skipped" and item.message or nil
  entry.earlier = item.earlier
  if item.state == "pending" and not item.err then
    local refusal = run.refused[item.client]
    entry.message = "not begun: " .. (refusal and refusal.message or run.stopped
      or "the run was interrupted")
    entry.err, entry.code = refusal, refusal and refusal.code or "CANCELLED"
  elseif item.state == "moved" then
    entry.message = "handed over to run " .. item.moved_to
  elseif item.given_up then
    entry.given_up = true
  elseif item.state == "ok" and item.owed then
    bucket, entry.message = "pending", item.shortfall or "its kubeconfig is still owed: reissue="
    entry.code = item.shortfall_code or "CANCELLED"
  end
  run.report:add(bucket, entry)
  if item.notice then run.report:note("%s: %s", item.name or item.id, item.notice) end
  if item.shortfall and not item.owed then
    run.report.incomplete = true
    run.report:note("%s: %s", item.name or item.id, item.shortfall)
  end
end

local function fill_report(run)
  for _, item in ipairs(run.items) do add_item(run, item) end
  run.report.run, run.report.stopped = run.opts.journal and run.name, run.stopped
  return run.report:finish(run.clock())
end

--- Put an item into the report. For dry runs.
-- @function run:report_item
Run.report_item = add_item

local function is_open_item(item)
  return not outcome.is_final(item.state) or item.owed == true
end

-- A stop with nothing left to begin is the end.
local function close(run)
  if run:count "pending" == 0 and not run.journal.broken then run.stopped = nil end
  if run.workflow.close then run.workflow.close(run) end
  local report, open = fill_report(run), #select_items(run, is_open_item)
  local counts = report:counts()
  run:write(open == 0 and "finished" or run.stopped and "stopped" or "ended", {
    message = run.stopped, ok = counts.ok, failed = counts.failed, skipped = counts.skipped,
    uncertain = counts.uncertain, pending = counts.pending })
  -- The last line may be the one that could not be written.
  report.stopped = run.stopped
  if run.journal_problem then
    report.incomplete = true
    report:note("the journal could not be written, so another start may do again what this one"
      .. " did: %s", run.journal_problem)
  elseif open > 0 and run.opts.journal then
    report:note("the same call goes on with what is open")
  end
  return report
end

-- ---- from beginning to end -----------------------------------------------------

local function carry_out(run, hash)
  local choice, known = "new", journals.find(run.journal.runs, run.opts.run)
  if known then
    if known.plan ~= hash then return another_plan(run, known) end
    choice = outcome.is_open(known, run.opts) and "resume" or "finished"
  end
  local ok, message, err
  if choice == "new" then
    ok, message, err = plan_anew(run)
  else
    ok, message, err = recall(run, known)
  end
  if not ok then return nil, message, err end
  if choice == "finished" then
    run.report.resumed = nil
    fill_report(run)
    run.report.already_finished = known.finished or known.last
    return run.report
  end
  if #run.items == 0 then return run.report:finish(run.clock()) end

  -- Nothing is written or sent before this.
  ok, message, err = run.workflow.check(run)
  if not ok then return nil, message, err end
  if run.opts.dry_run then
    run.workflow.preview(run)
    return run.report:finish(run.clock())
  elseif choice == "new" then
    ok, message, err = write_plan(run, hash)
  else
    ok, message, err = run:write("resumed", {})
  end
  if not ok then return nil, message, err end
  run.failures = run:count "failed"
  run.workflow.execute(run)
  -- A bar is left whole, so that the report begins on a line of its own.
  local display = run.opts.on_progress
  if type(display) == "table" and display.finish then display:finish() end
  return close(run)
end

--- Carry out a call of a workflow.
-- @tparam table workflow
-- @tparam {cce.client,...} clients
-- @tparam table opts checked: `journal`, `run`, `dry_run`, `concurrency`, `on_progress`,
--   `max_failures`, `retry_failed`, and those of the workflow
-- @tparam[opt] table more further fields of the run
-- @treturn[1] cce.report
-- @treturn[2] nil when it could not begin
-- @treturn[2] string message
-- @treturn[2] table err
function M.call(workflow, clients, opts, more)
  for _, client in ipairs(clients) do
    local allowed, why, problem = clouds.allows(client.config.cloud, workflow.operation, opts)
    if not allowed then return nil, why, problem end
  end
  local clock = clients[1].clock
  local run = { workflow = workflow, clients = clients, opts = opts, clock = clock, items = {},
    failures = 0, refused = {}, report = reports.new(workflow.name, clock()),
    name = opts.run or times.format(clock()) }
  for name, value in pairs(more or {}) do run[name] = value end
  setmetatable(run, Run)
  local hash, message, err = workflow.hash(run)
  if not hash then return nil, message, err end
  local open = opts.dry_run and journals.look or journals.open
  run.journal, message, err = open(opts.journal, clock)
  if not run.journal then return nil, message, err end
  local ok, report, reason, problem = protect.pcall(carry_out, run, hash)
  run.journal:close()
  if not ok then error(report, 0) end
  if report then return report end
  return nil, reason, problem
end

return M
