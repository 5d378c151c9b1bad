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

  it("is held until Ctrl-C, which ends it #long", function()
    local finish, process = world:start_cce { "grant", "cluster-001", "--for", "20m", "--out", path,
      "--hold", "--allow-self" }
    local deadline = os.time() + 20
    repeat core.sys.sleep(0.05) until tempdir.read(path) or os.time() > deadline
    core.sys.sleep(0.2)
    process:signal "SIGINT"
    local result = finish()
    assert.equal(130, result.code)
    assert.matches("the grant is over: its certificates are revoked", result.err, 1, true)
    assert.equal(1, #sim:log { operation = "revoke_cert" })
    assert.same({}, pending())
  end)
end)
