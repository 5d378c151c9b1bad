--- The options of `cce.workflow.revoke`.
-- @module cce.workflow.revoke.options
-- @local
local access = require "cce.workflow.rights.access"
local service_call = require "cce.api.service_call"
local errors = require "cce.error"
local kubeconfigs = require "cce.kubeconfig"
local options = require "cce.base.options"
local pace = require "cce.workflow.pace"
local principals = require "cce.workflow.revoke.principals"
local targets = require "cce.workflow.targets"
local values = require "cce.base.values"

local M = {}

local function is_principals(list)
  for _, each in ipairs(list) do
    local is_one = type(each) == "table" and (each.kind == "user" or each.kind == "agency")
      and type(each.id) == "string" and values.is_id(each.id)
    if not is_one then
      return false, 'those of a report: {{kind="user"|"agency", id=}, ...}, each with its id'
    end
  end
  return true
end

local schema = {
  clusters = { type = { "table", "callable" }, required = true },
  user_id = values.id_rule,
  agency_id = values.id_rule,
  kubeconfig = { type = { "table", "string" } },
  certificate = { type = "string", non_empty = true },
  deleted_since = service_call.time_rule,
  principal = { type = "string", one_of = { "user", "agency" } },
  principals = { type = "list", check = is_principals },
  partial = { type = "boolean" },
  tracker_region = { type = "string", check = values.is_id },
  tracker_project_id = values.id_rule,
  allow_self = { type = "boolean", default = false },
  knows = { type = "callable" },
  unknown_ok = { type = "boolean", default = false },
  retry_failed = { type = "boolean", default = false },
  verify = { type = { "boolean", "table", "callable" }, default = false },
  remove = { type = "boolean", default = false },
  admin = access.option,
  undo = { type = "string", non_empty = true },
  first_intent = service_call.time_rule,
  journal = { type = "string", non_empty = true },
  run = { type = "string", non_empty = true },
  concurrency = { type = "integer", min = 1, max = 1000, default = 10 },
  rate_limit = pace.option,
  dry_run = { type = "boolean", default = false },
  on_progress = { type = "callable" },
}

local function refuse(message, hint)
  return errors.fail("INVALID_ARGUMENT", "revoke: " .. message, { operation = "revoke",
    retryable = false, maybe_applied = false, hint = hint })
end

--- Check and complete the options.
-- @tparam table given
-- @tparam int level whom a raised error points at
-- @treturn[1] table with `selection` of `cce.workflow.targets`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.read(given, level)
  local opts, message, err = options.check(given, schema, level + 1)
  if not opts then return nil, message, err end
  if type(opts.kubeconfig) == "table" and not kubeconfigs.is(opts.kubeconfig) then
    error("bad option 'kubeconfig' (cce.kubeconfig or a path expected, got table)", level + 1)
  end
  local source
  source, message, err = principals.source(opts)
  if not source then return nil, message, err end
  if opts.principals and #opts.principals == 0 then return refuse "principals is empty" end
  if (opts.admin or opts.undo) and not opts.remove then
    return refuse("admin= and undo= are for remove=true")
  end
  if opts.verify == true and source ~= "kubeconfig" then
    return refuse("verify=true needs kubeconfig=", "Or give verify= the kubeconfigs of the"
      .. " clusters: a list, or a table by cluster id")
  end
  opts.selection, message, err = targets.selection(opts.clusters, level + 1)
  if not opts.selection then return nil, message, err end
  return opts
end

return M
