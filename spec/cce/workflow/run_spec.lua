-- A run of a workflow that only notes what it is to do: which run of the journal is gone on with,
-- what of it is left, what stops it, and what is written and reported. Nothing is sent.
local core = require "cce.core"
local errors = require "cce.error"
local runs = require "cce.workflow.run"
local targets = require "cce.workflow.targets"
local tempdir = require "spec.support.tempdir"

describe("a run", function()
  local dir, journal, now, client, workflow, ids, done, answers

  before_each(function()
    dir, now = tempdir.new(), 1000
    journal = dir .. "/journal"
    client = { clock = function() return now end, monotonic = function() return now end,
      config = { project_id = "p" } }
    ids, done, answers = { "c1", "c2", "c3" }, {}, {}
    workflow = { name = "w", operation = "rotate_credentials" }
    function workflow.hash(run) return run.opts.plan or "plan" end
    function workflow.plan(run)
      for i, id in ipairs(ids) do
        run.items[i] = { id = id, name = "name of " .. id, project_id = "p", client = client,
          state = "pending", principal = run.opts.who and { id = run.opts.who } }
      end
      return true
    end
    function workflow.recall(_, line) return { job_id = line.job,
      principal = line.principal and { id = line.principal } } end
    function workflow.opening(run) return { component = run.opts.component } end
    function workflow.planned(item)
      return { cluster = item.id, name = item.name, project = item.project_id,
        principal = item.principal and item.principal.id }
    end
    function workflow.check() return true end
    function workflow.preview(run) run.report.dry_run = true end
    function workflow.entry(_, item) return { cluster_id = item.id } end
    function workflow.settle() end
    function workflow.execute(run)
      run:settle_held()
      run:process(run:select(function(item)
        return item.state == "uncertain" or item.state == "accepted"
      end), workflow.act)
      run:process(run:ready(), workflow.act)
    end
    -- An answer is a state and the code of an error, or a function.
    function workflow.act(run, item)
      local answer = answers[item.id] or { "ok" }
      if type(answer) == "function" then return answer(run, item) end
      done[#done + 1] = item.id
      local line = { cluster = item.id, principal = item.principal and item.principal.id }
      if not run:intend(line) then return end
      item.state = answer[1]
      item.err = answer[2] and errors.new(answer[2], "it was " .. answer[2],
        { retryable = true, hint = "h", request_id = "r" })
      for _, name in ipairs { "code", "message", "hint", "request_id", "retryable" } do
        line[name] = item.err and item.err[name]
      end
      line.job, line.owed, item.owed = answer.job, answer.owed, answer.owed
      run:write(answer[1], line)
    end
  end)

  after_each(function() tempdir.remove(dir) end)

  local function call(more, clients)
    local opts = { journal = journal, concurrency = 1 }
    for name, value in pairs(more or {}) do opts[name] = value or nil end
    done = {}
    return runs.call(workflow, clients or { client }, opts)
  end

  local function run(more, clients)
    local report, message = call(more, clients)
    return assert(report, message)
  end

  -- What a report says of each item: "c1 ok, c2 pending CONFLICT".
  local function told(report)
    local parts = {}
    for _, bucket in ipairs { "ok", "failed", "skipped", "uncertain", "pending" } do
      for _, item in ipairs(report[bucket]) do
        parts[#parts + 1] = ("%s %s%s"):format(item.cluster_id, bucket, item.code
          and " " .. item.code or "")
      end
    end
    table.sort(parts)
    return table.concat(parts, ", ")
  end

  local function lines()
    local list = {}
    for line in tempdir.read(journal):gmatch "[^\n]+" do
      list[#list + 1] = core.json.decode(line)
    end
    return list
  end

  local function words(first)
    local list = {}
    for i, line in ipairs(lines()) do
      if i >= (first or 1) then list[#list + 1] = line.what .. (line.cluster or "") end
    end
    return table.concat(list, " ")
  end

  local function sent() return table.concat(done, " ") end

  it("writes its plan before anything is done, and how it ended", function()
    answers.c2 = { "failed", "JOB_FAILED", job = "j" }
    local report = run { run = "one", component = "all" }
    assert.equal("runc plannedc1 plannedc2 plannedc3 begun intentc1 okc1 intentc2 failedc2"
      .. " intentc3 okc3 finished", (words():gsub("^run", "runc")))
    local first, last = lines()[1], lines()[12]
    assert.same({ "one", "plan", 2, "w", 3, "all", 1000 }, { first.run, first.plan, first.version,
      first.workflow, first.items, first.component, first.time })
    assert.is_string(first.id)
    assert.equal(3, lines()[5].items)
    assert.same({ 2, 1, 0, 0, 0 }, { last.ok, last.failed, last.skipped, last.uncertain,
      last.pending })
    assert.equal("c1 ok, c2 failed JOB_FAILED, c3 ok", told(report))
    assert.same({ "one", 1000, 1000 }, { report.run, report.started, report.ended })
    assert.same({}, report.notes)
    -- Without a journal it has no name, and cannot be gone on with.
    assert.is_nil(run({ journal = false }).run)
    assert.matches("^1970%-01%-01T00:16:40Z", run({ journal = dir .. "/other" }).run)
    answers.c1 = { "pending", "CONFLICT" }
    assert.same({}, run({ journal = false }).notes)
  end)

  it("that has finished is told as it was, and not done again", function()
    answers.c2 = { "failed", "JOB_FAILED", job = "j" }
    run()
    now = 2000
    local report = run()
    assert.same({ "", 1000 }, { sent(), report.already_finished })
    assert.is_nil(report.resumed)
    assert.equal("c1 ok, c2 failed JOB_FAILED, c3 ok", told(report))
    local failed = report.failed[1]
    assert.same({ "it was JOB_FAILED", "h", "r", true, "rotate_credentials", true },
      { failed.message, failed.hint, failed.request_id, failed.err.retryable,
        failed.err.operation, failed.earlier })
    assert.equal(12, #lines())
    -- Also where it was killed before it could say so.
    tempdir.write(journal, (tempdir.read(journal):gsub("[^\n]*\n$", "")))
    assert.equal(1000, run().already_finished)
  end)

  it("is gone on with where something is open", function()
    answers.c1, answers.c2 = { "pending", "CONFLICT" }, { "accepted", job = "j" }
    answers.c3 = { "uncertain", "TIMEOUT" }
    local report = run { run = "one" }
    assert.equal("c1 pending CONFLICT, c2 uncertain, c3 uncertain TIMEOUT", told(report))
    assert.equal("ended", lines()[12].what)
    assert.matches("the same call goes on with what is open", report.notes[1])
    answers = { c2 = function(_, item)
      done[#done + 1] = item.id .. " " .. item.job_id
      item.state, item.err = "ok", errors.new("TIMEOUT", "as it was before", {})
    end }
    -- What is its own is held up by nothing.
    local settled = false
    function workflow.settle() settled = true end
    report = run { run = "one" }
    assert.is_false(settled)
    assert.equal("c2 j c3 c1", sent())
    assert.is_true(report.resumed)
    assert.equal("c1 ok, c2 ok, c3 ok", told(report))
    assert.equal("resumed intentc3 okc3 intentc1 okc1 finished", words(13))
    assert.is_nil(report.ok[1].earlier)
    assert.is_nil(report.ok[2].err)
  end)

  it("of another plan is not gone on with", function()
    answers.c1 = { "pending", "CONFLICT" }
    run { run = "one" }
    local report, message, err = call { plan = "other" }
    assert.is_nil(report)
    assert.same({ "CONFLICT", false, false }, { err.code, err.retryable, err.maybe_applied })
    assert.matches("run one of another plan, opened at .* of which something is open", message)
    assert.matches("cce runs discard one --journal " .. journal, err.hint, 1, true)
    answers = {}
    run { run = "one" }
    local _, said, why = call { plan = "other" }
    assert.matches("opened at 1970%-01%-01T00:16:40Z$", said)
    assert.equal("Give another journal or run=", why.hint)
    assert.equal("c1 ok, c2 ok, c3 ok", told(run { plan = "other", run = "two" }))
  end)

  it("that is not the last of its journal writes as itself", function()
    answers.c1 = { "pending", "CONFLICT" }
    run { run = "one" }
    ids = { "c4" }
    run { run = "two", plan = "other" }
    local count, id = #lines(), lines()[1].id
    answers = {}
    run { run = "one" }
    for i = count + 1, #lines() do assert.equal(id, lines()[i].of) end
    assert.equal("resumed intentc1 okc1 finished", words(count + 1))
    assert.is_nil(lines()[count].of)
  end)

  it("sends what failed again when told to, but what a person gave up", function()
    answers.c1 = { "failed", "JOB_FAILED", job = "j" }
    answers.c2 = function(each, item)
      item.state, item.given_up = "failed", true
      each:write("given_up", { cluster = "c2", code = "CANCELLED" })
    end
    assert.is_true(run().failed[2].given_up)
    answers = { c1 = function(_, item)
      assert.same({ "j" }, { item.failed_job, item.job_id })
      assert.is_nil(item.err or item.message or item.earlier)
      done[#done + 1], item.state = "c1", "ok"
    end }
    assert.equal(1000, run().already_finished)
    local seen
    local report = run { retry_failed = true, on_progress = function(count, total)
      seen = count .. "/" .. total
    end }
    assert.same({ "c1", "3/3" }, { sent(), seen })
    assert.equal("c1 ok, c2 failed CANCELLED, c3 ok", told(report))
    assert.is_true(report.failed[1].given_up)
  end)

  it("needs the clients that it was begun with", function()
    answers.c1 = { "pending", "CONFLICT" }
    run()
    client.config.project_id = "q"
    local report, message, err = call()
    assert.is_nil(report)
    assert.matches("no client is of project p, where the run has cluster c1", message)
    assert.same({ "INVALID_ARGUMENT", false, false }, { err.code, err.retryable,
      err.maybe_applied })
    assert.equal("", sent())
    local by_project = targets.by_project
    finally(function() targets.by_project = by_project end)
    function targets.by_project() return nil, "no project", {} end
    assert.same({ nil, "no project" }, { (call()), (select(2, call())) })
  end)

  it("knows errors of codes that it does not know", function()
    answers.c1, answers.c2 = { "pending", "CONFLICT" }, { "accepted", job = "j" }
    run()
    local text = tempdir.read(journal):gsub('"code":"CONFLICT"', '"code":"LATER"')
    workflow.execute = function() end
    for _, message in ipairs { "it was CONFLICT", "" } do
      tempdir.write(journal, (text:gsub('"message":"it was CONFLICT",?', message ~= ""
        and "%0" or "")))
      local report = run()
      assert.equal("c1 pending INTERNAL, c2 uncertain, c3 ok", told(report))
      assert.equal(message, report.pending[1].message)
    end
  end)

  describe("takes over from the one before", function()
    local function leave(answer)
      answers = { c1 = answer }
      run { run = "one" }
      answers = {}
      now = 2000
      return run { run = "two", component = "other" }
    end

    local function planned(cluster)
      local found
      for _, line in ipairs(lines()) do
        if line.what == "planned" and line.cluster == cluster then found = line end
      end
      return found
    end

    it("what is pending there, and nothing that is final", function()
      leave { "pending", "CONFLICT" }
      assert.equal("c1 c2 c3", sent())
      assert.equal("one", planned("c1").from)
      assert.is_nil(planned("c2").from)
      local report = run { run = "one" }
      assert.equal("c1 skipped CONFLICT, c2 ok, c3 ok", told(report))
      assert.equal("handed over to run two", report.skipped[1].message)
    end)

    it("nothing that it does not do", function()
      function workflow.is_same(each, known) return each.opts.component == known.component end
      leave { "pending", "CONFLICT" }
      assert.equal("c1 c2 c3", sent())
      assert.is_nil(planned("c1").from)
      function workflow.is_same() return true end
      os.remove(journal)
      leave { "pending", "CONFLICT" }
      assert.equal("one", planned("c1").from)
      -- But what may have been accepted holds it up, whatever that does, and at each start.
      function workflow.is_same() return false end
      os.remove(journal)
      leave { "uncertain", "TIMEOUT" }
      assert.equal("c2 c3", sent())
      assert.equal("c1 pending CONFLICT, c2 ok, c3 ok", told(run { run = "two" }))
      assert.equal("", sent())
    end)

    it("nothing of another workflow", function()
      answers.c1 = { "uncertain", "TIMEOUT" }
      run { run = "one" }
      workflow.name, answers = "v", { c1 = { "pending", "CONFLICT" } }
      run { run = "two", plan = "other" }
      assert.equal("c1 c2 c3", sent())
      answers = {}
      assert.equal("c1 ok, c2 ok, c3 ok", told(run { run = "two", plan = "other" }))
      assert.equal("c1", sent())
    end)

    it("and asks nobody where the earlier run was settled meanwhile", function()
      leave { "uncertain", "TIMEOUT" }
      assert.equal("c1 ok, c2 ok, c3 ok", told(run { run = "one" }))
      function workflow.settle() error "it is settled" end
      assert.equal("c1 ok, c2 ok, c3 ok", told(run { run = "two" }))
      assert.equal("c1", sent())
    end)

    it("and sends nothing where a request may have been accepted, until that is settled", function()
      local execute = workflow.execute
      function workflow.execute(each)
        for _, item in ipairs(each.items) do item.paced = "limited" end
        execute(each)
        assert.equal(0, #each:ready())
        -- Not even what is begun by mistake.
        each:process(each:items_in "pending", workflow.act)
      end
      for _, answer in ipairs { { "uncertain", "TIMEOUT" }, { "accepted", job = "j" } } do
        os.remove(journal)
        local report = leave(answer)
        assert.equal("c2 c3", sent())
        assert.equal("c1 pending CONFLICT, c2 ok, c3 ok", told(report))
        local item = report.pending[1]
        assert.equal("uncertain in run one, so nothing is sent: "
          .. (answer[2] and "it was TIMEOUT" or "its outcome is not known"), item.message)
        assert.matches("`cce runs settle one c1 --journal " .. journal, item.hint, 1, true)
        assert.same({ true, false }, { item.err.retryable, item.err.maybe_applied })
        -- Nor does the same call again, nor a third run.
        assert.equal("c1 pending CONFLICT, c2 ok, c3 ok", told(run { run = "two" }))
        assert.equal("", sent())
        assert.equal("c1 pending CONFLICT, c2 ok, c3 ok", told(run { run = "three" }))
        assert.equal("c2 c3", sent())
        local id, count = lines()[1].id, #lines()
        function workflow.settle(earlier, old)
          assert.same({ "c1", answer[1], "one", client, true, "limited" }, { old.id, old.state,
            earlier.name, old.client, old.tried, old.paced })
          old.state = "ok"
          earlier:write("ok", { cluster = "c1" })
        end
        report = run { run = "three" }
        assert.equal("c1 ok, c2 ok, c3 ok", told(report))
        assert.equal("c1", sent())
        assert.equal("resumed okc1 intentc1 okc1 finished", words(count + 1))
        assert.equal(id, lines()[count + 2].of)
        workflow.settle = function() end
      end
    end)

    it("and says what was raised where that was to be settled", function()
      function workflow.settle() error "no evidence" end
      local report = leave { "uncertain", "TIMEOUT" }
      assert.equal("c1 pending RAISED, c2 ok, c3 ok", told(report))
      assert.matches("no evidence", report.pending[1].message)
      assert.equal("c2 c3", sent())
    end)

    it("what nobody can settle but by sending it again", function()
      workflow.settle = nil
      answers.c1 = { "uncertain", "TIMEOUT" }
      run { run = "one", who = "u" }
      answers, now = {}, 2000
      assert.equal("c1 ok, c2 ok, c3 ok", told(run { run = "two", who = "u" }))
      assert.equal("c1 c2 c3", sent())
      assert.equal("one", planned("c1").from)
      assert.equal("c1 skipped TIMEOUT, c2 ok, c3 ok", told(run { run = "one", who = "u" }))
    end)
  end)

  describe("stops", function()
    it("at so many failures, those of earlier starts too, or at a share of all", function()
      for i = 1, 10 do ids[i] = "c" .. i end
      for limit, expected in pairs { [2] = 2, ["25%"] = 3, ["30%"] = 3, ["1%"] = 1,
        ["10.5%"] = 2 } do
        os.remove(journal)
        for i = 1, 10 do answers["c" .. i] = { "failed", "JOB_FAILED", job = "j" } end
        local report = run { max_failures = limit }
        assert.equal(expected, #done)
        assert.equal(("%d failure%s: max_failures is %s"):format(expected,
          expected == 1 and "" or "s", limit), report.stopped)
        assert.equal("not begun: " .. report.stopped, report.pending[1].message)
        assert.equal("CANCELLED", report.pending[1].code)
        assert.same({ "stopped", report.stopped }, { lines()[#lines()].what,
          lines()[#lines()].message })
        -- One more is too many.
        run { max_failures = limit }
        assert.equal(1, #done)
      end
    end)

    it("not at what is not there yet", function()
      for i = 1, 3 do answers["c" .. i] = { "pending", "CONFLICT" } end
      local report = run { max_failures = 1 }
      assert.equal("c1 c2 c3", sent())
      assert.is_nil(report.stopped)
    end)

    it("with a key that is refused, and with no other", function()
      local other = { clock = client.clock, config = { project_id = "q" } }
      local plan = workflow.plan
      function workflow.plan(each)
        plan(each)
        each.items[3].client = other
        return true
      end
      answers.c1 = { "pending", "UNAUTHENTICATED" }
      local report = run({}, { client, other })
      assert.equal("c1 c3", sent())
      assert.equal("c1 pending UNAUTHENTICATED, c2 pending UNAUTHENTICATED, c3 ok", told(report))
      assert.equal("not begun: it was UNAUTHENTICATED", report.pending[2].message)
      -- One that was accepted by then is not the key's.
      os.remove(journal)
      answers.c1 = { "uncertain", "UNAUTHENTICATED" }
      run({}, { client, other })
      assert.equal("c1 c2 c3", sent())
      -- The first refusal is the reason.
      os.remove(journal)
      workflow.plan = plan
      answers.c1, answers.c2 = { "uncertain", "TIMEOUT" }, { "uncertain", "TIMEOUT" }
      run { on_progress = function(count) return count < 2 end }
      answers.c1, answers.c2 = { "pending", "UNAUTHENTICATED" }, { "pending", "ACCESS_KEY_LOCKED" }
      assert.equal("c1 pending UNAUTHENTICATED, c2 pending ACCESS_KEY_LOCKED, c3 pending"
        .. " UNAUTHENTICATED", told(run()))
      assert.equal("c1 c2", sent())
    end)

    it("when on_progress says so, and is told of what was done and what failed", function()
      local calls = {}
      answers.c1, answers.c2 = { "failed", "JOB_FAILED", job = "j" }, { "pending", "CONFLICT" }
      local report = run { on_progress = function(count, total, failed)
        calls[#calls + 1] = ("%d/%d %d"):format(count, total, failed)
        return #calls < 2
      end }
      assert.equal("c1 c2", sent())
      assert.equal("1/3 1, 2/3 1", table.concat(calls, ", ", 1, 2))
      assert.equal("on_progress cancelled it", report.stopped)
      -- A workflow that settles nothing is told of no more.
      os.remove(journal)
      calls, workflow.settle = {}, nil
      run { on_progress = function() calls[#calls + 1] = 1 return false end }
      assert.same({ "c1", 1 }, { sent(), #calls })
    end)

    it("when the workflow says so, right before each item", function()
      function workflow.may_begin(each) if #done == 1 then each:stop "closed" end end
      local report = run()
      assert.same({ "c1", "closed" }, { sent(), report.stopped })
      -- What was begun goes on.
      answers.c1 = { "accepted" }
      os.remove(journal)
      run()
      function workflow.may_begin(each) each:stop "closed" end
      answers = {}
      run()
      assert.equal("c1", sent())
    end)

    it("for the first reason, and not with nothing left to begin", function()
      function workflow.act(each, item)
        item.state = "ok"
        each:stop("at " .. item.id)
        each:stop "later"
      end
      assert.equal("at c1", run().stopped)
      ids = { "c1" }
      os.remove(journal)
      assert.is_nil(run().stopped)
    end)
  end)

  it("does not take what raised for what is done", function()
    answers.c1 = function() error "before it began" end
    answers.c2 = function(_, item)
      item.state = "accepted"
      error "amid"
    end
    answers.c3 = function(_, item)
      item.state = "ok"
      error "after"
    end
    local closed
    function workflow.close(each) closed = each.items[2].state end
    local report = run()
    assert.equal("uncertain", closed)
    assert.equal("c1 pending RAISED, c2 uncertain RAISED, c3 ok", told(report))
    workflow.close = nil
    assert.matches("before it began", report.pending[1].message)
    assert.matches("name of c3: it is ok, but .*after", report.notes[1])
    assert.same({ true, 1 }, { report.incomplete, report:exit_code() })
    -- Nor for another reason of what had failed.
    ids, answers = { "c4" }, { c4 = function(_, item)
      item.state, item.err = "failed", errors.new("JOB_FAILED", "the job", {})
      item.name = nil
      error "after"
    end }
    os.remove(journal)
    report = run()
    assert.equal("c4 failed JOB_FAILED", told(report))
    assert.matches("^c4: it is failed, but .*after", report.notes[1])
    -- What was cancelled has only not begun.
    ids, workflow.settle = { "c1", "c2" }, nil
    os.remove(journal)
    answers = {}
    report = run { on_progress = function() return false end }
    assert.equal("not begun: on_progress cancelled it", report.pending[1].message)
    -- Nor is it lost, where something was owed and is still.
    os.remove(journal)
    ids[3] = "c3"
    answers = { c1 = { "ok", owed = true }, c2 = { "ok", owed = true }, c3 = { "accepted" } }
    run()
    function workflow.recall() return {} end
    function workflow.execute(each) each:process(each.items, function() end) end
    report = run { on_progress = function() return false end }
    assert.equal("c1 pending CANCELLED, c2 pending CANCELLED, c3 uncertain CANCELLED",
      told(report))
    assert.same({ 2 }, { report:exit_code(), report.incomplete })
  end)

  it("raises what a workflow raises, and lets go of its journal", function()
    function workflow.execute() error("mine", 0) end
    assert.same({ false, "mine" }, { pcall(call) })
    workflow.execute = function() end
    assert.is_table(run())
  end)

  it("in a dry run writes nothing", function()
    assert.is_true(run({ dry_run = true }).dry_run)
    assert.same({ "" }, { sent(), tempdir.read(journal) })
    answers.c1 = { "pending", "CONFLICT" }
    run()
    local text = tempdir.read(journal)
    assert.is_true(run({ dry_run = true }).resumed)
    assert.equal(text, tempdir.read(journal))
  end)

  it("is none where there is nothing to do, or where it may not be", function()
    function workflow.check() return nil, "no right", errors.new("PERMISSION_DENIED", "x", {}) end
    local report, message, err = call()
    assert.same({ nil, "no right", "PERMISSION_DENIED" }, { report, message, err.code })
    for _, name in ipairs { "hash", "plan" } do
      local original = workflow[name]
      workflow[name] = function() return nil, name, {} end
      assert.same({ nil, name }, { (call()), (select(2, call())) })
      workflow[name] = original
    end
    ids = {}
    assert.same({ 0, 1000 }, { run():counts().total, run().ended })
    assert.equal("", tempdir.read(journal))
    client.config.cloud, workflow.operation = "otc", "revoke_cert"
    local clouds = require "cce.api.cloud"
    local allows = clouds.allows
    finally(function() clouds.allows = allows end)
    clouds.allows = function(cloud, operation) return nil, cloud .. " " .. operation, {} end
    assert.same({ nil, "otc revoke_cert" }, { (call()), (select(2, call())) })
  end)

  describe("whose journal cannot be written", function()
    local mend

    before_each(function()
      local open = core.journal
      mend = function() core.journal = open end
    end)

    after_each(function() mend() end)

    local function refuse(word)
      local open = core.journal
      core.journal = function(...)
        local file = assert(open(...))
        return setmetatable({ append = function(_, line, ...)
          if line:find(('"what":"%s"'):format(word), 1, true) then
            return nil, "no space", "FILE_ERROR"
          end
          return file:append(line, ...)
        end }, { __index = function(_, name)
          return function(_, ...) return file[name](file, ...) end
        end })
      end
    end

    it("does nothing before its plan is there", function()
      for _, word in ipairs { "run", "planned", "begun" } do
        mend()
        refuse(word)
        local report, message = call()
        assert.is_nil(report, word)
        assert.matches("no space", message)
        assert.equal("", sent())
      end
      mend()
      answers.c1 = { "pending", "CONFLICT" }
      run()
      refuse "resumed"
      assert.is_nil((call()))
      assert.equal("", sent())
    end)

    it("stops, and says so", function()
      refuse "ok"
      local report = run()
      assert.equal("c1", sent())
      assert.equal("the journal cannot be written: no space", report.stopped)
      -- Also where nothing is left to begin, or where that was the last line.
      mend()
      os.remove(journal)
      ids = { "c1" }
      refuse "ok"
      assert.equal("the journal cannot be written: no space", run().stopped)
      ids = { "c1", "c2", "c3" }
      mend()
      os.remove(journal)
      refuse "finished"
      report = run()
      assert.same({ "c1 c2 c3", "the journal cannot be written: no space" },
        { sent(), report.stopped })
    end)

    it("stops also where what an earlier run left is settled", function()
      answers.c1 = { "uncertain", "TIMEOUT" }
      run { run = "one" }
      answers = {}
      function workflow.settle(earlier) earlier:write("settled", { cluster = "c1" }) end
      refuse "settled"
      local report = run { run = "two" }
      assert.same({ "", "the journal cannot be written: no space" }, { sent(), report.stopped })
      workflow.outlasts_journal = true
      report = run { run = "three" }
      assert.equal("c2 c3", sent())
      assert.matches("the journal could not be written, .*: no space", report.notes[1])
    end)

    it("begins nothing whose intent is not there, and nothing else", function()
      refuse "intent"
      local report = run()
      assert.same({ "c1", "the journal cannot be written: no space" }, { sent(), report.stopped })
      assert.equal("c1 pending CANCELLED, c2 pending CANCELLED, c3 pending CANCELLED", told(report))
    end)

    it("goes on all the same where that is more urgent", function()
      workflow.outlasts_journal = true
      refuse "ok"
      local report = run()
      assert.equal("c1 c2 c3", sent())
      assert.same({ true }, { report.incomplete, report.stopped })
      assert.matches("the journal could not be written, .*: no space", report.notes[1])
      assert.is_nil(report.notes[2])
    end)
  end)

  it("reports what is owed as open, and what stays short as incomplete", function()
    answers.c1 = { "ok", owed = true }
    answers.c2 = { "failed", "JOB_FAILED", job = "j", owed = true }
    local report = run()
    assert.equal("c1 pending CANCELLED, c2 failed JOB_FAILED, c3 ok", told(report))
    assert.matches("still owed", report.pending[1].message)
    assert.equal("ended", lines()[#lines()].what)
    answers, workflow.act = {}, nil
    function workflow.execute(each)
      local one, two, three = each.items[1], each.items[2], each.items[3]
      one.shortfall, one.shortfall_code = "less", "UNVERIFIED"
      two.shortfall, two.owed, three.notice = "short", nil, "look"
      for _, item in ipairs(each.items) do item.name = each.opts.who_is and item.name end
    end
    for _, prefix in ipairs { "name of ", "" } do
      report = run { who_is = prefix ~= "" }
      assert.equal("c1 pending UNVERIFIED, c2 failed JOB_FAILED, c3 ok", told(report))
      assert.equal("less", report.pending[1].message)
      assert.is_true(report.incomplete)
      assert.same({ prefix .. "c2: short", prefix .. "c3: look" },
        { report.notes[1], report.notes[2] })
    end
  end)

  it("says why a rule excludes an item, unless the workflow says it better", function()
    answers.c1 = function(_, item) item.state, item.message = "skipped", "too old" end
    answers.c2 = function(_, item) item.state, item.message = "ok", "fine" end
    local report = run { on_progress = setmetatable({}, { __call = function() end }) }
    assert.same({ "too old" }, { report.skipped[1].message, report.ok[1].message })
    os.remove(journal)
    function workflow.entry(_, item) return { cluster_id = item.id, message = "much too old" } end
    assert.equal("much too old", run().skipped[1].message)
  end)
end)
