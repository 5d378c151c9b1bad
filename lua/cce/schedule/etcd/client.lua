--- Requests to etcd's JSON gateway: which endpoint, as whom, and once each.
-- @module cce.schedule.etcd.client
-- @local
local answers = require "cce.schedule.etcd.answer"
local core = require "cce.core"
local errors = require "cce.error"
local singleflight = require "cce.host.singleflight"
local host = require "cce.host"

local M = {}

local Client = {}
Client.__index = Client
Client.__name = "cce.schedule.etcd.client"

-- Seconds. etcd itself gives up after five and two elections.
local TIMEOUT, CONNECT_TIMEOUT = 8, 2

-- The files of the identity may have been replaced, or one of them so far.
local REREAD = { TLS_FAILED = true, KEY_MISMATCH = true, INVALID_KEY = true,
  INVALID_CERTIFICATE = true }

-- A page of the largest entries is asked for again in halves.
local MAX_RESPONSE = 4 * 1024 * 1024

-- The engine of this process, as in `cce.client`.
local function engine_of(self)
  if self.engine and self.engine:inherited() then self.engine = nil end
  if not self.engine then
    local driver = host.current()
    local engine, message, code = driver.engine {
      ca_file = self.ca_file, connect_timeout = CONNECT_TIMEOUT,
    }
    if not engine then return nil, message, code end
    self.engine, self.engine_is_shared = engine, driver.shares_engines
  end
  return self.engine
end

-- ---- who we are ------------------------------------------------------------------

-- The CA beside them is no secret.
local function wipe(identity)
  for _, name in ipairs { "certificate", "key" } do
    if identity and identity[name] then identity[name]:close() end
  end
end

-- Read again after a failure of TLS: certificates are renewed in place.
local function identity_of(self)
  if not self.cert or self.identity then return self.identity end
  local certificate, message, code = core.secret_from_file(self.cert)
  if not certificate then return errors.fail(code, "cert: " .. message) end
  local key
  key, message, code = core.secret_from_private_file(self.key)
  if not key then
    certificate:close()
    return errors.fail(code, "key: " .. message)
  end
  local identity = { certificate = certificate, key = key }
  if self.ca_file then
    -- An identity trusts what it names itself, not what the engine trusts.
    identity.ca, message, code = core.file.read(self.ca_file)
    if not identity.ca then
      wipe(identity)
      return errors.fail(code, "ca_file: " .. message)
    end
  end
  self.identity = identity
  return identity
end

-- ---- one request ---------------------------------------------------------------------

-- The response and its transfer, or nil, err, word.
local function exchange(self, endpoint, spec)
  local identity, _, problem = identity_of(self)
  if problem then return nil, problem end
  local engine, message, code = engine_of(self)
  spec.endpoint, spec.method, spec.identity = endpoint.url, "POST", identity
  spec.timeout, spec.max_response = spec.timeout or self.timeout, MAX_RESPONSE
  local transfer, response, detail
  if engine then transfer, message, code = host.exchange(engine, spec) end
  if transfer then
    response, message, code, detail = transfer:result(spec.private)
    if response and response.status == 200 then return response, transfer end
    transfer:close()
    if response then return nil, answers.refused(endpoint, response) end
  end
  local err, word = answers.lost(endpoint, message, code, detail)
  if REREAD[err.code] then self.identity = wipe(self.identity) end
  return nil, err, word
end

local function headers_of(token)
  return { ["Content-Type"] = "application/json", Authorization = token }
end

-- etcd's answer as a table, or nil, err, word.
local function ask(self, endpoint, request)
  local response, transfer, word = exchange(self, endpoint, {
    path = request.path, headers = headers_of(self.token), body = request.body,
    mutating = request.once, timeout = request.timeout,
  })
  if not response then return nil, transfer, word end
  transfer:close()
  local answer = core.json.decode(response.body)
  if type(answer) == "table" and type(answer.result) == "table" then answer = answer.result end
  if type(answer) == "table" and type(answer.header) == "table" then return answer end
  -- A stream's failure comes with the status of a success.
  if type(answer) == "table" and answer.error then
    return nil, answers.refused(endpoint, response)
  end
  return nil, answers.invalid(endpoint, "header")
