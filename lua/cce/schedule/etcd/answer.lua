--- What etcd, or the way to it, says when it refuses: as an error that names the
-- endpoint and what to do, and a word that tells our own code how to go on.
--
-- The words: "elsewhere" (another endpoint may do it), "token" (log in again),
-- "compacted", "no_lease", "too_large".
-- @module cce.schedule.etcd.answer
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local responses = require "cce.api.response"

local M = {}

-- By gRPC's code and a piece of the text: our code, the word, what to do. What an old
-- token is answered with depends on the version, as api/v3rpc/util.go of each maps it:
--
-- * 3.4: 2, "auth: revision in header is old", since it is not in that map (so 2 is
--   codes.Unknown, and the text that of server/auth/store.go); and 16, "invalid auth token"
-- * 3.5, 3.6: 3, "etcdserver: revision of auth store is old"; and 16, as before
local KNOWN = {
  { 8, "space exceeded", "STORE_UNAVAILABLE", nil, "etcd's quota is used up: compact and defragment"
    .. " it (etcdctl compact, etcdctl defrag), then etcdctl alarm disarm" },
  { 8, "", "STORE_UNAVAILABLE", "elsewhere" },
  { 16, "", "UNAUTHENTICATED", "token", "Check the user name and password" },
  { 3, "auth store is old", "UNAUTHENTICATED", "token" },
  { 2, "revision in header is old", "UNAUTHENTICATED", "token" },
  { 2, "invalid auth token", "UNAUTHENTICATED", "token" },
  { 3, "user name is empty", "UNAUTHENTICATED", nil,
    "This etcd asks for a user: give username and password" },
  { 3, "authentication failed", "UNAUTHENTICATED", nil, "Check the user name and password" },
  { 9, "authentication is not enabled", "UNAUTHENTICATED", nil,
    "This etcd lets anybody in: run etcdctl auth enable, or leave username and password out" },
  { 7, "", "PERMISSION_DENIED", nil, "Grant the user's role the keys under the schedule's prefix:"
    .. " etcdctl role grant-permission --prefix=true <role> readwrite <prefix>/" },
  { 11, "compacted", "STORE_UNAVAILABLE", "compacted" },
  { 5, "lease not found", "LEASE_LOST", "no_lease" },
  { 3, "too large", "INVALID_ARGUMENT", nil, "An entry must be smaller than etcd's limit" },
  { 12, "", "UNSUPPORTED", nil, "etcd 3.4 or later is needed" },
  { 4, "", "STORE_UNAVAILABLE", "elsewhere" },
  { 13, "", "STORE_UNAVAILABLE", "elsewhere" },
  { 14, "no leader", "STORE_UNAVAILABLE", "elsewhere",
    "Most of etcd's members must be up and see each other: etcdctl endpoint status --cluster" },
  { 14, "", "STORE_UNAVAILABLE", "elsewhere" },
  { 15, "", "STORE_UNAVAILABLE", nil, "etcd found its data damaged: see etcdctl alarm list" },
}

local function fail(code, endpoint, text, fields)
  fields.operation = "schedule"
  fields.retryable = code == "STORE_UNAVAILABLE"
  fields.maybe_applied = fields.maybe_applied or false
  return errors.new(code, ("etcd at %s: %s"):format(endpoint.host, text), fields)
end

-- Something else answers there, or something on the way to it.
local function no_etcd(endpoint, response)
  local status = response.status
  local is_server = status >= 500
  return fail(is_server and "STORE_UNAVAILABLE" or "UNSUPPORTED", endpoint,
    ("HTTP %d, and not in etcd's words"):format(status), {
      maybe_applied = is_server,
      hint = "The address must be a client address of etcd 3.4 or later, with its gRPC gateway",
    }), is_server and "elsewhere" or nil
end

--- The error of an answer that is no success.
-- @tparam table endpoint
-- @tparam table response
-- @treturn table err
-- @treturn ?string word
function M.refused(endpoint, response)
  -- What follows the object is a trailer that etcd's gateway writes as text.
  local body = core.json.decode(response.body:match "^{.*}" or "")
  local failure = type(body) == "table" and (body.error or body.message)
  if type(failure) == "table" then body, failure = failure, failure.message end
  if type(failure) ~= "string" then return no_etcd(endpoint, response) end
  local code = tonumber(body.code or body.grpc_code) or 2
  local row = { code, "", "REQUEST_REJECTED" }
  for _, known in ipairs(KNOWN) do
    if known[1] == code and failure:find(known[2], 1, true) then
      row = known
      break
    end
  end
  local words = responses.excerpt(failure):gsub("^etcdserver: ", "")
  return fail(row[3], endpoint, words, {
    status = response.status, hint = row[5], maybe_applied = row[4] == "elsewhere",
  }), row[4]
end

--- The error of an answer that lacks what it should have.
function M.invalid(endpoint, what)
  return fail("RESPONSE_INVALID", endpoint, "the answer has no " .. what, {})
end

local REMEDY = {
  CONNECT_FAILED = "Is etcd running there?",
  DNS_FAILED = "Check the host name",
  TLS_FAILED = "Check ca_file, and cert and key if etcd asks for a client certificate",
}
local STAYS = { TLS_FAILED = true, INVALID_CERTIFICATE = true, INVALID_KEY = true,
  KEY_MISMATCH = true, CLOSED = true, NO_MEMORY = true, INVALID_ARGUMENT = true,
  RESPONSE_TOO_LARGE = true }

--- The error of a transfer that brought no answer.
-- @tparam table endpoint
-- @tparam string message
-- @tparam string code
-- @tparam ?table detail of `transfer:result`
-- @treturn table err
-- @treturn ?string word
function M.lost(endpoint, message, code, detail)
  detail = detail or {}
  -- With TLS 1.3 a client certificate is refused after the request was sent, but before
  -- the server reads it.
  local reached = detail.sent and code ~= "TLS_FAILED"
  local err = fail(STAYS[code] and code or "STORE_UNAVAILABLE", endpoint, message, {
    maybe_applied = reached, hint = REMEDY[code],
  })
  if code == "RESPONSE_TOO_LARGE" then return err, "too_large" end
  return err, (code == "TLS_FAILED" or not STAYS[code]) and "elsewhere" or nil
end

return M
