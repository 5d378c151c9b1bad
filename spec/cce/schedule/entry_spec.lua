local entries = require "cce.schedule.entry"
local errors = require "cce.error"
local json = require "cce.base.json"

local NOW = 1767323045
local unpack = table.unpack or unpack -- luacheck: ignore

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
    assert.is_nil(assert(entries.missed(e, NOW + 7200)).begun)
    e.begun = { journal = "/j", host = "h", occurrence = e.due }
    assert.is_nil(entries.missed(e, NOW + 7199))
    local next_one = entries.missed(e, NOW + 7200 + 3600)
    assert.same({ "claimed", "r2", NOW + 10800, NOW + 3600, 0 },
      { next_one.state, next_one.runner, next_one.due, next_one.missed, next_one.attempts })
    assert.same({ journal = "/j", host = "h", occurrence = NOW + 10800,
      run = entries.run_of(NOW + 10800) }, next_one.begun)
    assert.same({}, { next_one.last_error, next_one.first_intent, next_one.last_intent,
      next_one.next_try })
    assert(entries.parse((entries.write(next_one))))
  end)

  it("is shut where its windows never open again, unless it was begun", function()
    local e = entries.claimed(rotation(), "r1")
    assert.is_nil(entries.shut(e, NOW))
    e.options.windows, e.options.except = "fri 04:00-05:00", "2026-01-01/9999-12-31"
    local shut = entries.shut(e, NOW)
    assert.same({ "cancelled", NOW, "CANCELLED", NOW },
      { shut.state, shut.ended, shut.last_error.code, shut.last_error.at })
    assert.is_nil(entries.shut(entries.sending(e, NOW), NOW))
    e.begun = { journal = "/j", host = "h", occurrence = e.due }
    assert.is_nil(entries.shut(e, NOW))
  end)

  it("is only late when nobody has tried it, and nothing else recurs", function()
    assert.is_nil(entries.missed(entries.claimed(rotation(), "r1"), NOW + 99999))
    local e = entries.claimed(new(), "r1")
    e.attempts = 3
    assert.is_nil(entries.missed(e, NOW + 99999))
    -- Who holds it sees to that.
    assert.is_nil(entries.missed(entries.released(failed_rotation()), NOW + 99999))
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
    e = entries.claimed(entries.retried(e, NOW + 3801), "r3")
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
    local again = entries.claimed(in_state "failed-retrying", "r2")
    assert.is_nil(select(2, entries.write(again)).due)
    assert.equal("r1", fields_of("claimed").runner)
    assert.equal("r1", fields_of("sending").runner)
    assert.is_nil(fields_of("failed-retrying").runner)
  end)

  it("is nothing for a runner once it is over, or cannot be read", function()
    for state in pairs(EXPECTED) do
      local is_vain = state == "done" or state == "cancelled" or state == "quarantined"
      assert.equal(is_vain, entries.is_found_in_vain { state = state }, state)
    end
  end)

  it("counts what was tried, and keeps the first intent", function()
    local e = in_state "failed-retrying"
    assert.same({ 1, NOW + 1, NOW + 1 }, { e.attempts, e.first_intent, e.last_intent })
    e = assert(entries.sending(assert(entries.claimed(e, "r2", NOW + 50)), NOW + 51))
    assert.same({ 2, NOW + 1, NOW + 51 }, { e.attempts, e.first_intent, e.last_intent })
    assert.same({ code = "SERVER_ERROR", message = "no", request_id = "req", at = NOW + 2 },
      e.last_error)
    local unnamed = errors.new("SERVER_ERROR", "no", {})
    assert.is_nil(entries.retrying(e, NOW, unnamed, NOW + 9).last_error.request_id)
    assert.equal("req", in_state("done").request_id)
    assert.is_nil(entries.done(e, NOW).request_id)
    local long = errors.new("SERVER_ERROR", "no", { request_id = ("r"):rep(200) })
    assert(entries.read(row_of(assert(entries.retrying(e, NOW, long, NOW + 9)))))
    assert(entries.read(row_of(assert(entries.done(e, NOW, ("r"):rep(200))))))
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

  it("forgets the next try of what is to be done at another time", function()
    local e = assert(entries.extended(in_state "failed-retrying", NOW + 500))
    assert.same({ NOW + 500 }, { e.due, e.next_try })
  end)

  it("gives back what was waiting for its next try with that time", function()
    assert.matches("user u1 in cluster c1, due 2026.*: no$", tostring(in_state "failed-retrying"))
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
    -- Nothing of the last time is left.
    e.begun, e.retry_failed = { journal = "/j", host = "h", occurrence = e.due }, true
    e.last_error = { code = "X", message = "no", at = NOW }
    done = assert(entries.done(e, NOW + 3 * 3600 + 5, "req"))
    assert.same({}, { done.begun, done.retry_failed, done.ended, done.last_error,
      done.last_intent })
    -- Its windows never open again.
    e.options.windows, e.options.except = "fri 04:00-05:00", "2026-01-01/9999-12-31"
    done = assert(entries.done(e, NOW + 5, "req"))
    assert.same({ "done", NOW + 5, NOW + 5 }, { done.state, done.ended, done.last_done })
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
    assert.matches("no JSON", refused(("x"):rep(entries.MAX_TEXT)))
    assert.matches("no JSON", (select(2, entries.parse "{")))
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

  -- A good value, and what is wrong with one term of it alone.
  local FIELDS = {
    reason = { ("x"):rep(500), wrong = { ("x"):rep(501) } },
    attempts = { 1e9, 0, wrong = { 1e9 + 1 } },
    why = { ("x"):rep(503), wrong = { ("x"):rep(504), 5 } },
    text = { ("\27"):rep(4096), wrong = { ("x"):rep(4097), 5 } },
    last_error = { { code = ("X"):rep(64), message = ("m"):rep(503), at = 1,
        request_id = ("r"):rep(131) }, { code = "X", message = "m", at = 1 },
      terms = { code = { false, "\n", ("X"):rep(65) }, message = { false, "\n", ("m"):rep(504) },
        at = { false, "1" }, request_id = { "\n", ("r"):rep(132) } }, wrong = { "x", 1 } },
    grant = { { shared = true, holders = { ("0"):rep(16) } },
      { shared = false, holders = {} },
      terms = { shared = { "x" }, holders = { false, "x", {}, { "x" }, { 1 } } },
      wrong = { "x", 1 } },
    names = { { c1 = ("n"):rep(255) }, {}, wrong = { "x", 1, { ["a b"] = "n" }, { c1 = 5 },
      { c1 = ("n"):rep(256) } } },
    begun = { { journal = "/j", host = "h", occurrence = 1, run = "r" },
      { journal = "/j", host = "h", occurrence = 1 },
      terms = { journal = { false, 5, ("j"):rep(4097) }, host = { false, 5, ("h"):rep(256) },
        occurrence = { false, "x" }, run = { 5, ("r"):rep(256) } }, wrong = { "x", 1 } },
    options = { { clusters = { "c1" } }, wrong = { 1, "x", { clusters = "x" } } },
    id = { ("0"):rep(16), wrong = { ("l"):rep(16), ("0"):rep(15) } },
    request_id = { ("r"):rep(131), wrong = { ("r"):rep(132) } },
    retry_failed = { true, wrong = { false, "x" } },
    last_done = { 1, wrong = { "x" } }, missed = { 1, wrong = { "x" } },
    at = { 1, wrong = { "x" } }, first_intent = { 1, wrong = { "x" } },
    last_intent = { 1, wrong = { "x" } }, next_try = { 1, wrong = { "x" } },
    region = { "r", wrong = { "a b" } }, project_id = { "p", wrong = { "a b" } },
  }
  for i = 1, 1000 do FIELDS.grant[2].holders[i] = ("0"):rep(16) end
  FIELDS.grant.terms.holders[6] = { ("0"):rep(16), unpack(FIELDS.grant[2].holders) }

  for name, field in pairs(FIELDS) do
    it("takes a right " .. name .. ", and none of which a term is wrong", function()
      local function parse(value)
        local data = json.decode(row_of(new()).text)
        data[name] = value
        return entries.parse(assert(json.encode(data)))
      end
      local function refuses(value)
        local e, why = parse(value)
        assert.is_nil(e)
        assert.equal("bad " .. name, why:match "^[^:]+", why)
      end
      for _, value in ipairs(field) do assert.same(value, assert(parse(value))[name]) end
      for _, value in ipairs(field.wrong) do refuses(value) end
      for term, values in pairs(field.terms or {}) do
        for _, value in ipairs(values) do
          local copy = {}
          for each, good in pairs(field[1]) do copy[each] = good end
          copy[term] = value or nil
          refuses(copy)
        end
      end
    end)
  end

  it("refuses what lacks a field that its kind or its state must have", function()
    for _, each in ipairs { { "pending", new, "v", "id", "kind", "state", "created", "due",
        "attempts", "cluster_id" }, { "pending", rotation, "due", "attempts", "options" },
      { "quarantined", new, "why", "at", "text" }, { "claimed", new, "runner" },
      { "sending", new, "runner", "first_intent", "last_intent" },
      { "failed-retrying", new, "next_try" }, { "done", new, "ended" },
      { "cancelled", new, "ended" } } do
      for i = 3, #each do
        local data = json.decode(row_of(in_state(each[1], each[2])).text)
        data[each[i]] = nil
        local e, why = entries.parse(assert(json.encode(data)))
        assert.same({ nil, "it has no " .. each[i] }, { e, why })
      end
    end
  end)

  it("says what the workflow has against a rotation", function()
    local function why_not(options)
      local e = rotation()
      e.options = options
      return select(2, entries.read(row_of(e)))
    end
    assert.matches("bad options: .*canary", why_not { clusters = { "c1" }, canary = -1 })
    assert.matches("bad options: .*surprise", why_not { clusters = { "c1" }, surprise = true })
    assert.matches("what is no id", why_not { clusters = { "a/b" } })
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
    assert.matches("it ended, and did not", refused(function(data) data.ended = NOW end))
    assert.matches("only what cannot be read is quarantined",
      refused(function(data, row) data.state, row.state = "quarantined", "quarantined" end))
    local row = row_of(in_state "quarantined")
    row.text, row.state = row.text:gsub('"quarantined"', '"pending"'), "pending"
    assert.matches("only what cannot be read is quarantined", (select(2, entries.read(row))))
    local data = json.decode(row_of(rotation()).text)
    data.grant = { shared = true, holders = { ("0"):rep(16) } }
    assert.matches("only a revocation can end a grant",
      (select(2, entries.parse(assert(json.encode(data))))))
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
    local e2 = entries.extended(e, e.due)
    e2.options = { clusters = { "c1" }, except = "2026-01-02" }
    assert.equal(NOW + 86400 - 3 * 3600 - 4 * 60 - 5, entries.opens(e2, NOW))
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

  it("names few clusters, and counts many", function()
    for expected, clusters in pairs { ["cluster c1"] = { "c1" },
      ["clusters prod (c1), c2, c3"] = { "c1", "c2", "c3" },
      ["4 clusters"] = { "c1", "c2", "c3", "c4" }, ["all clusters"] = { name = "*" },
      ["clusters named a?"] = { name = "a\27" } } do
      local e = { kind = "rotate", options = { clusters = clusters } }
      e.names = #clusters == 3 and { c1 = "prod" } or nil
      assert.equal(expected, entries.subject(e))
    end
  end)

  it("says whose certificates it cuts, by name where one is known", function()
    local names = { a1 = "auditors", c1 = "prod" }
    assert.equal("agency auditors (a1) in cluster prod (c1)", entries.subject { kind = "revoke",
      agency_id = "a1", cluster_id = "c1", names = names })
    assert.equal("user u1 in cluster prod (c1)", entries.subject { kind = "revoke",
      user_id = "u1", cluster_id = "c1", names = names })
    assert.equal("an entry that cannot be read", entries.subject { kind = "unknown" })
  end)

  it("ignores fields that it does not know", function()
    local row = row_of(new())
    row.text = row.text:sub(1, -2) .. ',"surprise":{"\\u001b":1}}'
    assert.is_nil(assert(entries.read(row)).surprise)
  end)
end)

describe("a grant in cce.schedule.entry", function()
  local ME, YOU = ("0"):rep(16), ("1"):rep(16)

  local function grant(more)
    local fields = { shared = true, holders = { ME } }
    for name, value in pairs(more or {}) do fields[name] = value end
    return new { grant = fields }
  end

  it("is one for each principal in a cluster, until it is over", function()
    local function unique_of(e) return select(2, entries.write(e)).unique end
    assert.equal("grant/c1/user/u1", unique_of(grant()))
    assert.equal("grant/c1/agency/a1", unique_of(assert(entries.new({ kind = "revoke",
      due = NOW, cluster_id = "c1", agency_id = "a1",
      grant = { shared = true, holders = { ME } } }, NOW))))
    assert.is_nil(unique_of(entries.cancelled(grant(), NOW)))
    assert.is_nil(unique_of(new()))
  end)

  it("is joined while it is shared, and was never tried", function()
    local e = grant()
    local joined = assert(entries.joined(e, NOW + 500, YOU))
    assert.same({ NOW + 500, { shared = true, holders = { ME, YOU } } },
      { joined.due, joined.grant })
    assert.same({ ME }, e.grant.holders)
    -- The later of the two times.
    assert.equal(e.due, entries.joined(e, NOW, YOU).due)
    local function refused(why, one)
      assert.same({ nil, why }, { entries.joined(one, NOW, YOU) })
    end
    refused("it is not shared", grant { shared = false })
    local full = {}
    for i = 1, 1000 do full[i] = ME end
    refused("too many share it", grant { holders = full })
    local tried = grant()
    tried.first_intent = NOW
    refused("its revocation was tried already", tried)
    refused("it is claimed, and cannot be joined", entries.claimed(grant(), "r1"))
  end)

  it("is left by all but the last", function()
    local e = grant { holders = { ME, YOU } }
    local left = assert(entries.left(e, ME))
    assert.same({ e.due, "pending", { shared = true, holders = { YOU } } },
      { left.due, left.state, left.grant })
    assert.same({ ME, YOU }, e.grant.holders)
    assert.same({ nil, "nobody else holds it" }, { entries.left(left, YOU) })
    assert.same({ nil, "it is claimed, and cannot be left" },
      { entries.left(entries.claimed(e, "r1"), ME) })
  end)
end)

describe("cce.schedule.entry.new", function()
  it("refuses what is wrong or too large", function()
    assert.same({ nil, "it has no due" }, { entries.new({ kind = "revoke" }, NOW) })
    local names = {}
    for i = 1, 1200 do names["c" .. i] = ("n"):rep(250) end
    assert.same({ nil, "it is too large" }, { entries.new({ kind = "revoke", due = NOW,
      cluster_id = "c1", user_id = "u1", names = names }, NOW) })
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

  it("keeps nothing of what is no text, and can be read", function()
    local id = entries.new_id(NOW)
    local text = entries.quarantine({ id = id, text = 5 }, "why", NOW)
    local e = assert(entries.read { id = id, text = text, state = "quarantined" })
    assert.same({ "why", "" }, { e.why, e.text })
    assert.matches("an entry that cannot be read: why$", tostring(e))
  end)

  it("is done for any row", function()
    for _, row in ipairs { { id = "x" }, { id = "\27", text = 5 }, { id = "x", text = {} } } do
      local text = entries.quarantine(row, "why", NOW)
      assert.is_table(json.decode(text))
      local e = entries.describe { id = row.id, text = text, state = "quarantined" }
      assert.equal("quarantined", e.state)
      assert.is_nil(tostring(e):find "%c")
    end
    assert.equal("pending", entries.describe(row_of(new())).state)
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
    -- Milliseconds, which a double has only nearly.
    assert.is_true(entries.new_id(1.001):sub(1, 9) > entries.new_id(1):sub(1, 9))
  end)
end)

describe("cce.schedule.entry.clean", function()
  it("leaves no control character, and cuts between characters", function()
    assert.equal("a?b?c", entries.clean("a\27b\194\155c", 100))
    assert.equal("\195\164", entries.clean("\195\164", 2))
    assert.equal("…", entries.clean("\195\164x", 2))
    assert.equal("5", entries.clean(5, 10))
    assert.equal("what cannot be shown", entries.clean(setmetatable({}, {
      __tostring = function() error "no" end }), 100))
    assert.equal("x…", entries.clean("x\228\184\173y", 3))
  end)
end)
