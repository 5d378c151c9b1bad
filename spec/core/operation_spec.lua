local core = require "cce.core"
local pki = require "spec.support.peer.pki"

local NOW, DAY = pki.NOW, pki.DAY
local IDS = { project_id = "p-1", cluster_id = "c-1", job_id = "j-1" }
local CLUSTER = "/api/v3/projects/p-1/clusters/c-1"
local MEGABYTE = 1048576
local base64 = pki.base64

local function body_of(name, fields)
  local request = assert(core.operation(name, IDS, fields, NOW))
  return core.json.decode(request.body), request
end

local function assert_refused(pattern, name, fields, ids)
  local request, message, code = core.operation(name, ids or IDS, fields, NOW)
  assert.is_nil(request)
  assert.equal("INVALID_ARGUMENT", code)
  assert.is_nil(message:find("%c"))
  assert.matches(pattern, message)
  return message
end

local function assert_raises(pattern, name, fields, ids, now)
  local ok, message = pcall(core.operation, name, ids or IDS, fields, now or NOW)
  assert.is_false(ok)
  assert.matches(pattern, message)
end

describe("core.operations", function()
  it("lists every call", function()
    local names = {}
    for name, row in pairs(core.operations) do
      names[#names + 1] = name
      assert.equal(row.method == "POST", row.mutating)
      assert.matches("^cce:%a+:%a+$", row.action)
      assert.matches(name:find "autopilot" and "^/autopilot/v3/projects/{project_id}/"
        or "^/api/v3/projects/{project_id}/", row.path)
    end
    table.sort(names)
    assert.same({
      "list_autopilot_clusters",
      "list_clusters",
      "obtain_autopilot_cert",
      "obtain_cert",
      "revoke_cert",
      "rotate_credentials",
      "show_autopilot_cluster",
      "show_autopilot_job",
      "show_cluster",
      "show_job",
    }, names)
    assert.same({ "duration", "expire_at" }, core.operations.obtain_cert.fields)
  end)
end)

describe("core.operation", function()
  it("makes the requests of the API's documents", function()
    local body, request = body_of("obtain_cert", { duration = 30 })
    assert.same({ duration = 30 }, body)
    request.body = nil
    assert.same({
      operation = "obtain_cert",
      method = "POST",
      path = CLUSTER .. "/clustercert",
      mutating = true,
    }, request)
    body, request = body_of("revoke_cert", { user_id = "0123456789abcdef" })
    assert.same({ userId = "0123456789abcdef" }, body)
    assert.equal(CLUSTER .. "/clustercertrevoke", request.path)
    body, request = body_of("rotate_credentials", { component = "service-account-controller" })
    assert.same({ component = "service-account-controller" }, body)
    assert.equal(CLUSTER .. "/rotatecredentials", request.path)
  end)

  it("makes the requests that only read", function()
    assert.same({
      operation = "show_job",
      method = "GET",
      path = "/api/v3/projects/p-1/jobs/j-1",
      mutating = false,
    }, core.operation("show_job", IDS))
    assert.same({
      operation = "show_cluster",
      method = "GET",
      path = CLUSTER,
      query = { { "detail", "true" } },
      mutating = false,
    }, core.operation("show_cluster", IDS, {}))
    assert.same({
      operation = "list_clusters",
      method = "GET",
      path = "/api/v3/projects/p-1/clusters",
      mutating = false,
    }, core.operation("list_clusters", { project_id = "p-1" }))
  end)

  it("takes the system's clock when no time is given", function()
    local soon, now = { expire_at = os.time() + 3600 }, os.time()
    assert.is_truthy(core.operation("obtain_cert", IDS, soon))
    assert.is_nil((core.operation("obtain_cert", IDS, soon, now - 6 * 365 * DAY)))
    assert.is_nil((core.operation("obtain_cert", IDS, soon, now + 3600)))
  end)

  it("raises for wrong use", function()
    assert_raises("no such operation", "delete_everything")
    assert_raises("no such operation", "")
    assert_raises("no such operation", "obtain_cert\0x")
    assert_raises("string expected", 1)
    assert_raises("table expected", "obtain_cert", { duration = 1 }, "c-1")
    assert_raises("table expected", "obtain_cert", "duration")
    assert_raises("number expected", "obtain_cert", { duration = 1 }, IDS, "now")
    assert_raises("not a unix time", "obtain_cert", { duration = 1 }, IDS, 0 / 0)
    assert_raises("not a unix time", "obtain_cert", { duration = 1 }, IDS, -1)
    assert_raises("not a unix time", "obtain_cert", { duration = 1 }, IDS, 1e300)
  end)

  it("raises for unknown options, and for ids that are missing or no strings", function()
    assert_raises("unknown option 'durations'", "obtain_cert", { durations = 1 })
    assert_raises("unknown option 'duration'", "show_job", { duration = 1 })
    assert_raises("must be a string", "obtain_cert", { 30 })
    assert_raises(
      "unknown option 'cluster'", "show_cluster", {}, { project_id = "p", cluster = "c" }
    )
    assert_raises("'project_id' %(string expected, got nil", "show_job", {}, { job_id = "j" })
    assert_raises("'job_id' %(string expected, got nil", "show_job", {}, { project_id = "p" })
    assert_raises(
      "'job_id' %(string expected, got number", "show_job", {}, { project_id = "p", job_id = 1 }
    )
  end)
end)

describe("ids", function()
  local function with(id)
    return { project_id = "p-1", cluster_id = id }
  end

  it("may be what the API's ids are", function()
    for _, id in ipairs {
      "a",
      "7",
      "0c97ac3c-9dd9-11ee-8dcb-0255ac100b06",
      "A.b_c-D",
      "a.b.c.",
      ("x"):rep(128),
    } do
      assert.equal(
        "/api/v3/projects/p-1/clusters/" .. id,
        assert(core.operation("show_cluster", with(id))).path
      )
      assert.is_true(core.is_id(id))
    end
  end)

  it("are refused when they could change the request", function()
    for _, id in ipairs {
      "",
      ("x"):rep(129),
      "..",
      "a..b",
      ".a",
      "-a",
      "_a",
      "a/b",
      "a b",
      " a",
      "a ",
      "a\r\nX-Evil: 1",
      "a\n",
      "a\0b",
      "a%2e",
      "a?b",
      "a#b",
      "a:b",
      "\195\164",
      "a\255",
    } do
      assert_refused(
        "^cluster_id is \".*; it must be an id: 1 to 128 letters", "show_cluster", {}, with(id)
      )
      assert_refused("^user_id is", "revoke_cert", { user_id = id })
      assert.is_false(core.is_id(id))
      assert_refused("^agency_id is", "revoke_cert", { agency_id = id })
    end
  end)

  it("are strings", function()
    assert.is_false(core.is_id(1))
    assert.is_false(core.is_id(nil))
    assert.is_false(core.is_id())
  end)

  it("are shown safely and shortened", function()
    local message = assert_refused(
      "", "show_cluster", {}, with("a\r\n\27[2J\"\\~\127\155" .. ("y"):rep(5000))
    )
    assert.is_truthy(message:find('"a\\x0d\\x0a\\x1b[2J\\x22\\x5c~\\x7f\\x9byyy', 1, true))
    assert.is_truthy(message:find('yyy"...;', 1, true))
    assert.is_true(#message < 300)
    assert.is_true(#assert_refused("", "show_cluster", {}, with(("\0"):rep(500))) < 400)
  end)
end)

describe("obtain_cert", function()
  it("takes a duration of -1 or 1 to 1827 days", function()
    for _, days in ipairs { -1, 1, 2, 1826, 1827 } do
      local request = assert(core.operation("obtain_cert", IDS, { duration = days }, NOW))
      assert.equal('{"duration":' .. ("%d"):format(days) .. "}", request.body)
    end
    local huge = 1 / 0
    local wrong = { -2, 0, 1828, 2 ^ 31, 2 ^ 53, 2 ^ 63, 1e300, -1e300, huge, -huge, 0 / 0 }
    for _, days in ipairs(wrong) do
      assert_refused("^duration is .*1 to 1827, or %-1", "obtain_cert", { duration = days })
    end
  end)

  it("names the value it refuses", function()
    assert_refused("^duration is 0; it must be", "obtain_cert", { duration = 0 })
    assert_refused("^duration is 30.5; it must be", "obtain_cert", { duration = 30.5 })
    assert_refused(
      "^duration is not a number %(NaN%); it must be", "obtain_cert", { duration = -(0 / 0) }
    )
  end)

  it("sends whole floats as integers and refuses fractions", function()
    local request = assert(core.operation("obtain_cert", IDS, { duration = 60 / 2 }, NOW))
    assert.equal('{"duration":30}', request.body)
    for _, days in ipairs { 0.5, 1.5, -0.5, -1.5, 1826.999999, 1827.000001 } do
      assert_refused("whole number", "obtain_cert", { duration = days })
    end
  end)

  it("takes a time from 15 minutes to five years ahead, in the API's form", function()
    local wire = {
      [900] = "2030-01-01 00:15:00 +0000 UTC",
      [901] = "2030-01-01 00:15:01 +0000 UTC",
      [DAY] = "2030-01-02 00:00:00 +0000 UTC",
      [1827 * DAY - 1] = "2035-01-01 23:59:59 +0000 UTC",
      [1827 * DAY] = "2035-01-02 00:00:00 +0000 UTC",
    }
    for seconds, date in pairs(wire) do
      assert.same({ expire_at = date }, (body_of("obtain_cert", { expire_at = NOW + seconds })))
    end
    for _, seconds in ipairs { -1, 0, 899, 1827 * DAY + 1, 1e15, 1 / 0, -1 / 0, 0 / 0, 900.5 } do
      local message = assert_refused("^expire_at is ", "obtain_cert", { expire_at = NOW + seconds })
      assert.is_truthy(message:find(("now %d to %d"):format(NOW + 900, NOW + 1827 * DAY), 1, true))
    end
  end)

  it("judges times by whole seconds of the given clock", function()
    assert.is_truthy(core.operation("obtain_cert", IDS, { expire_at = NOW + 900 }, NOW + 0.9))
    assert.is_nil((core.operation("obtain_cert", IDS, { expire_at = NOW + 900 }, NOW + 1.1)))
  end)

  it("sends both, each checked", function()
    assert.same(
      { duration = 1, expire_at = "2030-01-01 01:00:00 +0000 UTC" },
      (body_of("obtain_cert", { duration = 1, expire_at = NOW + 3600 }))
    )
    assert_refused("^duration", "obtain_cert", { duration = 0, expire_at = NOW + 3600 })
    assert_refused("^expire_at", "obtain_cert", { duration = 1, expire_at = NOW })
  end)

  it("sends Autopilot whole days that end in time: it knows no other end", function()
    local function days(fields)
      return body_of("obtain_autopilot_cert", fields).duration
    end
    assert.same({ duration = -1 }, (body_of("obtain_autopilot_cert", { duration = -1 })))
    for seconds, expected in pairs { [DAY] = 1, [2 * DAY - 1] = 1, [2 * DAY] = 2,
      [1827 * DAY] = 1827 } do
      assert.equal(expected, days { expire_at = NOW + seconds })
    end
    -- expire_at wins, as CCE has it.
    assert.same({ duration = 2 },
      (body_of("obtain_autopilot_cert", { duration = 9, expire_at = NOW + 2 * DAY })))
    for _, seconds in ipairs { -1, 0, DAY - 1, 1827 * DAY + 1, DAY + 0.5, 1 / 0, 0 / 0 } do
      assert_refused("^expire_at is .*whole days only", "obtain_autopilot_cert",
        { expire_at = NOW + seconds })
    end
    assert_refused("^duration", "obtain_autopilot_cert",
      { duration = 0, expire_at = NOW + 2 * DAY })
    assert_refused("^duration or expire_at is required", "obtain_autopilot_cert", {})
  end)

  it("demands one of them: there is no default", function()
    for _, fields in ipairs { {}, false } do
      local message = assert_refused(
        "^duration or expire_at is required", "obtain_cert", fields or nil
      )
      assert.matches("no default lifetime of five years", message)
      assert.matches("1 to 1827", message)
      assert.matches("15 minutes", message)
    end
  end)

  it("raises for wrong types", function()
    assert_raises("'duration' %(number expected, got string", "obtain_cert", { duration = "30" })
    assert_raises("'duration' %(number expected, got boolean", "obtain_cert", { duration = true })
    assert_raises("'expire_at' %(number expected, got table", "obtain_cert", { expire_at = {} })
  end)
end)

describe("revoke_cert", function()
  it("takes exactly one of user_id and agency_id", function()
    assert.same({ userId = "u" }, (body_of("revoke_cert", { user_id = "u" })))
    assert.same({ agencyId = "a" }, (body_of("revoke_cert", { agency_id = "a" })))
    assert_refused("exactly one.*neither is given", "revoke_cert", {})
    assert_refused("exactly one.*both are given", "revoke_cert", { user_id = "u", agency_id = "a" })
  end)

  it("raises for wrong types", function()
    assert_raises("'user_id' %(string expected, got number", "revoke_cert", { user_id = 12 })
    assert_raises("'agency_id' %(string expected, got table", "revoke_cert", { agency_id = {} })
  end)
end)

describe("list_clusters", function()
  it("puts its options into the query, in a fixed order", function()
    local fields = { version = "v1.28", type = "ARM64", status = "Available", detail = true }
    assert.same({
      { "detail", "true" },
      { "status", "Available" },
      { "type", "ARM64" },
      { "version", "v1.28" },
    }, core.operation("list_clusters", IDS, fields).query)
    assert.same(
      { { "detail", "false" } }, core.operation("list_clusters", IDS, { detail = false }).query
    )
    assert.is_truthy(core.operation("list_clusters", IDS, { type = "VirtualMachine" }))
    assert.is_truthy(core.operation("list_clusters", IDS, { status = ("x"):rep(64) }))
  end)

  it("refuses what cannot be meant", function()
    assert_refused(
      "^type is \"arm64\"; it must be VirtualMachine or ARM64", "list_clusters", { type = "arm64" }
    )
    assert_refused("^status is", "list_clusters", { status = "" })
    assert_refused("^status is", "list_clusters", { status = ("x"):rep(65) })
    assert_refused("^version is", "list_clusters", { version = "v1 28" })
    assert_refused("^version is", "list_clusters", { version = "v1.28\r\n" })
    assert_refused("^version is", "list_clusters", { version = "v1\127" })
    assert_refused("^version is", "list_clusters", { version = "v1\195\169" })
    assert_raises("'detail' %(boolean expected, got string", "list_clusters", { detail = "true" })
    assert_raises("'version' %(string expected, got number", "list_clusters", { version = 1.28 })
  end)
end)

describe("rotate_credentials", function()
  it("demands a known component", function()
    assert_refused(
      "^component is required: it must be all, service%-account%-controller or custom",
      "rotate_credentials",
      {}
    )
    assert_refused(
      '^component is "ALL"; it must be all, serv', "rotate_credentials", { component = "ALL" }
    )
    assert_refused('^component is ""', "rotate_credentials", { component = "" })
    assert_refused('^component is "all', "rotate_credentials", { component = "all\0" })
    assert_raises(
      "'component' %(string expected, got boolean", "rotate_credentials", { component = true }
    )
  end)

  it("takes 0 to 8784 hours, and sends 0", function()
    for _, hours in ipairs { 0, 1, 24, 8783, 8784 } do
      local fields = { component = "all", certificate_expiration_time = hours }
      assert.same(
        { component = "all", certificateExpirationTime = hours },
        (body_of("rotate_credentials", fields))
      )
    end
    for _, hours in ipairs { -1, 8785, 0.5, 8784.5, 1e300, 0 / 0 } do
      assert_refused(
        "^certificate_expiration_time is .*hours from 0 to 8784",
        "rotate_credentials",
        { component = "all", certificate_expiration_time = hours }
      )
    end
  end)
end)

describe("rotate_credentials with cert_content", function()
  local ca = pki.authority("Test CA")
  local proxy = pki.issue(ca, { subject = { { "CN", "front-proxy" } } })
  local other_ca = pki.authority("Test CA") -- of the same name, but another key
  local subordinate = pki.issue(ca, { subject = { { "CN", "Sub CA" } }, ca = true })
  local below = pki.issue(subordinate, { subject = { { "CN", "front-proxy" } } })

  local function content(changes)
    local made = { ca = ca.pem, cert = proxy.pem, private_key = proxy.key }
    for key, value in pairs(changes or {}) do
      made[key] = value or nil
    end
    return { component = "custom", cert_content = made }
  end

  local function assert_accepted(changes)
    assert(core.operation("rotate_credentials", IDS, content(changes), NOW))
  end

  local function assert_content_refused(pattern, changes)
    local message = assert_refused(pattern, "rotate_credentials", content(changes))
    for _, key in ipairs { proxy.key, below.key, pki.fixture("rsa.pem") } do
      for line in key:gmatch("[^\n]+") do
        if not line:find("-----", 1, true) then
          assert.is_nil(message:find(line:sub(1, 12), 1, true))
        end
      end
    end
    return message
  end

  it("sends Base64 of the PEM, whether PEM or Base64 was given", function()
    local expected = {
      component = "custom",
      certContent = {
        ca = base64(ca.pem),
        cert = base64(proxy.pem),
        privateKey = base64(proxy.key),
      },
    }
    assert.same(expected, (body_of("rotate_credentials", content())))
    assert.same(
      expected,
      (body_of("rotate_credentials", content {
        ca = base64(ca.pem),
        cert = base64(proxy.pem):gsub(("."):rep(76), "%0\n"),
        private_key = "\n" .. base64(proxy.key) .. "\r\n",
      }))
    )
  end)

  it("accepts CA bundles, intermediates and a subordinate CA as the CA", function()
    assert_accepted { ca = other_ca.pem .. ca.pem }
    assert_accepted { cert = below.pem .. subordinate.pem, private_key = below.key }
    assert_accepted { ca = ca.pem .. subordinate.pem, cert = below.pem, private_key = below.key }
    assert_accepted { ca = subordinate.pem, cert = below.pem, private_key = below.key }
  end)

  it("accepts RSA keys, and keys after their EC parameters", function()
    local rsa = pki.issue(ca, { key = pki.fixture("rsa.pem") })
    local ec = pki.issue(ca, { key = pki.fixture("ec.pem") })
    assert_accepted { cert = rsa.pem, private_key = rsa.key }
    assert_accepted { cert = rsa.pem, private_key = pki.fixture("rsa_traditional.pem") }
    assert_accepted { cert = ec.pem, private_key = pki.fixture("ec_with_parameters.pem") }
  end)

  it("is mandatory for custom, each part of it, and refused otherwise", function()
    assert_refused("^cert_content.ca is required", "rotate_credentials", { component = "custom" })
    assert_content_refused("^cert_content.ca is required", { ca = false })
    assert_content_refused("^cert_content.cert is required", { cert = false })
    assert_content_refused("^cert_content.private_key is required", { private_key = false })
    local fields = content()
    fields.component = "all"
    assert_refused(
      '^cert_content.ca is only for component "custom", and component is "all"',
      "rotate_credentials",
      fields
    )
  end)

  it("raises for wrong types and unknown members", function()
    local function raises(pattern, value)
      assert_raises(pattern, "rotate_credentials", { component = "custom", cert_content = value })
    end
    raises("'cert_content' %(table expected, got string", "PEM")
    raises("unknown option 'cert_content.key'", { key = "x" })
    raises("'cert_content.ca' %(string expected, got number", { ca = 1 })
    raises("'cert_content.private_key' %(string expected, got boolean", { private_key = true })
    raises("must be a string", { "x" })
    assert_raises(
      "unknown option 'cert_content.ca'", "rotate_credentials", { ["cert_content.ca"] = "x" }
    )
    assert_raises("unknown option 'cert'", "rotate_credentials", { cert = "x" })
  end)

  it("takes up to one megabyte of Base64 for each part", function()
    local function padded(pem, length)
      local line = ("#"):rep(60) .. "\n"
      local text = line:rep(math.ceil(length / #line)):sub(1, length - #pem - 1) .. "\n" .. pem
      assert(#text == length)
      return text
    end
    local most = MEGABYTE / 4 * 3
    for name, pem in pairs { ca = ca.pem, cert = proxy.pem, private_key = proxy.key } do
      local encoded = base64(padded(pem, most))
      assert.equal(MEGABYTE, #encoded)
      assert_accepted { [name] = padded(pem, most - 1) }
      assert_accepted { [name] = padded(pem, most) }
      assert_accepted { [name] = encoded .. "\n" }
      for _, text in ipairs {
        padded(pem, most + 1),
        base64(padded(pem, most + 1)),
        encoded .. "A",
        ("A"):rep(MEGABYTE + 1),
        ("A"):rep(8 * MEGABYTE),
      } do
        assert_content_refused(
          "^cert_content." .. name .. " is %d+ bytes in Base64; at most 1048576 are allowed",
          { [name] = text }
        )
      end
    end
  end)

  it("refuses encrypted keys", function()
    local rsa = pki.issue(ca, { key = pki.fixture("rsa.pem") })
    for _, name in ipairs { "rsa_encrypted.pem", "rsa_dek_info.pem", "ec_dek_info.pem" } do
      assert_content_refused(
        "^cert_content.private_key: the private key is encrypted",
        { cert = rsa.pem, private_key = pki.fixture(name) }
      )
    end
  end)

  it("refuses a key that does not match", function()
    assert_content_refused("^cert_content.private_key: .*does not belong", { private_key = ca.key })
    assert_content_refused("does not belong", { private_key = pki.fixture("rsa.pem") })
  end)

  it("refuses a certificate of another CA", function()
    local pattern = "^cert_content.cert: the certificate was not issued by this CA"
    assert_content_refused(pattern, { ca = other_ca.pem })
    assert_content_refused(pattern, { ca = pki.authority("Other CA").pem })
    assert_content_refused(pattern, { cert = below.pem, private_key = below.key })
    local own = pki.issue(nil, { subject = { { "CN", "self" } } })
    assert_content_refused(pattern, { cert = own.pem, private_key = own.key })
  end)

  it("refuses a certificate whose issuer is no CA", function()
    local impostor = pki.issue(proxy, { subject = { { "CN", "front-proxy" } } })
    assert_content_refused("not issued by this CA", {
      cert = impostor.pem .. proxy.pem,
      private_key = impostor.key,
    })
  end)

  it("refuses the certificate itself in the place of its CA", function()
    assert_content_refused("is the certificate itself", { ca = proxy.pem })
  end)

  it("refuses what is not valid now, and says until or from when", function()
    local function dated(options)
      local made = pki.issue(options.issuer or ca, options)
      return { ca = (options.issuer or ca).pem, cert = made.pem, private_key = made.key }
    end
    assert_accepted(dated { not_after = NOW + 1 })
    assert_accepted(dated { not_before = NOW })
    assert_content_refused(
      "^cert_content.cert: the certificate expired on 2029%-12%-31 23:59:59 UTC",
      dated { not_after = NOW - 1 }
    )
    assert_content_refused(
      "^cert_content.cert: the certificate is not valid before 2030%-01%-01 00:00:01 UTC",
      dated { not_before = NOW + 1 }
    )
    -- Whichever of the CAs is looked at first: a date tells more than another issuer.
    for pattern, options in pairs { ["expired on"] = { not_after = NOW - 1 },
      ["not valid before"] = { not_before = NOW + 1 } } do
      local one = dated(options)
      for _, bundle in ipairs { other_ca.pem .. ca.pem, ca.pem .. other_ca.pem } do
        one.ca = bundle
        assert_content_refused(pattern, one)
      end
    end
    local old = pki.authority("Old CA", { not_after = NOW - DAY })
    assert_content_refused(
      'the issuing certificate "CN=Old CA" expired on 2029%-12%-31', dated { issuer = old }
    )
  end)

  it("shortens a long name between characters", function()
    local name = { { "O", "x" .. ("\228"):rep(60) }, { "CN", ("\228"):rep(60) } }
    local old = pki.issue(nil, { subject = name, ca = true, not_after = NOW - DAY })
    local made = pki.issue(old, {})
    local message = assert_content_refused(
      "expired on",
      { ca = old.pem, cert = made.pem, private_key = made.key }
    )
    local shown = message:match('"(.-)"')
    assert.is_true(#shown <= 100 and #shown > 90)
    assert.equal("", (shown:gsub("\195\164", ""):gsub("^CN=[,O=x]*", "")))
  end)

  it("refuses texts that are not what they should be", function()
    assert_content_refused("^cert_content.ca: the certificate is empty", { ca = "" })
    assert_content_refused("^cert_content.ca: .*neither PEM nor Base64", { ca = "/etc/ca.pem" })
    assert_content_refused("^cert_content.ca: .*damaged or cut off", { ca = "-----BEGIN X-----" })
    assert_content_refused(
      "^cert_content.cert: .*Base64 twice", { cert = base64(base64(proxy.pem)) }
    )
    assert_content_refused("^cert_content.cert: .*is DER", { cert = proxy.der })
    assert_content_refused("^cert_content.cert: .*is DER", { cert = base64(proxy.der) })
    assert_content_refused(
      "^cert_content.private_key: .*no private key", { private_key = proxy.pem }
    )
    assert_content_refused(
      "^cert_content.private_key: .*Base64 twice", { private_key = base64(base64(proxy.key)) }
    )
    assert_content_refused(
      "^cert_content.private_key: .*neither PEM", { private_key = proxy.key:sub(60, 120) .. "!" }
    )
  end)

  it("refuses to send a private key as part of a certificate", function()
    assert_content_refused(
      "^cert_content.cert: .*holds a private key", { cert = proxy.key .. proxy.pem }
    )
    assert_content_refused("^cert_content.ca: .*holds a private key", { ca = ca.pem .. ca.key })
    assert_content_refused("^cert_content.ca: .*is a private key", { ca = ca.key })
  end)

  it("refuses parts cut off at any byte", function()
    for _, name in ipairs { "ca", "cert", "private_key" } do
      local text = content().cert_content[name]
      for length = 0, #text - 2, 5 do
        assert_content_refused("^cert_content", { [name] = text:sub(1, length) })
      end
    end
  end)
end)
