--- Lines into a file that is only appended to, in one order, by many callers.
--
-- In a plain script a line is on disk when `append` returns. Inside nginx the
-- disk must not hold up the worker: a thread of an engine does the work, and
-- the caller yields. One piece of work is under way at a time; lines that come
-- meanwhile are written together after it, with one fsync. All callers wait for
-- the work itself, and whichever goes on first notes what came of it and begins
-- the next: so no caller waits for one that nginx has dropped. What it handed
-- over is still written, whole or not at all: with the next line at the latest.
--
-- A file may be renamed, replaced or shortened by others while it is open, as
-- logrotate does it. An owner that has `lost` goes on in a file of the same path:
-- the lines that were not written are composed anew, for that file.
-- @module cce.log.writer
-- @local
local core = require "cce.core"
local host = require "cce.host"

local M = {}

local Writer = {}
Writer.__index = Writer
Writer.__name = "cce.writer"

-- So many lines at once: those of a whole fleet are not one gulp.
local LONGEST_BATCH = 256

--- A writer of a file that is not open yet.
-- @tparam table owner
-- @tparam string owner.kind of the file, as `core.journal` takes it
-- @tparam function owner.path(number) the path to try first, second, …; nil
--   after the last. The next one is tried when another process has the file.
-- @tparam[opt] function owner.opened(path) called once for each file; nil, message,
--   code when that file will not do
-- @tparam[opt] function owner.lost(why, now) called when a file was lost: what
--   happened to it, and its path now, if any. Without it such a file is an error
-- @tparam function owner.compose(items) the lines of some items, a list, and
--   how many bytes are to be reserved first, if any
-- @tparam[opt] function owner.written(items) the lines are in the file
-- @treturn cce.writer
function M.new(owner)
  return setmetatable({ owner = owner, queue = {}, singly = 0, attempt = 1, was_open = false },
    Writer)
end

-- The thread that is to do it; false: no other task goes on meanwhile.
local function thread_of()
  local driver = host.current()
  if not driver.file_engine then return false end
  local engine, message, code = driver.file_engine()
  return engine, message, code, driver
end

-- ---- work on a thread ----------------------------------------------------

-- The first caller notes what came of it. Nothing that outlives the caller is
-- a closure: nginx clears the variables of a coroutine that it drops, also those
-- that a closure of it still sees.
local function settle(writer)
  local work = writer.work
  if not work or not work.job:finished() then return end
  writer.work = nil
  work.settle(writer, work.subject, work.job:result())
end

local function begin_work(writer, work, job, message, code)
  if not job then return work.settle(writer, work.subject, nil, message, code) end
  work.job = job
  writer.work = work
end

-- Until `is_done`, which some work's end makes true.
local function go_on(writer, driver, is_done, begin)
  settle(writer)
  while not is_done() do
    if not writer.work then begin() end
    local work = writer.work
    if work then driver.wait(work.engine, work.job) end
    settle(writer)
  end
end

-- ---- opening -------------------------------------------------------------

local CLOSED = "the file is closed"

local function let_go(writer)
  if writer.file then writer.file:close() end
  writer.file = nil
end

local function fail(writer, message, code)
  let_go(writer)
  writer.problem, writer.code = message, code
end

-- Held by another process: the next path may be free.
local function note_opened(writer, path, file, message, code)
  if file and writer.closed then
    file:close()
    fail(writer, CLOSED, "CLOSED")
  elseif file then
    writer.file = file
    local ok = true
    if writer.owner.opened then ok, message, code = writer.owner.opened(path) end
    if ok then writer.was_open = true else fail(writer, message, code) end
  elseif code == "CONFLICT" and writer.owner.path(writer.attempt + 1) then
    writer.attempt = writer.attempt + 1
  else
    fail(writer, message, code)
  end
end

local function open_directly(writer)
  while not writer.file and not writer.problem do
    local path = writer.owner.path(writer.attempt)
    note_opened(writer, path, core.journal(path, writer.owner.kind))
  end
end

local function begin_opening(writer, engine)
  local path = writer.owner.path(writer.attempt)
  begin_work(writer, { engine = engine, settle = note_opened, subject = path },
    core.journal(path, writer.owner.kind, engine))
end

