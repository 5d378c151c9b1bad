--- From the text of a kubeconfig to its data, and what is wrong with it.
--
-- Internal to @{cce.kubeconfig}. Messages say what is missing and where, and
-- never repeat a value: it may be a secret.
--
-- @module cce.kubeconfig.read
-- @local
local json = require "cce.base.json"
local width = require "cce.text.width"
local without_mark = require("cce.base.values").without_mark
local yaml_text = require "cce.kubeconfig.syntax.yaml"

local M = {}

--- The lists of a kubeconfig, and the name of what each entry holds.
M.sections = { clusters = "cluster", users = "user", contexts = "context" }
M.section_order = { "clusters", "users", "contexts" }

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

--- The value if it is a string with something in it, else nil: to Go these are the same.
-- @param value
-- @treturn ?string
function M.non_empty(value)
  return type(value) == "string" and value ~= "" and value or nil
end

--- Whether the text can be JSON (else it is taken for YAML).
-- @tparam string text
function M.looks_like_json(text)
  return without_mark(text):find("^%s*{") ~= nil
end

--- Reads JSON text.
-- @tparam string text
-- @treturn table the data
-- @treturn nil,string what is wrong
function M.json(text)
  local data, message, cut_off = json.decode(without_mark(text))
  if data ~= nil then return data end
  if text:find("^%s*$") then return nil, "it is empty" end
  if cut_off then
    return nil, ("it is cut off: it ends after %d bytes, inside of the JSON"):format(#text)
  end
  return nil, ("it is no JSON: %s"):format(message)
end

-- UTF-16, as PowerShell writes it; by its mark, as kubectl tells it.
local UTF16 = { ["\255\254"] = { 1, 2 }, ["\254\255"] = { 2, 1 } }

--- The text as UTF-8; kubectl reads UTF-16 too, where the byte order mark says so.
-- @tparam string text
-- @treturn string
-- @treturn nil,string what is wrong
function M.as_utf8(text)
  local order = UTF16[text:sub(1, 2)]
  if not order then return text end
  if #text % 2 ~= 0 then return nil, "it is UTF-16 that is cut off" end
  local parts, high = {}, nil
  for i = 3, #text, 2 do
    local pair = { text:byte(i, i + 1) }
    local code = pair[order[2]] * 256 + pair[order[1]]
    local is_low = code >= 0xDC00 and code < 0xE000
    if (high ~= nil) ~= is_low then return nil, "it is UTF-16 with half a character" end
    if code >= 0xD800 and code < 0xDC00 then
      high = code
    else
      if high then code = 0x10000 + (high - 0xD800) * 1024 + code - 0xDC00 end
      parts[#parts + 1] = width.character(code)
      high = nil
    end
  end
  if high then return nil, "it is UTF-16 with half a character" end
  return table.concat(parts)
end

-- Those beyond ASCII that YAML allows; most control characters and half characters are not.
local function is_allowed(code)
  return code == 0x85 or code >= 0xA0 and code <= 0xD7FF or code >= 0xE000 and code <= 0xFFFD
    or code >= 0x10000 and code <= 0x10FFFF
end

--- The place of the first byte because of which kubectl reads nothing of a file, be it
-- YAML or JSON: it is not UTF-8, or a control character.
-- @tparam string text
-- @treturn ?int
function M.unreadable_byte(text)
  for at, character in text:gmatch "()([^\t\n\r -~][\128-\191]*)" do
    local code = width.code_point(character)
    if width.character(code) ~= character or not is_allowed(code) then return at end
  end
  return nil
end

--- Reads YAML text, if lyaml is installed. One without content is an empty object.
-- @tparam string text
-- @treturn table the data
-- @treturn nil,string,?string what is wrong, and the code if it is not the text
function M.yaml(text)
  -- It may be hostile: looking at its tree costs little whatever it is.
  local found = pcall(require, "lyaml")
  if not found then
    if not text:find "%S" then return {} end
    return nil, "it is YAML, and to read YAML lyaml must be installed "
      .. "(Debian: lua-yaml; LuaRocks: lyaml)", "MISSING_DEPENDENCY"
  end
  local root, problem = yaml_text.tree(without_mark(text))
  if not root then
    if problem then return nil, problem end
    return {}
  end
  local value
  value, problem = yaml_text.value(root)
  if value == json.null then return {} end
  return value, problem
end

--- Reads a file as kubectl would: JSON or YAML, UTF-8 or UTF-16.
-- @tparam string text
-- @treturn table `{data=, format="json"|"yaml", text=<in UTF-8>}`
-- @treturn nil,string,?string what is wrong, and the code if it is not the text
function M.file(text)
  local body, message = M.as_utf8(text)
  if not body then return nil, message end
  local at = M.unreadable_byte(body)
  if at then return nil, ("its byte %d is not UTF-8, or a control character"):format(at) end
  local data, code
  if M.looks_like_json(body) then
    data, message = M.json(body)
    if data ~= nil then return { data = data, format = "json", text = body } end
    -- Braces are YAML, too: with a comment, a comma too many, or without quotes.
    data = pcall(require, "lyaml") and M.yaml(body) or nil
  else
    data, message, code = M.yaml(body)
  end
  if data == nil then return nil, message, code end
  return { data = data, format = "yaml", text = body }
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

-- Where names stand, by list, as they were when one was last missed there: each of a thousand
-- contexts asks for its cluster and its user.
local places_of = setmetatable({}, { __mode = "k" })

local function place_in(list, name)
  local places = places_of[list]
  local at = places and places[name]
  if at and type(list[at]) == "table" and list[at].name == name then return at end
  places = {}
  for i, entry in ipairs(list) do
    local key = type(entry) == "table" and entry.name
    if type(key) == "string" then places[key] = places[key] or i end
  end
  places_of[list] = places
  return places[name]
end

--- The entry of a section with a name, as in @{entries}; nil when there is none.
function M.find(data, section, name)
  local list = data[section]
  if type(list) ~= "table" or type(name) ~= "string" then return nil end
  local at = place_in(list, name)
  return at and M.entries({ [section] = { list[at] } }, section)[1]
end

--- The names of a section's entries, in their order.
function M.names(data, section)
  local names = {}
  for i, each in ipairs(M.entries(data, section)) do names[i] = each.name end
  return names
end

---- What kubectl would not read ----

local function is_missing(value)
  return value == nil or value == json.null
end

local type_names = { string = "text", boolean = "'true' or 'false'", table = "object" }

local function is_no(where, expected)
  return (where:find "%[" and "%s is no %s" or "'%s' is no %s"):format(where, expected)
end

local function is_list(value)
  return type(value) == "table"
    and (#value > 0 or next(value) == nil and json.encode(value) == "[]")
end

-- Go takes null for whatever there is none of.
local check_value

-- A type is "string", "boolean", "bytes" (Base64), "any", { list of that type },
-- { each = type } for an object whose names are free, or { fields = { name = type } }.
local function check_table(where, value, wanted)
  if wanted[1] then
    if not is_list(value) then return is_no(where, "list") end
    for i, each in ipairs(value) do
      local problem = check_value(("%s[%d]"):format(where, i), each, wanted[1])
      if problem then return problem end
    end
    return nil
  end
  if is_list(value) then return is_no(where, "object") end
  for name, each in pairs(value) do
    local expected = wanted.each or wanted.fields[name]
    local path = where == "" and tostring(name) or ("%s.%s"):format(where, tostring(name))
    local problem = expected and check_value(path, each, expected)
    if problem then return problem end
  end
  return nil
end

function check_value(where, value, wanted)
  if wanted == "any" or is_missing(value) then return nil end
  local expected = type(wanted) == "table" and "table" or wanted
  if expected == "bytes" then expected = "string" end
  if type(value) ~= expected then
    local hint = expected == "string" and type(value) ~= "table"
      and ": kubectl, too, wants it in quotes" or ""
    return is_no(where, type(wanted) == "table" and wanted[1] and "list" or type_names[expected])
      .. hint
  end
  if type(wanted) == "table" then return check_table(where, value, wanted) end
  return nil
end

local extensions = { { fields = { name = "string", extension = "any" } } }

-- k8s.io/client-go/tools/clientcmd/api/v1.
local config_type = { fields = {
  kind = "string", apiVersion = "string", ["current-context"] = "string",
  preferences = { fields = { colors = "boolean", extensions = extensions } },
  extensions = extensions,
  clusters = { { fields = { name = "string", cluster = { fields = {
    server = "string", ["tls-server-name"] = "string", ["insecure-skip-tls-verify"] = "boolean",
    ["certificate-authority"] = "string", ["certificate-authority-data"] = "bytes",
    ["proxy-url"] = "string", ["disable-compression"] = "boolean", extensions = extensions,
  } } } } },
  users = { { fields = { name = "string", user = { fields = {
    ["client-certificate"] = "string", ["client-certificate-data"] = "bytes",
    ["client-key"] = "string", ["client-key-data"] = "bytes", token = "string",
    tokenFile = "string", as = "string", ["as-uid"] = "string", ["as-groups"] = { "string" },
    ["as-user-extra"] = { each = { "string" } }, username = "string", password = "string",
    ["auth-provider"] = { fields = { name = "string", config = { each = "string" } } },
    exec = { fields = {
      command = "string", args = { "string" }, apiVersion = "string", installHint = "string",
      env = { { fields = { name = "string", value = "string" } } },
      provideClusterInfo = "boolean", interactiveMode = "string",
    } },
    extensions = extensions,
  } } } } },
  contexts = { { fields = { name = "string", context = { fields = {
    cluster = "string", user = "string", namespace = "string", extensions = extensions,
  } } } } },
} }

--- What keeps data from being a kubeconfig that kubectl would read.
-- @param data
-- @treturn ?string nil when nothing does
function M.problem(data)
  if type(data) ~= "table" or is_list(data) then return "it is not an object" end
  -- To Go, text that is empty is text that is missing.
  if not is_missing(data.kind) and data.kind ~= "" and data.kind ~= "Config" then
    return ("its kind is %s, not 'Config'"):format(
      type(data.kind) == "string" and "'" .. data.kind:sub(1, 40) .. "'" or "no text")
  elseif M.non_empty(data.apiVersion) and data.apiVersion ~= "v1" then
    return ("its apiVersion is '%s', not 'v1'"):format(data.apiVersion:sub(1, 40))
  end
  local problem = check_table("", data, config_type)
  if problem then return problem end
  for _, section in ipairs(M.section_order) do
    local seen = {}
    for _, name in ipairs(M.names(data, section)) do
      if seen[name] then return ("there are two %s named '%s'"):format(section, name) end
      seen[name] = true
    end
  end
  return nil
end

--- What is wrong with the Base64 of a PEM text: as Go's encoding/base64 reads it, line
-- breaks may stand in it and nothing else, and what fills it up is mandatory. The Base64
-- of the Base64 of "-----BEGIN " is known by its beginning.
-- @tparam string value
-- @treturn ?string nil when nothing is
-- @treturn ?boolean true when kubectl reads the file all the same
function M.base64_problem(value)
  local text = value:gsub("[\r\n]", "")
  if text:find("^TFMwdExTM") then
    return "is Base64 twice over (decode it once, and it is right)", true
  elseif text:find("^%s*%-%-%-%-%-BEGIN") then
    return "is PEM text, but must be the Base64 of it"
  elseif text:find("%s") then
    return "is no Base64: blanks stand in it, where kubectl takes nothing but line breaks"
  elseif #text % 4 ~= 0 or not text:find("^[%w+/]*=?=?$") or text == "" then
    return "is no Base64"
  end
  return nil
end

--- What is wrong with the Base64 fields of one entry.
-- @tparam string section
-- @tparam table each as in @{entries}
-- @tparam[opt=false] boolean is_strict an empty one is wrong, too
-- @treturn ?string nil when nothing is
-- @treturn ?boolean true when kubectl reads the file all the same
function M.encoding_problem(section, each, is_strict)
  for _, field in ipairs(pem_fields[section] or {}) do
    local value = each.body[field]
    local is_there = type(value) == "string" and (value ~= "" or is_strict)
    local problem, is_read
    if is_there then problem, is_read = M.base64_problem(value) end
    if problem then
      return ("%s of %s '%s' %s"):format(field, M.sections[section], each.name, problem), is_read
    end
  end
  return nil
end

local function section_problem(data, section)
  local entries = M.entries(data, section)
  for i, entry in ipairs(type(data[section]) == "table" and data[section] or {}) do
    local name = type(entry) == "table" and entry.name
    if type(name) ~= "string" or name == "" then
      return ("%s[%d] has no name"):format(section, i)
    end
  end
  if #entries == 0 then return ("it has no %s"):format(section) end
  for _, each in ipairs(entries) do
    local problem = M.encoding_problem(section, each, true)
    if problem then return problem end
  end
  return nil
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
