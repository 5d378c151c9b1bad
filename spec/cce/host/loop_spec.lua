local cce = require("cce")
local host = require("cce.host")
local hosts = require("spec.support.hosts")
local simulator = require("spec.support.sim")

-- Each: how to spawn a coroutine of the loop (`begin`: and have it begin, where
-- that does not come with it), to run the loop to its end, and to be called
-- every so many seconds until told to stop.
local loops = {}

function loops.cqueues()
  local cqueues = require("cqueues")
  local queue = cqueues.new()
  return {
    use = "cqueues",
    spawn = function(fn) queue:wrap(fn) end,
    begin = function() assert(queue:step(0)) end,
    run = function()
      local ok, problem = queue:loop(120)
      assert(ok, problem)
      assert(queue:empty(), "the loop did not end by itself")
    end,
    every = function(seconds, fn)
      queue:wrap(function()
        while fn() do cqueues.sleep(seconds) end
      end)
    end,
  }
end

function loops.luv()
  local uv = require("luv")
  return {
    use = "luv",
    spawn = function(fn) coroutine.wrap(fn)() end,
    run = function()
      -- It must end by itself: this one does not hold it.
      local limit, expired = uv.new_timer(), false
      limit:start(120000, 0, function()
        expired = true
        uv.stop()
      end)
      limit:unref()
      uv.run()
      limit:close()
      uv.run()
      assert(not expired, "the loop did not end by itself")
    end,
    every = function(seconds, fn)
      local timer = uv.new_timer()
      timer:start(0, seconds * 1000, function()
        if not fn() then timer:close() end
      end)
    end,
  }
end

loops["a loop of one's own"] = function()
  local loop = require("spec.support.select_loop").new()
  return {
    use = loop.functions,
    spawn = loop.functions.spawn,
    run = loop.run,
    every = function(seconds, fn)
      local function again()
        if fn() then loop.functions.after(seconds, again) end
      end
      again()
    end,
  }
end

describe("cce.use_loop", function()
  after_each(function() cce.use_loop(nil) end)

  it("raises for what is no loop", function()
    assert.error_matches(function() cce.use_loop("libevent") end, "unknown loop 'libevent'")
    assert.error_matches(function() cce.use_loop({}) end, "watch, suspend and after")
    assert.error_matches(function() cce.use_loop(1) end, "watch, suspend and after")
    assert.error_matches(function()
      cce.use_loop { watch = print, suspend = print }
    end, "watch, suspend and after")
  end)

  it("blames the caller's line", function()
    local _, message = pcall(function() cce.use_loop("libevent") end)
    assert.matches("loop_spec.lua:%d+:", message)
    _, message = pcall(function() cce.use_loop({}) end)
    assert.matches("loop_spec.lua:%d+:", message)
  end)

  it("goes back to none", function()
    cce.use_loop("luv")
    local driver = coroutine.wrap(function() return host.current() end)
    assert.not_equal(require("cce.host.script"), driver())
    cce.use_loop(nil)
    driver = coroutine.wrap(function() return host.current() end)
    assert.equal(require("cce.host.script"), driver())
  end)
end)

