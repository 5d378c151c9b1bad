-- Clocks that are set, coroutines of other people, and what is held across a wait.
local cce = require "cce"
local clients = require "spec.support.clients"
local core = require "cce.core"
local hosts = require "spec.support.hosts"
local protect = require "cce.host.protect"
local simulator = require "spec.support.sim"

if not simulator.has_program "nginx" then
  describe("time and coroutines", function() pending "needs nginx" end)
  return
end

local ALL = { component = "all" }

describe("durations", function()
  local sim

  before_each(function()
    sim = simulator.get()
    sim:reset()
  end)

  it("of waiting for jobs do not see that somebody sets the clock", function()
    sim:set { job_seconds = 60 }
    local ahead, steady = 0, 0
    local client = clients.new(sim, { monotonic = function() return steady end,
      clock = function() return core.sys.time() + ahead end })
    client.sleep = function(seconds) steady = steady + seconds end
    local job = assert(client:rotate_credentials(sim.clusters[1].id, ALL))
    local looks = 0
    local _, _, err = client:wait_job(job.id, { timeout = 100, interval = 10,
      on_progress = function()
        looks = looks + 1
        ahead = looks % 2 == 1 and 600 or -600
      end })
    assert.equal("TIMEOUT", err.code)
    assert.equal(100, steady)
    assert.equal(11, looks)
    client:close()
  end)

  it("of the jobs of a workflow do not either", function()
    local ahead = 0
    local client = hosts.client(sim, { clock = function() return core.sys.time() + ahead end,
      monotonic = core.sys.monotonic })
    sim:set { job_seconds = 0.3 }
    local report = assert(cce.workflow.rotate(client, { clusters = {
      sim.clusters[1].id, sim.clusters[2].id, sim.clusters[3].id }, component = "all",
      wait = { timeout = 1800, interval = 0.05 }, rate_limit = false,
      before_send = function()
        -- As soon as the requests have left.
        ahead = 3600
        return 60
      end }))
    assert.equal(3, #report.ok, tostring(report))
    for _, item in ipairs(report.ok) do assert.is_true(item.duration < 600, item.duration) end
    client:close()
  end)

  it("of rate limits do not either", function()
    local ahead, steady = 0, 1000
    local client = clients.new(sim, { rate_limit = "1/min", monotonic = function()
      return steady
    end, clock = function() return core.sys.time() + ahead end })
    assert(client:list_clusters())
    ahead = -600
    assert(client:list_clusters())
    assert.same({ 60 }, client.slept)
    client:close()
  end)
end)

describe("a call in a function of cce.map", function()
  local sim, client
  local can_wait_in_pcall = not protect.must_try_yield

  before_each(function()
    sim = simulator.get()
    sim:reset()
    client = hosts.client(sim)
    assert(client:list_clusters())
  end)

  after_each(function() client:close() end)

  local function rotations() return #sim:log { operation = "rotate_credentials" } end

  it("never tells of a failure inside of pcall when its request has left", function()
    local results = cce.map({ 1, 2 }, function(i)
      local id = sim.clusters[i].id
      if i == 2 then return client:rotate_credentials(id, ALL) end
      local ok, job, _, err = pcall(client.rotate_credentials, client, id, ALL)
      return { ok, job ~= nil, err and err.code, err and err.maybe_applied }
    end)
    assert.is_true(results[2].ok, results[2].message)
    if can_wait_in_pcall then
      assert.same({ true, true }, results[1].value)
      assert.equal(2, rotations())
    else
      assert.same({ true, false, "UNSUPPORTED", false }, results[1].value)
      assert.equal(1, rotations())
    end
  end)

  it("waits inside of cce.pcall on every Lua", function()
    local results = cce.map({ 1, 2, 3 }, function(i)
      local ok, job = cce.pcall(function()
        local inner_ok, inner = cce.pcall(client.rotate_credentials, client,
          sim.clusters[i].id, ALL)
        if i == 3 then error "mine" end
        return inner_ok and inner
      end)
      return ok and job.id or tostring(job)
    end)
    assert.is_string(results[1].value)
    assert.matches("mine", results[3].value)
    assert.equal(3, rotations())
  end)

  it("tells the same in a metamethod, which Lua 5.1 cannot yield across", function()
    local proxy = setmetatable({}, { __index = function(_, i)
      return client:rotate_credentials(sim.clusters[i].id, ALL)
    end })
    local results = cce.map({ 1, 2 }, function(i) return proxy[i] ~= nil end)
    for _, result in ipairs(results) do assert.equal(can_wait_in_pcall, result.ok) end
    assert.equal(can_wait_in_pcall and 2 or 0, rotations())
    -- And the next call works.
    assert(client:show_cluster(sim.clusters[1].id))
  end)
end)

describe("in a function of cce.map", function()
  it("a yield that is not ours fails the item and names its line", function()
    local results = cce.map({ 1, 2, 3 }, function(i)
      if i == 2 then coroutine.yield("mine") end
      cce.sleep(0.01)
      return i
    end, { concurrency = 2 })
    assert.is_true(results[1].ok and results[3].ok)
    assert.is_false(results[2].ok)
    assert.equal("RAISED", results[2].err.code)
    assert.matches("time_spec%.lua:%d+: coroutine%.yield%(%)", results[2].message)
    assert.matches("cce.sleep", results[2].message, 1, true)
  end)

  it("coroutines of one's own go on to work", function()
    local results = cce.map({ 1, 2 }, function(i)
      local sum = 0
      for n in coroutine.wrap(function() for n = 1, 3 do coroutine.yield(n) end end) do
        sum = sum + n
      end
      return sum * i
    end)
    assert.same({ 6, 12 }, { results[1].value, results[2].value })
  end)

  it("words that only sound like Ctrl-C are a failure of the item", function()
    local results = cce.map({ 1, 2 }, function(i)
      if i == 1 then error "the upload was interrupted!" end
      return i
    end)
    assert.is_false(results[1].ok)
    assert.is_true(results[2].ok)
  end)
end)

describe("credentials", function()
  it("are held from the moment they are acquired, while before_send waits", function()
    local sim = simulator.get()
    sim:reset()
    local member = simulator.member
    local client = hosts.client(sim, {
      endpoints = { iam = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT },
      credentials = { username = member.principal.name, password = member.password,
        domain = simulator.account.domain_name },
    })
    assert(client:list_clusters())
    local renewed = false
    local results = cce.map({ 1, 2 }, function(i)
      if i == 1 then
        return client:revoke_cert(sim.clusters[1].id, { user_id = member.principal.id,
          before_send = function()
            while not renewed do cce.sleep(0.005) end
            return 10
          end })
      end
      cce.sleep(0.01)
      client.session:expire(client.session.auth)
      assert(client:list_clusters())
      renewed = true
    end)
    assert.is_true(results[1].ok, results[1].message)
    assert.equal(1, #sim:log { operation = "revoke_cert" })
    client:close()
  end)
end)
