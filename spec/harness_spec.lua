-- What each run of the specs stands on: its paths, its Lua, and what spec/plan leaves out.
local sys = require("cce.core").sys
local tempdir = require "spec.support.tempdir"

local check, quote, write = tempdir.check, tempdir.quote, tempdir.write
local VERSION = os.getenv "CCE_TEST_VERSION"
local BUILD = os.getenv "CCE_TEST_BUILD"
local ABI = VERSION == "jit" and "5.1" or VERSION

describe("the run of the specs", function()
  it("finds compiled modules on absolute paths only, this build's first", function()
    assert.equal(BUILD .. "/?.so", package.cpath:match "^[^;]+")
    for entry in package.cpath:gmatch "[^;]+" do
      assert.equal("/", entry:sub(1, 1), entry)
    end
  end)

  it("never loads a stray cce/core.so of the current directory", function()
    local directory = check("mktemp -d"):match "%S+"
    finally(function() check("rm -rf " .. quote(directory)) end)
    check("mkdir " .. quote(directory .. "/cce"))
    write(directory .. "/cce/core.so", "not a library")
    local root = os.getenv "CCE_TEST_ROOT"
    local output = check(("cd %s && %s/tools/run-lua %s -e %s"):format(quote(directory),
      quote(root), VERSION, quote 'print(require("cce.core")._VERSION)'))
    assert.equal(require("cce.core")._VERSION, output:match "%S+")
  end)

  it("is on the Lua that it says", function()
    assert.equal("Lua " .. ABI, _VERSION)
    assert.equal(VERSION == "jit", rawget(_G, "jit") ~= nil)
  end)
end)

describe("what spec/plan runs on fewer Luas", function()
  it("is there", function()
    for line in io.lines "spec/plan" do
      local word, path = line:match "^(%l+) (%S+)$"
      assert.is_truthy(("once twice slow processes"):find(word, 1, true), line)
      assert.equal(path, sys.realpath(path):sub(#sys.realpath "." + 2))
    end
  end)

  it("is made of files that each Lua can read", function()
    local count = 0
    for path in check("find lua examples spec -name '*.lua'"):gmatch "%S+" do
      count = count + 1
      assert(loadfile(path))
    end
    assert.is_true(count > 100)
  end)
end)
