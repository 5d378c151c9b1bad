-- kubectl as the judge of what the simulator's certificates are worth.
local simulator = require("spec.support.sim")
local sys = require("cce.core").sys
local tempdir = require "spec.support.tempdir"

local admin, member = simulator.admin, simulator.member

if not (simulator.has_program("kubectl") and simulator.has_program("curl")) then
  describe("kubectl on the simulator", function()
    pending("needs the commands kubectl and curl")
  end)
  return
end

describe("kubectl on the simulator", function()
  local sim, cluster, home

  before_each(function()
    sim = simulator.get()
    sim:reset()
    cluster = sim.clusters[2]
    home = sys.mkdir_private(tempdir.root .. "/cce-spec-XXXXXX")
  end)

  after_each(function()
    simulator.remove(home)
  end)

  local function obtain(name, key, body)
    local path = home .. "/" .. name
    simulator.write(path, sim:obtain(cluster, body, key).body)
    return path
  end

  -- Whether it worked, and what it said. HOME: kubectl keeps what it learnt about a server there.
  local function kubectl(config, arguments)
    local _, code, output = simulator.run_shell(
      ("HOME=%s exec kubectl --kubeconfig %s %s"):format(home, config, arguments))
    return code == 0, output
  end

  it("works in all three contexts with an obtained kubeconfig", function()
    local config = obtain("config")
    for _, context in ipairs({ "internal", "external", "externalTLSVerify" }) do
      local ok, output = kubectl(config, "get nodes --context " .. context)
      assert.is_true(ok, output)
      assert.matches("cluster%-002%-node%-1%s+Ready", output)
      assert.matches("cluster%-002%-node%-2%s+Ready", output)
    end
    local ok, output = kubectl(config, "version -o json")
    assert.is_true(ok, output)
    assert.matches('"v1.29.13%-r0"', output)
  end)

  it("works in a cluster of Autopilot, whose API knows days alone", function()
    local id, config = sim:state().autopilot[1].id, home .. "/autopilot"
    local function post(path, body)
      return sim:curl({ method = "POST", path = path .. "/projects/" .. sim.project_id
        .. "/clusters/" .. id .. "/clustercert", body = body })
    end
    local answer = post("/autopilot/v3", '{"duration":1}')
    assert.equal(200, answer.status)
    simulator.write(config, answer.body)
    local ok, output = kubectl(config, "get nodes")
    assert.is_true(ok, output)
    assert.matches("autopilot%-001%-node%-1%s+Ready", output)
    assert.equal(400, post("/autopilot/v3", '{"expire_at":"2030-01-01 00:00:00 +0000 UTC"}').status)
    assert.equal(404, post("/api/v3", '{"duration":1}').status)
  end)

  it("is refused at once after a revocation; others and other clusters are not", function()
    local mine, theirs = obtain("mine"), obtain("theirs", member)
    local elsewhere = home .. "/elsewhere"
    simulator.write(elsewhere, sim:obtain(sim.clusters[1]).body)
    assert.is_true(kubectl(mine, "get nodes"))
    assert.equal(200, sim:revoke(cluster, { userId = admin.principal.id }).status)
    local ok, output = kubectl(mine, "get nodes")
    assert.is_false(ok)
    assert.matches("Unauthorized", output:gsub("provide credentials", "Unauthorized"))
    assert.is_true(kubectl(theirs, "get nodes"))
    assert.is_true(kubectl(elsewhere, "get nodes"))
    assert.is_true(kubectl(obtain("again"), "get nodes"))
    assert.is_false(kubectl(mine, "get nodes"))
  end)

  it("is cut again by a second revocation", function()
    sim:revoke(cluster, { userId = admin.principal.id })
    local config = obtain("config")
    sim:revoke(cluster, { userId = admin.principal.id })
    assert.is_false(kubectl(config, "get nodes"))
  end)

  it("does not work with an expired certificate", function()
    local config = obtain("config", nil, { duration = 1 })
    assert.is_true(kubectl(config, "get nodes"))
    sim:clock(86401)
    assert.is_false(kubectl(config, "get nodes"))
    sim:clock(0)
    assert.is_true(kubectl(config, "get nodes"))
  end)

  it("does not work with the certificate of another cluster", function()
    local config = obtain("config")
    local other = sim:obtain(sim.clusters[1]).json.clusters[1].cluster.server
    local ok, output = kubectl(config, "get nodes --insecure-skip-tls-verify --server " .. other)
    assert.is_false(ok)
    assert.matches("must be logged in to the server", output, 1, true)
  end)

  for component, works in pairs({ all = false, ["service-account-controller"] = true }) do
    it("and an old kubeconfig after a rotation of " .. component, function()
      local config = obtain("config")
      sim:set({ cluster = cluster.id, job_seconds = 0 })
      assert.equal(200, sim:rotate(cluster, { component = component }).status)
      for _, context in ipairs({ "internal", "external" }) do
        assert.equal(works, (kubectl(config, "get nodes --context " .. context)))
      end
      assert.is_true(kubectl(obtain("again"), "get nodes --context internal"))
    end)
  end

  it("keeps the old kubeconfig when a rotation fails", function()
    local config = obtain("config")
    sim:set({ cluster = cluster.id, job_seconds = 0, job_outcome = "Failed" })
    assert.equal(200, sim:rotate(cluster, { component = "all" }).status)
    assert.is_true(kubectl(config, "get nodes"))
  end)
end)
