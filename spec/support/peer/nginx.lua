-- An nginx for specs: its own directory, a free port, our modules on its paths.
--
--   local nginx = require "spec.support.peer.nginx"
--   local server = nginx.start { http = "location = /x { content_by_lua_block { … } }" }
--   server:get "/x"                   -- { status=, headers=, body= }
--   server:many(100, { path = "/x" }) -- so many at once, each as above or { problem= }
--   server:reload()  server:quit()  server:stop()  server:complaints()  server:close()
--
-- The configuration's Lua has the helpers of nginx_app.lua as the global `app`.
-- The specs that use it run once a `make test`: on LuaJIT, which is nginx's Lua.
local busted = require "busted"
local core = require "cce.core"
local find = require "cce.sim.nginx"
local tempdir = require "spec.support.tempdir"

local sys = core.sys
local unpack = table.unpack or unpack

local M = {}

local Server = {}
Server.__index = Server

-- A checked run: CCE_TEST_NGINX=asan, tsan or valgrind checks nginx alone, with that build of
-- the core (tools/flavour asan jit); in `make asan` all is checked. It is some ten times slower.
local FLAVOUR = os.getenv "CCE_TEST_NGINX" or os.getenv "FLAVOUR" or ""
M.is_checked = FLAVOUR ~= ""
local PATIENCE = 60

-- ---- where it runs -------------------------------------------------------

local function missing()
  local program, problem = find.find()
  if not program then return problem end
  local modules
  modules, problem = find.find_modules(program)
  return not modules and problem or nil
end

--- Like busted's describe, but pending on anything but LuaJIT, and without nginx and its Lua
-- module.
function M.describe(name, body)
  local reason = not rawget(_G, "jit") and "it runs with LuaJIT's specs: that is nginx's Lua"
    or missing()
  busted.describe(name, reason and function() busted.pending(reason) end or body)
end

-- ---- small tools ---------------------------------------------------------

--- Call until it returns something true, or fail with `what` did not happen.
function M.wait_for(what, condition, seconds)
  local deadline = sys.monotonic() + (seconds or PATIENCE)
  repeat
    local result = condition()
    if result then return result end
    sys.sleep(0.005)
  until sys.monotonic() > deadline
  error(what .. ": not within the time", 2)
end

local function lines_of(text)
  return (text or ""):gmatch "[^\n]+"
end

--- The threads of a process: id → { name=, blocked= (SigBlk, hex) }.
function M.threads(pid)
  local threads = {}
  for _, id in ipairs(tempdir.list("/proc/" .. pid .. "/task")) do
    local status = tempdir.read(("/proc/%d/task/%s/status"):format(pid, id)) or ""
    threads[#threads + 1] = {
      name = status:match "Name:%s*(%C*)", blocked = status:match "SigBlk:%s*(%x+)",
    }
  end
  return threads
end

--- How many of them have this name.
function M.count_threads(pid, name)
  local count = 0
  for _, thread in ipairs(M.threads(pid)) do
    if thread.name == name then count = count + 1 end
  end
  return count
end

--- How many descriptors a process has open.
function M.count_descriptors(pid)
  return #tempdir.list("/proc/" .. pid .. "/fd")
end

--- KiB of memory in use.
function M.resident(pid)
  return tonumber((tempdir.read("/proc/" .. pid .. "/status") or ""):match "VmRSS:%s*(%d+)")
end

