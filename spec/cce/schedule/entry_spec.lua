local entries = require "cce.schedule.entry"
local errors = require "cce.error"
local json = require "cce.base.json"

local NOW = 1767323045

local function new(more)
  local fields = { kind = "revoke", due = NOW + 100, cluster_id = "c1", user_id = "u1" }
  for name, value in pairs(more or {}) do fields[name] = value end
  return assert(entries.new(fields, NOW))
end

local function rotation()
  return assert(entries.new({ kind = "rotate", due = NOW + 3600, cluster_id = "c1",
    every = { seconds = 3600, first = NOW + 3600 }, options = { clusters = { "c1" } } }, NOW))
end

local problem = errors.new("SERVER_ERROR", "no", { request_id = "req" })

-- A way to each state.
local function in_state(state, make)
  local e = (make or new)()
  local steps = {
    pending = function() return e end,
    claimed = function() return entries.claimed(e, "r1", NOW) end,
    sending = function() return entries.sending(entries.claimed(e, "r1", NOW), NOW + 1) end,
    done = function()
      return entries.done(entries.sending(entries.claimed(e, "r1", NOW), NOW + 1), NOW + 2, "req")
    end,
    ["failed-retrying"] = function()
      return entries.retrying(entries.sending(entries.claimed(e, "r1", NOW), NOW + 1), NOW + 2,
        problem, NOW + 60)
    end,
    cancelled = function() return entries.cancelled(e, NOW + 3) end,
    quarantined = function()
      local text, fields = entries.quarantine({ id = e.id, text = "{" }, "bad", NOW)
      return entries.read { id = e.id, text = text, state = fields.state }
    end,
  }
  return assert(steps[state]())
end

local CHANGES = {
  claimed = function(e) return entries.claimed(e, "r2", NOW) end,
  sending = function(e) return entries.sending(e, NOW + 5) end,
  done = function(e) return entries.done(e, NOW + 6, "req-2") end,
  retrying = function(e) return entries.retrying(e, NOW + 7, problem, NOW + 99) end,
  released = function(e) return entries.released(e) end,
  cancelled = function(e) return entries.cancelled(e, NOW + 8) end,
  extended = function(e) return entries.extended(e, NOW + 500) end,
  retried = function(e) return entries.retried(e, NOW + 9) end,
}

-- What becomes of each state; nothing else may be.
local EXPECTED = {
  pending = { claimed = "claimed", cancelled = "cancelled", extended = "pending" },
  claimed = { claimed = "claimed", sending = "sending", retrying = "failed-retrying",
    released = "pending", cancelled = "cancelled" },
  sending = { claimed = "claimed", done = "done", retrying = "failed-retrying" },
  done = {},
  ["failed-retrying"] = { claimed = "claimed", cancelled = "cancelled", extended = "pending",
    retried = "failed-retrying" },
  cancelled = {},
  quarantined = { cancelled = "cancelled" },
}

local function row_of(e)
  local text, fields = entries.write(e)
  return { id = e.id, text = text, state = fields.state, runner = fields.runner, revision = 7 }
end

-- Of a rotation that was tried and failed, claimed again.
local function failed_rotation()
  local e = entries.claimed(rotation(), "r1")
  e = entries.retrying(entries.sending(e, NOW + 3600), NOW + 3700, problem, NOW + 3760)
  return entries.claimed(e, "r2")
end

