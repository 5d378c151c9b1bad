--- A name for every cluster's kubeconfig, the same in every run.
--
-- The cluster's own name, where nothing else has it; else with its region or
-- project, or its id, behind it. What an earlier run has named keeps that name.
-- @module cce.workflow.naming
-- @local
local M = {}

-- It becomes the name of a file, too.
local function clean(text)
  local name = text:gsub("[^%w._-]", "-"):gsub("^[.-]+", ""):sub(1, 100)
  return name ~= "" and name or nil
end

-- The shortest first. The place is what tells one client's clusters from another's.
local function candidates(target)
  local base, id = clean(target.name or target.id) or "cluster", clean(target.id)
  -- Not known when the clusters cannot be listed.
  local project = (target.project_id or "project"):sub(1, 8)
  local config = target.client.config
  local region = config.region or config.endpoints.cce:match("^https://cce%.([%w-]+)%.")
  local place = region and clean(region) or project
  return { base, base .. "-" .. place, base .. "-" .. project, base .. "-" .. id:sub(1, 8),
    base .. "-" .. id }
end

local function choose(target, wishes, taken, holder_of)
  for i, name in ipairs(target.candidates) do
    local alone = wishes[name] == 1 or i == #target.candidates
    if alone and not taken[name] and holder_of(name) == nil then return name end
  end
  return target.candidates[#target.candidates]
end

--- Gives each target its `set`.
-- @tparam {table,...} targets of `cce.workflow.targets`
-- @tparam function holder_of the cluster id that a name belongs to already;
--   false: something that is not ours; nil: nothing
-- @tparam function earlier the name that a cluster id has already, or nil
-- @tparam ?function chosen of a target's cluster and client: the user's own choice
function M.assign(targets, holder_of, earlier, chosen)
  local taken = {}
  for _, target in ipairs(targets) do
    target.set = chosen and chosen(target.cluster or target, target.client)
    if target.set then
      target.set = clean(tostring(target.set))
      taken[target.set or ""] = true
    end
  end
  -- A name that was given once stays.
  for _, target in ipairs(targets) do
    target.candidates = candidates(target)
    local known = earlier(target.id)
    for _, name in ipairs(known and { known } or target.candidates) do
      if not target.set and not taken[name] and holder_of(name) == target.id then
        target.set, taken[name] = name, true
      end
    end
  end
  -- How many clusters that have no name yet would like one.
  local wishes = {}
  for _, target in ipairs(targets) do
    for _, name in ipairs(target.set and {} or target.candidates) do
      wishes[name] = (wishes[name] or 0) + 1
    end
  end
  for _, target in ipairs(targets) do
    target.set = target.set or choose(target, wishes, taken, holder_of)
    taken[target.set] = true
  end
end

return M
