-- Runs wrk, and reads what bench/wrk/*.lua makes it print.
local core = require "cce.core"
local process = require "bench.lib.process"

local M = {}

local count = 0

local function spec_of(options)
  count = count + 1
  return {
    argv = { "wrk", "-t1", "-c" .. options.connections, "-d" .. options.seconds .. "s",
      "--timeout", "30s", "-s", "bench/wrk/" .. options.script, options.url },
    output = options.dir .. "/wrk." .. count,
  }
end

local function read_report(text)
  local line = text:match("\n(wrk%b{})") or ""
  local report = core.json.decode(line:sub(4))
  if not report then error("wrk did not report:\n" .. text, 0) end
  return report
end

--- Start wrk; the function returned waits for it and returns its report:
-- `{requests=, seconds=, errors=, p50=, p99=, max=}`, all times in seconds.
-- @tparam table options `{url=, script=, connections=, seconds=, dir=}`
function M.start(options)
  local spec = spec_of(options)
  local child = process.spawn(spec)
  return function()
    return read_report(process.finish(child, spec, options.seconds + 20))
  end
end

--- Run it alone; the report also has `cpu`, in seconds.
function M.run(options)
  local before = process.children_cpu()
  local report = M.start(options)()
  report.cpu = process.children_cpu() - before
  return report
end

return M
