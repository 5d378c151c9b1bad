--- One request for credentials. It is not retried here: a call that needs the
-- credentials is, by the rules of `cce.api.retry`.
-- @module cce.credentials.request
-- @local
local endpoints = require "cce.api.endpoints"
local errors = require "cce.error"
local host = require "cce.host"
local responses = require "cce.api.response"
local times = require "cce.base.times"

local M = {}

local function transport_error(spec, message, code)
  return errors.fail(code, ("%s: %s"):format(spec.operation, message), {
    operation = spec.operation, sent = false, maybe_applied = false,
  })
end

--- A request to IAM.
-- @tparam cce.client client
-- @tparam string operation
-- @tparam string path
-- @tparam ?string iam_endpoint by default the client's
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.post(client, operation, path, iam_endpoint)
  local endpoint, message, err = iam_endpoint
  if not endpoint then
    endpoint, message, err = endpoints.of(client.config.endpoints, "iam")
  end
  if not endpoint then return nil, message, err end
  return {
    operation = operation, endpoint = endpoint, method = "POST", path = path,
    headers = { ["Content-Type"] = "application/json;charset=UTF-8" },
  }
end

--- Send a request whose answer holds secrets.
-- @tparam cce.client client
-- @tparam table spec of `engine:submit`, with `operation`
-- @treturn[1] table response `{status=, headers=, body=, transfer=}`; of a success
--   the body is left out, and the secrets are to be taken from the transfer, which
--   is to be closed
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.send(client, spec)
  spec.private, spec.date = true, client:now()
  spec.timeout = spec.timeout or client.config.timeout
  local engine, message, code = client:engine()
  local transfer
  if engine then transfer, message, code = host.exchange(engine, spec) end
  if not transfer then return transport_error(spec, message, code) end
  local response
  response, message, code = transfer:result(true)
  client:emit {
    type = "credentials_request", operation = spec.operation,
    status = response and response.status, code = code,
    request_id = response and response.headers["x-request-id"],
  }
  if not response then
    transfer:close()
    return transport_error(spec, message, code)
  end
  response.transfer = transfer
  return response
end

--- The error of an answer that is no success; closes the transfer.
function M.refused(spec, response)
  response.transfer:close()
  local err = responses.to_error(spec.operation, spec, response)
  err.maybe_applied = false
  return nil, err.message, err
end

--- The error of an answer that lacks what it should have; closes the transfer.
function M.invalid(spec, response, what)
  response.transfer:close()
  return errors.fail("RESPONSE_INVALID", ("%s: HTTP %d, but the answer has no %s"):format(
    spec.operation, response.status, what), {
    operation = spec.operation, status = response.status, maybe_applied = false,
  })
end

--- Send, and demand a success.
function M.demand(client, spec)
  local response, message, err = M.send(client, spec)
  if not response then return nil, message, err end
  if response.status < 200 or response.status > 299 then return M.refused(spec, response) end
  return response
end

--- Read the temporary keys of an answer, and close its transfer.
-- @tparam table spec
-- @tparam table response
-- @tparam {string,...} names where `ak`, `sk`, `security_token` and the end
--   stand: the object, then the four fields
-- @treturn[1] table material
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.keys(spec, response, names)
  local body = response.transfer:secret()
  if not body then return M.invalid(spec, response, "keys") end
  local object = names[1]
  local material = {
    ak = body:text("json", object, names[2]),
    sk = body:part("json", object, names[3]),
    security_token = body:part("json", object, names[4]),
    expires_at = times.parse(body:text("json", object, names[5])),
  }
  body:close()
  if not material.ak or not material.sk then
    require("cce.credentials.provider").discard(material)
    return M.invalid(spec, response, "keys")
  end
  response.transfer:close()
  return material
end

return M
