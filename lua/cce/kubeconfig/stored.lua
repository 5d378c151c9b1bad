--- What is kept of clusters in kubeconfig files, and whether it is still good.
--
-- Shared by `cce.ensure_cert` and `cce.workflow.issue`. An entry is known by
-- the mark that merging and saving leave in it, which names its cluster.
-- @module cce.kubeconfig.stored
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local exec = require "cce.kubeconfig.exec"
local host = require "cce.host"
local kubeconfig = require "cce.kubeconfig"
local merge = require "cce.kubeconfig.merge"
local probe = require "cce.kubeconfig.probe"
local protected = require("cce.host.protect").pcall
local read = require "cce.kubeconfig.read"
local show = require "cce.text.show"

local M = {}

local DAY = 86400

-- The API's -1, five years, in a year that is not a leap year.
local LONGEST_DAYS = 1825

local POLL_SECONDS = 0.05

--- Options that say how long a certificate lives, for a schema.
M.schema = {
  duration = { type = "integer", min = -1, max = 1827, unit = "days" },
  expire_at = { type = "number" },
  min_remaining = { type = "number", min = 0, unit = "seconds" },
  renew = { type = "boolean", default = false },
  timeout = { type = "number", min = 0, max = 3600, default = 120, unit = "seconds" },
  check = { type = "boolean", default = true },
}

--- When a certificate is due.
-- @tparam table opts checked
-- @tparam number now unix time
-- @treturn[1] table `{now=, min_remaining=, renew=, fields=<for obtain_cert>}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.rule(opts, now)
  if not opts.duration and not opts.expire_at then
    return errors.fail("INVALID_ARGUMENT",
      "give duration (days) or expire_at (unix time): no lifetime is taken silently")
  end
  local lifetime = opts.expire_at and opts.expire_at - now
    or (opts.duration == -1 and LONGEST_DAYS or opts.duration) * DAY
  local least = opts.min_remaining or math.max(0, math.min(7 * DAY, lifetime / 3))
  -- A moment that has passed is for obtain_cert to refuse.
  if opts.min_remaining and lifetime > 0 and least >= lifetime then
    return errors.fail("INVALID_ARGUMENT", ("min_remaining is %.0f seconds, but a new certificate"
      .. " lives for %.0f: every call would obtain another one"):format(least, lifetime))
  end
  return {
    now = now, min_remaining = least, renew = opts.renew,
    fields = { duration = opts.duration, expire_at = opts.expire_at },
  }
end

-- ---- what a file holds ---------------------------------------------------

local function add_cluster(holdings, context, by_command)
  local mark = merge.find_mark(context.body)
  if not mark or type(mark.cluster_id) ~= "string" or type(mark.set) ~= "string" then
    holdings.others = true
    return
  end
  -- The context with the plain name is the one to use; of two sets, that with a key, which ends.
  local known, is_better = holdings.by_id[mark.cluster_id], context.name == mark.set
  local is_command = by_command[context.body.user or ""] == mark.cluster_id
  if known and known.is_command ~= is_command then is_better = known.is_command end
  if not known or is_better then
    holdings.by_id[mark.cluster_id] = { set = mark.set, context = context.name,
      cluster = context.body.cluster, is_command = is_command, chosen = mark.context }
  end
end

--- Reads a file.
-- @tparam string path
-- @tparam function clock
-- @treturn[1] table `{path=, config=<nil when there is no file>, by_id={[cluster
--   id]={set=, context=, cluster=, is_command=, chosen=}}, clusters={[name]=true},
--   names={[context or set]=cluster id or false},
--   commands={[cluster id]=true where kubectl asks `cce credential`, and no set of ours has a
--   key},
--   others=<whether there are contexts that are not ours>}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.read(path, clock)
  local info, message, code = core.file.stat(path)
  if info == nil then return errors.from_core(nil, message, code) end
  local holdings = { path = path, by_id = {}, clusters = {}, names = {}, commands = {} }
  if not info or info.size == 0 then return holdings end
  local config, reason, err = kubeconfig.load(path, { clock = clock })
  if not config then return nil, reason, err end
  holdings.config = config
  local by_command = {}
  for _, section in ipairs(read.section_order) do
    for _, each in ipairs(read.entries(config.data, section)) do
      local mark = merge.find_mark(each.body)
      holdings.names[each.name] = mark and mark.cluster_id or false
      if section == "clusters" then holdings.clusters[each.name] = true end
      if section == "contexts" then add_cluster(holdings, each, by_command) end
      local id = section == "users" and exec.cluster_of(each.body)
      if id then holdings.commands[id], by_command[each.name] = true, id end
    end
  end
  for id, entry in pairs(holdings.by_id) do
    holdings.commands[id] = entry.is_command or nil
  end
  return holdings
end

--- How a certificate's end reads in a sentence.
-- @tparam number not_after
-- @treturn string
function M.until_text(not_after)
  return "valid until " .. show.time(not_after)
end

--- Why a kubeconfig must be obtained anew; nil when it need not.
-- @tparam ?table facts of its certificate
-- @tparam ?string message why there are none
-- @tparam table rule of @{rule}
-- @treturn ?string
function M.due(facts, message, rule)
  if not facts then return message end
  if facts.key_matches == false then return "its key does not match its certificate" end
  if facts.key_matches == nil then return "it has no private key" end
  -- A beginning in the future means that the clocks differ, or that another
  -- process was faster just now: a new one would begin no earlier.
  local remaining = facts.not_after - rule.now
  if remaining <= 0 then return "it has expired" end
  if remaining < rule.min_remaining then return "it ends soon" end
  return rule.renew and "a new one is asked for" or nil
