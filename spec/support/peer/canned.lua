--- A server that says what a spec wants, and remembers what it was sent.
--
--   local server = canned.start { canned.answer(200, '{"items":[]}') }
--   server.url                  -- "http://127.0.0.1:40123"
--   server:request(1)           -- { line=, headers={lower-case}, body= } or nil
--   server:stop()
--
-- The answers are used in turn, the last one again and again; each is { text=<all the bytes>,
-- padding=<so many further bytes>, early=<true: do not wait for the request> }.
local core = require "cce.core"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

local M = {}

local Server = {}
Server.__index = Server

local function script_of(answers)
  local lines = { "return {" }
  for _, answer in ipairs(answers) do
    lines[#lines + 1] = ("  { text = %q, padding = %d, early = %s },"):format(
      answer.text or "", answer.padding or 0, tostring(answer.early or false))
  end
  lines[#lines + 1] = "}"
  -- %q writes a carriage return in a way that the five Luas do not all read back.
  return (table.concat(lines, "\n"):gsub("\r", "\\r"))
end

--- An ordinary answer.
function M.answer(status, body, headers)
  local lines = { ("HTTP/1.1 %d X"):format(status), "Content-Length: " .. #body }
  for name, value in pairs(headers or {}) do
    lines[#lines + 1] = name .. ": " .. value
  end
  lines[#lines + 1] = "Connection: close\r\n\r\n" .. body
  return { text = table.concat(lines, "\r\n") }
end

local function wait_for(path, process)
  local deadline = core.sys.monotonic() + 120
  repeat
    local text = simulator.read(path)
    if text then return text end
    core.sys.sleep(0.005)
  until not process:alive() or core.sys.monotonic() > deadline
  error("the canned server did not start")
end

function M.start(answers)
  local dir = core.sys.mkdir_private(tempdir.root .. "/cce-spec-XXXXXX")
  simulator.write(dir .. "/script", script_of(answers))
  local process = assert(core.sys.spawn {
    argv = { simulator.interpreter(), "spec/support/peer/canned_server.lua", dir },
    stdin = "/dev/null", die_with_parent = true,
  })
  local port = wait_for(dir .. "/port", process)
  return setmetatable({ process = process, dir = dir, port = port,
    url = "http://127.0.0.1:" .. port }, Server)
end

--- The n-th request as it came; nil when there were fewer.
function Server:request(n)
  local text = simulator.read(self.dir .. "/request-" .. n)
  if not text then return nil end
  local head, body = text:match("^(.-)\r\n\r\n(.*)$")
  local request = { line = head:match("^[^\r]*"), headers = {}, body = body, text = text }
  for name, value in head:gmatch("\n([^:]+): ?([^\r\n]*)") do
    request.headers[name:lower()] = value
  end
  return request
end

function Server:count()
  local count = 0
  while simulator.read(self.dir .. "/request-" .. count + 1) do count = count + 1 end
  return count
end

function Server:stop()
  self.process:close()
  simulator.remove(self.dir)
end

return M
