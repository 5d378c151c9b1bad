--- Waiting inside an nginx worker, without delaying any other request.
--
-- The engine has a thread of its own. A call waits for it by a cosocket to the
-- thread's unix socket: it sends the transfer's id, and gets it back when the
-- transfer has ended. Idle cosockets are kept in nginx's own pool, which lets
-- go of them when the worker is told to quit.
-- @module cce.host.nginx
-- @local
local core = require "cce.core"

local ngx = ngx

local M = {}

-- The phases whose API has cosockets and can yield.
local CAN_WAIT = {
  rewrite = true, access = true, content = true, timer = true, server_rewrite = true,
  ssl_cert = true, ssl_session_fetch = true, ssl_client_hello = true, preread = true,
}

local REMEDY = {
  init = "call it in a timer: init_worker_by_lua with ngx.timer.at(0, …)",
  init_worker = "call it in a timer: ngx.timer.at(0, function() … end)",
}
local REMEDY_ELSE = "call it in rewrite, access or content, or in a timer: ngx.timer.at(0, …)"

-- Every transfer has a time limit of its own, so this one is as long as nginx
-- can have it: to hang up is to cancel.
M.ask_ms = 2147483647
local POOL = "lua-cce"
local POOL_SIZE = 4096
-- An idle connection holds two descriptors of the worker, and nginx, when it
-- has none left to accept with, does not take them back by itself.
M.idle_ms = 5000

function M.check()
  local phase = ngx.get_phase()
  if CAN_WAIT[phase] then return true end
  return nil, ("a call cannot wait in nginx's phase %s; %s"):format(
    phase, REMEDY[phase] or REMEDY_ELSE)
end

-- ---- one engine a worker for all clients with the same options -----------

local engines = {}

local OPTIONS = { "ca_file", "proxy", "proxy_ca_file", "no_proxy", "user_agent",
  "max_connections", "connect_timeout" }

function M.engine(options)
  local parts = {}
  for i, name in ipairs(OPTIONS) do parts[i] = tostring(options[name]) end
  local key = table.concat(parts, "\0")
  local engine = engines[key]
  if engine and engine:inherited() then engine = nil end
  if not engine then
    local threaded = { threaded = true }
    for name, value in pairs(options) do threaded[name] = value end
    local message, code
    engine, message, code = core.engine(threaded)
    if not engine then return nil, message, code end
    engines[key] = engine
  end
  return engine
end

-- A client must not close what others use.
M.shares_engines = true

-- ---- files ---------------------------------------------------------------

-- No request is served yet in init_worker. What the master opens in init would be
-- no worker's.
function M.file_engine()
  if ngx.get_phase() == "init_worker" then return false end
  local can_wait, reason = M.check()
  if not can_wait then return nil, reason, "UNSUPPORTED" end
  for _, engine in pairs(engines) do
    if not engine:inherited() then return engine end
  end
  return M.engine {}
end

-- After a reload the worker of before may live on for as long as its requests
-- do. So there are further names for each worker.
local MOST_NAMES = 100

function M.own_path(path, number)
  if number > MOST_NAMES then return nil end
  local id = ngx.worker.id()
  local name = id and ("%s.worker-%d"):format(path, id) or path .. ".agent"
  return number == 1 and name or ("%s-%d"):format(name, number)
end

-- ---- waiting -------------------------------------------------------------

local places = setmetatable({}, { __mode = "k" }) -- engine → what `connect` takes

local function place_of(engine)
  local place = places[engine]
  if not place then
    local path = engine:socket()
    place = { "unix:" .. path, { pool = POOL .. path, pool_size = POOL_SIZE } }
    places[engine] = place
  end
  return place[1], place[2]
end

-- A cosocket that was not read to its end is closed, never pooled.
local function ask(engine, transfer)
  local socket = ngx.socket.tcp()
  socket:settimeouts(10000, 10000, M.ask_ms)
  local ok, problem = socket:connect(place_of(engine))
  if not ok then return nil, problem end
  local id = transfer:id()
  local answer, reason = socket:send(id)
  if answer then answer, reason = socket:receive(#id) end
  if answer == id then
    socket:setkeepalive(M.idle_ms, POOL_SIZE)
    return true
  end
  socket:close()
  return nil, reason or "another id came back"
end

-- `transfer`: anything with an id and an end.
function M.wait(engine, transfer)
  local pause = 0.001
  while not transfer:finished() do
    local _, problem = ask(engine, transfer)
    if problem and problem ~= "timeout" and not transfer:finished() then
      -- No descriptor or no memory for a socket: that passes.
      ngx.sleep(pause)
      pause = math.min(pause * 2, 0.1)
    end
  end
end

function M.sleep(seconds)
  local can_wait, reason = M.check()
  if not can_wait then error(reason, 3) end
  ngx.sleep(seconds)
end

-- ---- many at once --------------------------------------------------------

function M.each(count, concurrency, body, on_end)
  local started, stopped, failed, problem = 0, false, false, nil
  local function work()
    while started < count and not stopped do
      started = started + 1
      local number = started
      -- A problem of on_end, which is the caller's code, is raised below, after those under way
      -- have ended; no further one is begun.
      local ok, more = pcall(on_end, number, pcall(body, number))
      if not ok then failed, problem = true, more end
      stopped = stopped or not ok or more == false
    end
  end
  local threads = {}
  for i = 1, math.min(concurrency, count) do threads[i] = assert(ngx.thread.spawn(work)) end
  for _, thread in ipairs(threads) do
    local ok, why = ngx.thread.wait(thread)
    if not ok then error(why, 0) end
  end
  if failed then error(problem, 0) end
end

--- Run a function beside the others of this handler. It must not raise.
-- @tparam function fn
function M.spawn(fn)
  assert(ngx.thread.spawn(fn))
end

return M
