-- Rotations that recur: each time a run with a journal of its own, and no cluster twice.
local cce = require "cce"
local core = require "cce.core"
local entries = require "cce.schedule.entry"
local hosts = require "spec.support.hosts"
local run_journals = require "cce.log.journal"
local rotation = require "cce.schedule.runner.rotation"
local rotations = require "spec.support.shared.rotations"
local runners = require "spec.support.runners"
local runs = require "cce.workflow.runs"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

local unpack = table.unpack or unpack -- luacheck: ignore

local sys = core.sys
local HOUR = 3600

describe("a rotation that recurs", function()
  local sim, schedule, dir, client, events

  before_each(function()
    sim = simulator.get()
    sim:reset()
    schedule, dir = runners.sqlite()
    client, events = hosts.client(sim), runners.events()
  end)

  after_each(function()
    client:close()
    schedule:close()
    tempdir.remove(dir)
    sim:reset()
  end)

  local function add(more)
    local opts = { clusters = { name = "*" }, rate_limit = false, first = sys.time() - 10,
      wait = { interval = 0.02, timeout = 20 } }
    for name, value in pairs(more or {}) do opts[name] = value end
    return assert(schedule:rotate_every("1h", opts))
  end

  local function run(more)
    local opts = { once = true, journal_dir = dir, on_event = events.on_event,
      retry = { base = 0.02, cap = 0.05, floor = 0.01, mend_base = 0.02, mend_cap = 0.05,
        mend_floor = 0.01 } }
    for name, value in pairs(more or {}) do opts[name] = value end
    return assert(schedule:run(function() return client end, opts))
  end

  local function journals()
    local list = {}
    for _, name in ipairs(tempdir.list(dir)) do
      if name:find "journal$" then list[#list + 1] = name end
    end
    return list
  end

  local function accepted_once()
    local counts, clusters = rotations.accepted(sim)
    assert.equal(#sim.clusters, clusters)
    for id, count in pairs(counts) do assert.equal(1, count, id) end
  end

  it("has an end where its windows never open again, and is not done once more", function()
    local closes = os.date("!%Y-%m-%dT%H:%M", math.floor(sys.time() + 2 * HOUR))
    local id = assert(schedule:rotate_every("1d", { clusters = { name = "*" }, rate_limit = false,
      first = sys.time() - 10, wait = { interval = 0.02, timeout = 20 },
      except = closes .. "/9999-12-31" }))
    assert.equal(1, run().done)
    assert.equal(0, run().done)
    accepted_once()
    local e = schedule:get(id)
    assert.equal("done", e.state, e.why)
    assert.is_number(e.ended)
  end)

  it("waits for a runner that knows its zone, where TZ names an unknown one", function()
    local more = { windows = "mon,tue,wed,thu,fri,sat,sun 00:00-24:00", zone = "local" }
    local id, getenv = add(more), os.getenv
    finally(function() os.getenv = getenv end) -- luacheck: ignore
    os.getenv = function(name) -- luacheck: ignore
      return name == "TZ" and "Nowhere/City" or getenv(name)
    end
    assert.equal(0, run().done)
    assert.same({}, sim:log { operation = "rotate_credentials" })
    local e = schedule:get(id)
    assert.same({ "failed-retrying", "INVALID_ARGUMENT" }, { e.state, e.last_error.code }, e.why)
    assert.matches("TZ is Nowhere/City", e.last_error.message, 1, true)
    more.clusters = { name = "*" }
    local added, message = schedule:rotate_every("1h", more)
    assert.is_nil(added)
    assert.matches("TZ is Nowhere/City", message, 1, true)
    os.getenv = getenv -- luacheck: ignore
    local done, tries = 0, 0
    while done == 0 and tries < 1000 do done, tries = run().done, tries + 1 end
    assert.equal(1, done)
    accepted_once()
  end)

  it("is missed where its windows closed for ever before it was begun, and ends", function()
    local now = math.floor(sys.time())
    local more = { except = os.date("!%Y-%m-%dT%H:%M", now - 2 * HOUR) .. "/9999-12-31",
      first = now - 3 * HOUR }
    local ids = { add(more), assert(schedule:rotate_at(more.first, { clusters = { name = "*" },
      except = more.except })) }
    local result = run()
    assert.same({ 0, 0, 2 }, { result.done, result.overdue, result.missed })
    assert.same({}, sim:log { operation = "rotate_credentials" })
    assert.equal(2, #events.of "missed")
    for i, id in ipairs(ids) do
      local e = schedule:get(id)
      assert.same({ "cancelled", "CANCELLED" }, { e.state, e.last_error.code }, e.why)
      assert.matches("its windows never open again", e.last_error.message, 1, true)
      assert.matches("its windows never open again", events.of "missed"[i].message, 1, true)
    end
    assert.is_nil(run().missed)
  end)

  it("says who may end it where its windows closed for ever before all was begun", function()
    local now = math.floor(sys.time())
    local id = add { concurrency = 1, first = now - 3 * HOUR,
      except = os.date("!%Y-%m-%dT%H:%M", now + HOUR) .. "/9999-12-31" }
    local ahead, rotate = 0, client.rotate_credentials
    rawset(client, "clock", function() return sys.time() + ahead end)
    schedule.clock = function() return sys.time() + ahead end
    client.rotate_credentials = function(...)
      local job, message, err = rotate(...)
      ahead = 2 * HOUR
      return job, message, err
    end
    assert.equal(0, run().done)
    local told = events.of "failed"[1]
    assert.matches("4 pending; nothing is begun outside of its windows", told.message, 1, true)
    local overdue = events.of "overdue"
    for _, each in ipairs { told, overdue[#overdue] } do
      assert.equal(("schedule:accept(\"%s\") leaves it at that"):format(id), each.hint)
    end
    client.rotate_credentials = nil
    assert(schedule:accept(id))
    assert.equal("done", schedule:get(id).state)
  end)

  it("is done once however often it was missed, with a journal, and is due again", function()
    local id = add { first = sys.time() - 100 * HOUR - 60 }
    assert.equal(1, run().done)
    accepted_once()
    local e = schedule:get(id)
    assert.equal("pending", e.state)
    assert.is_true(e.due > sys.time() and e.due <= sys.time() + HOUR)
    assert.is_nil(e.begun)
    assert.equal(1, #journals())
    local info = core.file.stat(dir .. "/" .. journals()[1])
    assert.equal("0600", info.mode)
    local rotated = events.of "rotated"[1]
    assert.same({ 5, 0, 0, 0 },
      { rotated.ok, rotated.failed, rotated.skipped, rotated.uncertain })
    assert.matches("5 ok", rotated.report)
    assert.equal(0, run().done)
  end)

  it("that is to be done once is over then", function()
    local id = assert(schedule:rotate_at(sys.time() - 1, { clusters = { name = "*" }, canary = 1,
      rate_limit = false, wait = { interval = 0.02, timeout = 20 } }))
    assert.equal(1, run().done)
    accepted_once()
    assert.equal("done", schedule:get(id).state)
    assert.equal(0, run().done)
  end)

  it("begins nothing outside of its windows, and goes on in the next", function()
    local id = add { windows = "00:00-24:00", except = "2000-01-01/2000-01-02", concurrency = 1 }
    assert.equal(1, run().done)
    accepted_once()
    sim:reset()
    local now = sys.time()
    local today = os.date("!%Y-%m-%d", math.floor(now))
    local closed = add { except = today .. "/" .. os.date("!%Y-%m-%d", math.floor(now + 86400)) }
    assert.is_true(schedule:get(closed).due > now)
    assert.equal(0, run().done)
    assert.same({}, sim:log { operation = "rotate_credentials" })
    assert(schedule:cancel(id))
  end)

  it("that its windows interrupt goes on in the next: no cluster twice", function()
    local now, ahead = math.floor(sys.time()), 0
    local id = add { concurrency = 1, windows = ("%s-%s"):format(os.date("!%H:%M", now - 7200),
      os.date("!%H:%M", now + 7200)) }
    rawset(client, "clock", function() return sys.time() + ahead end)
    local rotate = client.rotate_credentials
    client.rotate_credentials = function(...)
      local job, message, err = rotate(...)
      ahead = 3 * 3600 -- the windows have closed by then
      return job, message, err
    end
    assert.equal(0, run().done)
    assert.equal(1, select(2, rotations.accepted(sim)))
    local e = schedule:get(id)
    assert.same({ "failed-retrying", "CANCELLED" }, { e.state, e.last_error.code })
    assert.matches("1 of 5 clusters are ok, 0 failed, 0 uncertain, 4 pending; nothing is begun"
      .. " outside of its windows", e.last_error.message, 1, true)
    client.rotate_credentials, ahead = nil, 0
    assert(schedule:retry(id))
    assert.equal(1, run().done)
    accepted_once()
  end)

  it("fails without a place for journals, and says so", function()
    local id = add()
    assert.equal(0, run { journal_dir = dir .. "/none" }.done)
    assert.matches("journal_dir must exist", events.of "failed"[1].hint)
    local fresh = add()
    local result = assert(schedule:run(function() return client end,
      { once = true, on_event = events.on_event }))
    assert.equal(0, result.done)
    assert.matches("journal_dir=", events.of "failed"[#events.of "failed"].hint)
    for _, each in ipairs { id, fresh } do
      assert.equal("failed-retrying", schedule:get(each).state)
      assert.is_nil(schedule:get(each).begun)
    end
    assert.same({}, sim:log { operation = "rotate_credentials" })
  end)

  -- As a runner leaves it that dies right after it began.
  local function leave_begun(id, journal)
    local session = assert(schedule.store:open_session("dead", 30))
    local e = assert(schedule:get(id))
    e = assert(schedule:change(e, assert(entries.claimed(e, "dead"))))
    local sending = assert(entries.sending(e, sys.time() - 60))
    sending.begun = { journal = journal, host = "another-machine", occurrence = e.due }
    assert(schedule:change(e, sending))
    session:close()
  end

  it("is left alone by a machine that does not have its journal", function()
    local id = add()
    leave_begun(id, "/nowhere/a.journal")
    for _ = 1, 3 do
      assert.equal(0, run().done)
      sys.sleep(0.06)
    end
    assert.same({}, sim:log { operation = "rotate_credentials" })
    local e = schedule:get(id)
    assert.same({ "failed-retrying", "CONFLICT" }, { e.state, e.last_error.code })
    assert.matches("another%-machine with the journal '/nowhere/a.journal'", e.last_error.message)
    assert.matches("A runner on that machine", events.of "failed"[1].hint)
    assert.equal("another-machine", e.begun.host)
    assert(schedule:cancel(id))
  end)

  it("is left alone where its journal cannot be looked at, and says why", function()
    os.execute(("ln -s loop '%s/loop'"):format(dir))
    local id = add()
    leave_begun(id, dir .. "/loop/a.journal")
    assert.equal(0, run().done)
    assert.same({}, sim:log { operation = "rotate_credentials" })
    local e = schedule:get(id)
    assert.matches("Too many levels of symbolic links", e.last_error.message, 1, true)
    assert(schedule:cancel(id))
  end)

  it("goes on by its journal when its runner was killed: no cluster twice", function()
    -- Long enough that its last two are not done before it is killed.
    sim:set { job_seconds = 2 }
    local id = add { concurrency = 2 }
    local child = runners.child(sim, { where = "sqlite:" .. dir .. "/schedule.db", name = "child",
      log = dir .. "/events", mode = ("journal_dir = %q,"):format(dir) })
    local deadline = sys.monotonic() + 120
    repeat
      assert(sys.monotonic() < deadline)
      sys.sleep(0.005)
    until #sim:log { operation = "rotate_credentials", accepted = true } >= 3
    child.process:signal "SIGKILL"
    child:finish()
    assert.equal("sending", schedule:get(id).state)
    assert.equal(1, run { once = false, until_idle = true }.done)
    accepted_once()
    assert.equal(1, #journals())
    assert.equal(1, #events.of "resumed")
    assert.same({}, events.of "resent")
  end)

  it("has a journal that is found wherever its runner is started next", function()
    sim:fault { operation = "rotate_credentials", cluster = sim.clusters[1].id, status = 403 }
    local id = add()
    assert.equal(0, run { journal_dir = ("../"):rep(20) .. dir:sub(2) }.done)
    assert.equal("/", schedule:get(id).begun.journal:sub(1, 1))
  end)

  it("stops at the end of its lease, and goes on under another", function()
    local id = add { concurrency = 1 }
    local list, cut = client.list_clusters, false
    client.list_clusters = function(...)
      if not cut then
        cut = true
        schedule.store.connection:execute "DELETE FROM sessions"
        -- As it is noticed by the next renewal.
        events.cut_at = sys.monotonic()
      end
      return list(...)
    end
    local show = client.show_cluster
    client.show_cluster = function(...)
      while sys.monotonic() < events.cut_at + 2 do cce.sleep(0.05) end
      return show(...)
    end
    run { lease = 5 }
    assert.equal(1, #events.of "lease_lost")
    assert.same({}, sim:log { operation = "rotate_credentials" })
    assert.equal("failed-retrying", schedule:get(id).state)
    sys.sleep(0.06)
    assert.equal(1, run().done)
    accepted_once()
  end)

  local function overdue()
    return #assert(schedule:list { status = "overdue" })
  end

  it("is overdue at once when a job failed, and resent only when a person says so", function()
    sim:set { cluster = sim.clusters[2].id, job_outcome = "Failed" }
    local id = add()
    local result = run()
    assert.same({ 0, 1, 1 }, { result.done, result.overdue, overdue() })
    assert.same({ 4, 1, 0 }, { events.of "rotated"[1].ok, events.of "rotated"[1].failed,
      events.of "rotated"[1].pending })
    assert.equal("JOB_FAILED", events.of "overdue"[1].code)
    assert.matches('schedule:retry("' .. id .. '", {retry_failed=true})',
      events.of "overdue"[1].hint, 1, true)
    for _ = 1, 3 do
      sys.sleep(0.06)
      run()
    end
    assert.equal(5, #sim:log { operation = "rotate_credentials" })
    assert.equal(1, #events.of "overdue")
    -- Once: a job that fails again waits for a person again.
    assert(schedule:retry(id, { retry_failed = true }))
    for _ = 1, 2 do
      run()
      sys.sleep(0.06)
    end
    assert.equal(6, #sim:log { operation = "rotate_credentials" })
    assert.equal("failed-retrying", schedule:get(id).state)
    sim:set { cluster = sim.clusters[2].id, job_outcome = "Success" }
    assert(schedule:retry(id, { retry_failed = true }))
    assert.equal(1, run().done)
    assert.equal("pending", schedule:get(id).state)
    assert.equal(0, overdue())
  end)

  it("is left at what was done when a person accepts it", function()
    sim:set { cluster = sim.clusters[2].id, job_outcome = "Failed" }
    local id = add()
    run()
    assert(schedule:accept(id))
    local e = schedule:get(id)
    assert.same({ "pending", 0, nil }, { e.state, e.attempts, e.begun })
    assert.is_true(e.due > sys.time())
    assert.equal(0, overdue())
    local ok, message = schedule:accept(id)
    assert.is_nil(ok)
    assert.matches("is pending", message)
  end)

  describe("is never done, but overdue, when every answer is", function()
    for name, fault in pairs {
      ["403"] = { operation = "rotate_credentials", status = 403 },
      ["401"] = { operation = "rotate_credentials", status = 401,
        body = '{"error_code":"APIGW.0301","error_msg":"Incorrect IAM authentication"}' },
      ["404"] = { operation = "rotate_credentials", status = 404 },
      ["500"] = { operation = "rotate_credentials", status = 500 },
    } do
      it(name, function()
        sim:fault(fault)
        local id = add()
        local result = run()
        assert.same({ 0, 1, 1 }, { result.done, result.overdue, overdue() })
        assert.equal("failed-retrying", schedule:get(id).state)
        assert.is_true(schedule:get(id).due < sys.time())
      end)
    end

    it("that the cluster hibernates, until it does not", function()
      sim:set { phase = "Hibernation" }
      add()
      assert.same({ 0, 1 }, { run().done, overdue() })
      assert.equal(5, events.of "rotated"[1].pending)
      sim:set { phase = "Available" }
      sys.sleep(0.06)
      assert.same({ 1, 0 }, { run().done, overdue() })
      accepted_once()
    end)
  end)

  describe("when its next time has come", function()
    local time, id

    -- A clock that can be set; the schedule is that of the same file.
    before_each(function()
      schedule:close()
      time = sys.time()
      schedule = assert(cce.schedule.open("sqlite:" .. dir .. "/schedule.db",
        { clock = function() return time end }))
    end)

    it("is missed, loudly, and hands over what is pending", function()
      sim:fault { operation = "rotate_credentials", cluster = sim.clusters[2].id, status = 403 }
      id = add { first = time - 10 }
      assert.equal(0, run().done)
      time = time + HOUR
      sim:clear_faults()
      local result = run()
      local missed = events.of "missed"[1]
      assert.equal(1, result.missed)
      assert.equal("cluster-002 (pending)", missed.clusters)
      assert.equal("PERMISSION_DENIED", missed.code)
      assert.equal(1, result.done)
      -- Each cluster once in the first and once in the second, but the pending one.
      local counts = rotations.accepted(sim)
      assert.equal(1, counts[sim.clusters[2].id])
      assert.equal(2, counts[sim.clusters[1].id])
      assert.equal(1, #journals())
      local e = schedule:get(id)
      assert.same({ "pending", missed.due }, { e.state, e.missed })
    end)

    it("waits with the cluster that is uncertain, and only with that", function()
      sim:fault { operation = "rotate_credentials", cluster = sim.clusters[2].id, status = 502 }
      id = add { first = time - 10 }
      run()
      time = time + HOUR
      sim:clear_faults()
      run()
      assert.equal("cluster-002 (uncertain)", events.of "missed"[1].clusters)
      local counts = rotations.accepted(sim)
      assert.is_nil(counts[sim.clusters[2].id])
      assert.equal(2, counts[sim.clusters[1].id])
      local e = schedule:get(id)
      assert.equal("failed-retrying", e.state)
      assert.matches("uncertain in run", e.last_error.message)
      -- A person says what became of it.
      assert(require("cce.workflow.runs").settle(e.begun.journal, { cluster = sim.clusters[2].id,
        run = entries.run_of(e.missed), happened = false }))
      time = time + 60
      assert.equal(1, run().done)
      assert.equal(1, rotations.accepted(sim)[sim.clusters[2].id])
    end)

    it("is only late when nobody has tried it", function()
      id = add { first = time - 10 }
      time = time + 5 * HOUR
      local result = run()
      assert.same({ 1, nil }, { result.done, result.missed })
      assert.same({}, events.of "missed")
    end)
  end)

  it("is tried again, by the same journal, when clusters failed for a passing reason", function()
    sim:fault { operation = "rotate_credentials", status = 429, cluster = sim.clusters[1].id,
      times = 8, headers = { ["Retry-After"] = "0" },
      body = '{"error_code":"APIGW.0308","error_msg":"throttled"}' }
    local id = add()
    assert.equal(0, run().done)
    assert.equal("failed-retrying", schedule:get(id).state)
    assert.matches("4 of 5 clusters are ok", schedule:get(id).last_error.message)
    for _ = 1, 5 do
      sys.sleep(0.06)
      run()
    end
    assert.equal("pending", schedule:get(id).state)
    accepted_once()
    assert.equal(1, #journals())
  end)

  it("waits for its window, also when it is late", function()
    local now = sys.time()
    local function time_of(seconds) return os.date("!%H:%M", math.floor(now + seconds)) end
    local id = add { first = now - 30 * HOUR,
      window = { from = time_of(2 * HOUR), to = time_of(3 * HOUR), zone = "Z" } }
    local e = schedule:get(id)
    assert.is_true(e.due < now)
    assert.equal(0, run().done)
    assert.same({}, sim:log { operation = "rotate_credentials" })
    e = schedule:get(id)
    assert.equal("pending", e.state)
    assert.is_true(e.due > now + HOUR and e.due <= now + 2 * HOUR, e.due - now)
  end)

  it("waits for its window, also when a dead runner left it", function()
    local now = sys.time()
    local function time_of(seconds) return os.date("!%H:%M", math.floor(now + seconds)) end
    local id = add { first = now - 30 * HOUR,
      window = { from = time_of(2 * HOUR), to = time_of(3 * HOUR), zone = "Z" } }
    local e = schedule:get(id)
    assert(schedule:change(e, assert(entries.claimed(e, "dead"))))
    assert.equal(0, run { once = false, until_idle = true }.done)
    assert.same({}, sim:log { operation = "rotate_credentials" })
    e = schedule:get(id)
    assert.equal("pending", e.state)
    assert.is_true(e.due > now + HOUR, e.due - now)
  end)
end)

describe("the run of a rotation", function()
  it("is what its entry says, as long as its runner may go on", function()
    local saved, given = package.loaded["cce.workflow.rotate"], nil
    finally(function() package.loaded["cce.workflow.rotate"] = saved end)
    package.loaded["cce.workflow.rotate"] = function(_, opts)
      given = opts
      return nil, "no", {}
    end
    local is_stopped, window = false, { from = "04:00", to = "05:00", zone = "Z" }
    local job = { client = {}, retry_failed = true,
      run = { must_stop = function() return is_stopped end },
      entry = { id = "e1", options = { clusters = { "c1" }, canary = 1 },
        every = { seconds = 60, first = 1, window = window },
        begun = { journal = "/j", run = "r" } } }
    function job.may_leave(asked) return asked == job and 5 end
    rotation.carry_out(job)
    assert.same({ { "c1" }, 1, window, "/j", "r", true }, { given.clusters, given.canary,
      given.windows, given.journal, given.run, given.retry_failed })
    assert.same({ 5, true }, { given.before_send(), given.on_progress() })
    is_stopped = true
    assert.is_false(given.on_progress())
    assert.is_nil(job.entry.options.journal)
    job.entry.options.windows = "fri 04:00-05:00"
    rotation.carry_out(job)
    assert.equal("fri 04:00-05:00", given.windows)
  end)
end)

describe("what is not done of a rotation", function()
  it("is each cluster that could be rotated, and is not", function()
    local saved = { run_journals.read, run_journals.find, runs.describe }
    finally(function() run_journals.read, run_journals.find, runs.describe = unpack(saved) end)
    local items = { { state = "ok", cluster_id = "a" }, { state = "skipped", cluster_id = "b" } }
    function run_journals.read(path) return path == "/j" and { runs = {} } or nil end
    function run_journals.find(_, run) return run == "r" and { run } or nil end
    function runs.describe() return { items = items } end
    local e = { begun = { journal = "/j", run = "r" } }
    assert.is_nil(rotation.undone(e))
    items[3] = { state = "failed", cluster_id = "c", name = "C" }
    items[4] = { state = "pending", cluster_id = "d" }
    assert.equal("C (failed), d (pending)", rotation.undone(e))
    for _, other in ipairs { {}, { begun = { journal = "/x", run = "r" } },
      { begun = { journal = "/j", run = "x" } } } do
      assert.is_nil(rotation.undone(other))
    end
  end)
end)

describe("what the report of a rotation comes to", function()
  it("is done with all clusters, closed where only a person goes on, else tried again", function()
    local saved = package.loaded["cce.workflow.rotate"]
    finally(function() package.loaded["cce.workflow.rotate"] = saved end)
    local NOW, FRIDAYS = 1767323045, "fri 04:00-05:00"
    local denied = { code = "PERMISSION_DENIED", hint = "ask", message = "403" }
    for i, case in ipairs {
      -- Failed, uncertain and pending clusters, more of the report, of the entry; the code, and
      -- whether it is closed.
      { 0, 0, 0 }, { 1, 0, 0, {}, {}, "PERMISSION_DENIED", true },
      { 0, 1, 0, {}, {}, "PERMISSION_DENIED", false },
      { 0, 0, 1, {}, {}, "PERMISSION_DENIED", false },
      { 1, 0, 1, {}, {}, "PERMISSION_DENIED", false },
      { 1, 0, 0, { stopped = "it was stopped" }, {}, "PERMISSION_DENIED", false },
      { 0, 0, 0, { stopped = "it was stopped" }, {}, "CANCELLED", false },
      { 0, 0, 1, {}, { windows = FRIDAYS, except = "2026-01-01/9999-12-31" },
        "PERMISSION_DENIED", true },
      { 0, 1, 1, {}, { windows = FRIDAYS, except = "2026-01-01/9999-12-31" },
        "PERMISSION_DENIED", false },
      { 0, 0, 1, {}, { windows = FRIDAYS }, "PERMISSION_DENIED", false },
    } do
      local failed, uncertain, pending, more, opts, code, is_closed = unpack(case, 1, 7)
      local report = { failed = {}, uncertain = {}, pending = {} }
      function report.counts()
        return { ok = 2, skipped = 1, total = 9, failed = failed, uncertain = uncertain,
          pending = pending }
      end
      for name, count in pairs { failed = failed, uncertain = uncertain, pending = pending } do
        if count > 0 then report[name][1] = { err = denied, message = "403 of " .. name } end
      end
      for name, value in pairs(more or {}) do report[name] = value end
      package.loaded["cce.workflow.rotate"] = function() return report end
      local told
      local done, message, err = rotation.carry_out {
        entry = { id = "e1", options = opts or {}, begun = { journal = "/j", run = "r" } },
        run = { clock = function() return NOW end }, tell = function(_, event) told = event end }
      assert.same({ 2, 1, failed, uncertain, pending, "/j" }, { told.ok, told.skipped, told.failed,
        told.uncertain, told.pending, told.journal })
      if not code then
        assert.is_true(done)
      else
        assert.same({ nil, code, is_closed, not is_closed },
          { done, err.code, err.is_closed, err.retryable }, i)
        local bucket = failed > 0 and "failed" or uncertain > 0 and "uncertain" or "pending"
        assert.equal(("the rotation is not done: 2 of 9 clusters are ok, %d failed, %d uncertain,"
          .. " %d pending; %s"):format(failed, uncertain, pending, report.stopped
            or report[bucket][1] and "403 of " .. bucket or "the rest was not begun"), message)
        if is_closed and failed + pending > 0 then
          assert.matches(pending > 0 and "schedule:cancel(\"e1\") leaves it"
            or "schedule:retry(\"e1\", {retry_failed=true})", err.hint, 1, true)
        end
      end
    end
    -- All clusters are ok, and something beside them is not: nothing could be sent again.
    local report = { failed = {}, uncertain = {}, pending = {}, incomplete = true,
      notes = { "c1: refuses its kubeconfig", "c2: too" } }
    function report.counts()
      return { ok = 2, skipped = 0, total = 2, failed = 0, uncertain = 0, pending = 0 }
    end
    package.loaded["cce.workflow.rotate"] = function() return report end
    local done, message, err = rotation.carry_out { run = {}, tell = function() end,
      entry = { id = "e1", options = {}, begun = { journal = "/j", run = "r" } } }
    assert.same({ nil, "every cluster is rotated, but: c1: refuses its kubeconfig; c2: too",
      "UNVERIFIED", true, false, "schedule:cancel(\"e1\") leaves it at that" },
      { done, message, err.code, err.is_closed, err.retryable, err.hint })
    package.loaded["cce.workflow.rotate"] = function() return nil, "no", denied end
    assert.same({ nil, "no", denied }, { rotation.carry_out { run = {},
      entry = { options = {}, begun = { journal = "/j", run = "r" } } } })
  end)
end)
