local show = require "cce.show"

describe("cce.show.columns", function()
  it("makes columns as wide as they must be", function()
    assert.equal("A   LONG\nbb  c\nb   cccccc",
      show.columns({ "A", "LONG" }, { { "bb", "c" }, { "b", "cccccc" } }))
  end)

  it("counts characters, not bytes", function()
    assert.equal("NAME  X\nb\195\164r   1\n\228\184\173     2",
      show.columns({ "NAME", "X" }, { { "b\195\164r", "1" }, { "\228\184\173", "2" } }))
  end)

  it("has a title when there are no rows", function()
    assert.equal("A  B", show.columns({ "A", "B" }, {}))
  end)
end)

describe("cce.show.time", function()
  it("is what people read, in UTC", function()
    assert.equal("1970-01-01 00:00:00 UTC", show.time(0))
    assert.equal("2030-01-01 00:00:00 UTC", show.time(1893456000.9))
  end)
end)
