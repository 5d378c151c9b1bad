local command = require "spec.support.command"
local json = require "cce.base.json"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

if not (simulator.has_program "nginx" and pcall(require, "argparse")) then
  describe("cce ensure", function() pending "needs nginx and argparse" end)
  return
end

describe("cce ensure", function()
  local sim, world

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
  end)

  after_each(function() world:remove() end)

  it("keeps one file good, and obtains once", function()
    local path = world.dir .. "/prod.json"
    local words = { "ensure", "cluster-001", "--days", "3", "--out", path }
    local result = world:cce { "ensure", "cluster-001", "--days", "3", "--out", path, "--dry-run" }
    assert.matches("would obtain", result.out, 1, true)
    assert.is_nil(tempdir.read(path))
    result = json.decode(world:cce({ "ensure", "cluster-001", "--days", "3", "--out", path,
      "--dry-run", "-o", "json" }).out)
    assert.same({ true, "string" }, { result.renewed, type(result.reason) })
    assert.matches("cluster-001: obtained, " .. path, world:cce(words).out, 1, true)
    assert.matches("cluster-001: still good, " .. path, world:cce(words).out, 1, true)
    assert.equal(1, #sim:log { operation = "obtain_cert" })
    words[#words + 1], words[#words + 2] = "--renew", "--dry-run"
    assert.matches("would obtain", world:cce(words).out, 1, true)
  end)

  it("keeps many good, in a directory or in one file", function()
    local dir, path = world.dir .. "/kubeconfigs", world.dir .. "/config"
    local report = json.decode(world:cce({ "ensure", "--name", "cluster-00[12]", "--dir", dir,
      "--days", "30", "-o", "json" }).out or "") or {}
    assert.is_nil(report.ok)
    report = json.decode(world:cce({ "ensure", "cluster-001", "cluster-002", "--dir", dir, "--days",
      "30", "-o", "json" }).out)
    assert.equal(2, #report.ok)
    assert.same({}, report.failed)
    assert.is_true(report.ok[1].renewed)
    assert.equal(0, world:cce({ "ensure", "--all", "--merge-into", path, "--days", "30" }).code)
    assert.equal(#sim.clusters + 1, select(2, world:cce({ "expiry", path }).out:gsub("\n", "")))
  end)

  it("ends with 2 while one is pending, and names it", function()
    sim:fault { operation = "obtain_cert", cluster = sim.clusters[2].id, status = 403 }
    local result = world:cce { "ensure", "--all", "--dir", world.dir .. "/k", "--days", "30" }
    assert.equal(2, result.code)
    assert.matches("pending cluster-002", result.out, 1, true)
    sim:clear_faults()
    assert.equal(0, world:cce({ "ensure", "--all", "--dir", world.dir .. "/k", "--days", "30" })
      .code)
  end)

  it("ends with 1 when one fails for good, and names it", function()
    sim:fault { operation = "obtain_cert", cluster = sim.clusters[2].id, status = 400 }
    local result = world:cce { "ensure", "--all", "--dir", world.dir .. "/k", "--days", "30" }
    assert.equal(1, result.code)
    assert.matches("issue: 4 ok, 1 failed", result.out, 1, true)
    assert.matches("failed cluster-002", result.out, 1, true)
  end)

  it("goes by the dates where the cluster does not answer, and says so", function()
    local words = { "ensure", "cluster-001", "--days", "3", "--out", world.dir .. "/k" }
    assert.equal(0, world:cce(words).code)
    assert.is_nil(world:cce(words).out:find("was not asked", 1, true))
    sim:fault { service = "kubernetes", status = 503 }
    local result = world:cce(words)
    assert.equal(0, result.code, result.err)
    assert.matches("cluster-001: still good, ", result.out, 1, true)
    assert.matches("\nthe cluster was not asked: HTTP 503\n", result.out, 1, true)
    words[#words + 1] = "--no-check"
    result = world:cce(words)
    assert.equal(0, result.code, result.err)
    assert.is_nil(result.out:find("was not asked", 1, true))
    assert.equal(1, #sim:log { operation = "obtain_cert" })
  end)

  it("says after Ctrl-C that the same command goes on, and it does", function()
    sim:fault { operation = "obtain_cert", cluster = sim.clusters[2].id, hold = "before" }
    local words = { "ensure", "cluster-001", "cluster-002", "--concurrency", "1", "--dir",
      world.dir .. "/k", "--days", "3" }
    local result = world:interrupt_cce(words)
    sim:clear_faults()
    assert.equal(130, result.code)
    assert.matches("obtain_cert: 1 done (" .. sim.clusters[1].id .. ")", result.err, 1, true)
    assert.matches("what was obtained is kept; the same command goes on where it was", result.err,
      1, true)
    result = world:cce(words)
    assert.equal(0, result.code, result.err)
    assert.equal(1, #sim:log { operation = "obtain_cert", cluster = sim.clusters[1].id })
  end)

  it("wants one place, and clusters", function()
    for expected, words in pairs {
      ["where to"] = { "ensure", "--all", "--days", "3" },
      ["no cluster is named"] = { "ensure", "--dir", "x", "--days", "3" },
      ["and 5 are chosen"] = { "ensure", "--all", "--out", "x", "--days", "3" },
      ["can not be used together"] = { "ensure", "--all", "--out", "x", "--dir", "y" },
    } do
      local result = world:cce(words)
      assert.equal(64, result.code, expected)
      assert.matches(expected, result.err, 1, true)
    end
  end)
end)
