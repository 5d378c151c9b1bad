--- Which cluster versions can do what, as the user guide says.
local M = {}

-- minor version -> the first patch and release that can revoke; newer lines can from the start.
local REVOKE = {
  [19] = { 16, 50 }, [21] = { 11, 10 }, [23] = { 9, 10 }, [25] = { 4, 10 }, [27] = { 1, 10 },
}
local REVOKE_ALWAYS = 28
local ROTATE_SINCE = 19

local function parse(version)
  local minor, patch, release = version:match("^v1%.(%d+)%.(%d+)%-r(%d+)$")
  return tonumber(minor), tonumber(patch), tonumber(release)
end

function M.can_revoke(version)
  local minor, patch, release = parse(version)
  if not minor or minor >= REVOKE_ALWAYS then
    return minor ~= nil
  end
  local first = REVOKE[minor]
  return first ~= nil and (patch > first[1] or patch == first[1] and release >= first[2])
end

function M.can_rotate(version)
  local minor = parse(version)
  return minor ~= nil and minor >= ROTATE_SINCE
end

return M
