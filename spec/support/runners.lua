--- What the specs of a schedule's runner share: schedules in a scratch directory, clients that
-- answer as told, a store that fails when told, time that passes faster, and runners that are
-- processes of their own, to be stopped and killed.
local cce = require "cce"
local core = require "cce.core"
local host = require "cce.host"
local hosts = require "spec.support.hosts"
local tempdir = require "spec.support.tempdir"

local M = {}

M.cluster = "c1050000-0000-4000-8000-000000000001"

--- A new directory; in memory where there is such a place, since nothing here is about disks.
function M.dir()
  return tempdir.shell("mktemp -d -p /dev/shm || mktemp -d"):match "(/%C+)\n$"
end

--- A schedule in a new directory; `:close()` and tempdir.remove(its dir) are the spec's.
function M.sqlite(opts)
  local dir = M.dir()
  return assert(cce.schedule.open("sqlite:" .. dir .. "/schedule.db", opts)), dir
end

--- A client that the runner takes for one: `answer(cluster_id, opts)` is its revoke_cert, after
-- before_send was asked.
function M.client(answer)
  local client = { config = { project_id = "p1" }, clock_shift = 0, sent = {} }
  function client.now() return core.sys.time() + client.clock_shift end
  function client.show_cluster(_, id)
    return { id = id, status = "Available" }
  end
  function client.revoke_cert(self, cluster_id, opts)
    local seconds, why, err = opts.before_send(cluster_id)
    if not seconds then
      err = err or require("cce.error").new("CANCELLED", why, { retryable = true })
      return nil, err.message, err
    end
    self.sent[#self.sent + 1] = { cluster_id = cluster_id, user_id = opts.user_id,
      agency_id = opts.agency_id, seconds = seconds, at = core.sys.time() }
    if answer then return answer(cluster_id, opts) end
    return true, nil, nil, "request-" .. #self.sent
  end
  return client
end

--- Events of a run: a list, by type too.
function M.events()
  local events = { by_type = {} }
  function events.on_event(event)
    events[#events + 1] = event
    local list = events.by_type[event.type] or {}
    events.by_type[event.type] = list
    list[#list + 1] = event
  end
  function events.of(what) return events.by_type[what] or {} end
  return events
end

--- Options of schedule.open for time that passes only while a schedule sleeps, `factor` times
-- as long as it asks for: no machine is too busy for that. And what makes it sleep so.
function M.fast(factor)
  local start, passed = core.sys.time(), 0
  return { clock = function() return start + passed end,
    steady = function() return 1000 + passed end },
    function(seconds)
      passed = passed + seconds * factor
      host.sleep(0.0005)
    end
end

--- Puts a store between a schedule and its own, whose functions `fail(name, ...)` can make fail:
-- it returns nil for "as usual", "before" for "not done", "after" for "done, but the answer is
-- lost".
function M.break_store(schedule, fail)
  local store = schedule.store
  local errors = require "cce.error"
  local function lost(name)
    return errors.fail("STORE_UNAVAILABLE", name .. ": the spec keeps the store away",
      { retryable = true })
  end
  schedule.store = setmetatable({}, { __index = function(_, name)
    return function(_, ...)
      local when = fail(name, ...)
      if when == "before" then return lost(name) end
      if when ~= "after" then return store[name](store, ...) end
      store[name](store, ...)
      return lost(name)
    end
  end })
  return store
end

-- ---- runners that are processes -----------------------------------------------------------

local CHILD = [[
  local cce = require "cce"
  local core = require "cce.core"
  local file = assert(io.open(%q, "a"))
  file:setvbuf "line"
  local schedule, why
  -- Its store may be away just now.
  for _ = 1, 600 do
    schedule, why = cce.schedule.open(%q)
    if schedule then break end
    core.sys.sleep(0.05)
  end
  assert(schedule, why)
  local client = assert(cce.new { endpoint = os.getenv "CCE_ENDPOINT", proxy = false,
    ca_file = os.getenv "CCE_CA_FILE", retry = { base = 0.01, cap = 0.1, max_attempts = %d },
    timeout = 5, connect_timeout = 2 })
  -- Not before it has taken the signals: a kill that comes sooner is none of its own.
  local is_told = false
  local function stop()
    if not is_told then file:write '{"type":"started"}\n' end
    is_told = true
    return false
  end
  local result, message = schedule:run(function() return client end, { lease = %d,
    concurrency = %d, runner = %q, %s retry = { base = 0.1, cap = 1, floor = 0.05 }, stop = stop,
    on_event = function(event) file:write(core.json.encode(event), "\n") end })
  print(result and core.json.encode(result) or message)
  os.exit(result and 0 or 1)
]]

--- Starts one. opts: where, log (path of its events), name, lease, concurrency, attempts (of its
-- client, for one request), mode (text of further options).
function M.child(sim, opts)
  return hosts.script(sim, CHILD:format(opts.log, opts.where, opts.attempts or 2, opts.lease or 5,
    opts.concurrency or 5, opts.name, opts.mode or ""))
end

--- The events that runners wrote. A last line that a kill tore is left out.
function M.logged(path)
  local events = {}
  for line in (tempdir.read(path) or ""):gmatch "([^\n]*)\n" do
    events[#events + 1] = core.json.decode(line)
  end
  return events
end

--- What the simulator accepted: user id → the times of his revocations.
function M.accepted(sim)
  local times = {}
  for _, entry in ipairs(sim:log { operation = "revoke_cert", accepted = true }) do
    local user = core.json.decode(entry.body).userId
    times[user] = times[user] or {}
    table.insert(times[user], entry.time)
  end
  return times
end

return M
