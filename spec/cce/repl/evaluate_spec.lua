local evaluate = require "cce.repl.evaluate"

describe("cce.repl.evaluate", function()
  local function value(text, env)
    return assert(evaluate.compile(text, env or {}))()
  end

  it("returns the value of an expression, also after '='", function()
    assert.equal(3, value "1 + 2")
    assert.equal(3, value "= 1 + 2")
    assert.equal(3, value "return 3")
  end)

  it("runs statements in the given globals", function()
    local env = {}
    assert.is_nil(value("x = 5", env))
    assert.equal(5, env.x)
    assert.equal(6, value("x + 1", env))
    assert.is_nil(rawget(_G, "x"))
  end)

  it("goes on with a string that is left open, and nothing that looks like one", function()
    for _, text in ipairs { 'x = "abc', "f('it", '"a\\' } do
      local _, _, incomplete = evaluate.compile(text, {})
      assert.is_true(incomplete, text)
    end
    assert.equal("a\nb", value 'return "a\nb"')
    assert.equal("a\nb", value "return 'a\\\nb'")
    assert.equal('a"\nb', value 'return [[a"\nb]]')
    assert.equal(1, value "-- it's\nreturn 1")
    assert.equal(2, value '--[==[ "x\n]==] return 2')
    assert.equal("it's", value "return 'it\\'s' -- \"open\n")
  end)

  it("tells what is not complete from what is wrong", function()
    for _, text in ipairs { "for i = 1, 2 do", "f(", "x = {", "if a then\nb()", "x =", "[[a" } do
      local fn, message, incomplete = evaluate.compile(text, {})
      assert.is_nil(fn)
      assert.is_string(message)
      assert.is_true(incomplete, text)
    end
    for _, text in ipairs { "x = = 1", "end", "1 +* 2" } do
      local fn, message, incomplete = evaluate.compile(text, {})
      assert.is_nil(fn)
      assert.truthy(message:find "^line 1:")
      assert.is_false(incomplete, text)
    end
  end)
end)
