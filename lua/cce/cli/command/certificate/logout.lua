--- `cce logout`: drop the certificates that are kept for kubectl.
-- @module cce.cli.command.certificate.logout
-- @local
local cache = require "cce.exec.cache"

local M = { name = "logout", summary = "Drop the certificates that cce credential keeps here." }

function M.describe(parser)
  parser:argument("cluster", "Ids of clusters; by default all."):args("*"):argname("ID")
  parser:epilog("Nothing is sent: the certificates stay valid elsewhere until their end. cce revoke"
    .. " ends them.")
end

function M.run(args, ui)
  local ids = #args.cluster > 0 and args.cluster or cache.clusters()
  local count = 0
  for _, id in ipairs(ids) do
    local cleared = cache.clear(id)
    if cleared == 0 then
      ui:warn(("nothing is kept for '%s'; clusters are named by id"):format(id))
    end
    count = count + cleared
  end
  return ui:show({ dropped = count }, count == 1 and "1 certificate was dropped"
    or ("%d certificates were dropped"):format(count), tostring(count))
end

return M
