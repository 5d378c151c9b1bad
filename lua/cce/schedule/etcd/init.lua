--- A schedule in etcd, for many machines: see `cce.schedule.store` for what a store
-- does.
--
-- It talks to etcd's JSON gateway by the same engine as all other calls: it waits
-- as its caller does, and blocks nothing inside nginx.
-- @module cce.schedule.etcd
-- @local
local address = require "cce.schedule.etcd.address"
local clients = require "cce.schedule.etcd.client"
local core = require "cce.core"
local errors = require "cce.error"
local keyspaces = require "cce.schedule.etcd.keyspace"
local layout = require "cce.schedule.etcd.layout"
local prune = require "cce.schedule.etcd.prune"
local json_line = require "cce.base.json_line"
local sessions = require "cce.schedule.etcd.session"
local write = require "cce.schedule.etcd.write"

local M = {}

local Store = {}
Store.__index = Store
Store.__name = "cce.schedule.etcd"

local SCHEMA = 1

-- ---- changes ---------------------------------------------------------------------------

local function next_write(self)
  self.writes = self.writes + 1
  return ("%s-%.0f"):format(self.id, self.writes)
end

function Store:insert(id, text, fields)
  return write.entry(self.keyspace, { id = id, mod = "0", old = {}, text = text, fields = fields,
    write = next_write(self) }, {})
end

function Store:update(id, revision, text, fields, guard)
  local mod, old = layout.read_revision(revision)
  return write.entry(self.keyspace, { id = id, mod = mod, old = old, text = text, fields = fields,
    write = next_write(self) }, guard or {})
end

-- ---- looking -----------------------------------------------------------------------------

function Store:get(id)
  return self.keyspace:get(id)
end

local function read_due(key)
  local due, id = layout.read_time(key:sub(#"due/" + 1))
  return id, due
end

function Store:due(now, limit, after)
  local from = "due/"
  if after then from = from .. layout.not_before(after.due) .. "/" .. after.id .. "\0" end
  local to = keyspaces.behind("due/" .. layout.not_after(now) .. "/")
  return self.keyspace:page("due/", from, to, limit, read_due)
end

function Store:next_due()
  local keys, message, err = self.keyspace:first("due/", "due/", keyspaces.behind "due/0", 1)
  if not keys then return nil, message, err end
  return keys[1] ~= nil and select(2, read_due(keys[1]))
end

local function page_of(self, index, after, limit)
  local from = after and index .. after .. "\0" or index
  return self.keyspace:page(index, from, keyspaces.behind(index), limit, function(key)
    return key:sub(#index + 1)
  end)
end

function Store:page(opts)
  local index = opts.status and "state/" .. opts.status .. "/" or "entries/"
  return page_of(self, index, opts.after, opts.limit)
end

local function by_id(a, b)
  return a.id < b.id
end

function Store:held(after, limit)
  local rows, message, err = page_of(self, "state/claimed/", after, limit)
  if not rows then return nil, message, err end
  local more
  more, message, err = page_of(self, "state/sending/", after, limit)
  if not more then return nil, message, err end
  -- One that went on to sending meanwhile is in both.
  local known = {}
  for _, row in ipairs(more) do known[row.id] = true end
  for _, row in ipairs(rows) do
    if not known[row.id] then more[#more + 1] = row end
  end
  rows = more
  table.sort(rows, by_id)
  for i = #rows, limit + 1, -1 do rows[i] = nil end
  return rows
end

function Store:count(state)
  return self.keyspace:count("state/" .. state .. "/")
end

function Store:prune(before, limit)
  return prune.prune(self.keyspace, before, limit)
end

-- ---- sessions -------------------------------------------------------------------------------

function Store:open_session(runner, seconds)
  return sessions.open(self.keyspace, runner, seconds, self.steady)
end

function Store:alive(runner)
  return self.keyspace:has("runners/" .. runner)
end

-- ---- opening ---------------------------------------------------------------------------------

local function check_version(value)
  local version = tonumber(value)
  if version == SCHEMA then return true end
  return errors.fail("UNSUPPORTED", ("the schedule in etcd has version %s, and this library knows"
    .. " %d"):format(version and ("%g"):format(version) or "unknown", SCHEMA), { retryable = false,
    hint = "Use the version of this library that wrote it, or a newer one" })
end

-- Read the version, which the first to come writes. A process that only looks need not be
-- able to write: etcd may have no space, or its user no right to.
local function prepare(keyspace)
  local seen, message, err = keyspace.client:ask("/v3/kv/range",
    { key = keyspace:encode "schema" })
  if not seen then return nil, message, err end
  local known = seen.kvs and seen.kvs[1]
  if known then return check_version(core.from_base64(known.value or "")) end
  local answer
  answer, message, err = write.settle(keyspace, {
    compare = { write.is_at(keyspace, "schema", "CREATE", "0") },
    success = { write.put(keyspace, "schema", tostring(SCHEMA)) },
    failure = { { request_range = { key = keyspace:encode "schema" } } },
  })
  if not answer then return nil, message, err end
  if answer.succeeded then return true end
  local kvs = answer.responses[1].response_range.kvs
  return check_version(kvs and core.from_base64(kvs[1].value or ""))
end

--- Open a place.
-- @tparam string place "<url>[,<url>...]/<prefix>"
-- @tparam table opts `ca_file`, `cert`, `key`, `username`, `password`; `steady`: seconds
--   since boot; `timeout`: of a request
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.open(place, opts)
  local where, message, err = address.read(place, opts)
  if not where then return nil, message, err end
  local client
  client, message, err = clients.new(where.endpoints, opts)
  if not client then return nil, message, err end
  local self = setmetatable({ client = client, id = json_line.new_id(), writes = 0,
    keyspace = keyspaces.new(client, where.prefix),
    steady = opts.steady or core.sys.boottime }, Store)
  local ready
  ready, message, err = prepare(self.keyspace)
  if ready then return self end
  client:close()
  return nil, message, err
end

function Store:close()
  self.client:close()
end

return M
