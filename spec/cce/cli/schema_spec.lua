-- What each command prints with `-o json`, against the schemas in manual/schema. The judge is the
-- library jsonschema of Python.
local command = require "spec.support.command"
local json = require "cce.base.json"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

local unpack = table.unpack or unpack

local has_all = simulator.has_program "nginx" and pcall(require, "argparse")
  and pcall(require, "luasql.sqlite3")
  and tempdir.shell("python3 -c 'import jsonschema' 2>&1 && echo yes"):find "yes"

if not has_all then
  describe("the JSON of the command", function()
    pending "needs nginx, argparse, luasql.sqlite3 and python3-jsonschema"
  end)
  return
end

local MEMBER = simulator.member.principal.id

-- Which schema each command has.
local SCHEMAS = {
  obtain = "obtain", ensure = "ensure", revoke = "report", leaver = "report", rotate = "report",
  status = "status",
  clusters = "clusters", ["jobs show"] = "jobs", ["jobs wait"] = "jobs", users = "users",
  agencies = "agencies", deleted = "deleted", downloads = "downloads", who = "who",
  holders = "holders", expiry = "expiry", logout = "logout", ["runs list"] = "runs-list",
  ["runs show"] = "runs-show", ["runs settle"] = "runs-show", ["runs discard"] = "runs-show",
  ["schedule add revoke"] = "schedule-list", ["schedule add rotate"] = "schedule-list",
  ["schedule list"] = "schedule-list", ["schedule show"] = "schedule-show",
  ["schedule cancel"] = "schedule-list", ["schedule retry"] = "schedule-list",
  ["schedule accept"] = "schedule-list", ["schedule hasten"] = "schedule-list",
  ["schedule run"] = "schedule-run", ["schedule export"] = "schedule-export",
  ["schedule import"] = "schedule-import", grant = "grant", doctor = "doctor",
  profiles = "profiles", ["log verify"] = "log", version = "version",
}

-- What prints something else: kubectl's form, Prometheus', a script, or text for a person.
local OTHERS = { credential = true, configure = true, metrics = true, repl = true, sim = true,
  completion = true, help = true, __complete = true }

