-- The bench's own nginx servers, in a scratch directory, on free ports of
-- loopback, with TLS by an authority that is thrown away with it.
local core = require "cce.core"
local nginx = require "cce.sim.nginx"
local pki = require "cce.sim.pki"
local process = require "bench.lib.process"

local M = {}

local START_SECONDS, COMPLAINTS = 10, 5
local HERE = "bench/server/"
local BUNDLES = { "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt" }

local Servers = {}
Servers.__index = Servers

-- What a cluster's certificate is asked for gets.
local function kubeconfig_of(authority, now)
  local base64, pair = core.to_base64, pki.client(authority, {
    organisation = "system:masters", common_name = "0123456789abcdef0123456789abcdef",
    not_before = now - 60, not_after = now + 30 * 86400,
  })
  return core.json.encode {
    kind = "Config", apiVersion = "v1", ["current-context"] = "external",
    clusters = { { name = "external", cluster = { server = "https://192.0.2.1:5443",
      ["certificate-authority-data"] = base64(authority.pem) } } },
    users = { { name = "user", user = { ["client-certificate-data"] = base64(pair.pem),
      ["client-key-data"] = base64(pair.key_pem) } } },
    contexts = { { name = "external", context = { cluster = "external", user = "user" } } },
  }
end

local function make_certificates(dir)
  local now = os.time()
  local authority = pki.authority("bench", now)
  local pair = pki.server(authority, {
    common_name = "localhost", alt_names = "IP:127.0.0.1,DNS:localhost",
    not_before = now - 60, not_after = now + 86400,
  })
  process.write(dir .. "/ca.pem", authority.pem)
  process.write(dir .. "/server.pem", pair.pem)
  process.write(dir .. "/server.key", pair.key_pem)
  process.write(dir .. "/kubeconfig.json", kubeconfig_of(authority, now))
end

local function load_modules(program)
  local modules, message = nginx.find_modules(program)
  if not modules then error(message, 0) end
  for i, path in ipairs(modules) do modules[i] = "load_module " .. path .. ";" end
  return table.concat(modules, "\n")
end

-- Workers read our scratch directory and our tree: they must be who we are,
-- which nginx has to be told only when that is root.
local function user_directive()
  local pipe = assert(io.popen("id -un"))
  local name = pipe:read("*l")
  pipe:close()
  return name == "root" and "user root;" or ""
end

local function free_ports(names)
  local ports = {}
  for _, name in ipairs(names) do ports[name] = assert(core.sys.free_port()) end
  return ports
end

local function wait_until_up(self, name, child, port)
  local client = assert(core.engine {})
  local deadline = core.sys.monotonic() + START_SECONDS
  repeat
    -- Any answer shows that somebody listens, be it that TLS was expected.
    local response = client:call { endpoint = "http://127.0.0.1:" .. port, method = "GET",
      path = "/ping", timeout = 1 }
    if response then
      client:close()
      return
    end
    core.sys.sleep(0.02)
  until not child:alive() or core.sys.monotonic() > deadline
  error(("nginx (%s) did not start: %s"):format(name, process.read(self.dir .. "/nginx.log")), 0)
end

local function start(self, name, port)
  local conf = process.read(HERE .. name .. ".conf"):gsub("@([A-Z_]+)@", self.names)
  process.write(self.dir .. "/" .. name .. ".conf", conf)
  -- As many descriptors as are allowed: 1,000 connections have two ends here.
  local child = process.spawn {
    argv = { "/bin/sh", "-c", 'ulimit -n "$(ulimit -Hn)"; exec "$@"', "sh", self.program,
      "-p", self.dir, "-c", name .. ".conf" },
    output = self.dir .. "/nginx.log",
  }
  self.children[#self.children + 1] = child
  wait_until_up(self, name, child, port)
  return child
end

--- Start the upstream.
function M.start()
  local program, message = nginx.find()
  if not program then error(message, 0) end
  local dir = assert(core.sys.mkdir_private("/tmp/cce-bench-XXXXXX"))
  local ports = free_ports { "at_once", "slow", "gateway" }
  local self = setmetatable({ dir = dir, program = program, ports = ports, children = {},
    ca_file = dir .. "/ca.pem" }, Servers)
  self.names = {
    MODULES = load_modules(program), USER = user_directive(),
    ROOT = os.getenv("CCE_TEST_ROOT"), BUILD = os.getenv("CCE_TEST_ROOT") .. "/build/jit",
    DIRECTORY = dir, PORT_AT_ONCE = ports.at_once, PORT_SLOW = ports.slow,
    PORT_GATEWAY = ports.gateway,
  }
  make_certificates(dir)
  start(self, "upstream", ports.at_once)
  return self
end

--- A file with our authority and those of the system, as many as there usually are.
function Servers:bundle()
  local path, text = self.dir .. "/bundle.pem", process.read(self.ca_file)
  for _, bundle in ipairs(BUNDLES) do
    local file = io.open(bundle)
    if file then
      text = text .. file:read("*a")
      file:close()
      break
    end
  end
  process.write(path, text)
  return path
end

--- Start the gateway, once.
function Servers:start_gateway()
  self.gateway = self.gateway or start(self, "gateway", self.ports.gateway)
end

--- CPU seconds that its worker has taken.
function Servers:gateway_cpu()
  return process.cpu_of(process.child_of(self.gateway:pid()))
end

--- The beginning of what nginx complained of; empty when all went well.
function Servers:complaints()
  local lines = {}
  for _, name in ipairs { "upstream", "gateway" } do
    local file = io.open(self.dir .. "/" .. name .. ".log")
    for _ = 1, file and COMPLAINTS or 0 do lines[#lines + 1] = file:read("*l") end
    if file then file:close() end
  end
  return table.concat(lines, "\n")
end

--- End them and remove the directory.
function Servers:stop()
  for _, child in ipairs(self.children) do
    child:signal("SIGTERM")
    child:wait(5)
  end
  os.execute("rm -rf '" .. self.dir .. "'")
end

return M
