--- Every operation by every failure: how often it is sent, and what its error says.
local canned = require "spec.support.peer.canned"
local cjson = require "cjson"
local clients = require "spec.support.clients"
local core = require "cce.core"
local printed = require "spec.support.printed"
local simulator = require "spec.support.sim"
local socket = require "socket"

local sim = simulator.get()
local cluster = sim.clusters[1].id
-- What is done late, after its client gave up, shall not be in another row's way.
local slow_cluster = sim.clusters[5].id

-- The column of each operation, and how it is called.
local calls = {
  list_clusters = { 1, function(client) return client:list_clusters() end },
  show_cluster = { 1, function(client, id) return client:show_cluster(id) end },
  show_job = { 1, function(client) return client:show_job "a-job" end },
  revoke_cert = { 2, function(client, id) return client:revoke_cert(id, { user_id = "u1" }) end },
  obtain_cert = { 3, function(client, id) return client:obtain_cert(id, { duration = 1 }) end },
  rotate_credentials = { 4, function(client, id)
    return client:rotate_credentials(id, { component = "all" })
  end },
}

local function refused_address()
  local listener = assert(socket.bind("127.0.0.1", 0))
  local _, port = listener:getsockname()
  listener:close()
  return "https://127.0.0.1:" .. port
end

-- It takes connections and says nothing.
local function silent_address()
  local listener = assert(socket.bind("127.0.0.1", 0))
  local _, port = listener:getsockname()
  return "https://127.0.0.1:" .. port, function() listener:close() end
end

-- It answers before it is asked, and not in TLS.
local function speaking(text)
  return function()
    local server = canned.start { { text = text, early = true } }
    return (server.url:gsub("^http:", "https:")), function() server:stop() end
  end
end

local function fault(fields)
  return function() sim:fault(fields) end
end

local function refusal(status, code, message)
  return fault { status = status, body = cjson.encode {
    errorCode = code, errorMessage = message, message = "details" } }
end

-- Columns: an operation that reads, revoke, obtain, rotate. Attempts when four are allowed;
-- may the caller repeat it; may it have been applied. A dash: it is no failure there.
local failures = {
  { "connection refused", refused_address, "CONNECT_FAILED", "4 4 4 4", "y y y y", "n n n n" },
  { "no such host", function() return "https://cce.invalid" end,
    "DNS_FAILED", "4 4 4 4", "y y y y", "n n n n" },
  { "TLS that fails", speaking "220 no TLS here\r\n",
    "TLS_FAILED", "4 4 4 4", "y y y y", "n n n n" },
  { "TLS of somebody unknown", function() return sim:bad_tls "unknown_ca" end,
    "TLS_FAILED", "1 1 1 1", "n n n n", "n n n n" },
  { "reset before sending", speaking "", "CONNECTION_LOST TLS_FAILED",
    "4 4 4 4", "y y y y", "n n n n" },
  { "reset after sending, not done", fault { reset = "before" },
    "CONNECTION_LOST", "4 4 1 1", "y y n n", "n y y y" },
  { "reset after sending, done", fault { reset = "after" },
    "CONNECTION_LOST", "4 4 1 1", "y y n n", "n y y y" },
  { "time-out before sending", silent_address, "TIMEOUT", "4 4 4 4", "y y y y", "n n n n",
    options = function() return { connect_timeout = 0.03 } end },
  { "time-out after sending", fault { hold = "before" },
    "TIMEOUT", "4 4 1 1", "y y n n", "n y y y", cluster = slow_cluster,
    options = function() return { timeout = clients.time_to_send(sim) } end },
  { "400", fault { status = 400 }, "BAD_REQUEST", "1 1 1 1", "n n n n", "n n n n" },
  { "401", fault { status = 401 }, "UNAUTHENTICATED", "1 1 1 1", "n n n n", "n n n n" },
  { "403", fault { status = 403 }, "PERMISSION_DENIED", "1 1 1 1", "n n n n", "n n n n" },
  { "404", fault { status = 404 }, "NOT_FOUND", "1 1 1 1", "n n n n", "n n n n" },
  { "409", refusal(409, "CCE.01409002", "Out of date."),
    "CONFLICT", "1 1 1 1", "n n n n", "n n n n" },
  { "429 of the gateway", fault { status = 429 }, "THROTTLED", "4 4 4 4", "y y y y", "n n n n" },
  { "429 of CCE", refusal(429, "CCE.02429001", "Too many requests."),
    "THROTTLED", "4 4 4 1", "y y y y", "n n n n" },
  { "429 locked", refusal(429, "CCE.01429002", "Resource locked."),
    "RESOURCE_LOCKED", "1 1 1 1", "y y y y", "n n n n" },
  { "500", fault { status = 500 }, "SERVER_ERROR", "4 4 4 1", "y y y n", "n y y y" },
  { "502", fault { status = 502 }, "SERVER_ERROR", "4 4 4 1", "y y y n", "n y y y" },
  { "503", fault { status = 503 }, "SERVER_ERROR", "4 4 4 1", "y y y n", "n y y y" },
  { "504", fault { status = 504, applied = true },
    "SERVER_ERROR", "4 4 4 1", "y y y n", "n y y y" },
  { "garbage", fault { garbage = true }, "RESPONSE_INVALID", "1 - 1 1", "n - n n", "n - y y" },
  { "an answer that is cut off", fault { truncate = true },
    "CONNECTION_LOST", "4 - 1 1", "y - n n", "n - y y" },
}

