--- Removing what is over, and its history: etcd keeps every version of every key
-- until it is told to forget them, and stops when its quota is full.
-- @module cce.schedule.etcd.prune
-- @local
local core = require "cce.core"
local entries = require "cce.schedule.entry"
local layout = require "cce.schedule.etcd.layout"
local write = require "cce.schedule.etcd.write"

local M = {}

-- Deletions in one transaction; etcd's limit is 128 operations.
local BATCH = 100

-- Seconds of history that stay: far more than any reader of ours looks back.
local HISTORY = 3600

-- ---- entries -------------------------------------------------------------------------

local function read_ended(key)
  local _, id = layout.read_time(key:sub(#"ended/" + 1))
  return id
end

-- What to delete of a row, provided that it is as it was read. The key alone, when
-- it leads to an entry that has not ended then, or whose state says that it has not.
local function plan(keyspace, row, found)
  local mod, keys = layout.read_revision(row.revision)
  local key = "entries/" .. row.id
  local step = { compare = write.is_at(keyspace, key, "MOD", mod), deletes = {} }
  if row.is_stray or not entries.is_over(row.state) then
    keys = { [found] = true }
  else
    keys[key] = true
  end
  for each in pairs(keys) do step.deletes[#step.deletes + 1] = write.delete(keyspace, each) end
  return step
end

local function run(keyspace, steps)
  local txn = { compare = {}, success = {} }
  for i, step in ipairs(steps) do
    txn.compare[i] = step.compare
    for _, delete in ipairs(step.deletes) do txn.success[#txn.success + 1] = delete end
  end
  local answer, message, err = write.settle(keyspace, txn)
  if not answer then return nil, message, err end
  return answer.succeeded and #steps or 0
end

-- One that changed meanwhile must not keep the others.
local function run_all(keyspace, steps)
  local count, message, err = run(keyspace, steps)
  if count ~= 0 or #steps <= 1 then return count, message, err end
  for _, step in ipairs(steps) do
    local one
    one, message, err = run(keyspace, { step })
    if not one then return nil, message, err end
    count = count + one
  end
  return count
end

-- Lists of steps that fit into a transaction each.
local function batches_of(steps)
  local batches, room = {}, 0
  for _, step in ipairs(steps) do
    if #step.deletes > room then
      batches[#batches + 1], room = {}, BATCH
    end
    table.insert(batches[#batches], step)
    room = room - #step.deletes
  end
  return batches
end

-- ---- history -----------------------------------------------------------------------------

-- Let etcd forget what was replaced before the last mark, once that is old; the
-- process that sets the next mark does so. A mark is a key with the time at which it was written.
-- What fails here is tried again by the next one.
local function forget(keyspace)
  local answer = keyspace.client:ask("/v3/kv/range", { key = keyspace:encode "history" })
  if not answer then return end
  local kv = (answer.kvs or {})[1]
  local age = kv and core.sys.time() - (tonumber(core.from_base64(kv.value or "")) or 0)
  if age and math.abs(age) < HISTORY then return end
  local marked = keyspace.client:ask("/v3/kv/txn", {
    compare = { write.is_at(keyspace, "history", "MOD", kv and kv.mod_revision or "0") },
    success = { write.put(keyspace, "history", ("%.0f"):format(core.sys.time())) },
  })
  if kv and marked and marked.succeeded then
    keyspace.client:ask("/v3/kv/compaction", { revision = kv.mod_revision })
  end
end

--- Remove entries that ended before a time.
-- @tparam table keyspace
-- @tparam number before unix time
-- @tparam number limit
-- @treturn[1] number how many
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.prune(keyspace, before, limit)
  local keys, revision, err = keyspace:first("ended/", "ended/",
    "ended/" .. layout.not_before(before), limit)
  if not keys then return nil, revision, err end
  local rows, message
  rows, message, err = keyspace:rows(keys, revision, read_ended)
  if not rows then return nil, message, err end
  local steps, removed = {}, 0
  for i, row in ipairs(rows) do steps[i] = plan(keyspace, row, keys[i]) end
  for _, batch in ipairs(batches_of(steps)) do
    local count
    count, message, err = run_all(keyspace, batch)
    if not count then return nil, message, err end
    removed = removed + count
  end
  forget(keyspace)
  return removed
end

return M
