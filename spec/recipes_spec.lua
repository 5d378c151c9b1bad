-- The recipes of examples/schedule are run, as far as a machine without systemd and cron can.
local command = require "spec.support.command"
local core = require "cce.core"
local etcd = require "spec.support.peer.etcd"
local json = require "cce.base.json"
local nginx = require "spec.support.peer.nginx"
local runners = require "spec.support.runners"
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

nginx.describe("the recipe of three gateways", function()
  if not etcd.has_etcd() then return pending "etcd is not installed" end

  local TOKEN = "the-token-of-a-spec"
  local sim, store, gateways

  setup(function()
    sim = simulator.get()
    sim:reset()
    store = etcd.start {}
    local root = os.getenv "CCE_TEST_ROOT" or tempdir.shell "pwd":match "%C+"
    local env = { GATEWAY_TOKEN = TOKEN, CCE_SCHEDULE = "etcd:" .. store:place "cce/recipe" }
    for name, value in pairs(sim.env) do env[name] = value end
    env.LUA_PATH, env.LUA_CPATH = nginx.paths()
    env.LUA_PATH = ("%s/examples/schedule/?.lua;%s/examples/nginx/?.lua;%s"):format(root, root,
      env.LUA_PATH)
    -- Its log goes where it says; "daemon off" lets the spec keep it.
    local globals = "daemon off;" .. (tempdir.is_root() and " user root;" or "")
    gateways = {}
    for i = 1, 3 do
      gateways[i] = nginx.start_file(HERE .. "nginx.conf", 8443, env, { "-g", globals })
    end
  end)

  teardown(function()
    for _, gateway in ipairs(gateways or {}) do gateway:close() end
    if store then store:stop() end
    sim:reset()
  end)

  before_each(function() sim:reset() end)

  local HEADERS = { Authorization = "Bearer " .. TOKEN }

  local function post(number, request)
    return gateways[number]:post("/revocations", json.encode(request), HEADERS)
  end

  local function get(number, path)
    local answer = gateways[number]:get("/revocations/" .. path, HEADERS)
    assert.equal(200, answer.status, answer.body)
    return answer.json
  end

  it("does everything once, at its time, reloaded meanwhile", function()
    sim:fault { operation = "revoke_cert", delay = 0.05 }
    local due, ids, count = {}, {}, 30
    for i = 1, count do
      local user = "u" .. i
      due[user] = sys.time() + 0.3 + i * 0.04
      local answer = post(i % 3 + 1, { cluster_id = sim.clusters[1].id, user_id = user,
        at = due[user], reason = "the contract ends" })
      assert.equal(201, answer.status, answer.body)
      ids[i] = answer.json.id
    end
    nginx.wait_for("the first third", function()
      return #sim:log { operation = "revoke_cert" } >= count / 3
    end)
    gateways[2]:reload()
    for i, id in ipairs(ids) do
      nginx.wait_for("revocation " .. i, function() return get(i % 3 + 1, id).state == "done" end)
    end
    local accepted = runners.accepted(sim)
    for user, time in pairs(due) do
      assert.equal(1, #(accepted[user] or {}), user)
      assert.is_true(accepted[user][1] >= time - 0.05, user)
    end
    for _, gateway in ipairs(gateways) do
      assert.equal(2, #gateway:workers())
      assert.equal("", gateway:complaints())
    end
    assert.matches("gracefully shutting down", gateways[2]:log())
    assert.equal('{"count":0,"items":[],"next":null}',
      gateways[1]:get("/revocations/overdue", HEADERS).body)
  end)

  it("lists what is overdue, whichever gateway is asked", function()
    local answer = post(1, { cluster_id = "gone", user_id = "u1", at = sys.time() })
    assert.equal(201, answer.status, answer.body)
    for number in ipairs(gateways) do
      nginx.wait_for("the failure", function() return get(number, "overdue").count == 1 end)
      local entry = get(number, "overdue").items[1]
      assert.equal(answer.json.id, entry.id)
      assert.equal("failed-retrying", entry.state)
      assert.equal("NOT_FOUND", entry.last_error.code)
    end
  end)

  it("answers what is wrong, and puts in nothing", function()
    local cluster_id = sim.clusters[1].id
    for _, request in ipairs {
      { cluster_id = cluster_id, user_id = "u1" },
      { cluster_id = cluster_id, user_id = "u1", at = "2027-01-31" },
      { cluster_id = cluster_id, at = sys.time() },
      { cluster_id = cluster_id, user_id = "u1", at = sys.time(), who = "me" },
    } do
      local answer = post(1, request)
      assert.equal(400, answer.status, answer.body)
      assert.equal("INVALID_ARGUMENT", answer.json.code)
    end
    assert.equal(404, gateways[1]:get("/revocations/0000000000000000", HEADERS).status)
    assert.equal(401, gateways[1]:get("/revocations/overdue").status)
    assert.equal(401, gateways[1]:post("/revocations", "{}").status)
    assert.equal(0, #sim:log { operation = "revoke_cert" })
  end)
end)

if not (simulator.has_program "nginx" and pcall(require, "argparse")
  and pcall(require, "luasql.sqlite3")) then
  describe("the recipes", function() pending "needs nginx, argparse and luasql.sqlite3" end)
  return
end

describe("the recipes:", function()
  local sim, world, home

  -- The command and the home directory are elsewhere; nothing else is changed.
  local function here(text)
    return (text:gsub("/usr/local/bin/cce", world.dir .. "/bin/cce"):gsub(HOME, home))
  end

  -- As the recipe says, but for where the simulated cloud is.
  local function write_settings()
    tempdir.shell(("mkdir -p -m 700 %s/.config/cce %s/.huaweicloud"):format(home, home))
    local config = here(tempdir.read(HERE .. "config"))
    assert.matches("\nregion = ", config)
    tempdir.write(home .. "/.config/cce/config", (config:gsub("region = [^\n]*",
      table.concat({ "endpoint = " .. sim.env.CCE_ENDPOINT, "ca_file = " .. sim.env.CCE_CA_FILE,
        "project = " .. sim.project_id }, "\n"))))
    local keys = home .. "/.huaweicloud/credentials"
    tempdir.write(keys, ("[basic]\nak = %s\nsk = %s\n"):format(sim.env.HUAWEICLOUD_SDK_AK,
      sim.env.HUAWEICLOUD_SDK_SK))
    tempdir.shell("chmod 600 " .. keys)
  end

  -- What cron and systemd give is HOME and a short PATH. What an installed command needs no
  -- variables for, it sets itself here; a sanitizer's runtime must be there before it.
  local function empty_environment()
    local script = world.dir .. "/bin/cce"
    tempdir.write(script, (tempdir.read(script):gsub("\nexec ", function()
      return ("\nexport LUA_PATH=%s LUA_CPATH=%s\nexec "):format(
        tempdir.quote(world.env.LUA_PATH), tempdir.quote(world.env.LUA_CPATH))
    end)))
    local env = { HOME = home, PATH = "/usr/bin:/bin" }
    for _, name in ipairs { "LD_PRELOAD", "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS" } do
      env[name] = world.env[name]
    end
    world.env = env
  end

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
    home = world.dir
    write_settings()
    empty_environment()
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

  local function start(unit)
    return world:start(words_of(here(settings_of(unit).Service.ExecStart)))
  end

  it("a service works in the directory that it has, and stops in order", function()
    local id = add "+0s"
    assert.is_string(tempdir.read(home .. "/schedule.db"))
    local done, process = start(UNITS[1])
    nginx.wait_for("the revocation", function() return revocations() == 1 end)
    process:signal "SIGTERM"
    local result = done()
    assert.equal(0, result.code, result.err)
    assert.matches("Z done " .. id .. " revoke [^\n]* late=%d+%.%d", result.err)
    assert.equal(1, revocations())
  end)

  it("a service may stop while something is overdue", function()
    refuse()
    add "+0s"
    local done, process = start(UNITS[1])
    nginx.wait_for("a try", function() return #sim:log { operation = "revoke_cert" } > 0 end)
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
    -- What it is for: another machine goes on with it.
    local other = "sqlite:" .. home .. "/other.db"
    assert.equal(0, schedule("import", home .. "/backup.jsonl", "--store", other).code)
    assert.equal(id .. "\n", schedule("list", "--store", other, "-o", "name").out)
  end)
end)
