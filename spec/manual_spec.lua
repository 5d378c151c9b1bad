-- What README, the manual and the reference show has been run, and the reference is complete.
local core = require "cce.core"
local examples = require "spec.support.examples"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

local function files(command)
  local list = {}
  local pipe = assert(io.popen(command .. " | LC_ALL=C sort"))
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

-- What runs in nginx alone is shown to run by the specs of spec/nginx.
local IN_NGINX = { ["lua/cce/openresty.lua"] = true }

local PAGES = files "ls README.md manual/*.md"

-- Those that are not part of the public reference.
local function is_internal(path)
  local text = tempdir.read(path)
  local head = text:match "^%-%-%-.-\n[^%-]" or ""
  return path:match "^lua/cce/sim/" ~= nil or head:match "@local" ~= nil
end

describe("the examples of", function()
  local run

  before_each(function()
    if not simulator.has_program "nginx" then return end
    local sim = simulator.get()
    sim:reset()
    run = examples.place(sim)
  end)

  after_each(function()
    if run then examples.close(run) end
    run = nil
  end)

  for _, path in ipairs(PAGES) do
    local blocks = examples.blocks(path, "lua")
    if #blocks > 0 then
      it(path, function()
        if not run then return pending "needs nginx with Lua" end
        assert.has_no_error(function()
          for _, block in ipairs(blocks) do examples.run(run, block) end
        end)
      end)
    end
  end

  for _, path in ipairs(files "find lua -name '*.lua'") do
    local is_left_out = is_internal(path) or IN_NGINX[path]
    for _, block in ipairs(is_left_out and {} or examples.usages(path)) do
      it(("%s:%d"):format(path, block.line), function()
        if not run then return pending "needs nginx with Lua" end
        assert.has_no_error(function() examples.run(run, block) end)
      end)
    end
  end
end)

describe("the manual", function()
  it("explains every code in the words of cce.codes", function()
    local rows = {}
    for code, meaning, remedy in tempdir.read("manual/errors.md"):gmatch(
      "\n| `([%u_]+)` | ([^|]-) | ([^|]-) |") do
      rows[code] = meaning
      assert.is_true(#remedy > 10, code)
    end
    for code, text in pairs(core.codes) do
      if code ~= "OK" then assert.equal(text, rows[code], code) end
    end
  end)

  it("shows the files that the help shows", function()
    local page, count = tempdir.read "manual/files.md", 0
    for _, entry in ipairs(require("cce.cli.topics").files) do
      if entry[3] then
        assert.matches("```ini\n" .. entry[3] .. "\n```", page, 1, true)
        count = count + 1
      end
    end
    assert.equal(2, count)
  end)

  it("links to pages that are there", function()
    for _, path in ipairs(PAGES) do
      for target in tempdir.read(path):gmatch "%]%(([%w_/.-]+)%)" do
        local base = path:match "^(.*/)" or ""
        assert.is_string(tempdir.read(base .. target), path .. " links to " .. target)
      end
    end
  end)

  -- What stands in a block of the shell, or in a sentence: `cce revoke --all`.
  local function commands_of(text)
    local list = {}
    for block in text:gmatch "\n```sh\n(.-)\n```" do
      for line in (block .. "\n"):gmatch "([^\n]*)\n" do
        list[#list + 1] = line:gsub("%s+#.*$", ""):match "^[%w%s-]*%f[%w]cce (.*)$"
      end
    end
    for command in text:gsub("\n```.-\n```", ""):gmatch "`cce (%l[^`]*)`" do
      list[#list + 1] = command:gsub("\n", " ")
    end
    return list
  end

  it("names commands and options that there are", function()
    if not pcall(require, "argparse") then return pending "needs argparse" end
    local cli, count = require "cce.cli", 0
    for _, path in ipairs(PAGES) do
      for _, command in ipairs(commands_of(tempdir.read(path))) do
        local words = {}
        for word in tempdir.shell("printf '%s\\n' " .. command:gsub("[<>|&].*$", "")
          :gsub("[%[%]]", "")):gmatch "[^\n]+" do
          words[#words + 1] = word
        end
        local ok, problem = cli.parser(words):pparse(words)
        -- A sentence need not say all of it.
        ok = ok or problem:find "missing" or problem:find "is required" or problem:find "one of"
        assert.truthy(ok, ("%s: cce %s: %s"):format(path, command, tostring(problem)))
        count = count + 1
      end
    end
    assert.is_true(count > 60)
  end)

  it("builds without a warning #toolchain #once", function()
    if not simulator.has_program "ldoc" then return pending "needs ldoc" end
    local dir = tempdir.new()
    finally(function() tempdir.remove(dir) end)
    local command = "env -u LUA_PATH -u LUA_CPATH tools/docs %s 2>&1; echo status $?"
    local pipe = io.popen(command:format(dir))
    local text = pipe:read "*a"
    pipe:close()
    assert.matches("status 0", text, 1, true)
    assert.is_nil(text:find "falling back")
    assert.is_nil(text:find "built%-in")
    assert.is_nil(text:find "[Ww]arning")
  end)
end)
