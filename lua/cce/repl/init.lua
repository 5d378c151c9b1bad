--- The prompt: `cce repl`.
--
-- One loop waits for what is typed, for what runs in the background and for the
-- command that is being run, so none of them holds up another. What is typed is
-- run in a coroutine of that loop (`cce.use_loop`); Ctrl-C is held back from the
-- process and raised in that coroutine.
-- @module cce.repl
-- @local
local backgrounds = require "cce.repl.background"
local complete = require "cce.repl.complete"
local core = require "cce.core"
local errors = require "cce.error"
local evaluate = require "cce.repl.evaluate"
local guards = require "cce.repl.guard"
local help = require "cce.repl.help"
local histories = require "cce.repl.history"
local host = require "cce.host"
local inspect = require "cce.repl.inspect"
local outstanding = require "cce.log.outstanding"
local loops = require "cce.repl.loop"
local options = require "cce.base.options"
local protect = require "cce.host.protect"
local readers = require "cce.repl.reader"
local screens = require "cce.repl.screen"

local M = {}

local Repl = {}
Repl.__index = Repl

-- Seconds between two looks for Ctrl-C, and two drawings of the status line.
local SLICE = 0.1

-- Instructions of a command between two looks for Ctrl-C.
local INSTRUCTIONS = 10000

-- Seconds that Tab waits for the names of the clusters, and that they are good for.
local NAMES_WAIT, NAMES_AGE = 2, 300

local PROMPT, MORE = "cce> ", "...> "

-- ---- Ctrl-C -------------------------------------------------------------------

local function was_interrupted(self)
  return self.signals:wait(0) ~= nil
end

-- ---- lines ----------------------------------------------------------------------

-- News that came while a line is being typed stay behind the next Enter.
local function draw_status(self)
  local text = self.works:status()
  if #self.notices > 0 then text = (text and text .. "   " or "") .. "news: Enter shows them" end
  if text then self.screen:status(text) else self.screen:end_status() end
end

local function print_notices(self)
  local notices = self.notices
  self.notices = {}
  for _, notice in ipairs(notices) do notice() end
end

local ask_waiting

