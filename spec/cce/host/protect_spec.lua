local core = require "cce.core"
local protect = require("cce.host.protect")

-- As lists with a count, so that a nil at the end is seen.
local function pack(...)
  return { count = select("#", ...), ... }
end

describe("protect.pcall", function()
  local raised = setmetatable({}, { __tostring = function() return "an object" end })
  local cases = {
    ["nothing returned"] = { function() end },
    ["several values, nil among them"] = { function() return 1, nil, "x", nil end },
    ["arguments, nil among them"] = { function(...) return select("#", ...), ... end, nil, 2, nil },
    ["a string raised"] = { error, "plain", 0 },
    ["a string raised with its place"] = { function() error("placed") end },
    ["a table raised"] = { function() error(raised) end },
    ["nil raised"] = { function() error(nil) end },
    ["false raised"] = { function() error(false) end },
    ["a C function"] = { string.rep, "ab", 3 },
    ["an object that can be called"] = {
      setmetatable({}, { __call = function(_, value) return value end }), "called" },
    ["a pcall inside"] = { function() return pcall(error, "inner", 0) end },
  }
  for name, case in pairs(cases) do
    it("does as pcall does with " .. name, function()
      local unpack = table.unpack or unpack
      assert.same(pack(pcall(unpack(case, 1, 4))), pack(protect.pcall(unpack(case, 1, 4))))
    end)
  end

  it("fails for what cannot be called", function()
    for _, value in ipairs { 1, "x", {} } do
      local ok, message = protect.pcall(value)
      assert.is_false(ok)
      assert.matches("attempt to call .*a " .. type(value), message)
    end
  end)

  it("catches what a C function raises", function()
    local ok, message = protect.pcall(string.rep)
    assert.is_false(ok)
    assert.matches("bad argument #1 .*string expected", message)
  end)

  it("lets a coroutine yield and be resumed, with values", function()
    local thread = coroutine.create(function(...)
      return protect.pcall(function(...)
        local a, b, c = coroutine.yield(...)
        local d = coroutine.yield(a, b, c)
        return d, nil
      end, ...)
    end)
    assert.same(pack(true, 1, nil), pack(coroutine.resume(thread, 1, nil)))
    assert.same(pack(true, nil, 2, nil), pack(coroutine.resume(thread, nil, 2, nil)))
    assert.same(pack(true, true, "end", nil), pack(coroutine.resume(thread, "end")))
    assert.equal("dead", coroutine.status(thread))
  end)

  it("catches what is raised after a yield", function()
    local thread = coroutine.wrap(function()
      return protect.pcall(function()
        coroutine.yield("waiting")
        error("after", 0)
      end)
    end)
    assert.equal("waiting", thread())
    assert.same(pack(false, "after"), pack(thread()))
  end)

  it("nests", function()
    local thread = coroutine.wrap(function()
      return protect.pcall(function()
        local ok, message = protect.pcall(function()
          coroutine.yield(1)
          error("inner", 0)
        end)
        coroutine.yield(ok)
        error(message .. ", outer", 0)
      end)
    end)
    assert.equal(1, thread())
    assert.is_false(thread())
    assert.same(pack(false, "inner, outer"), pack(thread()))
  end)

  it("keeps known which coroutine to resume", function()
    local seen
    local thread = coroutine.create(function()
      protect.pcall(protect.pcall, function() seen = protect.running() end)
    end)
    assert(coroutine.resume(thread))
    assert.equal(thread, seen)
  end)
end)

describe("protect.catch", function()
  it("does as pcall does, but raises Ctrl-C on", function()
    assert.same(pack(true, 1, nil), pack(protect.catch(function() return 1, nil end)))
    assert.same(pack(false, "no"), pack(protect.catch(error, "no", 0)))
    assert.same(pack(false, protect.INTERRUPT),
      pack(pcall(protect.catch, error, protect.INTERRUPT)))
    -- What is returned was not raised.
    assert.same(pack(true, protect.INTERRUPT),
      pack(protect.catch(function() return protect.INTERRUPT end)))
  end)

  it("knows Ctrl-C by its words, at their end, once the signal has its default action", function()
    local is_default = core.sys.signal_is_default
    finally(function() core.sys.signal_is_default = is_default end)
    for _, row in ipairs {
      -- What was raised, whether an interpreter gave the signal back, whether it is Ctrl-C.
      { "script.lua:1: interrupted!", true, true }, { "script.lua:1: interrupted!", false, false },
      { "interrupted! No", true, false }, { "no", true, false }, { {}, true, false },
      { protect.INTERRUPT, false, true },
    } do
      core.sys.signal_is_default = function(name)
        assert.equal("SIGINT", name)
        return row[2]
      end
      assert.equal(row[3], protect.is_interrupt(row[1]))
    end
  end)

  it("raises it on from what has waited", function()
    local thread = coroutine.create(function()
      return protect.catch(function() error(coroutine.yield(), 0) end)
    end)
    coroutine.resume(thread)
    assert.same(pack(false, protect.INTERRUPT), pack(coroutine.resume(thread, protect.INTERRUPT)))
  end)
end)
