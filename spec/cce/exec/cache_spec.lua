local cache = require "cce.exec.cache"
local caches = require "spec.support.caches"
local core = require "cce.core"
local directories = require "cce.base.directories"
local identity = require "cce.api.identity"
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

  it("has a file of its own for each endpoint, project and principal", function()
    local saved, caller, paths = identity.of, nil, {}
    function identity.of() return caller, "nobody tells", {} end
    finally(function() identity.of = saved end)
    local function path_of(auth, more, who)
      local client = { session = { auth = auth, identify = function() return auth end },
        config = { endpoints = { cce = "https://a" }, region = "r1", project_id = "p1" } }
      for name, value in pairs(more or {}) do client.config[name] = value or nil end
      caller = who
      return cache.path(client, CLUSTER)
    end
    local function is_new(...)
      local path = assert(path_of(...))
      assert.is_nil(paths[path])
      paths[path] = true
      return path
    end
    local lasting, passing, token = { ak = "k1" }, { ak = "k2", expires_at = 5 }, {}
    local user, agency = { kind = "user", id = "u1" }, { kind = "agency", id = "u1" }
    is_new(lasting)
    is_new(lasting, { endpoints = { cce = "https://b" } })
    is_new(lasting, { project_id = "p2" })
    is_new { ak = "k3" }
    is_new({ ak = "k1", project_id = "p3" }, { project_id = false })
    is_new(lasting, { project_id = false })
    is_new(lasting, { project_id = false, region = "r2" })
    is_new(passing)
    local of_user = is_new(passing, {}, user)
    is_new(passing, {}, agency)
    assert.equal(of_user, path_of(token, {}, user))
    assert.equal(of_user, path_of({ ak = "k4", expires_at = 5 }, {}, user))
    assert.equal("nobody tells", (select(2, path_of(token))))
    -- Nor anything where others may write.
    for _, place in ipairs { "", "/" .. CLUSTER } do
      place = tempdir.quote(dir .. "/cce/credentials" .. place)
      tempdir.shell("chmod 701 " .. place)
      assert.matches("open to others", (select(2, path_of(lasting))))
      tempdir.shell("chmod 700 " .. place)
    end
    -- Nor where somebody else has just removed it.
    tempdir.shell("rm -r " .. tempdir.quote(dir .. "/cce"))
    local mkdir = directories.make
    finally(function() identity.of, directories.make = saved, mkdir end)
    function directories.make() return true end
    local _, message, err = path_of(lasting)
    assert.same({ "it is gone", "FILE_ERROR" }, { message, err.code })
  end)

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

  it("knows when one was handed out last, until it is removed", function()
    local path = make() .. "x.json"
    tempdir.write(path, "")
    assert.equal(math.huge, cache.serve(path))
    assert.is_true(cache.serve(path) < 3600)
    tempdir.shell("touch -d '1 hour ago' " .. tempdir.quote(path .. ".served"))
    assert.is_true(cache.serve(path) > 3599)
    assert.equal(0, cache.serve(dir .. "/none/x.json"))
    assert(cache.remove(path))
    assert.same({}, tempdir.list(path:match "^(.*)/"))
    assert.is_nil((cache.remove(path)))
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

  it("does not take what it cannot look at for nothing, nor what it cannot remove", function()
    local place, glob = make(), core.file.glob
    tempdir.shell("mkdir -p " .. place .. "y.json/in-the-way")
    tempdir.write(place .. "x.json", "")
    local count, problem = cache.clear(CLUSTER)
    assert.equal(1, count)
    assert.matches("y.json: ", problem, 1, true)
    finally(function() core.file.glob = glob end)
    core.file.glob = function() return nil, "cannot list it", "FILE_ERROR" end
    assert.same({ 0, "cannot list it" }, { cache.clear(CLUSTER) })
    assert.same({ {}, "cannot list it" }, { cache.clusters() })
    local entries, message, err = cache.entries(CLUSTER)
    assert.same({ {}, "cannot list it", "FILE_ERROR" }, { entries, message, err.code })
    assert.equal(0, cache.drop(CLUSTER, USER))
    core.file.glob = function() return { place .. "gone.json" } end
    assert.same({ 0 }, { cache.clear(CLUSTER) })
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
