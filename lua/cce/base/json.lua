--- JSON that keeps what it reads: empty arrays stay arrays, null stays null.
--
-- Reading is lua-cjson's, on an instance of our own. lua-cjson alone turns
-- `[]` into `{}`, writes `/` as `\/` and has 14 digits; so empty arrays are
-- marked on the way in, and the writer here is our own.
--
-- Nothing here raises on bad data: it returns `nil, message`.
--
-- @module cce.base.json
-- @local
local core = require "cce.core"

local M = {}

local reader = core.json.new()
reader.decode_invalid_numbers(false)

-- Deeper data is refused by both directions; lua-cjson's own limit.
local MAX_DEPTH = 1000
reader.decode_max_depth(MAX_DEPTH)

--- What stands for JSON's null in a decoded table.
M.null = reader.null

local array_meta = { __name = "cce.json.array" }

--- Marks a table as an array, so that it is written as `[]` when empty.
-- @tparam[opt] table list
-- @treturn table the same table, or a new one
function M.array(list)
  return setmetatable(list or {}, array_meta)
end

-- Where the string that starts at `quote` ends; nil when it does not.
local function end_of_string(text, quote)
  local position = quote + 1
  while true do
    local found = text:find('["\\]', position)
    if not found then return nil end
    if text:byte(found) == 34 then return found end
    position = found + 2
  end
end

