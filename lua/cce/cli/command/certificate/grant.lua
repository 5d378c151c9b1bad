--- `cce grant`: access for a while.
-- @module cce.cli.command.certificate.grant
-- @local
local chosen = require "cce.cli.input.chosen"
local clouds = require "cce.api.cloud"
local convert = require "cce.cli.input.convert"
local errors = require "cce.error"
local identity = require "cce.api.identity"
local place = require "cce.cli.output.place"
local principals = require "cce.cli.input.principal"
local profile = require "cce.cli.input.profile"
local render = require "cce.cli.output.render"
local show = require "cce.text.show"
local schedules = require "cce.cli.command.upkeep.schedule"
local stands_for = require("cce.cli.output.words").stands_for

local M = { name = "grant", summary = "Obtain access for a while, with its end promised first." }

-- What the workflow takes; a dry run does not ask it.
local LEAST, LONGEST = 900, 1825 * 86400

function M.describe(parser)
  parser:argument("cluster", "Id or name of the cluster."):argname("CLUSTER")
  stands_for(parser:option("--for", "How long: such as 30m or 8h, from 15m on."):argname("TIME")
    :convert(convert.duration):count(1), "seconds")
  place.describe(parser)
  parser:mutex(
    parser:option("--as-agency", "The agency whose identity is handed out: it is assumed with your"
      .. " keys. Without DOMAIN it is of your own account."):argname("NAME[@DOMAIN]"),
    stands_for(parser:option("--grantee-profile", "The profile that holds the grantee's own"
      .. " credentials."):argname("PROFILE"), "grantee"),
    parser:flag("--allow-self", "Hand out your own identity, which ends what you hold, too."))
  parser:mutex(
    parser:option("--user", "The id of the grantee, where its keys may not look it up.")
      :argname("ID"),
    parser:option("--agency", "The same for an agency."):argname("ID"))
  parser:flag("--shared", "Share a live grant of the same principal: both end at the later time.")
  parser:option("--reason", "For people."):argname("TEXT")
  parser:flag("--hold", "Stay until the end, or Ctrl-C, and end it then.")
  schedules.describe_store(parser)
  parser:flag("--dry-run", "Promise and obtain nothing; say what would be done.")
  parser:epilog("A certificate is issued to the one who asks: an agency that is assumed, the"
    .. " grantee with credentials of its own, or you. The revocation is in the schedule before the"
    .. " certificate is obtained; cce schedule run, or --hold, carries it out; cce schedule hasten"
    .. " makes it due at once. It cuts all that the principal holds in the cluster.")
end

-- ---- a dry run -----------------------------------------------------------------------

local function dry_run(ui, args, client, cluster)
  local caller, message, err = identity.of(client)
  local given = args.user or args.agency
  if not caller and not given then return ui:fail(message, err) end
  local who = caller and ("%s %s"):format(caller.kind, caller.id) or given
  local ends = os.time() + args["for"]
  return ui:show({ dry_run = true, cluster_id = cluster.id, name = cluster.name,
    expires_at = show.time(ends) }, ("dry run: would obtain a certificate of %s for %s, %s, and"
    .. " revoke it at %s"):format(who, cluster.name or cluster.id, place.text(args),
    render.moment(ends)), cluster.id)
end

-- ---- ending --------------------------------------------------------------------------

local function finish(ui, grant)
  local done, revoked, err = grant:finish()
  if not done then return ui:fail(revoked, err) end
  ui:say(revoked and "the grant is over: its certificates are revoked"
    or "the grant is left: others share it")
end

-- ---- from beginning to end -----------------------------------------------------------

-- What cannot be saved is not ended at once: that would cut what the principal held
-- before, too. Its end stands in the schedule.
local function keep(ui, args, grant, cluster)
  if args.out == "-" then return place.print(ui, args, grant.kubeconfig, cluster) end
  local saved, message, err = place.save(args, grant.kubeconfig, cluster)
  if not saved then
    ui:warn(("the grant stands, and ends as entry %s of the schedule; its kubeconfig could not be"
      .. " saved:"):format(grant.id))
    return ui:fail(message, err)
  end
  local kind, id = grant.principal.kind, grant.principal.id
  return ui:show({ id = grant.id, cluster_id = cluster.id, name = cluster.name, path = saved.path,
    context = saved.context, expires_at = show.time(grant.expires_at), principal_kind = kind,
    principal_id = id }, ("%s: %s %s, until %s\n%s"):format(cluster.name or cluster.id, kind, id,
    render.moment(grant.expires_at), tostring(saved)), grant.id)
end

