--- A real etcd for specs, on loopback, in a directory of its own.
--
--   local etcd = require "spec.support.peer.etcd"
--   local server = etcd.get()                  -- one a busted process, ended with it
--   server:place "some/prefix"                 -- "http://127.0.0.1:…/some/prefix"
--   local server = etcd.start { … }            -- one's own; server:stop() at the end
--   server:kill() server:restart()             -- SIGKILL; again, with the same data and ports
--
-- Options of start: members (3: a cluster, whose kill and restart take a number), tls (true:
-- https that demands a client certificate; server.pair, server.ca_file), users (true: there are
-- the user "gateway" and its password, who may use the keys under "cce/"), arguments (more for
-- etcd itself).
local busted = require "busted"
local core = require "cce.core"
local http = require "socket.http"
local pki = require "spec.support.peer.pki"
local tempdir = require "spec.support.tempdir"

local sys = core.sys

local M = {}

M.USER, M.PASSWORD = "gateway", "not-a-real-password"

local Server = {}
Server.__index = Server

local START_SECONDS = 120

function M.has_etcd()
  return tempdir.shell "command -v etcd" ~= ""
end

--- Like busted's describe, but pending without etcd.
function M.describe(name, body)
  busted.describe(name, M.has_etcd() and body
    or function() busted.pending "etcd is not installed" end)
end

-- ---- certificates ----------------------------------------------------------------------

-- etcd's gateway comes to etcd itself as a client, with the server's certificate.
local function write_certificates(self)
  local now = os.time()
  local authority = pki.authority("spec etcd authority",
    { not_before = now - 86400, not_after = now + 86400 })
  local function write(name, extensions)
    local pair = pki.issue(authority, { subject = { { "CN", name } }, not_before = now - 3600,
      not_after = now + 3600, extensions = extensions })
    tempdir.write(self.dir .. "/" .. name .. ".pem", pair.pem)
    tempdir.write(self.dir .. "/" .. name .. ".key", pair.key)
    os.execute("chmod 600 " .. self.dir .. "/" .. name .. ".key")
  end
  tempdir.write(self.dir .. "/ca.pem", authority.pem)
  write("server", { { "subjectAltName", "IP:127.0.0.1" },
    { "extendedKeyUsage", "serverAuth,clientAuth" } })
  write("client", { { "extendedKeyUsage", "clientAuth" } })
  self.ca_file = self.dir .. "/ca.pem"
  self.pair = { cert = self.dir .. "/client.pem", key = self.dir .. "/client.key" }
end

-- ---- members ------------------------------------------------------------------------------

local function new_member(self, number)
  local function url(scheme)
    return ("%s://127.0.0.1:%d"):format(scheme, assert(sys.free_port()))
  end
  return {
    name = "m" .. number, url = url(self.options.tls and "https" or "http"),
    peer = url "http", health = url "http",
  }
end

