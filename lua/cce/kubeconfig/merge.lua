--- One kubeconfig into another, which stays what it is but for ours.
--
-- Internal to @{cce.kubeconfig}. Entries that we add under a name of the
-- user's carry a mark in `extensions`, which kubectl keeps. By it an entry is
-- known to be ours when it comes again, whatever address or CA the cluster has
-- by then; and what a later kubeconfig of the cluster lacks is taken out.
--
-- @module cce.kubeconfig.merge
-- @local
local json = require "cce.base.json"
local names = require "cce.kubeconfig.names"
local read = require "cce.kubeconfig.read"

local M = {}

local MARK = "lua-cce"

-- What a new entry decides alone. The rest of an old one (a namespace, a
-- proxy, a tls-server-name, extensions) is the user's, and stays.
local our_fields = {
  clusters = {
    "server", "certificate-authority", "certificate-authority-data",
    "insecure-skip-tls-verify",
  },
  users = {
    "client-certificate", "client-certificate-data", "client-key", "client-key-data", "token",
    "tokenFile", "username", "password", "exec", "auth-provider",
  },
  contexts = { "cluster", "user" },
}

--- The mark of an entry that is ours: { set=<name>, cluster_id=?, context=<of the API, where
-- somebody chose one> }, or nil.
function M.find_mark(body)
  for _, each in ipairs(type(body.extensions) == "table" and body.extensions or {}) do
    if type(each) == "table" and each.name == MARK and type(each.extension) == "table" then
      return each.extension
    end
  end
  return nil
end

local function set_mark(body, mark)
  local kept = json.array()
  for _, each in ipairs(type(body.extensions) == "table" and body.extensions or {}) do
    if type(each) ~= "table" or each.name ~= MARK then kept[#kept + 1] = each end
  end
  kept[#kept + 1] = { name = MARK, extension = mark }
  body.extensions = kept
end

local function is_marked(body, mark)
  local found = mark and M.find_mark(body)
  if not found or found.set ~= mark.set then return false end
  return not found.cluster_id or not mark.cluster_id or found.cluster_id == mark.cluster_id
end

-- Without a mark, a name alone proves nothing: what stands under it must be
-- the same thing.
local is_same = {
  clusters = function(old, new)
    return old.body.server == new.body.server
  end,
  contexts = function(old, new)
    return old.body.cluster == new.body.cluster and old.body.user == new.body.user
  end,
  users = function(old, _, existing, incoming)
    for _, context in ipairs(read.entries(existing, "contexts")) do
      if context.body.user == old.name and not read.find(incoming, "contexts", context.name) then
        return false
      end
    end
    return true
  end,
}

local function is_ours(section, old, new, existing, incoming, mark)
  if M.find_mark(old.body) then return is_marked(old.body, mark) end
  return is_same[section](old, new, existing, incoming)
end

-- A merge that goes on: the data, and its entries by section and name, and by the set of their
-- mark, for with hundreds of clusters they are looked for thousands of times.
local function index(data, section)
  local found = {}
  for _, each in ipairs(read.entries(data, section)) do
    found[each.name] = found[each.name] or each
  end
  return found
end

local function note_mark(merging, section, entry, mark)
  if not mark or type(mark.set) ~= "string" then return end
  local by_set = merging.by_set[section]
  by_set[mark.set] = by_set[mark.set] or {}
  table.insert(by_set[mark.set], entry)
end

local function add_section(merging, incoming, section, mark)
  local list, by_name = merging.data[section], merging.by_name[section]
  local field = read.sections[section]
  for _, new in ipairs(read.entries(incoming, section)) do
    local each = by_name[new.name]
    if each then
      -- Fields that are not ours stay.
      for _, name in ipairs(our_fields[section]) do each.body[name] = nil end
      for name, value in pairs(new.body) do each.body[name] = value end
    else
      each = new
      list[#list + 1], by_name[new.name] = new.entry, new
    end
    -- To kubectl, null and nothing are the same as what is empty.
    each.entry[field] = each.body
    if mark then
      local was_marked = M.find_mark(each.entry[field])
      set_mark(each.entry[field], mark)
      if not was_marked then note_mark(merging, section, each.entry, mark) end
    end
  end
end

-- A cluster that lost its public address has fewer contexts than before. One that still
-- leads from its user to its cluster is a person's: renamed, or made beside ours.
local function remove_stale(merging, incoming, section, mark)
  local wanted, stale = index(incoming, section), {}
  local users, clusters = index(incoming, "users"), index(incoming, "clusters")
  for _, entry in ipairs(merging.by_set[section][mark.set] or {}) do
    local body = entry[read.sections[section]]
    local leads = users[body.user or ""] and clusters[body.cluster or ""]
    if is_marked(body, mark) and not (wanted[entry.name] or leads) then stale[entry] = true end
  end
  if not next(stale) then return end
  local kept = json.array()
  for _, entry in ipairs(merging.data[section]) do
    if stale[entry] then
      merging.by_name[section][entry.name] = nil
    else
      kept[#kept + 1] = entry
    end
  end
  merging.data[section] = kept
end

--- Begins to merge.
-- @tparam ?table existing data; nil makes a new file
-- @treturn table `{data=<a copy, into which @{add} merges>}`
function M.begin(existing)
  local data = names.copy(existing) or { preferences = {} }
  data.apiVersion, data.kind = "v1", "Config"
  -- Contexts of which none is current are a choice: `kubectl config unset` leaves the
  -- empty text.
  local wants_none = existing ~= nil and existing["current-context"] == ""
    and #read.entries(existing, "contexts") > 0
  local merging = { data = data, by_name = {}, by_set = {}, wants_none = wants_none }
  for _, section in ipairs(read.section_order) do
    if type(data[section]) ~= "table" then data[section] = json.array() end
    merging.by_name[section], merging.by_set[section] = index(data, section), {}
    for _, each in ipairs(read.entries(data, section)) do
      note_mark(merging, section, each.entry, M.find_mark(each.body))
    end
  end
  return merging
end

--- Merges one more. The current context of the existing file stays, if it is one or was
-- emptied.
-- @tparam table merging of @{begin}
-- @tparam table incoming data; it is left as it is
-- @tparam ?table mark { set=<name>, cluster_id=? }; nil marks nothing
-- @treturn boolean true
-- @treturn nil,string when a name is taken by an entry that is not ours; then nothing
--   was merged
function M.add(merging, incoming, mark)
  -- Before anything changes: no name may be taken by something else.
  for _, section in ipairs(read.section_order) do
    local field = read.sections[section]
    for _, new in ipairs(read.entries(incoming, section)) do
      local old = merging.by_name[section][new.name]
      if old and not is_ours(section, old, new, merging.data, incoming, mark) then
        return nil, ("it has another %s named '%s' already"):format(field, new.name)
      end
    end
  end
  incoming = names.copy(incoming)
  for _, section in ipairs(read.section_order) do
    add_section(merging, incoming, section, mark)
    if mark then remove_stale(merging, incoming, section, mark) end
  end
  local data = merging.data
  if not merging.by_name.contexts[data["current-context"] or ""] and not merging.wants_none then
    data["current-context"] = incoming["current-context"]
  end
  return true
end

--- A new file with one kubeconfig in it.
-- @tparam table incoming data
-- @tparam ?table mark as for @{add}
-- @treturn table
function M.alone(incoming, mark)
  local merging = M.begin()
  assert(M.add(merging, incoming, mark))
  return merging.data
end

return M
