--- Several addresses, deadlines, the budget and throttling windows, against the simulator.
local clients = require "spec.support.clients"
local core = require "cce.core"
local errors = require "cce.error"
local printed = require "spec.support.printed"
local simulator = require "spec.support.sim"
local socket = require "socket"

local sim = simulator.get()
local cluster = sim.clusters[1].id

local function refused_address()
  local listener = assert(socket.bind("127.0.0.1", 0))
  local _, port = listener:getsockname()
  listener:close()
  return "https://127.0.0.1:" .. port
end

local good = sim.env.CCE_ENDPOINT

local function with_addresses(list, changes)
  local options = { endpoints = { cce = list }, endpoint = list[1] }
  for name, value in pairs(changes or {}) do options[name] = value end
  return clients.new(sim, options)
end

local function endpoints_tried(client)
  local list = {}
  for _, event in ipairs(client.events) do list[#list + 1] = event.endpoint end
  return list
end

-- A client whose clock is that of the spec: sleeping moves it, nothing else does.
local function with_clock(changes)
  local client = clients.new(sim, changes)
  local now = 1000
  client.monotonic = function() return now end
  client.retry_budget.at = now
  local sleep = client.sleep
  client.sleep = function(seconds)
    sleep(seconds)
    now = now + seconds
  end
  return client
end

describe("several addresses", function()
  before_each(function() sim:reset() end)

  local nothing_sent = {
    ["refuses connections"] = refused_address(),
    ["has no name"] = "https://cce.invalid",
    ["has a bad certificate"] = sim:bad_tls "expired",
  }
  for what, address in pairs(nothing_sent) do
    it("are tried in turn when one " .. what .. ", even for a rotation", function()
      local client = with_addresses({ address, good }, { retry = { max_attempts = 1 } })
      assert(client:rotate_credentials(cluster, { component = "all" }))
      assert.same({ address, good }, endpoints_tried(client))
      assert.same({ 0 }, client.slept)
      -- The next call begins with the one that answered.
      assert(client:list_clusters())
      assert.same({ address, good, good }, endpoints_tried(client))
      client:close()
    end)
  end

  it("are not tried once something was sent", function()
    sim:fault { reset = "before" }
    local client = with_addresses({ good, refused_address() })
    local err = clients.fails("CONNECTION_LOST",
      client:rotate_credentials(cluster, { component = "all" }))
    assert.equal(1, err.attempts)
    assert.is_true(err.maybe_applied)
    client:close()
  end)

  for _, status in ipairs { 401, 403, 404, 500 } do
    it("are not tried after an answer " .. status, function()
      sim:fault { status = status }
      local client = with_addresses({ good, refused_address() }, { retry = { max_attempts = 1 } })
      local _, _, err = client:list_clusters()
      assert.equal(status, err.status)
      assert.equal(1, err.attempts)
      client:close()
    end)
  end

  it("make a round; further rounds wait", function()
    local list = { refused_address(), refused_address(), refused_address() }
    local client = with_addresses(list, { retry = { max_attempts = 2 } })
    local err = clients.fails("CONNECT_FAILED", client:list_clusters())
    assert.equal(6, err.attempts)
    assert.same({ 0, 0, 0.25, 0, 0 }, client.slept)
    local tried = endpoints_tried(client)
    for i = 1, 3 do assert.equal(list[i], tried[i]) end
    client:close()
  end)
end)

describe("what an attempt may have done", function()
  it("is not forgotten when later ones surely did nothing", function()
    sim:reset()
    sim:fault { operation = "revoke_cert", status = 500, times = 1 }
    sim:fault { operation = "revoke_cert", status = 429 }
    local client = clients.new(sim, { retry = { max_attempts = 3 } })
    local err = clients.fails("THROTTLED", client:revoke_cert(cluster, { user_id = "someone" }))
    assert.equal(3, err.attempts)
    local statuses = {}
    for i, entry in ipairs(sim:log { operation = "revoke_cert" }) do statuses[i] = entry.status end
    assert.same({ 500, 429, 429 }, statuses)
    assert.is_true(err.maybe_applied)
    client:close()
  end)
end)

describe("a deadline", function()
  before_each(function() sim:reset() end)

  it("of which less is left than a request takes ends the call, and raises nothing", function()
    local client, reads = clients.new(sim, { deadline = 1 }), 0
    client.monotonic = function()
      reads = reads + 1
      return reads == 1 and 0 or 0.9995
    end
    sim:reset()
    local err = clients.fails("TIMEOUT", client:show_cluster(cluster))
    assert.matches("not within the deadline of 1 s", err.message, 1, true)
    client.monotonic = core.sys.monotonic
    err = clients.fails("CANCELLED", client:revoke_cert(cluster, { user_id = "u1",
      before_send = function() return 0.0005 end }))
    assert.is_false(err.maybe_applied)
    assert.equal(0, #sim:log())
    client:close()
  end)

  it("ends the attempts", function()
    sim:fault { status = 503 }
    local client = with_clock { deadline = 40, retry = { max_attempts = 50, base = 20, cap = 100 } }
    local err = clients.fails("SERVER_ERROR", client:list_clusters())
    -- 10 and 20 fit, the next 40 do not.
    assert.same({ 10, 20 }, client.slept)
    assert.equal(3, err.attempts)
    assert.matches("deadline=", err.hint)
    client:close()
  end)

  it("leaves a request no more time than is left", function()
    sim:fault { hold = "before", operation = "show_job" }
    local client = clients.new(sim, { deadline = 0.1 })
    local err = clients.fails("TIMEOUT", client:show_job "a-job")
    -- Of a process that was not let run it may all be gone.
    assert.matches("within [^%d]*0%.[01]%d* s", err.message)
    client:close()
  end)

  it("does not let a throttled call wait in vain", function()
    sim:fault { status = 429 }
    local client = with_clock { deadline = 60 }
    local err = clients.fails("THROTTLED", client:list_clusters())
    assert.equal(1, err.attempts)
    assert.same({}, client.slept)
    assert.equal(300, err.retry_after)
    client:close()
  end)

  it("does not let it wait in vain where no window is named, either", function()
    sim:fault { status = 429, body = '{"error_code":"APIG.0308","error_msg":"slow down"}' }
    local client = with_clock { deadline = 45 }
    local err = clients.fails("THROTTLED", client:list_clusters())
    assert.equal(1, err.attempts)
    assert.same({}, client.slept)
    assert.equal(60, err.retry_after)
    client:close()
  end)

  it("counts the wait for a rate limit", function()
    local client = with_clock { deadline = 5, rate_limit = "1/min" }
    assert(client:list_clusters())
    local err = clients.fails("TIMEOUT", client:rotate_credentials(cluster, { component = "all" }))
    assert.matches("not within the deadline of 5 s", err.message)
    assert.is_false(err.maybe_applied)
    assert.equal(1, #sim:log())
    client:close()
  end)

  it("counts the look-up of the project", function()
    require("cce.api.project").forget()
    sim:fault { status = 503, operation = "list_projects" }
    local client = with_clock {
      deadline = 40, retry = { max_attempts = 50, base = 20, cap = 100 }, project_id = false,
      region = simulator.account.region,
      endpoints = { iam = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT },
    }
    clients.fails("SERVER_ERROR", client:list_clusters())
    assert.same({ 10, 20 }, client.slept)
    client:close()
  end)

  it("must be in its range", function()
    clients.fails("INVALID_ARGUMENT", require "cce".new {
      endpoint = good, project_id = "p", deadline = 0,
      credentials = { ak = "EXAMPLEAK", sk = "example-secret-key" } })
  end)
end)

describe("the retry budget", function()
  before_each(function() sim:reset() end)

  it("is one for all calls of a client", function()
    sim:fault { status = 503 }
    local client = with_clock { retry = { budget = 5, base = 0 } }
    local requests = 0
    for _ = 1, 10 do
      local _, _, err = client:list_clusters()
      requests = requests + err.attempts
    end
    assert.equal(15, requests)
    assert.equal(15, #sim:log())
    local err = clients.fails("SERVER_ERROR", client:list_clusters())
    assert.matches("retry.budget", err.hint)
    client:close()
  end)

  it("lets calls through that do not fail", function()
    local client = with_clock { retry = { budget = 0 } }
    for _ = 1, 5 do assert(client:list_clusters()) end
    client:close()
  end)
end)

describe("a throttling window", function()
  before_each(function() sim:reset() end)

  -- Sleeping moves the simulator's clock.
  local function new(changes)
    local client = clients.new(sim, changes)
    local sleep, offset = client.sleep, 0
    client.sleep = function(seconds)
      sleep(seconds)
      offset = offset + seconds
      sim:clock(offset)
    end
    return client
  end

  it("is waited out as the text names it, for a rotation too", function()
    sim:policy { throttle = { limit = 2, seconds = 300 } }
    local client = new()
    assert(client:list_clusters())
    assert(client:list_clusters())
    assert(client:rotate_credentials(cluster, { component = "all" }))
    assert.same({ 300.25 }, client.slept)
    assert.equal(2, #sim:log { operation = "rotate_credentials" })
    client:close()
  end)

  it("of seconds is understood as well", function()
    sim:policy { throttle = { limit = 1, seconds = 7 } }
    local client = new()
    assert(client:list_clusters())
    assert(client:list_clusters())
    assert.same({ 7.25 }, client.slept)
    client:close()
  end)

  it("of a Retry-After header beats that of the text", function()
    sim:fault { status = 429, headers = { ["Retry-After"] = "12" }, times = 1 }
    local client = new()
    assert(client:list_clusters())
    assert.same({ 12.25 }, client.slept)
    client:close()
  end)
end)

printed.describe(100, { simulator.admin.sk })

describe("before_send", function()
  local calls = {
    revoke_cert = function(client, ask)
      return client:revoke_cert(cluster, { user_id = "u1", before_send = ask })
    end,
    rotate_credentials = function(client, ask)
      return client:rotate_credentials(cluster, { component = "all", before_send = ask })
    end,
    retry_node_rotation = function(client, ask)
      return client:retry_node_rotation(cluster, { node_ids = { "node-1" }, before_send = ask })
    end,
  }

  before_each(function() sim:reset() end)

  for name, make in pairs(calls) do
    it("holds " .. name .. " back, and says why", function()
      local client = clients.new(sim)
      local err = clients.fails("CANCELLED", make(client, function() return nil, "not today" end))
      assert.matches("not today$", err.message)
      assert.same({ false, 0, true }, { err.maybe_applied, err.attempts, err.retryable })
      assert.same({}, sim:log { operation = name })
      client:close()
    end)

    it("may end " .. name .. " with an error of its own", function()
      local client = clients.new(sim)
      local lost = errors.new("LEASE_LOST", "the lease is over", { hint = "Wait for another" })
      local err = clients.fails("LEASE_LOST", make(client, function() return nil, "x", lost end))
      assert.equal("Wait for another", err.hint)
      assert.are_not.equal(lost, err)
      client:close()
    end)
  end

  it("holds only for a while: a process that was stopped then sends nothing", function()
    local client, script = clients.new(sim), require "cce.host.script"
    local wait = script.wait
    finally(function() script.wait = wait end)
    local asked = 0
    -- As if stopped between the last question and the first byte.
    function script.wait(...)
      core.sys.sleep(0.1)
      return wait(...)
    end
    local err = clients.fails("CANCELLED", calls.rotate_credentials(client, function()
      asked = asked + 1
      if asked > 1 then return nil, "not any more" end
      return 0.05
    end))
    assert.is_false(err.maybe_applied)
    assert.equal(2, asked)
    assert.same({}, sim:log { operation = "rotate_credentials" })
    client:close()
  end)

  it("is asked before each attempt, after the wait, with the cluster's id", function()
    sim:fault { operation = "revoke_cert", status = 503, times = 2 }
    local client, asked = clients.new(sim), {}
    assert(calls.revoke_cert(client, function(id)
      asked[#asked + 1] = { id, #client.slept, #sim:log { operation = "revoke_cert" } }
      return 5
    end))
    assert.same({ { cluster, 0, 0 }, { cluster, 1, 1 }, { cluster, 2, 2 } }, asked)
    client:close()
  end)

  it("tells that an earlier attempt may have been applied", function()
    sim:fault { operation = "revoke_cert", reset = "after" }
    local client, asked = clients.new(sim), 0
    local err = clients.fails("CANCELLED", calls.revoke_cert(client, function()
      asked = asked + 1
      if asked == 1 then return 5 end
      return nil, "the time is over"
    end))
    assert.same({ true, 1 }, { err.maybe_applied, err.attempts })
    assert.equal(1, #sim:log { operation = "revoke_cert" })
    client:close()
  end)

  it("is asked again after a 401 corrected the clock", function()
    sim:clock(3600)
    local client, shifts = clients.new(sim), {}
    assert(calls.rotate_credentials(client, function()
      shifts[#shifts + 1] = client.clock_shift > 3000
      return 5
    end))
    assert.same({ false, true }, shifts)
    client:close()
  end)

  it("bounds the time of the attempt", function()
    sim:fault { operation = "revoke_cert", hold = "before" }
    local client = clients.new(sim, { retry = { max_attempts = 1 } })
    local err = clients.fails("TIMEOUT", calls.revoke_cert(client, function() return 0.1 end))
    assert.is_true(err.message:find("within 0.1 s", 1, true) ~= nil
      or err.message:find("too late when it could leave", 1, true) ~= nil, err.message)
    client:close()
  end)

  it("without time left holds back", function()
    local client = clients.new(sim)
    clients.fails("CANCELLED", calls.revoke_cert(client, function() return 0 end))
    assert.same({}, sim:log { operation = "revoke_cert" })
    client:close()
  end)

  it("may leave less than a millisecond, which is no wrong use", function()
    local client = clients.new(sim)
    local job, _, err = client:rotate_credentials(cluster, { component = "all",
      before_send = function() return 1e-7 end })
    assert.is_truthy(job or err.code)
    client:close()
  end)

  it("must be a function", function()
    local client = clients.new(sim)
    clients.raises("before_send", function()
      client:rotate_credentials(cluster, { component = "all", before_send = 5 })
    end)
    clients.raises("before_send", function()
      client:revoke_cert(cluster, { user_id = "u1", before_send = 5 })
    end)
    client:close()
  end)
end)
