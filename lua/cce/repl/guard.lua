--- What the prompt hands out: the library, where what destroys asks first.
--
-- The library itself never asks. Here `cce` is a table that reads through to the
-- module, and methods are put before those of the class in the one object that
-- is handed out. What the library calls within an answered call is not asked
-- again.
-- @module cce.repl.guard
-- @local
local errors = require "cce.error"
local identity = require "cce.api.identity"
local protect = require "cce.host.protect"
local show = require "cce.text.show"

local M = {}

local Guard = {}
Guard.__index = Guard

-- ---- what is asked -------------------------------------------------------------

-- Each question returns what will happen, and the word that lets it, which is the command's:
-- see `cce revoke` and `cce rotate`.
local REVOKE, ROTATE, RUN = "REVOKE", "ROTATE", "RUN"

local function cluster_text(id)
  return type(id) == "string" and " of cluster " .. id or ""
end

local function whose(opts)
  opts = type(opts) == "table" and opts or {}
  if opts.user_id then return "user " .. tostring(opts.user_id) end
  if opts.agency_id then return "agency " .. tostring(opts.agency_id) end
  if opts.deleted_since then return "everyone who was deleted since then" end
  return "the holder"
end

local function which_clusters(opts)
  local clusters = type(opts) == "table" and opts.clusters
  if type(clusters) ~= "table" then return "the clusters that are chosen" end
  if #clusters > 0 then return show.count(#clusters, "cluster") end
  return ("clusters named %s"):format(tostring(clusters.name or "*"))
end

local function is_dry(opts)
  return type(opts) == "table" and opts.dry_run == true
end

-- A person who would cut their own certificates is told so, and types another word.
local function revocation(client, opts, where)
  local id = type(opts) == "table" and (opts.user_id or opts.agency_id)
  if type(client) == "table" and not client.config then client = client[1] end
  local ok, caller = protect.catch(identity.of, id and client)
  local is_self = ok and caller and caller.id == id
  return ("This cuts all certificates of %s%s.%s It cannot be undone."):format(whose(opts), where,
    is_self and " This is you." or ""), is_self and "REVOKE MYSELF" or REVOKE
end

local CLIENT = {
  revoke_cert = function(client, id, opts)
    return revocation(client, opts, id and " in cluster " .. tostring(id) or "")
  end,
  rotate_credentials = function(_, id)
    return ("This rotates the certificates%s: who holds old ones is cut off.")
      :format(cluster_text(id)), ROTATE
  end,
}

local WORKFLOW = {
  revoke = function(clients, opts)
    if is_dry(opts) then return nil end
    return revocation(clients, opts, " in " .. which_clusters(opts))
  end,
  grant = function(_, _, opts)
    if type(opts) ~= "table" or not opts.allow_self then return nil end
    return "This hands out your own identity, and cuts all that you hold there at its end.",
      "MYSELF"
  end,
  rotate = function(_, opts)
    if is_dry(opts) then return nil end
    return ("This rotates the certificates of %s: who holds old ones is cut off.")
      :format(which_clusters(opts)), ROTATE
  end,
}

local SCHEDULE = {
  revoke_at = function(_, _, what)
    return ("This will cut all certificates of %s%s.")
      :format(whose(what), cluster_text(type(what) == "table" and what.cluster_id)), REVOKE
  end,
  rotate_at = function(_, _, what)
    return ("This will rotate the certificates%s at that time.")
      :format(cluster_text(type(what) == "table" and what.cluster_id)), ROTATE
  end,
  rotate_every = function(_, _, what)
    return ("This will rotate the certificates%s again and again.")
      :format(cluster_text(type(what) == "table" and what.cluster_id)), ROTATE
  end,
  hasten = function()
    return "This makes it due now: what it revokes is cut as soon as the schedule runs.", REVOKE
  end,
  run = function()
    return "This does what is due in the schedule: it revokes and rotates.", RUN
  end,
}

-- ---- asking ----------------------------------------------------------------------

local function leave(task, ok, ...)
  task.answered = task.answered - 1
  if not ok then error((...), 0) end
  return ...
end

local function wrapped(self, name, original, question)
  local function wrapper(...)
    local task = self.task()
    local text, word
    if not (task.answered and task.answered > 0) then text, word = question(...) end
    if text and self.wanted() and not self.ask(text, word) then
      return errors.fail("CANCELLED", name .. ": not confirmed, nothing was sent", {
        operation = name, retryable = true, maybe_applied = false, attempts = 0,
        hint = "repl.confirm = false, or cce repl --yes, asks no more",
      })
    end
    task.answered = (task.answered or 0) + 1
    return leave(task, protect.pcall(original, ...))
  end
  self.originals[wrapper] = original
  return wrapper
end

local function wrap_methods(self, object, questions)
  for name, question in pairs(questions) do
    local original = object[name]
    if type(original) == "function" and not self.originals[original] then
      rawset(object, name, wrapped(self, name, original, question))
    end
  end
  return object
end

--- Let a client ask.
-- @tparam cce.client client
-- @treturn cce.client the same
function Guard:client(client)
  return wrap_methods(self, client, CLIENT)
end

-- What makes objects that must ask, too.
local function making(self, original, questions)
  local function wrapper(...)
    local object, message, err = original(...)
    if not object then return nil, message, err end
    return wrap_methods(self, object, questions)
  end
  self.originals[wrapper] = original
  return wrapper
end

local function through(module, own)
  local meta = getmetatable(module) or {}
  return setmetatable(own, { __index = module, __tostring = meta.__tostring })
end

--- The library to hand out.
-- @tparam table cce
-- @tparam function progress what `cce.progress` is here
-- @treturn table
function Guard:library(cce, progress)
  local workflow = {}
  for name, question in pairs(WORKFLOW) do
    workflow[name] = wrapped(self, name, cce.workflow[name], question)
  end
  local own = { new = making(self, cce.new, CLIENT), workflow = through(cce.workflow, workflow),
    progress = progress }
  self.originals[progress] = cce.progress
  if cce.schedule then
    own.schedule = through(cce.schedule, { open = making(self, cce.schedule.open, SCHEDULE) })
  end
  return through(cce, own)
end

--- What a function that was handed out wraps; itself when it wraps none.
-- @tparam function fn
-- @treturn function
function Guard:original(fn)
  return self.originals[fn] or fn
end

--- Make one.
-- @tparam table opts `ask(text, word)` → boolean; `wanted()` → whether to ask at all;
--   `task()` → a table that lives as long as what runs
-- @treturn table
function M.new(opts)
  return setmetatable({ ask = opts.ask, wanted = opts.wanted, task = opts.task,
    originals = setmetatable({}, { __mode = "k" }) }, Guard)
end

return M
