local core = require "cce.core"
local json = require "cce.base.json"
local kubeconfig = require "cce.kubeconfig"
local tempdir = dofile "spec/support/tempdir.lua"

local DAY = 86400
local ISSUED = 1795219200 -- of the fixtures: 2026-11-21, for 30 days
local USER_ID = "0123456789abcdef0123456789abcdef"

local function fixture(name)
  return tempdir.read("spec/fixtures/" .. name .. ".json")
end

local EIP, INTERNAL = fixture "kubeconfig_eip", fixture "kubeconfig_internal"

local function clock()
  return ISSUED + 5 * DAY
end

local function parse(text, opts)
  opts = opts or {}
  opts.clock = opts.clock or clock
  return assert(kubeconfig.parse(text or EIP, opts))
end

-- The fixture with a change, as text.
local function changed(change, text)
  local data = json.decode(text or EIP)
  change(data)
  return json.encode(data)
end

local function has_lyaml()
  return (pcall(require, "lyaml"))
end

local has_kubectl = tempdir.shell "command -v kubectl" ~= ""

describe("cce.kubeconfig", function()
  local dir, path

  before_each(function()
    dir = tempdir.new()
    path = dir .. "/config"
  end)

  after_each(function()
    tempdir.remove(dir)
  end)

  local function saved_data(name)
    return assert(json.decode(tempdir.read(name or path)))
  end

  local function names_in(data, section)
    local names = {}
    for i, entry in ipairs(data[section]) do names[i] = entry.name end
    table.sort(names)
    return names
  end

  describe("parse", function()
    it("keeps the text byte for byte, and its data", function()
      local text = " " .. EIP:gsub('"kind"', '"x-new": [ ], "kind"') .. "\n"
      local parsed = parse(text, { port_id = "port-1", cluster_id = "cluster-1" })
      assert.equal(text, parsed.raw)
      assert.equal("port-1", parsed.port_id)
      assert.equal("cluster-1", parsed.cluster_id)
      assert.equal("user", parsed.data.users[1].name)
      assert.is_nil(parsed.path)
      assert.is_nil(parsed.nothing)
    end)

    it("refuses the text cut off at every byte", function()
      for length = 0, #INTERNAL - 1, 1 do
        local parsed, message, err = kubeconfig.parse(INTERNAL:sub(1, length))
        assert.is_nil(parsed)
        assert.equal("RESPONSE_INVALID", err.code)
        assert.is_nil(message:find("LS0t", 1, true))
      end
      assert.equal("not a kubeconfig: it is cut off: it ends after 1000 bytes, inside of the JSON",
        (select(2, kubeconfig.parse(INTERNAL:sub(1, 1000)))))
    end)

    it("says what is missing", function()
      local cases = {
        { "", "it is empty" },
        { "<html>", "it is no JSON: Expected value but found invalid token at character 1" },
        { "[]", "it is not an object" },
        { "[1]", "it is not an object" },
        { '"x"', "it is not an object" },
        { '{"kind":"Status"}', "its kind is 'Status', not 'Config'" },
        { '{"kind":7}', "its kind is no text, not 'Config'" },
        { changed(function(d) d.kind = nil end), "it has no kind" },
        { changed(function(d) d.kind = "" end), "it has no kind" },
        { changed(function(d) d.apiVersion = "v2" end), "its apiVersion is 'v2', not 'v1'" },
        { changed(function(d) d.clusters[2].name = "" end), "clusters[2] has no name" },
        { changed(function(d) d.clusters = nil end), "it has no clusters" },
        { changed(function(d) d.users = json.null end), "it has no users" },
        { changed(function(d) d.contexts = json.array() end), "it has no contexts" },
        { changed(function(d) d.contexts = { a = 1 } end), "'contexts' is no list" },
        { changed(function(d) d.users = { 1 } end), "users[1] is no object" },
        { changed(function(d) d.users[1].name = nil end), "users[1] has no name" },
        { changed(function(d) d.users[1].user = "x" end), "users[1].user is no object" },
        { changed(function(d) d["current-context"] = nil end), "it has no current-context" },
        { changed(function(d) d["current-context"] = "x" end),
          "its current-context is none of its contexts" },
        { changed(function(d) d.contexts[2].context.user = "x" end),
          "context 'external' names no user that it has" },
        { changed(function(d) d.contexts[2].context.cluster = "x" end),
          "context 'external' names no cluster that it has" },
        { changed(function(d) d.contexts[2].name = "internal" end),
          "there are two contexts named 'internal'" },
      }
      for _, case in ipairs(cases) do
        local parsed, message, err = kubeconfig.parse(case[1])
        assert.is_nil(parsed)
        assert.equal("not a kubeconfig: " .. case[2], message)
        assert.equal("RESPONSE_INVALID", err.code)
      end
    end)

    it("explains Base64 twice over, PEM, and what is neither", function()
      local certificate = json.decode(EIP).users[1].user["client-certificate-data"]
      local pipe = io.popen(("printf %%s %s | base64 -w0"):format(certificate))
      local twice = pipe:read "*a"
      pipe:close()
      local cases = {
        [twice] = "Base64 twice over", ["-----BEGIN CERTIFICATE-----"] = "is PEM text",
        ["a b!"] = "is no Base64", [""] = "is no Base64",
      }
      for value, expected in pairs(cases) do
        local text = changed(function(d) d.users[1].user["client-certificate-data"] = value end)
        local _, message = kubeconfig.parse(text)
        assert.truthy(message:find("client-certificate-data of user 'user' ", 1, true))
        assert.truthy(message:find(expected, 1, true), message)
      end
    end)

    it("raises on wrong use", function()
      assert.has_error(function() kubeconfig.parse() end)
      assert.has_error(function() kubeconfig.parse({}) end)
      assert.has_error(function() kubeconfig.parse(EIP, { portid = "x" }) end)
      assert.has_error(function() parse().raw = "x" end)
      assert.has_error(function() parse().contexts() end)
      assert.has_error(function() parse().save({}, "x") end)
    end)
  end)

  describe("contexts", function()
    it("lists them with server and verification", function()
      local contexts = parse():contexts()
      assert.equal(3, #contexts)
      assert.same({
        name = "external", cluster = "externalCluster", user = "user", current = true,
        server = "https://198.51.100.7:5443", verifies_tls = false,
      }, contexts[2])
      assert.is_true(contexts[1].verifies_tls)
      assert.is_true(contexts[3].verifies_tls)
      assert.truthy(tostring(contexts):find("* external  https://198.51.100.7:5443  TLS NOT", 1,
        true))
    end)

    it("does not call plain HTTP verified", function()
      local text = changed(function(d) d.clusters[1].cluster.server = "http://192.0.2.10" end)
      assert.is_false(parse(text):contexts()[1].verifies_tls)
    end)

    it("can be switched, in a new object", function()
      local original = parse()
      local other = assert(original:use "internal")
      assert.equal("internal", other.data["current-context"])
      assert.equal("internal", json.decode(other.raw)["current-context"])
      assert.equal("external", original.data["current-context"])
      assert.equal(EIP, original.raw)
    end)

    it("names those there are when one is not", function()
      local other, message, err = parse():use "intranal"
      assert.is_nil(other)
      assert.equal("INVALID_ARGUMENT", err.code)
      assert.equal("there is no context 'intranal'; there are: internal, external, "
        .. "externalTLSVerify", message)
    end)
  end)

  describe("rename", function()
    it("names everything by one name, the safe context plainly", function()
      local renamed = assert(parse():rename { name = "prod" })
      assert.same({ "prod", "prod-external", "prod-internal" }, names_in(renamed.data, "contexts"))
      assert.same({ "prod", "prod-externalCluster", "prod-internalCluster" },
        names_in(renamed.data, "clusters"))
      assert.same({ "prod" }, names_in(renamed.data, "users"))
      assert.equal("prod-external", renamed.data["current-context"])
      for _, context in ipairs(renamed:contexts()) do
        assert.truthy(context.server)
        assert.equal("prod", context.user)
      end
      assert.is_true(assert(renamed:use "prod"):contexts()[3].verifies_tls)
    end)

    it("changes nothing when it is done twice", function()
      local once = assert(parse():rename { name = "prod" })
      assert.equal(once.raw, assert(once:rename { name = "prod" }).raw)
    end)

    it("renames parts: of the current context, or by a map", function()
      local renamed = assert(parse():rename { context = "a", cluster = "b", user = "c" })
      assert.equal("a", renamed.data["current-context"])
      assert.same({ name = "a", context = { cluster = "b", user = "c" } }, renamed.data.contexts[2])
      renamed = assert(parse():rename { context = { internal = "x", external = "y" } })
      assert.same({ "externalTLSVerify", "x", "y" }, names_in(renamed.data, "contexts"))
      assert.equal("y", renamed.data["current-context"])
      renamed = assert(parse():rename {
        context = { internal = "external", external = "internal" },
      })
      assert.equal("internalCluster", renamed.data.contexts[1].context.cluster)
    end)

    it("refuses unknown, bad and double names", function()
      local cases = {
        { { context = { nope = "x" } }, "there is no context 'nope'; there are: internal, ext" },
        { { context = "internal" }, "two contexts would be named 'internal'" },
        { { user = "" }, "the new name of user 'user' must be" },
        { { user = { user = 3 } }, "the new name of user 'user' must be" },
        { { name = "a\nb" }, "must be text without control characters" },
        { { name = "b\252ro" }, "kubectl could not read it: a name or another value in it is" },
        { { name = "a\194\159" }, "kubectl could not read it" },
      }
      for _, case in ipairs(cases) do
        local renamed, message, err = parse():rename(case[1])
        assert.is_nil(renamed)
        assert.equal("INVALID_ARGUMENT", err.code)
        assert.truthy(message:find(case[2], 1, true), message)
      end
      assert.has_error(function() parse():rename() end)
      assert.has_error(function() parse():rename { nam = "x" } end)
    end)
  end)

  describe("certificate", function()
    it("says whose it is", function()
      local facts = assert(parse():certificate())
      assert.equal(USER_ID, facts.user_id)
      assert.equal(ISSUED, facts.not_before)
      assert.equal(ISSUED + 30 * DAY, facts.not_after)
      assert.is_true(facts.key_matches)
      assert.is_false(assert(parse(fixture "kubeconfig_mismatch"):certificate()).key_matches)
    end)

    it("says why there is none", function()
      local function error_for(user)
        local text = changed(function(d) d.users[1].user = user end)
        tempdir.write(path, text)
        local facts, message, err = assert(kubeconfig.load(path)):certificate()
        assert.is_nil(facts)
        return message, err.code
      end
      local message, code = error_for { exec = { command = "aws" } }
      assert.equal("user 'user' has no client certificate: it uses exec", message)
      assert.equal("UNSUPPORTED", code)
      assert.equal("user 'user' has no client certificate: it has no credentials", (error_for {}))
      assert.equal("INVALID_CERTIFICATE",
        select(2, error_for { ["client-certificate-data"] = "TFMwdExTMUNSVWRKVGlC" }))
      assert.equal("FILE_ERROR", select(2, error_for { ["client-certificate"] = "not-here.pem" }))
    end)

    it("is found in a file beside the kubeconfig", function()
      local user = json.decode(EIP).users[1].user
      for field, file in pairs { ["client-certificate"] = "c.pem", ["client-key"] = "k.pem" } do
        tempdir.shell(("printf %%s %s | base64 -d > %s/%s"):format(
          user[field .. "-data"], dir, file))
      end
      tempdir.write(path, changed(function(d)
        d.users[1].user = { ["client-certificate"] = "c.pem", ["client-key"] = "k.pem" }
      end))
      local facts = assert(assert(kubeconfig.load(path)):certificate())
      assert.equal(USER_ID, facts.user_id)
      assert.is_true(facts.key_matches)
    end)
  end)

  describe("printing", function()
    it("is one line", function()
      assert.equal("cce.kubeconfig: 3 contexts (externalTLSVerify current), user " .. USER_ID
        .. ", expires 2026-12-21 (in 25 days)", tostring(parse():use "externalTLSVerify"))
      assert.equal("cce.kubeconfig: 1 context (internal current), user " .. USER_ID
        .. ", expires 2026-12-21 (in 25 days), its key does NOT match",
        tostring(parse(fixture "kubeconfig_mismatch")))
      assert.truthy(tostring(parse()):find("(external current, TLS NOT verified)", 1, true))
    end)

    it("counts in days, hours and minutes", function()
      local not_after = ISSUED + 30 * DAY
      local expected = {
        [not_after - 2 * DAY] = "(in 2 days)", [not_after - 2 * DAY + 1] = "(in 47 hours)",
        [not_after - 7199] = "(in 119 minutes)", [not_after - 60] = "(in 1 minute)",
        [not_after + 3 * DAY] = "expired 2026-12-21 (3 days ago)",
      }
      for now, text in pairs(expected) do
        local shown = tostring(parse(INTERNAL, { clock = function() return now end }))
        assert.truthy(shown:find(text, 1, true), shown)
      end
    end)

    it("shows no secret, whatever is printed", function()
      local key = json.decode(EIP).users[1].user["client-key-data"]
      local secrets = {
        "fake-token-1", "fake-password-2", "fake-env-3", "fake-arg-4", "fake-refresh-5",
        "fake-proxy-6", "fake-new-7", "fake-extension-8",
        "fake-basic-9", "fake-header-10",
        "fake-inline-11", "fake-jwt-12", key, key:sub(1, 60),
      }
      local text = changed(function(d)
        d.users[1].user.extensions =
          { { name = "x", extension = { anything = "fake-extension-8" } } }
        d.users[2] = { name = "other", user = {
          token = "fake-token-1", username = "alice", password = "fake-password-2",
          ["new-field"] = { deep = "fake-new-7" },
          exec = { command = "tool", args = { "--token", "fake-arg-4" },
            env = { { name = "SECRET", value = "fake-env-3" } } },
          ["auth-provider"] = { name = "oidc", config = { ["refresh-token"] = "fake-refresh-5" } },
        } }
        d.clusters[1].cluster["proxy-url"] = "http://u:fake-proxy-6@192.0.2.1:3128"
        d.clusters[2].cluster.server = "https://u:fake-basic-9@198.51.100.7:5443"
        d["x-auth"] = { authToken = "fake-header-10", note = { key } }
        d["x-notes"] = { "-----BEGIN PRIVATE KEY-----fake-inline-11", "eyJhbGciOi.fake-jwt-12" }
        d.key = key
      end)
      local parsed = parse(text)
      assert(parsed:save(path, { merge = true }))
      local shown = {
        tostring(parsed), tostring(parsed.data), tostring(parsed:contexts()),
        tostring(assert(parsed:save(path, { merge = true, name = "again" }))),
        tostring(assert(parsed:use "internal").data), tostring(assert(kubeconfig.load(path)).data),
      }
      for field, value in pairs(parsed) do
        shown[#shown + 1] = tostring(field) .. tostring(value)
      end
      local everything = table.concat(shown, "\n")
      assert.truthy(everything:find("alice", 1, true))
      assert.truthy(everything:find('"SECRET"', 1, true))
      assert.truthy(everything:find("insecure-skip-tls-verify", 1, true))
      for _, secret in ipairs(secrets) do
        assert.is_nil(everything:find(secret, 1, true))
      end
    end)

    it("stands data of any shape", function()
      local parsed = parse()
      for _, users in ipairs { "x", 3, { "x" }, { { user = "x" } }, { { user = { exec = 1 } } } } do
        parsed.data.users = users
        assert.equal("string", type(tostring(parsed.data)))
        assert.equal("string", type(tostring(parsed)))
      end
      parsed.data.circle = parsed.data
      assert.equal("string", type(tostring(parsed.data)))
    end)
  end)

  describe("save", function()
    it("writes the text byte for byte when nothing is changed", function()
      local saved = assert(parse(INTERNAL .. "\n"):save(path))
      assert.equal(INTERNAL .. "\n", tempdir.read(path))
      assert.equal("0600", core.file.stat(path).mode)
      assert.equal(("saved as %s, context internal"):format(path), tostring(saved))
      assert.same({ "config" }, tempdir.list(dir))
      assert(parse():save(path, { context = "external" }))
      assert.equal(EIP, tempdir.read(path))
    end)

    it("makes the safe context current with a public address", function()
      local saved = assert(parse():save(path))
      assert.equal("externalTLSVerify", saved.context)
      local expected = json.decode(EIP)
      expected["current-context"] = "externalTLSVerify"
      assert.same(expected, saved_data())
    end)

    it("takes internal when there is no externalTLSVerify", function()
      local text = changed(function(d)
        table.remove(d.contexts, 3)
      end)
      assert.equal("internal", assert(parse(text):save(path)).context)
    end)

    it("does not change the user for it", function()
      local text = changed(function(d)
        d.users[2] = { name = "other", user = {} }
        d.contexts[1].context.user = "other"
        d.contexts[3].context.user = "other"
      end)
      assert.equal("external", assert(parse(text):save(path)).context)
    end)

    it("does as it is told", function()
      assert.equal("external", assert(parse():save(path, { context = "external" })).context)
      assert.equal("external", saved_data()["current-context"])
      assert.equal("external", assert(parse():use("external")):save(path).context)
      assert.equal("internal", assert(parse():use("internal")):save(path).context)
      local saved, message, err = parse():save(path, { context = "nope" })
      assert.is_nil(saved)
      assert.equal("INVALID_ARGUMENT", err.code)
      assert.truthy(message:find("there are: internal", 1, true))
    end)

    it("gives the plain name to the context that is asked for, the current one too", function()
      for _, context in ipairs { "external", "internal", "externalTLSVerify" } do
        local saved = assert(parse():save(path, { context = context, name = "prod" }))
        assert.same({ "prod", "prod" }, { saved.context, saved_data()["current-context"] })
      end
    end)

    it("writes what a program changed in data", function()
      local parsed = parse(INTERNAL)
      parsed.data.clusters[1].cluster["tls-server-name"] = "kubernetes"
      parsed.data.users[1].user["x-unknown"] = { json.null, json.array() }
      assert(parsed:save(path))
      assert.equal("kubernetes", saved_data().clusters[1].cluster["tls-server-name"])
      assert.truthy(tempdir.read(path):find('"x%-unknown": %[%s+null,%s+%[%]%s+%]'))
      parsed.data.users[1].user.broken = print
      local saved, message = parsed:save(path)
      assert.is_nil(saved)
      assert.truthy(message:find("a function has no JSON", 1, true))
      parsed = parse(INTERNAL)
      parsed.data.clusters[1].cluster.server = 5
      saved, message = parsed:save(path)
      assert.is_nil(saved)
      assert.matches("^kubectl could not read it: clusters%[1%].cluster.server is no text", message)
    end)

    it("writes under one name", function()
      assert(parse():save(path, { name = "prod" }))
      assert.equal("prod", saved_data()["current-context"])
      assert.same({ "prod", "prod-external", "prod-internal" }, names_in(saved_data(), "contexts"))
    end)

    it("gives the text that it would write", function()
      local config = parse()
      for _, opts in ipairs { {}, { name = "prod" }, { name = "prod", mark = true },
        { format = "json", context = "internal" } } do
        assert(config:save(path, opts))
        assert.equal(tempdir.read(path), config:text(opts))
      end
      assert.equal("INVALID_ARGUMENT", select(3, config:text { mark = true }).code)
      assert.has_error(function() config:text { merge = true } end)
    end)

    it("follows a symlink", function()
      tempdir.shell(("cd %s && echo '{}' > real && ln -s real config"):format(dir))
      assert(parse(INTERNAL):save(path))
      assert.is_true(core.file.stat(path).is_symlink)
      assert.equal(INTERNAL, tempdir.read(dir .. "/real"))
    end)

    it("replaces only a kubeconfig or an empty file, unless it is forced to", function()
      local strangers = { "mine", "mine\n", '{"a":1}', '{"kind":"Pod"}', "a: 1\n", "# mine\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n", '"text"', "[]", "null", "\0" }
      for _, text in ipairs(strangers) do
        local ways = { {}, { trial = true }, { mark = true, name = "x" } }
        -- A merge keeps comments.
        if not text:find "^#" and text ~= "null" then ways[4] = { merge = true, name = "x" } end
        for _, opts in ipairs(ways) do
          tempdir.write(path, text)
          local saved, _, err = parse(INTERNAL):save(path, opts)
          assert.is_nil(saved)
          assert.matches("^[%u_]+$", err.code)
          assert.equal(text, tempdir.read(path))
          assert.same({ "config" }, tempdir.list(dir))
        end
        assert(parse(INTERNAL):save(path, { force = true }))
        assert.equal(INTERNAL, tempdir.read(path))
      end
      for _, text in ipairs { "", " \n", "{}", '{"kind":"Config"}', '{"users":[]}', EIP } do
        tempdir.write(path, text)
        assert(parse(INTERNAL):save(path))
        assert.equal(INTERNAL, tempdir.read(path))
      end
    end)

    it("keeps no old file where somebody else's is", function()
      tempdir.write(path, EIP)
      for _, text in ipairs { "mine", '{"a":1}' } do
        tempdir.write(path .. ".bak", text)
        local saved, message, err = parse(INTERNAL):save(path, { merge = true, name = "x" })
        assert.is_nil(saved)
        assert.equal("FILE_ERROR", err.code)
        assert.matches(path .. ".bak' is not replaced", message, 1, true)
        assert.equal(text, tempdir.read(path .. ".bak"))
        assert.equal(EIP, tempdir.read(path))
      end
      tempdir.write(path .. ".bak", INTERNAL)
      assert(parse(INTERNAL):save(path, { merge = true, name = "x" }))
      assert.equal(EIP, tempdir.read(path .. ".bak"))
    end)

    it("is asked by one context alone, which holds nothing of the others", function()
      local one = parse(EIP):use "external"
      local list = one:contexts()
      assert.is_true(#list > 1)
      for _, each in ipairs(list) do
        local alone = one:alone(each.name)
        local found = alone:contexts()
        assert.equal(1, #found)
        assert.same({ each.name, each.server, each.user, true },
          { found[1].name, found[1].server, found[1].user, found[1].current })
        assert.equal(1, #alone.data.clusters)
        assert.equal(1, #alone.data.users)
      end
      assert.equal(#list, #one:contexts())
    end)

    it("keeps no old file of comments alone, which would stand in the way of the next", function()
      tempdir.write(path, "# my notes\n")
      assert(parse(INTERNAL):save(path, { merge = true, name = "x" }))
      assert.matches("^# my notes\n", tempdir.read(path))
      assert.is_false(core.file.stat(path .. ".bak"))
      assert(parse(EIP):save(path, { merge = true, name = "y" }))
      assert.matches("^# my notes\n", tempdir.read(path .. ".bak"))
    end)

    it("returns the error of the file", function()
      local saved, message, err = parse():save(dir .. "/none/config")
      assert.is_nil(saved)
      assert.equal("FILE_ERROR", err.code)
      assert.truthy(message:find("No such file or directory", 1, true))
      local lock = core.file.lock(path)
      saved, message, err = parse():save(path, { timeout = 0 })
      lock:close()
      assert.is_nil(saved)
      assert.equal("TIMEOUT", err.code)
      assert.truthy(message:find("another process held", 1, true))
    end)

    it("raises on wrong use", function()
      assert.has_error(function() parse():save() end)
      assert.has_error(function() parse():save(path, { contxt = "x" }) end)
      assert.has_error(function() parse():save(path, { merge = "yes" }) end)
    end)
  end)

  describe("save with merge", function()
    local function merge(name, text, opts)
      return parse(text, opts):save(path, { merge = true, name = name })
    end

    it("makes a file when there is none, or an empty one", function()
      for _, old in ipairs { false, "", "\n" } do
        os.remove(path)
        if old then tempdir.write(path, old) end
        local saved = assert(merge "prod")
        assert.is_true(saved.current)
        assert.is_nil(saved.backup)
        assert.equal("prod", saved_data()["current-context"])
        assert.same({ "config" }, tempdir.list(dir))
      end
    end)

    it("adds, keeps everything else, and makes a backup", function()
      local old = [==[{"kind":"Config","apiVersion":"v1","x":{"deep":[null,[]]},"preferences":{},
        "clusters":[{"name":"mine","cluster":{"server":"https://192.0.2.99","x":1}}],
        "users":[{"name":"me","user":{"exec":{"apiVersion":"v1","command":"tool","args":[],
          "env":null}}}],
        "contexts":[{"name":"mine","context":{"cluster":"mine","user":"me"}}],
        "current-context":"mine"}]==]
      tempdir.write(path, old)
      local saved = assert(merge "prod")
      assert.equal(path .. ".bak", saved.backup)
      assert.is_false(saved.current)
      assert.equal(old, tempdir.read(saved.backup))
      assert.equal("0600", core.file.stat(saved.backup).mode)
      local data, before = saved_data(), json.decode(old)
      assert.equal("mine", data["current-context"])
      assert.same(before.x, data.x)
      for _, section in ipairs { "clusters", "users", "contexts" } do
        assert.same(before[section][1], data[section][1])
      end
      assert.same({ "mine", "prod", "prod-external", "prod-internal" }, names_in(data, "contexts"))
      assert.truthy(tempdir.read(path):find('"args":[]', 1, true))
    end)

    it("changes nothing when it is done again", function()
      assert(merge "prod")
      local once = tempdir.read(path)
      assert.is_nil(assert(merge "prod").backup)
      assert.equal(once, tempdir.read(path))
    end)

    it("replaces what is ours though its address and CA changed", function()
      assert(merge("prod", INTERNAL, { cluster_id = "id-1" }))
      assert(merge("test", INTERNAL, { cluster_id = "id-2" }))
      local moved = changed(function(d)
        d.clusters[1].cluster.server = "https://192.0.2.55:5443"
        d.clusters[1].cluster["certificate-authority-data"] = "Zm9v"
      end, INTERNAL)
      assert(merge("prod", moved, { cluster_id = "id-1" }))
      local data = saved_data()
      assert.same({ "prod", "test" }, names_in(data, "clusters"))
      assert.equal("https://192.0.2.55:5443", data.clusters[1].cluster.server)
      assert.equal("Zm9v", data.clusters[1].cluster["certificate-authority-data"])
      assert.equal("https://192.0.2.10:5443", data.clusters[2].cluster.server)
    end)

    it("takes out what a cluster no longer has", function()
      assert(merge "prod")
      assert(merge "test")
      assert(merge("prod", INTERNAL))
      local data = saved_data()
      assert.same({ "prod", "test", "test-external", "test-internal" }, names_in(data, "contexts"))
      assert.same({ "prod", "test" }, names_in(data, "users"))
    end)

    it("keeps a context that the user renamed while it leads somewhere", function()
      assert(merge "prod")
      local data = saved_data()
      for _, each in ipairs(data.contexts) do each.name = each.name:gsub("^prod", "mine") end
      data["current-context"] = "mine"
      tempdir.write(path, json.encode(data))
      -- This time the cluster has one address.
      assert(merge("prod", INTERNAL))
      data = saved_data()
      assert.same({ "mine", "prod" }, names_in(data, "contexts"))
      assert.equal("mine", data["current-context"])
    end)

    it("keeps what the user added to our entries", function()
      assert(merge "prod")
      local data = saved_data()
      data.contexts[1].context.namespace = "shop"
      data.clusters[1].cluster["proxy-url"] = "http://192.0.2.1:3128"
      tempdir.write(path, json.encode(data))
      assert(merge "prod")
      assert.equal("shop", saved_data().contexts[1].context.namespace)
      assert.equal("http://192.0.2.1:3128", saved_data().clusters[1].cluster["proxy-url"])
    end)

    it("never mixes a CA with skipped verification", function()
      assert(merge "prod")
      local insecure = changed(function(d)
        for _, each in ipairs(d.clusters) do
          each.cluster["certificate-authority-data"] = nil
          each.cluster["insecure-skip-tls-verify"] = true
        end
      end)
      assert(merge("prod", insecure))
      for _, each in ipairs(saved_data().clusters) do
        assert.is_nil(each.cluster["certificate-authority-data"])
      end
    end)

    -- Each of these stands in the way of the new certificate, or weakens what it proves.
    for section, fields in pairs {
      clusters = { ["insecure-skip-tls-verify"] = true, ["certificate-authority"] = "/old/ca.pem" },
      users = { token = "example-old-token", tokenFile = "/old/token", username = "old",
        password = "example-old-password", exec = { command = "old" },
        ["auth-provider"] = { name = "old" }, ["client-certificate"] = "/old/cert.pem",
        ["client-key"] = "/old/key.pem" },
    } do
      for field, value in pairs(fields) do
        it("leaves no stale " .. field .. " beside what is new", function()
          assert(merge "prod")
          local data = saved_data()
          for _, each in ipairs(data[section]) do (each.cluster or each.user)[field] = value end
          tempdir.write(path, json.encode(data))
          assert(merge "prod")
          -- CCE's own file switches verification off for one of its addresses.
          for i, each in ipairs(saved_data()[section]) do
            local fresh = parse().data[section][i]
            assert.equal((fresh.cluster or fresh.user)[field], (each.cluster or each.user)[field])
          end
        end)
      end
    end

    it("refuses a name that belongs to something else", function()
      assert(merge("prod", INTERNAL, { cluster_id = "id-1" }))
      local before = tempdir.read(path)
      local saved, message, err = merge("prod", INTERNAL, { cluster_id = "id-2" })
      assert.is_nil(saved)
      assert.equal("CONFLICT", err.code)
      assert.truthy(message:find("another cluster named 'prod' already; give this one", 1, true))
      assert.equal(before, tempdir.read(path))

      os.remove(path)
      assert(parse(INTERNAL):save(path, { merge = true }))
      local other = changed(function(d)
        d.clusters[1].cluster.server = "https://192.0.2.1"
      end, INTERNAL)
      saved, message, err = parse(other):save(path, { merge = true })
      assert.is_nil(saved)
      assert.equal("CONFLICT", err.code)
      assert.truthy(message:find("give this one another name", 1, true))
      assert.truthy(parse(INTERNAL):save(path, { merge = true }))
    end)

    it("does not take a user that another context needs", function()
      tempdir.write(path, changed(function(d)
        d.clusters[1].name, d.contexts[1].name = "theirs", "theirs"
        d.contexts[1].context.cluster = "theirs"
      end, INTERNAL))
      local saved, message = parse(INTERNAL):save(path, { merge = true })
      assert.is_nil(saved)
      assert.truthy(message:find("another user named 'user'", 1, true), message)
    end)

    it("refuses broken JSON and other things, and leaves them alone", function()
      local cases = {
        ['{"kind":"Config"'] = "it is cut off",
        ['{"kind":"Pod"}'] = "its kind is 'Pod'",
        ['{"users":[{"name":12,"user":{}}]}'] = "users[1].name is no text",
      }
      for text, expected in pairs(cases) do
        tempdir.write(path, text)
        local saved, message, err = merge "prod"
        assert.is_nil(saved)
        assert.truthy(err.code == "UNSUPPORTED" or err.code == "FILE_ERROR")
        assert.truthy(message:find(expected, 1, true), message)
        assert.equal(text, tempdir.read(path))
        assert.same({ "config" }, tempdir.list(dir))
      end
    end)

    it("refuses YAML when there is no lyaml, and says what to do", function()
      local text = "apiVersion: v1\nkind: Config\n"
      tempdir.write(path, text)
      local lyaml = package.loaded.lyaml
      package.loaded.lyaml = nil
      package.preload.lyaml = function() error "not installed" end
      local saved, message, err = merge "prod"
      package.preload.lyaml, package.loaded.lyaml = nil, lyaml
      assert.is_nil(saved)
      assert.equal("MISSING_DEPENDENCY", err.code)
      assert.matches("lua-yaml", message, 1, true)
      assert.matches("KUBECONFIG=" .. path .. ":<that file>", err.hint, 1, true)
      assert.equal(text, tempdir.read(path))
    end)

    it("merges many in one write, and leaves out what does not fit", function()
      local theirs = { users = { { name = "mine", user = {} } }, contexts = {
        { name = "x", context = { user = "mine" } } } }
      tempdir.write(path, json.encode(theirs))
      local results = assert(kubeconfig.merge(path, {
        { kubeconfig = parse(), name = "prod" }, { kubeconfig = parse(), name = "mine" },
        { kubeconfig = parse(INTERNAL), name = "test" },
      }))
      assert.same({ true, false, true }, { results[1].ok, results[2].ok, results[3].ok })
      assert.equal("CONFLICT", results[2].err.code)
      assert.equal("test", results[3].saved.context)
      assert.equal(json.encode(theirs), tempdir.read(results[1].saved.backup))
      assert.has_error(function() kubeconfig.merge(path, { {} }) end)
      -- Of none, no file comes to be.
      assert.same({}, kubeconfig.merge(path .. ".new", {}))
      assert.is_false(core.file.stat(path .. ".new"))
    end)

    it("repairs a current context that leads nowhere", function()
      tempdir.write(path, '{"current-context":"gone","clusters":null}')
      assert.is_true(assert(merge "prod").current)
      assert.equal("prod", saved_data()["current-context"])
    end)

    it("loses none of many merges at once", function()
      local code = [[
        local kubeconfig = require "cce.kubeconfig"
        local parsed = assert(kubeconfig.load "spec/fixtures/kubeconfig_eip.json")
        for i = 1, 8 do
          assert(parsed:save(%q, { merge = true, name = "c%d-" .. i, timeout = 100 }))
        end]]
      local commands = {}
      for i = 1, 4 do commands[i] = tempdir.lua(code:format(path, i)) .. " &" end
      assert.equal("", tempdir.shell(table.concat(commands, " ") .. " wait"))
      assert.equal(32, #saved_data().users)
      assert.same({ "config", "config.bak" }, tempdir.list(dir))
    end)

    it("waits for a kubectl that is writing the file", function()
      tempdir.write(path .. ".lock", "")
      local saved, message, err = parse():save(path, { merge = true, name = "prod", timeout = 0 })
      assert.is_nil(saved)
      assert.equal("TIMEOUT", err.code)
      assert.truthy(message:find("remove it if no kubectl is running", 1, true))
      assert(parse():save(path))
    end)

    it("gives kubectl a file that it takes whole", function()
      if not has_kubectl then return pending "kubectl is not installed" end
      assert(merge "prod")
      assert(merge("test", INTERNAL))
      local kubectl = ("HOME=%s kubectl --kubeconfig %s config "):format(dir, path)
      assert.equal("prod\n", tempdir.shell(kubectl .. "current-context"))
      assert.equal("prod\nprod-external\nprod-internal\ntest\n",
        tempdir.shell(kubectl .. "get-contexts -o name"))
      assert.truthy(tempdir.shell(kubectl .. "use-context test"):find("Switched", 1, true))
      -- kubectl writes YAML, and keeps the marks by which we know our entries.
      assert.truthy(tempdir.read(path):find("set: prod", 1, true))
    end)
  end)

  describe("load", function()
    it("reads what was saved", function()
      assert(parse():save(path))
      local loaded = assert(kubeconfig.load(path, { clock = clock }))
      assert.equal(path, loaded.path)
      assert.equal(tempdir.read(path), loaded.raw)
      assert.equal("externalTLSVerify", loaded.data["current-context"])
      assert.is_true(kubeconfig.is(loaded))
      assert.is_false(kubeconfig.is(loaded.data))
    end)

    it("reads JSON with a byte order mark", function()
      tempdir.write(path, "\239\187\191" .. INTERNAL)
      assert.equal("internal", assert(kubeconfig.load(path)).data["current-context"])
    end)

    it("reads YAML, with its nulls and empty lists, and saves it as it was", function()
      if not has_lyaml() then return pending "lyaml is not installed" end
      local user = json.decode(INTERNAL).users[1].user
      local text = ([[
# kept by hand
apiVersion: v1
kind: Config
preferences: {}
clusters:
- name: mine
  cluster: {server: "https://192.0.2.99"}
users:
- name: me
  user:
    client-certificate-data: %s
    client-key-data: %s
    exec: {command: tool, args: [], env: null}
contexts:
- name: mine
  context: {cluster: mine, user: me}
current-context: mine
]]):format(user["client-certificate-data"], user["client-key-data"])
      tempdir.write(path, text)
      local loaded = assert(kubeconfig.load(path, { clock = clock }))
      assert.equal(USER_ID, assert(loaded:certificate()).user_id)
      assert.equal('{"args":[],"command":"tool","env":null}',
        json.encode(loaded.data.users[1].user.exec))
      assert(loaded:save(dir .. "/copy"))
      assert.equal(text, tempdir.read(dir .. "/copy"))
      assert(loaded:save(dir .. "/named", { name = "prod" }))
      assert.equal("prod", saved_data(dir .. "/named")["current-context"])
    end)

    it("tolerates a kubeconfig that is nearly empty", function()
      for _, text in ipairs { "{}", "", '{"clusters":null,"users":[],"current-context":""}' } do
        tempdir.write(path, text)
        local loaded = assert(kubeconfig.load(path))
        assert.equal(0, #loaded:contexts())
        assert.equal("no contexts", tostring(loaded:contexts()))
        assert.equal("cce.kubeconfig: 0 contexts (none current), there is no current context",
          tostring(loaded))
        assert.equal("INVALID_CERTIFICATE", select(3, loaded:certificate()).code)
        assert(loaded:save(dir .. "/copy"))
        assert.equal(text, tempdir.read(dir .. "/copy"))
      end
    end)

    it("says what is wrong with a file", function()
      local cases = {
        ['{"a":'] = "it is cut off", ['{"kind":"Pod"}'] = "'Pod'",
      }
      if has_lyaml() then
        cases["a: b: c"] = "it is no YAML: "
        cases["just words"] = "it is not an object"
      end
      for text, expected in pairs(cases) do
        tempdir.write(path, text)
        local loaded, message, err = kubeconfig.load(path)
        assert.is_nil(loaded)
        assert.equal("FILE_ERROR", err.code)
        assert.truthy(message:find("cannot use '" .. path .. "' as a kubeconfig: ", 1, true))
        assert.truthy(message:find(expected, 1, true), message)
      end
      assert.equal("FILE_ERROR", select(3, kubeconfig.load(dir .. "/none")).code)
      assert.has_error(function() kubeconfig.load() end)
    end)

    it("names what to install when there is YAML but no lyaml", function()
      local loaded_before, loader = package.loaded.lyaml, package.preload.lyaml
      package.loaded.lyaml = nil
      package.preload.lyaml = function() error "not here" end
      tempdir.write(path, "kind: Config\n")
      local loaded, message, err = kubeconfig.load(path)
      package.loaded.lyaml, package.preload.lyaml = loaded_before, loader
      assert.is_nil(loaded)
      assert.equal("MISSING_DEPENDENCY", err.code)
      assert.truthy(message:find("Debian: lua-yaml; LuaRocks: lyaml", 1, true))
    end)
  end)
end)
