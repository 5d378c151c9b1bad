--- Which clusters a workflow is about: ids, a filter function or a table of
-- filters, over the projects of one client or several.
-- @module cce.workflow.targets
-- @local
local errors = require "cce.error"
local options = require "cce.base.options"
local project = require "cce.api.project"
local user_state = require "cce.base.user_state"
local values = require "cce.base.values"

local M = {}

--- The clients that were given: one, or a list of them. A refused key of theirs is
-- known to the other workflows of this user, too.
-- @tparam table given
-- @tparam string name of the function that was called
-- @tparam int level whom a raised error points at
-- @treturn {cce.client,...}
function M.clients(given, name, level)
  local list = type(given) == "table" and given.config and { given } or given
  if not options.is_list(list) then list = {} end
  for _, client in ipairs(list) do
    if type(client) ~= "table" or not client.config then list = {} end
  end
  if #list == 0 then
    error(("bad argument #1 to '%s' (a client or a list of clients expected, got %s)"):format(
      name, type(given)), level + 1)
  end
  for _, client in ipairs(list) do
    if client.closed then error("the client is closed", level + 1) end
  end
  user_state.enable()
  return list
end

--- The id of a client's project.
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.project_of(client)
  return project.id_of(client)
end

--- The clients by the ids of their projects.
-- @tparam {cce.client,...} clients
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.by_project(clients)
  local found = {}
  for _, client in ipairs(clients) do
    local id, message, err = M.project_of(client)
    if not id then return nil, message, err end
    found[id] = found[id] or client
  end
  return found
end

--- The client of a cluster that an earlier run had.
-- @tparam table by_project
-- @tparam ?string project_id of the cluster
-- @tparam string cluster_id
-- @tparam string name of the workflow
-- @treturn[1] cce.client
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.client_of(by_project, project_id, cluster_id, name)
  local client = by_project[project_id or ""]
  if client then return client end
  return errors.fail("INVALID_ARGUMENT", ("%s: no client is of project %s, where the run has"
    .. " cluster %s"):format(name, tostring(project_id), cluster_id), { operation = name,
    retryable = false, maybe_applied = false,
    hint = "Give the clients that the run was begun with" })
end

-- ---- what was asked for ------------------------------------------------------

local filter_schema = {
  name = { type = "string", non_empty = true },
  version = { type = "string", non_empty = true },
  status = { type = "string", non_empty = true },
  autopilot = { type = "boolean" },
}

