--- Tokens that IAM makes of a password, of keys or of an ID token.
-- @module cce.credentials.token
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local providers = require "cce.credentials.provider"
local requests = require "cce.credentials.request"
local times = require "cce.base.times"

local M = {}

local TOKEN_SECONDS = 24 * 3600
local TOKEN_MARGIN = 30 * 60

local function json(text)
  return core.json.encode(text)
end

-- CCE wants a token of the project; its name is that of the region.
local function scope_of(client, ids)
  local project_id = ids.project_id or client.config.project_id
  if project_id then return ('{"project":{"id":%s}}'):format(json(project_id)) end
  if client.config.region then
    return ('{"project":{"name":%s}}'):format(json(client.config.region))
  elseif ids.domain_id then
    return ('{"domain":{"id":%s}}'):format(json(ids.domain_id))
  end
end

local function no_scope(name)
  return errors.fail("NO_PROJECT", name .. ": a token needs a project, and none is known", {
    hint = "Give project_id=\"…\" or region=\"…\"",
  })
end

local function create_token(client, spec)
  local response, message, err = requests.demand(client, spec)
  if not response then return nil, message, err end
  local transfer = response.transfer
  local token = transfer:secret("X-Subject-Token")
  if not token then return requests.invalid(spec, response, "X-Subject-Token") end
  local body = transfer:secret()
  local material = {
    token = token,
    expires_at = body and times.parse(body:text("json", "token", "expires_at"))
      or client:now() + TOKEN_SECONDS,
    margin = TOKEN_MARGIN,
    project_id = body and body:text("json", "token", "project", "id"),
  }
  if body then body:close() end
  transfer:close()
  return material
end

-- identity: parts of a body, strings and secrets
local function identify(client, name, identity)
  local scope = scope_of(client, {})
  if not scope then return no_scope(name) end
  local spec, message, err = requests.post(client, "create_token", "/v3/auth/tokens")
  if not spec then return nil, message, err end
  spec.query = { { "nocatalog", "true" } }
  spec.body = identity
  spec.body[#spec.body + 1] = (',"scope":%s}}'):format(scope)
  return create_token(client, spec)
end

--- A user's name and password.
-- @tparam table given `{username=, password=, domain=}`
-- @treturn[1] table a provider
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.password(given)
  local password, problem, err = providers.secret(given.password)
  if not password then return nil, problem, err end
  local username, domain = json(given.username), json(given.domain)
  return providers.new("password", function(self, client)
    return identify(client, "password", {
      '{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":',
      username, ',"password":', self.secrets.password, ',"domain":{"name":', domain, "}}}}",
    })
  end, { secrets = { password = password }, renewable = true })
end

--- Keys, made into a token.
-- @tparam table given `{ak=, sk=}`
-- @treturn[1] table a provider
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.key_token(given)
  local source = "token of keys"
  local ok, problem, err = providers.check_keys { ak = given.ak, sk = given.sk, source = source }
  if not ok then return nil, problem, err end
  local sk
  sk, problem, err = providers.secret(given.sk)
  if not sk then return nil, problem, err end
  local ak = json(given.ak)
  return providers.new(source, function(self, client)
    return identify(client, source, {
      '{"auth":{"identity":{"methods":["hw_ak_sk"],"hw_ak_sk":{"access":{"key":',
      ak, '},"secret":{"key":', self.secrets.sk, "}}}",
    })
  end, { secrets = { sk = sk }, renewable = true })
end

--- A token in a file.
-- @tparam string path
-- @treturn table a provider
function M.file(path)
  return providers.new("token file", function()
    local is_replaced = providers.watch(path)
    local token, reason, code = core.secret_from_private_file(path)
    if not token then return errors.fail(code, reason) end
    return { token = token, is_replaced = is_replaced }
  end, { needs_nothing = true, renewable = true })
end

--- Exchange the ID token in a file for a token of IAM.
-- @tparam cce.client client
-- @tparam table opts `{idp_id=, id_token_file=, project_id=, domain_id=, iam_endpoint=}`
-- @treturn[1] table material
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.exchange_id_token(client, opts)
  local scope = scope_of(client, opts)
  if not scope then return no_scope("ID token") end
  local spec, message, err = requests.post(client, "exchange_id_token",
    "/v3.0/OS-AUTH/id-token/tokens", opts.iam_endpoint)
  if not spec then return nil, message, err end
  local id_token, reason, code = core.secret_from_file(opts.id_token_file)
  if not id_token then return errors.fail(code, reason) end
  spec.headers["X-Idp-Id"] = opts.idp_id
  spec.body = { '{"auth":{"id_token":{"id":', id_token, ('},"scope":%s}}'):format(scope) }
  local material
  material, message, err = create_token(client, spec)
  id_token:close()
  if material then material.renewable = true end
  return material, message, err
end

function M.id_token(opts)
  return providers.new("ID token", function(_, client)
    return M.exchange_id_token(client, opts)
  end, { renewable = true })
end

return M
