--- Where files of a person, and the command's own, are kept, as the XDG base
-- directories say.
-- @module cce.base.directories
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local values = require "cce.base.values"

local env = values.env

local M = {}

--- A base directory, whether or not it exists.
-- @tparam string variable such as "XDG_CACHE_HOME"; a relative path there is to
--   be ignored
-- @tparam string below_home such as "/.cache"
-- @treturn ?string nil when neither the variable nor HOME says
function M.base(variable, below_home)
  local value = env(variable)
  if value and value:sub(1, 1) == "/" then return value end
  local home = env "HOME"
  return home and home .. below_home
end

-- Without a home the command works in the current directory.
local function own(variable, below_home)
  return (M.base(variable, below_home) or "." .. below_home) .. "/cce"
end

--- A path that means the same wherever a process is started. No link in it is followed: what
-- one leads to may change.
-- @tparam string path
-- @treturn string
function M.absolute(path)
  if path:sub(1, 1) == "/" then return path end
  return (core.sys.realpath "." or ".") .. "/" .. path
end

--- What the command must keep: journals.
-- @treturn string
function M.state()
  return own("XDG_STATE_HOME", "/.local/state")
end

--- What it may lose: answers that were just had.
-- @treturn string
function M.cache()
  return own("XDG_CACHE_HOME", "/.cache")
end

--- Profiles.
-- @treturn string
function M.config()
  return own("XDG_CONFIG_HOME", "/.config")
end

--- What lies there for a moment.
-- @treturn string
function M.temporary()
  return env "TMPDIR" or "/tmp"
end

--- What lies in a directory. None that is not there: then there is nothing in it.
-- @tparam string directory
-- @tparam string pattern of the names, as `core.file.glob` takes it, such as "*.journal"
-- @treturn[1] {string,...} paths
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.list(directory, pattern)
  if core.file.stat(directory) == false then return {} end
  return errors.from_core(core.file.glob(values.pattern_of(directory) .. "/" .. pattern))
end

--- Make a directory and those above it, each for its owner alone.
-- @tparam string path
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.make(path)
  for slash in path:gmatch "()/" do
    local above = path:sub(1, slash - 1)
    if above ~= "" and not core.file.stat(above) then
      local ok, message, code = core.sys.mkdir(above)
      if not ok then return errors.from_core(nil, message, code) end
    end
  end
  return errors.from_core(core.sys.mkdir(path))
end

return M
