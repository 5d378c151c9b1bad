--- Why a signature was refused: the gateway's own canonical request beside ours.
-- @module cce.api.diagnosis
-- @local
local core = require "cce.core"
local responses = require "cce.api.response"
local values = require "cce.base.values"

local M = {}

-- The lines of a canonical request; the headers lie in between.
local function name_of(line, lines)
  local names = { "the method", "the path", "the query" }
  if names[line] then return names[line] end
  if line == #lines then return "the hash of the body" end
  if line == #lines - 1 then return "the list of signed headers" end
  return "a header"
end

local function split(text, separator)
  local lines = {}
  for line in (text .. separator):gmatch("(.-)%" .. separator) do lines[#lines + 1] = line end
  return lines
end

local function is_secret(line)
  return values.lower(line):match("^x%-[%w]+%-token%s*:") ~= nil
end

local function shown(line)
  if line == nil then return "nothing" end
  if is_secret(line) then line = line:match("^[^:]*:") .. "***" end
  return '"' .. responses.excerpt(line) .. '"'
end

--- What to tell about a message that repeats the gateway's canonical request.
-- @tparam string theirs with "|" for a line end, as in the message
-- @tparam string ours with line ends
-- @treturn string a hint
function M.compare(theirs, ours)
  local left, right = split(theirs, "|"), split(ours, "\n")
  for i, line in ipairs(right) do
    -- What was made unreadable on the way here counts as the same.
    if is_secret(line) and left[i] and is_secret(left[i]) then left[i] = line end
  end
  local line, last = 1, math.max(#left, #right)
  while line <= last and left[line] == right[line] do line = line + 1 end
  if line > last then
    return "The gateway signed exactly the same request, so the secret key is wrong"
      .. " or belongs to another access key"
  end
  return ("The gateway saw another request than was signed: %s is %s there and %s here;"
    .. " look for a proxy that changes requests"):format(
    name_of(line, right), shown(left[line]), shown(right[line]))
end

--- Explain a refused signature, if the gateway said enough.
-- @tparam string text what the gateway said
-- @tparam userdata signer of `core.signer`
-- @tparam table request as handed to `engine:submit`
-- @treturn ?string a hint
function M.explain(text, signer, request)
  local theirs = text:match("canonicalRequest:(.*)$")
  local host, base = core.endpoint(request.endpoint)
  if not theirs or not signer or not host then return nil end
  local ours = signer:canonical_request {
    method = request.method, host = host, path = base .. request.path, query = request.query,
    headers = request.headers, body = request.body, date = math.floor(request.date),
  }
  return ours and M.compare(theirs, ours)
end

return M
