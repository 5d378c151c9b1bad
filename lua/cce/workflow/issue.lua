--- Kubeconfigs for many clusters: `cce.workflow.issue`.
-- @module cce.workflow.issue
local authority = require "cce.kubeconfig.authority"
local core = require "cce.core"
local destinations = require "cce.kubeconfig.destination"
local directories = require "cce.base.directories"
local errors = require "cce.error"
local stored = require "cce.kubeconfig.stored"
local kubeconfig = require "cce.kubeconfig"
local map = require "cce.map"
local naming = require "cce.workflow.naming"
local options = require "cce.base.options"
local outcome = require "cce.workflow.outcome"
local protected = require("cce.host.protect").pcall
local runs = require "cce.workflow.run"
local show = require "cce.text.show"
local targets = require "cce.workflow.targets"

-- A file is merged into when this many are waiting, so that a kill loses few
-- that were obtained; but a large file takes its time, and no more than a fifth
-- of all is to be spent on that.
local BATCH = 20
local PAUSE = 4

local schema = {
  clusters = { type = { "table", "callable" } },
  dir = { type = "string", non_empty = true },
  merge_into = { type = "string", non_empty = true },
  name = { type = "callable" },
  format = { type = "string", one_of = { "json", "yaml" }, default = "json" },
  journal = { type = "string", non_empty = true },
  run = { type = "string", non_empty = true },
  concurrency = { type = "integer", min = 1, max = 1000, default = 20 },
  on_progress = { type = "callable" },
  dry_run = { type = "boolean", default = false },
  duration = stored.schema.duration,
  expire_at = stored.schema.expire_at,
  min_remaining = stored.schema.min_remaining,
  renew = stored.schema.renew,
  timeout = stored.schema.timeout,
  check = stored.schema.check,
}

-- ---- where to ------------------------------------------------------------
--
-- A place is where the kubeconfigs go. It has these functions:
--
-- * `prepare(targets)` → true; each target gets `set`, `path`, and `context` and
--   `old_facts` of what is there of it already, else `reason`; or a `problem`,
--   an error, that keeps it out
-- * `prove(due)` before anything is obtained: whether those that are due can be saved;
--   true, or nil, message, err when none can; one that cannot gets a `problem`
-- * `add(target, config)` saves one that was obtained, or keeps it for later
-- * `flush(force)` saves what is kept
--
-- A target that was saved gets `saved`, or `problem`.

local function set_problem(target, _, message, err)
  target.problem = err or errors.new("INTERNAL", tostring(message))
end

local function note_old(target, holdings)
  local entry = holdings.by_id[target.id]
  target.context, target.entry = entry and entry.context, entry
  target.old_facts, target.reason = stored.facts_of(holdings, target.id)
  -- Where a command obtains the certificate, no key is to stand in the file.
  if holdings.commands[target.id] then
    target.is_command = true
    target.skip = "kubectl asks cce credential for its certificate: it is left as it is"
  end
end