describe("an occurrence of what recurs", function()
  it("is missed when its next time has come, and hands over its journal", function()
    local e = failed_rotation()
    e.begun = { journal = "/j", host = "h", occurrence = e.due }
    assert.is_nil(entries.missed(e, NOW + 7199))
    local next_one = entries.missed(e, NOW + 7200 + 3600)
    assert.same({ "claimed", "r2", NOW + 10800, NOW + 3600, 0 },
      { next_one.state, next_one.runner, next_one.due, next_one.missed, next_one.attempts })
    assert.same({ journal = "/j", host = "h", occurrence = NOW + 10800,
      run = entries.run_of(NOW + 10800) }, next_one.begun)
    assert.is_nil(next_one.last_error)
    assert(entries.parse((entries.write(next_one))))
  end)

  it("is only late when nobody has tried it, and nothing else recurs", function()
    assert.is_nil(entries.missed(entries.claimed(rotation(), "r1"), NOW + 99999))
    local e = entries.claimed(new(), "r1")
    e.attempts = 3
    assert.is_nil(entries.missed(e, NOW + 99999))
  end)

  it("is accepted as it is, when it failed", function()
    local e = entries.released(failed_rotation())
    local accepted = entries.accepted(e, NOW + 3800)
    assert.same({ "pending", NOW + 7200, 0 }, { accepted.state, accepted.due, accepted.attempts })
    assert.is_nil(entries.accepted(rotation(), NOW))
    local ok, why = entries.accepted(new(), NOW)
    assert.is_false(ok)
    assert.matches("cancel it", why)
  end)

  it("resends failed jobs once", function()
    local e = entries.retried(entries.released(failed_rotation()), NOW + 3800, true)
    assert.is_true(e.retry_failed)
    e = entries.claimed(e, "r3")
    assert.is_true(e.retry_failed)
    assert.is_nil(entries.sending(e, NOW + 3801).retry_failed)
    assert.is_false((entries.retried(new(), NOW, true)))
  end)
end)

describe("the states of cce.schedule.entry", function()
  for state, expected in pairs(EXPECTED) do
    for change, act in pairs(CHANGES) do
      it(("lets what is %s be %s: %s"):format(state, change, expected[change] or "no"), function()
        local e = in_state(state)
        local before = row_of(e)
        local changed, why = act(e)
        assert.same(before, row_of(e)) -- itself is not altered
        if not expected[change] then
          assert.is_nil(changed)
          assert.matches("it is " .. state:gsub("%-", "%%-"), why)
          return
        end
        assert.equal(expected[change], changed.state)
        assert.is_nil(changed.revision)
        -- What is written can be read.
        local again = assert(entries.read(row_of(changed)))
        assert.equal(7, again.revision)
        again.revision = nil
        assert.same(changed, again)
      end)
    end
  end

  it("has a due time exactly where a runner should look", function()
    local function fields_of(state)
      return select(2, entries.write(in_state(state)))
    end
    assert.equal(NOW + 100, fields_of("pending").due)
    assert.equal(NOW + 60, fields_of("failed-retrying").due)
    for _, state in ipairs { "claimed", "sending", "done", "cancelled", "quarantined" } do
      assert.is_nil(fields_of(state).due)
    end
    assert.equal(NOW + 2, fields_of("done").ended)
    assert.equal(NOW + 3, fields_of("cancelled").ended)
    assert.equal("r1", fields_of("claimed").runner)
    assert.equal("r1", fields_of("sending").runner)
    assert.is_nil(fields_of("failed-retrying").runner)
  end)

  it("counts what was tried, and keeps the first intent", function()
    local e = in_state "failed-retrying"
    assert.same({ 1, NOW + 1, NOW + 1 }, { e.attempts, e.first_intent, e.last_intent })
    e = assert(entries.sending(assert(entries.claimed(e, "r2", NOW + 50)), NOW + 51))
    assert.same({ 2, NOW + 1, NOW + 51 }, { e.attempts, e.first_intent, e.last_intent })
    assert.same({ code = "SERVER_ERROR", message = "no", request_id = "req", at = NOW + 2 },
      e.last_error)
    -- A try that could not begin counts, and left no intent.
    e = assert(entries.retrying(in_state "claimed", NOW, problem, NOW + 9))
    assert.equal(1, e.attempts)
    assert.is_nil(e.first_intent)
  end)

  it("takes over from another runner only", function()
    local e = in_state "sending"
    assert.is_nil(entries.claimed(e, "r1", NOW))
    local taken = assert(entries.claimed(e, "r2", NOW))
    assert.equal("r2", taken.runner)
    assert.equal(NOW + 1, taken.first_intent)
    -- What may have been sent is not as if it had not been.
    local back = assert(entries.released(taken))
    assert.same({ "failed-retrying", NOW + 100 }, { back.state, back.next_try })
  end)

  it("gives back what was waiting for its next try with that time", function()
    local e = assert(entries.released(assert(entries.claimed(in_state "failed-retrying", "r2"))))
    assert.same({ "failed-retrying", NOW + 60 }, { e.state, e.next_try })
  end)

  it("lets what recurs wait for its next time once it is done", function()
    local e = in_state("sending", rotation)
    local done = assert(entries.done(e, NOW + 3 * 3600 + 5, "req"))
    assert.same({ "pending", NOW + 4 * 3600, 0, NOW + 3 * 3600 + 5 },
      { done.state, done.due, done.attempts, done.last_done })
    assert.is_nil(done.first_intent)
    assert(entries.read(row_of(done)))
  end)
end)

