--- Users, agencies and projects of the account, as methods of a client.
--
-- They are asked of IAM (`endpoints.iam`). Each list is an array that prints as
-- a table; each entry has `id`, `name` and `raw`, all that IAM said.
-- @module cce.iam
local errors = require "cce.error"
local service_call = require "cce.api.service_call"
local show = require "cce.text.show"
local values = require "cce.base.values"

local M = {}

local methods = {}

--- The methods that a client gets from here.
M.methods = methods

local text = values.text

local function request(operation, action, path, query)
  return {
    operation = operation, service = "iam", method = "GET", mutating = false,
    action = action, path = path, query = #query > 0 and query or nil,
  }
end

-- { {name, value}, … } of the options that were given, in a fixed order.
local function query_of(checked, names)
  local query = {}
  for _, name in ipairs(names) do
    if checked[name] ~= nil then query[#query + 1] = { name, tostring(checked[name]) } end
  end
  return query
end

-- ---- the account -------------------------------------------------------------

--- The id of a client's account. It never changes: it is asked for once.
-- @tparam cce.client client
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.account_of(client)
  if client.account_id then return client.account_id end
  local asked = request("list_domains", nil, "/v3/auth/domains", {})
  local domains, _, err = service_call.fetch_list(client, asked, "domains")
  if not domains then return service_call.about("the account's id cannot be looked up", err) end
  local first = values.object(domains[1])
  if #domains == 1 and text(first.id) then
    client.account_id = first.id
    return first.id
  end
  return errors.fail(#domains == 0 and "NOT_FOUND" or "INVALID_ARGUMENT",
    ("IAM names %d accounts for these credentials, not one"):format(#domains), {
    operation = "list_domains", retryable = false, maybe_applied = false,
    hint = "Give domain_id= with the id of the account that is meant",
  })
end

local function with_account(client, checked)
  if not checked.domain_id then
    local message, err
    checked.domain_id, message, err = M.account_of(client)
    if not checked.domain_id then return nil, message, err end
  end
  return checked
end

-- ---- lists -------------------------------------------------------------------

-- What IAM answers, each entry by `read`.
local function entries(client, asked, field, read, metatable)
  local list, message, err = service_call.fetch_list(client, asked, field, nil, function(raw)
    local entry = read(raw)
    entry.id, entry.name, entry.raw = text(raw.id), text(raw.name), raw
    return entry.id and setmetatable(entry, metatable.Entry)
  end)
  if not list then return nil, message, err end
  return setmetatable(list, metatable)
end

local function state_of(entry)
  return entry.enabled == false and "disabled" or "enabled"
end

local Users = show.list("cce.users", { "NAME", "ID", "STATE" }, function(user)
  return { user.name, user.id, state_of(user) }
end)

local Agencies = show.list("cce.agencies", { "NAME", "ID", "TRUSTS" }, function(agency)
  return { agency.name, agency.id, agency.trusts }
end)

local Projects = show.list("cce.projects", { "NAME", "ID", "STATE" }, function(project)
  return { project.name, project.id, state_of(project) }
end)

local users_schema = {
  name = service_call.name_rule, enabled = { type = "boolean" }, domain_id = values.id_rule,
}

--- List the users of the account.
-- @function client:list_users
-- @tparam[opt] table opts
-- @tparam[opt] string opts.name the whole name
-- @tparam[opt] boolean opts.enabled
-- @tparam[opt] string opts.domain_id the account; looked up when it is not given
-- @treturn[1] {table,...} each `{id=, name=, enabled=, domain_id=, raw=}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- print(assert(client:list_users { enabled = false }))
function methods:list_users(opts)
  local checked, message, err = service_call.check(self, "list_users", opts, users_schema)
  if checked then checked, message, err = with_account(self, checked) end
  if not checked then return nil, message, err end
  local asked = request("list_users", "iam:users:listUsers", "/v3/users",
    query_of(checked, { "domain_id", "name", "enabled" }))
  return entries(self, asked, "users", function(raw)
    return { enabled = raw.enabled ~= false, domain_id = text(raw.domain_id) }
  end, Users)
end

local agencies_schema = { name = service_call.name_rule, domain_id = values.id_rule }

--- List the agencies of the account.
-- @function client:list_agencies
-- @tparam[opt] table opts
-- @tparam[opt] string opts.name the whole name
-- @tparam[opt] string opts.domain_id the account; looked up when it is not given
-- @treturn[1] {table,...} each `{id=, name=, domain_id=, trusts=, raw=}`; `trusts`
--   is the account or service that may act as it
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- for _, agency in ipairs(assert(client:list_agencies())) do print(agency.id, agency.name) end
function methods:list_agencies(opts)
  local checked, message, err = service_call.check(self, "list_agencies", opts, agencies_schema)
  if checked then checked, message, err = with_account(self, checked) end
  if not checked then return nil, message, err end
  local asked = request("list_agencies", "iam:agencies:listAgencies", "/v3.0/OS-AGENCY/agencies",
    query_of(checked, { "domain_id", "name" }))
  return entries(self, asked, "agencies", function(raw)
    return { domain_id = text(raw.domain_id),
      trusts = text(raw.trust_domain_name) or text(raw.trust_domain_id) }
  end, Agencies)
end

local projects_schema = {
  name = service_call.name_rule, enabled = { type = "boolean" }, domain_id = values.id_rule,
  parent_id = values.id_rule,
}

-- The most that IAM returns at once.
local PER_PAGE = 5000

local function project_of(raw)
  return { enabled = raw.enabled ~= false, domain_id = text(raw.domain_id),
    parent_id = text(raw.parent_id) }
end

--- List the projects that these credentials can see: one a region, which has the
-- region's name, and those made in it.
-- @function client:list_projects
-- @tparam[opt] table opts
-- @tparam[opt] string opts.name such as "cn-north-4"
-- @tparam[opt] boolean opts.enabled
-- @tparam[opt] string opts.domain_id the account
-- @tparam[opt] string opts.parent_id the project that they were made in
-- @treturn[1] {table,...} each `{id=, name=, enabled=, domain_id=, parent_id=, raw=}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- for _, project in ipairs(assert(client:list_projects())) do print(project.id, project.name) end
function methods:list_projects(opts)
  local checked, message, err = service_call.check(self, "list_projects", opts, projects_schema)
  if not checked then return nil, message, err end
  local list, page = setmetatable({}, Projects), 1
  while true do
    local query = query_of(checked, { "domain_id", "parent_id", "name", "enabled" })
    query[#query + 1] = { "page", tostring(page) }
    query[#query + 1] = { "per_page", tostring(PER_PAGE) }
    local asked = request("list_projects", "iam:projects:listProjects", "/v3/projects", query)
    local more
    more, message, err = entries(self, asked, "projects", project_of, Projects)
    if not more then return nil, message, err end
    -- A service that knows no pages would send the same for ever.
    local known = list[1] and more[1] and more[1].id == list[1].id
    for _, entry in ipairs(known and {} or more) do list[#list + 1] = entry end
    if known or #more < PER_PAGE then return list end
    page = page + 1
  end
end


return M
