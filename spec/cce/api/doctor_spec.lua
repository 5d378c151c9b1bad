local canned = require "spec.support.peer.canned"
local clients = require "spec.support.clients"
local doctor = require "cce.api.doctor"
local errors = require "cce.error"
local printed = require "spec.support.printed"
local project = require "cce.api.project"
local simulator = require "spec.support.sim"
local socket = require "socket"

local sim = simulator.get()
local account = simulator.account

local ORDER = { "credentials", "clock", "region", "project", "reachability", "tls", "iam", "cts",
  "sts", "permissions" }

-- A client of the simulator that looks up its project; `changes` replace options, false removes.
local function client_of(changes)
  local options = {
    region = account.region,
    endpoints = { iam = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT, cts = sim.env.CCE_CTS_ENDPOINT,
      sts = sim.env.HUAWEICLOUD_SDK_STS_ENDPOINT },
  }
  for name, value in pairs(changes or {}) do options[name] = value end
  return clients.new(sim, options)
end

local function closed_port()
  local listener = assert(socket.bind("127.0.0.1", 0))
  local _, port = listener:getsockname()
  listener:close()
  return port
end

local WRONG_SK = "sim-example-wrong-secret-key-0009"

-- What is broken, how, the item that must say so, what its message or hint tells, and the items
-- that must be known to be right.
local set_ups = {
  { "a wrong secret key", options = { key = { ak = simulator.admin.ak, sk = WRONG_SK } },
    fault = "credentials", tells = "secret key is wrong", right = "reachability tls clock" },
  { "an access key that does not exist",
    options = { key = { ak = "SIMEXAMPLE0NOBODYAK", sk = WRONG_SK } },
    fault = "credentials", tells = "no such access key", right = "reachability tls" },
  { "a token that is none", options = { token = "example-token-of-nobody" },
    fault = "credentials", tells = "expired", right = "reachability tls" },
  { "a locked access key", prepare = function() sim:lock_key(simulator.admin.ak) end,
    fault = "credentials", tells = "5 minutes", right = "reachability tls" },
  { "a clock that is behind", prepare = function() sim:clock(1800) end,
    fault = "clock", tells = "1[78]%d%d s behind",
    right = "credentials project reachability tls permissions" },
  { "a clock that is ahead, with the project to be looked up",
    options = { project_id = false }, prepare = function() sim:clock(-7200) end,
    fault = "clock", tells = "7[12]%d%d s ahead",
    right = "credentials project reachability tls permissions" },
  { "a project of somebody else", options = { project_id = ("f"):rep(32) },
    fault = "project", tells = "project_id", right = "credentials reachability tls clock" },
  { "a region without a project", options = { project_id = false, region = "cn-north-4" },
    fault = "project",
    tells = account.region:gsub("%-", "%%-") .. " %(" .. account.project_id .. "%)",
    right = "credentials reachability tls" },
  { "a region with two projects", options = { project_id = false },
    prepare = function()
      sim:policy { projects = {
        { id = "p1", name = account.region }, { id = "p2", name = account.region } } }
    end,
    fault = "project", tells = "p1%), .*p2%)", right = "credentials reachability tls" },
  { "a host without a name", options = { endpoint = "https://cce.invalid" },
    fault = "reachability", tells = "DNS" },
  { "a port where nothing listens",
    options = { endpoint = "https://127.0.0.1:" .. closed_port() },
    fault = "reachability", tells = "firewall" },
  { "a service that fails", prepare = function() sim:fault { service = "cce", status = 503 } end,
    fault = "reachability", tells = "HTTP 503" },
  { "an address where something else lives", options = { endpoint = sim.env.CCE_CTS_ENDPOINT },
    fault = "region", tells = "may not offer", right = "reachability tls" },
  { "an expired server certificate", options = { endpoint = sim:bad_tls "expired" },
    fault = "tls", tells = "ca_file", right = "reachability" },
  { "a certificate for another name", options = { endpoint = sim:bad_tls "wrong_name" },
    fault = "tls", tells = "name", right = "reachability" },
  { "a missing IAM action", prepare = function() sim:policy { deny = { "cce:cluster:list" } } end,
    fault = "permissions", tells = "IAM action cce:cluster:list",
    right = "credentials project reachability tls clock" },
  { "a project that these credentials do not see", options = { project_id = ("f"):rep(32) },
    prepare = function() sim:fault { operation = "list_clusters", status = 403 } end,
    fault = "project", tells = "HTTP 403", right = "credentials reachability tls clock" },
  { "a project that they see, without a right", options = { project_id = account.project_id },
    prepare = function() sim:fault { operation = "list_clusters", status = 403 } end,
    fault = "permissions", tells = "HTTP 403", right = "credentials project reachability tls" },
  { "an address that lists no clusters",
    prepare = function() sim:fault { operation = "list_clusters", status = 200, body = "{}" } end,
    fault = "reachability", tells = "what answers at https://%S+ is not CCE: it lists no clusters",
    right = "clock" },
  { "an address that lists something else", prepare = function()
      sim:fault { operation = "list_clusters", status = 200, body = '{"items":"none"}' }
    end, fault = "reachability", tells = "is not CCE: it lists no clusters", right = "clock" },
  { "an address that lists what is no cluster", prepare = function()
      sim:fault { operation = "list_clusters", status = 200, body = '{"items":[null]}' }
    end, fault = "reachability", tells = "is not CCE: it lists no clusters", right = "clock" },
  { "an address that answers no JSON",
    prepare = function() sim:fault { operation = "list_clusters", status = 200, body = "x" } end,
    fault = "reachability", tells = "is not a JSON object", right = "clock" },
  { "no right to look up the project", options = { project_id = false },
    prepare = function() sim:policy { deny = { "iam:projects:listProjects" } } end,
    fault = "permissions", tells = "iam:projects:listProjects",
    right = "credentials reachability tls" },
}

