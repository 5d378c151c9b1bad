local cli = require "cce.cli"
local command = require "spec.support.command"
local exit = require "cce.cli.exit"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

if not pcall(require, "argparse") then
  describe("the command", function() pending "needs argparse" end)
  return
end

describe("the command", function()
  local world

  before_each(function() world = command.new { env = {} } end)
  after_each(function() world:remove() end)

  it("tells its version", function()
    local result = world:cce { "--version" }
    assert.same({ code = 0, out = "cce " .. require("cce")._VERSION .. "\n", err = "" }, result)
  end)

  it("shows all commands and exit codes in its help, before or after", function()
    for _, words in ipairs { { "--help" }, { "help" }, { "-h" } } do
      local result = world:cce(words)
      assert.equal(0, result.code)
      for _, name in ipairs(cli.commands) do
        local shown = result.out:find("\n   " .. name .. " ", 1, true) ~= nil
        assert.equal(not name:find "^_", shown, name)
      end
      for _, each in ipairs(exit.meanings) do
        assert.matches(("%%f[%%d]%d%%f[%%D]"):format(each[1]), result.out)
      end
    end
    assert.equal(world:cce({ "help", "rotate" }).out, world:cce({ "rotate", "--help" }).out)
  end)

  it("has a help with a sentence for every command", function()
    for _, inner in ipairs(cli.parser()._commands) do
      assert.matches("^%u.*%.$", inner._description, inner._name)
      assert.is_true(#inner:get_help() > 50, inner._name)
    end
  end)

  it("ends with 64 and says where to look when it is used wrongly", function()
    for expected, words in pairs {
      ["cce: unknown command 'clustres'\nDid you mean 'clusters'?\n  hint: cce help\n"] =
        { "clustres" },
      ["cce: unknown option '--nmae'\nDid you mean '--name'?\n  hint: cce help clusters\n"] =
        { "clusters", "--nmae", "x" },
      ["cce: a command is required\n  hint: cce help\n"] = {},
      ["cce: a command is required\n  hint: cce help jobs\n"] = { "jobs" },
    } do
      local result = world:cce(words)
      assert.equal(64, result.code)
      assert.equal("", result.out)
      assert.equal(expected, result.err)
    end
  end)

  it("says what to type when it does not know where CCE is", function()
    local result = world:cce { "clusters" }
    assert.equal(1, result.code)
    assert.matches("^cce: it is not known where CCE is\n  hint: Give %-%-region cn%-north%-4",
      result.err)
  end)

  it("needs argparse, and says so", function()
    tempdir.write(world.dir .. "/argparse.lua", "error 'not here'")
    local result = world:cce({ "clusters" }, { env = {
      LUA_PATH = world.dir .. "/?.lua;" .. world.env.LUA_PATH } })
    assert.equal(1, result.code)
    assert.matches("lua%-argparse", result.err)
  end)

  describe("with a mistake of ours in it", function()
    local function run(env)
      tempdir.shell("mkdir -p " .. world.dir .. "/cce/cli/command")
      tempdir.write(world.dir .. "/cce/cli/command/doctor.lua", [[
        return { name = "doctor", summary = "Broken.", describe = function() end,
          run = function() local nothing; return nothing.field end }
      ]])
      tempdir.write(world.dir .. "/run.lua", 'os.exit(require("cce.cli").main(arg))')
      env.LUA_PATH = world.dir .. "/?.lua;" .. world.env.LUA_PATH
      return world:start({ "/usr/bin/env", simulator.interpreter(), world.dir .. "/run.lua",
        "doctor" }, { env = env })()
    end

    it("shows a sentence and no traceback", function()
      local result = run {}
      assert.equal(1, result.code)
      assert.matches("^cce: this should not happen: ", result.err)
      assert.is_nil(result.err:find("traceback", 1, true))
      assert.matches("CCE_DEBUG=1", result.err, 1, true)
    end)

    it("shows the traceback when asked", function()
      local result = run { CCE_DEBUG = "1" }
      assert.equal(1, result.code)
      assert.matches("stack traceback", result.err, 1, true)
      assert.matches("doctor.lua:2", result.err, 1, true)
    end)
  end)

  it("lists each command once, as a module with what a command has", function()
    local seen = {}
    for _, name in ipairs(cli.commands) do
      assert.is_nil(seen[name])
      seen[name] = true
      local module = cli.load(name)
      assert.equal(name, module.name)
      assert.is_string(module.summary)
      assert.is_function(module.describe)
      assert.is_function(module.run)
    end
  end)

  it("loads only the command that is meant", function()
    for name in pairs(package.loaded) do
      if name:find "^cce%.cli%." then package.loaded[name] = nil end
    end
    local parser = cli.parser { "clusters" }
    assert.is_nil(package.loaded["cce.cli.command.rotate"])
    assert.is_table(package.loaded["cce.cli.command.clusters"])
    assert.equal(#cli.commands, #parser._commands)
  end)
end)
