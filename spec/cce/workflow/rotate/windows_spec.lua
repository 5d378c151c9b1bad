-- Maintenance windows: what the simulator was asked, by a clock that is set here.
local cce = require "cce"
local core = require "cce.core"
local rotations = require "spec.support.shared.rotations"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"
local times = require "cce.base.times"

local SATURDAY = assert(times.parse "2026-12-05T00:00:00Z")
local WINDOWS = "sat,sun 01:00-05:00"

describe("the windows of a rotation", function()
  local sim, client, dir, clock, on_sent

  before_each(function()
    sim = simulator.get()
    sim:reset()
    sim:set { job_seconds = 0.02 }
    dir, on_sent = tempdir.new(), nil
    local real = core.sys.time()
    clock = SATURDAY
    -- The simulator has the real time, which requests are signed with.
    client = rotations.client(sim, { clock = core.sys.time, monotonic = core.sys.monotonic })
    rawset(client, "clock", function() return clock + core.sys.time() - real end)
  end)

  after_each(function()
    client:close()
    tempdir.remove(dir)
    sim:reset()
  end)

  local function rotate(more)
    local opts = { journal = dir .. "/run.journal", windows = WINDOWS, concurrency = 1,
      on_progress = function()
        if on_sent then on_sent(#sim:log { operation = "rotate_credentials" }) end
      end }
    for name, value in pairs(more or {}) do
      opts[name] = value
      if value == "none" then opts[name] = nil end
    end
    return assert(rotations.rotate(client, opts))
  end

  local function sent()
    return #sim:log { operation = "rotate_credentials" }
  end

  it("that are closed let nothing begin; the same call goes on when they open", function()
    local report = rotate()
    assert.equal(0, sent())
    assert.same({ 5, 2 }, { report:counts().pending, report:exit_code() })
    assert.matches("outside of its windows, " .. WINDOWS .. " (UTC)", report.stopped, 1, true)
    assert.matches("goes on at 2026-12-05T01:00:00Z", report.stopped, 1, true)
    assert.equal(SATURDAY + 3600, report.next_window)
    clock = SATURDAY + 3600
    report = rotate()
    assert.same({ 5, 0 }, { report:counts().ok, report:exit_code() })
    assert.is_nil(report.stopped)
    assert.is_nil(report.next_window)
    assert.equal(5, sent())
  end)

  it("that close leave the rest for the next, and a cluster that was begun is followed", function()
    clock = SATURDAY + 4 * 3600
    on_sent = function(count)
      if count == 2 then clock = SATURDAY + 5 * 3600 end
    end
    local report = rotate { canary = 1 }
    assert.equal(2, sent())
    assert.same({ 2, 3, 2 }, { report:counts().ok, report:counts().pending, report:exit_code() })
    assert.equal(SATURDAY + 25 * 3600, report.next_window)
    -- Still closed; whoever goes on need not know of the windows.
    for _ = 1, 2 do
      report = rotate { windows = "none" }
      assert.same({ 2, 3 }, { report:counts().ok, report:counts().pending })
    end
    assert.equal(2, sent())
    clock = SATURDAY + 25 * 3600
    assert.equal(0, rotate { windows = "none" }:exit_code())
    local counts, clusters = rotations.accepted(sim)
    assert.equal(5, clusters)
    for id, count in pairs(counts) do assert.equal(1, count, id) end
  end)

  it("that close between the turn and the request let it not leave", function()
    clock = SATURDAY + 4 * 3600
    local looks, show = 0, client.show_cluster
    -- The last look before the request takes until after the end.
    client.show_cluster = function(...)
      looks = looks + 1
      if looks == 2 then clock = SATURDAY + 5 * 3600 end
      return show(...)
    end
    local report = rotate()
    assert.equal(0, sent())
    assert.same({ 5, 0 }, { report:counts().pending, report:counts().uncertain })
    client.show_cluster = nil
    clock = SATURDAY + 25 * 3600
    assert.equal(5, rotate():counts().ok)
    assert.equal(5, sent())
  end)

  it("that never open again stop the run, which can be gone on with to see it", function()
    local options = { windows = "none", except = "2026-12-06/9999-12-31", canary = 1 }
    on_sent = function(count)
      if count == 2 then clock = SATURDAY + 86400 end
    end
    for _, except in ipairs { options.except, options.except, "none" } do
      options.except = except
      local report = rotate(options)
      assert.same({ 2, 3, 2 }, { report:counts().ok, report:counts().pending, report:exit_code() })
      assert.matches("they never open again", report.stopped, 1, true)
    end
    assert.equal(2, sent())
    assert.equal(5, rotate({ windows = false }):counts().ok)
  end)

  it("do not keep a job from being followed", function()
    clock = SATURDAY + 3600
    sim:set { job_seconds = 60 }
    local report = rotate { wait = { interval = 0.01, timeout = 0.02 }, concurrency = 5 }
    assert.equal(5, report:counts().uncertain)
    sim:clock(60)
    clock = SATURDAY + 12 * 3600
    report = rotate()
    assert.same({ 5, 0 }, { report:counts().ok, report:exit_code() })
    assert.equal(5, sent())
  end)

  it("are told by the plan, with blackouts and the zone", function()
    local report = rotate { dry_run = true, except = "2026-12-05/2026-12-31", zone = "+08:00" }
    local text = tostring(report)
    assert.matches("nothing is begun outside of sat,sun 01:00-05:00, not 2026-12-05/2026-12-31"
      .. " (+08:00); the next window opens at 2027-01-01T17:00:00Z", text, 1, true)
    assert.equal(0, sent())
    assert.same({ "sat,sun 01:00-05:00, not 2026-12-05/2026-12-31 (+08:00)",
      times.parse "2027-01-01T17:00:00Z" }, { report.windows, report.next_window })
    clock = SATURDAY + 3600
    report = rotate { dry_run = true }
    assert.matches("(UTC); that is now", tostring(report), 1, true)
    assert.is_nil(report.next_window)
  end)

  it("are not part of the plan: others go on with the run, and false at all times", function()
    rotate()
    assert.equal(5, rotate { windows = "sun 01:00-05:00" }:counts().pending)
    assert.equal(5, rotate { except = "2026-12-24", windows = "none" }:counts().pending)
    assert.equal(0, sent())
    assert.equal(5, rotate { windows = false }:counts().ok)
  end)

  it("are those that the run was begun with, in their zone, and none where it had none", function()
    local journal = dir .. "/run.journal"
    rotate { zone = "+08:00" }
    assert.equal(WINDOWS .. " (+08:00)", rotate({ windows = "none" }).windows)
    -- As a later version might write them.
    tempdir.write(journal, (tempdir.read(journal):gsub("sat,sun", "sat,sunny")))
    local report, message, err = cce.workflow.rotate(client, rotations.options {
      journal = journal })
    assert.same({ nil, "INVALID_ARGUMENT" }, { report, err.code })
    assert.matches("the windows are not right: ", message, 1, true)
    assert.equal(0, sent())
    assert.is_nil(rotate({ journal = "none", windows = "none", dry_run = true }).windows)
  end)

  it("in local time are refused where TZ names a zone that the machine does not know", function()
    local getenv = os.getenv
    finally(function() os.getenv = getenv end) -- luacheck: ignore
    os.getenv = function(name) -- luacheck: ignore
      return name == "TZ" and "Nowhere/City" or getenv(name)
    end
    clock = SATURDAY + 2 * 3600
    for _, more in ipairs { {}, { dry_run = true } } do
      local opts = rotations.options { windows = WINDOWS, zone = "local" }
      for name, value in pairs(more) do opts[name] = value end
      local report, message, err = cce.workflow.rotate(client, opts)
      assert.is_nil(report)
      assert.equal("INVALID_ARGUMENT", err.code)
      assert.matches("they are in local time, but TZ is Nowhere/City", message, 1, true)
    end
    assert.equal(0, sent())
    assert.equal(5, rotate { zone = "+00:00" }:counts().ok)
  end)

  it("are refused when they are not right, or never open", function()
    for _, opts in ipairs { { windows = "sat" }, { windows = true },
      { windows = false, zone = "UTC" },
      { windows = "none", zone = "local" }, { except = "2000-01-01/9999-12-31" },
      { except = "christmas" }, { zone = "CST" } } do
      if opts.windows == nil then opts.windows = WINDOWS end
      if opts.windows == "none" then opts.windows = nil end
      local report, _, err = cce.workflow.rotate(client, rotations.options(opts))
      assert.is_nil(report)
      assert.equal("INVALID_ARGUMENT", err.code)
    end
    assert.equal(0, sent())
  end)
end)
