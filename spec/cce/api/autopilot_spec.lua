-- Clusters of CCE Autopilot: found by themselves, with the calls that their API has, and none of
-- those that it has not.
local cce = require "cce"
local clients = require "spec.support.clients"
local core = require "cce.core"
local printed = require "spec.support.printed"
local simulator = require "spec.support.sim"

local sim = simulator.get()
local DAY = 86400
local many = {}
for i = 1, 100 do many[i] = i end
local id, cce_id = sim:state().autopilot[1].id, sim.clusters[1].id

-- What the simulator has seen, one operation after the other.
local function seen()
  local names = {}
  for i, entry in ipairs(sim:log()) do names[i] = entry.operation end
  return names
end

describe("CCE Autopilot", function()
  local client
  before_each(function()
    sim:reset()
    client = clients.new(sim, { stranger = true })
  end)
  after_each(function() client:close() end)

  it("is in the list when it is asked for, and only then", function()
    local list = assert(client:list_clusters())
    assert.equal(#sim.clusters, #list)
    assert.same({ "list_clusters" }, seen())
    list = assert(client:list_clusters { autopilot = true, status = "Available" })
    assert.equal(#sim.clusters + 1, #list)
    local last = list[#list]
    assert.equal(id, last.id)
    assert.is_true(last.autopilot)
    assert.is_false(list[1].autopilot)
    assert.equal("cce.autopilot.cluster", last.raw.spec.flavor)
    assert.is_nil(last.raw.spec.certificateAuthority)
    assert.equal(#sim.clusters, #assert(client:list_clusters { autopilot = false }))
    clients.raises("'autopilot' %(boolean expected, got string%)",
      function() client:list_clusters { autopilot = "yes" } end)
  end)

  it("is left out of a list of CCE that has one", function()
    sim:fault { operation = "list_clusters", times = 1, status = 200, body = [[{"items":[
      {"metadata":{"uid":"a"},"spec":{"flavor":"cce.autopilot.cluster"}},
      {"metadata":{"uid":"b"},"spec":{"flavor":"cce.s1.small"}}]}]] }
    local list = assert(client:list_clusters())
    assert.equal(1, #list)
    assert.equal("b", list[1].id)
  end)

  it("says why it cannot be listed", function()
    sim:fault { operation = "list_autopilot_clusters", status = 403 }
    local err = clients.fails("PERMISSION_DENIED", client:list_clusters { autopilot = true })
    assert.equal("list_autopilot_clusters", err.operation)
  end)

  it("shows a cluster and a job, looks for them once, and asks there from then on", function()
    local cluster = assert(client:show_cluster(id))
    assert.equal("autopilot-001", cluster.name)
    assert.is_true(cluster.autopilot)
    local job = cluster.raw.status.jobID
    assert.equal("Success", assert(client:wait_job(job)).phase)
    assert(client:show_cluster(id))
    assert(client:show_job(job))
    assert.same({ "show_cluster", "show_autopilot_cluster", "show_job", "show_autopilot_job",
      "show_autopilot_cluster", "show_autopilot_job" }, seen())
    for _, event in ipairs(client.events) do printed.add(event) end
  end)

  it("obtains a certificate by days", function()
    local kubeconfig = assert(client:obtain_cert(id, { duration = 30 }))
    local facts = kubeconfig:certificate()
    assert.is_true(facts.key_matches)
    assert.equal(30 * DAY, facts.not_after - facts.not_before)
    assert.same({ "obtain_cert", "show_autopilot_cluster", "obtain_autopilot_cert" }, seen())
    assert(client:obtain_cert(id, { duration = -1 }))
    assert.equal(4, #seen())
  end)

  it("obtains one that ends in time, or says that it takes whole days", function()
    local ends = math.floor(client:now()) + 2 * DAY + 3600
    local facts = assert(client:obtain_cert(id, { expire_at = ends })):certificate()
    assert.equal(2 * DAY, facts.not_after - facts.not_before)
    local err = clients.fails("INVALID_ARGUMENT", client:obtain_cert(id, {
      duration = 1, expire_at = ends - 2 * DAY }))
    assert.matches("whole days only", err.message)
    assert.equal(1, #sim:log { operation = "obtain_autopilot_cert" })
  end)

  it("obtains with the rules of obtaining: a lost answer is not asked for again", function()
    assert(client:show_cluster(id))
    sim:fault { operation = "obtain_autopilot_cert", reset = "after" }
    local err = clients.fails("CONNECTION_LOST", client:obtain_cert(id, { duration = 1 }))
    assert.is_true(err.maybe_applied)
    assert.equal("obtain_cert", err.operation)
    assert.equal(1, #sim:log { operation = "obtain_autopilot_cert" })
  end)

  local changes = {
    revoke_cert = function(cluster) return client:revoke_cert(cluster, { user_id = "u1" }) end,
    rotate_credentials = function(cluster)
      return client:rotate_credentials(cluster, { component = "all" })
    end,
    retry_node_rotation = function(cluster)
      return client:retry_node_rotation(cluster, { node_ids = { "n1" } })
    end,
  }
  for name, change in pairs(changes) do
    it("has no " .. name .. ": it is refused before it is sent", function()
      for _ = 1, 2 do
        local err = clients.fails("UNSUPPORTED", change(id))
        assert.equal(name, err.operation)
        assert.is_false(err.maybe_applied)
        assert.matches("Autopilot, whose API has no call that", err.message)
      end
      assert.same({ "show_autopilot_cluster" }, seen())
    end)

    it("does not hold up " .. name .. " where it cannot be asked", function()
      for _, fault in ipairs { { status = 403 }, { status = 500 }, { reset = "before" },
        { garbage = true }, { status = 200, body = '{"metadata":{"uid":"another"}}' } } do
        sim:reset()
        fault.operation, fault.times = "show_autopilot_cluster", 1
        sim:fault(fault)
        client:close()
        client = clients.new(sim, { stranger = true })
        local _, _, err = change(cce_id)
        -- No node failed there.
        assert.equal(name == "retry_node_rotation" and "BAD_REQUEST" or nil, err and err.code)
        assert.same({ "show_autopilot_cluster", name }, seen())
      end
    end)

    it("ends " .. name .. " with the refusal of the key", function()
      sim:fault { operation = "show_autopilot_cluster", status = 401 }
      local err = clients.fails("UNAUTHENTICATED", change(cce_id))
      assert.equal(name, err.operation)
      assert.same({ "show_autopilot_cluster" }, seen())
    end)
  end

  it("is looked for once where a cluster is CCE's, or was seen in a list", function()
    for _ = 1, 2 do assert(client:revoke_cert(cce_id, { user_id = "u1" })) end
    assert.same({ "show_autopilot_cluster", "revoke_cert", "revoke_cert" }, seen())
    local other = clients.new(sim, { stranger = true })
    assert(other:list_clusters())
    sim:reset()
    assert(other:revoke_cert(cce_id, { user_id = "u1" }))
    assert.same({ "revoke_cert" }, seen())
    other:close()
  end)

  it("is looked for within the deadline of the call", function()
    sim:fault { operation = "show_autopilot_cluster", delay = 0.6 }
    local hurried = clients.new(sim, { stranger = true, deadline = 0.2 })
    local err = clients.fails("TIMEOUT", hurried:revoke_cert(cce_id, { user_id = "u1" }))
    assert.is_false(err.maybe_applied)
    assert.equal(0, #sim:log { operation = "revoke_cert" })
    hurried:close()
  end)

  it("lets wrong use be found first", function()
    clients.fails("INVALID_ARGUMENT", client:revoke_cert("../x", { user_id = "u1" }))
    clients.fails("INVALID_ARGUMENT", client:rotate_credentials(cce_id, { component = "some" }))
    assert.same({}, seen())
  end)

  it("leaves the error of CCE where neither has it, and where there is no Autopilot", function()
    local err = clients.fails("NOT_FOUND", client:obtain_cert("no-such", { duration = 1 }))
    assert.equal("obtain_cert", err.operation)
    sim:fault { operation = "show_autopilot_cluster", status = 404,
      body = '{"error_code":"APIGW.0101","error_msg":"The API does not exist"}' }
    err = clients.fails("NOT_FOUND", client:show_cluster "no-such")
    assert.equal("show_cluster", err.operation)
  end)

  it("is looked for once by many calls at the same time", function()
    for _, case in ipairs { { cce_id, "revoke_cert", { user_id = "u1" } },
      { id, "obtain_cert", { duration = 1 } } } do
      sim:reset()
      sim:fault { operation = "show_autopilot_cluster", delay = 0.3 }
      local results = cce.map(many, function()
        return client[case[2] ](client, case[1], case[3])
      end, { concurrency = #many })
      for _, result in ipairs(results) do assert.is_true(result.ok, result.message) end
      assert.equal(1, #sim:log { operation = "show_autopilot_cluster" })
    end
    assert.equal(#many, #sim:log { operation = "obtain_autopilot_cert" })
  end)

  it("is found by a call that was refused by CCE after another had found it", function()
    sim:fault { operation = "obtain_cert", hold = "after", times = 1 }
    local ends = core.sys.monotonic() + 120
    local results = cce.map({ 1, 2 }, function(which)
      if which == 1 then return client:obtain_cert(id, { duration = 1 }) end
      repeat cce.sleep(0.01) until #sim:held() > 0 or core.sys.monotonic() > ends
      assert(client:show_cluster(id))
      sim:release()
      return true
    end, { concurrency = 2 })
    assert.is_true(results[1].ok, results[1].message)
  end)

  it("is not waited for longer than a call may take, whoever asks", function()
    sim:fault { operation = "show_autopilot_cluster", hold = "before", times = 1 }
    local hurried = clients.new(sim, { stranger = true })
    local quick = hurried:view { config = setmetatable({ deadline = 0.1 },
      { __index = hurried.config }) }
    local order = {}
    local results = cce.map({ hurried, quick }, function(each)
      local ok, message, err = each:revoke_cert(cce_id, { user_id = "u1" })
      order[#order + 1] = each
      -- What they both wait for is there when one has stopped waiting.
      if each == quick then sim:release() end
      return ok, message, err
    end, { concurrency = 2 })
    assert.is_true(results[1].ok, results[1].message)
    assert.equal("TIMEOUT", results[2].err.code)
    assert.is_true(order[1] == quick)
    assert.equal(1, #sim:log { operation = "revoke_cert" })
    hurried:close()
  end)

  it("is found later where a look failed once", function()
    sim:fault { operation = "show_autopilot_cluster", status = 500, times = 1 }
    clients.fails("NOT_FOUND", client:revoke_cert(id, { user_id = "u1" }))
    assert(client:obtain_cert(id, { duration = 1 }))
    clients.fails("UNSUPPORTED", client:revoke_cert(id, { user_id = "u1" }))
  end)

  it("tells each of many callers of a refused key of its own call", function()
    sim:fault { operation = "show_autopilot_cluster", status = 401, delay = 0.3 }
    local names = { "revoke_cert", "rotate_credentials" }
    local results = cce.map(names, function(name) return changes[name](cce_id) end,
      { concurrency = 2 })
    for i, name in ipairs(names) do
      assert.equal("UNAUTHENTICATED", results[i].err.code)
      assert.equal(name, results[i].err.operation)
    end
    assert.equal(1, #sim:log { operation = "show_autopilot_cluster" })
  end)
end)
