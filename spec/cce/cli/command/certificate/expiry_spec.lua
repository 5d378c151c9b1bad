local command = require "spec.support.command"
local json = require "cce.base.json"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

if not (simulator.has_program "nginx" and pcall(require, "argparse")) then
  describe("cce expiry", function() pending "needs nginx and argparse" end)
  return
end

describe("cce expiry", function()
  local sim, world

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
  end)

  after_each(function() world:remove() end)

  local path

  before_each(function()
    path = world.dir .. "/.kube/config"
    tempdir.shell("mkdir -p " .. world.dir .. "/.kube")
    assert.equal(0, world:cce({ "obtain", "cluster-001", "--days", "11", "--merge-into", path,
      "-q" }).code)
  end)

  it("and cce who read standard input, a file or a pipe, as kubectl does", function()
    local id, started = simulator.admin.principal.id, {}
    for _, words in ipairs { "expiry -", "expiry /dev/stdin", "expiry --check /dev/fd/0", "who -",
      "who /dev/stdin", "who --check /proc/self/fd/0" } do
      for _, line in ipairs { ("cat '%s' | cce %s"):format(path, words),
        ("cce %s < '%s'"):format(words, path) } do
        started[line] = (world:start { "/bin/sh", "-c", line })
      end
    end
    for line, finish in pairs(started) do
      local result = finish()
      assert.equal(0, result.code, line .. result.err)
      assert.matches(id, result.out, 1, true)
    end
    assert.equal(1, world:cce({ "expiry", "-" }, { input = "" }).code)
  end)

  it("shows what is in the usual place, or in KUBECONFIG", function()
    assert.matches("1[01] days +" .. simulator.admin.principal.id, world:cce({ "expiry" }).out)
    local result = world:cce({ "expiry", "-o", "json" }, { env = {
      KUBECONFIG = path .. ":" .. world.dir .. "/nowhere" } })
    assert.equal(0, result.code)
    local rows = json.decode(result.out)
    assert.equal(1, #rows)
    assert.equal(sim.clusters[1].id, rows[1].cluster_id)
    assert.is_true(rows[1].key_matches)
  end)

  it("shows times in UTC, and with --local in local time, in JSON, too", function()
    local zone = { env = { TZ = "XST-8" } }
    local utc = json.decode(world:cce({ "expiry", "-o", "json" }, zone).out)[1].not_after
    assert.matches("^%d+%-%d+%-%d+T%d+:%d+:%d+Z$", utc)
    -- GNU date is the judge.
    local there = tempdir.shell("TZ=XST-8 date -d " .. utc .. " +%FT%T%:z"):match "%S+"
    assert.matches("+08:00", there, 1, true)
    assert.equal(there,
      json.decode(world:cce({ "expiry", "--local", "-o", "json" }, zone).out)[1].not_after)
    assert.matches(there, world:cce({ "expiry", "--local" }, zone).out, 1, true)
    assert.matches(utc, world:cce({ "expiry" }, zone).out, 1, true)
  end)

  it("passes over what KUBECONFIG names and is not there, as kubectl does", function()
    local list = { KUBECONFIG = ":" .. path .. "::" .. world.dir .. "/nowhere:" .. path .. ":" }
    assert.equal(1, #json.decode(world:cce({ "expiry", "-o", "json" }, { env = list }).out))
    assert.equal(0, world:cce({ "who" }, { env = list }).code)
    for _, words in ipairs { { "expiry" }, { "who" } } do
      local result = world:cce(words, { env = { KUBECONFIG = world.dir .. "/nowhere" } })
      assert.equal(1, result.code)
      assert.matches("there is no kubeconfig: KUBECONFIG, " .. world.dir .. "/nowhere", result.err,
        1, true)
    end
    assert.equal(1, world:cce({ "expiry", world.dir .. "/nowhere" }).code)
  end)

  it("asks the clusters when it is to", function()
    local function checked(...)
      local result = world:cce { "expiry", "--check", "-o", "json", path, ... }
      return result.code, json.decode(result.out)[1]
    end
    local code, row = checked()
    assert.same({ 0, "works" }, { code, row.check })
    sim:revoke(sim.clusters[1], { userId = simulator.admin.principal.id })
    code, row = checked("--within", "1d")
    assert.same({ 4, "refused" }, { code, row.check })
    assert.equal(0, world:cce({ "expiry", path }).code)
    tempdir.write(path, (tempdir.read(path):gsub("127[%d.]+:%d+", "127.0.0.1:1")))
    code, row = checked()
    assert.same({ 0, "not asked" }, { code, row.check })
  end)

  it("shows what cce credential keeps, and where it keeps none", function()
    local file = world.dir .. "/exec"
    assert.equal(0, world:cce({ "obtain", "cluster-001", "--exec", "--out", file, "-q" }).code)
    local result = world:cce { "expiry", "-o", "json", file }
    assert.equal(0, result.code)
    assert.matches("the next kubectl obtains one", json.decode(result.out)[1].message, 1, true)
    world:kubectl(file, "get nodes")
    result = world:cce { "expiry", "--check", "-o", "json", file }
    local row = json.decode(result.out)[1]
    assert.equal("cce credential", row.holder)
    assert.equal("works", row.check)
    assert.is_true(row.remaining > 80000)
  end)

  it("ends with 4 when one ends too soon", function()
    local result = world:cce { "expiry", "--within", "1d", path }
    assert.same({ code = 0, out = "", err = "no certificate ends in that time\n" }, result)
    assert.equal("[]\n", world:cce({ "expiry", "--within", "1d", path, "-o", "json" }).out)
    assert.equal(4, world:cce({ "expiry", "--within", "12d", path }).code)
    assert.equal(path .. "\n", world:cce({ "expiry", "--within", "12d", path, "-o", "name" }).out)
  end)
end)