local function arguments_of(self, member)
  local peers = {}
  for i, each in ipairs(self.members) do peers[i] = each.name .. "=" .. each.peer end
  local argv = {
    "etcd", "--name", member.name, "--data-dir", self.dir .. "/" .. member.name,
    "--listen-client-urls", member.url, "--advertise-client-urls", member.url,
    "--listen-peer-urls", member.peer, "--initial-advertise-peer-urls", member.peer,
    "--listen-metrics-urls", member.health, "--initial-cluster", table.concat(peers, ","),
    "--heartbeat-interval", "50", "--election-timeout", "300", "--unsafe-no-fsync",
    "--bcrypt-cost", "4", "--logger", "zap", "--log-level", "error",
  }
  if self.options.tls then
    for _, each in ipairs { "--cert-file", self.dir .. "/server.pem", "--key-file",
      self.dir .. "/server.key", "--trusted-ca-file", self.ca_file, "--client-cert-auth" } do
      argv[#argv + 1] = each
    end
  end
  for _, each in ipairs(self.options.arguments or {}) do argv[#argv + 1] = each end
  return argv
end

local function spawn(self, member)
  member.process = assert(sys.spawn {
    argv = arguments_of(self, member), env = { "PATH=" .. os.getenv "PATH", "HOME=" .. self.dir },
    stdin = "/dev/null", stdout = self.dir .. "/" .. member.name .. ".log",
    stderr = self.dir .. "/" .. member.name .. ".log", die_with_parent = true,
  })
end

local function is_healthy(member)
  local answer = http.request(member.health .. "/health")
  return answer ~= nil and answer:find('"true"', 1, true) ~= nil
end

local function await(self, member)
  local deadline = sys.monotonic() + START_SECONDS
  while not is_healthy(member) do
    if not member.process:alive() or sys.monotonic() > deadline then
      local log = tempdir.read(self.dir .. "/" .. member.name .. ".log")
      error("etcd did not start: " .. tostring(log), 0)
    end
    sys.sleep(0.01)
  end
end

--- Ends a member (by default the first) with SIGKILL.
function Server:kill(number)
  local member = self.members[number or 1]
  member.process:signal "SIGKILL"
  member.process:wait()
  member.process:close()
  member.process = nil
end

--- Starts a member again.
function Server:restart(number)
  local member = self.members[number or 1]
  spawn(self, member)
  await(self, member)
end

function Server:signal(name, number)
  self.members[number or 1].process:signal(name)
end

function Server:stop()
  for number, member in ipairs(self.members) do
    if member.process then self:kill(number) end
  end
  assert(self.dir:match "/cce%-etcd%-%w+$")
  tempdir.remove(self.dir)
end

-- ---- talking to it ----------------------------------------------------------------------------

--- Where a store is to be opened, without "etcd:".
function Server:place(prefix)
  local urls = {}
  for i, member in ipairs(self.members) do urls[i] = member.url end
  return table.concat(urls, ",") .. "/" .. prefix
end

--- One request, as nobody; raises unless it succeeds.
function Server:ask(path, body, token)
  local engine = assert(core.engine { ca_file = self.ca_file })
  local identity = self.pair and { certificate = tempdir.read(self.pair.cert),
    key = tempdir.read(self.pair.key) }
  local response = assert(engine:call {
    endpoint = self.members[1].url, method = "POST", path = path, timeout = 10,
    body = core.json.encode(body), headers = { Authorization = token }, identity = identity,
  })
  engine:close()
  if response.status ~= 200 then error(path .. ": " .. response.body, 2) end
  return core.json.decode(response.body)
end

--- What lies at a key, and a value put there behind everybody's back.
function Server:peek(key)
  local kvs = self:ask("/v3/kv/range", { key = core.to_base64(key) }).kvs
  return kvs and assert(core.from_base64(kvs[1].value or ""))
end

function Server:poke(key, value)
  self:ask("/v3/kv/put", { key = core.to_base64(key), value = core.to_base64(value) })
end

--- How many keys begin like this, or how many there are.
function Server:count(prefix)
  return tonumber(self:ask("/v3/kv/range", { key = core.to_base64(prefix or "\0"),
    range_end = core.to_base64((prefix or "") .. "\255"), count_only = true }).count or 0)
end

local function add_users(self)
  local key, range_end = core.to_base64 "cce/", core.to_base64 "cce0"
  for _, step in ipairs {
    { "user/add", { name = "root", password = M.PASSWORD } },
    { "user/grant", { user = "root", role = "root" } },
    { "user/add", { name = M.USER, password = M.PASSWORD } },
    { "role/add", { name = "schedule" } },
    { "role/grant", { name = "schedule",
      perm = { permType = "READWRITE", key = key, range_end = range_end } } },
    { "user/grant", { user = M.USER, role = "schedule" } },
    { "enable", core.json.decode "{}" },
  } do self:ask("/v3/auth/" .. step[1], step[2]) end
end

-- ---- life --------------------------------------------------------------------------------------

--- Starts one, or a cluster.
function M.start(options)
  local self = setmetatable({ options = options or {}, members = {},
    dir = assert(sys.mkdir_private(tempdir.root .. "/cce-etcd-XXXXXX")) }, Server)
  if self.options.tls then write_certificates(self) end
  for number = 1, self.options.members or 1 do self.members[number] = new_member(self, number) end
  for _, member in ipairs(self.members) do spawn(self, member) end
  local ok, problem = pcall(function()
    for _, member in ipairs(self.members) do await(self, member) end
    if self.options.users then add_users(self) end
  end)
  if ok then return self end
  self:stop()
  error(problem, 2)
end

local shared

--- The one that the specs of this process share; each takes a prefix of its own.
function M.get()
  if not shared then
    shared = M.start()
    busted.subscribe({ "suite", "end" }, function()
      if shared then shared:stop() end
      shared = nil
      return nil, true
    end)
  end
  return shared
end

local prefixes = 0

--- A prefix that nobody has used.
function M.prefix()
  prefixes = prefixes + 1
  return "cce/spec" .. prefixes
end

return M
