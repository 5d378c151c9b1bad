-- Other programs, and what this one takes. Linux: reads /proc.
local M = {}

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

M.read = read

function M.write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  file:close()
end

local function status_bytes(name)
  return tonumber(read("/proc/self/status"):match(name .. ":%s*(%d+) kB")) * 1024
end

--- Bytes of memory that this process has now, and at most had.
function M.resident() return status_bytes("VmRSS") end
function M.peak_resident() return status_bytes("VmHWM") end

-- The sum of two fields of a process's stat, which are counted from the state on:
-- 12 and 13 are its own CPU, 14 and 15 that of the children it has waited for.
local function ticks(pid, first)
  local position, sum = 0, 0
  for field in read("/proc/" .. pid .. "/stat"):match("^.*%) (.*)$"):gmatch("%S+") do
    position = position + 1
    if position == first or position == first + 1 then sum = sum + tonumber(field) end
  end
  return sum / 100
end

--- CPU seconds of the children of this process that have been waited for.
function M.children_cpu() return ticks("self", 14) end

--- CPU seconds of a process with all its threads.
function M.cpu_of(pid) return ticks(pid, 12) end

--- The only child of a process.
function M.child_of(pid)
  return read(("/proc/%d/task/%d/children"):format(pid, pid)):match("%d+")
end

local function environment(extra)
  local list = { "PATH=" .. (os.getenv("PATH") or "/usr/bin:/bin"), "LC_ALL=C" }
  for name, value in pairs(extra or {}) do list[#list + 1] = name .. "=" .. value end
  return list
end

--- Start a program that ends with us.
-- @tparam table spec `{argv=, env={NAME=value}, output=path}`
function M.spawn(spec)
  local core = require "cce.core"
  return assert(core.sys.spawn {
    argv = spec.argv, env = environment(spec.env), stdin = "/dev/null",
    stdout = spec.output or "/dev/null", stderr = spec.errors or spec.output or "/dev/null",
    die_with_parent = true,
  })
end

--- Wait for a program that `spawn` started, and read what it printed.
-- @treturn string
function M.finish(process, spec, seconds)
  process:wait(seconds or 60)
  if process:alive() then
    process:signal("SIGKILL")
    process:wait(5)
    error(table.concat(spec.argv, " ") .. ": not done in time", 0)
  end
  local text = read(spec.output)
  os.remove(spec.output)
  return text
end

--- Both.
function M.run(spec, seconds)
  return M.finish(M.spawn(spec), spec, seconds)
end

return M
