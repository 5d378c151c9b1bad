-- `--report FILE`, as a command writes it.
local command = require "spec.support.command"
local json = require "cce.base.json"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

if not (simulator.has_program "nginx" and pcall(require, "argparse")) then
  describe("--report", function() pending "needs nginx and argparse" end)
  return
end

describe("--report", function()
  local sim, world

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
  end)

  after_each(function() world:remove() end)

  it("is proved to have room before anything is sent", function()
    local result = world:start({ "/bin/sh", "-c", ("trap '' XFSZ; ulimit -f 16; exec '%s/bin/cce'"
      .. " rotate cluster-001 --component all --yes --report '%s/page'"):format(world.dir,
      world.dir) })()
    assert.equal(1, result.code)
    assert.matches("page.html.*: File too large", result.err)
    assert.same({}, sim:log { operation = "rotate_credentials" })
  end)

  it("writes a page and JSON of a rotation, with each cluster and what proves it", function()
    sim:fault { cluster = sim.clusters[2].id, operation = "rotate_credentials", status = 400 }
    local path = world.dir .. "/night.html"
    local result = world:cce { "rotate", "cluster-001", "cluster-002", "--component", "all",
      "--yes", "--every", "1s", "--report", path, "--journal", world.dir .. "/journal\255" }
    assert.equal(1, result.code, result.err)
    local html = assert(tempdir.read(path))
    local value = json.decode(tempdir.read(world.dir .. "/night.json"))
    assert.equal(1, #value.ok)
    assert.equal(1, #value.failed)
    assert.matches("^cce rotate cluster%-001 .*/journal�$", value.asked)
    assert.matches("user " .. simulator.admin.principal.id .. " (admin), ", value.by, 1, true)
    for _, expected in ipairs { "1 failed, 1 ok", value.ok[1].job_id, value.ok[1].request_id,
      sim.clusters[2].id, "cce rotate cluster&#45;001", "<svg" } do
      expected = expected:gsub("&#45;", "-")
      assert.truthy(html:find(expected, 1, true), expected)
    end
    assert.is_nil(html:find(sim.env.HUAWEICLOUD_SDK_SK, 1, true))
    assert.matches('<p class="lead bad">', html, 1, true)
  end)

  it("says at its head whether something is open", function()
    local function lead(faults)
      sim:reset()
      for _, fault in ipairs(faults) do sim:fault(fault) end
      local path = world.dir .. "/head.html"
      world:cce { "rotate", "cluster-003", "--component", "all", "--yes", "--no-wait",
        "--report", path, "--journal", world.dir .. "/journal-" .. #faults }
      return tempdir.read(path):match '<p class="lead (%a+)">'
    end
    assert.equal("good", lead {})
    assert.equal("open", lead { { operation = "rotate_credentials", status = 403 } })
  end)

  it("has the plan of a dry run as a table, and calls it nothing done", function()
    local path = world.dir .. "/plan.html"
    world:cce { "revoke", "cluster-001", "--user", "member", "--remove", "--dry-run", "--report",
      path }
    local html = tempdir.read(path)
    for _, expected in ipairs { '<p class="lead quiet">a dry run: nothing was done', "<h1>revoke",
      "<th>TAKE OUT</th><th>OF</th>", '<td data-title="CLUSTER" class="whole">cluster-001' } do
      assert.truthy(html:find(expected, 1, true), expected)
    end
    assert.is_nil(html:find("<li>take user", 1, true))
  end)

  it("says that the page cannot be written before anything is done", function()
    local result = world:cce { "rotate", "cluster-001", "--component", "all", "--yes", "--no-wait",
      "--report", world.dir .. "/no/such/place.html", "--journal", world.dir .. "/journal" }
    assert.equal(1, result.code)
    assert.matches("place.html", result.err, 1, true)
    assert.same({}, sim:log { operation = "rotate_credentials" })
  end)

  it("replaces a report, and nothing else", function()
    local path = world.dir .. "/night.html"
    local words = { "rotate", "cluster-001", "--component", "all", "--yes", "--no-wait", "--report",
      path }
    for _ = 1, 2 do assert.equal(0, world:cce(words).code) end
    for _, name in ipairs { "night.html", "night.json" } do
      local text = tempdir.read(world.dir .. "/" .. name)
      tempdir.write(world.dir .. "/" .. name, '{"mine":1}')
      assert.equal(1, world:cce(words).code)
      assert.equal('{"mine":1}', tempdir.read(world.dir .. "/" .. name))
      tempdir.write(world.dir .. "/" .. name, text)
    end
  end)
end)
