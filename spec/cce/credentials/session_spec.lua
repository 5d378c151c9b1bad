-- A token that has ended is renewed once, however many calls wait for it: in nginx. (In cce.map:
-- credentials_spec; in event loops: host/loop_spec.)

local simulator = require "spec.support.sim"
local sys = require("cce.core").sys
local tempdir = require "spec.support.tempdir"

local CALLS = 20

local sim = simulator.get()

local CONF = [[
daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
%s
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp;
  scgi_temp_path tmp;
  lua_package_path "%s";
  lua_package_cpath "%s";
  lua_socket_log_errors off;
  server {
    listen unix:%s/socket;
    location = /none {
      content_by_lua_block {
        local client = require("cce").new {
          endpoint = "%s", proxy = false, project_id = "p-1",
          credentials = require("cce.credentials").chain {
            require("cce.credentials").environment(),
          },
        }
        local _, _, err = client:list_clusters()
        ngx.print(tostring(err))
      }
    }
    location = /refused {
      content_by_lua_block {
        local api = assert(require("cce").new {
          endpoint = "%s", ca_file = "%s", project_id = "%s", proxy = false,
          credentials = { ak = "%s", sk = "example-wrong" },
        })
        local threads, unsent = {}, 0
        for i = 1, 40 do
          threads[i] = ngx.thread.spawn(function()
            return select(3, api:list_clusters()).attempts
          end)
        end
        for i = 1, #threads do
          local ok, attempts = ngx.thread.wait(threads[i])
          if ok and attempts == 0 then unsent = unsent + 1 end
        end
        api:close()
        ngx.print(unsent)
      }
    }
    location = / {
      content_by_lua_block {
        client = client or assert(require("cce").new {
          endpoint = "%s", ca_file = "%s", project_id = "%s", proxy = false,
          endpoints = { iam = "%s" },
          credentials = { username = "member", domain = "sim-account",
            password = "%s" },
        })
        local threads, good = {}, 0
        for i = 1, %d do
          threads[i] = ngx.thread.spawn(function() return client:list_clusters() end)
        end
        for i = 1, #threads do
          local ok, clusters, message = ngx.thread.wait(threads[i])
          if ok and clusters then good = good + 1 else ngx.print(message) end
        end
        ngx.print(good)
      }
    }
  }
}
]]

local function load_modules(nginx, program)
  local lines = {}
  for i, path in ipairs(assert(nginx.find_modules(program))) do
    lines[i] = ("load_module %s;"):format(path)
  end
  return table.concat(lines, "\n")
end

local function start(dir)
  local nginx = require "cce.sim.nginx"
  local program = assert(nginx.find())
  local root = sys.realpath(".")
  local jit_path = ("%s/lua/?.lua;%s/lua/?/init.lua;;"):format(root, root)
  simulator.write(dir .. "/nginx.conf", CONF:format(load_modules(nginx, program), jit_path,
    package.cpath:gsub("%./build", root .. "/build"), dir, sim.env.CCE_ENDPOINT,
    sim.env.CCE_ENDPOINT, sim.env.CCE_CA_FILE, sim.project_id, simulator.agency.ak,
    sim.env.CCE_ENDPOINT, sim.env.CCE_CA_FILE, sim.project_id,
    sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT, simulator.member.password, CALLS))
  os.execute("mkdir " .. dir .. "/tmp")
  local process = assert(sys.spawn {
    argv = { program, "-p", dir, "-c", "nginx.conf" }, stdin = "/dev/null",
    env = { "PATH=" .. os.getenv "PATH" }, stdout = dir .. "/log", stderr = dir .. "/log",
    die_with_parent = true,
  })
  return process
end

local function get(dir, path)
  local command = ("curl -sS --max-time 120 --unix-socket %s/socket http://localhost%s")
    :format(dir, path)
  local pipe = io.popen(command .. " 2>>" .. dir .. "/log")
  local text = pipe:read "*a"
  pipe:close()
  return text, simulator.read(dir .. "/log")
end

-- nginx has a LuaJIT inside: our module for LuaJIT or 5.1 is the one that it loads.
local is_51 = _VERSION == "Lua 5.1"

describe("nginx #unchecked", function()
  local dir, process

  setup(function()
    if not is_51 then return end
    dir = sys.mkdir_private(tempdir.root .. "/cce-spec-XXXXXX")
    process = start(dir)
    local deadline = sys.monotonic() + 120
    while not sys.realpath(dir .. "/socket") and sys.monotonic() < deadline do sys.sleep(0.01) end
  end)

  teardown(function()
    if not is_51 then return end
    process:close()
    simulator.remove(dir)
  end)

  before_each(function() sim:reset() end)

  if is_51 then
    it("renews once for all calls", function()
      for _ = 1, 2 do
        local text, log = get(dir, "/")
        assert.equal(tostring(CALLS), text, log)
        sim:iam { expire = true }
      end
      assert.equal(2, #sim:log { operation = "create_token" })
    end)

    it("stops a refused key for all requests of the worker", function()
      assert.equal("38", (get(dir, "/refused")))
      assert.equal("40", (get(dir, "/refused")))
      assert.equal(2, #sim:log { operation = "list_clusters" })
    end)

    it("names the env directive when it finds nothing", function()
      local text, log = get(dir, "/none")
      assert.matches("no credentials were found", text, log)
      assert.matches("env HUAWEICLOUD_SDK_AK;", text)
    end)
  end
end)
