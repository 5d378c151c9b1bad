--- The revocation of one principal's certificates on one cluster: whether it may
-- be, the request, and what the cluster shows of it. The states are those of
-- `cce.workflow.outcome`.
-- @module cce.workflow.revoke.item
-- @local
local autopilot = require "cce.api.autopilot"
local errors = require "cce.error"
local hints = require "cce.api.hint"
local outcome = require "cce.workflow.outcome"
local pace = require "cce.workflow.pace"
local principals = require "cce.workflow.revoke.principals"
local probe = require "cce.kubeconfig.probe"

local M = {}

-- A request that is sent again so long after it was first meant may cut what
-- was obtained rightfully in between; seconds.
local LONG_AGO = 600

--- What is said of an item whose certificates are cut while it is to leave bindings.
M.OWED = "its rights in the cluster are still to be taken"

-- ---- whether it may be ---------------------------------------------------------

local function cannot(code, hint, format, ...)
  return errors.new(code, format:format(...), { retryable = false, maybe_applied = false,
    operation = "revoke_cert", hint = hint })
end

-- ---- one principal on one cluster ------------------------------------------------

local function finish(item, state, message, err)
  item.state, item.message, item.err = state, message, err
end

--- Whom an item is about, for people.
function M.who(item)
  return principals.text(item.principal)
end

--- Whether the cluster lets certificates be revoked; else the item ends.
-- @tparam table item
-- @treturn boolean
function M.may_begin(item)
  -- What no list tells. A caller that may not look may still revoke.
  if not item.status then
    local cluster, message, err = item.client:show_cluster(item.id)
    if cluster then
      item.name, item.version, item.status = cluster.name, cluster.version, cluster.status
      item.cluster = cluster
    elseif err.code ~= "PERMISSION_DENIED" then
      finish(item, outcome.of_refusal(err.code), message, err)
      return false
    end
  end
  local problem
  if item.cluster and item.cluster.autopilot then
    problem = autopilot.lack("revoke_cert", item.id)
  elseif item.status and item.status ~= "Available" then
    problem = cannot("CONFLICT", "Run it again once the cluster is Available: until then the"
      .. " certificates stay valid", "the cluster is %s, not Available", item.status)
  else
    -- A version of which it cannot be told is for the API to judge.
    local can, needed = hints.can_revoke(item.version)
    problem = can == "no" and cannot("UNSUPPORTED", "Upgrade the cluster; until then only a"
      .. " rotation of all its certificates cuts this one",
      "version %s is too old: revoking needs %s or later", item.version, needed)
  end
  if problem then finish(item, outcome.of_refusal(problem.code), problem.message, problem) end
  return not problem
end

--- The kubeconfig to verify with.
-- @tparam table run
-- @tparam table item
-- @treturn[1] cce.kubeconfig
-- @treturn[1] number when its certificate ends, as unix time
-- @treturn[2] nil
-- @treturn[2] string why there is none
function M.own_kubeconfig(run, item)
  local kubeconfig, why = run.kubeconfig_for(item.cluster)
  if not kubeconfig then return nil, why or "there is no kubeconfig for this cluster" end
  local facts, message = kubeconfig:certificate()
  if not facts then return nil, message end
  if facts.user_id ~= item.principal.id then
    return nil, "the kubeconfig is that of " .. tostring(facts.user_id)
  end
  item.principal.groups = principals.groups_of(facts)
  return kubeconfig, facts.not_after
end

-- Only what worked before can be seen to be cut. Of a request that an earlier start sent, "before"
-- is past: then what still works shows that it did not cut.
local function look_before(run, item)
  if not run.kubeconfig_for then return end
  local kubeconfig, why = M.own_kubeconfig(run, item)
  if not kubeconfig then
    item.no_kubeconfig = why
    return
  end
  local seen = probe.look(item.client, kubeconfig)
  if seen.state == "works" then
    item.probed, item.worked_until = kubeconfig, why
  elseif seen.state == "refused" then
    item.no_kubeconfig = (item.accepted and "whether the kubeconfig worked before is not known: "
      or "the kubeconfig did not work before, either: ") .. seen.text
  else
    item.probed = kubeconfig
    item.unanswered = (item.accepted and "there was no answer: "
      or "before the request there was no answer: ") .. seen.text
  end
end

local function unverified(item, why, hint)
  local message = ("%s, unverified: %s"):format(
    item.accepted and "the revocation was accepted" or item.err.message, why)
  finish(item, "uncertain", message, errors.new("UNVERIFIED", message, {
    operation = "revoke_cert", retryable = true, maybe_applied = true,
    request_id = item.err and item.err.request_id, hint = hint }))
end

