local backgrounds = require "cce.repl.background"
local cce = require "cce"
local errors = require "cce.error"
local loops = require "cce.repl.loop"

describe("cce.repl.background", function()
  local loop, works, ended

  before_each(function()
    loop, ended = loops.new(), {}
    cce.use_loop(loop.functions)
    works = backgrounds.new(loop, function(work) ended[#ended + 1] = work end)
  end)

  after_each(function() cce.use_loop(nil) end)

  local function finish()
    for _ = 1, 12000 do
      if #works:running() == 0 then return end
      loop:step(0.01)
    end
    error "it does not end"
  end

  it("tells what came of it", function()
    local good = works:start(function() cce.sleep(0.002) return 7 end, "good")
    local bad = works:start(function()
      cce.sleep(0.001)
      return errors.fail("TIMEOUT", "too late")
    end)
    local worse = works:start(function() error("boom", 0) end, "worse")
    assert.equal("running", good.state)
    finish()
    assert.same({ "done", 7 }, { good.state, good.value })
    assert.same({ "failed", "TIMEOUT", "too late" }, { bad.state, bad.err.code, bad.message })
    assert.same({ "failed", "boom" }, { worse.state, worse.message })
    assert.equal(3, #ended)
    assert.equal(worse, ended[1])
    assert.truthy(tostring(good):find "^%[1%] good: done, ")
    assert.truthy(tostring(bad):find "^%[2%] work 2: failed, .-: too late$")
    assert.truthy(tostring(works:all()):find "3   worse   failed  .-boom")
  end)

  it("stops it where it waits", function()
    local work = works:start(function() cce.sleep(60) end)
    assert.equal(work, work:stop())
    finish()
    assert.equal("stopped", work.state)
  end)

  it("keeps what background work draws for the status line", function()
    local written = {}
    local stream = works:stream { write = function(_, text) written[#written + 1] = text end,
      flush = function() end }
    local bar = cce.progress { total = 2, label = "x", stream = stream, is_terminal = true,
      width = 60, interval = 0 }
    local work = works:start(function()
      bar:update(1, 0)
      cce.sleep(0.002)
    end, "drawing")
    assert.same({}, written)
    assert.truthy(works:status():find "^%[1%] x .-1/2")
    assert.is_nil(works:status():find "[\r\n]")
    finish()
    assert.is_nil(work.progress)
    assert.is_nil(works:status())
    bar:update(2, 0)
    assert.equal(1, #written)
  end)
end)
