local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"
local times = require "cce.base.times"
local windows = require "cce.base.windows"

local function at(text) return assert(times.parse(text), text) end

-- A zone that needs no files: Central Europe, where 02:00 is skipped on 2026-03-29, and 02:00 to
-- 03:00 is there twice on 2026-10-25.
local TZ = "CET-1CEST,M3.5.0,M10.5.0/3"

local function opens(open, text)
  local time = open:opens(at(text))
  return time and times.format(time)
end

describe("cce.base.windows", function()
  it("lets pass what is inside, and moves the rest to the beginning", function()
    local weekend = assert(windows.read("Sat,Sun 01:00-05:00 +08:00"))
    local night = assert(windows.read("fri 22:00-04:00"))
    local work = assert(windows.read("mon-wed 09:00-12:00; thu 13:00-14:00"))
    local wrapping = assert(windows.read("sat-mon 00:00-01:00"))
    -- 2026-11-28 is a Saturday; 01:00 there is 17:00 of the day before in UTC.
    for _, case in ipairs {
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
      { work, "2026-11-25T12:00:00Z", "2026-11-26T13:00:00Z" },
      { work, "2026-11-26T14:00:00Z", "2026-11-30T09:00:00Z" },
      { wrapping, "2026-11-28T01:00:00Z", "2026-11-29T00:00:00Z" },
      { wrapping, "2026-11-30T01:00:00Z", "2026-12-05T00:00:00Z" },
      { assert(windows.read({ from = "01:00", to = "02:00", zone = "-03:00" })),
        "2026-11-28T05:00:00Z", "2026-11-29T04:00:00Z" },
      { assert(windows.read { from = "00:00", to = "24:00", weekdays = { "Mon" } }),
        "2026-11-28T05:00:00Z", "2026-11-30T00:00:00Z" },
      { assert(windows.read { "mon 00:00-24:00", "thu 01:00-02:00" }),
        "2026-11-30T23:59:59Z", "2026-11-30T23:59:59Z" },
    } do
      assert.equal(case[3], opens(case[1], case[2]), case[2])
    end
    assert.equal(at "2026-11-27T17:00:00Z" + 0.123456,
      weekend:opens(at "2026-11-27T17:00:00Z" + 0.123456))
  end)

  it("is closed in a blackout, both days included", function()
    local open = assert(windows.read("sat,sun 01:00-05:00", "2026-12-20/2027-01-05"))
    -- 2026-12-20 is a Sunday, 2027-01-09 the first Saturday after it.
    assert.equal("2026-12-19T04:59:59Z", opens(open, "2026-12-19T04:59:59Z"))
    assert.equal("2027-01-09T01:00:00Z", opens(open, "2026-12-19T05:00:00Z"))
    local at_all_times = assert(windows.read(nil, { "2026-12-24T18:00/2026-12-27", "2026-12-27",
      "2026-12-28T00:00/2026-12-28T00:30" }, "+08:00"))
    assert.equal("2026-12-24T09:59:59Z", opens(at_all_times, "2026-12-24T09:59:59Z"))
    assert.equal("2026-12-27T16:30:00Z", opens(at_all_times, "2026-12-24T10:00:00Z"))
    -- One that begins in the middle of a window.
    local cut = assert(windows.read("22:00-04:00", "2026-12-02"))
    assert.equal("2026-12-01T23:59:59Z", opens(cut, "2026-12-01T23:59:59Z"))
    assert.equal("2026-12-03T00:00:00Z", opens(cut, "2026-12-02T00:00:00Z"))
  end)

  it("never opens where a blackout covers all", function()
    assert.is_nil(opens(assert(windows.read(nil, "0001-01-01/9999-12-31")), "2026-11-28T00:00:00Z"))
    assert.is_nil(opens(assert(windows.read("sat 01:00-05:00", "2000-01-01/9999-12-31", "local")),
      "2026-11-28T00:00:00Z"))
  end)

  it("says what it was, as texts that are read as the same", function()
    local open = assert(windows.read({ "Sat 01:00-05:00 +08:00", "sun 01:00-02:00" },
      { "2026-12-20/2027-01-05", "2027-02-01" }))
    assert.equal("Sat 01:00-05:00 +08:00; sun 01:00-02:00, not 2026-12-20/2027-01-05, 2027-02-01"
      .. " (+08:00)", open.text)
    assert.same(open, assert(windows.read(open.windows, open.except, open.named)))
    assert.equal("at all times, not 2027-02-01 (local time)",
      assert(windows.read(nil, "2027-02-01", "local")).text)
  end)

  it("refuses what is empty, unknown or contradictory", function()
    local function refused(...)
      local open, why = windows.read(...)
      assert.is_nil(open)
      assert.is_string(why)
    end
    for _, text in ipairs { "", " ", ";", "sat", "01:00", "01:00-01:00", "sat 1:00-5:00",
      "sat 01:00-24:01", "sat 01:60-05:00", "sam 01:00-05:00", "sat-xyz 01:00-05:00",
      "01:00-05:00 CST", "01:00-05:00 +25:00", "sat 01:00-05:00;", ", 01:00-02:00",
      "01:00-05:00 UTC; 01:00-05:00 +08:00", "0 1 * * 6", ("01:00-02:00;"):rep(60) .. "01:00-02:00",
      "sat 01:00-05:00 Z extra" } do
      refused(text)
    end
    for _, value in ipairs { {}, { 5 }, { {} }, { weekdays = {}, from = "01:00", to = "02:00" },
      { weekdays = "Sat", from = "01:00", to = "02:00" }, { from = 1, to = "02:00" },
      { weekdays = { 6 }, from = "01:00", to = "02:00" }, { from = "01:00" },
      { from = "01:00", to = "02:00", zone = 8 }, { from = "01:00", to = "02:00", every = 1 },
      5, true } do
      refused(value)
    end
    for _, text in ipairs { "", "2026-02-30", "2027-01-05/2026-12-20", "2026-12-20/",
      "2026-12-24T25:00/2026-12-27", "christmas", "2026-12-24T18:00Z/2026-12-27",
      "2026-12-24T18:00/2026-12-24T18:00", "2026-12-20,", "2026-12-24T18:00" } do
      refused("01:00-05:00", text)
    end
    -- What stands behind a gap, or has a name, would be left out.
    for _, value in ipairs { { "2026-12-20", nil, "2026-12-24" },
      { from = "2026-12-20", to = "2027-01-05" }, { "2026-12-20", zone = "+08:00" } } do
      refused("01:00-05:00", value)
    end
    refused { "sat 01:00-05:00", nil, "sun 01:00-05:00" }
    refused { "sat 01:00-05:00", zone = "+08:00" }
    refused { weekdays = { "Sat", nil, "Sun" }, from = "01:00", to = "05:00" }
    refused("01:00-05:00", nil, "CST")
    refused("01:00-05:00 +08:00", nil, "UTC")
    refused("01:00-05:00", nil, 8)
  end)

  -- GNU date is the judge of what the clock on the wall shows.
  it("goes by local time, also where the clock is put forward or back", function()
    local dir = tempdir.new()
    local SPAN, STEP = 3 * 86400, 900
    tempdir.write(dir .. "/ask.lua", [[
      local windows = require "cce.base.windows"
      local open = assert(windows.read(arg[3], arg[4], "local"))
      for time = tonumber(arg[1]), tonumber(arg[2]), 900 do print(open:opens(time)) end
    ]])
    local function lines(command)
      local list = {}
      for line in tempdir.shell(command):gmatch "[^\n]+" do list[#list + 1] = line end
      return list
    end
    for _, case in ipairs { { "2026-03-28T00:00:00Z", "sat,sun 02:00-03:30" },
      { "2026-03-27T12:00:00Z", "sat 23:00-02:30" }, { "2026-10-24T00:00:00Z", "sun 01:30-02:30" },
      { "2026-10-24T00:00:00Z", "sat 22:00-03:00" } } do
      local from = at(case[1])
      local dates = {}
      for time = from, from + SPAN, STEP do dates[#dates + 1] = "@" .. ("%d"):format(time) end
      tempdir.write(dir .. "/dates", table.concat(dates, "\n") .. "\n")
      local walls = lines(("TZ=%s date -f %s/dates '+%%w %%H:%%M %%F'"):format(TZ, dir))
      local found = lines(("TZ=%s LUA_PATH=%s %s %s/ask.lua %d %d %s 2026-03-30"):format(TZ,
        tempdir.quote(package.path), simulator.interpreter(), dir, from, from + SPAN,
        tempdir.quote(case[2])))
      assert.equal(#walls, #found)
      local day, first, last = case[2]:match "^(%S+) (%S+)%-(%S+)$"
      local function is_inside(wall)
        local weekday, clock, date = wall:match "^(%d) (%S+) (%S+)$"
        local function is_meant(number)
          local name = ({ [0] = "sun", "mon", "tue", "wed", "thu", "fri", "sat" })[number]
          return day:find(name, 1, true) ~= nil
        end
        if date == "2026-03-30" then return false end
        weekday = tonumber(weekday)
        if last > first then return is_meant(weekday) and clock >= first and clock < last end
        return is_meant(weekday) and clock >= first
          or is_meant((weekday + 6) % 7) and clock < last
      end
      -- The edges are on quarters of an hour, so each of them is among the steps.
      local upcoming, open_ones = nil, 0
      for i = #walls, 1, -1 do
        local time = from + (i - 1) * STEP
        if is_inside(walls[i]) then upcoming, open_ones = time, open_ones + 1 end
        if upcoming then
          assert.equal(upcoming, tonumber(found[i]), case[2] .. " at " .. walls[i])
        end
      end
      assert.is_true(open_ones > 0)
    end
    tempdir.remove(dir)
  end)
end)
