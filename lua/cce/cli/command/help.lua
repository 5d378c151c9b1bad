--- `cce help`: the same as `--help`, which is harder to remember.
-- @module cce.cli.command.help
-- @local
local exit = require "cce.cli.exit"

local M = { name = "help", summary = "Show the help of a command." }

function M.describe(parser)
  parser:argument("topic", "The command; none: all."):args("?"):argname("COMMAND")
end

function M.run(args, ui)
  local parser = require("cce.cli").parser()
  if not args.topic then
    ui:print(parser:get_help())
    return exit.DONE
  end
  for _, command in ipairs(parser._commands) do
    if command._name == args.topic then
      ui:print(command:get_help())
      return exit.DONE
    end
  end
  return ui:usage(("there is no command '%s'"):format(args.topic))
end

return M
