--- Changes: each is one transaction, which happens only when what it changes is
-- still as its writer saw it.
--
-- When no answer comes to one that was sent, it is sent again: it can happen only
-- once, and the mark that each write leaves in the entry tells whose it was.
-- @module cce.schedule.etcd.write
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local host = require "cce.host"
local layout = require "cce.schedule.etcd.layout"

local M = {}

-- Seconds between two tries.
local FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1

local ONCE = { once = true }

-- ---- a transaction until its fate is known ----------------------------------------------

--- Run one that may be run again.
-- @tparam table keyspace
-- @tparam table txn as etcd has it
-- @treturn[1] table answer
-- @treturn[1] boolean whether an earlier try may have been the one that worked
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err with `maybe_applied`
function M.settle(keyspace, txn)
  local pause, unsure, deadline = FIRST_PAUSE, false, nil
  while true do
    local answer, message, err, word = keyspace.client:ask("/v3/kv/txn", txn, ONCE)
    if answer then return answer, unsure end
    unsure = unsure or err.maybe_applied
    err.maybe_applied = unsure
    -- It is asked what became of it for as long as one request may take.
    deadline = deadline or core.sys.monotonic() + keyspace.client.timeout
    local again = unsure and word == "elsewhere" and core.sys.monotonic() + pause < deadline
    if not again then return nil, message, err end
    host.sleep(pause)
    pause = math.min(pause * 2, LONGEST_PAUSE)
  end
end

-- ---- conditions -----------------------------------------------------------------------------

local function is_at(keyspace, key, target, revision)
  return { key = keyspace:encode(key), target = target, result = "EQUAL",
    [target == "MOD" and "mod_revision" or "create_revision"] = revision }
end

local function put(keyspace, key, value)
  return { request_put = { key = keyspace:encode(key), value = core.to_base64(value) } }
end

local function delete(keyspace, key)
  return { request_delete_range = { key = keyspace:encode(key) } }
end

M.is_at, M.put, M.delete = is_at, put, delete

local function conflict(message, unsure, holder)
  return errors.fail("CONFLICT", message,
    { retryable = false, maybe_applied = unsure, holder = holder })
end

-- A demand is a condition of a key, and `refuse(kv, unsure)`: the error when the key did
-- not meet it. Of several that are not met, the first is told.
local function demands(change, guard)
  local list, session, unique = {}, guard.session, change.fields.unique
  if session then
    list[1] = { key = "runners/" .. session.runner, target = "CREATE",
      revision = session.revision, refuse = function(_, unsure)
        return errors.fail("LEASE_LOST", ("the session of runner %s is over"):format(
          session.runner), { retryable = false, maybe_applied = unsure })
      end }
  end
  list[#list + 1] = { key = "entries/" .. change.id, target = "MOD", revision = change.mod,
    refuse = function(_, unsure)
      return conflict(change.mod == "0" and "there is an entry with this id already"
        or "the entry was changed meanwhile", unsure)
    end }
  if guard.dead then
    list[#list + 1] = { key = "runners/" .. guard.dead, target = "CREATE", revision = "0",
      refuse = function(_, unsure)
        return conflict(("runner %s is alive"):format(guard.dead), unsure)
      end }
  end
  if unique and not change.old["unique/" .. unique] then
    list[#list + 1] = { key = "unique/" .. unique, target = "CREATE", revision = "0",
      refuse = function(kv, unsure)
        local holder = core.from_base64(kv.value or "")
        return conflict(("%s has it already"):format(holder), unsure, holder)
      end }
  end
  return list
end

-- ---- one change -------------------------------------------------------------------------------

local function kv_of(answer, i)
  local response = (answer.responses or {})[i]
  local kvs = response and response.response_range and response.response_range.kvs
  return kvs and kvs[1] or { create_revision = "0", mod_revision = "0" }
end

-- The entry's revision when an earlier try of ours was the one that worked.
local function own_earlier(change, list, answer)
  for i, demand in ipairs(list) do
    local kv = kv_of(answer, i)
    if demand.key == "entries/" .. change.id and kv.value then
      local fields = layout.read_value(core.from_base64(kv.value) or "")
      return fields.write == change.write and kv.mod_revision or nil
    end
  end
end

local function refuse(list, answer, unsure)
  for i, demand in ipairs(list) do
    local kv = kv_of(answer, i)
    local revision = demand.target == "MOD" and kv.mod_revision or kv.create_revision
    if revision ~= demand.revision then return demand.refuse(kv, unsure) end
  end
  return errors.fail("RESPONSE_INVALID", "etcd refused a change, and says not why",
    { retryable = true, maybe_applied = unsure })
end

--- Write an entry and the keys by which it is found.
-- @tparam table keyspace
-- @tparam table change `id`, `mod` ("0": it must not be there yet), `old` (the set
--   of keys that are there), `text`, `fields`, `write` (a word of this write alone)
-- @tparam table guard
-- @treturn[1] string the new revision
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.entry(keyspace, change, guard)
  local old, new = change.old, layout.index(change.id, change.fields)
  local value = layout.write_value(change.text, change.fields, change.write)
  local success = { put(keyspace, "entries/" .. change.id, value) }
  for key in pairs(old) do
    if not new[key] then success[#success + 1] = delete(keyspace, key) end
  end
  for key, text in pairs(new) do
    if not old[key] then success[#success + 1] = put(keyspace, key, text) end
  end
  local txn, list = { compare = {}, failure = {}, success = success }, demands(change, guard)
  for i, demand in ipairs(list) do
    txn.compare[i] = is_at(keyspace, demand.key, demand.target, demand.revision)
    txn.failure[i] = { request_range = { key = keyspace:encode(demand.key) } }
  end
  local answer, unsure, err = M.settle(keyspace, txn)
  if not answer then return nil, unsure, err end
  local mod = answer.succeeded and answer.header.revision or own_earlier(change, list, answer)
  if mod then return layout.write_revision(mod, new) end
  return refuse(list, answer, unsure)
end

return M
