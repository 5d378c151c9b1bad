--- Where one kubeconfig goes: a file, a part of one, or standard output.
-- @module cce.cli.output.place
-- @local
local core = require "cce.core"
local destinations = require "cce.kubeconfig.destination"
local errors = require "cce.error"
local exit = require "cce.cli.exit"

local M = {}

--- Add the options.
-- @tparam table parser of argparse
function M.describe(parser)
  parser:option("--out", "The file to write, mode 0600; - is standard output."):argname("FILE")
  parser:option("--merge-into", "A kubeconfig to add it to, such as ~/.kube/config.")
    :argname("FILE")
  parser:flag("--force", "Replace the file of --out if it is there, even one that is no"
    .. " kubeconfig.")
  parser:option("--context", "Which of its contexts is to be the current one: internal,"
    .. " external, externalTLSVerify."):argname("CONTEXT")
  parser:option("--name", "Its name in the file; by default the cluster's."):argname("NAME")
  parser:option("--format", "Of a new file: json or yaml."):choices({ "json", "yaml" })
    :argname("FORMAT")
end

--- Whether the options go together, which no network is needed for.
-- @tparam table args
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.check(args)
  if (args.out == nil) == (args.merge_into == nil) then
    return errors.fail("INVALID_ARGUMENT", "give one of --out and --merge-into",
      { hint = "--out FILE writes a file, --out - prints it, --merge-into FILE adds it to one" })
  elseif args.out and args.out ~= "-" and not args.force and core.file.stat(args.out) then
    return errors.fail("INVALID_ARGUMENT", ("'%s' is there already"):format(args.out),
      { hint = "--merge-into adds to it, --force replaces it" })
  end
  local path = args.merge_into or args.out
  local directory = path ~= "-" and path:match "^(.*)/[^/]*$"
  if not directory or directory == "" or core.file.stat(directory) then return true end
  return errors.fail("INVALID_ARGUMENT", ("there is no directory '%s'"):format(directory))
end

--- The same for people: "into prod.json".
-- @tparam table args
-- @treturn string
function M.text(args)
  if args.merge_into then return "merged into " .. args.merge_into end
  return args.out == "-" and "to standard output" or "into " .. args.out
end

local function naming(args, cluster)
  return { context = args.context, name = args.name or cluster.name or cluster.id,
    format = args.format }
end

--- Print it: what was asked for by `--out -`. What nobody took is kept, as what cannot be saved.
-- @treturn int exit code
function M.print(ui, args, kubeconfig, cluster)
  local opts = naming(args, cluster)
  opts.mark = true
  opts.format = opts.format or ui.output == "yaml" and "yaml" or "json"
  local text, message, err = kubeconfig:text(opts)
  if not text then return ui:fail(message, err) end
  if not args.exec then
    ui:say("the kubeconfig, with its private key, goes to standard output")
  end
  ui:print(text)
  -- Without a key there is nothing to keep.
  if args.exec or ui:written() then return exit.DONE end
  local lost = errors.new("FILE_ERROR", "a certificate was issued, but standard output did not take"
    .. " it", { retryable = false, maybe_applied = true })
  return ui:fail(select(2, destinations.recover(kubeconfig, lost, opts.name)))
end

local function destination(args, cluster, command)
  local place = naming(args, cluster)
  place.path, place.command = args.out or args.merge_into, command
  place.merge, place.mark = args.merge_into ~= nil, args.out ~= nil
  place.force = args.force
  return place
end

--- Prove it before anything is obtained. Standard output needs no proof.
-- @tparam table ui
-- @tparam table args
-- @tparam cce.client client
-- @tparam table cluster of `cce.cli.input.chosen`
-- @tparam[opt] table command the options of `kubeconfig:with_command`
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.prove(ui, args, client, cluster, command)
  if args.out == "-" then return true end
  local ok, message, err = destinations.prove(destination(args, cluster, command), cluster, client)
  if not ok then return nil, message, err end
  if message then ui:warn(message) end
  return true
end

--- Save it.
-- @tparam table args
-- @tparam cce.kubeconfig kubeconfig
-- @tparam table cluster
-- @tparam[opt] table command as for `prove`
-- @return what `kubeconfig:save` returns; where it fails, the message says where the
--   certificate was kept instead
function M.save(args, kubeconfig, cluster, command)
  return destinations.save(destination(args, cluster, command), kubeconfig)
end

return M
