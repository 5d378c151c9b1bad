-- What counts as a rotation of a cluster, one term wrong at a time.
local evidence = require "cce.workflow.rotate.evidence"
local jobs = require "cce.api.job"
local times = require "cce.base.times"

local SENT = 1767323045
local CLUSTER = "c1"

local function job(more)
  more = more or {}
  return jobs.new { metadata = { uid = more.id or "new",
    creationTimestamp = more.created ~= false and times.format(more.created or SENT + 1) or nil },
    spec = { type = more.type or "RotateClusterCredentials", clusterUID = more.cluster or CLUSTER },
    status = { phase = more.phase or "Running" } }
end

local function trace(more)
  local one = { id = "t", name = "RotateClusterCredentials", ok = true, time = SENT + 1,
    resource_id = CLUSTER, user = { name = "jane" } }
  for name, value in pairs(more or {}) do one[name] = value end
  return one
end

-- An item whose cluster names a job, and of which CTS knows some traces, or (nil) does not
-- answer.
local function item(shown, traces, more)
  local client = { clock_shift = 0, show_job = function(_, id)
    assert(id, "a job without an id was asked for")
    return shown and shown.id == id and shown or nil
  end }
  function client.list_traces(_, asked)
    client.asked = asked
    if not traces then return nil, "no answer", { code = "TIMEOUT", message = "no answer" } end
    traces.window = traces.window or { complete = true }
    return traces
  end
  function client.show_cluster()
    return { raw = { status = { jobID = shown and shown.id } } }
  end
  local one = { id = CLUSTER, client = client, sent = SENT, job_before = "old" }
  for name, value in pairs(more or {}) do one[name] = value end
  return one
end

local function shows(...) return (evidence.of_request(item(...))) end

describe("evidence that a rotation was accepted", function()
  it("is the job that the cluster names", function()
    assert.same({ "status.jobID", "new" }, { evidence.of_request(item(job())) })
    -- The cloud's clock may be a little behind.
    assert.equal("status.jobID", shows(job { created = SENT - 120 }))
    -- An intent of which it is not known when it was sent.
    local unsent = item(job { created = 1 })
    unsent.sent = nil
    assert.equal("status.jobID", (evidence.of_request(unsent)))
  end)

  it("is no job where the cluster names none, and none that cannot be looked at", function()
    for what, raw in pairs { ["no status"] = {}, ["a status that is none"] = { status = "x" },
      ["none"] = { status = {} }, ["an empty one"] = { status = { jobID = "" } },
      ["one that is no text"] = { status = { jobID = 7 } } } do
      assert.is_nil(evidence.job_id_of { raw = raw }, what)
    end
    assert.is_nil(evidence.job_id_of {})
    local one = item(job())
    one.client.show_job = function() end
    assert.is_nil((evidence.of_request(one)))
    local odd = job()
    odd.raw.metadata = "x"
    assert.is_nil(shows(odd))
  end)

  it("is no job", function()
    for what, one in pairs {
      ["of before the request"] = job { id = "old" },
      ["older than the request"] = job { created = SENT - 121 },
      ["without a time"] = job { created = false },
      ["that does something else"] = job { type = "UpgradeCluster" },
      ["of another cluster"] = job { cluster = "c2" },
    } do
      assert.is_nil(shows(one), what)
    end
    assert.is_nil(shows(nil))
  end)

  it("is a trace of it in CTS", function()
    assert.equal("CTS trace t", shows(nil, { trace() }))
    assert.equal("CTS trace t", shows(nil, { trace { name = "RotateCredentials" } }))
    assert.equal("CTS trace t", shows(nil, { trace { time = SENT - 2 } }))
    -- Even when the cluster cannot be looked at, and as far as CTS can be.
    local one = item(nil, { trace() })
    one.client.show_cluster = function() end
    assert.equal("CTS trace t", (evidence.of_request(one)))
    assert.same({ service = "CCE", resource_id = CLUSTER, from = SENT - 2, partial = true },
      one.client.asked)
    one.sent = nil
    assert.is_nil((evidence.of_request(one)))
  end)

  it("names its job where the trace has the answer", function()
    for _, case in ipairs { { '{"jobid":"j1"}', "j1" }, { { jobid = "j1" }, "j1" }, { "{}" },
      { '{"jobid":7}' }, { '{"jobid":"../j"}' }, { "cut of" }, { 7 } } do
      assert.same({ "CTS trace t", case[2] },
        { evidence.of_request(item(nil, { trace { raw = { response = case[1] } } })) })
    end
  end)

  it("is no trace", function()
    for what, one in pairs {
      ["of something else"] = trace { name = "updateCluster" },
      ["of an attempt that was refused"] = trace { ok = false },
      ["of another cluster"] = trace { resource_id = "c2" },
      ["older than the request"] = trace { time = SENT - 3 },
      ["without a time"] = trace { time = false },
    } do
      if one.time == false then one.time = nil end
      assert.is_nil(shows(nil, { one }), what)
    end
    assert.is_nil(shows(nil, nil))
  end)

  it("goes by the API's clock", function()
    local late = item(nil, { trace { time = SENT + 500 } })
    late.client.clock_shift = 600
    assert.is_nil((evidence.of_request(late)))
  end)
end)

