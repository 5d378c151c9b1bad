local cjson = require "cjson"
local response = require "cce.api.response"

local function read_fixture()
  local file = assert(io.open "spec/fixtures/error_bodies.json")
  local list = cjson.decode(file:read "*a")
  file:close()
  return list
end

-- What each real body must become: our code, the API's two codes, and a part of the message.
local expected = {
  cce_status_400 = { "BAD_REQUEST", "CCE.01400001", "CCE_CM.0004",
    "CCE.01400001 CCE_CM.0004: Request is invalid, not support this version v1.9.2-r2" },
  cce_documented = { "UNAUTHENTICATED", "CCE.01401001", "CCE.01401001",
    "HTTP 401 CCE.01401001: Authorization failed" },
  cce_legacy_ecfe = { "BAD_REQUEST", "E.CFE.4000201", "CCE_CM.0201",
    "E.CFE.4000201 CCE_CM.0201: Request body invalid" },
  apigw_throttle = { "THROTTLED", "APIGW.0308", "APIGW.0308",
    "ratelimit,limit:200,time:5 minute", retryable = true, retry_after = 300 },
  apigw_throttle_user = { "THROTTLED", "APIG.0308", "APIG.0308",
    "ratelimit,limit:10,time:1 minute", retryable = true, retry_after = 60 },
  apigw_signature_expired = { "CLOCK_SKEW", "APIGW.0301", "APIGW.0301",
    "signature time:20211217T064303Z,server time:20211217T065804Z", retryable = true,
    hint = "clock is 901 s behind" },
  apigw_signature_mismatch_with_server_canonical_request = { "UNAUTHENTICATED", "APIGW.0301",
    "APIGW.0301", "verify aksk signature fail", hint = "not tried again" },
  apigw_ak_locked = { "ACCESS_KEY_LOCKED", "APIGW.0301", "APIGW.0301",
    "AK access failed to reach the limit", hint = "5 minutes" },
  apigw_ak_unknown = { "UNAUTHENTICATED", "APIGW.0301", "APIGW.0301", "ak not exist" },
  apigw_token_bad = { "UNAUTHENTICATED", "APIGW.0301", "APIGW.0301", "decrypt token fail" },
  apigw_token_missing = { "UNAUTHENTICATED", "APIGW.0301", "APIGW.0301", "x-auth-token not found" },
  apigw_no_api = { "API_NOT_FOUND", "APIGW.0101", "APIGW.0101", "has not been published",
    hint = "endpoint" },
  nested_error = { "BAD_REQUEST", "XXX.0001", "XXX.0001", "XXX.0001: Some errors occurred" },
  details = { "BAD_REQUEST", "C.XXXX", "C.XXXX", "C.XXXX: C failed" },
  error_code_wins_over_nested = { "BAD_REQUEST", "XXX.0001", "XXX.0001",
    "XXX.0001: Some errors occurred" },
  not_json = { "BAD_REQUEST", nil, nil, 'not JSON: "invalid json data"' },
}

local rotate = { operation = "rotate_credentials", mutating = true }
local list = { operation = "list_clusters", mutating = false }

local function error_of(status, body, headers, request)
  if type(body) == "table" then body = cjson.encode(body) end
  return response.to_error("what it was", request or rotate,
    { status = status, headers = headers or {}, body = body })
end

