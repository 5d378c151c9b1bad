local cce = require("cce")
local errors = require("cce.error")
local hosts = require("spec.support.hosts")
local simulator = require("spec.support.sim")
local sys = require("cce.core").sys

local function numbers(count)
  local list = {}
  for i = 1, count do list[i] = i end
  return list
end

describe("cce.map with functions that make no call", function()
  it("returns the results in the order of the items", function()
    local results = cce.map({ 0.03, 0.01, 0.02 }, function(seconds, index)
      cce.sleep(seconds)
      return ("%d: %g"):format(index, seconds)
    end)
    assert.same({
      { item = 0.03, ok = true, value = "1: 0.03" },
      { item = 0.01, ok = true, value = "2: 0.01" },
      { item = 0.02, ok = true, value = "3: 0.02" },
    }, results)
  end)

  it("prints what is ok and what failed", function()
    local text = tostring(cce.map({ "a", { name = "b" }, { id = "c" } }, function(item)
      if item == "a" then return "x\ny" end
      return nil, "no"
    end))
    for _, line in ipairs { "a +ok +x …\n", "b +FAILED +no\n", "c +FAILED +no\n",
      "1 ok, 2 failed" } do
      assert.matches(line, text)
    end
  end)

  it("prints what each led to in a line", function()
    local shown = setmetatable({}, { __tostring = function() return "shown" end })
    for text, value in pairs { ["a table"] = {}, ["a table "] = setmetatable({}, {}), shown = shown,
      ["a table  "] = setmetatable({}, { __metatable = "closed" }), ["5"] = 5, ["true"] = true } do
      assert.matches("x +ok +" .. text:gsub(" +$", "") .. "\n",
        tostring(cce.map({ "x" }, function() return value end)))
    end
  end)

  it("takes an empty list", function()
    local called = false
    local results = cce.map({}, function() called = true end, { on_progress = error })
    assert.same({}, results)
    assert.is_false(called)
  end)

  it("does 10,000 without nesting", function()
    local results = cce.map(numbers(10000), function(n) return n * 2 end, { concurrency = 7 })
    assert.equal(10000, #results)
    for i, result in ipairs(results) do assert(result.ok and result.value == 2 * i) end
  end)

  it("leaves the items alone", function()
    local items = { { id = "a" }, { id = "b" } }
    local first = items[1]
    local results = cce.map(items, function(item) return item.id end)
    assert.same({ { id = "a" }, { id = "b" } }, items)
    assert.equal(first, items[1])
    assert.equal(first, results[1].item)
  end)

  it("never has more under way than asked for", function()
    for _, concurrency in ipairs { 1, 3, 50 } do
      local active, peak = 0, 0
      cce.map(numbers(20), function()
        active = active + 1
        peak = math.max(peak, active)
        cce.sleep(0.002)
        active = active - 1
      end, { concurrency = concurrency })
      assert.equal(math.min(concurrency, 20), peak)
    end
  end)

  it("begins in the order of the items", function()
    local order = {}
    cce.map(numbers(9), function(n)
      order[#order + 1] = n
      cce.sleep(n % 3 / 500)
    end, { concurrency = 4 })
    assert.same(numbers(9), order)
  end)

  it("takes an object that can be called", function()
    local fn = setmetatable({}, { __call = function(_, item) return item + 1 end })
    assert.equal(2, cce.map({ 1 }, fn)[1].value)
  end)
end)

describe("a function given to cce.map", function()
  local function outcome(fn)
    local results = cce.map({ "before", "this", "after" }, function(item)
      if item == "this" then return fn() end
      cce.sleep(0.001)
      return item
    end)
    assert.equal("before", results[1].value)
    assert.equal("after", results[3].value)
    assert.equal("this", results[2].item)
    return results[2]
  end

  it("is fine when it returns nothing, nil, false or a value", function()
    for _, fn in ipairs { function() end, function() return nil end } do
      assert.same({ item = "this", ok = true }, outcome(fn))
    end
    assert.same({ item = "this", ok = true, value = false }, outcome(function() return false end))
    assert.same({ item = "this", ok = true, value = 0 }, outcome(function() return 0, "more" end))
  end)

  it("fails by nil, message and an error of the library", function()
    local err = errors.new("TIMEOUT", "too late")
    local result = outcome(function() return nil, "too late", err end)
    assert.is_false(result.ok)
    assert.equal("too late", result.message)
    assert.equal(err, result.err)
  end)

  it("fails by nil and a message, whatever comes third", function()
    local result = outcome(function() return io.open("/nonexistent/file") end)
    assert.is_false(result.ok)
    assert.matches("No such file", result.message)
    assert.equal("RAISED", result.err.code)
    assert.equal(2, result.err.cause)
    assert.equal("RAISED", outcome(function() return nil, "why" end).err.code)
    assert.equal("why", outcome(function() return false, "why" end).message)
  end)

  it("fails by raising a string", function()
    local result = outcome(function() error("broken", 0) end)
    assert.is_false(result.ok)
    assert.equal("broken", result.message)
    assert.equal("RAISED", result.err.code)
    assert.equal("broken", result.err.cause)
  end)

  it("fails by raising a table", function()
    local problem = { why = "broken" }
    local result = outcome(function() error(problem) end)
    assert.equal(problem, result.err.cause)
    assert.equal("string", type(result.message))
    assert.equal(result.message, tostring(result.err))
  end)

  it("fails by raising an error of the library", function()
    local err = errors.new("TIMEOUT", "too late")
    local result = outcome(function() error(err) end)
    assert.equal(err, result.err)
    assert.equal("too late", result.message)
  end)

  it("fails by raising nil", function()
    local result = outcome(function() error(nil) end)
    assert.is_false(result.ok)
    assert.equal("RAISED", result.err.code)
    assert.equal("string", type(result.message))
  end)

  it("fails by raising what cannot be shown", function()
    local result = outcome(function()
      error(setmetatable({}, { __tostring = function() error("no") end }))
    end)
    assert.equal("a table that cannot be shown", result.message)
  end)

  it("fails after it has waited", function()
    local result = outcome(function()
      cce.sleep(0.002)
      error("later", 0)
    end)
    assert.equal("later", result.message)
  end)
end)

describe("the progress of cce.map", function()
  it("counts what is done and what failed", function()
    local seen = {}
    cce.map({ 1, 2, 3, 4 }, function(n)
      if n % 2 == 0 then error("even") end
    end, { concurrency = 1, on_progress = function(done, total, failed)
      seen[#seen + 1] = ("%d/%d, %d failed"):format(done, total, failed)
    end })
    assert.same({ "1/4, 0 failed", "2/4, 1 failed", "3/4, 1 failed", "4/4, 2 failed" }, seen)
  end)

  it("cancels the rest by returning false; those under way end", function()
    local ended, calls = 0, 0
    local results = cce.map(numbers(10), function(n)
      cce.sleep(n == 1 and 0.001 or 0.02)
      ended = ended + 1
      return n
    end, { concurrency = 3, on_progress = function()
      calls = calls + 1
      return false
    end })
    assert.equal(3, ended)
    assert.equal(3, calls)
    for i = 1, 10 do
      assert.equal(i <= 3, results[i].ok)
      assert.equal(i, results[i].item)
      assert.equal(i > 3 and "CANCELLED" or nil, results[i].err and results[i].err.code)
    end
    assert.is_false(results[10].err.maybe_applied)
    assert.equal(0, results[10].err.attempts)
  end)

  it("ends the map by raising, and those under way end first", function()
    local results, ended, problem = {}, 0, {}
    local ok, raised = pcall(cce.map, numbers(10), function(n)
      cce.sleep(n * 0.002)
      ended = ended + 1
    end, { concurrency = 3, results = results, on_progress = function() error(problem) end })
    assert.is_false(ok)
    assert.equal(problem, raised)
    assert.equal(3, ended)
    assert.equal(3, #results)
  end)

  it("of a map inside another is the outer item's problem", function()
    local results = cce.map({ 1, 2 }, function(n)
      cce.map({ 1 }, function() cce.sleep(0.001) end, { on_progress = function()
        if n == 1 then error("inner", 0) end
      end })
      return n
    end)
    assert.equal("inner", results[1].message)
    assert.equal(2, results[2].value)
  end)

  it("comes with the results so far", function()
    local kept, sizes = { "stale", nil, "stale too" }, {}
    local results = cce.map(numbers(3), function(n) return n end, { results = kept,
      concurrency = 1, on_progress = function() sizes[#sizes + 1] = #kept end })
    assert.same({ 1, 2, 3 }, sizes)
    assert.equal(kept, results)
  end)
end)

describe("cce.map inside cce.map", function()
  it("keeps the order on every level", function()
    local results = cce.map(numbers(4), function(outer)
      return cce.map(numbers(3), function(inner)
        cce.sleep((outer * inner) % 5 / 1000)
        return outer * 10 + inner
      end, { concurrency = 2 })
    end, { concurrency = 3 })
    for outer = 1, 4 do
      for inner = 1, 3 do
        assert.equal(outer * 10 + inner, results[outer].value[inner].value)
      end
    end
  end)

  it("works in a coroutine of the function's own", function()
    local results = cce.map(numbers(3), function(n)
      local inner = coroutine.wrap(function()
        cce.sleep(0.001)
        coroutine.yield(cce.map({ n }, function(m)
          cce.sleep(0.001)
          return m
        end)[1].value)
      end)
      return inner()
    end)
    for i = 1, 3 do assert.equal(i, results[i].value) end
  end)
end)

describe("wrong use of cce.map", function()
  it("raises at the caller's line", function()
    local function refused(pattern, fn)
      local ok, message = pcall(fn)
      assert.is_false(ok)
      assert.matches("map_spec.lua:%d+: .*" .. pattern, message)
    end
    refused("#1", function() cce.map(nil, print) end)
    refused("#2", function() cce.map({}, "print") end)
    refused("concurency", function() cce.map({}, print, { concurency = 2 }) end)
    refused("on_progress", function() cce.map({}, print, { on_progress = 1 }) end)
    refused("concurrency", function() cce.map({}, print, { concurrency = "2" }) end)
    refused("#1", function() cce.sleep("1") end)
  end)

  it("returns an error for a concurrency out of range", function()
    for _, concurrency in ipairs { 0, -1, 1.5, 100001 } do
      local results, message, err = cce.map({ 1 }, print, { concurrency = concurrency })
      assert.is_nil(results)
      assert.matches("concurrency", message)
      assert.equal("INVALID_ARGUMENT", err.code)
    end
  end)
end)

describe("cce.sleep", function()
  it("sleeps at least so long", function()
    local start = sys.monotonic()
    cce.sleep(0.02)
    assert.is_true(sys.monotonic() - start >= 0.02)
    cce.sleep(0)
    cce.sleep(-1)
  end)

  it("lets the others of a map go on", function()
    local order = {}
    cce.map({ 2, 0, 1 }, function(others)
      while #order < others do cce.sleep(0.001) end
      order[#order + 1] = others
    end)
    assert.same({ 0, 1, 2 }, order)
  end)
end)

describe("cce.map with calls", function()
  local sim, client

  setup(function() sim = simulator.get() end)
  before_each(function()
    sim:reset()
    client = hosts.client(sim)
  end)
  after_each(function() client:close() end)

  local function show(id)
    local cluster, message, err = client:show_cluster(id)
    return cluster and cluster.id, message, err
  end

  it("makes them at the same time", function()
    local ids = hosts.ids(sim, 10)
    -- Until its key has succeeded, two would be under way.
    assert(client:list_clusters())
    sim:fault { operation = "show_cluster", hold = "before", times = 10 }
    -- None is answered before the last one has come.
    ids[11] = "release"
    local results = cce.map(ids, function(id)
      if id ~= "release" then return show(id) end
      while #sim:held() < 10 do cce.sleep(0.005) end
      return sim:release()
    end, { concurrency = 11 })
    assert.equal(10, results[11].value)
    for i = 1, 10 do assert.equal(ids[i], results[i].value) end
    assert.equal(10, #sim:log { operation = "show_cluster" })
  end)

  it("reports what fails by item", function()
    local bad = sim.clusters[2].id
    sim:fault { cluster = bad, status = 404 }
    local ids = hosts.ids(sim, 5)
    local results = cce.map(ids, show)
    for i, result in ipairs(results) do assert.equal(ids[i] ~= bad, result.ok) end
    assert.equal(404, results[2].err.status)
    assert.equal(results[2].message, results[2].err.message)
  end)

  it("retries one without holding up the others", function()
    local slow = sim.clusters[1].id
    sim:fault { cluster = slow, status = 503, times = 2 }
    local results = cce.map(hosts.ids(sim, 5), show)
    for _, result in ipairs(results) do assert.is_true(result.ok) end
    assert.equal(3, #sim:log { cluster = slow })
  end)

  it("drives several clients", function()
    sim:fault { operation = "show_cluster", delay = 0.1 }
    local clients = {}
    for i = 1, 5 do clients[i] = hosts.client(sim) end
    local results = cce.map(clients, function(each, i)
      return assert(each:show_cluster(sim.clusters[i].id)).id
    end)
    for i, each in ipairs(clients) do
      assert.equal(sim.clusters[i].id, results[i].value)
      each:close()
    end
  end)

  it("makes calls on both levels of nested maps", function()
    local results = cce.map(hosts.ids(sim, 4), function(id)
      show(id)
      return cce.map(hosts.ids(sim, 3), show, { concurrency = 2 })
    end, { concurrency = 2 })
    for _, outer in ipairs(results) do
      for i = 1, 3 do assert.equal(sim.clusters[i].id, outer.value[i].value) end
    end
    assert.equal(16, #sim:log { operation = "show_cluster" })
  end)

  it("makes calls in a coroutine of the function's own", function()
    local results = cce.map(hosts.ids(sim, 6), function(id)
      return coroutine.wrap(function() return show(id) end)()
    end, { concurrency = 3 })
    for i, id in ipairs(hosts.ids(sim, 6)) do assert.equal(id, results[i].value) end
  end)

  it("mixes calls, sleeps and what does neither", function()
    local results = cce.map(hosts.ids(sim, 30), function(id, i)
      if i % 3 == 0 then cce.sleep(0.002) elseif i % 3 == 1 then return show(id) end
      return id
    end, { concurrency = 5 })
    for i, id in ipairs(hosts.ids(sim, 30)) do assert.equal(id, results[i].value) end
  end)

  it("ends the calls of a client that is closed inside it", function()
    sim:fault { operation = "show_cluster", delay = 20 }
    local results = cce.map(hosts.ids(sim, 6), function(id, i)
      if i < 6 then return show(id) end
      cce.sleep(0.1)
      client:close()
    end)
    for i = 1, 5 do assert.equal("CLOSED", results[i].err.code) end
    assert.is_true(results[6].ok)
  end)

  it("ends a call that waits for its next attempt when its client is closed", function()
    client:close()
    client = hosts.client(sim, { retry = { base = 0.2, cap = 0.2, max_attempts = 5 } })
    client.random = function() return 1 end
    sim:fault { operation = "show_cluster", status = 503 }
    local results = cce.map({ 1, 2 }, function(i)
      if i == 1 then return show(sim.clusters[1].id) end
      cce.sleep(0.1)
      client:close()
    end)
    assert.equal("CLOSED", results[1].err.code)
    assert.is_true(#sim:log { operation = "show_cluster" } <= 1)
  end)

  it("leaves a call outside of it alone", function()
    local results = cce.map(hosts.ids(sim, 3), show)
    assert.is_true(results[3].ok)
    assert.equal(sim.clusters[1].id, show(sim.clusters[1].id))
  end)
end)

describe("many items through cce.map", function()
  local sim

  setup(function() sim = simulator.start { clusters = 20 } end)
  teardown(function() sim:stop() end)

  local function try(count, concurrency)
    local client = hosts.client(sim, { max_connections = concurrency })
    local ids, started, finished, peak = hosts.ids(sim, count), {}, {}, 0
    collectgarbage()
    collectgarbage()
    local before, worst = hosts.resident(), 0
    local results = cce.map(ids, function(id, i)
      started[i] = #finished
      local ok, message, err = client:show_cluster(id)
      finished[#finished + 1] = i
      return ok and ok.id, message, err
    end, { concurrency = concurrency, on_progress = function(done)
      if done % 50 == 0 then peak = math.max(peak, hosts.resident()) end
    end })
    client:close()
    for i, result in ipairs(results) do
      assert(result.ok and result.value == ids[i], result.message)
    end
    for place, i in ipairs(finished) do worst = math.max(worst, place - started[i]) end
    return peak - before, worst
  end

  it("takes memory by connection, not by item, and starves none #unchecked", function()
    local grown, worst = try(1000, 100)
    -- Results and their bookkeeping: well below 2 KB each.
    assert.is_true(grown < 100 * 100 + 1000 * 2, grown .. " KB")
    -- While one is under way, few others begin and end. A busy machine may hold
    -- up one handshake now and then; an unfair queue would do so every time.
    for _ = 1, 4 do
      if worst < 600 then break end
      worst = math.min(worst, (select(2, try(1000, 100))))
    end
    assert.is_true(worst < 600, worst .. " ended while one waited")
  end)

  it("does so for 10,000, 500 at a time #long", function()
    local grown, worst = try(10000, 500)
    assert.is_true(grown < 500 * 100 + 10000 * 2, grown .. " KB")
    assert.is_true(worst < 3000, worst .. " ended while one waited")
  end)
end)

describe("Ctrl-C", function()
  local sim

  setup(function() sim = simulator.get() end)
  before_each(function() sim:reset() end)

  -- What is not interrupted takes an hour.
  local PREPARE = [[
    local cce = require "cce"
    local client = assert(cce.new { proxy = false, timeout = 3600 })
    local function say(...) print(...) io.stdout:flush() end
  ]]

  local function interrupt(script, ready, answer)
    script:wait_for(ready)
    sys.sleep(0.05)
    assert(script.process:signal("SIGINT"))
    script:wait_for(answer)
  end

  local MAP = PREPARE .. [[
    local clusters = assert(client:list_clusters())
    local kept, started = {}, 0
    local ok, problem = pcall(cce.map, clusters, function(cluster)
      started = started + 1
      return client:show_cluster(cluster.id)
    end, { concurrency = 4, results = kept, on_progress = function(done)
      if done == 2 then say "ready" end
    end })
    local count = 0
    for _ in pairs(kept) do count = count + 1 end
    say(("ended %s, kept %d of %d: %s"):format(tostring(ok), count, started, tostring(problem)))
    -- What was interrupted does not go on.
    local second = cce.map({ 1, 2 }, function(i)
      cce.sleep(0.05)
      return assert(client:show_cluster(clusters[i].id)).id == clusters[i].id
    end)
    count = 0
    for _ in pairs(kept) do count = count + 1 end
    say("then", second[1].value, second[2].value, count, started)
  ]]

  it("ends a map at once and keeps the results", function()
    for i = 3, 5 do sim:fault { cluster = sim.clusters[i].id, hold = "before" } end
    local script = hosts.script(sim, MAP)
    interrupt(script, "ready", "ended")
    local code, output = script:finish()
    assert.matches("ended false, kept 2 of 5: .*interrupted!", output)
    assert.matches("then%s+true%s+true%s+2%s+5", output)
    assert.equal(0, code)
  end)

  for name, text in pairs {
    ["cce.sleep"] = "cce.sleep(3600)",
    ["cce.sleep in a map"] = "cce.map({ 1, 2 }, function() cce.sleep(3600) end)",
    ["a single call"] = "client:list_clusters()",
    ["a map inside a map"] = [[cce.map({ 1, 2 }, function()
      cce.map({ 1, 2 }, function() client:list_clusters() end) end)]],
  } do
    it("ends " .. name, function()
      sim:fault { operation = "list_clusters", hold = "before", times = 4 }
      local script = hosts.script(sim, PREPARE .. ([[
        say("ended", pcall(function()
          say "ready"
          %s
        end))
      ]]):format(text))
      interrupt(script, "ready", "ended")
      local _, output = script:finish()
      assert.matches("ended%s+false%s.*interrupted!", output)
    end)
  end
end)
