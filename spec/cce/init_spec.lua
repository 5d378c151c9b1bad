local cce = require "cce"
local child = require "spec.support.child"
local clients = require "spec.support.clients"
local core = require "cce.core"
local errors = require "cce.error"
local pki = require "spec.support.peer.pki"

describe("cce", function()
  it("has the version of its core", function()
    assert.equal(core._VERSION, cce._VERSION)
    assert.matches("^%d+%.%d+%.%d+$", cce._VERSION)
  end)

  it("loads its parts when they are asked for", function()
    assert.equal(require "cce.kubeconfig", cce.kubeconfig)
    assert.equal(errors, cce.error)
    assert.equal(require "cce.region", cce.region)
    assert.is_nil(cce.no_such_part)
    assert.equal(core.codes, cce.codes)
  end)

  it("has no side effect when it is required", function()
    local output = child.run({}, [[
      local before = {}
      for name in pairs(_G) do before[name] = true end
      local cce = require "cce"
      for name in pairs(_G) do if not before[name] then print("global " .. name) end end
      for name in pairs(package.loaded) do
        if name:find("^cce%.") and name ~= "cce.core" then print("loaded " .. name) end
      end
      print "done"
    ]])
    assert.equal("done\n", output)
  end)

  it("makes no global of its own while it works", function()
    local output = child.run({}, [[
      local cce = require "cce"
      local before = {}
      for name in pairs(_G) do before[name] = true end
      local client = cce.new { endpoint = "https://127.0.0.1:1", project_id = "p",
        credentials = { ak = "a", sk = "s" }, retry = { max_attempts = 1 } }
      print(select(3, client:list_clusters()).code)
      print(select(3, client:obtain_cert("c", { duration = 1 })).code)
      client:close()
      for name in pairs(_G) do if not before[name] then print("global " .. name) end end
    ]])
    assert.equal("CONNECT_FAILED\nCONNECT_FAILED\n", output)
  end)
end)

describe("cce.certificate", function()
  local pair = pki.issue(nil, { subject = { { "O", "example" }, { "CN", "u-1" } } })

  it("returns the facts", function()
    for _, text in ipairs { pair.pem, pki.base64(pair.pem), pki.base64(pair.der) } do
      local facts, message, err = cce.certificate(text)
      assert.is_truthy(facts, message)
      assert.is_nil(err)
      assert.equal("u-1", facts.user_id)
      assert.same({ "example" }, facts.organizations)
      assert.equal(pki.NOW + 365 * pki.DAY, facts.not_after)
      assert.matches("^%x+$", facts.sha256)
    end
  end)

  it("returns an error, or raises at the line of a wrong call", function()
    clients.fails("INVALID_CERTIFICATE", cce.certificate "nonsense")
    clients.fails("INVALID_CERTIFICATE", cce.certificate "")
    clients.raises("string expected, got number", function() cce.certificate(5) end)
    clients.raises("string expected", function() cce.certificate() end)
  end)
end)
