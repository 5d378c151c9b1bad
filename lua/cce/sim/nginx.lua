--- Finds nginx and its Lua modules on this machine, and starts it.
local sys = require("cce.core").sys

local M = {}

local PLACES = { "/usr/sbin", "/usr/local/sbin", "/usr/local/openresty/nginx/sbin" }
local MODULE_DIRS = { "/usr/lib/nginx/modules", "/usr/lib64/nginx/modules",
  "/usr/share/nginx/modules" }
local MODULES = { "ndk_http_module.so", "ngx_http_lua_module.so" }

--- Whether there is a file that can be read.
function M.exists(path)
  local file = io.open(path)
  if file then
    file:close()
  end
  return file ~= nil
end

--- The path of nginx's program, looked for in `path` (default: PATH and where nginx is usually
-- installed); nil, message, code when there is none.
function M.find(path)
  path = path or (os.getenv("PATH") or "") .. ":" .. table.concat(PLACES, ":")
  for dir in path:gmatch("[^:]+") do
    if M.exists(dir .. "/nginx") then
      return dir .. "/nginx"
    end
  end
  return nil, "the simulator needs nginx; on Debian and Ubuntu install the packages"
    .. " nginx and libnginx-mod-http-lua", "MISSING_DEPENDENCY"
end

--- The modules to load so that nginx knows Lua, looked for in `dirs`; an empty list when it does
-- already; nil, message, code when they are not there.
function M.find_modules(program, dirs)
  for _, dir in ipairs(dirs or MODULE_DIRS) do
    if M.exists(dir .. "/" .. MODULES[2]) then
      return { dir .. "/" .. MODULES[1], dir .. "/" .. MODULES[2] }
    end
  end
  -- OpenResty's nginx, and others, have it inside.
  local pipe = io.popen("'" .. program .. "' -V 2>&1")
  local text = pipe:read("*a")
  pipe:close()
  if text:find("openresty", 1, true) or text:find("ngx_lua", 1, true)
    or text:find("lua-nginx-module", 1, true) then
    return {}
  end
  return nil, "the simulator needs nginx's Lua module; on Debian and Ubuntu install the"
    .. " package libnginx-mod-http-lua", "MISSING_DEPENDENCY"
end

-- Each cluster listens at one or two addresses, more than the usual limit of open files.
local RAISE_LIMIT = [[
ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"
exec "$@"]]

--- Starts nginx with the configuration DIR/nginx.conf; what it says goes to DIR/nginx.log. Our
-- own environment stays out: LUA_PATH and LD_PRELOAD are meant for another Lua.
function M.start(program, dir)
  return sys.spawn({
    argv = { "/bin/sh", "-c", RAISE_LIMIT, "sh", program, "-p", dir, "-c", "nginx.conf" },
    env = { "PATH=" .. (os.getenv("PATH") or "/usr/bin:/bin") },
    stdin = "/dev/null", stdout = dir .. "/nginx.log", stderr = dir .. "/nginx.log",
    die_with_parent = true,
  })
end

return M
