local canned = require "spec.support.peer.canned"
local child = require "spec.support.child"
local cjson = require "cjson"
local clients = require "spec.support.clients"
local core = require "cce.core"
local pki = require "spec.support.peer.pki"
local printed = require "spec.support.printed"
local socket = require "socket"
local simulator = require "spec.support.sim"

local sim = simulator.get()
local cluster = sim.clusters[1].id
-- What is done late, after its client gave up, shall not be in another spec's way.
local slow_cluster = sim.clusters[5].id

local calls = {
  list = function(client) return client:list_clusters() end,
  show = function(client, id) return client:show_cluster(id or cluster) end,
  job = function(client) return client:show_job "a-job" end,
  revoke = function(client, id) return client:revoke_cert(id or cluster, { user_id = "u1" }) end,
  obtain = function(client, id) return client:obtain_cert(id or cluster, { duration = 1 }) end,
  rotate = function(client, id)
    return client:rotate_credentials(id or cluster, { component = "all" })
  end,
}
local operations = {
  list = "list_clusters", show = "show_cluster", job = "show_job", revoke = "revoke_cert",
  obtain = "obtain_cert", rotate = "rotate_credentials",
}
local order = { "list", "revoke", "obtain", "rotate" }

local function requests_of(name)
  return #sim:log { operation = operations[name] }
end

local CCE_THROTTLED = cjson.encode {
  errorCode = "CCE.02429001", errorMessage = "Too many requests.",
}
local CCE_LOCKED = cjson.encode {
  errorCode = "CCE.01429002", errorMessage = "Resource locked by other requests.",
}

-- A fault, the code it becomes, how many requests the simulator sees of list, revoke, obtain and
-- rotate when four are allowed, and for which of these the outcome is uncertain.
local faults = {
  { { reset = "before" }, "CONNECTION_LOST", { 4, 4, 1, 1 }, uncertain = true },
  { { reset = "after" }, "CONNECTION_LOST", { 4, 4, 1, 1 }, uncertain = true },
  { { truncate = true }, "CONNECTION_LOST", { 4, nil, 1, 1 }, uncertain = true },
  { { status = 500 }, "SERVER_ERROR", { 4, 4, 4, 1 }, uncertain = true },
  { { status = 502, body = "<html>Bad gateway</html>" }, "SERVER_ERROR", { 4, 4, 4, 1 },
    uncertain = true },
  { { status = 503, body = "" }, "SERVER_ERROR", { 4, 4, 4, 1 }, uncertain = true },
  { { status = 504 }, "SERVER_ERROR", { 4, 4, 4, 1 }, uncertain = true },
  { { oversize = 5000000 }, "RESPONSE_TOO_LARGE", { 1, 1, 1, 1 }, uncertain = true },
  { { garbage = true }, "RESPONSE_INVALID", { 1, nil, 1, 1 }, uncertain = true },
  { { status = 429 }, "THROTTLED", { 4, 4, 4, 4 } },
  { { status = 429, body = CCE_THROTTLED }, "THROTTLED", { 4, 4, 4, 1 } },
  { { status = 429, body = CCE_LOCKED }, "RESOURCE_LOCKED", { 1, 1, 1, 1 } },
  { { status = 400 }, "BAD_REQUEST", { 1, 1, 1, 1 } },
  { { status = 401 }, "UNAUTHENTICATED", { 1, 1, 1, 1 } },
  { { status = 403 }, "PERMISSION_DENIED", { 1, 1, 1, 1 } },
  { { status = 404 }, "NOT_FOUND", { 1, 1, 1, 1 } },
  { { status = 409 }, "CONFLICT", { 1, 1, 1, 1 } },
}

