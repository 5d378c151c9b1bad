local cli = require "cce.cli"
local command = require "spec.support.command"
local exit = require "cce.cli.exit"
local simulator = require "spec.support.sim"
local topics = require "cce.cli.topics"
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

  it("shows its help when nothing is asked of it, as kubectl does", function()
    assert.same(world:cce { "help" }, world:cce {})
  end)

  it("has the help of commands inside commands, and says which there is none of", function()
    local help = world:cce({ "help", "schedule", "add" }).out
    assert.matches("^Usage: cce schedule add ", help)
    assert.equal(help, world:cce({ "schedule", "add", "--help" }).out)
    local result = world:cce { "help", "schedule", "ad" }
    assert.equal(64, result.code)
    assert.matches("there is no command 'schedule ad'", result.err, 1, true)
  end)

  it("shows the options of all commands in the help of each", function()
    local group = world:cce({ "help" }).out:match "(Options of all commands:.-)\n\n"
    for _, words in ipairs { { "clusters" }, { "schedule", "add", "rotate" },
      { "jobs", "wait" } } do
      words[#words + 1] = "--help"
      local help = world:cce(words).out
      assert.truthy(help:find(group, 1, true), words[1])
      assert.truthy(help:find("\n   cce " .. table.concat(words, " ", 1, #words - 1), 1, true))
    end
  end)

  it("has an example of every command in its help, each of which can be typed", function()
    for _, name in ipairs(cli.commands) do
      local examples, help = topics.examples[name], world:cce({ "help", name }).out
      for line in help:gmatch "[^\n]+" do assert.is_true(#line < 80, line) end
      assert.is_true(name == "__complete" or examples ~= nil, name)
      for _, example in ipairs(examples or {}) do
        local typed = example[2]:match "%$%((.*)%)" or example[2]
        for line in typed:gmatch "[^\n]+" do
          local words = {}
          local pipe = io.popen("printf '%s\\n' " .. line)
          for word in pipe:lines() do words[#words + 1] = word end
          pipe:close()
          assert.equal("cce", table.remove(words, 1))
          local ok, problem = cli.parser(words):pparse(words)
          assert.is_true(ok, line .. ": " .. tostring(problem))
          assert.equal(name, problem.command)
        end
        assert.truthy(help:find(example[2], 1, true), typed)
      end
    end
  end)

  it("explains the environment and the files", function()
    local environment = world:cce({ "help", "environment" }).out
    for _, name in ipairs { "CCE_PROFILE", "HUAWEICLOUD_SDK_SK", "NO_PROXY", "CCE_SCHEDULE" } do
      assert.truthy(environment:find(name, 1, true), name)
    end
    assert.matches("~/.config/cce/config\n", world:cce({ "help", "files" }).out, 1, true)
  end)

  -- What the sources ask of the environment stands in the help: by a call, or by a name in a
  -- table that such a call takes.
  it("names every variable that the sources read", function()
    local known, count = {}, 0
    for _, entry in ipairs(topics.environment) do
      for name in entry[1]:gmatch "[%u_]+" do known[name] = true end
    end
    local pipe = io.popen([[grep -rhoE '(env[ (]*"[A-Z_]+|"(HUAWEICLOUD|HW|HC|CCE|XDG)_[A-Z_]+)"' ]]
      .. "lua/cce src --exclude-dir=sim | grep -oE '[A-Z_]{3,}' | sort -u")
    for name in pipe:lines() do
      count = count + 1
      -- A region's name goes on.
      assert.truthy(known[name] or name == "HUAWEICLOUD_SDK_REGION_", name)
    end
    pipe:close()
    assert.is_true(count > 30)
  end)

  it("shows a profile that can be read, and names every setting", function()
    local profile = require "cce.cli.input.profile"
    local path = world.dir .. "/config"
    tempdir.write(path, topics.files[1][3] .. "\n")
    local profiles = assert(profile.read(path))
    assert.equal("profile-file:~/.huaweicloud/staging", profiles.staging.credentials)
    for _, name in ipairs(profile.KEYS) do
      assert.truthy(topics.files[1][2]:find("%f[%w_]" .. name .. "%f[^%w_]"), name)
    end
    path = world.dir .. "/credentials"
    tempdir.write(path, topics.files[2][3] .. "\n")
    tempdir.shell("chmod 600 " .. path)
    local source = assert(require("cce.credentials").profile { path = path })
    assert.equal("EXAMPLEACCESSKEY0001", assert(source:fetch()).ak)
  end)

  it("tells which versions it is made of", function()
    local result = world:cce { "version" }
    assert.equal(0, result.code)
    assert.matches("^cce %d+%.%d+%.%d+\n.-\nlibcurl/%d", result.out)
    assert.equal(require("cce")._VERSION .. "\n", world:cce({ "version", "-o", "name" }).out)
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
    } do
      local result = world:cce(words)
      assert.equal(64, result.code)
      assert.equal("", result.out)
      assert.equal(expected, result.err)
    end
  end)

  it("shows the help of a command whose own commands are missing", function()
    for group, inner in pairs { ["jobs"] = "wait", ["schedule"] = "hasten",
      ["schedule add"] = "rotate" } do
      local words = {}
      for word in group:gmatch "%S+" do words[#words + 1] = word end
      local result = world:cce(words)
      assert.equal(64, result.code)
      assert.equal("", result.out)
      assert.matches("Usage: cce " .. group .. " ", result.err, 1, true)
      assert.matches("\n   " .. inner .. " ", result.err, 1, true)
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
      tempdir.shell("mkdir -p " .. world.dir .. "/cce/cli/command/tool")
      tempdir.write(world.dir .. "/cce/cli/command/tool/doctor.lua", [[
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
    assert.is_nil(package.loaded["cce.cli.command.certificate.rotate"])
    assert.is_table(package.loaded["cce.cli.command.cloud.clusters"])
    assert.equal(#cli.commands, #parser._commands)
  end)
end)
