-- Kubeconfigs for a team: everyone gets one file with all clusters in it.
--
--   tools/run-lua 5.4 examples/team_kubeconfigs.lua
--
-- A certificate names who obtained it, and that is who Kubernetes sees. So each
-- person's file is obtained with that person's own keys, and can be revoked
-- without touching the others'. Run it every night: what is still good is kept.
local cce = require "cce"
local support = dofile((arg[0]:match "^(.*/)" or "./") .. "support.lua")

local DAY = 86400

local function issue_for(member, dir)
  print("== " .. member.name)
  local report = assert(cce.workflow.issue(member.client, {
    merge_into = ("%s/%s.kubeconfig"):format(dir, member.name),
    duration = 30,
    min_remaining = 7 * DAY,
    on_progress = cce.progress { label = "   " .. member.name, stream = io.stdout },
  }))
  print(report)
  return report:exit_code()
end

support.run("team", function(cloud)
  local team = {
    { name = "ada", client = cloud.client(cloud.keys[1]) },
    { name = "bob", client = cloud.client(cloud.keys[2]) },
  }
  for night = 1, 2 do
    print("Night " .. night)
    for _, member in ipairs(team) do
      assert(issue_for(member, cloud.dir) == 0, "not all is well: see the report")
    end
  end
  print(cce.kubeconfig.load(cloud.dir .. "/ada.kubeconfig"):contexts())
  print(cce.expiry(cloud.dir .. "/*.kubeconfig"))
end)
