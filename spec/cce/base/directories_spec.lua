local caches = require "spec.support.caches"
local clients = require "spec.support.clients"
local core = require "cce.core"
local directories = require "cce.base.directories"
local tempdir = dofile "spec/support/tempdir.lua"

describe("cce.directories", function()
  local dir

  before_each(function() dir = tempdir.new() end)

  after_each(function()
    caches.restore()
    tempdir.remove(dir)
  end)

  it("is where XDG says, else under the home", function()
    caches.use(dir)
    assert.equal(dir, directories.base("XDG_CACHE_HOME", "/.cache"))
    for _, value in ipairs { "", "relative" } do
      caches.use(value)
      assert.equal(os.getenv "HOME" .. "/.cache", directories.base("XDG_CACHE_HOME", "/.cache"))
    end
    caches.use(nil)
    assert.is_nil(directories.base("XDG_CACHE_HOME", "/.cache"))
  end)

  it("makes all that is missing, for its owner alone", function()
    assert.is_true(directories.make(dir .. "/a//b/c"))
    assert.is_true(directories.make(dir .. "/a/b/c"))
    for _, path in ipairs { "/a", "/a/b", "/a/b/c" } do
      assert.equal("0700", core.file.stat(dir .. path).mode)
    end
    tempdir.write(dir .. "/file", "")
    clients.fails("FILE_ERROR", directories.make(dir .. "/file/x"))
  end)
end)
