local convert = require "cce.cli.input.convert"

describe("what is typed", function()
  it("is a whole number, or an error that repeats it", function()
    assert.equal(12, convert.integer "12")
    for _, text in ipairs { "", "-1", "1.5", "x", "1e3" } do
      local value, message = convert.integer(text)
      assert.is_nil(value)
      assert.matches("'" .. text .. "'", message, 1, true)
    end
  end)

  it("is days, or max for the longest", function()
    assert.equal(30, convert.days "30")
    assert.equal(-1, convert.days "max")
    assert.is_nil((convert.days "0.5"))
    assert.is_nil((convert.days "-1"))
  end)

  it("is a duration with a unit", function()
    for text, seconds in pairs { ["90"] = 90, ["90s"] = 90, ["15m"] = 900, ["2h"] = 7200,
      ["7d"] = 604800, ["1.5h"] = 5400, ["2w"] = 1209600 } do
      assert.equal(seconds, convert.duration(text))
    end
    for _, text in ipairs { "", "h", "2 h", "2y", "-2h", "2h3" } do
      assert.is_nil((convert.duration(text)))
    end
  end)

  it("is a moment only with its zone", function()
    assert.equal(1769882400, convert.time "2026-01-31T18:00Z")
    assert.equal(1769882400, convert.time "2026-01-31T18:00:00Z")
    assert.equal(1769882400, convert.time "2026-02-01T02:00+08:00")
    assert.equal(1769882400, convert.time "2026-01-31T13:30-0430")
    for _, text in ipairs { "2026-01-31T18:00", "2026-01-31", "2026-02-30T18:00Z",
      "2026-01-31T25:00Z", "2026-01-31T18:00+25:00", "2026-01-31T18:00+08:99", "tomorrow", "+x" } do
      local value, message = convert.time(text)
      assert.is_nil(value, text)
      assert.matches("with its zone", message, 1, true)
    end
  end)

  it("is a moment from now on, or one that has been", function()
    assert.is_true(math.abs(convert.time "+2h" - os.time() - 7200) < 60)
    assert.is_true(math.abs(os.time() - 172800 - convert.past "2d") < 60)
    assert.equal(1769882400, convert.past "2026-01-31T18:00Z")
    assert.is_nil((convert.past "yesterday"))
  end)

  it("that has passed is told where something is to be done at it", function()
    assert.equal(1769882400, convert.due "2026-01-31T18:00Z")
    assert.same({ "'2026-01-31T18:00Z' has passed: what is put in for it is due at once" },
      convert.heard())
    assert.is_number(convert.due "+2h")
    assert.is_number(convert.due "9999-12-31T00:00Z")
    assert.same({}, convert.heard())
    assert.matches("with its zone", select(2, convert.due "2026-01-31"), 1, true)
  end)

  it("is a count or a share, and a rate or none", function()
    assert.equal(5, convert.limit "5")
    assert.equal("10%", convert.limit "10%")
    assert.is_nil((convert.limit "x"))
    assert.equal("10/min", convert.rate "10/min")
    assert.is_false(convert.rate "none")
    assert.is_nil(convert.rate(nil))
  end)
end)
