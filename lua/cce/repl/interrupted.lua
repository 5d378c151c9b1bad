--- What a command of the prompt had sent, for when Ctrl-C stops it.
-- @module cce.repl.interrupted
-- @local
local core = require "cce.core"

local M = {}

local Ledger = {}
Ledger.__index = Ledger

--- Note an event of a client.
-- @tparam table event
function Ledger:note(event)
  local operation = event.type == "attempt" and core.operations[event.operation]
  if not operation or not operation.mutating then return end
  local counts = self.counts[event.operation]
  if not counts then
    counts = { done = 0, refused = 0 }
    self.counts[event.operation] = counts
    self.order[#self.order + 1] = event.operation
  end
  local word = event.code and "refused" or "done"
  counts[word] = counts[word] + 1
end

--- Begin anew.
function Ledger:clear()
  self.counts, self.order = {}, {}
end

--- What was done, in a sentence.
-- @treturn string
function Ledger:text()
  if #self.order == 0 then
    return "nothing that changes anything had been answered; what was under way may still be done"
  end
  local parts = {}
  for _, operation in ipairs(self.order) do
    local counts = self.counts[operation]
    parts[#parts + 1] = ("%s: %d done%s"):format(operation, counts.done,
      counts.refused > 0 and (", %d failed"):format(counts.refused) or "")
  end
  return table.concat(parts, "; ") .. "; what was under way may still be done"
end

--- Make one.
-- @treturn table
function M.new()
  local ledger = setmetatable({}, Ledger)
  ledger:clear()
  return ledger
end

return M
