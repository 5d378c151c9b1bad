--- The `cce` command.
local M = {}

local ok, argparse = pcall(require, "argparse")

local EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2

local function complain(message)
  io.stderr:write("cce: ", message, "\n")
end

-- ---------------------------------------------------------------------------------- commands

local sim = { name = "sim", summary = "Run a simulator of CCE on this machine." }

local function integer(text)
  local number = text:match("^%d+$") and tonumber(text)
  return number, "a whole number is expected, not '" .. text .. "'"
end

local function seconds(text)
  local number = tonumber(text)
  return number and number >= 0 and number or nil, "seconds are expected, not '" .. text .. "'"
end

function sim.describe(parser)
  parser:option("--dir", "Directory for its files; DIR/env is what a client needs."):count(1)
  parser:option("--port", "Port at all its addresses (default: a free one)."):convert(integer)
  parser:option("--clusters", "How many clusters.", "5"):convert(integer)
  parser:option("--job-seconds", "How long a rotation takes.", "2"):convert(seconds)
  parser:epilog("Runs until Ctrl-C, SIGTERM, or the end of the process that started it.")
end

local function announce(options)
  print(("cce sim: %d clusters at https://127.0.0.1:%d; to use it: set -a; . '%s/env'; set +a")
    :format(options.clusters, options.port, options.dir))
  io.stdout:flush()
end

function sim.run(args)
  local done, message = require("cce.sim").run({
    dir = args.dir, port = args.port, clusters = args.clusters,
    job_seconds = args.job_seconds, on_ready = announce,
  })
  if not done then
    complain(message)
    return EXIT_FAILED
  end
  return EXIT_OK
end

-- In the order in which the help shows them.
M.commands = { sim }

-- -------------------------------------------------------------------------------------- main

local function build_parser()
  local parser = argparse("cce", "Certificates of Huawei Cloud CCE clusters.")
  parser:command_target("command")
  parser:require_command(true)
  for _, command in ipairs(M.commands) do
    command.describe(parser:command(command.name, command.summary))
  end
  return parser
end

local function find_command(name)
  for _, command in ipairs(M.commands) do
    if command.name == name then
      return command
    end
  end
end

--- Runs the command with these arguments and returns its exit code: 0 done, 1 failed, 2 wrong
-- use.
function M.main(arguments)
  if not ok then
    complain("the command needs the Lua library argparse; on Debian and Ubuntu install the"
      .. " package lua-argparse")
    return EXIT_FAILED
  end
  local parser = build_parser()
  local parsed, args = parser:pparse(arguments)
  if not parsed then
    complain(args .. "\n" .. parser:get_usage())
    return EXIT_USAGE
  end
  return find_command(args.command).run(args)
end

return M
