--- What runs by itself inside nginx.
--
--     init_worker_by_lua_block {
--       local cce = require "cce"
--       local client = assert(cce.new { region = "cn-north-4" })
--       assert(cce.openresty.schedule {
--         store = "etcd:https://etcd-1:2379,https://etcd-2:2379/cce",
--         options = { ca_file = "/etc/cce/etcd-ca.pem", cert = "/etc/cce/etcd.pem",
--           key = "/etc/cce/etcd.key" },
--         client_for = function() return client end,
--       })
--     }
-- @module cce.openresty
local backoff = require "cce.schedule.runner.backoff"
local errors = require "cce.error"
local options = require "cce.base.options"
local runner = require "cce.schedule.runner"

local ngx = ngx

local M = {}

local Worker = {}
Worker.__index = Worker
Worker.__name = "cce.openresty.schedule"

-- Seconds that a worker sleeps although nothing is due, since others add entries.
local LONGEST_SLEEP = 3

-- How soon it is noticed that the worker is to end.
local PAUSE = 0.03

-- ---- what is to be noticed -----------------------------------------------------------

local LEVELS = {
  overdue = "ERR", missed = "ERR", quarantined = "ERR", store_unavailable = "ERR", failed = "WARN",
  lease_lost = "WARN", resent = "WARN", superseded = "WARN", store_available = "NOTICE",
  done = "INFO",
}

local DETAILS = { "id", "kind", "cluster_id", "user_id", "agency_id", "clusters", "code",
  "message", "hint", "seconds", "late", "first_intent", "may_have_cut_newer", "next_try", "state",
  "request_id" }

local function text_of(event)
  local parts = { "cce schedule: " .. event.type }
  for _, name in ipairs(DETAILS) do
    local value = event[name]
    if value ~= nil then parts[#parts + 1] = name .. "=" .. tostring(value) end
  end
  return table.concat(parts, " ")
end

-- ---- a worker of nginx ---------------------------------------------------------------

-- Opened in a timer, since it asks the store for its version.
local function run_of(self)
  if self.run then return self.run end
  local schedule, message, err
  if type(self.where) == "string" then
    schedule, message, err = require("cce.schedule").open(self.where, self.store_options)
  else
    schedule, message, err = self.where()
  end
  if not schedule then
    return nil, message, err or errors.new("STORE_UNAVAILABLE", tostring(message))
  end
  self.opened = schedule
  self.run = runner.new(schedule, self.client_for, self.opts)
  return self.run
end

-- All that is due. Seconds until the next look.
local function work(self)
  local run, message, err = run_of(self)
  local ok = run
  if ok then ok, message, err = run:pass() end
  if ok then ok, message, err = run:prune() end
  if ok then ok, message, err = run:next_wait(LONGEST_SLEEP) end
  if ok then return ok end
  return nil, message, err
end

local function failed(self, message, err)
  self.failures = self.failures + 1
  if self.run then
    self.run:store_failed(message, err)
  else
    ngx.log(ngx.ERR, "cce schedule: ", tostring(err))
  end
  return backoff.store_delay(self.failures, math.random)
end

local function is_over(self)
  if ngx.worker.exiting() or self.run and self.run.stopped then self.stopped = true end
  return self.stopped
end

local function finish(self)
  if self.opened then self.opened:close() end
end

local tick

-- In a thread of its own, so that a store that does not answer keeps no worker from
-- its end: once nothing is in hand, all that waits is dropped with its handler.
local function work_beside(self)
  local results, pause = nil, 0.002
  assert(ngx.thread.spawn(function() results = { pcall(work, self) } end))
  while not results do
    ngx.sleep(pause)
    pause = math.min(pause * 2, PAUSE)
    if is_over(self) and not results and not (self.run and self.run:has_work()) then
      finish(self)
      ngx.exit(ngx.OK)
    end
  end
  return unpack(results, 1, 4)
end

function tick(premature, self)
  if premature or is_over(self) then return finish(self) end
  local ok, delay, message, err = work_beside(self)
  if not ok then
    delay, message, err = nil, delay, errors.new("INTERNAL", tostring(delay))
  end
  if is_over(self) then return finish(self) end
  if delay then self.failures = 0 else delay = failed(self, message, err) end
  -- While timers are used up, this one waits; it must not get lost.
  while not is_over(self) do
    local set, problem = ngx.timer.at(delay, tick, self)
    if set then return end
    ngx.log(ngx.ERR, "cce schedule: no timer: ", problem)
    ngx.sleep(1)
  end
  finish(self)
end

--- Begin nothing new. What is being sent ends, within the lease; what was only
-- claimed is given back.
-- @function worker:stop
function Worker:stop()
  self.stopped = true
  if self.run then self.run:stop "stop" end
end

local schema = {
  store = { type = { "string", "callable" }, required = true },
  options = { type = "table" },
  client_for = { type = "callable", required = true },
}

--- Run a schedule in this worker: to be called in `init_worker_by_lua`, so that each
-- worker of each gateway does it. What is due is done once, by one of them.
--
-- No request waits for it. Between what is due the worker sleeps, at most three
-- seconds at a time. At a quit or a reload nothing new is begun, and what is being
-- sent ends, within the lease; `worker_shutdown_timeout` should be longer. What is
-- overdue, cannot be read, fails or is sent again is logged.
-- @tparam table opts those of `schedule:run` (`lease`, `concurrency`, `keep`,
--   `on_event`, `on_look`, `runner`, `journal_dir`, `retry`), and
-- @tparam string|function opts.store where, as for `cce.schedule.open`; or a function
--   that returns a schedule, or nil, message, err. It is called in a timer, and the
--   schedule is closed when the worker ends.
-- @tparam[opt] table opts.options for `cce.schedule.open`
-- @tparam function opts.client_for as for `schedule:run`
-- @treturn[1] table with `stop()`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- assert(cce.openresty.schedule {
--   store = "etcd:http://127.0.0.1:2379/cce", client_for = function() return client end,
-- })
function M.schedule(opts)
  options.argument(opts, "table", 1, "schedule", 2)
  -- Our own options, and those of the runner.
  local own, rest = {}, {}
  for name, value in pairs(opts) do
    (schema[name] and own or rest)[name] = value
  end
  local message, err
  own, message, err = options.check(own, schema, 2)
  if not own then return nil, message, err end
  if rest.once or rest.until_idle or rest.stop then
    error("a schedule inside nginx runs for as long as its worker", 2)
  end
  rest, message, err = runner.read_options(rest, 2)
  if not rest then return nil, message, err end
  if not ngx then
    return errors.fail("UNSUPPORTED", "cce.openresty works inside nginx alone", {
      hint = "Elsewhere use schedule:run" })
  end

  local on_event = rest.on_event
  rest.on_event = function(event)
    ngx.log(ngx[LEVELS[event.type] or "NOTICE"], text_of(event))
    if on_event then return on_event(event) end
  end
  rest.stop = ngx.worker.exiting
  local self = setmetatable({ where = own.store, store_options = own.options,
    client_for = own.client_for, opts = rest, failures = 0 }, Worker)
  local ok, problem = ngx.timer.at(0, tick, self)
  if not ok then return errors.fail("UNSUPPORTED", "no timer: " .. problem) end
  return self
end

return M
