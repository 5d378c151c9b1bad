-- Every kind of answer, to each workflow and to a schedule: what becomes of the item, whether the
-- run is open, the exit code, and what the same call does next, when the cause is mended.
local cce = require "cce"
local clients = require "spec.support.clients"
local core = require "cce.core"
local runs = require "cce.workflow.runs"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

local OPERATION = { rotate = "rotate_credentials", revoke = "revoke_cert", issue = "obtain_cert" }

local UNAUTHENTICATED = '{"error_code":"APIGW.0301","error_msg":"Incorrect IAM authentication"}'
local THROTTLED = '{"error_code":"APIGW.0308","error_msg":"throttled"}'
local LOCKED = '{"errorCode":"CCE.01429002","errorMessage":"Resource locked by other requests."}'

-- state, code; state of the second call, its code, and how many requests it sends.
local OK = { "ok", 0, "ok", 3, 0 }
local FOR_GOOD = { "failed", 1, "failed", 1, 0 }
local PENDING = { "pending", 2, "ok", 0, 1 }
local UNKNOWN = { "uncertain", 2, "uncertain", 2, 0 }
-- What may be sent again is.
local SENT_AGAIN = { "uncertain", 2, "ok", 0, 1 }

-- A fault of the request, or settings of the cluster; then what each workflow makes of it.
local ANSWERS = {
  { "200", rotate = OK, revoke = OK, issue = OK },
  { "400", fault = { status = 400 }, rotate = FOR_GOOD, revoke = FOR_GOOD, issue = FOR_GOOD },
  { "404", fault = { status = 404 }, rotate = FOR_GOOD, revoke = FOR_GOOD, issue = FOR_GOOD },
  { "401 of the gateway", fault = { status = 401, body = UNAUTHENTICATED },
    rotate = PENDING, revoke = PENDING, issue = PENDING },
  { "403", fault = { status = 403 }, rotate = PENDING, revoke = PENDING, issue = PENDING },
  { "409", fault = { status = 409 }, rotate = PENDING, revoke = PENDING, issue = PENDING },
  { "429 throttled", fault = { status = 429, body = THROTTLED },
    rotate = PENDING, revoke = PENDING, issue = PENDING },
  { "429 locked", fault = { status = 429, body = LOCKED },
    rotate = PENDING, revoke = PENDING, issue = PENDING },
  { "500", fault = { status = 500 }, rotate = UNKNOWN, revoke = SENT_AGAIN, issue = PENDING },
  { "500 although it was done", fault = { status = 500, applied = true },
    rotate = OK, revoke = SENT_AGAIN, issue = PENDING },
  { "a reset before", fault = { reset = "before" },
    rotate = UNKNOWN, revoke = SENT_AGAIN, issue = PENDING },
  { "a reset after", fault = { reset = "after" },
    rotate = OK, revoke = SENT_AGAIN, issue = PENDING },
  { "a cluster that hibernates", cluster = { phase = "Hibernation" },
    rotate = PENDING, revoke = PENDING, issue = PENDING },
  { "a cluster that is too old", cluster = { version = "v1.17.9-r0" },
    rotate = { "skipped", 1, "skipped", 1, 0 }, revoke = FOR_GOOD, issue = OK },
  { "a job that fails", cluster = { job_outcome = "Failed" }, rotate = FOR_GOOD },
}

local GOOD = { phase = "Available", job_outcome = "Success" }

