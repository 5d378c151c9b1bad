-- As whom a cluster is asked about rights.
local access = require "cce.workflow.rights.access"
local kubeconfigs = require "cce.kubeconfig"

describe("the access to a cluster's own API", function()
  it("is by one certificate of the caller for ten minutes, where none was given", function()
    local now, asked, answer = 1000.5, {}, nil
    local target = { id = "c1", name = "one", project_id = "p1", cluster = { id = "c1" } }
    target.client = { now = function() return now end }
    function target.client.obtain_cert(_, id, opts)
      asked[#asked + 1] = { id, opts }
      return answer, "no", { code = "X" }
    end
    local reach = assert(access.new())
    assert.is_false(reach:of(target, true))
    assert.same({}, asked)
    assert.same({ nil, "no", { code = "X" } }, { reach:of(target) })
    answer = {}
    local way = reach:of(target)
    assert.same({ "c1", { duration = 1, expire_at = 1961 } }, asked[2])
    assert.same({ true, "c1", "one", "p1" },
      { way.is_own, way.cluster_id, way.cluster, way.project_id })
    assert.equal(answer, way.kubeconfig)
    now = now + 600
    reach:of(target)
    assert.equal(2, #asked)
    now = now + 1
    reach:of(target)
    assert.equal(3, #asked)
    target.name = nil
    assert.equal("c1", reach:of(target).cluster)
  end)

  it("is by the kubeconfig that was given, and by none where that cannot be had", function()
    local path = "spec/fixtures/kubeconfig_eip.json"
    local target = { id = "c1", cluster = { id = "c1" }, client = {} }
    local config = assert(kubeconfigs.load(path))
    for _, given in ipairs { { c1 = path }, function() return config end } do
      local way = assert(assert(access.new(given)):of(target, true))
      assert.same({ false, config.raw }, { way.is_own, way.kubeconfig.raw })
    end
    local none, message, err = assert(access.new { c1 = "/nowhere/config" }):of(target)
    assert.same({ nil, "FILE_ERROR" }, { none, err.code })
    assert.matches("/nowhere/config", message, 1, true)
    none, message, err = access.new "/nowhere/config"
    assert.same({ nil, "FILE_ERROR" }, { none, err.code })
    assert.matches("/nowhere/config", message, 1, true)
  end)
end)
