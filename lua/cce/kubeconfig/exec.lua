--- Kubeconfigs that hold no key: users whose certificate a command gives.
--
-- Internal to @{cce.kubeconfig}.
-- @module cce.kubeconfig.exec
local json = require "cce.base.json"
local names = require "cce.kubeconfig.names"
local read = require "cce.kubeconfig.read"

local M = {}

local COMMAND, FLAG = "credential", "--cluster"

local INSTALL_HINT = "The command cce of lua-cce gives kubectl its certificate: install it, or put"
  .. " it in the PATH"

--- The data with every user's credentials replaced by the command.
-- @tparam table data
-- @tparam table opts `{cluster_id=, command=, api_version=, args=<more of them>}`
-- @treturn table a copy
function M.apply(data, opts)
  local result = names.copy(data)
  for _, user in ipairs(read.entries(result, "users")) do
    -- The version stands among the arguments, too: some clients do not tell it.
    local args = json.array { COMMAND, FLAG, opts.cluster_id, "--api-version", opts.api_version }
    for _, each in ipairs(opts.args or {}) do args[#args + 1] = each end
    user.entry.user = { extensions = user.body.extensions, exec = {
      apiVersion = "client.authentication.k8s.io/" .. opts.api_version,
      command = opts.command, args = args, env = json.null,
      interactiveMode = "Never", provideClusterInfo = false, installHint = INSTALL_HINT,
    } }
  end
  return result
end

--- The cluster whose certificate a user gets from `cce credential`.
-- @tparam table body of the user
-- @treturn ?string nil when it is another command, or none
function M.cluster_of(body)
  local exec = type(body.exec) == "table" and body.exec or {}
  local args = type(exec.args) == "table" and exec.args or {}
  local is_ours = false
  for i, each in ipairs(args) do
    is_ours = is_ours or each == COMMAND
    if is_ours and each == FLAG and type(args[i + 1]) == "string" then return args[i + 1] end
  end
  return nil
end

return M
