local cce = require "cce"
local clients = require "spec.support.clients"
local core = require "cce.core"
local simulator = require "spec.support.sim"
local sys = core.sys

local sim = simulator.get()
local account = simulator.account
local cluster = sim.clusters[1]
local fails = clients.fails

before_each(function() sim:reset() end)

local function ask(service, path, options)
  options = options or {}
  options.method, options.path = options.method or "GET", path
  options.url = sim.env[service]
  return sim:curl(options)
end

local function traces(query, project_id)
  return ask("CCE_CTS_ENDPOINT", ("/v3/%s/traces%s"):format(
    project_id or account.central.project_id, query and "?" .. query or ""))
end

describe("the simulator's CTS", function()
  it("gives ten traces of the last hour when not asked for more", function()
    for i = 1, 11 do
      sim:put_principal { kind = "user", id = "u" .. i, name = "n" .. i }
      sim:delete_principal { kind = "user", id = "u" .. i, ago = i == 1 and 4000 or 20 - i }
    end
    local body = traces().json
    assert.equal(10, #body.traces)
    assert.equal("u11", body.traces[1].resource_id)
    assert.equal(10, body.meta_data.count)
    assert.equal(body.traces[10].trace_id, body.meta_data.marker)
    body = traces("next=" .. body.meta_data.marker).json
    assert.equal(0, #body.traces)
    assert.equal(core.json.null, body.meta_data.marker)
  end)

  it("wants from and to together, in milliseconds, and at most 200", function()
    local now = os.time()
    for _, query in ipairs { "from=1600000000000", "to=1600000000000", "limit=201", "limit=0",
      ("from=%d&to=%d"):format(now - 10, now) } do
      assert.equal(400, traces(query).status, query)
    end
    assert.equal(200, traces(("from=%d000&to=%d000&limit=200"):format(now - 10, now)).status)
  end)

  it("keeps seven days", function()
    sim:put_principal { kind = "user", id = "u1", name = "n" }
    sim:delete_principal { kind = "user", id = "u1", ago = 7 * 86400 + 60 }
    local query = ("from=%d000&to=%d999"):format(os.time() - 9 * 86400, os.time())
    assert.equal(0, #traces(query).json.traces)
    assert.equal(1, #sim:traces())
  end)

  it("is another one in each project, and none in a stranger's", function()
    sim:put_principal { kind = "user", id = "u1", name = "n" }
    sim:delete_principal { kind = "user", id = "u1" }
    assert(sim:obtain(cluster))
    assert.equal("deleteUser", traces().json.traces[1].trace_name)
    local own = traces(nil, sim.project_id).json.traces
    assert.equal(1, #own)
    assert.equal("getClusterCertByUID", own[1].trace_name)
    assert.equal(403, traces(nil, ("1"):rep(32)).status)
  end)
end)

describe("the simulator's IAM", function()
  it("deletes users and agencies by the APIs of both generations", function()
    for path, name in pairs {
      ["/v3/users/u1"] = "deleteUser", ["/v5/users/u1"] = "deleteUserV5",
      ["/v3.0/OS-AGENCY/agencies/u1"] = "deleteAgency", ["/v5/agencies/u1"] = "deleteAgencyV5",
    } do
      sim:reset()
      local kind = name:match("Agency") and "agency" or "user"
      assert.matches("^" .. ("%x"):rep(32) .. "$", sim:put_principal { kind = kind, name = "m" })
      sim:put_principal { kind = kind, id = "u1", name = "n" }
      local function delete(key)
        return ask("HUAWEICLOUD_SDK_IAM_ENDPOINT", path, { method = "DELETE", key = key })
      end
      assert.equal(403, delete(simulator.member).status)
      assert.equal(204, delete().status)
      local gone = delete()
      assert.same({ 404, 404 }, { gone.status, gone.json.error.code })
      assert.equal(name, sim:traces()[1].trace_name)
    end
  end)

  it("lets nobody sign who was deleted or disabled, but his certificates stay", function()
    local client = clients.new(sim, { key = simulator.member })
    local before = sim:state().clusters[1].certificates
    assert(client:obtain_cert(cluster.id, { duration = 1 }))
    sim:put_principal { kind = "user", id = simulator.member.principal.id, enabled = false }
    fails("UNAUTHENTICATED", client:obtain_cert(cluster.id, { duration = 1 }))
    sim:put_principal { kind = "user", id = simulator.member.principal.id, enabled = true }
    assert(client:obtain_cert(cluster.id, { duration = 1 }))
    sim:delete_principal { kind = "user", id = simulator.member.principal.id }
    fails("UNAUTHENTICATED", client:obtain_cert(cluster.id, { duration = 1 }))
    assert.equal(before + 2, sim:state().clusters[1].certificates)
  end)

  it("lists no other account's", function()
    for _, path in ipairs { "/v3/users?domain_id=d1", "/v3.0/OS-AGENCY/agencies?domain_id=d1" } do
      assert.equal(403, ask("HUAWEICLOUD_SDK_IAM_ENDPOINT", path).status)
    end
    assert.equal(400, ask("HUAWEICLOUD_SDK_IAM_ENDPOINT", "/v3.0/OS-AGENCY/agencies").status)
  end)
end)

describe("the simulator's permissions", function()
  it("take one action from one principal", function()
    -- The rotation of the member is still under way at the end.
    sim:set { job_seconds = 600 }
    sim:deny(simulator.admin.principal.id, "cce:cluster:rotateCredentials")
    local answer = sim:rotate(cluster)
    assert.equal(403, answer.status)
    assert.equal("CCE.01403001", answer.json.errorCode)
    assert.equal("Policy doesn't allow cce:cluster:rotateCredentials to be performed.",
      answer.json.message)
    assert.equal(200, sim:obtain(cluster).status)
    assert.equal(200, sim:rotate(cluster, nil, simulator.member).status)
    sim:deny(simulator.admin.principal.id)
    assert.equal(429, sim:rotate(cluster).status)
  end)
end)

describe("the simulator's control", function()
  it("refuses what makes no sense", function()
    for _, call in ipairs {
      function() sim:put_principal { kind = "robot", id = "x" } end,
      function() sim:put_principal { kind = "user", id = 7 } end,
      function() sim:delete_principal { kind = "user" } end,
      function() sim:delete_principal { kind = "user", id = "nobody" } end,
      function() sim:cts_late(-1) end,
      function() sim:fault { hold = "sometimes" } end,
      function() sim:release { id = "first" } end,
    } do
      assert.is_false((pcall(call)))
    end
  end)
end)

-- A process that asks for a rotation, and whatever else it does meanwhile.
local function rotating_process()
  local code = ([[
    local client = assert(require("cce").new {
      endpoint = %q, ca_file = %q, project_id = %q, proxy = false,
      credentials = { ak = %q, sk = %q },
    })
    local job, message = client:rotate_credentials(%q, { component = "all" })
    os.exit(job and 0 or 7)]]):format(sim.env.CCE_ENDPOINT, sim.env.CCE_CA_FILE, sim.project_id,
    simulator.admin.ak, simulator.admin.sk, cluster.id)
  return assert(sys.spawn {
    argv = { simulator.interpreter(), "-e", code },
    env = { "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath, "PATH=/usr/bin:/bin" },
    stdin = "/dev/null", die_with_parent = true,
  })
end

describe("a held request", function()
  local function jobs()
    return #sim:state().jobs
  end

  it("lets a client be killed before its request has effect, or after", function()
    for moment, expected in pairs { before = 0, after = 1 } do
      sim:reset()
      sim:fault { operation = "rotate_credentials", times = 1, hold = moment }
      local process = rotating_process()
      local held = sim:held(1)
      assert.equal(moment, held[1].moment)
      assert.equal(cluster.id, held[1].cluster)
      assert.equal(expected, jobs())
      process:signal("SIGKILL")
      process:wait(120)
      assert.equal(1, sim:release { drop = true })
      assert.equal(expected, jobs())
      assert.equal(0, #sim:held(0))
    end
  end)

  it("has its effect when let go, even if nobody waits for the answer", function()
    sim:fault { operation = "rotate_credentials", times = 1, hold = "before" }
    local process = rotating_process()
    sim:held(1)
    process:signal("SIGKILL")
    process:wait(120)
    sim:release()
    local deadline = sys.monotonic() + 120
    repeat sys.sleep(0.005) until jobs() == 1 or sys.monotonic() > deadline
    assert.equal(1, jobs())
  end)

  it("goes on as if nothing had been", function()
    sim:fault { operation = "rotate_credentials", times = 1, hold = "after" }
    local process = rotating_process()
    local held = sim:held(1)
    assert.is_true(process:alive())
    assert.equal(0, sim:release { id = held[1].id + 1 })
    assert.equal(1, sim:release { id = held[1].id })
    assert.equal(0, process:wait(120))
  end)

  it("can be dropped, which its client sees as a broken connection", function()
    sim:fault { operation = "rotate_credentials", times = 1, hold = "before" }
    local process = rotating_process()
    sim:held(1)
    sim:reset() -- drops what is held
    assert.equal(7, process:wait(120))
    assert.equal(0, jobs())
  end)
end)

it("works with the environment that the simulator writes", function()
  local client = clients.tame(assert(cce.new {
    endpoint = sim.env.CCE_ENDPOINT, ca_file = sim.env.CCE_CA_FILE, project_id = sim.project_id,
    endpoints = { iam = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT, cts = sim.env.CCE_CTS_ENDPOINT },
    credentials = { ak = simulator.admin.ak, sk = simulator.admin.sk },
  }))
  sim:put_principal { kind = "user", id = "u1", name = "leaver" }
  sim:delete_principal { kind = "user", id = "u1" }
  local leavers = assert(client:deleted_principals { from = os.time() - 60 })
  assert.equal("u1", leavers[1].id)
  assert.is_true(assert(client:revoke_cert(cluster.id, { user_id = leavers[1].id })))
end)
