--- How to wait: the seam between the calls and the program that makes them.
--
-- In a plain script a call drives the engine itself until its transfer ends.
-- @module cce.host
-- @local
local core = require "cce.core"

local M = {}

-- A signal that arrives between Lua and the system call is noticed after so
-- many seconds at the latest.
local SLICE = 0.1

--- Return when the transfer has ended.
-- @param engine of `core.engine`
-- @param transfer of `engine:submit`
function M.wait(engine, transfer)
  while not transfer:finished() do
    engine:step(SLICE)
  end
end

--- Return after so many seconds, or when a signal's handler raised.
-- @tparam number seconds
function M.sleep(seconds)
  local deadline = core.sys.monotonic() + seconds
  local left = seconds
  while left > 0 do
    core.sys.sleep(math.min(left, SLICE))
    left = deadline - core.sys.monotonic()
  end
end

return M
