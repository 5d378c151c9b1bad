local cce = require "cce"
local core = require "cce.core"
local errors = require "cce.error"

describe("cce.error", function()
  it("has a stable word and a sentence for every code", function()
    local count = 0
    for code, text in pairs(cce.codes) do
      assert.matches("^[A-Z][A-Z_]+$", code)
      assert.matches("^%a[^\n]+[^.%s]$", text)
      count = count + 1
    end
    assert.is_true(count > 30)
    assert.equal(core.codes, cce.codes)
  end)

  it("refuses a code that is not in the list", function()
    assert.has_error(function() errors.new("NO_SUCH_CODE", "a message") end)
  end)

  it("copies the fields that are given", function()
    local given = { operation = "show_job", status = 404, retryable = false, maybe_applied = false }
    local err = errors.new("NOT_FOUND", "there is no such job", given)
    given.status = 500
    assert.equal("NOT_FOUND", err.code)
    assert.equal("there is no such job", err.message)
    assert.equal(404, err.status)
    assert.is_false(err.retryable)
    assert.is_nil(err.hint)
  end)

  it("prints as its message, with the hint as a second sentence", function()
    assert.equal("it failed", tostring(errors.new("TIMEOUT", "it failed")))
    local err = errors.new("TIMEOUT", "it failed", { hint = "Wait" })
    assert.equal("it failed. Wait", tostring(err))
    assert.equal("because it failed. Wait", "because " .. err)
    assert.equal("it failed. Wait!", err .. "!")
    assert.equal("it failed. Waitit failed. Wait", err .. err)
  end)

  it("returns the triple that every function returns", function()
    local result, message, err = errors.fail("CONFLICT", "too early", { status = 409 })
    assert.is_nil(result)
    assert.equal("too early", message)
    assert.equal("CONFLICT", err.code)
    assert.equal(409, err.status)
  end)

  it("makes the triple out of that of the core, and passes results on", function()
    local result, message, err = errors.from_core(nil, "no memory", "NO_MEMORY")
    assert.is_nil(result)
    assert.equal("no memory", message)
    assert.equal("NO_MEMORY", err.code)
    assert.equal(7, errors.from_core(7))
    assert.is_false(errors.from_core(false))
  end)

  it("knows its own", function()
    assert.is_true(errors.is(errors.new("TIMEOUT", "late")))
    for _, other in ipairs { {}, "TIMEOUT", 1, true, print } do
      assert.is_false(errors.is(other))
    end
    assert.is_false(errors.is(nil))
  end)

  it("gives assert a text that says why, on every Lua", function()
    local ok, message = pcall(function()
      assert(errors.fail("TIMEOUT", "the answer did not come"))
    end)
    assert.is_false(ok)
    assert.matches("the answer did not come", tostring(message))
  end)
end)
