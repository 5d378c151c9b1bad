local canned = require "spec.support.peer.canned"
local clients = require "spec.support.clients"
local core = require "cce.core"
local printed = require "spec.support.printed"
local simulator = require "spec.support.sim"

local sim = simulator.get()
local account = simulator.account
local fails, raises = clients.fails, clients.raises

local function new_client(options)
  options = options or {}
  options.endpoints = { iam = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT }
  return clients.new(sim, options)
end

local function canned_client(server, options)
  options = options or {}
  options.endpoints = { iam = server.url }
  return clients.new(sim, options)
end

local function names(list)
  local result = {}
  for i, each in ipairs(list) do result[i] = each.name end
  return result
end

before_each(function() sim:reset() end)

describe("client:list_users", function()
  it("lists the account's users, having looked up its id once", function()
    local client = new_client()
    sim:put_principal { kind = "user", id = "e0000000000000000000000000000005", name = "leaver",
      enabled = false }
    local users = printed.add(assert(client:list_users()))
    assert.same({ "admin", "member", "leaver" }, names(users))
    assert.equal(simulator.admin.principal.id, users[1].id)
    assert.is_true(users[1].enabled)
    assert.is_false(users[3].enabled)
    assert.equal(account.domain_id, users[1].domain_id)
    assert.equal(users[1].id, users[1].raw.id)
    assert.matches("NAME +ID +STATE\nadmin +a0000000000000000000000000000001 +enabled\n",
      tostring(users))
    assert.matches("\nleaver +e0+5 +disabled$", tostring(users))
    assert(client:list_users())
    assert.equal(1, #sim:log { operation = "list_domains" })
  end)

  it("sends the filters, and no project", function()
    local client = new_client()
    assert.same({ "member" }, names(assert(client:list_users {
      name = "member", enabled = true, domain_id = account.domain_id,
    })))
    assert.equal("/v3/users?domain_id=" .. account.domain_id .. "&enabled=true&name=member",
      sim:log { operation = "list_users" }[1].target)
    assert.equal(0, #sim:log { operation = "list_domains" })
    assert.same({}, names(assert(client:list_users { enabled = false })))
    assert.equal("NAME  ID  STATE", tostring(client:list_users { enabled = false }))
  end)

  it("is signed without a project id", function()
    local server = canned.start { canned.answer(200, '{"users":[]}') }
    finally(function() server:stop() end)
    assert(canned_client(server):list_users { domain_id = "d1" })
    assert.is_nil(server:request(1).headers["x-project-id"])
    assert.is_not_nil(server:request(1).headers.authorization)
  end)

  it("says whose right is missing", function()
    sim:deny(simulator.admin.principal.id, "iam:users:listUsers")
    local err = fails("PERMISSION_DENIED", new_client():list_users())
    assert.matches("iam:users:listUsers", err.message)
    assert.is_nil(err.message:find("{", 1, true), err.message)
    assert.equal("list_users", err.operation)
  end)

  it("does not guess the account", function()
    for body, code in pairs {
      ['{"domains":[]}'] = "NOT_FOUND",
      ['{"domains":[{"id":"a"},{"id":"b"}]}'] = "INVALID_ARGUMENT",
      ['{"other":1}'] = "RESPONSE_INVALID",
    } do
      local server = canned.start { canned.answer(200, body) }
      finally(function() server:stop() end)
      fails(code, canned_client(server):list_users())
      assert.equal(1, server:count())
    end
  end)

  it("bears entries without a name", function()
    local server = canned.start { canned.answer(200,
      '{"users":[{"id":"u1"},{"id":"u2","name":7}]}') }
    finally(function() server:stop() end)
    local users = printed.add(assert(canned_client(server):list_users { domain_id = "d1" }))
    assert.equal(2, #users)
    assert.matches("u1", tostring(users))
  end)

  for method, field in pairs { list_users = "users", list_agencies = "agencies",
    list_projects = "projects" } do
    it("leaves out nobody who cannot be identified: " .. field, function()
      for _, entry in ipairs { "1", "null", '{"name":"without an id"}', '{"id":7}' } do
        local server = canned.start { canned.answer(200,
          ('{"%s":[{"id":"u1"},%s]}'):format(field, entry)) }
        local client = canned_client(server)
        local err = fails("RESPONSE_INVALID", client[method](client, { domain_id = "d1" }))
        server:stop()
        assert.matches(("number 2 of its %s is incomplete"):format(field), err.message)
      end
    end)
  end

  it("needs the address of IAM", function()
    local err = fails("NO_ENDPOINT", clients.new(sim):list_users { domain_id = "d1" })
    assert.matches("IAM", err.message)
  end)

  it("checks its options", function()
    local client = new_client()
    raises("unknown option 'nme' %(did you mean 'name'%?%)", function()
      client:list_users { nme = "x" }
    end)
    raises("bad option 'enabled' %(boolean expected, got string%)", function()
      client:list_users { enabled = "yes" }
    end)
    raises("bad argument #1 to 'list_users' %(cce.client expected, got nil%)", function()
      client.list_users()
    end)
    for _, id in ipairs { "", "../x", "a b", ("x"):rep(129) } do
      fails("INVALID_ARGUMENT", client:list_users { domain_id = id })
    end
    fails("INVALID_ARGUMENT", client:list_users { name = "" })
    assert.equal(0, #sim:log())
    client:close()
    raises("the client is closed", function() client:list_users() end)
  end)
end)

describe("client:list_agencies", function()
  it("lists the account's agencies", function()
    local agencies = printed.add(assert(new_client():list_agencies()))
    assert.same({ "agency" }, names(agencies))
    assert.equal(simulator.agency.principal.id, agencies[1].id)
    assert.equal("op_svc_example", agencies[1].trusts)
    assert.matches("agency +c0+3 +op_svc_example", tostring(agencies))
    assert.equal("/v3.0/OS-AGENCY/agencies?domain_id=" .. account.domain_id,
      sim:log { operation = "list_agencies" }[1].target)
  end)

  it("filters by name", function()
    assert.same({}, names(assert(new_client():list_agencies { name = "nobody" })))
  end)
end)

describe("client:list_projects", function()
  it("lists what the credentials can see", function()
    local projects = printed.add(assert(new_client():list_projects()))
    assert.same({ account.region, account.central.region }, names(projects))
    assert.equal(sim.project_id, projects[1].id)
    assert.matches("sim%-region%-1 +" .. sim.project_id .. " +enabled", tostring(projects))
  end)

  it("filters", function()
    local client = new_client()
    assert.same({ "ap-southeast-1" }, names(assert(client:list_projects {
      name = "ap-southeast-1", enabled = true, domain_id = account.domain_id,
    })))
    assert.same({}, names(assert(client:list_projects { enabled = false })))
  end)

  local function page(from, to)
    local items = {}
    for i = from, to do items[#items + 1] = { id = "p" .. i, name = "n" .. i } end
    return canned.answer(200, core.json.encode { projects = items })
  end

  it("takes all pages", function()
    local server = canned.start { page(1, 5000), page(5001, 5003) }
    finally(function() server:stop() end)
    local projects = assert(canned_client(server):list_projects())
    assert.equal(5003, #projects)
    assert.equal("p5003", projects[5003].id)
    assert.matches("page=1&per_page=5000 ", server:request(1).line)
    assert.matches("page=2&per_page=5000 ", server:request(2).line)
  end)

  it("ends where the service knows no pages", function()
    local server = canned.start { page(1, 5000) }
    finally(function() server:stop() end)
    assert.equal(5000, #assert(canned_client(server):list_projects()))
    assert.equal(2, server:count())
  end)
end)
