--- The library and the command as a reader has them: built in a clean copy of the tree, installed
-- into a fresh prefix, in an environment where nothing points at this tree.
--
--   local place = require("spec.support.installed").place()
--   place.env                  -- what `make install` says that a shell needs, PATH, HOME
--   place.dir, place.clone     -- its directory (HOME), and the copy of the tree in it
--   place:remove()
local tempdir = dofile "spec/support/tempdir.lua"

local M = {}

local Place = {}
Place.__index = Place

function Place:remove()
  tempdir.remove(self.dir)
end

local quote = tempdir.quote

-- The variables of a shell in which these lines were typed.
local function environment(dir, lines)
  local env, shown = {}, tempdir.check(("env -i PATH=%s HOME=%s sh -c %s"):format(
    quote(os.getenv "PATH"), quote(dir), quote(lines .. "\nenv")))
  for line in shown:gmatch "[^\n]+" do
    local name, value = line:match "^([%w_]+)=(.*)$"
    if name and name ~= "PWD" and name ~= "_" and name ~= "SHLVL" then env[name] = value end
  end
  return env
end

--- Builds and installs for the Lua of the run, in the time of a compiler that does not optimize.
function M.place()
  local self = setmetatable({ dir = tempdir.new() }, Place)
  self.clone = self.dir .. "/lua-cce"
  tempdir.check(("bash -c %s"):format(quote(". tools/lib.sh; copy_tree " .. self.clone)))
  local said = tempdir.check(
    ("cd %s && env -i PATH=%s HOME=%s make -s CFLAGS=-O0 LUA_VERSION=%s PREFIX=%s/prefix install")
      :format(self.clone, quote(os.getenv "PATH"), self.dir, os.getenv "CCE_TEST_VERSION",
        self.dir))
  local exports = {}
  for line in said:gmatch "[^\n]+" do
    exports[#exports + 1] = line:match "^to [%a ]+: +(export .*)$"
  end
  assert(#exports == 2, said)
  self.env = environment(self.dir, table.concat(exports, "\n"))
  return self
end

return M
