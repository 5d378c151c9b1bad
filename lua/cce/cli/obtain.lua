--- `cce obtain`: one kubeconfig with a new certificate.
-- @module cce.cli.obtain
-- @local
local chosen = require "cce.cli.chosen"
local core = require "cce.core"
local errors = require "cce.error"
local exit = require "cce.cli.exit"
local lifetime = require "cce.cli.lifetime"
local plugin = require "cce.cli.plugin"
local render = require "cce.cli.render"

local M = { name = "obtain", summary = "Obtain a kubeconfig with a new client certificate." }

function M.describe(parser)
  parser:argument("cluster", "Id or name of the cluster."):argname("CLUSTER")
  lifetime.describe(parser)
  parser:option("--out", "The file to write, mode 0600; - is standard output."):argname("FILE")
  parser:option("--merge-into", "A kubeconfig to add it to, such as ~/.kube/config.")
    :argname("FILE")
  parser:flag("--force", "Replace the file of --out if it is there.")
  parser:option("--context", "Which of its contexts is to be the current one: internal,"
    .. " external, externalTLSVerify."):argname("CONTEXT")
  parser:option("--name", "Its name in the file; by default the cluster's."):argname("NAME")
  parser:option("--format", "Of a new file: json or yaml."):choices({ "json", "yaml" })
    :argname("FORMAT")
  plugin.describe(parser)
  parser:flag("--dry-run", "Obtain and write nothing; say what would be done.")
  parser:epilog("The private key is in what is written. Each call issues another certificate:"
    .. " cce ensure renews only what nears its end.")
end

-- ---- where to --------------------------------------------------------------------

local function exists(path)
  return core.file.stat(path) and true or false
end

-- Before anything is obtained: a certificate that cannot be kept is a waste.
local function check_place(args)
  if (args.out == nil) == (args.merge_into == nil) then
    return errors.fail("INVALID_ARGUMENT", "give one of --out and --merge-into",
      { hint = "--out FILE writes a file, --out - prints it, --merge-into FILE adds it to one" })
  elseif args.out and args.out ~= "-" and not args.force and exists(args.out) then
    return errors.fail("INVALID_ARGUMENT", ("'%s' is there already"):format(args.out),
      { hint = "--merge-into adds to it, --force replaces it" })
  end
  return true
end

local function place_text(args)
  if args.merge_into then return "merged into " .. args.merge_into end
  return args.out == "-" and "to standard output" or "into " .. args.out
end

local function naming(args, cluster)
  return { context = args.context, name = args.name or cluster.name or cluster.id,
    format = args.format }
end

local function print_out(ui, args, kubeconfig, cluster)
  local opts = naming(args, cluster)
  opts.mark = true
  opts.format = opts.format or ui.output == "yaml" and "yaml" or "json"
  local text, message, err = kubeconfig:text(opts)
  if not text then return ui:fail(message, err) end
  if not args.exec then
    ui:say("the kubeconfig, with its private key, goes to standard output")
  end
  ui:print(text)
  return exit.DONE
end

local function save(args, kubeconfig, cluster)
  local opts = naming(args, cluster)
  opts.merge, opts.mark = args.merge_into ~= nil, args.out ~= nil
  return kubeconfig:save(args.out or args.merge_into, opts)
end

-- ---- from beginning to end ---------------------------------------------------------

local function as_value(cluster, facts, saved)
  return { cluster_id = cluster.id, name = cluster.name, user_id = facts.user_id,
    expires_at = facts.not_after, path = saved.path, context = saved.context,
    merged = saved.merged, backup = saved.backup }
end

local function until_text(facts)
  return facts.not_after and "until " .. render.moment(facts.not_after)
    or "kubectl obtains its certificates by cce credential"
end

local function report(ui, cluster, facts, saved)
  local text = ("%s: user %s, %s\n%s"):format(cluster.name or cluster.id,
    facts.user_id or "without a name", until_text(facts), tostring(saved))
  return ui:show(as_value(cluster, facts, saved), text, saved.path)
end

local function dry_run(ui, args, cluster, life)
  local text = ("dry run: would obtain a certificate for %s (%s), %s, %s"):format(
    cluster.name or cluster.id, cluster.id, lifetime.text(life), place_text(args))
  return ui:show({ dry_run = true, cluster_id = cluster.id, name = cluster.name,
    path = args.out or args.merge_into }, text, cluster.id)
end

local function obtain(ui, args, client, cluster, life)
  local kubeconfig, message, err = client:obtain_cert(cluster.id, life)
  if not kubeconfig then return ui:fail(message, err) end
  local facts = kubeconfig:certificate()
  if args.exec then
    kubeconfig = assert(kubeconfig:with_command(plugin.command(args, client, cluster.id)))
    facts = { user_id = facts.user_id }
  end
  if args.out == "-" then return print_out(ui, args, kubeconfig, cluster) end
  local saved
  saved, message, err = save(args, kubeconfig, cluster)
  if not saved then
    ui:warn("a certificate was issued, but it could not be kept:")
    return ui:fail(message, err)
  end
  return report(ui, cluster, facts, saved)
end

local function prepare(ui, args)
  local ok, message, err = check_place(args)
  if not ok then return nil, message, err end
  local life
  life, message, err = (args.exec and plugin.lifetime or lifetime.of)(args)
  if not life then return nil, message, err end
  local client
  client, message, err = ui:client()
  if not client then return nil, message, err end
  local cluster
  cluster, message, err = chosen.one(client, args.cluster)
  if not cluster then return nil, message, err end
  return { client = client, cluster = cluster, life = life }
end

function M.run(args, ui)
  local job, message, err = prepare(ui, args)
  if not job then return ui:fail(message, err) end
  if args.dry_run then return dry_run(ui, args, job.cluster, job.life) end
  return obtain(ui, args, job.client, job.cluster, job.life)
end

return M
