--- The simulator: a CCE of one's own on loopback, to test with and to rehearse against.
--
-- One nginx process with Lua plays the cloud: it checks signatures by its own code, issues real
-- client certificates, revokes, rotates with jobs that take time, and serves a small Kubernetes
-- API for each cluster. `cce sim` runs it from the command line.
-- @module cce.sim
local M = {}

local LUA_DIR = debug.getinfo(1, "S").source:match("^@(.*)cce/sim/init%.lua$") or "./lua/"
local START_SECONDS = 30
local PORT_ATTEMPTS = 5

M.defaults = { clusters = 5, job_seconds = 2 }

-- Loaded when first needed, so that a missing library is an error that can be explained.
local addresses, account, config, core, json, nginx, pki

local function load_modules()
  local ok, problem = pcall(require, "openssl")
  if not ok then
    return nil, "the simulator needs luaossl; on Debian and Ubuntu install the package"
      .. " lua-luaossl (" .. tostring(problem):match("^[^\n]*") .. ")", "MISSING_DEPENDENCY"
  end
  core, addresses = require("cce.core"), require("cce.sim.addresses")
  account, config = require("cce.sim.account"), require("cce.sim.config")
  json, nginx, pki = core.json, require("cce.sim.nginx"), require("cce.sim.pki")
  return true
end

-- ------------------------------------------------------------------------------------- files

local function write(path, text)
  os.remove(path)
  local file, problem = io.open(path, "w")
  if not file then
    error({ message = problem, code = "FILE_ERROR" }, 0)
  end
  assert(file:write(text))
  assert(file:close())
end

local function read(path)
  local file = io.open(path)
  local text = file and file:read("*a") or ""
  if file then
    file:close()
  end
  return text
end

local function write_pair(dir, name, pair)
  write(dir .. "/tls/" .. name .. ".pem", pair.pem)
  write(dir .. "/tls/" .. name .. ".key", pair.key_pem)
end

