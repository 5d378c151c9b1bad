--- Changes in the text of a YAML file, just where its data is to change.
--
-- Internal to @{cce.kubeconfig}. The file may be one that a person keeps, with
-- comments, an order and a layout of its own: every byte outside of the nodes
-- that change stays. What cannot be done so is refused, and the result is read
-- again: it must be exactly the data that was wanted.
--
-- @module cce.kubeconfig.patch
-- @local
local read = require "cce.kubeconfig.read"
local yaml = require "cce.kubeconfig.yaml"

local M = {}

-- Raised, and told from our own faults by being a table.
local function refuse(reason)
  error({ reason = reason }, 0)
end

-- Equal as data. lyaml cannot tell an empty list from an empty object.
local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  if rawequal(a, b) then return true end
  for key, value in pairs(a) do
    if b[key] == nil or not same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

local function is_empty(value)
  return type(value) ~= "table" or next(value) == nil
end

---- Places in the text ----

local function start_of_line(text, position)
  while position > 1 and text:byte(position - 1) ~= 10 do position = position - 1 end
  return position
end

-- The start of the line after the one that `tip` ends in.
local function next_line(text, tip)
  if tip > 1 and text:byte(tip - 1) == 10 then return tip end
  local found = text:find("\n", tip, true)
  return found and found + 1 or #text + 1
end

