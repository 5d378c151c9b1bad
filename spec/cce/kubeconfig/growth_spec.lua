-- A thousand contexts in one file take ten times the work of a hundred: counted in
-- instructions of Lua, which no load of the machine changes.
local expiry = require "cce.expiry"
local json = require "cce.base.json"
local kubeconfig = require "cce.kubeconfig"
local probe = require "cce.kubeconfig.probe"
local stored = require "cce.kubeconfig.stored"
local tempdir = require "spec.support.tempdir"

local FEW, MANY, SLACK = 40, 300, 1.5
local STEP = 100

local function instructions(work)
  local hook, mask, count = debug.gethook()
  local steps = 0
  -- Compiled code calls no hook.
  if rawget(_G, "jit") then jit.off() end -- luacheck: ignore 113
  debug.sethook(function() steps = steps + 1 end, "", STEP)
  work()
  debug.sethook(hook, mask, count)
  if rawget(_G, "jit") then jit.on() end -- luacheck: ignore 113
  return steps
end

describe("with many contexts in one file", function()
  local one = json.decode(tempdir.read "spec/fixtures/kubeconfig_eip.json")
  local dir, fleets = nil, {}

  local function server_of(i) return ("https://c%d.example:5443"):format(i) end

  local function of_cluster(i)
    for _, each in ipairs(one.clusters) do each.cluster.server = server_of(i) end
    return assert(kubeconfig.parse(json.encode(one), { cluster_id = ("c%05d"):format(i) }))
  end

  local function fleet(count)
    local path, items = ("%s/%d"):format(dir, count), {}
    for i = 1, count do items[i] = { kubeconfig = of_cluster(i), name = "n" .. i } end
    for _, result in ipairs(assert(kubeconfig.merge(path, items, { backup = false }))) do
      assert.is_true(result.ok, result.message)
    end
    return { path = path, items = items }
  end

  setup(function()
    dir = tempdir.new()
    for _, count in ipairs { FEW, MANY } do fleets[count] = fleet(count) end
  end)

  teardown(function() tempdir.remove(dir) end)

  local tasks = {}

  tasks["joins them and asks each by its own"] = function(path, count)
    local entries = expiry({ path }, { together = true })
    assert.equal(count, #entries)
    local config = assert(kubeconfig.load(path))
    for _, context in ipairs(config:contexts()) do
      assert.equal(context.name, config:alone(context.name).data["current-context"])
    end
  end

  tasks["finds those of each cluster"] = function(path, count)
    local holdings = assert(stored.read(path, os.time))
    for i = 1, count do
      local id = ("c%05d"):format(i)
      assert.is_table(stored.facts_of(holdings, id))
      assert.equal(id, stored.alone(holdings, id).cluster_id)
    end
  end

  tasks["merges each anew"] = function(path, _, items)
    assert(kubeconfig.merge(path, items, { backup = false, trial = true }))
  end

  tasks["looks for the one that leads to each cluster"] = function(path, count)
    local find = assert(probe.finder { path })
    for i = 1, count do
      local found = assert(find { id = "another", raw = { status = { endpoints = {
        { type = "External", url = server_of(i) } } } } })
      assert.equal(server_of(i), found:contexts()[1].server)
    end
  end

  for name, task in pairs(tasks) do
    it(name .. ", and none takes more work than with few", function()
      local taken = {}
      for i, count in ipairs { FEW, MANY } do
        local of = fleets[count]
        taken[i] = instructions(function() task(of.path, count, of.items) end) / count
      end
      assert.is_true(taken[2] < taken[1] * SLACK, ("%.0f for each of %d, %.0f for each of %d")
        :format(taken[1] * STEP, FEW, taken[2] * STEP, MANY))
    end)
  end
end)
