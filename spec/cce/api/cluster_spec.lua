local clusters = require "cce.api.cluster"

local function raw(id, name, version, phase)
  return {
    kind = "Cluster", metadata = { uid = id, name = name }, spec = { version = version },
    status = { phase = phase },
  }
end

describe("cce.cluster", function()
  it("is what the API said, in our names", function()
    local answer = raw("c-1", "prod", "v1.29", "Available")
    local cluster = clusters.new(answer)
    assert.equal("c-1", cluster.id)
    assert.equal("prod", cluster.name)
    assert.equal("v1.29", cluster.version)
    assert.equal("Available", cluster.status)
    assert.equal(answer, cluster.raw)
    assert.equal("cluster c-1 prod: v1.29, Available", tostring(cluster))
  end)

  it("prints what little is known", function()
    assert.equal("cluster c-1: no version, no status",
      tostring(clusters.new { metadata = { uid = "c-1" } }))
    assert.equal("cluster c-1: no version, no status", tostring(clusters.new {
      metadata = { uid = "c-1", name = {} }, spec = { version = 5 }, status = { phase = false },
    }))
  end)

  it("is none without an id", function()
    local odd = { {}, { metadata = {} }, { metadata = { uid = 5 } }, { metadata = "x" } }
    for _, answer in ipairs(odd) do
      assert.is_nil(clusters.new(answer))
    end
  end)

  it("makes lists that print as tables", function()
    local list = clusters.list({
      clusters.new(raw("c-1", "prod", "v1.29", "Available")),
      clusters.new(raw("c-22", "a-test", nil, "Creating")),
    }, { clusters.new({ metadata = { uid = "c-3" } }, true) })
    assert.equal(3, #list)
    assert.equal("c-22", list[2].id)
    assert.equal(table.concat({
      "NAME    ID    VERSION  STATUS",
      "prod    c-1   v1.29    Available",
      "a-test  c-22           Creating",
      "        c-3            ",
    }, "\n"), tostring(list))
  end)
end)
