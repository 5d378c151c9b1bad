--- What went wrong, as a table that reads as a sentence.
--
-- Every function of this library that the world can make fail returns
-- `nil, message, err`. `err` has these fields; all but the first two may be
-- missing:
--
-- * `code`: a stable word of `cce.codes`, such as "TIMEOUT"; compare this one
-- * `message`: the same string as the second return value
-- * `operation`: "obtain_cert", "revoke_cert", …
-- * `status`: the HTTP status, a number
-- * `api_code`, `error_code`: the API's own codes, such as "CCE.01400001" and
--   "CCE_CM.0004"; when the API gives just one, both have it
-- * `request_id`: what Huawei's support asks for
-- * `retryable`: the same call may succeed later
-- * `maybe_applied`: the request may have reached the server and worked
-- * `attempts`: how many requests were made
-- * `hint`: what to do about it
-- * `recovered`: where a kubeconfig is kept that was obtained and could not be saved
--
-- Only this file makes such tables.
-- @module cce.error
local core = require "cce.core"

local M = {}

local Error = {}
Error.__index = Error
Error.__name = "cce.error"

function Error.__tostring(err)
  if err.hint then
    return err.message .. ". " .. err.hint
  end
  return err.message
end

function Error.__concat(left, right)
  return tostring(left) .. tostring(right)
end

--- Make an error table.
-- @tparam string code a word of `cce.codes`
-- @tparam string message one sentence, no final stop, never a secret
-- @tparam[opt] table fields further fields, copied
-- @treturn table the error
-- @local
function M.new(code, message, fields)
  assert(core.codes[code], code)
  local err = { code = code, message = message }
  for name, value in pairs(fields or {}) do
    err[name] = value
  end
  return setmetatable(err, Error)
end

--- Make an error and return it the way that every function does.
-- @tparam string code
-- @tparam string message
-- @tparam[opt] table fields
-- @treturn nil
-- @treturn string message
-- @treturn table err
-- @local
function M.fail(code, message, fields)
  return nil, message, M.new(code, message, fields)
end

--- Turn the `nil, message, code` of `cce.core` into `nil, message, err`; pass
-- on a result.
-- @param value a result, or nil
-- @tparam string message
-- @tparam string code
-- @return[1] the result
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- return errors.from_core(core.certificate(pem))
function M.from_core(value, message, code)
  if value ~= nil then return value end
  return M.fail(code, message)
end

--- Call a function of `cce.core` so that what it raises points at the line of
-- our caller: by pcall it comes without a position of its own.
-- @tparam int level as for `error`, seen from the function that calls this
-- @tparam function call
-- @param ... its arguments
-- @return its first three results
-- @local
function M.raise_at(level, call, ...)
  local ok, value, message, code = pcall(call, ...)
  if not ok then error(value, level + 1) end
  return value, message, code
end

--- Tell whether a value is an error of this library.
-- @param value anything
-- @treturn boolean
-- @usage
-- local ok, message, err = client:show_cluster("no-such-cluster")
-- assert(not ok and cce.error.is(err))
function M.is(value)
  return getmetatable(value) == Error
end

return M
