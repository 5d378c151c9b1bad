--- The order in which a run rotates: what earlier starts left, the canaries, the rest.
-- @module cce.workflow.rotate.waves
-- @local
local map = require "cce.map"
local outcome = require "cce.workflow.outcome"
local rotation = require "cce.workflow.rotate.cluster"

local M = {}

local function settles(run, item)
  if item.state == "uncertain" then
    if not run.opts.journal then return "look at the cluster whether it was rotated" end
    return ("`cce runs settle %s %s --journal %s`, with --happened or --did-not, says what became"
      .. " of it"):format(run.name, item.id, run.opts.journal)
  end
  return item.state == "failed" and "retry_failed=true resends it"
    or "the same call tries it again once that is mended"
end

local WORDS = { failed = "failed", uncertain = "is uncertain", pending = "is not done" }

-- Only ok opens the gate. A canary that its cluster alone holds up is no answer to
-- the question, so the next one is asked.
local function stop_at(run, item)
  if not WORDS[item.state] then return end
  if item.state == "pending" and outcome.is_of_cluster(item.err) then return end
  run:stop(("the canary %s %s%s: %s; canary=0 goes on nevertheless"):format(item.name or item.id,
    WORDS[item.state], item.state == "pending" and item.err and " (" .. item.err.message .. ")"
    or "", settles(run, item)))
end

-- One after the other, until so many have succeeded; none: at once.
local function canary_wave(run)
  local wanted = run.opts.canary
  local function is_open() return run:count "ok" >= wanted end
  for _, item in ipairs(run.items) do
    if item.state == "failed" or item.state == "uncertain" then
      if is_open() then return end
      stop_at(run, item)
    end
  end
  for _, item in ipairs(run:ready()) do
    if run.stopped or is_open() then return end
    run:process({ item }, rotation.process)
    stop_at(run, item)
  end
end

--- Do what is left to do.
function M.execute(run)
  -- Those that an earlier start sent within the window count, too.
  run.pace:count_earlier(run.items)
  for _, item in ipairs(run.items) do item.paced = run.pace:limited(item.client) end

  -- What earlier starts left open, before anything new is sent.
  run:settle_held()
  run:process(run:select(function(item)
    return item.state == "uncertain" or item.state == "accepted"
      or rotation.owes_kubeconfig(run, item)
  end), rotation.process)

  canary_wave(run)
  if not run.stopped then
    run:process(run:select(function(item)
      return item.state == "pending" and not item.held and not item.tried
    end), rotation.process)
  end
  map(run:items_in "uncertain", function(item)
    rotation.look_again(run, item)
    return true
  end, { concurrency = run.opts.concurrency })
end

return M