-- A file that was lost and could not be opened again is tried each time.
local function forget_problem(writer)
  if writer.was_open then writer.problem, writer.code = nil, nil end
end

--- Open the file and lock it. Several may ask at once.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] string code
-- @function writer:open
function Writer:open()
  forget_problem(self)
  local engine, message, code, driver = thread_of()
  if engine == nil then return nil, message, code end
  if engine then
    go_on(self, driver, function() return self.file or self.problem end, function()
      begin_opening(self, engine)
    end)
  else
    open_directly(self)
  end
  if self.file then return true end
  return nil, self.problem, self.code
end

-- ---- appending -----------------------------------------------------------

local function note_written(writer, batch, ok, message, code)
  if ok and writer.owner.written then writer.owner.written(batch) end
  for _, item in ipairs(batch) do
    item.done, item.ok, item.message, item.code = true, ok, message, code
  end
end

-- Whether lines could not be written because their file was lost, and another one
-- may have them.
local function lose(writer)
  if not writer.file or not writer.owner.lost then return false end
  local why, now = writer.file:lost()
  if not why then return false end
  writer.owner.lost(why, now)
  let_go(writer)
  return true
end

local function put_back(writer, batch)
  for i = #batch, 1, -1 do table.insert(writer.queue, 1, batch[i]) end
end

-- What did not fit of one must not cost the others: they are tried one by one.
local function settle_batch(writer, batch, ok, message, code)
  if not ok and lose(writer) then return put_back(writer, batch) end
  if not ok and #batch > 1 then
    writer.singly = #batch
    return put_back(writer, batch)
  end
  writer.singly = writer.singly - 1
  note_written(writer, batch, ok, message, code)
end

local function take_batch(writer)
  local batch = {}
  local longest = writer.singly > 0 and 1 or LONGEST_BATCH
  for _ = 1, math.min(#writer.queue, longest) do
    batch[#batch + 1] = table.remove(writer.queue, 1)
  end
  return batch
end

local function is_any_synced(batch)
  for _, item in ipairs(batch) do
    if item.sync ~= false then return true end
  end
  return false
end

local function can_reopen(writer)
  return not writer.file and not writer.closed and not writer.problem and writer.owner.lost
end

local function fail_batch(writer, batch)
  note_written(writer, batch, nil, writer.problem or CLOSED, writer.code or "CLOSED")
end

local function append_on_thread(writer, driver, engine, item)
  writer.queue[#writer.queue + 1] = item
  go_on(writer, driver, function() return item.done end, function()
    if can_reopen(writer) then return begin_opening(writer, engine) end
    local batch = take_batch(writer)
    if not writer.file then return fail_batch(writer, batch) end
    local lines, room = writer.owner.compose(batch)
    begin_work(writer, { engine = engine, settle = settle_batch, subject = batch },
      writer.file:submit(engine, lines, is_any_synced(batch), room))
  end)
end

local function append_directly(writer, item)
  repeat
    if can_reopen(writer) then open_directly(writer) end
    if not writer.file then return fail_batch(writer, { item }) end
    local lines, room = writer.owner.compose { item }
    local ok, message, code = true, nil, nil
    if room then ok, message, code = writer.file:reserve(room) end
    if ok then ok, message, code = writer.file:append(lines[1], item.sync ~= false) end
    if ok or not lose(writer) then note_written(writer, { item }, ok, message, code) end
  until item.done
end

--- Append a line, and have it on disk.
-- @tparam table item what `owner.compose` makes a line of, once its place is
--   known; `sync=false`: it may reach the disk later
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] string code
-- @function writer:append
function Writer:append(item)
  forget_problem(self)
  local engine, message, code, driver = thread_of()
  if engine == nil then return nil, message, code end
  if engine then
    append_on_thread(self, driver, engine, item)
  else
    append_directly(self, item)
  end
  return item.ok, item.message, item.code
end

--- Whether lines can be appended: the file is open, or will be again.
-- @treturn boolean
-- @function writer:is_open
function Writer:is_open()
  return self.was_open and not self.closed
end

--- Whether the next line is the file's first.
-- @treturn boolean
-- @function writer:is_empty
function Writer:is_empty()
  return self.file:size() == 0
end

--- Close the file, once what is under way has ended: then others can open it.
-- @function writer:close
function Writer:close()
  let_go(self)
  self.closed = true
end

return M
