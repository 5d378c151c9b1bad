--- Access for a while: `cce.workflow.grant`.
--
-- The revocation is on disk before the certificate is asked for, so that no crash
-- leaves a certificate that nothing will end: it is a promise of the schedule, and
-- the runner of that schedule keeps it.
-- @module cce.workflow.grant
local autopilot = require "cce.api.autopilot"
local clouds = require "cce.api.cloud"
local identity = require "cce.api.identity"
local service_call = require "cce.api.service_call"
local entries = require "cce.schedule.entry"
local errors = require "cce.error"
local options = require "cce.base.options"
local project = require "cce.api.project"
local runner = require "cce.schedule.runner"
local schedules = require "cce.schedule"
local show = require "cce.text.show"
local targets = require "cce.workflow.targets"
local values = require "cce.base.values"

local Grant = {}
Grant.__index = Grant
Grant.__name = "cce.grant"

local DAY = 86400
local LONGEST = 1825 * DAY

-- The API takes no end that is nearer than 15 minutes when the request arrives.
local LEAST, ON_THE_WAY = 900, 60

-- A change that other writers get ahead of each time is given up after so many tries.
local TRIES = 10

local id_rule = values.id_rule

local SECONDS = { type = "number", min = LEAST, max = LONGEST, unit = "seconds", required = true }

local schema = {
  cluster_id = { type = "string", check = id_rule.check, required = true },
  seconds = SECONDS,
  user_id = id_rule,
  agency_id = id_rule,
  shared = { type = "boolean", default = false },
  reason = { type = "string" },
  names = { type = "table" },
  allow_self = { type = "boolean", default = false },
  grantee = { type = "boolean", default = false },
}

local function fail(code, message, hint)
  return errors.fail(code, "grant: " .. message, { operation = "grant", retryable = false,
    maybe_applied = false, hint = hint })
end

-- ---- who -----------------------------------------------------------------------------

local function name_of(principal)
  return ("%s %s"):format(principal.kind, principal.id)
end

-- Whose certificate it will be. What was given is believed only where nothing can tell.
local function principal_of(client, opts)
  if opts.user_id and opts.agency_id then
    return fail("INVALID_ARGUMENT", "user_id and agency_id are given: one is whose client it is")
  end
  local given
  if opts.user_id then
    given = { kind = "user", id = opts.user_id }
  elseif opts.agency_id then
    given = { kind = "agency", id = opts.agency_id }
  end
  local known, _, err = identity.of(client)

  -- A client obtains its own principal's certificate: where that is not an agency that was
  -- assumed, it may well be the caller.
  if not (opts.allow_self or opts.grantee or known and known.kind == "agency") then
    local whose = known and ", " .. name_of(known) or ""
    return fail("INVALID_ARGUMENT", ("this would hand out the identity of the client itself%s,"
      .. " and cut all that it holds in the cluster at the end"):format(whose),
      "Use a client whose credentials assume an agency; or say grantee=true when the client is"
      .. " the grantee's, allow_self=true when it is meant to be your own")
  end

  if not known then
    if given then return given end
    return service_call.about("grant: who the client is must be known before anything is obtained",
      err)
  end
  if given and (given.id ~= known.id or given.kind ~= known.kind) then
    return fail("INVALID_ARGUMENT", ("the client is %s, and not %s"):format(name_of(known),
      name_of(given)), "A client obtains its own principal's certificate: use the grantee's keys,"
      .. " or those of an agency that was assumed")
  end
  return { kind = known.kind, id = known.id }
end

-- ---- the promise -----------------------------------------------------------------------

local function is_taken(self, e, why)
  return fail("CONFLICT", ("%s has a live grant in cluster %s: entry %s, %s, due %s; %s"):format(
    name_of(self.principal), self.cluster_id, e.id, e.state, show.time(e.due), why),
    ("Finish or extend that one, or give shared=true to each of them, which ends them together. If"
    .. " its holder is gone: schedule:hasten(\"%s\") ends it"):format(e.id))
end

-- Who ends it early, as `schedule:hasten` does, is not overruled.
local function end_has_come(self, e)
  if not e.due then return "it is " .. e.state end
  return e.due <= self.schedule.clock() and "its end has come" or nil
end

