--- What is known of certificates: from CTS, from exported traces, from audit logs,
-- from kubeconfigs, from a schedule, and from rights in the clusters. Each source adds facts to
-- one list:
--
--     { what="obtained"|"revoked"|"rotated"|"due"|"bound", cluster_id=, kind=, id=, name=,
--       time=, ends=<of a certificate, when it is known>, from=<which evidence, for people> }
-- @module cce.workflow.holders.evidence
-- @local
local access = require "cce.workflow.rights.access"
local audit_line = require "cce.log.audit_line"
local bindings = require "cce.workflow.rights.bindings"
local core = require "cce.core"
local errors = require "cce.error"
local json_line = require "cce.base.json_line"
local map = require "cce.map"
local policies = require "cce.workflow.rights.policies"
local responses = require "cce.api.response"
local rotations = require "cce.workflow.rotate.evidence"
local show = require "cce.text.show"
local times = require "cce.base.times"
local traces = require "cce.api.cts.trace"

local M = {}

local DAY = 86400

-- What a trace is called, and what it tells.
local TRACES = {
  getClusterCertByUID = "obtained", revokeClusterCert = "revoked",
  RotateClusterCredentials = "rotated", RotateCredentials = "rotated",
}

-- The end of a certificate, by what it was asked for with.
local function end_of(asked, time)
  if type(asked.expire_at) == "string" then return times.parse(asked.expire_at) end
  local days = tonumber(asked.duration)
  return days and days > 0 and time + days * DAY or nil
end

-- A rotation of the ServiceAccounts' key cuts no client certificate; one of which it is not told
-- what was rotated may be of that.
local function fact_of(what, asked, fact)
  if what == "obtained" then
    fact.ends = end_of(asked, fact.time)
  elseif what == "revoked" then
    fact.kind = asked.agency_id and "agency" or "user"
    fact.id, fact.name = asked.agency_id or asked.user_id, nil
  elseif asked.component == "service-account-controller" then
    return nil
  elseif not asked.component then
    what = "unclear"
  end
  fact.what = what
  return fact
end

--- The fact that a trace tells; nil for one of something else, or refused.
-- @tparam table trace of `cce.api.cts.trace`
-- @tparam string from
-- @treturn ?table
function M.of_trace(trace, from)
  local what = TRACES[trace.name or ""]
  if not what or not trace.ok or not trace.time or not trace.resource_id then return nil end
  local request = trace.raw.request
  return fact_of(what, audit_line.arguments(type(request) == "string" and request or nil), {
    cluster_id = trace.resource_id, kind = trace.user.kind, id = trace.user.id,
    name = trace.user.name, time = trace.time,
    from = ("%s %s at %s"):format(from, trace.id or "", show.time(trace.time)) })
end

