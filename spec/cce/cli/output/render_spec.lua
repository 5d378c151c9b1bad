local json = require "cce.base.json"
local render = require "cce.cli.output.render"
local width = require "cce.text.width"

local columns = {
  { "name", "NAME" }, { "id", "ID", name = true },
  { "left", "LEFT", text = function(row) return row.left and row.left .. " d" end },
  { "hidden" },
}

local rows = {
  { name = "prod", id = "c-1", left = 3, hidden = true },
  { name = "集群 für alle", id = "c-2" },
}

local function lines_of(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = line end
  return list
end

describe("a list", function()
  it("is an aligned table for people, by columns and not by bytes", function()
    assert.same({
      "NAME           ID   LEFT",
      "prod           c-1  3 d",
      "集群 für alle  c-2  -",
    }, lines_of(render.list(rows, columns, "table")))
  end)

  it("is cut to the terminal, the widest column first", function()
    local wide = { { name = ("x"):rep(60), id = "c-1" }, { name = ("集"):rep(40), id = "c-2" } }
    for _, limit in ipairs { 20, 40, 80, 200 } do
      for _, line in ipairs(lines_of(render.list(wide, columns, "table", limit))) do
        assert.is_true(width.of(line) <= limit, line)
        assert.is_truthy(line:find("c-", 1, true) or line:find("ID", 1, true), line)
      end
    end
  end)

  it("has its ids cut before its names", function()
    for name, cut in pairs { id = 8, cluster_id = 8, ident = 18 } do
      local text = render.list({ { name = ("n"):rep(36), [name] = ("i"):rep(36) } },
        { { "name", "NAME" }, { name, "ID" } }, "table", 38 + (cut == 8 and 0 or 1))
      assert.equal(cut, #text:match "\nn+…  (i+)…", text)
    end
  end)

  it("keeps what a row is known by, and gives sentences lines of their own", function()
    local more = { { "name", "NAME", keep = true }, columns[2], { "says", "STATE", prose = true },
      columns[3] }
    local long = { { name = "cluster-001", id = ("i"):rep(36), says = ("word "):rep(30), left = 3 },
      { name = "cluster-002", id = "c-2" } }
    assert.same({
      "NAME         ID                             LEFT",
      "cluster-001  " .. ("i"):rep(28) .. "…  3 d",
      "  word" .. (" word"):rep(8), "  word" .. (" word"):rep(8), "  word" .. (" word"):rep(8),
      "  word word word",
      "cluster-002  c-2                            -",
    }, lines_of(render.list(long, more, "table", 48)))
    long[1].says = "word"
    assert.matches("NAME +ID +STATE +LEFT", render.list(long, more, "table", 80))
  end)

  it("is whole where there is no terminal", function()
    local text = render.list({ { name = ("x"):rep(500), id = "c" } }, columns, "table")
    assert.matches(("x"):rep(500), text, 1, true)
  end)

  it("steers no terminal, whoever chose the names", function()
    local text = render.list({ { name = "a\27[2Jb\nc\r", id = "c" } }, columns, "table")
    assert.matches("a?[2Jb c?", text, 1, true)
    assert.is_nil(text:find "[%z\1-\9\11-\31]")
  end)

  it("has every field in JSON, also those that no table shows", function()
    local read = json.decode(render.list(rows, columns, "json"))
    assert.same({ name = "prod", id = "c-1", left = 3, hidden = true }, read[1])
    assert.same({ name = "集群 für alle", id = "c-2" }, read[2])
    assert.equal("[]\n", render.list({}, columns, "json"))
  end)

  it("has the same in YAML", function()
    local ok, lyaml = pcall(require, "lyaml")
    if not ok then return pending "needs lyaml" end
    assert.same(json.decode(render.list(rows, columns, "json")),
      lyaml.load(render.list(rows, columns, "yaml")))
  end)

  it("is identifiers alone as names", function()
    assert.equal("c-1\nc-2", render.list(rows, columns, "name"))
    assert.equal("", render.list({}, columns, "name"))
  end)

  it("is YAML without a library, empty lists and times as JSON has them", function()
    local loaded, searched = package.loaded.lyaml, package.preload.lyaml
    package.loaded.lyaml = nil
    package.preload.lyaml = function() error "not here" end
    finally(function() package.loaded.lyaml, package.preload.lyaml = loaded, searched end)
    assert.equal("[]\n", render.list({}, columns, "yaml"))
    assert.equal('at: "2026-01-02T03:04:05Z"\nfailures: []\nschema_version: 1\n', render.value(
      { at = "2026-01-02T03:04:05Z", failures = json.array {} }, "", nil, "yaml"))
  end)

  it("is UTF-8 for machines, whatever bytes a name has", function()
    for text, shown in pairs { ["a\255b"] = "a�b", ["\237\160\128"] = "�", ["\192\128x"] = "�x",
      ["\244\144\128\128"] = "�", ["集\128"] = "�", ["é😀"] = "é😀" } do
      for output, expected in pairs { json = '"id": "' .. shown .. '"', yaml = 'id: "' .. shown } do
        assert.matches(expected, render.list({ { id = text } }, columns, output), 1, true)
      end
    end
  end)
end)

describe("one thing", function()
  it("is its text, its name, or its fields", function()
    local value = { id = "j", failures = json.array {} }
    assert.equal("job j: fine", render.value(value, "job j: fine", "j", "table"))
    assert.equal("j", render.value(value, "job j: fine", "j", "name"))
    assert.equal('{\n  "failures": [],\n  "id": "j",\n  "schema_version": 1\n}\n',
      render.value(value, "x", "j", "json"))
  end)
end)

describe("a moment", function()
  it("is in UTC, with how far it is away", function()
    assert.matches("^%d+%-%d+%-%d+T%d+:%d+:%d+Z %(in 3 days%)$",
      render.moment(os.time() + 3 * 86400 + 60))
    assert.matches(" %(4 hours ago%)$", render.moment(os.time() - 4 * 3600))
    assert.equal("-", render.moment(nil))
  end)
end)
