-- Somebody leaves: what he holds is cut in every cluster, and shown to be cut, and he
-- leaves its bindings.
--
--   tools/run-lua 5.4 examples/leaver.lua
--
-- A deleted user's certificates stay valid until they are revoked. CTS tells who
-- was deleted; kubeconfigs that were handed out tell whether it worked.
local cce = require "cce"
local support = dofile((arg[0]:match "^(.*/)" or "./") .. "support.lua")

local function hand_out(client, clusters)
  local held = {}
  for _, cluster in ipairs(clusters) do
    held[cluster.id] = assert(client:obtain_cert(cluster.id, { duration = 30 }))
  end
  return held
end

support.run("leaver", function(cloud)
  local admin, leaver = cloud.client(cloud.keys[1]), cloud.client(cloud.keys[2])
  local held = hand_out(leaver, assert(admin:list_clusters()))
  print(("On a simulated cloud in %s, %s has a kubeconfig of every cluster, and leaves.\n"):format(
    cloud.dir, cloud.keys[2].principal.name))
  local before = os.time() - 60
  cloud.control("delete", ('{"kind":"user","id":"%s"}'):format(cloud.keys[2].principal.id))

  -- What would be done.
  local everyone = { clusters = { name = "*" }, deleted_since = before, dry_run = true }
  print(assert(cce.workflow.revoke(admin, everyone)))

  -- Done, and asked of each cluster with the certificate itself.
  local report = assert(cce.workflow.revoke(admin, {
    clusters = { name = "*" }, deleted_since = before, verify = held, remove = true,
    undo = cloud.dir .. "/undo.json",
    on_progress = cce.progress { label = "   revoke", stream = io.stdout },
  }))
  print(report)
  for _, item in ipairs(report.ok) do
    print(("  %s %s, taken out of %s"):format(item.name, item.message, item.removed))
  end
  assert(report:exit_code() == 0, "not all is well: see the report")
  admin:close()
  leaver:close()
end)
