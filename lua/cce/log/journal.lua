--- The journal of a run: what was meant, and what became of it, on disk before
-- anything follows from it.
--
-- A file holds one run after another. Each line is a JSON object that a person
-- can read; the first one has `file`, which says that this is such a journal (files
-- of version 0.1.0 have it not). `what` says what happened:
--
-- * `run` opens a run: its name, its id, and the hash of its plan
-- * `planned` names a cluster of the plan; `begun` ends the list. A run without
--   it had sent nothing yet.
-- * further words are about one cluster, or about one `principal` on it:
--   `intent` (a request is about to leave), then what came of it
-- * `resumed` begins another start of a run; `stopped`: a start ended early;
--   `ended`: all clusters had their turn, but something is open; `finished`:
--   nothing is
--
-- A line belongs to the last run, or to the one whose id is its `of`. A cluster that
-- is planned `from` an earlier run was handed over: it is pending there no more.
-- What the words mean for an item is said in `cce.workflow.outcome`.
--
-- Only lines are appended. A last line that was torn is cut off; any other line
-- that cannot be read is an error, since something may have been lost. When the
-- file is removed or replaced while a run is under way, the next line fails, and
-- the run stops. `<path>.lock` stays locked until then, so that no other run begins anew
-- what is still being done; that file is made once, and never removed.
-- @module cce.log.journal
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local json_line = require "cce.base.json_line"
local times = require "cce.base.times"
local writers = require "cce.log.writer"

local M = {}

local Journal = {}
Journal.__index = Journal
Journal.__name = "cce.run_journal"

local ORDER = { "at", "what", "run", "id", "cluster", "principal", "name", "project", "job", "code",
  "message" }

-- Room for what follows an intent. Longer texts are cut to fit.
local LINE, LINES_AFTER = 2048, 2
local LONGEST_TEXT = 600

-- ---- reading ---------------------------------------------------------------

-- What one line must not inherit from the one before.
local TRANSIENT = { "code", "message", "hint", "request_id", "retryable", "by", "accepted",
  "verified", "worked_until" }

--- How an item is found: by its cluster, and its principal if it has one.
-- @tparam string cluster id
-- @tparam ?string principal id
-- @treturn string
function M.key(cluster, principal)
  return principal and cluster .. " " .. principal or cluster
end

