--- Credentials for kubectl: what `cce credential` answers.
--
-- kubectl and every other client-go program start a command that a kubeconfig
-- names, and take a certificate and its key from what that prints: the protocol
-- client.authentication.k8s.io, versions v1 and v1beta1.
-- @module cce.exec
-- @local
local authority = require "cce.kubeconfig.authority"
local cache = require "cce.exec.cache"
local core = require "cce.core"
local ensure = require "cce.ensure"
local errors = require "cce.error"
local stored = require "cce.kubeconfig.stored"
local json = require "cce.base.json"
local kubeconfigs = require "cce.kubeconfig"
local options = require "cce.base.options"
local paths = require "cce.kubeconfig.paths"
local probe = require "cce.kubeconfig.probe"
local times = require "cce.base.times"
local values = require "cce.base.values"

local M = {}

local GROUP = "client.authentication.k8s.io/"
local KIND = "ExecCredential"

--- The versions of the protocol that are spoken.
M.versions = { "v1", "v1beta1" }

-- ---- what kubectl asks ---------------------------------------------------

local HINT = "It is meant to be started by kubectl, from a kubeconfig that `cce obtain --exec`"
  .. " wrote"

local function refuse(message, hint)
  return errors.fail("INVALID_ARGUMENT", "KUBERNETES_EXEC_INFO " .. message, {
    retryable = false, hint = hint or HINT,
  })
end

--- Read the variable in which kubectl says what it wants.
-- @tparam ?string text of KUBERNETES_EXEC_INFO
-- @tparam[opt] string fallback the version where it is not set: "v1" or "v1beta1"
-- @treturn[1] string the apiVersion to answer in
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.request(text, fallback)
  if not text or text == "" then
    if fallback then return GROUP .. fallback end
    return refuse "is not set"
  end
  local asked, message = json.decode(text)
  if type(asked) ~= "table" then return refuse("is no JSON object: " .. (message or "a value")) end
  -- Some clients leave it out.
  if asked.kind ~= nil and asked.kind ~= json.null and asked.kind ~= KIND then
    return refuse("is of another kind than " .. KIND)
  end
  local version = asked.apiVersion
  if type(version) ~= "string" then return refuse "has no apiVersion" end
  for _, each in ipairs(M.versions) do
    if version == GROUP .. each then return version end
  end
  local shown = version:sub(1, 60):gsub("[%c\127-\255]", "?")
  return refuse(("asks for %s, but only %s are spoken"):format(shown, GROUP
    .. table.concat(M.versions, " and ")), "Set apiVersion in users[].user.exec of the kubeconfig:"
    .. " v1 from kubectl 1.22 on, v1beta1 for 1.20 and 1.21")
end

-- ---- obtaining, or taking what is kept -----------------------------------

local schema = {
  duration = stored.schema.duration,
  expire_at = stored.schema.expire_at,
  min_remaining = stored.schema.min_remaining,
  timeout = stored.schema.timeout,
  on_warning = { type = "callable" },
}

-- What is kept is used up to here when no other can be had; seconds.
local LAST_USE = 60

-- kubectl waits: a file that another process has locked is mended another time; seconds.
local MEND_TIMEOUT = 1

-- A revocation while one obtains is rare; two in a row are not to be expected.
local MOST_ATTEMPTS = 3

-- Asked for again so soon, it may be because kubectl got 401; seconds.
local SOON = 60

local function warn(job, format, ...)
  if job.opts.on_warning then job.opts.on_warning(format:format(...)) end
end

-- The kubeconfig in the file; false when there is none; nil when the file is
-- not what we write, or has no certificate and key that kubectl could use.
local function kept(job, path)
  local holdings = stored.read(path, job.client.clock)
  if not holdings then return nil end
  if not holdings.config then return false end
  local config = stored.of(holdings, job.cluster_id)
  return config and kubeconfigs.identity(config) and config
end

local function remove(path)
  local removed, reason = cache.remove(path)
  if removed then return true end
  return errors.fail("FILE_ERROR", "cannot remove what cannot be used: " .. tostring(reason))
end

-- Looked at again under the lock: another process may have mended it.
local function remove_broken(job, path)
  if kept(job, path) ~= nil then return true end
  return stored.locked(path, job.opts.timeout, function()
    if kept(job, path) ~= nil then return true end
    warn(job, "what was kept in '%s' cannot be used, and is obtained again", path)
    return remove(path)
  end)
end

-- Another process, or another machine, may have ended it: then the cluster refuses
-- it, or shows a CA that it does not know. What is that new is not replaced for the
-- latter: the other one would be no better.
local function is_dead(job, path, config)
  if cache.serve(path) >= SOON then return false end
  local seen = probe.look(job.client, config)
  local info = seen.untrusted and core.file.stat(path)
  return seen.state == "refused" or info and core.sys.time() - info.mtime >= SOON
end

-- Under the lock, unless another process has replaced it meanwhile.
local function remove_dead(job, path, config)
  return stored.locked(path, job.opts.timeout, function()
    local now = kept(job, path)
    if now and now:certificate().sha256 == config:certificate().sha256 then return remove(path) end
    return true
  end)
end

