--- What every store of a schedule does, as specs: see `cce.schedule.store`.
--
--   dofile "spec/support/shared/store_contract.lua"("sqlite", function(steady)
--     return store, again
--   end)
--
-- `open` is called before each spec and returns an empty store, and a function
-- that opens the same one a second time, as another process would. The contract
-- closes both. `sleep(seconds)` lets the time of sessions pass. `interrupt(store, is_next)` makes
-- each question of a store to what is behind it fail of which `is_next()` is true.
local busted = require "busted"
local describe, it = busted.describe, busted.it
local before_each, after_each = busted.before_each, busted.after_each
local assert = require "luassert"

return function(name, open, sleep, interrupt)
  describe("the store contract of " .. name, function()
    local store, other, again

    before_each(function()
      store, again = open()
      other = assert(again())
    end)

    after_each(function()
      store:close()
      other:close()
    end)

    local function id_of(n) return ("%016d"):format(n) end

    local function insert(n, fields, text)
      return store:insert(id_of(n), text or "text " .. n, fields)
    end

    local function pending(n, due, more)
      local fields = { state = "pending", due = due }
      for key, value in pairs(more or {}) do fields[key] = value end
      return assert(insert(n, fields))
    end

    local function failure(code, value, message, err)
      assert.is_nil(value)
      assert.is_string(message)
      assert.equal(code, err.code)
      assert.is_falsy(err.maybe_applied)
      return err
    end

    local function ids_of(rows)
      local ids = {}
      for i, row in ipairs(rows) do ids[i] = tonumber(row.id) end
      return ids
    end

    it("returns what was put in", function()
      local revision = pending(1, 100)
      local row = assert(other:get(id_of(1)))
      assert.equal(id_of(1), row.id)
      assert.equal("text 1", row.text)
      assert.equal("pending", row.state)
      assert.is_nil(row.runner)
      assert.equal(revision, row.revision)
      assert.is_false(failure("NOT_FOUND", store:get(id_of(2))).retryable)
    end)

    it("keeps any text", function()
      local all = {}
      for byte = 0, 255 do all[byte + 1] = string.char(byte) end
      for i, text in ipairs { "", table.concat(all), "'", "x'); DROP TABLE entries; --", "\0'\0",
        "?#%s%%", "\239\191\190", ("a"):rep(100000) } do
        assert(insert(i, { state = "pending", due = i }, text))
        assert.equal(text, other:get(id_of(i)).text)
      end
      assert.equal(8, store:count "pending")
    end)

    it("keeps any id, state, runner and unique text apart", function()
      local odd = "'/\0\"; --/.."
      assert(store:insert(odd, "t", { state = odd, runner = odd, unique = odd }))
      local row = assert(other:get(odd))
      assert.same({ odd, odd, odd }, { row.id, row.state, row.runner })
      assert.equal(1, store:count(odd))
      assert.equal(odd, failure("CONFLICT", insert(1, { state = "x", unique = odd })).holder)
    end)

    it("takes no second row of an id", function()
      pending(1, 100)
      local err = failure("CONFLICT", other:insert(id_of(1), "new", { state = "done" }))
      assert.same({ false }, { err.retryable, err.holder })
      assert.equal("there is an entry with this id already", err.message)
      assert.equal("text 1", store:get(id_of(1)).text)
    end)

    it("changes a row only as it was last seen", function()
      local first = pending(1, 100)
      local second = assert(store:update(id_of(1), first, "b", { state = "claimed", runner = "r" }))
      assert.not_equal(first, second)
      assert.equal("the entry was changed meanwhile", failure("CONFLICT",
        other:update(id_of(1), first, "c", { state = "cancelled", ended = 1 })).message)
      local row = assert(other:get(id_of(1)))
      assert.same({ "b", "claimed", "r" }, { row.text, row.state, row.runner })
      assert.equal(second, row.revision)
      assert(other:update(id_of(1), second, "d", { state = "pending", due = 5 }))
      assert.is_nil(store:get(id_of(1)).runner)
      failure("CONFLICT", store:update(id_of(2), first, "x", { state = "pending" }))
    end)

    it("finds a row whose state and time stay, or change, by what they are now", function()
      local fields = { state = "pending", due = 100, unique = "u" }
      local revision = assert(insert(1, fields))
      revision = assert(store:update(id_of(1), revision, "b", fields))
      assert.same({ 1 }, ids_of(other:due(100, 5)))
      assert.same({ 1 }, ids_of(other:page { status = "pending", limit = 5 }))
      assert.equal(1, other:count "pending")
      assert.equal(id_of(1), failure("CONFLICT", insert(2, fields)).holder)
      fields.due = 200
      revision = assert(store:update(id_of(1), revision, "b", fields))
      assert.same({}, ids_of(other:due(199, 5)))
      assert.same({ 1 }, ids_of(other:due(200, 5)))
      assert(store:update(id_of(1), revision, "b", { state = "done", ended = 7 }))
      assert.same({ {}, {}, 0, 1 }, { ids_of(other:due(200, 5)),
        ids_of(other:page { status = "pending", limit = 5 }), other:count "pending",
        other:count "done" })
      assert(insert(2, fields))
    end)

    it("lets no two rows have the same unique text", function()
      pending(1, 100, { unique = "u" })
      local second = pending(2, 100)
      local err = failure("CONFLICT", insert(3, { state = "pending", due = 1, unique = "u" }))
      assert.equal(id_of(1), err.holder)
      failure("NOT_FOUND", store:get(id_of(3)))
      err = failure("CONFLICT", store:update(id_of(2), second, "t",
        { state = "pending", due = 1, unique = "u" }))
      assert.equal(id_of(1), err.holder)
      local row = store:get(id_of(1))
      -- It may keep its own, and give it away.
      local revision = assert(store:update(row.id, row.revision, "t",
        { state = "claimed", runner = "r", unique = "u" }))
      assert(store:update(row.id, revision, "t", { state = "done", ended = 5 }))
      assert(store:update(id_of(2), second, "t", { state = "pending", due = 1, unique = "u" }))
      pending(4, 100, { unique = "v" })
    end)

    it("tells what is due in the order of time and id, page by page", function()
      pending(3, 50)
      pending(1, 100)
      pending(2, 100.25)
      pending(5, 100)
      pending(4, 101)
      assert(insert(6, { state = "failed-retrying", due = 99 }))
      assert(insert(7, { state = "claimed", runner = "r" }))
      assert(insert(8, { state = "done", ended = 1 }))
      assert(insert(9, { state = "sending", runner = "r" }))
      assert(insert(10, { state = "cancelled", ended = 1 }))
      assert(insert(11, { state = "quarantined" }))
      assert.same({ 3, 6, 1, 5, 2 }, ids_of(assert(store:due(100.5, 10))))
      assert.same({ 3, 6, 1, 5 }, ids_of(assert(store:due(100, 10))))
      assert.same({}, ids_of(assert(store:due(49.999, 10))))
      local page = assert(other:due(101, 3))
      assert.same({ 3, 6, 1 }, ids_of(page))
      assert.equal(100, page[3].due)
      assert.equal("text 1", page[3].text)
      page = assert(other:due(101, 3, page[3]))
      assert.same({ 5, 2, 4 }, ids_of(page))
      assert.same({}, ids_of(assert(other:due(101, 3, page[3]))))
      assert.same({ 5, 2, 4 }, ids_of(other:due(101, 9, { due = 100, id = id_of(1) })))
    end)

    it("knows the next time", function()
      assert.is_false(store:next_due())
      assert(insert(1, { state = "done", ended = 1 }))
      assert.is_false(store:next_due())
      pending(2, 200)
      local revision = pending(3, 100.5)
      assert.equal(100.5, other:next_due())
      assert(store:update(id_of(3), revision, "t", { state = "claimed", runner = "r" }))
      assert.equal(200, other:next_due())
    end)

    it("lists rows by id, all or of a state", function()
      for n = 5, 1, -1 do pending(n, 100 - n) end
      assert(insert(6, { state = "quarantined" }))
      assert.same({ 1, 2, 3, 4, 5, 6 }, ids_of(assert(store:page { limit = 10 })))
      assert.same({ 1, 2 }, ids_of(assert(store:page { limit = 2 })))
      assert.same({ 3, 4 }, ids_of(assert(other:page { limit = 2, after = id_of(2) })))
      assert.same({ 1, 2, 3, 4, 5 }, ids_of(store:page { status = "pending", limit = 10 }))
      assert.same({ 5 }, ids_of(store:page { status = "pending", limit = 9, after = id_of(4) }))
      assert.same({ 6 }, ids_of(store:page { status = "quarantined", limit = 10 }))
      assert.same({}, ids_of(store:page { status = "done", limit = 10 }))
    end)

    it("lists what runners hold", function()
      for n, state in ipairs { "pending", "sending", "claimed", "done", "sending", "claimed" } do
        assert(insert(n, { state = state, runner = "r" .. n }))
      end
      assert.same({ 2, 3, 5, 6 }, ids_of(assert(store:held(nil, 10))))
      local page = assert(store:held(nil, 2))
      assert.same({ 2, 3 }, ids_of(page))
      assert.equal("r3", page[2].runner)
      assert.same({ 5, 6 }, ids_of(assert(store:held(page[2].id, 2))))
    end)

    it("counts", function()
      local revision = pending(1, 1)
      pending(2, 1)
      assert(store:update(id_of(1), revision, "t", { state = "done", ended = 1 }))
      assert.same({ 1, 1, 0 },
        { store:count "pending", store:count "done", store:count "claimed" })
    end)

    it("forgets what was over before a time, some at a time", function()
      for n = 1, 5 do
        assert(insert(n, { state = n % 2 == 0 and "cancelled" or "done", ended = 10 * n,
          unique = "u" .. n }))
      end
      pending(6, 1)
      assert.equal(2, store:prune(45, 2))
      assert.same({ 3, 4, 5, 6 }, ids_of(store:page { limit = 10 }))
      assert.equal(2, store:prune(45, 10))
      assert.equal(0, store:prune(45, 10))
      assert.same({ 5, 6 }, ids_of(other:page { limit = 10 }))
      assert.same({ 1, 0 }, { store:count "done", store:count "quarantined" })
      -- Nothing of it is left.
      assert(insert(1, { state = "pending", due = 3, unique = "u1" }))
      -- Nor is what waits forgotten, whatever else is said of it.
      assert(insert(7, { state = "pending", due = 3, ended = 1 }))
      assert(store:prune(45, 10))
      assert.equal("pending", other:get(id_of(7)).state)
    end)

    it("knows who is alive", function()
      assert.is_false(store:alive "r1")
      local session = assert(store:open_session("r1", 60))
      assert.equal("r1", session.runner)
      assert.is_true(other:alive "r1")
      assert.is_false(other:alive "r")
      assert.is_false(other:alive "r11")
      failure("CONFLICT", other:open_session("r1", 60))
      assert.is_true(session:renew())
      assert.is_true(session:left() > 50 and session:left() <= 60)
      session:close()
      assert.is_true(session:left() <= 0)
      assert.is_false(other:alive "r1")
      failure("LEASE_LOST", session:renew())
      assert(other:open_session("r1", 60)):close()
    end)

    it("lets a session end by itself", function()
      local session = assert(store:open_session("r1", 2))
      sleep(1)
      assert.is_true(other:alive "r1")
      assert.is_true(session:left() <= 1)
      assert.is_true(session:renew())
      assert.is_true(session:left() > 1)
      local left = session:left()
      local slept = 0
      repeat
        sleep(0.5)
        slept = slept + 0.5
        -- Who asks the session must never believe in time that it has not.
        if session:left() > 0 then assert.is_true(other:alive "r1") end
      until not other:alive "r1" or slept > 10
      assert.is_true(slept >= left - 0.5)
      assert.is_true(session:left() <= 0)
      failure("LEASE_LOST", session:renew())
      local revision = pending(1, 1)
      failure("LEASE_LOST", store:update(id_of(1), revision, "t",
        { state = "claimed", runner = "r1" }, { session = session }))
      assert.equal("pending", store:get(id_of(1)).state)
    end)

    it("writes for a session only while it lasts", function()
      local revision = pending(1, 1)
      local session = assert(store:open_session("r1", 60))
      revision = assert(store:update(id_of(1), revision, "t",
        { state = "claimed", runner = "r1" }, { session = session }))
      session:close()
      failure("LEASE_LOST", store:update(id_of(1), revision, "t",
        { state = "sending", runner = "r1" }, { session = session }))
      -- The name alone is not enough: another session of it is another runner.
      local second = assert(store:open_session("r1", 60))
      failure("LEASE_LOST", store:update(id_of(1), revision, "t",
        { state = "sending", runner = "r1" }, { session = session }))
      assert.equal("claimed", store:get(id_of(1)).state)
      -- Nor does the first one renew it, or end it.
      failure("LEASE_LOST", session:renew())
      session:close()
      assert.is_true(other:alive "r1")
      assert.is_true(second:renew())
      second:close()
    end)

    it("fails as a whole, and does nothing, whichever question of it fails", function()
      local session = assert(store:open_session("r1", 60))
      local revision, left = pending(1, 1), 0
      pending(2, 1)
      assert(insert(3, { state = "claimed", runner = "r0" }))
      assert(insert(4, { state = "done", ended = 1 }))
      interrupt(store, function()
        left = left - 1
        return left == 0
      end)
      for what, ask in pairs {
        get = function() return store:get(id_of(2)) end,
        due = function() return store:due(5, 1) end,
        due_after = function() return store:due(5, 5, { due = 0, id = id_of(1) }) end,
        next_due = function() return store:next_due() end,
        held = function() return store:held(nil, 5) end,
        page = function() return store:page { limit = 5 } end,
        count = function() return store:count "pending" end,
        alive = function() return store:alive "r1" end,
        renew = function() return session:renew() end,
        insert = function() return insert(9, { state = "pending", due = 1, unique = "u" }) end,
        update = function()
          return store:update(id_of(1), revision, "t", { state = "claimed", runner = "r1",
            unique = "v" }, { session = session, dead = "r0" })
        end,
        open_session = function() return store:open_session("r2", 60) end,
      } do
        local nth = 0
        repeat
          nth = nth + 1
          left = nth
          local value, message, err = ask()
          if left <= 0 then failure("STORE_UNAVAILABLE", value, message, err) end
        until left > 0
        assert.is_true(nth > 1, what)
      end
      left = 1
      failure("STORE_UNAVAILABLE", store:prune(5, 5))
      left = 1
      failure("STORE_UNAVAILABLE", session:close())
      assert.equal(0, session:left())
      assert.same({ 1, 2, 3, 4, 9 }, ids_of(other:page { limit = 10 }))
    end)

    it("takes from the dead alone", function()
      local dead = assert(store:open_session("r1", 60))
      local session = assert(other:open_session("r2", 60))
      assert(insert(1, { state = "claimed", runner = "r1" }))
      local row = other:get(id_of(1))
      local function take()
        return other:update(row.id, row.revision, "t", { state = "claimed", runner = "r2" },
          { session = session, dead = "r1" })
      end
      failure("CONFLICT", take())
      assert.equal("r1", store:get(id_of(1)).runner)
      dead:close()
      session:close()
      failure("LEASE_LOST", take())
      session = assert(other:open_session("r2", 60))
      assert(take())
      assert.equal("r2", store:get(id_of(1)).runner)
      session:close()
    end)
  end)
end
