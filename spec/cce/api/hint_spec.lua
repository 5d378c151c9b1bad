local clients = require "spec.support.clients"
local core = require "cce.core"
local hint = require "cce.api.hint"
local simulator = require "spec.support.sim"

local sim = simulator.get()
local cluster = sim.clusters[1].id

local operations = {
  list_clusters = function(client) return client:list_clusters() end,
  show_cluster = function(client) return client:show_cluster(cluster) end,
  show_job = function(client) return client:show_job "a-job" end,
  revoke_cert = function(client) return client:revoke_cert(cluster, { user_id = "u" }) end,
  obtain_cert = function(client) return client:obtain_cert(cluster, { duration = 1 }) end,
  rotate_credentials = function(client)
    return client:rotate_credentials(cluster, { component = "all" })
  end,
}

describe("the hint of a cluster that is not there", function()
  it("says that a name is no id", function()
    sim:reset()
    local client = clients.new(sim)
    local err = clients.fails("NOT_FOUND", client:show_cluster "cluster-001")
    assert.matches("id is wanted, not its name", err.hint, 1, true)
    err = clients.fails("NOT_FOUND", client:show_cluster((cluster:gsub("1$", "f"))))
    assert.is_nil(err.hint)
    err = clients.fails("NOT_FOUND", client:show_job "cluster-001")
    assert.is_nil(err.hint)
    client:close()
  end)
end)

describe("the hint of a refusal", function()
  local client

  before_each(function()
    sim:reset()
    client = clients.new(sim)
  end)

  after_each(function() client:close() end)

  for name, call in pairs(operations) do
    it("names the IAM action that " .. name .. " needs", function()
      local action = core.operations[name].action
      sim:policy { deny = { action } }
      local err = clients.fails("PERMISSION_DENIED", call(client))
      assert.is_truthy(err.hint:find("need the IAM action " .. action .. ";", 1, true), err.hint)
      -- The same when the API does not say which.
      sim:reset()
      sim:fault { status = 403 }
      err = clients.fails("PERMISSION_DENIED", call(client))
      assert.is_truthy(err.hint:find(action, 1, true), err.hint)
    end)
  end

  it("tells a wrong project from a missing right", function()
    local other = clients.new(sim, { project_id = ("e"):rep(32) })
    local err = clients.fails("PERMISSION_DENIED", other:list_clusters())
    assert.matches("do not belong together", err.hint)
    other:close()
  end)

  it("says that a member revokes only his own", function()
    local member = clients.new(sim, { key = simulator.member })
    local err = clients.fails("PERMISSION_DENIED", member:revoke_cert(cluster, { user_id = "u" }))
    assert.matches("only their own certificates", err.hint)
    member:close()
  end)

  local too_old = {
    ["v1.17.9-r0"] = "v1.19.16-r50", ["v1.19.16-r49"] = "v1.19.16-r50",
    ["v1.21.11-r9"] = "v1.21.11-r10", ["v1.23.8-r10"] = "v1.23.9-r10",
    ["v1.25.3-r99"] = "v1.25.4-r10", ["v1.27.1-r9"] = "v1.27.1-r10",
    ["v1.20.1-r0"] = "v1.21.11-r10",
  }
  for version, target in pairs(too_old) do
    it(("of revoking in %s names %s"):format(version, target), function()
      sim:set { cluster = cluster, version = version }
      local err = clients.fails("BAD_REQUEST", client:revoke_cert(cluster, { user_id = "u" }))
      assert.is_truthy(err.hint:find("upgrade this one to " .. target .. " at least", 1, true),
        err.hint)
      for _, minimum in pairs(too_old) do
        assert.is_truthy(err.hint:find(minimum, 1, true))
      end
      -- And the one that it names is enough.
      sim:set { cluster = cluster, version = target }
      assert(client:revoke_cert(cluster, { user_id = "u" }))
    end)
  end

  it("of rotating names its minimum", function()
    sim:set { cluster = cluster, version = "v1.17.9-r0" }
    local err = clients.fails("BAD_REQUEST", operations.rotate_credentials(client))
    assert.matches("v1.19 or later", err.hint)
  end)

  for _, phase in ipairs { "Hibernation", "Upgrading", "Unavailable" } do
    it("says that the cluster must be Available, not " .. phase, function()
      sim:set { cluster = cluster, phase = phase }
      for _, name in ipairs { "obtain_cert", "revoke_cert", "rotate_credentials" } do
        local err = clients.fails("BAD_REQUEST", operations[name](client))
        assert.matches("must be Available", err.hint)
        assert.matches(phase, err.message)
      end
    end)
  end

  it("of a lock names the job that holds it", function()
    sim:set { job_seconds = 60 }
    local job = assert(operations.rotate_credentials(client))
    local err = clients.fails("RESOURCE_LOCKED", operations.rotate_credentials(client))
    assert.equal(job.id, err.job.id)
    assert.is_truthy(err.hint:find('client:wait_job("' .. job.id .. '")', 1, true), err.hint)
    assert.matches("do not just send it again", err.hint)
  end)

  it("of a lock does without the job when the look fails", function()
    sim:set { job_seconds = 60 }
    assert(operations.rotate_credentials(client))
    sim:fault { operation = "show_cluster", status = 403 }
    local err = clients.fails("RESOURCE_LOCKED", operations.rotate_credentials(client))
    assert.is_nil(err.job)
    assert.matches("look at its jobs", err.hint)
  end)

  it("of a locked key says how long", function()
    local wrong = clients.new(sim, { key = { ak = simulator.agency.ak, sk = "example-wrong" } })
    sim:lock_key(simulator.agency.ak)
    local err = clients.fails("ACCESS_KEY_LOCKED", wrong:list_clusters())
    assert.matches("5 minutes", err.hint)
    assert.equal(1, err.attempts)
    wrong:close()
  end)
end)

