--- A terminal of tmux in which a spec types, at a width of its choice.
--
--   local terminal = require("spec.support.terminal").new(world, 80)
--   terminal:start "cce rotate --all"
--   terminal:wait "Type ROTATE"           -- the screen, once this text is on it
--   terminal:type "ROTATE"                -- and Enter
--   terminal:key "C-c"
--   local screen, code = terminal:finish()
--   terminal:close()
local core = require "cce.core"
local tempdir = dofile "spec/support/tempdir.lua"

local M = {}

local Terminal = {}
Terminal.__index = Terminal

local PATIENCE_SECONDS = 120
local count = 0

local function tmux(self, words)
  return tempdir.shell(("tmux -f /dev/null -S %s %s"):format(tempdir.quote(self.socket), words))
end

--- Starts a shell in a terminal, in the environment of a world of `spec.support.command`, or
-- of `{ dir=, env=, cwd= }`.
function M.new(world, columns, lines)
  count = count + 1
  -- Without a path, tmux would leave it in /tmp.
  local self = setmetatable({ socket = world.dir .. "/tmux" .. count }, Terminal)
  local script = { "PS1='$ '" }
  for name, value in pairs(world.env) do
    script[#script + 1] = ("export %s=%s"):format(name, tempdir.quote(value))
  end
  tempdir.write(world.dir .. "/profile", table.concat(script, "\n") .. "\n")
  local place = world.cwd and "-c " .. tempdir.quote(world.cwd) or ""
  -- Nothing of the environment of the specs reaches the shell.
  local shell = "env -i TERM=$TERM LC_ALL=C.UTF-8 ENV=" .. world.dir .. "/profile sh -i"
  tmux(self, ("new-session -d -x %d -y %d %s '%s'"):format(columns, lines or 50, place, shell))
  self:wait "%$ $"
  return self
end

--- Types a text, without Enter.
function Terminal:insert(text)
  tmux(self, "send-keys -l " .. tempdir.quote(text))
end

--- Types a line.
function Terminal:type(text)
  self:insert(text)
  self:key "Enter"
end

--- Types a command on a clean screen, and tells `finished` from what was there before.
function Terminal:start(text)
  self.commands = (self.commands or 0) + 1
  self:type(("clear; %s; echo end%d=$?"):format(text, self.commands))
end

--- Waits until the command that was started has ended.
-- @treturn string the screen
-- @treturn number its exit code
function Terminal:finish()
  local screen = self:wait(("end%d=%%d+"):format(self.commands))
  return screen, tonumber(screen:match(("end%d=(%%d+)"):format(self.commands)))
end

--- Whether it has.
function Terminal:finished()
  return self:screen():find(("end%d=%%d+"):format(self.commands)) ~= nil
end

function Terminal:key(name)
  tmux(self, "send-keys " .. name)
end

--- What is on the screen, without empty lines at its end.
function Terminal:screen()
  return (tmux(self, "capture-pane -p"):gsub("%s+$", "")) .. " "
end

--- All that was shown since the start; lines that the terminal folded are whole again.
function Terminal:history()
  return (tmux(self, "capture-pane -p -J -S -"):gsub("[ ]+\n", "\n"):gsub("%s+$", "")) .. "\n"
end

--- Waits until a pattern is on the screen.
function Terminal:wait(pattern)
  local deadline = core.sys.monotonic() + PATIENCE_SECONDS
  local screen
  repeat
    screen = self:screen()
    if screen:find(pattern) then return screen end
    core.sys.sleep(0.05)
  until core.sys.monotonic() > deadline
  error(("'%s' never came; on the screen is:\n%s"):format(pattern, screen), 2)
end

function Terminal:close()
  tmux(self, "kill-server")
end

return M
