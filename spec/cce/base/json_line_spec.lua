local core = require "cce.core"
local json_line = require "cce.base.json_line"

describe("cce.record", function()
  it("writes the fields in order, those of no order behind, on one line", function()
    local line = json_line.encode({ b = 1, a = "x\ny", z = true, c = "\"" },
      { "b", "missing", "a" })
    assert.equal('{"b":1,"a":"x\\ny","c":"\\"","z":true}', line)
    assert.same({ a = "x\ny", b = 1, c = "\"", z = true }, core.json.decode(line))
  end)

  it("never makes the same id twice", function()
    local seen = {}
    for _ = 1, 1000 do
      local id = json_line.new_id()
      assert.matches("^%x+$", id)
      assert.equal(16, #id)
      assert.is_nil(seen[id])
      seen[id] = true
    end
  end)
end)
