local unpack = table.unpack or unpack
local command = require "spec.support.command"
local json = require "cce.base.json"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"
local wait_for = require("spec.support.peer.nginx").wait_for

if not (simulator.has_program "nginx" and pcall(require, "argparse")) then
  describe("cce clusters", function() pending "needs nginx and argparse" end)
  return
end

describe("cce clusters", function()
  local sim, world

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
  end)

  after_each(function() world:remove() end)

  it("lists them as a table, as data and as ids", function()
    local result = world:cce { "clusters" }
    assert.equal(0, result.code)
    assert.equal("", result.err)
    assert.equal(#sim.clusters + 1, select(2, result.out:gsub("\n", "")))
    assert.matches("^NAME +ID +VERSION +STATUS\ncluster%-001 +%x+%-", result.out)
    local rows = json.decode(world:cce({ "-o", "json", "clusters" }).out)
    assert.equal(#sim.clusters, #rows)
    assert.equal(sim.project_id, rows[1].project_id)
    assert.equal("Available", rows[1].status)
    assert.equal(sim.clusters[2].id .. "\n",
      world:cce({ "clusters", "cluster-002", "-o", "name" }).out)
  end)

  it("has those of Autopilot when asked for, and finds one that is named", function()
    local autopilot = sim:state().autopilot[1]
    local result = world:cce { "clusters", "--autopilot" }
    assert.matches("^NAME +ID +VERSION +STATUS +AUTOPILOT\ncluster%-001 .* %-\n", result.out)
    assert.matches("\nautopilot%-001 +" .. autopilot.id:gsub("%-", "%%-") .. " .* yes\n$",
      result.out)
    for _, word in ipairs { "autopilot-001", autopilot.id } do
      local rows = json.decode(world:cce({ "-o", "json", "clusters", word }).out)
      assert.equal(1, #rows)
      assert.is_true(rows[1].autopilot)
    end
    assert.equal(autopilot.id .. "\n", world:cce({ "clusters", "--name", "auto*", "--autopilot",
      "-o", "name" }).out)
    assert.equal("", world:cce({ "clusters", "--name", "auto*", "-o", "name" }).out)
    assert.matches("no cluster 'autopilot%-009'.*'autopilot%-001'", world:cce({ "clusters",
      "autopilot-009" }).err)
  end)

  it("of Autopilot obtain and ensure, and are refused where nothing can be revoked or rotated",
    function()
      local id = sim:state().autopilot[1].id
      local out = world.dir .. "/kubeconfig"
      local result = world:cce { "obtain", "autopilot-001", "--days", "2", "--out", out }
      assert.equal(0, result.code, result.err)
      result = world:cce { "ensure", "--all", "--autopilot", "--days", "2", "--dir", world.dir }
      assert.equal(0, result.code, result.err)
      assert.is_truthy(tempdir.read(world.dir .. "/autopilot-001.json"), result.out)
      -- Neither Autopilot nor a cloud without expire_at takes less than a day.
      for _, words in ipairs { { "autopilot-001" }, { "cluster-001", "--cloud", "otc" } } do
        result = world:cce { "obtain", "--exec", "--out", world.dir .. "/" .. words[1],
          unpack(words) }
        assert.equal(0, result.code, result.err)
      end
      result = world:cce { "jobs", "show", "a0b50000-0000-4000-8000-0000000007d1" }
      assert.matches("CreateCluster", result.out)

      for _, words in ipairs { { "revoke", "cluster-001", id, "--user", "alice", "--yes" },
        { "rotate", "autopilot-001", "--component", "all", "--yes" },
        { "grant", "autopilot-001", "--for", "1h", "--out", "-", "--allow-self" },
        { "schedule", "add", "revoke", id, "--user", "alice", "--at", "+2h" },
        { "schedule", "add", "rotate", id, "--every", "4w" } } do
        result = world:cce(words)
        assert.equal(1, result.code, table.concat(words, " ") .. ": " .. result.err)
        assert.matches("is one of CCE Autopilot, whose API has no call that", result.err, 1, true)
      end
      for _, entry in ipairs(sim:log { method = "POST" }) do
        assert.is_truthy(entry.operation:find "obtain", entry.operation)
      end
    end)

  it("takes options before and after the word", function()
    for _, words in ipairs { { "-o", "name", "clusters", "--name", "*-003" },
      { "clusters", "--name", "*-003", "-o", "name" } } do
      assert.equal(sim.clusters[3].id .. "\n", world:cce(words).out)
    end
  end)

  it("takes a list from a file and from standard input", function()
    local path = world.dir .. "/list"
    tempdir.write(path, "cluster-002   # the second\r\n\n" .. sim.clusters[4].id .. "\n# no more\n")
    local expected = sim.clusters[2].id .. "\n" .. sim.clusters[4].id .. "\n"
    assert.equal(expected, world:cce({ "clusters", "-f", path, "-o", "name" }).out)
    assert.equal(expected, world:cce({ "clusters", "-f", "-", "-o", "name" },
      { input = tempdir.read(path) }).out)
    local result = world:cce({ "clusters", "-f", "-" }, { input = "# nothing\n" })
    assert.equal(64, result.code)
    assert.matches("the list of clusters is empty", result.err, 1, true)
    assert.matches("/no/such", world:cce({ "clusters", "-f", "/no/such" }).err, 1, true)
  end)

  it("leaves the titles out when told", function()
    local with, without = world:cce { "clusters" }, world:cce { "clusters", "--no-headers" }
    assert.equal(with.out:match "\n(.*)$", without.out)
    assert.equal("", world:cce({ "users", "--name", "nobody", "--no-headers" }).out)
  end)

  it("shows them again and again with --watch, by one client", function()
    local finish, process = world:start_cce { "clusters", "cluster-001", "--watch", "0.1" }
    wait_for("three lists", function() return #sim:log { operation = "list_clusters" } >= 3 end)
    process:signal "SIGINT"
    local result = finish()
    assert.equal(130, result.code)
    assert.is_true(select(2, result.out:gsub("NAME ", "")) >= 2)
  end)

  it("is an empty list when none fits", function()
    local result = world:cce { "clusters", "--name", "nope*" }
    assert.equal(0, result.code)
    assert.equal(1, select(2, result.out:gsub("\n", "")))
    assert.equal("[]\n", world:cce({ "clusters", "--name", "nope*", "-o", "json" }).out)
    assert.equal("", world:cce({ "clusters", "--name", "nope*", "-o", "name" }).out)
  end)

  it("tells of a long wait, unless it is to be quiet", function()
    local throttled = { operation = "list_clusters", status = 429, times = 1,
      headers = { ["Retry-After"] = "3" } }
    sim:fault(throttled)
    local result = world:cce { "clusters", "-o", "name" }
    assert.equal(0, result.code)
    assert.matches("^note: list_clusters: attempt 1: HTTP 429, again in %d%.%d s\n$", result.err)
    sim:fault(throttled)
    assert.equal("", world:cce({ "clusters", "--quiet", "-o", "name" }).err)
  end)

  it("fails with what the API says", function()
    local result
    sim:fault { operation = "list_clusters", status = 403, times = 1 }
    result = world:cce { "clusters", "--verbose" }
    assert.equal(1, result.code)
    assert.matches("^  list_clusters: attempt 1: HTTP 403\ncce: list_clusters", result.err)
    assert.matches("\n  hint: ", result.err)
    assert.matches("\n  code PERMISSION_DENIED, status 403", result.err)
    assert.matches("request id %x+", result.err)
  end)

  it("prints no secret, however verbose", function()
    local result = world:cce { "clusters", "-v" }
    for _, key in ipairs { "HUAWEICLOUD_SDK_SK" } do
      assert.is_nil((result.out .. result.err):find(sim.env[key], 1, true))
    end
  end)

  it("ends quietly when nobody reads on", function()
    local program = ("'%s/bin/cce' clusters -o json | head -n 1; echo ${PIPESTATUS[0]}")
      :format(world.dir)
    local result = world:start({ "/bin/bash", "-c", program })()
    assert.matches("^%[\n%d+\n$", result.out)
    assert.equal("", result.err)
    -- The same where SIGPIPE is ignored, as under some init systems.
    result = world:start({ "/bin/bash", "-c", ("trap '' PIPE; (sleep 0.3; exec '%s/bin/cce'"
      .. " clusters) | true; echo ${PIPESTATUS[0]}"):format(world.dir) })()
    assert.equal("", result.err)
    assert.equal("1\n", result.out)
  end)

  it("says so when the result cannot be written", function()
    local result = world:start({ "/bin/sh", "-c",
      ("exec '%s/bin/cce' clusters >/dev/full"):format(world.dir) })()
    assert.equal(1, result.code)
    assert.matches("could not be written: .*No space left", result.err)
  end)
end)
