local core = require "cce.core"
local record = require "cce.record"

describe("cce.record", function()
  it("writes the fields in order, those of no order behind, on one line", function()
    local line = record.encode({ b = 1, a = "x\ny", z = true, c = "\"" }, { "b", "missing", "a" })
    assert.equal('{"b":1,"a":"x\\ny","c":"\\"","z":true}', line)
    assert.same({ a = "x\ny", b = 1, c = "\"", z = true }, core.json.decode(line))
  end)

  it("writes and reads moments", function()
    assert.equal("2026-01-02T03:04:05Z", record.time(1767323045.9))
    assert.equal(1767323045, record.parse_time "2026-01-02T03:04:05Z")
    assert.equal(1767323045, record.parse_time "2026-01-02 03:04:05.678901 +0000 UTC")
    assert.equal(0, record.parse_time "1970-01-01 00:00:00")
    assert.equal(951782400, record.parse_time "2000-02-29T00:00:00Z")
    assert.is_nil(record.parse_time "yesterday")
    assert.is_nil(record.parse_time(nil))
  end)

  it("never makes the same id twice", function()
    local seen = {}
    for _ = 1, 1000 do
      local id = record.new_id()
      assert.matches("^%x+$", id)
      assert.equal(16, #id)
      assert.is_nil(seen[id])
      seen[id] = true
    end
  end)
end)
