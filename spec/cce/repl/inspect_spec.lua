local inspect = require "cce.repl.inspect"

describe("cce.repl.inspect", function()
  it("shows plain values as they are written", function()
    assert.equal("12", inspect.show(12))
    assert.equal('"a\\"b"', inspect.show 'a"b')
    assert.equal("nil", inspect.show(nil))
    assert.equal("two\nlines", inspect.show "two\nlines")
    assert.equal("{}", inspect.show {})
    assert.equal('{ 1, "b", x = true, ["a b"] = 2 }', inspect.show { 1, "b", ["a b"] = 2, x = true }
      :gsub('%["a b"%] = 2, x = true', 'x = true, ["a b"] = 2'))
    assert.equal('{ 1, [true] = 4, [-1] = 3, [2.5] = 2, a = 5, b = 6 }',
      inspect.show { 1, [2.5] = 2, [-1] = 3, [true] = 4, b = 6, a = 5 })
  end)

  it("lets nothing through that a terminal would obey", function()
    assert.equal('"a?[2Jb"', inspect.show "a\27[2Jb")
    local object = setmetatable({}, { __tostring = function() return "a\7b" end })
    assert.equal("a?b", inspect.show(object))
  end)

  it("hides secrets by their names and by what they look like", function()
    local text = inspect.show {
      sk = "not-a-real-sk", token = "not-a-real-token", password = "not-a-real-password",
      nested = { ["client-key-data"] = "not-a-real-key" }, url = "http://joe:not-a-real-pw@proxy:1",
      pem = "-----BEGIN " .. "PRIVATE KEY-----\nxx",
    }
    assert.is_nil(text:find "not%-a%-real")
    assert.is_nil(text:find "xx")
    assert.truthy(text:find "proxy:1")
    local pem = inspect.show("-----BEGIN " .. "PRIVATE KEY-----\nxx")
    assert.is_nil(pem:find "xx")
  end)

  it("is bounded in depth and in width, and survives cycles", function()
    local deep = {}
    local inner = deep
    for _ = 1, 50 do
      inner.down = {}
      inner = inner.down
    end
    assert.truthy(inspect.show(deep):find "{…}")
    local wide = {}
    for i = 1, 5000 do wide[i] = i end
    assert.truthy(inspect.show(wide):find "… 4960 more")
    local cycle = {}
    cycle.self = cycle
    assert.equal("{ self = <as above> }", inspect.show(cycle))
  end)

  it("shows objects as they print, lists of them line by line", function()
    local meta = { __tostring = function(object) return "thing " .. object.n end }
    local a, b = setmetatable({ n = 1 }, meta), setmetatable({ n = 2 }, meta)
    assert.equal("thing 1", inspect.show(a))
    assert.equal("thing 1\nthing 2", inspect.show { a, b })
    assert.equal("{ x = thing 1 }", inspect.show { x = a })
  end)

  it("survives an object that cannot be shown", function()
    local bad = setmetatable({}, { __tostring = function() error "no" end })
    assert.equal("<a table that cannot be shown>", inspect.show(bad))
  end)
end)
