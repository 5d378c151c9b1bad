--- YAML: where each of its nodes stands, what makes it hostile, what it means to
-- kubectl, and writing it.
--
-- Internal to @{cce.kubeconfig}. Reading needs lyaml, writing needs nothing.
--
-- @module cce.kubeconfig.syntax.yaml
-- @local
local core = require "cce.core"
local json = require "cce.base.json"
local protect = require "cce.host.protect"
local lower = require("cce.base.values").lower

local M = {}

-- A fleet of a thousand clusters needs about 10 MB.
M.MAX_BYTES = 32 * 1024 * 1024

-- kubeconfigs are about eight deep.
local MAX_DEPTH = 64

-- Nodes once every alias is followed: a few lines of aliases of aliases can
-- stand for billions.
local MAX_NODES = 500000

-- What is wrong with the text is raised as { problem= }; by it, it is told from
-- libyaml's own messages.
local function refuse(problem)
  error({ problem = problem }, 0)
end

-- libyaml counts characters, Lua bytes.
local function byte_of(text)
  if not text:find("[\128-\255]") then
    return function(mark) return mark.index + 1 end
  end
  local starts = {}
  for position in text:gmatch("()[^\128-\191]") do starts[#starts + 1] = position end
  return function(mark) return starts[mark.index + 1] or #text + 1 end
end

local build

local function new_node(reader, event, kind)
  return {
    kind = kind, size = 1, anchor = event.anchor, style = event.style, tag = event.tag,
    is_plain = event.plain_implicit,
    first = reader.byte(event.start_mark), last = reader.byte(event.end_mark),
    column = event.start_mark.column,
    flow = event.style == "FLOW",
  }
end

local function add_child(node, child)
  node.size = node.size + child.size
  if node.size > MAX_NODES then refuse("its aliases stand for too much data") end
  node.tip = child.tip
end

local function close(reader, node, event)
  node.last = reader.byte(event.end_mark)
  -- The end of a block is noticed only at what comes next, after comments.
  if node.flow or not node.tip then node.tip = node.last end
end

local function build_sequence(reader, event, depth)
  local node = new_node(reader, event, "sequence")
  node.items = {}
  while true do
    local each = reader.next()
    if each.type == "SEQUENCE_END" then
      close(reader, node, each)
      return node
    end
    local item = build(reader, each, depth + 1)
    node.items[#node.items + 1] = item
    add_child(node, item)
  end
end

local function add_pair(node, key, value)
  node.members[#node.members + 1] = { key = key, value = value }
  local name = key.kind == "scalar" and key.value or nil
  if name == nil or name == "<<" or node.by_name[name] then
    node.opaque = true
    return
  end
  local pair = { name = name, key = key, value = value }
  node.pairs[#node.pairs + 1] = pair
  node.by_name[name] = pair
end

local function build_mapping(reader, event, depth)
  local node = new_node(reader, event, "mapping")
  node.members, node.pairs, node.by_name = {}, {}, {}
  while true do
    local each = reader.next()
    if each.type == "MAPPING_END" then
      close(reader, node, each)
      return node
    end
    local key = build(reader, each, depth + 1)
    local value = build(reader, reader.next(), depth + 1)
    add_pair(node, key, value)
    add_child(node, key)
    add_child(node, value)
  end
end

local builders = {
  SEQUENCE_START = build_sequence,
  MAPPING_START = build_mapping,
  SCALAR = function(reader, event)
    local node = new_node(reader, event, "scalar")
    node.value, node.tip = event.value, node.last
    return node
  end,
  ALIAS = function(reader, event)
    local target = reader.anchors[event.anchor]
    if not target then refuse("an alias in it leads nowhere or in a circle") end
    local node = new_node(reader, event, "alias")
    node.size, node.tip, node.target = target.size, node.last, target
    return node
  end,
}

function build(reader, event, depth)
  if depth > MAX_DEPTH then refuse("it is nested too deeply") end
  local anchor = event.type ~= "ALIAS" and event.anchor
  if anchor then reader.anchors[anchor] = nil end
  local node = builders[event.type](reader, event, depth)
  if anchor then reader.anchors[anchor] = node end
  return node
end

local function first_document(reader)
  local event = reader.next()
  while event.type ~= "DOCUMENT_START" do
    if event.type == "STREAM_END" then return nil end
    event = reader.next()
  end
  local version = event.version_directive
  if version and (version.major ~= 1 or version.minor ~= 1) then
    refuse("it is of another version of YAML than 1.1, and kubectl does not read it")
  end
  local root = build(reader, reader.next(), 1)
  -- The end of the document, which needs a look at what comes next. Behind it anything
  -- may stand: kubectl does not read it.
  reader.next()
  return root
end

--- Looks at the first document of a text without loading it.
-- @tparam string text without a byte order mark
-- @treturn ?table the root node: kind, first and last (bytes, `last` is the
--   one after), tip (the byte after its last leaf), column, `pairs` or `items`
-- @treturn nil,string what is wrong; nil alone when the text is empty
function M.tree(text)
  if #text > M.MAX_BYTES then
    return nil, ("it has %d bytes; more than %d are not read"):format(#text, M.MAX_BYTES)
  elseif text:find("%z") then
    return nil, "it holds a byte of zero"
  end
  local reader = { byte = byte_of(text), anchors = {} }
  local ok, result = protect.catch(function()
    reader.next = require("yaml").parser(text)
    return first_document(reader)
  end)
  if ok then return result end
  if type(result) == "table" then return nil, result.problem end
  return nil, "it is no YAML: " .. tostring(result):gsub("^%S+:%d+: ", "")
end

---- What it means ----

-- As gopkg.in/yaml.v2 resolves them, through which kubectl reads: YAML 1.1.
local words_of = {
  [true] = { "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON" },
  [false] = { "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF" },
  [json.null] = { "", "~", "null", "Null", "NULL" },
}
local resolved = {}
for value, words in pairs(words_of) do
  for _, word in ipairs(words) do resolved[word] = value end
end

local infinite = { [".nan"] = true, [".NaN"] = true, [".NAN"] = true }
for _, word in ipairs { ".inf", ".Inf", ".INF" } do
  infinite[word], infinite["+" .. word], infinite["-" .. word] = true, true, true
end

local BASES = { ["^0[bB]([01]+)$"] = 2, ["^0[oO]?([0-7]+)$"] = 8, ["^0[xX](%x+)$"] = 16 }
local DECIMALS = { "^%d+%.?%d*$", "^%.%d+$", "^%d+%.?%d*[eE][-+]?%d+$", "^%.%d+[eE][-+]?%d+$" }

-- Of digits without a sign; nil for what is no number.
local function number_of(digits)
  for pattern, base in pairs(BASES) do
    local places, value = digits:match(pattern), 0.0
    if places then
      for digit in places:gmatch "." do value = value * base + tonumber(digit, base) end
      if value <= 2 ^ 64 then return value end
    end
  end
  for _, pattern in ipairs(DECIMALS) do
    if digits:find(pattern) then return tonumber(digits) end
  end
  return nil
end

local function plain_value(text)
  local value = resolved[text]
  if value ~= nil then return value end
  if infinite[text] then refuse("a number in it is not finite") end
  if not text:find "^[-+.%d]" then return text end
  local sign, digits = text:gsub("_", ""):match "^([-+]?)(.*)$"
  local number = number_of(digits)
  -- To Go a number that is too large is text: a name may be 12e4567.
  if not number or number == math.huge then return text end
  return sign == "-" and -number or number
end

local TAGS = "^tag:yaml%.org,2002:(.*)$"

local function scalar_value(node)
  local tag = node.tag and node.tag:match(TAGS)
  if tag == "binary" then
    local bytes = core.from_base64((node.value:gsub("%s", "")))
    if not bytes then refuse("what is tagged !!binary there is no Base64") end
    return bytes
  end
  if node.is_plain and not node.tag then return plain_value(node.value) end
  local is_typed = tag == "int" or tag == "float" or tag == "bool" or tag == "null"
  return is_typed and plain_value(node.value) or node.value
end

local value_of

-- Later ones win, merged ones too; of several that are merged, the first.
local function merge_into(result, node)
  while node.kind == "alias" do node = node.target end
  if node.kind == "sequence" then
    for i = #node.items, 1, -1 do merge_into(result, node.items[i]) end
    return
  elseif node.kind ~= "mapping" then
    refuse("what is merged there is no object")
  end
  for key, value in pairs(value_of(node)) do result[key] = value end
end

local function mapping_value(node)
  local result = {}
  for _, member in ipairs(node.members) do
    if member.key.kind == "scalar" and member.key.is_plain and member.key.value == "<<" then
      merge_into(result, member.value)
    else
      local key = member.key
      while key.kind == "alias" do key = key.target end
      if key.kind ~= "scalar" or scalar_value(key) == json.null then
        refuse("a key in it is no text")
      end
      result[key.value] = value_of(member.value)
    end
  end
  return result
end

local function sequence_value(node)
  local result = json.array()
  for i, item in ipairs(node.items) do result[i] = value_of(item) end
  return result
end

local values = {
  scalar = scalar_value, mapping = mapping_value, sequence = sequence_value,
  alias = function(node) return value_of(node.target) end,
}

-- Aliases share what their anchor stands for.
function value_of(node)
  if node.meaning == nil then node.meaning = values[node.kind](node) end
  return node.meaning
end

--- What a tree stands for, as JSON: null is json.null, lists are marked as such.
-- @tparam table root of @{tree}
-- @return the value
-- @treturn nil,string what is wrong
function M.value(root)
  local ok, result = protect.catch(value_of, root)
  if ok then return result end
  if type(result) == "table" then return nil, result.problem end
  error(result, 0)
end

---- Writing ----

-- Words that YAML 1.1 takes for something else than text.
local words = {}
for word in ("y n yes no on off true false null"):gmatch("%a+") do words[word] = true end

-- Text that needs no quotes in YAML of any version: as kubectl, so that Base64
-- and addresses read well.
local function is_plain(text)
  return text:find("^%a[%w_./+=:@-]*$") ~= nil and text:sub(-1) ~= ":"
    and not words[lower(text)]
end

--- One scalar, quoted where it must be.
-- @param value a string, number, boolean or null
-- @treturn ?string nil when there is none
function M.scalar(value)
  if type(value) == "string" and is_plain(value) then return value end
  -- JSON's strings are YAML's double-quoted ones.
  return (json.encode(value))
end

-- "sequence", "mapping" or nil, and the sorted keys of a mapping.
local function shape_of(value)
  if type(value) ~= "table" then return nil end
  if #value > 0 or json.encode(value) == "[]" then return "sequence" end
  local keys = {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys)
  return "mapping", keys
end

--- A value on one line.
-- @param value
-- @treturn string
function M.flow(value)
  local shape, keys = shape_of(value)
  if not shape then return json.encode(value) end
  local parts = {}
  if shape == "sequence" then
    for i, each in ipairs(value) do parts[i] = M.flow(each) end
    return "[" .. table.concat(parts, ", ") .. "]"
  end
  for i, key in ipairs(keys) do parts[i] = json.encode(key) .. ": " .. M.flow(value[key]) end
  return "{" .. table.concat(parts, ", ") .. "}"
end

local write_lines

-- `key: value`, where the value may go on in the lines after.
local function write_pair(lines, column, key, value)
  local head = (" "):rep(column) .. M.scalar(key) .. ":"
  local shape = shape_of(value)
  if not shape or next(value) == nil then
    lines[#lines + 1] = head .. " " .. (shape and M.flow(value) or M.scalar(value))
    return
  end
  lines[#lines + 1] = head
  write_lines(lines, shape == "sequence" and column or column + 2, value)
end

local function write_item(lines, column, value)
  local dash = (" "):rep(column) .. "- "
  if type(value) ~= "table" or next(value) == nil then
    lines[#lines + 1] = dash .. (type(value) == "table" and M.flow(value) or M.scalar(value))
    return
  end
  local first = #lines + 1
  write_lines(lines, column + 2, value)
  lines[first] = dash .. lines[first]:sub(column + 3)
end

function write_lines(lines, column, value)
  local shape, keys = shape_of(value)
  if shape == "sequence" then
    for _, each in ipairs(value) do write_item(lines, column, each) end
  else
    for _, key in ipairs(keys) do write_pair(lines, column, key, value[key]) end
  end
end

--- The lines of a list or object that is not empty, as kubectl would write it.
-- @tparam table value
-- @tparam[opt=0] int column spaces before each line
-- @treturn {string,...}
function M.lines(value, column)
  local lines = {}
  write_lines(lines, column or 0, value)
  return lines
end

--- The text of a whole document, such as a kubeconfig.
-- @tparam table data
-- @treturn string
-- @treturn nil,string when the data cannot be written, as of @{cce.json}
function M.encode(data)
  local text, message = json.encode(data)
  if not text then return nil, message end
  if next(data) == nil then return text .. "\n" end
  return table.concat(M.lines(data), "\n") .. "\n"
end

return M
