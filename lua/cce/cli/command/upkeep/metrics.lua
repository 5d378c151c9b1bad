--- `cce metrics`: certificates, runs and the schedule, as metrics for Prometheus.
-- @module cce.cli.command.upkeep.metrics
-- @local
local exit = require "cce.cli.exit"
local exposition = require "cce.text.exposition"
local paths = require "cce.kubeconfig.paths"
local runs_here = require "cce.cli.runs"
local workflow_runs = require "cce.workflow.runs"

local M = { name = "metrics", summary = "Print metrics for Prometheus (textfile collector).",
  one_form = true }

function M.describe(parser)
  parser:argument("path", "Files, directories and patterns of kubeconfigs; by default KUBECONFIG or"
    .. " ~/.kube/config."):args("*"):argname("PATH")
  parser:flag("--check", "Ask each cluster whether the certificates work.")
  parser:flag("--users", "Label certificates with the ids of their users, too.")
  require("cce.cli.command.upkeep.schedule").describe_store(parser)
  parser:epilog("Where there is a schedule its states are counted; runs are"
    .. " those of the journals in ~/.local/state/cce. For node_exporter: cce metrics > FILE.new &&"
    .. " mv FILE.new FILE.prom")
end

-- ---- certificates -----------------------------------------------------------------

-- By the name of its file; where others have that name, too, by its path.
local function file_names(entries)
  local last, names = {}, {}
  for _, entry in ipairs(entries) do
    local name = entry.path:match "[^/]+$"
    local other = last[name] or entry.path
    if other ~= entry.path then names[other], names[entry.path] = other, entry.path end
    last[name] = entry.path
    names[entry.path] = names[entry.path] or name
  end
  return names
end

local function add_certificates(all, args)
  all:family("cce_certificate_not_after_timestamp_seconds", "gauge",
    "End of each client certificate in the kubeconfigs.")
  all:family("cce_certificate_works", "gauge",
    "Whether the cluster takes the certificate: 1 yes, 0 refused; absent when it was not asked.")
  all:family("cce_kubeconfigs_unreadable", "gauge", "Kubeconfigs that could not be used.")
  local unreadable = 0
  local entries = require("cce.expiry")(args.path, { check = args.check or nil,
    together = args.together })
  local names = file_names(entries)
  for _, entry in ipairs(entries) do
    if entry.err then
      unreadable = unreadable + 1
    elseif entry.not_after then
      local labels = { context = entry.context or entry.user, file = names[entry.path],
        user_id = args.users and entry.user_id or nil }
      all:set("cce_certificate_not_after_timestamp_seconds", labels, entry.not_after)
      if entry.check == "works" or entry.check == "refused" then
        all:set("cce_certificate_works", labels, entry.check == "works" and 1 or 0)
      end
    end
  end
  all:set("cce_kubeconfigs_unreadable", nil, unreadable)
end

-- ---- runs --------------------------------------------------------------------------

local function add_runs(all)
  all:family("cce_runs_open", "gauge", "Runs of which something is uncertain or pending.")
  all:family("cce_cluster_last_rotation_timestamp_seconds", "gauge",
    "When a run last rotated each cluster.")
  all:family("cce_journals_unreadable", "gauge", "Journals that could not be read.")
  local open, last, journals = {}, {}, runs_here.journals()
  local unreadable = journals and 0 or 1
  for _, path in ipairs(journals or {}) do
    local runs = workflow_runs.list(path)
    if not runs then unreadable = unreadable + 1 end
    for _, run in ipairs(runs or {}) do
      open[run.workflow] = (open[run.workflow] or 0) + (run.open and 1 or 0)
      for _, item in ipairs(run.workflow == "rotate" and run.items or {}) do
        if item.state == "ok" and item.time then
          local name = item.name or item.cluster_id
          last[name] = math.max(last[name] or 0, item.time)
        end
      end
    end
  end
  for workflow, count in pairs(open) do
    all:set("cce_runs_open", { workflow = workflow }, count)
  end
  for cluster, time in pairs(last) do
    all:set("cce_cluster_last_rotation_timestamp_seconds", { cluster = cluster }, time)
  end
  all:set("cce_journals_unreadable", nil, unreadable)
end

-- ---- the schedule --------------------------------------------------------------------

local STATES = { "pending", "claimed", "failed-retrying", "overdue", "quarantined" }

local function add_schedule(all, args)
  -- None is made to be counted.
  local commands = require "cce.cli.command.upkeep.schedule"
  if not commands.exists(args) then return true end
  local schedule, message, err = commands.open(args)
  if not schedule then return nil, message, err end
  all:family("cce_schedule_entries", "gauge", "Entries of the schedule by state.")
  for _, state in ipairs(STATES) do
    local found
    found, message, err = commands.all(schedule, state)
    if not found then
      schedule:close()
      return nil, message, err
    end
    all:set("cce_schedule_entries", { state = state }, #found)
  end
  schedule:close()
  return true
end

function M.run(args, ui)
  local all = exposition.new()
  if #args.path == 0 then args.path, args.together = paths.default(), true end
  if #args.path > 0 then add_certificates(all, args) end
  add_runs(all)
  local ok, message, err = add_schedule(all, args)
  if not ok then return ui:fail(message, err) end
  all:family("cce_metrics_timestamp_seconds", "gauge", "When these metrics were made.")
  all:set("cce_metrics_timestamp_seconds", nil, os.time())
  ui:print(all:text())
  return exit.DONE
end

return M
