-- What a person does with the runs of a journal. Nothing is sent, so there is no simulator.
local core = require "cce.core"
local journals = require "cce.log.journal"
local outcome = require "cce.workflow.outcome"
local runs = require "cce.workflow.runs"
local tempdir = require "spec.support.tempdir"

describe("the runs of a journal", function()
  local dir, path

  before_each(function()
    dir = tempdir.new()
    path = dir .. "/journal"
  end)

  after_each(function() tempdir.remove(dir) end)

  -- A run with items, each `{cluster, word, fields}`.
  local function write(name, items)
    local journal = assert(journals.open(path, function() return 1000 end))
    assert(journal:write("run", { run = name, id = "id of " .. name, workflow = "rotate" }))
    for _, item in ipairs(items) do
      assert(journal:write("planned", { cluster = item[1], principal = item[4], kind = "user",
        name = "name of " .. item[1], project = "p" }))
    end
    assert(journal:write "begun")
    for _, item in ipairs(items) do
      local fields = { cluster = item[1], principal = item[4] }
      for field, value in pairs(item[3] or {}) do fields[field] = value end
      if item[2] then assert(journal:write(item[2], fields)) end
    end
    journal:close()
  end

  local ALL = {
    { "c1", "ok" }, { "c2", "intent" },
    { "c3", "pending", { code = "THROTTLED", message = "m", job = false } }, { "c4" },
    { "c5", "ok", { owed = true } }, { "c6", "failed", { job = "j", owed = true } },
    { "c7", "accepted", { job = "k" } }, { "c8", "ok", { owed = true }, "u" },
  }

  local function states(run)
    local list = {}
    for i, item in ipairs(run.items) do list[i] = item.cluster_id .. " " .. item.state end
    return table.concat(list, ", ")
  end

  local function last_line()
    return core.json.decode(tempdir.read(path):match "([^\n]+)\n$")
  end

  local function fails(code, pattern, result, message, err)
    assert.is_nil(result)
    assert.matches(pattern, message)
    assert.same({ code, false, false }, { err.code, err.retryable, err.maybe_applied })
    return err
  end

  it("are listed as they stand, the oldest first", function()
    write("one", ALL)
    write("two", { { "c1", "ok" } })
    local list = assert(runs.list(path))
    assert.same({ "one", "rotate", 1000, true, "two", false }, { list[1].run, list[1].workflow,
      list[1].opened, list[1].open, list[2].run, list[2].open })
    assert.equal("c1 ok, c2 uncertain, c3 pending, c4 pending, c5 ok, c6 failed, c7 accepted,"
      .. " c8 ok", states(list[1]))
    assert.same({ ok = 3, failed = 1, skipped = 0, moved = 0, uncertain = 1, accepted = 1,
      pending = 2 }, list[1].counts)
    local items = list[1].items
    assert.same({ cluster_id = "c3", name = "name of c3", state = "pending", code = "THROTTLED",
      message = "m", time = 1000 }, items[3])
    assert.equal("its kubeconfig is still owed", items[5].message)
    assert.same({ nil, "j" }, { items[6].message, items[6].job_id })
    assert.same({ "u", "its rights are still to be taken" },
      { items[8].principal_id, items[8].message })
    fails("NOT_FOUND", "there is no journal", runs.list(dir .. "/none"))
    tempdir.write(path, "{")
    assert.is_nil((runs.list(path)))
  end)

  it("say where what is handed over has gone", function()
    write("one", { { "c1" } })
    local journal = assert(journals.open(path, function() return 2000 end))
    assert(journal:write("run", { run = "two", id = "id of two" }))
    assert(journal:write("planned", { cluster = "c1", from = "one" }))
    assert(journal:write "begun")
    journal:close()
    local item = runs.list(path)[1].items[1]
    assert.same({ "moved", "handed over to run two" }, { item.state, item.message })
  end)

  it("are settled as a person says, each item that is uncertain", function()
    for happened, expected in pairs { [true] = "ok", [false] = "pending" } do
      for cluster, i in pairs { c2 = 2, ["name of c7"] = 7 } do
        os.remove(path)
        write("one", ALL)
        write("two", { { "c9" } })
        local run = assert(runs.settle(path, { run = "one", cluster = cluster,
          happened = happened }))
        assert.equal(expected, run.items[i].state)
        local line = last_line()
        assert.same({ expected, "c" .. i, "id of one", "p", "a person", "name of c" .. i },
          { line.what, line.cluster, line.of, line.project, line.by, line.name })
        assert.matches(happened and "says that it happened" or "says that it did not", line.message)
        -- Once is enough.
        fails("CONFLICT", "is " .. expected .. ", not uncertain", runs.settle(path,
          { run = "one", cluster = cluster, happened = happened }))
      end
    end
  end)

  it("still owe what was to follow, where a person says that the request was taken", function()
    write("one", { { "c1", "unknown", { owed = true }, "u" } })
    local run = assert(runs.settle(path, { cluster = "c1", happened = true }))
    assert.same({ true, "ok", "its rights are still to be taken" },
      { run.open, run.items[1].state, run.items[1].message })
    assert.is_false(assert(runs.discard(path)).open)
    -- A kubeconfig may be wanted later.
    write("two", { { "c2", "intent" } })
    assert.is_false(assert(runs.settle(path, { cluster = "c2", happened = true })).open)
    local known = journals.find(assert(journals.read(path)).runs)
    assert.is_true(outcome.is_open(known, { reissue = {} }))
  end)

  it("are not said to be settled where they cannot be read after it", function()
    write("one", { { "c1", "intent" } })
    local read, left = journals.read, 1
    finally(function() journals.read = read end)
    function journals.read(...)
      left = left - 1
      if left < 0 then return nil, "gone", { code = "FILE_ERROR" } end
      return read(...)
    end
    assert.same({ nil, "gone", { code = "FILE_ERROR" } },
      { runs.settle(path, { cluster = "c1", happened = true }) })
    assert.same({ nil, "gone", { code = "FILE_ERROR" } }, { runs.list(path) })
  end)

  it("are settled where it is plain which item is meant, and nowhere else", function()
    write("one", { { "c1", "intent", nil, "u" }, { "c1", "intent", nil, "v" }, { "c2", "ok" } })
    local function settle(more)
      more.happened = true
      return runs.settle(path, more)
    end
    assert.matches("principal=", fails("NOT_FOUND", "more than one item", settle { cluster = "c1" })
      .hint)
    assert.is_nil(fails("NOT_FOUND", "has no cluster", settle { cluster = "c9" }).hint)
    fails("NOT_FOUND", "has no cluster", settle { cluster = "c1", principal = "w" })
    fails("NOT_FOUND", "has no run 'x'", settle { run = "x", cluster = "c1" })
    fails("CONFLICT", "is ok", settle { cluster = "c2" })
    fails("NOT_FOUND", "there is no journal", runs.settle(dir .. "/none", { cluster = "c1" }))
    assert.equal("c1 uncertain, c1 ok, c2 ok", states(assert(settle { cluster = "c1",
      principal = "v" })))
    assert.same({ "v", "user" }, { last_line().principal, last_line().kind })
    -- Of which nothing is open any more, it is finished.
    assert(settle { cluster = "c1", principal = "u" })
    assert.same({ "finished", "id of one", "by a person" },
      { last_line().what, last_line().of, last_line().message })
  end)

  it("are ended: what is open is given up, and is never ok", function()
    write("one", ALL)
    write("two", { { "c1", "ok" } })
    local run = assert(runs.discard(path, "one"))
    assert.is_false(run.open)
    assert.equal("c1 ok, c2 given up, c3 given up, c4 given up, c5 ok, c6 failed, c7 given up,"
      .. " c8 ok", states(run))
    local items = run.items
    assert.is_nil(items[1].message)
    assert.same({ "given up, unknown", "CANCELLED", "given up: m", "THROTTLED", "given up",
      "given up, unknown", "a person gave up what was owed" }, { items[2].message, items[2].code,
      items[3].message, items[3].code, items[4].message, items[7].message, items[5].message })
    assert.equal("finished", last_line().what)
    fails("CONFLICT", "nothing of run one is open", runs.discard(path, "one"))
    fails("CONFLICT", "nothing of run two is open", runs.discard(path))
    fails("NOT_FOUND", "there is no journal", runs.discard(dir .. "/none"))
    tempdir.write(path, "")
    fails("NOT_FOUND", "the journal has no run$", runs.discard(path))
    -- One that cannot be looked at is no journal that is not there.
    os.execute(("ln -s loop '%s/loop'"):format(dir))
    for _, act in ipairs { runs.list, runs.discard } do
      local result, message, err = act(dir .. "/loop/journal")
      assert.same({ nil, "FILE_ERROR" }, { result, err.code })
      assert.matches("Too many levels of symbolic links", message, 1, true)
    end
  end)

  it("are held meanwhile, and stay as they are where they cannot be written", function()
    write("one", ALL)
    local text = tempdir.read(path)
    local holder = assert(journals.open(path, os.time))
    for _, act in ipairs { runs.settle, runs.discard } do
      local result, _, err = act(path, act == runs.settle and { cluster = "c2" } or nil)
      assert.same({ nil, "CONFLICT", true }, { result, err.code, err.retryable })
    end
    holder:close()
    local open, refused = core.journal, ""
    finally(function() core.journal = open end)
    core.journal = function(...)
      local file = assert(open(...))
      return setmetatable({ append = function(_, line, ...)
        if line:find(refused, 1, true) then return nil, "no space", "FILE_ERROR" end
        return file:append(line, ...)
      end }, { __index = function(_, name)
        return function(_, ...) return file[name](file, ...) end
      end })
    end
    for _, happened in ipairs { true, false } do
      assert.is_nil((runs.settle(path, { cluster = "c2", happened = happened })))
    end
    assert.is_nil((runs.discard(path)))
    assert.equal(text, tempdir.read(path))
    refused = '"finished"'
    assert.is_nil((runs.discard(path)))
  end)
end)
