--- Where a schedule is kept: "sqlite:<path>" or "etcd:<url>[,<url>...]/<prefix>".
--
-- A store holds rows and knows nothing of what they mean. Its one promise is
-- that a row changes only as a whole, on disk, and only when it is still as its
-- writer last saw it. All functions return their result, or `nil, message, err`;
-- each may fail with STORE_UNAVAILABLE, which passes; with `err.must_reopen` only for who
-- opens the store anew.
--
-- A row is `{id=, text=, revision=, state=, runner=}`. `fields` are what a row can
-- be found by: `state`; `due`, when a runner should look (only of what waits);
-- `ended`, when it was over; `unique`, which no two rows have at a time; `runner`,
-- the runner that holds it.
--
-- * `store:insert(id, text, fields)` → revision. CONFLICT: there is such a row;
--   with `err.holder` it is another one, the id of that with the same `unique`
-- * `store:update(id, revision, text, fields, guard)` → new revision. CONFLICT:
--   the row changed or is gone; with `err.holder` as above. `guard.session`: only
--   while this session of one's own lasts (LEASE_LOST); `guard.dead`: only when the
--   runner of that name is dead (CONFLICT). Guard and write are one step.
-- * `store:get(id)` → row. NOT_FOUND
-- * `store:due(now, limit, after)` → rows with due <= now in the order of due and
--   id. These rows have `due` too; `after` is the last row of the page before, or
--   a table with its `due` and `id`
-- * `store:next_due()` → the earliest due of all, or false
-- * `store:held(after, limit)` → rows that are claimed or sending, by id; `after`
--   is an id, or nil
-- * `store:page{status=, after=, limit=}` → rows by id; status and after may be nil
-- * `store:count(state)` → how many rows are in that state
-- * `store:prune(before, limit)` → how many rows with ended < before were removed
-- * `store:open_session(runner, seconds)` → session: that runner lives, until so
--   many seconds pass without `session:renew()`. CONFLICT: it lives already.
--   `session.runner`; `session:renew()` → true, or LEASE_LOST; `session:left()` →
--   seconds that surely remain, never less than the truth by the time that a
--   request took; `session:close()` ends it at once
-- * `store:alive(runner)` → whether it has a session
-- * `store:close()`
--
-- One session covers all that a runner holds.
-- @module cce.schedule.store
-- @local
local errors = require "cce.error"

local M = {}

local modules = { sqlite = "cce.schedule.sqlite", etcd = "cce.schedule.etcd" }

--- The error of what is done under a session that is over.
-- @tparam string runner
-- @tparam boolean maybe_applied
-- @treturn nil,string,table
function M.session_over(runner, maybe_applied)
  return errors.fail("LEASE_LOST", ("the session of runner %s is over"):format(runner),
    { retryable = false, maybe_applied = maybe_applied })
end

--- Open a store.
-- @tparam string where
-- @tparam table opts as checked by `cce.schedule.open`
-- @treturn[1] table
-- @treturn[1] string "sqlite" or "etcd"
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.open(where, opts)
  local kind, rest = where:match "^(%l+):(.+)$"
  if not modules[kind] then
    -- What was given is not shown: it may hold a password, as an address of etcd can.
    return errors.fail("INVALID_ARGUMENT", "a schedule is kept in \"sqlite:<path>\" or in"
      .. " \"etcd:<url>[,<url>...]/<prefix>\"")
  end
  local store, message, err = require(modules[kind]).open(rest, opts)
  if not store then return nil, message, err end
  return store, kind
end

return M
