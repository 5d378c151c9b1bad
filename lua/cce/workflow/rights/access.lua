--- As whom a cluster's own API is asked about rights: by the kubeconfig of an administrator,
-- else by a certificate of the caller that lives for 15 minutes.
-- @module cce.workflow.rights.access
-- @local
local kubeconfigs = require "cce.kubeconfig"
local probe = require "cce.kubeconfig.probe"

local M = {}

--- The rule of the option `admin`.
M.option = { type = { "string", "table", "callable" }, non_empty = true }

-- The least that the API issues, and a minute on the way to it; used for so long. Seconds.
local LIFETIME, USED_FOR = 960, 600

local Access = {}
Access.__index = Access

--- The kubeconfig to ask a cluster with.
-- @tparam table target `id`, `name`, `client`, `cluster`
-- @tparam[opt=false] boolean given_only obtain none: false, when none was given
-- @treturn[1] table `{client=, kubeconfig=, cluster_id=, cluster=<for people>, project_id=,
--   is_own=<whether it was obtained for this>}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] ?table err
-- @function access:of
function Access:of(target, given_only)
  local client = target.client
  local kubeconfig, message, err = self.find(target.cluster)
  if message then return nil, message, err end
  local is_own = not kubeconfig
  if is_own and given_only then return false end
  if is_own then
    local now, kept = client:now(), self.own[target.id]
    if not kept or kept.ends < now then
      -- Both ends are given: a service that does not know expire_at takes the other.
      kubeconfig, message, err = client:obtain_cert(target.id, { duration = 1,
        expire_at = math.ceil(now + LIFETIME) })
      if not kubeconfig then return nil, message, err end
      kept = { kubeconfig = kubeconfig, ends = now + USED_FOR }
      self.own[target.id] = kept
    end
    kubeconfig = kept.kubeconfig
  end
  return { client = client, kubeconfig = kubeconfig, is_own = is_own, cluster_id = target.id,
    cluster = target.name or target.id, project_id = target.project_id }
end

--- How to ask.
-- @tparam ?string|table|function admin one kubeconfig, or as the option `verify`
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.new(admin)
  if type(admin) == "string" or kubeconfigs.is(admin) then admin = { admin } end
  local find, message, err = probe.finder(admin or {})
  if not find then return nil, message, err end
  return setmetatable({ find = find, own = {} }, Access)
end

return M
