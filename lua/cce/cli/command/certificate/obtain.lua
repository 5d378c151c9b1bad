--- `cce obtain`: one kubeconfig with a new certificate.
-- @module cce.cli.command.certificate.obtain
-- @local
local chosen = require "cce.cli.input.chosen"
local lifetime = require "cce.cli.input.lifetime"
local place = require "cce.cli.output.place"
local plugin = require "cce.cli.plugin"
local render = require "cce.cli.output.render"
local show = require "cce.text.show"

local M = { name = "obtain", summary = "Obtain a kubeconfig with a new client certificate." }

function M.describe(parser)
  parser:argument("cluster", "Id or name of the cluster."):argname("CLUSTER")
  lifetime.describe(parser)
  place.describe(parser)
  plugin.describe(parser)
  parser:flag("--dry-run", "Obtain and write nothing; say what would be done.")
  parser:epilog("The private key is in what is written. Each call issues another certificate:"
    .. " cce ensure renews only what nears its end.")
end

-- ---- from beginning to end ---------------------------------------------------------

local function dry_run(ui, args, cluster, life)
  local text = ("dry run: would obtain a certificate for %s (%s), %s, %s"):format(
    cluster.name or cluster.id, cluster.id, lifetime.text(life), place.text(args))
  return ui:show({ dry_run = true, cluster_id = cluster.id, name = cluster.name,
    path = args.out or args.merge_into }, text, cluster.id)
end

local function obtain(ui, args, job)
  local cluster = job.cluster
  local kubeconfig, message, err = job.client:obtain_cert(cluster.id, job.life)
  if not kubeconfig then return ui:fail(message, err) end
  local facts = kubeconfig:certificate()
  if job.command then
    kubeconfig = assert(kubeconfig:with_command(job.command))
    facts = { user_id = facts.user_id }
  end
  if args.out == "-" then return place.print(ui, args, kubeconfig, cluster) end
  local saved
  saved, message, err = place.save(args, kubeconfig, cluster, job.command)
  if not saved then
    ui:warn("a certificate was issued, but it could not be saved:")
    return ui:fail(message, err)
  end
  local text = ("%s: user %s, %s\n%s"):format(cluster.name or cluster.id,
    facts.user_id or "without a name",
    facts.not_after and "until " .. render.moment(facts.not_after)
      or "kubectl obtains its certificates by cce credential", tostring(saved))
  return ui:show({ cluster_id = cluster.id, name = cluster.name, user_id = facts.user_id,
    expires_at = facts.not_after and show.time(facts.not_after), path = saved.path,
    context = saved.context, merged = saved.merged, backup = saved.backup }, text, saved.path)
end

local function prepare(ui, args)
  local ok, message, err = place.check(args)
  if not ok then return nil, message, err end
  local life
  life, message, err = (args.exec and plugin.lifetime or lifetime.of)(args)
  if not life then return nil, message, err end
  local client
  client, message, err = ui:client()
  if not client then return nil, message, err end
  local cluster
  cluster, message, err = chosen.one(client, args.cluster, "obtain_cert",
    not args.exec and life or nil)
  if not cluster then return nil, message, err end
  local command
  if args.exec then
    life = plugin.fit(life, client, cluster)
    command = plugin.command(args, client, cluster.id)
  end
  ok, message, err = lifetime.check(client, cluster, life)
  if not ok then return nil, message, err end
  ok, message, err = place.prove(ui, args, client, cluster, command)
  if not ok then return nil, message, err end
  return { client = client, cluster = cluster, life = life, command = command }
end

--- After Ctrl-C: what is known.
function M.interrupted(_, ui)
  ui:warn("nothing was kept; if the request had left, a certificate may have been issued whose key"
    .. " nobody has")
end

function M.run(args, ui)
  local job, message, err = prepare(ui, args)
  if not job then return ui:fail(message, err) end
  if args.dry_run then return dry_run(ui, args, job.cluster, job.life) end
  return obtain(ui, args, job)
end

return M
