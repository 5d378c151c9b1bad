-- Where somebody is put back, and what an undo file takes for one. What clusters make of it
-- is judged by kubectl in revoke/removal_spec.
local core = require "cce.core"
local tempdir = require "spec.support.tempdir"
local undo = require "cce.workflow.rights.undo"

describe("an undo file", function()
  local dir, path

  before_each(function()
    dir = tempdir.new()
    path = dir .. "/undo.json"
  end)

  after_each(function() tempdir.remove(dir) end)

  local function user(name) return { kind = "User", name = name } end

  local function subjects(text)
    local list = {}
    for name in text:gmatch "%S+" do
      list[#list + 1] = name == "sa" and { kind = "ServiceAccount", name = "u1", namespace = "n" }
        or user(name)
    end
    return list
  end

  local function names(list)
    local parts = {}
    for i, each in ipairs(list) do parts[i] = each.kind == "User" and each.name or "sa" end
    return table.concat(parts, " ")
  end

  local function entry(before, taken)
    local set = {}
    for id in taken:gmatch "%S+" do set[id] = true end
    return { cluster = "c1", kind = "RoleBinding", namespace = "n", name = "b",
      role_kind = "Role", role = "r", before = subjects(before), taken = set }
  end

  it("puts everybody back where they stood, whatever others did", function()
    for _, case in ipairs {
      -- before, who was taken, as it is now, as it shall be, how many were put back
      { "a b c", "b", "a c", "a b c", 1 },
      { "a b c", "a c", "b", "a b c", 2 },
      { "a b c", "a b c", "", "a b c", 3 },
      { "a b c", "b", "a x c y", "a b x c y", 1 },
      { "a b c", "b", "c a", "c a b", 1 },
      { "a b c", "b", "x y", "x y b", 1 },
      { "a b c", "a", "x b c", "x a b c", 1 },
      { "a b a", "a", "b", "a b a", 2 },
      { "a b a", "a", "b a", "b a a", 1 },
      { "a b c", "b", "a b c", "a b c", 0 },
      { "u1 sa b", "u1", "sa b", "u1 sa b", 1 },
      { "a b a", "a", "a a b", "a a b", 0 },
      { "x a a", "x", "a a", "x a a", 1 },
      { "a a x", "x", "a a", "a a x", 1 },
    } do
      local list, added = undo.put_back(entry(case[1], case[2]), subjects(case[3]))
      assert.equal(case[4] .. " +" .. case[5], names(list) .. " +" .. added)
    end
    local list = undo.put_back({ before = { "i1", "i2", "i3" }, taken = { i2 = true } },
      { "i1", "i3" })
    assert.same({ "i1", "i2", "i3" }, list)
  end)

  it("takes users by their name, and nobody else", function()
    assert.equal("b sa", names(undo.without(subjects "a b sa", { a = true, u1 = true })))
    assert.same({ "i2" }, undo.without({ "i1", "i2" }, { i1 = true }))
  end)

  it("restores the order for every set of people, taken at once or one after the other", function()
    local all = { "a", "b", "c", "d", "e", "f" }
    for bits = 1, 2 ^ #all - 1 do
      local file, now = assert(undo.open(path .. bits, "r", 0)), subjects(table.concat(all, " "))
      for i, name in ipairs(all) do
        if math.floor(bits / 2 ^ (i - 1)) % 2 == 1 then
          local taken = { [name] = true }
          local one = entry(names(now), name)
          assert(file:record { one })
          now = undo.without(now, taken)
        end
      end
      local read = assert(undo.read(path .. bits))
      assert.equal(1, #read.entries)
      assert.equal(table.concat(all, " "), names((undo.put_back(read.entries[1], now))))
    end
  end)

  it("is on disk, for its owner alone, before anything is taken, and once more for what is new",
    function()
      local file = assert(undo.open(path, "run", 1000))
      assert.is_false(core.file.stat(path))
      assert.is_nil(file.is_written)
      assert(file:record { entry("a b", "a") })
      assert.is_true(file.is_written)
      assert.equal("0600", core.file.stat(path).mode)
      local first = core.file.stat(path).identity
      assert(file:record { entry("a b", "a") })
      assert.equal(first, core.file.stat(path).identity)
      assert(file:record { entry("a b", "b") })
      assert.same({ a = true, b = true }, assert(undo.read(path)).entries[1].taken)
      -- Gone on with by its run alone.
      local again = assert(undo.open(path, "run", 0))
      assert.same({ 1000, true }, { again.begun, again.is_written })
      assert(again:record { entry("a b c", "a") })
      assert.equal(1, #again.entries)
      assert.equal("a b c", names(assert(undo.read(path)).entries[1].before))
      local none, _, err = undo.open(path, "another", 0)
      assert.is_nil(none)
      assert.same({ "CONFLICT", false }, { err.code, err.retryable })
      -- What could not be written is not noted as written.
      tempdir.shell("rm -rf " .. dir)
      for _ = 1, 2 do assert.is_nil((file:record { entry("a b c", "c") })) end
    end)

  it("has all of an AccessPolicy, and tells those of one name apart", function()
    local function policy(id, role_kind)
      return { kind = "AccessPolicy", id = id, name = "p", role = "admin", role_kind = role_kind,
        before = { "i1", "i2" }, taken = { i1 = true }, clusters = { ["*"] = true },
        namespaces = { default = true } }
    end
    local all = { policy("id1", "CCEAdmin"), policy("id2", "CCEAdmin"), policy("id1", "other") }
    assert(assert(undo.open(path, "run", 0)):record(all))
    assert.same(all, assert(undo.read(path)).entries)
    -- In an order that a person can compare.
    local many = entry("a b c d e f", "f c e a d b")
    assert(assert(undo.open(dir .. "/many", "run", 0)):record { many })
    assert.same({ "a", "b", "c", "d", "e", "f" },
      core.json.decode(tempdir.read(dir .. "/many")).entries[1].taken)
    -- What has no JSON is not written.
    many.before[1].x = print
    local none, message, err = assert(undo.open(dir .. "/none", "run", 0)):record { many }
    assert.same({ nil, "a function has no JSON", "INTERNAL" }, { none, message, err.code })
    assert.is_false(core.file.stat(dir .. "/none"))
  end)

  it("is begun only where it can be written, and not in place of what cannot be read", function()
    tempdir.write(path, "")
    assert.is_table(undo.open(path, "run", 0))
    tempdir.write(path, "{")
    for _, where in ipairs { path, dir .. "/none/undo.json", dir .. "/" .. ("x"):rep(5000) } do
      local none, message, err = undo.open(where, "run", 0)
      assert.is_nil(none)
      assert.same({ "string", "FILE_ERROR" }, { type(message), err.code })
    end
    -- Untried where a directory is made only later, but not where nobody can look.
    assert.is_table(undo.open(dir .. "/none/undo.json", "run", 0, true))
    assert.is_nil((undo.open(dir .. "/" .. ("x"):rep(5000), "run", 0, true)))
    local none, message, err = undo.read(dir .. "/none")
    assert.same({ nil, "FILE_ERROR" }, { none, err.code })
    assert.not_matches("is no undo file", message)
  end)

  it("is damaged when one term of an entry is wrong", function()
    local function read(each)
      tempdir.write(path, core.json.encode { file = "lua-cce removed rights", version = 1,
        entries = { each } })
      return undo.read(path)
    end
    local user_a = { { kind = "User", name = "a" } }
    local SHARED = { before = { 1, { 1 } }, taken = { 1, { 1 } }, name = { 5, true, ".." },
      cluster_name = { 5 }, project = { 5 }, role_kind = { 5 }, role = { false, 5 },
      clusters = { 1, { 1 } }, namespaces = { 1, { 1 } } }
    local BOUND = { before = { { { kind = "User" } }, { { name = "a" } }, { "a" } } }
    for _, kind in ipairs {
      { { kind = "RoleBinding", namespace = "n", cluster = "c1", name = "b", role = "r",
          before = user_a, taken = { "a" } },
        SHARED, BOUND, { namespace = { false, 5, ".." }, cluster = { false, "../c" } } },
      { { kind = "ClusterRoleBinding", cluster = "c1", name = "b", role = "r", before = user_a,
          taken = { "a" }, cluster_name = "x", project = "p", role_kind = "Role" },
        SHARED, BOUND, { namespace = { "n" }, cluster = { false, "../c" },
          kind = { "ClusterRole" } } },
      { { kind = "AccessPolicy", id = "i", name = "p", role = "r", before = { "a" },
          taken = { "a" }, clusters = { "*" }, namespaces = {} },
        SHARED, { before = { user_a }, id = { false, "../i" }, cluster = { "c1" } },
        { clusters = { false }, namespaces = { false } } },
    } do
      local good = kind[1]
      assert(read(good))
      for i = 2, 4 do
        for term, values in pairs(kind[i]) do
          for _, value in ipairs(values) do
            local copy = {}
            for name, each in pairs(good) do copy[name] = each end
            copy[term] = value or nil
            local none, message, err = read(copy)
            assert.is_nil(none, good.kind .. "." .. term)
            assert.matches("is damaged: entry 1", message, 1, true)
            assert.is_false(err.retryable)
          end
        end
      end
    end
    for _, each in ipairs { 1, "x", {} } do assert.is_nil((read(each))) end
  end)

  it("is refused when it is none, or damaged", function()
    local whole = '{"file":"lua-cce removed rights","version":1,"begun":"x","entries":[%s]}'
    local function try(text)
      tempdir.write(path, text)
      local read, message, err = undo.read(path)
      return read, message, err and err.code
    end
    local good = '{"cluster":"c1","kind":"RoleBinding","namespace":"n","name":"b","role":"r",'
      .. '"before":[{"kind":"User","name":"a"}],"taken":["a"]}'
    assert.equal(0, assert(try(whole:format(good))).begun)
    assert.equal(0, assert(try((whole:format(good):gsub('"begun":"x",', "")))).begun)
    for _, change in ipairs { { '"n"', '".."' }, { '"b"', '"a/b"' }, { '"b"', '"a\\n"' },
      { '"RoleBinding"', '"Role"' }, { '"RoleBinding"', '"ClusterRoleBinding"' },
      { '"c1"', '"../c"' }, { '%["a"%]', '[1]' }, { '%["a"%]', '"a"' }, { '"name":"a"', '"x":1' },
      { '"before":%b[]', '"before":1' }, { '"role":"r",', "" } } do
      local text = good:gsub(change[1], change[2])
      assert.are_not.equal(good, text)
      local read, message, code = try(whole:format(text))
      assert.is_nil(read, text)
      assert.equal("FILE_ERROR", code)
      assert.matches("is damaged: entry 1", message, 1, true)
    end
    local newer = whole:format(good):gsub('"version":1', '"version":2')
    for _, text in ipairs { "", "{", "[]", "{}", newer, (whole:format(good):gsub("removed", "x")),
      '{"file":"lua-cce removed rights","version":1}' } do
      assert.is_nil((try(text)))
    end
  end)
end)