local function into_directory(opts, clock)
  local place, files = {}, {}

  local function path_of(name)
    return ("%s/%s.%s"):format(opts.dir:gsub("(.)/+$", "%1"), name, opts.format)
  end

  local function file_of(name)
    if files[name] == nil then
      local holdings, message, err = stored.read(path_of(name), clock)
      files[name] = holdings or { by_id = {}, commands = {}, others = true, message = message,
        err = err }
    end
    return files[name]
  end

  local function holder_of(name)
    local file = file_of(name)
    local id = next(file.by_id)
    if id and not file.others and next(file.by_id, id) == nil then return id end
    if file.config or file.err then return false end
    return nil
  end

  function place.prepare(list)
    naming.assign(list, holder_of, function() return nil end, opts.name)
    local first = {}
    for _, target in ipairs(list) do
      local file = file_of(target.set)
      target.path = path_of(target.set)
      note_old(target, file)
      local other = first[target.path]
      first[target.path] = other or target
      local problem
      if other then
        problem = ("is to be the file of cluster %s, too: give this one another name with the"
          .. " option name"):format(other.id)
      elseif holder_of(target.set) ~= nil then
        problem = "holds something else: " .. (file.message
          or "another cluster, or one that nobody marked")
      end
      if problem and not target.context then
        set_problem(target, errors.fail("CONFLICT", ("'%s' %s"):format(target.path, problem)))
      end
    end
    return true
  end

  function place.begin() return directories.make(opts.dir) end

  local function destination_of(target)
    local destination = { path = target.path, name = target.set }
    if target.context then
      destination.merge, destination.backup = true, false
    else
      destination.mark, destination.format = true, opts.format
    end
    return destination
  end

  function place.prove(due)
    -- In a dry run it need not be there yet.
    if not core.file.stat(opts.dir) then return destinations.prove_directory(opts.dir) end
    for _, target in ipairs(due) do
      local ok, message, err = destinations.prove(destination_of(target), target, target.client)
      if not ok then set_problem(target, nil, message, err) end
    end
    return true
  end

  function place.add(target, config)
    local destination = destination_of(target)
    destination.context = stored.chosen(target.entry, config)
    local saved, message, err = destinations.save(destination, config)
    if not saved then return set_problem(target, nil, message, err) end
    target.saved = saved
  end

  function place.kubeconfig(target) return stored.alone(file_of(target.set), target.id) end

  place.lock, place.text = opts.dir .. "/issue", opts.dir
  function place.flush() end
  return place
end

local function into_file(opts, clock)
  local place, pending, holdings, backed_up = {}, {}, nil, false
  local next_flush = 0

  -- Whether an entry without our mark is in the way, the proof says.
  local function holder_of(name) return holdings.names[name] or nil end

  local function earlier(id)
    return holdings.by_id[id] and holdings.by_id[id].set
  end

  function place.prepare(list)
    local message, err
    holdings, message, err = stored.read(opts.merge_into, clock)
    if not holdings then return nil, message, err end
    naming.assign(list, holder_of, earlier, opts.name)
    for _, target in ipairs(list) do
      target.path = opts.merge_into
      note_old(target, holdings)
    end
    return true
  end

  function place.begin() return true end

  local function file_options() return { backup = not backed_up, format = opts.format } end

  function place.prove(due)
    local results, message, err = destinations.prove_many(opts.merge_into, due, file_options())
    for i, target in ipairs(due) do
      local result = results and results[i] or { message = message, err = err }
      if not result.ok then set_problem(target, nil, result.message, result.err) end
    end
    return true
  end

  function place.add(target, config)
    pending[#pending + 1] = { target = target, kubeconfig = config, name = target.set,
      context = stored.chosen(target.entry, config) }
    place.flush(false)
  end

  -- The backup is of the file as it was before the run.
  function place.flush(force)
    local started = core.sys.monotonic()
    local is_time = #pending >= BATCH and started >= next_flush
    if #pending == 0 or not (force or is_time) then return end
    local batch = pending
    pending = {}
    local results, message, err = kubeconfig.merge(opts.merge_into, batch, file_options())
    for i, item in ipairs(batch) do
      local result = results and results[i] or { message = message, err = err }
      item.target.saved = result.saved
      if not result.saved then
        set_problem(item.target, destinations.recover(item.kubeconfig, result.err, item.name))
      end
      backed_up = backed_up or result.saved ~= nil
    end
    local ended = core.sys.monotonic()
    next_flush = ended + PAUSE * (ended - started)
  end

  function place.kubeconfig(target) return stored.alone(holdings, target.id) end

  place.lock, place.text = opts.merge_into, opts.merge_into
  return place
end

-- ---- one cluster ---------------------------------------------------------

local function refuse(run, target, err)
  target.state, target.err = outcome.of_refusal(err.code), err
  run:write("refused", { cluster = target.id, name = target.name, project = target.project_id,
    code = err.code, message = err.message, hint = err.hint, retryable = err.retryable,
    request_id = err.request_id })
