local canned = require "spec.support.peer.canned"
local cce = require "cce"
local child = require "spec.support.child"
local clients = require "spec.support.clients"
local core = require "cce.core"
local pki = require "spec.support.peer.pki"
local printed = require "spec.support.printed"
local signature = require "cce.sim.server.signature"
local simulator = require "spec.support.sim"

local fails, raises = clients.fails, clients.raises

local KEY = { ak = "EXAMPLEAK", sk = "example-secret-key" }

-- Everything that a client needs, and what a spec changes of it.
local function options(changes)
  local all = {
    endpoint = "https://cce.example.com", project_id = "p-1", credentials = KEY, proxy = false,
  }
  for name, value in pairs(changes or {}) do all[name] = value end
  return all
end

describe("cce.new", function()
  local wrong = {
    { "unknown option 'regoin' %(did you mean 'region'", function() cce.new { regoin = "x" } end },
    { "table of options expected, got string", function() cce.new "cn-north-4" end },
    { "'region' %(string expected, got number", function() cce.new { region = 4 } end },
    { "'endpoint' %(string expected", function() cce.new(options { endpoint = {} }) end },
    { "unknown option 'ecs'", function() cce.new(options { endpoints = { ecs = "x" } }) end },
    { "'project_id' %(string expected", function() cce.new(options { project_id = 5 }) end },
    { "'credentials' %(table or function expected",
      function() cce.new(options { credentials = "a" }) end },
    { "'sk' is missing", function() cce.new(options { credentials = { ak = "a" } }) end },
    { "'ak' is missing", function() cce.new(options { credentials = { sk = "s" } }) end },
    { "'sk' %(string or userdata expected, got number",
      function() cce.new(options { credentials = { ak = "a", sk = 5 } }) end },
    { "unknown option 'secret'",
      function() cce.new(options { credentials = { ak = "a", sk = "s", secret = "s" } }) end },
    { "'token' %(string or userdata expected", function() cce.new(options { token = 5 }) end },
    { "'timeout' %(number expected", function() cce.new(options { timeout = "60" }) end },
    { "unknown option 'attempts'", function() cce.new(options { retry = { attempts = 3 } }) end },
    { "'max_attempts' %(integer expected",
      function() cce.new(options { retry = { max_attempts = "3" } }) end },
    { "'on_event' %(callable expected", function() cce.new(options { on_event = 5 }) end },
    { "'clock' %(callable expected", function() cce.new(options { clock = 5 }) end },
    { "'rate_limit' %(string expected", function() cce.new(options { rate_limit = 10 }) end },
    { "'proxy' %(string or boolean expected", function() cce.new(options { proxy = 5 }) end },
  }
  for i, use in ipairs(wrong) do
    it("raises at the line of the call, " .. i, function() raises(use[1], use[2]) end)
  end

  local out_of_range = {
    { timeout = 0 }, { timeout = -1 }, { timeout = 0 / 0 }, { timeout = 1e9 },
    { connect_timeout = 0 }, { connect_timeout = math.huge }, { max_connections = 0 },
    { max_connections = 1.5 }, { retry = { max_attempts = 0 } }, { retry = { max_attempts = 101 } },
    { retry = { base = -1 } }, { retry = { cap = 1e9 } }, { project_id = "" },
    { endpoint = "" }, { ca_file = "" }, { user_agent = "" },
    { endpoint = "https://a.example.com", endpoints = { cce = "https://b.example.com" } },
    { endpoints = { cce = "" } },
    { rate_limit = "fast" }, { rate_limit = "0/min" }, { rate_limit = "10/fortnight" },
    { token = "a-token" }, -- with credentials
    { credentials = { ak = "", sk = "s" } }, { credentials = { ak = "a", sk = "" } },
    { credentials = { ak = "a\r\nX: y", sk = "s" } },
    { credentials = { ak = "a", sk = "s", security_token = "" } },
    { endpoint = "http://cce.example.com" }, { endpoint = "ftp://cce.example.com" },
    { endpoint = "cce.example.com" }, { endpoint = "https://" }, { endpoint = "https://a b" },
    { endpoint = "https://user@cce.example.com" }, { endpoint = "https://cce.example.com/?a=b" },
    { endpoint = "https://cce.example.com:99999" }, { endpoint = "https://cce.example.com/../x" },
    { endpoint = "https://cce.example.com\r\nHost: x" },
    { endpoint = "http://127.0.0.1.example.com" },
  }
  for i, changes in ipairs(out_of_range) do
    it("refuses a value out of range, " .. i, function()
      fails("INVALID_ARGUMENT", cce.new(options(changes)))
    end)
  end

  it("knows the endpoints of regions", function()
    local client = assert(cce.new { region = "cn-north-4", project_id = "p", credentials = KEY })
    assert.matches("^cce.client: https://cce%.cn%-north%-4%.myhuaweicloud%.com, ", tostring(client))
    client:close()
    local err = fails("NO_ENDPOINT", cce.new {
      region = "cn-noth-4", project_id = "p", credentials = KEY,
    })
    assert.matches("cn%-north%-4", err.message)
  end)

  it("takes the endpoint from endpoints.cce, by itself or the same", function()
    local address = "https://cce.example.com:8443/base"
    for _, changes in ipairs { { endpoint = address }, {} } do
      changes.endpoints, changes.project_id, changes.credentials = { cce = address }, "p", KEY
      local client = assert(cce.new(changes))
      assert.is_truthy(tostring(client):find(address, 1, true))
      client:close()
    end
  end)

  it("accepts plain http to loopback addresses", function()
    for _, address in ipairs { "http://127.0.0.1:80", "http://localhost:8080", "http://[::1]" } do
      assert(cce.new(options { endpoint = address })):close()
    end
  end)

  it("leaves the tables that it is given alone", function()
    local given = options { retry = { base = 1 }, credentials = { ak = "a", sk = "s" } }
    assert(cce.new(given)):close()
    assert.same({ base = 1 }, given.retry)
    assert.same({ ak = "a", sk = "s" }, given.credentials)
  end)

  it("keeps no secret where the fields of a client can be printed", function()
    local client = assert(cce.new(options {
      credentials = { ak = "EXAMPLEAK", sk = "example-secret-key", security_token = "example-sts" },
    }))
    printed.add(client)
    local other = assert(cce.new {
      endpoint = "https://cce.example.com", project_id = "p", token = "example-iam-token",
    })
    printed.add(other)
    assert.is_nil(printed.find { "example-secret-key", "example-sts", "example-iam-token" })
    client:close()
    other:close()
  end)
end)

