-- The core, linked otherwise than the Makefile does.
local core = require "cce.core"
local server = require "spec.support.peer.server"
local tempdir = require "spec.support.tempdir"

local names = {
  ["5.1"] = { "lua5.1", "lua-5.1", "lua51" }, ["5.2"] = { "lua5.2", "lua-5.2", "lua52" },
  ["5.3"] = { "lua5.3", "lua-5.3", "lua53" }, ["5.4"] = { "lua5.4", "lua-5.4", "lua54" },
  jit = { "luajit" },
}

local function output_of(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local text = pipe:read "*a"
  pipe:close()
  return text
end

describe("the core #toolchain", function()
  local dir

  before_each(function() dir = tempdir.new() end)

  after_each(function()
    server.stop_all()
    tempdir.remove(dir)
  end)

  local function run(command)
    local text = output_of(command .. " && echo 'command is done'")
    assert(text:find("command is done\n$"), command .. "\n" .. text)
  end

  local function lua_flags()
    for _, name in ipairs(names[os.getenv "CCE_TEST_VERSION"]) do
      local flags = output_of("pkg-config --cflags --libs " .. name):gsub("\n", " ")
      if not flags:find "not found" then return flags end
    end
    error "pkg-config does not know this Lua"
  end

  -- The objects are the Makefile's; the link is LuaRocks's.
  local function link(libcurl)
    -- By the sources: a build directory may hold objects of sources that are gone.
    local build = os.getenv "CCE_TEST_BUILD"
    local plain = build:gsub("[%w.]+$", "plain")
    local objects = output_of("find src -name '*.c'"):gsub("src/(%S+)%.c%s", function(name)
      return ("%s/%s.o "):format(name:find "^lua/" and build or plain, name)
    end)
    run(("mkdir '%s/cce' && cc -shared -o '%s/cce/core.so' %s %s -lssl -lcrypto -lpthread -lm")
      :format(dir, dir, objects, libcurl))
  end

  it("says that it needs a libcurl on OpenSSL, where that is on another library", function()
    local name = "libcurl-gnutls.so.4"
    if not output_of("/sbin/ldconfig -p"):find(name, 1, true) then
      return pending(name .. " is not installed")
    end
    link("-l:" .. name)
    tempdir.write(dir .. "/script.lua", ([[
      package.cpath = "%s/?.so;" .. package.cpath
      print(select(2, require("cce.core").engine()))
    ]]):format(dir))
    local output = output_of(("'%s' '%s/script.lua'"):format(os.getenv "CCE_TEST_LUA", dir))
    assert.matches("was built with GnuTLS/[%d.]+: one is needed that was built with the OpenSSL",
      output)
    assert.matches("UNSUPPORTED\n$", output)
  end)

  -- A program whose Lua ends goes on to use libcurl, which keeps what the core gave it. LuaRocks
  -- links without "-z nodelete", which the Makefile adds.
  it("stays mapped when its state closes, for libcurl calls it", function()
    link "-lcurl"
    assert.is_nil(output_of(("readelf -d '%s/cce/core.so'"):format(dir)):find("NODELETE", 1, true))
    run(("cc -Wall -o '%s/host' spec/support/native/host_program.c -lcurl %s")
      :format(dir, lua_flags()))
    local answers = server.start(function(connection) connection:serve() end)
    tempdir.write(dir .. "/script.lua", ([[
      package.cpath = "%s/?.so;" .. package.cpath
      local core = require "cce.core"
      local engine = assert(core.engine())
      assert(engine:call { endpoint = URL, method = "GET", path = "/", timeout = 10 })
    ]]):format(dir))
    local process = assert(core.sys.spawn {
      argv = { dir .. "/host", dir .. "/script.lua", answers.url },
      stdin = "/dev/null", stdout = dir .. "/out", stderr = dir .. "/out", die_with_parent = true,
    })
    local status, signal = process:wait(120)
    assert.equal("before 1\nafter 1\ndone\n", tempdir.read(dir .. "/out"))
    assert.equal(0, status, signal)
  end)
end)
