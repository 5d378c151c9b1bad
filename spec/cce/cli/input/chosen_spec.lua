local chosen = require "cce.cli.input.chosen"
local errors = require "cce.error"
local tempdir = require "spec.support.tempdir"

local function cluster(number, name)
  return { id = ("c1050000-0000-4000-8000-%012d"):format(number), name = name, version = "v1.29",
    status = number == 3 and "Creating" or "Available" }
end

local CLUSTERS = { cluster(1, "prod-a"), cluster(2, "prod-b"), cluster(3, "test"),
  cluster(4, "twin"), cluster(5, "twin") }

-- What `cce.workflow.targets` needs of a client.
local function client_with(clusters, err)
  return { config = { project_id = "p" }, list_clusters = function()
    if err then return nil, err.message, err end
    return clusters
  end }
end

local client = client_with(CLUSTERS)

local function args_of(words, more)
  local args = { cluster = words }
  for name, value in pairs(more or {}) do args[name] = value end
  return args
end

describe("clusters", function()
  it("are named by id or by name, each once", function()
    local ids = assert(chosen.ids(client, args_of { "prod-b", CLUSTERS[1].id, "prod-b" }))
    assert.same({ CLUSTERS[2].id, CLUSTERS[1].id }, ids)
    -- One need not have a name.
    local unnamed = client_with { { id = CLUSTERS[4].id }, CLUSTERS[1] }
    for _, word in ipairs { "prod-a", CLUSTERS[4].id } do assert(chosen.one(unnamed, word)) end
  end)

  it("are chosen by pattern, version and status", function()
    assert.equal(2, #chosen.ids(client, args_of({}, { name = "prod-*" })))
    assert.equal(1, #chosen.ids(client, args_of({}, { status = "Creating" })))
    assert.equal(5, #chosen.ids(client, args_of({}, { cluster_version = "v1.29" })))
    assert.equal(5, #chosen.ids(client, args_of({}, { all = true })))
  end)

  it("are those of a file beside those that are typed", function()
    local dir = tempdir.new()
    local path = dir .. "/list"
    finally(function() tempdir.remove(dir) end)
    tempdir.write(path, "# mine\r\n prod-a \r\n\nprod-b # the second\ntest")
    assert.same({ "prod-a", "prod-b", "test" }, chosen.words_of(path))
    local args = args_of({ "test" }, { cluster_file = path })
    for _ = 1, 2 do
      assert.same({ CLUSTERS[3].id, CLUSTERS[1].id, CLUSTERS[2].id },
        (assert(chosen.ids(client, args))))
    end
    local function refused(code, more)
      more.cluster_file = path
      local none, _, err = chosen.ids(client, args_of({}, more))
      assert.same({ nil, code }, { none, err.code })
      return err.message
    end
    refused("INVALID_ARGUMENT", { all = true })
    tempdir.write(path, "# none\n")
    assert.equal("the list of clusters is empty", refused("INVALID_ARGUMENT", {}))
    assert.same({}, chosen.words_of(path))
    os.remove(path)
    refused("FILE_ERROR", {})
    tempdir.write(path, ("x"):rep(1024 * 1024 + 1))
    refused("FILE_ERROR", {})
  end)

  it("are those of a file as PowerShell writes it", function()
    local dir = tempdir.new()
    local path = dir .. "/list"
    finally(function() tempdir.remove(dir) end)
    tempdir.write(path, "\239\187\191prod-a\r\n# prod\r\ntest\r\n")
    assert.same({ "prod-a", "test" }, chosen.words_of(path))
    tempdir.write(path, "\255\254" .. ("prod-a\r\ntest\r\n"):gsub(".", "%0\0"))
    assert.same({ "prod-a", "test" }, chosen.words_of(path))
    tempdir.write(path, "\255\254p\0r")
    local none, message, err = chosen.words_of(path)
    assert.same({ nil, "FILE_ERROR" }, { none, err.code })
    assert.matches("it is UTF-16 that is cut off", message, 1, true)
  end)

  it("that the cloud or they themselves lack the call for are refused", function()
    local apart = { id = CLUSTERS[1].id, name = "apart", autopilot = true }
    local one = client_with { apart, CLUSTERS[2] }
    local function code(...) return (select(3, ...)).code end
    assert.equal("UNSUPPORTED", code(chosen.ids(one, args_of { "apart" }, "revoke_cert")))
    assert.equal("UNSUPPORTED", code(chosen.one(one, "apart", "revoke_cert")))
    assert.equal(apart.id, chosen.one(one, "apart").id)
    assert.equal(CLUSTERS[2].id, chosen.one(one, "prod-b", "revoke_cert").id)
    -- Before they are looked for.
    one.config.cloud, one.list_clusters = "otc", nil
    assert.equal("UNSUPPORTED", code(chosen.ids(one, args_of { "prod-b" }, "revoke_cert")))
    assert.equal("UNSUPPORTED", code(chosen.one(one, "prod-b", "revoke_cert")))
  end)

  it("of CCE Autopilot are looked for when a name is not that of another", function()
    local asked, apart = {}, { id = "c9", name = "apart", autopilot = true }
    local one = client_with {}
    function one.list_clusters(_, opts)
      asked[#asked + 1] = opts ~= nil and opts.autopilot
      return { CLUSTERS[1], opts and apart or nil }
    end
    assert.equal(CLUSTERS[1].id, chosen.one(one, "prod-a").id)
    assert.equal(CLUSTERS[1].id, chosen.one(one, CLUSTERS[1].id).id)
    assert.same({ false, false }, asked)
    assert.same({ CLUSTERS[1].id, "c9" }, (chosen.ids(one, args_of { "prod-a", "apart" })))
    assert.same({ false, false, false, true }, asked)
  end)

  it("that no cluster fits are an error, unless all are meant", function()
    local _, message, err = chosen.ids(client, args_of({}, { name = "x-*", status = "Gone",
      cluster_version = "v1.1" }))
    assert.equal("no cluster fits --name 'x-*' --version 'v1.1' --status 'Gone'", message)
    assert.equal("NOT_FOUND", err.code)
    assert.same({}, (chosen.ids(client_with {}, args_of({}, { all = true }))))
  end)

  it("are not all when none is named", function()
    local ids, message, err = chosen.ids(client, args_of {})
    assert.is_nil(ids)
    assert.matches("no cluster is named", message, 1, true)
    assert.matches("--all", err.hint, 1, true)
    assert.equal("INVALID_ARGUMENT", err.code)
    assert.equal(5, #chosen.list(client, args_of {}))
  end)

  it("are not chosen in two ways", function()
    for _, args in ipairs { args_of({ "test" }, { name = "x" }),
      args_of({ "test" }, { all = true }),
      args_of({}, { all = true, status = "Available" }) } do
      assert.equal("INVALID_ARGUMENT", select(3, chosen.ids(client, args)).code)
    end
  end)

  it("of one name are an error that lists them", function()
    local one, message, err = chosen.one(client, "twin")
    assert.is_nil(one)
    assert.matches(CLUSTERS[4].id, message, 1, true)
    assert.matches(CLUSTERS[5].id, message, 1, true)
    assert.equal("INVALID_ARGUMENT", err.code)
    assert.equal(CLUSTERS[5], chosen.one(client, CLUSTERS[5].id).cluster)
  end)

  it("that are not there are an error with the nearest name", function()
    local _, message, err = chosen.one(client, "prod-aa")
    assert.equal("there is no cluster 'prod-aa'", message)
    assert.matches("prod-a", err.hint, 1, true)
    assert.equal("NOT_FOUND", err.code)
  end)

  it("may be named by id where they may not be listed", function()
    local denied = client_with(nil, errors.new("PERMISSION_DENIED", "no"))
    assert.same({ CLUSTERS[1].id }, chosen.ids(denied, args_of { CLUSTERS[1].id }))
    assert.equal("PERMISSION_DENIED", select(3, chosen.one(denied, "prod-a")).code)
    local down = client_with(nil, errors.new("TIMEOUT", "no"))
    assert.equal("TIMEOUT", select(3, chosen.one(down, CLUSTERS[1].id)).code)
  end)
end)
