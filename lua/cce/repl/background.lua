--- What runs while lines are typed: `bg` and `jobs` of the prompt.
-- @module cce.repl.background
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local loops = require "cce.repl.loop"
local report = require "cce.text.report"
local show = require "cce.text.show"

local M = {}

-- ---- one piece of work -------------------------------------------------------

--- Fields: `id`, `name`, `state` ("running", "done", "failed" or "stopped"),
-- `results` (of the function), `message` and `err`.
local Work = {}
Work.__index = Work
Work.__name = "cce.repl.work"

local function seconds_of(work)
  return report.duration((work.ended or core.sys.monotonic()) - work.began)
end

function Work:__tostring()
  local line = ("[%d] %s: %s, %s"):format(self.id, self.name, self.state, seconds_of(self))
  return self.message and line .. ": " .. self.message or line
end

--- Stop it where it waits. What was sent is not called back.
function Work:stop()
  if self.state == "running" then self.loop:interrupt(self.task) end
  return self
end

local List = show.list("cce.repl.jobs", { "ID", "NAME", "STATE", "TIME", "" }, function(work)
  return { work.id, work.name, work.state, seconds_of(work), work.progress or work.message }
end)

-- ---- all of them ---------------------------------------------------------------

local Works = {}
Works.__index = Works

local function fail(work, problem, err)
  work.state = problem == loops.INTERRUPTED and "stopped" or "failed"
  work.err = errors.is(problem) and problem or err
  work.message = work.err and tostring(work.err) or tostring(problem)
end

local function finish(work, ok, ...)
  work.ended, work.progress = core.sys.monotonic(), nil
  local value, message, err = ...
  work.results = { n = select("#", ...), ... }
  -- What it raised, or what a function of the library returns instead of a value.
  if not ok then return fail(work, value) end
  if not value and type(message) == "string" then return fail(work, message, err) end
  work.state, work.value = "done", value
end

--- Run a function in the background.
-- @tparam function fn
-- @tparam[opt] string name
-- @treturn table the work
function Works:start(fn, name)
  local work = setmetatable({ id = #self.list + 1, name = name or "work " .. #self.list + 1,
    state = "running", loop = self.loop, began = core.sys.monotonic() }, Work)
  self.list[work.id] = work
  -- Known before it runs: what it draws is looked up by its task.
  local task = self.loop:start(function()
    self.by_task[self.loop:task()] = work
    work.task = self.loop:task()
    return fn()
  end, function(...)
    finish(work, ...)
    self.on_end(work)
  end)
  work.task = task
  return work
end

--- The work that runs this code.
-- @treturn ?table
function Works:current()
  local task = self.loop:task()
  return task and self.by_task[task]
end

--- Whether a value is work of this list.
-- @treturn boolean
function Works:owns(value)
  return getmetatable(value) == Work and self.list[value.id] == value
end

--- Those that run.
-- @treturn {table,...}
function Works:running()
  local list = {}
  for _, work in ipairs(self.list) do
    if work.state == "running" then list[#list + 1] = work end
  end
  return list
end

--- All, as a list that prints.
function Works:all()
  local list = {}
  for i, work in ipairs(self.list) do list[i] = work end
  return setmetatable(list, List)
end

--- One line about those that run; nil when none does.
-- @treturn ?string
function Works:status()
  local parts = {}
  for _, work in ipairs(self:running()) do
    local rest = work.progress or ("%s, running for %s"):format(work.name, seconds_of(work))
    parts[#parts + 1] = ("[%d] %s"):format(work.id, rest)
  end
  return #parts > 0 and table.concat(parts, "   ") or nil
end

--- A stream for `cce.progress`: what background work draws is kept for the
-- status line; what else draws goes where it went.
-- @tparam table stream
-- @treturn table
function Works:stream(stream)
  local display = {}
  function display.write(_, text)
    local work = self:current()
    if not work then return stream:write(text) end
    work.progress = text:gsub("\27%[K", ""):gsub("[\r\n]", "")
    return true
  end
  function display.flush() stream:flush() end
  return display
end

--- Make the list.
-- @tparam table loop
-- @tparam function on_end called with a work that has ended
-- @treturn table
function M.new(loop, on_end)
  return setmetatable({ loop = loop, list = {}, on_end = on_end,
    by_task = setmetatable({}, { __mode = "k" }) }, Works)
end

return M
