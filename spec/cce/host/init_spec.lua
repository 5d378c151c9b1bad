local cce = require "cce"
local clients = require "spec.support.clients"
local core = require "cce.core"
local host = require "cce.host"
local simulator = require "spec.support.sim"

local function seconds_of(action)
  local start = core.sys.monotonic()
  action()
  return core.sys.monotonic() - start
end

describe("waiting in a plain script", function()
  it("takes as long as it should", function()
    for _, seconds in ipairs { 0, 0.01, 0.25 } do
      local took = seconds_of(function() host.current().sleep(seconds) end)
      assert.is_true(took >= seconds and took < seconds + 0.1, took)
    end
  end)

  it("takes no time for less than none", function()
    assert.is_true(seconds_of(function() host.current().sleep(-5) end) < 0.05)
  end)

  it("is cce.sleep's too", function()
    local took = seconds_of(function() cce.sleep(0.02) end)
    assert.is_true(took >= 0.02 and took < 0.2)
  end)

  it("ends soon after a hook has raised, as Ctrl-C does", function()
    local deadline = core.sys.monotonic() + 0.05
    local ok, message
    local took = seconds_of(function()
      debug.sethook(function()
        if core.sys.monotonic() > deadline then
          debug.sethook()
          error "interrupted!"
        end
      end, "", 1)
      ok, message = pcall(host.current().sleep, 5)
      debug.sethook()
    end)
    assert.is_false(ok)
    assert.matches("interrupted!", message)
    assert.is_true(took < 0.5, took)
  end)

  it("for a call ends soon after a hook has raised, and the client goes on", function()
    local sim = simulator.get()
    sim:fault { operation = "list_clusters", delay = 1, times = 1 }
    local client = clients.new(sim)
    local deadline = core.sys.monotonic() + 0.05
    debug.sethook(function()
      if core.sys.monotonic() > deadline then
        debug.sethook()
        error "interrupted!"
      end
    end, "", 1)
    local took = seconds_of(function() pcall(client.list_clusters, client) end)
    debug.sethook()
    assert.is_true(took < 0.5, took)
    assert.equal(5, #assert(client:list_clusters()))
    client:close()
  end)
end)
