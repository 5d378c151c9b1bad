local clients = require "spec.support.clients"
local command = require "spec.support.command"
local json = require "cce.base.json"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

if not (simulator.has_program "nginx" and pcall(require, "argparse")) then
  describe("cce who", function() pending "needs nginx and argparse" end)
  return
end

local ID = simulator.admin.principal.id

describe("cce who", function()
  local sim, world, client, cluster, path

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
    client = clients.new(sim)
    cluster = sim.clusters[1]
    path = world.dir .. "/prod.json"
    assert(assert(client:obtain_cert(cluster.id, { duration = 1 })):save(path,
      { mark = true, name = "prod" }))
  end)

  after_each(function()
    client:close()
    world:remove()
  end)

  local function rows_of(words, opts)
    words[#words + 1], words[#words + 2] = "-o", "json"
    local result = world:cce(words, opts)
    return json.decode(result.out), result.code, result
  end

  it("shows each context to people", function()
    local result = world:cce { "who", path }
    assert.equal(0, result.code)
    assert.equal("", result.err)
    assert.matches("^CONTEXT +USER +CLUSTER +UNTIL +KEY +STATE\n", result.out)
    assert.matches("\nprod +" .. ID .. " +" .. cluster.id:gsub("%-", "%%-")
      .. " +20[%dT:-]+Z +matches +valid until", result.out)
  end)

  it("needs no cloud to read, and none to ask a cluster", function()
    local nothing = {}
    for name in pairs(sim.env) do nothing[name] = false end
    assert.equal(0, world:cce({ "who", path }, { env = nothing }).code)
    local rows, code = rows_of({ "who", path, "--check" }, { env = nothing })
    assert.equal(0, code)
    assert.equal("works", rows[1].check)
  end)

  it("gives machines all of it but the key", function()
    local rows, code, result = rows_of { "who", path, "--resolve" }
    assert.equal(0, code)
    assert.equal(1, #rows)
    assert.equal(ID, rows[1].user_id)
    assert.equal("admin", rows[1].user_name)
    assert.equal(cluster.id, rows[1].cluster_id)
    assert.is_true(rows[1].key_matches)
    assert.is_nil(rows[1].ask)
    assert.is_nil(result.out:find("client-", 1, true))
    assert.equal("prod\n", world:cce({ "who", path, "-o", "name" }).out)
  end)

  it("reads standard input, and what KUBECONFIG or the home has", function()
    assert.equal(0, world:cce({ "who", "-" }, { input = tempdir.read(path) }).code)
    assert.equal("prod", rows_of({ "who" }, { env = { KUBECONFIG = path } })[1].context)
    assert.equal(1, world:cce({ "who" }).code)
    tempdir.shell("mkdir " .. world.dir .. "/.kube; cp " .. path .. " " .. world.dir
      .. "/.kube/config")
    assert.equal("prod", rows_of({ "who" })[1].context)
  end)

  it("does without names when they cannot be had", function()
    local result = world:cce({ "who", path, "--resolve" }, { env = { HUAWEICLOUD_SDK_SK = false } })
    assert.equal(0, result.code)
    assert.matches("names were not looked up", result.err)
    sim:fault { service = "iam", status = 403 }
    assert.equal(0, world:cce({ "who", path, "--resolve" }).code)
  end)

  it("tells by its exit code what a check found", function()
    assert.equal(0, world:cce({ "who", path, "--check" }).code)
    assert.equal(200, sim:revoke(cluster, { userId = ID }).status)
    local rows, code = rows_of { "who", path, "--check" }
    assert.equal(1, code)
    assert.equal("refused", rows[1].check)
    tempdir.write(path, (tempdir.read(path):gsub(":" .. sim.port, ":1")))
    rows, code = rows_of { "who", path, "--check" }
    assert.equal(2, code)
    assert.equal("unreachable", rows[1].check)
    tempdir.write(path, "{")
    assert.equal(1, world:cce({ "who", path, "--check" }).code)
  end)

  it("does not judge what has no certificate", function()
    tempdir.write(path, [[{"kind":"Config","users":[{"name":"u","user":{"token":"example"}}],
      "contexts":[{"name":"c","context":{"user":"u"}}]}]])
    assert.equal(0, world:cce({ "who", path, "--check" }).code)
  end)
end)
