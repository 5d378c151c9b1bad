--- What the processes of one user on one machine share: small tables in files of
-- `$XDG_STATE_HOME/cce`, else `~/.local/state/cce`.
--
-- The command and the workflows turn it on; plain calls of the library write no file
-- of their own accord. Where a file cannot be read or written, each process goes by
-- what it knows itself, and no error is raised. Not in nginx, where no worker may wait
-- for a disk.
-- @module cce.base.user_state
-- @local
local core = require "cce.core"
local directories = require "cce.base.directories"

local M = {}

local LOCK_SECONDS = 1
local MAX_BYTES = 256 * 1024

local directory

--- Share from now on.
function M.enable()
  local ngx = rawget(_G, "ngx")
  local base = directories.base("XDG_STATE_HOME", "/.local/state")
  if base and not (type(ngx) == "table" and ngx.get_phase) then directory = base .. "/cce" end
end

--- Share nothing.
function M.disable()
  directory = nil
end

--- A table as another process left it; an empty one when there is none.
-- @tparam string name
-- @treturn table
function M.read(name)
  local text = directory and core.file.read(directory .. "/" .. name .. ".json",
    { max = MAX_BYTES })
  local entries = text and core.json.decode(text)
  return type(entries) == "table" and entries or {}
end

--- Hold off the other processes of this user until the lock is closed.
-- @tparam string name
-- @tparam number seconds to wait for it at most
-- @treturn ?userdata nil when somebody else holds it for so long; false when nothing is shared
function M.lock(name, seconds)
  if not directory or not directories.make(directory) then return false end
  local lock, _, code = core.file.lock(("%s/%s.lock"):format(directory, name),
    { timeout = seconds })
  if lock or code == "TIMEOUT" then return lock end
  return false
end

--- Change a table while no other process does.
-- @tparam string name
-- @tparam function change called with the table, which it changes, and the unix time
-- @treturn boolean whether it was called
function M.update(name, change)
  local lock = M.lock(name .. ".json", LOCK_SECONDS)
  if not lock then return false end
  local path = directory .. "/" .. name .. ".json"
  local entries = M.read(name)
  local ok, problem = pcall(change, entries, core.sys.time())
  if ok then core.file.write(path, next(entries) and core.json.encode(entries) or "{}") end
  lock:close()
  if not ok then error(problem, 0) end
  return true
end

return M
