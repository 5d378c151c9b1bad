--- What the library calls by its Lua names, as it is typed: hints name options and
-- calls, and a person at the shell has other names for them.
--
-- There is no list: the names come from the parser of the command that was typed. An
-- option `--max-failures` is what `max_failures=` is in Lua; one of another name says so
-- where it is described, by `stands_for`. What has no option may be a setting of a profile
-- (`credentials={…}` is `credentials =` there). A command says in `calls` which calls of the
-- library it stands for: `{ ["client:wait_job"] = "jobs wait" }`.
-- @module cce.cli.output.words
-- @local
local times = require "cce.base.times"
local values = require "cce.base.values"

local M = {}

--- Say which option of the library an option of a command is.
-- @tparam table option of argparse
-- @tparam string name
-- @tparam[opt] table spelt what the library says of its values, and what is typed for that:
--   `{ ["-1"] = "max" }`
-- @treturn table the same option
function M.stands_for(option, name, spelt)
  option._library_name, option._library_values = name, spelt
  return option
end

-- ---- what the parser knows ---------------------------------------------------------

local function add_options(parser, names)
  for _, option in ipairs(parser._options) do
    for _, alias in ipairs(option._aliases) do
      local name = alias:match "^%-%-(.+)$"
      if name then
        names[option._library_name or name:gsub("-", "_")] = { typed = alias,
          values = option._library_values or {} }
      end
    end
  end
  for _, command in ipairs(parser._commands) do add_options(command, names) end
end

local known = {}

