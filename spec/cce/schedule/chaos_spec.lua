-- Several runners at one schedule, that are killed and paused at any moment, while etcd comes and
-- goes: nothing is lost, nothing is early, and what was sent twice can be told from the events.
local cce = require "cce"
local core = require "cce.core"
local etcd = require "spec.support.peer.etcd"
local nginx = require "spec.support.peer.nginx"
local runners = require "spec.support.runners"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

local sys = core.sys

-- Seconds after which others take over, and that a paused runner is paused beyond.
local LEASE = 5

local CONCURRENCY = 4

-- The simulator's times are whole milliseconds.
local TOLERANCE = 0.002

local Chaos = {}
Chaos.__index = Chaos

local function new(sim, where, dir)
  return setmetatable({ sim = sim, where = where, dir = dir, children = {}, started = 0,
    schedule = assert(cce.schedule.open(where)), due = {}, ids = {}, most = 0 }, Chaos)
end

--- Adds entries, due at any moment from `from` to `to`, in seconds from now.
function Chaos:add(count, from, to)
  local now = sys.time()
  for i = 1, count do
    local user, due = "user-" .. i, now + from + (to - from) * math.random()
    self.due[user] = due
    self.ids[user] = assert(self.schedule:revoke_at(due, { user_id = user,
      cluster_id = self.sim.clusters[i % #self.sim.clusters + 1].id }))
  end
end

function Chaos:start(slot)
  self.started = self.started + 1
  local log = ("%s/events.%d"):format(self.dir, self.started)
  self.children[slot] = runners.child(self.sim, { where = self.where, name = "runner-" .. slot,
    log = log, lease = LEASE, concurrency = CONCURRENCY, attempts = 1 })
  self.children[slot].log = log
end

local function resident(process)
  local status = tempdir.read(("/proc/%d/status"):format(process:pid())) or ""
  return tonumber(status:match "VmRSS:%s*(%d+)") or 0
end

function Chaos:measure()
  for _, child in pairs(self.children) do
    self.most = math.max(self.most, resident(child.process))
  end
end

function Chaos:kill(slot)
  self:measure()
  self.children[slot].process:signal "SIGKILL"
  self.children[slot]:finish()
  self:start(slot)
end

function Chaos:pause(slot)
  self.children[slot].process:signal "SIGSTOP"
  self.paused, self.resume_at = slot, sys.monotonic() + LEASE + 1
end

function Chaos:resume()
  self.children[self.paused].process:signal "SIGCONT"
  self.paused = nil
end

function Chaos:is_done()
  local count = self.schedule.store:count "done"
  local wanted = 0
  for _ in pairs(self.due) do wanted = wanted + 1 end
  return count == wanted
end

-- Whom to kill: not the one that is paused.
local function victim(self)
  local slot
  repeat slot = math.random(#self.children) until slot ~= self.paused
  return slot
end

--- Lets three runners work, and disturbs them: opts `kill_every`, `pause_every`, `outages` (times
-- of `outage`, seconds after the start), `disturb` (for how long), `limit`, all in seconds.
function Chaos:run(opts)
  for slot = 1, 3 do self:start(slot) end
  local start = sys.monotonic()
  local next_kill, next_pause = start + opts.kill_every, start + opts.pause_every / 2
  local kills, pauses = 0, 0
  while not self:is_done() do
    sys.sleep(0.02)
    local now = sys.monotonic()
    assert(now < start + opts.limit, "not done within the time")
    if self.paused and now >= self.resume_at then self:resume() end
    if now >= next_kill and now < start + opts.disturb then
      self:kill(victim(self))
      kills, next_kill = kills + 1, next_kill + opts.kill_every
    end
    if now >= next_pause and now < start + opts.disturb and not self.paused then
      self:pause(victim(self))
      pauses, next_pause = pauses + 1, now + opts.pause_every
    end
    if opts.outages and opts.outages[1] and now >= start + opts.outages[1] then
      table.remove(opts.outages, 1)
      opts.outage()
    end
  end
  self.kills, self.pauses, self.seconds = kills, pauses, sys.monotonic() - start
end

--- Ends all runners, who must end well.
function Chaos:stop()
  self:measure()
  if self.paused then self:resume() end
  for _, child in ipairs(self.children) do
    nginx.wait_for("a runner", function() return #runners.logged(child.log) > 0 end)
    child.process:signal "SIGTERM"
  end
  for _, child in ipairs(self.children) do
    local code, output, signal = child:finish()
    assert.equal(0, code, signal or output)
  end
end

function Chaos:close()
  for _, child in pairs(self.children) do child.process:close() end
  self.schedule:close()
end

-- What the runners told: how often each entry was sent again, and how many requests may have
-- been cut off by a lease that was lost or an answer that came too late, which a busy machine
-- does as a kill does. No client sends again by itself, so each of these is told.
local function read_events(self)
  local resent, cut_off = {}, 0
  for number = 1, self.started do
    for _, event in ipairs(runners.logged(("%s/events.%d"):format(self.dir, number))) do
      if event.type == "resent" then
        resent[event.id] = (resent[event.id] or 0) + 1
      elseif event.type == "lease_lost" then
        cut_off = cut_off + CONCURRENCY
      elseif event.type == "failed" then
        cut_off = cut_off + 1
      end
    end
  end
  return resent, cut_off
end

--- Checks what must hold. Returns how many requests were sent again, and accepted again.
function Chaos:check()
  local accepted, again = runners.accepted(self.sim), 0
  local resent, cut_off = read_events(self)
  for user, due in pairs(self.due) do
    local times = accepted[user]
    assert.is_table(times, user .. " was lost")
    for _, time in ipairs(times) do
      assert.is_true(time >= due - TOLERANCE, ("%s: %.3f s early"):format(user, due - time))
    end
    local told = resent[self.ids[user]] or 0
    assert.is_true(#times - 1 <= told, ("%s: sent %d times, told %d"):format(user, #times, told))
    again = again + #times - 1
  end
  assert.equal(0, #self.schedule.store:held(nil, 10))
  -- Only what was under way in a runner that was killed, paused or too late.
  assert.is_true(again <= (self.kills + self.pauses) * CONCURRENCY + cut_off)
  return again
end

local function go(sim, where, opts)
  sim:reset()
  -- Long enough to be killed in.
  sim:fault { operation = "revoke_cert", delay = opts.delay or 0.05 }
  local dir = runners.dir()
  local seed = opts.seed or os.time()
  math.randomseed(seed)
  local chaos = new(sim, where or "sqlite:" .. dir .. "/schedule.db", dir)
  local ok, problem = pcall(function()
    chaos:add(opts.entries, opts.from, opts.to)
    chaos:run(opts)
    chaos:stop()
    local again = chaos:check()
    print(("[seed %d] %d entries, %d kills, %d pauses, %.1f s: %d accepted again; %d KiB at most")
      :format(seed, opts.entries, chaos.kills, chaos.pauses, chaos.seconds, again, chaos.most))
    -- A sanitizer takes memory of its own.
    if not nginx.is_checked then assert.is_true(chaos.most < 30 * 1024) end
  end)
  chaos:close()
  tempdir.remove(dir)
  sim:reset()
  if not ok then error(problem, 0) end
end

local SHORT = { entries = 60, from = -0.5, to = 1, kill_every = 0.3, pause_every = 1,
  disturb = 2, limit = 240 }

local function with(more)
  local opts = {}
  for name, value in pairs(SHORT) do opts[name] = value end
  for name, value in pairs(more or {}) do opts[name] = value end
  return opts
end

local LONG = { entries = 1000, from = -5, to = 45, kill_every = 1, pause_every = 10, disturb = 120,
  limit = 240,
  delay = 0.2 }

-- ---- cancelling while others run ------------------------------------------------------------

-- Cancels each entry about when it is due, while two runners are at it: exactly one wins.
local function race(sim, where, count)
  sim:reset()
  local dir = runners.dir()
  local chaos = new(sim, where or "sqlite:" .. dir .. "/schedule.db", dir)
  local wins = { cancel = 0, run = 0 }
  local ok, problem = pcall(function()
    for slot = 1, 2 do chaos:start(slot) end
    nginx.wait_for("the runners", function()
      return #runners.logged(dir .. "/events.1") + #runners.logged(dir .. "/events.2") >= 2
    end)
    chaos:add(count, 0.2, 0.2 + count / 60)
    local order = {}
    for user, due in pairs(chaos.due) do
      order[#order + 1] = { id = chaos.ids[user], user = user,
        at = due + (math.random() - 0.2) * (where and 0.2 or 0.04) }
    end
    table.sort(order, function(a, b) return a.at < b.at end)
    for _, each in ipairs(order) do
      sys.sleep(math.max(0, each.at - sys.time()))
      local won, _, err = chaos.schedule:cancel(each.id)
      each.won = won
      assert.is_true(each.won or err.code == "CONFLICT", tostring(err))
    end
    nginx.wait_for("the last one", function()
      local store = chaos.schedule.store
      return store:count "done" + store:count "cancelled" == count
    end, 120)
    chaos:stop()
    local accepted, resent = runners.accepted(sim), read_events(chaos)
    for _, each in ipairs(order) do
      local state = chaos.schedule:get(each.id).state
      assert.equal(each.won and "cancelled" or "done", state)
      local times = #(accepted[each.user] or {})
      if each.won then
        assert.equal(0, times, each.user)
      else
        -- On a busy machine a lease ends, and the other sends again: that is told.
        assert.is_true(times >= 1 and times - 1 <= (resent[each.id] or 0),
          ("%s: sent %d times, told %d"):format(each.user, times, resent[each.id] or 0))
      end
      wins[each.won and "cancel" or "run"] = wins[each.won and "cancel" or "run"] + 1
    end
  end)
  chaos:close()
  tempdir.remove(dir)
  if not ok then error(problem, 0) end
  print(("%d races: %d won by who cancelled, %d by a runner"):format(count, wins.cancel, wins.run))
  -- Of few, one side may win all; race_spec sees to it that they meet.
  if count >= 1000 then assert.is_true(wins.cancel > 0 and wins.run > 0) end
end

-- It takes seconds, and the Lua makes no difference to the kernel that kills.
local ON = { sqlite = "Lua 5.4", etcd = "Lua 5.1" }
local function is_the_one(kind)
  return _VERSION == ON[kind] and (kind ~= "etcd" or rawget(_G, "jit") ~= nil)
end

describe("runners that are killed and paused", function()
  local sim = simulator.get()

  if is_the_one "sqlite" then
    it("lose nothing in a file", function() go(sim, nil, with()) end)
    it("lose nothing of 1,000 in a file #long", function() go(sim, nil, with(LONG)) end)
    it("and who cancels: exactly one wins", function() race(sim, nil, 100) end)
    it("and who cancels: exactly one wins, 1,000 times #long", function() race(sim, nil, 1000) end)
  else
    pending "in a file: they run with Lua 5.4's specs"
  end

  if is_the_one "etcd" then
    etcd.describe("and their etcd", function()
      local server

      before_each(function() server = etcd.start {} end)
      after_each(function() server:stop() end)

      local function restart()
        server:kill()
        sys.sleep(0.5)
        server:restart()
      end

      it("lose nothing", function()
        go(sim, "etcd:" .. server:place "cce/chaos", with { outages = { 0.7 }, outage = restart })
      end)

      it("and who cancels: exactly one wins", function()
        race(sim, "etcd:" .. server:place "cce/race", 100)
      end)

      it("and who cancels: exactly one wins, 1,000 times #long", function()
        race(sim, "etcd:" .. server:place "cce/race", 1000)
      end)

      it("lose nothing of 1,000 #long", function()
        LONG.outages, LONG.outage = { 10, 30 }, restart
        go(sim, "etcd:" .. server:place "cce/chaos", with(LONG))
      end)
    end)
  else
    pending "in etcd: they run with LuaJIT's specs"
  end
end)
