--- The `cce` command: what is typed, which command that is, and how it ends.
--
-- Each command is a module `cce.cli.command.<folder>.<name>` that returns a table:
--
-- * `name`: the word that is typed; `summary`: one line for the list of commands
-- * `describe(parser)`: adds the command's own arguments and options to its
--   argparse parser; it has no side effect, since help, completion and the
--   manual page call it too. Options of all commands (`--profile`, `--output`,
--   …) are there already
-- * `run(args, ui)`: does it and returns an exit code (see `cce.cli.exit`).
--   `args` is what argparse made of the words, those options of all commands
--   included; `ui` (see `cce.cli.ui`) is the only way to the client, to the
--   screen and to the person
-- * `interrupted(args, ui)`, optional: says after Ctrl-C what was done and how
--   to go on; without it what was sent is counted
-- * `one_form=true`, optional: what it prints has one form, so that -o says nothing to it
-- * `hidden=true`, optional: stands in no list
-- * `watchable`, optional: true where it only reads, or a set of the commands inside it that do;
--   --watch shows them again and again
--
-- A new command is one word in `MODULES`. Only those that are meant are loaded.
-- @module cce.cli
local exit = require "cce.cli.exit"
local protect = require "cce.host.protect"
local stands_for = require("cce.cli.output.words").stands_for
local topics = require "cce.cli.topics"

local is_interrupt = protect.is_interrupt

local M = {}

-- In the order in which the help shows them.
local MODULES = {
  "certificate.obtain", "certificate.ensure", "certificate.revoke", "certificate.leaver",
  "certificate.rotate",
  "cloud.status", "cloud.clusters", "cloud.jobs", "cloud.users", "cloud.agencies",
  "cloud.deleted", "cloud.downloads",
  "certificate.who", "cloud.holders", "certificate.expiry", "certificate.credential",
  "certificate.logout",
  "upkeep.runs", "upkeep.schedule", "certificate.grant",
  "tool.configure", "tool.doctor", "tool.profiles", "upkeep.log", "upkeep.metrics",
  "tool.repl", "tool.sim", "tool.completion", "tool.version", "tool.help", "tool.__complete",
}

--- The commands, in the order in which the help shows them.
M.commands = {}

local module_of = {}
for i, path in ipairs(MODULES) do
  local folder, name = path:match "^(%w+)%.(.+)$"
  M.commands[i] = name
  module_of[name] = "cce.cli.command." .. folder .. "." .. name:gsub("^_+", "")
end

local function tell(text) require("cce.cli.ui").tell(text) end

--- The module of a command.
-- @tparam string name
-- @treturn table
function M.load(name)
  return require(module_of[name])
end

-- ---- the parser ----------------------------------------------------------------

local WIDTH = 79

local function seconds(text)
  local number = tonumber(text)
  return number and number > 0 and number or nil, "seconds are expected, not '" .. text .. "'"
end

local function describe_all(parser)
  parser:group("Options of all commands",
    parser:option("--profile", "What stands under [PROFILE] in ~/.config/cce/config."
      .. " By default CCE_PROFILE."):argname("PROFILE"),
    parser:option("--cloud", "Such as otc: where its regions are, and what it lacks."
      .. " By default CCE_CLOUD."):argname("CLOUD"),
    parser:option("--region", "Such as cn-north-4."):argname("REGION"),
    stands_for(parser:option("--project", "The id of the project."):argname("ID"), "project_id"),
    parser:option("--endpoint", "Address of CCE instead of a region's.")
      :argname("URL"):count("*"),
    parser:option("--ca-file", "Certificates to trust instead of the system's (PEM).")
      :argname("FILE"),
    stands_for(parser:option("--token-file", "A file, mode 0600, that holds an IAM token.")
      :argname("FILE"), "token"),
    parser:option("--audit-log", "Log every change to this file, before and after."
      .. " By default CCE_AUDIT_LOG, or what the profile says."):argname("FILE"),
    parser:option("--timeout", "Seconds for one request."):argname("SECONDS"):convert(seconds),
    parser:option("-o --output", "table, json, yaml, or name (identifiers alone).")
      :argname("FORMAT"):choices({ "table", "json", "yaml", "name" }):default("table")
      :show_default(false),
    parser:flag("--local", "Show times in local time, with its offset; without it in UTC.")
      :target("local_time"),
    parser:flag("--no-headers", "No line of titles above a table."),
    parser:flag("-q --quiet", "No notes and no progress; results and errors stay."),
    parser:flag("-v --verbose", "Tell of every attempt, and of codes and request ids."),
    parser:flag("--no-color", "No colours. So does NO_COLOR."))
