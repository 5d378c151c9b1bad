--- Rotate the certificates of many clusters: `cce.workflow.rotate`.
-- @module cce.workflow.rotate
local pace = require "cce.workflow.pace"
local plan = require "cce.workflow.rotate.plan"
local preflight = require "cce.workflow.rotate.preflight"
local rotate_options = require "cce.workflow.rotate.options"
local rotate_report = require "cce.workflow.rotate.report"
local rotation = require "cce.workflow.rotate.cluster"
local runs = require "cce.workflow.run"
local targets = require "cce.workflow.targets"
local waves = require "cce.workflow.rotate.waves"
local windows = require "cce.workflow.rotate.windows"

local workflow = { name = "rotate", operation = "rotate_credentials", hash = plan.hash,
  plan = plan.new, preview = rotate_report.preview, entry = rotate_report.entry,
  settle = rotation.process, may_begin = windows.are_open }

function workflow.recall(_, line)
  return plan.recall(line)
end

function workflow.opening(run)
  local open = run.open or {}
  return { component = run.opts.component, hours = run.opts.certificate_expiration_time,
    windows = open.windows, except = open.except, zone = open.named }
end

function workflow.planned(item)
  return { cluster = item.id, name = item.name, project = item.project_id }
end

-- What another run was to do to a cluster is done by this one.
function workflow.is_same(run, known)
  return known.component == run.opts.component
end

function workflow.check(run)
  run.pace = pace.new(run.clients, run.opts.rate_limit)
  local ok, message, err = windows.choose(run)
  if ok then ok, message, err = plan.ask_filter_again(run) end
  if ok then ok, message, err = preflight.check(run) end
  if not ok then return nil, message, err end
  if not run.report.resumed then rotate_report.note_recent(run) end
  return true
end

function workflow.execute(run)
  for _, item in ipairs(run.items) do
    if item.left_out then run:write("skipped", { cluster = item.id, message = item.message }) end
  end
  rotate_report.announce(run)
  waves.execute(run)
end

function workflow.close(run)
  local count = #run:select(function(item) return item.message == "accepted, not waited for" end)
  if count > 0 then run.report:note("%d accepted, and not waited for: wait=false", count) end
  if run.open and run:count "pending" > 0 then windows.note(run) end
end

