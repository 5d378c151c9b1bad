--- Waiting in a plain script: by itself, or in turns with others in `cce.map`.
--
-- A task is a coroutine of `each`. It runs until it waits for a transfer or
-- for a time; then another one runs; when none can, the engines are driven.
-- Nothing here yields across a pcall, so it works on Lua 5.1.
-- @module cce.host.script
-- @local
local core = require "cce.core"

local M = {}

-- A signal that arrives between Lua and the system call is noticed after so
-- many seconds at the latest.
local SLICE = 0.1

local tasks = setmetatable({}, { __mode = "k" }) -- coroutine → task
local ready = { first = 1, last = 0 } -- tasks that can go on, in order
local waiting = {} -- transfer → task
local engines = {} -- engine → how many tasks wait for it
local sleepers = {} -- task → when it goes on
local sleeper_count = 0

function M.check()
  return true
end

function M.engine(options)
  return assert(core.engine(options))
end

-- ---- the queue of tasks that can go on -----------------------------------

local function make_ready(task)
  ready.last = ready.last + 1
  ready[ready.last] = task
end

local function next_ready()
  local task = ready[ready.first]
  if not task then return nil end
  ready[ready.first] = nil
  ready.first = ready.first + 1
  if ready.first > ready.last then ready.first, ready.last = 1, 0 end
  return task
end

-- ---- what a task waits for -----------------------------------------------

local function this_task()
  local thread = coroutine.running()
  return thread and tasks[thread]
end

local function count_waiter(engine, change)
  local count = (engines[engine] or 0) + change
  engines[engine] = count > 0 and count or nil
end

function M.wait(engine, transfer)
  local task = this_task()
  if not task then
    while not transfer:finished() do engine:step(SLICE) end
    return
  end
  if transfer:finished() then return end
  waiting[transfer] = task
  count_waiter(engine, 1)
  coroutine.yield()
  count_waiter(engine, -1)
end

function M.sleep(seconds)
  local deadline = core.sys.monotonic() + seconds
  local task = this_task()
  if task then
    sleepers[task], sleeper_count = deadline, sleeper_count + 1
    coroutine.yield()
    return
  end
  local left = seconds
  while left > 0 do
    core.sys.sleep(math.min(left, SLICE))
    left = deadline - core.sys.monotonic()
  end
end

--- Whether the running code is no task: then no task goes on while it waits.
function M.runs_alone()
  return this_task() == nil
end

--- Let go on who waits for an engine that has been closed.
function M.forget(engine)
  for transfer, task in pairs(waiting) do
    if transfer:finished() then
      waiting[transfer] = nil
      make_ready(task)
    end
  end
  engines[engine] = nil
end

-- ---- driving -------------------------------------------------------------

local function wake_sleepers()
  if sleeper_count == 0 then return SLICE end
  local now, nearest = core.sys.monotonic(), SLICE
  for task, deadline in pairs(sleepers) do
    if deadline <= now then
      sleepers[task], sleeper_count = nil, sleeper_count - 1
      make_ready(task)
      nearest = 0
    else
      nearest = math.min(nearest, deadline - now)
    end
  end
  return nearest
end

local function collect_finished(engine)
  local transfer = engine:finished()
  while transfer do
    local task = waiting[transfer]
    if task then
      waiting[transfer] = nil
      make_ready(task)
    end
    transfer = engine:finished()
  end
end

local function poll()
  local list = {}
  for engine in pairs(engines) do list[#list + 1] = engine end
  local seconds = wake_sleepers()
  if #list == 1 then
    list[1]:step(seconds)
  else
    core.step(list, seconds)
  end
  for _, engine in ipairs(list) do collect_finished(engine) end
end

-- LuaJIT lets the hook of Ctrl-C run, and raise, inside a coroutine.
local function is_interrupt(problem)
  return type(problem) == "string" and problem:find("interrupted!", 1, true) ~= nil
end

local begin

local function note_end(task, ok, ...)
  local group = task.group
  tasks[task.thread] = nil
  if not ok and is_interrupt((...)) then error((...), 0) end
  group.active = group.active - 1
  if group.on_end(task.number, ok, ...) == false then group.count = group.started end
  begin(group)
  if group.active == 0 and group.parent then make_ready(group.parent) end
end

local function resume(task)
  local function after(ok, ...)
    if not ok or coroutine.status(task.thread) == "dead" then
      note_end(task, ok, ...)
    end
  end
  after(coroutine.resume(task.thread, task.number))
end

-- Start as many as may run at once.
function begin(group)
  while group.active < group.concurrency and group.started < group.count do
    group.started, group.active = group.started + 1, group.active + 1
    local task = { group = group, number = group.started,
      thread = coroutine.create(group.body) }
    tasks[task.thread] = task
    make_ready(task)
  end
end

function M.each(count, concurrency, body, on_end)
  local group = { count = count, concurrency = concurrency, body = body, on_end = on_end,
    started = 0, active = 0, parent = this_task() }
  begin(group)
  if group.parent then
    if group.active > 0 then coroutine.yield() end
    return
  end
  while group.active > 0 do
    local task = next_ready()
    if task then resume(task) else poll() end
  end
end

return M
