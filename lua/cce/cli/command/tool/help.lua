--- `cce help`: the same as `--help`, which is harder to remember, and two topics.
-- @module cce.cli.command.tool.help
-- @local
local errors = require "cce.error"
local exit = require "cce.cli.exit"
local options = require "cce.base.options"
local topics = require "cce.cli.topics"
local width = require "cce.text.width"

local M = { name = "help", summary = "Show the help of a command, or a topic.", one_form = true }

local COLUMNS = 79

function M.describe(parser)
  parser:argument("topic", "A command, such as schedule add; environment; or files. None: all.")
    :args("*"):argname("COMMAND")
end

function M.run(args, ui)
  local parser = require("cce.cli").parser()
  local topic = #args.topic == 1 and args.topic[1]
  if topic == "environment" or topic == "files" then
    local lines = {}
    for _, entry in ipairs(topics[topic]) do
      lines[#lines + 1] = entry[1]
      for _, line in ipairs(width.wrap(entry[2], COLUMNS - 7)) do
        lines[#lines + 1] = "       " .. line
      end
      if entry[3] then
        lines[#lines + 1] = "\n" .. ("\n" .. entry[3]):gsub("\n(%C)", "\n           %1"):sub(2)
          .. "\n"
      end
    end
    ui:print(table.concat(lines, "\n"))
    return exit.DONE
  end
  for i, word in ipairs(args.topic) do
    local found, names = nil, {}
    for _, command in ipairs(parser._commands) do
      names[#names + 1] = not command._hidden and command._name or nil
      if command._name == word then found = command end
    end
    if not found then
      local above, near = table.concat(args.topic, " ", 1, i - 1), options.nearest(word, names)[1]
      local message = ("there is no command '%s'"):format(table.concat(args.topic, " ", 1, i))
      return ui:fail(message, errors.new("INVALID_ARGUMENT", message, {
        hint = near and ("Did you mean '%s'?"):format(near)
          or "cce help" .. (i > 1 and " " .. above or "") }))
    end
    parser = found
  end
  ui:print(parser:get_help())
  return exit.DONE
end

return M
