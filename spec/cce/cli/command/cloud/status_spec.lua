local command = require "spec.support.command"
local json = require "cce.base.json"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

if not (simulator.has_program "nginx" and pcall(require, "argparse")) then
  describe("cce status", function() pending "needs nginx and argparse" end)
  return
end

describe("cce status", function()
  local sim, world

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
    tempdir.shell("mkdir -p " .. world.dir .. "/.kube")
    for _, name in ipairs { "cluster-001", "cluster-002", "cluster-003" } do
      assert.equal(0, world:cce({ "obtain", name, "--days", "3", "--merge-into",
        world.dir .. "/.kube/config" }).code)
    end
  end)

  after_each(function() world:remove() end)

  local function rows()
    local result = world:cce { "status", "-o", "json" }
    local found = {}
    for _, row in ipairs(json.decode(result.out)) do found[row.name] = row end
    return found, result.code
  end

  it("shows rotations, my certificates as the clusters take them, holders and open runs", function()
    assert.equal(0, world:cce({ "rotate", "cluster-002", "--component", "all", "--yes", "--every",
      "1s" }).code)
    assert.equal(0, world:cce({ "revoke", "cluster-003", "--user", simulator.admin.principal.id,
      "--allow-self", "--yes" }).code)
    local found, code = rows()
    assert.equal(0, code)
    assert.equal("works", found["cluster-001"].certificate)
    assert.equal(1, found["cluster-001"].holders)
    assert.matches("^20%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$", found["cluster-002"].rotated)
    assert.equal("untrusted", found["cluster-002"].certificate)
    assert.equal("refused", found["cluster-003"].certificate)
    assert.equal(0, found["cluster-003"].holders)
    assert.is_nil(found["cluster-004"].certificate)
    local result = world:cce { "status", "cluster-001", "--no-check" }
    assert.matches("cluster%-001 +v%S+ +Available +%- +not asked +20%d%d%-%d%d%-%d%d +1 +0\n",
      result.out)
  end)

  it("says which kubeconfig it cannot read, and takes none of another cluster for mine", function()
    local bad = world.dir .. "/bad"
    tempdir.write(bad, "no kubeconfig")
    assert.equal(0, world:cce({ "obtain", "cluster-002", "--days", "3", "--name", "cluster-004",
      "--out", world.dir .. "/other" }).code)
    local result = world:cce({ "status", "cluster-004", "--no-check", "-o", "json", "--report",
      world.dir .. "/page" }, { env = { KUBECONFIG = bad .. ":" .. world.dir .. "/other" } })
    assert.equal(0, result.code)
    assert.matches("cce: cannot use '" .. bad .. "' as a kubeconfig", result.err, 1, true)
    assert.is_nil(json.decode(result.out)[1].certificate)
    -- The page would say of mine that there is none.
    assert.matches("<dt>not known</dt><dd>cannot use ", tempdir.read(world.dir .. "/page.html"), 1,
      true)
    local page = json.decode(tempdir.read(world.dir .. "/page.json"))
    assert.matches("^cannot use ", page.not_known[1])
    result = world:cce({ "rotate", "cluster-004", "--component", "all", "--dry-run" },
      { env = { KUBECONFIG = bad .. ":" .. world.dir .. "/other" } })
    assert.matches("this ends what is in use: kubeconfigs are not all known: cannot use '" .. bad,
      result.out, 1, true)
  end)

  it("ends with 2 while a run is open, and names where", function()
    local operation = "rotate_credentials"
    sim:fault { operation = "show_job", status = 403 }
    sim:fault { cluster = sim.clusters[2].id, operation = operation, status = 502 }
    sim:fault { cluster = sim.clusters[3].id, operation = operation, status = 403 }
    assert.equal(2, world:cce({ "rotate", "cluster-001", "cluster-002", "cluster-003", "--rate",
      "none", "--component", "all", "--yes" }).code)
    local counts = json.decode(world:cce({ "runs", "list", "-o", "json" }).out)[1].counts
    assert.same({ 1, 1, 1 }, { counts.accepted, counts.uncertain, counts.pending })
    local found, code = rows()
    assert.equal(2, code)
    for i = 1, 3 do assert.equal(1, found["cluster-00" .. i].open, i) end
  end)

  it("shows the rest when CTS does not answer, and says what is not known", function()
    local function status(why, env)
      local result = world:cce({ "status", "cluster-001", "-o", "json" }, { env = env })
      assert.equal(0, result.code, result.err)
      assert.matches("^cce: who holds certificates is not known: .*" .. why, result.err)
      local row = json.decode(result.out)[1]
      assert.same({ "cluster-001", "works", nil }, { row.name, row.certificate, row.holders })
    end
    status("127%.0%.0%.1:1", { CCE_CTS_ENDPOINT = "https://127.0.0.1:1" })
    sim:fault { operation = "list_traces", status = 403 }
    status "HTTP 403"
    local path = world.dir .. "/fleet.html"
    assert.equal(0, world:cce({ "status", "cluster-001", "--report", path }).code)
    assert.matches('<td data-title="HOLDERS">not known</td>', tempdir.read(path), 1, true)
  end)

  it("says that a kubeconfig of mine cannot be read", function()
    local config = world.dir .. "/.kube/config"
    tempdir.write(world.dir .. "/broken", "{")
    local result = world:cce({ "status", "cluster-001", "--no-check" }, { env = {
      KUBECONFIG = ("%s/broken:%s"):format(world.dir, config) } })
    assert.matches("^cce: cannot use '[^']*/broken' as a kubeconfig: [^\n]+\n$", result.err)
    assert.matches("cluster%-001 .*not asked", result.out)
  end)

  it("writes itself as a page, and replaces nothing but such a page", function()
    local path = world.dir .. "/fleet.html"
    assert.equal(0, world:cce({ "status", "--report", path }).code)
    assert.equal(0, world:cce({ "status", "--report", path }).code)
    local html = tempdir.read(path)
    assert.truthy(html:find(sim.clusters[1].id, 1, true))
    assert.is_nil(html:find("<script", 1, true))
    tempdir.write(path, "mine")
    local result = world:cce { "status", "--report", path }
    assert.is_true(result.code ~= 0)
    assert.equal("mine", tempdir.read(path))
  end)
end)
