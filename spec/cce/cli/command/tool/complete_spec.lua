local command = require "spec.support.command"
local lines = require("cce.cli.command.tool.complete").lines
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

if not (simulator.has_program "nginx" and pcall(require, "argparse")) then
  describe("cce __complete", function() pending "needs nginx and argparse" end)
  return
end

describe("cce __complete", function()
  local sim, world

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
  end)

  after_each(function() world:remove() end)

  local function complete(...)
    local result = world:cce { "__complete", ... }
    assert.equal(0, result.code)
    assert.equal("", result.err)
    return result.out
  end

  -- The candidates alone.
  local function words(...)
    return (complete(...):gsub("\t[^\n]*", ""):gsub("\n$", ""))
  end

  it("knows commands, options and their values", function()
    local function inside(...)
      return (table.concat(lines { ... }, "\n"):gsub("\t[^\n]*", ""))
    end
    assert.matches("^ensure\t[^\n]+\nexpiry\t[^\n]+\n$", complete "e")
    assert.matches("\tRevoke the certificates", lines({ "rev" })[1], 1, true)
    assert.is_nil(inside(""):find("__complete", 1, true))
    assert.equal("show", inside("jobs", "s"))
    assert.equal("--kubeconfig", inside("revoke", "--k"))
    assert.equal("json", inside("clusters", "-o", "j"))
    assert.equal("custom", inside("rotate", "--component", "cu"))
    assert.equal("ap-southeast-1", inside("--region", "ap-southeast-1"))
    assert.equal("doctor", inside("--region", "x", "-q", "doc"))
    assert.equal("rotate", inside("help", "ro"))
    assert.equal(":files", inside("obtain", "cluster-001", "--out", "/tmp/x"))
    assert.equal(":directories", inside("ensure", "--dir", ""))
    assert.equal("", complete("nonsense", "x"))
  end)

  it("knows clusters, asked for once a minute and kept for their owner alone", function()
    local all = words("revoke", "--user", "x", "")
    assert.equal("cluster-001\ncluster-002\ncluster-003\ncluster-004\ncluster-005", all)
    assert.equal("cluster-004", words("revoke", "cluster-001", "cluster-004"))
    assert.matches("^cluster%-001\t" .. sim.clusters[1].id:gsub("%-", "%%-"),
      complete("obtain", "cluster-001"))
    assert.equal(1, #sim:log { operation = "list_clusters" })
    assert.equal("600\n", tempdir.shell("stat -c %a " .. world.cache .. "/cce/clusters-*"))
    -- Another account is another cache; and what is too old is asked for again.
    words("--project", sim.project_id, "revoke", "c")
    assert.equal(2, #sim:log { operation = "list_clusters" })
    local path = tempdir.shell("ls " .. world.cache .. "/cce/clusters-*"):match "[^\n]+"
    tempdir.write(path, (tempdir.read(path):gsub('"at":%d+', '"at":' .. os.time() - 61)))
    words("--project", sim.project_id, "revoke", "c")
    words("revoke", "c")
    assert.equal(3, #sim:log { operation = "list_clusters" })
  end)

  it("knows profiles", function()
    tempdir.shell("mkdir -p " .. world.dir .. "/.config/cce")
    tempdir.write(world.dir .. "/.config/cce/config", "[prod]\n[test]\n")
    assert.equal("prod", words("--profile", "p"))
  end)

  it("goes by options before it, such as the endpoint", function()
    local env = { CCE_ENDPOINT = false }
    local function clusters(...)
      local line = { "__complete", ... }
      line[#line + 1], line[#line + 2] = "revoke", "cluster-004"
      return (world:cce(line, { env = env }).out:gsub("\t.*", ""))
    end
    assert.equal("", clusters())
    assert.equal("cluster-004", clusters("--endpoint", sim.env.CCE_ENDPOINT))
    assert.equal("", clusters("--endpoint", "https://127.0.0.1:1"))
  end)

  it("is silent when the cloud does not answer, and asks once", function()
    for _, endpoint in ipairs { "https://127.0.0.1:1", false } do
      local result = world:cce({ "__complete", "revoke", "c" }, { env = {
        CCE_ENDPOINT = endpoint } })
      assert.same({ code = 0, out = "", err = "" }, result)
    end
    sim:fault { operation = "list_clusters", status = 503 }
    assert.equal("", words("revoke", "c"))
    assert.equal(1, #sim:log { operation = "list_clusters" })
  end)
end)
