--- What a revocation is about: each principal on each cluster; anew, or as a
-- journal knows it.
-- @module cce.workflow.revoke.plan
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local principals = require "cce.workflow.revoke.principals"
local json_line = require "cce.base.json_line"
local targets = require "cce.workflow.targets"

local M = {}

local function who_is_meant(run)
  -- Whom CTS names differs from start to start: an interrupted run has its own list.
  if run.opts.deleted_since then return "deleted_since" end
  return run.list[1].kind .. " " .. run.list[1].id
end

--- The hash of what a run is to do: the same for the same plan.
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.hash(run)
  local by_project, message, err = targets.by_project(run.clients)
  if not by_project then return nil, message, err end
  local ids = {}
  for id in pairs(by_project) do ids[#ids + 1] = id end
  table.sort(ids)
  return core.sha256(table.concat({ "revoke", run.opts.selection.text, table.concat(ids, " "),
    who_is_meant(run) }, "\n"))
end

local function new_item(target, principal)
  return { client = target.client, project_id = target.project_id, id = target.id,
    name = target.name, version = target.version, status = target.status,
    cluster = target.cluster, principal = principal }
end

--- Fill `run.items` with all principals of `run.list` on all clusters that are there.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.new(run)
  if #run.list == 0 then return true end
  local found, message, err = targets.find(run.clients, run.opts.selection)
  if not found then return nil, message, err end
  for _, target in ipairs(found) do
    for _, principal in ipairs(run.list) do
      run.items[#run.items + 1] = new_item(target, principal)
    end
  end
  return true
end

--- Write a new run to its journal.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.write(run, hash)
  local journal = run.journal
  local ok, message, err = journal:write("run", { run = run.name, id = json_line.new_id(),
    plan = hash, workflow = "revoke", version = 1, requests = #run.items }, false)
  for _, item in ipairs(run.items) do
    if not ok then break end
    ok, message, err = journal:write("planned", { cluster = item.id, name = item.name,
      project = item.project_id, principal = item.principal.id, kind = item.principal.kind,
      who = item.principal.name }, false)
  end
  if ok then ok, message, err = journal:write("begun", { requests = #run.items }) end
  if not ok then return nil, message, err end
  return true
end

-- ---- what a journal knows ------------------------------------------------------

-- Items of one principal share what is found out of it.
local function principal_of(run, known, line)
  local key = tostring(line.kind) .. " " .. tostring(line.principal)
  if not known[key] then
    known[key] = { kind = line.kind, id = line.principal, name = line.who }
    run.list[#run.list + 1] = known[key]
  end
  return known[key]
end

local function error_of(line)
  if not line.code then return nil end
  return errors.new(core.codes[line.code] and line.code or "INTERNAL", line.message or "", {
    hint = line.hint, request_id = line.request_id, operation = "revoke_cert",
  })
end

local function item_of_line(run, known, line, client)
  return { client = client, project_id = line.project, id = line.cluster, name = line.name,
    cluster = { id = line.cluster, name = line.name }, principal = principal_of(run, known, line),
    first_intent = line.first, verified = line.verified, duration = line.seconds,
    message = line.message, err = error_of(line), earlier = true }
end

local FINAL = { ok = "ok", failed = "failed", uncertain = "uncertain" }

--- Fill `run.items` and `run.list` with those of a run that was over before.
function M.of_finished(run, lines)
  local known = {}
  run.list = {}
  for i, line in ipairs(lines.order) do
    run.items[i] = item_of_line(run, known, line)
    run.items[i].state = FINAL[line.what] or "skipped"
  end
end

local function no_client(line)
  return errors.fail("INVALID_ARGUMENT", ("revoke: no client is of project %s, where the run has"
    .. " cluster %s"):format(tostring(line.project), line.cluster), { operation = "revoke",
    retryable = false, maybe_applied = false,
    hint = "Give the clients that the run was begun with" })
end

--- Fill `run.items` and `run.list` with those of a run that is to be gone on with.
-- What is not done is tried again: to revoke twice does no harm but to what was
-- obtained in between, which `first_intent` lets the report say.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.again(run, lines)
  local by_project, message, err = targets.by_project(run.clients)
  if not by_project then return nil, message, err end
  local known = {}
  run.list = {}
  for i, line in ipairs(lines.order) do
    local client = by_project[line.project or ""]
    if not client then return no_client(line) end
    local item = item_of_line(run, known, line, client)
    if line.what == "ok" then
      item.state = "ok"
    else
      item.message, item.err, item.verified, item.earlier = nil, nil, nil, nil
    end
    run.items[i] = item
  end
  return true
end

--- Find out who is meant, unless that is for CTS to say.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.read_principal(run, report)
  if run.opts.deleted_since then return true end
  local message, err
  run.list, message, err = principals.find(run.clients, run.opts, report)
  if not run.list then return nil, message, err end
  return true
end

return M