--- Rotate the certificates of many clusters, so that it may be interrupted at
-- any moment and begun again.
--
-- With a journal, what is meant is on disk before a request leaves. A start
-- with the same journal and the same plan (clusters, projects, component and
-- what goes with it) resumes a run that did not end: it sends to no cluster
-- twice. Requests whose outcome is not known are settled by evidence alone (a
-- new rotation job of the cluster, or a trace of CTS); else they stay
-- `uncertain`, with a hint that says how to settle them. Without a journal
-- nothing can be resumed. A line of the journal is on disk before the run goes
-- on: inside nginx the run yields meanwhile, inside an event loop the process
-- stands still for that long.
--
-- **Open and closed.** A run is open until each cluster is settled. Final are those
-- that are ok, that were refused for good (an invalid request, no such cluster), whose
-- job failed, that are excluded by a rule, or that a person gave up. Open are those
-- that are `uncertain`, and those that are `pending` with their reason: not begun, a
-- key or a permission that was refused, not Available, locked, throttled, no network;
-- and a kubeconfig of `reissue` that is still owed. The same call again settles what
-- is uncertain by evidence, waits for jobs that run, does what is pending, and writes
-- what is owed. When nothing is open it sends nothing, and `already_finished` says
-- since when. A job that failed is sent again only by `retry_failed`.
--
-- **Run names.** `run=` names a run, and another name begins another one in the same
-- journal. So a nightly line of cron has one journal and a name that changes: `run =
-- os.date "%Y-%m-%d"`. What is pending in the night before is handed over to the new
-- run; a cluster that is uncertain there is left alone until it is settled, by evidence
-- or by a person (`cce runs settle`). The same name, or none, with another plan is an
-- error: `cce runs discard` ends a run. A path that holds the date would not do
-- that: what the night before had done would be rotated again.
--
-- **Before.** Clusters older than v1.19 are excluded, and so is, with
-- `unless_rotated_within`, what CTS or the cluster's last job shows to have been rotated
-- since then; where neither tells, the cluster stays pending. Credentials that may not look
-- at the clusters of a project, or at their jobs, are refused with PERMISSION_DENIED before
-- anything is sent. Whether they may rotate cannot be told without rotating: `canary=1`
-- shows it at one cluster.
--
-- **Stopping.** Until `canary` clusters are ok, nothing else is begun: a canary that
-- failed or is uncertain stops the run, and so does `max_failures`; `report.stopped`
-- says why, and what would settle it. Once a key is refused, nothing more is sent with
-- it. The same call goes on; `canary=0`, or another `max_failures`, in spite of it.
-- These, `windows`, `wait`, `repair`, `reissue`, `concurrency` and `rate_limit` are not part of
-- the plan.
--
-- **Windows.** Outside of `windows`, and inside of what `except` names, no cluster is begun; one
-- that was begun is followed to its end. When they close the call ends: what is left is pending,
-- `report.next_window` says when they open again, and the same call goes on then. A run keeps the
-- windows that it was begun with, unless the call names others; `windows=false` goes on at all
-- times. A window belongs to the day on which it begins; what counts is what the clock on the wall
-- shows in `zone`. (A blackout is `except`, since `not` is a word of Lua.)
-- @tparam cce.client|{cce.client,...} clients one, or one for each project
-- @tparam table opts
-- @tparam table|function opts.clusters a list of ids; a function that is called
--   with each cluster of the projects and returns whether it is meant; or
--   `{name=, version=, status=}`: a name with `*` and `?`, the beginning of a
--   version such as "v1.27", a phase such as "Available". All clusters are
--   `{name="*"}`.
-- @tparam[opt="all"] string opts.component as for `client:rotate_credentials`
-- @tparam[opt] int opts.certificate_expiration_time hours; 0 needs
--   `accept_token_loss`
-- @tparam[opt] table opts.cert_content for component "custom"
-- @tparam[opt=true] boolean|table opts.wait for the jobs; `{timeout=1800,
--   interval=5}` in seconds; false: what was accepted counts as ok
-- @tparam[opt] string opts.journal path of a file
-- @tparam[opt] string opts.run the name of the run
-- @tparam[opt=0] int opts.canary so many clusters go first, one at a time, and
--   must all succeed
-- @tparam[opt=10] int opts.concurrency clusters at a time
-- @tparam[opt] int|string opts.max_failures stop at so many, or at a share such
--   as "10%". Failed jobs count, what the API refused (401, 403, 5xx), and what is
--   uncertain; not what hibernates, is locked or throttled
-- @tparam[opt=false] boolean opts.retry_failed send again what failed in a run, after a
--   look at the cluster
-- @tparam[opt] number|string opts.unless_rotated_within seconds, or such as "24h": leave
--   out what was rotated since then, by any caller; the report says who and when
-- @tparam[opt] string|{string,...}|boolean opts.windows when clusters may be begun: such as
--   "sat,sun 01:00-05:00" or "mon-fri 22:00-04:00"; see above
-- @tparam[opt] string|{string,...} opts.except when none may be begun: such as
--   "2026-12-20/2027-01-05", both days included, or "2026-12-24T18:00/2026-12-27"
-- @tparam[opt="UTC"] string opts.zone of both: "UTC", "local" (of this machine) or such as "+08:00"
-- @tparam[opt=false] boolean opts.repair tell nodes that failed to rotate again;
--   a cluster where the API accepts that counts as ok, with a note that names
--   the nodes, and what failed beside them
-- @tparam[opt] table opts.reissue `{dir=, duration=|expire_at=, check=true}`: obtain a
--   new kubeconfig of each rotated cluster into `<dir>/<cluster id>.json`, and ask
--   the cluster with it. Items have `reissued`, the path, and `reissue_check`:
--   "works", "refused" or "unchecked". What could not be obtained, saved or checked is
--   still owed, so that the cluster is `pending`; what is refused is noted, and
--   `exit_code` is 1. The rotation stands. check=false does not ask
-- @tparam[opt="10/min"] string|boolean opts.rate_limit of requests that change
--   something in each account, for all workflows of this user together; false: none
-- @tparam[opt=false] boolean opts.accept_token_loss allow
--   `certificate_expiration_time=0`
-- @tparam[opt=false] boolean opts.dry_run send nothing that changes anything,
--   and return the plan
-- @tparam[opt] function opts.before_send as for `client:revoke_cert`; asked before
--   every request that changes something
-- @tparam[opt] function opts.on_progress called with done, total and failed, as
--   `cce.progress` is; returning false stops
-- @treturn[1] cce.report
-- @treturn[2] nil when it could not begin
-- @treturn[2] string message
-- @treturn[2] table err CONFLICT: the journal is in use or holds another plan
-- @usage
-- local report = assert(cce.workflow.rotate(client, {
--   clusters = { name = "prod-*", status = "Available" },
--   journal = "/var/lib/cce/rotate.journal", run = os.date "%Y-%m-%d",
--   canary = 1, max_failures = "10%", on_progress = cce.progress { label = "rotate" },
-- }))
-- print(report)
-- os.exit(report:exit_code())
local function rotate(clients, opts)
  clients = targets.clients(clients, "rotate", 2)
  local checked, message, err = rotate_options.read(opts, 2)
  if not checked then return nil, message, err end
  local report
  report, message, err = runs.call(workflow, clients, checked)
  if report == nil then return nil, message, err end
  return report
end

return rotate
