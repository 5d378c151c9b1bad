--- Rights taken away on request: a principal that may not perform an action.
local M = {}

-- id of a principal -> set of actions
local denied = {}

function M.reset()
  denied = {}
end

--- From now on a principal lacks exactly these actions.
function M.deny(id, actions)
  denied[id] = {}
  for _, action in ipairs(actions) do
    denied[id][action] = true
  end
end

--- Whether a principal ({ id= }) lacks an action.
function M.lacks(principal, action)
  local actions = denied[principal.id]
  return actions ~= nil and actions[action] == true
end

return M
