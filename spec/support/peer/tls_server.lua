--- openssl's own server, which asks for a client certificate: no library of ours sends its alerts.
-- What it answers tells of the handshake.
--
--   local tls = require("spec.support.peer.tls_server")
--   local s = tls.start { version = "-tls1_3", ca = pem }   -- whose clients it accepts
--   anyone = true                                          -- no client certificate is needed
--   pair = { pem=, key_pem= }, cipher = "…"                 -- other than its own, and usual ones
--   s.port, s.url, s.ca                                     -- whom to trust
--   tls.stop_all()                                          -- in after_each
local core = require "cce.core"
local server = require "spec.support.peer.server"

local M = {}

local running = {}
local START_SECONDS = 120

function M.start(options)
  local identity = server.identity()
  local made = options.pair or identity.pair(options.alt_names)
  local dir = identity.dir
  server.write(dir .. "/server.pem", made.pem)
  server.write(dir .. "/server.key", made.key_pem)
  server.write(dir .. "/clients.pem", options.ca or server.read(identity.ca_file))
  local process = assert(core.sys.spawn {
    argv = { "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", dir .. "/server.pem",
      "-key", dir .. "/server.key", options.anyone and "-verify" or "-Verify",
      options.anyone and "0" or "1", "-verify_return_error", "-CAfile", dir .. "/clients.pem",
      "-www", options.version,
      options.cipher and "-cipher", options.cipher },
    stdin = "/dev/null", stdout = dir .. "/out", stderr = dir .. "/err", die_with_parent = true,
  })
  local self = { process = process, identity = identity, ca = server.read(identity.ca_file) }
  running[#running + 1] = self
  -- Its port is known once it said so.
  local deadline = core.sys.monotonic() + START_SECONDS
  repeat
    core.sys.sleep(0.01)
    self.port = tonumber(server.read(dir .. "/out"):match "ACCEPT [%d.]+:(%d+)")
  until self.port or core.sys.monotonic() > deadline
  assert(self.port, server.read(dir .. "/err"))
  self.url = "https://127.0.0.1:" .. self.port
  return self
end

function M.stop_all()
  for i = #running, 1, -1 do
    running[i].process:close()
    running[i].identity.remove()
    running[i] = nil
  end
end

return M
