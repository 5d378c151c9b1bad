-- The schedule's store in etcd, with a real one.
local contract = dofile "spec/support/shared/store_contract.lua"
local core = require "cce.core"
local errors = require "cce.error"
local etcd = require "spec.support.peer.etcd"
local host = require "cce.host"
local layout = require "cce.schedule.etcd.layout"
local pki = require "spec.support.peer.pki"
local scripted = require "spec.support.peer.server"
local store_of = require "cce.schedule.etcd"
local tempdir = require "spec.support.tempdir"
local write = require "cce.schedule.etcd.write"

etcd.describe("cce.schedule.etcd", function()
  local server, prefix, stores, own

  setup(function() server = etcd.get() end)

  before_each(function() prefix, stores, own = etcd.prefix(), {}, nil end)

  after_each(function()
    for _, store in ipairs(stores) do store:close() end
    if own then own:stop() end
    scripted.stop_all()
  end)

  local function open_at(place, opts)
    local store, message, err = store_of.open(place, opts or {})
    stores[#stores + 1] = store
    return store, message, err
  end

  local function open(opts)
    return open_at((own or server):place(prefix), opts)
  end

  local function start(options)
    own = etcd.start(options)
    return own
  end

  local function failure(code, value, message, err)
    assert.is_nil(value)
    assert.equal(code, err.code, message)
    assert.equal(message, err.message)
    assert.is_nil(tostring(err):find(etcd.PASSWORD, 1, true))
    return err
  end

  local PENDING = { state = "pending", due = 1 }

  contract("etcd", function() return assert(open()), open end, core.sys.sleep,
    function(store, is_next)
      local ask = store.client.ask
      function store.client.ask(...)
        if not is_next() then return ask(...) end
        return errors.fail("STORE_UNAVAILABLE", "the spec keeps it away", { retryable = true })
      end
    end)

  -- ---- what others left there -----------------------------------------------------------

  it("leaves nothing behind, and uses nothing but its prefix", function()
    local store = assert(open())
    local before = server:count()
    local revision = assert(store:insert("a", "t", { state = "pending", due = 1, unique = "u" }))
    assert.equal(before + 4, server:count())
    revision = assert(store:update("a", revision, "t", { state = "claimed", runner = "r" }))
    assert.equal(before + 2, server:count())
    assert(store:update("a", revision, "t", { state = "done", ended = 1 }))
    assert.equal(1, store:prune(2, 10))
    assert.equal(before + 1, server:count()) -- the mark of its history
    assert.equal("1", server:peek(prefix .. "/schema"))
  end)

  it("does not touch what a newer version wrote", function()
    server:poke(prefix .. "/schema", "2")
    assert.matches("newer", failure("UNSUPPORTED", open()).hint)
    server:poke(prefix .. "/schema", "\255")
    assert.matches("has version unknown", failure("UNSUPPORTED", open()).message)
    -- Or has written since this one looked.
    local exchange, asked = host.exchange, 0
    finally(function() host.exchange = exchange end)
    prefix = etcd.prefix()
    function host.exchange(...)
      asked = asked + 1
      if asked == 2 then server:poke(prefix .. "/schema", "2") end
      return exchange(...)
    end
    assert.matches("newer", failure("UNSUPPORTED", open()).hint)
  end)

  it("shows what is no row of ours, until somebody has put it right", function()
    local store = assert(open())
    server:poke(prefix .. "/entries/garbage", "\0\255 not JSON")
    server:poke(prefix .. "/due/0000000000000001/garbage", "x")
    server:poke(prefix .. "/due/!odd", "")
    server:poke(prefix .. "/due/zzz", "never due")
    local rows = assert(store:due(10, 10))
    assert.same({ "!odd", "garbage" }, { rows[1].id, rows[2].id })
    assert.same({ "", "\0\255 not JSON" }, { rows[1].text, rows[2].text })
    assert.equal(0, store:next_due())
    for _, row in ipairs(rows) do
      assert(store:update(row.id, row.revision, "bad", { state = "quarantined" }))
    end
    assert.same({}, store:due(10, 10))
    assert.is_false(store:next_due())
    assert.equal(2, store:count "quarantined")
  end)

  it("does not lose an entry by a key that says that it has ended", function()
    local store = assert(open())
    assert(store:insert("a", "t", PENDING))
    assert(store:insert("b", "t", { state = "done", ended = 100 }))
    for _, id in ipairs { "a", "b", "ghost" } do
      server:poke(prefix .. "/ended/0000000000000001/" .. id, "")
    end
    store:prune(10, 10)
    for _, id in ipairs { "a", "b" } do assert.equal("t", store:get(id).text) end
    assert.equal(1, server:count(prefix .. "/ended/"))
  end)

  it("removes many at once", function()
    local store = assert(open())
    for n = 1, 60 do assert(store:insert("e" .. n, "t", { state = "done", ended = n })) end
    local ask = store.client.ask
    function store.client.ask(client, path, body, how)
      if path ~= "/v3/kv/txn" or not body.success[1].request_delete_range then
        return ask(client, path, body, how)
      end
      return errors.fail("STORE_UNAVAILABLE", "the spec keeps it away", { retryable = true })
    end
    failure("STORE_UNAVAILABLE", store:prune(100, 1000))
    store.client.ask = nil
    assert.equal(60, store:prune(100, 1000))
    assert.equal(0, server:count(prefix .. "/entries/"))
  end)

  it("removes the others when one was changed meanwhile", function()
    local store = assert(open())
    for n = 1, 3 do assert(store:insert("e" .. n, "t", { state = "done", ended = n })) end
    local ask, times = store.client.ask, 0
    function store.client.ask(client, path, body, how)
      if path == "/v3/kv/txn" and body.success[1].request_delete_range then
        times = times + 1
        if times % 5 == 1 then server:poke(prefix .. "/entries/e2", "changed " .. times) end
        if times == 2 then
          return errors.fail("STORE_UNAVAILABLE", "the spec keeps it away", { retryable = true })
        end
      end
      return ask(client, path, body, how)
    end
    failure("STORE_UNAVAILABLE", store:prune(100, 1000))
    times = 5
    assert.equal(2, store:prune(100, 1000))
    assert.equal(1, server:count(prefix .. "/entries/"))
  end)

  it("lets etcd forget its history once it is old", function()
    local store = assert(open())
    local first = assert(store:insert("a", "old", PENDING)):match "^%d+"
    server:poke(prefix .. "/history", "1000")
    assert(store:update("a", store:get("a").revision, "new", PENDING))
    local ask, compactions, is_late = store.client.ask, 0, false
    function store.client.ask(client, path, ...)
      if path == "/v3/kv/compaction" then compactions = compactions + 1 end
      if path == "/v3/kv/range" and is_late == "away" and (...).key == core.to_base64(
        prefix .. "/history") then
        return nil, "away", {}
      end
      if path == "/v3/kv/txn" and is_late then server:poke(prefix .. "/history", "1001") end
      return ask(client, path, ...)
    end
    for _ = 1, 2 do store:prune(1, 1) end
    assert.equal(1, compactions)
    local function read_old()
      server:ask("/v3/kv/range", { key = core.to_base64(prefix .. "/entries/a"), revision = first })
    end
    assert.has_error(read_old)
    assert.equal("new", store:get("a").text)
    assert.is_true(math.abs(tonumber(server:peek(prefix .. "/history")) - os.time()) < 60)
    -- A mark of a clock that was ahead is none.
    server:poke(prefix .. "/history", tostring(os.time() + 86400))
    store:prune(1, 1)
    assert.is_true(math.abs(tonumber(server:peek(prefix .. "/history")) - os.time()) < 60)
    assert.equal(2, compactions)
    -- Another process sets the mark at the same time.
    server:poke(prefix .. "/history", "1000")
    is_late = true
    store:prune(1, 1)
    assert.equal(2, compactions)
    -- What fails of it is left to the next time.
    is_late = "away"
    assert.equal(0, store:prune(1, 1))
  end)

  it("gives a page as it was at one moment", function()
    local store = assert(open())
    local revision = assert(store:insert("a", "old", PENDING))
    local ask = store.client.ask
    function store.client.ask(client, path, ...)
      if path == "/v3/kv/txn" then
        store.client.ask = nil
        assert(store:update("a", revision, "new", { state = "done", ended = 1 }))
      end
      return ask(client, path, ...)
    end
    assert.equal("old", store:due(1, 1)[1].text)
  end)

  it("holds once what goes on to be sent while it is looked for", function()
    local store = assert(open())
    local revision = assert(store:insert("a", "t", { state = "claimed", runner = "r" }))
    local ask, asked = store.client.ask, 0
    function store.client.ask(...)
      asked = asked + 1
      -- A page is its keys and its rows.
      if asked == 3 then
        store.client.ask = nil
        assert(store:update("a", revision, "t", { state = "sending", runner = "r" }))
      end
      return ask(...)
    end
    local rows = assert(store:held(nil, 5))
    assert.same({ 1, "sending" }, { #rows, rows[1].state })
  end)

  it("reads a page again of whose moment etcd has forgotten all", function()
    local store = assert(open())
    local revision = assert(store:insert("a", "old", PENDING))
    local ask = store.client.ask
    function store.client.ask(client, path, ...)
      if path == "/v3/kv/txn" then
        store.client.ask = nil
        local new = assert(store:update("a", revision, "new", PENDING))
        server:ask("/v3/kv/compaction", { revision = new:match "^%d+" })
      end
      return ask(client, path, ...)
    end
    assert.equal("new", assert(store:due(1, 1))[1].text)
  end)

  it("is sent no keys where it counts", function()
    local store = assert(open())
    assert(store:insert("a", "t", PENDING))
    assert(store:open_session("r", 60))
    local ask, answers = store.client.ask, 0
    function store.client.ask(...)
      local answer = assert(ask(...))
      answers = answers + 1
      assert.same({ "1" }, { answer.count, answer.kvs })
      return answer
    end
    assert.same({ 1, true }, { store:count "pending", store:alive "r" })
    assert.equal(2, answers)
  end)

  it("pages through entries that are too large for one answer", function()
    local store = assert(open())
    local text = ("x"):rep(1000 * 1000)
    for n = 1, 4 do assert(store:insert("e" .. n, text .. n, PENDING)) end
    local rows = assert(store:page { limit = 100 })
    assert.equal(4, #rows)
    for n, row in ipairs(rows) do assert.equal(text .. n, row.text) end
    local _, _, err = store:insert("huge", text .. text, PENDING)
    assert.equal("INVALID_ARGUMENT", err.code)
  end)

  it("gives the same pages whatever it expects of the next one", function()
    local store = assert(open())
    local all = {}
    for n = 1, 40 do
      all[n] = ("%s%02d"):format(n % 7 == 0 and "b" or "a", n)
      assert(store:insert(all[n], "t", { state = "pending", due = n % 5 }))
    end
    table.sort(all)
    for _ = 1, 2 do
      for _, limit in ipairs { 3, 40, 1, 7 } do
        local seen, after = {}, nil
        repeat
          local rows = assert(store:page { status = "pending", limit = limit, after = after })
          for _, row in ipairs(rows) do seen[#seen + 1] = row.id end
          after = rows[1] and rows[#rows].id
        until #rows < limit
        assert.same(all, seen)
      end
    end
    -- Nor by where the last one began.
    for _, first in ipairs { 1, 38 } do
      local rows = assert(store:page { status = "pending", limit = 2, after = all[first] })
      assert.same({ all[first + 1], all[first + 2] }, { rows[1].id, rows[2].id })
    end
  end)

  -- Puts pending entries there, many in one step. Due one second after the other.
  local function fill(count)
    local function key(name) return core.to_base64(prefix .. "/" .. name) end
    for first = 1, count, 40 do
      local puts = {}
      for n = first, math.min(first + 39, count) do
        local id, fields = ("%016d"):format(n), { state = "pending", due = 2e9 + n }
        local value = layout.write_value(("x"):rep(400), fields, "w")
        puts[#puts + 1] = { request_put = { key = key("entries/" .. id),
          value = core.to_base64(value) } }
        for name in pairs(layout.index(id, fields)) do
          puts[#puts + 1] = { request_put = { key = key(name) } }
        end
      end
      own:ask("/v3/kv/txn", { success = puts })
    end
  end

  local function median_of(action)
    local times = {}
    for i = 1, 31 do
      local begun = core.sys.monotonic()
      action(i)
      times[i] = core.sys.monotonic() - begun
    end
    table.sort(times)
    return times[16]
  end

  local function costs(count)
    start()
    fill(count)
    local store = assert(open())
    local found = {
      insert = median_of(function(i) assert(store:insert("new" .. i, "t", PENDING)) end),
      first_page = median_of(function()
        assert.equal(50, #assert(store:page { status = "pending", limit = 50 }))
      end),
      second_page = median_of(function()
        assert.equal(49, #assert(store:page { limit = 49, after = ("%016d"):format(30) }))
      end),
      due = median_of(function() assert.equal(10, #assert(store:due(1.9e9, 10))) end),
      next_due = median_of(function() assert.equal(1, assert(store:next_due())) end),
    }
    store:close()
    own:stop()
    own = nil
    return found
  end

  it("costs the same with 100,000 entries as with 100 #long", function()
    local few, many = costs(100), costs(100000)
    for name, seconds in pairs(many) do
      local message = ("%s: %.2f ms, and with few entries %.2f ms"):format(name, seconds * 1000,
        few[name] * 1000)
      assert.is_true(seconds < 2 * few[name], message)
    end
  end)

  -- ---- answers that never come -------------------------------------------------------------

  -- A proxy that loses one answer to a transaction: it cuts the connection "before" or "after"
  -- etcd was asked; with an `overwrite`, somebody else changes a key at once.
  local function start_cutter(overwrite)
    local dir = scripted.directory()
    local proxy = scripted.start(function(connection)
      local http, ltn12 = require "socket.http", require "ltn12"
      local data = connection.data
      local function ask(path, body)
        local chunks = {}
        local _, status = http.request { url = data.url .. path, method = "POST",
          source = ltn12.source.string(body), sink = ltn12.sink.table(chunks),
          headers = { ["Content-Length"] = #body } }
        return status, table.concat(chunks)
      end
      local function wanted(request)
        if request.target ~= "/v3/kv/txn" then return nil end
        local file = io.open(data.dir .. "/cut")
        if not file then return nil end
        local mode = file:read "*a"
        file:close()
        os.remove(data.dir .. "/cut")
        return mode
      end
      while true do
        local request = connection:request()
        if not request then return end
        local mode = wanted(request)
        if mode == "before" then return connection:close() end
        local status, body = ask(request.target, request.body)
        if mode and data.overwrite then ask("/v3/kv/put", data.overwrite) end
        if mode then return connection:close() end
        connection:answer(status .. " Proxied", body)
      end
    end, { data = { url = server.members[1].url, dir = dir, overwrite = overwrite } })
    proxy.cut = function(mode) tempdir.write(dir .. "/cut", mode) end
    proxy.was_cut = function() return not tempdir.read(dir .. "/cut") end
    proxy.remove = function() scripted.remove(dir) end
    return proxy
  end

  it("waits for no answer without end", function()
    local exchange, limits = host.exchange, {}
    finally(function() host.exchange = exchange end)
    function host.exchange(engine, spec)
      limits[#limits + 1] = spec.timeout
      assert.equal(4 * 1024 * 1024, spec.max_response)
      return exchange(engine, spec)
    end
    local store = assert(open { timeout = 7 })
    local session = assert(store:open_session("r", 20))
    limits = {}
    assert.is_true(session:renew())
    store:get "a"
    assert.same({ 5, 7 }, limits)
  end)

  it("believes no lease longer than it asked for, and none without a length", function()
    local store = assert(open())
    local client = store.keyspace.client
    local ask, given = client.ask, nil
    finally(function() client.ask = ask end)
    function client.ask(...)
      local answer, message, err, word = ask(...)
      if answer and answer.TTL then answer.TTL = given end
      return answer, message, err, word
    end
    for _, text in ipairs { "1e400", "600", ("9"):rep(400) } do
      given = text
      local session = assert(store:open_session("r", 20))
      assert.is_true(session:left() <= 20, text)
      assert.is_true(session:renew())
      assert.is_true(session:left() <= 20, text)
      assert(session:close())
    end
    for _, text in ipairs { "x", "0", "-1" } do
      given = text
      failure("RESPONSE_INVALID", store:open_session("r", 20))
    end
  end)

  it("tells the truth about a change whose answer was lost", function()
    local proxy = start_cutter()
    local store = assert(open_at(proxy.url .. "/" .. prefix))
    for i, mode in ipairs { "before", "after" } do
      local id = "id" .. i
      proxy.cut(mode)
      local revision = assert(store:insert(id, "a", { state = "pending", due = 1, unique = id }))
      assert.is_true(proxy.was_cut())
      assert.equal(revision, store:get(id).revision)
      proxy.cut(mode)
      revision = assert(store:update(id, revision, "b", { state = "claimed", runner = "r" }))
      assert.is_true(proxy.was_cut())
      assert.equal("2", server:ask("/v3/kv/range",
        { key = core.to_base64(prefix .. "/entries/" .. id) }).kvs[1].version)
      proxy.cut(mode)
      local _, _, err = store:update(id, "1", "c", PENDING)
      assert.equal("CONFLICT", err.code)
      assert.equal(revision, store:get(id).revision)
      proxy.cut(mode)
      assert(store:open_session("r" .. i, 60)):close()
      assert.is_true(proxy.was_cut())
    end
    proxy.remove()
  end)

  it("does not claim to know when somebody else was faster", function()
    local key = core.to_base64(prefix .. "/entries/a")
    local proxy = start_cutter(('{"key":"%s","value":"%s"}'):format(key, core.to_base64 "theirs"))
    -- Whichever endpoint is asked what became of it.
    for i, place in ipairs { proxy.url .. "/" .. prefix,
      proxy.url .. "," .. server:place(prefix) } do
      local store = assert(open_at(place))
      local revision = i == 1 and assert(store:insert("a", "a", PENDING)) or store:get("a").revision
      proxy.cut "after"
      local err = failure("CONFLICT", store:update("a", revision, "b", PENDING))
      assert.is_true(err.maybe_applied)
      assert.equal("theirs", store:get("a").text)
    end
    proxy.remove()
  end)

  it("says when it cannot be known", function()
    local proxy = start_cutter()
    local store = assert(open_at(proxy.url .. "/" .. prefix))
    local revision = assert(store:insert("a", "a", PENDING))
    store.client.timeout = 0.3
    proxy:stop()
    local err = failure("STORE_UNAVAILABLE", store:update("a", revision, "b", PENDING))
    assert.is_true(err.retryable)
    assert.is_false(err.maybe_applied)
    assert.matches("127.0.0.1", err.message, nil, true)
    local deaf = scripted.start(function(connection)
      while connection:request() do connection:note "heard" end
    end)
    store.client.endpoints[1].url = deaf.url
    err = failure("STORE_UNAVAILABLE", store:update("a", revision, "b", PENDING))
    assert.is_true(err.maybe_applied)
    assert.is_true(deaf:count "heard" > 1)
    -- Of a question there is nothing to know.
    assert.is_false(failure("STORE_UNAVAILABLE", store:get "a").maybe_applied)
    proxy.remove()
  end)

  it("asks what became of a change for as long as a request may take, ever less often", function()
    local monotonic, sleep, now, pauses = core.sys.monotonic, host.sleep, 100, {}
    finally(function() core.sys.monotonic, host.sleep = monotonic, sleep end)
    function core.sys.monotonic() return now end
    function host.sleep(seconds)
      pauses[#pauses + 1], now = seconds, now + seconds
      assert(#pauses < 20, "it is asked without end")
    end
    local client = { timeout = 4 }
    function client.ask()
      return nil, "away", errors.new("STORE_UNAVAILABLE", "away", { maybe_applied = true }),
        "elsewhere"
    end
    failure("STORE_UNAVAILABLE", write.settle({ client = client }, {}))
    assert.same({ 0.05, 0.1, 0.2, 0.4, 0.8, 1, 1 }, pauses)
    -- That the next ones do not even leave says nothing of the first.
    local is_first = true
    function client.ask()
      local err = errors.new("STORE_UNAVAILABLE", "away", { maybe_applied = is_first })
      is_first = false
      return nil, "away", err, "elsewhere"
    end
    pauses = {}
    assert.is_true(failure("STORE_UNAVAILABLE",
      write.settle({ client = client }, {})).maybe_applied)
    assert.equal(7, #pauses)
    -- Of what never left there is nothing to ask.
    is_first, pauses = false, {}
    assert.is_false(failure("STORE_UNAVAILABLE",
      write.settle({ client = client }, {})).maybe_applied)
    -- Nor does who refuses say anything else later.
    function client.ask()
      return nil, "no", errors.new("PERMISSION_DENIED", "no", { maybe_applied = true })
    end
    assert.is_true(failure("PERMISSION_DENIED",
      write.settle({ client = client }, {})).maybe_applied)
    assert.same({}, pauses)
  end)

  -- ---- etcd's own troubles --------------------------------------------------------------------

  it("goes on when etcd comes back", function()
    start()
    local store = assert(open())
    local revision = assert(store:insert("a", "a", PENDING))
    local session = assert(store:open_session("r", 60))
    own:kill()
    failure("STORE_UNAVAILABLE", store:get "a")
    failure("STORE_UNAVAILABLE", store:due(1, 1))
    local err = failure("STORE_UNAVAILABLE", store:update("a", revision, "b", PENDING))
    assert.is_true(err.retryable)
    failure("STORE_UNAVAILABLE", session:renew())
    assert.is_true(session:left() > 50)
    own:restart()
    assert.is_true(session:renew())
    assert(store:update("a", revision, "b", { state = "claimed", runner = "r" },
      { session = session }))
  end)

  it("leaves nothing of a session whose lease etcd no longer has", function()
    local store = assert(open())
    local session = assert(store:open_session("r", 60))
    assert(session.client:ask("/v3/lease/revoke", { ID = session.lease }))
    assert.is_true(session:left() > 50)
    failure("LEASE_LOST", session:renew())
    assert.equal(0, session:left())
    assert.is_true(session:close())
    -- A key that somebody else has put there is none of ours.
    for _, value in ipairs { "", "x" } do
      server:poke(prefix .. "/runners/other", value)
      failure("CONFLICT", store:open_session("other", 60))
    end
    -- Asked to renew, this etcd says no seconds of it; another may say that it is not there.
    session = assert(store:open_session("s", 60))
    function session.client.ask() return nil, "no lease", {}, "no_lease" end
    failure("LEASE_LOST", session:renew())
  end)

  it("gives back the lease of a session that is not to be", function()
    local store = assert(open())
    assert(store:open_session("r", 60))
    local function leases() return #assert(store.client:ask("/v3/lease/leases", {})).leases end
    local before = leases()
    failure("CONFLICT", store:open_session("r", 60))
    -- Those of others may end meanwhile.
    assert.is_true(leases() <= before)
  end)

  it("counts a session from before it asks: the answer may be slow", function()
    local now = 100
    local store = assert(open { steady = function() return now end })
    local ask = store.client.ask
    function store.client.ask(...)
      local answer, message, err, word = ask(...)
      now = now + 7
      return answer, message, err, word
    end
    local session = assert(store:open_session("r", 60))
    -- Two questions: for the lease, and for the key that it holds.
    assert.equal(46, session:left())
    now = 120
    assert.is_true(session:renew())
    assert.equal(53, session:left())
  end)

  it("knows nothing of a change that etcd refuses without saying why", function()
    local store = assert(open())
    for _, responses in ipairs { false, {}, { {} }, { { response_range = {} } } } do
      function store.client.ask()
        return { header = { revision = "9" }, responses = responses or nil }
      end
      local err = failure("RESPONSE_INVALID", store:insert("a", "1", PENDING))
      assert.is_true(err.retryable)
    end
  end)

  it("takes no other answer for etcd's", function()
    for body, code in pairs { ["{}"] = "RESPONSE_INVALID", ["[]"] = "RESPONSE_INVALID",
      ["<html>"] = "RESPONSE_INVALID", ['{"header":5}'] = "RESPONSE_INVALID",
      ['{"result":{"header":5}}'] = "RESPONSE_INVALID",
      ['{"error":{"grpc_code":7,"message":"etcdserver: permission denied"}}']
        = "PERMISSION_DENIED" } do
      local peer = scripted.start(function(connection)
        while connection:request() do connection:answer("200 OK", connection.data) end
      end, { data = body })
      -- Nor is another one asked then.
      failure(code, open_at(peer.url .. "," .. server:place(prefix)))
    end
    -- Nor does it log in where there is no token in the answer, or nothing.
    for _, body in ipairs { "", "{}", '{"token":5}', "<html>" } do
      local peer = scripted.start(function(connection)
        while connection:request() do connection:answer("200 OK", connection.data) end
      end, { data = body })
      assert.matches("no token", failure("RESPONSE_INVALID", open_at(peer.url .. "/" .. prefix,
        { username = etcd.USER, password = etcd.PASSWORD })).message)
    end
  end)

  it("asks the next address when one does not answer", function()
    local deaf = scripted.start(function(connection)
      while connection:request() do connection:note "heard" end
    end)
    local broken = scripted.start(function(connection)
      while connection:request() do connection:answer("503 Unavailable", "<html>") end
    end)
    local closed = ("http://127.0.0.1:%d"):format(core.sys.free_port())
    local place = ("%s,%s,%s,%s"):format(deaf.url, closed, broken.url, server:place(prefix))
    local store = assert(open_at(place, { timeout = 1 }))
    assert.equal(1, deaf:count "heard")
    local revision = assert(store:insert("a", "1", PENDING))
    store.client.index = 1
    assert.equal("1", store:get("a").text)
    store.client.index = 3
    revision = assert(store:update("a", revision, "2", PENDING))
    -- A change that did not even leave is made at the next one.
    store.client.index = 2
    assert(store:update("a", revision, "3", PENDING))
    assert.equal(2, deaf:count "heard") -- not again, once it was passed over
    -- A runner must not lose its life by waiting for one of them.
    local session = assert(store:open_session("r", 2))
    store.client.timeout, store.client.index = 8, 1
    assert.is_true(session:renew())
    assert.is_true(session:left() > 1)
    session:close()
  end)

  it("asks the next member when one is gone, and says when most are #long", function()
    start { members = 3 }
    local store = assert(open { timeout = 2 })
    local revision = assert(store:insert("a", "1", PENDING))
    own:kill(1)
    assert.equal("1", store:get("a").text)
    local deadline = core.sys.monotonic() + 120
    local changed, message, err
    repeat -- the leader may have been that one
      changed, message, err = store:update("a", revision, "2", PENDING)
    until changed or not err.retryable or core.sys.monotonic() > deadline
    revision = assert(changed, message)
    own:kill(2)
    store.client.timeout = 0.2
    err = failure("STORE_UNAVAILABLE", store:update("a", revision, "3", PENDING))
    assert.is_true(err.retryable)
    assert.is_true(err.maybe_applied) -- the last one may hold it until others are back
  end)

  it("says when etcd's quota is used up", function()
    start { arguments = { "--quota-backend-bytes", "100000" } }
    local store = assert(open())
    local deadline, n = core.sys.monotonic() + 120, 0
    local value, message, err
    repeat -- etcd learns its own size only now and then
      n = n + 1
      value, message, err = store:insert("e" .. n, ("x"):rep(10000),
        { state = "done", ended = 1 })
    until not value or core.sys.monotonic() > deadline
    err = failure("STORE_UNAVAILABLE", value, message, err)
    assert.is_true(err.retryable)
    assert.matches("etcdctl alarm disarm", err.hint, nil, true)
    assert(store:get "e1")
    -- Who begins now can look, too.
    local other = assert(open())
    assert(other:get "e1")
    assert.is_true(#assert(other:page { limit = 5 }) > 0)
    other:close()
    assert.is_true(store:prune(2, 5) > 0)
  end)

  -- ---- who we are  -----------------------------------------------------------------------------

  it("logs in, again when its token is refused, and says what it may not do", function()
    start { users = true }
    local user = { username = etcd.USER, password = etcd.PASSWORD }
    local store = assert(open(user))
    local revision = assert(store:insert("a", "1", PENDING))
    local session = assert(store:open_session("r", 60))
    local old = store.client.token
    assert(store:get "a")
    assert.equal(old, store.client.token)
    -- A new password ends the tokens of before, which a restart does not.
    local root = own:ask("/v3/auth/authenticate", { name = "root", password = etcd.PASSWORD })
    own:ask("/v3/auth/user/changepw", { name = etcd.USER, password = etcd.PASSWORD }, root.token)
    -- While it is told so, another call gets one.
    local exchange = host.exchange
    finally(function() host.exchange = exchange end)
    function host.exchange(...)
      host.exchange = exchange
      local transfer = exchange(...)
      assert(store:get "a")
      return transfer
    end
    assert(store:update("a", revision, "2", PENDING, { session = session }))
    assert.error_matches(function() core.secret(old) end, "closed secret")
    assert.is_true(session:renew())
    assert.is_true(session:close())
    assert.is_nil(tostring(store.client.password):find(etcd.PASSWORD, 1, true))
    local secrets = { store.client.password, store.client.token }
    assert.equal(2, #secrets)
    -- And the answer that had the token.
    local left = 0
    function host.exchange(...)
      local transfer = exchange(...)
      left = left + 1
      return { result = function(_, is_private) return transfer:result(is_private) end,
        secret = function()
          secrets[3] = transfer:secret()
          return secrets[3]
        end, close = function()
          left = left - 1
          transfer:close()
        end }
    end
    assert(open(user)):close()
    host.exchange = exchange
    assert.same({ 3, 0 }, { #secrets, left })
    store:close()
    for _, secret in ipairs(secrets) do
      assert.error_matches(function() core.secret(secret) end, "closed secret")
    end
    local err = failure("PERMISSION_DENIED", open_at(own:place "other", user))
    assert.matches("grant", err.hint)
    assert.matches("give username", failure("UNAUTHENTICATED", open()).hint)
    err = failure("UNAUTHENTICATED",
      open { username = etcd.USER, password = "not-the-password" })
    assert.is_nil(tostring(err):find("not-the-password", 1, true))
    assert.is_false(err.retryable)
    own:stop()
    own = nil
    assert.matches("auth enable", failure("UNAUTHENTICATED", open(user)).hint)
  end)

  it("does not begin without memory for its password and its engine", function()
    local secret, driver = core.secret, host.current()
    local engine = driver.engine
    finally(function() core.secret, driver.engine = secret, engine end)
    local function none() return nil, "no memory", "NO_MEMORY" end
    core.secret = none
    failure("NO_MEMORY", open { username = "u", password = "fake" })
    core.secret, driver.engine = secret, none
    failure("NO_MEMORY", open())
  end)

  it("comes with a client certificate, also with one that was renewed in place", function()
    start { tls = true }
    local opts = { ca_file = own.ca_file, cert = own.pair.cert, key = own.pair.key }
    local store = assert(open(opts))
    assert(store:insert("a", "1", PENDING))
    -- Its files are read once, unless it is refused.
    local first = store.client.identity
    assert.equal("1", store:get("a").text)
    assert.equal(first, store.client.identity)
    failure("TLS_FAILED", open { ca_file = own.ca_file })
    failure("TLS_FAILED", open { cert = own.pair.cert, key = own.pair.key })
    local read, made = {}, {}
    finally(function() for name, original in pairs(read) do core[name] = original end end)
    for _, name in ipairs { "secret_from_file", "secret_from_private_file" } do
      read[name] = core[name]
      core[name] = function(...)
        local secret, message, code = read[name](...)
        made[#made + 1] = secret
        return secret, message, code
      end
    end
    for name in pairs(opts) do
      local wrong = { ca_file = opts.ca_file, cert = opts.cert, key = opts.key }
      wrong[name] = "/nonexistent"
      assert.matches(name .. ": .*/nonexistent", failure("FILE_ERROR", open(wrong)).message)
    end
    assert.equal(3, #made)
    for _, secret in ipairs(made) do
      assert.error_matches(function() core.secret(secret) end, "closed secret")
    end
    local key = tempdir.read(own.pair.key)
    tempdir.write(own.pair.key, tempdir.read(own.dir .. "/server.key"))
    local second = open(opts)
    assert.is_nil(second)
    tempdir.write(own.pair.key, key)
    assert(open(opts))
    -- One of the files may have been replaced so far, or damaged.
    local foreign = pki.issue(pki.authority("another", { not_before = os.time() - 60,
      not_after = os.time() + 3600 }), { subject = { { "CN", "client" } },
      not_before = os.time() - 60, not_after = os.time() + 3600 })
    local certificate = tempdir.read(own.pair.cert)
    for code, pair in pairs { KEY_MISMATCH = { certificate, foreign.key },
      INVALID_KEY = { certificate, "x" }, INVALID_CERTIFICATE = { "x", key },
      TLS_FAILED = { foreign.pem, foreign.key } } do
      tempdir.write(own.pair.cert, pair[1])
      tempdir.write(own.pair.key, pair[2])
      store.client.identity = nil
      failure(code, store:get "a")
      tempdir.write(own.pair.cert, certificate)
      tempdir.write(own.pair.key, key)
      assert.equal("1", assert(store:get "a").text, code)
    end
    local identity, engine = store.client.identity, store.client.engine
    store:close()
    assert.error_matches(function() engine:in_flight() end, "closed")
    for _, name in ipairs { "certificate", "key" } do
      assert.error_matches(function() core.secret(identity[name]) end, "closed secret")
    end
  end)

  it("does not use the engine of the process that it was forked from", function()
    local store = assert(open())
    local first = store.client.engine
    assert.is_nil((store:get "a"))
    assert.equal(first, store.client.engine)
    store.client.engine = { inherited = function() return true end }
    assert(store:insert("a", "1", PENDING))
  end)

  -- ---- at once ----------------------------------------------------------------------------------

  it("lets one of many win", function()
    local cce = require "cce"
    local store, wins = assert(open()), 0
    local revision = assert(store:insert("a", "0", PENDING))
    local results = cce.map({ 1, 2, 3, 4, 5, 6, 7, 8 }, function(n)
      return store:update("a", revision, tostring(n), { state = "claimed", runner = "r" .. n })
    end, { concurrency = 8 })
    for n, result in ipairs(results) do
      if result.ok then
        wins = wins + 1
        assert.equal(tostring(n), store:get("a").text)
      else
        assert.equal("CONFLICT", result.err.code)
        assert.is_false(result.err.maybe_applied)
      end
    end
    assert.equal(1, wins)
  end)

  it("yields to an event loop", function()
    local cqueues, cce = require "cqueues", require "cce"
    local loop, ticks, done = cqueues.new(), 0, 0
    cce.use_loop "cqueues"
    loop:wrap(function()
      while done < 5 do
        ticks = ticks + 1
        cqueues.sleep(0.0005)
      end
    end)
    local store = assert(open())
    for n = 1, 5 do
      loop:wrap(function()
        local session = assert(store:open_session("r" .. n, 60))
        local revision = assert(store:insert("e" .. n, "t", PENDING))
        assert(store:update("e" .. n, revision, "t", { state = "claimed", runner = "r" .. n },
          { session = session }))
        done = done + 1
      end)
    end
    assert(loop:loop(10))
    cce.use_loop(nil)
    assert.same({ 5, 5 }, { done, store:count "claimed" })
    assert.is_true(ticks > 1)
  end)

  it("leaves open an engine that is not its own alone", function()
    local store = assert(open())
    local engine = store.client.engine
    -- As in nginx, where all of a worker have one.
    store.client.engine_is_shared = true
    store:close()
    assert.equal(0, engine:in_flight())
    host.close(engine)
  end)

  it("is closed once", function()
    local store = assert(open())
    store:close()
    store:close()
    failure("CLOSED", store:get "a")
  end)
end)
