local address = require "cce.schedule.etcd.address"

describe("the place of a schedule in etcd", function()
  local CERT = { cert = "client.pem", key = "client.key" }
  local USER = { username = "gateway", password = "not-a-real-password" }

  local function hosts_of(text, opts)
    local where, message = address.read(text, opts or {})
    assert(where, message)
    local hosts = {}
    for i, endpoint in ipairs(where.endpoints) do hosts[i] = endpoint.url end
    return table.concat(hosts, " "), where.prefix
  end

  local function refusal(text, opts)
    local where, message, err = address.read(text, opts or {})
    assert.is_nil(where, text)
    assert.equal("INVALID_ARGUMENT", err.code)
    return tostring(err), message
  end

  it("is one or several addresses and a prefix", function()
    assert.same({ "http://127.0.0.1:2379", "cce" }, { hosts_of "http://127.0.0.1:2379/cce" })
    assert.same({ "https://a.example:2379 https://b.example:2379", "cce/prod-1" },
      { hosts_of("https://a.example:2379,https://b.example:2379/cce/prod-1", CERT) })
    assert.same({ "http://localhost https://[::1]:1", "x" },
      { hosts_of "http://localhost,https://[::1]:1/x/" })
  end)

  it("has nothing else in it", function()
    for _, text in ipairs {
      "", "/cce", "127.0.0.1:2379/cce", "http://127.0.0.1:2379", "http://127.0.0.1:2379/",
      "http://127.0.0.1:1/a,http://127.0.0.1:2/b", "http://127.0.0.1:1,/b", "ftp://127.0.0.1/a",
      "http://127.0.0.1:1/a/../b", "http://127.0.0.1:1/a//b", "http://127.0.0.1:1/a?b=c",
      "http://127.0.0.1:1/a b", "http://127.0.0.1:1/a\0b",
    } do refusal(text) end
  end)

  it("shows no password that stands where none belongs", function()
    for _, text in ipairs {
      "https://root:not-a-real-password@etcd.example:2379/cce",
      "https://root:not-a-real-password,b@etcd.example:2379/cce",
      "http://not-a-real-password,b@etcd.example:2379/cce",
      "root:not-a-real-password@etcd.example:2379/cce",
      "https://root:a/not-a-real-password@etcd.example:2379/cce",
    } do
      assert.is_nil(refusal(text):find("not-a-real-password", 1, true))
    end
  end)

  it("is beyond this machine only with TLS and somebody that we are", function()
    local shown = refusal("http://etcd.example:2379/cce", CERT)
    assert.matches("loopback", shown)
    shown = refusal "https://etcd.example:2379/cce"
    assert.matches("cert and key", shown)
    refusal "https://127.0.0.1:2379,https://10.0.0.1:2379/cce"
    hosts_of("https://etcd.example:2379/cce", CERT)
    hosts_of("https://etcd.example:2379/cce", USER)
    hosts_of("http://127.0.0.1:2379/cce", USER)
    hosts_of "https://127.0.0.1:2379/cce"
  end)

  it("takes no half of a pair", function()
    for name, value in pairs { cert = "c", key = "k", username = "u", password = "p" } do
      refusal("https://127.0.0.1:2379/cce", { [name] = value })
    end
    assert.matches("https", refusal("http://127.0.0.1:2379/cce", CERT))
  end)
end)
