--- Certificates that `cce credential` keeps between one kubectl and the next.
--
-- They lie in `$XDG_CACHE_HOME/cce/credentials/<cluster>/`, or under
-- `~/.cache`: a kubeconfig for each endpoint, project and principal, which only
-- its owner may read. Beside them, `revoked-<id>` and `rotated` note when the
-- cluster's were last dropped, so that what was under way then is not kept.
-- @module cce.exec.cache
-- @local
local identity = require "cce.api.identity"
local core = require "cce.core"
local directories = require "cce.base.directories"
local errors = require "cce.error"
local host = require "cce.host"
local json = require "cce.base.json"
local kubeconfigs = require "cce.kubeconfig"
local project = require "cce.api.project"
local protect = require "cce.host.protect"

local M = {}

local NOTE_BYTES = 4096

-- ---- where ---------------------------------------------------------------

--- Where the cache is, whether or not it exists.
-- @treturn ?string nil when neither XDG_CACHE_HOME nor HOME says
function M.directory()
  local directory = directories.base("XDG_CACHE_HOME", "/.cache")
  return directory and directory .. "/cce/credentials"
end

local function directory_of(cluster_id)
  local directory = M.directory()
  return directory and directory .. "/" .. cluster_id
end

-- Files in it are their owner's alone anyway; but who can write into the
-- directory can put others there.
local function check_private(directory)
  local info, message, code = core.file.stat(directory)
  if not info then return errors.from_core(nil, message or "it is gone", code or "FILE_ERROR") end
  if tonumber(info.mode, 8) % 64 == 0 then return true end
  return errors.fail("FILE_ERROR", ("'%s' is open to others (mode %s)"):format(directory,
    info.mode), { hint = "Mend it with: chmod 700 on it" })
end

-- ---- whose ---------------------------------------------------------------

-- An access key that has no end names its principal. Temporary keys are others
-- each time, and a token names no principal: for these STS or IAM is asked.
local function principal_of(client, auth)
  if auth.ak and not auth.expires_at then return "key " .. auth.ak end
  local caller, message, err = identity.of(client)
  if caller then return ("%s %s"):format(caller.kind, caller.id) end
  if auth.ak then return "key " .. auth.ak end
  return nil, message, err
end

--- Where what a client obtains for a cluster is kept: a file of its own for each
-- endpoint, project and principal. Makes the directories, for their owner alone.
-- @tparam cce.client client
-- @tparam string cluster_id checked by the caller
-- @treturn[1] string
-- @treturn[2] nil when there is no such place, or when it is not known who the
--   client is
-- @treturn[2] string message
-- @treturn[2] table err
function M.path(client, cluster_id)
  local directory = directory_of(cluster_id)
  if not directory then
    return errors.fail("FILE_ERROR", "neither XDG_CACHE_HOME nor HOME says where to keep it")
  end
  local ok, message, err = directories.make(directory)
  if ok then ok, message, err = check_private(M.directory()) end
  if ok then ok, message, err = check_private(directory) end
  if not ok then return nil, message, err end

  -- The name is a digest: it tells nothing, and is the same for the same three.
  local auth, principal
  auth, message, err = client.session:identify()
  if not auth then return nil, message, err end
  principal, message, err = principal_of(client, auth)
  if not principal then return nil, message, err end
  local config = client.config
  local place = project.known(client) or auth.project_id or "region " .. (config.region or "")
  local parts = { config.endpoints.cce, place, principal }
  return directory .. "/" .. core.sha256(table.concat(parts, "\n")):sub(1, 32) .. ".json"
end

-- ---- what is there -------------------------------------------------------

-- What lies in a directory; none, and why, when that cannot be looked at.
local function paths_in(directory, pattern)
  if not directory then return {} end
  local paths, message, err = directories.list(directory, pattern)
  return paths or {}, message, err
end

--- What is kept for a cluster.
-- @tparam string cluster_id
-- @treturn {table,...} each `{path=, kubeconfig=, facts=}`; the last two are
--   missing when the file cannot be used
-- @treturn ?string why it is not known what is kept
-- @treturn ?table err
function M.entries(cluster_id)
  local paths, message, err = paths_in(directory_of(cluster_id), "*.json")
  local found = {}
  table.sort(paths)
  for i, path in ipairs(paths) do
    local kubeconfig = kubeconfigs.load(path)
    found[i] = { path = path, kubeconfig = kubeconfig,
      facts = kubeconfig and kubeconfig:certificate() }
  end
  return found, message, err
