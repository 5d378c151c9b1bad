--- What runs inside nginx: the entry points that its configuration names.
local json = require("cce.sim.server.json")
local state = require("cce.sim.store.state")

local M = {}

--- For init_by_lua: loads everything, so that a fault in the code stops the start.
--
-- Nothing is compiled: with the compiler on, this process was seen to die inside LuaJIT, rarely
-- and with a table that was none (Debian's build of January 2023). It need not be fast.
function M.init()
  require("jit").off()
  local file = assert(io.open(ngx.config.prefix() .. "config.json"))
  local config = assert(json.decode(file:read("*a")))
  file:close()
  for _, key in ipairs(config.keys) do
    config.tokens[key.token] = key.principal
  end
  state.setup(config)
  M.gateway = require("cce.sim.server.gateway")
  M.kubernetes = require("cce.sim.service.kubernetes")
  M.control = require("cce.sim.service.control")
  M.tls = require("cce.sim.server.tls")
end

--- For init_worker_by_lua: all listeners are open by now, and the supervisor waits for this file.
function M.ready()
  local file = assert(io.open(ngx.config.prefix() .. "ready", "w"))
  file:close()
end

return M
