-- What is shipped is what is in the tree, and what is tested is what was built.
local tempdir = require "spec.support.tempdir"

local check, quote, write = tempdir.check, tempdir.quote, tempdir.write
local VERSION = os.getenv "CCE_TEST_VERSION"
local ROOT = os.getenv "CCE_TEST_ROOT"
local ROCKSPEC = "rockspec/lua-cce-scm-1.rockspec"
local ABI = VERSION == "jit" and "5.1" or VERSION
local LUA = VERSION == "jit" and "luajit" or "lua" .. tostring(VERSION)

local function lines(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do
    list[#list + 1] = line
  end
  return list
end

local function files(directory, pattern)
  local command = "find %s -type f -name %s | LC_ALL=C sort"
  return lines(check(command:format(directory, quote(pattern))))
end

local function read(path)
  return assert(tempdir.read(path), path)
end

local function load_rockspec()
  local rockspec = {}
  local chunk
  if setfenv then
    chunk = setfenv(assert(loadfile(ROCKSPEC)), rockspec)
  else
    chunk = assert(loadfile(ROCKSPEC, "t", rockspec))
  end
  chunk()
  return rockspec
end

local function module_name(path)
  return (path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", "."))
end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

-- make, as a user calls it: without what an outer make has set.
local function make(arguments)
  return check("env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES make -s LUA_VERSION="
    .. VERSION .. " " .. arguments)
end

describe("the rockspec", function()
  local rockspec = load_rockspec()

  it("lists every Lua module, and nothing else", function()
    local expected = { ["cce.core"] = true }
    for _, path in ipairs(files("lua", "*.lua")) do
      expected[module_name(path)] = true
      assert.equal(path, rockspec.build.modules[module_name(path)])
    end
    assert.same(sorted_keys(expected), sorted_keys(rockspec.build.modules))
  end)

  it("lists every C source, and nothing else", function()
    assert.same(files("src", "*.c"), rockspec.build.modules["cce.core"].sources)
  end)

  it("builds as the Makefile does: times and files beyond 32 bits, too", function()
    local defines = load_rockspec().build.modules["cce.core"].defines
    table.sort(defines)
    local of_make = {}
    local standard = read "Makefile":match "\nSTANDARD := (.-[^\\])\n"
    for define in standard:gmatch "%-D(%S+)" do of_make[#of_make + 1] = define end
    table.sort(of_make)
    assert.same({ "_FILE_OFFSET_BITS=64", "_GNU_SOURCE", "_TIME_BITS=64" }, defines)
    assert.same(defines, of_make)
  end)

  it("names commands that are there", function()
    for _, path in pairs(rockspec.build.install.bin) do
      assert.equal("#!", read(path):sub(1, 2))
    end
  end)

  it("has what luarocks lint and the LuaRocks site want", function()
    assert.equal(rockspec.package .. "-" .. rockspec.version, ROCKSPEC:match "([^/]+)%.rockspec$")
    assert.equal("MIT", rockspec.description.license)
    assert.is_truthy(read("LICENSE"):find("MIT License", 1, true))
    assert.is_true(#rockspec.description.summary <= 70)
  end)

  it("finds only shippable files under lua/, all of which a rock copies", function()
    local shippable = {}
    for _, path in ipairs(files("lua", "*")) do
      if not path:find "/README%.md$" then shippable[#shippable + 1] = path end
    end
    assert.same(files("lua", "*.lua"), shippable)
  end)
end)

describe("the manual page", function()
  it("is what the command says of itself", function()
    local output, status = tempdir.run("tools/run-lua " .. VERSION .. " tools/man.lua --check")
    assert.equal(0, status, output)
  end)
end)

describe("the version", function()
  local core = require("cce.core")._VERSION

  it("is a semantic version", function()
    assert.is_truthy(core:match "^%d+%.%d+%.%d+$")
  end)

  it("is the same in cce and in cce.core", function()
    assert.equal(core, require("cce")._VERSION)
  end)

  it("is the newest that the changelog names", function()
    local changelog = read "CHANGELOG.md"
    local newest = changelog:match "%d+%.%d+%.%d+" and
      (changelog:match "Next version: (%d+%.%d+%.%d+)" or changelog:match "\n## %[(%d[^%]]*)%]")
    assert.equal(core, newest)
  end)

  it("is that of opm's dist.ini", function()
    assert.equal(core, read("dist.ini"):match "\nversion = (%S+)")
  end)

  it("is that of the rockspec, unless it follows the sources", function()
    local version = load_rockspec().version:match "^(.*)%-%d+$"
    assert.is_true(version == "scm" or version == core, version)
  end)
end)

describe("opm's dist.ini", function()
  local fields = {}
  for name, value in read("dist.ini"):gmatch "\n([%l_]+) = ([^\n]+)" do fields[name] = value end

  it("names files and directories that are there", function()
    assert.is_truthy(io.open(fields.main_module))
    assert.is_true(#files(fields.lib_dir, "*.lua") > 0)
    assert.is_true(#files(fields.doc_dir, "*.md") > 0)
  end)

  it("says of the package what the rockspec says", function()
    local rockspec = load_rockspec()
    assert.equal(rockspec.package, fields.name)
    assert.equal(rockspec.description.license:lower(), fields.license)
    assert.is_true(#fields.abstract <= 70)
  end)
end)

describe("make install #toolchain", function()
  local directory

  before_each(function()
    directory = check("mktemp -d"):match "%S+"
  end)

  after_each(function()
    check("rm -rf " .. quote(directory))
  end)

  local function tree(root)
    local list = {}
    for _, path in ipairs(files(quote(root), "*")) do
      local relative = path:sub(#root + 2)
      if not relative:find "^lib/luarocks/" and not relative:find "/README%.md$" then
        list[#list + 1] = relative
      end
    end
    return list
  end

  local rock_is_built

  local function build_rock()
    if not rock_is_built then check("ROCK_CFLAGS='-O0 -fPIC' tools/rock " .. VERSION) end
    rock_is_built = true
    return ROOT .. "/build/rock/" .. VERSION .. "/tree"
  end

  -- In which nothing points at this source tree.
  local function run_elsewhere(command)
    return check(("cd %s && env -i PATH=\"$PATH\" HOME=%s %s"):format(quote(directory),
      quote(directory), command))
  end

  it("is not needed: what a rock installed runs", function()
    local rock = build_rock()
    local version = require("cce.core")._VERSION
    assert.matches("cce " .. version, run_elsewhere(quote(rock .. "/bin/cce") .. " --version"), 1,
      true)
    local share, lib = rock .. "/share/lua/" .. ABI, rock .. "/lib/lua/" .. ABI
    assert.equal(version .. " " .. lib .. "/cce/core.so\n", run_elsewhere(
      ("LUA_PATH=%s LUA_CPATH=%s %s -e %s"):format(
        quote(share .. "/?.lua;" .. share .. "/?/init.lua;;"), quote(lib .. "/?.so;;"), LUA,
        quote [[
          for template in package.cpath:gmatch "[^;]+" do
            local path = template:gsub("%?", "cce/core")
            local file = io.open(path)
            if file then
              print(require("cce")._VERSION .. " " .. path)
              os.exit()
            end
          end]])))
  end)

  -- For which a rock has no place.
  local beside = {
    ["share/bash-completion/completions/cce"] = true,
    ["share/fish/vendor_completions.d/cce.fish"] = true,
    ["share/man/man1/cce.1"] = true,
    ["share/zsh/site-functions/_cce"] = true,
  }

  it("puts the files where a rock puts them", function()
    build_rock()
    make("install PREFIX=/usr DESTDIR=" .. quote(directory))
    local installed = {}
    for _, path in ipairs(tree(directory .. "/usr")) do
      if not beside[path] then installed[#installed + 1] = path end
    end
    assert.same(tree("build/rock/" .. VERSION .. "/tree"), installed)
  end)

  it("puts the manual page and the completions where they are looked for", function()
    make("install PREFIX=/usr DESTDIR=" .. quote(directory))
    for path in pairs(beside) do
      assert.is_true(#read(directory .. "/usr/" .. path) > 100, path)
    end
    assert.equal(require("cce.cli.command.tool.completion").scripts.bash,
      read(directory .. "/usr/share/bash-completion/completions/cce"))
  end)

  it("goes to /usr/local, into the directories of this Lua", function()
    make("install DESTDIR=" .. quote(directory))
    local installed = table.concat(tree(directory), "\n")
    assert.is_truthy(installed:find("usr/local/lib/lua/" .. ABI .. "/cce/core.so", 1, true))
    assert.is_truthy(installed:find("usr/local/share/lua/" .. ABI .. "/cce/init.lua", 1, true))
    assert.is_truthy(installed:find("usr/local/bin/cce", 1, true))
  end)

  it("goes where OpenResty's variables point", function()
    make(("install INST_BINDIR=%s INST_SHAREDIR=%s LUA_MODULE_DIR=%s LUA_CMODULE_DIR=%s"):format(
      quote(directory .. "/b"), quote(directory .. "/s"), quote(directory .. "/m"),
      quote(directory .. "/c")))
    assert.equal(#files("lua", "*.lua") + 2 + 4, #tree(directory))
    assert.is_truthy(io.open(directory .. "/c/cce/core.so"))
    assert.is_truthy(io.open(directory .. "/m/cce/init.lua"))
  end)

  it("installs modules that load, and a command for this Lua", function()
    make("install PREFIX=" .. quote(directory))
    local share, lib = directory .. "/share/lua/" .. ABI, directory .. "/lib/lua/" .. ABI
    local output = check(("env LUA_PATH=%s LUA_CPATH=%s %s -e %s"):format(
      quote(share .. "/?.lua;" .. share .. "/?/init.lua;;"), quote(lib .. "/?.so;;"),
      LUA, quote 'print(package.loaded, require("cce")._VERSION)'))
    assert.is_truthy(output:find(require("cce.core")._VERSION, 1, true))
    local shebang = read(directory .. "/bin/cce"):match "^[^\n]*\n"
    assert.equal("#!" .. check("command -v " .. LUA), shebang)
  end)

  it("installs a command that finds its modules, whatever the prefix", function()
    make("install PREFIX=" .. quote(directory))
    write(directory .. "/bin/cce", read(directory .. "/bin/cce"):match "^[^\n]*\n[^\n]*\n[^\n]*\n"
      .. 'print(require("cce")._VERSION, package.cpath)\n')
    local output = check(("cd / && env -u LUA_PATH -u LUA_CPATH %s"):format(
      quote(directory .. "/bin/cce")))
    assert.equal(require("cce.core")._VERSION, output:match "%S+")
    assert.equal(directory .. "/lib/lua/" .. ABI .. "/?.so", output:match "%s([^;]+)")
  end)

  it("is undone by make uninstall, which leaves what is not ours", function()
    make("install PREFIX=" .. quote(directory))
    write(directory .. "/share/lua/" .. ABI .. "/other.lua", "return {}")
    make("uninstall PREFIX=" .. quote(directory))
    assert.same({ "share/lua/" .. ABI .. "/other.lua" }, tree(directory))
  end)
end)
