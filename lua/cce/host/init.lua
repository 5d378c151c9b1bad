--- How to wait: the seam between the calls and the program that makes them.
--
-- The same call blocks in a plain script, takes turns with others inside
-- `cce.map`, and yields inside nginx or an event loop. Which of these it is, is
-- decided by two facts and nothing else:
--
-- 1. Inside nginx (there is a global `ngx` with sockets): always nginx's way.
-- 2. After `cce.use_loop(loop)`, in a coroutine of it: that loop's way.
--
-- Else the call waits by itself, or in turns with others in `cce.map`.
--
-- A driver has these functions:
--
-- * `check()` → true, or nil and why nothing can wait here; in a task of a plain
--   script on PUC Lua 5.1 it may raise instead
-- * `engine(options)` → the engine to use for these options, or nil, message,
--   code
-- * `shares_engines`: true when clients must not close it
-- * `wait(engine, transfer)` returns once the transfer has ended
-- * `sleep(seconds)`
-- * `file_engine()`, or nothing where writing a file holds up no other task: the engine
--   on whose thread files are to be written, or nil, message, code; false: here
--   and now the caller may do it
-- * `own_path(path, number)`, where there is one: the number-th name that this
--   process should try for a file that no two processes can share, or nil
-- * `each(count, concurrency, body, on_end)` runs `body(i)` for i = 1…count, so
--   many at a time, and calls `on_end(i, ok, …)` with what it returned or
--   raised; when that returns false, no further one is begun
-- * `spawn(fn)` runs a function beside the bodies of the `each` that it is called
--   in; who called it sees to it that it has ended before `each` does
-- @module cce.host
-- @local
local waiting = require "cce.host.waiting"

local M = {}

local loop

--- Whether this is a worker of nginx.
-- @treturn boolean
function M.in_nginx()
  local ngx = rawget(_G, "ngx")
  return type(ngx) == "table" and ngx.socket ~= nil and ngx.get_phase ~= nil
end

--- The driver for the code that runs now.
-- @treturn table
function M.current()
  if M.in_nginx() then return require "cce.host.nginx" end
  local script = package.loaded["cce.host.script"]
  if loop and loop.inside() and not (script and script.inside()) then return loop end
  return script or require "cce.host.script"
end

--- Send a request and wait for its end. Nothing is sent where the caller cannot wait.
-- @param engine of `core.engine`
-- @tparam table request of `engine:submit`
-- @treturn[1] userdata the transfer that has ended
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] string code
function M.exchange(engine, request)
  local driver = M.current()
  local can_wait, reason = driver.check()
  if not can_wait then return nil, reason, "UNSUPPORTED" end
  local transfer, message, code = engine:submit(request)
  if not transfer then return nil, message, code end
  driver.wait(engine, transfer)
  return transfer
end

--- Let the calls in coroutines yield to an event loop: see `cce.use_loop`.
-- @tparam string|table|nil which
function M.use_loop(which)
  loop = which and require("cce.host.loop").driver(which) or nil
end

--- Close an engine. Calls that wait for it are woken, and find CLOSED.
-- @param engine of `core.engine`
function M.close(engine)
  local loops = package.loaded["cce.host.loop"]
  if loops then loops.forget(engine) end
  engine:close()
  waiting.collect_closed()
end

--- Sleep without holding up other tasks.
-- @tparam number seconds what is no number of seconds, such as NaN, is none
function M.sleep(seconds)
  M.current().sleep(seconds > 0 and seconds or 0)
end

return M
