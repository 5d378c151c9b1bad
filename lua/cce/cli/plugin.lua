--- Kubeconfigs whose certificate `cce credential` gives: what `cce obtain --exec`
-- writes instead of a key.
-- @module cce.cli.plugin
-- @local
local clouds = require "cce.api.cloud"
local core = require "cce.core"
local errors = require "cce.error"
local project = require "cce.api.project"
local values = require "cce.base.values"

local env = values.env

local M = {}

-- It is obtained for the addresses in it, and its key is thrown away: as short
-- as services allow that know `expire_at`; seconds.
local SHORTEST = 20 * 60

--- Add the options.
-- @tparam table parser of argparse
function M.describe(parser)
  parser:flag("--exec", "Write no key: kubectl gets its certificate from cce credential, which"
    .. " obtains it anew before its end. --days is the lifetime of each (default 1).")
  parser:option("--exec-api", "Version of kubectl's protocol: v1 (kubectl 1.22 or later) or"
    .. " v1beta1; by default what the kubectl here speaks."):argname("VERSION")
    :choices({ "v1", "v1beta1" })
end

-- Before this one kubectl knew no v1; from 1.11 on it knows v1beta1.
local FIRST_WITH_V1 = 22

--- The version of the protocol that the kubectl of this machine speaks; "v1" when
-- there is none, since it is the one that stays.
-- @treturn string "v1" or "v1beta1"
function M.api_of_kubectl()
  local pipe = io.popen "kubectl version --client -o json 2>/dev/null"
  local answer = core.json.decode(pipe:read "*a")
  pipe:close()
  local version = type(answer) == "table" and answer.clientVersion
  local minor = type(version) == "table" and tonumber(tostring(version.minor):match "^%d+")
  return minor and minor < FIRST_WITH_V1 and "v1beta1" or "v1"
end

--- The lifetime of the certificate that is thrown away.
-- @tparam table args
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.lifetime(args)
  if args["until"] then
    return errors.fail("INVALID_ARGUMENT", "--until gives one certificate an end, and --exec renews"
      .. " it again and again", { hint = "--days says how long each one lives" })
  end
  return { duration = 1, expire_at = math.floor(core.sys.time()) + SHORTEST }
end

--- The same where the service may take whole days only.
-- @tparam table life as of `lifetime`
-- @tparam cce.client client
-- @tparam cce.cluster cluster
-- @treturn table
function M.fit(life, client, cluster)
  if cluster.autopilot or clouds.lacks(client.config.cloud, "expire_at") then
    return { duration = life.duration }
  end
  return life
end

-- ---- what kubectl is to start ----------------------------------------------------

-- What the PATH finds, if that is this command or, as LuaRocks installs it, a script
-- that starts it.
local function in_path(program)
  for directory in (env "PATH" or ""):gmatch "[^:]+" do
    local path = directory .. "/cce"
    local found = core.sys.realpath(path)
    if found then
      local text = found == program and program or core.file.read(found, { max = 4096 }) or ""
      local is_this = directory:sub(1, 1) == "/" and text:find(program, 1, true)
      return is_this and path or nil
    end
  end
  return nil
end

local function add(list, option, value)
  if not value then return end
  list[#list + 1] = option
  list[#list + 1] = tostring(value)
end

local function absolute(path)
  return path and (core.sys.realpath(path) or path)
end

--- How kubectl is to start `cce credential`.
-- @tparam table args of `cce obtain`
-- @tparam cce.client client
-- @tparam string cluster_id
-- @treturn table for `kubeconfig:with_command`
function M.command(args, client, cluster_id)
  local list = {}
  add(list, "--days", args.days == -1 and "max" or args.days or 1)
  local profile = args.profile or env "CCE_PROFILE"
  add(list, "--profile", profile)
  -- What the environment says now need not be there when kubectl runs; keys are
  -- never written.
  local endpoints, region = args.endpoint and args.endpoint[1] and args.endpoint, args.region
  if not endpoints and not region and not profile then
    endpoints, region = { env "CCE_ENDPOINT" }, env "CCE_REGION"
  end
  add(list, "--cloud", args.cloud or not profile and env "CCE_CLOUD" or nil)
  for _, each in ipairs(endpoints or {}) do add(list, "--endpoint", each) end
  add(list, "--region", region)
  add(list, "--project", project.known(client))
  add(list, "--ca-file", absolute(args.ca_file or not profile and env "CCE_CA_FILE" or nil))
  add(list, "--token-file", absolute(args.token_file))
  -- Absolute, since kubectl may be started with another PATH. Its own link is kept: what
  -- that points to changes with the version.
  local program = core.sys.realpath(arg and arg[0] or "")
  program = program and (in_path(program) or program) or "cce"
  return { cluster_id = cluster_id, command = program, args = list,
    api_version = args.exec_api or M.api_of_kubectl() }
end

return M
