-- Journals and transfers, with and without a thread, Base64 and poll when memory runs out.
local core = require "cce.core"
local sweep = require "spec.support.shared.alloc_sweep"
local tempdir = require "spec.support.tempdir"
require "socket" -- it ignores SIGPIPE, which socket.unix does not
local unix = require "socket.unix"

local dir = tempdir.new()
local path = dir .. "/lines"
local HANGS_AFTER = 5 -- seconds

sweep {
  name = "to Base64 and back",
  action = function()
    local bytes = ("\0\1\2"):rep(400) .. "x"
    local back, message = core.from_base64(core.to_base64(bytes))
    if back and back ~= bytes then error "other bytes came back" end
    return back, message
  end,
}

sweep {
  name = "refuse what is no Base64",
  action = function()
    local bytes, message, code = core.from_base64 "Zg="
    return not bytes and code == "INVALID_ARGUMENT", message
  end,
}

sweep {
  name = "poll",
  action = function()
    return core.sys.poll({ 0, 1, 2 }, 0)
  end,
}

local function read_back(journal)
  local size = journal:size()
  journal:close()
  if #assert(tempdir.read(path)) ~= size then error "the file is torn" end
end

sweep {
  name = "open a journal, reserve room and append",
  action = function()
    local journal, message = core.journal(path, "schedule export")
    if not journal then return nil, message end
    local ok, reason = journal:reserve(4096)
    ok, reason = ok and journal:append('{"schedule":1}'), reason
    journal:close()
    return ok, reason
  end,
}

-- The socket is made before: LuaSocket loses one that it has no memory for.
local function engine_and_socket()
  return { engine = assert(core.engine { threaded = true }),
    socket = assert((unix.stream or unix)()) }
end

local function with_journal()
  local state = engine_and_socket()
  state.journal = assert(core.journal(path, "schedule export"))
  return state
end

local function close_all(state)
  state.socket:close()
  state.engine:close()
  collectgarbage()
  read_back(state.journal or assert(core.journal(path, "schedule export")))
end

-- Asks as a host does; the thread may have no memory to listen to us, and hangs up. A host
-- then asks again.
local HUNG_UP = "^closed$"

local function wait(state, work)
  local ok, message = state.socket:connect(state.engine:socket())
  if ok then
    state.socket:settimeout(HANGS_AFTER)
    state.socket:send(work:id())
    ok, message = state.socket:receive(8)
  end
  if message == "timeout" then error("nobody answers", 0) end
  if not ok then return nil, message end
  return work:result()
end

sweep {
  name = "append on a thread",
  may_say = { HUNG_UP },
  setup = with_journal,
  teardown = close_all,
  action = function(state)
    local work, message = state.journal:submit(state.engine, { "one", "two" }, false, 4096)
    if not work then return nil, message end
    return wait(state, work)
  end,
}

sweep {
  name = "send on a thread",
  may_say = { HUNG_UP, "Could not resolve host" }, -- of an allocation of libcurl 7.88.1
  setup = engine_and_socket,
  teardown = close_all,
  action = function(state)
    local transfer, message = state.engine:submit { endpoint = "http://127.0.0.1:1", method = "GET",
      path = "/", token = "fake-token", timeout = HANGS_AFTER / 2 }
    if not transfer then return nil, message end
    local _, reason, code = wait(state, transfer)
    return code == "CONNECT_FAILED", reason
  end,
}

sweep {
  name = "append on a thread what nobody waits for",
  setup = with_journal,
  teardown = close_all,
  action = function(state)
    local work, message = state.journal:submit(state.engine, { "one" }, false)
    if work then work:close() end
    return work and true, message
  end,
}

sweep {
  name = "open a journal on a thread",
  may_say = { HUNG_UP },
  setup = engine_and_socket,
  teardown = close_all,
  action = function(state)
    local work, message = core.journal(path, "schedule export", state.engine)
    if not work then return nil, message end
    local journal, reason = wait(state, work)
    work:close()
    if journal then journal:close() end
    return journal and true, reason
  end,
}

sweep {
  name = "make and close an engine with a thread",
  action = function()
    local engine, message = core.engine { threaded = true }
    if engine then engine:close() end
    return engine and true, message
  end,
}

tempdir.remove(dir)
