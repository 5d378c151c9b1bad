--- What clients and runners do, as metrics for Prometheus: `cce.metrics.new`.
--
-- Give `metrics:observer()` as `on_event` to clients, to `schedule:run` and to
-- `cce.openresty`, and serve `metrics:text()`. Labels are bounded: operations, codes, kinds and
-- states; no user's name, no cluster.
-- @module cce.metrics
local exposition = require "cce.text.exposition"
local options = require "cce.base.options"

local M = {}

local methods = {}
local meta = { __name = "cce.metrics", __index = methods }

function meta:__tostring()
  return ("cce.metrics: %d families"):format(#self.exposition.families)
end

local COUNTERS = {
  { "cce_requests_total", "Requests to the cloud by operation and outcome: ok, or our code." },
  { "cce_retries_total", "Requests that were made again, by operation." },
  { "cce_retry_wait_seconds_total", "Seconds that calls waited to try again, by why." },
  { "cce_key_refusals_total", "Refusals of an access key by the cloud." },
  { "cce_audit_log_failures_total", "Lines of an audit log that could not be written." },
  { "cce_schedule_events_total", "What happened in the schedule, by event and kind." },
}

local GAUGES = {
  { "cce_key_refused", "Whether the cloud refused an access key, and took none since: 1 or 0." },
  { "cce_schedule_look_timestamp_seconds", "When a runner last looked at its schedule." },
  { "cce_last_event_timestamp_seconds", "When something was last heard of." },
}

--- Make an empty collection.
-- @tparam[opt] table opts
-- @tparam[opt=os.time] function opts.clock gives unix time
-- @tparam[opt] table opts.shared a shared dictionary of nginx (`ngx.shared.NAME`, of this
--   alone): all workers count in it, and each tells of all
-- @treturn cce.metrics
-- @usage
-- local metrics = cce.metrics.new()
-- local watched = assert(cce.new { region = "cn-north-4", on_event = metrics:observer() })
-- print(metrics:text())
-- @function new
function M.new(opts)
  local checked, message, err = options.check(opts, {
    clock = { type = "callable", default = os.time }, shared = { type = "table" } })
  if not checked then return nil, message, err end
  local self = setmetatable({ exposition = exposition.new(checked.shared),
    clock = checked.clock }, meta)
  for _, each in ipairs(COUNTERS) do self.exposition:family(each[1], "counter", each[2]) end
  for _, each in ipairs(GAUGES) do self.exposition:family(each[1], "gauge", each[2]) end
  return self
end

-- What a runner of a schedule tells of an entry.
local SCHEDULE = { done = true, failed = true, overdue = true, missed = true, resent = true,
  rotated = true, resumed = true, quarantined = true, lease_lost = true, store_unavailable = true }

--- Count an event of a client or of a runner. It keeps nothing else of it.
-- @tparam table event
-- @usage
-- local metrics = cce.metrics.new()
-- metrics:observe { type = "attempt", operation = "show_cluster", status = 200 }
-- assert(metrics:text():find('cce_requests_total{code="ok",operation="show_cluster"} 1', 1, true))
-- @function metrics:observe
function methods:observe(event)
  local all = self.exposition
  if event.type == "attempt" then
    all:add("cce_requests_total", { operation = event.operation, code = event.code or "ok" }, 1)
    if not event.code then all:set("cce_key_refused", nil, 0) end
    if event.retry_in then
      all:add("cce_retries_total", { operation = event.operation }, 1)
      all:add("cce_retry_wait_seconds_total",
        { operation = event.operation, code = event.code or "ok" }, event.retry_in)
    end
  elseif event.type == "key_refused" then
    all:add("cce_key_refusals_total", nil, 1)
    all:set("cce_key_refused", nil, 1)
  elseif event.type == "audit_log_failed" then
    all:add("cce_audit_log_failures_total", nil, 1)
  elseif SCHEDULE[event.type] then
    all:add("cce_schedule_events_total", { event = event.type, kind = event.kind or "none" }, 1)
  end
  all:set("cce_last_event_timestamp_seconds", nil, self.clock())
end

--- Note that a runner has looked at its schedule: for `on_look` of `schedule:run`.
-- @usage
-- local metrics = cce.metrics.new()
-- local opts = { on_event = metrics:observer(), on_look = function() metrics:looked() end }
-- @function metrics:looked
function methods:looked()
  self.exposition:set("cce_schedule_look_timestamp_seconds", nil, self.clock())
end

--- A function for `on_event`.
-- @tparam[opt] function next_observer is called with each event, too
-- @treturn function
-- @usage
-- local metrics = cce.metrics.new()
-- local on_event = metrics:observer(function(event) end)
-- @function metrics:observer
function methods:observer(next_observer)
  return function(event)
    self:observe(event)
    if next_observer then return next_observer(event) end
  end
end

--- The metrics in Prometheus' text format, version 0.0.4.
-- @treturn string
-- @usage
-- print(cce.metrics.new():text())
-- @function metrics:text
function methods:text()
  return self.exposition:text()
end

return M
