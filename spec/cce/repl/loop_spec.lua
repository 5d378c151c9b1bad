local cce = require "cce"
local core = require "cce.core"
local loops = require "cce.repl.loop"

describe("cce.repl.loop", function()
  local loop

  before_each(function()
    loop = loops.new()
    cce.use_loop(loop.functions)
  end)

  after_each(function() cce.use_loop(nil) end)

  local function drive(task)
    local limit = core.sys.monotonic() + 120
    while not task.done and core.sys.monotonic() < limit do loop:step(0.05) end
    assert.is_true(task.done)
  end

  it("runs a task at once, until it waits", function()
    local seen = {}
    local task = loop:start(function()
      seen[#seen + 1] = "begun"
      cce.sleep(0.005)
      seen[#seen + 1] = "ended"
      return 7
    end, function(...) seen.results = { ... } end)
    assert.same({ "begun" }, seen)
    drive(task)
    assert.same({ "begun", "ended", results = { true, 7 } }, seen)
  end)

  it("runs two tasks in turns", function()
    local order = {}
    local function go(name)
      return loop:start(function()
        for i = 1, 2 do
          order[#order + 1] = name .. i
          cce.sleep(0.002)
        end
      end, function() end)
    end
    local a, b = go "a", go "b"
    drive(a)
    drive(b)
    assert.same({ "a1", "b1" }, { order[1], order[2] })
    assert.equal(4, #order)
  end)

  it("runs the items of cce.map at the same time", function()
    local running, most = 0, 0
    local task = loop:start(function()
      return cce.map({ 1, 2, 3 }, function(i)
        running = running + 1
        most = math.max(most, running)
        cce.sleep(0.002)
        running = running - 1
        return i * 2
      end)
    end, function(_, results) most = most + #results * 100 end)
    drive(task)
    assert.equal(303, most)
  end)

  it("raises an interrupt where the task waits, and begins no further item", function()
    local begun, outcome, results = 0, nil, {}
    local task = loop:start(function()
      cce.map({ 1, 2, 3, 4, 5, 6 }, function(i)
        begun = begun + 1
        cce.sleep(i == 1 and 0.001 or 60)
      end, { concurrency = 2, results = results })
    end, function(...) outcome = { ... } end)
    while begun < 3 do loop:step(0.05) end
    loop:interrupt(task)
    drive(task)
    assert.is_false(outcome[1])
    assert.equal("interrupted!", tostring(outcome[2]))
    assert.equal(3, begun)
    assert.is_true(results[1].ok)
    assert.is_nil(next(task.threads))
  end)

  it("interrupts no other task", function()
    local ended
    local other = loop:start(function() cce.sleep(0.02) return "fine" end,
      function(_, value) ended = value end)
    local task = loop:start(function() cce.sleep(60) end, function() end)
    loop:interrupt(task)
    drive(task)
    drive(other)
    assert.equal("fine", ended)
  end)

  it("tells whether a descriptor of ours can be read", function()
    assert.is_false(loop:step(0, nil))
    local file = assert(io.open "/dev/null")
    file:close()
    -- Standard input of the specs is /dev/null or a terminal that nobody uses.
    assert.is_boolean(loop:step(0, 0))
  end)
end)
