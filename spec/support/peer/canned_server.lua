-- A server for specs, run as a program of its own: plain HTTP on a loopback address, one answer a
-- connection, from a script; see spec/support/peer/canned.lua. Arguments: the directory.
local dir = arg[1]
local socket = require "socket"

local function write(name, text)
  local file = assert(io.open(dir .. "/" .. name .. ".new", "wb"))
  file:write(text)
  file:close()
  assert(os.rename(dir .. "/" .. name .. ".new", dir .. "/" .. name))
end

-- The request line, the headers and the body, as they came.
local function read_request(connection)
  local lines, length = {}, 0
  repeat
    local line = connection:receive("*l")
    lines[#lines + 1] = line
    length = tonumber((line or ""):lower():match("^content%-length:%s*(%d+)")) or length
  until line == nil or line == ""
  local body = length > 0 and connection:receive(length) or ""
  return table.concat(lines, "\r\n") .. "\r\n" .. body
end

local function send(connection, answer)
  connection:send(answer.text or "")
  local padding = ("x"):rep(65536)
  for _ = 1, math.ceil((answer.padding or 0) / #padding) do
    if not connection:send(padding) then break end
  end
end

local listener = assert(socket.bind("127.0.0.1", 0))
local answers = assert(loadfile(dir .. "/script"))()
write("port", (select(2, listener:getsockname())))
local count = 0
while true do
  local connection = assert(listener:accept())
  connection:settimeout(5)
  count = count + 1
  local answer = answers[count] or answers[#answers]
  if not answer.early then write("request-" .. count, read_request(connection)) end
  send(connection, answer)
  connection:close()
end
