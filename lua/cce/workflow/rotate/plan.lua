--- Which clusters a run is about, and what is known of each.
-- @module cce.workflow.rotate.plan
-- @local
local core = require "cce.core"
local targets = require "cce.workflow.targets"

local M = {}

--- The hash of what a run is to do: the same for the same plan.
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.hash(run)
  local opts, projects = run.opts, {}
  for i, client in ipairs(run.clients) do
    local id, message, err = targets.project_of(client)
    if not id then return nil, message, err end
    projects[i] = id
  end
  table.sort(projects)
  -- Not the keys themselves: only whether they are the same.
  local content, hashes = opts.cert_content, {}
  for i, name in ipairs(content and { "ca", "cert", "private_key" } or {}) do
    hashes[i] = core.sha256(tostring(content[name]))
  end
  -- 48 and 48.0 are one plan: what was read from JSON may be the latter.
  local hours = opts.certificate_expiration_time
  return core.sha256(table.concat({ opts.selection.text, table.concat(projects, " "),
    opts.component, hours and ("%d"):format(hours) or "nil", table.concat(hashes, " "),
  }, "\n"))
end

--- Fill `run.items` with the clusters that are there.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.new(run)
  local found, message, err = targets.find(run.clients, run.opts.selection)
  if not found then return nil, message, err end
  if #found == 0 then run.report:note("no cluster is chosen: %s", run.opts.selection.text) end
  for i, target in ipairs(found) do
    run.items[i] = { id = target.id, name = target.name, project_id = target.project_id,
      client = target.client, version = target.version, status = target.status,
      autopilot = target.autopilot, state = "pending" }
  end
  return true
end

-- ---- a run that goes on ------------------------------------------------------

--- An item as the journal knows it.
-- @tparam table line all that the journal says of a cluster
-- @treturn table
function M.recall(line)
  return { job_id = line.job or nil, job_before = line.job_before, sent = line.sent,
    request_id = line.request, repair_tried = line.repair_tried or nil,
    repair_accepted = line.repair_accepted or nil, reissued = line.reissued,
    reissue_check = line.checked, settled_by = line.by,
    shortfall = line.what == "reissued" and line.message or nil }
end

--- A function cannot be part of the hash: it is asked again about what is pending.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.ask_filter_again(run)
  if not run.opts.selection.by_function then return true end
  local found, message, err = targets.all(run.clients)
  if not found then return nil, message, err end
  for _, item in ipairs(run:items_in "pending") do
    local target = found.by_id[item.id]
    if target and not run.opts.selection.filter(target.cluster) then
      item.state, item.message = "skipped", "the function that chooses clusters leaves it out now"
      item.left_out = true
    end
  end
  return true
end

return M