local function column(text, number)
  local i = 0
  for word in text:gmatch("%S+") do
    i = i + 1
    if i == number then return word end
  end
end

local function sorted_names(map)
  local names = {}
  for name in pairs(map) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- Attempts of one operation: a look at what holds a lock is another one.
local function attempts_of(client, operation)
  local count = 0
  for _, event in ipairs(client.events) do
    if event.type == "attempt" and event.operation == operation then count = count + 1 end
  end
  return count
end

local function open(row)
  local options = row.options and row.options() or {}
  local address, close = row[2]()
  options.endpoint = address
  return clients.new(sim, options), close
end

local function check(row, operation)
  local number, call = calls[operation][1], calls[operation][2]
  local client, close = open(row)
  local result, message, err = call(client, row.cluster or cluster)
  if column(row[4], number) == "-" then
    assert.is_truthy(result, message)
  else
    clients.fails(err and err.code or "-", result, message, err)
    assert.is_truthy(row[3]:find(err.code, 1, true), err.code)
    assert.equal(tonumber(column(row[4], number)), err.attempts, "attempts")
    assert.equal(err.attempts, attempts_of(client, operation))
    assert.equal(column(row[5], number) == "y", err.retryable, "retryable")
    assert.equal(column(row[6], number) == "y", err.maybe_applied, "maybe_applied")
    assert.equal(operation, err.operation)
  end
  client:close()
  if close then close() end
end

describe("a failure", function()
  before_each(function() sim:reset() end)

  -- Those of Autopilot are the same calls at another path.
  it("is specified for every operation", function()
    local names = {}
    for name in pairs(core.operations) do names[name:gsub("_autopilot", "")] = true end
    assert.same(sorted_names(names), sorted_names(calls))
  end)

  for _, row in ipairs(failures) do
    for _, operation in ipairs(sorted_names(calls)) do
      it(("by %s, of %s"):format(row[1], operation), function() check(row, operation) end)
    end
  end
end)

-- ---- what a rotation may never do -------------------------------------------

local surely_not = {
  { status = 429 }, { status = 400 }, { status = 403 },
}
local perhaps = {
  { reset = "before" }, { reset = "after" }, { status = 500 }, { status = 503, applied = true },
  { status = 502, applied = true }, { garbage = true }, { truncate = true },
}

describe("a rotation under random faults", function()
  -- A generator of one's own: the same on every Lua.
  local state = 20260101
  local function random(n)
    state = (state * 16807) % 2147483647
    return state % n + 1
  end

  local function plan_faults()
    for _ = 1, random(3) - 1 do
      local list = random(2) == 1 and surely_not or perhaps
      local picked = { operation = "rotate_credentials", times = 1 }
      for name, value in pairs(list[random(#list)]) do picked[name] = value end
      sim:fault(picked)
    end
  end

  it("is done at most once, and what may have been done is said", function()
    for _ = 1, 60 do
      sim:reset()
      -- No lock of an earlier rotation hides a second one.
      sim:set { cluster = cluster, job_seconds = 0 }
      plan_faults()
      local client = clients.new(sim)
      local job, _, err = client:rotate_credentials(cluster, { component = "all" })
      client:close()
      local done = 0
      for _, entry in ipairs(sim:log { operation = "rotate_credentials" }) do
        if entry.accepted then done = done + 1 end
      end
      assert.is_true(done <= 1, "rotated twice")
      assert.is_true(job ~= nil or err.maybe_applied or done == 0, "done, but not said")
      assert.equal(job ~= nil and 1 or done, done)
    end
  end)
end)

printed.describe(500, { simulator.admin.sk })