describe("cce.schedule.entry.read", function()
  local function refused(change)
    local row = row_of(new())
    if type(change) == "function" then
      local data = json.decode(row.text)
      change(data, row)
      row.text = assert(json.encode(data))
    else
      row.text = change
    end
    local e, why = entries.read(row)
    assert.is_nil(e)
    assert.is_string(why)
    assert.is_nil(why:find "%c", why)
    assert.is_true(#why < 600)
    return why
  end

  it("refuses what is no entry", function()
    for _, text in ipairs { "", "{", "null", "[]", "1", '"x"', "{}", ("["):rep(2000),
      "\0\1\2", '{"v":1}' } do refused(text) end
    assert.matches("too many", refused(("x"):rep(entries.MAX_TEXT + 1)))
    for _, row in ipairs { {}, { id = 1, text = 2 }, { id = {}, text = {} } } do
      assert.is_nil(entries.read(row))
    end
  end)

  it("refuses each field that is not right, without showing it", function()
    local wrong = {
      id = { "", "x", ("0"):rep(15), ("l"):rep(16), 1, {} },
      kind = { "delete", "", 1, json.null }, state = { "new", "PENDING", 1, {} },
      v = { 0, "1" }, due = { -1, "1", 1e300, {}, json.null }, created = { -1, "x" },
      cluster_id = { "..", "a/b", "", "a\nb", 1, ("a"):rep(129) },
      user_id = { "a b", "../x", {}, json.null }, runner = { "\27[2J" }, region = { "a?b", 1 },
      reason = { "\27]0;x\7", ("x"):rep(501), 5, "a\194\155b" }, attempts = { -1, 0.5, "1", 1e12 },
      first_intent = { "now" }, next_try = { false }, request_id = { "\n" },
      last_error = { 1, {}, { code = "x" }, { code = "X", message = "\27[31m", at = 1 } },
      grant = { 1, {}, { shared = 1, holders = {} }, { shared = true, holders = {} },
        { shared = true, holders = { "x" } } },
    }
    for name, values in pairs(wrong) do
      for _, value in ipairs(values) do
        local why = refused(function(data) data[name] = value end)
        assert.matches(name == "v" and "" or name, why)
        assert.is_nil(why:find("[2J", 1, true))
      end
    end
  end)

  it("refuses what contradicts itself or its row", function()
    refused(function(data) data.agency_id = "a1" end)
    refused(function(data) data.user_id = nil end)
    refused(function(data) data.cluster_id = nil end)
    refused(function(data) data.kind = "rotate" end)
    refused(function(data) data.kind = "unknown" end)
    assert.matches("another id", refused(function(_, row) row.id = entries.new_id(NOW) end))
    assert.matches("state", refused(function(_, row) row.state = "done" end))
    assert.matches("runner", refused(function(_, row) row.runner = "r9" end))
    refused(function(data, row) data.state, row.state = "sending", "sending" end)
    refused(function(data, row) data.state, row.state = "done", "done" end)
    assert.matches("newer", refused(function(data) data.v = 2 end))
  end)

  it("checks a rotation by the rules of its workflow", function()
    local function refuses(change)
      local e = rotation()
      change(e)
      local row = row_of(e)
      local read, why = entries.read(row)
      assert.is_nil(read)
      return why
    end
    assert(entries.read(row_of(rotation())))
    refuses(function(e) e.options = { clusters = { "a/b" } } end)
    refuses(function(e) e.options = { clusters = { "c1" }, canary = -1 } end)
    refuses(function(e) e.options = { clusters = { "c1" }, canary = "x\27" } end)
    refuses(function(e) e.options = { clusters = { "c1" }, surprise = true } end)
    refuses(function(e) e.options = {} end)
    refuses(function(e) e.options = { clusters = { "c1" }, certificate_expiration_time = 0 } end)
    refuses(function(e) e.every = { seconds = 0, first = 1 } end)
    refuses(function(e) e.options = { clusters = { "c1" }, windows = "sat 01:00" } end)
    refuses(function(e) e.every = { seconds = 3600, first = NOW, window = { from = "x" } } end)
  end)

  it("knows the windows of a rotation, also as version 0.1.0 wrote them", function()
    local e = rotation()
    assert.equal(NOW, entries.opens(e, NOW))
    -- A Friday, 03:04:05.
    local night = { weekdays = { "Fri" }, from = "04:00", to = "05:00", zone = "Z" }
    e.every.window = night
    e = assert(entries.read(row_of(e)))
    assert.equal(NOW + 3600 - 4 * 60 - 5, entries.opens(e, NOW))
    e.every.window, e.options = nil, { clusters = { "c1" }, windows = "fri 04:00-05:00" }
    e = assert(entries.read(row_of(e)))
    assert.equal(NOW + 3600 - 4 * 60 - 5, entries.opens(e, NOW))
    -- What was not done when they closed is tried again when they open.
    local begun = assert(entries.sending(assert(entries.claimed(e, "r1", NOW)), NOW))
    assert.equal(NOW + 3600 - 4 * 60 - 5, entries.retrying(begun, NOW, problem, NOW + 60).next_try)
    assert.equal(NOW + 3600, entries.retrying(begun, NOW, problem, NOW + 3600).next_try)
    e.options.except = "2026-01-02"
    assert.equal(NOW + 7 * 86400 + 3600 - 4 * 60 - 5, entries.opens(e, NOW))
  end)

  it("reads a rotation that does not recur, which ends when it is done", function()
    local e = assert(entries.read(row_of(assert(entries.new({ kind = "rotate", due = NOW,
      cluster_id = "c1", options = { clusters = { "c1" } } }, NOW)))))
    assert.equal(NOW, entries.opens(e, NOW))
    e = assert(entries.claimed(e, "r1", NOW))
    assert.is_nil(entries.missed(e, NOW + 1e6))
    e = assert(entries.sending(e, NOW))
    local failed = assert(entries.retrying(e, NOW, problem, NOW + 60))
    assert.same({ false, "does not recur: cancel it" }, { entries.accepted(failed, NOW) })
    assert.same({ "done", NOW + 9 }, { entries.done(e, NOW + 9).state,
      entries.done(e, NOW + 9).ended })
  end)

  it("ignores fields that it does not know", function()
    local row = row_of(new())
    row.text = row.text:sub(1, -2) .. ',"surprise":{"\\u001b":1}}'
    assert.is_nil(assert(entries.read(row)).surprise)
  end)
end)

describe("cce.schedule.entry.quarantine", function()
  it("keeps what was found, and can be read", function()
    local hostile = "\27[2J\0" .. ("x"):rep(10000)
    local id = entries.new_id(NOW)
    local text, fields = entries.quarantine({ id = id, text = hostile }, "bad \27 thing", NOW)
    assert.same({ state = "quarantined" }, fields)
    local e = assert(entries.read { id = id, text = text, state = "quarantined" })
    assert.equal("bad ? thing", e.why)
    assert.equal(hostile:sub(1, 4096), e.text)
    assert.is_nil(tostring(e):find "%c")
  end)

  it("is done for any row", function()
    for _, row in ipairs { { id = "x" }, { id = "\27", text = 5 }, { id = "x", text = {} } } do
      local text = entries.quarantine(row, "why", NOW)
      assert.is_table(json.decode(text))
      local e = entries.describe { id = row.id, text = text, state = "quarantined" }
      assert.equal("quarantined", e.state)
      assert.is_nil(tostring(e):find "%c")
    end
  end)
end)

describe("cce.schedule.entry.new_id", function()
  it("sorts by time, and has 16 characters", function()
    local last = ""
    for _, now in ipairs { 0, 1, 1.001, NOW, NOW + 0.001, NOW + 86400, 253402300799 } do
      local id = entries.new_id(now)
      assert.is_true(entries.is_id(id), id)
      assert.is_true(id > last)
      last = id
    end
    assert.not_equal(entries.new_id(NOW), entries.new_id(NOW))
  end)
end)

describe("cce.schedule.entry.clean", function()
  it("leaves no control character, and cuts between characters", function()
    assert.equal("a?b?c", entries.clean("a\27b\194\155c", 100))
    assert.equal("\195\164", entries.clean("\195\164", 2))
    assert.equal("…", entries.clean("\195\164x", 2))
    assert.equal("5", entries.clean(5, 10))
    assert.equal("x…", entries.clean("x\228\184\173y", 3))
  end)
end)
