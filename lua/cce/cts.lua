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
local companion = require "cce.companion"
local core = require "cce.core"
local endpoints = require "cce.endpoints"
local show = require "cce.show"

local M = {}

local methods = {}

--- The methods that a client gets from here.
M.methods = methods

--- Seconds that CTS keeps a trace.
M.RETENTION = 7 * 86400

--- Seconds by which a trace may come late; so much later it is still found.
M.LATENESS = 15 * 60

-- Between a caller's reading of the clock and ours.
local SLACK = 60
local PAGE = 200
local CENTRAL_REGIONS = { "ap-southeast-1", "cn-north-4" }

local text, object = companion.text, companion.object

-- ---- traces ------------------------------------------------------------------

local function seconds(milliseconds)
  milliseconds = tonumber(milliseconds)
  return milliseconds and milliseconds / 1000
end

-- Older services write the user as JSON in a string.
local function user_object(value)
  if type(value) == "string" then
    return object((core.json.decode(value)))
  end
  return object(value)
end

-- An agency's traces have the agency's id and a session's name in principal_id,
-- and "<account>/<agency>" as the name.
local function user_of(value)
  local raw = user_object(value)
  local user = { id = text(raw.id), name = text(raw.name) or text(raw.user_name), kind = "user" }
  if raw.type == "AssumedAgency" then
    user.kind = "agency"
    user.id = (text(raw.principal_id) or user.id or ""):match("^[^:]+")
    user.name = user.name and user.name:match("([^/]*)$")
  end
  return user
end

-- A refused attempt is recorded too.
local function succeeded(raw)
  local status = tonumber(raw.code)
  if status then return status < 400 end
  return raw.trace_rating ~= "warning" and raw.trace_rating ~= "incident"
end

local Trace = { __name = "cce.trace" }

function Trace:__tostring()
  return ("trace %s: %s %s by %s at %s"):format(self.id or "without an id", self.name or "?",
    self.resource_name or self.resource_id or "", self.user.name or self.user.id or "nobody known",
    self.time and show.time(self.time) or "a time not known")
end

local function trace_of(raw)
  return setmetatable({
    id = text(raw.trace_id), name = text(raw.trace_name), service = text(raw.service_type),
    time = seconds(raw.time) or seconds(raw.record_time), recorded = seconds(raw.record_time),
    resource_id = text(raw.resource_id), resource_name = text(raw.resource_name),
    resource_type = text(raw.resource_type), user = user_of(raw.user),
    source_ip = text(raw.source_ip), code = tonumber(raw.code), ok = succeeded(raw), raw = raw,
  }, Trace)
end

-- ---- the window --------------------------------------------------------------

local function bad_window(name, message, hint)
  return companion.fail("INVALID_ARGUMENT", name .. ": " .. message, {
    operation = name, retryable = false, maybe_applied = false, attempts = 0, hint = hint,
  })
end

local function window_of(name, checked, now)
  local oldest = now - M.RETENTION
  local window = { from = checked.from or oldest, to = checked.to or now, complete = true }
  if window.from > window.to then
    return bad_window(name, ("from (%s) is later than to (%s)"):format(
      show.time(window.from), show.time(window.to)))
  elseif window.from >= oldest - SLACK then
    return window
  elseif not checked.partial then
    return bad_window(name, ("from is %s, and CTS keeps seven days only: nothing from before %s")
      :format(show.time(window.from), show.time(oldest)),
      "Give partial=true to search what is left; for earlier ones look at what CTS transferred"
      .. " to OBS or LTS, if it was set up")
  elseif window.to < oldest then
    return bad_window(name, ("the window ends at %s, before all that CTS still keeps (from %s)")
      :format(show.time(window.to), show.time(oldest)))
  end
  window.from, window.complete = oldest, false
  return window
end

-- ---- places ------------------------------------------------------------------

