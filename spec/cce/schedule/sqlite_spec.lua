local cce = require "cce"
local contract = dofile "spec/support/shared/store_contract.lua"
local core = require "cce.core"
local hosts = require "spec.support.hosts"
local sqlite = require "cce.schedule.sqlite"
local tempdir = dofile "spec/support/tempdir.lua"

local dir, path, now

local function steady() return now end

local function open()
  return sqlite.open(path, { steady = steady, patience = 0.3 })
end

-- What SQLite itself says, past the store.

local function sql(store, statement)
  local result = assert(store.connection:execute(statement))
  if type(result) == "number" then return result end
  local row = result:fetch {}
  result:close()
  return row and row[1]
end

describe("cce.schedule.sqlite", function()
  before_each(function()
    dir, now = tempdir.new(), 1000
    path = dir .. "/schedule.db"
  end)

  after_each(function() tempdir.remove(dir) end)

  contract("sqlite", function() return assert(open()), open end,
    function(seconds) now = now + seconds end, function(store, is_next)
      local connection = store.connection
      store.connection = { close = function() connection:close() end,
        execute = function(_, statement)
          if is_next() then return nil, "LuaSQL: disk I/O error" end
          return connection:execute(statement)
        end }
    end)

  local function failure(code, value, message, err)
    assert.is_nil(value)
    assert.equal(code, err and err.code)
    assert.equal(message, err.message)
    return tostring(err), err
  end

  local function add(store, id, text)
    return store:insert(id, text or "t", { state = "pending", due = 1 })
  end

  it("keeps a file that its owner alone may read", function()
    local mask = core.sys.umask(0)
    local store = assert(open())
    assert(add(store, "a"))
    for _, name in ipairs { "", "-wal", "-shm" } do
      local info = assert(core.file.stat(path .. name))
      assert.equal("0600", info.mode, name)
    end
    assert.equal(0, core.sys.umask(mask))
    store:close()
  end)

  -- Whom the system lets write anywhere is root; a file system that is mounted for reading
  -- lets nobody.
  local function read_only(body, before)
    local mounted = select(2, tempdir.run("unshare -m true")) == 0
    if not mounted then return pending "needs to mount" end
    -- ThreadSanitizer maps no memory any more when modules are unloaded there.
    if os.getenv "FLAVOUR" == "tsan" then body = body .. "os.exit(0)" end
    tempdir.write(dir .. "/script.lua", body)
    return tempdir.run(("unshare -m sh -c 'mount --bind %s %s && mount -o remount,ro,bind %s && %s "
      .. "LUA_PATH=\"%s\" LUA_CPATH=\"%s\" %s %s/script.lua'"):format(dir, dir, dir, before or "",
      package.path, package.cpath, tempdir.interpreter(), dir))
  end

  local LOOK = [[
      local sqlite = require "cce.schedule.sqlite"
      local store, why, problem = sqlite.open(%q, {})
      if not store then error(why .. ": " .. problem.hint .. tostring(problem.retryable)) end
      assert(#assert(store:page { limit = 10 }) == 1)
      assert(store:get "a")
      local ok, message, err = store:insert("b", "t", { state = "pending", due = 1 })
      assert(not ok and err.code == "FILE_ERROR" and message:find "may not write", message)
      local copy = store.snapshot
      store:close()
      assert(not copy or not require("cce.core").file.stat(copy))
      print("copied:", copy ~= nil)
    ]]

  it("reads a file that it may not write to, whether or not its writer lives", function()
    local store = assert(open())
    assert(add(store, "a"))
    local output, status = read_only(LOOK:format(path))
    store:close()
    if not status then return end
    assert.equal(0, status, output)
    output, status = read_only(LOOK:format(path))
    assert.equal(0, status, output)
    assert.matches("copied:\ttrue", output, 1, true)
  end)

  it("reads it also where nothing but memory may be written to, else says so", function()
    if os.getenv "FLAVOUR" == "valgrind" then return pending "valgrind itself needs TMPDIR" end
    local store = assert(open())
    assert(add(store, "a"))
    store:close()
    local output, status = read_only(LOOK:format(path), "TMPDIR=/proc")
    if not status then return end
    assert.equal(0, status, output)
    assert.matches("copied:\ttrue", output, 1, true)
    output = read_only(LOOK:format(path), "mount --bind /proc /dev/shm && TMPDIR=/proc")
    assert.matches("read only from a copy, which has no place: .*: Set TMPDIR .*false", output)
  end)

  -- Opens it with a driver whose connections `connect` makes.
  local function open_by(connect)
    local real = require "luasql.sqlite3"
    package.loaded["luasql.sqlite3"] = { sqlite3 = function()
      local environment = real.sqlite3()
      return { close = function() environment:close() end,
        connect = function(_, name) return connect(environment, name) end }
    end }
    local store, message, err = open()
    package.loaded["luasql.sqlite3"] = real
    return store, message, err
  end

  -- The same, but one kind of statement fails.
  local function open_without(pattern, message)
    return open_by(function(environment, name)
      local real = environment:connect(name)
      return { close = function() real:close() end, execute = function(_, statement)
        if statement:find(pattern) then return nil, message end
        return real:execute(statement)
      end }
    end)
  end

  -- The directories of the copies that are made from now on.
  local function copies_made()
    local make, list = core.sys.mkdir_private, {}
    finally(function() core.sys.mkdir_private = make end)
    function core.sys.mkdir_private(...)
      local copy, message, code = make(...)
      list[#list + 1] = copy
      return copy, message, code
    end
    return list, make
  end

  it("reads a copy that is of one moment, and another once its file was written to", function()
    local copies, make = copies_made()
    local writer, read = assert(open()), core.file.read
    assert(add(writer, "a"))
    local reads, changes = 0, 1
    function core.file.read(...)
      local text, message, code = read(...)
      reads = reads + 1
      if reads <= changes then assert(add(writer, "r" .. reads)) end
      return text, message, code
    end
    finally(function()
      core.file.read, core.sys.mkdir_private = read, make -- the last finally alone counts
      writer:close()
    end)
    local function connect(environment, name)
      if name == path then return nil, "attempt to write a readonly database" end
      return environment:connect(name)
    end
    local store = assert(open_by(connect))
    assert.same({ 2, 4 }, { #store:page { limit = 10 }, reads })
    local first = store.snapshot
    assert(add(writer, "b"))
    assert.same({ 3, 6 }, { #store:page { limit = 10 }, reads })
    local second = store.snapshot
    store:close()
    assert.same({ false, false }, { core.file.stat(first), core.file.stat(second) })
    changes = 100
    assert.matches("another process holds it", (failure("STORE_UNAVAILABLE",
      open_by(connect))))
    assert.equal(6 + 10, reads)
    -- Nor is it one without its -wal.
    function core.file.read(name, ...)
      if name:find "-wal$" then return nil, "it cannot be read", "FILE_ERROR" end
      return read(name, ...)
    end
    assert.matches("it cannot be read", (failure("FILE_ERROR", open_by(connect))))
    assert.equal(4, #copies)
    for _, copy in ipairs(copies) do assert.is_false(core.file.stat(copy)) end
  end)

  it("is made as a whole, or not at all, whichever statement fails", function()
    local nth, store, left = 0
    repeat
      nth = nth + 1
      left = nth
      local message, err
      store, message, err = open_by(function(environment, name)
        local connection = environment:connect(name)
        return { close = function() connection:close() end, execute = function(_, statement)
          -- Without that it is known by the path that was given.
          if not statement:find "database_list" then left = left - 1 end
          if left == 0 then return nil, "disk is full" end
          return connection:execute(statement)
        end }
      end)
      if left <= 0 then
        failure("STORE_UNAVAILABLE", store, message, err)
        -- Of a file that is empty it is not known that nothing was in it.
        if core.file.stat(path).size == 0 then os.remove(path) end
      end
    until left > 0
    assert.is_true(nth > 15)
    left = -1
    assert(add(store, "a"))
    store:close()
  end)

  it("says what SQLite means, and what to do", function()
    local store, says = assert(open()), nil
    local connection = store.connection
    store.connection = { close = function() connection:close() end,
      execute = function() return nil, "LuaSQL: " .. says end }
    for text, expected in pairs {
      ["database is locked"] = { "STORE_UNAVAILABLE", "another process holds it", "fuser '" },
      ["database is Busy"] = { "STORE_UNAVAILABLE", "another process holds it", "fuser '" },
      ["database or disk is full"] = { "STORE_UNAVAILABLE", "the disk is full", "Make room" },
      ["disk I/O error"] = { "STORE_UNAVAILABLE", "the disk failed", "kernel's log" },
      ["out of memory"] = { "STORE_UNAVAILABLE", "memory ran out" },
      ["file is not a database"] = { "FILE_ERROR", "no SQLite database", "move '" },
      ["database disk image is malformed"] = { "FILE_ERROR", "damaged", "import the last export" },
      ["attempt to write a readonly database"] = { "FILE_ERROR", "may not write", "let this user" },
      ["unable to open database file"] = { "FILE_ERROR", "cannot be opened", "must exist" },
      ["a surprise"] = { "INTERNAL", "a surprise" },
    } do
      says = text
      local _, err = failure(expected[1], store:get "a")
      assert.equal(expected[1] == "STORE_UNAVAILABLE", err.retryable)
      assert.is_false(err.maybe_applied)
      assert.matches(expected[2], err.message, 1, true)
      if expected[3] then
        assert.matches(expected[3], err.hint, 1, true)
      else
        assert.is_nil(err.hint)
      end
    end
    -- What came before a failure is not all that there is.
    store.connection.execute = function()
      local rows = { { id = "a" } }
      return { close = function() end, fetch = function()
        if rows[1] then return table.remove(rows) end
        return nil, "LuaSQL: disk I/O error"
      end }
    end
    failure("STORE_UNAVAILABLE", store:page { limit = 5 })
    store:close()
  end)

  it("gives no longer a page than was asked for, whatever others wrote", function()
    local store = assert(open())
    for _, id in ipairs { "a", "b", "c", "d" } do assert(add(store, id)) end
    sql(store, "UPDATE entries SET due = NULL WHERE id = 'd'")
    -- What has no time is due at once.
    assert.equal(0, store:next_due())
    local page = assert(store:due(5, 3))
    assert.same({ 3, "d", "a", "b" }, { #page, page[1].id, page[2].id, page[3].id })
    page = assert(store:due(5, 3, page[3]))
    assert.same({ 1, "c" }, { #page, page[1].id })
    store:close()
  end)

  it("writes nothing into a file that is not there any more", function()
    for act, what in pairs { ["rm %s"] = "removed", [": > %s"] = "emptied",
      ["cp %s %s.old && mv %s.old %s"] = "replaced" } do
      path = dir .. "/" .. #act .. ".db"
      local store = assert(open())
      assert(add(store, "a"))
      tempdir.shell((act:gsub("%%s", path)))
      local text, err = failure("STORE_UNAVAILABLE", add(store, "b"))
      local can_come_back = what == "removed"
      assert.same({ can_come_back, false }, { err.retryable, err.maybe_applied })
      assert.equal(not can_come_back, err.must_reopen or false)
      assert.matches("the file was " .. what, text)
      failure("STORE_UNAVAILABLE", store:due(5, 5))
      store:close()
    end
  end)

  it("has each change on disk when it returns", function()
    local store = assert(open())
    assert.equal("wal", sql(store, "PRAGMA journal_mode"))
    assert.equal(2, sql(store, "PRAGMA synchronous"))
    store:close()
  end)

  it("takes its path as it is", function()
    for _, name in ipairs { "file:x.db?mode=memory", "a'b\" ?#.db", "-x" } do
      path = dir .. "/" .. name
      local store = assert(open())
      assert(add(store, "a"))
      store:close()
      assert.is_table(core.file.stat(path), name)
    end
    -- A name that is no path of its own is given to SQLite as one.
    path = "file:x.db?mode=memory"
    local given
    failure("FILE_ERROR", open_by(function(_, name)
      given = name
      return nil, "unable to open database file"
    end))
    assert.equal("./" .. path, given)
    -- The process may go to another directory afterwards.
    path = tempdir.check "pwd":gsub("%s+$", ""):gsub("[^/]+", ".."):sub(2) .. dir .. "/relative.db"
    local relative = assert(open())
    assert.equal("/", relative.file:sub(1, 1))
    relative:close()
    -- Where SQLite does not say what it has opened, it is known by the path that was given.
    local unnamed = assert(open_without("database_list", "out of memory"))
    assert.equal(path, unnamed.file)
    unnamed:close()
    for _, name in ipairs { ":memory:", "/tmp/:memory:", "a\0b", "a\nb" } do
      failure("INVALID_ARGUMENT", sqlite.open(name, {}))
    end
  end)

  describe("says what is wrong, and what to do, when the file", function()
    it("has no directory", function()
      path = dir .. "/nowhere/schedule.db"
      local text = failure("FILE_ERROR", open())
      assert.matches("nowhere/schedule.db': opening its directory: No such file or directory. Its",
        text, 1, true)
    end)

    it("was prepared by another user, where everybody may put one", function()
      if not tempdir.is_root() then return pending "needs root to give a file away" end
      tempdir.check(("chmod 1777 %s"):format(dir))
      for _, suffix in ipairs { "", "-wal", "-shm", "-journal" } do
        tempdir.check(("touch %s%s; chown 65534 %s%s"):format(path, suffix, path, suffix))
        assert.matches("it belongs to user 65534", (failure("FILE_ERROR", open())), 1, true)
        assert.equal("", tempdir.read(path .. suffix))
        os.remove(path .. suffix)
      end
      tempdir.check(("ln -s %s/elsewhere %s; chown -h 65534 %s"):format(dir, path, path))
      assert.matches("following its links: Permission denied", (failure("FILE_ERROR", open())), 1,
        true)
      assert.same({ "schedule.db" }, tempdir.list(dir))
    end)

    it("was emptied, and begins a new one once it is removed", function()
      local store = assert(open())
      assert(add(store, "a"))
      -- Its process was killed: what is in the -wal alone is no reason to go on, either.
      for _, has_wal in ipairs { true, false } do
        tempdir.shell((": > %s"):format(path))
        if not has_wal then
          store:close()
          tempdir.shell((": > %s; rm %s-*"):format(path, path))
        end
        local text, err = failure("FILE_ERROR", open())
        assert.matches("is an empty file: what was in it is lost", text, 1, true)
        assert.matches(("export if there is one: rm '%s'"):format(path), text, 1, true)
        assert.is_false(err.retryable)
        assert.equal("", tempdir.read(path))
        assert.equal(has_wal, core.file.stat(path .. "-wal") and true)
      end
      os.remove(path)
      store = assert(open())
      assert.equal(0, store:count "pending")
      store:close()
    end)

    it("is empty since another process makes it at this moment", function()
      tempdir.write(path, "")
      local waits, store = 0, nil
      local sleep = core.sys.sleep
      function core.sys.sleep(seconds)
        waits = waits + 1
        if waits == 2 then
          -- What the other one has written by now, and patience has ended: there is a last look.
          sleep(0.4)
          os.remove(path)
          local other = assert(open())
          assert(add(other, "a"))
          other:close()
        end
        return sleep(seconds)
      end
      local ok, problem = pcall(function() store = assert(open()) end)
      core.sys.sleep = sleep
      assert(ok, problem)
      assert.equal(1, store:count "pending")
      store:close()
    end)

    it("is no database", function()
      tempdir.write(path, ("no database\n"):rep(1000))
      assert.matches("it is no SQLite database. Give another path", (failure("FILE_ERROR", open())))
      assert.equal(12000, #tempdir.read(path))
    end)

    it("is another program's", function()
      -- One that has no tables yet says so by a number.
      for _, statement in ipairs { "CREATE TABLE people (name TEXT)", "PRAGMA application_id = 7",
        "PRAGMA user_version = 1" } do
        local other = require("luasql.sqlite3").sqlite3():connect(path)
        local result = assert(other:execute(statement))
        if type(result) ~= "number" then result:close() end
        other:close()
        local text = tempdir.read(path)
        assert.matches("is the database of another program", (failure("UNSUPPORTED", open())))
        assert.is_true(text == tempdir.read(path))
        assert.same({ "schedule.db" }, tempdir.list(dir))
        os.remove(path)
      end
    end)

    -- As it lies there when its program was killed.
    it("is another program's that has not put everything into it yet", function()
      local copies = copies_made()
      local other = require("luasql.sqlite3").sqlite3():connect(dir .. "/other")
      local function run(statement)
        local result = assert(other:execute(statement))
        if type(result) ~= "number" then result:close() end
      end
      for _, suffix in ipairs { "-wal", "-journal" } do
        run("PRAGMA journal_mode = " .. (suffix == "-wal" and "WAL" or "DELETE"))
        run(suffix == "-wal" and "CREATE TABLE people (name TEXT)" or "PRAGMA cache_size = 1")
        run "BEGIN"
        run "INSERT INTO people SELECT hex(randomblob(100000))"
        if suffix == "-wal" then run "COMMIT" end
        tempdir.check(("rm -f %s*; cp %s/other %s; cp %s/other%s %s%s"):format(path, dir, path, dir,
          suffix, path, suffix))
        local look = ("cd %s; sha256sum schedule*"):format(dir)
        local before = tempdir.check(look)
        assert.matches("schedule.db" .. suffix, before, 1, true)
        local store, message, err = open()
        assert.is_nil(store)
        assert.is_false(err.retryable, message)
        assert.equal(before, tempdir.check(look))
      end
      assert.equal(2, #copies)
      for _, copy in ipairs(copies) do assert.is_false(core.file.stat(copy)) end
      other:close()
    end)

    it("is another program's that writes to it while it is looked at", function()
      local other = require("luasql.sqlite3").sqlite3():connect(path)
      other:execute("PRAGMA journal_mode = WAL"):close()
      assert(other:execute "CREATE TABLE people (name TEXT)")
      local read, sleep, reads, changes, slept = core.file.read, core.sys.sleep, 0, 0, 0
      function core.file.read(...)
        reads = reads + 1
        if reads <= changes then assert(other:execute "INSERT INTO people VALUES ('x')") end
        return read(...)
      end
      function core.sys.sleep(seconds)
        slept = slept + seconds
        sleep(seconds)
      end
      finally(function()
        core.file.read, core.sys.sleep = read, sleep
        other:close()
      end)
      -- It is looked at until it is still, so long as there is patience.
      for _, case in ipairs { { 1 / 0, 0.1, "STORE_UNAVAILABLE" }, { 12, 120, "UNSUPPORTED" } } do
        reads, changes, slept = 0, case[1], 0
        local err = select(2, failure(case[3], sqlite.open(path, { patience = case[2] })))
        assert.equal(case[3] == "STORE_UNAVAILABLE", err.retryable)
        assert.is_true(slept > 0 and reads > math.min(changes, 9))
      end
    end)

    it("is ours, and its process was killed", function()
      local store = assert(open())
      assert(add(store, "a"))
      tempdir.check(("cd %s; for x in '' -wal; do cp schedule.db$x \"its co'py$x\"; done")
        :format(dir))
      store:close()
      path = dir .. "/its co'py"
      -- It is known by its mark, whatever its name: no copy is made to look at.
      local copies = copies_made()
      store = assert(open())
      assert.equal("a", assert(store:get "a").id)
      assert.same({}, copies)
      store:close()
    end)

    it("was written by a newer version", function()
      local store = assert(open())
      sql(store, "PRAGMA user_version = 2")
      store:close()
      assert.matches("has version 2, and this library knows 1. Use the version",
        (failure("UNSUPPORTED", open())))
    end)

    it("is damaged", function()
      local store = assert(open())
      for i = 1, 40 do assert(add(store, ("%016d"):format(i), ("x"):rep(1000))) end
      store:close()
      local text = tempdir.read(path)
      tempdir.write(path, text:sub(1, 4096) .. ("\255"):rep(#text - 4096))
      local message, err
      store, message, err = open()
      if store then
        local rows, reason, problem = store:page { limit = 100 }
        assert.is_nil(rows)
        message, err = reason, problem
        store:close()
      end
      assert.equal("FILE_ERROR", err.code)
      assert.is_false(err.retryable)
      assert.matches("it is damaged", message)
      assert.matches("import the last export", err.hint)
    end)

    it("is locked for long", function()
      local store, other = assert(open()), assert(open())
      sql(other, "BEGIN IMMEDIATE")
      local text, err = failure("STORE_UNAVAILABLE", add(store, "a"))
      assert.is_true(err.retryable)
      assert.matches("schedule.db': another process holds it. See which: fuser", text)
      -- Reading goes on, also by who comes now, and so does writing, afterwards.
      assert.equal(0, store:count "pending")
      assert(open()):close()
      sql(other, "COMMIT")
      assert(add(store, "a"))
      store:close()
      other:close()
      -- Nor is a copy looked at instead, to which nothing could be added.
      failure("STORE_UNAVAILABLE", open_without("journal_mode", "database is locked"))
    end)

    it("finds no more room", function()
      local store = assert(open())
      assert(add(store, "a"))
      sql(store, "PRAGMA max_page_count = " .. sql(store, "PRAGMA page_count"))
      local text, err = failure("STORE_UNAVAILABLE", add(store, "b", ("x"):rep(100000)))
      assert.matches("the disk is full. Make room where", text)
      assert.is_true(err.retryable)
      -- Nothing of it is there, and nothing is left open.
      assert.is_nil((store:get "b"))
      sql(store, "PRAGMA max_page_count = 1000000")
      assert(add(store, "b", ("x"):rep(100000)))
      store:close()
    end)
  end)

  it("undoes what raised in the middle", function()
    local store = assert(open())
    assert(add(store, "a"))
    assert.has_error(function() store:update("a", 1, nil, { state = {} }) end)
    assert.equal(1, store:get("a").revision)
    assert(store:update("a", 1, "new", { state = "pending", due = 1 }))
    store:close()
    assert.has_error(function() store:get "a" end, "the schedule is closed")
    store:close()
  end)

  it("says which package is missing", function()
    local loaded, preload = package.loaded["luasql.sqlite3"], package.preload["luasql.sqlite3"]
    package.loaded["luasql.sqlite3"] = nil
    package.preload["luasql.sqlite3"] = function() error "module not found" end
    local store, message, err = open()
    package.loaded["luasql.sqlite3"], package.preload["luasql.sqlite3"] = loaded, preload
    assert.matches("lua%-sql%-sqlite3 %(Debian%)", (failure("MISSING_DEPENDENCY", store, message,
      err)))
  end)

  it("is refused inside nginx", function()
    rawset(_G, "ngx", {})
    local store, message, err = open()
    rawset(_G, "ngx", nil)
    assert.matches("Open \"etcd:", (failure("UNSUPPORTED", store, message, err)))
  end)

  it("takes a runner of another start of the machine for dead", function()
    local store, other = assert(open()), assert(open())
    assert(store:open_session("r1", 60))
    assert.is_true(other:alive "r1")
    assert.equal(tempdir.read("/proc/sys/kernel/random/boot_id"):match "%S+", other.boot)
    other.boot = "another"
    assert.is_false(other:alive "r1")
    assert(other:open_session("r1", 60))
    assert.is_false(store:alive "r1")
    other:close()
    -- Or of one that the kernel does not name.
    local open_file = io.open
    finally(function() io.open = open_file end) -- luacheck: ignore
    function io.open() return nil end -- luacheck: ignore
    other = assert(open())
    assert.is_false(other:alive "r1")
    store:close()
    other:close()
  end)

  it("uses an index for whatever it looks for", function()
    local store, plans = assert(open()), 0
    local connection = store.connection
    store.connection = { close = function() connection:close() end,
      execute = function(_, statement)
        if statement:find "FROM entries" or statement:find "^UPDATE entries" then
          local cursor = assert(connection:execute("EXPLAIN QUERY PLAN " .. statement))
          for _ = 1, 20 do
            local row = cursor:fetch({}, "a")
            if not row then break end
            plans = plans + 1
            assert.is_nil(row.detail:find "SCAN entries$", statement)
            -- Two pages of what is held are put in order, however many there are.
            if not statement:find "UNION" then
              assert.is_nil(row.detail:find "TEMP B%-TREE", statement)
            end
          end
          cursor:close()
        end
        return connection:execute(statement)
      end }
    assert(store:insert("a", "t", { state = "pending", due = 1, unique = "u" }))
    assert(store:update("a", 1, "t", { state = "pending", due = 1, unique = "u" }))
    assert(store:get "a")
    assert(store:due(5, 10, { due = 0, id = "a" }))
    assert(store:next_due())
    assert(store:held(nil, 5))
    assert(store:page { limit = 5, after = "a" })
    assert(store:page { status = "pending", limit = 5, after = "a" })
    assert(store:count "pending")
    assert(store:prune(5, 10))
    assert.is_true(plans > 10)
    store:close()
  end)

  it("costs the same with a hundred thousand entries #long #timing", function()
    local FAR = 4000000000
    -- The same work on each: add, list a page, find the ten that are due and change them.
    local function seconds_with(count)
      path = ("%s/%d-%d.db"):format(dir, count, math.random(1e9))
      local clock = function() return FAR - 1000 end
      local schedule = assert(cce.schedule.open("sqlite:" .. path, { clock = clock }))
      sql(schedule.store, ([[WITH RECURSIVE counter (n) AS
        (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < %d)
        INSERT INTO entries (id, text, revision, state, due) SELECT printf('%%016d', n),
          printf('{"v":1,"id":"%%016d","kind":"revoke","state":"pending","due":%%d,"created":1,' ||
          '"cluster_id":"c1","user_id":"u1","attempts":0}', n, %d + n), 1, 'pending', %d + n
        FROM counter]]):format(count, FAR, FAR))
      local opts = { cluster_id = "c1", user_id = "u1" }
      local started = core.sys.monotonic()
      for _ = 1, 20 do
        for _ = 1, 10 do assert(schedule:revoke_at(FAR - 2000, opts)) end
        assert.equal(50, #assert(schedule:list { limit = 50, after = ("%016d"):format(count / 2) }))
        assert(schedule.store:next_due())
        local rows = assert(schedule.store:due(FAR - 1000, 10))
        assert.equal(10, #rows)
        for _, row in ipairs(rows) do assert(schedule:cancel(row.id)) end
        assert(schedule.store:held(nil, 10))
        assert.equal(0, schedule.store:prune(5, 10))
      end
      local seconds = core.sys.monotonic() - started
      schedule:close()
      return seconds
    end
    seconds_with(100)
    local few, many = seconds_with(100), seconds_with(100000)
    io.write(("[%.2f s with 100, %.2f s with 100000] "):format(few, many))
    assert.is_true(many < 2 * few, ("%f and %f"):format(few, many))
  end)

  describe("of several processes", function()
    -- Runs the code in a process of its own, with `store` open; and its text.
    local function child(code)
      return hosts.script(nil, ("local path = %q\n"):format(path) .. [[
        io.stdout:setvbuf "line"
        local core = require "cce.core"
        local store = assert(require("cce.schedule.sqlite").open(path, { patience = 20 }))
      ]] .. code)
    end

    it("loses no change, and opens a new file once", function()
      local children = {}
      for i = 1, 3 do
        children[i] = child [[
          store:insert("counter", "0", { state = "pending", due = 1 })
          for _ = 1, 20 do
            repeat
              local row = assert(store:get "counter")
              local text = ("%d"):format(row.text + 1)
              local ok, message, err = store:update("counter", row.revision, text,
                { state = "pending", due = 1 })
              assert(ok or err.code == "CONFLICT", message)
            until ok
          end
          print "done"
        ]]
      end
      for _, each in ipairs(children) do
        local code, text = each:finish()
        assert.equal(0, code, text)
      end
      local store = assert(open())
      assert.equal("60", store:get("counter").text)
      store:close()
    end)

    it("takes a file that another process makes while it is looked at for a schedule", function()
      -- The other one opens it between two statements of this one.
      local luasql, other = require "luasql.sqlite3", nil
      local function connect(environment, name)
        local real = environment:connect(name)
        return { close = function() return real:close() end, execute = function(_, statement)
          if statement:find "sqlite_master" and not other then
            -- It looked for the file before this one made it.
            local stat = core.file.stat
            function core.file.stat()
              core.file.stat = stat
              return false
            end
            other = true
            other = assert(open())
          end
          return real:execute(statement)
        end }
      end
      local function environment()
        local real = luasql.sqlite3()
        return { close = function() return real:close() end,
          connect = function(_, name) return connect(real, name) end }
      end
      package.loaded["luasql.sqlite3"] = { sqlite3 = environment }
      local opened, store, message = pcall(open)
      package.loaded["luasql.sqlite3"] = luasql
      assert(opened, store)
      assert(store, message)
      assert(store:insert("a", "text", { state = "pending", due = 1 }))
      assert.equal("text", other:get("a").text)
      store:close()
      other:close()
    end)

    it("lets one have what both want", function()
      local children = {}
      for i = 1, 3 do
        children[i] = child(([[
          for n = 1, 40 do
            local ok = store:insert(("%d-%%d"):format(n), "t", { state = "pending", due = 1,
              unique = ("u%%d"):format(n) })
            if ok then print(n) end
          end
        ]]):format(i))
      end
      local seen, count = {}, 0
      for _, each in ipairs(children) do
        local code, text = each:finish()
        assert.equal(0, code, text)
        for n in text:gmatch "%d+" do
          assert.is_nil(seen[n])
          seen[n], count = true, count + 1
        end
      end
      assert.equal(40, count)
    end)

    it("keeps whatever it told of, although it is killed at once", function()
      for round = 1, 2 do
        local writer = child(([[
          for n = 1, 1e6 do
            local id = ("%d-%%d"):format(n)
            assert(store:insert(id, ("x"):rep(3000), { state = "pending", due = 1 }))
            assert(store:update(id, 1, "new", { state = "claimed", runner = "r" }))
            print(id)
          end
        ]]):format(round))
        writer:wait_for(round .. "-10")
        writer.process:signal "SIGKILL"
        local _, text = writer:finish()
        local store, told = assert(open()), 0
        assert.equal("ok", sql(store, "PRAGMA integrity_check"))
        for id in text:gmatch "(%d+%-%d+)\n" do
          told = told + 1
          local row = assert(store:get(id))
          assert.same({ "new", "claimed" }, { row.text, row.state })
        end
        assert.is_true(told >= 10)
        store:close()
      end
    end)
  end)
end)