local function note_item(run, line)
  local key = M.key(line.cluster, line.principal)
  local item = run.items[key]
  if not item then
    item = { cluster = line.cluster }
    run.items[key] = item
    run.order[#run.order + 1] = item
  end
  for _, name in ipairs(TRANSIENT) do item[name] = nil end
  for name, value in pairs(line) do item[name] = value end
  run.last = line.time
end

local function open_run(state, line)
  local run = { name = line.run, id = line.id, plan = line.plan, opened = line.time,
    component = line.component, hours = line.hours, workflow = line.workflow or "rotate",
    windows = line.windows, except = line.except, zone = line.zone,
    undo = line.undo, undo_id = line.undo_id,
    items = {}, order = {} }
  local last = state.runs[#state.runs]
  -- One that had not begun leaves no trace: nothing was sent.
  if last and not last.begun then state.runs[#state.runs] = nil end
  state.runs[#state.runs + 1] = run
end

--- The last run of a name, or of all names.
-- @tparam {table,...} runs
-- @tparam ?string name
-- @tparam[opt] table before only those that were opened before this one
-- @treturn ?table
function M.find(runs, name, before)
  local is_early = not before
  for i = #runs, 1, -1 do
    if is_early and (not name or runs[i].name == name) then return runs[i] end
    is_early = is_early or runs[i] == before
  end
end

-- What was planned from an earlier run is that one's no more, once this one has begun.
local function begin(run, _, state)
  run.begun = true
  for key, item in pairs(run.items) do
    local earlier = item.from and M.find(state.runs, item.from, run)
    if earlier and earlier.items[key] then earlier.items[key].moved_to = run.name end
  end
end

local marks = {
  begun = begin,
  finished = function(run, line) run.finished = line.time end,
  resumed = function(run) run.finished = nil end,
}

-- The run that a line is about.
local function run_of(state, line)
  if not line.of then return state.runs[#state.runs] end
  for i = #state.runs, 1, -1 do
    if state.runs[i].id == line.of then return state.runs[i] end
  end
end

local function note_line(state, line)
  local run = run_of(state, line)
  if line.what == "run" then
    open_run(state, line)
  elseif not run then
    return false
  elseif line.cluster then
    note_item(run, line)
    -- When a cluster was last rotated, whichever run did it.
    if line.what == "accepted" or line.what == "settled" then
      state.rotated[line.cluster] = line.time
    end
  elseif marks[line.what] then
    marks[line.what](run, line, state)
  end
  return true
end

-- What is looked up, compared or put into paths is text, if it is there at all.
local TEXTS = { "run", "id", "plan", "of", "from", "cluster", "principal", "component", "workflow",
  "name", "message", "windows", "except", "zone", "undo", "undo_id", "kind", "who" }

-- What is counted with, or shown as a time.
local MOMENTS = { "time", "sent", "first", "worked_until" }

local LAST_MOMENT = 253402300799 -- of the year 9999

local function is_moment(value)
  return type(value) == "number" and value >= 0 and value <= LAST_MOMENT
end

-- A line as we write them: no tables and no null, which no reader of it expects.
local function decode(text)
  local line = core.json.decode(text)
  if type(line) ~= "table" or type(line.what) ~= "string" or not line.time then return nil end
  for _, value in pairs(line) do
    if type(value) == "table" or type(value) == "userdata" then return nil end
  end
  for _, name in ipairs(TEXTS) do
    if line[name] ~= nil and type(line[name]) ~= "string" then return nil end
  end
  for _, name in ipairs(MOMENTS) do
    if line[name] ~= nil and not is_moment(line[name]) then return nil end
  end
  return line
end

local function unreadable(path, number, why)
  return errors.fail("FILE_ERROR", ("line %d of the journal '%s' %s"):format(number, path, why), {
    hint = "Look at the file; if it is not the journal of a run, give another path",
  })
end

local function read_lines(path, file, state)
  local number = 0
  -- All but a last line that was torn.
  for text in (file:read "*a" or ""):gmatch "([^\n]*)\n" do
    number = number + 1
    local line = decode(text)
    if not line then return unreadable(path, number, "cannot be read") end
    if not note_line(state, line) then return unreadable(path, number, "belongs to no run") end
  end
  -- What has no whole line was not begun by us.
  if number == 0 and file:seek "end" ~= 0 then return unreadable(path, 1, "has no end") end
  return true
end

--- Read a journal without locking it.
-- @tparam string path
-- @treturn[1] table `{runs=, rotated=}`; empty when there is no such file
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.read(path)
  local state = { runs = {}, rotated = {} }
  if core.file.stat(path) == false then return state end
  -- A FIFO would be waited for.
  local ok, message, err = errors.from_core(core.file.check(path))
  if not ok then return nil, message, err end
  local file, reason = io.open(path, "rb")
  if not file then return errors.fail("FILE_ERROR", reason) end
  ok, message, err = read_lines(path, file, state)
  file:close()
  if not ok then return nil, message, err end
  local last = state.runs[#state.runs]
  if last and not last.begun then state.runs[#state.runs] = nil end
  return state
end

-- ---- writing ---------------------------------------------------------------

-- What a run is found by, and its undo file: written before any intent, so it needs no room.
local WHOLE = { run = true, from = true, undo = true }

local function cut(name, value)
  if type(value) ~= "string" or #value <= LONGEST_TEXT or WHOLE[name] then return value end
  return value:sub(1, LONGEST_TEXT):gsub("[\128-\191]*$", ""):gsub("[\192-\255]$", "") .. "…"
end

local function failed(message, code, hint)
  return errors.fail(code, message, {
    retryable = code == "CONFLICT", maybe_applied = false,
    hint = code == "CONFLICT" and "Another run holds this journal: wait for its end" or hint,
  })
end

local LOST = "Put the journal back as it was, then make the same call again: without its lines"
  .. " nobody knows what was done"

local function append(journal, what, fields, sync, room)
  local writer = journal.writer
  if not writer then return true end
  local now = journal.clock()
  local line = { at = times.format(now), time = now, what = what }
  for name, value in pairs(fields or {}) do line[name] = cut(name, value) end
  local ok, message, code = writer:append { line = json_line.encode(line, ORDER), sync = sync,
    room = room }
  if ok then return true end
  journal.broken = message
  return failed(message, code, writer.file and writer.file:lost() and LOST or nil)
end

--- Append a line.
-- @tparam string what
-- @tparam[opt] table fields strings, numbers and booleans
-- @tparam[opt=true] boolean sync have it on disk before this returns
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @function journal:write
function Journal:write(what, fields, sync)
  return append(self, what, fields, sync)
end

--- Say that a request is about to leave. There is room for what follows from it
-- before the line is written: a full disk stops the request, not the outcome.
-- @tparam table fields
-- @tparam int in_flight how many requests may be under way at once
-- @function journal:intend
function Journal:intend(fields, in_flight)
  return append(self, "intent", fields, true, (in_flight + 1) * LINES_AFTER * LINE)
end

--- Let others have the file.
-- @function journal:close
function Journal:close()
  if self.writer then self.writer:close() end
  self.writer = nil
end

local function wrap(writer, state, clock)
  return setmetatable({ writer = writer, clock = clock, runs = state.runs,
    rotated = state.rotated }, Journal)
end

local KIND = "run journal"

-- Several intents at once: each has asked for the room of all.
local function compose(items, is_first)
  local lines, room = {}, nil
  for i, item in ipairs(items) do
    lines[i] = item.line
    if item.room then room = math.max(room or 0, item.room) end
  end
  if is_first then lines[1] = ('{"file":"lua-cce %s",'):format(KIND) .. lines[1]:sub(2) end
  return lines, room
end

--- Open a journal, which locks it, and read it.
-- @tparam ?string path nil: none is kept
-- @tparam function clock
-- @treturn[1] table with `runs` and `rotated`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.open(path, clock)
  if not path then return wrap(nil, { runs = {}, rotated = {} }, clock) end
  local writer
  writer = writers.new {
    kind = KIND,
    path = function(number) return number == 1 and path or nil end,
    compose = function(items) return compose(items, writer:is_empty()) end,
  }
  local ok, reason, code = writer:open()
  if not ok then return failed(reason, code) end
  local state, message, err = M.read(path)
  if state then return wrap(writer, state, clock) end
  writer:close()
  return nil, message, err
end

--- Look at a journal and write nothing.
-- @treturn[1] table as that of `open`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.look(path, clock)
  local state, message, err = M.read(path or "")
  if not state then return nil, message, err end
  return wrap(nil, state, clock)
end

return M
