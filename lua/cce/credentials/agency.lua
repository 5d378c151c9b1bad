--- Temporary keys that IAM makes of others: of an agency, or of a token.
-- @module cce.credentials.agency
-- @local
local breaker = require "cce.credentials.breaker"
local core = require "cce.core"
local providers = require "cce.credentials.provider"
local requests = require "cce.credentials.request"
local responses = require "cce.api.response"

local M = {}

local MARGIN = 5 * 60

local function temporary_keys(client, material, body)
  local spec, message, err = requests.post(client, "create_temporary_keys",
    "/v3.0/OS-CREDENTIAL/securitytokens", material.iam_endpoint)
  if not spec then return nil, message, err end
  spec.token, spec.body = material.token, body
  local gate
  if material.ak then
    spec.signer, message, err = providers.signer(material)
    if not spec.signer then return nil, message, err end
    gate = breaker.gate(material.ak, material.sk)
    local entered, reason, refusal = breaker.enter(gate)
    if not entered then
      spec.signer:close()
      return nil, reason, refusal
    end
  end
  local response
  response, message, err = requests.demand(client, spec)
  if gate then
    spec.signer:close()
    breaker.leave(gate, response and "accepted" or responses.verdict_on_key(err, "iam"))
  end
  if not response then return nil, message, err end
  local keys
  keys, message, err = requests.keys(spec, response,
    { "credential", "access", "secret", "securitytoken", "expires_at" })
  if keys then keys.margin = MARGIN end
  return keys, message, err
end

local function with_source(name, source, make)
  return providers.new(name, function(_, client)
    local material, message, err = source:fetch(client)
    if not material then return nil, message, err end
    local keys
    keys, message, err = make(client, material)
    -- Whose source was replaced meanwhile is not kept waiting after a failure.
    local told = keys or err
    told.is_replaced = material.is_replaced
    providers.discard(material)
    return keys, message, err
  end, { renewable = true, source = source })
end

--- Temporary keys of an agency that another account, or this one, entrusts.
-- @tparam table opts `{agency_name=, domain_name=, domain_id=, duration=, source=}`
-- @treturn table a provider
function M.agency(opts)
  local role = {
    agency_name = opts.agency_name, domain_name = opts.domain_name, domain_id = opts.domain_id,
    duration_seconds = math.floor(opts.duration),
  }
  local body = ('{"auth":{"identity":{"methods":["assume_role"],"assume_role":%s}}}'):format(
    core.json.encode(role))
  return with_source("agency", opts.source, function(client, material)
    return temporary_keys(client, material, body)
  end)
end

--- Temporary keys of a token.
-- @tparam table opts `{duration=, source=}`
-- @treturn table a provider
function M.temporary(opts)
  return with_source("temporary keys", opts.source, function(client, material)
    if not material.token then
      return providers.incomplete("temporary keys: their source must give a token")
    end
    return temporary_keys(client, material, {
      '{"auth":{"identity":{"methods":["token"],"token":{"id":', material.token,
      (',"duration_seconds":%d}}}}'):format(opts.duration),
    })
  end)
end

return M
