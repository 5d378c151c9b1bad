--- The CTS service: traces of what happened in the simulator.
--
-- As the real one it keeps seven days, tells the newest first, page by page, and may be late (see
-- M.set_late). The traces of IAM are in the tracker of another region than the clusters': they
-- are found under the project of the account's central region only.
local account = require("cce.sim.account")
local json = require("cce.sim.server.json")
local random = require("cce.sim.random")
local state = require("cce.sim.store.state")

local M = {}

local RETENTION = 7 * 86400
local DEFAULT_WINDOW = 3600
local DEFAULT_LIMIT, MAX_LIMIT = 10, 200
-- Old ones go, so that a long rehearsal does not eat the memory.
local MOST = 50000

local traces, first, late = {}, 1, 0

function M.reset()
  traces, first, late = {}, 1, 0
end

--- What happens from now on can be seen only so many seconds later.
function M.set_late(seconds)
  late = seconds
end

local function user_of(principal)
  local user = {
    id = principal.id, name = principal.name, user_name = principal.name, type = "User",
    principal_id = principal.id, account_id = account.domain_id,
    domain = { id = account.domain_id, name = account.domain_name },
  }
  if principal.kind == "agency" then
    user.type, user.name = "AssumedAgency", account.domain_name .. "/" .. principal.name
    user.principal_id = principal.id .. ":simulated-session"
    user.id, user.user_name = nil, nil
  end
  return user
end

--- Notes what happened. fact: name, service, resource_type, resource_id, resource_name, project_id,
-- principal (who did it), status, ago (seconds before now, default 0), source_ip,
-- request, response (strings).
function M.record(fact)
  local time = state.now() - (fact.ago or 0)
  traces[#traces + 1] = {
    trace_id = random.uuid(), trace_name = fact.name, trace_type = "ApiCall",
    trace_rating = fact.status < 400 and "normal" or "warning", tracker_name = "system",
    event_type = "system",
    api_version = "1.0", service_type = fact.service, resource_type = fact.resource_type,
    resource_id = fact.resource_id, resource_name = fact.resource_name,
    code = tostring(fact.status),
    project_id = fact.project_id, user = user_of(fact.principal), source_ip = fact.source_ip,
    time = math.floor(time * 1000), record_time = math.floor((time + late) * 1000),
    request = fact.request, response = fact.response,
  }
  if #traces - first >= MOST then
    traces[first] = false
    first = first + 1
  end
end

-- What was asked for: where, and the fields of the body that are no secret.
local SHOWN = { "userId", "agencyId", "component", "duration", "expire_at" }

--- The trace of a call on a cluster.
function M.record_call(call, route, response)
  local cluster = state.cluster_by_id[call.ids.cluster_id]
  local body = call.request.body and call.request.method == "POST"
    and json.decode(call.request.body)
  local asked = { url = call.request.target }
  for _, name in ipairs(SHOWN) do
    local value = type(body) == "table" and body[name]
    if value and value ~= json.null then asked[name] = value end
  end
  M.record({
    name = route.trace, service = "CCE", resource_type = "cluster", status = response.status,
    resource_id = call.ids.cluster_id, resource_name = cluster and cluster.name or nil,
    project_id = call.ids.project_id, principal = call.principal, source_ip = "127.0.0.1",
    request = json.encode(asked),
    -- Of what is answered no other has so little to hide.
    response = type(response.body) == "table" and response.body.jobid
      and json.encode(response.body) or nil,
  })
end

--- All of them, the seen and the late.
function M.list()
  local result = {}
  for i = first, #traces do
    result[#result + 1] = traces[i]
  end
  return result
end

-- ----------------------------------------------------------------------------------- queries

local FILTERS = { "service_type", "trace_name", "resource_type", "resource_id", "resource_name" }

local function bad(message)
  return nil, { status = 400, body = { error_code = "CTS.0200", error_msg = message } }
end

-- from, to in milliseconds; nil, response when they make no sense.
local function window(query, now)
  local from, to = query.from, query.to
  if (from == nil) ~= (to == nil) then
    return bad("from and to must be used together")
  elseif from and not (from:match("^%d+$") and to:match("^%d+$") and #from == 13 and #to == 13) then
    return bad("from and to must be 13-digit timestamps")
  end
  local oldest = (now - RETENTION) * 1000
  if not from then
    return (now - DEFAULT_WINDOW) * 1000, now * 1000 + 1
  end
  return math.max(tonumber(from), oldest), math.min(tonumber(to), now * 1000 + 1)
end

local function fits(trace, query, from, to)
  if trace.record_time <= from or trace.record_time >= to then
    return false
  end
  for _, name in ipairs(FILTERS) do
    if query[name] and query[name] ~= trace[name] then
      return false
    end
  end
  return not query.user or query.user == trace.user.name
end

-- What fits, the newest record first.
local function find(project_id, query, from, to)
  local found = {}
  for i = #traces, first, -1 do
    local trace = traces[i]
    if trace.project_id == project_id and fits(trace, query, from, to) then
      found[#found + 1] = { trace = trace, order = i }
    end
  end
  table.sort(found, function(a, b)
    if a.trace.record_time ~= b.trace.record_time then
      return a.trace.record_time > b.trace.record_time
    end
    return a.order > b.order
  end)
  return found
end

local function list_traces(call)
  local query = ngx.decode_args(call.request.target:match("%?(.*)$") or "", 0)
  local limit = tonumber(query.limit or DEFAULT_LIMIT)
  if not limit or limit < 1 or limit > MAX_LIMIT then
    return select(2, bad("limit must be from 1 to 200"))
  end
  local from, to = window(query, state.now())
  if not from then
    return to
  end
  local found = find(call.ids.project_id, query, from, to)
  -- `next` is the id of the last trace of the page before.
  local items, start = {}, 1
  for i, each in ipairs(found) do
    if each.trace.trace_id == query.next then
      start = i + 1
    end
  end
  for i = start, math.min(start + limit - 1, #found) do
    items[#items + 1] = found[i].trace
  end
  -- A full page has a marker even when nothing follows.
  local marker = #items == limit and items[#items].trace_id or json.null
  return { status = 200, body = {
    meta_data = { count = #items, marker = marker }, traces = json.array(items),
  } }
end

--- Refuses a call for a project that is none of the account's.
function M.check(call)
  local id = call.ids.project_id
  if not state.is_project(id) then
    return { status = 403, body = { error_code = "CTS.0003",
      error_msg = "Forbidden: no access to project " .. id } }
  end
end

--- How this service says that a right is missing.
function M.denied(action)
  return { status = 403, body = { error_code = "CTS.0003",
    error_msg = ("Policy doesn't allow %s to be performed."):format(action) } }
end

M.routes = {
  { method = "GET", path = "/v3/{project_id}/traces", operation = "list_traces",
    action = "cts:trace:list", handler = list_traces },
}

return M
