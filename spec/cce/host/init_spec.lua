local cce = require "cce"
local clients = require "spec.support.clients"
local core = require "cce.core"
local host = require "cce.host"
local protect = require "cce.host.protect"
local simulator = require "spec.support.sim"

local function seconds_of(action)
  local start = core.sys.monotonic()
  action()
  return core.sys.monotonic() - start
end

-- As Ctrl-C does. What does not end by it would go on for an hour.
local function interrupt_soon(problem)
  local deadline = core.sys.monotonic() + 0.05
  debug.sethook(function()
    if core.sys.monotonic() > deadline then
      debug.sethook()
      error(problem or "interrupted!")
    end
  end, "", 1)
end

describe("waiting in a plain script", function()
  it("takes as long as it should", function()
    for _, seconds in ipairs { 0, 0.01, 0.25 } do
      local took = seconds_of(function() host.current().sleep(seconds) end)
      assert.is_true(took >= seconds, took)
    end
    assert.is_true(seconds_of(function() cce.sleep(0.02) end) >= 0.02)
  end)

  it("takes no time for less than none", function()
    assert.has_no.errors(function() host.current().sleep(-3600) end)
    -- Of NaN a task of cce.map would never go on, and neither would the others.
    local driver, given = host.current(), nil
    local sleep = driver.sleep
    finally(function() driver.sleep = sleep end)
    function driver.sleep(seconds) given = seconds end
    for _, seconds in ipairs { -1, 0 / 0 } do
      cce.sleep(seconds)
      assert.equal(0, given)
    end
  end)

  it("ends soon after a hook has raised, as Ctrl-C does", function()
    interrupt_soon()
    local ok, message = pcall(host.current().sleep, 3600)
    debug.sethook()
    assert.is_false(ok)
    assert.matches("interrupted!", message)
  end)

  it("ends a call when a hook has raised in its on_event", function()
    local client = clients.new(simulator.get(), { on_event = function() repeat until false end })
    interrupt_soon(protect.INTERRUPT)
    local ok, problem = pcall(client.list_clusters, client)
    debug.sethook()
    assert.same({ false, protect.INTERRUPT }, { ok, problem })
    client:close()
  end)

  it("for a call ends soon after a hook has raised, and the client goes on", function()
    local sim = simulator.get()
    local client = clients.new(sim, { timeout = 3600 })
    sim:reset()
    sim:fault { operation = "list_clusters", hold = "before", times = 1 }
    interrupt_soon()
    local ok, message = pcall(client.list_clusters, client)
    debug.sethook()
    assert.is_false(ok)
    assert.matches("interrupted!", message)
    -- Where it never got there, the next one would be held.
    sim:reset()
    assert.equal(5, #assert(client:list_clusters()))
    client:close()
  end)
end)
