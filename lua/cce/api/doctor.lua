--- What is wrong with a client's set-up: `client:doctor`.
--
-- Two requests that only read, the look-up of the project and the list of its
-- clusters, tell nearly all: how far they came shows what is right, and their
-- error what is not. Where these credentials are accepted, IAM, CTS and STS are
-- asked, too, and what only reads shows which actions are allowed.
-- @module cce.api.doctor
-- @local
local call = require "cce.api.call"
local clusters = require "cce.api.cluster"
local core = require "cce.core"
local endpoints = require "cce.api.endpoints"
local iam = require "cce.api.iam"
local identity = require "cce.api.identity"
local project = require "cce.api.project"
local tables = require "cce.text.table"
local times = require "cce.base.times"
local values = require "cce.base.values"
local width = require "cce.text.width"

local M = {}

-- In this order they are reported.
local NAMES = { "credentials", "clock", "region", "project", "reachability", "tls", "iam", "cts",
  "sts", "permissions" }

-- Seconds that a clock may be off without a word.
local TOLERANCE = 60

-- ---- the report ----------------------------------------------------------------

local Report = {}
Report.__index = Report
Report.__name = "cce.doctor.report"

--- The exit status of a program that shows this: 0 when nothing is wrong.
function Report:exit_code()
  return self.ok and 0 or 1
end

