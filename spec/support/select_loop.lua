--- A small event loop on select(2), to show that any loop can be plugged in:
-- `loop.functions` is what cce.use_loop takes.
local socket = require("socket")

local M = {}

function M.new()
  local loop = { watchers = {}, timers = {} }

  loop.functions = {
    watch = function(fd, on_readable)
      local watcher = { getfd = function() return fd end, on_readable = on_readable }
      loop.watchers[watcher] = true
      return function() loop.watchers[watcher] = nil end
    end,
    suspend = function(start)
      local thread, woken, suspended = loop.running, false, false
      start(function()
        woken = true
        if suspended then loop.resume(thread) end
      end)
      if not woken then
        suspended = true
        coroutine.yield()
      end
    end,
    after = function(seconds, fn)
      loop.timers[{ at = socket.gettime() + seconds, fn = fn }] = true
    end,
    inside = function() return loop.running ~= nil end,
    spawn = function(fn, ...) loop.resume(coroutine.create(fn), ...) end,
  }

  function loop.resume(thread, ...)
    local before = loop.running
    loop.running = thread
    local ok, problem = coroutine.resume(thread, ...)
    loop.running = before
    assert(ok, problem)
  end

  local function run_timers()
    local now, nearest = socket.gettime(), nil
    local due = {}
    for timer in pairs(loop.timers) do
      if timer.at <= now then
        due[#due + 1] = timer
      else
        nearest = math.min(nearest or timer.at, timer.at)
      end
    end
    for _, timer in ipairs(due) do
      loop.timers[timer] = nil
      timer.fn()
    end
    return #due > 0 and 0 or nearest and nearest - now
  end

  --- Until nothing is watched and no timer is left.
  function loop.run()
    while next(loop.watchers) or next(loop.timers) do
      local seconds, list = run_timers(), {}
      for watcher in pairs(loop.watchers) do list[#list + 1] = watcher end
      if seconds or #list > 0 then
        for _, watcher in ipairs((socket.select(list, nil, seconds))) do
          if loop.watchers[watcher] then watcher.on_readable() end
        end
      end
    end
  end

  return loop
end

return M