describe("the hint for a cluster's own certificate", function()
  it("knows the text of Kubernetes after a change of the EIP", function()
    assert.matches("5 to 10 minutes", hint.of_cluster_tls("Unable to connect to the server: x509:"
      .. " certificate is valid for 192.0.2.1, not 192.0.2.9"))
    assert.is_nil(hint.of_cluster_tls "certificate has expired")
  end)

  it("goes by OpenSSL's numbers", function()
    for _, number in ipairs { 62, 64 } do
      assert.matches("5 to 10 minutes", hint.of_untrusted_cluster(number))
    end
    -- What openssl 3.0, 3.2 and later say of a CA that changed its key, among others.
    for _, number in ipairs { 2, 7, 18, 19, 20, 21 } do
      assert.matches("no longer shows the CA", hint.of_untrusted_cluster(number))
    end
    assert.is_nil(hint.of_untrusted_cluster(10)) -- expired
    assert.is_nil(hint.of_untrusted_cluster(0))
  end)
end)

describe("whether certificates can be revoked", function()
  local function can(answer, needed, ...)
    for _, version in ipairs { ... } do
      local got, least = hint.can_revoke(version)
      assert.equal(answer, got, version)
      assert.equal(needed, least, version)
    end
  end

  it("follows the first version of each line", function()
    can("yes", nil, "v1.19.16-r50", "v1.19.17-r0", "v1.21.11-r10", "v1.23.9-r10", "v1.25.4-r11",
      "v1.27.1-r10", "v1.27.2-r0", "1.27.16-r2")
    can("no", "v1.19.16-r50", "v1.19.16-r49", "v1.19.10-r90", "v1.17.9-r0", "v1.15")
    can("no", "v1.21.11-r10", "v1.21.11-r9", "v1.20.1-r0")
    can("no", "v1.27.1-r10", "v1.27.1-r9", "v1.26")
  end)

  it("is so for all later lines, and not known of a bare line that has a minimum", function()
    can("yes", nil, "v1.28", "v1.29", "v1.31.2-r0", "v2.0")
    can("unknown", "v1.27.1-r10", "v1.27", "v1.27.3")
    can("unknown", "v1.19.16-r50", "v1.19")
    can("unknown", nil, "", "latest")
    assert.equal("unknown", (hint.can_revoke(nil)))
  end)
end)
