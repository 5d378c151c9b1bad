--- The prompt's event loop: descriptors, timers and coroutines, so that what
-- runs in the background goes on while a line is typed.
--
-- `loop.functions` is what `cce.use_loop` takes. What runs is a task; what a
-- task starts (`cce.map`, a workflow) belongs to it, and an interrupt of the
-- task is raised in all of them.
-- @module cce.repl.loop
-- @local
local core = require "cce.core"
local protect = require "cce.host.protect"

local M = {}

local Loop = {}
Loop.__index = Loop

--- What an interrupted task raises.
M.INTERRUPTED = protect.INTERRUPT

-- ---- coroutines ------------------------------------------------------------

local function make_ready(loop, thread)
  if thread.queued then return end
  thread.queued = true
  loop.ready[#loop.ready + 1] = thread
end

local function resume(loop, thread, ...)
  local before = loop.current
  loop.current = thread
  local function finish(...)
    loop.current = before
    if coroutine.status(thread.coroutine) ~= "dead" then return end
    loop.threads[thread.coroutine] = nil
    thread.task.threads[thread] = nil
    if thread.on_end then thread.on_end(...) end
  end
  finish(coroutine.resume(thread.coroutine, ...))
end

local function new_thread(loop, task, fn, on_end)
  local thread = { coroutine = coroutine.create(fn), task = task, on_end = on_end }
  loop.threads[thread.coroutine] = thread
  task.threads[thread] = true
  return thread
end

local function thread_of(loop)
  local running = protect.running()
  return running and loop.threads[running]
end

local function check_interrupt(thread)
  if thread.task.interrupted then error(M.INTERRUPTED, 0) end
end

-- ---- what cce.use_loop takes -------------------------------------------------

local function new_functions(loop)
  local functions = {}

  function functions.inside()
    -- Where a yield would cross a C function, a call must block instead.
    return thread_of(loop) ~= nil
      and (not coroutine.isyieldable or coroutine.isyieldable())
  end

  function functions.watch(fd, on_readable)
    local watcher = { fd = fd, on_readable = on_readable }
    loop.watchers[watcher] = true
    return function() loop.watchers[watcher] = nil end
  end

  function functions.suspend(start)
    local thread, woken = thread_of(loop), false
    check_interrupt(thread)
    start(function()
      woken = true
      make_ready(loop, thread)
    end)
    while not woken do
      coroutine.yield()
      check_interrupt(thread)
    end
  end

  function functions.after(seconds, fn)
    loop.timers[{ at = core.sys.monotonic() + seconds, fn = fn }] = true
  end

  -- A failure of what a caller spawned is for the caller to handle: `each` does.
  function functions.spawn(fn, ...)
    local parent = loop.current
    resume(loop, new_thread(loop, parent and parent.task or { threads = {} }, fn), ...)
  end

  return functions
end

-- ---- running -----------------------------------------------------------------

--- Start a task. It runs at once, until it waits.
-- @tparam function fn
-- @tparam function on_end called with what `coroutine.resume` told of its end
-- @treturn table the task
function Loop:start(fn, on_end)
  local task = { threads = {} }
  task.main = new_thread(self, task, fn, function(...)
    task.done = true
    on_end(...)
  end)
  resume(self, task.main)
  return task
end

--- The task that runs now.
-- @treturn ?table
function Loop:task()
  local thread = thread_of(self) or self.current
  return thread and thread.task
end

--- Raise "interrupted!" in a task, wherever it waits; what it waited for is
-- left to end by itself.
-- @tparam table task
function Loop:interrupt(task)
  task.interrupted = true
  for thread in pairs(task.threads) do
    if thread ~= task.main then make_ready(self, thread) end
  end
  make_ready(self, task.main)
end

local function run_ready(loop)
  local list = loop.ready
  loop.ready = {}
  for _, thread in ipairs(list) do
    thread.queued = nil
    if coroutine.status(thread.coroutine) == "suspended" then resume(loop, thread) end
  end
end

local function run_timers(loop, longest)
  local now, nearest, due = core.sys.monotonic(), longest, {}
  for timer in pairs(loop.timers) do
    if timer.at <= now then
      due[#due + 1] = timer
    else
      nearest = math.min(nearest, timer.at - now)
    end
  end
  table.sort(due, function(a, b) return a.at < b.at end)
  for _, timer in ipairs(due) do
    loop.timers[timer] = nil
    timer.fn()
  end
  return nearest
end

local function poll(loop, seconds, extra)
  local fds, by_fd = { extra }, {}
  for watcher in pairs(loop.watchers) do
    fds[#fds + 1] = watcher.fd
    by_fd[watcher.fd] = watcher
  end
  local readable = {}
  for _, fd in ipairs(core.sys.poll(fds, seconds) or {}) do
    local watcher = by_fd[fd]
    if watcher and loop.watchers[watcher] then watcher.on_readable() end
    readable[fd] = true
  end
  return extra ~= nil and readable[extra] == true
end

--- Run what can run, and wait for at most so many seconds for more.
-- @tparam number seconds
-- @tparam[opt] int fd one more descriptor to wait for
-- @treturn boolean whether that one can be read
function Loop:step(seconds, fd)
  seconds = run_timers(self, seconds)
  run_ready(self)
  local readable = poll(self, #self.ready > 0 and 0 or seconds, fd)
  run_ready(self)
  return readable
end

--- Make a loop.
-- @treturn table
function M.new()
  local loop = setmetatable({ watchers = {}, timers = {}, ready = {}, threads = {} }, Loop)
  loop.functions = new_functions(loop)
  return loop
end

return M
