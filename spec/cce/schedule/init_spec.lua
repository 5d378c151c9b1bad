local cce = require "cce"
local core = require "cce.core"
local entries = require "cce.schedule.entry"
local errors = require "cce.error"
local json = require "cce.base.json"
local tempdir = dofile "spec/support/tempdir.lua"

local NOW = 1795773600 -- 2026-11-27T10:00:00Z

describe("cce.schedule", function()
  local dir, now, schedule

  local function open(name)
    return assert(cce.schedule.open("sqlite:" .. dir .. "/" .. (name or "schedule.db"),
      { clock = function() return now end }))
  end

  before_each(function()
    dir, now = tempdir.new(), NOW
    schedule = open()
  end)

  after_each(function()
    schedule:close()
    tempdir.remove(dir)
  end)

  local function failure(code, value, message, err)
    assert.is_nil(value)
    assert.equal(code, err and err.code)
    assert.equal(message, err.message)
    return message, err
  end

  local function add(time, more)
    local opts = { cluster_id = "c1", user_id = "u1" }
    for name, value in pairs(more or {}) do opts[name] = value end
    return assert(schedule:revoke_at(time or NOW + 100, opts))
  end

  -- As a runner would.
  local function move(id, ...)
    local e = assert(schedule:get(id))
    for _, step in ipairs { ... } do e = assert(schedule:change(e, assert(step(e)))) end
    return e
  end
  local function claimed(e) return entries.claimed(e, "r1", now) end
  local function sending(e) return entries.sending(e, now) end
  local function done(e) return entries.done(e, now, "req-1") end
  local function failed(e)
    return entries.retrying(e, now, { code = "SERVER_ERROR", message = "no" }, now + 60)
  end

  describe("open", function()
    it("refuses what is no place, without showing it", function()
      for _, where in ipairs { "", "sqlite", "sqlite:", "file:x", "/a/b.db", "ETCD:x",
        "http://user:fake-password@host/p" } do
        local message = failure("INVALID_ARGUMENT", cce.schedule.open(where))
        assert.is_nil(message:find "fake")
      end
      for _, name in ipairs { "ca_file", "cert", "key", "username", "password" } do
        failure("INVALID_ARGUMENT", cce.schedule.open("sqlite:x", { [name] = "" }))
      end
      assert.has_error(function() cce.schedule.open() end)
      assert.error_matches(function() cce.schedule.open("sqlite:x", { clok = os.time }) end,
        "did you mean 'clock'")
    end)

    it("shows no option", function()
      local one = assert(cce.schedule.open("sqlite:" .. dir .. "/other.db",
        { username = "somebody", password = "fake-password" }))
      assert.is_nil(tostring(one):find "fake")
      assert.equal("cce.schedule (sqlite)", tostring(one))
      for _, value in pairs(one) do assert.not_equal("fake-password", value) end
      one:close()
      assert.equal("cce.schedule (sqlite, closed)", tostring(one))
    end)

    it("raises once it is closed, without a colon, and on what is no text", function()
      local names = { "get", "cancel", "retry", "accept", "hasten", "export", "import" }
      for _, name in ipairs(names) do
        assert.error_matches(function() schedule[name](schedule, 5) end,
          ("bad argument #1 to '%s' %%(string expected"):format(name))
      end
      schedule:close()
      for _, name in ipairs(names) do
        assert.error_matches(function() schedule[name](schedule, "x") end, "schedule is closed")
        assert.error_matches(function() schedule[name]("x") end, "call it with a colon")
      end
      assert.error_matches(function() schedule:list() end, "schedule is closed")
      assert.error_matches(function() schedule.list {} end, "call it with a colon")
      assert.error_matches(function() schedule:revoke_at(1, {}) end, "schedule is closed")
      assert.error_matches(function() schedule:rotate_every(1, {}) end, "schedule is closed")
      schedule:close()
    end)
  end)

  describe("revoke_at", function()
    it("puts in what it was given", function()
      local id = add("2026-11-27T18:30:00+08:00", { region = "cn-north-4", project_id = "p1",
        reason = "the contract ends" })
      local e = assert(schedule:get(id))
      assert.same({ id, "revoke", "pending", NOW + 1800, NOW, "cn-north-4", "p1", "c1", "u1",
        "the contract ends", 0 }, { e.id, e.kind, e.state, e.due, e.created, e.region,
        e.project_id, e.cluster_id, e.user_id, e.reason, e.attempts })
      assert.is_nil(e.agency_id)
    end)

    it("refuses times that are a mistake, and takes one that has passed", function()
      local who = { cluster_id = "c1", agency_id = "a1" }
      for _, time in ipairs { "2026-11-27T18:00:00", "tomorrow", 3600, NOW * 1000, 0 / 0, 1 / 0, -1,
        NOW - 367 * 86400 } do
        local message = failure("INVALID_ARGUMENT", schedule:revoke_at(time, who))
        assert.matches("^revoke_at: the time is not right: ", message)
      end
      assert.error_matches(function() schedule:revoke_at(nil, who) end, "number or string")
      assert.equal(NOW - 86400, schedule:get(assert(schedule:revoke_at(NOW - 86400, who))).due)
    end)

    it("wants exactly one principal, and ids", function()
      local function refused(opts) failure("INVALID_ARGUMENT", schedule:revoke_at(NOW, opts)) end
      refused { cluster_id = "c1" }
      refused { cluster_id = "c1", user_id = "u1", agency_id = "a1" }
      for _, bad in ipairs { "../x", "a b", "", "x'); DROP TABLE entries; --", "a\0b" } do
        refused { cluster_id = bad, user_id = "u1" }
        refused { cluster_id = "c1", user_id = bad }
        refused { cluster_id = "c1", agency_id = bad }
        refused { cluster_id = "c1", user_id = "u1", region = bad }
        refused { cluster_id = "c1", user_id = "u1", project_id = bad }
      end
      for _, reason in ipairs { "a\27[2Jb", ("x"):rep(501) } do
        local _, message = schedule:revoke_at(NOW, { cluster_id = "c1", user_id = "u1",
          reason = reason })
        assert.equal("schedule: bad reason: at most 500 bytes, and no control characters", message)
      end
      for _, method in ipairs { "get", "cancel", "hasten" } do
        assert.equal("'a?' is no id of an entry", failure("INVALID_ARGUMENT",
          schedule[method](schedule, "a\27")))
      end
      assert.error_matches(function() schedule:revoke_at(NOW, { user_id = "u1" }) end,
        "'cluster_id' is missing")
      assert.error_matches(function() schedule:revoke_at(NOW, { cluster_id = 1 }) end, "string")
      assert.same({}, setmetatable(schedule:list(), nil))
    end)

    it("keeps a reason as it is, whatever SQL is in it", function()
      local reason = "x'); DROP TABLE entries; -- ?#\\ \"' \195\164"
      assert.equal(reason, schedule:get(add(nil, { reason = reason })).reason)
    end)
  end)

  describe("rotate_at", function()
    it("puts in one that does not recur, moved into its windows", function()
      local id = assert(schedule:rotate_at("2026-11-27T20:00:00+08:00", { cluster_id = "c1",
        names = { c1 = "prod" } }))
      local e = assert(schedule:get(id))
      assert.same({ "rotate", NOW + 7200, { clusters = { "c1" } } }, { e.kind, e.due, e.options })
      assert.is_nil(e.every)
      assert.equal("cluster prod (c1)", entries.subject(e))
      id = assert(schedule:rotate_at(NOW, { clusters = { "c1", "c2" },
        windows = "sat 01:00-05:00" }))
      assert.equal(NOW + 15 * 3600, schedule:get(id).due)
    end)

    it("refuses what is not right", function()
      for _, case in ipairs { { NOW, {} }, { NOW, { cluster_id = "c1", first = NOW } },
        { "fri 18:00", { cluster_id = "c1" } }, { NOW - 400 * 86400, { cluster_id = "c1" } },
        { NOW, { cluster_id = "c1", windows = "saturdays" } },
        { NOW, { cluster_id = "c1", names = { c1 = "\27" } } },
        { NOW, { cluster_id = "c1", clusters = { "c2" } } } } do
        failure("INVALID_ARGUMENT", schedule:rotate_at(case[1], case[2]))
      end
      assert.error_matches(function() schedule:rotate_at(nil, {}) end, "bad argument #1")
    end)
  end)

  describe("rotate_every", function()
    local window = { weekdays = { "Sat", "Sun" }, from = "01:00", to = "05:00", zone = "+08:00" }

    it("puts in what it was given", function()
      local id = assert(schedule:rotate_every("7d", { region = "cn-north-4", project_id = "p1",
        reason = "as agreed", window = window, clusters = { name = "prod-*" }, canary = 1,
        max_failures = "10%" }))
      local e = assert(schedule:get(id))
      assert.same({ "rotate", "pending", "cn-north-4", "p1", "as agreed" },
        { e.kind, e.state, e.region, e.project_id, e.reason })
      -- Friday 18:00 there, moved to Saturday 01:00.
      assert.equal(NOW + 7 * 86400 + 7 * 3600, e.due)
      assert.same({ seconds = 604800, first = NOW + 604800 }, e.every)
      assert.same({ clusters = { name = "prod-*" }, canary = 1, max_failures = "10%",
        windows = window }, e.options)
      id = assert(schedule:rotate_every("7d", { clusters = { name = "prod-*" }, zone = "+08:00",
        windows = { "sat,sun 01:00-05:00" }, except = "2026-12-05/2026-12-06" }))
      assert.equal(NOW + 14 * 86400 + 7 * 3600, schedule:get(id).due)
      e = schedule:get(assert(schedule:rotate_every(3600, { cluster_id = "c1",
        first = "2026-11-27T20:00:00+08:00" })))
      assert.same({ NOW + 7200, "c1", { clusters = { "c1" } } }, { e.due, e.cluster_id, e.options })
    end)

    it("keeps each option of the workflow that can wait, as it is", function()
      local opts = { component = "all", certificate_expiration_time = 0, wait = { timeout = 60 },
        canary = 2, concurrency = 3, max_failures = 4, repair = true, reissue = { dir = "/k",
          duration = 1 }, rate_limit = false, accept_token_loss = true, unless_rotated_within = 5,
        windows = "sat 01:00-05:00", except = "2026-12-05", zone = "+08:00" }
      opts.clusters = { "c1" }
      assert.same(opts, schedule:get(assert(schedule:rotate_every("7d", opts))).options)
      assert.same(opts, schedule:get(assert(schedule:rotate_at(NOW, opts))).options)
    end)

    it("refuses what cannot be kept or is not right", function()
      local function refused(interval, opts, pattern)
        opts.cluster_id = opts.cluster_id or not opts.clusters and "c1" or nil
        local message, err = failure("INVALID_ARGUMENT", schedule:rotate_every(interval, opts))
        assert.matches(pattern, message .. " " .. (err.hint or ""))
      end
      refused("0 3 * * 6", {}, "cron")
      refused(5, {}, "interval")
      refused("7d", { first = "2026-11-27T20:00:00" }, "zone")
      refused("7d", { window = { from = "01:00" } }, "window")
      refused("7d", { windows = "sat 01:00" }, "window")
      refused("7d", { windows = "sat 01:00-05:00", window = window }, "older name")
      refused("7d", { zone = "local" }, "zone")
      refused("7d", { windows = "sat 01:00-05:00", except = "2000-01-01/9999-12-31" }, "never open")
      refused("7d", { component = "custom" }, "cert_content")
      refused("7d", { certificate_expiration_time = 0 }, "accept_token_loss")
      refused("7d", { canary = -1 }, "canary")
      assert.error_matches(function()
        schedule:rotate_every("7d", { cluster_id = "c1", canary = print })
      end, "bad option 'canary' %(integer expected, got function%)")
      refused("7d", { clusters = { "../x" } }, "clusters")
      failure("INVALID_ARGUMENT", schedule:rotate_every("7d", {}))
      failure("INVALID_ARGUMENT", schedule:rotate_every("7d", { cluster_id = "c",
        clusters = { "c" } }))
      for _, name in ipairs { "cert_content", "journal", "run", "on_progress", "dry_run" } do
        assert.error_matches(function()
          schedule:rotate_every("7d", { cluster_id = "c1", [name] = "x" })
        end, "unknown option")
      end
      assert.same({}, setmetatable(schedule:list(), nil))
    end)
  end)

  describe("list", function()
    local function ids_of(list)
      local ids = {}
      for i, e in ipairs(list) do ids[i] = e.id end
      return ids
    end

    local function add_many(count)
      local ids = {}
      for i = 1, count do
        now = now + 0.001
        ids[i] = add(NOW + 1000 - i)
      end
      return ids
    end

    it("pages by age", function()
      local ids = add_many(5)
      local list = assert(schedule:list { limit = 2 })
      assert.same({ ids[1], ids[2] }, ids_of(list))
      list = assert(schedule:list { limit = 2, after = list.next })
      assert.same({ ids[3], ids[4] }, ids_of(list))
      list = assert(schedule:list { limit = 2, after = list.next })
      assert.same({ ids[5] }, ids_of(list))
      assert.is_nil(list.next)
      failure("INVALID_ARGUMENT", schedule:list { limit = 0 })
      failure("INVALID_ARGUMENT", schedule:list { status = "late" })
    end)

    it("is a table for people", function()
      local id = add(nil, { reason = "leaves" })
      local text = tostring(schedule:list { limit = 1 })
      assert.matches("ID +STATE +DUE +WHAT +ATTEMPTS +NOTE", text)
      assert.matches(id .. "  pending  2026%-11%-27T10:01:40Z  revoke user u1 in cluster c1  0"
        .. " +leaves", text)
      assert.matches("more follow: after = \"" .. id, text)
      assert.matches("^" .. id .. " pending: revoke user u1", tostring(schedule:get(id)))
    end)

    it("takes a state", function()
      local ids = add_many(3)
      assert(schedule:cancel(ids[2]))
      assert.same({ ids[1], ids[3] }, ids_of(schedule:list { status = "pending" }))
      assert.same({ ids[2] }, ids_of(schedule:list { status = "cancelled" }))
      move(ids[1], claimed)
      move(ids[3], claimed, sending)
      assert.same({ ids[1], ids[3] }, ids_of(schedule:list { status = "live" }))
      local list = schedule:list { status = "live", limit = 1 }
      assert.same({ ids[3] }, ids_of(schedule:list { status = "live", after = list.next }))
    end)

    it("tells what is overdue: what failed, and what nobody took in time", function()
      local ids = add_many(6)
      move(ids[2], claimed, sending, failed)
      move(ids[4], claimed)
      now = NOW + 1000 - 3 + 60 -- 3 to 6 are due since a minute, or longer
      move(ids[5], claimed, failed)
      local late = { ids[2], ids[5], ids[6], ids[3] }
      assert.same(late, ids_of(schedule:list { status = "overdue" }))
      for limit = 1, 4 do
        local found, after = {}, nil
        repeat
          local list = assert(schedule:list { status = "overdue", limit = limit, after = after })
          assert.is_true(#list <= limit)
          for _, id in ipairs(ids_of(list)) do found[#found + 1] = id end
          after = list.next
        until not after or #found > #late
        assert.same(late, found)
      end
      failure("INVALID_ARGUMENT", schedule:list { status = "overdue", after = "x" })
    end)

    it("shows what cannot be read, and nothing of what it does", function()
      local id = add()
      for i, text in ipairs { "{", '{"v":1,"\27[2J":1}', "\27[2J", ("x"):rep(300000) } do
        local revision = schedule.store:get(id).revision
        assert(schedule.store:update(id, revision, text, { state = "pending", due = i }))
        local e = assert(schedule:get(id))
        assert.same({ id, "quarantined", "unknown" }, { e.id, e.state, e.kind })
        assert.is_string(e.why)
        assert.is_nil((tostring(e) .. tostring(schedule:list())):gsub("\n", ""):find "%c")
      end
    end)
  end)

  describe("cancel and retry", function()
    it("end an entry once, and say why not", function()
      local id = add()
      assert.is_true(schedule:cancel(id))
      assert.equal("cancelled", schedule:get(id).state)
      assert.matches("cancelled since 2026%-11%-27T10:00:00Z",
        (failure("CONFLICT", schedule:cancel(id))))
      failure("NOT_FOUND", schedule:cancel(entries.new_id(NOW)))
      failure("INVALID_ARGUMENT", schedule:cancel "x'")
      id = add()
      move(id, claimed)
      assert.is_true(schedule:cancel(id)) -- nothing has left
      id = add()
      move(id, claimed, sending)
      assert.matches("is being sent", (failure("CONFLICT", schedule:cancel(id))))
      move(id, done)
      assert.matches("done since", (failure("CONFLICT", schedule:cancel(id))))
    end)

    it("cancel what cannot be read, once it is quarantined", function()
      local id = add()
      local row = schedule.store:get(id)
      local text, fields = entries.quarantine({ id = id, text = "{" }, "no JSON", now)
      assert(schedule.store:update(id, row.revision, text, fields))
      assert.matches("no JSON", tostring(schedule:list { status = "quarantined" }))
      assert.is_true(schedule:cancel(id))
      assert.equal(1, schedule.store:prune(now + 1, 10))
    end)

    it("try again at once what failed, and nothing else", function()
      local id = add(NOW - 5)
      assert.matches("is pending", (failure("CONFLICT", schedule:retry(id))))
      move(id, claimed, sending, failed)
      assert.equal(NOW + 60, schedule.store:next_due())
      now = NOW + 1
      assert.is_true(schedule:retry(id))
      assert.equal(NOW + 1, schedule.store:next_due())
      assert.equal(1, schedule:get(id).attempts)
      move(id, claimed)
      assert.matches("claimed by runner r1", (failure("CONFLICT", schedule:retry(id))))
    end)

    it("make due at once what is not, but for what recurs", function()
      local id = add(NOW + 500)
      assert.is_true(schedule:hasten(id))
      assert.equal(NOW, schedule.store:next_due())
      now = NOW + 10
      assert.is_true(schedule:hasten(id))
      assert.equal(NOW, schedule:get(id).due)
      move(id, claimed, sending, failed)
      assert.is_true(schedule:hasten(id))
      assert.same({ "failed-retrying", now },
        { schedule:get(id).state, schedule:get(id).next_try })
      assert.is_true(schedule:cancel(id))
      assert.matches("has been cancelled since", (failure("CONFLICT", schedule:hasten(id))))
      failure("NOT_FOUND", schedule:hasten(entries.new_id(NOW)))
      id = assert(schedule:rotate_every(3600, { cluster_id = "c1" }))
      assert.matches("recurs", (failure("CONFLICT", schedule:hasten(id))))
    end)

    it("give up where others change the entry again and again, or the store is away", function()
      local id, real = add(), schedule.store.update
      local tries
      for code, most in pairs { CONFLICT = 10, STORE_UNAVAILABLE = 1 } do
        tries = 0
        function schedule.store.update()
          tries = tries + 1
          return errors.fail(code, "the spec says so")
        end
        assert.equal("the spec says so", (failure(code, schedule:cancel(id))))
        assert.equal(most, tries)
        assert.equal("pending", schedule:get(id).state)
      end
      -- Up to the last try.
      tries = 0
      function schedule.store.update(...)
        tries = tries + 1
        if tries < 10 then return errors.fail("CONFLICT", "the spec says so") end
        return real(...)
      end
      assert.is_true(schedule:cancel(id))
      assert.equal(10, tries)
    end)

    it("tell the loser of a cancel and a run", function()
      local id = add()
      local e = assert(schedule:get(id))
      local change = schedule.store.update
      -- Between the cancel's look and its write a runner sends.
      function schedule.store.update(store, ...)
        schedule.store.update = nil
        move(id, claimed, sending)
        return change(store, ...)
      end
      assert.matches("is being sent", (failure("CONFLICT", schedule:cancel(id))))
      local stale = entries.cancelled(e, now)
      failure("CONFLICT", schedule:change(e, stale))
      -- And the other way round.
      id = add()
      e = assert(schedule:change(assert(schedule:get(id)), claimed(schedule:get(id))))
      assert(schedule:cancel(id))
      failure("CONFLICT", schedule:change(e, sending(e)))
    end)
  end)

  describe("add", function()
    it("takes another id when one is taken, and tells whose unique text it is", function()
      local fields = { kind = "revoke", due = NOW, cluster_id = "c1", user_id = "u1" }
      local first = assert(schedule:add(fields))
      local new_id, given = entries.new_id, 0
      entries.new_id = function(time)
        given = given + 1
        return given == 1 and first.id or new_id(time)
      end
      local second = schedule:add(fields)
      entries.new_id = new_id
      assert.not_equal(first.id, assert(second).id)
      fields.grant = { shared = false, holders = { first.id } }
      local grant = assert(schedule:add(fields))
      local _, err = failure("CONFLICT", schedule:add(fields))
      assert.equal(grant.id, err.holder)
      fields.user_id, fields.agency_id = nil, "u1"
      assert(schedule:add(fields))
    end)
  end)

  describe("export and import", function()
    local path

    before_each(function() path = dir .. "/export.jsonl" end)

    local function all(of)
      local list = {}
      for i, e in ipairs(assert(of:list { limit = 1000 })) do
        e.revision = nil
        list[i] = e
      end
      return list
    end

    local function lines_of(text)
      local lines = {}
      for line in text:gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
      return lines
    end

    -- One in each state.
    local function fill()
      local ids = {}
      for i, steps in ipairs { {}, { claimed }, { claimed, sending }, { claimed, sending, done },
        { claimed, sending, failed }, { function(e) return entries.cancelled(e, now) end },
        { claimed, failed, claimed } } do
        now = now + 1
        ids[i] = add(nil, { reason = "number " .. i })
        move(ids[i], (table.unpack or unpack)(steps))
      end
      now = now + 1
      ids[8] = assert(schedule:rotate_every("7d", { cluster_id = "c1" }))
      return ids
    end

    it("move all, with nobody holding any", function()
      local ids = fill()
      now = now + 1
      local row = schedule.store:get(add())
      assert(schedule.store:update(row.id, row.revision, "{\n\27", { state = "pending", due = 1 }))
      assert.equal(9, schedule:export(path))
      assert.equal("0600", core.file.stat(path).mode)
      assert.equal(11, #lines_of(tempdir.read(path)))
      assert.is_nil(tempdir.read(path):gsub("\n", ""):find "%c")
      assert.same({ "export.jsonl", "schedule.db", "schedule.db-shm", "schedule.db-wal" },
        tempdir.list(dir))
      local other = open "other.db"
      assert.same({ added = 9, existing = 0 }, other:import(path))
      local before, after = all(schedule), all(other)
      for _, i in ipairs { 1, 4, 5, 6, 8 } do assert.same(before[i], after[i]) end
      assert.equal("pending", after[2].state)
      assert.same({ "failed-retrying", before[3].first_intent, now, 1 },
        { after[3].state, after[3].first_intent, after[3].next_try, after[3].attempts })
      assert.same({ "failed-retrying", before[7].next_try }, { after[7].state, after[7].next_try })
      assert.equal("quarantined", after[9].state)
      assert.equal(ids[1], after[1].id)
      -- Once more changes nothing, even of what has gone on.
      assert(other:cancel(ids[1]))
      assert.same({ added = 0, existing = 9 }, other:import(path))
      assert.equal("cancelled", other:get(ids[1]).state)
      other:close()
    end)

    it("let a grant in that meets a live one, as a revocation", function()
      local fields = { kind = "revoke", due = NOW + 9, cluster_id = "c1", user_id = "u1",
        grant = { shared = false, holders = { entries.new_id(NOW) } } }
      local mine = assert(schedule:add(fields))
      assert.equal(1, schedule:export(path))
      local other = open "other.db"
      local theirs = assert(other:add(fields))
      assert.same({ added = 1, existing = 0 }, other:import(path))
      assert.is_nil(other:get(mine.id).grant)
      assert.equal(NOW + 9, other:get(mine.id).due)
      assert.is_table(other:get(theirs.id).grant)
      other:close()
    end)

    it("say so where the file is another one when it is read again", function()
      local json_line = require "cce.base.json_line"
      fill()
      assert(schedule:export(path))
      local text, read = tempdir.read(path), json_line.lines
      finally(function() json_line.lines = read end)
      for i, change in ipairs { text .. "{}\n", (text:gsub("[^\n]*\n$", "")) } do
        local count, other = 0, open(i .. ".db")
        tempdir.write(path, text)
        function json_line.lines(...)
          count = count + 1
          if count == 2 then tempdir.write(path, change) end
          return read(...)
        end
        local message = failure("FILE_ERROR", other:import(path))
        assert.matches("was changed while it was read: [1-9] of its entries were put in$", message)
        other:close()
      end
    end)

    it("refuse a file that is not whole, before anything is put in", function()
      fill()
      assert(schedule:export(path))
      local text, other = tempdir.read(path), open "other.db"
      local lines = lines_of(text)
      local function refused(content, pattern, code)
        tempdir.write(path, content)
        local message, err = failure(code or "FILE_ERROR", other:import(path))
        assert.matches(pattern, message .. (code and " " .. err.hint or ""))
        assert.is_nil(message:find "%c")
        assert.equal(0, #other:list())
      end
      refused("", "no export")
      refused("{}\n", "no export")
      refused(text:gsub('"schedule":1', '"schedule":2'), "Import it with that version",
        "UNSUPPORTED")
      refused(table.concat(lines, "\n", 1, 9) .. "\n", "cut off")
      refused(table.concat(lines, "\n", 1, 8) .. "\n" .. lines[10] .. "\n", "cut off")
      refused(text .. lines[2] .. "\n", "cut off")
      refused(text .. lines[2] .. '\n{"count":9}\n', "cut off")
      refused(text:sub(1, -20), "line 9")
      lines[4], lines[6] = "{\27", '{"v":1}'
      refused(table.concat(lines, "\n") .. "\n",
        "2 lines .*line 4: it is no JSON.*line 6: it has no")
      refused(lines[1] .. ("\n{"):rep(6) .. "\n", "6 lines .*line 6: [^;]*%)$")
      os.remove(path)
      failure("FILE_ERROR", other:import(path))
      -- What can be read only once would be checked, and then be empty.
      tempdir.check("mkfifo " .. path)
      local open_file = io.open
      finally(function() io.open = open_file end) -- luacheck: ignore
      function io.open() return nil, "it was opened" end -- luacheck: ignore
      assert.matches("not a regular file", (failure("FILE_ERROR", other:import(path))))
      io.open = open_file -- luacheck: ignore
      other:close()
    end)

    it("replace an export, and nothing else", function()
      add()
      for _, text in ipairs { "mine\n", "mine", '{"apiVersion":"v1"}', "\n" } do
        tempdir.write(path, text)
        local _, err = failure("FILE_ERROR", schedule:export(path))
        assert.matches("^Give another path", err.hint)
        assert.equal(text, tempdir.read(path))
      end
      tempdir.write(path, "")
      for _ = 1, 2 do assert.equal(1, schedule:export(path)) end
      tempdir.check(("ln -s '%s' '%s/link'"):format(path, dir))
      add()
      assert.equal(2, schedule:export(dir .. "/link"))
      assert.is_true(core.file.stat(dir .. "/link").is_symlink)
      assert.matches('"count":2', tempdir.read(path), 1, true)
    end)

    it("are on disk before they take the place of what was there, or leave it", function()
      local journal, rename, steps, opened = core.journal, os.rename, {}, 0
      finally(function() core.journal, os.rename = journal, rename end) -- luacheck: ignore
      function core.journal(...)
        local file = assert(journal(...))
        opened = opened + 1
        return { close = function()
          opened = opened - 1
          file:close()
        end, append = function(_, line, sync)
          steps[#steps + 1] = sync and "sync" or "line"
          return file:append(line, sync)
        end }
      end
      local can_rename = true
      function os.rename(...) -- luacheck: ignore
        steps[#steps + 1] = "rename"
        if not can_rename then return nil, "no" end
        return rename(...)
      end
      add()
      assert.equal(1, schedule:export(path))
      assert.same({ "line", "line", "sync", "rename" }, steps)
      local text = tempdir.read(path)
      add()
      can_rename = false
      assert.matches("cannot write", (failure("FILE_ERROR", schedule:export(path))))
      assert.equal(0, opened)
      assert.equal(text, tempdir.read(path))
      assert.same({ "export.jsonl", "schedule.db", "schedule.db-shm", "schedule.db-wal" },
        tempdir.list(dir))
    end)

    it("leave nothing behind when the file cannot be written", function()
      add()
      failure("FILE_ERROR", schedule:export(dir .. "/nowhere/x.jsonl"))
      assert(core.sys.mkdir(dir .. "/taken"))
      failure("FILE_ERROR", schedule:export(dir .. "/taken"))
      assert.same({ "schedule.db", "schedule.db-shm", "schedule.db-wal", "taken" },
        tempdir.list(dir))
    end)

    it("move a schedule that is empty, and only count in a dry run", function()
      assert.equal(0, schedule:export(path))
      assert.same({ added = 0, existing = 0 }, schedule:import(path))
      fill()
      assert(schedule:export(path))
      local other = open "other.db"
      assert.same({ added = 8, existing = 0 }, other:import(path, { dry_run = true }))
      assert.equal(0, #other:list())
      assert.same({ added = 0, existing = 8 }, schedule:import(path, { dry_run = true }))
      other:close()
    end)

    it("say that the store is away", function()
      local function away() return nil, "away", errors.new("STORE_UNAVAILABLE", "away", {}) end
      add()
      assert(schedule:export(path))
      local text, store = tempdir.read(path), schedule.store
      store.page, store.get, store.insert = away, away, away
      failure("STORE_UNAVAILABLE", schedule:export(path))
      assert.equal(text, tempdir.read(path))
      failure("STORE_UNAVAILABLE", schedule:import(path))
      failure("STORE_UNAVAILABLE", schedule:import(path, { dry_run = true }))
    end)

    it("replace nothing when something is raised meanwhile", function()
      tempdir.write(path, "")
      function schedule.store.page() error("interrupted!", 0) end
      assert.error_matches(function() schedule:export(path) end, "^interrupted!$")
      assert.equal("", tempdir.read(path))
      assert.same({ "export.jsonl", "schedule.db", "schedule.db-shm", "schedule.db-wal" },
        tempdir.list(dir))
    end)

    it("hold no more than a page in memory #long", function()
      schedule.store:insert(entries.new_id(NOW), "x", { state = "pending", due = 1 })
      local text = ("x"):rep(10000)
      for _ = 1, 1000 do
        now = now + 0.001
        local e = assert(entries.new({ kind = "revoke", due = NOW, cluster_id = "c1",
          user_id = "u1" }, now))
        local written, fields = entries.write(e)
        assert(schedule.store:insert(e.id, written:sub(1, -2) .. ',"x":"' .. text .. '"}', fields))
      end
      collectgarbage()
      local before, most = collectgarbage "count", 0
      local page = schedule.store.page
      function schedule.store.page(...)
        collectgarbage()
        most = math.max(most, collectgarbage "count" - before)
        return page(...)
      end
      assert.equal(1001, schedule:export(path))
      assert.is_true(most < 8000, most .. " KiB")
    end)
  end)

  it("is a module whose lines are JSON", function()
    add()
    schedule:export(dir .. "/x")
    for line in tempdir.read(dir .. "/x"):gmatch "[^\n]+" do assert.is_table(json.decode(line)) end
  end)
end)
