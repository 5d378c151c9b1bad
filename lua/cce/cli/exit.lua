--- How the `cce` command ends, for scripts.
-- @module cce.cli.exit
-- @local
local M = {
  DONE = 0, FAILED = 1, UNCERTAIN = 2, FINISHED_BEFORE = 3, OVERDUE = 4, USAGE = 64,
  INTERRUPTED = 130,
}

--- The codes and what they mean, in order.
M.meanings = {
  { M.DONE, "done" },
  { M.FAILED, "something failed for good" },
  { M.UNCERTAIN, "something is open: it may have been done, or is not done yet" },
  { M.FINISHED_BEFORE, "nothing was done, since nothing was left to do" },
  { M.OVERDUE, "something is overdue, was missed, or is in quarantine" },
  { M.USAGE, "wrong use" },
  { M.INTERRUPTED, "interrupted" },
}

--- All of them in a line.
-- @treturn string
function M.summary()
  local parts = {}
  for i, each in ipairs(M.meanings) do parts[i] = ("%d %s"):format(each[1], each[2]) end
  return table.concat(parts, "; ")
end

return M
