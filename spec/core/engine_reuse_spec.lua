-- Which connection a transfer takes, how often it leaves, and in what order transfers end.
local core = require "cce.core"
local nginx = require "spec.support.peer.nginx"
local server = require "spec.support.peer.server"
local sys = core.sys

-- The engine does not keep its transfers: one that nobody holds is cancelled.
local engine, kept

before_each(function()
  engine, kept = core.engine(), {}
end)

after_each(function()
  engine:close()
  server.stop_all()
end)

local function new_engine(options)
  engine:close()
  engine = core.engine(options)
end

local function request_to(s, changes)
  local request = { endpoint = s.url, method = "POST", path = "/", body = "{}", timeout = 10 }
  for key, value in pairs(changes or {}) do
    request[key] = value
  end
  return request
end

-- What the kernel has for our ends of the connections to a server: bytes that were not read,
-- and one more for each whose other end is closed; and how many there are. A server of a minute
-- ago may have had the same port: what it left in TIME_WAIT is not counted.
local function arrived(s)
  local bytes, ends = 0, 0
  for line in io.lines "/proc/net/tcp" do
    local port, state, queue = line:match "^%s*%d+: %S+ %x+:(%x+) (%x+) %x+:(%x+)"
    if tonumber(port or "0", 16) == s.port and state ~= "06" then
      bytes = bytes + tonumber(queue, 16) + (state == "08" and 1 or 0)
      ends = ends + 1
    end
  end
  return bytes, ends
end

local function call(s, changes)
  return engine:call(request_to(s, changes))
end

