--- What the specs of cce.map and of the event loops share.
local cce = require("cce")
local simulator = require("spec.support.sim")
local sys = require("cce.core").sys
local tempdir = require "spec.support.tempdir"

local M = {}

--- A client of the simulator; more: further options.
function M.client(sim, more)
  local env = sim.env
  local opts = {
    endpoint = env.CCE_ENDPOINT, ca_file = env.CCE_CA_FILE, proxy = false,
    project_id = env.HUAWEICLOUD_SDK_PROJECT_ID,
    credentials = { ak = env.HUAWEICLOUD_SDK_AK, sk = env.HUAWEICLOUD_SDK_SK },
    retry = { base = 0.01, cap = 0.02 },
  }
  for name, value in pairs(more or {}) do opts[name] = value end
  -- Time is one, unless a spec says otherwise.
  opts.monotonic = opts.monotonic or opts.clock
  return assert(cce.new(opts))
end

--- Kilobytes of memory that this process holds.
function M.resident()
  for line in io.lines("/proc/self/status") do
    local kilobytes = line:match("^VmRSS:%s*(%d+)")
    if kilobytes then return tonumber(kilobytes) end
  end
end

--- Runs a Lua script as a process of its own, on the modules of this one.
-- `kilobytes` limits the size of the files that it may write, as a full disk does.
function M.script(sim, text, kilobytes)
  local dir = sys.mkdir_private(tempdir.root .. "/cce-spec-XXXXXX")
  local path, out = dir .. "/script.lua", dir .. "/out"
  simulator.write(path, ("package.path, package.cpath = %q, %q\n"):format(
    package.path, package.cpath) .. text)
  simulator.write(out, "")
  local env = {}
  for name, value in pairs(sim and sim.env or {}) do env[name] = value end
  local argv = { "/usr/bin/env" }
  for name, value in pairs(env) do argv[#argv + 1] = name .. "=" .. value end
  if kilobytes then
    argv[#argv + 1] = "/bin/sh"
    argv[#argv + 1] = "-c"
    argv[#argv + 1] = ("trap '' XFSZ; ulimit -f %d; exec \"$@\""):format(kilobytes * 2)
    argv[#argv + 1] = "sh"
  end
  argv[#argv + 1] = simulator.interpreter()
  argv[#argv + 1] = path
  local process = assert(sys.spawn({ argv = argv, stdin = "/dev/null", stdout = out,
    stderr = out, die_with_parent = true }))
  return {
    process = process,
    text = function() return simulator.read(out) end,
    --- Waits until the output has the text.
    wait_for = function(self, wanted)
      local deadline = sys.monotonic() + 120
      while not self.text():find(wanted, 1, true) do
        assert(process:alive() and sys.monotonic() < deadline, self.text())
        sys.sleep(0.005)
      end
    end,
    --- Waits for its end; its exit code and output.
    finish = function(self)
      local code, signal = process:wait(120)
      local output = self.text()
      process:close()
      simulator.remove(dir)
      return code, output, signal
    end,
  }
end

--- How often `clusters[i]` comes round: a list of so many cluster ids.
function M.ids(sim, count)
  local ids = {}
  for i = 1, count do ids[i] = sim.clusters[(i - 1) % #sim.clusters + 1].id end
  return ids
end

return M
