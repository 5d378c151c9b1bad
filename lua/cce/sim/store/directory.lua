--- Who and what the simulated account has: users, agencies and projects, as IAM lists them.
local account = require("cce.sim.account")
local cts = require("cce.sim.service.cts")
local errors = require("cce.sim.server.errors")
local json = require("cce.sim.server.json")
local policy = require("cce.sim.server.policy")
local random = require("cce.sim.random")

local M = {}

-- kind -> list of { id=, name=, enabled= }, in the order in which they came
local principals = { user = {}, agency = {} }

--- As after the start: those who have keys.
function M.reset()
  principals = { user = {}, agency = {} }
  for _, key in ipairs(account.keys) do
    local each = key.principal
    table.insert(principals[each.kind], { id = each.id, name = each.name, enabled = true })
  end
end

local function find(kind, id)
  for i, each in ipairs(principals[kind]) do
    if each.id == id then
      return each, i
    end
  end
end

--- Whether a principal may still sign: it is there and enabled.
function M.is_active(principal)
  local found = find(principal.kind, principal.id)
  return found ~= nil and found.enabled
end

--- Adds a user or agency, or changes one. change: kind, id, name, enabled. Returns the id.
function M.put(change)
  local found = find(change.kind, change.id)
  if not found then
    found = { id = change.id or random.hex(16), name = change.name, enabled = true }
    table.insert(principals[change.kind], found)
  end
  found.name = change.name or found.name
  if change.enabled ~= nil then
    found.enabled = change.enabled
  end
  return found.id
end

local TRACES = { user = "deleteUser", agency = "deleteAgency" }

--- Deletes a user or agency, as the administrator, and leaves a trace. what: kind, id, v5 (by the
-- newer IAM, which has other names for traces), ago (seconds), status (of the attempt). Returns
-- whether there was one.
function M.delete(what)
  local found, index = find(what.kind, what.id)
  if not found then
    return false
  end
  local status = what.status or 204
  cts.record({
    name = TRACES[what.kind] .. (what.v5 and "V5" or ""), service = "IAM", status = status,
    resource_type = what.kind, resource_id = found.id, resource_name = found.name,
    project_id = account.central.project_id, principal = account.keys[1].principal,
    ago = what.ago, source_ip = "127.0.0.1",
  })
  if status < 400 then
    table.remove(principals[what.kind], index)
  end
  return true
end

-- ------------------------------------------------------------------------------------ routes

local function query_of(call)
  return ngx.decode_args(call.request.target:match("%?(.*)$") or "", 0)
end

local function select_items(items, query, names)
  local result = {}
  for _, item in ipairs(items) do
    local is_wanted = true
    for _, name in ipairs(names) do
      is_wanted = is_wanted and (not query[name] or query[name] == tostring(item[name]))
    end
    if is_wanted then
      result[#result + 1] = item
    end
  end
  return result
end

local function wrong_domain(query)
  if query.domain_id ~= nil and query.domain_id ~= account.domain_id then
    return M.denied("domain " .. query.domain_id)
  end
end

local function list_domains()
  return { status = 200, body = { links = {}, domains = { {
    id = account.domain_id, name = account.domain_name, enabled = true, description = "",
  } } } }
end

local function list_users(call)
  local query, items = query_of(call), {}
  local refusal = wrong_domain(query)
  if refusal then
    return refusal
  end
  for i, user in ipairs(principals.user) do
    items[i] = {
      id = user.id, name = user.name, enabled = user.enabled, domain_id = account.domain_id,
      pwd_status = true, description = "", password_expires_at = json.null,
    }
  end
  items = select_items(items, query, { "name", "enabled" })
  return { status = 200, body = { users = json.array(items), links = { next = json.null } } }
end

local function list_agencies(call)
  local query, items = query_of(call), {}
  if not query.domain_id then
    return errors.iam(400, 400, "domain_id is mandatory")
  end
  local refusal = wrong_domain(query)
  if refusal then
    return refusal
  end
  for i, agency in ipairs(principals.agency) do
    items[i] = {
      id = agency.id, name = agency.name, domain_id = account.domain_id, duration = "FOREVER",
      trust_domain_id = account.domain_id, trust_domain_name = "op_svc_example", description = "",
    }
  end
  return { status = 200, body = { agencies = json.array(select_items(items, query, { "name" })) } }
end

-- Whose a permanent access key is.
local function show_access_key(call)
  for _, key in ipairs(account.keys) do
    if key.ak == call.ids.access_key and key.principal.kind == "user" then
      return { status = 200, body = { credential = {
        access = key.ak, user_id = key.principal.id, status = "active", description = "",
      } } }
    end
  end
  return errors.iam(404, 404, "Could not find credential: " .. call.ids.access_key .. ".")
end

local function list_projects(call)
  local query = query_of(call)
  local items = {}
  for i, each in ipairs(policy.projects()) do
    items[i] = {
      id = each.id, name = each.name, domain_id = account.domain_id,
      parent_id = account.domain_id, enabled = true, is_domain = false, description = "",
    }
  end
  items = select_items(items, query, { "name", "domain_id", "parent_id", "enabled" })
  local size, page = tonumber(query.per_page or 5000), tonumber(query.page or 1)
  local shown = {}
  for i = (page - 1) * size + 1, math.min(page * size, #items) do
    shown[#shown + 1] = items[i]
  end
  return { status = 200, body = { projects = json.array(shown) } }
end

-- DELETE of a user or agency, by the API of either IAM.
local function deleter(kind, v5)
  return function(call)
    if not call.principal.admin then
      return M.denied(("iam:%s:delete"):format(kind))
    elseif not M.delete({ kind = kind, id = call.ids.id, v5 = v5 }) then
      return errors.iam(404, 404, ("Could not find %s: %s."):format(kind, call.ids.id))
    end
    return { status = 204 }
  end
end

--- How this service says that a right is missing.
function M.denied(action)
  local refusal = errors.iam(403, 403,
    ("You are not authorized to perform the requested action: %s."):format(action))
  refusal.body.error.title = "Forbidden"
  return refusal
end

M.routes = {
  { method = "GET", path = "/v3/auth/domains", operation = "list_domains",
    handler = list_domains },
  { method = "GET", path = "/v3/projects", operation = "list_projects",
    action = "iam:projects:listProjects", handler = list_projects },
  { method = "GET", path = "/v3.0/OS-CREDENTIAL/credentials/{access_key}",
    operation = "show_access_key", action = "iam:credentials:getCredential",
    handler = show_access_key },
  { method = "GET", path = "/v3/users", operation = "list_users",
    action = "iam:users:listUsers", handler = list_users },
  { method = "GET", path = "/v3.0/OS-AGENCY/agencies", operation = "list_agencies",
    action = "iam:agencies:listAgencies", handler = list_agencies },
  { method = "DELETE", path = "/v3/users/{id}", operation = "delete_user",
    action = "iam:users:deleteUser", handler = deleter("user") },
  { method = "DELETE", path = "/v5/users/{id}", operation = "delete_user",
    action = "iam:users:deleteUserV5", handler = deleter("user", true) },
  { method = "DELETE", path = "/v3.0/OS-AGENCY/agencies/{id}", operation = "delete_agency",
    action = "iam:agencies:deleteAgency", handler = deleter("agency") },
  { method = "DELETE", path = "/v5/agencies/{id}", operation = "delete_agency",
    action = "iam:agencies:deleteV5", handler = deleter("agency", true) },
}

M.reset()

return M
