--- Whose certificates these are, for which cluster, until when, and whether they
-- still work: `cce who`.
-- @module cce.cli.who
-- @local
local probers = require "cce.kubeconfig.prober"
local chosen = require "cce.cli.input.chosen"
local cache = require "cce.exec.cache"
local core = require "cce.core"
local errors = require "cce.error"
local exec = require "cce.kubeconfig.exec"
local joined = require "cce.kubeconfig.joined"
local stored = require "cce.kubeconfig.stored"
local json = require "cce.base.json"
local kubeconfigs = require "cce.kubeconfig"
local names = require "cce.kubeconfig.names"
local probe = require "cce.kubeconfig.probe"
local read = require "cce.kubeconfig.read"
local show = require "cce.text.show"

local M = {}

local MAX_BYTES = 16 * 1024 * 1024

-- ---- what is in a source -------------------------------------------------

local fact_names = { "user_id", "organizations", "serial", "not_before", "not_after",
  "key_matches" }

local function set_facts(row, facts, now)
  for _, name in ipairs(fact_names) do row[name] = facts[name] end
  row.remaining = facts.not_after - now
  row.expired = row.remaining <= 0
  return row
end

local function set_problem(row, message, err)
  row.message, row.err = message, err
  return row
end

-- The first certificate of a PEM text; its key, when that stands beside it.
local function row_of_pem(run, source, text)
  local row = { source = source, holder = "certificate" }
  local key = text:match "%-%-%-%-%-BEGIN [%u ]*PRIVATE KEY%-%-%-%-%-.*"
  local facts, message, code = core.certificate(text, key)
  if not facts then return set_problem(row, message, errors.new(code, message)) end
  return set_facts(row, facts, run.clock())
end

local function new_row(source, context, holder)
  local server = context.server and core.show_address(context.server)
  return { source = source, holder = "certificate", server = server, context = context.name,
    cluster = context.cluster, user = context.user,
    cluster_id = holder and holder.cluster_id, current = context.current or nil }
end

-- The kubeconfig to ask a context's server with: by another context when this
-- one does not verify the server and that one does.
local function to_ask(from, context)
  if context.verifies_tls then return from.config:alone(context.name) end
  for _, each in ipairs(from.contexts) do
    if each.verifies_tls and each.server == context.server and each.user == context.user then
      return from.config:alone(each.name)
    end
  end
  return nil
end

local function row_of_context(run, source, from, context, holder)
  local row = new_row(source, context, holder)
  if not holder then return set_problem(row, "the context names no user that there is") end
  if not holder.facts then return set_problem(row, holder.message, holder.err) end
  row.ask = to_ask(from, context)
  return set_facts(row, holder.facts, run.clock())
end

-- The kubeconfig as kubectl sees it: its own servers and their CA, with the
-- certificate that is kept.
local function with_kept(config, user, kept)
  local data = names.copy(config.data)
  local holder = read.entries(kept.data, "users")[1]
  read.find(data, "users", user).entry.user = holder and holder.body
  local text = json.encode(data)
  return text and kubeconfigs.load(config.path, { text = text })
end

