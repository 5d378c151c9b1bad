-- What the locations of gateway.conf do.
local cce = require "cce"

local M = {}

local account = require "bench.lib.account"

local function answer(job_id, problem)
  if not job_id then
    ngx.log(ngx.ERR, problem)
    return ngx.exit(502)
  end
  ngx.say(job_id)
end

-- One client a worker and upstream, made by its first request.
local function new_library(ports, directory)
  local clients = {}
  return function(which)
    local client = clients[which]
    if not client then
      client = assert(cce.new(account.options(ports[which], directory .. "/ca.pem")))
      clients[which] = client
    end
    local job, problem = client:rotate_credentials(account.cluster_id, { component = "all" })
    answer(job and job.id, problem)
  end
end

-- Makes the bytes of a signed request: by a bare binding of the hashes, with what
-- stays the same put together once.
local function new_signer()
  local floor = require("hash_floor").new(account.options(0).credentials.sk)
  local date_then, zeros = account.headers["X-Sdk-Date"], ("0"):rep(64)
  local head, middle, tail = account.raw_request:match(
    "^(.*)" .. date_then .. "(.*)" .. zeros .. "(.*)$")
  local canonical_head = ("POST\n%s/\n\ncontent-type:application/json\nhost:127.0.0.1\n"
    .. "x-project-id:%s\nx-sdk-date:"):format(account.path, account.project_id)
  local canonical_tail = "\n\ncontent-type;host;x-project-id;x-sdk-date\n"
  return function()
    local date = os.date("!%Y%m%dT%H%M%SZ", ngx.time())
    local canonical = canonical_head .. date .. canonical_tail .. floor:sha256(account.body)
    local text = "SDK-HMAC-SHA256\n" .. date .. "\n" .. floor:sha256(canonical)
    return head .. date .. middle .. floor:hmac(text) .. tail
  end
end

-- No check of the answer, no retry: nothing but the bytes.
local function exchange(socket, port, request)
  local ok, problem = socket:connect("127.0.0.1", port, { pool_size = 200 })
  if not ok then return nil, problem end
  if socket:getreusedtimes() == 0 then
    ok, problem = socket:sslhandshake(nil, "localhost", true)
    if not ok then return nil, problem end
  end
  ok, problem = socket:send(request)
  if not ok then return nil, problem end
  local length
  repeat
    local line
    line, problem = socket:receive("*l")
    if not line then return nil, problem end
    length = line:match("^Content%-Length: (%d+)") or length
    if line:find("^Transfer%-Encoding: chunked") then length = "chunked" end
  until line == ""
  if length ~= "chunked" then return socket:receive(tonumber(length)) end
  local body = {}
  repeat
    local size = tonumber(socket:receive("*l"), 16)
    if size > 0 then body[#body + 1] = socket:receive(size) end
    socket:receive("*l")
  until size == 0
  return table.concat(body)
end

local function new_cosocket(ports, new_request)
  return function(which)
    local socket = ngx.socket.tcp()
    local body, problem = exchange(socket, ports[which], new_request())
    if body then
      socket:setkeepalive(60000, 200)
      body = body:match('"jobid":"(%x+)"')
    else
      socket:close()
    end
    answer(body, problem)
  end
end

--- The handlers. `ports` has the upstream's ports, `at_once` and `slow`, and
-- the directory of its CA.
function M.new(ports)
  return {
    library = new_library(ports, ports.directory),
    cosocket = new_cosocket(ports, function() return account.raw_request end),
    signing = new_cosocket(ports, new_signer()),
  }
end

return M
