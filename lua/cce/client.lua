--- A client of the CCE API: `cce.new`.
--
-- The same calls block in a plain script, take turns in `cce.map`, and yield inside
-- nginx or an event loop. Every one returns its result, or `nil, message, err`.
--
-- The calls on nodes, on IAM and on CTS are described in `cce.nodes`, `cce.iam`
-- and `cce.cts`.
-- @classmod cce.client
local autopilot = require "cce.api.autopilot"
local call = require "cce.api.call"
local clouds = require "cce.api.cloud"
local clusters = require "cce.api.cluster"
local configuration = require "cce.api.configuration"
local core = require "cce.core"
local credentials = require "cce.credentials"
local errors = require "cce.error"
local host = require "cce.host"
local jobs = require "cce.api.job"
local options = require "cce.base.options"
local protect = require "cce.host.protect"
local rate_limit = require "cce.api.rate_limit"
local retry = require "cce.api.retry"
local sessions = require "cce.credentials.session"

local M = {}

local Client = {}
Client.__index = Client
Client.__name = "cce.client"

-- ---- what the calls need -------------------------------------------------

-- How far a clock may drift before a correction of it is forgotten; seconds.
local DRIFT = 30

-- Changes only when the clock is set.
local function clock_origin(self)
  return self.clock() - self.boottime()
end

--- The clock that signs, corrected when the API says that it is off. A clock that
-- was set since needs that no more.
-- @treturn number unix time
-- @local
function Client:now()
  if self.clock_shift ~= 0 and self.corrected_origin
    and math.abs(clock_origin(self) - self.corrected_origin) > DRIFT then
    self.clock_shift = 0
  end
  return self.clock() + self.clock_shift
end

-- Not added to an earlier correction: calls that run at once learn it each.
function Client:set_clock(time)
  self.clock_shift, self.corrected_origin = time - self.clock(), clock_origin(self)
end

-- A callback that fails must not make a request that succeeded look lost.
function Client:emit(event)
  if not self.on_event then return end
  local ok, problem = protect.catch(self.on_event, event)
  if not ok then io.stderr:write("cce: on_event failed: ", tostring(problem), "\n") end
end

-- The engine of this process: a child after fork gets one of its own. The
-- driver may share one among clients; then it is not ours to close.
function Client:engine()
  if self.transport and self.transport:inherited() then self.transport = nil end
  if not self.transport then
    local config, driver = self.config, host.current()
    local engine, message, code = driver.engine {
      ca_file = config.ca_file,
      proxy = config.proxy,
      proxy_ca_file = config.proxy_ca_file,
      no_proxy = config.no_proxy,
      user_agent = config.user_agent,
      max_connections = config.max_connections,
      connect_timeout = config.connect_timeout,
    }
    if not engine then return nil, message, code end
    self.transport, self.transport_is_shared = engine, driver.shares_engines
  end
  return self.transport
end

-- The same client but for some fields. What it learns, the client learns.
function Client:view(fields)
  return setmetatable(fields, { __index = self, __newindex = self, view_of = self,
    __tostring = function() return tostring(self) end })
end

local function is_client(value)
  local meta = getmetatable(value)
  return meta == Client or (type(meta) == "table" and is_client(meta.view_of))
end

-- A `level` is where the method was called, as seen from the function that
-- passes it on: 2 in the method itself, 3 in what the method calls.
local function check_open(self, method, level)
  if not is_client(self) then
    error(("bad argument #1 to '%s' (cce.client expected, got %s); call it with a colon"):format(
      method, type(self)), level + 1)
  elseif self.closed then
    error("the client is closed", level + 1)
  end
end

-- The options but for one, which is for us and not for the API.
local function without(opts, name)
  local others = {}
  for key, value in pairs(opts) do
    if key ~= name then others[key] = value end
  end
  return others
end

