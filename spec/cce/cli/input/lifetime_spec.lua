local lifetime = require "cce.cli.input.lifetime"

describe("how long a certificate is to live", function()
  local client = { config = {}, now = function() return 1e9 end }
  local id = "c1050000-0000-4000-8000-000000000001"

  it("is checked by the rules of the cluster's own call", function()
    local function code(cluster, asked)
      local ok, _, err = lifetime.check(client, cluster, asked)
      return ok and "" or err.code
    end
    local hour = { expire_at = 1e9 + 3600 }
    assert.equal("", code({ id = id }, hour))
    assert.equal("INVALID_ARGUMENT", code({ id = id, autopilot = true }, hour))
    assert.equal("", code({ id = id, autopilot = true }, { duration = 30 }))
    assert.equal("INVALID_ARGUMENT", code({ id = id }, { duration = 0 }))
    client.config.cloud = "otc"
    assert.equal("", code({ id = id }, { duration = 30 }))
    assert.equal("UNSUPPORTED", code({ id = id }, hour))
  end)

  it("must be said, and is said again", function()
    assert.equal("INVALID_ARGUMENT", (select(3, lifetime.of {})).code)
    assert.same({ duration = 3 }, lifetime.of { days = 3 })
    assert.same({ expire_at = 5 }, lifetime.of { ["until"] = 5 })
    assert.equal("until 2001-09-09T01:46:40Z", lifetime.text { expire_at = 1e9 })
    assert.equal("for five years", lifetime.text { duration = -1 })
    assert.equal("for 1 day", lifetime.text { duration = 1 })
  end)
end)
