--- Where a kubeconfig is to go: proved before a certificate is asked for, since what
-- is issued and cannot be kept is lost, and what was revoked or rotated does not come
-- back.
--
-- The proof is the save itself, of a stand-in with the names, the servers and the size
-- of what the API would send: the lock is taken and released, the file is read, the
-- merge is tried, and the text is written beside the file and removed. Should a save
-- fail all the same, the kubeconfig goes to `$XDG_STATE_HOME/cce/recovered`.
--
-- A destination is a table: `path`, and of the options of `kubeconfig:save` context,
-- merge, name, timeout, backup, format and mark.
-- @module cce.kubeconfig.destination
-- @local
local clusters = require "cce.api.cluster"
local core = require "cce.core"
local directories = require "cce.base.directories"
local errors = require "cce.error"
local json = require "cce.base.json"
local json_line = require "cce.base.json_line"
local kubeconfigs = require "cce.kubeconfig"
local pattern_of = require("cce.base.values").pattern_of

local M = {}

local OPTIONS = { "context", "merge", "name", "timeout", "backup", "format", "mark",
  "force" }

-- Bytes of Base64 of a certificate and of a key, on the large side.
local CERTIFICATE_SIZE, KEY_SIZE = 2400, 2400

-- No server can be named so: it is unequal to all that a file holds.
local UNKNOWN = "https://unknown.invalid"

-- ---- the stand-in ----------------------------------------------------------------

local function servers_of(cluster)
  local servers
  for _, endpoint in ipairs(clusters.endpoints(cluster)) do
    servers = servers or {}
    servers[endpoint.type == "External" and "external" or "internal"] = endpoint.url
  end
  return servers
end

local function add(data, context, cluster, server)
  if not server then return end
  data.clusters[#data.clusters + 1] = { name = cluster, cluster = { server = server,
    ["certificate-authority-data"] = ("A"):rep(CERTIFICATE_SIZE) } }
  data.contexts[#data.contexts + 1] = { name = context,
    context = { cluster = cluster, user = "user" } }
  data["current-context"] = context
end

-- With the names of the API, which are documented nowhere but seen everywhere.
local function stand_in(id, servers)
  local data = { kind = "Config", apiVersion = "v1", preferences = {}, clusters = {},
    contexts = {}, users = { { name = "user", user = {
      ["client-certificate-data"] = ("A"):rep(CERTIFICATE_SIZE),
      ["client-key-data"] = ("A"):rep(KEY_SIZE) } } } }
  servers = servers or { internal = UNKNOWN, external = UNKNOWN }
  add(data, "internal", "internalCluster", servers.internal)
  add(data, "external", "externalCluster", servers.external)
  add(data, "externalTLSVerify", "externalClusterTLSVerify", servers.external)
  return kubeconfigs.parse(assert(json.encode(data, { pretty = true })), { cluster_id = id })
end

-- ---- proving ---------------------------------------------------------------------

local function options_of(destination, is_trial)
  local opts = { trial = is_trial }
  for _, name in ipairs(OPTIONS) do opts[name] = destination[name] end
  return opts
end

local function try(destination, id, servers)
  local config, message, err = stand_in(id, servers)
  if config and destination.command then
    config, message, err = config:with_command(destination.command)
  end
  if not config then return nil, message, err end
  return config:save(destination.path, options_of(destination, true))
end

--- Whether a kubeconfig of a cluster can be kept there. The file stays as it is.
-- @tparam table destination also `command`: the options of `kubeconfig:with_command`
-- @tparam table target `id`, and if known `cluster`, as the API described it
-- @tparam[opt] cce.client client to ask for the cluster's addresses where they decide
-- @treturn[1] boolean true
-- @treturn[1] ?string a warning: it could not be recovered if the save failed after all
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.prove(destination, target, client)
  local servers = servers_of(target.cluster)
  local ok, message, err = try(destination, target.id, servers)
  -- Addresses are asked for only where they decide: whether an entry of that name is the
  -- cluster's own, or whether there is such a context.
  local decides = destination.context or err and err.code == "CONFLICT"
  if not servers and decides and client then
    servers = servers_of((client:show_cluster(target.id)))
    if servers then ok, message, err = try(destination, target.id, servers) end
  end
  if not ok then return nil, message, err end
  return true, M.recovery_problem()
