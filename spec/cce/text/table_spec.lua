local tables = require "cce.text.table"
local width = require "cce.text.width"

local ID = "0123456789abcdef0123456789abcdef"

local function lines_of(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = line end
  return list
end

describe("a table", function()
  it("is as wide as it must be", function()
    assert.equal("A   LONG\nbb  c\nb   cccccc",
      tables.text({ "A", "LONG" }, { { "bb", "c" }, { "b", "cccccc" } }))
    assert.equal("A  B", tables.text({ "A", "B" }, {}))
  end)

  it("counts columns, not bytes", function()
    assert.equal("NAME  X\nb\195\164r   1\n\228\184\173    2",
      tables.text({ "NAME", "X" }, { { "b\195\164r", "1" }, { "\228\184\173", "2" } }))
  end)

  it("shortens identifiers first, and never what is kept", function()
    local text = tables.text({ "NAME", "ID", "UNTIL", "NOTE" },
      { { "production-eu", ID, "2026-12-21T00:00:00Z", "a note" } }, 60,
      { "keep", "id", "keep" })
    assert.same({ "NAME           ID               UNTIL                 NOTE",
      "production-eu  0123456789abcd…  2026-12-21T00:00:00Z  a note" }, lines_of(text))
    for limit = 20, 120 do
      text = tables.text({ "NAME", "ID", "UNTIL" },
        { { "production-eu", ID, "2026-12-21T00:00:00Z" } }, limit, { "keep", "id", "keep" })
      assert.truthy(text:find("production-eu", 1, true))
      assert.truthy(text:find("2026-12-21T00:00:00Z", 1, true))
    end
  end)

  it("drops columns that say nothing in any row, when there is not room for all", function()
    local titles, rows = { "NAME", "CHECK", "FILE" }, { { "prod", "-", "some/long/file/name" },
      { "dev", "-", "x" } }
    assert.equal("NAME  CHECK  FILE\nprod  -      some/long/file/name\ndev   -      x",
      tables.text(titles, rows, 60))
    assert.equal("NAME  FILE\nprod  some/long/file/name\ndev   x", tables.text(titles, rows, 30))
    assert.equal(3, #rows[1])
  end)

  it("drops identifiers that have no room, before anything that is known by", function()
    local titles, kinds = { "CONTEXT", "USER ID", "CLUSTER ID", "UNTIL" },
      { "keep", "id", "id", "keep" }
    local rows = { { "production-eu", ID, ID, "2026-12-21T00:00:00Z" } }
    assert.same({ "CONTEXT        USER ID    UNTIL",
      "production-eu  01234567…  2026-12-21T00:00:00Z" }, lines_of(tables.text(titles, rows, 46,
      kinds)))
    assert.same({ "CONTEXT        UNTIL", "production-eu  2026-12-21T00:00:00Z" },
      lines_of(tables.text(titles, rows, 45, kinds)))
    assert.equal(4, #rows[1])
  end)

  it("wraps sentences beside their row where there is room, else below it", function()
    local says = "the certificate was revoked and the cluster refuses it"
    local beside = lines_of(tables.text({ "NAME", "STATE", "ID" }, { { "c1", says, "x" } }, 40,
      { "keep", "prose" }))
    assert.same({
      "NAME  ID  STATE",
      "c1    x   the certificate was revoked",
      "          and the cluster refuses it",
    }, beside)
    local below = lines_of(tables.text({ "NAME", "STATE" }, { { ("n"):rep(30), says } }, 40,
      { "keep", "prose" }))
    assert.same({
      "NAME",
      ("n"):rep(30),
      "  the certificate was revoked and the",
      "  cluster refuses it",
    }, below)
    for limit = 30, 100 do
      for _, line in ipairs(lines_of(tables.text({ "NAME", "STATE" }, { { "c1", says } }, limit,
        { "keep", "prose" }))) do
        assert.is_true(width.of(line) <= limit, line)
      end
    end
  end)
end)
