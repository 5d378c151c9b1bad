--- Who holds, or may hold, a working certificate, by what evidence: `cce.workflow.holders`.
--
-- The API lists no certificates. This puts together what is on record: downloads,
-- revocations and rotations in CTS (seven days), the same in exported traces, our audit
-- logs, kubeconfigs in files, revocations that are due in a schedule, and rights in the
-- clusters. The result says what it cannot see.
-- @module cce.workflow.holders
local access = require "cce.workflow.rights.access"
local evidence = require "cce.workflow.holders.evidence"
local options = require "cce.base.options"
local show = require "cce.text.show"
local targets = require "cce.workflow.targets"

-- Longer the API gives none: five years, one of them at least a leap year.
local LONGEST = 1827 * 86400

local texts = { type = "list", check = function(list)
  for _, each in ipairs(list) do
    if type(each) ~= "string" then return false, "a list of texts" end
  end
  return true
end }

local schema = {
  clusters = { type = { "table", "callable" }, default = { name = "*" } },
  user_id = { type = "string", non_empty = true },
  traces = texts, logs = texts, kubeconfigs = texts, expected = texts,
  schedule = { type = "table", check = function(given)
    return options.is_callable(given.list), "a schedule, as of cce.schedule.open"
  end }, admin = access.option,
  concurrency = { type = "integer", min = 1, max = 1000, default = 10 },
}

-- ---- who they are -----------------------------------------------------------------

-- Names and states by id: of IAM's lists, and of those who were deleted.
local function people_of(clients, report)
  local people = {}
  local function add(id, kind, name, state)
    if id and not people[id] then people[id] = { kind = kind, name = name, state = state } end
  end
  for _, client in ipairs(clients) do
    local users, message = client:list_users()
    for _, user in ipairs(users or {}) do
      add(user.id, "user", user.name, user.enabled and "enabled" or "disabled")
    end
    if not users then report:cannot_see("users of IAM were not listed: %s", message) end
    local agencies
    agencies, message = client:list_agencies()
    for _, agency in ipairs(agencies or {}) do add(agency.id, "agency", agency.name, "enabled") end
    if not agencies then report:cannot_see("agencies of IAM were not listed: %s", message) end
    local deleted
    deleted, message = client:deleted_principals()
    for _, each in ipairs(deleted or {}) do
      people[each.id] = { kind = each.kind, name = each.name, state = "deleted" }
    end
    if not deleted then report:cannot_see("deletions were not searched: %s", message) end
  end
  return people
end

-- ---- from facts to rows --------------------------------------------------------------

