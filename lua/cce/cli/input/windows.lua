--- When rotations may be begun: `--windows`, `--not` and `--zone`.
-- @module cce.cli.input.windows
-- @local
local stands_for = require("cce.cli.output.words").stands_for

local M = {}

--- Add the options.
-- @tparam table parser of argparse
function M.describe(parser)
  parser:option("--windows --window", "Begin clusters only then: such as 'sat,sun 01:00-05:00';"
    .. " any: at all times."):argname("WINDOWS")
  stands_for(parser:option("--not", "Begin none then, in spite of --windows: such as"
    .. " 2026-12-20/2027-01-05, both days included."):argname("DATES"):count("*"):target("except"),
    "except")
  parser:option("--zone", "Of both: UTC (the default), local, or such as +08:00."):argname("ZONE")
end

--- The options as the workflow takes them.
-- @tparam table args
-- @tparam table opts is given `windows`, `except` and `zone`
-- @treturn table opts
function M.put(args, opts)
  opts.windows, opts.zone = args.windows, args.zone
  if args.windows == "any" then opts.windows = false end
  opts.except = #args.except > 0 and args.except or nil
  return opts
end

return M
