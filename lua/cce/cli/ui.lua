--- What the commands share: the client, the screen, the person.
--
-- Results go to standard output, everything else to standard error; so that a
-- pipe gets the result alone. See `cce.cli` for what a command is.
--
--     function M.run(args, ui)
--       local client, message, err = ui:client()
--       if not client then return ui:fail(message, err) end
--       local clusters
--       clusters, message, err = client:list_clusters()
--       if not clusters then return ui:fail(message, err) end
--       return ui:table(clusters, { { "name", "NAME" }, { "id", "ID" } })
--     end
--
-- Fields: `args`, `output` ("table", "json", "yaml" or "name"), `quiet`,
-- `verbose`, `colour` (whether standard output may have colours), `outstanding` (of
-- `cce.log.outstanding`: what its clients have sent), `page` (the path of what `report` wrote).
-- @module cce.cli.ui
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local exit = require "cce.cli.exit"
local outstanding = require "cce.log.outstanding"
local render = require "cce.cli.output.render"
local show = require "cce.text.show"
local values = require "cce.base.values"
local width = require "cce.text.width"
local words = require "cce.cli.output.words"

local sys = core.sys

local M = {}

local Ui = {}
Ui.__index = Ui
Ui.__name = "cce.cli.ui"

--- Make one.
-- @tparam table args of argparse: those of all commands
-- @treturn cce.cli.ui
function M.new(args)
  local is_terminal = sys.is_terminal(1)
  local no_color = os.getenv "NO_COLOR"
  return setmetatable({
    args = args, output = args.output or "table", quiet = args.quiet == true,
    verbose = args.verbose == true, out_is_terminal = is_terminal,
    colour = is_terminal and not args.no_color and (no_color == nil or no_color == "")
      and os.getenv "TERM" ~= "dumb",
    clients = {}, outstanding = outstanding.new(),
  }, Ui)
end

-- ---- the screen ------------------------------------------------------------------

--- End the progress bar, so that what follows stands on a line of its own.
-- @function ui:settle
function Ui:settle()
  if self.display then self.display:finish() end
  self.display = nil
end

-- Standard output may be closed early, as by `| head`: then nothing reads what is
-- written, which is no error.
local function note(self, ok, message, number)
  if not ok and not self.out_failed then
    self.out_failed, self.out_problem = number or true, message
  end
end

local function put(self, text)
  if not self.out_failed then note(self, io.stdout:write(text)) end
end

--- Write a result, followed by a line end, to standard output.
-- @tparam string text
-- @function ui:print
function Ui:print(text)
  self:settle()
  put(self, text .. (text:sub(-1) == "\n" and "" or "\n"))
end

local EPIPE = 32

--- Whether all of the results could be written; says so when they could not.
-- @treturn boolean
-- @function ui:written
function Ui:written()
  note(self, io.stdout:flush())
  if self.out_problem and self.out_failed ~= EPIPE then
    self:warn("the result could not be written: " .. self.out_problem)
  end
  self.out_problem = nil -- it is told once
  return not self.out_failed
end

--- Write prose to standard error, in the order in which it happened where both streams go to
-- one place; a terminal breaks no word of it.
-- @tparam string text
function M.tell(text)
  io.stdout:flush()
  io.stderr:write(width.fold(text, sys.is_terminal(2) and sys.terminal_size(2) or nil), "\n")
end

-- The progress bar makes room, and goes on below. A result that cannot be written is gone once
-- that was tried.
local function tell(self, text)
  if self.display then self.display:clear() end
  note(self, io.stdout:flush())
  M.tell(text)
end

--- A note for people, to standard error; not with --quiet.
-- @tparam string text
-- @function ui:say
function Ui:say(text)
  if not self.quiet then tell(self, width.clean(text)) end
end

--- A warning, to standard error, --quiet or not.
-- @tparam string text
-- @function ui:warn
function Ui:warn(text)
  tell(self, "cce: " .. width.clean(text))
end

--- Say what its clients have sent, after Ctrl-C.
-- @function ui:warn_of_sent
function Ui:warn_of_sent()
  self:warn(self.outstanding:is_empty() and "nothing was sent" or self.outstanding:text())
end