describe("cce.response.to_error", function()
  local seen = 0
  for _, row in ipairs(read_fixture()) do
    seen = seen + 1
    it("reads the body " .. row.id, function()
      local wanted = assert(expected[row.id])
      local err = error_of(row.http, row.raw or row.body, row.headers)
      assert.equal(wanted[1], err.code)
      assert.equal(wanted[2], err.api_code)
      assert.equal(wanted[3], err.error_code)
      assert.is_truthy(err.message:find(wanted[4], 1, true), err.message)
      assert.equal(("what it was: HTTP %d"):format(row.http), err.message:match("^.-HTTP %d+"))
      assert.equal(row.http, err.status)
      assert.equal("rotate_credentials", err.operation)
      assert.equal(wanted.retryable or false, err.retryable)
      assert.equal(wanted.retry_after, err.retry_after)
      assert.is_false(err.maybe_applied)
      assert.equal(type(row.body) == "table" and row.body.request_id or nil, err.request_id)
      if wanted.hint then assert.is_truthy(err.hint:find(wanted.hint, 1, true), err.hint) end
    end)
  end

  it("has read all bodies that are known", function()
    assert.equal(16, seen)
  end)

  local statuses = {
    { 300, "RESPONSE_INVALID" }, { 304, "RESPONSE_INVALID" }, { 400, "BAD_REQUEST" },
    { 401, "UNAUTHENTICATED" }, { 402, "REQUEST_REJECTED" }, { 403, "PERMISSION_DENIED" },
    { 404, "NOT_FOUND" }, { 405, "REQUEST_REJECTED" }, { 409, "CONFLICT" },
    { 413, "REQUEST_REJECTED" }, { 429, "THROTTLED" }, { 499, "REQUEST_REJECTED" },
    { 500, "SERVER_ERROR" }, { 502, "SERVER_ERROR" }, { 503, "SERVER_ERROR" },
    { 504, "SERVER_ERROR" }, { 599, "SERVER_ERROR" },
  }
  for _, row in ipairs(statuses) do
    it(("an empty body with %d is %s"):format(row[1], row[2]), function()
      local err = error_of(row[1], "")
      assert.equal(row[2], err.code)
      assert.equal(("what it was: HTTP %d: an empty body"):format(row[1]), err.message)
      assert.equal(row[1] >= 500, err.maybe_applied)
      assert.is_false(error_of(row[1], "", nil, list).maybe_applied)
    end)
  end

  it("tells throttling, a locked resource and an empty account apart", function()
    local function code_of(code, text)
      return error_of(429, { errorCode = code, errorMessage = text }).code
    end
    assert.equal("RESOURCE_LOCKED", code_of("CCE.01429002", "Resource locked by other requests."))
    assert.equal("RESOURCE_LOCKED", code_of("CCE.03429002", "Resource locked by other requests."))
    assert.equal("THROTTLED", code_of("CCE.02429001", "Too many requests."))
    assert.equal("REQUEST_REJECTED", code_of("CCE.01429004", "Insufficient balance."))
    -- Each sign of throttling alone.
    for _, row in ipairs {
      { "CCE.02429001", "x" }, { "APIG.0308", "x" }, { "APIGW.0308", "x" }, { "X.1", "Throttling" },
      { "X.1", "ratelimit" }, { "X.1", "Too Many Requests" },
    } do
      assert.equal("THROTTLED", code_of(row[1], row[2]), row[1] .. " " .. row[2])
    end
    assert.equal("REQUEST_REJECTED", code_of("X.1", "x"))
    assert.equal("THROTTLED", error_of(429, "slow down").code)
    assert.is_true(error_of(429, { errorCode = "CCE.01429002" }).retryable)
    assert.is_false(error_of(429, { errorCode = "CCE.01429004" }).retryable)
  end)

  it("finds the codes and the words wherever a service puts them", function()
    for _, row in ipairs {
      { { e = { error_code = "E.1", error_msg = "m" } }, "E.1", "E.1: m" },
      { { e = { code = "E.1", message = "m" } }, "E.1", "E.1: m" },
      { { e = { code = 7, message = "m" } }, nil, ": m" },
      { { e = { code = 7 }, reason = "r" }, nil, ": r" },
      { { e = { message = "m" }, reason = "r" }, nil, ": r" },
      { { errorCode = "", error_code = "E.1", error_msg = "", message = "m" }, "E.1", "E.1: m" },
      { { error_code = "E.1", error_msg = "m", message = "m" }, "E.1", "E.1: m" },
      { { error_code = "E.1", error_msg = "m", message = "n" }, "E.1", "E.1: m, n" },
      { { errorCode = "C.1", error_code = "E.1", error_msg = "m" }, "C.1", "C.1 E.1: m" },
    } do
      local err = error_of(400, row[1])
      assert.equal(row[2], err.api_code)
      assert.equal(row[3], err.message:sub(-#row[3]))
    end
  end)

  it("prefers the request id of the header", function()
    local body = { error_code = "APIGW.0308", error_msg = "x", request_id = "of-the-body" }
    assert.equal("of-the-body", error_of(400, body).request_id)
    local err = error_of(400, body, { ["x-request-id"] = "of-the-header" })
    assert.equal("of-the-header", err.request_id)
    assert.matches("%(request id of%-the%-header%)$", err.message)
  end)

  it("believes Retry-After when it is seconds, or a date of the server's own clock", function()
    local function after(value, date)
      return error_of(503, "", { ["retry-after"] = value, date = date }).retry_after
    end
    local NOW = "Fri, 02 Jan 2026 03:04:05 GMT"
    assert.equal(7, after "7")
    assert.equal(0, after "0")
    assert.equal(115, after("Fri, 02 Jan 2026 03:06:00 GMT", NOW))
    assert.equal(0, after("Fri, 02 Jan 2026 03:00:00 GMT", NOW))
    for _, value in ipairs { "-5", "nan", "inf", "1e9", "0x10", "Fri, 31 Dec 1999 23:59:59 GMT",
      "Fri, 02 Jan 2026 25:06:00 GMT" } do
      assert.is_nil(after(value), value)
      assert.is_nil(after(value, "now"), value)
    end
    assert.is_nil(after("nan", NOW))
  end)

  it("gives no wait that is longer than a year, however it is asked for", function()
    local YEAR = 366 * 86400
    local digits = ("9"):rep(400)
    for _, value in ipairs { digits, tostring(YEAR + 1), "Fri, 31 Dec 9999 23:59:59 GMT" } do
      assert.equal(YEAR, error_of(503, "", { ["retry-after"] = value,
        date = "Fri, 02 Jan 2026 03:04:05 GMT" }).retry_after, value)
    end
    assert.equal(YEAR, error_of(503, "", { ["retry-after"] = tostring(YEAR) }).retry_after)
    assert.equal(YEAR, error_of(429, { error_code = "APIG.0308",
      error_msg = "throttled, ratelimit,limit:1,time:" .. digits .. " minute" }).retry_after)
  end)

  it("waits a minute when it is throttled and no window is named", function()
    assert.equal(60, error_of(429, "slow down").retry_after)
    assert.equal(60, error_of(429, { error_code = "APIG.0308", error_msg = "x" }).retry_after)
    assert.equal(3, error_of(429, "slow down", { ["retry-after"] = "3" }).retry_after)
    assert.is_nil(error_of(429, { errorCode = "CCE.01429002" }).retry_after)
    assert.is_nil(error_of(503, "").retry_after)
  end)

  local odd_bodies = {
    "null", "true", "1", '"text"', "[]", "[1,2]", "{}", '{"error":{}}', '{"error":null}',
    '{"errorCode":5,"errorMessage":{}}', '{"error_code":"","error_msg":""}', "{", "\0\1\2",
    "<html>\r\n<b>502</b>", ("x"):rep(100000), ("["):rep(5000), "\239\187\191{}", "\255\254",
  }
  for i, body in ipairs(odd_bodies) do
    it("makes one printable line of odd body " .. i, function()
      local err = error_of(502, body)
      assert.equal("SERVER_ERROR", err.code)
      assert.is_nil(err.message:find("[%z\1-\31\127]"))
      assert.is_true(#err.message < 300)
    end)
  end

  it("keeps what a terminal would obey out of every text", function()
    local nasty = "a\27[31mb\r\nc\0d"
    local err = error_of(400, {
      errorCode = nasty, error_code = "X" .. nasty, errorMessage = nasty, message = "m" .. nasty,
    }, { ["x-request-id"] = nasty })
    assert.is_nil(err.message:find("[%z\1-\31\127]"))
    assert.is_nil(tostring(err):find("[%z\1-\31\127]"))
  end)
end)

describe("what an answer says of the key", function()
  local function verdict(status, body, service)
    return response.verdict_on_key(error_of(status, body), service)
  end

  it("is a refusal when the gateway itself, IAM or STS says 401", function()
    for _, code in ipairs { "APIGW.0301", "APIG.0301" } do
      assert.equal("refused", verdict(401, { error_code = code }))
    end
    for _, service in ipairs { "iam", "sts" } do
      assert.equal("refused", verdict(401, { error_code = "1001" }, service))
    end
    assert.equal("refused", verdict(401, { error_msg = "failed to reach the limit" }))
    assert.is_nil(verdict(401, { errorCode = "CCE.01401001" }))
    assert.is_nil(verdict(401, { error_code = "1001" }, "cts"))
    assert.is_nil(verdict(401, "no JSON"))
    assert.is_nil(response.verdict_on_key({ code = "TIMEOUT" }, "iam"))
  end)

  it("is nothing when a clock is off or a token came to its end", function()
    for _, text in ipairs { "Signature expired", "decrypt token fail", "the TOKEN has Expired",
      "an expired token" } do
      assert.is_nil(verdict(401, { error_code = "APIGW.0301", error_msg = text }), text)
      local err = error_of(401, { error_code = "APIGW.0301", error_msg = text })
      assert.equal(text ~= "Signature expired", response.is_expired_token(err), text)
      assert.is_false(response.is_expired_token(error_of(403, { error_msg = text })))
    end
    assert.equal("refused", verdict(401, { error_code = "APIGW.0301", error_msg = "token" }))
    assert.is_false(response.is_expired_token { code = "UNAUTHENTICATED" })
  end)

  it("is that it is good when the answer came from behind the gateway", function()
    assert.equal("accepted", verdict(403, { errorCode = "CCE.01403001" }))
    assert.equal("accepted", verdict(404, { errorCode = "CCE.01404001" }))
    assert.is_nil(verdict(403, { error_code = "APIGW.0305" }))
    assert.is_nil(verdict(403, {}))
    assert.is_nil(verdict(429, { errorCode = "CCE.01429002" }))
    assert.is_nil(verdict(500, { errorCode = "CCE.01500001" }))
  end)
end)

describe("tokens that a gateway repeats", function()
  local token = "TOKEN/with+all==its.parts"
  local places = {
    'verify aksk signature fail, canonicalRequest:GET|/||x-security-token:%s|x-sdk-date:1||a|b',
    "canonicalRequest:GET\n/\n\nx-auth-token:%s\nx-sdk-date:1\n\na\nb",
    "the last one is X-Auth-Token:%s",
    "X-Subject-Token: %s",
    "headers x-security-token=%s, host=x",
  }
  for i, place in ipairs(places) do
    it("are hidden at place " .. i, function()
      local text = place:format(token)
      local err = error_of(401, { error_msg = text, error_code = "APIGW.0301", request_id = "r" })
      for _, part in ipairs { "TOKEN", "with", "parts" } do
        assert.is_nil(tostring(err):find(part, 1, true), tostring(err))
        assert.is_nil(err.detail:find(part, 1, true))
      end
      assert.is_truthy(err.detail:find("***", 1, true))
      assert.equal("APIGW.0301", err.api_code)
    end)

    it("are hidden at place " .. i .. " of a body that is no JSON", function()
      local err = error_of(401, place:format(token))
      assert.is_nil(tostring(err):find("with", 1, true), tostring(err))
    end)
  end

  it("leave the rest of the gateway's canonical request readable", function()
    local err = error_of(401, { error_msg = places[1]:format(token) })
    assert.is_truthy(err.detail:find("x-security-token:***|x-sdk-date:1||a|b", 1, true))
  end)
end)

describe("cce.response.json", function()
  it("reads half a character that a service cut off as U+FFFD", function()
    local cases = {
      { [[\ud83d]], "\239\191\189" }, { [[\uDE00]], "\239\191\189" },
      { [[\ude00\ude00]], "\239\191\189\239\191\189" },
      { [[a\ud83d b]], "a\239\191\189 b" }, { [[\ud83dabcd]], "\239\191\189abcd" },
      { [[\ud83d\ud83d\ude00]], "\239\191\189\240\159\152\128" },
      { [[\ud83d\ude00\ude00]], "\240\159\152\128\239\191\189" },
      -- A backslash that is one of the text.
      { [[\\ud83d\udbff]], "\\ud83d\239\191\189" },
      { [[\n1234\ud800\u0041]], "\n1234\239\191\189A" },
      { [[\ndead\ud800]], "\ndead\239\191\189" },
      -- Whole ones beside it, before the range of the halves and behind it.
      { [[\ud7ff\ud800\ue000]], "\237\159\191\239\191\189\238\128\128" },
    }
    for _, case in ipairs(cases) do
      assert.equal(case[2], response.json('{"a":"' .. case[1] .. '"}').a, case[1])
    end
    assert.same({ a = 1 }, response.json '{"a":1}')
    for _, text in ipairs { "", "{", '{"a":"\\ud83d"', [["\u12"]] } do
      assert.is_nil(response.json(text), text)
    end
  end)
end)

describe("cce.response.excerpt", function()
  it("cuts at 200 bytes and says so", function()
    assert.equal(("x"):rep(200), response.excerpt(("x"):rep(200)))
    assert.equal(("x"):rep(200) .. "…", response.excerpt(("x"):rep(201)))
  end)

  it("is one printable line", function()
    assert.equal("a b ?[0m?c", response.excerpt("a\r\n\tb \27[0m\0c"))
  end)
end)

describe("cce.response.clocks", function()
  it("reads both as unix time", function()
    local signed, server = response.clocks(
      "signature expired, signature time:20211217T064303Z,server time:20211217T065804Z")
    assert.equal(1639723383, signed)
    assert.equal(1639724284, server)
  end)

  local times = {
    ["19700101T000000Z"] = 0, ["20000229T235959Z"] = 951868799, ["20240229T000000Z"] = 1709164800,
    ["20240301T000000Z"] = 1709251200, ["21000228T235959Z"] = 4107542399,
    ["21000301T000000Z"] = 4107542400, ["20381231T235959Z"] = 2177452799,
  }
  for text, seconds in pairs(times) do
    it("knows the calendar: " .. text, function()
      assert.equal(seconds, (response.clocks(
        ("signature time:%s,server time:%s"):format(text, text))))
    end)
  end

  it("finds nothing in other texts", function()
    for _, text in ipairs { "", "signature time:20211217T064303Z", "server time:20211217T065804Z",
      "signature time:2021T06Z,server time:2021T06Z",
      "signature time:20211217T064303Z,server time:20211399T064303Z",
      "signature time:20211399T064303Z,server time:20211217T064303Z" } do
      assert.equal(0, select("#", response.clocks(text)))
      assert.is_string(error_of(401, { error_msg = "Signature expired, " .. text }).hint)
    end
  end)
end)

describe("cce.response.throttling_window", function()
  local windows = {
    ["limit:200,time:5 minute"] = 300, ["limit:10,time:1 minute"] = 60,
    ["limit:10,time:minute"] = 60, ["limit:1,time:30 second"] = 30, ["limit:1,time:2 hour"] = 7200,
    ["limit:1,time:1 day"] = 86400, ["limit:1,time:5 minutes"] = 300,
  }
  for text, seconds in pairs(windows) do
    it("of " .. text, function()
      assert.equal(seconds, response.throttling_window("policy user over ratelimit," .. text))
    end)
  end

  it("is nil when none is named", function()
    for _, text in ipairs { "", "ratelimit", "ratelimit,limit:1,time:5 fortnight",
      "ratelimit,limit:,time:5 minute" } do
      assert.is_nil(response.throttling_window(text))
    end
  end)
end)
