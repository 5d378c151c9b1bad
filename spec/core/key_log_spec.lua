-- libcurl writes the keys of its TLS connections where SSLKEYLOGFILE says: with them whoever has a
-- copy of the traffic reads tokens and keys. The core does not let it.
local core = require "cce.core"
local server = require "spec.support.peer.server"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

describe("SSLKEYLOGFILE", function()
  local dir, identity

  before_each(function()
    dir, identity = tempdir.new(), server.identity()
  end)

  after_each(function()
    server.stop_all()
    identity.remove()
    tempdir.remove(dir)
  end)

  -- The keys that a process in that environment left behind, and what it printed.
  local function keys_of(code)
    tempdir.write(dir .. "/script.lua", code)
    local env = {
      "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath, "PATH=" .. os.getenv "PATH",
      "SSLKEYLOGFILE=" .. dir .. "/keys",
    }
    for _, name in ipairs { "LD_PRELOAD", "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS" } do
      if os.getenv(name) then env[#env + 1] = name .. "=" .. os.getenv(name) end
    end
    local process = assert(core.sys.spawn {
      argv = { simulator.interpreter(), dir .. "/script.lua" }, env = env, stdin = "/dev/null",
      stdout = dir .. "/out", stderr = dir .. "/out", die_with_parent = true,
    })
    process:wait(120)
    return tempdir.read(dir .. "/keys") or "", tempdir.read(dir .. "/out")
  end

  it("gets no keys of a connection", function()
    local s = server.start(function(connection) connection:serve() end, { tls = identity.pair() })
    local keys, output = keys_of(([[
      local engine = require("cce.core").engine { ca_file = %q }
      print(assert(engine:call { endpoint = %q, method = "GET", path = "/" }).status)
    ]]):format(identity.ca_file, s.url))
    assert.equal("200\n", output)
    assert.is_nil(keys:find "%x%x%x%x")
  end)

  it("gets no keys of a connection to an https proxy", function()
    local s = server.start(function(connection)
      if connection:request() then connection:answer("407 Who Are You", "refused") end
    end, { tls = identity.pair() })
    local keys, output = keys_of(([[
      local engine = require("cce.core").engine { ca_file = %q, proxy = "https://127.0.0.1:%d" }
      local _, _, code = engine:call {
        endpoint = "https://cce.example.invalid", method = "GET", path = "/",
      }
      print(code)
    ]]):format(identity.ca_file, s.port))
    assert.equal("PROXY_FAILED\n", output)
    assert.equal(1, #s:requests())
    assert.is_nil(keys:find "%x%x%x%x")
  end)
end)
