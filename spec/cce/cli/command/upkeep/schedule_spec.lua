local command = require "spec.support.command"
local core = require "cce.core"
local json = require "cce.base.json"
local render = require "cce.cli.output.render"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

if not (simulator.has_program "nginx" and pcall(require, "argparse")
  and pcall(require, "luasql.sqlite3")) then
  describe("cce schedule", function() pending "needs nginx, argparse and luasql.sqlite3" end)
  return
end

local MEMBER = simulator.member.principal.id

describe("cce schedule", function()
  local sim, world

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
  end)

  after_each(function() world:remove() end)

  local function schedule(...)
    return world:cce { "schedule", ... }
  end

  local function add(...)
    local result = schedule("add", "revoke", "cluster-001", "--user", MEMBER, "-o", "name", ...)
    assert.equal(0, result.code, result.err)
    return result.out:match "^%w+"
  end

  it("cuts no id of an entry, by which alone it can be named", function()
    local id = ("1"):rep(16)
    for columns = 40, 120, 10 do
      assert.matches("\n" .. id .. "  pending", render.list({ { id = id, state = "pending", due = 1,
        kind = "revoke", user_id = "u1", cluster_id = "c1" } },
        require("cce.cli.command.upkeep.schedule").columns, "table", columns), 1, true)
    end
  end)

  it("says in a dry run what a runner that died has left", function()
    local id = add("--at", "+0s")
    sim:fault { operation = "revoke_cert", hold = "before" }
    local finish, process = world:start_cce { "schedule", "run", "--once" }
    sim:held(1)
    process:signal "SIGKILL"
    finish()
    sim:release { drop = true }
    local result = schedule("run", "--dry-run")
    assert.equal("dry run: 0 would be done now\n1 entry is with a runner: what one that died has"
      .. " left is done, too\n", result.err)
    assert.equal(id .. "\n", schedule("list", "--status", "live", "-o", "name").out)
  end)

  it("leaves nothing of a dry run that is interrupted", function()
    tempdir.shell("mkdir " .. world.dir .. "/short")
    sim:fault { operation = "list_clusters", hold = "before" }
    local result = world:interrupt_cce({ "schedule", "add", "rotate", "cluster-001", "--every",
      "4w", "--dry-run" }, { env = { TMPDIR = world.dir .. "/short" } })
    assert.equal(130, result.code, result.err)
    assert.is_true(os.remove(world.dir .. "/short"))
  end)

  it("revokes although its metrics cannot be written", function()
    for _, path in ipairs { world.dir .. "/none/m.prom", world.dir .. "/m.prom",
      world.dir .. "/m.prom" } do
      add("--at", "+0s")
      local result = schedule("run", "--once", "--metrics", path)
      assert.equal(0, result.code, result.err)
      assert.matches("^1 done", result.out)
      assert.equal(path:find "none" ~= nil, result.err:find "cannot be written" ~= nil)
    end
    assert.matches("^# HELP cce_", tempdir.read(world.dir .. "/m.prom"))
  end)

  it("takes another profile, and other keys, while it runs", function()
    local function put(path, text)
      tempdir.write(world.dir .. "/" .. path, text)
      tempdir.check("chmod 600 " .. world.dir .. "/" .. path)
    end
    tempdir.check("mkdir -p " .. world.dir .. "/.config/cce")
    put("old", "[basic]\nak = OLDKEYTHATISGONE\nsk = example-old\n")
    put("new", ("[basic]\nak = %s\nsk = %s\n"):format(simulator.admin.ak, simulator.admin.sk))
    put(".config/cce/config", "[live]\ncredentials = profile-file:~/old\n")
    local id = add("--at", "+0s")
    for _, name in ipairs { "AK", "SK" } do world.env["HUAWEICLOUD_SDK_" .. name] = nil end
    world.env.CCE_PROFILE = "live"
    local finish, process = world:start_cce { "schedule", "run" }
    local function wait_for(words)
      local deadline = core.sys.monotonic() + 120
      repeat
        core.sys.sleep(0.02)
        local text = tempdir.read(("%s/run-%d.err"):format(world.dir, 2)) or ""
        if text:find(words, 1, true) then return end
      until core.sys.monotonic() > deadline
      error("it never said: " .. words)
    end
    wait_for(" failed " .. id)
    put(".config/cce/config", "[live]\ncredentials = profile-file:~/new\n")
    assert.equal(0, schedule("retry", id).code)
    wait_for(" done " .. id)
    process:signal "SIGTERM"
    finish()
  end)

  it("keeps a revocation and does it when it is due", function()
    local id = add("--at", "+0s", "--reason", "the contract ends")
    assert.is_nil(tempdir.read(world.dir .. "/nothing"))
    local e = json.decode(schedule("show", id, "-o", "json").out)
    assert.equal("pending", e.state)
    assert.equal(sim.clusters[1].id, e.cluster_id)
    assert.equal(sim.project_id, e.project_id)
    assert.matches("reason        the contract ends", schedule("show", id).out, 1, true)
    local result = schedule("run", "--dry-run")
    assert.matches(id, result.out, 1, true)
    assert.equal(0, #sim:log { operation = "revoke_cert" })
    result = schedule("run", "--once")
    assert.equal(0, result.code, result.err)
    assert.equal("1 done, 0 to be tried again, 0 pending, 0 overdue\n", result.out)
    assert.matches("Z done " .. id .. " revoke", result.err, 1, true)
    assert.equal(1, #sim:log { operation = "revoke_cert" })
    assert.equal(id .. "\n", schedule("list", "--status", "done", "-o", "name").out)
  end)

  it("looks names up when it is written, and asks who would cut their own", function()
    local result = schedule("add", "revoke", "cluster-001", "--user", "member", "--at", "+2h",
      "-o", "json")
    assert.equal(0, result.code, result.err)
    assert.equal(MEMBER, json.decode(result.out)[1].user_id)
    assert.equal(64, schedule("add", "revoke", "--all", "--user", "nonsense", "--at", "+2h").code)
    result = schedule("add", "revoke", "--all", "--user", ("f"):rep(32), "--at", "+2h")
    assert.equal(0, result.code)
    assert.matches("nobody is known by the id", result.err, 1, true)
    result = schedule("add", "revoke", "cluster-001", "--user", "admin", "--at", "+2h")
    assert.equal(64, result.code)
    assert.matches("typing MYSELF", result.err, 1, true)
    result = schedule("add", "revoke", "cluster-001", "--user", "admin", "--at", "+2h",
      "--allow-self")
    assert.equal(0, result.code, result.err)
  end)

  it("makes no store in a dry run", function()
    local dry = { { "add", "revoke", "--all", "--user", MEMBER, "--at", "+2h" }, { "run" },
      { "import", world.dir .. "/entries" } }
    tempdir.write(world.dir .. "/entries", "")
    for _, words in ipairs(dry) do
      words[#words + 1] = "--dry-run"
      local result = schedule((table.unpack or unpack)(words))
      assert.equal(words[1] == "import" and 1 or 0, result.code, result.err)
      assert.is_nil(result.err:find("should not happen", 1, true))
    end
    local result = world:cce { "rotate", "cluster-001", "--dry-run" }
    assert.equal(0, result.code, result.err)
    result = world:cce { "leaver", "member", "--dry-run" }
    assert.matches("dry run, nothing was sent", result.out, 1, true)
    assert.is_false(core.file.stat(world.dir .. "/.local"))
  end)

  it("wants to be told whom to revoke", function()
    local result = schedule("add", "revoke", "--all", "--at", "+2h")
    assert.equal(64, result.code)
    assert.matches("nobody is named: give --user, --users or --agency", result.err, 1, true)
    result = schedule("add", "revoke", "cluster-001", "--agency",
      simulator.agency.principal.id, "--at", "+2h", "--dry-run")
    assert.equal(0, result.code, result.err)
    assert.matches("would revoke agency " .. simulator.agency.principal.id, result.out, 1, true)
  end)

  it("puts in nothing in a dry run", function()
    local result = schedule("add", "revoke", "--all", "--user", MEMBER, "--at", "+2h", "--dry-run")
    assert.equal(0, result.code)
    assert.equal(5, select(2, result.out:gsub("would revoke user " .. MEMBER, "")))
    result = schedule("add", "rotate", "--all", "--every", "4w", "--dry-run", "--window",
      "Sat 01:00-05:00 +08:00")
    assert.matches("would rotate every 4w, first at %d", result.out)
    assert.equal("[]\n", schedule("list", "-o", "json").out)
  end)

  it("keeps a rotation that recurs, by pattern", function()
    local result = schedule("add", "rotate", "--name", "prod-*", "--every", "4w", "--window",
      "Sat,Sun 01:00-05:00 +08:00", "--canary", "1", "-o", "json")
    assert.equal(0, result.code, result.err)
    local e = json.decode(result.out)[1]
    assert.same({ name = "prod-*" }, e.options.clusters)
    assert.equal("Sat,Sun 01:00-05:00 +08:00", e.options.windows)
    for expected, words in pairs {
      ["no interval"] = { "--every", "often" }, ["no window such as"] = { "--every", "4w",
        "--window", "at night" }, ["names no days"] = { "--every", "4w", "--windows",
        "someday 01:00-05:00 Z" }, ["give --at, or --every"] = {},
        ["--at"] = { "--at", "+2h", "--every", "4w" } } do
      result = schedule("add", "rotate", "--all", (table.unpack or unpack)(words))
      assert.equal(64, result.code, expected)
      assert.matches(expected, result.err, 1, true)
    end
  end)

  it("keeps a rotation at a time, in its windows and not in a blackout", function()
    local words = { "add", "rotate", "--all", "--at", "2030-12-20T12:00Z", "--windows",
      "sat,sun 01:00-05:00", "--not", "2030-12-21/2031-01-05", "--not", "2031-01-11", "-o", "json" }
    local result = schedule((table.unpack or unpack)(words))
    assert.equal(0, result.code, result.err)
    local e = json.decode(result.out)[1]
    assert.same({ "2031-01-12T01:00:00Z", "rotate" }, { e.due, e.kind })
    assert.is_nil(e.every)
    words[#words - 1], words[#words] = "--zone", "+08:00"
    words[#words + 1] = "--dry-run"
    result = schedule((table.unpack or unpack)(words))
    assert.matches("dry run: would rotate once, at 2031-01-11T17:00:00Z (in ", result.out, 1, true)
    assert.matches("in the windows sat,sun 01:00-05:00, not 2030-12-21/2031-01-05, 2031-01-11"
      .. " (+08:00)", result.out, 1, true)
  end)

  it("says which moment it understood, where that is in local time", function()
    local result = schedule("add", "rotate", "--all", "--at", "tomorrow 09:00", "--dry-run")
    local moment = assert(result.err:match "'tomorrow 09:00' is (%S+), local time of this machine")
    assert.matches("once, at " .. moment:gsub("%+00:00$", "Z"), result.out, 1, true)
    result = schedule("add", "rotate", "--all", "--at", "next friday", "--dry-run")
    assert.equal(64, result.code)
    assert.matches("'fri 18:00'", result.err, 1, true)
  end)

  it("keeps revocations of a list of users, with names of all, or none of them", function()
    local list = world.dir .. "/leavers"
    tempdir.write(list, "member # leaves\nnobody\n")
    local words = { "add", "revoke", "cluster-001", "cluster-002", "--users", list, "--at", "+2h",
      "-o", "json" }
    local result = schedule((table.unpack or unpack)(words))
    assert.equal(64, result.code)
    assert.matches("there is no user 'nobody'", result.err, 1, true)
    assert.equal("[]\n", schedule("list", "-o", "json").out)
    tempdir.write(list, MEMBER .. "\n")
    result = schedule((table.unpack or unpack)(words))
    assert.equal(0, result.code, result.err)
    local entries = json.decode(result.out)
    assert.equal(2, #entries)
    local id = sim.clusters[2].id
    assert.same({ [id] = "cluster-002", [MEMBER] = "member" }, entries[2].names)
    local shown = schedule("list").out:gsub("%s+", " ")
    assert.matches(("revoke user member (%s) in cluster cluster-002 (%s)"):format(MEMBER, id),
      shown, 1, true)
    assert.is_nil(shown:find("tried", 1, true))
  end)

  it("shows itself again and again with --watch", function()
    add("--at", "+2h")
    local finish, process = world:start_cce { "schedule", "list", "--watch", "0.1" }
    local deadline, text = core.sys.monotonic() + 120
    repeat
      core.sys.sleep(0.1)
      text = tempdir.read(world.dir .. "/run-" .. world.count .. ".out") or ""
    until select(2, text:gsub("pending", "")) >= 3 or core.sys.monotonic() > deadline
    process:signal "SIGINT"
    assert.equal(130, finish().code)
    assert.is_true(select(2, text:gsub("pending", "")) >= 3, text)
    assert.equal(64, schedule("cancel", "0000000000000000", "--watch").code)
  end)

  it("cancels, and tells of each what failed", function()
    local id = add("--at", "+2h")
    assert.matches("pending", schedule("cancel", id, "--dry-run").out, 1, true)
    local result = schedule("cancel", id)
    assert.equal(0, result.code)
    assert.matches(id .. " +cancelled", result.out)
    result = schedule("cancel", id, "0000000000000000")
    assert.equal(1, result.code)
    assert.equal(2, select(2, result.err:gsub("cce: ", "")))
  end)

  it("tries what failed again, and ends with 4 while it is overdue", function()
    sim:fault { operation = "revoke_cert", status = 403, times = 1 }
    local id = add("--at", "+0s")
    local result = schedule("run", "--once")
    assert.equal(4, result.code, result.out .. result.err)
    assert.matches("Z failed " .. id, result.err, 1, true)
    result = schedule("list", "--status", "overdue")
    assert.equal(4, result.code)
    assert.matches("failed-retrying", result.out, 1, true)
    assert.equal(0, schedule("retry", id).code)
    assert.equal(0, schedule("run", "--once").code)
    assert.matches(", tried 2 times", schedule("list").out, 1, true)
  end)

  it("says how to end a revocation whose cluster answers 404", function()
    local id = add("--at", "+0s")
    sim:fault { operation = "revoke_cert", status = 404 }
    assert.equal(4, schedule("run", "--once").code)
    local result = schedule("list", "--status", "overdue")
    assert.equal(4, result.code)
    assert.matches("though the cluster is there", result.out, 1, true)
    assert.matches("cce schedule cancel " .. id, result.out, 1, true)
    sim:fault { operation = "show_cluster", status = 404 }
    assert.equal(0, schedule("retry", id).code)
    assert.equal(4, schedule("run", "--once").code)
    assert.matches("the cluster is gone: cancel it with `cce schedule cancel " .. id,
      schedule("list").out, 1, true)
    assert.equal(0, schedule("cancel", id).code)
    assert.equal(0, schedule("list", "--status", "overdue").code)
  end)

  it("resends a failed job of a rotation only when told", function()
    sim:set { job_outcome = "Failed" }
    local result = schedule("add", "rotate", "cluster-001", "--every", "4w", "--first", "+0s",
      "-o", "name")
    local id = result.out:match "^%w+"
    result = schedule("run", "--once")
    assert.equal(4, result.code, result.err)
    assert.matches("0 done, 1 to be tried again, 0 pending, 1 overdue", result.out, 1, true)
    assert.matches("overdue " .. id .. ".* code=JOB_FAILED", result.err)
    sim:set { job_outcome = "Success" }
    assert.equal(0, schedule("retry", id, "--retry-failed").code)
    assert.equal(0, schedule("run", "--once").code)
    assert.equal(2, #sim:log { operation = "rotate_credentials" })
  end)

  it("ends with 4 while something is in quarantine", function()
    local path = world.dir .. "/schedule.db"
    local schedules = assert(require("cce").schedule.open("sqlite:" .. path))
    assert(schedules.store:insert("0000000000000001", "{", { state = "pending", due = 1 }))
    schedules:close()
    local result = schedule("run", "--once", "--store", "sqlite:" .. path)
    assert.equal(4, result.code, result.out .. result.err)
    assert.matches("0 overdue, 1 in quarantine: see cce schedule list", result.out, 1, true)
  end)

  it("leaves a failed rotation at what was done, and nothing else, when told", function()
    sim:set { job_outcome = "Failed" }
    local id = schedule("add", "rotate", "cluster-001", "--every", "4w", "--first", "+0s", "-o",
      "name").out:match "^%w+"
    assert.equal(4, schedule("run", "--once").code)
    local run = json.decode(world:cce({ "runs", "list", "-o", "json" }).out)[1]
    assert.same({ "rotate", 1 }, { run.workflow, run.counts.failed })
    assert.matches("/.local/state/cce/schedule/", run.journal, 1, true)
    assert.equal(0, schedule("accept", id, "--dry-run").code)
    assert.equal(id .. "\n", schedule("list", "--status", "overdue", "-o", "name").out)
    local once = add("--at", "+2h")
    local result = schedule("accept", id, once, "-o", "json")
    assert.equal(1, result.code)
    assert.matches("does not recur: cancel it", result.err, 1, true)
    local entries = json.decode(result.out)
    assert.same({ 1, id, "pending" }, { #entries, entries[1].id, entries[1].state })
    assert.equal(0, schedule("run", "--once").code)
    assert.equal(1, #sim:log { operation = "rotate_credentials" })
    assert.equal(id .. "\n" .. once .. "\n", schedule("list", "--status", "pending", "-o",
      "name").out)
  end)

  local function change_store(statement)
    local connection = assert(require("luasql.sqlite3").sqlite3():connect(world.dir
      .. "/.local/state/cce/schedule.db"))
    assert(connection:execute(statement))
    connection:close()
  end

  it("shows what was put in, and why the rest was not", function()
    add("--at", "+3h")
    local words = { "add", "revoke", "--all", "--user", MEMBER, "--at", "+2h", "-o", "json" }
    change_store("CREATE TRIGGER small BEFORE INSERT ON entries WHEN (SELECT count(*) FROM"
      .. " entries) >= 3 BEGIN SELECT RAISE(ABORT, 'the disk is full'); END")
    local result = schedule((table.unpack or unpack)(words))
    assert.equal(1, result.code)
    assert.matches("the disk is full", result.err, 1, true)
    assert.equal(2, #json.decode(result.out))
    local all = schedule("list", "-o", "name").out
    assert.equal(3, select(2, all:gsub("\n", "")))
    for _, e in ipairs(json.decode(result.out)) do assert.matches(e.id, all, 1, true) end
    result = schedule((table.unpack or unpack)(words))
    assert.same({ 1, "" }, { result.code, result.out })
  end)

  it("is not counted where it cannot be read", function()
    add("--at", "+2h")
    local result = world:cce { "metrics" }
    assert.equal(0, result.code)
    assert.matches('cce_schedule_entries{state="pending"} 1\n', result.out, 1, true)
    change_store "DROP TABLE entries"
    result = world:cce { "metrics" }
    assert.equal(1, result.code)
    assert.equal("", result.out)
    assert.matches("no such table: entries", result.err, 1, true)
  end)

  it("is done by a runner that can tell where the entry's region is", function()
    local variable, endpoint = "HUAWEICLOUD_SDK_REGION_CCE_", sim.env.CCE_ENDPOINT
    world.env[variable .. "CN_NORTH_4"], world.env[variable .. "EU_DE"] = endpoint, endpoint
    local function run(...)
      sim:reset()
      local result = schedule("run", "--once", ...)
      return result.out .. result.err, #sim:log { operation = "revoke_cert" }
    end
    local id = add("--at", "+0s", "--region", "cn-north-4")
    local text, count = run()
    assert.matches("this runner is told of one endpoint, and the entry is of region cn-north-4",
      text, 1, true)
    assert.equal(0, count)
    assert.equal(0, schedule("retry", id).code)
    assert.equal(1, select(2, run("--region", "cn-north-4")))
    add("--at", "+0s")
    assert.equal(1, select(2, run("--region", "cn-north-4")))
    add("--at", "+0s")
    assert.equal(1, select(2, run()))
    world.env[variable .. "CN_NORTH_4"] = "https://127.0.0.1:1"
    add("--at", "+0s", "--region", "eu-de")
    assert.equal(1, select(2, run("--region", "cn-north-4")))
    -- The one endpoint is that of its own region.
    world.env.CCE_REGION = "cn-north-4"
    add("--at", "+0s")
    assert.equal("cn-north-4", json.decode(schedule("list", "--status", "pending", "-o",
      "json").out)[1].region)
    assert.equal(1, select(2, run()))
  end)

  it("moves to another store #long", function()
    local id = add("--at", "+2h")
    local path, other = world.dir .. "/entries.jsonl", "sqlite:" .. world.dir .. "/other.db"
    assert.equal("1 entry written to " .. path .. "\n", schedule("export", path).out)
    assert.equal("dry run: 1 put in, 0 there already\n",
      schedule("import", path, "--store", other, "--dry-run").out)
    assert.equal("1 put in, 0 there already\n", schedule("import", path, "--store", other).out)
    assert.equal("0 put in, 1 there already\n", schedule("import", path, "--store", other).out)
    assert.equal(id .. "\n", schedule("--store", other, "list", "-o", "name").out)
  end)

  it("is not made to be looked at, and that there is none is said", function()
    local path = world.dir .. "/none.db"
    for _, variables in ipairs { { CCE_SCHEDULE = "sqlite:" .. path }, { CCE_SCHEDULE = false } } do
      local shown = world:cce({ "schedule", "list", "-o", "json" }, { env = variables })
      assert.equal(0, shown.code)
      assert.equal("[]\n", shown.out)
      assert.matches("there is no schedule", shown.err, 1, true)
      for _, words in ipairs { { "show", "x" }, { "export", world.dir .. "/exported" },
        { "cancel", "x" }, { "retry", "x" } } do
        local result = world:cce({ "schedule", words[1], words[2] }, { env = variables })
        assert.equal(1, result.code)
        assert.matches("there is no schedule", result.err, 1, true)
      end
      assert.equal(0, world:cce({ "metrics" }, { env = variables }).code)
    end
    for _, made in ipairs { path, world.dir .. "/exported", world.dir .. "/.local" } do
      assert.is_false(core.file.stat(made))
    end
  end)

  it("is where an option, the environment or the profile says", function()
    local words = { "schedule", "list" }
    local result = world:cce(words, { env = { CCE_SCHEDULE = "redis:x" } })
    assert.equal(64, result.code)
    assert.matches("sqlite:<path>", result.err, 1, true)
    tempdir.shell("mkdir -p " .. world.dir .. "/.config/cce")
    tempdir.write(world.dir .. "/.config/cce/config",
      "[a]\nregion = x\nschedule = sqlite:~/mine.db\n")
    assert.matches("no schedule '" .. world.dir .. "/mine.db'", world:cce({ "schedule", "list",
      "--profile", "a" }).err, 1, true)
  end)

  it("runs until it is told to end #long", function()
    local finish, process = world:start_cce { "schedule", "run" }
    local id = add("--at", "+0s")
    local deadline = os.time() + 20
    repeat
      require("cce.core").sys.sleep(0.05)
    until #sim:log { operation = "revoke_cert" } == 1 or os.time() > deadline
    process:signal "SIGTERM"
    local result = finish()
    assert.equal(0, result.code, result.err)
    assert.matches(id, result.err, 1, true)
    assert.matches("1 done", result.out, 1, true)
  end)
end)
