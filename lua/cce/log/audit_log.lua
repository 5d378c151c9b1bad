--- A log of every call that changes something, which shows when it was changed.
--
-- Each line is a JSON object: `n` counts the lines, `at` is when, `operation` and
-- `target` what and on what, `access_key` the id of the key that signed (never its
-- secret), `outcome` and `request_id` what came of it. What was asked for has the
-- names of the options: `user_id` or `agency_id` whose certificates are revoked,
-- `component` and `certificate_expiration_time` (hours) of a rotation, `duration`
-- (days) or `expire_at` of a certificate, the ids of `nodes`. `holder` is the id of
-- the user or agency in a certificate that was obtained. A call has two lines: one
-- with the outcome `pending` before the request leaves, and one after, whose
-- `call` is the number of the first. A call without the second was cut short: its
-- process ended, or the disk failed.
--
-- `hash` is the SHA-256 of the line up to there, `previous` the hash of the line
-- before. With a key it is an HMAC, and without the key no one can make
-- such a line. The first line of a file has `file`, which says that this is an audit
-- log (files of version 0.1.0 have it not).
--
-- **Rotation of the file.** Before each line the path is compared with the open
-- file. When that was renamed, removed, replaced or shortened, as logrotate does it,
-- the path is opened again, and the chain goes on in the file that is there now: its
-- first line has `continues`, where the lines before are (or were), and the hash of
-- the last of them as `previous`. A process that finds an empty file goes on with that
-- of `log.1` or `log-20260102`. `verify` takes such a series of files. Only when
-- the path cannot be opened, or holds something else, `on_failure` decides.
--
-- **What the chain cannot show.** Who may write the file and (without a key, or
-- with it) can compute hashes may replace all of it by another chain, or cut
-- lines off at its end. Only a head that was kept elsewhere shows that: every
-- line is told to `on_event` as `{type="audit_log", path=, count=, head=}`, and with
-- `continues` when it is the first after the file was rotated; store these on another
-- machine, and give the last one to `verify`. Nor does a log show calls of programs
-- that do not use it.
--
-- One process at a time writes a log; clients of one process may share it. A client
-- that was given a path waits up to five seconds for another process that has it.
-- **Inside nginx each worker has a chain of its own**: `/var/log/cce.log` stands
-- for `/var/log/cce.log.worker-0`, `….worker-1` and so on, and `….agent` for the
-- privileged agent. A reload goes on with these files. While a worker of before
-- still answers its last requests it keeps its file, and the new one of the same
-- number writes `….worker-0-2` (or `-3`, …) until it ends itself, too. Give
-- `verify` each of these files; `log.path` and the events name them.
--
-- A line is on disk before the call goes on. Inside nginx the call yields
-- meanwhile, and lines of several calls share an fsync; inside an event loop the
-- process stands still for that long.
-- @module cce.audit_log
local check = require "cce.log.audit_check"
local core = require "cce.core"
local errors = require "cce.error"
local host = require "cce.host"
local json_line = require "cce.base.json_line"
local lines = require "cce.log.audit_line"
local options = require "cce.base.options"
local protect = require "cce.host.protect"
local times = require "cce.base.times"
local values = require "cce.base.values"
local writers = require "cce.log.writer"

local M = {}

local Log = {}
Log.__index = Log
Log.__name = "cce.audit_log"

-- How far back the last line is looked for.
local TAIL = 65536

-- Logs of this process by the path that was given: a second lock on a file would
-- fail. One is here while it is being opened, too.
local open_logs = setmetatable({}, { __mode = "v" })

-- ---- opening -------------------------------------------------------------------

