--- A schedule in a file, for the processes of one machine: see
-- `cce.schedule.store` for what a store does.
--
-- Each change is a transaction that is on disk when it returns (WAL with
-- synchronous=FULL). A process that finds the file locked waits a few seconds; since
-- SQLite blocks meanwhile, nginx is refused.
--
-- luasql binds no values: every text goes in as hex digits, by `text_of`.
-- @module cce.schedule.sqlite
-- @local
local core = require "cce.core"
local directories = require "cce.base.directories"
local errors = require "cce.error"
local json_line = require "cce.base.json_line"
local stores = require "cce.schedule.store"
local texts = require "cce.base.values"

local to_lower, shell_word = texts.lower, texts.shell_word

local M = {}

local Store = {}
Store.__index = Store
Store.__name = "cce.schedule.sqlite"

local Session = {}
Session.__index = Session
Session.__name = "cce.schedule.session"

local SCHEMA = 1

-- Tells our files from those of other programs, as a number and in the file's header.
local APPLICATION, MARK, MARK_AT = 0x43434573, "CCEs", 69

-- Seconds to wait for another process.
local PATIENCE = 5

-- What a runner would never find.
local IS_TIMELESS = "due IS NULL AND state NOT IN ('claimed', 'sending', 'done', 'cancelled',"
  .. " 'quarantined')"

local TABLES = {
  [[CREATE TABLE entries (
      id TEXT NOT NULL PRIMARY KEY CHECK (typeof(id) = 'text'),
      text TEXT NOT NULL, revision INTEGER NOT NULL, state TEXT NOT NULL,
      due REAL, ended REAL, uniq TEXT, runner TEXT)]],
  "CREATE INDEX entries_due ON entries (due, id) WHERE due IS NOT NULL",
  -- Holds nothing, unless another program has written here.
  "CREATE INDEX entries_timeless ON entries (id) WHERE " .. IS_TIMELESS,
  "CREATE INDEX entries_state ON entries (state, id)",
  "CREATE INDEX entries_ended ON entries (ended) WHERE ended IS NOT NULL",
  "CREATE UNIQUE INDEX entries_uniq ON entries (uniq) WHERE uniq IS NOT NULL",
  [[CREATE TABLE sessions (
      runner TEXT NOT NULL PRIMARY KEY, token TEXT NOT NULL, boot TEXT NOT NULL,
      ends REAL NOT NULL)]],
  ("PRAGMA user_version = %d"):format(SCHEMA),
}

-- ---- values ----------------------------------------------------------------------

local HEX = {}
for byte = 0, 255 do HEX[string.char(byte)] = ("%02x"):format(byte) end

-- Hex digits end no literal, whatever the text holds.
local function text_of(value)
  if value == nil then return "NULL" end
  return "CAST(x'" .. value:gsub(".", HEX) .. "' AS TEXT)"
end

-- Some locales write a comma. SQLite keeps whatever others put into a column, texts
-- too; then it is found again as a text.
local function number_of(value)
  if value == nil then return "NULL" end
  if type(value) == "string" then return text_of(value) end
  if value == math.huge or value == -math.huge then return value > 0 and "9e999" or "-9e999" end
  return (("%.17g"):format(value):gsub(",", "."))
end

-- "?" stands for a text, "#" for a number.
local function fill(sql, ...)
  local values, i = { n = select("#", ...), ... }, 0
  local text = sql:gsub("[?#]", function(mark)
    i = i + 1
    return (mark == "?" and text_of or number_of)(values[i])
  end)
  assert(i == values.n, sql)
  return text
end

-- ---- errors ------------------------------------------------------------------------

