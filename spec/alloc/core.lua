-- Loading the module and reading a certificate when memory runs out.
local sweep = require "spec.support.shared.alloc_sweep"
local core = require "cce.core"

sweep {
  name = "load cce.core",
  setup = function()
    package.loaded["cce.core"] = nil
  end,
  action = function()
    return require "cce.core"
  end,
}

local file = assert(io.open("spec/fixtures/pki/client.pem"))
local pem = file:read "*a"
file:close()

-- Facts that were cut short would be those of another certificate.
local function told(facts)
  return table.concat({ facts.user_id or "nobody", facts.subject, facts.issuer, facts.serial,
    facts.sha256, facts.not_after, table.concat(facts.organizations, " ") }, "\n")
end

local right = told(assert(core.certificate(pem)))

sweep {
  name = "read a certificate",
  action = function()
    local facts, message, code = core.certificate(pem)
    assert(not facts or told(facts) == right, "other facts")
    return facts, message, code
  end,
}
