-- The simulator's own signature check against the published vectors. When it is wrong, nothing
-- that was tried on the simulator proves anything.
local cjson = require("cjson")
local signature = require("cce.sim.server.signature")
local times = require("cce.sim.server.times")

local VECTORS = "spec/vectors/signing.json"

local file = io.open(VECTORS)
local vectors = file and cjson.decode(file:read("*a")).vectors or {}
if file then
  file:close()
end

local function percent(text, keep)
  return (text:gsub("[^A-Za-z0-9%-_.~" .. keep .. "]", function(c)
    return ("%%%02X"):format(c:byte())
  end))
end

-- The vector's request as it comes over the wire.
local function wire_request(vector)
  local items = {}
  for i, pair in ipairs(vector.query or {}) do
    items[i] = percent(pair[1], "") .. "=" .. percent(pair[2], "")
  end
  local path = vector.path == "" and "/" or percent(vector.path, "/")
  return {
    method = vector.method, headers = vector.headers_signed, body = vector.body,
    target = path .. (#items > 0 and "?" .. table.concat(items, "&") or ""),
  }
end

local function flip(text, position)
  local byte = text:byte(position)
  local other = byte == 0x30 and "1" or "0"
  return text:sub(1, position - 1) .. other .. text:sub(position + 1)
end

-- The hash that it gives by hand is of another body: the signature is right, the payload is not.
local PAYLOAD_IS_ANOTHER = { gen_header_content_sha_given = true }

describe("the simulator's signature check", function()
  it("has the vectors", function()
    assert.is_not_nil(file, VECTORS .. " is missing")
    assert.equal(79, #vectors)
  end)

  for _, vector in ipairs(vectors) do
    describe("with " .. vector.id, function()
      local request, parsed = wire_request(vector), signature.parse(vector.expect.authorization)

      it("sees the same canonical request and signature", function()
        local hex, canonical = signature.expected(request, parsed, vector.sk)
        assert.equal(vector.expect.canonical_request, canonical)
        assert.equal(vector.expect.signature, hex)
        assert.equal(vector.ak, parsed.ak)
      end)

      it("accepts it at its time and not 15 minutes and a second later", function()
        local now = times.from_sdk(vector.date)
        assert.is_nil(signature.check_date(request, parsed, now))
        assert.is_nil(signature.check_date(request, parsed, now + 900))
        assert.equal("expired", signature.check_date(request, parsed, now + 901))
        assert.equal("expired", signature.check_date(request, parsed, now - 901))
        assert.equal(not PAYLOAD_IS_ANOTHER[vector.id],
          (signature.verify(request, parsed, vector.sk)))
      end)

      it("refuses it with any one byte changed", function()
        local function refused(change, secret)
          local other, who = wire_request(vector), signature.parse(vector.expect.authorization)
          change(other, who)
          return not signature.verify(other, who, secret or vector.sk)
        end
        for position = 1, #vector.expect.signature do
          assert.is_true(refused(function(_, who)
            who.signature = flip(who.signature, position)
          end))
        end
        assert.is_true(refused(function() end, flip(vector.sk, 1)))
        assert.is_true(refused(function(other)
          other.target = other.target:gsub("^/", "/x")
        end))
        assert.is_true(refused(function(other)
          other.method = "PUT"
        end))
        assert.is_true(refused(function(other)
          local headers = {}
          for name, value in pairs(other.headers) do
            headers[name] = value
          end
          headers["x-sdk-date"] = flip(headers["x-sdk-date"], 1)
          other.headers = headers
        end))
      end)
    end)
  end

  it("refuses a changed body unless the payload is not signed", function()
    local function check(headers)
      headers["x-sdk-date"] = "20260102T030405Z"
      local request = { method = "POST", target = "/", headers = headers, body = "a" }
      local names = headers["x-sdk-content-sha256"] and "x-sdk-content-sha256;x-sdk-date"
        or "x-sdk-date"
      local parsed = { algorithm = "SDK-HMAC-SHA256", layout = "plain", signed_headers = names }
      parsed.signature = signature.expected(request, parsed, "secret")
      request.body = "b"
      return (signature.verify(request, parsed, "secret"))
    end
    assert.is_false(check({}))
    assert.is_true(check({ ["x-sdk-content-sha256"] = "UNSIGNED-PAYLOAD" }))
    assert.is_false(check({ ["x-sdk-content-sha256"] =
      "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb" }))
  end)

  it("demands that the date is signed and well formed", function()
    local parsed = { signed_headers = "host" }
    local function request(date)
      return { headers = { ["x-sdk-date"] = date } }
    end
    assert.equal("no_date", signature.check_date(request("20260102T030405Z"), parsed, 0))
    parsed.signed_headers = "host;x-sdk-date"
    assert.equal("no_date", signature.check_date(request("20260231T030405Z"), parsed, 0))
    assert.equal("no_date", signature.check_date(request("yesterday"), parsed, 0))
    assert.equal("no_date", signature.check_date(request(nil), parsed, 0))
  end)

  it("reads no header of another shape", function()
    for _, text in ipairs({
      "", "Basic abc", "SDK-HMAC-SHA256", "SDK-HMAC-SHA256 Access=a",
      "V11-HMAC-SHA256 Access=a, SignedHeaders=b, Signature=00",
      "SDK-HMAC-SHA256 Credential=a/b, SignedHeaders=b, Signature=00",
      "SDK-HMAC-SHA256 Access=a, SignedHeaders=b, Signature=xyz",
    }) do
      assert.is_nil(signature.parse(text))
    end
    assert.is_nil(signature.parse(nil))
  end)
end)
