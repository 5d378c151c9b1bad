--- Put back what `cce.workflow.revoke` took away with `remove`: `cce.workflow.restore`.
-- @module cce.workflow.restore
local access = require "cce.workflow.rights.access"
local bindings = require "cce.workflow.rights.bindings"
local errors = require "cce.error"
local options = require "cce.base.options"
local outcome = require "cce.workflow.outcome"
local pace = require "cce.workflow.pace"
local policies = require "cce.workflow.rights.policies"
local runs = require "cce.workflow.run"
local targets = require "cce.workflow.targets"
local undos = require "cce.workflow.rights.undo"

local schema = {
  undo = { type = "string", non_empty = true, required = true },
  admin = access.option,
  concurrency = { type = "integer", min = 1, max = 1000, default = 10 },
  rate_limit = pace.option,
  dry_run = { type = "boolean", default = false },
  on_progress = { type = "callable" },
}

local workflow = { name = "restore", operation = "restore" }

function workflow.hash(run)
  local message, err
  run.undo, message, err = undos.read(run.opts.undo)
  if not run.undo then return nil, message, err end
  run.access, message, err = access.new(run.opts.admin)
  if not run.access then return nil, message, err end
  return "restore"
end

-- One item for each cluster, and one for each AccessPolicy.
function workflow.plan(run)
  local by_project, message, err = targets.by_project(run.clients)
  if not by_project then return nil, message, err end
  local found
  found, message, err = targets.all(run.clients)
  if not found then return nil, message, err end
  local by_id = {}
  for _, entry in ipairs(run.undo.entries) do
    local id = entry.cluster or entry.id
    local item = by_id[id]
    if not item then
      local there, client = entry.cluster and found.by_id[id], run.clients[1]
      if there then
        client = there.client
      elseif entry.cluster then
        client, message, err = targets.client_of(by_project, entry.project, id, "restore")
        if not client then return nil, message, err end
      end
      item = { id = id, name = entry.cluster and entry.cluster_name or policies.text(entry),
        project_id = entry.project, client = client, entries = {},
        cluster = there and there.cluster or { id = id, name = entry.cluster_name },
        state = "pending" }
      by_id[id] = item
      run.items[#run.items + 1] = item
    end
    table.insert(item.entries, entry)
  end
  return true
end

function workflow.opening() return {} end

function workflow.planned() return {} end

function workflow.check(run)
  run.pace = pace.new(run.clients, run.opts.rate_limit)
  return true
end

local function text_of(entry)
  return entry.kind == "AccessPolicy" and policies.text(entry) or bindings.text(entry)
end

local function is_more(now, before)
  for each in pairs(now or {}) do
    if not before[each] and not before["*"] then return true end
  end
  return false
end

-- Where they stood, if it still gives what it gave.
local function putting_back(entry, count)
  return function(now)
    if is_more(now.clusters, entry.clusters) or is_more(now.namespaces, entry.namespaces) then
      return errors.fail("UNSUPPORTED", text_of(entry) .. " reaches more clusters or namespaces"
        .. " now than then: nobody is put back", { retryable = false, maybe_applied = false })
    end
    if now.role.name ~= entry.role or now.role.kind ~= entry.role_kind then
      local message = ("%s gives %s %s now, not %s %s: nobody is put back"):format(text_of(entry),
        now.role.kind or "role", now.role.name or "?", entry.role_kind or "role", entry.role)
      return errors.fail("UNSUPPORTED", message, { retryable = false, maybe_applied = false })
    end
    local list, added = undos.put_back(entry, now.subjects)
    if added == 0 then return false end
    count.added = added
    return list
  end
end

local function put_back(run, item, entry)
  local count = { added = 0 }
  local ok, message, err
  if entry.kind == "AccessPolicy" then
    ok, message, err = policies.edit(run.pace:limited(item.client), entry,
      putting_back(entry, count))
  else
    ok, message, err = bindings.edit(item.access, { kind = entry.kind, name = entry.name,
      namespace = entry.namespace }, putting_back(entry, count))
  end
  return ok, message, err, count.added
end

local function process(run, item)
  local message, err
  item.began, item.parts = run.clock(), {}
  if item.entries[1].cluster then
    item.access, message, err = run.access:of(item)
    if not item.access then
      item.state = err and outcome.of_refusal(err.code) or "pending"
      item.message, item.err = message, err
      return
    end
  end
  local left = false
  for _, entry in ipairs(item.entries) do
    local ok, problem, why, added = put_back(run, item, entry)
    local is_final = why and outcome.of_refusal(why.code) == "failed"
    left = left or ok == nil and not is_final
    item.parts[#item.parts + 1] = ok and ("%s: %d put back"):format(text_of(entry), added)
      or ok == false and text_of(entry) .. ": they are there already" or problem
    if ok and problem then run.report:note("%s", problem) end
    if ok == nil then
      item.err, item.failed = item.err or why, item.failed or is_final
    end
  end
  item.state = item.failed and "failed" or left and "pending" or "ok"
  item.message, item.duration = table.concat(item.parts, "; "), run.clock() - item.began
end

function workflow.execute(run)
  run:process(run.items, process)
end

function workflow.entry(_, item)
  return { cluster_id = item.id, name = item.name, project_id = item.project_id,
    began = item.began, duration = item.duration, message = item.message }
end

function workflow.preview(run)
  run.report.dry_run, run.report.plan = true, {}
  for _, item in ipairs(run.items) do
    for _, entry in ipairs(item.entries) do
      local ids = {}
      for id in pairs(entry.taken) do ids[#ids + 1] = id end
      table.sort(ids)
      table.insert(run.report.plan, ("put %s back into %s%s"):format(table.concat(ids, ", "),
        text_of(entry), entry.cluster and " in " .. (item.name or item.id) or ""))
    end
  end
end

--- Put back into bindings and AccessPolicies whom `cce.workflow.revoke` took out of them,
-- by its undo file: each where they stood among the others. What others changed since stays.
--
-- Who is there already is left alone, so that it can be done twice. A binding that is
-- gone, or gives another role by now, is `failed`, and not made again. Certificates
-- stay revoked.
-- @function restore
-- @tparam cce.client|{cce.client,...} clients one, or one for each project
-- @tparam table opts
-- @tparam string opts.undo path of the undo file: `report.undo` of the revocation
-- @tparam[opt] string|table|function opts.admin as for `cce.workflow.revoke`
-- @tparam[opt=10] int opts.concurrency clusters at a time
-- @tparam[opt="10/min"] string|boolean opts.rate_limit of changes of AccessPolicies
-- @tparam[opt=false] boolean opts.dry_run change nothing, and return the plan
-- @tparam[opt] function opts.on_progress as for `cce.workflow.revoke`
-- @treturn[1] cce.report an item for each cluster, and for each AccessPolicy
-- @treturn[2] nil when it could not begin
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- local report = assert(cce.workflow.revoke(client, { clusters = { name = "*" },
--   user_id = leaver, remove = true }))
-- if report.undo then print(assert(cce.workflow.restore(client, { undo = report.undo }))) end
return function(clients, opts)
  clients = targets.clients(clients, "restore", 2)
  local checked, message, err = options.check(opts, schema)
  if not checked then return nil, message, err end
  local report
  report, message, err = runs.call(workflow, clients, checked)
  if report == nil then return nil, message, err end
  return report
end
