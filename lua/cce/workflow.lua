--- What composes calls into jobs for a fleet. Each part is loaded when it is
-- first used: `cce.workflow.rotate`, …
--
-- Every one returns a `cce.report`, or `nil, message, err` when it could not
-- begin.
-- @module cce.workflow
local M = {}

local parts = {
  issue = "cce.workflow.issue",
  rotate = "cce.workflow.rotate",
  revoke = "cce.workflow.revoke",
  restore = "cce.workflow.restore",
  grant = "cce.schedule.grant",
  holders = "cce.workflow.holders",
}

return setmetatable(M, {
  __index = function(_, name)
    if not parts[name] then return nil end
    M[name] = require(parts[name])
    return M[name]
  end,
  __tostring = function()
    return "cce.workflow: issue, rotate, revoke, restore, grant and holders"
  end,
})
