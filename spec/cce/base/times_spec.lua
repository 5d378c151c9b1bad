local times = require "cce.base.times"

describe("cce.times", function()
  it("reads what the API, its gateways and our own files write", function()
    for text, expected in pairs {
      ["2026-01-02T03:04:05Z"] = 1767323045,
      ["2026-01-02T03:04:05.678Z"] = 1767323045,
      ["2026-01-02 03:04:05.678901 +0000 UTC"] = 1767323045,
      ["20260102T030405Z"] = 1767323045,
      ["1970-01-01 00:00:00"] = 0,
      ["2000-02-29T00:00:00Z"] = 951782400,
      ["2100-03-01T00:00:00Z"] = 4107542400,
    } do
      assert.equal(expected, times.parse(text), text)
    end
  end)

  it("reads nothing else", function()
    for _, text in ipairs { "", "yesterday", "2026-01-02", "20260102T030405",
      "2026-01-02T03:04:05+08:00", "x2026-01-02T03:04:05Z", "20261345T999999Z",
      "20260229T000000Z", "21000229T000000Z", "20260431T000000Z", "20260000T000000Z",
      "20260001T000000Z", "20260102T240000Z", "20260102T006000Z", "20260102T000061Z" } do
      assert.is_nil(times.parse(text), text)
    end
    assert.is_nil(times.parse(nil))
    assert.is_nil(times.parse(1767323045))
  end)

  it("reads the Date header of an answer", function()
    assert.equal(1767323045, times.parse_http "Fri, 02 Jan 2026 03:04:05 GMT")
    assert.is_nil(times.parse_http "Fri, 02 Foo 2026 03:04:05 GMT")
    assert.is_nil(times.parse_http "Fri, 30 Feb 2026 03:04:05 GMT")
    assert.is_nil(times.parse_http "Fri, 02 Jan 2026 24:04:05 GMT")
    assert.is_nil(times.parse_http "now")
    assert.is_nil(times.parse_http(nil))
  end)

  it("writes what it reads", function()
    assert.equal("2026-01-02T03:04:05Z", times.format(1767323045.9))
    for _, seconds in ipairs { 0, 951782400, 1767323045 } do
      assert.equal(seconds, times.parse(times.format(seconds)))
    end
  end)
end)
