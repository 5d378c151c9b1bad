--- What lies where under the prefix, and how a row is told from its key and value.
--
--     <prefix>/schema                "1"
--     <prefix>/entries/<id>          the fields as JSON on a line, then the text
--     <prefix>/state/<state>/<id>    and so on: empty, for finding the entry
--     <prefix>/due/<ms>/<id>
--     <prefix>/ended/<ms>/<id>
--     <prefix>/unique/<unique>       the id of the entry that has it
--     <prefix>/runners/<runner>      attached to the runner's lease
--     <prefix>/history               a time: see `cce.schedule.etcd.prune`
--
-- Ids and the rest stand as they are: the keys of etcd are bytes, in their order.
-- A revision is etcd's own, and the keys by which the row can be found: so that a
-- change needs no look at what it replaces.
-- @module cce.schedule.etcd.layout
-- @local
local core = require "cce.core"
local json = require "cce.base.json"

local M = {}

local FIELDS = { "state", "due", "ended", "unique", "runner", "write" }

-- The year 33658: all keys of times begin with a 0.
local LATEST = 999999999999999

-- ---- times ---------------------------------------------------------------------------

-- Milliseconds, in as many digits for every time. What is a whole number but for
-- the double that holds it is taken for one.
local function digits(seconds, round)
  local ms = seconds * 1000
  local nearest = math.floor(ms + 0.5)
  if math.abs(ms - nearest) > 0.001 then nearest = round(ms) end
  return ("%016.0f"):format(math.max(0, math.min(nearest, LATEST)))
end

--- The earliest key of a time: never before it.
function M.not_before(seconds)
  return digits(seconds, math.ceil)
end

--- The latest one: never after it.
function M.not_after(seconds)
  return digits(seconds, math.floor)
end

--- The time and the id in a key of an index. What is not ours in shape has the
-- time of the place where it lies.
-- @tparam string key below "due/" or "ended/"
function M.read_time(key)
  local ms, id = key:match "^(%d*)/(.*)$"
  ms = (ms or ""):sub(1, 16)
  return tonumber(ms .. ("0"):rep(16 - #ms)) / 1000, id or key
end

-- ---- the keys of a row ------------------------------------------------------------------

--- The keys by which an entry is found.
-- @tparam string id
-- @tparam table fields
-- @treturn {[string]=string} key → value
function M.index(id, fields)
  local keys = { ["state/" .. fields.state .. "/" .. id] = "" }
  if fields.due then keys["due/" .. M.not_before(fields.due) .. "/" .. id] = "" end
  if fields.ended then keys["ended/" .. M.not_before(fields.ended) .. "/" .. id] = "" end
  if fields.unique then keys["unique/" .. fields.unique] = id end
  return keys
end

local function escape(key)
  return (key:gsub("[^%w/._-]", function(c) return ("%%%02x"):format(c:byte()) end))
end

local function unescape(key)
  return (key:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

--- @tparam string mod etcd's revision of the entry; "0": there is none
-- @tparam table keys as of `index`
function M.write_revision(mod, keys)
  local list = {}
  for key in pairs(keys) do list[#list + 1] = escape(key) end
  table.sort(list)
  table.insert(list, 1, mod)
  return table.concat(list, " ")
end

--- @treturn string mod
-- @treturn table the keys, as a set
function M.read_revision(revision)
  local mod, rest = revision:match "^(%d+)(.*)$"
  local keys = {}
  for key in rest:gmatch "%S+" do keys[unescape(key)] = true end
  return mod, keys
end

-- ---- values --------------------------------------------------------------------------------

--- @tparam string text
-- @tparam table fields
-- @tparam string write a word that no other write has
function M.write_value(text, fields, write)
  local head = { write = write }
  for name, value in pairs(fields) do head[name] = value end
  return json.encode(head) .. "\n" .. text
end

local TYPES = { state = "string", unique = "string", runner = "string", write = "string",
  due = "number", ended = "number" }

-- What is of another type was not written by us, and is passed over.
local function read_head(line)
  local head = line and core.json.decode(line)
  if type(head) ~= "table" or type(head.state) ~= "string" then return nil end
  local fields = {}
  for _, name in ipairs(FIELDS) do
    if type(head[name]) == TYPES[name] then fields[name] = head[name] end
  end
  return fields
end

--- The two parts of a value. What is not ours in shape is all text.
function M.read_value(value)
  local line, text = value:match "^({[^\n]*})\n(.*)$"
  local fields = read_head(line)
  if fields then return fields, text end
  return {}, value
end

--- A row of what etcd has. What is no row of ours is one, too, so that a
-- person looks at it: all text, in the state "unknown".
-- @tparam string id
-- @tparam ?table kv of etcd; nil: only a key of an index names the entry
-- @tparam[opt] string found that key; then `row.is_stray` tells whether the entry
--   itself knows nothing of it. It goes with the row's next change.
-- @treturn table
function M.row(id, kv, found)
  local fields, text = M.read_value(kv and kv.value and core.from_base64(kv.value) or "")
  local keys = fields.state and M.index(id, fields) or {}
  local is_stray = found ~= nil and not keys[found]
  if found then keys[found] = "" end
  return {
    id = id, text = text, state = fields.state or "unknown", runner = fields.runner,
    is_stray = is_stray, revision = M.write_revision(kv and kv.mod_revision or "0", keys),
  }
end

return M