-- Typed options by their names in the library, the longest name first.
local function options_of(command)
  if known[command] then return known[command] end
  local names, list = {}, {}
  local parser = require("cce.cli").parser { command }
  for _, each in ipairs(parser._commands) do
    if each._name == command then add_options(each, names) end
  end
  parser._commands = {}
  add_options(parser, names)
  for name, each in pairs(names) do
    each.name = name
    list[#list + 1] = each
  end
  table.sort(list, function(a, b)
    return #a.name > #b.name or #a.name == #b.name and a.name < b.name
  end)
  known[command] = list
  return list
end

-- ---- texts -------------------------------------------------------------------------

-- The arguments of a call as they are typed: texts as they are, names as what is to be put there.
local function typed_arguments(arguments)
  local parts = {}
  for text, name, options in (arguments .. ","):gmatch '%s*"?([^",{}]*)"?([^",{}]*)({?[^{}]*}?),' do
    local part = text ~= "" and text or name
    if part:find "^[%a_]+$" and not arguments:find('"' .. part .. '"', 1, true) then
      part = values.upper(part)
    end
    if part ~= "" then parts[#parts + 1] = part end
    if options ~= "" then parts[#parts + 1] = options:match "^{%s*(.-)%s*}$" end
  end
  return #parts > 0 and " " .. table.concat(parts, " ") or ""
end

local function rename_calls(text)
  local is_workflow = text:find("cce.workflow.", 1, true)
  if not is_workflow and not text:find "%a:[%a_]+%(" then return text end
  local cli, calls, commands = require "cce.cli", {}, {}
  for _, name in ipairs(cli.commands) do
    commands[name] = "cce " .. name
    for call, typed in pairs(cli.load(name).calls or {}) do calls[call] = typed end
  end
  local function command_of(name) return commands[calls[name] or name] end
  -- What stands in the braces are options of that command, not of the one that was typed. A report
  -- for a terminal is broken into lines already.
  text = text:gsub("cce%.workflow%.(%a+)%([%a,%s]*{(.-)}%)", function(name, options)
    local typed = command_of(name)
    return typed and ("%s %s"):format(typed, M.typed(options, typed:sub(5)))
  end):gsub("cce%.workflow%.(%a+)", command_of)
  -- The fields behind a call go with it, the end of a sentence does not.
  return (text:gsub("([%a_]+:[%a_]+)(%b())([%.%a_]*)", function(call, arguments, fields)
    local typed = calls[call]
    if not typed then return nil end
    if typed:find "^%-%-" then return typed end
    return "cce " .. typed .. typed_arguments(arguments:sub(2, -2)) .. fields:match "%.?$"
  end))
end

-- `endpoints={iam="https://…"}` and `credentials={…}` are settings of a profile, where the first
-- is `iam_endpoint`.
local function rename_settings(text)
  if not text:find "[%a_]={" then return text end
  local settings = {}
  for _, name in ipairs(require("cce.cli.input.profile").KEYS) do settings[name] = true end
  text = text:gsub('(%a+)s={(%a+)="([^"]*)"}', function(what, of, value)
    local name = of .. "_" .. what
    return settings[name] and ("%s = %s in the profile"):format(name, value) or nil
  end)
  return (text:gsub("([%a_]+)={[^}]*}", function(name)
    return settings[name] and name .. " = … in the profile" or nil
  end))
end

-- "expire_at is 1577836800; it must be a unix time": who types writes no unix times.
local function rename_times(text)
  if not text:find("unix time", 1, true) then return text end
  return (text:gsub("%f[%d]%d%d%d%d%d%d%d%d%d%d%f[%D]", function(seconds)
    return times.format(tonumber(seconds))
  end):gsub("a unix time in whole seconds", "a time"):gsub("unix time", "time"))
end

--- A text of the library for a person at the shell.
-- @tparam string text
-- @tparam string command the command that was typed
-- @treturn string
-- @usage
-- local words = require "cce.cli.output.words"
-- assert(words.typed("Give allow_self=true", "revoke") == "Give --allow-self")
function M.typed(text, command)
  -- "duration is 0; it must be …": elsewhere a word before "is" may be any noun.
  local is_refused = text:find(" must be", 1, true)
  local names_something = text:find "[%a_]=" or text:find "%a:[%a_]+%(" or text:find "%a_%a"
    or text:find("cce.workflow.", 1, true) or is_refused
  if not names_something then return text end
  text = rename_times(rename_settings(rename_calls(text)))
  local said = require("cce.cli.input.profile").said
  for _, each in ipairs(options_of(command)) do
    local setting = said[each.name]
    local at = "%f[%w_]" .. each.name
    local typed = setting and "the profile's " .. setting or each.typed:gsub("%%", "%%%%")
    text = text:gsub(at .. '="([^"]*)"', typed .. " %1"):gsub(at .. "=true%f[^%w]", typed)
    -- A flag is denied by another: --no-wait.
    local off = each.values["false"] and typed .. " " .. each.values["false"]
      or typed:gsub("^%-%-", "--no-")
    text = text:gsub(at .. "=false%f[^%w]", off)
    text = text:gsub(at .. "=([%d<])", typed .. " %1")
      :gsub(at .. "=…", typed .. " …"):gsub(at .. "=", typed)
    if is_refused then
      text = (": " .. text):gsub(": " .. each.name .. " is ", ": " .. typed .. " is "):sub(3)
      for value, word in pairs(text:find(each.typed, 1, true) and each.values or {}) do
        text = text:gsub("or " .. value:gsub("%p", "%%%0") .. "%f[^%w]", "or " .. word)
      end
    end
    -- A name of two words is one wherever it stands.
    if each.name:find("_", 1, true) then text = text:gsub(at .. "%f[^%w_]", typed) end
  end
  return text
end

-- What is a sentence in the table of a report, or a list of them.
local SENTENCES = { message = true, hint = true, stopped = true, notes = true, plan = true }

--- The same of every sentence in the table of a report.
-- @tparam table value of `report:to_table`; it is changed
-- @tparam string command
-- @treturn table the same table
function M.typed_report(value, command)
  local function type_all(list, are_sentences)
    for name, inner in pairs(list) do
      if type(inner) == "table" then
        type_all(inner, SENTENCES[name])
      elseif type(inner) == "string" and (are_sentences or SENTENCES[name]) then
        list[name] = M.typed(inner, command)
      end
    end
  end
  type_all(value)
  return value
end

return M
