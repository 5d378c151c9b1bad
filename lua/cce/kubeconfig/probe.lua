--- Whether a kubeconfig still opens its cluster: asked of the cluster itself,
-- with the kubeconfig's own certificate.
-- @module cce.kubeconfig.probe
-- @local
local ask = require "cce.kubeconfig.ask"
local clusters = require "cce.api.cluster"
local hints = require "cce.api.hint"
local kubeconfigs = require "cce.kubeconfig"
local values = require "cce.base.values"

local M = {}

-- A user that the cluster knows may read this, whatever else is forbidden; one that
-- it does not know gets 401, or 403 as anonymous.
local PATH = "/api"

local MAX_RESPONSE = 256 * 1024

--- Seconds that a change may take to have its effect.
M.PATIENCE = 30

local FIRST_DELAY, LONGEST_DELAY = 0.2, 1

local function unclear(text, code)
  return { state = "unclear", text = text, code = code }
end

-- Whether this is the cluster at all is asked first. Only what a server with the
-- cluster's own certificate said counts for a refusal.
local function judge(response, message, code, detail)
  if response then
    local text = "HTTP " .. response.status
    local works = response.status == 200 or response.status == 403
    local state = works and "works" or response.status == 401 and "refused" or "unclear"
    return { state = state, text = text, status = response.status }
  elseif detail and detail.untrusted then
    -- The texts of what was seen stand in the middle of a sentence.
    local hint = hints.of_untrusted_cluster(detail.verify_error)
    local seen = unclear(hint and values.lower(hint:sub(1, 1)) .. hint:sub(2) or message, code)
    seen.untrusted = true
    return seen
  elseif detail and detail.refused then
    return { state = "refused", text = "TLS alert " .. detail.alert, alert = detail.alert }
  end
  local seen = unclear(message, code)
  seen.alert = detail and detail.alert ~= 0 and detail.alert or nil
  return seen
end

--- Ask once.
-- @tparam cce.client client whose connections are used: what has a method `engine`
-- @tparam cce.kubeconfig kubeconfig
-- @treturn table `{state="works"|"refused"|"unclear", text=, status=<of HTTP, when
--   there was an answer>, code=<of an error, when there was none>, untrusted=<true
--   when the kubeconfig does not trust who answered, or what it has is no
--   certificate>, alert=<number of the TLS alert that came>}`: accepted (HTTP 200 or
--   403); refused (401, or alert 42, 44, 46, 48 or 49 of a server whose certificate was
--   accepted); or anything else, which proves nothing
function M.look(client, kubeconfig)
  local response, message, code, detail = ask(client, kubeconfig, { path = PATH, private = true,
    max_response = MAX_RESPONSE })
  local seen = judge(response, message, detail and code, detail)
  -- What is no certificate trusts nobody; obtained anew, it is one.
  if not detail and code == "INVALID_CERTIFICATE" then seen.untrusted = true end
  return seen
end

--- Ask until it is seen as wanted, for `PATIENCE` seconds at most.
-- @tparam cce.client client
-- @tparam cce.kubeconfig kubeconfig
-- @tparam string state "works" or "refused"
-- @treturn table what was seen last
function M.wait_until(client, kubeconfig, state)
  local started, slept, delay = client.monotonic(), 0, FIRST_DELAY
  while true do
    local seen = M.look(client, kubeconfig)
    local waited = math.max(slept, client.monotonic() - started)
    if seen.state == state or waited >= M.PATIENCE then return seen end
    client.sleep(delay)
    slept, delay = slept + delay, math.min(delay * 2, LONGEST_DELAY)
  end
end

-- ---- which kubeconfig ----------------------------------------------------------

local function address_of(url)
  return type(url) == "string" and values.lower(url):match "^https://([^/]+)"
end

-- By id of the cluster, and by address: where in the list the first is that is its own, or has
-- contexts that lead there. Of a thousand clusters each is looked for.
local function index_of(list)
  local by_id, by_address = {}, {}
  for at, kubeconfig in ipairs(list) do
    local id = kubeconfig.cluster_id
    if id then by_id[id] = by_id[id] or at end
    for i, context in ipairs(kubeconfig:contexts()) do
      local address = address_of(context.server)
      local found = address and (by_address[address] or { at = at })
      if found and found.at == at then
        by_address[address] = found
        found[#found + 1] = { name = context.name, rank = context.verifies_tls and i or -i }
      end
    end
  end
  return { list = list, by_id = by_id, by_address = by_address }
end

-- A file for many clusters has a context for each, one that verifies the server rather than one
-- that does not.
local function one_that_fits(index, cluster)
  local at, best, reached = index.by_id[cluster.id], nil, {}
  for _, endpoint in ipairs(clusters.endpoints(cluster)) do
    local found = index.by_address[address_of(endpoint.url) or ""]
    reached[#reached + 1] = found
    if found and (not at or found.at < at) then at, best = found.at, found[1] end
  end
  for _, found in ipairs(best and reached or {}) do
    for _, context in ipairs(found.at == at and found or {}) do
      if context.rank > best.rank then best = context end
    end
  end
  local kubeconfig = index.list[at or 0]
  return best and kubeconfig:alone(best.name) or kubeconfig
end

local function loaded(value)
  if type(value) == "string" then return kubeconfigs.load(value) end
  if value == nil or kubeconfigs.is(value) then return value end
  return nil, "what was given for it is no kubeconfig"
end

--- How to find a cluster's kubeconfig.
-- @tparam table|function given a list of kubeconfigs (or paths), which are told
--   apart by their servers; a table of them by cluster id or name; or a function
--   that is called with the cluster and returns one
-- @treturn[1] function of a cluster: a kubeconfig, or nil and perhaps why
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.finder(given)
  if type(given) == "table" and given[1] ~= nil then
    local list = {}
    for i, value in ipairs(given) do
      local kubeconfig, message, err = loaded(value)
      if not kubeconfig then return nil, message, err end
      list[i] = kubeconfig
    end
    local index = index_of(list)
    return function(cluster) return one_that_fits(index, cluster) end
  end
  local choose = given
  if type(given) == "table" and not (getmetatable(given) or {}).__call then
    choose = function(cluster) return given[cluster.id] or given[cluster.name or ""] end
  end
  return function(cluster) return loaded(choose(cluster)) end
end

return M
