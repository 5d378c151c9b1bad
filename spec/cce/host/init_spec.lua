local cce = require "cce"
local clients = require "spec.support.clients"
local core = require "cce.core"
local host = require "cce.host"
local quick = require "spec.support.quick"
local simulator = require "spec.support.sim"

local function seconds_of(action)
  local start = core.sys.monotonic()
  action()
  return core.sys.monotonic() - start
end

describe("waiting in a plain script", function()
  it("takes as long as it should", function()
    for _, seconds in ipairs { 0, 0.01, 0.25 } do
      assert.is_true(quick(seconds + 0.1, function()
        local took = seconds_of(function() host.current().sleep(seconds) end)
        assert.is_true(took >= seconds, took)
        return took
      end))
    end
  end)

  it("takes no time for less than none", function()
    assert.is_true(quick(0.05, function() host.current().sleep(-5) end))
  end)

  it("is cce.sleep's too", function()
    assert.is_true(quick(0.2, function()
      local took = seconds_of(function() cce.sleep(0.02) end)
      assert.is_true(took >= 0.02)
      return took
    end))
  end)

  it("ends soon after a hook has raised, as Ctrl-C does", function()
    assert.is_true(quick(0.5, function()
      local deadline = core.sys.monotonic() + 0.05
      debug.sethook(function()
        if core.sys.monotonic() > deadline then
          debug.sethook()
          error "interrupted!"
        end
      end, "", 1)
      local ok, message = pcall(host.current().sleep, 5)
      debug.sethook()
      assert.is_false(ok)
      assert.matches("interrupted!", message)
    end))
  end)

  it("for a call ends soon after a hook has raised, and the client goes on", function()
    local sim = simulator.get()
    local client = clients.new(sim)
    assert.is_true(quick(0.5, function()
      sim:fault { operation = "list_clusters", delay = 1, times = 1 }
      local deadline = core.sys.monotonic() + 0.05
      debug.sethook(function()
        if core.sys.monotonic() > deadline then
          debug.sethook()
          error "interrupted!"
        end
      end, "", 1)
      local took = seconds_of(function() assert.is_false((pcall(client.list_clusters, client))) end)
      debug.sethook()
      return took
    end))
    assert.equal(5, #assert(client:list_clusters()))
    client:close()
  end)
end)