-- Of certificates whose holder, cluster or time is not told a number is left, `facts.lost`; of
-- rotations of which it is not told what they were of, `facts.unclear`.
local function add(facts, what, fact)
  if fact and fact.what == "unclear" then
    facts.unclear = (facts.unclear or 0) + 1
  elseif fact and (fact.id or fact.what ~= "obtained") then
    facts[#facts + 1] = fact
  elseif what == "obtained" then
    facts.lost = (facts.lost or 0) + 1
  end
end

local function add_trace(facts, trace, from)
  add(facts, trace.ok and TRACES[trace.name or ""], M.of_trace(trace, from))
end

-- ---- CTS ---------------------------------------------------------------------

--- Ask CTS for all that it still has of the client's project.
-- @treturn[1] table the window that was searched
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.of_cts(client, facts)
  local window
  for name in pairs(TRACES) do
    local list, message, err = client:list_traces { service = "CCE", name = name }
    if not list then return nil, message, err end
    window = list.window
    for _, trace in ipairs(list) do add_trace(facts, trace, "CTS trace") end
  end
  return window
end

-- ---- files of traces -----------------------------------------------------------

-- Returns how many traces there are, and which entry, if any, is none.
local function add_traces(value, path, facts)
  if type(value) ~= "table" then return 0, 1 end
  local list = value[1] ~= nil and value or value.traces or { value }
  local count, other = 0, nil
  for i, raw in ipairs(type(list) == "table" and list or {}) do
    if type(raw) == "table" and type(raw.trace_name) == "string" then
      count = count + 1
      add_trace(facts, traces.read(raw), "trace in " .. path)
    else
      other = other or i
    end
  end
  return count, other
end

--- Read exported traces: a JSON document, as CTS writes them to OBS and answers, or
-- one of them a line.
-- @treturn[1] int how many traces
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.of_file(path, facts)
  local text, message, code = core.file.read(path, { max = 64 * 1048576 })
  if not text then return errors.fail(code, message) end
  local whole = responses.json(text)
  local count, other = 0, nil
  if whole then count, other = add_traces(whole, path, facts) end
  other = other and "trace " .. other
  local number = 0
  for line in (whole and "" or text .. "\n"):gmatch "([^\n]*)\n" do
    number = number + 1
    local more, odd = add_traces(responses.json(line), path, facts)
    if odd and line:find "%S" then other = other or "line " .. number end
    count = count + more
  end
  if count > 0 and other then
    return errors.fail("INVALID_ARGUMENT", ("%s of '%s' is no trace of CTS, or was cut off: whom it"
      .. " names would be missing"):format(other, path), {
      hint = "Export the traces again, or take it out" })
  end
  if count > 0 then return count end
  return errors.fail("INVALID_ARGUMENT", ("'%s' holds no traces of CTS"):format(path), {
    hint = "Traces are JSON, as CTS exports them: a list, or one of them a line" })
end

-- ---- audit logs ----------------------------------------------------------------

local OPERATIONS = { obtain_cert = "obtained", revoke_cert = "revoked",
  rotate_credentials = "rotated" }

-- Lines know seconds, and are written before and after: a certificate counts from the latest
-- that it can have been obtained, a cut from the earliest. So none that works is taken for cut.
local function fact_of_line(what, entry, before, after, path)
  local cluster_id = tostring(entry.target):match "^cluster (.+)$"
  local holder = what == "obtained" and type(entry.holder) == "string" and entry.holder or nil
  if not cluster_id then return nil end
  return fact_of(what, entry, { cluster_id = cluster_id, id = holder,
    time = holder and after + 1 or before, from = ("line %d of %s"):format(entry.n or 0, path) })
end

-- `begun` has the calls without an outcome, by the number of their line.
local function add_entry(facts, entry, begun, path)
  local what, time = OPERATIONS[entry.operation or ""], times.parse(entry.at)
  if what and entry.outcome == "pending" then
    begun[entry.n] = { what = what, time = time }
  elseif what and entry.outcome ~= "unknown" then
    local call = begun[entry.call or 0] or { time = time }
    begun[entry.call or 0] = nil
    if entry.outcome == "ok" then
      add(facts, what, fact_of_line(what, entry, call.time, time, path))
    end
  end
end

--- Read one of our audit logs. Who obtained is in lines that name the holder, as those
-- since version 0.2.0 do. Of requests for certificates whose outcome it does not have a number is
-- left, `facts.open`.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.of_audit_log(path, facts)
  local file, message, err = json_line.open(path)
  if not file then return nil, message, err end
  local begun, number = {}, 0
  for line in json_line.lines(file) do
    local entry = core.json.decode(line)
    number = number + 1
    if type(entry) ~= "table" or type(entry.n) ~= "number" or not times.parse(entry.at) then
      file:close()
      return errors.fail("INVALID_ARGUMENT", ("line %d of '%s' is no line of an audit log, or was"
        .. " cut off: whom it names would be missing"):format(number, path), {
        hint = "Look at it with `cce log verify`, or take it out" })
    end
    add_entry(facts, entry, begun, path)
  end
  file:close()
  for _, call in pairs(begun) do
    if call.what == "obtained" then facts.open = (facts.open or 0) + 1 end
  end
  return true
end

-- ---- rotations that have not ended ------------------------------------------------

-- The job that a cluster names; nil without an error: none, or one that is forgotten.
local function last_job(each)
  local cluster, message, err = each.client:show_cluster(each.id)
  local id = cluster and rotations.job_id_of(cluster)
  local job
  if id then job, message, err = each.client:show_job(id) end
  if job or not err or err.code == "NOT_FOUND" then return job end
  return nil, message, err
end

--- Rotations that were accepted and may have cut nothing, since their job runs or has failed.
-- @tparam {table,...} clusters of `cce.workflow.targets`
-- @tparam table facts
-- @tparam int concurrency
-- @treturn table by cluster id: since when its rotations may not have cut anything
-- @treturn {string,...} what could not be seen
function M.open_rotations(clusters, facts, concurrency)
  local is_rotated, asked, since, blind = {}, {}, {}, {}
  for _, fact in ipairs(facts) do
    if fact.what == "rotated" then is_rotated[fact.cluster_id] = true end
  end
  for _, each in ipairs(clusters) do
    if is_rotated[each.id] then asked[#asked + 1] = each end
  end
  local results = map(asked, last_job, { concurrency = concurrency })
  for i, result in ipairs(results) do
    local each, job, why = asked[i], result.value, result.message
    if job and job:is_rotation() and job.phase ~= "Success" then
      since[each.id] = rotations.began(job)
      why = ("job %s is %s"):format(job.id, job.phase)
    elseif not result.ok then
      since[each.id] = 0
    end
    if since[each.id] then
      blind[#blind + 1] = ("whether a rotation of %s cut certificates: %s"):format(
        each.name or each.id, why)
    end
  end
  return since, blind
end

-- ---- kubeconfigs and schedules ---------------------------------------------------

--- Certificates that lie in files.
-- @tparam {string,...} paths as for `cce.expiry`
-- @tparam table by_server ids of clusters by the host and port of their addresses
-- @tparam table facts where they are added
-- @treturn {string,...} what could not be read
function M.of_kubeconfigs(paths, by_server, facts)
  local problems, strange = {}, 0
  for _, entry in ipairs(require("cce.expiry")(paths)) do
    local address = entry.server and entry.server:match "^https://([^/]+)"
    local cluster_id = entry.cluster_id or by_server[address or ""]
    if entry.err then
      problems[#problems + 1] = entry.message
    elseif entry.user_id and cluster_id then
      facts[#facts + 1] = { what = "obtained", cluster_id = cluster_id, id = entry.user_id,
        time = entry.not_before, ends = entry.not_after,
        from = ("certificate %s in %s"):format(entry.serial or "", entry.path) }
    elseif entry.user_id then
      strange = strange + 1
    end
  end
  if strange > 0 then
    problems[#problems + 1] = ("which clusters %s in kubeconfigs would open: none that was chosen"
      .. " has its address"):format(show.count(strange, "certificate"))
  end
  return problems
end

--- Revocations that are still due, grants among them.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.of_schedule(schedule, facts)
  local after
  repeat
    local list, message, err = schedule:list { after = after }
    if not list then return nil, message, err end
    for _, entry in ipairs(list) do
      local is_live = not entry.ended and entry.kind == "revoke" and entry.due
      if is_live then
        facts[#facts + 1] = { what = "due", cluster_id = entry.cluster_id,
          kind = entry.agency_id and "agency" or "user", id = entry.agency_id or entry.user_id,
          time = entry.due, from = ("entry %s of the schedule"):format(entry.id) }
      end
    end
    after = list.next
  until not after
  return true
end

-- ---- rights in the clusters -------------------------------------------------------

-- Nobody is dated by a binding.
local function bound(facts, cluster_id, kind, id, text, role)
  facts[#facts + 1] = { what = "bound", cluster_id = cluster_id, kind = kind, id = id, time = 0,
    from = ("%s (%s)"):format(text, role or "?") }
end

-- What a cluster's bindings say, and how many groups they name.
local function add_bindings(each, list, facts)
  local groups = 0
  for _, binding in ipairs(list) do
    for _, subject in ipairs(binding.subjects) do
      -- Kubernetes' own are no principals of IAM; but of its groups one has people in it.
      local name = tostring(subject.name)
      local is_own = name:find "^system:" and name ~= "system:masters"
      if subject.kind == "User" and not is_own then
        bound(facts, each.id, nil, name, bindings.text(binding), binding.role.name)
      elseif subject.kind == "Group" and not is_own then
        groups = groups + 1
      end
    end
  end
  return groups
end

--- Rights by RoleBindings and ClusterRoleBindings of the clusters that there is a kubeconfig for.
-- @tparam ?string|table|function admin as for `cce.workflow.revoke`
-- @tparam {table,...} clusters of `cce.workflow.targets`
-- @tparam table facts
-- @tparam int concurrency
-- @treturn[1] {string,...} what could not be seen
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.of_bindings(admin, clusters, facts, concurrency)
  local reach, message, err = access.new(admin)
  if not reach then return nil, message, err end
  local blind, without, groups = {}, 0, 0
  local results = map(clusters, function(each)
    local way, problem = reach:of(each, true)
    if not way then return way, problem end
    return bindings.list(way)
  end, { concurrency = concurrency })
  for i, result in ipairs(results) do
    if result.ok and result.value then
      groups = groups + add_bindings(clusters[i], result.value, facts)
    elseif result.message then
      blind[#blind + 1] = ("rights in %s: %s"):format(clusters[i].name or clusters[i].id,
        result.message)
    else
      without = without + 1
    end
  end
  if without > 0 then
    blind[#blind + 1] = ("rights in %d of %d clusters: admin= has no kubeconfig for them"):format(
      without, #clusters)
  end
  if groups > 0 then
    blind[#blind + 1] = ("who is in groups that bindings name (%d in all)"):format(groups)
  end
  return blind
end

--- Rights by AccessPolicies.
-- @tparam {cce.client,...} clients
-- @tparam {table,...} clusters
-- @tparam table facts
-- @treturn {string,...} what could not be seen
function M.of_policies(clients, clusters, facts)
  local blind, seen = {}, {}
  for _, client in ipairs(clients) do
    local list, message = policies.list(client)
    if not list then blind[#blind + 1] = "AccessPolicies: " .. message end
    for _, policy in ipairs(list or {}) do
      local is_new = not seen[policy.id]
      seen[policy.id] = true
      if is_new and policy.type == "group" then
        blind[#blind + 1] = "who is in the groups of " .. policies.text(policy)
      end
      for _, each in ipairs(is_new and policy.type ~= "group" and clusters or {}) do
        local is_here = policy.clusters["*"] or policy.clusters[each.id]
        for _, id in ipairs(is_here and policy.subjects or {}) do
          bound(facts, each.id, policy.type, id, policies.text(policy), policy.role.name)
        end
      end
    end
  end
  return blind
end

return M
