local cce = require("cce")
local hosts = require("spec.support.hosts")
local rate_limit = require("cce.api.rate_limit")
local simulator = require("spec.support.sim")

describe("rate.parse", function()
  local good = {
    ["10/min"] = { 10, 60 }, ["200/5min"] = { 200, 300 }, ["5/s"] = { 5, 1 },
    ["1/sec"] = { 1, 1 }, ["1/second"] = { 1, 1 }, ["3/2seconds"] = { 3, 2 },
    ["7/m"] = { 7, 60 }, ["7/2minutes"] = { 7, 120 }, ["9/h"] = { 9, 3600 },
    ["9/2hours"] = { 9, 7200 }, ["4/d"] = { 4, 86400 }, ["4/7days"] = { 4, 604800 },
    [" 10 / 5 min "] = { 10, 300 }, ["100000/s"] = { 100000, 1 },
  }
  for text, expected in pairs(good) do
    it(("reads '%s'"):format(text), function()
      local count, seconds = rate_limit.parse(text)
      assert.same(expected, { count, seconds })
    end)
  end

  for _, text in ipairs { "", "10", "/min", "10/", "0/min", "10/0min", "-1/min", "1.5/min",
    "10/fortnight", "10/min/min", "100001/s", "ten/min", "10/5", "10/-5min", "10/minx",
    "x10/min" } do
    it(("refuses '%s'"):format(text), function()
      assert.is_nil(rate_limit.parse(text))
      assert.is_nil(rate_limit.new(text))
    end)
  end
end)

-- The sorted times never have more than `count` in one window.
local function assert_within(starts, count, seconds)
  for i = count + 1, #starts do
    local span = starts[i] - starts[i - count]
    assert(span >= seconds - 1e-6, ("%d starts within %g s"):format(count + 1, span))
  end
end

describe("a limiter", function()
  it("lets the first ones pass at once", function()
    local limiter = rate_limit.new("3/min")
    assert.equal(0, limiter:reserve(100))
    assert.equal(0, limiter:reserve(101))
    assert.equal(0, limiter:reserve(110))
    assert.equal(50, limiter:reserve(110))
    assert.equal(51, limiter:reserve(110))
    assert.equal(60, limiter:reserve(110))
    assert.equal(110, limiter:reserve(110))
  end)

  it("forgets what is older than the window", function()
    local limiter = rate_limit.new("2/10s")
    limiter:reserve(0)
    limiter:reserve(0)
    assert.equal(0, limiter:reserve(10))
    assert.equal(0, limiter:reserve(10))
    assert.equal(9, limiter:reserve(11))
  end)

  it("never lets more start in any window, whenever they come", function()
    math.randomseed(4711)
    for _ = 1, 200 do
      local count, window = math.random(1, 20), math.random(1, 30)
      local limiter = rate_limit.new(("%d/%ds"):format(count, window))
      local now, starts, pause = 1e9, {}, math.random() * 2 * window / count
      for i = 1, 150 do
        if math.random() < 0.7 then now = now + math.random() * pause end
        starts[i] = now + limiter:reserve(now)
        -- First come, first served.
        assert(i == 1 or starts[i] >= starts[i - 1])
      end
      assert_within(starts, count, window)
    end
  end)

  it("lets as many start as it may", function()
    local limiter = rate_limit.new("5/10s")
    local last
    for _ = 1, 50 do last = limiter:reserve(0) end
    assert.equal(90, last)
  end)
end)

describe("the rate limit of a client", function()
  local sim

  setup(function() sim = simulator.get() end)
  before_each(function() sim:reset() end)

  -- A client whose clock stands still but for its own sleeps, which are noted.
  local function clocked(limit, more)
    local real, offset = os.time(), 0
    more = more or {}
    more.rate_limit, more.clock = limit, function() return real + offset end
    local client, starts = hosts.client(sim, more), {}
    client.sleep = function(seconds)
      offset = offset + seconds
    end
    local reserve = client.limiter.reserve
    client.limiter.reserve = function(limiter, now)
      local seconds = reserve(limiter, now)
      starts[#starts + 1] = now + seconds - real
      return seconds
    end
    return client, starts
  end

  it("counts every call", function()
    local client, starts = clocked("3/10s")
    for _ = 1, 7 do assert(client:show_cluster(sim.clusters[1].id)) end
    client:close()
    assert.same({ 0, 0, 0, 10, 10, 10, 20 }, starts)
  end)

  it("counts attempts, not calls", function()
    sim:fault { operation = "show_cluster", status = 503, times = 3 }
    local client, starts = clocked("2/10s", { retry = { base = 0 } })
    assert(client:show_cluster(sim.clusters[1].id))
    client:close()
    assert.same({ 0, 0, 10, 10 }, starts)
    assert.equal(4, #sim:log { operation = "show_cluster" })
  end)

  it("is shared by the calls of a map, first come, first served", function()
    local client = hosts.client(sim, { rate_limit = "5/s" })
    local order = {}
    local results = cce.map(hosts.ids(sim, 12), function(id, i)
      local ok, message, err = client:show_cluster(id)
      order[#order + 1] = math.floor((i - 1) / 5)
      return ok and ok.id, message, err
    end, { concurrency = 12 })
    client:close()
    for _, result in ipairs(results) do assert(result.ok, result.message) end
    assert.same({ 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2 }, order)
    local times = {}
    for i, entry in ipairs(sim:log { operation = "show_cluster" }) do times[i] = entry.time end
    assert.equal(12, #times)
    -- The simulator's clock counts whole seconds or finer: allow for one.
    assert.is_true(times[12] - times[1] >= 1)
  end)

  it("is not shared by clients", function()
    local one, starts_of_one = clocked("1/min")
    local two, starts_of_two = clocked("1/min")
    assert(one:show_cluster(sim.clusters[1].id))
    assert(two:show_cluster(sim.clusters[1].id))
    one:close()
    two:close()
    assert.same({ { 0 }, { 0 } }, { starts_of_one, starts_of_two })
  end)

  it("that cannot be read is refused", function()
    local client, message, err = cce.new { rate_limit = "many", endpoint = sim.env.CCE_ENDPOINT,
      project_id = sim.project_id, token = "example-token" }
    assert.is_nil(client)
    assert.matches("rate_limit", message)
    assert.equal("INVALID_ARGUMENT", err.code)
  end)
end)