-- Have a part in the one that lives.
local function join(self, id, due, shared)
  self.id = id
  return self.schedule:alter(id, function(e)
    if not e.grant then return fail("CONFLICT", ("entry %s is no grant"):format(id)) end
    if not shared then return is_taken(self, e, "shared=true was not given") end
    local new, why = entries.joined(e, due, self.holder)
    why = end_has_come(self, e) or why
    if why then return is_taken(self, e, why) end
    self.due_before = e.due
    return new
  end)
end

-- The entry of the revocation: a new one, or a part in that of a shared grant.
local function promise(self, due, opts)
  local fields = { kind = "revoke", due = due, region = self.client.config.region,
    project_id = self.project_id, cluster_id = self.cluster_id, reason = opts.reason,
    names = opts.names, grant = { shared = opts.shared, holders = { self.holder } } }
  fields[self.principal.kind .. "_id"] = self.principal.id
  local message, err
  for _ = 1, TRIES do
    local e
    e, message, err = self.schedule:add(fields)
    if e then
      self.id, self.is_new = e.id, true
      return e
    end
    if not err.holder then break end
    e, message, err = join(self, err.holder, due, opts.shared)
    if e then return e end
    -- It may have ended, and been forgotten, just now.
    local other = self.schedule:get(self.id)
    if other and other.ended == nil then break end
  end
  return nil, message, err
end

-- ---- revoking -----------------------------------------------------------------------

local function goes_on(id, message, err)
  local text = ("grant: the revocation is not done yet, and stands in the schedule as entry %s:"
    .. " %s"):format(id, message)
  return errors.fail(err and err.code or "CONFLICT", text, { operation = "grant",
    retryable = err and err.retryable, maybe_applied = err and err.maybe_applied,
    request_id = err and err.request_id,
    hint = "Who runs the schedule goes on with it: schedule:run()" })
end

-- ---- obtaining ------------------------------------------------------------------------

-- A certificate of another principal is cut, whose it may be: it was not asked for, and
-- no other entry ends it.
local function cut_stranger(self, id)
  local known = identity.of(self.client)
  local kind = known and known.id == id and known.kind or self.principal.kind
  local e, message, err = self.schedule:add { kind = "revoke", due = self.schedule.clock(),
    region = self.client.config.region, project_id = self.project_id,
    cluster_id = self.cluster_id, [kind .. "_id"] = id,
    reason = "a grant obtained a certificate of another principal" }
  if not e then return nil, message, err end
  local done
  done, message, err = runner.run_one(self.schedule, e, self.client)
  if done then return true end
  return goes_on(e.id, message, err)
end

local function refuse_stranger(self, id)
  local cut, message = cut_stranger(self, id)
  local text = ("the certificate is of %s, and not of %s"):format(entries.clean(id, 128),
    name_of(self.principal))
  if cut then
    text = text .. "; it was revoked"
  else
    text = text .. "; REVOKE IT: " .. message
  end
  return fail("INVALID_CERTIFICATE", text,
    "Name the principal whose keys the client has, or none")
end

local function reject(self, facts, message)
  local id = facts and facts.user_id
  if id and facts.key_matches ~= false then return false, refuse_stranger(self, id) end
  -- Whose it is is not known: only the grant's own revocation can end it, so that one is now.
  message = message or (id and "its key does not match its certificate")
    or "its certificate names nobody"
  local ended, revoked = self:finish()
  local outcome = ended and (revoked and "it was revoked" or "it ends with those that share it")
  return true, fail("INVALID_CERTIFICATE", ("what was obtained cannot be used: %s; %s"):format(
    message, outcome or revoked))
end

-- The second result tells whether a certificate of the principal may be out.
local function obtain(self, due)
  local now = self.client:now()
  local expire_at = math.ceil(math.max(due, now + LEAST + ON_THE_WAY))
  -- Both ends are given: a service that does not know expire_at takes the other.
  local kubeconfig, message, err = self.client:obtain_cert(self.cluster_id, {
    expire_at = expire_at, duration = math.max(1, math.ceil((expire_at - now) / DAY)),
  })
  if not kubeconfig then return nil, err.maybe_applied == true, message, err end
  local facts
  facts, message = kubeconfig:certificate()
  if not facts or facts.user_id ~= self.principal.id or facts.key_matches == false then
    local may_be_out, _, text, problem = reject(self, facts, message)
    return nil, may_be_out, text, problem
  end
  self.kubeconfig, self.expires_at = kubeconfig, due
  return true
