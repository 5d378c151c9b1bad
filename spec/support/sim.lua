--- A simulator for specs: one a busted process, started when first asked for, ended with it.
--
--   local simulator = require("spec.support.sim")
--   local sim = simulator.get()              -- or simulator.start{ clusters = 300 } for one's own
--   sim.env.CCE_ENDPOINT, sim.env.HUAWEICLOUD_SDK_AK, ...   -- DIR/env as a table
--   sim.clusters[1].id                       -- ids; those of an even index have a public address
--   sim:fault{ cluster = id, operation = "rotate_credentials", times = 1, status = 500 }
--   sim:log{ operation = "revoke_cert" }     -- what the simulator saw, filtered by fields
--   sim:set{ cluster = id, version = "v1.19.10-r0" }   sim:clock(seconds_ahead)   sim:state()
--   sim:reset()                              -- in before_each
--   sim:curl{ method=, path=, body=, key= }  -- a signed request by the curl command
--   sim:curl_all{ call, ... }                -- many of them, by one curl
--
-- Listeners that no client may accept, at the simulator's port: sim:bad_tls("expired"),
-- "wrong_name", "unknown_ca", "self_signed".
local account = require("cce.sim.account")
local addresses = require("cce.sim.addresses")
local breaker = require("cce.credentials.breaker")
local busted = require("busted")
local cjson = require("cjson")
local http = require("socket.http")
local ltn12 = require("ltn12")
local signature = require("cce.sim.server.signature")
local sys = require("cce.core").sys
local tempdir = require("spec.support.tempdir")
local times = require("cce.sim.server.times")

local M = {}

local Sim = {}
Sim.__index = Sim

-- Specs share nothing with the person who runs them.
require("cce.base.user_state").enable = function() end

M.account = account
M.admin, M.member, M.agency = account.keys[1], account.keys[2], account.keys[3]

local START_SECONDS = 120

--- The interpreter that runs this spec.
M.interpreter = tempdir.interpreter

function M.has_program(name)
  local result = os.execute("command -v " .. name .. " >/dev/null 2>&1")
  return result == true or result == 0
end

M.read, M.write = tempdir.read, tempdir.write

--- DIR/env as a table, nil while it is not there.
function M.read_env(dir)
  local text = M.read(dir .. "/env")
  if not text then
    return nil
  end
  local env = {}
  for name, value in text:gmatch("([%w_]+)='([^\n]*)'\n") do
    env[name] = value:gsub("'\\''", "'")
  end
  return env
end

-- -------------------------------------------------------------------------------- life cycle