local function own_place(client)
  local address, message, err = endpoints.of(client.config.endpoints, "cts")
  if not address then return nil, message, err end
  local project_id
  project_id, message, err = companion.project_id(client)
  if not project_id then return nil, message, err end
  return { endpoint = address, project_id = project_id, region = client.config.region }
end

--- The address of another region's CTS: only Huawei Cloud's own addresses tell.
-- @tparam string address of CTS in any region
-- @tparam string region
-- @treturn string
-- @local
function M.address_in(address, region)
  return (address:gsub("^(https://cts%.)[%w-]+(%.myhuaweicloud%.com)$",
    function(head, tail) return head .. region .. tail end))
end

local function project_in(client, region)
  local projects, _, err = client:list_projects { name = region }
  if not projects then
    err.hint = (err.hint and err.hint .. "; or g" or "G")
      .. "ive tracker_region= and tracker_project_id="
    return companion.about("it cannot be found out where IAM's traces are", err)
  end
  return projects[1] and projects[1].id or false
end

-- A list of the places; a region without a project of this account has none of
-- its traces.
local function places_in(client, address, regions)
  local places = {}
  for _, region in ipairs(regions) do
    local id, message, err = project_in(client, region)
    if id == nil then return nil, message, err end
    if id then
      places[#places + 1] = {
        endpoint = M.address_in(address, region), project_id = id, region = region,
      }
    end
  end
  return places
end

local function named_place(client, address, checked)
  if checked.tracker_project_id then
    local region = checked.tracker_region
    return { {
      endpoint = region and M.address_in(address, region) or address,
      project_id = checked.tracker_project_id, region = region,
    } }
  end
  local places, message, err = places_in(client, address, { checked.tracker_region })
  if not places then return nil, message, err end
  if places[1] then return places end
  return companion.fail("NO_PROJECT", ("these credentials see no project called %s"):format(
    checked.tracker_region), { hint = "Check tracker_region=, or give tracker_project_id=" })
end

local function places_of_iam(client, checked)
  local address, message, err = endpoints.of(client.config.endpoints, "cts")
  if not address then return nil, message, err end
  if checked.tracker_region or checked.tracker_project_id then
    return named_place(client, address, checked)
  end
  local places
  places, message, err = places_in(client, address, CENTRAL_REGIONS)
  if not places then return nil, message, err end
  if #places > 0 then return places end
  local place
  place, message, err = own_place(client)
  if not place then return nil, message, err end
  return { place }
end

-- ---- searching ---------------------------------------------------------------

local function milliseconds(time)
  return ("%.0f"):format(time * 1000)
end

