-- cce.credentials: every source, against the simulator's services.

local canned = require "spec.support.peer.canned"
local cce = require "cce"
local child = require "spec.support.child"
local clients = require "spec.support.clients"
local core = require "cce.core"
local credentials = require "cce.credentials"
local printed = require "spec.support.printed"
local providers = require "cce.credentials.provider"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

local sim = simulator.get()
local account = simulator.account
local fails, raises = clients.fails, clients.raises

local function client_of(provider, options)
  local all = {
    credentials = provider, endpoints = { iam = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT },
  }
  for name, value in pairs(options or {}) do all[name] = value end
  return clients.new(sim, all)
end

local function password_of(key, password)
  return { username = key.principal.name, password = password or key.password,
    domain = account.domain_name }
end

local function principals(filter)
  local seen = {}
  for i, entry in ipairs(sim:log(filter)) do seen[i] = entry.principal end
  return seen
end

-- Lists clusters and says as whom.
local function works_as(key, client)
  assert(client:list_clusters())
  assert.same({ key.principal.id }, principals { operation = "list_clusters", accepted = true })
end

local function event(client, type)
  for _, each in ipairs(client.events) do
    if each.type == type then return each end
  end
end

local function count(filter)
  return #sim:log(filter)
end

before_each(function() sim:reset() end)

describe("keys and tokens that are given", function()
  it("are used as they are", function()
    works_as(simulator.member, client_of(credentials.static {
      ak = simulator.member.ak, sk = simulator.member.sk,
    }))
  end)

  it("may be a token, which is not renewed", function()
    works_as(simulator.agency, client_of(credentials.token(simulator.agency.token)))
    sim:reset()
    fails("UNAUTHENTICATED", client_of(credentials.token "no-such-example-token"):list_clusters())
    assert.equal(1, count())
  end)

  it("are asked for once when they are wrong", function()
    local client = client_of { ak = simulator.member.ak, sk = "wrong-example-secret-key" }
    fails("UNAUTHENTICATED", client:list_clusters())
    assert.equal(1, count())
  end)

  it("are not tried when they were copied with more than the key", function()
    local key = simulator.member
    for _, around in ipairs { '"%s"', "'%s'", "%s\n", "%s\r", " %s", "%s\194\160", "%s # mine" } do
      for _, name in ipairs { "ak", "sk" } do
        local given = { ak = key.ak, sk = key.sk }
        given[name] = around:format(key[name])
        local source = credentials.static(given)
        local agency = client_of(credentials.agency { agency_name = account.agency.name,
          domain_name = account.domain_name, source = source })
        for _, err in ipairs {
          fails("INVALID_ARGUMENT", cce.new { endpoint = sim.env.CCE_ENDPOINT,
            credentials = source }),
          fails("INVALID_ARGUMENT", agency:list_clusters()),
          fails("INVALID_ARGUMENT", credentials.key_token(given)),
        } do
          assert.matches("[sn]: " .. name .. ": the value ", err.message)
          assert.is_nil(err.message:find(key[name], 1, true))
        end
      end
    end
    assert.equal(0, count {})
  end)

  it("serve several clients, and end with themselves alone", function()
    local provider = credentials.static { ak = simulator.member.ak, sk = simulator.member.sk }
    client_of(provider):close()
    works_as(simulator.member, client_of(provider))
    provider:close()
    local _, message, err = cce.new { endpoint = sim.env.CCE_ENDPOINT, credentials = provider }
    assert.equal("NO_CREDENTIALS", err.code)
    assert.matches("closed", message)
  end)
end)