-- Wait for a line. Returns "line" and the text, "end", or "interrupt".
local function read_line(self, prompt)
  local outcome, text
  local function begin()
    self.reader:begin(prompt, function(line) outcome, text = line and "line" or "end", line end)
  end
  print_notices(self)
  begin()
  while not outcome do
    local is_readable = self.loop:step(SLICE, self.reader.fd)
    draw_status(self)
    -- What can be read came after a Ctrl-C: the terminal drops what came before.
    if was_interrupted(self) then
      outcome = "interrupt"
    elseif is_readable then
      self.reader:feed()
    elseif self.reader.pristine and (#self.notices > 0 or #self.questions > 0) then
      -- Until the first key the line is free for what waits.
      self.reader:erase()
      print_notices(self)
      ask_waiting(self)
      begin()
    end
  end
  return outcome, text
end

-- ---- questions ---------------------------------------------------------------

local function answer(self, text, words)
  self.screen:print(text)
  local outcome, line = read_line(self, ("Type %s: "):format(words))
  if outcome == "line" then return line:match "^%s*(.-)%s*$" end
  self.screen:print ""
  if outcome == "interrupt" and self.foreground then self.loop:interrupt(self.foreground) end
end

local function answer_question(self, question)
  local task = question.task
  if task.interrupted or task.yes_to_all then return task.yes_to_all == true end
  local word = answer(self, question.text, question.word .. " to go on, all for all of this"
    .. " command")
  task.yes_to_all = word == "all" or nil
  return word == question.word or word == "all"
end

function ask_waiting(self)
  while #self.questions > 0 do
    local question = table.remove(self.questions, 1)
    question.answered(answer_question(self, question))
  end
end

-- Asks from within a task, which goes on with the answer.
local function ask(self, text, word)
  if not self.is_terminal then return false end
  local yes
  self.loop.functions.suspend(function(wake)
    self.questions[#self.questions + 1] = { text = text, word = word, task = self.loop:task(),
      answered = function(result)
        yes = result
        wake()
      end }
  end)
  return yes
end

-- ---- results -------------------------------------------------------------------

local function print_value(self, value)
  -- What is shown now need not be announced.
  if self.works:owns(value) then value.is_shown = value.state ~= "running" end
  self.screen:print(self.history:redact(inspect.show(value)))
end

local function note_problem(self, message, err)
  self.has_failed = true
  self.env._ = err or message
  self.screen:problem(errors.is(err) and err.message or message, errors.is(err) and err.hint)
end

local function print_results(self, count, ...)
  if count == 0 then return end
  local value, message, err = ...
  if count >= 2 and value == nil and type(message) == "string" then
    return note_problem(self, message, err)
  end
  if value ~= nil then self.env._ = value end
  -- Functions of the library return three values, of which the last two are nil.
  while count > 1 and select(count, ...) == nil do count = count - 1 end
  if count == 1 and value == nil then return end
  -- What the library adds stands behind the places of an error.
  local adds = count == 4 and value ~= nil and message == nil and err == nil
  for i = 1, count do
    if not adds or i == 1 or i == 4 then print_value(self, (select(i, ...))) end
  end
end

local function raised(self, problem)
  if protect.is_interrupt(problem) then
    self.has_failed = true
    return self.screen:problem("interrupted: " .. self.outstanding:text())
  end
  if errors.is(problem) then return note_problem(self, problem.message, problem) end
  local text = type(problem) == "string" and problem or inspect.show(problem)
  -- The guard between what was typed and the library is no place that anybody can mend.
  note_problem(self, (text:gsub("^prompt:", "line ")
    :gsub("^%S*/cce/repl/guard%.lua:%d+: ", "")), nil)
end

-- ---- running what was typed ------------------------------------------------------

local function drive(self, task)
  local interrupted
  while not task.done do
    self.loop:step(SLICE)
    draw_status(self)
    if #self.questions > 0 then ask_waiting(self) end
    if not task.done and was_interrupted(self) then
      -- The second Ctrl-C no longer waits for the task's own end.
      if interrupted then break end
      interrupted = true
      self.loop:interrupt(task)
    end
  end
end

local function run(self, fn)
  local outcome
  self.outstanding:clear()
  local task = self.loop:start(function()
    self.foreground = self.loop:task()
    local main = self.foreground.main
    -- A command that computes for ever never comes to where it waits.
    debug.sethook(main and main.coroutine or coroutine.running(), function()
      if self.loop.current and was_interrupted(self) then error(loops.INTERRUPTED, 0) end
    end, "", INSTRUCTIONS)
    return fn()
  end, function(...) outcome = { n = select("#", ...), ... } end)
  drive(self, task)
  debug.sethook()
  self.foreground = nil
  -- A task that a second Ctrl-C gave up has not ended.
  if not outcome then return raised(self, loops.INTERRUPTED) end
  if not outcome[1] then return raised(self, outcome[2]) end
  print_results(self, outcome.n - 1, (table.unpack or unpack)(outcome, 2, outcome.n))
end

local function keep(self, text)
  for _, auth in ipairs { self.client and self.client.session.auth } do
    if auth.token then self.history:hide(auth.token:text()) end
  end
  if self.history:add(text) then self.reader:remember(text) end
end

-- ---- what is typed ---------------------------------------------------------------

-- The first line, and more while what stands there is not complete.
local function read_chunk(self)
  local prompt, text, message = self.prompt, nil, nil
  while true do
    local outcome, line = read_line(self, prompt)
    if outcome == "end" and text and not self.is_terminal then
      return "chunk", text, nil, message
    elseif outcome == "interrupt" or outcome == "end" and text then
      self.screen:print(self.reader.echo)
      return "interrupt"
    elseif outcome == "end" then
      return "end"
    end
    text = text and text .. "\n" .. line or line
    local fn, incomplete
    fn, message, incomplete = evaluate.compile(text, self.env)
    if fn or not incomplete then return "chunk", text, fn, message end
    prompt = self.more
  end
end

local function may_end(self)
  local count = #self.works:running()
  if count == 0 or not self.is_terminal then return true end
  local text = "%d in the background would be stopped: jobs() lists them."
  return answer(self, text:format(count), "yes to end") == "yes"
end

local function turn(self)
  local what, text, fn, message = read_chunk(self)
  -- "exit" and "quit" are what hands type that come from other prompts.
  local word = what == "chunk" and text:match "^%s*(%a+)[%s();]*$"
  local is_end = (word == "exit" or word == "quit") and self.env[word] == nil
  if is_end then return not may_end(self) end
  if what == "end" then
    if self.is_terminal then self.screen:print "" end
    return not may_end(self)
  elseif what == "chunk" and text:find "%S" then
    keep(self, text)
    if fn then run(self, fn) else note_problem(self, message) end
  end
  return true
end

-- ---- what is there ------------------------------------------------------------

local function notice(self, fn)
  self.notices[#self.notices + 1] = fn
end

local function announce(self, work)
  notice(self, function()
    if work.is_shown then return end
    if work.state == "done" then
      self.screen:print(self.screen:bold(tostring(work)))
      if work.value ~= nil then print_value(self, work.value) end
    else
      self.screen:problem(tostring(work))
    end
  end)
end

-- What background work prints must not stand in the line that is being typed.
local function print_here(self)
  return function(...)
    local parts = {}
    for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
    local text = table.concat(parts, "\t")
    if not self.works:current() then return self.screen:print(text) end
    notice(self, function() self.screen:print(text) end)
  end
end

local function progress_here(self)
  return function(opts)
    local given = {}
    for name, value in pairs(opts or {}) do given[name] = value end
    local is_ours = self.is_terminal and not given.stream
    if is_ours then
      given.stream, given.is_terminal = self.works:stream(io.stderr), true
      given.width = given.width or self.screen:width() - #"[1] "
    end
    return require("cce.progress").new(given)
  end
end

-- Made when it is first asked for: what is wrong with the options is a sentence
-- then, and no reason not to start.
local function client_of(self)
  if not self.client then
    local client, message, err = self.make_client(function(event)
      -- What runs in the background is counted by nothing: it is not what Ctrl-C interrupts.
      local task = self.loop:task()
      if task and task == self.foreground then self.outstanding:note(event) end
      if event.type == "notice" then
        notice(self, function() self.screen:print("note: " .. event.notice) end)
      end
    end)
    if not client then error(err or message, 0) end
    self.client = self.guard:client(client)
  end
  return self.client
end

local function new_env(self)
  local Help = { __tostring = function() return "help() tells more; Ctrl-D ends" end }
  function Help.__call(_, value)
    if type(value) == "function" then value = self.guard:original(value) end
    self.screen:print(help.text(value) or "The manual says nothing about it; help() tells more")
  end
  local cce = require "cce"
  local env = {
    cce = self.guard:library(cce, progress_here(self)), print = print_here(self),
    help = setmetatable({}, Help), repl = self.settings,
    jobs = function() return self.works:all() end,
  }
  function env.bg(fn, name)
    options.argument(fn, "callable", 1, "bg")
    options.argument(name, { "string", "nil" }, 2, "bg")
    return self.works:start(fn, name)
  end
  env._G = env
  -- Lua 5.1 cannot wait within its own.
  if _VERSION == "Lua 5.1" then env.pcall = protect.pcall end
  return setmetatable(env, { __index = function(_, name)
    if name == "client" then return client_of(self) end
    return _G[name]
  end })
end

-- ---- completion ------------------------------------------------------------------

local function take_names(self, clusters)
  local names, ids = {}, {}
  for _, cluster in ipairs(clusters) do
    names[#names + 1] = cluster.name
    names[#names + 1] = cluster.id
    if cluster.name then ids[cluster.name] = ids[cluster.name] == nil and cluster.id or false end
  end
  self.ids, self.names, self.names_till = ids, names, core.sys.monotonic() + NAMES_AGE
end

-- The names of the clusters: asked for once in a while. When the answer is late,
-- the next Tab has it.
local function cluster_names(self)
  local now = core.sys.monotonic()
  if self.names_till and now < self.names_till then return self.names end
  if not self.fetching then
    self.names_till = now + NAMES_WAIT
    self.fetching = self.loop:start(function()
      return client_of(self):list_clusters()
    end, function(ok, clusters)
      self.fetching = nil
      if ok and clusters then take_names(self, clusters) end
    end)
    if self.fetching and self.fetching.done then self.fetching = nil end
  end
  while self.fetching and core.sys.monotonic() < now + NAMES_WAIT do self.loop:step(0.02) end
  return self.names
end

-- ---- from beginning to end -------------------------------------------------------

local function new_repl(opts)
  local self = setmetatable({
    make_client = opts.client, settings = { confirm = not opts.yes }, notices = {},
    questions = {}, names = {}, ids = {}, prompt = PROMPT, more = MORE, loop = loops.new(),
    outstanding = outstanding.new(), screen = screens.new(opts.colour),
    is_terminal = core.sys.is_terminal(0) and core.sys.is_terminal(1),
  }, Repl)
  self.works = backgrounds.new(self.loop, function(work) announce(self, work) end)
  self.guard = guards.new {
    ask = function(text, word) return ask(self, text, word) end,
    wanted = function() return self.settings.confirm end,
    task = function() return self.loop:task() or {} end,
  }
  self.env = new_env(self)
  self.history = histories.open(self.is_terminal and histories.path() or nil)
  return self
end

local function begin(self)
  local note
  self.reader, note = readers.new(function(line, from, to)
    return complete.candidates(line, from, to, {
      env = self.env,
      clusters = function() return cluster_names(self) end,
      id_of = function(name) return self.ids[name] or nil end,
      original = function(fn) return self.guard:original(fn) end,
    })
  end)
  for _, line in ipairs(self.history.lines) do self.reader:remember(line) end
  self.signals = core.sys.signals "SIGINT"
  host.use_loop(self.loop.functions)
  if not self.is_terminal then return end
  self.screen:print(("cce %s on %s: help() tells what can be done, Ctrl-D ends")
    :format(core._VERSION, rawget(_G, "jit") and "LuaJIT" or _VERSION))
  if note then self.screen:print(note) end
  if self.history.problem then
    self.screen:print("what is typed is not kept: " .. self.history.problem)
  end
end

local function finish(self)
  self.reader:close()
  self.screen:end_status()
  for _, work in ipairs(self.works:running()) do
    work:stop()
    self.screen:print(("stopped: %s"):format(tostring(work)))
  end
  self.loop:step(0)
  host.use_loop(nil)
  self.signals:close()
end

--- Run a prompt until its end.
-- @tparam table opts
-- @tparam function opts.client called with an `on_event`: makes the client, or
--   returns nil, message, err
-- @tparam[opt=false] boolean opts.yes ask nothing
-- @tparam[opt=false] boolean opts.colour
-- @treturn boolean false without a terminal when a line failed, or a change was refused
function M.run(opts)
  local self = new_repl(opts)
  begin(self)
  local ok, problem = pcall(function()
    repeat until not turn(self)
  end)
  finish(self)
  if not ok then error(problem, 0) end
  return self.is_terminal or not self.has_failed
end

return M
