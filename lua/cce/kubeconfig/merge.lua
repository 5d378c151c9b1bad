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

--- The mark of an entry that is ours: { set=<name>, cluster_id=? }, or nil.
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

--- The first entry whose name is taken by something else.
local function find_conflict(existing, incoming, mark)
  for _, section in ipairs(read.section_order) do
    for _, new in ipairs(read.entries(incoming, section)) do
      local old = read.find(existing, section, new.name)
      if old and not is_ours(section, old, new, existing, incoming, mark) then
        return ("it has another %s named '%s' already"):format(read.sections[section], new.name)
      end
    end
  end
  return nil
end

local function overlay(section, old, new)
  for _, field in ipairs(our_fields[section]) do old.body[field] = nil end
  for field, value in pairs(new.body) do old.body[field] = value end
  old.entry[read.sections[section]] = old.body
  return old.entry
end

local function merge_section(result, incoming, section, mark)
  local list = result[section]
  for _, new in ipairs(read.entries(names.copy(incoming), section)) do
    local old = read.find(result, section, new.name)
    local entry = old and overlay(section, old, new) or new.entry
    if not old then list[#list + 1] = entry end
    if mark then set_mark(entry[read.sections[section]], mark) end
  end
end

-- A cluster that lost its public address has fewer contexts than before.
local function remove_stale(result, incoming, section, mark)
  local kept = json.array()
  for _, entry in ipairs(result[section]) do
    local body = type(entry) == "table" and entry[read.sections[section]]
    local marked = type(body) == "table" and is_marked(body, mark)
    if not marked or read.find(incoming, section, entry.name) then kept[#kept + 1] = entry end
  end
  result[section] = kept
end

local function skeleton(existing)
  local result = existing and names.copy(existing) or { preferences = {} }
  result.apiVersion = result.apiVersion or "v1"
  result.kind = "Config"
  for _, section in ipairs(read.section_order) do
    if type(result[section]) ~= "table" then result[section] = json.array() end
  end
  return result
end

-- Somebody who has contexts and wants none to be current: kubectl config unset leaves
-- the empty text.
local function wants_none_current(existing)
  return existing ~= nil and existing["current-context"] == ""
    and #read.entries(existing, "contexts") > 0
end

--- Merges. The current context of the existing file stays, if it is one or was emptied.
-- @tparam ?table existing data; nil makes a new file
-- @tparam table incoming data
-- @tparam ?table mark { set=<name>, cluster_id=? }; nil marks nothing
-- @treturn table the merged data; the arguments are left as they are
-- @treturn nil,string when a name is taken by an entry that is not ours
function M.merge(existing, incoming, mark)
  local result = skeleton(existing)
  local conflict = find_conflict(result, incoming, mark)
  if conflict then return nil, conflict end
  for _, section in ipairs(read.section_order) do
    merge_section(result, incoming, section, mark)
    if mark then remove_stale(result, incoming, section, mark) end
  end
  if not read.find(result, "contexts", result["current-context"])
    and not wants_none_current(existing) then
    result["current-context"] = incoming["current-context"]
  end
  return result
end

return M