end

--- The kubeconfig of a cluster in a file, its context chosen.
-- @tparam table holdings of @{read}
-- @tparam string cluster_id
-- @treturn ?cce.kubeconfig
function M.of(holdings, cluster_id)
  local entry = holdings.by_id[cluster_id]
  return entry and holdings.config:use(entry.context)
end

--- The same without the others that are in the file: to ask the cluster by it.
-- @tparam table holdings of @{read}
-- @tparam string cluster_id
-- @treturn ?cce.kubeconfig
function M.alone(holdings, cluster_id)
  local entry = holdings.by_id[cluster_id]
  return entry and holdings.config:alone(entry.context)
end

--- The facts of a cluster's certificate in a file, without a copy of it all.
-- @tparam table holdings of @{read}
-- @tparam string cluster_id
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string why there are none
function M.facts_of(holdings, cluster_id)
  local entry = holdings.by_id[cluster_id]
  if not entry then return nil, "there is none yet" end
  if not holdings.clusters[entry.cluster] then
    return nil, "its context names no cluster that there is"
  end
  if not holdings.holders then
    local by_context = {}
    for _, each in ipairs(holdings.config:certificates()) do
      for _, context in ipairs(each.contexts) do by_context[context] = each end
    end
    holdings.holders = by_context
  end
  local holder = holdings.holders[entry.context]
  if not holder then return nil, "its context names no user that there is" end
  return holder.facts, holder.message
end

-- ---- asking the cluster ---------------------------------------------------

-- A short look: who is out of reach must not hold up a run.
local function answer_of(seen)
  if seen.state == "works" then return { state = "works", text = seen.text } end
  if seen.state == "refused" then
    return { state = "refused", text = "the cluster refuses it (" .. seen.text .. ")" }
  elseif seen.untrusted then
    return { state = "untrusted", text = "it does not trust the cluster: " .. seen.text }
  end
  return { state = "not asked", text = seen.text }
end

--- Ask the cluster once whether it takes a kubeconfig.
-- @tparam cce.client client
-- @tparam cce.kubeconfig config
-- @treturn table `{state=, text=}`; state is "works", "refused", "untrusted" (by the
--   kubeconfig, of the cluster) or "not asked": it gave no answer
function M.ask(client, config)
  return answer_of(probe.look(client, config))
end

--- Why the cluster's answer makes it due; nil when it does not.
-- @tparam ?table answer of @{ask}
-- @treturn ?string
function M.refusal(answer)
  local is_refusal = answer and (answer.state == "refused" or answer.state == "untrusted")
  return is_refusal and answer.text or nil
end

--- Ask the cluster about a new one, until it works or has had its time to learn of it.
-- A cluster that gives no answer is asked once.
-- @tparam cce.client client
-- @tparam cce.kubeconfig config
-- @treturn[1] table as of @{ask}
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err the cluster refuses it, or it does not trust the cluster
function M.ask_new(client, config)
  local answer = M.ask(client, config)
  if M.refusal(answer) then answer = answer_of(probe.wait_until(client, config, "works")) end
  if not M.refusal(answer) then return answer end
  return errors.fail("INVALID_CERTIFICATE", ("a new certificate was obtained and saved, but %s; no"
    .. " second one is obtained"):format(answer.text), { retryable = false })
end

-- ---- obtaining -----------------------------------------------------------

--- Obtains, and checks that what came can be used.
-- @tparam cce.client client
-- @tparam string cluster_id
-- @tparam table rule
-- @treturn[1] cce.kubeconfig
-- @treturn[1] table the facts of its certificate
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.obtain(client, cluster_id, rule)
  local config, message, err = client:obtain_cert(cluster_id, rule.fields)
  if not config then return nil, message, err end
  local facts
  facts, message, err = config:certificate()
  if not facts then return nil, message, err end
  if facts.key_matches == false then
    return errors.fail("KEY_MISMATCH", ("obtain_cert cluster %s: the private key does not belong"
      .. " to the certificate"):format(cluster_id), { operation = "obtain_cert" })
  end
  return config, facts
end

--- The context that is to get the plain name again, where the cluster still has it.
-- @tparam ?table entry of `holdings.by_id`
-- @tparam cce.kubeconfig config that was obtained
-- @treturn ?string
function M.chosen(entry, config)
  local found = entry and read.find(config.data, "contexts", entry.chosen)
  return found and found.name
end

local function take_lock(path, timeout)
  local deadline = core.sys.monotonic() + timeout
  while true do
    -- A lock of its own: the file's lock is taken for each write. And no
    -- waiting inside of it, which would hold up the other coroutines.
    local lock, message, code = core.file.lock(path .. ".renewal", { timeout = 0 })
    if code ~= "TIMEOUT" then return lock, message, code end
    if core.sys.monotonic() >= deadline then
      return nil, ("another process is renewing '%s' for longer than %g s"):format(path, timeout),
        "TIMEOUT"
    end
    host.sleep(POLL_SECONDS)
  end
end

--- Calls a function while no other process renews this file.
-- @tparam string path
-- @tparam number timeout seconds to wait for the other
-- @tparam function act
-- @return what `act` returns, up to three values; or nil, message, err
function M.locked(path, timeout, act)
  local lock, message, code = take_lock(path, timeout)
  if not lock then return errors.from_core(nil, message, code) end
  local ok, first, second, third = protected(act)
  lock:close()
  if not ok then error(first, 0) end
  return first, second, third
end

return M
