-- One call and its attempts, without a network: what is sent is told by a script, and the clock
-- is the spec's. Each row is a condition of lua/cce/api/call.lua in which one term decides.
local breaker = require "cce.credentials.breaker"
local call = require "cce.api.call"
local cce = require "cce"
local core = require "cce.core"
local errors = require "cce.error"
local hints = require "cce.api.hint"
local host = require "cce.host"
local providers = require "cce.credentials.provider"

local exchange = host.exchange
local answers, sent, closed, now

-- An answer: `{status, body, headers}`, or a failure of the way there.
local function transfer_of(answer)
  return {
    close = function() closed = closed + 1 end,
    result = function()
      if answer.code then return nil, answer.code:lower(), answer.code, answer end
      return { status = answer[1], body = core.json.encode(answer[2] or core.json.null),
        headers = answer[3] or {} }
    end,
  }
end

local function new(changes)
  local options = { endpoint = "https://cce.example", project_id = "p", proxy = false,
    credentials = { ak = "EXAMPLEAK", sk = "example-secret-key" } }
  for name, value in pairs(changes or {}) do options[name] = value end
  if options.token then options.credentials = nil end
  local client = assert(cce.new(options))
  client.slept = {}
  client.sleep = function(seconds)
    client.slept[#client.slept + 1] = seconds
    now = now + seconds
  end
  client.random = function() return 0.5 end
  client.monotonic = function() return now end
  client.retry_budget.at = now
  client.autopilot.c = false
  client.engine = function() return {} end
  return client
end

local calls = {
  read = function(client) return client:list_clusters() end,
  revoke = function(client, ask)
    return client:revoke_cert("c", { user_id = "u", before_send = ask })
  end,
  rotate = function(client, ask)
    return client:rotate_credentials("c", { component = "all", before_send = ask })
  end,
}

-- Make a call with these answers; the error and how many were taken.
local function run(what, list, changes, ask)
  local client = type(changes) == "table" and changes.engine and changes or new(changes)
  answers, sent, closed = list, {}, 0
  local result, message, err = calls[what](client, ask)
  assert.equal(#sent, closed)
  assert.is_true((err == nil) == (result ~= nil), message)
  return err, #sent, client
end

local LOST = { code = "CONNECTION_LOST", sent = true }
local UNREACHED = { code = "CONNECT_FAILED" }
local GATEWAY = { 429, { error_code = "APIGW.0308",
  error_msg = "ratelimit,limit:1,time:1 second" } }
local REFUSED = { 401, { error_code = "APIGW.0301", error_msg = "verify aksk signature fail" } }
local ENDED = { 401, { error_code = "APIGW.0301", error_msg = "decrypt token fail" } }
local JOB = { 200, { jobid = "j" } }
local NONE = { 200, { items = {} } }

local function skewed(signed, server)
  return { 401, { error_code = "APIGW.0301", error_msg = ("signature expired, signature time:"
    .. "%s,server time:%s"):format(signed, server) } }
end
local SKEWED = skewed("20260102T030405Z", "20260102T040405Z")

describe("a call", function()
  before_each(function()
    breaker.forget()
    now = 1000
    host.exchange = function(_, wire)
      sent[#sent + 1] = wire
      return transfer_of(assert(answers[#sent], "one attempt too many"))
    end
  end)

  after_each(function()
    breaker.forget()
    host.exchange = exchange
  end)

  -- What came, one after the other, and what it ends with: the code, whether it may have been
  -- applied, whether the caller may repeat it, and the attempts.
  for _, row in ipairs {
    { "rotate", { { 500 } }, "SERVER_ERROR true false 1" },
    { "rotate", { { 502 } }, "SERVER_ERROR true false 1" },
    { "rotate", { { 499 } }, "REQUEST_REJECTED false false 1" },
    { "rotate", { { 300 } }, "RESPONSE_INVALID false false 1" },
    { "rotate", { { 199 } }, "RESPONSE_INVALID false false 1" },
    { "rotate", { LOST }, "CONNECTION_LOST true false 1" },
    { "rotate", { { 404 } }, "NOT_FOUND false false 1" },
    { "rotate", { UNREACHED, UNREACHED, UNREACHED, UNREACHED }, "CONNECT_FAILED false true 4" },
    { "rotate", { UNREACHED, LOST }, "CONNECTION_LOST true false 2" },
    { "rotate", { GATEWAY, { 500 } }, "SERVER_ERROR true false 2" },
    { "revoke", { { 500 }, { 500 }, { 500 }, { 500 } }, "SERVER_ERROR true true 4" },
    { "revoke", { LOST, UNREACHED, UNREACHED, UNREACHED }, "CONNECT_FAILED true true 4" },
    { "revoke", { LOST, { 400 } }, "BAD_REQUEST true false 2" },
    { "revoke", { { 400 } }, "BAD_REQUEST false false 1" },
    { "read", { LOST, LOST, LOST, LOST }, "CONNECTION_LOST false true 4" },
    { "read", { { 500 }, { 500 }, { 500 }, { 500 } }, "SERVER_ERROR false true 4" },
    { "read", { REFUSED }, "UNAUTHENTICATED false false 1" },
    { "rotate", { JOB }, "ok" },
    { "rotate", { { 299, { jobid = "j" } } }, "ok" },
    { "rotate", { { 200, {} } }, "RESPONSE_INVALID true false 1" },
    { "rotate", { { 200, "x" } }, "RESPONSE_INVALID true false 1" },
    { "read", { { 200, "x" } }, "RESPONSE_INVALID false false 1" },
    { "rotate", { SKEWED, JOB }, "ok" },
    { "rotate", { SKEWED, SKEWED }, "CLOCK_SKEW false true 2" },
    { "rotate", { skewed("20260102T030405Z", "20260199T040405Z") }, "CLOCK_SKEW false true 1" },
    { "rotate", { SKEWED, { 500 } }, "SERVER_ERROR true false 2" },
  } do
    local words = {}
    for i, each in ipairs(row[2]) do words[i] = each.code or each[1] end
    it(("to %s: %s is %s"):format(row[1], table.concat(words, ", "), row[3]), function()
      local err, count = run(row[1], row[2])
      assert.equal(#row[2], count)
      if not err then return assert.equal("ok", row[3]) end
      assert.equal(row[3], ("%s %s %s %d"):format(err.code, tostring(err.maybe_applied),
        tostring(err.retryable), err.attempts))
      if err.maybe_applied and not err.retryable then assert.is_string(err.hint) end
      -- Nobody has to look before a revocation that failed there is sent again.
      if err.status == 500 and err.retryable then assert.is_nil(err.hint) end
      if err.code == "UNAUTHENTICATED" or err.code == "CONNECT_FAILED" then
        assert.is_string(err.hint)
      end
      if not err.maybe_applied then assert.not_equal(hints.maybe, err.hint) end
      for _, name in ipairs { "sent", "untrusted", "detail", "not_sent" } do
        assert.is_nil(err[name], name)
      end
    end)
  end

  it("tells why what may have been applied was refused, when that is known", function()
    local text = "x509: certificate is valid for 192.0.2.1, not 192.0.2.2"
    local reason = { 500, { error_msg = text } }
    for name, list in pairs { rotate = { reason }, revoke = { LOST, { 400, reason[2] } } } do
      local err = run(name, list)
      assert.is_true(err.maybe_applied)
      assert.equal(hints.of_cluster_tls(text), err.hint)
    end
  end)

  it("takes what may be absent for an answer, and nothing else", function()
    local request = { operation = "look", method = "GET", path = "/x", query = {} }
    for _, row in ipairs { { 404, true, true }, { 404, nil, false }, { 403, true, false },
      { 300, true, false }, { 200, true, true } } do
      request.may_be_absent = row[2]
      answers, sent = { { row[1] } }, {}
      assert.equal(row[3], call.send(new { retry = { max_attempts = 1 } }, request, {}) ~= nil)
    end
  end)

  it("sends what was asked, with the client's limits", function()
    local _, _, client = run("rotate", { JOB }, { timeout = 7 })
    local wire = sent[1]
    assert.same({ "rotate_credentials", "https://cce.example", true, 7 },
      { wire.operation, wire.endpoint, wire.mutating, wire.timeout })
    assert.same({ ["X-Project-Id"] = "p", ["Content-Type"] = "application/json" }, wire.headers)
    assert.is_nil(wire.depart_within)
    assert.is_nil(wire.token)
    assert.equal(client.session.auth.signer, wire.signer)
    run("read", { NONE })
    assert.is_nil(sent[1].headers["Content-Type"])
    run("read", { NONE }, { token = "example-token" })
    assert.is_nil(sent[1].signer)
    assert.is_truthy(sent[1].token)
  end)

  describe("with before_send", function()
    it("may leave for as long as that says, and no longer than its deadline", function()
      for _, row in ipairs {
        -- What it says, the deadline, and the bounds of the departure and the attempt.
        { 5, nil, 5, 5 }, { 1e6, nil, 86400, 30 }, { 50, nil, 50, 30 }, { 5, 3, 3, 3 },
        { 3, 5, 3, 3 }, { 0.001, nil, 0.001, 0.001 },
      } do
        run("rotate", { JOB }, { deadline = row[2], timeout = 30 }, function() return row[1] end)
        assert.same({ row[3], row[4] }, { sent[1].depart_within, sent[1].timeout })
      end
    end)

    it("is not sent without its leave, whatever the reason", function()
      local own = errors.new("LEASE_LOST", "the lease is over", { hint = "Wait", status = 401,
        error_code = "APIGW.0301", retryable = false })
      local passing = errors.new("TIMEOUT", "the store does not answer", { retryable = true })
      local stores = errors.new("UNAUTHENTICATED", "the store knows nobody", { status = 401,
        error_code = "APIGW.0301", retryable = false })
      local answered = errors.new("BAD_REQUEST", "the store cannot read", { status = 400,
        api_code = "CCE.01400001", retryable = false })
      for _, row in ipairs {
        { { nil }, "CANCELLED", true, "before_send left no time for it" },
        { { nil, "not today" }, "CANCELLED", true, "not today" },
        { { 0.0009, "not today" }, "CANCELLED", true, "not today" },
        { { false, "not today", "no error" }, "CANCELLED", true, "not today" },
        { { nil, "not today", own }, "LEASE_LOST", false, "the lease is over" },
        { { nil, "not today", passing }, "TIMEOUT", true, "the store does not answer" },
        { { nil, "not today", stores }, "UNAUTHENTICATED", false, "the store knows nobody" },
        { { nil, "not today", answered }, "BAD_REQUEST", false, "the store cannot read" },
      } do
        local given, asked = row[1], nil
        local err, count, client = run("revoke", {}, nil, function(id)
          assert.is_nil(asked)
          asked = id
          return given[1], given[2], given[3]
        end)
        assert.equal("c", asked)
        assert.equal(0, count)
        assert.same({ row[2], row[3], 0, false },
          { err.code, err.retryable, err.attempts, err.maybe_applied })
        assert.equal("revoke_cert cluster c: " .. row[4], err.message)
        -- Nothing of it is about the key.
        assert.equal(0, client.session.auth.gate.refusals)
        assert.is_false(client.session.auth.gate.proven)
        assert.equal(0, client.session.auth.gate.in_flight)
      end
    end)

    it("keeps in mind what was sent before it said no", function()
      local asked = 0
      local function once()
        asked = asked + 1
        return asked == 1 and 5 or nil
      end
      local err, count = run("revoke", { LOST }, nil, once)
      assert.same({ 1, "CANCELLED", true, 1 }, { count, err.code, err.maybe_applied, err.attempts })
      assert.is_string(err.hint)
    end)
  end)

  it("waits for the stricter of two limits, but in no vain, and not with a stopped key", function()
    for _, row in ipairs {
      -- Seconds of the limit of all calls and of changes, the deadline, what is slept.
      { "rotate", 2, nil, nil, { 2 } }, { "rotate", nil, 3, nil, { 3 } },
      { "rotate", 2, 3, nil, { 3 } }, { "rotate", 3, 2, nil, { 3 } }, { "rotate", 0, 0, nil, {} },
      { "read", 2, 3, nil, { 2 } }, { "read", nil, 3, nil, {} }, { "read", 2, nil, 3, { 2 } },
      { "read", 3, nil, 3, "TIMEOUT" }, { "rotate", nil, 3, 3, "TIMEOUT" },
    } do
      local client = new { deadline = row[4], retry = { max_attempts = 1 } }
      local function limit(seconds)
        return seconds and { reserve = function(_, moment)
          assert.equal(now, moment)
          return seconds
        end } or false
      end
      client.limiter, client.change_limiter = limit(row[2]), limit(row[3])
      local err, count = run(row[1], { row[1] == "read" and NONE or JOB }, client)
      if err then
        assert.same({ row[5], {}, 0 }, { err.code, client.slept, count })
      else
        assert.same({ row[5], 1 }, { client.slept, count })
      end
    end
    local client = new()
    for _ = 1, 2 do run("read", { REFUSED }, client) end
    client.limiter = { reserve = function() error "nobody waits with a stopped key" end }
    local err = run("read", {}, client)
    assert.same({ "UNAUTHENTICATED", false, 0 }, { err.code, err.retryable, err.attempts })
  end)

  it("sends nothing for a client that was closed while it waited, or where nothing can", function()
    local client = new()
    client.limiter = { reserve = function() return 1 end }
    client.sleep = function() client:close() end
    local err = run("rotate", {}, client)
    assert.same({ "CLOSED", false, 1 }, { err.code, err.maybe_applied, err.attempts })
    local script = require "cce.host.script"
    local check = script.check
    script.check = function() return nil, "not here" end
    err = run("rotate", {})
    script.check = check
    assert.same({ "UNSUPPORTED", false, false, 0 },
      { err.code, err.retryable, err.maybe_applied, err.attempts })
    assert.equal("rotate_credentials cluster c: not here", err.message)
  end)

  it("goes to another address for what never left, and comes back to that one", function()
    local A, B = "https://a.example", "https://b.example"
    for _, row in ipairs {
      { "rotate", { UNREACHED, JOB }, { A, B }, B },
      { "rotate", { UNREACHED, { 400 } }, { A, B }, B },
      { "rotate", { LOST }, { A }, A }, { "rotate", { { 500 } }, { A }, A },
      { "rotate", { UNREACHED, LOST }, { A, B }, A },
      { "read", { UNREACHED, UNREACHED, NONE }, { A, B, B }, B },
      { "read", { LOST, NONE }, { A, A }, A },
      { "read", { UNREACHED, LOST, NONE }, { A, B, B }, B },
    } do
      local _, _, client = run(row[1], row[2], { endpoint = A, endpoints = { cce = { A, B } } })
      local tried = {}
      for i, wire in ipairs(sent) do tried[i] = wire.endpoint end
      assert.same(row[3], tried)
      run("read", { NONE }, client)
      assert.equal(row[4], sent[1].endpoint)
    end
    local _, _, client = run("read", { UNREACHED, NONE }, { endpoint = A,
      endpoints = { cce = { A, B } } })
    answers, sent = { { 200 } }, {}
    assert(call.send(client, { operation = "look", method = "GET", path = "/", query = {},
      endpoint = "https://own.example" }, {}))
    assert.equal("https://own.example", sent[1].endpoint)
  end)

  it("is made again with other keys, once", function()
    local function source(list, fields)
      local asked = 0
      return providers.new("source", function()
        asked = asked + 1
        local given = list[asked] or list[#list]
        return { ak = not given.token and "EXAMPLEAK" or nil, sk = given.sk and
          core.secret(given.sk), token = given.token and core.secret(given.token) }
      end, fields)
    end
    local two = { { sk = "example-one" }, { sk = "example-two" } }
    local tokens = { { token = "example-one" }, { token = "example-two" } }
    for _, row in ipairs {
      { two, nil, { REFUSED, JOB } }, { two, nil, { REFUSED, REFUSED }, "UNAUTHENTICATED" },
      { { two[1] }, nil, { REFUSED }, "UNAUTHENTICATED" },
      { two, { constant = true }, { REFUSED }, "UNAUTHENTICATED" },
      { tokens, { renewable = true }, { ENDED, JOB } },
      { tokens, { renewable = true }, { ENDED, ENDED }, "UNAUTHENTICATED" },
      { tokens, nil, { ENDED }, "UNAUTHENTICATED" },
      { two, { renewable = true }, { { 403 } }, "PERMISSION_DENIED" },
    } do
      breaker.forget()
      local err, count = run("rotate", row[3], { credentials = source(row[1], row[2]) })
      assert.equal(row[4], err and err.code)
      assert.equal(#row[3], count)
      assert.equal(1000, now)
    end
  end)

  it("ends with what its keys' source says, which is nothing about the call itself", function()
    for _, row in ipairs {
      { { "CONNECT_FAILED", sent = true, maybe_applied = true }, "CONNECT_FAILED", true, 4, 4 },
      { { "UNAUTHENTICATED", detail = "token expired" }, "UNAUTHENTICATED", false, 1, 1 },
    } do
      local asked = 0
      local source = providers.new("source", function()
        asked = asked + 1
        return errors.fail(row[1][1], "IAM", row[1])
      end)
      local err, count = run("rotate", {}, { credentials = source })
      assert.same({ row[2], row[3], row[4], false, 0 },
        { err.code, err.retryable, err.attempts, err.maybe_applied, count })
      assert.equal(row[5], asked)
      if row[3] then assert.is_string(err.hint) end
    end
    local client = new { retry = { max_attempts = 1 } }
    client.engine = function() return nil, "no engine", "TLS_FAILED" end
    local err = run("rotate", {}, client)
    assert.same({ "TLS_FAILED", false }, { err.code, err.maybe_applied })
  end)

  it("waits between attempts, but not beyond its deadline", function()
    local _, _, client = run("read", { LOST, LOST, LOST, LOST })
    assert.same({ 0.25, 0.5, 1 }, client.slept)
    for _, row in ipairs { { 0.2, 1 }, { 0.3, 2 } } do
      local err, count = run("read", { LOST, LOST }, { deadline = row[1] })
      assert.same({ row[2], "CONNECTION_LOST" }, { count, err.code })
      assert.matches("deadline= leaves no time for", err.hint)
    end
    local err, count = run("rotate", { UNREACHED }, { deadline = 0.2 })
    assert.equal(1, count)
    assert.matches("firewall.*%. Another attempt would have to wait 0.25 s", err.hint)
    -- Its keys took too long.
    local slow = providers.new("slow", function()
      now = now + 2
      return { token = core.secret "example-token" }
    end)
    err, count = run("rotate", {}, { deadline = 1, credentials = slow })
    assert.same({ 0, "TIMEOUT", false }, { count, err.code, err.maybe_applied })
    assert.matches("not within the deadline of 1 s", err.message)
    -- That of a call that consists of several.
    answers, sent = { LOST, LOST }, {}
    assert.is_nil((call.send(new { deadline = 100 }, { operation = "look", method = "GET",
      path = "/", query = {} }, {}, now + 0.1)))
    assert.equal(1, #sent)
    answers, sent = { LOST, LOST }, {}
    assert.is_nil((call.send(new { deadline = 0.2 }, { operation = "look", method = "GET",
      path = "/", query = {} }, {})))
    assert.equal(1, #sent)
  end)

  it("goes to the service that it is for, or nowhere", function()
    for _, row in ipairs { { "iam", "https://iam.example" }, { nil, "https://cce.example" } } do
      answers, sent = { { 200 } }, {}
      assert(call.send(new { endpoints = { iam = "https://iam.example" } }, { operation = "look",
        method = "GET", path = "/", query = {}, service = row[1] }, {}))
      assert.equal(row[2], sent[1].endpoint)
    end
    answers, sent = {}, {}
    local response, _, err = call.send(new(), { operation = "look", method = "GET", path = "/",
      query = {}, service = "iam" }, {})
    assert.is_nil(response)
    assert.equal("NO_ENDPOINT", err.code)
  end)

  it("signs with the clock of the API once that has told it", function()
    local events = {}
    local _, _, client = run("rotate", { SKEWED, JOB }, { on_event = function(event)
      events[#events + 1] = event
    end, clock = function() return 1767323045 end })
    assert.same({ 1767323045, 1767326645 }, { sent[1].date, sent[2].date })
    assert.equal(1767326645, client:now())
    local corrected = {}
    for _, event in ipairs(events) do
      if event.type == "clock_corrected" then corrected[#corrected + 1] = event end
    end
    assert.same({ { type = "clock_corrected", seconds = 3600, operation = "rotate_credentials" } },
      corrected)
    assert.equal("UNAUTHENTICATED", run("read", { REFUSED }, { token = "example-token" }).code)
  end)

  it("tells of each attempt", function()
    local events = {}
    run("revoke", { { 503, nil, { ["retry-after"] = "3", ["x-request-id"] = "r1" } }, LOST,
      { 200, nil, { ["x-request-id"] = "r2" } } }, { on_event = function(event)
        if event.type == "attempt" then events[#events + 1] = event end
      end })
    local function event(attempt, fields)
      fields.type, fields.operation, fields.attempt = "attempt", "revoke_cert", attempt
      fields.endpoint, fields.cluster_id = "https://cce.example", "c"
      return fields
    end
    assert.same({
      event(1, { status = 503, code = "SERVER_ERROR", request_id = "r1", retry_in = 3.25 }),
      event(2, { code = "CONNECTION_LOST", retry_in = 0.5 }),
      event(3, { status = 200, request_id = "r2" }),
    }, events)
  end)
end)
