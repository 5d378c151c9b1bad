-- One kind of work on so many things. Prints what it took, as JSON.
--   lua bench/programs/growth.lua KIND COUNT PORT CA-FILE DIRECTORY SLOW-PORT
local cce = require "cce"
local account = require "bench.lib.account"
local core = require "cce.core"
local process = require "bench.lib.process"

local kind, count, dir = arg[1], tonumber(arg[2]), arg[5]

local function new_client()
  local options = account.options(arg[3], arg[4])
  options.endpoint = options.endpoint .. "/of-" .. count
  return assert(cce.new(options))
end

local function id_of(i)
  return ("%08d-2222-3333-4444-555555555555"):format(i)
end

local function ids()
  local list = {}
  for i = 1, count do list[i] = id_of(i) end
  return list
end

-- What prepares, and returns what is measured.
local kinds = {}

function kinds.rotate()
  local client, clusters = new_client(), ids()
  return function()
    local report = assert(cce.workflow.rotate(client, { clusters = clusters, concurrency = 100,
      rate_limit = false, journal = dir .. "/journal", wait = { interval = 0.05 } }))
    assert(report.ok, tostring(report))
    return report
  end
end

-- One is obtained; the others are like it.
local function write_kubeconfigs()
  local client, path = new_client(), dir .. "/" .. id_of(1) .. ".json"
  assert(cce.ensure_cert(client, id_of(1), { path = path, duration = 30, check = false }))
  local text = process.read(path)
  for i = 2, count do
    local other = dir .. "/" .. id_of(i) .. ".json"
    process.write(other, (text:gsub(id_of(1):gsub("%p", "%%%0"), id_of(i))))
  end
  return client
end

function kinds.ensure()
  local client = write_kubeconfigs()
  return function()
    return cce.map(ids(), function(id)
      local config, renewed = cce.ensure_cert(client, id, { path = dir .. "/" .. id .. ".json",
        duration = 30, check = false })
      assert(config and renewed == false, renewed)
    end)
  end
end

function kinds.expiry()
  write_kubeconfigs()
  return function()
    local list = cce.expiry(dir)
    assert(#list == count and not list[count].err)
    return list
  end
end

function kinds.schedule()
  local schedule = assert(cce.schedule.open("sqlite:" .. dir .. "/schedule.db"))
  local at = os.time() + 86400
  for i = 1, count do
    assert(schedule:revoke_at(at + i, { cluster_id = id_of(i), user_id = id_of(i) }))
  end
  return function()
    local seen, after = 0, nil
    repeat
      local page = assert(schedule:list { limit = 100, after = after })
      seen, after = seen + #page, page.next
    until not after
    assert(seen == count)
  end
end

-- Without the disk's word for each line, which is what takes time.
function kinds.audit()
  local lines = require "cce.log.audit_line"
  local path, previous, hash = dir .. "/audit.log", lines.FIRST, nil
  local file = assert(io.open(path, "wb"))
  for i = 1, count do
    local text
    text, hash = lines.seal { n = i, at = "2026-01-02T03:04:05Z", operation = "revoke_cert",
      target = id_of(i), user_id = id_of(i), outcome = "ok", previous = previous }
    previous = hash
    file:write(text, "\n")
  end
  file:close()
  return function()
    local state = assert(cce.audit_log.verify(path))
    assert(state.count == count and state.head == hash)
  end
end

-- One file with a context for each cluster, whose own API is the slow server.
local function write_fleet()
  local client, path = new_client(), dir .. "/one.json"
  assert(cce.ensure_cert(client, id_of(1), { path = path, duration = 30, check = false }))
  local one = core.json.decode(process.read(path))
  local cluster, fleet = one.clusters[1].cluster, { kind = "Config", apiVersion = "v1",
    clusters = {}, users = {}, contexts = {} }
  cluster.server = "https://127.0.0.1:" .. arg[6]
  cluster["certificate-authority-data"] = core.to_base64(process.read(arg[4]))
  for i = 1, count do
    local name = "c-" .. id_of(i)
    fleet.clusters[i] = { name = name, cluster = cluster }
    fleet.users[i] = { name = name, user = one.users[1].user }
    fleet.contexts[i] = { name = name, context = { cluster = name, user = name } }
  end
  os.remove(path)
  process.write(dir .. "/kubeconfig", assert(core.json.encode(fleet)))
end

-- The command, with what it would find in its environment, and nobody who reads what it prints.
local function command(arguments)
  local options, output = account.options(arg[3], arg[4]), io.stdout
  local environment = { KUBECONFIG = dir .. "/kubeconfig", XDG_STATE_HOME = dir,
    XDG_CONFIG_HOME = dir, XDG_CACHE_HOME = dir, CCE_CA_FILE = arg[4],
    CCE_ENDPOINT = options.endpoint .. "/of-" .. count, CCE_CTS_ENDPOINT = options.endpoint,
    HUAWEICLOUD_SDK_IAM_ENDPOINT = options.endpoint, HUAWEICLOUD_SDK_AK = options.credentials.ak,
    HUAWEICLOUD_SDK_PROJECT_ID = account.project_id }
  os.getenv = function(name) return environment[name] end -- luacheck: ignore 122
  io.stdout = assert(io.open("/dev/null", "w")) -- luacheck: ignore 122
  local code = require("cce.cli").main(arguments)
  io.stdout = output -- luacheck: ignore 122
  assert(code == 0, "it ended with " .. code)
end

function kinds.status()
  write_fleet()
  return function() command { "status" } end
end

function kinds.metrics()
  write_fleet()
  return function() command { "metrics", "--check" } end
end

local run = kinds[kind]()
-- With what is usual, up to half of what grew would be garbage, now more, now less.
collectgarbage("setpause", 120)
collectgarbage()
collectgarbage()
local before, cpu, start = process.resident(), os.clock(), core.sys.monotonic()
local result = run()
print((core.json.encode { cpu = os.clock() - cpu, wall = core.sys.monotonic() - start,
  grown = process.resident() - before, peak_resident = process.peak_resident(),
  kept = result ~= nil }))