local function alt_names(list)
  local parts = { "DNS:localhost" }
  for _, address in pairs(list) do
    parts[#parts + 1] = "IP:" .. address
  end
  return table.concat(parts, ",")
end

-- Each of the bad ones is bad in one way only.
local function write_bad_tls(dir, authority, now)
  local function spec(name, changes)
    local result = {
      common_name = name, alt_names = "IP:" .. addresses.bad_tls[name],
      not_before = now - 86400, not_after = now + 86400,
    }
    for key, value in pairs(changes) do
      result[key] = value
    end
    return result
  end
  write_pair(dir, "expired",
    pki.server(authority, spec("expired", { not_before = now - 2 * 86400, not_after = now - 60 })))
  write_pair(dir, "wrong_name",
    pki.server(authority, spec("wrong_name", { alt_names = "DNS:elsewhere.example" })))
  write_pair(dir, "unknown_ca",
    pki.server(pki.authority("an authority nobody trusts", now), spec("unknown_ca", {})))
  write_pair(dir, "self_signed", pki.self_signed_server(spec("self_signed", {})))
end

local function write_tls(dir)
  local now = os.time()
  local authority = pki.authority("cce simulator authority", now)
  write(dir .. "/ca.pem", authority.pem)
  write_pair(dir, "services", pki.server(authority, {
    common_name = "cce simulator", alt_names = alt_names(addresses.services),
    not_before = now - 86400, not_after = now + 365 * 86400,
  }))
  write_bad_tls(dir, authority, now)
end

-- The environment of a client with this key. It is there at once and whole, or not at all.
local function write_env_of(key, dir, port, name)
  local function url(scheme, address)
    return ("%s://%s:%d"):format(scheme, address, port)
  end
  local list = {
    { "CCE_ENDPOINT", url("https", addresses.services.cce) },
    { "CCE_CA_FILE", dir .. "/ca.pem" },
    { "CCE_CTS_ENDPOINT", url("https", addresses.services.cts) },
    { "HUAWEICLOUD_SDK_IAM_ENDPOINT", url("https", addresses.services.iam) },
    { "HUAWEICLOUD_SDK_STS_ENDPOINT", url("https", addresses.services.sts) },
    { "HUAWEICLOUD_SDK_AK", key.ak },
    { "HUAWEICLOUD_SDK_SK", key.sk },
    { "HUAWEICLOUD_SDK_PROJECT_ID", account.project_id },
    { "CCE_SIM_CONTROL", url("http", addresses.control) },
  }
  local lines = {}
  for i, item in ipairs(list) do
    lines[i] = ("%s='%s'\n"):format(item[1], (item[2]:gsub("'", "'\\''")))
  end
  write(dir .. "/env.new", table.concat(lines))
  assert(os.rename(dir .. "/env.new", dir .. "/" .. name))
end

-- Values or a raised { message=, code= }.
local function check(value, message, code)
  if value == nil then
    error({ message = message, code = code }, 0)
  end
  return value
end

local OWN_NAMES = { "nginx.conf", "config.json", "ca.pem", "env", "env.member", "env.new", "ready",
  "nginx.log", "tls", "tmp" }

-- What an earlier simulator left is replaced; what is a user's stays as it is.
local function check_dir(dir)
  if tonumber(core.file.stat(dir).mode, 8) % 4 >= 2 then
    error({ message = ("everybody may put files into '%s': give a directory of your own"):format(
      dir), code = "CONFLICT" }, 0)
  end
  if read(dir .. "/config.json"):find('"job_seconds"', 1, true) then return end
  for _, name in ipairs(OWN_NAMES) do
    if core.file.stat(dir .. "/" .. name) then
      error({ message = ("'%s/%s' is there, and is no simulator's: give a new directory"):format(
        dir, name), code = "CONFLICT" }, 0)
    end
  end
end

-- Makes the directory and returns its absolute path: clients read it from elsewhere.
local function prepare_dir(dir)
  core.sys.umask(63) -- 0077: nothing here is for others
  check(core.sys.mkdir(dir))
  dir = check(core.sys.realpath(dir))
  local pid = read(dir .. "/nginx.pid"):match("^%d+")
  -- A process of that id may be another one by now.
  if pid and read("/proc/" .. pid .. "/cmdline"):find("nginx.conf", 1, true) then
    error({ message = ("a simulator runs in %s already (process %s)"):format(dir, pid),
      code = "CONFLICT" }, 0)
  end
  check_dir(dir)
  check(core.sys.mkdir(dir .. "/tls"))
  check(core.sys.mkdir(dir .. "/tmp"))
  for _, name in ipairs({ "env", "env.member", "env.new", "ready", "nginx.log" }) do
    os.remove(dir .. "/" .. name)
  end
  return dir
end

-- ------------------------------------------------------------------------------------ nginx

local function log_tail(dir)
  local lines = {}
  for line in read(dir .. "/nginx.log"):gmatch("[^\n]+") do
    if not line:find("[notice]", 1, true) then
      lines[#lines + 1] = "  " .. line
    end
  end
  return table.concat(lines, "\n", math.max(1, #lines - 14))
end

-- nil, message, code when nginx does not come up; nil, "stopped" when a signal says to end.
local function wait_until_ready(dir, process, signals)
  local deadline = core.sys.monotonic() + START_SECONDS
  repeat
    if nginx.exists(dir .. "/ready") then
      return true
    end
    -- 98 is EADDRINUSE.
    local busy = read(dir .. "/nginx.log"):match("bind%(%) to (%S+) failed %(98:")
    if busy then
      return nil, ("port in use: something listens at %s already"):format(busy), "PORT_IN_USE"
    end
    if not process:alive() then
      return nil, "nginx did not start; it says:\n" .. log_tail(dir), "UNSUPPORTED"
    end
    local signal = signals:wait(0.005)
    if signal and signal ~= "SIGCHLD" then
      return nil, "stopped", "CANCELLED"
    end
  until core.sys.monotonic() > deadline
  return nil, "nginx did not get ready in time; it says:\n" .. log_tail(dir), "TIMEOUT"
end

local function start_at(options, program, modules, signals)
  local dir = options.dir
  write(dir .. "/nginx.conf", config.build({
    port = options.port, clusters = options.clusters, modules = modules,
    lua_path = LUA_DIR .. "?.lua;" .. LUA_DIR .. "?/init.lua",
  }))
  write(dir .. "/config.json", json.encode({
    port = options.port, clusters = options.clusters, job_seconds = options.job_seconds,
    project_id = account.project_id, domain_id = account.domain_id, region = account.region,
    keys = account.keys, tokens = {},
  }))
  os.remove(dir .. "/nginx.log")
  local process, problem, code = nginx.start(program, dir)
  if not process then
    return nil, problem, code
  end
  local ready
  ready, problem, code = wait_until_ready(dir, process, signals)
  if not ready then
    process:close()
    return nil, problem, code
  end
  return process
end

-- A port found free may be taken before nginx has it: then another one.
local function start(options, program, modules, signals)
  if options.port then
    return start_at(options, program, modules, signals)
  end
  local process, problem, code
  for _ = 1, PORT_ATTEMPTS do
    options.port = assert(core.sys.free_port())
    process, problem, code = start_at(options, program, modules, signals)
    if code ~= "PORT_IN_USE" then
      break
    end
  end
  return process, problem, code
end

-- true when a signal ends it; nil, message, code when nginx ends by itself.
local function supervise(options, process, signals)
  while true do
    local signal = signals:wait()
    if signal ~= "SIGCHLD" then
      return true
    elseif not process:alive() then
      return nil, "nginx ended; its last words:\n" .. log_tail(options.dir), "UNSUPPORTED"
    end
  end
end

local function run(options, signals)
  local program, problem, code = nginx.find()
  if not program then
    return nil, problem, code
  end
  local modules
  modules, problem, code = nginx.find_modules(program)
  if not modules then
    return nil, problem, code
  end
  options.dir = prepare_dir(options.dir)
  write_tls(options.dir)
  local process
  process, problem, code = start(options, program, modules, signals)
  if not process then
    return code == "CANCELLED" or nil, problem, code
  end
  -- The administrator's comes last: it says that all is there.
  write_env_of(account.keys[2], options.dir, options.port, "env.member")
  write_env_of(account.keys[1], options.dir, options.port, "env")
  options.on_ready(options)
  local ok
  ok, problem, code = supervise(options, process, signals)
  os.remove(options.dir .. "/env")
  os.remove(options.dir .. "/env.member")
  process:close()
  return ok, problem, code
end

local function with_defaults(options)
  local result = {
    dir = options.dir, port = options.port,
    clusters = options.clusters or M.defaults.clusters,
    job_seconds = options.job_seconds or M.defaults.job_seconds,
    on_ready = options.on_ready or function() end,
  }
  if result.clusters < 0 or result.clusters > addresses.max_clusters then
    return nil, ("clusters must be from 0 to %d"):format(addresses.max_clusters),
      "INVALID_ARGUMENT"
  end
  if result.port and (result.port < 1 or result.port > 65535) then
    return nil, "port must be from 1 to 65535", "INVALID_ARGUMENT"
  end
  return result
end

--- Runs the simulator until SIGINT, SIGTERM, SIGHUP or the death of the parent process. When all
-- listeners accept, DIR/env is there: what a client needs, as NAME='value' lines; it goes away
-- when the simulator ends. DIR/env.member is the same for a user who is no administrator.
-- @tparam table options `dir`: a directory for its files, made when missing; `port`: default a
-- free one; `clusters`: how many, default 5; `job_seconds`: how long a rotation takes, default
-- 2; `on_ready`: called with the options, `port` filled in, once it can be used
-- @treturn boolean true after a signal
-- @treturn[2] nil
-- @treturn[2] string what is wrong
-- @treturn[2] string a code: MISSING_DEPENDENCY, PORT_IN_USE, INVALID_ARGUMENT, …
-- @usage require("cce.sim").run { dir = "/tmp/my-cloud", clusters = 20 }
function M.run(options)
  local ok, problem, code = load_modules()
  if not ok then
    return nil, problem, code
  end
  options, problem, code = with_defaults(options)
  if not options then
    return nil, problem, code
  end
  local signals = core.sys.signals("SIGINT", "SIGTERM", "SIGHUP", "SIGCHLD")
  core.sys.die_with_parent("SIGTERM")
  local finished, result
  finished, result, problem, code = pcall(run, options, signals)
  signals:close()
  if finished then
    return result, problem, code
  elseif type(result) == "table" then
    return nil, result.message, result.code
  end
  error(result, 0)
end

return M
