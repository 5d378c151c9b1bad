--- What became of an item of a run, and whether that is its end. Pure.
--
-- An item is one cluster, or one principal in one cluster. It is **final** when it
-- is `ok`; `failed`: refused for good, or a job that failed, or given up by a person;
-- `skipped`: excluded by a rule; or `moved`: a later run has it now. Everything else
-- is **open**: `pending` (nothing was done, or what was sent surely was not
-- accepted), `accepted` (there is a job, or an answer that is still to be checked),
-- and `uncertain` (a request left, or may have, and its outcome is not known).
--
-- The journal holds words (see `cce.log.journal`); the states follow from the last
-- word of an item and its code, so that journals of earlier versions are read by the
-- same rules.
-- @module cce.workflow.outcome
-- @local
local M = {}

local function set(...)
  local found = {}
  for _, name in ipairs { ... } do found[name] = true end
  return found
end

-- The same request would be answered the same, whatever else changes.
local REFUSED_FOR_GOOD = set("BAD_REQUEST", "INVALID_ARGUMENT", "INVALID_CERTIFICATE",
  "INVALID_KEY", "KEY_MISMATCH", "NOT_FOUND", "UNSUPPORTED", "JOB_FAILED", "NOT_REVOKED")

-- What a cluster or the API refused, as opposed to what is not there yet: it
-- hibernates, is locked, or throttled.
local COUNTED = set("UNAUTHENTICATED", "ACCESS_KEY_LOCKED", "PERMISSION_DENIED", "SERVER_ERROR")

local KEY_REFUSED = set("UNAUTHENTICATED", "ACCESS_KEY_LOCKED")

-- Of the cluster alone: the next one may be asked instead.
local OF_CLUSTER = set("CONFLICT", "RESOURCE_LOCKED")

--- The state of an item whose request surely was not accepted.
-- @tparam string code of the error
-- @treturn string "failed" or "pending"
function M.of_refusal(code)
  return REFUSED_FOR_GOOD[code] and "failed" or "pending"
end

--- Whether an error means that no request with this key will be accepted.
-- @tparam ?table err
-- @treturn boolean
function M.is_key_refused(err)
  return err ~= nil and KEY_REFUSED[err.code] == true
end

--- Whether an item that is pending waits for its cluster alone.
-- @tparam ?table err
-- @treturn boolean
function M.is_of_cluster(err)
  return err ~= nil and OF_CLUSTER[err.code] == true
end

--- Whether an item counts for `max_failures`.
-- @tparam table item
-- @treturn boolean
function M.counts(item)
  if item.state == "failed" or item.state == "uncertain" then return true end
  return item.state == "pending" and item.err ~= nil and COUNTED[item.err.code] == true
end

-- By the last word of the journal; a function is called with all that it says.
local STATES = {
  planned = "pending", pending = "pending",
  intent = "uncertain", unknown = "uncertain",
  accepted = "accepted", settled = "accepted", ["repair"] = "accepted",
  ok = "ok", reissued = "ok", given_up = "failed",
  refused = function(line) return M.of_refusal(line.code) end,
  -- 0.1.0 wrote this of a job, and of all that a revocation was refused.
  failed = function(line) return line.job and "failed" or M.of_refusal(line.code) end,
  -- 0.1.0 wrote this of clusters that were not Available, too.
  skipped = function(line)
    return (line.code == "CONFLICT" or line.code == "CANCELLED") and "pending" or "skipped"
  end,
  -- With a job it was accepted: how the job ended can still be seen.
  uncertain = function(line) return line.job and "accepted" or "uncertain" end,
}

--- The state of an item that a journal knows.
-- @tparam table line all that it says of the item
-- @treturn string
function M.of_line(line)
  local state = STATES[line.what] or "uncertain"
  if type(state) == "function" then state = state(line) end
  -- The later run sends a revocation again, which settles it.
  local can_move = state == "pending" or state == "uncertain" and line.principal ~= nil
  return can_move and line.moved_to and "moved" or state
end

local FINAL = set("ok", "failed", "skipped", "moved")

--- Whether nothing more becomes of an item in this state by itself.
-- @tparam string state
-- @treturn boolean
function M.is_final(state)
  return FINAL[state] == true
end

--- Whether something of a run of a journal is open.
-- @tparam table run of `cce.log.journal`
-- @tparam[opt] table opts of the call: `reissue`, which wants a kubeconfig of each;
--   `retry_failed`, which does not leave it at a failure
-- @treturn boolean
function M.is_open(run, opts)
  for _, line in ipairs(run.order) do
    local state = M.of_line(line)
    if not M.is_final(state) then return true end
    local wants_kubeconfig = opts and opts.reissue and line.owed == nil and not line.reissued
    if state == "ok" and (line.owed or wants_kubeconfig) then return true end
    if state == "failed" and opts and opts.retry_failed and line.what ~= "given_up" then
      return true
    end
  end
  return false
end

return M
