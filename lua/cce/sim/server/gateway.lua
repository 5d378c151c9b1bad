--- The API gateway: reads a request, notes it, plays the fault if one is set, finds out who
-- asks, hands over to the service, and writes the answer.
--
-- A service is a module with `routes`: { { method, path, operation, handler }, ... }; a path has
-- names in braces. handler(call) returns a response { status=, headers=, body= } (body: a table,
-- sent as JSON, or a string); call is { request=, ids=, principal=, operation= }. A service
-- may have `check(call)`, which returns a response to refuse the call, and `denied(action)`, its
-- answer when a right is missing. A route may have the `action` that IAM must allow, and the
-- `trace` under which CTS notes a call.
local auth = require("cce.sim.server.auth")
local cts = require("cce.sim.service.cts")
local errors = require("cce.sim.server.errors")
local faults = require("cce.sim.server.faults")
local holds = require("cce.sim.store.holds")
local json = require("cce.sim.server.json")
local log = require("cce.sim.store.log")
local permissions = require("cce.sim.server.permissions")
local policy = require("cce.sim.server.policy")
local random = require("cce.sim.random")
local state = require("cce.sim.store.state")
local times = require("cce.sim.server.times")

local M = {}

local services = {
  cce = require("cce.sim.service.cce"),
  cts = cts,
  iam = require("cce.sim.service.iam"),
  metadata = require("cce.sim.service.metadata"),
  pod_identity = require("cce.sim.service.pod_identity"),
  sts = require("cce.sim.service.sts"),
}

-- ---------------------------------------------------------------------------------- requests

--- The request that nginx is handling, as the other modules expect it.
function M.read_request()
  ngx.req.read_body()
  local headers = {}
  for name, value in pairs(ngx.req.get_headers(0, true)) do
    headers[name:lower()] = value
  end
  return {
    method = ngx.req.get_method(),
    target = ngx.var.request_uri,
    headers = headers,
    body = ngx.req.get_body_data(),
    connection = tonumber(ngx.var.connection),
    connection_request = tonumber(ngx.var.connection_requests),
  }
end

-- The pattern of a path such as "/a/{id}/b", and the names in it.
for _, service in pairs(services) do
  for _, route in ipairs(service.routes) do
    route.names = {}
    local pattern = route.path:gsub("[%-.]", "%%%0"):gsub("{([%w_]+)}", function(name)
      table.insert(route.names, name)
      return "([^/]+)"
    end)
    route.pattern = "^" .. pattern .. "/?$"
  end
end

local function find_route(service, request)
  local path = ngx.unescape_uri(request.target:match("^[^?]*"))
  for _, route in ipairs(service and service.routes or {}) do
    local found = { path:match(route.pattern) }
    if route.method == request.method and found[1] ~= nil then
      local ids = {}
      for i, name in ipairs(route.names) do
        ids[name] = found[i]
      end
      return route, ids
    end
  end
end

-- ----------------------------------------------------------------------------------- answers

local function encode_body(response, request_id)
  local body = response.body
  if type(body) ~= "table" then
    return body or ""
  end
  if response.by_gateway then
    body.request_id = request_id
  end
  return json.encode(body)
end

--- Writes an answer: { status=, headers=, body= }.
function M.send(response)
  local request_id = random.hex(16)
  local body = encode_body(response, request_id)
  ngx.status = response.status
  ngx.header["Server"] = "api-gateway"
  ngx.header["Date"] = times.to_http(state.now())
  ngx.header["X-Request-Id"] = request_id
  ngx.header["Content-Type"] = "application/json"
  ngx.header["Content-Length"] = #body + (response.missing or 0)
  for name, value in pairs(response.headers or {}) do
    ngx.header[name] = value
  end
  ngx.print(body)
  if response.missing then
    ngx.flush(true)
    return ngx.exit(444)
  end
end

-- Breaks the connection with a TCP reset, without a word.
local function break_connection(entry, how)
  entry.outcome = how
  return ngx.exit(444)
end

local function served(entry, response)
  entry.status = response.status
  entry.accepted = response.status < 300
  return response
end

local function serve(service, route, ids, request, entry)
  if not route then
    return served(entry, errors.no_api())
  end
  local call = { request = request, ids = ids, operation = route.operation }
  if not route.anonymous then
    local principal, refusal = auth.identify(request)
    if not principal then
      return served(entry, refusal)
    end
    call.principal, entry.principal = principal, principal.id
  end
  local response
  if call.principal and permissions.lacks(call.principal, route.action) then
    response = service.denied(route.action)
  else
    response = call.principal and policy.refuse(service, route.action)
      or service.check and service.check(call) or route.handler(call)
  end
  if route.trace then
    cts.record_call(call, route, response)
  end
  return served(entry, response)
end

-- What a fault makes of the true answer.
local function spoil(fault, response)
  if fault.truncate then
    local body = encode_body(response, "")
    local half = math.floor(#body / 2)
    return { status = response.status, body = body:sub(1, half), missing = #body - half }
  elseif fault.garbage then
    return { status = 200, body = '<html>\0 not JSON {"' }
  elseif fault.oversize then
    return { status = 200, body = '{"padding":"' .. ("x"):rep(fault.oversize - 14) .. '"}' }
  end
  return response
end

local function serve_with_fault(fault, entry, serve_it)
  entry.fault = true
  if fault.delay then
    ngx.sleep(fault.delay)
  end
  if fault.hold == "before" and holds.wait(entry, "before") then
    return break_connection(entry, "dropped before")
  end
  if fault.close_on_reuse or fault.reset == "before" then
    return break_connection(entry, "reset before")
  elseif fault.status then
    if fault.applied then
      serve_it()
    end
    local response = errors.of_status(fault.status)
    response.status = fault.status
    response.body = fault.body or response.body
    response.headers = fault.headers
    entry.status = fault.status
    return M.send(response)
  end
  local response = serve_it()
  if fault.hold == "after" and holds.wait(entry, "after") then
    return break_connection(entry, "dropped after")
  end
  if fault.reset == "after" then
    return break_connection(entry, "reset after")
  end
  return M.send(spoil(fault, response))
end

--- Answers with what a function returns, or as the fault says that is set for the request.
function M.respond(entry, serve_it)
  local fault = faults.take(entry)
  if fault then
    return serve_with_fault(fault, entry, serve_it)
  end
  return M.send(serve_it())
end

--- Handles the current nginx request for a service ("cce", "iam", ...).
function M.handle(name)
  local service, request = services[name], M.read_request()
  local entry = log.begin(request, name, state.now())
  local route, ids = find_route(service, request)
  if route then
    entry.operation, entry.cluster = route.operation, ids.cluster_id
  end
  return M.respond(entry, function()
    return serve(service, route, ids, request, entry)
  end)
end

return M
