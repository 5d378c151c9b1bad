--- Kubeconfigs into files: one to a file of its own, or many merged into one.
--
-- Internal to @{cce.kubeconfig}. A `state` is what one of its objects holds, with
-- its context and its names as they are to be written.
--
-- @module cce.kubeconfig.save
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local merge = require "cce.kubeconfig.merge"
local read = require "cce.kubeconfig.read"
local store = require "cce.kubeconfig.store"

local M = {}

local saved_meta = {
  __name = "cce.kubeconfig.saved",
  __tostring = function(saved)
    local text = ("%s %s, context %s"):format(
      saved.merged and "merged into" or "saved as", saved.path, saved.context or "none")
    if not saved.current then text = text .. " (the file's current context is another)" end
    return saved.backup and text .. ", the old file is " .. saved.backup or text
  end,
}

-- Under a name of the user's, entries are marked as ours; a context that somebody chose gets the
-- plain name when they are renewed, too.
local function mark_of(state)
  return state.set and { set = state.set, cluster_id = state.cluster_id,
    context = read.text(state.chosen) } or nil
end

local function commit_all(path, items, opts)
  local target, message, err = store.open(path, opts.format)
  if not target then return nil, message, err end
  -- One write for all; those that cannot be merged stay out.
  local results, added = {}, 0
  for i, item in ipairs(items) do
    local state, problem, why = item.state, item.message, item.err
    local ok
    if state then ok, problem, why = store.add(target, state.data, mark_of(state)) end
    if ok then added = added + 1 end
    results[i] = { ok = ok or false, message = problem, err = why }
  end
  if added == 0 then return results end
  local committed
  committed, message, err = store.commit(target, opts)
  if not committed then return nil, message, err end
  for i, result in ipairs(results) do
    if result.ok then
      local context = read.text(items[i].state.data["current-context"])
      result.saved = setmetatable({
        path = target.path, merged = true, backup = committed.backup, context = context,
        current = target.data["current-context"] == context,
      }, saved_meta)
    end
  end
  return results
end

local function locked(path, opts, merges, act)
  local lock, message, code = core.file.lock(path, { timeout = opts.timeout, kubectl = merges })
  if not lock then return errors.from_core(nil, message, code) end
  local ok, result, reason, err = pcall(act)
  lock:close()
  if not ok then error(result, 0) end
  if result == nil then return nil, reason, err end
  return result
end

local function merged(path, state, opts)
  local results, message, err = commit_all(path, { { state = state } }, opts)
  if not results then return nil, message, err end
  return results[1].saved, results[1].message, results[1].err
end

--- The text of a file of its own: it holds the private key.
-- @tparam table state
-- @tparam table opts format and mark, as of `kubeconfig:save`
-- @treturn string
-- @return nil, message, err
function M.text(state, opts)
  local format = opts.format
  if opts.mark then
    return store.encode(merge.alone(state.data, mark_of(state)), format or "json")
  end
  if not format then return state.raw end
  local file = read.file(state.raw)
  if file and file.format == format then return state.raw end
  return store.encode(state.data, format)
end

local function alone(path, state, opts)
  local text, ok, message, err
  if not opts.force then
    ok, message, err = store.check_replaceable(path)
    if not ok then return nil, message, err end
  end
  text, message, err = M.text(state, opts)
  if not text then return nil, message, err end
  ok, message, err = store.write(path, text, opts.trial)
  if not ok then return nil, message, err end
  return setmetatable({
    path = path, merged = false, context = read.text(state.data["current-context"]), current = true,
  }, saved_meta)
end

--- Writes one to a file, which is locked meanwhile.
-- @tparam string path
-- @tparam table state
-- @tparam table opts those of `kubeconfig:save`
-- @treturn table as `kubeconfig:save` returns it
-- @return nil, message, err
function M.one(path, state, opts)
  local save = opts.merge and merged or alone
  return locked(path, opts, opts.merge, function() return save(path, state, opts) end)
end

--- Merges many into a file, in one write. One that cannot be merged stays out.
-- @tparam string path
-- @tparam {table,...} items each { state= }, or message= and err= instead
-- @tparam table opts those of `kubeconfig.merge`
-- @treturn {table,...} in the order of the items { ok=, saved=, message=, err= }
-- @return nil, message, err when nothing could be written
function M.many(path, items, opts)
  return locked(path, opts, true, function() return commit_all(path, items, opts) end)
end

return M