end

-- ---- tokens ----------------------------------------------------------------------------

-- true, or nil, err, word. The token before is wiped then.
local function log_in(self, endpoint)
  local response, transfer, word = exchange(self, endpoint, {
    path = "/v3/auth/authenticate", headers = headers_of(), private = true,
    body = { '{"name":', core.json.encode(self.username), ',"password":', self.password, "}" },
  })
  if not response then return nil, transfer, word end
  local body = transfer:secret()
  local token = body and body:part("json", "token")
  if body then body:close() end
  transfer:close()
  if not token then return nil, answers.invalid(endpoint, "token") end
  if self.token then self.token:close() end
  self.token = token
  return true
end

-- With a token, which is renewed once when it is missing or refused.
local function ask_as_user(self, endpoint, request)
  local token = self.token
  if token then
    local answer, err, word = ask(self, endpoint, request)
    if word ~= "token" then return answer, err, word end
  end
  -- Many calls may find at once that they need one: the first of them renews it.
  local ok, err, word = true, nil, nil
  if self.token == token then
    ok, err, word = singleflight.share(self, "token", log_in, self, endpoint)
  end
  if not ok then return nil, err, word end
  return ask(self, endpoint, request)
end

-- ---- any endpoint --------------------------------------------------------------------------

local function cannot_ask(self)
  if self.closed then return "CLOSED", "the schedule was closed" end
  local can_wait, reason = host.current().check()
  if not can_wait then return "UNSUPPORTED", "a schedule in etcd: " .. reason end
end

--- Ask, at another endpoint when one cannot answer.
-- @tparam string path
-- @tparam table body
-- @tparam[opt] table how `once=true`: not again after it was sent, since it may have
--   been done; then `err.maybe_applied` is true. `timeout`: seconds for an endpoint
-- @treturn[1] table answer
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @treturn[2] ?string word of `cce.schedule.etcd.answer`
function Client:ask(path, body, how)
  local code, problem = cannot_ask(self)
  if code then
    return errors.fail(code, problem, { operation = "schedule", maybe_applied = false })
  end
  local once = how ~= nil and how.once or false
  local request = { path = path, body = core.json.encode(body), once = once,
    timeout = how and how.timeout }
  local send = self.username and ask_as_user or ask
  local answer, err, word
  for _ = 1, #self.endpoints do
    local index = self.index
    answer, err, word = send(self, self.endpoints[index], request)
    if answer then return answer end
    if word ~= "elsewhere" then break end
    -- Another call may have gone on to the next one already.
    if self.index == index then self.index = index % #self.endpoints + 1 end
    if once and err.maybe_applied then break end
  end
  err.maybe_applied = once and err.maybe_applied or false
  return nil, err.message, err, word
end

--- Wipe what is secret; a call that still waits gets CLOSED.
function Client:close()
  if self.closed then return end
  self.closed = true
  if self.engine and not self.engine_is_shared then host.close(self.engine) end
  wipe(self.identity)
  if self.password then self.password:close() end
  if self.token then self.token:close() end
  self.engine, self.identity, self.password, self.token = nil, nil, nil, nil
end

--- Make a client. No I/O.
-- @tparam table endpoints of `cce.schedule.etcd.address`
-- @tparam table opts `ca_file`, `cert`, `key`, `username`, `password`, `timeout`
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.new(endpoints, opts)
  local password, message, code
  if opts.password then
    password, message, code = core.secret(opts.password)
    if not password then return errors.fail(code, message) end
  end
  return setmetatable({
    endpoints = endpoints, index = 1, ca_file = opts.ca_file, cert = opts.cert, key = opts.key,
    username = opts.username, password = password, timeout = opts.timeout or TIMEOUT,
  }, Client)
end

return M