local function ensure_kept(job, path)
  for _ = 1, MOST_ATTEMPTS do
    local since = core.sys.time()
    local config, renewed, err = ensure.ensure(job.client, job.cluster_id, {
      path = path, name = "cce", duration = job.opts.duration, expire_at = job.opts.expire_at,
      min_remaining = job.opts.min_remaining, timeout = job.opts.timeout, check = false,
    }, 1)
    if not config then return nil, renewed, err end
    if renewed then
      cache.prune(job.cluster_id, job.client:now())
      -- Obtained again when it was revoked, or the cluster rotated, since the request was
      -- made.
      local facts = config:certificate()
      local note = facts and cache.dropped(job.cluster_id, facts.user_id)
      if not note or note.at < since then
        cache.serve(path)
        return config, true
      end
      cache.remove(path)
    elseif not is_dead(job, path, config) then
      return config, false
    else
      local ok, message, problem = remove_dead(job, path, config)
      if not ok then return nil, message, problem end
    end
  end
  return errors.fail("CONFLICT", ("the certificates of cluster %s are being revoked again and"
    .. " again"):format(job.cluster_id))
end

local function without_cache(job, reason)
  warn(job, "the certificate cannot be kept: %s", reason)
  local config, message, err = stored.obtain(job.client, job.cluster_id, job.rule)
  if not config then return nil, message, err end
  return config, true
end

-- Better than none: it still works.
local function old_one(job, path, message)
  local config = kept(job, path)
  local facts = config and config:certificate()
  if not facts or not facts.key_matches then return nil end
  if facts.not_after - job.client:now() < LAST_USE then return nil end
  warn(job, "it could not be renewed, and is %s: %s", stored.until_text(facts.not_after), message)
  return config
end

local function from_cache(job)
  local auth, message, err = job.client.session:identify()
  if not auth then return nil, message, err end
  local path
  path, message = cache.path(job.client, job.cluster_id)
  if not path then return without_cache(job, message) end
  local config, renewed
  config, renewed, err = remove_broken(job, path)
  if config then config, renewed, err = ensure_kept(job, path) end
  if config then return config, renewed end
  if err.code == "FILE_ERROR" then return without_cache(job, renewed) end
  config = old_one(job, path, renewed)
  if config then return config, false end
  return nil, renewed, err
end

-- ---- the CA -------------------------------------------------------------

-- What comes with a new certificate shows whether the cluster's CA was replaced. kubectl
-- has read its file by now: the next one finds it mended.
local function mend_authority(job, config)
  local current = authority.in_kubeconfig(config)
  if not current then return end
  local function tell(path, count, message)
    if count == nil then
      warn(job, "the CA of cluster %s in '%s' could not be looked at: %s", job.cluster_id, path,
        message)
    elseif count > 0 then
      warn(job, "the cluster's CA was replaced, and now is in '%s': try again", path)
    end
  end
  authority.mend_together(paths.default(), job.cluster_id, current, MEND_TIMEOUT, tell)
end

-- ---- the answer ----------------------------------------------------------

-- A kubeconfig holds the Base64 of the PEM text, kubectl wants the text.
local function pem(text)
  if core.is_pem(text) then return text end
  return errors.from_core(core.from_base64(text))
end

--- A certificate and its key for a cluster: what is kept while it is good, else
-- a new one. Of several processes that ask at once, one obtains. Asked again within
-- a minute, which kubectl does after a 401, it asks the cluster whether what is kept
-- still works.
-- @tparam cce.client client
-- @tparam string cluster_id
-- @tparam table opts
-- @tparam[opt] int opts.duration days; this or `expire_at`
-- @tparam[opt] number opts.expire_at unix time
-- @tparam[opt] number opts.min_remaining seconds; by default a week, or a third of
--   the lifetime if that is less
-- @tparam[opt=120] number opts.timeout seconds to wait for another process
-- @tparam[opt] function opts.on_warning called with a sentence when it cannot be
--   kept, or not be renewed yet
-- @treturn[1] table `{certificate=<PEM>, key=<PEM>, user_id=, not_after=,
--   expires_at=<unix time to ask again>, renewed=<boolean>}`; the key is the
--   caller's to keep safe
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.credential(client, cluster_id, opts)
  options.argument(cluster_id, "string", 2, "credential")
  local checked, message, err = options.check(opts, schema)
  if not checked then return nil, message, err end
  local is_id, expected = values.is_id(cluster_id)
  if not is_id then
    return errors.fail("INVALID_ARGUMENT", "the cluster's id must be " .. expected)
  end
  local job = { client = client, cluster_id = cluster_id, opts = checked }
  job.rule, message, err = stored.rule(checked, client:now())
  if not job.rule then return nil, message, err end
  local config, renewed
  config, renewed, err = from_cache(job)
  if not config then return nil, renewed, err end
  if renewed then mend_authority(job, config) end

  local identity, facts, certificate, key
  identity, message, err = kubeconfigs.identity(config)
  if not identity then return nil, message, err end
  facts, message, err = config:certificate()
  if not facts then return nil, message, err end
  certificate, message, err = pem(identity.certificate)
  if not certificate then return nil, message, err end
  key, message, err = pem(identity.key)
  if not key then return nil, message, err end
  -- To be asked for again once it would be renewed. One that could not be renewed is asked
  -- for soon.
  local now, due = client:now(), facts.not_after - job.rule.min_remaining
  return {
    certificate = certificate, key = key, user_id = facts.user_id, not_after = facts.not_after,
    expires_at = due > now and due or math.min(facts.not_after, now + LAST_USE),
    renewed = renewed,
  }
end

--- The answer for kubectl. It holds the key.
-- @tparam string version the apiVersion that was asked for
-- @tparam table credential of @{credential}
-- @treturn string JSON on one line
function M.answer(version, credential)
  return assert(json.encode {
    apiVersion = version, kind = KIND,
    status = {
      clientCertificateData = credential.certificate, clientKeyData = credential.key,
      expirationTimestamp = times.format(credential.expires_at),
    },
  })
end

return M
