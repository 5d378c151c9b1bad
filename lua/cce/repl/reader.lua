--- Where typed lines come from: readline, or standard input as it is.
--
-- Both never wait: `feed` is called when `fd` can be read, and hands a whole
-- line to `on_line` once there is one, or nil at the end.
-- @module cce.repl.reader
-- @local
local core = require "cce.core"

local M = {}

local function put(text)
  io.stdout:write(text)
  io.stdout:flush()
end

-- ---- readline --------------------------------------------------------------

local Readline = {}
Readline.__index = Readline

-- The library's handler_remove closes its stream before readline is done with it:
-- it may be called only in the handler, where readline has restored the terminal
-- already. So a line that is given up is replaced by the next prompt, which costs
-- a descriptor; and a prompt before which nothing was typed is only drawn again.
function Readline:begin(prompt, on_line)
  self.on_line = on_line
  if self.installed and self.pristine and prompt == self.prompt then return put(prompt) end
  if self.installed and self.library.sigcleanup then self.library.sigcleanup() end
  self.prompt, self.pristine, self.installed = prompt, true, true
  self.library.handler_install(prompt, function(line)
    self.library.handler_remove()
    self.installed = false
    self.on_line(line)
  end)
end

function Readline:feed()
  self.pristine = false
  self.library.read_char()
end

--- Take a prompt off the screen before which nothing was typed.
function Readline:erase()
  put "\r\27[K"
end

-- Only what broke off leaves a prompt behind.
function Readline:close()
  if self.installed then os.execute "stty sane" end
end

function Readline:remember(line)
  self.library.add_history(line)
end

local function new_readline(library, candidates)
  -- It must neither read nor write a file of its own.
  library.set_options { histfile = "", auto_add = false, keeplines = 0 }
  library.set_readline_name "cce"
  library.set_complete_function(function(line, from, to)
    library.set_completion_append_character ""
    -- A completer that fails must not unwind through readline. The library says one
    -- too many for where the word ends.
    local ok, list = pcall(candidates, line, from, to - 1)
    return ok and list or {}
  end)
  return setmetatable({ library = library, fd = 0, echo = "^C" }, Readline)
end

-- ---- without it --------------------------------------------------------------

local Plain = {}
Plain.__index = Plain

-- The terminal keeps the line: whether something stands there is not known, so
-- that it is never drawn over.
function Plain:begin(prompt, on_line)
  self.on_line = on_line
  if self.is_terminal then put(prompt) end
end

function Plain:feed()
  self.on_line(io.read "*l")
end

function Plain:close() end

function Plain:remember() end

local function new_plain(is_terminal)
  -- What is read ahead would be seen by no poll.
  io.stdin:setvbuf "no"
  return setmetatable({ fd = 0, is_terminal = is_terminal, echo = "" }, Plain)
end

--- Make one.
-- @tparam function candidates of a line, from and to: what Tab offers
-- @treturn table
-- @treturn ?string why lines cannot be edited, on a terminal
function M.new(candidates)
  local is_terminal = core.sys.is_terminal(0) and core.sys.is_terminal(1)
  if not is_terminal then return new_plain(false) end
  local ok, library = pcall(require, "readline")
  if ok then return new_readline(library, candidates) end
  return new_plain(true), "lines can be edited, and completed by Tab, with the Lua library"
    .. " readline; on Debian and Ubuntu install the package lua-readline"
end

return M