-- Fills every empty array outside of strings with `filler`. Returns the text
-- and how many there were.
local function fill_empty_arrays(text, filler)
  local parts, count, position, start = {}, 0, 1, 1
  while true do
    local found = text:find('["%[]', position)
    if not found then break end
    if text:byte(found) == 34 then
      position = end_of_string(text, found)
      if not position then break end
      position = position + 1
    else
      local last = select(2, text:find("^[ \t\r\n]*%]", found + 1))
      if last then
        parts[#parts + 1] = text:sub(start, found) .. filler
        count, start = count + 1, last
      end
      position = last or found + 1
    end
  end
  if count == 0 then return text, 0 end
  parts[#parts + 1] = text:sub(start)
  return table.concat(parts), count
end

-- Turns every { marker } back into an empty, marked array. Returns how many.
local function unmark(value, marker)
  if type(value) ~= "table" then return 0 end
  if value[1] == marker and value[2] == nil then
    value[1] = nil
    M.array(value)
    return 1
  end
  local count = 0
  for _, each in pairs(value) do count = count + unmark(each, marker) end
  return count
end

local token_names = {
  T_END = "the end of the text", T_COMMA = "a comma", T_COLON = "a colon",
  T_OBJ_BEGIN = "'{'", T_OBJ_END = "'}'", T_ARR_BEGIN = "'['", T_ARR_END = "']'",
  T_STRING = "a string", T_NUMBER = "a number", T_BOOLEAN = "a boolean", T_NULL = "null",
}

--- Reads JSON.
-- @tparam string text
-- @return the value; a JSON null is @{null}
-- @treturn nil,string,boolean when the text is no JSON: what is wrong, and
--   where, but never a piece of the text; then whether it was only cut off
function M.decode(text)
  if type(text) ~= "string" then return nil, "no text to read as JSON", false end
  -- Where one stands lua-cjson takes the text for ended.
  local zero = text:find("\0", 1, true)
  if zero then return nil, ("a byte of zero at character %d"):format(zero), false end
  for attempt = 1, 8 do
    -- A string that the text does not hold. It could still spell it by escapes: what is
    -- found is counted, and then another marker is tried.
    local marker = "empty-array-" .. attempt
    while text:find(marker, 1, true) do marker = marker .. "-" end
    local filled, expected = fill_empty_arrays(text, '"' .. marker .. '"')
    local value, message = reader.decode(filled)
    if message then
      -- Read again, so that the position is that in the caller's text.
      message = expected > 0 and select(2, reader.decode(text)) or message
      local cut_off = message:find("found T_END", 1, true)
        or message:find("unexpected end", 1, true)
      return nil, (message:gsub("T_[%u_]+", token_names)), cut_off ~= nil
    end
    if expected == 0 or unmark(value, marker) <= expected then return value end
  end
  return nil, "the text imitates the marks of its empty arrays", false
end

local function quote(text)
  local quoted = reader.encode(text)
  return (quoted:gsub("\\(.)", { ["/"] = "/" }))
end

-- The shortest text that reads back as the same number.
local function number_text(number)
  if number ~= number or number == math.huge or number == -math.huge then
    return nil, "a number that is not finite has no JSON"
  end
  if number % 1 == 0 and number > -2 ^ 53 and number < 2 ^ 53 then
    return ("%.0f"):format(number)
  end
  if math.type and math.type(number) == "integer" then return tostring(number) end
  for digits = 15, 17 do
    local text = ("%." .. digits .. "g"):format(number):gsub(",", ".")
    if tonumber(text) == number or digits == 17 then return text end
  end
end

-- "array", or the sorted keys of an object, or nil and why it is neither.
local function shape_of(value)
  local keys, count = {}, #value
  for key in pairs(value) do
    if type(key) == "string" then
      keys[#keys + 1] = key
    elseif type(key) ~= "number" or key % 1 ~= 0 or key < 1 or key > count then
      return nil, "a table with a key that is neither a string nor of a list has no JSON"
    end
  end
  if #keys > 0 and count > 0 then return nil, "a table that is half a list has no JSON" end
  if count > 0 or (getmetatable(value) == array_meta and #keys == 0) then return "array" end
  table.sort(keys)
  return keys
end

local write_value

-- One `[...]` or `{...}`: `each(i)` writes the i-th of `count` members.
local function write_members(out, depth, brackets, count, each)
  if count == 0 then
    out[#out + 1] = brackets
    return true
  end
  local line = out.indent and "\n" .. ("  "):rep(depth) or ""
  for i = 1, count do
    out[#out + 1] = (i == 1 and brackets:sub(1, 1) or ",") .. line
    local ok, message = each(i)
    if not ok then return nil, message end
  end
  out[#out + 1] = line:sub(1, -3) .. brackets:sub(2)
  return true
end

local function write_table(out, value, depth)
  if depth > MAX_DEPTH then return nil, "data nested too deeply (or in a circle) has no JSON" end
  local shape, message = shape_of(value)
  if not shape then return nil, message end
  if shape == "array" then
    return write_members(out, depth, "[]", #value, function(i)
      return write_value(out, value[i], depth)
    end)
  end
  local colon = out.indent and ": " or ":"
  return write_members(out, depth, "{}", #shape, function(i)
    out[#out + 1] = quote(shape[i]) .. colon
    return write_value(out, value[shape[i]], depth)
  end)
end

local scalars = {
  string = quote,
  number = number_text,
  boolean = tostring,
}

function write_value(out, value, depth)
  if value == M.null then
    out[#out + 1] = "null"
    return true
  end
  if type(value) == "table" then return write_table(out, value, depth + 1) end
  local write = scalars[type(value)]
  if not write then return nil, ("a %s has no JSON"):format(type(value)) end
  local text, message = write(value)
  out[#out + 1] = text
  return text and true, message
end

--- Writes JSON. Keys are sorted, so that equal data gives equal text. An empty
-- table is an object unless it came from `[]` or from @{array}.
-- @param value
-- @tparam[opt] table opts
-- @tparam[opt=false] boolean opts.pretty lines, indented by two spaces
-- @treturn string the text, with a line feed at the end when pretty
-- @treturn nil,string when the data has no JSON (a function, a circle, NaN)
-- @usage
-- local json = require "cce.base.json"
-- assert(json.encode(json.decode('{"b":[],"a":{}}')) == '{"a":{},"b":[]}')
function M.encode(value, opts)
  local pretty = opts ~= nil and opts.pretty
  local out = { indent = pretty }
  local ok, message = write_value(out, value, 0)
  if not ok then return nil, message end
  return table.concat(out) .. (pretty and "\n" or "")
end

return M
