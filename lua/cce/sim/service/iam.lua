--- The IAM service: who and what there is, and its tokens and temporary keys.
local directory = require("cce.sim.store.directory")
local sessions = require("cce.sim.store.sessions")

local M = {}

M.denied = directory.denied

M.routes = {}
for _, module in ipairs({ directory, sessions }) do
  for _, route in ipairs(module.routes) do
    M.routes[#M.routes + 1] = route
  end
end

return M