describe("an answer", function()
  local sim, dir, opened

  setup(function() sim = simulator.get() end)

  before_each(function()
    sim:reset()
    sim:set { job_seconds = 0 }
    dir, opened = tempdir.new(), {}
  end)

  after_each(function()
    for _, client in ipairs(opened) do client:close() end
    tempdir.remove(dir)
  end)

  -- Each call is another process: keys that were refused are mended in between.
  local function new_client()
    local client = clients.new(sim, { retry = { max_attempts = 1 }, endpoints = {
      cce = sim.env.CCE_ENDPOINT, iam = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT,
      sts = sim.env.HUAWEICLOUD_SDK_STS_ENDPOINT } })
    client.sleep = function() cce.sleep(0.01) end
    opened[#opened + 1] = client
    return client
  end

  local function break_it(answer, operation)
    if answer.fault then
      local fault = { operation = operation, cluster = sim.clusters[1].id }
      for name, value in pairs(answer.fault) do fault[name] = value end
      sim:fault(fault)
    end
    if answer.cluster then sim:set(answer.cluster) end
  end

  -- The version of a cluster is nothing that somebody mends meanwhile.
  local function mend(answer)
    sim:clear_faults()
    if answer.cluster and not answer.cluster.version then sim:set(GOOD) end
  end

  local function call(workflow)
    local opts = { clusters = { sim.clusters[1].id }, journal = dir .. "/journal" }
    if workflow == "rotate" then
      opts.rate_limit, opts.wait = false, { interval = 0.01, timeout = 5 }
    elseif workflow == "revoke" then
      opts.rate_limit, opts.user_id = false, simulator.member.principal.id
    else
      opts.dir, opts.duration = dir .. "/out", 1
    end
    return assert(cce.workflow[workflow](new_client(), opts))
  end

  local function state_of(report)
    assert.equal(1, report:counts().total)
    for _, bucket in ipairs { "ok", "failed", "skipped", "uncertain", "pending" } do
      if #report[bucket] == 1 then return bucket end
    end
  end

  for _, answer in ipairs(ANSWERS) do
    for workflow, operation in pairs(OPERATION) do
      local expected = answer[workflow]
      if expected then
        it(("of %s to %s"):format(answer[1], workflow), function()
          break_it(answer, operation)
          local first = call(workflow)
          assert.same({ expected[1], expected[2] }, { state_of(first), first:exit_code() },
            tostring(first))
          local is_open = expected[1] == "pending" or expected[1] == "uncertain"
          assert.equal(is_open, assert(runs.list(dir .. "/journal"))[1].open)
          mend(answer)
          local sent = #sim:log { operation = operation }
          local second = call(workflow)
          assert.same({ expected[3], expected[4], expected[5] }, { state_of(second),
            second:exit_code(), #sim:log { operation = operation } - sent }, tostring(second))
          if not is_open then assert.is_number(second.already_finished) end
        end)
      end
    end
  end

  -- An occurrence is done when its run is closed with every cluster ok that can be rotated.
  for _, answer in ipairs(ANSWERS) do
    it(("of %s to a rotation that recurs"):format(answer[1]), function()
      local expected = answer.rotate
      local ahead = 0
      local schedule = assert(cce.schedule.open("sqlite:" .. dir .. "/schedule.db",
        { clock = function() return core.sys.time() + ahead end }))
      finally(function() schedule:close() end)
      local id = assert(schedule:rotate_every("1w", { cluster_id = sim.clusters[1].id,
        first = core.sys.time() - 5, rate_limit = false, wait = { interval = 0.01, timeout = 5 } }))
      local function run()
        return assert(schedule:run(new_client, { once = true, journal_dir = dir }))
      end
      break_it(answer, "rotate_credentials")
      local is_done = expected[2] == 0 or expected[1] == "skipped"
      local result = run()
      assert.same({ is_done and 1 or 0, is_done and 0 or 1 }, { result.done, result.overdue })
      assert.equal(is_done and "pending" or "failed-retrying", schedule:get(id).state)
      mend(answer)
      ahead = 7200
      local sent = #sim:log { operation = "rotate_credentials" }
      result = run()
      local was_done = not is_done and expected[4] == 0
      assert.equal(was_done and 1 or 0, result.done)
      assert.equal((is_done or was_done) and 0 or 1, result.overdue)
      assert.equal(is_done and 0 or expected[5],
        #sim:log { operation = "rotate_credentials" } - sent)
    end)
  end
end)
