local times = require "cce.base.times"
local when = require "cce.schedule.when"

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

describe("a window of cce.schedule.when", function()
  local weekend = { weekdays = { "Sat", "Sun" }, from = "01:00", to = "05:00", zone = "+08:00" }
  local night = { weekdays = { "Fri" }, from = "22:00", to = "04:00", zone = "Z" }

  it("lets pass what is inside, and moves the rest to its beginning", function()
    -- 2026-11-28 is a Saturday; 01:00 there is 17:00 of the day before in UTC.
    local cases = {
      { weekend, "2026-11-27T16:59:59Z", "2026-11-27T17:00:00Z" },
      { weekend, "2026-11-27T17:00:00Z", "2026-11-27T17:00:00Z" },
      { weekend, "2026-11-27T20:59:59Z", "2026-11-27T20:59:59Z" },
      { weekend, "2026-11-27T21:00:00Z", "2026-11-28T17:00:00Z" },
      { weekend, "2026-11-28T21:00:00Z", "2026-12-04T17:00:00Z" },
      { weekend, "2026-11-23T00:00:00Z", "2026-11-27T17:00:00Z" },
      { night, "2026-11-27T21:00:00Z", "2026-11-27T22:00:00Z" },
      { night, "2026-11-28T03:59:59Z", "2026-11-28T03:59:59Z" },
      { night, "2026-11-28T04:00:00Z", "2026-12-04T22:00:00Z" },
      { night, "2026-11-28T23:00:00Z", "2026-12-04T22:00:00Z" },
      { { from = "01:00", to = "02:00", zone = "-03:00" }, "2026-11-28T05:00:00Z",
        "2026-11-29T04:00:00Z" },
      { { from = "00:00", to = "24:00", zone = "Z", weekdays = { "Mon" } },
        "2026-11-28T05:00:00Z", "2026-11-30T00:00:00Z" },
      { { from = "00:00", to = "24:00", zone = "Z", weekdays = { "Mon" } },
        "2026-11-30T23:59:59Z", "2026-11-30T23:59:59Z" },
    }
    for _, case in ipairs(cases) do
      assert.equal(case[3], times.format(when.into_window(case[1], at(case[2]))), case[2])
    end
    assert.equal(5, when.into_window(nil, 5))
  end)

  it("is refused when it is not right", function()
    assert.is_true(when.check_window(weekend))
    assert.is_true(when.check_window(night))
    local function refused(change)
      local window = { weekdays = { "Sat" }, from = "01:00", to = "05:00", zone = "+08:00" }
      for name, value in pairs(change) do window[name] = value end
      local ok, why = when.check_window(window)
      assert.is_nil(ok)
      assert.is_string(why)
    end
    for _, change in ipairs { { weekdays = {} }, { weekdays = { "sat" } }, { weekdays = "Sat" },
      { weekdays = { 6 } }, { from = "1:00" }, { from = 1 }, { to = "24:01" }, { to = "01:00" },
      { to = "05:60" }, { zone = "CST" }, { zone = 8 }, { every = 1 } } do refused(change) end
    assert.is_nil(when.check_window {})
    assert.is_nil(when.check_window "Sat")
    assert.is_nil(when.check_window { from = "01:00", to = "05:00" })
  end)
end)

describe("cce.schedule.when.next", function()
  local first = at "2026-11-23T12:00:00Z" -- a Monday

  local function next_after(text, window, seconds)
    return times.format(when.next({ seconds = seconds or 7 * 86400, first = first,
      window = window }, at(text)))
  end

  it("is the next of the row, whatever was missed", function()
    assert.equal("2026-11-23T12:00:00Z", next_after "2026-11-01T00:00:00Z")
    assert.equal("2026-11-30T12:00:00Z", next_after "2026-11-23T12:00:00Z")
    assert.equal("2026-11-30T12:00:00Z", next_after "2026-11-30T11:59:59Z")
    assert.equal("2027-03-01T12:00:00Z", next_after "2027-02-23T00:00:00Z")
  end)

  it("is inside the window", function()
    local window = { weekdays = { "Sat" }, from = "01:00", to = "05:00", zone = "Z" }
    assert.equal("2026-11-28T01:00:00Z", next_after("2026-11-22T00:00:00Z", window))
    assert.equal("2026-12-05T01:00:00Z", next_after("2026-11-28T01:10:00Z", window))
    assert.equal("2026-11-28T02:00:00Z", next_after("2026-11-28T01:10:00Z", window, 3600))
    assert.equal("2026-12-05T01:00:00Z", next_after("2026-11-28T04:10:00Z", window, 3600))
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
