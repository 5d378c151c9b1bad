--- One trace of CTS: from what services write, each in its own way, to one shape.
-- @module cce.api.cts.trace
-- @local
local responses = require "cce.api.response"
local show = require "cce.text.show"
local values = require "cce.base.values"

local M = {}

local text, object = values.text, values.object

-- The end of the year 9999, in milliseconds.
local LATEST = 253402300799999

-- nil for what is no time that could be shown: infinite, too.
local function seconds(milliseconds)
  milliseconds = tonumber(milliseconds)
  local is_time = milliseconds and milliseconds >= 0 and milliseconds <= LATEST
  return is_time and milliseconds / 1000 or nil
end

-- An agency's traces have the agency's id and a session's name in principal_id,
-- and "<account>/<agency>" as the name.
local function user_of(value)
  -- Older services write the user as JSON in a string.
  local raw = object(type(value) == "string" and responses.json(value) or value)
  local user = { id = text(raw.id), name = text(raw.name) or text(raw.user_name), kind = "user" }
  if raw.type == "AssumedAgency" then
    user.kind = "agency"
    user.id = (text(raw.principal_id) or user.id or ""):match("^[^:]+")
    user.name = user.name and user.name:match("([^/]*)$")
  end
  return user
end

local Trace = { __name = "cce.trace" }

function Trace:__tostring()
  return ("trace %s: %s %s by %s at %s"):format(self.id or "without an id", self.name or "?",
    self.resource_name or self.resource_id or "", self.user.name or self.user.id or "nobody known",
    self.time and show.time(self.time) or "a time not known")
end

--- A trace as the methods of a client return it.
-- @tparam table raw as CTS sends it
-- @treturn table
function M.read(raw)
  -- A refused attempt is recorded too.
  local status = tonumber(raw.code)
  local ok = raw.trace_rating ~= "warning" and raw.trace_rating ~= "incident"
  if status then ok = status < 400 end
  return setmetatable({
    id = text(raw.trace_id), name = text(raw.trace_name), service = text(raw.service_type),
    time = seconds(raw.time) or seconds(raw.record_time), recorded = seconds(raw.record_time),
    resource_id = text(raw.resource_id), resource_name = text(raw.resource_name),
    resource_type = text(raw.resource_type), user = user_of(raw.user),
    source_ip = text(raw.source_ip), code = status, ok = ok, raw = raw,
  }, Trace)
end

return M