-- By what SQLite says: the code, what it means here, and what to do.
local PROBLEMS = {
  { "locked", "STORE_UNAVAILABLE", "another process holds it",
    "See which: fuser '%s'" },
  { "busy", "STORE_UNAVAILABLE", "another process holds it", "See which: fuser '%s'" },
  { "is full", "STORE_UNAVAILABLE", "the disk is full", "Make room where '%s' is" },
  { "i/o error", "STORE_UNAVAILABLE", "the disk failed, or is full",
    "Make room where '%s' is, and look at the kernel's log" },
  { "out of memory", "STORE_UNAVAILABLE", "memory ran out" },
  { "not a database", "FILE_ERROR", "it is no SQLite database",
    "Give another path, or move '%s' away" },
  { "malformed", "FILE_ERROR", "it is damaged",
    "Move '%s' and its -wal and -shm away, then import the last export" },
  { "readonly", "FILE_ERROR", "this user may not write to it",
    "Run as the owner of '%s', or let this user write to it and to its directory" },
  { "unable to open", "FILE_ERROR", "it cannot be opened",
    "Its directory must exist, and this user must be allowed to write to '%s'" },
}

local function failed(path, text)
  text = tostring(text):gsub("^LuaSQL: ", "")
  local lower, problem = to_lower(text), { nil, "INTERNAL", text }
  for _, known in ipairs(PROBLEMS) do
    if lower:find(known[1], 1, true) then
      problem = known
      break
    end
  end
  local code = problem[2]
  return errors.fail(code, ("the schedule '%s': %s"):format(path, problem[3]), {
    retryable = code == "STORE_UNAVAILABLE", maybe_applied = false,
    hint = problem[4] and problem[4]:format(path),
  })
end

local function conflict(message, holder)
  return errors.fail("CONFLICT", message, { retryable = false, maybe_applied = false,
    holder = holder })
end

-- ---- statements ----------------------------------------------------------------------

local function check_open(self)
  if not self.connection then error("the schedule is closed", 0) end
end

