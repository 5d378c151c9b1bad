--- The users of a kubeconfig, and what their certificates say.
--
-- Internal to @{cce.kubeconfig}. A `state` is what one of its objects holds.
--
-- @module cce.kubeconfig.users
-- @local
local certificates = require "cce.certificate"
local contexts = require "cce.kubeconfig.contexts"
local core = require "cce.core"
local errors = require "cce.error"
local read = require "cce.kubeconfig.read"

local M = {}

--- The content of `<field>-data`, or of the file that `<field>` names.
-- @tparam table state
-- @tparam table entry a user or a cluster
-- @tparam string field
-- @treturn ?string nil when it has neither
-- @return nil, message, code when the file cannot be read
function M.credential(state, entry, field)
  local value = read.non_empty(entry.body[field .. "-data"])
  if value then
    -- What stands in the file is what kubectl decodes, no more and no less.
    local problem = read.base64_problem(value)
    if problem then
      return nil, ("%s-data of '%s' %s"):format(field, entry.name, problem), "INVALID_CERTIFICATE"
    end
    return value
  end
  local file = read.non_empty(entry.body[field])
  if not file then return nil end
  -- A relative path starts at the directory of the kubeconfig, as for kubectl.
  if file:sub(1, 1) ~= "/" and state.path then
    file = (state.path:match("^(.*/)") or "") .. file
  end
  return core.file.read(file, { max = 1024 * 1024 })
end

--- What a user without a client certificate has instead.
-- @tparam table user
-- @treturn string
function M.other_means(user)
  for _, field in ipairs { "exec", "token", "tokenFile", "auth-provider", "username" } do
    local value = user.body[field]
    if type(value) == "table" or read.non_empty(value) then return "it uses " .. field end
  end
  return "it has no credentials"
end

--- The user of the current context.
-- @tparam table state
-- @treturn table
-- @return nil, message
function M.current(state)
  local row = contexts.current(state.data)
  local user = row and row.user and read.find(state.data, "users", row.user)
  if user then return user end
  return nil, row and "the current context names no user that there is"
    or "there is no current context"
end

--- What a user's client certificate says, as `kubeconfig:certificate`.
-- @tparam table state
-- @tparam table user
-- @treturn table
-- @return nil, message, err
function M.certificate(state, user)
  local problem = read.encoding_problem("users", user)
  if problem then return errors.fail("INVALID_CERTIFICATE", problem) end
  local certificate, message, code = M.credential(state, user, "client-certificate")
  if message then return errors.from_core(nil, message, code) end
  if not certificate then
    return errors.fail("UNSUPPORTED",
      ("user '%s' has no client certificate: %s"):format(user.name, M.other_means(user)))
  end
  local key
  key, message, code = M.credential(state, user, "client-key")
  if message then return errors.from_core(nil, message, code) end
  local facts
  facts, message, code = certificates.of(core.certificate(certificate, key))
  if not facts then return errors.from_core(nil, message, code) end
  return facts
end

--- The same of the current context's user.
-- @tparam table state
-- @treturn table
-- @return nil, message, err
function M.current_certificate(state)
  local user, message = M.current(state)
  if not user then return errors.fail("INVALID_CERTIFICATE", message) end
  return M.certificate(state, user)
end

return M
