local command = require "spec.support.command"
local json = require "cce.base.json"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

if not (simulator.has_program "nginx" and pcall(require, "argparse")) then
  describe("cce log", function() pending "needs nginx and argparse" end)
  return
end

describe("cce log", function()
  local sim, world

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
  end)

  after_each(function() world:remove() end)

  local path

  before_each(function()
    path = world.dir .. "/audit.log"
    tempdir.shell("mkdir -p " .. world.dir .. "/.config/cce")
    tempdir.write(world.dir .. "/.config/cce/config", ("[logged]\nendpoint = %s\naudit_log = %s\n")
      :format(sim.env.CCE_ENDPOINT, path))
    assert.equal(0, world:cce({ "obtain", "cluster-001", "--days", "1", "--out", "-", "--profile",
      "logged" }).code)
  end)

  it("finds a log whole, or says where it is not", function()
    local result = world:cce { "log", "verify", path }
    assert.equal(0, result.code)
    assert.matches("2 lines, unbroken", result.out, 1, true)
    local state = json.decode(world:cce({ "log", "verify", path, "-o", "json" }).out)
    assert.equal(0, world:cce({ "log", "verify", path, "--head", state.head, "--count", "2" }).code)
    tempdir.write(path, (tempdir.read(path):gsub("\n[^\n]*\n$", "\n")))
    assert.equal(0, world:cce({ "log", "verify", path }).code)
    result = world:cce { "log", "verify", path, "--head", state.head }
    assert.equal(1, result.code)
    assert.matches("does not have the head that was kept", result.err, 1, true)
  end)

  it("takes the files of a log that was rotated, in any order", function()
    tempdir.shell(("mv %s %s.1"):format(path, path))
    -- The next process: nothing says what came before.
    tempdir.write(path, tempdir.read(path .. ".1"))
    local result = world:cce { "log", "verify", path, path .. ".1" }
    assert.equal(1, result.code)
    tempdir.write(path, "")
    result = world:cce { "log", "verify", path, path .. ".1" }
    assert.equal(0, result.code)
    assert.matches("2 lines, unbroken", result.out, 1, true)
  end)

  it("says where the lines before are, when it is given the later of two files", function()
    tempdir.shell(("mv %s %s.1"):format(path, path))
    assert.equal(0, world:cce({ "obtain", "cluster-001", "--days", "1", "--out", "-", "--profile",
      "logged" }).code)
    local result = world:cce { "log", "verify", path }
    assert.equal(0, result.code, result.err)
    assert.matches(path .. ": lines 3 to 4, unbroken; its head is ", result.out, 1, true)
    assert.matches("\nThe lines before were in " .. path .. ".1\n", result.out, 1, true)
    result = world:cce { "log", "verify", path, path .. ".1" }
    assert.matches(": 4 lines, unbroken; its head is %x+\n$", result.out)
  end)

  it("has the changes of any command, with --audit-log or CCE_AUDIT_LOG", function()
    for _, how in ipairs { "option", "environment" } do
      local log = world.dir .. "/" .. how .. ".log"
      local words = { "obtain", "cluster-001", "--days", "3", "--out", "-" }
      if how == "option" then
        table.insert(words, "--audit-log")
        table.insert(words, log)
      end
      local env = { CCE_AUDIT_LOG = how == "environment" and log or false }
      assert.equal(0, world:cce(words, { env = env }).code)
      local text = tempdir.read(log)
      assert.matches('"operation":"obtain_cert","target":"cluster ' .. sim.clusters[1].id, text, 1,
        true)
      assert.matches('"duration":3,', text, 1, true)
      assert.equal(0, world:cce({ "log", "verify", log }).code)
    end
  end)

  it("has the changes of commands that run at once: they take turns", function()
    local log, ends = world.dir .. "/shared.log", {}
    for i = 1, 4 do
      ends[i] = world:start_cce({ "obtain", "cluster-001", "--days", "1", "--out", "-" },
        { env = { CCE_AUDIT_LOG = log } })
    end
    for _, wait in ipairs(ends) do assert.equal(0, wait().code) end
    assert.matches("8 lines, unbroken", world:cce({ "log", "verify", log }).out, 1, true)
  end)
end)
