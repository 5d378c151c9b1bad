--- The simulator's certificates: authorities, server and client certificates, real X.509 made
-- with luaossl. Keys are P-256: a fleet of hundreds would wait for RSA.
local bignum = require("openssl.bignum")
local extension = require("openssl.x509.extension")
local name = require("openssl.x509.name")
local pkey = require("openssl.pkey")
local random = require("cce.sim.random")
local x509 = require("openssl.x509")

local M = {}

local YEAR = 365 * 86400

local function new_key()
  return pkey.new({ type = "EC", curve = "prime256v1" })
end

local function unsigned_certificate(spec, key)
  local certificate, subject = x509.new(), name.new()
  for _, part in ipairs(spec.subject) do
    subject:add(part[1], part[2])
  end
  certificate:setVersion(3)
  -- A top bit of 0, so that the number is positive in DER and prints the same everywhere.
  certificate:setSerial(bignum.new("0x7" .. random.hex(16):sub(2)))
  certificate:setSubject(subject)
  certificate:setLifetime(spec.not_before, spec.not_after)
  certificate:setPublicKey(key)
  for _, item in ipairs(spec.extensions) do
    certificate:addExtension(extension.new(item[1], item[2]))
  end
  return certificate
end

local function finish(certificate, key)
  return {
    certificate = certificate,
    key = key,
    pem = tostring(certificate),
    key_pem = key:toPEM("private"),
    serial = tostring(certificate:getSerial()),
  }
end

local function sign_by_itself(spec)
  local key = new_key()
  local certificate = unsigned_certificate(spec, key)
  certificate:setIssuer(certificate:getSubject())
  certificate:addExtension(extension.new("subjectKeyIdentifier", "hash",
    { subject = certificate }))
  certificate:sign(key, "sha256")
  return finish(certificate, key)
end

--- A new certificate authority, valid for 30 years.
-- Every pair is a table { certificate=, key=, pem=, key_pem=, serial= }.
function M.authority(common_name, now)
  return sign_by_itself({
    subject = { { "CN", common_name } },
    not_before = now - 86400,
    not_after = now + 30 * YEAR,
    extensions = {
      { "basicConstraints", "critical,CA:TRUE" },
      { "keyUsage", "critical,digitalSignature,keyCertSign,cRLSign" },
    },
  })
end

local function issue(authority, spec)
  local key = new_key()
  local certificate = unsigned_certificate(spec, key)
  certificate:setIssuer(authority.certificate:getSubject())
  -- Without it Python refuses the certificate from 3.13 on.
  certificate:addExtension(extension.new("authorityKeyIdentifier", "keyid:always",
    { subject = certificate, issuer = authority.certificate }))
  certificate:sign(authority.key, "sha256")
  return finish(certificate, key)
end

local function server_spec(spec)
  return {
    subject = { { "CN", spec.common_name } },
    not_before = spec.not_before,
    not_after = spec.not_after,
    extensions = {
      { "subjectAltName", spec.alt_names },
      { "basicConstraints", "critical,CA:FALSE" },
      { "keyUsage", "critical,digitalSignature" },
      { "extendedKeyUsage", "serverAuth" },
    },
  }
end

--- A server's pair. spec: common_name, alt_names ("IP:127.0.0.1,DNS:localhost"), not_before,
-- not_after.
function M.server(authority, spec)
  return issue(authority, server_spec(spec))
end

--- The same, signed by itself.
function M.self_signed_server(spec)
  return sign_by_itself(server_spec(spec))
end

--- A client's pair. spec: common_name, organisation, not_before, not_after.
function M.client(authority, spec)
  return issue(authority, {
    subject = { { "O", spec.organisation }, { "CN", spec.common_name } },
    not_before = spec.not_before,
    not_after = spec.not_after,
    extensions = {
      { "basicConstraints", "critical,CA:FALSE" },
      { "keyUsage", "critical,digitalSignature" },
      { "extendedKeyUsage", "clientAuth" },
    },
  })
end

--- Whether the certificate in a PEM text was signed by this authority, and its serial. The text
-- is one that TLS has read already.
function M.signed_by(authority, pem)
  local certificate = x509.new(pem, "PEM")
  return certificate:isIssuedBy(authority.certificate) == true, tostring(certificate:getSerial())
end

--- Whether a certificate's PEM text can be read.
function M.is_certificate(pem)
  return (pcall(x509.new, pem, "PEM"))
end

--- Whether a private key's PEM text can be read and belongs to a certificate.
function M.is_pair(pem, key_pem)
  local ok, matches = pcall(function()
    local key = pkey.new(key_pem, "PEM")
    return key:toPEM("public") == x509.new(pem, "PEM"):getPublicKey():toPEM("public")
  end)
  return ok and matches
end

return M
