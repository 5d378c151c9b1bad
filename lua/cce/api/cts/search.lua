--- Searching CTS: which window of time it still has, and all pages of all places.
-- @module cce.api.cts.search
-- @local
local errors = require "cce.error"
local service_call = require "cce.api.service_call"
local show = require "cce.text.show"
local traces = require "cce.api.cts.trace"
local values = require "cce.base.values"

local M = {}

local text, object = values.text, values.object

-- Seconds that CTS keeps a trace.
local RETENTION = 7 * 86400

-- Seconds by which a trace may come late; so much later it is still found.
local LATENESS = 15 * 60

-- Between a caller's reading of the clock and ours.
local SLACK = 60
local PAGE = 200

local function bad_window(name, message, hint)
  return errors.fail("INVALID_ARGUMENT", name .. ": " .. message, {
    operation = name, retryable = false, maybe_applied = false, attempts = 0, hint = hint,
  })
end

--- The window of time to search.
-- @tparam string name of the method, for messages
-- @tparam table checked options: from, to and partial
-- @tparam number now
-- @treturn[1] table `{from=, to=, complete=}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.window(name, checked, now)
  local oldest = now - RETENTION
  -- A clock in whole seconds would leave out what happened in this one.
  local window = { from = checked.from or oldest, to = checked.to or math.floor(now) + 1,
    complete = true }
  if window.from > window.to then
    return bad_window(name, ("from (%s) is later than to (%s)"):format(
      show.time(window.from), show.time(window.to)))
  elseif window.from >= oldest - SLACK then
    return window
  elseif not checked.partial then
    return bad_window(name, ("CTS keeps seven days only: nothing from %s, but from %s on")
      :format(show.time(window.from), show.time(oldest)),
      "Give partial=true to search what is left; for earlier ones look at what CTS transferred"
      .. " to OBS or LTS, if it was set up")
  elseif window.to < oldest then
    return bad_window(name, ("the window ends at %s, before all that CTS still keeps (from %s)")
      :format(show.time(window.to), show.time(oldest)))
  end
  window.from, window.complete = oldest, false
  return window
end

local function milliseconds(time)
  return ("%.0f"):format(time * 1000)
end

-- Both ends are left out by CTS, which goes by when a trace was recorded.
local function query_for(filter, window, now, marker)
  local query = {
    { "trace_type", "system" },
    { "from", milliseconds(window.from - 1) },
    { "to", milliseconds(math.max(math.min(window.to + LATENESS, now), window.to) + 1) },
    { "limit", tostring(PAGE) },
  }
  for _, name in ipairs { "service_type", "trace_name", "resource_type", "resource_id",
    "resource_name", "user" } do
    if filter[name] then query[#query + 1] = { name, filter[name] } end
  end
  if marker then query[#query + 1] = { "next", marker } end
  return query
end

-- Without a time it is not known whether it is in the window.
local function read(raw)
  local trace = traces.read(raw)
  return trace.time and trace
end

local function keep(list, window, found, seen)
  local fresh = false
  for _, trace in ipairs(list) do
    if not (trace.id and seen[trace.id]) then
      fresh = true
      if trace.id then seen[trace.id] = true end
      if trace.time >= window.from and trace.time <= window.to then
        found[#found + 1] = trace
        trace.order = -#found -- CTS tells the newest first
      end
    end
  end
  return fresh
end

-- All pages of one question at one place, added to `found`.
local function search(client, place, filter, window, found)
  local now, seen, asked, marker = client:now(), {}, {}, nil
  while true do
    local list, _, err, body = service_call.fetch_list(client, {
      operation = "list_traces", service = "cts", method = "GET", mutating = false,
      action = "cts:trace:list", endpoint = place.endpoint,
      path = "/v3/" .. place.project_id .. "/traces",
      query = query_for(filter, window, now, marker),
    }, "traces", { project_id = place.project_id }, read)
    if not list then
      return service_call.about("the traces at " .. place.endpoint
        .. (place.region and " of region " .. place.region or ""), err)
    end
    marker = text(object(body.meta_data).marker)
    -- A page that brings nothing new ends it too, whatever its marker says; so does one that
    -- leads to where we were.
    if not keep(list, window, found, seen) or not marker or asked[marker] then return true end
    asked[marker] = true
  end
end

--- Every trace that one of the filters finds at one of the places, oldest first.
-- @tparam cce.client client
-- @tparam {table,...} places
-- @tparam {table,...} filters each `{service_type=, trace_name=, ...}`
-- @tparam table window
-- @treturn[1] {table,...} with `window` and `searched`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.all(client, places, filters, window)
  local found = { window = window, searched = places }
  for _, place in ipairs(places) do
    for _, filter in ipairs(filters) do
      local ok, message, err = search(client, place, filter, window, found)
      if not ok then return nil, message, err end
    end
  end
  table.sort(found, function(a, b)
    if a.time ~= b.time then return a.time < b.time end
    return a.order < b.order
  end)
  for _, trace in ipairs(found) do trace.order = nil end
  return found
end

return M
