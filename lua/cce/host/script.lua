--- Waiting in a plain script: by itself, or in turns with others in `cce.map`.
--
-- A task is a coroutine of `each`. It runs until it waits for a transfer or
-- for a time; then another one runs; when none can, the engines are driven. A
-- task that has ended its number takes the next.
-- Nothing here yields across a pcall, so it works on Lua 5.1.
--
-- A task yields one of three words: `WAITING`, `TURN` (it can go on at once) or
-- `ENDED`. Any other yield is not ours, and nothing would resume it.
-- @module cce.host.script
-- @local
local core = require "cce.core"
local protect = require "cce.host.protect"
local waiting = require "cce.host.waiting"

local M = {}

-- A signal that arrives between Lua and the system call is noticed after so
-- many seconds at the latest.
local SLICE = 0.1

local tasks = setmetatable({}, { __mode = "k" }) -- coroutine → task
local ready = { first = 1, last = 0 } -- tasks that can go on, in order
local engines = {} -- engine → how many tasks wait for it
local sleepers = {} -- task → when it goes on
local sleeper_count = 0

local WAITING, TURN, ENDED = {}, {}, {}

-- One that cannot go on (in a child after fork) must not be asked for ever.
local function must(ok, message)
  if not ok then error(message, 0) end
end

-- Outside of any map, which is most of the time, nothing else is asked.
local function this_task()
  local thread = next(tasks) and protect.running()
  return thread and tasks[thread]
end

function M.check()
  if not protect.must_try_yield or not this_task() then return true end
  local can_yield, reason = protect.check_yield()
  if can_yield then coroutine.yield(TURN) end
  return can_yield, reason
end

function M.engine(options)
  return core.engine(options)
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
  if task.abandoned then return next_ready() end
  return task
end

-- ---- what a task waits for -----------------------------------------------

--- Whether the running code takes turns here, whatever loop there is besides.
-- @treturn boolean
function M.inside()
  return this_task() ~= nil
end

local function count_waiter(engine, change)
  local count = (engines[engine] or 0) + change
  engines[engine] = count > 0 and count or nil
end

local function stop_waiting(task)
  waiting.remove(task.transfer)
  count_waiter(task.engine, -1)
  task.transfer, task.engine = nil, nil
end

function M.wait(engine, transfer)
  local task = this_task()
  if not task then
    while not transfer:finished() do must(engine:step(SLICE)) end
    return waiting.collect(engine)
  elseif transfer:finished() then
    return
  end
  task.transfer, task.engine = transfer, engine
  count_waiter(engine, 1)
  waiting.add(transfer, task.wake)
  coroutine.yield(WAITING)
end

function M.sleep(seconds)
  local deadline = core.sys.monotonic() + seconds
  local task = this_task()
  if task then
    sleepers[task], sleeper_count = deadline, sleeper_count + 1
    coroutine.yield(WAITING)
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

local function poll()
  local list = {}
  for engine in pairs(engines) do list[#list + 1] = engine end
  local seconds = wake_sleepers()
  if #list == 1 then
    must(list[1]:step(seconds))
  else
    must(core.step(list, seconds))
  end
  for _, engine in ipairs(list) do waiting.collect(engine) end
end

local function new_task(group)
  local body = group.body
  local task = { group = group }
  function task.wake()
    stop_waiting(task)
    make_ready(task)
  end
  task.thread = coroutine.create(function(number)
    while true do number = coroutine.yield(ENDED, body(number)) end
  end)
  tasks[task.thread] = task
  return task
end

-- Start as many as may run at once.
local function begin(group)
  while group.active < group.concurrency and group.started < group.count do
    group.started, group.active = group.started + 1, group.active + 1
    local task = table.remove(group.idle) or new_task(group)
    task.number = group.started
    make_ready(task)
  end
end

local function note_end(group, number, ...)
  group.active = group.active - 1
  local ok, more = protect.catch(group.on_end, number, ...)
  -- A problem of on_end, which is the caller's code, is raised in `each`, after those
  -- under way have ended.
  if not ok then group.failed, group.problem = true, more end
  if not ok or more == false then group.count = group.started end
  begin(group)
  if group.active == 0 and group.parent then make_ready(group.parent) end
end

local function after_resume(task, ok, what, ...)
  local group = task.group
  if not ok then
    if protect.is_interrupt(what) then error(what, 0) end
    note_end(group, task.number, false, what)
  elseif what == ENDED then
    group.idle[#group.idle + 1] = task
    note_end(group, task.number, true, ...)
  elseif what == TURN then
    make_ready(task)
  elseif what ~= WAITING then
    -- Left where it is, and collected.
    task.abandoned = true
    tasks[task.thread] = nil
    local place = debug.getinfo(task.thread, 1, "Sl")
    note_end(group, task.number, false, ("%s:%d: coroutine.yield() in a function of cce.map, where"
      .. " nothing resumes it; to wait, use cce.sleep"):format(place.short_src, place.currentline))
  end
end

local function drive(group)
  begin(group)
  while group.active > 0 do
    local task = next_ready()
    if task then
      after_resume(task, coroutine.resume(task.thread, task.number))
    else
      poll()
    end
  end
end

-- What an interrupt left behind must not go on in a later call.
local function abandon(root)
  for thread, task in pairs(tasks) do
    if task.group.root == root then
      if task.transfer then
        task.transfer:close()
        stop_waiting(task)
      elseif sleepers[task] then
        sleepers[task], sleeper_count = nil, sleeper_count - 1
      end
      task.abandoned = true
      tasks[thread] = nil
    end
  end
end

local function new_group(count, concurrency, body, on_end)
  local parent = this_task()
  local group = { count = count, concurrency = concurrency, body = body, on_end = on_end,
    started = 0, active = 0, idle = {}, parent = parent }
  group.root = parent and parent.group.root or group
  return group
end

function M.each(count, concurrency, body, on_end)
  local group = new_group(count, concurrency, body, on_end)
  if group.parent then
    begin(group)
    if group.active > 0 then coroutine.yield(WAITING) end
  else
    local ok, problem = pcall(drive, group)
    if not ok then
      abandon(group)
      error(problem, 0)
    end
  end
  if group.failed then error(group.problem, 0) end
end

--- Run a function beside the tasks of the `each` that this is called in, which
-- drives it too. It must not raise.
-- @tparam function fn
function M.spawn(fn)
  local group = new_group(1, 1, fn, function() end)
  group.parent = nil
  begin(group)
end

return M
