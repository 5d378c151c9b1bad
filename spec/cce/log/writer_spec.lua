-- The writer as nginx drives it: by the thread of an engine, for callers that take turns. What
-- waits here looks at the work again and again, instead of at the engine's socket.
local core = require "cce.core"
local host = require "cce.host"
local tempdir = dofile "spec/support/tempdir.lua"
local writers = require "cce.log.writer"

describe("cce.writer", function()
  local dir, path, engine, current, written, batches, round

  before_each(function()
    dir = tempdir.new()
    path = dir .. "/lines"
    engine = assert(core.engine { threaded = true })
    current, written, batches, round = host.current, {}, {}, 0
  end)

  after_each(function()
    host.current = current
    engine:close()
    tempdir.remove(dir)
  end)

  local function threaded()
    local driver = {
      file_engine = function() return engine end,
      wait = function(_, job)
        repeat coroutine.yield() until job:finished()
      end,
    }
    function host.current() return driver end
  end

  local function owner(changes)
    local fields = {
      kind = "schedule export",
      path = function(number) return number == 1 and path or nil end,
      compose = function(items)
        local lines, room = {}, nil
        for i, item in ipairs(items) do lines[i], room = item.line, item.room or room end
        batches[#batches + 1] = #items
        return lines, room
      end,
      written = function(items)
        for _, item in ipairs(items) do written[#written + 1] = item.line end
      end,
    }
    for name, value in pairs(changes or {}) do fields[name] = value end
    return fields
  end

  -- Runs functions in turns; `dropped[i]`: that one is left alone after its first turn.
  local function in_turns(functions, dropped)
    local threads, results, left = {}, {}, #functions
    for i, fn in ipairs(functions) do threads[i] = coroutine.create(fn) end
    while left > 0 do
      for i, thread in pairs(threads) do
        local outcome = { coroutine.resume(thread) }
        assert(outcome[1], outcome[2])
        if coroutine.status(thread) == "dead" or dropped and dropped[i] then
          results[i], threads[i], left = outcome, nil, left - 1
        end
      end
      core.sys.sleep(0.0005)
      round = round + 1
    end
    return results
  end

  -- However fast the disk is, what is submitted ends when each has had its turn.
  local function end_a_round_later(writer)
    local file = writer.file
    local slow = { close = function() file:close() end }
    function slow:submit(...) -- luacheck: no unused args
      local job, began = file:submit(...), round
      return { finished = function() return round > began and job:finished() end,
        result = function() return job:result() end }
    end
    writer.file = slow
  end

  local function append(writer, line, more)
    return function()
      local item = more or {}
      item.line = line
      return writer:append(item)
    end
  end

  local function appends(writer, count)
    local list = {}
    for i = 1, count do list[i] = append(writer, "line " .. i) end
    return list
  end

  local function open(changes)
    local writer = writers.new(owner(changes))
    local result = in_turns { function() return writer:open() end }[1]
    assert(result[2], result[3])
    return writer
  end

  local function numbered(count)
    local lines = {}
    for i = 1, count do lines[i] = "line " .. i end
    return table.concat(lines, "\n") .. "\n"
  end

  it("writes where it stands, when nobody else goes on meanwhile", function()
    local writer = open()
    assert.is_true(writer:append { line = "one", room = 100 })
    assert.same({ nil, "INVALID_ARGUMENT" }, { writer:append { line = "a\nb" }, (select(3,
      writer:append { line = "a\nb" })) })
    assert.is_true(writer:append { line = "two", sync = false })
    writer:close()
    assert.equal("one\ntwo\n", tempdir.read(path))
    assert.same({ "one", "two" }, written)
    assert.equal("CLOSED", (select(3, writer:append { line = "three" })))
    -- Nor is a file made that nobody has opened.
    os.remove(path)
    local unopened = writers.new(owner())
    assert.is_false(unopened:is_open())
    assert.equal("CLOSED", (select(3, unopened:append { line = "one" })))
    assert.is_nil(tempdir.read(path))
  end)

  it("keeps the order of many, and writes together what came meanwhile", function()
    threaded()
    local writer = open()
    end_a_round_later(writer)
    for _, result in ipairs(in_turns(appends(writer, 300))) do assert.is_true(result[2]) end
    assert.equal(numbered(300), tempdir.read(path))
    assert.equal(300, #written)
    assert.same({ 1, 256, 43 }, batches)
  end)

  it("opens once for all who ask", function()
    threaded()
    local opened = 0
    local writer = writers.new(owner { opened = function(at)
      assert.equal(path, at)
      opened = opened + 1
      return true
    end })
    local ask = function() return writer:open() end
    for _, result in ipairs(in_turns { ask, ask, ask }) do assert.is_true(result[2]) end
    assert.equal(1, opened)
  end)

  it("goes on when those who had begun are dropped", function()
    threaded()
    local writer = writers.new(owner())
    local ask = function() return writer:open() end
    assert.is_true(in_turns({ ask, ask }, { true })[2][2])
    local dropped = {}
    for i = 1, 20 do dropped[i] = i ~= 5 end
    assert.is_true(in_turns(appends(writer, 20), dropped)[5][2])
    assert.is_true(in_turns({ append(writer, "line 21") })[1][2])
    assert.equal(numbered(21), tempdir.read(path))
  end)

  it("does not let one line that cannot be written cost the others", function()
    threaded()
    local writer = open()
    local list = appends(writer, 6)
    list[4] = append(writer, "a\nb")
    local results = in_turns(list)
    for i, result in ipairs(results) do
      assert.equal(i ~= 4 or nil, result[2])
    end
    assert.equal("INVALID_ARGUMENT", results[4][4])
    assert.equal((numbered(6):gsub("line 4\n", "")), tempdir.read(path))
    assert.is_true(in_turns({ append(writer, "line 7") })[1][2])
  end)

  it("reserves room first", function()
    threaded()
    local writer = open()
    assert.is_true(in_turns({ append(writer, "one", { room = 4096 }) })[1][2])
    assert.equal("one\n", tempdir.read(path))
    writer:close()
  end)

  it("takes the next path when another process has the first", function()
    for _, how in ipairs { "directly", "on a thread" } do
      if how == "on a thread" then threaded() end
      local holder = assert(core.journal(path, "schedule export"))
      local writer = open { path = function(number)
        return number < 3 and path .. (number > 1 and number or "") or nil
      end }
      local line = ('{"schedule":"%s"}'):format(how)
      assert.is_true(in_turns({ append(writer, line) })[1][2])
      assert.equal(line .. "\n", tempdir.read(path .. "2"))
      local third = writers.new(owner { path = function(number)
        return number < 3 and path .. (number > 1 and number or "") or nil
      end })
      assert.equal("CONFLICT", in_turns({ function() return third:open() end })[1][4])
      writer:close()
      holder:close()
      os.remove(path .. "2")
      -- For another reason nothing is written elsewhere.
      tempdir.shell(("rm %s; mkdir %s"):format(path, path))
      local fourth = writers.new(third.owner)
      assert.equal("FILE_ERROR", in_turns({ function() return fourth:open() end })[1][4])
      assert.is_nil(tempdir.read(path .. "2"))
      os.remove(path)
    end
  end)

  it("lets go of a file that will not do", function()
    for _, how in ipairs { "directly", "on a thread" } do
      if how == "on a thread" then threaded() end
      local writer = writers.new(owner { opened = function() return nil, "no", "TAMPERED" end })
      local result = in_turns({ function() return writer:open() end })[1]
      assert.same({ true, nil, "no", "TAMPERED" }, { result[1], result[2], result[3], result[4] })
      assert(core.journal(path, "schedule export")):close()
    end
  end)

  it("tells why it cannot begin", function()
    function host.current()
      return { file_engine = function() return nil, "not here", "UNSUPPORTED" end }
    end
    local writer = writers.new(owner())
    assert.same({ nil, "not here", "UNSUPPORTED" }, { writer:open() })
  end)

  it("ends what waits when it is closed; what is under way is written", function()
    threaded()
    for _, lost in ipairs { false, function() end } do
      local opened = 0
      local writer = open { lost = lost or nil, path = function()
        opened = opened + 1
        return path
      end }
      end_a_round_later(writer)
      local list = appends(writer, 3)
      list[4] = function() writer:close() end
      local results = in_turns(list)
      assert.is_true(results[1][2])
      assert.equal("CLOSED", results[2][4])
      assert.equal("CLOSED", results[3][4])
      assert.equal(numbered(1), tempdir.read(path))
      assert.equal(1, opened)
      os.remove(path)
      assert(core.journal(path, "schedule export")):close()
      os.remove(path)
    end
    -- What is under way, and fails.
    local writer = open { lost = function() end }
    end_a_round_later(writer)
    os.remove(path)
    local results = in_turns { append(writer, "one"), function() writer:close() end }
    assert.equal("FILE_ERROR", results[1][4])
    assert.is_nil(tempdir.read(path))
  end)

  it("lets go of a file that is opened after it was closed", function()
    threaded()
    local function close_meanwhile()
      local writer = writers.new(owner())
      return in_turns({ function() return writer:open() end, function() writer:close() end })[1]
    end
    local result = close_meanwhile()
    assert.same({ true, nil, "the file is closed", "CLOSED" }, { result[1], result[2], result[3],
      result[4] })
    assert(core.journal(path, "schedule export")):close()
    tempdir.shell(("rm %s; mkdir %s"):format(path, path))
    assert.equal("FILE_ERROR", close_meanwhile()[4])
  end)

  it("has lines on disk at once, but where all that are written together may wait", function()
    threaded()
    local writer = open()
    end_a_round_later(writer)
    local submit, synced = writer.file.submit, {}
    function writer.file:submit(by, lines, is_synced, room)
      synced[#synced + 1] = is_synced
      return submit(self, by, lines, is_synced, room)
    end
    for _, case in ipairs { { false }, { true }, { nil }, { false, false, false },
      { true, false, false }, { false, false, true }, { false, true, false } } do
      local list = {}
      for i = 1, math.max(#case, 1) do list[i] = append(writer, "x", { sync = case[i] }) end
      for _, result in ipairs(in_turns(list)) do assert.is_true(result[2]) end
    end
    assert.same({ false, true, true, false, false, true, false, false, true, false, true }, synced)
    writer:close()
  end)

  -- What is there after each of the changes that others make to an open file.
  local CHANGES = { "mv %s %s.1", "mv %s %s.1; touch %s", "cp %s %s.1; truncate -s 0 %s", "rm %s" }

  for _, how in ipairs { "directly", "on a thread" } do
    it("goes on in another file when that one was lost, and loses no line, " .. how, function()
      if how == "on a thread" then threaded() end
      for _, change in ipairs(CHANGES) do
        local lost
        local writer = open { lost = function(why, now) lost = { why, now } end }
        for _, result in ipairs(in_turns(appends(writer, 3))) do assert.is_true(result[2]) end
        assert.is_nil(lost)
        tempdir.shell((change:gsub("%%s", path)))
        local list = {}
        for i = 4, 9 do list[#list + 1] = append(writer, "line " .. i) end
        for _, result in ipairs(in_turns(list)) do assert.is_true(result[2]) end
        assert.equal("string", type(lost[1]))
        assert.equal("line 4\nline 5\nline 6\nline 7\nline 8\nline 9\n", tempdir.read(path))
        assert.is_true(writer:is_open())
        writer:close()
        assert.is_false(writer:is_open())
        assert.equal("CLOSED", (select(3, writer:append { line = "x" })))
        tempdir.shell(("rm -f %s*"):format(path))
      end
    end)

    it("tries each time when the path cannot be opened again, " .. how, function()
      if how == "on a thread" then threaded() end
      local losses = 0
      local writer = open { lost = function() losses = losses + 1 end }
      assert.is_true(in_turns(appends(writer, 1))[1][2])
      tempdir.shell(("rm %s; mkdir %s"):format(path, path))
      for _ = 1, 2 do
        for _, result in ipairs(in_turns(appends(writer, 3))) do
          assert.equal("FILE_ERROR", result[4])
          assert.matches("^cannot open ", result[3])
        end
      end
      assert.is_true(writer:is_open())
      assert.equal("FILE_ERROR", in_turns({ function() return writer:open() end })[1][4])
      os.remove(path)
      assert.is_true(in_turns(appends(writer, 1))[1][2])
      assert.equal("line 1\n", tempdir.read(path))
      assert.equal(1, losses)
      writer:close()
    end)

    it("fails when the file was lost and no other will do, " .. how, function()
      if how == "on a thread" then threaded() end
      local writer = open()
      assert.is_true(in_turns(appends(writer, 1))[1][2])
      os.remove(path)
      for _, result in ipairs(in_turns(appends(writer, 3))) do
        assert.equal("FILE_ERROR", result[4])
        assert.matches("was removed while it was open", result[3], 1, true)
      end
      assert.is_nil(tempdir.read(path))
      writer:close()
    end)
  end
end)
