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

-- No signature, no check of the answer, no retry: nothing but the bytes.
local function exchange(socket, port)
  local ok, problem = socket:connect("127.0.0.1", port, { pool_size = 200 })
  if not ok then return nil, problem end
  if socket:getreusedtimes() == 0 then
    ok, problem = socket:sslhandshake(nil, "localhost", true)
    if not ok then return nil, problem end
  end
  ok, problem = socket:send(account.raw_request)
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

local function new_cosocket(ports)
  return function(which)
    local socket = ngx.socket.tcp()
    local body, problem = exchange(socket, ports[which])
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
  return { library = new_library(ports, ports.directory), cosocket = new_cosocket(ports) }
end

return M
