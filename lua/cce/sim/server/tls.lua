--- Chooses the server certificate of a cluster's listener during the TLS handshake.
local addresses = require("cce.sim.addresses")
local ssl = require("ngx.ssl")
local state = require("cce.sim.store.state")

local M = {}

local function parse(pair)
  return {
    certificate = assert(ssl.parse_pem_cert(pair.pem)),
    key = assert(ssl.parse_pem_priv_key(pair.key_pem)),
  }
end

local function address()
  local bytes = assert(ssl.raw_server_addr())
  return table.concat({ bytes:byte(1, 4) }, ".")
end

--- For ssl_certificate_by_lua.
function M.choose()
  local identity = state.identity(state.clusters[addresses.cluster_index(address())])
  identity.parsed = identity.parsed or parse(identity.server)
  assert(ssl.clear_certs())
  assert(ssl.set_cert(identity.parsed.certificate))
  assert(ssl.set_priv_key(identity.parsed.key))
end

return M
