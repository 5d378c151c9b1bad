-- Cancelling against a runner that is at work in another process: of the two one wins, and the
-- other is told.
local cce = require "cce"
local core = require "cce.core"
local etcd = require "spec.support.peer.etcd"
local hosts = require "spec.support.hosts"
local runners = require "spec.support.runners"
local tempdir = require "spec.support.tempdir"

-- Writes down whose request left, and of what it was told that it had lost.
local RUNNER = [[
  io.stdout:setvbuf "line"
  local runners = require "spec.support.runners"
  local schedule = assert(require("cce").schedule.open(%q))
  local client = runners.client(function(_, opts)
    print("sent " .. opts.user_id)
    return true, nil, nil, "req"
  end)
  print "ready"
  local result = assert(schedule:run(function() return client end, { until_idle = true,
    concurrency = 5, on_event = function(event)
      if event.type == "superseded" then print("lost " .. event.user_id) end
    end }))
  print("over " .. result.done)
]]

local function add(schedule, count)
  local ids, due = {}, core.sys.time() - count
  for i = 1, count do
    ids[i] = assert(schedule:revoke_at(due + i / 1000, { cluster_id = runners.cluster,
      user_id = "user-" .. i }))
  end
  return ids
end

-- One that the runner is about to take, or has just taken; nil when there is none left.
local function nearest(schedule)
  local rows = assert(schedule.store:due(core.sys.time(), 8))
  if math.random(2) == 1 then
    local held = assert(schedule.store:held(nil, 8))
    if #held > 0 then rows = held end
  end
  return #rows > 0 and rows[math.random(#rows)].id or nil
end

local function cancel_while_it_runs(schedule)
  local won = {}
  for id in nearest, schedule do
    local ok, message, err = schedule:cancel(id)
    assert(ok or err.code == "CONFLICT", message)
    -- What was being sent and could not be, as without a lease, may be cancelled after all.
    if ok or not won[id] then won[id] = { ok == true, message } end
  end
  return won
end

local function words(text, word)
  local found = {}
  for user in text:gmatch(word .. " (user%-%d+)\n") do found[user] = (found[user] or 0) + 1 end
  return found
end

local function check_one(user, state, won, sent, lost)
  if won and won[1] then
    assert(state == "cancelled" and not sent, user .. " was cancelled, and sent")
    return
  end
  assert(state == "done" and sent == 1, user .. " is " .. state)
  assert(not lost, user .. " was sent, and told that it was not")
  assert(not won or won[2]:find("being sent", 1, true) or won[2]:find("done since", 1, true),
    won and won[2])
end

-- Returns how many times each side won where both tried.
local function race(where, count)
  local schedule = assert(cce.schedule.open(where))
  local ids, cancelled, refused = add(schedule, count), 0, 0
  local child = hosts.script(nil, RUNNER:format(where))
  child:wait_for "ready"
  local won = cancel_while_it_runs(schedule)
  child:wait_for "over"
  local code, text = child:finish()
  assert(code == 0, text)
  local sent, lost = words(text, "sent"), words(text, "lost")
  for i, id in ipairs(ids) do
    local user = "user-" .. i
    check_one(user, schedule:get(id).state, won[id], sent[user], lost[user])
    if won[id] and won[id][1] then cancelled = cancelled + 1 end
    if won[id] and not won[id][1] then refused = refused + 1 end
  end
  schedule:close()
  return cancelled, refused
end

describe("schedule:cancel", function()
  local dir

  before_each(function() dir = runners.dir() end)

  after_each(function() tempdir.remove(dir) end)

  -- Round after round, until there were so many races.
  local function check(where, races)
    local seed = math.floor(core.sys.time() * 1000) % 2 ^ 31
    math.randomseed(seed)
    local cancelled, refused = 0, 0
    repeat
      local won, lost = race(where, math.min(races * 4, 1000))
      cancelled, refused = cancelled + won, refused + lost
    until cancelled + refused >= races
    io.write(("[seed %d: %d cancelled, %d refused] "):format(seed, cancelled, refused))
    assert.is_true(cancelled > 0)
    assert.is_true(races < 100 or refused > 0)
  end

  it("and a run cannot both win", function()
    check("sqlite:" .. dir .. "/schedule.db", 25)
  end)

  it("and a run cannot both win, a thousand times #long", function()
    check("sqlite:" .. dir .. "/schedule.db", 1000)
  end)

  etcd.describe("in etcd", function()
    it("and a run cannot both win, a thousand times #long", function()
      check("etcd:" .. etcd.get():place "spec/race", 1000)
    end)
  end)
end)
