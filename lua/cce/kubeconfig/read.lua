--- From the text of a kubeconfig to its data, and what is wrong with it.
--
-- Internal to @{cce.kubeconfig}. Messages say what is missing and where, and
-- never repeat a value: it may be a secret.
--
-- @module cce.kubeconfig.read
-- @local
local json = require "cce.base.json"
local yaml_text = require "cce.kubeconfig.yaml"

local M = {}

--- The lists of a kubeconfig, and the name of what each entry holds.
M.sections = { clusters = "cluster", users = "user", contexts = "context" }
M.section_order = { "clusters", "users", "contexts" }

-- Lists that lyaml reads as a table like any other when they are empty.
local list_keys = {
  clusters = true, users = true, contexts = true, extensions = true, args = true, env = true,
}

-- Fields whose value is the Base64 of a PEM text.
local pem_fields = {
  clusters = { "certificate-authority-data" },
  users = { "client-certificate-data", "client-key-data" },
}

--- The value if it is a string, else nil.
-- @param value
-- @treturn ?string
function M.text(value)
  return type(value) == "string" and value or nil
end

--- The text without the byte order mark that some editors put before it.
-- @tparam string text
function M.without_mark(text)
  return (text:gsub("^\239\187\191", ""))
end

--- Whether the text can be JSON (else it is taken for YAML).
-- @tparam string text
function M.looks_like_json(text)
  return M.without_mark(text):find("^%s*{") ~= nil
end