describe("evidence that somebody rotated since a time", function()
  local function recent(shown, traces, shift)
    local one = item(shown, traces)
    one.client.clock_shift = shift or 0
    return evidence.recent(one, one.client.show_cluster(), SENT)
  end

  it("is a job or a trace, and says who and when", function()
    assert.matches("^rotated at 2026%-01%-02T03:04:06Z by somebody whom CTS does not name, job new"
      .. " %(Running%)$", recent(job()))
    for who, user in pairs { jane = { name = "jane", id = "u" }, u = { id = "u" },
      ["somebody whom CTS does not name"] = {} } do
      assert.equal("rotated at 2026-01-02T03:04:06Z by " .. who,
        recent(nil, { trace { user = user } }))
    end
  end)

  local function told(...)
    local text, problem = recent(...)
    return text and "rotated" or problem and problem.code or "not rotated"
  end

  it("is no job that failed or is older, and no older trace", function()
    assert.equal("not rotated", told(job { phase = "Failed" }, {}))
    assert.equal("not rotated", told(job { created = SENT - 1 }, {}))
    assert.equal("not rotated", told(nil, { trace { time = SENT - 1 } }))
    assert.equal("not rotated", told(nil, {}))
    assert.equal("not rotated", told(nil, { trace { time = SENT + 500 } }, 600))
  end)

  it("cannot be told without CTS, unless the last job of the cluster is older", function()
    assert.equal("rotated", told(job()))
    assert.equal("not rotated", told(job { created = SENT - 1 }))
    assert.equal("not rotated", told(job { created = SENT - 1, type = "UpgradeCluster" }))
    for what, last in pairs { ["a job that failed"] = job { phase = "Failed" },
      ["a newer one of another kind"] = job { type = "UpgradeCluster" },
      ["one without a time"] = job { created = false },
      ["one of another cluster"] = job { created = SENT - 1, cluster = "c2" } } do
      assert.equal("TIMEOUT", told(last), what)
    end
    assert.equal("TIMEOUT", told(nil))
    local cut = { window = { complete = false } }
    assert.equal("UNVERIFIED", told(nil, cut))
    assert.equal("not rotated", told(job { created = SENT - 1 }, cut))
    assert.equal("rotated", told(nil, { trace(), window = { complete = false } }))
  end)

  it("cannot be told where the last job may be told later: CTS is late", function()
    for code, retryable in pairs { TIMEOUT = true, NOT_FOUND = false, PERMISSION_DENIED = false } do
      local one = item(job(), {})
      function one.client.show_job() return nil, "no", { code = code, retryable = retryable } end
      local text, problem = evidence.recent(one, one.client.show_cluster(), SENT)
      assert.same({ nil, retryable and code or nil }, { text, problem and problem.code })
    end
  end)
end)

describe("evidence that a failed job was done over", function()
  local function newer(shown)
    local one = item(shown)
    return evidence.newer_job(one, one.client.show_cluster(), "failed")
  end

  it("is another rotation that runs or succeeded", function()
    assert.equal("new", newer(job()))
    assert.equal("new", newer(job { phase = "Success" }))
    assert.is_nil(newer(job { phase = "Failed" }))
    assert.is_nil(newer(job { id = "failed" }))
    assert.is_nil(newer(job { created = SENT - 121 }))
    assert.is_nil(newer(job { cluster = "c2" }))
  end)

  it("cannot be told when that job cannot be looked at", function()
    local one = item(job())
    function one.client.show_job() return nil, "no", { code = "TIMEOUT" } end
    local id, err = evidence.newer_job(one, one.client.show_cluster(), "failed")
    assert.same({ nil, "TIMEOUT" }, { id, err.code })
  end)
end)
