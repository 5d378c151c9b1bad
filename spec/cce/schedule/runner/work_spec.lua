-- One entry from its claim to what became of it, with a store, a lease, a clock and a client that
-- do as told: each step in its order, and one term wrong at a time.
local entries = require "cce.schedule.entry"
local errors = require "cce.error"
local protect = require "cce.host.protect"
local work = require "cce.schedule.runner.work"

local NOW = 1767323045

describe("the work of a runner", function()
  local run, session, client, steps, events, answers, trouble

  local function entry(more)
    local fields = { kind = "revoke", due = NOW - 10, cluster_id = "c1", user_id = "u1" }
    for name, value in pairs(more or {}) do fields[name] = value end
    return assert(entries.new(fields, NOW - 1000))
  end

  local function failure(code)
    return errors.new(code, code .. ": as told", { retryable = true })
  end

  local function row_of(e)
    local text, fields = entries.write(e)
    return { id = e.id, text = text, state = fields.state, runner = fields.runner, revision = 9 }
  end

  -- What is written, in order; `answers[n]` is what becomes of write n: a code, or "lost", which
  -- was made.
  local function change(_, e, new, guard)
    steps[#steps + 1] = new.state
    run.writes[#run.writes + 1] = { new = new, guard = guard }
    run.row = run.row or row_of(e)
    local answer = answers[#steps]
    if answer and answer ~= "lost" then return nil, answer, failure(answer) end
    run.row = row_of(new)
    if answer then return nil, "lost", failure "CONFLICT" end
    return assert(entries.read(run.row))
  end

  before_each(function()
    steps, events, answers, trouble = {}, {}, {}, {}
    session = { runner = "r1", seconds = 30 }
    function session.left() return session.seconds end
    client = { config = { project_id = "p1" }, clock_shift = 0, requests = {} }
    function client.now() return run.now + client.clock_shift end
    function client.show_cluster() return { status = "Available" } end
    function client.revoke_cert(_, cluster_id, opts)
      local seconds, why, err = opts.before_send(cluster_id)
      if not seconds then
        err = err or errors.new("CANCELLED", why, { retryable = true })
        return nil, err.message, err
      end
      steps[#steps + 1] = "sent"
      client.requests[#client.requests + 1] = { cluster_id, opts.user_id, opts.agency_id, seconds }
      if client.answer then return client.answer(opts) end
      return true, nil, nil, "req"
    end
    run = { now = NOW, done = 0, claimed = 0, missed = 0, writes = {}, slept = {},
      policy = { base = 100, cap = 100, floor = 100, mend_base = 100, mend_cap = 100,
        mend_floor = 100 }, random = function() return 1 end,
      clock = function() return run.now end, schedule = { change = change },
      lease = { get = function() return session end }, store = {},
      client_for = function() return client end }
    function run.sleep(seconds)
      table.insert(run.slept, seconds)
      if run.on_sleep then run.on_sleep() end
    end
    function run:tell(event) events[#events + 1] = event end
    function run:store_failed(message, _, waits)
      table.insert(trouble, message .. tostring(waits))
    end
    function run:store_worked(...) self.worked = { ... } end
    function run:must_stop() return self.stopped end
    function run:must_end() return self.ends end
    function run.lease:lose(lost) lost.lost = true end
    function run.store.get() return run.row end
  end)

  local function event(what)
    for _, each in ipairs(events) do
      if each.type == what then return each end
    end
  end

  local function order() return table.concat(steps, " ") end

  local function last() return run.writes[#run.writes].new end

  it("claims, writes the intent, sends and writes the outcome, each under its guard", function()
    local e = entry { region = "r", project_id = "p1" }
    assert.is_true(work.process(run, e))
    assert.equal("claimed sending sent done", order())
    assert.same({ session = session }, run.writes[1].guard)
    assert.same({ session = session }, run.writes[2].guard)
    assert.is_nil(run.writes[3].guard)
    assert.same({ "c1", "u1", nil, 28 }, client.requests[1])
    assert.same({ 1, 1, { true } }, { run.done, run.claimed, run.worked })
    assert.same({ type = "done", id = e.id, kind = "revoke", cluster_id = "c1", user_id = "u1",
      region = "r", project_id = "p1", due = e.due, attempts = 1, first_intent = NOW, late = 10,
      request_id = "req" }, event "done")
    assert.equal("req", last().request_id)
  end)

  it("claims what a dead runner left, and says that it is sent again", function()
    local dead = entries.sending(entries.claimed(entry(), "r0"), NOW - 700)
    assert.is_true(work.process(run, dead))
    assert.same({ session = session, dead = "r0" }, run.writes[1].guard)
    assert.same({ NOW - 700, true }, { event("resent").first_intent,
      event("resent").may_have_cut_newer })
    assert.same({ NOW - 700, true, true }, { event("done").first_intent, event("done").resent,
      event("done").may_have_cut_newer })
    events = {}
    work.process(run, entries.sending(entries.claimed(entry(), "r0"), NOW - 600))
    assert.same({}, { event("resent").may_have_cut_newer, event("done").may_have_cut_newer })
    assert.is_true(event("done").resent)
  end)

  it("sends nothing without a claim or an intent on disk", function()
    for step, expected in pairs { "claimed", "claimed sending" } do
      for _, code in ipairs { "CONFLICT", "NOT_FOUND", "LEASE_LOST" } do
        steps, answers, run.row, session.lost, events = {}, { [step] = code }, nil, nil, {}
        local done, _, err = work.process(run, entry())
        assert.same({ nil, code }, { done, err.code })
        assert.equal(expected, order())
        assert.equal(code == "LEASE_LOST" or nil, session.lost)
        assert.equal(0, #trouble)
        -- A mere claim is not spoken of.
        assert.equal(step == 2 and code == "CONFLICT", event "superseded" ~= nil)
      end
    end
  end)

  it("takes a write whose answer was lost for its own, when all of it is there", function()
    for step = 1, 3 do
      steps, answers, run.row = {}, {}, nil
      answers[step < 3 and step or 4] = "lost"
      assert.is_true(work.process(run, entry()))
      assert.equal("claimed sending sent done", order())
    end
    -- What stands there instead of the outcome differs in one term.
    for name, value in pairs { runner = "r2", last_intent = NOW - 1, next_try = NOW + 1,
      ended = NOW - 1, last_done = NOW - 1, state = "cancelled" } do
      steps, run.row, events = {}, nil, {}
      answers = { [4] = "CONFLICT" }
      function client.answer()
        local there = entries.done(entries.read(run.row), NOW, "req")
        there[name] = value
        run.row = row_of(there)
        return true, nil, nil, "req"
      end
      local done, _, err = work.process(run, entry())
      assert.same({ nil, "CONFLICT" }, { done, err.code }, name)
      assert.equal("done", event("superseded").step)
      -- The revocation itself stands.
      assert.is_string(event("done").unwritten)
      assert.equal(3, run.done)
    end
    steps, run.row, answers = {}, nil, { [4] = "CONFLICT" }
    function client.answer()
      run.row = { id = "x", text = "{", state = "done" }
      return true
    end
    assert.equal("CONFLICT", (select(3, work.process(run, entry()))).code)
  end)

  it("looks again after a conflict when the store was away for the look", function()
    answers[1] = "CONFLICT"
    local get = run.store.get
    function run.store.get()
      run.store.get = get
      return nil, "away", failure "STORE_UNAVAILABLE"
    end
    assert.is_true(work.process(run, entry()))
    assert.same({ "awaytrue" }, trouble)
  end)

  it("writes the outcome until it is on disk, and what needs the lease until its end", function()
    for _, case in ipairs {
      -- The write that fails, how often, what the run is like; what is written.
      { 4, 3, {}, "claimed sending sent done done done done" },
      { 4, 3, { seconds = 0 }, "claimed sending sent done done done done" },
      { 4, 3, { ends = true }, "claimed sending sent done done done done" },
      { 4, 3, { ends = true, seconds = 2 }, "claimed sending sent done" },
      { 4, 3, { stopped = true }, "claimed sending sent done done done done" },
      { 2, 3, {}, "claimed sending sending sending sending sent done" },
      { 2, 3, { seconds = 2 }, "claimed sending" },
      { 2, 3, { stopped = true }, "claimed sending" },
    } do
      steps, answers, run.row, trouble, run.slept = {}, {}, nil, {}, {}
      session.seconds, run.ends, run.stopped = 30, nil, nil
      local first, count, way = case[1], case[2], case[3]
      for i = first, first + count - 1 do answers[i] = "STORE_UNAVAILABLE" end
      local function become()
        session.seconds = way.seconds or 30
        run.ends, run.stopped = way.ends, way.stopped
      end
      local told = run.schedule.change
      run.schedule.change = function(...)
        if #steps + 1 == first then become() end
        return told(...)
      end
      work.process(run, entry())
      run.schedule.change = change
      assert.equal(case[4], order())
      assert.is_true(#trouble > 0 and trouble[1]:find "true$" ~= nil)
      assert.same(#steps > 4 and { 0.5, 1, 2 } or {}, run.slept)
    end
  end)

  it("lets a request leave only in its time, under its lease, and while it may go on", function()
    local function may_leave(more, due)
      local job = { run = run, entry = { due = due or NOW }, session = session, client = client }
      for name, value in pairs(more or {}) do job[name] = value end
      return { work.may_leave(job) }
    end
    assert.same({ 28 }, may_leave())
    assert.matches("due only in 5 s", may_leave({}, NOW + 5)[2])
    assert.same({ 28 }, may_leave({ at_once = true }, NOW + 5))
    assert.same({ 28 }, may_leave({ client = false }))
    -- The API's clock counts where it is behind and that is known.
    client.clock_shift = -60
    assert.matches("due only in 60 s", may_leave()[2])
    client.clock_shift = 60
    assert.matches("due only in 5 s", may_leave({}, NOW + 5)[2])
    client.clock_shift, client.now = 0, function() return NOW - 60 end
    assert.same({ 28 }, may_leave())
    session.seconds = 2
    assert.same({ "LEASE_LOST", true }, { may_leave()[3].code, may_leave()[3].retryable })
    session.seconds, session.lost = 30, true
    assert.equal("LEASE_LOST", may_leave()[3].code)
    session.lost, run.stopped = nil, true
    assert.same({ nil, "the runner is being stopped" }, may_leave())
  end)

  it("tries again what failed: at once what was not sent, else later, and in time", function()
    local function next_try(code, e, more)
      function client.answer() return nil, "no", errors.new(code, "no", more or {}) end
      steps, run.row, events = {}, nil, {}
      local done, message, err = work.process(run, e or entry())
      assert.same({ nil, "no", code }, { done, message, err.code })
      return last().next_try - NOW
    end
    assert.equal(0, next_try "CANCELLED")
    assert.equal(0, next_try "LEASE_LOST")
    local first = next_try "SERVER_ERROR"
    assert.is_true(first > 0)
    assert.same({ "failed", "SERVER_ERROR", "sending" }, { events[#events].type,
      events[#events].code, events[#events].state })
    assert.is_nil(event("failed").unwritten)
    answers = { [4] = "CONFLICT" }
    next_try "SERVER_ERROR"
    assert.is_true(event("failed").unwritten)
    -- By how often it was tried.
    answers, run.policy = {}, { base = 1, cap = 100, floor = 0 }
    assert.equal(1, next_try "SERVER_ERROR")
    run.client_for, steps, run.row = function() end, {}, nil
    work.process(run, entry())
    assert.equal(1, last().next_try - NOW)
    run.client_for = function() return client end
    -- Not before its time by the API's clock, which is believed for an hour.
    for behind, seconds in pairs { [60] = 50, [7200] = 3600 } do
      client.clock_shift = -behind
      steps, run.row, events = {}, nil, {}
      local _, _, err = work.process(run, entry())
      assert.equal("CLOCK_SKEW", err.code)
      assert.equal("claimed failed-retrying", order())
      assert.equal(seconds, last().next_try - NOW)
    end
  end)

  it("tells once what only a person mends", function()
    local function overdue(before, retry_failed)
      function client.answer()
        return nil, "no", errors.new("CONFLICT", "no", { is_closed = true, hint = "mend" })
      end
      local e = entry { due = NOW - 1 }
      e.last_error = before and { code = before, message = "m", at = NOW }
      e.retry_failed = retry_failed
      steps, run.row, events = {}, nil, {}
      work.process(run, e)
      local told = event "overdue"
      if not told then return false end
      assert.same({ 1, "CONFLICT", "no", "mend" },
        { told.seconds, told.code, told.message, told.hint })
      return true
    end
    assert.is_true(overdue())
    assert.is_true(overdue "SERVER_ERROR")
    assert.is_false(overdue "CONFLICT")
    assert.is_true(overdue("CONFLICT", true))
  end)

  it("asks for a client of the entry's project, with a copy", function()
    local e = entry { project_id = "p1" }
    local function refused(client_for, expected)
      run.client_for, steps, run.row = client_for, {}, nil
      local done, message, err = work.process(run, e)
      assert.is_nil(done)
      assert.matches(expected, message, 1, true)
      assert.equal("claimed failed-retrying", order())
      assert.is_true(err.retryable)
    end
    refused(function() error("no\27", 0) end, "client_for raised: no?")
    refused(function() end, "no client and no message")
    refused(function() return false, "why" end, "why")
    refused(function() return nil, 5 end, "no client and no message")
    refused(function() return nil, "m", failure "TIMEOUT" end, "TIMEOUT: as told")
    refused(function() return 5 end, "a number, not a client")
    refused(function() return {} end, "a table, not a client")
    refused(function() return { config = {}, closed = true } end, "a closed client")
    refused(function() return { config = { project_id = "p2" } } end, "of project p2")
    run.client_for, steps, run.row = function(item)
      assert.equal("c1", item.cluster_id)
      item.cluster_id = "other"
      return client
    end, {}, nil
    assert.is_true(work.process(run, e))
    assert.equal("c1", client.requests[1][1])
    -- One that has not asked yet what its project is may be of it.
    client.config, client.session = {}, { refusal = function() end }
    steps, run.row = {}, nil
    assert.is_true(work.process(run, e))
  end)

  it("writes no intent where the key was refused, or the runner is to stop", function()
    client.session = { refusal = function() return failure "UNAUTHENTICATED" end }
    local _, _, err = work.process(run, entry())
    assert.equal("UNAUTHENTICATED", err.code)
    assert.equal("claimed failed-retrying", order())
    steps, run.row, client.session, run.stopped = {}, nil, nil, true
    _, _, err = work.process(run, entry())
    assert.equal("CANCELLED", err.code)
    assert.equal("claimed pending", order())
  end)

  it("waits for the window of what recurs, and closes what was missed", function()
    local function rotation() return entry { kind = "rotate",
      options = { clusters = { "c1" }, windows = "fri 04:00-05:00" } } end
    local done, why = work.process(run, rotation())
    assert.same({ nil, "it waits for its window" }, { done, why })
    assert.equal("pending", order())
    -- What failed is not as if it had never been begun.
    local failed = entries.retrying(entries.claimed(rotation(), "r1"), NOW - 5,
      failure "TIMEOUT", NOW)
    failed.next_try = NOW
    steps, run.row = {}, nil
    assert.same({ nil, "it waits for its window" }, { work.process(run, failed) })
    assert.same({ "failed-retrying", NOW - 10, "TIMEOUT" }, { order(), last().due,
      last().last_error.code })
    assert.is_true(last().next_try > NOW)
    local held = entries.sending(entries.claimed(rotation(), "r0"), NOW - 5)
    steps, run.row = {}, nil
    assert.same({ nil, "it waits for its window" }, { work.process(run, held) })
    assert.equal("claimed failed-retrying", order())
  end)

  it("ends at once what is to be done at once, and is due by then", function()
    local e = entry { due = NOW + 500 }
    assert.is_true(work.process(run, e, true))
    assert.equal(NOW, run.writes[1].new.due)
    steps, run.row, client.clock_shift = {}, nil, -60
    assert.is_true(work.process(run, entry(), true))
    assert.equal(NOW - 10, run.writes[#run.writes - 2].new.due)
    -- Outside of its window, too; and nothing else is.
    local night = { weekdays = { "Fri" }, from = "04:00", to = "05:00", zone = "Z" }
    steps, run.row = {}, nil
    assert.is_true(work.process(run, entry {
      every = { seconds = 3600, first = NOW - 10, window = night } }, true))
    steps, run.row, client.clock_shift = {}, nil, 0
    work.process(run, entry { due = NOW + 500 })
    assert.same({ "claimed failed-retrying", NOW + 500 }, { order(), last().due })
  end)

  it("says that a cluster is gone, which only a person ends", function()
    function client.answer() return nil, "no", errors.new("NOT_FOUND", "no", {}) end
    local function message(cluster, why, err)
      client.show_cluster = function() return cluster, why, err end
      steps, run.row = {}, nil
      local _, text, problem = work.process(run, entry())
      assert.same({ "NOT_FOUND", false, false },
        { problem.code, problem.retryable, problem.maybe_applied }, text)
      return text
    end
    assert.matches("though the cluster is there (Available)", message { status = "Available" }, 1,
      true)
    assert.matches("though the cluster is there (in no phase)", message {}, 1, true)
    assert.matches("^the cluster is gone", message(nil, "m", failure "NOT_FOUND"))
    assert.matches("cannot be seen (m)", message(nil, "m", failure "TIMEOUT"), 1, true)
  end)

  it("sends nothing when its lease ends right before, and says so", function()
    function run.schedule.change(...)
      if #steps == 1 then session.seconds = 2 end
      return change(...)
    end
    local _, _, err = work.process(run, entry())
    assert.equal("LEASE_LOST", err.code)
    assert.equal("claimed sending failed-retrying", order())
  end)

  it("takes what is no error of ours for a mistake", function()
    for _, err in pairs { [1] = { code = "X" }, [2] = false } do
      function client.answer() return nil, "told", err or nil end
      steps, run.row = {}, nil
      local _, message, problem = work.process(run, entry())
      assert.same({ "told", "INTERNAL" }, { message, problem.code })
    end
  end)

  it("goes by the clock that is behind for what recurs alone", function()
    client.clock_shift = -5
    local every = { seconds = 3600, first = NOW - 10 }
    assert.is_true(work.process(run, entry { every = every }))
    assert.same({ NOW - 5, 5 }, { last().last_done, event("done").late })
    steps, run.row = {}, nil
    assert.is_true(work.process(run, entry()))
    assert.equal(NOW, last().ended)
    events, steps, run.row = {}, {}, nil
    work.process(run, entries.sending(entries.claimed(entry { every = every }, "r0"), NOW - 700))
    assert.is_true(event("done").resent)
  end)

  it("closes what was missed, under its lease, and goes on with the next", function()
    local e = entry { due = NOW - 3700, every = { seconds = 3600, first = NOW - 3700 } }
    e.attempts = 1
    assert.is_true(work.process(run, e))
    assert.equal("claimed claimed sending sent pending", order())
    assert.same({ session = session }, run.writes[2].guard)
    assert.same({ NOW - 100, 1 }, { event("missed").next_due, run.missed })
    answers, steps, run.row, events = { [2] = "LEASE_LOST" }, {}, nil, {}
    local _, _, err = work.process(run, e)
    assert.same({ "LEASE_LOST", "claimed claimed" }, { err.code, order() })
    assert.is_nil(event "missed")
  end)

  it("closes what its windows never let begin, under its lease and by both clocks", function()
    local function process()
      steps, run.row, events, run.missed = {}, nil, {}, 0
      local e = entry { kind = "rotate", due = NOW - 4 * 86400, options = { clusters = { "c1" },
        windows = "00:00-24:00", except = "2026-01-01/9999-12-31" } }
      return select(3, work.process(run, e))
    end
    process()
    assert.same({ "claimed cancelled", 1, true },
      { order(), run.missed, event "missed" ~= nil })
    assert.same({ session = session }, run.writes[#run.writes].guard)
    answers = { [2] = "LEASE_LOST" }
    assert.equal("LEASE_LOST", process().code)
    assert.same({ 0, nil }, { run.missed, event "missed" })
    -- By the API's clock they are still open.
    answers, session.lost, client.clock_shift = {}, nil, -3 * 86400
    assert.equal("INVALID_ARGUMENT", process().code)
    assert.same({ "claimed failed-retrying", 0 }, { order(), run.missed })
  end)

  it("says what is late, and with what it failed last", function()
    local e = entry { due = NOW - 61 }
    work.process(run, e)
    assert.same({ 61 }, { event("overdue").seconds, event("overdue").code })
    e.last_error = { code = "X", message = "m", at = NOW - 59 }
    steps, run.row, events = {}, nil, {}
    work.process(run, e)
    assert.same({ "X", "m" }, { event("overdue").code, event("overdue").message })
    e.last_error.at, steps, run.row, events = NOW, {}, nil, {}
    work.process(run, e)
    assert.is_nil(event "overdue")
  end)

  it("leaves alone what is over", function()
    local _, _, err = work.process(run, entries.cancelled(entry(), NOW))
    assert.same({ "CONFLICT", "" }, { err.code, order() })
  end)

  it("tells that the client sends again by itself", function()
    function client.answer(opts)
      opts.before_send()
      return true
    end
    assert.is_true(work.process(run, entry()))
    assert.equal(NOW, event("resent").first_intent)
    assert.is_nil(event("resent").may_have_cut_newer)
  end)

  it("does not hold for ever what a mistake of ours left", function()
    function client.answer() error "a mistake" end
    local _, message, err = work.process(run, entry())
    assert.equal("RAISED", err.code)
    assert.matches("a mistake", message)
    assert.equal("claimed sending sent failed-retrying", order())
    steps, run.row, client.answer = {}, nil, nil
    client.session = { refusal = function() error "another" end }
    _, _, err = work.process(run, entry())
    assert.equal("INTERNAL", err.code)
    assert.equal("claimed failed-retrying", order())
    run.lease.get = function() error "before the claim" end
    local function raises(what)
      local ok, raised = pcall(work.process, run, entry())
      assert.is_false(ok)
      assert.matches(what, raised)
    end
    raises "before the claim"
    run.lease.get = function() return session end
    run.schedule.change = function() error "at the claim" end
    raises "at the claim"
    run.schedule.change = change
    run.lease.get = function() return nil, "away", failure "STORE_UNAVAILABLE" end
    _, _, err = work.process(run, entry())
    assert.equal("STORE_UNAVAILABLE", err.code)
    assert.equal("awaytrue", trouble[1])
  end)

  it("leaves an entry as it is on disk when Ctrl-C comes in it", function()
    local function interrupt() error(protect.INTERRUPT, 0) end
    client.answer = interrupt
    assert.same({ false, protect.INTERRUPT }, { pcall(work.process, run, entry()) })
    assert.equal("claimed sending sent", order())
    local e = assert(entries.read(run.row))
    assert.same({ "sending", NOW, "r1" }, { e.state, e.first_intent, e.runner })
    assert.is_nil(e.last_error)
    steps, run.row, run.client_for = {}, nil, interrupt
    assert.same({ false, protect.INTERRUPT }, { pcall(work.process, run, entry()) })
    assert.equal("claimed", order())
    assert.is_nil(assert(entries.read(run.row)).first_intent)
    assert.same({}, events)
  end)

  it("puts aside what cannot be read, and says so unless another was faster", function()
    local answer
    run.store.update = function(_, id, revision, text, fields)
      assert.same({ "x", 3, "quarantined" }, { id, revision, fields.state })
      assert.is_string(text)
      return answer == nil, answer, answer and failure(answer)
    end
    for code, expected in pairs { [false] = { 1, 0 }, CONFLICT = { 0, 0 },
      STORE_UNAVAILABLE = { 1, 1 } } do
      answer, events, trouble = code or nil, {}, {}
      work.quarantine(run, { id = "x", text = "{", revision = 3 }, "why")
      assert.same(expected, { #events, #trouble })
      if events[1] then
        assert.same({ type = "quarantined", id = "x", message = "why" }, events[1])
      end
    end
  end)
end)
