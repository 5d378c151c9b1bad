-- What stands in a store although no library of ours put it there: it is put aside and told, the
-- rest is done, and a run ends.
local cce = require "cce"
local core = require "cce.core"
local entries = require "cce.schedule.entry"
local etcd = require "spec.support.peer.etcd"
local json = require "cce.base.json"
local runners = require "spec.support.runners"
local tempdir = require "spec.support.tempdir"

local function revocation(id, more)
  local data = { v = 1, id = id, kind = "revoke", state = "pending", due = 1000, created = 900,
    attempts = 0, cluster_id = runners.cluster, user_id = "u" .. id:sub(1, 4), project_id = "p1" }
  for name, value in pairs(more or {}) do data[name] = value end
  return assert(json.encode(data))
end

local function number(n) return ("%016d"):format(n) end

-- Texts of a row in the state "pending" that are no entry.
local function texts()
  local deep = ("["):rep(900) .. ("]"):rep(900)
  local id = number(1)
  return {
    "", "null", "true", "[]", "{}", "{", "\0", "\255\254", ("["):rep(5000), deep,
    '{"a":' .. deep .. "}", ("x"):rep(300000), '{"v":1e999}', '{"v":NaN}', '{"v":-Infinity}',
    '{"v":' .. ("9"):rep(400) .. "}", '{"v":1,"v":1}',
    revocation(id, { v = 2 }), revocation(id, { v = 1.5 }), revocation(id, { v = "1" }),
    revocation(id, { kind = "delete" }), revocation(id, { kind = "unknown" }),
    revocation(id, { state = "done", ended = 5 }), revocation(id, { state = "claimed" }),
    revocation(id, { ended = 5 }), revocation(id, { due = -1 }), revocation(id, { due = 1e300 }),
    revocation(id, { due = "2026-01-01T00:00:00Z" }), revocation(id, { due = json.null }),
    revocation(id, { attempts = -1 }), revocation(id, { attempts = 1e300 }),
    revocation(id, { cluster_id = "../../etc" }), revocation(id, { cluster_id = "a/b" }),
    revocation(id, { cluster_id = "a\27[2Jb" }), revocation(id, { user_id = { "u1" } }),
    revocation(id, { user_id = "u1\nu2" }), revocation(id, { agency_id = "a1" }),
    revocation(id, { reason = "\27]0;title\7" }), revocation(id, { reason = ("r"):rep(5000) }),
    revocation(id, { grant = { shared = true, holders = "all" } }),
    revocation(id, { grant = { shared = true, holders = { {} } } }),
    revocation(id, { last_error = { code = {}, message = {}, at = {} } }),
    revocation(id, { kind = "rotate" }), revocation(id, { runner = "r1" }),
    revocation(id, { kind = "rotate", every = { seconds = 0, first = 0 }, options = {} }),
    revocation(id, { kind = "rotate", every = { seconds = 60, first = 0 },
      options = { clusters = { "../x" } } }),
    revocation(id, { begun = { journal = "/etc/passwd\n", host = 1 }, kind = "rotate" }),
    revocation(number(77777)), '{"id":"' .. number(1) .. '",' .. revocation(number(2)):sub(2),
  }
end

-- Runs until nothing is left to do; raises when that does not end.
local function run(schedule, events)
  local till = core.sys.monotonic() + 120
  local result = assert(schedule:run(function() return runners.client() end, {
    until_idle = true, on_event = events.on_event,
    stop = function() return core.sys.monotonic() > till end }))
  assert.is_nil(result.stopped)
  return result
end

