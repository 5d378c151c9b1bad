--- Rotate the certificates of many clusters: `cce.workflow.rotate`.
-- @module cce.workflow.rotate
local core = require "cce.core"
local errors = require "cce.error"
local journals = require "cce.journal"
local map = require "cce.map"
local options = require "cce.options"
local protect = require "cce.host.protect"
local rate = require "cce.rate"
local record = require "cce.record"
local reports = require "cce.report"
local rotation = require "cce.workflow.rotation"
local targets = require "cce.workflow.targets"

local DEFAULT_RATE = "10/min"

-- What the API does when the request names no time.
local DEFAULT_RETENTION_HOURS = 24

-- ---- options -----------------------------------------------------------------

local function is_limit(value)
  local percent = type(value) == "string" and tonumber(value:match "^(%d+%.?%d*)%%$")
  if type(value) == "string" then
    return percent ~= nil and percent ~= false and percent > 0 and percent <= 100,
      'a count such as 5, or a share such as "10%"'
  end
  return value >= 1 and value % 1 == 0, "a whole number from 1 on"
end

local function is_rate(value)
  return value == false or (type(value) == "string" and rate.parse(value) ~= nil),
    'a count and a window such as "10/min", or false'
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
  repair = { type = "boolean", default = false },
  reissue = { type = "table" },
  rate_limit = { type = { "string", "boolean" }, check = is_rate, default = DEFAULT_RATE },
  accept_token_loss = { type = "boolean", default = false },
  dry_run = { type = "boolean", default = false },
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

local function refuse(message, hint)
  return errors.fail("INVALID_ARGUMENT", message, { operation = "rotate", retryable = false,
    maybe_applied = false, hint = hint })
end

local function check_reissue(opts, level)
  if not opts.reissue then return true end
  local reissue, message, err = options.check(opts.reissue, reissue_schema, level + 1)
  if not reissue then return nil, message, err end
  if not reissue.duration and not reissue.expire_at then
    return refuse("reissue names no lifetime", "Give duration=<days> or expire_at=<unix time>")
  end
  if opts.wait == false then
    return refuse("reissue needs the end of the rotation: it cannot be with wait=false")
  end
  opts.reissue = reissue
  return true
end

-- What destroys more than it seems is asked for in words.
local function check_danger(opts)
  if opts.certificate_expiration_time == 0 and not opts.accept_token_loss then
    return refuse("certificate_expiration_time=0 makes every ServiceAccount token that was issued"
      .. " before invalid at once", "Give accept_token_loss=true if that is meant")
  end
  local is_custom = opts.component == "custom"
  if is_custom ~= (opts.cert_content ~= nil) then
    return refuse(is_custom and "component=\"custom\" needs cert_content"
      or "cert_content is for component=\"custom\" only")
  end
  -- The rest is checked where the request is built; nothing is sent here.
  local ids = { project_id = "p", cluster_id = "c" }
  return errors.from_core(core.operation("rotate_credentials", ids, {
    component = opts.component, cert_content = opts.cert_content,
    certificate_expiration_time = opts.certificate_expiration_time,
  }, 0))
end

local function read_options(given, level)
  local opts, message, err = options.check(given, schema, level + 1)
  if not opts then return nil, message, err end
  for _, check in ipairs { check_wait, check_reissue, check_danger } do
    local ok
    ok, message, err = check(opts, level + 1)
    if not ok then return nil, message, err end
  end
  opts.selection, message, err = targets.selection(opts.clusters, level + 1)
  if not opts.selection then return nil, message, err end
  return opts
end

-- ---- the plan ----------------------------------------------------------------

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

local function plan_hash(clients, opts)
  local projects, message, err = projects_of(clients)
  if not projects then return nil, message, err end
  return core.sha256(table.concat({ opts.selection.text, table.concat(projects, " "),
    opts.component, tostring(opts.certificate_expiration_time), content_hash(opts.cert_content),
  }, "\n"))
end

local function item_of(target)
  return { id = target.id, name = target.name, project_id = target.project_id,
    client = target.client, version = target.version, status = target.status, state = "planned" }
end

local function plan_new(run, clients)
  local found, message, err = targets.find(clients, run.opts.selection)
  if not found then return nil, message, err end
  for i, target in ipairs(found) do run.items[i] = item_of(target) end
  return true
end

-- ---- a run that goes on --------------------------------------------------------

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

