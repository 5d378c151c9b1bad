--- `cce sim`: a simulated cloud on this machine.
-- @module cce.cli.command.tool.sim
-- @local
local convert = require "cce.cli.input.convert"
local exit = require "cce.cli.exit"
local show = require "cce.text.show"

local M = { name = "sim", summary = "Run a simulator of CCE on this machine.", one_form = true }

function M.describe(parser)
  parser:option("--dir", "Directory for its files; DIR/env is what a client needs,"
      .. " DIR/env.member the same for a user who is no administrator."):argname("DIR"):count(1)
  parser:option("--port", "Port at all its addresses (default: a free one).")
    :argname("N"):convert(convert.integer)
  parser:option("--clusters", "How many clusters."):argname("N"):default("5")
    :convert(convert.integer)
  parser:option("--job-seconds", "How long a rotation takes."):argname("SECONDS")
    :default("2"):convert(convert.seconds)
  parser:epilog("Runs until Ctrl-C, SIGTERM, or the end of the process that started it.")
end

local function announce(options)
  print(("cce sim: %s at https://127.0.0.1:%d; to use it: set -a; . '%s/env'; set +a")
    :format(show.count(options.clusters, "cluster"), options.port, options.dir))
  io.stdout:flush()
end

function M.run(args, ui)
  local done, message = require("cce.sim").run({
    dir = args.dir, port = args.port, clusters = args.clusters,
    job_seconds = args.job_seconds, on_ready = announce,
  })
  if not done then return ui:fail(message) end
  return exit.DONE
end

return M
