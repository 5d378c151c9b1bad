--- A runner's lease: while it lasts, what the runner has claimed is its own.
--
-- A lease is opened when it is first needed and renewed beside the work. Once
-- lost it stays lost: what was begun under it sends nothing more, and what comes
-- after gets another one, under another name.
-- @module cce.schedule.runner.lease
-- @local
local json_line = require "cce.base.json_line"

local M = {}

local Lease = {}
Lease.__index = Lease

--- Seconds before the lease's end at which a request must have ended. They cover
-- what is between the measuring of what is left and the end of the transfer.
M.MARGIN = 2

-- How long the renewal may take to notice that there is nothing more to renew.
local SLICE = 0.02

--- Make one. Nothing is opened yet.
-- @tparam table run of `cce.schedule.runner`
-- @tparam string name of the runner
-- @tparam number seconds how long it lasts unless it is renewed
-- @treturn table
function M.new(run, name, seconds)
  return setmetatable({ run = run, name = name, seconds = seconds }, Lease)
end

local function renew(self, session)
  local ok, message, err = session:renew()
  if ok then return self.seconds / 3 end
  if err.code == "LEASE_LOST" or session:left() <= 0 then
    self:lose(session)
  else
    self.run:store_failed(message, err)
  end
  return math.min(1, self.seconds / 15)
end

--- The session to claim under.
-- @treturn[1] table of the store
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function Lease:get()
  local session = self.session
  -- Many workers on a slow disk leave `keep` no turn in time.
  if session and session:left() < self.seconds / 2 and not self.is_renewing then
    self.is_renewing = true
    renew(self, session)
    self.is_renewing = false
  end
  if session and not session.lost and session:left() > M.MARGIN then return session end
  if session then self:lose(session) end
  -- A name of its own: what was claimed under an earlier one is a dead runner's.
  local opened, message, err = self.run.store:open_session(
    self.name .. "." .. json_line.new_id(), self.seconds)
  if not opened then return nil, message, err end
  -- Another task may have been faster; and while it is closed, that one may be lost.
  local faster = self.session
  if faster then
    opened:close()
    return faster
  end
  self.session = opened
  return opened
end

--- Nothing is done under this session any more.
-- @tparam table session
function Lease:lose(session)
  if session.lost then return end
  session.lost = true
  if self.session == session then self.session = nil end
  self.run:tell { type = "lease_lost", runner = session.runner }
end

--- Seconds that a request of this session may take.
-- @tparam table session
-- @treturn number not above 0: none
function M.left(session)
  if session.lost then return 0 end
  return session:left() - M.MARGIN
end

--- Renew what is open, until told to end.
-- @tparam function is_over
function Lease:keep(is_over)
  local run, next_time = self.run, nil
  while not is_over() do
    local session, now = self.session, run.steady()
    if not session then
      next_time = nil
    elseif not next_time then
      next_time = now + self.seconds / 3
    elseif now >= next_time then
      next_time = run.steady() + renew(self, session)
    end
    run.sleep(SLICE)
  end
end

--- Give it back, so that others need not wait for its end.
function Lease:close()
  local session = self.session
  if session then session:close() end
  self.session = nil
end

return M