local function last_line(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local size = file:seek "end"
  file:seek("set", math.max(0, size - TAIL))
  local text = file:read "*a" or ""
  file:close()
  return text:match "([^\n]*)\n$"
end

-- What rotates files calls them so: log.1, or log-20260102. But log.worker-0-2 is
-- another worker's.
local function rotated_files(path)
  local date = ("[0-9]"):rep(8)
  local files = core.file.glob(values.pattern_of(path) .. "-" .. date .. "*") or {}
  table.sort(files, function(a, b) return a > b end)
  table.insert(files, 1, path .. ".1")
  return files
end

-- An empty file, and this process did not see what was there before: another one did.
local function find_before(log)
  for _, path in ipairs(rotated_files(log.path)) do
    local line = core.file.check(path) and last_line(path)
    local entry, hash = lines.open(line or "", log.key)
    if entry then
      log.count, log.head, log.continues = entry.n, hash, { path = path, head = hash }
      return
    end
  end
end

local function continue_chain(log)
  local line = last_line(log.path)
  log.is_new = not line
  if not line and not log.continues then find_before(log) end
  if not line then return true end
  local entry, hash = lines.open(line, log.key)
  if not entry then
    return nil, ("the last line of the audit log '%s' %s"):format(log.path, hash), "TAMPERED"
  end
  log.count, log.head = entry.n, hash
  return true
end

local schema = {
  key = { type = { "string", "userdata" }, non_empty = true },
  on_failure = { type = "string", one_of = { "refuse", "warn" }, default = "refuse" },
  on_event = { type = "callable" },
  clock = { type = "callable", default = core.sys.time },
}

local OPEN_HINTS = {
  CONFLICT = "Each process needs an audit log of its own",
  TAMPERED = "Keep that file for an inspection, and log to another path",
}

local KIND = "audit log"

local compose, note_written -- below

local function new_writer(log, given)
  return writers.new {
    kind = KIND,
    path = function(number)
      local own_path = host.current().own_path
      if own_path then return own_path(given, number) end
      return number == 1 and given or nil
    end,
    opened = function(path)
      log.path = path
      return continue_chain(log)
    end,
    compose = function(items) return compose(log, items) end,
    written = function(items) note_written(log, items) end,
    -- What a file that was lost leaves to the next one: its head, and where it is.
    lost = function(_, now)
      log.continues = log.continues or { path = now or log.path, head = log.head }
    end,
  }
end

-- A path that is being opened is opened once.
local function open_log(path, log)
  if not log.writer then
    log.writer = new_writer(log, path)
    open_logs[path] = log
  end
  local ok, message, code = log.writer:open()
  if ok then return log end
  if open_logs[path] == log and not log.writer:is_open() then open_logs[path] = nil end
  return errors.fail(code, message, { retryable = code == "CONFLICT", hint = OPEN_HINTS[code] })
end

--- Open a log, or make one. `cce.new { audit_log = log }` uses it; so does
-- `cce.new { audit_log = path }` with no options.
--
-- Inside nginx it is for workers: the master's, in init_by_lua, would be no worker's.
-- Two logs of one path in a worker are two files.
-- @tparam string path made with mode 0600; inside nginx the worker's number is
--   appended, as said above
-- @tparam[opt] table opts
-- @tparam[opt] string|cce.secret opts.key of the HMAC
-- @tparam[opt="refuse"] string opts.on_failure what happens to a call that cannot
--   be logged: "refuse" does not send it; "warn" sends it and tells `on_event`
--   (or standard error), so that a full disk cannot block an urgent revocation
-- @tparam[opt] function opts.on_event told of every head, besides the client's
-- @tparam[opt] function opts.clock returns unix time
-- @treturn[1] cce.audit_log
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err FILE_ERROR, CONFLICT (another process has it open),
--   TAMPERED (its last line) or UNSUPPORTED (a phase of nginx that cannot wait)
-- @usage
-- local log = assert(cce.audit_log.open("/var/log/cce.log", { on_failure = "warn" }))
-- local client = assert(cce.new { region = "cn-north-4", audit_log = log })
function M.open(path, opts)
  options.argument(path, "string", 1, "open")
  local checked, message, err = options.check(opts, schema)
  if not checked then return nil, message, err end
  local key = checked.key
  if type(key) == "string" then key = core.secret(key) end
  return open_log(path, setmetatable({ given = path, path = path, key = key,
    on_failure = checked.on_failure, on_event = checked.on_event, clock = checked.clock,
    count = 0, head = lines.FIRST,
    -- What is under way, as long as its caller waits for it.
    pending = setmetatable({}, { __mode = "k" }) }, Log))
end

--- Whether a value is a log.
-- @treturn boolean
-- @usage
-- assert(not cce.audit_log.is("/var/log/cce.log"))
function M.is(value)
  return getmetatable(value) == Log
end

--- Close the log, so that another process can open it. Later calls that would be
-- logged fail.
-- @usage
-- local log = assert(cce.audit_log.open("/var/log/cce.log"))
-- log:close()
-- @function log:close
function Log:close()
  self.writer:close()
  if open_logs[self.given] == self then open_logs[self.given] = nil end
end

function Log:__tostring()
  return ("cce.audit_log: %s, %d lines, head %s"):format(self.path, self.count, self.head)
end

-- ---- writing -------------------------------------------------------------------

function compose(log, items)
  local texts, begun = {}, false
  local count, head = log.count, log.head
  for i, item in ipairs(items) do
    -- Where a line stands in the chain is known when it is its turn. It may have been
    -- meant for a file that was lost.
    local entry, continued = item.entry, i == 1 and log.continues or nil
    entry.n, entry.previous = count + 1, head
    entry.file = i == 1 and log.is_new and "lua-cce " .. KIND or nil
    entry.continues = continued and continued.path
    -- Another file that has lines: then they are not the ones before.
    entry.after = continued and continued.head ~= head and continued.head or nil
    texts[i], head = lines.seal(entry, log.key)
    count, item.head = count + 1, head
    begun = begun or item.begins
  end
  if not begun then return texts end
  -- Every call under way has room for its second line.
  local reserved = #items
  for _ in pairs(log.pending) do reserved = reserved + 1 end
  return texts, reserved * lines.ROOM
end

function note_written(log, items)
  local last = items[#items]
  log.count, log.head, log.is_new, log.continues = last.entry.n, last.head, false, nil
end

local function append(log, item)
  if not log.writer:is_open() then
    return nil, ("the audit log '%s' is closed"):format(log.path), "CLOSED"
  end
  item.entry.at = times.format(log.clock())
  local ok, message, code = log.writer:append(item)
  if not ok then return nil, message, code end
  return item.entry.n
end

local function tell(log, client, item)
  local event = { type = "audit_log", path = log.path, count = item.entry.n, head = item.head,
    continues = item.entry.continues }
  client:emit(event)
  if log.on_event then protect.catch(log.on_event, event) end
end

local function warn(log, client, message)
  client:emit { type = "audit_log_failed", path = log.path, message = message }
  if not client.on_event then io.stderr:write("cce: ", message, "\n") end
end

-- ---- around a call ---------------------------------------------------------------

--- The id of the key that a client signs with.
-- @local
function M.access_key(client)
  local session = client.session
  return session.auth and session.auth.ak or session.provider.ak or session.provider.name
end

local function finish(log, client, first, subject, response, err)
  local last
  if response then
    last = { outcome = "ok", status = response.status, attempts = response.attempts,
      request_id = response.headers["x-request-id"] }
    -- Whose certificate the answer holds.
    local facts = subject.operation == "obtain_cert" and core.certificate(response.body)
    last.holder = facts and facts.user_id or nil
  else
    last = { outcome = err.maybe_applied and "unknown" or "failed", status = err.status,
      code = err.code, attempts = err.attempts, request_id = err.request_id }
  end
  for name, value in pairs(subject) do last[name] = value end
  -- Keys that are fetched are known only now.
  last.access_key, last.call = M.access_key(client), first
  local item = { entry = last }
  local number, message = append(log, item)
  if number then return tell(log, client, item) end
  -- What was sent cannot be taken back: the call's own result stands.
  warn(log, client, ("the outcome of %s is not in the audit log: %s"):format(subject.operation,
    message))
end

local function refused(request, message, code)
  return errors.fail(code, ("%s: not sent, since it cannot be logged: %s"):format(
    request.operation, message), {
    operation = request.operation, retryable = false, maybe_applied = false, attempts = 0,
    hint = "Make room for the audit log, or log to another file",
  })
end

-- Processes of the command take turns: each has the log for the time of its calls.
local TRIES, PAUSE = 100, 0.05

local function log_of(client)
  local given = client.config.audit_log
  if M.is(given) then return given end
  local log, message, err
  for try = 1, TRIES do
    local opened = open_logs[given]
    log, message, err = (opened and open_log or M.open)(given, opened)
    if log or err.code ~= "CONFLICT" or try == TRIES then break end
    client.sleep(PAUSE)
  end
  -- Kept by the client, also while it cannot be opened: the list of open logs does
  -- not keep it, and it knows the head.
  client.audit_log = log or client.audit_log
  if log == nil then return nil, message, err end
  return log
end

--- Make a call, and log it when it changes something.
-- @tparam cce.client client
-- @tparam table request
-- @tparam table ids
-- @tparam function send makes the call
-- @return what `send` returns, or `nil, message, err` when it was not made
-- @local
function M.around(client, request, ids, send)
  local log, message, err = log_of(client)
  if not log then return refused(request, message, err.code) end

  -- What both lines of the call say.
  local subject = lines.arguments(request.body)
  subject.operation, subject.project = request.operation, ids.project_id
  subject.target = ids.target or ids.job_id and "job " .. ids.job_id
    or ids.cluster_id and "cluster " .. ids.cluster_id or nil

  -- The first line is on disk before anything is sent.
  local entry = { access_key = M.access_key(client), outcome = "pending" }
  for name, value in pairs(subject) do entry[name] = value end
  local item = { entry = entry, begins = true }
  log.pending[entry] = true
  local first, problem, code = append(log, item)
  if first then
    tell(log, client, item)
  elseif log.on_failure == "refuse" then
    log.pending[entry] = nil
    return refused(request, problem, code)
  else
    warn(log, client, ("%s is not in the audit log: %s"):format(request.operation, problem))
  end

  local response
  response, message, err = send()
  finish(log, client, first, subject, response, err)
  log.pending[entry] = nil
  return response, message, err
end

-- ---- looking for somebody -------------------------------------------------------------

local function file_names_holder(path, id, key)
  local file, wanted = core.file.check(path) and io.open(path, "rb"), ('"holder":"%s"'):format(id)
  if not file then return false end
  local found = false
  for line in json_line.lines(file) do
    local entry = line:find(wanted, 1, true) and lines.open(line, key)
    found = entry and entry.holder == id
    if found then break end
  end
  file:close()
  return found
end

--- Whether the log of a client, or a file that was rotated out of it, names somebody as
-- the holder of a certificate. Whose certificates were revoked is not looked for: anybody
-- can ask that of any id.
-- @tparam cce.client client
-- @tparam string id
-- @treturn boolean
-- @local
function M.names_holder(client, id)
  local given = client.config.audit_log
  if not given then return false end
  local log = M.is(given) and given or client.audit_log or { path = given }
  local paths = rotated_files(log.path)
  table.insert(paths, 1, log.path)
  for _, path in ipairs(paths) do
    if file_names_holder(path, id, log.key) then return true end
  end
  return false
end

-- ---- checking --------------------------------------------------------------------

local verify_schema = {
  head = { type = "string", check = function(text)
    return text:match "^%x+$" ~= nil and #text == 64, "64 hex digits"
  end },
  count = { type = "integer", min = 0 },
  key = { type = { "string", "userdata" }, non_empty = true },
}

--- Check a log from its first line to its last.
--
-- A log that was rotated is a series of files, each of which goes on with the chain
-- of the one before: give them all, in any order. Of one of them alone, `first` and
-- `continues` say that others come before it.
--
-- Without `head` and `count` it cannot be seen whether lines are missing at the
-- end. A last line without an end, as a power cut leaves it, counts as changed
-- until the log is opened again, which cuts it off.
-- @tparam string|{string,...} paths
-- @tparam[opt] table opts
-- @tparam[opt] string opts.head a head that was kept elsewhere; later lines are fine
-- @tparam[opt] int opts.count how many lines there were then
-- @tparam[opt] string|cce.secret opts.key with which it was written
-- @treturn[1] table `{count=, head=}` as they are now; `first`, the number of its first
--   line; `continues`, the path of the file before, if that was not given
-- @treturn[2] nil
-- @treturn[2] string message which line, and what is wrong with it
-- @treturn[2] table err TAMPERED, or FILE_ERROR
-- @usage
-- local state = assert(cce.audit_log.verify("/var/log/cce.log", { head = kept, count = n }))
function M.verify(paths, opts)
  options.argument(paths, { "string", "list" }, 1, "verify")
  if type(paths) == "string" then paths = { paths } end
  if #paths == 0 then error("bad argument #1 to 'verify' (it names no file)", 2) end
  local checked, message, err = options.check(opts, verify_schema)
  if not checked then return nil, message, err end
  return check.files(paths, checked)
end

return M
