local core = require "cce.core"
local json = require "cce.base.json"
local json_tree = require "cce.kubeconfig.syntax.json_tree"
local kubeconfig = require "cce.kubeconfig"
local patch = require "cce.kubeconfig.syntax.patch"
local read = require "cce.kubeconfig.read"
local yaml = require "cce.kubeconfig.syntax.yaml"
local tempdir = dofile "spec/support/tempdir.lua"

if not pcall(require, "lyaml") then
  describe("changes in YAML", function() pending "needs lyaml" end)
  return
end

local KEPT = tempdir.read "spec/fixtures/kubeconfig_kept.yaml"
local EIP = tempdir.read "spec/fixtures/kubeconfig_eip.json"
local INTERNAL = tempdir.read "spec/fixtures/kubeconfig_internal.json"
local has_kubectl = tempdir.shell "command -v kubectl" ~= ""

local function data_of(text)
  return assert(read.yaml(text))
end

-- The text with a change to its data.
local function changed(text, change)
  local old, new = data_of(text), data_of(text)
  change(new)
  return patch.patch(text, old, new)
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch "([^\n]*)\n?" do lines[#lines + 1] = line end
  return lines
end

-- Whether the lines of `text` are all in `longer`, in their order.
local function is_inside(text, longer)
  local i, wanted = 1, lines_of(text)
  for _, line in ipairs(lines_of(longer)) do
    if line == wanted[i] then i = i + 1 end
  end
  return i > #wanted, wanted[i]
end

describe("changes in YAML", function()
  describe("of a value", function()
    local cases = {
      { "a: 1 # one\nb: 2\n", "a", "x", "a: x # one\nb: 2\n" },
      { "a: 'it''s' # one\nb: 2\n", "a", "yes", 'a: "yes" # one\nb: 2\n' },
      { "a:\nb: 2\n", "a", "x", "a: x\nb: 2\n" },
      { "a: # nothing\nb: 2\n", "a", "x", "a: x # nothing\nb: 2\n" },
      { "a: |\n  x\n  y\n# c\nb: 2\n", "a", "z", "a: z\n# c\nb: 2\n" },
      { "a: >-\n  x\n  y\n\nb: 2\n", "a", "z", "a: z\nb: 2\n" },
      { "{b: 2, a: 1}\n", "a", "x", "{b: 2, a: x}\n" },
      { "# 注释 ä\nä: ü\na: 1 # 中\n", "a", "x", "# 注释 ä\nä: ü\na: x # 中\n" },
      { "a: 1\r\nb: 2\r\n", "a", "x", "a: x\r\nb: 2\r\n" },
      { "a: 1", "a", "x", "a: x" },
      { "\239\187\191a: 1\n", "a", "x", "\239\187\191a: x\n" },
      { "a:\n- n: 1\nb: 2\n", "a", json.null, "a:\n null\nb: 2\n" },
      { "{a: [{name: x}], b: 2}\n", "a", json.null, "{a: null, b: 2}\n" },
      { "a: [] # c\nb: 2\n", "a", json.null, "a: null # c\nb: 2\n" },
    }
    for _, case in ipairs(cases) do
      it(json.encode(case[1]), function()
        assert.equal(case[4], changed(case[1], function(data) data[case[2]] = case[3] end))
      end)
    end
  end)

  describe("of a list", function()
    local function add(text)
      return changed(text, function(data)
        if type(data.users) ~= "table" then data.users = json.array() end
        table.insert(data.users, { name = "new", user = { token = "t" } })
      end)
    end

    local added = "- name: new\n  user:\n    token: t\n"
    local cases = {
      { "users:\n- name: a\n# c\nb: 1\n", "users:\n- name: a\n" .. added .. "# c\nb: 1\n" },
      { "users:\n  - name: a # c\nb: 1\n",
        "users:\n  - name: a # c\n  - name: new\n    user:\n      token: t\nb: 1\n" },
      { "users: [{name: a}]\nb: 1\n",
        'users: [{name: a}, {"name": "new", "user": {"token": "t"}}]\nb: 1\n' },
      { "users: [] # none\nb: 1\n", "users:\n" .. added:sub(1, -2) .. " # none\nb: 1\n" },
      { "users:\nb: 1\n", "users:\n" .. added .. "b: 1\n" },
      { "users: null\nb: 1", "users:\n" .. added .. "b: 1" },
      { "b: 1", "b: 1\nusers:\n" .. added },
      { "# nothing yet\n", "# nothing yet\nusers:\n" .. added },
      { "---\n# nothing yet", "---\n# nothing yet\nusers:\n" .. added },
      { "b: 1\n---\n", "b: 1\nusers:\n" .. added .. "---\n" },
      { "b: 1\n---\nc: 1\n", "b: 1\nusers:\n" .. added .. "---\nc: 1\n" },
      { "---\nb: 1\n...\n", "---\nb: 1\nusers:\n" .. added .. "...\n" },
      { "users:\n- name: a", "users:\n- name: a\n" .. added },
      { "users:\n- name: |\n    a\n\n# c\n", "users:\n- name: |\n    a\n\n" .. added .. "# c\n" },
    }
    for _, case in ipairs(cases) do
      it(json.encode(case[1]), function()
        assert.equal(case[2], add(case[1]))
      end)
    end

    it("without names writes it anew", function()
      local function set(data) data.a = json.array { "x", "y" } end
      assert.equal('{a: ["x", "y"], b: 2}\n', changed("{a: [1, 2], b: 2}\n", set))
      assert.equal('a:\n ["x", "y"]\nb: 2\n', changed("a:\n- 1\n- 2\nb: 2\n", set))
      assert.equal('b: 2\na:\n- {}\n- x\n', changed("b: 2\n", function(data)
        data.a = json.array { {}, "x" }
      end))
    end)

    it("takes one out, and leaves the comment above it", function()
      local text = "users:\n- name: a\n# b is\n- name: b\n  user: {}\n# c is\n- name: c\n"
      assert.equal("users:\n- name: a\n# b is\n# c is\n- name: c\n",
        changed(text, function(data) table.remove(data.users, 2) end))
    end)
  end)

  describe("between brackets", function()
    local function without(...)
      local gone = {}
      for _, name in ipairs { ... } do gone[name] = true end
      return function(data)
        local kept = json.array()
        for _, each in ipairs(data.users) do
          if not gone[each.name] then kept[#kept + 1] = each end
        end
        data.users = kept
      end
    end

    local cases = {
      { "{a: 1, b: 2}\n", function(data) data.a = nil end, "{b: 2}\n" },
      { "{b: 2, a: 1}\n", function(data) data.a = nil end, "{b: 2}\n" },
      { "users: [{name: a}, {name: b}, {name: c}]\n", without("b"),
        "users: [{name: a}, {name: c}]\n" },
      { "users: [{name: a}, {name: b}, {name: c}]\n", without("a", "b"), "users: [{name: c}]\n" },
      { "users: [{name: a}, {name: b}, {name: c}]\n", without("b", "c"), "users: [{name: a}]\n" },
      { "users: [{name: a}, {name: b},]\n", without("b"), "users: [{name: a},]\n" },
      { "users: [{name: a},]\n", function(data) data.users[2] = { name = "b" } end,
        'users: [{name: a}, {"name": "b"}]\n' },
    }
    for _, case in ipairs(cases) do
      it(json.encode(case[1]), function() assert.equal(case[3], changed(case[1], case[2])) end)
    end
  end)

  describe("in JSON", function()
    local function changed_json(text, change)
      local old, new = json.decode(text), json.decode(text)
      change(new)
      return patch.patch(text, old, new, "json")
    end

    local function add(data)
      if type(data.users) ~= "table" then data.users = json.array() end
      table.insert(data.users, { name = "new", user = { token = "t" } })
    end

    local cases = {
      { '{"n":1618065507111835497,"users":[]}', add,
        '{"n":1618065507111835497,"users":[{"name":"new","user":{"token":"t"}}]}' },
      { '{"n":1e300,"users":[{"name":"a"}]}', add,
        '{"n":1e300,"users":[{"name":"a"},{"name":"new","user":{"token":"t"}}]}' },
      { '{\n\t"users": [\n\t\t{\n\t\t\t"name": "a"\n\t\t}\n\t],\n\t"n": 0.10\n}\n', add,
        '{\n\t"users": [\n\t\t{\n\t\t\t"name": "a"\n\t\t},\n\t\t{\n\t\t\t"name": "new",'
          .. '\n\t\t\t"user": {\n\t\t\t\t"token": "t"\n\t\t\t}\n\t\t}\n\t],\n\t"n": 0.10\n}\n' },
      { '{\n    "users": null,\n    "n": -0\n}', add,
        '{\n    "users": [\n        {\n            "name": "new",\n            "user": {\n'
          .. '                "token": "t"\n            }\n        }\n    ],\n    "n": -0\n}' },
      { '{"users":[\n {"name":"a"}]}', add, '{"users":[\n {"name":"a"},\n {\n   "name": "new",\n'
        .. '   "user": {\n     "token": "t"\n   }\n }]}' },
      { '{"a": "x # no comment", "b": 12345678901234567890}', function(data) data.a = nil end,
        '{"b": 12345678901234567890}' },
      { '{"a": 1,\r\n "b": 2}', function(data) data.a = "x" end, '{"a": "x",\r\n "b": 2}' },
      { '{"users": [{"name": "a"}]}', function(data) data.users = json.array() end,
        '{"users": []}' },
      { '{"a": [{"name": "x"}], "b": 1}', function(data) data.a = json.null end,
        '{"a": null, "b": 1}' },
    }
    for _, case in ipairs(cases) do
      it(json.encode(case[1]), function()
        assert.equal(case[3], changed_json(case[1], case[2]))
      end)
    end
  end)

  describe("is refused", function()
    local function refused(text, change, reason)
      local result, message = changed(text, change)
      assert.is_nil(result)
      assert.matches(reason, message, 1, true)
    end

    local function set_a(data) data.a = "x" end
    local function drop_a(data) data.a = nil end

    it("where a comment would be lost", function()
      refused("b: 1\na: # why\n  c: 1 # so\n", drop_a, "holds a comment")
      refused("a: 1 # why\nb: 1\n", drop_a, "holds a comment")
      refused("a:\n- 1 # why\n- 2\nb: 1\n", function(data) data.a = json.array { "x" } end,
        "what must change there holds a comment")
    end)

    it("where others depend on it", function()
      refused("a: &x 1\nb: *x\n", set_a, "anchor")
      refused("b: &x 1\na: *x\n", set_a, "alias")
      refused("b: &x {c: 1}\na:\n  <<: *x\n  d: 1\n", function(data) data.a.d = 2 end, "merges")
    end)

    it("where the layout has no place for it", function()
      for _, new in ipairs { "x", 5, json.null } do
        refused("a: {b: 1}\n", function(data) data.a = new end, "another kind")
      end
      refused("a: {}\n", set_a, "another kind")
      refused("users:\n- a: 1\n  name: x\n", function(data) data.users[1].a = nil end,
        "shares a line with something else")
      refused("c:\n  ? a\n  : 1\n  b: 1\n", function(data) data.c.a = nil end,
        "shares a line with something else")
    end)

    it("in a text that kubectl would not take whole", function()
      refused("---\n---\na: 2\n", set_a, "would not be what is meant")
      refused("c:\n  a: 1\n  a: 2\n", function(data) data.c.a = "x" end, "twice")
    end)
  end)

  describe("into a file that a person keeps", function()
    local dir, path

    before_each(function()
      dir = tempdir.new()
      path = dir .. "/config"
      tempdir.write(path, KEPT)
    end)

    after_each(function()
      tempdir.remove(dir)
    end)

    local function merge(name, text, cluster_id)
      local parsed = assert(kubeconfig.parse(text or EIP, { cluster_id = cluster_id or name }))
      return assert(parsed:save(path, { merge = true, name = name }))
    end

    local function kubectl(arguments)
      return tempdir.shell(("HOME=%s kubectl --kubeconfig %s %s"):format(dir, path, arguments))
    end

    it("only adds lines, and keeps the old file", function()
      local saved = merge "prod"
      assert.is_true(is_inside(KEPT, tempdir.read(path)))
      assert.equal(KEPT, tempdir.read(saved.backup))
      assert.is_false(saved.current)
      assert.equal("rw-------", tempdir.shell("ls -l " .. path):sub(2, 10))
    end)

    it("changes nothing when it is done again", function()
      merge "prod"
      local once = tempdir.read(path)
      merge "prod"
      assert.equal(once, tempdir.read(path))
    end)

    it("renews and takes out just what is ours", function()
      merge "prod"
      merge("test", INTERNAL)
      merge("prod", INTERNAL)
      local text = tempdir.read(path)
      assert.is_true(is_inside(KEPT, text))
      assert.same({ "staging", "lab", "demo", "prod", "test" },
        read.names(data_of(text), "contexts"))
    end)

    it("gives kubectl what it gave it before, and ours", function()
      if not has_kubectl then return pending "needs kubectl" end
      local before = kubectl "config view --raw -o json"
      merge "prod"
      local names = kubectl "config get-contexts -o name"
      for _, name in ipairs { "staging", "lab", "demo", "prod", "prod-external" } do
        assert.matches("\n" .. name .. "\n", "\n" .. names, 1, true)
      end
      local old, new = json.decode(before), json.decode(kubectl "config view --raw -o json")
      for _, section in ipairs(read.section_order) do
        for _, each in ipairs(read.entries(old, section)) do
          assert.same(each, read.find(new, section, each.name))
        end
      end
      assert.equal("staging\n", kubectl "config current-context")
    end)

    it("goes on after kubectl has rewritten it all #once", function()
      if not has_kubectl then return pending "needs kubectl" end
      os.remove(path)
      merge "prod"
      kubectl "config set-context prod --namespace=shop"
      assert.is_nil(tempdir.read(path):find "^{")
      local rewritten = tempdir.read(path)
      merge("test", INTERNAL)
      assert.is_true(is_inside(rewritten, tempdir.read(path)))
      merge("prod", INTERNAL)
      assert.equal("prod\ntest\n", kubectl "config get-contexts -o name")
      local prod = read.find(data_of(tempdir.read(path)), "contexts", "prod")
      assert.equal("shop", prod.body.namespace)
    end)

    it("is left alone, with what to do, where that cannot be", function()
      local text = "users: &all\n- name: a\nold: *all\n"
      tempdir.write(path, text)
      local parsed = assert(kubeconfig.parse(EIP))
      local saved, message, err = parsed:save(path, { merge = true, name = "prod" })
      assert.is_nil(saved)
      assert.equal("UNSUPPORTED", err.code)
      assert.matches("without touching what is not ours", message, 1, true)
      assert.matches("KUBECONFIG=" .. path .. ":", err.hint, 1, true)
      assert.equal(text, tempdir.read(path))
      assert.same({ "config" }, tempdir.list(dir))
    end)
  end)
end)

describe("places in JSON", function()
  it("are none in what is no JSON", function()
    for _, text in ipairs { "[1 2]", '{"a":1 "b":2}', '{"a":1', "[1", "[1}", '{"a":[1;2]}',
      '{"a" 1}', "{a:1}", '"x' } do
      assert.is_nil(json_tree.tree(text), text)
    end
    assert.equal(2, #json_tree.tree("[1 ,2]").items)
  end)
end)

describe("hostile YAML", function()
  local function refused(text, reason)
    local data, message = read.yaml(text)
    assert.is_nil(data)
    assert.matches(reason, message, 1, true)
  end

  it("is not followed: aliases of aliases", function()
    for _, form in ipairs { "a%d: &a%d [%s]", "a%d: &a%d {? [%s] : x}" } do
      local lines = { "a0: &a0 [x, x, x, x, x, x, x, x, x, x]" }
      for i = 1, 12 do
        local alias = ("*a%d, "):format(i - 1):rep(10):sub(1, -3)
        lines[#lines + 1] = form:format(i, i, alias)
      end
      refused(table.concat(lines, "\n"), "too much data")
    end
  end)

  it("is not followed: circles, and what leads nowhere", function()
    refused("a: &a [*a]", "circle")
    refused("a: &a 1\nb: &a [*a]", "circle")
    refused("a: *b", "")
  end)

  it("is not merged: what is no object", function()
    for _, value in ipairs { "5", "text", "[{x: 1}, 5]", "*b", "[*b]", "null", "" } do
      refused(("b: &b 1\na: {<<: %s}\n"):format(value), "what is merged there is no object")
    end
  end)

  it("raises a mistake of our own on", function()
    local from_base64 = core.from_base64
    finally(function() core.from_base64 = from_base64 end)
    function core.from_base64() error("a mistake", 0) end
    assert.has_error(function() read.yaml "a: !!binary QUJD" end, "a mistake")
  end)

  it("is not followed: depth", function()
    refused(("["):rep(100000), "nested too deeply")
    refused(("- "):rep(20000), "nested too deeply")
  end)

  it("is not read: too much of it, or bytes of zero", function()
    refused(("a"):rep(yaml.MAX_BYTES + 1), "bytes")
    refused("a: \0", "zero")
  end)

  it("does not raise, wherever it is cut off", function()
    for length = 0, #KEPT, 7 do
      local data, message = read.yaml(KEPT:sub(1, length))
      assert.is_true(data ~= nil or type(message) == "string")
    end
  end)
end)

describe("YAML that is written", function()
  it("reads as the same data", function()
    local data = {
      apiVersion = "v1", kind = "Config", none = json.null, preferences = {},
      list = { 1, 2.5, true, { a = { b = "c" } }, { { "x" } } },
      text = {
        "yes", "No", "null", "1", "1e3", "0x10", "~", "", " a", "a ", "a: b", "a #b", "-", "- a",
        "a\nb", "\t", "é 中", "'", '"', "\\", "*a", "&a", "!a", "%a", "@a", "a:", "{a", "[a", "=",
        "2026-01-01", "12:30:45", "https://example.com:5443", "QUJD+/==", "on", "y", "<<",
      },
      ["key: odd"] = { ["1"] = "one", yes = "no" },
    }
    assert.same(data, data_of(assert(yaml.encode(data))))
  end)

  it("says what has no text", function()
    local text, message = yaml.encode({ a = print })
    assert.is_nil(text)
    assert.matches("function", message, 1, true)
  end)

  it("is taken by kubectl", function()
    if not has_kubectl then return pending "needs kubectl" end
    local dir = tempdir.new()
    local path = dir .. "/config.yaml"
    assert(assert(kubeconfig.parse(EIP)):save(path, { name = "prod", format = "yaml" }))
    assert.matches("^apiVersion: v1\n", tempdir.read(path))
    assert.equal("prod\n", tempdir.shell(
      "kubectl config current-context --kubeconfig " .. path))
    tempdir.remove(dir)
  end)
end)
