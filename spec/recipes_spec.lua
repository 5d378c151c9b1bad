-- The recipes of examples/schedule are run, as far as a machine without systemd and cron can.
local command = require "spec.support.command"
local core = require "cce.core"
local json = require "cce.json"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

local sys = core.sys

local HERE = "examples/schedule/"
local UNITS = { "cce-schedule.service", "cce-schedule-tick.service", "cce-schedule-tick.timer" }
local HOME = "/var/lib/cce"
local MEMBER = simulator.member.principal.id

-- The settings of a unit: section → name → its value; what may stand twice is not used here.
local function settings_of(name)
  local unit, section = {}, nil
  for line in tempdir.read(HERE .. name):gmatch "[^\n]+" do
    local head = line:match "^%[(%w+)%]$"
    if head then
      section = {}
      unit[head] = section
    elseif not line:find "^#" then
      local key, value = line:match "^(%u%w+)=(.*)$"
      assert(key and section, name .. ": " .. line)
      assert(section[key] == nil, name .. " has it twice: " .. key)
      section[key] = value
    end
  end
  return unit
end

local function words_of(line)
  local words = {}
  for word in line:gmatch "%S+" do words[#words + 1] = word end
  return words
end

local function seconds_of(text)
  return tonumber(text:match "^(%d+)s$")
end

describe("the units of examples/schedule", function()
  it("are what systemd takes", function()
    if not simulator.has_program "systemd-analyze" then
      return pending "systemd-analyze is not installed"
    end
    local dir = tempdir.new()
    for _, name in ipairs(UNITS) do
      -- Neither the command nor its manual is installed here.
      local text = tempdir.read(HERE .. name):gsub("/usr/local/bin/cce", "/bin/true")
      tempdir.write(dir .. "/" .. name, (text:gsub("\nDocumentation=[^\n]*", "")))
    end
    local said = tempdir.shell(("cd %s && systemd-analyze verify --man=no ./*.service ./*.timer"
      .. " 2>&1; echo $?"):format(dir))
    tempdir.remove(dir)
    assert.equal("0\n", said)
  end)

  it("belong together", function()
    local service, tick, timer = settings_of(UNITS[1]), settings_of(UNITS[2]), settings_of(UNITS[3])
    assert.equal("timers.target", timer.Install.WantedBy)
    assert.equal("yes", service.Service.ProtectHome)
    -- The two services differ in how they run, and in nothing that keeps them in.
    local differ = { Type = true, ExecStart = true, Restart = true, RestartSec = true,
      RestartPreventExitStatus = true, SuccessExitStatus = true, TimeoutStartSec = true }
    for _, pair in ipairs { { service, tick }, { tick, service } } do
      for key, value in pairs(pair[1].Service) do
        assert.is_true(differ[key] or pair[2].Service[key] == value, key)
      end
    end
    assert.equal(HOME, "/var/lib/" .. service.Service.StateDirectory)
  end)

  it("give a runner more time to stop than its lease", function()
    local service = settings_of(UNITS[1]).Service
    local lease = seconds_of(service.ExecStart:match "%-%-lease (%S+)")
    assert.is_true(seconds_of(service.TimeoutStopSec) >= lease + 10)
  end)
end)

if not (simulator.has_program "nginx" and pcall(require, "argparse")
  and pcall(require, "luasql.sqlite3")) then
  describe("the recipes", function() pending "needs nginx, argparse and luasql.sqlite3" end)
  return
end

describe("the recipe of", function()
  local sim, world, home

  -- The command and the home directory are elsewhere; nothing else is changed.
  local function here(text)
    return (text:gsub("/usr/local/bin/cce", world.dir .. "/bin/cce"):gsub(HOME, home))
  end

  -- What cron and systemd give, and nothing else: who it is, and where he lives. The cloud is
  -- found by what the simulator is started with; the store by the profile, as the recipe says.
  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
    home = world.dir
    tempdir.shell(("mkdir -p %s/.config/cce"):format(home))
    -- The profile would be of a true region.
    local config = here(tempdir.read(HERE .. "config"))
    tempdir.write(home .. "/.config/cce/config", (config:gsub("region = [^\n]*",
      "endpoint = " .. sim.env.CCE_ENDPOINT)))
    world.env.CCE_ENDPOINT, world.env.CCE_PROFILE = nil, "default"
    world.env.PATH = "/usr/bin:/bin"
  end)

  after_each(function() world:remove() end)

  local function schedule(...)
    return world:cce { "schedule", ... }
  end

  local function add(due, ...)
    local result = schedule("add", "revoke", "cluster-001", "--user", MEMBER, "--at", due,
      "-o", "name", ...)
    assert.equal(0, result.code, result.err)
    return result.out:match "^%w+"
  end

  local function revocations()
    return #sim:log { operation = "revoke_cert", accepted = true }
  end

  -- A fault that stays, so that what is due is not done.
  local function refuse()
    sim:fault { operation = "revoke_cert", status = 403, times = 100 }
  end

  local function wait_for(what, condition)
    local deadline = sys.monotonic() + 10
    while not condition() do
      assert(sys.monotonic() < deadline, what .. ": not within the time")
      sys.sleep(0.02)
    end
  end

  local function start(unit)
    return world:start(words_of(here(settings_of(unit).Service.ExecStart)))
  end

  it("a service works in the directory that it has, and stops in order", function()
    local done, process = start(UNITS[1])
    local id = add "+0s"
    assert.is_string(tempdir.read(home .. "/schedule.db"))
    wait_for("the revocation", function() return revocations() == 1 end)
    local begun = sys.monotonic()
    process:signal "SIGTERM"
    local result = done()
    assert.equal(0, result.code, result.err)
    assert.is_true(sys.monotonic() - begun < 5)
    assert.matches("Z done " .. id .. " revoke", result.err, 1, true)
    assert.equal(1, revocations())
  end)

  it("a service may stop while something is overdue", function()
    refuse()
    add "+0s"
    local done, process = start(UNITS[1])
    wait_for("a try", function() return #sim:log { operation = "revoke_cert" } > 0 end)
    sys.sleep(0.2)
    process:signal "SIGTERM"
    assert.equal(settings_of(UNITS[1]).Service.SuccessExitStatus, tostring(done().code))
  end)

  it("a timer ends when nothing is due, and fails while something is overdue", function()
    add "+0s"
    add "+2h"
    local result = start(UNITS[2])()
    assert.equal(0, result.code, result.err)
    assert.matches("1 done, 0 to be tried again, 1 pending, 0 overdue", result.out, 1, true)
    refuse()
    add "+0s"
    assert.equal(4, start(UNITS[2])().code)
  end)

  -- The lines of the crontab: what stands behind the five fields.
  local function cron_lines()
    local lines = {}
    for line in tempdir.read(HERE .. "crontab"):gmatch "[^\n]+" do
      local text = not line:find "^#" and line:match "^%S+ %S+ %S+ %S+ %S+ (.*)$"
      -- cron takes a percent sign for the end of the line.
      assert(not text or not text:find("%", 1, true), text)
      lines[#lines + 1] = text and here(text) or nil
    end
    return lines
  end

  -- As cron does: its mail is what this returns.
  local function mail(line)
    local result = world:start { "/bin/sh", "-c", line }()
    return result.out .. result.err
  end

  it("cron mails what is overdue, and nothing else", function()
    local line = cron_lines()[1]
    assert.equal("", mail(line))
    add "+0s"
    assert.equal("", mail(line))
    assert.equal(1, revocations())
    refuse()
    local id = add "+0s"
    local text = mail(line)
    assert.matches("0 done, 1 to be tried again, 0 pending, 1 overdue", text, 1, true)
    assert.matches(id .. "  failed-retrying", text, 1, true)
    assert.matches("HTTP 403", text, 1, true)
    sim:clear_faults()
    assert.equal(0, schedule("retry", id).code)
    assert.equal("", mail(line))
    assert.equal(2, revocations())
  end)

  it("cron in two lines at once does everything once", function()
    for _ = 1, 4 do add "+0s" end
    local line = cron_lines()[1]
    local first, second = world:start { "/bin/sh", "-c", line }, world:start { "/bin/sh", "-c",
      line }
    for _, result in ipairs { first(), second() } do
      assert.equal(0, result.code)
      assert.equal("", result.out .. result.err)
    end
    assert.equal(4, revocations())
  end)

  it("a backup is an export of all", function()
    local id = add "+2h"
    local line = cron_lines()[2]
    -- There is no other machine here.
    assert.equal("", mail((line:gsub(" && scp .*", ""))))
    local entry = json.decode(tempdir.read(home .. "/backup.jsonl"):match "[^\n]*$"
      or tempdir.read(home .. "/backup.jsonl"))
    assert.is_not_nil(entry)
    assert.matches(id, tempdir.read(home .. "/backup.jsonl"), 1, true)
  end)
end)
