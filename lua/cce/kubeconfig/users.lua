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

-- A relative path starts at the directory of the kubeconfig, as for kubectl.
local function read_beside(state, file)
  if file:sub(1, 1) ~= "/" and state.path then
    file = (state.path:match("^(.*/)") or "") .. file
  end
  return core.file.read(file, { max = 1024 * 1024 })
end

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
  return read_beside(state, file)
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

-- What kubectl wants of a command, which it does not run beside a certificate.
local function exec_problem(exec)
  local version = read.non_empty(exec.apiVersion)
  for _, field in ipairs { "command", "apiVersion" } do
    if not read.non_empty(exec[field]) then return "its exec has no " .. field end
  end
  local is_early = version:find "/v1alpha1$" or version:find "/v1beta1$"
  local mode = read.non_empty(exec.interactiveMode)
  return not mode and not is_early and "its exec has no interactiveMode" or nil
end

--- Why kubectl makes no request as a user although there is a client certificate: it
-- looks at what stands beside that, too.
-- @tparam table state
-- @tparam table user
-- @treturn ?string nil when it makes one
function M.refusal(state, user)
  local body, has = user.body, {}
  for _, field in ipairs { "token", "tokenFile", "username", "password", "as" } do
    has[field] = read.non_empty(body[field])
  end
  if has.token and (has.username or has.password) then
    return "it has both a token and a password"
  elseif type(body["auth-provider"]) == "table" then
    return "it has an auth-provider, too: kubectl asks that first, or no longer knows it"
  elseif type(body.exec) == "table" and exec_problem(body.exec) then
    return exec_problem(body.exec)
  end
  for _, field in ipairs { "as-uid", "as-groups", "as-user-extra" } do
    local value = body[field]
    local is_set = read.non_empty(value) or type(value) == "table" and next(value) ~= nil
    if is_set and not has.as then return ("it has %s, but no as"):format(field) end
  end
  if has.token or not has.tokenFile then return nil end
  local text, message = read_beside(state, has.tokenFile)
  if not text then return "its tokenFile: " .. message end
  return not text:find "%S" and ("its tokenFile '%s' is empty"):format(has.tokenFile) or nil
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
