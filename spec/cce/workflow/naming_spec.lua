local naming = require "cce.workflow.naming"

local function target(name, id, region, project_id)
  return { name = name, id = id, project_id = project_id or "aaaaaaaa0000",
    client = { config = { region = region, endpoints = { cce = "https://cce.x.example.com" } } } }
end

-- The names that targets get; `held`: names that are taken, by cluster id or false.
local function names(targets, held, chosen)
  held = held or {}
  naming.assign(targets, function(name) return held[name] end, function() return nil end, chosen)
  local list = {}
  for i, each in ipairs(targets) do list[i] = each.set end
  return list
end

describe("names of clusters' kubeconfigs", function()
  it("are the clusters' own where nothing else has them", function()
    assert.same({ "prod", "test" }, names { target("prod", "1", "r1"), target("test", "2", "r1") })
  end)

  it("have the region, the project or the id behind them where two are equal", function()
    assert.same({ "prod-r1", "prod-r2" },
      names { target("prod", "1", "r1"), target("prod", "2", "r2") })
    assert.same({ "prod-aaaaaaaa", "prod-bbbbbbbb" },
      names { target("prod", "1", "r1"), target("prod", "2", "r1", "bbbbbbbb0000") })
    assert.same({ "prod-id-1", "prod-id-2" },
      names { target("prod", "id-1", "r1"), target("prod", "id-2", "r1") })
    assert.same({ "prod-12345678-1", "prod-12345678-2" },
      names { target("prod", "12345678-1", "r1"), target("prod", "12345678-2", "r1") })
  end)

  it("come from the endpoint when there is no region", function()
    local client = { config = { endpoints = { cce = "https://cce.r9.example.com" } } }
    local one, two = target("prod", "1"), target("prod", "2", "r2")
    one.client = client
    assert.same({ "prod-r9", "prod-r2" }, names { one, two })
  end)

  it("stay what an earlier run made them", function()
    assert.same({ "prod-r2", "prod" },
      names({ target("prod", "1", "r2"), target("prod", "2", "r1") }, { prod = "2" }))
    assert.same({ "prod" }, names({ target("prod", "1", "r1") }, { prod = "1" }))
  end)

  it("leave to others what is theirs", function()
    assert.same({ "prod-r1" }, names({ target("prod", "1", "r1") }, { prod = false }))
    assert.same({ "prod-r1" }, names({ target("prod", "1", "r1") }, { prod = "9" }))
    local all = { prod = false, ["prod-r1"] = false, ["prod-aaaaaaaa"] = false,
      ["prod-12345678"] = false, ["prod-12345678-1"] = false }
    -- Whoever goes there finds what is in the way.
    assert.same({ "prod-12345678-1" }, names({ target("prod", "12345678-1", "r1") }, all))
    all["prod-12345678"] = nil
    assert.same({ "prod-12345678" }, names({ target("prod", "12345678-1", "r1") }, all))
  end)

  it("can be a file's name whatever the cluster's is", function()
    assert.same({ "etc-passwd", "x" }, names { target("../etc/passwd", "x"), target("x", "y") })
    assert.same({ "id-1" }, names { target("...", "id-1") }[1] and names { target(nil, "id-1") })
  end)

  it("are those that the user chooses", function()
    assert.same({ "mine", "prod" }, names({ target("prod", "1", "r1"), target("prod", "2", "r1") },
      nil, function(each) return each.id == "1" and "mine" or nil end))
  end)
end)
