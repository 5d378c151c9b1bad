-- To whom a grant is given, and what becomes of a certificate that is not what was promised, one
-- term wrong at a time: on a file, with a client and a revocation that do as told.
local autopilot = require "cce.api.autopilot"
local clouds = require "cce.api.cloud"
local entries = require "cce.schedule.entry"
local errors = require "cce.error"
local grant = require "cce.schedule.grant"
local identity = require "cce.api.identity"
local project = require "cce.api.project"
local runner = require "cce.schedule.runner"
local runners = require "spec.support.runners"
local tempdir = require "spec.support.tempdir"

describe("a grant", function()
  local schedule, dir, saved, client, facts, problem, caller, revoked, no_revocation

  local function replace(module, name, with)
    saved[#saved + 1] = { module, name, module[name] }
    module[name] = with
  end

  before_each(function()
    schedule, dir = runners.sqlite { clock = function() return 1000 end }
    saved, revoked, caller, no_revocation, problem = {}, {}, nil, nil, nil
    facts = { user_id = "u1", key_matches = true }
    client = { config = { project_id = "p1", region = "r" }, asked = {} }
    function client.now() return 1000 end
    function client.obtain_cert(_, id, opts)
      client.asked[#client.asked + 1] = { id, opts }
      if problem then return nil, problem.message, problem end
      return { certificate = function() return facts, not facts and "damaged" or nil end }
    end
    replace(identity, "of", function()
      if caller then return caller end
      return nil, "no STS", errors.new("TIMEOUT", "no STS", {})
    end)
    replace(autopilot, "allows", function() return true end)
    replace(runner, "run_one", function(_, e)
      revoked[#revoked + 1] = e
      if no_revocation then
        return nil, no_revocation, errors.new("TIMEOUT", no_revocation, { retryable = true,
          maybe_applied = true, request_id = "r" })
      end
      return true
    end)
  end)

  after_each(function()
    for i = #saved, 1, -1 do saved[i][1][saved[i][2]] = saved[i][3] end
    schedule:close()
    tempdir.remove(dir)
  end)

  local function make(more)
    local opts = { cluster_id = "c1", seconds = 900, grantee = true }
    for name, value in pairs(more or {}) do opts[name] = value end
    return grant(client, schedule, opts)
  end

  local function entries_of(status) return assert(schedule:list { status = status }) end

  it("is for whom the client is; what is said counts only where nothing can tell", function()
    local user, agency = { kind = "user", id = "u1" }, { kind = "agency", id = "u1" }
    local SELF, NOT, BOTH = "identity of the client itself%s, and cut", "and not", "are given"
    for _, case in ipairs {
      -- Who it is, what is said; the principal, or why there is no grant.
      { user, {}, user }, { user, { grantee = false, allow_self = true }, user },
      { agency, { grantee = false }, agency },
      { user, { grantee = false }, SELF:format ", user u1" },
      { nil, { grantee = false, user_id = "u1" }, SELF:format "" },
      { nil, { user_id = "u1" }, user },
      { nil, { agency_id = "u1" }, agency }, { nil, {}, "who the client is must be known" },
      { user, { user_id = "u1" }, user }, { agency, { agency_id = "u1" }, agency },
      { user, { user_id = "u2" }, NOT }, { user, { agency_id = "u1" }, NOT },
      { agency, { user_id = "u1" }, NOT }, { user, { user_id = "u1", agency_id = "u1" }, BOTH },
    } do
      caller = case[1]
      local made, message = make(case[2])
      if type(case[3]) == "string" then
        assert.is_nil(made)
        assert.matches(case[3], message, 1, true)
        assert.same({ 0, 0 }, { #entries_of "pending", #client.asked })
      else
        assert.same(case[3], assert(made, message).principal)
        assert(schedule:cancel(made.id))
        client.asked = {}
      end
    end
  end)

  it("is not made where it could not be ended", function()
    caller = { kind = "user", id = "u1" }
    local function refusal() return nil, "no", errors.new("TIMEOUT", "no", {}) end
    for _, each in ipairs { { clouds, "allows", "grant: no" }, { project, "id_of", "no" },
      { autopilot, "allows", "grant: no" } } do
      local module, name, expected = each[1], each[2], each[3]
      replace(module, name, refusal)
      local made, message, err = make()
      local last = table.remove(saved)
      module[name] = last[3]
      assert.same({ nil, expected, expected, "TIMEOUT" }, { made, message, err.message, err.code })
    end
    assert.same({ 0, 0 }, { #entries_of(), #client.asked })
  end)

  it("asks for an end that the API takes, and for whole days", function()
    caller = { kind = "user", id = "u1" }
    for seconds, expected in pairs { [900] = { expire_at = 1960, duration = 1 },
      [3 * 86400] = { expire_at = 1000 + 3 * 86400, duration = 3 } } do
      local made = assert(make { seconds = seconds })
      assert.same({ "c1", expected }, client.asked[#client.asked])
      assert.equal(1000 + seconds, made.expires_at)
      -- By these the runner chooses its client.
      local e = schedule:get(made.id)
      assert.same({ "r", "p1", "c1" }, { e.region, e.project_id, e.cluster_id })
      assert(schedule:cancel(made.id))
    end
  end)

  it("of which nothing was obtained is as if it had not been, unless it may have been", function()
    caller = { kind = "user", id = "u1" }
    for is_maybe, state in pairs { [true] = "pending", [false] = "cancelled" } do
      problem = errors.new("TIMEOUT", "away", { maybe_applied = is_maybe })
      local none, message = make()
      assert.same({ nil, "away" }, { none, message })
      local list = entries_of(state)
      assert.equal(1, #list)
      if is_maybe then assert(schedule:cancel(list[1].id)) end
    end
    assert.equal(0, #revoked)
  end)

  it("cuts the certificate of a stranger by an entry of its own", function()
    caller = { kind = "user", id = "u1" }
    facts.user_id = "u9"
    local none, message, err = make()
    assert.same({ nil, "INVALID_CERTIFICATE" }, { none, err.code })
    assert.matches("the certificate is of u9, and not of user u1; it was revoked", message, 1, true)
    assert.same({ "u9", "c1", "p1", "r" }, { revoked[1].user_id, revoked[1].cluster_id,
      revoked[1].project_id, revoked[1].region })
    assert.equal("u1", entries_of("cancelled")[1].user_id)
    -- Of a kind that is known since.
    for who, kind in pairs { [{ kind = "agency", id = "u9" }] = "agency_id",
      [{ kind = "agency", id = "u8" }] = "user_id", [false] = "user_id" } do
      local asked = 0
      identity.of = function()
        asked = asked + 1
        if asked == 1 then return { kind = "user", id = "u1" } end
        return who or nil
      end
      revoked = {}
      assert.is_nil((make()))
      assert.equal("u9", revoked[1][kind])
    end
    function identity.of() return caller end
    no_revocation = "no answer"
    assert.matches("REVOKE IT: .*no answer", (select(2, make())))
    -- Without an entry nobody would go on with it.
    local add, tries = schedule.add, 0
    function schedule.add(...)
      tries = tries + 1
      if tries == 1 then return add(...) end
      return errors.fail("STORE_UNAVAILABLE", "no store", {})
    end
    revoked = {}
    assert.matches("REVOKE IT: no store", (select(2, make())))
    assert.equal(0, #revoked)
  end)

  it("is ended where what was obtained cannot be used", function()
    caller = { kind = "user", id = "u1" }
    for what, given in pairs { ["damaged"] = false,
      ["its key does not match its certificate"] = { user_id = "u1", key_matches = false },
      ["its key does not match its certificate "] = { user_id = "u9", key_matches = false },
      ["its certificate names nobody"] = { key_matches = true } } do
      facts, revoked = given or nil, {}
      local none, message, err = make()
      assert.same({ nil, "INVALID_CERTIFICATE" }, { none, err.code })
      assert.matches("cannot be used: " .. what:gsub(" $", "") .. "; it was revoked", message, 1,
        true)
      assert.same({ "u1", 1 }, { revoked[1].user_id, #revoked })
      assert(schedule:cancel(revoked[1].id))
    end
    -- Others hold it: it is not cut under their feet.
    facts = { user_id = "u1", key_matches = true }
    assert(make { shared = true })
    facts, revoked = { key_matches = true }, {}
    assert.matches("it ends with those that share it", (select(2, make { shared = true })))
    assert.equal(0, #revoked)
    no_revocation = "no answer"
    assert(schedule:cancel(entries_of("pending")[1].id))
    assert.matches("the revocation is not done yet.*no answer", (select(2, make())))
  end)

  local function failing(is_maybe)
    return errors.new("TIMEOUT", "away", { maybe_applied = is_maybe })
  end

  it("is extended on disk first, and shortened again where nothing was obtained", function()
    caller = { kind = "user", id = "u1" }
    local one = assert(make())
    assert.is_true(one:extend(1000))
    assert.same({ 2900, 2900 }, { schedule:get(one.id).due, one.expires_at })
    for is_maybe, due in pairs { [true] = 3900, [false] = 2900 } do
      assert(schedule:alter(one.id, function(e) return entries.extended(e, 2900) end))
      problem = failing(is_maybe)
      assert.is_nil((one:extend(1000)))
      assert.equal(due, schedule:get(one.id).due)
    end
    problem = nil
    assert.equal("INVALID_ARGUMENT", (select(3, one:extend(899))).code)
    assert(schedule:alter(one.id, function(e)
      local new = entries.extended(e, 2900)
      new.first_intent, new.last_intent = 1, 1
      return new
    end))
    assert.matches("was tried already", (select(2, one:extend(900))))
    assert.is_true(one:finish())
    assert.matches("it is finished", (select(2, one:extend(900))))
  end)

  it("ends no later for one more who got nothing, unless others rely on it since", function()
    caller = { kind = "user", id = "u1" }
    local one = assert(make { shared = true })
    problem = failing(false)
    assert.is_nil((make { shared = true, seconds = 90000 }))
    local e = schedule:get(one.id)
    assert.same({ 1900, 1 }, { e.due, #e.grant.holders })
    function client.obtain_cert()
      assert(schedule:alter(one.id, function(found)
        return entries.joined(found, 2000, entries.new_id(1000))
      end))
      return nil, problem.message, problem
    end
    assert.is_nil((make { shared = true, seconds = 90000 }))
    e = schedule:get(one.id)
    assert.same({ 91000, 2 }, { e.due, #e.grant.holders })
  end)

  it("is not held longer, nor by one more, once its end has come", function()
    caller = { kind = "user", id = "u1" }
    local one = assert(make { shared = true })
    assert(schedule:hasten(one.id))
    for _, act in ipairs { function() return one:extend(900) end,
      function() return make { shared = true } end } do
      local made, message, err = act()
      assert.same({ nil, "CONFLICT" }, { made, err.code })
      assert.matches("its end has come", message, 1, true)
    end
    assert.equal(1000, schedule:get(one.id).due)
    assert.equal(1, #client.asked)
    -- Nor is what cannot be read.
    local e = schedule:get(one.id)
    assert(schedule.store:update(e.id, e.revision, "damaged", { state = "pending" }))
    assert.matches("it is quarantined", (select(2, one:extend(900))))
  end)

  it("is ended by its state: once, and not where another does", function()
    caller = { kind = "user", id = "u1" }
    local one = assert(make())
    local function become(change, ...)
      local more = { ... }
      assert(schedule:alter(one.id, function(e) return entries[change](e, more[1], more[2]) end))
    end
    become("claimed", "r1")
    assert.matches("is claimed by runner r1", (select(2, one:finish())))
    become("sending", 1000)
    assert.matches("is being sent by runner r1", (select(2, one:finish())))
    become("done", 1000)
    assert.same({ true, true }, { one:finish() })
    assert.is_true(one.is_finished)
    one = assert(make())
    become("cancelled", 1000)
    assert.matches("was cancelled", (select(2, one:finish())))
    assert.is_nil(one.is_finished)
    assert.equal(0, #revoked)
  end)

  it("that cannot be ended at once is due at once", function()
    caller = { kind = "user", id = "u1" }
    local one = assert(make())
    no_revocation = "no answer"
    local none, _, err = one:finish()
    assert.same({ nil, "TIMEOUT", 1000, 1 },
      { none, err.code, schedule:get(one.id).due, #revoked })
    assert.same({ true, true, "r" }, { err.retryable, err.maybe_applied, err.request_id })
    assert.is_nil(one.is_finished)
    -- A change by another is looked at anew; a conflict of the API is not.
    for operation, count in pairs { [false] = 2, revoke_cert = 1 } do
      local tries = 0
      runner.run_one = function()
        tries = tries + 1
        if tries == 2 then return true end
        return nil, "m", errors.new("CONFLICT", "m", { operation = operation or nil })
      end
      assert.equal(operation == false or nil, (one:finish()))
      assert.equal(count, tries)
    end
  end)

  it("is due at once where the API refuses to end it", function()
    caller = { kind = "user", id = "u1" }
    local one = assert(make())
    function runner.run_one() return nil, "m", errors.new("CONFLICT", "m", { operation = "x" }) end
    assert.matches("stands in the schedule as entry " .. one.id, (select(2, one:finish())))
    assert.equal(1000, schedule:get(one.id).due)
  end)

  it("is not ended where its schedule is away, which is asked once", function()
    caller = { kind = "user", id = "u1" }
    local one, tries = assert(make { shared = true }), 0
    assert(make { shared = true })
    for _, name in ipairs { "get", "change" } do
      schedule[name] = function()
        tries = tries + 1
        return errors.fail("STORE_UNAVAILABLE", "no store", {})
      end
      assert.equal("no store", (select(2, one:finish())))
      schedule[name] = nil
    end
    assert.same({ 2, nil }, { tries, one.is_finished })
    assert.same({ true, false }, { one:finish() })
  end)

  it("is made anew where the one that lived has ended, or been forgotten, just now", function()
    caller = { kind = "user", id = "u1" }
    local add = schedule.add
    for _, act in ipairs { "stay", "end", "be forgotten" } do
      local one, tries = assert(make()), 0
      function schedule.add(...)
        tries = tries + 1
        local e, message, err = add(...)
        if tries == 1 and act ~= "stay" then assert(schedule:cancel(one.id)) end
        if act == "be forgotten" then assert(schedule.store:prune(2000, 10)) end
        return e, message, err
      end
      local two, _, err = make()
      schedule.add = nil
      if act == "stay" then
        assert.same({ "CONFLICT", 1 }, { err.code, tries })
      else
        assert.not_equal(one.id, assert(two).id)
      end
      assert(schedule:cancel((two or one).id))
    end
  end)

  it("is no part of what is no grant", function()
    caller = { kind = "user", id = "u1" }
    local id = assert(schedule:revoke_at(2000, { cluster_id = "c1", user_id = "u1" }))
    function schedule.add() return errors.fail("CONFLICT", "taken", { holder = id }) end
    assert.matches("entry " .. id .. " is no grant", (select(2, make { shared = true })))
  end)

  it("that cannot be ended at once is left to who has joined it meanwhile", function()
    caller = { kind = "user", id = "u1" }
    local one = assert(make { shared = true })
    function runner.run_one()
      assert(make { shared = true, seconds = 1900 })
      return nil, "m", errors.new("TIMEOUT", "m", {})
    end
    assert.is_nil((one:finish()))
    assert.equal(2900, schedule:get(one.id).due)
  end)

  it("of which nothing was obtained leaves what others obtained to its end", function()
    caller = { kind = "user", id = "u1" }
    local obtain = client.obtain_cert
    -- Who shares it comes, or goes, while it is asked for.
    local function fail_after(act)
      function client.obtain_cert()
        client.obtain_cert = obtain
        act()
        return nil, "away", errors.new("TIMEOUT", "away", { maybe_applied = false })
      end
      assert.is_nil((make { shared = true }))
    end
    local other
    fail_after(function() other = assert(make { shared = true }) end)
    local e = schedule:get(other.id)
    assert.same({ "pending", { other.holder } }, { e.state, e.grant.holders })
    fail_after(function() assert.same({ true, false }, { other:finish() }) end)
    assert.same({ "pending", 0 }, { schedule:get(other.id).state, #revoked })
  end)

  it("is shared where both say so, and left alone where only the last has failed", function()
    caller = { kind = "user", id = "u1" }
    local one = assert(make { shared = true })
    assert.equal("CONFLICT", (select(3, make {})).code)
    local two = assert(make { shared = true, seconds = 1900 })
    assert.same({ one.id, 2900, 2900 }, { two.id, two.expires_at, schedule:get(one.id).due })
    problem = failing(false)
    assert.is_nil((make { shared = true }))
    assert.same({ "pending", 2 }, { schedule:get(one.id).state,
      #schedule:get(one.id).grant.holders })
    assert.same({ true, false }, { one:finish() })
    assert.same({ true, true }, { two:finish() })
    assert(schedule:cancel(one.id))
    problem = nil
    assert(make())
    assert.equal("CONFLICT", (select(3, make { shared = true })).code)
  end)
end)
