local cce = require "cce"
local clients = require "spec.support.clients"
local core = require "cce.core"
local pace = require "cce.workflow.pace"
local rotations = require "spec.support.shared.rotations"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

describe("the pace of a workflow", function()
  local sim, opened, now

  setup(function() sim = simulator.get() end)

  before_each(function()
    sim:reset()
    sim:set { job_seconds = 0 }
    pace.forget()
    opened, now = {}, 1e9
  end)

  after_each(function()
    pace.forget()
    for _, each in ipairs(opened) do each:close() end
  end)

  -- The time of all these clients is one, and passes by their sleep alone.
  local function clock() return now end

  local function client_of(key, options)
    options = options or {}
    options.key, options.clock = key, options.clock or clock
    local client = clients.new(sim, options)
    client.now = function() return os.time() end
    client.sleep = function(seconds) now = now + seconds end
    opened[#opened + 1] = client
    return client
  end

  local function endpoints()
    return { cce = sim.env.CCE_ENDPOINT, sts = sim.env.HUAWEICLOUD_SDK_STS_ENDPOINT,
      iam = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT }
  end

  local function known(key) return client_of(key, { endpoints = endpoints() }) end

  -- Seconds that so many requests of each client have to wait, in turns.
  local function waits(list, limit, rounds)
    local made, result = pace.new(list, limit), {}
    for i, client in ipairs(list) do list[i] = made:limited(client) end
    for _ = 1, rounds do
      for _, client in ipairs(list) do
        result[#result + 1] = client.change_limiter and client.change_limiter:reserve(now) or 0
      end
    end
    return result
  end

  it("is one of all clients of an account", function()
    local list = { known(simulator.admin), known(simulator.member) }
    assert.same({ 0, 0, 60, 60 }, waits(list, "2/min", 2))
    assert.equal(2, #sim:log { operation = "caller_identity" })
  end)

  it("is one for each account", function()
    local other = '{"principal_id":"u1","principal_urn":"iam::another-account:user:somebody"}'
    local list = { known(simulator.admin), known(simulator.member) }
    sim:fault { operation = "caller_identity", status = 200, times = 1, body = other }
    assert.same({ 0, 0, 0, 0, 60, 60 }, waits(list, "2/min", 3))
  end)

  it("asks once for each access key, and of IAM where STS is not known", function()
    waits({ known(simulator.admin), known(simulator.admin) }, "2/min", 1)
    assert.equal(1, #sim:log { operation = "caller_identity" })
    sim:reset()
    pace.forget()
    sim:deny(simulator.member.principal.id, "sts::getCallerIdentity")
    local list = { known(simulator.admin), known(simulator.member) }
    assert.same({ 0, 0, 60, 60 }, waits(list, "2/min", 2))
    assert.equal(1, #sim:log { operation = "list_domains" })
    assert.equal(1, #sim:log { operation = "caller_identity",
      principal = simulator.member.principal.id })
  end)

  it("is one for all when it is not known whose one of them is", function()
    local list = { known(simulator.admin), client_of(simulator.member) }
    assert.same({ 0, 0, 60, 60 }, waits(list, "2/min", 2))
  end)

  it("is shared by runs of the same limit, and by no other", function()
    assert.same({ 0, 0 }, waits({ known(simulator.admin) }, "2/min", 2))
    assert.same({ 60 }, waits({ known(simulator.member) }, "2/60s", 1))
    assert.same({ 0 }, waits({ known(simulator.member) }, "3/min", 1))
    local later = known(simulator.member)
    later.monotonic = function() return now end
    assert.same({ 0 }, waits({ later }, "2/min", 1))
  end)

  it("is none when there is no limit, and asks nobody", function()
    assert.same({ 0, 0, 0 }, waits({ known(simulator.admin) }, false, 3))
    assert.equal(0, #sim:log {})
  end)

  it("says when the last request leaves, by the account that has the most", function()
    local list = { known(simulator.admin), known(simulator.member) }
    list[2].account_id = "another-account"
    local made, items = pace.new(list, "2/min"), {}
    for i = 1, 6 do items[i] = { client = list[i > 5 and 2 or 1] } end
    assert.equal(120, made:seconds(items))
    assert.equal(0, pace.new(list, false):seconds(items))
  end)

  it("counts what an earlier process sent, but not twice", function()
    local client = known(simulator.admin)
    local items = { { client = client, sent = now - 50 }, { client = client, sent = now - 20 },
      { client = client } }
    pace.new({ client }, "2/min"):count_earlier(items)
    assert.same({ 10 }, waits({ client }, "2/min", 1))
    pace.new({ client }, "2/min"):count_earlier(items)
    assert.same({ 40 }, waits({ client }, "2/min", 1))
  end)

  -- Times at which requests left, since the first; each attempt is one.
  local function departures(client)
    local times = {}
    for _, event in ipairs(client.events) do
      local changes = event.operation == "rotate_credentials" or event.operation == "revoke_cert"
      if event.type == "attempt" and changes then times[#times + 1] = event.at end
    end
    for i = #times, 1, -1 do times[i] = times[i] - times[1] end
    return times
  end

  local function timed(key, options)
    options = options or {}
    options.on_event = function(event) event.at = now end
    return client_of(key, options)
  end

  it("counts the attempts that a client makes again by itself", function()
    local client = timed(simulator.admin, { retry = { base = 0.01, cap = 0.02 } })
    sim:fault { operation = "revoke_cert", status = 503, times = 2 }
    local report = assert(cce.workflow.revoke(client, { clusters = { name = "*" },
      user_id = "u1", unknown_ok = true, rate_limit = "1/min", concurrency = 1 }))
    assert.equal(5, #report.ok)
    assert.equal(7, #sim:log { operation = "revoke_cert" })
    local times = departures(client)
    for i = 2, 7 do
      assert.is_true(times[i] - times[i - 1] >= 60, ("%d: %g"):format(i, times[i] - times[i - 1]))
    end
    assert.is_true(times[7] < 361)
  end)

  it("counts a throttled rotation twice, and repairs", function()
    local client = timed(simulator.admin, { retry = { base = 0.01, cap = 0.02 } })
    sim:fault { operation = "rotate_credentials", status = 429, times = 1 }
    sim:set { cluster = sim.clusters[2].id, job_outcome = "Failed" }
    local report = assert(rotations.rotate(client, { rate_limit = "1/h", concurrency = 1,
      repair = true, wait = { interval = 0.01, timeout = 20 } }))
    assert.equal(5, #report.ok)
    assert.equal(6, #sim:log { operation = "rotate_credentials" })
    local times = departures(client)
    for i = 2, 6 do assert.is_true(times[i] - times[i - 1] >= 3600) end
    -- The repair stands between the second cluster and the third.
    assert.is_true(times[4] - times[3] >= 7200)
  end)

  it("lets two runs at once send no more than one would #timing", function()
    local list, start = {}, core.sys.time()
    for i = 1, 2 do
      list[i] = clients.new(sim, { endpoints = endpoints() })
      list[i].sleep = cce.sleep
      opened[i] = list[i]
    end
    local results = cce.map(list, function(client)
      return cce.workflow.revoke(client, { clusters = { name = "*" }, user_id = "u1",
        unknown_ok = true,
        rate_limit = "4/s" })
    end)
    for _, result in ipairs(results) do assert.equal(5, #result.value.ok) end
    local sent = sim:log { operation = "revoke_cert" }
    assert.equal(10, #sent)
    -- Four in each second since the start; the simulator's clock may be a little behind.
    for i = 5, 10 do
      local since = sent[i].time - start
      assert.is_true(since >= math.floor((i - 1) / 4) - 0.1, since)
    end
  end)

  describe("shared by a file", function()
    local user_state = require "cce.base.user_state"
    local dir

    before_each(function() dir = tempdir.new() end)
    after_each(function() tempdir.remove(dir) end)

    -- Seconds that each of so many requests of a process of its own has to wait.
    local function process(count, limit, key)
      key = key or simulator.admin
      local text = tempdir.check("XDG_STATE_HOME=" .. dir .. " " .. tempdir.lua(([[
        require("cce.base.user_state").enable()
        local pace, cce = require "cce.workflow.pace", require "cce"
        local client = assert(cce.new { endpoints = { cce = %q, sts = %q, iam = %q },
          ca_file = %q, project_id = "p", proxy = false, credentials = { ak = %q, sk = %q } })
        local view = pace.new({ client }, %q):limited(client)
        for _ = 1, %d do
          print(math.ceil(view.change_limiter:reserve(client.monotonic())))
        end]]):format(sim.env.CCE_ENDPOINT, sim.env.HUAWEICLOUD_SDK_STS_ENDPOINT,
        sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT, sim.env.CCE_CA_FILE, key.ak, key.sk, limit, count)))
      local found = {}
      for number in text:gmatch "%d+" do found[#found + 1] = tonumber(number) end
      return found
    end

    it("holds for all processes of an account and a limit together", function()
      assert.same({ 0, 0 }, process(2, "3/h"))
      local found = process(3, "3/h", simulator.member)
      assert.equal(0, found[1])
      assert.is_true(found[2] > 3500 and found[3] > 3500)
      assert.same({ 0 }, process(1, "4/h"))
    end)

    it("is each process's own when the file is none, or of a clock that was set since", function()
      for _, text in ipairs { "", "[]", "{", '{"x":7}', '{"x 3/3600":["a",{},1e300]}' } do
        tempdir.check("mkdir -p " .. dir .. "/cce")
        tempdir.write(dir .. "/cce/budget.json", text)
        assert.same({ 0, 0, 0 }, process(3, "3/h"))
      end
      tempdir.check("rm -r " .. dir .. "/cce && touch " .. dir .. "/cce")
      assert.same({ 0, 0, 0 }, process(3, "3/h"))
      assert.same({ 0, 0, 0 }, process(3, "3/h"))
    end)

    it("is not written by calls that are no workflow's", function()
      assert.is_false(user_state.update("budget", error))
    end)
  end)
end)
