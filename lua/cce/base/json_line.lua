--- Lines of files that are kept: one JSON object each, its fields in an order
-- that a person can read.
-- @module cce.base.json_line
-- @local
local core = require "cce.core"

local M = {}

local function add(parts, name, value)
  if value == nil then return end
  parts[#parts + 1] = ('"%s":%s'):format(name, assert(core.json.encode(value)))
end

--- One line: the fields that `order` names come first, then the rest.
-- @tparam table record of strings, numbers and booleans
-- @tparam {string,...} order
-- @treturn string without a line end
function M.encode(record, order)
  local parts, known = {}, {}
  for _, name in ipairs(order) do
    known[name] = true
    add(parts, name, record[name])
  end
  local rest = {}
  for name in pairs(record) do
    if not known[name] then rest[#rest + 1] = name end
  end
  table.sort(rest)
  for _, name in ipairs(rest) do add(parts, name, record[name]) end
  -- JSON allows these two only escaped, and a line must stay one.
  return "{" .. table.concat(parts, ","):gsub("[\r\n]", " ") .. "}"
end

--- An id that no other run has.
-- @treturn string 16 hex digits
function M.new_id()
  local file = io.open("/dev/urandom", "rb")
  local bytes = file and file:read(32) or ""
  if file then file:close() end
  local seed = ("%s %.9f %s"):format(bytes, core.sys.time(), tostring {})
  return core.sha256(seed):sub(1, 16)
end

return M
