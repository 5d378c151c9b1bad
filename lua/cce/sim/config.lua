--- Writes nginx's configuration for the simulator. All paths are relative to its prefix, the
-- simulator's own directory.
local addresses = require("cce.sim.addresses")

local M = {}

local HEAD = [[
daemon off;
master_process off;
pid nginx.pid;
error_log stderr notice;
%s
events { worker_connections %d; }
http {
  access_log off;
  server_tokens off;
  client_body_temp_path tmp;
  proxy_temp_path tmp;
  fastcgi_temp_path tmp;
  uwsgi_temp_path tmp;
  scgi_temp_path tmp;
  client_max_body_size 8m;
  client_body_buffer_size 8m;
  large_client_header_buffers 8 64k;
  underscores_in_headers on;
  ignore_invalid_headers off;
  keepalive_requests 1000000;
  reset_timedout_connection on;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache off;
  ssl_session_tickets off;
  lua_package_path "%s;;";
  lua_socket_log_errors off;
  init_by_lua_block { require("cce.sim.server.worker").init() }
  init_worker_by_lua_block { require("cce.sim.server.worker").ready() }
]]

local SERVICE = [[
  server {
    listen %s:%d ssl;
    ssl_certificate tls/%s.pem;
    ssl_certificate_key tls/%s.key;
    location / { content_by_lua_block { require("cce.sim.server.worker").gateway.handle("%s") } }
  }
]]

local PLAIN = [[
  server {
    listen %s:%d;
    location / { content_by_lua_block { require("cce.sim.server.worker").gateway.handle("%s") } }
  }
]]

local KUBERNETES = [[
  server {
%s    ssl_certificate tls/services.pem;
    ssl_certificate_key tls/services.key;
    ssl_certificate_by_lua_block { require("cce.sim.server.worker").tls.choose() }
    ssl_verify_client optional_no_ca;
    error_page 495 496 = @refused;
    location / { content_by_lua_block { require("cce.sim.server.worker").kubernetes.handle() } }
    location @refused {
      content_by_lua_block { require("cce.sim.server.worker").kubernetes.refuse() }
    }
  }
]]

local CONTROL = [[
  server {
    listen %s:%d;
    location / { content_by_lua_block { require("cce.sim.server.worker").control.handle() } }
  }
]]

local function service(options, address, pair, name)
  return SERVICE:format(address, options.port, pair, pair, name)
end

--- The text. options: port, clusters, modules (paths to load), lua_path.
function M.build(options)
  local connections, modules = 4096 + 2 * options.clusters, {}
  for i, path in ipairs(options.modules) do
    modules[i] = ("load_module %s;"):format(path)
  end
  local parts = { HEAD:format(table.concat(modules, "\n"), connections, options.lua_path) }
  for name, address in pairs(addresses.services) do
    parts[#parts + 1] = service(options, address, "services", name)
  end
  for name, address in pairs(addresses.plain) do
    parts[#parts + 1] = PLAIN:format(address, options.port, name)
  end
  for name, address in pairs(addresses.bad_tls) do
    parts[#parts + 1] = service(options, address, name, "cce")
  end
  local listeners = {}
  local function listen(address)
    listeners[#listeners + 1] = ("    listen %s:%d ssl;\n"):format(address, options.port)
  end
  for index = 1, options.clusters do
    listen(addresses.internal(index))
    if addresses.has_external(index) then
      listen(addresses.external(index))
    end
  end
  listen(addresses.internal(addresses.autopilot_index))
  parts[#parts + 1] = KUBERNETES:format(table.concat(listeners))
  parts[#parts + 1] = CONTROL:format(addresses.control, options.port)
  parts[#parts + 1] = "}\n"
  return table.concat(parts)
end

return M
