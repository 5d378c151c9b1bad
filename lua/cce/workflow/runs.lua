--- What a person does with the runs of a journal: look at them, settle what no
-- evidence settles, and end one.
-- @module cce.workflow.runs
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local journals = require "cce.log.journal"
local outcome = require "cce.workflow.outcome"

local M = {}

local STATES = { "ok", "failed", "skipped", "moved", "uncertain", "accepted", "pending" }

local function fail(code, message, hint)
  return errors.fail(code, message, { operation = "runs", retryable = false,
    maybe_applied = false, hint = hint })
end

-- One that cannot be looked at is perhaps there: who opens it says what is wrong.
local function is_there(path)
  if core.file.stat(path) ~= false then return true end
  return fail("NOT_FOUND", ("there is no journal '%s'"):format(path))
end

--- A run as it stands.
-- @tparam table known of `cce.log.journal`
-- @treturn table `{run=, workflow=, opened=, open=, counts={ok=, …}, items={{cluster_id=,
--   name=, principal_id=, state=, code=, message=, job_id=}, …}}`
function M.describe(known)
  local run = { run = known.name, workflow = known.workflow, opened = known.opened,
    open = outcome.is_open(known), counts = {}, items = {} }
  for _, state in ipairs(STATES) do run.counts[state] = 0 end
  for i, line in ipairs(known.order) do
    local state = outcome.of_line(line)
    run.counts[state] = run.counts[state] + 1
    local message = line.message
    if state == "moved" then
      message = "handed over to run " .. line.moved_to
    elseif state == "ok" and line.owed then
      message = line.principal and "its rights are still to be taken"
        or "its kubeconfig is still owed"
    end
    run.items[i] = { cluster_id = line.cluster, name = line.name, principal_id = line.principal,
      state = line.what == "given_up" and "given up" or state, code = line.code,
      message = message, job_id = line.job or nil, time = line.time }
  end
  return run
end

--- The runs of a journal, the oldest first.
-- @tparam string path
-- @treturn[1] {table,...} as `describe`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.list(path)
  local there, message, err = is_there(path)
  if not there then return nil, message, err end
  local state
  state, message, err = journals.read(path)
  if not state then return nil, message, err end
  local list = {}
  for i, known in ipairs(state.runs) do list[i] = M.describe(known) end
  return list
end

-- The journal is held meanwhile, so that no call goes on with the run.
local function with_run(path, name, act)
  local there, message, err = is_there(path)
  if not there then return nil, message, err end
  local journal
  journal, message, err = journals.open(path, core.sys.time)
  if not journal then return nil, message, err end
  local known = journals.find(journal.runs, name)
  local result
  if known then
    result, message, err = act(journal, known)
  else
    result, message, err = fail("NOT_FOUND", name and ("the journal has no run '%s'"):format(name)
      or "the journal has no run")
  end
  journal:close()
  if result == nil then return nil, message, err end
  return result
end

-- `owed`: false, where what was to follow is given up; nil leaves it as it is.
local function write(journal, known, line, what, message, owed, code)
  return journal:write(what, { of = known.id, cluster = line.cluster, principal = line.principal,
    kind = line.kind, name = line.name, project = line.project, message = message, code = code,
    owed = owed, by = "a person" })
end

-- The last line of a run of which nothing is open any more.
local function close_if_done(journal, path, known)
  local state, message, err = journals.read(path)
  if not state then return nil, message, err end
  local now = journals.find(state.runs, known.name)
  if not outcome.is_open(now) then
    local ok
    ok, message, err = journal:write("finished", { of = known.id, message = "by a person" })
    if not ok then return nil, message, err end
  end
  return M.describe(now)
end

local function matching(known, opts)
  local found = {}
  for _, line in ipairs(known.order) do
    local fits = line.cluster == opts.cluster or line.name == opts.cluster
    if fits and (not opts.principal or line.principal == opts.principal) then
      found[#found + 1] = line
    end
  end
  if #found == 1 then return found[1] end
  return fail("NOT_FOUND", (#found == 0 and "run %s has no cluster '%s'"
    or "run %s has more than one item of cluster '%s'"):format(known.name, opts.cluster),
    #found > 1 and "Give the id of the cluster, and principal=" or nil)
end

--- Say what became of an item whose outcome no evidence shows.
-- @tparam string path of the journal
-- @tparam table opts `cluster` (id or name), `happened` (boolean); `run`, by default the
--   last; `principal`, of a revocation of several
-- @treturn[1] table the run, as `describe`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err CONFLICT: the item is not uncertain, or the journal is in use
function M.settle(path, opts)
  return with_run(path, opts.run, function(journal, known)
    local line, message, err = matching(known, opts)
    if not line then return nil, message, err end
    local state = outcome.of_line(line)
    if state ~= "uncertain" and state ~= "accepted" then
      return fail("CONFLICT", ("cluster %s of run %s is %s, not uncertain"):format(line.cluster,
        known.name, state))
    end
    local ok
    if opts.happened then
      ok, message, err = write(journal, known, line, "ok", "a person says that it happened")
    else
      ok, message, err = write(journal, known, line, "pending",
        "a person says that it did not happen")
    end
    if not ok then return nil, message, err end
    return close_if_done(journal, path, known)
  end)
end

--- End a run. What is pending is given up, and what is uncertain is given up with its
-- outcome unknown: neither is ever ok.
-- @tparam string path of the journal
-- @tparam[opt] string name by default the last run
-- @treturn[1] table the run, as `describe`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err CONFLICT: nothing of it is open, or the journal is in use
function M.discard(path, name)
  return with_run(path, name, function(journal, known)
    if not outcome.is_open(known) then
      return fail("CONFLICT", ("nothing of run %s is open"):format(known.name))
    end
    for _, line in ipairs(known.order) do
      local state, ok, message, err = outcome.of_line(line), true, nil, nil
      if state == "ok" and line.owed then
        ok, message, err = write(journal, known, line, "reissued",
          "a person gave up what was owed", false)
      elseif not outcome.is_final(state) then
        local text = state == "pending" and "given up" or "given up, unknown"
        ok, message, err = write(journal, known, line, "given_up", line.message
          and text .. ": " .. line.message or text, false, line.code or "CANCELLED")
      end
      if not ok then return nil, message, err end
    end
    return close_if_done(journal, path, known)
  end)
end

return M
