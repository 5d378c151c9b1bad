local clients = require "spec.support.clients"
local core = require "cce.core"
local simulator = require "spec.support.sim"

local sim = simulator.get()
local cluster = sim.clusters[1]
local fails, raises = clients.fails, clients.raises

before_each(function() sim:reset() end)

local function failed_nodes()
  return sim:state().clusters[1].failed_nodes
end

-- A rotation that fails at so many nodes, waited for.
local function rotate(client, failing)
  sim:set { cluster = cluster.id, nodes = 4, failing_nodes = failing, job_seconds = 0.01 }
  local job = assert(client:rotate_credentials(cluster.id, { component = "all" }))
  client.sleep = core.sys.sleep
  local err = fails("JOB_FAILED", client:wait_job(job.id, { interval = 0.02 }))
  return err.job
end

describe("client:retry_node_rotation", function()
  local client = clients.new(sim)

  it("repairs the nodes that a rotation's sub-jobs name", function()
    local job = rotate(client, 2)
    local ids = {}
    for i, failure in ipairs(job:failures()) do ids[i] = failure.resource_id end
    assert.equal(2, #ids)
    assert.same(failed_nodes(), ids)
    assert.is_true(assert(client:retry_node_rotation(cluster.id, { node_ids = ids })))
    assert.same({}, failed_nodes())
    local entry = sim:log { operation = "retry_node_rotation" }[1]
    assert.equal("POST", entry.method)
    assert.equal(("/api/v3/projects/%s/clusters/%s/nodes/rotate-cert"):format(
      sim.project_id, cluster.id), entry.target)
    assert.same({ apiVersion = "v3", kind = "List",
      nodeList = { { nodeID = ids[1] }, { nodeID = ids[2] } } }, core.json.decode(entry.body))
  end)

  it("takes 1 to 200 nodes", function()
    local function ids(count)
      local list = {}
      for i = 1, count do list[i] = "node-" .. i end
      return list
    end
    fails("BAD_REQUEST", client:retry_node_rotation(cluster.id, { node_ids = ids(200) }))
    assert.equal(1, #sim:log())
    local err = fails("INVALID_ARGUMENT",
      client:retry_node_rotation(cluster.id, { node_ids = ids(201) }))
    assert.matches("1 to 200 ids of nodes", err.message)
    fails("INVALID_ARGUMENT", client:retry_node_rotation(cluster.id, { node_ids = {} }))
    fails("INVALID_ARGUMENT", client:retry_node_rotation(cluster.id, { node_ids = { "../x" } }))
    fails("INVALID_ARGUMENT", client:retry_node_rotation(cluster.id, { node_ids = { 7 } }))
    fails("INVALID_ARGUMENT", client:retry_node_rotation("a/b", { node_ids = { "n1" } }))
    assert.equal(1, #sim:log())
    raises("option 'node_ids' is missing", function() client:retry_node_rotation(cluster.id) end)
    raises("option 'cluster_id' is missing", function()
      client:retry_node_rotation(nil, { node_ids = { "n1" } })
    end)
  end)

  it("is sent once when it may have arrived", function()
    sim:fault { operation = "retry_node_rotation", reset = "after" }
    local err = fails("CONNECTION_LOST",
      client:retry_node_rotation(cluster.id, { node_ids = { "n1" } }))
    assert.is_true(err.maybe_applied)
    assert.equal(1, #sim:log { operation = "retry_node_rotation" })
  end)
end)

describe("the simulator's node rotation", function()
  local client = clients.new(sim)

  it("is for nodes that failed, in a cluster that can rotate", function()
    local id = rotate(client, 1):failures()[1].resource_id
    fails("BAD_REQUEST", client:retry_node_rotation(cluster.id, { node_ids = { "other" } }))
    sim:set { cluster = cluster.id, version = "v1.17.9-r0" }
    fails("BAD_REQUEST", client:retry_node_rotation(cluster.id, { node_ids = { id } }))
    assert.same({ id }, failed_nodes())
  end)

  it("fails at as many nodes as are asked for, the control plane being done", function()
    local before = assert(client:obtain_cert(cluster.id, { duration = 1 })):certificate().issuer
    local job = rotate(client, 4)
    assert.equal(4, #job:failures())
    assert.equal(5, #job.sub_jobs)
    assert.equal("Success", job.sub_jobs[1].phase)
    assert.equal(4, #failed_nodes())
    assert.is_not_nil(before)
  end)
end)
