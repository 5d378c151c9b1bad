--- Chooses the server certificate of a cluster's listener during the TLS handshake.
local addresses = require("cce.sim.addresses")
local ssl = require("ngx.ssl")
local state = require("cce.sim.store.state")

local M = {}

--- For ssl_certificate_by_lua.
function M.choose()
  local bytes = assert(ssl.raw_server_addr())
  local address = table.concat({ bytes:byte(1, 4) }, ".")
  local identity = state.identity(state.cluster_at(addresses.cluster_index(address)))
  identity.parsed = identity.parsed or {
    certificate = assert(ssl.parse_pem_cert(identity.server.pem)),
    key = assert(ssl.parse_pem_priv_key(identity.server.key_pem)),
  }
  assert(ssl.clear_certs())
  assert(ssl.set_cert(identity.parsed.certificate))
  assert(ssl.set_priv_key(identity.parsed.key))
end

return M
