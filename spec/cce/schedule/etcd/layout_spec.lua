local core = require "cce.core"
local layout = require "cce.schedule.etcd.layout"

describe("what lies where in etcd", function()
  local function row_of(value, found)
    return layout.row("id", { value = core.to_base64(value), mod_revision = "7" }, found)
  end

  it("rounds times so that nothing is early", function()
    local ms = 1767225600123
    for offset = 0, 999 do
      local seconds = (ms + offset) / 1000
      local digits = ("%016.0f"):format(ms + offset)
      assert.equal(digits, layout.not_before(seconds))
      assert.equal(digits, layout.not_after(seconds))
    end
    assert.equal("0000000000001001", layout.not_before(1.0004))
    assert.equal("0000000000001000", layout.not_after(1.0006))
    assert.equal("0000000000000000", layout.not_before(-5))
    assert.equal("0999999999999999", layout.not_before(1e300))
    assert.equal(16, #layout.not_before(math.huge))
  end)

  it("reads back the time of a key, or that of its place", function()
    assert.same({ 1767225600.123, "a/b" }, { layout.read_time "0001767225600123/a/b" })
    assert.same({ 500000000000, "x" }, { layout.read_time "05/x" })
    assert.same({ 0, "hello" }, { layout.read_time "hello" })
  end)

  it("keeps in a revision by what the row is found", function()
    local keys = { ["due/1/x"] = true, ["unique/50% \n\0\255"] = true }
    local revision = layout.write_revision("12", keys)
    assert.is_nil(revision:find "[%c\128-\255]")
    assert.same({ "12", keys }, { layout.read_revision(revision) })
    -- It is the same whenever it is written.
    local many = { a = true, b = true, c = true, d = true, e = true, f = true }
    assert.equal("3 a b c d e f", layout.write_revision("3", many))
  end)

  it("takes what is not ours for text", function()
    for _, value in ipairs { "", "text", "{}\nt", "{\n", "{\"state\":1}\nt", "[1]\nt", "\255\0",
      "{\"state\":\"a\"}" } do
      local row = row_of(value)
      assert.same({ value, "unknown", "7" }, { row.text, row.state, row.revision })
    end
    local row = row_of '{"state":"done","due":"soon","unique":[],"runner":5}\nt'
    assert.same({ "t", "done", "7 state/done/id" }, { row.text, row.state, row.revision })
    assert.is_nil(row.runner)
    for _, value in ipairs { "no Base64!", false } do
      assert.equal("", layout.row("id", { value = value or nil, mod_revision = "7" }).text)
    end
  end)

  it("remembers a key that led to it by mistake", function()
    local value = layout.write_value("t", { state = "pending", due = 1 }, "w")
    assert.is_false(row_of(value).is_stray)
    assert.is_false(row_of(value, "due/0000000000001000/id").is_stray)
    local row = row_of(value, "due/9/id")
    assert.is_true(row.is_stray)
    assert.matches("due/9/id", row.revision, nil, true)
    assert.equal("0 due/9/id", layout.row("id", nil, "due/9/id").revision)
  end)
end)
