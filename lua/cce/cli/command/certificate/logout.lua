--- `cce logout`: drop the certificates that are kept for kubectl.
-- @module cce.cli.command.certificate.logout
-- @local
local cache = require "cce.exec.cache"
local exit = require "cce.cli.exit"
local show = require "cce.text.show"

local M = { name = "logout", summary = "Drop the certificates that cce credential keeps here." }

function M.describe(parser)
  parser:argument("cluster", "Ids of clusters; by default all."):args("*"):argname("ID")
  parser:epilog("Nothing is sent: the certificates stay valid elsewhere until their end. cce revoke"
    .. " ends them.")
end

function M.run(args, ui)
  local kept, message, err = cache.clusters()
  if not kept then return ui:fail(message, err) end
  local count, worst = 0, exit.DONE
  for _, id in ipairs(#args.cluster > 0 and args.cluster or kept) do
    local cleared, problem = cache.clear(id)
    if problem then
      worst = ui:fail("a certificate is still kept: " .. problem)
    elseif cleared == 0 and #args.cluster > 0 then
      ui:warn(("nothing is kept for '%s'; clusters are named by id"):format(id))
    end
    count = count + cleared
  end
  local code = ui:show({ dropped = count }, ("%s %s dropped"):format(
    show.count(count, "certificate"), count == 1 and "was" or "were"), tostring(count))
  return code == exit.DONE and worst or code
end

return M
