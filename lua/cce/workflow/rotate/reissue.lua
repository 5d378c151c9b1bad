--- New kubeconfigs for those that a rotation made stale: obtained, saved, and
-- shown to the cluster.
-- @module cce.workflow.rotate.reissue
-- @local
local core = require "cce.core"
local destinations = require "cce.kubeconfig.destination"
local errors = require "cce.error"
local kubeconfigs = require "cce.kubeconfig"
local probe = require "cce.kubeconfig.probe"

local M = {}

local function destination_of(run, item)
  return { path = ("%s/%s.json"):format(run.opts.reissue.dir, item.id) }
end

--- Whether the kubeconfigs can be asked for, and saved, before anything is rotated.
-- @tparam table run
-- @tparam {table,...} items
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.prove(run, items)
  local asked = run.opts.reissue
  local directory = asked.dir
  local request, reason, code = core.operation("obtain_cert", { project_id = "p",
    cluster_id = "c" }, { duration = asked.duration, expire_at = asked.expire_at },
    run.clients[1]:now())
  if not request then
    return errors.fail(code, "reissue: " .. reason, { operation = "rotate", retryable = false,
      maybe_applied = false })
  end
  -- The command makes it, but not in a dry run.
  if run.opts.dry_run and not core.file.stat(directory) then
    return destinations.prove_directory(directory)
  end
  for _, item in ipairs(items) do
    local ok, message, err = destinations.prove(destination_of(run, item), item, item.client)
    if not ok then return nil, message, err end
  end
  return true
end

local function obtain_and_save(run, item)
  local opts = run.opts.reissue
  local kubeconfig, message, err = item.client:obtain_cert(item.id, {
    duration = opts.duration, expire_at = opts.expire_at, before_send = run.opts.before_send,
  })
  if not kubeconfig then return nil, message, err end
  local certificate
  certificate, message, err = kubeconfig:certificate()
  if not certificate then return nil, message, err end
  if certificate.key_matches ~= true then
    return errors.fail("KEY_MISMATCH", "the key of the new kubeconfig is not its certificate's")
  end
  local saved
  saved, message, err = destinations.save(destination_of(run, item), kubeconfig)
  if not saved then return nil, message, err end
  item.reissued = saved.path
  return kubeconfig
end

-- An API server may need a moment after the job that rotated it.
local function check(run, item, kubeconfig)
  if not run.opts.reissue.check then
    item.owed = false
    return nil
  end
  local seen = probe.wait_until(item.client, kubeconfig, "works")
  item.reissue_check = seen.state == "unclear" and "unchecked" or seen.state
  item.owed = seen.state == "unclear"
  if seen.state == "refused" then
    return ("the cluster refuses its new kubeconfig, %s (%s)"):format(item.reissued, seen.text)
  elseif seen.state == "unclear" then
    item.shortfall_code = "UNVERIFIED"
    return ("its new kubeconfig, %s, is unchecked: %s; check=false where clusters cannot be"
      .. " reached"):format(item.reissued, seen.text)
  end
end

--- Obtain a cluster's kubeconfig again, unless there is one that is only unchecked. The
-- rotation stands, whatever becomes of this: what went wrong is in `item.shortfall`, and
-- while it can be mended the kubeconfig is `item.owed`.
--
-- `item.reissue_check` says what the cluster did: "works", "refused", or
-- "unchecked" when it gave no clear answer.
-- @tparam table run
-- @tparam table item
function M.process(run, item)
  local kubeconfig, message, err
  if item.reissue_check == "unchecked" then kubeconfig = kubeconfigs.load(item.reissued) end
  if not kubeconfig then kubeconfig, message, err = obtain_and_save(run, item) end
  if not kubeconfig then
    item.owed, item.shortfall_code = true, err.code
    item.shortfall = (err.recovered
      and "rotated, but its new kubeconfig is not where it was to go: "
      or "rotated, but its kubeconfig was not obtained again: ") .. message
    return
  end
  item.shortfall = check(run, item, kubeconfig)
  run:write("reissued", { cluster = item.id, name = item.name, project = item.project_id,
    job = item.job_id, reissued = item.reissued, checked = item.reissue_check, owed = item.owed,
    message = item.shortfall })
end

return M
