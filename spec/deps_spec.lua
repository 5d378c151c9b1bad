-- tools/deps on systems that are made up: stubs stand for dpkg, apt and sudo.
local tempdir = require "spec.support.tempdir"

local check, run = tempdir.check, tempdir.run
local ROOT = assert(os.getenv "CCE_TEST_ROOT")
local COMMANDS = "cat chmod cp dirname flock grep mkdir mktemp rm sed sh sort tr"

describe("tools/deps #toolchain", function()
  local home

  local function write(path, text)
    local file = assert(io.open(home .. "/" .. path, "w"))
    file:write(text)
    file:close()
    check("chmod +x " .. home .. "/" .. path)
  end

  local function read(path)
    local file = io.open(home .. "/" .. path)
    if not file then
      return ""
    end
    local text = file:read "*a"
    file:close()
    return text
  end

  local function stub(name, body)
    write("bin/" .. name, "#!/bin/sh\n" .. body .. "\n")
  end

  local function deps(set, environment)
    return run(("cd %s && env -i HOME=%s PATH=%s/bin DEPS_POLICY=%s/policy-rc.d DEPS_LOCK=%s/lock "
      .. "%s tree/tools/deps %s"):format(home, home, home, home, home, environment or "", set))
  end

  before_each(function()
    home = check("mktemp -d"):match "%S+"
    check(("mkdir -p %s/bin %s/tree/tools && cp %s/tools/deps %s/tree/tools/"):format(
      home, home, ROOT, home))
    for name in COMMANDS:gmatch "%S+" do
      check(("ln -s \"$(command -v %s)\" %s/bin/%s"):format(name, home, name))
    end
    write("absent", "")
    write("unknown", "")
    stub("dpkg-query", 'for p; do :; done; grep -qx -- "$p" "$HOME/absent" || echo installed')
    stub("apt-cache", 'for p; do :; done; ! grep -qx -- "$p" "$HOME/unknown"')
    stub("apt-get", 'echo "$*" >>"$HOME/log"; '
      .. 'if [ -e "$HOME/policy-rc.d" ]; then echo policy >>"$HOME/log"; fi')
    stub("id", "echo 0")
    stub("kubectl", "")
  end)

  after_each(function()
    check("rm -rf " .. home)
  end)

  it("calls nothing and says nothing when all is there", function()
    local output, status = deps "test"
    assert.same({ "", 0 }, { output, status })
    assert.equal("", read "log")
  end)

  it("installs what is missing, and nothing else, in one call", function()
    write("absent", "nginx\nliblua5.4-dev\n")
    local output, status = deps "demo"
    assert.same({ "deps: installing liblua5.4-dev nginx\n", 0 }, { output, status })
    local updates, installs = select(2, read("log"):gsub(" update\n", "")),
      select(2, read("log"):gsub(" install ", ""))
    assert.same({ 1, 1 }, { updates, installs })
    assert.is_truthy(read("log"):find("--no-install-recommends liblua5.4-dev nginx\n", 1, true))
  end)

  it("starts no service by installing one, and leaves no trace of that", function()
    write("absent", "nginx\n")
    deps "demo"
    assert.is_truthy(read("log"):find("nginx\npolicy\n", 1, true))
    assert.equal("", read "policy-rc.d")
  end)

  it("leaves a policy that is there alone", function()
    write("absent", "nginx\n")
    write("policy-rc.d", "mine")
    deps "demo"
    assert.equal("mine", read "policy-rc.d")
  end)

  it("needs the linters for the tests only", function()
    write("absent", "cppcheck\nlua-busted\n")
    local output = deps "demo"
    assert.equal("", output)
    output = deps "test"
    assert.equal("deps: installing cppcheck lua-busted\n", output)
  end)

  it("takes the Lua of the demo from LUA_VERSION", function()
    write("absent", "lua5.1\nlua5.4\n")
    assert.equal("deps: installing lua5.1\n", (deps("demo", "LUA_VERSION=5.1")))
  end)

  it("does not replace a kubectl that Debian did not bring", function()
    write("absent", "kubectl\nkubernetes-client\n")
    assert.equal("", (deps "demo"))
    check("rm " .. home .. "/bin/kubectl")
    assert.equal("deps: installing kubernetes-client\n", (deps "demo"))
  end)

  it("takes another name, or does without and asks only once", function()
    check("rm " .. home .. "/bin/kubectl")
    write("absent", "kubernetes-client\nluajit2\n")
    write("unknown", "kubernetes-client\nluajit2\n")
    local output, status = deps "test"
    assert.equal(0, status)
    assert.is_truthy(output:find("no package kubernetes-client", 1, true))
    assert.is_truthy(read("log"):find("--no-install-recommends luajit\n", 1, true))
    write("absent", "kubernetes-client\n")
    assert.equal("", (deps "test"))
  end)

  it("shows what apt said when it failed", function()
    write("absent", "nginx\n")
    stub("apt-get", "echo no route to the mirror; exit 100")
    local output, status = deps "demo"
    assert.is_truthy(output:find("no route to the mirror", 1, true))
    assert.is_true(status ~= 0)
  end)

  it("says what to run when it is neither root nor has sudo", function()
    write("absent", "nginx\n")
    stub("id", "echo 1000")
    local output, status = deps "demo"
    assert.is_truthy(output:find("apt-get install --no-install-recommends nginx", 1, true))
    assert.is_true(status ~= 0)
    assert.equal("", read "log")
  end)

  it("uses sudo when it is not root", function()
    write("absent", "nginx\n")
    stub("id", "echo 1000")
    stub("sudo", 'echo sudo >>"$HOME/log"; exec "$@"')
    local _, status = deps "demo"
    assert.equal(0, status)
    assert.equal("sudo\n", read("log"):match "^sudo\n")
  end)

  it("names the packages on a system without apt, and goes on", function()
    check("rm " .. home .. "/bin/apt-get")
    local output, status = deps "demo"
    assert.equal(0, status)
    assert.is_truthy(output:find("libcurl4-openssl-dev", 1, true))
  end)
end)
