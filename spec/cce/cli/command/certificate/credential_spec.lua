-- kubectl as the judge. What `cce credential` prints holds a key, so no expectation here may
-- print it when it fails: only what was made of it is compared.
local cce = require "cce"
local clients = require "spec.support.clients"
local command = require "spec.support.command"
local core = require "cce.core"
local json = require "cce.base.json"
local plugin = require "cce.cli.plugin"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

local DAY = 86400

if not (simulator.has_program "nginx" and pcall(require, "argparse")) then
  describe("cce credential", function() pending "needs nginx and argparse" end)
  return
end

describe("cce credential", function()
  local sim, world, client, cluster

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
    client = clients.new(sim)
    cluster = sim.clusters[2]
  end)

  after_each(function()
    client:close()
    world:remove()
  end)

  local function issued()
    return #sim:log { operation = "obtain_cert" }
  end

  -- Its exit code, what it said to people, and what of the answer may be looked at.
  local function credential(words, env)
    local all = { "credential", "--cluster", cluster.id }
    for _, word in ipairs(words or {}) do all[#all + 1] = word end
    env = env or {}
    if env.KUBERNETES_EXEC_INFO == nil then env.KUBERNETES_EXEC_INFO = command.exec_info() end
    local result = world:cce(all, { env = env })
    local answer = json.decode(result.out) or {}
    local status = answer.status or {}
    local facts = status.clientCertificateData and core.certificate(status.clientCertificateData,
      status.clientKeyData) or {}
    return { code = result.code, err = result.err, is_silent = result.out == "",
      version = answer.apiVersion, kind = answer.kind, ends = status.expirationTimestamp,
      key_matches = facts.key_matches, user_id = facts.user_id, serial = facts.serial,
      not_after = facts.not_after }
  end

  it("says after Ctrl-C what was sent, if anything was", function()
    for said, first in pairs { [""] = {}, ["cce: obtain_cert: 0 done, 1 failed; what was under way"
      .. " may still be done\n"] = { operation = "obtain_cert", status = 503, times = 1 } } do
      sim:reset()
      if first.times then sim:fault(first) end
      sim:fault { operation = "obtain_cert", hold = "before" }
      local result = world:interrupt_cce({ "credential", "--cluster", cluster.id },
        { env = { KUBERNETES_EXEC_INFO = command.exec_info() } })
      assert.same({ 130, "", "\ncce: interrupted\n" .. said },
        { result.code, result.out, result.err })
    end
  end)

  it("prints the answer, in the version that was asked for, and nothing else", function()
    for _, version in ipairs { "v1", "v1beta1" } do
      local found = credential({}, { KUBERNETES_EXEC_INFO = command.exec_info(version) })
      assert.equal(0, found.code)
      assert.equal("", found.err)
      assert.equal("client.authentication.k8s.io/" .. version, found.version)
      assert.equal("ExecCredential", found.kind)
      assert.is_true(found.key_matches)
      assert.matches("^20%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$", found.ends)
    end
    assert.equal(1, issued())
  end)

  it("takes its lifetime and its margin from the options", function()
    local found = credential { "--days", "3", "--min-remaining", "24h" }
    assert.is_true(math.abs(found.not_after - os.time() - 3 * DAY) < 60)
    local ends = require("cce.base.times").parse(found.ends)
    assert.equal(found.not_after - DAY, ends)
    assert.equal(found.serial, credential({ "--days", "3", "--min-remaining", "24h" }).serial)
    assert.not_equal(found.serial, credential({ "--days", "5", "--min-remaining", "4d" }).serial)
  end)

  for about, info in pairs { ["is not set"] = false, ["is no JSON object"] = "{",
    ["asks for client.authentication.k8s.io/v1alpha1"] = command.exec_info "v1alpha1" } do
    it("says so when KUBERNETES_EXEC_INFO " .. about, function()
      local found = credential({}, { KUBERNETES_EXEC_INFO = info })
      assert.equal(64, found.code)
      assert.is_true(found.is_silent)
      assert.is_truthy(found.err:find("KUBERNETES_EXEC_INFO " .. about, 1, true), found.err)
      assert.equal(0, issued())
    end)
  end

  it("says what failed, and prints nothing", function()
    sim:fault { operation = "obtain_cert", status = 403 }
    local found = credential()
    assert.equal(1, found.code)
    assert.is_true(found.is_silent)
    assert.matches("403", found.err)
    assert.is_true(credential({ "--cluster", "../x" }).is_silent)
    assert.is_true(credential({}, { HUAWEICLOUD_SDK_SK = "" }).is_silent)
  end)

  it("obtains one certificate for twenty that ask at once", function()
    local running, answers = {}, {}
    for i = 1, 20 do
      running[i] = world:start({ world.dir .. "/bin/cce", "credential", "--cluster", cluster.id },
        { env = { KUBERNETES_EXEC_INFO = command.exec_info() } })
    end
    for i, finish in ipairs(running) do answers[i] = finish().out end
    for i = 2, 20 do assert.is_true(answers[i] == answers[1]) end
    assert.is_true(answers[1] ~= "")
    assert.equal(1, issued())
  end)

  it("works without a place to keep it, with a warning", function()
    tempdir.write(world.dir .. "/file", "")
    local found = credential({}, { XDG_CACHE_HOME = world.dir .. "/file" })
    assert.equal(0, found.code)
    assert.is_true(found.key_matches)
    assert.matches("^cce: the certificate cannot be kept: ", found.err)
  end)

  it("obtains anew what is kept but broken", function()
    local first = credential()
    local path = tempdir.shell("find " .. world.cache .. " -name '*.json'"):match "[^\n]+"
    tempdir.write(path, "{\"kind\":")
    local second = credential()
    assert.equal(0, second.code)
    assert.matches("cannot be used, and is obtained again", second.err)
    assert.not_equal(first.serial, second.serial)
    assert.equal(second.serial, credential().serial)
  end)

  if not simulator.has_program "kubectl" then
    it("gives kubectl what it needs", function() pending "needs kubectl" end)
    return
  end

  -- An old kubectl does not know v1.
  local spoken = plugin.api_of_kubectl()

  local function save(options)
    local path = world.dir .. "/exec.json"
    options = options or {}
    options.api_version = options.api_version or spoken
    local config = assert(client:obtain_cert(cluster.id, { duration = 1 }))
    assert(assert(config:with_command(options)):save(path))
    sim:clear_faults()
    return path, issued()
  end

  local function nodes(path, env)
    local result = world:kubectl(path, "get nodes", { env = env })
    local works = result.code == 0 and result.out:find("cluster-002-node-1", 1, true) ~= nil
    return works, result.err
  end

  it("lets kubectl obtain at the first call, and takes what is kept at the second", function()
    local path, before = save()
    assert.is_true(nodes(path))
    assert.equal(before + 1, issued())
    assert.is_true(nodes(path))
    assert.equal(before + 1, issued())
    assert.is_true(nodes((save { api_version = "v1beta1" })))
    assert.equal(before + 2, issued(), "only `save` obtained another one")
  end)

  it("lets kubectl renew when the end is near #once", function()
    local path, before = save { args = { "--days", "2", "--min-remaining", "24h" } }
    assert.is_true(nodes(path))
    local renews = save { args = { "--days", "3", "--min-remaining", "49h" } }
    assert.is_true(nodes(renews))
    assert.equal(before + 3, issued())
    assert.is_true(nodes(renews))
    assert.equal(before + 3, issued())
  end)

  -- kubectl is slow to start, and the same for every Lua: what is tagged so runs on one.
  for name, count in pairs { ["eight kubectls at once #once"] = 8,
    ["twenty kubectls at once #long"] = 20 } do
    it("obtains one certificate for " .. name, function()
      local path, before = save()
      local running, works = {}, 0
      for i = 1, count do running[i] = world:start_kubectl(path, "get nodes") end
      for _, finish in ipairs(running) do
        if finish().code == 0 then works = works + 1 end
      end
      assert.equal(count, works)
      assert.equal(before + 1, issued())
    end)
  end

  it("is asked for anew after a 401, whoever revoked it #once", function()
    local path, before = save()
    assert.is_true(nodes(path))
    assert(client:revoke_cert(cluster.id, { user_id = simulator.admin.principal.id }))
    assert.is_true(nodes(path), "the second within a minute")
    assert.equal(before + 2, issued())
    assert.is_true(nodes(path))
    assert.equal(before + 2, issued())
  end)

  it("is gone after a revocation on this machine, and cce who says what happened #once", function()
    local path, before = save()
    assert.is_true(nodes(path))
    assert.equal(0, world:cce({ "revoke", cluster.id, "--user", simulator.admin.principal.id,
      "--allow-self", "--yes" }).code)
    assert.equal("", tempdir.shell("find " .. world.cache .. " -name '*.json'"))
    local said = world:cce { "who", path, "--check", "-o", "json" }
    assert.equal(2, said.code)
    local rows = json.decode(said.out)
    assert.equal("not kept", rows[1].check)
    assert.matches("were revoked on this machine at 20", rows[1].says)
    assert.is_true(nodes(path))
    assert.equal(before + 2, issued())
    assert.equal(0, world:cce({ "who", path, "--check" }).code)
  end)

  it("is gone after cce revoke and cce rotate #once", function()
    local path = save()
    for _, words in ipairs { { "revoke", cluster.id, "--user", simulator.admin.principal.id,
      "--allow-self", "--yes" }, { "rotate", cluster.id, "--no-wait", "--yes" } } do
      assert.equal(0, credential().code)
      assert.not_equal("", tempdir.shell("find " .. world.cache .. " -name '*.json'"))
      local result = world:cce(words)
      assert.equal(0, result.code, result.err)
      assert.equal("", tempdir.shell("find " .. world.cache .. " -name '*.json'"))
    end
    assert.matches("rotated from this machine", world:cce({ "who", path, "--check" }).out)
  end)

  it("tells kubectl's user why there is none #once", function()
    local path = save()
    sim:fault { operation = "obtain_cert", status = 403 }
    local works, said = nodes(path)
    assert.is_false(works)
    assert.matches("403", said)
  end)

  it("is what cce obtain --exec writes, with no key in the file", function()
    local path = world.dir .. "/prod.json"
    local result = world:cce { "obtain", cluster.id, "--exec", "--days", "2", "--out", path }
    assert.equal(0, result.code, result.err)
    local config = assert(cce.kubeconfig.load(path))
    assert.is_nil(config.raw:find("client-key", 1, true))
    local exec = config.data.users[1].user.exec
    assert.equal(world.dir .. "/bin/cce", exec.command)
    assert.equal(table.concat({ "credential", "--cluster", cluster.id,
      "--api-version", plugin.api_of_kubectl(), "--days", "2",
      "--endpoint", sim.env.CCE_ENDPOINT, "--project", sim.project_id, "--ca-file",
      sim.env.CCE_CA_FILE }, " "), table.concat(exec.args, " "))
    assert.is_nil(config.raw:find(sim.env.HUAWEICLOUD_SDK_SK, 1, true))
    for _, row in ipairs(config:contexts()) do
      if row.current then assert.is_true(row.verifies_tls) end
    end
    tempdir.write(path, (config.raw:gsub('"command": "[^"]*"', '"command": "cce"')))
    -- What the file says is enough, but for the keys.
    assert.is_true(nodes(path, { CCE_ENDPOINT = false, CCE_CA_FILE = false,
      HUAWEICLOUD_SDK_PROJECT_ID = false }))
  end)

  it("answers in the version among its arguments where none is asked for", function()
    local found = credential({ "--api-version", "v1beta1" }, { KUBERNETES_EXEC_INFO = false })
    assert.equal(0, found.code, found.err)
    assert.equal("client.authentication.k8s.io/v1beta1", found.version)
    found = credential({ "--api-version", "v1beta1" },
      { KUBERNETES_EXEC_INFO = command.exec_info "v1" })
    assert.equal("client.authentication.k8s.io/v1", found.version)
  end)

  describe("after a rotation of all, has its file's CA replaced", function()
    local path

    before_each(function()
      path = world.dir .. "/.kube/config"
      tempdir.shell("mkdir " .. world.dir .. "/.kube")
      assert.equal(0, world:cce({ "obtain", cluster.id, "--exec", "--merge-into", path }).code)
      assert.is_true(nodes(path))
    end)

    local function rotate()
      local job = assert(client:rotate_credentials(cluster.id, { component = "all" }))
      assert(client:wait_job(job.id, { timeout = 20, interval = 0.05 }))
    end

    it("by the next one that obtains #once", function()
      rotate()
      world:cce { "logout" }
      local found = credential()
      assert.equal(0, found.code)
      assert.matches("the cluster's CA was replaced, and now is in '" .. path, found.err, 1, true)
      assert.is_true(nodes(path))
      world:cce { "logout" }
      local result = world:cce { "logout", "cluster-001" }
      assert.matches("nothing is kept for 'cluster-001'", result.err, 1, true)
      assert.equal("", credential().err)
    end)

    for _, words in ipairs { { "--merge-into" }, { "--out" } } do
      it("by cce ensure " .. words[1] .. ", which obtains nothing #once", function()
        rotate()
        local before = issued()
        local ensure = { "ensure", cluster.id, "--days", "1", words[1], path }
        local result = world:cce(ensure)
        assert.equal(0, result.code, result.err)
        assert.equal(before, issued())
        -- What was kept is of the old CA: kubectl's first call would be refused.
        assert.is_true(nodes(path))
        assert.equal(before + 1, issued())
        local text = tempdir.read(path)
        assert.equal(0, world:cce(ensure).code)
        assert.equal(text, tempdir.read(path))
        assert.is_nil(text:find("client-key", 1, true))
      end)
    end
  end)

  it("is forgotten by cce logout", function()
    assert.is_true(credential().code == 0)
    local result = world:cce { "logout", "another" }
    assert.equal("0 certificates were dropped\n", result.out)
    assert.equal("1 certificate was dropped\n", world:cce({ "logout" }).out)
    result = world:cce { "logout" }
    assert.same({ "0 certificates were dropped\n", "" }, { result.out, result.err })
    -- One that cannot be removed is still there; so is what cannot be listed.
    local stuck = ("%s/cce/credentials/%s/x.json/stuck"):format(world.cache, cluster.id)
    tempdir.check("mkdir -p " .. stuck)
    for _, words in ipairs { { "logout" }, { "logout", cluster.id } } do
      result = world:cce(words)
      assert.equal(1, result.code)
      assert.matches("^cce: what is kept could not be dropped: .*x.json: ", result.err)
    end
    tempdir.check("rm -r " .. stuck:match "^(.*)/")
    tempdir.check(("cd %s/cce && mv credentials c && ln -s credentials credentials"):format(
      world.cache))
    result = world:cce { "logout" }
    assert.equal(1, result.code)
    assert.matches("^cce: what is kept could not be dropped: cannot list '", result.err)
    tempdir.check(("cd %s/cce && rm credentials && mv c credentials"):format(world.cache))
    credential()
    assert.equal(2, issued())
    assert.same({}, sim:log { operation = "revoke_cert" })
  end)

  it("can be merged into a file, as README says", function()
    local path = world.dir .. "/.kube/config"
    tempdir.shell("mkdir " .. world.dir .. "/.kube")
    for _ = 1, 2 do
      local result = world:cce { "obtain", "cluster-002", "--exec", "--exec-api", "v1beta1",
        "--name", "prod", "--merge-into", path }
      assert.equal(0, result.code, result.err)
    end
    local config = assert(cce.kubeconfig.load(path))
    tempdir.write(path, (config.raw:gsub('"command": "[^"]*"', '"command": "cce"')))
    assert.equal(0, world:kubectl(path, "--context prod get nodes").code)
    local said = world:cce { "who", "--check" }
    assert.equal(0, said.code)
    assert.matches("\nprod .* works %(HTTP 200%)", said.out)
    assert.is_nil(said.out:find("prod%-prod"))
  end)

  it("is not what --until can be asked with", function()
    local result = world:cce { "obtain", cluster.id, "--exec", "--until", "+2h", "--out",
      world.dir .. "/x.json" }
    assert.equal(64, result.code)
    assert.equal(0, issued())
  end)
end)
