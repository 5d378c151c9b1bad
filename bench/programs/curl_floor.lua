-- The same requests as bulk.lua by libcurl alone. Prints what it took, as JSON.
--   lua bench/programs/curl_floor.lua PORT CA-FILE COUNT CONCURRENCY
local account = require "bench.lib.account"
local core = require "cce.core"
local curl_floor = require "curl_floor"
local process = require "bench.lib.process"

local port, ca_file, count, concurrency = arg[1], arg[2], tonumber(arg[3]), tonumber(arg[4])
local headers = { "Expect:" }
for name, value in pairs(account.headers) do headers[#headers + 1] = name .. ": " .. value end

collectgarbage()
local before = process.resident()
local cpu, wall = os.clock(), core.sys.monotonic()
local failed, latencies = curl_floor.run {
  url = "https://127.0.0.1:" .. port .. account.path, ca_file = ca_file, body = account.body,
  headers = headers, count = count, concurrency = concurrency,
}
cpu, wall = os.clock() - cpu, core.sys.monotonic() - wall
table.sort(latencies)

print((core.json.encode {
  wall = wall, cpu = cpu, failed = failed, resident_before = before,
  peak_resident = process.peak_resident(), result_bytes = 0,
  median = latencies[math.ceil(count / 2)], p99 = latencies[math.ceil(count * 0.99)],
  slowest = latencies[count],
}))
