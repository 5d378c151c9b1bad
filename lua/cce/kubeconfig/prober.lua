--- What `probe` needs of a client: connections, and no credentials.
-- @module cce.kubeconfig.prober
-- @local
local configuration = require "cce.api.configuration"
local core = require "cce.core"
local host = require "cce.host"

local M = {}

local CONNECT_TIMEOUT = 5

--- Makes one; the engine is made when it is first used.
-- @treturn table with the functions `engine` and `close`
function M.new()
  local self = {}
  function self.engine()
    if self.transport then return self.transport end
    local config = {}
    local ok, message = configuration.set_proxy(config)
    if not ok then return nil, message end
    local driver = host.current()
    self.transport, message = driver.engine {
      proxy = config.proxy, no_proxy = config.no_proxy, connect_timeout = CONNECT_TIMEOUT,
      user_agent = "lua-cce/" .. core._VERSION,
    }
    self.is_shared = driver.shares_engines
    return self.transport, message
  end
  function self.close()
    if self.transport and not self.is_shared then host.close(self.transport) end
  end
  return self
end

return M