local function row_for(rows, fact)
  local key = fact.cluster_id .. " " .. fact.id
  if not rows[key] then
    rows[key] = { cluster_id = fact.cluster_id, id = fact.id, kind = fact.kind, name = fact.name,
      evidence = {}, certificates = {} }
    rows[#rows + 1] = rows[key]
  end
  local row = rows[key]
  row.kind, row.name = row.kind or fact.kind, row.name or fact.name
  row.evidence[#row.evidence + 1] = fact.what .. ": " .. fact.from
  return row
end

local function later(a, b)
  if not a or b and b > a then return b end
  return a
end

-- Of several sources that tell of one certificate the one that knows its end counts.
local function add_fact(rows, rotated, fact)
  if fact.what == "rotated" then
    rotated[fact.cluster_id] = later(rotated[fact.cluster_id], fact.time)
  elseif fact.id then
    local row = row_for(rows, fact)
    if fact.what == "obtained" then
      row.obtained = later(row.obtained, fact.time)
      row.certificates[#row.certificates + 1] = fact
    elseif fact.what == "revoked" then
      row.revoked = later(row.revoked, fact.time)
    elseif fact.what == "bound" then
      row.rights = row.rights or {}
      table.insert(row.rights, fact.from)
    else
      row.due = row.due and math.min(row.due, fact.time) or fact.time
    end
  end
end

-- "holds": a certificate whose end is known and ahead; "may": its end is not known;
-- else why nothing of what is on record works any more. One that was obtained in the very
-- moment of a revocation may have come after it.
local function judge(row, rotated, now)
  local state, last_end = nil, nil
  for _, certificate in ipairs(row.certificates) do
    local ends = certificate.ends or certificate.time + LONGEST
    if row.revoked and certificate.time < row.revoked then
      state = state or "revoked"
    elseif rotated and certificate.time < rotated then
      state = state or "rotated"
    elseif ends <= now then
      state = state or "ended"
    else
      last_end = later(last_end, ends)
      local mine = certificate.ends and "holds" or "may"
      state = state == "holds" and state or mine
    end
  end
  row.state, row.latest_end = state or (row.revoked and "revoked" or "unknown"), last_end
  row.rotated, row.certificates = rotated, nil
end

-- ---- the result ------------------------------------------------------------------------

local List = show.list("cce.holders",
  { "CLUSTER", "KIND", "NAME", "ID", "STATE", "IAM", "OBTAINED", "LATEST END", "RIGHTS" },
  function(row)
    return { row.cluster_name or row.cluster_id, row.kind, row.name, row.id,
      row.unexpected and row.state .. ", UNEXPECTED" or row.state, row.iam,
      row.obtained and show.time(row.obtained), row.latest_end and show.time(row.latest_end),
      row.rights and table.concat(row.rights, ", ") }
  end, function(list)
    local lines = {}
    for i, each in ipairs(list.blind) do lines[i] = "cannot see: " .. each end
    return table.concat(lines, "\n")
  end)

--- Whether a row is one of somebody who can get in, as far as is known.
local function is_in(row)
  return row.state == "holds" or row.state == "may"
end

local methods = {}

function methods:cannot_see(format, ...)
  self.blind[#self.blind + 1] = format:format(...)
end

--- 4 when somebody holds who is not expected, 0 otherwise.
-- @function holders:exit_code
-- @treturn int
function methods:exit_code()
  for _, row in ipairs(self) do
    if row.unexpected then return 4 end
  end
  return 0
end

-- "cluster principal" or "principal", by names or ids. A name of IAM may hold spaces, one of a
-- cluster none.
local function expects(expected, row)
  for _, line in ipairs(expected) do
    local first, second = line:match "^(%S+)%s+(.+)$"
    local is_cluster = first == row.cluster_id or first == row.cluster_name
    for _, who in ipairs { row.id, row.name } do
      if line == who or is_cluster and second == who then return true end
    end
  end
  return false
end

local function add_files(checked, facts)
  for _, path in ipairs(checked.traces or {}) do
    local count, message, err = evidence.of_file(path, facts)
    if not count then return nil, message, err end
  end
  for _, path in ipairs(checked.logs or {}) do
    local ok, message, err = evidence.of_audit_log(path, facts)
    if not ok then return nil, message, err end
  end
  return true
end

local function address_book(clusters)
  local by_server = {}
  for _, each in ipairs(clusters) do
    local status = type(each.cluster.raw) == "table" and each.cluster.raw.status
    for _, endpoint in ipairs(type(status) == "table" and status.endpoints or {}) do
      local address = type(endpoint.url) == "string" and endpoint.url:match "^https://([^/]+)"
      if address then by_server[address] = each.id end
    end
  end
  return by_server
end

--- List who holds or may hold a working certificate.
-- @function holders
-- @tparam cce.client|{cce.client,...} client
-- @tparam[opt] table opts
-- @tparam[opt] table|function opts.clusters ids, or `{ name=, version=, status= }`; by
--   default all
-- @tparam[opt] string opts.user_id only this user or agency
-- @tparam[opt] {string,...} opts.traces files of exported traces of CTS: JSON, or JSON lines
-- @tparam[opt] {string,...} opts.logs audit logs of ours
-- @tparam[opt] {string,...} opts.kubeconfigs files, directories and patterns, as for
--   `cce.expiry`
-- @tparam[opt] cce.schedule opts.schedule revocations that are due
-- @tparam[opt] string|table|function opts.admin kubeconfigs to ask clusters for bindings with,
--   as for `cce.workflow.revoke`; none is obtained
-- @tparam[opt=10] int opts.concurrency clusters that are asked at a time
-- @tparam[opt] {string,...} opts.expected who should be there: "principal" or
--   "cluster principal", each by id or name; others are marked `unexpected`
-- @treturn[1] {table,...} by cluster and name, each `{cluster_id=, cluster_name=, kind=, id=,
--   name=, state=, iam=, obtained=, latest_end=, revoked=, rotated=, due=, rights={…},
--   evidence={…}}`. `rights` are the bindings and AccessPolicies that name them, each with its
--   role; what a group gives is not among them, and said.
--   `state` is "holds" (a certificate is on record that ends later), "may" (its end is not on
--   record), or why none works: "revoked", "rotated" (by a job that has ended well, or is
--   forgotten), "ended"; "unknown" when nothing was obtained as far as is known. `iam` is
--   "enabled", "disabled", "deleted" or "unknown". Times are unix seconds. The list has `blind`,
--   sentences on what it cannot see, `unasked`, why CTS was not asked, if it was not, and
--   `:exit_code()`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- local holders = assert(cce.workflow.holders(client, { clusters = { name = "prod-*" } }))
-- print(holders)
return function(client, opts)
  local clients = targets.clients(client, "holders", 2)
  local checked, message, err = options.check(opts, schema)
  if not checked then return nil, message, err end
  local selection
  selection, message, err = targets.selection(checked.clusters, 2)
  if not selection then return nil, message, err end
  local clusters
  clusters, message, err = targets.find(clients, selection)
  if not clusters then return nil, message, err end

  local result = setmetatable({ blind = {} }, { __index = methods, __name = List.__name,
    __tostring = List.__tostring })
  local facts = {}
  for _, each in ipairs(clients) do
    local window
    window, message, err = evidence.of_cts(each, facts)
    if window then
      result:cannot_see("what was obtained before %s, unless traces, logs or kubeconfigs of that"
        .. " time are given; the last minutes may be missing", show.time(window.from))
    elseif err.code == "PERMISSION_DENIED" or err.code == "INVALID_ARGUMENT" then
      result.unasked = message
      result:cannot_see("CTS was not asked: %s", message)
    else
      return nil, message, err
    end
  end
  local ok
  ok, message, err = add_files(checked, facts)
  if ok and checked.schedule then
    ok, message, err = evidence.of_schedule(checked.schedule, facts)
  end
  if not ok then return nil, message, err end
  if facts.lost then
    result:cannot_see("who holds %s: the traces or lines lack the holder, the cluster or the"
      .. " time", show.count(facts.lost, "certificate"))
  end
  if facts.open then
    result:cannot_see("what became of %s for certificates: the logs lack the outcome",
      show.count(facts.open, "request"))
  end
  if facts.unclear then
    result:cannot_see("whether %s cut certificates: the traces or lines do not say of which"
      .. " component they are", show.count(facts.unclear, "rotation"))
  end
  local since, unended = evidence.open_rotations(clusters, facts, checked.concurrency)
  for _, problem in ipairs(unended) do result:cannot_see("%s", problem) end
  if checked.kubeconfigs then
    local problems = evidence.of_kubeconfigs(checked.kubeconfigs, address_book(clusters), facts)
    for _, problem in ipairs(problems) do result:cannot_see("%s", problem) end
  end
  local unseen
  unseen, message, err = evidence.of_bindings(checked.admin, clusters, facts, checked.concurrency)
  if not unseen then return nil, message, err end
  for _, problem in ipairs(unseen) do result:cannot_see("%s", problem) end
  for _, problem in ipairs(evidence.of_policies(clients, clusters, facts)) do
    result:cannot_see("%s", problem)
  end

  local names, rows, rotated = {}, {}, {}
  for _, each in ipairs(clusters) do names[each.id] = each.name or each.id end
  table.sort(facts, function(a, b) return a.time < b.time end)
  for _, fact in ipairs(facts) do
    local is_asked = names[fact.cluster_id] and (not checked.user_id or fact.what == "rotated"
      or fact.id == checked.user_id)
    if fact.what == "rotated" and fact.time >= (since[fact.cluster_id] or math.huge) then
      is_asked = false
    end
    if is_asked then add_fact(rows, rotated, fact) end
  end
  local people, now = people_of(clients, result), clients[1]:now()
  for _, row in ipairs(rows) do
    judge(row, rotated[row.cluster_id], now)
    local person = people[row.id] or {}
    row.cluster_name, row.iam = names[row.cluster_id], person.state or "unknown"
    row.name, row.kind = row.name or person.name, person.kind or row.kind or "user"
    row.unexpected = checked.expected and is_in(row) and not expects(checked.expected, row) or nil
    result[#result + 1] = setmetatable(row, List.Entry)
  end
  table.sort(result, function(a, b)
    if a.cluster_name ~= b.cluster_name then return a.cluster_name < b.cluster_name end
    return (a.name or a.id) < (b.name or b.id)
  end)
  return result
end
