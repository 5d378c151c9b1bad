local cce = require "cce"
local cjson = require "cjson"
local clients = require "spec.support.clients"
local probe = require "cce.kubeconfig.probe"
local rotation = require "cce.workflow.rotate.cluster"
local rotations = require "spec.support.shared.rotations"
local server = require "spec.support.peer.server"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

describe("the new kubeconfigs of a rotation", function()
  local sim, client, dir, journal, first

  setup(function() sim = simulator.get() end)

  before_each(function()
    sim:reset()
    sim:set { job_seconds = 0 }
    client = clients.new(sim)
    dir = tempdir.new()
    journal = dir .. "/journal"
    first = sim.clusters[1]
  end)

  after_each(function()
    client:close()
    tempdir.remove(dir)
    server.stop_all()
  end)

  local function rotate(reissue, clusters)
    reissue = reissue or {}
    reissue.dir, reissue.duration = reissue.dir or dir, 1
    return assert(rotations.rotate(client, { reissue = reissue, journal = journal,
      clusters = clusters or { first.id } }))
  end

  -- What obtaining answers is changed by a function of the kubeconfig's data.
  local function obtaining(change)
    local obtain = client.obtain_cert
    client.obtain_cert = function(self, id, opts)
      local kubeconfig = assert(obtain(self, id, opts))
      local data = cjson.decode(kubeconfig.raw)
      change(data)
      return assert(cce.kubeconfig.parse(cjson.encode(data)))
    end
  end

  it("work in every cluster", function()
    local report = rotate(nil, { name = "*" })
    assert.equal(0, report:exit_code())
    for _, item in ipairs(report.ok) do assert.equal("works", item.reissue_check) end
    local asked = sim:log { service = "kubernetes", status = 200 }
    assert.equal(5, #asked)
    assert.matches('"checked":"works"', tempdir.read(journal), 1, true)
  end)

  it("are noted when the cluster refuses them, and saved", function()
    obtaining(function() sim:revoke(first, { userId = simulator.admin.principal.id }) end)
    local report = rotate()
    assert.equal("refused", report.ok[1].reissue_check)
    assert.equal(1, report:exit_code())
    assert.matches("the cluster refuses its new kubeconfig, " .. dir .. "/" .. first.id
      .. ".json (HTTP 401)", tostring(report), 1, true)
    assert.truthy(cce.kubeconfig.load(report.ok[1].reissued))
  end)

  it("are of clusters alone that were rotated", function()
    sim:fault { cluster = first.id, operation = "rotate_credentials", status = 400 }
    sim:fault { cluster = sim.clusters[2].id, operation = "rotate_credentials", reset = "before" }
    local report = rotate(nil, { first.id, sim.clusters[2].id, sim.clusters[3].id })
    assert.same({ 1, 1, 1 }, { #report.ok, #report.failed, #report.uncertain })
    assert.equal(1, #sim:log { operation = "obtain_cert" })
    assert.is_nil(tempdir.read(("%s/%s.json"):format(dir, first.id)))
  end)

  it("are asked for a while, since a server may be late", function()
    local look, looks, slept = probe.look, 0, 0
    finally(function() probe.look = look end)
    probe.look = function(...)
      looks = looks + 1
      if looks == 1 then return { state = "unclear", text = "connection refused" } end
      if looks == 2 then return { state = "refused", text = "HTTP 401" } end
      return look(...)
    end
    client.sleep = function(seconds) slept = slept + seconds end
    local report = rotate()
    assert.equal("works", report.ok[1].reissue_check)
    assert.equal(3, looks)
    assert.is_true(slept > 0 and slept < 2)
  end)

  local function unreachable(data)
    local socket = require "socket".bind("127.0.0.1", 0)
    local _, port = socket:getsockname()
    socket:close()
    for _, cluster in ipairs(data.clusters) do
      cluster.cluster.server = "https://127.0.0.1:" .. port
    end
  end

  it("are unchecked, never ok, where the cluster cannot be reached", function()
    obtaining(unreachable)
    local report = rotate()
    assert.equal(1, #report.pending)
    assert.equal("unchecked", report.pending[1].reissue_check)
    assert.equal("UNVERIFIED", report.pending[1].code)
    assert.equal(2, report:exit_code())
    assert.matches("its new kubeconfig, .*, is unchecked: .*check=false", tostring(report))
  end)

  it("are not asked of with check=false", function()
    obtaining(unreachable)
    local report = rotate { check = false }
    assert.is_nil(report.ok[1].reissue_check)
    assert.equal(0, report:exit_code())
    assert.equal(0, #sim:log { service = "kubernetes" })
  end)

  it("are owed while they are not obtained, whether they are asked of or not", function()
    sim:fault { operation = "obtain_cert", status = 403 }
    for _ = 1, 2 do
      local report = rotate { check = false }
      assert.equal(2, report:exit_code())
      assert.equal("PERMISSION_DENIED", report.pending[1].code)
      assert.matches("its kubeconfig was not obtained again", report.pending[1].message, 1, true)
    end
    sim:clear_faults()
    assert.equal(0, rotate({ check = false }):exit_code())
  end)

  it("are owed after a rotation that is ok, unless one was written or given up", function()
    local asked, owes = { opts = { reissue = {} } }, rotation.owes_kubeconfig
    assert.is_true(owes(asked, { state = "ok" }))
    assert.is_true(owes(asked, { state = "ok", owed = true, reissued = "/f" }))
    assert.is_false(owes(asked, { state = "ok", reissued = "/f" }))
    assert.is_false(owes(asked, { state = "ok", owed = false }))
    assert.is_false(owes(asked, { state = "uncertain" }))
    assert.is_false(owes({ opts = {} }, { state = "ok" }))
  end)

  it("are owed where what came is no certificate, or where its key is another's", function()
    local other = cjson.decode(assert(client:obtain_cert(first.id, { duration = 1 })).raw)
    for name, value in pairs { ["client-certificate-data"] = "eA==",
      ["client-key-data"] = other.users[1].user["client-key-data"] } do
      journal = dir .. "/" .. name
      local obtain = client.obtain_cert
      obtaining(function(data) data.users[1].user[name] = value end)
      local report = rotate { check = false }
      client.obtain_cert = obtain
      assert.equal(2, report:exit_code(), name)
      assert.equal(name == "client-key-data" and "KEY_MISMATCH" or "INVALID_CERTIFICATE",
        report.pending[1].code)
      assert.matches("its kubeconfig was not obtained again", report.pending[1].message, 1, true)
      assert.is_nil(tempdir.read(("%s/%s.json"):format(dir, first.id)))
    end
  end)

  it("are asked again by the same call when they were unchecked, and not obtained anew", function()
    local look = probe.look
    finally(function() probe.look = look end)
    probe.look = function() return { state = "unclear", text = "no answer" } end
    assert.equal(2, rotate():exit_code())
    assert.equal(2, rotate():exit_code())
    probe.look = look
    local report = rotate()
    assert.equal("works", report.ok[1].reissue_check)
    assert.equal(0, report:exit_code())
    assert.equal(1, #sim:log { operation = "obtain_cert" })
    assert.equal(1, #sim:log { operation = "rotate_credentials" })
  end)

  it("stay noted, when refused, in the report of a run that closed before", function()
    local look = probe.look
    finally(function() probe.look = look end)
    probe.look = function() return { state = "refused", text = "HTTP 401" } end
    rotate()
    local report = rotate()
    assert.is_number(report.already_finished)
    assert.equal("refused", report.ok[1].reissue_check)
    assert.matches("the cluster refuses its new kubeconfig", tostring(report), 1, true)
    assert.equal(1, report:exit_code())
    assert.equal(1, #sim:log { operation = "obtain_cert" })
  end)

  it("have a lifetime before anything is rotated", function()
    for _, opts in ipairs { { duration = 0 }, { expire_at = os.time() - 60 }, { expire_at = 0 / 0 },
      { duration = 1, expire_at = os.time() + 60 } } do
      opts.dir = dir
      local err = clients.fails("INVALID_ARGUMENT", rotations.rotate(client, { reissue = opts,
        clusters = { first.id } }))
      assert.matches("^reissue: %a+", err.message)
    end
    assert.equal(0, #sim:log { operation = "rotate_credentials" })
  end)

  it("have a place before anything is rotated", function()
    -- A directory that another one is to be made in will do for a plan alone.
    assert(os.execute(("mkdir -p %s/taken/%s.json"):format(dir, first.id)))
    for _, case in ipairs { { "/proc/none", false }, { "/proc/none", true },
      { dir .. "/nowhere", false }, { dir .. "/taken", false }, { dir .. "/taken", true } } do
      local report, _, err = rotations.rotate(client, { dry_run = case[2], clusters = { first.id },
        journal = journal, reissue = { dir = case[1], duration = 1 } })
      assert.is_nil(report, case[1])
      assert.equal("FILE_ERROR", err.code)
    end
    assert.same({}, sim:log { operation = "rotate_credentials" })
  end)

  it("are kept elsewhere when they cannot be saved after all", function()
    local gone = dir .. "/gone"
    assert(os.execute("mkdir " .. gone))
    obtaining(function() os.execute("rmdir " .. gone) end)
    local report = rotate { dir = gone }
    local path = tostring(report):match "obtained is kept in '([^']+)'"
    assert.is_true(cce.kubeconfig.load(path):certificate().key_matches)
    assert(os.remove(path))
    assert.equal(2, report:exit_code())
    assert.is_nil(report.pending[1].reissued)
  end)
end)
