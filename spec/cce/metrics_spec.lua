-- Metrics, judged by promtool where it is there.
local command = require "spec.support.command"
local exposition = require "cce.text.exposition"
local metrics = require "cce.metrics"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

local has_promtool = simulator.has_program "promtool"

local function check(text)
  if not has_promtool then return true end
  local path = os.tmpname()
  tempdir.write(path, text)
  local told = tempdir.shell("promtool check metrics <" .. path .. " 2>&1; echo status $?")
  os.remove(path)
  assert.matches("^status 0", told)
end

describe("the text format of Prometheus", function()
  it("escapes what others chose, and keeps one sample for the same labels", function()
    local all = exposition.new()
    all:family("cce_example_total", "counter", "A \\ and\na line.")
    all:add("cce_example_total", { b = 'x"\\\n\255', a = "1" }, 1)
    all:add("cce_example_total", { a = "1", b = 'x"\\\n\255' }, 2.5)
    local text = all:text()
    assert.equal("# HELP cce_example_total A \\\\ and\\na line.\n# TYPE cce_example_total counter\n"
      .. 'cce_example_total{a="1",b="x\\"\\\\\\n�"} 3.5\n', text)
    check(text)
  end)
end)

describe("cce.metrics", function()
  it("counts what clients and runners tell, with bounded labels", function()
    local collected = metrics.new { clock = function() return 1800000000 end }
    local passed = {}
    local observe = collected:observer(function(event) passed[#passed + 1] = event.type end)
    observe { type = "attempt", operation = "show_cluster", status = 200, cluster_id = "c-1" }
    observe { type = "attempt", operation = "revoke_cert", code = "THROTTLED", retry_in = 1.5 }
    observe { type = "attempt", operation = "revoke_cert", status = 200 }
    assert.truthy(collected:text():find("\ncce_key_refused 0\n", 1, true))
    observe { type = "key_refused", ak = "AKEXAMPLE" }
    collected:looked()
    observe { type = "done", kind = "revoke", id = "e1", user_id = "u1" }
    observe { type = "something_new" }
    observe { type = "audit_log_failed" }
    local text = collected:text()
    for _, line in ipairs { 'cce_requests_total{code="ok",operation="show_cluster"} 1',
      'cce_requests_total{code="THROTTLED",operation="revoke_cert"} 1',
      'cce_retry_wait_seconds_total{code="THROTTLED",operation="revoke_cert"} 1.5',
      "cce_key_refusals_total 1", "cce_audit_log_failures_total 1",
      "cce_key_refused 1", "cce_schedule_look_timestamp_seconds 1800000000",
      'cce_schedule_events_total{event="done",kind="revoke"} 1',
      "cce_last_event_timestamp_seconds 1800000000" } do
      assert.truthy(text:find(line .. "\n", 1, true), line)
    end
    assert.equal(7, #passed)
    assert.equal("cce.metrics: 9 families", tostring(collected))
    for _, name in ipairs { "c-1", "u1", "AKEXAMPLE" } do
      assert.is_nil(text:find(name, 1, true))
    end
    check(text)
  end)
end)

describe("the alerts and the dashboard of examples/prometheus", function()
  -- All that our sources can write.
  local function known_names()
    local names = {}
    for _, path in ipairs { "lua/cce/metrics.lua", "lua/cce/cli/command/upkeep/metrics.lua" } do
      for name in tempdir.read(path):gmatch '"(cce_[%w_]+)"' do names[name] = true end
    end
    return names
  end

  it("ask for metrics that there are", function()
    local names, count = known_names(), 0
    for _, file in ipairs { "alerts.yml", "dashboard.json" } do
      for name in tempdir.read("examples/prometheus/" .. file):gmatch "cce_[%w_]+" do
        assert.is_true(names[name] or false, file .. ": " .. name)
        count = count + 1
      end
    end
    assert.is_true(count > 12)
    assert(require("cce.base.json").decode(tempdir.read "examples/prometheus/dashboard.json"))
  end)

  it("fire when they should, and not before #once", function()
    if not has_promtool then return pending "needs promtool, of Debian's package prometheus" end
    local told = tempdir.shell("cd examples/prometheus && promtool check rules alerts.yml"
      .. " && promtool test rules alerts_test.yml; echo status $?")
    assert.matches("status 0", told, 1, true)
  end)
end)

if not (simulator.has_program "nginx" and pcall(require, "argparse")) then
  describe("cce metrics", function() pending "needs nginx and argparse" end)
  return
end

describe("cce metrics", function()
  local sim, world

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
  end)

  after_each(function() world:remove() end)

  it("tells when certificates end, whether they work, and what is open", function()
    local path = world.dir .. "/a.json"
    assert.equal(0, world:cce({ "obtain", "cluster-001", "--days", "3", "--out", path }).code)
    assert.equal(0, world:cce({ "rotate", "cluster-002", "--component", "all", "--yes", "--every",
      "1s" }).code)
    local result = world:cce { "metrics", path, "--check" }
    assert.equal(0, result.code, result.err)
    assert.matches('cce_certificate_works{context="cluster-001",file="a.json"} 1\n', result.out, 1,
      true)
    -- Files of one name are two, or the later end hides the earlier.
    tempdir.shell(("mkdir %s/b && cp %s %s/b/"):format(world.dir, path, world.dir))
    local both = world:cce({ "metrics", path, world.dir .. "/b", path }).out
    for _, each in ipairs { path, world.dir .. "/b/a.json" } do
      assert.matches('_seconds{context="cluster-001",file="' .. each .. '"} ', both, 1, true)
    end
    assert.matches('cce_cluster_last_rotation_timestamp_seconds{cluster="cluster%-002"} %d+',
      result.out)
    assert.matches('cce_runs_open{workflow="rotate"} 0\n', result.out, 1, true)
    assert.is_nil(result.out:find(simulator.admin.principal.id, 1, true))
    check(result.out)
    assert.equal(0, world:cce({ "revoke", "cluster-001", "--kubeconfig", path, "--allow-self",
      "--yes" }).code)
    result = world:cce { "metrics", path, "--check", "--users" }
    assert.matches('cce_certificate_works{context="cluster-001",file="a.json",user_id="'
      .. simulator.admin.principal.id .. '"} 0\n', result.out, 1, true)
  end)

  it("counts the states of a schedule, and makes none for the question", function()
    local result = world:cce { "metrics" }
    assert.equal(0, result.code, result.err)
    assert.is_nil(result.out:find("cce_schedule", 1, true))
    if not pcall(require, "luasql.sqlite3") then return end
    local store = "sqlite:" .. world.dir .. "/schedule.db"
    assert.equal(0, world:cce({ "schedule", "--store", store, "add", "revoke", "cluster-001",
      "--user", simulator.member.principal.id, "--at", "+2h" }).code)
    result = world:cce { "metrics", "--store", store }
    assert.matches('cce_schedule_entries{state="pending"} 1\n', result.out, 1, true)
    check(result.out)
    local file = world.dir .. "/runner.prom"
    assert.equal(0, world:cce({ "schedule", "--store", store, "hasten",
      (world:cce({ "schedule", "--store", store, "list", "-o", "name" }).out:match "%S+") }).code)
    assert.equal(0, world:cce({ "schedule", "--store", store, "run", "--once", "--metrics",
      file }).code)
    local text = assert(tempdir.read(file))
    assert.matches('cce_schedule_events_total{event="done",kind="revoke"} 1\n', text, 1, true)
    assert.near(os.time(), tonumber(text:match "\ncce_schedule_look_timestamp_seconds (%d+)"), 600)
    check(text)
  end)
end)
