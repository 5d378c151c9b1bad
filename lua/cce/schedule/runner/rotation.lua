--- An occurrence of a rotation that recurs: a run of `cce.workflow.rotate` with a
-- journal of its own.
--
-- Which journal, and on which machine, is in the entry before anything is sent.
-- A runner that takes the entry over resumes that journal, or leaves it alone: without the
-- journal it is not known which clusters were rotated.
-- @module cce.schedule.runner.rotation
-- @local
local core = require "cce.core"
local directories = require "cce.base.directories"
local entries = require "cce.schedule.entry"
local errors = require "cce.error"
local journals = require "cce.log.journal"
local runs = require "cce.workflow.runs"

local M = {}

local function fail(code, message, hint)
  return errors.fail(code, message, { retryable = false, maybe_applied = false, hint = hint,
    operation = "rotate" })
end

--- What the entry must say before the rotation begins or goes on.
-- @tparam table job of `cce.schedule.runner.work`
-- @treturn[1] table `{journal=, host=, occurrence=}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.prepare(job)
  local run, begun = job.run, job.entry.begun
  if begun then
    -- One that cannot be looked at is there, perhaps: opening it says why.
    if core.file.stat(begun.journal) ~= false then return begun end
    return fail("CONFLICT", ("the rotation was begun on %s with the journal '%s', which is not"
      .. " here; without it clusters might be rotated twice"):format(begun.host, begun.journal),
      "A runner on that machine resumes it; or cancel the entry, look at what was rotated, and"
      .. " add it anew")
  elseif not run.journal_dir then
    return fail("INVALID_ARGUMENT", "a rotation needs a journal, and this runner has no place for"
      .. " it", "Give journal_dir=, a directory that outlasts the process, to schedule:run")
  end
  -- The journal is there from now on, so that one that is missing later is one that was lost.
  local e = job.entry
  local path = ("%s/%s-%s.journal"):format(directories.absolute(run.journal_dir), e.id,
    os.date("!%Y%m%dT%H%M%SZ", math.floor(e.due)))
  local file, why, code = core.journal(path, "run journal")
  if not file then
    return fail(code, "the journal of the rotation: " .. why,
      "journal_dir must exist, and this user must be allowed to write there")
  end
  file:close()
  return { journal = path, host = run.machine, occurrence = e.due, run = entries.run_of(e.due) }
end

local function first_problem(report)
  for _, bucket in ipairs { "failed", "uncertain", "pending" } do
    local item = report[bucket][1]
    if item then return item.err, item.message end
  end
end

-- Done is what is closed with every cluster ok. What is open is tried again, by the
-- same journal. What failed for good is for a person, who is told at once, and so is what
-- went wrong beside the clusters.
local function not_done(job, report)
  local counts = report:counts()
  local is_closed = counts.uncertain + counts.pending == 0 and report.stopped == nil
  local err, message = first_problem(report)
  local id, hint = job.entry.id, err and err.hint
  local leave = (job.entry.every and "schedule:accept(\"%s\") leaves it at that"
    or "schedule:cancel(\"%s\") leaves it at that"):format(id)
  if is_closed and counts.failed == 0 then
    return errors.fail("UNVERIFIED", "every cluster is rotated, but: "
      .. table.concat(report.notes, "; "), { retryable = false, operation = "rotate",
      is_closed = true, hint = leave })
  elseif is_closed then
    hint = ("schedule:retry(\"%s\", {retry_failed=true}) sends again what failed; %s"):format(id,
      leave)
  elseif counts.uncertain == 0 and entries.never_opens(job.entry, job.run.clock()) then
    -- Nothing changes any more, unless a person does.
    is_closed, hint = true, leave
  end
  return errors.fail(err and err.code or "CANCELLED",
    ("the rotation is not done: %d of %d clusters are ok, %d failed, %d uncertain, %d pending; %s")
      :format(counts.ok, counts.total, counts.failed, counts.uncertain, counts.pending,
        report.stopped or message or "the rest was not begun"),
    { retryable = not is_closed, operation = "rotate", is_closed = is_closed,
      hint = hint })
end

--- What of an occurrence is not done, for people.
-- @tparam table e entry
-- @treturn ?string nil when nothing is known here
function M.undone(e)
  local state = e.begun and journals.read(e.begun.journal)
  local known = state and journals.find(state.runs, e.begun.run)
  if not known then return nil end
  local parts = {}
  for _, item in ipairs(runs.describe(known).items) do
    if item.state ~= "ok" and item.state ~= "skipped" then
      parts[#parts + 1] = ("%s (%s)"):format(item.name or item.cluster_id, item.state)
    end
  end
  return #parts > 0 and table.concat(parts, ", ") or nil
end

--- Rotate, or go on with it.
-- @tparam table job
-- @treturn[1] boolean true: every cluster that can be rotated is ok
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err `is_closed`: nothing goes on by itself: clusters failed for good, or
--   the windows of those that are left are closed for ever
function M.carry_out(job)
  local run, begun, opts = job.run, job.entry.begun, {}
  for name, value in pairs(job.entry.options) do opts[name] = value end
  local every = job.entry.every
  -- As entries of version 0.1.0 have it.
  if every and every.window and not opts.windows then opts.windows = every.window end
  opts.journal, opts.run, opts.retry_failed = begun.journal, begun.run, job.retry_failed
  opts.before_send = function() return job.may_leave(job) end
  opts.on_progress = function() return not run:must_stop() end
  local report, message, err = require("cce.workflow.rotate")(job.client, opts)
  if not report then return nil, message, err end
  local counts = report:counts()
  job.tell("rotated", { ok = counts.ok, failed = counts.failed, skipped = counts.skipped,
    uncertain = counts.uncertain, pending = counts.pending,
    journal = job.entry.begun.journal, report = tostring(report) })
  -- A cluster that cannot be rotated is left out of each occurrence.
  local is_open = counts.failed + counts.uncertain + counts.pending > 0 or report.incomplete
    or report.stopped
  if not is_open then return true end
  return not_done(job, report)
end

return M
