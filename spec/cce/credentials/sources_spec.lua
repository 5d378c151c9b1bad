-- What each source of keys makes of each answer, without a network: what comes is told by a
-- script. Each row is one in which a single term of the source's conditions decides.
local breaker = require "cce.credentials.breaker"
local core = require "cce.core"
local credentials = require "cce.credentials"
local errors = require "cce.error"
local host = require "cce.host"
local protect = require "cce.host.protect"
local providers = require "cce.credentials.provider"
local tempdir = require "spec.support.tempdir"

local exchange, getenv, from_env = host.exchange, os.getenv, core.secret_from_env
local answers, sent, open, env, dir, client, events, bodies

-- What a secret holds: what it signs.
local function same(secret, text)
  local function sign(sk)
    return assert(core.signer { ak = "A", sk = sk }):signature("20260102T030405Z", "x")
  end
  return sign(secret) == sign(text)
end

local function is_closed(secret)
  return not pcall(core.signer, { ak = "A", sk = secret })
end

-- `{status, body, headers}`, where the body is a text or a table; or `{code=}`.
local function transfer_of(answer)
  open = open + 1
  local body = type(answer[2]) == "table" and core.json.encode(answer[2]) or answer[2] or ""
  local headers, transfer = answer[3] or {}, {}
  local function secret(text) return text and text ~= "" and core.secret(text) or nil end
  function transfer.close() open = open - 1 end
  function transfer.result()
    if answer.code then return nil, "the reason", answer.code end
    return { status = answer[1], body = body, headers = headers }
  end
  function transfer.secret(_, name)
    if name then return secret(headers[name]) end
    local whole = secret(body)
    bodies[#bodies + 1] = whole
    return whole
  end
  return transfer
end

before_each(function()
  breaker.forget()
  answers, sent, open, env, dir, events = {}, {}, 0, {}, tempdir.new(), {}
  client = {
    config = { timeout = 30, endpoints = { iam = "https://iam.example", all = {} } },
    engine = function() return {} end,
    now = function() return 1e9 end,
    emit = function(_, event) events[#events + 1] = event end,
  }
  host.exchange = function(_, spec)
    sent[#sent + 1] = spec
    return transfer_of(assert(answers[#sent], "one request too many"))
  end
  os.getenv = function(name) -- luacheck: ignore
    return env[name] or name == "HOME" and dir or nil
  end
  core.secret_from_env = function(name)
    if env[name] then
      local secret, message, code = core.secret(env[name])
      env.made = secret
      return secret, message, code
    end
    return nil, name .. " is not set", "NO_CREDENTIALS"
  end
end)

after_each(function()
  host.exchange, core.secret_from_env = exchange, from_env
  os.getenv = getenv -- luacheck: ignore
  tempdir.remove(dir)
  breaker.forget()
end)

-- Ask a source, with these answers. The material, or the error.
local function ask(provider, list)
  answers, sent, open, bodies = list or {}, {}, 0, {}
  local material, message, err = provider:fetch(client)
  assert.equal(0, open)
  for _, body in ipairs(bodies) do assert.is_true(is_closed(body)) end
  assert.equal(#answers, #sent)
  if not material then assert.equal(message, err.message) end
  return material, err
end

local function private(name, text)
  local path = dir .. "/" .. name
  tempdir.write(path, text)
  tempdir.check("chmod 600 " .. path)
  return path
end

local KEYS = { credential = { access = "AK", secret = "sk", securitytoken = "st",
  expires_at = "2026-01-02T03:04:05Z" } }

local function without(name)
  local copy = {}
  for key, value in pairs(KEYS.credential) do copy[key] = value end
  copy[name] = nil
  return { credential = copy }
end

describe("a machine's metadata", function()
  local TOKEN, ANSWER = { 200, "token" }, { 200, KEYS }

  it("give keys, with a token or without", function()
    for _, row in ipairs { { TOKEN, true }, { { 404 } }, { { 405 } }, { { 503 } }, { { 400 } },
      { { 403 } }, { { 499 } } } do
      local material = assert(ask(credentials.metadata(), { row[1], ANSWER }))
      assert.same({ "AK", 1767323045, 2400, "metadata" },
        { material.ak, material.expires_at, material.margin, material.source })
      assert.is_true(same(material.sk, "sk"))
      assert.is_true(same(material.security_token, "st"))
      local token = sent[2].headers["X-Metadata-Token"]
      assert.equal(row[2], token and is_closed(token))
      for _, spec in ipairs(sent) do
        assert.same({ "metadata", "http://169.254.169.254", 3, 1, true },
          { spec.purpose, spec.endpoint, spec.timeout, spec.connect_timeout, spec.private })
      end
    end
  end)

  it("are asked for at a stand-in, in tests", function()
    assert(ask(assert(credentials.metadata { test_address = "http://127.0.0.1:1" }),
      { TOKEN, ANSWER }))
    assert.equal("http://127.0.0.1:1", sent[2].endpoint)
  end)

  it("are nothing, or are what fails, by the answer", function()
    for _, row in ipairs {
      { "NO_CREDENTIALS", { { code = "CONNECT_FAILED" } } },
      { "NO_CREDENTIALS", { { code = "TIMEOUT" } } },
      { "NO_CREDENTIALS", { { code = "CONNECTION_LOST" } } },
      { "NO_CREDENTIALS", { { code = "RESPONSE_INVALID" } } },
      { "INTERNAL", { { code = "INTERNAL" } } },
      { "UNAUTHENTICATED", { { 401 } } }, { "SERVER_ERROR", { { 500 } } },
      { "RESPONSE_INVALID", { { 300 } } }, { "RESPONSE_INVALID", { { 200, "" } } },
      { "TIMEOUT", { TOKEN, { code = "TIMEOUT" } } },
      { "NO_CREDENTIALS", { TOKEN, { 404 } } }, { "NO_CREDENTIALS", { { 404 }, { 403 } } },
      { "NO_CREDENTIALS", { TOKEN, { 500, "Please configure Cloud Service Agency" } } },
      { "SERVER_ERROR", { TOKEN, { 500 } } },
      { "UNAUTHENTICATED", { { 404 }, { 401 } } },
      { "UNAUTHENTICATED", { TOKEN, { 401 }, TOKEN, { 401 } } },
      { "SERVER_ERROR", { TOKEN, { 401 }, { 500 } } },
      { "ok", { TOKEN, { 401 }, TOKEN, ANSWER } },
      { "RESPONSE_INVALID", { TOKEN, { 200, "" } } },
      { "RESPONSE_INVALID", { TOKEN, { 200, without "access" } } },
      { "RESPONSE_INVALID", { TOKEN, { 200, without "secret" } } },
    } do
      local _, err = ask(credentials.metadata(), row[2])
      assert.equal(row[1], err and err.code or "ok")
      assert.is_nil(err and err.incomplete)
      if err then assert.is_falsy(err.maybe_applied) end
    end
  end)
end)

describe("a pod's identity", function()
  local URI, FILE = "HC_CONTAINER_CREDENTIALS_FULL_URI", "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE"
  local ANSWER = { 200, { credentials = { accessKeyId = "AK", secretAccessKey = "sk",
    securityToken = "st", expiration = "2026-01-02T03:04:05Z" } } }

  it("is asked for where its variables say", function()
    for uri, expected in pairs {
      ["https://pod.example/a/b"] = { "https://pod.example", "/a/b" },
      ["http://127.0.0.1:80/"] = { "http://127.0.0.1:80", "/" },
      ["https://pod.example"] = { "https://pod.example", "/" },
      -- The core refuses it.
      ["https://pod.example/a?b"] = { "https://pod.example/a?b", "/" },
    } do
      env[URI], env[FILE] = uri, private("token", "pod-token")
      local material = assert(ask(credentials.pod_identity(), { ANSWER }))
      assert.same({ "AK", 1767323045, 600 },
        { material.ak, material.expires_at, material.margin })
      assert.same(expected, { sent[1].endpoint, sent[1].path })
      assert.same({ "pod", "POST", 5, 5, true }, { sent[1].purpose, sent[1].method,
        sent[1].timeout, sent[1].connect_timeout, sent[1].private })
      assert.is_true(is_closed(sent[1].headers.Authorization))
    end
  end)

  it("is not the half of them, nor what is refused", function()
    local function code_of(list)
      local material, err = ask(credentials.pod_identity(), list)
      assert.is_nil(material)
      return err.code .. (err.incomplete and " incomplete" or "")
    end
    assert.equal("NO_CREDENTIALS", code_of())
    env[URI] = "https://pod.example/"
    assert.equal("NO_CREDENTIALS incomplete", code_of())
    assert.equal(("%s is set, but %s is not"):format(URI, FILE),
      select(2, ask(credentials.pod_identity())).message)
    env[FILE] = dir .. "/none"
    assert.equal("FILE_ERROR", code_of())
    env[FILE] = private("token", "pod-token")
    assert.equal("PERMISSION_DENIED", code_of { { 403 } })
    assert.equal("RESPONSE_INVALID", code_of { { 200, KEYS } })
    env[URI] = nil
    assert.equal("NO_CREDENTIALS incomplete", code_of())
    assert.equal(("%s is set, but %s is not"):format(FILE, URI),
      select(2, ask(credentials.pod_identity())).message)
  end)
end)

describe("a token of IAM", function()
  local ANSWER = { 201, { token = { expires_at = "2026-01-02T03:04:05Z",
    project = { id = "p9" } } }, { ["X-Subject-Token"] = "token" } }
  local password = { username = "u", password = "pw", domain = "d" }

  local function body()
    local parts = {}
    for i, part in ipairs(sent[1].body) do
      parts[i] = type(part) == "string" and part or "***"
    end
    return table.concat(parts)
  end

  it("is for the project, the region or the account, as far as they are known", function()
    local file = private("id-token", "id-token")
    for _, row in ipairs {
      { { project_id = "p1", region = "r1" }, nil, '{"project":{"id":"p1"}}' },
      { { region = "r1" }, nil, '{"project":{"name":"r1"}}' },
      { {}, nil, nil },
      { { project_id = "p1" }, { project_id = "p2" }, '{"project":{"id":"p2"}}' },
      { { region = "r1" }, { domain_id = "d1" }, '{"project":{"name":"r1"}}' },
      { {}, { domain_id = "d1" }, '{"domain":{"id":"d1"}}' },
      { {}, {}, nil },
    } do
      client.config.project_id, client.config.region = row[1].project_id, row[1].region
      local ids = row[2]
      local source = ids and assert(credentials.id_token { idp_id = "i", id_token_file = file,
        project_id = ids.project_id, domain_id = ids.domain_id })
        or assert(credentials.password(password))
      local material, err = ask(source, row[3] and { ANSWER })
      if row[3] then
        assert.same({ 1767323045, 1800, "p9" },
          { material.expires_at, material.margin, material.project_id })
        assert.is_true(same(material.token, "token"))
        assert.matches('"scope":' .. row[3], body(), 1, true)
        assert.is_true(source.renewable)
        if ids then assert.is_true(is_closed(sent[1].body[2])) end
        assert.equal("https://iam.example", sent[1].endpoint)
        assert.equal(30, sent[1].timeout)
      else
        assert.equal("NO_PROJECT", err.code)
        assert.is_string(err.hint)
      end
    end
  end)

  it("is what the answer has, and no more", function()
    client.config.project_id = "p1"
    local source = assert(credentials.key_token { ak = "AK", sk = "sk" })
    local HEADERS = { ["X-Subject-Token"] = "token" }
    for _, text in ipairs { "", "x", "{}" } do
      local material = assert(ask(source, { { 201, text, HEADERS } }))
      assert.equal(1e9 + 86400, material.expires_at)
      assert.is_nil(material.project_id)
    end
    for _, row in ipairs { { "RESPONSE_INVALID", { 201, ANSWER[2] } },
      { "UNAUTHENTICATED", { 401 } },
      { "SERVER_ERROR", { 500, nil, HEADERS } }, { "RESPONSE_INVALID", { 300, nil, HEADERS } },
      { "RESPONSE_INVALID", { 199, nil, HEADERS } }, { "TIMEOUT", { code = "TIMEOUT" } } } do
      local _, err = ask(source, { row[2] })
      assert.same({ row[1], false }, { err.code, err.maybe_applied or false })
    end
    client.config.endpoints = { all = {} }
    assert.equal("NO_ENDPOINT", select(2, ask(source)).code)
    local _, problem = ask(assert(credentials.agency { agency_name = "a", domain_name = "d",
      source = assert(credentials.static { ak = "AK", sk = "sk" }) }))
    assert.equal("NO_ENDPOINT", problem.code)
    _, problem = ask(assert(credentials.id_token { idp_id = "i", id_token_file = "/none",
      project_id = "p" }))
    assert.equal("NO_ENDPOINT", problem.code)
    for _, make in ipairs { credentials.password, credentials.key_token } do
      local long = ("x"):rep(70000)
      local none, _, err = make(make == credentials.password
        and { username = "u", password = long, domain = "d" } or { ak = "AK", sk = long })
      assert.is_nil(none)
      assert.equal("INVALID_ARGUMENT", err.code)
    end
    client.engine = function() return nil, "no engine", "TLS_FAILED" end
    client.config.endpoints.iam = "https://iam.example"
    assert.equal("TLS_FAILED", select(2, ask(source)).code)
  end)

  it("of a file is its owner's alone", function()
    local path = private("token", "token")
    local material = assert(ask(credentials.token_file(path)))
    assert.is_false(material.is_replaced())
    tempdir.write(path, "another token")
    assert.is_true(material.is_replaced())
    os.remove(path)
    assert.is_false(material.is_replaced())
    assert.equal("FILE_ERROR", select(2, ask(credentials.token_file(path))).code)
    local _, err = ask(assert(credentials.id_token { idp_id = "i", id_token_file = path,
      project_id = "p" }))
    assert.equal("FILE_ERROR", err.code)
  end)
end)

describe("temporary keys", function()
  local function source(material, made)
    return providers.new("base", function()
      local copy = {}
      for name, value in pairs(material) do
        copy[name] = (name == "sk" or name == "token") and core.secret(value) or value
      end
      if made then made[1] = copy.sk or copy.token end
      return copy
    end)
  end
  local ANSWER = { 201, KEYS }

  local function agency(base)
    return assert(credentials.agency { agency_name = "a", domain_name = "d", source = base })
  end

  it("are asked for with what the source has, which is wiped then", function()
    for _, row in ipairs { { { ak = "AK", sk = "sk" }, true }, { { token = "token" }, false } } do
      local made = {}
      local material = assert(ask(agency(source(row[1], made)), { ANSWER }))
      assert.equal("AK", material.ak)
      assert.equal(300, material.margin)
      assert.equal(row[2], sent[1].signer ~= nil)
      assert.equal(not row[2], sent[1].token ~= nil)
      assert.is_true(is_closed(made[1]))
      if sent[1].signer then
        assert.has_error(function() sent[1].signer:signature("20260102T030405Z", "x") end)
      end
      assert.same({ type = "credentials_request", operation = "create_temporary_keys",
        status = 201 }, events[#events])
    end
    local where = "https://other.example"
    assert(ask(agency(source { ak = "AK", sk = "sk", iam_endpoint = where }), { ANSWER }))
    assert.equal(where, sent[1].endpoint)
  end)

  it("of a token want one", function()
    local function temporary(base)
      return assert(credentials.temporary { source = base })
    end
    assert(ask(temporary(source { token = "token" }), { ANSWER }))
    local _, err = ask(temporary(source { ak = "AK", sk = "sk" }))
    assert.same({ "NO_CREDENTIALS", true }, { err.code, err.incomplete })
  end)

  it("count refusals of the key that asks for them", function()
    local REFUSED = { 401, { error_code = "1001" } }
    local provider = agency(source { ak = "AK", sk = "sk" })
    for _ = 1, 2 do assert.equal("UNAUTHENTICATED", select(2, ask(provider, { REFUSED })).code) end
    local _, err = ask(provider)
    assert.matches("^not sent", err.message)
    breaker.forget()
    for _ = 1, 3 do ask(provider, { { 500 } }) end
    ask(provider, { REFUSED })
    ask(provider, { ANSWER })
    ask(provider, { REFUSED })
    assert(ask(provider, { ANSWER }))
    assert.equal(0, breaker.gate("AK", core.secret "sk").in_flight)
    provider = agency(source { token = "token" })
    for _ = 1, 3 do ask(provider, { REFUSED }) end
    assert.equal("RESPONSE_INVALID", select(2, ask(provider, { { 201, without "secret" } })).code)
    assert.equal("NO_CREDENTIALS", select(2, ask(agency(providers.new("none", function()
      return providers.nothing "nothing"
    end)))).code)
  end)

  it("tell whether what they are made of is another one by now", function()
    local function is_replaced() return true end
    local base = source { ak = "AK", sk = "sk", is_replaced = is_replaced }
    assert.equal(is_replaced, ask(agency(base), { ANSWER }).is_replaced)
    assert.equal(is_replaced, select(2, ask(agency(base), { { 500 } })).is_replaced)
  end)
end)

describe("a chain", function()
  it("goes on after nothing, and stops at anything else", function()
    local function failing(code, incomplete)
      return providers.new("bad", function()
        return errors.fail(code, "no", { incomplete = incomplete })
      end)
    end
    local function good(material, fields)
      return providers.new("good", function() return material end, fields)
    end
    local function take(...) return ask(credentials.chain { ... }) end
    assert.equal("good", take(failing "NO_CREDENTIALS", good {}).source)
    for _, row in ipairs { { "NO_CREDENTIALS", true }, { "FILE_ERROR" }, { "TIMEOUT" } } do
      local _, err = take(failing(row[1], row[2]), good {})
      assert.same({ row[1], "bad: no", row[2] }, { err.code, err.message, err.incomplete })
    end
    local _, err = take(failing "NO_CREDENTIALS", failing "NO_CREDENTIALS")
    assert.same({ "NO_CREDENTIALS", "no credentials were found: bad: no; bad: no" },
      { err.code, err.message })
    assert.matches("^Give credentials=", err.hint)
    for _, name in ipairs { "renewable", "constant" } do
      assert.is_true(take(good({}, { [name] = true }))[name])
      assert.is_true(take(good { [name] = true })[name])
      assert.is_falsy(take(good {})[name])
    end
  end)

  it("ends at what was closed", function()
    local closed = assert(credentials.static { ak = "AK", sk = "sk" })
    closed:close()
    local _, err = ask(credentials.chain { closed })
    assert.same({ "NO_CREDENTIALS", true }, { err.code, err.incomplete })
  end)
end)

describe("what is given", function()
  it("is copied, and is named", function()
    for _, given in ipairs { { ak = "AK", sk = "sk" }, { ak = "AK", sk = "sk",
      security_token = "st" } } do
      local material = assert(ask(assert(credentials.static(given))))
      assert.same({ "AK", "static keys" }, { material.ak, material.source })
      assert.is_true(same(material.sk, "sk"))
      assert.equal(given.security_token ~= nil, material.security_token ~= nil)
    end
    local material = assert(ask(credentials.token "token"))
    assert.equal("a token", material.source)
    assert.is_true(same(material.token, "token"))
    local none, _, err = credentials.static { ak = "AK", sk = ("x"):rep(70000) }
    assert.is_nil(none)
    assert.equal("INVALID_ARGUMENT", err.code)
  end)
end)

describe("the environment", function()
  local function set(names, values)
    for i, name in ipairs(names) do env[name] = values[i] or nil end
  end

  it("has both halves of a key, or none", function()
    for make, names in pairs {
      [credentials.environment] = { "HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK",
        "HUAWEICLOUD_SDK_SECURITY_TOKEN" },
      [require("cce.credentials.environment").terraform] = { "HW_ACCESS_KEY", "HW_SECRET_KEY",
        "HW_SECURITY_TOKEN" },
    } do
      set(names, { "AK", "sk", "st" })
      local material = assert(ask(make()))
      assert.equal("AK", material.ak)
      assert.is_true(same(material.sk, "sk"))
      assert.is_true(same(material.security_token, "st"))
      set(names, { "AK", "sk" })
      assert.is_nil(assert(ask(make())).security_token)
      for _, row in ipairs { { { "AK" }, true, 1, 2 }, { { false, "sk" }, true, 2, 1 },
        { { "", "sk" }, true, 2, 1 }, { {}, nil }, { { false, false, "st" }, nil } } do
        set(names, { row[1][1], row[1][2], row[1][3] })
        env.made = nil
        local _, err = ask(make())
        assert.same({ "NO_CREDENTIALS", row[2] }, { err.code, err.incomplete })
        if env.made then assert.is_true(is_closed(env.made)) end
        if row[2] then
          assert.equal(("%s is set, but %s is not"):format(names[row[3]], names[row[4]]),
            err.message)
        end
      end
      set(names, { "\239\187\191AK", "sk" })
      assert.equal("AK", assert(ask(make())).ak)
      for _, values in ipairs { { "AK", ("x"):rep(70000) }, { "AK", "sk", ("x"):rep(70000) } } do
        set(names, values)
        local _, err = ask(make())
        assert.equal("INVALID_ARGUMENT", err.code)
        assert.matches("^" .. names[#values] .. " cannot be used: ", err.message)
      end
      set(names, {})
    end
  end)

  it("may have an ID token instead of keys, and both halves of it", function()
    local names = { "HUAWEICLOUD_SDK_IDP_ID", "HUAWEICLOUD_SDK_ID_TOKEN_FILE" }
    local file = private("id-token", "id-token")
    client.config.project_id = "p1"
    set(names, { "idp", file })
    local material = assert(ask(credentials.environment(), { { 201, "{}", {
      ["X-Subject-Token"] = "token" } } }))
    assert.is_true(material.renewable)
    assert.equal("idp", sent[1].headers["X-Idp-Id"])
    for i = 1, 2 do
      set(names, { i == 1 and "idp", i == 2 and file })
      local _, err = ask(credentials.environment())
      assert.same({ "NO_CREDENTIALS", true }, { err.code, err.incomplete })
      assert.equal(("%s is set, but %s is not"):format(names[i], names[3 - i]), err.message)
    end
    -- Keys come first, and are there without a network.
    set(names, { "idp", file })
    assert.is_false(credentials.environment().needs_nothing)
    env.HUAWEICLOUD_SDK_AK, env.HUAWEICLOUD_SDK_SK = "AK", "sk"
    assert.equal("AK", assert(ask(credentials.environment())).ak)
    assert.is_true(credentials.environment().needs_nothing)
    for _, half in ipairs { { nil, "sk" }, { "AK", nil } } do
      env.HUAWEICLOUD_SDK_AK, env.HUAWEICLOUD_SDK_SK = half[1], half[2]
      assert.is_true(credentials.environment().needs_nothing)
    end
  end)
end)

describe("a profile", function()
  local function profile(text, opts)
    private("profile", text)
    local given = { path = dir .. "/profile" }
    for name, value in pairs(opts or {}) do given[name] = value end
    return assert(credentials.profile(given))
  end

  it("is its section's, which is whole", function()
    for _, row in ipairs {
      { "[basic]\nak=A\nsk=s", "A" }, { "[global]\nak=B\nsk=s", "B" },
      { "[basic]\nak=A\nsk=s\n[global]\nak=B\nsk=s", "A" },
      { "[basic]\nak=A\nsk=s\n[global]\nak=B\nsk=s", "B", section = "global" },
      { "[basic]\nother=1\n[global]\nak=B\nsk=s", "B" },
      { "[basic]\nak=A\n[global]\nak=B\nsk=s", "[basic] has ak, but no sk" },
      { "[basic]\nsk=s", "[basic] has sk, but no ak" },
      { "[basic]\nidp_id=i", "[basic] has idp_id, but no id_token_file" },
      { "[basic]\nid_token_file=f", "[basic] has id_token_file, but no idp_id" },
      { "[basic]\nak=A\nsk=s", "no keys in [global]", section = "global" },
      { "[other]\nak=A\nsk=s", "no keys in [basic] or [global]" },
    } do
      local material, err = ask(profile(row[1], { section = row.section }))
      if material then
        assert.equal(row[2], material.ak)
        assert.is_false(material.is_replaced())
      else
        assert.equal("NO_CREDENTIALS", err.code)
        assert.matches(row[2], err.message, 1, true)
        assert.equal(row[2]:find "^no keys" == nil, err.incomplete or false)
      end
    end
  end)

  it("has what belongs to its keys", function()
    local material = assert(ask(profile("[basic]\nak=A\nsk=s\nsecurity_token=t\nproject_id=p\n"
      .. "iam_endpoint=iam.example")))
    assert.is_true(same(material.security_token, "t"))
    assert.same({ "p", "https://iam.example" }, { material.project_id, material.iam_endpoint })
    material = assert(ask(profile "[basic]\nak=A\nsk=s\niam_endpoint=http://127.0.0.1:1"))
    assert.same({ nil, "http://127.0.0.1:1" }, { material.project_id, material.iam_endpoint })
    assert.is_nil(assert(ask(profile "[basic]\nak=A\nsk=s")).iam_endpoint)
    local file = private("id-token", "id-token")
    material = assert(ask(profile("[basic]\nidp_id=i\niam_endpoint=iam2.example\nproject_id=p1\n"
      .. "id_token_file=" .. file), { { 201, { token = { project = { id = "p9" } } },
      { ["X-Subject-Token"] = "t" } } }))
    assert.same({ "p1", "https://iam2.example" }, { material.project_id, sent[1].endpoint })
    client.config.region = "r1"
    material = assert(ask(profile("[basic]\nidp_id=i\nid_token_file=" .. file), { { 201,
      { token = { project = { id = "p9" } } }, { ["X-Subject-Token"] = "t" } } }))
    assert.equal("p9", material.project_id)
  end)

  it("is looked for where it was named, in a variable or at home", function()
    local source = assert(credentials.profile())
    local _, err = ask(source)
    assert.same({ "NO_CREDENTIALS", "there is no file " .. dir .. "/.huaweicloud/credentials" },
      { err.code, err.message })
    tempdir.check(("mkdir %s/.huaweicloud"):format(dir))
    private(".huaweicloud/credentials", "[basic]\nak=HOME\nsk=s")
    assert.equal("HOME", assert(ask(source)).ak)
    env.HUAWEICLOUD_SDK_CREDENTIALS_FILE = private("named", "[basic]\nak=NAMED\nsk=s")
    assert.equal("NAMED", assert(ask(source)).ak)
    env.HUAWEICLOUD_SDK_CREDENTIALS_FILE = nil
    local home = os.getenv
    os.getenv = function() end -- luacheck: ignore
    _, err = ask(source)
    os.getenv = home -- luacheck: ignore
    assert.matches("nor HOME is set", err.message)
    tempdir.check(("chmod 640 %s/.huaweicloud/credentials"):format(dir))
    _, err = ask(source)
    assert.equal("FILE_ERROR", err.code)
    assert.equal(("Mend it with: chmod 600 '%s/.huaweicloud/credentials'"):format(dir), err.hint)
    assert.equal("FILE_ERROR", select(2, ask(assert(credentials.profile { path = private("f", "x")
      .. "/below" }))).code)
    private(".huaweicloud/credentials", "")
    _, err = ask(source)
    assert.equal("FILE_ERROR", err.code)
    assert.is_nil(err.hint)
  end)
end)

describe("a function of the user's", function()
  it("gives a key or a token, whole, and copies of both", function()
    for _, row in ipairs {
      { { ak = "A", sk = "s" } }, { { token = "t" } },
      { { ak = "A", sk = "s", security_token = "x" } },
      { { sk = "s" }, "must return" }, { { ak = "A" }, "must return" }, { {}, "must return" },
      { { token = "t", ak = "A", sk = "s" }, "must return" },
      { { token = "t", sk = "s" }, "must return" }, { { ak = "A", sk = 7 }, "something else" },
      { { ak = "A", sk = "" }, "empty" },
    } do
      local material, err = ask(credentials.custom(function() return row[1] end))
      if row[2] then
        assert.matches(row[2], err.message)
      else
        for name, value in pairs(row[1]) do
          assert.is_true(name == "ak" and material.ak == value or same(material[name], value))
        end
      end
    end
    local own = core.secret "s"
    local material = assert(ask(credentials.custom(function() return { ak = "A", sk = own } end)))
    own:close()
    assert.is_true(same(material.sk, "s"))
    local function code_of(...)
      local given = { ... }
      return select(2, ask(credentials.custom(function()
        return (table.unpack or unpack)(given, 1, 3)
      end))).code
    end
    assert.equal("TIMEOUT", code_of(nil, "late", errors.new("TIMEOUT", "late")))
    assert.equal("NO_CREDENTIALS", code_of(nil, "none"))
    assert.equal("NO_CREDENTIALS", code_of(nil, "none", { code = "TIMEOUT" }))
  end)

  it("raise Ctrl-C on that comes while they are asked", function()
    local provider = credentials.custom(function() error(protect.INTERRUPT, 0) end)
    assert.same({ false, protect.INTERRUPT }, { pcall(ask, provider) })
  end)
end)
