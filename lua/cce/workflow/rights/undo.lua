--- The undo file: what was taken out of which binding or AccessPolicy, and how it is put
-- back in its place.
--
-- It is JSON, mode 0600, and written whole before anything that it tells of is changed.
-- Each entry has all subjects as they were, so that order can be restored, and whom of
-- them was taken. It may tell of more than was done: who is there is not put back twice.
-- @module cce.workflow.rights.undo
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local json = require "cce.base.json"
local times = require "cce.base.times"

local M = {}

local FILE, VERSION = "lua-cce removed rights", 1
local MAX_BYTES = 64 * 1048576

-- Subjects of bindings are tables, those of an AccessPolicy are ids.
local function key_of(subject)
  if type(subject) == "string" then return subject end
  return ("%s %s %s"):format(tostring(subject.kind), tostring(subject.namespace),
    tostring(subject.name))
end

local function count(list)
  local counts = {}
  for _, each in ipairs(list) do
    counts[key_of(each)] = (counts[key_of(each)] or 0) + 1
  end
  return counts
end

local function index_of(list, key, is_last)
  local found
  for i, each in ipairs(list) do
    if key_of(each) == key and (is_last or not found) then found = i end
  end
  return found
end

-- Behind the nearest neighbour that stood before it, else before one that stood behind it.
local function place(before, i, list)
  for j = i - 1, 1, -1 do
    local at = index_of(list, key_of(before[j]), true)
    if at then return at + 1 end
  end
  for j = i + 1, #before do
    local at = index_of(list, key_of(before[j]))
    if at then return at end
  end
  return #list + 1
end

--- The id of the user that a subject is; false when it is none.
-- @tparam table|string subject
-- @treturn string|boolean
function M.principal_of(subject)
  if type(subject) == "string" then return subject end
  return subject.kind == "User" and subject.name
end

--- Put back whom an entry took, where they stood, into what is there now.
-- @tparam table entry
-- @tparam {table|string,...} current
-- @treturn {table|string,...} a new list
-- @treturn int how many were put back
function M.put_back(entry, current)
  local list, there, added = {}, count(current), 0
  for i, each in ipairs(current) do list[i] = each end
  for i, each in ipairs(entry.before) do
    local key = key_of(each)
    local is_there = (there[key] or 0) > 0
    if entry.taken[M.principal_of(each)] then
      there[key] = (there[key] or 0) - 1
      if not is_there then
        table.insert(list, place(entry.before, i, list), each)
        added = added + 1
      end
    end
  end
  return list, added
end

