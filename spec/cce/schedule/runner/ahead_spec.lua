-- Clocks that are wrong for a while: what they put off is not lost, and nothing is early.
local ahead = require "cce.schedule.runner.ahead"
local cce = require "cce"
local core = require "cce.core"
local entries = require "cce.schedule.entry"
local errors = require "cce.error"
local hosts = require "spec.support.hosts"
local runners = require "spec.support.runners"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

local YEARS = 14 * 366 * 86400

describe("a clock that was ahead", function()
  local schedule, dir, shift

  before_each(function()
    dir, shift = runners.dir(), 0
    schedule = assert(cce.schedule.open("sqlite:" .. dir .. "/schedule.db", {
      clock = function() return core.sys.time() + shift end }))
  end)

  after_each(function()
    schedule:close()
    tempdir.remove(dir)
  end)

  local function add(due, user)
    return assert(schedule:revoke_at(core.sys.time() + due, { cluster_id = runners.cluster,
      user_id = user or "u1", project_id = "p1" }))
  end

  local function once(client, opts)
    local all = { once = true }
    for name, value in pairs(opts or {}) do all[name] = value end
    return assert(schedule:run(function() return client end, all))
  end

  -- An API whose clock is right.
  local function api()
    local client = runners.client(function()
      if shift == 0 then return true, nil, nil, "r" end
      return errors.fail("CLOCK_SKEW", "the spec's API says no", { retryable = true })
    end)
    function client.now() return core.sys.time() end
    return client
  end

  it("loses nothing that it took for due", function()
    local due, later = add(-5, "u1"), add(3600, "u2")
    shift = YEARS
    local client = api()
    assert.equal(0, once(client).done)
    assert.is_true(schedule:get(due).next_try > core.sys.time() + YEARS - 60)
    assert.equal("failed-retrying", schedule:get(later).state)
    shift = 0
    client = api()
    assert.equal(1, once(client).done)
    assert.equal("done", schedule:get(due).state)
    assert.equal(1, #client.sent)
    -- Not early: it waits for its own time again.
    local e = schedule:get(later)
    assert.equal("failed-retrying", e.state)
    assert.is_true(math.abs(e.next_try - e.due) < 0.01)
  end)

  it("loses nothing of many pages", function()
    for i = 1, 250 do add(-5, "u" .. i) end
    shift = YEARS
    once(api(), { concurrency = 100 })
    shift = 0
    assert.equal(250, once(api(), { concurrency = 100 }).done)
  end)

  it("is looked for once a minute, a page at a time", function()
    local asked, steady, rows = {}, 1000, {}
    local run = { clock = core.sys.time, steady = function() return steady end, store = {} }
    function run.store.page(_, opts)
      asked[#asked + 1] = opts.after or ""
      return rows
    end
    for i = 1, 100 do rows[i] = { id = "e" .. i, text = "{" } end
    ahead.look(run)
    ahead.look(run)
    rows = { rows[1] }
    for _ = 1, 62 do
      ahead.look(run)
      steady = steady + 1
    end
    assert.same({ "", "e100", "e100", "" }, asked)
    -- All of them when the run is but once.
    rows, run.once, run.ahead_at, asked = {}, true, 0, {}
    for i = 1, 100 do rows[i] = { id = "e" .. i, text = "{" } end
    function run.store.page(_, opts)
      asked[#asked + 1] = opts.after or ""
      return opts.after and {} or rows
    end
    ahead.look(run)
    assert.same({ "", "e100" }, asked)
    function run.store.page() return nil, "away" end
    run.ahead_at = 0
    ahead.look(run)
  end)

  it("leaves alone what a dead runner was sending, and the next one gave back", function()
    local e = assert(schedule:get(add(-5)))
    e = assert(schedule:change(e, entries.claimed(e, "r1")))
    e = assert(schedule:change(e, entries.sending(e, core.sys.time())))
    e = assert(schedule:change(e, entries.claimed(e, "r2")))
    e = assert(schedule:change(e, entries.released(e)))
    -- It failed with nothing that is known.
    assert.same({ "failed-retrying" }, { e.state, e.last_error })
    assert.equal(1, once(api()).done)
  end)

  it("leaves alone what waits by a clock that is right", function()
    local id = add(-5)
    local client = runners.client(function()
      return errors.fail("SERVER_ERROR", "the spec's API says no", { retryable = true })
    end)
    once(client, { retry = { base = 1000, floor = 300 } })
    local next_try = schedule:get(id).next_try
    once(client)
    assert.equal(next_try, schedule:get(id).next_try)
    assert.equal(1, #client.sent)
  end)

  it("is told from the clock of another machine, which may differ by five minutes", function()
    for seconds, tries in pairs { [290] = 1, [400] = 2 } do
      local id = add(-5)
      local client = runners.client(function()
        return errors.fail("SERVER_ERROR", "the spec's API says no", { retryable = true })
      end)
      shift = seconds
      once(client, { retry = { base = 1000, floor = 300 } })
      shift = 0
      once(client)
      assert.equal(tries, #client.sent, seconds)
      assert(schedule:cancel(id))
    end
  end)

  it("is told from one that the client has corrected since", function()
    local sim = simulator.get()
    sim:reset()
    local client = hosts.client(sim, { clock = function() return core.sys.time() + shift end })
    local id = assert(schedule:revoke_at(core.sys.time() - 5, { cluster_id = sim.clusters[1].id,
      user_id = "u1", project_id = sim.project_id }))
    shift = YEARS
    once(client)
    assert.is_true(client.clock_shift ~= 0 or schedule:get(id).state == "done")
    shift = 0
    local late = assert(schedule:revoke_at(core.sys.time() - 5, { cluster_id = sim.clusters[1].id,
      user_id = "u2", project_id = sim.project_id }))
    once(client)
    assert.equal("done", schedule:get(id).state)
    assert.equal("done", schedule:get(late).state)
    assert.equal(0, client.clock_shift)
    client:close()
  end)

  it("does not put off what the API's clock puts off for long", function()
    local id = add(-5)
    local client = api()
    client.clock_shift = -YEARS
    function client.now() return core.sys.time() - YEARS end
    once(client)
    assert.same({}, client.sent)
    local e = schedule:get(id)
    assert.equal("failed-retrying", e.state)
    assert.is_true(e.next_try < core.sys.time() + 3601)
  end)
end)
