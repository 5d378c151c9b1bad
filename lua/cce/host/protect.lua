--- What calls that wait have to do with coroutines: a `pcall` that may be yielded
-- across, which PUC Lua 5.1 does not have; whether the running code can be
-- suspended; and Ctrl-C.
-- @module cce.host.protect
-- @local
local core = require "cce.core"

local M = {}

-- Not tried out: nginx has coroutines of its own, which must not be yielded
-- while a module is being loaded.
local YIELDS_ACROSS_C = _VERSION ~= "Lua 5.1" or rawget(_G, "jit") ~= nil

-- Coroutine made here → the one that called it, as which it passes for others.
local parents = setmetatable({}, { __mode = "k" })

--- The coroutine to resume in order to wake the code that runs now.
-- @treturn thread
function M.running()
  local thread = coroutine.running()
  while parents[thread] do thread = parents[thread] end
  return thread
end

-- Runs the function in a coroutine and hands its yields on. What pcall calls,
-- C functions and tables with __call too, is more than a coroutine may run. The
-- main program cannot yield, and is all that Ctrl-C interrupts in Lua 5.1: a
-- loop that waits must stay in it.
local function by_coroutine(fn, ...)
  local caller = coroutine.running()
  if not caller then return pcall(fn, ...) end
  local thread = coroutine.create(function(...) return fn(...) end)
  parents[thread] = caller
  local function step(ok, ...)
    if not ok then return false, ... end
    if coroutine.status(thread) == "dead" then return true, ... end
    return step(coroutine.resume(thread, coroutine.yield(...)))
  end
  return step(coroutine.resume(thread, ...))
end

--- Call a function; true and its results, or false and what it raised.
-- @tparam function fn
-- @param ... its arguments
M.pcall = YIELDS_ACROSS_C and pcall or by_coroutine

--- Whether a yield must be tried before anything depends on it: `check_yield` does
-- not see all that is in its way.
M.must_try_yield = not YIELDS_ACROSS_C

--- Whether the running coroutine can be suspended here. On PUC Lua 5.1 it cannot
-- inside of a C function, such as pcall. (A metamethod, which cannot be yielded
-- across either, does not show.)
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string why not
function M.check_yield()
  if YIELDS_ACROSS_C then return true end
  local thread = coroutine.running()
  while thread do
    -- Level 0 is what looks here, or what has resumed the one before.
    local level, info = 1, debug.getinfo(thread, 1, "Sn")
    while info do
      if info.what == "C" then
        return nil, ("Lua 5.1 cannot wait inside of %s, a C function; for pcall there is cce.pcall")
          :format(info.name or "?")
      end
      level = level + 1
      info = debug.getinfo(thread, level, "Sn")
    end
    thread = parents[thread]
  end
  return true
end

--- Ctrl-C as our own prompt raises it.
M.INTERRUPT = setmetatable({}, {
  __name = "cce.interrupt",
  __tostring = function() return "interrupted!" end,
})

--- Whether what was raised is Ctrl-C, which is of the whole program and no
-- failure of one item. The interpreters of PUC Lua and LuaJIT raise this text from
-- a hook, at any place, after they have given the signal its default action back:
-- the same words from anywhere else are no interrupt.
-- @param problem
-- @treturn boolean
function M.is_interrupt(problem)
  if problem == M.INTERRUPT then return true end
  return type(problem) == "string" and problem:find "interrupted!$" ~= nil
    and core.sys.signal_is_default "SIGINT"
end

local function raise_interrupt(ok, ...)
  if not ok and M.is_interrupt((...)) then error((...), 0) end
  return ok, ...
end

--- The same as `pcall`, but Ctrl-C is raised on: it is no failure of the function
-- that it came in. For whatever goes on after a failure.
-- @tparam function fn
-- @param ... its arguments
function M.catch(fn, ...)
  return raise_interrupt(M.pcall(fn, ...))
end

return M
