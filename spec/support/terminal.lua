--- A terminal of one's own for specs: tmux, with a server that nobody else uses.
--
--   local terminal = require("spec.support.terminal").open { columns = 100, env = { … } }
--   terminal:type "cce clusters"   terminal:key "Enter"   terminal:key "C-c"
--   terminal:wait_for "NAME"       -- plain text on the screen; raises when it does not come
--   terminal:screen()              -- all lines since the start, unwrapped
--   terminal:close()
local core = require "cce.core"
local tempdir = require "spec.support.tempdir"

local M = {}

local Terminal = {}
Terminal.__index = Terminal

local quote = tempdir.quote

local function output_of(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local text = pipe:read "*a"
  pipe:close()
  return text
end

function Terminal:tmux(arguments)
  return output_of(("env -u TMUX tmux -f /dev/null -S %s/tmux %s"):format(quote(self.dir), arguments))
end

local function start_script(self, options)
  local lines = { "export PS1='$ '" }
  for name, value in pairs(options.env or {}) do
    lines[#lines + 1] = ("export %s=%s"):format(name, quote(value))
  end
  lines[#lines + 1] = ("cd %s"):format(quote(options.cwd or self.dir))
  lines[#lines + 1] = "exec " .. (options.command or "sh -i")
  tempdir.write(self.dir .. "/start", table.concat(lines, "\n") .. "\n")
end

--- Open one. options: columns (100), rows (50), env, cwd, command (by default a shell whose
-- prompt is "$ ").
function M.open(options)
  local self = setmetatable({ dir = tempdir.new() }, Terminal)
  start_script(self, options)
  -- Without a limit of its own a long session would lose its beginning.
  self:tmux(("new-session -d -x %d -y %d 'sh %s/start' ';' set-option -g history-limit 10000")
    :format(options.columns or 100, options.rows or 50, self.dir))
  return self
end

function Terminal:type(text)
  self:tmux("send-keys -l -- " .. quote(text))
end

function Terminal:key(name)
  self:tmux("send-keys " .. name)
end

--- What was shown since the start; lines that the terminal folded are whole again.
function Terminal:screen()
  return (self:tmux("capture-pane -p -J -S -"):gsub("[ ]+\n", "\n"):gsub("\n+$", "\n"))
end

--- Wait until `check(screen)` is true, or until the screen has the text `check`.
function Terminal:wait_for(check, seconds)
  local deadline = core.sys.monotonic() + (seconds or 10)
  local screen
  repeat
    screen = self:screen()
    local found
    if type(check) == "string" then found = screen:find(check, 1, true) else found = check(screen) end
    if found then return screen end
    core.sys.sleep(0.02)
  until core.sys.monotonic() > deadline
  error(("not on the screen: %s\n%s"):format(tostring(check), screen), 2)
end

function Terminal:close()
  self:tmux "kill-server"
  tempdir.remove(self.dir)
end

return M
