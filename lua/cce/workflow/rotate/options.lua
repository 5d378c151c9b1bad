--- The options of `cce.workflow.rotate`.
-- @module cce.workflow.rotate.options
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local options = require "cce.base.options"
local pace = require "cce.workflow.pace"
local targets = require "cce.workflow.targets"
local times = require "cce.base.times"
local windows = require "cce.base.windows"

local M = {}

local function is_limit(value)
  local percent = type(value) == "string" and tonumber(value:match "^(%d+%.?%d*)%%$")
  if type(value) == "string" then
    return percent ~= nil and percent > 0 and percent <= 100,
      'a count such as 5, or a share such as "10%"'
  end
  return value >= 1 and value % 1 == 0, "a whole number from 1 on"
end

local LONGEST_SPAN = 3653 * 86400

local function is_span(value)
  local seconds = times.interval(value)
  return seconds ~= nil and seconds > 0 and seconds <= LONGEST_SPAN,
    'seconds, or a count of s, m, h, d or w such as "24h", 10 years at most'
end

local schema = {
  clusters = { type = { "table", "callable" }, required = true },
  component = { type = "string", default = "all",
    one_of = { "all", "service-account-controller", "custom" } },
  certificate_expiration_time = { type = "integer", min = 0, max = 8784, unit = "hours" },
  cert_content = { type = "table" },
  wait = { type = { "boolean", "table" }, default = true },
  journal = { type = "string", non_empty = true },
  run = { type = "string", non_empty = true },
  canary = { type = "integer", min = 0, default = 0 },
  concurrency = { type = "integer", min = 1, max = 1000, default = 10 },
  max_failures = { type = { "number", "string" }, check = is_limit },
  retry_failed = { type = "boolean", default = false },
  unless_rotated_within = { type = { "number", "string" }, check = is_span },
  windows = { type = { "string", "table", "boolean" } },
  except = { type = { "string", "table" } },
  zone = { type = "string" },
  repair = { type = "boolean", default = false },
  reissue = { type = "table" },
  rate_limit = pace.option,
  accept_token_loss = { type = "boolean", default = false },
  dry_run = { type = "boolean", default = false },
  before_send = { type = "callable" },
  on_progress = { type = "callable" },
}

local wait_schema = {
  timeout = { type = "number", min = 0, default = 1800, unit = "seconds" },
  interval = { type = "number", min = 0.01, max = 3600, default = 5, unit = "seconds" },
}

local reissue_schema = {
  dir = { type = "string", required = true, non_empty = true },
  duration = { type = "integer", min = -1, max = 1827, unit = "days" },
  expire_at = { type = "number", unit = "as unix time" },
  check = { type = "boolean", default = true },
}

-- How often a cluster is asked for the job of a repair.
local LOOKS = 3

local function check_wait(opts, level)
  if opts.wait == false then return true end
  local wait, message, err = options.check(opts.wait ~= true and opts.wait or {}, wait_schema,
    level + 1)
  if not wait then return nil, message, err end
  wait.looks = LOOKS
  opts.waiting = wait
  return true
end

--- The error of options that do not go together.
-- @treturn nil
-- @treturn string message
-- @treturn table err
function M.refuse(message, hint)
  return errors.fail("INVALID_ARGUMENT", message, { operation = "rotate", retryable = false,
    maybe_applied = false, hint = hint })
end

local function check_reissue(opts, level)
  if not opts.reissue then return true end
  local reissue, message, err = options.check(opts.reissue, reissue_schema, level + 1)
  if not reissue then return nil, message, err end
  if not reissue.duration and not reissue.expire_at then
    return M.refuse("reissue= names no lifetime", "Give duration=<days> or expire_at=<unix time>")
  end
  if opts.wait == false then
    return M.refuse("reissue needs the end of the rotation: it cannot be with wait=false")
  end
  opts.reissue = reissue
  return true
end

-- `windows=false` is at all times, whatever the run was begun with.
local function check_windows(opts)
  local is_none = not opts.windows and (opts.windows == false or not opts.except)
  if opts.windows == true or is_none and (opts.except or opts.zone) then
    return M.refuse("windows are a text such as \"sat,sun 01:00-05:00\", and zone goes with them")
  end
  if is_none then return true end
  local open, why = windows.read(opts.windows, opts.except, opts.zone)
  if not open then return M.refuse("the windows are not right: " .. why) end
  opts.open = open
  return true
end

-- What destroys more than it seems is asked for in words.
local function check_danger(opts)
  if opts.certificate_expiration_time == 0 and not opts.accept_token_loss then
    return M.refuse("certificate_expiration_time=0 makes every ServiceAccount token that was issued"
      .. " before invalid at once", "Give accept_token_loss=true if that is meant")
  end
  local is_custom = opts.component == "custom"
  if is_custom ~= (opts.cert_content ~= nil) then
    local all = "cert_content.ca, cert_content.cert and cert_content.private_key"
    return M.refuse(is_custom and "component=\"custom\" needs " .. all
      or all .. " are for component=\"custom\" only")
  end
  -- The rest is checked where the request is built; nothing is sent here.
  local ids = { project_id = "p", cluster_id = "c" }
  return errors.from_core(core.operation("rotate_credentials", ids, {
    component = opts.component, cert_content = opts.cert_content,
    certificate_expiration_time = opts.certificate_expiration_time,
  }))
end

--- Check and complete the options.
-- @tparam table given
-- @tparam int level whom a raised error points at
-- @treturn[1] table with `waiting`, how to wait for jobs (nil: not at all), `open`, the
--   `cce.base.windows` if there are any, and `selection` of `cce.workflow.targets`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.read(given, level)
  local opts, message, err = options.check(given, schema, level + 1)
  if not opts then return nil, message, err end
  for _, check in ipairs { check_wait, check_reissue, check_windows, check_danger } do
    local ok
    ok, message, err = check(opts, level + 1)
    if not ok then return nil, message, err end
  end
  opts.unless_rotated_within = times.interval(opts.unless_rotated_within)
  opts.selection, message, err = targets.selection(opts.clusters, level + 1)
  if not opts.selection then return nil, message, err end
  return opts
end

return M
