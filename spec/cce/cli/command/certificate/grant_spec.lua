local command = require "spec.support.command"
local core = require "cce.core"
local json = require "cce.base.json"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"
local times = require "cce.base.times"

if not (simulator.has_program "nginx" and pcall(require, "argparse")
  and pcall(require, "luasql.sqlite3")) then
  describe("cce grant", function() pending "needs nginx, argparse and luasql.sqlite3" end)
  return
end

describe("cce grant", function()
  local sim, world, path

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
    path = world.dir .. "/granted.json"
  end)

  after_each(function() world:remove() end)

  local function grant(...)
    return world:cce { "grant", "cluster-001", "--for", "20m", "--allow-self", ... }
  end

  local function pending()
    return json.decode(world:cce({ "schedule", "list", "--status", "pending", "-o", "json" }).out)
  end

  it("promises the end first, and hands out the kubeconfig", function()
    local result = grant("--out", path, "-o", "json")
    assert.equal(0, result.code, result.err)
    local value = json.decode(result.out)
    assert.equal(simulator.admin.principal.id, value.principal_id)
    assert.is_string(tempdir.read(path))
    local entries = pending()
    assert.equal(1, #entries)
    assert.equal(value.id, entries[1].id)
    assert.is_true(math.abs(times.parse(entries[1].due) - os.time() - 1200) < 120)
    assert.matches("cce schedule run carries it out", result.err, 1, true)
    result = grant("--out", path, "--force")
    assert.equal(1, result.code)
    assert.matches("give --shared to each of them", result.err, 1, true)
  end)

  it("hands out nobody's own identity without a word", function()
    local result = world:cce { "grant", "cluster-001", "--for", "20m", "--out", path }
    assert.equal(64, result.code)
    assert.matches("typing MYSELF", result.err, 1, true)
    assert.matches("hint: --allow-self confirms it", result.err, 1, true)
    assert.is_nil(tempdir.read(path))
    assert.same({}, pending())
  end)

  it("hands out an agency's, or that of a profile", function()
    for _, agency in ipairs { "sim-agency", "sim-agency@sim-account" } do
      os.remove(path)
      local result = world:cce { "grant", "cluster-001", "--for", "20m", "--as-agency", agency,
        "--out", path, "--shared", "-o", "json" }
      assert.equal(0, result.code, result.err)
      assert.equal(simulator.agency.principal.id, json.decode(result.out).principal_id)
    end
    tempdir.shell("mkdir -p " .. world.dir .. "/.config/cce " .. world.dir .. "/keys")
    tempdir.write(world.dir .. "/keys/credentials", ("[basic]\nak = %s\nsk = %s\n"):format(
      simulator.member.ak, simulator.member.sk))
    tempdir.shell("chmod 600 " .. world.dir .. "/keys/credentials")
    tempdir.write(world.dir .. "/.config/cce/config", ("[visitor]\ncredentials ="
      .. " profile-file:%s/keys/credentials\n[nobody]\nregion = x\n"):format(world.dir))
    os.remove(path)
    local result = world:cce { "grant", "cluster-001", "--for", "20m", "--grantee-profile",
      "visitor", "--out", path, "-o", "json" }
    assert.equal(0, result.code, result.err)
    assert.equal(simulator.member.principal.id, json.decode(result.out).principal_id)
    result = world:cce { "grant", "cluster-001", "--for", "20m", "--grantee-profile", "nobody",
      "--out", path, "--force" }
    assert.equal(64, result.code)
    assert.matches("names no credentials", result.err, 1, true)
  end)

  it("is ended early by another process", function()
    local id = json.decode(grant("--out", path, "-o", "json").out).id
    assert.equal(0, world:cce({ "schedule", "hasten", id, "--dry-run" }).code)
    assert.equal(0, world:cce({ "schedule", "run", "--once" }).code)
    assert.equal(1, #pending())
    local result = world:cce { "schedule", "hasten", id }
    assert.equal(0, result.code)
    assert.matches("cce schedule run does it", result.err, 1, true)
    assert.equal(0, world:cce({ "schedule", "run", "--once" }).code)
    assert.same({}, pending())
    assert.equal(1, #sim:log { operation = "revoke_cert" })
    assert.equal(1, world:cce({ "schedule", "hasten", id }).code)
  end)

  it("promises and obtains nothing in a dry run, or where it could not be kept", function()
    local result = grant("--out", path, "--dry-run")
    assert.matches("would obtain a certificate of user", result.out, 1, true)
    assert.is_nil(tempdir.read(path))
    assert.equal(64, grant().code)
    result = grant("--out", world.dir .. "/nowhere/x")
    assert.equal(64, result.code)
    assert.matches("there is no directory", result.err, 1, true)
    assert.equal(64, world:cce({ "grant", "cluster-001", "--for", "10m", "--out", path }).code)
    result = grant("--out", "/proc/x")
    assert.equal(1, result.code)
    assert.matches("cannot lock '/proc/x'", result.err, 1, true)
    assert.same({}, pending())
    assert.same({}, sim:log { operation = "obtain_cert" })
    assert.same({}, sim:log { operation = "revoke_cert" })
  end)

  it("stands when its kubeconfig cannot be saved, and says how it ends", function()
    local dir = world.dir .. "/new"
    tempdir.check("mkdir " .. dir)
    sim:fault { operation = "obtain_cert", hold = "before" }
    local finish = world:start_cce { "grant", "cluster-001", "--for", "20m", "--allow-self",
      "--out", dir .. "/x" }
    sim:held(1)
    tempdir.check("rmdir " .. dir)
    sim:release()
    local result = finish()
    assert.equal(1, result.code)
    assert.matches(("the grant stands, and ends as entry %s of the schedule; its kubeconfig could"
      .. " not be saved:\n"):format(pending()[1].id), result.err, 1, true)
    local kept = assert(result.err:match "certificate that was obtained is kept in '(.-)'")
    assert.matches(sim.clusters[1].id, tempdir.read(kept), 1, true)
    assert.same({}, sim:log { operation = "revoke_cert" })
  end)

  it("is in the schedule after Ctrl-C, which says so if it is", function()
    sim:fault { operation = "obtain_cert", hold = "before" }
    local result = world:interrupt_cce { "grant", "cluster-001", "--for", "20m", "--allow-self",
      "--out", path }
    assert.equal(130, result.code)
    local promised = "what was promised is in the schedule: cce schedule list --status pending"
    assert.matches(promised, result.err, 1, true)
    assert.equal(1, #pending())
    sim:clear_faults()
    sim:fault { operation = "list_clusters", hold = "before" }
    result = world:interrupt_cce { "grant", "cluster-001", "--for", "20m", "--out", path }
    assert.equal(130, result.code)
    assert.is_nil(result.err:find(promised, 1, true))
  end)

  -- The commands that follow tell how long they would sleep, and do not.
  local function skip_time()
    tempdir.write(world.dir .. "/now.lua", [[
      require("cce").sleep = function(seconds)
        io.stderr:write(("slept %d minutes\n"):format(math.floor(seconds / 60 + 0.5)))
      end
    ]])
    world.env.LUA_INIT = "@" .. world.dir .. "/now.lua"
  end

  it("is ended once, though Ctrl-C comes while it is being ended", function()
    skip_time()
    sim:fault { operation = "revoke_cert", hold = "before" }
    local result = world:interrupt_cce { "grant", "cluster-001", "--for", "20m", "--allow-self",
      "--hold", "--out", path }
    assert.equal(130, result.code)
    assert.matches("what was promised is in the schedule", result.err, 1, true)
    assert.equal(1, #sim:log { operation = "revoke_cert" })
  end)

  it("is held until its time is over, and ended then", function()
    skip_time()
    for expected, row in pairs {
      ["the grant is over: its certificates are revoked"] = { 0, "--force" },
      ["the grant is left: others share it"] = { 0, "--shared", before = "--shared" },
      ["HTTP 403"] = { 1, "--force", fault = { operation = "revoke_cert", status = 403 } },
    } do
      sim:reset()
      os.remove(path)
      world.env.CCE_SCHEDULE = ("sqlite:%s/%s.db"):format(world.dir, (expected:gsub("%W", "")))
      if row.before then assert.equal(0, grant("--out", path .. "1", row.before).code) end
      if row.fault then sim:fault(row.fault) end
      local result = grant("--out", path, "--hold", row[2])
      assert.equal(row[1], result.code, result.err)
      assert.matches("holding it; Ctrl-C ends it now\nslept 20 minutes\n", result.err, 1, true)
      assert.matches(expected, result.err, 1, true)
      assert.equal(row[1] == 0 and not row.before and 1 or 0,
        #sim:log { operation = "revoke_cert", accepted = true })
      assert.is_nil(result.err:find("schedule run carries it out", 1, true))
    end
  end)

  it("is of an agency of the own account, where that can be looked up", function()
    local function dry_run(agency)
      return world:cce { "grant", "cluster-001", "--for", "20m", "--as-agency", agency, "--out",
        path, "--dry-run" }
    end
    sim:fault { operation = "list_domains", status = 403 }
    assert.equal(0, dry_run("sim-agency").code)
    sim:fault { operation = "caller_identity", status = 403 }
    local result = dry_run "sim-agency"
    assert.equal(64, result.code, result.err)
    assert.matches("which account these credentials are of cannot be looked up\n  hint: Give"
      .. " --as-agency NAME@DOMAIN", result.err, 1, true)
    result = dry_run "sim-agency@sim-account"
    assert.is_nil(result.err:find("which account", 1, true))
  end)

  it("is held until Ctrl-C, which ends it", function()
    local finish, process = world:start_cce { "grant", "cluster-001", "--for", "20m", "--out", path,
      "--hold", "--allow-self" }
    local deadline = core.sys.monotonic() + 120
    local function is_held()
      return (tempdir.read(("%s/run-%d.err"):format(world.dir, world.count)) or "")
        :find("holding it; Ctrl-C ends it now\n", 1, true)
    end
    repeat core.sys.sleep(0.05) until is_held() or core.sys.monotonic() > deadline
    process:signal "SIGINT"
    local result = finish()
    assert.equal(130, result.code)
    assert.matches("the grant is over: its certificates are revoked", result.err, 1, true)
    assert.equal(1, #sim:log { operation = "revoke_cert" })
    assert.same({}, pending())
  end)
end)
