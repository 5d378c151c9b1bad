-- Writes man/cce.1 from the parser of the command:
--   lua tools/man.lua          rewrites it
--   lua tools/man.lua --check  fails when that would change it
-- Run by tools/run-lua, which knows where the modules are.
local cli = require "cce.cli"
local exit = require "cce.cli.exit"
local topics = require "cce.cli.topics"

local PATH = "man/cce.1"

local out = {}

local function put(format, ...)
  out[#out + 1] = select("#", ...) > 0 and format:format(...) or format
end

local function escape(text)
  return (text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("\n([.'])", "\n\\&%1"):gsub("^([.'])",
    "\\&%1"))
end

local function value_of(element)
  local name = element._argname
  if type(name) == "table" then name = name[1] end
  if element._maxargs == 0 then return "" end
  return name or "VALUE"
end

local function put_option(option)
  local names = {}
  for i, alias in ipairs(option._aliases) do names[i] = "\\fB" .. escape(alias) .. "\\fR" end
  local value = value_of(option)
  put ".TP"
  put("%s%s", table.concat(names, ", "), value ~= "" and " \\fI" .. escape(value) .. "\\fR" or "")
  local description = option._description or ""
  if option._default and option._show_default then
    description = ("%s By default %s."):format(description, tostring(option._default))
  end
  put("%s", escape(description))
end

-- That every command has --help is said once, with the options of all.
local function put_options(parser, with_help)
  for _, option in ipairs(parser._options) do
    if with_help or option._name ~= "-h" then put_option(option) end
  end
end

local function synopsis(name, parser)
  local words = { "\\fB" .. escape(name) .. "\\fR" }
  for _, argument in ipairs(parser._arguments) do
    local word = "\\fI" .. escape(value_of(argument)) .. "\\fR"
    if argument._maxargs == math.huge then word = word .. " ..." end
    words[#words + 1] = argument._minargs == 0 and "[" .. word .. "]" or word
  end
  words[#words + 1] = "[\\fIoptions\\fR]"
  return table.concat(words, " ")
end

local function put_command(name, parser)
  put(".SS %s", synopsis(name, parser))
  local text = parser._description or ""
  put("%s", escape(text:find "%.$" and text or text .. "."))
  for _, argument in ipairs(parser._arguments) do
    put ".TP"
    put("\\fI%s\\fR", escape(value_of(argument)))
    put("%s", escape(argument._description or ""))
  end
  put_options(parser)
  for _, command in ipairs(parser._commands) do
    put_command(name .. " " .. command._name, command)
  end
  if parser._epilog then
    put ".P"
    put("%s", escape(parser._epilog))
  end
end

local function put_commands(parser)
  put ".SH COMMANDS"
  for _, command in ipairs(parser._commands) do
    local name = command._name
    if not command._hidden then put_command("cce " .. name, command) end
    for _, example in ipairs(not command._hidden and topics.examples[name] or {}) do
      put ".TP"
      put("%s:", escape(example[1]))
      put("\\fB%s\\fR", escape(example[2]))
    end
  end
end

local MACHINES = [[
.SH OUTPUT
Results go to standard output, everything else to standard error.
A table is as wide as it must be; on a terminal it is cut to fit.
\fB\-o json\fR and \fB\-o yaml\fR print every field by its own name, lists as lists; what is not
known is left out.
Times in them are unix seconds.
\fB\-o name\fR prints identifiers, one a line.
]]

local function put_entries(title, entries)
  put(".SH %s", title)
  for _, entry in ipairs(entries) do
    put ".TP"
    put("\\fI%s\\fR", escape(entry[1]))
    put("%s", escape(entry[2]))
    if entry[3] then put(".P\n.RS\n.nf\n%s\n.fi\n.RE", escape(entry[3])) end
  end
end

-- The first example of each command; the others stand with it.
local function put_examples()
  put ".SH EXAMPLES"
  for _, name in ipairs(cli.commands) do
    local example = (topics.examples[name] or {})[1]
    if example then put(".TP\n%s:\n\\fB%s\\fR", escape(example[1]), escape(example[2])) end
  end
end

local parser = cli.parser()
put('.TH CCE 1 "" "lua\\-cce %s" "User Commands"', escape(require("cce")._VERSION))
put ".SH NAME"
put "cce \\- certificates of Huawei Cloud CCE clusters"
put ".SH SYNOPSIS"
put "\\fBcce\\fR [\\fIoptions\\fR] \\fIcommand\\fR [\\fIarguments\\fR]"
put ".SH DESCRIPTION"
put("%s", escape(parser._description))
put ".SH OPTIONS"
put "These may stand before or after the command."
put_options(parser, true)
put_commands(parser)
for line in MACHINES:gmatch "[^\n]+" do put("%s", line) end
put ".SH EXIT STATUS"
for _, each in ipairs(exit.meanings) do
  put ".TP"
  put("%d", each[1])
  put("%s", escape(each[2]))
end
put_examples()
put_entries("FILES", topics.files)
put_entries("ENVIRONMENT", topics.environment)
local new = table.concat(out, "\n") .. "\n"

local file = io.open(PATH, "rb")
local old = file and file:read "*a"
if file then file:close() end
if new == old then
  return
elseif arg[1] == "--check" then
  io.stderr:write(PATH, " is not what the command says; run `make man`\n")
  os.exit(1)
end
file = assert(io.open(PATH, "wb"))
file:write(new)
file:close()
