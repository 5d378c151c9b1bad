local cce = require "cce"
local child = require "spec.support.child"
local clients = require "spec.support.clients"
local clouds = require "cce.api.cloud"
local command = require "spec.support.command"
local core = require "cce.core"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

local KEYS = { ak = "AK", sk = "example" }

local function client_of(opts)
  opts.credentials = KEYS
  return cce.new(opts)
end

describe("clouds of the same kind", function()
  it("have addresses that can be used, and a source for what is said of each", function()
    for _, name in ipairs(clouds.names()) do
      local cloud = clouds.clouds[name]
      assert.is_string(cloud.title)
      for region, services in pairs(cloud.regions or {}) do
        local found = assert(clouds.endpoints(name, region))
        assert.is_truthy(found.cce and found.iam)
        for _, service in ipairs(services) do assert(core.endpoint(found[service][1])) end
      end
      for capability, said in pairs(cloud.can) do
        assert.is_boolean(said[1], capability)
        assert.is_true(#said[2] > 10, capability)
      end
    end
  end)

  it("are meant by cloud= and a region of theirs", function()
    local client = assert(client_of { cloud = "otc", region = "eu-de" })
    assert.equal("https://cce.eu-de.otc.t-systems.com", client.config.endpoints.cce)
    assert.equal("https://iam.eu-de.otc.t-systems.com", client.config.endpoints.iam)
    assert.equal("https://cts.eu-de.otc.t-systems.com", client.config.endpoints.cts)
    assert.is_nil(client.config.endpoints.sts)
    client:close()
    -- The names of regions may be the same: Huawei Cloud's table has this one, too.
    client = assert(client_of { cloud = "sber" })
    assert.equal("https://cce.ru-moscow-1.hc.sbercloud.ru", client.config.endpoints.cce)
    assert.equal("ru-moscow-1", client.config.region)
    client:close()
    client = assert(client_of { cloud = "huawei", region = "ru-moscow-1" })
    assert.equal("https://cce.ru-moscow-1.myhuaweicloud.com", client.config.endpoints.cce)
    client:close()
  end)

  it("are refused where it is not known what is meant", function()
    local err = clients.fails("INVALID_ARGUMENT", client_of { cloud = "otk", region = "eu-de" })
    assert.matches("must be one of flexible-engine, hcso, huawei, huawei-eu, otc, sber",
      err.message, 1, true)
    err = clients.fails("NO_ENDPOINT", client_of { cloud = "otc", region = "cn-north-4" })
    assert.matches("of Open Telekom Cloud in the table; there are: eu-de, eu-nl", err.message, 1,
      true)
    clients.fails("NO_ENDPOINT", client_of { cloud = "otc" })
    err = clients.fails("NO_ENDPOINT", client_of { cloud = "hcso", region = "here" })
    assert.matches("endpoints=", err.hint, 1, true)
    local client = assert(client_of { cloud = "hcso", endpoint = "https://cce.example.com" })
    client:close()
  end)

  it("are read from the environment, where an address stands for itself", function()
    local code = [[
      local client = assert(require("cce").new { credentials = { ak = "AK", sk = "example" } })
      print(client.config.cloud, client.config.endpoints.cce)
    ]]
    assert.equal("otc\thttps://cce.eu-nl.otc.t-systems.com\n",
      child.run({ CCE_CLOUD = "otc", CCE_REGION = "eu-nl" }, code))
    assert.equal("otc\thttps://cce.example.com\n", child.run({ CCE_CLOUD = "otc",
      CCE_REGION = "eu-nl", CCE_ENDPOINT = "https://cce.example.com" }, code))
    assert.matches("must be one of", child.run({ CCE_CLOUD = "x" }, code), 1, true)
  end)

  it("say which service they lack", function()
    local client = assert(client_of { cloud = "otc", region = "eu-nl", project_id = "p" })
    local _, message, err = require("cce.api.endpoints").of(client.config.endpoints, "sts")
    assert.matches("the address of STS is not known", message, 1, true)
    assert.matches("Open Telekom Cloud has none", err.hint, 1, true)
    client:close()
  end)
end)

if not simulator.has_program "nginx" then return end

describe("what a cloud lacks", function()
  local sim, client, cluster, user
  before_each(function()
    sim = simulator.get()
    sim:reset()
    client = clients.new(sim, { cloud = "otc", stranger = true })
    cluster, user = sim.clusters[1].id, simulator.member.principal.id
  end)
  after_each(function() client:close() end)

  local lacking = {
    revoke_cert = function() return client:revoke_cert(cluster, { user_id = user }) end,
    rotate_credentials = function()
      return client:rotate_credentials(cluster, { component = "all" })
    end,
    retry_node_rotation = function()
      return client:retry_node_rotation(cluster, { node_ids = { "n" } })
    end,
    ["obtain_cert by expire_at"] = function()
      return client:obtain_cert(cluster, { duration = 1, expire_at = os.time() + 90000 })
    end,
    ["list_autopilot_clusters"] = function() return client:list_clusters { autopilot = true } end,
    ["cce.workflow.revoke"] = function()
      return cce.workflow.revoke(client, { clusters = { cluster }, user_id = user })
    end,
    ["cce.workflow.rotate"] = function()
      return cce.workflow.rotate(client, { clusters = { name = "*" } })
    end,
    ["cce.workflow.issue"] = function()
      return cce.workflow.issue(client, { clusters = { name = "*" }, dir = tempdir.root,
        expire_at = os.time() + 90000 })
    end,
  }
  for name, call in pairs(lacking) do
    it("is said before it is sent: " .. name, function()
      local err = clients.fails("UNSUPPORTED", call())
      assert.matches("Open Telekom Cloud", err.message, 1, true)
      assert.matches("docs.otc.t-systems.com", err.message, 1, true)
      assert.same({}, sim:log())
    end)
  end

  it("is a longer life, too; what it has is sent", function()
    local err = clients.fails("INVALID_ARGUMENT", client:obtain_cert(cluster, { duration = 1826 }))
    assert.matches("1825 at most", err.message, 1, true)
    assert.is_true(clouds.allows("otc", "obtain_cert", { duration = 1825 }))
    assert(client:obtain_cert(cluster, { duration = 1 }))
    assert(client:list_clusters())
    -- Nothing is looked for at Autopilot.
    clients.fails("NOT_FOUND", client:show_cluster "no-such")
    assert.equal(3, #sim:log())
  end)

  it("is tried where nothing is known, or no cloud is named", function()
    for _, cloud in ipairs { "sber", "hcso", "huawei" } do
      local other = clients.new(sim, { cloud = cloud })
      assert(other:revoke_cert(cluster, { user_id = user }))
      other:close()
    end
  end)

  it("is known to the command by --cloud and by a profile", function()
    local world = command.new(sim)
    assert.equal(0, world:cce({ "revoke", cluster, "--user", user, "--yes" }).code)
    sim:reset()
    local out, started = world.dir .. "/out.json", {}
    for _, line in ipairs { "revoke cluster-001 --user member --yes", "rotate --all --yes",
      "rotate cluster-001 --dry-run", "leaver member --yes", "clusters --autopilot",
      "grant cluster-001 --for 1h --dry-run --out " .. out,
      "grant cluster-001 --for 1h --as-agency ci --out " .. out,
      "schedule add revoke cluster-001 --user member --at +1h",
      "schedule add rotate --all --every 30d", "schedule add rotate cluster-001 --at +1h",
      "obtain cluster-001 --until +30h --out " .. out,
      "ensure cluster-001 --until +30h --out " .. out } do
      local words = { "--cloud", "otc" }
      for word in line:gmatch "%S+" do words[#words + 1] = word end
      started[line] = (world:start_cce(words))
    end
    for line, finish in pairs(started) do
      local result = finish()
      assert.equal(1, result.code, line)
      assert.matches("Open Telekom Cloud .*; nothing was sent", result.err)
    end
    local result = world:cce { "--cloud", "otc", "obtain", cluster, "--days", "1826", "--out", out }
    assert.matches("takes 1825 at most", result.err, 1, true)
    result = world:cce({ "--cloud", "otc", "downloads", cluster }, { env = {
      CCE_CTS_ENDPOINT = false } })
    assert.matches("the address of CTS is not known", result.err, 1, true)
    assert.same({}, sim:log())
    world:remove()
  end)
end)
