-- Many rotations through cce.map. Prints what it took, as JSON.
--   lua bench/programs/bulk.lua PORT CA-FILE COUNT CONCURRENCY
local cce = require "cce"
local account = require "bench.lib.account"
local core = require "cce.core"
local process = require "bench.lib.process"

local port, ca_file, count, concurrency = arg[1], arg[2], tonumber(arg[3]), tonumber(arg[4])
local client = assert(cce.new(account.options(port, ca_file)))
local monotonic = core.sys.monotonic
local items, latencies = {}, {}
for i = 1, count do items[i], latencies[i] = i, 0 end

collectgarbage()
local before = process.resident()
local cpu, wall = os.clock(), monotonic()
local results = cce.map(items, function(i)
  local start = monotonic()
  local job, message, err = client:rotate_credentials(account.cluster_id, { component = "all" })
  latencies[i] = monotonic() - start
  return job, message, err
end, { concurrency = concurrency })
cpu, wall = os.clock() - cpu, monotonic() - wall

local failed, first_failure = 0, nil
for _, result in ipairs(results) do
  if not result.ok then
    failed, first_failure = failed + 1, first_failure or result.message
  end
end
local peak = process.peak_resident()
-- What the results alone take: what is freed with them, all else being kept.
collectgarbage()
collectgarbage()
local with_results = collectgarbage("count")
results = nil -- luacheck: ignore
collectgarbage()
collectgarbage()
local result_bytes = (with_results - collectgarbage("count")) * 1024
client:close()
table.sort(latencies)

print((core.json.encode {
  wall = wall, cpu = cpu, failed = failed, first_failure = first_failure,
  resident_before = before, peak_resident = peak, result_bytes = result_bytes,
  median = latencies[math.ceil(count / 2)], p99 = latencies[math.ceil(count * 0.99)],
  slowest = latencies[count],
}))
