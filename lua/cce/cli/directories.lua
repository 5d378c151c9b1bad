--- Where the command keeps its own files, as the XDG base directories say.
-- @module cce.cli.directories
-- @local
local directories = require "cce.base.directories"

local M = {}

local function base(variable, below_home)
  return directories.base(variable, below_home) or "." .. below_home
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

M.make = directories.make

return M
