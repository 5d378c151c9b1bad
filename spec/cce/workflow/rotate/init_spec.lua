local cce = require "cce"
local clients = require "spec.support.clients"
local core = require "cce.core"
local errors = require "cce.error"
local journals = require "cce.log.journal"
local pace = require "cce.workflow.pace"
local pki = require "spec.support.peer.pki"
local rotations = require "spec.support.shared.rotations"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

local function seed()
  return tonumber(os.getenv "CCE_TEST_SEED") or math.floor(core.sys.time() * 1000) % 1000000
end

describe("cce.workflow.rotate", function()
  local sim, client, dir, journal

  setup(function() sim = simulator.get() end)

  before_each(function()
    sim:reset()
    sim:set { job_seconds = 0.02 }
    client = rotations.client(sim)
    dir = tempdir.new()
    journal = dir .. "/run.journal"
  end)

  after_each(function()
    client:close()
    tempdir.remove(dir)
  end)

  local function rotate(more)
    local report, message = rotations.rotate(client, more)
    return assert(report, message)
  end

  local function counts(report)
    local list = report:counts()
    return ("%d ok, %d failed, %d skipped, %d uncertain, %d pending"):format(list.ok, list.failed,
      list.skipped, list.uncertain, list.pending)
  end

  local function sent()
    return #sim:log { operation = "rotate_credentials" }
  end

  describe("chooses clusters", function()
    local function chosen(clusters)
      local report = rotate { clusters = clusters, dry_run = true }
      return #report.plan
    end

    it("by ids, each once", function()
      local id = sim.clusters[2].id
      assert.equal(1, chosen { id, id })
      assert.equal(2, chosen { id, sim.clusters[1].id, id })
      assert.equal(5, chosen(assert(client:list_clusters())))
    end)

    it("by a name with wildcards, a version and a phase", function()
      assert.equal(5, chosen { name = "*" })
      assert.equal(1, chosen { name = "cluster-00?", version = "v1.29", status = "Available",
        } - 4)
      assert.equal(1, chosen { name = "cluster-003" })
      sim:set { cluster = sim.clusters[1].id, version = "v1.27.1-r10" }
      assert.equal(1, chosen { version = "v1.27" })
      assert.equal(4, chosen { version = "1.29" })
    end)

    it("by a function", function()
      assert.equal(2, chosen(function(cluster) return cluster.name:match "[12]$" ~= nil end))
    end)

    it("and is done when there is none, which opens no run", function()
      local report = rotate { clusters = { name = "other-*" }, journal = journal }
      assert.equal(0, report:exit_code())
      assert.matches("no cluster is chosen: name=other-*", tostring(report), 1, true)
      assert.same({}, journals.read(journal).runs)
    end)

    it("and refuses what names none", function()
      clients.fails("INVALID_ARGUMENT", rotations.rotate(client, { clusters = {} }))
      clients.fails("INVALID_ARGUMENT", rotations.rotate(client, { clusters = { 1 } }))
    end)

    it("of several clients, each cluster once", function()
      local other = rotations.client(sim)
      local report = assert(rotations.rotate({ client, other }, {}))
      other:close()
      assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
      assert.equal(5, sent())
    end)
  end)

  it("rotates all, waits for the jobs, and reports each", function()
    local calls = {}
    local report = rotate { journal = journal, on_progress = function(done, total, failed)
      calls[#calls + 1] = ("%d/%d %d"):format(done, total, failed)
    end }
    assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
    assert.equal(0, report:exit_code())
    assert.equal("5/5 0", calls[#calls])
    for _, item in ipairs(report.ok) do
      assert.matches("^%x+%-", item.job_id)
      assert.matches("^%x+$", item.request_id)
      assert.is_true(item.duration >= 0.02 and item.duration < 600)
      assert.is_nil(item.earlier)
    end
    assert.matches("^rotate .-: 5 ok, 0 failed in ", tostring(report))
    assert.same({}, report.notes)
    for _, job in ipairs(sim:state().jobs) do assert.equal("Success", job.phase) end
  end)

  it("does not wait with wait=false", function()
    sim:set { job_seconds = 3600 }
    local report = rotate { wait = false }
    assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
    assert.equal(0, report:exit_code())
    assert.matches("5 accepted, and not waited for", tostring(report), 1, true)
    for _, item in ipairs(report.ok) do
      assert.equal("accepted, not waited for", item.message)
    end
  end)

  it("excludes what is too old; what is not Available is pending", function()
    sim:set { cluster = sim.clusters[1].id, version = "v1.17.9-r0" }
    sim:set { cluster = sim.clusters[2].id, phase = "Hibernating" }
    sim:set { cluster = sim.clusters[3].id, version = "latest" }
    sim:set { cluster = sim.clusters[4].id, version = "v1.18.20-r4" }
    sim:set { cluster = sim.clusters[5].id, version = "v1.19.1-r0" }
    local report = rotate()
    assert.equal("1 ok, 0 failed, 3 skipped, 0 uncertain, 1 pending", counts(report))
    assert.equal(1, report:exit_code())
    assert.equal(1, sent())
    assert.same({ sim.clusters[3].id, "UNSUPPORTED", "the version of the cluster is not known" },
      { report.skipped[2].cluster_id, report.skipped[2].code, report.skipped[2].message })
    assert.matches("version v1%.18 is too old", tostring(report))
    assert.matches("version v1%.17 is too old", tostring(report))
    assert.matches("the cluster is Hibernating, not Available", tostring(report))
    local err = report.pending[1].err
    assert.same({ "CONFLICT", false, false }, { err.code, err.retryable, err.maybe_applied })
  end)

  it("takes no turn for what the list speaks against", function()
    for i = 1, 4 do sim:set { cluster = sim.clusters[i].id, phase = "Hibernating" } end
    local longest = 0
    function client.sleep(seconds) longest = math.max(longest, seconds) end
    assert.equal("1 ok, 0 failed, 0 skipped, 0 uncertain, 4 pending",
      counts(rotate { rate_limit = "1/h", concurrency = 1 }))
    assert.is_true(longest < 3000)
  end)

  it("reports jobs whose sub-jobs failed, and goes on", function()
    sim:set { cluster = sim.clusters[3].id, job_outcome = "Failed" }
    local report = rotate()
    assert.equal("4 ok, 1 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
    assert.equal("JOB_FAILED", report.failed[1].code)
    assert.matches("node is not reachable", report.failed[1].message)
    assert.equal(1, report:exit_code())
  end)

  it("reports a cluster that is not there", function()
    local report = rotate { clusters = { "c1050000-none", sim.clusters[1].id } }
    assert.equal("1 ok, 1 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
    assert.equal("NOT_FOUND", report.failed[1].code)
  end)

  describe("with a canary", function()
    it("stops before the second cluster when it fails", function()
      sim:set { cluster = sim.clusters[1].id, job_outcome = "Failed" }
      local report = rotate { canary = 1, journal = journal }
      assert.equal("0 ok, 1 failed, 0 skipped, 0 uncertain, 4 pending", counts(report))
      assert.matches("the canary cluster%-001 failed: retry_failed=true resends it",
        report.stopped)
      assert.equal(1, report:exit_code())
      assert.equal(1, sent())
      -- Nor does the same call go on, until a person says so.
      assert.equal("0 ok, 1 failed, 0 skipped, 0 uncertain, 4 pending", counts(rotate {
        canary = 1, journal = journal }))
      assert.equal(1, sent())
      assert.equal("4 ok, 1 failed, 0 skipped, 0 uncertain, 0 pending", counts(rotate {
        journal = journal }))
      assert.equal(5, sent())
    end)

    it("stops when it is uncertain", function()
      sim:fault { operation = "rotate_credentials", reset = "before", times = 1 }
      local report = rotate { canary = 2, journal = journal }
      assert.equal("0 ok, 0 failed, 0 skipped, 1 uncertain, 4 pending", counts(report))
      assert.matches(("cce runs settle %s %s --journal %s"):format(report.run,
        sim.clusters[1].id, journal), report.stopped, 1, true)
      -- However often it is started: not one cluster more.
      for _ = 1, 5 do
        report = rotate { canary = 2, journal = journal }
        assert.equal("0 ok, 0 failed, 0 skipped, 1 uncertain, 4 pending", counts(report))
        assert.equal(2, report:exit_code())
      end
      assert.equal(1, sent())
    end)

    it("does not open by an answer of 500", function()
      sim:fault { operation = "rotate_credentials", status = 500, times = 1 }
      for _ = 1, 3 do rotate { canary = 1, journal = journal } end
      assert.equal(1, sent())
      assert.equal(5, rotate({ canary = 0, journal = journal }):counts().total)
      assert.equal(5, sent())
    end)

    it("stops when it is refused, which is no matter of its cluster", function()
      sim:fault { operation = "rotate_credentials", status = 403 }
      local report = rotate { canary = 1 }
      assert.equal("0 ok, 0 failed, 0 skipped, 0 uncertain, 5 pending", counts(report))
      assert.matches("the canary cluster%-001 is not done %(.+%): the same call tries it again",
        report.stopped)
      assert.equal(1, sent())
    end)

    it("asks no more once so many are ok: what fails then stops nothing", function()
      sim:set { cluster = sim.clusters[3].id, job_outcome = "Failed" }
      assert.equal("4 ok, 1 failed, 0 skipped, 0 uncertain, 0 pending", counts(rotate {
        canary = 2, concurrency = 1 }))
      -- Nor does it at the next start.
      local opts = { canary = 2, concurrency = 1, journal = journal,
        on_progress = function() return sent() < 5 + 3 end }
      assert.equal("2 ok, 1 failed, 0 skipped, 0 uncertain, 2 pending", counts(rotate(opts)))
      opts.on_progress = nil
      assert.equal("4 ok, 1 failed, 0 skipped, 0 uncertain, 0 pending", counts(rotate(opts)))
    end)

    it("says what to do where there is no journal, and which one has no name", function()
      sim:fault { operation = "rotate_credentials", reset = "before", times = 1 }
      assert.equal("the canary cluster-001 is uncertain: look at the cluster whether it was"
        .. " rotated; canary=0 goes on nevertheless", rotate({ canary = 1 }).stopped)
      assert.matches("^the canary c1%-none failed: retry_failed=true resends it",
        rotate({ canary = 1, clusters = { "c1-none", sim.clusters[1].id } }).stopped)
    end)

    it("takes the next one for a canary whose cluster is not Available", function()
      sim:set { cluster = sim.clusters[1].id, phase = "Hibernating" }
      sim:set { cluster = sim.clusters[2].id, job_outcome = "Failed" }
      rotate { canary = 1 }
      assert.equal(1, sent())
      -- Nor is the first one tried again when the others are.
      sim:reset()
      sim:set { cluster = sim.clusters[1].id, phase = "Hibernating" }
      local looked = #sim:log { operation = "show_cluster", cluster = sim.clusters[1].id }
      assert.equal("4 ok, 0 failed, 0 skipped, 0 uncertain, 1 pending", counts(rotate {
        canary = 1 }))
      assert.equal(looked + 2, #sim:log { operation = "show_cluster",
        cluster = sim.clusters[1].id })
    end)
  end)

  it("sends nothing that waited for its turn when the run was stopped meanwhile", function()
    sim:fault { operation = "rotate_credentials", status = 400 }
    local passed, has_failed = 0, false
    local limited = rotations.client(sim, {
      monotonic = function() return core.sys.monotonic() + passed end })
    -- A turn of an hour comes once the first one is known to have failed.
    function limited.sleep(seconds)
      while seconds > 1000 and not has_failed do cce.sleep(0.01) end
      passed = passed + seconds
    end
    local report = assert(rotations.rotate(limited, { rate_limit = "1/h", concurrency = 2,
      max_failures = 1, on_progress = function() has_failed = true end }))
    limited:close()
    assert.equal(1, sent())
    assert.equal("0 ok, 1 failed, 0 skipped, 0 uncertain, 4 pending", counts(report))
  end)

  it("takes what was refused for refused, whatever rotates there, unless it was locked", function()
    local found = {}
    for status, is_elsewhere in pairs { [400] = true, [409] = false } do
      sim:clear_faults()
      local id = sim.clusters[is_elsewhere and 1 or 2].id
      found[status] = counts(rotate { clusters = { id }, before_send = function()
        if is_elsewhere then assert(client:rotate_credentials(id, { component = "all" })) end
        sim:fault { operation = "rotate_credentials", cluster = id, status = status }
        return math.huge
      end })
    end
    assert.same({ [400] = "0 ok, 1 failed, 0 skipped, 0 uncertain, 0 pending",
      [409] = "0 ok, 0 failed, 0 skipped, 0 uncertain, 1 pending" }, found)
  end)

  it("stops at max_failures", function()
    sim:fault { operation = "rotate_credentials", status = 403 }
    for limit, expected in pairs { [2] = 2, ["40%"] = 2, ["1%"] = 1 } do
      sim:reset()
      sim:fault { operation = "rotate_credentials", status = 403 }
      local report = rotate { max_failures = limit, concurrency = 1 }
      assert.equal(5, #report.pending)
      assert.equal(expected, sent())
      assert.matches("max_failures", report.stopped)
    end
    for _, limit in ipairs { 0, 1.5, "ten", "0%", "101%" } do
      clients.fails("INVALID_ARGUMENT", rotations.rotate(client, { max_failures = limit }))
    end
  end)

  it("stops when on_progress returns false", function()
    local report = rotate { concurrency = 1, on_progress = function(done) return done < 2 end }
    assert.equal("2 ok, 0 failed, 0 skipped, 0 uncertain, 3 pending", counts(report))
    assert.equal(2, report:exit_code())
  end)

  it("passes on what on_progress raises, and can be resumed after it", function()
    local ok, message = pcall(rotations.rotate, client, { journal = journal, concurrency = 1,
      on_progress = function() error("no more", 0) end })
    assert.is_false(ok)
    assert.equal("no more", message)
    assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending",
      counts(rotate { journal = journal }))
    assert.equal(5, sent())
  end)

  it("draws its progress, and ends the bar before the report", function()
    local text = {}
    local stream = { write = function(_, part) text[#text + 1] = part end }
    rotate { on_progress = cce.progress { stream = stream, is_terminal = true, width = 60,
      label = "rotate" } }
    assert.matches("rotate", text[1], 1, true)
    assert.matches("5/5", text[#text], 1, true)
    assert.equal("\n", text[#text]:sub(-1))
  end)

  it("is logged by the client's audit log, and sends nothing that is not", function()
    client:close()
    client = rotations.client(sim, { audit_log = dir .. "/audit.log" })
    assert.equal(0, rotate():exit_code())
    assert.equal(10, assert(cce.audit_log.verify(dir .. "/audit.log")).count)
    client:close()
    client = rotations.client(sim, { audit_log = dir .. "/none/audit.log" })
    assert.equal("0 ok, 0 failed, 0 skipped, 0 uncertain, 5 pending", counts(rotate()))
    assert.equal(5, sent())
  end)

  it("runs in turns with other work of a map", function()
    local results = cce.map({ 1, 2 }, function(i)
      return rotate { clusters = { sim.clusters[i].id } }
    end)
    for _, result in ipairs(results) do assert.equal(1, #result.value.ok, result.message) end
  end)

  describe("when the answer is lost", function()
    it("settles it by the job that the cluster names", function()
      sim:fault { operation = "rotate_credentials", reset = "after" }
      local report = rotate { journal = journal }
      assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
      assert.equal("status.jobID", report.ok[1].settled_by)
      assert.equal(5, sent())
    end)

    it("leaves it uncertain when nothing shows it, and says what would", function()
      sim:fault { operation = "rotate_credentials", cluster = sim.clusters[2].id, status = 502 }
      local report = rotate { journal = journal }
      assert.equal("4 ok, 0 failed, 0 skipped, 1 uncertain, 0 pending", counts(report))
      assert.equal(2, report:exit_code())
      assert.equal(5, sent())
      local item = report.uncertain[1]
      assert.matches("show_cluster(\"" .. sim.clusters[2].id .. "\").raw.status.jobID", item.hint,
        1, true)
      assert.equal("SERVER_ERROR", item.code)
      assert.matches("^%x+$", item.request_id)
    end)

    it("takes a job of before for no evidence", function()
      assert(client:rotate_credentials(sim.clusters[1].id, { component = "all" }))
      core.sys.sleep(0.05)
      sim:fault { operation = "rotate_credentials", cluster = sim.clusters[1].id,
        reset = "before", times = 1 }
      local report = rotate { clusters = { sim.clusters[1].id } }
      assert.equal("0 ok, 0 failed, 0 skipped, 1 uncertain, 0 pending", counts(report))
    end)

    it("follows the job through failing looks", function()
      sim:fault { operation = "show_job", reset = "before", times = 30 }
      assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(rotate()))
    end)

    it("looks every five seconds unless told otherwise", function()
      local longest = 0
      function client.sleep(seconds) longest = math.max(longest, seconds) end
      sim:fault { operation = "show_job", reset = "before", times = 30 }
      rotate { wait = { timeout = 120 } }
      assert.equal(5, longest)
    end)

    it("is uncertain of a request amid which something was raised", function()
      function client.rotate_credentials() error "mine" end
      assert.equal("0 ok, 0 failed, 0 skipped, 1 uncertain, 0 pending",
        counts(rotate { clusters = { sim.clusters[1].id } }))
    end)

    it("asks no more for a job that it may not see", function()
      for _, fault in ipairs { { status = 403 }, { status = 404 }, { status = 404,
        body = '{"error_code":"APIGW.0101","error_msg":"no"}' } } do
        sim:reset()
        fault.operation = "show_job"
        sim:fault(fault)
        local report = rotate { clusters = { sim.clusters[1].id },
          wait = { interval = 0.02, timeout = 2 } }
        assert.equal(1, #report.uncertain)
        assert.is_true(#sim:log { operation = "show_job" } < 3)
      end
    end)

    it("is uncertain of a job that nobody knows any more", function()
      sim:fault { operation = "show_job", status = 404 }
      local report = rotate { clusters = { sim.clusters[1].id } }
      assert.equal("0 ok, 0 failed, 0 skipped, 1 uncertain, 0 pending", counts(report))
      assert.matches("client:wait_job", report.uncertain[1].hint, 1, true)
    end)
  end)

  -- A journal that takes no line of a kind, or in which no room can be reserved; until the
  -- function that it returns is called.
  local function fill_disk(kind, has_no_room)
    local open = core.journal
    core.journal = function(...)
      local file, message, code = open(...)
      if not file then return nil, message, code end
      return setmetatable({
        append = function(_, line, ...)
          if kind and line:find(('"what":"%s"'):format(kind), 1, true) then
            return nil, "no space left on device", "FILE_ERROR"
          end
          return file:append(line, ...)
        end,
        reserve = function(_, ...)
          if has_no_room then return nil, "no space left on device", "FILE_ERROR" end
          return file:reserve(...)
        end,
      }, { __index = function(_, name)
        return function(_, ...) return file[name](file, ...) end
      end })
    end
    return function() core.journal = open end
  end

  describe("repairs", function()
    local asked

    -- Stands for the retry of nodes; `after` is what the simulator then does.
    local function repairing(after)
      asked = {}
      client.retry_node_rotation = function(_, id, opts)
        asked[#asked + 1] = id .. " " .. table.concat(opts.node_ids, " ")
        return after(id)
      end
    end

    local function new_job(id)
      sim:set { cluster = id, job_outcome = "Success" }
      return client:rotate_credentials(id, { component = "all" }) ~= nil
    end

    before_each(function()
      sim:set { cluster = sim.clusters[2].id, job_outcome = "Failed" }
    end)

    it("the nodes that failed, by the API of the simulator", function()
      local count = 0
      local report = rotate { repair = true, before_send = function()
        count = count + 1
        return math.huge
      end }
      assert.equal(6, count)
      assert.equal(1, #sim:log { operation = "retry_node_rotation", accepted = true })
      assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
    end)

    it("the nodes that failed, and follows the job of that", function()
      repairing(new_job)
      local report = rotate { repair = true, journal = journal }
      assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
      assert.equal(1, #asked)
      assert.matches("^" .. sim.clusters[2].id:gsub("%p", "%%%0") .. " [%w-]+$", asked[1])
      assert.matches('"what":"repair"', tempdir.read(journal))
    end)

    it("and notes it when no job shows what came of it", function()
      repairing(function() return true end)
      local report = rotate { repair = true }
      assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
      assert.matches("1 failed node was told to rotate again", report.notes[1])
      assert.matches(asked[1]:match " (.*)", report.notes[1], 1, true)
    end)

    it("and says when their job fails as well", function()
      repairing(function(id)
        return client:rotate_credentials(id, { component = "all" }) ~= nil
      end)
      local report = rotate { repair = true }
      assert.equal("4 ok, 1 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
    end)

    it("and says why when that is refused", function()
      repairing(function()
        return nil, "no", errors.new("PERMISSION_DENIED", "not allowed")
      end)
      local report = rotate { repair = true }
      assert.equal("4 ok, 1 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
      assert.equal("The repair was not accepted: not allowed", report.failed[1].hint)
    end)

    it("and calls it ok only where the API took it or a job shows it", function()
      local function lost()
        return nil, "lost", errors.new("TIMEOUT", "lost", { maybe_applied = true })
      end
      repairing(lost)
      local report = rotate { repair = true }
      assert.equal("4 ok, 1 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
      assert.matches("^Whether the API took the repair is not known, and no job shows it: look at"
        .. " these nodes: %S+$", report.failed[1].hint)
      sim:reset()
      sim:set { job_seconds = 0.02, cluster = sim.clusters[2].id, job_outcome = "Failed" }
      repairing(function(id)
        new_job(id)
        return lost()
      end)
      assert.equal(5, #rotate({ repair = true }).ok)
    end)

    it("and leaves it open where the cluster cannot be looked at", function()
      repairing(function()
        sim:fault { operation = "show_cluster", cluster = sim.clusters[2].id, status = 403 }
        return true
      end)
      local report = rotate { repair = true, journal = journal }
      assert.equal("4 ok, 0 failed, 0 skipped, 1 uncertain, 0 pending", counts(report))
      assert.matches("^1 failed node was told to rotate again, and what became of that is not"
        .. " known: show_cluster", report.uncertain[1].err.message)
      sim:clear_faults()
      assert.equal(5, #rotate({ repair = true, journal = journal }).ok)
      assert.equal(1, #asked)
    end)

    it("only when told to", function()
      repairing(function() return true end)
      local report = rotate()
      assert.equal(0, #asked)
      assert.matches("repair=true", report.failed[1].hint)
    end)

    it("only with its line on disk", function()
      repairing(function() return true end)
      finally(fill_disk "repair")
      rotate { repair = true, journal = journal }
      assert.equal(0, #asked)
    end)

    it("once, whatever start of the run", function()
      repairing(function() return true end)
      rotate { repair = true, journal = journal }
      local text = tempdir.read(journal)
      -- As if killed after the answer to the repair, and before it.
      for count = 1, 2 do
        text = text:match('^(.*"what":"repair"[^\n]*\n)')
        tempdir.write(journal, text)
        local report = rotate { repair = true, journal = journal }
        assert.equal(count == 1 and 0 or 1, #report.failed)
        assert.equal(1, #asked)
        text = text:match('^(.*\n)[^\n]*\n$')
      end
    end)

    it("once, also in a run that is not the last of its journal", function()
      repairing(function() return true end)
      local function start(wait)
        return rotate { repair = true, journal = journal, run = "one", wait = wait,
          clusters = { sim.clusters[2].id } }
      end
      sim:set { job_seconds = 60 }
      assert.equal(1, #start({ interval = 0.02, timeout = 0.05 }).uncertain)
      rotate { journal = journal, run = "two", clusters = { sim.clusters[1].id }, wait = false }
      sim:clock(60)
      assert.equal(0, start():exit_code())
      tempdir.write(journal, tempdir.read(journal):match('^.*"what":"repair"[^\n]*\n'))
      assert.equal(0, start():exit_code())
      assert.equal(1, #asked)
    end)
  end)

  it("settles by a trace of the simulator's CTS", function()
    client:close()
    client = rotations.client(sim, { endpoints = { cce = sim.env.CCE_ENDPOINT,
      cts = sim.env.CCE_CTS_ENDPOINT } })
    sim:fault { operation = "rotate_credentials", cluster = sim.clusters[1].id, reset = "after" }
    local show = client.show_cluster
    client.show_cluster = function(self, id)
      local cluster, message, err = show(self, id)
      if cluster and id == sim.clusters[1].id then cluster.raw.status.jobID = nil end
      return cluster, message, err
    end
    local report = rotate()
    assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
    local settled = {}
    for _, item in ipairs(report.ok) do settled[#settled + 1] = item.settled_by end
    assert.matches("^CTS trace ", settled[1])
    assert.equal(1, #settled)
    -- Its job is followed where the trace names it; else the report says that nobody did.
    sim:reset()
    sim:set { cluster = sim.clusters[1].id, job_outcome = "Failed" }
    sim:fault { operation = "rotate_credentials", cluster = sim.clusters[1].id, reset = "after" }
    local opts = { clusters = { sim.clusters[1].id } }
    assert.equal("JOB_FAILED", rotate(opts).failed[1].code)
    sim:reset()
    sim:fault { operation = "rotate_credentials", cluster = sim.clusters[1].id, reset = "after" }
    local list = client.list_traces
    client.list_traces = function(...)
      local traces, message, err = list(...)
      for _, trace in ipairs(traces or {}) do trace.raw.response = nil end
      return traces, message, err
    end
    assert.equal("accepted; neither its job nor how it ended is known",
      rotate(opts).ok[1].message)
  end)

  it("settles by a trace that comes late, at the next call", function()
    client:close()
    client = rotations.client(sim, { endpoints = { cce = sim.env.CCE_ENDPOINT,
      cts = sim.env.CCE_CTS_ENDPOINT } })
    sim:cts_late(3600)
    sim:fault { operation = "rotate_credentials", cluster = sim.clusters[1].id, reset = "after" }
    local show = client.show_cluster
    client.show_cluster = function(self, id)
      local cluster, message, err = show(self, id)
      if cluster then cluster.raw.status.jobID = nil end
      return cluster, message, err
    end
    local opts = { journal = journal, clusters = { sim.clusters[1].id } }
    assert.equal(2, rotate(opts):exit_code())
    sim:clock(3601)
    local report = rotate(opts)
    assert.equal(0, report:exit_code())
    assert.matches("^CTS trace ", report.ok[1].settled_by)
    assert.equal(1, sent())
  end)

  it("looks again at the end of the call at what was uncertain", function()
    sim:fault { operation = "rotate_credentials", cluster = sim.clusters[1].id, status = 502 }
    local looks = 0
    client.list_traces = function(_, query)
      looks = looks + 1
      return looks > 1 and { { id = "t", name = "RotateClusterCredentials", ok = true,
        time = query.from, resource_id = sim.clusters[1].id } } or { window = { complete = true } }
    end
    local report = rotate()
    assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
    assert.equal(2, looks)
  end)

  it("takes only a trace that is new, and of this cluster", function()
    sim:fault { operation = "rotate_credentials", cluster = sim.clusters[1].id, status = 502 }
    local asked
    client.list_traces = function(_, query)
      asked = query
      return { { id = "t0", name = "RotateClusterCredentials", ok = true, time = 1,
        resource_id = query.resource_id }, { id = "t1", name = "RotateClusterCredentials",
        ok = true, time = os.time() + 1, resource_id = query.resource_id } }
    end
    local report = rotate()
    assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
    assert.equal("CCE", asked.service)
    local settled = {}
    for _, item in ipairs(report.ok) do settled[#settled + 1] = item.settled_by end
    assert.same({ "CTS trace t1" }, settled)
  end)

  describe("with a journal", function()
    it("writes lines that a person can read, the intent before the request", function()
      rotate { journal = journal, clusters = { sim.clusters[1].id }, run = "one" }
      local words = {}
      for line in tempdir.read(journal):gmatch "[^\n]+" do
        local entry = core.json.decode(line)
        words[#words + 1] = entry.what
        assert.matches("^{\"at\":\"%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ\",\"what\":\"",
          (line:gsub('^{"file":"lua%-cce run journal",', "{")))
      end
      assert.same({ "run", "planned", "begun", "intent", "accepted", "ok", "finished" }, words)
      assert.equal("0600", core.file.stat(journal).mode)
    end)

    it("sends nothing when the run has finished, and says so", function()
      sim:fault { cluster = sim.clusters[1].id, operation = "rotate_credentials", status = 400 }
      local first = rotate { journal = journal }
      local second = rotate { journal = journal }
      assert.equal(5, sent())
      assert.is_number(second.already_finished)
      -- It failed for good, also when it is asked again.
      assert.equal(1, second:exit_code())
      assert.equal(counts(first), counts(second))
      assert.equal(first.failed[1].message, second.failed[1].message)
      assert.equal(first.failed[1].code, second.failed[1].code)
      assert.is_number(second.ok[1].duration)
      assert.is_true(second.ok[1].earlier)
      assert.matches("NOTHING WAS DONE", tostring(second), 1, true)
    end)

    it("begins another run for another name: the second night of cron", function()
      assert.equal(0, rotate({ journal = journal, run = "2026-11-20" }):exit_code())
      local second = rotate { journal = journal, run = "2026-11-21" }
      assert.equal(0, second:exit_code())
      assert.is_nil(second.already_finished)
      assert.equal("2026-11-21", second.run)
      assert.equal(10, sent())
      assert.matches("5 clusters were rotated less than 24 h ago, such as cluster-001 at 2",
        second.notes[1], 1, true)
      assert.equal(3, rotate({ journal = journal, run = "2026-11-21" }):exit_code())
      assert.equal(3, rotate({ journal = journal, run = "2026-11-20" }):exit_code())
      assert.equal(10, sent())
    end)

    it("hands over what is pending to the new night's run", function()
      local stop = function(done) return done < 2 end
      rotate { journal = journal, run = "2026-11-20", concurrency = 1, on_progress = stop }
      local second = rotate { journal = journal, run = "2026-11-21", canary = 1 }
      assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(second))
      assert.equal("2026-11-21", second.run)
      assert.equal(7, sent())
      -- The night before has nothing left to do.
      local first = rotate { journal = journal, run = "2026-11-20" }
      assert.equal("2 ok, 0 failed, 3 skipped, 0 uncertain, 0 pending", counts(first))
      assert.equal(3, first:exit_code())
      assert.matches("handed over to run 2026%-11%-21", first.skipped[1].message)
      assert.equal(7, sent())
    end)

    it("leaves what is pending to the run of its component", function()
      rotate { journal = journal, run = "all", concurrency = 1,
        on_progress = function() return false end }
      assert.equal(0, rotate({ journal = journal, run = "tokens",
        component = "service-account-controller" }):exit_code())
      assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending",
        counts(rotate { journal = journal, run = "all" }))
      assert.equal(10, sent())
    end)

    it("leaves alone what is uncertain in another run, until it is settled", function()
      local id = sim.clusters[2].id
      sim:fault { operation = "rotate_credentials", cluster = id, status = 502, times = 1 }
      rotate { journal = journal, run = "one" }
      local report = rotate { journal = journal, run = "two" }
      assert.equal("4 ok, 0 failed, 0 skipped, 0 uncertain, 1 pending", counts(report))
      assert.matches("cluster-002: uncertain in run one: it is looked at first",
        tostring(rotate { journal = journal, run = "two", dry_run = true }), 1, true)
      assert.matches("uncertain in run one, so nothing is sent", report.pending[1].message, 1, true)
      assert.matches("cce runs settle one " .. id, report.pending[1].hint, 1, true)
      assert.equal("4 ok, 0 failed, 0 skipped, 0 uncertain, 1 pending",
        counts(rotate { journal = journal, run = "two" }))
      assert.equal(9, sent())
      -- Nor does a third one, which takes it over from the second.
      report = rotate { journal = journal, run = "three", clusters = { id } }
      assert.equal("0 ok, 0 failed, 0 skipped, 0 uncertain, 1 pending", counts(report))
      assert.matches("uncertain in run one", report.pending[1].message, 1, true)
      assert.equal(9, sent())
      assert(require("cce.workflow.runs").settle(journal, { run = "one", cluster = id,
        happened = false }))
      report = rotate { journal = journal, run = "three", clusters = { id } }
      assert.equal("1 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
      -- Of the second it was handed over.
      assert.equal(3, rotate({ journal = journal, run = "two" }):exit_code())
      assert.equal(10, sent())
    end)

    it("refuses another plan, unless it has another name", function()
      local stop = function() return false end
      rotate { journal = journal, concurrency = 1, on_progress = stop }
      local id = sim.clusters[1].id
      for _, other in ipairs { { clusters = { id } }, { component = "service-account-controller" },
        { certificate_expiration_time = 48 } } do
        other.journal = journal
        local err = clients.fails("CONFLICT", rotations.rotate(client, other))
        assert.matches("another plan", err.message)
        assert.matches("cce runs discard 2%d+.-Z? %-%-journal", err.hint)
      end
      assert.equal(1, sent())
      rotate { journal = journal }
      clients.fails("CONFLICT", rotations.rotate(client, { journal = journal,
        clusters = { id } }))
      rotate { journal = journal, clusters = { id }, run = "another" }
      assert.equal(6, sent())
    end)

    it("does what is pending, and only that", function()
      sim:fault { operation = "show_cluster", cluster = sim.clusters[1].id, status = 500 }
      sim:fault { operation = "rotate_credentials", cluster = sim.clusters[2].id, status = 403 }
      local report = rotate { journal = journal }
      assert.equal("3 ok, 0 failed, 0 skipped, 0 uncertain, 2 pending", counts(report))
      assert.equal(2, report:exit_code())
      local seen = sent()
      sim:reset()
      report = rotate { journal = journal }
      assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
      assert.equal(0, report:exit_code())
      assert.equal(4, seen)
      assert.equal(2, sent())
      assert.equal(3, rotate({ journal = journal }):exit_code())
    end)

    it("stops with a key that is refused, and goes on once it is mended", function()
      -- As the gateway answers when somebody deletes the key amid the run.
      local body = '{"error_code":"APIGW.0301","error_msg":"Incorrect IAM authentication"}'
      rotate { journal = journal, concurrency = 1, on_progress = function(done)
        if done == 2 then sim:fault { operation = "show_cluster", status = 401, body = body } end
      end }
      assert.equal(2, sent())
      assert.is_true(#sim:log { operation = "show_cluster", status = 401 } <= 2)
      sim:clear_faults()
      local report = rotate { journal = journal }
      assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
      assert.equal(0, report:exit_code())
      assert.equal(5, sent())
    end)

    it("looks again at a job that outlived wait.timeout", function()
      sim:set { job_seconds = 60 }
      local report = rotate { journal = journal, wait = { interval = 0.02, timeout = 0.05 } }
      assert.equal("0 ok, 0 failed, 0 skipped, 5 uncertain, 0 pending", counts(report))
      assert.equal(2, report:exit_code())
      sim:clock(60)
      report = rotate { journal = journal }
      assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
      assert.equal(0, report:exit_code())
      assert.equal(5, sent())
    end)

    it("resends a failed job only when told, after a look at the cluster", function()
      sim:set { cluster = sim.clusters[3].id, job_outcome = "Failed" }
      local hint = rotate({ journal = journal }).failed[1].hint
      assert.matches("repair=true", hint, 1, true)
      local again = rotate { journal = journal }
      assert.same({ 1, hint }, { again:exit_code(), again.failed[1].hint })
      assert.equal(5, sent())
      sim:set { cluster = sim.clusters[3].id, job_outcome = "Success" }
      local report = rotate { journal = journal, retry_failed = true }
      assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
      assert.equal(6, sent())
      assert.equal(3, rotate({ journal = journal, retry_failed = true }):exit_code())
    end)

    it("does not resend a failed job that somebody did over", function()
      sim:set { cluster = sim.clusters[3].id, job_outcome = "Failed" }
      rotate { journal = journal }
      sim:set { cluster = sim.clusters[3].id, job_outcome = "Success" }
      assert(client:rotate_credentials(sim.clusters[3].id, { component = "all" }))
      local report = rotate { journal = journal, retry_failed = true }
      assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
      assert.equal(6, sent())
    end)

    it("does not resend a failed job where the job after it cannot be looked at", function()
      sim:set { cluster = sim.clusters[3].id, job_outcome = "Failed" }
      rotate { journal = journal }
      sim:set { cluster = sim.clusters[3].id, job_outcome = "Success" }
      assert(client:rotate_credentials(sim.clusters[3].id, { component = "all" }))
      sim:fault { operation = "show_job", status = 400 }
      local report = rotate { journal = journal, retry_failed = true }
      assert.equal("4 ok, 0 failed, 0 skipped, 0 uncertain, 1 pending", counts(report))
      assert.matches("^nothing was sent, since the cluster names another job than the one that"
        .. " failed, and that one cannot be looked at: show_job job %S+: HTTP 400",
        report.pending[1].err.message)
      assert.equal(6, sent())
      sim:clear_faults()
      assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending",
        counts(rotate { journal = journal }))
      assert.equal(6, sent())
    end)

    it("does not take the old job for the answer of a resent one that was lost", function()
      local id = sim.clusters[3].id
      sim:set { cluster = id, job_outcome = "Failed" }
      rotate { journal = journal }
      sim:fault { operation = "rotate_credentials", cluster = id, reset = "before", times = 1 }
      rotate { journal = journal, retry_failed = true }
      local report = rotate { journal = journal, retry_failed = true }
      assert.equal("4 ok, 0 failed, 0 skipped, 1 uncertain, 0 pending", counts(report))
      assert.equal(6, sent())
    end)

    it("does not take a job that a person called not done for that of a lost request", function()
      local id = sim.clusters[3].id
      sim:set { job_seconds = 60 }
      rotate { journal = journal, clusters = { id }, wait = { interval = 0.02, timeout = 0.05 } }
      assert(require("cce.workflow.runs").settle(journal, { cluster = id, happened = false }))
      sim:clock(60)
      sim:fault { operation = "rotate_credentials", cluster = id, reset = "before", times = 1 }
      for _ = 1, 2 do
        local report = rotate { journal = journal, clusters = { id } }
        assert.equal("0 ok, 0 failed, 0 skipped, 1 uncertain, 0 pending", counts(report))
      end
      assert.equal(2, sent())
    end)

    -- A file that takes no intent: it cannot be written, or there is no room for what follows.
    for _, what in ipairs { "append", "reserve" } do
      it("sends nothing whose intent cannot be written: " .. what, function()
        local mend = fill_disk(what == "append" and "intent", what == "reserve")
        finally(mend)
        local report = rotate { journal = journal, concurrency = 1 }
        assert.equal(0, sent())
        assert.equal("0 ok, 0 failed, 0 skipped, 0 uncertain, 5 pending", counts(report))
        assert.matches("the journal cannot be written", report.stopped)
        assert.equal("FILE_ERROR", report.pending[1].code)
        assert.equal(2, report:exit_code())
        mend()
        assert.equal(0, rotate({ journal = journal }):exit_code())
        assert.equal(5, sent())
      end)
    end

    it("is held by one run at a time", function()
      local holder = assert(core.journal(journal, "run journal"))
      clients.fails("CONFLICT", rotations.rotate(client, { journal = journal }))
      holder:close()
      assert.equal(0, sent())
    end)

    it("is cut off where a line was torn, and refused where one is damaged", function()
      rotate { journal = journal }
      local text = tempdir.read(journal)
      tempdir.write(journal, text .. '{"at":"2026-')
      assert.equal(3, rotate({ journal = journal }):exit_code())
      assert.equal(text, tempdir.read(journal))
      tempdir.write(journal, text:gsub('"what"', '"wh', 3))
      local err = clients.fails("FILE_ERROR", rotations.rotate(client, { journal = journal }))
      assert.matches("line 1 of the journal", err.message)
      assert.equal(5, sent())
    end)

    it("can be cut at any line: no cluster is sent to twice", function()
      rotate { journal = journal, concurrency = 2 }
      local lines = {}
      for line in tempdir.read(journal):gmatch "[^\n]*\n" do lines[#lines + 1] = line end
      for count = 7, #lines do
        local kept = table.concat(lines, "", 1, count)
        tempdir.write(journal, kept)
        local intended = select(2, kept:gsub('"what":"intent"', ""))
        sim:reset()
        sim:set { job_seconds = 0 }
        local report = rotate { journal = journal }
        assert.equal(5 - intended, sent(), count)
        assert.equal(5, report:counts().total)
        for _, item in ipairs(report.uncertain) do
          assert.are_not.equal("RAISED", item.code, item.message)
        end
      end
    end)

    it("leaves the clusters that a function does not choose any more", function()
      local wanted = { ["cluster-001"] = true, ["cluster-002"] = true, ["cluster-003"] = true }
      local function choose(cluster) return wanted[cluster.name] end
      rotate { clusters = choose, journal = journal, concurrency = 1,
        on_progress = function() return false end }
      wanted["cluster-003"] = nil
      -- What no list has any more it cannot be asked about.
      sim:fault { operation = "list_clusters", status = 200, body = '{"items":[]}', times = 1 }
      local opts = { clusters = choose, journal = journal, concurrency = 1,
        on_progress = function() return false end }
      assert.equal("2 ok, 0 failed, 0 skipped, 0 uncertain, 1 pending", counts(rotate(opts)))
      opts.on_progress = nil
      local report = rotate(opts)
      assert.equal("2 ok, 0 failed, 1 skipped, 0 uncertain, 0 pending", counts(report))
      assert.equal(3, rotate(opts):exit_code())
      assert.equal(2, sent())
    end)

    it("in no directory is an error before anything is sent", function()
      clients.fails("FILE_ERROR", rotations.rotate(client, { journal = dir .. "/none/x" }))
      assert.equal(0, sent())
    end)
  end)

  describe("unless_rotated_within", function()
    before_each(function()
      client:close()
      client = rotations.client(sim, { endpoints = { cce = sim.env.CCE_ENDPOINT,
        cts = sim.env.CCE_CTS_ENDPOINT } })
    end)

    it("leaves out what anybody rotated since then, and says who and when", function()
      assert(client:rotate_credentials(sim.clusters[2].id, { component = "all" }))
      local report = rotate { unless_rotated_within = "24h" }
      assert.equal("4 ok, 0 failed, 1 skipped, 0 uncertain, 0 pending", counts(report))
      assert.equal(0, report:exit_code())
      assert.matches("rotated at 2%S+ by admin, job %S+ %(%u%l+%), and unless_rotated_within is 24"
        .. " hours", report.skipped[1].message)
      assert.equal("0 ok, 0 failed, 5 skipped, 0 uncertain, 0 pending",
        counts(rotate { unless_rotated_within = "24h" }))
      local plan = rotate { unless_rotated_within = "24h", dry_run = true }
      assert.same({ 0, 5 }, { #plan.plan, #plan.skipped })
      assert.not_matches("component:", tostring(plan))
      assert.equal(5, sent())
      assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(rotate()))
    end)

    local function traces_of(...)
      local list = { window = { complete = true }, ... }
      client.list_traces = function() return list end
      sim:reset()
      return #rotate({ unless_rotated_within = "24h", clusters = { sim.clusters[1].id } }).skipped
    end

    it("counts only a trace of a rotation of this cluster that was accepted since then", function()
      local fits = { id = "t", name = "RotateClusterCredentials", ok = true, time = os.time() - 60,
        resource_id = sim.clusters[1].id, user = { name = "jane" } }
      assert.equal(1, traces_of(fits))
      for field, value in pairs { name = "updateCluster", ok = false,
        resource_id = sim.clusters[2].id, time = os.time() - 25 * 3600 } do
        local trace = {}
        for name, each in pairs(fits) do trace[name] = each end
        trace[field] = value
        assert.equal(0, traces_of(trace), field)
      end
    end)

    it("rotates nothing of which that cannot be told", function()
      sim:fault { operation = "list_traces", status = 403 }
      local plan = rotate { unless_rotated_within = "24h", dry_run = true }
      assert.same({ 0, 5 }, { #plan.plan, #plan.pending })
      local report = rotate { unless_rotated_within = "24h", journal = journal, run = "night" }
      assert.equal("0 ok, 0 failed, 0 skipped, 0 uncertain, 5 pending", counts(report))
      assert.equal(2, report:exit_code())
      local entry = report.pending[1]
      assert.equal("PERMISSION_DENIED", entry.err.code)
      assert.matches("^nothing was sent, since its last job and CTS do not tell whether it was"
        .. " rotated within 24 hours: the traces at .*: list_traces: HTTP 403", entry.err.message)
      assert.matches("Let these credentials read CTS", entry.err.hint)
      assert.equal(0, sent())
      sim:clear_faults()
      assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending",
        counts(rotate { unless_rotated_within = "24h", journal = journal, run = "night" }))
      -- The last job of each is a rotation now.
      sim:fault { operation = "list_traces", status = 403 }
      assert.equal("0 ok, 0 failed, 5 skipped, 0 uncertain, 0 pending",
        counts(rotate { unless_rotated_within = "24h" }))
    end)

    it("refuses what is no length of time", function()
      for _, value in ipairs { "often", 0, -1, math.huge, 1e300, 0 / 0, "522w" } do
        clients.fails("INVALID_ARGUMENT", rotations.rotate(client, {
          unless_rotated_within = value }))
      end
    end)
  end)

  describe("asks for what destroys", function()
    it("certificate_expiration_time=0 needs accept_token_loss", function()
      local err = clients.fails("INVALID_ARGUMENT", rotations.rotate(client, {
        certificate_expiration_time = 0 }))
      assert.matches("accept_token_loss", err.hint)
      assert.matches("old ServiceAccount tokens stay valid for no time at all", tostring(rotate {
        certificate_expiration_time = 0, accept_token_loss = true, dry_run = true }), 1, true)
      local report = rotate { certificate_expiration_time = 0, accept_token_loss = true,
        clusters = { sim.clusters[1].id } }
      assert.equal("1 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending", counts(report))
      assert.matches('"certificateExpirationTime":0',
        sim:log({ operation = "rotate_credentials" })[1].body)
    end)

    it("the clusters, and contents for custom", function()
      clients.raises("option 'clusters' is missing", function()
        local report = cce.workflow.rotate(client, {})
        return report
      end)
      clients.fails("INVALID_ARGUMENT", rotations.rotate(client, { component = "custom" }))
      clients.fails("INVALID_ARGUMENT", rotations.rotate(client, { cert_content = {} }))
      for _, name in ipairs { "journal", "run" } do
        clients.fails("INVALID_ARGUMENT", rotations.rotate(client, { [name] = "" }))
      end
      assert.equal(0, sent())
    end)
  end)

  it("brings certificates of one's own, whose contents are a part of the plan", function()
    local from, to = client.clock() - 60, client.clock() + 86400
    local lifetime = { not_before = from, not_after = to }
    local ca, other = pki.authority("one", lifetime), pki.authority("two", lifetime)
    local leaf = pki.issue(ca, { subject = { { "CN", "example" } }, not_before = from,
      not_after = to })
    local content = { ca = ca.pem, cert = leaf.pem, private_key = leaf.key }
    local opts = { component = "custom", cert_content = content, journal = journal,
      clusters = { sim.clusters[1].id } }
    assert.equal(0, rotate(opts):exit_code())
    assert.equal(pki.base64(ca.pem), core.json.decode(
      sim:log({ operation = "rotate_credentials" })[1].body).certContent.ca)
    assert.is_nil(tempdir.read(journal):find("PRIVATE KEY", 1, true))
    assert.equal(3, rotate(opts):exit_code())
    content.ca = ca.pem .. other.pem
    clients.fails("CONFLICT", rotations.rotate(client, opts))
    assert.equal(1, sent())
  end)

  it("with dry_run prints the plan and sends nothing", function()
    sim:set { cluster = sim.clusters[4].id, version = "v1.15.6-r1" }
    local report = rotate { dry_run = true, canary = 1, rate_limit = "2/min", journal = journal }
    local text = tostring(report)
    assert.equal(0, sent())
    assert.is_nil(tempdir.read(journal))
    assert.equal(4, #report.plan)
    assert.is_true(report.dry_run)
    assert.matches("canary  cluster-001  " .. sim.clusters[1].id, text, 1, true)
    assert.matches("rotate  cluster-005", text, 1, true)
    assert.matches("canary cluster-001 " .. sim.clusters[1].id, report.plan[1], 1, true)
    assert.matches("component: all", text, 1, true)
    assert.matches("old ServiceAccount tokens stay valid for 24 h", text, 1, true)
    assert.matches("at 2/min the last request leaves after about 1 min", text, 1, true)
    assert.matches("version v1.15 is too old", text, 1, true)
    assert.equal(0, rotate({ dry_run = true, certificate_expiration_time = 0,
      accept_token_loss = true, clusters = { sim.clusters[1].id } }):exit_code())
    -- With clients of several projects, and what is not known.
    assert.same({ nil, nil }, { report.steps[1].titles[6], report.steps[1][1][6] })
    local other = rotations.client(sim)
    report = assert(rotations.rotate({ client, other }, { dry_run = true,
      clusters = { "c1-none" } }))
    other:close()
    assert.equal("PROJECT", report.steps[1].titles[6])
    assert.same({ "rotate", "-", "c1-none", "-", "-", sim.project_id }, report.steps[1][1])
    assert.equal("rotate c1-none (version not known, status not known): component all, in project "
      .. sim.project_id, report.plan[1])
    -- Of a run that goes on.
    sim:set { cluster = sim.clusters[1].id, version = "v1.15.6-r1" }
    assert.equal(3, #rotate({ journal = journal, concurrency = 1,
      on_progress = function() return sent() < 1 end }).pending)
    report = rotate { journal = journal, dry_run = true }
    assert.equal(3, #report.plan)
    text = tostring(report)
    assert.matches("cluster-002: ok at an earlier start", text, 1, true)
    assert.not_matches("skipped at an earlier start", text)
  end)

  it("sends ten a minute unless told otherwise, over restarts too", function()
    local real, offset = os.time(), 0
    client:close()
    client = rotations.client(sim, { clock = function() return real + offset end })
    client.sleep = function(seconds) offset = offset + seconds end
    rotate { rate_limit = "2/min", journal = journal, wait = false, concurrency = 1,
      on_progress = function(done) return done < 3 end }
    assert.equal(60, offset)
    -- Another process knows of the first by the journal.
    pace.forget()
    rotate { rate_limit = "2/min", journal = journal, wait = false, concurrency = 1 }
    assert.equal(120, offset)
    assert.equal(5, sent())
  end)

  it("obtains the kubeconfigs again that became stale, and checks them", function()
    local report = rotate { reissue = { dir = dir, duration = 1 }, journal = journal }
    assert.equal(0, report:exit_code())
    for _, item in ipairs(report.ok) do
      assert.equal(dir .. "/" .. item.cluster_id .. ".json", item.reissued)
      local kubeconfig = assert(cce.kubeconfig.load(item.reissued))
      assert.is_true(kubeconfig:certificate().key_matches)
    end
    sim:fault { operation = "obtain_cert", cluster = sim.clusters[1].id, status = 403 }
    local again = { reissue = { dir = dir, duration = 1 }, journal = journal, run = "again" }
    report = rotate(again)
    assert.equal("4 ok, 0 failed, 0 skipped, 0 uncertain, 1 pending", counts(report))
    assert.equal(2, report:exit_code())
    assert.matches("its kubeconfig was not obtained again", tostring(report))
    -- Who does not want any is told that it is owed.
    assert.equal(2, rotate({ journal = journal, run = "again" }):exit_code())
    -- It is owed until it is written.
    sim:clear_faults()
    os.remove(dir .. "/" .. sim.clusters[1].id .. ".json")
    report = rotate(again)
    assert.equal(0, report:exit_code())
    assert(cce.kubeconfig.load(dir .. "/" .. sim.clusters[1].id .. ".json"))
    assert.equal(10, sent())
    assert.equal(3, rotate(again):exit_code())
    -- Also when it is wanted only later.
    assert.equal(0, rotate({ journal = journal, run = "third" }):exit_code())
    again.run, again.reissue = "third", { dir = dir .. "/later", duration = 1 }
    assert(core.sys.mkdir(dir .. "/later"))
    report = rotate(again)
    assert.equal(0, report:exit_code())
    assert.equal(5, #tempdir.list(dir .. "/later"))
    assert.equal(15, sent())
    clients.fails("INVALID_ARGUMENT", rotations.rotate(client, { reissue = { dir = dir } }))
  end)

  it("raises on wrong use, at the line of the caller", function()
    clients.raises("unknown option 'cluster' %(did you mean 'clusters'", function()
      local report = cce.workflow.rotate(client, { cluster = "x" })
      return report
    end)
    clients.raises("a client or a list of clients expected", function()
      local report = cce.workflow.rotate({}, { clusters = { name = "*" } })
      return report
    end)
    clients.raises("unknown option 'nam'", function()
      local report = cce.workflow.rotate(client, { clusters = { nam = "*" } })
      return report
    end)
    for name, value in pairs { clusters = 1, component = 1, certificate_expiration_time = "1",
      cert_content = 1, wait = 1, journal = 1, run = 1, canary = "1", concurrency = "1",
      max_failures = {}, retry_failed = 1, unless_rotated_within = {}, windows = 1, except = 1,
      zone = 1, repair = 1, reissue = 1, rate_limit = 1, accept_token_loss = 1, dry_run = 1,
      before_send = 1, on_progress = 1 } do
      clients.raises("bad option '" .. name .. "'", function()
        local report = cce.workflow.rotate(client, { clusters = { name = "*" }, [name] = value })
        return report
      end)
    end
    for _, opts in ipairs { { wait = { timeout = "1" } }, { wait = { interval = "1" } },
      { reissue = { dir = 1 } }, { reissue = { dir = "x", duration = "1" } },
      { reissue = { dir = "x", expire_at = "1" } },
      { reissue = { dir = "x", duration = 1, check = 1 } } } do
      opts.clusters = { name = "*" }
      clients.raises("bad option '", function()
        local report = cce.workflow.rotate(client, opts)
        return report
      end)
    end
  end)

  it("gives its report to programs as plain tables", function()
    sim:fault { operation = "rotate_credentials", cluster = sim.clusters[1].id, status = 403 }
    local plain = core.json.decode(core.json.encode(rotate():to_table()))
    assert.equal(2, plain.exit_code)
    assert.same({ ok = 4, failed = 0, skipped = 0, uncertain = 0, pending = 1, total = 5 },
      plain.counts)
    assert.equal("PERMISSION_DENIED", plain.pending[1].code)
    assert.is_string(plain.pending[1].hint)
    assert.is_string(plain.pending[1].request_id)
  end)

  it("says in the journal's words what an interrupted list of clusters was", function()
    local at = "2026-01-02T03:04:05Z"
    tempdir.write(journal, ('{"at":"%s","what":"run","run":"a","id":"b","plan":"c","time":1}\n')
      :format(at) .. '{"at":"x","what":"planned","cluster":"d","time":1}\n')
    assert.same({}, journals.read(journal).runs)
    assert.equal("5 ok, 0 failed, 0 skipped, 0 uncertain, 0 pending",
      counts(rotate { journal = journal }))
  end)
end)

describe("a rotation of a fleet that is killed and resumed #timing", function()
  local sim, dir

  local function prepare(clusters, job_seconds)
    sim = simulator.start { clusters = clusters, job_seconds = job_seconds }
    -- So that requests are under way at most moments.
    sim:fault { operation = "rotate_credentials", delay = 0.03 }
    dir = tempdir.new()
  end

  after_each(function()
    sim:stop()
    tempdir.remove(dir)
  end)

  it("sends to no cluster twice and loses nothing", function()
    prepare(30, 0.05)
    local under_way, report, killed = rotations.chaos { sim = sim, journal = dir .. "/run.journal",
      kills = 6, concurrency = 3, longest = 0.2, seed = seed() }
    assert.is_true(killed >= 3)
    rotations.check(sim, report, under_way)
    assert.equal(30, report.counts.ok + report.counts.uncertain)
  end)

  it("keeps its promise when the disk is full for a while", function()
    prepare(12, 0.02)
    local journal = dir .. "/run.journal"
    -- A limit on the size of files stands for a full disk: more room each time.
    for kilobytes = 2, 60, 6 do
      local child = rotations.child(sim, journal, 3, kilobytes)
      child:finish()
    end
    local report = rotations.finish_run { sim = sim, journal = journal, concurrency = 3 }
    rotations.check(sim, report, 0)
    assert.equal(12, report.counts.ok)
  end)

  it("keeps its promise when the network is cut at random", function()
    prepare(30, 0.02)
    local number = seed()
    local journal, lost = dir .. "/run.journal", 0
    math.randomseed(number)
    io.write(("[seed %d] "):format(number))
    for _ = 1, 3 do
      lost = lost + rotations.cut_network(sim, 12)
      rotations.child(sim, journal, 4):finish()
    end
    sim:clear_faults()
    local report = rotations.finish_run { sim = sim, journal = journal, concurrency = 4 }
    rotations.check(sim, report, lost)
    assert.equal(30, report.counts.ok + report.counts.uncertain)
  end)

  -- What a fault of each kind does to a rotation; `lost`: no evidence will tell.
  local FAULTS = {
    { status = 400 }, { status = 401, body = '{"error_code":"APIGW.0301","error_msg":"no"}' },
    { status = 403 }, { status = 409 },
    { status = 429, body = '{"error_code":"APIGW.0308","error_msg":"throttled"}' },
    { status = 429, body = '{"errorCode":"CCE.01429002","errorMessage":"Resource locked."}' },
    { status = 500, lost = true }, { status = 502, applied = true },
    { reset = "before", lost = true }, { reset = "after" }, { truncate = true }, { garbage = true },
  }

  local function break_clusters(share)
    for _, cluster in ipairs(sim.clusters) do
      local dice = math.random()
      if dice < share then
        local fault = { operation = "rotate_credentials", cluster = cluster.id }
        for name, value in pairs(FAULTS[math.random(#FAULTS)]) do
          if name ~= "lost" then fault[name] = value end
        end
        sim:fault(fault)
      elseif dice < share + 0.1 then
        sim:fault { operation = math.random(2) == 1 and "show_cluster" or "show_job",
          cluster = cluster.id, status = math.random(2) == 1 and 500 or 403 }
      elseif dice < share + 0.15 then
        sim:set { cluster = cluster.id, phase = "Hibernation" }
      elseif dice < share + 0.2 then
        sim:set { cluster = cluster.id, job_outcome = "Failed" }
      end
    end
  end

  -- What a person sees who looks at each cluster that is uncertain: the truth.
  local function settle_by_looking(journal, report)
    local accepted = rotations.accepted(sim)
    for _, item in ipairs(report.uncertain) do
      assert(require("cce.workflow.runs").settle(journal, { cluster = item.cluster_id,
        happened = accepted[item.cluster_id] ~= nil }))
    end
  end

  -- Two calls with faults, the third without: all are ok, and nothing happened twice but to
  -- those whose job had failed.
  local function faults_in_two_calls(number)
    io.write(("[seed %d] "):format(number))
    math.randomseed(number)
    sim:reset()
    sim:set { job_seconds = 0 }
    local journal = ("%s/%d.journal"):format(dir, number)
    local failed_jobs, report = {}, nil
    local function call(more)
      -- Each call is another process, whose keys are good again.
      require("cce.credentials.breaker").forget()
      local client = clients.new(sim, { retry = { max_attempts = 1 } })
      client.sleep = function() cce.sleep(0.005) end
      local opts = { journal = journal, concurrency = 20, wait = { interval = 0.01, timeout = 60 } }
      for name, value in pairs(more or {}) do opts[name] = value end
      report = assert(rotations.rotate(client, opts))
      client:close()
      for _, item in ipairs(report.failed) do
        if item.code == "JOB_FAILED" then failed_jobs[item.cluster_id] = true end
      end
    end
    for share = 1, 2 do
      break_clusters(share == 1 and 0.5 or 0.3)
      call()
      sim:clear_faults()
      sim:set { phase = "Available", job_outcome = "Success" }
    end
    settle_by_looking(journal, report)
    call { retry_failed = true }
    assert.same({ ok = 200, failed = 0, skipped = 0, uncertain = 0, pending = 0, total = 200 },
      report:counts(), tostring(report))
    assert.equal(0, report:exit_code())
    local accepted, clusters = rotations.accepted(sim)
    assert.equal(200, clusters)
    for id, count in pairs(accepted) do
      assert.is_true(count == 1 or count == 2 and failed_jobs[id] == true, id .. " " .. count)
    end
    call()
    assert.equal(3, report:exit_code())
  end

  it("is all ok in the third call when two had faults of all kinds", function()
    prepare(200, 0)
    faults_in_two_calls(seed())
  end)

  it("is all ok in the third call when two had faults, for 50 seeds #long", function()
    prepare(200, 0)
    local first = seed()
    for i = 1, 50 do faults_in_two_calls(first + i) end
  end)

  it("holds for 200 clusters and 50 kills #long", function()
    prepare(200, 0.15)
    local under_way, report, killed = rotations.chaos { sim = sim,
      journal = dir .. "/run.journal", kills = 50, concurrency = 3, longest = 0.3, seed = seed() }
    assert.equal(50, killed)
    rotations.check(sim, report, under_way)
    assert.equal(200, report.counts.ok + report.counts.uncertain)
  end)

  it("holds for 200 clusters, kills and cuts of the network #long", function()
    prepare(200, 0.1)
    local lost = 0
    local under_way, report = rotations.chaos { sim = sim, journal = dir .. "/run.journal",
      kills = 30, concurrency = 8, longest = 0.5, seed = seed(), before = function(kill)
        sim:clear_faults()
        if kill then lost = lost + rotations.cut_network(sim, 10) end
      end }
    rotations.check(sim, report, under_way + lost)
  end)

  it("holds on a small file system that runs full #long", function()
    prepare(200, 0.05)
    local mount = dir .. "/disk"
    local made = tempdir.shell(("mkdir %s && mount -t tmpfs -o size=64k none %s 2>&1 && echo yes")
      :format(mount, mount))
    if not made:find("yes", 1, true) then return pending "needs the right to mount" end
    finally(function() tempdir.shell("umount -l " .. mount) end)
    local journal = mount .. "/run.journal"
    for kilobytes = 64, 512, 64 do
      tempdir.shell(("mount -o remount,size=%dk %s"):format(kilobytes, mount))
      rotations.child(sim, journal, 4):finish()
    end
    local report = rotations.finish_run { sim = sim, journal = journal, concurrency = 8 }
    rotations.check(sim, report, 0)
    assert.equal(200, report.counts.ok)
  end)

  it("reports 1,000 clusters exactly, 5 % failing and 2 % throttled #long", function()
    prepare(1000, 0.05)
    sim:clear_faults()
    local failing = {}
    for i = 10, 1000, 20 do
      failing[sim.clusters[i].id] = true
      if i % 40 == 10 then
        sim:set { cluster = sim.clusters[i].id, job_outcome = "Failed" }
      else
        sim:fault { operation = "rotate_credentials", cluster = sim.clusters[i].id, status = 403 }
      end
    end
    for i = 25, 1000, 50 do
      sim:fault { operation = "rotate_credentials", cluster = sim.clusters[i].id, status = 429,
        times = 1 }
    end
    local client = clients.new(sim, { retry = { base = 0.01, cap = 0.02 } })
    client.sleep = function() cce.sleep(0.01) end
    local report = assert(rotations.rotate(client, { concurrency = 50, canary = 1,
      journal = dir .. "/run.journal" }))
    client:close()
    assert.same({ ok = 950, failed = 25, skipped = 0, uncertain = 0, pending = 25, total = 1000 },
      report:counts())
    assert.same(failing, rotations.ids_of(report.failed, report.pending))
    local accepted = rotations.accepted(sim)
    for id, count in pairs(accepted) do assert.equal(1, count, id) end
    for _, item in ipairs(report.ok) do assert.equal(1, accepted[item.cluster_id]) end
  end)
end)
