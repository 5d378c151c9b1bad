local times = require "cce.base.times"
local when = require "cce.schedule.when"
local windows = require "cce.base.windows"

local function at(text) return assert(times.parse(text), text) end

describe("cce.schedule.when.parse", function()
  it("reads unix time, and ISO 8601 with its zone", function()
    local expected = {
      ["2026-11-27T18:00:00+08:00"] = "2026-11-27T10:00:00Z",
      ["2026-11-27T18:00:00Z"] = "2026-11-27T18:00:00Z",
      ["2026-11-27t18:00:00z"] = "2026-11-27T18:00:00Z",
      ["2026-11-27 18:00+0800"] = "2026-11-27T10:00:00Z",
      ["2026-11-27T18:00-05:30"] = "2026-11-27T23:30:00Z",
      ["2026-01-01T00:30:00+01:00"] = "2025-12-31T23:30:00Z",
      ["2028-02-29T00:00:00Z"] = "2028-02-29T00:00:00Z",
      ["2026-11-27T18:00:00.000+08:00"] = "2026-11-27T10:00:00Z",
    }
    for text, utc in pairs(expected) do assert.equal(at(utc), when.parse(text), text) end
    assert.equal(at "2026-11-27T10:00:00Z" + 0.25, when.parse "2026-11-27T18:00:00.25+08:00")
    assert.equal(1767323045.5, when.parse(1767323045.5))
    assert.equal(0, when.parse(0))
  end)

  it("refuses a moment without a zone, saying so", function()
    for _, text in ipairs { "2026-11-27T18:00:00", "2026-11-27 18:00", "2026-11-27T18:00:00.5" } do
      assert.matches("no zone", select(2, when.parse(text)), text)
    end
  end)

  it("refuses what is no moment", function()
    for _, value in ipairs { "", "tomorrow", "2026-11-27", "2026-02-30T00:00:00Z",
      "2027-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
      "2026-11-27T24:00:00Z", "2026-11-27T18:60:00Z", "2026-11-27T18:00:61Z",
      "2026-11-27T18:00:00+16:00", "2026-11-27T18:00:00+08:60", "2026-11-27T18:00:00 CST",
      "2026-11-27T18:00:00Z; x", "1969-12-31T23:59:59Z", "1767323045",
      -1, 0 / 0, 1 / 0, -1 / 0, 253402300800, 1767323045000 } do
      local time, why = when.parse(value)
      assert.is_nil(time, tostring(value))
      assert.is_string(why)
    end
  end)
end)

describe("cce.schedule.when.interval", function()
  it("reads seconds, and counts of a unit", function()
    for text, seconds in pairs { ["60s"] = 60, ["90m"] = 5400, ["12h"] = 43200, ["7d"] = 604800,
      ["4w"] = 2419200 } do
      assert.equal(seconds, when.interval(text))
    end
    assert.equal(3600, when.interval(3600))
  end)

  it("refuses the rest", function()
    for _, value in ipairs { "", "7", "d", "1.5d", "-1d", "7D", "59s", "99w9", "1000w", 59, 0, -60,
      0 / 0, 1 / 0, 1e10 } do
      local seconds, why = when.interval(value)
      assert.is_nil(seconds, tostring(value))
      assert.is_nil(why:find "cron")
    end
  end)

  it("says what to give in place of a cron expression", function()
    for _, text in ipairs { "0 3 * * 6", "*/5 * * * *", "@weekly", "0 0 3 ? * SAT" } do
      assert.matches("cron expression is not understood: give an interval",
        select(2, when.interval(text)))
    end
  end)
end)

describe("cce.schedule.when.next", function()
  local first = at "2026-11-23T12:00:00Z" -- a Monday

  local function next_after(text, open, seconds)
    return times.format(when.next({ seconds = seconds or 7 * 86400, first = first }, open,
      at(text)))
  end

  it("is the next of the row, whatever was missed", function()
    assert.equal("2026-11-23T12:00:00Z", next_after "2026-11-01T00:00:00Z")
    assert.equal("2026-11-30T12:00:00Z", next_after "2026-11-23T12:00:00Z")
    assert.equal("2026-11-30T12:00:00Z", next_after "2026-11-30T11:59:59Z")
    assert.equal("2027-03-01T12:00:00Z", next_after "2027-02-23T00:00:00Z")
  end)

  it("is inside the window", function()
    local window = assert(windows.read("sat 01:00-05:00"))
    assert.equal("2026-11-28T01:00:00Z", next_after("2026-11-22T00:00:00Z", window))
    assert.equal("2026-12-05T01:00:00Z", next_after("2026-11-28T01:10:00Z", window))
    assert.equal("2026-11-28T02:00:00Z", next_after("2026-11-28T01:10:00Z", window, 3600))
    assert.equal("2026-12-05T01:00:00Z", next_after("2026-11-28T04:10:00Z", window, 3600))
  end)

  it("is the last only when a window has opened since", function()
    local every, open = { seconds = 86400, first = first }, assert(windows.read("sat 01:00-05:00"))
    assert.is_nil(when.last(every, open, at "2026-11-28T00:59:59Z"))
    assert.equal(at "2026-11-28T01:00:00Z", when.last(every, open, at "2026-11-28T01:00:00Z"))
    assert.equal(at "2026-11-27T12:00:00Z", when.last(every, nil, at "2026-11-28T01:00:00Z"))
    assert.is_nil(when.last(every, nil, first - 1))
  end)

  it("is never, where a blackout covers all", function()
    assert.is_nil(when.next({ seconds = 60, first = first },
      assert(windows.read(nil, "2000-01-01/9999-12-31")), first))
  end)

  it("refuses what does not recur", function()
    for _, every in ipairs { {}, { seconds = "7d", first = 1 }, { seconds = 60 },
      { seconds = 60, first = -1 }, { seconds = 60, first = 1, window = 1 },
      { seconds = 0 / 0, first = 1 } } do
      assert.is_nil(when.check_every(every))
    end
    assert.is_nil(when.check_every "7d")
    assert.is_true(when.check_every { seconds = 60, first = 1 })
  end)
end)
