--- Where a client's keys come from: `cce.credentials`.
--
-- A provider goes into `cce.new { credentials = … }`. It is asked at the first
-- call, not before; what it gives is kept, renewed before its end, and wiped by
-- `client:close()`. Without one, the client looks through
-- @{default}. The access key, its secret and its token always come from one
-- source.
--
-- Secrets go from files, the environment and answers into wiped memory without
-- becoming Lua strings. Strings that you pass are yours.
-- @module cce.credentials
local core = require "cce.core"
local errors = require "cce.error"
local sources = require "cce.credentials.environment"
local options = require "cce.base.options"
local protect = require "cce.host.protect"
local providers = require "cce.credentials.provider"

local M = {}

-- A client that is given keys needs none of these.
local function chains() return require "cce.credentials.chain" end
local function profile_file() return require "cce.credentials.profile_file" end
local function metadata() return require "cce.credentials.metadata" end
local function pod() return require "cce.credentials.pod" end
local function tokens() return require "cce.credentials.token" end
local function agencies() return require "cce.credentials.agency" end

local SECRET_TYPE = { "string", "userdata" }
local SECRET = { type = SECRET_TYPE, required = true, non_empty = true }
local NAME = { type = "string", required = true, non_empty = true }
local OPTIONAL = { type = "string", non_empty = true }

local static_schema = {
  ak = NAME, sk = SECRET, security_token = { type = SECRET_TYPE, non_empty = true },
}
local password_schema = { username = NAME, password = SECRET, domain = NAME }

--- Keys that you have.
-- @tparam table opts
-- @tparam string opts.ak access key
-- @tparam string|userdata opts.sk secret key
-- @tparam[opt] string|userdata opts.security_token of temporary keys
-- @treturn[1] table a provider
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- local keys = my_vault() -- { ak=, sk= }
-- local provider = cce.credentials.static(keys)
-- local client = assert(cce.new { region = "cn-north-4", credentials = provider })
function M.static(opts)
  local given, message, err = options.check(opts, static_schema)
  if not given then return nil, message, err end
  return sources.static(given)
end

--- A token of IAM that you have. It cannot be renewed.
-- @tparam string|userdata token
-- @treturn[1] table a provider
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- local token = my_token()
-- local provider = cce.credentials.token(token)
-- local client = assert(cce.new { region = "cn-north-4", credentials = provider })
function M.token(token)
  options.argument(token, SECRET_TYPE, 1, "token")
  return sources.static { token = token }
end

--- A token of IAM in a file that only its owner can read. What replaces it there is
-- taken by a living client.
-- @tparam string path
-- @treturn table a provider
-- @usage
-- local provider = cce.credentials.token_file "/run/secrets/iam-token"
function M.token_file(path)
  options.argument(path, "string", 1, "token_file")
  return tokens().file(path)
end

--- HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK and HUAWEICLOUD_SDK_SECURITY_TOKEN; or
-- HUAWEICLOUD_SDK_IDP_ID and HUAWEICLOUD_SDK_ID_TOKEN_FILE.
-- @treturn table a provider
-- @usage
-- local provider = cce.credentials.environment()
-- local client = assert(cce.new { region = "cn-north-4", credentials = provider })
function M.environment()
  return sources.environment()
end

local profile_schema = {
  path = OPTIONAL, section = { type = "string", one_of = { "basic", "global" } },
}

--- The profile file of the official SDKs: sections [basic] and [global] with the
-- keys ak, sk, security_token, project_id, iam_endpoint, idp_id, id_token_file.
-- A file that others than its owner can use is refused.
-- @tparam[opt] table opts
-- @tparam[opt] string opts.path by default HUAWEICLOUD_SDK_CREDENTIALS_FILE, or
--   ~/.huaweicloud/credentials
-- @tparam[opt] string opts.section "basic" or "global"; by default the first
--   that has keys
-- @treturn[1] table a provider
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- local provider = cce.credentials.profile { section = "basic" }
-- local client = assert(cce.new { region = "cn-north-4", credentials = provider })
function M.profile(opts)
  local given, message, err = options.check(opts, profile_schema)
  if not given then return nil, message, err end
  return profile_file().profile(given)
end

local metadata_schema = {
  test_address = { type = "string", check = function(address)
    return address:match("^http://") and core.endpoint(address) ~= nil,
      "http:// and a loopback address: it is for tests only"
  end },
}

--- The agency of the ECS that this runs on, by its metadata service at
-- 169.254.169.254, with or without a token as the service wants it. Renewed
-- when less than 40 minutes are left. Never asked through a proxy.
-- @tparam[opt] table opts
-- @tparam[opt] string opts.test_address for tests: a stand-in on loopback
-- @treturn[1] table a provider
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- local provider = cce.credentials.metadata()
-- local client = assert(cce.new { region = "cn-north-4", credentials = provider })
function M.metadata(opts)
  local given, message, err = options.check(opts, metadata_schema)
  if not given then return nil, message, err end
  return metadata().metadata(given.test_address)