for name, make in pairs(loops) do
  describe("inside " .. name, function()
    local sim, client, loop

    setup(function() sim = simulator.get() end)

    before_each(function()
      sim:reset()
      loop = make()
      cce.use_loop(loop.use)
      client = hosts.client(sim)
    end)

    after_each(function()
      cce.use_loop(nil)
      client:close()
    end)

    local function show(i)
      local cluster, message, err = client:show_cluster(sim.clusters[i].id)
      return cluster and cluster.id, message, err
    end

    -- Runs the functions, each in a coroutine of the loop; what they raise is
    -- raised here, and all must have ended.
    local function run(...)
      local left, problems = select("#", ...), {}
      for _, fn in ipairs { ... } do
        loop.spawn(function()
          local ok, problem = require("cce.host.protect").pcall(fn)
          if not ok then problems[#problems + 1] = problem end
          left = left - 1
        end)
      end
      loop.run()
      if problems[1] then error(problems[1], 0) end
      assert.equal(0, left)
    end

    -- No call is answered before so many are under way and the loop has turned so often since.
    local function release_when_held(calls, turns)
      -- Until its key has succeeded, fewer would be.
      run(function() assert(client:list_clusters()) end)
      sim:fault { operation = "show_cluster", hold = "before", times = calls }
      loop.every(0.005, function()
        if #sim:held() < calls then return true end
        turns = turns - 1
        return turns >= 0 or sim:release() == 0
      end)
    end

    it("sends nothing that it could not wait for, and waits in cce.pcall", function()
      local plain, protected
      run(function()
        plain = { pcall(client.rotate_credentials, client, sim.clusters[1].id,
          { component = "all" }) }
        protected = { cce.pcall(client.rotate_credentials, client, sim.clusters[2].id,
          { component = "all" }) }
      end)
      assert.is_true(protected[1] and protected[2] ~= nil, tostring(protected[3]))
      local sent = #sim:log { operation = "rotate_credentials" }
      if require("cce.host.protect").must_try_yield then
        assert.equal("UNSUPPORTED", plain[4].code)
        assert.matches("pcall", plain[3], 1, true)
        assert.equal(1, sent)
      else
        assert.is_true(plain[2] ~= nil, tostring(plain[3]))
        assert.equal(2, sent)
      end
    end)

    it("renews a token once for all calls that wait for it", function()
      local member = simulator.member
      local other = hosts.client(sim, {
        endpoints = { iam = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT },
        credentials = { username = member.principal.name, password = member.password,
          domain = simulator.account.domain_name },
      })
      local function list() assert(other:list_clusters()) end
      local calls = {}
      for i = 1, 20 do calls[i] = list end
      for _ = 1, 2 do
        run((table.unpack or unpack)(calls))
        sim:iam { expire = true }
      end
      assert.equal(2, #sim:log { operation = "create_token" })
      assert.equal(40, #sim:log { operation = "list_clusters", accepted = true })
      other:close()
    end)

    it("several coroutines have calls under way at once", function()
      local fns, got = {}, {}
      for i = 1, 5 do
        fns[i] = function() got[i] = show(i) end
      end
      release_when_held(5, 0)
      run((table.unpack or unpack)(fns))
      for i = 1, 5 do assert.equal(sim.clusters[i].id, got[i]) end
    end)

    it("nothing blocks while calls are under way", function()
      release_when_held(5, 20)
      run(function()
        local results = cce.map({ 1, 2, 3, 4, 5 }, show)
        for _, result in ipairs(results) do assert(result.ok, result.message) end
      end)
    end)

    it("cce.map keeps order and concurrency, and nests", function()
      local active, peak = 0, 0
      run(function()
        local results = cce.map({ 5, 4, 3, 2, 1 }, function(i)
          active = active + 1
          peak = math.max(peak, active)
          local inner = cce.map({ i, 1 }, show)
          active = active - 1
          return inner[1].value
        end, { concurrency = 2 })
        for place, i in ipairs { 5, 4, 3, 2, 1 } do
          assert.equal(sim.clusters[i].id, results[place].value)
        end
      end)
      assert.equal(2, peak)
    end)

    it("cce.map does 5,000 that make no call", function()
      local items = {}
      for i = 1, 5000 do items[i] = i end
      run(function()
        local results = cce.map(items, function(i) return i end, { concurrency = 10 })
        for i = 1, 5000 do assert(results[i].value == i) end
      end)
    end)

    it("cce.map of nothing returns", function()
      run(function() assert.same({}, cce.map({}, print)) end)
    end)

    it("errors stay with their item", function()
      sim:fault { cluster = sim.clusters[2].id, status = 404 }
      run(function()
        local results = cce.map({ 1, 2, 3 }, function(i)
          local id, message, err = show(i)
          if i == 3 then error("raised", 0) end
          return id, message, err
        end)
        assert.is_true(results[1].ok)
        assert.equal(404, results[2].err.status)
        assert.equal("raised", results[3].message)
      end)
    end)

    it("on_progress cancels, and what it raises is raised by the map", function()
      run(function()
        local results = cce.map({ 1, 2, 3 }, show, { concurrency = 1,
          on_progress = function() return false end })
        assert.is_true(results[1].ok)
        assert.equal("CANCELLED", results[3].err.code)
        local ok, problem = require("cce.host.protect").pcall(cce.map, { 1, 2, 3 }, show, {
          concurrency = 2, on_progress = function() error("progress", 0) end })
        assert.is_false(ok)
        assert.equal("progress", problem)
      end)
    end)

    it("cce.sleep lets others run", function()
      local order = {}
      run(function()
        while #order == 0 do cce.sleep(0.001) end
        order[#order + 1] = 2
      end, function()
        cce.sleep(0.01)
        order[#order + 1] = 1
        cce.sleep(0)
        cce.sleep(-1)
      end)
      assert.same({ 1, 2 }, order)
    end)

    it("a retry waits in the loop", function()
      sim:fault { operation = "show_cluster", status = 503, times = 2 }
      run(function() assert.equal(sim.clusters[1].id, show(1)) end)
      assert.equal(3, #sim:log { operation = "show_cluster" })
    end)

    it("a client that is closed ends the calls of others, and the loop", function()
      sim:fault { operation = "show_cluster", delay = 20 }
      local codes = {}
      local function wait(i)
        return function()
          local _, _, err = show(i)
          codes[i] = err and err.code
        end
      end
      run(wait(1), wait(2), wait(3), function()
        cce.sleep(0.1)
        client:close()
      end)
      assert.same({ "CLOSED", "CLOSED", "CLOSED" }, codes)
    end)

    it("whoever is woken may close the client", function()
      sim:fault { cluster = sim.clusters[2].id, delay = 5 }
      local code
      run(function()
        assert(show(1))
        client:close()
      end, function()
        local _, _, err = show(2)
        code = err.code
      end)
      assert.equal("CLOSED", code)
    end)

    it("the loop can be run again", function()
      for _ = 1, 3 do
        run(function() assert(show(1)) end)
      end
      assert.equal(3, #sim:log { operation = "show_cluster" })
    end)

    it("calls outside of it block", function()
      assert.equal(sim.clusters[1].id, show(1))
      local results = cce.map({ 1, 2, 3 }, function(i)
        cce.sleep(0.001)
        return show(i)
      end)
      for i = 1, 3 do assert.equal(sim.clusters[i].id, results[i].value) end
    end)

    it("a blocking call outside does not take away what a coroutine waits for", function()
      sim:fault { cluster = sim.clusters[1].id, delay = 0.1 }
      sim:fault { cluster = sim.clusters[2].id, delay = 0.3 }
      local got
      loop.spawn(function() got = show(1) end)
      if loop.begin then loop.begin() end
      assert.equal(sim.clusters[2].id, show(2))
      loop.run()
      assert.equal(sim.clusters[1].id, got)
    end)
  end)
end
