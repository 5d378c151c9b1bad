local retry = require "cce.api.retry"

local requests = {
  read = { operation = "list_clusters", mutating = false },
  revoke = { operation = "revoke_cert", mutating = true },
  obtain = { operation = "obtain_cert", mutating = true },
  rotate = { operation = "rotate_credentials", mutating = true },
}
local columns = { "read", "revoke", "obtain", "rotate" }

-- A failure, and whether read, revoke, obtain and rotate may be repeated after it.
local rules = {
  -- Nothing was sent.
  { { code = "DNS_FAILED" }, "yes yes yes yes" },
  { { code = "CONNECT_FAILED" }, "yes yes yes yes" },
  { { code = "PROXY_FAILED" }, "yes yes yes yes" },
  { { code = "TLS_FAILED" }, "yes yes yes yes" },
  { { code = "TIMEOUT" }, "yes yes yes yes" },
  { { code = "CONNECTION_LOST" }, "yes yes yes yes" },
  -- The server's certificate will not get better.
  { { code = "TLS_FAILED", untrusted = true }, "no no no no" },
  -- The request may have arrived.
  { { code = "TIMEOUT", sent = true }, "yes yes no no" },
  { { code = "CONNECTION_LOST", sent = true }, "yes yes no no" },
  { { code = "TLS_FAILED", sent = true }, "no no no no" },
  { { code = "RESPONSE_TOO_LARGE", sent = true }, "no no no no" },
  { { code = "RESPONSE_INVALID", sent = true }, "yes no no no" },
  -- There was an answer.
  { { code = "SERVER_ERROR", status = 500 }, "yes yes yes no" },
  { { code = "SERVER_ERROR", status = 503 }, "yes yes yes no" },
  { { code = "THROTTLED", status = 429, error_code = "APIGW.0308" }, "yes yes yes yes" },
  { { code = "THROTTLED", status = 429, error_code = "APIG.0308" }, "yes yes yes yes" },
  { { code = "THROTTLED", status = 429, error_code = "CCE.02429001" }, "yes yes yes no" },
  { { code = "THROTTLED", status = 429, error_code = "XAPIGW.0308" }, "yes yes yes no" },
  { { code = "THROTTLED", status = 429 }, "yes yes yes no" },
  { { code = "RESOURCE_LOCKED", status = 429 }, "no no no no" },
  { { code = "CONFLICT", status = 409 }, "no no no no" },
  { { code = "UNAUTHENTICATED", status = 401 }, "no no no no" },
  { { code = "ACCESS_KEY_LOCKED", status = 401 }, "no no no no" },
  { { code = "CLOCK_SKEW", status = 401 }, "no no no no" },
  { { code = "PERMISSION_DENIED", status = 403 }, "no no no no" },
  { { code = "NOT_FOUND", status = 404 }, "no no no no" },
  { { code = "API_NOT_FOUND", status = 404 }, "no no no no" },
  { { code = "BAD_REQUEST", status = 400 }, "no no no no" },
  { { code = "REQUEST_REJECTED", status = 429 }, "no no no no" },
  -- It is our own doing.
  { { code = "INVALID_ARGUMENT" }, "no no no no" },
  { { code = "NO_MEMORY" }, "no no no no" },
  { { code = "CANCELLED" }, "no no no no" },
  { { code = "CLOSED" }, "no no no no" },
  { { code = "INTERNAL", sent = true }, "no no no no" },
}

local function name_of(err)
  return err.code .. (err.sent and " after sending" or "")
    .. (err.untrusted and " (untrusted)" or "") .. (err.error_code and " " .. err.error_code or "")
end

describe("cce.retry.allowed", function()
  for _, rule in ipairs(rules) do
    local err, expected = rule[1], rule[2]
    it("after " .. name_of(err) .. ": " .. expected, function()
      local words = {}
      for i, column in ipairs(columns) do
        words[i] = retry.allowed(requests[column], err) and "yes" or "no"
      end
      assert.equal(expected, table.concat(words, " "))
    end)
  end

  it("treats every other read alike", function()
    for _, operation in ipairs { "show_job", "show_cluster" } do
      local request = { operation = operation, mutating = false }
      assert.is_true(retry.allowed(request, { code = "TIMEOUT", sent = true }))
    end
  end)

  it("treats a change that it does not know like a rotation", function()
    local request = { operation = "something_new", mutating = true }
    assert.is_false(retry.allowed(request, { code = "SERVER_ERROR", status = 500 }))
    assert.is_false(retry.allowed(request, { code = "TIMEOUT", sent = true }))
    assert.is_true(retry.allowed(request, { code = "CONNECT_FAILED" }))
    assert.is_true(retry.allowed(request, { code = "TIMEOUT" }))
  end)
end)

