--- What a runner is to do next: what is due, in pages, and what dead runners left.
--
-- Workers take from it until it is empty. Nothing is looked at twice in one round,
-- so that one row that cannot be dealt with does not hold up the rest.
-- @module cce.schedule.runner.feed
-- @local
local M = {}

local Feed = {}
Feed.__index = Feed

local HELD_PAGE = 100

--- Make one.
-- @tparam table run of `cce.schedule.runner`
-- @tparam int page how many rows are kept in memory
-- @treturn table
function M.new(run, page)
  return setmetatable({ run = run, page = page, rows = {}, first = 1, active = {} }, Feed)
end

local function is_alive(self, runner, known)
  if known[runner] == nil then
    local alive, message, err = self.run.store:alive(runner)
    if alive == nil then return nil, message, err end
    known[runner] = alive
  end
  return known[runner]
end

-- Add what is held by no runner, or by one that is gone.
local function look_for_orphans(self)
  local known, after = {}, nil
  local session = self.run.lease.session
  if session then known[session.runner] = true end
  repeat
    local rows, message, err = self.run.store:held(after, HELD_PAGE)
    if not rows then return nil, message, err end
    for _, row in ipairs(rows) do
      local alive = false
      if row.runner then
        alive, message, err = is_alive(self, row.runner, known)
        if alive == nil then return nil, message, err end
      end
      if not alive then self.rows[#self.rows + 1] = row end
    end
    after = #rows == HELD_PAGE and rows[#rows].id
  until not after
  return true
end

--- Begin a round: from the earliest on, and with what dead runners left.
-- @tparam[opt] number till what is due later is left for another round
function Feed:rewind(till)
  self.cursor, self.till, self.is_at_end, self.orphans_seen = nil, till, false, false
  self.rows, self.first = {}, 1
end

local function fill(self)
  self.rows, self.first = {}, 1
  if not self.orphans_seen then
    local ok, message, err = look_for_orphans(self)
    if not ok then return nil, message, err end
    self.orphans_seen = true
  end
  local now = self.till or self.run.clock()
  local rows, message, err = self.run.store:due(now, self.page, self.cursor)
  if not rows then return nil, message, err end
  for _, row in ipairs(rows) do self.rows[#self.rows + 1] = row end
  self.cursor = #rows == self.page and rows[#rows] or nil
  self.is_at_end = self.cursor == nil
  return true
end

--- Load the next page, unless there is something left of the last.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function Feed:load()
  if self.is_loading or self.is_at_end or not self:is_empty() then return true end
  self.is_loading = true
  local ok, message, err = fill(self)
  self.is_loading = false
  if not ok then return nil, message, err end
  return true
end

--- Whether nothing is in memory.
-- @treturn boolean
function Feed:is_empty()
  return self.rows[self.first] == nil
end

--- How many rows are in memory.
-- @treturn int
function Feed:count()
  return math.max(0, #self.rows - self.first + 1)
end

--- Take the next row that no worker of this run has in hand.
-- @treturn ?table
function Feed:take()
  while true do
    local row = self.rows[self.first]
    if not row then return nil end
    self.rows[self.first] = false
    self.first = self.first + 1
    if not self.active[row.id] then return row end
  end
end

--- Forget what is in memory: nothing of it was claimed.
function Feed:drop()
  self.rows, self.first, self.is_at_end = {}, 1, true
end

return M
