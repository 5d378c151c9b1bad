--- Waiting inside the program's event loop: cqueues, luv, or any other that offers
-- three functions. See `cce.use_loop`.
-- @module cce.host.loop
-- @local
local core = require "cce.core"
local protect = require "cce.host.protect"
local waiting = require "cce.host.waiting"

local M = {}

local adapters = {}

-- ---- cqueues -------------------------------------------------------------

function adapters.cqueues()
  local cqueues = require "cqueues"
  local condition = require "cqueues.condition"
  return {
    inside = function() return cqueues.running() ~= nil end,
    watch = function(fd, on_readable)
      local active = true
      cqueues.running():wrap(function()
        local readable = { pollfd = fd, events = "r" }
        while active do
          cqueues.poll(readable)
          if active then on_readable() end
        end
      end)
      return function()
        active = false
        cqueues.cancel(fd)
      end
    end,
    suspend = function(start)
      local woken, changed = false, condition.new()
      start(function()
        woken = true
        changed:signal()
      end)
      while not woken do changed:wait() end
    end,
    after = function(seconds, fn)
      cqueues.running():wrap(function()
        cqueues.sleep(seconds)
        fn()
      end)
    end,
    spawn = function(fn, ...) cqueues.running():wrap(fn, ...) end,
  }
end

-- ---- luv -----------------------------------------------------------------

function adapters.luv()
  local uv = require "luv"
  return {
    watch = function(fd, on_readable)
      local poll = assert(uv.new_poll(fd))
      assert(poll:start("r", on_readable))
      return function()
        poll:stop()
        poll:close()
      end
    end,
    suspend = function(start)
      local thread, woken, suspended = protect.running(), false, false
      start(function()
        woken = true
        if suspended then assert(coroutine.resume(thread)) end
      end)
      if not woken then
        suspended = true
        coroutine.yield()
      end
    end,
    after = function(seconds, fn)
      local timer = assert(uv.new_timer())
      timer:start(math.ceil(seconds * 1000), 0, function()
        timer:close()
        fn()
      end)
    end,
  }
end

-- ---- a driver from three functions ---------------------------------------

local function in_coroutine()
  local thread, is_main = coroutine.running()
  return thread ~= nil and not is_main
end

local function spawn_coroutine(fn, ...)
  coroutine.wrap(fn)(...)
end

local function resolve(which)
  if type(which) == "string" then
    local adapter = adapters[which]
    if not adapter then error("unknown loop '" .. which .. "': cqueues, luv, or a table", 5) end
    return adapter()
  end
  for _, name in ipairs { "watch", "suspend", "after" } do
    if type(which) ~= "table" or type(which[name]) ~= "function" then
      error("a loop is a table with the functions watch, suspend and after", 5)
    end
  end
  return which
end

local watched = setmetatable({}, { __mode = "k" }) -- engine → what stops its watcher

--- Stop watching an engine that is about to be closed.
function M.forget(engine)
  if watched[engine] then watched[engine]() end
  watched[engine] = nil
end

-- A loop that has nothing left to do may end.
local function stop_if_idle(engine)
  if watched[engine] and engine:in_flight() == 0 then M.forget(engine) end
end

-- One watcher an engine wakes all who wait for its transfers.
local function new_wait(loop)
  local function on_readable(engine)
    engine:step(0)
    waiting.collect(engine)
    stop_if_idle(engine)
  end

  return function(engine, transfer)
    if transfer:finished() then return end
    if not watched[engine] then
      watched[engine] = loop.watch(engine:fd(), function() on_readable(engine) end)
    end
    loop.suspend(function(wake)
      waiting.add(transfer, function()
        wake()
        -- It may have been a call outside of the loop that drove it to its end.
        stop_if_idle(engine)
      end)
    end)
  end
end

-- Runs the bodies in coroutines of the loop; the caller is woken after the last.
local function new_each(loop)
  local spawn = loop.spawn or spawn_coroutine

  -- Only the outermost one starts others: a body that does not wait ends within
  -- its spawn, and thousands of them would nest.
  local function begin(group, body)
    if group.beginning then return end
    group.beginning = true
    while group.active < group.concurrency and group.started < group.count do
      group.started, group.active = group.started + 1, group.active + 1
      spawn(body, group.started)
    end
    group.beginning = false
  end

  -- A problem of on_end, which is the caller's code, is raised in `each`, after
  -- those under way have ended.
  local function note_outcome(group, ok, more)
    if not ok then group.failed, group.problem = true, more end
    if not ok or more == false then group.count = group.started end
  end

  return function(count, concurrency, body, on_end)
    local group = { count = count, concurrency = concurrency, started = 0, active = 0 }
    local run
    local function finish(number, ok, ...)
      if not ok and protect.is_interrupt((...)) then
        note_outcome(group, false, (...))
      else
        note_outcome(group, protect.pcall(on_end, number, ok, ...))
      end
      group.active = group.active - 1
      begin(group, run)
      if group.active == 0 and group.wake then group.wake() end
    end
    function run(number)
      finish(number, protect.pcall(body, number))
    end
    begin(group, run)
    if group.active > 0 then loop.suspend(function(wake) group.wake = wake end) end
    if group.failed then error(group.problem, 0) end
  end
end

--- Make a driver of a loop.
-- @tparam string|table which "cqueues", "luv", or a table of three functions
-- @treturn table
function M.driver(which)
  local loop = resolve(which)
  return {
    inside = loop.inside or in_coroutine,
    check = protect.check_yield,
    engine = core.engine,
    wait = new_wait(loop),
    sleep = function(seconds)
      loop.suspend(function(wake) loop.after(seconds, wake) end)
    end,
    each = new_each(loop),
    spawn = loop.spawn or spawn_coroutine,
  }
end

return M