local function version_fits(version, wanted)
  version, wanted = (version or ""):gsub("^v", ""), wanted:gsub("^v", "")
  return version == wanted or version:sub(1, #wanted + 1):match("^(.*)[.-]$") == wanted
end

local function filter_by_table(filter)
  local name = filter.name and "^" .. filter.name:gsub("[^%w]", "%%%0"):gsub("%%%*", ".*")
    :gsub("%%%?", ".") .. "$"
  return function(cluster)
    return (not name or (cluster.name or ""):match(name) ~= nil)
      and (not filter.version or version_fits(cluster.version, filter.version))
      and (not filter.status or cluster.status == filter.status)
  end
end

-- Each once: the same cluster must not be acted upon twice.
local function unique_ids(list)
  if not options.is_list(list) then
    return errors.fail("INVALID_ARGUMENT", "clusters is no list of ids: it has a gap or other keys")
  end
  local ids, seen = {}, {}
  for i, each in ipairs(list) do
    local id = type(each) == "table" and each.id or each
    local ok, expected = values.is_id(id)
    if not ok then
      return errors.fail("INVALID_ARGUMENT", ("clusters[%d] must be %s"):format(i, expected))
    end
    if not seen[id] then
      seen[id] = true
      ids[#ids + 1] = id
    end
  end
  return ids
end

--- Read the option `clusters`.
-- @tparam table|function given
-- @tparam int level whom a raised error points at
-- @treturn[1] table `{ids=}` or `{filter=function}`, and `text`, which says the
--   same for people and for a hash; `autopilot`: those of CCE Autopilot are meant, too
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.selection(given, level)
  if type(given) ~= "table" then
    return { filter = given, text = "those that a function chooses", by_function = true }
  end
  if given[1] ~= nil or next(given) == nil then
    local ids, message, err = unique_ids(given)
    if not ids then return nil, message, err end
    if #ids == 0 then return errors.fail("INVALID_ARGUMENT", "clusters is an empty list") end
    local sorted = {}
    for i, id in ipairs(ids) do sorted[i] = id end
    table.sort(sorted)
    return { ids = ids, text = table.concat(sorted, " ") }
  end
  local filter, message, err = options.check(given, filter_schema, level + 1)
  if not filter then return nil, message, err end
  local text = ("name=%s version=%s status=%s"):format(filter.name or "*",
    filter.version or "*", filter.status or "*")
  if filter.autopilot then text = text .. " autopilot=true" end
  return { filter = filter_by_table(filter), text = text, autopilot = filter.autopilot }
end

-- ---- what there is -----------------------------------------------------------

local function target(client, project_id, cluster)
  return { client = client, project_id = project_id, id = cluster.id, name = cluster.name,
    version = cluster.version, status = cluster.status, autopilot = cluster.autopilot,
    cluster = cluster }
end

--- All clusters of all clients, each once.
-- @tparam {cce.client,...} clients
-- @tparam ?boolean autopilot those of CCE Autopilot, too
-- @treturn[1] {table,...} as those of `find`, and `by_id`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.all(clients, autopilot)
  local found = { by_id = {} }
  for _, client in ipairs(clients) do
    local project_id, message, err = M.project_of(client)
    if not project_id then return nil, message, err end
    local clusters
    clusters, message, err = client:list_clusters(autopilot and { autopilot = true } or nil)
    if not clusters then return nil, message, err end
    for _, cluster in ipairs(clusters) do
      if not found.by_id[cluster.id] then
        local each = target(client, project_id, cluster)
        found.by_id[cluster.id] = each
        found[#found + 1] = each
      end
    end
  end
  return found
end

--- The same, with those of CCE Autopilot when something is missing without them.
-- @tparam {cce.client,...} clients
-- @tparam function is_complete called with what was found; whether all is there
-- @treturn[1] {table,...}
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.all_for(clients, is_complete)
  local found, message, err = M.all(clients)
  if not found then return nil, message, err end
  -- Where Autopilot may not be listed, or is not there, it stays missing.
  return is_complete(found) and found or M.all(clients, true) or found
end

--- Find the clusters.
-- @tparam {cce.client,...} clients
-- @tparam table selection
-- @treturn[1] {table,...} `{id=, name=, version=, status=, autopilot=, client=,
--   project_id=}`; empty when the filter fits none
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.find(clients, selection)
  local found, message, err
  if selection.ids then
    found, message, err = M.all_for(clients, function(all)
      for _, id in ipairs(selection.ids) do
        if not all.by_id[id] then return false end
      end
      return true
    end)
  else
    found, message, err = M.all(clients, selection.autopilot)
  end
  if not found then
    -- A user who may not list clusters may still act on one by its id.
    local may_go_on = selection.ids and #clients == 1 and err.code == "PERMISSION_DENIED"
    if not may_go_on then return nil, message, err end
    found = { by_id = {} }
  end
  local list = {}
  if selection.ids then
    -- An id that no list names is kept: the call on it says what is wrong.
    for i, id in ipairs(selection.ids) do
      local project_id = M.project_of(clients[1])
      list[i] = found.by_id[id] or target(clients[1], project_id, { id = id })
      list[i].unlisted = found.by_id[id] == nil
    end
  else
    for _, each in ipairs(found) do
      if selection.filter(each.cluster) then list[#list + 1] = each end
    end
  end
  return list
end

return M
