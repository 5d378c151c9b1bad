-- For wrk: one line of JSON at the end. Its own times are in microseconds.
local FORMAT = '\nwrk{"requests":%d,"seconds":%.6f,"errors":%d,"p50":%.6f,"p99":%.6f,"max":%.6f}'

function done(summary, latency) -- luacheck: ignore
  local errors = summary.errors
  print(FORMAT:format(summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1e6, latency:percentile(99) / 1e6, latency.max / 1e6))
end
