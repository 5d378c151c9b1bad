local core = require "cce.core"
local pki = require "spec.support.peer.pki"

local base64 = pki.base64
local USER = "0123456789abcdef0123456789abcdef"

local ca = pki.authority("Test CA")
local client = pki.issue(ca, {
  subject = { { "O", "example:team" }, { "O", "example:ops" }, { "CN", USER } },
  serial = "1311768467294899695", -- 0x1234567890abcdef
})

local function kubeconfig(changes)
  local config = {
    kind = "Config",
    ["current-context"] = "second",
    contexts = {
      { name = "first", context = { cluster = "c", user = "nobody" } },
      { name = "second", context = { cluster = "c", user = "user" } },
    },
    users = {
      { name = "nobody", user = { ["client-certificate-data"] = base64(ca.pem) } },
      {
        name = "user",
        user = {
          ["client-certificate-data"] = base64(client.pem),
          ["client-key-data"] = base64(client.key),
        },
      },
    },
  }
  for key, value in pairs(changes or {}) do
    config[key] = value
  end
  return core.json.encode(config)
end

local function assert_fails(code, pattern, ...)
  local result, message, got = ...
  assert.is_nil(result)
  assert.equal(code, got, message)
  assert.matches(pattern, message)
end

describe("core.certificate", function()
  it("tells the facts of a client certificate", function()
    local facts = assert(core.certificate(client.pem))
    assert.same({
      user_id = USER,
      organizations = { "example:team", "example:ops" },
      subject = "CN=" .. USER .. ",O=example:ops,O=example:team",
      issuer = "CN=Test CA",
      serial = "1234567890abcdef",
      not_before = pki.NOW - 365 * pki.DAY,
      not_after = pki.NOW + 365 * pki.DAY,
      sha256 = client.sha256,
    }, facts)
  end)

  it("reads PEM that is indented, as copied out of YAML", function()
    local plain = assert(core.certificate(client.pem, client.key))
    for _, indent in ipairs { "  ", "\t", "      " } do
      local function indented(text)
        return indent .. text:gsub("\r?\n(.)", "\n" .. indent .. "%1")
      end
      assert.same(plain, assert(core.certificate("  ca: |\n" .. indented(client.pem),
        indented(client.key))))
      assert.same(plain, assert(core.certificate(indented(client.pem):gsub("\n", "  \r\n"),
        indented(client.key))))
      assert.is_true(core.key_matches(indented(client.pem), base64(indented(client.key))))
    end
  end)

  it("tells PEM by the start of a block", function()
    assert.is_true(core.is_pem("x\n" .. client.pem))
    assert.is_true(core.is_pem("  " .. client.pem))
    for _, text in ipairs { "", "-----BEGIN", base64(client.pem), "----BEGIN CERTIFICATE-----" } do
      assert.is_false(core.is_pem(text))
    end
    assert.has_error(function() core.is_pem(nil) end)
  end)

  it("prints times as whole numbers", function()
    assert.equal("1924992000", tostring(core.certificate(client.pem).not_after))
  end)

  it("reads dates beyond 2050 and before 1970", function()
    local old = pki.issue(nil, { not_before = -86400, not_after = 4102444800 })
    local facts = assert(core.certificate(old.pem))
    assert.equal(-86400, facts.not_before)
    assert.equal(4102444800, facts.not_after)
  end)

  it("reads PEM, DER and Base64 of either alike", function()
    local facts = core.certificate(client.pem)
    for name, text in pairs {
      der = client.der,
      ["Base64 of PEM"] = base64(client.pem),
      ["Base64 of DER"] = base64(client.der),
      ["Base64 on many lines"] = base64(client.pem):gsub(("."):rep(64), "%0\r\n") .. "\n",
      ["PEM with CR LF"] = client.pem:gsub("\n", "\r\n"),
      ["PEM by its older name"] = client.pem:gsub("CERTIFICATE", "X509 %0"),
      ["PEM after other text"] = "subject=CN = x\nissuer=CN = y\n" .. client.pem .. "the end\n",
      ["PEM after its key"] = client.key .. client.pem,
      ["a chain"] = client.pem .. ca.pem,
    } do
      assert.same(facts, core.certificate(text), name)
    end
  end)

  it("counts the first certificate of a chain", function()
    assert.equal("Test CA", core.certificate(ca.pem .. client.pem).user_id)
  end)

  it("has no user id where the name does not give exactly one", function()
    local none = pki.issue(ca, { subject = { { "O", "only an organisation" } } })
    local two = pki.issue(ca, { subject = { { "CN", "one" }, { "CN", "two" } } })
    local zero = pki.issue(ca, { subject = { { "CN", "admin\0.example" } } })
    local escape = pki.issue(ca, { subject = { { "CN", "x\27[2J" } } })
    assert.is_nil(assert(core.certificate(none.pem)).user_id)
    assert.is_nil(assert(core.certificate(two.pem)).user_id)
    assert.is_nil(assert(core.certificate(zero.pem)).user_id)
    assert.is_nil(assert(core.certificate(escape.pem)).user_id)
    assert.equal("CN=admin\\00.example", core.certificate(zero.pem).subject)
    assert.equal("CN=x\\1B[2J", core.certificate(escape.pem).subject)
  end)

  it("keeps UTF-8 readable and escapes what a terminal would obey", function()
    local made = pki.issue(ca, { -- luaossl takes names in Latin-1
      subject = { { "O", "a\nb" }, { "O", "c\155d" }, { "CN", "J\252rgen" } },
    })
    local facts = assert(core.certificate(made.pem))
    assert.equal("J\195\188rgen", facts.user_id)
    assert.same({ "a\\0Ab", "c\\C2\\9Bd" }, facts.organizations)
    assert.equal("CN=J\195\188rgen,O=c\\C2\\9Bd,O=a\\0Ab", facts.subject)
  end)

  it("takes no user id from bytes that are no text", function()
    local made = pki.issue(ca, { subject = { { "O", "J\252rgen" }, { "CN", "J\252rgen" } } })
    local wrong = {
      ["\195("] = "\\C3(", -- an incomplete character
      ["\192\175"] = "\\C0\\AF", -- an overlong one
      ["\188\195"] = "\\BC\\C3", -- a tail without a head
    }
    for bytes, shown in pairs(wrong) do
      -- In a UTF8String OpenSSL refuses them; what is no string may hold anything.
      local der = made.der:gsub("\195\188", bytes)
      assert_fails("INVALID_CERTIFICATE", "not valid X.509", core.certificate(der))
      local facts = assert(core.certificate((der:gsub("\12\7J", "\48\7J"))))
      assert.is_nil(facts.user_id)
      assert.same({ "0\\07J" .. shown .. "rgen" }, facts.organizations)
      assert.is_nil(facts.subject:find("[\128-\255]"))
    end
    -- The first and the last of what UTF-8 has, and what lies beyond: longer than need be, half a
    -- character, no character, and one that is cut off.
    for bytes, shown in pairs {
      ["\194\162\224\160\128xx"] = "\194\162\224\160\128xx",
      ["\237\159\191\240\144\128\128"] = "\237\159\191\240\144\128\128",
      ["\238\128\128\244\143\191\191"] = "\238\128\128\244\143\191\191",
      ["\193\191\224\159\191xx"] = "\\C1\\BF\\E0\\9F\\BFxx",
      ["\237\160\128\240\143\191\191"] = "\\ED\\A0\\80\\F0\\8F\\BF\\BF",
      ["\244\144\128\128\245\128\128"] = "\\F4\\90\\80\\80\\F5\\80\\80",
      ["\226\130\172\127\240\159\154"] = "\226\130\172\\7F\\F0\\9F\\9A",
    } do
      local der = made.der:gsub("\12\7J\195\188rgen", (("\48\7" .. bytes):gsub("%%", "%%%%")))
      local facts = assert(core.certificate(der))
      assert.is_nil(facts.user_id)
      assert.same({ "0\\07" .. shown }, facts.organizations)
    end
  end)

  it("reads the text of every kind of string", function()
    local made = pki.issue(ca, { subject = { { "O", "12345678" }, { "CN", "12345678" } } })
    for _, row in ipairs {
      { "\18", "87654321", "87654321" }, -- NumericString
      { "\19", "Example8", "Example8" }, -- PrintableString, as Go writes ASCII
      { "\20", "J\252rg\160\163-1", "J\195\188rg\194\160\194\163-1" }, -- T61String
      { "\22", "a@b.test", "a@b.test" }, -- IA5String
      { "\30", "\0J\0\252\32\172\0\127", nil, "J\195\188\226\130\172\\7F" }, -- BMPString
      { "\30", "\0J\0\252\32\172\224\0", "J\195\188\226\130\172\238\128\128" },
      -- UniversalString
      { "\28", "\0\1\246\128\0\16\255\255", "\240\159\154\128\244\143\191\191" },
      { "\3", "\0Example", nil, "Example" }, -- BIT STRING, which is no text
    } do
      local kind, bytes, user_id, shown = row[1], row[2], row[3], row[4]
      local der = made.der:gsub("\12\b12345678", (kind .. "\b" .. bytes))
      local facts = assert(core.certificate(der))
      assert.equal(user_id, facts.user_id)
      assert.same({ shown or user_id }, facts.organizations)
    end
  end)

  it("survives every single byte of a certificate being another", function()
    local der = client.der
    for i = 1, #der do
      local changed = der:sub(1, i - 1) .. string.char((der:byte(i) + 1) % 256) .. der:sub(i + 1)
      local facts, message, code = core.certificate(changed)
      assert.is_true(facts ~= nil or (type(message) == "string" and code == "INVALID_CERTIFICATE"))
      if facts then
        assert.is_nil(facts.subject:find("%c"))
      end
    end
  end)

  it("refuses a text cut off at any byte", function()
    for length = 0, #client.der - 1 do
      assert_fails("INVALID_CERTIFICATE", "", core.certificate(client.der:sub(1, length)))
    end
    for length = 0, #client.pem - 2 do
      assert_fails("INVALID_CERTIFICATE", "", core.certificate(client.pem:sub(1, length)))
    end
    local text = base64(client.der)
    for length = 0, #text - 1 do
      assert_fails("INVALID_CERTIFICATE", "", core.certificate(text:sub(1, length)))
    end
  end)

  it("says what is wrong", function()
    local function fails(pattern, text)
      assert_fails("INVALID_CERTIFICATE", pattern, core.certificate(text))
    end
    fails("is empty", "")
    fails("neither PEM nor Base64", "hello, world")
    fails("byte 3 does not belong", "aa!a")
    fails("neither PEM nor DER", base64("hello, world"))
    fails("neither PEM nor DER", base64(base64("hello, world")))
    fails("Base64 twice", base64(base64(client.pem)))
    fails("Base64 twice", base64(base64(client.der)))
    fails("private key, not a certificate", client.key)
    fails("no certificate in it", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    fails("damaged or cut off", (client.pem:gsub("END", "ENT")))
    fails("bytes follow", client.der .. "x")
    fails("not valid X.509", "0\130\1\0" .. ("x"):rep(256))
  end)

  it("reads up to two megabytes of text", function()
    local limit = 2 * 1048576
    local padding = ("#"):rep(80) .. "\n"
    local text = padding:rep(math.ceil(limit / #padding))
    text = text:sub(1, limit - #client.pem - 1) .. "\n" .. client.pem
    assert.equal(limit, #text)
    assert.equal(USER, assert(core.certificate(text)).user_id)
    assert_fails("INVALID_CERTIFICATE", "at most 2097152", core.certificate("#" .. text))
  end)

  it("raises for what is not text", function()
    for _, value in ipairs { 1, true, {}, print } do
      assert.has_error(function()
        core.certificate(value)
      end)
    end
    assert.has_error(function()
      core.certificate()
    end)
    assert.has_error(function()
      core.certificate(client.pem, 1)
    end)
  end)
end)

describe("core.certificate of a kubeconfig", function()
  it("takes the user of the current context, and compares the key", function()
    local facts = assert(core.certificate(kubeconfig()))
    assert.equal(USER, facts.user_id)
    assert.is_true(facts.key_matches)
    assert.equal(USER, core.certificate("\r\n\t " .. kubeconfig()).user_id)
  end)

  it("takes the first user where no context says which", function()
    local contexts = { "gone", false, 7, {} }
    for _, current in ipairs(contexts) do
      local facts = assert(core.certificate(kubeconfig { ["current-context"] = current }))
      assert.equal("Test CA", facts.user_id)
      assert.is_nil(facts.key_matches)
    end
    assert.equal("Test CA", core.certificate(kubeconfig { contexts = "none" }).user_id)
    assert.equal("Test CA", core.certificate(kubeconfig { contexts = { 1, "x", {} } }).user_id)
  end)

  it("tells a key that does not match", function()
    local users = {
      {
        user = {
          ["client-certificate-data"] = base64(client.pem),
          ["client-key-data"] = base64(ca.key),
        },
      },
    }
    assert.is_false(core.certificate(kubeconfig { users = users }).key_matches)
  end)

  it("says what is wrong", function()
    local function fails(pattern, text)
      assert_fails("INVALID_CERTIFICATE", pattern, core.certificate(text))
    end
    local twice = { ["client-certificate-data"] = base64(base64(client.pem)) }
    fails("not valid JSON", "{")
    fails("not valid JSON", "{}{}")
    fails("no client%-certificate%-data", "{}")
    fails("no client%-certificate%-data", '{"users":null}')
    fails("no client%-certificate%-data", '{"users":[]}')
    fails("no client%-certificate%-data", '{"users":[1]}')
    fails("no client%-certificate%-data", '{"users":[{"user":{"client-certificate-data":1}}]}')
    fails("no client%-certificate%-data", kubeconfig { users = { { user = { token = "x" } } } })
    fails("Base64 twice", kubeconfig { users = { { user = twice } } })
  end)

  it("is refused when cut off at any byte", function()
    local text = kubeconfig()
    for length = 0, #text - 1, 7 do
      assert_fails("INVALID_CERTIFICATE", "", core.certificate(text:sub(1, length)))
    end
  end)
end)

--- The DER inside of a PEM text, by the Base64 decoder of another library.
local function der_of(pem)
  local mime = require "mime"
  return (mime.unb64((pem:gsub("%-%-%-%-%-[^\n]*\n", ""):gsub("\n", ""))))
end

describe("core.issued_by", function()
  local other = pki.authority("Test CA")

  it("tells which CA issued a certificate, not which has the name", function()
    assert.is_true(core.issued_by(client.pem, ca.pem, pki.NOW))
    assert.is_false(core.issued_by(client.pem, other.pem, pki.NOW))
    assert.is_true(core.issued_by(client.pem, other.pem .. ca.pem, pki.NOW))
    assert.is_true(core.issued_by(client.pem, base64(ca.pem), pki.NOW))
    assert.is_true(core.issued_by(kubeconfig(), base64(ca.pem), pki.NOW))
    assert.is_false(core.issued_by(kubeconfig(), base64(other.pem), pki.NOW))
  end)

  it("takes nothing for its own issuer", function()
    assert.is_false(core.issued_by(client.pem, client.pem, pki.NOW))
  end)

  it("asks at one time, when both must be valid", function()
    assert.is_true(core.issued_by(client.pem, ca.pem, pki.NOW + 364 * pki.DAY))
    assert.is_false(core.issued_by(client.pem, ca.pem, pki.NOW + 366 * pki.DAY))
  end)

  it("says which text it cannot read, and raises on wrong use", function()
    assert_fails("INVALID_CERTIFICATE", "", core.issued_by("", ca.pem, pki.NOW))
    assert_fails("INVALID_CERTIFICATE", "", core.issued_by(client.pem, "x", pki.NOW))
    assert_fails("INVALID_CERTIFICATE", "", core.issued_by("{", ca.pem, pki.NOW))
    assert.has_error(function() core.issued_by(client.pem, ca.pem) end)
    assert.has_error(function() core.issued_by(client.pem, ca.pem, -1) end)
    assert.has_error(function() core.issued_by(client.pem, ca.pem, 0 / 0) end)
    assert.has_error(function() core.issued_by(client.pem, 1, pki.NOW) end)
  end)
end)

describe("core.key_matches", function()
  local rsa = pki.issue(ca, { key = pki.fixture("rsa.pem") })
  local ec = pki.issue(ca, { key = pki.fixture("ec.pem") })
  local edwards = pki.issue(ca, { key = pki.fixture("ed25519.pem") })

  it("knows RSA, EC and Ed25519 keys, and never confuses them", function()
    local curve = pki.issue(ca, { key = { type = "EC", curve = "secp384r1" } })
    local all = { client, rsa, ec, edwards, curve }
    for i, one in ipairs(all) do
      for j, other in ipairs(all) do
        assert.equal(i == j, core.key_matches(one.pem, other.key))
      end
    end
  end)

  it("reads every form of an unencrypted key", function()
    assert.is_true(core.key_matches(rsa.pem, pki.fixture("rsa_traditional.pem")))
    assert.is_true(core.key_matches(ec.pem, pki.fixture("ec_with_parameters.pem")))
    assert.is_true(core.key_matches(rsa.pem, base64(pki.fixture("rsa.pem"))))
    assert.is_true(core.key_matches(rsa.pem, rsa.pem .. rsa.key))
    for _, made in ipairs { rsa, ec, edwards } do
      local der = der_of(made.key)
      assert.is_true(core.key_matches(made.pem, der))
      assert.is_true(core.key_matches(made.pem, base64(der)))
    end
  end)

  it("refuses an encrypted key, in any form, and does not ask for a passphrase", function()
    for _, name in ipairs {
      "rsa_encrypted.pem",
      "rsa_encrypted.der",
      "rsa_dek_info.pem",
      "ec_dek_info.pem",
    } do
      local text = pki.fixture(name)
      assert_fails("INVALID_KEY", "is encrypted", core.key_matches(rsa.pem, text))
      assert_fails("INVALID_KEY", "is encrypted", core.key_matches(rsa.pem, base64(text)))
    end
  end)

  it("says what is wrong, without a word of the key", function()
    local function fails(pattern, text)
      local _, message = core.key_matches(rsa.pem, text)
      assert_fails("INVALID_KEY", pattern, core.key_matches(rsa.pem, text))
      assert.is_nil(message:find(rsa.key:sub(200, 210), 1, true))
    end
    fails("is empty", "")
    fails("no private key in it", rsa.pem)
    fails("Base64 twice", base64(base64(rsa.key)))
    fails("neither PEM nor Base64", rsa.key:sub(200, 300) .. "!")
    fails("damaged or cut off", rsa.key:sub(1, 300))
    fails("cannot be read", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    local public = ec.key:gsub("PRIVATE", "PUBLIC")
    assert_fails("INVALID_CERTIFICATE", "no certificate", core.key_matches(public, ec.key))
  end)

  it("refuses a key cut off at any byte", function()
    local text = base64(ec.key)
    for length = 0, #ec.key - 2 do
      assert_fails("INVALID_KEY", "", core.key_matches(ec.pem, ec.key:sub(1, length)))
    end
    for length = 0, #text - 8 do
      assert_fails("INVALID_KEY", "", core.key_matches(ec.pem, text:sub(1, length)))
    end
  end)

  it("raises for what is not text", function()
    assert.has_error(function()
      core.key_matches(rsa.pem)
    end)
    assert.has_error(function()
      core.key_matches(rsa.pem, {})
    end)
  end)

  it("serves core.certificate's second argument", function()
    assert.is_true(core.certificate(rsa.pem, rsa.key).key_matches)
    assert.is_false(core.certificate(rsa.pem, ec.key).key_matches)
    assert_fails(
      "INVALID_KEY", "encrypted", core.certificate(rsa.pem, pki.fixture("rsa_encrypted.pem"))
    )
  end)
end)
