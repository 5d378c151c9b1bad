local cce = require("cce")
local core = require("cce.core")
local protect = require("cce.host.protect")
local script = require("cce.host.script")
local simulator = require("spec.support.sim")

describe("the driver of a plain script", function()
  it("is the one outside of nginx and of any loop", function()
    assert.equal(script, require("cce.host").current())
    assert.is_true(script.check())
    assert.is_false(script.inside())
  end)

  it("knows its own coroutines", function()
    local inside, in_another
    cce.map({ 1 }, function()
      inside = script.inside()
      in_another = coroutine.wrap(function() return script.inside() end)()
    end)
    assert.is_true(inside)
    assert.is_false(in_another)
  end)

  local may_go_on, went_on

  before_each(function() may_go_on, went_on = false, false end)

  -- The first of several breaks them off; the others would go on when they may.
  local function break_off(i)
    if i == 1 then
      script.sleep(0.01)
      error(protect.INTERRUPT, 0)
    end
    while not may_go_on do script.sleep(0.001) end
    went_on = true
  end

  it("drops what a broken-off run left, and nothing else", function()
    local ok, problem = pcall(script.each, 4, 2, break_off, function() end)
    assert.is_false(ok)
    assert.equal(protect.INTERRUPT, problem)
    may_go_on = true
    cce.map({ 1 }, function() cce.sleep(0.06) end)
    assert.is_false(went_on)
  end)

  it("drops what is inside of what was broken off, too", function()
    assert.is_false(pcall(script.each, 1, 1, function()
      script.each(2, 2, break_off, function() end)
    end, function() end))
    may_go_on = true
    cce.map({ 1 }, function() cce.sleep(0.06) end)
    assert.is_false(went_on)
  end)

  it("closes what was under way in what was broken off, and drives it no more", function()
    local steps, closed = 0, 0
    local engine = {
      step = function()
        steps = steps + 1
        return true
      end,
      finished = function() end,
    }
    assert.is_false(pcall(script.each, 2, 2, function(i)
      if i == 2 then
        script.sleep(0.001)
        error(protect.INTERRUPT, 0)
      end
      script.wait(engine, { finished = function() return false end, close = function()
        closed = closed + 1
      end })
    end, function() end))
    assert.equal(1, closed)
    assert.is_true(steps > 0)
    steps = 0
    cce.map({ 1 }, function() cce.sleep(0.001) end)
    assert.equal(0, steps)
  end)

  it("does not wait for more when somebody can go on", function()
    local step, seconds = core.step, nil
    finally(function() core.step = step end)
    core.step = function(engines, longest)
      seconds = longest
      return step(engines, longest)
    end
    cce.map({ 1 }, function() cce.sleep(0.001) end)
    assert.equal(0, seconds)
  end)

  it("takes turns inside of a protected call, too", function()
    local protected = require("cce.host.protect").pcall
    local order = {}
    script.each(2, 2, function(i)
      protected(function()
        while i == 1 and #order == 0 do script.sleep(0.001) end
        order[#order + 1] = i
      end)
    end, function() end)
    assert.same({ 2, 1 }, order)
  end)

  it("runs a function beside the bodies of each", function()
    local order, ended = {}, false
    script.each(1, 1, function()
      script.spawn(function()
        script.sleep(0.01)
        order[#order + 1] = "beside"
        ended = true
      end)
      order[#order + 1] = "body"
      -- It is not woken when the other ends.
      local began = core.sys.monotonic()
      script.sleep(0.05)
      assert.is_true(ended and core.sys.monotonic() - began >= 0.05)
      order[#order + 1] = "end"
    end, function() end)
    assert.same({ "body", "beside", "end" }, order)
  end)

  it("lets the run around it go on when one inside breaks off", function()
    local results = cce.map({ 1, 2 }, function(i)
      if i == 2 then
        cce.sleep(0.03)
        return "waited"
      end
      -- In a coroutine of its own it is a run of its own.
      return coroutine.wrap(function()
        return (select(2, pcall(script.each, 1, 1, function()
          error(protect.INTERRUPT, 0)
        end, function() end)))
      end)()
    end)
    assert.equal(protect.INTERRUPT, results[1].value)
    assert.equal("waited", results[2].value)
  end)
end)

describe("core.step", function()
  local sim

  setup(function() sim = simulator.get() end)
  before_each(function() sim:reset() end)

  local function engine()
    return assert(core.engine { ca_file = sim.env.CCE_CA_FILE })
  end

  local function submit(to, number)
    return assert(to:submit { endpoint = sim.env.CCE_ENDPOINT, method = "GET",
      path = sim:path(sim.clusters[number]),
      signer = core.signer { ak = simulator.admin.ak, sk = simulator.admin.sk } })
  end

  it("drives several engines until each has its answer", function()
    local engines, transfers = {}, {}
    for i = 1, 5 do
      engines[i] = engine()
      transfers[i] = submit(engines[i], i)
    end
    local deadline = core.sys.monotonic() + 120
    for _, transfer in ipairs(transfers) do
      while not transfer:finished() do
        assert(core.step(engines, 1))
        assert(core.sys.monotonic() < deadline)
      end
      assert.equal(200, assert(transfer:result()).status)
    end
  end)

  it("waits as long as asked for, although nothing comes", function()
    local start = core.sys.monotonic()
    assert(core.step({ engine() }, 0.02))
    assert(core.step({}, 0.02))
    local seconds = core.sys.monotonic() - start
    assert.is_true(seconds >= 0.038, seconds)
  end)

  it("waits for something far away, too", function()
    local one = engine()
    local transfer = submit(one, 1)
    while not transfer:finished() do assert(core.step({ one }, 1e300)) end
    assert.equal(200, transfer:result().status)
  end)

  it("refuses what it cannot step", function()
    local closed, threaded = engine(), assert(core.engine { threaded = true })
    closed:close()
    assert.error_matches(function() core.step({ closed }, 0) end, "closed")
    assert.error_matches(function() core.step({ threaded }, 0) end, "thread")
    assert.error_matches(function() core.step({ 1 }, 0) end, "cce.engine")
    assert.error_matches(function() core.step(nil, 0) end, "table")
    assert.error_matches(function() core.step({}) end, "number")
    threaded:close()
  end)

  it("lets nobody wait for what has ended", function()
    local one, host = engine(), require "cce.host"
    local transfer = submit(one, 1)
    while not transfer:finished() do core.step({ one }, 1) end
    local was_closed
    local results = cce.map({ 1, 2 }, function(i)
      if i == 2 then
        host.close(one)
        return true
      end
      script.wait(one, transfer)
      was_closed = not pcall(one.in_flight, one)
      return transfer:result().status
    end)
    assert.equal(200, results[1].value)
    assert.is_false(was_closed)
  end)

  it("leaves the finished ones for those who ask", function()
    local one = engine()
    local transfer = submit(one, 1)
    while not transfer:finished() do core.step({ one }, 1) end
    assert.equal(transfer, one:finished())
    assert.is_nil(one:finished())
  end)
end)
