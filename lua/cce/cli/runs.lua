--- The runs that a journal holds, as `cce rotate` and `cce revoke` need them.
-- @module cce.cli.runs
-- @local
local core = require "cce.core"
local directories = require "cce.base.directories"
local journals = require "cce.log.journal"
local outcome = require "cce.workflow.outcome"
local times = require "cce.base.times"
local workflow_runs = require "cce.workflow.runs"

local M = {}

--- The journals of this machine's user: those of the command and of its runner.
-- @treturn[1] {string,...} paths
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.journals()
  local found = {}
  for _, directory in ipairs { directories.state(), directories.state() .. "/schedule" } do
    local paths, message, err = directories.list(directory, "*.journal")
    if not paths then return nil, message, err end
    for _, path in ipairs(paths) do found[#found + 1] = path end
  end
  return found
end

--- A run of a journal.
-- @tparam string path
-- @tparam[opt] string name by default the last one
-- @treturn[1] table|boolean false when there is none
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.find(path, name)
  local state, message, err = journals.read(path)
  if not state then return nil, message, err end
  return journals.find(state.runs, name) or false
end

--- Whether something of a run is open.
-- @tparam ?table|boolean run
-- @tparam[opt] table opts of the call
-- @treturn boolean
function M.is_open(run, opts)
  return run and outcome.is_open(run, opts) or false
end

--- How many items of a run are in each state.
-- @tparam table run
-- @treturn table by state of `cce.workflow.outcome`
function M.counts(run)
  return workflow_runs.describe(run).counts
end

--- A name for a run that is meant anew: two in one second are two runs.
-- @treturn string
function M.new_name()
  local now = core.sys.time()
  return (times.format(now):gsub("Z$", (".%03dZ"):format(math.floor(now % 1 * 1000))))
end

return M
