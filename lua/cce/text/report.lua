--- What a workflow did, cluster by cluster: the result of every function of
-- `cce.workflow`.
--
-- A report has five lists. Final are `ok`; `failed`: refused for good, a job that
-- failed, or given up by a person; and `skipped`: excluded by a rule. Open are
-- `uncertain`: a request may have been accepted; and `pending`: not done, for the reason
-- that its `message` gives. Each item is a table: `cluster_id`, `name`, `project_id`, and,
-- where they are known,
-- `job_id`, `request_id`, `duration` (seconds), `code`, `message`, `hint`, `err`,
-- and `earlier=true` for what an earlier start of the same run had done.
--
-- Further fields: `workflow`, `run`, `started` and `ended` (unix time),
-- `duration` (seconds), `resumed`, `stopped` (why it ended before its end),
-- `incomplete` (something beside the clusters themselves went wrong; see `notes`),
-- `windows` and `next_window` (unix time) of a rotation that waits for its windows,
-- `already_finished` (unix time: nothing of the run was open, so this call did nothing,
-- and the report is that of before), `undo` (the path of what `cce.workflow.restore` puts back),
-- `notes` (a list of sentences) and, for a dry run, `dry_run=true` and `plan`, a list of
-- sentences. (`steps`, the plan as tables, is for `text` alone.)
-- @module cce.report
local json = require "cce.base.json"
local show = require "cce.text.show"
local tables = require "cce.text.table"
local width = require "cce.text.width"

local M = {}

local Report = {}
Report.__index = Report
Report.__name = "cce.report"

local BUCKETS = { "ok", "failed", "skipped", "uncertain", "pending" }

--- Start a report.
-- @tparam string workflow
-- @tparam number now unix time
-- @treturn cce.report
-- @local
function M.new(workflow, now)
  return setmetatable({ workflow = workflow, started = now, ok = {}, failed = {}, skipped = {},
    uncertain = {}, pending = {}, notes = {} }, Report)
end