local function submit(s, changes)
  local transfer = assert(engine:submit(request_to(s, changes)))
  kept[#kept + 1] = transfer
  return transfer
end

-- Drives the engine until `count` transfers have ended; returns them as they did.
local function drive(count, seconds)
  local ended, deadline = {}, sys.monotonic() + (seconds or 120)
  while #ended < count do
    assert(sys.monotonic() < deadline, ("only %d of %d ended"):format(#ended, count))
    assert(engine:step(0.05))
    for transfer in function() return engine:finished() end do
      ended[#ended + 1] = transfer
    end
  end
  return ended
end

local function echo()
  return server.start(function(connection)
    connection:serve()
  end)
end

-- With libcurl below 7.80 whatever changes something takes a connection of its own: then there is
-- no second request on one that could be lost.
local FRESH
do
  local s, probe = echo(), core.engine()
  for _ = 1, 2 do assert(probe:call(request_to(s, { mutating = true }))) end
  FRESH = s:count "accept" == 2
  probe:close()
  server.stop_all()
end

local function assert_lost(response, message, code, more)
  if FRESH then return assert.equal(200, response and response.status, message) end
  assert.is_nil(response)
  assert.equal("CONNECTION_LOST", code)
  assert.matches("not sent again", message)
  assert.is_true(more.sent)
end

describe("a request on a connection that the server closes", function()
  -- Each connection answers once, and is closed when the second request has been read.
  local function server_of_one_answer()
    return server.start(function(connection)
      local request = connection:request()
      connection:answer("200 OK", request.body)
      connection:request()
      connection:close()
    end)
  end

  local function seen(s, path)
    local count = 0
    for _, request in ipairs(s:requests()) do
      count = count + (request.target == path and 1 or 0)
    end
    return count
  end

  it("is sent again by libcurl when it only reads: what the guard is for", function()
    local s = server_of_one_answer()
    assert(call(s, { path = "/first" }))
    assert.equal(200, assert(call(s, { path = "/second", mutating = false })).status)
    assert.equal(2, seen(s, "/second"))
    assert.equal(2, s:count "accept")
  end)

  it("is never sent again when it changes something", function()
    local s = server_of_one_answer()
    assert(call(s, { path = "/first", mutating = true }))
    assert_lost(call(s, { path = "/second", mutating = true }))
    sys.sleep(0.05)
    assert.equal(1, seen(s, "/second"))
    assert.same({ "/first", "/second" }, { s:requests()[1].target, s:requests()[2].target })
  end)

  it("is never sent again, whatever its method and its size", function()
    for _, changes in ipairs {
      { method = "GET" }, { method = "PUT" }, { method = "DELETE" }, { body = "" },
      { body = ("b"):rep(100000) },
    } do
      local s = server_of_one_answer()
      assert(call(s, { path = "/first" }))
      changes.path, changes.mutating = "/second", true
      if changes.method == "GET" then
        changes.body = nil
      end
      assert_lost(call(s, changes))
      assert.equal(1, seen(s, "/second"))
    end
  end)

  it("is never sent again when many are under way", function()
    local s = server_of_one_answer()
    local count, lost, round = 20, 0, 0
    -- Until one was lost. On a slow machine that may be one of the first already; or none of the
    -- second, when the connections have been idle for too long to be taken.
    repeat
      round = round + 1
      for i = 1, count do
        submit(s, { path = ("/%d/%d"):format(round, i), mutating = true, timeout = 120 })
      end
      for _, transfer in ipairs(drive(count)) do
        local response, _, code = transfer:result()
        if not response then
          assert.equal("CONNECTION_LOST", code)
          lost = lost + 1
        end
      end
      for i = 1, count do
        assert.equal(1, seen(s, ("/%d/%d"):format(round, i)))
      end
    until lost > 0 or FRESH and round == 2 or round == 50
    assert.is_true(FRESH or lost > 0)
  end)

  it("leaves the next request a new connection, handle and all", function()
    local s = server_of_one_answer()
    assert(call(s, { path = "/first" }))
    assert_lost(call(s, { path = "/second", mutating = true }))
    assert.equal(200, assert(call(s, { path = "/third", mutating = true })).status)
    assert_lost(call(s, { path = "/fourth", mutating = true }))
    assert.equal(1, seen(s, "/fourth"))
  end)

  it("is sent on a new one when the close was seen before", function()
    local s = server.start(function(connection)
      connection:request()
      connection:answer("200 OK", "")
      connection:close()
    end)
    assert.equal(200, assert(call(s, { mutating = false })).status)
    nginx.wait_for("the close", function() return arrived(s) > 0 end)
    assert.equal(200, assert(call(s, { mutating = true })).status)
    assert.equal(2, #s:requests())
  end)
end)

describe("a connection that was not quiet since its last answer", function()
  local identity = server.identity()

  teardown(function() identity.remove() end)

  -- Answers once and then, when told to, does what `data.after` says. Any further connection
  -- answers properly.
  local function uneasy(after, tls)
    return server.start(function(connection)
      local request = connection:request()
      connection:answer("200 OK", request and request.body)
      if connection.number == 1 then
        connection:wait()
        if connection.data.after == "late answer" then
          connection:answer("200 OK", "evil")
        elseif connection.data.after == "a byte" then
          connection:send "x"
        elseif connection.data.after == "half-closed" then
          connection.socket:shutdown "w"
        else
          connection:close()
        end
        connection:note "done"
      end
      connection:serve()
    end, { data = { after = after }, tls = tls and identity.pair() })
  end

  for _, after in ipairs { "late answer", "a byte", "half-closed", "closed" } do
    for _, tls in ipairs { false, true } do
      it("carries nothing that changes something: " .. after .. (tls and ", TLS" or ""), function()
        local s = uneasy(after, tls)
        new_engine { ca_file = identity.ca_file }
        assert.equal("first", assert(call(s, { body = "first", mutating = false })).body)
        local before = arrived(s)
        s:release()
        s:await "done"
        nginx.wait_for("what came late", function() return arrived(s) > before end)
        local response, message = call(s, { path = "/second", body = "second", mutating = true })
        assert.equal("second", response and response.body, message)
        local seen = {}
        for _, request in ipairs(s:requests()) do
          seen[#seen + 1] = ("%d %s"):format(request.connection, request.target)
        end
        assert.same({ "1 /", "2 /second" }, seen)
        -- The new connection is as good as any.
        assert.equal("third", assert(call(s, { body = "third", mutating = true })).body)
        assert.equal(FRESH and 3 or 2, s:count "accept")
      end)
    end
  end

  -- Once TLS has read a record, what libcurl did not take of it is in no socket any more.
  it("carries nothing that changes something: a late answer in the record of the last", function()
    local s = server.start(function(connection)
      local head = "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
      connection.socket:setvbuf("full", 32 * 1024)
      while connection:request() do
        local length = connection.data.read - #head:format(8000)
        connection:send(head:format(length) .. ("r"):rep(length)
          .. (connection.number == 1 and head:format(4) .. "evil" or ""))
        connection.socket:flush()
      end
    end, { data = { read = 8 * 1024 }, tls = identity.pair() })
    new_engine { ca_file = identity.ca_file }
    for number, mutating in ipairs { false, true } do
      assert.matches("^r+$", assert(call(s, { body = "x", mutating = mutating })).body)
      assert.equal(number, s:requests()[number].connection)
    end
  end)

  it("is found when many lie idle", function()
    local s = server.start(function(connection)
      while true do
        local request = connection:request()
        if not request then return end
        connection:answer("200 OK", request.body)
        if request.target == "/poison" then
          connection:sleep(0.03)
          connection:answer("200 OK", "evil")
          connection:note "done"
        end
      end
    end)
    local count = 10
    for i = 1, count do
      submit(s, { body = tostring(i), path = i % 2 == 0 and "/poison" or "/", mutating = true })
    end
    drive(count)
    s:await("done", count / 2)
    -- What was written is there, or is about to be.
    sys.sleep(0.1)
    for i = 1, count do
      submit(s, { body = "again " .. i, mutating = true, path = "/again" })
    end
    for _, transfer in ipairs(drive(count)) do
      assert.matches("^again ", assert(transfer:result()).body)
    end
    local again = 0
    for _, request in ipairs(s:requests()) do
      again = again + (request.target == "/again" and 1 or 0)
    end
    assert.equal(count, again)
  end)
end)

describe("a connection", function()
  it("carries one request after the other", function()
    local s = echo()
    for i = 1, 20 do
      assert.equal(tostring(i), assert(call(s, { body = tostring(i), mutating = true })).body)
    end
    assert.equal(FRESH and 20 or 1, s:count "accept")
  end)

  it("is not shared between engines", function()
    local s = echo()
    local other = core.engine()
    assert(call(s))
    assert(other:call(request_to(s)))
    other:close()
    assert.equal(2, s:count "accept")
  end)

  it("is not taken when it has been idle for long", function()
    local s = echo()
    new_engine { max_idle = 3 }
    assert(call(s))
    assert(call(s))
    assert.equal(1, s:count "accept")
    sys.sleep(4.1)
    assert(call(s))
    assert.equal(2, s:count "accept")
  end)

  it("is not taken when the answer said so", function()
    local s = server.start(function(connection)
      connection:request()
      connection:answer("200 OK", "", "Connection: close\r\n")
      connection:hold()
    end)
    assert(call(s))
    assert(call(s))
    assert.equal(2, s:count "accept")
  end)

  it("is not taken after an answer that was cut short", function()
    local s = server.start(function(connection)
      for _ = 1, 2 do
        connection:request()
        connection:answer("200 OK", ("r"):rep(5000))
      end
    end)
    assert.is_nil((call(s, { max_response = 100 })))
    assert.equal(5000, #assert(call(s)).body)
    assert.equal(2, s:count "accept")
  end)

  it("may be of HTTP/1.0", function()
    local s = server.start(function(connection)
      connection:request()
      connection:send "HTTP/1.0 200 OK\r\n\r\nold"
      connection:close()
    end)
    assert.equal("old", assert(call(s)).body)
    assert.equal("old", assert(call(s)).body)
  end)
end)

describe("max_connections", function()
  -- Answers when told to; notes how many wait at that moment.
  local function gate()
    return server.start(function(connection)
      while connection:request() do
        connection:wait()
        connection:answer("200 OK", "")
      end
    end)
  end

  it("holds for one host; the rest wait in order", function()
    local s = gate()
    new_engine { max_connections = 3 }
    for i = 1, 12 do
      submit(s, { path = "/" .. i })
    end
    for _ = 1, 20 do
      engine:step(0.01)
    end
    s:await("request", 3)
    assert.equal(3, #s:requests())
    assert.equal(3, s:count "accept")
    assert.equal(12, engine:in_flight())
    s:release()
    drive(12)
    assert.equal(0, engine:in_flight())
    assert.equal(3, s:count "accept")
    -- Of those that may leave at the same time any may be first.
    for i, request in ipairs(s:requests()) do
      assert.is_true(math.abs(tonumber(request.target:sub(2)) - i) < 3)
    end
  end)

  it("of 1 keeps the order exactly", function()
    local s = echo()
    new_engine { max_connections = 1 }
    for i = 1, 10 do
      submit(s, { path = "/" .. i, body = tostring(i) })
    end
    for i, transfer in ipairs(drive(10)) do
      assert.equal(tostring(i), assert(transfer:result()).body)
    end
    assert.equal(1, s:count "accept")
  end)

  it("is not gone up to because this program was busy: the answers lie there", function()
    local ends
    -- Who waits for a third of a second, or for 0.03 s after the program was busy, gets a
    -- connection all the same.
    for _ = 1, 20 do
      local s = server.start(function(connection)
        while connection:request() do
          connection:wait()
          connection:answer("200 OK", "")
          connection:note "answered"
        end
      end)
      new_engine { max_connections = 100 }
      for _ = 1, 10 do submit(s) end
      repeat engine:step(0.01) until s:count "request" == 10
      s:release()
      s:await("answered", 10)
      local began = sys.monotonic()
      for _ = 1, 20 do submit(s) end
      sys.sleep(0.1) -- longer than a transfer waits for a connection that is used
      local stepped = sys.monotonic()
      for _ = 1, 2 do engine:step(0) end
      local ended = sys.monotonic()
      ends = select(2, arrived(s))
      drive(30)
      if ended - began < 0.3 and ended - stepped < 0.03 then break end
    end
    assert.equal(10, ends)
  end)

  it("does not hold one host back for another", function()
    local slow, fast = gate(), echo()
    new_engine { max_connections = 1 }
    submit(slow)
    submit(slow)
    submit(fast)
    assert.equal("{}", assert(drive(1)[1]:result()).body)
    assert.equal(2, engine:in_flight())
    slow:release()
    drive(2)
  end)

  it("costs no connection for what waited until it was too late to leave", function()
    local s = server.start(function(connection)
      connection:request()
      connection:wait()
      connection:send "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
      connection:close()
    end)
    new_engine { max_connections = 1 }
    submit(s)
    submit(s, { depart_within = 0.01 })
    repeat engine:step(0.01) until s:count "request" == 1
    sys.sleep(0.02)
    s:release()
    assert.equal("TIMEOUT", (select(3, drive(2)[2]:result())))
    submit(s)
    drive(1)
    assert.equal(2, s:count "accept")
  end)

  it("lets more of them go than handles are kept of it", function()
    local s, count = gate(), 140
    new_engine { max_connections = count }
    for _ = 1, 2 do
      for _ = 1, count do submit(s, { timeout = 60 }) end
      local deadline = sys.monotonic() + 60
      repeat engine:step(0.01) until s:count "request" >= count or sys.monotonic() > deadline
      s:release()
      for _, transfer in ipairs(drive(count)) do
        assert.equal(200, assert(transfer:result()).status)
      end
    end
  end)

  it("does not let time-outs run while a transfer waits", function()
    local s = server.start(function(connection)
      while connection:request() do
        connection:sleep(0.5)
        connection:answer("200 OK", "")
      end
    end)
    new_engine { max_connections = 1 }
    for _ = 1, 4 do
      submit(s, { timeout = 1.5 })
    end
    for _, transfer in ipairs(drive(4)) do
      assert.equal(200, assert(transfer:result()).status)
    end
  end)

  it("gives its place to the next when one fails, is dropped or times out", function()
    local s = server.start(function(connection)
      local request = connection:request()
      if request.target == "/last" then
        connection:answer("200 OK", "")
      elseif request.target == "/lost" then
        connection:close()
      else
        connection:hold()
      end
    end)
    new_engine { max_connections = 1 }
    submit(s, { path = "/slow", timeout = 0.5 })
    submit(s, { path = "/lost" })
    local dropped = submit(s, { path = "/dropped" })
    local never = submit(s, { path = "/never" })
    submit(s, { path = "/last" })
    never:close()
    drive(2)
    while #s:requests() < 3 do
      engine:step(0.01)
    end
    dropped:close()
    assert.equal(200, assert(drive(1)[1]:result()).status)
    -- A slow server may read them in another order than it let them in.
    local targets = {}
    for _, request in ipairs(s:requests()) do
      targets[request.connection] = request.target
    end
    assert.same({ "/slow", "/lost", "/dropped", "/last" }, targets)
  end)

  it("holds up nobody at a server that lets nobody in any more #long", function()
    local identity = server.identity()
    local s = server.start(function(connection)
      if connection.number > 1 or not connection:starttls() then return connection:hold() end
      connection:request()
      connection:answer("200 OK", "", "Connection: close\r\n")
    end, { tls = identity.pair(), tls_later = true })
    local count, connect_timeout = 320, 2
    new_engine { max_connections = 1000, connect_timeout = connect_timeout,
      ca_file = identity.ca_file }
    for _ = 1, count do submit(s, { timeout = 60 }) end
    -- So few connections as are opened at once, one batch after the other, would take 20 s.
    local late = 0
    for _, transfer in ipairs(drive(count, 6 * connect_timeout)) do
      late = late + (select(3, transfer:result()) == "TIMEOUT" and 1 or 0)
    end
    assert.equal(count - 1, late)
    identity.remove()
  end)

  it("carries hundreds of transfers over few connections", function()
    local s = echo()
    new_engine { max_connections = 10 }
    for i = 1, 300 do
      submit(s, { body = tostring(i), mutating = true })
    end
    local bodies = {}
    for _, transfer in ipairs(drive(300, 30)) do
      bodies[assert(transfer:result()).body] = true
    end
    for i = 1, 300 do
      assert.is_true(bodies[tostring(i)])
    end
    assert.is_true(s:count "accept" <= (FRESH and 300 or 10))
    assert.equal(300, #s:requests())
  end)
end)

describe("transfers", function()
  it("end in any order, and each is named once", function()
    local s = server.start(function(connection)
      local request = connection:request()
      connection:sleep(tonumber(request.body) / 1000)
      connection:answer("200 OK", request.body)
    end)
    local transfers = {}
    for i, delay in ipairs { 240, 10, 160, 80 } do
      transfers[i] = submit(s, { body = tostring(delay) })
    end
    local bodies = {}
    for i, transfer in ipairs(drive(4)) do
      bodies[i] = assert(transfer:result()).body
    end
    assert.same({ "10", "80", "160", "240" }, bodies)
    assert.is_nil(engine:finished())
    for i, delay in ipairs { "240", "10", "160", "80" } do
      assert.is_true(transfers[i]:finished())
      assert.equal(delay, transfers[i]:result().body)
      assert.equal(delay, transfers[i]:result().body)
    end
  end)

  it("are the very objects that submit gave", function()
    local s = echo()
    local transfer = submit(s)
    assert.is_true(rawequal(transfer, drive(1)[1]))
  end)

  it("have no result before their end", function()
    local s = echo()
    local transfer = submit(s)
    assert.is_false(transfer:finished())
    assert.has_error(function()
      transfer:result()
    end)
    drive(1)
  end)

  it("may be mixed with calls", function()
    local s = echo()
    local transfer = submit(s, { body = "submitted" })
    assert.equal("called", assert(call(s, { body = "called" })).body)
    while not transfer:finished() do
      engine:step(0.05)
    end
    assert.equal("submitted", assert(transfer:result()).body)
  end)

  it("that failed and that succeeded are told apart", function()
    local s = echo()
    local good = submit(s)
    local bad = assert(engine:submit {
      endpoint = "http://127.0.0.1:" .. sys.free_port(), method = "GET", path = "/",
    })
    drive(2)
    assert.equal(200, assert(good:result()).status)
    assert.equal("CONNECT_FAILED", select(3, bad:result()))
  end)
end)
