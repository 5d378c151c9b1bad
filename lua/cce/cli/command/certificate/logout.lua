--- `cce logout`: drop the certificates that are kept for kubectl.
-- @module cce.cli.command.certificate.logout
-- @local
local cache = require "cce.exec.cache"
local show = require "cce.text.show"

local M = { name = "logout", summary = "Drop the certificates that cce credential keeps here." }

function M.describe(parser)
  parser:argument("cluster", "Ids of clusters; by default all."):args("*"):argname("ID")
  parser:epilog("Nothing is sent: the certificates stay valid elsewhere until their end. cce revoke"
    .. " ends them.")
end

function M.run(args, ui)
  local ids, problem = args.cluster, nil
  if #ids == 0 then ids, problem = cache.clusters() end
  local count, problems = 0, { problem }
  for _, id in ipairs(ids) do
    local cleared
    cleared, problem = cache.clear(id)
    problems[#problems + 1] = problem
    if cleared == 0 and not problem and #args.cluster > 0 then
      ui:warn(("nothing is kept for '%s'; clusters are named by id"):format(id))
    end
    count = count + cleared
  end
  local code = ui:show({ dropped = count }, ("%s %s dropped"):format(
    show.count(count, "certificate"), count == 1 and "was" or "were"), tostring(count))
  for _, each in ipairs(problems) do
    code = ui:fail("what is kept could not be dropped: " .. each)
  end
  return code
end

return M
