local journals = require "cce.log.journal"
local tempdir = dofile "spec/support/tempdir.lua"

describe("cce.journal", function()
  local dir, path, now

  before_each(function()
    dir, now = tempdir.new(), 1767323045
    path = dir .. "/run.journal"
  end)

  after_each(function() tempdir.remove(dir) end)

  local function open()
    return assert(journals.open(path, function() return now end))
  end

  -- A run of one cluster; `last`: how it ended, if it did.
  local function run(name, plan, last)
    local journal = open()
    assert(journal:write("run", { run = name, id = "id", plan = plan }))
    assert(journal:write("planned", { cluster = "c1" }))
    assert(journal:write("begun"))
    if last then assert(journal:write(last, { message = "why" })) end
    journal:close()
  end

  it("finds the last run of a name, or of all", function()
    run("one", "plan", "finished")
    run("two", "plan")
    run("one", "other")
    local runs = open().runs
    assert.equal(runs[3], journals.find(runs))
    assert.equal(runs[3], journals.find(runs, "one"))
    assert.equal(runs[2], journals.find(runs, "two"))
    assert.equal(runs[1], journals.find(runs, "one", runs[3]))
    assert.equal(runs[1], journals.find(runs, nil, runs[2]))
    assert.is_nil(journals.find(runs, "three"))
  end)

  it("reads no file that does not begin with a whole line of ours", function()
    tempdir.write(path, '{"kind":"Config","users":[]}')
    local state, message, err = journals.read(path)
    assert.is_nil(state)
    assert.equal("FILE_ERROR", err.code)
    assert.matches("line 1 of the journal '" .. path .. "' has no end", message, 1, true)
    tempdir.write(path, "")
    assert.same({}, journals.read(path).runs)
    -- What cannot be looked at is not what is not there.
    assert.is_nil((journals.read(path .. "/below")))
  end)

  it("reads no line that we would not have written, whichever field is wrong", function()
    local FIRST = '{"file":"lua-cce run journal","what":"run","time":1}\n'
    local function read(line)
      tempdir.write(path, FIRST .. '{"what":"begun","time":1}\n' .. line .. "\n")
      return journals.read(path)
    end
    for _, line in ipairs { '{"time":1}', '{"what":7,"time":1}', '{"what":"x"}',
      '{"what":"x","time":"1"}', '{"what":"x","time":-1}', '{"what":"x","time":253402300800}',
      '{"what":"x","time":1,"more":{}}', '{"what":"x","time":1,"more":null}', "7", "" } do
      local state, message = read(line)
      assert.is_nil(state, line)
      assert.matches("line 3 .* cannot be read", message)
    end
    for _, name in ipairs { "run", "id", "plan", "of", "from", "cluster", "principal", "component",
      "workflow", "name", "message", "windows", "except", "zone", "undo", "undo_id",
      "kind", "who" } do
      assert.is_nil((read(('{"what":"x","time":1,"%s":7}'):format(name))), name)
    end
    for _, name in ipairs { "sent", "first", "worked_until" } do
      for _, value in ipairs { '"x"', "true", "-1", "1e300" } do
        assert.is_nil((read(('{"what":"x","time":1,"%s":%s}'):format(name, value))), name)
      end
    end
    for _, time in ipairs { 0, 253402300799 } do
      assert(read(('{"what":"x","time":%d,"more":7}'):format(time)))
    end
    assert.matches("it is not a regular file", select(2, journals.read(dir)))
    local open_file = io.open
    io.open = function() return nil, "no rights" end -- luacheck: ignore
    local state, message = journals.read(path)
    io.open = open_file -- luacheck: ignore
    assert.is_nil(state)
    assert.equal("no rights", message)
    -- Looked at as it is read; without a path there is none.
    assert.equal(1, #assert(journals.look(path, os.time)).runs)
    read "{}"
    assert.is_nil((journals.look(path, os.time)))
    assert.same({}, assert(journals.look(nil, os.time)).runs)
    local none = assert(journals.open(nil, os.time))
    assert.is_true(none:intend({ cluster = "c1" }, 1))
  end)

  it("keeps apart whom and what the lines are about", function()
    local journal = open()
    journal:write("run", { run = "one", id = "id", plan = "plan", workflow = "revoke" })
    for _, principal in ipairs { "u1", "u2", "u1" } do
      journal:write("planned", { cluster = "c1", principal = principal })
    end
    journal:write "begun"
    journal:write("settled", { cluster = "c1", principal = "u1" })
    journal:close()
    local state = open()
    local one = state.runs[1]
    assert.same({ "revoke", 2 }, { one.workflow, #one.order })
    assert.same({ "settled", "planned" }, { one.items["c1 u1"].what, one.items["c1 u2"].what })
    assert.equal(now, state.rotated.c1)
    state:close()
    run("two", "plan")
    assert.equal("rotate", journals.read(path).runs[2].workflow)
    -- The same cluster in another run, from nowhere.
    run("three", "plan")
    assert.is_nil(journals.read(path).runs[2].items.c1.moved_to)
    journal = open()
    journal:write("run", { run = "four", id = "id4", plan = "plan" })
    journal:write("planned", { cluster = "c9", from = "three" })
    journal:write("planned", { cluster = "c9", principal = "u", from = "nobody" })
    journal:write "begun"
    journal:close()
    assert.equal(4, #journals.read(path).runs)
  end)

  it("forgets a run that had not begun, before another and at the end", function()
    run("one", "plan")
    for _, name in ipairs { "two", "three" } do
      local journal = open()
      journal:write("run", { run = name, id = name, plan = "plan" })
      journal:close()
      assert.equal(1, #journals.read(path).runs)
    end
    run("four", "plan")
    local runs = open().runs
    assert.same({ "one", "four" }, { runs[1].name, runs[2].name })
  end)

  it("lets no request leave for whose outcome there is no room", function()
    local output = tempdir.shell("trap '' XFSZ; ulimit -f 100; " .. tempdir.lua(([[
      local journal = assert(require("cce.log.journal").open(%q, os.time))
      journal:write("run", { run = "r", id = "id", plan = "plan" })
      print((journal:intend({ cluster = "c1" }, 1)))
      local _, message, err = journal:intend({ cluster = "c2" }, 1000)
      print(message, err.code, err.retryable, err.hint)]]):format(path)))
    assert.matches("^true\n.*reserve room.*FILE_ERROR\tfalse\tnil\n$", output)
    assert.is_nil(tempdir.read(path):find("c2", 1, true))
  end)

  it("asks for the room of a line, and of what follows from all that are under way", function()
    local journal, room = open(), nil
    local compose = journal.writer.owner.compose
    function journal.writer:append(item)
      room = item.room
      return true
    end
    for in_flight, expected in pairs { [1] = 2, [4] = 5 } do
      assert(journal:intend({ cluster = "c1" }, in_flight))
      assert.equal(expected * 2 * 2048, room)
    end
    assert(journal:write("begun"))
    assert.is_nil(room)
    -- Several lines at once.
    assert.equal(9, select(2, compose { { line = "{}", room = 5 }, { line = "{}", room = 9 },
      { line = "{}" }, { line = "{}", room = 7 } }))
    assert.is_nil(select(2, compose { { line = "{}" } }))
    -- One that another task closes meanwhile.
    function journal.writer:append()
      self:close()
      return nil, "closed", "CLOSED"
    end
    local _, message, err = journal:write("ok", { cluster = "c1" })
    assert.same({ "closed", "CLOSED", nil }, { message, err.code, err.hint })
  end)

  it("is not finished any more once it is gone on with", function()
    run("one", "plan", "finished")
    local journal = open()
    assert.equal(now, journal.runs[1].finished)
    assert(journal:write("resumed"))
    journal:close()
    assert.is_nil(open().runs[1].finished)
  end)

  it("reads lines of a run that is not the last by its id", function()
    run("one", "plan")
    local journal = open()
    journal:write("run", { run = "two", id = "id2", plan = "plan" })
    journal:write("planned", { cluster = "c1" })
    journal:write("begun")
    journal:write("ok", { cluster = "c1", of = "id" })
    journal:write("finished", { of = "id" })
    journal:close()
    local runs = open().runs
    assert.same({ "ok", "planned" }, { runs[1].items.c1.what, runs[2].items.c1.what })
    assert.same({ now, nil }, { runs[1].finished, runs[2].finished })
  end)

  it("hands over what is planned from another run, once that one has begun", function()
    run("one", "plan")
    local journal = open()
    journal:write("run", { run = "two", id = "id2", plan = "plan" })
    journal:write("planned", { cluster = "c1", from = "one" })
    journal:close()
    assert.is_nil(journals.read(path).runs[1].items.c1.moved_to)
    journal = open()
    journal:write("begun")
    journal:close()
    assert.equal("two", open().runs[1].items.c1.moved_to)
  end)

  it("knows when each cluster was last rotated, in whichever run", function()
    run("one", "plan", "finished")
    local journal = open()
    journal:write("run", { run = "two", id = "id", plan = "plan" })
    journal:write("begun")
    journal:intend({ cluster = "c2", sent = now }, 4)
    journal:intend({ cluster = "c1", sent = now }, 4)
    now = now + 10
    journal:write("accepted", { cluster = "c1", job = "j" })
    journal:close()
    journal = open()
    assert.same({ c1 = now }, journal.rotated)
    local item = journal.runs[2].items.c1
    assert.same({ "accepted", "j", now - 10 }, { item.what, item.job, item.sent })
    journal:close()
  end)

  it("does not pass the code of a line on to the next", function()
    run("one", "plan")
    local journal = open()
    journal:write("refused", { cluster = "c1", code = "TIMEOUT", message = "late" })
    journal:write("ok", { cluster = "c1" })
    journal:close()
    local item = open().runs[1].items.c1
    assert.is_nil(item.code)
    assert.is_nil(item.message)
  end)

  it("cuts texts that are too long, between characters", function()
    run("one", "plan")
    local journal = open()
    journal:write("refused", { cluster = "c1", message = ("x"):rep(599) .. ("ä"):rep(500) })
    journal:close()
    journal = open()
    assert.equal(("x"):rep(599) .. "…", journal.runs[1].items.c1.message)
    journal:write("refused", { cluster = "c1", message = ("x"):rep(598) .. ("€"):rep(500) })
    journal:close()
    assert.equal(("x"):rep(598) .. "…", open().runs[1].items.c1.message)
  end)

  it("keeps whole what a run is found by, and the path of its undo file", function()
    local long = ("n"):rep(5000)
    local journal = open()
    assert(journal:write("run", { run = long, id = "id", undo = long }))
    assert(journal:write("planned", { cluster = "c1", from = long }))
    assert(journal:write "begun")
    journal:close()
    local known = journals.find(open().runs, long)
    assert.same({ long, long }, { known.undo, known.items.c1.from })
  end)

  it("reads no more than is whole, without a lock", function()
    run("one", "plan")
    local holder = open()
    tempdir.write(path, tempdir.read(path) .. '{"at":"20')
    assert.equal(1, #assert(journals.read(path)).runs)
    holder:close()
    assert.same({}, journals.read(dir .. "/none").runs)
  end)

  it("refuses a file that is no journal, and leaves it as it is", function()
    for text, pattern in pairs { ["hello\n"] = "its first line does not say so",
      ["hello"] = "its first line does not say so",
      ['{"what":"intent","time":1,"cluster":"c"}\n'] = "its first line does not say so",
      ['{"file":"lua-cce run journal","what":"intent","time":1,"cluster":"c"}\n']
        = "line 1 .*belongs to no run",
      ['{"file":"lua-cce run journal","what":"run","time":1}\n\n'] = "line 2 .*cannot be read" } do
      tempdir.write(path, text)
      local journal, message, err = journals.open(path, os.time)
      assert.is_nil(journal)
      assert.matches(pattern, message)
      assert.equal("FILE_ERROR", err.code)
      assert.equal(text, tempdir.read(path))
    end
  end)

  it("says in its first line what it is, and nowhere else", function()
    run("one", "plan", "finished")
    run("two", "plan")
    local marks = 0
    for line in io.lines(path) do
      marks = marks + (line:find('^{"file":"lua%-cce run journal","at":"') and 1 or 0)
    end
    assert.equal(1, marks)
    assert.matches('^{"file":"lua%-cce run journal"', tempdir.read(path))
  end)

  it("takes an empty file, as an earlier start may have left it", function()
    tempdir.write(path, "")
    run("one", "plan")
    assert.equal("one", open().runs[1].name)
  end)

  it("writes nothing more when others removed or replaced it, and keeps the lock", function()
    for _, change in ipairs { "rm %s", "sed -i s/x/y/ %s", "mv %s %s.old", "truncate -s 0 %s" } do
      tempdir.shell(("rm -f %s*"):format(path))
      run("one", "plan")
      local journal = open()
      tempdir.shell((change:gsub("%%s", path)))
      local text = tempdir.read(path)
      local ok, message, err = journal:intend({ cluster = "c1" }, 1)
      assert.is_nil(ok)
      assert.equal("FILE_ERROR", err.code)
      assert.matches("while it was open", message, 1, true)
      assert.matches("Put the journal back", err.hint, 1, true)
      assert.equal(message, journal.broken)
      assert.is_nil((journal:write("accepted", { cluster = "c1" })))
      local conflict = select(3, journals.open(path, os.time))
      assert.same({ "CONFLICT", true }, { conflict.code, conflict.retryable })
      assert.matches("Another run holds this journal", conflict.hint)
      journal:close()
      assert.equal(text, tempdir.read(path))
    end
  end)
end)
