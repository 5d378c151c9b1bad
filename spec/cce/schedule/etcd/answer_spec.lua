-- What etcd's refusals mean, and how our own code goes on: in the words of etcd 3.4, 3.5 and 3.6.
local answers = require "cce.schedule.etcd.answer"
local json = require "cce.base.json"

local unpack = table.unpack or unpack -- luacheck: ignore

local ENDPOINT = { host = "h:2379" }

local function refused(body, status)
  body = type(body) == "table" and json.encode(body) or body
  local err, word = answers.refused(ENDPOINT, { status = status or 400, body = body })
  assert.equal(err.code == "STORE_UNAVAILABLE", err.retryable)
  assert.equal("schedule", err.operation)
  return err, word
end

describe("the error of an answer of etcd", function()
  for _, case in ipairs {
    -- gRPC's code, the text; our code, the word, what the hint names.
    { 8, "database space exceeded", "STORE_UNAVAILABLE", nil, "etcdctl alarm disarm" },
    { 8, "too many requests", "STORE_UNAVAILABLE", "elsewhere" },
    { 16, "invalid auth token", "UNAUTHENTICATED", "token", "password" },
    { 3, "revision of auth store is old", "UNAUTHENTICATED", "token" },
    { 2, "auth: revision in header is old", "UNAUTHENTICATED", "token" },
    { 2, "invalid auth token", "UNAUTHENTICATED", "token" },
    { 3, "user name is empty", "UNAUTHENTICATED", nil, "give username" },
    { 3, "authentication failed, invalid user ID or password", "UNAUTHENTICATED", nil, "Check" },
    { 9, "authentication is not enabled", "UNAUTHENTICATED", nil, "auth enable" },
    { 7, "permission denied", "PERMISSION_DENIED", nil, "role grant%-permission" },
    { 11, "mvcc: required revision has been compacted", "STORE_UNAVAILABLE", "compacted" },
    { 5, "requested lease not found", "LEASE_LOST", "no_lease" },
    { 3, "request is too large", "INVALID_ARGUMENT", nil, "smaller" },
    { 12, "unknown method", "UNSUPPORTED", nil, "3.4 or later" },
    { 4, "context deadline exceeded", "STORE_UNAVAILABLE", "elsewhere" },
    { 13, "request timed out", "STORE_UNAVAILABLE", "elsewhere" },
    { 14, "no leader", "STORE_UNAVAILABLE", "elsewhere", "Most of etcd's members" },
    { 14, "request timed out", "STORE_UNAVAILABLE", "elsewhere" },
    { 15, "corrupt cluster", "STORE_UNAVAILABLE", nil, "alarm list" },
    -- What nobody knows yet, and what lacks the text that belongs to its code.
    { 1, "surprise", "REQUEST_REJECTED" }, { 2, "surprise", "REQUEST_REJECTED" },
    { 3, "surprise", "REQUEST_REJECTED" }, { 5, "no such thing", "REQUEST_REJECTED" },
  } do
    local grpc, text, code, word, hint = unpack(case, 1, 5)
    it(("%d, %s: %s"):format(grpc, text, code), function()
      for _, body in ipairs { { error = "etcdserver: " .. text, code = grpc },
        { message = "etcdserver: " .. text, code = grpc },
        { error = { message = "etcdserver: " .. text, grpc_code = grpc } } } do
        local err, go_on = refused(body, 503)
        assert.same({ code, word, 503 }, { err.code, go_on, err.status })
        assert.equal("etcd at h:2379: " .. text, err.message)
        -- Another endpoint may do it: then this one may have done it, too.
        assert.equal(word == "elsewhere", err.maybe_applied)
        if hint then assert.matches(hint, err.hint) else assert.is_nil(err.hint) end
      end
    end)
  end

  it("is read in front of what the gateway writes behind it", function()
    local _, word = refused('{"error":"etcdserver: no leader","code":14}\nGrpc-Trailer: x')
    assert.equal("elsewhere", word)
    -- One without a code.
    assert.equal("token", (select(2, refused { error = "invalid auth token" })))
  end)

  it("says that something else answers there", function()
    for _, body in ipairs { "<html>", "", "[]", "{}", '{"error":5}', '{"error":{"message":{}}}' } do
      local err, word = refused(body, 502)
      assert.same({ "STORE_UNAVAILABLE", true, "elsewhere" },
        { err.code, err.maybe_applied, word })
      assert.matches("HTTP 502, and not in etcd's words", err.message)
      err, word = refused(body, 404)
      assert.same({ "UNSUPPORTED", false }, { err.code, err.maybe_applied, word })
      assert.matches("client address of etcd", err.hint)
    end
    assert.equal("STORE_UNAVAILABLE", refused("", 500).code)
    assert.equal("UNSUPPORTED", refused("", 499).code)
  end)

  it("says what it lacks", function()
    local err = answers.invalid(ENDPOINT, "header")
    assert.same({ "RESPONSE_INVALID", false, false, "etcd at h:2379: the answer has no header" },
      { err.code, err.retryable, err.maybe_applied, err.message })
  end)
end)

describe("the error of a transfer to etcd that brought no answer", function()
  for code, case in pairs {
    -- Our code, the word, whether it may have been applied once it was sent; the hint.
    CONNECT_FAILED = { "STORE_UNAVAILABLE", "elsewhere", true, "running" },
    DNS_FAILED = { "STORE_UNAVAILABLE", "elsewhere", true, "host name" },
    TIMEOUT = { "STORE_UNAVAILABLE", "elsewhere", true },
    TLS_FAILED = { "TLS_FAILED", "elsewhere", false, "ca_file" },
    RESPONSE_TOO_LARGE = { "RESPONSE_TOO_LARGE", "too_large", true },
    INVALID_CERTIFICATE = { "INVALID_CERTIFICATE", false, true },
    INVALID_KEY = { "INVALID_KEY", false, true }, KEY_MISMATCH = { "KEY_MISMATCH", false, true },
    CLOSED = { "CLOSED", false, true }, NO_MEMORY = { "NO_MEMORY", false, true },
    INVALID_ARGUMENT = { "INVALID_ARGUMENT", false, true },
  } do
    it(code, function()
      for _, detail in ipairs { { sent = true }, { sent = false }, false } do
        local err, word = answers.lost(ENDPOINT, "m", code, detail or nil)
        assert.same({ case[1], case[2], case[1] == "STORE_UNAVAILABLE" },
          { err.code, word or false, err.retryable })
        assert.equal(detail and detail.sent and case[3] or false, err.maybe_applied)
        if case[4] then assert.matches(case[4], err.hint) else assert.is_nil(err.hint) end
      end
    end)
  end
end)
