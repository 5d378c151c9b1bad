-- A run whose journal others remove or replace while it is under way.
local cce = require "cce"
local clients = require "spec.support.clients"
local journals = require "cce.log.journal"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

describe("a run whose journal is", function()
  local sim, dir, path

  setup(function() sim = simulator.get() end)

  before_each(function()
    sim:reset()
    dir = tempdir.new()
    path = dir .. "/run.journal"
  end)

  after_each(function() tempdir.remove(dir) end)

  local function rotate(on_progress)
    local client, ids = clients.new(sim, {}), {}
    for i = 1, 5 do ids[i] = sim.clusters[i].id end
    local report, message, err = cce.workflow.rotate(client, { clusters = ids, journal = path,
      run = "one", wait = false, rate_limit = false, concurrency = 1, on_progress = on_progress })
    client:close()
    return report, message, err
  end

  -- How often each cluster was rotated.
  local function rotations()
    local counts = {}
    for _, entry in ipairs(sim:log { operation = "rotate_credentials" }) do
      counts[entry.cluster] = (counts[entry.cluster] or 0) + 1
    end
    return counts
  end

  -- What others do, and how the journal comes back.
  local CHANGES = {
    { "replaced by sed -i", "sed -i s/x/x/ %s", "true" },
    { "removed", "cp %s %s.kept; rm %s", "mv %s.kept %s" },
    { "renamed", "mv %s %s.old", "mv %s.old %s" },
    { "replaced by an empty one", "mv %s %s.old; touch %s", "mv %s.old %s" },
    { "shortened", "cp %s %s.kept; truncate -s 0 %s", "mv %s.kept %s" },
  }

  for _, change in ipairs(CHANGES) do
    it(change[1] .. " stops before the next request, and lets nobody begin before", function()
      local second
      local report = assert(rotate(function(done)
        if done ~= 2 or second then return end
        tempdir.check((change[2]:gsub("%%s", path)))
        local other, _, err = journals.open(path, os.time)
        assert(not other)
        second = err.code
      end))
      assert.equal("CONFLICT", second)
      assert.matches("while it was open", report.stopped, 1, true)
      assert.equal(2, #sim:log { operation = "rotate_credentials" })
      assert.equal(2, #report.ok)
      tempdir.check((change[3]:gsub("%%s", path)))
      report = assert(rotate())
      assert.equal(5, #report.ok)
      for _, count in pairs(rotations()) do assert.equal(1, count) end
      assert.equal(5, #sim:log { operation = "rotate_credentials" })
    end)
  end
end)
