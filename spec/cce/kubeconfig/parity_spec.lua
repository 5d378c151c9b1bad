-- The judge is kubectl itself: what it reads we read alike, merge into so that it reads all
-- of it again, and ask as it asks. Where we differ, the reason stands beside the form.
local clients = require "spec.support.clients"
local core = require "cce.core"
local json = require "cce.base.json"
local kubeconfig = require "cce.kubeconfig"
local probe = require "cce.kubeconfig.probe"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

if not (simulator.has_program "kubectl" and pcall(require, "lyaml")) then
  describe("kubectl and we", function() pending "needs kubectl and lyaml" end)
  return
end

local minor = tonumber(tempdir.shell("kubectl version --client"):match "v1%.(%d+)")
local INTERNAL = tempdir.read "spec/fixtures/kubeconfig_internal.json"

local HEAD = "apiVersion: v1\nkind: Config\n"
local REST = "contexts:\n- name: x\n  context: {cluster: c, user: u, namespace: shop}\n"
  .. "users:\n- name: u\n  user: {token: t}\ncurrent-context: x\n"
local CLUSTER = "clusters:\n- name: c\n  cluster:\n    server: https://a.example\n"
local WHOLE = HEAD .. CLUSTER .. REST

local function ca(lines) return HEAD .. CLUSTER .. lines .. REST end

local function user_named(name)
  return HEAD .. "users:\n- name: " .. name .. "\n  user: {token: t}\n"
end

local function utf16(text, is_big)
  return (is_big and "\254\255" or "\255\254")
    .. text:gsub(".", is_big and "\0%0" or "%0\0")
end

local JSON = '{"kind":"Config","apiVersion":"v1","clusters":[{"name":"a","cluster":'
  .. '{"server":"https://a"}}],"users":[],"contexts":[],"current-context":""}'

local NAMED = "the entry alone is reported, and the others are used"
local LENIENT = "it is JSON, as the API may send it; kubectl reads JSON as YAML"

