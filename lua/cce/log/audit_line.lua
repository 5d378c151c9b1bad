--- One line of an audit log: a record, the hash of the line before, its own hash.
-- @module cce.log.audit_line
-- @local
local core = require "cce.core"
local json_line = require "cce.base.json_line"

local M = {}

--- What the first line names as the hash of the one before.
M.FIRST = ("0"):rep(64)

local ORDER = { "file", "n", "at", "operation", "target", "user_id", "agency_id", "holder",
  "component", "certificate_expiration_time", "duration", "expire_at", "nodes", "project",
  "access_key", "outcome", "status", "code", "request_id", "attempts", "call", "continues",
  "after", "previous" }

--- Bytes of a line at most: ids are limited, and what the API says is cut.
M.ROOM = 1536

local LONGEST_TEXT = 128

-- Each stands beside few others: a binding with its namespace and cluster, or some nodes.
local LONGER = { target = 512, nodes = 512 }

-- ---- what was asked for ------------------------------------------------------

-- What the API calls it, and what we do. A name that is not here is not logged: it
-- may be a secret, as the key of a rotation to a CA of one's own.
local ARGUMENTS = { userId = "user_id", agencyId = "agency_id", component = "component",
  certificateExpirationTime = "certificate_expiration_time", duration = "duration",
  expire_at = "expire_at" }

-- Those that there is room for, each whole, and how many more there are.
local function some_of(ids)
  local text = ids[1]
  for i = 2, #ids do
    local rest = (" and %d more"):format(#ids - i + 1)
    if #text + 1 + #ids[i] + #rest > LONGER.nodes then return text .. rest end
    text = text .. " " .. ids[i]
  end
  return text
end

--- The arguments of a call that changes something, as they are sent.
-- @tparam ?string body of the request
-- @treturn table
function M.arguments(body)
  local sent, found = body and core.json.decode(body), {}
  if type(sent) ~= "table" then return found end
  for wire, name in pairs(ARGUMENTS) do
    local value = sent[wire]
    if type(value) == "string" or type(value) == "number" then found[name] = value end
  end
  if type(sent.nodeList) == "table" then
    local ids = {}
    for i, node in ipairs(sent.nodeList) do
      ids[i] = tostring(type(node) == "table" and node.nodeID or nil)
    end
    found.nodes = some_of(ids)
  end
  return found
end

-- ---- lines -------------------------------------------------------------------

--- The text of a line with its hash, and the hash.
-- @tparam table entry its long texts are cut
-- @tparam ?string|cce.secret key
-- @treturn string without a line end
-- @treturn string
function M.seal(entry, key)
  for name, value in pairs(entry) do
    local longest = LONGER[name] or LONGEST_TEXT
    if type(value) == "string" and #value > longest and name ~= "continues" then
      entry[name] = value:sub(1, longest):gsub("[\128-\255]+$", "")
    end
  end
  local text = json_line.encode(entry, ORDER):sub(1, -2)
  local hash = core.sha256(text, key)
  return ('%s,"hash":"%s"}'):format(text, hash), hash
end

--- What a line says, when it says it itself and to its key.
-- @tparam string line
-- @tparam ?string|cce.secret key
-- @treturn[1] table
-- @treturn[1] string its hash
-- @treturn[2] nil
-- @treturn[2] string what is wrong with it
function M.open(line, key)
  local text, hash = line:match '^(.*),"hash":"(%x+)"}$'
  if not text then return nil, "is not a line of an audit log" end
  local entry = core.json.decode(line)
  if type(entry) ~= "table" or type(entry.n) ~= "number" or type(entry.previous) ~= "string"
    or not (entry.n >= 1 and entry.n < 2 ^ 53 and entry.n % 1 == 0)
    or entry.continues ~= nil and type(entry.continues) ~= "string" then
    return nil, "is not a line of an audit log"
  end
  if core.sha256(text, key) ~= hash then
    return nil, "was changed, or was written with another key"
  end
  return entry, hash
end

return M
