--- Where each value of a JSON text stands, in the nodes of @{cce.kubeconfig.syntax.yaml}.
--
-- Internal to @{cce.kubeconfig}. For text that was read as JSON before: what is no
-- JSON ends in nil.
-- @module cce.kubeconfig.syntax.json_tree
-- @local
local json = require "cce.base.json"
local protect = require "cce.host.protect"

local M = {}

local MAX_DEPTH = 1000

local function skip_space(text, position)
  return text:find("[^ \t\r\n]", position) or #text + 1
end

local function fail() error({ not_json = true }, 0) end

local build

local function new_node(kind, first, last)
  return { kind = kind, first = first, last = last, tip = last, flow = true, column = 0,
    style = "DOUBLE_QUOTED" }
end

local function build_string(text, first)
  local last = first + 1
  while true do
    last = text:find('["\\]', last) or fail()
    if text:byte(last) == 34 then break end
    -- The backslash and what it escapes.
    last = last + 2
  end
  local node = new_node("scalar", first, last + 1)
  node.value = json.decode(text:sub(first, last))
  return node
end

-- The members between brackets; `each(position)` reads one and returns where it ends.
local function build_members(text, node, close, each)
  local position = skip_space(text, node.first + 1)
  while text:sub(position, position) ~= close do
    position = skip_space(text, each(position))
    local found = text:sub(position, position)
    if found == "," then
      position = skip_space(text, position + 1)
    elseif found ~= close then
      fail()
    end
  end
  node.last, node.tip = position + 1, position + 1
  return node
end

local function build_object(text, first, depth)
  local node = new_node("mapping", first)
  node.pairs, node.by_name = {}, {}
  return build_members(text, node, "}", function(position)
    if text:byte(position) ~= 34 then fail() end
    local key = build_string(text, position)
    position = skip_space(text, key.last)
    if text:sub(position, position) ~= ":" then fail() end
    local value = build(text, skip_space(text, position + 1), depth + 1)
    if node.by_name[key.value] then node.opaque = true end
    local pair = { name = key.value, key = key, value = value }
    node.pairs[#node.pairs + 1] = pair
    node.by_name[key.value] = pair
    return value.last
  end)
end

local function build_array(text, first, depth)
  local node = new_node("sequence", first)
  node.items = {}
  return build_members(text, node, "]", function(position)
    local item = build(text, position, depth + 1)
    node.items[#node.items + 1] = item
    return item.last
  end)
end

function build(text, first, depth)
  if depth > MAX_DEPTH then fail() end
  local begins = text:sub(first, first)
  if begins == "{" then return build_object(text, first, depth) end
  if begins == "[" then return build_array(text, first, depth) end
  if begins == '"' then return build_string(text, first) end
  local last = select(2, text:find("^[%w+.-]+", first)) or fail()
  local node = new_node("scalar", first, last + 1)
  node.value = text:sub(first, last)
  return node
end

--- The tree of a text.
-- @tparam string text
-- @treturn ?table the root node, as of `yaml.tree`; nil when it is no JSON
function M.tree(text)
  local ok, root = protect.catch(build, text, skip_space(text, 1), 1)
  if not ok and type(root) ~= "table" then error(root, 0) end
  if not ok or skip_space(text, root.last) <= #text then return nil end
  return root
end

return M
