--- `cce repl`: the prompt.
-- @module cce.cli.command.tool.repl
-- @local
local exit = require "cce.cli.exit"

local M = { name = "repl", summary = "A prompt with the library, a client, help and completion.",
  one_form = true }

function M.describe(parser)
  parser:flag("--yes", "Do not ask before what cannot be undone.")
  parser:epilog("`client` is what the options and the environment say; help() tells the rest."
    .. " Without a terminal, what is read is run line by line, nothing that destroys is done unless"
    .. " --yes is given, and it ends with 1 when a line failed or a change was refused.")
end

function M.run(args, ui)
  local ok = require("cce.repl").run {
    client = function(on_event) return ui:client { on_event = on_event } end,
    yes = args.yes, colour = ui.colour,
  }
  return ok and exit.DONE or exit.FAILED
end

return M
