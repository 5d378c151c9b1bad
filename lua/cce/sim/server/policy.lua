--- What the account allows, whoever asks: the projects of a region, actions that are
-- denied, and how many requests a window of time takes.
local account = require("cce.sim.account")
local errors = require("cce.sim.server.errors")
local state = require("cce.sim.store.state")

local M = {}

-- action -> true; granted: when each request of the present window was let through.
local denied, limit, granted, projects

--- As after the start: all is allowed, and the region has its one project.
function M.reset()
  denied, limit, granted, projects = {}, nil, {}, nil
end

M.reset()

--- The projects that exist, each { id=, name= }: the region's, and the one with IAM's traces.
function M.projects()
  local config = state.config
  return projects or {
    { id = config.project_id, name = config.region },
    { id = account.central.project_id, name = account.central.region },
  }
end

local function is_list_of(list, check)
  if type(list) ~= "table" then
    return false
  end
  for _, item in ipairs(list) do
    if not check(item) then
      return false
    end
  end
  return true
end

local function is_text(value)
  return type(value) == "string"
end

local function is_project(value)
  return type(value) == "table" and is_text(value.id) and is_text(value.name)
end

local setters = {}

function setters.deny(list)
  if not is_list_of(list, is_text) then
    return "deny must be a list of actions, such as cce:cluster:list"
  end
  denied = {}
  for _, action in ipairs(list) do
    denied[action] = true
  end
end

function setters.projects(list)
  if not is_list_of(list, is_project) then
    return "projects must be a list of {id=, name=}"
  end
  projects = list
end

function setters.throttle(rule)
  if type(rule) ~= "table" or type(rule.limit) ~= "number" or type(rule.seconds) ~= "number" then
    return "throttle must be {limit=, seconds=}"
  end
  limit, granted = rule, {}
end

--- Changes what is given: deny, projects, throttle. Returns nil, or what is wrong.
function M.set(settings)
  for name, value in pairs(settings) do
    if not setters[name] then
      return "no such setting: " .. tostring(name)
    end
    local problem = setters[name](value)
    if problem then
      return problem
    end
  end
end

local function is_throttled()
  if not limit then
    return false
  end
  local now = state.now()
  while granted[1] and granted[1] <= now - limit.seconds do
    table.remove(granted, 1)
  end
  if #granted >= limit.limit then
    return true
  end
  granted[#granted + 1] = now
  return false
end

--- A response that refuses the request of a known principal, or nil. service: the module.
function M.refuse(service, action)
  if is_throttled() then
    -- "5 minute" where that is exact, as the gateway says it.
    local seconds = limit.seconds
    return errors.throttled(limit.limit, seconds % 60 == 0 and ("%d minute"):format(seconds / 60)
      or ("%d second"):format(seconds))
  elseif denied[action] then
    return service.denied(action)
  end
end

return M
