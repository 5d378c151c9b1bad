--- Files that a command replaces: those of its own kind, and empty ones. All others may be
-- the only copy of something.
-- @module cce.cli.output.own_file
-- @local
local core = require "cce.core"
local errors = require "cce.error"

local M = {}

--- Whether a file may be replaced: whether it can be is not asked.
-- @tparam string path
-- @tparam string what such as "report"
-- @tparam function is_own whether a text is of that kind
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.check(path, what, is_own)
  local info, message, code = core.file.stat(path)
  if info == nil then return errors.from_core(nil, message, code) end
  local text = ""
  if info then text, message, code = core.file.read(path) end
  if not text then return errors.from_core(nil, message, code) end
  if text ~= "" and not is_own(text) then
    return errors.fail("FILE_ERROR", ("'%s' is not replaced: it is no %s"):format(path, what), {
      retryable = false, hint = "Give another path, or remove the file" })
  end
  return true
end

return M
