--- A cache directory of one's own for specs, in this process: XDG_CACHE_HOME is what `use` says
-- until `restore`.
local M = {}

local getenv = os.getenv

--- Lets XDG_CACHE_HOME be this directory; nil: as if neither it nor HOME were set.
function M.use(directory)
  rawset(os, "getenv", function(name)
    if name == "XDG_CACHE_HOME" then return directory end
    if name == "HOME" and not directory then return nil end
    return getenv(name)
  end)
end

function M.restore()
  rawset(os, "getenv", getenv)
end

return M
