-- Which certificates end soon? A report to be mailed by cron.
--
--   tools/run-lua 5.4 examples/expiry_report.lua
--
-- With files, directories or patterns as arguments it looks at these, and ends
-- with 1 when one of them needs somebody's attention:
--
--   tools/run-lua 5.4 examples/expiry_report.lua ~/.kube/config /srv/kubeconfigs
local cce = require "cce"

local DAY = 86400
local SOON = 14 * DAY

-- Why somebody should look at it, or nil.
local function attention(entry)
  if entry.err then return "it cannot be used" end
  if entry.expired then return "expired" end
  if entry.key_matches == false then return "its key does not match its certificate" end
  if entry.remaining < SOON then
    return ("ends in %d days"):format(math.floor(entry.remaining / DAY))
  end
  return nil
end

local function report(paths)
  local entries = cce.expiry(paths)
  print(entries)
  local count = 0
  for _, entry in ipairs(entries) do
    local reason = attention(entry)
    if reason then
      count = count + 1
      local context = entry.context and " " .. entry.context or ""
      print(("!! %s%s: %s"):format(entry.path, context, reason))
    end
  end
  print(("%d certificates, %d need attention"):format(#entries, count))
  return count
end

if #arg > 0 then
  local paths = {}
  for i = 1, #arg do paths[i] = arg[i] end
  os.exit(report(paths) == 0 and 0 or 1)
end

local support = dofile((arg[0]:match "^(.*/)" or "./") .. "support.lua")

support.run("expiry", function(cloud)
  local client = cloud.client()
  assert(cce.workflow.issue(client, { dir = cloud.dir .. "/long", duration = 365 }))
  assert(cce.workflow.issue(client, { dir = cloud.dir .. "/short", duration = 3,
    clusters = { name = "*1" } }))
  io.open(cloud.dir .. "/short/broken.json", "w"):close()
  report { cloud.dir .. "/long", cloud.dir .. "/short" }
end)
