--- Requests held at a moment, until they are let go: so that a client can be stopped, killed or cut
-- off exactly between two steps. A fault with hold="before" or hold="after" holds what it hits.
local M = {}

local STEP_SECONDS = 0.005

local held, last_id = {}, 0

--- Waits until the request is let go. entry: of the log; moment: "before" or "after".
-- @treturn boolean whether it is to be dropped without an answer (and, before, without effect)
function M.wait(entry, moment)
  last_id = last_id + 1
  local hold = { id = last_id, moment = moment, operation = entry.operation,
    cluster = entry.cluster, service = entry.service }
  held[#held + 1] = hold
  while not hold.released do
    ngx.sleep(STEP_SECONDS)
  end
  return hold.drop
end

--- Those held now: { { id=, moment=, operation=, cluster=, service= }, ... }.
function M.list()
  return held
end

--- Releases requests: the one of this id, or all. drop: without an answer. Returns how many.
function M.release(id, drop)
  local rest, count = {}, 0
  for _, hold in ipairs(held) do
    if id == nil or hold.id == id then
      hold.drop, hold.released, count = drop or false, true, count + 1
    else
      rest[#rest + 1] = hold
    end
  end
  held = rest
  return count
end

return M
