-- Who the benchmarks are: nobody. The upstream checks no signature, but the
-- client makes one for every request.
local M = {}

M.cluster_id = "11111111-2222-3333-4444-555555555555"
M.project_id = "0123456789abcdef0123456789abcdef"

--- Options of `cce.new` for the upstream at a port of this machine.
function M.options(port, ca_file)
  return {
    endpoint = "https://127.0.0.1:" .. port,
    ca_file = ca_file,
    project_id = M.project_id,
    credentials = { ak = "EXAMPLEACCESSKEY0000", sk = "not-a-real-secret-key-00000000" },
    proxy = false,
    max_connections = 1000,
    timeout = 60,
  }
end

M.path = ("/api/v3/projects/%s/clusters/%s/operation/rotatecredentials"):format(
  M.project_id, M.cluster_id)
M.body = '{"component":"all"}'

-- Headers as long as those of a signed request.
M.headers = {
  ["Content-Type"] = "application/json",
  ["X-Project-Id"] = M.project_id,
  ["X-Sdk-Date"] = "20260102T030405Z",
  ["Authorization"] = "SDK-HMAC-SHA256 Access=EXAMPLEACCESSKEY0000, SignedHeaders=content-type;"
    .. "host;x-project-id;x-sdk-date, Signature=" .. ("0"):rep(64),
}

-- In this order, which bench/server/gateway.lua goes by.
local ORDER = { "Content-Type", "X-Project-Id", "X-Sdk-Date", "Authorization" }

local function raw_request()
  local lines = { "POST " .. M.path .. " HTTP/1.1", "Host: 127.0.0.1",
    "Content-Length: " .. #M.body }
  for _, name in ipairs(ORDER) do lines[#lines + 1] = name .. ": " .. M.headers[name] end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. M.body
end

M.raw_request = raw_request()

return M