--- Reads JSON text.
-- @tparam string text
-- @treturn table the data
-- @treturn nil,string what is wrong
function M.json(text)
  local data, message, cut_off = json.decode(M.without_mark(text))
  if data ~= nil then return data end
  if text:find("^%s*$") then return nil, "it is empty" end
  if cut_off then
    return nil, ("it is cut off: it ends after %d bytes, inside of the JSON"):format(#text)
  end
  return nil, ("it is no JSON: %s"):format(message)
end

local yaml_to_json

local function convert_members(value, null, seen)
  local result = seen[value]
  for key, member in pairs(value) do
    local converted = yaml_to_json(member, null, seen)
    if list_keys[key] and type(converted) == "table" and next(converted) == nil then
      converted = json.array()
    end
    result[type(key) == "number" and #value == 0 and tostring(key) or key] = converted
  end
  return result
end

-- lyaml's null becomes ours, and empty lists become lists again. Aliases
-- share their table: each is converted once.
function yaml_to_json(value, null, seen)
  if value == null then return json.null end
  if type(value) ~= "table" then return value end
  if seen[value] then return seen[value] end
  seen[value] = {}
  return convert_members(value, null, seen)
end

--- Reads YAML text, if lyaml is installed.
-- @tparam string text
-- @treturn table the data
-- @treturn nil,string,?string what is wrong, and the code if it is not the text
function M.yaml(text)
  local found, lyaml = pcall(require, "lyaml")
  if not found then
    return nil, "it is YAML, and to read YAML lyaml must be installed "
      .. "(Debian: lua-yaml; LuaRocks: lyaml)", "MISSING_DEPENDENCY"
  end
  -- First a look that costs little whatever the text is: it may be hostile.
  local body = M.without_mark(text)
  local root, problem = yaml_text.tree(body)
  if not root then return nil, problem or "it is empty" end
  local ok, value = pcall(lyaml.load, body)
  if not ok then
    -- lyaml's own message, without the file and line of lyaml.
    return nil, "it is no YAML: " .. tostring(value):gsub("^%S+:%d+: ", "")
  end
  if value == nil then return nil, "it is empty" end
  return yaml_to_json(value, lyaml.null, {})
end

--- The usable entries of a section, in their order.
-- @tparam table data
-- @tparam string section "clusters", "users" or "contexts"
-- @treturn {table,...} each { name=, body=, entry= }
function M.entries(data, section)
  local found = {}
  local list = data[section]
  if type(list) ~= "table" then return found end
  for _, entry in ipairs(list) do
    if type(entry) == "table" and type(entry.name) == "string" then
      local body = entry[M.sections[section]]
      found[#found + 1] =
        { name = entry.name, body = type(body) == "table" and body or {}, entry = entry }
    end
  end
  return found
end

--- The entry of a section with a name, as in @{entries}; nil when there is none.
function M.find(data, section, name)
  for _, each in ipairs(M.entries(data, section)) do
    if each.name == name then return each end
  end
  return nil
end

--- The names of a section's entries, in their order.
function M.names(data, section)
  local names = {}
  for i, each in ipairs(M.entries(data, section)) do names[i] = each.name end
  return names
end

local function is_missing(value)
  return value == nil or value == json.null
end

local function check_entry(section, i, entry)
  if type(entry) ~= "table" then return ("%s[%d] is no object"):format(section, i) end
  if type(entry.name) ~= "string" or entry.name == "" then
    return ("%s[%d] has no name"):format(section, i)
  end
  if not is_missing(entry[M.sections[section]])
    and type(entry[M.sections[section]]) ~= "table" then
    return ("%s[%d].%s is no object"):format(section, i, M.sections[section])
  end
  return nil
end

local function check_section(data, section)
  local list = data[section]
  if is_missing(list) then return nil end
  if type(list) ~= "table" or (next(list) ~= nil and #list == 0) then
    return ("'%s' is no list"):format(section)
  end
  for i, entry in ipairs(list) do
    local problem = check_entry(section, i, entry)
    if problem then return problem end
  end
  return nil
end

--- What keeps data from being a kubeconfig that kubectl would read.
-- @param data
-- @treturn ?string nil when nothing does
function M.problem(data)
  if type(data) ~= "table" or #data > 0 then return "it is not an object" end
  if not is_missing(data.kind) and data.kind ~= "Config" then
    return ("its kind is %s, not 'Config'"):format(
      type(data.kind) == "string" and "'" .. data.kind:sub(1, 40) .. "'" or "no text")
  end
  for _, section in ipairs(M.section_order) do
    local problem = check_section(data, section)
    if problem then return problem end
  end
  return nil
end

local function find_duplicate(data, section)
  local seen = {}
  for _, name in ipairs(M.names(data, section)) do
    if seen[name] then return ("there are two %s named '%s'"):format(section, name) end
    seen[name] = true
  end
  return nil
end

-- The Base64 of the Base64 of "-----BEGIN " starts like this.
local function base64_problem(value)
  if value:find("^TFMwdExTM") then
    return "is Base64 twice over (decode it once, and it is right)"
  elseif value:find("^%s*%-%-%-%-%-BEGIN") then
    return "is PEM text, but must be the Base64 of it"
  elseif value:find("[^%w+/=%s]") or value == "" then
    return "is no Base64"
  end
  return nil
end

--- What is wrong with the Base64 fields of one entry.
-- @tparam string section
-- @tparam table each as in @{entries}
-- @treturn ?string nil when nothing is
function M.encoding_problem(section, each)
  for _, field in ipairs(pem_fields[section] or {}) do
    local value = each.body[field]
    local problem = type(value) == "string" and base64_problem(value)
    if problem then
      return ("%s of %s '%s' %s"):format(field, M.sections[section], each.name, problem)
    end
  end
  return nil
end

local function section_problem(data, section)
  local entries = M.entries(data, section)
  if #entries == 0 then return ("it has no %s"):format(section) end
  for _, each in ipairs(entries) do
    local problem = M.encoding_problem(section, each)
    if problem then return problem end
  end
  return find_duplicate(data, section)
end

local function reference_problem(data)
  for _, each in ipairs(M.entries(data, "contexts")) do
    for _, section in ipairs { "clusters", "users" } do
      local field = M.sections[section]
      if not M.find(data, section, each.body[field]) then
        return ("context '%s' names no %s that it has"):format(each.name, field)
      end
    end
  end
  local current = data["current-context"]
  if is_missing(current) then return "it has no current-context" end
  if not M.find(data, "contexts", current) then
    return "its current-context is none of its contexts"
  end
  return nil
end

--- What keeps data from being a kubeconfig that the API would send: complete,
-- each part present, all references right.
-- @param data
-- @treturn ?string nil when nothing does
function M.strict_problem(data)
  local problem = M.problem(data)
  if problem then return problem end
  if data.kind ~= "Config" then return "it has no kind" end
  for _, section in ipairs(M.section_order) do
    problem = section_problem(data, section)
    if problem then return problem end
  end
  return reference_problem(data)
end

return M
