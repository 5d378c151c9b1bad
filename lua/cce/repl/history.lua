--- What was typed, kept for the next time, without secrets.
-- @module cce.repl.history
-- @local
local core = require "cce.core"
local directories = require "cce.base.directories"
local redact = require "cce.kubeconfig.redact"
local values = require "cce.base.values"

local M = {}

local History = {}
History.__index = History

-- Lines that the file keeps.
local MOST = 1000
local LONGEST_FILE = 4 * 1024 * 1024

-- Variables whose values must not be kept, when a line happens to hold one.
local VARIABLES = {
  "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN", "HW_SECRET_KEY", "HW_SECURITY_TOKEN",
}

-- Shorter ones would hide half of what is typed.
local LEAST_SECRET = 6

-- ---- what is not kept ------------------------------------------------------

-- Names, and how a value follows one: `sk = "…"`, `["sk"] = ("…")`, `token("…")`,
-- `token "…"`.
local NAMES = { "%f[%w]sk", "_sk", "token", "passw%w*", "passphrase", "secret%w*", "private_key",
  "_key", "authorization" }
local VALUES = { "[\"']?%]?%s*=%s*%(?%s*[\"'%[]", "%s*%(%s*[\"'%[]", "%s+[\"'%[]", "%[=*%[" }

local function assigns_secret(line)
  local lower = values.lower(line)
  for _, name in ipairs(NAMES) do
    for _, value in ipairs(VALUES) do
      if lower:find(name .. value) then return true end
    end
  end
  return false
end

--- Whether a text must not be kept.
-- @tparam string text
-- @tparam[opt] {string,...} secrets known ones
-- @treturn boolean
function M.is_secret(text, secrets)
  if core.is_pem(text) or redact.holds_secret(text) then return true end
  if text:find "eyJ[%w_-]+%.[%w_-]+%." or assigns_secret(text) then return true end
  if text:find "[^%s\"'@:/]:[^%s\"'@]+@" then return true end -- user:password@host
  for _, secret in ipairs(secrets or {}) do
    if #secret >= LEAST_SECRET and text:find(secret, 1, true) then return true end
  end
  return false
end

-- ---- the file ----------------------------------------------------------------

--- Where it is kept: $XDG_STATE_HOME/cce/history.
-- @treturn string
function M.path()
  return directories.state() .. "/history"
end

--- Open the history; without a path nothing is kept beyond the session.
-- @tparam ?string path
-- @treturn table with `lines`, and `problem` when the file cannot be used
function M.open(path)
  local self = setmetatable({ path = path, lines = {}, secrets = {} }, History)
  for _, name in ipairs(VARIABLES) do self:hide(os.getenv(name)) end
  if not path then return self end
  directories.make(path:match "^(.*)/")
  local lines, text = {}, ""
  if core.file.stat(path) ~= false then
    text, self.problem = core.file.read(path, { max = LONGEST_FILE })
    if not text then
      self.path = nil
      return self
    end
  end
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  for i = math.max(1, #lines - MOST + 1), #lines do self.lines[#self.lines + 1] = lines[i] end
  -- Each session only appends: here the file is cut to its last lines, and its mode made 0600.
  text = #self.lines > 0 and table.concat(self.lines, "\n") .. "\n" or ""
  local ok, message = core.file.write(path, text)
  if not ok then self.path, self.problem = nil, message end
  return self
end

--- Keep what was typed, unless it holds a secret or is what was typed last.
-- @tparam string text
-- @treturn boolean whether it is kept
function History:add(text)
  local line = text:gsub("%s+$", "")
  if line == "" or line == self.lines[#self.lines] then return false end
  if M.is_secret(line, self.secrets) then return false end
  self.lines[#self.lines + 1] = line
  local file = self.path and io.open(self.path, "a")
  if file then
    file:write(line, "\n")
    file:close()
  end
  return true
end

--- A text without the secrets that are known.
-- @tparam string text
-- @treturn string
function History:redact(text)
  for _, secret in ipairs(self.secrets) do
    if #secret >= LEAST_SECRET then
      text = text:gsub(secret:gsub("%p", "%%%0"), "***")
    end
  end
  return text
end

--- A secret that no line may hold.
-- @tparam ?string secret
function History:hide(secret)
  if type(secret) == "string" then self.secrets[#self.secrets + 1] = secret end
end

return M
