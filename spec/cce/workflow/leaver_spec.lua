-- Somebody leaves, with kubectl as the judge on every cluster.
local cce = require "cce"
local clients = require "spec.support.clients"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

if not simulator.has_program "kubectl" then
  describe("a leaver", function() pending "needs kubectl" end)
  return
end

describe("a leaver", function()
  local sim, dir, admin, leaver

  setup(function() sim = simulator.get() end)

  before_each(function()
    sim:reset()
    dir = tempdir.new()
    local endpoints = { cce = sim.env.CCE_ENDPOINT, iam = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT,
      cts = sim.env.CCE_CTS_ENDPOINT, sts = sim.env.HUAWEICLOUD_SDK_STS_ENDPOINT }
    admin = clients.new(sim, { endpoints = endpoints })
    leaver = clients.new(sim, { endpoints = endpoints, key = simulator.member })
  end)

  after_each(function()
    admin:close()
    leaver:close()
    tempdir.remove(dir)
  end)

  -- Paths, by cluster id.
  local function obtain_all(client, name)
    local paths = {}
    for _, cluster in ipairs(sim.clusters) do
      local path = ("%s/%s-%s"):format(dir, name, cluster.id)
      assert(assert(client:obtain_cert(cluster.id, { duration = 1 })):save(path))
      paths[cluster.id] = path
    end
    return paths
  end

  local function kubectl_works(path)
    local _, code = simulator.run_shell(
      ("HOME=%s exec kubectl --kubeconfig %s get nodes"):format(dir, path))
    return code == 0
  end

  local function how_many_work(paths)
    local count = 0
    for _, path in pairs(paths) do count = count + (kubectl_works(path) and 1 or 0) end
    return count
  end

  local function revoke(more)
    local options = { clusters = { name = "*" }, user_id = simulator.member.principal.id,
      rate_limit = false }
    for name, value in pairs(more or {}) do options[name] = value end
    return assert(cce.workflow.revoke(admin, options))
  end

  it("is cut everywhere, others are not, and what is obtained again is cut again", function()
    local held, others = obtain_all(leaver, "leaver"), obtain_all(admin, "admin")
    assert.equal(5, how_many_work(held))
    local report = revoke { verify = held }
    assert.equal(5, #report.ok, tostring(report))
    assert.equal(0, how_many_work(held))
    assert.equal(5, how_many_work(others))
    assert.equal("still enabled in IAM", report.principals[1].can_obtain_again)

    -- His rights are still there.
    cce.sleep(0.01)
    local again = assert(leaver:obtain_cert(sim.clusters[1].id, { duration = 1 }))
    assert(again:save(dir .. "/again"))
    assert.is_true(kubectl_works(dir .. "/again"))
    report = revoke { clusters = { sim.clusters[1].id }, verify = { again } }
    assert.is_truthy(report.ok[1].cut_again)
    assert.matches("had obtained a certificate at", tostring(report), 1, true)
    assert.is_false(kubectl_works(dir .. "/again"))
    assert.is_true(kubectl_works(others[sim.clusters[1].id]))
  end)
end)