-- What a child process says of the client that it makes with no more than `code` says.
local function client_in(variables, code)
  return child.run(variables, [[
    local cce = require "cce"
    local client, message, err = cce.new(]] .. (code or "") .. [[)
    print(client or err.code .. ": " .. tostring(err))
    if client then
      client.sleep = function() end
      local list, reason, problem = client:list_clusters()
      print(list and #list or problem.code .. ": " .. tostring(problem))
    end
  ]])
end

describe("the environment", function()
  local sim = simulator.get()

  -- What `cce sim` writes for its users, and what a spec changes of it.
  local function environment(changes)
    local variables = {}
    for _, name in ipairs { "CCE_ENDPOINT", "CCE_CA_FILE", "HUAWEICLOUD_SDK_AK",
      "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_PROJECT_ID" } do
      variables[name] = sim.env[name]
    end
    for name, value in pairs(changes or {}) do variables[name] = value or nil end
    return variables
  end

  local function says(pattern, variables, code)
    local output = client_in(variables, code)
    printed.add(output)
    assert.matches(pattern, output)
    return output
  end

  before_each(function() sim:reset() end)

  it("gives all that cce.new needs", function()
    says("access key " .. simulator.admin.ak .. "\n5\n", environment())
    says("access key " .. simulator.admin.ak .. "\n5\n", environment(), "{}")
    assert.equal(2, #sim:log { accepted = true })
  end)

  it("gives the region when no endpoint is named", function()
    says("^cce.client: https://cce%.eu%-west%-101%.myhuaweicloud%.eu, ", environment {
      CCE_ENDPOINT = "", CCE_REGION = "eu-west-101", https_proxy = "http://127.0.0.1:1",
    })
    says("^NO_ENDPOINT: there is no region 'nowhere'", environment {
      CCE_ENDPOINT = "", CCE_REGION = "nowhere",
    })
    says("^cce.client: https://127%.0%.0%.1:", environment { CCE_REGION = "eu-west-101" })
  end)

  it("counts less than options", function()
    says("^cce.client: https://cce%.cn%-north%-4%.",
      environment { CCE_REGION = "eu-west-101", https_proxy = "http://127.0.0.1:1" },
      '{ region = "cn-north-4" }')
    says("^cce.client: https://127%.0%.0%.99, ", environment(),
      '{ endpoint = "https://127.0.0.99", connect_timeout = 1 }')
    says("project another,.*PERMISSION_DENIED", environment(), '{ project_id = "another" }')
    says("TLS_FAILED: .*CA file cannot be read", environment(), '{ ca_file = "/nonexistent" }')
  end)

  it("names the CA file", function()
    says("TLS_FAILED: list_clusters: the server's certificate is not accepted",
      environment { CCE_CA_FILE = "" })
  end)

  local incomplete = {
    { "NO_CREDENTIALS", "HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK" },
    { "NO_CREDENTIALS", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_AK" },
    { "NO_PROJECT", "HUAWEICLOUD_SDK_PROJECT_ID", "HUAWEICLOUD_SDK_PROJECT_ID",
      "\nNO_PROJECT: " },
    { "NO_ENDPOINT", "CCE_ENDPOINT", "CCE_REGION or CCE_ENDPOINT" },
  }
  for _, row in ipairs(incomplete) do
    it(("without %s is %s"):format(row[2], row[1]), function()
      local pattern = row[4] or "^" .. row[1] .. ": "
      local output = says(pattern, environment { [row[2]] = "" })
      assert.is_truthy(output:find(row[3], 1, true), output)
      output = says(pattern, environment { [row[2]] = false })
      assert.is_truthy(output:find(row[3], 1, true), output)
      assert.equal(0, #sim:log())
    end)
  end

  it("is not mixed into keys that are given", function()
    local given = ("{ credentials = { ak = %q, sk = %q } }"):format(
      simulator.member.ak, simulator.member.sk)
    -- With the token of other keys the simulator would refuse the signature.
    says("access key " .. simulator.member.ak .. "\n5\n",
      environment { HUAWEICLOUD_SDK_SECURITY_TOKEN = "example-sts-token" }, given)
    says("'sk' is missing", environment(), '{ credentials = { ak = "EXAMPLEAK" } }')
    says("'ak' is missing", environment(), '{ credentials = { sk = "example-secret" } }')
  end)

  it("is not asked for keys when a token is given", function()
    local given = ("{ token = %q }"):format(simulator.member.token)
    says("a token\n5\n", environment { HUAWEICLOUD_SDK_AK = "", HUAWEICLOUD_SDK_SK = "" }, given)
    says("a token\n5\n", environment { HUAWEICLOUD_SDK_SK = "wrong" }, given)
  end)

  it("gives the token of temporary keys, which no error shows", function()
    local output = says("UNAUTHENTICATED: ", environment {
      HUAWEICLOUD_SDK_SECURITY_TOKEN = "example-sts-token",
    })
    assert.is_nil(output:find("example-sts-token", 1, true), output)
    assert.equal(1, #sim:log())
  end)
end)

describe("what is on the wire", function()
  local server

  local function run(changes)
    server = canned.start { canned.answer(200, '{"items":[]}') }
    changes.endpoint = server.url
    local client = assert(cce.new(options(changes)))
    assert(client:list_clusters { status = "a+b" })
    client:close()
    return server:request(1)
  end
  after_each(function() server:stop() end)

  -- Whether the simulator's own code comes to the same signature.
  local function verify(request)
    local parsed = assert(signature.parse(request.headers.authorization))
    return signature.verify({
      method = request.line:match "^%u+", target = request.line:match " (%S+) ",
      headers = request.headers, body = request.body,
    }, parsed, KEY.sk), parsed
  end

  it("is signed, with the project and the security token", function()
    local keys = { ak = KEY.ak, sk = KEY.sk, security_token = core.secret "example-sts-token" }
    local request = run { credentials = keys }
    assert.equal("GET /api/v3/projects/p-1/clusters?status=a%2Bb HTTP/1.1", request.line)
    assert.equal("example-sts-token", request.headers["x-security-token"])
    assert.equal("p-1", request.headers["x-project-id"])
    assert.matches("^lua%-cce/%d", request.headers["user-agent"])
    local right, parsed = verify(request)
    assert.is_true(right)
    assert.matches("host;.*x%-project%-id;.*x%-sdk%-date;x%-security%-token",
      type(parsed.signed_headers) == "table" and table.concat(parsed.signed_headers, ";")
      or parsed.signed_headers)
  end)

  it("has no security token without one", function()
    local request = run {}
    assert.is_nil(request.headers["x-security-token"])
    assert.is_true((verify(request)))
  end)

  it("is a token instead of a signature", function()
    server = canned.start { canned.answer(200, '{"items":[]}') }
    local client = assert(cce.new {
      endpoint = server.url, project_id = "p-1", token = "example-iam-token",
      user_agent = "a script/1.0",
    })
    assert(client:list_clusters())
    local request = server:request(1)
    assert.equal("example-iam-token", request.headers["x-auth-token"])
    assert.is_nil(request.headers.authorization)
    assert.equal("a script/1.0", request.headers["user-agent"])
    client:close()
  end)
end)

describe("a proxy", function()
  local proxy
  before_each(function() proxy = canned.start { canned.answer(403, "no") } end)
  after_each(function() proxy:stop() end)

  local function variables(changes)
    local all = {
      CCE_ENDPOINT = "https://cce.invalid", HUAWEICLOUD_SDK_AK = KEY.ak,
      HUAWEICLOUD_SDK_SK = KEY.sk, HUAWEICLOUD_SDK_PROJECT_ID = "p-1",
    }
    for name, value in pairs(changes) do all[name] = value end
    return all
  end

  local ONCE = "retry = { max_attempts = 1 }"

  it("is taken from HTTPS_PROXY", function()
    for _, name in ipairs { "HTTPS_PROXY", "https_proxy" } do
      printed.add(client_in(variables { [name] = proxy.url }, "{ " .. ONCE .. " }"))
    end
    assert.equal(2, proxy:count())
    assert.equal("CONNECT cce.invalid:443 HTTP/1.1", proxy:request(1).line)
    assert.is_nil(proxy:request(1).headers.authorization)
  end)

  it("is named when it refuses", function()
    local output = client_in(variables { HTTPS_PROXY = proxy.url }, "{ " .. ONCE .. " }")
    assert.matches("\nPROXY_FAILED: ", output)
  end)

  it("is not used for what NO_PROXY names", function()
    client_in(variables { HTTPS_PROXY = proxy.url, NO_PROXY = "other.invalid,cce.invalid" },
      "{ " .. ONCE .. " }")
    assert.equal(0, proxy:count())
  end)

  it("is not used with proxy=false, and another one with proxy=<url>", function()
    client_in(variables { HTTPS_PROXY = proxy.url }, "{ proxy = false, " .. ONCE .. " }")
    assert.equal(0, proxy:count())
    client_in(variables { HTTPS_PROXY = "http://127.0.0.1:1" },
      ("{ proxy = %q, %s }"):format(proxy.url, ONCE))
    assert.equal(1, proxy:count())
  end)

  it("never sees what goes to a loopback address", function()
    local sim = simulator.get()
    local output = client_in({
      CCE_ENDPOINT = sim.env.CCE_ENDPOINT, CCE_CA_FILE = sim.env.CCE_CA_FILE,
      HUAWEICLOUD_SDK_AK = simulator.admin.ak, HUAWEICLOUD_SDK_SK = simulator.admin.sk,
      HUAWEICLOUD_SDK_PROJECT_ID = sim.project_id, HTTPS_PROXY = proxy.url,
    })
    assert.matches("\n5\n", output)
    assert.equal(0, proxy:count())
  end)

  it("has a password that is never shown", function()
    local address = proxy.url:gsub("//", "//user:example-password@")
    local output = client_in(variables { HTTPS_PROXY = address }, "{ " .. ONCE .. " }")
    assert.is_nil(output:find("example-password", 1, true), output)
    assert.equal("Basic " .. pki.base64 "user:example-password",
      proxy:request(1).headers["proxy-authorization"])
    local err = fails("PROXY_FAILED", (function()
      local client = assert(cce.new(options { endpoint = "https://cce.invalid",
        proxy = address, retry = { max_attempts = 1 } }))
      return client:list_clusters()
    end)())
    assert.is_nil(tostring(err):find("example-password", 1, true))
  end)
end)

printed.describe(50, {
  simulator.admin.sk, simulator.member.sk, simulator.member.token, KEY.sk,
  "example-sts-token", "example-password",
})