end

-- A file is what counts: it is there, or what was obtained is lost with its key.
local function note_saved(run)
  for _, target in ipairs(run.items) do
    if target.state == "accepted" then
      if target.problem then
        refuse(run, target, target.problem)
      elseif target.saved then
        target.facts, target.state, target.err = target.obtained, "ok", nil
        run:write("ok", { cluster = target.id, name = target.name, project = target.project_id,
          seconds = target.duration, path = target.path, context = target.saved.context,
          expires = target.facts.not_after })
      end
    end
  end
end

local function obtain(run, target)
  local started = core.sys.monotonic()
  local config, facts, err = stored.obtain(target.client, target.id, run.rule)
  target.duration = core.sys.monotonic() - started
  if not config then return refuse(run, target, err) end
  target.obtained = facts
  run.place.add(target, config)
  if run.opts.check and not target.problem then
    -- What is refused is not obtained again.
    local answer, _, problem = stored.ask_new(target.client, config)
    target.answer, target.problem = answer, problem
  end
  target.state = "accepted"
  note_saved(run)
end

-- What the date alone would keep.
local function ask_clusters(run)
  local kept = run:select(function(target)
    return target.state == "pending" and not (target.problem or target.skip or target.reason)
  end)
  map(kept, function(target)
    -- As long as it has given none.
    target.answer = { state = "not asked" }
    local config = run.place.kubeconfig(target)
    target.answer = config and stored.ask(target.client, config) or target.answer
    target.reason = stored.refusal(target.answer)
    return true
  end, { concurrency = run.opts.concurrency })
end

local function settle_without(target)
  if target.problem then
    target.state, target.err = outcome.of_refusal(target.problem.code), target.problem
  elseif target.skip then
    target.state, target.message = "skipped", target.skip
  elseif not target.reason then
    target.state, target.kept = "ok", true
  elseif target.status and target.status ~= "Available" then
    target.err = errors.new("CONFLICT", ("the cluster is %s, not Available"):format(target.status),
      { operation = "obtain_cert", retryable = true, maybe_applied = false })
  end
end

-- Where no certificate stands, the CA may have become another one.
local function mend_authorities(run)
  local commands = run:select(function(target) return target.is_command and not target.problem end)
  map(commands, function(target)
    local count, message = authority.refresh(target.client, target.path, target.id)
    if count == nil then
      target.skip = target.skip .. "; whether its CA is the cluster's is not known: " .. message
    elseif count > 0 then
      target.skip = "kubectl asks cce credential for its certificate; the cluster's new CA was"
        .. " put there"
    end
    return true
  end, { concurrency = run.opts.concurrency })
end

-- ---- the report ----------------------------------------------------------

local function entry(_, target)
  local saved = target.saved
  return {
    cluster_id = target.id, name = target.name, project_id = target.project_id,
    path = target.path, context = saved and saved.context or target.context,
    backup = saved and saved.backup, asked = target.answer and target.answer.state,
    renewed = target.facts ~= nil, duration = target.duration,
    expires_at = target.expires or (target.facts or target.old_facts or {}).not_after,
  }
end

-- What would be done, to what, and why: as a sentence, and as a row.
local function plan_of(target)
  local word, where, why = "obtain", " into " .. tostring(target.path), target.reason
  if target.err then
    word, where, why = "cannot issue", "", target.err.message
  elseif target.skip then
    word, where, why = "skip", "", target.skip
  elseif not target.reason then
    word, where, why = "keep", " in " .. target.path, stored.until_text(target.old_facts.not_after)
  end
  return ("%s %s %s%s: %s"):format(word, target.set, target.id, where, why),
    { word, target.name or target.set, target.id, target.path, why }
end

-- ---- the run -------------------------------------------------------------

