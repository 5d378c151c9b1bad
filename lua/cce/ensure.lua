--- A kubeconfig file that is always good: `cce.ensure_cert`.
-- @module cce.ensure
-- @local
local authority = require "cce.kubeconfig.authority"
local clusters = require "cce.api.cluster"
local destinations = require "cce.kubeconfig.destination"
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
  check = stored.schema.check,
}

-- ---- whose file it is ----------------------------------------------------

local function address(url)
  return type(url) == "string" and url:match("^%a+://([^/]+)") or nil
end

local function foreign(path, cluster_id, reason)
  return errors.fail("CONFLICT", ("'%s' is not the file of cluster %s: %s"):format(
    path, cluster_id, reason), {
    retryable = false,
    hint = "Give another path, or merge into it: kubeconfig:save(path, {merge=true})",
  })
end

-- A file without our mark: by the addresses in it.
local function check_addresses(client, cluster_id, holdings)
  local cluster, message, err = client:show_cluster(cluster_id)
  if not cluster then return nil, message, err end
  local expected = {}
  for _, endpoint in ipairs(clusters.endpoints(cluster)) do
    local where = address(endpoint.url)
    if where then expected[where] = true end
  end
  for _, each in ipairs(read.entries(holdings.config.data, "clusters")) do
    if not expected[address(each.body.server)] then
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

-- A file with more in it is merged into; one that is this cluster's alone, but
-- without a mark, is replaced: whole, so it may hold nothing that no certificate replaces.
local function destination_of(job, holdings)
  local is_shared = holdings.others or marked_for_another(holdings, job.cluster_id) ~= nil

  local entry = holdings.by_id[job.cluster_id]
  local name = entry and entry.set or job.opts.name
    or job.opts.path:match("([^/]+)$"):gsub("(.)%.%a+$", "%1")
  local destination = { path = job.opts.path, name = name }
  if entry then
    destination.merge, destination.backup = true, is_shared
    return destination
  end
  local data = holdings.config and holdings.config.data or {}
  local users, found = read.entries(data, "users"), read.entries(data, "clusters")
  if #users > 1 then
    return foreign(job.opts.path, job.cluster_id, "it holds more than one user")
  elseif #users == 1 and #found == 0 then
    return foreign(job.opts.path, job.cluster_id, "it holds a user, but no cluster")
  end
  destination.mark = true
  return destination
end

local function renew(job, holdings)
  local destination, message, err = destination_of(job, holdings)
  if not destination then return nil, message, err end
  local ok
  ok, message, err = destinations.prove(destination, { id = job.cluster_id }, job.client)
  if not ok then return nil, message, err end
  local config
  config, message, err = stored.obtain(job.client, job.cluster_id, job.rule)
  if not config then return nil, message, err end
  destination.context = stored.chosen(holdings.by_id[job.cluster_id], config)
  local saved
  saved, message, err = destinations.save(destination, config)
  if not saved then return nil, message, err end
  holdings, message, err = stored.read(job.opts.path, job.client.clock)
  if not holdings then return nil, message, err end
  config = stored.of(holdings, job.cluster_id)
  if not job.opts.check then return config, true end
  local answer
  answer, message, err = stored.ask_new(job.client, config)
  if not answer then return nil, message, err end
  return config, true, answer
end

-- The good kubeconfig, and what its cluster said; or false, the holdings and the
-- reason, when it is due.
local function look(job)
  local holdings, message, err = stored.read(job.opts.path, job.client.clock)
  if not holdings then return nil, message, err end
  local config
  config, message, err = current(job.client, job.cluster_id, holdings)
  if config == nil then return nil, message, err end
  if not config then return false, holdings, "there is none yet" end
  -- kubectl asks `cce credential` there: a file without keys gets none. But a rotation may
  -- have replaced the cluster's CA.
  if holdings.commands[job.cluster_id] then
    if not job.is_plan then
      local count
      count, message, err = authority.refresh(job.client, holdings.path, job.cluster_id)
      if count == nil then return nil, message, err end
      holdings, message, err = stored.read(job.opts.path, job.client.clock)
      if not holdings then return nil, message, err end
    end
    return stored.of(holdings, job.cluster_id) or holdings.config
  end
  local facts, problem = config:certificate()
  local reason = stored.due(facts, problem, job.rule)
  if reason then return false, holdings, reason end
  local answer = job.opts.check and stored.ask(job.client, config) or nil
  reason = stored.refusal(answer)
  if reason then return false, holdings, reason end
  return config, false, answer
end

local function new_job(client, cluster_id, opts, level)
  if type(client) ~= "table" or type(client.obtain_cert) ~= "function" then
    error(("bad argument #1 to 'ensure_cert' (cce.client expected, got %s)"):format(
      type(client)), level + 1)
  end
  options.argument(cluster_id, "string", 2, "ensure_cert", level + 1)
  local checked, message, err = options.check(opts, schema, level + 1)
  if not checked then return nil, message, err end
  local rule
  rule, message, err = stored.rule(checked, client:now())
  if not rule then return nil, message, err end
  return { client = client, cluster_id = cluster_id, opts = checked, rule = rule }
end

--- See `cce.ensure_cert`.
-- @tparam cce.client client
-- @tparam string cluster_id
-- @tparam table opts
-- @tparam int level whom a raised error points at
function M.ensure(client, cluster_id, opts, level)
  local job, message, err = new_job(client, cluster_id, opts, level + 1)
  if not job then return nil, message, err end
  local config, holdings, third = look(job)
  if config == nil then return nil, holdings, third end
  if config then return config, false, third end
  -- Looked at again under the lock: another process may have been faster.
  return stored.locked(job.opts.path, job.opts.timeout, function()
    config, holdings, third = look(job)
    if config == nil then return nil, holdings, third end
    if config then return config, false, third end
    return renew(job, holdings)
  end)
end

--- What it would do; nothing is obtained or written, and the place is proved.
-- @tparam cce.client client
-- @tparam string cluster_id
-- @tparam table opts
-- @treturn[1] string|boolean why one would be obtained; false: it would be kept
-- @treturn[1] ?table what the cluster said of the one that is there
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.plan(client, cluster_id, opts)
  local job, message, err = new_job(client, cluster_id, opts, 2)
  if not job then return nil, message, err end
  job.is_plan = true
  local config, holdings, third = look(job)
  if config == nil then return nil, holdings, third end
  if config then return false, third end
  local destination, ok
  destination, message, err = destination_of(job, holdings)
  if not destination then return nil, message, err end
  ok, message, err = destinations.prove(destination, { id = cluster_id }, client)
  if not ok then return nil, message, err end
  return third
end

return M
