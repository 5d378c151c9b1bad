--- A piece of typed text, made into a function.
-- @module cce.repl.evaluate
-- @local
local M = {}

local function load_in(text, env)
  if not rawget(_G, "setfenv") then return load(text, "=prompt", "t", env) end
  local fn, message = loadstring(text, "=prompt")
  return fn and setfenv(fn, env), message
end

local function is_incomplete(message)
  return message:find("near '?<eof>'?$") ~= nil
end

-- LuaJIT's compiled loops look at no hook, and so at no Ctrl-C.
local function interruptible(fn)
  if rawget(_G, "jit") then jit.off(fn, true) end
  return fn
end

--- Compile what was typed: as an expression when it is one.
-- @tparam string text one or more lines
-- @tparam table env its globals
-- @treturn[1] function
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] boolean whether more lines may make it right
function M.compile(text, env)
  local expression = text:gsub("^%s*=", "")
  local fn = load_in("return " .. expression, env)
  if fn then return interruptible(fn) end
  local message
  fn, message = load_in(text, env)
  if fn then return interruptible(fn) end
  return nil, (message:gsub("^prompt:", "line ")), is_incomplete(message)
end

return M
