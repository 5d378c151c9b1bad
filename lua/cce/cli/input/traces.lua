--- What the commands that ask CTS have in common: which time is searched.
-- @module cce.cli.input.traces
-- @local
local convert = require "cce.cli.input.convert"
local show = require "cce.text.show"

local M = {}

--- Add the options.
-- @tparam table parser of argparse
function M.describe(parser)
  parser:option("--since", "From when on: such as 2d, or 2026-01-31T18:00Z; by default, and"
    .. " at most, 7 days."):argname("TIME"):convert(convert.past)
  parser:flag("--partial", "Search what CTS still has, though --since is longer ago.")
end

--- The options as the client's methods take them.
-- @tparam table args
-- @treturn table
function M.window(args)
  return { from = args.since, partial = args.partial or nil }
end

--- Say which time was searched: nothing found means nothing without it.
-- @tparam cce.cli.ui ui
-- @tparam table list with `window`
function M.say_window(ui, list)
  ui:say(("searched %s to %s%s"):format(show.time(list.window.from),
    show.time(list.window.to), list.window.complete == false
      and "; CTS keeps nothing older" or ""))
end

return M
