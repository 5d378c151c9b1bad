-- What schedule:run promises, on a file, with clients and stores that fail as told.
local cce = require "cce"
local core = require "cce.core"
local entries = require "cce.schedule.entry"
local errors = require "cce.error"
local host = require "cce.host"
local hosts = require "spec.support.hosts"
local nginx = require "spec.support.peer.nginx"
local protect = require "cce.host.protect"
local runners = require "spec.support.runners"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

local QUICK = { base = 0.02, cap = 0.05, floor = 0.01 }
local IDLE = { until_idle = true, retry = QUICK }

describe("schedule:run", function()
  local schedule, dir, events

  -- As a run sleeps, but one that goes on and on fails: the longest has a third of its turns.
  local function sleep_by(sleep, most)
    local turns = 0
    function schedule.sleep(seconds)
      turns = turns + 1
      assert(turns < most, "the run does not end")
      sleep(seconds)
    end
  end

  before_each(function()
    schedule, dir = runners.sqlite()
    sleep_by(host.sleep, 400)
    events = runners.events()
  end)

  after_each(function()
    schedule:close()
    tempdir.remove(dir)
  end)

  local function add(due, user, more)
    local opts = { cluster_id = runners.cluster, user_id = user or "u1", project_id = "p1" }
    for name, value in pairs(more or {}) do opts[name] = value end
    return assert(schedule:revoke_at(core.sys.time() + (due or 0), opts))
  end

  local function run(client, opts)
    local all = { on_event = events.on_event }
    for name, value in pairs(opts or IDLE) do all[name] = value end
    local client_for = type(client) == "function" and client or function() return client end
    return schedule:run(client_for, all)
  end

  -- Time that passes as it sleeps, so many times as fast.
  local function hurry(factor)
    local time, sleep = runners.fast(factor)
    schedule:close()
    schedule = assert(cce.schedule.open("sqlite:" .. dir .. "/schedule.db", time))
    sleep_by(sleep, 2500)
    return time
  end

  local function state(id) return assert(schedule:get(id)).state end

  -- Another process that works at the same schedule, and what it has in hand.
  local function another(name, seconds)
    local other = assert(cce.schedule.open("sqlite:" .. dir .. "/schedule.db"))
    local session = assert(other.store:open_session(name, seconds or 30))
    return other, session
  end

  local function claim_as(other, session, id, first_intent)
    local e = assert(other:get(id))
    e = assert(other:change(e, assert(entries.claimed(e, session.runner)), { session = session }))
    if not first_intent then return e end
    return assert(other:change(e, assert(entries.sending(e, first_intent)), { session = session }))
  end

  -- ---- what is due ------------------------------------------------------------------------

  it("does what is due, and nothing else", function()
    local due, later, client = add(-1, "u1"), add(100, "u2"), runners.client()
    local result = assert(run(client))
    assert.same({ done = 1, failed = 0, pending = 1, overdue = 0 }, result)
    assert.same({ "done", "pending" }, { state(due), state(later) })
    assert.equal("u1", client.sent[1].user_id)
    local e = schedule:get(due)
    assert.equal("request-1", e.request_id)
    assert.is_true(e.first_intent <= e.ended and e.attempts == 1)
    assert.equal("done", events[1].type)
    assert.equal(due, events[1].id)
  end)

  it("does all of many pages, so many at a time", function()
    for i = 1, 60 do add(-1, "u" .. i) end
    local active, most = 0, 0
    local client = runners.client(function()
      active = active + 1
      most = math.max(most, active)
      cce.sleep(0.005)
      active = active - 1
      return true
    end)
    assert.equal(60, assert(run(client, { once = true, concurrency = 7 })).done)
    assert.equal(7, most)
  end)

  it("looks again at once after a pass that had work", function()
    local runner, client = require "cce.schedule.runner", runners.client()
    local made = runner.new(schedule, function() return client end,
      assert(runner.read_options({}, 1)))
    add(-1, "u1")
    assert(made:pass())
    add(-1, "u2")
    assert.equal(0, made:next_wait(2))
  end)

  it("once leaves what comes due meanwhile", function()
    add(-1, "u1")
    local client = runners.client(function() add(0, "u2") return true end)
    local result = assert(run(client, { once = true, concurrency = 1 }))
    assert.same({ 1, 1 }, { result.done, result.pending })
    assert.equal(1, #client.sent)
  end)

  it("until_idle does what comes due meanwhile", function()
    add(-1, "u1")
    local client = runners.client(function()
      if schedule:list { status = "pending" }[1] == nil and not events.added then
        events.added = add(0.05, "u2")
        cce.sleep(0.1)
      end
      return true
    end)
    assert.equal(2, assert(run(client)).done)
  end)

  it("goes on until stop says so, and is on time", function()
    local start = core.sys.time()
    add(0.3, "u1")
    local client = runners.client()
    local result = assert(run(client, { stop = function() return #client.sent > 0 end }))
    assert.equal("stop", result.stopped)
    local late = client.sent[1].at - start - 0.3
    assert.is_true(late >= 0 and late < 0.25, late)
  end)

  it("ends when on_event returns false", function()
    for i = 1, 5 do add(-1, "u" .. i) end
    local result = assert(run(runners.client(), { concurrency = 1,
      on_event = function() return false end }))
    assert.same({ "on_event", 1, 4, 4 },
      { result.stopped, result.done, result.pending, result.overdue })
  end)

  it("outlives an on_event that fails, and says so", function()
    add(-1)
    local stderr, told = io.stderr, {}
    io.stderr = { write = function(_, ...) told = { ... } end } -- luacheck: ignore 122
    local ok, result = pcall(run, runners.client(), { once = true,
      on_event = function() error("no\27", 0) end })
    io.stderr = stderr -- luacheck: ignore 122
    assert.is_true(ok)
    assert.equal(1, result.done)
    assert.equal("cce: on_event failed: no?\n", table.concat(told))
  end)

  it("raises at wrong use", function()
    local function raises(pattern, ...)
      local ok, message = pcall(schedule.run, schedule, ...)
      assert.is_false(ok)
      assert.matches(pattern, message)
    end
    raises("bad argument #1 to 'run' %(callable expected", nil)
    raises("unknown option 'onec'", function() end, { onec = true })
    raises("unknown option 'bsae'", function() end, { retry = { bsae = 1 } })
    local result, _, err = schedule:run(function() end, { lease = 1 })
    assert.is_nil(result)
    assert.equal("INVALID_ARGUMENT", err.code)
  end)

  it("takes no option that is beyond its limits", function()
    local WEEK = 7 * 86400
    local read_options = require("cce.schedule.runner").read_options
    for name, case in pairs { lease = { { 5, 600 }, { 4.9, 601 } }, keep = { { 0 }, { -1 } },
      concurrency = { { 1, 1000 }, { 0, 1001, 1.5 } }, journal_dir = { { "/j" }, { "" } },
      runner = { { "a", "7-_x", ("r"):rep(64) }, { "", "-a", "a b", "a.b", ("r"):rep(65) } },
      retry = { { { base = 0, mend_cap = WEEK } }, { { base = -1 }, { cap = WEEK + 1 } } } } do
      for _, value in ipairs(case[1]) do assert.is_table(read_options({ [name] = value }, 1)) end
      for _, value in ipairs(case[2]) do
        assert.equal("INVALID_ARGUMENT", (select(3, read_options({ [name] = value }, 1))).code)
      end
    end
    local all = read_options({}, 1)
    assert.same({ false, false, 15, 10, 30 * 86400 },
      { all.once, all.until_idle, all.lease, all.concurrency, all.keep })
  end)

  -- ---- clients ------------------------------------------------------------------------------

  local bad_clients = {
    ["raises"] = { function() error("no keys for this one", 0) end, "no keys for this one" },
    ["returns nil and why"] = { function() return nil, "nobody knows it" end, "nobody knows it" },
    ["returns nothing"] = { function() end, "no client" },
    ["returns something else"] = { function() return "client" end, "a string, not a client" },
    ["raises what cannot be shown"] = { function()
      error(setmetatable({}, { __tostring = function() error "no" end }))
    end, "what cannot be shown" },
    ["returns a client of another project"] = { function()
      local client = runners.client()
      client.config.project_id = "p2"
      return client
    end, "of project p2, but the entry is of p1" },
  }
  for what, case in pairs(bad_clients) do
    it("lets one entry fail when client_for " .. what, function()
      local id, other = add(-1, "u1"), add(-1, "u2")
      local client = runners.client()
      local result = assert(run(function(item)
        if item.user_id == "u1" then return case[1]() end
        return client
      end, { once = true }))
      assert.same({ 1, 1, 1 }, { result.done, result.failed, result.overdue })
      assert.same({ "failed-retrying", "done" }, { state(id), state(other) })
      local e = schedule:get(id)
      assert.equal("RAISED", e.last_error.code)
      assert.matches(case[2], e.last_error.message, 1, true)
      assert.is_nil(e.first_intent)
    end)
  end

  it("neither holds nor tries at once again an entry at which it fails itself", function()
    local id, other = add(-1, "u1"), add(-1, "u2")
    local client, bad = runners.client(), runners.client()
    bad.config = setmetatable({}, { __index = function() error "a mistake" end })
    local result = assert(run(function(item)
      return item.user_id == "u1" and bad or client
    end, { until_idle = true, retry = { mend_floor = 30 } }))
    assert.same({ 1, 1 }, { result.done, result.failed })
    assert.same({ "failed-retrying", "done" }, { state(id), state(other) })
    local e = schedule:get(id)
    assert.equal("INTERNAL", e.last_error.code)
    assert.matches("a mistake", e.last_error.message)
    assert.equal(1, e.attempts)
  end)

  it("leaves one entry at which it fails itself before it has it, and does the rest", function()
    local update = schedule.store.update
    for i, mistake in ipairs { "a\nmistake", ("x"):rep(600), setmetatable({}, {
      __tostring = function() return "an object" end }) } do
      local id, other = add(-1, "bad" .. i), add(-1, "good" .. i)
      function schedule.store.update(self, which, ...)
        if which == id then error(mistake, 0) end
        return update(self, which, ...)
      end
      local result = assert(run(runners.client(), { once = true }))
      assert.same({ 1, "pending", "done" }, { result.done, state(id), state(other) })
      local event = events.of "failed"[#events.of "failed"]
      assert.same({ id, "INTERNAL" }, { event.id, event.code })
      assert.equal(({ "a?mistake", ("x"):rep(500) .. "…", "an object" })[i], event.message)
      schedule.store.update = nil
      assert.is_true(schedule:cancel(id))
    end
  end)

  it("raises what a store raises that is asked for what is due, and goes on without it", function()
    local id = add(-1)
    function schedule.store.due()
      schedule.store.due = nil
      error("a mistake", 0)
    end
    assert.same({ false, "a mistake" }, { pcall(run, runners.client(), { once = true }) })
    assert.equal(1, assert(run(runners.client(), { once = true })).done)
    assert.equal("done", state(id))
  end)

  it("gives client_for a copy", function()
    local id = add(-1)
    local client = runners.client()
    run(function(item)
      item.cluster_id = "another"
      return client
    end)
    assert.equal(runners.cluster, client.sent[1].cluster_id)
    assert.equal(runners.cluster, schedule:get(id).cluster_id)
  end)

  -- ---- failures -----------------------------------------------------------------------------

  local function failing(err, times)
    local left = times or 1e9
    return runners.client(function()
      left = left - 1
      if left < 0 then return true end
      return nil, err.message, err
    end)
  end

  it("tries again until it works", function()
    local id = add(-1)
    local client = failing(errors.new("SERVER_ERROR", "503", { retryable = true }), 5)
    run(client, { retry = QUICK, stop = function() return #events.of "done" > 0 end })
    assert.equal("done", state(id))
    assert.same({ 6, 5 }, { #client.sent, #events.of "failed" })
    assert.equal(6, schedule:get(id).attempts)
    -- It may have worked the first time.
    assert.equal(5, #events.of "resent")
    assert.equal(schedule:get(id).first_intent, events.of "done"[1].first_intent)
  end)

  it("keeps what went wrong, and when it is tried again", function()
    local id = add(-1)
    local err = errors.new("PERMISSION_DENIED", "403", { retryable = false, request_id = "r1" })
    local now = core.sys.time()
    run(failing(err), { once = true })
    local e = schedule:get(id)
    assert.same({ "PERMISSION_DENIED", "403", "r1" },
      { e.last_error.code, e.last_error.message, e.last_error.request_id })
    assert.is_true(e.next_try >= now + 30 and e.next_try <= now + 61)
    assert.equal(e.next_try, events.of "failed"[1].next_try)
  end)

  it("does not try wrong keys for every entry: that would lock them", function()
    local sim = simulator.get()
    sim:reset()
    for i = 1, 20 do add(-1, "u" .. i, { project_id = sim.project_id }) end
    local client = hosts.client(sim, { credentials = { ak = simulator.member.ak,
      sk = "example-wrong" } })
    local result = assert(run(client, { once = true, concurrency = 4 }))
    assert.same({ 0, 20 }, { result.done, result.failed })
    assert.is_true(#sim:log() <= 3, #sim:log())
    client:close()
  end)

  it("waits for the end of a throttling window", function()
    local id = add(-1)
    local now = core.sys.time()
    run(failing(errors.new("THROTTLED", "429", { retryable = true, retry_after = 240 })),
      { once = true })
    local next_try = schedule:get(id).next_try
    assert.is_true(next_try >= now + 240 and next_try <= now + 250)
  end)

  it("tells what is overdue, at growing intervals", function()
    local now, tries = core.sys.time(), 0
    schedule.clock = function() return now end
    sleep_by(function() host.sleep(0) end, 2500)
    add(0)
    local client = failing(errors.new("SERVER_ERROR", "503", { retryable = true }))
    for _ = 1, 28 do
      now, tries = now + 15 + (now - core.sys.time()) * 0.2, tries + 1
      run(client, { once = true, retry = QUICK })
    end
    assert.equal(tries, #events.of "failed")
    local told = events.of "overdue"
    assert.is_true(#told >= 6 and #told <= 10, #told)
    assert.equal("SERVER_ERROR", told[1].code)
    for i = 3, #told do
      assert.is_true(told[i].seconds - told[i - 1].seconds > told[i - 1].seconds * 0.4)
    end
  end)

  -- ---- nothing early --------------------------------------------------------------------------

  it("sends nothing early when the clock is set back after the claim", function()
    local id, client, now = add(-1), runners.client(), core.sys.time()
    local result = assert(run(function()
      schedule.clock = function() return now - 3600 end
      return client
    end, { once = true }))
    assert.equal(0, result.done)
    assert.equal(0, #client.sent)
    local e = schedule:get(id)
    assert.equal("CLOCK_SKEW", e.last_error.code)
    assert.equal(e.due, e.next_try)
  end)

  it("sends nothing early when the clock is set back right before the request", function()
    local id, client, now = add(-1), runners.client(), core.sys.time()
    local revoke = client.revoke_cert
    client.revoke_cert = function(...)
      schedule.clock = function() return now - 3600 end
      return revoke(...)
    end
    assert.equal(0, assert(run(client, { once = true })).done)
    assert.equal(0, #client.sent)
    assert.equal("failed-retrying", state(id))
  end)

  it("sends nothing early by the clock of the API", function()
    local sim = simulator.get()
    sim:reset()
    sim:clock(-3600)
    local id = add(-1, "u1", { cluster_id = sim.clusters[1].id, project_id = sim.project_id })
    local client = hosts.client(sim)
    assert.equal(0, assert(run(client, { once = true })).done)
    assert.same({}, sim:log { operation = "revoke_cert", accepted = true })
    local e = schedule:get(id)
    assert.is_true(math.abs(e.next_try - e.due - 3600) < 5)
    -- The client knows now: it is not even tried.
    assert(schedule:retry(id))
    local seen = #sim:log { operation = "revoke_cert" }
    assert.equal(0, assert(run(client, { once = true })).done)
    assert.equal(seen, #sim:log { operation = "revoke_cert" })
    sim:clock(0)
    client.clock_shift = 0
    assert(schedule:retry(id))
    assert.equal(1, assert(run(client, { once = true })).done)
    client:close()
    sim:reset()
  end)

  -- ---- what cannot be read ------------------------------------------------------------------

  it("puts aside what it cannot read, and does the rest", function()
    local hostile = {
      "", "{", "null", "[]", '{"v":1}', ("x"):rep(300000), '{"v":99,"id":"0000000000000001"}',
      '{"v":1,"id":"../../x","kind":"revoke","state":"pending","cluster_id":"\27[2J"}',
    }
    local now = core.sys.time()
    for i, text in ipairs(hostile) do
      assert(schedule.store:insert(("%016d"):format(i), text,
        { state = "pending", due = now - 50 }))
    end
    assert(schedule.store:insert("../etc/passwd", "{}", { state = "pending", due = now - 50 }))
    local id = add(-1)
    local result = assert(run(runners.client()))
    assert.same({ 1, 0, 0 }, { result.done, result.failed, result.overdue })
    assert.equal(#hostile + 1, result.quarantined)
    assert.matches(("%d in quarantine"):format(#hostile + 1), tostring(result), 1, true)
    assert.equal("done", state(id))
    assert.equal(#hostile + 1, #events.of "quarantined")
    assert.equal(#hostile + 1, schedule.store:count "quarantined")
    for _, event in ipairs(events.of "quarantined") do
      assert.is_nil((event.id .. event.message):find "%c")
    end
  end)

  -- ---- the dead and the living ----------------------------------------------------------------

  it("takes over what a dead runner had claimed", function()
    local id = add(-1)
    local other, session = another "gone"
    claim_as(other, session, id)
    session:close()
    local client = runners.client()
    assert.equal(1, assert(run(client)).done)
    assert.same({}, events.of "resent")
    other:close()
  end)

  it("takes over however much a dead runner had claimed", function()
    local other, session = another "gone"
    for i = 1, 101 do claim_as(other, session, add(-1, "u" .. i)) end
    session:close()
    other:close()
    assert.equal(101, assert(run(runners.client(), { once = true })).done)
  end)

  for _, case in ipairs { { 30, nil }, { 700, true } } do
    it(("tells that it sends again what a dead runner meant to send %d s ago"):format(case[1]),
      function()
        local id = add(-1000)
        local other, session = another "gone"
        local first = core.sys.time() - case[1]
        claim_as(other, session, id, first)
        session:close()
        assert.equal(1, assert(run(runners.client())).done)
        local resent, done = events.of "resent"[1], events.of "done"[1]
        assert.equal(first, resent.first_intent)
        assert.equal(case[2], resent.may_have_cut_newer)
        assert.equal(case[2], done.may_have_cut_newer)
        assert.is_true(done.resent)
        assert.equal(first, schedule:get(id).first_intent)
        other:close()
      end)
  end

  it("does not touch what a living runner has, and waits for it", function()
    local id = add(-1)
    local other, session = another "alive"
    claim_as(other, session, id, core.sys.time())
    local client, looks = runners.client(), 0
    local result = assert(run(client, { once = true }))
    assert.same({ 0, 0 }, { result.done, #client.sent })
    result = assert(run(client, { until_idle = true, stop = function()
      looks = looks + 1
      if looks == 5 then session:close() end
      return false
    end }))
    assert.is_true(looks >= 5)
    assert.equal(1, result.done)
    other:close()
  end)

  it("sends nothing once its lease is lost, and goes on with another", function()
    local id = add(-1)
    local client, calls = runners.client(), 0
    local result = assert(run(function()
      calls = calls + 1
      if calls == 1 then
        -- As the end of the lease does.
        for _, row in ipairs(schedule.store:held(nil, 10)) do
          assert.equal(id, row.id)
          schedule.store:open_session(row.runner, 1)
        end
        local store = schedule.store
        local held = store:held(nil, 1)[1]
        store.connection:execute(("DELETE FROM sessions WHERE runner = '%s'"):format(held.runner))
      end
      return client
    end))
    assert.equal(1, result.done)
    assert.equal(1, #client.sent)
    assert.equal(2, calls)
    assert.equal(1, #events.of "lease_lost")
  end)

  it("gives a request what is left of the lease but two seconds", function()
    add(-1)
    local client = runners.client()
    assert(run(client, { once = true, lease = 600 }))
    local seconds = client.sent[1].seconds
    assert.is_true(seconds <= 598 and seconds > 0, seconds)
  end)

  it("sends nothing when less is left", function()
    local time = { steady = 1000 }
    schedule.steady = function() return time.steady end
    schedule.store.steady = schedule.steady
    local id, client = add(-1), runners.client()
    assert(run(function()
      time.steady = time.steady + 13.5
      return client
    end, { once = true, lease = 15 }))
    assert.equal(0, #client.sent)
    assert.equal("LEASE_LOST", schedule:get(id).last_error.code)
  end)

  it("renews its lease during a long call", function()
    local time = hurry(10)
    local id = add(-1)
    local client = runners.client(function()
      local ends = time.steady() + 50
      while time.steady() < ends do host.sleep(0.001) end
      local row = schedule.store:held(nil, 1)[1]
      assert.equal(id, row.id)
      assert.is_true(schedule.store:alive(row.runner))
      return true
    end)
    assert.equal(1, assert(run(client, { once = true, lease = 15 })).done)
    assert.same({}, events.of "lease_lost")
  end)

  it("looks for more twice a second while something is at work", function()
    local time = hurry(1)
    add(-1)
    local asked, due = 0, schedule.store.due
    function schedule.store.due(...)
      asked = asked + 1
      return due(...)
    end
    local client = runners.client(function()
      local ends = time.steady() + 5
      while time.steady() < ends do host.sleep(0.001) end
      return true
    end)
    assert.equal(1, assert(run(client)).done)
    assert.is_true(asked >= 5 and asked <= 15, asked)
  end)

  -- A function that tells how often an entry was claimed; `delay` runs before each change.
  local function counting_claims(delay)
    local claims, update = 0, schedule.store.update
    function schedule.store.update(self, id, revision, text, fields, guard)
      if fields.state == "claimed" then claims = claims + 1 end
      delay()
      return update(self, id, revision, text, fields, guard)
    end
    return function() return claims end
  end

  it("has an entry in hand once, however long its claim takes", function()
    local time = hurry(10)
    add(-1)
    local claims = counting_claims(function()
      local ends = time.steady() + 2
      while time.steady() < ends do host.sleep(0.001) end
    end)
    local client = runners.client()
    assert.equal(1, assert(run(client, { until_idle = true, concurrency = 2, lease = 600 })).done)
    assert.same({ 1, 1 }, { claims(), #client.sent })
  end)

  it("claims nothing more once it is stopped", function()
    for i = 1, 3 do add(-1, "u" .. i) end
    local client, claims = runners.client(), counting_claims(function() end)
    assert(run(client, { concurrency = 1, stop = function() return #client.sent > 0 end }))
    assert.same({ 1, 1 }, { claims(), #client.sent })
  end)

  it("gives back what it had claimed when it is stopped", function()
    for i = 1, 6 do add(-1, "u" .. i) end
    local client, stopping = runners.client(), false
    local result = assert(run(function()
      stopping = true
      cce.sleep(0.15)
      return client
    end, { concurrency = 3, stop = function() return stopping end }))
    assert.equal(0, #client.sent)
    assert.equal("stop", result.stopped)
    assert.equal(0, #schedule.store:held(nil, 10))
    local rows = schedule.store.connection:execute "SELECT count(*) FROM sessions"
    assert.equal(0, tonumber((rows:fetch())))
    rows:close()
  end)

  for _, signal in ipairs { "SIGINT", "SIGTERM" } do
    it("ends in order at " .. signal, function()
      local sim = simulator.get()
      local log = dir .. "/events"
      local child = runners.child(sim, { where = "sqlite:" .. dir .. "/schedule.db", log = log,
        name = "child" })
      nginx.wait_for("its start", function() return #runners.logged(log) > 0 end, 120)
      core.sys.sleep(0.1)
      child.process:signal(signal)
      local code, output = child:finish()
      assert.equal(0, code, output)
      assert.equal(signal, core.json.decode(output).stopped)
    end)
  end

  -- ---- a store that fails ---------------------------------------------------------------------

  it("once returns nil when the store cannot be reached, whatever it is asked", function()
    local other, session = another "alive"
    claim_as(other, session, add(-1))
    for _, name in ipairs { "held", "alive", "due", "prune", "count" } do
      add(-1)
      events = runners.events()
      local store = runners.break_store(schedule, function(asked)
        return asked == name and "before" or nil
      end)
      local result, message, err = run(runners.client(), { once = true })
      schedule.store = store
      assert.is_nil(result, name)
      assert.equal(message, err.message)
      assert.equal("STORE_UNAVAILABLE", err.code)
      assert.equal(name ~= "count" and 1 or 0, #events.of "store_unavailable")
    end
    other:close()
  end)

  it("tells what it did although it cannot count what is left", function()
    runners.break_store(schedule, function(name) return name == "count" and "before" or nil end)
    local result = assert(run(runners.client()))
    assert.same({ done = 0, err = result.err }, result)
    assert.equal("STORE_UNAVAILABLE", result.err.code)
    assert.matches("^schedule: 0 done", tostring(result))
  end)

  it("ends at a failure that stays, unless it has worked before", function()
    for failing_look, expected in ipairs { { nil, "FILE_ERROR" }, { "stop", nil } } do
      hurry(50)
      local looks, held = 0, schedule.store.held
      function schedule.store.held(...)
        looks = looks + 1
        if looks ~= failing_look then return held(...) end
        return errors.fail("FILE_ERROR", "the spec damages it", { retryable = false })
      end
      local result, _, err = run(runners.client(), { stop = function() return looks == 3 end })
      assert.same(expected, { result and result.stopped, err and err.code })
    end
  end)

  for _, when in ipairs { "it waits", "it sends" } do
    it("ends when its file is replaced while " .. when .. ", to be started again", function()
      hurry(50)
      local path = dir .. "/schedule.db"
      local id = add(when == "it sends" and -1 or 3600)
      local function replace()
        tempdir.check(("cp %s %s.new && mv %s.new %s"):format(path, path, path, path))
      end
      local client = runners.client(function()
        replace()
        return true
      end)
      local looks = 0
      local result, message, err = run(client, { lease = 5, on_look = function()
        looks = looks + 1
        if looks == 2 then replace() end
      end })
      assert.is_nil(result)
      assert.equal("STORE_UNAVAILABLE", err.code)
      assert.matches("the file was replaced while it was open", message, 1, true)
      assert.is_true(#events.of "store_unavailable" > 0)
      assert.equal(when == "it sends" and 1 or 0, #client.sent)
      -- What is there now still knows of it.
      schedule:close()
      schedule = assert(cce.schedule.open("sqlite:" .. path))
      assert.not_equal("done", state(id))
    end)
  end

  it("goes on after an hour without its store, and sends once", function()
    local time = hurry(50)
    local id = add(-1)
    local start, asked = time.clock(), 0
    runners.break_store(schedule, function()
      if time.clock() < start + 3600 then
        asked = asked + 1
        return "before"
      end
    end)
    local client = runners.client()
    local result = assert(run(client, { until_idle = true, lease = 600 }))
    assert.same({ 1, 1 }, { result.done, #client.sent })
    assert.equal("done", state(id))
    assert.is_true(asked > 50 and asked < 1000, asked)
    local told = #events.of "store_unavailable"
    assert.is_true(told > 3 and told < 40, told)
    assert.equal(1, #events.of "store_available")
  end)

  for _, when in ipairs { "before", "after" } do
    for _, wanted in ipairs { "claimed", "sending", "done" } do
      it(("sends once when a write of %s fails %s it is made"):format(wanted, when), function()
        local id, client, failures = add(-1), runners.client(), 0
        runners.break_store(schedule, function(name, _, _, _, fields)
          if name ~= "update" or fields.state ~= wanted or failures == 3 then return nil end
          failures = failures + 1
          return when
        end)
        sleep_by(function() host.sleep(0.001) end, 2500)
        local result = assert(run(client))
        assert.same({ 1, 1 }, { result.done, #client.sent })
        assert.equal("done", state(id))
        assert.equal(1, schedule:get(id).attempts)
        assert.is_true(failures > 0)
        assert.same({}, events.of "superseded")
      end)
    end
  end

  it("says once that it cannot write, although it can read", function()
    local id, room = add(-1), false
    runners.break_store(schedule, function(name)
      return name == "update" and not room and "before" or nil
    end)
    local client, till = runners.client(), core.sys.monotonic() + 1.2
    local result = assert(run(client, { until_idle = true, stop = function()
      room = core.sys.monotonic() > till
      return false
    end }))
    assert.same({ 1, "done" }, { result.done, state(id) })
    assert.equal(1, #events.of "store_available")
    assert.is_true(#events.of "store_unavailable" <= 2)
    assert.equal(1, #client.sent)
  end)

  it("keeps an outcome longer than its lease lasts", function()
    local time = hurry(200)
    local id, client, away_till = add(-1), runners.client(), nil
    runners.break_store(schedule, function(name, _, _, _, fields)
      if name == "update" and fields.state == "done" then
        away_till = away_till or time.steady() + 60
      end
      return away_till and time.steady() < away_till and "before" or nil
    end)
    local result = assert(run(client))
    assert.same({ 1, 1 }, { result.done, #client.sent })
    assert.equal("done", state(id))
  end)

  -- ---- cancelling -----------------------------------------------------------------------------

  it("is told when somebody cancelled what it had claimed", function()
    local id, client = add(-1), runners.client()
    local result = assert(run(function()
      assert(schedule:cancel(id))
      return client
    end))
    assert.same({ 0, 0 }, { result.done, #client.sent })
    assert.equal("cancelled", state(id))
    assert.equal("cancelled", events.of "superseded"[1].state)
  end)

  it("refuses to cancel what is being sent", function()
    local id = add(-1)
    local ok, message, err
    assert(run(runners.client(function()
      ok, message, err = schedule:cancel(id)
      return true
    end)))
    assert.is_nil(ok)
    assert.equal("CONFLICT", err.code)
    assert.matches("is being sent", message)
    assert.equal("done", state(id))
  end)

  -- ---- the rest -------------------------------------------------------------------------------

  it("removes what was over long ago", function()
    local id = add(-1)
    assert(run(runners.client(), { once = true }))
    assert(run(runners.client(), { once = true, keep = 1000 }))
    assert.equal("done", state(id))
    assert(run(runners.client(), { once = true, keep = 0 }))
    local gone, _, err = schedule:get(id)
    assert.is_nil(gone)
    assert.equal("NOT_FOUND", err.code)
  end)

  it("does one entry before its time when it is told to", function()
    local run_one = require("cce.schedule.runner").run_one
    local id, client = add(1000), runners.client()
    assert.is_true(run_one(schedule, assert(schedule:get(id)), client))
    assert.same({ "done", 1 }, { state(id), #client.sent })
    local ok, _, err = run_one(schedule, assert(schedule:get(id)), client)
    assert.is_nil(ok)
    assert.equal("CONFLICT", err.code)
    assert.equal(1, #client.sent)
  end)

  it("leaves one entry that fails to who runs the schedule", function()
    local run_one = require("cce.schedule.runner").run_one
    local id = add(1000)
    local client = failing(errors.new("SERVER_ERROR", "503", { retryable = true }), 1)
    local ok, message, err = run_one(schedule, assert(schedule:get(id)), client,
      { retry = QUICK })
    assert.is_nil(ok)
    assert.same({ "503", "SERVER_ERROR" }, { message, err.code })
    run(client, { retry = QUICK, stop = function() return #events.of "done" > 0 end })
    assert.equal("done", state(id))
  end)

  it("does not run where nothing can wait", function()
    local id, driver = add(-1), host.current()
    local check = driver.check
    finally(function() driver.check = check end)
    function driver.check() return false, "not in this phase" end
    local none, message, err = run(runners.client())
    assert.same({ nil, "run: not in this phase", "UNSUPPORTED" }, { none, message, err.code })
    assert.equal("pending", state(id))
  end)

  it("yields to an event loop", function()
    for i = 1, 5 do add(-1, "u" .. i) end
    local loop = require("spec.support.select_loop").new()
    local client, result, turns = runners.client(function()
      cce.sleep(0.02)
      return true
    end), nil, 0
    cce.use_loop(loop.functions)
    loop.functions.spawn(function() result = assert(run(client)) end)
    local function again()
      turns = turns + 1
      if not result then loop.functions.after(0.005, again) end
    end
    again()
    local ok, problem = pcall(loop.run)
    cce.use_loop(nil)
    assert.is_true(ok, problem)
    assert.equal(5, result.done)
    assert.is_true(turns > 2, turns)
  end)

  local function interrupt() error(protect.INTERRUPT, 0) end

  -- Where Ctrl-C comes, and what the entry is then: as it was on disk.
  local interrupted = {
    { "an entry", client = runners.client(interrupt), state = "sending" },
    { "client_for", client = interrupt, state = "claimed" },
    { "on_event", client = runners.client(), on_event = interrupt, state = "done" },
  }
  for _, case in ipairs(interrupted) do
    for _, driver in ipairs { "a script", "an event loop" } do
      it(("ends by Ctrl-C in %s, in %s, and tells no lie"):format(case[1], driver), function()
        local first, second = add(-2, "u1"), add(-1, "u2")
        local outcome
        local function act()
          outcome = { protect.pcall(run, case.client,
            { concurrency = 1, once = true, on_event = case.on_event }) }
        end
        if driver == "a script" then
          act()
        else
          local loop = require("spec.support.select_loop").new()
          cce.use_loop(loop.functions)
          loop.functions.spawn(act)
          local ok, problem = pcall(loop.run)
          cce.use_loop(nil)
          assert.is_true(ok, problem)
        end
        assert.same({ false, protect.INTERRUPT }, outcome)
        assert.same({ case.state, "pending" }, { state(first), state(second) })
        assert.is_nil(schedule:get(first).last_error)
        -- A request may be under way as long as the lease lasts.
        assert.equal(1, assert(run(runners.client(), { once = true })).done)
        assert.same({ case.state, "done" }, { state(first), state(second) })
      end)
    end
  end

  it("gives the signals back at its end, also by Ctrl-C", function()
    local signals, taken, closed = core.sys.signals, {}, 0
    finally(function() core.sys.signals = signals end)
    function core.sys.signals(...)
      taken[#taken + 1] = table.concat({ ... }, " ")
      return { wait = function() end, close = function() closed = closed + 1 end }
    end
    assert(run(runners.client(), { once = true }))
    assert.same({ { "SIGINT SIGTERM" }, 1 }, { taken, closed })
    add(-1)
    assert.is_false((protect.pcall(run, runners.client(interrupt), { once = true })))
    assert.same({ 2, 2 }, { #taken, closed })
  end)

  it("works inside cce.map", function()
    for i = 1, 5 do add(-1, "u" .. i) end
    local client = runners.client(function() cce.sleep(0.01) return true end)
    local results = cce.map({ 1, 2 }, function() return run(client) end)
    assert.is_true(results[1].ok and results[2].ok, results[1].message)
    assert.equal(5, results[1].value.done + results[2].value.done)
    assert.equal(5, #client.sent)
  end)
end)

-- With a store and a clock that do as told.
describe("a run of a schedule", function()
  local run, store, now, told

  before_each(function()
    local runner = require "cce.schedule.runner"
    store, now, told = {}, 1000, {}
    local function time() return now end
    run = runner.new({ store = store, steady = time, clock = time }, function() end,
      assert(runner.read_options({ on_event = function(event) told[#told + 1] = event end }, 1)))
  end)

  local function away() return nil, "away", errors.new("STORE_UNAVAILABLE", "away", {}) end

  it("sleeps until the next entry is due, and no longer than it may", function()
    for _, case in ipairs { { 1000.5, 0.5 }, { 1005, 2 }, { false, 2 }, { 1000, 0.5 },
      { 999, 0.5 }, { 999, 0, true }, { 1000, 0, true }, { 1001, 1, true } } do
      function store.next_due() return case[1] end
      run.was_busy = case[3]
      assert.equal(case[2], run:next_wait(2))
    end
    store.next_due = away
    assert.equal("STORE_UNAVAILABLE", (select(3, run:next_wait(2))).code)
  end)

  it("removes what is over every ten minutes, and sooner when there is more", function()
    local asked, count = {}, 199
    function store.prune(_, before, limit)
      asked[#asked + 1] = now
      assert.same({ now - 30 * 86400, 200 }, { before, limit })
      if not count then return away() end
      return count
    end
    local function walk(steps)
      for _ = 1, steps do
        run:prune()
        now = now + 1
      end
    end
    walk(601)
    assert.same({ 1000, 1600 }, asked)
    count, now = 200, 2200
    walk(6)
    assert.same({ 1000, 1600, 2200, 2205 }, asked)
    count, now = nil, 2210
    assert.equal("STORE_UNAVAILABLE", (select(3, run:prune())).code)
    -- Asked again at once.
    count = 0
    assert.is_true(run:prune())
    assert.same({ 2210, 2210 }, { asked[5], asked[6] })
  end)

  it("tells of a store that is away at growing intervals, and once when it is back", function()
    local err = errors.new("FILE_ERROR", "m", {})
    local function fail(is_write) run:store_failed("m", err, is_write) end
    for _ = 0, 1000 do
      fail()
      now = now + 1
    end
    local times = {}
    for i, event in ipairs(told) do times[i] = event.at - 1000 end
    assert.same({ 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 812 }, times)
    assert.same({ type = "store_unavailable", at = 1812, code = "FILE_ERROR", message = "m",
      seconds = 812 }, told[#told])
    told = {}
    run:store_worked()
    run:store_worked()
    assert.same({ { type = "store_available", at = now, seconds = 1001 } }, told)
    -- One that can be read does not work yet.
    told = {}
    fail(true)
    fail()
    run:store_worked()
    assert.equal(1, #told)
    run:store_worked(true)
    assert.equal("store_available", told[2].type)
  end)

  it("stops once: by its option, a signal or its caller", function()
    local asked, signal = false, nil
    run.stop_asked = function() return asked end
    run.signals = { wait = function(_, seconds)
      assert.equal(0, seconds)
      return signal
    end }
    assert.same({ false, false }, { run:must_stop(), run:must_end() })
    signal = "SIGTERM"
    assert.is_true(run:must_stop())
    asked = true
    assert.is_true(run:must_stop())
    run:stop "later"
    assert.same({ "SIGTERM", true }, { run.stopped, run:must_end() })
    run.stopped, run.once = nil, true
    assert.is_true(run:must_end())
    assert.is_true(run:must_stop())
    assert.equal("stop", run.stopped)
  end)

  it("has work while a worker or a lease is left", function()
    for workers, session in pairs { [0] = false, [1] = {} } do
      run.workers, run.lease.session = workers, nil
      assert.equal(workers > 0, run:has_work())
      run.workers, run.lease.session = 0, session or nil
      assert.equal(workers > 0, run:has_work())
    end
  end)
end)
