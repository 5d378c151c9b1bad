local canned = require "spec.support.peer.canned"
local cce = require "cce"
local child = require "spec.support.child"
local clients = require "spec.support.clients"
local printed = require "spec.support.printed"
local project = require "cce.api.project"
local simulator = require "spec.support.sim"

local sim = simulator.get()
local region = simulator.account.region
local cluster = sim.clusters[1].id

local function new(changes)
  local options = {
    project_id = false, region = region,
    endpoints = { iam = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT },
  }
  for name, value in pairs(changes or {}) do options[name] = value end
  return clients.new(sim, options)
end

local function lookups()
  return #sim:log { operation = "list_projects" }
end

describe("a client without a project id", function()
  before_each(function()
    sim:reset()
    project.forget()
  end)

  it("looks it up at the first call, by the region's name, and only then", function()
    local client = new()
    assert.matches("project not known yet", tostring(client))
    assert.equal(0, #sim:log())
    assert.equal(5, #assert(client:list_clusters()))
    local asked = sim:log { operation = "list_projects" }
    assert.equal(1, #asked)
    assert.equal("/v3/projects?name=" .. region, asked[1].target)
    assert.equal("iam", asked[1].service)
    assert(client:show_cluster(cluster))
    assert.equal(1, lookups())
    assert.matches("project " .. sim.project_id, tostring(client))
    client:close()
  end)

  it("asks without a project in the headers, for there is none yet", function()
    local server = canned.start { canned.answer(200, '{"projects":[{"id":"p-9","name":"x"}]}') }
    local client = new { endpoints = { iam = server.url } }
    assert.equal("p-9", project.id_of(client))
    local request = server:request(1)
    assert.equal("GET /v3/projects?name=" .. region .. " HTTP/1.1", request.line)
    assert.is_nil(request.headers["x-project-id"])
    assert.matches("SignedHeaders=host;x%-sdk%-date,", request.headers.authorization)
    client:close()
    server:stop()
  end)

  it("shares the answer with clients of the same key and region", function()
    for _ = 1, 3 do
      local client = new()
      assert(client:list_clusters())
      client:close()
    end
    assert.equal(1, lookups())
    local other = new { key = simulator.member }
    assert(other:list_clusters())
    other:close()
    assert.equal(2, lookups())
  end)

  it("asks once for calls at the same time", function()
    local client = new()
    client.sleep = cce.sleep
    local items = {}
    for i = 1, 50 do items[i] = i end
    local results = cce.map(items, function() return client:show_cluster(cluster) end,
      { concurrency = 50 })
    for _, result in ipairs(results) do assert.is_true(result.ok, result.message) end
    assert.equal(1, lookups())
    client:close()
  end)

  it("works with a token, whose answer is its client's own", function()
    for i = 1, 2 do
      local client = new { token = simulator.admin.token }
      assert(client:list_clusters())
      assert(client:list_clusters())
      assert.equal(i, lookups())
      client:close()
    end
  end)

  it("lists what there is when the region has none", function()
    local client = new { region = "cn-north-4" }
    local err = clients.fails("NO_PROJECT", client:obtain_cert(cluster, { duration = 1 }))
    assert.is_truthy(err.message:find(("no project is called cn-north-4; these credentials see: %s"
      .. " (%s)"):format(region, sim.project_id), 1, true), err.message)
    assert.is_false(err.maybe_applied)
    assert.is_false(err.retryable)
    assert.equal("obtain_cert", err.operation)
    assert.equal(0, #sim:log { service = "cce" })
    sim:policy { projects = {} }
    assert.matches("these credentials see: none",
      clients.fails("NO_PROJECT", client:list_clusters()).message)
    client:close()
  end)

  it("lists them when the region has several", function()
    local projects = {}
    for i = 1, 25 do projects[i] = { id = "p" .. i, name = region } end
    sim:policy { projects = projects }
    local client = new()
    local err = clients.fails("NO_PROJECT", client:list_clusters())
    assert.matches("25 projects are called", err.message)
    assert.is_truthy(err.message:find(region .. " (p1), " .. region .. " (p2)", 1, true))
    assert.matches("and 5 more", err.message)
    assert.matches("project_id=", err.hint)
    -- It is asked again: somebody may have put it in order.
    sim:policy { projects = { { id = sim.project_id, name = region } } }
    assert(client:list_clusters())
    client:close()
  end)

  it("retries the question by the rules of a call that reads", function()
    sim:fault { operation = "list_projects", status = 503, times = 2 }
    local client = new()
    assert(client:rotate_credentials(cluster, { component = "all" }))
    assert.equal(3, lookups())
    client:close()
  end)

  it("names the call, the region and the IAM action when it may not ask", function()
    sim:policy { deny = { "iam:projects:listProjects" } }
    local client = new()
    local err = clients.fails("PERMISSION_DENIED", client:list_clusters())
    assert.is_truthy(err.message:find("list_clusters: the project of region " .. region, 1, true))
    assert.matches("iam:projects:listProjects", err.hint)
    client:close()
  end)

  it("needs a region and the address of IAM", function()
    local err = clients.fails("NO_PROJECT", new { endpoints = {} }:list_clusters())
    assert.matches("nor the address of IAM", err.message)
    local options = { endpoint = sim.env.CCE_ENDPOINT, proxy = false,
      credentials = { ak = simulator.admin.ak, sk = simulator.admin.sk } }
    err = clients.fails("NO_PROJECT", assert(cce.new(options)):list_clusters())
    assert.matches("nor the region", err.message)
    assert.equal(0, #sim:log())
  end)

  it("takes the region's name from CCE_REGION beside an endpoint", function()
    local environment = {}
    for name, value in pairs(sim.env) do environment[name] = value end
    environment.HUAWEICLOUD_SDK_PROJECT_ID, environment.CCE_REGION = "", region
    assert.equal("5\n", printed.add(child.run(environment, [[
      print(#assert(require "cce".new():list_clusters()))
    ]])))
  end)

  it("refuses an answer that is none", function()
    local client = new()
    sim:fault { operation = "list_projects", status = 200, body = "[1" }
    clients.fails("RESPONSE_INVALID", client:list_clusters())
    sim:reset()
    for _, body in ipairs { '{"projects":5}', '{"projects":[{"id":"p"},{"id":6}]}', "{}" } do
      sim:fault { operation = "list_projects", status = 200, body = body, times = 1 }
      clients.fails("RESPONSE_INVALID", client:list_clusters())
    end
    client:close()
  end)
end)
