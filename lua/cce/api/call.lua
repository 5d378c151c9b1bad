--- One call of the API from beginning to end: attempts, waiting, retries, and
-- the error that comes of it. The endpoints themselves are in `cce.client`.
-- @module cce.api.call
-- @local
local core = require "cce.core"
-- What a call that failed needs is loaded before one can fail: then there may be no
-- descriptor left to open a module with.
local diagnosis = require "cce.api.diagnosis"
local endpoints = require "cce.api.endpoints"
local errors = require "cce.error"
local hints = require "cce.api.hint"
local host = require "cce.host"
local responses = require "cce.api.response"
local retry = require "cce.api.retry"
local values = require "cce.base.values"

local M = {}

local function target_of(ids)
  if ids.job_id then return " job " .. responses.excerpt(ids.job_id) end
  return ids.cluster_id and " cluster " .. responses.excerpt(ids.cluster_id) or ""
end

-- The call and its target, for messages. A `state` is what a call remembers from
-- attempt to attempt, see `begin`.
local function name_of(state)
  return state.request.operation .. target_of(state.ids)
end

-- The error of a transfer that brought no answer.
local function transport_error(state, message, code, detail)
  detail = detail or {}
  local request = state.request
  local maybe_applied = (request.mutating and detail.sent) or false
  local err = errors.new(code, ("%s: %s"):format(name_of(state), message), {
    operation = request.operation,
    sent = detail.sent,
    untrusted = detail.untrusted,
    maybe_applied = maybe_applied,
    hint = maybe_applied and hints.maybe or hints.of_transport(code),
  })
  err.retryable = retry.allowed(request, err)
  return err
end

-- ---- time -------------------------------------------------------------------

--- When a call that begins now must have ended.
-- @tparam cce.client client
-- @treturn ?number of the client's monotonic clock; nil when there is no limit
function M.deadline(client)
  return client.config.deadline and client.monotonic() + client.config.deadline
end

-- Seconds: the core takes no shorter time-out for a request.
local LEAST = 0.001

local function left_of(client, state)
  return state.deadline and state.deadline - client.monotonic()
end

local function too_late(client, state)
  return transport_error(state, ("not within the deadline of %g s"):format(
    client.config.deadline), "TIMEOUT")
end

-- Not one byte of the request has left when there are no credentials for it.
-- The error itself is shared by all who wait for them.
local function cannot_begin(state, err)
  local fields = {}
  for name, value in pairs(err) do fields[name] = value end
  fields.code, fields.message, fields.sent, fields.maybe_applied = nil, nil, false, false
  fields.operation = state.request.operation
  local mine = errors.new(err.code, ("%s: %s"):format(name_of(state), err.message), fields)
  mine.hint = mine.hint or hints.of_transport(err.code)
  mine.retryable = retry.allowed(state.request, mine)
  return mine
end

-- Wait until the rate limits let one more request leave: that of the client, and
-- of a view the one of requests that change something. Nil, or the error when that
-- is too late, or when the key may not be used anyway.
local function wait_for_turn(client, state)
  local limiter = client.limiter
  local change_limiter = state.request.mutating and client.change_limiter
  if not limiter and not change_limiter then return nil end
  local refusal = client.session:refusal()
  if refusal then
    local err = cannot_begin(state, refusal)
    err.not_sent = true
    return err
  end
  local now = client.monotonic()
  local seconds = limiter and limiter:reserve(now) or 0
  if change_limiter then seconds = math.max(seconds, change_limiter:reserve(now)) end
  local left = left_of(client, state)
  if left and seconds >= left then return too_late(client, state) end
  if seconds > 0 then client.sleep(seconds) end
end

-- ---- one attempt --------------------------------------------------------------

-- Whether the request may leave now, after all that took time; `before_send` has the last
-- word. The seconds that it may take, or nil and the error that ends the call.
local function ask_before_send(client, state)
  local left = left_of(client, state) or math.huge
  if left < LEAST then return nil, too_late(client, state) end
  if not state.request.before_send then return left end
  local seconds, why, cause = state.request.before_send(state.ids.cluster_id)
  if seconds and seconds >= LEAST then return math.min(left, seconds) end
  cause = errors.is(cause) and cause or errors.new("CANCELLED",
    why or "before_send left no time for it", { retryable = true })
  local err = cannot_begin(state, cause)
  err.retryable, err.not_sent = cause.retryable, true
  return nil, err
