--- One does it, the others wait for the result: for what many calls need at
-- once, such as a project's id.
-- @module cce.host.singleflight
-- @local
local core = require "cce.core"
local host = require "cce.host"

local M = {}

-- Seconds. One that was dropped meanwhile must not block the others for ever.
local LONGEST = 60
local FIRST_LOOK, LONGEST_LOOK = 0.005, 0.05

local function wait_for(flight)
  local pause = FIRST_LOOK
  while not flight.done and core.sys.monotonic() < flight.till do
    host.sleep(pause)
    pause = math.min(pause * 2, LONGEST_LOOK)
  end
  return flight.done
end

local function finish(flights, key, flight, ...)
  flight.done, flight.results = true, { ... }
  if flights[key] == flight then flights[key] = nil end
  return ...
end

--- Whether a call of this name is under way.
-- @treturn boolean
function M.is_under_way(owner, key)
  return owner.flights ~= nil and owner.flights[key] ~= nil
end

--- Call a function, unless a call of the same name is under way: then wait for
-- that one's results.
-- @tparam table owner where what is under way is kept, in its field `flights`
-- @tparam string key
-- @tparam function fn returns up to three values
-- @param ... its arguments
-- @return what the function returned
function M.share(owner, key, fn, ...)
  owner.flights = owner.flights or {}
  local flights = owner.flights
  local flight = flights[key]
  if flight then
    -- Code of a plain script that is in no task runs alone: the one that it would
    -- wait for does not go on meanwhile.
    local alone = host.current().runs_alone
    if not (alone and alone()) and wait_for(flight) then
      return flight.results[1], flight.results[2], flight.results[3]
    end
  end
  flight = { till = core.sys.monotonic() + LONGEST }
  flights[key] = flight
  return finish(flights, key, flight, fn(...))
end

return M