local function describe_fault(fault)
  local words = {}
  for name, value in pairs(fault) do words[#words + 1] = name .. "=" .. tostring(value) end
  table.sort(words)
  return table.concat(words, " "):sub(1, 60)
end

local function check_error(name, row, err, count)
  local changes = name ~= "list"
  assert.equal(operations[name], err.operation)
  assert.equal(count, err.attempts)
  assert.equal((changes and row.uncertain) or false, err.maybe_applied)
  -- The simulator repeats what the client may not: a caller's own loop shall not either.
  if name == "rotate" and err.maybe_applied then assert.is_false(err.retryable) end
  if err.maybe_applied and count == 1 then
    assert.matches("look before you send it again", err.hint)
  end
  if changes then assert.is_truthy(err.message:find(cluster, 1, true), err.message) end
end

describe("a call that fails", function()
  before_each(function() sim:reset() end)

  for _, row in ipairs(faults) do
    for i, name in ipairs(order) do
      local count = row[3][i]
      if count then
        it(("by %s sends %s %d times"):format(describe_fault(row[1]), name, count), function()
          sim:fault(row[1])
          local client = clients.new(sim)
          local err = clients.fails(row[2], calls[name](client))
          assert.equal(count, requests_of(name))
          assert.equal(count - 1, #client.slept)
          check_error(name, row, err, count)
          if row[1].status then
            assert.equal(row[1].status, err.status)
            assert.matches("^%x+$", err.request_id)
            assert.is_truthy(err.message:find(err.request_id, 1, true))
          end
          client:close()
        end)
      end
    end
  end

  for i, name in ipairs(order) do
    local count = ({ 3, 3, 1, 1 })[i]
    it(("by a time-out sends %s %d times"):format(name, count), function()
      local timeout = clients.time_to_send(sim)
      local err
      repeat
        sim:reset()
        sim:fault { operation = operations[name], hold = "before" }
        local client = clients.new(sim, { timeout = timeout, retry = { max_attempts = 3 } })
        err = clients.fails("TIMEOUT", calls[name](client, slow_cluster))
        client:close()
        assert.matches(("no answer within %g s"):format(timeout), err.message, 1, true)
        -- Where the machine stood still, one may not have left in time.
        timeout = 3 * timeout
      until requests_of(name) == err.attempts or timeout > 60
      assert.equal(count, requests_of(name))
      assert.equal(count, err.attempts)
      assert.equal(name ~= "list", err.maybe_applied)
    end)
  end

  for _, name in ipairs(order) do
    it("by a refused connection tries " .. name .. " four times", function()
      local client = clients.new(sim, {
        endpoint = ("https://127.0.0.1:%d"):format(core.sys.free_port()),
      })
      local err = clients.fails("CONNECT_FAILED", calls[name](client))
      assert.equal(4, err.attempts)
      assert.is_true(err.retryable)
      assert.is_false(err.maybe_applied)
      assert.matches("Check the endpoint", err.hint)
      assert.equal(3, #client.slept)
      client:close()
    end)
  end

  it("ends well when the fault does", function()
    sim:fault { status = 503, times = 2 }
    local client = clients.new(sim)
    assert.equal(#sim.clusters, #assert(client:list_clusters()))
    assert.same({ 0.25, 0.5 }, client.slept)
    assert.equal(3, requests_of "list")
    client:close()
  end)

  it("is tried as often as retry.max_attempts says", function()
    sim:fault { status = 500 }
    local client = clients.new(sim, { retry = { max_attempts = 2, base = 8, cap = 3 } })
    local err = clients.fails("SERVER_ERROR", client:list_clusters())
    assert.equal(2, err.attempts)
    assert.same({ 1.5 }, client.slept)
    client:close()
  end)

  it("waits out the throttling window that the text names", function()
    sim:fault { status = 429, times = 1 }
    local client = clients.new(sim)
    assert(client:list_clusters())
    assert.same({ 300.25 }, client.slept)
    client:close()
  end)

  it("waits a minute when no window is named, and what a date in Retry-After says", function()
    sim:fault { status = 429, times = 1, body = CCE_THROTTLED }
    local client = clients.new(sim)
    assert(client:list_clusters())
    assert.same({ 60.25 }, client.slept)
    sim:fault { status = 429, times = 1, body = CCE_THROTTLED,
      headers = { Date = "Fri, 02 Jan 2026 03:04:05 GMT",
        ["Retry-After"] = "Fri, 02 Jan 2026 03:04:25 GMT" } }
    assert(client:list_clusters())
    assert.equal(20.25, client.slept[2])
    client:close()
  end)

  it("tells the throttling window when it gives up", function()
    sim:fault { status = 429 }
    local client = clients.new(sim, { retry = { max_attempts = 1 } })
    local err = clients.fails("THROTTLED", calls.rotate(client))
    assert.equal("APIGW.0308", err.api_code)
    assert.equal("APIGW.0308", err.error_code)
    assert.equal(300, err.retry_after)
    assert.matches("limit:200,time:5 minute", err.message)
    assert.is_true(err.retryable)
    client:close()
  end)

  it("keeps both codes and the detail of CCE's own errors", function()
    sim:fault { status = 400 }
    local client = clients.new(sim)
    local err = clients.fails("BAD_REQUEST", calls.rotate(client))
    assert.equal("CCE.01400001", err.api_code)
    assert.equal("CCE_CM.0004", err.error_code)
    assert.matches("^rotate_credentials cluster %S+: HTTP 400 CCE.01400001 CCE_CM.0004: "
      .. "Request is invalid, fault injected %(request id %x+%)$", err.message)
    client:close()
  end)

  it("stays uncertain when a later attempt surely did not arrive", function()
    sim:fault { reset = "after", times = 1 }
    sim:fault { status = 403 }
    local client = clients.new(sim)
    local err = clients.fails("PERMISSION_DENIED", calls.revoke(client))
    assert.equal(2, err.attempts)
    assert.is_true(err.maybe_applied)
    client:close()
  end)

  it("is certain when no attempt arrived", function()
    sim:fault { status = 429, times = 1 }
    sim:fault { status = 403 }
    local client = clients.new(sim)
    local err = clients.fails("PERMISSION_DENIED", calls.rotate(client))
    assert.equal(2, err.attempts)
    assert.is_false(err.maybe_applied)
    client:close()
  end)

  it("counts the attempts before an answer that is of no use", function()
    sim:fault { status = 503, times = 2 }
    sim:fault { garbage = true }
    local client = clients.new(sim)
    local err = clients.fails("RESPONSE_INVALID", calls.list(client))
    assert.equal(3, err.attempts)
    assert.matches("is not a JSON object", err.message)
    client:close()
  end)

  it("sends a change once when a kept-alive connection dies under it", function()
    local client = clients.new(sim)
    assert(calls.list(client))
    sim:fault { close_on_reuse = true }
    -- With libcurl below 7.80 a change has a connection of its own.
    if core.libraries():find "libcurl/7%.7" then
      assert(calls.rotate(client))
    else
      assert.is_true(clients.fails("CONNECTION_LOST", calls.rotate(client)).maybe_applied)
    end
    assert.equal(1, requests_of "rotate")
    client:close()
  end)
end)

describe("a rate limit", function()
  it("holds back what would be too much, further attempts too", function()
    sim:reset()
    local now = os.time()
    local client = clients.new(sim, { rate_limit = "2/min", clock = function() return now end })
    assert(calls.list(client))
    assert(calls.show(client))
    assert.same({}, client.slept)
    assert(calls.list(client))
    assert.same({ 60 }, client.slept)
    sim:fault { status = 503, times = 1 }
    assert(calls.list(client))
    assert.same({ 60, 60, 0.25, 120 }, client.slept)
    client:close()
  end)
end)

describe("a wrong key", function()
  before_each(function() sim:reset() end)

  for _, name in ipairs(order) do
    it("is shown to the API once by " .. name, function()
      local client = clients.new(sim, {
        credentials = { ak = simulator.admin.ak, sk = "wrong-example-secret-key" },
      })
      local err = clients.fails("UNAUTHENTICATED", calls[name](client))
      assert.equal(1, #sim:log())
      assert.equal(401, err.status)
      assert.equal(1, err.attempts)
      assert.is_false(err.retryable)
      assert.is_false(err.maybe_applied)
      assert.matches("verify aksk signature fail", err.message)
      assert.matches("the secret key is wrong or belongs to another access key$", err.hint)
      client:close()
    end)
  end

  it("that is locked says so, once", function()
    local client = clients.new(sim, {
      credentials = { ak = simulator.member.ak, sk = "wrong-example-secret-key" },
    })
    sim:lock_key(simulator.member.ak)
    local err = clients.fails("ACCESS_KEY_LOCKED", calls.list(client))
    assert.equal(7, #sim:log())
    assert.matches("5 minutes", err.hint)
    client:close()
  end)
end)

describe("a clock that is off", function()
  local OFF = 1200

  before_each(function()
    sim:reset()
    sim:clock(OFF)
  end)
  after_each(function() sim:clock(0) end)

  for _, name in ipairs(order) do
    it("is corrected by the API's own, once, and " .. name .. " succeeds", function()
      local client = clients.new(sim)
      printed.shown((assert(calls[name](client))))
      local seen = sim:log()
      assert.equal(2, #seen)
      assert.equal(401, seen[1].status)
      assert.equal(200, seen[2].status)
      assert.same({ 0 }, client.slept)
      assert.equal("clock_corrected", client.events[1].type)
      assert.is_true(math.abs(client.events[1].seconds - OFF) < 60)
      -- It stays corrected.
      assert(calls.list(client))
      assert.equal(3, #sim:log())
      client:close()
    end)
  end

  it("is corrected for a rotation with one attempt too: nothing was done before", function()
    local client = clients.new(sim, { retry = { max_attempts = 1 } })
    assert(calls.rotate(client))
    assert.equal(2, #sim:log())
    client:close()
  end)

  it("is corrected no second time in a call", function()
    local client = clients.new(sim)
    client.set_clock = function() end
    local err = clients.fails("CLOCK_SKEW", calls.list(client))
    assert.equal(2, #sim:log())
    assert.equal(2, err.attempts)
    assert.matches("clock is %d+ s behind", err.hint)
    client:close()
  end)

  it("is corrected to the same time by calls that learn of it at once", function()
    local now = 1893456000
    local client = clients.new(sim, { clock = function() return now end })
    client:set_clock(now + OFF)
    client:set_clock(now + OFF)
    assert.equal(now + OFF, client:now())
    client:close()
  end)

  it("is left alone when the API does not tell its own", function()
    sim:clock(0)
    sim:fault { status = 401, body = cjson.encode {
      error_code = "APIGW.0301", error_msg = "signature expired",
    } }
    local client = clients.new(sim)
    local err = clients.fails("CLOCK_SKEW", calls.list(client))
    assert.equal(1, err.attempts)
    assert.matches("15 minutes", err.hint)
    client:close()
  end)

  it("counts for the range of expire_at too", function()
    local client = clients.new(sim)
    assert(calls.list(client))
    local expire_at = os.time() + OFF + 15 * 60
    clients.fails("INVALID_ARGUMENT", client:obtain_cert(cluster, { expire_at = expire_at - 60 }))
    assert(client:obtain_cert(cluster, { expire_at = expire_at + 60 }))
    client:close()
  end)
end)

describe("on_event", function()
  before_each(function() sim:reset() end)

  it("sees every attempt", function()
    -- In this order: of a connection in use libcurl itself would repeat a request that reads.
    sim:fault { reset = "before", times = 1 }
    sim:fault { status = 503, times = 1 }
    local client = clients.new(sim)
    assert(calls.show(client))
    local events = client.events
    assert.equal(3, #events)
    for i, event in ipairs(events) do
      assert.equal("attempt", event.type)
      assert.equal("show_cluster", event.operation)
      assert.equal(cluster, event.cluster_id)
      assert.equal(i, event.attempt)
    end
    assert.is_nil(events[1].status)
    assert.equal("CONNECTION_LOST", events[1].code)
    assert.equal(0.25, events[1].retry_in)
    assert.equal(503, events[2].status)
    assert.equal("SERVER_ERROR", events[2].code)
    assert.matches("^%x+$", events[2].request_id)
    assert.equal(0.5, events[2].retry_in)
    assert.equal(200, events[3].status)
    assert.is_nil(events[3].code)
    assert.is_nil(events[3].retry_in)
    client:close()
  end)

  it("names the job of a call that looks at one", function()
    local client = clients.new(sim)
    clients.fails("NOT_FOUND", calls.job(client))
    assert.equal("a-job", client.events[1].job_id)
    assert.equal("NOT_FOUND", client.events[1].code)
    client:close()
  end)

  it("harms no call when it raises", function()
    local variables = {}
    for name, value in pairs(sim.env) do variables[name] = value end
    local output = printed.add(child.run(variables, [[
      local client = assert(require "cce".new { on_event = function() error "a mistake" end })
      print(#assert(client:list_clusters()))
    ]]))
    assert.matches("cce: on_event failed: .*a mistake\n", output)
    assert.matches("5\n", output)
  end)
end)

-- Kilobytes of memory that this process has at most had at once.
local function peak_memory()
  return tonumber(simulator.read("/proc/self/status"):match "VmHWM:%s+(%d+)")
end

describe("a server that nobody should talk to", function()
  before_each(function() sim:reset() end)

  local certificates = {
    expired = "certificate has expired", wrong_name = "name", unknown_ca = "issuer",
    self_signed = "self.signed",
  }
  for kind, reason in pairs(certificates) do
    it("has a certificate that is " .. kind, function()
      for _, name in ipairs { "list", "rotate" } do
        local client = clients.new(sim, { endpoint = sim:bad_tls(kind) })
        local err = clients.fails("TLS_FAILED", calls[name](client))
        assert.matches(reason, err.message)
        assert.equal(1, err.attempts)
        assert.is_false(err.retryable)
        assert.is_false(err.maybe_applied)
        assert.matches("verification cannot be turned off$", err.hint)
        assert.equal(0, #sim:log())
        client:close()
      end
    end)
  end

  it("is not of the CA that was named", function()
    local path = os.tmpname()
    simulator.write(path, pki.authority("another CA").pem)
    local client = clients.new(sim, { ca_file = path })
    local err = clients.fails("TLS_FAILED", calls.rotate(client))
    assert.equal(1, err.attempts)
    os.remove(path)
    client:close()
  end)

  it("is not reached when the CA file cannot be read", function()
    local client = clients.new(sim, { ca_file = "/nonexistent/ca.pem" })
    local err = clients.fails("TLS_FAILED", calls.list(client))
    assert.matches("CA file cannot be read", err.message)
    assert.matches("/nonexistent/ca.pem", err.message)
    assert.equal(1, err.attempts)
    client:close()
  end)

  it("speaks no TLS", function()
    local server = canned.start { { text = "220 example.com ESMTP\r\n", early = true } }
    local client = clients.new(sim, { endpoint = (server.url:gsub("^http:", "https:")) })
    local err = clients.fails("TLS_FAILED", calls.rotate(client))
    assert.equal(4, err.attempts)
    assert.is_false(err.maybe_applied)
    client:close()
    server:stop()
  end)
end)

describe("a server that is not there", function()
  it("has no name", function()
    local client = clients.new(sim, { endpoint = "https://cce.invalid" })
    local err = clients.fails("DNS_FAILED", calls.rotate(client))
    assert.equal(4, err.attempts)
    assert.is_true(err.retryable)
    assert.matches("cce.invalid", err.message)
    client:close()
  end)

  it("never completes the connection", function()
    local listener = assert(socket.bind("127.0.0.1", 0))
    local _, port = listener:getsockname()
    local client = clients.new(sim, {
      endpoint = "https://127.0.0.1:" .. port, connect_timeout = 0.1,
      retry = { max_attempts = 2 },
    })
    local err = clients.fails("TIMEOUT", calls.rotate(client))
    assert.matches("no connection within 0.1 s", err.message)
    assert.equal(2, err.attempts)
    assert.is_true(err.retryable)
    assert.is_false(err.maybe_applied)
    listener:close()
    client:close()
  end)
end)

describe("a server that answers badly", function()
  local server, client

  local function start(answer)
    server = canned.start { answer }
    client = clients.new(sim, { endpoint = server.url, timeout = 5, retry = { max_attempts = 1 } })
    return client
  end
  after_each(function()
    client:close()
    server:stop()
  end)

  local head = "HTTP/1.1 200 OK\r\n"
  local answers = {
    { "nothing", "", "CONNECTION_LOST" },
    { "no HTTP", "SSH-2.0-OpenSSH\r\n", "RESPONSE_INVALID" },
    { "half a head", "HTTP/1.1 200 OK\r\nContent-Le", "CONNECTION_LOST" },
    { "half a body", head .. "Content-Length: 100\r\n\r\n{", "CONNECTION_LOST" },
    { "half a chunk", head .. "Transfer-Encoding: chunked\r\n\r\nff\r\n{", "CONNECTION_LOST" },
    { "chunks that are none", head .. "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
      "CONNECTION_LOST" },
    { "a redirect", "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
      .. "Content-Length: 0\r\n\r\n", "RESPONSE_INVALID", refused = true },
    { "garbage", head .. "Content-Length: 4\r\n\r\n\1\2\3\255", "RESPONSE_INVALID" },
    { "endless headers", head .. ("X-Long: " .. ("x"):rep(1000) .. "\r\n"):rep(100),
      "RESPONSE_TOO_LARGE" },
  }
  for _, row in ipairs(answers) do
    it("with " .. row[1], function()
      local err = clients.fails(row[3], calls.rotate(start { text = row[2] }))
      assert.equal(not row.refused, err.maybe_applied)
      assert.is_false(err.retryable)
      assert.equal(1, server:count())
    end)
  end

  it("with more bytes than anybody asked for, whose end it does not tell", function()
    local before = peak_memory()
    local err = clients.fails("RESPONSE_TOO_LARGE", calls.list(
      start { text = head .. "\r\n", padding = 100 * 1048576 }))
    assert.matches("longer than 4194304 bytes", err.message)
    assert.is_true(peak_memory() - before < 40 * 1024)
  end)
end)

describe("a body of 100 MB", function()
  it("is cut off without being read", function()
    sim:reset()
    sim:fault { oversize = 100 * 1048576, times = 1 }
    local client, before = clients.new(sim), peak_memory()
    local err = clients.fails("RESPONSE_TOO_LARGE", calls.list(client))
    assert.is_true(peak_memory() - before < 40 * 1024)
    assert.is_false(err.retryable)
    assert.equal(1, err.attempts)
    assert(calls.list(client))
    client:close()
  end)
end)

describe("cce.call.decode", function()
  local call = require "cce.api.call"
  local request = { operation = "show_job", mutating = false }

  for _, body in ipairs { "", "null", "true", "5", '"text"', "{", '{"a":', "<html>" } do
    it("refuses " .. (body == "" and "an empty body" or body), function()
      local err = clients.fails("RESPONSE_INVALID", call.decode(request, { job_id = "j" }, {
        status = 200, headers = { ["x-request-id"] = "r1" }, body = body, attempts = 1,
      }))
      assert.equal(200, err.status)
      assert.equal("r1", err.request_id)
      assert.matches("^show_job job j: HTTP 200, but the answer %(%d+ bytes%)", err.message)
    end)
  end

  it("reads what a service cut within a character", function()
    assert.same({ name = "a\239\191\189" },
      call.decode(request, {}, { status = 200, headers = {}, body = [[{"name":"a\ud83d"}]] }))
  end)
end)

printed.describe(500, {
  simulator.admin.sk, simulator.member.sk, simulator.admin.token, "wrong-example-secret-key",
})
