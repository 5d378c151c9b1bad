--- Kubeconfigs: what is in one, whose it is, and how to keep it.
--
-- A kubeconfig object never changes: `use` and `rename` return new ones. Its
-- fields:
--
-- - `raw`: the text, byte for byte as it came. It holds a private key; it is
--   yours to keep safe.
-- - `data`: the text decoded, to read as a table. Unknown fields are kept, and
--   printing it shows no secret.
-- - `port_id`: the header Port-ID of the answer it came in, or nil.
-- - `cluster_id`: the cluster it was obtained for, or nil when not known.
-- - `path`: the file it was read from, or nil.
--
-- @module cce.kubeconfig
local contexts = require "cce.kubeconfig.contexts"
local core = require "cce.core"
local errors = require "cce.error"
local exec = require "cce.kubeconfig.exec"
local json = require "cce.base.json"
local merge = require "cce.kubeconfig.merge"
local names = require "cce.kubeconfig.names"
local options = require "cce.base.options"
local read = require "cce.kubeconfig.read"
local redact = require "cce.kubeconfig.redact"
local save = require "cce.kubeconfig.save"
local show = require "cce.text.show"
local users = require "cce.kubeconfig.users"
local yaml = require "cce.kubeconfig.syntax.yaml"
local values = require "cce.base.values"

local M = {}

-- What an object holds, by object, so that nothing that lists an object's
-- fields finds a private key.
local state_of = setmetatable({}, { __mode = "k" })

local methods = {}
local meta = { __name = "cce.kubeconfig" }
local fields = { raw = true, data = true, port_id = true, cluster_id = true, path = true }

function meta.__index(self, key)
  if fields[key] then return state_of[self][key] end
  return methods[key]
end

function meta.__newindex(_, key)
  error(("a kubeconfig cannot be changed (field '%s'): use and rename return a new one"):format(
    tostring(key)), 2)
end

local data_meta = { __name = "cce.kubeconfig.data", __tostring = redact.text }

local function new_object(state)
  setmetatable(state.data, data_meta)
  local self = setmetatable({}, meta)
  state_of[self] = state
  return self
end

local function state_for(self, method)
  local state = state_of[self]
  if not state then
    error(("bad argument #1 to '%s' (cce.kubeconfig expected, got %s); call it with a colon")
      :format(method, type(self)), 3)
  end
  return state
end

-- A new object with other data, and the text of it. `changes` may say that its current
-- context was `chosen` (by the user, where it is the name that it had then), and which name its
-- `set` of entries was given.
local function derive(state, data, changes)
  local raw, message = json.encode(data, { pretty = true })
  if not raw then return errors.fail("INVALID_ARGUMENT", message) end
  local problem = read.problem(data) or read.unreadable_byte(raw)
    and "a name or another value in it is not UTF-8, or holds a control character"
  if problem then
    return errors.fail("INVALID_ARGUMENT", "kubectl could not read it: " .. problem)
  end
  local derived = {}
  for key, value in pairs(state) do derived[key] = value end
  for key, value in pairs(changes or {}) do derived[key] = value end
  derived.raw, derived.data = raw, data
  return new_object(derived)
end

---- Making one ----

local parse_schema = {
  port_id = { type = "string" },
  cluster_id = { type = "string" },
  clock = { type = "callable", default = os.time },
}

--- Reads the kubeconfig that the API sent: complete, or an error that says
-- what is missing.
-- @tparam string text JSON
-- @tparam[opt] table opts
-- @tparam[opt] string opts.port_id the answer's header Port-ID
-- @tparam[opt] string opts.cluster_id the cluster it was obtained for
-- @tparam[opt=os.time] function opts.clock gives the unix time
-- @treturn cce.kubeconfig the object
-- @return nil, message, err with the code `RESPONSE_INVALID`
-- @usage
-- local kubeconfig = require "cce.kubeconfig"
-- local parsed, message, err = kubeconfig.parse("{")
-- assert(parsed == nil and err.code == "RESPONSE_INVALID")
function M.parse(text, opts)
  options.argument(text, "string", 1, "parse")
  local checked, invalid, err = options.check(opts, parse_schema)
  if not checked then return nil, invalid, err end
  local data, message = read.json(text)
  message = message or read.strict_problem(data)
  if message then return errors.fail("RESPONSE_INVALID", "not a kubeconfig: " .. message) end
  checked.raw, checked.data = text, data
  return new_object(checked)
