local cce = require "cce"
local core = require "cce.core"
local host = require "cce.host"
local singleflight = require "cce.host.singleflight"

describe("cce.flight.share", function()
  it("does it once for those who need it at once, and again later", function()
    local owner, count, began = {}, 0, core.sys.monotonic()
    local function fetch(seconds)
      count = count + 1
      cce.sleep(seconds)
      return nil, "message", count
    end
    local results = cce.map({ 1, 2, 3, 4, 5 }, function()
      local value, message, number = singleflight.share(owner, "a", fetch, 0.02)
      assert.is_nil(value)
      assert.equal("message", message)
      return number
    end, { concurrency = 5 })
    for _, result in ipairs(results) do assert.equal(1, result.value) end
    assert.is_true(core.sys.monotonic() - began < 50)
    assert.equal(2, select(3, singleflight.share(owner, "a", fetch, 0)))
  end)

  it("does different things at the same time", function()
    local owner, names = {}, {}
    cce.map({ "a", "b" }, function(name)
      singleflight.share(owner, name, function()
        names[#names + 1] = name
        cce.sleep(0.01)
        return true
      end)
    end, { concurrency = 2 })
    assert.same({ "a", "b" }, names)
  end)

  it("does not wait for longer than it may", function()
    local owner, order = {}, {}
    cce.map({ 0.5, 0 }, function(seconds)
      singleflight.share_within(0.02, owner, "a", function()
        cce.sleep(seconds)
        order[#order + 1] = seconds
      end)
    end, { concurrency = 2 })
    assert.same({ 0, 0.5 }, order)
  end)

  it("waits where somebody else can go on meanwhile, and a minute at most", function()
    local current, monotonic, now = host.current, core.sys.monotonic, 0
    finally(function() host.current, core.sys.monotonic = current, monotonic end)
    core.sys.monotonic = function() return now end
    -- Seconds that a second caller waits for a call which never ends.
    local function waits(driver, begins)
      local owner, waited = {}, nil
      now = 0
      driver.sleep = function(seconds) now = now + seconds end
      host.current = function() return driver end
      singleflight.share(owner, "a", function()
        now = begins
        assert.equal(7, singleflight.share(owner, "a", function()
          waited = now - begins
          return 7
        end))
      end)
      return math.floor(waited)
    end
    assert.equal(0, waits({ runs_alone = function() return true end }, 0))
    assert.equal(60, waits({ runs_alone = function() return false end }, 0))
    assert.equal(60, waits({}, 0))
    assert.equal(10, waits({}, 50))
  end)

  it("shares a call that began while an earlier one was under way", function()
    local owner, second_begun, first_ended, seen = {}, false, false, nil
    local function wait_until(is_so)
      while not is_so() do cce.sleep(0.001) end
    end
    cce.map({ 1, 2, 3 }, function(i)
      if i == 1 then
        singleflight.share(owner, "a", function()
          wait_until(function() return second_begun end)
        end)
        first_ended = true
      elseif i == 2 then
        singleflight.share_within(0, owner, "a", function()
          second_begun = true
          wait_until(function() return seen ~= nil end)
        end)
      else
        wait_until(function() return first_ended end)
        seen = singleflight.is_under_way(owner, "a")
      end
    end, { concurrency = 3 })
    assert.is_true(seen)
    assert.is_false(singleflight.is_under_way(owner, "a"))
  end)

  it("keeps nothing of one who raised", function()
    local owner = {}
    assert.has_error(function()
      singleflight.share(owner, "a", function() error("no", 0) end)
    end, "no")
    assert.equal(7, singleflight.share(owner, "a", function() return 7 end))
  end)
end)
