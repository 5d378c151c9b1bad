--- Rotate the certificates of many clusters: `cce.workflow.rotate`.
-- @module cce.workflow.rotate
local journals = require "cce.log.journal"
local pace = require "cce.workflow.pace"
local plan = require "cce.workflow.rotate.plan"
local preflight = require "cce.workflow.rotate.preflight"
local protect = require "cce.host.protect"
local json_line = require "cce.base.json_line"
local reports = require "cce.text.report"
local rotate_options = require "cce.workflow.rotate.options"
local rotate_report = require "cce.workflow.rotate.report"
local runs = require "cce.workflow.rotate.run"
local targets = require "cce.workflow.targets"

local function write_plan(run, hash)
  local journal = run.journal
  local ok, message, err = journal:write("run", { run = run.name, id = json_line.new_id(),
    plan = hash, component = run.opts.component, version = 1, clusters = #run.items,
    hours = run.opts.certificate_expiration_time }, false)
  for _, item in ipairs(run.items) do
    if not ok then break end
    ok, message, err = journal:write("planned", { cluster = item.id, name = item.name,
      project = item.project_id }, false)
  end
  if ok then ok, message, err = journal:write("begun", { clusters = #run.items }) end
  if not ok then return nil, message, err end
  return true
end

local function begin_new(run, clients, hash, report)
  local ok, message, err = plan.new(run, clients)
  if ok then ok, message, err = preflight.check(run) end
  if not ok then return nil, message, err end
  rotate_report.note_recent(run, report)
  if run.opts.dry_run then return true end
  return write_plan(run, hash)
end

local function resume(run, clients, lines, report)
  local ok, message, err = plan.again(run, clients, lines)
  if ok then ok, message, err = preflight.check(run) end
  if not ok then return nil, message, err end
  if run.name and run.name ~= lines.name then
    report:note("run %s had not ended and was resumed; %s is not begun", lines.name, run.name)
  end
  run.name, report.resumed = lines.name, true
  if run.opts.dry_run then return true end
  return run.journal:write("resumed", {})
end

local function carry_out(run, clients, hash, report)
  local choice, lines, err = run.journal:choose(hash, run.opts.run)
  if not choice then return nil, lines, err end
  if choice == "finished" then return rotate_report.of_finished(run, report, lines) end
  run.pace = pace.new(clients, run.opts.rate_limit)
  local ok, message
  if choice == "resume" then
    ok, message, err = resume(run, clients, lines, report)
  else
    ok, message, err = begin_new(run, clients, hash, report)
  end
  if not ok then return nil, message, err end
  if run.opts.dry_run then return rotate_report.of_dry_run(run, report, choice == "resume") end
  rotate_report.announce(run)
  run:execute()
  rotate_report.close(run, report)
  return report
end

local function open_journal(clients, opts)
  if opts.dry_run then return journals.look(opts.journal, clients[1].clock) end
  return journals.open(opts.journal, clients[1].clock)
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
-- **Run names.** A run that finished is not repeated: the same call returns its
-- report with `already_finished`, and `report:exit_code()` is 3. `run=` names
-- a run, and another name begins another one in the same journal. So a nightly
-- line of cron has one journal and a name that changes: `run = os.date
-- "%Y-%m-%d"`. When the night before was interrupted, that run is resumed first,
-- which `report.notes` says, and the new name has its turn at the next start.
-- A path that holds the date would not do that: the rest of the night before
-- would be forgotten, and what it had done would be rotated again.
--
-- **Before.** Clusters that are not Available, or older than v1.19, are skipped.
-- Credentials that may not look at the clusters of a project, or at their jobs,
-- are refused with PERMISSION_DENIED before anything is sent. Whether they may
-- rotate cannot be told without rotating: `canary=1` shows it at one cluster.
--
-- **Stopping.** When a canary fails, or `max_failures` is reached, nothing new is
-- begun, and `report.stopped` says why. The same call resumes; `canary=0`, or
-- another `max_failures`, goes on in spite of it. These, `wait`, `repair`,
-- `reissue`, `concurrency` and `rate_limit` are not part of the plan.
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
--   as "10%"; uncertain ones count
-- @tparam[opt=false] boolean opts.repair tell nodes that failed to rotate again;
--   a cluster where the API accepts that counts as ok, with a note that names
--   the nodes
-- @tparam[opt] table opts.reissue `{dir=, duration=|expire_at=, check=true}`: obtain a
--   new kubeconfig of each rotated cluster into `<dir>/<cluster id>.json`, and ask
--   the cluster with it. Items have `reissued`, the path, and `reissue_check`:
--   "works", "refused", or "unchecked" when the cluster could not be reached. All
--   but the first is noted, and `exit_code` is then 1; the rotation stands.
--   check=false does not ask
-- @tparam[opt="10/min"] string|boolean opts.rate_limit of requests that change
--   something in each account; false: none
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
  local checked, hash, message, err
  checked, message, err = rotate_options.read(opts, 2)
  if not checked then return nil, message, err end
  hash, message, err = plan.hash(clients, checked)
  if not hash then return nil, message, err end
  local journal
  journal, message, err = open_journal(clients, checked)
  if not journal then return nil, message, err end
  local run = runs.new(checked, journal, clients[1].clock)
  local report = reports.new("rotate", run.clock())
  local ok, result, reason, problem = protect.pcall(carry_out, run, clients, hash, report)
  journal:close()
  if not ok then error(result, 0) end
  if result then return result end
  return nil, reason, problem
end

return rotate
