local command = require "spec.support.command"
local json = require "cce.base.json"
local kubeconfig = require "cce.kubeconfig"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"
local times = require "cce.base.times"

if not (simulator.has_program "nginx" and pcall(require, "argparse")) then
  describe("cce obtain", function() pending "needs nginx and argparse" end)
  return
end

describe("cce obtain", function()
  local sim, world

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
  end)

  after_each(function() world:remove() end)

  it("writes a kubeconfig that only its owner may read, and replaces none", function()
    local path = world.dir .. "/prod.json"
    local words = { "obtain", "cluster-002", "--days", "3", "--out", path }
    local result = world:cce(words)
    assert.equal(0, result.code)
    assert.matches("cluster-002: user " .. simulator.admin.principal.id, result.out, 1, true)
    assert.is_nil(result.out:find("PRIVATE", 1, true))
    assert.equal("600 1\n", tempdir.shell("stat -c '%a %h' " .. path))
    assert.matches("cluster-002", tempdir.read(path), 1, true)
    local before = tempdir.read(path)
    result = world:cce(words)
    assert.equal(64, result.code)
    assert.matches("is there already\n  hint: --merge-into adds to it", result.err, 1, true)
    assert.equal(before, tempdir.read(path))
    assert.equal(1, #sim:log { operation = "obtain_cert" })
    words[#words + 1] = "--force"
    for _, there in ipairs { before, "no kubeconfig" } do
      tempdir.write(path, there)
      assert.equal(0, world:cce(words).code)
      assert.not_equal(there, tempdir.read(path))
    end
  end)

  it("merges, and tells where in fields", function()
    local path = world.dir .. "/config"
    for _, name in ipairs { "cluster-001", "cluster-002" } do
      local value = json.decode(world:cce({ "obtain", name, "--until", "+2h", "--merge-into", path,
        "-o", "json" }).out)
      assert.equal(name, value.context)
      assert.equal(path, value.path)
      assert.is_true(math.abs(times.parse(value.expires_at) - os.time() - 7200) < 60)
    end
    assert.matches("cluster%-001.*cluster%-002", world:cce({ "expiry", path }).out)
  end)

  it("prints it only when asked, and says what that is", function()
    local result = world:cce { "obtain", "cluster-001", "--days", "1", "--out", "-" }
    assert.equal(0, result.code)
    assert.is_truthy(json.decode(result.out)["current-context"])
    assert.matches("private key", result.err, 1, true)
    result = world:cce { "obtain", "cluster-001", "--days", "1" }
    assert.equal(64, result.code)
    assert.matches("give one of --out and --merge-into", result.err, 1, true)
  end)

  it("takes no lifetime silently, and none that there is not", function()
    local out = { "--out", world.dir .. "/x" }
    for expected, more in pairs { ["how long the certificate is to live"] = {},
      ["can not be used together"] = { "--days", "1", "--until", "+2h" },
      ["a number of days, or max"] = { "--days", "x" },
      ["1 to 1827"] = { "--days", "5000" }, ["with its zone"] = { "--until", "2030-01-01" } } do
      local words = { "obtain", "cluster-001", out[1], out[2] }
      for _, word in ipairs(more) do words[#words + 1] = word end
      local result = world:cce(words)
      assert.equal(64, result.code, expected)
      assert.matches(expected, result.err, 1, true)
    end
    assert.equal(0, #sim:log { operation = "obtain_cert" })
  end)

  it("obtains nothing that could not be kept, and says so when it was interrupted", function()
    local result = world:cce { "obtain", "cluster-001", "--days", "3", "--out",
      world.dir .. "/nowhere/x" }
    assert.equal(64, result.code)
    assert.matches("there is no directory '" .. world.dir .. "/nowhere'", result.err, 1, true)
    assert.equal(0, #sim:log { operation = "obtain_cert" })
    sim:fault { operation = "obtain_cert", hold = "before" }
    result = world:interrupt_cce { "obtain", "cluster-001", "--days", "3", "--out",
      world.dir .. "/x" }
    assert.equal(130, result.code)
    assert.matches("nothing was kept; if the request had left", result.err, 1, true)
  end)

  it("says where the certificate is that was issued and could not be saved", function()
    local dir = world.dir .. "/new"
    tempdir.check("mkdir " .. dir)
    sim:fault { operation = "obtain_cert", hold = "before" }
    local finish = world:start_cce { "obtain", "cluster-001", "--days", "3", "--out", dir .. "/x" }
    sim:held(1)
    tempdir.check("rmdir " .. dir)
    sim:release()
    local result = finish()
    assert.equal(1, result.code)
    assert.matches("a certificate was issued, but it could not be saved:\n", result.err, 1, true)
    local kept = assert(result.err:match "certificate that was obtained is kept in '(.-)'")
    assert.matches(sim.clusters[1].id, tempdir.read(kept), 1, true)
    assert.equal("", result.out)
  end)

  it("keeps the certificate that standard output did not take", function()
    for _, output in ipairs { ">/dev/full", ">&-" } do
      local result = world:start({ "/bin/sh", "-c",
        ("exec '%s/bin/cce' obtain cluster-001 --days 3 --out - %s"):format(world.dir, output) })()
      assert.equal(1, result.code)
      local _, told = result.err:gsub("the result could not be written", "")
      assert.equal(1, told, result.err)
      local kept = assert(result.err:match
        "not take it; the certificate that was obtained is kept in '(.-)'", result.err)
      assert(kubeconfig.load(kept))
    end
  end)

  it("does nothing in a dry run", function()
    local path = world.dir .. "/x"
    local result = world:cce { "obtain", "cluster-001", "--days", "1", "--out", path, "--dry-run" }
    assert.equal(0, result.code)
    assert.matches("would obtain a certificate for cluster-001", result.out, 1, true)
    assert.is_nil(tempdir.read(path))
    -- What would be refused is refused now.
    for _, words in ipairs { { "cluster-001", "--days", "0" }, { "cluster-001", "--days", "1828" },
      { "cluster-001", "--until", "9999-12-31T23:59:59Z" }, { "cluster-001", "--until", "+0s" },
      { "autopilot-001", "--until", "+2h" } } do
      result = world:cce { "obtain", words[1], words[2], words[3], "--out", path, "--dry-run" }
      assert.equal(64, result.code, result.out)
      assert.matches(words[2] .. " is", result.err, 1, true)
      result = world:cce { "ensure", words[1], words[2], words[3], "--out", path, "--dry-run" }
      assert.equal(64, result.code, result.out)
    end
    assert.equal(0, #sim:log { operation = "obtain_cert" })
  end)
end)
