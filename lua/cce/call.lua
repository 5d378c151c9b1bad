--- One call of the API from beginning to end: attempts, waiting, retries, and
-- the error that comes of it. The endpoints themselves are in `cce.client`.
-- @module cce.call
-- @local
local core = require "cce.core"
local diagnosis = require "cce.diagnosis"
local endpoints = require "cce.endpoints"
local errors = require "cce.error"
local host = require "cce.host"
local responses = require "cce.response"
local retry = require "cce.retry"

local M = {}

local TLS_HINT = "Check ca_file (or CCE_CA_FILE), the endpoint's name and this machine's clock;"
  .. " verification cannot be turned off"

local hints = {
  DNS_FAILED = "Check the endpoint's host name and this machine's DNS",
  CONNECT_FAILED = "Check the endpoint, the network and a firewall on the way",
  PROXY_FAILED = "Check proxy= or HTTPS_PROXY",
  TLS_FAILED = TLS_HINT,
  TIMEOUT = "Give more time by timeout= or connect_timeout=",
}

local MAYBE = "The request may have arrived and worked: look before you send it again"

local function target_of(ids)
  if ids.job_id then return " job " .. responses.excerpt(ids.job_id) end
  return ids.cluster_id and " cluster " .. responses.excerpt(ids.cluster_id) or ""
end

-- The error of a transfer that brought no answer.
local function transport_error(what, request, message, code, detail)
  detail = detail or {}
  local maybe_applied = (request.mutating and detail.sent) or false
  local err = errors.new(code, ("%s: %s"):format(what, message), {
    operation = request.operation,
    sent = detail.sent or false,
    untrusted = detail.untrusted,
    maybe_applied = maybe_applied,
    hint = maybe_applied and MAYBE or hints[code],
  })
  err.retryable = retry.allowed(request, err)
  return err
end

local function headers_of(client, request)
  local headers = { ["X-Project-Id"] = client.config.project_id }
  if request.body then headers["Content-Type"] = "application/json" end
  return headers
end

local function wire_request(client, request, endpoint)
  local config = client.config
  return {
    operation = request.operation,
    endpoint = endpoint,
    method = request.method,
    path = request.path,
    query = request.query,
    body = request.body,
    mutating = request.mutating,
    headers = headers_of(client, request),
    signer = config.signer,
    token = config.token,
    date = client:now(),
    timeout = config.timeout,
  }
end

-- The error of an answer that refuses. What may have worked, and must not be
-- sent again blindly, is not for a caller's own loop to repeat either.
local function refused(what, request, wire, response)
  local err = responses.to_error(what, request, response)
  if err.code == "UNAUTHENTICATED" and wire.signer then
    err.hint = diagnosis.explain(err.detail, wire.signer, wire) or err.hint
  elseif err.maybe_applied and not retry.allowed(request, err) then
    err.retryable, err.hint = false, err.hint or MAYBE
  end
  return err
end

-- One request. An answer of 2xx, or nil and the error.
local function attempt(client, request, what, endpoint)
  client:wait_for_turn()
  if client.closed then
    return nil, transport_error(what, request, "the client was closed before it was sent", "CLOSED")
  end
  local engine, wire = client:engine(), wire_request(client, request, endpoint)
  local transfer, message, code = engine:submit(wire)
  if not transfer then
    return nil, transport_error(what, request, message, code)
  end
  host.current().wait(engine, transfer)
  local response, detail
  response, message, code, detail = transfer:result()
  transfer:close()
  if not response then
    return nil, transport_error(what, request, message, code, detail)
  elseif response.status < 200 or response.status > 299 then
    return nil, refused(what, request, wire, response)
  end
  return response
end

-- A 401 for a skewed clock names the server's time: take it over, once.
local function correct_clock(client, err, state)
  if err.code ~= "CLOCK_SKEW" or state.clock_corrected then return false end
  local signed, server = responses.clocks(err.detail)
  if not signed then return false end
  state.clock_corrected = true
  client:set_clock(server)
  client:emit { type = "clock_corrected", seconds = server - signed, operation = err.operation }
  return true
end

local function delay_before_next(client, request, err, state)
  if correct_clock(client, err, state) then return 0 end
  return retry.delay(client.config.retry, request, err, state.attempts, client.random)
end

local function note_attempt(client, request, ids, state, response, err, delay)
  client:emit {
    type = "attempt",
    operation = request.operation,
    cluster_id = ids.cluster_id,
    job_id = ids.job_id,
    attempt = state.attempts,
    status = response and response.status or err.status,
    code = err and err.code,
    request_id = response and response.headers["x-request-id"] or err and err.request_id,
    retry_in = delay,
  }
end

local function finish_error(err, state)
  err.attempts = state.attempts
  -- An earlier attempt may have worked although the last one surely did not.
  if state.maybe_applied and not err.maybe_applied then
    err.maybe_applied, err.hint = true, err.hint or MAYBE
  end
  err.sent, err.untrusted, err.detail = nil, nil, nil
  return nil, err.message, err
end

local function send(client, request, ids)
  local what = request.operation .. target_of(ids)
  local state = { attempts = 0 }
  local can_wait, reason = host.current().check()
  if not can_wait then
    return errors.fail("UNSUPPORTED", what .. ": " .. reason, { operation = request.operation })
  end
  local endpoint, message, problem = endpoints.of(client.config.endpoints, request.service or "cce")
  if not endpoint then return nil, message, problem end
  while true do
    state.attempts = state.attempts + 1
    local response, err = attempt(client, request, what, endpoint)
    local delay = err and delay_before_next(client, request, err, state)
    note_attempt(client, request, ids, state, response, err, delay)
    if response then
      response.attempts = state.attempts
      return response
    end
    if not delay then return finish_error(err, state) end
    state.maybe_applied = state.maybe_applied or err.maybe_applied
    client.sleep(delay)
  end
end

--- Make a request and, where `cce.retry` allows it, make it again.
-- @tparam cce.client client
-- @tparam table request of `core.operation`; `service` names another than CCE
-- @tparam table ids for messages: `cluster_id` or `job_id`
-- @treturn[1] table response `{status=, headers=, body=}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.send(client, request, ids)
  if request.mutating and client.config.audit_log then
    return require("cce.audit_log").around(client, request, ids, send)
  end
  return send(client, request, ids)
end

--- Decode a JSON body that must be an object.
-- @tparam table request
-- @tparam table ids
-- @tparam table response
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err with code RESPONSE_INVALID
function M.decode(request, ids, response)
  local body = core.json.decode(response.body)
  if type(body) == "table" then return body end
  -- Not one byte of it is shown: it may be half of a private key.
  return M.invalid(request, ids, response,
    ("the answer (%d bytes) is not a JSON object, or is cut off"):format(#response.body))
end

--- The error of an answer that lacks what the API documents.
-- @treturn nil
-- @treturn string message
-- @treturn table err
function M.invalid(request, ids, response, reason)
  return errors.fail("RESPONSE_INVALID", ("%s%s: HTTP %d, but %s"):format(
    request.operation, target_of(ids), response.status, reason), {
    operation = request.operation,
    status = response.status,
    request_id = response.headers["x-request-id"],
    retryable = false,
    maybe_applied = request.mutating,
    attempts = response.attempts,
    hint = request.mutating and MAYBE or nil,
  })
end

return M
