-- The rotation of one cluster, one term wrong at a time: whether it may be, what is on disk before
-- the request, and what becomes of an answer, a job and a repair. Clients and journals answer as
-- told; init_spec asks the simulator.
local cluster = require "cce.workflow.rotate.cluster"
local errors = require "cce.error"
local jobs = require "cce.api.job"
local pace = require "cce.workflow.pace"
local times = require "cce.base.times"

local NOW = 1767323045

describe("the rotation of one cluster", function()
  local run, item, steps, lines, shown, answer, waits, repairs, take_turn

  -- A job that the cloud knows; the cluster names the last one.
  local function job(id, more)
    local raw = { metadata = { uid = id, creationTimestamp = times.format(NOW) },
      spec = { type = "RotateClusterCredentials", clusterUID = "c1" }, status = {} }
    for name, value in pairs(more or {}) do raw.spec[name] = value end
    item.jobs[id], shown.raw.status.jobID = jobs.new(raw), id
    return item.jobs[id]
  end

  local function refusal(code, more) return errors.new(code, "it was " .. code, more or {}) end

  local function step(word) steps[#steps + 1] = word end

  before_each(function()
    steps, lines, waits, repairs = {}, {}, {}, {}
    shown = { name = "one", version = "v1.29.1", status = "Available", raw = { status = {} } }
    local time = 100
    local client = { clock_shift = 0, retry_node_rotation = true }
    function client.monotonic() return time end
    function client.sleep(seconds)
      time = time + seconds
      step("slept " .. seconds)
    end
    function client.show_cluster(_, id)
      step "look"
      assert.equal("c1", id)
      if shown then return shown end
      return nil, "no", refusal "NOT_FOUND"
    end
    function client.show_job(_, id) return item.jobs[id] end
    -- CTS, which knows of no rotation.
    function client.list_traces() return { window = { complete = true } } end
    function client.wait_job(_, id, opts)
      step("wait " .. id)
      assert.is_true(opts.timeout >= 0)
      assert.equal(5, opts.interval)
      local found = table.remove(waits, 1)
      if type(found) == "number" then
        time = time + found
        found = refusal "TIMEOUT"
      end
      if found then return nil, found.message, found end
      return item.jobs[id] or true
    end
    local paced = {}
    function paced.rotate_credentials(_, id, opts)
      step "sent"
      assert.equal("uncertain", item.state)
      item.asked = { id, opts }
      if answer then return nil, answer.message, answer end
      return jobs.started("new", "r")
    end
    function paced.retry_node_rotation(_, id, opts)
      step("repair " .. #opts.node_ids)
      assert.same({ "c1", run.opts.before_send }, { id, opts.before_send })
      local err = table.remove(repairs, 1)
      if err then return nil, err.message, err end
      return true
    end
    item = { id = "c1", name = "one", project_id = "p", state = "pending", status = "Available",
      version = "v1.29", client = client, paced = paced, jobs = {} }
    shown.raw.status.jobID, answer = "old", nil
    run = { opts = { component = "all", waiting = { interval = 5, timeout = 20, looks = 3 } } }
    function run.clock() return NOW end
    function run.may_begin() return not run.stopped end
    function run.stop(_, why) run.stopped = why end
    local function write(what, line)
      step(what)
      line.what, lines[#lines + 1] = what, line
    end
    function run:intend(line)
      write("intent", line)
      if self.disk then return nil, "no space", refusal "FILE_ERROR" end
      return true
    end
    function run:write(what, line)
      write(what, line)
      if self.disk == what then return nil, "no space", refusal "FILE_ERROR" end
      return true
    end
    take_turn = pace.take_turn
    function pace.take_turn() step "turn" end
  end)

  after_each(function() pace.take_turn = take_turn end)

  local function order() return table.concat(steps, ", ") end

  -- What becomes of it: the state, the code of the error, and all that was done.
  local function process()
    steps = {}
    cluster.process(run, item)
    return { item.state, item.err and item.err.code, order() }
  end

  it("may be where the cluster is Available, and of a version that can", function()
    for _, case in ipairs {
      { { status = "Available", version = "v1.19" } },
      { { status = "Available", version = "2.3" } },
      { { status = "Available", version = "v1.18" }, "UNSUPPORTED", "version v1.18 is too old" },
      { { status = "Available" }, "UNSUPPORTED", "the version of the cluster is not known" },
      { { status = "Upgrading", version = "v1.18" }, "CONFLICT", "it is Upgrading, not Available" },
      { { version = "v1.29" }, "CONFLICT", "it is in no phase, not Available" },
      { { id = "c1", autopilot = true }, "UNSUPPORTED", "Autopilot" },
    } do
      local err = cluster.obstacle(case[1])
      assert.equal(case[2], err and err.code)
      assert.matches((case[3] or ""):gsub("^it is", "the cluster is"), err and err.message or "", 1,
        true)
    end
  end)

  it("takes its turn, looks, and leaves with its intent on disk", function()
    assert.same({ "ok", nil, "turn, look, intent, sent, accepted, wait new, ok" }, process())
    assert.same({ what = "intent", cluster = "c1", name = "one", project = "p", sent = NOW,
      job_before = "old" }, lines[1])
    assert.same({ what = "accepted", cluster = "c1", name = "one", project = "p", job = "new",
      request = "r" }, lines[2])
    assert.same({ what = "ok", cluster = "c1", name = "one", project = "p", job = "new",
      seconds = 0 }, lines[3])
    assert.same({ "v1.29.1", "new", "r", "c1", "all" }, { item.version, item.job_id,
      item.request_id, item.asked[1], item.asked[2].component })
    -- Of a job that failed before nothing is taken for this one's.
    item.state, item.failed_job, shown.raw.status.jobID = "pending", "old", "old"
    assert.equal("ok", process()[1])
    assert.same({ false, false }, { lines[4].job, lines[4].repair_tried })
  end)

  it("looks before it takes its turn where the list speaks against it", function()
    item.status = "Hibernating"
    assert.equal("look, turn, look, intent, sent, accepted, wait new, ok", process()[3])
    item.state, item.status, shown.status = "pending", "Hibernating", "Upgrading"
    assert.same({ "pending", "CONFLICT", "look, pending" }, process())
    item.status, shown.status, shown.version = "Hibernating", "Available", "v1.17"
    assert.same({ "skipped", "UNSUPPORTED", "look, skipped" }, process())
    -- What no list tells speaks against nothing.
    item.state, item.status, shown.version = "pending", nil, "v1.29"
    assert.equal("turn, look, intent", process()[3]:sub(1, 18))
    item.state, shown = "pending", nil
    assert.same({ "failed", "NOT_FOUND", "turn, look, refused" }, process())
  end)

  it("is not sent where the run was stopped meanwhile, nor without its intent", function()
    run.stopped = "closed"
    item.err = refusal "TIMEOUT"
    assert.same({ "pending", nil, "turn" }, process())
    run.stopped, run.disk = nil, "intent"
    assert.same({ "pending", "FILE_ERROR", "turn, look, intent" }, process())
  end)

  it("asks right before it leaves whether it still may", function()
    assert.equal("ok", process()[1])
    local before_send = item.asked[2].before_send
    assert.equal(math.huge, before_send "c1")
    function run.opts.before_send(id) return id == "c1" and 7 end
    item.state = "pending"
    assert.equal("ok", process()[1])
    before_send = item.asked[2].before_send
    assert.equal(7, before_send "c1")
    local opens = NOW
    run.open = { text = "sat", opens = function() return opens end }
    assert.equal(7, before_send "c1")
    opens = NOW + 1
    local limit, why = before_send "c1"
    assert.is_nil(limit)
    assert.matches("outside of its windows", why)
  end)

  it("that was refused is not looked for, unless a lock may be its own", function()
    for code, expected in pairs {
      BAD_REQUEST = { "failed", "BAD_REQUEST", "turn, look, intent, sent, refused" },
      PERMISSION_DENIED = { "pending", "PERMISSION_DENIED", "turn, look, intent, sent, refused" },
      CONFLICT = { "ok", nil, "turn, look, intent, sent, look, settled, wait new, ok" },
      RESOURCE_LOCKED = { "ok", nil, "turn, look, intent, sent, look, settled, wait new, ok" },
    } do
      item.state, answer, shown.raw.status.jobID = "pending", refusal(code), "old"
      local paced = item.paced.rotate_credentials
      function item.paced.rotate_credentials(...)
        job "new"
        return paced(...)
      end
      assert.same(expected, process())
      item.paced.rotate_credentials = paced
      item.state, shown.raw.status.jobID = "pending", "old"
      if expected[1] == "ok" then
        assert.same({ "pending", code, "turn, look, intent, sent, look, refused" }, process())
      end
    end
  end)

  it("whose answer was lost is uncertain until something shows it, which is said", function()
    answer = refusal("TIMEOUT", { maybe_applied = true, request_id = "q", retryable = true,
      hint = "h" })
    assert.same({ "uncertain", "TIMEOUT", "turn, look, intent, sent, unknown, look, uncertain" },
      process())
    assert.same({ "it was TIMEOUT", "q", true }, { item.err.message, item.err.request_id,
      item.err.maybe_applied })
    assert.same({ what = "unknown", cluster = "c1", name = "one", project = "p", code = "TIMEOUT",
      message = "it was TIMEOUT", request_id = "q", retryable = true, hint = "h" }, lines[2])
    assert.matches("began after 2026%-01%-02T03:04:05Z: .* is then another than \"old\", and",
      item.err.hint)
    steps = {}
    cluster.look_again(run, item)
    assert.same({ "uncertain", "look" }, { item.state, order() })
    job "new"
    steps = {}
    cluster.look_again(run, item)
    assert.same({ "ok", "status.jobID", "look, settled, wait new, ok" },
      { item.state, item.settled_by, order() })
    assert.same({ "status.jobID", "new" }, { lines[#lines - 1].by, lines[#lines - 1].job })
    -- One whose job is known waits for that, and for nothing else; and one that is pending for
    -- the next call.
    for state, id in pairs { uncertain = "new", pending = false } do
      item.state, item.job_id, steps = state, id or nil, {}
      cluster.look_again(run, item)
      assert.same({ state, "" }, { item.state, order() })
    end
    -- Of an earlier start.
    item.state, item.err, item.sent, item.job_before, item.job_id = "uncertain", nil, nil, nil, nil
    shown.raw.status.jobID = nil
    assert.same({ "uncertain", "CONNECTION_LOST", "look, uncertain" }, process())
    assert.matches("a start of this run ended before it knew", item.err.message, 1, true)
    assert.matches("began after the intent: .* is then another than none, and", item.err.hint)
  end)

  it("is left out where somebody rotated since a time", function()
    assert.is_false(cluster.is_left_out(run, item))
    assert.equal("", order())
    run.opts.unless_rotated_within = 3600
    assert.is_false(cluster.is_left_out(run, item))
    job "theirs"
    assert.is_true(cluster.is_left_out(run, item))
    steps, item.state, item.err = {}, "pending", refusal "TIMEOUT"
    assert.is_true(cluster.is_left_out(run, item, shown))
    assert.same({ "skipped", nil, "" }, { item.state, item.err, order() })
    assert.matches("job theirs .*, and unless_rotated_within is 60 minutes", item.message)
    item.state = "pending"
    assert.same({ "skipped", nil, "turn, look, skipped" }, process())
    assert.equal(item.message, lines[#lines].message)
    -- By CTS alone, where the cluster cannot be looked at; and nobody tells.
    shown, item.state = nil, "pending"
    assert.is_false(cluster.is_left_out(run, item))
    function item.client.list_traces() return nil, "no", refusal "TIMEOUT" end
    assert.is_true(cluster.is_left_out(run, item))
    assert.same({ "pending", "TIMEOUT" }, { item.state, item.err.code })
    assert.matches("within 60 minutes: it was TIMEOUT", item.err.message, 1, true)
  end)

  it("is not sent in place of a failed job that somebody did over", function()
    item.failed_job, item.sent = "failed", NOW
    job "theirs"
    assert.same({ "ok", nil, "turn, look, settled, wait theirs, ok" }, process())
    assert.same({ "status.jobID", "status.jobID", "theirs" }, { item.settled_by, lines[1].by,
      lines[1].job })
    item.state, item.failed_job = "pending", nil
    assert.equal("turn, look, intent", process()[3]:sub(1, 18))
  end)

  describe("follows its job", function()
    before_each(function() item.state, item.job_id = "accepted", "new" end)

    it("through looks that fail, as long as it may", function()
      waits = { refusal "CONNECT_FAILED", refusal "SERVER_ERROR" }
      assert.same({ "ok", nil, "wait new, slept 5, wait new, slept 5, wait new, ok" }, process())
      -- It was not begun now.
      assert.is_nil(lines[1].seconds)
      item.state, waits = "accepted", { 16 }
      assert.same({ "uncertain", "TIMEOUT", "wait new, uncertain" }, process())
      assert.matches("it was accepted, but how its job ended is not known: it was TIMEOUT",
        item.err.message, 1, true)
      assert.equal('The job goes on by itself: client:wait_job("new")', item.err.hint)
      item.state, waits = "accepted", { 15, 90 }
      assert.equal("wait new, slept 5, wait new, uncertain", process()[3])
      for _, code in ipairs { "NOT_FOUND", "PERMISSION_DENIED", "UNAUTHENTICATED",
        "ACCESS_KEY_LOCKED", "API_NOT_FOUND" } do
        item.state, waits = "accepted", { refusal(code) }
        assert.same({ "uncertain", code, "wait new, uncertain" }, process())
      end
    end)

    it("unless that has none, or is not waited for", function()
      run.opts.waiting = nil
      assert.same({ "ok", nil, "ok" }, process())
      assert.equal("accepted, not waited for", item.message)
      item.state, item.job_id, run.opts.waiting = "accepted", nil, { interval = 5, timeout = 20 }
      assert.same({ "ok", nil, "ok" }, process())
      assert.equal("accepted; neither its job nor how it ended is known", item.message)
    end)

    it("and owes a kubeconfig where one is wanted and none was written", function()
      run.opts.reissue = { dir = "/proc/none" }
      item.reissued = "/f"
      assert.equal("ok", process()[1])
      assert.is_nil(lines[1].owed)
      item.state, item.reissued = "accepted", nil
      function item.client.obtain_cert() return nil, "no", refusal "PERMISSION_DENIED" end
      assert.equal("ok", process()[1])
      assert.is_true(lines[2].owed)
      item.state, item.owed, waits = "accepted", nil, { refusal "NOT_FOUND" }
      assert.equal("uncertain", process()[1])
      assert.is_nil(lines[3].owed)
    end)
  end)

  describe("whose job failed", function()
    -- With nodes, so many of them; with others, "c1" is no node, and one node has no id.
    local function failed(count, others)
      local parts = others and { { spec = { type = "UpdateCluster", resourceID = "c1" } },
        { spec = {} }, { spec = { type = "RotateNode" } } } or {}
      for i = 1, count do
        parts[#parts + 1] = { spec = { type = "RotateNODE", resourceID = "n" .. i } }
      end
      for _, part in ipairs(parts) do part.status = { phase = "Failed" } end
      return refusal("JOB_FAILED", { job = job("new", { subJobs = parts }) })
    end

    before_each(function()
      item.state, item.job_id, run.opts.repair = "accepted", "new", true
    end)

    it("is not repaired where no node failed, or nobody can", function()
      waits = { failed(0, true) }
      assert.same({ "failed", "JOB_FAILED", "wait new, failed" }, process())
      item.state, waits, item.repair_tried = "accepted", { failed(0, true) }, true
      assert.same({ "failed", "JOB_FAILED", "wait new, failed" }, process())
      assert.is_nil(item.err.hint)
      item.state, waits, item.repair_tried = "accepted", { failed(2) }, nil
      item.client.retry_node_rotation = nil
      assert.same({ "failed", "JOB_FAILED", "wait new, failed" }, process())
      assert.is_nil(item.err.hint)
      item.client.retry_node_rotation = true
      item.state, waits, run.opts.repair = "accepted", { failed(2) }, false
      assert.equal("failed", process()[1])
      assert.equal("repair=true tells the 2 failed nodes to rotate again", item.err.hint)
    end)

    it("tells all its nodes to rotate again, 200 at a time, and follows the new job", function()
      waits = { failed(401) }
      local told = 0
      local retry = item.paced.retry_node_rotation
      function item.paced.retry_node_rotation(...)
        told = told + 1
        if told == 3 then job "repair" end
        return retry(...)
      end
      function run.opts.before_send() end
      assert.same({ "ok", nil, "wait new, repair, turn, repair 200, turn, repair 200, turn,"
        .. " repair 1, repair, look, wait repair, ok" }, process())
      assert.same({ true, nil, true, "repair", 401 }, { lines[1].repair_tried,
        lines[1].repair_accepted, lines[2].repair_accepted, lines[3].job, #item.repaired })
      assert.matches("^n1 n2 .* n401$", lines[1].nodes)
      assert.is_nil(item.notice)
    end)

    it("tells what failed beside the nodes, which nobody mends", function()
      local rest = "failed too, and not told to rotate again: c1, a part of no name, RotateNode"
      waits = { failed(2, true) }
      assert.equal("ok", process()[1])
      assert.matches("2 failed nodes .*these nodes: n1 n2; " .. rest .. "$", item.notice)
      item.state, item.job_id, item.repair_tried, waits = "accepted", "new", nil,
        { failed(1, true) }
      local retry = item.paced.retry_node_rotation
      function item.paced.retry_node_rotation(...)
        job "repair"
        return retry(...)
      end
      assert.equal("ok", process()[1])
      assert.equal(rest, item.notice)
      -- What stands above a node has failed with it.
      local part = { spec = { type = "Control", subJobs = { { spec = { type = "RotateNode",
        resourceID = "n1" }, status = { phase = "Failed" } } } }, status = { phase = "Failed" } }
      item.state, item.job_id, item.repair_tried = "accepted", "new", nil
      waits = { refusal("JOB_FAILED", { job = job("new", { subJobs = { part } }) }) }
      assert.equal("ok", process()[1])
      assert.is_nil(item.notice)
    end)

    it("is what became of its repair", function()
      for code, expected in pairs { JOB_FAILED = "failed", NOT_FOUND = "uncertain" } do
        item.state, item.job_id, item.repair_tried = "accepted", "new", nil
        local err = failed(1)
        waits = { err, refusal(code, { job = code == "JOB_FAILED" and err.job or nil }) }
        local retry = item.paced.retry_node_rotation
        function item.paced.retry_node_rotation(...)
          job "repair"
          return retry(...)
        end
        assert.same({ expected, code, "wait new, repair, turn, repair 1, repair, look,"
          .. " wait repair, " .. expected }, process())
        item.paced.retry_node_rotation = retry
      end
    end)

    it("is ok with a notice where no new job shows, and uncertain where none can", function()
      waits = { failed(2) }
      assert.same({ "ok", nil, "wait new, repair, turn, repair 2, repair, look, slept 5, look,"
        .. " slept 5, look, slept 5, ok" }, process())
      assert.matches("2 failed nodes were told to rotate again.*these nodes: n1 n2$", item.notice)
      item.state, item.repair_tried, waits, shown = "accepted", nil, { failed(2) }, nil
      assert.equal("uncertain", process()[1])
    end)

    it("fails where the repair is not accepted, or cannot be written", function()
      waits, repairs = { failed(201) }, { false, refusal "PERMISSION_DENIED" }
      assert.same({ "failed", "JOB_FAILED", "wait new, repair, turn, repair 200, turn, repair 1,"
        .. " failed" }, process())
      assert.equal("The repair was accepted of the first 200 failed nodes, and not of these: n201:"
        .. " it was PERMISSION_DENIED", item.err.hint)
      item.state, item.repair_tried = "accepted", nil
      waits, repairs = { failed(201) }, { refusal "PERMISSION_DENIED" }
      process()
      assert.equal("The repair was not accepted: it was PERMISSION_DENIED", item.err.hint)
      item.state, item.repair_tried, waits, run.disk = "accepted", nil, { failed(1) }, "repair"
      assert.same({ "failed", "JOB_FAILED", "wait new, repair, failed" }, process())
    end)

    it("fails where a job shows one call of several alone", function()
      waits, repairs = { failed(401) }, { false, refusal("TIMEOUT", { maybe_applied = true }) }
      local retry = item.paced.retry_node_rotation
      function item.paced.retry_node_rotation(...)
        job "repair"
        return retry(...)
      end
      assert.same({ "failed", "JOB_FAILED", "wait new, repair, turn, repair 200, turn, repair 200,"
        .. " look, failed" }, process())
      assert.matches("^Whether the API took all of the repair is not known.*: n1 .* n401$",
        item.err.hint)
      -- The start before was killed between two calls.
      item.state, item.repair_tried, waits = "accepted", true, { failed(201) }
      assert.equal("failed", process()[1])
    end)

    it("is not repaired twice, whatever start of the run did it", function()
      item.repair_tried, waits = true, { failed(1) }
      assert.equal("wait new, look, slept 5, look, slept 5, look, slept 5, failed", process()[3])
      assert.same({ "n1" }, item.repaired)
      item.state, item.repair_accepted, waits = "accepted", true, { failed(1) }
      assert.equal("ok", process()[1])
    end)
  end)
end)
