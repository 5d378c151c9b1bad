local jobs = require "cce.api.job"

local function raw(changes)
  local job = {
    kind = "Job",
    metadata = { uid = "j-1" },
    spec = { type = "RotateClusterCredentials", clusterUID = "c-1", resourceName = "prod" },
    status = { phase = "Running" },
  }
  for name, value in pairs(changes or {}) do job[name] = value end
  return job
end

local function sub_job(name, phase, reason, sub_jobs)
  return {
    metadata = { uid = "s-" .. name }, spec = { resourceName = name, subJobs = sub_jobs },
    status = { phase = phase, reason = reason },
  }
end

describe("cce.job", function()
  it("is what the API said, in our names", function()
    local answer = raw()
    local job = jobs.new(answer)
    assert.equal("j-1", job.id)
    assert.equal("RotateClusterCredentials", job.type)
    assert.equal("c-1", job.cluster_id)
    assert.equal("prod", job.name)
    assert.equal("Running", job.phase)
    assert.is_nil(job.reason)
    assert.same({}, job.sub_jobs)
    assert.equal(answer, job.raw)
    assert.equal("job j-1: Running (RotateClusterCredentials)", tostring(job))
  end)

  local ended = { Initializing = false, Running = false, Success = true, Failed = true }
  for phase, expected in pairs(ended) do
    it(phase .. (expected and " has" or " has not") .. " ended", function()
      assert.equal(expected, jobs.new(raw { status = { phase = phase } }):ended())
    end)
  end

  it("is a rotation by a type that names one, or credentials", function()
    for kind, expected in pairs { RotateClusterCredentials = true, ROTATE = true,
      ["cluster rotation"] = true, UpdateCredential = true, DeleteNode = false, [""] = false } do
      assert.equal(expected, jobs.new(raw { spec = { type = kind } }):is_rotation(), kind)
    end
    assert.is_false(jobs.started "j-2":is_rotation())
  end)

  it("finds what failed at any depth", function()
    local job = jobs.new(raw {
      status = { phase = "Failed", reason = "2 of 4" },
      spec = { subJobs = {
        sub_job("one", "Success"),
        sub_job("two", "Failed", "node is gone", { sub_job("three", "Failed") }),
        sub_job("four", "Success", nil, { sub_job("five", "Failed", "too late") }),
      } },
    })
    local names = {}
    for i, failure in ipairs(job:failures()) do names[i] = failure.name end
    assert.same({ "two", "three", "five" }, names)
    assert.equal("job j-1: Failed: 2 of 4\n  sub-job two failed: node is gone\n"
      .. "  sub-job three failed: no reason given\n  sub-job five failed: too late", tostring(job))
  end)

  local odd = {
    {}, { metadata = "x", spec = 5, status = false },
    { metadata = {}, spec = { subJobs = "none" }, status = { phase = 5, reason = {} } },
    { metadata = { uid = "" }, spec = { subJobs = { 1, "x", false } }, status = { phase = "" } },
  }
  for i, answer in ipairs(odd) do
    it("survives an odd answer, " .. i, function()
      local job = jobs.new(answer)
      assert.is_nil(job.id)
      assert.is_nil(job.phase)
      assert.is_false(job:ended())
      assert.same({}, job:failures())
      assert.is_string(tostring(job))
    end)
  end

  it("prints a failed sub-job of which nothing is known", function()
    local job = jobs.new(raw { spec = { subJobs = { { status = { phase = "Failed" } } } } })
    assert.equal("job j-1: Running\n  sub-job without id failed: no reason given", tostring(job))
  end)

  it("prints when only its id is known", function()
    local job = jobs.started "j-2"
    assert.equal("j-2", job.id)
    assert.is_false(job:ended())
    assert.equal("job j-2: started", tostring(job))
  end)
end)
