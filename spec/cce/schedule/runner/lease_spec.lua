-- Under which session a runner claims, and what it may still send, one term wrong at a time. The
-- store and the clock do as told.
local errors = require "cce.error"
local leases = require "cce.schedule.runner.lease"

describe("the lease of a runner", function()
  local run, lease, opened, told, trouble

  local function session()
    local one = { runner = "r" .. #opened + 1, seconds = 30, renewed = 0, closed = 0 }
    function one.left() return one.seconds end
    function one.close() one.closed = one.closed + 1 end
    function one.renew()
      one.renewed = one.renewed + 1
      if one.answer then return nil, "no", errors.new(one.answer, "no", {}) end
      return true
    end
    return one
  end

  before_each(function()
    opened, told, trouble = {}, {}, {}
    run = { now = 0, store = {}, steady = function() return run.now end }
    function run.store.open_session(_, name, seconds)
      if run.away then return nil, "away", errors.new("STORE_UNAVAILABLE", "away", {}) end
      local one = session()
      one.name, one.asked = name, seconds
      opened[#opened + 1] = one
      if run.on_open then run.on_open() end
      return one
    end
    function run:tell(event) told[#told + 1] = event.type .. " " .. event.runner end
    function run:store_failed(message) trouble[#trouble + 1] = message end
    lease = leases.new(run, "me", 60)
  end)

  it("is opened once, under a name of its own, and goes on while it lasts", function()
    local one = assert(lease:get())
    assert.matches("^me%.%x+$", one.name)
    assert.equal(60, one.asked)
    assert.equal(one, lease:get())
    one.seconds = 2.1
    assert.equal(one, lease:get())
    one.seconds = 2
    local after = lease:get()
    assert.not_equal(one.name, after.name)
    assert.is_true(one.lost)
    assert.same({ "lease_lost r1" }, told)
    assert.equal(after, lease:get())
  end)

  it("is renewed by who needs it, once half of it is over", function()
    local one = assert(lease:get())
    one.seconds = 30
    assert.equal(one, lease:get())
    assert.equal(0, one.renewed)
    one.seconds = 29
    assert.equal(one, lease:get())
    assert.equal(1, one.renewed)
    -- Who comes while the store is asked does not ask, too.
    local renew = one.renew
    function one.renew()
      one.renew = renew
      assert.equal(one, lease:get())
      return renew()
    end
    assert.equal(one, lease:get())
    assert.equal(2, one.renewed)
    one.answer = "LEASE_LOST"
    assert.not_equal(one, lease:get())
    assert.same({ "lease_lost r1" }, told)
  end)

  it("is none where the store is away, and the other's where another task was faster", function()
    run.away = true
    local none, message, err = lease:get()
    assert.same({ nil, "away", "STORE_UNAVAILABLE" }, { none, message, err.code })
    run.away = nil
    local faster = session()
    function run.on_open() lease.session = faster end
    assert.equal(faster, lease:get())
    assert.same({ 1, 0 }, { opened[1].closed, faster.closed })
  end)

  it("is told of, also when the faster task's is lost while the second one is closed", function()
    function run.on_open()
      run.on_open = nil
      local faster, second = lease:get(), opened[1]
      function second.close() lease:lose(faster) end
    end
    assert.is_true(lease:get().lost)
    assert.same({ "lease_lost r2" }, told)
  end)

  it("is lost once, and only the one that is lost", function()
    local one = lease:get()
    local other = session()
    lease:lose(other)
    assert.equal(one, lease.session)
    lease:lose(one)
    lease:lose(one)
    assert.same({ "lease_lost r2", "lease_lost r1" }, told)
    assert.is_nil(lease.session)
  end)

  it("leaves no time for a request near its end", function()
    assert.equal(28, leases.left { left = function() return 30 end })
    assert.equal(0, leases.left { left = function() return 2 end })
    assert.equal(0, leases.left { lost = true, left = function() return 30 end })
  end)

  -- Keeps it for some seconds; by which of them it was renewed.
  local function keep(seconds, step)
    local times, last = {}, {}
    step = step or 1
    for i, one in ipairs(opened) do last[i] = one.renewed end
    function run.sleep(slice)
      assert.is_true(slice > 0 and slice <= 0.1)
      run.now = run.now + step
      for i, one in ipairs(opened) do
        if one.renewed ~= (last[i] or 0) then times[#times + 1] = run.now - step end
        last[i] = one.renewed
      end
    end
    local stop = run.now + seconds
    lease:keep(function() return run.now >= stop end)
    return times
  end

  it("is renewed each third of its time, and sooner after that failed", function()
    assert.same({}, keep(50))
    run.now = 0
    local one = lease:get()
    assert.same({ 20, 40 }, keep(50))
    one.answer = "STORE_UNAVAILABLE"
    run.now = 0
    assert.same({ 20, 21, 22 }, keep(23))
    assert.same({ "no", "no", "no" }, trouble)
    assert.is_nil(one.lost)
    -- The shorter it is, the sooner.
    lease = leases.new(run, "me", 7.5)
    run.now, one = 0, lease:get()
    one.answer = "STORE_UNAVAILABLE"
    assert.same({ 2.5, 3, 3.5 }, keep(3.75, 0.25))
  end)

  it("is lost when its store says so, or is away until its end", function()
    for _, case in ipairs { { "LEASE_LOST", 30, true }, { "STORE_UNAVAILABLE", 0, true },
      { "STORE_UNAVAILABLE", 0.5, nil } } do
      lease.session, run.now, trouble = nil, 0, {}
      local one = lease:get()
      one.answer = case[1]
      one.seconds = 30
      local renew = one.renew
      function one.renew()
        one.seconds = case[2]
        return renew()
      end
      keep(21)
      assert.equal(case[3], one.lost)
      assert.equal(case[3] and 0 or 1, #trouble)
      assert.equal(not case[3] and one or nil, lease.session)
    end
    -- What is opened then has all of its time before it.
    run.now, lease.session = 0, nil
    local one = lease:get()
    one.answer = "LEASE_LOST"
    keep(22)
    lease:get()
    assert.same({ 42 }, keep(25))
  end)

  it("is given back at the end", function()
    local one = lease:get()
    lease:close()
    assert.same({ 1 }, { one.closed, lease.session })
    lease:close()
    assert.equal(1, one.closed)
  end)
end)
