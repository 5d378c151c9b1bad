--- Where keys come from: what all sources have in common.
--
-- A provider is asked with `fetch(client)` and hands over material, or `nil,
-- message, err`:
--
-- * `ak`, `sk` and perhaps `security_token`, or a `token`; never both kinds.
--   What is secret is a `core.secret` that belongs to the caller
-- * `expires_at`: unix time, when there is an end
-- * `margin`: so many seconds before it they should be renewed
-- * `source`: the provider's name, for messages and events
-- * `project_id`, `iam_endpoint`: what else the same source knows
-- * `constant`: to read the source again brings the same
-- * `is_replaced`: a function that tells whether the file behind it is another one by now
--
-- An error with the code NO_CREDENTIALS says that there is nothing at this
-- source; with `incomplete` set, or any other code, that there is something,
-- but it cannot be used.
-- @module cce.credentials.provider
-- @local
local core = require "cce.core"
local errors = require "cce.error"

local M = {}

local Provider = {}
Provider.__index = Provider
Provider.__name = "cce.credentials"

function Provider:__tostring()
  return "cce.credentials: " .. self.name
end

--- Wipe what the provider itself holds: a password, a key. Later uses fail.
function Provider:close()
  for _, secret in pairs(self.secrets) do secret:close() end
  self.secrets, self.closed = {}, true
end

Provider.__gc = Provider.close
Provider.__close = Provider.close

--- Make a provider.
-- @tparam string name for messages
-- @tparam function fetch called with the provider and a client
-- @tparam[opt] table fields
-- @treturn table
function M.new(name, fetch, fields)
  local provider = { secrets = {} }
  for key, value in pairs(fields or {}) do provider[key] = value end
  provider.name = name
  function provider.fetch(self, client)
    if self.closed then
      return errors.fail("NO_CREDENTIALS", name .. ": these credentials were closed",
        { incomplete = true })
    end
    local material, message, err = fetch(self, client)
    if not material then return nil, message, err end
    material.source = material.source or name
    return material
  end
  return setmetatable(provider, Provider)
end

function M.is(value)
  return getmetatable(value) == Provider
end

--- A secret of one's own, of a string or of another's secret.
-- @param value string or `core.secret`
-- @treturn[1] userdata
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.secret(value)
  return errors.from_core(core.secret(value))
end

--- Nothing is at this source.
function M.nothing(message)
  return errors.fail("NO_CREDENTIALS", message, { retryable = false })
end

--- Something is there, but a part of it is missing.
function M.incomplete(message, hint)
  return errors.fail("NO_CREDENTIALS", message, {
    retryable = false, incomplete = true, hint = hint,
  })
end

--- Refuse what cannot be keys: each request with what is no key counts among the few
-- refusals that lock the true one.
-- @tparam table keys `{ak=, sk=, source=<their provider's name>}`
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.check_keys(keys)
  for _, name in ipairs { "ak", "sk" } do
    local problem = core.key_problem(keys[name])
    if problem then
      return errors.fail("INVALID_ARGUMENT", ("%s: %s: %s"):format(keys.source, name, problem))
    end
  end
  return true
end

--- What signs with the keys of material.
-- @tparam table material
-- @treturn[1] userdata of `core.signer`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.signer(material)
  local ok, message, err = M.check_keys(material)
  if not ok then return nil, message, err end
  return errors.from_core(core.signer {
    ak = material.ak, sk = material.sk, security_token = material.security_token,
  })
end

--- Wipe material that is not needed any more.
function M.discard(material)
  for _, name in ipairs { "sk", "security_token", "token" } do
    if material[name] then material[name]:close() end
    material[name] = nil
  end
end

--- What to call later in order to know whether a file was replaced or written to
-- since now. One that is gone was not: what was read of it stays good.
-- @tparam string path
-- @treturn function returns a boolean
function M.watch(path)
  local function look()
    local info = core.file.stat(path)
    return info and ("%s %s %s"):format(info.identity, info.size, info.mtime)
  end
  local before = look()
  return function()
    local now = look()
    return now and now ~= before or false
  end
end

return M
