local identity = require "cce.api.identity"
local clients = require "spec.support.clients"
local simulator = require "spec.support.sim"

describe("cce.caller", function()
  local sim

  setup(function() sim = simulator.get() end)
  before_each(function() sim:reset() end)

  local function client_of(options)
    options.endpoints = options.endpoints or {
      cce = sim.env.CCE_ENDPOINT, iam = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT,
      sts = sim.env.HUAWEICLOUD_SDK_STS_ENDPOINT,
    }
    return clients.new(sim, options)
  end

  it("asks STS, once a client", function()
    local client = client_of { key = simulator.member }
    local caller = assert(identity.of(client))
    assert.same({ kind = "user", id = simulator.member.principal.id, name = "member",
      account = simulator.account.domain_id }, caller)
    assert.equal(caller, identity.of(client))
    assert.equal(1, #sim:log { operation = "caller_identity" })
    client:close()
  end)

  it("knows the account from STS, else from IAM, each asked once and not again", function()
    local client = client_of { key = simulator.member }
    assert.equal(simulator.account.domain_id, identity.account(client))
    assert.equal("member", identity.of(client).name)
    assert.equal(1, #sim:log { operation = "caller_identity" })
    client:close()
    sim:fault { operation = "caller_identity", status = 503 }
    client = client_of { key = simulator.member }
    assert.equal(simulator.account.domain_id, identity.account(client))
    assert.equal(simulator.account.domain_id, identity.account(client))
    assert.equal(2, #sim:log { operation = "caller_identity" })
    assert.equal(1, #sim:log { operation = "list_domains" })
    client:close()
    client = client_of { key = simulator.member, endpoints = { cce = sim.env.CCE_ENDPOINT } }
    assert.is_nil(identity.account(client))
    client:close()
  end)

  it("knows an agency without its session", function()
    local client = client_of { key = simulator.agency }
    local caller = assert(identity.of(client))
    assert.equal("agency", caller.kind)
    assert.equal(simulator.agency.principal.id, caller.id)
    assert.equal(simulator.agency.principal.name, caller.name)
    client:close()
  end)

  it("goes by what STS calls a principal, not by its name", function()
    for urn, case in pairs { ["iam::d1:user:agency-of-travel"] = { "user", "agency-of-travel" },
      ["sts::d1:assumed-agency:user/u:agency/x"] = { "agency", "user" }, [""] = { "user" } } do
      sim:fault { operation = "caller_identity", status = 200, times = 1,
        body = ('{"principal_urn":"%s","principal_id":"p1:s"}'):format(urn) }
      local client = client_of { key = simulator.member }
      assert.same({ kind = case[1], id = "p1", name = case[2], account = case[2] and "d1" },
        identity.of(client))
      client:close()
    end
  end)

  it("asks IAM whose the access key is, where STS does not tell", function()
    local faults = { { status = 403 }, { garbage = true }, { status = 200, body = "{}" } }
    for _, fault in ipairs(faults) do
      fault.operation = "caller_identity"
      sim:fault(fault)
      local client = client_of { key = simulator.member }
      assert.equal(simulator.member.principal.id, assert(identity.of(client)).id)
      sim:clear_faults()
      client:close()
    end
  end)

  it("takes nobody from an answer of IAM that names nobody", function()
    sim:fault { operation = "caller_identity", status = 503 }
    for _, body in ipairs { "{}", '{"credential":{}}', '{"credential":{"user_id":7}}',
      '{"credential":"x"}' } do
      sim:fault { operation = "show_access_key", status = 200, body = body, times = 1 }
      local client = client_of { key = simulator.member }
      assert.equal("IAM does not say whose this access key is",
        clients.fails("RESPONSE_INVALID", identity.of(client)).message)
      client:close()
    end
  end)

  it("says when nobody tells", function()
    local client = client_of { key = simulator.member, endpoints = { cce = sim.env.CCE_ENDPOINT } }
    clients.fails("NO_ENDPOINT", identity.of(client))
    client:close()
    client = client_of { token = simulator.member.token,
      endpoints = { cce = sim.env.CCE_ENDPOINT } }
    clients.fails("UNSUPPORTED", identity.of(client))
    client:close()
  end)
end)
