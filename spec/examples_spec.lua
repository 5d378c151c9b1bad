-- Each example starts with one command, where the library was installed from a clean copy: those in
-- Lua on a simulator of their own, that for nginx as its first lines say.
local core = require "cce.core"
local installed = require "spec.support.installed"
local support = require "spec.support.sim"
local sys = core.sys
local tempdir = require "spec.support.tempdir"

local place

local function environment(more)
  local list = {}
  for _, env in ipairs { place.env, more or {} } do
    for name, value in pairs(env) do list[#list + 1] = name .. "=" .. value end
  end
  for _, name in ipairs { "LD_PRELOAD", "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS" } do
    local value = os.getenv(name)
    if value then list[#list + 1] = name .. "=" .. value end
  end
  return list
end

local function run(name, arguments)
  place = place or installed.place()
  local out = place.dir .. "/out"
  local argv = { support.interpreter(), ("%s/examples/%s.lua"):format(place.clone, name) }
  for _, argument in ipairs(arguments or {}) do argv[#argv + 1] = argument end
  local process = assert(sys.spawn { argv = argv, env = environment { TMPDIR = tempdir.root },
    stdin = "/dev/null", stdout = out, stderr = out, die_with_parent = true })
  return process:wait(120), support.read(out)
end

local function told(name)
  if not support.has_program "nginx" then return pending "needs nginx with Lua" end
  local status, text = run(name)
  assert.equal(0, status, text)
  assert.is_nil(text:find("PRIVATE KEY", 1, true))
  assert.is_nil(text:find(support.admin.sk, 1, true))
  local dir = text:match "(/%S-/cce%-%w+%-%w+)"
  assert.is_nil(io.open(dir .. "/sim/env"))
  return text
end

describe("the example #toolchain", function()
  teardown(function()
    if place then place:remove() end
  end)

  it("team_kubeconfigs obtains for everyone, once", function()
    local text = told "team_kubeconfigs"
    if not text then return end
    assert.equal(2, select(2, text:gsub("4 obtained, 0 still good", "")))
    assert.equal(2, select(2, text:gsub("0 obtained, 4 still good", "")))
    for _, key in ipairs { support.admin, support.member } do
      assert.equal(4, select(2, text:gsub(key.principal.id, "")))
    end
    assert.matches("cluster%-002  https://127.2.0.2:%d+  matches", text)
  end)

  it("leaver cuts whoever left, in every cluster", function()
    local text = told "leaver"
    if not text then return end
    assert.matches("dry run, nothing was sent", text, 1, true)
    assert.matches("revoke: 4 ok, 0 failed", text, 1, true)
    assert.matches("(member) can obtain again: no", text, 1, true)
    assert.equal(4, select(2, text:gsub("revoked, the certificate is refused", "")))
  end)

  it("contractor grants access until a time", function()
    local text = told "contractor"
    if not text then return end
    local before, early, late = text:match "^(.-)\n20 minutes later:(.-)\n11 minutes later:(.*)$"
    assert.matches("matches  works (HTTP 200)", before, 1, true)
    assert.matches("0 done, 0 failed, 1 pending, 0 overdue", early, 1, true)
    assert.matches("1 done, 0 failed, 0 pending, 0 overdue", late, 1, true)
    assert.matches("refused (HTTP 401) before its end", late, 1, true)
  end)

  it("expiry_report says what needs attention", function()
    local text = told "expiry_report"
    if not text then return end
    assert.matches("!! /%S+/short/cluster%-001.json cluster%-001: ends in %d days", text)
    assert.matches("broken.json: it cannot be used", text, 1, true)
    assert.matches("6 certificates, 2 need attention", text, 1, true)
  end)

  it("expiry_report takes files, and its exit status says it", function()
    local status, text = run("expiry_report", { "spec/fixtures/kubeconfig_eip.json", "/nowhere" })
    assert.equal(1, status)
    assert.matches("there is no '/nowhere'", text, 1, true)
  end)

  it("nightly_rotation rotates once a night", function()
    local text = told "nightly_rotation"
    if not text then return end
    local first, again, second = text:match("(== the night.-)\n(== the night.-)\n(== the night.*)$")
    for _, night in ipairs { first, second } do
      assert.matches("4 ok", night, 1, true)
      assert.matches("exit status 0", night, 1, true)
    end
    assert.matches("exit status 3", again, 1, true)
  end)

  -- The commands in the comment at the head of a file.
  local function first_lines(path)
    local lines = {}
    for line in io.lines(path) do
      if not line:find "^#" then break end
      lines[#lines + 1] = line:match "^#   (.*)$"
    end
    return table.concat(lines, "\n")
  end

  it("of a gateway starts as its first lines say", function()
    if not rawget(_G, "jit") then return pending "it runs with LuaJIT's specs: nginx's Lua" end
    if not support.has_program "nginx" then return pending "needs nginx with Lua" end
    local sim = support.get()
    sim:reset()
    place = place or installed.place()
    local conf, port = place.clone .. "/examples/nginx/nginx.conf", tostring(core.sys.free_port())
    support.write(conf, (support.read(conf):gsub("8443", port)))
    -- Where things are is the spec's; the keys and the cloud are the simulator's.
    local lines = first_lines(conf):gsub("/tmp/gateway", place.dir .. "/gateway")
      :gsub("export HUAWEICLOUD[^\n]*\n", ""):gsub("CCE_REGION=%S+ ", "")
      :gsub("CLUSTER%-ID", sim.clusters[1].id)
      :gsub("\ncurl ", "\ncurl -sS --retry 9 --retry-connrefused ")
    lines = lines:gsub("make install[^\n]*\n", ""):gsub("\nnginx [^\n]*", function(line)
      return ("%s\ntrap '%s -s quit' EXIT"):format(line, line:sub(2))
    end)
    local out = place.dir .. "/gateway.out"
    local process = assert(sys.spawn {
      argv = { "/bin/bash", "-ec", ("cd %s\n%s"):format(place.clone, lines) },
      env = environment(sim.env), stdin = "/dev/null", stdout = out, stderr = out,
      die_with_parent = true,
    })
    assert.equal(0, process:wait(60), lines .. "\n" .. support.read(out))
    assert.matches('"kind":"Config"', support.read(out), 1, true)
  end)
end)
