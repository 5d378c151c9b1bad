--- `cce status`: the fleet on one screen.
-- @module cce.cli.command.cloud.status
-- @local
local chosen = require "cce.cli.input.chosen"
local exit = require "cce.cli.exit"
local pages = require "cce.text.page"
local json = require "cce.base.json"
local paths = require "cce.kubeconfig.paths"
local render = require "cce.cli.output.render"
local runs_here = require "cce.cli.runs"
local show = require "cce.text.show"
local workflow_runs = require "cce.workflow.runs"

local M = { name = "status", summary = "Show the fleet: rotations, certificates, who is in.",
  watchable = true }

function M.describe(parser)
  chosen.describe(parser, { all = true, autopilot = true })
  parser:flag("--no-check", "Do not ask the clusters whether my certificates work.")
  require("cce.cli.output.report_file").describe(parser)
  parser:epilog("My certificates are those of KUBECONFIG, else of ~/.kube/config; runs are those of"
    .. " the journals in ~/.local/state/cce; who holds certificates is as cce holders tells. Ends"
    .. " with 2 when a run is open.")
end

-- ---- what is known of each cluster --------------------------------------------------------
-- What cannot be looked at is told to `doubt`: without it, rows say less than there is.

-- My certificate for each cluster, by its id, or by the name of its context where the file does not
-- tell the id: the one that ends last.
local function certificates(args, doubt)
  local found, files = {}, paths.default()
  if #files == 0 then return found end
  for _, entry in ipairs(require("cce.expiry")(files, { check = not args.no_check,
    together = true })) do
    if entry.err and entry.err.code ~= "INVALID_CERTIFICATE" then doubt(entry.message) end
    local key = entry.cluster_id or entry.context
    local old = key and found[key]
    if key and entry.not_after and (not old or old.not_after < entry.not_after) then
      found[key] = entry
    end
  end
  return found
end

-- What the journals have: when a cluster was last rotated, and in how many open runs it is open.
local function journal_facts(doubt)
  local rotated, open = {}, {}
  local journals, problem = runs_here.journals()
  if not journals then doubt(problem) end
  for _, path in ipairs(journals or {}) do
    local list, message = workflow_runs.list(path)
    if not list then doubt(message) end
    for _, run in ipairs(list or {}) do
      for _, item in ipairs(run.items) do
        local id, time = item.cluster_id, item.time
        if run.workflow == "rotate" and item.state == "ok" and time then
          rotated[id] = math.max(rotated[id] or 0, time)
        end
        if item.state == "pending" or item.state == "uncertain" or item.state == "accepted" then
          open[id] = (open[id] or 0) + (run.open and 1 or 0)
        end
      end
    end
  end
  return rotated, open
end

-- How many hold certificates, by cluster: nil when CTS was not asked; and when each was rotated.
local function holders_by_cluster(client, ids, doubt)
  local holders, message = require("cce").workflow.holders(client, { clusters = ids })
  message = holders and holders.unasked or message
  if message then
    doubt("who holds certificates is not known: " .. message)
    return nil, {}
  end
  local counts, rotated = {}, {}
  for _, row in ipairs(holders) do
    local is_in = row.state == "holds" or row.state == "may"
    counts[row.cluster_id] = (counts[row.cluster_id] or 0) + (is_in and 1 or 0)
    rotated[row.cluster_id] = row.rotated
  end
  return counts, rotated
end

local function rows_of(client, clusters, args, doubt)
  local ids, rows = {}, {}
  for i, each in ipairs(clusters) do ids[i] = each.id end
  local mine = certificates(args, doubt)
  local rotated, open = journal_facts(doubt)
  local holders, seen_rotated = holders_by_cluster(client, ids, doubt)
  for i, each in ipairs(clusters) do
    local certificate = mine[each.id] or each.name and mine[each.name]
    local here, seen = rotated[each.id], seen_rotated[each.id]
    rows[i] = { name = each.name or each.id, id = each.id, version = each.version,
      status = each.status, rotated = here and seen and math.max(here, seen) or here or seen,
      certificate = certificate and (certificate.check or (certificate.expired and "expired"
        or "not asked")), ends = certificate and certificate.not_after,
      holders = holders and (holders[each.id] or 0), open = open[each.id] or 0 }
  end
  return rows
end

-- ---- showing it ------------------------------------------------------------------------------

local function day_of(field)
  return function(row) return row[field] and show.time(row[field]):sub(1, 10) end
end

local columns = {
  { "name", "CLUSTER", keep = true }, { "version", "VERSION" },
  { "status", "STATUS", keep = true },
  { "rotated", "ROTATED", keep = true, time = true, text = day_of "rotated" },
  { "certificate", "MINE", keep = true },
  { "ends", "ENDS", keep = true, time = true, text = day_of "ends" },
  { "holders", "HOLDERS", keep = true }, { "open", "OPEN", keep = true },
  { "id", nil, name = true },
}

local function write_page(path, rows, asked, client, doubts)
  local report_file = require "cce.cli.output.report_file"
  local page, lines, list = pages.new "Fleet", {}, json.array {}
  local facts = { { "asked", asked }, { "by", report_file.by_whom(client) },
    { "at", show.time(os.time()) }, { "clusters", #rows } }
  for _, doubt in ipairs(doubts) do facts[#facts + 1] = { "not known", doubt } end
  page:facts(facts)
  page:heading "Clusters"
  local function time_of(row, field)
    return { row[field] and show.time(row[field]), class = "whole" }
  end
  local classes = { refused = "bad", untrusted = "bad", expired = "bad", works = "good" }
  for i, row in ipairs(rows) do
    list[i] = render.object(row, columns)
    local class = classes[row.certificate or "none"] or "quiet"
    lines[i] = { { row.name, class = "whole" }, { row.id, class = "id" }, row.version, row.status,
      time_of(row, "rotated"), { row.certificate or "none", class = class },
      time_of(row, "ends"), row.holders or "not known",
      { row.open, class = row.open > 0 and "open" or "quiet" } }
  end
  page:table({ "CLUSTER", "ID", "VERSION", "STATUS", "ROTATED", "MY CERTIFICATE", "ENDS", "HOLDERS",
    "OPEN RUNS" }, lines)
  return report_file.write_files(path, page:html("Written by cce " .. require("cce")._VERSION),
    { asked = asked, counts = { clusters = #rows }, clusters = list,
      not_known = #doubts > 0 and doubts or nil })
end

function M.run(args, ui)
  local client, message, err = ui:client()
  if not client then return ui:fail(message, err) end
  local clusters
  clusters, message, err = chosen.list(client, args)
  if not clusters then return ui:fail(message, err) end
  local rows, is_open, doubts = {}, false, {}
  local function doubt(text)
    ui:warn(text)
    doubts[#doubts + 1] = text
  end
  if #clusters > 0 then rows = rows_of(client, clusters, args, doubt) end
  for _, row in ipairs(rows) do is_open = is_open or row.open > 0 end
  local code = ui:table(rows, columns)
  if args.report_file then
    local ok
    ok, message, err = write_page(args.report_file, rows, ui.asked, client, doubts)
    if not ok then return ui:fail(message, err) end
  end
  return code == exit.DONE and is_open and exit.UNCERTAIN or code
end

return M