end

--- The same for many in one file.
-- @tparam string path
-- @tparam {table,...} targets each also with `set`, its name
-- @tparam[opt] table opts timeout, backup and format as for `kubeconfig:save`
-- @treturn[1] {table,...} in the order of the targets `{ok=, message=, err=}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err nothing can be kept there
function M.prove_many(path, targets, opts)
  local items = {}
  for i, target in ipairs(targets) do
    items[i] = { name = target.set,
      kubeconfig = assert(stand_in(target.id, servers_of(target.cluster))) }
  end
  return kubeconfigs.merge(path, items, options_of(opts, true))
end

--- Whether files can be put into a directory, which need not be there yet.
-- @tparam string directory
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.prove_directory(directory)
  directory = directory:gsub("(.)/+$", "%1")
  -- What is not there yet can be made if the nearest directory above it can be written to, and
  -- no link stands there that leads nowhere.
  local info, message, code = core.file.stat(directory)
  while info == false do
    if #(core.file.glob(pattern_of(directory)) or {}) > 0 then
      return errors.fail("FILE_ERROR", ("cannot make directory '%s': a link that leads nowhere is"
        .. " there"):format(directory))
    end
    directory = directory:match "^(.*)/[^/]*$" or "."
    if directory == "" then directory = "/" end
    info, message, code = core.file.stat(directory)
  end
  if not info then return errors.from_core(nil, message, code) end
  local room = ("A"):rep(2 * CERTIFICATE_SIZE + KEY_SIZE)
  return errors.from_core(core.file.write(directory:gsub("/+$", "") .. "/kubeconfig.trial", room,
    { trial = true }))
end

-- ---- keeping ---------------------------------------------------------------------

local function recovery()
  local base = directories.base("XDG_STATE_HOME", "/.local/state")
  if base then return base .. "/cce/recovered" end
  return errors.fail("FILE_ERROR", "neither XDG_STATE_HOME nor HOME says where to keep it")
end

--- Why nothing could be recovered; nil when it could.
-- @treturn ?string
function M.recovery_problem()
  local directory, message = recovery()
  local ok
  if directory then ok, message = M.prove_directory(directory) end
  if ok then return nil end
  return "if it could not be saved after all, it would be lost: " .. message
end

--- Keep it where what cannot be saved is kept.
-- @tparam cce.kubeconfig kubeconfig
-- @tparam table err why it could not be saved
-- @tparam ?string name of the save
-- @treturn nil
-- @treturn string message, which names the file
-- @treturn table err also `recovered`, its path, when it could be written
function M.recover(kubeconfig, err, name)
  local directory, reason = recovery()
  local ok, path, saved
  if directory then ok, reason = directories.make(directory) end
  if ok then
    path = ("%s/%s-%s.json"):format(directory, kubeconfig.cluster_id or "cluster",
      json_line.new_id())
    saved, reason = kubeconfig:save(path, { name = name, mark = name ~= nil })
  end
  local fields = {}
  for key, value in pairs(err) do fields[key] = value end
  fields.code, fields.message, fields.recovered = nil, nil, saved and path
  local message = saved
    and ("%s; the certificate that was obtained is kept in '%s'"):format(err.message, path)
    or ("%s; the certificate that was obtained is lost: %s"):format(err.message, reason)
  return errors.fail(err.code, message, fields)
end

--- Save it there; what cannot be is recovered.
-- @tparam table destination
-- @tparam cce.kubeconfig kubeconfig
-- @treturn[1] table as `kubeconfig:save` returns it
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err as of `recover`
function M.save(destination, kubeconfig)
  local saved, _, err = kubeconfig:save(destination.path, options_of(destination, false))
  if saved then return saved end
  -- Without a key there is nothing to recover.
  if destination.command then return nil, err.message, err end
  return M.recover(kubeconfig, err, destination.name)
end

return M
