--- When the clusters of a run may be begun: its maintenance windows.
--
-- They are part of the journal, so that whoever goes on with a run keeps to them, and are no part
-- of the plan: they may be others each time.
-- @module cce.workflow.rotate.windows
-- @local
local rotate_options = require "cce.workflow.rotate.options"
local show = require "cce.text.show"
local windows = require "cce.base.windows"

local M = {}

--- Choose those of the call, else those that the run was begun with.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.choose(run)
  local opts, known = run.opts, run.known or {}
  if opts.windows == false then return true end
  local texts, except = opts.windows or known.windows, opts.except or known.except
  if not texts and not except then return true end
  local open, why = windows.read(texts, except, opts.zone or known.zone)
  local problem = open and open:problem()
  if problem then open, why = nil, problem end
  -- A run that was begun is followed to its end.
  if open and not run.known and not open:opens(run.clock()) then
    open, why = nil, "they never open"
  end
  if not open then return rotate_options.refuse("the windows are not right: " .. why) end
  run.open = open
  return true
end

--- Whether a cluster may be begun now. If not, the run stops.
-- @treturn[1] boolean true
-- @treturn[2] boolean false
-- @treturn[2] string why not
function M.are_open(run)
  if not run.open then return true end
  local now = run.clock()
  local opens = run.open:opens(now)
  if opens == now then return true end
  local why = ("nothing is begun outside of its windows, %s: %s"):format(run.open.text,
    opens and "the same call goes on at " .. show.time(opens) or "they never open again")
  run:stop(why)
  return false, why
end

--- Put them into the report, and when they open where they are closed.
-- @treturn string when that is, for people
function M.note(run)
  local now = run.clock()
  local opens = run.open:opens(now)
  run.report.windows, run.report.next_window = run.open.text, opens ~= now and opens or nil
  if opens == now then return "that is now" end
  return opens and "the next window opens at " .. show.time(opens) or "they never open again"
end

return M