local function item_of(report, name)
  for _, item in ipairs(report) do
    if item.name == name then return item end
  end
end

local function options_of(set_up)
  local options = {}
  for name, value in pairs(set_up.options or {}) do options[name] = value end
  return options
end

describe("client:doctor", function()
  before_each(function()
    sim:reset()
    project.forget()
  end)

  it("finds nothing wrong where nothing is", function()
    for _, project_id in ipairs { sim.project_id, false } do
      local client = client_of { project_id = project_id }
      local report = printed.add(client:doctor())
      assert.is_true(report.ok, tostring(report))
      assert.equal(0, report:exit_code())
      for i, item in ipairs(report) do
        assert.equal(ORDER[i], item.name)
        assert.is_true(item.ok, item.name)
        assert.is_nil(item.hint)
        assert.is_truthy(tostring(report):find(item.message, 1, true))
      end
      assert.equal(#ORDER, #report)
      local message = item_of(report, "permissions").message
      assert.matches("allowed: cce:cluster:list, cce:cluster:get, iam:users:listUsers,"
        .. " iam:agencies:listAgencies, cts:trace:list; not tried: ", message, 1, true)
      assert.matches("cce:cluster:rotateCredentials", message, 1, true)
      client:close()
    end
  end)

  for _, set_up in ipairs(set_ups) do
    it("names the fault of " .. set_up[1], function()
      if set_up.prepare then set_up.prepare() end
      local client = client_of(options_of(set_up))
      local before = #sim:log()
      local report = printed.add(client:doctor())
      local text = printed.add(tostring(report))
      assert.is_false(report.ok, text)
      assert.equal(1, report:exit_code())
      for _, item in ipairs(report) do
        assert.equal(item.name == set_up.fault, item.ok == false, text)
      end
      local item = item_of(report, set_up.fault)
      assert.matches(set_up.tells, item.message .. " " .. (item.hint or ""))
      for name in (set_up.right or ""):gmatch("%S+") do
        assert.is_true(item_of(report, name).ok, name .. " in\n" .. text)
      end
      assert.is_truthy(text:find(item.message, 1, true))
      -- A wrong key that is tried often is a locked key.
      if set_up.fault == "credentials" then assert.is_true(#sim:log() - before <= 3) end
      for _, seconds in ipairs(client.slept) do assert.equal(0, seconds) end
      client:close()
    end)
  end

  it("takes no certificate for trusted where none is used", function()
    local server = canned.start { canned.answer(200, '{"items":[]}') }
    finally(function() server:stop() end)
    local client = client_of { endpoint = server.url }
    local report = printed.add(client:doctor())
    assert.same({ true, "not used: " .. server.url .. " is on this machine" },
      { item_of(report, "tls").ok, item_of(report, "tls").message })
    assert.is_true(report.ok, tostring(report))
    client:close()
  end)

  it("says of a client of no address what it can, and sends nothing", function()
    local before = #sim:log()
    for code, expected in pairs { NO_CREDENTIALS = { false, "none here", "Give some" },
      NO_ENDPOINT = { nil, "not checked", nil } } do
      local client = client_of { endpoint = "https://cce.invalid" }
      function client.session.identify()
        return errors.fail(code, "none here", { hint = "Give some" })
      end
      local report = printed.add(doctor.without_endpoint(client,
        errors.new("NO_ENDPOINT", "it is not known where", { hint = "Say where" })))
      local item, region = item_of(report, "credentials"), item_of(report, "region")
      assert.same(expected, { item.ok, item.message:match "none here" or item.message, item.hint })
      assert.same({ false, false, "it is not known where", "Say where" },
        { report.ok, region.ok, region.message, region.hint })
      client:close()
    end
    assert.equal(before, #sim:log())
  end)

  it("says of a key that is not tried again only that it was refused", function()
    local client = client_of { key = { ak = simulator.admin.ak, sk = WRONG_SK } }
    for _ = 1, 2 do client:doctor() end
    local before = #sim:log()
    local report = printed.add(client:doctor())
    assert.equal(before, #sim:log())
    assert.matches("not sent: access key .* refused", item_of(report, "credentials").message)
    for _, name in ipairs { "reachability", "tls", "clock", "permissions" } do
      assert.is_nil(item_of(report, name).ok, name)
    end
    client:close()
  end)

  it("says whom each service takes these credentials for", function()
    for _, key in ipairs { simulator.admin, simulator.member } do
      local client = client_of { key = { ak = key.ak, sk = key.sk } }
      local report = printed.add(client:doctor())
      assert.is_true(report.ok, tostring(report))
      assert.matches(("to user %s (%s)"):format(key.principal.name, key.principal.id),
        item_of(report, "sts").message, 1, true)
      assert.matches("to account " .. account.domain_id, item_of(report, "iam").message, 1, true)
      client:close()
    end
  end)

  it("asks each service anew, whatever the client knows", function()
    local client = client_of()
    client:doctor()
    local before = #sim:log { service = "sts" }
    client:doctor()
    assert.equal(before + 1, #sim:log { service = "sts" })
    client:close()
  end)

  for _, service in ipairs { "iam", "cts", "sts" } do
    it("names the service that does not answer: " .. service, function()
      local endpoints = { iam = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT,
        cts = sim.env.CCE_CTS_ENDPOINT, sts = sim.env.HUAWEICLOUD_SDK_STS_ENDPOINT }
      endpoints[service] = "https://127.0.0.1:" .. closed_port()
      local client = client_of { endpoints = endpoints }
      local report = printed.add(client:doctor())
      for _, item in ipairs(report) do
        assert.equal(item.name == service, item.ok == false, tostring(report))
      end
      assert.matches("firewall", item_of(report, service).hint)
      client:close()
    end)
  end

  it("names the actions that are refused, which not everybody needs", function()
    sim:policy { deny = { "iam:users:listUsers", "cts:trace:list" } }
    local client = client_of()
    local report = printed.add(client:doctor())
    assert.is_true(report.ok, tostring(report))
    assert.matches("refused: iam:users:listUsers, cts:trace:list;",
      item_of(report, "permissions").message, 1, true)
    assert.matches("answers, and refuses", item_of(report, "cts").message, 1, true)
    client:close()
  end)

  it("says how far off a clock is that is still good enough", function()
    sim:clock(300)
    local client = client_of()
    local report = client:doctor()
    assert.is_true(report.ok)
    assert.matches("%d+ s behind", item_of(report, "clock").message)
    assert.matches("15 minutes", item_of(report, "clock").hint)
    client:close()
  end)

  it("changes nothing of the client", function()
    sim:clock(1800)
    local client = client_of()
    client:doctor()
    assert.equal(0, client.clock_shift)
    assert.equal(4, client.config.retry.max_attempts)
    assert(client:list_clusters())
    client:close()
  end)

  it("prints nothing", function()
    local client = client_of()
    local written, write = 0, io.write
    io.write = function(...) -- luacheck: ignore 122
      written = written + 1
      return write(...)
    end
    client:doctor()
    io.write = write -- luacheck: ignore 122
    assert.equal(0, written)
    client:close()
  end)

  it("raises when the client is closed", function()
    local client = client_of()
    client:close()
    clients.raises("closed", function() client:doctor() end)
  end)

  it("shows no secret", function()
    assert.is_true(printed.count() > 50)
    assert.is_nil(printed.find { WRONG_SK, simulator.admin.sk, "example-token-of-nobody" })
  end)
end)
