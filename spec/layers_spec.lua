-- The tool that `make lint` runs, on copies of the tree that break a layer; and whether the
-- page about the layers is true of the tree.
local tempdir = require "spec.support.tempdir"

describe("tools/layers.lua", function()
  local dir

  before_each(function()
    dir = tempdir.new()
    tempdir.check("cp -r src lua " .. tempdir.quote(dir))
  end)

  after_each(function() tempdir.remove(dir) end)

  local function verdict()
    return tempdir.run(("%s tools/layers.lua %s"):format(tempdir.interpreter(),
      tempdir.quote(dir)))
  end

  local function add(path, line)
    local text = assert(tempdir.read(dir .. "/" .. path))
    tempdir.write(dir .. "/" .. path, line .. "\n" .. text)
  end

  it("passes the tree as it is", function()
    local output, status = verdict()
    assert.equal("", output)
    assert.equal(0, status)
  end)

  for _, case in ipairs {
    { "the pure C core includes a header of the engine", "src/core/sign.c",
      '#include "net/engine.h"' },
    { "it does so by a relative path", "src/core/sign.c", '#include "../net/engine.h"' },
    { "files know the bindings", "src/os/file/file.c", '#include "lua/lutil.h"' },
    { "C outside of the bindings includes Lua", "src/net/engine.c", "#include <lua.h>" },
    { "a binding includes libcurl", "src/lua/lsys.c", "#include <curl/curl.h>" },
    { "the client requires the command", "lua/cce/client.lua", 'require "cce.cli"' },
    { "the client requires the plugin lazily", "lua/cce/client.lua",
      'local _ = function() return require("cce.exec.cache") end' },
    { "a table names a module to load later", "lua/cce/client.lua",
      'local _ = { rotate = "cce.workflow.rotate" }' },
    { "a base module requires the api", "lua/cce/base/times.lua", "require 'cce.api.call'" },
    { "the prompt requires a command by a computed name", "lua/cce/repl/init.lua",
      'local _ = function(name) return require("cce.cli.command." .. name) end' },
    { "the simulator uses what it is to judge", "lua/cce/sim/server/times.lua",
      'require "cce.base.times"' },
    { "a module requires the front door", "lua/cce/kubeconfig/read.lua", 'require "cce"' },
  } do
    local what, path, line = case[1], case[2], case[3]
    it("fails when " .. what, function()
      add(path, line)
      local output, status = verdict()
      assert.equal(1, status)
      assert.matches(path, output, 1, true)
    end)
  end

  it("takes a comment for no arrow", function()
    add("lua/cce/client.lua", '-- require "cce.cli"\n--[[ require "cce.cli" ]]')
    assert.equal("", (verdict()))
  end)

  it("wants a layer for each new module and folder", function()
    tempdir.write(dir .. "/lua/cce/new.lua", "return {}\n")
    local output, status = verdict()
    assert.equal(1, status)
    assert.matches("lua/cce/new.lua is in no layer", output, 1, true)
  end)
end)

describe("ARCHITECTURE.md", function()
  local tree = tempdir.run "find src lua spec tools bench man library -print | sed 's|^|/|; s|$|/|'"
  local page = assert(tempdir.read "ARCHITECTURE.md")

  it("names files and folders that are there", function()
    local count, missing = 0, {}
    for name in page:gmatch "`([%w_/.]+)`" do
      if name:find "^[%w_/]+/$" or name:find "^[%w_/]+%.[chlua]+$" then
        count = count + 1
        if not tree:find("/" .. name:gsub("/$", "") .. "/", 1, true) then
          missing[#missing + 1] = name
        end
      end
    end
    assert.same({}, missing)
    assert.is_true(count > 40)
  end)
end)
