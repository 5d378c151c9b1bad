-- Which entries of a kubeconfig are taken for ours, and what becomes of them, one term wrong at
-- a time. What kubectl makes of it is judged in parity_spec.
local json = require "cce.base.json"
local merge = require "cce.kubeconfig.merge"
local read = require "cce.kubeconfig.read"

local FIELDS = { clusters = "cluster", users = "user", contexts = "context" }

-- Entries from { name = body }, sorted by name.
local function section(field, bodies)
  local list = {}
  for name, body in pairs(bodies) do list[#list + 1] = { name = name, [field] = body } end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

local function config(more)
  local data = { apiVersion = "v1", kind = "Config", ["current-context"] = "c",
    clusters = { c = { server = "https://c" } }, users = { u = { token = "t" } },
    contexts = { c = { cluster = "c", user = "u" } } }
  for name, value in pairs(more or {}) do data[name] = value end
  for name, field in pairs(FIELDS) do
    if not data[name][1] then data[name] = section(field, data[name]) end
  end
  return data
end

local MINE = { set = "prod", cluster_id = "id-1" }

local function marked(by, more) return merge.alone(config(more), by or MINE) end

local function body(data, name, entry)
  local found = read.find(data, name, entry)
  return found and found.body
end

local function add(existing, incoming, mark)
  local merging = merge.begin(existing)
  local ok, why = merge.add(merging, incoming or config(), mark)
  return ok and merging.data, why
end

local MARK = body(marked(), "users", "u").extensions[1].name

describe("the mark of an entry", function()
  it("is ours by its name, and a table", function()
    local mark = { set = "x" }
    assert.equal(mark, merge.find_mark { extensions = { 5, { name = "other", extension = {} },
      { name = MARK, extension = mark } } })
    for _, extensions in ipairs { "x", 5, { 5 }, { { name = "other", extension = {} } },
      { { name = MARK, extension = "x" } }, {} } do
      assert.is_nil(merge.find_mark { extensions = extensions })
    end
    assert.is_nil(merge.find_mark {})
  end)

  it("is put beside those of others, once", function()
    local other = { name = "other", extension = { a = 1 } }
    local data = marked(nil, { users = { u = { extensions = { 5, other } } } })
    data = assert(add(data, config(), MINE))
    assert.same({ 5, other, { name = MARK, extension = MINE } },
      body(data, "users", "u").extensions)
    data = marked(nil, { users = { u = { extensions = 5 } } })
    assert.same({ { name = MARK, extension = MINE } }, body(data, "users", "u").extensions)
  end)

  it("says whose an entry is: a set's, of one cluster where that is known", function()
    for _, case in ipairs {
      { MINE, MINE, true }, { MINE, { set = "test", cluster_id = "id-1" }, false },
      { MINE, { set = "prod", cluster_id = "id-2" }, false }, { MINE, { set = "prod" }, true },
      { { set = "prod" }, MINE, true }, { { set = "prod" }, { set = "test" }, false },
      { MINE, nil, false },
    } do
      local data, why = add(marked(case[1]), config(), case[2])
      assert.equal(case[3], data and true or false, why)
    end
  end)
end)

describe("an entry without a mark", function()
  local function is_replaced(more)
    local data, why = add(config(more))
    if not data then assert.matches("already$", why) end
    return data and true or false
  end

  it("is ours when it is the same thing", function()
    assert.is_true(is_replaced())
    assert.is_false(is_replaced { clusters = { c = { server = "https://d" } } })
    assert.is_false(is_replaced { contexts = { c = { cluster = "d", user = "u" } } })
    assert.is_false(is_replaced { contexts = { c = { cluster = "c", user = "v" } } })
  end)

  it("is a user of whom no other context makes use", function()
    local same, other = { cluster = "c", user = "u" }, { cluster = "c", user = "v" }
    assert.is_true(is_replaced { contexts = {} })
    assert.is_true(is_replaced { contexts = { c = same, d = other } })
    assert.is_false(is_replaced { contexts = { c = same, d = same } })
  end)

  it("is the first of its name", function()
    local here, there = { name = "c", cluster = { server = "https://c" } },
      { name = "c", cluster = { server = "https://d" } }
    assert.is_true(is_replaced { clusters = { here, there } })
    assert.is_false(is_replaced { clusters = { there, here } })
  end)

  it("may have nothing in it", function()
    local data = assert(add(config { users = { { name = "u" } } }))
    assert.equal("t", body(data, "users", "u").token)
    for _, new in ipairs { { name = "u" }, { name = "u", user = json.null } } do
      data = assert(add(nil, config { users = { new } }, MINE))
      assert.same(MINE, merge.find_mark(data.users[1].user))
    end
  end)
end)

describe("what a set of ours no longer has", function()
  -- What is left of entries that were marked as ours, or not, after the set has come again.
  local function left(name, bodies, mark)
    local field, data = FIELDS[name], marked()
    local one = marked(mark or MINE, { [name] = bodies, ["current-context"] = "" })
    for _, entry in ipairs(one[name]) do table.insert(data[name], entry) end
    table.insert(data[name], { name = "theirs", [field] = { cluster = "c", user = "u2" } })
    table.insert(data[name], 5)
    table.insert(data[name], { name = "empty" })
    data = assert(add(data, config(), MINE))
    assert.is_table(body(data, name, "theirs"))
    assert.equal(5, data[name][#data[name] - 1])
    assert.equal("empty", data[name][#data[name]].name)
    local names = {}
    for entry in pairs(bodies) do
      names[#names + 1] = body(data, name, entry) and entry or nil
    end
    return table.concat(names)
  end

  it("is removed, unless it is a person's context that still leads from user to cluster", function()
    assert.equal("", left("clusters", { old = { server = "https://o" } }))
    assert.equal("", left("users", { old = { token = "o" } }))
    assert.equal("", left("contexts", { old = { cluster = "o", user = "o" } }))
    assert.equal("", left("contexts", { old = { cluster = "c", user = "o" } }))
    assert.equal("", left("contexts", { old = { cluster = "o", user = "u" } }))
    assert.equal("", left("contexts", { old = {} }))
    assert.equal("", left("contexts", { old = { cluster = "o", user = "o" }, older = {} }))
    assert.equal("mine", left("contexts", { mine = { cluster = "c", user = "u" } }))
    assert.equal("old", left("contexts", { old = { cluster = "o", user = "o" } }, { set = "x" }))
    assert.equal("old", left("contexts", { old = { cluster = "o", user = "o" } },
      { set = "prod", cluster_id = "id-2" }))
    assert.equal("old", left("contexts", { old = { cluster = "o", user = "o" } }, {}))
  end)

  it("is removed, too, when it came in the same merge", function()
    local merging = merge.begin()
    assert(merge.add(merging, config { contexts = { c = { cluster = "c", user = "u" },
      old = { cluster = "o", user = "o" } } }, MINE))
    assert.is_table(body(merging.data, "contexts", "old"))
    for _ = 1, 2 do assert(merge.add(merging, config(), MINE)) end
    assert.is_nil(body(merging.data, "contexts", "old"))
    assert.equal(1, #merging.data.contexts)
  end)

  it("is no current context any more", function()
    local data = marked(nil, { contexts = { c = { cluster = "c", user = "u" },
      old = { cluster = "o", user = "o" } }, ["current-context"] = "old" })
    assert.equal("c", assert(add(data, config(), MINE))["current-context"])
    data = marked(nil, { contexts = { c = { cluster = "c", user = "u" },
      mine = { cluster = "c", user = "u" } }, ["current-context"] = "mine" })
    assert.equal("mine", assert(add(data, config(), MINE))["current-context"])
  end)

  it("of our fields stays in no entry, and the fields of others do", function()
    local fields = { clusters = { "certificate-authority", "certificate-authority-data",
        "insecure-skip-tls-verify" }, users = { "client-certificate", "client-certificate-data",
        "client-key", "client-key-data", "tokenFile", "username", "password", "exec",
        "auth-provider" } }
    local name_of = { clusters = "c", users = "u" }
    for name, list in pairs(fields) do
      for _, field in ipairs(list) do
        local data = config()
        body(data, name, name_of[name])[field] = "stale"
        body(data, name, name_of[name])["x-theirs"] = "kept"
        local merged = body(assert(add(data)), name, name_of[name])
        assert.is_nil(merged[field], field)
        assert.equal("kept", merged["x-theirs"])
      end
    end
  end)
end)

describe("what is merged into", function()
  it("is left as it was, and its copy is a whole kubeconfig", function()
    local existing = { contexts = section("context", { d = { cluster = "c" } }) }
    local data = assert(add(existing))
    assert.is_nil(existing.clusters)
    assert.same({ "v1", "Config", "c" }, { data.apiVersion, data.kind, data["current-context"] })
    assert.is_nil(body(existing, "contexts", "c"))
    assert.is_nil(body(assert(add(existing)), "users", "u").extensions)
  end)

  it("keeps that no context is current, where there are some", function()
    local chosen = config { ["current-context"] = "" }
    assert.equal("", assert(add(chosen))["current-context"])
    chosen = config { ["current-context"] = "", contexts = {} }
    assert.equal("c", assert(add(chosen))["current-context"])
  end)
end)
