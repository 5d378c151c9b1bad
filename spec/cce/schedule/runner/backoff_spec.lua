local backoff = require "cce.schedule.runner.backoff"

local policy = backoff.defaults

local function most() return 1 end
local function least() return 0 end

describe("the wait before the next try", function()
  local passing, lasting = { retryable = true }, { retryable = false }

  it("is random below a bound that doubles", function()
    for attempts = 1, 8 do
      assert.equal(2 ^ (attempts - 1), backoff.delay(attempts, passing, policy, most))
    end
    assert.equal(2, backoff.delay(3, passing, policy, function() return 0.5 end))
  end)

  it("has a floor and a cap", function()
    assert.equal(0.5, backoff.delay(1, passing, policy, least))
    for _, attempts in ipairs { 10, 11, 100, 1e9 } do
      assert.equal(300, backoff.delay(attempts, passing, policy, most))
    end
    assert.equal(0.1, backoff.delay(9, passing, { base = 1, cap = 0.1, floor = 0.5 }, least))
  end)

  it("is longer for what a person must mend", function()
    assert.equal(60, backoff.delay(1, lasting, policy, most))
    assert.equal(30, backoff.delay(1, lasting, policy, least))
    assert.equal(3600, backoff.delay(1e6, lasting, policy, most))
  end)

  it("ends no earlier than the window that the API named", function()
    local throttled = { retryable = true, retry_after = 100 }
    assert.equal(100.5, backoff.delay(1, throttled, policy, least))
    assert.equal(400, backoff.delay(50, throttled, policy, most))
    assert.equal(400, backoff.delay(50, { retryable = false, retry_after = 100 }, policy, most))
  end)

  it("is an hour and the rest at most, whatever window was named", function()
    for _, named in ipairs { 3601, 86400 * 365, 1e300, math.huge } do
      local delay = backoff.delay(1, { retryable = true, retry_after = named }, policy, least)
      assert.equal(3600.5, delay)
    end
  end)

  it("for a store is 30 s at most", function()
    assert.equal(0.5, backoff.store_delay(1, most))
    assert.equal(0.25, backoff.store_delay(1, least))
    assert.equal(30, backoff.store_delay(7, most))
    assert.equal(30, backoff.store_delay(1e6, most))
  end)
end)

describe("what is late", function()
  it("is told from a minute on, at growing intervals, then every hour", function()
    local told, last = {}, nil
    for now = 0, 4 * 3600, 10 do
      if backoff.must_tell(0, last, now) then told[#told + 1] = now end
      last = now
    end
    assert.same({ 60, 120, 240, 480, 960, 1920, 3600, 7200, 10800, 14400 }, told)
  end)

  it("is told at once when nobody tried before", function()
    assert.is_false(backoff.must_tell(100, nil, 159))
    assert.is_true(backoff.must_tell(100, nil, 160))
    assert.is_true(backoff.must_tell(100, nil, 1e9))
  end)

  it("is not told twice", function()
    assert.is_false(backoff.must_tell(0, 1e9, 1e9 + 1))
  end)
end)
