--- Changes in the text of a YAML or JSON file, just where its data is to change.
--
-- Internal to @{cce.kubeconfig}. The file may be one that a person keeps, with
-- comments, an order and a layout of its own: every byte outside of the nodes
-- that change stays. What cannot be done so is refused, and the result is read
-- again: it must be exactly the data that was wanted. JSON is the part of YAML that is
-- all between brackets; its members get lines of their own where the others have them.
--
-- @module cce.kubeconfig.syntax.patch
-- @local
local json = require "cce.base.json"
local json_tree = require "cce.kubeconfig.syntax.json_tree"
local protect = require "cce.host.protect"
local read = require "cce.kubeconfig.read"
local without_mark = require("cce.base.values").without_mark
local yaml = require "cce.kubeconfig.syntax.yaml"

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
local function has_comment(patch, first, last)
  local text = patch.text:sub(first, last - 1)
  return not patch.is_json and (text:find("^#") ~= nil or text:find("%s#") ~= nil)
end

local function replace(patch, node, last, text)
  if node.anchor or node.tag then refuse("what must change there has an anchor or a tag") end
  if has_comment(patch, node.first, last) then
    refuse("what must change there holds a comment")
  end
  edit(patch, node.first, last, text)
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
  if has_comment(patch, start, stop) then
    refuse("what must go away there holds a comment")
  end
  edit(patch, start, stop, "")
end

---- From data to edits ----

