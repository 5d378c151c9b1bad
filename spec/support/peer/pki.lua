--- Certificates and keys for specs, made by luaossl, so that no code of ours vouches for itself.
local bignum = require "openssl.bignum"
local extension = require "openssl.x509.extension"
local mime = require "mime"
local pkey = require "openssl.pkey"
local tempdir = require "spec.support.tempdir"
local x509 = require "openssl.x509"
local x509_name = require "openssl.x509.name"

local M = {}

--- The time at which the specs' certificates are valid: 2030-01-01 00:00:00 UTC.
M.NOW = 1893456000
M.DAY = 86400

local serial = 1000

local function new_name(parts)
  local name = x509_name.new()
  for _, part in ipairs(parts) do
    name:add(part[1], part[2])
  end
  return name
end

--- A file of spec/fixtures/pki, whole.
function M.fixture(name)
  return assert(tempdir.read("spec/fixtures/pki/" .. name))
end

--- Issues a certificate.
-- options: subject = {{"CN", "…"}, …}, key = what luaossl makes a key of (a PEM text, a table;
-- default a new EC key), ca = boolean, serial (a number or a decimal string), not_before and
-- not_after (unix seconds, default a year around NOW), extensions = {{"subjectAltName", "…"}, …}.
-- Without an issuer it is self-signed. Returns { pem=, key=, der= } which can issue others in turn.
function M.issue(issuer, options)
  local made = {}
  local cert = x509.new()
  serial = serial + 1
  made.pkey = pkey.new(options.key or { type = "EC", curve = "prime256v1" })
  made.name = new_name(options.subject or { { "CN", "nobody" } })
  cert:setVersion(3)
  cert:setSerial(bignum.new(options.serial or serial))
  cert:setSubject(made.name)
  cert:setIssuer(issuer and issuer.name or made.name)
  cert:setLifetime(
    options.not_before or M.NOW - 365 * M.DAY,
    options.not_after or M.NOW + 365 * M.DAY
  )
  cert:setPublicKey(made.pkey)
  if options.ca then
    cert:setBasicConstraints { CA = true }
    cert:setBasicConstraintsCritical(true)
  end
  for _, each in ipairs(options.extensions or {}) do
    cert:addExtension(extension.new(each[1], each[2]))
  end
  cert:sign((issuer or made).pkey)
  made.pem = cert:toPEM()
  made.der = cert:tostring("DER")
  made.key = made.pkey:toPEM("private")
  made.sha256 = cert:digest("sha256", "x")
  return made
end

--- A self-signed authority.
function M.authority(common_name, options)
  options = options or {}
  options.subject = { { "CN", common_name } }
  options.ca = true
  return M.issue(nil, options)
end

--- Base64, by another library than ours.
function M.base64(text)
  return mime.b64(text) or ""
end

return M