end

-- What cannot be written was not shown.
local function print_text(text)
  local ui = require("cce.cli.ui").new {}
  ui:print(text)
  return ui:written() and exit.DONE or exit.FAILED
end

local function print_version()
  os.exit(print_text("cce " .. require("cce")._VERSION), true)
end

local function print_help_of(parser)
  for _, option in ipairs(parser._options) do
    if option._aliases[#option._aliases] == "--help" then
      option:action(function() os.exit(print_text(parser:get_help()), true) end)
    end
  end
end

-- What stands in each command's help below its own options, as argparse writes it
-- for the command itself.
local function help_of_all()
  local parser = require "argparse"("cce"):add_help(false):help_max_width(WIDTH)
  describe_all(parser)
  return parser:get_help():match "\n\n(Options of all commands:.*)$"
end

-- Those of a command, and of a command within it those that begin as it does.
local function examples_of(path)
  local lines = {}
  for _, example in ipairs(topics.examples[path:match "^%S+"] or {}) do
    if example[2]:find(path, 1, true) then
      lines[#lines + 1] = ("   # %s\n   %s"):format(example[1], example[2])
    end
  end
  return #lines > 0 and "\n\nExamples:\n" .. table.concat(lines, "\n") or ""
end

-- Options of which one alone may be given are one word to argparse, however many they are.
local function with_short_lines(usage)
  return (usage:gsub("[^\n]+", function(line)
    if #line <= WIDTH then return nil end
    local indent, lines = line:match "^ *", { "" }
    for part in (line .. " | "):gmatch "(.-) | " do
      local longer = lines[#lines] .. (lines[#lines] ~= "" and " | " or "") .. part
      if #longer <= WIDTH or lines[#lines] == "" then
        lines[#lines] = longer
      else
        lines[#lines], lines[#lines + 1] = lines[#lines] .. " |", indent .. " " .. part
      end
    end
    return table.concat(lines, "\n")
  end))
end

local PLACES = { FILE = true, DIR = true, PATH = true }

-- Whatever is wrong with a value, it is said of which option. A lone "-" is standard input or
-- output where the help of the option says so, and nowhere the name of a file.
local function name_values(elements)
  for _, each in ipairs(elements) do
    local convert, name = each._convert, each._aliases and each._aliases[#each._aliases]
      or each._argname
    local is_place = PLACES[each._argname] and not each._description:find("- is standard", 1, true)
    if is_place or type(convert) == "function" then
      each:convert(function(text)
        if is_place and text == "-" then
          return nil, name .. ": - is neither standard input nor output here; a file of that name"
            .. " is ./-"
        elseif not convert then
          return text
        end
        local value, message = convert(text)
        return value, value == nil and message and name .. ": " .. message or nil
      end)
    end
  end
end

local function complete_help(parser, path)
  name_values(parser._options)
  name_values(parser._arguments)
  local own = parser.get_help
  function parser:get_help()
    local usage, rest = own(self):match "^(.-)(\n\n.*)$"
    return with_short_lines(usage) .. rest .. examples_of(path) .. "\n\n" .. help_of_all()
  end
  for _, inner in ipairs(parser._commands) do
    complete_help(inner, path .. " " .. inner._name)
    if inner._commands[1] == nil and not inner._options[1] then inner:add_help(true) end
  end
  print_help_of(parser)
end

-- Only a command that is named in the arguments can be meant; without one,
-- the help of all may be.
local function chosen(arguments)
  local found = {}
  for _, name in ipairs(M.commands) do
    for _, argument in ipairs(arguments) do
      if argument == name then found[name], found.any = true, true end
    end
  end
  return found
end

local function add_command(parser, name, is_chosen)
  if not is_chosen then return parser:command(name) end
  local command = M.load(name)
  local inner = parser:command(name, command.summary)
  if command.hidden then inner:hidden(true) end
  inner:add_help(true)
  command.describe(inner)
  for _, each in ipairs(command.watchable == true and { inner } or inner._commands) do
    if command.watchable and (each == inner or command.watchable[each._name]) then
      each:option("-w --watch", "Show it again every so many seconds, until Ctrl-C.")
        :argname("SECONDS"):args("?"):convert(seconds)
    end
  end
  complete_help(inner, name)
  return inner
end

--- The parser of the command line.
-- @tparam[opt] {string,...} arguments when given, commands that they cannot mean
--   are not loaded and have nothing but their name
-- @treturn table of argparse
-- @local
function M.parser(arguments)
  local parser = require "argparse"("cce", "Certificates of Huawei Cloud CCE clusters:"
    .. " kubeconfigs for people and machines, revocation, rotation.")
  parser:command_target("command"):require_command(true):help_max_width(WIDTH)
  describe_all(parser)
  name_values(parser._options)
  print_help_of(parser)
  parser:flag("--version", "Say which version this is."):target("show_version")
    :action(print_version)
  local found = arguments and chosen(arguments) or {}
  local all = not found.any or found.help
  for _, name in ipairs(M.commands) do add_command(parser, name, all or found[name]) end
  parser:epilog("Exit codes: " .. exit.summary()
    .. ".\nMore: cce help COMMAND, cce help environment, cce help files, man cce.")
  return parser
end

-- ---- from beginning to end -------------------------------------------------------

local function note_trace(problem)
  local text = type(problem) == "string" and not is_interrupt(problem)
    and debug.traceback(problem, 2)
  return { problem = problem, trace = text or nil }
end

-- The client still lives: ending something may need it. A second Ctrl-C ends the
-- process, but not before the user was told how to go on.
local function interrupted(command, args, ui)
  local held = require("cce.core").sys.signals "SIGINT"
  ui:settle()
  tell "\ncce: interrupted"
  if command.interrupted then
    command.interrupted(args, ui)
  elseif not ui.outstanding:is_empty() then
    ui:warn(ui.outstanding:text())
  end
  held:close()
  ui:close()
  return exit.INTERRUPTED
end

-- A mistake of ours: a traceback helps those who mend it, and no user.
local function broken(ui, caught)
  ui:settle()
  if os.getenv("CCE_DEBUG") == "1" and caught.trace then
    io.stderr:write(caught.trace, "\n")
    return exit.FAILED
  end
  tell("cce: this should not happen: " .. tostring(caught.problem))
  tell "  hint: CCE_DEBUG=1 shows where, for a report of the mistake"
  return exit.FAILED
end

local function run(command, args, arguments)
  local ui = require("cce.cli.ui").new(args)
  ui.asked = "cce " .. table.concat(arguments, " ")
  require("cce.text.show").use_local_time(args.local_time == true)
  for _, note in ipairs(require("cce.cli.input.convert").heard()) do ui:say(note) end
  local ok, result = xpcall(function()
    if args.report_file then
      local fits, message, err = require("cce.cli.output.report_file").check(args.report_file)
      if not fits then return ui:fail(message, err) end
    end
    if command.one_form and args.output ~= "table" then
      return ui:usage(("-o %s means nothing here: what cce %s prints has one form"):format(
        args.output, command.name))
    end
    if args.watch then return ui:watch(command, args) end
    return command.run(args, ui)
  end, note_trace)
  if not ok and is_interrupt(result.problem) then return interrupted(command, args, ui) end
  ui:close()
  if not ok then return broken(ui, result) end
  return ui:written() and result or exit.FAILED
end

-- The command that was meant, as far as its words say it: its parser, and what `cce help` takes.
local function meant(arguments)
  local parser, path = M.parser(arguments), {}
  for _, word in ipairs(arguments) do
    for _, command in ipairs(parser._commands) do
      if command._name == word then
        parser, path[#path + 1] = command, word
        break
      end
    end
  end
  return parser, table.concat(path, " ")
end

--- Runs the command with these arguments.
-- @tparam {string,...} arguments
-- @treturn int the exit code: see `cce.cli.exit`
function M.main(arguments)
  if not protect.catch(require, "argparse") then
    tell("cce: the command needs the Lua library argparse; on Debian and Ubuntu install the"
      .. " package lua-argparse")
    return exit.FAILED
  end
  if #arguments == 0 then return print_text(M.parser():get_help()) end
  local parsed, args = M.parser(arguments):pparse(arguments)
  if not parsed then
    tell("cce: " .. args)
    local command, path = meant(arguments)
    -- As kubectl and gh show it.
    tell(args == "a command is required" and command:get_help()
      or (("  hint: cce help " .. path):gsub(" $", "")))
    return exit.USAGE
  end
  return run(M.load(args.command), args, arguments)
end

return M
