--- Lines of files that are kept: one JSON object each, its fields in an order
-- that a person can read.
-- @module cce.base.json_line
-- @local
local core = require "cce.core"
local errors = require "cce.error"

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

--- Open a file of lines to be read once: a pipe will do.
-- @tparam string path
-- @treturn[1] userdata
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.open(path)
  local info, file, reason = core.file.stat(path), nil, "Is a directory"
  if not (info and info.type == "directory") then file, reason = io.open(path, "rb") end
  if file then return file end
  reason = reason:gsub("^.*: ", "")
  return errors.fail("FILE_ERROR", ("cannot read '%s': %s"):format(path, reason))
end

-- No line of ours is longer.
local LONGEST, CHUNK = 1024 * 1024, 65536

--- The lines of a file, without their ends. What is not ours may have a line without one: of
-- that the beginning comes, and it is the last.
-- @tparam userdata file
-- @treturn function iterator
function M.lines(file)
  local text, at, is_over = "", 1, false
  return function()
    local stop = text:find("\n", at, true)
    while not stop and not is_over do
      local more = #text - at < LONGEST and file:read(CHUNK)
      is_over = not more
      text, at = text:sub(at) .. (more or ""), 1
      stop = text:find("\n", 1, true)
    end
    local line = text:sub(at, (stop or 0) - 1)
    at = (stop or #text) + 1
    return (stop or line ~= "") and line or nil
  end
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