end

-- The error of an answer that refuses. What may have worked, and must not be
-- sent again blindly, is not for a caller's own loop to repeat either.
local function refused(state, wire, response)
  local request = state.request
  local err = responses.to_error(name_of(state), request, response)
  if err.code == "UNAUTHENTICATED" then
    err.hint = diagnosis.explain(err.detail, wire.signer, wire) or err.hint
  elseif err.maybe_applied and not retry.allowed(request, err) then
    err.retryable, err.hint = false, err.hint or hints.maybe
  end
  return err
end

-- One request with the credentials that are held for it.
local function send_once(client, state, auth, longest)
  local config, request, ids = client.config, state.request, state.ids
  local wire = {
    operation = request.operation,
    endpoint = state.addresses[state.index],
    method = request.method,
    path = request.path,
    query = request.query,
    body = request.body,
    mutating = request.mutating,
    headers = { ["X-Project-Id"] = ids.project_id,
      ["Content-Type"] = request.body and "application/json" or nil },
    signer = auth.signer,
    token = auth.token,
    date = client:now(),
    timeout = math.min(config.timeout, longest),
    -- before_send said for how long it holds: a process that is stopped at this
    -- moment must not send when it goes on.
    depart_within = request.before_send and math.min(longest, 86400),
  }
  local engine, message, code = client:engine()
  local transfer
  if engine then transfer, message, code = host.exchange(engine, wire) end
  if not transfer then return nil, transport_error(state, message, code) end
  local response, detail
  response, message, code, detail = transfer:result()
  transfer:close()
  if not response then
    return nil, transport_error(state, message, code, detail)
  elseif (response.status < 200 or response.status > 299)
    and not (request.may_be_absent and response.status == 404) then
    return nil, refused(state, wire, response)
  end
  return response
end

-- An answer of 2xx, or nil and the error; and the credentials that were used.
local function attempt(client, state)
  local err = wait_for_turn(client, state)
  if err then return nil, err end
  if client.closed then
    return nil, transport_error(state, "the client was closed before it was sent", "CLOSED")
  end
  local session = client.session
  local auth, _, problem = session:acquire()
  if not auth then return nil, cannot_begin(state, problem) end
  local longest, response
  longest, err = ask_before_send(client, state)
  if longest then response, err = send_once(client, state, auth, longest) end
  local outcome
  if response then
    outcome = "accepted"
  elseif longest then
    outcome = responses.verdict_on_key(err, state.request.service)
  end
  session:release(auth, outcome)
  return response, err, auth, outcome
end

-- ---- attempts -----------------------------------------------------------------

-- Seconds, or nil and perhaps why the rules did not have their way.
local function delay_before_next(client, err, state, auth, outcome)
  if err.not_sent then return nil end
  -- A 401 for an expired token, or a key that was replaced at its source: others are
  -- fetched, once.
  if auth and not state.renewed then
    if outcome == "refused" then
      state.renewed = client.session:replace(auth)
    elseif responses.is_expired_token(err) then
      state.renewed = client.session:expire(auth)
    end
    if state.renewed then return 0 end
  end
  -- A 401 for a skewed clock names the server's time: it is taken over, once.
  if err.code == "CLOCK_SKEW" and not state.clock_corrected then
    local signed, server = responses.clocks(err.detail)
    if signed then
      state.clock_corrected = true
      client:set_clock(server)
      client:emit { type = "clock_corrected", seconds = server - signed, operation = err.operation }
      return 0
    end
  end
  -- Another address of the service, if this one got nothing and not all were tried
  -- in this round.
  if state.tried < #state.addresses and retry.never_left(err) then
    state.tried, state.index = state.tried + 1, state.index % #state.addresses + 1
    return 0
  end
  local delay, why = retry.next({
    policy = client.config.retry, random = client.random, budget = client.retry_budget,
    now = client.monotonic(), left = left_of(client, state),
  }, state.request, err, state.round)
  state.round, state.tried = state.round + 1, 1
  return delay, why
end