describe("a user's name and password", function()
  it("become a token of the project, once", function()
    local client = client_of(password_of(simulator.member))
    assert.equal(0, count())
    works_as(simulator.member, client)
    assert(client:list_clusters())
    assert.equal(1, count { operation = "create_token" })
    local entry = sim:log({ operation = "create_token" })[1]
    assert.equal("/v3/auth/tokens?nocatalog=true", entry.target)
    assert.matches('"scope":{"project":{"id":"' .. sim.project_id .. '"}}', entry.body)
    assert.equal("password", event(client, "credentials").source)
  end)

  it("are sent as they are, whatever characters they have", function()
    local odd = '"\\\n\1/\195\169'
    local server = canned.start { canned.answer(400, "{}") }
    local client = client_of({ username = odd, password = odd, domain = odd },
      { endpoints = { iam = server.url } })
    fails("BAD_REQUEST", client:list_clusters())
    local user = core.json.decode(server:request(1).body).auth.identity.password.user
    assert.same({ name = odd, password = odd, domain = { name = odd } }, user)
    server:stop()
  end)

  it("are refused once, and not sent again", function()
    local client = client_of(password_of(simulator.member, "wrong-example-password"))
    local err = fails("UNAUTHENTICATED", client:list_clusters())
    assert.matches("^list_clusters: create_token: HTTP 401", err.message)
    assert.is_false(err.maybe_applied)
    fails("UNAUTHENTICATED", client:obtain_cert(sim.clusters[1].id, { duration = 1 }))
    assert.equal(1, count())
    printed.add(err)
  end)

  it("wait for an IAM that fails, like any call", function()
    sim:fault { operation = "create_token", status = 503, times = 2 }
    local client = client_of(password_of(simulator.member))
    assert(client:list_clusters())
    assert.equal(3, count { operation = "create_token" })
    assert.equal(2, #client.slept)
  end)

  it("do not let a rotation be sent twice", function()
    sim:fault { operation = "create_token", status = 503, times = 9 }
    local client = client_of(password_of(simulator.admin))
    local err = fails("SERVER_ERROR",
      client:rotate_credentials(sim.clusters[1].id, { component = "all" }))
    assert.is_false(err.maybe_applied)
    assert.equal(0, count { operation = "rotate_credentials" })
  end)

  it("never go to a default host", function()
    local err = fails("NO_ENDPOINT", clients.new(sim, {
      credentials = password_of(simulator.member),
    }):list_clusters())
    assert.matches("HUAWEICLOUD_SDK_IAM_ENDPOINT", err.hint)
  end)

  it("are refused once when the project has to be looked up, too", function()
    local client = client_of(password_of(simulator.member, "wrong-example-password"),
      { region = account.region })
    client.config.project_id = nil
    fails("UNAUTHENTICATED", client:list_clusters())
    fails("UNAUTHENTICATED", client:list_clusters())
    assert.equal(1, count())
  end)

  it("give the project id when only the region is known", function()
    local client = client_of(password_of(simulator.member), { region = account.region })
    client.config.project_id = nil
    assert(client:list_clusters())
    assert.equal(sim.project_id, client.config.project_id)
  end)
end)

describe("a token", function()
  local function wait_all(client, calls)
    return cce.map(calls, function() return client:list_clusters() end, { concurrency = #calls })
  end

  local function calls_of(number)
    local list = {}
    for i = 1, number do list[i] = i end
    return list
  end

  local function all_ok(results)
    for _, result in ipairs(results) do assert(result.ok, result.message) end
  end

  it("is fetched once for a hundred calls", function()
    local client = client_of(password_of(simulator.member))
    all_ok(wait_all(client, calls_of(100)))
    assert.equal(1, count { operation = "create_token" })
    assert.equal(100, count { operation = "list_clusters", accepted = true })
  end)

  it("that has ended is renewed once for a hundred calls", function()
    local client = client_of(password_of(simulator.member))
    assert(client:list_clusters())
    sim:iam { expire = true }
    all_ok(wait_all(client, calls_of(100)))
    assert.equal(2, count { operation = "create_token" })
    assert.equal(101, count { operation = "list_clusters", accepted = true })
  end)

  it("is renewed by a rotation too, which is then sent again, once", function()
    local client = client_of(password_of(simulator.admin))
    assert(client:list_clusters())
    sim:iam { expire = true }
    assert(client:rotate_credentials(sim.clusters[1].id, { component = "all" }))
    assert.equal(2, count { operation = "rotate_credentials" })
    assert.equal(1, count { operation = "rotate_credentials", accepted = true })
  end)

  it("is renewed once a call, not for ever", function()
    local client = client_of(password_of(simulator.member))
    sim:fault { operation = "list_clusters", status = 401 }
    local err = fails("UNAUTHENTICATED", client:list_clusters())
    assert.equal(2, err.attempts)
    assert.equal(2, count { operation = "create_token" })
  end)

  it("is renewed half an hour before its end", function()
    local ahead = 0
    local client = client_of(password_of(simulator.member), {
      clock = function() return os.time() + ahead end,
    })
    assert(client:list_clusters())
    ahead = 86400 - 1800 - 60
    assert(client:list_clusters())
    assert.equal(1, count { operation = "create_token" })
    ahead = 86400 - 1800 + 60
    assert(client:list_clusters())
    assert.equal(2, count { operation = "create_token" })
  end)

  it("stays in use when IAM fails shortly before its end", function()
    local ahead = 0
    local client = client_of(password_of(simulator.member), {
      clock = function() return os.time() + ahead end,
    })
    assert(client:list_clusters())
    ahead = 86400 - 1000
    sim:fault { operation = "create_token", status = 503 }
    assert(client:list_clusters())
    assert(client:list_clusters())
    assert.equal(2, count { operation = "create_token" })
    assert.equal("SERVER_ERROR", event(client, "credentials_failed").code)
  end)

  it("fails for all who wait, with one request", function()
    local client = client_of(password_of(simulator.member, "wrong-example-password"))
    for _, result in ipairs(wait_all(client, calls_of(20))) do
      assert.equal("UNAUTHENTICATED", result.err.code)
    end
    assert.equal(1, count())
  end)

  it("is made of keys", function()
    local client = client_of(credentials.key_token {
      ak = simulator.agency.ak, sk = core.secret(simulator.agency.sk),
    })
    works_as(simulator.agency, client)
    assert.matches('"methods":%["hw_ak_sk"%]', sim:log({ operation = "create_token" })[1].body)
  end)
end)

describe("other credentials of IAM", function()
  local dir

  before_each(function() dir = tempdir.new() end)
  after_each(function() tempdir.remove(dir) end)

  local function id_token_file(text)
    tempdir.write(dir .. "/id-token", text)
    return dir .. "/id-token"
  end

  it("are a token of an ID token", function()
    works_as(simulator.member, client_of(credentials.id_token {
      idp_id = account.identity_provider.id,
      id_token_file = id_token_file(account.identity_provider.id_token .. "\n"),
    }))
    assert.equal(1, count { operation = "exchange_id_token" })
  end)

  it("are refused for another ID token, or without its file", function()
    local path = id_token_file "another-example-id-token"
    local function with(file)
      return client_of(credentials.id_token {
        idp_id = account.identity_provider.id, id_token_file = file,
      })
    end
    fails("UNAUTHENTICATED", with(path):list_clusters())
    fails("FILE_ERROR", with(dir .. "/none"):list_clusters())
    assert.equal(1, count())
  end)

  it("are the temporary keys of an agency", function()
    local client = client_of(credentials.agency {
      agency_name = account.agency.name, domain_name = account.domain_name,
      source = credentials.static { ak = simulator.admin.ak, sk = simulator.admin.sk },
    })
    works_as(simulator.agency, client)
    sim:iam { expire = true }
    assert(client:list_clusters())
    assert.equal(2, count { operation = "create_temporary_keys" })
  end)

  it("are refused for an agency that does not entrust", function()
    local client = client_of(credentials.agency {
      agency_name = "another", domain_id = account.domain_id,
      source = credentials.static { ak = simulator.admin.ak, sk = simulator.admin.sk },
    })
    fails("PERMISSION_DENIED", client:list_clusters())
    assert.equal(1, count())
  end)

  it("are the temporary keys of a token", function()
    works_as(simulator.member, client_of(credentials.temporary {
      duration = 900, source = assert(credentials.password(password_of(simulator.member))),
    }))
    fails("NO_CREDENTIALS", client_of(credentials.temporary {
      source = credentials.static { ak = "EXAMPLE", sk = "example-secret" },
    }):list_clusters())
  end)
end)

describe("a machine's metadata", function()
  local function metadata()
    return assert(credentials.metadata { test_address = sim:plain "metadata" })
  end

  it("are read with a token", function()
    works_as(simulator.agency, client_of(metadata()))
    assert.equal(1, count { operation = "metadata_token" })
    assert.equal(1, count { operation = "metadata_key" })
  end)

  it("are read without one from an older service", function()
    for _, status in ipairs { 404, 405, 503 } do
      sim:reset()
      sim:iam { metadata = "old" }
      sim:fault { operation = "metadata_token", status = status }
      works_as(simulator.agency, client_of(metadata()))
    end
  end)

  it("are asked once more when the token is not known any more", function()
    sim:fault { operation = "metadata_key", status = 401, body = "Unauthorized", times = 1 }
    works_as(simulator.agency, client_of(metadata()))
    assert.equal(2, count { operation = "metadata_token" })
  end)

  it("are nothing on a machine without an agency", function()
    sim:iam { metadata = "no_agency" }
    local err = fails("NO_CREDENTIALS", client_of(metadata()):list_clusters())
    assert.matches("agency", err.message)
    assert.equal(1, count { operation = "metadata_key" })
  end)

  it("are renewed when less than 40 minutes are left", function()
    local ahead = 0
    local client = client_of(metadata(), { clock = function() return os.time() + ahead end })
    assert(client:list_clusters())
    ahead = 86400 - 41 * 60
    sim:clock(ahead)
    assert(client:list_clusters())
    assert.equal(1, count { operation = "metadata_key" })
    ahead = 86400 - 39 * 60
    sim:clock(ahead)
    assert(client:list_clusters())
    assert.equal(2, count { operation = "metadata_key" })
  end)

  it("that come with less are not read for every call", function()
    sim:iam { key_seconds = 600 }
    local client = client_of(metadata())
    for _ = 1, 3 do assert(client:list_clusters()) end
    assert.equal(1, count { operation = "metadata_key" })
  end)

  it("make nobody wait for a service that never answers #timing", function()
    sim:fault { service = "metadata", hold = "before", times = 100 }
    local err = fails("NO_CREDENTIALS", client_of(metadata()):list_clusters())
    assert.matches("no metadata service answers", err.message)
    assert.matches("within 3 s", err.message)
  end)

  it("come from one address only", function()
    for _, address in ipairs { "http://192.0.2.1", "https://127.0.0.1", "http://example.com" } do
      local none, _, err = credentials.metadata { test_address = address }
      assert.is_nil(none)
      assert.equal("INVALID_ARGUMENT", err.code)
    end
    local purposes = {
      { "metadata", "http://169.254.169.254", true }, { "metadata", "http://127.0.0.1:8", true },
      { "metadata", "http://169.254.169.254:8080", false },
      { "metadata", "http://169.254.169.253", false },
      { "metadata", "https://169.254.169.254", false }, { "metadata", "http://example.com", false },
      { "pod", "http://169.254.1.2:80", true }, { "pod", "http://[fe80::1]", true },
      { "pod", "https://example.com", true }, { "pod", "http://example.com", false },
      { "pod", "http://10.0.0.1", false }, { "pod", "http://169.255.0.1", false },
      { "api", "http://169.254.169.254", false }, { "api", "http://[fe80::1]", false },
    }
    for _, row in ipairs(purposes) do
      assert.equal(row[3], core.endpoint(row[2], row[1]) ~= nil, row[1] .. " " .. row[2])
    end
  end)
end)

-- Each source of the environment in a process of its own.
describe("the environment", function()
  local dir

  before_each(function() dir = tempdir.new() end)
  after_each(function() tempdir.remove(dir) end)

  local function environment(changes)
    local variables = {
      CCE_ENDPOINT = sim.env.CCE_ENDPOINT, CCE_CA_FILE = sim.env.CCE_CA_FILE, HOME = dir,
      HUAWEICLOUD_SDK_IAM_ENDPOINT = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT,
      HUAWEICLOUD_SDK_PROJECT_ID = sim.project_id,
    }
    for name, value in pairs(changes or {}) do variables[name] = value or nil end
    return variables
  end

  -- The stand-in takes the place of the metadata service in the default chain.
  local CODE = [[
    local cce = require "cce"
    local metadata = require "cce.credentials.metadata"
    local real = metadata.metadata
    metadata.metadata = function() return real %q end
    local function on_event(event)
      if event.notice then print("notice: " .. event.notice) end
      if event.type == "credentials" then print("source: " .. event.source) end
    end
    local client, _, err = cce.new { proxy = false, on_event = on_event }
    local clusters
    if client then clusters, _, err = client:list_clusters() end
    if clusters then print(client, #clusters) else print(err.code .. ": " .. tostring(err)) end
  ]]

  local function says(pattern, variables, metadata)
    local output = child.run(variables, CODE:format(metadata or "http://127.0.0.1:1"))
    printed.add(output)
    assert.matches(pattern, output)
    return output
  end

  local function profile(text, mode)
    os.execute("mkdir -p " .. dir .. "/.huaweicloud")
    local path = dir .. "/.huaweicloud/credentials"
    tempdir.write(path, text)
    os.execute("chmod " .. (mode or "600") .. " " .. path)
    return path
  end

  local KEYS = ("ak = %s\nsk=%s\n"):format(simulator.member.ak, simulator.member.sk)

  it("says what each source looked for when there is nothing", function()
    local output = says("^NO_CREDENTIALS: ", environment())
    for _, text in ipairs {
      "HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK are not set",
      "no file " .. dir .. "/.huaweicloud/credentials", "no metadata service answers",
      "HC_CONTAINER_CREDENTIALS_FULL_URI", "HW_ACCESS_KEY and HW_SECRET_KEY are not set",
    } do
      assert.is_truthy(output:find(text, 1, true), text .. "\n" .. output)
    end
  end)

  it("is before the profile", function()
    profile("[basic]\n" .. KEYS)
    says("access key " .. simulator.admin.ak .. "\t5", environment {
      HUAWEICLOUD_SDK_AK = simulator.admin.ak, HUAWEICLOUD_SDK_SK = simulator.admin.sk,
    })
    says("access key " .. simulator.member.ak .. "\t5", environment())
  end)

  it("is not completed by another source", function()
    profile("[basic]\n" .. KEYS)
    says("NO_CREDENTIALS: .*HUAWEICLOUD_SDK_SK is not", environment {
      HUAWEICLOUD_SDK_AK = simulator.admin.ak,
    })
    says("NO_CREDENTIALS: .*HUAWEICLOUD_SDK_ID_TOKEN_FILE is not", environment {
      HUAWEICLOUD_SDK_IDP_ID = "sim-idp",
    })
    profile("[basic]\nak = EXAMPLE\n[global]\n" .. KEYS)
    says("NO_CREDENTIALS: .*has ak, but no sk", environment {
      HW_ACCESS_KEY = simulator.admin.ak, HW_SECRET_KEY = simulator.admin.sk,
    })
    assert.equal(0, count())
  end)

  it("may name an ID token", function()
    tempdir.write(dir .. "/id-token", account.identity_provider.id_token)
    says("source: environment\n.*\t5", environment {
      HUAWEICLOUD_SDK_IDP_ID = "sim-idp", HUAWEICLOUD_SDK_ID_TOKEN_FILE = dir .. "/id-token",
    })
  end)

  it("leads to a profile with comments, blanks and other sections", function()
    profile("\239\187\191# mine\r\n[other]\r\nak=X\r\nsk=Y\r\n[ global ]\r\n ; no\r\n"
      .. (KEYS:gsub("\n", "\r\n")) .. "project_id = " .. sim.project_id)
    says("source: profile\n.*\t5", environment { HUAWEICLOUD_SDK_PROJECT_ID = false })
  end)

  it("leads to a profile with an ID token and its IAM", function()
    tempdir.write(dir .. "/id-token", account.identity_provider.id_token)
    profile("[basic]\nidp_id=sim-idp\nid_token_file=" .. dir .. "/id-token\niam_endpoint="
      .. sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT:gsub("^https://", ""))
    says("source: profile\n.*\t5", environment { HUAWEICLOUD_SDK_IAM_ENDPOINT = false })
  end)

  it("leads to a profile that says where IAM is, to look up the project", function()
    profile("[basic]\n" .. KEYS .. "iam_endpoint=" .. sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT)
    says("source: profile\n.*\t5", environment {
      HUAWEICLOUD_SDK_IAM_ENDPOINT = false, HUAWEICLOUD_SDK_PROJECT_ID = false,
      CCE_REGION = account.region,
    })
  end)

  it("names another file", function()
    local path = profile("[basic]\n" .. KEYS)
    os.rename(path, dir .. "/mine")
    says("source: profile\n.*\t5", environment {
      HOME = "/nonexistent", HUAWEICLOUD_SDK_CREDENTIALS_FILE = dir .. "/mine",
    })
  end)

  it("refuses a profile that others can use, and says how to mend it", function()
    for _, mode in ipairs { "644", "640", "660", "602" } do
      local path = profile("[basic]\n" .. KEYS, mode)
      local output = says("^FILE_ERROR: ", environment {
        HW_ACCESS_KEY = simulator.admin.ak, HW_SECRET_KEY = simulator.admin.sk,
      })
      assert.is_truthy(output:find("chmod 600 '" .. path .. "'", 1, true), output)
    end
    os.execute(dir and "chmod 600 '" .. dir .. "/.huaweicloud/credentials'")
    says("source: profile\n.*\t5", environment())
  end)

  it("passes over a profile without keys", function()
    profile("[basic]\nproject_id = x\n")
    says("has no keys in %[basic%] or %[global%]", environment())
  end)

  it("is completed by the machine's metadata", function()
    says("source: metadata\n.*\t5", environment(), sim:plain "metadata")
  end)

  local function pod(changes)
    tempdir.write(dir .. "/pod-token", account.pod_token .. "\n")
    local variables = environment {
      HC_CONTAINER_CREDENTIALS_FULL_URI = sim:plain "pod_identity" .. "/v1/credentials",
      HC_CONTAINER_AUTHORIZATION_TOKEN_FILE = dir .. "/pod-token",
    }
    for name, value in pairs(changes or {}) do variables[name] = value or nil end
    return variables
  end

  it("leads to the identity of a pod", function()
    says("source: pod identity\n.*\t5", pod())
    says("FILE_ERROR: ", pod { HC_CONTAINER_AUTHORIZATION_TOKEN_FILE = dir .. "/none" })
    says("NO_CREDENTIALS: .*FILE is not", pod { HC_CONTAINER_AUTHORIZATION_TOKEN_FILE = false })
    says("INVALID_ARGUMENT: .*link%-local", pod {
      HC_CONTAINER_CREDENTIALS_FULL_URI = "http://example.com/v1/credentials",
    })
    tempdir.write(dir .. "/wrong", "another-example-token")
    says("UNAUTHENTICATED: ", pod { HC_CONTAINER_AUTHORIZATION_TOKEN_FILE = dir .. "/wrong" })
  end)

  it("ends with the variables of Terraform, and says so", function()
    says("notice: the keys are those of Terraform.*source: terraform\n.*\t5", environment {
      HW_ACCESS_KEY = simulator.member.ak, HW_SECRET_KEY = simulator.member.sk,
      HW_PROJECT_ID = sim.project_id, HUAWEICLOUD_SDK_PROJECT_ID = false,
    })
    assert.equal("the region is that of Terraform: HW_REGION_NAME\ncn-north-4\n", child.run(
      environment { CCE_ENDPOINT = false, HW_REGION_NAME = "cn-north-4" }, [[
        local client = require("cce").new {
          on_event = function(event) print(event.notice) end,
        }
        print(client.config.region)
      ]]))
  end)
end)

describe("a function of the user's", function()
  it("is asked at the first call, and again before the end", function()
    local asked, ahead = 0, 0
    local client = client_of(function()
      asked = asked + 1
      return { ak = simulator.member.ak, sk = simulator.member.sk, expires_at = os.time() + 900 }
    end, { clock = function() return os.time() + ahead end })
    assert.equal(0, asked)
    works_as(simulator.member, client)
    ahead = 800
    assert(client:list_clusters())
    assert.equal(1, asked)
    ahead = 850
    assert(client:list_clusters())
    assert.equal(2, asked)
  end)

  it("may wait while other calls wait for it", function()
    local asked = 0
    local client = client_of(function()
      asked = asked + 1
      cce.sleep(0.02)
      return { token = simulator.member.token }
    end)
    for _, result in ipairs(cce.map({ 1, 2, 3 }, function() return client:list_clusters() end)) do
      assert(result.ok, result.message)
    end
    assert.equal(1, asked)
  end)

  it("may fail in every way", function()
    local rows = {
      { "NO_CREDENTIALS", function() return nil, "the vault is sealed" end, "vault is sealed" },
      { "NO_CREDENTIALS", function() end, "nothing" },
      { "NO_CREDENTIALS", function() return {} end, "must return" },
      { "NO_CREDENTIALS", function() return { ak = "EXAMPLE" } end, "must return" },
      { "NO_CREDENTIALS", function() return { ak = "A", sk = "b", token = "c" } end, "must" },
      { "NO_CREDENTIALS", function() return "a" end, "something else" },
      { "NO_CREDENTIALS", function() return { AK = "A" } end, "unknown option" },
      { "RAISED", function() error "no vault" end, "no vault" },
    }
    for _, row in ipairs(rows) do
      local err = fails(row[1], client_of(row[2]):list_clusters())
      assert.matches(row[3], err.message)
    end
    assert.equal(0, count())
  end)
end)

describe("cce.credentials", function()
  it("raises for wrong use", function()
    raises("'ak' is missing", function() credentials.static { sk = "s" } end)
    raises("unknown option 'paht'", function() credentials.profile { paht = "x" } end)
    raises("'password' is missing", function()
      credentials.password { username = "u", domain = "d" }
    end)
    raises("'domain' is missing", function()
      cce.new { region = "cn-north-4", credentials = { username = "u", password = "p" } }
    end)
    raises("bad argument #1 to 'chain'", function() credentials.chain { "x" } end)
    raises("bad argument #1 to 'custom'", function() credentials.custom "x" end)
    raises("bad option 'source'", function()
      credentials.agency { agency_name = "a", domain_id = "d", source = {} }
    end)
    raises("bad option 'source'", function() credentials.temporary { source = {} } end)
    raises("'source' is missing", function() credentials.temporary {} end)
  end)

  it("refuses values out of range", function()
    fails("INVALID_ARGUMENT", credentials.agency { agency_name = "a" })
    fails("INVALID_ARGUMENT", credentials.agency {
      agency_name = "a", domain_id = "d", domain_name = "d",
    })
    fails("INVALID_ARGUMENT", credentials.agency {
      agency_name = "a", domain_id = "d", duration = 899,
    })
    fails("INVALID_ARGUMENT", credentials.profile { section = "other" })
  end)

  it("tries several in turn", function()
    works_as(simulator.member, client_of(credentials.chain {
      providers.new("empty", function() return providers.nothing "nothing here" end),
      credentials.token(simulator.member.token),
    }))
  end)

  it("shows no secret", function()
    local provider = assert(credentials.password(password_of(simulator.member)))
    assert.equal("cce.credentials: password", tostring(provider))
    printed.add(tostring(provider))
    local secrets = { "wrong-example-password", "sim-issued-", "sim-metadata-token",
      account.pod_token, account.identity_provider.id_token }
    for _, key in ipairs(account.keys) do
      for _, name in ipairs { "sk", "password", "token" } do secrets[#secrets + 1] = key[name] end
    end
    assert.is_nil(printed.find(secrets))
  end)

end)
