-- A simulated cloud for an example: started when it begins, ended with it.
--
--   local support = dofile((arg[0]:match "^(.*/)" or "./") .. "support.lua")
--   support.run("team", function(cloud)
--     cloud.dir             -- a scratch directory
--     cloud.client(keys)    -- a client; keys: one of cloud.keys, by default the first
--     cloud.control("delete", text)  -- what the cloud's own people do; text: JSON
--     cloud.cce("who", path)         -- the command `cce`
--   end)
--
-- In a script of one's own all of this is `cce.new { region = … }`.
local cce = require "cce"
local sys = require("cce.core").sys

local M = {}

local ROOT = arg[0]:match("^(.*)/examples/[^/]*$") or "."
local INTERPRETER = arg[-1]
local START_SECONDS = 30

--- The whole of a file; nil when it is not there.
function M.read(path)
  local file = io.open(path)
  if not file then return nil end
  local text = file:read("*a")
  file:close()
  return text
end

local function wait_for_env(process, dir)
  local deadline = sys.monotonic() + START_SECONDS
  while not M.read(dir .. "/sim/env") do
    if not process:alive() or sys.monotonic() > deadline then
      error("the simulator did not start: " .. (M.read(dir .. "/sim.err") or ""), 0)
    end
    sys.sleep(0.01)
  end
  local env = {}
  for name, value in M.read(dir .. "/sim/env"):gmatch("([%w_]+)='([^'\n]*)'\n") do
    env[name] = value
  end
  return env
end

local function start(dir, clusters)
  local process = assert(sys.spawn {
    argv = { INTERPRETER, ROOT .. "/bin/cce", "sim", "--dir", dir .. "/sim",
      "--clusters", tostring(clusters) },
    stdin = "/dev/null", stdout = dir .. "/sim.out", stderr = dir .. "/sim.err",
    die_with_parent = true,
  })
  return process
end

local function client_of(env, keys)
  return assert(cce.new {
    endpoints = {
      cce = env.CCE_ENDPOINT, cts = env.CCE_CTS_ENDPOINT,
      iam = env.HUAWEICLOUD_SDK_IAM_ENDPOINT, sts = env.HUAWEICLOUD_SDK_STS_ENDPOINT,
    },
    ca_file = env.CCE_CA_FILE,
    project_id = env.HUAWEICLOUD_SDK_PROJECT_ID,
    credentials = { ak = keys.ak, sk = keys.sk },
    proxy = false,
  })
end

local function run(...)
  io.stdout:flush()
  return assert(sys.spawn { argv = { ... } }):wait()
end

local function control(env, what, text)
  assert(run("curl", "-sS", "-f", "-o", "/dev/null", "-X", "POST", "-d", text,
    env.CCE_SIM_CONTROL .. "/-/" .. what) == 0, "the simulator did not do it: " .. what)
end

--- Tells a story on a simulated cloud of so many clusters.
function M.run(name, story, clusters)
  local root = os.getenv "TMPDIR" or "/tmp"
  local dir = assert(sys.mkdir_private(root .. "/cce-" .. name .. "-XXXXXX"))
  local process
  local ok, problem = pcall(function()
    process = start(dir, clusters or 4)
    local env = wait_for_env(process, dir)
    local keys = require("cce.sim.account").keys
    story {
      dir = dir, env = env, keys = keys,
      client = function(which) return client_of(env, which or keys[1]) end,
      control = function(what, text) control(env, what, text) end,
      cce = function(...) return run(INTERPRETER, ROOT .. "/bin/cce", ...) end,
    }
  end)
  if process then process:close() end
  sys.spawn({ argv = { "rm", "-rf", dir } }):wait()
  if not ok then
    io.stderr:write(name, ": ", tostring(problem), "\n")
    os.exit(1)
  end
end

return M