--- The report as text for people.
-- @tparam[opt] int limit columns of the terminal
-- @treturn string
function Report:text(limit)
  local rows = {}
  for i, item in ipairs(self) do
    local word = item.ok == nil and "-" or item.ok and "ok" or "FAILED"
    rows[i] = { word, item.name, item.message }
  end
  local lines = { tables.text({ "", "CHECK", "RESULT" }, rows, limit, { "keep", "keep", "prose" }) }
  for _, item in ipairs(self) do
    if item.hint then
      local hint = ("%s: %s"):format(item.name, item.hint)
      lines[#lines + 1] = limit and table.concat(width.wrap(hint, limit), "\n") or hint
    end
  end
  return table.concat(lines, "\n")
end

Report.__tostring = Report.text

local function good(report, name, message, hint)
  local item = report.items[name]
  if item.ok == nil then item.ok, item.message, item.hint = true, message, hint end
end

local function bad(report, name, message, hint)
  local item = report.items[name]
  item.ok, item.message, item.hint = false, message, hint
  report.ok = false
end

-- ---- what an error says --------------------------------------------------------

-- The step at which a request ended. What stands before it in STEPS was right;
-- of what stands after it nothing is known.
local STEPS = { "reachability", "tls", "region", "clock", "credentials", "project", "permissions" }

local STEP_OF = {
  TLS_FAILED = "tls",
  API_NOT_FOUND = "region", NO_ENDPOINT = "region", NOT_FOUND = "region",
  CLOCK_SKEW = "clock",
  UNAUTHENTICATED = "credentials", ACCESS_KEY_LOCKED = "credentials",
  NO_CREDENTIALS = "credentials",
  NO_PROJECT = "project",
  PERMISSION_DENIED = "permissions",
}

local GOOD = {
  reachability = "%s answers",
  tls = "the certificate of %s is trusted",
  region = "%s knows the call",
  clock = "accepted by %s",
  credentials = "accepted by %s",
  project = "accepted by %s",
}

-- All steps before this one were passed at an address.
local function passed(report, view, address, until_step)
  local subject = { credentials = view.session:describe(), project = project.known(view) }
  for _, name in ipairs(STEPS) do
    if name == until_step then return end
    local text = GOOD[name]
    if subject[name] then text = subject[name] .. ", " .. text end
    if name == "tls" and values.lower(address):find "^http://" then
      text = "not used: %s is on this machine"
    end
    if text then good(report, name, text:format(address)) end
  end
end

-- Whether the project is one that these credentials do not see. nil: unknown.
local function is_foreign_project(view)
  if not view.config.endpoints.iam then return nil end
  local projects = project.list(view)
  if not projects then return nil end
  for _, entry in ipairs(projects) do
    if entry.id == view.config.project_id then return false end
  end
  return true
end

local function explain(report, view, address, err)
  local step = STEP_OF[err.code] or "reachability"
  if err.code == "PERMISSION_DENIED" and err.operation ~= "list_projects"
    and (values.lower(err.message):find("action forbidden", 1, true)
      or is_foreign_project(view)) then
    step = "project"
  end
  -- What was not sent has passed nothing.
  if err.attempts ~= 0 then passed(report, view, address, step) end
  bad(report, step, err.message, err.hint)
end

-- ---- the checks ------------------------------------------------------------------

-- Seconds that our clock is ahead; the second of an answer's date is no more
-- exact than that.
local function note_clock(report, view, address, date)
  local server = times.parse_http(date)
  local ahead = server and view.clock() - server or 0
  if view.clock_shift ~= 0 then ahead = -view.clock_shift end
  local text = ("%.0f s %s of %s"):format(math.abs(ahead), ahead < 0 and "behind that" or
    "ahead of that", address)
  if view.clock_shift ~= 0 then
    bad(report, "clock", ("this machine's clock is %s: too much for the API"):format(text),
      "Set it; calls go on meanwhile with the API's own time")
  elseif server and math.abs(ahead) > TOLERANCE then
    good(report, "clock", ("this machine's clock is %s"):format(text),
      "Set this machine's clock: the API allows 15 minutes")
  elseif server then
    good(report, "clock", ("right to within a minute, by that of %s"):format(address))
  end
end

-- The clusters, for the actions that are tried on one; nil where they cannot be listed.
local function check_clusters(report, view, project_id)
  local address = view.config.endpoints.cce
  local ids = { project_id = project_id }
  local request, message = core.operation("list_clusters", ids, {}, view:now())
  if not request then return bad(report, "project", message) end
  local response, _, err = call.send(view, request, ids)
  note_clock(report, view, address, response and response.headers.date)
  if not response then return explain(report, view, address, err) end
  local body
  body, _, err = call.decode(request, ids, response)
  local list = body and call.list(request, ids, response, body, "items", clusters.new)
  if not list then
    return bad(report, "reachability", err and err.message
      or ("what answers at %s is not CCE: it lists no clusters"):format(address))
  end
  passed(report, view, address, "permissions")
  return list
end

-- ---- the other services, and what is allowed --------------------------------------

-- Whom each takes these credentials for; CTS does not say it.
local ASK = {
  sts = function(view)
    local caller, message, err = identity.by_sts(view)
    if not caller then return nil, message, err end
    view.caller = caller
    return (", to %s %s (%s)"):format(caller.kind, caller.name or "of no name", caller.id)
  end,
  iam = function(view)
    local account, message, err = iam.account_of(view)
    return account and ", to account " .. account, message, err
  end,
  cts = function(view)
    local traces, message, err = view:list_traces { from = view:now() - 60 }
    return traces and "", message, err
  end,
}

local function check_service(report, view, service)
  local item = report.items[service]
  local address, message, err = endpoints.of(view.config.endpoints, service)
  if not address then
    item.message, item.hint = "not checked: " .. message, err.hint
    return
  end
  local whom
  whom, message, err = ASK[service](view)
  if whom then
    good(report, service, address .. " answers" .. whom)
  elseif err.code == "PERMISSION_DENIED" then
    good(report, service, address .. " answers, and refuses this: " .. message)
  elseif err.code == "NO_PROJECT" then
    item.message = "not checked: it needs the project"
  else
    bad(report, service, message, err.hint)
  end
end

-- What is needed and only reads: the action, and a call that it allows. Lists are kept short
-- by a name that few have.
local READING = {
  { core.operations.show_cluster.action, function(view)
    return view.example_cluster and view:show_cluster(view.example_cluster)
  end },
  { "iam:users:listUsers", function(view) return view:list_users { name = "cce-doctor" } end },
  { "iam:agencies:listAgencies", function(view)
    return view:list_agencies { name = "cce-doctor" }
  end },
  { "cts:trace:list", ASK.cts },
}

-- Changes cannot be tried, and there may be no job to look at.
local UNTRIED = { "show_job", "obtain_cert", "revoke_cert", "rotate_credentials" }

local function check_permissions(report, view, listed)
  local found = { allowed = {}, refused = {}, unknown = {}, ["not tried"] = {} }
  local function note(what, action) table.insert(found[what], action) end
  if listed then note("allowed", core.operations.list_clusters.action) end
  for _, each in ipairs(READING) do
    local answer, _, err = each[2](view)
    note(answer and "allowed" or err and err.code == "PERMISSION_DENIED" and "refused" or "unknown",
      each[1])
  end
  for _, name in ipairs(UNTRIED) do note("not tried", core.operations[name].action) end
  local parts = {}
  for _, what in ipairs { "allowed", "refused", "unknown", "not tried" } do
    if found[what][1] then parts[#parts + 1] = what .. ": " .. table.concat(found[what], ", ") end
  end
  good(report, "permissions", table.concat(parts, "; "))
end

-- ---- all of it ------------------------------------------------------------------------

local function new_report()
  local report = setmetatable({ ok = true, items = {} }, Report)
  for i, name in ipairs(NAMES) do
    report[i] = { name = name, message = "not checked" }
    report.items[name] = report[i]
  end
  return report
end

-- The client, but without second attempts and with the machine's own clock; what it
-- knows of itself is asked for again.
local function view_of(client)
  client:engine()
  local retry = { max_attempts = 1, base = 0, cap = 0, budget = 0 }
  local config = setmetatable({ retry = retry }, { __index = client.config })
  return client:view { config = config, clock_shift = 0, account_id = false, caller = false,
    example_cluster = false }
end

--- What can be said where it is not known where CCE is.
-- @tparam cce.client client one of no address, to which nothing is sent
-- @tparam table err why no other could be made
-- @treturn table the report
function M.without_endpoint(client, err)
  local report = new_report()
  bad(report, "region", err.message, err.hint)
  local auth, message, problem = client.session:identify()
  if auth then
    report.items.credentials.message = client.session:describe() .. ", not tried"
  elseif problem.code == "NO_CREDENTIALS" then
    bad(report, "credentials", message, problem.hint)
  end
  return report
end

--- Examine a client.
-- @tparam cce.client client
-- @treturn table the report, see `client:doctor`
function M.examine(client)
  local view, report = view_of(client), new_report()
  local places = view.config.endpoints
  good(report, "region", ("%sCCE at %s"):format(
    view.config.region and view.config.region .. ", " or "", places.cce))
  local auth, message, err = view.session:identify()
  if not auth then
    bad(report, "credentials", message, err.hint)
    return report
  end
  local project_id, _, problem = project.id_of(view)
  note_clock(report, view, places.iam)
  local list
  if project_id then
    list = check_clusters(report, view, project_id)
  else
    explain(report, view, places.iam or places.cce, problem)
  end
  -- A key that was refused is not tried elsewhere: five failures lock it.
  if not report.items.credentials.ok then return report end
  for _, service in ipairs { "sts", "iam", "cts" } do check_service(report, view, service) end
  view.example_cluster = list and list[1] and list[1].id
  check_permissions(report, view, list)
  return report
end

return M
