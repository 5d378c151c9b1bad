--- One request to a cluster's own API, as the holder of a kubeconfig.
-- @module cce.kubeconfig.ask
-- @local
local host = require "cce.host"
local kubeconfigs = require "cce.kubeconfig"

local TIMEOUT, CONNECT_TIMEOUT = 10, 5

--- Send a request, once, and wait for its answer.
-- @tparam cce.client client whose connections are used: what has a method `engine`
-- @tparam cce.kubeconfig kubeconfig
-- @tparam table request `path` and `max_response`; `method`, by default GET; `query`,
--   `headers`, `body`, `mutating` and `private` as of `engine:submit`
-- @treturn[1] table the response, whatever its status
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] ?string code
-- @treturn[2] ?table what is known of how the transfer ended
return function(client, kubeconfig, request)
  local identity, message, err = kubeconfigs.identity(kubeconfig)
  if not identity then return nil, message, err and err.code end
  local engine, code, transfer
  engine, message, code = client:engine()
  if not engine then return nil, message, code end
  transfer, message, code = host.exchange(engine, {
    endpoint = identity.server, method = request.method or "GET", path = request.path,
    query = request.query, headers = request.headers, body = request.body,
    mutating = request.mutating, private = request.private,
    timeout = TIMEOUT, connect_timeout = CONNECT_TIMEOUT, max_response = request.max_response,
    identity = { ca = identity.ca, certificate = identity.certificate, key = identity.key,
      server_name = identity.server_name, proxy = identity.proxy, system_ca = true },
  })
  if not transfer then return nil, message, code end
  local response, reason, detail
  response, reason, code, detail = transfer:result()
  transfer:close()
  return response, reason, code, detail
end
