--- AccessPolicies: rights in clusters that CCE keeps itself, for the whole account.
--
-- The API knows no versions of them: who edits one in the same moment may be overwritten,
-- or overwrite. So nothing waits between a reading and its write: a turn is taken before,
-- and what is to be sent again is read again. Each write is looked at after, until what was
-- meant stands there, and what else changed is told; and processes of one user take turns.
-- What others write between a reading and its write, one round trip, is overwritten unseen.
-- @module cce.workflow.rights.policies
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local host = require "cce.host"
local json = require "cce.base.json"
local pace = require "cce.workflow.pace"
local protected = require("cce.host.protect").pcall
local service_call = require "cce.api.service_call"
local user_state = require "cce.base.user_state"
local values = require "cce.base.values"

local M = {}

local PATH = "/api/v3/access-policies"
local TRIES, PAUSE = 5, 0.5
local LOCK_SECONDS, LOCK_PAUSE = 60, 0.05

local function invalid(operation, problem)
  return errors.fail("RESPONSE_INVALID", ("%s: %s"):format(operation, problem), {
    operation = operation, retryable = false, maybe_applied = false })
end

local function request(word, method, path, body)
  return { operation = word .. "_access_policy", method = method, path = path,
    mutating = body ~= nil, body = body, action = "cce:accessPolicy:" .. word }
end

--- How people call one.
function M.text(policy)
  return "AccessPolicy " .. policy.name
end

local function set_of(list)
  local set = {}
  for _, each in ipairs(values.object(list)) do set[tostring(each)] = true end
  return set
end

-- Nil for what does not say whom it names and where: that it gives nothing is not known.
local function policy_of(raw)
  local principal, id = values.object(raw.principal), values.text(raw.policyId)
  if not id or not values.text(principal.type) or type(raw.clusters) ~= "table" then return nil end
  local ids = {}
  for i, each in ipairs(values.object(principal.ids)) do ids[i] = tostring(each) end
  return { kind = "AccessPolicy", id = id, name = values.text(raw.name) or id, subjects = ids,
    type = principal.type, clusters = set_of(raw.clusters), raw = raw,
    namespaces = set_of(values.object(raw.accessScope).namespaces),
    role = { name = values.text(raw.policyType) or "?", kind = principal.type } }
end

--- All that the credentials of a client can see.
-- @tparam cce.client client
-- @treturn[1] {table,...} `{kind=, id=, name=, type="user"|"group"|"agency", subjects={ids},
--   clusters={[id or "*"]=true}, namespaces={[name or "*"]=true}, role={name=, kind=<type>}}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.list(client)
  local items, message, err = service_call.fetch_list(client, request("list", "GET", PATH),
    "accessPolicyList")
  -- A gateway that does not know the path: this cloud has none.
  if not items and err.code == "API_NOT_FOUND" then return {} end
  if not items then return nil, message, err end
  local list = {}
  for i, raw in ipairs(items) do
    list[i] = policy_of(values.object(raw))
    if not list[i] then
      return invalid("list_access_policy", "the list has what is no AccessPolicy")
    end
  end
  return list
end

local function read(client, policy)
  local path = PATH .. "/" .. policy.id
  local body, message, err, response = service_call.fetch(client, request("get", "GET", path))
  if not body then return nil, message, err end
  -- What is sent back keeps its empty lists.
  local found = policy_of(values.object(json.decode(response.body)))
  if found and found.id == policy.id then return found end
  return invalid("get_access_policy", "the answer is not " .. M.text(policy))
end

local NOT_SENT = { policyId = true, createTime = true, updateTime = true }

-- Leaves once: CANCELLED when it was put off, as by throttling. What was read before may be
-- old by then.
local function write(client, policy, ids)
  local body, has_left = {}, false
  for name, value in pairs(policy.raw) do
    if not NOT_SENT[name] then body[name] = value end
  end
  body.principal = {}
  for name, value in pairs(policy.raw.principal) do body.principal[name] = value end
  body.principal.ids = json.array(ids)
  local put = request("put", "PUT", PATH .. "/" .. policy.id, json.encode(body))
  function put.before_send()
    if has_left then return nil, "it was put off, and what it says may be old by now" end
    has_left = true
    return math.huge
  end
  return service_call.fetch(client, put, { target = M.text(policy) })
end

-- What a policy says, as one text to compare, whatever the order.
local function content_of(policy, ids)
  local lines = { "name " .. policy.name, "gives " .. policy.role.name, "to " .. policy.type }
  for _, id in ipairs(ids) do lines[#lines + 1] = "id " .. id end
  for cluster in pairs(policy.clusters) do lines[#lines + 1] = "cluster " .. cluster end
  for namespace in pairs(policy.namespaces) do lines[#lines + 1] = "namespace " .. namespace end
  table.sort(lines)
  return table.concat(lines, "\n")
end

-- What stands there after a write: whether that was meant, and what is to be said of others;
-- or nil, message, err.
local function look_after(client, was, ids, has_answer, change)
  local now, message, err = read(client, was)
  if not now then return nil, message, err end
  local content, others = content_of(now, now.subjects), nil
  local is_as_it_was = not has_answer and content == content_of(was, was.subjects)
  if content ~= content_of(was, ids) and not is_as_it_was then
    others = M.text(was) .. " was changed by somebody else in the same moment, and CCE keeps no"
      .. " versions: look whether what they wrote stands there"
  end
  return change(now) == false, others
end

local function edit(client, policy, change)
  local is_changed, others, message, err = false, nil, nil, nil
  for try = 1, TRIES do
    if try > 2 then client.sleep(PAUSE * try * client.random()) end
    pace.take_turn(client)
    local now, ids, ok
    now, message, err = read(client, policy)
    if now then ids, message, err = change(now) end
    if ids == false then return is_changed, others end
    if not ids then return nil, message, err end
    ok, message, err = write(client, now, ids)
    if ok or err.maybe_applied then
      is_changed = true
      local is_meant, said, problem = look_after(client, now, ids, ok, change)
      others = said or others
      if is_meant == nil then return nil, said, problem end
      if is_meant then return true, others end
    elseif err.code ~= "CANCELLED" then
      return nil, message, err
    end
  end
  if err then return nil, message, err end
  return errors.fail("CONFLICT", M.text(policy) .. " is changed by somebody else at the same time",
    { operation = "put_access_policy", retryable = true, maybe_applied = true })
end

-- No waiting inside of the lock, which would hold up a task of this process that has it.
local function take_lock()
  local deadline = core.sys.monotonic() + LOCK_SECONDS
  while true do
    local lock = user_state.lock("access-policies", 0)
    if lock ~= nil or core.sys.monotonic() >= deadline then return lock end
    host.sleep(LOCK_PAUSE)
  end
end

--- Change whom a policy names, and look whether it stuck.
-- @tparam cce.client client
-- @tparam table policy with `id` and `name`
-- @tparam function change called with the policy as it is; returns the list of its new ids,
--   false when there is nothing to change, or nil, message, err
-- @treturn[1] boolean true; false when there was nothing to change
-- @treturn[1] ?string what is to be said of others who changed it in the same moment
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.edit(client, policy, change)
  -- Others are not held up for the first turn, which may be long in coming.
  pace.take_turn(client)
  local lock = take_lock()
  local ok, done, said, err = protected(edit, client, policy, change)
  if lock then lock:close() end
  if not ok then error(done, 0) end
  return done, said, err
end

return M
