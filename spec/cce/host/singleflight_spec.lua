local cce = require "cce"
local singleflight = require "cce.host.singleflight"

describe("cce.flight.share", function()
  it("does it once for those who need it at once, and again later", function()
    local owner, count = {}, 0
    local function fetch(seconds)
      count = count + 1
      cce.sleep(seconds)
      return nil, "message", count
    end
    local results = cce.map({ 1, 2, 3, 4, 5 }, function()
      local value, message, number = singleflight.share(owner, "a", fetch, 0.02)
      assert.is_nil(value)
      assert.equal("message", message)
      return number
    end, { concurrency = 5 })
    for _, result in ipairs(results) do assert.equal(1, result.value) end
    assert.equal(2, select(3, singleflight.share(owner, "a", fetch, 0)))
  end)

  it("does different things at the same time", function()
    local owner, names = {}, {}
    cce.map({ "a", "b" }, function(name)
      singleflight.share(owner, name, function()
        names[#names + 1] = name
        cce.sleep(0.01)
        return true
      end)
    end, { concurrency = 2 })
    assert.same({ "a", "b" }, names)
  end)

  it("does not wait for longer than it may", function()
    local owner, order = {}, {}
    cce.map({ 0.5, 0 }, function(seconds)
      singleflight.share_within(0.02, owner, "a", function()
        cce.sleep(seconds)
        order[#order + 1] = seconds
      end)
    end, { concurrency = 2 })
    assert.same({ 0, 0.5 }, order)
  end)

  it("keeps nothing of one who raised", function()
    local owner = {}
    assert.has_error(function()
      singleflight.share(owner, "a", function() error("no", 0) end)
    end, "no")
    assert.equal(7, singleflight.share(owner, "a", function() return 7 end))
  end)
end)
