--- A kubeconfig as people may see it: no key, token or password in it.
--
-- Internal to @{cce.kubeconfig}. Of a user, and of extensions, what is not known
-- to be harmless is hidden; elsewhere what looks like a secret.
--
-- @module cce.kubeconfig.redact
-- @local
local json = require "cce.base.json"
local values = require "cce.base.values"

local M = {}

local HIDDEN = "***"

-- Longer strings are certificates nearly always: their size says enough.
local MAX_SHOWN = 200

-- What may be shown of a user. Everything else there is hidden.
local user_fields = {
  ["client-certificate-data"] = true, ["client-certificate"] = true, ["client-key"] = true,
  tokenFile = true, username = true, as = true, ["as-uid"] = true,
}

local exec_fields = {
  apiVersion = true, command = true, installHint = true, interactiveMode = true,
  provideClusterInfo = true,
}

-- Names that mean a secret wherever they stand.
local secret_names = {
  "^extension$", "token", "passw", "secret", "key%-data", "private", "credential",
}

--- Whether a field of this name holds a secret.
-- @param key
-- @treturn boolean
function M.is_secret_name(key)
  local lower = type(key) == "string" and values.lower(key) or ""
  for _, pattern in ipairs(secret_names) do
    if lower:find(pattern) then return true end
  end
  return false
end

-- "PRIVATE KEY" in the clear, and its Base64 at the three possible offsets.
local key_signs = { "PRIVATE KEY", "UFJJVkFURSBLRV", "BSSVZBVEUgS0", "QUklWQVRFIEtF" }

--- Whether a text looks like a private key or a token, or holds one.
-- @tparam string text
-- @treturn boolean
function M.holds_secret(text)
  if text:find("^eyJ[%w_-]+%.") then return true end -- a token of the JWT kind
  for _, sign in ipairs(key_signs) do
    if text:find(sign, 1, true) then return true end
  end
  return false
end

--- A single text as people may see it.
-- @tparam string text such as a server's address, which may hold a password
-- @treturn string
function M.string(text)
  if M.holds_secret(text) then return HIDDEN end
  if #text > MAX_SHOWN then return ("<%d bytes>"):format(#text) end
  return (text:gsub("(%a[%w+.-]*://)%S*@", "%1" .. HIDDEN .. "@"))
end

local show

local function show_members(value, depth)
  local result = {}
  for key, member in pairs(value) do
    local hidden = M.is_secret_name(key) and type(member) ~= "boolean"
    result[key] = hidden and HIDDEN or show(member, depth + 1)
  end
  return setmetatable(result, #value == 0 and getmetatable(value) or nil)
end

function show(value, depth)
  if type(value) == "string" then return M.string(value) end
  if type(value) ~= "table" then return value end
  if depth > 50 then return "..." end
  return show_members(value, depth)
end

-- Shows the fields that are known to be harmless, and that there are others.
local function show_known(object, known)
  local result = {}
  for key, value in pairs(object) do
    result[key] = known[key] and show(value, 0) or HIDDEN
  end
  return result
end

-- Of what is handed to a command, the names of variables.
local function show_user(user)
  if type(user) ~= "table" then return HIDDEN end
  local result, exec = show_known(user, user_fields), user.exec
  if type(exec) ~= "table" then return result end
  result.exec = show_known(exec, exec_fields)
  if not exec.env then return result end
  local names = json.array()
  for i, each in ipairs(type(exec.env) == "table" and exec.env or {}) do
    local name = type(each) == "table" and type(each.name) == "string" and each.name or HIDDEN
    names[i] = { name = M.string(name), value = HIDDEN }
  end
  result.exec.env = names
  return result
end

--- The data as readable JSON, with everything secret replaced by `***`.
-- @tparam table data a decoded kubeconfig, of whatever shape
-- @treturn string
function M.text(data)
  local shown = show_members(data, 0)
  if data.users ~= nil then
    shown.users = json.array()
    for i, each in ipairs(type(data.users) == "table" and data.users or {}) do
      shown.users[i] = type(each) == "table"
        and { name = show(each.name, 0), user = show_user(each.user) } or HIDDEN
    end
  end
  return json.encode(shown, { pretty = true }) or "cce.kubeconfig.data: (not printable)"
end

return M