local function item_of_line(line, client)
  local item = {
    id = line.cluster, name = line.name, project_id = line.project, client = client,
    state = state_of(line), job_id = line.job, job_before = line.job_before, sent = line.sent,
    request_id = line.request, duration = line.seconds, repair_tried = line.repair_tried,
    reissued = line.reissued, err = error_of(line),
  }
  item.earlier = item.state == "ok" or item.state == "failed" or nil
  return item
end

local function client_by_project(clients)
  local by_project = {}
  for _, client in ipairs(clients) do
    local id, message, err = targets.project_of(client)
    if not id then return nil, message, err end
    by_project[id] = by_project[id] or client
  end
  return by_project
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

local function plan_again(run, clients, lines)
  local by_project, message, err = client_by_project(clients)
  if not by_project then return nil, message, err end
  for i, id in ipairs(lines.order) do
    local line = lines.items[id.cluster]
    run.items[i] = item_of_line(line, by_project[line.project])
  end
  if run.opts.selection.by_function then return ask_filter_again(run, clients) end
  return true
end

-- ---- a run ---------------------------------------------------------------------

local Run = {}
Run.__index = Run

function Run:stop(reason)
  self.stopped = self.stopped or reason
end

function Run:write(what, fields)
  local ok, message = self.journal:write(what, fields)
  if not ok then self:stop("the journal cannot be written: " .. message) end
end

-- Requests that change something, of all clusters together.
function Run:wait_for_turn(item)
  local seconds = self.limiter and self.limiter:reserve(self.clock()) or 0
  if seconds > 0 then item.client.sleep(seconds) end
end

