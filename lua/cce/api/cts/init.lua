--- What Cloud Trace Service (CTS) recorded, as methods of a client: who was
-- deleted, who obtained certificates, and any other trace.
--
-- Every result is an array that prints as a table, and tells what was searched:
--
-- * `window`: `{from=, to=, complete=}`, unix time; `complete` is false when the
--   window asked for began before what CTS still keeps
-- * `searched`: a list of places, each `{endpoint=, project_id=, region=}`
--
-- CTS keeps seven days, and is late: what happened in the last minutes may be
-- missing. So a trace proves that something happened; no trace proves nothing.
--
-- **Where.** CCE's traces are in the tracker of the cluster's project. IAM is
-- one for all regions, and its traces are in one central region only:
-- ap-southeast-1 for accounts of the international site, cn-north-4 for those
-- of the Chinese one. Nothing tells of which site an account is, so IAM is asked
-- for the account's projects in these two, and each that exists is searched; in
-- an account (of another cloud) that has neither, the client's own project is.
-- `tracker_region` names the region instead, and `tracker_project_id` its
-- project, so that IAM need not be asked.
--
-- The address is that of the client's CTS, for Huawei Cloud's own addresses
-- (`https://cts.<region>.myhuaweicloud.com`) with the other region's name in it;
-- any other address is taken as it is.
-- @module cce.cts
local service_call = require "cce.api.service_call"
local places = require "cce.api.cts.places"
local search = require "cce.api.cts.search"
local show = require "cce.text.show"
local values = require "cce.base.values"

local M = {}

local methods = {}

--- The methods that a client gets from here.
M.methods = methods

local text = values.text

-- The line under each list, so that it is not taken for more than it is.
local function note(list)
  local texts = {}
  for i, place in ipairs(list.searched) do
    texts[i] = ("%s%s, project %s"):format(place.endpoint,
      place.region and " (" .. place.region .. ")" or "", place.project_id)
  end
  return ("searched %s to %s%s at %s; the last minutes may be missing"):format(
    show.time(list.window.from), show.time(list.window.to),
    list.window.complete and "" or " (the window asked for began earlier)",
    table.concat(texts, " and "))
end

local function result(found, list, metatable)
  list.window, list.searched = found.window, found.searched
  return setmetatable(list, metatable)
end

local function time_text(entry)
  return entry.time and show.time(entry.time)
end

-- ---- any trace ---------------------------------------------------------------

local Traces = show.list("cce.traces", { "TIME", "TRACE", "RESOURCE", "BY" }, function(trace)
  return { time_text(trace), trace.name, trace.resource_name or trace.resource_id,
    trace.user.name or trace.user.id }
end, note)

local function schema_with(rules)
  rules.from, rules.to = service_call.time_rule, service_call.time_rule
  rules.partial = { type = "boolean" }
  return rules
end

local traces_schema = schema_with {
  service = service_call.name_rule, name = service_call.name_rule, user = service_call.name_rule,
  resource_type = service_call.name_rule, resource_id = service_call.name_rule,
  resource_name = service_call.name_rule,
}

--- List the traces of the client's project, oldest first.
-- @function client:list_traces
-- @tparam[opt] table opts
-- @tparam[opt] number opts.from unix time; default seven days ago
-- @tparam[opt] number opts.to unix time; default now
-- @tparam[opt] boolean opts.partial `from` may be before what CTS keeps
-- @tparam[opt] string opts.service such as "CCE"
-- @tparam[opt] string opts.name such as "RotateClusterCredentials"
-- @tparam[opt] string opts.user a user's name
-- @tparam[opt] string opts.resource_type
-- @tparam[opt] string opts.resource_id
-- @tparam[opt] string opts.resource_name
-- @treturn[1] {table,...} each `{id=, name=, service=, time=, resource_id=,
--   resource_name=, resource_type=, user={id=, name=, kind=}, source_ip=, code=,
--   ok=, raw=}`; `ok` is false for an attempt that was refused
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- local rotations = assert(client:list_traces { service = "CCE", from = os.time() - 3600 })
function methods:list_traces(opts)
  local checked, message, err = service_call.check(self, "list_traces", opts, traces_schema)
  if not checked then return nil, message, err end
  local window, place, found
  window, message, err = search.window("list_traces", checked, self:now())
  if not window then return nil, message, err end
  place, message, err = places.own(self)
  if not place then return nil, message, err end
  checked.service_type, checked.trace_name = checked.service, checked.name
  found, message, err = search.all(self, { place }, { checked }, window)
  if not found then return nil, message, err end
  return setmetatable(found, Traces)
end

-- ---- who was deleted ---------------------------------------------------------

-- The newer IAM has names of its own.
local DELETIONS = {
  { name = "deleteUser", kind = "user" }, { name = "deleteUserV5", kind = "user" },
  { name = "deleteAgency", kind = "agency" }, { name = "deleteAgencyV5", kind = "agency" },
}

local KIND_OF, DELETION_FILTERS = {}, {}
for i, deletion in ipairs(DELETIONS) do
  KIND_OF[deletion.name] = deletion.kind
  DELETION_FILTERS[i] = { service_type = "IAM", trace_name = deletion.name }
end

