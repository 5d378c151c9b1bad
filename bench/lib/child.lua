-- Runs a program of bench/programs in a Lua of its own.
local account = require "bench.lib.account"
local core = require "cce.core"
local process = require "bench.lib.process"

local M = {}

local PATHS = 'io.write(package.path, "\\n", package.cpath)'

-- The search paths of tools/run-lua, found once: its own start would count.
local environments = {}

local function environment_of(version, dir)
  if not environments[version] then
    local root = os.getenv("CCE_TEST_ROOT")
    local text = process.run({ argv = { root .. "/tools/run-lua", version, "-e", PATHS },
      output = dir .. "/paths" })
    local path, cpath = text:match("^([^\n]*)\n([^\n]*)")
    -- The secret key is read from the environment itself, past Lua.
    environments[version] = { LUA_PATH = path, LUA_CPATH = cpath,
      HUAWEICLOUD_SDK_SK = account.options(0).credentials.sk }
  end
  return environments[version]
end

--- What `process.spawn` needs to run a script.
-- @tparam string version "5.4", …, "jit"
-- @tparam string dir for scratch files
-- @tparam table arguments of the interpreter
function M.spec(version, dir, arguments)
  local argv = { version == "jit" and "luajit" or "lua" .. version }
  for _, argument in ipairs(arguments) do argv[#argv + 1] = tostring(argument) end
  return { argv = argv, env = environment_of(version, dir), output = dir .. "/child" }
end

--- Run a program that prints JSON, and decode it.
-- @tparam[opt=120] number seconds it may take
function M.run(version, dir, arguments, seconds)
  local text = process.run(M.spec(version, dir, arguments), seconds or 120)
  local value = core.json.decode(text)
  if not value then error(arguments[1] .. " failed:\n" .. text, 0) end
  return value
end

return M
