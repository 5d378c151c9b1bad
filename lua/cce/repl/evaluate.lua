--- A piece of typed text, made into a function.
-- @module cce.repl.evaluate
-- @local
local M = {}

local function load_in(text, env)
  if not rawget(_G, "setfenv") then return load(text, "=prompt", "t", env) end
  local fn, message = loadstring(text, "=prompt")
  return fn and setfenv(fn, env), message
end

-- LuaJIT's compiled loops look at no hook, and so at no Ctrl-C.
local function interruptible(fn)
  if rawget(_G, "jit") then jit.off(fn, true) end
  return fn
end

-- Where a comment or a long string that begins at `i` ends; nil when none does.
local function end_of_block(text, i)
  local from = text:match("^%-%-()", i)
  local equals = text:match("^%[(=*)%[", from or i)
  if equals then
    local _, last = text:find("]" .. equals .. "]", from or i, true)
    return last or #text
  end
  return from and (text:find("\n", from, true) or #text + 1) - 1
end

-- A line that ends within a string goes on in the next one: the line end becomes part of
-- the string, as a backslash before it makes it in Lua.
local function with_open_strings(text)
  local parts, i, quote = {}, 1, nil
  while i <= #text do
    local char = text:sub(i, i)
    local last = not quote and end_of_block(text, i) or quote and char == "\\" and i + 1 or i
    local piece = text:sub(i, last)
    if quote and piece == "\n" then piece = "\\\n" end
    if quote and piece == quote then
      quote = nil
    elseif not quote and (piece == '"' or piece == "'") then
      quote = piece
    end
    parts[#parts + 1] = piece
    i = last + 1
  end
  return table.concat(parts), quote ~= nil
end

--- Compile what was typed: as an expression when it is one.
-- @tparam string text one or more lines
-- @tparam table env its globals
-- @treturn[1] function
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] boolean whether more lines may make it right
function M.compile(text, env)
  local is_open
  text, is_open = with_open_strings(text)
  local expression = text:gsub("^%s*=", "")
  local fn = load_in("return " .. expression, env)
  if fn then return interruptible(fn) end
  local message
  fn, message = load_in(text, env)
  if fn then return interruptible(fn) end
  return nil, (message:gsub("^prompt:", "line ")),
    is_open or message:find("near '?<eof>'?$") ~= nil
end

return M
