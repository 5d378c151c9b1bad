--- What the simulator saw: one entry a request, in order of arrival.
local M = {}

-- Old entries go, so that a long rehearsal does not eat the memory.
local LIMIT = 50000

local entries, first = {}, 1

-- Fields of bodies that hold secrets.
local SECRET_FIELDS = { "privateKey", "password", "secret", "key" }

--- Opens the entry of a request that has just arrived. It is accepted = false until the service
-- has done what was asked.
function M.begin(request, service, now)
  local body = request.body or ""
  for _, field in ipairs(SECRET_FIELDS) do
    body = body:gsub('("' .. field .. '"%s*:%s*")[^"]*"', '%1***"')
  end
  body = body:gsub('("[id_]*token"%s*:%s*{"id"%s*:%s*")[^"]*"', '%1***"')
  local entry = {
    time = now, service = service, method = request.method, target = request.target,
    connection = request.connection, connection_request = request.connection_request,
    user_agent = request.headers["user-agent"], accepted = false,
    body = body,
  }
  entries[#entries + 1] = entry
  if #entries - first >= LIMIT then
    entries[first] = false
    first = first + 1
  end
  return entry
end

function M.list()
  local result = {}
  for i = first, #entries do
    result[#result + 1] = entries[i]
  end
  return result
end

function M.clear()
  entries, first = {}, 1
end

return M