local function client_of_agency(ui, args)
  local base, message, err = ui:client()
  if not base then return nil, message, err end
  local can_end
  can_end, message, err = clouds.allows(base.config.cloud, "revoke_cert")
  if not can_end then return nil, message, err end
  local name, domain = args.as_agency:match "^([^@]+)@(.+)$"
  local opts = { agency_name = name or args.as_agency, domain_name = domain }
  if not domain then
    opts.domain_id = identity.account(base)
    if not opts.domain_id then
      return errors.fail("INVALID_ARGUMENT", "which account these credentials are of cannot be"
        .. " looked up", { hint = "Give --as-agency NAME@DOMAIN" })
    end
  end
  opts.source = profile.client_options(args).credentials
  local provider
  provider, message, err = require("cce.credentials").agency(opts)
  if not provider then return nil, message, err end
  args.is_grantee = true
  return ui:client { credentials = provider }
end

-- A profile without credentials would mean those of the person who types.
local function client_of_profile(ui, args)
  local theirs = setmetatable({ profile = args.grantee_profile, token_file = false },
    { __index = args })
  local opts, message, err = profile.client_options(theirs)
  if not opts then return nil, message, err end
  if not opts.credentials and not opts.token then
    return errors.fail("INVALID_ARGUMENT", ("profile '%s' names no credentials: they would be your"
      .. " own"):format(args.grantee_profile), { hint = "Put credentials = … below it" })
  end
  local client
  client, message, err = ui:client(nil, theirs)
  if not client then return nil, message, err end
  local mine = ui:client()
  local caller = mine and identity.of(mine)
  args.is_grantee = not (caller and principals.is_self(client, caller.id))
  return client
end

-- What is obtained with one's own keys is one's own.
local function confirmed(ui, args, client, cluster)
  local known = identity.of(client)
  if args.is_grantee or known and known.kind == "agency" then return true end
  return principals.confirm_self(ui, args, ("%s in %s is handed out, and everything that you hold"
    .. " there is cut at the end; --as-agency or --grantee-profile hands out somebody else's")
    :format(known and ("the certificate of %s %s"):format(known.kind, known.id)
      or "a certificate of your own", cluster.name or cluster.id))
end

local function prepare(ui, args)
  local ok, message, err = place.check(args)
  if not ok then return nil, message, err end
  local client
  if args.as_agency then
    client, message, err = client_of_agency(ui, args)
  elseif args.grantee_profile then
    client, message, err = client_of_profile(ui, args)
  else
    client, message, err = ui:client()
  end
  if not client then return nil, message, err end
  local cluster
  cluster, message, err = chosen.one(client, args.cluster, "revoke_cert")
  if not cluster then return nil, message, err end
  ok, message, err = place.prove(ui, args, client, cluster)
  if not ok then return nil, message, err end
  return client, cluster
end

function M.run(args, ui)
  if args["for"] > LONGEST then return ui:usage "--for is five years at most" end
  if args["for"] < LEAST then return ui:usage "--for is 15m at least: the API takes no less" end
  local client, cluster, err = prepare(ui, args)
  if not client then return ui:fail(cluster, err) end
  if args.dry_run then return dry_run(ui, args, client, cluster) end
  local sure, code = confirmed(ui, args, client, cluster)
  if not sure then return code end
  local schedule, message
  schedule, message, err = schedules.open(args)
  if not schedule then return ui:fail(message, err) end
  args.schedule = schedule
  local grant
  grant, message, err = require("cce").workflow.grant(client, schedule, {
    cluster_id = cluster.id, seconds = args["for"], user_id = args.user, agency_id = args.agency,
    shared = args.shared, reason = args.reason, names = { [cluster.id] = cluster.name },
    grantee = args.is_grantee, allow_self = args.allow_self })
  if not grant then return ui:fail(message, err) end
  code = keep(ui, args, grant, cluster)
  if code ~= 0 then return code end
  if args.hold then
    args.held = grant -- what Ctrl-C ends
    ui:say("holding it; Ctrl-C ends it now")
    require("cce").sleep(math.max(0, grant.expires_at - os.time()))
    args.held = nil
    return finish(ui, grant) or code
  end
  ui:say(("its end is entry %s of the schedule: cce schedule run carries it out; to end it earlier:"
    .. " cce schedule hasten %s"):format(grant.id, grant.id))
  return code
end

--- After Ctrl-C: what is held ends now.
function M.interrupted(args, ui)
  if args.held then
    finish(ui, args.held)
  elseif args.schedule then
    ui:warn("what was promised is in the schedule: cce schedule list --status pending")
  end
end

return M
