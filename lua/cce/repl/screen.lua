--- The terminal: where lines are printed, and a status line for what runs in the
-- background.
--
-- The status line is the last row. The rows above become the terminal's
-- scrolling region, so that nothing that readline or a command writes can touch
-- it, nor it them. Without a terminal, or with TERM=dumb, there is none.
-- @module cce.repl.screen
-- @local
local core = require "cce.core"
local width = require "cce.text.width"

local M = {}

local Screen = {}
Screen.__index = Screen

local SAVE, RESTORE, CLEAR_LINE = "\0277", "\0278", "\27[2K"
local RED, DIM, BOLD, PLAIN = "\27[31m", "\27[2m", "\27[1m", "\27[0m"

-- Fewer rows are too few to give one away.
local LEAST_ROWS = 4

local function write(text)
  io.stdout:write(text)
  io.stdout:flush()
end

--- Print a line.
-- @tparam string text
function Screen:print(text)
  io.stdout:write(text, "\n")
  io.stdout:flush()
end

--- Print what went wrong, with what to do about it.
-- @tparam string message
-- @tparam[opt] string hint
function Screen:problem(message, hint)
  local limit = self.has_status and self:width() or nil
  self:print(self:paint(RED, width.fold(message, limit)))
  if hint then self:print(self:paint(DIM, width.fold("  hint: " .. hint, limit))) end
end

--- A text in a colour, where there are colours.
function Screen:paint(colour, text)
  return self.colour and colour .. text .. PLAIN or text
end

--- A text that stands out.
function Screen:bold(text)
  return self:paint(BOLD, text)
end

--- The columns that may be used.
-- @treturn int
function Screen:width()
  return (core.sys.terminal_size(1) or 80) - 1
end

-- One row up first, by a scroll if need be: the row that is given away may be
-- the one with the cursor.
local function reserve(self, rows)
  if self.rows and self.rows < rows then
    write(("%s\27[%d;1H%s%s"):format(SAVE, self.rows, CLEAR_LINE, RESTORE))
  end
  write(("\27D\27[A%s\27[1;%dr%s"):format(SAVE, rows - 1, RESTORE))
  self.rows = rows
end

--- Show a text in the status line.
-- @tparam string text one line
function Screen:status(text)
  if not self.has_status then return end
  local columns, rows = core.sys.terminal_size(1)
  if not columns or rows < LEAST_ROWS then return end
  local is_new = self.rows ~= rows
  if is_new then reserve(self, rows) end
  if text == self.shown and not is_new and core.sys.monotonic() < self.redraw_at then return end
  -- Ctrl-L clears it with the rest.
  self.shown, self.redraw_at = text, core.sys.monotonic() + 1
  write(("%s\27[%d;1H%s%s%s%s"):format(SAVE, rows, CLEAR_LINE, width.cut(text, columns - 1), PLAIN,
    RESTORE))
end

--- Give the last row back.
function Screen:end_status()
  if not self.rows then return end
  write(("%s\27[r\27[%d;1H%s%s"):format(SAVE, self.rows, CLEAR_LINE, RESTORE))
  self.rows, self.shown = nil, nil
end

--- Make one of standard output.
-- @tparam boolean colour
-- @treturn table
function M.new(colour)
  local is_terminal = core.sys.is_terminal(1) and os.getenv "TERM" ~= "dumb"
  return setmetatable({ colour = colour and is_terminal, has_status = is_terminal,
    redraw_at = 0 }, Screen)
end

return M
