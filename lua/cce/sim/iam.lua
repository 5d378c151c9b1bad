--- The IAM service, as far as it is needed to look up a project.
local json = require("cce.sim.json")
local policy = require("cce.sim.policy")
local sessions = require("cce.sim.sessions")
local state = require("cce.sim.state")

local M = {}

local function list_projects(call)
  local query = ngx.decode_args(call.request.target:match("%?(.*)$") or "", 0)
  local config, items = state.config, {}
  for _, project in ipairs(policy.projects()) do
    if (query.name or project.name) == project.name then
      items[#items + 1] = {
        id = project.id, name = project.name, domain_id = config.domain_id,
        parent_id = config.domain_id, enabled = true, is_domain = false, description = "",
      }
    end
  end
  return { status = 200, body = { projects = json.array(items) } }
end

M.routes = {
  { method = "GET", path = "/v3/projects", operation = "list_projects",
    action = "iam:projects:listProjects", handler = list_projects },
}

for _, route in ipairs(sessions.routes) do
  M.routes[#M.routes + 1] = route
end

return M