-- Whether neither the cloud nor a cluster of Autopilot is known to lack a call.
local function may_be_sent(self, operation, ids, fields, deadline)
  local ok, message, err = true, nil, nil
  if self.config.cloud then
    ok, message, err = clouds.allows(self.config.cloud, operation, fields)
  end
  if ok and ids.cluster_id and self.autopilot[ids.cluster_id] ~= false then
    ok, message, err = autopilot.allows(self, operation, ids, deadline)
  end
  return ok, message, err
end

-- Build and send one operation. Returns the response, which knows its `request`; or
-- nil, message, err.
local function perform(self, operation, ids, opts, level)
  level = level or 3
  check_open(self, operation, level)
  if opts ~= nil and type(opts) ~= "table" then
    options.argument(opts, { "table", "nil" }, 2, operation, level)
  end
  local fields, before_send = opts or {}, opts and opts.before_send
  if before_send ~= nil then
    if not options.is_callable(before_send) then
      error(("bad option 'before_send' (callable expected, got %s)"):format(type(before_send)),
        level)
    end
    fields = without(opts, "before_send")
  end
  local deadline = call.deadline(self)
  ids.project_id = self.config.project_id
  if not ids.project_id then
    local project_id, _, problem = require("cce.api.project").id_of(self, deadline)
    if not project_id then return call.cannot_begin(operation, problem) end
    ids.project_id = project_id
  end
  local id = ids.job_id or ids.cluster_id
  local row = id and self.autopilot[id] and autopilot.calls[operation] or operation
  local ok, request, message, code = pcall(core.operation, row, ids, fields, self:now())
  if not ok then error(request, level) end
  if not request then
    return errors.fail(code, ("%s: %s"):format(operation, message), {
      operation = operation, retryable = false, maybe_applied = false, attempts = 0,
    })
  end
  request.operation, request.before_send = operation, before_send
  local response, err
  ok, message, err = may_be_sent(self, operation, ids, fields, deadline)
  if ok then response, message, err = call.send(self, request, ids, deadline) end
  if err and err.code == "NOT_FOUND" and id and row == operation then
    if self.autopilot[id] == false then
      -- CCE has lost it, or a look had failed: the next call looks.
      self.autopilot[id] = nil
    elseif autopilot.calls[operation] then
      -- It may be of Autopilot, where the call is made again; somebody else may have found it
      -- there meanwhile.
      response = not self.autopilot[id] and autopilot.look(self, ids, deadline) or nil
      if self.autopilot[id]
        and not (response and response.request.operation == autopilot.calls[operation]) then
        return perform(self, operation, ids, opts, level)
      end
    end
  end
  if not response then return nil, message, err end
  if ids.cluster_id and self.autopilot[id] == nil then self.autopilot[id] = false end
  response.request = response.request or request
  return response
end

-- The same, and decode what came. Returns the object, nil, nil and the response.
local function perform_json(self, operation, ids, opts, level)
  local response, message, err = perform(self, operation, ids, opts, (level or 3) + 1)
  if not response then return nil, message, err end
  local body
  body, message, err = call.decode(response.request, ids, response)
  if not body then return nil, message, err end
  return body, nil, nil, response
end

local function incomplete(ids, response, what)
  return call.invalid(response.request, ids, response, "it has no " .. what)
end

-- ---- the three endpoints -------------------------------------------------

--- Obtain a cluster certificate: a kubeconfig with a new client certificate
-- and key of the caller. Each call issues another one.
-- @tparam string cluster_id
-- @tparam table opts
-- @tparam[opt] int opts.duration lifetime in days, 1 to 1827, or -1 for the
--   longest, which is five years
-- @tparam[opt] number opts.expire_at its end as unix time, 15 minutes to five
--   years ahead; wins over `duration`. One of the two is mandatory. A cluster of CCE
--   Autopilot takes whole days only: there it is a day ahead at least, and the
--   certificate ends up to a day earlier
-- @treturn[1] cce.kubeconfig
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- local kubeconfig = assert(client:obtain_cert(cluster_id, { duration = 30 }))
-- assert(kubeconfig:save("kubeconfig.json"))
function Client:obtain_cert(cluster_id, opts)
  -- The largest module by far, which other calls do without. A certificate that was issued
  -- must not be lost because it could not be loaded.
  local kubeconfigs = require "cce.kubeconfig"
  local ids = { cluster_id = cluster_id }
  local response, message, err = perform(self, "obtain_cert", ids, opts)
  if not response then return nil, message, err end
  local config
  config, message = kubeconfigs.parse(response.body, {
    port_id = response.headers["port-id"], cluster_id = cluster_id, clock = self.clock,
  })
  if not config then return call.invalid(response.request, ids, response, message) end
  return config
