--- What a clock that was ahead has put off.
--
-- A machine whose clock was years ahead for a minute takes all for due. The API
-- refuses, and the next try stands in those years. Once the clock is right again,
-- here or on the machine that was wrong, no runner would look before.
-- @module cce.schedule.runner.ahead
-- @local
local entries = require "cce.schedule.entry"

local M = {}

-- Seconds between two looks, and how far the clocks of several machines may differ.
local EVERY, TOLERANCE = 60, 300

local PAGE = 100

local function pull(run, row, now)
  local e = entries.read(row)
  local failed_at = e and e.last_error and e.last_error.at
  if not failed_at or failed_at <= now + TOLERANCE or e.next_try <= now then return end
  -- A process that was faster has put it right.
  local new = entries.retried(e, math.max(now, e.due))
  if new then run.schedule:change(e, new) end
end

--- Look at what failed: when it did so later than now, it is tried again now. A page
-- at a time, and all pages when the run is but once.
-- @tparam table run of `cce.schedule.runner`
function M.look(run)
  if not run.ahead_after and run.steady() < (run.ahead_at or 0) then return end
  run.ahead_at = run.steady() + EVERY
  repeat
    local rows = run.store:page { status = "failed-retrying", after = run.ahead_after,
      limit = PAGE }
    -- Why not is told by the pass itself.
    if not rows then return end
    local now = run.clock()
    for _, row in ipairs(rows) do pull(run, row, now) end
    run.ahead_after = #rows == PAGE and rows[#rows].id or nil
  until not (run.once and run.ahead_after)
end

return M
