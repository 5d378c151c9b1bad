--- Which clusters a run is about, and what is known of each.
-- @module cce.workflow.rotate.plan
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local rotate_options = require "cce.workflow.rotate.options"
local targets = require "cce.workflow.targets"

local M = {}

local function projects_of(clients)
  local list = {}
  for i, client in ipairs(clients) do
    local id, message, err = targets.project_of(client)
    if not id then return nil, message, err end
    list[i] = id
  end
  table.sort(list)
  return list
end

-- Not the keys themselves: only whether they are the same.
local function content_hash(content)
  if not content then return "" end
  local parts = {}
  for _, name in ipairs { "ca", "cert", "private_key" } do
    parts[#parts + 1] = core.sha256(tostring(content[name]))
  end
  return table.concat(parts, " ")
end

-- 48 and 48.0 are one plan: what was read from JSON may be the latter.
local function hours_text(hours)
  return hours and ("%d"):format(hours) or "nil"
end

--- The hash of what a run is to do: the same for the same plan.
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.hash(clients, opts)
  local projects, message, err = projects_of(clients)
  if not projects then return nil, message, err end
  return core.sha256(table.concat({ opts.selection.text, table.concat(projects, " "),
    opts.component, hours_text(opts.certificate_expiration_time), content_hash(opts.cert_content),
  }, "\n"))
end

local function item_of(target)
  return { id = target.id, name = target.name, project_id = target.project_id,
    client = target.client, version = target.version, status = target.status, state = "planned" }
end

--- Fill `run.items` with the clusters that are there.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.new(run, clients)
  local found, message, err = targets.find(clients, run.opts.selection)
  if not found then return nil, message, err end
  for i, target in ipairs(found) do run.items[i] = item_of(target) end
  return true
end

-- ---- a run that goes on ------------------------------------------------------

local STATES = {
  planned = "planned", skipped = "planned", refused = "planned",
  intent = "open", unknown = "open",
  accepted = "accepted", settled = "accepted", ["repair"] = "accepted",
  ok = "ok", reissued = "ok", failed = "failed",
}

-- An uncertain one with a job was accepted; what the job did is looked at again.
local function state_of(line)
  if line.what == "uncertain" then return line.job and "accepted" or "open" end
  return STATES[line.what] or "open"
end

local function error_of(line)
  if not line.message then return nil end
  return errors.new(core.codes[line.code] and line.code or "INTERNAL", line.message, {
    hint = line.hint, request_id = line.request_id, operation = "rotate_credentials",
  })
end

--- An item as the journal knows it.
-- @tparam table line all that the journal says of a cluster
-- @tparam ?cce.client client
-- @treturn table
function M.item_of_line(line, client)
  local item = {
    id = line.cluster, name = line.name, project_id = line.project, client = client,
    state = state_of(line), job_id = line.job, job_before = line.job_before, sent = line.sent,
    request_id = line.request, duration = line.seconds, repair_tried = line.repair_tried,
    reissued = line.reissued, reissue_check = line.checked, err = error_of(line),
    problem = line.what == "reissued" and line.message or nil,
  }
  item.earlier = item.state == "ok" or item.state == "failed" or nil
  return item
end

-- A function cannot be part of the hash: it is asked again.
local function ask_filter_again(run, clients)
  local found, message, err = targets.all(clients)
  if not found then return nil, message, err end
  for _, item in ipairs(run.items) do
    local target = found.by_id[item.id]
    if item.state == "planned" and target and not run.opts.selection.filter(target.cluster) then
      item.state, item.message = "skipped", "the function that chooses clusters leaves it out now"
      run:write("skipped", { cluster = item.id, message = item.message })
    end
  end
  return true
end

local function check_clients(run)
  for _, item in ipairs(run.items) do
    if not item.client then
      local message = ("no client is of project %s, where the run has cluster %s"):format(
        tostring(item.project_id), item.id)
      return rotate_options.refuse(message, "Give the clients that the run was begun with")
    end
  end
  return true
end

--- Fill `run.items` with those of a run of the journal.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.again(run, clients, lines)
  local by_project, message, err = targets.by_project(clients)
  if not by_project then return nil, message, err end
  for i, id in ipairs(lines.order) do
    local line = lines.items[id.cluster]
    run.items[i] = M.item_of_line(line, by_project[line.project])
  end
  if run.opts.selection.by_function then
    local ok
    ok, message, err = ask_filter_again(run, clients)
    if not ok then return nil, message, err end
  end
  return check_clients(run)
end

return M