-- Those that an earlier start sent within the window count, too.
local function new_limiter(run)
  local limit = run.opts.rate_limit
  if not limit then return nil end
  local limiter, sent = rate.new(limit), {}
  for _, item in ipairs(run.items) do sent[#sent + 1] = item.sent end
  table.sort(sent)
  for _, time in ipairs(sent) do limiter:reserve(math.min(time, run.clock())) end
  return limiter
end

local ENDED = { ok = true, failed = true, skipped = true, uncertain = true }

local function progress_of(run)
  local done, failed = 0, 0
  for _, item in ipairs(run.items) do
    if ENDED[item.state] then done = done + 1 end
    if item.state == "failed" or item.state == "uncertain" then failed = failed + 1 end
  end
  return done, failed
end

local function report_progress(run)
  if not run.opts.on_progress then return end
  local done, failed = progress_of(run)
  if run.opts.on_progress(done, #run.items, failed) == false then
    run:stop("on_progress cancelled it")
  end
end

-- A bar is left whole, so that the report begins on a line of its own.
local function finish_progress(run)
  local display = run.opts.on_progress
  if type(display) == "table" and display.finish then display:finish() end
end

local function max_failures(run)
  local limit = run.opts.max_failures
  if type(limit) ~= "string" then return limit end
  return math.max(1, math.ceil(#run.items * tonumber(limit:match "[%d.]+") / 100))
end

local function count_failure(run, item)
  if item.state ~= "failed" and item.state ~= "uncertain" then return end
  run.failures = run.failures + 1
  local limit = max_failures(run)
  if limit and run.failures >= limit then
    run:stop(("%d failures: max_failures is %s"):format(run.failures,
      tostring(run.opts.max_failures)))
  end
end

-- What a mistake of ours left undone must not look untouched.
local function note_raised(item, result)
  if result.ok then return end
  item.err = result.err
  item.state = item.state == "planned" and "failed" or "uncertain"
end

local function process(run, item)
  if run.stopped and item.state == "planned" then return true end
  rotation.process(run, item)
  count_failure(run, item)
  return true
end

local function process_all(run, items, concurrency)
  local results = map(items, function(item) return process(run, item) end, {
    concurrency = concurrency, on_progress = function() report_progress(run) end,
  })
  for i, result in ipairs(results) do note_raised(items[i], result) end
end

local function select_items(run, fits)
  local list = {}
  for _, item in ipairs(run.items) do
    if fits(item) then list[#list + 1] = item end
  end
  return list
end

local function count(run, state)
  return #select_items(run, function(item) return item.state == state end)
end

local function is_planned(item) return item.state == "planned" end

-- What earlier starts left open, before anything new is sent.
local function go_on(run)
  process_all(run, select_items(run, function(item)
    local wants_kubeconfig = item.state == "ok" and run.opts.reissue and not item.reissued
    return item.state == "open" or item.state == "accepted" or wants_kubeconfig
  end), run.opts.concurrency)
end

-- One after the other, until so many have succeeded.
local function canary_wave(run)
  local wanted = run.opts.canary
  if wanted == 0 then return end
  if count(run, "failed") > 0 and count(run, "ok") < wanted then
    return run:stop("a canary failed at an earlier start; canary=0 goes on nevertheless")
  end
  for _, item in ipairs(select_items(run, is_planned)) do
    if run.stopped or count(run, "ok") >= wanted then return end
    process_all(run, { item }, 1)
    if item.state == "failed" or item.state == "uncertain" then
      run:stop(("the canary %s %s"):format(item.name or item.id,
        item.state == "failed" and "failed" or "is uncertain"))
    end
  end
end

local function look_again(run)
  local left = select_items(run, function(item)
    return item.state == "uncertain" and not item.job_id
  end)
  map(left, function(item) rotation.look_again(run, item) end,
    { concurrency = run.opts.concurrency })
end

local function execute(run)
  run.failures = count(run, "failed")
  go_on(run)
  canary_wave(run)
  if not run.stopped then
    process_all(run, select_items(run, is_planned), run.opts.concurrency)
  end
  look_again(run)
end

-- ---- the report ----------------------------------------------------------------

local function report_item(item)
  return { cluster_id = item.id, name = item.name, project_id = item.project_id,
    job_id = item.job_id, request_id = item.request_id, duration = item.duration,
    earlier = item.earlier, settled_by = item.settled_by, repaired = item.repaired,
    reissued = item.reissued, message = item.message, err = item.state ~= "ok" and item.err or nil }
end

local function add_item(run, report, item)
  local entry = report_item(item)
  if item.state == "planned" then
    entry.code = "CANCELLED"
    entry.message = "not begun: " .. (run.stopped or "the run was interrupted")
    return report:add("skipped", entry)
  end
  local bucket = ENDED[item.state] and item.state or "uncertain"
  report:add(bucket, entry)
  if item.notice then report:note("%s: %s", item.name or item.id, item.notice) end
  if item.problem then
    report.incomplete = true
    report:note("%s: %s", item.name or item.id, item.problem)
  end
end

local function fill_report(run, report)
  for _, item in ipairs(run.items) do add_item(run, report, item) end
  report.run, report.stopped = run.name, run.stopped
  return report:finish(run.clock())
end

-- A stop with nothing left to begin is the end.
local function close_run(run, report)
  local planned, again = count(run, "planned"), false
  for _, item in ipairs(run.items) do
    again = again or (item.state == "failed" and (item.again or item.not_begun)) or false
  end
  if planned == 0 and not run.journal.broken then run.stopped = nil end
  local what = run.stopped and "stopped" or again and "ended" or "finished"
  fill_report(run, report)
  local counts = report:counts()
  run:write(what, { message = run.stopped, ok = counts.ok, failed = counts.failed,
    skipped = counts.skipped, uncertain = counts.uncertain })
  report.stopped = run.stopped
  if again and run.opts.journal and not run.stopped then
    report:note("what failed for a passing reason is tried again by the same call")
  end
end

-- How each ended, as the journal says.
local FINAL = { planned = "skipped", refused = "failed", skipped = "skipped", ok = "ok",
  reissued = "ok", failed = "failed" }

local function report_of_finished(run, report, lines)
  for i, id in ipairs(lines.order) do
    local line = lines.items[id.cluster]
    local item = item_of_line(line)
    item.state, item.earlier = FINAL[line.what] or "uncertain", true
    run.items[i] = item
  end
  run.name = lines.name
  fill_report(run, report)
  report.already_finished = lines.finished or lines.ended
  return report
end

-- ---- what a person should know before ------------------------------------------

local function note_recent(run, report)
  local hours = run.opts.certificate_expiration_time or DEFAULT_RETENTION_HOURS
  local recent, example = 0, nil
  for _, item in ipairs(run.items) do
    local time = run.journal.rotated[item.id]
    if time and item.state == "planned" and run.clock() - time < hours * 3600 then
      recent, example = recent + 1, example or item
    end
  end
  if recent == 0 then return end
  report:note("%d of the clusters were rotated less than %d h ago, such as %s at %s: rotating again"
    .. " ends the time for which older ServiceAccount tokens stay valid", recent, hours,
    example.name or example.id, record.time(run.journal.rotated[example.id]))
end

local function seconds_needed(run)
  if not run.opts.rate_limit then return 0 end
  local per_window, window = rate.parse(run.opts.rate_limit)
  return math.floor((math.max(1, count(run, "planned")) - 1) / per_window) * window
end

local function announce(run)
  run.items[1].client:emit {
    type = "rotation_planned", clusters = #run.items, to_begin = count(run, "planned"),
    seconds = seconds_needed(run), run = run.name,
  }
end

local function plan_line(run, item, number)
  local who = ("%s%s (%s, %s)"):format(item.name and item.name .. " " or "", item.id,
    item.version or "version not known", item.status or "status not known")
  local wave = number <= run.opts.canary and "canary" or "rotate"
  return ("%s %s: component %s, in project %s"):format(wave, who, run.opts.component,
    item.project_id or "not known")
end

local function dry_report(run, report, resumed)
  report.dry_run, report.plan = true, {}
  local number = 0
  for _, item in ipairs(run.items) do
    local obstacle = item.state == "planned" and item.status and rotation.obstacle(item)
    if obstacle then
      item.state, item.err = "skipped", obstacle
      add_item(run, report, item)
    elseif item.state == "planned" then
      number = number + 1
      report.plan[number] = plan_line(run, item, number)
    elseif item.state ~= "skipped" then
      report:note("%s: %s at an earlier start", item.name or item.id, item.state)
    end
  end
  local hours = run.opts.certificate_expiration_time
  report:note("old ServiceAccount tokens stay valid for %s", hours == 0 and "no time at all"
    or ("%d h"):format(hours or DEFAULT_RETENTION_HOURS))
  if run.opts.rate_limit then
    report:note("at %s the last request leaves after about %s", run.opts.rate_limit,
      reports.duration(seconds_needed(run)))
  end
  report.resumed = resumed
  return report:finish(run.clock())
end

-- ---- from beginning to end -------------------------------------------------------

local function write_plan(run, hash)
  local journal = run.journal
  local ok, message, err = journal:write("run", { run = run.name, id = record.new_id(),
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
  local ok, message, err = plan_new(run, clients)
  if not ok then return nil, message, err end
  note_recent(run, report)
  if run.opts.dry_run then return true end
  return write_plan(run, hash)
end

local function check_clients(run)
  for _, item in ipairs(run.items) do
    if not item.client then
      return refuse(("no client is of project %s, where the run has cluster %s"):format(
        tostring(item.project_id), item.id), "Give the clients that the run was begun with")
    end
  end
  return true
end

local function resume(run, clients, lines, report)
  local ok, message, err = plan_again(run, clients, lines)
  if ok then ok, message, err = check_clients(run) end
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
  if choice == "finished" then return report_of_finished(run, report, lines) end
  local ok, message
  if choice == "resume" then
    ok, message, err = resume(run, clients, lines, report)
  else
    ok, message, err = begin_new(run, clients, hash, report)
  end
  if not ok then return nil, message, err end
  if run.opts.dry_run then return dry_report(run, report, choice == "resume") end
  run.limiter = new_limiter(run)
  announce(run)
  execute(run)
  finish_progress(run)
  close_run(run, report)
  return report
end

local function new_run(clients, opts, journal)
  local clock = clients[1].clock
  return setmetatable({ opts = opts, journal = journal, clock = clock, items = {},
    wait = opts.waiting, failures = 0, name = opts.run or record.time(clock()) }, Run)
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
-- nothing can be resumed.
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
-- @tparam[opt] table opts.reissue `{dir=, duration=|expire_at=}`: obtain a new
--   kubeconfig of each rotated cluster into `<dir>/<cluster id>.json`
-- @tparam[opt="10/min"] string|boolean opts.rate_limit of requests that change
--   something, by this run; false: none
-- @tparam[opt=false] boolean opts.accept_token_loss allow
--   `certificate_expiration_time=0`
-- @tparam[opt=false] boolean opts.dry_run send nothing that changes anything,
--   and return the plan
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
  checked, message, err = read_options(opts, 2)
  if not checked then return nil, message, err end
  hash, message, err = plan_hash(clients, checked)
  if not hash then return nil, message, err end
  local journal
  journal, message, err = open_journal(clients, checked)
  if not journal then return nil, message, err end
  local run = new_run(clients, checked, journal)
  local report = reports.new("rotate", run.clock())
  local ok, result, reason, problem = protect.pcall(carry_out, run, clients, hash, report)
  journal:close()
  if not ok then error(result, 0) end
  if result then return result end
  return nil, reason, problem
end

return rotate