describe("cce.retry.delay", function()
  local policy = { max_attempts = 10, base = 0.5, cap = 30 }
  local failure = { code = "SERVER_ERROR", status = 503 }
  local function delay(attempt, luck, err, with)
    return retry.delay(with or policy, requests.read, err or failure, attempt,
      function() return luck end)
  end

  it("doubles a jittered wait up to the cap", function()
    local waits = {}
    for attempt = 1, 9 do waits[attempt] = delay(attempt, 1) end
    assert.same({ 0.5, 1, 2, 4, 8, 16, 30, 30, 30 }, waits)
    assert.equal(0, delay(3, 0))
    assert.equal(1, delay(3, 0.5))
  end)

  it("gives up after the last attempt", function()
    assert.is_nil(delay(10, 0.5))
    assert.is_nil(delay(11, 0.5))
    assert.is_nil(delay(1, 0.5, nil, { max_attempts = 1, base = 1, cap = 1 }))
  end)

  it("gives up when the failure may not be repeated", function()
    assert.is_nil(delay(1, 0.5, { code = "UNAUTHENTICATED", status = 401 }))
  end)

  it("waits out the window that was named, and a little more", function()
    local throttled = { code = "THROTTLED", status = 429, retry_after = 300 }
    assert.equal(300, delay(1, 0, throttled))
    assert.equal(300.25, delay(1, 0.5, throttled))
    assert.equal(300.25, delay(5, 0.5, throttled))
  end)

  it("leaves a window of more than an hour to the caller", function()
    assert.equal(3600, delay(1, 0, { code = "THROTTLED", status = 429, retry_after = 3600 }))
    assert.is_nil(delay(1, 0, { code = "THROTTLED", status = 429, retry_after = 3601 }))
  end)
end)

describe("cce.retry.budget", function()
  it("gives so many retries at once, and no more", function()
    local budget = retry.budget(3, 1000)
    for _ = 1, 3 do assert.is_true(budget:take(1000)) end
    assert.is_false(budget:take(1000))
  end)

  it("comes back within a minute, never to more than it was", function()
    local budget = retry.budget(6, 0)
    for _ = 1, 6 do assert.is_true(budget:take(0)) end
    assert.is_false(budget:take(9.9))
    assert.is_true(budget:take(10.1))
    assert.is_false(budget:take(10.2))
    for _ = 1, 6 do assert.is_true(budget:take(1000)) end
    assert.is_false(budget:take(1000))
  end)

  it("gets nothing of a clock that was set back", function()
    local budget = retry.budget(1, 1000)
    assert.is_true(budget:take(1000))
    assert.is_false(budget:take(10))
    assert.is_false(budget:take(11))
  end)

  it("may be none", function()
    assert.is_false(retry.budget(0, 0):take(1e9))
  end)
end)

describe("cce.retry.next", function()
  local reading = { operation = "list_clusters", mutating = false }
  local failed = { code = "SERVER_ERROR", status = 503 }

  local function plan(changes)
    local all = {
      policy = { max_attempts = 4, base = 1, cap = 8 }, budget = retry.budget(100, 0), now = 0,
      random = function() return 0.5 end,
    }
    for name, value in pairs(changes or {}) do all[name] = value end
    return all
  end

  it("doubles the bound up to the cap, and rolls dice below it", function()
    local all = plan { policy = { max_attempts = 10, base = 1, cap = 8 } }
    local delays = {}
    for attempt = 1, 6 do delays[attempt] = retry.next(all, reading, failed, attempt) end
    assert.same({ 0.5, 1, 2, 4, 4, 4 }, delays)
    all.random = function() return 0 end
    assert.equal(0, retry.next(all, reading, failed, 5))
  end)

  it("gives up after the last attempt, without a word", function()
    local delay, why = retry.next(plan(), reading, failed, 4)
    assert.is_nil(delay)
    assert.is_nil(why)
  end)

  it("gives up when the time does not suffice, and says so", function()
    local delay, why = retry.next(plan { left = 0.5 }, reading, failed, 1)
    assert.is_nil(delay)
    assert.matches("deadline=", why)
    assert.equal(0.5, retry.next(plan { left = 0.51 }, reading, failed, 1))
  end)

  it("takes failures from the budget, and says when it is used up", function()
    local all = plan { budget = retry.budget(1, 0) }
    assert.equal(0.5, retry.next(all, reading, failed, 1))
    local delay, why = retry.next(all, reading, failed, 1)
    assert.is_nil(delay)
    assert.matches("retry.budget", why)
  end)

  it("takes nothing for what is not tried again", function()
    local all = plan { budget = retry.budget(1, 0), left = 0.1 }
    retry.next(all, reading, { code = "BAD_REQUEST", status = 400 }, 1)
    retry.next(all, reading, failed, 4)
    retry.next(all, reading, failed, 1)
    assert.is_true(all.budget:take(0))
  end)

  it("waits out a window at no cost", function()
    local throttled = { code = "THROTTLED", status = 429, retry_after = 60 }
    local all = plan { budget = retry.budget(0, 0) }
    assert.equal(60.5, retry.next(all, reading, throttled, 1))
    assert.is_nil((retry.next(plan { left = 60 }, reading, throttled, 1)))
  end)
end)

describe("cce.retry.never_left", function()
  it("is so before anything was sent", function()
    for _, code in ipairs { "DNS_FAILED", "CONNECT_FAILED", "TLS_FAILED", "TIMEOUT" } do
      assert.is_true(retry.never_left { code = code, sent = false })
      assert.is_false(retry.never_left { code = code, sent = true })
    end
    for _, code in ipairs { "CONNECTION_LOST", "PROXY_FAILED", "SERVER_ERROR" } do
      assert.is_false(retry.never_left { code = code, sent = false })
    end
  end)
end)
