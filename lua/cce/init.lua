--- Huawei Cloud CCE cluster certificates: obtain, revoke, rotate.
--
--     local cce = require "cce"
--     local client = assert(cce.new { region = "cn-north-4" })
--     assert(client:revoke_cert(cluster_id, { user_id = leaver }))
--
-- Wrong use (a wrong type, an unknown option, a closed client) raises. What
-- the world can cause returns `nil, message, err`: see `cce.error`.
--
-- Requiring this module has no side effect; its parts are loaded when they are
-- first used.
-- @module cce
local core = require "cce.core"

local M = {}

--- The version, as in the rock.
M._VERSION = "0.2.0"

--- All error codes, each with what it means; prints as a table.
M.codes = setmetatable(core.codes, {
  __name = "cce.codes",
  __tostring = function(codes)
    local rows = {}
    for code, meaning in pairs(codes) do rows[#rows + 1] = { code, meaning } end
    table.sort(rows, function(a, b) return a[1] < b[1] end)
    return require("cce.text.table").text({ "CODE", "MEANING" }, rows)
  end,
})

--- Make a client. Options left out come from the environment:
-- HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK, HUAWEICLOUD_SDK_SECURITY_TOKEN,
-- HUAWEICLOUD_SDK_PROJECT_ID, CCE_CLOUD, CCE_ENDPOINT, CCE_REGION, CCE_CA_FILE, HTTPS_PROXY
-- and NO_PROXY. Does no network I/O.
-- @tparam[opt] table opts
-- @tparam[opt] string opts.region such as "cn-north-4"
-- @tparam[opt] string opts.cloud another cloud of the same kind: "huawei-eu", "otc",
--   "flexible-engine", "sber" or "hcso"; `region` is one of its own then, and what it is known
--   to lack ends with UNSUPPORTED before it is sent
-- @tparam[opt] string opts.endpoint instead of a region: https://host[:port]
-- @tparam[opt] table opts.endpoints `{cce=, iam=, cts=, sts=}`, the same by service; each
--   an address or a list of them, of which the next is tried when nothing could be sent to
--   one. With an address for CCE the others are known only when they are given too
-- @tparam[opt] string opts.project_id by default looked up by the region at the first call
-- @tparam[opt] table|function opts.credentials `{ak=, sk=, security_token=}`, or
--   `{username=, password=, domain=}`, or a provider of `cce.credentials`, or a
--   function that returns keys; when left out, what `cce.credentials.default`
--   finds at the first call
-- @tparam[opt] string opts.token instead of credentials: an IAM token
-- @tparam[opt] string opts.ca_file PEM bundle instead of the system's
-- @tparam[opt] string|boolean opts.proxy a URL; false: none; by default HTTPS_PROXY, but
--   for what NO_PROXY names (names, `*.name`, `name:port`, addresses, CIDR blocks)
-- @tparam[opt] string opts.proxy_ca_file PEM bundle that an https proxy's certificate is checked
--   by; by default `ca_file`, and the system's directory of certificates
-- @tparam[opt=60] number opts.timeout seconds for one request
-- @tparam[opt=10] number opts.connect_timeout seconds
-- @tparam[opt] number opts.deadline seconds for a whole call with its retries, its waits and
--   the look-up of the project; by default there is no such limit
-- @tparam[opt] table opts.retry `{max_attempts=4, base=0.5, cap=30, budget=100}`: requests per
--   call; seconds that the first wait is below, and that every wait is below; retries that all
--   calls of the client have together, which come back within a minute. Waiting out a
--   throttling window, as the API names it, takes nothing from the budget
-- @tparam[opt=100] int opts.max_connections to one host; further calls queue
-- @tparam[opt] string opts.rate_limit such as "200/5min" or "10/min": of all requests of the
--   client together; by default there is none
-- @tparam[opt] string opts.user_agent
-- @tparam[opt] function opts.on_event called with a table for every attempt, and for
--   what else there is to know: its `type` is "attempt", "credentials" (new ones are in
--   use), "key_refused", "notice", "certificates_ended" (of `cluster_id`; of one
--   `principal_id`, or of all), …; never with a secret
-- @tparam[opt] string|cce.audit_log opts.audit_log a path, or a log that
--   `cce.audit_log.open` returned: every call that changes something is logged;
--   inside nginx into a file for each worker, `<path>.worker-0` and so on
-- @tparam[opt] function opts.clock returns unix time: what signs, and is written down
-- @tparam[opt] function opts.monotonic returns seconds of a clock that is never set: what
--   times waits, retries, limits and deadlines
-- @treturn[1] cce.client
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- local client = assert(cce.new { region = "cn-north-4", timeout = 30, rate_limit = "200/5min" })
-- print(client) -- where, which project, whose keys; never a secret
-- @function new
function M.new(opts)
  -- Not a tail call, which would hide the caller that a raised error points at.
  local client, message, err = require("cce.client").new(opts, 2)
  if client == nil then return nil, message, err end
  return client
end

--- Make a signer. It does no I/O. See `signer:sign` and `signer:explain`.
-- @tparam table opts
-- @tparam string opts.ak
-- @tparam string opts.sk
-- @tparam[opt] string opts.security_token of temporary keys
-- @tparam[opt="SDK-HMAC-SHA256"] string opts.algorithm or "SDK-HMAC-SM3" or
--   "V11-HMAC-SHA256"
-- @tparam[opt] string opts.region for V11-HMAC-SHA256 and the scoped layout
-- @tparam[opt] string opts.service the same
-- @tparam[opt] string opts.scheme "scoped": the older layout of SDK-HMAC-SHA256
-- @treturn[1] cce.signer
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- local signer = cce.signer { ak = "AccessKey", sk = "SecretKey" }
-- local headers = signer:sign { method = "GET", host = "example.com", path = "/" }
-- assert(headers.Authorization:match("^SDK%-HMAC%-SHA256 Access=AccessKey, "))
function M.signer(opts)
  local signer, message, err = require("cce.signer").new(opts, 2)
  if signer == nil then return nil, message, err end
  return signer
end

--- The facts of a certificate.
-- @tparam string text PEM, Base64 or a kubeconfig in JSON
-- @treturn[1] cce.certificate `{user_id=, organizations=, subject=, issuer=,
--   serial=, not_before=, not_after=, sha256=}`; times are unix seconds; it
--   prints as a line
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- local facts = assert(cce.certificate(pem))
-- print(facts.user_id, os.date("!%F", facts.not_after))
function M.certificate(text)
  local errors = require "cce.error"
  local certificates = require "cce.certificate"
  return errors.from_core(certificates.of(errors.raise_at(2, core.certificate, text)))
end

--- Call a function for every item, several at a time: see `cce.map`.
-- @function map
function M.map(items, fn, opts)
  -- No tail call: in Lua 5.1 it would hide the caller from an error.
  local results, message, err = require("cce.map")(items, fn, opts)
  if results == nil then return nil, message, err end
  return results
end

--- Let the calls in coroutines yield to an event loop. Inside nginx this is not
-- needed. Calls outside of any coroutine of the loop go on to block.
--
-- A loop of one's own is a table of three functions:
--
-- * `watch(fd, on_readable)` calls `on_readable()` whenever the descriptor is
--   readable, until the function that it returns is called
-- * `suspend(start)` calls `start(wake)` and returns once `wake()` was called,
--   be it by then or later; meanwhile other coroutines run
-- * `after(seconds, fn)` calls `fn()` once, so many seconds later
--
-- and, where they matter, `inside()`, which tells whether the running code may
-- be suspended (by default: whether it is in a coroutine), and `spawn(fn)`,
-- which runs a function in a coroutine of the loop.
-- @tparam string|table|nil loop "cqueues", "luv", a table, or nil for none
-- @usage
-- cce.use_loop "cqueues"
function M.use_loop(loop)
  require("cce.host").use_loop(loop)
end

--- Wait without holding up other calls.
-- @tparam number seconds
-- @usage
-- cce.sleep(0.1)
function M.sleep(seconds)
  require("cce.base.options").argument(seconds, "number", 1, "sleep")
  require("cce.host").sleep(seconds)
end

--- Lua's `pcall`, but calls of a client may wait inside of it. On PUC Lua 5.1 they
-- cannot wait inside of `pcall` itself, in `cce.map` and in event loops: they return
-- UNSUPPORTED there, and nothing is sent. On any other Lua this is `pcall`.
-- @tparam function fn
-- @param ... its arguments
-- @treturn boolean whether it raised nothing
-- @return what it returned, or what it raised
-- @usage
-- local results = cce.map({ cluster_id }, function(id)
--   local ok, job, message = cce.pcall(client.rotate_credentials, client, id,
--     { component = "all" })
--   if not ok then return nil, "raised: " .. tostring(job) end
--   return job, message
-- end)
function M.pcall(fn, ...)
  return require("cce.host.protect").pcall(fn, ...)
end

--- Draw a progress bar: see `cce.progress`.
-- @function progress
function M.progress(opts)
  return require("cce.progress").new(opts)
end

--- A kubeconfig file that is obtained once and used until it nears its end.
--
-- When the file holds a kubeconfig of this cluster whose key and certificate
-- match, which has `min_remaining` seconds left, and which the cluster does not
-- refuse, that is returned. Else one is obtained and saved: mode 0600, in one step,
-- with a context that verifies TLS; before it is asked for, it is proved that it can
-- be saved. Of several processes that ask at once, one obtains and the others take
-- what it saved. A file of another cluster is not touched, nor one that nobody marked with
-- more than one user in it: it would be replaced whole.
--
-- The cluster is asked once, the way that kubectl would, since no date tells of a
-- revocation or a rotation. One that gives no answer changes nothing. A new
-- certificate that is refused as well is an error, and no second one is obtained.
-- Not noticed is that the client's principal is not the one who obtained it: then
-- `renew`.
-- @tparam cce.client client
-- @tparam string cluster_id
-- @tparam table opts
-- @tparam string opts.path
-- @tparam[opt] int opts.duration days, as for `client:obtain_cert`
-- @tparam[opt] number opts.expire_at unix time; one of the two is mandatory
-- @tparam[opt] number opts.min_remaining seconds; by default a week, or a third
--   of the lifetime if that is less
-- @tparam[opt=false] boolean opts.renew obtain in any case
-- @tparam[opt] string opts.name of the context in a new file; by default the
--   file's name without its ending
-- @tparam[opt=120] number opts.timeout seconds to wait for another process that
--   is renewing the file
-- @tparam[opt=true] boolean opts.check ask the cluster; false: go by the dates alone
-- @treturn[1] cce.kubeconfig
-- @treturn[1] boolean whether it was obtained now
-- @treturn[1] ?table what the cluster said, unless it was not to be asked: `{state=,
--   text=}`, where the state is "works" or "not asked"
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err code CONFLICT: the file is another cluster's, or would be replaced
--   with other users in it; INVALID_CERTIFICATE: the cluster refuses the new one; FILE_ERROR, with
--   `err.recovered` when it was obtained and kept elsewhere
-- @usage
-- local kubeconfig, renewed = cce.ensure_cert(client, cluster_id,
--   { path = "prod.json", duration = 30 })
-- @function ensure_cert
function M.ensure_cert(client, cluster_id, opts)
  local config, renewed, err = require("cce.ensure").ensure(client, cluster_id, opts, 2)
  return config, renewed, err
end

--- Whose certificates are in kubeconfig files, until when: see `cce.expiry`.
-- @function expiry
function M.expiry(paths, opts)
  local entries, message, err = require("cce.expiry")(paths, opts)
  if not entries then return nil, message, err end
  return entries
end

local submodules = {
  credentials = "cce.credentials", kubeconfig = "cce.kubeconfig", error = "cce.error",
  region = "cce.region", workflow = "cce.workflow", audit_log = "cce.log.audit_log",
  metrics = "cce.metrics",
  schedule = "cce.schedule", openresty = "cce.openresty",
}

return setmetatable(M, {
  __index = function(_, name)
    local module = submodules[name]
    if not module then return nil end
    M[name] = require(module)
    return M[name]
  end,
  __tostring = function()
    return ("cce %s: certificates of Huawei Cloud CCE clusters; begin with cce.new"):format(
      M._VERSION)
  end,
})
