-- Whether something takes less time than a limit, on a machine that may be busy. Load makes
-- anything slower and nothing faster, so the quickest of several tries judges: what is slow
-- by itself is slow in each.
--
--   assert.is_true(quick(0.5, function() client:close() end))
--
-- What takes part of the time that the action takes returns it, in seconds.
local sys = require("cce.core").sys

return function(limit, action, tries)
  local least = math.huge
  for _ = 1, tries or 10 do
    local start = sys.monotonic()
    local part = action()
    least = math.min(least, part or sys.monotonic() - start)
    if least < limit then return true end
  end
  return false, ("it took %.3f s, not less than %g s"):format(least, limit)
end
