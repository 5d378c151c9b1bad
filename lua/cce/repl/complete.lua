--- What Tab offers.
--
-- Words are those of readline: it breaks lines at blanks, quotes, brackets that
-- open and "=", but not at "." and ":". What is offered is the whole word.
-- @module cce.repl.complete
-- @local
local manual = require "cce.repl.manual"

local M = {}

local KEYWORDS = { "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if",
  "in", "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while" }

-- Chains of __index longer than this are a mistake, or go round in a circle.
local LONGEST_CHAIN = 8

-- A field, though its object may raise.
local function field(value, name)
  local ok, found = pcall(function() return value[name] end)
  return ok and found or nil
end

-- ---- names of fields ---------------------------------------------------------

local function add_fields(value, names)
  for _ = 1, LONGEST_CHAIN do
    if type(value) ~= "table" then return end
    for key in next, value do
      if type(key) == "string" then names[key] = true end
    end
    local meta = getmetatable(value)
    value = type(meta) == "table" and rawget(meta, "__index") or nil
  end
end

local CLIENT_MODULES = { "cce.client", "cce.nodes", "cce.iam", "cce.cts" }

--- The methods that the manual has of an object.
-- @param value
-- @treturn {table,...} blocks
function M.methods(value)
  local meta, list = getmetatable(value), {}
  local class = type(meta) == "table" and rawget(meta, "__name")
  if type(class) ~= "string" then return list end
  for _, module in ipairs(class == "cce.client" and CLIENT_MODULES or { class }) do
    for _, block in ipairs(manual.entries(module)) do
      local method = block.title:match ":([%w_]+)$"
      if method and type(field(value, method)) == "function" then list[#list + 1] = block end
    end
  end
  return list
end

local function method_names(value)
  local names, found = {}, false
  for _, block in ipairs(M.methods(value)) do
    names[block.title:match ":([%w_]+)$"], found = true, true
  end
  if found then return names end
  add_fields(type(value) == "string" and string or value, names)
  for name in pairs(names) do
    if type(field(value, name)) ~= "function" then names[name] = nil end
  end
  return names
end

local function field_names(value, path)
  local names = {}
  add_fields(value, names)
  -- Submodules that are not loaded yet are in no table.
  for _, module in ipairs(manual.modules) do
    local owner, name = module:match "^(.*)%.([%w_]+)$"
    if owner == path then names[name] = true end
  end
  for name in pairs(names) do
    if field(value, name) == nil then names[name] = nil end
  end
  return names
end

-- ---- what stands before the cursor -------------------------------------------

-- "client.session" → its value.
local function resolve(path, env)
  local value = env
  for name in path:gmatch "[%w_]+" do
    value = field(value, name)
    if value == nil then return nil end
  end
  return value
end

-- The open quote before the cursor, and where its text begins.
local function open_quote(text)
  local quote, from, i = nil, nil, 1
  while i <= #text do
    local char = text:sub(i, i)
    if quote and char == "\\" then
      i = i + 1
    elseif char == quote then
      quote = nil
    elseif not quote and (char == '"' or char == "'") then
      quote, from = char, i + 1
    end
    i = i + 1
  end
  return quote, from
end

local CLOSERS = { ["}"] = "{", [")"] = "(", ["]"] = "[" }

-- Where the innermost bracket that is still open stands.
local function open_bracket(text)
  local stack = {}
  for i = 1, #text do
    local char = text:sub(i, i)
    if char == "{" or char == "(" or char == "[" then
      stack[#stack + 1] = i
    elseif CLOSERS[char] then
      stack[#stack] = nil
    end
  end
  return stack[#stack]
end

-- The function in whose `{ … }` the cursor is, as "client:revoke_cert".
local function called(text)
  local brace = open_bracket(text)
  if not brace or text:sub(brace, brace) ~= "{" then return nil end
  local before = text:sub(1, brace - 1)
  local outer = open_bracket(before)
  if outer and before:sub(outer, outer) == "(" then before = before:sub(1, outer - 1) end
  return before:match "([%a_][%w_.:]*)%s*$"
end

-- ---- what is offered -----------------------------------------------------------

local function matching(names, partial, head, tail)
  local list = {}
  for name in pairs(names) do
    local hidden = name:sub(1, 1) == "_" and partial:sub(1, 1) ~= "_"
    if name:sub(1, #partial) == partial and not hidden and name:find "^[%a_][%w_]*$" then
      list[#list + 1] = head .. name .. (tail or "")
    end
  end
  table.sort(list)
  return list
end

local function option_names(text, context)
  -- A bracket in a string is none.
  text = text:gsub("([\"']).-%1", function(found) return ("_"):rep(#found) end)
  local path = called(text)
  local fn = path and resolve(path, context.env)
  local block = type(fn) == "function" and manual.of_function(context.original(fn))
    or type(fn) == "table" and manual.by_name(path)[1]
  if not block then return nil end
  local names = {}
  for _, name in ipairs(manual.options(block)) do names[name] = true end
  return next(names) and names
end

local function in_quotes(text, from, word, context)
  local partial, list = text:sub(from), {}
  for _, name in ipairs(context.clusters()) do
    -- What readline takes for the word may begin later.
    if name:sub(1, #partial) == partial then list[#list + 1] = name:sub(#partial - #word + 1) end
  end
  table.sort(list)
  -- The calls want ids; a filter of clusters wants names.
  local is_name = text:sub(1, from - 2):find "name%s*=%s*$"
  if #list == 1 and word == partial and not is_name then
    return { context.id_of(list[1]) or list[1] }
  end
  return list
end

--- What may stand in the place of a word.
-- @tparam string line
-- @tparam int from where the word begins
-- @tparam int to where it ends: the cursor stands behind
-- @tparam table context `env`: the globals; `clusters()`: names and ids;
--   `id_of(name)`: the id of a cluster, nil when several have that name;
--   `original(fn)`: what a function of the prompt wraps
-- @treturn {string,...} sorted
function M.candidates(line, from, to, context)
  local text, word = line:sub(1, to), line:sub(from, to)
  local quote, start = open_quote(text)
  if quote then return in_quotes(text, start, word, context) end
  local path, separator, partial = word:match "([%a_][%w_.:]*)([.:])([%w_]*)$"
  if path then
    local value = resolve(path, context.env)
    if value == nil then return {} end
    local names = separator == ":" and method_names(value) or field_names(value, path)
    return matching(names, partial, word:sub(1, #word - #partial))
  end
  partial = word:match "[%w_]*$"
  local head, before = word:sub(1, #word - #partial), text:sub(1, #text - #partial)
  local options = before:find "[{,]%s*$" and option_names(before, context)
  if options then return matching(options, partial, head, " = ") end
  -- What the prompt makes when it is asked for is in no table that can be walked.
  local globals = { client = true }
  add_fields(context.env, globals)
  add_fields(_G, globals)
  for _, keyword in ipairs(KEYWORDS) do globals[keyword] = true end
  return matching(globals, partial, head)
end

return M