end

-- Its time is when the entry was last handed out.
local function served_path(path)
  return path .. ".served"
end

--- Remove an entry.
-- @tparam string path
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string reason
-- @treturn[2] number of it, as `os.remove` has it
function M.remove(path)
  os.remove(served_path(path))
  return os.remove(path)
end

--- Remove what has expired: keys that are others each day leave a file each.
-- @tparam string cluster_id
-- @tparam number now unix time
function M.prune(cluster_id, now)
  for _, entry in ipairs(M.entries(cluster_id)) do
    if entry.facts and entry.facts.not_after <= now then M.remove(entry.path) end
  end
end

--- Note that an entry is handed out.
-- @tparam string path
-- @treturn number seconds since it was the last time; math.huge when it never was, and 0
--   where it cannot be noted, which may have been just now
function M.serve(path)
  local info = core.file.stat(served_path(path))
  local file = io.open(served_path(path), "w")
  if not file then return 0 end
  file:close()
  return info and math.abs(core.sys.time() - info.mtime) or math.huge
end

-- ---- dropping ------------------------------------------------------------

--- When what was kept of a cluster was last dropped on this machine.
-- @tparam string cluster_id
-- @tparam[opt] string principal only what concerns this one; by default all
-- @treturn ?table `{at=<unix time>, principal=<id>}`, of the last time; without
--   principal the cluster was rotated
function M.dropped(cluster_id, principal)
  local latest
  for _, path in ipairs((paths_in(directory_of(cluster_id), "r*ed*"))) do
    local text = core.file.read(path, { max = NOTE_BYTES })
    local note = text and json.decode(text)
    local holder = path:match "/revoked%-([^/]+)$"
    local fits = type(note) == "table" and type(note.at) == "number"
      and (not principal or not holder or holder == principal)
    if fits and not (latest and latest.at > note.at) then
      latest = { at = note.at, principal = holder }
    end
  end
  return latest
end

local function drop(cluster_id, principal)
  local directory = directory_of(cluster_id)
  if not directory or not core.file.stat(directory) then return 0 end
  -- Noted first: a process that obtains meanwhile looks at it after saving.
  core.file.write(directory .. "/" .. (principal and "revoked-" .. principal or "rotated"),
    json.encode { at = core.sys.time() })
  local count = 0
  for _, entry in ipairs(M.entries(cluster_id)) do
    local is_meant = not principal or not entry.facts or entry.facts.user_id == principal
    if is_meant and M.remove(entry.path) then count = count + 1 end
  end
  return count
end

--- Drop what is kept for a principal in a cluster, or for all of them after a
-- rotation. Looks for a directory and no more when there is none; never fails.
-- In nginx nothing is done: no worker may wait for a disk, and its user's cache
-- is not that of a person.
-- @tparam string cluster_id
-- @tparam[opt] string principal the id of a user or an agency
-- @treturn number how many were dropped
function M.drop(cluster_id, principal)
  if host.in_nginx() or not core.is_id(cluster_id) then return 0 end
  if principal ~= nil and not core.is_id(principal) then return 0 end
  local ok, count = protect.catch(drop, cluster_id, principal)
  return ok and count or 0
end

--- Drop what a client tells of: for its `on_event`.
-- @tparam table event
function M.observe(event)
  if event.type == "certificates_ended" then M.drop(event.cluster_id, event.principal_id) end
end

--- The clusters for which something is kept.
-- @treturn {string,...} ids, sorted
-- @treturn ?string why it is not known which
function M.clusters()
  local paths, message = paths_in(M.directory(), "*")
  local ids = {}
  for i, path in ipairs(paths) do ids[i] = path:match "[^/]+$" end
  table.sort(ids)
  return ids, message
end

local GONE = 2 -- ENOENT

--- Drop what is kept for a cluster, by a person's wish: it says nothing of a revocation.
-- @tparam string cluster_id
-- @treturn number how many were dropped
-- @treturn ?string why there may be more
function M.clear(cluster_id)
  if not core.is_id(cluster_id) then return 0 end
  local count, entries, problem = 0, M.entries(cluster_id)
  for _, entry in ipairs(entries) do
    local removed, reason, number = M.remove(entry.path)
    if removed then
      count = count + 1
    elseif number ~= GONE then
      problem = problem or reason
    end
  end
  return count, problem
end

return M
