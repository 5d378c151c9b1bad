-- Signing: the vectors stage by stage, what a request may hold, bad input.

local core = require "cce.core"

local function read_vectors()
  local file = assert(io.open("spec/vectors/signing.json"))
  local vectors = assert(core.json.decode(file:read("*a")))
  file:close()
  return vectors
end

local AK, SK = "EXAMPLEACCESSKEY0000", "not-a-real-secret-key"
local TOKEN = "not-a-real-token-0123456789"
local DATE = "20260102T030405Z"
local NOW = 1767323045 -- DATE in unix time

-- What a call without an error returns, so that a failure shows its message.
local function check(value, message)
  if value == nil then
    error(tostring(message), 2)
  end
  return value
end

local function new_signer(changes)
  local options = { ak = AK, sk = SK }
  for name, value in pairs(changes or {}) do
    options[name] = value
  end
  return check(core.signer(options))
end

local function request(changes)
  local spec = { method = "GET", host = "cce.example.com", path = "/v3/projects", date = DATE }
  for name, value in pairs(changes or {}) do
    spec[name] = value
  end
  return spec
end

local function without(spec, name)
  spec[name] = nil
  return spec
end

local function canonical(changes, options)
  return check(new_signer(options):canonical_request(request(changes)))
end

-- The line of a canonical request: 1 method, 2 path, 3 query, then headers.
local function line(text, number)
  local i = 0
  for found in (text .. "\n"):gmatch("(.-)\n") do
    i = i + 1
    if i == number then
      return found
    end
  end
end

local function signed_names(text)
  return text:match("SignedHeaders=([^,]*),")
end

local function refused(pattern, changes, options)
  local value, message, code = new_signer(options):sign(request(changes))
  assert.is_nil(value)
  assert.equal("INVALID_ARGUMENT", code)
  assert.matches(pattern, message)
  return message
end