--- Say what went wrong.
-- @tparam string message
-- @tparam[opt] table err
-- @treturn int the exit code: 64 for a value out of its range, 2 when it may
--   have been done nevertheless, else 1
-- @function ui:fail
function Ui:fail(message, err)
  -- Who typed a wrong value made no call of the library's that could be named.
  local called = errors.is(err) and err.code == "INVALID_ARGUMENT" and err.operation
  if called and message:sub(1, #called + 2) == called .. ": " then
    message = message:sub(#called + 3)
  end
  self:warn(words.typed(message, self.args.command))
  if not errors.is(err) then return exit.FAILED end
  if err.hint then
    tell(self, "  hint: " .. width.clean(words.typed(err.hint, self.args.command)))
  end
  if self.verbose then
    local parts = { "code " .. err.code }
    for _, name in ipairs { "status", "api_code", "error_code", "request_id" } do
      if err[name] then parts[#parts + 1] = ("%s %s"):format((name:gsub("_", " ")), err[name]) end
    end
    tell(self, width.clean("  " .. table.concat(parts, ", ")))
  end
  if err.code == "INVALID_ARGUMENT" then return exit.USAGE end
  return err.maybe_applied and exit.UNCERTAIN or exit.FAILED
end

--- Say what was typed wrongly.
-- @tparam string message
-- @treturn int 64
-- @function ui:usage
function Ui:usage(message)
  self:warn(message)
  local args = self.args
  tell(self, "  hint: cce help " .. table.concat({ args.command, args.action, args.kind }, " "))
  return exit.USAGE
end

-- ---- results -----------------------------------------------------------------------

--- Print a list as --output says.
-- @tparam {table,...} rows
-- @tparam {table,...} columns `{ key, title, text=function(row), json=function(value),
--   time=true, prose=true, keep=true }`: `key` is the field of a row and its name in JSON and
--   YAML; `text` what people see of it, `json` what machines do; `time` marks unix time, which
--   all see as RFC 3339; where the table is too wide for the terminal, `prose`
--   stands below its row, and `keep` is cut last; without a title it is for machines
--   alone. The first column's
--   values are what `-o name` prints, each once, unless one has `name=true`
-- @treturn int 0
-- @function ui:table
function Ui:table(rows, columns)
  local text, message, err = render.list(rows, columns, self.output, self:width(),
    self.args.no_headers)
  if not text then return self:fail(message, err) end
  if text ~= "" then self:print(text) end
  return exit.DONE
end

--- Print one thing.
-- @tparam table value what JSON and YAML have of it, beside `schema_version`: strings,
--   numbers, booleans and tables of them; times as text
-- @tparam string text what people see, and
-- @tparam[opt] string name what `-o name` prints
-- @treturn int 0
-- @function ui:show
function Ui:show(value, text, name)
  local printed, message, err = render.value(value, width.fold(text, self:width()), name,
    self.output)
  if not printed then return self:fail(message, err) end
  if printed ~= "" then self:print(printed) end
  return exit.DONE
end

--- Print the report of a workflow.
-- @tparam cce.report report
-- @treturn int its exit code
-- @function ui:report
function Ui:report(report)
  local ids = {}
  for _, item in ipairs(report.ok) do ids[#ids + 1] = item.cluster_id end
  local command = self.args.command
  local code = self:show(words.typed_report(report:to_table(), command),
    words.typed(report:text(self:width()), command), table.concat(ids, "\n"))
  if self.args.report_file then
    local report_file = require "cce.cli.output.report_file"
    local page, message, err = report_file.write(self.args.report_file, report, {
      command = command, asked = self.asked, by = report_file.by_whom(self.clients[1]),
      version = require("cce")._VERSION, audit_log = self.audit_head })
    if not page then return self:fail(message, err) end
    self.page = page
  end
  return code == exit.DONE and report:exit_code() or code
end

local WATCH_SECONDS = 2

local CLEAR = "\27[H\27[2J\27[3J"

--- Run a command that only reads, again and again. On a terminal each time takes
-- the place of the one before; elsewhere they follow each other.
-- @tparam table command
-- @tparam table args
-- @treturn int its exit code, when it fails; Ctrl-C ends it otherwise, also where something is
--   open or overdue
-- @function ui:watch
function Ui:watch(command, args)
  local seconds = args.watch[1] or WATCH_SECONDS
  while true do
    if self.out_is_terminal then put(self, CLEAR) end
    local code = command.run(args, self)
    if code == exit.FAILED or code == exit.USAGE or not self:written() then return code end
    require("cce.host").sleep(seconds)
  end
end

--- The columns of a table: those of the terminal; nil elsewhere, where nothing
-- is cut off.
-- @treturn ?int
-- @function ui:width
function Ui:width()
  return self.out_is_terminal and sys.terminal_size(1) or nil
end

--- A progress bar on standard error, when there is somebody to see it. It is
-- drawn at once, and again with every attempt of a request.
-- @tparam string label
-- @tparam int total how many things there are
-- @treturn ?cce.progress for `on_progress=`; nil with --quiet, and when
--   standard error is no terminal
-- @function ui:progress
function Ui:progress(label, total)
  if self.quiet or not sys.is_terminal(2) then return nil end
  self:settle()
  local color = nil
  if self.args.no_color then color = false end
  self.display = require("cce.progress").new { label = label, total = total, color = color }
  self.display:update(0)
  return self.display
end

-- ---- the person -------------------------------------------------------------------

-- By a shell, since most Luas begin a read anew that Ctrl-C interrupted: there
-- it ends the shell, and so the read. Where the answer is hidden, the terminal shows
-- nothing from before the question on.
local function read_answer(question, hidden)
  local quoted = values.shell_word(question)
  local pipe = io.popen((hidden and "trap 'stty echo' EXIT INT TERM; stty -echo; " or "")
    .. "printf %s " .. quoted .. [[ >&2; IFS= read -r answer && printf '%s\n' "$answer"]])
  local answer = pipe:read "*l"
  pipe:close()
  return answer
end

--- Whether there is a person to ask.
-- @treturn boolean
-- @function ui:is_interactive
function Ui:is_interactive()
  return sys.is_terminal(0) and sys.is_terminal(2)
end

--- Ask for a line.
-- @tparam string question
-- @tparam[opt] boolean hidden do not show what is typed
-- @treturn ?string without blanks around it; nil at the end of the input
-- @function ui:read
function Ui:read(question, hidden)
  self:settle()
  io.stderr:flush()
  local answer = read_answer(question, hidden)
  if hidden or not answer then io.stderr:write "\n" end
  return answer and answer:match "^%s*(.-)%s*$"
end

--- Ask before something that cannot be undone.
-- @tparam table question `word`: what must be typed; `text`: what will happen, or
--   a function that finds it out and returns it, or nil and an exit code when
--   there is nothing to ask, and perhaps another word; `yes`: it was answered on the
--   command line; `hint`: how to
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] int exit code: 64 when there is nobody to ask, 1 when the answer
--   is another one
-- @function ui:confirm
function Ui:confirm(question)
  if question.yes then return true end
  if not self:is_interactive() then
    self:warn(("this must be confirmed by typing %s, and there is no terminal: nothing was done")
      :format(question.word))
    tell(self, "  hint: " .. (question.hint
      or "--yes confirms it, --dry-run shows what would be done"))
    return nil, exit.USAGE
  end
  local text, code, word = question.text, nil, nil
  if type(text) == "function" then text, code, word = text() end
  if not text then return nil, code end
  word = word or question.word
  tell(self, width.clean(words.typed(text, self.args.command)))
  io.stderr:flush()
  local answer = read_answer(("Type %s to go on: "):format(word))
  if answer and answer:match "^%s*(.-)%s*$" == word then return true end
  if not answer then io.stderr:write "\n" end
  self:warn "nothing was done"
  return nil, exit.FAILED
end

-- ---- the client -------------------------------------------------------------------

-- Seconds with a few digits; what an attempt came to. No field of an event holds
-- a secret.
local function attempt_text(event)
  local outcome = event.status and "HTTP " .. event.status or event.code or "?"
  local where = event.cluster_id or event.job_id
  return ("%s%s: attempt %d: %s%s"):format(event.operation, where and " " .. where or "",
    event.attempt, outcome, event.retry_in and (", again in %.1f s"):format(event.retry_in) or "")
end

-- How long the rate of a workflow makes it take.
local function planned_text(event)
  local text = event.clusters and show.count(event.clusters, "cluster")
    or show.count(event.requests, "request")
  local seconds = event.seconds or 0
  if seconds < 1 then return text end
  return ("%s; the last request leaves after about %s"):format(text,
    require("cce.text.report").duration(seconds))
end

-- Seconds of silence after which who waits wonders.
local LONG_WAIT = 3

-- A long wait is told, but not once for each of a fleet.
local function tell_attempt(self, event)
  local now, wait = sys.monotonic(), event.retry_in or 0
  if self.verbose then
    tell(self, "  " .. width.clean(attempt_text(event)))
  elseif wait >= LONG_WAIT and now >= (self.waits_until or now) then
    self.waits_until = now + wait
    self:say("note: " .. attempt_text(event))
  end
end

local function on_event(self)
  return function(event)
    self.outstanding:note(event)
    if event.type == "audit_log" then
      self.audit_head = ("%s, %s, head %s"):format(event.path, show.count(event.count, "line"),
        event.head)
    end
    if event.type == "notice" then return self:say("note: " .. event.notice) end
    if event.type:find "_planned$" then return self:say(planned_text(event)) end
    if event.type ~= "attempt" then return end
    tell_attempt(self, event)
    -- The time goes on while a job is waited for.
    if self.display then self.display:update(self.display.done) end
  end
end

--- The client that the options, the profile and the environment name.
-- @tparam[opt] table more further options of `cce.new`
-- @tparam[opt] table args other than those that were typed
-- @treturn[1] cce.client it is closed when the command ends
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @function ui:client
function Ui:client(more, args)
  local is_own = not more and not args
  if is_own and self.own_client then return self.own_client end
  local opts, message, err = require("cce.cli.input.profile").client_options(args or self.args)
  if not opts then return nil, message, err end
  for name, value in pairs(more or {}) do opts[name] = value end
  local told = opts.on_event or on_event(self)
  opts.on_event = function(event)
    if event.type == "certificates_ended" then require("cce.exec.cache").observe(event) end
    return told(event)
  end
  require("cce.base.user_state").enable()
  local client
  client, message, err = require("cce").new(opts)
  if not client then return nil, message, err end
  self.clients[#self.clients + 1] = client
  if is_own then self.own_client = client end
  return client
end

--- End what was begun.
-- @function ui:close
function Ui:close()
  self:settle()
  for _, client in ipairs(self.clients) do client:close() end
  self.clients = {}
end

return M
