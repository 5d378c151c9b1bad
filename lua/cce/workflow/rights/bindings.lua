--- RoleBindings and ClusterRoleBindings, by the cluster's own API
-- (`rbac.authorization.k8s.io/v1`).
--
-- Only `subjects` is ever sent, with the version that was read: an edit of somebody else
-- in between is refused by the cluster (409), and what they wrote is read anew.
-- @module cce.workflow.rights.bindings
-- @local
local ask = require "cce.kubeconfig.ask"
local audit_log = require "cce.log.audit_log"
local core = require "cce.core"
local errors = require "cce.error"
local json = require "cce.base.json"
local values = require "cce.base.values"

local M = {}

local ROOT = "/apis/rbac.authorization.k8s.io/v1/"
local RESOURCES = { RoleBinding = "rolebindings", ClusterRoleBinding = "clusterrolebindings" }

-- Bindings at a time, and bytes of them.
local PAGE, MAX_RESPONSE = 500, 32 * 1048576

-- Whoever loses so often is not alone with a person who types.
local TRIES, FIRST_PAUSE, LONGEST_PAUSE = 12, 0.05, 2

local CODES = { [401] = "UNAUTHENTICATED", [403] = "PERMISSION_DENIED", [404] = "NOT_FOUND",
  [409] = "CONFLICT", [429] = "THROTTLED" }

-- One that is repeated does no harm: a version that was left behind is refused.
local TRANSIENT = { TIMEOUT = true, CONNECTION_LOST = true, CONNECT_FAILED = true,
  SERVER_ERROR = true, THROTTLED = true }
local ATTEMPTS, BETWEEN = 3, 0.5

local function send_once(access, what, request)
  local response, message, code, detail = ask(access.client, access.kubeconfig, request)
  local body = response and core.json.decode(response.body)
  local is_done = response and response.status >= 200 and response.status <= 299
  if is_done and type(body) == "table" then return body, nil, nil, response end
  if is_done then
    message, code = "the answer is no JSON object", "RESPONSE_INVALID"
  elseif response then
    local said = values.text(values.object(body).message)
    message = ("HTTP %d%s"):format(response.status, said and ": " .. said or "")
    code = CODES[response.status] or response.status >= 500 and "SERVER_ERROR" or "BAD_REQUEST"
  end
  -- A server that fails may have written before it did.
  local is_open = response and response.status >= 500 or not response and detail and detail.sent
  return errors.fail(code or "INTERNAL", ("%s in cluster %s: %s"):format(what, access.cluster,
    message), { operation = what, retryable = true, status = response and response.status,
    maybe_applied = request.mutating and (is_done or is_open) or false, attempts = 1 })
end

-- A request; the JSON that came.
local function send(access, what, request)
  local is_open = false
  for attempt = 1, ATTEMPTS do
    local body, message, err, response = send_once(access, what, request)
    if body then return body, nil, nil, response end
    -- What is refused now may be so since an earlier one was done.
    is_open = is_open or err.maybe_applied
    err.maybe_applied = is_open
    if not TRANSIENT[err.code] or attempt == ATTEMPTS then return nil, message, err end
    access.client.sleep(BETWEEN * attempt * (0.5 + access.client.random()))
  end
end

--- How people call one: "RoleBinding dev/devs".
function M.text(binding)
  return ("%s %s%s"):format(binding.kind, binding.namespace and binding.namespace .. "/" or "",
    binding.name)
end

local function invalid(access, what, problem, maybe_applied)
  return errors.fail("RESPONSE_INVALID", ("%s in cluster %s: %s"):format(what, access.cluster,
    problem), { operation = what, retryable = false, maybe_applied = maybe_applied or false })
end

-- A list of the API has no kinds in it. Nil for what no binding can look like.
local function binding_of(kind, raw)
  local metadata, role = values.object(raw.metadata), values.object(raw.roleRef)
  local name, version = values.text(metadata.name), values.text(metadata.resourceVersion)
  if not name or not version then return nil end
  local subjects = {}
  for i, each in ipairs(values.object(raw.subjects)) do subjects[i] = values.object(each) end
  return { kind = kind, name = name, namespace = values.text(metadata.namespace),
    version = version, subjects = subjects,
    role = { kind = values.text(role.kind), name = values.text(role.name) },
    is_default = values.object(metadata.labels)["kubernetes.io/bootstrapping"] == "rbac-defaults" }