describe("signing vectors", function()
  local vectors = read_vectors()

  local function signer_of(vector)
    return check(core.signer {
      ak = vector.ak,
      sk = vector.sk,
      security_token = vector.security_token,
      algorithm = vector.algorithm,
      scheme = vector.scheme,
      region = vector.region,
      service = vector.service,
    })
  end

  local function request_of(vector)
    local names, headers = {}, {}
    for name, value in pairs(vector.headers_signed) do
      names[#names + 1] = name
      if name ~= "host" and name ~= "x-sdk-date" and name ~= "x-security-token" then
        headers[name] = value
      end
    end
    return {
      method = vector.method,
      host = vector.host,
      path = vector.path,
      query = vector.query,
      headers = headers,
      body = vector.body,
      date = vector.date,
      signed_headers = names,
    }
  end

  local function title(vector)
    local origin = vector.origin == "published" and "published, " .. vector.source or vector.origin
    return ("%s (%s)"):format(vector.id, origin)
  end

  it("are all there", function()
    local published = 0
    for _, vector in ipairs(vectors.vectors) do
      published = published + (vector.origin == "published" and 1 or 0)
    end
    assert.equal(79, #vectors.vectors)
    assert.equal(16, published)
  end)

  for _, vector in ipairs(vectors.vectors) do
    local expect = vector.expect

    it("agree stage by stage: " .. title(vector), function()
      local signer, spec = signer_of(vector), request_of(vector)
      assert.equal(expect.canonical_request, check(signer:canonical_request(spec)))
      assert.equal(
        expect.string_to_sign,
        check(signer:string_to_sign(vector.date, expect.canonical_request))
      )
      assert.equal(expect.signature, check(signer:signature(vector.date, expect.string_to_sign)))
    end)

    it("agree in explain and sign: " .. title(vector), function()
      local signer, spec = signer_of(vector), request_of(vector)
      assert.same(expect, check(signer:explain(spec)))
      local headers = check(signer:sign(spec))
      assert.equal(expect.authorization, headers["Authorization"])
      assert.equal(vector.date, headers["X-Sdk-Date"])
      assert.equal(vector.host, headers["Host"])
      assert.equal(vector.security_token, headers["X-Security-Token"])
    end)

    it("agree when the request is prepared: " .. title(vector), function()
      local signer, changes = signer_of(vector), {}
      local whole = check(signer:prepare(request_of(vector)))
      -- Once with everything that may change left to the signature, a path with braces too.
      local rest = request_of(vector)
      for _, name in ipairs { "path", "query", "body", "date" } do
        changes[name], rest[name] = rest[name], nil
      end
      local parts = check(signer:prepare(rest))
      for _ = 1, 2 do
        assert.same(check(signer:sign(request_of(vector))), check(whole:sign {}))
        local headers = check(parts:sign(changes))
        assert.equal(expect.authorization, headers["Authorization"])
        assert.equal(vector.host, headers["Host"])
        assert.equal(vector.date, headers["X-Sdk-Date"])
        assert.equal(vector.security_token, headers["X-Security-Token"])
      end
    end)

    it("agree when every header is given: " .. title(vector), function()
      local spec = request_of(vector)
      spec.headers = vector.headers_signed
      assert.same(expect, check(signer_of(vector):explain(spec)))
    end)
  end

  for _, vector in ipairs(vectors.canonical_query) do
    it("agree on a canonical query", function()
      local text = canonical { query = vector.query }
      assert.equal(vector.canonical_query, line(text, 3))
    end)
  end

  -- The key that V11 derives is hex text, which then signs like a secret key
  -- of SDK-HMAC-SHA256: so it can be seen without a way to read it.
  for _, vector in ipairs(vectors.hkdf) do
    it("agree on the derived key for " .. vector.info, function()
      local day, region, service = vector.info:match("^(%d+)/([^/]+)/([^/]+)$")
      local derived = check(core.signer {
        ak = vector.ak,
        sk = vector.sk,
        algorithm = "V11-HMAC-SHA256",
        region = region,
        service = service,
      })
      local plain = check(core.signer { ak = vector.ak, sk = vector.derived_key_hex })
      local date = day .. "T010203Z"
      assert.equal(plain:signature(date, "some text"), derived:signature(date, "some text"))
    end)
  end
end)

describe("signer:sign", function()
  it("returns the headers given and those it adds", function()
    local headers = check(new_signer({ security_token = TOKEN }):sign(request {
      headers = { ["Content-Type"] = "application/json", ["x-project-id"] = "  p1 " },
    }))
    local authorization = headers["Authorization"]
    headers["Authorization"] = nil
    assert.same({
      ["Content-Type"] = "application/json",
      ["x-project-id"] = "  p1 ",
      ["Host"] = "cce.example.com",
      ["X-Sdk-Date"] = DATE,
      ["X-Security-Token"] = TOKEN,
    }, headers)
    assert.equal(
      "content-type;host;x-project-id;x-sdk-date;x-security-token",
      signed_names(authorization)
    )
  end)

  it("leaves the spec as it was", function()
    local given = { ["X-A"] = "1" }
    local spec = request { headers = given, query = { { "b", "2" }, { "a", "1" } } }
    check(new_signer():sign(spec))
    assert.same({ ["X-A"] = "1" }, given)
    assert.same(request { headers = given, query = { { "b", "2" }, { "a", "1" } } }, spec)
  end)

  it("does not sign User-Agent, in any spelling, unless it is asked to", function()
    local signer = new_signer()
    local headers = { ["user-AGENT"] = "example/1" }
    local sent = check(signer:sign(request { headers = headers }))
    assert.equal("host;x-sdk-date", signed_names(sent["Authorization"]))
    assert.equal("example/1", sent["user-AGENT"])
    sent = check(signer:sign(request {
      headers = headers,
      signed_headers = { "user-agent", "x-sdk-date" },
    }))
    assert.equal("user-agent;x-sdk-date", signed_names(sent["Authorization"]))
  end)

  it("signs exactly signed_headers, in any spelling and order", function()
    local sent = check(new_signer():sign(request {
      headers = { ["X-B"] = "2", ["X-A"] = "1", ["x_c"] = "3" },
      signed_headers = { "X-SDK-date", "x-b", "X_C" },
    }))
    assert.equal("x-b;x-sdk-date;x_c", signed_names(sent["Authorization"]))
    assert.equal("1", sent["X-A"])
  end)

  it("can be called again and again, with requests of any size between", function()
    local signer = new_signer()
    local small = check(signer:sign(request()))
    local many = {}
    for i = 1, 300 do
      many[i] = { "k" .. i, ("v"):rep(1000) }
    end
    check(signer:sign(request { query = many }))
    assert.same(small, check(signer:sign(request())))
  end)

  it("signs 64 headers and refuses 65", function()
    local headers, names = {}, { "x-sdk-date" }
    for i = 1, 64 do
      headers["X-Header-" .. i] = tostring(i)
      names[i] = "x-header-" .. i
    end
    names[64] = "x-sdk-date"
    check(new_signer():sign(request { headers = headers }))
    check(new_signer():sign(request { headers = headers, signed_headers = names }))
    headers["X-Header-65"] = "65"
    refused("at most 64 headers", { headers = headers })
    names[65] = "x-header-1"
    refused("at most 64", { signed_headers = names })
  end)

  it("signs 4096 parameters and refuses 4097", function()
    local query = {}
    for i = 1, 4096 do
      query[i] = { "k", tostring(i) }
    end
    check(new_signer():sign(request { query = query }))
    query[4097] = { "k", "4097" }
    refused("at most 4096", { query = query })
  end)

  it("refuses a request of more than 4 MiB, and works on", function()
    local signer = new_signer()
    local value, message, code = signer:sign(request { path = "/" .. ("x"):rep(4 * 1024 * 1024) })
    assert.is_nil(value)
    assert.equal("INVALID_ARGUMENT", code)
    assert.matches("larger than", message)
    check(signer:sign(request()))
  end)
end)

describe("headers that the signer would add", function()
  it("are taken from the headers, in their spelling there", function()
    local spec = request {
      headers = { ["host"] = " cce.example.com ", ["x-sdk-DATE"] = DATE },
    }
    local expected = check(new_signer():sign(request()))
    local sent = check(new_signer():sign(without(without(spec, "host"), "date")))
    assert.equal(expected["Authorization"], sent["Authorization"])
    assert.is_nil(sent["Host"])
    assert.is_nil(sent["X-Sdk-Date"])
    assert.equal(DATE, sent["x-sdk-DATE"])
  end)

  it("may be given twice when they agree", function()
    local sent = check(new_signer({ security_token = TOKEN }):sign(request {
      headers = {
        ["Host"] = "cce.example.com",
        ["X-Sdk-Date"] = DATE,
        ["x-security-token"] = TOKEN,
      },
    }))
    assert.is_nil(sent["X-Security-Token"])
    assert.equal("host;x-sdk-date;x-security-token", signed_names(sent["Authorization"]))
  end)

  it("must agree", function()
    refused("header host is given twice", { headers = { Host = "other.example.com" } })
    refused("header x%-sdk%-date is given twice",
      { headers = { ["X-Sdk-Date"] = "20260102T030406Z" } })
    local message = refused(
      "header x%-security%-token is given twice",
      { headers = { ["X-Security-Token"] = "another-token" } },
      { security_token = TOKEN }
    )
    assert.is_nil(message:find("another", 1, true))
    assert.is_nil(message:find(TOKEN, 1, true))
  end)

  it("may bring a token that the signer does not have", function()
    local sent = check(new_signer():sign(request { headers = { ["X-Security-Token"] = TOKEN } }))
    assert.equal("host;x-sdk-date;x-security-token", signed_names(sent["Authorization"]))
  end)

  it("may not hold Authorization", function()
    refused("Authorization is what signing makes", { headers = { Authorization = "x" } })
  end)
end)

describe("dates", function()
  it("are text or unix time", function()
    local signer = new_signer()
    assert.same(signer:sign(request()), signer:sign(request { date = NOW }))
    assert.equal(
      signer:string_to_sign(DATE, "text"),
      signer:string_to_sign(NOW, "text")
    )
    assert.equal(signer:signature(DATE, "text"), signer:signature(NOW, "text"))
  end)

  it("are the calendar's", function()
    local signer = new_signer()
    local expected = {
      [0] = "19700101T000000Z",
      [951782399] = "20000228T235959Z",
      [951782400] = "20000229T000000Z",
      [1709164800] = "20240229T000000Z",
      [4107542400] = "21000301T000000Z",
      [253402300799] = "99991231T235959Z",
    }
    for seconds, text in pairs(expected) do
      assert.equal(text, check(signer:sign(request { date = seconds }))["X-Sdk-Date"])
      assert.equal(text, check(signer:sign(request { date = text }))["X-Sdk-Date"])
    end
  end)

  it("agree with os.date on every 97th day", function()
    local signer = new_signer()
    for day = 0, 60000, 97 do
      local seconds = day * 86400 + day
      assert.equal(
        os.date("!%Y%m%dT%H%M%SZ", seconds),
        check(signer:sign(request { date = seconds }))["X-Sdk-Date"]
      )
    end
  end)

  it("are refused when they are none", function()
    local none = {
      "", "20260102", "2026-01-02T03:04:05Z", "20260102T030405", "20260102T030405Zx",
      "20260102t030405Z", "20260102T030405z", "20260002T030405Z", "20261302T030405Z",
      "20260100T030405Z", "21000229T030405Z", "20260102T240405Z", "20260102T036005Z",
      "20260102T030460Z",
      "2026010 T030405Z", "+0260102T030405Z", "2026010\0T030405Z", "20260102T03040\nZ",
      -1, 0.5, 253402300800, 1e300, -1e300, 1 / 0, -1 / 0, 0 / 0,
    }
    for month = 1, 12 do
      local last = os.time { year = 2026, month = month + 1, day = 0, hour = 12 }
      none[#none + 1] = ("%dT030405Z"):format(os.date("%Y%m%d", last) + 1)
    end
    for _, date in ipairs(none) do
      refused("date", { date = date })
      local prepared = check(new_signer():prepare(without(request(), "date")))
      local value, _, code = prepared:sign { date = date }
      assert.is_nil(value)
      assert.equal("INVALID_ARGUMENT", code)
      value, _, code = new_signer():signature(date, "text")
      assert.is_nil(value)
      assert.equal("INVALID_ARGUMENT", code)
      value, _, code = new_signer():string_to_sign(date, "text")
      assert.is_nil(value)
      assert.equal("INVALID_ARGUMENT", code)
    end
  end)

  it("come from the clock when there is none", function()
    local signer = new_signer { clock = function() return NOW + 0.75 end }
    assert.equal(DATE, check(signer:sign(without(request(), "date")))["X-Sdk-Date"])
    assert.matches(DATE, check(signer:explain(without(request(), "date"))).string_to_sign)
    assert.matches(DATE, check(signer:canonical_request(without(request(), "date"))))
  end)

  it("come from the system without a clock", function()
    local before = os.date("!%Y%m%dT%H%M%SZ")
    local date = check(new_signer():sign(without(request(), "date")))["X-Sdk-Date"]
    assert.is_true(before <= date and date <= os.date("!%Y%m%dT%H%M%SZ"))
  end)

  it("given make the clock superfluous", function()
    local asked = 0
    local signer = new_signer { clock = function() asked = asked + 1 return 0 end }
    check(signer:sign(request()))
    check(check(signer:prepare(request())):sign {})
    assert.equal(0, asked)
    local spec = without(request { headers = { ["x-sdk-date"] = DATE } }, "date")
    assert.equal(DATE, check(signer:sign(spec))["x-sdk-date"])
  end)

  it("must be what the clock returns", function()
    local function sign(clock)
      return new_signer({ clock = clock }):sign(without(request(), "date"))
    end
    assert.error_matches(function() sign(function() return "now" end) end, "must return a number")
    assert.error_matches(function() sign(function() end) end, "must return a number")
    assert.error_matches(function() sign(function() error("no clock") end) end, "no clock")
    local value, message, code = sign(function() return -1 end)
    assert.is_nil(value)
    assert.equal("INVALID_ARGUMENT", code)
    assert.matches("1970", message)
  end)

  it("survive a clock that changes the spec or closes the signer", function()
    local spec = without(request { headers = { ["X-A"] = "1" } }, "date")
    local signer
    signer = new_signer {
      clock = function()
        spec.headers, spec.host = nil, "other.example.com"
        collectgarbage()
        return NOW
      end,
    }
    assert.equal("other.example.com", check(signer:sign(spec))["Host"])
    signer = new_signer { clock = function() signer:close() return NOW end }
    assert.error_matches(function() signer:sign(without(request(), "date")) end, "closed signer")
  end)
end)

describe("the query", function()
  it("is pairs or a map, with numbers, booleans and lists", function()
    local expected = line(canonical { query = {
      { "a", "" }, { "b", "1" }, { "b", "20" }, { "c", "true" }, { "d", "false" }, { "e", "-7" },
    } }, 3)
    assert.equal("a=&b=1&b=20&c=true&d=false&e=-7", expected)
    assert.equal(expected, line(canonical { query = {
      a = "", b = { 20, 1 }, c = true, d = false, e = -7,
    } }, 3))
    assert.equal(expected, line(canonical { query = {
      { "e", -7 }, { "d", false }, { "c", true }, { "b", 20 }, { "b", 1 }, { "a", "" },
    } }, 3))
  end)

  it("writes whole numbers in one way on every Lua", function()
    local text = canonical { query = { { "a", 3.0 }, { "b", 2 ^ 53 }, { "c", 1e15 } } }
    assert.equal("a=3&b=9007199254740992&c=1000000000000000", line(text, 3))
    for _, number in ipairs { 0.5, 2 ^ 60, 1 / 0, 0 / 0 } do
      refused("number in a query", { query = { { "a", number } } })
      refused("number in a query", { query = { a = number } })
      refused("number in a query", { query = { a = { number } } })
    end
  end)

  it("may be empty or absent", function()
    assert.equal("", line(canonical {}, 3))
    assert.equal("", line(canonical { query = {} }, 3))
    assert.equal("", line(canonical { query = { a = {} } }, 3))
  end)

  it("keeps every byte", function()
    local text = canonical { query = { ["a\0b"] = "\r\n\255" } }
    assert.equal("a%00b=%0D%0A%FF", line(text, 3))
  end)

  it("raises for what is no query", function()
    for _, query in ipairs {
      "a=b", 1, true, { "a" }, { { "a" } }, { { "a", "b", "c" } }, { { 1, "b" } }, { { "a", {} } },
      { a = print }, { a = { print } }, { a = { { "b" } } }, { [true] = "a" }, { [print] = "a" },
    } do
      assert.error_matches(function() canonical { query = query } end, "bad option 'query'")
    end
  end)
end)

describe("a request", function()
  local signer = new_signer()

  it("needs a method and a host", function()
    assert.error_matches(function() signer:sign(without(request(), "method")) end, "'method'")
    local value, message, code = signer:sign(without(request(), "host"))
    assert.is_nil(value)
    assert.equal("INVALID_ARGUMENT", code)
    assert.matches("no host", message)
  end)

  it("has the path / when none is given", function()
    assert.equal("/", line(check(signer:canonical_request(without(request(), "path"))), 2))
    refused("begin with a slash", { path = "v3" })
  end)

  it("is refused with a method or a host that could smuggle", function()
    for _, bad in ipairs { "", "G T", "GET\r\n", "GET\n", "G\0T", "GET:", "GET\t", "G\195\169T" } do
      refused("method", { method = bad })
    end
    for _, bad in ipairs {
      "", "a b", "a\r\nX: y", "a\nb", "a\0b", "a/b", "a?b", "u@a", "a#b", "\195\169",
    } do
      refused("host", { host = bad })
    end
    refused("host", without(request { headers = { Host = "a/b" } }, "host"), nil)
  end)

  it("is refused with a header that could smuggle", function()
    for _, bad in ipairs { "", "A B", "A:", "A\r\nB", "A\nB", "A\0B", "\195\169", "A\127" } do
      refused("header's name", { headers = { [bad] = "x" } })
      refused("signed_headers", { signed_headers = { "x-sdk-date", bad } })
    end
    for _, bad in ipairs { "a\rb", "a\nb", "a\0b", "a\r\nHost: b", "\127", "a\27[1mb" } do
      local message = refused("header X%-A has a control character",
        { headers = { ["X-A"] = bad } })
      assert.is_nil(message:find("[%c]"))
    end
  end)

  it("keeps tabs inside and bytes above 127 in a header's value", function()
    assert.matches("x%-a:a\tb \195\169\n",
      canonical { headers = { ["X-A"] = "\t a\tb \195\169 \t" } })
    assert.matches("\nx%-a:\n", canonical { headers = { ["X-A"] = " \t " } })
  end)

  it("is refused with a header given twice", function()
    refused("header [Xx]%-[Aa] is given twice", { headers = { ["X-A"] = "1", ["x-a"] = "1" } }, nil)
    refused("given twice", { headers = { ["User-Agent"] = "1", ["user-agent"] = "1" } })
    local spec = without(request { headers = { Host = "a", host = "a" } }, "host")
    local value, message = signer:sign(spec)
    assert.is_nil(value)
    assert.matches("given twice", message)
  end)

  it("is refused with signed_headers that do not fit", function()
    refused("not sent", { signed_headers = { "x-sdk-date", "x-absent" } })
    refused("not sent", { signed_headers = { "x-sdk-date", "x-security-token" } })
    refused("stands twice", { signed_headers = { "x-sdk-date", "Host", "host" } })
    refused("must name X%-Sdk%-Date", { signed_headers = { "host" } })
    refused("must name X%-Sdk%-Date", { signed_headers = {} })
  end)

  it("uses a content hash that is given, of its own algorithm", function()
    local function last(algorithm, headers)
      local text = canonical({ body = "x", headers = headers }, { algorithm = algorithm })
      return text:match("[^\n]*$")
    end
    local sha256 = last("SDK-HMAC-SHA256", {})
    assert.equal("UNSIGNED-PAYLOAD", last(nil, { ["X-SDK-Content-SHA256"] = " UNSIGNED-PAYLOAD " }))
    assert.equal("abc", last("SDK-HMAC-SM3", { ["x-sdk-content-sm3"] = "abc" }))
    assert.equal(sha256, last(nil, { ["x-sdk-content-sm3"] = "abc" }))
    assert.equal(sha256, last(nil, { ["x-sdk-content-sha256"] = "" }))
  end)

  it("raises for wrong types and unknown options", function()
    for _, name in ipairs { "method", "host", "path", "body" } do
      for _, value in ipairs { 1, true, {}, print } do
        assert.error_matches(
          function() signer:sign(request { [name] = value }) end,
          "bad option '" .. name .. "'"
        )
      end
    end
    for name, values in pairs {
      headers = { "a", 1, { "a" }, { a = 1 }, { a = {} }, { [1] = "a" }, { [true] = "a" } },
      signed_headers = { "a", 1, { 1 }, { {} } },
      date = { true, {}, print },
    } do
      for _, value in ipairs(values) do
        assert.error_matches(
          function() signer:sign(request { [name] = value }) end,
          "bad option '" .. name .. "'"
        )
      end
    end
    assert.error_matches(function() signer:sign(request { url = "x" }) end, "unknown option 'url'")
    assert.error_matches(function() signer:sign(request { [1] = "x" }) end, "unknown option '1'")
    assert.error_matches(function() signer:sign(request { [true] = "x" }) end, "must be a string")
    for _, bad in ipairs { "x", 1, true } do
      assert.error(function() signer:sign(bad) end)
    end
    assert.error(function() signer:sign() end)
  end)
end)

describe("core.signer", function()
  local function refused_signer(pattern, changes)
    local options = { ak = AK, sk = SK }
    for name, value in pairs(changes) do
      options[name] = value
    end
    local value, message, code = core.signer(options)
    assert.is_nil(value)
    assert.equal("INVALID_ARGUMENT", code)
    assert.matches(pattern, message)
    return message
  end

  it("raises for what is missing, unknown or of a wrong type", function()
    assert.error_matches(function() core.signer { sk = SK } end, "'ak'")
    assert.error_matches(function() core.signer { ak = AK } end, "'sk'")
    assert.error_matches(function() core.signer { ak = AK, sk = SK, secret = "x" } end, "'secret'")
    assert.error(function() core.signer() end)
    assert.error(function() core.signer("x") end)
    for _, name in ipairs {
      "ak", "sk", "security_token", "algorithm", "scheme", "region", "service", "clock",
    } do
      for _, value in ipairs { 1, true, {}, io.stdout } do
        local options = { ak = AK, sk = SK }
        options[name] = value
        assert.error_matches(function() core.signer(options) end, "bad option '" .. name .. "'")
      end
    end
  end)

  it("refuses values that cannot stand in a header", function()
    for _, bad in ipairs { "a b", "a,b", "a\nb", "a\rb", "\127", "a\195\169" } do
      refused_signer("ak must be visible ASCII", { ak = bad })
      refused_signer("region must be visible ASCII", { region = bad })
      refused_signer("service must be visible ASCII", { service = bad })
      local message = refused_signer("security_token must be", { security_token = bad .. "QX" })
      assert.is_nil(message:find("QX", 1, true))
    end
    refused_signer("slash", { region = "a/b" })
    refused_signer("slash", { service = "a/b" })
    assert.error(function() core.signer { ak = "a\0b", sk = SK } end)
  end)

  it("refuses what is empty or too long", function()
    refused_signer("ak must not be empty", { ak = "" })
    refused_signer("sk must not be empty", { sk = "" })
    refused_signer("at most 128", { ak = ("a"):rep(129) })
    refused_signer("at most 64", { region = ("a"):rep(65) })
    refused_signer("at most 64", { service = ("a"):rep(65) })
    new_signer { ak = ("a"):rep(128), region = ("a"):rep(64), service = ("a"):rep(64) }
  end)

  it("takes an empty security token for none", function()
    local sent = check(new_signer({ security_token = "" }):sign(request()))
    assert.is_nil(sent["X-Security-Token"])
    assert.equal("host;x-sdk-date", signed_names(sent["Authorization"]))
  end)

  it("refuses an unknown algorithm or scheme", function()
    refused_signer("algorithm must be", { algorithm = "SDK-HMAC-MD5" })
    refused_signer("algorithm must be", { algorithm = "sdk-hmac-sha256" })
    refused_signer("scheme", { scheme = "Scoped" })
    refused_signer("scheme", { scheme = "scoped", algorithm = "SDK-HMAC-SM3" })
    refused_signer("scheme", { scheme = "scoped", algorithm = "V11-HMAC-SHA256" })
  end)

  it("needs a region and a service for V11", function()
    local v11 = { algorithm = "V11-HMAC-SHA256" }
    refused_signer("needs a region and a service", v11)
    v11.region = "eu-west-101"
    refused_signer("needs a region and a service", v11)
    v11.service = "cce"
    new_signer(v11)
  end)

  it("takes secrets as objects, and keeps what it needs of them", function()
    local sk, token = check(core.secret(SK)), check(core.secret(TOKEN))
    for _, options in ipairs {
      {},
      { algorithm = "V11-HMAC-SHA256", region = "r", service = "s" },
      { scheme = "scoped" },
    } do
      options.sk, options.security_token = SK, TOKEN
      local plain = new_signer(options)
      options.sk, options.security_token = check(core.secret(SK)), check(core.secret(TOKEN))
      local signer = new_signer(options)
      options.sk:close()
      options.security_token:close()
      assert.same(plain:sign(request()), signer:sign(request()))
    end
    sk:close()
    assert.error_matches(function() core.signer { ak = AK, sk = sk } end, "closed secret")
    token:close()
    assert.error_matches(
      function() core.signer { ak = AK, sk = SK, security_token = token } end,
      "closed secret"
    )
  end)

  it("derives a key for every day anew", function()
    for _, options in ipairs {
      { algorithm = "V11-HMAC-SHA256", region = "r", service = "s" },
      { scheme = "scoped", region = "r", service = "s" },
    } do
      local signer = new_signer(options)
      local first = check(signer:signature("20260102T000000Z", "text"))
      local second = check(signer:signature("20260103T000000Z", "text"))
      assert.are_not.equal(first, second)
      assert.equal(first, check(signer:signature("20260102T235959Z", "text")))
      assert.equal(second, check(new_signer(options):signature("20260103T120000Z", "text")))
    end
  end)

  it("signs with a secret of any bytes and length", function()
    local seen = {}
    for _, sk in ipairs {
      "\0", "\0\0", ("k"):rep(63), ("k"):rep(64), ("k"):rep(65), ("k"):rep(65536),
    } do
      for _, options in ipairs {
        {}, { scheme = "scoped" }, { algorithm = "V11-HMAC-SHA256", region = "r", service = "s" },
      } do
        options.sk = sk
        seen[check(new_signer(options):signature(DATE, "text"))] = true
      end
    end
    local count = 0
    for _ in pairs(seen) do
      count = count + 1
    end
    -- "\0" and "\0\0" are one HMAC key in the plain layout, by RFC 2104; HKDF
    -- takes the secret as data, and "SDK" .. sk of the scoped layout is zero
    -- padded, too.
    assert.equal(16, count)
  end)

  it("shows no secret", function()
    local signer = new_signer { security_token = TOKEN }
    local text = tostring(signer)
    assert.matches("^cce%.signer: SDK%-HMAC%-SHA256 AK EXAM\226\128\166$", text)
    signer:close()
    assert.equal("cce.signer: closed", tostring(signer))
    local ok, message = pcall(core.signer, { ak = AK, sk = SK, [SK .. "x"] = 1 })
    assert.is_false(ok)
    assert.matches("unknown option", message)
  end)

  it("raises once it is closed, and may be closed twice", function()
    local signer = new_signer()
    signer:close()
    signer:close()
    for _, call in ipairs {
      function() signer:sign(request()) end,
      function() signer:explain(request()) end,
      function() signer:canonical_request(request()) end,
      function() signer:string_to_sign(DATE, "x") end,
      function() signer:signature(DATE, "x") end,
    } do
      assert.error_matches(call, "closed signer")
    end
  end)

  it("raises for methods called on something else", function()
    local signer = new_signer()
    for _, name in ipairs { "sign", "explain", "canonical_request", "close", "signature" } do
      for _, bad in ipairs { {}, "x", io.stdout, check(core.secret("x")) } do
        assert.error(function() signer[name](bad, request()) end)
      end
      assert.error(function() signer[name]() end)
    end
    assert.error(function() signer:string_to_sign(DATE) end)
    assert.error(function() signer:string_to_sign(DATE, 1) end)
    assert.error(function() signer:signature(nil, "x") end)
    assert.error(function() signer:signature({}, "x") end)
  end)

  it("says that OpenSSL does not offer a digest", function()
    if core.libraries():find "OpenSSL/1%." then return pending "before 3.0 it offers SM3 always" end
    local conf = os.tmpname()
    local file = assert(io.open(conf, "w"))
    file:write("openssl_conf = init\n[init]\nalg_section = algorithms\n",
      "[algorithms]\ndefault_properties = x.example=yes\n")
    file:close()
    local script = "local core = require 'cce.core' "
      .. "print(select(2, core.signer { ak = 'a', sk = 'b', algorithm = 'SDK-HMAC-SM3' })) "
    local first = 0
    while arg[first - 1] do
      first = first - 1
    end
    local lua = arg[first]
    local command = ("LUA_PATH='%s' LUA_CPATH='%s' OPENSSL_CONF=%s %s -e \"%s\" 2>&1"):format(
      package.path, package.cpath, conf, lua, script)
    local pipe = assert(io.popen(command))
    local output = pipe:read("*a")
    pipe:close()
    os.remove(conf)
    assert.matches("does not offer SM3.*UNSUPPORTED", output)
  end)
end)

describe("a prepared request", function()
  local PATH = "/api/v3/projects/{project_id}/clusters/{cluster_id}/a b"
  local IDS = { project_id = "p-1", cluster_id = "c.2_3" }

  local function filled(changes)
    local merged = { project_id = IDS.project_id, cluster_id = IDS.cluster_id, date = DATE }
    for key, value in pairs(changes or {}) do merged[key] = value end
    return merged
  end

  local function undated(changes)
    return without(request(changes or { path = PATH }), "date")
  end

  local function prepare(changes, options)
    return new_signer(options):prepare(undated(changes))
  end

  it("signs what signing the whole of it signs", function()
    local whole = { path = "/api/v3/projects/p-1/clusters/c.2_3/a b", date = DATE }
    for _, options in ipairs {
      {}, { security_token = "token" }, { scheme = "scoped", region = "r", service = "s" },
      { algorithm = "V11-HMAC-SHA256", region = "r", service = "s" },
    } do
      local signer = new_signer(options)
      local prepared = check(signer:prepare(undated()))
      local expected = check(signer:sign(request(whole)))
      assert.same(expected, check(prepared:sign(filled())))
      whole.body, whole.query = "other", { b = "2", a = "1" }
      expected = check(signer:sign(request(whole)))
      assert.same(expected, check(prepared:sign(filled { body = "other", query = whole.query })))
      whole.body, whole.query = nil, nil
    end
  end)

  it("takes the time of now, or of the signer's clock", function()
    local signer = new_signer { clock = function() return 1767323045 end }
    local prepared = check(signer:prepare(undated()))
    local ids = { project_id = "p", cluster_id = "c" }
    assert.equal(DATE, check(prepared:sign(ids))["X-Sdk-Date"])
    prepared = check(new_signer():prepare(undated()))
    assert.matches("^2%d%d%d%d%d%d%dT%d%d%d%d%d%dZ$", check(prepared:sign(ids))["X-Sdk-Date"])
  end)

  it("takes only ids for the places of its path", function()
    local prepared = check(prepare())
    for _, bad in ipairs { "", "a/b", "..", "a..b", "%2e", "a b", ("x"):rep(129), "a\0b" } do
      local headers, message, code = prepared:sign(filled { cluster_id = bad })
      assert.is_nil(headers, bad)
      assert.equal("INVALID_ARGUMENT", code)
      assert.matches("cluster_id must be an id", message, 1, true)
    end
    assert.error_matches(function() prepared:sign { cluster_id = "c" } end, "project_id.*missing")
    assert.error_matches(function() prepared:sign(filled { other = "c" }) end,
      "unknown option 'other'")
    assert.error_matches(function() prepared:sign(filled { cluster_id = 5 }) end,
      "string expected")
    for _, fixed in ipairs { "method", "host", "headers", "signed_headers" } do
      assert.error_matches(function() prepared:sign(filled { [fixed] = "x" }) end, "unknown option")
    end
  end)

  it("refuses a path whose braces are no places", function()
    local many, long = ("{a}"):rep(9), ("a"):rep(33)
    for _, path in ipairs { "/{", "/{}", "/{a-b}", "/{a", "/" .. many, "/{" .. long .. "}" } do
      local prepared, message, code = prepare { path = path }
      assert.is_nil(prepared, path)
      assert.equal("INVALID_ARGUMENT", code)
      assert.matches("path has", message)
    end
    for _, path in ipairs { "/" .. many:sub(4), "/{" .. long:sub(2) .. "}" } do
      check(prepare { path = path })
    end
  end)

  it("takes nothing twice that was prepared for good", function()
    local prepared = check(new_signer():prepare(request { path = PATH }))
    local headers, message, code = prepared:sign(filled())
    assert.is_nil(headers)
    assert.equal("INVALID_ARGUMENT", code)
    assert.matches("date was prepared", message, 1, true)
  end)

  it("ends with its signer, and may be closed", function()
    local signer = new_signer()
    local prepared = check(signer:prepare(request { path = "/" }))
    prepared:close()
    prepared:close()
    assert.error_matches(function() prepared:sign {} end, "bad self .closed prepared request")
    prepared = check(signer:prepare(request { path = "/" }))
    signer:close()
    assert.error_matches(function() prepared:sign {} end, "closed signer")
    assert.error_matches(function() signer:prepare(request()) end, "closed signer")
  end)

  it("keeps its signer alive", function()
    local prepared = check(new_signer():prepare(request { path = "/" }))
    collectgarbage()
    collectgarbage()
    assert.equal("table", type(check(prepared:sign {})))
  end)
end)
