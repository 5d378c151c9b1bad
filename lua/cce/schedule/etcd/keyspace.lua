--- Ranges of keys under the prefix.
--
-- etcd walks over all keys of a range, whatever its limit: 15 ms for 100,000. So
-- a range ends where the page before suggests that it will be full, and goes on
-- behind that only when it is not.
-- @module cce.schedule.etcd.keyspace
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local layout = require "cce.schedule.etcd.layout"

local M = {}

local Keyspace = {}
Keyspace.__index = Keyspace

-- etcd's limit for a transaction is 128.
local CHUNK = 100

--- The first key behind all that begin like this.
local function behind(key)
  local head, last = key:match "^(.*)([^\255])\255*$"
  return head .. string.char(last:byte() + 1)
end

function Keyspace:encode(key)
  return core.to_base64(self.prefix .. "/" .. key)
end

-- ---- a range ------------------------------------------------------------------------

local function range(self, from, to, fields)
  local request = { key = self:encode(from), range_end = self:encode(to) }
  for name, value in pairs(fields) do request[name] = value end
  return self.client:ask("/v3/kv/range", request)
end

-- Where the first part of a range may end: behind the keys that begin like
-- `anchor`, as far as those of the last page of this size did.
local function guess(self, index, from, to, limit)
  local hint = self.hints[index .. limit]
  local anchor = hint and (from > hint.first and from or hint.first)
  if not anchor then return nil end
  local cut = behind(anchor:sub(1, math.max(#index, hint.alike)))
  return cut < to and cut or nil
end

local function alike(a, b)
  local count = 0
  while count < #a and a:byte(count + 1) == b:byte(count + 1) do count = count + 1 end
  return count
end

--- The first keys of a range.
-- @tparam string index what all of them begin with, such as "due/"
-- @tparam string from the first one
-- @tparam string to behind the last one
-- @tparam number limit
-- @treturn[1] {string,...}
-- @treturn[1] string the revision of which this is true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function Keyspace:first(index, from, to, limit)
  local keys, revision, start = {}, nil, from
  if from >= to then return keys, "0" end
  local cut = guess(self, index, from, to, limit)
  for _, stop in ipairs { cut or to, cut and to } do
    local answer, message, err, word = range(self, start, stop, {
      limit = limit - #keys, keys_only = true, revision = revision,
    })
    if not answer then return nil, message, err, word end
    for _, kv in ipairs(answer.kvs or {}) do
      local key = core.from_base64(kv.key)
      keys[#keys + 1] = key:sub(#self.prefix + 2)
    end
    revision, start = revision or answer.header.revision, stop
    if #keys >= limit then break end
  end
  -- What the next page of this size begins with, `guess` takes from here.
  if #keys > 0 then
    self.hints[index .. limit] = { first = keys[1], alike = alike(keys[1], keys[#keys]) }
  end
  return keys, revision
end

--- How many keys begin like this.
function Keyspace:count(index)
  local answer, message, err = range(self, index, behind(index), { count_only = true })
  if not answer then return nil, message, err end
  return tonumber(answer.count or 0)
end

-- ---- entries -------------------------------------------------------------------------

-- Entries that are too large for one answer are asked for in halves.
local function collect(self, ids, first, last, revision, into)
  local gets = {}
  for i = first, last do
    gets[#gets + 1] = { request_range = {
      key = self:encode("entries/" .. ids[i]), revision = revision,
    } }
  end
  local answer, message, err, word = self.client:ask("/v3/kv/txn", { success = gets })
  if word == "too_large" and first < last then
    local middle = math.floor((first + last) / 2)
    local ok
    ok, message, err, word = collect(self, ids, first, middle, revision, into)
    if not ok then return nil, message, err, word end
    return collect(self, ids, middle + 1, last, revision, into)
  elseif not answer then
    return nil, message, err, word
  end
  for i, response in ipairs(answer.responses or {}) do
    local kvs = response.response_range and response.response_range.kvs
    into[ids[first + i - 1]] = kvs and kvs[1]
  end
  return true
end

--- Rows of keys of an index, as they were at one revision.
-- @tparam {string,...} keys
-- @tparam string revision
-- @tparam function read a key → the entry's id, then what else the row shall have
-- @treturn[1] {table,...}
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function Keyspace:rows(keys, revision, read)
  local ids, kvs, rows = {}, {}, {}
  for i, key in ipairs(keys) do ids[i] = read(key) end
  for first = 1, #ids, CHUNK do
    local last = math.min(first + CHUNK - 1, #ids)
    local ok, message, err, word = collect(self, ids, first, last, revision, kvs)
    if not ok then return nil, message, err, word end
  end
  for i, id in ipairs(ids) do
    local found = keys[i] ~= "entries/" .. id and keys[i] or nil
    rows[i] = layout.row(id, kvs[id], found)
    rows[i].due = select(2, read(keys[i]))
  end
  return rows
end

--- One page of rows. What was compacted between its two requests is read again.
-- @tparam string index
-- @tparam string from
-- @tparam string to
-- @tparam number limit
-- @tparam function read as in `rows`
function Keyspace:page(index, from, to, limit, read)
  local rows, message, err, word
  for _ = 1, 3 do
    local keys, revision
    keys, revision, err = self:first(index, from, to, limit)
    if not keys then return nil, revision, err end
    rows, message, err, word = self:rows(keys, revision, read)
    if word ~= "compacted" then break end
  end
  if not rows then return nil, message, err end
  return rows
end

--- One entry.
function Keyspace:get(id)
  local kvs = {}
  local ok, message, err = collect(self, { id }, 1, 1, nil, kvs)
  if not ok then return nil, message, err end
  if kvs[id] then return layout.row(id, kvs[id]) end
  return errors.fail("NOT_FOUND", ("there is no entry '%s'"):format(id), { retryable = false })
end

--- Whether there is a key.
function Keyspace:has(key)
  local answer, message, err = self.client:ask("/v3/kv/range",
    { key = self:encode(key), count_only = true })
  if not answer then return nil, message, err end
  return tonumber(answer.count or 0) > 0
end

M.behind = behind

--- @tparam table client
-- @tparam string prefix
function M.new(client, prefix)
  return setmetatable({ client = client, prefix = prefix, hints = {} }, Keyspace)
end

return M