end

local function path_of(binding)
  local namespace = binding.namespace and "namespaces/" .. binding.namespace .. "/" or ""
  return ROOT .. namespace .. RESOURCES[binding.kind] .. "/" .. binding.name
end

local function add_all(access, kind, list)
  local token
  local what = "list_" .. RESOURCES[kind]
  repeat
    local query = { { "limit", tostring(PAGE) } }
    if token then query[2] = { "continue", token } end
    local body, message, err = send(access, what, {
      path = ROOT .. RESOURCES[kind], query = query, max_response = MAX_RESPONSE })
    if not body then return nil, message, err end
    -- An empty list is a word of the cluster's; an answer that is none says nothing.
    -- Go writes null for a list that it never filled.
    local items = body.items == json.null and {} or body.items
    if body.kind ~= kind .. "List" or not values.is_list(items) then
      return invalid(access, what, "the answer is no list")
    end
    for _, raw in ipairs(items) do
      local binding = binding_of(kind, values.object(raw))
      if not binding then return invalid(access, what, "the list has what is no binding") end
      list[#list + 1] = binding
    end
    token = values.text(values.object(body.metadata)["continue"])
  until not token
  return true
end

--- All of a cluster.
-- @tparam table access of `cce.workflow.rights.access`
-- @treturn[1] {table,...} `{kind=, namespace=, name=, version=, subjects=, role={kind=, name=},
--   is_default=<whether Kubernetes itself made it>}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.list(access)
  local list = {}
  for _, kind in ipairs { "ClusterRoleBinding", "RoleBinding" } do
    local ok, message, err = add_all(access, kind, list)
    if not ok then return nil, message, err end
  end
  return list
end

-- What an answer says of a binding; nil when it is not of that one.
local function same(binding, raw)
  local found = raw.kind == binding.kind and binding_of(binding.kind, raw)
  return found and found.name == binding.name and found.namespace == binding.namespace and found
end

local function read(access, binding)
  local what = "get_" .. RESOURCES[binding.kind]:sub(1, -2)
  local raw, message, err = send(access, what,
    { path = path_of(binding), max_response = MAX_RESPONSE })
  if not raw then return nil, message, err end
  local found = same(binding, raw)
  if found then return found end
  return invalid(access, what, "the answer is not " .. M.text(binding))
end

local function write(access, binding, subjects)
  local request = { operation = "patch_" .. RESOURCES[binding.kind]:sub(1, -2), method = "PATCH",
    path = path_of(binding), query = { { "fieldManager", "lua-cce" } }, mutating = true,
    headers = { ["Content-Type"] = "application/merge-patch+json" },
    body = json.encode { metadata = { resourceVersion = binding.version },
      subjects = json.array(subjects) },
    max_response = MAX_RESPONSE }
  local function leave()
    local body, message, err, response = send(access, request.operation, request)
    if not body then return nil, message, err end
    local now = same(binding, body)
    if not now or #now.subjects ~= #subjects then
      return invalid(access, request.operation, ("the answer is not %s as it was meant"):format(
        M.text(binding)), true)
    end
    response.attempts = 1
    return response
  end
  if not access.client.config.audit_log then return leave() end
  return audit_log.around(access.client, request, { project_id = access.project_id,
    target = M.text(binding) .. " of cluster " .. access.cluster_id }, leave)
end

--- Change the subjects of a binding, whoever else changes it.
-- @tparam table access
-- @tparam table binding as it was read; or `kind`, `namespace` and `name`: it is read first
-- @tparam function change called with the binding as it is; returns the list of its new
--   subjects, or false when there is nothing to change, or nil, message, err
-- @treturn[1] boolean true; false when there was nothing to change
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.edit(access, binding, change)
  local message, err
  local pause = FIRST_PAUSE
  for try = 1, TRIES do
    if not binding.version or try > 1 then
      binding, message, err = read(access, binding)
      if not binding then return nil, message, err end
    end
    local subjects, done
    subjects, message, err = change(binding)
    if not subjects then return subjects, message, err end
    done, message, err = write(access, binding, subjects)
    if done then return true end
    if err.code ~= "CONFLICT" then break end
    access.client.sleep(pause * (0.5 + access.client.random()))
    pause = math.min(pause * 2, LONGEST_PAUSE)
  end
  return nil, message, err
end

return M
