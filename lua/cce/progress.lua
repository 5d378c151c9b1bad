--- Progress of many things: a bar on a terminal, a line now and then elsewhere.
--
-- On a terminal one line is redrawn in place. It is never wider than the
-- terminal: what does not fit is left out, the counts last. Elsewhere (a pipe,
-- a log) whole lines are written, so that nothing is garbled. Colour only on a
-- terminal, and not when NO_COLOR is set.
--
-- @module cce.progress
local core = require "cce.core"
local options = require "cce.base.options"
local protect = require "cce.host.protect"
local width = require "cce.text.width"

local M = {}

local DEFAULT_WIDTH = 80
local LEAST_BAR, MOST_BAR = 8, 40

-- Seconds between two drawings.
local TERMINAL_INTERVAL, LINE_INTERVAL = 0.1, 10

local CLEAR_REST, RED, GREEN, PLAIN = "\27[K", "\27[31m", "\27[32m", "\27[0m"

local methods = {}
local meta = { __name = "cce.progress", __index = methods }

---- The world: terminal and clock ----

local sys = core.sys or {}

local function descriptor(stream)
  if stream == io.stderr then return 2 end
  return stream == io.stdout and 1 or nil
end

---- Text ----

local function duration_text(seconds)
  seconds = math.floor(seconds + 0.5)
  if seconds >= 3600 then
    return ("%d:%02d:%02d"):format(math.floor(seconds / 3600), math.floor(seconds / 60) % 60,
      seconds % 60)
  end
  return ("%d:%02d"):format(math.floor(seconds / 60), seconds % 60)
end

---- The parts of a line ----

local function elapsed(self, now)
  return math.max(0, now - self.started)
end

-- Items a second since the beginning, or nil while it cannot be told.
local function rate_of(self, now)
  local seconds = elapsed(self, now)
  if seconds <= 0 then return nil end
  return math.max(0, self.done - self.first) / seconds
end

local function counts_text(self)
  if not self.total then return ("%.0f"):format(self.done) end
  return ("%.0f/%d"):format(self.done, self.total)
end

local function time_text(self, now)
  if self.finished then return "in " .. duration_text(elapsed(self, now)) end
  local rate = rate_of(self, now)
  if not self.total or not rate or rate <= 0 then return nil end
  return "ETA " .. duration_text((self.total - self.done) / rate)
end

local function parts_of(self, now)
  local parts = { label = self.label, counts = counts_text(self), time = time_text(self, now) }
  if self.total then
    local percent = self.total > 0 and self.done / self.total * 100 or 100
    parts.percent = ("%3d%%"):format(math.floor(percent))
  end
  local rate = rate_of(self, now)
  if rate then
    local by_second = rate >= 1 or rate == 0
    parts.rate = by_second and ("%.1f/s"):format(rate) or ("%.1f/min"):format(rate * 60)
  end
  if self.failed > 0 then parts.failed = ("%.0f failed"):format(self.failed) end
  return parts
end

-- How they are shown, and which are dropped first when there is no room.
local ORDER = { "label", "bar", "counts", "percent", "rate", "time", "failed" }
local LEAST_WANTED = { "rate", "percent", "time", "label", "failed" }

