--- `cce help`: the same as `--help`, which is harder to remember, and two topics.
-- @module cce.cli.command.tool.help
-- @local
local exit = require "cce.cli.exit"
local topics = require "cce.cli.topics"
local width = require "cce.text.width"

local M = { name = "help", summary = "Show the help of a command, or a topic." }

local COLUMNS = 79

function M.describe(parser)
  parser:argument("topic", "A command, such as schedule add; environment; or files. None: all.")
    :args("*"):argname("COMMAND")
end

function M.run(args, ui)
  local parser, path = require("cce.cli").parser(), {}
  local topic = #args.topic == 1 and args.topic[1]
  if topic == "environment" or topic == "files" then
    local lines = {}
    for _, entry in ipairs(topics[topic]) do
      lines[#lines + 1] = entry[1]
      for _, line in ipairs(width.wrap(entry[2], COLUMNS - 7)) do
        lines[#lines + 1] = "       " .. line
      end
    end
    ui:print(table.concat(lines, "\n"))
    return exit.DONE
  end
  for _, word in ipairs(args.topic) do
    local found
    for _, command in ipairs(parser._commands) do
      if command._name == word then found = command end
    end
    path[#path + 1] = word
    if not found then
      return ui:usage(("there is no command '%s'"):format(table.concat(path, " ")))
    end
    parser = found
  end
  ui:print(parser:get_help())
  return exit.DONE
end

return M
