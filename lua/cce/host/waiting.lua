--- Who waits for which transfer, whatever drives its engine.
--
-- Any driver may step an engine that code of another driver waits for too: a
-- blocking call in a program with an event loop does. So there is one list.
-- @module cce.host.waiting
-- @local
local M = {}

local wakes = {} -- transfer → function

--- Call a function once the transfer has ended.
-- @param transfer of `engine:submit`
-- @tparam function wake
function M.add(transfer, wake)
  wakes[transfer] = wake
end

--- Nothing waits for it any more.
-- @param transfer
function M.remove(transfer)
  wakes[transfer] = nil
end

-- All are taken out first: a call that is woken may close the engine.
local function wake_all(list)
  for _, wake in ipairs(list) do wake() end
end

--- Wake all whose transfers have ended since the last time.
-- @param engine of `core.engine`
function M.collect(engine)
  local transfer = engine:finished()
  if not transfer then return end
  local list = {}
  while transfer do
    list[#list + 1], wakes[transfer] = wakes[transfer], nil
    transfer = engine:finished()
  end
  wake_all(list)
end

--- Wake those whose engine has been closed.
function M.collect_closed()
  local list, ended = {}, {}
  for transfer, wake in pairs(wakes) do
    if transfer:finished() then
      list[#list + 1], ended[#ended + 1] = wake, transfer
    end
  end
  for _, transfer in ipairs(ended) do wakes[transfer] = nil end
  wake_all(list)
end

return M
