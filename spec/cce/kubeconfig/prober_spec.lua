-- What a kubeconfig is tried with where there is no client.
local host = require "cce.host"
local probers = require "cce.kubeconfig.prober"

describe("what a kubeconfig is tried with", function()
  local function is_open(engine)
    return (pcall(function() assert(engine:step(0)) end))
  end

  it("has one engine, from the first use to the end", function()
    local prober = probers.new()
    prober.close()
    local engine = assert(prober.engine())
    assert.equal(engine, prober.engine())
    assert.is_true(is_open(engine))
    prober.close()
    assert.is_false(is_open(engine))
  end)

  it("leaves one that it shares with others open", function()
    local driver = host.current()
    finally(function() driver.shares_engines = nil end)
    driver.shares_engines = true
    local prober = probers.new()
    local engine = assert(prober.engine())
    prober.close()
    assert.is_true(is_open(engine))
    engine:close()
  end)
end)
