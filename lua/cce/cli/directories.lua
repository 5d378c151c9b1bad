--- Where the command keeps its own files, as the XDG base directories say.
-- @module cce.cli.directories
-- @local
local core = require "cce.core"
local errors = require "cce.error"

local M = {}

local function base(variable, below_home)
  local value = os.getenv(variable)
  if value and value:sub(1, 1) == "/" then return value end
  return (os.getenv "HOME" or ".") .. below_home
end

--- What must be kept: journals.
-- @treturn string
function M.state()
  return base("XDG_STATE_HOME", "/.local/state") .. "/cce"
end

--- What may be lost: answers that were just had.
-- @treturn string
function M.cache()
  return base("XDG_CACHE_HOME", "/.cache") .. "/cce"
end

--- Profiles.
-- @treturn string
function M.config()
  return base("XDG_CONFIG_HOME", "/.config") .. "/cce"
end

--- Make a directory and those above it.
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
  local ok, message, code = core.sys.mkdir(path)
  if not ok then return errors.from_core(nil, message, code) end
  return true
end

return M
