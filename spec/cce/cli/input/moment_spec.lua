local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

-- In a zone that needs no files, where 02:00 is skipped on 2026-03-29, and 02:00 to 03:00 is there
-- twice on 2026-10-25. GNU date says what is meant.
local TZ = "CET-1CEST,M3.5.0,M10.5.0/3"

describe("a moment as people type it", function()
  local dir

  setup(function()
    dir = tempdir.new()
    tempdir.write(dir .. "/read.lua", [[
      local moment = require "cce.cli.input.moment"
      for i = 1, #arg, 2 do
        local time, note = moment.read(arg[i + 1], tonumber(arg[i]))
        print(time and ("%d"):format(time) or "nil", note)
      end
    ]])
  end)

  teardown(function() tempdir.remove(dir) end)

  local function date(text)
    return tonumber((tempdir.shell(("TZ=%s date -d '%s' +%%s"):format(TZ, text))))
  end

  -- What each text of a list of { now, text } is.
  local function read(list, tz)
    local words, found = {}, {}
    for _, each in ipairs(list) do
      words[#words + 1] = ("%d"):format(date(each[1]))
      words[#words + 1] = tempdir.quote(each[2])
    end
    local out = tempdir.shell(("TZ=%s LUA_PATH=%s LUA_CPATH=%s %s %s/read.lua %s"):format(
      tempdir.quote(tz or TZ), tempdir.quote(package.path), tempdir.quote(package.cpath),
      simulator.interpreter(), dir,
      table.concat(words, " ")))
    for line in out:gmatch "[^\n]+" do
      local time, note = line:match "^(%S+)\t(.*)$"
      found[#found + 1] = { time = tonumber(time), note = note }
    end
    return found
  end

  it("is the next of its kind, in local time, which is said", function()
    -- 2026-11-29 is a Sunday.
    local cases = {
      { "2026-11-29 10:00", "18:00", "2026-11-29 18:00" },
      { "2026-11-29 10:00", "today 18:00", "2026-11-29 18:00" },
      { "2026-11-29 10:00", "tomorrow 09:00", "2026-11-30 09:00" },
      { "2026-11-29 10:00", "fri 18:00", "2026-12-04 18:00" },
      { "2026-11-29 10:00", "Friday 18:00", "2026-12-04 18:00" },
      { "2026-11-29 10:00", "sun 18:00", "2026-11-29 18:00" },
      { "2026-12-31 23:59", "tomorrow 00:00", "2027-01-01 00:00" },
      -- Across both changes of the clock.
      { "2026-03-28 12:00", "tomorrow 12:00", "2026-03-29 12:00" },
      { "2026-10-24 12:00", "sun 12:00", "2026-10-25 12:00" },
      { "2026-10-24 12:00", "mon 01:30", "2026-10-26 01:30" },
    }
    for i, each in ipairs(read(cases)) do
      assert.equal(date(cases[i][3]), each.time, cases[i][2])
    end
    assert.equal("'fri 18:00' is 2026-12-04T18:00:00+01:00, local time of this machine",
      read(cases)[4].note)
    assert.equal("'sun 12:00' is 2026-10-25T12:00:00+01:00, local time of this machine",
      read(cases)[9].note)
  end)

  it("is refused when it has passed, is skipped or is there twice", function()
    local found = read { { "2026-11-29 18:00", "18:00" }, { "2026-11-29 19:00", "sun 18:00" },
      { "2026-03-28 12:00", "tomorrow 02:30" }, { "2026-10-24 12:00", "tomorrow 02:30" } }
    for i, expected in ipairs { "has passed today: say 'tomorrow 18:00'", "has passed today",
      "is skipped in local time", "is there twice in local time" } do
      assert.is_nil(found[i].time)
      assert.matches(expected, found[i].note, 1, true)
    end
  end)

  it("is refused where TZ names a zone that the machine does not know", function()
    -- The C library takes each of these for UTC.
    for _, tz in ipairs { "Nowhere/City", ":Nowhere/City", "Nowhere", "/nowhere/city",
      "Nowhere/E+5", "Nowhere/CET-1" } do
      local found = read({ { "2026-11-29 10:00", "fri 18:00" } }, tz)[1]
      assert.is_nil(found.time, tz)
      assert.matches("TZ is " .. tz:gsub("^:", ""), found.note, 1, true)
    end
    tempdir.write(dir .. "/City", "a zone")
    for _, tz in ipairs { "", "UTC", "UTC0", "GMT", "<+03>-3", "CET-1CEST", dir .. "/City" } do
      assert.truthy(read({ { "2026-11-29 10:00", "fri 18:00" } }, tz)[1].time, tz)
    end
  end)

  it("is nothing else", function()
    local texts, list = { "friday", "6pm", "6:00", "next fri 18:00", "12/04 18:00", "fri", "24:00",
      "18:60", "fry 18:00", "fri 18", "in 2 hours", "" }, {}
    for i, text in ipairs(texts) do list[i] = { "2026-11-29 10:00", text } end
    for i, each in ipairs(read(list)) do assert.same({ note = "nil" }, each, texts[i]) end
  end)
end)