end

--- The identity that CCE gives to a pod: HC_CONTAINER_CREDENTIALS_FULL_URI and
-- HC_CONTAINER_AUTHORIZATION_TOKEN_FILE. The address is https, or http on
-- loopback or link-local.
-- @treturn table a provider
-- @usage
-- local provider = cce.credentials.pod_identity()
-- local client = assert(cce.new { region = "cn-north-4", credentials = provider })
function M.pod_identity()
  return pod().pod_identity()
end

local id_token_schema = {
  idp_id = NAME, id_token_file = NAME, project_id = OPTIONAL, domain_id = OPTIONAL,
}

--- An OpenID Connect ID token in a file, exchanged for a token of IAM. The file
-- is read again at each renewal.
-- @tparam table opts
-- @tparam string opts.idp_id the identity provider's name in IAM
-- @tparam string opts.id_token_file
-- @tparam[opt] string opts.project_id by default the client's project or region
-- @tparam[opt] string opts.domain_id for a token of the whole account, when
--   there is neither
-- @treturn[1] table a provider
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- local robot = cce.credentials.id_token {
--   idp_id = "ci", id_token_file = "/var/run/id_token", project_id = "example",
-- }
-- local provider = robot
-- local client = assert(cce.new { region = "cn-north-4", credentials = provider })
function M.id_token(opts)
  local given, message, err = options.check(opts, id_token_schema)
  if not given then return nil, message, err end
  return tokens().id_token(given)
end

--- A user's name and password, made into a token, which is renewed before its
-- end. The same as `credentials={username=, password=, domain=}`.
-- @tparam table opts
-- @tparam string opts.username of the IAM user
-- @tparam string|userdata opts.password
-- @tparam string opts.domain name of the account
-- @treturn[1] table a provider
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- local provider = cce.credentials.password {
--   username = "robot", password = my_password(), domain = "example",
-- }
-- local provider = provider
-- local client = assert(cce.new { region = "cn-north-4", credentials = provider })
function M.password(opts)
  local given, message, err = options.check(opts, password_schema)
  if not given then return nil, message, err end
  return tokens().password(given)
end

--- Keys, made into a token, which is renewed before its end.
-- @tparam table opts
-- @tparam string opts.ak
-- @tparam string|userdata opts.sk
-- @treturn[1] table a provider
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- local keys = my_vault() -- { ak=, sk= }
-- local provider = cce.credentials.key_token(keys)
-- local client = assert(cce.new { region = "cn-north-4", credentials = provider })
function M.key_token(opts)
  local given, message, err = options.check(opts, { ak = NAME, sk = SECRET })
  if not given then return nil, message, err end
  return tokens().key_token(given)
end

local DURATION = { type = "integer", min = 900, max = 86400, default = 3600, unit = "seconds" }

local function check_source(given)
  if given and not providers.is(given) then
    error("bad option 'source' (a provider of cce.credentials expected)", 3)
  end
end

local agency_schema = {
  agency_name = NAME, domain_name = OPTIONAL, domain_id = OPTIONAL, duration = DURATION,
  source = { type = "table" },
}

--- Temporary keys of an agency, renewed before their end.
-- @tparam table opts
-- @tparam string opts.agency_name
-- @tparam[opt] string opts.domain_name the account that entrusts; this or
--   `domain_id`
-- @tparam[opt] string opts.domain_id
-- @tparam[opt=3600] int opts.duration seconds, 900 to 86400
-- @tparam[opt] table opts.source the provider whose keys assume it; by default
--   that of @{default}
-- @treturn[1] table a provider
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- local auditor = cce.credentials.agency { agency_name = "auditor", domain_name = "example" }
-- local provider = auditor
-- local client = assert(cce.new { region = "cn-north-4", credentials = provider })
function M.agency(opts)
  local given, message, err = options.check(opts, agency_schema)
  if not given then return nil, message, err end
  if (given.domain_name == nil) == (given.domain_id == nil) then
    return errors.fail("INVALID_ARGUMENT", "give one of domain_name and domain_id")
  end
  check_source(given.source)
  given.source = given.source or M.default()
  return agencies().agency(given)
end

local temporary_schema = {
  duration = DURATION, source = { type = "table", required = true },
}

--- Temporary keys of a token, renewed before their end.
-- @tparam table opts
-- @tparam table opts.source a provider of a token: @{password}, @{id_token}, …
-- @tparam[opt=3600] int opts.duration seconds, 900 to 86400
-- @treturn[1] table a provider
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- local token = cce.credentials.password {
--   username = "robot", password = my_password(), domain = "example",
-- }
-- local client = assert(cce.new { region = "cn-north-4",
--   credentials = cce.credentials.temporary { source = token, duration = 3600 } })
function M.temporary(opts)
  local given, message, err = options.check(opts, temporary_schema)
  if not given then return nil, message, err end
  check_source(given.source)
  return agencies().temporary(given)
