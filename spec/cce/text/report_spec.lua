local core = require "cce.core"
local errors = require "cce.error"
local json = require "cce.base.json"
local reports = require "cce.text.report"

describe("cce.report", function()
  local report

  before_each(function()
    report = reports.new("rotate", 1000)
    report.run = "one"
  end)

  local function failure()
    return { cluster_id = "c2", name = "prod-2", duration = 72, job_id = "j2",
      err = errors.new("PERMISSION_DENIED", "not allowed", { hint = "Ask", request_id = "r2" }) }
  end

  it("counts", function()
    report:add("ok", { cluster_id = "c1" })
    report:add("failed", failure())
    report:add("skipped", { cluster_id = "c3" })
    assert.same({ ok = 1, failed = 1, skipped = 1, uncertain = 0, pending = 0, total = 3 },
      report:counts())
  end)

  it("takes code, message, hint and request id from an error", function()
    report:add("failed", failure())
    local item = report.failed[1]
    assert.same({ "PERMISSION_DENIED", "not allowed", "Ask", "r2" },
      { item.code, item.message, item.hint, item.request_id })
  end)

  it("has a line for each failure", function()
    report:add("ok", { cluster_id = "c1" })
    report:add("failed", failure())
    report:finish(1200)
    assert.equal("rotate one: 1 ok, 1 failed in 3 min\n"
      .. "  failed prod-2 c2: not allowed (job j2, request id r2, 1 min). Ask", tostring(report))
  end)

  it("names what the message names but once", function()
    report:add("failed", { cluster_id = "c", message = "no (request id r)", request_id = "r" })
    assert.matches("no %(request id r%)$", tostring(report))
  end)

  it("says in one line how many were not begun", function()
    for i = 1, 3 do
      report:add("pending", { cluster_id = "c" .. i, code = "CANCELLED", message = "not begun: x" })
    end
    assert.equal("rotate one: 0 ok, 0 failed, 3 pending\n  pending 3: not begun: x",
      tostring(report))
  end)

  it("has an exit code, the first that applies", function()
    local function code(lists, already_finished)
      local each = reports.new("rotate", 0)
      for word in lists:gmatch "%a+" do each:add(word, { cluster_id = "c", code = "CONFLICT" }) end
      each.already_finished = already_finished and 1000
      return each:exit_code()
    end
    assert.equal(0, code "")
    assert.equal(0, code "ok skipped")
    assert.equal(2, code "ok uncertain")
    assert.equal(2, code "ok pending skipped")
    assert.equal(1, code "ok pending uncertain failed")
    assert.equal(3, code("ok skipped", true))
    assert.equal(1, code("ok failed", true))
    report:add("skipped", { cluster_id = "c4", code = "UNSUPPORTED" })
    assert.equal(1, report:exit_code())
    table.remove(report.skipped)
    report.incomplete = true
    assert.equal(1, report:exit_code())
    report.incomplete, report.stopped = nil, "the journal cannot be written"
    assert.equal(2, report:exit_code())
  end)

  it("breaks its lines at blanks in a terminal, and has its plan as a table", function()
    report.dry_run, report.plan = true, { "canary prod-eu c1: component all", "take a out of b",
      "nothing else" }
    report.steps = { { titles = { "PLAN", "CLUSTER", "ID" }, kinds = { "keep", "keep", "id" },
      { "canary", "prod-eu", ("0123456789"):rep(4) } },
      { titles = { "TAKE OUT", "OF" }, { "a", "b" } } }
    report:note("old tokens stay valid for %d h, which is long enough", 24)
    assert.equal(table.concat({ "rotate: dry run, nothing was sent",
      "  note: old tokens stay valid for 24",
      "    h, which is long enough",
      "  PLAN    CLUSTER  ID",
      "  canary  prod-eu  012345678901234567…",
      "  TAKE OUT  OF",
      "  a         b",
      "  nothing else" }, "\n"), report:finish(1200):text(38))
    assert.is_nil(report:to_table().steps)
    assert.same(report.plan, report:to_table().plan)
  end)

  it("becomes plain tables for programs", function()
    report:add("failed", failure())
    report:note("%d things", 2)
    local plain = report:finish(1200):to_table()
    assert.is_nil(getmetatable(plain))
    assert.is_nil(plain.failed[1].err)
    assert.same({ "2 things" }, plain.notes)
    assert.equal(200, plain.duration)
    assert.same({ "1970-01-01T00:16:40Z", "1970-01-01T00:20:00Z" }, { plain.started, plain.ended })
    assert.equal(1, plain.exit_code)
    assert.is_string(core.json.encode(plain))
  end)

  it("has lists that stay lists in JSON, when they are empty too", function()
    local text = json.encode(reports.new("rotate", 0):finish(1):to_table())
    for _, name in ipairs { "ok", "failed", "skipped", "uncertain", "pending", "notes" } do
      assert.matches(('"%s":[]'):format(name), text, 1, true)
    end
  end)

  it("keeps what is false in plain tables", function()
    report:add("ok", { cluster_id = "c1", verified = false, can_obtain_again = "no" })
    local plain = report:finish(1200):to_table()
    assert.is_false(plain.ok[1].verified)
    assert.equal("no", plain.ok[1].can_obtain_again)
  end)

  it("says durations as people do", function()
    assert.equal("0.5 s", reports.duration(0.5))
    assert.equal("2 min", reports.duration(100))
    assert.equal("3 h 20 min", reports.duration(12000))
  end)

  it("knows its own", function()
    assert.is_true(reports.is(report))
    assert.is_false(reports.is {})
  end)
end)