-- JSON on several lines, indented as the file's own, which may begin on one line.
local function spread(patch, indent, value)
  local text, unit = json.encode(value, { pretty = true }):sub(1, -2), patch.unit or "  "
  return (text:gsub("\n( *)", function(blank)
    return patch.line_end .. indent .. unit:rep(#blank / 2)
  end))
end

local change

local function scalar_text(patch, new)
  return patch.is_json and json.encode(new) or yaml.scalar(new)
end

local function change_scalar(patch, node, new)
  local text = scalar_text(patch, new)
  if node.style == "LITERAL" or node.style == "FOLDED" then text = text .. patch.line_end end
  -- Nothing at all after `key:` is null.
  if node.first == node.last then text = " " .. text end
  replace(patch, node, node.last, text)
end

-- An empty list or null becomes a list or object, in lines of its own.
local function fill_empty(patch, node, new, column, in_flow)
  if patch.is_json then
    local start = start_of_line(patch.text, node.first)
    local text = patch.unit and spread(patch, patch.text:match("^[ \t]*", start), new)
    return replace(patch, node, node.last, text or json.encode(new))
  end
  if in_flow or is_empty(new) then
    return replace(patch, node, node.last, " " .. yaml.flow(new))
  end
  local is_list = #new > 0
  local lines = yaml.lines(new, is_list and column or column + 2)
  while patch.text:byte(node.first - 1) == 32 do node.first = node.first - 1 end
  return replace(patch, node, node.last, patch.line_end .. table.concat(lines, patch.line_end))
end

-- Between brackets: where the members begin and end.
local function members_of(node)
  if node.spans then return node.spans end
  local list = {}
  node.spans = list
  for i, each in ipairs(node.items or node.pairs) do
    list[i] = { each = each, first = (each.key or each).first, last = (each.value or each).last }
  end
  return list
end

-- What stands before a member that begins its line.
local function indent_of(patch, member)
  if not member then return nil end
  local first = member.first
  while first > 1 and patch.text:find("^[ \t]", first - 1) do first = first - 1 end
  if first == 1 or patch.text:byte(first - 1) ~= 10 then return nil end
  return patch.text:sub(first, member.first - 1)
end

local function insert_flow(patch, node, head, value)
  local members = members_of(node)
  local last, stays = members[#members], #members
  while stays > 0 and members[stays].each.is_gone do stays = stays - 1 end
  local kept = members[stays]
  local indent = patch.is_json and indent_of(patch, last)
  local position = kept and last.last or node.last - 1
  local had_new = node.has_new
  local comma = (kept or had_new) and "," or ""
  node.has_new = true
  -- YAML may have a comma too many at the end, and a comment.
  local between = kept and not patch.is_json and patch.text:sub(last.last, node.last - 2) or ""
  if between:find "#" then refuse("a comment stands before the bracket") end
  if between:find "," then position, comma = node.last - 1, had_new and "," or "" end
  if indent then
    return edit(patch, position, position,
      comma .. patch.line_end .. indent .. head .. spread(patch, indent, value))
  end
  local text = patch.is_json and json.encode(value) or yaml.flow(value)
  local blank = (comma ~= "" or kept) and not patch.is_dense and " " or ""
  edit(patch, position, position, comma .. blank .. head .. text)
end

-- With the comma before it when something before it stays, else the one after it.
local function delete_flow(patch, node, wanted)
  local members, keeps = members_of(node), false
  for i, member in ipairs(members) do
    if member.each == wanted then
      local first = keeps and members[i - 1].last or member.first
      local last = keeps and member.last or members[i + 1] and members[i + 1].first
        or node.last - 1
      if has_comment(patch, first, last) then refuse("what must go away there holds a comment") end
      wanted.is_gone = true
      return edit(patch, first, last, "")
    end
    keeps = keeps or not member.each.is_gone
  end
end

local function change_mapping(patch, node, old, new)
  if node.opaque then refuse("a key there occurs twice, or merges others") end
  for _, pair in ipairs(node.pairs) do
    if new[pair.name] ~= nil then
      change(patch, pair.value, old[pair.name], new[pair.name], node.column, node.flow)
    elseif node.flow then
      delete_flow(patch, node, pair)
    else
      delete_lines(patch, pair.key.first, pair.value.tip, "^ *$")
    end
  end
  local added = {}
  for key in pairs(new) do
    if old[key] == nil then added[#added + 1] = key end
  end
  table.sort(added)
  for _, key in ipairs(added) do
    if node.flow then
      insert_flow(patch, node, json.encode(key) .. (patch.is_dense and ":" or ": "), new[key])
    else
      insert_lines(patch, node.tip, yaml.lines({ [key] = new[key] }, node.column))
    end
  end
end

-- To kubectl, no name is a name.
local function name_of(entry)
  return type(entry.name) == "string" and entry.name or ""
end

local function by_name(list)
  local found = {}
  for _, each in ipairs(list) do
    if type(each) ~= "table" then return nil end
    local name = name_of(each)
    if found[name] then refuse("two entries have one name") end
    found[name] = each
  end
  return found
end

-- On one line, in the place of a list. Deeper than its key, which a block's dashes need not be.
local function write_anew(patch, node, text)
  local line_end = patch.text:byte(node.tip - 1) == 10 and patch.line_end or ""
  return replace(patch, node, node.tip, (node.flow and "" or " ") .. text .. line_end)
end

-- Lists of kubeconfigs are lists of things with a name. Others, such as the arguments of
-- a command, are written anew, and so is what is empty now.
local function change_sequence(patch, node, old, new)
  local old_names, new_names = by_name(old), by_name(new)
  if #new == 0 or not old_names or not new_names then
    return write_anew(patch, node, #new == 0 and "[]" or yaml.flow(new))
  end
  for i, item in ipairs(node.items) do
    local wanted = new_names[name_of(old[i])]
    if wanted then
      change(patch, item, old[i], wanted, node.column, node.flow)
    elseif node.flow then
      delete_flow(patch, node, item)
    else
      delete_lines(patch, item.first, item.tip, "^ *%- +$")
    end
  end
  for _, each in ipairs(new) do
    local is_new = not old_names[name_of(each)]
    if is_new and node.flow then
      insert_flow(patch, node, "", each)
    elseif is_new then
      insert_lines(patch, node.tip, yaml.lines({ each }, node.column))
    end
  end
end

function change(patch, node, old, new, column, in_flow)
  if same(old, new) then return end
  if node.kind == "alias" then refuse("what must change there is an alias") end
  if type(new) ~= "table" then
    if node.kind == "scalar" then return change_scalar(patch, node, new) end
    if node.kind == "sequence" then return write_anew(patch, node, scalar_text(patch, new)) end
  elseif is_empty(old) then
    return fill_empty(patch, node, new, column, in_flow)
  elseif node.kind == "mapping" and #new == 0 then
    return change_mapping(patch, node, old, new)
  elseif node.kind == "sequence" then
    return change_sequence(patch, node, old, new)
  end
  refuse("what must change there is of another kind")
end

local function append(patch, new)
  local text = table.concat(yaml.lines(new), patch.line_end) .. patch.line_end
  local gap = patch.text:find "[^\n]$" and patch.line_end or ""
  edit(patch, #patch.text + 1, #patch.text + 1, gap .. text)
end

-- A text without content has nothing but comments: what is new goes below them.
local function change_yaml(patch, old, new)
  local root, message = yaml.tree(patch.text)
  if message then refuse(message) end
  if not root then return append(patch, new) end
  if yaml.value(root) == json.null and not root.anchor and not root.tag then
    edit(patch, root.first, root.last, "")
    return append(patch, new)
  end
  if root.kind ~= "mapping" then refuse("it is not an object") end
  change(patch, root, old, new, 0, false)
end

local function change_json(patch, old, new)
  local root = json_tree.tree(patch.text)
  if not root then refuse("it is no JSON") end
  patch.is_json = true
  patch.unit = patch.text:match "^%s*{[ \t]*\r?\n([ \t]*)"
  patch.is_dense = not patch.text:find '":%s'
  change(patch, root, old, new, 0, true)
end

local function patched(text, old, new, format)
  local patch = {
    text = text, edits = {}, line_end = text:find("\r\n", 1, true) and "\r\n" or "\n",
  }
  local change_text = format == "json" and change_json or change_yaml
  change_text(patch, old, new)
  -- Edits at one place stay in the order in which they were made.
  table.sort(patch.edits, function(a, b)
    if a.first ~= b.first then return a.first < b.first end
    return a.number < b.number
  end)
  local parts, position = {}, 1
  for _, each in ipairs(patch.edits) do
    if each.first < position then refuse("two changes there touch each other") end
    parts[#parts + 1] = text:sub(position, each.first - 1) .. each.text
    position = each.last
  end
  parts[#parts + 1] = text:sub(position)
  local result = table.concat(parts)
  -- The proof: whatever was misjudged above shows here.
  if not same(read[format](result), new) then refuse("the result would not be what is meant") end
  return result
end

--- The text with other data.
-- @tparam string text YAML or JSON, in UTF-8
-- @tparam table old its data, as of @{cce.kubeconfig.read}
-- @tparam table new
-- @tparam[opt="yaml"] string format "json" or "yaml"
-- @treturn string
-- @treturn nil,string why it cannot be done without touching more than that
function M.patch(text, old, new, format)
  local body = without_mark(text)
  local ok, result = protect.catch(patched, body, old, new, format or "yaml")
  if ok then return text:sub(1, #text - #body) .. result end
  if type(result) ~= "table" then error(result, 0) end
  return nil, result.reason
end

return M
