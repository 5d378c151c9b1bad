local certificates = require "cce.certificate"

local function facts(more)
  local all = { user_id = "u1", issuer = "CN=ca", serial = "0a", not_before = 0, not_after = 86400 }
  for name, value in pairs(more or {}) do all[name] = value end
  return certificates.of(all)
end

describe("the facts of a certificate", function()
  it("print as a line", function()
    assert.equal("certificate of user u1, issued by CN=ca, serial 0a, valid 1970-01-01T00:00:00Z"
      .. " to 1970-01-02T00:00:00Z", tostring(facts()))
    assert.truthy(tostring(facts { key_matches = true }):find ", its key matches$")
    assert.truthy(tostring(facts { key_matches = false }):find ", its key DOES NOT MATCH$")
  end)

  it("let nothing through that a terminal would obey", function()
    assert.is_nil(tostring(facts { issuer = "a\27[2J\n" }):find "%c")
  end)

  it("pass on a failure", function()
    assert.same({ nil, "bad", "INVALID_CERTIFICATE" },
      { certificates.of(nil, "bad", "INVALID_CERTIFICATE") })
  end)
end)
