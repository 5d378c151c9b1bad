local canned = require "spec.support.peer.canned"
local clients = require "spec.support.clients"
local core = require "cce.core"
local printed = require "spec.support.printed"
local simulator = require "spec.support.sim"

local sim = simulator.get()
local account = simulator.account
local cluster, other = sim.clusters[1], sim.clusters[2]
local fails, raises = clients.fails, clients.raises

local DAY = 86400
local LEAVER = "e0000000000000000000000000000005"

local function new_client(options)
  options = options or {}
  options.endpoints = options.endpoints or {
    iam = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT, cts = sim.env.CCE_CTS_ENDPOINT,
  }
  return clients.new(sim, options)
end

local function leave(kind, id, options)
  sim:put_principal { kind = kind, id = id, name = "name-of-" .. id:sub(1, 4) }
  options = options or {}
  options.kind, options.id = kind, id
  sim:delete_principal(options)
end

local function ids(list)
  local result = {}
  for i, each in ipairs(list) do result[i] = each.id end
  return result
end

before_each(function() sim:reset() end)

describe("client:deleted_principals", function()
  it("finds users and agencies that either IAM deleted, oldest first", function()
    leave("user", LEAVER, { ago = 3600 })
    leave("user", "e6", { ago = 5 * 3600, v5 = true })
    leave("agency", "a7", { ago = 2 * 3600 })
    leave("agency", "a8", { ago = DAY, v5 = true })
    local now = os.time()
    local list = printed.add(assert(new_client():deleted_principals { from = now - 2 * DAY }))
    assert.same({ "a8", "e6", "a7", LEAVER }, ids(list))
    assert.equal("agency", list[1].kind)
    assert.equal("user", list[4].kind)
    assert.equal("name-of-e000", list[4].name)
    assert.equal("admin", list[4].by)
    assert.is_true(math.abs(list[4].time - (now - 3600)) < 10)
    assert.matches("^%x+%-%x+%-4", list[4].trace_id)
    assert.matches("TIME +KIND +NAME +ID +BY\n", tostring(list))
    assert.matches("user +name%-of%-e000 +" .. LEAVER .. " +admin\nsearched ", tostring(list))
  end)

  it("looks in the central region, not in the cluster's", function()
    leave("user", LEAVER)
    local client = new_client()
    local list = assert(client:deleted_principals())
    assert.same({ LEAVER }, ids(list))
    assert.same({ {
      endpoint = sim.env.CCE_CTS_ENDPOINT, region = "ap-southeast-1",
      project_id = account.central.project_id,
    } }, list.searched)
    for _, entry in ipairs(sim:log { service = "cts" }) do
      assert.matches("^/v3/" .. account.central.project_id .. "/traces", entry.target)
    end
    assert.same({ "/v3/projects?name=ap-southeast-1&page=1&per_page=5000",
      "/v3/projects?name=cn-north-4&page=1&per_page=5000" }, {
      sim:log { operation = "list_projects" }[1].target,
      sim:log { operation = "list_projects" }[2].target,
    })
    assert.matches("ap%-southeast%-1", tostring(list))
    -- The tracker of the cluster's region knows nothing of it.
    assert.same({}, ids(assert(client:deleted_principals { tracker_region = account.region })))
  end)

  it("takes the place that is named", function()
    leave("user", LEAVER)
    local client = new_client { endpoints = { cts = sim.env.CCE_CTS_ENDPOINT } }
    local list = assert(client:deleted_principals {
      tracker_project_id = account.central.project_id,
    })
    assert.same({ LEAVER }, ids(list))
    assert.equal(0, #sim:log { service = "iam" })
    local err = fails("NO_PROJECT", new_client():deleted_principals { tracker_region = "mars-1" })
    assert.matches("mars%-1", err.message)
    err = fails("NO_ENDPOINT", client:deleted_principals())
    assert.matches("where IAM's traces are", err.message)
    assert.matches("tracker_region=", err.hint)
  end)

  it("searches the client's own project in a cloud without these regions", function()
    local server = canned.start {
      canned.answer(200, '{"projects":[]}'), canned.answer(200, '{"projects":[]}'),
      canned.answer(200, '{"traces":[],"meta_data":{"marker":null}}'),
    }
    finally(function() server:stop() end)
    local client = new_client { endpoints = { iam = server.url, cts = server.url } }
    local list = assert(client:deleted_principals())
    assert.same({ { endpoint = server.url, project_id = sim.project_id } }, list.searched)
    assert.equal(sim.project_id, server:request(3).headers["x-project-id"])
    assert.matches("^GET /v3/" .. sim.project_id .. "/traces%?from=%d+&limit=200&service_type=IAM&"
      .. "to=%d+&trace_name=deleteUser&trace_type=system ", server:request(3).line)
    assert.equal(6, server:count())
  end)

  it("names deletions that do not say of whom apart from the others", function()
    local now = os.time()
    local function trace(id, name, more)
      return ('{"trace_id":"%s","trace_name":"%s","service_type":"IAM","time":%d%s}')
        :format(id, name, (now - 60) * 1000, more or "")
    end
    local server = canned.start { canned.answer(200, ('{"traces":[%s],"meta_data":{}}'):format(
      table.concat({ trace("t1", "deleteUser"), trace("t2", "deleteAgency", ',"resource_id":""'),
        trace("t3", "deleteUser", ',"trace_rating":"warning"'), trace("t4", "createUser"),
        trace("t5", "deleteUser", ',"resource_id":"' .. LEAVER .. '"') }, ","))),
      canned.answer(200, '{"traces":[],"meta_data":{}}') }
    finally(function() server:stop() end)
    local client = new_client { endpoints = { cts = server.url } }
    local list = assert(client:deleted_principals { tracker_project_id = sim.project_id })
    assert.same({ LEAVER }, ids(list))
    local unidentified = {}
    for i, each in ipairs(list.unidentified) do unidentified[i] = each.id end
    table.sort(unidentified)
    assert.same({ "t1", "t2" }, unidentified)
    local told = "deletions that name nobody by id: "
    assert.matches("\nsearched .*\n" .. told .. "2, see unidentified$", tostring(list))
    client:close()
    leave("user", LEAVER)
    list = assert(new_client():deleted_principals())
    assert.same({}, list.unidentified)
    assert.is_nil(tostring(list):find(told, 1, true))
  end)

  it("leaves out attempts that were refused", function()
    sim:put_principal { kind = "user", id = LEAVER, name = "leaver" }
    sim:delete_principal { kind = "user", id = LEAVER, status = 403 }
    assert.same({}, ids(assert(new_client():deleted_principals())))
    sim:delete_principal { kind = "user", id = LEAVER }
    assert.same({ LEAVER }, ids(assert(new_client():deleted_principals())))
  end)

  it("names each once", function()
    leave("user", LEAVER, { ago = 60 })
    leave("user", LEAVER, { ago = 30, v5 = true })
    local list = assert(new_client():deleted_principals())
    assert.equal(1, #list)
    assert.is_true(list[1].time < os.time() - 50)
  end)

  it("keeps to the window", function()
    local now = os.time()
    leave("user", "e1", { ago = 3000 })
    leave("user", "e2", { ago = 2000 })
    leave("user", "e3", { ago = 1000 })
    local list = assert(new_client():deleted_principals { from = now - 2500, to = now - 1500 })
    assert.same({ "e2" }, ids(list))
    assert.same({ from = now - 2500, to = now - 1500, complete = true }, list.window)
  end)

  it("finds what was recorded late, after the window's end", function()
    sim:cts_late(60)
    leave("user", "e1", { ago = 300 })
    leave("user", LEAVER)
    local now = os.time()
    local client = new_client()
    assert.same({ "e1" }, ids(assert(client:deleted_principals {
      from = now - 310, to = now - 280,
    })))
    assert.same({ "e1" }, ids(assert(client:deleted_principals())))
    assert.equal(2, #sim:traces())
    sim:clock(61)
    client.clock = function() return core.sys.time() + 61 end
    assert.same({ "e1", LEAVER }, ids(assert(client:deleted_principals())))
  end)

  it("takes all pages", function()
    for i = 1, 401 do leave("user", ("e%03d"):format(i), { ago = 1000 - i }) end
    local list = assert(new_client():deleted_principals())
    assert.equal(401, #list)
    assert.equal("e001", list[1].id)
    assert.equal("e401", list[401].id)
    assert.equal(3 + 3, #sim:log { operation = "list_traces" })
  end)

  it("refuses a window of more than seven days, unless a part will do", function()
    local client, now = new_client(), os.time()
    leave("user", "e8", { ago = 8 * DAY })
    leave("user", "e6", { ago = 6 * DAY })
    local err = fails("INVALID_ARGUMENT", client:deleted_principals { from = now - 30 * DAY })
    assert.matches("seven days", err.message)
    assert.matches("partial=true", err.hint)
    assert.equal(0, #sim:log())
    local list = assert(client:deleted_principals { from = now - 30 * DAY, partial = true })
    assert.same({ "e6" }, ids(list))
    assert.is_false(list.window.complete)
    assert.is_true(math.abs(list.window.from - (now - 7 * DAY)) < 10)
    assert.matches("the window asked for began earlier", tostring(list))
    assert(client:deleted_principals { from = now - 7 * DAY })
    fails("INVALID_ARGUMENT", client:deleted_principals {
      from = now - 30 * DAY, to = now - 20 * DAY, partial = true,
    })
    fails("INVALID_ARGUMENT", client:deleted_principals { from = now, to = now - 1 })
  end)

  it("says whose right is missing, and where", function()
    sim:deny(simulator.admin.principal.id, "cts:trace:list")
    local err = fails("PERMISSION_DENIED", new_client():deleted_principals())
    assert.matches("^the traces at https://127.0.0.3:%d+ of region ap%-southeast%-1: list_traces:",
      err.message)
    assert.matches("cts:trace:list", err.message)
    sim:deny(simulator.admin.principal.id, "iam:projects:listProjects")
    err = fails("PERMISSION_DENIED", new_client():deleted_principals())
    assert.matches("where IAM's traces are", err.message)
  end)

  it("checks its options", function()
    local client = new_client()
    raises("unknown option 'form' %(did you mean 'from'%?%)", function()
      client:deleted_principals { form = 1 }
    end)
    raises("bad option 'from' %(number expected, got string%)", function()
      client:deleted_principals { from = "yesterday" }
    end)
    fails("INVALID_ARGUMENT", client:deleted_principals { from = 0 / 0 })
    fails("INVALID_ARGUMENT", client:deleted_principals { tracker_region = "../x" })
    assert.equal(0, #sim:log())
  end)
end)

-- Traces as some service might write them, in one page and then none.
local function canned_traces(traces, marker)
  return canned.start {
    canned.answer(200, core.json.encode { traces = traces, meta_data = { marker = marker } }),
  }
end

local function trace(fields)
  local result = { time = (os.time() - 100) * 1000, record_time = (os.time() - 90) * 1000,
    trace_id = "t1", trace_name = "deleteUser", resource_id = "e1", user = { name = "boss" } }
  for name, value in pairs(fields) do result[name] = value end
  return result
end

local function canned_client(server)
  return new_client { endpoints = { cts = server.url } }
end

describe("a trace", function()
  local function read(fields)
    local server = canned_traces { trace(fields) }
    local traces = canned_client(server):list_traces()
    -- Of many calls of `finally` in one spec, the last alone counts.
    server:stop()
    return printed.add(assert(traces)[1])
  end

  it("has a user in JSON, in a string, or none", function()
    assert.equal("boss", read({}).user.name)
    assert.equal("chief", read({ user = '{"name":"chief","id":"u1"}' }).user.name)
    assert.same({ kind = "user" }, read({ user = "not JSON" }).user)
    assert.same({ kind = "user" }, read({ user = core.json.null }).user)
    assert.same({ kind = "agency", id = "a1", name = "helper" }, read({ user = {
      type = "AssumedAgency", name = "account/helper", principal_id = "a1:session", id = "x",
    } }).user)
    assert.same({ kind = "agency", id = "x" },
      read({ user = { type = "AssumedAgency", id = "x" } }).user)
    assert.same({ kind = "agency" }, read({ user = { type = "AssumedAgency" } }).user)
  end)

  it("failed when its code or its rating says so", function()
    assert.is_true(read({ code = "204" }).ok)
    assert.is_true(read({ code = 200 }).ok)
    assert.is_false(read({ code = "403" }).ok)
    assert.is_false(read({ code = "400" }).ok)
    assert.is_true(read({ code = 399, trace_rating = "warning" }).ok)
    assert.is_false(read({ trace_rating = "incident" }).ok)
    assert.is_false(read({ trace_rating = "warning" }).ok)
    assert.is_true(read({ trace_rating = "normal" }).ok)
  end)

  it("has no time that nobody could show", function()
    for _, time in ipairs { "inf", "nan", "1e400", "-1", "253402300800000", core.json.null } do
      local found = read({ time = time })
      assert.equal(found.recorded, found.time)
      assert.is_nil(read({ record_time = time }).recorded)
    end
    assert.equal(253402300799.999, read({ record_time = "253402300799999" }).recorded)
  end)

  it("prints on one line", function()
    local text = tostring(read({ resource_name = "leaver" }))
    assert.matches("^trace t1: deleteUser leaver by boss at 20%d%d%-", text)
    assert.matches("^trace without an id: %?", tostring(read({ trace_id = 1, trace_name = 2 })))
  end)
end)

describe("client:list_traces", function()
  it("ends when a page brings nothing new, whatever its marker says", function()
    local server = canned_traces({ trace({}) }, "t1")
    finally(function() server:stop() end)
    assert.equal(1, #assert(canned_client(server):list_traces()))
    assert.equal(2, server:count())
    assert.matches("next=t1", server:request(2).line)
  end)

  it("ends when a page of traces without an id leads to itself", function()
    local server = canned_traces({ trace { trace_id = core.json.null } }, "m")
    finally(function() server:stop() end)
    assert(canned_client(server):list_traces())
    assert.equal(2, server:count())
  end)

  it("has what happened at the window's ends, and nothing beyond them", function()
    local from = os.time() - 1000
    local traces = {}
    for i, time in ipairs { from - 0.001, from, from + 500, from + 500.001 } do
      traces[i] = trace { trace_id = "t" .. i, time = ("%.0f"):format(time * 1000) }
    end
    local server = canned_traces(traces)
    finally(function() server:stop() end)
    assert.same({ "t2", "t3" }, ids(assert(canned_client(server):list_traces {
      from = from, to = from + 500 })))
  end)

  it("reads a page with a name that CTS cut amid a character", function()
    local text = core.json.encode { traces = { trace {} }, meta_data = {} }
    local server = canned.start { canned.answer(200, (text:gsub('"boss"', '"boss\\ud83d"'))) }
    finally(function() server:stop() end)
    local list = assert(canned_client(server):list_traces())
    assert.equal("boss\239\191\189", list[1].user.name)
  end)

  it("does not leave out a trace whose time cannot be read", function()
    local odd = trace {}
    odd.time, odd.record_time = "soon", core.json.null
    local server = canned_traces { trace {}, odd }
    finally(function() server:stop() end)
    local err = fails("RESPONSE_INVALID", canned_client(server):list_traces())
    assert.matches("number 2 of its traces is incomplete", err.message)
  end)

  it("says what is wrong with an answer", function()
    local server = canned.start { canned.answer(200, '{"meta_data":{}}') }
    finally(function() server:stop() end)
    local err = fails("RESPONSE_INVALID", canned_client(server):list_traces())
    assert.matches("it has no traces", err.message)
  end)

  it("finds the trace of a rotation, for who must know whether it was accepted", function()
    local client = new_client()
    assert(client:rotate_credentials(cluster.id, { component = "all" }))
    assert(client:revoke_cert(other.id, { user_id = LEAVER }))
    local list = printed.add(assert(client:list_traces {
      service = "CCE", name = "RotateClusterCredentials", resource_id = cluster.id,
      from = os.time() - 60,
    }))
    assert.equal(1, #list)
    assert.is_true(list[1].ok)
    assert.equal(simulator.admin.principal.id, list[1].user.id)
    assert.equal(sim.project_id, list.searched[1].project_id)
    assert.equal("revokeClusterCert", assert(client:list_traces { service = "CCE" })[2].name)
    assert.matches("RotateClusterCredentials +cluster%-001 +admin", tostring(list))
  end)
end)

describe("client:certificate_downloads", function()
  local client = new_client()

  it("tells who obtained certificates of a cluster", function()
    assert(client:obtain_cert(cluster.id, { duration = 1 }))
    assert(new_client({ key = simulator.member }):obtain_cert(cluster.id, { duration = 1 }))
    assert(new_client({ key = simulator.agency }):obtain_cert(cluster.id, { duration = 1 }))
    assert(client:obtain_cert(other.id, { duration = 1 }))
    local list = printed.add(assert(client:certificate_downloads { cluster_id = cluster.id }))
    assert.same({ simulator.admin.principal.id, simulator.member.principal.id,
      simulator.agency.principal.id }, ids(list))
    assert.same({ "user", "user", "agency" }, { list[1].kind, list[2].kind, list[3].kind })
    assert.equal("agency", list[3].name)
    assert.equal(cluster.id, list[1].cluster_id)
    assert.equal("127.0.0.1", list[1].source_ip)
    assert.matches("agency +agency +" .. simulator.agency.principal.id, tostring(list))
    assert.equal(4, #assert(client:certificate_downloads()))
    assert.equal(sim.project_id, list.searched[1].project_id)
  end)

  it("leaves out what was refused", function()
    sim:deny(simulator.admin.principal.id, "cce:cluster:generateClientCredential")
    local err = fails("PERMISSION_DENIED", client:obtain_cert(cluster.id, { duration = 1 }))
    assert.matches("Policy doesn't allow cce:cluster:generateClientCredential to be performed",
      err.message)
    assert.equal(1, #sim:traces())
    assert.equal(0, #assert(client:certificate_downloads()))
  end)

  it("needs the address of CTS", function()
    local err = fails("NO_ENDPOINT", clients.new(sim):certificate_downloads())
    assert.matches("CTS", err.message)
  end)
end)

it("nothing printed holds a secret", function()
  assert.is_true(printed.count() > 50)
  assert.is_nil(printed.find { simulator.admin.sk, simulator.member.sk, simulator.admin.token })
end)