end

-- ---- the grant -----------------------------------------------------------------------

--- Hold it longer. The later end is on disk first; then another certificate is
-- obtained, since the one that was handed out ends by itself.
-- @tparam number seconds by which the end is later, from 900 on
-- @treturn[1] boolean true; `grant.kubeconfig` and `grant.expires_at` are new
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err code CONFLICT: it is over, or being ended
-- @usage
-- assert(grant:extend(1800))
-- @function grant:extend
function Grant:extend(seconds)
  local checked, message, err = options.check({ seconds = seconds }, { seconds = SECONDS })
  if not checked then return nil, message, err end
  local e, obtained, may_be_out
  e, message, err = self.schedule:alter(self.id, function(found)
    local new, why
    if self.is_finished then
      why = "it is finished"
    elseif found.first_intent then
      why = "its revocation was tried already"
    else
      why = end_has_come(self, found)
      if not why then new, why = entries.extended(found, found.due + seconds) end
    end
    if new then return new end
    return fail("CONFLICT", ("entry %s cannot be extended: %s"):format(self.id, why),
      "Ask for another grant")
  end)
  if not e then return nil, message, err end
  obtained, may_be_out, message, err = obtain(self, e.due)
  if obtained then return true end
  -- The longer promise was not needed, unless another holder relies on it since.
  local shorter = not may_be_out and entries.extended(e, e.due - seconds)
  if shorter then self.schedule:change(e, shorter) end
  return nil, message, err
end

-- What the state of an entry means for a caller that wants it ended.
local function is_over(e)
  if e.state == "done" then return true end
  if e.state == "cancelled" then
    return fail("CONFLICT", ("entry %s was cancelled: its certificates were not revoked"):format(
      e.id), "Revoke what its principal holds, if that is still meant")
  elseif e.state == "sending" or e.state == "claimed" then
    return fail("CONFLICT", ("entry %s %s by runner %s just now"):format(e.id,
      e.state == "sending" and "is being sent" or "is claimed", e.runner),
      "It is being revoked; look at the entry again in a moment")
  end
  return false
end

-- Leave it to the others, or end it. nil and CONFLICT: another writer was faster.
local function leave_or_revoke(self, e)
  local new = entries.left(e, self.holder)
  if new then
    local changed, message, err = self.schedule:change(e, new)
    if not changed then return nil, message, err end
    return false
  end

  -- At once, in the way that a runner does it. A CONFLICT without an operation: the entry
  -- was changed meanwhile.
  local done, message, err = runner.run_one(self.schedule, e, self.client)
  if done then return true end
  if err and err.code == "CONFLICT" and not err.operation then return nil, message, err end
  -- Where the run at once could not even begin, it is due now for the runner of the
  -- schedule.
  self.schedule:alter(e.id, function(found)
    local now = self.schedule.clock()
    if found.due <= now or entries.left(found, self.holder) then
      return nil, "there is no need"
    end
    return entries.extended(found, now)
  end)
  return goes_on(e.id, message, err)
end

--- End it now. A shared one ends when the last of those who share it ends it, or
-- at its time.
-- @treturn[1] boolean true
-- @treturn[1] boolean whether the certificates are revoked; false: others share it
-- @treturn[2] nil the revocation is due now, and the runner of the schedule goes on
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- assert(grant:finish())
-- @function grant:finish
function Grant:finish()
  local done, message, err
  for _ = 1, TRIES do
    local e
    e, message, err = self.schedule:get(self.id)
    if not e then return nil, message, err end
    done, message, err = is_over(e)
    if done == false then done, message, err = leave_or_revoke(self, e) end
    if done ~= nil then
      self.is_finished = true
      return true, done
    end
    if err.code ~= "CONFLICT" or err.operation then break end
  end
  return nil, message, err
end

function Grant:__tostring()
  return ("grant %s: %s in cluster %s until %s%s"):format(self.id, name_of(self.principal),
    self.cluster_id, show.time(self.expires_at), self.is_finished and " (finished)" or "")
end

