--- What a revocation is about: each principal on each cluster; anew, or as a
-- journal knows it.
-- @module cce.workflow.revoke.plan
-- @local
local core = require "cce.core"
local items = require "cce.workflow.revoke.item"
local principals = require "cce.workflow.revoke.principals"
local targets = require "cce.workflow.targets"

local M = {}

--- The hash of what a run is to do: the same for the same plan.
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.hash(run)
  local by_project, message, err
  if not run.opts.deleted_since then
    run.list, message, err = principals.find(run.clients, run.opts, run.report)
    if not run.list then return nil, message, err end
  end
  by_project, message, err = targets.by_project(run.clients)
  if not by_project then return nil, message, err end
  local ids = {}
  for id in pairs(by_project) do ids[#ids + 1] = id end
  table.sort(ids)
  -- Whom CTS names differs from start to start: an interrupted run has its own list.
  local who = { "deleted_since" }
  if not run.opts.deleted_since then
    for i, each in ipairs(run.list) do who[i] = each.kind .. " " .. each.id end
    table.sort(who)
  end
  return core.sha256(table.concat({ "revoke", run.opts.selection.text, table.concat(ids, " "),
    table.concat(who, "\n") .. (run.opts.remove and "\nremove" or "") }, "\n"))
end

--- Fill `run.items` with all principals of `run.list` on all clusters that are there.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.new(run)
  local message, err
  if not run.list then
    run.list, message, err = principals.find(run.clients, run.opts, run.report)
    if not run.list then return nil, message, err end
  end
  if #run.list == 0 then return true end
  local found
  found, message, err = targets.find(run.clients, run.opts.selection)
  if not found then return nil, message, err end
  if #found == 0 then run.report:note("no cluster is chosen: %s", run.opts.selection.text) end
  for _, target in ipairs(found) do
    for _, principal in ipairs(run.list) do
      run.items[#run.items + 1] = { client = target.client, project_id = target.project_id,
        id = target.id, name = target.name, version = target.version, status = target.status,
        cluster = target.cluster, principal = principal, state = "pending" }
    end
  end
  return true
end

--- What names an item in the journal.
-- @treturn table
function M.planned(item)
  return { cluster = item.id, name = item.name, project = item.project_id,
    principal = item.principal.id, kind = item.principal.kind, who = item.principal.name }
end

--- An item as the journal knows it. To revoke twice does no harm but to what was
-- obtained in between, which `first_intent` lets the report say.
-- @treturn table
function M.recall(run, line)
  -- Items of one principal share what is found out of it.
  if not run.recalled then run.recalled, run.list = {}, {} end
  local key = tostring(line.kind) .. " " .. tostring(line.principal)
  if not run.recalled[key] then
    run.recalled[key] = { kind = line.kind, id = line.principal, name = line.who }
    run.list[#run.list + 1] = run.recalled[key]
  end
  return { cluster = { id = line.cluster, name = line.name }, principal = run.recalled[key],
    first_intent = line.first, verified = line.verified, accepted = line.accepted,
    worked_until = line.worked_until, rights = line.rights, removed = line.removed,
    shortfall = line.owed and items.OWED or nil }
end

return M
