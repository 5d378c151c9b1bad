--- How a value reads at the prompt: bounded, and without secrets.
-- @module cce.repl.inspect
-- @local
local redact = require "cce.kubeconfig.redact"

local clean = require("cce.text.width").clean

local M = {}

local HIDDEN = "***"

-- Of a nested table so much is shown.
local DEPTH, ITEMS, WIDTH = 3, 40, 80

local function quoted(text)
  local escaped = text:gsub("[\\\"]", "\\%0"):gsub("\n", "\\n"):gsub("\t", "\\t")
  return '"' .. clean(escaped) .. '"'
end

local function has_text(value)
  local meta = getmetatable(value)
  return type(meta) == "table" and type(rawget(meta, "__tostring")) == "function"
end

-- The __tostring of an object that is not ours may raise.
local function text_of(value)
  local ok, text = pcall(tostring, value)
  return ok and clean(text) or "<a " .. type(value) .. " that cannot be shown>"
end

local inspect

local function key_text(key)
  if type(key) == "string" and key:find "^[%a_][%w_]*$" then return key .. " = " end
  return "[" .. (type(key) == "string" and quoted(key) or text_of(key)) .. "] = "
end

local function is_before(a, b)
  if type(a) == type(b) and (type(a) == "string" or type(a) == "number") then return a < b end
  return type(a) < type(b)
end

local function sorted_keys(value, count)
  local keys = {}
  for key in next, value do
    local is_item = type(key) == "number" and key >= 1 and key <= count and key % 1 == 0
    if not is_item then keys[#keys + 1] = key end
  end
  table.sort(keys, is_before)
  return keys
end

local function parts_of(value, depth, seen)
  local parts, count = {}, #value
  for i = 1, math.min(count, ITEMS) do parts[i] = inspect(rawget(value, i), depth + 1, seen) end
  local keys = sorted_keys(value, count)
  for _, key in ipairs(keys) do
    if #parts >= ITEMS then break end
    local inner = rawget(value, key)
    local is_hidden = type(inner) == "string" and (redact.is_secret_name(key) or key == "sk")
    parts[#parts + 1] = key_text(key) .. (is_hidden and HIDDEN or inspect(inner, depth + 1, seen))
  end
  local left = count + #keys - #parts
  if left > 0 then parts[#parts + 1] = ("… %d more"):format(left) end
  return parts
end

local function joined(parts, depth)
  local length = 0
  for _, part in ipairs(parts) do
    length = length + #part + 2
    if part:find("\n", 1, true) then length = WIDTH end
  end
  if length + 2 * depth < WIDTH then return "{ " .. table.concat(parts, ", ") .. " }" end
  local indent = ("  "):rep(depth + 1)
  return "{\n" .. indent .. table.concat(parts, ",\n" .. indent) .. "\n" .. ("  "):rep(depth) .. "}"
end

function inspect(value, depth, seen)
  if type(value) == "string" then return quoted(redact.string(value)) end
  if has_text(value) or type(value) ~= "table" then
    return (text_of(value):gsub("\n", "\n" .. ("  "):rep(depth)))
  end
  if next(value) == nil then return "{}" end
  if seen[value] then return "<as above>" end
  if depth >= DEPTH then return "{…}" end
  -- Only what encloses a table counts as seen: one that stands twice side by side is shown twice.
  seen[value] = true
  local text = joined(parts_of(value, depth, seen), depth)
  seen[value] = nil
  return text
end

-- A list of objects that read as a line each.
local function is_list_of_objects(value)
  if type(value) ~= "table" or has_text(value) or #value == 0 then return false end
  for i = 1, #value do
    if not has_text(rawget(value, i)) then return false end
  end
  return #sorted_keys(value, #value) == 0
end

--- The text of a result.
-- @param value
-- @treturn string
function M.show(value)
  if type(value) == "string" then
    if redact.holds_secret(value) then
      return ("<%d bytes that hold a secret; print(…) shows them>"):format(#value)
    end
    return value:find "\n" and clean(value) or quoted(value)
  end
  if not is_list_of_objects(value) then return inspect(value, 0, {}) end
  local lines = {}
  for i = 1, math.min(#value, 10 * ITEMS) do lines[i] = text_of(value[i]) end
  if #value > #lines then lines[#lines + 1] = ("… %d more"):format(#value - #lines) end
  return table.concat(lines, "\n")
end

return M