--- Starts `cce sim` and returns its process and directory without waiting for it.
function M.spawn(arguments)
  local dir = sys.mkdir_private(tempdir.root .. "/cce-spec-XXXXXX")
  local argv = { M.interpreter(), "bin/cce", "sim", "--dir", dir }
  for _, argument in ipairs(arguments or {}) do
    argv[#argv + 1] = argument
  end
  local process = assert(sys.spawn({
    argv = argv, stdin = "/dev/null", stdout = dir .. "/stdout", stderr = dir .. "/stderr",
    die_with_parent = true,
  }))
  return process, dir
end

--- Waits until DIR/env is there; raises with what the simulator said when it ends instead.
function M.wait_for_env(process, dir)
  local deadline = sys.monotonic() + START_SECONDS
  repeat
    local env = M.read_env(dir)
    if env then
      return env
    end
    sys.sleep(0.005)
  until not process:alive() or sys.monotonic() > deadline
  error("the simulator did not start: " .. (M.read(dir .. "/stderr") or ""))
end

--- Starts a simulator of one's own; call :stop(). options: clusters, job_seconds, port.
function M.start(options)
  local arguments = {}
  for name, value in pairs(options or {}) do
    arguments[#arguments + 1] = "--" .. name:gsub("_", "-")
    arguments[#arguments + 1] = tostring(value)
  end
  local process, dir = M.spawn(arguments)
  local self = setmetatable({ process = process, dir = dir }, Sim)
  self.env = M.wait_for_env(process, dir)
  self.port = self.env.CCE_ENDPOINT:match(":(%d+)$")
  self.project_id = self.env.HUAWEICLOUD_SDK_PROJECT_ID
  self.clusters = self:state().clusters
  return self
end

function Sim:stop()
  self.process:close()
  M.remove(self.dir)
end

function M.remove(dir)
  assert(dir:match("/cce%-spec%-%w+$"))
  os.execute("rm -rf " .. dir)
end

local shared

--- The one simulator that the specs of this process share: 5 clusters, rotations of 0.2 s.
function M.get()
  if not shared then
    shared = M.start({ job_seconds = 0.2 })
    busted.subscribe({ "suite", "end" }, function()
      if shared then
        shared:stop()
        shared = nil
      end
      return nil, true
    end)
  end
  return shared
end

-- ----------------------------------------------------------------------------------- control

local function control(self, method, path, body)
  local chunks, text = {}, body and cjson.encode(body)
  local _, status = assert(http.request({
    url = self.env.CCE_SIM_CONTROL .. path, method = method, sink = ltn12.sink.table(chunks),
    source = text and ltn12.source.string(text),
    headers = { ["Content-Length"] = text and #text or 0 },
  }))
  local answer = cjson.decode(table.concat(chunks))
  if status ~= 200 then
    error(answer.message, 3)
  end
  return answer
end

--- Adds a fault; its fields are in cce.sim.faults.
function Sim:fault(fault)
  control(self, "POST", "/-/faults", fault)
end

--- Removes the faults that are not used up.
function Sim:clear_faults()
  control(self, "DELETE", "/-/faults")
end

--- The requests seen whose fields are those of `filter`.
function Sim:log(filter)
  local found = {}
  for _, entry in ipairs(control(self, "GET", "/-/log").items) do
    local fits = true
    for key, value in pairs(filter or {}) do
      fits = fits and entry[key] == value
    end
    if fits then
      found[#found + 1] = entry
    end
  end
  return found
end

function Sim:state()
  return control(self, "GET", "/-/state")
end

--- Changes one cluster (`cluster`: its id) or all: version, phase, job_outcome, job_seconds.
function Sim:set(settings)
  control(self, "POST", "/-/clusters", settings)
end

--- Lets the simulator's clock run ahead of the true one by so many seconds.
function Sim:clock(offset)
  control(self, "POST", "/-/clock", { offset = offset })
end

--- Tokens, temporary keys and the metadata service: see cce.sim.control.
function Sim:iam(settings)
  control(self, "POST", "/-/iam", settings)
end

--- The address of a service that speaks plain HTTP: "metadata", "pod_identity".
function Sim:plain(service)
  return ("http://%s:%s"):format(addresses.plain[service], self.port)
end

--- Changes what the account allows: deny, projects, throttle; see cce.sim.policy.
function Sim:policy(settings)
  control(self, "POST", "/-/policy", settings)
end

function Sim:reset()
  control(self, "POST", "/-/reset")
  -- The keys are good again, too.
  breaker.forget()
end

--- Adds a user or agency: { kind=, id=, name=, enabled= }. Returns its id.
function Sim:put_principal(change)
  return control(self, "POST", "/-/principals", change).id
end

--- Deletes one: { kind=, id=, v5=, ago=, status= }.
function Sim:delete_principal(what)
  control(self, "POST", "/-/delete", what)
end

--- Takes actions away from a principal, by id.
function Sim:deny(principal, ...)
  control(self, "POST", "/-/permissions", { principal = principal, deny = { ... } })
end

--- Lets CTS be so many seconds late.
function Sim:cts_late(seconds)
  control(self, "POST", "/-/cts", { late = seconds })
end

function Sim:traces()
  return control(self, "GET", "/-/traces").items
end

--- All traces as CTS exports them to OBS: a text.
function Sim:export()
  return (assert(http.request(self.env.CCE_SIM_CONTROL .. "/-/export")))
end

--- The requests held by a fault with `hold`; waits until there are `count`.
function Sim:held(count)
  local deadline = sys.monotonic() + 120
  repeat
    local items = control(self, "GET", "/-/holds").items
    if #items >= (count or 0) then
      return items
    end
    sys.sleep(0.005)
  until sys.monotonic() > deadline
  error("no request was held")
end

--- Lets one held request go, or all: { id=, drop= }. Returns how many.
function Sim:release(what)
  return control(self, "POST", "/-/release", what or { drop = false }).released
end

function Sim:bad_tls(kind)
  return ("https://%s:%s"):format(addresses.bad_tls[kind], self.port)
end

-- ---------------------------------------------------------------------------------- requests

--- The path of a call on a cluster, or of another call of the project.
function Sim:path(cluster, call)
  local path = "/api/v3/projects/" .. self.project_id .. "/clusters"
  return cluster and path .. "/" .. cluster.id .. (call and "/" .. call or "") or path
end

local function sorted_names(headers)
  local names = {}
  for name in pairs(headers) do
    names[#names + 1] = name:lower()
  end
  table.sort(names)
  return table.concat(names, ";")
end

--- The headers that sign a request in the plain layout. request: method, path, host, body,
-- headers; key: { ak=, sk= }; algorithm and date as wanted.
function M.sign(request, key, algorithm, date)
  algorithm = algorithm or "SDK-HMAC-SHA256"
  local headers = { host = request.host, ["x-sdk-date"] = date or times.to_sdk(os.time()) }
  for name, value in pairs(request.headers or {}) do
    headers[name:lower()] = value
  end
  local parsed = { algorithm = algorithm, layout = "plain", ak = key.ak,
    signed_headers = sorted_names(headers) }
  local hex = signature.expected({
    method = request.method, target = request.path, headers = headers, body = request.body,
  }, parsed, key.sk)
  headers.authorization = ("%s Access=%s, SignedHeaders=%s, Signature=%s"):format(
    algorithm, key.ak, parsed.signed_headers, hex)
  return headers
end

local function parse_answer(text)
  local head, body = text:match("^(.-)\r\n\r\n(.*)$")
  if not head then
    return nil
  end
  local answer = { status = tonumber(head:match("^HTTP/[%d.]+ (%d+)")), headers = {}, body = body }
  for name, value in head:gmatch("\n([%w-]+): ([^\r\n]*)") do
    answer.headers[name:lower()] = value
  end
  if body:sub(1, 1) == "{" then
    local ok, value = pcall(cjson.decode, body)
    answer.json = ok and value or nil
  end
  return answer
end

--- Runs curl; extra: more arguments, quoted by the caller.
-- @treturn ?table { status=, headers=, body=, json= }, nil when curl got no answer
-- @treturn number curl's exit code
function M.run_curl(url, method, headers, extra)
  local parts = { "exec curl -sS -i --path-as-is --max-time 120 -X", method, tempdir.quote(url),
    extra }
  for name, value in pairs(headers) do
    parts[#parts + 1] = "-H " .. tempdir.quote(name .. ": " .. value)
  end
  return M.run_shell(table.concat(parts, " "))
end

--- Runs a shell command; its answer parsed as HTTP, and its exit code.
function M.run_shell(command)
  local out = os.tmpname()
  local script = os.tmpname()
  M.write(script, command)
  local process = assert(sys.spawn({
    argv = { "/bin/sh", script }, stdin = "/dev/null", stdout = out, stderr = out,
  }))
  local code = process:wait()
  local text = M.read(out)
  os.remove(out)
  os.remove(script)
  return parse_answer(text), code, text
end

local function headers_of(call, url)
  local headers = { ["content-type"] = "application/json" }
  for name, value in pairs(call.headers or {}) do
    headers[name] = value
  end
  return call.unsigned and headers or M.sign({
    method = call.method, path = call.path, host = url:match("//(.*)$"), body = call.body,
    headers = headers,
  }, call.key or M.admin, call.algorithm, call.date)
end

--- A signed request to the CCE endpoint. call: method, path, body (a string), key (default the
-- admin's), headers, date, algorithm, unsigned (true: no signature), url (default the endpoint).
function Sim:curl(call)
  local url = call.url or self.env.CCE_ENDPOINT
  local headers = headers_of(call, url)
  local body_file = os.tmpname()
  M.write(body_file, call.sent_body or call.body or "")
  local extra = "--cacert " .. self.env.CCE_CA_FILE
  if call.body then
    extra = extra .. " -H Expect: --data-binary @" .. body_file
  end
  local answer, code = M.run_curl(url .. call.path, call.method, headers, extra)
  os.remove(body_file)
  return answer, code
end

--- The same for many calls, one after the other by one curl: much faster. A call may also have
-- `pair`, a directory with a client's `certificate` and `key`, and `insecure` (true).
function Sim:curl_all(calls)
  local dir, lines = tempdir.new(), {}
  local function set(name, value)
    lines[#lines + 1] = ('%s = "%s"'):format(name, (tostring(value):gsub('[\\"]', "\\%0")))
  end
  for i, call in ipairs(calls) do
    local url = call.url or self.env.CCE_ENDPOINT
    lines[#lines + 1] = (i > 1 and "next\n" or "") .. "silent\nshow-error\ninclude\npath-as-is"
    set("max-time", 120)
    set("cacert", self.env.CCE_CA_FILE)
    set("url", url .. call.path)
    set("request", call.method)
    set("output", dir .. "/" .. i)
    for name, value in pairs(headers_of(call, url)) do
      set("header", name .. ": " .. value)
    end
    if call.body then
      M.write(dir .. "/body" .. i, call.body)
      set("header", "Expect:")
      set("data-binary", "@" .. dir .. "/body" .. i)
    end
    if call.insecure then
      lines[#lines + 1] = "insecure"
    end
    if call.pair then
      set("cert", call.pair .. "/certificate")
      set("key", call.pair .. "/key")
    end
  end
  M.write(dir .. "/config", table.concat(lines, "\n") .. "\n")
  local _, code, output = M.run_shell("exec curl --config " .. dir .. "/config")
  assert(code == 0, output)
  local answers = {}
  for i in ipairs(calls) do
    answers[i] = parse_answer(M.read(dir .. "/" .. i))
  end
  tempdir.remove(dir)
  return answers
end

--- Locks a key, as another process does that signs wrongly again and again.
function Sim:lock_key(ak)
  for _ = 1, 6 do
    local answer = self:curl({ method = "GET", path = "/api/v3/projects/" .. self.project_id
      .. "/clusters", key = { ak = ak, sk = "example-wrong" } })
    assert(answer.status == 401)
  end
end

--- The three calls, as `answer, curl's exit code`.
function Sim:obtain(cluster, body, key)
  return self:curl({ method = "POST", path = self:path(cluster, "clustercert"), key = key,
    body = cjson.encode(body or { duration = 1 }) })
end

function Sim:revoke(cluster, body, key)
  return self:curl({ method = "POST", path = self:path(cluster, "clustercertrevoke"), key = key,
    body = cjson.encode(body) })
end

function Sim:rotate(cluster, body, key)
  return self:curl({ method = "POST", path = self:path(cluster, "rotatecredentials"), key = key,
    body = cjson.encode(body or { component = "all" }) })
end

function Sim:job(id)
  return self:curl({ method = "GET",
    path = "/api/v3/projects/" .. self.project_id .. "/jobs/" .. id })
end

return M
