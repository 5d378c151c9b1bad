local cce = require "cce"
local clients = require "spec.support.clients"
local command = require "spec.support.command"
local core = require "cce.core"
local destinations = require "cce.kubeconfig.destination"
local probe = require "cce.kubeconfig.probe"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

if not (simulator.has_program "nginx" and pcall(require, "argparse")
  and pcall(require, "luasql.sqlite3")) then
  describe("a kubeconfig's destination", function()
    pending "needs nginx, argparse and luasql.sqlite3"
  end)
  return
end

local CLASH = [[{"apiVersion":"v1","kind":"Config","current-context":"",
  "clusters":[{"name":"cluster-001","cluster":{"server":"https://other.example"}}],
  "contexts":[{"name":"cluster-001","context":{"cluster":"cluster-001","user":"cluster-001"}}],
  "users":[{"name":"cluster-001","user":{"token":"not-a-secret"}}]}]]

describe("a kubeconfig's destination", function()
  local sim, client, world, first, held, path, locks

  before_each(function()
    sim = simulator.get()
    sim:reset()
    client = clients.new(sim)
    first = sim.clusters[1]
    world = command.new(sim)
    held = assert(client:obtain_cert(first.id, { duration = 30 }))
    path = world.dir .. "/place/cluster-001.json"
    assert(core.sys.mkdir(world.dir .. "/place"))
    locks = {}
  end)

  after_each(function()
    for _, lock in ipairs(locks) do lock:close() end
    client:close()
    world:remove()
  end)

  local function lock(file)
    locks[#locks + 1] = assert(core.file.lock(file, { kubectl = true }))
  end

  -- In a directory, a file that is not ours is left alone: there another name is chosen.
  -- And reissuing replaces files that bear the cluster's id.
  local faults = {
    ["in a directory that cannot be written"] = function()
      return { file = "/proc/x.json", dir = "/proc/none" }
    end,
    ["on a full disk"] = function()
      return { file = path, before = { "/bin/sh", "-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"",
        "sh" } }
    end,
    ["a file that does not parse"] = function()
      tempdir.write(path, '{"kind":"Config","clusters":[')
      return { file = path, except = "rotate", except_dir = true }
    end,
    ["where its name is taken"] = function()
      tempdir.write(path, CLASH)
      return { file = path, except = "rotate", except_dir = true }
    end,
    ["that somebody else has locked"] = function()
      lock(path)
      lock(world.dir .. "/place/" .. first.id .. ".json")
      return { file = path }
    end,
    ["a file that is mounted by itself"] = function()
      if select(2, tempdir.run("unshare -m true")) ~= 0 then return nil end
      local files = { path, ("%s/place/%s.json"):format(world.dir, first.id) }
      for i, file in ipairs(files) do
        tempdir.write(file, '{"kind":"Config","apiVersion":"v1"}')
        files[i] = ("mount --bind %s %s && "):format(file, file)
      end
      return { file = path, except_dir = true, before = { "/usr/bin/env", "unshare", "-m",
        "/bin/sh", "-c", table.concat(files) .. 'exec "$@"', "sh" } }
    end,
    ["a link that leads nowhere"] = function()
      for _, name in ipairs { "cluster-001.json", first.id .. ".json" } do
        tempdir.check(("ln -s %s/none/at/all %s/place/%s"):format(world.dir, world.dir, name))
      end
      return { file = path }
    end,
  }

  local function ways(place)
    local dir = place.dir or world.dir .. "/place"
    local list = {
      { "obtain", "cluster-001", "--days", "30", "--merge-into", place.file },
      { "obtain", "cluster-001", "--exec", "--merge-into", place.file },
      { "obtain", "cluster-001", "--days", "30", "--out", place.file },
      { "obtain", "cluster-001", "--exec", "--out", place.file },
      { "grant", "cluster-001", "--for", "1h", "--merge-into", place.file },
      { "grant", "cluster-001", "--for", "1h", "--out", place.file },
      { "ensure", "cluster-001", "--days", "30", "--out", place.file },
      { "ensure", "cluster-001", "--days", "30", "--merge-into", place.file },
    }
    if not place.except_dir then
      list[#list + 1] = { "ensure", "cluster-001", "--days", "30", "--dir", dir }
    end
    if place.except ~= "rotate" then
      list[#list + 1] = { "rotate", "cluster-001", "--yes", "--days", "30", "--reissue", dir }
    end
    return list
  end

  local function start(words, place)
    local argv = {}
    for _, word in ipairs(place.before or {}) do argv[#argv + 1] = word end
    argv[#argv + 1] = world.dir .. "/bin/cce"
    for _, word in ipairs(words) do argv[#argv + 1] = word end
    return world:start(argv)
  end

  -- All at once: a lock is waited for.
  local function run(list, place)
    local results = {}
    for i, words in ipairs(list) do results[i] = (start(words, place)) end
    for i, finish in ipairs(results) do results[i] = finish() end
    return results
  end

  local function changes()
    local count = 0
    for _, operation in ipairs { "obtain_cert", "revoke_cert", "rotate_credentials" } do
      count = count + #sim:log { operation = operation }
    end
    return count
  end

  for fault, make in pairs(faults) do
    it(fault .. " costs no certificate and no access, whichever command writes", function()
      local place = make()
      if not place then return pending "needs to mount" end
      local list, before = ways(place), changes()
      for i = 1, #list do
        local dry = {}
        for j, word in ipairs(list[i]) do dry[j] = word end
        dry[#dry + 1] = "--dry-run"
        list[#list + 1] = dry
      end
      for i, result in ipairs(run(list, place)) do
        local what = table.concat(list[i], " ") .. "\n" .. result.out .. result.err
        assert.is_true(result.code ~= 0 and result.code ~= nil, what)
        assert.is_nil((result.out .. result.err):find("traceback", 1, true), what)
      end
      assert.equal(before, changes())
      assert.equal("works", probe.look(client, held).state)
    end)
  end

  it("is as it was after the proof, and lets its lock go", function()
    tempdir.write(path, CLASH)
    local target = { id = first.id }
    assert(destinations.prove({ path = path, merge = true, name = "other" }, target))
    clients.fails("CONFLICT", destinations.prove({ path = path, merge = true,
      name = "cluster-001" }, target, client))
    assert.equal(CLASH, tempdir.read(path))
    assert.same({ "cluster-001.json" }, tempdir.list(world.dir .. "/place"))
  end)

  it("may hold what nobody marked, when it is the cluster's own", function()
    local own = held:rename { name = "cluster-001" }
    assert(own:save(path))
    assert(destinations.prove({ path = path, merge = true, name = "cluster-001" },
      { id = first.id }, client))
  end)

  it("knows before which contexts there will be", function()
    for _, name in ipairs { "external", "externalTLSVerify" } do
      local destination = { path = path, context = name }
      assert(destinations.prove(destination, { id = sim.clusters[2].id }, client))
      clients.fails("INVALID_ARGUMENT", destinations.prove(destination, { id = first.id }, client))
    end
  end)

  it("that fails after all leaves what was obtained in a private file", function()
    local state = world.dir .. "/state"
    local script = ([[
      local cce = require "cce"
      local client = assert(cce.new())
      local obtain = client.obtain_cert
      client.obtain_cert = function(...)
        os.execute "rm -r %s/place"
        return obtain(...)
      end
      local config, message, err = cce.ensure_cert(client, %q, { path = %q, duration = 30 })
      assert(not config and message:find(err.recovered, 1, true))
      io.write(err.recovered)
    ]]):format(world.dir, first.id, path)
    local result = world:start({ simulator.interpreter(), "-e", script },
      { env = { XDG_STATE_HOME = state } })()
    assert.equal(0, result.code, result.err)
    assert.matches(state .. "/cce/recovered/", result.out, 1, true)
    assert.equal("0600", core.file.stat(result.out).mode)
    assert.is_true(cce.kubeconfig.load(result.out):certificate().key_matches)
    assert.same({}, sim:log { operation = "revoke_cert" })
  end)

  it("needs no place to recover to, but says that there is none", function()
    local result = world:start({ world.dir .. "/bin/cce", "obtain", "cluster-001", "--days", "1",
      "--out", path }, { env = { XDG_STATE_HOME = "/proc/none" } })()
    assert.equal(0, result.code, result.err)
    assert.matches("it would be lost", result.err, 1, true)
  end)
end)
