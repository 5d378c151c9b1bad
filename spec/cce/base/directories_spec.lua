local caches = require "spec.support.caches"
local clients = require "spec.support.clients"
local core = require "cce.core"
local directories = require "cce.base.directories"
local tempdir = dofile "spec/support/tempdir.lua"
local user_state = require "cce.base.user_state"

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

  it("is /tmp where nothing else is said, and nothing is shared within nginx", function()
    local getenv, ngx = os.getenv, rawget(_G, "ngx")
    os.getenv = function() end -- luacheck: ignore
    local temporary = directories.temporary()
    os.getenv = function(name) return name == "TMPDIR" and "/x" or nil end -- luacheck: ignore
    local named = directories.temporary()
    os.getenv = getenv -- luacheck: ignore
    assert.same({ "/tmp", "/x" }, { temporary, named })
    caches.use(dir)
    rawset(_G, "ngx", { get_phase = function() end })
    user_state.disable()
    user_state.enable()
    rawset(_G, "ngx", ngx)
    assert.is_false(user_state.update("shared", error))
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
