local command = require "spec.support.command"
local json = require "cce.base.json"
local simulator = require "spec.support.sim"
local sys = require("cce.core").sys
local tempdir = dofile "spec/support/tempdir.lua"

if not (simulator.has_program "nginx" and pcall(require, "argparse")) then
  describe("cce rotate", function() pending "needs nginx and argparse" end)
  return
end

describe("cce rotate", function()
  local sim, world

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
  end)

  after_each(function() world:remove() end)

  local function journal()
    return ("%s/.local/state/cce/rotate-%s.journal"):format(world.dir, sim.project_id)
  end

  local function rotate(...)
    return world:cce { "rotate", "--every", "0.02", "--rate", "none", ... }
  end

  local function rotations()
    return #sim:log { operation = "rotate_credentials" }
  end

  it("asks, and does nothing where there is nobody to ask", function()
    local result = rotate "--all"
    assert.equal(64, result.code)
    assert.matches("typing ROTATE, and there is no terminal", result.err, 1, true)
    assert.equal(0, rotations())
  end)

  it("rotates, and writes down what it did", function()
    local result = rotate("cluster-001", "cluster-002", "--yes")
    assert.equal(0, result.code, result.err)
    assert.matches("2 ok, 0 failed", result.out, 1, true)
    assert.equal("600\n", tempdir.shell("stat -c %a " .. journal()))
    assert.equal(2, rotations())
    result = rotate "--resume"
    assert.equal(3, result.code)
    assert.matches("NOTHING WAS DONE", result.out, 1, true)
    -- What is typed anew is meant anew; but it is said what that costs.
    result = rotate("cluster-001", "--yes")
    assert.equal(0, result.code)
    assert.matches("rotated less than 24 h ago", result.out, 1, true)
    assert.equal(3, rotations())
  end)

  it("says before a rotation of all whose access it ends, as far as is known here", function()
    local config = world.dir .. "/.kube/config"
    tempdir.shell("mkdir -p " .. world.dir .. "/.kube")
    assert.equal(0, world:cce({ "obtain", "cluster-001", "--days", "1", "--merge-into",
      config }).code)
    assert.equal(0, world:cce({ "obtain", "cluster-002", "--exec", "--merge-into", config }).code)
    local result = rotate("--all", "--component", "all", "--dry-run")
    assert.equal(0, result.code, result.err)
    local ends = "note: this ends what is in use: "
    assert.matches(ends .. "cluster-001 in " .. config .. ": obtain it again", result.out, 1, true)
    assert.matches(ends .. "cluster-002 in " .. config .. ": kubectl obtains another certificate by"
      .. " itself", result.out, 1, true)
    local notes = json.decode(rotate("--all", "--component", "all", "--dry-run", "-o",
      "json").out).notes
    assert.matches("this ends what is in use: cluster-001 in " .. config, table.concat(notes, "\n"),
      1, true)
    result = rotate("cluster-003", "--component", "all", "--dry-run")
    assert.is_nil(result.out:find(ends, 1, true))
    local text = tempdir.read(config)
    tempdir.write(config, "{")
    result = rotate("cluster-003", "--component", "all", "--dry-run")
    assert.matches(ends .. "kubeconfigs are not all known: cannot use '" .. config, result.out, 1,
      true)
    tempdir.write(config, text)
    result = rotate("--all", "--component", "service-account-controller", "--dry-run")
    assert.is_nil(result.out:find(ends, 1, true))
    if not pcall(require, "luasql.sqlite3") then return end
    local grant = world:cce { "grant", "cluster-003", "--for", "1h", "--allow-self", "--out",
      world.dir .. "/visitor.json" }
    assert.equal(0, grant.code, grant.err)
    result = rotate("cluster-003", "--component", "all", "--dry-run")
    assert.matches("grant %w+ of user %S+ in cluster cluster%-003 %(%S+%), until 20.-Z: its"
      .. " kubeconfig", result.out)
  end)

  it("begins nothing outside of its windows, and says when it goes on", function()
    local result = rotate("--all", "--yes", "--windows", "sat 01:00-05:00", "--not",
      "2000-01-01/2900-01-01", "--zone", "+08:00")
    assert.equal(2, result.code, result.err)
    assert.matches("STOPPED: nothing is begun outside of its windows, sat 01:00-05:00, not"
      .. " 2000-01-01/2900-01-01 (+08:00): the same call goes on at 2900-01-01T17:00:00Z",
      result.out, 1, true)
    -- The journal has them, for whoever goes on.
    assert.equal(2, rotate("--resume", "--yes").code)
    assert.equal(0, rotations())
    result = rotate("--resume", "--dry-run")
    assert.matches("note: nothing is begun outside of sat 01:00-05:00", result.out, 1, true)
    result = rotate("--resume", "--yes", "--windows", "any", "--rate", "none")
    assert.equal(0, result.code, result.err)
    assert.equal(#sim.clusters, rotations())
    result = rotate("--all", "--yes", "--windows", "on saturdays")
    assert.equal(64, result.code)
    assert.matches("is no window such as", result.err, 1, true)
  end)

  it("does not repeat a run that has a name", function()
    assert.equal(0, rotate("cluster-001", "--yes", "--run", "tonight").code)
    assert.equal(3, rotate("cluster-001", "--yes", "--run", "tonight").code)
    assert.equal(1, rotations())
  end)

  it("shows the plan in a dry run, and writes nothing", function()
    local result = rotate("--all", "--dry-run", "--canary", "1")
    assert.equal(0, result.code)
    assert.matches("canary  cluster-001  " .. sim.clusters[1].id, result.out, 1, true)
    assert.matches("rotate  cluster-005  " .. sim.clusters[5].id, result.out, 1, true)
    assert.is_nil(tempdir.read(journal()))
    assert.equal(0, rotations())
  end)

  it("stops at a failure when told, says how to go on, and goes on so", function()
    sim:fault { operation = "rotate_credentials", cluster = sim.clusters[1].id, status = 403,
      times = 1 }
    local result = rotate("--all", "--yes", "--canary", "1", "--component",
      "service-account-controller", "--expiration-hours", "48")
    assert.equal(2, result.code)
    assert.matches("STOPPED: the canary cluster-001 is not done", result.out, 1, true)
    assert.matches("to go on: cce rotate --resume --rate none --canary 1 --every 0.02", result.err,
      1, true)
    result = rotate("--all", "--yes")
    assert.equal(1, result.code)
    assert.matches("is open\n  hint: cce rotate --resume goes on with it", result.err, 1, true)
    assert.matches("cce runs discard --journal " .. journal() .. " ends it", result.err, 1, true)
    result = rotate("--all", "--yes", "--journal", journal())
    assert.matches("hint: cce rotate --resume --journal " .. journal() .. " goes on", result.err, 1,
      true)
    -- What was typed wrongly is told first.
    for expected, words in pairs { ["give --accept-token-loss"] = { "--all", "--yes",
      "--expiration-hours", "0" }, ["no cluster is named"] = { "--yes" } } do
      result = rotate((table.unpack or unpack)(words))
      assert.equal(64, result.code)
      assert.matches(expected, result.err:lower(), 1, true)
    end
    assert.equal(1, rotations())
    -- The component and the hours are those of the journal.
    result = rotate("--resume", "--yes", "--canary", "0")
    assert.matches("5 ok, 0 failed", result.out .. result.err, 1, true)
    assert.equal(6, rotations())
  end)

  it("resends a failed job only when told", function()
    sim:set { cluster = sim.clusters[1].id, job_outcome = "Failed" }
    assert.equal(1, rotate("cluster-001", "--yes", "--run", "one").code)
    assert.equal(1, rotate("cluster-001", "--yes", "--run", "one").code)
    assert.equal(1, rotations())
    sim:set { cluster = sim.clusters[1].id, job_outcome = "Success" }
    assert.equal(0, rotate("--resume", "--yes", "--retry-failed").code)
    assert.equal(2, rotations())
  end)

  it("leaves out what was rotated meanwhile, when told", function()
    assert.equal(0, rotate("cluster-001", "--yes").code)
    local result = rotate("--all", "--yes", "--unless-rotated-within", "24h")
    assert.equal(0, result.code)
    assert.matches("4 ok, 0 failed, 1 skipped", result.out, 1, true)
    assert.equal(5, rotations())
  end)

  it("refuses more clusters than --max-clusters", function()
    local result = rotate("--all", "--yes", "--max-clusters", "4")
    assert.equal(64, result.code)
    assert.matches("5 clusters are chosen, more than 4", result.err, 1, true)
    assert.equal(0, rotations())
    assert.equal(0, rotate("--all", "--yes", "--max-clusters", "5").code)
  end)

  it("rotates no more than 100 by --all --yes unless told how many #long", function()
    local large = simulator.start { clusters = 101 }
    local other = command.new(large)
    finally(function()
      other:remove()
      large:stop()
    end)
    local words = { "rotate", "--all", "--yes", "--rate", "none", "--no-wait" }
    local result = other:cce(words)
    assert.equal(64, result.code)
    assert.matches("101 clusters are chosen, more than 100: give --max-clusters 101", result.err,
      1, true)
    assert.equal(0, #large:log { operation = "rotate_credentials" })
    words[#words + 1], words[#words + 2] = "--max-clusters", "101"
    assert.equal(0, other:cce(words).code)
    -- A revocation is not held up.
    result = other:cce { "revoke", "--all", "--user", "member", "--yes", "--rate", "none" }
    assert.equal(0, result.code, result.err)
  end)

  it("says what to type, in JSON and in a page, too", function()
    sim:set { cluster = sim.clusters[1].id, job_outcome = "Failed", job_seconds = 0.01 }
    local page = world.dir .. "/r.html"
    local result = rotate("--all", "--yes", "--canary", "1", "-o", "json", "--report", page)
    assert.equal(1, result.code, result.err)
    local data = world.dir .. "/r.json"
    for _, text in ipairs { result.out, tempdir.read(page), tempdir.read(data) } do
      assert.matches("--retry-failed resends it", text, 1, true)
      assert.is_nil(text:find("retry_failed=", 1, true))
    end
  end)

  it("fails when what was typed fits no cluster", function()
    local result = rotate("--name", "nothing-*", "--yes")
    assert.equal(1, result.code)
    assert.matches("no cluster fits --name 'nothing-*'", result.err, 1, true)
  end)

  it("does not wait when told, and hands out the files of the new certificates", function()
    local result = rotate("cluster-001", "--yes", "--no-wait", "-o", "json")
    assert.equal(0, result.code)
    assert.is_string(json.decode(result.out).ok[1].job_id)
    local dir = world.dir .. "/new"
    result = rotate("cluster-002", "--yes", "--reissue", dir, "--days", "3")
    assert.equal(0, result.code, result.out .. result.err)
    assert.is_string(tempdir.read(dir .. "/" .. sim.clusters[2].id .. ".json"))
  end)

  it("asks for what destroys more than it seems in words of its own", function()
    local result = rotate("cluster-001", "--yes", "--expiration-hours", "0")
    assert.equal(64, result.code)
    assert.matches("hint: Give --accept-token-loss", result.err, 1, true)
    assert.equal(0, rotations())
    assert.equal(0, rotate("cluster-001", "--yes", "--expiration-hours", "0",
      "--accept-token-loss").code)
  end)

  it("says after Ctrl-C that nothing was sent, if so", function()
    sim:fault { operation = "list_clusters", hold = "before" }
    local result = world:interrupt_cce { "rotate", "--all", "--yes" }
    assert.equal(130, result.code)
    assert.equal("\ncce: interrupted\ncce: nothing was sent\n", result.err)
    assert.equal(0, rotations())
  end)

  it("says after Ctrl-C what is under way, and how to go on", function()
    sim:set { cluster = sim.clusters[1].id, job_seconds = 60 }
    sim:fault { operation = "rotate_credentials", cluster = sim.clusters[2].id, hold = "before" }
    local finish, process = world:start_cce { "rotate", "--all", "--yes", "--concurrency", "2",
      "--rate", "none", "--every", "0.05", "--cloud", "huawei", "--timeout", "50", "--retry-failed",
      "--audit-log", world.dir .. "/an audit log", "--report", "r.html" }
    sim:held(1)
    -- Of a job that is looked at, it is written down that it began.
    local deadline = sys.monotonic() + 120
    local function is_looked_at() return #sim:log { operation = "show_job" } > 0 end
    repeat sys.sleep(0.02) until is_looked_at() or sys.monotonic() > deadline
    process:signal "SIGINT"
    local result = finish()
    sim:release { drop = true }
    assert.equal(130, result.code)
    assert.matches(("0 rotated, 0 failed, 2 under way (their jobs go on by themselves), %d not"
      .. " begun\n"):format(#sim.clusters - 2), result.err, 1, true)
    assert.matches(("\ncce: to go on: cce rotate --resume --cloud huawei --audit-log"
      .. " '%s/an audit log' --timeout 50 --rate none --concurrency 2 --every 0.05 --report r.html"
      .. " --retry-failed\n"):format(world.dir), result.err, 1, true)
  end)

  it("ends at once by Ctrl-C, says what was done, and is finished by --resume #long", function()
    sim:set { job_seconds = 2 }
    local finish, process = world:start_cce { "rotate", "--all", "--yes", "--concurrency", "1",
      "--rate", "none", "--every", "0.05" }
    local deadline = os.time() + 20
    repeat sys.sleep(0.02) until rotations() == 2 or os.time() > deadline
    process:signal "SIGINT"
    local result = finish()
    assert.equal(130, result.code)
    assert.matches("cce: interrupted\n", result.err, 1, true)
    assert.matches("1 rotated, 0 failed, 1 under way (their jobs go on by themselves),"
      .. " 3 not begun", result.err, 1, true)
    assert.is_nil(result.err:find("traceback", 1, true))
    local words = { "--yes" }
    for word in result.err:match("to go on: cce ([^\n]+)"):gmatch "%S+" do
      table.insert(words, #words, word)
    end
    sim:set { job_seconds = 0.1 }
    result = world:cce(words)
    assert.equal(0, result.code, result.err)
    assert.matches("5 ok, 0 failed", result.out, 1, true)
    assert.equal(5, rotations())
  end)
end)
