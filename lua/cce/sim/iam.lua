--- The IAM service, as far as it is needed to look up a project.
local json = require("cce.sim.json")
local sessions = require("cce.sim.sessions")
local state = require("cce.sim.state")

local M = {}

local function list_projects(call)
  local query = ngx.decode_args(call.request.target:match("%?(.*)$") or "", 0)
  local config, items = state.config, {}
  if (query.name or config.region) == config.region then
    items[1] = {
      id = config.project_id, name = config.region, domain_id = config.domain_id,
      parent_id = config.domain_id, enabled = true, is_domain = false, description = "",
    }
  end
  return { status = 200, body = { projects = json.array(items) } }
end

M.routes = {
  { method = "GET", path = "/v3/projects", operation = "list_projects", handler = list_projects },
}

for _, route in ipairs(sessions.routes) do
  M.routes[#M.routes + 1] = route
end

return M
