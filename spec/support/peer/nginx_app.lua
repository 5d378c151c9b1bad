-- What the configurations of the nginx specs have in common, as the global `app`; see nginx.lua.
local cce = require "cce"
local core = require "cce.core"

-- Loaded by the master, so that a worker of another user needs no access to the files.
require "cce.client"
require "cce.map"
require "cce.host.nginx"

local ngx = ngx -- luacheck: globals ngx

local M = {}

local client

--- The one of this worker.
function M.client()
  client = client or assert(cce.new {})
  return client
end

function M.engine()
  return M.client():engine()
end

function M.say(value)
  ngx.header["Content-Type"] = "application/json"
  ngx.print(core.json.encode(value))
end

--- What a call returned, as a table for the spec.
function M.outcome(value, message, err)
  if value then return { ok = true, id = type(value) == "table" and value.id or nil } end
  err = type(err) == "table" and err or {}
  return {
    ok = false, message = tostring(message), code = err.code, hint = err.hint,
    maybe_applied = err.maybe_applied, retryable = err.retryable, attempts = err.attempts,
  }
end

--- The whole of a location: one call of the worker's client.
function M.call(method, ...)
  local api = M.client()
  M.say(M.outcome(api[method](api, ...)))
end

--- The call that most specs make: it changes nothing.
function M.look()
  M.call("show_cluster", M.cluster())
end

function M.cluster_from_environment()
  return os.getenv "SPEC_CLUSTER"
end

function M.cluster()
  return ngx.var.arg_cluster or os.getenv "SPEC_CLUSTER"
end

function M.status()
  collectgarbage()
  collectgarbage()
  local engine = client and client.transport
  M.say {
    pid = ngx.worker.pid(), has_engine = engine ~= nil,
    in_flight = engine and engine:in_flight() or 0,
  }
end

return M