--- The sockets of engines: /tmp/lua-cce-*/engine that this process listens at.
function M.engine_sockets(pid)
  local inodes, sockets = {}, {}
  local links = tempdir.shell(("ls -l /proc/%d/fd"):format(pid))
  for inode in links:gmatch "socket:%[(%d+)%]" do inodes[inode] = true end
  for line in lines_of(tempdir.read "/proc/net/unix") do
    local flags, inode, path = line:match "^%x+: %x+ %x+ (%x+) %x+ %x+%s+(%d+) (/%S*/lua%-cce%-.*)$"
    if inode and inodes[inode] and flags == "00010000" then sockets[#sockets + 1] = path end
  end
  return sockets
end

-- ---- configuration -------------------------------------------------------

local HEAD = [[
daemon off;
%s
pid nginx.pid;
error_log error.log notice;
worker_processes %d;
worker_rlimit_nofile %d;
worker_shutdown_timeout 3600s;
%s
events { worker_connections %d; }
http {
  access_log off;
  client_body_temp_path tmp;
  proxy_temp_path tmp;
  fastcgi_temp_path tmp;
  uwsgi_temp_path tmp;
  scgi_temp_path tmp;
  lua_check_client_abort on;
  lua_socket_log_errors off;
  lua_package_path "%s";
  lua_package_cpath "%s";
  %s
  init_by_lua_block {
    app = require "spec.support.peer.nginx_app"
    %s
  }
  server {
    listen 127.0.0.1:%d backlog=4096;
    location = /status { content_by_lua_block { app.status() } }
    %s
  }
}
]]

local function root_dir()
  return os.getenv "CCE_TEST_ROOT" or tempdir.shell "pwd":match "%C+"
end

-- nginx runs elsewhere.
local function absolute(paths)
  local root = root_dir()
  return (paths:gsub("^%./", root .. "/"):gsub(";%./", ";" .. root .. "/"))
end

--- Where nginx finds Lua modules: package.path and package.cpath for it.
function M.paths()
  local cpath = absolute(package.cpath)
  if M.is_checked then cpath = ("%s/build/%s-jit/?.so;%s"):format(root_dir(), FLAVOUR, cpath) end
  return root_dir() .. "/?.lua;" .. absolute(package.path), cpath
end

local function main_lines(options)
  local lines = { options.main or "" }
  for _, path in ipairs(assert(find.find_modules(find.find()))) do
    lines[#lines + 1] = ("load_module %s;"):format(path)
  end
  for name in pairs(options.env or {}) do lines[#lines + 1] = ("env %s;"):format(name) end
  -- The simulator's directory is ours alone; its CA file is in it.
  if tempdir.is_root() then
    lines[#lines + 1] = ("user %s;"):format(options.user or "root")
  end
  return table.concat(lines, "\n")
end

local function write_config(self, options)
  local single = options.single and "master_process off;" or ""
  local path, cpath = M.paths()
  tempdir.write(self.dir .. "/nginx.conf", HEAD:format(single, options.workers or 1,
    options.descriptors or 16384, main_lines(options), options.connections or 8192,
    path, cpath, options.settings or "", options.init or "", self.port, options.http or ""))
end

-- ---- life ----------------------------------------------------------------

-- What runs a checked build: a sanitizer's runtime must be there before nginx, and
-- before any other library.
local function runtime(library)
  local path = tempdir.shell(("readlink -f \"$(gcc -print-file-name=%s)\""):format(library))
  return path:match "%C+" .. " "
end

local CHECKED = {
  asan = function(argv, env, preload)
    env[#env + 1] = "LD_PRELOAD=" .. runtime "libasan.so" .. preload
    -- nginx's own pools and LuaJIT's are let go of by exit, hence no leaks here.
    env[#env + 1] = "ASAN_OPTIONS=detect_leaks=0:exitcode=86"
    env[#env + 1] = "UBSAN_OPTIONS=print_stacktrace=1"
    return argv
  end,
  tsan = function(argv, env, preload)
    env[#env + 1] = "TSAN_OPTIONS=ignore_noninstrumented_modules=1:exitcode=66:suppressions="
      .. root_dir() .. "/spec/support/checker/tsan.supp"
    -- It cannot place its shadow memory in a randomized layout.
    return { "setarch", "-R", "env",
      "LD_PRELOAD=" .. runtime "libtsan.so" .. preload, unpack(argv) }
  end,
  valgrind = function(argv, env, preload)
    env[#env + 1] = "LD_PRELOAD=" .. preload
    return { "valgrind", "--quiet", "--vgdb=no", "--error-exitcode=99", "--trace-children=yes",
      "--log-file=valgrind.%p.log", "--num-callers=24",
      "--suppressions=" .. root_dir() .. "/spec/support/checker/valgrind.supp", unpack(argv) }
  end,
}

local function environment(given)
  local env = { "PATH=" .. (os.getenv "PATH" or "/usr/bin:/bin") }
  for name, value in pairs(given or {}) do env[#env + 1] = name .. "=" .. value end
  return env
end

local function unchecked(argv, env, preload)
  env[#env + 1] = "LD_PRELOAD=" .. preload
  return argv
end

local function spawn(self, argv, env, preload)
  env = environment(env)
  argv = (CHECKED[FLAVOUR] or unchecked)(argv, env, preload or "")
  table.insert(argv, 1, "/bin/sh")
  table.insert(argv, 2, "-c")
  table.insert(argv, 3, ("cd '%s' && exec \"$@\""):format(self.dir))
  table.insert(argv, 4, "sh")
  self.process = assert(sys.spawn {
    argv = argv, env = env, stdin = "/dev/null", die_with_parent = true,
    stdout = self.dir .. "/output", stderr = self.dir .. "/output",
  })
end

local function accepts(port)
  local socket = require("socket").tcp()
  local ok = socket:connect("127.0.0.1", port)
  socket:close()
  return ok
end

local function wait_until_up(self)
  local ok, problem = pcall(M.wait_for, "nginx's start", function()
    assert(self.process:alive(), (tempdir.read(self.dir .. "/output") or "") .. self:log())
    return accepts(self.port) and #self:workers() > 0
  end)
  if ok then return end
  self:close()
  error(problem, 0)
end

local function new()
  local dir = assert(sys.mkdir_private(tempdir.root .. "/cce-nginx-XXXXXX"))
  assert(sys.mkdir(dir .. "/tmp"))
  return setmetatable({ dir = dir, port = assert(sys.free_port()) }, Server)
end

--- Starts one. options: http (inside the server), settings (inside http), init (Lua), main,
-- env (a table), workers, single (no master), user (of the workers, when we are root),
-- connections, descriptors, preload (a library for LD_PRELOAD).
function M.start(options)
  local self = new()
  self.single = options.single
  -- A worker of another user passes through it to its files.
  os.execute("chmod 711 " .. self.dir)
  write_config(self, options)
  spawn(self, { find.find(), "-p", self.dir, "-c", "nginx.conf" }, options.env, options.preload)
  wait_until_up(self)
  return self
end

--- Starts one on a configuration as it is, but for its port (`port` there). arguments: more of
-- nginx's own.
function M.start_file(path, port, env, arguments)
  local self = new()
  local text = assert(tempdir.read(path)):gsub(":" .. port .. ";", ":" .. self.port .. ";")
  tempdir.write(self.dir .. "/nginx.conf", text)
  local argv = { find.find(), "-p", self.dir, "-c", self.dir .. "/nginx.conf" }
  for _, argument in ipairs(arguments) do argv[#argv + 1] = argument end
  spawn(self, argv, env)
  wait_until_up(self)
  return self
end

function Server:log()
  return tempdir.read(self.dir .. "/error.log") or ""
end

-- A machine, or valgrind, may not let us have as many descriptors as we ask for; and nginx's master
-- kills a worker that needs more than a second or two for SIGTERM, as it may under a checker.
local function is_complaint(line)
  if M.is_checked and line:find "exited on signal 9" then return false end
  return (line:find "%[alert%]" or line:find "%[emerg%]" or line:find "%[crit%]"
    or line:find "exited on signal" or line:find "core dumped") and not line:find "setrlimit%("
end

--- What nobody wants to see in error.log, and what a checked run found.
function Server:complaints()
  local found = {}
  for line in lines_of(self:log()) do
    if is_complaint(line) then found[#found + 1] = line end
  end
  for _, name in ipairs(tempdir.list(self.dir)) do
    if name:find "^valgrind" or name:find "%.log$" or name == "output" then
      local text = tempdir.read(self.dir .. "/" .. name)
      if text:find "==%d+==" or text:find "runtime error:"
        or text:find "WARNING: ThreadSanitizer" then found[#found + 1] = text end
    end
  end
  return table.concat(found, "\n")
end

--- The processes that serve, oldest first.
function Server:workers()
  local pid = self.process:pid()
  if self.single then return { pid } end
  local children, workers = tempdir.read(("/proc/%d/task/%d/children"):format(pid, pid)) or "", {}
  for child in children:gmatch "%d+" do
    local title = tempdir.read("/proc/" .. child .. "/cmdline") or ""
    if title:find "worker process" or M.is_checked then workers[#workers + 1] = tonumber(child) end
  end
  return workers
end

local function exists(pid)
  local status = tempdir.read("/proc/" .. pid .. "/status")
  return status and not status:find "State:%s*Z"
end

function Server:signal(name)
  assert(self.process:signal(name))
end

--- Reloads; returns once other workers serve. wait: and the old ones have gone.
function Server:reload(wait)
  local old = self:workers()
  local known = {}
  for _, pid in ipairs(old) do known[pid] = true end
  self:signal "SIGHUP"
  M.wait_for("the reload", function()
    for _, pid in ipairs(self:workers()) do
      if not known[pid] then return true end
    end
  end)
  for _, pid in ipairs(wait and old or {}) do
    M.wait_for("the end of an old worker", function() return not exists(pid) end)
  end
end

local function finish(self, signal)
  local start = sys.monotonic()
  self:signal(signal)
  local code, problem = self.process:wait(PATIENCE * 4)
  return code, sys.monotonic() - start, problem
end

--- Ends it gracefully: exit code (nil, …, signal), seconds.
function Server:quit()
  return finish(self, "SIGQUIT")
end

--- Ends it at once; the same.
function Server:stop()
  return finish(self, "SIGTERM")
end

function Server:close()
  if self.process:alive() then self:stop() end
  self.process:close()
  assert(self.dir:match "/cce%-nginx%-%w+$")
  tempdir.remove(self.dir)
end

-- ---- talking to it -------------------------------------------------------

local function query_of(text)
  local query = {}
  for name, value in text:gmatch "([^&=]+)=([^&]*)" do query[#query + 1] = { name, value } end
  return query
end

local function request_of(self, request)
  local path, query = request.path:match "^([^?]*)%??(.*)$"
  local headers = { ["Content-Type"] = "application/json" }
  for name, value in pairs(request.headers or {}) do headers[name] = value end
  return {
    endpoint = "http://127.0.0.1:" .. self.port, method = request.method or "GET",
    path = path, query = query_of(query), body = request.body, headers = headers,
    timeout = request.timeout or PATIENCE * 3,
  }
end

local function answer_of(transfer)
  local response, problem, code = transfer:result()
  if not response then return { problem = problem, code = code } end
  if (response.headers["content-type"] or ""):find "json" then
    response.json = core.json.decode(response.body)
  end
  return response
end

--- One request: { path=, method=, body=, headers=, timeout= }.
function Server:request(request)
  local engine = assert(core.engine {})
  local transfer = assert(engine:submit(request_of(self, request)))
  while not transfer:finished() do engine:step(0.1) end
  local answer = answer_of(transfer)
  engine:close()
  return answer
end

function Server:get(path, headers)
  return self:request { path = path, headers = headers }
end

function Server:post(path, body, headers)
  return self:request { method = "POST", path = path, body = body, headers = headers }
end

--- Load that goes on while the spec does something else, in turns: call :step() often, or
-- :finish() for all answers. `total` requests, `concurrency` at a time.
function Server:load(total, concurrency, request)
  local server, engine = self, assert(core.engine { max_connections = concurrency })
  local load = { answers = {} }
  local pending, sent = {}, 0

  local function fill()
    while sent < total and #pending < concurrency do
      sent = sent + 1
      local one = type(request) == "function" and request(sent) or request
      pending[#pending + 1] = assert(engine:submit(request_of(server, one)))
    end
  end

  function load.step(_, seconds)
    fill()
    engine:step(seconds or 0.01)
    for i = #pending, 1, -1 do
      if pending[i]:finished() then
        load.answers[#load.answers + 1] = answer_of(table.remove(pending, i))
      end
    end
    return #load.answers < total
  end

  --- For so many seconds, or until it is over.
  function load:run(seconds)
    local deadline = sys.monotonic() + seconds
    while sys.monotonic() < deadline and self:step() do end
  end

  --- No further requests: wait for those under way.
  function load:wind_up()
    total = sent
    return self:finish()
  end

  function load:finish()
    while #self.answers < total and self:step(0.1) do end
    engine:close()
    return self.answers
  end

  return load
end

function Server:many(count, request)
  return self:load(count, count, request):finish()
end

--- A client that sends a request (a path, or all of it) and returns what hangs up.
function Server:hang(request)
  local socket = assert(require("socket").connect("127.0.0.1", self.port))
  if request:find "^/" then request = ("GET %s HTTP/1.1\r\nHost: x\r\n\r\n"):format(request) end
  assert(socket:send(request))
  return function() socket:close() end
end

--- What /status says: of the worker that answers, after a collection of garbage.
function Server:status()
  return assert(self:get("/status").json)
end

return M
