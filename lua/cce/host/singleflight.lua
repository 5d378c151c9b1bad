--- One call of a function for many callers, who wait for its result: for what many
-- need at once, such as a project's id.
-- @module cce.host.singleflight
-- @local
local core = require "cce.core"
local host = require "cce.host"

local M = {}

-- Seconds. A caller that nginx has dropped never ends its call, and must not block the
-- others for ever.
local LONGEST = 60
local FIRST_LOOK, LONGEST_LOOK = 0.005, 0.05

local function wait_for(call, seconds)
  local pause = FIRST_LOOK
  local ends = math.min(call.deadline, core.sys.monotonic() + seconds)
  while not call.done and core.sys.monotonic() < ends do
    host.sleep(pause)
    pause = math.min(pause * 2, LONGEST_LOOK)
  end
  return call.done
end

local function finish(calls, key, call, ...)
  call.done, call.results = true, { ... }
  if calls[key] == call then calls[key] = nil end
  return ...
end

--- Whether a call of this name is under way.
-- @treturn boolean
function M.is_under_way(owner, key)
  return owner.calls_under_way ~= nil and owner.calls_under_way[key] ~= nil
end

--- Call a function, unless a call of the same name is under way: then wait for
-- that one's results, but no longer than so many seconds.
-- @tparam number seconds
-- @tparam table owner keeps what is under way in its field `calls_under_way`
-- @tparam string key
-- @tparam function fn returns up to three values
-- @param ... its arguments
-- @return what the function returned
function M.share_within(seconds, owner, key, fn, ...)
  owner.calls_under_way = owner.calls_under_way or {}
  local calls = owner.calls_under_way
  local call = calls[key]
  if call then
    -- Code of a plain script that is in no task runs alone: the one that it would
    -- wait for does not go on meanwhile.
    local alone = host.current().runs_alone
    if not (alone and alone()) and wait_for(call, seconds) then
      return call.results[1], call.results[2], call.results[3]
    end
  end
  call = { deadline = core.sys.monotonic() + LONGEST }
  calls[key] = call
  return finish(calls, key, call, fn(...))
end

--- The same, waiting as long as it takes.
function M.share(owner, key, fn, ...)
  return M.share_within(LONGEST, owner, key, fn, ...)
end

return M
