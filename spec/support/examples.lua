--- Runs what README, the manual and the @usage of the sources show, on the simulator.
--
-- The blocks of a page run in their order and share their variables, as a reader would have
-- them. What a page takes for granted is there: `cce`, `client`, `cluster_id`, `leaver` and the
-- like. Only where things are is changed: regions and keys become the simulator's, and paths
-- lie in a directory of the run.
local account = require "cce.sim.account"
local cce = require "cce"
local core = require "cce.core"
local tempdir = require "spec.support.tempdir"

local M = {}

-- ---- taking them out -------------------------------------------------------------

local function line_of(text, position)
  return select(2, text:sub(1, position):gsub("\n", "")) + 1
end

--- The fenced blocks of a page in one language.
-- @treturn {table,...} `{text=, line=, path=}`
function M.blocks(path, language)
  local text, list = assert(tempdir.read(path)), {}
  for position, body in text:gmatch("\n()```" .. language .. "\n(.-)\n```") do
    list[#list + 1] = { text = body, line = line_of(text, position), path = path }
  end
  return list
end

--- The @usage blocks of a source.
-- @treturn {table,...} as those of `blocks`
function M.usages(path)
  local list, block, number = {}, nil, 0
  for line in io.lines(path) do
    number = number + 1
    local comment = line:match "^%-%- ?(.*)$"
    if comment and comment:match "^@usage" then
      block = { text = "", line = number + 1, path = path }
      list[#list + 1] = block
    elseif not comment or comment:match "^@%a" then
      block = nil
    elseif block then
      block.text = block.text .. comment .. "\n"
    end
  end
  return list
end

-- ---- the place where they run --------------------------------------------------------

-- Where things are is the simulator's; how they behave is the example's.
local PLACES = { "region", "project_id", "endpoint", "endpoints", "credentials", "token",
  "ca_file" }

-- Nobody waits here for what is due to a real account, and nothing is left in a home.
local function impatient(name, dir)
  local count = 0
  return function(client, opts)
    count = count + 1
    local undo = opts.remove and ("%s/undo-%d.json"):format(dir, count) or nil
    local mine = { rate_limit = false, undo = undo }
    for key, value in pairs(opts) do mine[key] = value end
    return cce.workflow[name](client, mine)
  end
end

local function impatient_workflows(dir)
  return setmetatable({ rotate = impatient("rotate", dir), revoke = impatient("revoke", dir) },
    { __index = cce.workflow })
end

local function simulated_cce(sim, clients, dir)
  local keys = account.keys[1]
  local function new(opts)
    local mine = {}
    for name, value in pairs(opts or {}) do mine[name] = value end
    for _, name in ipairs(PLACES) do mine[name] = nil end
    mine.endpoints = { cce = sim.env.CCE_ENDPOINT, cts = sim.env.CCE_CTS_ENDPOINT,
      iam = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT, sts = sim.env.HUAWEICLOUD_SDK_STS_ENDPOINT }
    mine.ca_file, mine.proxy = sim.env.CCE_CA_FILE, false
    mine.project_id, mine.credentials = sim.project_id, { ak = keys.ak, sk = keys.sk }
    local client, message, err = cce.new(mine)
    if not client then return nil, message, err end
    clients[#clients + 1] = client
    client.sleep = function(seconds) cce.sleep(math.min(seconds, 0.02)) end
    return client
  end
  return setmetatable({ new = new, workflow = impatient_workflows(dir) }, { __index = cce })
end

-- What a page takes for granted, made when it is first used.
local given = {}

function given.client(run) return run.cce.new {} end
given.beijing, given.shanghai = given.client, given.client

function given.cluster_id(run) return run.sim.clusters[1].id end

function given.ids(run) return { run.sim.clusters[1].id, run.sim.clusters[2].id } end

function given.clusters(run) return assert(run.env.client:list_clusters()) end

function given.kubeconfig(run)
  return assert(run.env.client:obtain_cert(run.env.cluster_id, { duration = 1 }))
end

function given.pem(run) return run.env.kubeconfig.raw end

function given.leaver() return account.keys[2].principal.id end

given.contractor = given.leaver

function given.schedule(run)
  return assert(cce.schedule.open("sqlite:" .. run.dir .. "/schedule.db"))
end

function given.grant(run)
  return assert(run.cce.workflow.grant(run.env.client, run.env.schedule,
    { cluster_id = run.env.cluster_id, seconds = 3600, grantee = true }))
end

function given.my_vault()
  return function() return { ak = account.keys[1].ak, sk = account.keys[1].sk } end
end

function given.my_token() return function() return account.keys[1].token end end

function given.my_password() return function() return account.keys[1].password end end

-- A node at which a rotation has failed.
function given.node_id(run)
  local env, cluster = run.env, run.env.cluster_id
  run.sim:set { cluster = cluster, nodes = 2, failing_nodes = 1, job_seconds = 0.01 }
  local job = assert(env.client:rotate_credentials(cluster, { component = "all" }))
  env.client:wait_job(job.id)
  return run.sim:state().clusters[1].failed_nodes[1]
end

-- The head of an audit log that was kept, and how many lines it had.
local function keep_log(run)
  local path = run.dir .. "/cce.log"
  local client = run.cce.new { audit_log = path }
  assert(client:revoke_cert(run.env.cluster_id, { user_id = run.env.leaver }))
  client.audit_log:close()
  local state = assert(cce.audit_log.verify(path))
  run.env.kept, run.env.n = state.head, state.count
end

function given.kept(run) keep_log(run) return run.env.kept end
function given.n(run) keep_log(run) return run.env.n end

function given.core() return core end
function given.errors() return require "cce.error" end

local function environment_of(run)
  local env = {
    cce = run.cce,
    require = function(name) return name == "cce" and run.cce or require(name) end,
    print = function(value) run.printed[#run.printed + 1] = tostring(value) end,
    os = setmetatable({
      exit = function(code) run.exit = code end,
      getenv = function(name) return name == "HOME" and run.dir or os.getenv(name) end,
    }, { __index = os }),
  }
  return setmetatable(env, { __index = function(_, name)
    if not given[name] then return _G[name] end
    local value = given[name](run)
    rawset(env, name, value)
    return value
  end })
end

--- A place where examples run; close it when done.
-- @tparam table sim of spec.support.sim
function M.place(sim)
  local run = { sim = sim, printed = {}, clients = {}, dir = tempdir.new() }
  run.cce = simulated_cce(sim, run.clients, run.dir)
  run.env = environment_of(run)
  assert(core.sys.mkdir(run.dir .. "/.kube"))
  return run
end

function M.close(run)
  for _, client in ipairs(run.clients) do client:close() end
  tempdir.remove(run.dir)
end

-- ---- running -----------------------------------------------------------------------

local IS_FILE = { json = true, jsonl = true, db = true, kubeconfig = true, log = true,
  journal = true, pem = true }

-- A name is taken for granted by the next block of the page, so its locals are shared. Files go
-- to the directory of the run, and a rotation does not keep to the speed of a real account.
local function adapt(run, text)
  text = ("\n" .. text):gsub("\nlocal function ", "\nfunction ")
  text = text:gsub("\nlocal ([%w_, ]+) =", "\n%1 =")
  text = text:gsub('"/var/%a+/[%w/]-([%w_.-]+)"', function(name)
    return ("%q"):format(run.dir .. "/" .. name)
  end)
  text = text:gsub('"([%w_-]+%.%a+)"', function(name)
    return IS_FILE[name:match "%a+$"] and not name:match "^cce%."
      and ("%q"):format(run.dir .. "/" .. name)
  end)
  text = text:gsub('dir = "([%w_.-]+)"', function(name)
    return ("dir = %q"):format(run.dir .. "/" .. name)
  end)
  text = text:gsub('"sqlite:([%w_-]+%.db)"', function(name)
    return ('"sqlite:%s/%s"'):format(run.dir, name)
  end)
  return (text:gsub('"prod%-%*"', '"cluster-*"'):gsub('"…"', '"example"'))
end

local function compile(text, name, env)
  if setfenv then
    local chunk, problem = loadstring(text, name)
    return chunk and setfenv(chunk, env), problem
  end
  return load(text, name, "t", env)
end

--- Run a block; raises when it fails.
function M.run(run, block)
  local name = ("=%s:%d"):format(block.path, block.line)
  local chunk, problem = compile(adapt(run, block.text), name, run.env)
  if not chunk then error(problem, 0) end
  chunk()
end

return M
