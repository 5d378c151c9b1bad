--- AccessPolicies as routes of the CCE service.
local errors = require("cce.sim.server.errors")
local json = require("cce.sim.server.json")
local policies = require("cce.sim.store.access_policies")

local M = {}

-- As it is sent: what is empty is a list still.
local function shown(policy)
  local copy = {}
  for name, value in pairs(policy) do
    copy[name] = value
  end
  copy.principal = { type = policy.principal.type, ids = json.array(policy.principal.ids) }
  copy.accessScope = { namespaces = json.array(policy.accessScope.namespaces) }
  return copy
end

local function list(call)
  local query = ngx.decode_args(call.request.target:match("%?(.*)$") or "", 0)
  local items = {}
  for i, policy in ipairs(policies.list(query.cluster_id)) do
    items[i] = shown(policy)
  end
  return { status = 200, body = { accessPolicyList = json.array(items) } }
end

local function not_found(call)
  return errors.cce("not_found", ("access policy %s not found"):format(call.ids.policy_id))
end

local function put(call)
  if call.ids.policy_id and not policies.find(call.ids.policy_id) then
    return not_found(call)
  end
  local body, problem = json.decode(call.request.body or "")
  problem = type(body) == "table" and policies.problem(body) or problem
  if problem or type(body) ~= "table" then
    return errors.cce("bad_body", problem or "a JSON object is expected")
  end
  return { status = call.ids.policy_id and 200 or 201,
    body = shown(policies.put(body, call.ids.policy_id)) }
end

local function show(call)
  local policy = policies.find(call.ids.policy_id)
  return policy and { status = 200, body = shown(policy) } or not_found(call)
end

local function delete(call)
  if not policies.find(call.ids.policy_id) then
    return not_found(call)
  end
  policies.delete(call.ids.policy_id)
  return { status = 204 }
end

local PATH = "/api/v3/access-policies"

-- Administrators alone: those who could give themselves rights.
local function route(method, path, word, handler)
  return { method = method, path = path, operation = word .. "_access_policy",
    action = "cce:accessPolicy:" .. word, handler = function(call)
      if not call.principal.admin then
        return errors.cce("forbidden",
          ("Policy doesn't allow cce:accessPolicy:%s to be performed."):format(word))
      end
      return handler(call)
    end }
end

M.routes = {
  route("GET", PATH, "list", list),
  route("POST", PATH, "post", put),
  route("GET", PATH .. "/{policy_id}", "get", show),
  route("PUT", PATH .. "/{policy_id}", "put", put),
  route("DELETE", PATH .. "/{policy_id}", "delete", delete),
}

return M
