--- A kubeconfig file that is always good: `cce.ensure_cert`.
-- @module cce.ensure
-- @local
local errors = require "cce.error"
local stored = require "cce.kubeconfig.stored"
local options = require "cce.base.options"
local read = require "cce.kubeconfig.read"

local M = {}

local schema = {
  path = { type = "string", required = true, non_empty = true },
  name = { type = "string", non_empty = true },
  duration = stored.schema.duration,
  expire_at = stored.schema.expire_at,
  min_remaining = stored.schema.min_remaining,
  renew = stored.schema.renew,
  timeout = stored.schema.timeout,
}

-- ---- whose file it is ----------------------------------------------------

local function address(url)
  return type(url) == "string" and url:match("^%a+://([^/]+)") or nil
end

local function addresses_of(cluster)
  local found = {}
  local status = type(cluster.raw.status) == "table" and cluster.raw.status or {}
  for _, each in ipairs(type(status.endpoints) == "table" and status.endpoints or {}) do
    local where = type(each) == "table" and address(each.url)
    if where then found[where] = true end
  end
  return found
end

local function foreign(path, cluster_id, reason)
  return errors.fail("CONFLICT", ("'%s' is not the file of cluster %s: %s"):format(
    path, cluster_id, reason), {
    retryable = false,
    hint = "Give another path, or merge with kubeconfig:save(path, { merge = true, name = ... })",
  })
end

-- A file without our mark: by the addresses in it.
local function check_addresses(client, cluster_id, holdings)
  local cluster, message, err = client:show_cluster(cluster_id)
  if not cluster then return nil, message, err end
  local expected = addresses_of(cluster)
  for _, each in ipairs(read.entries(holdings.config.data, "clusters")) do
    if not expected[address(each.body.server) or ""] then
      return foreign(holdings.path, cluster_id, ("its cluster '%s' has another address"):format(
        each.name))
    end
  end
  return true
end

local function marked_for_another(holdings, cluster_id)
  for id in pairs(holdings.by_id) do
    if id ~= cluster_id then return id end
  end
  return nil
end

-- The kubeconfig in the file, when it is of this cluster; false when there is
-- no file.
local function current(client, cluster_id, holdings)
  if not holdings.config then return false end
  local mine = stored.of(holdings, cluster_id)
  if mine then return mine end
  local other = marked_for_another(holdings, cluster_id)
  if other then return foreign(holdings.path, cluster_id, "it holds cluster " .. other) end
  local ok, message, err = check_addresses(client, cluster_id, holdings)
  if not ok then return nil, message, err end
  return holdings.config
end

-- ---- renewing it ---------------------------------------------------------

local function set_name(job, holdings)
  local entry = holdings.by_id[job.cluster_id]
  if entry then return entry.set end
  return job.opts.name or job.opts.path:match("([^/]+)$"):gsub("(.)%.%a+$", "%1")
end

-- A file with more in it is merged into; one that is this cluster's alone, but
-- without a mark, is replaced.
local function save(job, config, holdings)
  local is_shared = holdings.others or marked_for_another(holdings, job.cluster_id) ~= nil
  local is_marked = holdings.by_id[job.cluster_id] ~= nil
  local name = set_name(job, holdings)
  if is_marked then
    return config:save(job.opts.path, { merge = true, name = name, backup = is_shared })
  end
  return config:save(job.opts.path, { mark = true, name = name })
end

local function renew(job, holdings)
  local config, message, err = stored.obtain(job.client, job.cluster_id, job.rule)
  if not config then return nil, message, err end
  local saved
  saved, message, err = save(job, config, holdings)
  if not saved then return nil, message, err end
  holdings, message, err = stored.read(job.opts.path, job.client.clock)
  if not holdings then return nil, message, err end
  return stored.of(holdings, job.cluster_id), true
end

-- The good kubeconfig; or false and the holdings, when it is due.
local function look(job)
  local holdings, message, err = stored.read(job.opts.path, job.client.clock)
  if not holdings then return nil, message, err end
  local config
  config, message, err = current(job.client, job.cluster_id, holdings)
  if config == nil then return nil, message, err end
  if config then
    local facts, reason = config:certificate()
    if not stored.due(facts, reason, job.rule) then return config end
  end
  return false, holdings
end

local function look_and_renew(job)
  local config, holdings, err = look(job)
  if config == nil then return nil, holdings, err end
  if config then return config, false end
  return renew(job, holdings)
end

local function check_client(client, level)
  if type(client) == "table" and type(client.obtain_cert) == "function" then return end
  error(("bad argument #1 to 'ensure_cert' (cce.client expected, got %s)"):format(type(client)),
    level + 1)
end

--- See `cce.ensure_cert`.
-- @tparam cce.client client
-- @tparam string cluster_id
-- @tparam table opts
-- @tparam int level whom a raised error points at
function M.ensure(client, cluster_id, opts, level)
  check_client(client, level + 1)
  options.argument(cluster_id, "string", 2, "ensure_cert", level + 1)
  local checked, message, err = options.check(opts, schema, level + 1)
  if not checked then return nil, message, err end
  local rule
  rule, message, err = stored.rule(checked, client:now())
  if not rule then return nil, message, err end
  local job = { client = client, cluster_id = cluster_id, opts = checked, rule = rule }
  local config, holdings, problem = look(job)
  if config == nil then return nil, holdings, problem end
  if config then return config, false end
  -- Looked at again under the lock: another process may have been faster.
  return stored.locked(checked.path, checked.timeout, function() return look_and_renew(job) end)
end

return M
