-- What an audit log writes around a call, and when, without a network: the call is a function
-- of the spec. Each row is one in which a single term of the log's conditions decides.
local audit_log = require "cce.log.audit_log"
local core = require "cce.core"
local host = require "cce.host"
local lines = require "cce.log.audit_line"
local tempdir = require "spec.support.tempdir"

describe("a call in the audit log", function()
  local dir, path, client, events, slept, logs

  before_each(function()
    dir = tempdir.new()
    path, events, slept, logs = dir .. "/audit.log", {}, 0, {}
    client = {
      config = { audit_log = path },
      session = { auth = { ak = "EXAMPLEAK" }, provider = {} },
      emit = function(_, event) events[#events + 1] = event end,
      on_event = function() end,
      sleep = function() slept = slept + 1 end,
    }
  end)

  after_each(function()
    for _, log in ipairs(logs) do log:close() end
    if client.audit_log then client.audit_log:close() end
    tempdir.remove(dir)
  end)

  local function open(opts, name)
    local log = assert(audit_log.open(dir .. "/" .. (name or "audit.log"), opts))
    logs[#logs + 1] = log
    return log
  end

  -- What stands there, as tables.
  local function written(name)
    local list = {}
    for line in (tempdir.read(name and dir .. "/" .. name or path) or ""):gmatch "[^\n]+" do
      list[#list + 1] = core.json.decode(line)
    end
    return list
  end

  local OK = { status = 200, attempts = 1, headers = {}, body = "" }
  local REVOKE = { operation = "revoke_cert", body = '{"userId":"u"}' }

  local function around(send, request, ids)
    return audit_log.around(client, request or REVOKE, ids or { cluster_id = "c" },
      send or function() return OK end)
  end

  it("is in the log that another task opened meanwhile", function()
    local current = host.current
    -- That task's turn comes while this call's own log is being opened.
    function host.current()
      host.current = current
      open()
      return current()
    end
    assert.equal(OK, (around()))
    assert.equal(2, #written())
  end)

  it("stands there before it is sent, and what came of it afterwards", function()
    local before
    local certificate = core.json.encode { certificate = "x" }
    for _, row in ipairs {
      { { OK }, { "ok", 200, nil, 1, nil } },
      { { { status = 204, attempts = 2, headers = { ["x-request-id"] = "r" }, body = "" } },
        { "ok", 204, nil, 2, "r" } },
      { { nil, "m", { code = "TIMEOUT", maybe_applied = true, attempts = 3 } },
        { "unknown", nil, "TIMEOUT", 3, nil } },
      { { nil, "m", { code = "BAD_REQUEST", status = 400, attempts = 1, request_id = "r" } },
        { "failed", 400, "BAD_REQUEST", 1, "r" } },
      { { { status = 200, attempts = 1, headers = {}, body = certificate } },
        { "ok", 200, nil, 1, nil } },
    } do
      local count = #written()
      local response, message, err = around(function()
        before = written()
        assert.is_true(next(client.audit_log.pending) ~= nil)
        return row[1][1], row[1][2], row[1][3]
      end)
      assert.same({ row[1][1], row[1][2], row[1][3] }, { response, message, err })
      local begun, ended = before[count + 1], written()[count + 2]
      assert.equal(count + 1, #before)
      assert.same({ "pending", "revoke_cert", "cluster c", "u", "EXAMPLEAK" }, { begun.outcome,
        begun.operation, begun.target, begun.user_id, begun.access_key })
      assert.same({ count + 1, "cluster c" }, { ended.call, ended.target })
      assert.same(row[2], { ended.outcome, ended.status, ended.code, ended.attempts,
        ended.request_id })
    end
    assert.is_nil(before[#before].holder)
    assert.equal(#written(), assert(audit_log.verify(path)).count)
    local told = 0
    for _, event in ipairs(events) do
      told = told + 1
      assert.same({ "audit_log", told, path }, { event.type, event.count, event.path })
    end
    assert.equal(#written(), told)
  end)

  it("names what it was about, and by which key", function()
    for _, row in ipairs {
      { { cluster_id = "c", job_id = "j", target = "t" }, "t" },
      { { cluster_id = "c", job_id = "j" }, "job j" }, { { cluster_id = "c" }, "cluster c" },
      { {}, nil },
    } do
      around(nil, nil, row[1])
      assert.equal(row[2], written()[#written()].target)
    end
    for _, row in ipairs {
      { { ak = "A" }, { ak = "B", name = "n" }, "A" }, { {}, { ak = "B", name = "n" }, "B" },
      { nil, { ak = "B", name = "n" }, "B" }, { nil, { name = "n" }, "n" },
    } do
      client.session = { auth = row[1], provider = row[2] }
      around()
      assert.equal(row[3], written()[#written()].access_key)
    end
  end)

  it("names the holder of a certificate that was obtained, and of no other answer", function()
    local certificate = core.certificate
    finally(function() core.certificate = certificate end)
    core.certificate = function(body) return body == "" and { user_id = "u9" } or nil end
    for operation, holder in pairs { obtain_cert = "u9", revoke_cert = false } do
      around(nil, { operation = operation })
      assert.equal(holder or nil, written()[#written()].holder)
    end
    around(function()
      return { status = 200, attempts = 1, headers = {}, body = "x" }
    end, { operation = "obtain_cert" })
    assert.is_nil(written()[#written()].holder)
  end)

  it("is not sent when it cannot be logged, unless that was asked for", function()
    local sent = 0
    local function send()
      sent = sent + 1
      return OK
    end
    for _, on_failure in ipairs { "refuse", "warn" } do
      for _, has_listener in ipairs { true, false } do
        local log = open({ on_failure = on_failure }, on_failure .. tostring(has_listener))
        client.config.audit_log = log
        client.on_event = has_listener and client.on_event or nil
        log:close()
        sent, events = 0, {}
        local stderr, said = io.stderr, {}
        io.stderr = { write = function(_, ...) said = { ... } end } -- luacheck: ignore
        local response, message, err = around(send)
        io.stderr = stderr -- luacheck: ignore
        if on_failure == "refuse" then
          assert.same({ 0, "CLOSED", false, false, 0, 0 }, { sent, err.code, err.retryable,
            err.maybe_applied, err.attempts, #events })
          assert.matches("revoke_cert: not sent, since it cannot be logged: the audit log '"
            .. dir, message, 1, true)
          assert.is_string(err.hint)
        else
          assert.same({ OK, 1 }, { response, sent })
          assert.same({ "audit_log_failed", "audit_log_failed" },
            { events[1].type, events[2].type })
          assert.equal(has_listener, said[1] == nil)
        end
        assert.is_nil(next(log.pending))
        client.on_event = function() end
      end
    end
  end)

  it("counts as made although its outcome cannot be logged", function()
    local log = open()
    client.config.audit_log = log
    assert.equal(OK, (around(function()
      log:close()
      return OK
    end)))
    assert.same({ "audit_log", "audit_log_failed" }, { events[1].type, events[2].type })
    assert.matches("the outcome of revoke_cert is not in the audit log", events[2].message)
    assert.is_nil(next(log.pending))
    assert.equal(1, #written())
  end)

  it("is told to the log's own listener, whatever that does", function()
    local heads = {}
    for _, key in ipairs { "k", core.secret "k" } do
      local log = open({ key = key, on_event = function(event)
        heads[#heads + 1] = event.head
        error "no"
      end }, "own.log")
      client.config.audit_log = log
      assert.equal(OK, (around()))
      log:close()
    end
    local state = assert(audit_log.verify(dir .. "/own.log", { key = "k" }))
    assert.same({ 4, heads[4] }, { state.count, state.head })
  end)

  it("waits for another holder of the file, and for nothing else", function()
    local holder = assert(core.journal(path, "audit log"))
    client.sleep = function()
      slept = slept + 1
      if slept == 3 then holder:close() end
    end
    assert.equal(OK, (around()))
    assert.equal(3, slept)
    client.audit_log:close()
    holder = assert(core.journal(path, "audit log"))
    local _, _, err = around()
    assert.same({ "CONFLICT", 102 }, { err.code, slept })
    holder:close()
    -- It is opened again by the next call.
    assert.equal(OK, (around()))
    client.config.audit_log = dir .. "/none/log"
    slept = 0
    assert.same({ "FILE_ERROR", 0 }, { select(3, around()).code, slept })
    assert.equal("CONFLICT", select(3, audit_log.open(path)).code)
    assert.is_true(select(3, audit_log.open(path)).retryable)
    assert.is_false(select(3, audit_log.open(dir)).retryable)
  end)

  it("is in one log of all clients that name the same path", function()
    around()
    local first = client.audit_log
    client.audit_log = nil
    around()
    assert.equal(first, client.audit_log)
    first:close()
    around()
    local second = client.audit_log
    assert.not_equal(first, second)
    -- What was closed is nobody's any more, however often.
    first:close()
    client.audit_log = nil
    around()
    assert.equal(second, client.audit_log)
    assert.equal(8, assert(audit_log.verify(path)).count)
  end)

  it("is not sent while the log is in no file, and goes on with what it knows", function()
    around()
    tempdir.shell(("rm %s; mkdir %s"):format(path, path))
    for _ = 1, 2 do
      assert.equal("FILE_ERROR", select(3, around(function() error "it was not logged" end)).code)
      collectgarbage()
    end
    tempdir.shell("rmdir " .. path)
    around()
    assert.same({ 3, path }, { written()[1].n, written()[1].continues })
    -- Also beside an older file.
    tempdir.shell(("cp %s %s.1"):format(path, path))
    around()
    tempdir.shell("rm " .. path)
    around()
    assert.same({ 7, path }, { written()[1].n, written()[1].continues })
  end)

  it("goes on where the log ended, and in nothing that was changed", function()
    around()
    client.audit_log:close()
    local text = tempdir.read(path)
    tempdir.write(path, (text:gsub('"status":200', '"status":201')))
    local _, _, err = around()
    assert.equal("TAMPERED", err.code)
    -- After logrotate: from the newest file that has a whole last line of ours, in whatever
    -- order they are found.
    local glob = core.file.glob
    finally(function() core.file.glob = glob end)
    function core.file.glob(pattern)
      local files = glob(pattern) or {}
      table.sort(files)
      return files
    end
    for _, row in ipairs {
      { { ["audit.log.1"] = text }, "audit.log.1", 3 },
      { { ["audit.log.1"] = "x\n", ["audit.log-20260102"] = text }, "audit.log-20260102", 3 },
      { { ["audit.log-20260101"] = "x\n", ["audit.log-20260102"] = text }, "audit.log-20260102",
        3 },
      { { ["audit.log-20260101"] = text, ["audit.log-20260102"] = text }, "audit.log-20260102", 3 },
      { { ["audit.log-2026010"] = text, ["audit.log.2"] = text }, nil, 1 },
      { { ["audit.log.1"] = text, ["audit.log"] = text }, nil, 1 },
      { { ["audit.log.1"] = text:sub(1, -2) }, nil, 1 }, { { ["audit.log.1"] = "" }, nil, 1 },
      { {}, nil, 1 },
    } do
      tempdir.check("rm -f " .. path .. "*")
      for name, content in pairs(row[1]) do tempdir.write(dir .. "/" .. name, content) end
      client.audit_log = nil
      around()
      local begun = written()[1]
      assert.same({ row[2] and dir .. "/" .. row[2], row[3] }, { begun.continues, begun.n })
      assert.equal("lua-cce audit log", begun.file)
      assert.is_nil(begun.after)
      for i = 2, #written() do
        assert.is_nil(written()[i].file)
        assert.is_nil(written()[i].continues)
      end
      client.audit_log:close()
    end
  end)

  it("asks for room for its outcome and for those of all that are under way", function()
    local log = open()
    local compose = log.writer.owner.compose
    local function room(...)
      return select(2, compose { ... })
    end
    local function item(begins) return { entry = { operation = "x" }, begins = begins } end
    assert.is_nil(room(item()))
    assert.equal(lines.ROOM, room(item(true)))
    assert.equal(2 * lines.ROOM, room(item(), item(true)))
    assert.equal(2 * lines.ROOM, room(item(true), item()))
    -- The first of them goes on with what was before.
    for head, after in pairs { [lines.FIRST] = false, [("1"):rep(64)] = ("1"):rep(64) } do
      log.continues = { path = "before", head = head }
      local first, second = item(), item()
      compose { first, second }
      assert.same({ "before", after or nil }, { first.entry.continues, first.entry.after })
      assert.equal("lua-cce audit log", first.entry.file)
      assert.is_nil(second.entry.file)
      assert.is_nil(second.entry.continues)
      assert.is_nil(second.entry.after)
    end
    log.continues = nil
    log.pending[{}] = true
    assert.equal(2 * lines.ROOM, room(item(true)))
    log.pending = {}
  end)

  it("shows who was known as a holder, by lines that are as they were written", function()
    local function holds(id) return audit_log.names_holder(client, id) end
    local function log(name, holder, changes)
      local line = lines.seal({ file = "lua-cce audit log", n = 1,
        operation = "obtain_cert", holder = holder,
        previous = lines.FIRST }, changes and changes.key)
      if changes and changes.damage then line = line:gsub('"n":1', '"n":2') end
      tempdir.write(dir .. "/" .. name, (changes and changes.before or "") .. line .. "\n")
    end
    assert.is_false(holds "u1")
    log("audit.log", "u1")
    assert.is_true(holds "u1")
    assert.is_falsy(holds "u")
    assert.is_falsy(holds "u2")
    log("audit.log.1", "u2", { before = "no line\n" })
    assert.is_true(holds "u2")
    log("audit.log-20260102", "u3")
    log("audit.log-other", "u4")
    assert.is_true(holds "u3")
    assert.is_falsy(holds "u4")
    log("audit.log", "u5", { damage = true })
    assert.is_falsy(holds "u5")
    log("audit.log", "u6", { key = "k" })
    assert.is_falsy(holds "u6")
    tempdir.check("rm " .. dir .. "/*")
    log("audit.log", "u6", { key = "k" })
    client.config.audit_log = open { key = "k" }
    assert.is_true(holds "u6")
    client.config.audit_log, client.audit_log = path, client.config.audit_log
    assert.is_true(holds "u6")
    client.config.audit_log, client.audit_log = nil, nil
    assert.is_false(holds "u6")
  end)
end)
