--- What IAM and the metadata service have handed out: tokens and temporary keys.
local random = require("cce.sim.random")
local state = require("cce.sim.store.state")

local M = {}

-- The seconds that what is issued from now on is good for; nil: what was asked, or a day.
M.token_seconds, M.key_seconds = nil, nil

local tokens, keys = {}, {}

--- A new token for a principal: its text, and when it ends.
function M.token(principal)
  local text = "sim-issued-token-" .. random.hex(64)
  local now = state.now()
  local expires_at = now + (M.token_seconds or 86400)
  tokens[text] = { principal = principal, issued_at = now, expires_at = expires_at }
  return text, tokens[text]
end

--- Who a token stands for; nil when it was never issued, or has ended.
function M.holder(text)
  local token = tokens[text]
  return token and state.now() < token.expires_at and token.principal or nil
end

--- New temporary keys for a principal.
-- @treturn table { ak=, sk=, security_token=, principal=, expires_at= }
function M.keys(principal, seconds)
  local key = {
    ak = "SIMTEMP" .. random.hex(6):upper(), sk = "sim-issued-secret-" .. random.hex(20),
    security_token = "sim-issued-security-token-" .. random.hex(64),
    principal = principal, expires_at = state.now() + (M.key_seconds or seconds),
  }
  keys[key.ak] = key
  return key
end

--- Temporary keys by their access key, or nil.
function M.find(ak)
  return keys[ak]
end

--- Expires all that was issued.
function M.expire()
  for _, token in pairs(tokens) do
    token.expires_at = 0
  end
  for _, key in pairs(keys) do
    key.expires_at = 0
  end
end

--- As after the start.
function M.reset()
  tokens, keys = {}, {}
  M.token_seconds, M.key_seconds = nil, nil
end

return M
