-- Ten times as much takes ten times as long, and no more memory for each: beside
-- the largest of some counts stands the one before. CPU, not wall time: what the
-- disk takes for each line of a journal is the disk's.
local child = require "bench.lib.child"
local process = require "bench.lib.process"

local KINDS = {
  { "rotate", "cluster, workflow with journal", { 100, 1000, 10000 } },
  { "ensure", "kubeconfig, ensure", { 500, 5000 } },
  { "expiry", "kubeconfig, expiry", { 500, 5000 } },
  { "status", "cluster, cce status", { 250, 1000 }, seconds = 10 },
  { "metrics", "cluster, cce metrics", { 250, 1000 }, seconds = 10 },
  { "schedule", "entry, schedule:list", { 500, 5000 } },
  { "audit", "line, audit_log.verify", { 100000, 1000000 }, most = 20 * 1048576 },
}

-- Pages come and go in such pieces: what grew by less did not grow.
local NO_GROWTH = 1048576

-- Files are written to memory where there is such a directory.
local function scratch(run)
  local dir = (os.execute("test -w /dev/shm") and "/dev/shm" or run.servers.dir) .. "/cce-growth"
  process.run { argv = { "rm", "-rf", dir }, output = run.servers.dir .. "/child" }
  process.run { argv = { "mkdir", "-m", "700", dir }, output = run.servers.dir .. "/child" }
  return dir
end

local function measure(run, kind, count)
  local dir = scratch(run)
  local result = child.run(run.lua_version, run.servers.dir, { "bench/programs/growth.lua", kind,
    count, run.servers.ports.at_once, run.servers.ca_file, dir, run.servers.ports.slow }, 600)
  process.run { argv = { "rm", "-rf", dir }, output = run.servers.dir .. "/child" }
  return result
end

return function(report, run)
  for _, row in ipairs(KINDS) do
    local kind, name, counts, before = row[1], row[2], row[3], nil
    for _, count in ipairs(counts) do
      local result = measure(run, kind, count)
      local cpu, memory = result.cpu / count, math.max(result.grown, NO_GROWTH) / count
      if before then
        local beside = ("at %d"):format(before.count)
        report:add { group = ("growth, %d"):format(count), measure = "CPU a " .. name, value = cpu,
          unit = "us", beside = beside, beside_value = before.cpu, ratio_at_most = 1.3 }
        report:add { group = ("growth, %d"):format(count), measure = "memory a " .. name,
          value = memory, unit = "KiB", beside = beside, beside_value = before.memory,
          ratio_at_most = 1.3 }
      end
      before = { count = count, cpu = cpu, memory = memory }
      if row.seconds and count == counts[#counts] then
        report:add { group = ("growth, %d"):format(count), measure = "wall, 50 ms server, " .. kind,
          value = result.wall, unit = "s", at_most = row.seconds }
      end
      if row.most and count == counts[#counts] then
        report:add { group = ("growth, %d"):format(count), measure = "resident memory, " .. kind,
          value = result.peak_resident, unit = "MiB", at_most = row.most }
      end
    end
  end
end