-- What `cce credential` keeps is what kubectl would use there.
local function rows_of_command(run, source, from, context, cluster_id)
  local rows, entries, problem, err = {}, cache.entries(cluster_id)
  for _, entry in ipairs(entries) do
    local row = new_row(source, context)
    row.cluster_id, row.holder, row.kept = cluster_id, "cce credential", entry.path
    local asked = entry.facts and to_ask(from, context)
    row.ask = asked and with_kept(asked, context.user, entry.kubeconfig)
    rows[#rows + 1] = entry.facts and set_facts(row, entry.facts, run.clock())
      or set_problem(row, "what is kept for it cannot be used; the next kubectl obtains another")
  end
  if #rows > 0 then return rows end
  local row = new_row(source, context)
  row.cluster_id, row.holder = cluster_id, "cce credential"
  return { problem and set_problem(row, problem, err) or row }
end

-- `source_of` tells the file of a context.
local function add_kubeconfig(run, source_of, config)
  local holders, from = {}, { config = config, contexts = config:contexts() }
  for _, holder in ipairs(config:certificates()) do holders[holder.user] = holder end
  for _, context in ipairs(from.contexts) do
    -- A user whose certificate `cce credential` gives has none in the file.
    local user = context.user and read.find(config.data, "users", context.user)
    local source = source_of(context.name)
    local cluster_id = user and exec.cluster_of(user.body)
    local rows = cluster_id and rows_of_command(run, source, from, context, cluster_id)
      or { row_of_context(run, source, from, context, holders[context.user]) }
    for _, row in ipairs(rows) do run.rows[#run.rows + 1] = row end
  end
end

local function add_text(run, source, path, text)
  if core.is_pem(text) then
    run.rows[#run.rows + 1] = row_of_pem(run, source, text)
    return
  end
  local before = #run.rows
  local config, message, err = kubeconfigs.load(path, { clock = run.clock, text = text })
  if config then add_kubeconfig(run, function() return source end, config) end
  if #run.rows > before then return end
  message = message or ("there is no context in '%s'"):format(source)
  run.rows[#run.rows + 1] = set_problem({ source = source }, message, err)
end

local function add_source(run, source, opts)
  local is_stdin, text, message, err = source == "-"
  if is_stdin then
    text, message, err = opts.stdin()
  else
    text, message, err = errors.from_core(core.file.read(source, { max = MAX_BYTES }))
  end
  if text then return add_text(run, source, is_stdin and "standard input" or source, text) end
  run.rows[#run.rows + 1] = set_problem({ source = source }, message, err)
end

-- What kubectl sees when no file is named.
local function add_together(run, files)
  local all = joined.read(files, run.clock)
  add_kubeconfig(run, function(context) return all.origin.contexts[context] end, all.config)
  for _, each in ipairs(all.problems) do
    run.rows[#run.rows + 1] = set_problem({ source = each.path }, each.message, each.err)
  end
  if #run.rows > 0 then return end
  local source = table.concat(files, ":")
  run.rows[1] = set_problem({ source = source }, ("there is no context in '%s'"):format(source))
end

-- ---- names ---------------------------------------------------------------

-- Without the permission there are no names.
local function add_names(run, client)
  local by_id, clusters = {}, chosen.names(client)
  for _, list in ipairs { client:list_users() or {}, client:list_agencies() or {} } do
    for _, each in ipairs(list) do by_id[each.id] = each.name end
  end
  for _, row in ipairs(run.rows) do
    row.user_name = row.user_id and by_id[row.user_id]
    row.cluster_name = row.cluster_id and clusters[row.cluster_id]
  end
end

-- ---- whether it still works ----------------------------------------------

local function verdict(row, state, format, ...)
  row.check, row.says = state, format:format(...)
end

local function why_dropped(note)
  return note.principal and ("the certificates of %s were revoked on this machine at %s"):format(
    note.principal, show.time(note.at))
    or ("the cluster's certificates were rotated from this machine at %s"):format(
      show.time(note.at))
end

-- A certificate does not tell why it is refused; this machine may know.
local function why_refused(row, seen)
  if row.expired then
    return verdict(row, "refused", "refused (%s): it expired at %s", seen.text,
      show.time(row.not_after))
  end
  local note = row.cluster_id and cache.dropped(row.cluster_id, row.user_id)
  if note and note.at >= row.not_before then
    return verdict(row, "refused", "refused (%s): %s", seen.text, why_dropped(note))
  end
  verdict(row, "refused", "refused (%s) before its end: it was revoked, or the cluster's"
    .. " certificates were rotated", seen.text)
end

local function judge(row, seen)
  if seen.status == 403 then
    verdict(row, "no rights", "accepted, but without rights there (%s)", seen.text)
  elseif seen.state == "works" then
    verdict(row, "works", "works (%s)", seen.text)
  elseif seen.state == "refused" then
    why_refused(row, seen)
  elseif seen.untrusted then
    verdict(row, "not trusted", "%s", seen.text)
  elseif seen.status then
    verdict(row, "unclear", "the cluster answers %s, which does not tell", seen.text)
  elseif seen.alert then
    verdict(row, "unclear", "%s, which does not tell", seen.text)
  else
    verdict(row, "unreachable", "the cluster cannot be asked: %s", seen.text)
  end
end

-- All that the answer hangs on: who is asked the same is asked once.
local function question_of(config)
  local parts, asked = {}, kubeconfigs.identity(config) or {}
  for i, name in ipairs { "server", "server_name", "proxy", "ca", "certificate", "key" } do
    parts[i] = asked[name] or ""
  end
  return asked.server and table.concat(parts, "\n") or config
end

local function check(run)
  local prober, seen = probers.new(), {}
  for _, row in ipairs(run.rows) do
    local key = row.ask and question_of(row.ask)
    if key then
      seen[key] = seen[key] or probe.look(prober, row.ask)
      judge(row, seen[key])
    elseif row.holder == "cce credential" and not (row.kept or row.message) then
      -- What kubectl would do, and why it has to.
      local note = cache.dropped(row.cluster_id)
      verdict(row, "not kept", "no certificate is kept%s; the next kubectl obtains one",
        note and ": " .. why_dropped(note) or "")
    else
      verdict(row, "not asked", "not asked: %s", row.message
        or row.context and "no context of it verifies the server"
        or "there is no server in it to ask")
    end
  end
  prober.close()
end

-- ---- all of it -----------------------------------------------------------

--- What a row says in a sentence, beside its columns.
-- @tparam table row
-- @treturn ?string
function M.text(row)
  if row.says then return row.says end
  if row.message then return row.message end
  if row.holder == "cce credential" and not row.kept then return "obtained by the next kubectl" end
  if row.expired then return "expired" end
  return row.not_after and stored.until_text(row.not_after) or nil
end

--- Who holds what.
-- @tparam {string,...} sources paths of kubeconfigs and PEM files; "-" is
--   standard input
-- @tparam table opts
-- @tparam[opt] cce.client opts.client who looks up names in IAM; when it may not,
--   there are none
-- @tparam[opt=false] boolean opts.check ask the clusters
-- @tparam[opt=false] boolean opts.together the sources are the files of KUBECONFIG, which
--   are one to kubectl
-- @tparam[opt] function opts.stdin returns what "-" stands for, or nil, message, err
-- @tparam[opt=os.time] function opts.clock
-- @treturn {table,...} one for each context, or PEM: `{source=, context=, cluster=,
--   cluster_id=, cluster_name=, server=, user=, user_id=, user_name=, not_before=, not_after=,
--   remaining=, expired=, key_matches=, holder="certificate"|"cce credential",
--   kept=<path>, message=<what is wrong>, check=, says=, state=}`; `check` is "works",
--   "no rights" (403), "refused" (401, or a TLS alert of the cluster itself), "not
--   trusted", "unreachable", "unclear", "not kept" or "not asked"; `state` is the same
--   or, when it was not asked, "valid", "expired", "unreadable" or "not kept"
function M.look(sources, opts)
  local run = { rows = {}, clock = opts.clock or os.time }
  if opts.together then add_together(run, sources) end
  for _, source in ipairs(opts.together and {} or sources) do add_source(run, source, opts) end
  if opts.client then add_names(run, opts.client) end
  if opts.check then check(run) end
  for _, row in ipairs(run.rows) do
    local is_kept = row.holder ~= "cce credential" or row.kept
    -- What is known without asking the cluster.
    local known = row.message and "unreadable" or not is_kept and "not kept"
      or row.expired and "expired" or "valid"
    row.state = row.check ~= "not asked" and row.check or known
  end
  return run.rows
end

return M
