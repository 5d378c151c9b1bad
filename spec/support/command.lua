--- `cce` and kubectl as commands, in an environment of their own, for specs:
--
--   local world = command.new(sim)
--   local result = world:cce { "who", path }         -- { code=, out=, err= }
--   local result = world:kubectl(path, "get nodes")  -- the kubeconfig's command `cce` is found
--   world.dir, world.cache, world.env
--   world:remove()
local core = require "cce.core"
local json = require "cce.base.json"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

local M = {}

local World = {}
World.__index = World

-- Some specs start twenty at once, and valgrind does the work of each at a tenth of its speed.
local LIMIT_SECONDS = os.getenv "FLAVOUR" == "valgrind" and 900 or 120

-- The command as installed: a name in the PATH that runs this Lua.
local function install(dir)
  tempdir.shell("mkdir -p " .. dir .. "/bin")
  local root = assert(core.sys.realpath ".")
  tempdir.write(dir .. "/bin/cce", ('#!/bin/sh\nexec %s %s "$@"\n'):format(
    simulator.interpreter(), tempdir.quote(root .. "/bin/cce")))
  tempdir.shell("chmod +x " .. dir .. "/bin/cce")
end

-- Relative paths of ours must hold wherever kubectl starts the command.
local function absolute(paths)
  local root = assert(core.sys.realpath ".")
  return (paths:gsub("(;?)%./", "%1" .. root:gsub("%%", "%%%%") .. "/"))
end

--- Makes a world; nothing but `sim.env` and what it needs to run is in its environment.
function M.new(sim)
  local dir = tempdir.new()
  install(dir)
  local self = setmetatable({ sim = sim, dir = dir, cache = dir .. "/cache", count = 0 }, World)
  self.env = {
    PATH = dir .. "/bin:" .. os.getenv "PATH", HOME = dir, XDG_CACHE_HOME = self.cache,
    LUA_PATH = absolute(package.path), LUA_CPATH = absolute(package.cpath),
  }
  for name, value in pairs(sim.env) do self.env[name] = value end
  for _, name in ipairs { "LD_PRELOAD", "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS" } do
    self.env[name] = os.getenv(name)
  end
  return self
end

function World:remove()
  tempdir.remove(self.dir)
end

--- Starts a program; call the function that it returns for `{ code=, out=, err= }`. The second
-- value is its process.
-- @tparam {string,...} argv
-- @tparam[opt] table opts `env`: variables that differ (false: not there); `input`: text
function World:start(argv, opts)
  opts = opts or {}
  self.count = self.count + 1
  local base = ("%s/run-%d"):format(self.dir, self.count)
  local list, env = {}, {}
  for name, value in pairs(self.env) do env[name] = value end
  for name, value in pairs(opts.env or {}) do env[name] = value end
  for name, value in pairs(env) do
    if value then list[#list + 1] = name .. "=" .. value end
  end
  tempdir.write(base .. ".in", opts.input or "")
  local process = assert(core.sys.spawn { argv = argv, env = list, stdin = base .. ".in",
    stdout = base .. ".out", stderr = base .. ".err", die_with_parent = true })
  return function()
    local code = process:wait(LIMIT_SECONDS)
    process:close()
    return { code = code, out = tempdir.read(base .. ".out"), err = tempdir.read(base .. ".err") }
  end, process
end

function World:start_cce(words, opts)
  local argv = { self.dir .. "/bin/cce" }
  for _, word in ipairs(words) do argv[#argv + 1] = word end
  return self:start(argv, opts)
end

function World:cce(words, opts)
  return self:start_cce(words, opts)()
end

--- The same, with Ctrl-C once the simulator holds a call of it, which gets no answer.
function World:interrupt_cce(words, opts)
  local finish, process = self:start_cce(words, opts)
  self.sim:held(1)
  process:signal "SIGINT"
  local result = finish()
  self.sim:release { drop = true }
  return result
end

function World:start_kubectl(kubeconfig, words, opts)
  local argv = { "/usr/bin/env", "kubectl", "--kubeconfig", kubeconfig }
  for word in words:gmatch "%S+" do argv[#argv + 1] = word end
  return self:start(argv, opts)
end

function World:kubectl(kubeconfig, words, opts)
  return self:start_kubectl(kubeconfig, words, opts)()
end

--- What kubectl says to a command of a kubeconfig.
function M.exec_info(version)
  return json.encode { kind = "ExecCredential",
    apiVersion = "client.authentication.k8s.io/" .. (version or "v1"),
    spec = { interactive = false } }
end

return M
