--- The runs that a journal holds, as `cce rotate` and `cce revoke` need them.
-- @module cce.cli.runs
-- @local
local core = require "cce.core"
local journals = require "cce.log.journal"
local times = require "cce.base.times"

local M = {}

--- The last run of a journal.
-- @tparam string path
-- @treturn[1] table|boolean false when there is none
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.last(path)
  local state, message, err = journals.read(path)
  if not state then return nil, message, err end
  return state.runs[#state.runs] or false
end

--- Whether a run was interrupted.
-- @tparam ?table|boolean run
-- @treturn boolean
function M.is_open(run)
  return run and not run.finished and not run.ended or false
end

--- A name for a run that is meant anew: two in one second are two runs.
-- @treturn string
function M.new_name()
  local now = core.sys.time()
  return (times.format(now):gsub("Z$", (".%03dZ"):format(math.floor(now % 1 * 1000))))
end

return M
