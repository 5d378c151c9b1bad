local show = require "cce.text.show"

describe("cce.show.time", function()
  it("is what people read, in UTC", function()
    assert.equal("1970-01-01T00:00:00Z", show.time(0))
    assert.equal("2030-01-01T00:00:00Z", show.time(1893456000.9))
  end)
end)

describe("show.count", function()
  it("is of one thing or of many", function()
    for expected, given in pairs { ["0 days"] = { 0, "day" }, ["1 day"] = { 1, "day" },
      ["2 days"] = { 2, "day" }, ["1 entry was"] = { 1, "entry was", "entries were" },
      ["2 entries were"] = { 2, "entry was", "entries were" } } do
      assert.equal(expected, show.count(given[1], given[2], given[3]))
    end
  end)
end)

describe("show.list", function()
  local function row(each) return { each.name, each.count } end

  it("lets a list print as a table, whatever its entries lack", function()
    local Things = show.list("cce.things", { "NAME", "COUNT" }, row)
    local list = setmetatable({ { name = "one", count = 12 }, { count = 3 }, {} }, Things)
    assert.equal("NAME  COUNT\none   12\n      3\n      ", tostring(list))
    assert.equal("NAME  COUNT", tostring(setmetatable({}, Things)))
    assert.equal("cce.things", Things.__name)
  end)

  it("may have a line about the whole", function()
    local Things = show.list("cce.things", { "NAME" }, row, function(list)
      return #list > 0 and #list .. " things" or nil
    end)
    assert.equal("NAME\na\n1 things", tostring(setmetatable({ { name = "a" } }, Things)))
    assert.equal("NAME", tostring(setmetatable({}, Things)))
  end)
end)
