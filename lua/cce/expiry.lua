--- Who holds which certificates, for which cluster, until when: `cce.expiry`.
-- @module cce.expiry
local probers = require "cce.kubeconfig.prober"
local core = require "cce.core"
local errors = require "cce.error"
local exec = require "cce.kubeconfig.exec"
local joined = require "cce.kubeconfig.joined"
local kubeconfigs = require "cce.kubeconfig"
local map = require "cce.map"
local options = require "cce.base.options"
local read = require "cce.kubeconfig.read"
local show = require "cce.text.show"
local stored = require "cce.kubeconfig.stored"
local tables = require "cce.text.table"
local values = require "cce.base.values"
local width = require "cce.text.width"

local DAY, HOUR, MINUTE = 86400, 3600, 60

local schema = {
  clock = { type = "callable", default = os.time },
  check = { type = "boolean", default = false },
  kept = { type = "callable" },
  together = { type = "boolean", default = false },
}

-- Clusters that are asked at a time.
local CONCURRENCY = 20

-- ---- from paths to files -------------------------------------------------

local function files_of(pattern)
  local paths, message, code = core.file.glob(pattern)
  if not paths then return errors.from_core(nil, message, code) end
  local files = {}
  for _, path in ipairs(paths) do
    local info = core.file.stat(path)
    if not info or info.type ~= "directory" then files[#files + 1] = path end
  end
  table.sort(files)
  return files
end

local function files_in(directory)
  local all, message, err = files_of((values.pattern_of(directory):gsub("/*$", "/*")))
  if not all then return nil, message, err end
  local files = {}
  for _, path in ipairs(all) do
    -- Such files this library, kubectl or an editor keeps beside a kubeconfig.
    local is_beside = path:find("%.bak$") or path:find("%.lock$") or path:find("~$")
    if not is_beside then files[#files + 1] = path end
  end
  return files
end

local function expand(path)
  local info, message, code = core.file.stat(path)
  if info and info.type == "directory" then return files_in(path) end
  if info then return { path } end
  if info == nil then return errors.from_core(nil, message, code) end
  local files, reason, err = {}, nil, nil
  if path:find("[%*%?%[]") then files, reason, err = files_of(path) end
  if files and #files == 0 then
    return errors.fail("FILE_ERROR", ("there is no '%s'"):format(path))
  end
  return files, reason, err
end

-- ---- from files to entries -----------------------------------------------

local function bad(path, message, err)
  return { path = path, message = message, err = err }
end

local fact_names = {
  "user_id", "organizations", "serial", "not_before", "not_after", "key_matches",
}

local holder_names = {
  "user", "context", "contexts", "cluster", "cluster_id", "message", "err",
}

-- An address may hold a password.
local function shown(server)
  return server and core.show_address(server)
end

local function entry_of(path, holder, now)
  local entry, facts = { path = path, server = shown(holder.server) }, holder.facts
  for _, name in ipairs(holder_names) do entry[name] = holder[name] end
  if facts then
    for _, name in ipairs(fact_names) do entry[name] = facts[name] end
    entry.remaining = facts.not_after - now
    entry.expired = entry.remaining <= 0
  end
  return entry
end

-- What `cce credential` keeps is what kubectl would use there.
local function entries_of_command(path, holder, cluster_id, opts)
  local entries, list, problem, err = {}, {}, nil, nil
  if opts.kept then list, problem, err = opts.kept(cluster_id) end
  for _, kept in ipairs(list) do
    if kept.facts then
      local entry = entry_of(path, { user = holder.user, context = holder.context,
        contexts = holder.contexts, cluster = holder.cluster, server = holder.server,
        cluster_id = cluster_id, facts = kept.facts }, opts.clock())
      entry.holder, entry.kept = "cce credential", kept.path
      entry.ask = function() return kept.kubeconfig end
      entries[#entries + 1] = entry
    end
  end
  if #entries > 0 then return entries end
  return { { path = path, user = holder.user, context = holder.context,
    contexts = holder.contexts, cluster = holder.cluster, server = shown(holder.server),
    cluster_id = cluster_id, holder = "cce credential", err = err,
    message = problem or "no certificate is kept; the next kubectl obtains one" } }
end

-- A user with a token or another command expires in no way that a file could tell.
local function entries_of_holder(path, config, holder, opts)
  if holder.facts then
    local entry = entry_of(path, holder, opts.clock())
    entry.ask = entry.context and function() return config:alone(entry.context) end or nil
    return { entry }
  end
  if holder.err.code ~= "UNSUPPORTED" then return { entry_of(path, holder, opts.clock()) } end
  local cluster_id = exec.cluster_of(read.find(config.data, "users", holder.user).body)
  return cluster_id and entries_of_command(path, holder, cluster_id, opts) or {}
end

-- `path_of` tells the file of a user.
local function entries_of_config(config, path_of, path, opts)
  local entries, holders = {}, config:certificates()
  for _, holder in ipairs(holders) do
    for _, entry in ipairs(entries_of_holder(path_of(holder.user), config, holder, opts)) do
      entries[#entries + 1] = entry
    end
  end
  -- One whose users all have something else can be used: each is named, without an end.
  for i = 1, #entries == 0 and #holders or 0 do
    entries[i] = entry_of(path_of(holders[i].user), holders[i])
    entries[i].err = nil
  end
  if #entries > 0 then return entries end
  local message = ("there is no client certificate in '%s'"):format(path)
  return { bad(path, message, errors.new("INVALID_CERTIFICATE", message)) }
end

local function entries_of(path, opts)
  local config, message, err = kubeconfigs.load(path, { clock = opts.clock })
  if not config then return { bad(path, message, err) } end
  return entries_of_config(config, function() return path end, path, opts)
end

local function entries_together(paths, opts)
  local all = joined.read(paths, opts.clock)
  local entries = {}
  if #all.problems < #paths then
    entries = entries_of_config(all.config, function(user) return all.origin.users[user] end,
      table.concat(paths, ":"), opts)
  end
  for _, each in ipairs(all.problems) do
    entries[#entries + 1] = bad(each.path, each.message, each.err)
  end
  return entries
end

local function collect(paths, opts)
  if opts.together then return entries_together(paths, opts) end
  local entries, seen = {}, {}
  for _, path in ipairs(paths) do
    local files, message, err = expand(path)
    if not files then entries[#entries + 1] = bad(path, message, err) end
    for _, file in ipairs(files or {}) do
      for _, entry in ipairs(seen[file] and {} or entries_of(file, opts)) do
        entries[#entries + 1] = entry
      end
      seen[file] = true
    end
  end
  return entries
end

local function is_before(a, b)
  local a_end, b_end = a.not_after or math.huge, b.not_after or math.huge
  if a_end ~= b_end then return a_end < b_end end
  if a.path ~= b.path then return a.path < b.path end
  return (a.user or "") < (b.user or "")
end

-- ---- printing ------------------------------------------------------------

local function left(seconds)
  if seconds <= 0 then return "EXPIRED" end
  if seconds >= 2 * DAY then return ("%d d"):format(math.floor(seconds / DAY)) end
  if seconds >= 2 * HOUR then return ("%d h"):format(math.floor(seconds / HOUR)) end
  return ("%d min"):format(math.floor(seconds / MINUTE))
end

local key_words = { [true] = "matches", [false] = "DOES NOT MATCH" }

-- Files are written by others: no control character of theirs may reach a
-- terminal.
local function clean(text)
  return width.clean_line(text, "-")
end

local function problem_line(entry)
  local message = clean(entry.message)
  if message:find(clean(entry.path), 1, true) then return message end
  return clean(entry.path) .. ": " .. message
end

local titles = { "UNTIL", "LEFT", "USER", "CONTEXT", "CLUSTER", "KEY", "FILE" }

-- An entry alone reads as a sentence.
local entry_meta = {
  __name = "cce.expiry.entry",
  __tostring = function(entry)
    if entry.err or not entry.not_after then return problem_line(entry) end
    return ("user %s in %s until %s (%s), key %s, %s"):format(clean(entry.user_id),
      clean(entry.context or entry.user), show.time(entry.not_after), left(entry.remaining),
      key_words[entry.key_matches] or "missing", clean(entry.path))
  end,
}

local list_meta = {
  __name = "cce.expiry",
  __tostring = function(list)
    local rows, problems = {}, {}
    for _, entry in ipairs(list) do
      if entry.err then
        problems[#problems + 1] = problem_line(entry)
      else
        rows[#rows + 1] = {
          entry.not_after and show.time(entry.not_after) or "-",
          entry.remaining and left(entry.remaining) or "-", clean(entry.user_id),
          clean(entry.context or entry.user), clean(entry.server),
          key_words[entry.key_matches] or entry.not_after and "no key" or "-", clean(entry.path),
        }
      end
    end
    if #rows > 0 then table.insert(problems, 1, tables.text(titles, rows)) end
    return #problems > 0 and table.concat(problems, "\n") or "no certificates"
  end,
}

--- Whose certificates are in these kubeconfigs, for which cluster, until when.
--
-- A file that cannot be used becomes an entry with `message` and `err`, after
-- all others. Users with a token, or a command that is not ours, are left out where others
-- have certificates, else they are entries with a `message` alone. One whose certificate
-- `cce credential` gives has no end that the file could tell.
-- @tparam string|{string,...} paths files, directories (each of their files
--   that is not hidden) and patterns such as "team/*/*.json"
-- @tparam[opt] table opts
-- @tparam[opt=os.time] function opts.clock gives the unix time
-- @tparam[opt=false] boolean opts.check ask each cluster once whether it takes the
--   certificate: entries get `check`, which is "works", "refused", "untrusted" or "not
--   asked", and `says`, a sentence
-- @tparam[opt=false] boolean opts.together the paths are files that belong together, as those
--   of KUBECONFIG do to kubectl: the first to have a name wins, and a context in one may
--   name a user in another
-- @tparam[opt] function opts.kept of a cluster id: what `cce credential` keeps for it, a
--   list of `{path=, kubeconfig=, facts=}`, or an empty one, a message and an error; such
--   entries have `holder` and `kept`
-- @treturn {table,...} sorted by expiry; each { path=, user=<name in the
--   file>, user_id=, organizations=, context=, contexts=, cluster=, server=<without
--   a password or a query>, cluster_id=<when known>, serial=, not_before=, not_after=,
--   remaining=<seconds>, expired=, key_matches= } or { path=, message=, err= };
--   it prints as a table
-- @return nil, message, err with the code `UNSUPPORTED`: `check`, where no call can wait
-- @usage
-- print(cce.expiry { "kubeconfigs", os.getenv "HOME" .. "/.kube/config" })
local function expiry(paths, opts)
  options.argument(paths, { "string", "list" }, 1, "expiry", 3)
  if type(paths) == "string" then paths = { paths } end
  for i, path in ipairs(paths) do
    if type(path) ~= "string" then
      error(("bad argument #1 to 'expiry' (path %d is a %s)"):format(i, type(path)), 3)
    end
  end
  local checked, message, err = options.check(opts, schema, 3)
  if not checked then return nil, message, err end
  local entries = collect(paths, checked)
  if checked.check then
    local prober, asked = probers.new(), {}
    for _, entry in ipairs(entries) do
      if entry.ask then asked[#asked + 1] = entry end
    end
    local answers
    answers, message, err = map(asked, function(entry)
      local answer = stored.ask(prober, entry.ask())
      entry.check, entry.says = answer.state, answer.text
    end, { concurrency = CONCURRENCY })
    prober.close()
    if not answers then return nil, message, err end
  end
  table.sort(entries, is_before)
  for _, entry in ipairs(entries) do
    entry.ask = nil
    setmetatable(entry, entry_meta)
  end
  return setmetatable(entries, list_meta)
end

return expiry
