local simulator = require "spec.support.sim"

if not simulator.has_program("curl") then
  describe("the simulator's policy", function()
    pending("is tried by the curl command, which is not installed")
  end)
  return
end

describe("the simulator's policy", function()
  local sim, cluster

  before_each(function()
    sim = simulator.get()
    sim:reset()
    cluster = sim.clusters[1]
  end)

  local function list()
    return sim:curl({ method = "GET", path = sim:path() })
  end

  local function projects(query)
    return sim:curl({ method = "GET", path = "/v3/projects" .. (query or ""),
      url = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT })
  end

  it("denies an action, and names it", function()
    sim:policy({ deny = { "cce:cluster:rotateCredentials" } })
    local answer = sim:rotate(cluster)
    assert.equal(403, answer.status)
    assert.equal("CCE.01403001", answer.json.errorCode)
    assert.matches("cce:cluster:rotateCredentials", answer.json.message)
    assert.equal(200, list().status)
    sim:policy({ deny = {} })
    assert.equal(200, sim:rotate(cluster).status)
  end)

  it("denies in IAM's own form there", function()
    sim:policy({ deny = { "iam:projects:listProjects" } })
    local answer = projects()
    assert.equal(403, answer.status)
    assert.matches("iam:projects:listProjects", answer.json.error.message)
  end)

  it("has the projects that it is given", function()
    local function ids(query)
      local found = {}
      for i, entry in ipairs(projects(query).json.projects) do found[i] = entry.id end
      return table.concat(found, " ")
    end
    local own = sim.project_id .. " " .. simulator.account.central.project_id
    assert.equal(own, ids())
    sim:policy({ projects = { { id = "p1", name = "a" }, { id = "p2", name = "b" },
      { id = "p3", name = "a" } } })
    assert.equal("p1 p2 p3", ids())
    assert.equal("p1 p3", ids("?name=a"))
    assert.equal("", ids("?name=c"))
    sim:reset()
    assert.equal(own, ids())
  end)

  it("throttles by a window that slides", function()
    sim:policy({ throttle = { limit = 2, seconds = 300 } })
    assert.equal(200, list().status)
    sim:clock(200)
    assert.equal(200, list().status)
    local answer = list()
    assert.equal(429, answer.status)
    assert.equal("APIGW.0308", answer.json.error_code)
    assert.matches("limit:2,time:5 minute$", answer.json.error_msg)
    sim:clock(301)
    assert.equal(200, list().status)
    assert.equal(429, list().status)
  end)

  it("says the time of its own clock", function()
    sim:clock(7200)
    local date = projects().headers.date
    assert.matches("^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$", date)
    assert.equal(tonumber(os.date("!%H", os.time() + 7200)), tonumber(date:match(" (%d%d):")))
  end)

  it("refuses settings that it does not know", function()
    for _, settings in ipairs({ { nonsense = 1 }, { deny = 5 }, { projects = { { id = "x" } } },
      { throttle = { limit = 2 } } }) do
      assert.has_error(function() sim:policy(settings) end)
    end
  end)
end)