local function join(parts)
  local list = {}
  for _, name in ipairs(ORDER) do list[#list + 1] = parts[name] end
  return table.concat(list, "  ")
end

local function make_fit(parts, columns)
  for _, name in ipairs(LEAST_WANTED) do
    if width.of(join(parts)) <= columns then return end
    parts[name] = nil
  end
  parts.counts = width.cut(parts.counts, columns)
end

---- Drawing ----

-- A stream that cannot be written to is no reason to stop the work.
local function write(self, text)
  protect.catch(self.stream.write, self.stream, text)
  if self.stream.flush then protect.catch(self.stream.flush, self.stream) end
end

-- What a shorter line leaves of the longer one before it.
local function erase_rest(self, columns)
  local left = math.max(0, self.drawn - columns)
  self.drawn = columns
  return self.dumb and (" "):rep(left) or CLEAR_REST
end

local function draw(self, now)
  self.next_drawing = now + self.interval
  if not self.is_terminal then return write(self, join(parts_of(self, now)) .. "\n") end
  -- One column less than there are: some terminals begin a new line when the last one is
  -- written.
  local fd = not self.width and descriptor(self.stream)
  local found = fd and sys.terminal_size and sys.terminal_size(fd)
  local columns = self.width or (found or DEFAULT_WIDTH) - 1
  local parts = parts_of(self, now)
  make_fit(parts, columns)
  -- The bar takes what is left, if that is enough for one.
  local room = math.min(columns - width.of(join(parts)) - 2, MOST_BAR)
  if self.total and room >= LEAST_BAR then
    local share = self.total > 0 and math.min(1, self.done / self.total) or 1
    local filled = math.floor((room - 2) * share)
    parts.bar = "[" .. ("#"):rep(filled) .. ("."):rep(room - 2 - filled) .. "]"
  end
  -- Measured before the colours, which take no column.
  local used = width.of(join(parts))
  if self.color then
    if parts.bar then parts.bar = GREEN .. parts.bar .. PLAIN end
    if parts.failed then parts.failed = RED .. parts.failed .. PLAIN end
  end
  write(self, "\r" .. join(parts) .. erase_rest(self, used) .. (self.finished and "\n" or ""))
end

local schema = {
  total = { type = "integer", min = 0 },
  done = { type = "integer", min = 0, default = 0 },
  label = { type = "string" },
  stream = { type = { "userdata", "table" } },
  width = { type = "integer", min = 1, unit = "columns" },
  is_terminal = { type = "boolean" },
  color = { type = "boolean" },
  clock = { type = "callable" },
  interval = { type = "number", min = 0, unit = "seconds" },
}

--- Makes a progress display. It draws nothing before the first `update`.
-- @tparam[opt] table opts
-- @tparam[opt] number opts.total how many things there are; without it there
--   is no bar and no ETA
-- @tparam[opt=0] number opts.done how many were done before: they count in the
--   bar, but not in the rate
-- @tparam[opt] string opts.label what stands before it
-- @param[opt=io.stderr] opts.stream where to; anything with a method `write`
-- @tparam[opt] number opts.width columns to use; by default what the terminal
--   has, asked again before every drawing
-- @tparam[opt] boolean opts.is_terminal by default it is found out
-- @tparam[opt] boolean opts.color false: no colours; by default as said above
-- @tparam[opt] function opts.clock gives seconds that never go back
-- @tparam[opt] number opts.interval least seconds between two drawings: 0.1 on
--   a terminal, 10 elsewhere
-- @treturn cce.progress the display: `display:update(done, failed)`,
--   `display:finish()`; it can be given as `on_progress` itself, and is then
--   called as `display(done, total, failed)`
-- @return nil, message, err with the code `INVALID_ARGUMENT`
-- @usage
-- local progress = require "cce.progress"
-- local display = progress.new { total = 3, label = "rotating", stream = io.stdout }
-- for done = 1, 3 do display:update(done, 0) end
-- display:finish()
function M.new(opts)
  local self, message, err = options.check(opts, schema)
  if not self then return nil, message, err end
  self.stream = self.stream or io.stderr
  if self.is_terminal == nil then
    local fd = descriptor(self.stream)
    self.is_terminal = fd ~= nil and sys.is_terminal ~= nil and sys.is_terminal(fd) == true
  end
  self.interval = self.interval or (self.is_terminal and TERMINAL_INTERVAL or LINE_INTERVAL)
  self.clock = self.clock or sys.monotonic or os.time
  self.label = self.label and width.clean_line(self.label)
  self.dumb = os.getenv("TERM") == "dumb"
  self.color = self.color ~= false and self.is_terminal and not self.dumb
    and (os.getenv("NO_COLOR") or "") == ""
  self.first, self.failed, self.drawn = self.done, 0, 0
  self.started = self.clock()
  -- A bar shows at once; the first line of a log only when it takes long.
  self.next_drawing = self.is_terminal and self.started or self.started + self.interval
  return setmetatable(self, meta)
end

--- Takes the new counts, and draws when it is time.
-- @tparam number done how many have ended, failed ones too
-- @tparam[opt=0] number failed how many of them failed
-- @usage
-- local bar = cce.progress { total = 10 }
-- bar:update(4, 1) -- four have ended, one of them failed
-- @function progress:update
function methods.update(self, done, failed)
  options.argument(done, "number", 1, "update")
  options.argument(failed, { "number", "nil" }, 2, "update")
  if self.finished then return end
  self.done, self.failed = done, failed or self.failed
  local now = self.clock()
  if now >= self.next_drawing then draw(self, now) end
end

--- Takes the bar away, so that something else can be written where it was; the
-- next update draws it again. Does nothing where there is no terminal.
-- @function progress:clear
function methods.clear(self)
  if not self.is_terminal or self.drawn == 0 or self.finished then return end
  write(self, "\r" .. erase_rest(self, 0) .. "\r")
  self.next_drawing = self.clock()
end

--- Draws the end: all counts and how long it took; nothing when nothing was done. Later
-- updates do nothing.
-- @usage
-- local bar = cce.progress { total = 1 }
-- bar:update(1)
-- bar:finish()
-- @function progress:finish
function methods.finish(self)
  if self.finished then return end
  local idle = self.done == self.first and self.total ~= self.first
  if idle then self:clear() end
  self.finished = true
  if not idle then draw(self, self.clock()) end
end

-- Returns nothing: a false would cancel the work that reports here.
function meta.__call(self, done, total, failed)
  if total then self.total = total end
  self:update(done, failed)
end

function meta.__tostring(self)
  return ("cce.progress: %s"):format(counts_text(self))
end

return M
