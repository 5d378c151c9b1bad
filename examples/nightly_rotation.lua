-- Rotate the fleet every night, from cron, with one journal:
--
--   0 2 * * *  lua5.4 nightly_rotation.lua /var/lib/cce/rotation.journal
--
-- The journal names the night: a run that was cut short is resumed by the next
-- start, a night that is done is not done twice, and the next night is a new
-- run. Without arguments it shows two nights on a simulated cloud:
--
--   tools/run-lua 5.4 examples/nightly_rotation.lua
local cce = require "cce"

local function rotate(client, journal, night, changes)
  local opts = {
    clusters = { status = "Available" },
    component = "service-account-controller",
    journal = journal,
    run = night,
    canary = 1,           -- one cluster first; if that fails, no other is touched
    max_failures = "10%",
    wait = true,
  }
  for name, value in pairs(changes or {}) do opts[name] = value end
  local report, _, err = cce.workflow.rotate(client, opts)
  if not report then
    io.stderr:write(tostring(err), "\n")
    return 1
  end
  print(report)
  return report:exit_code()
end

if arg[1] then
  -- Region, project and keys come from the environment or the profile file.
  local client, _, err = cce.new {}
  if not client then
    io.stderr:write(tostring(err), "\n")
    os.exit(1)
  end
  local status = rotate(client, arg[1], os.date "!%Y-%m-%d")
  os.exit(status == 3 and 0 or status) -- that tonight is done already is fine
end

local support = dofile((arg[0]:match "^(.*/)" or "./") .. "support.lua")

support.run("nightly", function(cloud)
  local client, journal = cloud.client(), cloud.dir .. "/rotation.journal"
  print("the journal: " .. journal)
  -- Nobody waits here: no more than a few requests leave anyway.
  local quick = { rate_limit = false, wait = { interval = 0.2 } }
  for _, night in ipairs { "2026-03-01", "2026-03-01", "2026-03-02" } do
    print("\n== the night of " .. night)
    print("exit status " .. rotate(client, journal, night, quick))
  end
end)
