-- A schedule that the workers of nginx run, several gateways at one etcd.
local cce = require "cce"
local core = require "cce.core"
local etcd = require "spec.support.peer.etcd"
local nginx = require "spec.support.peer.nginx"
local quick = require "spec.support.quick"
local runners = require "spec.support.runners"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

local sys = core.sys

local TOLERANCE = 0.05

local HTTP = "location = /else { return 204; }"

local SETTINGS = [[
%s
init_worker_by_lua_block {
  local cce = require "cce"
  app = app or require "spec.support.peer.nginx_app"
  local file = assert(io.open("events", "a"))
  file:setvbuf "line"
  assert(cce.openresty.schedule {
    store = "etcd:" .. os.getenv "SPEC_PLACE", client_for = app.client, lease = 5,
    concurrency = 4, retry = { base = 0.1, cap = 1, floor = 0.05 },
    on_event = function(event) file:write(require("cce.core").json.encode(event), "\n") end,
  })
}
]]

nginx.describe("a schedule inside nginx", function()
  if not etcd.has_etcd() then return pending "etcd is not installed" end

  local sim, store, schedule, gateways

  before_each(function()
    sim = simulator.get()
    sim:reset()
    store = etcd.start {}
    schedule = assert(cce.schedule.open("etcd:" .. store:place "cce/gateways"))
    gateways = {}
  end)

  after_each(function()
    for _, gateway in ipairs(gateways) do gateway:close() end
    schedule:close()
    store:stop()
    sim:reset()
  end)

  local function start(options)
    options = options or {}
    local env = { SPEC_PLACE = store:place "cce/gateways" }
    for name, value in pairs(sim.env) do env[name] = value end
    local gateway = nginx.start { http = HTTP, settings = SETTINGS:format(options.settings or ""),
      env = env, workers = options.workers or 1 }
    gateways[#gateways + 1] = gateway
    return gateway
  end

  local function add(due, user)
    return assert(schedule:revoke_at(due, { cluster_id = sim.clusters[1].id, user_id = user }))
  end

  local function wait_until_done(count, step)
    nginx.wait_for("the last revocation", function()
      if step then step() end
      return schedule.store:count "done" >= count
    end)
  end

  local function no_complaints()
    for _, gateway in ipairs(gateways) do assert.equal("", gateway:complaints()) end
  end

  local function events()
    local list = {}
    for _, gateway in ipairs(gateways) do
      for _, event in ipairs(runners.logged(gateway.dir .. "/events")) do
        list[#list + 1] = event
      end
    end
    return list
  end

  it("does what is due, on time, and logs what fails", function()
    local gateway = start()
    local due = sys.time() + 0.5
    add(due, "u1")
    local bad = assert(schedule:revoke_at(due, { cluster_id = "gone", user_id = "u2" }))
    wait_until_done(1)
    -- It is told once it is in the store.
    nginx.wait_for("the failure", function()
      return gateway:log():find("%[warn%][^\n]*cce schedule: failed id=" .. bad
        .. "[^\n]*NOT_FOUND")
    end)
    nginx.wait_for("its next try", function()
      return schedule:get(bad).state == "failed-retrying"
    end)
    local time = runners.accepted(sim).u1[1]
    assert.is_true(time >= due - TOLERANCE, time - due)
    no_complaints()
  end)

  it("costs an idle worker nothing when it ends #long", function()
    local count = 0
    assert.is_true(quick(nginx.is_checked and 20 or 0.4, function()
      local gateway = start { workers = 2 }
      -- Something was done before: engines and their threads are there.
      count = count + 1
      add(sys.time(), "u" .. count)
      wait_until_done(count)
      sys.sleep(0.3)
      local code, seconds = gateway:quit()
      assert.equal(0, code)
      return seconds
    end))
    no_complaints()
  end)

  it("ends at once although etcd does not answer #long", function()
    assert.is_true(quick(nginx.is_checked and 20 or 0.5, function()
      local gateway = start()
      sys.sleep(0.2)
      store:signal "SIGSTOP"
      sys.sleep(3.5)
      local code, seconds = gateway:quit()
      store:signal "SIGCONT"
      assert.equal(0, code)
      return seconds
    end))
    no_complaints()
  end)

  it("ends what is being sent, gives back the rest, and begins nothing new", function()
    sim:fault { operation = "revoke_cert", delay = 0.5 }
    for i = 1, 30 do add(sys.time() - 1, "u" .. i) end
    local gateway = start()
    nginx.wait_for("the first ones", function()
      return #sim:log { operation = "revoke_cert" } >= 4
    end)
    assert.equal(0, (gateway:quit()))
    assert.equal(0, #schedule.store:held(nil, 10))
    assert.equal(0, store:count "cce/gateways/runners/")
    local done = schedule.store:count "done"
    assert.equal(done, #sim:log { operation = "revoke_cert", accepted = true })
    assert.is_true(done >= 4 and done < 30, done)
    no_complaints()
  end)

  it("works while the cache of code is off", function()
    start { settings = "lua_code_cache off;" }
    add(sys.time(), "u1")
    wait_until_done(1)
    assert.equal(1, #runners.accepted(sim).u1)
  end)

  it("refuses a file, and says where to keep it instead", function()
    local gateway = nginx.start { settings = [[
      init_worker_by_lua_block {
        assert(require("cce").openresty.schedule {
          store = "sqlite:/tmp/schedule.db", client_for = function() end })
      }
    ]] }
    gateways[1] = gateway
    assert.is_number(nginx.wait_for("the refusal", function()
      return gateway:log():find("in etcd", 1, true)
    end))
  end)

  -- Asks for another location until a condition holds. How many times as long as an nginx
  -- that has nothing to do, asked right after, it took to answer: of each, the ninth of ten.
  local function slowness(gateway, condition)
    local idle = nginx.start { http = "location = /else { return 204; }" }
    gateways[#gateways + 1] = idle
    local busy, calm = {}, {}
    local function ask(server, list)
      local begun = sys.monotonic()
      assert.equal(204, server:get("/else").status)
      list[#list + 1] = sys.monotonic() - begun
    end
    repeat
      ask(gateway, busy)
      ask(idle, calm)
    until condition()
    table.sort(busy)
    table.sort(calm)
    return busy[math.ceil(#busy * 0.9)] / calm[math.ceil(#calm * 0.9)], #busy
  end

  -- What a reload stopped right before it left is done by another worker, and what a worker
  -- had whose lease a slow machine let end. Under a checker any call may be too late.
  local function is_ordinary(event)
    if nginx.is_checked then
      return event.code ~= "INTERNAL" and event.type ~= "missed" and event.type ~= "quarantined"
    end
    return event.type == "done" or event.type == "resent" or event.type == "lease_lost"
      or event.code == "LEASE_LOST" or event.code == "CANCELLED"
  end

  -- Three gateways of two workers, one reload of each in the middle.
  local function storm(count, spread, delay)
    for _ = 1, 3 do start { workers = 2 } end
    sim:fault { operation = "revoke_cert", delay = delay }
    local due, ids, now = {}, {}, sys.time()
    for i = 1, count do
      due["u" .. i] = now + 0.5 + math.random() * spread
      ids["u" .. i] = add(due["u" .. i], "u" .. i)
    end
    local reloaded = 0
    local ratio, asked = slowness(gateways[1], function()
      local done = schedule.store:count "done"
      if reloaded < 3 and done >= count * (reloaded + 1) / 4 then
        reloaded = reloaded + 1
        gateways[reloaded]:signal "SIGHUP"
      end
      return done >= count and reloaded == 3
    end)
    local accepted = runners.accepted(sim)
    -- What a busy machine cut off is sent again, and told.
    local resent = {}
    for _, event in ipairs(events()) do
      if event.type == "resent" then resent[event.id] = (resent[event.id] or 0) + 1 end
    end
    for user, time in pairs(due) do
      local times = #(accepted[user] or {})
      assert.is_true(times >= 1 and times <= 1 + (resent[ids[user]] or 0), user)
      assert.is_true(accepted[user][1] >= time - TOLERANCE, user)
    end
    assert.equal(3, reloaded)
    assert.equal(0, #schedule.store:held(nil, 10))
    for _, event in ipairs(events()) do
      assert.is_true(is_ordinary(event), core.json.encode(event))
    end
    no_complaints()
    return ratio, asked
  end

  it("loses nothing in a reload", function() storm(60, 2, 0.05) end)

  it("loses nothing of 1,000 in reloads, and delays no other request #long", function()
    local ratio, asked = storm(1000, 20, 0.1)
    assert.is_true(ratio < 10, ("%.1f times of an idle one, %d requests"):format(ratio, asked))
  end)

  it("needs little memory", function()
    local gateway = start()
    for i = 1, 40 do add(sys.time(), "u" .. i) end
    wait_until_done(40)
    assert.is_true(nginx.is_checked or nginx.resident(gateway:workers()[1]) < 30 * 1024,
      nginx.resident(gateway:workers()[1]) .. " KiB")
    tempdir.read(gateway.dir .. "/events")
  end)
end)