local workflow = { name = "issue", operation = "obtain_cert", entry = entry }

function workflow.hash(run)
  local by_project, message, err = targets.by_project(run.clients)
  if not by_project then return nil, message, err end
  local projects = {}
  for id in pairs(by_project) do projects[#projects + 1] = id end
  table.sort(projects)
  return core.sha256(table.concat({ "issue", run.selection.text, table.concat(projects, " "),
    run.place.text }, "\n"))
end

function workflow.plan(run)
  local found, message, err = targets.find(run.clients, run.selection)
  if not found then return nil, message, err end
  for i, target in ipairs(found) do
    run.items[i], target.state = target, "pending"
  end
  if #found == 0 then run.report:note("no cluster is chosen: %s", run.selection.text) end
  return true
end

function workflow.recall(_, line)
  return { path = line.path, context = line.context, expires = line.expires }
end

function workflow.opening() return {} end

function workflow.planned(target)
  return { cluster = target.id, name = target.name, project = target.project_id }
end

function workflow.check(run)
  -- What a journal does not tell.
  local found = run.report.resumed and targets.all(run.clients)
  for _, target in ipairs(found and run.items or {}) do
    local now = found.by_id[target.id] or {}
    target.cluster, target.status, target.version = now.cluster, now.status, now.version
  end
  local prepared, message, err = run.place.prepare(run.items)
  if not prepared then return nil, message, err end
  if not run.opts.dry_run then mend_authorities(run) end

  -- Which must be obtained, and why; and whether those can be saved.
  local pending = run:items_in "pending"
  for _, target in ipairs(pending) do
    target.err, target.reason = nil, stored.due(target.old_facts, target.reason, run.rule)
  end
  if run.opts.check then ask_clusters(run) end
  for _, target in ipairs(pending) do settle_without(target) end
  local due = run:select(function(target) return target.state == "pending" and not target.err end)
  if #due == 0 then return true end
  prepared, message, err = run.place.prove(due)
  if not prepared then return nil, message, err end
  for _, target in ipairs(due) do settle_without(target) end
  return true
end

function workflow.preview(run)
  local steps = { titles = { "PLAN", "CLUSTER", "ID", "FILE", "WHY" },
    kinds = { "keep", "keep", "id", "keep", "prose" } }
  run.report.dry_run, run.report.plan, run.report.steps = true, {}, { steps }
  for i, target in ipairs(run.items) do
    run.report.plan[i], steps[i] = plan_of(target)
    if target.err then run:report_item(target) end
  end
end

function workflow.execute(run)
  for _, target in ipairs(run.items) do
    if target.kept then
      run:write("ok", { cluster = target.id, path = target.path, context = target.context,
        expires = target.old_facts.not_after })
    elseif target.err then
      refuse(run, target, target.err)
    elseif target.skip then
      run:write("skipped", { cluster = target.id, message = target.skip })
    end
  end
  local due = run:select(function(target) return target.state == "pending" and not target.err end)
  -- What was obtained is saved even when the rest is interrupted.
  local ok, problem = protected(run.process, run, due, obtain)
  run.place.flush(true)
  note_saved(run)
  if not ok then error(problem, 0) end
end

function workflow.close(run)
  local obtained, kept, unasked = 0, 0, 0
  for _, target in ipairs(run.items) do
    if target.answer and target.answer.state == "not asked" then unasked = unasked + 1 end
    if target.state == "ok" then
      if target.facts then obtained = obtained + 1 else kept = kept + 1 end
    end
  end
  run.report:note("%d obtained, %d still good, in %s", obtained, kept, run.place.text)
  if unasked > 0 then
    run.report:note("not asked: %s gave no answer; theirs goes by its date",
      show.count(unasked, "cluster"))
  end
end

-- The lock file of a directory is in it.
local function locked(place, opts, act)
  if opts.dry_run then return act() end
  local begun, message, err = place.begin()
  if not begun then return nil, message, err end
  return stored.locked(place.lock, opts.timeout, act)
end

--- Kubeconfigs for many clusters, in a directory or merged into one file.
--
-- One that is there, has `min_remaining` seconds left and is not refused by its
-- cluster is kept; so the same call, every night, obtains just what nears its end or
-- was revoked, and after an interrupt goes on where it was. Before anything is
-- obtained, it is proved that it can be saved; what cannot be saved after all is kept
-- in `$XDG_STATE_HOME/cce/recovered`, and `err.recovered` of the item names it. Each
-- cluster's contexts are named after it (`prod`, and with a public address also
-- `prod-internal` and `prod-external`); clusters of the same name get their region,
-- project or id behind it, and a name once given stays. The plain name is that of a
-- context that verifies TLS. Files are written with mode 0600 and in one step; what is
-- not ours in them stays, and so does a user whose certificate comes from `cce
-- credential`. In a merged file a name that something else has is a CONFLICT.
-- The old file is kept beside a merged one, as `<path>.bak`.
-- @tparam cce.client|{cce.client,...} client one for each region and project
-- @tparam table opts
-- @tparam[opt] table|function opts.clusters a list of ids, a function of a
--   cluster that returns whether it is meant, or `{name=, version=, status=}`;
--   by default all
-- @tparam[opt] int opts.duration days, as for `client:obtain_cert`
-- @tparam[opt] number opts.expire_at unix time; one of the two is mandatory
-- @tparam[opt] string opts.dir made if it is not there; a file for each cluster
-- @tparam[opt] string opts.merge_into a file; exactly one of the two
-- @tparam[opt] number opts.min_remaining seconds; by default a week, or a third
--   of the lifetime if that is less
-- @tparam[opt=false] boolean opts.renew obtain all anew, such as after a rotation
-- @tparam[opt] function opts.name called with a cluster and its client: the name
--   for its contexts and file
-- @tparam[opt="json"] string opts.format "json" or "yaml", of files that are not
--   there yet
-- @tparam[opt] string opts.journal path of a file: as for `cce.workflow.rotate`, the same
--   call goes on with what is open, and does nothing once nothing is
-- @tparam[opt] string opts.run the name of the run; another name begins another one
-- @tparam[opt=20] int opts.concurrency how many at a time
-- @tparam[opt] function opts.on_progress as for `cce.map`
-- @tparam[opt=false] boolean opts.dry_run send and write nothing: the report's
--   `plan` says what would be done
-- @tparam[opt=120] number opts.timeout seconds to wait for another such run
-- @tparam[opt=true] boolean opts.check ask each cluster once whether it takes its
--   certificate, and renew what it refuses; false: go by the dates alone
-- @treturn[1] cce.report its items also have `path`, `context`, `renewed`,
--   `expires_at` (unix time), `asked`: "works" or "not asked"
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- local report = assert(cce.workflow.issue(client, {
--   duration = 30, merge_into = os.getenv "HOME" .. "/.kube/config",
-- }))
-- print(report)
-- os.exit(report:exit_code())
local function issue(client, opts)
  local clients = targets.clients(client, "issue", 2)
  local checked, message, err = options.check(opts, schema)
  if not checked then return nil, message, err end
  local clock = clients[1].clock
  local rule, place, selection
  rule, message, err = stored.rule(checked, clients[1]:now())
  if not rule then return nil, message, err end
  if (checked.dir == nil) == (checked.merge_into == nil) then
    return errors.fail("INVALID_ARGUMENT", "give one of dir and merge_into")
  end
  place = (checked.dir and into_directory or into_file)(checked, clock)
  selection, message, err = targets.selection(checked.clusters or { name = "*" }, 2)
  if not selection then return nil, message, err end
  local report
  report, message, err = locked(place, checked, function()
    return runs.call(workflow, clients, checked, { rule = rule, place = place,
      selection = selection })
  end)
  if not report then return nil, message, err end
  return report
end

return issue