-- name, text, why we read it when kubectl does not (or the other way round).
local forms = {
  { "a plain file", WHOLE },
  { "no kind", CLUSTER .. REST },
  { "another kind", "kind: Foo\napiVersion: v1\n" .. CLUSTER },
  { "another version", "kind: Config\napiVersion: v2\n" .. CLUSTER },
  { "an empty version", "kind: Config\napiVersion: ''\n" .. CLUSTER .. REST },
  { "an empty kind", '{"kind":"","apiVersion":"","clusters":[{"name":"a","cluster":{}}]}' },
  { "comments only", "# nothing\n# here\n" },
  { "nothing", "" },
  { "blank lines", "\n\n" },
  { "null", "null\n" },
  { "a document of null", "---\n~\n" },
  { "a list", "- a\n" },
  { "a key of null", WHOLE .. "null: a\n" },
  { "no key before a colon", WHOLE .. ": a\n" },
  { "a word", "hello\n" },
  { "a trailing ---", WHOLE .. "---\n" },
  { "two trailing ---", WHOLE .. "---\n---\n" },
  { "YAML 1.1, as it says", "%YAML 1.1\n---\n" .. WHOLE },
  { "YAML 1.2, as it says", "%YAML 1.2\n---\n" .. WHOLE },
  { "a trailing ...", WHOLE .. "...\n" },
  { "a second document", WHOLE .. "---\napiVersion: v1\nkind: Config\ncurrent-context: z\n" },
  { "a leading ---", "---\n" .. WHOLE },
  { "a comment before ---", "# c\n---\n" .. WHOLE },
  { "an empty first document", "---\n---\n" .. WHOLE },
  { "a byte order mark", "\239\187\191" .. WHOLE },
  { "UTF-16, little end first", utf16(WHOLE) },
  { "UTF-16, big end first", utf16(WHOLE, true) },
  { "UTF-16 with a character of two halves", utf16(WHOLE:match "^(.*)shop")
    .. "\192\216\0\220" .. utf16(WHOLE:match "shop(.*)$"):sub(3) },
  { "UTF-16 without a mark", utf16(WHOLE):sub(3) },
  { "CRLF", (WHOLE:gsub("\n", "\r\n")) },
  { "no line feed at the end", WHOLE:sub(1, -2) },
  { "two entries of one name", HEAD .. "clusters:\n- {name: c, cluster: {server: https://a}}\n"
    .. "- {name: c, cluster: {server: https://b}}\n" },
  { "a key twice", HEAD .. "current-context: a\ncurrent-context: b\n" },
  { "a deep key twice", HEAD .. "clusters:\n- {name: c, cluster: {server: https://a, server: "
    .. "https://b}}\n" },
  { "null lists", HEAD .. "clusters: null\nusers: ~\ncontexts:\n" },
  { "an object for a list", HEAD .. "clusters: {}\n" },
  { "a word for a list", HEAD .. "clusters: x\n" },
  { "a null entry", HEAD .. "clusters:\n- null\n" },
  { "an entry without a name", HEAD .. "clusters:\n- cluster: {server: https://a}\n" },
  { "an empty name", HEAD .. "clusters:\n- name: ''\n  cluster: {server: https://a}\n" },
  { "a null name", user_named "~" },
  { "a name that is tagged", user_named "!!str 12" },
  { "a name in quotes", user_named "'12'" },
  { "a number for text", HEAD .. "contexts:\n- name: x\n  context: {namespace: 12}\n" },
  { "text for a boolean", HEAD
    .. "clusters:\n- name: c\n  cluster: {insecure-skip-tls-verify: 'true'}\n" },
  { "yes for true", HEAD .. "clusters:\n- name: c\n  cluster: {insecure-skip-tls-verify: yes}\n" },
  { "Base64 in a literal", ca "    certificate-authority-data: |\n      QUJD\n      REVG\n" },
  { "Base64 with CRLF", ca '    certificate-authority-data: "QUJD\\r\\nREVG"\n' },
  { "Base64 filled up", ca "    certificate-authority-data: QUI=\n" },
  { "Base64 with loose bits", ca "    certificate-authority-data: QUJ=\n" },
  { "Base64 that is empty", ca '    certificate-authority-data: ""\n' },
  { "Base64 that is null", ca "    certificate-authority-data:\n" },
  { "Base64 over several lines", ca "    certificate-authority-data: QUJD\n      REVG\n", NAMED },
  { "Base64 that is folded", ca "    certificate-authority-data: >\n      QUJD\n      REVG\n",
    NAMED },
  { "Base64 with a blank", ca '    certificate-authority-data: "QUJD REVG"\n', NAMED },
  { "Base64 with a tab", ca '    certificate-authority-data: "QUJD\\tREVG"\n', NAMED },
  { "Base64 that is not filled up", ca "    certificate-authority-data: QUI\n", NAMED },
  { "Base64 filled up in the middle", ca "    certificate-authority-data: QQ==QUJD\n", NAMED },
  { "Base64 for URLs", ca '    certificate-authority-data: "-_-_"\n', NAMED },
  { "!!binary twice over", ca "    certificate-authority-data: !!binary UVVKRA==\n" },
  { "!!binary", ca "    certificate-authority-data: !!binary QUJDRA==\n" },
  { "an anchor", HEAD .. "clusters:\n- name: a\n  cluster: &c {server: https://a}\n"
    .. "- name: b\n  cluster: *c\n" },
  { "a merge", HEAD .. "clusters:\n- name: a\n  cluster: &c {server: https://a}\n"
    .. "- name: b\n  cluster: {<<: *c, tls-server-name: z}\n" },
  { "a merge behind", HEAD .. "clusters:\n- name: a\n  cluster: &c {server: https://a}\n"
    .. "- name: b\n  cluster: {server: https://b, <<: *c}\n" },
  { "a merge of several", HEAD .. "clusters:\n- name: a\n  cluster: &a {server: https://a}\n"
    .. "- name: b\n  cluster: &b {server: https://b, tls-server-name: z}\n"
    .. "- name: c\n  cluster: {<<: [*a, *b]}\n" },
  { "keys of another case", HEAD .. "Clusters:\n- name: c\n  cluster: {server: https://a}\n" },
  { "unknown keys", HEAD .. "x-mine: [1, 2]\n" .. CLUSTER .. REST },
  { "a tab", HEAD .. "users:\n-\tname: u\n" },
  { "a list for an object", HEAD .. "users: [{name: u, user: [1]}]\n" },
  { "a number for an argument", HEAD .. "users: [{name: u, user: {exec: {command: x, args: [1],"
    .. " apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never}}}]\n" },
  { "null for arguments", HEAD .. "users: [{name: u, user: {exec: {command: x, args: null,"
    .. " apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never}}}]\n" },
  { "an extension that is a number", HEAD .. "extensions: [{name: a, extension: 5}]\n" },
  { "preferences that are null", HEAD .. "preferences: null\n" },
  { "preferences that are a list", HEAD .. "preferences: []\n" },
  { "a number for current-context", HEAD .. "current-context: 5\n" },
  { "null for current-context", HEAD .. "current-context:\n" },
  { "a byte of zero", WHOLE .. "\0" },
  { "Latin-1", HEAD .. "x: \228\n" },
  { "flow style", "{kind: Config, apiVersion: v1, clusters: [{name: c, cluster: {server: "
    .. "'https://a'}}], users: [], contexts: [], current-context: ''}\n" },
  { "JSON", JSON },
  { "JSON with tabs", '{\n\t"kind": "Config",\n\t"apiVersion": "v1"\n}\n' },
  { "JSON with escaped slashes", '{"kind":"Config","apiVersion":"v1","clusters":[{"name":"a",'
    .. '"cluster":{"server":"https:\\/\\/a"}}]}', LENIENT },
  { "JSON with a comma too many", '{"kind":"Config","apiVersion":"v1","clusters":[],}' },
  { "JSON with a comment", '{"kind":"Config", # c\n"apiVersion":"v1"}' },
  { "JSON with a key twice", '{"kind":"Config","current-context":"a","current-context":"b"}' },
  { "JSON with single quotes", "{'kind':'Config',apiVersion: v1}" },
  { "JSON and text behind it", JSON .. "\nsaved by hand\n" },
  { "JSON and a bracket too many", JSON .. "}\n" },
  { "JSON and a comment behind it", JSON .. "\n# mine\n" },
  { "JSON twice", JSON .. "\n" .. JSON .. "\n" },
  { "JSON and a second document", JSON .. "\n---\n" .. WHOLE },
  { "JSON and a document that is none", JSON .. "\n---\n- [\n" },
  { "JSON, its end and text", JSON .. "\n...\nmine\n" },
  { "JSON and what is no YAML", JSON .. "\n@mine\n" },
  { "JSON and a byte of zero", JSON .. "\0" },
  { "an end and text", WHOLE .. "...\nmine\n" },
  { "JSON behind ---", "---\n" .. JSON .. "\n" },
  { "JSON with Latin-1", '{"kind":"Config","current-context":"\228"}' },
  { "JSON with DEL", '{"kind":"Config","current-context":"\127"}' },
  { "JSON with a control character of Latin-1", '{"kind":"Config","current-context":"\194\159"}' },
  { "JSON with half a character", '{"kind":"Config","current-context":"\237\160\128"}' },
  { "JSON with a character in too many bytes", '{"kind":"Config","current-context":"\192\175"}' },
  { "JSON with a character cut off", '{"kind":"Config","current-context":"\226\130"}' },
  { "JSON with no character", '{"kind":"Config","current-context":"\239\191\190"}' },
  { "JSON beyond Unicode", '{"kind":"Config","current-context":"\244\144\128\128"}' },
  { "JSON with an emoji", '{"kind":"Config","current-context":"\240\159\152\128"}' },
  { "JSON with surrogates", '{"kind":"Config","current-context":"\\ud83d\\ude00"}', LENIENT },
}

