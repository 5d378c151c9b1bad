--- What to do about a failure: one sentence for each of the usual causes. No
-- network, no state.
-- @module cce.api.hint
-- @local
local core = require "cce.core"
local values = require "cce.base.values"

local M = {}

M.maybe = "The request may have arrived and worked: look before you send it again"

local function has(text, words)
  return values.lower(text):find(words, 1, true) ~= nil
end

-- ---- versions ----------------------------------------------------------------

-- The first version of each line whose certificates can be revoked; from the
-- user guide's page on revoking a cluster access credential.
local REVOKING = { { 19, 16, 50 }, { 21, 11, 10 }, { 23, 9, 10 }, { 25, 4, 10 }, { 27, 1, 10 } }

local OTHERS = { rotate_credentials = "Rotating needs v1.19 or later",
  obtain_cert = "A certificate of this kind needs v1.13 or later" }

local function version_name(version)
  return ("v1.%d.%d-r%d"):format(version[1], version[2], version[3])
end

-- The version to upgrade to: that of its own line or, if that has none, of the
-- next one.
local function revocable_after(text)
  local minor = tonumber(text:match("v1%.(%d+)"))
  for _, version in ipairs(REVOKING) do
    if minor and version[1] >= minor then return version_name(version) end
  end
end

--- Whether the certificates of a cluster of some version can be revoked.
--
-- Some answers of the API name only the line ("v1.27"): of one that has a
-- minimum that tells nothing. All later lines can; so do, as far as the guide
-- tells, none before the first and none between.
-- @tparam ?string text such as "v1.27.1-r10"
-- @treturn string "yes", "no" or "unknown"
-- @treturn ?string the version that is needed, unless "yes"
function M.can_revoke(text)
  local major, minor, rest = (text or ""):match "^v?(%d+)%.(%d+)(.*)$"
  minor = tonumber(minor)
  if not minor then return "unknown" end
  if tonumber(major) > 1 or minor > REVOKING[#REVOKING][1] then return "yes" end
  local needed = revocable_after("v1." .. minor)
  local line
  for _, version in ipairs(REVOKING) do
    if version[1] == minor then line = version end
  end
  if not line then return "no", needed end
  local patch, release = rest:match "^%.(%d+)%-r(%d+)"
  patch, release = tonumber(patch), tonumber(release)
  if not patch then return "unknown", needed end
  if patch > line[2] or patch == line[2] and release >= line[3] then return "yes" end
  return "no", needed
end

-- ---- what the API refused ------------------------------------------------

local function permission_hint(text, request)
  if has(text, "action forbidden") then
    return "The region, the project id and these credentials do not belong together: check"
      .. " region= and project_id=, or leave project_id out to have it looked up"
  elseif has(text, "own credential") then
    return "A user who is no administrator can revoke only their own certificates"
  end
  local known = core.operations[request.operation]
  local action = text:match("[%l%d]+:%a[%w-]*:%a[%w-]*") or request.action
    or known and known.action
  return ("These credentials need the IAM action %s; check the region and the project id too")
    :format(action or "of this call")
end

local function credentials_hint(text)
  if has(text, "ak not exist") then
    return "There is no such access key (any more), or it is of another cloud"
  elseif has(text, "token fail") or has(text, "x-auth-token") then
    return "The token is not valid: it may have expired, or be of another region"
  end
  return "Check the access key and secret key, or the token; it is not tried again,"
    .. " since five failures lock the key"
end

local function request_hint(text, request)
  if has(text, "not support this version") then
    if request.operation ~= "revoke_cert" then return OTHERS[request.operation] end
    local names = {}
    for i, version in ipairs(REVOKING) do names[i] = version_name(version) end
    local hint = "Revoking needs a cluster of " .. table.concat(names, ", ") .. " or later"
    local target = revocable_after(text)
    return target and ("%s: upgrade this one to %s at least"):format(hint, target) or hint
  elseif has(text, "not available") then
    return "The cluster must be Available: see client:show_cluster(id).status, and wait for what"
      .. " is under way, or wake it up"
  end
end

local function skew_hint(_, _, skew)
  if not skew then return "Set this machine's clock: the API allows 15 minutes" end
  return ("This machine's clock is %d s %s: set it (the API allows 15 minutes)"):format(
    math.abs(skew), skew < 0 and "behind" or "ahead")
end

local function busy_hint(_, request)
  if request.operation == "rotate_credentials" then
    return "Another operation, perhaps an earlier rotation of yours, is running in this cluster:"
      .. " look at its jobs, do not just send it again"
  end
  return "Another operation is running in this cluster: look at its jobs"
end

local by_code = {
  CLOCK_SKEW = skew_hint,
  ACCESS_KEY_LOCKED = function()
    return "More than five failed signatures lock an access key for 5 minutes: wait, then check"
      .. " the secret key"
  end,
  UNAUTHENTICATED = credentials_hint,
  PERMISSION_DENIED = permission_hint,
  API_NOT_FOUND = function() return "Check the endpoint: this region may not offer the API" end,
  BAD_REQUEST = request_hint,
  CONFLICT = busy_hint,
  RESOURCE_LOCKED = busy_hint,
}

local WRONG_NAME = "A cluster's certificate follows a change of its EIP or its names only after 5"
  .. " to 10 minutes: wait, then obtain the kubeconfig again"

--- The hint for a cluster whose certificate does not have its address yet; nil
-- for any other trouble. The text is one of Kubernetes, which the API passes on.
-- @tparam string text
-- @treturn ?string
function M.of_cluster_tls(text)
  return has(text, "certificate is valid for") and WRONG_NAME or nil
end

-- Numbers of OpenSSL (X509_V_ERR_…). Which of the second kind a CA that changed
-- its key gives differs from version to version.
local NAMES = { [62] = true, [63] = true, [64] = true } -- host, e-mail, address
local FOREIGN = {
  [2] = true, [20] = true, [21] = true, -- no issuer is found
  [7] = true, -- a wrong signature
  [18] = true, [19] = true, -- self-signed
}

--- What is the matter with a cluster that a kubeconfig does not trust; nil when
-- that is not known.
-- @tparam number verify_error of OpenSSL
-- @treturn ?string
function M.of_untrusted_cluster(verify_error)
  if NAMES[verify_error] then return WRONG_NAME end
  return FOREIGN[verify_error] and "The cluster no longer shows the CA that is in this kubeconfig,"
    .. " most probably since its certificates were rotated: obtain the kubeconfig again" or nil
end

--- The hint for an answer that refuses.
-- @tparam string code of `cce.codes`
-- @tparam string text what the API said
-- @tparam table request `{operation=, action=}`
-- @tparam ?number skew seconds that our clock is ahead, if the API told
-- @treturn ?string
function M.of_answer(code, text, request, skew)
  return M.of_cluster_tls(text) or by_code[code] and by_code[code](text, request, skew)
end

--- The hint for a cluster that is not there.
-- @tparam string code
-- @tparam ?string id what was given for it
-- @treturn ?string
function M.of_missing(code, id)
  if code ~= "NOT_FOUND" or not id or id:find "^%x+%-%x+%-%x+%-%x+%-%x+$" then return nil end
  return "A cluster's id is wanted, not its name: client:list_clusters() shows both"
end

-- ---- what never became an answer -------------------------------------------

local transport = {
  DNS_FAILED = "Check the endpoint's host name and this machine's DNS",
  CONNECT_FAILED = "Check the endpoint, the network and a firewall on the way",
  PROXY_FAILED = "Check the proxy: HTTPS_PROXY, unless another was given",
  TLS_FAILED = "Check ca_file (or CCE_CA_FILE), the endpoint's name and this machine's clock;"
    .. " verification cannot be turned off",
  TIMEOUT = "Give more time by timeout=; connecting, and all attempts together, have limits of"
    .. " their own",
}

--- The hint for a transfer that brought no answer.
-- @tparam string code
-- @treturn ?string
function M.of_transport(code)
  return transport[code]
end

return M