-- What the cluster shows beats what the API said of the request.
local function verify(run, item)
  local seen = item.unanswered and probe.look(item.client, item.probed)
    or probe.wait_until(item.client, item.probed, "refused")
  if seen.state == "works" then
    local message = ("NOT revoked: the certificate of %s still works (%s)"):format(M.who(item),
      seen.text)
    item.verified = "no"
    return finish(item, "failed", message, errors.new("NOT_REVOKED", message, {
      operation = "revoke_cert", retryable = true, maybe_applied = true,
      hint = "Revoke again, which retry_failed=true does; if it goes on, rotate the cluster's"
        .. " certificates",
    }))
  end
  local why = item.unanswered or seen.state ~= "refused" and seen.text
    or item.worked_until <= run.clock() and "the certificate has expired meanwhile"
  if why then
    item.verified = "no answer"
    return unverified(item, why, "The same call asks the cluster again")
  end
  item.verified = "yes"
  finish(item, "ok", ("%s: revoked, the certificate is refused (%s)"):format(M.who(item),
    seen.text))
end

-- An accepted request about an id that is not known may have cut nothing.
local function note_unknown(run, item)
  local known = item.principal.known
  if known == nil then
    item.message = item.message .. "; whether anybody is known by this id was not checked"
  elseif known == false and not run.opts.unknown_ok then
    unverified(item, "nobody is known by this id",
      "Check the id; unknown_ok=true takes it as it is")
  else
    return
  end
  item.is_unknown = true
end

local function finish_accepted(item)
  finish(item, "ok", M.who(item) .. ": revoked" .. (item.no_kubeconfig
    and ", not verified: " .. item.no_kubeconfig or ""))
end

-- What is to be said of a request that was accepted, or may have been.
local function conclude(run, item)
  if item.probed then
    verify(run, item)
  elseif item.accepted then
    item.verified = run.kubeconfig_for and "no kubeconfig"
    finish_accepted(item)
  else
    finish(item, "uncertain", ("%s: %s"):format(M.who(item), item.err.message), item.err)
  end
  if item.state == "ok" and item.verified ~= "yes" then note_unknown(run, item) end
end

local function settle(run, item, ok, message, err)
  item.accepted, item.err = ok, err
  -- The list did not tell, since it names only the line of a version.
  local is_too_old = not ok and err.code == "BAD_REQUEST"
    and err.message:find("not support this version", 1, true)
  if is_too_old then
    local problem = cannot("UNSUPPORTED", err.hint, "%s", message)
    problem.request_id = err.request_id
    finish(item, "failed", message, problem)
  elseif not ok and not err.maybe_applied then
    finish(item, outcome.of_refusal(err.code), ("%s: %s"):format(M.who(item), message), err)
  else
    conclude(run, item)
  end
end

-- ---- the journal --------------------------------------------------------------

local function line_of(item)
  return { cluster = item.id, principal = item.principal.id, kind = item.principal.kind,
    name = item.name, project = item.project_id, first = item.first_intent }
end

--- Write what became of an item.
function M.note_end(run, item)
  local line = line_of(item)
  line.message, line.verified, line.seconds = item.message, item.verified, item.duration
  line.accepted, line.worked_until = item.accepted, item.worked_until
  line.rights, line.removed, line.owed = item.rights, item.removed, item.owed
  for _, name in ipairs { "code", "hint", "request_id", "retryable" } do
    line[name] = item.err and item.err[name]
  end
  run:write(item.state, line)
end

-- ---- the request --------------------------------------------------------------

-- A journal that cannot be written is no reason to leave a certificate valid.
local function send(run, item)
  item.began = run.clock()
  local started = item.client.monotonic()
  item.first_intent = item.first_intent or run.opts.first_intent or item.began
  run:intend(line_of(item))
  item.state = "uncertain"
  local ok, message, err = item.paced:revoke_cert(item.id, {
    [item.principal.kind .. "_id"] = item.principal.id,
  })
  -- Attempts that follow one another are few: after so long, this was sent again.
  if run.clock() - item.first_intent > LONG_AGO then item.may_have_cut_newer = true end
  settle(run, item, ok, message, err)
  item.duration = item.client.monotonic() - started
end

--- Take one principal on one cluster as far as it gets.
-- @tparam table run
-- @tparam table item
function M.process(run, item)
  -- What an earlier start was told is no reason any more.
  item.err, item.message = nil, nil
  if run.opts.remove and not item.rights then item.owed, item.shortfall = true, M.OWED end
  if item.accepted then
    -- It is not sent again: it is only to be shown.
    if not item.worked_until then
      look_before(run, item)
    elseif run.kubeconfig_for then
      local kubeconfig, why = M.own_kubeconfig(run, item)
      item.probed, item.no_kubeconfig = kubeconfig, not kubeconfig and why
    end
    conclude(run, item)
  elseif M.may_begin(item) then
    look_before(run, item)
    pace.take_turn(item.paced)
    if not run:may_begin(item) then return end
    send(run, item)
  end
  M.note_end(run, item)
end

--- That a principal is known after all.
function M.is_known_now(run, item)
  local was = item.state
  finish_accepted(item)
  if was ~= "ok" then M.note_end(run, item) end
end

return M