-- What a statement changed, or its rows. A cursor left open would hold a lock. Where there is no
-- row, LuaSQL 2.8 returns one without values; a row of ours has at least one.
local function execute(connection, sql)
  local result, message = connection:execute(sql)
  if type(result) ~= "userdata" and type(result) ~= "table" then return result, message end
  local rows = {}
  repeat
    local row
    row, message = result:fetch({}, "a")
    rows[#rows + 1] = row and next(row) and row
  until not row
  result:close()
  if message then return nil, message end
  return rows
end

-- What was removed, emptied or replaced by an older one can still be written to: but no process
-- will ever see it again.
local function check_place(self)
  if not self.identity then return true end
  local info = core.file.stat(self.file)
  local is_same = info and info.identity == self.identity
  if is_same and info.size > 0 then return true end
  return errors.fail("STORE_UNAVAILABLE", ("the schedule '%s': the file was %s while it was open")
    :format(self.path, is_same and "emptied" or info and "replaced" or "removed"), {
    retryable = not info, must_reopen = info and true, maybe_applied = false,
    hint = "Put it back with its -wal and -shm; or start this process again"
      .. " to use what is there now" })
end

local refresh

-- A statement by itself.
local function run(self, sql, ...)
  check_open(self)
  local there, why, problem = check_place(self)
  if self.snapshot then
    if not sql:find "^SELECT" then return failed(self.path, "readonly") end
    there, why, problem = refresh(self)
  end
  if not there then return nil, why, problem end
  local result, message = execute(self.connection, fill(sql, ...))
  if result == nil then return failed(self.path, message) end
  return result
end

local function first(self, sql, ...)
  local rows, message, err = run(self, sql, ...)
  if not rows then return nil, message, err end
  return rows[1] or false
end

-- Several statements as one: `body` returns nil, message, err to undo them all.
local function transaction(self, body)
  local begun, message, err = run(self, "BEGIN IMMEDIATE")
  if not begun then return nil, message, err end
  local ok, result
  ok, result, message, err = pcall(body)
  local ended
  if ok and result ~= nil then
    local reason, problem
    ended, reason, problem = run(self, "COMMIT")
    if ended then return result end
    result, message, err = nil, reason, problem
  end
  -- SQLite undoes some failures by itself; then this one is refused, which is fine.
  execute(self.connection, "ROLLBACK")
  if not ok then error(result, 0) end
  return result, message, err
end

-- ---- rows ------------------------------------------------------------------------------

local COLUMNS = "SELECT id, text, revision, state, runner, due FROM entries "

-- Refuse what another row has already.
local function check_unique(self, unique, id)
  if not unique then return true end
  local holder, message, err = first(self, "SELECT id FROM entries WHERE uniq = ? AND id <> ?",
    unique, id)
  if holder == nil then return nil, message, err end
  if not holder then return true end
  return conflict(("%s has it already"):format(holder.id), holder.id)
end

function Store:insert(id, text, fields)
  return transaction(self, function()
    local found, message, err = first(self, "SELECT 1 AS found FROM entries WHERE id = ?", id)
    if found == nil then return nil, message, err end
    if found then return conflict "there is an entry with this id already" end
    found, message, err = check_unique(self, fields.unique, id)
    if not found then return nil, message, err end
    found, message, err = run(self, "INSERT INTO entries (id, text, revision, state, due, ended,"
      .. " uniq, runner) VALUES (?, ?, 1, ?, #, #, ?, ?)", id, text, fields.state, fields.due,
      fields.ended, fields.unique, fields.runner)
    if not found then return nil, message, err end
    return 1
  end)
end

local function lives(self, runner)
  return first(self, "SELECT token FROM sessions WHERE runner = ? AND boot = ? AND ends > #",
    runner, self.boot, self.steady())
end

local function check_guard(self, guard)
  if guard.session then
    local own, message, err = lives(self, guard.session.runner)
    if own == nil then return nil, message, err end
    if not own or own.token ~= guard.session.token then
      return stores.session_over(guard.session.runner, false)
    end
  end
  if guard.dead then
    local other, message, err = lives(self, guard.dead)
    if other == nil then return nil, message, err end
    if other then return conflict(("runner %s is alive"):format(guard.dead)) end
  end
  return true
end

function Store:update(id, revision, text, fields, guard)
  return transaction(self, function()
    local ok, message, err = check_guard(self, guard or {})
    if not ok then return nil, message, err end
    ok, message, err = check_unique(self, fields.unique, id)
    if not ok then return nil, message, err end
    ok, message, err = run(self, "UPDATE entries SET text = ?, revision = revision + 1, state = ?,"
      .. " due = #, ended = #, uniq = ?, runner = ? WHERE id = ? AND revision = #", text,
      fields.state, fields.due, fields.ended, fields.unique, fields.runner, id, revision)
    if not ok then return nil, message, err end
    if ok == 0 then return conflict "the entry was changed meanwhile" end
    return (tonumber(revision) or 0) + 1
  end)
end

function Store:get(id)
  local row, message, err = first(self, COLUMNS .. "WHERE id = ?", id)
  if row == nil then return nil, message, err end
  if row then return row end
  return errors.fail("NOT_FOUND", ("there is no entry '%s'"):format(id), { retryable = false })
end

-- What waits and has no number for its time is none of ours. It comes first, so that
-- a person looks at it. Texts sort behind all numbers.
local TIMELESS = ("SELECT * FROM (%sWHERE %s ORDER BY id LIMIT #) UNION ALL SELECT * FROM"
  .. " (%sWHERE due >= '' ORDER BY due, id LIMIT #) LIMIT #"):format(COLUMNS, IS_TIMELESS, COLUMNS)

local function timeless(self, limit)
  local rows, message, err = run(self, TIMELESS, limit, limit, limit)
  if not rows then return nil, message, err end
  for _, row in ipairs(rows) do row.due = -math.huge end
  return rows
end

function Store:due(now, limit, after)
  local rows = {}
  if not after then
    local found, message, err = timeless(self, limit)
    if not found then return nil, message, err end
    rows, after = found, { due = -math.huge, id = "" }
  end
  local more, message, err = run(self, COLUMNS .. "WHERE due <= # AND (due, id) > (#, ?)"
    .. " ORDER BY due, id LIMIT #", now, after.due, after.id, limit - #rows)
  if not more then return nil, message, err end
  for _, row in ipairs(more) do rows[#rows + 1] = row end
  return rows
end

function Store:next_due()
  local rows, message, err = timeless(self, 1)
  if not rows then return nil, message, err end
  if rows[1] then return 0 end
  local row
  row, message, err = first(self, "SELECT due FROM entries WHERE due IS NOT NULL"
    .. " ORDER BY due, id LIMIT 1")
  if row == nil then return nil, message, err end
  return row and row.due
end

function Store:held(after, limit)
  -- Of each state by its own index: one range over both would be sorted first.
  local half = "SELECT * FROM (" .. COLUMNS .. "WHERE state = ? AND id > ? ORDER BY id LIMIT #)"
  after = after or ""
  return run(self, half .. " UNION ALL " .. half .. " ORDER BY id LIMIT #",
    "claimed", after, limit, "sending", after, limit, limit)
end

function Store:page(opts)
  local after, limit = opts.after or "", opts.limit
  if not opts.status then
    return run(self, COLUMNS .. "WHERE id > ? ORDER BY id LIMIT #", after, limit)
  end
  return run(self, COLUMNS .. "WHERE state = ? AND id > ? ORDER BY id LIMIT #",
    opts.status, after, limit)
end

function Store:count(state)
  local row, message, err = first(self, "SELECT count(*) AS n FROM entries WHERE state = ?", state)
  if not row then return nil, message, err end
  return row.n
end

function Store:prune(before, limit)
  return run(self, "DELETE FROM entries WHERE id IN (SELECT id FROM entries"
    .. " WHERE ended < # AND +state IN ('done', 'cancelled') ORDER BY ended LIMIT #)",
    before, limit)
end

-- ---- sessions -----------------------------------------------------------------------------

function Store:alive(runner)
  local found, message, err = lives(self, runner)
  if found == nil then return nil, message, err end
  return found ~= false
end

function Store:open_session(runner, seconds)
  local session = setmetatable({ runner = runner, seconds = seconds, store = self,
    token = json_line.new_id(), ends = self.steady() + seconds }, Session)
  return transaction(self, function()
    local found, message, err = lives(self, runner)
    if found == nil then return nil, message, err end
    if found then return conflict(("runner %s is alive already"):format(runner)) end
    found, message, err = run(self, "DELETE FROM sessions WHERE runner = ? OR boot <> ?"
      .. " OR ends <= #", runner, self.boot, self.steady())
    if not found then return nil, message, err end
    found, message, err = run(self, "INSERT INTO sessions (runner, token, boot, ends)"
      .. " VALUES (?, ?, ?, #)", runner, session.token, self.boot, session.ends)
    if not found then return nil, message, err end
    return session
  end)
end

function Session:renew()
  local now = self.store.steady()
  local ends = now + self.seconds
  local count, message, err = run(self.store, "UPDATE sessions SET ends = # WHERE runner = ?"
    .. " AND token = ? AND boot = ? AND ends > #", ends, self.runner, self.token, self.store.boot,
    now)
  if not count then return nil, message, err end
  if count == 0 then return stores.session_over(self.runner, false) end
  self.ends = ends
  return true
end

function Session:left()
  return math.max(0, self.ends - self.store.steady())
end

function Session:close()
  self.ends = 0
  local done, message, err = run(self.store, "DELETE FROM sessions WHERE runner = ? AND token = ?",
    self.runner, self.token)
  if not done then return nil, message, err end
  return true
end

-- ---- opening --------------------------------------------------------------------------------

local function driver()
  if type(rawget(_G, "ngx")) == "table" then
    return errors.fail("UNSUPPORTED", "SQLite would block the worker: inside nginx a schedule is"
      .. " kept in etcd", { hint = "Open \"etcd:<url>/<prefix>\" instead; `export` and `import`"
      .. " move what is there" })
  end
  local ok, luasql = pcall(require, "luasql.sqlite3")
  if ok then return luasql end
  return errors.fail("MISSING_DEPENDENCY", "a schedule in a file needs luasql with SQLite", {
    hint = "Install lua-sql-sqlite3 (Debian), or the rock luasql-sqlite3" })
end

-- SQLite gives a meaning of its own to some names, and luasql to one more.
local function check_path(path)
  if path:find "%c" or path:find(":memory:", 1, true) then
    return errors.fail("INVALID_ARGUMENT", "the path of a schedule must not have control"
      .. " characters or \":memory:\" in it")
  end
  for _, suffix in ipairs { "", "-wal", "-shm", "-journal" } do
    local ok, message, code = core.file.check(path .. suffix)
    if not ok then
      return errors.fail(code, ("the schedule '%s': %s"):format(path, message), {
        retryable = false, hint = "Its directory must exist, and belong to this user" })
    end
  end
  return path:sub(1, 1) == "/" and path or "./" .. path
end

-- One value of a pragma, or nil and SQLite's message.
local function pragma(connection, text)
  local rows, message = execute(connection, "PRAGMA " .. text)
  if not rows then return nil, message end
  local _, value = next(type(rows) == "table" and rows[1] or {})
  return value or false
end

-- Others that open the file for the first time at this moment may make any of
-- these fail as locked, although a timeout is set.
local function patiently(deadline, connection, text)
  while true do
    local value, message = pragma(connection, text)
    if value ~= nil then return value end
    if not message:find "locked" or core.sys.monotonic() > deadline then return nil, message end
    core.sys.sleep(0.02)
  end
end

local function refuse(path, message, hint)
  return errors.fail("UNSUPPORTED", ("the schedule '%s' %s"):format(path, message),
    { retryable = false, hint = hint })
end

-- The version; 0 for a file that has nothing in it yet.
local function check_version(self)
  local version, reason = pragma(self.connection, "user_version")
  local application
  if version then application, reason = pragma(self.connection, "application_id") end
  if not application then return failed(self.path, reason) end
  if application ~= APPLICATION then
    local used, message, err = first(self, "SELECT name FROM sqlite_master LIMIT 1")
    if used == nil then return nil, message, err end
    -- Another process may have made the schedule since the first look.
    if used and pragma(self.connection, "application_id") == APPLICATION then
      return check_version(self)
    end
    if used or version ~= 0 or application ~= 0 then
      return refuse(self.path, "is the database of another program", "Give another path")
    end
  end
  if version <= SCHEMA then return version end
  return refuse(self.path, ("has version %d, and this library knows %d"):format(version, SCHEMA),
    "Use the version of this library that wrote it, or a newer one")
end

-- Nothing is written before it is known whose database it is.
local function prepare(self, patience)
  local deadline = core.sys.monotonic() + patience
  local ok, reason = patiently(deadline, self.connection,
    ("busy_timeout = %d"):format(patience * 1000))
  if ok ~= nil then ok, reason = patiently(deadline, self.connection, "user_version") end
  if ok == nil then return failed(self.path, reason) end
  local version, message, err = check_version(self)
  if not version then return nil, message, err end
  if version == 0 then
    ok, reason = patiently(deadline, self.connection, ("application_id = %d"):format(APPLICATION))
    if ok == nil then return failed(self.path, reason) end
  end
  -- The mode of the journal is written into the file, and holds from there on: what is written
  -- later stands in the -wal alone for some time.
  for _, setting in ipairs { "journal_mode = WAL", "synchronous = FULL" } do
    ok, reason = patiently(deadline, self.connection, setting)
    if ok == nil then return failed(self.path, reason) end
  end
  if version ~= 0 then return version end
  return transaction(self, function()
    -- Another process may have made them since the first look.
    version, message, err = check_version(self)
    if version ~= 0 then return version, message, err end
    for _, statement in ipairs(TABLES) do
      local done
      done, message, err = run(self, statement)
      if not done then return nil, message, err end
    end
    return SCHEMA
  end)
end

-- Of this start of the machine: time since boot means nothing after the next.
local function boot_id()
  local file = io.open("/proc/sys/kernel/random/boot_id", "rb")
  local id = file and file:read "*l"
  if file then file:close() end
  return id or "unknown"
end

local function connect(self, name)
  local environment = self.luasql.sqlite3()
  local connection, reason = environment:connect(name)
  if not connection then
    environment:close()
    return failed(self.path, reason)
  end
  self.environment, self.connection = environment, connection
  return true
end

local function disconnect(self)
  if self.connection then self.connection:close() end
  if self.environment then self.environment:close() end
  self.connection, self.environment = nil, nil
end

-- ---- looking at what may not be written ----------------------------------------------
--
-- SQLite writes beside a file even to read it: its -shm. So that of another user, or on
-- a disk that is mounted for reading, is copied, and the copy is read.

local MAX_COPY = 1024 * 1024 * 1024

local COPY_TRIES = 5

local function remove_snapshot(self)
  local directory = self.snapshot
  if not directory then return end
  for _, name in ipairs { "/db", "/db-wal", "/db-shm", "/db-journal" } do
    os.remove(directory .. name)
  end
  os.remove(directory)
  self.snapshot = nil
end

-- What tells whether a file was written to.
local function stamp_of(path)
  local parts = {}
  for i, suffix in ipairs { "", "-wal" } do
    local info = core.file.stat(path .. suffix)
    parts[i] = info and ("%s %d %.9f"):format(info.identity, info.size, info.mtime) or "none"
  end
  return table.concat(parts, " ")
end

local function copy(self, suffix)
  local text, message, code = core.file.read(self.name .. suffix, { max = MAX_COPY })
  if text then
    text, message, code = core.file.write(self.snapshot .. "/db" .. suffix, text)
  end
  if text then return true end
  return errors.from_core(nil, message, code)
end

-- On a machine that is read-only as a whole memory is left.
local function make_room(self)
  local message
  for _, place in ipairs { directories.temporary(), "/dev/shm" } do
    self.snapshot, message = core.sys.mkdir_private(place .. "/cce-XXXXXX")
    if self.snapshot then return true end
  end
  return errors.fail("FILE_ERROR", ("the schedule '%s' can be read only from a copy, which has no"
    .. " place: %s"):format(self.path, message), { retryable = false,
    hint = "Set TMPDIR to a directory that this user may write to" })
end

-- Its writer may be at work: both files are of one moment when neither changed meanwhile.
local function take_snapshot(self)
  local made, message, err = make_room(self)
  if not made then return nil, message, err end
  for _ = 1, COPY_TRIES do
    local stamp = stamp_of(self.name)
    local ok
    ok, message, err = copy(self, "")
    if ok and core.file.stat(self.name .. "-wal") then ok, message, err = copy(self, "-wal") end
    if not ok then break end
    if stamp_of(self.name) == stamp then
      self.stamp = stamp
      return connect(self, self.snapshot .. "/db")
    end
    message, err = select(2, failed(self.path, "busy"))
  end
  return nil, message, err
end

function refresh(self)
  if stamp_of(self.name) == self.stamp then return true end
  disconnect(self)
  remove_snapshot(self)
  return take_snapshot(self)
end

-- `problem` is why the file itself cannot be used.
local function open_for_reading(self, message, problem)
  disconnect(self)
  local info = core.file.stat(self.name)
  if problem.code ~= "FILE_ERROR" or not info or info.size == 0 then
    return nil, message, problem
  end
  local ok, reason, err = take_snapshot(self)
  local version = ok and check_version(self)
  if version == SCHEMA then return true end
  disconnect(self)
  remove_snapshot(self)
  if ok then return nil, message, problem end
  return nil, reason, err
end

-- Not by this process: closing a file takes its locks from all connections of the process.
local function has_mark(name)
  local pipe = io.popen(("head -c %d < '%s' 2>/dev/null"):format(MARK_AT + #MARK - 1,
    name:gsub("'", "'\\''")))
  local header = pipe and pipe:read "*a" or ""
  if pipe then pipe:close() end
  return header:sub(MARK_AT) == MARK
end

-- Look until the look says first that it is enough, or there is no patience left: after that,
-- once more. What else the last look returned.
local function look_patiently(patience, look)
  local deadline = core.sys.monotonic() + patience
  while true do
    local is_last = core.sys.monotonic() > deadline
    local is_enough, ok, message, err = look()
    if is_enough or is_last then return ok, message, err end
    core.sys.sleep(0.02)
  end
end

-- What a program that was killed left in its -wal or its -journal SQLite puts into the file when
-- it opens it. Of another program's files a copy is looked at.
local function check_left_over(self, patience)
  return look_patiently(patience, function()
    local is_left = false
    for _, suffix in ipairs { "-wal", "-journal" } do
      local info = core.file.stat(self.name .. suffix)
      is_left = is_left or info and info.size > 0
    end
    if not is_left or has_mark(self.name) then return true, true end
    local ok, message, err = take_snapshot(self)
    if ok then ok, message, err = check_version(self) end
    disconnect(self)
    remove_snapshot(self)
    -- Another process may be making it at this moment.
    return ok or err.code ~= "STORE_UNAVAILABLE", ok, message, err
  end)
end

-- SQLite takes an empty file for a new database, and removes the -wal beside it. Ours are
-- empty only while another process makes one.
local function check_emptied(self, patience)
  local is_full = look_patiently(patience, function()
    local info = core.file.stat(self.name)
    if not info or info.size > 0 then return true, true end
  end)
  if is_full then return true end
  return errors.fail("FILE_ERROR", ("the schedule '%s' is an empty file: what was in it is lost,"
    .. " unless nothing was, since it could not be made (a full disk), or something else made the"
    .. " file"):format(self.path), { retryable = false,
    maybe_applied = false, hint = ("Put a copy in its place; or begin a new one, and import the"
      .. " last export if there is one: rm %s"):format(shell_word(self.path)) })
end

--- Open a file, or make it with mode 0600. One that may not be written to is opened for
-- reading alone.
-- @tparam string path
-- @tparam table opts `steady`: returns seconds since boot; `patience`: seconds to wait
--   for another process
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.open(path, opts)
  local luasql, message, err = driver()
  if not luasql then return nil, message, err end
  local name
  name, message, err = check_path(path)
  if not name then return nil, message, err end
  -- SQLite makes its -wal and -shm with the mode of the file itself.
  local mask = core.sys.umask(63) -- 077
  local ok, store
  ok, store, message, err = pcall(function()
    local self = setmetatable({ path = path, name = name, luasql = luasql,
      steady = opts.steady or core.sys.boottime, boot = boot_id() }, Store)
    local ready, reason, problem = check_emptied(self, opts.patience or PATIENCE)
    if ready then ready, reason, problem = check_left_over(self, opts.patience or PATIENCE) end
    if not ready then return nil, reason, problem end
    ready, reason, problem = connect(self, name)
    if ready then ready, reason, problem = prepare(self, opts.patience or PATIENCE) end
    if ready then
      -- Which file it is, by the path that SQLite itself has found.
      local rows = execute(self.connection, "PRAGMA database_list")
      self.file = rows and rows[1] and rows[1].file or self.path
      local info = core.file.stat(self.file)
      self.identity = info and info.identity
    else
      ready, reason, problem = open_for_reading(self, reason, problem)
    end
    if ready then return self end
    disconnect(self)
    return nil, reason, problem
  end)
  core.sys.umask(mask)
  if not ok then error(store, 0) end
  return store, message, err
end

function Store:close()
  disconnect(self)
  remove_snapshot(self)
end

return M
