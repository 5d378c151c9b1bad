-- One principal on one cluster: what of a request and of a probe is a success, one term wrong at
-- a time. The API and the cluster answer as told.
local errors = require "cce.error"
local items = require "cce.workflow.revoke.item"
local pace = require "cce.workflow.pace"
local probe = require "cce.kubeconfig.probe"
local reports = require "cce.workflow.revoke.report"

local NOW = 1767323045

describe("an item of a revocation", function()
  local run, item, steps, lines, answer, before, after, saved
  local groups = { "g" }

  before_each(function()
    steps, lines, before, after = {}, {}, "works", "refused"
    answer = { true }
    saved = { look = probe.look, wait_until = probe.wait_until, take_turn = pace.take_turn }
    function pace.take_turn() steps[#steps + 1] = "turn" end
    local looks = 0
    function probe.look()
      looks = looks + 1
      local state = (looks == 1 and not item.accepted) and before or after
      steps[#steps + 1] = "look"
      return { state = state, text = "it is " .. state }
    end
    function probe.wait_until(_, _, wanted)
      steps[#steps + 1] = "wait for " .. wanted
      return { state = after, text = "it is " .. after }
    end
    local time = 0
    item = { id = "c1", name = "one", project_id = "p1", status = "Available", version = "v1.29",
      state = "pending", principal = { kind = "user", id = "u1", known = true },
      client = { monotonic = function()
        time = time + 1
        return time
      end }, paced = {} }
    function item.paced.revoke_cert(_, id, opts)
      steps[#steps + 1] = "sent"
      assert.equal("c1", id)
      item.asked = opts
      if item.on_sent then item.on_sent() end
      return answer[1], answer[2], answer[3]
    end
    run = { now = NOW, opts = {}, clock = function() return run.now end }
    function run.may_begin() return not run.stopped end
    function run:intend(line)
      steps[#steps + 1] = "intent"
      self.intent = line
    end
    function run:write(what, line)
      steps[#steps + 1] = what
      lines[#lines + 1] = line
    end
  end)

  after_each(function()
    probe.look, probe.wait_until, pace.take_turn = saved.look, saved.wait_until, saved.take_turn
  end)

  local function kubeconfig(more)
    local facts = { user_id = "u1", not_after = NOW + 100, organizations = groups }
    for name, value in pairs(more or {}) do facts[name] = value end
    return { certificate = function() return facts end }
  end

  local function with_kubeconfig(config)
    run.kubeconfig_for = function() return config end
  end

  local function refuse(code, more, message)
    answer = { nil, message or "no", errors.new(code, message or "no", more or {}) }
  end

  local function process()
    items.process(run, item)
    return { item.state, item.verified, item.err and item.err.code }
  end

  local function order() return table.concat(steps, ", ") end

  describe("may be begun", function()
    local function may(more, cluster, err)
      for name, value in pairs(more) do item[name] = value or nil end
      function item.client.show_cluster() return cluster, "m", err and errors.new(err, "m", {}) end
      local ok = items.may_begin(item)
      return { ok, item.state, item.err and item.err.code }
    end

    it("where the cluster is Available and not too old, or that is not known", function()
      assert.same({ true, "pending" }, may {})
      assert.same({ true, "pending" }, may { version = false })
      assert.same({ true, "pending" }, may({ status = false }, { name = "n", version = "v1.29",
        status = "Available" }))
      assert.same({ "n", "v1.29", "Available" }, { item.name, item.version, item.status })
      assert.same({ true, "pending" }, may({ status = false }, nil, "PERMISSION_DENIED"))
    end)

    it("and not elsewhere", function()
      for _, case in ipairs {
        { { status = "Hibernating" }, { false, "pending", "CONFLICT" } },
        { { version = "v1.13.1" }, { false, "failed", "UNSUPPORTED" } },
        { { cluster = { autopilot = true } }, { false, "failed", "UNSUPPORTED" } },
        { { status = false }, { false, "failed", "NOT_FOUND" }, "NOT_FOUND" },
        { { status = false }, { false, "pending", "TIMEOUT" }, "TIMEOUT" },
      } do
        item.status, item.version, item.cluster, item.err = "Available", "v1.29", nil, nil
        assert.same(case[2], may(case[1], nil, case[3]))
        if not case[3] then
          assert.same({ false, false }, { item.err.retryable, item.err.maybe_applied })
        end
      end
      item.status, item.version, item.err = nil, nil, nil
      assert.same({ false, "pending", "CONFLICT" }, may({}, { status = "Upgrading" }))
      assert.same({ status = "Upgrading" }, item.cluster)
    end)

    it("is written when it may not", function()
      item.status = "Hibernating"
      assert.same({ "pending", nil, "CONFLICT" }, process())
      assert.equal("pending", order())
      assert.equal("CONFLICT", lines[1].code)
    end)
  end)

  it("is verified with the principal's own kubeconfig", function()
    local function own(config, why)
      run.kubeconfig_for = function() return config, why end
      return { items.own_kubeconfig(run, item) }
    end
    local config = kubeconfig()
    assert.same({ config, NOW + 100 }, own(config))
    assert.same({ g = true }, item.principal.groups)
    assert.same({ nil, "there is no kubeconfig for this cluster" }, own())
    assert.same({ nil, "why" }, own(nil, "why"))
    assert.same({ nil, "the kubeconfig is that of u2" }, own(kubeconfig { user_id = "u2" }))
    assert.same({ nil, "bad" }, own { certificate = function() return nil, "bad" end })
  end)

  it("is looked at, waits for its turn, and leaves with its intent on disk", function()
    with_kubeconfig(kubeconfig())
    assert.same({ "ok", "yes" }, process())
    assert.equal("look, turn, intent, sent, wait for refused, ok", order())
    assert.same({ cluster = "c1", principal = "u1", kind = "user", name = "one", project = "p1",
      first = NOW }, run.intent)
    assert.same({ user_id = "u1" }, item.asked)
    assert.matches("the certificate is refused", lines[1].message)
    assert.same({ true, "yes", NOW + 100, 1 }, { lines[1].accepted, lines[1].verified,
      lines[1].worked_until, lines[1].seconds })
    assert.is_nil(lines[1].code)
    assert.is_nil(item.is_unknown)
  end)

  it("is of an agency where that is meant", function()
    item.principal.kind = "agency"
    process()
    assert.same({ agency_id = "u1" }, item.asked)
  end)

  it("is not sent once the run is stopped", function()
    run.stopped = true
    item.err, item.message = errors.new("TIMEOUT", "old", {}), "old"
    assert.same({ "pending" }, process())
    assert.is_nil(item.message)
    assert.equal("turn", order())
  end)

  it("is uncertain while its request is on the way", function()
    item.on_sent = function() assert.equal("uncertain", item.state) end
    assert.same({ "ok" }, process())
  end)

  it("tells when a request that was meant long ago may have cut newer ones", function()
    for _, case in ipairs { { NOW - 601, nil, true }, { NOW - 600, nil, nil },
      { nil, NOW - 601, true }, { NOW, NOW - 601, nil }, { nil, nil, nil } } do
      item.state, item.accepted, item.may_have_cut_newer = "pending", nil, nil
      item.first_intent, run.opts.first_intent = case[1], case[2]
      process()
      assert.equal(case[3], item.may_have_cut_newer)
      assert.equal(case[1] or case[2] or NOW, run.intent.first)
    end
  end)

  it("goes by the answer where no cluster can be asked", function()
    for _, case in ipairs {
      { "CONFLICT", {}, "pending", "CONFLICT" }, { "BAD_REQUEST", {}, "failed", "BAD_REQUEST" },
      { "TIMEOUT", { maybe_applied = true }, "uncertain", "TIMEOUT" },
      { "BAD_REQUEST", { request_id = "r" }, "failed", "UNSUPPORTED",
        "it does not support this version" },
      { "CONFLICT", {}, "pending", "CONFLICT", "it does not support this version" },
    } do
      item.state, item.accepted = "pending", nil
      refuse(case[1], case[2], case[5])
      assert.same({ case[3], nil, case[4] }, process())
      assert.equal(case[4], lines[#lines].code)
      assert.equal(case[2].request_id, item.err.request_id)
      assert.equal(case[4] == "UNSUPPORTED" and case[5] or "user u1: " .. (case[5] or "no"),
        item.message)
    end
    -- And is not made less certain by who is known.
    refuse("TIMEOUT", { maybe_applied = true })
    item.state, item.accepted, item.principal.known = "pending", nil, false
    assert.same({ "uncertain", nil, "TIMEOUT" }, process())
    assert.is_nil(item.is_unknown)
  end)

  it("goes by what the cluster shows, whatever was answered", function()
    local EXPIRED = { not_after = NOW }
    for _, case in ipairs {
      -- Before and after the request, and what becomes of it.
      { "works", "refused", "ok", "yes" },
      { "works", "works", "failed", "no", "NOT_REVOKED" },
      { "works", "unclear", "uncertain", "no answer", "UNVERIFIED" },
      { "unclear", "refused", "uncertain", "no answer", "UNVERIFIED" },
      { "unclear", "works", "failed", "no", "NOT_REVOKED" },
      { "works", "refused", "uncertain", "no answer", "UNVERIFIED", EXPIRED },
      { "works", "works", "failed", "no", "NOT_REVOKED", EXPIRED },
    } do
      for _, is_lost in ipairs { false, true } do
        answer = { true }
        if is_lost then refuse("TIMEOUT", { maybe_applied = true, request_id = "r" }) end
        item.state, item.accepted, item.unanswered, item.probed = "pending", nil, nil, nil
        before, after = case[1], case[2]
        local looked, looks = probe.look, 0
        function probe.look()
          looks = looks + 1
          local state = looks == 1 and before or after
          return { state = state, text = state }
        end
        with_kubeconfig(kubeconfig(case[6]))
        assert.same({ case[3], case[4], case[5] }, process())
        if case[5] == "UNVERIFIED" then
          assert.matches(is_lost and "^no, unverified" or "^the revocation was accepted",
            item.message)
          assert.equal(is_lost and "r" or nil, item.err.request_id)
          local why = case[6] and "the certificate has expired meanwhile"
            or before == "unclear" and "before the request there was no answer: unclear"
            or "it is unclear"
          assert.equal("unverified: " .. why, item.message:match "unverified: .*")
        end
        if case[5] then
          assert.same({ true, true }, { item.err.retryable, item.err.maybe_applied })
        end
        probe.look = looked
      end
    end
    -- Nothing is waited for where there was no answer before.
    item.state, item.accepted, item.unanswered, item.probed = "pending", nil, nil, nil
    before, answer, steps = "unclear", { true }, {}
    local looks, looked = 0, probe.look
    function probe.look()
      looks = looks + 1
      return { state = "unclear", text = "t" }
    end
    process()
    probe.look = looked
    assert.same({ 2, "turn, intent, sent, uncertain" }, { looks, order() })
    -- What surely was not accepted is not asked about.
    refuse "CONFLICT"
    item.state, item.accepted, item.unanswered, steps = "pending", nil, nil, {}
    with_kubeconfig(kubeconfig())
    before = "works"
    assert.equal("pending", process()[1])
    assert.not_matches("wait for", order())
  end)

  it("is not verified by what did not work before", function()
    before = "refused"
    with_kubeconfig(kubeconfig())
    assert.same({ "ok", "no kubeconfig" }, process())
    assert.matches("not verified: the kubeconfig did not work before", item.message)
    item.state, item.accepted = "pending", nil
    with_kubeconfig(nil)
    assert.same({ "ok", "no kubeconfig" }, process())
    assert.matches("not verified: there is no kubeconfig", item.message)
    item.state, item.accepted, item.no_kubeconfig, item.verified = "pending", nil, nil, nil
    run.kubeconfig_for = nil
    assert.same({ "ok" }, process())
    assert.equal("user u1: revoked", item.message)
  end)

  it("is no success where nobody is known by the id, unless the cluster showed it", function()
    for _, case in ipairs { { nil, nil, "ok", true }, { false, nil, "uncertain", true },
      { false, true, "ok", nil }, { true, nil, "ok", nil } } do
      item.state, item.accepted, item.is_unknown, item.err = "pending", nil, nil, nil
      item.principal.known, run.opts.unknown_ok = case[1], case[2]
      process()
      assert.same({ case[3], case[4] }, { item.state, item.is_unknown })
    end
    item.state, item.accepted, item.principal.known, item.is_unknown = "pending", nil, nil, nil
    process()
    assert.matches("was not checked", item.message)
    item.state, item.accepted, item.principal.known, item.is_unknown = "pending", nil, false, nil
    run.opts.unknown_ok = nil
    with_kubeconfig(kubeconfig())
    assert.same({ "ok", "yes" }, process())
    assert.is_nil(item.is_unknown)
  end)

  it("that was accepted is not sent again, and only shown", function()
    item.accepted, item.state, item.worked_until = true, "accepted", NOW + 100
    with_kubeconfig(kubeconfig())
    assert.same({ "ok", "yes" }, process())
    assert.equal("wait for refused, ok", order())
    -- An earlier start had no answer, or did not ask.
    for state, case in pairs { refused = { "ok", "no kubeconfig", nil, "look, ok",
        "not verified: whether the kubeconfig worked before is not known: it is refused" },
      works = { "failed", "no", "NOT_REVOKED", "look, wait for refused, failed", "still works" },
      unclear = { "uncertain", "no answer", "UNVERIFIED", "look, look, uncertain",
        "unverified: there was no answer: it is unclear" } } do
      item.state, item.accepted, item.worked_until, steps = "accepted", true, nil, {}
      item.probed, item.unanswered, item.no_kubeconfig, after = nil, nil, nil, state
      assert.same({ case[1], case[2], case[3] }, process(), state)
      assert.equal(case[4], order())
      assert.matches(case[5], item.message, 1, true)
    end
    item.probed, item.unanswered, after = nil, nil, "refused"
    with_kubeconfig(nil)
    item.state, item.worked_until = "accepted", NOW + 100
    assert.same({ "ok", "no kubeconfig" }, process())
    assert.matches("there is no kubeconfig", item.message)
    run.kubeconfig_for, item.state, item.no_kubeconfig = nil, "accepted", nil
    assert.equal("ok", process()[1])
  end)

  it("owes its rights while they are to be taken", function()
    run.opts.remove = true
    process()
    assert.same({ true, items.OWED, true }, { item.owed, item.shortfall, lines[1].owed })
    -- Also where the run was stopped while it waited for its turn.
    item.state, item.accepted, run.stopped = "pending", nil, true
    process()
    assert.equal(items.OWED, reports.entry(run, item).message)
    item.state, run.stopped = "pending", nil
    item.owed, item.shortfall, item.rights, item.removed = nil, nil, "removed", "x"
    process()
    assert.is_nil(item.owed)
    assert.same({ "removed", "x" }, { lines[2].rights, lines[2].removed })
    item.rights, run.opts.remove = nil, nil
    process()
    assert.is_nil(item.owed)
  end)

  it("is reported with what its rights have to say, unless it is ok", function()
    for _, case in ipairs {
      { { state = "pending", message = "m", shortfall = "s", removed = "x" }, "m; s" },
      { { state = "failed", message = "m", removed = "x" }, "m; taken out of x" },
      { { state = "pending", shortfall = "s" }, "s" }, { { state = "failed", message = "m" }, "m" },
      { { state = "ok", message = "m", shortfall = "s", removed = "x" }, "m" },
    } do
      case[1].principal = item.principal
      assert.equal(case[2], reports.entry(run, case[1]).message)
    end
  end)

  it("is ok once its principal is known after all", function()
    item.principal.known = false
    assert.equal("uncertain", process()[1])
    steps = {}
    items.is_known_now(run, item)
    assert.same({ "ok", "ok" }, { item.state, order() })
    assert.is_nil(item.err)
    items.is_known_now(run, item)
    assert.equal("ok", order())
  end)
end)