local function finish_error(err, state, why)
  err.attempts = err.not_sent and math.max(state.attempts - 1, 0) or state.attempts
  -- An earlier attempt may have worked although the last one surely did not.
  if state.maybe_applied and not err.maybe_applied then
    err.maybe_applied, err.hint = true, err.hint or hints.maybe
  end
  if why then err.hint = err.hint and err.hint .. ". " .. why or why end
  err.sent, err.untrusted, err.detail, err.not_sent = nil, nil, nil, nil
  return nil, err.message, err
end

-- Attempts until one succeeds or the last may not be followed by another.
local function send(client, request, ids, deadline)
  -- What the call remembers from attempt to attempt.
  local state = { request = request, ids = ids, attempts = 0, round = 1, tried = 1 }
  local can_wait, reason = host.current().check()
  if not can_wait then
    return errors.fail("UNSUPPORTED", name_of(state) .. ": " .. reason, {
      operation = request.operation, retryable = false, maybe_applied = false, attempts = 0,
    })
  end
  local service = request.endpoint or request.service or "cce"
  local all = client.config.endpoints.all
  state.addresses = request.endpoint and { request.endpoint } or all[service]
  if not state.addresses then return endpoints.of(client.config.endpoints, service) end
  state.index = client.good_address[service] or 1
  state.deadline = deadline or M.deadline(client)
  while true do
    state.attempts = state.attempts + 1
    local response, err, auth, outcome = attempt(client, state)
    local address = state.addresses[state.index]
    if response or err.status then client.good_address[service] = state.index end
    local delay, why
    if err then delay, why = delay_before_next(client, err, state, auth, outcome) end
    if client.on_event then
      client:emit {
        type = "attempt", operation = request.operation, endpoint = address,
        cluster_id = ids.cluster_id, job_id = ids.job_id, attempt = state.attempts,
        status = response and response.status or err.status, code = err and err.code,
        request_id = response and response.headers["x-request-id"] or err and err.request_id,
        retry_in = delay,
      }
    end
    if response then
      response.attempts = state.attempts
      return response
    elseif not delay then
      return finish_error(err, state, why)
    end
    state.maybe_applied = state.maybe_applied or err.maybe_applied
    client.sleep(delay)
  end
end

--- Make a request and, where `cce.api.retry` allows it, make it again.
-- @tparam cce.client client
-- @tparam table request of `core.operation`; `service` names another than CCE,
--   `endpoint` another address than the client's; `before_send(cluster_id)`, called
--   right before each attempt leaves, returns the seconds that it may take, or nil, why
--   the call ends here, and perhaps an error that says so; with `may_be_absent` a 404 is
--   an answer, and no error
-- @tparam table ids `project_id`, if it is to be sent; for messages `cluster_id`
--   or `job_id`
-- @tparam[opt] number deadline of `M.deadline`, by default that of now
-- @treturn[1] table response `{status=, headers=, body=, attempts=}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.send(client, request, ids, deadline)
  if request.mutating and client.config.audit_log then
    return require("cce.log.audit_log").around(client, request, ids, function()
      return send(client, request, ids, deadline)
    end)
  end
  return send(client, request, ids, deadline)
end

--- The error of a call that cannot begin without what the credentials know.
-- @tparam string operation
-- @tparam table problem
-- @treturn nil
-- @treturn string message
-- @treturn table err
function M.cannot_begin(operation, problem)
  local state = { request = { operation = operation }, ids = {}, attempts = 0 }
  return finish_error(cannot_begin(state, problem), state)
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
  local body = core.json.decode(response.body) or responses.json(response.body)
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
    hint = request.mutating and hints.maybe or nil,
  })
end

--- Take a list out of an answer. What cannot be read is not left out: who goes by the list
-- takes it for complete, and would call done what is not.
-- @tparam table request
-- @tparam table ids
-- @tparam table response
-- @tparam table body what was decoded of it
-- @tparam string field where the list is
-- @tparam function read makes an entry of an object; nil when it lacks what must be there
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err with code RESPONSE_INVALID
function M.list(request, ids, response, body, field, read)
  local items, list = body[field], {}
  if not values.is_list(items) then
    return M.invalid(request, ids, response, "it has no " .. field)
  end
  for i, item in ipairs(items) do
    list[i] = read(values.object(item))
    if not list[i] then
      return M.invalid(request, ids, response,
        ("number %d of its %s is incomplete"):format(i, field))
    end
  end
  return list
end

return M