--- Give access to a cluster for a while.
--
-- The client is the grantee's own: with credentials that assume an agency, or the
-- grantee's keys, which `grantee` says, since obtaining returns the caller's own
-- certificate. A client that may be the caller's own is refused without `allow_self`: its
-- identity would be handed out, and be cut off at the end. The end is put
-- into the schedule first; revoking cuts all certificates of that principal in the
-- cluster, also those that were obtained elsewhere. Something must run the schedule, with
-- a client that may revoke: `schedule:run`.
--
-- When `expire_at` is known to the service the certificate ends by itself too, a
-- minute after the shortest grant of 15 minutes at the earliest. Where the principal
-- cannot be looked up and the one that was given is wrong, the certificate that came
-- is revoked at once, and this fails; only a crash between these two steps leaves
-- such a certificate, whose key is lost.
-- @tparam cce.client client
-- @tparam cce.schedule schedule
-- @tparam table opts
-- @tparam string opts.cluster_id
-- @tparam number opts.seconds how long, from 900 on
-- @tparam[opt] string opts.user_id whose client it is; looked up when left out
-- @tparam[opt] string opts.agency_id the same
-- @tparam[opt=false] boolean opts.shared allow several at a time for this principal and
--   cluster; they end together, at the latest of their times
-- @tparam[opt=false] boolean opts.grantee the client is the grantee's
-- @tparam[opt=false] boolean opts.allow_self the client is the caller's own, and that is
--   meant
-- @tparam[opt] string opts.reason for people; up to 500 bytes
-- @tparam[opt] table opts.names of the cluster and the grantee, by id, for people
-- @treturn[1] cce.grant `{kubeconfig=, id=<of the entry>, expires_at=<unix time>,
--   principal={kind=, id=}, cluster_id=}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err CONFLICT: there is a live grant; INVALID_CERTIFICATE: what was
--   obtained is not the principal's, or cannot be used
-- @usage
-- local grant = assert(cce.workflow.grant(client, schedule,
--   { cluster_id = cluster_id, seconds = 3600, grantee = true }))
-- assert(grant.kubeconfig:save("kubeconfig.json"))
-- assert(grant:finish())
local function grant(client, schedule, opts)
  targets.clients(client, "grant", 2)
  if not client.config then
    error("bad argument #1 to 'grant' (one client expected, got a list)", 2)
  elseif not schedules.is(schedule) then
    error(("bad argument #2 to 'grant' (cce.schedule expected, got %s)"):format(type(schedule)), 2)
  elseif schedule.closed then
    error("the schedule is closed", 2)
  end
  local checked, message, err = options.check(opts, schema)
  if not checked then return nil, message, err end
  local self = setmetatable({ client = client, schedule = schedule,
    cluster_id = checked.cluster_id, holder = entries.new_id(schedule.clock()) }, Grant)
  -- What cannot be revoked cannot be granted for a while.
  local can_end, _
  can_end, _, err = clouds.allows(client.config.cloud, "revoke_cert")
  if not can_end then return service_call.about("grant", err) end
  self.principal, message, err = principal_of(client, checked)
  if not self.principal then return nil, message, err end
  self.project_id, message, err = project.id_of(client)
  if not self.project_id then return nil, message, err end
  can_end, _, err = autopilot.allows(client, "revoke_cert",
    { cluster_id = self.cluster_id, project_id = self.project_id })
  if not can_end then return service_call.about("grant", err) end
  local e, obtained, may_be_out
  e, message, err = promise(self, schedule.clock() + checked.seconds, checked)
  if not e then return nil, message, err end
  obtained, may_be_out, message, err = obtain(self, e.due)
  if obtained then return self end
  if may_be_out then return nil, message, err end
  -- Nothing was obtained: as if it had not been promised. What cannot be written now
  -- stays: a revocation too many is no harm, one too few is. The end is as near as before,
  -- unless another holder relies on the later one since.
  local as_before = self.due_before and entries.left(e, self.holder)
  if as_before then as_before.due = self.due_before end
  if as_before and schedule:change(e, as_before) then return nil, message, err end
  schedule:alter(self.id, function(found)
    local new = entries.left(found, self.holder)
    if new then return new end
    if not self.is_new then return nil, "others hold it" end
    return entries.cancelled(found, schedule.clock())
  end)
  return nil, message, err
end

return grant
