--- `pcall` that a coroutine may yield across, which PUC Lua 5.1 cannot.
-- @module cce.host.protect
-- @local
local M = {}

-- The coroutine that others see as running, for those made here.
local outer = setmetatable({}, { __mode = "k" })

--- The coroutine to resume in order to wake the code that runs now.
-- @treturn thread
function M.running()
  local thread = coroutine.running()
  return thread and outer[thread] or thread
end

-- Runs the function in a coroutine and hands its yields on. What pcall calls,
-- C functions and tables with __call too, is more than a coroutine may run. The
-- main program yields to nobody, and is all that Ctrl-C interrupts in Lua 5.1: a
-- loop that waits must stay in it.
local function by_coroutine(fn, ...)
  if not coroutine.running() then return pcall(fn, ...) end
  local thread = coroutine.create(function(...) return fn(...) end)
  outer[thread] = M.running()
  local function step(ok, ...)
    if not ok then return false, ... end
    if coroutine.status(thread) == "dead" then return true, ... end
    return step(coroutine.resume(thread, coroutine.yield(...)))
  end
  return step(coroutine.resume(thread, ...))
end

-- Not tried out: nginx has coroutines of its own, which must not be yielded
-- while a module is being loaded.
local function can_yield_across_pcall()
  return _VERSION ~= "Lua 5.1" or rawget(_G, "jit") ~= nil
end

--- Call a function; true and its results, or false and what it raised.
-- @tparam function fn
-- @param ... its arguments
M.pcall = can_yield_across_pcall() and pcall or by_coroutine

--- Whether what was raised is Ctrl-C, which is of the whole program and no
-- failure of one item. LuaJIT lets its hook raise inside a coroutine, and the
-- prompt of `cce repl` raises it there.
-- @param problem
-- @treturn boolean
function M.is_interrupt(problem)
  return type(problem) == "string" and problem:find("interrupted!", 1, true) ~= nil
end

return M
