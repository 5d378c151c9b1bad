-- Where one kubeconfig goes, and how it is written there, by the options of the command.
local destinations = require "cce.kubeconfig.destination"
local errors = require "cce.error"
local place = require "cce.cli.output.place"
local tempdir = require "spec.support.tempdir"
local unpack = table.unpack or unpack -- luacheck: ignore

describe("where one kubeconfig goes", function()
  local dir, saved, ui, told

  before_each(function()
    dir, told = tempdir.new(), {}
    saved = { prove = destinations.prove, save = destinations.save }
    ui = { output = "table" }
    for _, name in ipairs { "say", "print", "warn" } do
      ui[name] = function(_, text) told[#told + 1] = name .. " " .. text end
    end
    function ui.fail(_, message) return message end
    function ui.written() return true end
  end)

  after_each(function()
    destinations.prove, destinations.save = saved.prove, saved.save
    tempdir.remove(dir)
  end)

  it("is one place, whose directory is there, and no file that is there already", function()
    tempdir.write(dir .. "/there", "")
    for _, case in ipairs {
      { {}, "give one of" }, { { out = "a", merge_into = "b" }, "give one of" },
      { { out = "-" } }, { { out = "new" } }, { { out = "/new" } }, { { out = dir .. "/new" } },
      { { out = dir .. "/there" }, "is there already" },
      { { out = dir .. "/there", force = true } }, { { merge_into = dir .. "/there" } },
      { { merge_into = "new" } },
      { { out = dir .. "/none/x" }, "no directory '" .. dir .. "/none'" },
      { { merge_into = dir .. "/none/x" }, "no directory" },
    } do
      local ok, message, err = place.check(case[1])
      assert.equal(case[2] == nil, ok == true, message)
      if case[2] then
        assert.equal("INVALID_ARGUMENT", err.code)
        assert.matches(case[2], message, 1, true)
      end
    end
    assert.equal("merged into a", place.text { merge_into = "a" })
    assert.equal("into a", place.text { out = "a" })
    assert.equal("to standard output", place.text { out = "-" })
  end)

  it("is told to what proves it and saves it", function()
    local cluster, proved, saved_to, answer = { id = "c1", name = "prod" }, nil, nil, { true }
    function destinations.prove(...)
      proved = { ... }
      return unpack(answer, 1, 3)
    end
    function destinations.save(...)
      saved_to = { ... }
      return "saved"
    end
    for _, case in ipairs {
      { { out = "f" }, { path = "f", mark = true, merge = false, name = "prod" } },
      { { merge_into = "f", context = "external", format = "yaml", name = "x" },
        { path = "f", mark = false, merge = true, name = "x", context = "external",
          format = "yaml" } },
      { { out = "f", force = true }, { path = "f", mark = true, merge = false, name = "prod",
        force = true, command = { args = {} } }, { args = {} } },
    } do
      assert.is_true(place.prove(ui, case[1], "client", cluster, case[3]))
      assert.same({ case[2], cluster, "client" }, proved)
      assert.equal("saved", place.save(case[1], "kubeconfig", cluster, case[3]))
      assert.same({ case[2], "kubeconfig" }, saved_to)
    end
    place.save({ out = "f" }, "kubeconfig", { id = "c1" })
    assert.equal("c1", saved_to[1].name)
    assert.same({}, told)
    answer = { true, "it would be lost" }
    assert.is_true(place.prove(ui, { out = "f" }, "client", cluster))
    assert.same({ "warn it would be lost" }, told)
    answer = { nil, "full", "err" }
    assert.same({ nil, "full", "err" }, { place.prove(ui, { out = "f" }, "client", cluster) })
    proved = nil
    assert.is_true(place.prove(ui, { out = "-" }, "client", cluster))
    assert.is_nil(proved)
  end)

  it("may be standard output, which is said where a key goes there", function()
    local opts
    local kubeconfig = { text = function(_, given)
      opts = given
      return "text"
    end }
    local cluster = { id = "c1", name = "prod" }
    assert.equal(0, place.print(ui, {}, kubeconfig, cluster))
    assert.same({ "say the kubeconfig, with its private key, goes to standard output",
      "print text" }, told)
    assert.same({ mark = true, name = "prod", format = "json" }, opts)
    told, ui.output = {}, "yaml"
    assert.equal(0, place.print(ui, { exec = true }, kubeconfig, cluster))
    assert.same({ "print text" }, told)
    assert.equal("yaml", opts.format)
    place.print(ui, { format = "json" }, kubeconfig, cluster)
    assert.equal("json", opts.format)
    told = {}
    function kubeconfig.text() return errors.fail("INVALID_ARGUMENT", "no such context") end
    assert.equal("no such context", place.print(ui, {}, kubeconfig, cluster))
    assert.same({}, told)
  end)
end)