end

local principal_schema = {
  user_id = { type = "string" },
  agency_id = { type = "string" },
  kubeconfig = { type = "table" },
  certificate = { type = "string" },
  principal = { type = "string", one_of = { "user", "agency" }, default = "user" },
  before_send = { type = "callable" },
}

-- Whose certificates to revoke, in the API's own two fields.
local function principal_fields(opts)
  local sources = {}
  for _, name in ipairs { "user_id", "agency_id", "kubeconfig", "certificate" } do
    if opts[name] then sources[#sources + 1] = name end
  end
  if #sources ~= 1 then
    return errors.fail("INVALID_ARGUMENT", ("revoke_cert: %s; expected exactly one of user_id,"
      .. " agency_id, kubeconfig and certificate"):format(
      #sources == 0 and "nobody is named" or table.concat(sources, " and ") .. " are given"))
  end
  if opts.user_id or opts.agency_id then
    return { user_id = opts.user_id, agency_id = opts.agency_id }
  end
  local holder, message, err
  if opts.kubeconfig then
    holder, message, err = opts.kubeconfig:certificate()
  else
    holder, message, err = errors.from_core(core.certificate(opts.certificate))
  end
  if not holder then return nil, message, err end
  if not holder.user_id then
    return errors.fail("INVALID_CERTIFICATE", "revoke_cert: the certificate names no user (CN)")
  end
  return { [opts.principal .. "_id"] = holder.user_id }
end

-- Certificates of a cluster ended, or may have: those of one principal, or all.
local function tell_end(self, cluster_id, principal_id)
  if not self.on_event then return end
  self:emit { type = "certificates_ended", cluster_id = cluster_id, principal_id = principal_id }
end

--- Revoke a principal's certificates of a cluster: all that were issued
-- before this moment. It cannot be undone; but who still has IAM rights can
-- obtain a new one at once.
-- @tparam string cluster_id
-- @tparam table opts exactly one of the first four
-- @tparam[opt] string opts.user_id
-- @tparam[opt] string opts.agency_id
-- @tparam[opt] cce.kubeconfig opts.kubeconfig whose holder is meant
-- @tparam[opt] string opts.certificate PEM, whose holder is meant
-- @tparam[opt="user"] string opts.principal "user" or "agency": what the holder
--   is, which no certificate says
-- @tparam[opt] function opts.before_send called with the cluster's id right before
--   each attempt leaves. It returns the seconds that the attempt may take; or nil,
--   why it must not leave, and perhaps an error of `cce.error`: then the call ends
--   with that error, else with CANCELLED. It must not wait.
-- @treturn[1] boolean true
-- @treturn[1] nil
-- @treturn[1] nil
-- @treturn[1] ?string the request's id
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err UNSUPPORTED for a cluster of CCE Autopilot, whose API has no such
--   call: nothing is sent. A cluster that the client does not know yet is looked for
--   there first, once
-- @usage
-- assert(client:revoke_cert(cluster_id, { kubeconfig = kubeconfig }))
function Client:revoke_cert(cluster_id, opts)
  check_open(self, "revoke_cert", 2)
  local checked, message, err = options.check(opts, principal_schema)
  if not checked then return nil, message, err end
  if checked.kubeconfig and not require("cce.kubeconfig").is(checked.kubeconfig) then
    error("bad option 'kubeconfig' (cce.kubeconfig expected, got table)", 2)
  end
  local fields
  fields, message, err = principal_fields(checked)
  if not fields then return nil, message, err end
  fields.before_send = checked.before_send
  local response
  response, message, err = perform(self, "revoke_cert", { cluster_id = cluster_id }, fields)
  if response or err.maybe_applied then
    tell_end(self, cluster_id, fields.user_id or fields.agency_id)
  end
  if not response then return nil, message, err end
  return true, nil, nil, response.headers["x-request-id"]
end

-- A cluster that is locked may be so by an earlier rotation of ours, whose
-- answer was lost: look at it, and say what runs there.
local function name_running_job(self, cluster_id, err)
  if err.code ~= "RESOURCE_LOCKED" and err.code ~= "CONFLICT" then return err end
  local body = perform_json(self, "show_cluster", { cluster_id = cluster_id })
  local id = body and type(body.status) == "table" and body.status.jobID
  if type(id) ~= "string" or id == "" then return err end
  err.job = jobs.started(id)
  err.hint = ("%s; the cluster names job %s: see client:wait_job(\"%s\")"):format(
    err.hint, id, id)
  return err
end

--- Start the rotation of a cluster's certificates. It is a job that takes
-- minutes: see `wait_job`.
-- @tparam string cluster_id
-- @tparam table opts
-- @tparam string opts.component "all", "service-account-controller" or
--   "custom"
-- @tparam[opt] int opts.certificate_expiration_time hours, 0 to 8784, that the
--   old ServiceAccount-token certificate stays valid; the API's default is 24
-- @tparam[opt] table opts.cert_content `{ca=, cert=, private_key=}`, PEM or
--   Base64; mandatory for "custom"
-- @tparam[opt] function opts.before_send as for `revoke_cert`
-- @treturn[1] cce.job `job.id`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err UNSUPPORTED as for `revoke_cert`
-- @usage
-- local job = assert(client:rotate_credentials(cluster_id, { component = "all" }))
-- assert(client:wait_job(job.id))
function Client:rotate_credentials(cluster_id, opts)
  local ids = { cluster_id = cluster_id }
  local body, message, err, response = perform_json(self, "rotate_credentials", ids, opts)
  if not body then return nil, message, name_running_job(self, cluster_id, err) end
  if type(body.jobid) ~= "string" or body.jobid == "" then
    return incomplete(ids, response, "jobid")
  end
  if opts.component ~= "service-account-controller" then tell_end(self, cluster_id) end
  return jobs.started(body.jobid, response.headers["x-request-id"])
end

-- ---- jobs and clusters ---------------------------------------------------

local function look_at_job(self, id, level)
  local ids = { job_id = id }
  local body, message, err, response = perform_json(self, "show_job", ids, nil, level + 1)
  if not body then return nil, message, err end
  local job = jobs.new(body)
  if not job.phase then return incomplete(ids, response, "status.phase") end
  job.id = job.id or id
  return job
end

--- Look at a job.
-- @tparam string id
-- @treturn[1] cce.job
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- local job = assert(client:rotate_credentials(cluster_id, { component = "all" }))
-- print(assert(client:show_job(job.id)).phase)
function Client:show_job(id)
  local job, message, err = look_at_job(self, id, 3)
  if job == nil then return nil, message, err end
  return job
end

local wait_schema = {
  timeout = { type = "number", min = 0, default = 1800, unit = "seconds" },
  interval = { type = "number", min = 0.01, max = 3600, default = 5, unit = "seconds" },
  on_progress = { type = "callable" },
}

local function job_error(job, code, reason, fields)
  fields.operation, fields.maybe_applied, fields.job = "wait_job", true, job
  return errors.fail(code, ("job %s %s"):format(job.id, reason), fields)
end

local function job_unfinished(job, code, reason)
  return job_error(job, code, ("is %s: %s"):format(job.phase, reason), { retryable = true,
    hint = "The job goes on by itself: look again with client:show_job(id)" })
end

--- Wait for a job to end.
-- @tparam string id
-- @tparam[opt] table opts
-- @tparam[opt=1800] number opts.timeout seconds
-- @tparam[opt=5] number opts.interval seconds between two looks
-- @tparam[opt] function opts.on_progress called with the job after each look;
--   returning false ends the waiting (CANCELLED), not the job
-- @treturn[1] cce.job its phase is "Success"
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err code JOB_FAILED (with what each failed sub-job said),
--   TIMEOUT, CANCELLED, or that of a look that failed; `err.job` is the job
-- @usage
-- local job = assert(client:rotate_credentials(cluster_id, { component = "all" }))
-- local done, message, err = client:wait_job(job.id, { timeout = 3600 })
-- if not done and err.code == "JOB_FAILED" then print(message) end
function Client:wait_job(id, opts)
  check_open(self, "wait_job", 2)
  local checked, message, err = options.check(opts, wait_schema)
  if not checked then return nil, message, err end
  local deadline = self.monotonic() + checked.timeout
  while true do
    local job
    job, message, err = look_at_job(self, id, 3)
    if not job then return nil, message, err end
    if checked.on_progress and checked.on_progress(job) == false then
      return job_unfinished(job, "CANCELLED", "the waiting was cancelled")
    elseif job.phase == "Success" then
      -- What was obtained while a rotation ran may be of the old kind.
      if job.cluster_id and job:is_rotation() then tell_end(self, job.cluster_id) end
      return job
    elseif job.phase == "Failed" then
      local reasons = { job.reason }
      for _, failure in ipairs(job:failures()) do
        reasons[#reasons + 1] = ("%s: %s"):format(failure.name or failure.id or "sub-job",
          failure.reason or "no reason given")
      end
      return job_error(job, "JOB_FAILED", "failed: " .. (#reasons > 0
        and table.concat(reasons, "; ") or "no reason given"), { retryable = false })
    elseif self.monotonic() + checked.interval > deadline then
      return job_unfinished(job, "TIMEOUT", ("not ended within %g s"):format(checked.timeout))
    end
    self.sleep(checked.interval)
  end
end

-- One of the two lists of clusters.
local function clusters_of(self, operation, opts)
  local body, message, err, response = perform_json(self, operation, {}, opts, 4)
  if not body then return nil, message, err end
  return call.list(response.request, {}, response, body, "items", function(raw)
    return clusters.new(raw, operation == "list_autopilot_clusters")
  end)
end

--- List the clusters of the project. Those of CCE Autopilot only when they are asked for.
-- @tparam[opt] table opts
-- @tparam[opt] boolean opts.detail more in `raw`
-- @tparam[opt] string opts.status such as "Available"
-- @tparam[opt] string opts.type "VirtualMachine" or "ARM64"
-- @tparam[opt] string opts.version such as "v1.27"
-- @tparam[opt=false] boolean opts.autopilot those of CCE Autopilot, too, behind the others
-- @treturn[1] {cce.cluster,...}
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- for _, cluster in ipairs(assert(client:list_clusters { status = "Available" })) do
--   print(cluster.id, cluster.name, cluster.version)
-- end
function Client:list_clusters(opts)
  local asked = type(opts) == "table" and opts.autopilot
  if asked and asked ~= true then
    error(("bad option 'autopilot' (boolean expected, got %s)"):format(type(asked)), 2)
  end
  check_open(self, "list_clusters", 2)
  local fields = type(opts) == "table" and without(opts, "autopilot") or opts
  local list, more
  local ok, message, err = true, nil, nil
  if asked then ok, message, err = clouds.allows(self.config.cloud, "list_autopilot_clusters") end
  if ok then list, message, err = clusters_of(self, "list_clusters", fields) end
  if not list then return nil, message, err end
  if asked then
    more, message, err = clusters_of(self, "list_autopilot_clusters", fields)
    if not more then return nil, message, err end
  end
  list = clusters.list(list, more)
  for _, cluster in ipairs(list) do self.autopilot[cluster.id] = cluster.autopilot end
  return list
end

--- Look at a cluster, be it of CCE or of CCE Autopilot.
-- @tparam string cluster_id
-- @treturn[1] cce.cluster
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- local cluster = assert(client:show_cluster(cluster_id))
-- assert(cluster.status == "Available", cluster.status)
function Client:show_cluster(cluster_id)
  local ids = { cluster_id = cluster_id }
  local body, message, err, response = perform_json(self, "show_cluster", ids)
  if not body then return nil, message, err end
  local cluster = clusters.new(body, self.autopilot[cluster_id])
  if not cluster then return incomplete(ids, response, "metadata.uid") end
  self.autopilot[cluster_id] = cluster.autopilot
  return cluster
end

-- ---- the services beside CCE's own ----------------------------------------

local PARTS = {
  retry_node_rotation = "cce.api.nodes",
  list_users = "cce.api.iam", list_agencies = "cce.api.iam", list_projects = "cce.api.iam",
  list_traces = "cce.api.cts", deleted_principals = "cce.api.cts",
  certificate_downloads = "cce.api.cts",
}

-- A script that makes one call has no need of them: each is loaded with its first use.
setmetatable(Client, { __index = function(_, name)
  local part = PARTS[name]
  if not part then return nil end
  Client[name] = require(part).methods[name]
  return Client[name]
end })

--- Check step by step whether this client can work, and say what is wrong:
-- credentials, clock, region, project, reachability, TLS, then IAM, CTS and STS, and
-- which actions are allowed, as far as reading tells. It only reads, tries nothing
-- twice, and prints nothing. A service whose address is not known is not checked.
-- @treturn table the report: a list of `{name=, ok=, message=, hint=}`, where `ok`
--   is true, false, or nil for what could not be checked; `report.ok` tells
--   whether all is well, `report:exit_code()` is 0 or 1, and `tostring(report)`
--   reads well
-- @usage
-- local report = client:doctor()
-- print(report)
-- os.exit(report:exit_code())
function Client:doctor()
  check_open(self, "doctor", 2)
  local report = require("cce.api.doctor").examine(self)
  return report
end

-- ---- life ----------------------------------------------------------------

--- End the connections and wipe the credentials. Later calls raise.
-- @usage
-- local other = assert(cce.new { region = "cn-north-4" })
-- other:close()
function Client:close()
  self.closed = true
  if self.transport and not self.transport_is_shared then
    host.close(self.transport)
  end
  if self.session then self.session:close() end
end

Client.__gc = Client.close
Client.__close = Client.close

function Client:__tostring()
  local config = self.config
  return ("cce.client: %s, project %s, %s%s"):format(config.endpoints.cce,
    require("cce.api.project").known(self) or "not known yet", self.session:describe(),
    self.closed and ", closed" or "")
end

--- Make a client. Does no network I/O.
-- @tparam[opt] table opts see `cce.new`
-- @tparam[opt=1] int level whom a raised error points at
-- @treturn[1] cce.client
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @local
function M.new(opts, level)
  local config, message, err = configuration.read(opts, (level or 1) + 1)
  if not config then return nil, message, err end
  -- One that was made here ends with the client.
  local owned = not credentials.is(config.credentials)
  local provider
  provider, message, err = credentials.of(config, (level or 1) + 1)
  if not provider then return nil, message, err end
  config.token, config.credentials = nil, nil
  config.user_agent = config.user_agent or "lua-cce/" .. core._VERSION
  local client = setmetatable({
    config = config,
    clock = config.clock or core.sys.time,
    clock_shift = 0,
    limiter = config.rate_limit and rate_limit.new(config.rate_limit) or false,
    change_limiter = false,
    monotonic = config.monotonic or core.sys.monotonic,
    boottime = core.sys.boottime,
    retry_budget = retry.budget(config.retry.budget, (config.monotonic or core.sys.monotonic)()),
    good_address = {},
    autopilot = {},
    sleep = host.sleep,
    random = math.random,
    on_event = config.on_event or false,
    closed = false,
  }, Client)
  client.session = sessions.new(client, provider, owned)
  if provider.needs_nothing then
    local auth
    auth, message, err = client.session:identify()
    if not auth then return nil, message, err end
  end
  if config.notice then client:emit { type = "notice", notice = config.notice } end
  return client
end

return M
