--- Whether the rights that a rotation needs are there, before anything is sent.
--
-- Only what reads can be tried: to look at the clusters and, when their jobs are
-- to be waited for, at a job. Whether these credentials may rotate, tell nodes to
-- rotate again, or obtain a kubeconfig, no call of the API says without doing
-- it: a canary shows that.
-- @module cce.workflow.rotate.preflight
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local evidence = require "cce.workflow.rotate.evidence"
local reissue = require "cce.workflow.rotate.reissue"

local M = {}

-- Rights may differ from cluster to cluster: so many refuse before it is said
-- that all will.
local TRIES = 3

--- The IAM actions that cannot be tried.
-- @treturn string
function M.untried(opts)
  local actions = { core.operations.rotate_credentials.action }
  if opts.reissue then actions[2] = core.operations.obtain_cert.action end
  return table.concat(actions, ", ")
end

local function refused(item, what, err)
  return errors.fail("PERMISSION_DENIED", ("rotate: nothing was sent, since %s of project %s may"
    .. " not be looked at: %s"):format(what, item.project_id or "unknown", err.message), {
    operation = "rotate", retryable = false, maybe_applied = false, hint = err.hint,
    request_id = err.request_id, status = err.status, api_code = err.api_code,
  })
end

local function is_refusal(err)
  return err ~= nil and err.code == "PERMISSION_DENIED"
end

local function may_see_jobs(run, item, cluster)
  local id = run.opts.waiting and evidence.job_id_of(cluster)
  if not id then return true end
  local job, _, err = item.client:show_job(id)
  if job or not is_refusal(err) then return true end
  return refused(item, "the jobs", err)
end

-- Any other failure is for the item itself to tell.
local function may_see(run, items)
  local err
  for i = 1, math.min(TRIES, #items) do
    local cluster, _, problem = items[i].client:show_cluster(items[i].id)
    if cluster then return may_see_jobs(run, items[i], cluster) end
    if not is_refusal(problem) then return true end
    err = problem
  end
  return refused(items[1], "the clusters", err)
end

-- Lists of items, one a client.
local function by_client(items)
  local lists, of = {}, {}
  for _, item in ipairs(items) do
    if not of[item.client] then
      of[item.client] = {}
      lists[#lists + 1] = of[item.client]
    end
    table.insert(of[item.client], item)
  end
  return lists
end

--- Try what can be tried, with each client that has something to begin. The places
-- of the kubeconfigs to reissue come first.
-- @tparam table run
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err code PERMISSION_DENIED, or why a new kubeconfig cannot be saved
function M.check(run)
  if run.opts.reissue then
    local ok, message, err = reissue.prove(run, run.items)
    if not ok then return nil, message, err end
  end
  for _, items in ipairs(by_client(run:items_in "pending")) do
    local ok, message, err = may_see(run, items)
    if not ok then return nil, message, err end
  end
  return true
end

return M