-- Both ends are left out by CTS, which goes by when a trace was recorded.
local function query_for(filter, window, now, marker)
  local query = {
    { "trace_type", "system" },
    { "from", milliseconds(window.from - 1) },
    { "to", milliseconds(math.max(math.min(window.to + M.LATENESS, now), window.to) + 1) },
    { "limit", tostring(PAGE) },
  }
  for _, name in ipairs { "service_type", "trace_name", "resource_type", "resource_id",
    "resource_name", "user" } do
    if filter[name] then query[#query + 1] = { name, filter[name] } end
  end
  if marker then query[#query + 1] = { "next", marker } end
  return query
end

local function keep(items, window, found, seen)
  local fresh = false
  for _, raw in ipairs(items) do
    local trace = trace_of(object(raw))
    if not (trace.id and seen[trace.id]) then
      fresh = true
      if trace.id then seen[trace.id] = true end
      if trace.time and trace.time >= window.from and trace.time <= window.to then
        found[#found + 1] = trace
        trace.order = -#found -- CTS tells the newest first
      end
    end
  end
  return fresh
end

-- All pages of one question at one place, added to `found`.
local function search(client, place, filter, window, found)
  local now, seen, marker = client:now(), {}, nil
  while true do
    local items, body, err = companion.fetch_list(client, {
      operation = "list_traces", service = "cts", method = "GET", mutating = false,
      action = "cts:trace:list", endpoint = place.endpoint,
      path = "/v3/" .. place.project_id .. "/traces",
      query = query_for(filter, window, now, marker),
    }, "traces", { project_id = place.project_id })
    if not items then
      return companion.about("the traces at " .. place.endpoint
        .. (place.region and " of region " .. place.region or ""), err)
    end
    marker = text(object(body.meta_data).marker)
    -- A page that brings nothing new ends it too, whatever its marker says.
    if not keep(items, window, found, seen) or not marker then return true end
  end
end

local function search_all(client, places, filters, window)
  local found = { window = window, searched = places }
  for _, place in ipairs(places) do
    for _, filter in ipairs(filters) do
      local ok, message, err = search(client, place, filter, window, found)
      if not ok then return nil, message, err end
    end
  end
  table.sort(found, function(a, b)
    if a.time ~= b.time then return a.time < b.time end
    return a.order < b.order
  end)
  for _, trace in ipairs(found) do trace.order = nil end
  return found
end

-- The line under each list: nobody may take it for more than it is.
local function note(list)
  local places = {}
  for i, place in ipairs(list.searched) do
    places[i] = ("%s%s, project %s"):format(place.endpoint,
      place.region and " (" .. place.region .. ")" or "", place.project_id)
  end
  return ("searched %s to %s%s at %s; the last minutes may be missing"):format(
    show.time(list.window.from), show.time(list.window.to),
    list.window.complete and "" or " (the window asked for began earlier)",
    table.concat(places, " and "))
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
  rules.from, rules.to = companion.time_rule, companion.time_rule
  rules.partial = { type = "boolean" }
  return rules
end

local traces_schema = schema_with {
  service = companion.name_rule, name = companion.name_rule, user = companion.name_rule,
  resource_type = companion.name_rule, resource_id = companion.name_rule,
  resource_name = companion.name_rule,
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
  local checked, message, err = companion.check(self, "list_traces", opts, traces_schema)
  if not checked then return nil, message, err end
  local window, place, found
  window, message, err = window_of("list_traces", checked, self:now())
  if not window then return nil, message, err end
  place, message, err = own_place(self)
  if not place then return nil, message, err end
  checked.service_type, checked.trace_name = checked.service, checked.name
  found, message, err = search_all(self, { place }, { checked }, window)
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
    return ("%s\n%d deletions name nobody by id: see unidentified"):format(
      line, #list.unidentified)
  end)

-- Each once, at the first time: both generations of IAM may tell of the same.
local function deleted_of(found)
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

local deleted_schema = schema_with {
  tracker_region = { type = "string", check = companion.id_rule.check },
  tracker_project_id = companion.id_rule,
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
  local checked, message, err = companion.check(self, "deleted_principals", opts, deleted_schema)
  if not checked then return nil, message, err end
  local window, places, found
  window, message, err = window_of("deleted_principals", checked, self:now())
  if not window then return nil, message, err end
  places, message, err = places_of_iam(self, checked)
  if not places then return nil, message, err end
  found, message, err = search_all(self, places, DELETION_FILTERS, window)
  if not found then return nil, message, err end
  return deleted_of(found)
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

local function downloads_of(found, cluster_id)
  local list = {}
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

local downloads_schema = schema_with { cluster_id = companion.id_rule }

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
  local checked, message, err = companion.check(self, name, opts, downloads_schema)
  if not checked then return nil, message, err end
  local window, place, found
  window, message, err = window_of(name, checked, self:now())
  if not window then return nil, message, err end
  place, message, err = own_place(self)
  if not place then return nil, message, err end
  found, message, err = search_all(self, { place },
    { { service_type = "CCE", trace_name = "getClusterCertByUID" } }, window)
  if not found then return nil, message, err end
  return downloads_of(found, checked.cluster_id)
end

return M