end

-- ---- a function ----------------------------------------------------------

local custom_schema = {
  ak = OPTIONAL, sk = { type = SECRET_TYPE }, security_token = { type = SECRET_TYPE },
  token = { type = SECRET_TYPE }, expires_at = { type = "number", unit = "unix time" },
  project_id = OPTIONAL,
}

local SECRETS = { "sk", "security_token", "token" }

local function check_custom(result, message, err)
  if result == nil then
    return errors.fail(errors.is(err) and err.code or "NO_CREDENTIALS",
      "your function: " .. tostring(message or "it returned nothing"))
  end
  local ok, given = protect.catch(options.check, result, custom_schema)
  if not ok then
    return providers.incomplete("your function returned something else: " .. tostring(given))
  elseif not given or (given.token == nil) == (given.ak == nil)
    or (given.ak == nil) ~= (given.sk == nil) then
    return providers.incomplete("your function must return { ak=, sk= } or { token= }")
  end

  -- Copies: the function may close its own secrets.
  local material = {}
  for name, value in pairs(given) do material[name] = value end
  for _, name in ipairs(SECRETS) do material[name] = nil end
  for _, name in ipairs(SECRETS) do
    if given[name] then
      material[name], message, err = providers.secret(given[name])
      if not material[name] then
        providers.discard(material)
        return nil, message, err
      end
    end
  end
  return material
end

-- It may wait, which a plain pcall does not allow everywhere.
local function ask(fn)
  local function after(ok, ...)
    if ok then return check_custom(...) end
    return errors.fail("RAISED", "your function raised: " .. tostring((...)))
  end
  return after(protect.catch(fn))
end

--- A function of yours, asked when keys are needed and again 60 seconds before
-- `expires_at`. The same as `credentials=function() … end`.
-- @tparam function fn returns `{ak=, sk=, security_token=}` or `{token=}`, with
--   `expires_at` (unix time) and `project_id` if there are; or nil and a message
-- @treturn table a provider
-- @usage
-- local vault = { ak = "EXAMPLEACCESSKEY", sk = "example-secret-key" }
-- local provider = require("cce.credentials").custom(function()
--   return { ak = vault.ak, sk = vault.sk, expires_at = os.time() + 900 }
-- end)
function M.custom(fn)
  options.argument(fn, "callable", 1, "custom")
  return providers.new("your function", function() return ask(fn) end, { renewable = true })
end

-- ---- one after the other -------------------------------------------------

--- HW_ACCESS_KEY, HW_SECRET_KEY, HW_SECURITY_TOKEN and HW_PROJECT_ID, the
-- variables of Terraform.
-- @treturn table a provider
-- @usage
-- local provider = cce.credentials.terraform()
-- local client = assert(cce.new { region = "cn-north-4", credentials = provider })
function M.terraform()
  return sources.terraform()
end

--- Several providers: the first that finds something is used. One that finds
-- something that cannot be used ends the search with an error.
-- @tparam {table,...} list
-- @treturn table a provider
-- @usage
-- local provider = cce.credentials.chain {
--   cce.credentials.environment(), cce.credentials.metadata(),
-- }
function M.chain(list)
  options.argument(list, "list", 1, "chain")
  for i, provider in ipairs(list) do
    if not providers.is(provider) then
      error(("bad argument #1 to 'chain' (item %d is no provider)"):format(i), 2)
    end
  end
  return chains().new(list)
end

--- What is used without `credentials=` and `token=`: the environment, the
-- profile file, the metadata service and the pod identity, in the order of the
-- official SDKs; then Terraform's variables, which an event announces.
-- @treturn table a provider
-- @usage
-- local provider = cce.credentials.default()
-- local client = assert(cce.new { region = "cn-north-4", credentials = provider })
function M.default()
  return chains().new {
    sources.environment(), profile_file().profile {}, metadata().metadata(), pod().pod_identity(),
    sources.terraform(),
  }
end

--- Tell whether a value is a provider.
-- @param value anything
-- @treturn boolean
-- @usage
-- assert(cce.credentials.is(cce.credentials.environment()))
function M.is(value)
  return providers.is(value)
end

-- The provider for the options of `cce.new`.
-- @local
function M.of(config, level)
  local given = config.credentials
  if config.token and given then
    return errors.fail("INVALID_ARGUMENT", "give token or credentials, not both")
  end
  if config.token then return sources.static { token = config.token } end
  if given == nil then
    local environment = sources.environment()
    return environment.needs_nothing and environment or M.default()
  end
  if providers.is(given) then return given end
  if type(given) == "function" then return M.custom(given) end
  local is_password = given.username ~= nil or given.password ~= nil
  local checked, message, err = options.check(given,
    is_password and password_schema or static_schema, level + 1)
  if not checked then return nil, message, err end
  return (is_password and tokens().password or sources.static)(checked)
end

return M