--- What stays when some principals are taken out.
-- @tparam {table|string,...} subjects
-- @tparam table taken set of ids
-- @treturn {table|string,...}
function M.without(subjects, taken)
  local list = {}
  for _, each in ipairs(subjects) do
    if not taken[M.principal_of(each)] then list[#list + 1] = each end
  end
  return list
end

-- ---- the file ------------------------------------------------------------------

local Undo = {}
Undo.__index = Undo

local NAMES = { "cluster", "kind", "namespace", "name", "id", "role_kind", "role" }

-- A binding that was made again with another role is another one.
local function entry_key(entry)
  local parts = {}
  for i, name in ipairs(NAMES) do parts[i] = tostring(entry[name]) end
  return table.concat(parts, "\n")
end

local function list_of(set)
  local list = json.array()
  for id in pairs(set) do list[#list + 1] = id end
  table.sort(list)
  return list
end

local function set_of(list)
  local set = {}
  for _, id in ipairs(list) do set[id] = true end
  return set
end

local function write(undo, trial)
  local entries = json.array()
  for i, entry in ipairs(undo.entries) do
    local copy = {}
    for name, value in pairs(entry) do copy[name] = value end
    copy.before, copy.taken = json.array(entry.before), list_of(entry.taken)
    copy.clusters = entry.clusters and list_of(entry.clusters)
    copy.namespaces = entry.namespaces and list_of(entry.namespaces)
    entries[i] = copy
  end
  local text, problem = json.encode({ file = FILE, version = VERSION, run = undo.run,
    begun = times.format(undo.begun), entries = entries }, { pretty = true })
  if not text then return errors.fail("INTERNAL", problem) end
  return errors.from_core(core.file.write(undo.path, text, { trial = trial }))
end

--- Note what is about to be taken. What is new is on disk when this returns.
-- @tparam {table,...} entries `{cluster=, cluster_name=, project=, kind=, namespace=, name=, id=,
--   role_kind=, role=, before={…}, taken={[id]=true}, clusters={[id]=true},
--   namespaces={[name]=true}}`; `clusters` and `namespaces` are of AccessPolicies
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @function undo:record
function Undo:record(entries)
  for _, entry in ipairs(entries) do
    local key = entry_key(entry)
    local known = self.by_key[key]
    if not known then
      known = { before = {}, taken = {}, cluster_name = entry.cluster_name,
        project = entry.project, clusters = entry.clusters, namespaces = entry.namespaces }
      for _, name in ipairs(NAMES) do known[name] = entry[name] end
      self.by_key[key] = known
      self.entries[#self.entries + 1] = known
    end
    -- Who was taken before stands where they stood, among those of now.
    local before = M.put_back(known, entry.before)
    self.is_dirty = self.is_dirty or #before ~= #known.before
    known.before = before
    for id in pairs(entry.taken) do
      self.is_dirty = self.is_dirty or not known.taken[id]
      known.taken[id] = true
    end
  end
  if not self.is_dirty then return true end
  local ok, message, err = write(self)
  if ok then self.is_dirty, self.is_written = false, true end
  return ok, message, err
end

-- A segment of a path.
local function is_name(value)
  return type(value) == "string" and value:find "^[^/%c]+$" and not value:find "^%.%.?$"
end

local KINDS = { RoleBinding = true, ClusterRoleBinding = true, AccessPolicy = true }

local function is_subject(entry, each)
  if entry.kind == "AccessPolicy" then return type(each) == "string" end
  return type(each) == "table" and type(each.kind) == "string" and type(each.name) == "string"
end

local function is_text_or_nil(value) return value == nil or type(value) == "string" end

local function is_list_of_text(list)
  for _, each in ipairs(type(list) == "table" and list or { false }) do
    if type(each) ~= "string" then return false end
  end
  return true
end

local function is_entry(entry)
  if type(entry) ~= "table" or not KINDS[entry.kind] or not is_name(entry.name)
    or type(entry.before) ~= "table" then
    return false
  end
  for _, each in ipairs(entry.before) do
    if not is_subject(entry, each) then return false end
  end
  if not is_list_of_text(entry.taken) or not is_list_of_text(entry.clusters or {})
    or not is_list_of_text(entry.namespaces or {}) or not is_text_or_nil(entry.cluster_name)
    or not is_text_or_nil(entry.project) or not is_text_or_nil(entry.role_kind) then
    return false
  end
  if entry.kind == "AccessPolicy" then
    return core.is_id(entry.id) and entry.cluster == nil and entry.clusters ~= nil
      and entry.namespaces ~= nil and type(entry.role) == "string"
  end
  local has_namespace = entry.namespace ~= nil
  return core.is_id(entry.cluster) and (not has_namespace or is_name(entry.namespace))
    and has_namespace == (entry.kind == "RoleBinding") and type(entry.role) == "string"
end

--- Read one.
-- @tparam string path
-- @treturn[1] table `{path=, run=, entries=}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.read(path)
  local text, message, code = core.file.read(path, { max = MAX_BYTES })
  if not text then return errors.from_core(nil, message, code) end
  local data = core.json.decode(text)
  local function refuse(why)
    return errors.fail("FILE_ERROR", ("'%s' %s"):format(path, why), { retryable = false })
  end
  if type(data) ~= "table" or data.file ~= FILE or type(data.entries) ~= "table" then
    return refuse "is no undo file of ours"
  elseif data.version ~= VERSION then
    return refuse "was written by another version of this library"
  end
  local undo = { path = path, run = data.run, begun = times.parse(data.begun) or 0,
    entries = data.entries, by_key = {}, is_written = true }
  for i, entry in ipairs(undo.entries) do
    if not is_entry(entry) then return refuse(("is damaged: entry %d"):format(i)) end
    entry.taken = set_of(entry.taken)
    entry.clusters = entry.clusters and set_of(entry.clusters)
    entry.namespaces = entry.namespaces and set_of(entry.namespaces)
    undo.by_key[entry_key(entry)] = entry
  end
  return setmetatable(undo, Undo)
end

--- Begin one, or go on with that of the same run; nothing is written yet.
-- @tparam string path
-- @tparam string run its id
-- @tparam number now unix time
-- @tparam[opt] boolean untried whether it can be written is not tried
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.open(path, run, now, untried)
  local info, message, code = core.file.stat(path)
  if info == nil then return errors.from_core(nil, message, code) end
  if info and info.size > 0 then
    local undo, problem, err = M.read(path)
    if not undo then return nil, problem, err end
    if undo.run == run then return undo end
    return errors.fail("CONFLICT", ("'%s' is the undo file of another run"):format(path), {
      retryable = false, hint = "Give another path as undo=" })
  end
  local undo = setmetatable({ path = path, run = run, begun = now, entries = {}, by_key = {} },
    Undo)
  local ok, err = untried, nil
  if not ok then ok, message, err = write(undo, true) end
  if not ok then return nil, message, err end
  return undo
end

return M