end

-- The cluster of the current context, when a merge of ours noted it there.
local function marked_cluster(data)
  local context = read.find(data, "contexts", data["current-context"])
  local mark = context and merge.find_mark(context.body)
  return mark and mark.cluster_id
end

local load_schema = {
  clock = { type = "callable", default = os.time }, text = { type = "string" },
}

local function decode_file(text)
  local file, message, code = read.file(text)
  message = message or read.problem(file.data)
  if message then return nil, message, code or "FILE_ERROR" end
  return file.data
end

--- Reads a kubeconfig file, in JSON or YAML (for YAML, lyaml must be installed:
-- Debian's lua-yaml, or the rock lyaml). Any file that kubectl reads will do.
-- @tparam string path
-- @tparam[opt] table opts
-- @tparam[opt=os.time] function opts.clock gives the unix time
-- @tparam[opt] string opts.text what is in the file, when it was read already;
--   then `path` is only its name
-- @treturn cce.kubeconfig the object
-- @return nil, message, err with the code `FILE_ERROR`, or `MISSING_DEPENDENCY`
-- @usage
-- assert(kubeconfig:save("prod.json"))
-- print(assert(cce.kubeconfig.load("prod.json")))
function M.load(path, opts)
  options.argument(path, "string", 1, "load")
  local checked, invalid, err = options.check(opts, load_schema)
  if not checked then return nil, invalid, err end
  local text, message, code = checked.text, nil, nil
  if not text then text, message, code = core.file.read(path, { max = yaml.MAX_BYTES }) end
  if not text then return errors.from_core(nil, message, code) end
  checked.text = nil
  checked.data, message, code = decode_file(text)
  if not checked.data then
    return errors.fail(code, ("cannot use '%s' as a kubeconfig: %s"):format(path, message))
  end
  checked.raw, checked.path = text, path
  checked.cluster_id = marked_cluster(checked.data)
  return new_object(checked)
end

--- Whether a value is a kubeconfig object.
-- @param value
-- @treturn boolean
-- @usage
-- assert(cce.kubeconfig.is(kubeconfig))
function M.is(value)
  return type(value) == "table" and state_of[value] ~= nil
end

---- Contexts ----

--- The contexts, in the order of the file.
-- @treturn {table,...} each { name=, cluster=, user=, server=, namespace=,
--   verifies_tls=<boolean>, current=<boolean> }; it prints as a table
-- @usage
-- for _, context in ipairs(kubeconfig:contexts()) do print(context.name, context.server) end
-- @function kubeconfig:contexts
function methods.contexts(self)
  return contexts.rows(state_for(self, "contexts").data)
end

--- The same kubeconfig with another current context.
-- @tparam string context its name
-- @treturn cce.kubeconfig a new object; saving it keeps this choice
-- @return nil, message, err with the code `INVALID_ARGUMENT`: there is no such
--   context; the message names those that there are
-- @usage
-- local inside = assert(kubeconfig:use("internal"))
-- assert(inside:save("inside.json"))
-- @function kubeconfig:use
function methods.use(self, context)
  local state = state_for(self, "use")
  options.argument(context, "string", 1, "use")
  if not read.find(state.data, "contexts", context) then
    local known = read.names(state.data, "contexts")
    return errors.fail("INVALID_ARGUMENT", ("there is no context '%s'; there %s"):format(context,
      #known > 0 and "are: " .. table.concat(known, ", ") or "is none at all"))
  end
  local data = names.copy(state.data)
  data["current-context"] = context
  return derive(state, data, {
    chosen = context, cluster_id = marked_cluster(data) or state.cluster_id,
  })
end

-- One context alone, with its cluster and user: to ask the cluster by it. Of a thousand
-- contexts each can have one, which `use` would make a copy of all of.
function methods.alone(self, context)
  local state = state_for(self, "alone")
  local data = {}
  for name, value in pairs(state.data) do data[name] = value end
  data["current-context"] = context
  local found = read.find(data, "contexts", context)
  local parts = { contexts = context, clusters = found.body.cluster, users = found.body.user }
  for section, name in pairs(parts) do
    local part = read.find(state.data, section, name)
    data[section] = part and json.array { part.entry } or nil
  end
  return derive(state, data, { chosen = true, cluster_id = marked_cluster(data)
    or state.cluster_id })
end

local rename_schema = {
  name = { type = "string", non_empty = true },
  context = { type = { "string", "table" } },
  cluster = { type = { "string", "table" } },
  user = { type = { "string", "table" } },
}

local function rename_maps(state, given)
  local data = state.data
  local maps = given.name and names.plan(data, given.name, contexts.secure(state)) or {}
  for _, section in ipairs(read.section_order) do
    local field = read.sections[section]
    local map = given[field]
    if type(map) == "string" then
      -- A string is the new name of the current context's part.
      local current = contexts.current(data)
      local old = current and (section == "contexts" and current.name or current[field])
      if not old then return nil, "it has no current context to rename the " .. field .. " of" end
      map = { [old] = map }
    end
    maps[section] = map or maps[section]
  end
  return maps
end

--- The same kubeconfig with other names in it. Kubeconfigs of all clusters come
-- with the same names: rename them before they are merged.
-- @tparam table opts
-- @tparam[opt] string opts.name names everything: one context, its cluster and
--   its user get this name, all others get it as a prefix ("prod",
--   "prod-internal", ...). The one is the current context, or that which
--   `save` would make current instead
-- @tparam[opt] string|table opts.context the new name of the current context,
--   or a map from old to new names
-- @tparam[opt] string|table opts.cluster the same for clusters
-- @tparam[opt] string|table opts.user the same for users
-- @treturn cce.kubeconfig a new object
-- @return nil, message, err with the code `INVALID_ARGUMENT`: a name that is
--   not there, cannot be one, or would occur twice
-- @usage
-- local named = assert(kubeconfig:rename { name = "prod" })
-- assert(named:save("prod.json"))
-- @function kubeconfig:rename
function methods.rename(self, opts)
  local state = state_for(self, "rename")
  options.argument(opts, "table", 1, "rename")
  local given, invalid, err = options.check(opts, rename_schema)
  if not given then return nil, invalid, err end
  local maps, message = rename_maps(state, given)
  local data
  if maps then data, message = names.apply(state.data, maps) end
  if not data then return errors.fail("INVALID_ARGUMENT", "cannot rename: " .. message) end
  return derive(state, data, { set = given.name })
end

local command_schema = {
  cluster_id = { type = "string", non_empty = true },
  command = { type = "string", non_empty = true, default = "cce" },
  args = { type = "list" },
  api_version = { type = "string", one_of = { "v1", "v1beta1" }, default = "v1" },
}

--- The same kubeconfig without a key: kubectl gets the certificate from the
-- command `cce credential`, which obtains it, keeps it and renews it. Where the
-- servers are and what they are known by stays in the file; a rotation of the
-- cluster may change that, then it is to be obtained again.
-- @tparam[opt] table opts
-- @tparam[opt] string opts.cluster_id by default that which it was obtained for
-- @tparam[opt="cce"] string opts.command found in the PATH, or an absolute path
-- @tparam[opt] {string,...} opts.args more arguments of `cce credential`; never
--   a secret
-- @tparam[opt="v1"] string opts.api_version "v1", for kubectl 1.22 or later, or
--   "v1beta1", for 1.20 and 1.21
-- @treturn cce.kubeconfig a new object
-- @return nil, message, err with the code `INVALID_ARGUMENT`
-- @usage
-- local kubeconfig = assert(client:obtain_cert(cluster_id, { duration = 1 }))
-- assert(assert(kubeconfig:with_command { args = { "--days", "1" } }):save("prod.json"))
-- @function kubeconfig:with_command
function methods.with_command(self, opts)
  local state = state_for(self, "with_command")
  local given, invalid, err = options.check(opts, command_schema)
  if not given then return nil, invalid, err end
  given.cluster_id = given.cluster_id or state.cluster_id
  if not given.cluster_id then
    return errors.fail("INVALID_ARGUMENT",
      "it is not known which cluster this kubeconfig was obtained for: give cluster_id=")
  end
  return derive(state, exec.apply(state.data, given), { cluster_id = given.cluster_id })
end

---- Certificate ----

--- What the client certificate of the current context says.
-- @treturn table { user_id=, organizations=, subject=, issuer=, serial=,
--   not_before=, not_after=, sha256=, key_matches= }; times are unix seconds
-- @return nil, message, err with the code `INVALID_CERTIFICATE`, `INVALID_KEY`,
--   `FILE_ERROR`, or `UNSUPPORTED` when the user has no certificate
-- @usage
-- local facts = assert(kubeconfig:certificate())
-- print(facts.user_id, os.date("!%F", facts.not_after), facts.key_matches)
-- @function kubeconfig:certificate
function methods.certificate(self)
  return users.current_certificate(state_for(self, "certificate"))
end

-- Why a server is not to be asked; its answer would prove nothing.
local function not_verified(cluster)
  if cluster.body["insecure-skip-tls-verify"] == true then
    return ("TLS verification is switched off for cluster '%s' (insecure-skip-tls-verify): anyone"
      .. " could answer"):format(cluster.name)
  elseif not values.lower(cluster.body.server):find "^https://" then
    return ("cluster '%s' is reached by plain HTTP: anyone could answer"):format(cluster.name)
  end
  local name = read.non_empty(cluster.body["tls-server-name"])
  if name and (#name > 253 or name:find "[^%w.:_-]") then
    return ("the tls-server-name of cluster '%s' is no host name"):format(cluster.name)
  end
  return nil
end

-- The proxy of a cluster as libcurl means it: to kubectl every SOCKS proxy resolves the names.
local function proxy_of(cluster)
  local url = read.non_empty(cluster.body["proxy-url"])
  if not url then return nil end
  local scheme, rest = url:match "^(%w+)(://.+)$"
  scheme = scheme and values.lower(scheme)
  if scheme == "http" or scheme == "https" then return scheme .. values.escape_at(rest) end
  if scheme == "socks5" then return "socks5h" .. values.escape_at(rest) end
  return nil, ("the proxy-url of cluster '%s' is no address that begins with http://, https:// or"
    .. " socks5://"):format(cluster.name)
end

-- How the first line of PEM begins and ends to Go, which reads no other form: it stands at
-- the beginning of a line.
local LABELS = { ca = "CERTIFICATE", certificate = "CERTIFICATE", key = "[%u%d ]-PRIVATE KEY" }

local function pem_problem(part, text)
  local pem = text:find("%-%-%-%-%-BEGIN ") and text or core.from_base64((text:gsub("[\r\n]", "")))
  local is_pem = ("\n" .. (pem or "")):find("\n%-%-%-%-%-BEGIN " .. LABELS[part] .. "%-%-%-%-%-")
  if is_pem then return nil end
  return "is no PEM that kubectl reads: a line of it must begin with -----BEGIN"
end

--- Where the current context leads and as whom, for a request of our own. A
-- context that does not verify the server is never taken when another leads
-- there too, as for saving.
-- @tparam cce.kubeconfig self
-- @treturn table { server=, context=, ca=, certificate=, key=, proxy=, server_name= };
--   the three in the middle PEM, or its Base64; without `ca` the system's are meant
-- @return nil, message, err; the code is UNSUPPORTED when it is not to be asked: TLS is
--   not verified, or the user has no certificate
-- @local
function M.identity(self)
  local state = state_for(self, "identity")
  local name = contexts.secure(state)
  local context = name and read.find(state.data, "contexts", name)
  local user, message = users.current(state)
  local cluster = context and read.find(state.data, "clusters", context.body.cluster)
  if not user or not cluster or not read.text(cluster.body.server) then
    return errors.fail("INVALID_CERTIFICATE", message or "the context leads to no server")
  end
  local proxy
  proxy, message = proxy_of(cluster)
  message = not_verified(cluster) or message
  if message then return errors.fail("UNSUPPORTED", message) end
  local identity = {
    server = cluster.body.server, context = name, proxy = proxy,
    server_name = read.non_empty(cluster.body["tls-server-name"]),
  }
  for _, each in ipairs { { "ca", cluster, "certificate-authority" },
    { "certificate", user, "client-certificate" }, { "key", user, "client-key" } } do
    local body, field = each[2].body, each[3]
    if read.non_empty(body[field]) and read.non_empty(body[field .. "-data"]) then
      return errors.fail("INVALID_CERTIFICATE", ("both %s and %s-data stand in '%s': kubectl takes"
        .. " neither"):format(field, field, each[2].name))
    end
    local text, problem, code = users.credential(state, each[2], field)
    if problem then return errors.from_core(nil, problem, code) end
    problem = text and pem_problem(each[1], text)
    if problem then
      return errors.fail("INVALID_CERTIFICATE", ("%s of '%s' %s"):format(field, each[2].name,
        problem))
    end
    identity[each[1]] = text
  end
  if not identity.certificate then
    return errors.fail("UNSUPPORTED", ("user '%s' has no client certificate: %s"):format(user.name,
      users.other_means(user)))
  end
  message = not identity.key and "it has no private key" or users.refusal(state, user)
  if not message then return identity end
  return errors.fail("UNSUPPORTED", ("kubectl cannot use user '%s': %s"):format(user.name, message))
end

--- The client certificate of the current context as it stands there.
-- @tparam cce.kubeconfig self
-- @treturn ?string PEM, or its Base64; nil when there is none
-- @local
function M.certificate_text(self)
  local state = state_for(self, "certificate_text")
  local user = users.current(state)
  return user and users.credential(state, user, "client-certificate") or nil
end

local Certificates = show.list("cce.kubeconfig.certificates", { "USER", "CONTEXT", "" },
  function(entry)
    return { entry.user, entry.context, entry.facts or entry.message }
  end)

--- What the client certificates of all users in it say.
-- @treturn {table,...} each { user=, contexts={names}, context=<the one to
--   name>, cluster=, server=, cluster_id=<where a merge noted it>, facts=<as of
--   `certificate`> }, or instead of facts message= and err=; it prints as a table
-- @usage
-- for _, entry in ipairs(kubeconfig:certificates()) do print(entry.user, entry.context) end
-- @function kubeconfig:certificates
function methods.certificates(self)
  local state = state_for(self, "certificates")
  local found, by_user = {}, contexts.by_user(state.data)
  for i, user in ipairs(read.entries(state.data, "users")) do
    local mark = merge.find_mark(user.body)
    local names_found, row = contexts.to_name(by_user[user.name] or {}, mark and mark.set)
    local facts, message, err = users.certificate(state, user)
    found[i] = {
      user = user.name, contexts = names_found, context = row.name, cluster = row.cluster,
      server = row.server, cluster_id = mark and read.text(mark.cluster_id),
      facts = facts, message = message, err = err,
    }
  end
  return setmetatable(found, Certificates)
end

---- Saving ----

-- The data of an object as it was read. Programs may have changed `data`.
local function is_untouched(state)
  local original = decode_file(state.raw)
  return original ~= nil and json.encode(original) == json.encode(state.data)
end

local save_schema = {
  context = { type = "string" },
  merge = { type = "boolean", default = false },
  name = { type = "string", non_empty = true },
  timeout = { type = "number", min = 0, max = 3600, unit = "seconds", default = 10 },
  backup = { type = "boolean", default = true },
  format = { type = "string", one_of = { "json", "yaml" } },
  mark = { type = "boolean", default = false },
  force = { type = "boolean", default = false },
  trial = { type = "boolean", default = false },
}

-- The object to be written: the context chosen, the names given.
local function prepare(self, opts)
  local state = state_of[self]
  local context = opts.context or contexts.secure(state)
  local result, message, err = self, nil, nil
  -- The current one that is asked for by name is chosen, too: it gets the plain name.
  local is_chosen = context ~= state.data["current-context"] or opts.context and opts.name
  if context and is_chosen then
    result, message, err = self:use(context)
    if result and not opts.context then state_of[result].chosen = true end
  elseif not is_untouched(state) then
    result, message, err = derive(state, names.copy(state.data))
  end
  if result and opts.name then result, message, err = result:rename { name = opts.name } end
  if result == nil then return nil, message, err end
  return result
end

local function unnamed_mark()
  return errors.fail("INVALID_ARGUMENT", "mark needs a name to be known by")
end

local text_schema = {
  context = save_schema.context, name = save_schema.name, format = save_schema.format,
  mark = save_schema.mark,
}

--- The text that `save` would write to a file of its own: it holds the private
-- key.
-- @tparam[opt] table opts context, name, format and mark as for `save`
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @function kubeconfig:text
function methods.text(self, opts)
  state_for(self, "text")
  local given, message, err = options.check(opts, text_schema)
  if not given then return nil, message, err end
  if given.mark and not given.name then return unnamed_mark() end
  local prepared
  prepared, message, err = prepare(self, given)
  if not prepared then return nil, message, err end
  return save.text(state_of[prepared], given)
end

--- Writes the kubeconfig to a file that only its owner may read, atomically,
-- and locked against other writers. A symlink is followed, the file's owner is
-- kept.
--
-- When the context, the names and `data` are as they were read, the text goes
-- out byte for byte. But a current context that does not check the server's
-- certificate, as the API sends it for a cluster with a public address, is
-- replaced by `externalTLSVerify`, or else `internal`, unless the option
-- context or `use` asked for it.
--
-- Merging keeps everything in the file that is not ours, its current context
-- too, and puts the old file beside it as `<path>.bak`. An entry is ours when a
-- merge under the same name made it, or when it is the same in substance; any
-- other that has one of our names is a `CONFLICT`. While it merges, it also
-- holds the lock that kubectl uses, `<path>.lock`; should it be killed just
-- then, the next merge removes that.
--
-- A YAML file is changed only where our entries are: its comments, its order
-- and its layout stay. What cannot be done so (our entries are aliases, or
-- hold a comment that would be lost) is refused, and so is all YAML when lyaml
-- is not installed.
--
-- @tparam string path
-- @tparam[opt] table opts
-- @tparam[opt] string opts.context the context to make current; when merging,
--   the one that gets the plain `name`
-- @tparam[opt=false] boolean opts.merge add to the file instead of replacing it
-- @tparam[opt] string opts.name the name of everything in it, as in `rename`
-- @tparam[opt=false] boolean opts.mark when not merging: note in the file whose
--   it is, as merging does; needs `name`
-- @tparam[opt=false] boolean opts.force when not merging: replace the file whatever
--   it is; without it only a kubeconfig or an empty file is replaced
-- @tparam[opt=10] number opts.timeout seconds to wait for the lock
-- @tparam[opt=true] boolean opts.backup when merging; false: keep no old file
-- @tparam[opt] string opts.format "json" or "yaml", of a file that is not
--   merged into; by default that of the kubeconfig, and JSON for a merge
-- @tparam[opt=false] boolean opts.trial find out whether it would succeed, by all of
--   it but the last step: the file stays as it is
-- @treturn table { path=, context=, current=<is it the file's current one>,
--   merged=<boolean>, backup=<path or nil> }, which prints as a sentence
-- @return nil, message, err with the code `FILE_ERROR`, `TIMEOUT` (the lock),
--   `CONFLICT`, `UNSUPPORTED` or `MISSING_DEPENDENCY` (a YAML file that cannot
--   be merged into; `err.hint` says what to do) or `INVALID_ARGUMENT`
-- @usage
-- assert(kubeconfig:save("prod.json"))
-- assert(kubeconfig:save("fleet.kubeconfig", { merge = true, name = "prod" }))
-- @function kubeconfig:save
function methods.save(self, path, opts)
  state_for(self, "save")
  options.argument(path, "string", 1, "save")
  local given, message, err = options.check(opts, save_schema)
  if not given then return nil, message, err end
  if given.mark and not given.name then return unnamed_mark() end
  local prepared
  prepared, message, err = prepare(self, given)
  if not prepared then return nil, message, err end
  return save.one(path, state_of[prepared], given)
end

local merge_schema = {
  timeout = save_schema.timeout, backup = save_schema.backup, format = save_schema.format,
  trial = save_schema.trial,
}

--- Merges many kubeconfigs into one file, in one write: see `save`. One that
-- cannot be merged stays out and stops no other.
-- @tparam string path
-- @tparam {table,...} items each { kubeconfig=, name=, context= }, as for `save`
-- @tparam[opt] table opts timeout, backup, format and trial as for `save`
-- @treturn {table,...} in the order of the items { ok=, saved=<as of save>,
--   message=, err= }
-- @return nil, message, err when nothing could be written
-- @usage
-- assert(cce.kubeconfig.merge("fleet.kubeconfig", { { kubeconfig = kubeconfig, name = "prod" } }))
function M.merge(path, items, opts)
  options.argument(path, "string", 1, "merge")
  options.argument(items, "table", 2, "merge")
  local given, message, err = options.check(opts, merge_schema)
  if not given then return nil, message, err end
  local prepared = {}
  for i, item in ipairs(items) do
    if type(item) ~= "table" or not M.is(item.kubeconfig) then
      error(("bad item %d (a table with a kubeconfig expected)"):format(i), 2)
    end
    local object, problem, why = prepare(item.kubeconfig, { name = item.name,
      context = item.context })
    prepared[i] = { state = state_of[object], message = problem, err = why }
  end
  return save.many(path, prepared, given)
end

---- Printing ----

function meta.__tostring(self)
  local state = state_of[self]
  local current = contexts.current(state.data)
  local count = show.count(#contexts.rows(state.data), "context")
  local which = current and current.name .. " current" or "none current"
  if current and not current.verifies_tls then which = which .. ", TLS NOT verified" end
  local facts, holder = users.current_certificate(state)
  if facts then
    local date = os.date("!%Y-%m-%d", math.floor(facts.not_after))
    local remaining = facts.not_after - state.clock()
    holder = ("user %s, %s %s (%s)"):format(facts.user_id or "without a name",
      remaining > 0 and "expires" or "expired", date,
      remaining > 0 and "in " .. show.span(remaining) or show.span(-remaining) .. " ago")
    if facts.key_matches == false then holder = holder .. ", its key does NOT match" end
  end
  return ("cce.kubeconfig: %s (%s), %s"):format(count, which, holder)
end

return M
