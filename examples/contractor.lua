-- Somebody helps out until a time: access that ends then, whatever happens.
--
--   tools/run-lua 5.4 examples/contractor.lua
--
-- The end is in the schedule before the certificate is obtained. Who runs the
-- schedule, here or on another machine, revokes when it is time.
local cce = require "cce"
local support = dofile((arg[0]:match "^(.*/)" or "./") .. "support.lua")

-- Half an hour must not take half an hour here. A script of one's own has no such clock.
local ahead = 0

local function story_time() return os.time() + ahead end

local function let_pass(cloud, seconds)
  ahead = ahead + seconds
  cloud.control("clock", ('{"offset":%d}'):format(ahead))
  print(("\n%d minutes later:"):format(seconds / 60))
end

-- The contractor's own keys: obtaining returns the certificate of whoever asks.
local function hand_out(cloud, schedule, cluster)
  local contractor = cloud.client(cloud.keys[2])
  local grant = assert(cce.workflow.grant(contractor, schedule, { cluster_id = cluster.id,
    seconds = 30 * 60, grantee = true,
    reason = "helps with the migration" }))
  contractor:close()
  return grant
end

-- What a service does: `cce schedule run`. Its keys are of somebody who may revoke.
local function do_what_is_due(schedule, admin)
  local result = assert(schedule:run(function() return admin end, { until_idle = true }))
  print(result)
  return result.done
end

local function show_whether_it_works(cloud, path)
  cloud.cce("who", "--check", path)
end

support.run("contractor", function(cloud)
  local admin = cloud.client(cloud.keys[1])
  local schedule = assert(cce.schedule.open("sqlite:" .. cloud.dir .. "/schedule.db",
    { clock = story_time }))
  print("On a simulated cloud in " .. cloud.dir .. ":")
  local grant = hand_out(cloud, schedule, assert(admin:list_clusters())[1])
  local path = cloud.dir .. "/contractor.json"
  assert(grant.kubeconfig:save(path))
  print(grant)
  show_whether_it_works(cloud, path)

  let_pass(cloud, 20 * 60)
  assert(do_what_is_due(schedule, admin) == 0, "it is not time yet")

  let_pass(cloud, 11 * 60)
  assert(do_what_is_due(schedule, admin) == 1, "it was time")
  print(assert(schedule:list { status = "done" }))
  show_whether_it_works(cloud, path)
  schedule:close()
  admin:close()
end)
