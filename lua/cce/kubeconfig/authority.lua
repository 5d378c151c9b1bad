--- The CA of a cluster in kubeconfigs that hold no certificate of their own: a rotation
-- replaces it, and no certificate is to be issued to learn the new one.
-- @module cce.kubeconfig.authority
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local exec = require "cce.kubeconfig.exec"
local joined = require "cce.kubeconfig.joined"
local merge = require "cce.kubeconfig.merge"
local names = require "cce.kubeconfig.names"
local read = require "cce.kubeconfig.read"
local store = require "cce.kubeconfig.store"

local M = {}

local FIELD = "certificate-authority-data"

-- Line breaks in it mean nothing.
local function bytes_of(value)
  return type(value) == "string" and core.from_base64((value:gsub("[\r\n]", ""))) or nil
end

--- The CA that a service names for a cluster.
-- @tparam cce.cluster cluster as `client:show_cluster` returns it; lists have none
-- @treturn ?string Base64 of PEM; nil when the service does not say
function M.of(cluster)
  local spec = type(cluster.raw) == "table" and cluster.raw.spec
  local authority = type(spec) == "table" and spec.certificateAuthority
  local data = type(authority) == "table" and authority.data
  local pem = bytes_of(data)
  return pem and pem:find("-----BEGIN CERTIFICATE-----", 1, true) and data or nil
end

--- The CA of the current context's cluster in a kubeconfig.
-- @tparam cce.kubeconfig config
-- @treturn ?string as of `of`
function M.in_kubeconfig(config)
  local context = read.find(config.data, "contexts", config.data["current-context"])
  local cluster = context and read.find(config.data, "clusters", context.body.cluster)
  return cluster and read.non_empty(cluster.body[FIELD])
end

-- The names of the clusters that the contexts of a user with `cce credential` lead to.
local function meant_in(data, cluster_id)
  local users, meant = {}, {}
  for _, user in ipairs(read.entries(data, "users")) do
    users[user.name] = exec.cluster_of(user.body) == cluster_id
  end
  for _, context in ipairs(read.entries(data, "contexts")) do
    local name = context.body.cluster
    if name ~= nil and users[context.body.user] then meant[name] = true end
  end
  return meant
end

-- The file with the CA in it, and how many entries were stale.
local function look(path, cluster_id, authority, meant)
  local target, message, err = store.open(path)
  if not target then return nil, message, err end
  if not target.data then return target, 0 end
  local data, pem, count = names.copy(target.data), bytes_of(authority), 0
  meant = meant or meant_in(data, cluster_id)
  for _, each in ipairs(read.entries(data, "clusters")) do
    -- Of another cluster's mark nothing is touched, and no CA is added where there is none.
    local mark, old = merge.find_mark(each.body), read.non_empty(each.body[FIELD])
    local is_others = mark and mark.cluster_id and mark.cluster_id ~= cluster_id
    if meant[each.name] and not is_others and old and bytes_of(old) ~= pem then
      each.body[FIELD] = authority
      count = count + 1
    end
  end
  target.data = data
  return target, count
end

local function mend(path, cluster_id, authority, meant)
  local target, count, err = look(path, cluster_id, authority, meant)
  if not target then return nil, count, err end
  if count == 0 then return 0 end
  local done, message
  done, message, err = store.commit(target, { backup = false })
  if not done then return nil, message, err end
  return count
end

--- Puts a cluster's CA into a file, where users get its certificate from
-- `cce credential` and another CA stands.
-- @tparam string path
-- @tparam string cluster_id
-- @tparam string authority Base64 of PEM
-- @tparam[opt=10] number timeout seconds to wait for the lock
-- @tparam[opt] table meant the names of the clusters, as a set; by default those that the
--   file itself leads to
-- @treturn[1] number how many entries were stale
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.mend(path, cluster_id, authority, timeout, meant)
  -- A file in which nothing is to be mended need not be one that can be written.
  local target, stale, problem = look(path, cluster_id, authority, meant)
  if not target then return nil, stale, problem end
  if stale == 0 then return 0 end
  local lock, message, code = core.file.lock(path, { timeout = timeout or 10, kubectl = true })
  if not lock then return errors.from_core(nil, message, code) end
  local ok, count, reason, err = pcall(mend, path, cluster_id, authority, meant)
  lock:close()
  if not ok then error(count, 0) end
  return count, reason, err
end

--- The same in the files of KUBECONFIG, which are one to kubectl: a cluster may be in another
-- file than its user. It is written where kubectl reads it from.
-- @tparam {string,...} files
-- @tparam string cluster_id
-- @tparam string authority Base64 of PEM
-- @tparam number timeout seconds to wait for a lock
-- @tparam function on_done called with a path and what `mend` returned there, for each file
--   that cannot be read or leads there
function M.mend_together(files, cluster_id, authority, timeout, on_done)
  local all = joined.read(files)
  for _, each in ipairs(all.problems) do on_done(each.path, nil, each.message) end
  local by_path = {}
  for name in pairs(meant_in(all.config.data, cluster_id)) do
    local path = all.origin.clusters[name]
    if path then
      by_path[path] = by_path[path] or {}
      by_path[path][name] = true
    end
  end
  for _, path in ipairs(files) do
    if by_path[path] then
      on_done(path, M.mend(path, cluster_id, authority, timeout, by_path[path]))
    end
  end
end

--- The same with the CA that the service names now; no certificate is issued.
-- @tparam cce.client client
-- @tparam string path
-- @tparam string cluster_id
-- @treturn[1] number
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.refresh(client, path, cluster_id)
  local cluster, message, err = client:show_cluster(cluster_id)
  if not cluster then return nil, message, err end
  local authority = M.of(cluster)
  if not authority then return 0 end
  local count
  count, message, err = M.mend(path, cluster_id, authority)
  if not count then return nil, message, err end
  -- The cluster was rotated, perhaps elsewhere: what its old CA signed is refused.
  if count > 0 then client:emit { type = "certificates_ended", cluster_id = cluster_id } end
  return count
end

return M
