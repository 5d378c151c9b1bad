-- The process behind spec/support/peer/server.lua:
--   lua server_child.lua DIRECTORY
-- DIRECTORY holds `script` (a dumped function), `options.json`, and is where `log` is written.
local cjson = require "cjson"
local cqueues = require "cqueues"
local socket = require "cqueues.socket"
local context = require "openssl.ssl.context"
local pkey = require "openssl.pkey"
local x509 = require "openssl.x509"

local dir = assert(arg[1])

local function read_file(name)
  local file = assert(io.open(dir .. "/" .. name, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

local options = cjson.decode(read_file "options.json")
local script = assert((loadstring or load)(read_file "script"))
local log = assert(io.open(dir .. "/log", "a"))

local function record(event)
  log:write(cjson.encode(event), "\n")
  log:flush()
end

-- ---- one connection ----------------------------------------------------------------------

local Connection = {}
Connection.__index = Connection

--- Puts an entry of one's own into the log.
function Connection:note(kind, detail)
  record { kind = kind, connection = self.number, detail = detail }
end

--- Reads a head, and nothing after it. Nil when the client has closed.
function Connection:head()
  local line = self.socket:read "*L"
  if not line then
    self:note "closed"
    return nil
  end
  local method, target = line:match "^(%S+) (%S+) HTTP/1%.1\r\n$"
  if not method then
    self:note("malformed", line)
  end
  local request = { method = method, target = target, headers = {} }
  while true do
    local name, value = (self.socket:read "*L" or ""):match "^([^:]+):%s*(.-)\r\n$"
    if not name then
      return request
    end
    request.headers[name:lower()] = value
  end
end

--- Reads and logs a whole request.
function Connection:request()
  local request = self:head()
  if not request then
    return nil
  end
  local length = tonumber(request.headers["content-length"] or 0)
  local body = length > 0 and self.socket:read(length) or ""
  self.requests = self.requests + 1
  request.body = #body <= 4096 and body or ("%d bytes"):format(#body)
  record {
    kind = "request", connection = self.number, index = self.requests, method = request.method,
    target = request.target, headers = request.headers, body = request.body,
    time = cqueues.monotime(),
  }
  return request
end

--- False once the client takes no more.
function Connection:send(...)
  return self.socket:write(...) ~= nil
end

--- A complete answer: status and reason, body, further header lines.
function Connection:answer(status, body, lines)
  body = body or ""
  return self:send(("HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n"):format(status, #body,
    lines or ""), body)
end

--- Answers every request with 200 and its body, until the client closes.
function Connection:serve()
  while true do
    local request = self:request()
    if not request or not self:answer("200 OK", request.body) then
      return
    end
  end
end

function Connection:sleep(seconds)
  cqueues.sleep(seconds)
end

--- Waits until the spec calls server:release().
function Connection:wait()
  repeat
    cqueues.sleep(0.003)
    local file = io.open(dir .. "/release")
    if file then
      file:close()
    end
  until file
end

--- Waits until the client closes.
function Connection:hold()
  while self.socket:read(1) do
    self.unasked = true
  end
  self:note "closed"
end

function Connection:close()
  self.socket:close()
end

local function tls_context(tls)
  local ctx = context.new(tls.protocol or "TLS", true)
  if tls.ciphers then
    ctx:setCipherList(tls.ciphers)
  end
  ctx:setCertificate(x509.new(tls.pem))
  ctx:setPrivateKey(pkey.new(tls.key_pem))
  return ctx
end

--- The TLS handshake; false when the client refused.
function Connection:starttls()
  local ok, problem = self.socket:starttls(tls_context(options.tls), 5)
  self:note(ok and "tls" or "tls_failed", tostring(problem))
  return ok
end

-- ---- the listener ------------------------------------------------------------------------

local function give_code(_, _, code)
  return code
end

local function handle(con, number)
  con:setmode("bn", "bn")
  con:onerror(give_code)
  local connection = setmetatable({
    socket = con, number = number, requests = 0, data = options.data,
  }, Connection)
  connection:note "accept"
  if options.tls and not options.tls.later and not connection:starttls() then
    return con:close()
  end
  script(connection)
  con:close()
end

local loop = cqueues.new()
local listener = assert(socket.listen { host = options.host, port = 0 })
assert(listener:listen())
local _, _, port = listener:localname()
record { kind = "listening", port = port }

-- PUC 5.1 yields neither across pcall nor inside an iterator: there is none of them here.
loop:wrap(function()
  local number = 0
  while true do
    local con = listener:accept()
    number = number + 1
    local mine = number
    loop:wrap(function()
      handle(con, mine)
    end)
  end
end)
while true do
  local ok, problem = loop:loop()
  if ok then
    break
  end
  io.stderr:write(tostring(problem), "\n")
end
