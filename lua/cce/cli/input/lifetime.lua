--- How long a certificate is to live: `--days` and `--until`.
-- @module cce.cli.input.lifetime
-- @local
local autopilot = require "cce.api.autopilot"
local clouds = require "cce.api.cloud"
local convert = require "cce.cli.input.convert"
local core = require "cce.core"
local errors = require "cce.error"
local stands_for = require("cce.cli.output.words").stands_for

local M = {}

--- Add the options.
-- @tparam table parser of argparse
function M.describe(parser)
  parser:mutex(
    stands_for(parser:option("--days", "How long the certificate lives: 1 to 1827 days, or max.")
      :argname("DAYS"):convert(convert.days), "duration", { ["-1"] = "max" }),
    stands_for(parser:option("--until", "Its end: such as 2026-01-31T18:00Z, 'fri 18:00' or +2h.")
      :argname("TIME"):convert(convert.time), "expire_at"))
end

--- What was asked for, as `client:obtain_cert` and the workflows take it.
-- @tparam table args
-- @treturn[1] table `{duration=, expire_at=}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.of(args)
  if args.days or args["until"] then
    return { duration = args.days, expire_at = args["until"] }
  end
  return errors.fail("INVALID_ARGUMENT", "it is not said how long the certificate is to live",
    { hint = "Give --days 30, or --until 2026-01-31T18:00Z" })
end

-- Of no project: nothing is sent.
local NOWHERE = ("0"):rep(32)

--- Whether it would be sent for a cluster, by the rules of the call itself.
-- @tparam cce.client client
-- @tparam cce.cluster cluster
-- @tparam table lifetime
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.check(client, cluster, lifetime)
  local asked = { duration = lifetime.duration, expire_at = lifetime.expire_at }
  local ok, message, err = clouds.allows(client.config.cloud, "obtain_cert", asked)
  if not ok then return nil, message, err end
  return errors.from_core(core.operation(
    cluster.autopilot and autopilot.calls.obtain_cert or "obtain_cert",
    { project_id = NOWHERE, cluster_id = cluster.id }, asked, client:now()))
end

--- The same for people.
-- @tparam table lifetime
-- @treturn string
function M.text(lifetime)
  if lifetime.expire_at then
    return "until " .. require("cce.text.show").time(lifetime.expire_at)
  end
  if lifetime.duration == -1 then return "for five years" end
  return "for " .. require("cce.text.show").count(lifetime.duration, "day")
end

return M