for _, name in ipairs { "12", "yes", "y", "2020-01-02", "12:30:45", "1e3", "1e+3", "0777", "089",
  "0o17", "0xAF", "1_000", ".5", "1.", ".inf", "1.2.3", "+12", "-0", "0b11", "off", "TRUE", "0x",
  "1.5e-7", "_1", "nan", "~a", "12e4567", "-1e400", "1e-400", "0xFFFFFFFFFFFFFFFF",
  "0xFFFFFFFFFFFFFFFFF", "0b1" .. ("0"):rep(70), "0o7" .. ("7"):rep(30), "07" .. ("7"):rep(30),
  "1" .. ("0"):rep(400) } do
  forms[#forms + 1] = { "the name " .. name, user_named(name) }
end

local fields = {
  clusters = { "server", "tls-server-name", "proxy-url", "insecure-skip-tls-verify",
    "certificate-authority-data" },
  users = { "token", "username", "client-certificate-data" },
  contexts = { "cluster", "user", "namespace" },
}
local bodies = { clusters = "cluster", users = "user", contexts = "context" }

local function plain(value)
  if value == nil or value == json.null or value == "" or value == false then return nil end
  return value
end

-- What Go makes of Base64, written anew.
local function canonical(field, value)
  if not value or not field:find "data$" then return value end
  local text = value:gsub("[\r\n]", ""):gsub("QUJ=$", "QUI=")
  return core.from_base64(text) or value
end

local function summary(data)
  local found = { current = plain(data["current-context"]) }
  for section, names in pairs(fields) do
    found[section] = {}
    for _, entry in ipairs(plain(data[section]) or {}) do
      local body = type(entry) == "table" and plain(entry[bodies[section]]) or {}
      local row = { name = type(entry) == "table" and plain(entry.name) or nil }
      for _, field in ipairs(names) do row[field] = canonical(field, plain(body[field])) end
      found[section][row.name or ""] = row
    end
  end
  return found
end

describe("kubectl and we", function()
  local dir, path

  setup(function()
    print("kubectl v1." .. minor)
  end)

  before_each(function()
    dir = tempdir.new()
    path = dir .. "/config"
  end)

  after_each(function() tempdir.remove(dir) end)

  -- kubectl is slow to start: each form is read once.
  local views = {}

  local function kubectl_view()
    local text = tempdir.read(path)
    if views[text] then return views[text]() end
    -- Some builds of kubectl ask the current server for its version first.
    local output, status = tempdir.run(("HOME=%s kubectl --server=http://127.0.0.1:1 --kubeconfig"
      .. " %s config view --raw -o json"):format(dir, path))
    local is_read = status == 0
    views[text] = function()
      return is_read and summary(assert(json.decode(output))) or nil, output
    end
    return views[text]()
  end

  describe("read", function()
    for _, form in ipairs(forms) do
      it(form[1], function()
        tempdir.write(path, form[2])
        local theirs, why = kubectl_view()
        local loaded, message = kubeconfig.load(path)
        if form[3] then
          assert.is_nil(theirs)
          assert(loaded, message)
        elseif theirs then
          assert.same(theirs, summary(assert(loaded, message).data))
        else
          assert.is_nil(loaded, why)
        end
      end)
    end
  end)

  describe("merge into", function()
    for _, form in ipairs(forms) do
      it(form[1], function()
        tempdir.write(path, form[2])
        local before = kubectl_view()
        local saved, message, err = assert(kubeconfig.parse(INTERNAL, { cluster_id = "id" }))
          :save(path, { merge = true, name = "new" })
        if not before then
          -- What it did not read it reads no better; nothing of it is lost. Where one value
          -- is wrong, no certificate is to be obtained for the file.
          if form[3] == NAMED then assert.is_nil(saved) end
          if not saved then assert.equal(form[2], tempdir.read(path)) end
          return
        elseif not saved then
          assert.is_string(err.hint, message)
          assert.equal(form[2], tempdir.read(path))
          return
        end
        local after, output = kubectl_view()
        assert(after, output)
        for section in pairs(fields) do
          assert.is_table(after[section].new)
          after[section].new = nil
          assert.same(before[section], after[section])
        end
        if before.current and before.contexts[before.current] then
          assert.equal(before.current, after.current)
        end
        local again = tempdir.read(path)
        assert(assert(kubeconfig.parse(INTERNAL, { cluster_id = "id" }))
          :save(path, { merge = true, name = "new" }))
        assert.equal(again, tempdir.read(path))
      end)
    end

    it("and refuse few", function()
      local refused = {}
      for _, form in ipairs(forms) do
        tempdir.write(path, form[2])
        if kubectl_view() then
          local _, message, err = assert(kubeconfig.parse(INTERNAL, { cluster_id = "id" }))
            :save(path, { merge = true, name = "new", trial = true })
          if err then refused[#refused + 1] = form[1] .. ": " .. message:match "[^:]+$" end
        end
      end
      assert.same({
        "an empty first document:  the result would not be what is meant",
        "a key twice:  a key there occurs twice, or merges others",
        "JSON with a key twice:  a key there occurs twice, or merges others",
      }, refused)
    end)
  end)
end)

if not (simulator.has_program "nginx" and simulator.has_program "python3") then return end

describe("kubectl and we ask by", function()
  local sim, client, dir, path, tunnel, host, port, ports

  setup(function()
    sim = simulator.get()
    sim:reset()
    client = clients.new(sim)
    dir = tempdir.new()
    local config = assert(client:obtain_cert(sim.clusters[1].id, { duration = 1 }))
    host, port = config.data.clusters[1].cluster.server:match "^https://([^:]+):(%d+)"
    tunnel = assert(core.sys.spawn { argv = {
      "/usr/bin/env", "python3", "spec/support/peer/tunnel.py",
      host, port, dir .. "/ports" }, stdin = "/dev/null", stdout = "/dev/null",
      stderr = dir .. "/tunnel.err", die_with_parent = true })
    local deadline = core.sys.monotonic() + 120
    repeat
      ports = tempdir.read(dir .. "/ports")
      core.sys.sleep(0.02)
    until ports or core.sys.monotonic() > deadline
    ports = { assert(ports, tempdir.read(dir .. "/tunnel.err")):match "(%d+) (%d+)" }
  end)

  teardown(function()
    tunnel:close()
    client:close()
    tempdir.remove(dir)
  end)

  before_each(function() path = dir .. "/config" end)

  -- What kubectl gets with a change to the data, and what we see.
  local function ask(change)
    local config = assert(client:obtain_cert(sim.clusters[1].id, { duration = 1 }))
    local data = json.decode(config.raw)
    change(data.clusters[1].cluster, data.users[1].user, data)
    tempdir.write(path, json.encode(data))
    local output, status = tempdir.run(("HOME=%s kubectl --request-timeout=10s --kubeconfig %s get"
      .. " --raw /version"):format(dir, path))
    local loaded = assert(kubeconfig.load(path))
    return status == 0, probe.look(client, loaded), output
  end

  local function to_file(body, field, name)
    tempdir.write(dir .. "/" .. name, assert(core.from_base64(body[field .. "-data"])))
    body[field .. "-data"], body[field] = nil, name
  end

  local function change_pem(body, field, what, by)
    field = field .. "-data"
    body[field] = core.to_base64((assert(core.from_base64(body[field])):gsub(what, by)))
  end

  local ways = {
    ["text around the certificate and the key"] = function(_, user)
      change_pem(user, "client-certificate", "^", "Bag Attributes\n  x: y\n")
      change_pem(user, "client-key", "$", "# mine\n")
    end,
    ["PEM with CRLF"] = function(_, user)
      change_pem(user, "client-certificate", "\n", "\r\n")
      change_pem(user, "client-key", "\n", "\r\n")
    end,
    ["what stands in it"] = function() end,
    ["files beside it"] = function(cluster, user)
      to_file(cluster, "certificate-authority", "ca.pem")
      to_file(user, "client-certificate", "cert.pem")
      to_file(user, "client-key", "key.pem")
    end,
    ["a tunnel and tls-server-name"] = function(cluster)
      cluster.server = "https://127.0.0.1:" .. ports[1]
      cluster["tls-server-name"] = host
    end,
    ["proxy-url"] = function(cluster)
      cluster.server = "https://cluster-1.example.invalid:5443"
      cluster["tls-server-name"] = host
      cluster["proxy-url"] = "http://127.0.0.1:" .. ports[2]
    end,
    ["proxy-url with an @ in the password"] = function(cluster)
      cluster["proxy-url"] = "HTTP://user:p@ss@127.0.0.1:" .. ports[2]
    end,
    ["proxy-url of SOCKS, which resolves the name"] = function(cluster)
      cluster.server = "https://cluster-1.example.invalid:5443"
      cluster["tls-server-name"] = host
      cluster["proxy-url"] = "socks5://127.0.0.1:" .. ports[2]
    end,
    ["a tokenFile beside the certificate"] = function(_, user)
      tempdir.write(dir .. "/token", "t\n")
      user.tokenFile = "token"
    end,
    ["a token, whatever tokenFile"] = function(_, user)
      user.token, user.tokenFile = "t", "nothing"
    end,
    ["a command that is not there beside the certificate"] = function(_, user)
      user.exec = { command = "nothing", apiVersion = "client.authentication.k8s.io/v1beta1" }
    end,
    ["a password beside the certificate"] = function(_, user)
      user.username, user.password = "u", "p"
    end,
    ["fields that are empty"] = function(cluster)
      cluster["tls-server-name"], cluster["proxy-url"] = "", json.null
    end,
  }
  -- kubectl 1.20 runs it.
  local later = { ["a command that is not there beside the certificate"] = 21 }
  for way, change in pairs(ways) do
    it(way, function()
      local works, seen, output = ask(change)
      assert.equal(minor >= (later[way] or 0), works, output)
      assert.equal("works", seen.state, seen.text)
    end)
  end

  local failures = {
    ["a CA file that is not there"] = function(cluster)
      cluster["certificate-authority-data"] = nil
      cluster["certificate-authority"] = "nothing.pem"
    end,
    ["no CA, for the system's do not know it"] = function(cluster)
      cluster["certificate-authority-data"] = nil
    end,
    ["another tls-server-name"] = function(cluster)
      cluster["tls-server-name"] = "other.example"
    end,
    -- client-go takes plain HTTP then; we never send a certificate's request that way.
    ["an address without a scheme"] = function(cluster)
      cluster.server = cluster.server:gsub("^https://", "")
    end,
    ["a CA twice, in the file and beside it"] = function(cluster)
      local field = "certificate-authority"
      tempdir.write(dir .. "/ca.pem", assert(core.from_base64(cluster[field .. "-data"])))
      cluster[field] = "ca.pem"
    end,
    ["a key twice, in the file and beside it"] = function(_, user)
      tempdir.write(dir .. "/key.pem", assert(core.from_base64(user["client-key-data"])))
      user["client-key"] = "key.pem"
    end,
    ["a key file that is not there"] = function(_, user)
      user["client-key-data"], user["client-key"] = nil, "nothing.pem"
    end,
    ["no key"] = function(_, user) user["client-key-data"] = nil end,
    ["a certificate file that is not there"] = function(_, user)
      user["client-certificate-data"], user["client-certificate"] = nil, "nothing.pem"
    end,
    ["a certificate behind a byte order mark"] = function(_, user)
      change_pem(user, "client-certificate", "^", "\239\187\191")
    end,
    ["a certificate that is indented"] = function(_, user)
      change_pem(user, "client-certificate", "%f[^\n%z]", "  ")
    end,
    ["a certificate of another name"] = function(_, user)
      change_pem(user, "client-certificate", " CERTIFICATE", " X509 CERTIFICATE")
    end,
    ["a key that is indented"] = function(_, user) change_pem(user, "client-key", "^", " ") end,
    ["a CA that is indented"] = function(cluster)
      change_pem(cluster, "certificate-authority", "^", " ")
    end,
    ["a tokenFile that is not there"] = function(_, user) user.tokenFile = "nothing" end,
    ["an empty tokenFile"] = function(_, user)
      tempdir.write(dir .. "/token", " \n")
      user.tokenFile = "token"
    end,
    ["a directory for a tokenFile"] = function(_, user) user.tokenFile = "." end,
    ["a token and a password"] = function(_, user)
      user.token, user.username, user.password = "t", "u", "p"
    end,
    ["an auth-provider"] = function(_, user) user["auth-provider"] = { name = "gcp" } end,
    ["exec without a command"] = function(_, user)
      user.exec = { apiVersion = "client.authentication.k8s.io/v1", interactiveMode = "Never" }
    end,
    ["groups of nobody"] = function(_, user) user["as-groups"] = { "g" } end,
    ["a uid of nobody"] = function(_, user) user["as-uid"] = "1" end,
    ["a proxy-url without a scheme"] = function(cluster)
      cluster["proxy-url"] = "127.0.0.1:" .. ports[2]
    end,
    ["a tls-server-name that no host has"] = function(cluster)
      cluster["tls-server-name"] = "a name"
    end,
    ["Base64 with a blank"] = function(cluster)
      local field = "certificate-authority-data"
      cluster[field] = cluster[field]:sub(1, 40) .. " " .. cluster[field]:sub(41)
    end,
  }
  -- Older ones pass over what they do not know.
  local since = { ["a uid of nobody"] = 22 }
  for way, change in pairs(failures) do
    it("not " .. way, function()
      local works, seen, output = ask(change)
      assert.equal(minor < (since[way] or 0), works, output)
      assert.equal("unclear", seen.state, seen.text)
    end)
  end

  it("different ways where TLS is not verified: we do not, and say so", function()
    local works, seen = ask(function(cluster)
      cluster["certificate-authority-data"] = nil
      cluster["insecure-skip-tls-verify"] = true
    end)
    assert.is_true(works)
    assert.equal("unclear", seen.state)
    assert.matches("TLS verification is switched off", seen.text, 1, true)
  end)
end)
