local cce = require "cce"
local clients = require "spec.support.clients"
local core = require "cce.core"
local entries = require "cce.schedule.entry"
local etcd = require "spec.support.peer.etcd"
local hosts = require "spec.support.hosts"
local kubeconfigs = require "cce.kubeconfig"
local runners = require "cce.schedule.runner"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

describe("cce.workflow.grant", function()
  local sim, dir, schedule, client, cluster_id, ahead
  local member = simulator.member.principal.id
  local everywhere

  setup(function() sim = simulator.get() end)

  before_each(function()
    sim:reset()
    dir, ahead = tempdir.new(), 0
    schedule = assert(cce.schedule.open("sqlite:" .. dir .. "/schedule.db",
      { clock = function() return core.sys.time() + ahead end }))
    cluster_id = sim.clusters[1].id
    everywhere = { cce = sim.env.CCE_ENDPOINT, iam = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT,
      sts = sim.env.HUAWEICLOUD_SDK_STS_ENDPOINT }
    client = clients.new(sim, { key = simulator.member, endpoints = everywhere })
  end)

  after_each(function()
    client:close()
    schedule:close()
    tempdir.remove(dir)
  end)

  -- Nobody can say who this client is.
  local function unknown_client()
    return clients.new(sim, { key = simulator.member })
  end

  local function grant(more, by)
    local opts = { cluster_id = cluster_id, seconds = 3600, grantee = true }
    for name, value in pairs(more or {}) do opts[name] = value end
    return cce.workflow.grant(by or client, schedule, opts)
  end

  local function entries_of(status)
    return assert(schedule:list { status = status })
  end

  local function obtained() return #sim:log { operation = "obtain_cert", accepted = true } end

  local function is_revoked(id)
    return sim:state().clusters[1].revoked_users[id or member] ~= nil
  end

  it("is refused in a cluster of Autopilot, where nothing could end it", function()
    local err = clients.fails("UNSUPPORTED", grant { cluster_id = sim:state().autopilot[1].id })
    assert.matches("^grant: .*Autopilot, whose API has no call that revokes", err.message)
    assert.equal(0, #entries_of())
    assert.equal(0, obtained())
  end)

  it("is not made by Autopilot where a look at it had failed", function()
    sim:fault { operation = "show_autopilot_cluster", status = 500, times = 1 }
    clients.fails("NOT_FOUND", grant { cluster_id = sim:state().autopilot[1].id })
    assert.equal(0, #sim:log { operation = "obtain_autopilot_cert" })
  end)

  it("does not hand out the caller's own identity unless that is said", function()
    local err = clients.fails("INVALID_ARGUMENT", grant { grantee = false })
    assert.matches("the identity of the client itself, user " .. member, err.message, 1, true)
    clients.fails("INVALID_ARGUMENT", grant({ grantee = false, user_id = member },
      unknown_client()))
    assert.equal(0, #entries_of())
    assert.equal(0, obtained())
    assert(grant { grantee = false, allow_self = true })
  end)

  it("needs no word for credentials that assume an agency", function()
    local agency = clients.new(sim, { key = simulator.agency, endpoints = everywhere })
    local made = assert(grant({ grantee = false }, agency))
    assert.equal("agency", made.principal.kind)
    agency:close()
  end)

  it("hands out a certificate that the schedule ends", function()
    local obtain, seen = client.obtain_cert, nil
    function client.obtain_cert(self, id, opts)
      -- What another process would find at this moment.
      local other = assert(cce.schedule.open("sqlite:" .. dir .. "/schedule.db"))
      seen = { entry = other:list()[1], opts = opts }
      other:close()
      return obtain(self, id, opts)
    end
    local before = schedule.clock()
    local one = assert(grant { reason = "an incident" })
    assert.is_true(one.expires_at >= before + 3600 and one.expires_at <= schedule.clock() + 3600)
    assert.same({ one.id, "pending", one.expires_at, member, cluster_id, sim.project_id,
      "an incident" }, { seen.entry.id, seen.entry.state, seen.entry.due, seen.entry.user_id,
      seen.entry.cluster_id, seen.entry.project_id, seen.entry.reason })
    assert.same({ expire_at = math.ceil(one.expires_at), duration = 1 }, seen.opts)
    local facts = assert(one.kubeconfig:certificate())
    assert.equal(member, facts.user_id)
    assert.equal(math.ceil(one.expires_at), facts.not_after)
    assert.same({ kind = "user", id = member }, one.principal)
    assert.matches("^grant " .. one.id .. ": user .* in cluster .* until", tostring(one))
    -- Run before its time, the schedule does nothing; after it, it revokes.
    local function run()
      return assert(schedule:run(function() return client end, { once = true }))
    end
    assert.equal(0, run().done)
    assert.is_false(is_revoked())
    ahead = 3601
    assert.equal(1, run().done)
    assert.is_true(is_revoked())
  end)

  it("gives the certificate an end that the API takes, and whole days", function()
    local seen
    local obtain = client.obtain_cert
    function client.obtain_cert(self, id, opts)
      seen = opts
      return obtain(self, id, opts)
    end
    local one = assert(grant { seconds = 900 })
    assert.is_true(seen.expire_at >= one.expires_at and seen.expire_at <= one.expires_at + 62)
    assert(one:finish())
    assert(grant { seconds = 3 * 86400 + 1 })
    assert.equal(4, seen.duration)
  end)

  it("refuses what is not right before anything is done", function()
    clients.fails("INVALID_ARGUMENT", grant { seconds = 899 })
    clients.fails("INVALID_ARGUMENT", grant { seconds = 0 / 0 })
    clients.fails("INVALID_ARGUMENT", grant { user_id = "somebody-else" })
    clients.fails("INVALID_ARGUMENT", grant { agency_id = member })
    clients.fails("INVALID_ARGUMENT", grant { user_id = member, agency_id = "a" })
    clients.fails("INVALID_ARGUMENT", grant { cluster_id = "../x" })
    clients.fails("INVALID_ARGUMENT", grant { reason = "\27[2J" })
    clients.raises("'seconds' is missing", function()
      cce.workflow.grant(client, schedule, { cluster_id = cluster_id })
    end)
    clients.raises("'cluster_id' is missing", function()
      cce.workflow.grant(client, schedule, { seconds = 3600 })
    end)
    clients.raises("unknown option 'second'", function()
      cce.workflow.grant(client, schedule, { second = 1 })
    end)
    clients.raises("#2 to 'grant' %(cce.schedule expected", function()
      cce.workflow.grant(client, {}, {})
    end)
    clients.raises("one client expected", function()
      cce.workflow.grant({ client }, schedule, {})
    end)
    clients.raises("bad argument #1 to 'grant'", function()
      cce.workflow.grant(nil, schedule, {})
    end)
    local ended = clients.new(sim)
    ended:close()
    clients.raises("the client is closed", function() cce.workflow.grant(ended, schedule, {}) end)
    local closed = assert(cce.schedule.open("sqlite:" .. dir .. "/closed.db"))
    closed:close()
    clients.raises("the schedule is closed", function() cce.workflow.grant(client, closed, {}) end)
    assert.equal(0, #schedule:list())
    assert.equal(0, #sim:log { operation = "obtain_cert" })
  end)

  it("must know who the client is, by asking or by being told", function()
    local other = unknown_client()
    local err = clients.fails("UNSUPPORTED", grant(nil, clients.new(sim, {
      token = simulator.member.token })))
    assert.matches("who the client is must be known", err.message)
    assert.equal(0, #schedule:list())
    assert(grant({ user_id = member }, other)):finish()
    other:close()
  end)

  it("cuts the certificate of somebody else, and says so loudly", function()
    local other = unknown_client()
    local err = clients.fails("INVALID_CERTIFICATE", grant({ user_id = "wrong-id" }, other))
    assert.matches("is of " .. member .. ", and not of user wrong%-id; it was revoked", err.message)
    assert.is_true(is_revoked())
    local list = schedule:list()
    assert.same({ "cancelled", "wrong-id", "done", member },
      { list[1].state, list[1].user_id, list[2].state, list[2].user_id })
    -- When that cannot be done at once, it is durable and due.
    sim:fault { operation = "revoke_cert", status = 500 }
    err = clients.fails("INVALID_CERTIFICATE", grant({ user_id = "wrong-id" }, other))
    assert.matches("REVOKE IT: .*stands in the schedule as entry", err.message)
    local left = entries_of "overdue"
    assert.same({ member, 1 }, { left[1].user_id, #left })
    sim:clear_faults()
    ahead = 400
    assert.equal(1, schedule:run(function() return other end, { once = true }).done)
    other:close()
  end)

  it("cuts what cannot be used", function()
    local text = tempdir.read "spec/fixtures/kubeconfig_mismatch.json"
    function client.obtain_cert() return kubeconfigs.parse(text) end
    local err = clients.fails("INVALID_CERTIFICATE", grant())
    assert.matches("cannot be used: its key does not match.*it was revoked", err.message)
    assert.equal("done", schedule:list()[1].state)
    assert.is_true(is_revoked())
  end)

  it("takes its promise back when surely nothing was obtained, and only then", function()
    sim:fault { operation = "obtain_cert", status = 403, times = 1 }
    clients.fails("PERMISSION_DENIED", grant())
    assert.equal("cancelled", schedule:list()[1].state)
    for _, fault in ipairs { { status = 500 }, { reset = "after" }, { garbage = true } } do
      fault.operation = "obtain_cert"
      sim:fault(fault)
      local _, _, err = grant()
      assert.is_true(err.maybe_applied)
      sim:clear_faults()
      local list = entries_of "pending"
      assert.same({ member, 1 }, { list[1].user_id, #list })
      assert(schedule:cancel(list[1].id))
    end
  end)

  describe("a second one", function()
    it("is refused while the first lives", function()
      local first = assert(grant())
      local err = clients.fails("CONFLICT", grant())
      assert.matches("has a live grant in cluster .*entry " .. first.id, err.message)
      clients.fails("CONFLICT", grant { shared = true })
      assert.equal(1, obtained())
      assert(grant { cluster_id = sim.clusters[2].id })
      assert(first:finish())
      local second = assert(grant())
      assert.not_equal(first.id, second.id)
    end)

    it("may share it, and they end at the later time", function()
      local first = assert(grant { shared = true })
      clients.fails("CONFLICT", grant())
      local second = assert(grant { shared = true, seconds = 7200 })
      local third = assert(grant { shared = true, seconds = 900 })
      assert.equal(first.id, second.id)
      assert.equal(first.id, third.id)
      assert.equal(second.expires_at, third.expires_at)
      assert.same({ second.expires_at, 3 },
        { schedule:get(first.id).due, #schedule:get(first.id).grant.holders })
      -- One end does not cut the others; the last does.
      local ok, revoked = second:finish()
      assert.same({ true, false }, { ok, revoked })
      assert.equal(third.expires_at, schedule:get(first.id).due)
      assert.same({ true, false }, { first:finish() })
      assert.same({ true, false }, { first:finish() })
      assert.is_false(is_revoked())
      clients.fails("CONFLICT", first:extend(900))
      assert.same({ true, true }, { third:finish() })
      assert.is_true(is_revoked())
      assert.equal("done", schedule:get(first.id).state)
    end)

    it("leaves the first as it was when it obtains nothing", function()
      local first = assert(grant { shared = true })
      sim:fault { operation = "obtain_cert", status = 403, times = 1 }
      clients.fails("PERMISSION_DENIED", grant { shared = true })
      local e = schedule:get(first.id)
      assert.same({ "pending", { first.holder } }, { e.state, e.grant.holders })
      assert.same({ true, true }, { first:finish() })
    end)

    it("does not join what is being ended", function()
      local first = assert(grant { shared = true })
      local e = schedule:get(first.id)
      e = assert(schedule:change(e, entries.claimed(e, "r1")))
      clients.fails("CONFLICT", grant { shared = true })
      e = assert(schedule:change(e, entries.sending(e, schedule.clock())))
      clients.fails("CONFLICT", grant { shared = true })
      assert(schedule:change(e, entries.retrying(e, schedule.clock(),
        { code = "TIMEOUT", message = "late" }, schedule.clock())))
      clients.fails("CONFLICT", grant { shared = true })
      assert.equal(1, obtained())
    end)
  end)

  describe("finish", function()
    it("revokes at once, and once", function()
      local one = assert(grant())
      assert.same({ true, true }, { one:finish() })
      assert.is_true(is_revoked())
      assert.same({ true, true }, { one:finish() })
      assert.equal(1, #sim:log { operation = "revoke_cert" })
      assert.matches("finished", tostring(one))
      clients.fails("CONFLICT", one:extend(900))
    end)

    it("says who goes on when it cannot", function()
      local one = assert(grant())
      sim:fault { operation = "revoke_cert", status = 500 }
      local err = clients.fails("SERVER_ERROR", one:finish())
      assert.matches("stands in the schedule as entry " .. one.id, err.message)
      assert.matches("Who runs the schedule goes on", err.hint)
      sim:clear_faults()
      assert.equal("failed-retrying", schedule:get(one.id).state)
      ahead = 400
      assert.equal(1, schedule:run(function() return client end, { once = true }).done)
      assert.is_true(is_revoked())
      assert.same({ true, true }, { one:finish() })
    end)

    it("is due now even when it could not begin", function()
      local one = assert(grant())
      local store = schedule.store
      function store.open_session()
        return nil, "gone", cce.error.new("STORE_UNAVAILABLE", "gone", { retryable = true })
      end
      clients.fails("STORE_UNAVAILABLE", one:finish())
      store.open_session = nil
      local e = schedule:get(one.id)
      assert.equal("pending", e.state)
      assert.is_true(e.due <= schedule.clock())
    end)

    it("does not wait for a store that does not come back", function()
      local one = assert(grant())
      local open, revoke, waits = schedule.store.open_session, client.revoke_cert, 0
      function schedule.store.open_session(...)
        local session = open(...)
        function session.left() return 60 - 5 * waits end
        return session
      end
      function client.revoke_cert(...)
        function schedule.store.update()
          return nil, "gone", cce.error.new("STORE_UNAVAILABLE", "gone", { retryable = true })
        end
        return revoke(...)
      end
      function schedule.sleep()
        if is_revoked() then waits = waits + 1 end
        assert(waits < 100, "it would wait for ever")
        cce.sleep(0.01)
      end
      one:finish()
      assert.is_true(waits > 0 and is_revoked())
    end)

    it("tells of a runner that has it, and of who cancelled it", function()
      local one = assert(grant())
      local e = schedule:get(one.id)
      local runner = assert(schedule.store:open_session("r1", 60))
      assert(schedule:change(e, entries.claimed(e, "r1")))
      assert.matches("is claimed by runner r1", clients.fails("CONFLICT", one:finish()).message)
      -- Nor is it taken from a living one by who takes it for dead.
      clients.fails("CONFLICT", runners.run_one(schedule, schedule:get(one.id), client))
      assert.same({}, sim:log { operation = "revoke_cert" })
      runner:close()
      assert(schedule:cancel(one.id))
      assert.matches("were not revoked", clients.fails("CONFLICT", one:finish()).message)
    end)
  end)

  describe("extend", function()
    it("promises the later end first, then obtains", function()
      local one = assert(grant())
      local first, till, obtain, due = one.kubeconfig, one.expires_at, client.obtain_cert, nil
      function client.obtain_cert(...)
        due = schedule:get(one.id).due
        return obtain(...)
      end
      assert.is_true(one:extend(1800))
      assert.equal(till + 1800, one.expires_at)
      assert.equal(one.expires_at, due)
      assert.not_equal(first, one.kubeconfig)
      assert.equal(math.ceil(one.expires_at), one.kubeconfig:certificate().not_after)
      clients.fails("INVALID_ARGUMENT", one:extend(899))
      clients.raises("'seconds' is missing", function() one:extend() end)
    end)

    it("is as it was when nothing was obtained, and later when that is not sure", function()
      local one = assert(grant())
      local till = one.expires_at
      sim:fault { operation = "obtain_cert", status = 403, times = 1 }
      clients.fails("PERMISSION_DENIED", one:extend(1800))
      assert.same({ till, till }, { one.expires_at, schedule:get(one.id).due })
      sim:fault { operation = "obtain_cert", reset = "after" }
      local _, _, err = one:extend(1800)
      assert.is_true(err.maybe_applied)
      assert.same({ till, till + 1800 }, { one.expires_at, schedule:get(one.id).due })
    end)

    it("is refused once its end was begun", function()
      local one = assert(grant())
      local e = schedule:get(one.id)
      e = assert(schedule:change(e, entries.claimed(e, "r1")))
      clients.fails("CONFLICT", one:extend(900))
      e = assert(schedule:change(e, entries.sending(e, schedule.clock())))
      assert(schedule:change(e, entries.retrying(e, schedule.clock(),
        { code = "TIMEOUT", message = "late" }, schedule.clock())))
      assert.matches("tried already", clients.fails("CONFLICT", one:extend(900)).message)
      assert(schedule:cancel(one.id))
      clients.fails("CONFLICT", one:extend(900))
      assert.equal(1, obtained())
    end)
  end)

  etcd.describe("in etcd", function()
    it("lives and ends as in a file", function()
      schedule:close()
      schedule = assert(cce.schedule.open("etcd:" .. etcd.get():place "spec/grant"))
      local one = assert(grant { shared = true })
      clients.fails("CONFLICT", grant())
      local two = assert(grant { shared = true, seconds = 7200 })
      assert.equal(one.id, two.id)
      assert(one:extend(900))
      assert.same({ true, false }, { one:finish() })
      assert.is_false(is_revoked())
      assert.same({ true, true }, { two:finish() })
      assert.is_true(is_revoked())
      assert.equal("done", schedule:get(one.id).state)
      assert(grant()):finish()
    end)
  end)

  describe("killed", function()
    -- The whole life of a grant in a process of its own, which kills itself before
    -- and after each step that leaves the process: each call of the store and of the
    -- client. `at` counts these moments.
    local CHILD = [[
      io.stdout:setvbuf "line"
      local at, path, cluster_id, member = %d, %q, %q, %q
      local cce = require "cce"
      local moment = 0
      local function point()
        moment = moment + 1
        if moment == at then os.execute "kill -9 $PPID" end
      end
      local function wrap(object, name)
        local inner = object[name]
        object[name] = function(...)
          point()
          local a, b, c, d = inner(...)
          point()
          return a, b, c, d
        end
      end
      local client = assert(cce.new { endpoint = os.getenv "CCE_ENDPOINT", proxy = false,
        ca_file = os.getenv "CCE_CA_FILE", project_id = os.getenv "HUAWEICLOUD_SDK_PROJECT_ID",
        credentials = { ak = %q, sk = %q } })
      local schedule = assert(cce.schedule.open("sqlite:" .. path))
      for _, name in ipairs { "insert", "update", "open_session" } do wrap(schedule.store, name) end
      for _, name in ipairs { "obtain_cert", "revoke_cert" } do wrap(client, name) end
      local grant = assert(cce.workflow.grant(client, schedule,
        { cluster_id = cluster_id, seconds = 3600, user_id = member, grantee = true }))
      print "granted"
      assert(grant:extend(900))
      assert(grant:finish())
      print("moments " .. moment)
    ]]

    local function run_child(at)
      local path = ("%s/%d.db"):format(dir, at)
      local child = hosts.script(sim, CHILD:format(at, path, cluster_id, member,
        simulator.member.ak, simulator.member.sk))
      local code, text, signal = child:finish()
      return text, code, signal, path
    end

    -- Whether each certificate that was obtained is revoked, by the order of things.
    local function all_are_cut()
      local open = 0
      for _, entry in ipairs(sim:log { accepted = true }) do
        if entry.operation == "obtain_cert" then open = open + 1 end
        if entry.operation == "revoke_cert" then open = 0 end
      end
      return open == 0
    end

    -- Long after, on the same machine: whoever runs the schedule ends all of it.
    local function run_later(path)
      local later = assert(cce.schedule.open("sqlite:" .. path, {
        clock = function() return core.sys.time() + 86400 end,
        steady = function() return core.sys.boottime() + 86400 end }))
      assert(later:run(function() return client end, { until_idle = true }))
      for _, e in ipairs(later:list()) do assert.equal("done", e.state) end
      later:close()
    end

    local function sweep(first, step)
      local at, granted = first, 0
      while true do
        sim:reset()
        local text, code, signal, path = run_child(at)
        if text:find("moments", 1, true) then
          assert.equal(0, code, text)
          assert.is_true(all_are_cut())
          return at, granted
        end
        assert.is_truthy(signal, text)
        granted = granted + (text:find "granted" and 1 or 0)
        run_later(path)
        assert.is_true(all_are_cut(), ("killed at moment %d: %s"):format(at, text))
        at = at + step
      end
    end

    it("at some steps leaves no certificate without its end", function()
      -- The second of these, the 4th moment, is right after the certificate was obtained.
      assert.is_true(sweep(1, 3) > 15)
    end)

    it("at any step leaves no certificate without its end #long", function()
      local moments, granted = sweep(1, 1)
      assert.is_true(moments > 15)
      assert.is_true(granted > 5 and granted < moments)
    end)
  end)
end)