local function edit(patch, first, last, text)
  patch.edits[#patch.edits + 1] =
    { first = first, last = last, text = text, number = #patch.edits }
end

-- Whether a piece that is to go away holds a comment.
local function has_comment(text)
  return text:find("^#") ~= nil or text:find("%s#") ~= nil
end

local function replace(patch, node, text)
  if node.anchor or node.tag then refuse("what must change there has an anchor or a tag") end
  if has_comment(patch.text:sub(node.first, node.last - 1)) then
    refuse("what must change there holds a comment")
  end
  edit(patch, node.first, node.last, text)
end

-- Lines of their own, after the line on which `tip` stands.
local function insert_lines(patch, tip, lines)
  local position = next_line(patch.text, tip)
  local text = table.concat(lines, patch.line_end) .. patch.line_end
  if position > 1 and patch.text:byte(position - 1) ~= 10 then text = patch.line_end .. text end
  edit(patch, position, position, text)
end

-- The whole lines of a node, which begins its line but for `lead`.
local function delete_lines(patch, first, tip, lead)
  local start, stop = start_of_line(patch.text, first), next_line(patch.text, tip)
  if not patch.text:sub(start, first - 1):find(lead) then
    refuse("what must go away there shares a line with something else")
  end
  if has_comment(patch.text:sub(start, stop - 1)) then
    refuse("what must go away there holds a comment")
  end
  edit(patch, start, stop, "")
end

---- From data to edits ----

local change

local function change_scalar(patch, node, new)
  local text = yaml.scalar(new)
  if node.style == "LITERAL" or node.style == "FOLDED" then text = text .. patch.line_end end
  -- Nothing at all after `key:` is null.
  if node.first == node.last then text = " " .. text end
  replace(patch, node, text)
end

-- An empty list or null becomes a list or object, in lines of its own.
local function fill_empty(patch, node, new, column, in_flow)
  if in_flow or is_empty(new) then return replace(patch, node, " " .. yaml.flow(new)) end
  local is_list = #new > 0
  local lines = yaml.lines(new, is_list and column or column + 2)
  while patch.text:byte(node.first - 1) == 32 do node.first = node.first - 1 end
  return replace(patch, node, patch.line_end .. table.concat(lines, patch.line_end))
end

local function insert_flow(patch, node, text)
  local first = #(node.items or node.pairs) == 0
  edit(patch, node.last - 1, node.last - 1, (first and "" or ", ") .. text)
end

local function added_keys(old, new)
  local keys = {}
  for key in pairs(new) do
    if old[key] == nil then keys[#keys + 1] = key end
  end
  table.sort(keys)
  return keys
end

local function add_pair(patch, node, key, value)
  if node.flow then
    insert_flow(patch, node, yaml.flow(key) .. ": " .. yaml.flow(value))
  else
    insert_lines(patch, node.tip, yaml.lines({ [key] = value }, node.column))
  end
end

local function delete_pair(patch, node, pair)
  if node.flow then refuse("what must go away there stands between brackets") end
  delete_lines(patch, pair.key.first, pair.value.tip, "^ *$")
end

local function change_mapping(patch, node, old, new)
  if node.opaque then refuse("a key there occurs twice, or merges others") end
  for _, pair in ipairs(node.pairs) do
    if new[pair.name] == nil then
      delete_pair(patch, node, pair)
    else
      change(patch, pair.value, old[pair.name], new[pair.name], node.column, node.flow)
    end
  end
  for _, key in ipairs(added_keys(old, new)) do add_pair(patch, node, key, new[key]) end
end

local function add_item(patch, node, value)
  if node.flow then
    insert_flow(patch, node, yaml.flow(value))
  else
    insert_lines(patch, node.tip, yaml.lines({ value }, node.column))
  end
end

local function delete_item(patch, node, item)
  if node.flow then refuse("what must go away there stands between brackets") end
  delete_lines(patch, item.first, item.tip, "^ *%- +$")
end

local function by_name(list)
  local found = {}
  for _, each in ipairs(list) do
    local name = type(each) == "table" and each.name
    if type(name) ~= "string" then return nil end
    if found[name] then refuse("two entries have one name") end
    found[name] = each
  end
  return found
end

-- Lists of kubeconfigs are lists of things with a name.
local function change_sequence(patch, node, old, new)
  local old_names, new_names = by_name(old), by_name(new)
  if not old_names or not new_names then refuse("a list there has entries without a name") end
  for i, item in ipairs(node.items) do
    local wanted = new_names[old[i].name]
    if wanted then
      change(patch, item, old[i], wanted, node.column, node.flow)
    else
      delete_item(patch, node, item)
    end
  end
  for _, each in ipairs(new) do
    if not old_names[each.name] then add_item(patch, node, each) end
  end
end

function change(patch, node, old, new, column, in_flow)
  if same(old, new) then return end
  if node.kind == "alias" then refuse("what must change there is an alias") end
  if type(new) ~= "table" and node.kind == "scalar" then return change_scalar(patch, node, new) end
  if type(new) == "table" and is_empty(old) then
    return fill_empty(patch, node, new, column, in_flow)
  end
  if node.kind == "mapping" and #new == 0 then return change_mapping(patch, node, old, new) end
  if node.kind == "sequence" and #new > 0 then return change_sequence(patch, node, old, new) end
  refuse("what must change there is of another kind")
end

local function apply(text, edits)
  table.sort(edits, function(a, b)
    if a.first ~= b.first then return a.first < b.first end
    return a.number < b.number
  end)
  local parts, position = {}, 1
  for _, each in ipairs(edits) do
    if each.first < position then refuse("two changes there touch each other") end
    parts[#parts + 1] = text:sub(position, each.first - 1) .. each.text
    position = each.last
  end
  parts[#parts + 1] = text:sub(position)
  return table.concat(parts)
end

local function checked_root(text)
  local root, message = yaml.tree(text)
  if not root then refuse(message or "it is empty") end
  if root.kind ~= "mapping" then refuse("it is not an object") end
  if not root.is_only then refuse("it holds more than one document") end
  return root
end

local function patched(text, old, new)
  local patch = {
    text = text, edits = {}, line_end = text:find("\r\n", 1, true) and "\r\n" or "\n",
  }
  change(patch, checked_root(text), old, new, 0, false)
  local result = apply(text, patch.edits)
  -- The proof: whatever was misjudged above shows here.
  if not same(read.yaml(result), new) then refuse("the result would not be what is meant") end
  return result
end

--- The text with other data.
-- @tparam string text YAML
-- @tparam table old its data, as of `read.yaml`
-- @tparam table new
-- @treturn string
-- @treturn nil,string why it cannot be done without touching more than that
function M.patch(text, old, new)
  local body = read.without_mark(text)
  local ok, result = pcall(patched, body, old, new)
  if ok then return text:sub(1, #text - #body) .. result end
  if type(result) ~= "table" then error(result, 0) end
  return nil, result.reason
end

return M