--- Put an item into one of the lists. What its `err` says is copied to
-- `code`, `message`, `hint` and `request_id`, unless the item has them.
-- @tparam string bucket "ok", "failed", "skipped", "uncertain" or "pending"
-- @tparam table item
-- @function report:add
-- @local
function Report:add(bucket, item)
  local list = assert(self[bucket], bucket)
  for _, name in ipairs { "code", "message", "hint", "request_id" } do
    if item[name] == nil and item.err then item[name] = item.err[name] end
  end
  list[#list + 1] = item
end

--- Say something about the whole run.
-- @function report:note
-- @local
function Report:note(format, ...)
  self.notes[#self.notes + 1] = select("#", ...) > 0 and format:format(...) or format
end

--- End a report.
-- @function report:finish
-- @local
function Report:finish(now)
  self.ended, self.duration = now, math.max(0, now - self.started)
  return self
end

--- How many of each.
-- @treturn table `{ok=, failed=, skipped=, uncertain=, pending=, total=}`
-- @usage
-- local report = assert(cce.workflow.issue(client, { dir = "team.d", duration = 1 }))
-- print(report:counts().failed)
-- @function report:counts
function Report:counts()
  local counts = { total = 0 }
  for _, bucket in ipairs(BUCKETS) do
    counts[bucket] = #self[bucket]
    counts.total = counts.total + #self[bucket]
  end
  return counts
end

--- What a script should end with, the first that applies: 1 something failed for good;
-- 2 something is open: uncertain or pending; 3 nothing was done, since the run had
-- closed before, with all ok; 0. What a rule excludes is no failure; a cluster where it cannot
-- be done (its code is `UNSUPPORTED`) is one.
-- @treturn int
-- @usage
-- local report = assert(cce.workflow.rotate(client, { clusters = ids, canary = 1 }))
-- print(report)
-- os.exit(report:exit_code())
-- @function report:exit_code
function Report:exit_code()
  if #self.failed > 0 or self.incomplete then return 1 end
  for _, item in ipairs(self.skipped) do
    if item.code == "UNSUPPORTED" then return 1 end
  end
  if #self.uncertain > 0 or #self.pending > 0 or self.stopped then return 2 end
  return self.already_finished and 3 or 0
end

local TIMES = { started = true, ended = true, already_finished = true, next_window = true,
  began = true, expires_at = true, from = true, to = true, asked_from = true, deleted = true,
  revoked = true, obtained = true }

-- Moments as text; lengths of time in milliseconds at most.
local function plain(value, of)
  local kind = type(value)
  if kind == "number" and TIMES[of] then return show.time(value) end
  if kind == "number" and of == "duration" then return math.floor(value * 1000 + 0.5) / 1000 end
  if kind == "string" or kind == "number" or kind == "boolean" then return value end
  if kind ~= "table" then return nil end
  local copy = {}
  for name, inner in pairs(value) do copy[name] = plain(inner, name) end
  return copy
end

local ITEM_FIELDS = { "cluster_id", "name", "project_id", "job_id", "request_id", "began",
  "duration", "code", "message", "hint", "earlier", "settled_by", "path", "repaired", "reissued",
  "context", "renewed", "expires_at", "backup", "principal_id", "principal_kind",
  "can_obtain_again", "verified", "may_have_cut_newer", "cut_again", "given_up", "rights",
  "removed", "left", "perhaps" }

--- The report as tables, strings, numbers and booleans alone, as JSON can hold. Moments are text
-- as RFC 3339 has it.
-- @treturn table the lists, `counts`, `exit_code`, and the other fields
-- @usage
-- local report = assert(cce.workflow.issue(client, { dir = "team.d", duration = 1 }))
-- print(core.json.encode(report:to_table()))
-- @function report:to_table
function Report:to_table()
  local copy = { counts = self:counts(), exit_code = self:exit_code() }
  for name, value in pairs(self) do
    if name ~= "steps" and not M.is_bucket(name) then copy[name] = plain(value, name) end
  end
  for _, name in ipairs { "notes", "plan", "principals" } do
    if copy[name] then json.array(copy[name]) end
  end
  for _, bucket in ipairs(BUCKETS) do
    copy[bucket] = json.array()
    for i, item in ipairs(self[bucket]) do
      local entry = {}
      for _, name in ipairs(ITEM_FIELDS) do entry[name] = plain(item[name], name) end
      copy[bucket][i] = entry
    end
  end
  return copy
end

--- Whether a name is that of one of the lists.
-- @local
function M.is_bucket(name)
  for _, bucket in ipairs(BUCKETS) do
    if bucket == name then return true end
  end
  return false
end

--- Whether a value is a report.
-- @treturn boolean
-- @usage
-- assert(not require("cce.text.report").is({}))
function M.is(value)
  return getmetatable(value) == Report
end

-- ---- for people ------------------------------------------------------------

--- Seconds as people say them.
-- @tparam number seconds
-- @treturn string
-- @local
function M.duration(seconds)
  if seconds < 60 then return ("%.1f s"):format(seconds) end
  local minutes = math.floor(seconds / 60 + 0.5)
  if minutes < 120 then return ("%d min"):format(minutes) end
  return ("%d h %d min"):format(math.floor(minutes / 60), minutes % 60)
end

-- A message of the library names the request id already.
local function facts_of(item)
  local facts = {}
  local message = item.message or ""
  local function fact(format, value)
    if value and not message:find(tostring(value), 1, true) then
      facts[#facts + 1] = format:format(value)
    end
  end
  fact("job %s", item.job_id)
  fact("request id %s", item.request_id)
  if item.duration then facts[#facts + 1] = M.duration(item.duration) end
  if item.earlier then facts[#facts + 1] = "at an earlier start" end
  return #facts > 0 and " (" .. table.concat(facts, ", ") .. ")" or ""
end

-- Those that were not begun are one line, however many.
local function add_items(self, bucket, lines)
  local not_begun, reason = 0, nil
  for _, item in ipairs(self[bucket]) do
    if item.code == "CANCELLED" then
      not_begun, reason = not_begun + 1, item.message
    else
      local line = ("  %s %s%s: %s%s"):format(bucket, item.name and item.name .. " " or "",
        item.cluster_id or "?", item.message or "no reason given", facts_of(item))
      lines[#lines + 1] = item.hint and line .. ". " .. item.hint or line
    end
  end
  if not_begun > 0 then lines[#lines + 1] = ("  %s %d: %s"):format(bucket, not_begun, reason) end
end

-- The plan: as tables what the workflow has as such, which its first sentences say, too.
local function add_plan(self, lines, limit)
  local plan, in_tables = self.plan or {}, 0
  for _, steps in ipairs(self.steps or {}) do
    local text = steps[1] and tables.text(steps.titles, steps, limit and limit - 2, steps.kinds)
      or ""
    for line in text:gmatch "[^\n]+" do lines[#lines + 1] = "  " .. line end
    in_tables = in_tables + #steps
  end
  for i = in_tables + 1, #plan do lines[#lines + 1] = width.fold("  " .. plan[i], limit) end
end

--- The report for people.
-- @tparam[opt] int limit columns of the terminal; without it no line is broken
-- @treturn string several lines
-- @function report:text
function Report:text(limit)
  local counts, parts = self:counts(), {}
  for _, bucket in ipairs(BUCKETS) do
    if counts[bucket] > 0 or bucket == "ok" or bucket == "failed" then
      parts[#parts + 1] = ("%d %s"):format(counts[bucket], bucket)
    end
  end
  local lines = { ("%s%s: %s"):format(self.workflow, self.run and " " .. self.run or "",
    table.concat(parts, ", ")) }
  if self.duration and not self.already_finished then
    lines[1] = lines[1] .. " in " .. M.duration(self.duration)
  end
  if self.dry_run then lines[1] = ("%s: dry run, nothing was sent"):format(self.workflow) end
  if self.already_finished then
    lines[#lines + 1] = ("  NOTHING WAS DONE: nothing of this run is open since %s; a new one needs"
      .. " another journal or run="):format(show.time(self.already_finished))
  end
  if self.stopped then lines[#lines + 1] = "  STOPPED: " .. self.stopped end
  for _, note in ipairs(self.notes) do lines[#lines + 1] = "  note: " .. note end
  for i, line in ipairs(lines) do lines[i] = width.fold(line, limit) end
  add_plan(self, lines, limit)
  local first = #lines + 1
  for _, bucket in ipairs { "failed", "uncertain", "pending", "skipped" } do
    add_items(self, bucket, lines)
  end
  for i = first, #lines do lines[i] = width.fold(lines[i], limit) end
  return table.concat(lines, "\n")
end

function Report:__tostring()
  return self:text()
end

return M
