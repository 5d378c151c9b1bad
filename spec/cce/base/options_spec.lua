local options = require "cce.base.options"

describe("cce.options", function()
  local schema = {
    duration = { type = "integer", min = -1, max = 1827, unit = "days" },
    component = { type = "string", one_of = { "all", "custom" } },
    interval = { type = "number", min = 0, default = 5 },
    at_most = { type = "number", max = 3 },
    credentials = { type = { "table", "function" } },
    items = { type = "list" },
    on_progress = { type = "callable" },
    label = { type = "string", non_empty = true },
    flag = { type = "boolean", default = true },
    even = { type = "integer", check = function(n) return n % 2 == 0, "an even number" end },
  }

  -- A function of ours that takes options, and its caller.
  local function our_function(given)
    local checked, message, err = options.check(given, schema)
    return checked, message, err
  end

  local call_line

  local function message_of(given)
    local ok, message = pcall(function()
      call_line = ("options_spec.lua:%d:"):format(debug.getinfo(1, "l").currentline + 1)
      local result = our_function(given)
      return result
    end)
    assert.is_false(ok)
    return message
  end

  it("returns a copy with the defaults", function()
    local given = { duration = 30 }
    local checked = our_function(given)
    assert.same({ duration = 30, interval = 5, flag = true }, checked)
    assert.same({ duration = 30 }, given)
    assert.same({ interval = 5, flag = true }, our_function(nil))
    assert.is_false(our_function { flag = false }.flag)
  end)

  it("raises for an unknown option, guesses, and points at the caller", function()
    local message = message_of { durration = 3 }
    assert.truthy(message:find("unknown option 'durration' (did you mean 'duration'?)", 1, true))
    assert.truthy(message:find(call_line, 1, true), message)
    assert.truthy(message_of { zzzzzzzz = 1 }:find("unknown option 'zzzzzzzz'$"))
    message = message_of { "x" }
    assert.truthy(message:find("an option's name must be a string, not a number", 1, true))
  end)

  it("raises for a wrong type, and points at the caller", function()
    local wrong = {
      duration = "30", component = 1, interval = {}, credentials = "x", items = { a = 1 },
      on_progress = {}, flag = 0,
    }
    for key, value in pairs(wrong) do
      local message = message_of { [key] = value }
      assert.truthy(message:find(("bad option '%s' ("):format(key), 1, true))
      assert.truthy(message:find(call_line, 1, true), message)
    end
    local message = message_of { credentials = 1 }
    assert.truthy(message:find("table or function expected, got number", 1, true))
    assert.truthy(message_of("x"):find("a table of options expected, got string", 1, true))
    assert.truthy(message_of("x"):find(call_line, 1, true))
  end)

  it("raises for a missing option", function()
    local ok, message = pcall(options.check, {}, { id = { type = "string", required = true } })
    assert.is_false(ok)
    assert.truthy(message:find("option 'id' is missing", 1, true))
  end)

  it("returns an error for a value out of range", function()
    local cases = {
      { { duration = -2 }, "duration is -2, but must be -1 to 1827 days" },
      { { duration = 1828 }, "duration is 1828, but must be -1 to 1827 days" },
      { { duration = 1.5 }, "duration is 1.5, but must be a whole number" },
      { { interval = -1 }, "interval is -1, but must be at least 0" },
      { { at_most = 4 }, "at_most is 4, but must be at most 3" },
      { { component = "none" }, "component is 'none', but must be one of all, custom" },
      { { label = "" }, "label is '', but must be a string that is not empty" },
      { { even = 3 }, "even is 3, but must be an even number" },
    }
    for _, case in ipairs(cases) do
      local checked, message, err = our_function(case[1])
      assert.is_nil(checked)
      assert.equal(case[2], message)
      assert.equal("INVALID_ARGUMENT", err.code)
    end
  end)

  it("takes the limits themselves, and no NaN", function()
    assert.truthy(our_function { duration = -1 })
    assert.truthy(our_function { duration = 1827 })
    assert.truthy(our_function { interval = 0, at_most = 3 })
    assert.is_nil((our_function { interval = 0 / 0 }))
    assert.is_nil((our_function { at_most = 0 / 0 }))
    assert.is_nil((our_function { duration = 0 / 0 }))
    assert.is_nil((our_function { duration = math.huge }))
  end)

  it("knows lists and what can be called", function()
    assert.truthy(our_function { items = {} })
    assert.truthy(our_function { items = { 1, 2 } })
    assert.truthy(our_function { on_progress = print })
    assert.truthy(our_function { on_progress = setmetatable({}, { __call = print }) })
    assert.truthy(message_of { items = { 1, 2, a = 3 } })
  end)

  it("checks single arguments", function()
    assert.is_nil(options.argument("x", "string", 1, "f"))
    local ok, message = pcall(options.argument, nil, { "string", "table" }, 2, "f")
    assert.is_false(ok)
    assert.truthy(message:find("bad argument #2 to 'f' (string or table expected, got no value)", 1,
      true))
  end)

  it("shows no address of a table", function()
    local rules = { ids = { type = "list", check = function() return false, "right" end } }
    for shown, list in pairs { ["an empty table"] = {}, ["a list of 2"] = { "a", "b" } } do
      local ok, message = options.check({ ids = list }, rules)
      assert.is_nil(ok)
      assert.equal("ids is " .. shown .. ", but must be right", message)
    end
  end)

  it("finds the nearest names", function()
    assert.equal(0, options.distance("", ""))
    assert.equal(3, options.distance("", "abc"))
    assert.equal(3, options.distance("kitten", "sitting"))
    assert.same({ "beta", "betas" }, options.nearest("Beta", { "betas", "beta", "gamma" }))
    assert.same({}, options.nearest("x", { "something" }))
  end)
end)
