local cce = require "cce"
local clients = require "spec.support.clients"
local core = require "cce.core"
local printed = require "spec.support.printed"
local signature = require "cce.sim.server.signature"

local KEY = { ak = "EXAMPLEAK", sk = "example-secret-key" }
local DATE = "20260102T030405Z"
local fails, raises = clients.fails, clients.raises

local function request(changes)
  local all = { method = "POST", host = "cce.example.com", path = "/a b", body = "{}", date = DATE }
  for name, value in pairs(changes or {}) do all[name] = value end
  return all
end

describe("cce.signer", function()
  local signer = assert(cce.signer(KEY))

  it("returns the headers to send", function()
    local headers, message, err = signer:sign(request { headers = { ["Content-Type"] = "text/x" } })
    assert.is_nil(message)
    assert.is_nil(err)
    assert.equal("text/x", headers["Content-Type"])
    assert.equal("cce.example.com", headers.Host)
    assert.equal(DATE, headers["X-Sdk-Date"])
    assert.matches("^SDK%-HMAC%-SHA256 Access=EXAMPLEAK, "
      .. "SignedHeaders=content%-type;host;x%-sdk%-date, Signature=%x+$", headers.Authorization)
  end)

  it("signs as the simulator's own code does", function()
    for _, algorithm in ipairs { "SDK-HMAC-SHA256", "SDK-HMAC-SM3", "V11-HMAC-SHA256" } do
      local one = assert(cce.signer { ak = KEY.ak, sk = KEY.sk, algorithm = algorithm,
        region = "cn-north-4", service = "cce" })
      local lower = {}
      for name, value in pairs(assert(one:sign(request()))) do lower[name:lower()] = value end
      local parsed = assert(signature.parse(lower.authorization))
      assert.is_true((signature.verify({
        method = "POST", target = "/a%20b", headers = lower, body = "{}",
      }, parsed, KEY.sk)), algorithm)
      printed.shown(one)
    end
  end)

  it("explains each stage", function()
    local stages = assert(signer:explain(request()))
    assert.matches("^POST\n/a%%20b/\n\nhost:cce.example.com\nx%-sdk%-date:" .. DATE,
      stages.canonical_request)
    assert.matches("^SDK%-HMAC%-SHA256\n" .. DATE .. "\n%x+$", stages.string_to_sign)
    assert.equal(64, #stages.signature)
    assert.equal(signer:sign(request()).Authorization, stages.authorization)
    printed.add(stages)
  end)

  it("signs parts of what was prepared as it signs the whole", function()
    local prepared = assert(signer:prepare(request { path = "/a/{id}", date = DATE }))
    local path = "/a/b"
    assert.same(signer:sign(request { path = path }), prepared:sign { id = "b" })
    assert.same(signer:sign(request { path = path, body = "x" }),
      prepared:sign { id = "b", body = "x" })
    local read = request { path = false }
    read.path = nil
    assert.same(signer:sign(request { path = path }),
      assert(signer:prepare(read)):sign { path = path })
    for _, changes in ipairs { { id = "b/c" }, { id = ".." }, { id = "b", date = "now" } } do
      fails("INVALID_ARGUMENT", prepared:sign(changes))
    end
    assert.has_error(function() prepared:sign {} end)
    assert.matches("^cce.%l+", tostring(prepared))
    printed.shown(prepared)
    prepared:close()
    assert.has_error(function() prepared:sign { id = "b" } end)
    assert.is_string(tostring(prepared))
  end)

  it("sends a security token, and signs it", function()
    local temporary = assert(cce.signer { ak = KEY.ak, sk = KEY.sk,
      security_token = "example-sts" })
    local headers = assert(temporary:sign(request()))
    assert.equal("example-sts", headers["X-Security-Token"])
    assert.matches("SignedHeaders=host;x%-sdk%-date;x%-security%-token,", headers.Authorization)
    printed.shown(temporary)
  end)

  it("takes secrets that only C has seen", function()
    local hidden = assert(cce.signer { ak = KEY.ak, sk = core.secret(KEY.sk) })
    assert.same(signer:sign(request()), hidden:sign(request()))
    printed.shown(hidden)
  end)

  it("returns an error for what it cannot sign", function()
    for _, changes in ipairs {
      { date = "yesterday" }, { host = "a\r\nb" }, { host = "" },
      { headers = { ["X-A"] = "a\nb" } }, { headers = { ["X A"] = "b" } },
    } do
      fails("INVALID_ARGUMENT", signer:sign(request(changes)))
      fails("INVALID_ARGUMENT", signer:explain(request(changes)))
      fails("INVALID_ARGUMENT", signer:prepare(request(changes)))
    end
    fails("INVALID_ARGUMENT", cce.signer { ak = "", sk = "s" })
    fails("INVALID_ARGUMENT", cce.signer { ak = "a", sk = "s", algorithm = "MD5" })
  end)

  it("raises at the line of a wrong call", function()
    raises("unknown option 'secret_key'", function() cce.signer { ak = "a", secret_key = "s" } end)
    raises("'sk' %(it is missing", function() cce.signer { ak = "a" } end)
    raises("table expected, got nil", function() cce.signer() end)
    for _, spec in ipairs { { foo = 1 }, 5, {} } do
      assert.has_error(function() signer:sign(spec) end)
      assert.has_error(function() signer:explain(spec) end)
    end
  end)

  it("wipes its keys when it is closed", function()
    local closing = assert(cce.signer(KEY))
    closing:close()
    closing:close()
    assert.has_error(function() closing:sign(request()) end)
    assert.is_string(tostring(closing))
    printed.shown(closing)
  end)

  it("prints without a secret", function()
    assert.matches("^cce.signer: SDK%-HMAC%-SHA256", tostring(signer))
    assert.is_nil(printed.find { KEY.sk, "example-sts" })
  end)
end)
