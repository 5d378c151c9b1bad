--- What had been sent when Ctrl-C stops something, from the events of a client.
-- @module cce.log.outstanding
-- @local
local core = require "cce.core"

local M = {}

local Outstanding = {}
Outstanding.__index = Outstanding

-- So many clusters are named; the rest is a number.
local MOST_NAMES = 10

--- Note an event of a client.
-- @tparam table event
function Outstanding:note(event)
  self.journal = event.type:find "_planned$" and event.journal or self.journal
  local operation = event.type == "attempt" and core.operations[event.operation]
  if not operation or not operation.mutating then return end
  local counts = self.counts[event.operation]
  if not counts then
    counts = { done = 0, refused = 0, clusters = {} }
    self.counts[event.operation] = counts
    self.order[#self.order + 1] = event.operation
  end
  local word = event.code and "refused" or "done"
  counts[word] = counts[word] + 1
  if word == "done" then counts.clusters[counts.done] = event.cluster_id end
end

--- Begin anew.
function Outstanding:clear()
  self.counts, self.order, self.journal = {}, {}, nil
end

--- Whether anything was sent.
-- @treturn boolean
function Outstanding:is_empty()
  return #self.order == 0
end

local function named(clusters)
  if #clusters == 0 then return "" end
  local rest = #clusters - MOST_NAMES
  return (" (%s%s)"):format(table.concat(clusters, ", ", 1, math.min(#clusters, MOST_NAMES)),
    rest > 0 and (" and %d more"):format(rest) or "")
end

--- What was done, in a sentence, and where it is written down.
-- @treturn string
function Outstanding:text()
  local parts = {}
  for _, operation in ipairs(self.order) do
    local counts = self.counts[operation]
    parts[#parts + 1] = ("%s: %d done%s%s"):format(operation, counts.done, named(counts.clusters),
      counts.refused > 0 and (", %d failed"):format(counts.refused) or "")
  end
  local text = #parts > 0 and table.concat(parts, "; ")
    or "nothing that changes anything had been answered"
  text = text .. "; what was under way may still be done"
  if not self.journal then return text end
  return ("%s; the same call goes on by its journal, %s"):format(text, self.journal)
end

--- Make one.
-- @treturn table
function M.new()
  local outstanding = setmetatable({}, Outstanding)
  outstanding:clear()
  return outstanding
end

return M
