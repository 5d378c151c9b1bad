-- tools/deps on systems that are made up, of which the real apt and dpkg judge: an
-- archive and a list of what is installed in a directory of the spec's. apt-get
-- install only simulates. Stubs stand for id and sudo.
local tempdir = require "spec.support.tempdir"

local check, run = tempdir.check, tempdir.run
local ROOT = assert(os.getenv "CCE_TEST_ROOT")
local COMMANDS = "apt-cache cat chmod cp dirname dpkg dpkg-query flock grep mkdir mktemp rm sed sh "
  .. "sort tr mv dpkg-deb tar"
local APT = [[
Dir "%s/";
Dir::Etc::sourcelist "%s/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::State::status "%s/dpkg/status";
Dir::Bin::methods "/usr/lib/apt/methods/";
APT::Sandbox::User "root";
APT::Architecture "all";
APT::Get::Simulate "%s";
]]
local FIELDS = "Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: nobody "
  .. "<nobody@example.org>\nDescription: one\n"

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

  -- What is installed: all that tools/deps wants, but for these.
  local function absent(names)
    local text, seen = {}, {}
    for name in (names .. " "):gmatch "(%S+) " do seen[name] = true end
    local wanted = check("cd " .. home .. " && PATH=bare /bin/sh tree/tools/deps test")
    for name in wanted:match "them:\n(.*)":gmatch "%S+" do
      if not seen[name] then
        seen[name] = true
        text[#text + 1] = FIELDS:format(name) .. "Status: install ok installed\n"
      end
    end
    write("dpkg/status", table.concat(text, "\n"))
  end

  -- What the archive has: these, and a package that provides the others.
  local function archive(names, provided)
    local text = {}
    for name in names:gmatch "%S+" do
      text[#text + 1] = FIELDS:format(name) .. "Filename: ./" .. name .. ".deb\nSize: 1\n"
        .. "SHA256: " .. ("0"):rep(64) .. "\n"
    end
    if provided then
      text[#text + 1] = FIELDS:format "other" .. "Filename: ./other.deb\nSize: 1\nProvides: "
        .. provided .. "\nSHA256: " .. ("0"):rep(64) .. "\n"
    end
    write("archive/Packages", table.concat(text, "\n"))
  end

  local function deps(set, environment)
    return run(("cd %s && env -i HOME=%s PATH=%s/bin DEPS_POLICY=%s/policy-rc.d DEPS_LOCK=%s/lock "
      .. "APT_CONFIG=%s/apt.conf DPKG_ADMINDIR=%s/dpkg %s tree/tools/deps %s"):format(home, home,
      home, home, home, home, home, environment or "", set))
  end

  before_each(function()
    home = check("mktemp -d"):match "%S+"
    check(("cd %s && mkdir -p bin bare tree/tools archive dpkg/info dpkg/updates "
      .. "etc/apt/preferences.d var/lib/apt/lists/partial var/cache/apt/archives/partial "
      .. "&& cp %s/tools/deps tree/tools/"):format(home, ROOT))
    for name in COMMANDS:gmatch "%S+" do
      check(("ln -s \"$(command -v %s)\" %s/bin/%s"):format(name, home, name))
    end
    check(("ln -s $(command -v dirname) $(command -v sed) %s/bare/"):format(home))
    write("sources.list", ("deb [trusted=yes] file:%s/archive ./\n"):format(home))
    write("apt.conf", APT:format(home, home, home, "true"))
    stub("apt-get", 'echo "$*" >>"$HOME/log"\n'
      .. 'if [ -e "$HOME/policy-rc.d" ]; then echo policy >>"$HOME/log"; fi\n'
      .. "exec " .. check("command -v apt-get"):match "%S+" .. ' "$@"')
    stub("id", "echo 0")
    stub("kubectl", "")
    stub("promtool", "")
    absent ""
    archive "nginx liblua5.4-dev cppcheck lua-busted lua5.1 lua5.4 kubernetes-client luajit"
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
    absent "nginx liblua5.4-dev"
    local output, status = deps "demo"
    assert.same({ "deps: installing liblua5.4-dev nginx\n", 0 }, { output, status })
    local updates, installs = select(2, read("log"):gsub(" update\n", "")),
      select(2, read("log"):gsub(" install ", ""))
    assert.same({ 1, 1 }, { updates, installs })
    assert.is_truthy(read("log"):find("--no-install-recommends liblua5.4-dev nginx\n", 1, true))
  end)

  it("starts no service by installing one, and leaves no trace of that", function()
    absent "nginx"
    deps "demo"
    assert.is_truthy(read("log"):find("nginx\npolicy\n", 1, true))
    assert.equal("", read "policy-rc.d")
  end)

  it("leaves a policy that is there alone", function()
    absent "nginx"
    write("policy-rc.d", "mine")
    deps "demo"
    assert.equal("mine", read "policy-rc.d")
  end)

  it("needs the linters for the tests only", function()
    absent "cppcheck lua-busted"
    local output = deps "demo"
    assert.equal("", output)
    output = deps "test"
    assert.equal("deps: installing cppcheck lua-busted\n", output)
  end)

  it("takes the Lua of the demo from LUA_VERSION", function()
    absent "lua5.1 lua5.4"
    assert.equal("deps: installing lua5.1\n", (deps("demo", "LUA_VERSION=5.1")))
  end)

  it("does not replace a kubectl that Debian did not bring", function()
    absent "kubectl"
    assert.equal("", (deps "demo"))
    check("rm " .. home .. "/bin/kubectl")
    assert.equal("deps: installing kubernetes-client\n", (deps "demo"))
  end)

  it("takes another name, or does without and asks only once", function()
    check("rm " .. home .. "/bin/kubectl")
    absent "kubectl luajit2"
    archive "luajit"
    local output, status = deps "test"
    assert.equal(0, status)
    assert.is_truthy(output:find("no package kubernetes-client", 1, true))
    assert.is_truthy(read("log"):find("--no-install-recommends luajit\n", 1, true))
    absent "kubectl"
    assert.equal("", (deps "test"))
  end)

  -- Debian 13 has no package luajit2: its luajit provides that name, and so may others.
  it("does not take a name that others provide for a package", function()
    absent "luajit2 libluajit2-5.1-dev"
    archive("luajit libluajit-5.1-dev", "luajit2, libluajit2-5.1-dev")
    local output, status = deps "test"
    assert.same({ "deps: installing libluajit2-5.1-dev luajit2\n", 0 }, { output, status })
    assert.is_truthy(read("log"):find("recommends libluajit-5.1-dev luajit\n", 1, true))
  end)

  it("shows what apt said when it failed", function()
    absent "nginx"
    stub("apt-get", "echo no route to the mirror; exit 100")
    local output, status = deps "demo"
    assert.is_truthy(output:find("no route to the mirror", 1, true))
    assert.is_true(status ~= 0)
  end)

  it("unpacks promtool for the tests, and installs no server for it", function()
    check("rm " .. home .. "/bin/promtool")
    local output, status = deps "demo"
    assert.same({ "", 0 }, { output, status })
    output, status = deps "test"
    assert.equal(0, status, output)
    assert.is_truthy(output:find("no package prometheus", 1, true))
    assert.equal("", (deps "test"))

    check("rm -r " .. home .. "/tree/build")
    write("apt.conf", APT:format(home, home, home, "false"))
    local field = FIELDS:format "prometheus"
    check(("mkdir -p %s/package/DEBIAN %s/package/usr/bin"):format(home, home))
    write("package/DEBIAN/control", field)
    write("package/usr/bin/promtool", "#!/bin/sh\n")
    local deb = "archive/prometheus_1_all.deb"
    check(("cd %s && dpkg-deb -Zgzip -b package %s"):format(home, deb))
    local size, sum = check(("cd %s && stat -c %%s %s && sha256sum %s"):format(home, deb, deb))
      :match "(%d+)%s+(%x+)"
    write("archive/Packages", ("%sFilename: ./prometheus_1_all.deb\nSize: %s\nSHA256: %s\n")
      :format(field, size, sum))
    output, status = deps "test"
    assert.same({ "deps: unpacking promtool into build/tools\n", 0 }, { output, status })
    check(home .. "/tree/build/tools/promtool")
    assert.is_nil(read("log"):find("install", 1, true))
    assert.equal("", (deps "test"))
  end)

  it("says what to run when it is neither root nor has sudo", function()
    absent "nginx"
    stub("id", "echo 1000")
    local output, status = deps "demo"
    assert.is_truthy(output:find("apt-get install --no-install-recommends nginx", 1, true))
    assert.is_true(status ~= 0)
    assert.equal("", read "log")
  end)

  it("uses sudo when it is not root", function()
    absent "nginx"
    stub("id", "echo 1000")
    stub("sudo", 'echo sudo >>"$HOME/log"; exec "$@"')
    local _, status = deps "demo"
    assert.equal(0, status)
    assert.equal("sudo\n", read("log"):match "^sudo\n")
  end)

  it("makes the directory of what is built before it becomes root", function()
    absent "nginx"
    stub("id", "echo 1000")
    stub("sudo", '[ ! -d "$HOME/tree/build" ] || echo "is there" >>"$HOME/log"; exec "$@"')
    local output, status = deps "demo"
    assert.equal(0, status, output)
    assert.matches("^is there\n", read "log")
  end)

  it("names the packages on a system without apt, and goes on", function()
    check("rm " .. home .. "/bin/apt-get")
    local output, status = deps "demo"
    assert.equal(0, status)
    assert.is_truthy(output:find("libcurl4-openssl-dev", 1, true))
  end)
end)
