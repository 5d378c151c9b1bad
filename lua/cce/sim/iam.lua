--- The IAM service.
local directory = require("cce.sim.directory")

local M = {}

M.denied = directory.denied

M.routes = {}
for _, route in ipairs(directory.routes) do
  M.routes[#M.routes + 1] = route
end

return M
