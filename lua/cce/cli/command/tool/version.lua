--- `cce version`: which versions these are, for a report of a mistake.
-- @module cce.cli.command.tool.version
-- @local
local core = require "cce.core"

local M = { name = "version", summary = "Say which versions these are, libraries included." }

function M.describe() end

function M.run(_, ui)
  local value = {
    cce = require("cce")._VERSION, lua = rawget(_G, "jit") and _G.jit.version or _VERSION,
    libraries = core.libraries(),
  }
  return ui:show(value, ("cce %s\n%s\n%s"):format(value.cce, value.lua, value.libraries), value.cce)
end

return M