local function check_told(events, count)
  assert.equal(count, #events.of "quarantined")
  for _, event in ipairs(events.of "quarantined") do
    assert.is_nil((event.id .. event.message):find "%c")
    assert.is_true(#event.message < 600)
  end
end

local function add_good(schedule)
  return assert(schedule:revoke_at(core.sys.time() - 1, { cluster_id = runners.cluster,
    user_id = "good", project_id = "p1" }))
end

describe("a hostile entry", function()
  local schedule, dir, events

  before_each(function() events = runners.events() end)

  describe("in a file", function()
    before_each(function() schedule, dir = runners.sqlite() end)

    after_each(function()
      schedule:close()
      tempdir.remove(dir)
    end)

    local function sql(statement, ...)
      return assert(schedule.store.connection:execute(statement:format(...)))
    end

    local function insert(n, text, due)
      assert(schedule.store:insert(number(n), text, { state = "pending", due = due or 5 }))
    end

    it("of any text is put aside, and the rest runs", function()
      local all = texts()
      for i, text in ipairs(all) do insert(i, text) end
      local good = add_good(schedule)
      assert.equal(1, run(schedule, events).done)
      assert.equal("done", schedule:get(good).state)
      assert.equal(#all, schedule.store:count "quarantined")
      check_told(events, #all)
    end)

    it("of wrong types in its columns is put aside, and the rest runs", function()
      local columns = { "due = 'soon'", "due = '2026-01-01T00:00:00Z'", "due = x'00ff'", "due = -5",
        "due = -9e999", "revision = 'abc'", "revision = '5x'", "revision = 2.5", "revision = 9e999",
        "state = 'bogus'", "state = 'done'", "runner = 'nobody'", "text = x'00ff00'",
        "state = 'claimed'", "state = 'sending', due = NULL", "text = 12", "due = NULL" }
      for i, column in ipairs(columns) do
        insert(i, column:find "^due = [-]" and "text" or revocation(number(i), { v = 0 }))
        sql("UPDATE entries SET %s WHERE id = '%s'", column, number(i))
      end
      local good = add_good(schedule)
      assert.equal(1, run(schedule, events).done)
      assert.equal("done", schedule:get(good).state)
      assert.equal(#columns, schedule.store:count "quarantined")
      check_told(events, #columns)
    end)

    it("whose row has no time of use is done at its own", function()
      local now = core.sys.time()
      insert(1, revocation(number(1), { due = now - 5 }))
      insert(2, revocation(number(2), { due = now + 1000 }))
      insert(3, revocation(number(3), { due = now - 5 }))
      sql("UPDATE entries SET due = NULL WHERE id <> '%s'", number(3))
      sql("UPDATE entries SET due = 'soon' WHERE id = '%s'", number(3))
      assert.equal(2, run(schedule, events).done)
      assert.equal(now + 1000, schedule:get(number(2)).next_try)
    end)

    it("that is over and due is let be, and keeps no run from its end", function()
      local ended = core.sys.time()
      for i, state in ipairs { "done", "cancelled" } do
        assert(schedule.store:insert(number(i), revocation(number(i),
          { state = state, ended = ended }), { state = state, due = 5, ended = ended }))
      end
      assert(schedule.store:insert(number(3), '{"v":1,"id":"' .. number(3) .. '","kind":"unknown",'
        .. '"state":"quarantined","created":1,"at":1,"why":"w","text":"t"}',
        { state = "quarantined", due = 5 }))
      assert.equal(0, run(schedule, events).done)
      check_told(events, 0)
      assert.is_false(schedule.store:next_due())
      assert.same({ 1, 1, 1 }, { schedule.store:count "done", schedule.store:count "cancelled",
        schedule.store:count "quarantined" })
    end)

    it("is not forgotten for having ended while it waits", function()
      insert(1, revocation(number(1), { due = 2e9 }), 2e9)
      sql("UPDATE entries SET ended = 1")
      assert.equal(0, schedule.store:prune(core.sys.time(), 10))
      assert.equal("pending", schedule:get(number(1)).state)
    end)

    it("does not end as an entry that is imported", function()
      local path = dir .. "/import.jsonl"
      tempdir.write(path, ('{"schedule":1}\n%s\n{"count":1}\n'):format(
        revocation(number(1), { due = 2e9, ended = 5 })))
      local counts, _, err = schedule:import(path)
      assert.is_nil(counts)
      assert.equal("FILE_ERROR", err.code)
    end)
  end)

  etcd.describe("in etcd", function()
    local server, prefix

    before_each(function()
      server, prefix = etcd.get(), etcd.prefix()
      schedule = assert(cce.schedule.open("etcd:" .. server:place(prefix)))
    end)

    after_each(function() schedule:close() end)

    it("of any text is put aside, and the rest runs", function()
      local all = texts()
      for i, text in ipairs(all) do
        assert(schedule.store:insert(number(i), text, { state = "pending", due = 5 }))
      end
      local good = add_good(schedule)
      assert.equal(1, run(schedule, events).done)
      assert.equal("done", schedule:get(good).state)
      assert.equal(#all, schedule.store:count "quarantined")
      check_told(events, #all)
    end)

    it("of any value and at any key is put aside, and the rest runs", function()
      local heads = { "", "\n", "{}", "{}\n", '{"state":1}\n', '{"state":"pending","due":"x"}\n{}',
        '{"state":"pending","due":-1e999}\n{}', '{"state":"claimed","runner":7}\n{}',
        '{"state":"pending","ended":5,"due":5}\n{}', ("["):rep(5000) }
      for i, value in ipairs(heads) do
        server:poke(("%s/entries/%s"):format(prefix, number(i)), value)
        server:poke(("%s/due/0000000000000001/%s"):format(prefix, number(i)), "")
      end
      local keys = { "due/!", "due/0", "due/00/../../x", "due/0000000000000001/a/b\27[2J",
        "state/claimed/ghost", "state/sending/\255\0", "due/0000000000000001/" .. ("k"):rep(2000) }
      for _, key in ipairs(keys) do server:poke(prefix .. "/" .. key, "x") end
      local good = add_good(schedule)
      assert.equal(1, run(schedule, events).done)
      assert.equal("done", schedule:get(good).state)
      assert.equal(#heads + #keys, schedule.store:count "quarantined")
      check_told(events, #heads + #keys)
    end)

    it("that is over and due is let be, and keeps no run from its end", function()
      local id, ended = number(1), core.sys.time()
      assert(schedule.store:insert(id, revocation(id, { state = "done", ended = ended }),
        { state = "done", ended = ended }))
      server:poke(prefix .. "/due/0000000000000001/" .. id, "")
      assert.equal(0, run(schedule, events).done)
      assert.equal("done", schedule:get(id).state)
      assert.is_false(schedule.store:next_due())
    end)

    it("is not forgotten for having ended while it waits", function()
      local id = number(1)
      assert(schedule.store:insert(id, revocation(id, { due = 2e9 }),
        { state = "pending", due = 2e9, ended = 5 }))
      schedule.store:prune(core.sys.time(), 10)
      assert.equal("pending", schedule:get(id).state)
      assert.is_true(entries.is_id(id))
    end)
  end)
end)
