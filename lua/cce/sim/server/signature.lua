--- Checks request signatures the way the API gateway does. This is written from the signing
-- guide alone and shares nothing with cce.core: a mistake there must not be repeated here.
local digest = require("openssl.digest")
local hmac = require("openssl.hmac")
local times = require("cce.sim.server.times")

local M = {}

--- How far X-Sdk-Date may be from the gateway's clock, in seconds.
M.max_skew = 15 * 60

-- algorithm -> the hash, the header that may carry the payload's hash
local algorithms = {
  ["SDK-HMAC-SHA256"] = { hash = "sha256", payload_header = "x-sdk-content-sha256" },
  ["SDK-HMAC-SM3"] = { hash = "sm3", payload_header = "x-sdk-content-sm3" },
  ["V11-HMAC-SHA256"] = { hash = "sha256", payload_header = "x-sdk-content-sha256" },
}

local function to_hex(bytes)
  return (bytes:gsub(".", function(c)
    return ("%02x"):format(c:byte())
  end))
end

local function hash_hex(hash, text)
  return to_hex(digest.new(hash):final(text))
end

local function mac(hash, key, text)
  return hmac.new(key, hash):final(text)
end

local function percent_encode(text)
  return (text:gsub("[^A-Za-z0-9%-_.~]", function(c)
    return ("%%%02X"):format(c:byte())
  end))
end

local function percent_decode(text)
  return (text:gsub("%%(%x%x)", function(h)
    return string.char(tonumber(h, 16))
  end))
end

local function canonical_path(path)
  local result = path:gsub("[^/]+", function(segment)
    return percent_encode(percent_decode(segment))
  end)
  return result:sub(-1) == "/" and result or result .. "/"
end

-- Sorted by the decoded key, then by the decoded value.
local function canonical_query(query)
  local list = {}
  for item in query:gmatch("[^&]+") do
    local key, value = item:match("^([^=]*)=?(.*)$")
    list[#list + 1] = { percent_decode(key), percent_decode(value) }
  end
  table.sort(list, function(a, b)
    if a[1] ~= b[1] then
      return a[1] < b[1]
    end
    return a[2] < b[2]
  end)
  for i, pair in ipairs(list) do
    list[i] = percent_encode(pair[1]) .. "=" .. percent_encode(pair[2])
  end
  return table.concat(list, "&")
end

local function header_value(request, name)
  local value = request.headers[name]
  if type(value) == "table" then
    value = table.concat(value, ",")
  end
  return value and value:match("^%s*(.-)%s*$")
end

--- The canonical request. request: { method=, target= (as on the request line), headers=
-- (lower-case names), body= }; parsed: as of M.parse.
function M.canonical_request(request, parsed)
  local path, query = request.target:match("^([^?]*)%??(.*)$")
  local algorithm, lines = algorithms[parsed.algorithm], {}
  for name in parsed.signed_headers:gmatch("[^;]+") do
    lines[#lines + 1] = name .. ":" .. (header_value(request, name) or "") .. "\n"
  end
  return table.concat({
    request.method,
    canonical_path(path),
    canonical_query(query),
    table.concat(lines),
    parsed.signed_headers,
    header_value(request, algorithm.payload_header)
      or hash_hex(algorithm.hash, request.body or ""),
  }, "\n")
end

--- Takes an Authorization header apart.
-- @treturn ?table { algorithm=, layout="plain"|"derived"|"scoped", ak=, scope=, signed_headers=,
-- signature= }, nil when it is not of these schemes
function M.parse(authorization)
  local algorithm, rest = (authorization or ""):match("^(%S+) (.*)$")
  if not algorithms[algorithm] then
    return nil
  end
  local kind, credential, names, signature =
    rest:match("^(%a+)=([^,]+), ?SignedHeaders=([^,]+), ?Signature=(%x+)$")
  local parsed = { algorithm = algorithm, signed_headers = names, signature = signature }
  if kind == "Access" and algorithm ~= "V11-HMAC-SHA256" then
    parsed.ak, parsed.layout = credential, "plain"
    return parsed
  elseif kind ~= "Credential" then
    return nil
  end
  -- <access key>/<scope>
  local parts = {}
  for part in (credential .. "/"):gmatch("([^/]*)/") do
    parts[#parts + 1] = part
  end
  parsed.ak = parts[1]
  parsed.scope = credential:match("^[^/]*/(.*)$")
  if algorithm == "V11-HMAC-SHA256" then
    parsed.layout = #parts == 4 and "derived"
  elseif #parts == 5 and parts[5] == "sdk_request" then
    parsed.layout, parsed.scope_parts = "scoped", parts
  end
  return parsed.layout and parsed or nil
end

-- HKDF-SHA256 of 32 bytes. The key is their hexadecimal text, not the bytes.
local function derived_key(parsed, secret)
  local pseudo_random = mac("sha256", parsed.ak, secret)
  return to_hex(mac("sha256", pseudo_random, parsed.scope .. "\1"))
end

local function scoped_key(parsed, secret)
  local key = "SDK" .. secret
  for i = 2, 5 do
    key = mac("sha256", key, parsed.scope_parts[i])
  end
  return key
end

local signing_keys = {
  plain = function(_, secret)
    return secret
  end,
  derived = derived_key,
  scoped = scoped_key,
}

--- The signature that the request should have, in hexadecimal, and the canonical request.
function M.expected(request, parsed, secret)
  local hash = algorithms[parsed.algorithm].hash
  local canonical = M.canonical_request(request, parsed)
  local lines = { parsed.algorithm, header_value(request, "x-sdk-date") or "" }
  if parsed.layout ~= "plain" then
    lines[#lines + 1] = parsed.scope
  end
  lines[#lines + 1] = hash_hex(hash, canonical)
  local key = signing_keys[parsed.layout](parsed, secret)
  return to_hex(mac(hash, key, table.concat(lines, "\n"))), canonical
end

--- Checks the moment at which a request was signed.
-- @treturn ?string nil when all is well, else "expired" or "no_date"
function M.check_date(request, parsed, now)
  local text = header_value(request, "x-sdk-date")
  local date = text and times.from_sdk(text)
  local is_signed = (";" .. parsed.signed_headers .. ";"):find(";x-sdk-date;", 1, true)
  if not date or not is_signed then
    return "no_date"
  end
  return math.abs(date - now) > M.max_skew and "expired" or nil
end

--- Checks a signature.
-- @treturn boolean whether it is right
-- @treturn string the canonical request as the gateway sees it
function M.verify(request, parsed, secret)
  local expected, canonical = M.expected(request, parsed, secret)
  -- A hash sent in the header and signed must still be that of the bytes that came.
  local algorithm = algorithms[parsed.algorithm]
  local given = header_value(request, algorithm.payload_header)
  local is_whole = not given or given == "UNSIGNED-PAYLOAD"
    or given:lower() == hash_hex(algorithm.hash, request.body or "")
  return expected == parsed.signature and is_whole, canonical
end

return M
