--- `--report FILE`: what a workflow did, as a page for people who were not there, and
-- as JSON beside it. No secret is in either: reports hold none.
-- @module cce.cli.output.report_file
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local identity = require "cce.api.identity"
local json = require "cce.base.json"
local own_file = require "cce.cli.output.own_file"
local pages = require "cce.text.page"
local render = require "cce.cli.output.render"
local show = require "cce.text.show"
local width = require "cce.text.width"
local words = require "cce.cli.output.words"

local M = {}

--- Add the option.
-- @tparam table parser of argparse
function M.describe(parser)
  parser:option("--report", "Write a page for others, FILE.html, and FILE.json beside it.")
    :argname("FILE"):target("report_file")
end

local CLASSES = { ok = "good", failed = "bad", uncertain = "open", pending = "open",
  skipped = "quiet" }

local MEANINGS = {
  ok = "done, as far as what is in its row proves", failed = "refused, or given up",
  uncertain = "a request may have been accepted: not known", pending = "not done yet",
  skipped = "left out by a rule",
}

local BUCKETS = { "failed", "uncertain", "pending", "ok", "skipped" }

-- What a row proves itself by.
local function proof_of(item)
  local proofs = {}
  local function add(format, value)
    if value ~= nil then proofs[#proofs + 1] = format:format(tostring(value)) end
  end
  add("of %s", item.principal_id and item.principal_kind .. " " .. item.principal_id)
  add("job %s", item.job_id)
  add("request %s", item.request_id)
  add("settled by %s", item.settled_by)
  add("verified: %s", item.verified)
  add("can obtain again: %s", item.can_obtain_again)
  add("rights in the cluster: %s", item.rights)
  add("taken out of %s", item.removed)
  add("keeps rights by %s", item.left)
  add("kubeconfig %s", item.path)
  if item.expires_at then add("valid until %s", show.time(item.expires_at)) end
  if item.earlier then proofs[#proofs + 1] = "at an earlier start" end
  return table.concat(proofs, "; ")
end

local function rows_of(report, command)
  local rows, spans = {}, {}
  for _, bucket in ipairs(BUCKETS) do
    for _, item in ipairs(report[bucket]) do
      local class = CLASSES[bucket]
      rows[#rows + 1] = { { item.name, class = "whole" }, { item.cluster_id, class = "id" },
        { bucket, class = class }, { item.began and show.time(item.began), class = "whole" },
        proof_of(item), words.typed((item.message or "") .. (item.hint and ". " .. item.hint
          or ""), command) }
      if item.began and item.duration then
        spans[#spans + 1] = { label = item.name or item.cluster_id, from = item.began,
          to = item.began + item.duration, class = class }
      end
    end
  end
  table.sort(spans, function(a, b) return a.from < b.from end)
  return rows, spans
end

-- Of tables that the plan has, their rows say what its first sentences do.
local function add_plan(page, report, typed)
  if not report.plan or #report.plan == 0 then return end
  page:heading "Plan"
  local rest, in_tables = {}, 0
  for _, steps in ipairs(report.steps or {}) do
    local rows = {}
    for i, step in ipairs(steps) do
      rows[i] = {}
      for k in ipairs(steps.titles) do
        local kind = steps.kinds and steps.kinds[k]
        rows[i][k] = { step[k], class = kind == "id" and "id" or kind == "keep" and "whole" or nil }
      end
    end
    if rows[1] then page:table(steps.titles, rows) end
    in_tables = in_tables + #rows
  end
  for i = in_tables + 1, #typed.plan do rest[#rest + 1] = typed.plan[i] end
  if rest[1] then page:list(rest) end
end

--- By whom a report was asked for: whose the credentials are, and what signed.
-- @tparam ?cce.client client
-- @treturn ?string
function M.by_whom(client)
  if not client then return nil end
  local by = tostring(client):gsub("^cce%.client: ", "")
  -- It asks once at most: a report does not wait for STS.
  identity.account(client)
  local caller = client.caller
  if not caller then return by end
  return ("%s %s%s, %s"):format(caller.kind, caller.id,
    caller.name and " (" .. caller.name .. ")" or "", by)
end

--- The page of a report.
-- @tparam cce.report report
-- @tparam table context `{ command=, asked=, by=, audit_log=, version= }`; the command that was
--   typed, whose words the sentences take
-- @treturn string HTML
function M.html(report, context)
  local name = context.command .. (report.run and " " .. report.run or "")
  local page, counts = pages.new(name), report:counts()
  local typed = words.typed_report(report:to_table(), context.command)
  local parts = {}
  for _, bucket in ipairs(BUCKETS) do
    if counts[bucket] > 0 then parts[#parts + 1] = ("%d %s"):format(counts[bucket], bucket) end
  end
  local code = report:exit_code()
  if report.dry_run then table.insert(parts, 1, "a dry run: nothing was done") end
  page:lead(#parts > 0 and table.concat(parts, ", ") or "nothing was to be done",
    code == 1 and "bad" or code == 2 and "open" or report.dry_run and "quiet" or "good")
  page:facts {
    { "asked", context.asked }, { "by", context.by },
    { "began", report.started and show.time(report.started) },
    { "ended", report.ended and show.time(report.ended) },
    { "stopped", typed.stopped },
    { "windows", report.windows },
    { "next window", report.next_window and show.time(report.next_window) },
    { "finished before", report.already_finished and show.time(report.already_finished) },
    { "audit log", context.audit_log },
    { "undo file", report.undo },
  }
  if #report.notes > 0 then
    page:heading "Notes"
    page:list(typed.notes)
  end
  add_plan(page, report, typed)
  local rows, spans = rows_of(report, context.command)
  if #spans > 0 then
    page:heading "When"
    page:timeline(spans, show.time)
  end
  page:heading "Each"
  page:table({ "CLUSTER", "ID", "OUTCOME", "BEGAN", "PROOF", "WHAT IS KNOWN" }, rows)
  page:heading "Words"
  local meanings = {}
  for _, bucket in ipairs(BUCKETS) do
    meanings[#meanings + 1] = { bucket, MEANINGS[bucket] }
  end
  page:facts(meanings)
  return page:html(("Written by cce %s"):format(context.version))
end

local function paths_of(path)
  local base = path:gsub("%.html$", ""):gsub("%.json$", "")
  return base .. ".html", base .. ".json"
end

local function is_page(text)
  return text:find("^<!DOCTYPE html>") and text:find("<footer>Written by cce ", 1, true)
end

local function is_data(text)
  local value = core.json.decode(text)
  return type(value) == "table" and type(value.asked) == "string" and type(value.counts) == "table"
end

-- A full disk is to be seen before anything is sent: bytes, for some hundred clusters.
local ROOM = 64 * 1024

local function check_file(path, is_ours)
  local ok, message, err = own_file.check(path, "report", is_ours)
  if not ok then return nil, message, err end
  return errors.from_core(core.file.write(path, ("x"):rep(ROOM), { trial = true }))
end

--- Whether both files can be written, before anything is done: a report is replaced,
-- nothing else.
-- @tparam string path
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.check(path)
  local page, data = paths_of(path)
  local ok, message, err = check_file(page, is_page)
  if ok then ok, message, err = check_file(data, is_data) end
  return ok, message, err
end

--- Write both files.
-- @tparam string path
-- @tparam cce.report report
-- @tparam table context see `html`
-- @treturn[1] string the path of the page
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.write(path, report, context)
  local value = words.typed_report(report:to_table(), context.command)
  value.asked, value.by, value.audit_log = context.asked, context.by, context.audit_log
  return M.write_files(path, M.html(report, context), value)
end

--- Write a page, and what it shows as JSON beside it.
-- @tparam string path
-- @tparam string html
-- @tparam table value with `asked` and `counts`, by which it is known later
-- @treturn[1] string the path of the page
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.write_files(path, html, value)
  local ok, message, err = M.check(path)
  if not ok then return nil, message, err end
  local page, data = paths_of(path)
  value.schema_version = render.SCHEMA_VERSION
  local text, problem = json.encode(value, { pretty = true })
  if not text then return errors.fail("INTERNAL", problem) end
  for _, each in ipairs { { page, html }, { data, text } } do
    local code
    ok, message, code = core.file.write(each[1], width.utf8(each[2]))
    if not ok then return errors.from_core(nil, message, code) end
  end
  return page
end

return M
