-- What the specs of rotations share: options that take no real time, a child
-- that rotates and is killed, and what the simulator saw.
local cce = require "cce"
local hosts = require "spec.support.hosts"
local luassert = require "luassert"
local sys = require("cce.core").sys

local M = {}

--- A client that never waits long.
function M.client(sim, more)
  return hosts.client(sim, more)
end

--- Options of cce.workflow.rotate with short waits and no rate limit.
function M.options(more)
  local opts = { clusters = { name = "*" }, rate_limit = false,
    wait = { interval = 0.02, timeout = 120 } }
  for name, value in pairs(more or {}) do opts[name] = value end
  return opts
end

function M.rotate(client, more)
  return cce.workflow.rotate(client, M.options(more))
end

--- How many rotations of each cluster the simulator accepted.
-- @treturn table by cluster id
-- @treturn number of clusters
function M.accepted(sim)
  local counts, clusters = {}, 0
  for _, entry in ipairs(sim:log { operation = "rotate_credentials", accepted = true }) do
    if not counts[entry.cluster] then clusters = clusters + 1 end
    counts[entry.cluster] = (counts[entry.cluster] or 0) + 1
  end
  return counts, clusters
end

--- The cluster ids of a list of a report, as a set.
function M.ids_of(...)
  local set = {}
  for _, list in ipairs { ... } do
    for _, item in ipairs(list) do set[item.cluster_id] = true end
  end
  return set
end

-- The child: rotates, and writes its report as JSON.
local CHILD = [[
  local cce = require "cce"
  local hosts_env = function(name) return os.getenv(name) end
  local client = assert(cce.new { endpoint = hosts_env "CCE_ENDPOINT", proxy = false,
    ca_file = hosts_env "CCE_CA_FILE", retry = { base = 0.01, cap = 0.02, max_attempts = 2 },
    timeout = 5, connect_timeout = 2 })
  local report, message = cce.workflow.rotate(client, { clusters = { name = "*" },
    rate_limit = false, journal = %q, concurrency = %d,
    wait = { interval = 0.02, timeout = 120 } })
  if not report then
    print("ERROR " .. message)
    os.exit(9)
  end
  print("REPORT " .. require("cce.core").json.encode(report:to_table()))
  os.exit(report:exit_code())
]]

--- Starts a process that rotates all clusters with a journal.
-- @tparam ?int kilobytes the largest file that it may write
function M.child(sim, journal, concurrency, kilobytes)
  return hosts.script(sim, CHILD:format(journal, concurrency), kilobytes)
end

--- Makes so many requests of clusters at random fail by a broken connection.
-- @treturn number how many rotations may be lost
function M.cut_network(sim, count)
  local operations = { "rotate_credentials", "show_cluster", "show_job" }
  local lost = 0
  for _ = 1, count do
    local operation = operations[math.random(#operations)]
    if operation == "rotate_credentials" then lost = lost + 1 end
    sim:fault { operation = operation, cluster = sim.clusters[math.random(#sim.clusters)].id,
      reset = math.random(2) == 1 and "before" or "after", times = 1 }
  end
  return lost
end

--- Kills a child with SIGKILL after so many seconds, unless it ends before.
-- @treturn boolean whether it was killed
function M.kill_after(child, seconds)
  local deadline = sys.monotonic() + seconds
  while child.process:alive() and sys.monotonic() < deadline do sys.sleep(0.001) end
  local alive = child.process:alive()
  if alive then child.process:signal("SIGKILL") end
  child:finish()
  return alive
end

--- Clusters whose last line in a journal is an intent: requests under way.
function M.in_flight(path)
  local run, ids = require("cce.log.journal").read(path).runs[1], {}
  for _, item in ipairs(run and run.order or {}) do
    if item.what == "intent" then ids[#ids + 1] = item.cluster end
  end
  return ids
end

--- Kills a run so many times at random moments, resumes it until it has finished,
-- and checks what must hold whatever happened.
-- @treturn number how many requests were under way at the kills
-- @treturn table the report
-- @treturn number how many starts were killed before they ended by themselves
-- @tparam table opts `sim`, `journal`, `kills`, `concurrency`, `longest` (seconds
--   between two kills), `seed`, `before(kill)`: called before each start
function M.chaos(opts)
  io.write(("[seed %d] "):format(opts.seed))
  math.randomseed(opts.seed)
  local under_way, killed = 0, 0
  for kill = 1, opts.kills do
    if opts.before then opts.before(kill) end
    local child = M.child(opts.sim, opts.journal, opts.concurrency)
    local was_killed = M.kill_after(child, 0.02 + math.random() * opts.longest)
    killed = killed + (was_killed and 1 or 0)
    under_way = under_way + #M.in_flight(opts.journal)
  end
  if opts.before then opts.before(nil) end
  return under_way, M.finish_run(opts), killed
end

--- Starts a run without killing it, until nothing is pending: what no evidence settles stays
-- uncertain, and so the run open.
-- @treturn table the report, as tables
function M.finish_run(opts)
  for _ = 1, 20 do
    local _, output = M.child(opts.sim, opts.journal, opts.concurrency):finish()
    local text = output:match "REPORT ([^\n]*)"
    assert(text, output)
    local report = require("cce.core").json.decode(text)
    if report.counts.pending == 0 then return report end
  end
  error "the run never finished"
end

--- What must hold after any chaos: no cluster accepted twice, nothing lost.
function M.check(sim, report, under_way)
  local counts = M.accepted(sim)
  local known = M.ids_of(report.ok, report.uncertain)
  for id, count in pairs(counts) do
    assert(count == 1, ("%s was rotated %d times"):format(id, count))
    assert(known[id], id .. " was accepted, but is neither ok nor uncertain")
  end
  for _, item in ipairs(report.ok) do
    assert(counts[item.cluster_id], item.cluster_id .. " is ok, but was never accepted")
  end
  luassert.equal(#sim.clusters, report.counts.total, "clusters are missing from the report")
  assert(report.counts.uncertain <= under_way, ("%d uncertain, %d were under way"):format(
    report.counts.uncertain, under_way))
end

return M
