local cache = require "cce.exec.cache"
local caches = require "spec.support.caches"
local core = require "cce.core"
local tempdir = dofile "spec/support/tempdir.lua"

local CLUSTER, USER = "c1050000-0000-4000-8000-000000000001", "a0000000000000000000000000000001"

describe("cce.exec.cache", function()
  local dir

  before_each(function()
    dir = tempdir.new()
    caches.use(dir)
  end)

  after_each(function()
    caches.restore()
    tempdir.remove(dir)
  end)

  local function make()
    tempdir.shell("mkdir -p " .. dir .. "/cce/credentials/" .. CLUSTER)
    return dir .. "/cce/credentials/" .. CLUSTER .. "/"
  end

  it("is where XDG says, or under the home", function()
    assert.equal(dir .. "/cce/credentials", cache.directory())
    caches.use "relative"
    assert.equal(os.getenv "HOME" .. "/.cache/cce/credentials", cache.directory())
    caches.use(nil)
    assert.is_nil(cache.directory())
  end)

  it("touches nothing where nothing is kept", function()
    assert.equal(0, cache.drop(CLUSTER, USER))
    assert.equal(0, cache.drop(CLUSTER))
    assert.same({}, tempdir.list(dir))
    assert.same({}, cache.entries(CLUSTER))
    assert.is_nil(cache.dropped(CLUSTER))
    caches.use(nil)
    assert.equal(0, cache.drop(CLUSTER, USER))
  end)

  it("names the clusters in their order", function()
    assert.same({}, cache.clusters())
    local place = make():match "^(.*/)[^/]+/$"
    tempdir.shell(("cd %s && rmdir * && mkdir c b e a d f"):format(tempdir.quote(place)))
    assert.same({ "a", "b", "c", "d", "e", "f" }, cache.clusters())
  end)

  it("drops what cannot be read, too, and notes when it was", function()
    local place, before = make(), core.sys.time()
    tempdir.write(place .. "x.json", "no kubeconfig")
    assert.equal(1, cache.drop(CLUSTER, USER))
    local note = cache.dropped(CLUSTER, USER)
    assert.equal(USER, note.principal)
    assert.is_true(note.at >= before)
    assert.is_nil(cache.dropped(CLUSTER, "another"))
    assert.same(note, cache.dropped(CLUSTER))
    assert.equal("0600", core.file.stat(place .. "revoked-" .. USER).mode)
  end)

  it("tells a rotation from a revocation, and the last of them", function()
    make()
    cache.drop(CLUSTER, USER)
    core.sys.sleep(0.002)
    cache.drop(CLUSTER)
    assert.is_nil(cache.dropped(CLUSTER).principal)
    assert.is_nil(cache.dropped(CLUSTER, USER).principal)
    core.sys.sleep(0.002)
    cache.drop(CLUSTER, USER)
    assert.equal(USER, cache.dropped(CLUSTER).principal)
  end)

  it("passes over notes that somebody else wrote", function()
    local place = make()
    for i, text in ipairs { "", "{", "[]", '{"at":"x"}', ("x"):rep(5000) } do
      tempdir.write(place .. "revoked-" .. i, text)
    end
    assert.is_nil(cache.dropped(CLUSTER))
  end)

  it("takes nothing for a path that is none", function()
    tempdir.write(dir .. "/x.json", "")
    make()
    assert.equal(0, cache.drop("../..", USER))
    assert.equal(0, cache.drop(CLUSTER, "../../../x"))
    assert.same({ "cce", "x.json" }, tempdir.list(dir))
  end)

  it("never fails a call, whatever is in the way", function()
    tempdir.shell("mkdir -p " .. make() .. "revoked-" .. USER .. "/in-the-way "
      .. make() .. "y.json/in-the-way")
    assert.equal(0, cache.drop(CLUSTER, USER))
  end)

  it("does nothing in nginx", function()
    local place = make()
    tempdir.write(place .. "x.json", "")
    rawset(_G, "ngx", { socket = {}, get_phase = function() return "content" end })
    local count = cache.drop(CLUSTER, USER)
    rawset(_G, "ngx", nil)
    assert.equal(0, count)
    assert.same({ "x.json" }, tempdir.list(place))
  end)

  it("reads names with every character in the path to it", function()
    local odd = dir .. "/a*b[c] d\\e"
    tempdir.shell("mkdir " .. tempdir.quote(odd))
    caches.use(odd)
    tempdir.shell("mkdir -p " .. tempdir.quote(odd .. "/cce/credentials/" .. CLUSTER))
    tempdir.write(odd .. "/cce/credentials/" .. CLUSTER .. "/x.json", "")
    assert.equal(1, #cache.entries(CLUSTER))
    assert.equal(1, cache.drop(CLUSTER))
  end)
end)
