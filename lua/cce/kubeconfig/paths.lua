--- Which kubeconfig files are meant when none is named.
-- @module cce.kubeconfig.paths
-- @local
local core = require "cce.core"

local M = {}

--- Those of KUBECONFIG that there are, each once, else ~/.kube/config: kubectl passes
-- over members that are empty or not there, too.
-- @treturn {string,...} empty when none is there
-- @treturn string what was looked for, for people
function M.default()
  local variable = os.getenv "KUBECONFIG"
  local home = os.getenv "HOME"
  local list = variable ~= "" and variable or home and home .. "/.kube/config" or ""
  local found, seen = {}, {}
  for path in list:gmatch "[^:]+" do
    -- What cannot be looked at is for the reader to tell.
    if not seen[path] and core.file.stat(path) ~= false then found[#found + 1] = path end
    seen[path] = true
  end
  return found, variable ~= "" and variable and "KUBECONFIG, " .. variable
    or home and list or "~/.kube/config, for HOME is not set"
end

return M
