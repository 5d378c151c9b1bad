--- Whose certificates a revocation is about, whether that is the caller, and
-- whether they can obtain new ones.
-- @module cce.workflow.revoke.principals
-- @local
local audit_log = require "cce.log.audit_log"
local authority = require "cce.kubeconfig.authority"
local core = require "cce.core"
local errors = require "cce.error"
local identity = require "cce.api.identity"
local kubeconfigs = require "cce.kubeconfig"
local protect = require "cce.host.protect"
local show = require "cce.text.show"

local M = {}

-- For so long CTS keeps its traces; seconds.
local RETENTION = 7 * 86400

local SOURCES = { "user_id", "agency_id", "kubeconfig", "certificate", "deleted_since" }

local function refuse(message, hint)
  return errors.fail("INVALID_ARGUMENT", "revoke: " .. message, { operation = "revoke",
    retryable = false, maybe_applied = false, hint = hint })
end

--- "user 0a1b (name)", for people.
function M.text(principal)
  return ("%s %s%s"):format(principal.kind, principal.id,
    principal.name and " (" .. principal.name .. ")" or "")
end

-- ---- who is meant --------------------------------------------------------------

--- Which of the options says who; exactly one must, but that `principals` may go with
-- `deleted_since`.
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.source(opts)
  local given = {}
  for _, name in ipairs(SOURCES) do
    if opts[name] ~= nil then given[#given + 1] = name end
  end
  if opts.principals and given[1] ~= "deleted_since" then given[#given + 1] = "principals" end
  if #given == 1 then return given[1] end
  return refuse(("%s; expected exactly one of %s"):format(
    #given == 0 and "nobody is named" or table.concat(given, " and ") .. " are given",
    table.concat(SOURCES, ", ") .. " and principals"))
end

--- The groups that a certificate names its holder in.
-- @tparam table facts
-- @treturn table set
function M.groups_of(facts)
  local groups = {}
  for _, name in ipairs(facts.organizations or {}) do groups[name] = true end
  return groups
end

-- The second result is the certificate's text.
local function facts_of_certificate(text)
  local facts, message, code = core.certificate(text)
  if facts then return facts, text end
  local content = not text:find("\n", 1, true) and core.file.read(text)
  if content then facts, message, code = core.certificate(content) end
  if facts then return facts, content end
  return errors.from_core(nil, message, code)
end

-- The CN says who, and not what: IAM may know.
local function holder(opts)
  local facts, text, err
  if opts.kubeconfig then
    if type(opts.kubeconfig) == "string" then
      local kubeconfig
      kubeconfig, text, err = kubeconfigs.load(opts.kubeconfig)
      if not kubeconfig then return nil, text, err end
      opts.kubeconfig = kubeconfig
    end
    facts, text, err = opts.kubeconfig:certificate()
    if facts then text = kubeconfigs.certificate_text(opts.kubeconfig) end
  else
    facts, text, err = facts_of_certificate(opts.certificate)
  end
  if not facts then return nil, text, err end
  if not facts.user_id then
    return errors.fail("INVALID_CERTIFICATE", "revoke: the certificate names no user (CN)")
  end
  opts.proof = { id = facts.user_id, certificate = text, from = facts.not_before,
    to = facts.not_after, groups = M.groups_of(facts) }
  return { { kind = opts.principal or "user", id = facts.user_id, guessed = not opts.principal } }
end

local function note_window(report, deleted, opts)
  local window, places = deleted.window, {}
  for i, place in ipairs(deleted.searched) do
    places[i] = ("%s, project %s"):format(place.endpoint, place.project_id)
  end
  report.window = { from = window.from, to = window.to, complete = window.complete,
    asked_from = opts.deleted_since }
  report:note("searched for deletions from %s to %s at %s%s; the last minutes may be missing",
    show.time(window.from), show.time(window.to), table.concat(places, " and "),
    window.complete and "" or (" (NOT from %s: CTS no longer has that)"):format(
      show.time(opts.deleted_since)))
  if #deleted.unidentified > 0 then
    report:note("%s nobody by id: look in CTS",
      show.count(#deleted.unidentified, "deletion names", "deletions name"))
    report.incomplete = true
  end
end

-- Those of a report that was looked at; what is found beside them may not be meant.
local function only_seen(found, opts, report)
  local list, is_seen = {}, {}
  for i, each in ipairs(opts.principals) do
    is_seen[each.kind .. " " .. each.id] = true
    list[i] = { kind = each.kind, id = each.id, name = each.name, deleted = each.deleted }
  end
  for _, each in ipairs(found) do
    if not is_seen[each.kind .. " " .. each.id] then
      report:note("%s was found only now, and is left out: run it again", M.text(each))
      report.incomplete = true
    end
  end
  return list
end

-- Clients of one account tell the same.
local function leavers(clients, opts, report)
  local list, seen = {}, {}
  for i, client in ipairs(clients) do
    local deleted, message, err = client:deleted_principals { from = opts.deleted_since,
      partial = opts.partial, tracker_region = opts.tracker_region,
      tracker_project_id = opts.tracker_project_id }
    if not deleted then return nil, message, err end
    if i == 1 then note_window(report, deleted, opts) end
    for _, each in ipairs(deleted) do
      if not seen[each.kind .. each.id] then
        seen[each.kind .. each.id] = true
        list[#list + 1] = { kind = each.kind, id = each.id, name = each.name,
          deleted = each.time }
      end
    end
  end
  report:note("users and agencies deleted in that time: %d", #list)
  return opts.principals and only_seen(list, opts, report) or list
end

--- Find out who is meant.
-- @tparam {cce.client,...} clients
-- @tparam table opts
-- @tparam cce.report report which is told what was searched
-- @treturn[1] {table,...} `{kind=, id=, name=, deleted=}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.find(clients, opts, report)
  if opts.user_id then return { { kind = "user", id = opts.user_id } } end
  if opts.agency_id then return { { kind = "agency", id = opts.agency_id } } end
  if opts.deleted_since then return leavers(clients, opts, report) end
  if opts.principals then return only_seen({}, opts, report) end
  return holder(opts)
end

-- ---- the caller ----------------------------------------------------------------

local function refuse_self(principal)
  return refuse(("%s is who makes this call: it would cut its own access"):format(
    M.text(principal)), "Give allow_self=true if that is meant; who is no administrator can"
    .. " revoke only their own certificates, and needs it")
end

--- Refuse the caller's own principal; say so when it is not known who that is.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.check_self(clients, list, opts, report)
  if opts.allow_self and not opts.dry_run or #list == 0 then return true end
  local unknown
  for _, client in ipairs(clients) do
    local caller, message = identity.of(client)
    unknown = unknown or message
    for _, principal in ipairs(caller and list or {}) do
      if principal.id == caller.id then
        if not opts.allow_self then return refuse_self(principal) end
        report.is_self = true
        report:note("%s: this is you; your own access is cut", M.text(principal))
      end
    end
  end
  if unknown then
    report:note("it is not known who these credentials are (%s), so their own access may be"
      .. " among what is revoked", unknown)
  end
  return true
end

-- ---- obtaining again -----------------------------------------------------------

-- `kind .. id` -> entry, of all accounts; nil when one could not be asked.
local function directory_of(clients)
  local found = { user = {}, agency = {} }
  for _, client in ipairs(clients) do
    local users = found.user and client:list_users()
    local agencies = found.agency and client:list_agencies()
    for _, user in ipairs(users or {}) do found.user[user.id] = user end
    for _, agency in ipairs(agencies or {}) do found.agency[agency.id] = agency end
    found.user, found.agency = users and found.user, agencies and found.agency
  end
  return found
end

local function other(kind)
  return kind == "user" and "agency" or "user"
end

local function settle_kind(principal, directory, report)
  local of_other = directory[other(principal.kind)]
  local entry = of_other and of_other[principal.id]
  if not entry then return end
  if principal.guessed then
    principal.kind = other(principal.kind)
  else
    report:note("%s is of kind %s, says IAM: it is revoked as kind %s, as was asked",
      principal.id, other(principal.kind), principal.kind)
  end
end

-- By IAM of either kind, or by CTS; nil when IAM cannot be asked.
local function set_known(principal, directory, opts)
  local known, of_other = directory[principal.kind], directory[other(principal.kind)]
  principal.in_iam = known and known[principal.id] ~= nil
  if principal.in_iam == false and (not of_other or of_other[principal.id]) then
    principal.in_iam = nil
  end
  principal.known = principal.in_iam
  if opts.deleted_since or of_other and of_other[principal.id] then
    principal.known = true
  end
end

local function can_obtain_again(principal, directory)
  local known = directory[principal.kind]
  if not known then return principal.deleted and "no" or "unknown" end
  local entry = known[principal.id]
  if not entry then return "no" end
  principal.name = principal.name or entry.name
  return entry.enabled ~= false and "still enabled in IAM" or "no"
end

-- A mistyped id revokes nothing, and nothing else shows it.
local function note_principal(principal, opts, report)
  local doubt = ""
  if principal.in_iam == false and not principal.deleted then
    doubt = ("; IAM has no such %s: check the id, or it was deleted"):format(principal.kind)
  elseif principal.known == nil and not opts.proof then
    doubt = "; whether anybody is known by this id was not checked: IAM could not be asked"
  end
  report:note("%s can obtain again: %s%s", M.text(principal), principal.can_obtain_again, doubt)
end

-- So many are named one by one; the rest is in `report.principals`.
local MOST_NOTES = 20

--- Say of each whether new certificates can be had: `principal.can_obtain_again`
-- is "still enabled in IAM", "no" or "unknown"; and whether IAM knows it:
-- `principal.in_iam`, nil when that cannot be told.
function M.look_up(clients, list, opts, report)
  if #list == 0 then return end
  local directory = directory_of(clients)
  report.principals = {}
  for i, principal in ipairs(list) do
    settle_kind(principal, directory, report)
    if opts.proof and opts.proof.id == principal.id then principal.groups = opts.proof.groups end
    principal.can_obtain_again = can_obtain_again(principal, directory)
    set_known(principal, directory, opts)
    report.principals[i] = { kind = principal.kind, id = principal.id, name = principal.name,
      deleted = principal.deleted, can_obtain_again = principal.can_obtain_again,
      in_iam = principal.in_iam }
    if i <= MOST_NOTES then note_principal(principal, opts, report) end
  end
  if #list > MOST_NOTES then report:note("and %d more principals", #list - MOST_NOTES) end
end

-- ---- who is in no list of IAM's -------------------------------------------------

--- Whether our own records show that there was somebody of an id: an audit log of the
-- clients, or what the caller knows (`knows`).
-- @treturn boolean
function M.is_on_record(run, principal)
  if principal.on_record ~= nil then return principal.on_record end
  local found, knows = false, run.opts.knows
  for _, client in ipairs(run.clients) do
    found = found or audit_log.names_holder(client, principal.id)
  end
  if not found and knows then
    local ok, answer = protect.catch(knows, principal.kind, principal.id)
    if not ok then run.report:note("knows= raised an error: %s", tostring(answer)) end
    found = ok and answer == true
  end
  principal.on_record = found
  return found
end

--- Whether a cluster's CA issued the certificate that says who is meant.
-- @treturn ?boolean nil when no certificate says it; true also when the service does not
--   say which CA that is
function M.is_issued_by(item, opts)
  local proof = opts.proof
  if not proof or proof.id ~= item.principal.id then return nil end
  local ca = authority.of(item.cluster)
  if not ca then
    local cluster = item.client:show_cluster(item.id)
    ca = cluster and authority.of(cluster)
  end
  if not ca then return true end
  -- One that has expired was issued all the same.
  local at = math.max(proof.from, math.min(item.client:now(), proof.to))
  return core.issued_by(proof.certificate, ca, at) == true
end

-- ---- what was obtained again ------------------------------------------------------

local function add(times, key, time)
  if not key or not time then return end
  times[key] = times[key] or {}
  table.insert(times[key], time)
end

-- The last of some times before another.
local function last_before(times, limit)
  local last
  for _, time in ipairs(times or {}) do
    if time < limit and (not last or time > last) then last = time end
  end
  return last
end

local function of_client(client, found)
  local downloads, message = client:certificate_downloads()
  if not downloads then return nil, message end
  local revocations, deleted
  revocations, message = client:list_traces { service = "CCE", name = "revokeClusterCert" }
  if not revocations then return nil, message end
  for _, each in ipairs(downloads) do
    local key = each.cluster_id and each.id and each.cluster_id .. " " .. each.id
    add(found.obtained, key, each.time)
    if each.id then found.known[each.id] = true end
  end
  for _, trace in ipairs(revocations) do
    add(found.revoked, trace.ok and trace.resource_id, trace.time)
  end
  deleted = client:deleted_principals { from = client:now() - RETENTION, partial = true }
  for _, each in ipairs(deleted or {}) do found.known[each.id] = true end
  return true
end

--- What CTS knows of certificates that were obtained after an earlier revocation, and of
-- whom.
-- @tparam {cce.client,...} clients
-- @tparam number limit unix time when this run began: what was obtained later it
--   may not have cut
-- @tparam cce.report report
-- @treturn table `obtained_again(cluster_id, principal)`: nil, or the times of the
--   revocation and of the certificate; `knows(id)`: whether a principal of this id obtained
--   certificates or was deleted
function M.history(clients, limit, report)
  local found = { obtained = {}, revoked = {}, known = {} }
  for _, client in ipairs(clients) do
    local ok, message = of_client(client, found)
    if not ok then
      report:note("CTS was not asked who obtained certificates again (%s)", message)
      break
    end
  end
  local function obtained_again(cluster_id, principal)
    local obtained = last_before(found.obtained[cluster_id .. " " .. principal.id], limit)
    local revoked = obtained and last_before(found.revoked[cluster_id], obtained)
    if revoked then return revoked, obtained end
  end
  local function knows(id) return found.known[id] == true end
  return { obtained_again = obtained_again, knows = knows }
end

return M
