local authority = require "cce.kubeconfig.authority"
local core = require "cce.core"
local json = require "cce.base.json"
local kubeconfigs = require "cce.kubeconfig"
local store = require "cce.kubeconfig.store"
local tempdir = dofile "spec/support/tempdir.lua"

local CLUSTER = "c1050000-0000-4000-8000-000000000001"

local FIELD, NEW = "certificate-authority-data", "YW5vdGhlcg=="

describe("the CA that the API names", function()
  it("is the Base64 of PEM, or none", function()
    local function of(data)
      return authority.of { raw = { spec = { certificateAuthority = { data = data } } } }
    end
    local pem = core.to_base64 "-----BEGIN CERTIFICATE-----\nx"
    assert.equal(pem, of(pem))
    for _, other in ipairs { NEW, "?", "", 7 } do assert.is_nil(of(other)) end
    for _, raw in ipairs { 7, {}, { spec = 7 }, { spec = {} }, { spec = {
      certificateAuthority = 7 } }, { spec = { certificateAuthority = {} } } } do
      assert.is_nil(authority.of { raw = raw })
    end
    assert.is_nil(authority.of {})
  end)
end)

describe("the CA in a kubeconfig without keys", function()
  local dir, path, data

  before_each(function()
    dir = tempdir.new()
    path = dir .. "/config"
    local text = tempdir.read("spec/fixtures/kubeconfig_eip.json")
    local config = assert(kubeconfigs.parse(text, { cluster_id = CLUSTER }))
    data = json.decode(assert(config:with_command {}).raw)
  end)

  after_each(function() tempdir.remove(dir) end)

  -- How many CAs were replaced, and those that are there then, by cluster.
  local function mend(...)
    tempdir.write(path, assert(json.encode(data)))
    local count, message = authority.mend(path, CLUSTER, NEW, ...)
    assert(count, message)
    local found = {}
    for _, each in ipairs(json.decode(tempdir.read(path)).clusters) do
      found[each.name] = each.cluster[FIELD]
    end
    return count, found
  end

  it("is replaced although another context of the user names no cluster", function()
    data.contexts[#data.contexts + 1] =
      { name = "half", context = { user = data.users[1].name } }
    local count, found = mend()
    assert.is_true(count > 0)
    for name, each in pairs(found) do assert.equal(NEW, each, name) end
  end)

  it("is replaced where it is another one, and is put nowhere", function()
    local old = data.clusters[1].cluster[FIELD]
    data.clusters = {
      { name = "old", cluster = { [FIELD] = old } },
      { name = "the same", cluster = { [FIELD] = NEW:sub(1, 4) .. "\n" .. NEW:sub(5) } },
      { name = "none", cluster = { server = "https://a" } },
      { name = "ours", cluster = { [FIELD] = old, extensions = { { name = "lua-cce",
        extension = { set = "x", cluster_id = CLUSTER } } } } },
      { name = "another cluster's", cluster = { [FIELD] = old, extensions = { { name = "lua-cce",
        extension = { set = "x", cluster_id = "another" } } } } },
      { name = "of a set", cluster = { [FIELD] = old, extensions = { { name = "lua-cce",
        extension = { set = "x" } } } } },
      { name = "another user's", cluster = { [FIELD] = old } },
      { name = "not meant", cluster = { [FIELD] = old } },
    }
    data.contexts = {}
    for i, each in ipairs(data.clusters) do
      data.contexts[i] = { name = each.name, context = { cluster = each.name,
        user = each.name == "another user's" and "another" or data.users[1].name } }
    end
    data.contexts[#data.contexts] = nil
    data.users[2] = { name = "another", user = { token = "example" } }
    local expected = {}
    for _, each in ipairs(data.clusters) do expected[each.name] = each.cluster[FIELD] end
    expected.old, expected.ours, expected["of a set"] = NEW, NEW, NEW
    local count, found = mend()
    assert.equal(3, count)
    assert.same(expected, found)
    assert.is_nil(found.none)
    -- Those alone that are named.
    count, found = mend(1, { ["not meant"] = true })
    assert.same({ 1, NEW }, { count, found["not meant"] })
    assert.equal(old, found.old)
  end)

  it("that is right needs no lock, and one that is replaced gives it back", function()
    tempdir.write(path .. ".lock", "kubectl's")
    for _, each in ipairs(data.clusters) do each.cluster[FIELD] = NEW end
    assert.equal(0, (mend(0)))
    data.clusters[1].cluster[FIELD] = "YQ=="
    tempdir.write(path, assert(json.encode(data)))
    assert.equal("TIMEOUT", select(3, authority.mend(path, CLUSTER, NEW, 0)).code)
    os.remove(path .. ".lock")
    for _ = 1, 2 do assert.equal(1, (mend(0))) end
    assert.same({ "config" }, tempdir.list(dir))
  end)

  it("is looked at again once others let the file go, and nothing is said to be done in vain",
    function()
      local lock, commit, meanwhile, waits = core.file.lock, store.commit, nil, nil
      finally(function() core.file.lock, store.commit = lock, commit end)
      function core.file.lock(at, opts)
        waits = opts.timeout
        if meanwhile then tempdir.write(path, meanwhile) end
        return lock(at, opts)
      end
      local text = assert(json.encode(data))
      local function mended(...)
        tempdir.write(path, text)
        local count, message, err = authority.mend(path, CLUSTER, NEW, ...)
        return count, err and err.code or message
      end
      assert.same({ 2, 10 }, { mended(), waits })
      assert.same({ 2, 3 }, { mended(3), waits })
      -- Others have done it while they held the lock, have spoilt the file or taken it away.
      store.commit = function() error("no", 0) end
      meanwhile = text:gsub('("' .. FIELD:gsub("%-", "%%-") .. '": *)"[^"]+"', '%1"' .. NEW .. '"')
      assert.equal(0, (mended()))
      assert.equal(meanwhile, tempdir.read(path))
      meanwhile = "{"
      assert.same({ nil, "FILE_ERROR" }, { mended() })
      meanwhile = nil
      assert.has_error(mended, "no")
      store.commit = function() return nil, "no", { code = "NO" } end
      assert.same({ nil, "NO" }, { mended() })
      store.commit = commit
      assert.equal(2, (mended(0)))
      -- What cannot be read, or is not there, is nobody's turn.
      text, waits = "{", nil
      assert.same({ nil, "FILE_ERROR" }, { mended(7) })
      os.remove(path)
      assert.equal(0, authority.mend(path, CLUSTER, NEW, 7))
      assert.is_nil(waits)
      assert.same({}, tempdir.list(dir))
    end)

  it("is found by the current context", function()
    local function of(context, cluster)
      local config = assert(kubeconfigs.load("spec.json", { text = json.encode {
        apiVersion = "v1", kind = "Config", ["current-context"] = context,
        clusters = { { name = "c", cluster = cluster } },
        contexts = { { name = "a", context = { cluster = "c" } },
          { name = "b", context = { cluster = "none" } } } } }))
      return authority.in_kubeconfig(config)
    end
    assert.equal(NEW, of("a", { [FIELD] = NEW }))
    assert.is_nil(of("a", { [FIELD] = "" }))
    for _, context in ipairs { "b", "c", "" } do assert.is_nil(of(context, { [FIELD] = NEW })) end
  end)

  it("is replaced by what the API names; certificates ended when that is another one", function()
    local events, answer, err = {}, nil, { code = "NOT_FOUND" }
    local client = {
      show_cluster = function(_, id)
        assert.equal(CLUSTER, id)
        return answer, not answer and "not found" or nil, not answer and err or nil
      end,
      emit = function(_, event) events[#events + 1] = event end,
    }
    local function refresh() return authority.refresh(client, path, CLUSTER) end
    local text = assert(json.encode(data))
    tempdir.write(path, text)
    assert.equal(err, select(3, refresh()))
    answer = {}
    assert.equal(0, refresh())
    assert.equal(text, tempdir.read(path))
    answer = { raw = { spec = { certificateAuthority = {
      data = core.to_base64 "-----BEGIN CERTIFICATE-----\nx" } } } }
    tempdir.write(path, "{")
    assert.equal("FILE_ERROR", select(3, refresh()).code)
    tempdir.write(path, text)
    assert.same({}, events)
    for _, count in ipairs { 2, 0 } do
      assert.equal(count, refresh())
      assert.same({ { type = "certificates_ended", cluster_id = CLUSTER } }, events)
    end
  end)
end)
