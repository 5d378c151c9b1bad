-- At `lua -l cce`, too, every public object must say something when it is printed.
local cce = require "cce"
local clients = require "spec.support.clients"
local errors = require "cce.error"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

describe("what is printed at a prompt", function()
  local sim, client, directory

  setup(function() sim = simulator.get() end)
  before_each(function()
    sim:reset()
    client = clients.new(sim, { endpoints = { iam = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT,
      cts = sim.env.CCE_CTS_ENDPOINT } })
    directory = tempdir.new()
  end)
  after_each(function()
    client:close()
    tempdir.remove(directory)
  end)

  local function reads(value)
    local text = tostring(value)
    assert.is_nil(text:find "^%a+: 0x", text)
    for _, secret in ipairs { simulator.admin.sk, "PRIVATE KEY", 'key%-data": "[^*]' } do
      assert.is_nil(text:find(secret), text)
    end
    return text
  end

  it("is a line or a table, never an address or a secret: the module and what it makes", function()
    for _, value in ipairs {
      cce, cce.codes, client, cce.progress(), cce.region.names(),
      cce.region.endpoints "cn-north-4", cce.credentials.default(),
      cce.credentials.static { ak = "AKEXAMPLE", sk = simulator.admin.sk },
      cce.signer { ak = "AKEXAMPLE", sk = simulator.admin.sk },
      errors.new("TIMEOUT", "too late", { hint = "wait" }),
      cce.audit_log.open(directory .. "/log"), client:doctor(), cce.expiry(directory),
      cce.map({ "a" }, function(item) return item end),
      cce.map({ "a" }, function() return nil, "bad" end)[1],
    } do
      reads(value)
    end
    assert.equal("cce.workflow: issue, rotate, revoke, restore, grant and holders",
      reads(cce.workflow))
    assert.truthy(reads(cce.map({ "a" }, function() return nil, "bad" end)):find "a%s+FAILED%s+bad")
  end)

  it("is so for what the API answers", function()
    local id = sim.clusters[1].id
    local clusters = assert(client:list_clusters())
    for _, list in ipairs {
      clusters, assert(client:list_users()), assert(client:list_agencies()),
      assert(client:list_projects()), assert(client:list_traces()),
      assert(client:deleted_principals()), assert(client:certificate_downloads()),
    } do
      reads(list)
      if list[1] then reads(list[1]) end
    end
    local job = assert(client:rotate_credentials(id, { component = "all" }))
    reads(job)
    reads(assert(client:show_job(job.id)))
  end)

  it("is so for kubeconfigs, their contexts, certificates and files", function()
    local config = assert(client:obtain_cert(sim.clusters[1].id, { duration = 3 }))
    for _, value in ipairs { config, config:contexts(), config:certificate(), config.data,
      config:certificates(), assert(config:save(directory .. "/a.json")),
      cce.expiry(directory), cce.expiry(directory)[1] } do
      reads(value)
    end
    assert.truthy(reads(config:certificate()):find "^certificate of user .*, its key matches$")
    assert.truthy(reads(cce.expiry(directory)[1]):find "^user .* key matches")
  end)

  it("is so for a schedule, its entries and what a run of it did", function()
    if not pcall(require, "luasql.sqlite3") then
      return pending "luasql.sqlite3 is not installed"
    end
    local schedule = assert(cce.schedule.open("sqlite:" .. directory .. "/schedule.db"))
    local id = assert(schedule:revoke_at(os.time() + 3600, { region = "cn-north-4",
      project_id = sim.project_id, cluster_id = "c1", user_id = "leaver" }))
    local list = assert(schedule:list())
    for _, value in ipairs { schedule, list, list[1], assert(schedule:get(id)) } do reads(value) end
    assert.equal("schedule: 0 done, 0 failed, 1 pending, 0 overdue",
      reads(assert(schedule:run(function() return client end, { once = true }))))
    schedule:close()
  end)

  it("is so for reports, and an error reads as a sentence, raised or not", function()
    local report = assert(cce.workflow.revoke(client, { clusters = { sim.clusters[1].id },
      user_id = "leaver", dry_run = true }))
    reads(report)
    local ok, problem = pcall(assert, client:show_cluster "no-such-cluster")
    assert.is_false(ok)
    assert.truthy(reads(problem):find "^show_cluster cluster no%-such%-cluster: ")
    local _, _, err = client:show_cluster "no-such-cluster"
    assert.truthy(reads(err):find "^show_cluster cluster no%-such%-cluster: ")
    assert.truthy(tostring(select(2, pcall(error, err))):find "^show_cluster")
  end)
end)
