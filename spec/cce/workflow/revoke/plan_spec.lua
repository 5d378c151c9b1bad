local cce = require "cce"
local clients = require "spec.support.clients"
local core = require "cce.core"
local runs = require "cce.workflow.runs"
local simulator = require "spec.support.sim"
local targets = require "cce.workflow.targets"
local tempdir = dofile "spec/support/tempdir.lua"

local member = simulator.member.principal

describe("a revocation with a journal", function()
  local sim, client, dir, journal, now

  setup(function() sim = simulator.get() end)

  before_each(function()
    sim:reset()
    now = os.time()
    client = clients.new(sim, { clock = function() return now end,
      retry = { max_attempts = 1 }, endpoints = {
        cce = sim.env.CCE_ENDPOINT, iam = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT,
        cts = sim.env.CCE_CTS_ENDPOINT, sts = sim.env.HUAWEICLOUD_SDK_STS_ENDPOINT } })
    client.now = function() return os.time() end
    dir = tempdir.new()
    journal = dir .. "/journal"
  end)

  after_each(function()
    client:close()
    tempdir.remove(dir)
  end)

  local function try(more)
    local options = { clusters = { name = "*" }, rate_limit = false, journal = journal,
      concurrency = 1 }
    for name, value in pairs(more or {}) do options[name] = value end
    if not options.deleted_since then options.user_id = options.user_id or member.id end
    return cce.workflow.revoke(client, options)
  end

  local function revoke(more)
    local report, message = try(more)
    return assert(report, message)
  end

  local function sent()
    return #sim:log { operation = "revoke_cert" }
  end

  local function words()
    local list = {}
    for line in tempdir.read(journal):gmatch "[^\n]+" do
      list[#list + 1] = core.json.decode(line).what
    end
    return list
  end

  -- Ends after so many, as Ctrl-C does.
  local function interrupt(after, more)
    more = more or {}
    more.on_progress = function(done)
      if done == after then error("interrupted", 0) end
    end
    local ok, message = pcall(try, more)
    assert.is_false(ok)
    assert.equal("interrupted", message)
  end

  local function noted(report, text)
    return table.concat(report.notes, "\n"):find(text, 1, true) ~= nil
  end

  it("writes the intent before the request, and what came of it", function()
    revoke { clusters = { sim.clusters[1].id } }
    assert.same({ "run", "planned", "begun", "intent", "ok", "finished" }, words())
    assert.matches('"principal":"' .. member.id .. '"', tempdir.read(journal), 1, true)
    assert.equal("0600", core.file.stat(journal).mode)
  end)

  it("says when no cluster is chosen, and not when one is", function()
    for name, none in pairs { ["other-*"] = true, [sim.clusters[1].name] = false } do
      local report = revoke { clusters = { name = name }, run = name }
      assert.equal(none, noted(report, "no cluster is chosen: name=" .. name))
      assert.equal(none and 0 or 1, #report.ok)
    end
  end)

  it("goes on where it was interrupted, and sends to nobody twice", function()
    interrupt(2)
    assert.equal(2, sent())
    local report = revoke()
    assert.equal(5, sent())
    assert.equal(5, #report.ok)
    assert.is_true(report.resumed)
    assert.equal(0, report:exit_code())
    assert.is_true(report.ok[1].earlier)
    assert.is_nil(report.ok[3].earlier)
    assert.equal(1, #report.principals)
    assert.equal("still enabled in IAM", report.ok[1].can_obtain_again)
    for _, item in ipairs(report.ok) do assert.is_nil(item.may_have_cut_newer) end
  end)

  it("does not say that what an earlier start cut is what was obtained since", function()
    interrupt(1)
    local theirs = clients.new(sim, { key = simulator.member })
    assert(theirs:obtain_cert(sim.clusters[1].id, { duration = 1 }))
    theirs:close()
    client.now = function() return os.time() + 5 end
    local report = revoke()
    assert.is_true(report.ok[1].earlier)
    assert.is_nil(report.ok[1].cut_again)
    assert.is_false(noted(report, "this one cuts it, too"))
  end)

  it("says that a request may have cut newer ones, from when it was first meant", function()
    sim:fault { operation = "revoke_cert", cluster = sim.clusters[2].id, reset = "after",
      times = 1 }
    local report = revoke()
    assert.equal(1, #report.uncertain)
    assert.equal("ended", words()[#words()])
    now = now + 601
    report = revoke()
    assert.equal(5, #report.ok)
    assert.equal(6, sent())
    assert.is_true(report.ok[2].may_have_cut_newer)
    assert.is_nil(report.ok[1].may_have_cut_newer)
    assert.is_true(noted(report, "may have cut newer certificates"))
  end)

  it("can be cut at any line", function()
    sim:put_principal { kind = "user", id = "left-1", name = "one" }
    sim:put_principal { kind = "user", id = "left-2", name = "two" }
    for i = 1, 2 do sim:delete_principal { kind = "user", id = "left-" .. i, ago = 10 } end
    local since = { deleted_since = now - 60,
      clusters = { sim.clusters[1].id, sim.clusters[2].id } }
    revoke(since)
    local lines = {}
    for line in tempdir.read(journal):gmatch "[^\n]*\n" do lines[#lines + 1] = line end
    assert.equal(1 + 4 + 1 + 8 + 1, #lines)
    for count = 6, #lines - 1 do
      local kept = table.concat(lines, "", 1, count)
      tempdir.write(journal, kept)
      -- Whom CTS names now is nobody: the journal knows.
      sim:reset()
      local report = revoke(since)
      assert.equal(4, #report.ok)
      assert.is_false(noted(report, "searched for deletions"))
      assert.equal(4 - select(2, kept:gsub('"what":"ok"', "")), sent(), count)
    end
  end)

  it("sends nothing when the run has finished, and begins another by another name", function()
    sim:fault { operation = "revoke_cert", cluster = sim.clusters[1].id, status = 400, times = 1,
      body = '{"errorMessage":"Request is invalid, not support this version v1.27"}' }
    local first = revoke { run = "one" }
    local report = revoke { run = "one" }
    assert.equal(5, sent())
    assert.equal(1, report:exit_code())
    for _, name in ipairs { "code", "message", "hint", "request_id" } do
      assert.is_string(first.failed[1][name])
      assert.equal(first.failed[1][name], report.failed[1][name])
    end
    assert.is_boolean(first.failed[1].err.retryable)
    assert.equal(first.failed[1].err.retryable, report.failed[1].err.retryable)
    assert.equal(5, #revoke({ run = "one", retry_failed = true }).ok)
    assert.equal(3, revoke({ run = "one" }):exit_code())
    assert.equal(member.id, report.ok[1].principal_id)
    assert.equal(5, #revoke({ run = "two" }).ok)
    assert.equal(11, sent())
  end)

  it("hands over what is pending to a run of another name", function()
    interrupt(1, { run = "one" })
    local report = revoke { run = "two" }
    assert.equal("two", report.run)
    assert.equal(5, #report.ok)
    assert.equal(6, sent())
    assert.equal(3, revoke({ run = "one" }):exit_code())
    assert.equal(6, sent())
  end)

  it("settles what is uncertain by sending it in the run that took it over", function()
    sim:fault { operation = "revoke_cert", cluster = sim.clusters[2].id, reset = "after",
      times = 1 }
    assert.equal(2, revoke({ run = "one" }):exit_code())
    now = now + 601
    local report = revoke { run = "two" }
    assert.equal(0, report:exit_code())
    assert.is_true(report.ok[2].may_have_cut_newer)
    assert.equal(3, revoke({ run = "one" }):exit_code())
  end)

  it("does not send again what was accepted and not proved, but asks the cluster", function()
    local theirs = clients.new(sim, { key = simulator.member })
    local id = sim.clusters[1].id
    local kubeconfig = assert(theirs:obtain_cert(id, { duration = 1 }))
    theirs:close()
    local probe = require "cce.kubeconfig.probe"
    local wait_until = probe.wait_until
    finally(function() probe.wait_until = wait_until end)
    probe.wait_until = function() return { state = "unclear", text = "no answer came" } end
    local opts = { clusters = { id }, verify = { [id] = kubeconfig } }
    local report = revoke(opts)
    assert.equal("no answer", report.uncertain[1].verified)
    assert.equal(2, report:exit_code())
    opts.dry_run = true
    local plan = revoke(opts)
    assert.equal(0, #plan.plan)
    assert.is_true(noted(plan, "cluster-001: it was accepted, and is only looked at again"))
    opts.dry_run = nil
    probe.wait_until = wait_until
    report = revoke(opts)
    assert.equal("yes", report.ok[1].verified)
    assert.equal(0, report:exit_code())
    assert.equal(1, sent())
  end)

  -- What was accepted, and then seen not to be done, or called so by a person.
  describe("sends again what was accepted, and takes nothing of that for the answer", function()
    local theirs, id, kubeconfig

    before_each(function()
      theirs, id = clients.new(sim, { key = simulator.member }), sim.clusters[1].id
      kubeconfig = assert(theirs:obtain_cert(id, { duration = 1 }))
    end)

    after_each(function() theirs:close() end)

    it("where the certificate still worked", function()
      client.sleep = function() end
      sim:fault { operation = "revoke_cert", status = 200, body = "", times = 1 }
      local opts = { clusters = { id }, verify = { [id] = kubeconfig } }
      assert.equal("NOT_REVOKED", revoke(opts).failed[1].code)
      sim:fault { operation = "revoke_cert", reset = "before", times = 1 }
      opts.verify, opts.retry_failed = nil, true
      local report = revoke(opts)
      assert.equal(1, #report.uncertain)
      assert.is_nil(report.uncertain[1].verified)
      assert.equal(2, sent())
      assert.equal(1, #revoke(opts).ok)
      assert.equal(3, sent())
    end)

    it("where a person says that it did not happen", function()
      local opts = { clusters = { id }, user_id = "mistyped" }
      assert.equal(1, #revoke(opts).uncertain)
      assert(runs.settle(journal, { cluster = id, happened = false }))
      sim:fault { operation = "revoke_cert", reset = "before", times = 1 }
      opts.unknown_ok = true
      assert.equal(1, #revoke(opts).uncertain)
      assert.equal(2, sent())
      assert.equal(1, #revoke(opts).ok)
      assert.equal(3, sent())
    end)
  end)

  it("does not send again to whom nobody knows", function()
    local report = revoke { user_id = "mistyped" }
    assert.equal(5, #report.uncertain)
    assert.equal(2, revoke({ user_id = "mistyped" }):exit_code())
    assert.equal(0, revoke({ user_id = "mistyped", unknown_ok = true }):exit_code())
    assert.equal(5, sent())
  end)

  it("is of the same people in whatever order they are named", function()
    local people = {}
    for i = 1, 3 do people[i] = { kind = "user", id = "a" .. i } end
    local function start(first, second, third)
      return assert(cce.workflow.revoke(client, { clusters = { sim.clusters[1].id },
        rate_limit = false, journal = journal, concurrency = 1, unknown_ok = true,
        principals = { people[first], people[second], people[third] },
        on_progress = first == 1 and function() return false end or nil }))
    end
    assert.equal(2, #start(1, 2, 3).pending)
    assert.is_true(start(3, 2, 1).resumed)
    assert.equal(3, sent())
    local by_project = targets.by_project
    finally(function() targets.by_project = by_project end)
    function targets.by_project() return nil, "no project", {} end
    assert.same({ nil, "no project", {} }, { try() })
  end)

  it("refuses another plan, and a journal in use", function()
    interrupt(1)
    clients.fails("CONFLICT", try { user_id = "somebody-else" })
    clients.fails("CONFLICT", try { clusters = { sim.clusters[1].id } })
    clients.fails("CONFLICT", try { remove = true, undo = dir .. "/undo" })
    client.config.project_id = ("f"):rep(32)
    clients.fails("CONFLICT", try())
    client.config.project_id = sim.project_id
    local holder = assert(core.journal(journal, "run journal"))
    clients.fails("CONFLICT", try())
    holder:close()
    assert.equal(1, sent())
  end)

  it("knows what a dry run of the rest would do, and writes nothing", function()
    interrupt(2)
    local text = tempdir.read(journal)
    local report = revoke { dry_run = true }
    assert.equal(3, #report.plan)
    assert.is_true(noted(report, "2 were done at an earlier start"))
    assert.equal(text, tempdir.read(journal))
    assert.equal(2, sent())
  end)

  it("verifies what is left, too", function()
    local kubeconfigs = {}
    local theirs = clients.new(sim, { key = simulator.member })
    for i = 1, 2 do
      kubeconfigs[sim.clusters[i].id] = assert(theirs:obtain_cert(sim.clusters[i].id,
        { duration = 1 }))
    end
    theirs:close()
    local more = { verify = kubeconfigs, clusters = { sim.clusters[1].id, sim.clusters[2].id } }
    interrupt(1, more)
    more.on_progress = nil
    local report = revoke(more)
    assert.equal("yes", report.ok[1].verified)
    assert.equal("yes", report.ok[2].verified)
    assert.is_true(report.ok[1].earlier)
  end)

  it("does not let a journal that breaks stop a revocation", function()
    local open = core.journal
    finally(function() core.journal = open end)
    core.journal = function(path, kind)
      local file, left = assert(open(path, kind)), 9
      return {
        append = function(_, ...)
          left = left - 1
          if left < 0 then return nil, "no space left on device", "FILE_ERROR" end
          return file:append(...)
        end,
        reserve = function(_, ...) return file:reserve(...) end,
        size = function() return file:size() end,
        lost = function() return file:lost() end,
        close = function() file:close() end,
      }
    end
    local report = revoke()
    assert.equal(5, #report.ok)
    assert.equal(5, sent())
    assert.equal(1, report:exit_code())
    assert.is_true(noted(report, "the journal could not be written"))
  end)
end)
