local progress = require "cce.progress"

describe("cce.progress", function()
  local now, written, stream

  before_each(function()
    now, written = 1000, {}
    stream = {
      write = function(_, text) written[#written + 1] = text end,
      flush = function() end,
    }
  end)

  local function display_with(opts)
    opts.stream = stream
    opts.clock = function() return now end
    return assert(progress.new(opts))
  end

  local function plain(text)
    return (text:gsub("\27%[[%d;]*%a", ""))
  end

  local function last()
    return plain(written[#written])
  end

  describe("on a terminal", function()
    it("redraws one line with bar, counts, rate, time left and failures", function()
      local display =
        display_with { total = 200, label = "rotating", is_terminal = true, width = 79 }
      display:update(0)
      assert.equal("\rrotating  [..............................]  0/200    0%",
        (last():gsub("%.%.%.%.%.+", ("."):rep(30))))
      now = now + 10
      display:update(50, 2)
      assert.truthy(
        last():find("^\rrotating  %[#+%.+%]  50/200   25%%  5%.0/s  ETA 0:30  2 failed$"), last())
      display:update(50.4, 2)
      assert.matches("  50/200   25%", last(), 1, true)
      now = now + 30
      display:update(200, 2)
      display:finish()
      assert.truthy(last():find("200/200  100%%  5%.0/s  in 0:40  2 failed\n$"), last())
    end)

    it("tells hours, minutes and seconds", function()
      for seconds, text in pairs { [59.4] = "0:59", [59.5] = "1:00", [3599] = "59:59",
        [3600] = "1:00:00", [3725] = "1:02:05", [100000] = "27:46:40" } do
        local display = display_with { total = 1, is_terminal = true, width = 79 }
        display:update(0)
        now = now + seconds
        display:update(1)
        display:finish()
        assert.matches("  in " .. text .. "\n$", last())
      end
    end)

    it("leaves nothing behind when nothing was done", function()
      local display = display_with { total = 4, is_terminal = true, width = 79 }
      display:update(0)
      display:finish()
      assert.equal("", (last():gsub("[\r ]", "")))
    end)

    for _, width in ipairs { 1, 5, 8, 20, 39, 40, 79, 80, 200 } do
      it("is never wider than " .. width .. " columns", function()
        local display = display_with {
          total = 123456, label = "Rotation für 集群 " .. ("x"):rep(30), is_terminal = true,
          width = width,
        }
        for step = 0, 20 do
          now = now + 7
          display:update(step * 6000, step * 1000)
          local line = last():gsub("^\r", "")
          local columns = 0
          for character in line:gmatch "[%z\1-\127\194-\244][\128-\191]*" do
            columns = columns + (character:byte() >= 0xE3 and 2 or 1)
          end
          assert.is_true(columns <= width, line)
        end
        assert.truthy(last():find("%d"))
      end)
    end

    it("draws at most once an interval, but always the first and the end", function()
      local display = display_with { total = 1000, is_terminal = true, width = 60 }
      for done = 1, 1000 do
        now = now + 0.001
        display:update(done)
      end
      display:finish()
      assert.is_true(#written >= 10 and #written <= 13)
      assert.truthy(written[#written]:find("1000/1000", 1, true))
      assert.equal(1, select(2, table.concat(written):gsub("\n", "")))
    end)

    it("erases what a longer line left", function()
      local display = display_with { total = 10, is_terminal = true, width = 60, interval = 0 }
      display:update(1)
      assert.truthy(written[1]:find("\27[K", 1, true))
    end)

    it("does not count earlier work in the rate", function()
      local display = display_with { total = 100, done = 80, is_terminal = true, width = 79 }
      now = now + 10
      display:update(90)
      assert.truthy(last():find("90/100   90%%  1%.0/s  ETA 0:10"), last())
    end)
  end)

  describe("elsewhere", function()
    it("writes a whole line now and then, without control characters", function()
      local display = display_with { total = 50, label = "rotating", is_terminal = false }
      for done = 1, 50 do
        now = now + 1
        display:update(done, done > 20 and 1 or 0)
      end
      display:finish()
      local text = table.concat(written)
      assert.is_nil(text:find("[%z\1-\9\11-\31\27]"))
      assert.equal(6, #written)
      assert.equal("rotating  10/50   20%  1.0/s  ETA 0:40\n", written[1])
      assert.equal("rotating  50/50  100%  1.0/s  in 0:50  1 failed\n", written[6])
    end)

    it("is the choice for a stream that is no terminal", function()
      local display = assert(progress.new { total = 1, stream = stream, clock = os.time })
      display:update(1)
      display:finish()
      assert.equal(1, #written)
      assert.is_nil(written[1]:find("\r", 1, true))
    end)
  end)

  it("makes room for something else, and is drawn again", function()
    local display = display_with { total = 10, is_terminal = true, width = 60, interval = 0 }
    display:clear()
    assert.equal(0, #written)
    display:update(3)
    display:clear()
    assert.equal("\r\27[K\r", written[#written])
    display:update(4)
    assert.truthy(last():find("4/10", 1, true))
    display:finish()
    local count = #written
    display:clear()
    assert.equal(count, #written)
  end)

  it("has no colour when told", function()
    local display = display_with { total = 10, is_terminal = true, width = 60, color = false }
    display:update(3, 1)
    assert.is_nil(written[#written]:find("\27[3", 1, true))
  end)

  it("works without a total", function()
    local display = display_with { is_terminal = true, width = 60 }
    now = now + 60
    display:update(3)
    assert.equal("\r3  3.0/min", last())
  end)

  it("is a callback as cce.map wants it, and returns nothing", function()
    local display = display_with { is_terminal = true, width = 60 }
    assert.equal(0, select("#", display(1, 4, 1)))
    assert.truthy(last():find("1/4   25%%"), last())
    assert.truthy(last():find("1 failed", 1, true))
    assert.equal("cce.progress: 1/4", tostring(display))
  end)

  it("stands nothing, too much and a clock that goes back", function()
    local display = display_with { total = 0, is_terminal = true, width = 60 }
    display:update(0)
    now = now - 100
    display:update(5)
    display:finish()
    display:finish()
    display:update(9)
    assert.equal(2, #written)
    assert.truthy(last():find("5/0  100%%  in 0:00"), last())
  end)

  it("goes on when the stream is gone", function()
    stream.write = function() error "broken pipe" end
    local display = display_with { total = 1, is_terminal = true }
    display:update(1)
    display:finish()
  end)

  it("does not let a label move the cursor", function()
    local display =
      display_with { total = 1, label = "a\27[2Jb\nc", is_terminal = true, width = 60 }
    display:update(0)
    assert.truthy(last():find("a?[2Jb?c", 1, true))
  end)

  it("raises on wrong use, and returns an error for what is out of range", function()
    assert.has_error(function() progress.new { totl = 1 } end)
    assert.has_error(function() progress.new { total = "1" } end)
    local display, message, err = progress.new { total = -1 }
    assert.is_nil(display)
    assert.equal("total is -1, but must be at least 0", message)
    assert.equal("INVALID_ARGUMENT", err.code)
    assert.has_error(function() progress.new({ total = 1 }):update("x") end)
  end)
end)
