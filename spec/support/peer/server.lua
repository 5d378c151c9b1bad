--- A scripted TCP or TLS server in a process of its own, for what no real server does.
--
--   local server = require("spec.support.peer.server")
--   local s = server.start(function(connection)        -- runs once for each connection
--     connection:request()                             -- see server_child.lua for its methods
--     connection:answer("200 OK", "text")
--     connection:close()
--   end, { data = {…}, tls = pair, host = "127.0.0.1" })
--   s.url, s.port, s:requests(), s:count("accept"), s:await("closed"), s:release()
--   server.stop_all()                                  -- in after_each
--
-- The function is dumped and runs elsewhere: it must not use any local from outside itself. What
-- it needs comes as `connection.data`, which must be JSON.
local cjson = require "cjson"
local pki = require "cce.sim.pki"
local sys = require("cce.core").sys
local tempdir = require "spec.support.tempdir"

local M = {}

local Server = {}
Server.__index = Server

local START_SECONDS, AWAIT_SECONDS = 120, 120
local CHILD = debug.getinfo(1, "S").source:sub(2):gsub("server%.lua$", "server_child.lua")

local running = {}

-- The plain interpreter even in a checked run: the server is no part of what is checked.
local function interpreter()
  local name = tempdir.interpreter()
  local checked = os.getenv "CCE_TEST_BUILD"
  for place in os.getenv("PATH"):gmatch "[^:]+" do
    local file = io.open(place .. "/" .. name)
    if file then
      file:close()
      if not checked or place:sub(1, #checked) ~= checked then
        return place .. "/" .. name
      end
    end
  end
  error("no " .. name .. " on PATH")
end

M.write = tempdir.write

function M.read(path)
  return tempdir.read(path) or ""
end

--- What happened so far, in order: tables with `kind` and more.
function Server:events(kind)
  local found = {}
  for line in M.read(self.dir .. "/log"):gmatch "([^\n]*)\n" do
    local event = cjson.decode(line)
    if not kind or event.kind == kind then
      found[#found + 1] = event
    end
  end
  return found
end

--- The complete requests that arrived.
function Server:requests()
  return self:events "request"
end

function Server:count(kind)
  return #self:events(kind)
end

--- Waits until something has happened (so often), and returns all events of that kind.
function Server:await(kind, count, seconds)
  local deadline = sys.monotonic() + (seconds or AWAIT_SECONDS)
  repeat
    local found = self:events(kind)
    if #found >= (count or 1) then
      return found
    end
    sys.sleep(0.003)
  until sys.monotonic() > deadline
  error(("the server saw no %s (%s)\n%s"):format(kind, M.read(self.dir .. "/stderr"),
    M.read(self.dir .. "/log")), 2)
end

--- Lets the scripts that wait go on.
function Server:release()
  M.write(self.dir .. "/release", "")
end

function Server:stop()
  running[self] = nil
  self.process:close()
  M.remove(self.dir)
end

--- A new directory of one's own under /tmp.
function M.directory()
  return assert(sys.mkdir_private(tempdir.root .. "/cce-spec-XXXXXX"))
end

function M.remove(dir)
  assert(dir:match "/cce%-spec%-%w+$")
  os.execute("rm -rf " .. dir)
end

function M.start(script, options)
  options = options or {}
  local dir = M.directory()
  M.write(dir .. "/script", string.dump(script))
  M.write(dir .. "/options.json", cjson.encode {
    data = options.data or {}, host = options.host or "127.0.0.1",
    tls = options.tls and {
      pem = options.tls.pem, key_pem = options.tls.key_pem, later = options.tls_later,
      protocol = options.protocol, ciphers = options.ciphers,
    },
  })
  local self = setmetatable({ dir = dir }, Server)
  self.process = assert(sys.spawn {
    argv = { interpreter(), CHILD, dir }, stdin = "/dev/null", stdout = dir .. "/stderr",
    stderr = dir .. "/stderr", die_with_parent = true,
  })
  running[self] = true
  self.port = math.floor(self:await("listening", 1, START_SECONDS)[1].port)
  self.address = ("%s:%d"):format(options.host == "::1" and "[::1]" or "127.0.0.1", self.port)
  self.url = (options.tls and "https://" or "http://") .. self.address
  return self
end

function M.stop_all()
  for server in pairs(running) do
    server:stop()
  end
end

--- A directory with `ca.pem`, and an authority to make server pairs with: identity.pair(alt_names).
function M.identity()
  local now = os.time()
  local authority = pki.authority("spec authority", now)
  local self = { dir = M.directory() }
  self.ca_file = self.dir .. "/ca.pem"
  M.write(self.ca_file, authority.pem)
  function self.pair(alt_names)
    return pki.server(authority, {
      common_name = "spec server", alt_names = alt_names or "IP:127.0.0.1",
      not_before = now - 3600, not_after = now + 3600,
    })
  end
  function self.remove()
    M.remove(self.dir)
  end
  return self
end

return M