describe("the JSON of the command", function()
  local sim, world, documents

  before_each(function()
    sim = simulator.get()
    sim:reset()
    sim:set { job_seconds = 0.02 }
    world = command.new(sim)
    documents = json.array {}
  end)

  after_each(function() world:remove() end)

  local function add(name, document)
    documents[#documents + 1] = { schema = name, document = document }
  end

  -- Runs a command, and keeps what it printed for the judge.
  local function run(schema, words, codes)
    local all = { unpack(words) }
    all[#all + 1], all[#all + 2] = "-o", "json"
    local result = world:cce(all)
    assert.truthy((codes or { [0] = true })[result.code], table.concat(words, " ") .. ": "
      .. tostring(result.code) .. " " .. result.err)
    local document = json.decode(result.out)
    assert.is_table(document, table.concat(words, " ") .. " printed " .. result.out .. result.err)
    -- An empty list must stay one.
    if result.out:find "^%[" then document = json.array(document) end
    assert.equal(result.out:find "^{" and 1 or nil, document.schema_version)
    add(schema, document)
    return document
  end

  -- No moment is a number.
  local function has_unix_time(value)
    if type(value) == "number" then return value > 1e9 end
    for _, inner in pairs(type(value) == "table" and value or {}) do
      if has_unix_time(inner) then return true end
    end
    return false
  end

  local function judge()
    for _, each in ipairs(documents) do
      assert.is_false(has_unix_time(each.document), each.schema)
    end
    tempdir.write(world.dir .. "/documents", json.encode(documents))
    local errors = tempdir.shell(("python3 spec/support/judge/schema_check.py"
      .. " manual/schema <%s/documents 2>&1"):format(world.dir))
    assert.equal("", errors)
  end

  it("has a schema for each command, and each schema a command", function()
    local leaves = {}
    local function walk(parser, path)
      for _, each in ipairs(parser._commands) do
        local name = path .. each._name
        if each._commands[1] then walk(each, name .. " ") else leaves[name] = true end
      end
    end
    walk(require("cce.cli").parser(), "")
    for name in pairs(leaves) do
      assert.truthy(SCHEMAS[name] or OTHERS[name], name .. " has no schema")
    end
    local known = { ["schedule-add-dry-run"] = true, ["status-report"] = true }
    for name, schema in pairs(SCHEMAS) do
      assert.is_true(leaves[name], name)
      known[schema] = true
    end
    for _, file in ipairs(tempdir.list "manual/schema") do
      assert.is_true(known[file:gsub("%.json$", "")], file)
    end
  end)

  it("of what only looks, and of empty lists", function()
    for _, words in ipairs { { "clusters" }, { "users" }, { "agencies" }, { "deleted" },
      { "downloads" }, { "holders" }, { "status" }, { "profiles" }, { "runs", "list" },
      { "schedule", "list" }, { "clusters", "--name", "nothing-*" } } do
      run(SCHEMAS[table.concat(words, " ")] or SCHEMAS[words[1]], words)
    end
    judge()
  end)

  it("of certificates", function()
    local config = world.dir .. "/config"
    run("obtain", { "obtain", "cluster-001", "--days", "1", "--merge-into", config, "--dry-run" })
    run("obtain", { "obtain", "cluster-001", "--days", "1", "--merge-into", config })
    run("obtain", { "obtain", "cluster-002", "--exec", "--merge-into", config })
    local one = world.dir .. "/one"
    run("ensure", { "ensure", "cluster-001", "--days", "30", "--out", one, "--dry-run" })
    run("ensure", { "ensure", "cluster-001", "--days", "30", "--out", one })
    run("ensure", { "ensure", "cluster-001", "--days", "30", "--out", one })
    run("report", { "ensure", "--all", "--days", "30", "--dir", world.dir, "--dry-run" })
    run("report", { "ensure", "--all", "--days", "30", "--dir", world.dir, "--report",
      world.dir .. "/ensure" })
    run("expiry", { "expiry", config, one, "--check" })
    run("who", { "who", config, one, "--check", "--resolve" }, { [0] = true, [2] = true })
    run("who", { "who", world.dir .. "/not-there" }, { [1] = true })
    tempdir.shell(("mkdir -p %s/.kube; cp %s %s/.kube"):format(world.dir, config, world.dir))
    run("status", { "status", "--report", world.dir .. "/fleet" })
    add("status-report", json.decode(tempdir.read(world.dir .. "/fleet.json")))
    add("report", json.decode(tempdir.read(world.dir .. "/ensure.json")))
    for _, words in ipairs { { "downloads" }, { "holders", "--all-states" }, { "doctor" },
      { "version" }, { "logout" } } do
      run(SCHEMAS[words[1]], words)
    end
    judge()
  end)

  it("of what changes something", function()
    local log = world.dir .. "/audit.log"
    local journal = world.dir .. "/run.journal"
    run("report", { "rotate", "--all", "--dry-run", "--windows", "sat 01:00-05:00", "--canary",
      "1" })
    -- A window that is closed for years: the run stays open.
    run("report", { "rotate", "--all", "--yes", "--not", "2000-01-01/2900-01-01", "--journal",
      journal, "--run", "r1" }, { [2] = true })
    run("runs-list", { "runs", "list", "--journal", journal })
    run("runs-show", { "runs", "show", "--journal", journal })
    run("runs-show", { "runs", "discard", "--journal", journal, "--yes" }, { [1] = true })
    sim:fault { operation = "rotate_credentials", cluster = sim.clusters[2].id, status = 502 }
    run("report", { "rotate", "cluster-001", "cluster-002", "--yes", "--journal", journal, "--run",
      "r2", "--rate", "none", "--every", "0.1s", "--audit-log", log }, { [2] = true })
    sim:clear_faults()
    run("runs-show", { "runs", "settle", "r2", "cluster-002", "--happened", "--journal", journal })
    local rotated = run("report", { "rotate", "cluster-003", "--yes", "--every", "0.1s", "--report",
      world.dir .. "/rotate" })
    add("report", json.decode(tempdir.read(world.dir .. "/rotate.json")))
    run("jobs", { "jobs", "show", rotated.ok[1].job_id })
    run("jobs", { "jobs", "wait", rotated.ok[1].job_id })
    run("report", { "revoke", "cluster-001", "--user", MEMBER, "--dry-run" })
    run("report", { "revoke", "cluster-001", "--user", MEMBER, "--yes", "--audit-log", log })
    run("report", { "revoke", "--all", "--deleted-since", "2d", "--yes" })
    sim:fault { service = "kubernetes", cluster = sim.clusters[2].id, status = 500 }
    -- It ends with 1, for one cluster is of CCE Autopilot.
    local leaver = { "leaver", "member", "--yes", "--rate", "none" }
    local left = run("report", leaver, { [1] = true })
    sim:clear_faults()
    assert.equal(1, #left.pending)
    local undo = run("report", leaver, { [1] = true }).undo
    run("report", { "revoke", "--undo", undo, "--dry-run" })
    sim:fault { service = "kubernetes", cluster = sim.clusters[2].id, status = 403 }
    run("report", { "revoke", "--undo", undo, "--yes" }, { [1] = true, [2] = true })
    sim:clear_faults()
    run("report", { "revoke", "--undo", undo, "--yes" })
    run("report", { "revoke", "cluster-001", "--user", MEMBER, "--remove", "--dry-run" })
    run("log", { "log", "verify", log })
    judge()
  end)

  it("of the schedule", function()
    local at = { "--at", "+2h" }
    local function schedule(schema, ...)
      return run(schema, { "schedule", ... })
    end
    schedule("schedule-add-dry-run", "add", "revoke", "--all", "--user", MEMBER, "--dry-run",
      unpack(at))
    schedule("schedule-add-dry-run", "add", "rotate", "--all", "--every", "4w", "--windows",
      "sat 01:00-05:00", "--dry-run")
    local first = schedule("schedule-list", "add", "revoke", "cluster-001", "--user", MEMBER,
      "--reason", "the contract ends", unpack(at))[1]
    local rotation = schedule("schedule-list", "add", "rotate", "--all", "--every", "4w",
      "--windows", "sat 01:00-05:00", "--not", "2026-12-20", "--zone", "local")[1]
    schedule("schedule-list", "add", "rotate", "cluster-001", unpack(at))
    run("grant", { "grant", "cluster-004", "--for", "1h", "--allow-self", "--dry-run", "--out",
      world.dir .. "/visitor" })
    run("grant", { "grant", "cluster-004", "--for", "1h", "--allow-self", "--out",
      world.dir .. "/visitor" })
    schedule("schedule-show", "show", first.id)
    schedule("schedule-show", "show", rotation.id)
    schedule("schedule-list", "hasten", first.id)
    schedule("schedule-list", "run", "--dry-run")
    sim:fault { operation = "revoke_cert", status = 403, times = 1 }
    run("schedule-run", { "schedule", "run", "--once" }, { [1] = true, [4] = true })
    schedule("schedule-list", "list", "--status", "failed-retrying")
    schedule("schedule-show", "show", first.id)
    schedule("schedule-list", "retry", first.id)
    schedule("schedule-run", "run", "--once")
    schedule("schedule-list", "cancel", rotation.id)
    schedule("schedule-list", "list")
    schedule("schedule-export", "export", world.dir .. "/entries")
    schedule("schedule-import", "import", world.dir .. "/entries", "--dry-run")
    schedule("schedule-import", "import", world.dir .. "/entries")
    judge()
  end)

  it("is refused by a schema where it does not fit", function()
    add("clusters", json.array { { name = "prod" } })
    add("version", { cce = "1", lua = "2", libraries = "3", schema_version = 2 })
    add("deleted", json.array { { time = "2026-11-29 10:00", kind = "user" } })
    tempdir.write(world.dir .. "/documents", json.encode(documents))
    local errors = tempdir.shell(("python3 spec/support/judge/schema_check.py manual/schema"
      .. " <%s/documents"):format(world.dir))
    for _, expected in ipairs { "1 (clusters)", "2 (version)", "3 (deleted)" } do
      assert.matches(expected, errors, 1, true)
    end
  end)
end)