local Deleted = show.list("cce.deleted_principals", { "TIME", "KIND", "NAME", "ID", "BY" },
  function(each) return { time_text(each), each.kind, each.name, each.id, each.by } end,
  function(list)
    local line = note(list)
    if #list.unidentified == 0 then return line end
    return ("%s\n%s nobody by id: see unidentified"):format(line,
      show.count(#list.unidentified, "deletion names", "deletions name"))
  end)

local deleted_schema = schema_with {
  tracker_region = { type = "string", check = values.is_id },
  tracker_project_id = values.id_rule,
}

--- List the users and agencies that were deleted, whose certificates may still
-- be valid: their `id` is what `client:revoke_cert` wants.
-- @function client:deleted_principals
-- @tparam[opt] table opts
-- @tparam[opt] number opts.from unix time; default seven days ago
-- @tparam[opt] number opts.to unix time; default now
-- @tparam[opt] boolean opts.partial `from` may be before the seven days that CTS
--   keeps; what is left of the window is searched, and `window.complete` is false
-- @tparam[opt] string opts.tracker_region where IAM's traces are; see above
-- @tparam[opt] string opts.tracker_project_id the project there
-- @treturn[1] {table,...} each `{id=, kind=, name=, time=, by=, trace_id=}`, oldest
--   first; `kind` is "user" or "agency"; with `window` and `searched`, and
--   `unidentified`: traces of deletions that do not say of whom
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- for _, leaver in ipairs(assert(client:deleted_principals { from = os.time() - 86400 })) do
--   print(leaver.kind, leaver.id, leaver.name)
-- end
function methods:deleted_principals(opts)
  local checked, message, err = service_call.check(self, "deleted_principals", opts, deleted_schema)
  if not checked then return nil, message, err end
  local window, searched, found
  window, message, err = search.window("deleted_principals", checked, self:now())
  if not window then return nil, message, err end
  searched, message, err = places.of_iam(self, checked)
  if not searched then return nil, message, err end
  found, message, err = search.all(self, searched, DELETION_FILTERS, window)
  if not found then return nil, message, err end
  -- Each once, at the first time: both generations of IAM may tell of the same.
  local list, seen = { unidentified = {} }, {}
  for _, trace in ipairs(found) do
    local kind = KIND_OF[trace.name]
    local key = kind and trace.resource_id and kind .. trace.resource_id
    if kind and trace.ok and not key then
      list.unidentified[#list.unidentified + 1] = trace
    elseif kind and trace.ok and not seen[key] then
      seen[key] = true
      list[#list + 1] = setmetatable({
        id = trace.resource_id, kind = kind, name = trace.resource_name, time = trace.time,
        by = trace.user.name or trace.user.id, trace_id = trace.id,
      }, Deleted.Entry)
    end
  end
  return result(found, list, Deleted)
end

-- ---- who obtained certificates -------------------------------------------------

local Downloads = show.list("cce.certificate_downloads",
  { "TIME", "CLUSTER", "KIND", "NAME", "ID", "FROM" },
  function(each)
    return { time_text(each), each.cluster_id, each.kind, each.name, each.id, each.source_ip }
  end, note)

-- Which field of the trace has the cluster is not documented: any will do.
local function is_of(trace, cluster_id)
  return not cluster_id or trace.resource_id == cluster_id or trace.resource_name == cluster_id
    or (text(trace.raw.request) or ""):find(cluster_id, 1, true) ~= nil
end

local downloads_schema = schema_with { cluster_id = values.id_rule }

--- List who obtained certificates, of one cluster or of all of the project.
-- @function client:certificate_downloads
-- @tparam[opt] table opts
-- @tparam[opt] number opts.from unix time; default seven days ago
-- @tparam[opt] number opts.to unix time; default now
-- @tparam[opt] string opts.cluster_id
-- @tparam[opt] boolean opts.partial `from` may be before what CTS keeps
-- @treturn[1] {table,...} each `{id=, kind=, name=, time=, cluster_id=, source_ip=,
--   trace_id=}`, oldest first; `id` is whom to revoke, `kind` "user" or "agency"
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- print(assert(client:certificate_downloads { cluster_id = cluster_id }))
function methods:certificate_downloads(opts)
  local name = "certificate_downloads"
  local checked, message, err = service_call.check(self, name, opts, downloads_schema)
  if not checked then return nil, message, err end
  local window, place, found
  window, message, err = search.window(name, checked, self:now())
  if not window then return nil, message, err end
  place, message, err = places.own(self)
  if not place then return nil, message, err end
  found, message, err = search.all(self, { place },
    { { service_type = "CCE", trace_name = "getClusterCertByUID" } }, window)
  if not found then return nil, message, err end
  local list, cluster_id = {}, checked.cluster_id
  for _, trace in ipairs(found) do
    if trace.ok and is_of(trace, cluster_id) then
      list[#list + 1] = setmetatable({
        id = trace.user.id, kind = trace.user.kind, name = trace.user.name, time = trace.time,
        cluster_id = cluster_id or trace.resource_id, source_ip = trace.source_ip,
        trace_id = trace.id,
      }, Downloads.Entry)
    end
  end
  return result(found, list, Downloads)
end

return M
