local width = require "cce.text.width"

describe("cce.width", function()
  it("counts columns, not bytes", function()
    assert.equal(0, width.of "")
    assert.equal(3, width.of "abc")
    assert.equal(3, width.of "für")
    assert.equal(4, width.of "集群")
    assert.equal(1, width.of "…")
  end)

  it("cuts between characters, and never takes more than there is room", function()
    assert.equal("ab", width.cut("abc", 2))
    assert.equal("für", width.cut("für", 3))
    assert.equal("集", width.cut("集群", 3))
    assert.equal("", width.cut("集群", 1))
    assert.equal("abc", width.cut("abc", 10))
  end)
end)
