-- Loading the module and reading a certificate when memory runs out.
local sweep = require "spec.support.shared.alloc_sweep"
local core = require "cce.core"
local pki = require "spec.support.peer.pki"

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

local ca = pki.authority "Test CA"
local proxy = pki.issue(ca, { subject = { { "CN", "front-proxy" } } })
local IDS = { project_id = "p1", cluster_id = "c1" }
local CUSTOM = { component = "custom",
  cert_content = { ca = ca.pem, cert = proxy.pem, private_key = proxy.key } }

local function described()
  return core.operation("rotate_credentials", IDS, CUSTOM, pki.NOW)
end

local whole = assert(described())

sweep {
  name = "describe a rotation to certificates of one's own",
  action = function()
    local request, message, code = described()
    assert(not request or request.path == whole.path and request.body == whole.body,
      "another request")
    return request, message, code
  end,
}
