-- The main job from end to end, on a simulator of its own: `make demo`.
--
-- A fleet gets its kubeconfigs, kubectl works with one, a cluster is rotated, a
-- user is revoked, and kubectl is refused. Everything goes through the code
-- that a real cloud would see, over TLS; only the cloud is a simulation. It
-- needs nginx with Lua, luaossl and kubectl, which `make demo` installs.
local cce = require "cce"
local core = require "cce.core"
local sys = core.sys

local CLUSTERS = 6
local support = dofile((arg[0]:match "^(.*/)" or "./") .. "support.lua")

-- ---- telling the story ---------------------------------------------------

local is_terminal = sys.is_terminal(1) and (os.getenv("NO_COLOR") or "") == ""

local function colored(code, text)
  return is_terminal and ("\27[%sm%s\27[0m"):format(code, text) or text
end

local step_number = 0

local function step(title)
  step_number = step_number + 1
  print(("\n%s %s"):format(colored("1;36", step_number .. "."), colored("1", title)))
end

local function code(line)
  print("   " .. colored("2", line))
end

local function say(text)
  for line in (text .. "\n"):gmatch("(.-)\n") do print("   " .. line) end
end

local function good(text)
  print("   " .. colored("32", "✓ ") .. text)
end

-- ---- what the story needs ------------------------------------------------

local dir, kubectl_home

local function has_kubectl()
  local ran = os.execute("command -v kubectl >/dev/null 2>&1")
  return ran == true or ran == 0
end

-- What kubectl prints, and whether it was content. Its HOME is a scratch one,
-- since it keeps what it learns of a server there.
local function kubectl(kubeconfig, ...)
  local out = dir .. "/kubectl.out"
  os.remove(out)
  local process = assert(sys.spawn {
    argv = { "env", "HOME=" .. kubectl_home, "kubectl", "--kubeconfig", kubeconfig, ... },
    stdin = "/dev/null", stdout = out, stderr = out,
  })
  local status = process:wait()
  -- What kubectl logs for its developers, line by line, is left out.
  local text = ("\n" .. (support.read(out) or "")):gsub("\n[EIW]%d%d%d%d [^\n]*", "")
  return text:gsub("^%s+", ""):gsub("%s+$", ""), status == 0
end

local function expect(condition, message)
  if not condition then error("the demo did not go as it should: " .. message, 0) end
end

local function show_kubectl(path, should_work)
  if not has_kubectl() then
    say("(kubectl is not installed: this part is left out)")
    return
  end
  code("$ kubectl --kubeconfig " .. path:match("[^/]+$") .. " get nodes")
  local started = sys.monotonic()
  local output, worked = kubectl(path, "get", "nodes")
  say(output)
  expect(worked == should_work, "kubectl " .. (worked and "still works" or "is refused"))
  good(("kubectl %s (after %.1f s)"):format(
    worked and "works" or "is refused", sys.monotonic() - started))
end

-- ---- the story -----------------------------------------------------------

local function connect(cloud)
  step("A client")
  code "local client = cce.new { region = …, project_id = …, credentials = { ak = …, sk = … } }"
  local client = cloud.client()
  say(tostring(client))
  code "client:list_clusters()"
  local clusters = assert(client:list_clusters())
  say(tostring(clusters))
  return client, clusters
end

local function obtain(client, cluster)
  local path = ("%s/%s.json"):format(dir, cluster.name)
  local kubeconfig = assert(client:obtain_cert(cluster.id, { duration = 30 }))
  assert(kubeconfig:save(path))
  return kubeconfig, path
end

local function obtain_fleet(client, clusters)
  step("A kubeconfig for every cluster, valid for 30 days")
  code "client:obtain_cert(cluster.id, { duration = 30 }):save(path)"
  local bar = cce.progress { total = #clusters, label = "   obtain", stream = io.stdout }
  local fleet = {}
  for i, cluster in ipairs(clusters) do
    local kubeconfig, path = obtain(client, cluster)
    fleet[i] = { cluster = cluster, kubeconfig = kubeconfig, path = path }
    bar:update(i)
  end
  bar:finish()
  say(tostring(fleet[1].kubeconfig))
  return fleet
end

local function rotate(client, item)
  step("Rotate the certificates of " .. item.cluster.name)
  code 'local job = client:rotate_credentials(cluster.id, { component = "all" })'
  local job = assert(client:rotate_credentials(item.cluster.id, { component = "all" }))
  code "client:wait_job(job.id)"
  local phases = { Initializing = 1, Running = 2, Success = 3 }
  local bar = cce.progress { total = 3, label = "   rotate", stream = io.stdout }
  job = assert(client:wait_job(job.id, {
    interval = 0.2,
    on_progress = function(now) bar:update(phases[now.phase] or 0) end,
  }))
  bar:finish()
  good(tostring(job))
  say("The kubeconfig from before the rotation is stale now:")
  show_kubectl(item.path, false)
  item.kubeconfig, item.path = obtain(client, item.cluster)
  say("A new one works:")
  show_kubectl(item.path, true)
end

local function revoke(client, item)
  step("Somebody leaves: revoke what " .. item.kubeconfig:certificate().user_id .. " holds")
  code "client:revoke_cert(cluster.id, { kubeconfig = kubeconfig })"
  assert(client:revoke_cert(item.cluster.id, { kubeconfig = item.kubeconfig }))
  show_kubectl(item.path, false)
end

local function refuse_wrong_key(cloud)
  step("And an error reads like this (a wrong secret key)")
  local client = cloud.client { ak = cloud.keys[1].ak, sk = "not-the-right-secret-key" }
  local clusters, _, err = client:list_clusters()
  expect(not clusters and err.code == "UNAUTHENTICATED", "a wrong key was accepted")
  say(tostring(err))
end

local function tell(cloud)
  dir, kubectl_home = cloud.dir, cloud.dir .. "/home"
  print(colored("1", "lua-cce " .. cce._VERSION) .. ", on a simulated cloud in " .. dir)
  local client, clusters = connect(cloud)
  local fleet = obtain_fleet(client, clusters)
  step("kubectl works with it")
  show_kubectl(fleet[1].path, true)
  rotate(client, fleet[2])
  revoke(client, fleet[1])
  refuse_wrong_key(cloud)
  client:close()
  print("\n" .. colored("1;32", "That is all.")
    .. " The README shows the same in three lines; `bin/cce sim` keeps a simulator running.")
end

support.run("demo", tell, CLUSTERS)
